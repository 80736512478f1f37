"""The replay: answers known from the models it stands on, and the laws of a simulator."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from planner.errors import PlannerError
from planner.simulator import simulate
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
