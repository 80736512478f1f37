"""How many buckets of busy hours lie above the burst factor read off the hourly means alone.

    python tests/bench/bench_bursts.py FOLDER

FOLDER: real histories at their native interval (``fine/*.parquet``). Each series of counts in
buckets of at most 10 minutes is cut to its hours, read as a history, and its own buckets (of 5
minutes, or the native 10) in the busiest tenth of hours are held against the factor. One row a
series and one a class of rates, all its buckets together.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from planner.load import read_traffic

GAUGES = ("aws_asg_cpu", "aws_ec2_network_in")  # means of another quantity, not counts of requests
CLASSES = ((0.0, 0.1), (0.1, 1.0), (1.0, 10.0), (10.0, 1e9))  # requests/s in busy hours


def judged(folder: Path) -> Iterator[tuple[str, float, float, np.ndarray]]:
    """Name, mean rate of busy hours [requests/s], factor, and (hours, buckets) relative to their
    hour of each series.
    """
    for file in sorted((folder / "fine").glob("*.parquet")):
        frame = pd.read_parquet(file)
        ts = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], utc=True))
        native = int(pd.Series(ts).diff().dt.total_seconds().mode()[0])
        if file.stem in GAUGES or native > 600:
            continue
        value = pd.Series(frame.iloc[:, list(frame.columns != "timestamp").index(True)].to_numpy(float), index=ts)
        width = max(native, 300)
        buckets = value.resample(f"{width}s").sum(min_count=1)
        buckets = buckets[buckets.index >= buckets.index[0].ceil("h")].to_numpy()
        hours = buckets[: len(buckets) // (3600 // width) * (3600 // width)].reshape(-1, 3600 // width)
        hours = hours[np.isfinite(hours).all(axis=1) & (hours.sum(axis=1) > 0)]
        busy = hours[hours.mean(axis=1) >= np.quantile(hours.mean(axis=1), 0.9)]
        yield file.stem, float(busy.mean()) / width, _factor(value), busy / busy.mean(axis=1, keepdims=True)


def _factor(value: pd.Series) -> float:
    """The factor that is read off a file of the series' whole hours."""
    hourly = value.resample("h").sum(min_count=1).iloc[1:-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hourly.csv"
        pd.DataFrame({"ts": hourly.index, "arrival_rate_rps": hourly.to_numpy() / 3600}).to_csv(path, index=False)
        return read_traffic(path).burst_factor


def by_class(found: list[tuple[str, float, float, np.ndarray]]) -> dict[tuple[float, float], float]:
    """Share of all buckets of each class of rates above their series' factor."""
    share = {}
    for low, high in CLASSES:
        above = [(r > f).ravel() for _, rate, f, r in found if low <= rate < high]
        share[low, high] = float(np.concatenate(above).mean()) if above else np.nan
    return share


def main(folder: Path) -> None:
    """Print both tables."""
    found = list(judged(folder))
    print("| series | busy requests/s | factor | buckets above |\n| --- | --- | --- | --- |")
    for name, rate, factor, relative in found:
        print(f"| {name} | {rate:.2f} | {factor:.2f} | {(relative > factor).mean():.1%} |")
    for (low, high), share in by_class(found).items():
        print(f"| {low:g} to {high:g} | | | {share:.1%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
