"""The pages' figures on a study made by hand: sums that can be checked in the head."""

import dataclasses
import json
from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from planner import Scenario, columns, run
from planner.load import backtest, read_traffic
from planner.show import answer, charts, views, words
from tests.builders import small
from tests.builders import study as made
from tests.builders.hand import frame


@pytest.fixture(scope="module")
def study():
    return made.study()


@pytest.fixture(scope="module")
def hours(study):
    return views.hourly(study, "web")


def test_usable_capacity_counts_replicas_and_discounts_spot(study):
    table = views.usable(study.plan, study.capacity)
    by_day = table[table["ts"] == table["ts"].iloc[12]].set_index("purchase_option")["usable_rps"]
    assert by_day["on_demand"] == 3 * 6.0
    assert by_day["spot"] == 1 * 6.0 * 0.5


def test_hours_carry_the_load_and_what_covers_it(hours):
    noon, night = hours.iloc[12], hours.iloc[0]
    assert noon["p50"] == pytest.approx(16.0)
    assert (noon["p10"], noon["p90"]) == (pytest.approx(16 * 0.92, rel=1e-6), pytest.approx(16 * 1.08, rel=1e-6))
    assert noon["planned"] == noon["p90"]  # the scenario serves its 0.9 quantile
    assert (noon["capacity"], night["capacity"]) == (21.0, 15.0)
    # one of two zones may fail: of three machines it holds two at worst, and the spot machine is in the other
    assert (noon["left"], night["left"]) == (9.0, 6.0)


def test_hours_are_local_wall_clock(hours):
    # UTC would be 23:00 of the day before
    assert hours["time"].iloc[0] == pd.Timestamp("2027-01-01 00:00")


def test_a_day_shows_its_busiest_hour(hours):
    days = views.daily(hours)
    assert len(days) == 62
    assert (days["capacity"] == 21.0).all()
    assert days["p50"].tolist() == pytest.approx([16.0] * 62)


def test_a_week_is_seven_days(hours):
    assert len(views.peak_week(hours)) == 168
    assert views.peak_week(hours, pd.Timestamp("2027-01-10"))["time"].iloc[0] == pd.Timestamp("2027-01-10")


def test_configuration_shares_add_up(study):
    table = views.configuration(study).set_index("purchase_option")
    assert table["work_share"].sum() == pytest.approx(1.0)
    assert table.loc["on_demand", "mean"] == pytest.approx(2.5)
    assert table.loc["on_demand", "most"] == 3.0
    assert table.loc["spot", "work_share"] == pytest.approx(3 / 18)


def test_ranking_is_by_cost_of_a_request_and_a_missing_price_stays_missing(study):
    table = views.ranking(study).set_index("instance_type")
    assert list(table.index) == ["a.large", "b.large", "c.large"]
    assert table.loc["a.large", "usd_per_1m_requests"] == pytest.approx(0.1 / 6 / 3600 * 1e6)
    assert np.isnan(table.loc["c.large", "usd_per_1m_requests"])
    assert table.loc["b.large", "reason"] == "costs more a request"
    assert table.loc["a.large", "work_share"] == pytest.approx(1.0)


def test_machines_are_split_by_who_pays(study):
    table = views.running(study).pivot_table(index="paid", values="instances", aggfunc="mean")["instances"]
    assert table.to_dict() == {"Committed": 0.0, "On demand": pytest.approx(2.5), "Spot": 1.0}


def test_what_commitments_pay_in_part_is_told_alike_in_every_table(study):
    """One of two and a half machines on average: the share that the chart of machines shows."""
    ts = study.plan.schedule["ts"].drop_duplicates()
    pool = {"service": "web", "provider": "aws", "region": "us-east-1", "instance_type": "a.large", "deployment": ""}
    rows = pd.DataFrame({"ts": ts, "commitment": "one", "instances": 1.0} | pool)
    plan = dataclasses.replace(study.plan, coverage=rows[list(columns.columns_of("plan.coverage"))])
    part = SimpleNamespace(**{**vars(study), "plan": plan})
    drawn = views.running(part).groupby("paid")["instances"].mean()
    assert drawn["Committed"] / (drawn["Committed"] + drawn["On demand"]) == pytest.approx(0.4)
    assert views.paid(plan, views.configuration(part)) == ["40 % committed", "Spot"]
    assert set(answer.to_run(part)["paid"].dropna()) == {"40 % committed", "Spot"}
    assert views.paid(study.plan, views.configuration(study)) == ["On demand", "Spot"]


def test_ledger_keeps_the_causes_of_machines_in_use(study):
    assert views.ledger(study).set_index("cause")["headroom_share"].to_dict() == {
        "Waiting time": 0.15,
        "Loss of a zone": 0.05,
    }


def test_the_age_of_prices_weighs_by_money(study):
    ages = views.price_ages(study.plan, date(2026, 11, 22))
    assert ages["effective_cost_usd"].sum() == pytest.approx(study.plan.total_usd)
    assert views.typical_age_days(ages) == 21.0


def test_undated_money_stays_undated():
    ages = pd.DataFrame({"age_days": [3.0, 90.0, np.nan], "effective_cost_usd": [10.0, 30.0, 500.0]})
    assert views.typical_age_days(ages) == 90.0
    assert np.isnan(views.typical_age_days(ages.iloc[2:]))


def test_objectives_are_told_in_words():
    assert words.spelled("then tpot_p95_s fails") == "then each further token for 95 % of requests fails"


@pytest.mark.parametrize(
    ("usd", "text"),
    [(None, "–"), (float("nan"), "–"), (0.0, "$0"), (3.456, "$3.46"), (1234567.8, "$1,234,568"), (-20, "−$20")],
)
def test_money_is_short_and_never_invented(usd, text):
    assert words.money(usd) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 0, "–"),
        (1.0, 0, "100 %"),
        (0.999, 0, "> 99 %"),
        (0.99999, 2, "> 99.99 %"),
        (0.5, 0, "50 %"),
        (0.99912, 2, "99.91 %"),
    ],
)
def test_a_share_below_one_is_never_shown_as_a_hundred(value, digits, text):
    assert words.share(value, digits) == text


def test_a_latency_curve_stops_where_the_queue_runs_away():
    class Line:
        """A queue with one second of service that runs away at ten requests/s."""

        def latency_s(self, rate, replicas, quantile, metric="latency"):
            with np.errstate(divide="ignore"):
                return np.where(np.asarray(rate) < 10, 1 / (10 - np.asarray(rate)), np.inf)

    curve = views.latency_curve(Line(), made.scenario().services["web"].objective, 20.0)
    assert curve["rate_rps"].max() < 10
    assert curve["latency_s"].is_monotonic_increasing
    spec = charts.latency(curve).to_dict()
    assert spec["title"]["text"].endswith("share of the limit")


def test_last_week_is_forecast_from_what_came_before(tmp_path):
    ts = pd.date_range("2026-09-01", periods=28 * 24, freq="h", tz="UTC")
    rate = 50 + 20 * np.sin(2 * np.pi * ts.hour / 24) + np.random.default_rng(1).normal(0, 2, len(ts))
    pd.DataFrame({"ts": ts.strftime("%Y-%m-%dT%H:%MZ"), "arrival_rate_rps": rate}).to_csv(
        tmp_path / "t.csv", index=False
    )
    traffic = read_traffic(tmp_path / "t.csv")
    table = views.hindcast(traffic, made.scenario())
    assert len(table) == 168
    assert table["actual"].to_numpy() == pytest.approx(rate[-168:])
    assert ((table["p5"] <= table["p50"]) & (table["p50"] <= table["p95"])).all()
    inside = ((table["actual"] >= table["p5"]) & (table["actual"] <= table["p95"])).mean()
    assert 0.75 < inside <= 1.0
    assert charts.hindcast(table).to_dict()["title"]["text"].endswith("requests per second")
    assert charts.backtest(backtest(traffic)).to_dict()["title"]["text"].endswith("share of the volume")


def test_the_bridge_adds_up():
    one, other = made.study(1488).plan, made.study(744).plan
    steps = views.bridge(one, other, ("A", "B"))
    assert steps["step"].iloc[[0, -1]].tolist() == ["A", "B"]
    assert steps["end"].iloc[-2] == pytest.approx(other.total_usd)
    assert one.total_usd + steps["change"].iloc[1:-1].sum() == pytest.approx(other.total_usd)
    assert charts.bridge(steps).to_dict()["title"]["text"].endswith("USD over the whole plan")


def test_a_price_list_leaves_unknown_prices_unknown(study):
    place = {"provider": "aws", "region": "us-east-1"}
    shapes = frame("catalog.instances", [{**place, "instance_type": t} for t in ("a.large", "c.large")])
    table = views.price_list(dataclasses.replace(study.catalog, instances=shapes)).set_index("instance_type")
    assert table.loc["a.large", "on_demand"] == 0.1
    assert np.isnan(table.loc["c.large", "on_demand"])
    assert np.isnan(table.loc["a.large", "spot"])


def test_charts_are_titled_with_units_and_hold_the_rows(study, hours):
    drawn = {
        "requests per second": charts.load_year(views.daily(hours)),
        "requests per second ": charts.load_week(views.peak_week(hours)),
        "USD per calendar month": charts.cost_months(study.plan.monthly()),
        "USD": charts.cost_range(pd.DataFrame({"usd": views.path_costs(study.plan)})),
        "machines": charts.instances(views.running(study)),
        "share of an always busy replica": charts.headroom(views.ledger(study)),
    }
    for unit, chart in drawn.items():
        spec = chart.to_dict()
        assert spec["title"]["text"].endswith(unit.strip())
        assert any(spec["datasets"].values())


def test_the_range_of_the_months_comes_from_the_paths(study):
    span = views.month_range(study.plan)
    assert span["month"].tolist() == ["2027-01", "2027-02"]
    assert span["p10"].sum() == pytest.approx(study.plan.summary()["p10_usd"])
    assert len(charts.cost_months(study.plan.monthly(), span=span).to_dict()["layer"]) == 5


def test_the_month_chart_adds_up_to_the_plan(study):
    spec = charts.cost_months(study.plan.monthly()).to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert sum(r["effective_cost_usd"] for r in rows) == pytest.approx(study.plan.objective_usd)
    assert {r["what"] for r in rows} == {"Compute", "NAT gateway"}


def test_a_year_of_charts_stays_light():
    year = views.hourly(made.study(8760, 50), "web")
    assert len(json.dumps(charts.load_year(views.daily(year)).to_dict())) < 150_000


def test_what_is_left_on_screen_after_a_loss_serves_the_load_the_plan_is_made_for(tmp_path):
    (tmp_path / "small.yaml").write_text(small.SCENARIO, encoding="utf-8")
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    scenario = Scenario.read(tmp_path / "small.yaml").override(
        ["limits.zones=3", "limits.zones_lost=1", "limits.max_spot_share=0.3"]
    )
    hours = views.hourly(run(scenario, paths=20), "web")
    assert (hours["left"] >= hours["planned"] * (1 - 1e-9)).all()
    assert (hours["left"] / hours["planned"]).median() < 1.5
