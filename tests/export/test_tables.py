"""What finance opens: the same rows, to the cent, whatever the calendar; and nothing that runs."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import columns, export
from planner.charges import CHARGES
from planner.errors import ScenarioError
from planner.export import finance
from tests.builders import answered

# midnight of the month on both sides of UTC, a leap February, both changes of the clock, half hours
CALENDARS = {
    "UTC": "2027-01-30",
    "Europe/Berlin": "2027-03-26",
    "America/Los_Angeles": "2027-10-30",
    "Asia/Kolkata": "2028-02-27",
    "Pacific/Auckland": "2027-12-30",
    "America/Sao_Paulo": "2028-02-28",
}


@pytest.fixture(name="made", scope="module")
def made_study():
    return answered.answered()


@pytest.fixture(name="folder", scope="module")
def written(made, tmp_path_factory):
    place = tmp_path_factory.mktemp("csv") / "set"
    export.write_csv(made, place, export.Origin("7", "2026-11-27"))
    return place


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, dtype={"revision": str})


@pytest.mark.parametrize("zone", CALENDARS)
@settings(max_examples=2)
@given(horizon=st.integers(30, 200), machines=st.integers(1, 5))
def test_law_58_a_pivot_of_the_long_file_is_the_screen(zone, horizon, machines):
    """Sums by month and by owner of ``finance.csv`` are those of the plan's own views."""
    s = answered.scenario(start=CALENDARS[zone], time_zone=zone, horizon_h=horizon)
    made = answered.answered(s, machines=machines)
    text = export.to_csv(finance.long(made))
    long = pd.read_csv(io.StringIO(text), keep_default_na=False)
    pivot = long.pivot_table(index="month", columns="measure", values="cost_usd", aggfunc="sum")
    shown = made.plan.monthly().groupby("month")[["effective_cost_usd", "billed_cost_usd", "list_cost_usd"]].sum()
    assert pivot.index.tolist() == shown.index.tolist()
    assert pivot[["amortized", "cash", "list"]].to_numpy() == pytest.approx(shown.to_numpy(), abs=1e-9)
    owners = long[long["measure"] == "amortized"].groupby(["owner", "service"])["cost_usd"].sum()
    assert owners.to_dict() == pytest.approx(
        made.plan.by_owner().groupby(["owner", "service"])["effective_cost_usd"].sum().to_dict(), abs=1e-9
    )


@pytest.mark.parametrize("zone", CALENDARS)
def test_charge_periods_fill_the_calendar(zone):
    """Each row lies in its month and in the horizon; local and UTC stamps are the same instants; monthly rows
    of one charge follow each other without a gap."""
    s = answered.scenario(start=CALENDARS[zone], time_zone=zone, horizon_h=96)
    cost = finance.cost(answered.answered(s))
    for side in ("start", "end"):
        utc = cost[f"charge_period_{side}_utc"]
        assert (pd.to_datetime(cost[f"charge_period_{side}"], utc=True) == utc).all()
    start, end = cost["charge_period_start_utc"], cost["charge_period_end_utc"]
    assert (start < end).all()
    assert start.min() == pd.Timestamp(s.start_utc)
    assert end.max() == pd.Timestamp(s.end_utc)
    assert (start.dt.tz_convert(zone).dt.strftime("%Y-%m") == cost["month"]).all()
    nat = cost[cost["charge"] == "nat"].sort_values("charge_period_start_utc")
    assert nat["charge_period_start_utc"].iloc[1:].tolist() == nat["charge_period_end_utc"].iloc[:-1].tolist()
    middle = start + (end - start) / 2
    assert (middle.dt.strftime("%Y-%m") == cost["billing_period"]).all()


def test_every_file_reconciles_with_the_plan(made, folder):
    total = made.plan.total_usd
    cost = read(folder, "cost")
    assert len(cost) == len(made.plan.cost)
    for name, column in (("cost", "effective_cost_usd"), ("months", "effective_cost_usd")):
        assert read(folder, name)[column].sum() == pytest.approx(total, rel=1e-12)
    for column in ("list_cost_usd", "billed_cost_usd"):
        assert cost[column].sum() == pytest.approx(made.plan.cost[column].sum(), rel=1e-12)
    figures = read(folder, "summary").set_index("figure")["value"]
    assert figures.index[0] == "monthly_mean_usd"
    assert float(figures["total_usd"]) == pytest.approx(total, rel=1e-12)
    assert float(figures["cash_usd"]) == pytest.approx(cost["billed_cost_usd"].sum(), rel=1e-12)
    assert cost.loc[cost["charge"] == "compute", "ts"].iloc[0] == "2027-01-31T00:00:00Z"


def test_cost_rows_hold_what_finance_asks_for(made, folder):
    cost = read(folder, "cost")
    assert tuple(cost.columns) == columns.columns_of("export.cost")
    assert set(cost["scenario"]) == {"hand"}
    assert set(cost["state"]) == {"idea"}
    assert set(cost["revision"]) == {"7"}
    assert set(cost["price_as_of"]) == {"2026-01-01", ""}
    assert set(cost.loc[cost["price_as_of"] == "", "charge"]) == {"support"}  # stated, not priced
    assert set(cost["charge_name"]) <= {c.title for c in CHARGES.values()}
    assert (cost["team"] == cost["owner"]).all()
    tags = cost.loc[cost["service"] == "web", "tags"].map(json.loads)
    wanted = {"cost_center": "CC-1", "owner": "shop", "scenario": "hand", "service": "web"}
    assert all(t == wanted for t in tags)
    span = made.plan.monthly_range().set_index("month")
    assert (cost["month_p90_usd"].to_numpy() == span.loc[cost["month"], "p90_usd"].to_numpy()).all()


def test_contracted_cost_knows_negotiated_prices_and_no_commitment():
    s = answered.scenario(price_adjustments=[{"discount_share": 0.1, "family": "f"}])
    cost = finance.cost(answered.answered(s))
    compute = cost[cost["charge"] == "compute"].groupby("purchase_option")[
        ["list_cost_usd", "contracted_cost_usd", "effective_cost_usd"]
    ].sum()  # fmt: skip
    for option in ("on_demand", "committed"):
        assert compute.loc[option, "contracted_cost_usd"] == pytest.approx(0.9 * compute.loc[option, "list_cost_usd"])
    assert compute.loc["spot", "contracted_cost_usd"] == pytest.approx(compute.loc["spot", "effective_cost_usd"])
    assert cost.loc[cost["charge"].str.startswith("commitment_"), "contracted_cost_usd"].sum() == 0


@pytest.mark.parametrize(("hours", "first"), [(8760, 0), (8760, 30), (36, 0), (100, 40)])
def test_the_calendar_of_prepayments_is_the_bill(hours, first):
    """Paid before − used = left, at every row; cash inside the horizon is that of the cost rows; what is owed
    after it is what remains of the fees."""
    made = answered.answered(hours=hours, first=first)
    calendar, cost = finance.prepayments(made), made.plan.cost
    paid = cost[cost["charge"].isin(["commitment_purchase", "commitment_fee"])]
    inside = calendar[calendar["in_horizon"]]
    assert inside["cash_usd"].sum() == pytest.approx(paid["billed_cost_usd"].sum())
    used = cost.loc[cost["commitment"] == "ri", "effective_cost_usd"].sum()
    assert inside["amortized_usd"].sum() == pytest.approx(used)
    assert inside["due_upfront_usd"].sum() == pytest.approx(0.6 * 2 * hours / 2)
    # law 57 over the whole term: what is used is what is paid
    assert calendar["amortized_usd"].sum() == pytest.approx(calendar["cash_usd"].sum())
    left = calendar["due_upfront_usd"].cumsum() - (calendar["amortized_usd"] - _fees(calendar)).cumsum()
    assert left.to_numpy() == pytest.approx(calendar["prepaid_left_usd"].to_numpy(), abs=1e-9)
    assert calendar["prepaid_left_usd"].iloc[-1] == calendar["owed_usd"].iloc[-1] == 0
    head = finance.headline(made)
    assert head["owed_after_usd"] == pytest.approx(0.6 * max(0, hours + first - 72))
    assert head["upfront_usd"] == pytest.approx(0.6 * hours)


def _fees(calendar):
    return calendar["cash_usd"] - calendar["due_upfront_usd"]


def test_the_headline_names_the_day_in_the_users_zone():
    s = answered.scenario(time_zone="Asia/Tokyo")  # midnight there is the day before in UTC
    assert finance.headline(answered.answered(s))["upfront_on"] == "2027-01-31"


def test_another_currency_stands_beside_the_dollars():
    rate = {"per_usd": 0.92, "as_of": "2026-11-20"}
    cost = finance.cost(answered.answered(answered.scenario(currency="EUR", exchange=rate)))
    assert set(cost["currency"]) == {"EUR"}
    assert cost["effective_cost"].to_numpy() == pytest.approx(cost["effective_cost_usd"].to_numpy() * 0.92)
    with pytest.raises(ScenarioError, match="EUR needs its rate"):
        answered.scenario(currency="EUR")
    with pytest.raises(ScenarioError, match="needs no exchange"):
        answered.scenario(exchange=rate)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx", "\rx", "\n=1"])
def test_formulas_are_neutralized_and_numbers_are_not(text):
    written = export.to_csv(pd.DataFrame({"owner": pd.Series([text, "plain"], dtype="str"), "value": [-1.5, 2.0]}))
    found = list(csv.reader(io.StringIO(written, newline="")))
    assert found[1] == ["'" + text.replace("\r", " ").replace("\n", " "), "-1.5"]
    assert found[2] == ["plain", "2.0"]


def test_figures_keep_every_digit():
    value = 0.1 + 0.2
    frame = pd.DataFrame({"value": [value, np.nan]})
    back = pd.read_csv(io.StringIO(export.to_csv(frame)))
    assert back["value"].iloc[0] == value
    assert np.isnan(back["value"].iloc[1])  # unknown stays unknown, never 0


def test_json_has_null_for_unknown_and_the_headline(made):
    answer = json.loads(export.to_json(made, beside={"today": {"usd": 1}}))
    assert answer["summary"]["unseen_mean_usd"] is None
    assert answer["headline"]["owed_after_usd"] > 0
    assert answer["owners"][0]["owner"] == "shop"
    assert answer["today"] == {"usd": 1}
    for name in ("finance", "months", "prepayments", "commitments"):
        assert len(answer[name]) == len(export.tables(made)[name])


def test_json_has_null_for_unknown_however_deep():
    parts = {"a": {"usd": float("nan"), "each": [1.0, (float("inf"), "x")]}, "rows": pd.DataFrame({"v": [np.nan]})}
    assert json.loads(export.frames_json(parts)) == {
        "a": {"usd": None, "each": [1.0, [None, "x"]]},
        "rows": [{"v": None}],
    }


def test_parquet_holds_the_same_frames(made, tmp_path):
    paths = export.write_parquet(made, tmp_path / "set")
    frames = export.tables(made)
    assert {p.stem for p in paths} == set(frames)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "set" / "cost.parquet"), frames["cost"])


def test_excel_opens_on_months_by_owner_with_numbers_and_no_formula(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("xlsxwriter")
    made = answered.answered(answered.scenario(**{"services.web.owner": {"team": "shop", "cost_center": "=1+1"}}))
    path = export.to_excel(made, tmp_path / "plan.xlsx")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames[0] == "month by owner" == book.active.title
    assert not [c for sheet in book for row in sheet for c in row if c.data_type == "f"]
    head, *rows = book.active.iter_rows(values_only=True)
    assert head == ("month", "no owner", "shop", "total")
    assert rows[-1][-1] == pytest.approx(made.plan.total_usd, rel=1e-12)
    months = [[c.value for c in row] for row in book["months"].iter_rows(min_row=2)]
    at = [c.value for c in next(book["months"].iter_rows(max_row=1))].index("effective_cost_usd")
    assert sum(row[at] for row in months) == pytest.approx(made.plan.total_usd, rel=1e-12)
    assert [p.name for p in tmp_path.iterdir()] == ["plan.xlsx"]
