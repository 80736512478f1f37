"""How often the year that came lies between P10 and P90, by how little history the forecast had.

    python tests/bench/bench_thin.py FOLDER [--origins 4]

FOLDER: real histories (``manifest.csv``, ``hourly/``, ``daily/``). Every series with a year after the
cut is forecast from 2 days to 26 weeks, and from one day's total spread by the shape ``mixed`` (a
service without history). Each series counts once, however many cuts it allows. The even and the odd
half of the series are printed beside each other: the constants of ``planner.load.thin`` were chosen on
one half, looked at on the other, and then set on both.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from planner.load import Traffic, forecast
from planner.load.traffic import stated_traffic
from planner.scenario import Range, Scenario, TrafficSource

YEAR_H, PATHS = 8760, 100
CUTS_D = (0, 2, 7, 14, 28, 56, 182)  # 0: no history, one day's total
GAUGES = ("aws_ec2_network_in", "aws_asg_cpu")


def series(folder: Path) -> dict[str, tuple[pd.Series, str]]:
    """Hourly rates by series with the users' zone; daily totals lie flat, as only their year counts."""
    found = {}
    for _, row in pd.read_csv(folder / "manifest.csv").fillna("").iterrows():
        frame = pd.read_csv(folder / row["hourly_file"], usecols=["timestamp", row["value_column"]])
        index = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], utc=True))
        zone = str(row["tz"]).split(" ")[0]
        fixed = "/" not in zone or any(w in row["clock"] for w in ("wall", "relative", "shifted"))
        if row["id"] not in GAUGES:
            y = pd.Series(frame[row["value_column"]].to_numpy(float), index=index).asfreq("h")
            found[row["id"]] = (y, "UTC" if fixed else zone)
    visits = pd.read_csv(folder / "daily" / "web_visits_ga.csv")
    pages = pd.read_csv(folder / "daily" / "wikipedia_pages.csv")
    daily = {"visits": visits.set_index("timestamp")["users"]}
    daily |= {str(p): g.set_index("timestamp")["views"] for p, g in pages.groupby("page")}
    for name, total in daily.items():
        days = pd.Series(total.to_numpy(float), index=pd.to_datetime(total.index, utc=True)).asfreq("D")
        hours = pd.date_range(days.index[0], periods=24 * len(days), freq="h")
        found[name] = (pd.Series(np.repeat(days.to_numpy(), 24), index=hours), "UTC")
    return found


def question(at: pd.Timestamp, zone: str) -> Scenario:
    """A year from the day of the cut."""
    service = {"traffic": "x.csv", "latency": {"model": "any"}, "objective": {"latency_p99_s": 1}}
    base = {"name": "thin", "providers": ["aws"], "regions": ["us-east-1"], "services": {"s": service}}
    return Scenario.model_validate({**base, "start": at.date(), "time_zone": zone})


def judged(y: pd.Series, zone: str, at: int, days: int) -> bool | None:
    """Whether the year after hour ``at`` lies within the range; ``None`` where it cannot be judged."""
    known, came = y.iloc[at - 24 * max(days, 1) : at], y.iloc[at : at + YEAR_H]
    if known.notna().mean() < 0.8 or came.notna().mean() < 0.7 or known.sum() <= 0:
        return None
    scenario = question(pd.Timestamp(y.index[at]), "UTC")
    if days:
        traffic = Traffic(
            "cut", pd.Timestamp(known.index[0]).as_unit("us"), 3600, known.to_numpy(), user_time_zone=zone
        )
    else:
        total = float(known.mean() * 86_400)
        stated = Range(low=total, likely=total, high=total)
        traffic = stated_traffic(TrafficSource(requests_per_day=stated, shape="mixed"), stated, scenario)
    load = forecast(traffic, scenario, paths=PATHS).services["s"].arrival_rate_rps
    seen = came.notna().to_numpy()
    low, high = np.quantile(load[:, : len(came)][:, seen].mean(axis=1), [0.1, 0.9])
    return bool(low <= came.mean() <= high)


def main(folder: Path, origins: int) -> None:
    """Print the table: one row a length, the share of series-years within the range."""
    print("| history | series | even half | odd half | all |\n| --- | --- | --- | --- | --- |")
    known = dict(sorted(series(folder).items()))
    for days in CUTS_D:
        share = {}
        for number, (name, (y, zone)) in enumerate(known.items()):
            first, last = max(days, 1) * 24, (len(y) - YEAR_H) // 24 * 24
            if last < first:
                continue
            cuts = np.unique(np.linspace(first, last, origins * (2 if len(y) > 30_000 else 1)) // 24 * 24).astype(int)
            hits = [h for at in cuts if (h := judged(y, zone, int(at), days)) is not None]
            if hits:
                share[number, name] = float(np.mean(hits))
        halves = [[v for (n, _), v in share.items() if n % 2 == half] for half in (0, 1)]
        told = " | ".join(f"{np.mean(part):.0%}" for part in (*halves, list(share.values())))
        print(f"| {f'{days} d' if days else 'none'} | {len(share)} | {told} |", flush=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--origins", type=int, default=4)
    chosen = options.parse_args()
    main(chosen.folder, chosen.origins)
