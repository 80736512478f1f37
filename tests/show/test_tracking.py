"""What the page and the notebook of tracking show: it adds up to the bill, and says it in words."""

from dataclasses import replace

import pandas as pd
import pytest

from planner.show import charts, tracking, views
from planner.track import compared
from tests.builders import hand

S = hand.scenario()
PLAN = hand.plan(S, hand.schedule(S, 2))  # two machines at $1 an hour for 48 h
START = pd.Timestamp(S.start_utc)


def bill(*rows):
    """Rows of frame ``actuals``: dollars, and what differs from 48 hours of machine m of service web."""
    base = {"ts": START, "charge_end": START + pd.Timedelta(hours=48), "provider": "aws", "region": "us-east-1"}
    base |= {"charge": "compute", "charge_category": "usage", "resource": "m", "purchase_option": "on_demand"}
    base |= {"unit": "hour", "quantity": 96.0, "tags": '{"service": "web"}'}
    paid = [{f"{kind}_cost_usd": usd for kind in ("billed", "effective", "list")} for usd, _ in rows]
    return hand.frame(
        "actuals", [base | usd | {"row": k} | more for k, (usd, (_, more)) in enumerate(zip(paid, rows, strict=True))]
    )


FOUND = compared(
    S,
    PLAN,
    bill(
        (150.0, {"quantity": 120.0}),
        (-7.0, {"charge": "credit", "charge_category": "credit"}),
        (11.0, {"provider": "azure"}),
    ),
)


def test_the_bridge_leads_from_the_plan_to_the_bill():
    steps = tracking.bridge(FOUND)
    assert steps["step"].tolist() == ["Planned", "Volume", "Price", "One-off", "Not planned", "Paid"]
    assert steps["change"].iloc[0] == FOUND.planned_usd == 96.0
    assert steps["change"].iloc[:-1].sum() == pytest.approx(steps["change"].iloc[-1])
    assert steps["change"].iloc[-1] == pytest.approx(FOUND.actual_usd) == pytest.approx(154.0)
    assert steps["start"].iloc[1:-1].to_numpy() == pytest.approx(steps["end"].iloc[:-2].to_numpy())
    assert charts.bridge(steps, "From plan to bill", "USD").to_dict()["title"]["text"] == "From plan to bill, USD"


def test_days_hold_what_was_used_and_leave_credits_to_the_bridge():
    days = tracking.days(FOUND, S.time_zone)
    whole = len(days)
    assert days["planned"].tolist() == pytest.approx([48.0] * whole)
    assert days["paid"].sum() == pytest.approx(161.0 * whole / 2)  # without the credit of 7
    assert days["day"].dt.tz is None
    assert charts.spending(days).to_dict()["layer"]


def test_what_is_charged_by_the_month_is_spread_over_it_and_not_over_the_days_of_the_bill():
    s = hand.scenario(start="2027-02-01", horizon_h=96)
    plan = hand.plan(s, hand.schedule(s, 2))
    monthly = plan.cost.iloc[:1].assign(charge="nat", resource="nat", effective_cost_usd=40.0)
    plan = replace(plan, cost=pd.concat([plan.cost, monthly], ignore_index=True))
    half = {"ts": pd.Timestamp(s.start_utc), "charge_end": pd.Timestamp(s.start_utc) + pd.Timedelta(hours=48)}
    found = compared(s, plan, bill((96.0, half)))
    assert tracking.days(found, s.time_zone)["planned"].tolist() == pytest.approx([58.0, 58.0])
    assert found.planned_usd == pytest.approx(116.0)


def test_lines_say_whose_they_are_and_why():
    lines = tracking.lines(FOUND)
    assert lines["difference_usd"].sum() == pytest.approx(FOUND.difference_usd)
    compute = lines[(lines["charge"] == "Compute") & (lines["service"] == "web")].iloc[0]
    assert compute["reasons"].startswith("Price +$30")
    assert "Volume +$24" in compute["reasons"]
    assert "nobody's" in set(lines["service"])
    assert not lines["charge"].str.contains("_").any()


def test_the_headline_is_in_days_of_the_reader():
    said = tracking.headline(FOUND, S.time_zone)
    assert said.startswith("$58 more than planned (60.4 %) from ")
    first = START.tz_convert(S.time_zone)
    assert f"{first:%d %b %Y}" in said
    assert S.time_zone in said


DRIFT = {"service": "web", "measure": "load", "side": "above", "ratio": 1.25, "drifted": True, "p_value": 0.01}
DRIFT["days"] = 30.0
DRIFT["known_since"] = pd.Timestamp("2027-02-19", tz="UTC")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Brings more load than forecast: web, 1.25 times the plan, known since 19 February 2027"),
        ({"side": "below"}, "Brings less load than forecast"),
        ({"measure": "cost", "service": ""}, "Costs more than planned: the whole bill"),
        ({"measure": "latency_p99_s"}, "Answers slower than planned: web, whole answer for 99 % of requests"),
        ({"drifted": False}, "Keeps its load within the plan's range: web (1.25 times the plan)"),
        (
            {"drifted": False, "measure": "ttft_p95_s"},
            "Keeps within the plan's range: web, first token for 95 % of requests (1.25 times the plan)",
        ),
        (
            {"drifted": False, "p_value": float("nan"), "days": 5.0},
            "Cannot tell yet whether its load left the plan: web (1.25 times the plan), less than a week was seen",
        ),
        (
            {"drifted": False, "p_value": float("nan"), "measure": "cost", "service": ""},
            "Cannot tell yet whether its cost left the plan: the whole bill (1.25 times the plan), it takes 19 load",
        ),
    ],
)
def test_drift_begins_with_what_happens(changes, said):
    from planner.show import words

    assert words.drifting(DRIFT | changes).startswith(said)


def test_a_waterfall_is_never_short_of_its_end():
    steps = views.waterfall(("A", 10.0), ("B", 30.0), [("one", 5.0), ("two", -2.0)])
    assert steps["step"].tolist() == ["A", "one", "two", "all other", "B"]
    assert steps.loc[3, "change"] == pytest.approx(17.0)
    assert steps["kind"].tolist() == ["total", "more", "less", "more", "total"]
