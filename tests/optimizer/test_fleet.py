"""Few machine types for the horizon: the best set of all sets, what it costs to keep few, laws of
cost on whole plans of random markets.
"""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from planner.capacity import size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan
from planner.optimizer import optimize
from planner.optimizer.commitments.together import choose_together
from planner.scenario import Scenario
from tests.builders import hand

SEEDS = [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 5))]
REGIONS = ("us-east-1", "eu-central-1")
BASE = {
    "services.web.latency": {"model": "queue", "service_time_s": 0.01},
    "services.web.network.load_balancer": False,
    "services.web.network.public_ipv4": 0,
}


def random_market(rng, *, regions=REGIONS, types=4):
    """{(region, type): (vCPUs, on demand, spot)}: prices fall with size, spot is a bargain of
    varying depth.
    """
    found = {}
    for region in regions:
        for k, vcpus in enumerate(rng.choice([1, 2, 4, 8, 16], types, replace=False)):
            price = 0.05 * vcpus * float(rng.uniform(0.8, 1.3)) + float(rng.uniform(0, 0.1))
            found[region, f"t{k}"] = (float(vcpus), price, price * float(rng.uniform(0.2, 0.9)))
    return found


def catalog_of(market) -> Catalog:
    rates, machines = [], []
    for (region, name), (vcpus, price, spot) in market.items():
        place = {**hand.HAND, "provider": "aws", "region": region, "instance_type": name}
        machines.append(
            {**place, "family": "f", "arch": "x86_64", "vcpus": vcpus, "memory_gib": 4 * vcpus, "baseline_share": 1.0}
        )
        rates += [
            {**place, "purchase_option": o, "rate_usd_per_h": p}
            for o, p in (("on_demand", price), ("spot", spot))
            if np.isfinite(p)
        ]
    return Catalog(
        hand.frame("catalog.instances", machines),
        hand.frame("catalog.rates", rates),
        hand.frame("catalog.commitments", []),
        hand.frame("catalog.storage", []),
        hand.frame("catalog.network", []),
    )


def plan_of(rates, market, **changes):
    s = hand.scenario(**(BASE | {"regions": sorted({region for region, _ in market})} | changes))
    load = hand.load(s, {"web": rates})
    catalog = catalog_of(market)
    return optimize(s, load, size(s, catalog, load), catalog)


def random_case(seed):
    rng = np.random.default_rng(seed)
    zones = int(rng.integers(1, 4))
    limits = {
        "limits.max_spot_share": float(rng.choice([0.0, 0.4])),
        "limits.zones": zones,
        "limits.zones_lost": int(zones > 1),
        "services.web.autoscaling.min_replicas": int(rng.integers(1, 3)),
    }
    return rng, rng.uniform(50, 2500, 48), random_market(rng), limits


def least(plan):
    return plan.certificate.lower_bound_usd * (1 - 1e-9)


def pools(plan):
    return set(zip(plan.schedule["region"], plan.schedule["instance_type"], strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_set_kept_is_the_best_of_all_sets(seed):
    """Every pair of one region planned by itself: none is cheaper."""
    _, rates, market, limits = random_case(seed)
    plan = plan_of(rates, market, **limits)
    assert len(pools(plan)) <= 2
    assert len({region for region, _ in pools(plan)}) == 1
    alone = []
    for region in REGIONS:
        kinds = [key for key in market if key[0] == region]
        alone += [
            plan_of(rates, {k: market[k] for k in pair}, **limits).objective_usd
            for pair in itertools.combinations(kinds, 2)
        ]
    assert plan.objective_usd == pytest.approx(min(alone), rel=1e-9)
    assert plan.certificate.gap_share < 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_law_6_each_limit_on_types_and_regions_costs_no_less(seed):
    _, rates, market, limits = random_case(seed)
    wide = [
        plan_of(rates, market, **limits, **{"limits.max_instance_types": n, "limits.max_regions": r})
        for n, r in ((1, 1), (2, 1), (3, 1), (3, 2), (None, None))
    ]
    for few, more in itertools.pairwise(wide):
        assert least(more) <= few.objective_usd
    for few, more in ((0, 1), (1, 2), (1, 4)):
        assert wide[more].objective_usd <= wide[few].objective_usd * (1 + 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_law_1_more_load_costs_no_less(seed):
    rng, rates, market, limits = random_case(seed)
    assert plan_of(rates + rng.uniform(0, 300, 48), market, **limits).objective_usd >= least(
        plan_of(rates, market, **limits)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_law_3_no_price_up_lowers_the_cost(seed):
    rng, rates, market, limits = random_case(seed)
    dearer = {k: (v, p * float(rng.uniform(1, 1.5)), s * float(rng.uniform(1, 1.5))) for k, (v, p, s) in market.items()}
    assert plan_of(rates, dearer, **limits).objective_usd >= least(plan_of(rates, market, **limits))


@pytest.mark.parametrize("seed", SEEDS)
def test_law_4_an_added_option_costs_no_more(seed):
    _, rates, market, limits = random_case(seed)
    fewer = dict(list(market.items())[:-1])
    assert least(plan_of(rates, market, **limits)) <= plan_of(rates, fewer, **limits).objective_usd


@pytest.mark.parametrize("seed", SEEDS)
def test_law_5_removing_what_is_not_used_changes_nothing(seed):
    _, rates, market, limits = random_case(seed)
    plan = plan_of(rates, market, **limits)
    kept = {k: v for k, v in market.items() if k in pools(plan)}
    assert plan_of(rates, kept, **limits).objective_usd == pytest.approx(plan.objective_usd, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_law_6_a_tighter_rule_costs_no_less_and_a_quota_too(seed):
    rng, rates, market, limits = random_case(seed)
    plan = plan_of(rates, market, **limits)
    tighter = {
        "limits.max_spot_share": 0.0,
        "limits.max_type_share": 0.7,
        "limits.quota": {"t0": int(rng.integers(1, 6))},
        "services.web.autoscaling.min_replicas": 4,
    }
    for name, value in tighter.items():
        try:
            other = plan_of(rates, market, **(limits | {name: value}))
        except InfeasiblePlan:
            continue
        assert other.objective_usd >= least(plan)


@pytest.mark.parametrize("seed", SEEDS)
def test_law_7_all_prices_times_k_are_the_cost_times_k(seed):
    rng, rates, market, limits = random_case(seed)
    k = float(rng.uniform(0.3, 7))
    scaled = {key: (v, p * k, s * k) for key, (v, p, s) in market.items()}
    plan, other = plan_of(rates, market, **limits), plan_of(rates, scaled, **limits)
    assert other.objective_usd == pytest.approx(plan.objective_usd * k, rel=1e-9)
    assert other.certificate.lower_bound_usd == pytest.approx(plan.certificate.lower_bound_usd * k, rel=1e-6)
    assert pools(other) == pools(plan)


@pytest.mark.parametrize("seed", SEEDS)
def test_law_16_a_dominated_option_changes_nothing(seed):
    _, rates, market, limits = random_case(seed)
    (region, _), (vcpus, price, spot) = next(iter(market.items()))
    more = market | {(region, "worse"): (vcpus, price * 1.01, spot * 1.01)}
    assert plan_of(rates, more, **limits).objective_usd == pytest.approx(
        plan_of(rates, market, **limits).objective_usd, rel=1e-9
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_law_21_more_to_survive_costs_no_less(seed):
    _, rates, market, limits = random_case(seed)
    limits |= {"limits.zones": 3}
    costs = [plan_of(rates, market, **(limits | {"limits.zones_lost": lost})) for lost in (0, 1, 2)]
    for calm, hard in itertools.pairwise(costs):
        assert hard.objective_usd >= least(calm)


@pytest.mark.parametrize("share", [0.3, 0.45, 0.6])
def test_a_share_for_each_type_brings_as_many_types_as_it_asks_for(share):
    rng = np.random.default_rng(3)
    plan = plan_of(np.full(48, 3_000.0), random_market(rng), **{"limits.max_type_share": share})
    assert len(pools(plan)) == np.ceil(1 / share)
    served = plan.schedule.groupby(["ts", "instance_type"])["arrival_rate_rps"].sum()
    assert served.max() <= 3_000 * max(share, 1 / np.floor(1 / share) if share < 0.5 else 1) + 1e-6
    if share < 0.5:
        assert any("max_type_share" in note for note in plan.notes)


def test_in_one_round_every_service_finds_its_own_best_set(monkeypatch):
    """Services that share nothing choose as if alone, also where the search begins at the worst set of each: what one
    has found stays while another moves.
    """
    market = random_market(np.random.default_rng(3), regions=REGIONS[:1], types=5)
    s = hand.scenario(**BASE, regions=list(REGIONS[:1]))
    raw = s.model_dump(mode="json", exclude_defaults=True)
    raw["services"] = {"web": raw["services"]["web"], "api": raw["services"]["web"]}
    both, catalog = Scenario.model_validate(raw), catalog_of(market)
    rng = np.random.default_rng(4)
    load = hand.load(both, {"web": rng.uniform(50, 900, 48), "api": rng.uniform(300, 2500, 48)})
    capacity = size(both, catalog, load)
    best = optimize(both, load, capacity, catalog)
    begun = []

    def worst_first(scenario, followed, wide, fleets, *rest):
        turned = {
            s: replace(f, candidates=f.rivals[-1], others=tuple(reversed(f.rivals[:-1]))) for s, f in fleets.items()
        }
        begun.extend(len(f.rivals) for f in turned.values())
        return choose_together(scenario, followed, wide, turned, *rest)

    monkeypatch.setattr("planner.optimizer.decide.choose_together", worst_first)
    monkeypatch.setattr(sys.modules["planner.optimizer.commitments.together"], "ROUNDS", 1)
    monkeypatch.setattr(sys.modules["planner.optimizer.commitments.together"], "AT_ONCE", 1)
    found = optimize(both, load, capacity, catalog)
    assert min(begun) > 1
    assert found.objective_usd == pytest.approx(best.objective_usd, rel=1e-9)


def test_an_offer_left_off_the_short_list_is_priced_at_the_duals():
    """Thirty machines, of which the short list names some: none left out undercuts, and its excuse
    says how far its price must fall.
    """
    rng = np.random.default_rng(1)
    market = {}
    for k in range(30):
        price = 0.05 * (1 + k % 5) * (1 + 0.02 * k)
        market["us-east-1", f"t{k}"] = (float(1 + k % 5), price, price * (0.9 - 0.02 * (k % 7)))
    rates = rng.uniform(100, 2500, 48)
    plan = plan_of(rates, market, **{"limits.max_spot_share": 0.4})
    assert plan.certificate.checks["left_out"] <= 1e-6
    told = plan.excuses[plan.excuses["gap"].str.contains("must fall by")]
    assert len(told) > 15
    far = told["gap"].str.extract(r"fall by ([\d.]+)%")[0].astype(float)
    last = market["us-east-1", "t29"]
    own = float(far[told["instance_type"] == "t29"].iloc[0]) / 100
    cheaper = market | {("us-east-1", "t29"): (last[0], last[1] * (1 - own) * 0.9, last[2] * (1 - own) * 0.9)}
    again = plan_of(rates, cheaper, **{"limits.max_spot_share": 0.4})
    row = again.excuses[again.excuses["instance_type"] == "t29"]
    assert row.empty or not row["gap"].str.contains("must fall by").any()


def test_the_bound_of_any_machines_lies_below_every_plan_with_fewer():
    _, rates, market, limits = random_case(2)
    plan = plan_of(rates, market, **limits)
    free = plan_of(rates, market, **limits, **{"limits.max_instance_types": None, "limits.max_regions": None})
    assert free.certificate.lower_bound_usd <= free.objective_usd * (1 + 1e-9)
    assert free.certificate.lower_bound_usd <= plan.certificate.lower_bound_usd * (1 + 1e-9)
    assert any("No choice of machines and commitments on sale within these limits" in n for n in plan.notes)
