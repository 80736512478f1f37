"""A bill beside a plan: whose each row is, and causes that add up exactly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.track import compared
from planner.track.bridge import CAUSES, Line
from planner.track.period import Period, daily, planned
from tests.builders import hand

S = hand.scenario()
PLAN = hand.plan(S, hand.schedule(S, 2))  # two machines at $1 an hour for 48 h
START = pd.Timestamp(S.start_utc)
LATER = START + pd.Timedelta(days=99)


def bill(rows):
    """Rows of frame ``actuals``: dollars, and what differs from an hour of machine m of service web."""
    base = {
        "ts": START,
        "charge_end": START + pd.Timedelta(hours=48),
        "provider": "aws",
        "region": "us-east-1",
        "charge": "compute",
        "charge_category": "usage",
        "resource": "m",
        "purchase_option": "on_demand",
        "unit": "hour",
        "quantity": 96.0,
        "tags": '{"service": "web"}',
        "row": 0,
    }
    table = [
        base | {"billed_cost_usd": usd, "effective_cost_usd": usd, "list_cost_usd": usd, "row": k} | more
        for k, (usd, more) in enumerate(rows)
    ]
    return hand.frame("actuals", table)


def test_the_same_bill_has_no_difference():
    found = compared(S, PLAN, bill([(96.0, {})]))
    assert (found.planned_usd, found.actual_usd, found.difference_usd) == (96.0, 96.0, 0.0)
    assert not found.bridge["difference_usd"].abs().max() > 1e-9


def test_each_cause_is_told_apart():
    found = compared(
        S,
        PLAN,
        bill(
            [
                (150.0, {"quantity": 120.0}),  # a quarter more hours at 1.25 times the price
                (-7.0, {"charge": "credit", "charge_category": "credit"}),
                (11.0, {"provider": "azure"}),
                (3.0, {"charge": "database"}),
                (5.0, {"charge": "commitment_unused", "purchase_option": "committed", "tags": ""}),
            ]
        ),
    )
    causes = found.causes()
    assert causes["volume"] == pytest.approx(24.0)
    assert causes["price"] == pytest.approx(30.0)
    assert causes["one_off"] == -7.0
    assert causes["unmatched"] == 14.0
    assert causes["commitment"] == 5.0
    assert found.difference_usd == pytest.approx(sum(causes.values()))
    assert {"the plan runs nothing on this cloud", "its service has no such charge in the plan"} < set(
        found.rows["reason"]
    )
    assert found.lines["actual_usd"].sum() == pytest.approx(found.actual_usd)


def test_other_machines_are_mix_and_spot_too():
    found = compared(S, PLAN, bill([(48.0, {"quantity": 48.0}), (30.0, {"quantity": 48.0, "resource": "n"})]))
    assert found.causes()["mix"] == pytest.approx(-18.0)
    spot = compared(S, PLAN, bill([(48.0, {"quantity": 48.0}), (20.0, {"quantity": 48.0, "purchase_option": "spot"})]))
    assert spot.causes()["mix"] == pytest.approx(-28.0)
    bound = [(48.0, {"quantity": 48.0}), (30.0, {"quantity": 48.0, "purchase_option": "committed"})]
    assert compared(S, PLAN, bill(bound)).causes()["commitment"] == pytest.approx(-18.0)


@pytest.mark.parametrize(
    ("tags", "resource", "service", "by"),
    [
        ('{"service": "WEB-7f"}', "m", "web", "tag"),
        ('{"team": "shop"}', "x", "web", "owner"),
        ('{"cost_center": "CC-1"}', "x", "web", "owner"),
        ("", "m", "web", "charge"),
        ('{"app": "other"}', "m", "", ""),
    ],
)
def test_a_row_is_matched_by_tag_owner_or_charge(tags, resource, service, by):
    found = compared(S, PLAN, bill([(1.0, {"tags": tags, "resource": resource})])).rows
    assert (found["service"][0], found["matched_by"][0]) == (service, by)


def test_quantities_that_cannot_be_compared_say_so():
    found = compared(S, PLAN, bill([(100.0, {"unit": ""})]))
    assert found.causes()["volume"] == 4.0
    assert "cannot be told apart" in found.bridge["sentence"][0]


amounts = st.integers(0, 10**9).map(lambda n: n / 1000)
item = st.tuples(*[amounts] * 5, st.sampled_from("ab"), st.sampled_from(["on_demand", "spot", "committed"]))
items = st.lists(item, min_size=1, max_size=8)


@settings(max_examples=60)
@given(items)
def test_the_causes_of_any_line_add_up(rows):
    q, usd, listed, many, dear, names, options = zip(*rows, strict=True)
    line = Line(pd.Series(names), pd.Series(options), *(np.array(v) for v in (q, usd, listed, many, dear)))
    causes = line.causes()
    assert set(causes) <= set(CAUSES)
    scale = 1 + sum(map(abs, causes.values()))
    assert sum(causes.values()) == pytest.approx(sum(dear) - sum(usd), abs=1e-9 * scale)


kinds = st.fixed_dictionaries(
    {
        "charge": st.sampled_from(["compute", "egress", "database", "commitment_fee", "tax"]),
        "charge_category": st.sampled_from(["usage", "usage", "purchase", "tax", "credit"]),
        "provider": st.sampled_from(["aws", "aws", "gcp"]),
        "resource": st.sampled_from(["m", "n", ""]),
        "tags": st.sampled_from(["", '{"service": "web"}', '{"app": "x"}']),
        "unit": st.sampled_from(["hour", "hour", ""]),
        "quantity": st.sampled_from([0.0, 24.0, 1e5]),
        "ts": st.sampled_from([START, START - pd.Timedelta(days=9), START + pd.Timedelta(hours=30)]),
    }
)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.floats(-1e5, 1e5), kinds), min_size=1, max_size=10))
def test_no_dollar_of_any_bill_is_lost(rows):
    given_ = bill([(24.0, {}), *rows])
    found = compared(S, PLAN, given_)
    assert len(found.rows) == len(given_)
    assert found.actual_usd == pytest.approx(given_["effective_cost_usd"].sum(), abs=1e-6)
    assert sum(found.causes().values()) == pytest.approx(found.difference_usd, abs=1e-6)
    assert found.lines["actual_usd"].sum() == pytest.approx(found.actual_usd, abs=1e-6)


def test_periods_that_fill_the_horizon_add_up_to_the_plan():
    end = pd.Timestamp(S.end_utc)
    parts = [
        planned(PLAN, Period(START + pd.Timedelta(hours=a), START + pd.Timedelta(hours=b)), end)
        for a, b in ((0, 7), (7, 48))
    ]
    assert sum(p["effective_cost_usd"].sum() for p in parts) == pytest.approx(PLAN.total_usd)
    whole = Period(START.floor("D"), START.floor("D") + pd.Timedelta(days=3))
    assert daily(planned(PLAN, whole, end), "effective_cost_usd", whole).sum() == pytest.approx(96.0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"ts": START + pd.Timedelta(days=99), "charge_end": START + pd.Timedelta(days=100)},
            "no charge on the plan's hours",
        ),
    ],
)
def test_a_bill_that_cannot_be_compared_is_refused(more, message):
    with pytest.raises(PlannerError, match=message):
        compared(S, PLAN, bill([(1.0, more)]))


def test_a_row_without_a_date_is_named():
    undated = bill([(1.0, {}), (2.0, {})])
    undated.loc[1, "ts"] = pd.NaT
    with pytest.raises(PlannerError, match=r"no date.*row 1"):
        compared(S, PLAN, undated)
