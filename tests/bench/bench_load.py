"""Benchmarks of reading and forecasting: each figure beside a yardstick timed in the same run.

    python tests/bench/bench_load.py [--lines 5000000] [--folder DIR]

Reading: lines a second of an access log beside ``wc -l`` and a plain DuckDB count, and peak memory
of the reader. Forecasting: one fit of 26 weeks for 672 h beside statsforecast's MSTL and Prophet
where they are installed; 200 paths of a year.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from planner.data import data_path
from planner.load import forecast, forecast_quantiles, read_traffic
from planner.load.blend import TRAIN_CAP
from planner.scenario import Scenario


def processor_time() -> float:
    """Processor time of this process and of those it started [s]: other work on the machine does
    not count.
    """
    return sum(os.times()[:4])


def clock(work: Callable[[], object], repeats: int = 3, timer: Callable[[], float] = time.perf_counter) -> float:
    """Median wall time [s], or processor time if ``timer`` is :func:`processor_time`."""
    taken = []
    for _ in range(repeats):
        start = timer()
        work()
        taken.append(timer() - start)
    return float(np.median(taken))


def write_log(path: Path, lines: int) -> None:
    """An nginx log of four weeks with a daily wave; one text block a minute."""
    minutes = 28 * 1440
    wave = 1 + 0.6 * np.sin(np.arange(minutes) / 1440 * 2 * np.pi)
    counts = np.diff(np.round(np.cumsum(np.append(0, wave / wave.sum())) * lines)).astype(int)
    tail = (
        ' +0200] "GET /api/v1/items/184?sort=price&page=2 HTTP/1.1" 200 5316 "https://shop.example/" "Mozilla/5.0 (X11;'
        ' Linux)"\n'
    )
    with path.open("w") as file:
        for at, count in zip(pd.date_range("2026-09-01", periods=minutes, freq="min"), counts, strict=True):
            stem = f"203.0.113.9 - - [{at:%d/%b/%Y:%H:%M:}"
            file.write("".join(f"{stem}{60 * i // count:02}{tail}" for i in range(count)))


def plain_count(path: Path) -> int:
    """What DuckDB needs to split the lines and count them, nothing else."""
    import duckdb

    query = (
        "SELECT count(line) FROM read_csv(?, columns={'line': 'VARCHAR'}, header=false, auto_detect=false,"
        " delim='\x01', quote='', escape='', max_line_size=1048576)"
    )
    found = duckdb.connect().execute(query, [str(path)]).fetchone()
    return int(found[0]) if found else 0


def reading(lines: int, folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "access.log"
        write_log(path, lines)
        print(f"access log: {lines:,} lines, {path.stat().st_size / 2**30:.2f} GiB")
        repeats = 3 if lines <= 10_000_000 else 1
        base = clock(lambda: subprocess.run(["wc", "-l", str(path)], check=True, capture_output=True), repeats)
        duck = clock(lambda: plain_count(path), repeats)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ours = clock(lambda: read_traffic(path), repeats)
        for name, taken in (("wc -l", base), ("DuckDB count", duck), ("read_traffic", ours)):
            print(
                f"  {name:<14}{lines / taken / 1e6:8.2f} million lines/s   {taken / base:6.2f} × wc -l  "
                f" {taken / duck:6.2f} × DuckDB"
            )
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  peak memory of this process {after / 2**20:.2f} GiB (before reading {before / 2**20:.2f})")
        total = read_traffic(path).hourly().sum() * 3600
        print(f"  requests in the result {total:,.0f} (first and last minute are left out)")


def fitting() -> None:
    history = read_traffic(data_path("traffic", "web.csv")).hourly().iloc[-TRAIN_CAP:]
    naive = history.tz_localize(None)
    naive.attrs = {"tz": "Europe/Berlin", "clock": "utc"}
    ours = clock(lambda: forecast_quantiles(naive, 672, [0.5, 0.9, 0.99]), timer=processor_time)
    print(f"one fit of {len(naive)} hours for 672 h: {ours:.3f} s of processor time")
    long = pd.DataFrame({"unique_id": "web", "ds": naive.index, "y": naive.to_numpy()})
    if importlib.util.find_spec("statsforecast"):
        from statsforecast import StatsForecast
        from statsforecast.models import MSTL

        engine = StatsForecast(models=[MSTL(season_length=[24, 168])], freq="h")
        engine.forecast(df=long, h=672, level=[80, 98])
        taken = clock(lambda: engine.forecast(df=long, h=672, level=[80, 98]), 1, processor_time)
        print(f"  statsforecast MSTL + AutoETS {taken:8.2f} s   {taken / ours:6.1f} × ours")
    else:
        print("  statsforecast is not installed: not timed")
    if importlib.util.find_spec("prophet"):
        from prophet import Prophet

        ahead = pd.DataFrame({"ds": pd.date_range(naive.index[-1], periods=672, freq="h")})
        taken = clock(lambda: Prophet().fit(long[["ds", "y"]]).predict(ahead), 1, processor_time)
        print(f"  Prophet                      {taken:8.2f} s   {taken / ours:6.1f} × ours")
    else:
        print("  Prophet is not installed: not timed")


def paths() -> None:
    traffic = read_traffic(data_path("traffic", "web.csv"))
    scenario = Scenario.model_validate(
        {
            "name": "bench",
            "start": "2027-01-01",
            "time_zone": "Europe/Berlin",
            "providers": ["aws"],
            "regions": ["us-east-1"],
            "services": {"web": {"traffic": "web.csv", "latency": {"model": "any"}, "objective": {"latency_p99_s": 1}}},
        }
    )
    print(
        f"forecast of 200 paths × 8,760 h: {clock(lambda: forecast(traffic, scenario), timer=processor_time):.3f} s of"
        " processor time"
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=5_000_000)
    options.add_argument("--folder")
    chosen = options.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    fitting()
    paths()
    reading(chosen.lines, chosen.folder)
