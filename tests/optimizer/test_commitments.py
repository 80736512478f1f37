"""What a commitment pays for: sizes of a family, resources of a series, and the bill that follows."""

import numpy as np
import pandas as pd
import pytest

from planner.capacity import size
from planner.catalog.providers import flexible_size
from planner.errors import SolverError
from planner.optimizer.bill.charges import bill
from planner.optimizer.market.settle import Instrument, settle
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Pool, Problem, Type, Workload
from planner.optimizer.program.solve import solve
from tests.builders import hand
from tests.builders.markets import AWS, GCP, machine, on_sale, planned, reserved


def spending(
    name, discount, *, kind="Compute Savings Plan", scope_kind="account", scope="all", region="global", provider="aws"
):
    return {
        **hand.HAND,
        "provider": provider,
        "region": region,
        "commitment": name,
        "category": "Spend",
        "plan_kind": kind,
        "scope_kind": scope_kind,
        "scope": scope,
        "term_months": 12,
        "payment": "none",
        "rate_usd_per_h": np.nan,
        "discount_share": discount,
        "upfront_share": 0.0,
    }


M5 = [machine("m5.large", 2), machine("m5.xlarge", 4), machine("m5.2xlarge", 8)]
M5_USD = {"m5.large": 0.1, "m5.xlarge": 0.2, "m5.2xlarge": 0.4}


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (machine("m5.large", 2), ("m5 family", 4.0)),
        (machine("t3.nano", 2, 0.5), ("t3 family", 0.25)),
        (machine("c5.9xlarge", 36), ("c5 family", 72.0)),
        (machine("c5.24xlarge", 96), ("c5 family", 192.0)),
        (machine("m5.metal", 96), ("m5.metal", 1.0)),
        (machine("g4dn.xlarge", 4, accelerators=1.0), ("g4dn.xlarge", 1.0)),
        (machine("hpc7a.12xlarge", 24), ("hpc7a.12xlarge", 1.0)),
        (machine("u-6tb1.56xlarge", 224), ("u-6tb1.56xlarge", 1.0)),
        (machine("Standard_D4ds_v5", 4, place={"provider": "azure", "region": "eastus"}), ("Dds_v5 series", 4.0)),
        (machine("Standard_B2ms", 2, place={"provider": "azure", "region": "eastus"}), ("Standard_B2ms", 1.0)),
        (machine("Standard_D3_v2", 4, place={"provider": "azure", "region": "eastus"}), ("Standard_D3_v2", 1.0)),
        (
            machine("Standard_E96-24ads_v5", 24, place={"provider": "azure", "region": "eastus"}),
            ("Standard_E96-24ads_v5", 1.0),
        ),
        (machine("n4a-standard-8", 8, place=GCP), ("n4a-standard of 4 GiB a vCPU", 8.0)),
        (machine("n4a-highmem-8", 8, 64, place=GCP), ("n4a-highmem of 8 GiB a vCPU", 8.0)),
        (
            machine("a2-highgpu-2g", 24, 170, place=GCP, accelerator="A100", accelerators=2.0),
            ("a2-highgpu of 7.083 GiB, 0.08333 A100 a vCPU", 24.0),
        ),
        (machine("x1", 8, place={"provider": "gpu_cloud", "region": "global"}), ("x1", 1.0)),
    ],
)
def test_what_shares_a_reservation(row, wanted):
    assert flexible_size(hand.frame("catalog.instances", [row]).iloc[0].to_dict()) == wanted


def test_a_reservation_of_one_size_pays_for_another():
    """Reservations are sold for m5.large only; the plan runs m5.2xlarge, each of which takes four
    of them.
    """
    catalog = on_sale(M5, M5_USD, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, np.full(48, 5000.0), **{"limits.instance_types": ["m5.2xlarge"]})
    count = plan.schedule["instances"].iloc[0]
    row = plan.commitments.iloc[0]
    assert (row["scope"], row["quantity"], row["unit"]) == ("m5.large", 4 * count, "instance")
    assert plan.objective_usd == pytest.approx(4 * count * 0.06 * 48, rel=1e-9)
    assert plan.cost.loc[plan.cost["purchase_option"] == "committed", "list_cost_usd"].sum() == pytest.approx(
        count * 0.4 * 48, rel=1e-9
    )
    assert plan.prices.loc[
        plan.prices["purchase_option"] == "committed", "list_unit_price_usd"
    ].tolist() == pytest.approx([0.24])
    assert row["break_even_utilization"] == pytest.approx(0.6)


@pytest.mark.parametrize(("xlarge_usd", "signed"), [(0.119995, "m5.large"), (0.1199, "m5.xlarge")])
def test_the_smallest_size_is_signed_where_all_cost_the_same_and_else_the_cheapest(xlarge_usd, signed):
    catalog = on_sale(
        M5, M5_USD, [reserved("m5.2xlarge", 0.24), reserved("m5.large", 0.06), reserved("m5.xlarge", xlarge_usd)]
    )
    plan, _ = planned(catalog, np.full(48, 900.0))
    assert set(plan.commitments["scope"]) == {signed}


def test_a_held_reservation_of_a_large_size_pays_for_small_machines():
    catalog = on_sale(M5, M5_USD, [reserved("m5.2xlarge", 0.24)])
    held = [{"commitment": "m5.2xlarge/12/none", "quantity": 1, "end": "2028-01-01"}]
    plan, _ = planned(
        catalog,
        np.full(48, 900.0),
        existing=held,
        **{"limits.instance_types": ["m5.large"], "limits.max_term_months": 0},
    )
    count = plan.schedule["instances"].iloc[0]
    assert count > 4
    assert plan.coverage.groupby("ts")["instances"].sum().tolist() == pytest.approx([4.0] * 48)
    assert plan.objective_usd == pytest.approx(48 * (0.24 + (count - 4) * 0.1), rel=1e-9)
    assert plan.commitments["quantity"].tolist() == [1.0]


def test_a_size_whose_price_breaks_the_rule_keeps_to_its_own_type():
    """m5.xlarge at twice the price of its size would be covered at half its worth: the rule or the
    price is wrong.
    """
    catalog = on_sale(M5, {**M5_USD, "m5.xlarge": 0.4}, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, np.full(48, 900.0), **{"limits.instance_types": ["m5.xlarge"]})
    assert plan.commitments.empty


def test_a_resource_commitment_covers_every_size_of_its_series():
    shapes = [machine(f"n4a-standard-{n}", n, place=GCP) for n in (1, 4, 16)] + [
        machine("n4a-highmem-4", 4, 32, place=GCP)
    ]
    usd = {"n4a-standard-1": 0.04, "n4a-standard-4": 0.16, "n4a-standard-16": 0.64, "n4a-highmem-4": 0.2}
    cuds = [
        reserved(m["instance_type"], 0.55 * usd[m["instance_type"]], place=GCP, kind="resource CUD") for m in shapes
    ]
    plan, _ = planned(on_sale(shapes, usd, cuds), np.full(48, 5000.0), **{"limits.instance_types": ["n4a-standard-16"]})
    vcpus = 16 * plan.schedule["instances"].iloc[0]
    assert plan.commitments[["scope", "quantity"]].to_numpy().tolist() == [["n4a-standard-1", vcpus]]
    assert plan.objective_usd == pytest.approx(vcpus * 0.04 * 0.55 * 48, rel=1e-9)
    highmem, _ = planned(
        on_sale(shapes, usd, cuds[:3]), np.full(48, 5000.0), **{"limits.instance_types": ["n4a-highmem-4"]}
    )
    assert highmem.commitments.empty  # of another shape: held apart here


def test_two_services_on_two_sizes_share_one_reservation():
    """One works by day on m5.xlarge, one by night on m5.large: together they keep the same eight
    units busy.
    """
    s = hand.scenario(
        **{"services.api": {"traffic": "a.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}}
    )
    day = np.tile(np.repeat([1, 0], 12), 2)
    catalog = on_sale(M5, M5_USD, [reserved("m5.large", 0.06)])
    schedule = pd.concat(
        [
            hand.schedule(s, day, instance_type="m5.xlarge"),
            hand.schedule(s, 2 - 2 * day, service="api", instance_type="m5.large"),
        ],
        ignore_index=True,
    )
    cover = pd.concat(
        [
            hand.coverage(s, day, "m5.large/12/none", instance_type="m5.xlarge"),
            hand.coverage(s, 2 - 2 * day, "m5.large/12/none", service="api", instance_type="m5.large"),
        ],
        ignore_index=True,
    )
    start = pd.Timestamp(s.start_utc)
    row = {
        **AWS,
        "commitment": "m5.large/12/none",
        "category": "Usage",
        "plan_kind": "Standard RI",
        "scope": "m5.large",
        "term_months": 12,
        "payment": "none",
        "quantity": 2.0,
        "unit": "instance",
        "start": start,
        "end": start + pd.DateOffset(months=12),
        "upfront_usd": 0.0,
        "hourly_usd": 2 * 0.06,
    }
    load = hand.load(s, {"web": np.ones(48), "api": np.ones(48)})
    cost, _ = bill(
        s, load, hand.capacity(("web", "api")), catalog, schedule, cover, hand.frame("plan.commitments", [row])
    )
    used = cost[cost["charge"] == "compute"].groupby("service")["effective_cost_usd"].sum()
    assert used.to_dict() == pytest.approx({"web": 24 * 0.12, "api": 24 * 0.12})
    assert not (cost["charge"] == "commitment_unused").any()
    wrong = row | {"scope": "c5.large"}
    with pytest.raises(SolverError, match="cannot pay for"):
        bill(
            s,
            load,
            hand.capacity(("web", "api")),
            on_sale([*M5, machine("c5.large", 2)], M5_USD, [reserved("m5.large", 0.06)]),
            schedule,
            cover,
            hand.frame("plan.commitments", [wrong]),
        )


FAMILY_PLAN = spending(
    "family-plan", 0.4, kind="EC2 Instance Savings Plan", scope_kind="family", scope="m5", region="us-east-1"
)
ANY_PLAN = spending("any-plan", 0.2)
LARGE = {"limits.instance_types": ["m5.large"], "limits.max_term_months": 0}


def test_the_narrow_plan_is_used_up_before_the_wide_one():
    """Two held plans of two machines each: by night two machines run, and it is the wide plan that
    is paid for nothing.
    """
    disk = {
        **hand.HAND,
        **AWS,
        "storage_class": "block/gp3",
        "tier_lower": 0.0,
        "tier_upper": np.inf,
        "price_usd": 0.08,
        "price_unit": "GiB-month",
        "tier_scope": "volume",
    }  # so that no machine runs for nothing
    catalog = on_sale(M5, M5_USD, [FAMILY_PLAN, ANY_PLAN], storage=[disk])
    s = planned(catalog, np.full(48, 900.0), **LARGE, **{"services.web.storage.block_gib": 1.0})[1]
    sized = size(s, catalog, hand.load(s, {"web": np.full(48, 900.0)})).frame
    day = np.tile(np.repeat([1.9, 5.9], 12), 2) * float(
        sized.loc[sized["instance_type"] == "m5.large", "usable_rps"].iloc[0]
    )
    held = [
        {"commitment": "any-plan", "quantity": 0.16, "end": "2028-01-01"},
        {"commitment": "family-plan", "quantity": 0.12, "end": "2028-01-01"},
    ]
    plan, _ = planned(catalog, day, existing=held, **LARGE, **{"services.web.storage.block_gib": 1.0})
    count = plan.schedule.groupby("ts")["instances"].sum().to_numpy()
    most = count.max()
    assert most >= 5
    assert count.tolist() == np.tile(np.repeat([2.0, most], 12), 2).tolist()
    covered = plan.coverage.pivot_table(index="ts", columns="commitment", values="instances", aggfunc="sum").fillna(0.0)
    assert covered["family-plan (held)"].tolist() == pytest.approx([2.0] * 48)
    assert covered["any-plan (held)"].to_numpy() == pytest.approx(np.where(count > 2, 2.0, 0.0))
    compute = plan.cost[plan.cost["charge"].isin(["compute", "commitment_unused"])]
    assert compute["effective_cost_usd"].sum() == pytest.approx(48 * (0.12 + 0.16) + 24 * (most - 4) * 0.1, rel=1e-9)
    idle = compute[compute["charge"] == "commitment_unused"].groupby("commitment")["effective_cost_usd"].sum()
    assert idle.to_dict() == pytest.approx({"any-plan (held)": 24 * 0.16})
    assert plan.certificate.checks["bill"] < 1e-9


def test_the_bill_may_cost_more_than_the_cheapest_conceivable_use():
    """The narrow plan saves most on a (0.6 of it), so the bill spends it there, though the wide one
    could pay for a and not for b.
    """
    usage, price = {"a": np.ones(1), "b": np.ones(1)}, {"a": 1.0, "b": 1.0}
    narrow, wide = (
        Instrument("narrow", 0.5, {"a": 0.4, "b": 0.5}, 1),
        Instrument("wide", 0.45, {"a": 0.45, "b": 0.9}, 2),
    )
    _, left = settle(usage, price, [narrow, wide])
    billed = sum(float(n[0]) * price[k] for k, n in left.items())
    load = np.ones((1, 1))
    work = tuple(Workload(k, load, {k: 1.0}) for k in usage)
    pools = tuple(Pool(i.name, i.units, existing=i.amount) for i in (narrow, wide))
    found = solve(build(Problem(work, tuple(Type(k, p) for k, p in price.items()), np.ones(1), pools)).lp)
    assert found.objective == pytest.approx(0.0, abs=1e-9)
    assert billed == pytest.approx(1.0 - 0.1 / 0.5 - 0.45 / 0.9, rel=1e-9)


HELD = {
    "a reservation of another size": (M5, M5_USD, reserved("m5.2xlarge", 0.24), 1, "m5.large", 4, 0.24),
    "an instance plan": (M5, M5_USD, FAMILY_PLAN, 0.12, "m5.large", 2, 0.12),
    "a compute plan": (M5, M5_USD, ANY_PLAN, 0.16, "m5.large", 2, 0.16),
    "a resource commitment": (
        [machine(f"n4a-standard-{n}", n, place=GCP) for n in (2, 4)],
        {"n4a-standard-2": 0.08, "n4a-standard-4": 0.16},
        reserved("n4a-standard-4", 0.09, place=GCP, kind="resource CUD"),
        2,
        "n4a-standard-2",
        4,
        0.18,
    ),
    "a flexible commitment": (
        [machine("n4a-standard-2", 2, place=GCP)],
        {"n4a-standard-2": 0.08},
        spending("flex", 0.25, kind="Flexible CUD", scope_kind="family_group", scope="n2 n4a", provider="gcp"),
        0.18,
        "n4a-standard-2",
        3,
        0.18,
    ),
}


@pytest.mark.parametrize("kind", HELD)
def test_what_is_held_is_used_first_whatever_its_kind(kind):
    machines, usd, row, quantity, runs, covers, paid = HELD[kind]
    held = [{"commitment": row["commitment"], "quantity": quantity, "end": "2028-01-01"}]
    limits = {"limits.instance_types": [runs], "limits.max_term_months": 0}
    plan, _ = planned(on_sale(machines, usd, [row]), np.full(48, 900.0), existing=held, **limits)
    count = plan.schedule["instances"].iloc[0]
    assert plan.coverage.groupby("ts")["instances"].sum().tolist() == pytest.approx([float(covers)] * 48)
    assert plan.objective_usd == pytest.approx(48 * (paid + (count - covers) * usd[runs]), rel=1e-9)
    assert plan.commitments[["quantity", "commitment_utilization"]].to_numpy().tolist() == [
        [quantity, pytest.approx(1.0)]
    ]
    assert plan.certificate.checks["bill"] < 1e-9
    assert plan.certificate.checks["bound"] <= 1e-9


def test_a_machine_that_is_reserved_is_never_too_old():
    """Without its reservation the previous generation stays out; with it, it runs as far as it is paid."""
    machines = [machine("m4.large", 2, current_generation=False), machine("m5.large", 2)]
    catalog = on_sale(machines, {"m4.large": 0.1, "m5.large": 0.1}, [reserved("m4.large", 0.06)])
    held = [{"commitment": "m4.large/12/none", "quantity": 2, "end": "2028-01-01"}]
    limits = {"limits.max_term_months": 0}
    without, _ = planned(catalog, np.full(48, 900.0), **limits)
    assert set(without.schedule["instance_type"]) == {"m5.large"}
    plan, _ = planned(catalog, np.full(48, 900.0), existing=held, **limits)
    assert plan.commitments["commitment_utilization"].tolist() == [pytest.approx(1.0)]
    count = without.schedule["instances"].iloc[0]
    assert plan.objective_usd == pytest.approx(48 * (2 * 0.06 + (count - 2) * 0.1), rel=1e-9)


def paths_of(seed, paths=5):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1500, 48) * rng.lognormal(0, 0.4, (paths, 1))


@pytest.mark.parametrize("seed", range(2))
def test_law_18_a_deeper_discount_costs_no_more(seed):
    rates = paths_of(seed)
    cost = [
        np.mean(planned(on_sale(M5, M5_USD, [reserved("m5.large", usd)]), rates)[0].paths_usd)
        for usd in (0.075, 0.06, 0.04)
    ]
    assert cost[0] >= cost[1] * (1 - 1e-9) >= cost[2] * (1 - 2e-9)


@pytest.mark.parametrize("usd", [0.03, 0.08, 0.099, 0.1, 0.101, 0.14])
def test_law_19_a_constant_load_is_committed_if_and_only_if_that_is_cheaper(usd):
    plan, _ = planned(
        on_sale(M5, M5_USD, [reserved("m5.large", usd)]), np.full(48, 900.0), **{"limits.instance_types": ["m5.large"]}
    )
    count = plan.schedule["instances"].iloc[0]
    assert plan.commitments["quantity"].sum() == (count if usd < 0.1 else 0)
    assert plan.objective_usd == pytest.approx(48 * count * min(usd, 0.1), rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_law_20_the_depth_of_a_commitment_is_a_quantile_of_the_machines(seed):
    """One machine, one commitment: the last contract is used in more than committed/on-demand of
    the hours, the next in no more.
    """
    rates, usd = paths_of(seed, paths=1), [0.03, 0.045, 0.062][seed % 3]
    plan, _ = planned(on_sale(M5[:1], {"m5.large": 0.1}, [reserved("m5.large", usd)]), rates)
    count = plan.schedule.groupby("ts")["instances"].sum().to_numpy()
    depth = max(k for k in range(int(count.max()) + 1) if k == 0 or (count >= k).mean() > usd / 0.1)
    assert plan.commitments["quantity"].sum() == depth
