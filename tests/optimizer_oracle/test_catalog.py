"""Laws of whole plans on the real catalog: under a constant load no fleet of one or two types, fully
committed and listed here by arithmetic, is cheaper than the plan; what is held never makes it dearer.
"""

import os
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from planner import optimize
from planner.capacity import size
from planner.catalog import Catalog
from planner.scenario import Scenario
from tests.builders import hand

FAMILIES = ("c7g", "m7g", "c8g", "m8g", "c7i", "m7i", "c7a", "m7a", "r8g")
SIZES = ("large", "xlarge", "2xlarge", "4xlarge")
KINDS = 7  # machine types on offer in a case
STEP = 0.001  # USD/h: the least part of a spending plan
HOURS = 8760
CASES = int(os.environ.get("LAW_CASES", "16"))  # 200 for the long run


@cache
def real() -> Catalog:
    return Catalog.read("aws", regions=("us-east-1",))


def some(kinds) -> Catalog:
    """The real catalog with only some machines on sale."""
    c = real()
    shapes, rates = (t[t["instance_type"].isin(kinds)].reset_index(drop=True) for t in (c.instances, c.rates))
    return Catalog(shapes, rates, c.commitments, c.storage, c.network)


def case(seed: int, **more):
    """A service of one constant load that one to a hundred machines bear: scenario, load, capacity, catalog."""
    dice = np.random.default_rng([seed, 20])
    offered = [f"{f}.{s}" for f in FAMILIES for s in SIZES]
    sold = set(real().rates.loc[real().rates["purchase_option"] == "on_demand", "instance_type"])
    kinds = sorted(dice.choice([k for k in offered if k in sold], KINDS, replace=False).tolist())
    service_s = float(dice.choice([0.005, 0.02, 0.08, 0.3]))
    target_s = round(service_s * float(dice.uniform(6.0, 25.0)), 4)
    scenario = hand.scenario(
        **{
            "start": "2027-01-04",
            "horizon_h": HOURS,
            "services.web.latency": {"model": "queue", "service_time_s": service_s},
            "services.web.objective": {"latency_p99_s": target_s},
            "services.web.network": {"nat_gib_per_request": 0, "load_balancer": False, "public_ipv4": 0},
        },
        **more,
    )
    catalog = some(kinds)
    each = size(scenario, catalog, hand.load(scenario, {"web": np.full(HOURS, 1.0)})).frame["usable_rps"].max()
    rate = float(each) * float(np.exp(dice.uniform(np.log(0.4), np.log(60.0))))
    load = hand.load(scenario, {"web": np.full(HOURS, np.float32(rate))})
    return scenario, load, size(scenario, catalog, load), catalog, rate


def committed_usd_per_h(scenario: Scenario, catalog: Catalog, kind: str, count: int) -> float:
    """The least an hour of ``count`` machines costs under one contract for all of them, or on demand."""
    priced = catalog.rates.query("instance_type == @kind and purchase_option == 'on_demand'")
    usd = float(priced["rate_usd_per_h"].iloc[0])
    family = kind.split(".")[0]
    rows = catalog.commitments
    rows = rows[
        (rows["term_months"] <= scenario.limits.max_term_months) & rows["payment"].isin(scenario.limits.payments)
    ]
    rows = rows[(rows["basis"] != "vendor_maximum") & (rows["region"] == "us-east-1")]
    reserved = rows[(rows["category"] == "Usage") & (rows["scope"] == kind)]["rate_usd_per_h"]
    narrow = rows["scope_kind"].isin(["family", "family_group"])
    plans = rows[(rows["category"] == "Spend") & narrow & np.array([family in s.split() for s in rows["scope"]])]
    cuts = plans["discount_share"].max() if len(plans) else 0.0
    found = [usd * count, *(reserved * count)]
    found.append(float(np.ceil(usd * (1 - cuts) * count / STEP - 1e-9) * STEP))
    return min(found)


def fleets(capacity, rate: float):
    """Whole fleets of one or two types that bear the load, none with a machine too many."""
    rows = capacity.frame[(capacity.frame["service"] == "web") & (capacity.frame["usable_rps"] > 0)]
    assert (rows["instances_per_replica"] == 1).all()
    keys = {
        r.instance_type: (r.service, r.provider, r.region, r.instance_type, r.deployment) for r in rows.itertuples()
    }
    most = {k: int(np.ceil(rate / float(rows.set_index("instance_type").loc[k, "usable_rps"]))) for k in keys}
    bears = {k: capacity.bears_rps(keys[k], np.arange(most[k] + 1)) for k in keys}
    for one, other in [*((k, k) for k in keys), *combinations(keys, 2)]:
        for n in range(most[one] + 1):
            rest = rate * (1 - 1e-12) - bears[one][n]
            if one == other:
                if rest <= 0:
                    yield {one: n}
                    break
                continue
            m = int(np.searchsorted(bears[other], rest)) if rest > 0 else 0
            if m <= most[other]:
                yield {k: c for k, c in ((one, n), (other, m)) if c}


def listed(scenario, capacity, catalog, rate: float) -> tuple[float, dict[str, int]]:
    """The cheapest of these fleets over the horizon [USD], every machine committed where that is cheaper."""
    usd = cache(lambda kind, n: committed_usd_per_h(scenario, catalog, kind, n))
    return min(
        ((HOURS * sum(usd(k, n) for k, n in fleet.items()), fleet) for fleet in fleets(capacity, rate)),
        key=lambda found: found[0],
    )


def under_constant_load(seed: int) -> None:
    scenario, load, capacity, catalog, rate = case(seed)
    plan = optimize(scenario, load, capacity, catalog, valued_on=load)
    least, fleet = listed(scenario, capacity, catalog, rate)
    told = f"seed {seed}, {rate:.1f} requests/s: {least:.2f} for {fleet}, plan {plan.objective_usd:.2f}"
    assert plan.objective_usd <= least * (1 + 1e-6), told
    assert plan.certificate.lower_bound_usd <= min(least, plan.objective_usd) * (1 + 1e-6), told


@pytest.mark.parametrize("seed", range(4))
def test_a_constant_load_costs_no_more_than_fleets_fully_committed(seed):
    under_constant_load(seed)


@pytest.mark.parametrize("seed", [63, *(pytest.param(n, marks=pytest.mark.slow) for n in (26, 62, 65, 72, 74))])
def test_a_whole_purchase_is_exchanged_where_single_contracts_stop_at_their_rounding(seed):
    under_constant_load(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, CASES))
def test_constant_loads_cost_no_more_than_fleets_fully_committed(seed):
    under_constant_load(seed)


def with_some_held(seed: int) -> None:
    """Held: no dearer than without by more than the fees, nor than held types and one more alone; used or told."""
    scenario, load, capacity, catalog, _ = case(seed)
    dice = np.random.default_rng([seed, 21])
    rows = catalog.commitments
    able = rows[(rows["category"] == "Usage") & rows["scope"].isin(catalog.instances["instance_type"])]
    one = able.iloc[int(dice.integers(len(able)))]
    count = int(dice.integers(1, 9))
    kept = scenario.replace(existing=[{"commitment": one["commitment"], "quantity": count, "end": "2028-06-01"}])
    plan = optimize(kept, load, capacity, catalog, valued_on=load)
    free = optimize(scenario, load, capacity, catalog, valued_on=load)
    fees = count * float(one["rate_usd_per_h"]) * HOURS
    told = f"seed {seed}, {count} of {one['commitment']}: plan {plan.objective_usd:.2f}"
    assert plan.objective_usd <= (free.objective_usd + fees) * (1 + 1e-6), f"{told}, without {free.objective_usd:.2f}"
    other = str(dice.choice([k for k in catalog.instances["instance_type"] if k != one["scope"]]))
    few = kept.replace(**{"limits.instance_types": [str(one["scope"]), other]})
    narrow = optimize(few, load, size(few, catalog, load), catalog, valued_on=load)
    assert plan.objective_usd <= narrow.objective_usd * (1 + 1e-6), f"{told}, with {other} {narrow.objective_usd:.2f}"
    mine = plan.commitments[plan.commitments["commitment"].str.startswith(one["commitment"])]
    idle = mine["commitment_utilization"].lt(1 - 1e-9)
    unused = plan.cost.query("charge == 'commitment_unused' and effective_cost_usd > 0.01")
    assert len(mine) == 1, told
    assert not idle.any() or len(unused) or any(one["commitment"] in note for note in plan.notes), told


@pytest.mark.parametrize("seed", range(2))
def test_what_is_held_never_makes_a_plan_dearer(seed):
    with_some_held(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, CASES))
def test_holdings_never_make_a_plan_dearer(seed):
    with_some_held(seed)
