"""Quotas that services share: every split that exists is found, machine by machine and hour by
hour; a refusal says how many more do.
"""

import itertools

import numpy as np
import pytest

from planner.capacity import size
from planner.errors import InfeasiblePlan
from planner.optimizer import optimize
from planner.scenario import Scenario
from tests.builders import hand
from tests.builders.markets import machine, on_sale, reserved, two_services

MARKET = {("m", "on_demand"): 1.0, ("big", "on_demand"): 4.4}
SERVICES = ("web", "api", "jobs")


def plan_of(rates, *, market=None, commitments=(), **changes):
    base = hand.scenario(
        **{
            "services.web.latency": {"model": "queue", "service_time_s": 0.01},
            "services.web.network.load_balancer": False,
            "services.web.network.public_ipv4": 0,
            **changes,
        }
    )
    raw = base.model_dump(mode="json", exclude_defaults=True)
    raw["services"] = dict.fromkeys(rates, raw["services"]["web"])
    scenario = Scenario.model_validate(raw)
    load = hand.load(scenario, {s: np.asarray(r, dtype=np.float64) for s, r in rates.items()})
    catalog = hand.catalog(rates=market or MARKET, commitments=commitments)
    capacity = size(scenario, catalog, load)
    frame = capacity.frame[capacity.frame["service"] == "web"].set_index("instance_type")
    return optimize(scenario, load, capacity, catalog), frame["usable_rps"] / frame["instances_per_replica"]


def each_of(instance_type):
    return plan_of({"web": np.full(48, 10.0)})[1][instance_type]


def used(plan, instance_type):
    rows = plan.schedule[plan.schedule["instance_type"] == instance_type]
    return rows.groupby("ts")["instances"].sum()


def fleets(each, need, quota, most=8):
    """All counts of (m, big) that carry a load alone, with at most the quota of each."""
    return [
        (a, b)
        for a, b in itertools.product(range(min(most, quota["m"]) + 1), range(min(most, quota["big"]) + 1))
        if a + b >= 1 and a * each["m"] + b * each["big"] >= need * (1 - 1e-9)
    ]


@pytest.mark.parametrize("seed", range(25))
def test_a_split_is_found_exactly_where_one_exists(seed):
    """Two services of constant load and tight quotas of two types: found, and cheapest, if and only
    if counts exist by exhaustion.
    """
    rng = np.random.default_rng(seed)
    each = {kind: each_of(kind) for kind in ("m", "big")}
    quota = {"m": int(rng.integers(1, 5)), "big": int(rng.integers(1, 3))}
    needs = {
        s: float(rng.uniform(0.5, 1.6)) * (quota["m"] * each["m"] + quota["big"] * each["big"]) / 2.2
        for s in SERVICES[:2]
    }
    both = [
        (x, y)
        for x in fleets(each, needs["web"], quota)
        for y in fleets(each, needs["api"], quota)
        if x[0] + y[0] <= quota["m"] and x[1] + y[1] <= quota["big"]
    ]
    rates = {s: np.full(48, need) for s, need in needs.items()}
    limits = {"limits.quota": quota}
    if not both:
        with pytest.raises(InfeasiblePlan) as refused:
            plan_of(rates, **limits)
        assert refused.value.relaxations
        return
    plan, _ = plan_of(rates, **limits)
    best = min(sum(a * 1.0 + b * 4.4 for a, b in pair) for pair in both)
    assert plan.objective_usd == pytest.approx(48 * best, rel=1e-9)
    for kind, count in quota.items():
        assert (used(plan, kind) <= count).all()


def test_rounding_does_not_refuse_a_tight_split():
    """Three services that need two, one and one of four machines; in parts of machines each would
    ask for a fraction more or less.
    """
    each = each_of("m")
    plan, _ = plan_of(
        {"web": np.full(48, 1.05 * each), "api": np.full(48, 0.9 * each), "jobs": np.full(48, 0.95 * each)},
        market={("m", "on_demand"): 1.0},
        **{"limits.quota": {"m": 4}},
    )
    counts = plan.schedule.groupby("service")["instances"].max()
    assert counts.to_dict() == {"api": 1.0, "jobs": 1.0, "web": 2.0}


def test_peaks_at_different_hours_share_what_no_fixed_parts_could():
    """By day web needs three of four machines and by night api does: fixed parts would take six."""
    each = each_of("m")
    day = np.tile(np.repeat([2.5, 0.5], 12), 2) * each
    plan, _ = plan_of(
        {"web": day, "api": np.roll(day, 12)}, market={("m", "on_demand"): 1.0}, **{"limits.quota": {"m": 4}}
    )
    assert (used(plan, "m") == 4).all()
    assert plan.objective_usd == pytest.approx(48 * 4, rel=1e-9)
    assert plan.certificate.checks["bound"] <= 1e-9
    assert any("hour by hour" in note for note in plan.notes)


def test_the_cheaper_service_gives_way_in_the_hour_it_costs_least():
    """One quota'd bargain for two services: it goes where whole machines save most, in every hour."""
    each = {kind: each_of(kind) for kind in ("m", "big")}
    market = {("m", "on_demand"): 1.0, ("big", "on_demand"): 9.0}
    rates = {"web": np.full(48, 2.8 * each["m"]), "api": np.full(48, 1.8 * each["m"])}
    plan, _ = plan_of(rates, market=market, **{"limits.quota": {"m": 4}})
    assert (used(plan, "m") <= 4).all()
    options = [
        a * 1.0 + b * 9.0 + c * 1.0 + d * 9.0
        for a, b, c, d in itertools.product(range(5), range(3), range(5), range(3))
        if a + c <= 4
        and a * each["m"] + b * each["big"] >= 2.8 * each["m"]
        and c * each["m"] + d * each["big"] >= 1.8 * each["m"]
    ]
    assert plan.objective_usd == pytest.approx(48 * min(options), rel=1e-9)


def test_the_quota_named_for_several_services_is_enough_and_one_less_is_not():
    each = each_of("m")
    rates = {"web": np.full(48, 2.5 * each), "api": np.full(48, 1.5 * each)}
    market = {("m", "on_demand"): 1.0}
    with pytest.raises(InfeasiblePlan) as refused:
        plan_of(rates, market=market, **{"limits.quota": {"m": 4}})
    assert refused.value.relaxations[0] == "raise limits.quota.m from 4 to 5"
    plan, _ = plan_of(rates, market=market, **{"limits.quota": {"m": 5}})
    assert (used(plan, "m") == 5).all()


DEALT = {"q.large": (1.0, 1), "o.large": (10.0, 2), "p.large": (3.0, 2)}  # alike: USD/h on demand, quota


def dealt(rates, commitments=(), **changes):
    """Two services on quotas that only fit hour by hour."""
    s = two_services(
        **{
            "limits.quota": {name: count for name, (_, count) in DEALT.items()},
            "services.web.objective.load_quantile": 0.5,
            **changes,
        }
    )
    usd = {name: usd for name, (usd, _) in DEALT.items()}
    catalog = on_sale([machine(name, 2) for name in DEALT], usd, commitments)
    load = hand.load(s, rates)
    return optimize(s, load, size(s, catalog, load), catalog, valued_on=load)


def test_what_services_share_counts_once_in_the_hours_that_are_dealt():
    """One reservation of the dearest type for two services: a second machine of it is not paid for already."""
    day = np.tile(np.repeat([2.5, 0.5], 12), 2) * each_of("m")
    contract = reserved("o.large", 0.5)
    held = [{"commitment": contract["commitment"], "quantity": 1, "end": "2027-06-01"}]
    plan = dealt({"web": day, "api": np.roll(day, 12)}, [contract], existing=held, **{"limits.max_term_months": 0})
    assert any("hour by hour" in note for note in plan.notes)
    assert (used(plan, "o.large") == 1).all()
    assert (used(plan, "q.large") == 1).all()
    assert (used(plan, "p.large") == 2).all()


def test_a_path_beyond_the_quotas_drops_no_commitment():
    """On one of three paths both peaks meet, so that parts of machines have no answer: the base is committed still."""
    base, peak = (np.full(48, part) * each_of("m") for part in (0.9, 2.5))
    day = np.where(np.arange(48) % 24 < 12, peak, base)
    rates = {"web": np.stack([day, day, day]), "api": np.stack([np.roll(day, 12), np.roll(day, 12), day])}
    plan = dealt(rates, [reserved("q.large", 0.3)])
    assert any("hour by hour" in note for note in plan.notes)
    assert plan.commitments["quantity"].sum() > 0
