"""Google's sustained-use discount: what a month of hours earns, on the bill, in the choice, and
never twice.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import columns
from planner.catalog import PROVIDERS, Catalog
from planner.catalog.sustained import quarters, resource_prices, sustained_cost, sustained_use_share
from planner.optimizer.bill.charges import bill
from tests.builders import hand
from tests.builders.markets import GCP, machine, on_sale, planned, reserved

FULL = {"n1": 0.70, "n2": 0.8002}
CORE, GIB = 0.03, 0.004
N2 = [
    machine("n2-standard-4", 4, place=GCP),
    machine("n2-highmem-4", 4, 32, place=GCP),
    machine("c3-standard-4", 4, place=GCP),
]
USD = {"n2-standard-4": 4 * CORE + 16 * GIB, "n2-highmem-4": 4 * CORE + 32 * GIB, "c3-standard-4": 0.17}
FAMILIES = sorted(PROVIDERS["gcp"].sustained_use)
JANUARY = {"start": "2027-01-01", "horizon_h": 744}


@settings(max_examples=200)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.sampled_from(FAMILIES), st.integers(0, 40))
def test_the_cost_of_a_curve_is_the_cost_of_its_layers(curve, family, idle):
    """Each machine of a stack runs the hours in which at least so many run; their shares of the
    month are priced one by one.
    """
    use, month_h = np.array(curve, dtype=float), float(len(curve) + idle)
    layers = sum(
        sustained_use_share(quarters("gcp", family), n / month_h) * n for n in ((use > k).sum() for k in range(9))
    )
    assert sustained_cost(quarters("gcp", family), use, np.ones(len(use)), month_h) == pytest.approx(
        layers, rel=1e-9, abs=1e-12
    )


@settings(max_examples=200)
@given(st.lists(st.integers(0, 50), min_size=4, max_size=40), st.integers(0, 30))
def test_a_base_all_month_never_raises_the_share_paid(curve, base):
    use, ones, hours = np.array(curve, dtype=float) + 1e-3, np.ones(len(curve)), float(len(curve))
    before, after = (sustained_cost(quarters("gcp", "n1"), u, ones, hours) / u.sum() for u in (use, use + base))
    assert FULL["n1"] - 1e-9 <= after <= before + 1e-9


def test_the_unit_prices_of_a_series_come_from_its_machines():
    found = resource_prices(on_sale(N2, USD), "gcp", "us-central1", "n2")
    assert found["n2-highmem-4"] == pytest.approx((4 * CORE, 32 * GIB), rel=1e-6)
    odd = resource_prices(
        on_sale([*N2, machine("n2-standard-8", 8, place=GCP)], {**USD, "n2-standard-8": 0.9}),
        "gcp",
        "us-central1",
        "n2",
    )
    # no sum of vCPUs and memory: a machine is one resource
    assert odd["n2-highmem-4"] == (USD["n2-highmem-4"], 0.0)


def test_the_shipped_prices_are_such_sums():
    catalog = Catalog.read("gcp")
    for family in ("n1", "n2", "n2d", "m1", "m2"):
        assert all(memory > 0 for _, memory in resource_prices(catalog, "gcp", "us-central1", family).values()), family


def test_a_flat_month_pays_eight_tenths_and_the_plan_knows():
    catalog = on_sale(N2, USD)
    plan, _ = planned(catalog, np.full(744, 900.0), **JANUARY)
    assert set(plan.schedule["instance_type"]) == {
        "n2-standard-4"
    }  # 0.184 at list, 0.147 after the discount: c3 costs 0.17
    compute = plan.cost[plan.cost["charge"] == "compute"]
    count = plan.schedule["instances"].iloc[0]
    assert compute["list_cost_usd"].sum() == pytest.approx(744 * count * USD["n2-standard-4"], rel=1e-9)
    assert compute["effective_cost_usd"].sum() == pytest.approx(
        744 * count * USD["n2-standard-4"] * FULL["n2"], rel=1e-9
    )
    assert plan.objective_usd == pytest.approx(plan.cost["effective_cost_usd"].sum(), rel=1e-12)
    assert plan.paths_usd[0] == pytest.approx(plan.objective_usd, rel=1e-6)
    assert plan.certificate.checks["bill"] < 1e-9
    assert plan.certificate.checks["bound"] <= 1e-9
    assert any("sustained" in note for note in plan.notes)


def test_the_bound_knows_a_discount_deeper_than_the_load_alone_would_earn():
    """Machines kept for a minimum run all month and earn it, though the load is there for a day
    only.
    """
    load = np.concatenate([np.full(24, 900.0), np.full(720, 1.0)])
    catalog = on_sale(N2[:1], {"n2-standard-4": USD["n2-standard-4"]})
    plan, _ = planned(catalog, load, **{"services.web.autoscaling.min_replicas": 3}, **JANUARY)
    assert set(plan.schedule["instance_type"]) == {"n2-standard-4"}
    assert plan.certificate.checks["bound"] <= 1e-9
    assert 0 < plan.certificate.lower_bound_usd <= plan.objective_usd


def test_two_days_of_a_month_earn_nothing():
    plan, _ = planned(on_sale(N2, USD), np.full(48, 900.0))
    assert set(plan.schedule["instance_type"]) == {"c3-standard-4"}
    only, _ = planned(on_sale(N2, USD), np.full(48, 900.0), **{"limits.instance_types": ["n2-standard-4"]})
    assert only.objective_usd == pytest.approx(only.cost["list_cost_usd"].sum(), rel=1e-12)


def billed(count, *, covered=None, service="web", instance_type="n2-standard-4", more=()):
    s = hand.scenario(
        **JANUARY,
        providers=["gcp"],
        regions=["us-central1"],
        **{"services.api": {"traffic": "a.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}},
    )
    parts = [(count, service, instance_type), *more]
    schedule = pd.concat(
        [hand.schedule(s, n, service=name, instance_type=t) for n, name, t in parts], ignore_index=True
    ).assign(**GCP)
    cover, signed = columns.empty("plan.coverage"), columns.empty("plan.commitments")
    cud = reserved(instance_type, 0.1, place=GCP)
    if covered is not None:
        cover = hand.coverage(s, covered, cud["commitment"], service=service, instance_type=instance_type).assign(**GCP)
        start = pd.Timestamp(s.start_utc)
        signed = hand.frame(
            "plan.commitments",
            [
                {
                    **cud,
                    "quantity": 1.0,
                    "unit": "instance",
                    "start": start,
                    "upfront_usd": 0.0,
                    "end": start + pd.DateOffset(months=12),
                    "hourly_usd": 0.1,
                }
            ],
        )
    load = hand.load(s, {"web": np.ones(744), "api": np.ones(744)})
    capacity = hand.capacity(("web", "api"))
    cost, _ = bill(
        s,
        load,
        capacity,
        on_sale(N2, USD, [cud]),
        schedule.astype({"provider": "str", "region": "str"}),
        cover.astype({"provider": "str", "region": "str"}),
        signed,
    )
    return cost[(cost["charge"] == "compute") & (cost["purchase_option"] == "on_demand")]


def test_what_a_commitment_pays_for_earns_no_discount():
    """Two machines, one committed all month: the other earns its own full month; one committed
    machine alone leaves nothing.
    """
    row = billed(2, covered=1)
    assert row["quantity"].sum() == pytest.approx(744)
    assert row["effective_cost_usd"].sum() == pytest.approx(744 * USD["n2-standard-4"] * FULL["n2"], rel=1e-9)
    # a quarter of the month: the committed machine carries the base
    peak = np.where(np.arange(744) < 186, 2, 1)
    assert billed(peak, covered=1)["effective_cost_usd"].sum() == pytest.approx(186 * USD["n2-standard-4"], rel=1e-9)


def test_services_by_turns_share_one_month_resource_by_resource():
    """A standard machine by day and a highmem machine by night keep four vCPUs and 16 GiB busy all
    month, and 16 GiB half of it.
    """
    day = np.tile(np.repeat([1, 0], 12), 31)
    rows = billed(day, more=[(1 - day, "api", "n2-highmem-4")])
    half = sustained_use_share(quarters("gcp", "n2"), 0.5)
    whole = 744 * (4 * CORE + 16 * GIB) * FULL["n2"] + 372 * 16 * GIB * half
    assert rows["effective_cost_usd"].sum() == pytest.approx(whole, rel=1e-9)
    assert (rows["effective_cost_usd"] < rows["list_cost_usd"]).all()


def test_a_commitment_must_beat_the_discounted_price():
    """n2 at 0.8002 of its price all month: a commitment at 0.82 of it is no saving, one at 0.63 is."""
    usd = {"n2-standard-4": USD["n2-standard-4"]}
    for share, signs in ((0.82, False), (0.63, True)):
        cud = reserved("n2-standard-4", share * usd["n2-standard-4"], place=GCP)
        plan, _ = planned(on_sale(N2[:1], usd, [cud]), np.full(744, 900.0), **JANUARY)
        assert (len(plan.commitments) > 0) is signs
        assert plan.certificate.checks["bill"] < 1e-9
        assert plan.objective_usd == pytest.approx(plan.cost["list_cost_usd"].sum() * min(share, FULL["n2"]), rel=1e-9)


@pytest.mark.parametrize(("seed", "share"), [(0, 0.63), (1, 0.72), (5, 0.78)])
def test_law_17_a_commitment_beside_the_discount_costs_no_more(seed, share):
    rng = np.random.default_rng(seed)
    swing = 1 + 0.9 * rng.uniform() * np.sin(np.arange(744) * 2 * np.pi / 24)
    rates, usd = rng.uniform(100, 600) * swing * rng.lognormal(0, 0.2, 744), {"n2-standard-4": USD["n2-standard-4"]}
    catalog = on_sale(N2[:1], usd, [reserved("n2-standard-4", share * usd["n2-standard-4"], place=GCP)])
    offered, _ = planned(catalog, rates, **JANUARY)
    plain, _ = planned(catalog, rates, **JANUARY, **{"limits.max_term_months": 0})
    assert len(offered.commitments) == 1
    assert offered.objective_usd < plain.objective_usd
    assert offered.paths_usd[0] == pytest.approx(offered.objective_usd, rel=1e-9)
    assert offered.certificate.checks["bound"] <= 1e-9
