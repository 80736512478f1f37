"""Load paths: calendar, growth, events, determinism, hard histories."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.data import data_path
from planner.errors import TrafficError
from planner.load import Traffic, forecast, read_traffic
from planner.scenario import Scenario

BASE = {
    "name": "t",
    "start": "2027-01-01",
    "time_zone": "Europe/Berlin",
    "providers": ["aws"],
    "regions": ["us-east-1"],
    "seed": 7,
}


def scenario(
    horizon_h: int = 8760,
    zone: str = "Europe/Berlin",
    start: str = "2027-01-01",
    names: tuple[str, ...] = ("web",),
    **service: object,
) -> Scenario:
    one = {"traffic": "web.csv", "latency": {"model": "any"}, "objective": {"latency_p99_s": 0.3}, **service}
    return Scenario.model_validate(
        {**BASE, "start": start, "time_zone": zone, "horizon_h": horizon_h, "services": dict.fromkeys(names, one)}
    )


def history(rate: np.ndarray, start: str = "2026-08-01T00:00Z", interval_s: int = 3600, **more: object) -> Traffic:
    return Traffic("made", pd.Timestamp(start).as_unit("us"), interval_s, np.asarray(rate, dtype=float), **more)


def berlin(weeks: int, start: str = "2026-06-01T00:00Z") -> np.ndarray:
    local = pd.date_range(start, periods=weeks * 168, freq="h").tz_convert("Europe/Berlin")
    return np.where(local.day_of_week < 5, 10.0, 4.0) * (1.2 + np.sin((local.hour.to_numpy() - 6) / 24 * 2 * np.pi))


@pytest.fixture(scope="module")
def web() -> Traffic:
    return read_traffic(data_path("traffic", "web.csv"))


def test_the_year_has_its_own_hours_and_keeps_the_level(web):
    load = forecast(web, scenario())
    assert (load.paths, load.hours) == (200, 8760)
    assert load.ts[0] == pd.Timestamp("2026-12-31T23:00Z")
    assert load.services["web"].arrival_rate_rps.dtype == np.float32
    assert load.services["web"].arrival_rate_rps.mean() == pytest.approx(web.hourly().iloc[-8 * 168 :].mean(), rel=0.1)


def test_shape_follows_the_users_wall_clock_through_daylight_saving():
    load = forecast(history(berlin(12), "2026-06-01T00:00Z"), scenario())
    local = load.ts.tz_convert("Europe/Berlin")
    mean = load.services["web"].arrival_rate_rps.mean(axis=0)
    noon = [mean[(local.hour == 12) & (local.day_of_week < 5) & (local.month == m)].mean() for m in (1, 7)]
    assert noon[0] == pytest.approx(noon[1], rel=0.02)
    assert noon[0] == pytest.approx(10 * 2.2, rel=0.05)


def test_public_holidays_are_planned_as_sundays():
    plain, known = (forecast(history(berlin(12), "2026-06-01T00:00Z", holidays=h), scenario()) for h in (None, "DE"))
    local = plain.ts.tz_convert("Europe/Berlin")
    may_day = (local.strftime("%m-%d") == "05-01") | (
        local.strftime("%m-%d") == "05-06"
    )  # Saturday; Ascension, a Thursday
    assert known.quantile("web", 0.5)[may_day].mean() < 0.75 * plain.quantile("web", 0.5)[may_day].mean()
    usual = local.strftime("%m-%d") == "06-16"
    np.testing.assert_allclose(known.quantile("web", 0.5)[usual], plain.quantile("web", 0.5)[usual], rtol=0.05)


def test_a_shifted_level_is_flagged():
    rate = berlin(12)
    rate[-168:] *= 2.5
    assert any("times the four before" in n for n in forecast(history(rate, "2026-06-01T00:00Z"), scenario(100)).notes)
    assert not any(
        "times the four before" in n for n in forecast(history(berlin(12), "2026-06-01T00:00Z"), scenario(100)).notes
    )


def test_same_seed_same_bytes_other_seed_other_paths(web):  # law 52
    a, b, c = (forecast(web, scenario(500), paths=20, seed=s).services["web"].arrival_rate_rps for s in (3, 3, 4))
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != c.tobytes()


def test_growth_counts_from_the_end_of_history(web):
    flat, grown = (forecast(web, scenario(growth_share_per_year=g)) for g in (0.0, 1.0))
    ratio = np.divide(*(x.services["web"].arrival_rate_rps.mean(axis=0, dtype=float) for x in (grown, flat)))
    years = (flat.ts - web.end).total_seconds() / (365.2425 * 86400)
    np.testing.assert_allclose(ratio, 2.0**years, rtol=1e-4)


def test_a_range_of_growth_widens_the_year_and_is_named_as_the_cause(web):
    sure = forecast(web, scenario(growth_share_per_year=0.5))
    unsure = forecast(web, scenario(growth_share_per_year={"low": 0.0, "likely": 0.5, "high": 6.0}))
    assert unsure.volume("web").std() > 1.3 * sure.volume("web").std()
    assert sure.services["web"].range_share["growth"] == pytest.approx(0, abs=1e-9)
    assert unsure.services["web"].range_share["growth"] > 0.3
    assert sum(unsure.services["web"].range_share.values()) == pytest.approx(1)


def test_events_multiply_or_add_within_their_local_days(web):
    events = [
        {"name": "launch", "start": "2027-03-28", "end": "2027-03-29", "multiplier": 3.0},
        {"name": "batch", "start": "2027-01-05T10:30:00", "end": "2027-01-05T12:00:00", "added_rps": 1000.0},
    ]
    plain, busy = forecast(web, scenario()), forecast(web, scenario(events=events))
    a, b = (x.services["web"].arrival_rate_rps.astype(float) for x in (plain, busy))
    local = plain.ts.tz_convert("Europe/Berlin")
    launch = local.strftime("%Y-%m-%d") == "2027-03-28"
    assert launch.sum() == 23  # the day loses an hour to summer time
    np.testing.assert_allclose(b[:, launch], 3 * a[:, launch], rtol=1e-5)
    batch = local.strftime("%Y-%m-%d %H") == "2027-01-05 10"
    np.testing.assert_allclose(b[:, batch], a[:, batch] + 500, rtol=1e-5)
    rest = ~launch & (local.strftime("%Y-%m-%d") != "2027-01-05")
    np.testing.assert_array_equal(a[:, rest], b[:, rest])


def test_an_old_history_is_taken_as_the_level_at_the_start_and_says_so():
    load = forecast(history(berlin(12, "1998-05-04T00:00Z"), "1998-05-04T00:00Z"), scenario(growth_share_per_year=1.0))
    assert any("years before the plan starts" in n for n in load.notes)
    level = float(np.mean(berlin(12, "1998-05-04T00:00Z")))
    assert np.median(load.services["web"].arrival_rate_rps[:, :168].mean(axis=1)) == pytest.approx(level, rel=0.1)


def test_services_share_their_surprises(web):
    load = forecast({"a": web, "b": web}, scenario(2000, names=("a", "b")))
    a, b = (load.services[n].arrival_rate_rps for n in "ab")
    assert np.corrcoef(a.mean(axis=1), b.mean(axis=1))[0, 1] > 0.9


def test_several_services_need_a_mapping(web):
    with pytest.raises(TrafficError, match="mapping"):
        forecast(web, scenario(names=("a", "b")))
    with pytest.raises(TrafficError, match="no traffic history"):
        forecast({"a": web}, scenario(names=("a", "b")))


HARD = {
    "three days": np.abs(np.sin(np.arange(72) / 24 * np.pi)) * 5,
    "constant": np.full(24 * 30, 7.0),
    "all zero": np.zeros(24 * 30),
    "one value, then nothing": np.where(np.arange(24 * 30) == 5, 3.0, 0.0),
    "level shift": np.concatenate([np.full(24 * 20, 1.0), np.full(24 * 10, 50.0)]),
    "gaps": np.where(
        np.random.default_rng(0).random(24 * 40) < 0.4, np.nan, 10 + np.sin(np.arange(24 * 40) / 24 * 2 * np.pi)
    ),
    "tiny": np.random.default_rng(1).poisson(0.05, 24 * 60) / 3600,
    "ten years": 10 + 5 * np.sin(np.arange(24 * 3650) / 24 * 2 * np.pi),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_histories_give_finite_paths_near_their_level(name):
    load = forecast(history(HARD[name], "2016-01-01T00:00Z"), scenario(1000), paths=50)
    rate = load.services["web"].arrival_rate_rps
    assert np.isfinite(rate).all()
    assert (rate >= 0).all()
    top = np.nanmax(HARD[name])
    assert np.quantile(rate, 0.5) <= 2 * top + 1e-6
    if name == "constant":
        np.testing.assert_allclose(np.mean(rate), 7.0, rtol=0.05)


def test_less_than_a_day_is_refused():
    with pytest.raises(TrafficError, match="observed hours"):
        forecast(history(np.ones(20)), scenario())


@settings(max_examples=6)
@given(st.floats(0.1, 1000), st.integers(0, 2**31))
def test_load_scales_with_its_history(factor, seed):
    rate = berlin(6) * (1 + 0.1 * np.random.default_rng(seed).standard_normal(6 * 168))
    one, other = (
        forecast(history(np.abs(rate) * k), scenario(300), paths=8, seed=1).services["web"].arrival_rate_rps
        for k in (1.0, factor)
    )
    np.testing.assert_allclose(other, one * factor, rtol=1e-3, atol=1e-4 * factor)
