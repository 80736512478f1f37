"""Replicas that help each other: mixes one by one against every mix there is, and whole plans with
fewer machines than apart.
"""

import itertools

import numpy as np
import pytest

from planner.capacity import size
from planner.latency.queue.erlang import mmc_response_quantile_s
from planner.optimizer import optimize
from planner.optimizer.mixes.menu import Cover, Offer, Rules, menu, reach
from tests.builders import hand

DAY = np.tile(np.concatenate([np.full(8, 60.0), np.linspace(60, 900, 8), np.full(8, 900.0)]), 2)


def random_offers(rng, spot):
    found = []
    for k in range(2):
        capacity, r = float(rng.uniform(20, 120)), int(rng.integers(1, 3))
        price = capacity * float(rng.uniform(0.008, 0.014)) + float(rng.uniform(0.0, 0.2))
        sizes = [1, *sorted(rng.choice(np.arange(2, 14), 3, replace=False).tolist())]
        gains = tuple(zip(sizes, [1.0, *(1 + np.cumsum(rng.uniform(0, 0.3, 3))).tolist()], strict=True))
        found.append(Offer(f"k{k}", "d", False, 1, r, capacity, price, gains=gains))
        if spot:
            found.append(
                Offer(f"k{k}", "d", True, 1, r, capacity * 0.98, price * float(rng.uniform(0.2, 0.9)), gains=gains)
            )
    return found


def random_rules(rng):
    zones = int(rng.integers(1, 4))
    return Rules(
        float(rng.choice([0.0, 0.3, 1.0])), None, zones, int(rng.integers(0, zones)), int(rng.integers(0, 4)), None
    )


def borne(offer, units):
    """What a pool of so many units serves, by its definition."""
    return units * offer.capacity * max(gain for size, gain in offer.gains if size <= max(1, units * offer.replicas))


def left_one_by_one(offers, mix, rules):
    """Steady and whole capacity in the worst case: machines dealt singly, each set of zones lost in
    turn, pools of what is left.
    """
    held, turn = np.zeros((len(offers), rules.zones), dtype=int), 0
    for j in sorted(range(len(offers)), key=lambda j: offers[j].spot):
        for _ in range(mix[j]):
            held[j, turn % rules.zones] += 1
            turn += 1
    left = []
    for kept in itertools.combinations(range(rules.zones), rules.zones - rules.zones_lost):
        each = [borne(o, int(held[j, list(kept)].sum())) for j, o in enumerate(offers)]
        left.append((sum(e for e, o in zip(each, offers, strict=True) if not o.spot), sum(each)))
    return np.min(left, axis=0)


@pytest.mark.parametrize("seed", range(40))
def test_the_reach_of_a_mix_is_what_the_pools_left_bear(seed):
    rng = np.random.default_rng(seed)
    offers, rules = random_offers(rng, True), random_rules(rng)
    for mix in rng.integers(0, 7, (10, len(offers))):
        steady, every = left_one_by_one(offers, mix, rules)
        load = min(every, np.inf if rules.spot_share == 1 else steady / (1 - rules.spot_share))
        replicas = sum(n * o.replicas for n, o in zip(mix, offers, strict=True) if not o.spot)
        assert reach(offers, mix[None, :], rules)[0] == pytest.approx(load if replicas >= rules.min_replicas else -1.0)


@pytest.mark.parametrize("seed", range(40))
def test_steps_are_the_cheapest_of_all_mixes(seed):
    rng = np.random.default_rng(seed)
    spot = bool(rng.integers(0, 2))
    offers, rules = random_offers(rng, spot), random_rules(rng)
    top, most = 200.0, 12 if spot else 24
    covers = [Cover("c", (("k0", 1.0),), float(rng.integers(0, 4)))]
    mixes = menu(offers, rules, top)
    steps = mixes.steps(mixes.draws(covers))
    every = np.array(list(itertools.product(range(most + 1), repeat=len(offers))), dtype=np.int64)
    reached = reach(offers, every, rules)
    cost = (
        every @ np.array([o.usd_per_h for o in offers])
        - np.minimum(every[:, 0], covers[0].amount) * offers[0].usd_per_h
    )
    for load in rng.uniform(0, top, 10):
        assert steps.cost[steps.at(np.array([load]))[0]] == pytest.approx(cost[reached >= load].min(), abs=1e-9)


def plan_of(balancer, objective_s=0.3, **changes):
    latency = {"model": "queue", "service_time_s": 0.05, "threads_share": 1, "balancer": balancer}
    s = hand.scenario(
        **{
            "services.web.latency": latency,
            "services.web.network.load_balancer": False,
            "services.web.network.public_ipv4": 0,
            "services.web.objective": {"latency_p99_s": objective_s},
            **changes,
        }
    )
    load, market = (
        hand.load(s, {"web": DAY}),
        hand.catalog(rates={("m", "on_demand"): 1.0, ("m", "spot"): 0.4, ("big", "on_demand"): 4.1}),
    )
    capacity = size(s, market, load)
    return optimize(s, load, capacity, market, valued_on=load), capacity


def test_a_shared_queue_runs_the_fewest_machines_that_its_own_formula_allows():
    """One type: in every hour M/M/2n with n machines meets the target at the load over its
    headroom, and n − 1 do not.
    """
    plan, capacity = plan_of("central", **{"limits.instance_types": ["m"]})
    kept = 1 - float(capacity.frame.loc[capacity.frame["instance_type"] == "m", "headroom_share"].iloc[0])
    for rate, n in (
        plan.schedule.groupby("ts")[["arrival_rate_rps", "instances"]].sum().drop_duplicates().itertuples(index=False)
    ):
        met = [
            m >= 1 and float(mmc_response_quantile_s(rate / kept, 20.0, int(2 * m), 0.99)) <= 0.3 * (1 + 1e-6)
            for m in (n - 1, n)
        ]
        # above eight machines a pool is taken at the size of the next eighth below
        assert met == [False, True] or (n > 8 and met == [True, True])


@pytest.mark.parametrize("balancer", ["jsq", "round_robin", "central"])
def test_a_balancer_that_watches_saves_machines_within_the_bound(balancer):
    apart, _ = plan_of("random")
    plan, capacity = plan_of(balancer)
    assert plan.objective_usd < (0.97 if balancer == "round_robin" else 0.9) * apart.objective_usd
    assert any(balancer in note and "together" in note for note in plan.notes)
    assert not any("together" in note for note in apart.notes)
    # the bound takes the most a replica bears in any pool in play
    assert plan.certificate.checks["bound"] <= 1e-9
    assert (plan.schedule["arrival_rate_rps"] <= capacity.borne_rps(plan.schedule) * (1 + 1e-9)).all()
    one = capacity.borne_rps(plan.schedule.assign(replicas=1))
    assert one.to_numpy() == pytest.approx(
        plan.schedule.merge(capacity.frame, on=["instance_type", "deployment"])["usable_rps"].to_numpy()
    )


def test_the_pool_left_after_a_zone_is_lost_still_bears_the_load():
    plan, capacity = plan_of("central", **{"limits.zones": 3, "limits.zones_lost": 1, "limits.instance_types": ["m"]})
    for rate, n in plan.schedule.groupby("ts")[["arrival_rate_rps", "instances"]].sum().itertuples(index=False):
        left = int(n) - -(-int(n) // 3)
        assert float(capacity.bears_rps(("web", "aws", "us-east-1", "m", ""), left)) >= rate * (1 - 1e-9)


def test_the_plan_says_below_which_load_retries_let_it_recover():
    """A machine that serves 40 requests/s always busy recovers below 40/3 where each comes three
    times.
    """
    plan, _ = plan_of("random", **{"services.web.retries": 2, "limits.instance_types": ["m"]})
    (note,) = [n for n in plan.notes if "again 2 times." in n]
    hours = plan.schedule.groupby("ts")[["arrival_rate_rps", "replicas"]].sum()
    share = 40 / 3 * hours["replicas"] / hours["arrival_rate_rps"]
    assert f"below {share.min():.0%} of the planned load" in note
    assert f"({share.median():.0%} in the median hour)" in note
    quiet, _ = plan_of("random", **{"limits.instance_types": ["m"]})
    assert not any("recovers by itself" in n for n in quiet.notes)
