"""Drift: is the load outside its forecast, do cost and latency leave their plan, more than chance
allows, and since when?

Load and spending are held against the plan's own sample paths, latency against what the replay
expects (once, after a week) and against its own days (from then on). Each test may be looked at
every day of the plan (:mod:`sequential`).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.typing import NaTType
from scipy.special import ndtr

from planner import columns
from planner.arrays import Floats
from planner.load import Load, Traffic
from planner.plan import Plan
from planner.track import sequential
from planner.track.period import Period, daily
from planner.track.sequential import DAY, SIGNIFICANCE, WEEK, Evidence

BAND = 0.8
_MIN_DAYS = 3
_MIN_HOURS = 12  # of a day that were observed
_MODEL_BAND, _Z90 = 0.9, 1.645  # in which errors of models are told, and its normal quantile


class Finding(NamedTuple):
    """One test: ``service`` (or "" for the bill) and ``measure``; ``outside_share`` of hours or days
    beyond the bound on the worse ``side`` and ``expected_share``; ``ratio`` of what came to what was
    planned; ``p_value``, NaN where nothing could be found so far; ``drifted`` and since when it is
    ``known_since``.
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
    """Each service with actual traffic on the plan's hours, week by week against its paths;
    services with less than three days there are left out. Before a whole week, and with fewer paths
    than :func:`sequential.fewest_paths`, it is not tested (p value NaN). Told beside it: hours outside the
    central 80 % of the paths.
    """
    for name, traffic in actual.items():
        came: Floats = np.asarray(traffic.hourly().reindex(load.ts), dtype=np.float64)
        known = np.isfinite(came)
        if known.sum() < _MIN_DAYS * DAY:
            continue
        paths = load.services[name].arrival_rate_rps
        low, middle, high = np.quantile(paths, ((1 - BAND) / 2, 0.5, (1 + BAND) / 2), axis=0)
        found = _against(_days(paths.astype(np.float64)), _observed(came, middle))
        outside = (came > high) if found.side == "above" else (came < low)
        told = (found.side, float(outside[known].mean()), (1 - BAND) / 2)
        ratio = float(came[known].sum() / middle[known].sum()) if middle[known].sum() > 0 else float("nan")
        yield _finding((name, "load", float(known.sum() / DAY)), told, ratio, found, load.ts[0], level)


def _against(paths: Floats, came: Floats) -> Evidence:
    """The strongest evidence of a quarter that what came of each day (days,), NaN where not known,
    is not like the paths (paths, days).
    """
    return sequential.quarterly(paths.shape[1], lambda q: sequential.against(paths[:, q], came[q]))


def _days(hours: Floats) -> Floats:
    """Sums of whole days from the first hour on, (n, hours) → (n, days)."""
    count = hours.shape[1] // DAY
    return np.asarray(hours[:, : count * DAY].reshape(len(hours), count, DAY).sum(axis=2))


def _observed(came: Floats, middle: Floats) -> Floats:
    """What came of each day (days,): hours that were not observed as the middle path has them, in
    proportion to those that were; NaN with fewer than twelve.
    """
    known = np.isfinite(came)
    seen, due, whole = (_days(v[None, :])[0] for v in (np.where(known, came, 0.0), middle * known, middle))
    enough = _days(known[None, :].astype(np.float64))[0] >= _MIN_HOURS
    scale = np.divide(whole, due, out=np.ones_like(due), where=due > 0)
    return np.where(enough, seen * scale, np.nan)


def of_cost(
    plan: Plan,
    planned: pd.DataFrame,
    rows: pd.DataFrame,
    money: str,
    period: Period,
    load: Load,
    level: float = SIGNIFICANCE,
) -> Iterator[Finding]:
    """The bill, and each service of it, against what its days cost on the plan's load paths.

    A day of path k costs the plan's day · (1 + β·(its volume / mean volume − 1)); β, how far the
    bill follows the load, is the spread of the months' bills over that of their volumes (1 where
    one of them has none), so that what is fixed stays. Requests of one service are not those of
    another: volumes are added up as shares of their mean, each service by its planned money.
    """
    sums = planned.groupby("service")[money].sum()
    worth = {name: float(sums.get(name, 0.0)) for name in load.services}
    follows = _follows(plan, load, worth)
    for name in ("", *sorted(set(planned["service"]) - {""})):
        mine, theirs = (t if name == "" else t[t["service"] == name] for t in (planned, rows))
        day, came = (np.asarray(daily(t, money, period), dtype=np.float64) for t in (mine, theirs))
        if len(day) < _MIN_DAYS or not day.sum() > 0:
            continue
        first = period.start.ceil("D")
        skipped = int((load.ts < first).sum())
        moving = {name: 1.0} if name else worth
        swing = _swing({n: _days(_rates(load, n)[:, skipped:]) for n in moving}, moving)
        costs, bills = (_until(swing.shape[1], *pair) for pair in ((day, day.mean()), (came, np.nan)))
        possible = costs * (1.0 + follows * swing)
        found = _against(possible, bills)
        low, high = np.quantile(possible, ((1 - BAND) / 2, (1 + BAND) / 2), axis=0)
        known = np.isfinite(bills)
        outside = (bills > high) if found.side == "above" else (bills < low)
        told = (found.side, float(outside[known].mean()), (1 - BAND) / 2)
        yield _finding((name, "cost", float(known.sum())), told, float(came.sum() / day.sum()), found, first, level)


def _until(length: int, days: Floats, rest: float) -> Floats:
    """Days (length,), those after the last known one as ``rest``."""
    return np.concatenate([days[:length], np.full(max(length - len(days), 0), rest)])


def _swing(volumes: Mapping[str, Floats], worth: Mapping[str, float]) -> Floats:
    """Volume of each path over the mean path's, less one, (paths, days): the mean of services by
    what each is ``worth``; 0 where nothing is planned.
    """
    found = np.zeros_like(next(iter(volumes.values())))
    for name, volume in volumes.items():
        mean = np.broadcast_to(volume.mean(axis=0), volume.shape)
        found += worth[name] * (np.divide(volume, mean, out=np.ones_like(volume), where=mean > 0) - 1.0)
    return np.asarray(found / max(sum(worth.values()), 1e-12))


def _rates(load: Load, name: str) -> Floats:
    """Requests/s of a service on each path and hour, (paths, hours)."""
    return load.services[name].arrival_rate_rps.astype(np.float64)


def _follows(plan: Plan, load: Load, worth: Mapping[str, float]) -> float:
    """β: relative spread of the months' bills over the paths, over that of their volumes; at most
    1.
    """
    month, spreads = load.ts.tz_convert(plan.time_zone).strftime("%Y-%m"), []
    for name, paid in plan.paths_month_usd.items():
        bill, here = np.asarray(paid, dtype=np.float64), month == name
        if here.any() and bill.mean() > 0:
            volumes = {n: _rates(load, n)[:, here].sum(axis=1, keepdims=True) for n in worth}
            spreads.append((bill.std() / bill.mean(), _swing(volumes, worth).std()))
    of_bills, of_volumes = (float(sum(pair[k] for pair in spreads)) for k in (0, 1))
    return min(1.0, of_bills / of_volumes) if of_bills > 0 and of_volumes > 0 else 1.0


def of_latency(
    expected: Mapping[tuple[str, str], float],
    actual: Mapping[tuple[str, str], "pd.Series[float]"],
    error_share: Mapping[str, float],
    level: float = SIGNIFICANCE,
) -> Iterator[Finding]:
    """Each objective whose percentile was measured, its days by their median hour.

    ``expected`` [s]: typical latency of the replay, with the 90 % band ``error_share`` of its
    model; ``actual`` [s] by hour; both by (service, objective). Two questions a quarter, whose
    smaller p counts as 1 − (1 − p)²: is its first week within the model's error, and are its days
    alike (:func:`sequential.changed`)? Where that error is not known the first is not asked, and
    how many days are beyond it is not known either (NaN).
    """
    for (name, objective), series in actual.items():
        day = series.resample("D").median()
        seen = day.notna()
        if (name, objective) not in expected or seen.sum() < _MIN_DAYS:
            continue
        typical, error = expected[name, objective], error_share.get(name, float("nan"))
        values = np.asarray(day, dtype=np.float64)
        found = _latency(values, typical, error)
        came = values[seen]
        outside = came > typical * (1 + error) if found.side == "above" else came < typical / (1 + error)
        told = (found.side, *((float(outside.mean()), (1 - _MODEL_BAND) / 2) if error >= 0 else (np.nan, np.nan)))
        ratio = float(came.mean() / typical) if typical > 0 else float("nan")
        yield _finding((name, objective, float(seen.sum())), told, ratio, found, day.index[0], level)


def _latency(values: Floats, typical: float, error: float) -> Evidence:
    """The strongest evidence of a quarter of measured days (n,) [s]; the quarter under way is
    looked at as one of full length.
    """
    whole = -(-len(values) // sequential.QUARTER) * sequential.QUARTER
    padded = np.concatenate([values, np.full(whole - len(values), np.nan)])

    def test(quarter: slice) -> Evidence:
        days = padded[quarter]
        return _both(sequential.changed(days, len(days)), days, typical, error)

    return sequential.quarterly(whole, test)


def _both(change: Evidence, values: Floats, typical: float, error: float) -> Evidence:
    """The evidence of a change, and from the end of the first week on that of a wrong level."""
    first = values[:WEEK][np.isfinite(values[:WEEK])]
    if not (error > 0 and typical > 0 and change.day.size >= WEEK and len(first) and first.mean() > 0):
        return change
    score = float(np.log(first.mean() / typical) / (np.log1p(error) / _Z90))
    wrong = 2.0 * float(ndtr(-abs(score)))
    p = np.where(change.day >= WEEK, np.minimum(change.p_value, wrong), change.p_value)
    side = ("above" if score > 0 else "below") if wrong < change.last else change.side
    return Evidence(1.0 - (1.0 - p) ** 2, change.day, side, 1.0 - (1.0 - change.least) ** 2)


def _finding(
    subject: tuple[str, str, float],
    told: tuple[str, float, float],
    ratio: float,
    found: Evidence,
    first: pd.Timestamp,
    level: float,
) -> Finding:
    """One finding; without a p value where not even the strongest evidence would be below ``level``."""
    p = found.last if found.least <= level else float("nan")
    return Finding(*subject, *told, ratio, p, p <= level, _since(first, found.first_below(level), p <= level))


def _since(start: pd.Timestamp, day: float, drifted: bool) -> pd.Timestamp | NaTType:
    """The end of the day on which the test first sounded; NaT where it did not."""
    return start + pd.Timedelta(days=day) if drifted else pd.NaT
