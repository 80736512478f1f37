"""Real histories: each is read and planned a year ahead; written against manifest.csv, whatever
series it lists.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.errors import TrafficError
from planner.load import forecast, forecast_quantiles, read_traffic
from planner.load.backtest import score
from planner.scenario import Scenario, TrafficSource


def source(folder: Path, row: pd.Series) -> TrafficSource:
    counts = "requests_per_interval" if row["kind"] == "count" else "requests_per_s"
    zone = "UTC" if "wall" in row["clock"] or "/" not in row["tz"] else row["tz"].split(" ")[0]
    return TrafficSource(
        file=str(folder / row["hourly_file"]),
        columns={"ts": "timestamp", "arrival_rate_rps": row["value_column"]},
        value=counts,
        user_time_zone=zone,
    )


@pytest.fixture(scope="module")
def manifest(reference) -> tuple[Path, pd.DataFrame]:
    folder = reference("traffic")
    return folder, pd.read_csv(folder / "manifest.csv").fillna("")


def test_every_series_reads_as_it_stands(manifest):
    folder, rows = manifest
    for _, row in rows.iterrows():
        traffic = read_traffic(source(folder, row))
        scale = 3600.0 if row["kind"] == "count" else 1.0
        assert traffic.start == pd.Timestamp(row["start"], tz="UTC"), row["id"]
        assert traffic.interval_s == 3600, row["id"]
        assert len(traffic.arrival_rate_rps) in (row["hours"], row["hours"] - 1), row[
            "id"
        ]  # a partly counted last hour may go
        assert np.nanmax(traffic.arrival_rate_rps) * scale == pytest.approx(row["max"], rel=1e-6), row["id"]
        assert int(np.isnan(traffic.arrival_rate_rps).sum()) == row["missing_hours"], row["id"]


def test_every_series_is_planned_a_year_ahead(manifest):
    folder, rows = manifest
    for _, row in rows.iterrows():
        spec = source(folder, row)
        scenario = Scenario.model_validate(
            {
                "name": "year",
                "start": "2027-01-01",
                "providers": ["aws"],
                "regions": ["us-east-1"],
                "time_zone": "UTC",
                "services": {
                    "s": {"traffic": spec.model_dump(), "latency": {"model": "any"}, "objective": {"latency_p99_s": 1}}
                },
            }
        )
        traffic = read_traffic(spec)
        load = forecast(traffic, scenario, paths=20)
        volume = load.services["s"].arrival_rate_rps.mean()
        assert 0.02 * traffic.mean_rps < volume < 10 * traffic.mean_rps, row["id"]


def test_gauges_are_refused_as_demand_by_default(manifest):
    folder, rows = manifest
    for _, row in rows[rows["value_column"].str.contains("percent|bytes|_mw")].iterrows():
        with pytest.raises(TrafficError):
            read_traffic(folder / row["hourly_file"])


def level(scores: pd.DataFrame, column: str, against: str, horizon: int, small: float = 0.0) -> float:
    """Geometric mean over series of (score + small) / (naive + small)."""
    part = scores[scores["horizon_h"] == horizon]
    return float(np.exp(np.log((part[column] + small) / (part[against] + small)).mean()))


@pytest.mark.slow
def test_forecasts_beat_the_weekly_naive_by_the_stated_margins(manifest):
    folder, rows = manifest
    tables = []
    for _, row in rows.iterrows():
        frame = pd.read_csv(folder / row["hourly_file"], usecols=["timestamp", row["value_column"]])
        y = pd.Series(
            frame[row["value_column"]].to_numpy(float), index=pd.to_datetime(frame["timestamp"]).dt.tz_localize(None)
        ).asfreq("h")
        y.attrs = {k: row[k] for k in ("id", "unit", "kind", "tz", "clock")}
        tables.append(score(y, forecast_quantiles).assign(id=row["id"]))
    scores = pd.concat(tables)
    for horizon, wql, peak in ((24, 0.79, 0.90), (168, 0.80, 1.05), (672, 0.84, 1.0)):
        part = scores[scores["horizon_h"] == horizon]
        assert level(scores, "wql", "naive_wql", horizon) <= wql
        assert level(scores, "peak_loss", "naive_peak_loss", horizon, 0.01) <= peak
        assert 0.975 <= part["coverage_99_share"].mean() <= 0.995
        assert part["peak_exceeded_share"].mean() <= 0.15
        assert part["wql_ratio"].max() <= 1.5
