"""The forecaster: hard histories, clocks, agreement of paths with quantiles, backtest."""

import numpy as np
import pandas as pd
import pytest

from planner.data import data_path
from planner.errors import TrafficError
from planner.load import Traffic, backtest, forecast, forecast_quantiles, read_traffic
from planner.load.blend import weights
from planner.load.clock import days_off, wall_grid
from planner.scenario import Scenario

QS = [0.5, 0.9, 0.95, 0.99]


def series(values: np.ndarray, start: str = "2026-01-05", **attrs: object) -> pd.Series:
    found = pd.Series(np.asarray(values, dtype=float), index=pd.date_range(start, periods=len(values), freq="h"))
    found.attrs = dict(attrs)
    return found


def wavy(hours: int, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    t, rng = np.arange(hours), np.random.default_rng(seed)
    return np.maximum(
        0,
        (10 + 6 * np.sin(t / 24 * 2 * np.pi))
        * np.where(t // 24 % 7 < 5, 1, 0.5)
        * (1 + noise * rng.standard_normal(hours)),
    )


RNG = np.random.default_rng(5)
HARD = {
    "three days": wavy(72),
    "two days": wavy(48),
    "thirty hours": wavy(30),
    "ten years": wavy(24 * 3650),
    "constant": np.full(24 * 60, 7.0),
    "all zero": np.zeros(24 * 60),
    "one value": np.where(np.arange(1440) == 700, 5.0, 0.0),
    "40 % gaps": np.where(RNG.random(24 * 90) < 0.4, np.nan, wavy(24 * 90)),
    "long outage": np.where(np.arange(2000) // 500 == 2, np.nan, wavy(2000)),
    "ends in a gap": np.concatenate([wavy(1000), np.full(50, np.nan), [10.0]]),
    "one hour seen": np.where(np.arange(200) == 100, 4.0, np.nan),
    "level shift": np.concatenate([wavy(1000), 50 * wavy(500)]),
    "tiny": wavy(1500) * 1e-9,
    "huge": wavy(1500) * 1e12,
    "negative": wavy(1500) - 20,
    "counts": RNG.poisson(0.3, 3000).astype(float),
    "bursts": np.where(RNG.random(2000) < 0.003, 900.0, wavy(2000)),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("horizon", [1, 700])
def test_every_history_gives_ordered_finite_quantiles(name, horizon):
    found = forecast_quantiles(series(HARD[name]), horizon, QS)
    assert found.shape == (horizon, 4)
    assert np.isfinite(found.to_numpy()).all()
    assert (np.diff(found.to_numpy(), axis=1) >= 0).all()
    top, low = np.nanmax(HARD[name]), np.nanmin(HARD[name])
    assert found.to_numpy().max() <= max(2.5 * top, top + 30) + 1e-12
    assert found.to_numpy().min() >= min(low, 0) - 1e-9
    assert all(np.isfinite(v) for v in found.attrs["peak"].values())


def test_a_constant_is_forecast_as_itself():
    np.testing.assert_allclose(forecast_quantiles(series(HARD["constant"]), 672, QS), 7.0, rtol=1e-6)


def test_a_pure_weekly_pattern_is_repeated():
    y = wavy(24 * 84, noise=0.0)
    found = forecast_quantiles(series(y[:-168]), 168, [0.5])
    np.testing.assert_allclose(found[0.5], y[-168:], rtol=0.02)


def test_unit_changes_nothing_but_the_scale():
    y = wavy(24 * 50)
    a, b = (forecast_quantiles(series(k * y), 168, QS).to_numpy() for k in (1.0, 3600.0))
    np.testing.assert_allclose(b, 3600 * a, rtol=1e-4)


def test_wall_clock_keeps_the_morning_at_its_hour_through_daylight_saving():
    utc = pd.date_range("2026-08-01", periods=24 * 90, freq="h")
    local = utc.tz_localize("UTC").tz_convert("Europe/Berlin")
    y = pd.Series(np.where((local.hour >= 8) & (local.hour < 20), 10.0, 1.0), index=utc)
    cut = y.index.get_loc(pd.Timestamp("2026-10-24"))
    train = y.iloc[:cut]
    train.attrs = {"tz": "Europe/Berlin", "clock": "utc"}
    np.testing.assert_allclose(forecast_quantiles(train, 96, [0.5])[0.5], y.iloc[cut : cut + 96], rtol=0.02)
    train.attrs = {"tz": "Europe/Berlin", "clock": "wall (written as Z)"}
    assert np.abs(forecast_quantiles(train, 96, [0.5])[0.5] - y.iloc[cut : cut + 96]).max() > 5


def test_a_spring_day_has_23_wall_hours_and_an_autumn_day_25():
    for start, hours in (("2026-03-28T23:00", 23), ("2026-10-24T22:00", 25)):
        grid = wall_grid(
            pd.Series(1.0, index=pd.date_range("2026-01-01", start, freq="h", inclusive="left")),
            hours,
            "Europe/Berlin",
            None,
        )
        assert len(set((grid.first + len(grid.y) + grid.ahead) // 24)) == 1
        assert grid.ahead.max() == 23


def test_holidays_are_days_off_where_the_country_is_known():
    first = int(pd.Timestamp("2026-12-24").value // 3_600_000_000_000)
    assert days_off(first, 72, None).sum() == 24  # Saturday 26 December
    assert days_off(first, 72, "DE").sum() == 48
    with pytest.raises(TrafficError, match="public holidays"):
        days_off(first, 72, "XX")


def test_weights_are_a_mixture_and_find_the_good_expert():
    truth = RNG.random(2000)
    said = np.column_stack([truth + 0.01 * RNG.standard_normal(2000), RNG.random(2000), np.full(2000, 0.5)])
    found = weights(said, truth, np.ones(2000))
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert found[0] > 0.9


@pytest.mark.parametrize(("values", "message"), [(np.full(100, np.nan), "no observed hour")])
def test_nothing_to_learn_from_is_refused(values, message):
    with pytest.raises(TrafficError, match=message):
        forecast_quantiles(series(values), 24, QS)
    with pytest.raises(TrafficError, match="quantiles"):
        forecast_quantiles(series(wavy(100)), 24, [1.5])


def test_quantiles_are_calibrated_on_noise_of_a_known_kind():
    hits, peaks = [], []
    for seed in range(12):
        y = wavy(24 * 70, noise=0.15, seed=seed)
        found = forecast_quantiles(series(y[:-168]), 168, QS)
        hits.append((y[-168:, None] <= found.to_numpy()).mean(axis=0))
        peaks.append(y[-168:].max() <= found.attrs["peak"][168])
    share = np.mean(hits, axis=0)
    assert share[0] == pytest.approx(0.5, abs=0.06)
    assert share[1] == pytest.approx(0.9, abs=0.03)
    assert 0.975 <= share[3] <= 0.999
    assert np.mean(peaks) >= 0.8


def plan(**changes: object) -> Scenario:
    raw = {
        "name": "t",
        "start": "2026-11-02",
        "horizon_h": 672,
        "time_zone": "Europe/Berlin",
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "services": {"web": {"traffic": "web.csv", "latency": {"model": "any"}, "objective": {"latency_p99_s": 0.3}}},
    }
    return Scenario.model_validate({**raw, **changes})


def test_paths_have_the_quantiles_of_the_forecast():
    web = read_traffic(data_path("traffic", "web.csv"))
    load = forecast(web, plan(), paths=1000)
    history = web.hourly()
    history.attrs.update({"tz": "Europe/Berlin", "clock": "utc"})
    said = forecast_quantiles(history, 672, [0.5, 0.9, 0.99])
    assert said.index[1] == load.ts[0]
    for q in (0.5, 0.9, 0.99):
        np.testing.assert_allclose(load.quantile("web", q)[:-1], said[q].to_numpy()[1:], rtol=0.02)


def test_paths_keep_the_dependence_of_neighboring_hours():
    t = np.arange(24 * 7 * 20)
    rng = np.random.default_rng(3)
    slow = pd.Series(rng.standard_normal(len(t))).ewm(alpha=0.05).mean().to_numpy() * 2
    y = (10 + 5 * np.sin(t / 24 * 2 * np.pi)) * np.exp(0.3 * slow)
    history = Traffic("made", pd.Timestamp("2026-06-01", tz="UTC"), 3600, y, user_time_zone="UTC")
    load = forecast(history, plan(start="2026-11-01", time_zone="UTC"), paths=200)
    rate = load.services["web"].arrival_rate_rps
    rate = rate / rate.mean(axis=1, keepdims=True)  # what a path's whole level does stays over the months
    near = np.mean([np.corrcoef(rate[:, h], rate[:, h + 1])[0, 1] for h in range(200, 600, 7)])
    far = np.mean([np.corrcoef(rate[:, h], rate[:, h + 300])[0, 1] for h in range(200, 370, 7)])
    assert near > 0.8
    assert far < near - 0.3


def test_backtest_names_the_naive_and_beats_it_on_a_noisy_week():
    web = read_traffic(data_path("traffic", "web.csv"))
    table = backtest(web, origins=3, time_zone="Europe/Berlin")
    assert list(table["horizon_h"]) == [24, 168, 672]
    assert (table["wql_ratio"] < 1).all()
    assert (table["windows"] == 3).all()
    assert table["coverage_99_share"].between(0.9, 1).all()
    with pytest.raises(TrafficError, match="ten days"):
        backtest(Traffic("s", pd.Timestamp("2026-01-01", tz="UTC"), 3600, wavy(100)))
