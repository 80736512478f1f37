"""Bursts within the hour: measured where the file shows them, else by the rate and how hours move."""

import numpy as np
import pandas as pd
import pytest

from planner.load import read_traffic
from planner.load.bursts import MOST_BURST, assumed_burst
from planner.scenario import TrafficSource
from tests.bench.bench_bursts import by_class, judged


def history(tmp_path, rate, interval_s=3600, **source):
    """A history of ``rate`` [requests/s] read from a file."""
    path = tmp_path / "h.csv"
    ts = pd.date_range("2026-03-02", periods=len(rate), freq=f"{interval_s}s", tz="UTC")
    pd.DataFrame({"ts": ts, "arrival_rate_rps": rate}).to_csv(path, index=False)
    return read_traffic(TrafficSource(file=str(path), **source))


def test_buckets_of_public_series_above_the_factor_by_class_of_rates(reference):
    found = list(judged(reference("traffic")))
    assert len(found) >= 10
    for bounds, share in by_class(found).items():
        assert share <= 0.07, bounds


def test_a_constant_load_bursts_by_what_no_autoscaler_answers_and_independent_arrivals(tmp_path):
    for rate in (0.5, 100.0, 1e5):
        found = history(tmp_path, np.full(24 * 20, rate))
        assert found.burst_basis == "assumed"
        assert found.burst_factor == pytest.approx(1.1 + 1.645 / np.sqrt(300 * rate))


@pytest.mark.parametrize("rate", [0.05, 1.0, 50.0])
def test_the_factor_leaves_at_most_one_bucket_in_twenty_of_independent_arrivals(tmp_path, rate):
    rng = np.random.default_rng(int(rate * 100))
    buckets = rng.poisson(rate * 300, 24 * 12 * 60).astype(float)
    found = history(tmp_path, buckets.reshape(-1, 12).sum(axis=1) / 3600)
    assert (buckets > found.burst_factor * rate * 300).mean() <= 0.055
    assert (
        buckets > (1 + 1.0 / np.sqrt(300 * rate)) * rate * 300
    ).mean() > 0.055  # one standard deviation would not do


def test_the_more_the_hours_move_the_more_they_burst(tmp_path):
    rng, t = np.random.default_rng(2), np.arange(24 * 40)
    wave = 20 + 8 * np.sin(t / 24 * 2 * np.pi)
    found = [history(tmp_path, wave * np.exp(s * rng.standard_normal(len(t)))).burst_factor for s in (0, 0.1, 0.3, 0.6)]
    assert found == sorted(found)
    assert found[0] < 1.2
    assert found[-1] > 1.4


def test_a_stated_factor_goes_before_what_is_measured(tmp_path):
    fine = 10 * np.tile([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5.0], 24 * 10)
    assert history(tmp_path, fine, 300).burst_factor == pytest.approx(5 / (16 / 12))
    stated = history(tmp_path, fine, 300, burst_factor=1.2)
    assert (stated.burst_factor, stated.burst_basis) == (1.2, "stated")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        TrafficSource(file="h.csv", burst_factor=0.5)


def test_all_of_an_hour_in_one_bucket_is_the_most():
    assert assumed_burst(1e-9) == MOST_BURST
    assert assumed_burst(0.0) == 1.0


def test_hours_of_a_shape_say_nothing_of_bursts(tmp_path):
    days = pd.DataFrame({"ts": pd.date_range("2026-01-01", periods=60, freq="D", tz="UTC"), "requests": 86_400.0 * 100})
    days.to_csv(tmp_path / "d.csv", index=False)
    found = read_traffic(TrafficSource(file=str(tmp_path / "d.csv"), shape="office"))
    assert found.burst_factor == pytest.approx(assumed_burst(100.0), rel=0.01)
