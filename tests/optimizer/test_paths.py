"""Paths a plan is made on and paths it is valued on: fair strata, the same plan whatever values it,
foresight below, means above.
"""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity import size
from planner.errors import PlannerError
from planner.optimizer import optimize
from planner.optimizer.commitments.sampling import sample, stratified
from planner.scenario import Scenario
from tests.builders import hand
from tests.builders.markets import DAY, RESERVED, SAVINGS, scenario, two_services

MARKET = {("m", "on_demand"): 1.0, ("m", "spot"): 0.45, ("big", "on_demand"): 3.7}


def futures(seed: int, paths: int, hours: int = 48):
    rng = np.random.default_rng(seed)
    return DAY[:hours] * rng.lognormal(0, 0.35, (paths, 1)) * rng.lognormal(0, 0.2, (paths, hours))


def planned(load, capacity, catalog, s, valued_on=None):
    return optimize(s, load, capacity, catalog, valued_on=valued_on)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90))
def test_strata_stand_for_all_paths(seed, paths, count):
    s = hand.scenario()
    load = hand.load(s, {"web": futures(seed, paths)})
    rows, weight = stratified(load, count)
    assert len(rows) == min(count, paths) == len(set(rows.tolist()))
    assert weight.sum() == pytest.approx(1.0)
    assert (weight > 0).all()
    assert (np.diff(rows) > 0).all()


def test_strata_give_the_mean_and_the_high_quantile_of_the_volume_better_than_chance():
    s = hand.scenario()
    off, luck = [], []
    for seed in range(20):
        load = hand.load(s, {"web": futures(seed, 200)})
        volume, (rows, weight) = load.volume("web"), stratified(load, 25)
        off.append(abs(weight @ volume[rows] / volume.mean() - 1))
        luck.append(abs(np.random.default_rng(seed).choice(volume, 25, replace=False).mean() / volume.mean() - 1))
    assert np.mean(off) < 0.35 * np.mean(luck)


def test_a_load_is_planned_on_all_its_paths_and_checked_on_others_if_there_are_any():
    s = hand.scenario()
    load = hand.load(s, {"web": futures(1, 20)})
    found = sample(load, None)
    assert (found.load, found.valued, found.told) == (load, None, "planned on all 20 load paths")
    others = hand.load(s, {"web": futures(2, 7)})
    assert sample(load, others).valued is others


def test_a_large_problem_is_planned_on_fewer_paths(monkeypatch):
    monkeypatch.setattr(sys.modules["planner.optimizer.commitments.sampling"], "PATH_HOURS", 12 * 48)
    load = hand.load(hand.scenario(), {"web": futures(1, 60)})
    assert sample(load, load).load.paths == 12


def test_other_hours_are_refused():
    s = hand.scenario()
    with pytest.raises(PlannerError, match="services and hours"):
        sample(hand.load(s, {"web": futures(1, 4)}), hand.load(s, {"api": futures(1, 4)}))


def test_what_values_a_plan_does_not_change_it():
    s = scenario(**{"limits.max_spot_share": 0.3})
    catalog = hand.catalog(rates=MARKET, commitments=[RESERVED, SAVINGS])
    load = hand.load(s, {"web": futures(3, 30)})
    capacity = size(s, catalog, load)
    one, other = (
        planned(load, capacity, catalog, s, hand.load(s, {"web": f * futures(k, 9)})) for k, f in ((4, 1.0), (5, 3.0))
    )
    for name in ("schedule", "commitments", "cost"):
        assert getattr(one, name).equals(getattr(other, name))
    assert one.paths_usd == other.paths_usd
    assert len(one.unseen_usd) == len(other.unseen_usd) == 9
    assert np.mean(other.unseen_usd) > 2 * np.mean(
        one.unseen_usd
    )  # three times the load is paid for, not cut off at the planned peak


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_law_25_foresight_costs_no_more_than_the_plan_and_the_plan_for_the_mean_no_less(seed):
    # any machines in any hour, and one commitment on offer: few types are kept for the planned
    # load, not for the paths, and the search
    # among several commitments may stop per cents short of the best
    any_type = {"limits.max_instance_types": None, "limits.max_regions": None}
    s = scenario(**{"limits.max_spot_share": 0.3, "services.web.objective.load_quantile": 0.5, **any_type})
    catalog = hand.catalog(rates=MARKET, commitments=[RESERVED])
    load = hand.load(s, {"web": 10 * futures(seed, 10)})
    capacity = size(s, catalog, load)
    mean = hand.load(s, {"web": load.services["web"].arrival_rate_rps.mean(axis=0)})
    stochastic = np.mean(planned(load, capacity, catalog, s, load).unseen_usd)
    foresight = np.mean(
        [planned(one, capacity, catalog, s, one).unseen_usd[0] for one in (load.select([k]) for k in range(10))]
    )
    of_mean = np.mean(planned(mean, capacity, catalog, s, load).unseen_usd)
    assert foresight <= stochastic * (1 + 1e-4)
    assert stochastic <= of_mean * (1 + 1e-4)
    assert (
        of_mean > 1.001 * stochastic or foresight < 0.999 * stochastic
    )  # the futures differ, so knowing them is worth something


@pytest.mark.parametrize("seed", range(4))
def test_services_that_share_a_commitment_are_billed_together_on_every_path(seed):
    """One service is busy by day, the other by night: what one leaves of a reservation the other
    uses.
    """
    rng, day = np.random.default_rng(seed), np.arange(48) % 24 < 12
    s = two_services()
    rates = {
        "web": np.where(day, 900, 200) * rng.uniform(0.8, 1.2, 48),
        "api": np.where(day, 150, 800) * rng.uniform(0.8, 1.2, 48),
    }
    load, catalog = hand.load(s, rates), hand.catalog(rates=MARKET, commitments=[SAVINGS, RESERVED])
    plan = planned(load, size(s, catalog, load), catalog, s, load)
    assert plan.coverage["service"].nunique() == 2
    assert plan.paths_usd[0] == pytest.approx(plan.objective_usd, rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 8))])
def test_law_4_a_second_kind_of_commitment_costs_no_more(seed):
    s = scenario(**{"limits.max_spot_share": 0.3})
    load = hand.load(s, {"web": 10 * futures(seed, 10)[1:2]})
    cost = []
    for on_offer in ([RESERVED, SAVINGS], [RESERVED], [SAVINGS]):
        catalog = hand.catalog(rates=MARKET, commitments=on_offer)
        cost.append(planned(load, size(s, catalog, load), catalog, s, load).paths_usd[0])
    assert cost[0] <= min(cost[1:]) * (1 + 2e-3)


@pytest.mark.parametrize("services", [2, 12])
def test_what_services_share_takes_no_machine_from_any_of_them(services):
    """Steps of the loads of a dozen services are more combinations than an integer holds: still each hour runs no
    fewer machines than without the commitment, and both bills of it agree.
    """
    s, names = scenario(horizon_h=6), [f"s{k}" for k in range(services)]
    raw = s.model_dump(mode="json", exclude_defaults=True)
    s = Scenario.model_validate(raw | {"services": dict.fromkeys(names, raw["services"]["web"])})
    rates = dict(zip(names, np.random.default_rng(services).uniform(100, 9000, (services, 6)), strict=True))
    load, catalog = hand.load(s, rates), hand.catalog(rates={("m", "on_demand"): 1.0}, commitments=[SAVINGS])
    capacity = size(s, catalog, load)
    shared, apart = (
        planned(load, capacity, catalog, one, load) for one in (s, s.replace(**{"limits.max_term_months": 0}))
    )
    run, needed = (p.schedule.groupby(["service", "ts"], observed=True)["instances"].sum() for p in (shared, apart))
    assert (run >= needed).all()
    assert shared.coverage["service"].nunique() == services
    assert shared.unseen_usd[0] == pytest.approx(shared.objective_usd, rel=1e-9)
    assert shared.objective_usd < apart.objective_usd
