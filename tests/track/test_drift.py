"""Drift: false alarms at their nominal rate whenever looked at, and changes that are found."""

import numpy as np
import pandas as pd
import pytest

from planner.load import Load, ServiceLoad, Traffic
from planner.track import sequential
from planner.track.drift import of_latency, of_load

HOURS = 24 * 42
TS = pd.date_range("2027-01-04", periods=HOURS, freq="h", tz="UTC").as_unit("us")


def curves(count, seed):
    """Stationary loads whose level wanders for days and weeks, so that hours fail together."""
    rng = np.random.default_rng(seed)
    shape = 10 + 5 * np.sin(np.arange(HOURS) * 2 * np.pi / 24)
    level = np.zeros((count, HOURS))
    for keep, sd in ((0.9, 0.05), (0.995, 0.08)):
        x = rng.normal(0, sd, count)
        for h in range(HOURS):
            x = keep * x + rng.normal(0, sd * np.sqrt(1 - keep**2), count)
            level[:, h] += x
    return (shape * np.exp(level)).astype(np.float32)


@pytest.fixture(scope="module", name="load")
def planned_load():
    return Load(TS, np.ones(HOURS), {"web": ServiceLoad(curves(200, 1))})


def finding(load, rate):
    return next(of_load(load, {"web": Traffic("now", TS[0], 3600, np.asarray(rate, dtype=np.float64))}))


def test_false_alarms_on_stationary_loads_are_near_nominal_at_any_look(load):
    alarms = [finding(load, y).drifted for y in curves(120, 2)]
    assert np.mean(alarms) <= 0.075  # 5 % nominal and two points


def test_a_shift_is_found_and_its_day_told(load):
    days = []
    for y in curves(20, 3):
        raised = y * np.where(np.arange(HOURS) >= 24 * 7, 1.4, 1.0)
        found = finding(load, raised)
        if found.drifted and found.side == "above":
            days.append((found.known_since - TS[0]) / pd.Timedelta(days=1) - 7)
    assert len(days) >= 16
    assert np.median(days) <= 21
    assert finding(load, curves(1, 4)[0] * 0.6).side == "below"


def test_evidence_only_grows_and_gaps_are_left_out(load):
    y = curves(1, 5)[0].astype(np.float64)
    y[100:300] = np.nan
    assert finding(load, y).days == pytest.approx((HOURS - 200) / 24)
    sides = sequential.outside_of(load.services["web"].arrival_rate_rps, y, 0.8)
    found = sequential.beyond(*sides["above"], np.isfinite(y))
    assert (np.diff(found.p_value) <= 0).all()
    assert not list(of_load(load, {"web": Traffic("now", TS[0], 3600, y[:48])}))


def test_bets_are_fair_at_the_bound_and_win_beyond_it():
    rng = np.random.default_rng(6)
    fair = [sequential.bets(rng.random(120) < 0.5).last <= 0.05 for _ in range(800)]
    assert np.mean(fair) <= 0.07
    late = np.arange(90) >= 30
    assert 5 <= sequential.bets(late).first_below(0.025) - 30 <= 25
    assert sequential.bets(np.zeros(0, dtype=bool)).last == 1.0


@pytest.mark.parametrize(("slow", "drifts"), [(1.0, False), (1.5, True)])
def test_latency_of_a_simulated_service(slow, drifts):
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(40):
        came = 0.2 * np.exp(rng.normal(0, 0.1, HOURS)) * np.where(np.arange(HOURS) >= 24 * 10, slow, 1.0)
        key = ("web", "latency_p99_s")
        alarms.append(next(of_latency({key: 0.2}, {key: pd.Series(came, TS)}, {"web": 0.1})))
    assert np.mean([a.drifted for a in alarms]) == float(drifts)
    if drifts:
        assert max(a.known_since for a in alarms) <= TS[24 * 26]
