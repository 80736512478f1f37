"""The bill: amounts worked out on paper, and the laws of money (numbers as in the list of laws)."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import columns
from planner.errors import CatalogError, SolverError
from planner.optimizer.bill.charges import bill
from tests.builders import hand

RI = {
    "commitment": "ri",
    "category": "Usage",
    "plan_kind": "RI",
    "scope_kind": "instance_type",
    "scope": "m",
    "term_months": 12,
    "payment": "all",
    "rate_usd_per_h": 0.6,
    "upfront_share": 1.0,
}
SP = {
    "commitment": "sp",
    "category": "Spend",
    "plan_kind": "SP",
    "scope_kind": "account",
    "scope": "",
    "term_months": 12,
    "payment": "none",
    "discount_share": 0.25,
    "upfront_share": 0.0,
}


def signed(s, terms, quantity, *, hours=8760.0, unit="instance", start=None, rate=0.6):
    start = pd.Timestamp(start or s.start_utc)
    whole = quantity * rate
    upfront = whole * hours * terms["upfront_share"]
    return hand.frame(
        "plan.commitments",
        [
            {
                **hand.PLACE,
                **terms,
                "quantity": float(quantity),
                "unit": unit,
                "start": start,
                "end": start + pd.Timedelta(hours=hours),
                "upfront_usd": upfront,
                "hourly_usd": whole * (1 - terms["upfront_share"]),
            }
        ],
    )


def billed(s, schedule, *, coverage=None, commitments=None, catalog=None, needs=(), services=("web",), rates=None):
    load = hand.load(s, rates or {n: np.full(s.horizon_h, 10.0) for n in services})
    return bill(
        s,
        load,
        hand.capacity(services, needs=needs),
        catalog or hand.catalog(),
        schedule,
        columns.empty("plan.coverage") if coverage is None else coverage,
        columns.empty("plan.commitments") if commitments is None else commitments,
    )


def test_on_demand_and_spot_hours():
    s = hand.scenario()
    cost, prices = billed(s, pd.concat([hand.schedule(s, 3), hand.schedule(s, 2, option="spot")], ignore_index=True))
    by = cost.groupby("purchase_option")[["list_cost_usd", "effective_cost_usd", "billed_cost_usd", "quantity"]].sum()
    assert by.loc["on_demand"].tolist() == pytest.approx([144, 144, 144, 144])
    # list is the on-demand price
    assert by.loc["spot"].tolist() == pytest.approx([96, 38.4, 38.4, 96])
    assert set(cost["owner"]) == {"shop"}
    assert set(cost["cost_center"]) == {"CC-1"}
    assert dict(zip(prices["purchase_option"], prices["list_unit_price_usd"], strict=True)) == {
        "on_demand": 1.0,
        "spot": 0.4,
    }


def test_negotiated_discounts_multiply():
    s = hand.scenario(
        price_adjustments=[
            {"discount_share": 0.1},
            {"discount_share": 0.2, "family": "f"},
            {"discount_share": 0.5, "provider": "gcp"},
        ]
    )
    cost, _ = billed(s, hand.schedule(s, 1))
    assert cost["list_cost_usd"].sum() == pytest.approx(48)
    assert cost["effective_cost_usd"].sum() == pytest.approx(48 * 0.9 * 0.8)


def test_a_reservation_is_amortized_and_billed_at_signing():
    s = hand.scenario()
    contracts = signed(s, RI, 4)
    n = np.r_[np.full(24, 5), np.full(24, 2)]
    cost, _ = billed(
        s,
        hand.schedule(s, n),
        coverage=hand.coverage(s, np.minimum(n, 4), "ri"),
        commitments=contracts,
        catalog=hand.catalog(commitments=[RI]),
    )
    by = cost.groupby("charge")[["list_cost_usd", "effective_cost_usd", "billed_cost_usd"]].sum()
    assert by.loc["commitment_purchase"].tolist() == pytest.approx([0, 0, 4 * 0.6 * 8760])
    assert by.loc["commitment_unused"].tolist() == pytest.approx([0, 24 * 2 * 0.6, 0])
    committed = cost[(cost["charge"] == "compute") & (cost["purchase_option"] == "committed")]
    assert committed["effective_cost_usd"].sum() == pytest.approx((24 * 4 + 24 * 2) * 0.6)
    assert committed["billed_cost_usd"].sum() == 0
    # the horizon carries the amortized share of its hours, no more
    assert cost.loc[cost["commitment"] == "ri", "effective_cost_usd"].sum() == pytest.approx(4 * 0.6 * 48)
    assert cost.loc[cost["purchase_option"] == "on_demand", "quantity"].sum() == pytest.approx(24)


def test_a_spend_commitment_pays_discounted_hours():
    s = hand.scenario()
    cost, _ = billed(
        s,
        hand.schedule(s, 3),
        coverage=hand.coverage(s, 2, "sp"),
        commitments=signed(s, SP, 1.5, unit="USD/h", rate=1.0),
        catalog=hand.catalog(commitments=[SP]),
    )
    committed = cost[cost["purchase_option"] == "committed"]
    assert committed.loc[committed["charge"] == "compute", "effective_cost_usd"].sum() == pytest.approx(2 * 0.75 * 48)
    assert committed["billed_cost_usd"].sum() == pytest.approx(1.5 * 48)
    fees = cost[cost["charge"] == "commitment_fee"]
    assert fees["quantity"].tolist() == [24.0, 24.0]  # January and February


def test_a_prepayment_before_the_horizon_is_behind_us():
    s = hand.scenario()
    cost, _ = billed(
        s,
        hand.schedule(s, 4),
        coverage=hand.coverage(s, 4, "ri"),
        catalog=hand.catalog(commitments=[RI]),
        commitments=signed(s, RI, 4, start="2026-06-01T00:00Z"),
    )
    assert cost["billed_cost_usd"].sum() == 0
    assert cost["effective_cost_usd"].sum() == pytest.approx(4 * 0.6 * 48)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 6), min_size=72, max_size=72),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.floats(0.2, 0.95),
)
def test_law_57_over_a_full_term_effective_is_billed(counts, quantity, upfront, rate):
    s = hand.scenario(horizon_h=72)
    terms = {**RI, "upfront_share": upfront, "rate_usd_per_h": rate}
    n = np.asarray(counts) + 1
    cost, _ = billed(
        s,
        hand.schedule(s, n),
        coverage=hand.coverage(s, np.minimum(n, quantity), "ri"),
        catalog=hand.catalog(commitments=[terms]),
        commitments=signed(s, terms, quantity, hours=72.0, rate=rate),
    )
    of = cost[cost["commitment"] == "ri"]
    usage = of["charge"].isin(["compute", "commitment_unused"])
    assert of.loc[usage, "effective_cost_usd"].sum() == pytest.approx(
        of.loc[~usage, "billed_cost_usd"].sum(), rel=1e-12
    )
    assert of.loc[~usage, "effective_cost_usd"].sum() == 0
    assert of.loc[usage, "billed_cost_usd"].sum() == 0


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("UTC", [744, 672, 744]), ("Europe/Berlin", [744, 672, 743]), ("America/New_York", [744, 672, 743])],
)
def test_law_58_months_are_calendar_true(zone, hours):
    s = hand.scenario(start="2027-01-01", horizon_h=sum(hours), time_zone=zone)
    need = {
        "service": "web",
        "charge": "block_storage",
        "resource": "disk",
        "driver": "instance_hour",
        "needs_quantity": 100.0,
        "unit": "GiB",
    }
    disk = {
        "storage_class": "disk",
        "tier_lower": 0.0,
        "tier_upper": np.inf,
        "price_usd": 0.08,
        "price_unit": "GiB-month",
        "tier_scope": "account",
    }
    cost, _ = billed(s, hand.schedule(s, 2), needs=[need], catalog=hand.catalog(storage=[disk]))
    stored = cost[cost["charge"] == "block_storage"]
    assert stored["effective_cost_usd"].tolist() == pytest.approx(
        [2 * 100 * 0.08] * 3
    )  # a whole month each, whatever its length
    wall = cost.loc[cost["charge"] == "compute", "ts"].dt.tz_convert(zone)
    assert cost[cost["charge"] == "compute"].groupby(wall.dt.strftime("%Y-%m"))["quantity"].sum().tolist() == [
        2.0 * h for h in hours
    ]


def test_tiers_are_filled_once_over_all_services_and_shared_by_use():
    s = hand.scenario(
        **{"services.api": {"traffic": "a.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}}
    )
    needs = [
        {
            "service": n,
            "charge": "egress",
            "resource": "egress",
            "driver": "request",
            "needs_quantity": 0.001,
            "unit": "GiB",
        }
        for n in ("web", "api")
    ]
    tier = {"kind": "egress", "price_unit": "GiB", "tier_scope": "account"}
    net = [
        {**tier, "tier_lower": 0.0, "tier_upper": 100.0, "price_usd": 0.0},
        {**tier, "tier_lower": 100.0, "tier_upper": 1000.0, "price_usd": 0.09},
        {**tier, "tier_lower": 1000.0, "tier_upper": np.inf, "price_usd": 0.05},
    ]
    both = pd.concat([hand.schedule(s, 1), hand.schedule(s, 1, service="api")], ignore_index=True)
    cost, prices = billed(
        s,
        both,
        needs=needs,
        catalog=hand.catalog(network=net),
        services=("web", "api"),
        rates={"web": np.full(48, 30.0), "api": np.full(48, 10.0)},
    )
    egress = cost[cost["charge"] == "egress"]
    # 40 requests/s × 86400 s × 0.001 GiB = 3456 GiB in each of the two months (one day in each)
    each = 900 * 0.09 + (3456 - 1000) * 0.05
    assert egress.groupby("service")["effective_cost_usd"].sum().to_dict() == pytest.approx(
        {"web": 2 * each * 0.75, "api": 2 * each * 0.25}
    )
    assert sorted(prices.loc[prices["resource"] == "egress", "list_unit_price_usd"]) == [0.0, 0.05, 0.09]
    # nobody answers for it, and it says so
    assert set(egress.loc[egress["service"] == "api", "owner"]) == {""}


def test_a_missing_price_is_named():
    s = hand.scenario()
    need = {
        "service": "web",
        "charge": "egress",
        "resource": "egress",
        "driver": "request",
        "needs_quantity": 0.001,
        "unit": "GiB",
    }
    with pytest.raises(CatalogError, match="no spot price for m"):
        billed(s, hand.schedule(s, 1, option="spot"), catalog=hand.catalog(rates={("m", "on_demand"): 1.0}))
    with pytest.raises(CatalogError, match="no price of egress"):
        billed(s, hand.schedule(s, 1), needs=[need])


def test_coverage_of_what_does_not_run_is_refused():
    s = hand.scenario()
    with pytest.raises(SolverError, match="cover more"):
        billed(
            s,
            hand.schedule(s, 1),
            coverage=hand.coverage(s, 2, "ri"),
            commitments=signed(s, RI, 4),
            catalog=hand.catalog(commitments=[RI]),
        )
    with pytest.raises(SolverError, match="more than the commitment"):
        billed(
            s,
            hand.schedule(s, 5),
            coverage=hand.coverage(s, 5, "ri"),
            commitments=signed(s, RI, 4),
            catalog=hand.catalog(commitments=[RI]),
        )
