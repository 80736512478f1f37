"""Services without history, daily totals, and how far a thin history widens the year."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from planner.errors import ScenarioError, TrafficError
from planner.load import Traffic, forecast, read_histories, read_traffic
from planner.load.shapes import shape_of
from planner.load.thin import level_sd
from planner.scenario import Scenario, TrafficSource


def stated(traffic: dict[str, object], folder: Path | None = None, **more: object) -> Scenario:
    service = {"traffic": traffic, "latency": {"model": "any"}, "objective": {"latency_p99_s": 0.3}}
    base = {"name": "new", "start": "2027-01-01", "time_zone": "Europe/Berlin", "providers": ["aws"]}
    text = yaml.safe_dump({**base, "regions": ["us-east-1"], "services": {"web": service}, **more})
    return Scenario.from_yaml(text, folder=folder)


def load_of(scenario: Scenario, paths: int = 60):
    return forecast(read_histories(scenario), scenario, paths=paths)


def spread(load) -> float:
    low, high = np.quantile(load.volume("web"), [0.1, 0.9])
    return float(high / low)


@pytest.mark.parametrize("shape", ["office", "consumer", "batch", "flat", "mixed"])
def test_a_service_without_history_brings_its_requests_a_day_in_the_shape_stated(shape):
    load = load_of(stated({"requests_per_day": 864_000, "shape": shape}))
    rate = load.services["web"].arrival_rate_rps
    assert rate.mean() == pytest.approx(10, rel=0.03)
    local = load.ts.tz_convert("Europe/Berlin")
    night, noon = (rate[:, local.hour == h].mean() for h in (3, 12))
    assert {"flat": abs(noon / night - 1) < 0.05, "batch": night > 5 * noon}.get(shape, noon > 2 * night)
    assert any("no history cannot show" in n for n in load.notes)


def test_the_users_clock_moves_the_shape():
    here, there = (
        load_of(stated({"requests_per_day": 1e6, "shape": "office", "user_time_zone": z})).services["web"]
        for z in ("Europe/Berlin", "America/New_York")
    )
    busiest = [int(s.arrival_rate_rps[:, :168].mean(axis=0).argmax()) % 24 for s in (here, there)]
    assert (busiest[1] - busiest[0]) % 24 == 6


def test_scaling_what_is_stated_scales_the_load():
    one, ten = (load_of(stated({"requests_per_day": n, "shape": "consumer"})) for n in (1e5, 1e6))
    np.testing.assert_allclose(
        ten.services["web"].arrival_rate_rps, 10 * one.services["web"].arrival_rate_rps, rtol=1e-5
    )


def test_a_range_of_requests_a_day_widens_the_year():
    sure, unsure = (
        load_of(stated({"requests_per_day": n, "shape": "office"}))
        for n in (1e6, {"low": 1e5, "likely": 1e6, "high": 1e7})
    )
    assert spread(unsure) > 1.3 * spread(sure)


def test_an_own_shape_lies_beside_the_scenario(tmp_path):
    pd.DataFrame({"hour": range(24), "load": [1.0] * 12 + [3.0] * 12}).to_csv(tmp_path / "shape.csv", index=False)
    load = load_of(stated({"requests_per_day": 864_000, "shape": "shape.csv"}, tmp_path))
    hour = load.ts.tz_convert("Europe/Berlin").hour
    rate = load.services["web"].arrival_rate_rps
    assert rate[:, hour == 18].mean() / rate[:, hour == 6].mean() == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("text", "word"),
    [("hour,load\n0,1\n", "24 or 168"), ("load\n" + "x\n" * 24, "shape"), ("load\n" + "0\n" * 24, "not all 0")],
)
def test_a_file_that_is_no_shape_is_refused_with_the_reason(tmp_path, text, word):
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TrafficError, match=word):
        shape_of("s.csv", tmp_path)


def test_a_shape_that_is_none_names_those_there_are():
    with pytest.raises(TrafficError, match="office, consumer, batch, flat, mixed"):
        shape_of("weekend")


@pytest.mark.parametrize(
    ("traffic", "word"),
    [
        ({}, "either a file"),
        ({"file": "a.csv", "requests_per_day": 1}, "either a file"),
        ({"requests_per_day": 1e6}, "needs a shape"),
        ({"requests_per_day": 0, "shape": "flat"}, "above 0"),
        ({"requests_per_day": 1e6, "shape": "flat", "value": "counter"}, "belongs to a file"),
    ],
)
def test_what_is_stated_in_part_is_refused(traffic, word):
    with pytest.raises(ScenarioError, match=word):
        stated(traffic)


def daily(folder: Path, days: int = 84) -> pd.Series:
    index = pd.date_range("2026-09-01", periods=days, freq="D", tz="Europe/Berlin")
    total = np.where(index.day_of_week < 5, 9e5, 3e5) + 1000.0 * np.arange(days)
    table = pd.DataFrame({"ts": index.strftime("%Y-%m-%d"), "requests": total})
    table.to_csv(folder / "days.csv", index=False)
    return pd.Series(total, index=index)


def test_daily_totals_are_kept_and_lie_over_the_day_by_a_shape_and_it_is_said(tmp_path):
    total = daily(tmp_path)
    spec = TrafficSource(file="days.csv", time_zone="Europe/Berlin", shape="office")
    traffic = read_traffic(spec, folder=tmp_path)
    hours = traffic.hourly().tz_convert("Europe/Berlin")
    by_day = hours.groupby(hours.index.floor("D")).sum() * 3600
    plain = by_day.index.isin(total.index[:50])  # before the clock goes back
    np.testing.assert_allclose(by_day[plain], total[by_day.index[plain]], rtol=1e-9)
    assert hours[hours.index.hour == 11].mean() > 3 * hours[hours.index.hour == 3].mean()
    assert traffic.quality["detail"].str.contains("shape office").any()
    unstated = read_traffic(TrafficSource(file="days.csv", time_zone="Europe/Berlin"), folder=tmp_path)
    assert unstated.quality["detail"].str.contains("no traffic.shape is stated").any()


def test_daily_totals_are_planned_with_the_hours_as_unsure_as_their_shape(tmp_path):
    daily(tmp_path)
    traffic = {"file": "days.csv", "time_zone": "Europe/Berlin"}
    loads = [load_of(stated({**traffic, "shape": s}, tmp_path), 40) for s in ("flat", "consumer")]
    flat, shaped = (np.std([load.services["web"].arrival_rate_rps[:, 12::24].mean(axis=1)]) for load in loads)
    assert shaped > flat


def cut(days: int) -> Traffic:
    hours = np.arange(24 * days)
    rate = 10 + 5 * np.sin(hours / 24 * 2 * np.pi)
    start = pd.Timestamp("2027-01-01T00:00Z") - pd.Timedelta(days=days)
    return Traffic("made", start.as_unit("us"), 3600, rate, user_time_zone="UTC")


def test_the_thinner_the_history_the_wider_the_year_with_the_same_mean_and_it_is_said():
    scenario = stated({"file": "x.csv"}, time_zone="UTC")
    loads = [forecast(cut(days), scenario, paths=60) for days in (2, 7, 28, 56, 182)]
    widths = [spread(load) for load in loads]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 4 > widths[-1] > 1.8
    for load in loads:
        assert load.services["web"].arrival_rate_rps.mean() == pytest.approx(10, rel=0.05)
    assert any("2 days of history cannot show" in n for n in loads[0].notes)
    assert not any("cannot show seasons" in n for n in loads[-1].notes)
    assert loads[0].services["web"].range_share["history"] > 0.9


def test_what_is_not_known_of_the_level_grows_with_the_lead_and_falls_with_the_history():
    lead = np.array([0.0, 7, 28, 91, 365])
    table = np.array([level_sd(t, lead) for t in (1, 2, 7, 14, 28, 56, 182, 364, 3000)])
    step = np.diff(table, axis=1)
    assert (step[:, 2:] > 0).all()  # beyond the forecast's own 28 days
    assert (step >= 0).all()
    assert (np.diff(table[:, 1:], axis=0) <= 0).all()
    assert (table[:, 0] == 0).all()


def test_a_range_of_growth_that_is_wider_takes_the_place_of_what_the_history_cannot_show():
    wide = {"low": -0.9, "likely": 1.0, "high": 30.0}
    raw = stated({"file": "x.csv"}, time_zone="UTC").model_dump(mode="json")
    raw["services"]["web"]["growth_share_per_year"] = wide
    load = forecast(cut(182), Scenario.model_validate(raw), paths=60)
    share = load.services["web"].range_share
    assert share["growth"] > 0.8
    assert share["history"] < 0.1
