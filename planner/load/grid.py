"""Raw rows onto a regular UTC grid with a mask: absent is not zero, and every repair is named."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from planner.arrays import Floats, Index, Ints
from planner.errors import TrafficError
from planner.load.formats.base import Raw
from planner.load.quality import Quality

DAY_S = 86_400
MAX_BUCKETS = 16_000_000  # 128 MB a column; half a year at one second
FEW_BUCKETS = 10_000  # below, a stray stamp costs nothing
MIN_OBSERVED_SHARE = 0.01
MAX_GAP_SHARE = 0.9
MAX_CONFLICT_SHARE = 0.02


@dataclass(frozen=True)
class Grid:
    """``rate_rps`` (n,) mean rate of each bucket, NaN where not observed; bucket i starts at
    ``start_us`` + i × ``interval_s``.
    """

    start_us: int
    interval_s: int
    rate_rps: Floats
    input_tokens: Floats | None
    output_tokens: Floats | None


def regular(raw: Raw, gaps: str, where: str, quality: Quality) -> Grid:
    """Sort, merge and place the rows of ``raw``. Raises :class:`TrafficError` where
    that would need guessing.

    The interval is stated or the most common step; the grid's phase is the most common remainder
    of the stamps, so buckets that begin at :30 keep doing so, and other stamps go to the nearest
    bucket. Counts become rates by the interval. ``gaps`` zero reads absent buckets as 0;
    otherwise they stay NaN, but for logs, which are complete.

    It lies where the interval changed within the file and the counts do not show it.
    """
    if not raw.ts_us.size:
        raise TrafficError("there are no rows", where=where, remedy="Export the history again")
    order = np.argsort(raw.ts_us, kind="stable")
    if (np.diff(raw.ts_us) < 0).any():
        quality.add("repaired", int((np.diff(raw.ts_us) < 0).sum()), "rows stood out of time order and were sorted")
    ts, value = raw.ts_us[order], raw.value[order]
    interval = raw.interval_s or interval_of(ts, where)
    if raw.interval_s is None and raw.meaning == "requests_per_interval":
        _same_interval(ts, value, interval, where)
    step = interval * 1_000_000
    phase = _phase(ts, step)
    slot = (ts - phase + step // 2) // step
    moved = int((ts != phase + slot * step).sum())
    if moved:
        quality.add(
            "repaired",
            moved,
            f"stamps did not lie on the {interval} s grid and were moved to its nearest bucket",
        )
    elif phase and 3600 % interval == 0:
        quality.add(
            "noted",
            len(ts),
            f"buckets start {phase / 1e6:g} s after the clock's full {interval} s; they count where they start",
        )
    tokens = [None if t is None else t[order] for t in (raw.input_tokens, raw.output_tokens)]
    keep = _unique(slot, value, where, quality)
    slot, value = slot[keep], value[keep]
    size = int(slot[-1] - slot[0]) + 1
    if size > MAX_BUCKETS:
        raise TrafficError(
            f"the history spans {size} buckets of {interval} s, more than {MAX_BUCKETS}",
            where=where,
            remedy="Check for a stray time stamp, or export at a longer interval",
        )
    _no_stray(slot, size, raw, where)
    scale = 1.0 if raw.meaning == "requests_per_s" else 1.0 / interval
    at = slot - slot[0]
    rate = np.full(size, 0.0 if raw.complete else np.nan)
    rate[at] = value * scale
    filled = [None if t is None else _spread(t[keep], at, size) for t in tokens]
    _gaps(rate, gaps, quality)
    return Grid(int(phase + slot[0] * step), interval, rate, filled[0], filled[1])


def _no_stray(slot: Ints, size: int, raw: Raw, where: str) -> None:
    """Raises :class:`TrafficError` where one gap is nearly the whole span, or nearly nothing of it
    was observed.
    """
    if size <= FEW_BUCKETS:
        return
    steps = np.diff(slot)
    at = int(np.argmax(steps))
    if steps[at] > MAX_GAP_SHARE * size:
        few = slot[: at + 1] if at + 1 <= len(slot) - at - 1 else slot[at + 1 :]
        step = (raw.interval_s or 0) * 1_000_000
        near = f"{len(few)} of {len(slot)} buckets lie {steps[at]} buckets away from all others"
        first = str(np.int64(few[0] * step).astype("datetime64[us]")) if step else None
        raise TrafficError(near, where=where, got=first, remedy="Remove the rows with stray time stamps")
    if not raw.complete and len(slot) < MIN_OBSERVED_SHARE * size:
        raise TrafficError(
            f"only {len(slot)} of {size} buckets between first and last stamp were observed",
            where=where,
            remedy="Remove rows with stray time stamps, or export at one fixed interval",
        )


def interval_of(ts_us: Ints, where: str) -> int:
    """Most common distance of sorted stamps [s], from 1 s to 1 day.
    Raises :class:`TrafficError`.
    """
    gaps = np.diff(ts_us)
    gaps = gaps[gaps > 0]
    if not gaps.size:
        raise TrafficError(
            "the history has a single time stamp, so its interval cannot be told",
            where=where,
            remedy="Export at least three days",
        )
    seconds = np.round(gaps / 1e6).astype(np.int64)
    values, counts = np.unique(seconds, return_counts=True)
    found = int(values[np.argmax(counts)])
    if found < 1 or found > DAY_S:
        raise TrafficError(
            "the rows must lie from 1 s to 1 day apart",
            where=where,
            got=f"{np.median(gaps) / 1e6:g} s",
            remedy=(
                "Export daily or finer values, or leave the file out and state their mean:"
                " traffic: {requests_per_day: NUMBER, shape: office}"
                if found > DAY_S
                else "Aggregate to seconds or minutes, or give a request log with input_tokens and output_tokens"
            ),
        )
    if counts.max() < 0.3 * counts.sum():
        raise TrafficError(
            "the rows follow no regular interval",
            where=where,
            got=f"{found} s in {counts.max()} of {counts.sum()} steps",
            remedy="Export at one fixed interval",
        )
    return found


def _same_interval(ts: Ints, value: Floats, interval: int, where: str) -> None:
    """A count over 5 minutes is no count over 1: a long run of another step with counts to match
    means a changed interval.
    """
    steps = np.round(np.diff(ts) / 1e6).astype(np.int64)
    edge = np.flatnonzero(np.diff(steps)) + 1
    bounds = np.concatenate([[0], edge, [len(steps)]])
    usual = np.nanmedian(value) if np.isfinite(value).any() else 0.0
    for a, b in pairwise(bounds):
        # half-way to what a longer or shorter bucket would count
        matched = 0.5 * (1 + steps[a] / interval) * usual
        larger = np.nanmedian(value[a:b]) > matched if b - a >= 12 and np.isfinite(value[a:b]).any() else False
        if b - a >= 12 and steps[a] not in (0, interval) and larger == (steps[a] > interval):
            raise TrafficError(
                f"the interval of the counts changes from {interval} s to {steps[a]} s",
                where=f"{where}, row {a + 1} in time order",
                remedy="Export at one fixed interval, or give rates",
            )


def _phase(ts: Ints, step: int) -> int:
    """Most common remainder of the stamps by the step [µs].

    >>> _phase(np.array([30, 90, 150, 151]), 60)
    30
    """
    values, counts = np.unique(ts % step, return_counts=True)
    return int(values[np.argmax(counts)])


def _unique(slot: Ints, value: Floats, where: str, quality: Quality) -> Index:
    """Index of the row to keep for each bucket, in order: the larger of repeated rows.

    A row exported before its bucket was over counts less, hence the larger. Raises
    :class:`TrafficError` where more than 2 % of the rows contradict each other:
    these are several series.
    """
    order = np.lexsort((np.nan_to_num(value, nan=-1.0), slot))
    last = np.append(slot[order][1:] != slot[order][:-1], True)
    repeated = int((~last).sum())
    if repeated:
        same = slot[order][1:] == slot[order][:-1]
        a, b = value[order][1:][same], value[order][:-1][same]
        conflicts = int((a != b).sum())
        if conflicts > max(3, MAX_CONFLICT_SHARE * len(slot)):
            raise TrafficError(
                f"{conflicts} rows give another value for a time stamp already seen: the file holds several series",
                where=where,
                remedy="Filter one series, or add them up, before reading",
            )
        quality.add(
            "repaired",
            repeated,
            f"rows repeated a time stamp ({conflicts} with another value): the larger value was kept",
        )
    kept: Index = order[last]
    return kept


def _spread(values: Floats, at: Ints, size: int) -> Floats:
    """Values at their buckets, NaN elsewhere, shape (size,)."""
    found = np.full(size, np.nan)
    found[at] = values
    return found


def _gaps(rate: Floats, gaps: str, quality: Quality) -> None:
    """Read buckets that were not observed as zero where ``gaps`` says so, else leave them
    unknown; both are noted with their number.
    """
    missing = np.isnan(rate)
    if not missing.any():
        return
    count = int(missing.sum())
    if gaps == "zero":
        rate[missing] = 0.0
        quality.add("filled", count, "absent buckets were read as zero, as traffic.gaps: zero says")
    else:
        quality.add(
            "noted",
            count,
            f"buckets were not observed ({count / len(rate):.1%} of the span); they stay unknown and are not zero",
        )
