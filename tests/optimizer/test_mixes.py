"""Mixes of whole machines against every mix there is, one by one, on small cases: reach, steps and
many types by rule.
"""

import itertools

import numpy as np
import pytest

from planner.optimizer.mixes.menu import Cover, Offer, Rules, menu, reach

CASES = 60


def random_offers(rng, kinds, spot):
    found = []
    for k in range(kinds):
        capacity = float(rng.uniform(20, 120))
        price = capacity * float(rng.uniform(0.008, 0.014)) + float(rng.uniform(0.0, 0.2))
        found.append(Offer(f"k{k}", "d", False, 1, 1, capacity, price))
        if spot:
            found.append(Offer(f"k{k}", "d", True, 1, 1, capacity * 0.98, price * float(rng.uniform(0.2, 0.9))))
    return found


def random_rules(rng, *, type_share=None):
    zones = int(rng.integers(1, 4))
    lost = int(rng.integers(0, zones))
    return Rules(float(rng.choice([0.0, 0.3, 1.0])), type_share, zones, lost, int(rng.integers(0, 4)), None)


def every_mix(offers, most):
    return np.array(list(itertools.product(range(most + 1), repeat=len(offers))), dtype=np.int64)


def left_one_by_one(offers, mix, rules):
    """Capacity left, steady and whole, by dealing the machines singly: steady types first, each
    where the last one stopped.
    """
    held, turn = np.zeros((2, rules.zones)), 0
    for j in sorted(range(len(offers)), key=lambda j: offers[j].spot):
        for _ in range(mix[j]):
            held[0, turn % rules.zones] += 0.0 if offers[j].spot else offers[j].capacity
            held[1, turn % rules.zones] += offers[j].capacity
            turn += 1
    return np.sort(held, axis=1)[:, : rules.zones - rules.zones_lost].sum(axis=1)


@pytest.mark.parametrize("seed", range(CASES))
def test_the_reach_of_a_mix_is_what_is_left_when_machines_are_dealt_singly(seed):
    rng = np.random.default_rng(seed)
    offers, rules = random_offers(rng, 2, True), random_rules(rng)
    for mix in rng.integers(0, 6, (10, len(offers))):
        steady, every = left_one_by_one(offers, mix, rules)
        load = min(every, np.inf if rules.spot_share == 1 else steady / (1 - rules.spot_share))
        replicas = sum(n for n, o in zip(mix, offers, strict=True) if not o.spot)
        expected = load if replicas >= rules.min_replicas else -1.0
        assert reach(offers, mix[None, :], rules)[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(CASES))
def test_steps_are_the_cheapest_of_all_mixes(seed):
    rng = np.random.default_rng(seed)
    spot = bool(rng.integers(0, 2))
    offers, rules = random_offers(rng, 2, spot), random_rules(rng)
    top, most = 200.0, 12 if spot else 24
    covers = [Cover("c", (("k0", 1.0),), float(rng.integers(0, 4)))]
    mixes = menu(offers, rules, top)
    steps = mixes.steps(mixes.draws(covers))
    every = every_mix(offers, most)
    reached = reach(offers, every, rules)
    cost = (
        every @ np.array([o.usd_per_h for o in offers])
        - np.minimum(every[:, 0], covers[0].amount) * offers[0].usd_per_h
    )
    for load in rng.uniform(0, top, 10):
        best = cost[reached >= load].min() if rules.min_replicas else min(cost[reached >= load].min(), np.inf)
        assert steps.cost[steps.at(np.array([load]))[0]] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("share", [0.3, 0.4, 0.5, 0.7])
def test_no_type_above_its_share_needs_as_many_types_as_the_share_asks_for(seed, share):
    """Below one half two types cannot carry the load: the cheapest of all mixes has three or four."""
    rng = np.random.default_rng(seed)
    kinds = int(np.ceil(1 / share)) + int(rng.integers(0, 2)) if share > 0.3 else 4
    offers = random_offers(rng, kinds, False)
    rules = Rules(type_share=share, min_replicas=1)
    mixes = menu(offers, rules, 200.0)
    every = every_mix(offers, {2: 16, 3: 12, 4: 8}.get(kinds, 6))
    reached, cost = reach(offers, every, rules), every @ np.array([o.usd_per_h for o in offers])
    steps = mixes.steps()
    for load in rng.uniform(1, 120, 8):
        assert steps.cost[steps.at(np.array([load]))[0]] == pytest.approx(cost[reached >= load].min(), abs=1e-9)
    at = steps.mix[steps.at(np.array([100.0]))[0]]
    assert (mixes.counts[at] > 0).sum() >= np.ceil(1 / share)


@pytest.mark.parametrize("share", [0.26, 0.35, 0.6])
def test_a_large_fleet_keeps_its_share_within_a_few_machines_of_the_linear_program(share):
    """Saturating all types but the dearest at the share is the linear optimum; whole machines add
    one of each at most.
    """
    rng = np.random.default_rng(5)
    offers, top = random_offers(rng, 5, False), 60_000.0
    steps = menu(offers, Rules(type_share=share, min_replicas=1), top).steps()
    ratio = np.sort([o.usd_per_h / o.capacity for o in offers])
    for load in (30_000.0, 47_111.0, top):
        parts = np.clip(1 - share * np.arange(5), 0, share)
        linear = load * float(parts @ ratio)
        found = steps.cost[steps.at(np.array([load]))[0]]
        assert linear - 1e-6 <= found <= linear * 1.01 + sum(o.usd_per_h for o in offers)
    assert not steps.short(np.array([top])).any()
