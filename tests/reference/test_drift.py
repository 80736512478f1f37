"""Drift on real series made stationary: their weeks are shuffled, the first of them are the history, the
next eight what came. Nothing of the test was fitted to them; written against manifest.csv.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.load import Traffic, forecast, read_traffic
from planner.scenario import Scenario, TrafficSource
from planner.track.drift import of_load

WEEKS, HOURS = 8, 168
NOMINAL = (0.05, 0.1, 0.2)
DRAWS = 12
S = Scenario.model_validate(
    {
        "name": "stationary",
        "start": "2027-01-04",
        "horizon_h": WEEKS * HOURS,
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "time_zone": "UTC",
        "services": {"s": {"traffic": "none.csv", "latency": {"model": "any"}, "objective": {"latency_p99_s": 1}}},
    }
)
START = pd.Timestamp(S.start_utc)


def weeks(folder: Path, row: pd.Series) -> np.ndarray:
    """Observed weeks, Monday to Sunday, (n, 168)."""
    counts = "requests_per_interval" if row["kind"] == "count" else "requests_per_s"
    columns = {"ts": "timestamp", "arrival_rate_rps": row["value_column"]}
    spec = TrafficSource(file=str(folder / row["hourly_file"]), columns=columns, value=counts, user_time_zone="UTC")
    hours = read_traffic(spec).hourly()
    monday = (hours.index.day_of_week == 0) & (hours.index.hour == 0)
    values = hours.to_numpy()[int(np.argmax(monday)) :]
    found = values[: len(values) // HOURS * HOURS].reshape(-1, HOURS)
    return found[np.isfinite(found).mean(axis=1) > 0.95]


def cases(folder, rows):
    """Series, load planned on shuffled weeks, and eight more of the same."""
    rng = np.random.default_rng(20261127)
    for _, row in rows.iterrows():
        whole = weeks(folder, row)
        if len(whole) < 2 * WEEKS:
            continue
        for _ in range(DRAWS):
            past = min(int(rng.choice([8, 12, 26])), len(whole) - WEEKS)
            span = min(len(whole), max(past + WEEKS, 40))
            chosen = rng.integers(len(whole) - span + 1) + rng.permutation(span)[: past + WEEKS]
            hours = whole[chosen].reshape(-1)
            history = Traffic("shuffled", START - pd.Timedelta(weeks=past), 3600, hours[: past * HOURS])
            yield row["id"], forecast(history, S, seed=int(rng.integers(2**31))), hours[past * HOURS :]


def finding(load, came):
    return next(of_load(load, {"s": Traffic("came", START, 3600, came)}))


@pytest.mark.slow
def test_false_alarms_on_stationary_series_and_delay_of_a_shift(reference, capsys):
    folder = reference("traffic")
    rows = pd.read_csv(folder / "manifest.csv").fillna("")
    told, delay = [], []
    for name, load, came in cases(folder, rows):
        told.append((name, finding(load, came).p_value))
        raised = finding(load, came * np.where(np.arange(len(came)) >= 14 * 24, 1.4, 1.0))
        delay.append((raised.known_since - START).days - 14 if raised.drifted else np.nan)
    found = pd.DataFrame(told, columns=["series", "p"])
    shares = [float((found["p"] <= a).mean()) for a in NOMINAL]
    with capsys.disabled():
        print(f"\n  false alarms at {NOMINAL}: {np.round(shares, 3)} of {len(found)}")
        print(found.assign(alarm=found["p"] <= 0.1).groupby("series")["alarm"].mean().round(2).to_string())
        print(f"  +40 %: found {np.isfinite(delay).mean():.2f}, after {np.nanmedian(delay):.0f} days (median)")
    spread = [2.5 * np.sqrt(a * (1 - a) / len(found)) for a in NOMINAL]  # of so many draws
    assert all(abs(s - a) <= 0.02 + e for s, a, e in zip(shares, NOMINAL, spread, strict=True))
    assert np.isfinite(delay).mean() >= 0.6
    assert np.nanmedian(delay) <= 21
