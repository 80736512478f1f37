"""What is asked again: the history with what came, contracts in force; and how good the forecast was."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from planner.load import Traffic
from planner.scenario import Existing
from planner.track.accuracy import accuracy, utilization
from planner.track.again import appended, held, rest
from planner.track.period import Period
from tests.builders import hand

S = hand.scenario()
PLAN = hand.plan(S, hand.schedule(S, 2))
START = pd.Timestamp(S.start_utc)


def hourly(start, values):
    return Traffic("made", start, 3600, np.asarray(values, dtype=np.float64))


def test_what_came_is_put_after_the_history_and_wins_where_both_are():
    before = hourly(START - pd.Timedelta(hours=4), [1, 2, 3, 4])
    after = hourly(START - pd.Timedelta(hours=1), [9, np.nan, 7])
    found = appended(before, after)
    assert found.start == before.start
    assert found.arrival_rate_rps.tolist()[:4] == [1, 2, 3, 9]
    assert np.isnan(found.arrival_rate_rps[4])
    assert found.arrival_rate_rps[5] == 7
    far = appended(before, hourly(START + pd.Timedelta(hours=2), [5]))
    assert np.isnan(far.arrival_rate_rps[4:6]).all(), "a gap between both stays unknown"


def test_contracts_in_force_are_held_and_those_that_ended_are_not():
    own = [
        Existing(commitment="aws/us-east-1/m/ri/1y/none", quantity=2, end=d)
        for d in (date(2027, 1, 31), date(2028, 1, 1))
    ]
    scenario = S.model_copy(update={"existing": tuple(own)})
    now = pd.Timestamp("2027-02-01", tz="UTC")
    assert held(scenario, PLAN, now) == (own[1],)
    asked = rest(scenario, PLAN, date(2027, 2, 1))
    assert (asked.start, asked.existing, asked.today) == (date(2027, 2, 1), (own[1],), None)
    assert asked.horizon_h == 28 * 24, "four weeks at least"


def test_a_contract_that_was_held_before_the_plan_is_held_once_and_by_its_own_name():
    """A plan lists what it was given as held beside a contract of the same name and end that it signed."""
    name, end = "aws/us-east-1/m/ri/1y/none", pd.Timestamp("2028-01-31", tz="UTC")
    own = Existing(commitment=name, quantity=2, end=date(2028, 1, 31))
    row = {"start": START, "end": end, "region": "us-east-1", "term_months": 12}
    listed = [row | {"commitment": f"{name} (held)", "quantity": 2.0}, row | {"commitment": name, "quantity": 3.0}]
    plan = replace(PLAN, commitments=hand.frame("plan.commitments", listed))
    found = held(S.model_copy(update={"existing": (own,)}), plan, START + pd.Timedelta(days=1))
    assert [(e.commitment, e.quantity, e.end) for e in found] == [(name, 2, own.end), (name, 3, own.end)]


def test_accuracy_of_a_forecast_in_round_numbers():
    paths = np.linspace(5, 15, 101)[:, None] * np.ones(S.horizon_h)
    load = hand.load(S, {"web": paths})
    (row,) = accuracy(load, {"web": hourly(START, np.full(24, 12.0))}).to_dict("records")
    assert row["hours"] == 24
    assert row["arrived_requests"] == pytest.approx(12 * 24 * 3600)
    assert row["p50_requests"] == pytest.approx(10 * 24 * 3600)
    assert row["forecast_error_share"] == pytest.approx(2 / 12)
    assert (row["within_band_share"], row["peak_rps"]) == (1.0, 12.0)


def test_use_of_a_commitment_is_what_was_covered_of_what_was_paid():
    base = {"ts": START, "purchase_option": "committed", "charge": "compute", "quantity": 1.0}
    rows = hand.frame(
        "actuals",
        [
            base | {"effective_cost_usd": 6.0},
            base | {"charge": "commitment_unused", "effective_cost_usd": 2.0},
        ],
    )
    period = Period(START, START + pd.Timedelta(hours=48))
    (found,) = utilization(PLAN, PLAN.cost, rows, period).to_dict("records")
    assert (found["commitment"], found["billed_utilization"], found["paid_usd"]) == (
        "all",
        0.75,
        8.0,
    )
    unknown = utilization(PLAN, PLAN.cost, rows.assign(effective_cost_usd=np.nan), period)
    assert unknown["billed_utilization"].isna().all(), "a bill without amortized cost does not tell"
