"""When commitments start and end: later contracts for a growing load, none for a falling one,
renewal, and cash to the hour.
"""

import numpy as np
import pandas as pd
import pytest

from planner.errors import InfeasiblePlan
from tests.builders.markets import machine, on_sale, planned, reserved

M = [machine("m5.large", 2)]
USD = {"m5.large": 0.1}
YEAR = {"start": "2027-01-01", "horizon_h": 8760}
TWO_YEARS = {"start": "2027-01-01", "horizon_h": 17520}
JULY = (31 + 28 + 31 + 30 + 31 + 30) * 24


def of_year(first: float, second: float, hours: int = 8760, turn: int = JULY) -> np.ndarray:
    return np.where(np.arange(hours) < turn, first, second)


def machines(plan) -> np.ndarray:
    return plan.schedule.groupby("ts")["instances"].sum().to_numpy()


def starts(plan) -> list[str]:
    return [f"{t:%Y-%m-%d}" for t in plan.commitments["start"]]


def test_a_load_that_grows_in_july_is_committed_in_july():
    """Half a year of use is worth no contract at 0.6 of the price signed in January, but one signed
    in July.
    """
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, of_year(100.0, 900.0), **YEAR)
    low, high = machines(plan)[0], machines(plan)[-1]
    assert dict(zip(starts(plan), plan.commitments["quantity"], strict=True)) == {
        "2027-01-01": low,
        "2027-07-01": high - low,
    }
    ladder = 0.06 * (low * JULY + high * (8760 - JULY))
    assert plan.objective_usd == pytest.approx(ladder, rel=1e-9)
    at_once = 0.06 * high * 8760
    never_later = 0.06 * low * 8760 + 0.1 * (high - low) * (8760 - JULY)
    assert plan.objective_usd < min(at_once, never_later)
    assert plan.certificate.checks["bill"] < 1e-9
    assert plan.certificate.checks["bound"] <= 1e-9
    assert plan.paths_usd[0] == pytest.approx(plan.objective_usd, rel=1e-6)


def test_a_load_forecast_to_fall_is_committed_less():
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    flat, _ = planned(catalog, np.full(8760, 900.0), **YEAR)
    falling, _ = planned(catalog, of_year(900.0, 100.0), **YEAR)
    assert starts(flat) == starts(falling) == ["2027-01-01"]
    assert falling.commitments["quantity"].iloc[0] == machines(falling)[-1] < flat.commitments["quantity"].iloc[0]


def test_a_last_quarter_alone_signs_nothing():
    """Only hours of the horizon are paid, so a contract for its last three months would look cheap:
    it is not offered.
    """
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, of_year(100.0, 900.0, turn=273 * 24), **YEAR)
    assert starts(plan) == ["2027-01-01"]
    assert plan.commitments["quantity"].iloc[0] == machines(plan)[0]


def test_a_term_shorter_than_the_horizon_is_signed_again_where_it_still_pays():
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    flat, _ = planned(catalog, np.full(17520, 900.0), **TWO_YEARS)
    count = machines(flat)[0]
    assert dict(zip(starts(flat), flat.commitments["quantity"], strict=True)) == {
        "2027-01-01": count,
        "2028-01-01": count,
    }
    assert flat.objective_usd == pytest.approx(0.06 * count * 17520, rel=1e-9)
    assert [f"{t:%Y-%m-%d}" for t in flat.commitments["end"]] == ["2028-01-01", "2029-01-01"]
    lapsing, _ = planned(catalog, of_year(900.0, 100.0, 17520, 8760), **TWO_YEARS)
    low = machines(lapsing)[-1]
    assert dict(zip(starts(lapsing), lapsing.commitments["quantity"], strict=True)) == {
        "2027-01-01": count,
        "2028-01-01": low,
    }
    assert lapsing.objective_usd == pytest.approx(0.06 * (count * 8760 + low * 8760), rel=1e-9)
    assert lapsing.certificate.checks["bill"] < 1e-9


def test_what_goes_after_a_year_is_not_signed_for_three():
    """The longer term is cheaper by the hour, but paid on when its load has gone."""
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06), reserved("m5.large", 0.04, months=36)])
    plan, _ = planned(catalog, of_year(900.0, 100.0, 17520, 8760), **TWO_YEARS, **{"limits.max_term_months": 36})
    high, low = machines(plan)[[0, -1]]
    signed = dict(zip(plan.commitments["term_months"], plan.commitments["quantity"], strict=True))
    assert signed == {12: high - low, 36: low}
    assert plan.objective_usd == pytest.approx(0.06 * (high - low) * 8760 + 0.04 * low * 17520, rel=1e-9)


def test_contracts_of_one_name_share_their_use_whenever_they_were_signed():
    """Two held contracts of one name, one ending in July: each row pays its own hours, and no hour
    is counted twice.
    """
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    held = [
        {"commitment": "m5.large/12/none", "quantity": 1, "end": "2027-07-01"},
        {"commitment": "m5.large/12/none", "quantity": 2, "end": "2027-12-31"},
    ]
    plan, _ = planned(
        catalog,
        np.full(4380, 900.0),
        existing=held,
        start="2027-03-01",
        horizon_h=4380,
        **{"limits.max_term_months": 0},
    )
    count, both = machines(plan)[0], (31 + 30 + 31 + 30) * 24
    assert plan.commitments["quantity"].tolist() == [1.0, 2.0]
    covered = plan.coverage.groupby("ts")["instances"].sum().to_numpy()
    assert covered.tolist() == [3.0] * both + [2.0] * (4380 - both)
    assert plan.objective_usd == pytest.approx(
        0.06 * (3 * both + 2 * (4380 - both)) + 0.1 * (count * 4380 - covered.sum()), rel=1e-9
    )
    committed = plan.cost[(plan.cost["charge"] == "compute") & (plan.cost["purchase_option"] == "committed")]
    assert committed["quantity"].sum() == pytest.approx(covered.sum())
    assert plan.cost.loc[plan.cost["charge"] == "commitment_fee", "billed_cost_usd"].sum() == pytest.approx(
        0.06 * (3 * both + 2 * (4380 - both)), rel=1e-9
    )


@pytest.mark.parametrize(("start", "hours"), [("2027-01-01", 8760), ("2028-01-01", 8784)])
def test_prepaid_cash_is_true_to_the_calendar(start, hours):
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06, payment="all", upfront=1.0)])
    three = 3 * 0.06 * hours
    enough, _ = planned(catalog, np.full(48, 900.0), start=start, **{"limits.upfront_budget_usd": three})
    assert enough.commitments["quantity"].tolist() == [3.0]
    assert enough.commitments["upfront_usd"].iloc[0] == pytest.approx(three, rel=1e-12)
    assert enough.cost.loc[enough.cost["charge"] == "commitment_purchase", "billed_cost_usd"].sum() == pytest.approx(
        three, rel=1e-12
    )
    short, _ = planned(catalog, np.full(48, 900.0), start=start, **{"limits.upfront_budget_usd": three - 1.0})
    assert short.commitments["quantity"].tolist() == [2.0]


def test_a_contract_held_from_a_later_date_waits_for_it():
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    held = [{"commitment": "m5.large/12/none", "quantity": 2, "end": "2028-04-01"}]
    plan, _ = planned(
        catalog,
        np.full(4380, 900.0),
        existing=held,
        start="2027-01-01",
        horizon_h=4380,
        **{"limits.max_term_months": 0},
    )
    covered = plan.coverage.groupby("ts")["instances"].sum()
    assert covered.index.min() == pd.Timestamp("2027-04-01", tz="UTC")
    assert (covered == 2.0).all()


def test_a_budget_is_planned_for():
    """A peak month is worth no contract, yet one keeps it within the budget; below what contracts
    can do the least budget is named.
    """
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    rates = np.where((np.arange(8760) >= JULY) & (np.arange(8760) < JULY + 744), 900.0, 100.0)
    free, _ = planned(catalog, rates, **YEAR)
    by_month = free.monthly().groupby("month")["effective_cost_usd"].sum()
    assert by_month.idxmax() == "2027-07"
    kept, _ = planned(catalog, rates, **YEAR, **{"limits.budget_usd_per_month": 0.8 * by_month.max()})
    months = kept.monthly().groupby("month")["effective_cost_usd"].sum()
    assert months.max() <= 0.8 * by_month.max() * (1 + 1e-9)
    assert kept.objective_usd > free.objective_usd
    assert any("keep every month within" in note for note in kept.notes)
    with pytest.raises(InfeasiblePlan) as refused:
        planned(catalog, rates, **YEAR, **{"limits.budget_usd_per_month": 0.3 * by_month.max()})
    least = refused.value.relaxations[0].changes["limits.budget_usd_per_month"]
    enough, _ = planned(catalog, rates, **YEAR, **{"limits.budget_usd_per_month": least})
    assert enough.monthly().groupby("month")["effective_cost_usd"].sum().max() <= least
    assert least < by_month.max()


def test_each_contract_tells_its_regret():
    """Load 30 % below forecast leaves contracts idle at their price; half more load would have been
    worth as many more, at the saving.
    """
    catalog = on_sale(M, USD, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, np.full(48, 2000.0))
    row, notes = plan.commitments.iloc[0], " ".join(plan.notes)
    assert row["regret_low_usd"] == pytest.approx(
        round(row["regret_low_usd"] / (0.06 * 48)) * 0.06 * 48
    )  # whole contracts, idle
    assert row["regret_high_usd"] == pytest.approx(
        round(row["regret_high_usd"] / (0.04 * 48)) * 0.04 * 48
    )  # whole contracts, missing
    assert 0.2 * row["quantity"] <= row["regret_low_usd"] / (0.06 * 48) <= 0.4 * row["quantity"]
    assert 0.4 * row["quantity"] <= row["regret_high_usd"] / (0.04 * 48) <= 0.6 * row["quantity"]
    assert f"cost {row['regret_low_usd']:,.0f} USD more" in notes
    held = [{"commitment": "m5.large/12/none", "quantity": 1, "end": "2028-01-01"}]
    sunk, _ = planned(catalog, np.full(48, 2000.0), existing=held, **{"limits.max_term_months": 0})
    assert sunk.commitments["regret_low_usd"].isna().all()
