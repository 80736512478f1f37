"""Drift: is the load outside its forecast, are cost and latency above their plan, more often than
chance allows, and since when?

Load is held against the plan's own sample paths; spending against the plan's range of each month;
latency against what the replay expects.  Each test may be looked at every day (:mod:`sequential`).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.typing import NaTType

from planner import columns
from planner.arrays import Floats
from planner.load import Load, Traffic
from planner.plan import Plan
from planner.track import sequential
from planner.track.period import Period, daily

SIGNIFICANCE = 0.05
BAND = 0.8
_MIN_DAYS = 3


class Finding(NamedTuple):
    """One test: ``subject`` (service, or "" for the bill) and ``measure``; ``outside_share`` of
    hours or days beyond the bound on the worse ``side`` and ``expected_share``; ``ratio`` of what
    came to what was planned; ``drifted`` and since which day it is ``known_since``.
    """

    service: str
    measure: str
    days: float
    side: str
    outside_share: float
    expected_share: float
    ratio: float
    p_value: float
    drifted: bool
    known_since: pd.Timestamp | NaTType


def table(findings: list[Finding]) -> pd.DataFrame:
    """Findings as frame ``track.drift``."""
    frame = pd.DataFrame(findings, columns=list(Finding._fields))
    words = frame.astype({"service": "str", "measure": "str", "side": "str", "drifted": "bool"})
    words["known_since"] = pd.to_datetime(words["known_since"], utc=True).astype("datetime64[us, UTC]")
    return columns.check("track.drift", words)


def of_load(load: Load, actual: Mapping[str, Traffic], level: float = SIGNIFICANCE) -> Iterator[Finding]:
    """Each service with actual traffic on the plan's hours, hour by hour against the central 80 %
    of its paths; services with less than three days there are left out, and below two weeks
    nothing is called drift.
    """
    for name, traffic in actual.items():
        came: Floats = np.asarray(traffic.hourly().reindex(load.ts), dtype=np.float64)
        known = np.isfinite(came)
        if known.sum() < _MIN_DAYS * sequential.DAY:
            continue
        paths = load.services[name].arrival_rate_rps
        sides = sequential.outside_of(paths, came, BAND)
        found = {s: sequential.beyond(out, seen, known) for s, (out, seen) in sides.items()}
        p, side = sequential.two_sided(found["above"], found["below"])
        middle = np.median(paths, axis=0)[known].sum()
        yield Finding(
            name,
            "load",
            float(known.sum() / sequential.DAY),
            side,
            float(sides[side][1][known].mean()),
            float(sides[side][0][:, known].mean()),
            float(came[known].sum() / middle) if middle > 0 else float("nan"),
            p,
            p <= level,
            _since(load.ts[0], found[side].first_below(level / 2), p <= level),
        )


def of_cost(
    plan: Plan,
    planned: pd.DataFrame,
    rows: pd.DataFrame,
    money: str,
    period: Period,
    level: float = SIGNIFICANCE,
) -> Iterator[Finding]:
    """The bill, and each service of it, day by day against the plan's day times P90 or P10 over
    mean of its month: above its P90 on more than half of the days is drift, below P10 likewise.
    """
    low, high = _range(plan)
    for name in ("", *sorted(set(planned["service"]) - {""})):
        mine, theirs = (t if name == "" else t[t["service"] == name] for t in (planned, rows))
        day, came = daily(mine, money, period), daily(theirs, money, period)
        if len(day) < _MIN_DAYS or not day.sum() > 0:
            continue
        month = pd.DatetimeIndex(day.index).tz_convert(plan.time_zone).strftime("%Y-%m")
        bounds = [np.asarray(day, dtype=np.float64) * [side.get(m, np.nan) for m in month] for side in (low, high)]
        yield _daily(name, "cost", np.asarray(came, dtype=np.float64), bounds, day, level)


def _range(plan: Plan) -> tuple[dict[str, float], dict[str, float]]:
    """P10 and P90 of each month's bill over its mean [ratio]."""
    ranges = plan.monthly_range()
    mean = {m: float(np.mean(v)) for m, v in plan.paths_month_usd.items()}
    sides = [{m: v / mean[m] for m, v in zip(ranges["month"], ranges[c], strict=True)} for c in ("p10_usd", "p90_usd")]
    return sides[0], sides[1]


def of_latency(
    expected: Mapping[tuple[str, str], float],
    actual: Mapping[tuple[str, str], "pd.Series[float]"],
    error_share: Mapping[str, float],
    level: float = SIGNIFICANCE,
) -> Iterator[Finding]:
    """Each objective whose percentile was measured: the median hour of a day against the typical
    latency of the plan's replay, ± the error of its model. ``expected`` [s] and ``actual`` [s] by
    (service, objective).
    """
    for (name, objective), series in actual.items():
        if (name, objective) not in expected:
            continue
        day = series.resample("D").median().dropna()
        if len(day) < _MIN_DAYS:
            continue
        typical = pd.Series(expected[name, objective], index=day.index)
        error = error_share.get(name, 0.0)
        bounds = [np.asarray(typical * f, dtype=np.float64) for f in (1 / (1 + error), 1 + error)]
        yield _daily(name, objective, np.asarray(day, dtype=np.float64), bounds, typical, level)


def _daily(
    name: str,
    measure: str,
    came: Floats,
    bounds: list[Floats],
    day: "pd.Series[float]",
    level: float,
) -> Finding:
    sides = {"above": came > bounds[1], "below": came < bounds[0]}
    found = {s: sequential.bets(out) for s, out in sides.items()}
    p, side = sequential.two_sided(found["above"], found["below"])
    since = _since(day.index[0], found[side].first_below(level / 2), p <= level)
    share, ratio = float(sides[side].mean()), float(came.sum() / day.sum())
    return Finding(name, measure, float(len(day)), side, share, 0.5, ratio, p, p <= level, since)


def _since(start: pd.Timestamp, day: float, drifted: bool) -> pd.Timestamp | NaTType:
    """The end of the day on which the test first sounded; NaT where it did not."""
    return start.floor("D") + pd.Timedelta(days=day) if drifted and np.isfinite(day) else pd.NaT
