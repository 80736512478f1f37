"""Laws of the minute replay, through the public function: what is played, what runs, what is late
and why.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator import Operations, simulate
from planner.simulator.fleet import task_of
from planner.simulator.played import blocks_of, play_block
from planner.simulator.replay import play_all
from tests.builders import hand
from tests.builders.hand import KEY, MODEL, plan

USABLE = 300.0  # of 400 requests/s at which a replica saturates
QUIET = {"zone_losses_per_year": 0.0, "interruptions": False}
COMMON = settings(max_examples=6)


def capacity(spot_yield=1.0):
    found = hand.capacity(usable=USABLE, models={KEY: MODEL})
    return type(found)(
        found.frame.assign(spot_yield=spot_yield), found.headroom, found.needs, found.models, found.pools
    )


def parts(rates, replicas, *, spot=0, auto=(), burst=1.0, sized=None, **changes):
    """Scenario, plan and load of a service whose plan runs ``replicas`` on demand and ``spot``
    beside them.
    """
    rates = np.atleast_2d(np.asarray(rates, dtype=float))
    settings_ = {"scale_up_delay_s": 120.0, **dict(auto)}
    s = hand.scenario(
        **{"horizon_h": rates.shape[1], "services.web.autoscaling": settings_, "limits.max_spot_share": 0.9, **changes}
    )
    top = np.quantile(rates, 0.95, axis=0)
    rows = hand.schedule(s, replicas, rate=top if not np.any(spot) else top * 0.5)
    if np.any(spot):
        rows = pd.concat([rows, hand.schedule(s, spot, option="spot", rate=top * 0.5)], ignore_index=True)
    return plan(s, rows), s, hand.load(s, {"web": rates}, burst_factor=burst), sized or capacity()


def replay(rates, replicas, ops=None, **more):
    p, s, load, sized = parts(rates, replicas, **more)
    return simulate(p, s, load, sized, operations=Operations(**{**QUIET, **(ops or {})}))


def ran(r):
    return next(iter(r.running.values()))


def needed(rates):
    return np.maximum(np.ceil(np.asarray(rates) / USABLE), 1)


def waves(hours=48, low=300.0, high=2400.0, paths=1, seed=0):
    at = np.arange(hours)
    base = low + (high - low) * (1 - np.cos(at / 24 * 2 * np.pi)) / 2
    return base * np.random.default_rng(seed).lognormal(0, 0.05, (paths, hours))


@COMMON
@given(
    st.lists(st.floats(0, 3000), min_size=24, max_size=24),
    st.sampled_from(["hpa", "target_tracking", "keda"]),
    st.integers(1, 4),
    st.integers(4, 12),
)
def test_law_45_never_beyond_the_bounds(rates, autoscaler, least, most):
    auto = {"min_replicas": least, "max_replicas": most, "autoscaler": autoscaler}
    found = ran(replay(rates, np.clip(needed(rates), least, most), auto=auto))
    top = max(np.clip(needed(rates), least, most))
    assert found.min() >= least
    assert found.max() <= top


@COMMON
@given(st.floats(50, 3000), st.sampled_from(["hpa", "target_tracking", "keda", "ideal"]))
def test_law_48_constant_load_is_a_fixed_point(rate, autoscaler):
    found = ran(replay(np.full(24, rate), 12, {"autoscaler": autoscaler}))[2:, 0]
    assert (found == found[0]).all()


def test_law_49_a_longer_window_never_falls_earlier():
    falling = np.r_[np.full(6, 3000.0), np.full(18, 600.0)]
    runs = [ran(replay(falling, 10, {"scale_down_delay_s": w}))[:, 0] for w in (0, 300, 1800, 7200)]
    for shorter, longer in pairwise(runs):
        assert (longer >= shorter).all()
    assert runs[3].sum() > runs[0].sum() + 8


@COMMON
@given(st.lists(st.floats(0, 3000), min_size=24, max_size=24))
def test_law_50_without_delay_what_runs_is_the_pointwise_optimum(rates):
    found = ran(replay(rates, needed(rates), {"autoscaler": "ideal"}))[:, 0]
    # paths are kept in single precision
    assert found == pytest.approx(needed(np.asarray(rates, dtype=np.float32) * (1 - 1e-9)))


@COMMON
@given(
    st.lists(st.floats(0, 3000), min_size=24, max_size=24),
    st.integers(1, 8),
    st.integers(0, 3),
    st.floats(1, 3),
    st.sampled_from(["hpa", "target_tracking", "keda"]),
)
def test_law_51_tries_are_served_wait_or_are_given_up(rates, most, retries, burst, autoscaler):
    p, s, load, sized = parts(rates, np.minimum(needed(rates), most), burst=burst)
    ops = Operations(retries=retries, autoscaler=autoscaler, **QUIET)
    [played] = play_all([task_of("web", p, s, load, sized, ops)])
    kept = played.served_path + played.waiting_path + played.dropped_path
    assert kept == pytest.approx(played.tried_path, rel=1e-9, abs=1e-6)
    assert played.arrived_path == pytest.approx(np.sum(np.float32(rates), dtype=float) * 3600, rel=1e-6)
    assert (played.tried_path >= played.arrived_path * (1 - 1e-9)).all()
    late = played.late.sum() + played.every_path.sum()
    assert late == pytest.approx(played.arrived_path.sum(), rel=1e-9, abs=1e-6)


@COMMON
@given(
    st.integers(0, 1000),
    st.sampled_from(["hpa", "target_tracking", "keda", "ideal"]),
    st.sampled_from([1.0, 1.3, 6.0]),
    st.sampled_from([15.0, 60.0, 900.0]),
    st.integers(0, 1),
    st.sampled_from(["utilization", "requests_per_replica", "requests_arriving", "busy_share"]),
)
def test_steps_passed_over_are_those_in_which_nothing_happens(seed, autoscaler, burst, step_s, retries, metric):
    rates = waves(paths=3, seed=seed) * (np.arange(48) % 9 != seed % 9)  # some hours without load
    half = needed(rates.mean(axis=0) * 0.6)
    p, s, load, sized = parts(rates, half, spot=half, burst=burst, sized=capacity(0.98), **{"limits.zones": 3})
    ops = Operations(
        autoscaler=autoscaler, metric=metric, zone_losses_per_year=50.0, step_s=step_s, retries=retries, seed=seed
    )
    [block] = blocks_of(task_of("web", p, s, load, sized, ops))
    quick, whole = play_block(block), play_block(block, closely=True)
    for name, found in vars(quick).items():
        assert found.tobytes() == getattr(whole, name).tobytes(), name


@COMMON
@given(st.integers(0, 50), st.sampled_from(["utilization", "requests_per_replica", "requests_arriving", "busy_share"]))
def test_own_law_every_metric_follows_the_load_within_its_tolerance(seed, metric):
    """Whatever it looks at, the autoscaler ends within a tenth of its target, a replica more or less."""
    rates = np.repeat(np.random.default_rng(seed).uniform(300, 2400, 4), 12)
    found = ran(replay(rates, 12, {"metric": metric, "target_utilization": 0.75, "scale_down_delay_s": 300.0}))
    for last in (11, 23, 35, 47):
        exact = np.float32(rates[last]) / USABLE  # of 400 requests/s three quarters
        assert exact / 1.12 - 1 <= found[last, 0] <= exact / 0.89 + 1


def test_law_52_same_seed_same_bytes():
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    p, s, load, sized = parts(waves(paths=70), 10, spot=4, sized=capacity(0.9))
    here = simulate(p, s, load, sized)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        for executor in (threads, processes):
            r = simulate(p, s, load, sized, executor=executor)
            assert r.hours.equals(here.hours)
            assert r.path_within_share["web"].tobytes() == here.path_within_share["web"].tobytes()
            assert all(r.running[k].tobytes() == here.running[k].tobytes() for k in here.running)


@COMMON
@given(st.floats(1, 3.5), st.integers(0, 5))
def test_arrivals_keep_the_mean_of_their_hour_whatever_the_burst(burst, seed):
    rates = waves(seed=seed)
    p, s, load, sized = parts(rates, 10, burst=burst)
    [played] = play_all([task_of("web", p, s, load, sized, Operations(**QUIET))])
    assert played.arrived_hour == pytest.approx(load.services["web"].arrival_rate_rps[0] * 3600.0, rel=1e-5)


def test_paths_do_not_touch_each_other():
    rates = waves(paths=6)
    together = replay(rates, 10).path_within_share["web"]
    swapped = replay(rates[::-1], 10).path_within_share["web"]
    assert swapped.tolist() == together[::-1].tolist()
    assert replay(rates, 10).running != {}


@pytest.mark.parametrize("autoscaler", ["hpa", "target_tracking", "keda"])
def test_a_longer_start_up_is_never_better_on_rising_load(autoscaler):
    rising = np.repeat([300.0, 900.0, 1800.0, 2900.0], 6)
    shares = [
        replay(rising, 10, {"scale_up_delay_s": d, "autoscaler": autoscaler}).within_share()
        for d in (0, 120, 600, 1800)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[3] < shares[0]


def test_a_higher_ceiling_is_never_worse():
    shares = [replay(waves(), np.minimum(needed(waves()[0]), m)).within_share() for m in (2, 4, 6, 9)]
    assert shares == sorted(shares)
    assert shares[0] < shares[3]


def test_a_static_fleet_holds_what_the_clock_holds():
    rates = waves()
    by_clock = replay(rates, needed(rates[0]), {"policy": "scheduled"})
    static = replay(rates, needed(rates[0]), {"policy": "static"})
    assert static.within_share() >= by_clock.within_share()
    assert ran(static).sum() > ran(by_clock).sum()


def test_the_autoscaler_starts_from_zero_and_returns_to_it():
    rates = np.r_[np.zeros(4), np.full(4, 600.0), np.zeros(16)]
    auto = {"min_replicas": 0, "autoscaler": "keda"}
    found = ran(replay(rates, np.where(rates > 0, 2, 0), auto=auto))[:, 0]
    assert found[:4].tolist() == [0, 0, 0, 0]
    assert found[5:8].tolist() == [2, 2, 2]
    assert found[10:].tolist() == [0] * 14


def test_a_spike_that_clients_keep_up_never_ends():
    rates = np.r_[np.full(4, 900.0), [2000.0], np.full(19, 900.0)]
    same = {"policy": "static"}  # four replicas: 1,600 requests/s, a third of it with two retries
    calm = replay(rates, 4, {**same, "retries": 0}).hours["within_share"].to_numpy()
    kept = replay(rates, 4, {**same, "retries": 2}).hours["within_share"].to_numpy()
    assert calm[8:].tolist() == [1.0] * 16
    assert kept[5:].tolist() == [0.0] * 19
    below = np.where(rates > 900, 2000.0, 500.0)
    assert replay(below, 4, {**same, "retries": 2}).hours["within_share"].to_numpy()[6:].tolist() == [1.0] * 18


def test_a_lost_zone_shows_and_is_named():
    zones = {"limits": {"zones": 3, "zones_lost": 0}}
    rates = np.full((4, 48), 2900.0)
    calm = replay(rates, 10, **zones)
    struck = replay(rates, 10, {"zone_lost_at_peak": True, "scale_up_delay_s": 600.0}, **zones)
    assert calm.within_share() == 1.0
    assert struck.within_share() < 1.0
    assert struck.causes["cause"].iloc[0] == "zone_lost"
    assert "a zone lost in the busiest hour" in struck.notes[0]
    # one that keeps a zone in hand holds without waiting for replacements
    zones["limits"]["zones_lost"] = 1
    ready = replay(rates, 15, {"zone_lost_at_peak": True, "scale_up_delay_s": 3600.0}, **zones)
    assert ready.within_share() == 1.0


def test_four_fifths_on_spot_show_less_than_all_and_the_cause():
    rates = np.full((40, 48), 2900.0)
    with_risk = {"interruptions": True, "seed": 3}
    r = replay(rates, 2, with_risk, spot=8, sized=capacity(0.99))
    assert r.within_share() < 1.0
    assert r.causes.sort_values("late_share")["cause"].iloc[-1] == "spot_lost"
    assert "spot machines taken back" in r.objectives["played"].iloc[0]
    assert replay(rates, 2, spot=8, sized=capacity(0.99)).within_share() == 1.0  # not played, and not claimed:
    assert "spot" not in replay(rates, 2, spot=8, sized=capacity(0.99)).objectives["played"].iloc[0]
    on_demand = replay(rates, 10, {**with_risk, "zone_losses_per_year": 9.0}, sized=capacity(0.99))
    assert on_demand.within_share() == 1.0  # no spot machine to take, one zone only


def test_correlated_losses_need_more_than_independent_ones():
    """Of a fleet of spot machines sized so that independent losses leave enough nearly always,
    shocks that take whole pools leave too few; the share with shocks is the one to plan on.
    """
    rates, same = np.full((60, 96), 2700.0), {"interruptions": True, "policy": "static", "scale_up_delay_s": 300.0}
    sized = capacity(0.9995)
    alone = replay(rates, 1, {**same, "shock_share": 0.0}, spot=10, sized=sized)
    shocks = replay(rates, 1, {**same, "shock_share": 0.5, "everywhere_share": 1.0}, spot=10, sized=sized)
    floor = replay(rates, 9, {**same, "shock_share": 0.5, "everywhere_share": 1.0}, spot=2, sized=sized)
    assert alone.within_share() > 0.999
    assert shocks.within_share() < alone.within_share() - 0.001
    assert floor.within_share() > shocks.within_share()  # an on-demand floor is the answer


def test_what_is_not_played_changes_nothing_and_shares_are_consistent():
    rates = waves(paths=5)
    r = replay(rates, 5, {"seed": 1})
    assert r.within_share() == replay(rates, 5, {"seed": 2}).within_share()
    row = r.objectives.iloc[0]
    assert row["worst_hour_share"] <= row["within_share"]
    assert r.hours["within_share"].min() == row["worst_hour_share"]
    every = r.path_within_share["web"]
    volume = rates.astype(np.float32).sum(axis=1, dtype=float)
    assert r.causes["late_share"].sum() == pytest.approx(1 - np.average(every, weights=volume), rel=1e-4)
    assert replay(rates, 12, {"policy": "static"}).causes.empty


def test_a_plan_that_does_not_hold_is_reported_with_its_cause():
    assert replay(np.full((2, 48), 1500.0), 5, {"policy": "static"}).broken() == []
    [sentence] = replay(np.full((2, 48), 1500.0), 5, {"load_factor": 1.4, "policy": "static"}).broken()
    assert "latency_p99_s does not hold in the replay: 0.00 % of requests in time where 99 % are asked" in sentence
    assert "more load than the whole fleet bears" in sentence


def test_more_load_than_was_planned_for_is_told_apart_from_what_does_not_hold():
    """One future in twenty asks more than the plan, made for the quantile .95, is ready for."""
    rates = np.full((20, 48), 1400.0)
    rates[7] = 2600.0
    held = replay(rates, 5, {"policy": "static"})
    row = held.objectives.iloc[0]
    assert row["within_share"] == pytest.approx(0.95)
    assert row["beyond_plan_share"] == pytest.approx(0.05)
    assert held.broken() == []
    small = replay(rates, 3, {"policy": "static"})  # too few for what was planned for
    assert small.objectives["beyond_plan_share"].item() < 0.1
    [sentence] = small.broken()
    assert "0.00 % of requests in time" in sentence


def test_more_load_in_one_hour_is_no_excuse_for_another():
    """On the first day one future asks more and is served; on the second the fleet is too small for all."""
    rates = np.full((20, 48), 1400.0)
    rates[7, :24] = 2600.0
    found = replay(rates, np.where(np.arange(48) < 24, 10, 3), {"policy": "scheduled"})
    assert found.objectives["within_share"].item() == pytest.approx(0.5, abs=0.02)
    assert found.objectives["beyond_plan_share"].item() == 0.0
    assert found.broken()


def test_late_for_another_cause_is_never_laid_to_the_load():
    """Machines that start too late are the plan's own fault, however the load compares."""
    steps = np.tile(np.r_[np.full(4, 290.0), np.full(4, 1500.0)], (4, 6))
    found = replay(steps, needed(steps[0]), auto={"scale_up_delay_s": 1800.0})
    row = found.objectives.iloc[0]
    assert row["within_share"] < 0.97
    assert row["beyond_plan_share"] == 0.0
    assert found.broken()


def test_steps_of_a_quarter_minute_say_the_same():
    rates = waves(paths=3)
    coarse, fine = (replay(rates, needed(rates[0]), {"step_s": s}) for s in (60.0, 15.0))
    assert fine.within_share() == pytest.approx(coarse.within_share(), abs=0.02)
    assert ran(fine).mean() == pytest.approx(ran(coarse).mean(), rel=0.03)


@COMMON
@given(st.floats(0.1, 10), st.sampled_from(["hpa", "target_tracking", "keda"]))
def test_law_47_load_and_replicas_of_another_size_behave_alike(k, autoscaler):
    """What bears k times as much under k times the load is scaled alike."""
    rates, plans = waves(), needed(waves()[0])
    frame_ = hand.capacity(usable=USABLE * k, models={KEY: _Faster(k)})
    scaled = replay(rates * k, plans, {"autoscaler": autoscaler}, sized=frame_)
    base = replay(
        rates, plans, {"autoscaler": autoscaler}, sized=hand.capacity(usable=USABLE, models={KEY: _Faster(1.0)})
    )
    assert ran(scaled) == pytest.approx(ran(base), rel=0.05)


class _Faster:
    """The model of ``MODEL`` on a machine k times as fast, with the same latencies."""

    def __init__(self, k):
        self.k = k

    def latency_s(self, rate, replicas, quantile, metric="latency"):
        return MODEL.latency_s(np.asarray(rate) / self.k, replicas, quantile, metric)
