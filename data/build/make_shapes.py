"""Builds ``data/traffic/shapes.csv``: what a week looks like, by kind of service, from public series.

    python data/build/make_shapes.py FOLDER

FOLDER holds ``manifest.csv`` (id, hourly_file, value_column, tz, clock) and the hourly files it names.
Each column of the table is one series: its mean by hour of the users' week (Monday 00:00 is 0) over
the mean of all hours, so a column has mean 1. The night window of ``batch`` is drawn, not measured.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

WEEK = 168
KINDS = {
    "office": ("web_nasa_http_1995", "orders_online_retail", "tweets_crm", "tweets_ibm", "tweets_fb", "road_i94"),
    "consumer": (
        "taxi_nyc",
        "bike_dc",
        "foot_bourke_st",
        "foot_birrarung",
        "aws_elb_requests",
        "web_worldcup98",
        "llm_servegen_m_small",
    ),
}
NIGHTS = {"batch_early": (20, 8), "batch_night": (22, 8), "batch_late": (0, 6), "batch_short": (1, 3)}


def week_of(folder: Path, row: pd.Series) -> np.ndarray:
    """Mean by hour of the users' week over the mean of all hours, shape (168,)."""
    frame = pd.read_csv(folder / row["hourly_file"], usecols=["timestamp", row["value_column"]])
    index = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], utc=True))
    zone = str(row["tz"]).split(" ")[0]
    fixed = any(word in row["clock"] for word in ("wall", "relative", "shifted"))
    if "/" in zone and not fixed:
        index = index.tz_convert(zone)
    slot = index.day_of_week.to_numpy() * 24 + index.hour.to_numpy()
    mean = pd.Series(frame[row["value_column"]].to_numpy(float)).groupby(slot).mean()
    found = mean.reindex(range(WEEK)).to_numpy()
    return found / found.mean()


def night(start: int, hours: int) -> np.ndarray:
    """A window of equal load that begins at ``start`` o'clock every day."""
    busy = (np.arange(WEEK) - start) % 24 < hours
    return np.where(busy, 24 / hours, 0.0)


def main(folder: Path) -> None:
    """Write the table: one row an hour of the week, one column a series, its kind before the name."""
    manifest = pd.read_csv(folder / "manifest.csv").fillna("").set_index("id")
    table = {f"{kind}:{n}": week_of(folder, manifest.loc[n]) for kind, names in KINDS.items() for n in names}
    table |= {f"batch:{name}": night(*window) for name, window in NIGHTS.items()}
    table["flat:flat"] = np.ones(WEEK)
    frame = pd.DataFrame(table).round(4)
    frame.insert(0, "hour_of_week", range(WEEK))
    frame.to_csv(Path(__file__).parents[1] / "traffic" / "shapes.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
