"""The replay: answers known from the models it stands on, and the laws of a simulator."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.simulator import hpa, simulate
from tests.builders import hand
from tests.builders.hand import KEY, MODEL, plan

# p99 within 0.3 s
GOODPUT = MODEL.goodput_rps(hand.scenario().services["web"].objective).arrival_rate_rps


def replay(rates, replicas, *, burst=1.0, delay=0.0, executor=None, policy="scheduled", **changes):
    changes = {"services.web.autoscaling": {"scale_up_delay_s": delay, "policy": policy}, **changes}
    s = hand.scenario(**changes)
    load = hand.load(s, {"web": rates}, burst_factor=burst)
    return simulate(
        plan(s, hand.schedule(s, replicas, rate=np.quantile(rates, 0.95, axis=0))),
        s,
        load,
        hand.capacity(models={KEY: MODEL}),
        executor=executor,
    )


def test_within_below_and_outside_above_the_goodput():
    for scale, share in ((0.995, 1.0), (1.01, 0.0)):
        r = replay(np.full((3, 48), GOODPUT * 2 * scale), 2)
        assert r.within_share("web") == pytest.approx(share)
        assert r.objectives["within_share"].tolist() == pytest.approx([share])


def test_latency_is_the_models_own():
    r = replay(np.full((3, 48), 500.0), 2)
    assert r.hours["typical_latency_s"].to_numpy() == pytest.approx(float(MODEL.latency_s(500.0, 2, 0.99)), rel=0.01)


def test_the_load_multiplier_names_the_hour_with_least_room():
    rates = np.full((5, 48), 300.0)
    rates[:, 17] = 380.0
    row = replay(rates, 1).breaks.iloc[0]
    assert row["load_multiplier"] == pytest.approx(GOODPUT / 380.0, rel=2e-3)
    assert row["breaks_at"] == pd.Timestamp("2027-01-31T17:00Z")
    assert "latency_p99_s" in row["sentence"]


def test_bursts_take_their_share_of_requests():
    # the five busiest minutes fail, the rest of the hour holds: 1.01/12 of the requests are late
    r = replay(np.full((2, 48), GOODPUT * 0.995), 1, burst=1.01)
    assert r.within_share() == pytest.approx(1 - 1.01 / 12)


def test_starting_replicas_are_late():
    rates, replicas = np.full((2, 48), 300.0), np.full(48, 1)
    rates[:, 24:], replicas[24:] = (GOODPUT + 400) / 2, 2  # late on one, but nothing waits
    r = replay(rates, replicas, delay=900.0)
    at = r.hours.set_index("ts")["within_share"]
    assert at.loc["2027-02-01T00:00Z"] == pytest.approx(0.75)
    assert at.drop(pd.Timestamp("2027-02-01T00:00Z")).to_numpy() == pytest.approx(1.0)


def test_backlog_is_carried_and_hours_with_it_are_outside():
    rates = np.full((1, 48), 200.0)
    rates[:, 10] = 500.0
    r = replay(rates, 1)
    hours = r.hours.set_index("ts")
    assert hours["backlog_requests"].iloc[10] == pytest.approx((500 - 400) * 3600, rel=1e-3)
    assert hours["backlog_requests"].iloc[11] == 0.0
    # 360,000 wait and 200 more are served than arrive a second: half an hour
    assert hours["within_share"].iloc[[9, 10, 11, 12]].tolist() == pytest.approx([1.0, 0.0, 0.5, 1.0], abs=1 / 60)


def test_retries_load_the_replicas():
    assert replay(np.full((2, 48), GOODPUT * 0.95), 1).within_share() == pytest.approx(1.0)
    assert replay(
        np.full((2, 48), GOODPUT * 0.95), 1, **{"services.web.retry_share": 0.1}
    ).within_share() == pytest.approx(0.0)


def test_law_52_the_executor_does_not_matter():
    rates = np.random.default_rng(1).gamma(4, 80, (20, 48))
    here = replay(rates, 1)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        for r in (replay(rates, 1, executor=threads), replay(rates, 1, executor=processes)):
            pd.testing.assert_frame_equal(r.hours, here.hours, check_exact=True)
            assert r.path_within_share["web"].tobytes() == here.path_within_share["web"].tobytes()


def test_nothing_runs():
    r = replay(np.full((2, 48), 5.0), np.r_[1, np.zeros(47)])
    assert r.within_share() == pytest.approx(1 / 48)
    assert r.breaks["load_multiplier"].tolist() == [0.0]


def test_other_hours_are_refused():
    s = hand.scenario()
    later = hand.scenario(start="2028-01-01")
    with pytest.raises(PlannerError, match="hours that the load does not cover"):
        simulate(
            plan(s, hand.schedule(s, 1)), s, hand.load(later, {"web": np.ones(48)}), hand.capacity(models={KEY: MODEL})
        )


# the autoscaler's own laws; facts of Kubernetes stand in tests/reference/test_autoscaling.py

POLICIES = st.lists(
    st.builds(hpa.Policy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.sampled_from([15, 60])),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(
    st.integers(1, 200),
    st.integers(0, 500),
    st.integers(1, 50),
    st.integers(0, 200),
    POLICIES,
    POLICIES,
    st.sampled_from(["Max", "Min", "Disabled"]),
)
def test_law_45_never_beyond_the_bounds(at, desired, low, room, up, down, select):
    high = low + room
    got, _ = hpa.limited(low + at % (room + 1), desired, low, high, up=up, down=down, select=select)
    assert low <= got <= high


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(20, 90), st.integers(1, 30), st.integers(2, 7))
def test_laws_46_and_47_tolerance_and_scale(usage, target, pods, k):
    group = [hpa.Pod("ready", usage, 100)] * pods
    got, seen = hpa.desired_from_utilization(pods, target, group)
    if abs(1 - seen / target) <= hpa.TOLERANCE:
        assert got == pods
    bigger = [hpa.Pod("ready", usage * k, 100 * k)] * pods
    assert hpa.desired_from_utilization(pods, target, bigger) == (got, seen)


@settings(deadline=None)
@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.builds(hpa.Change, st.floats(0, 900), st.integers(1, 100)), max_size=8),
)
def test_law_49_a_longer_down_window_never_falls_earlier(current, desired, past):
    waits = [hpa.stabilized(current, desired, past, down_window_s=w) for w in (0, 100, 300, 800)]
    assert waits == sorted(waits)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(10, 90))
def test_law_48_constant_load_reaches_a_fixed_point(work, target):
    n, seen = 1, []
    for _ in range(60):
        n = max(1, hpa.desired_from_utilization(n, target, [hpa.Pod("ready", max(work // n, 1), 100)] * n)[0])
        seen.append(n)
    assert seen[-1] == seen[-2]
