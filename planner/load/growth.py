"""What the user knows and history does not: growth and events, drawn from their ranges for each
path.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.scenario import Event, Range

YEAR_S = 365.2425 * 86_400


def draw(value: Range, size: int, rng: np.random.Generator) -> Floats:
    """``size`` stratified draws, in random order, from the triangular range (mode ``likely``).

    Inverse of the triangular distribution at one point of each of ``size`` equal slices of (0, 1),
    so that few paths already show the range: F⁻¹(u) = low + √(u·w·rise) below the mode, high −
    √((1−u)·w·fall) above.

    >>> draw(Range(low=0.0, likely=0.0, high=0.0), 2, np.random.default_rng(0)).tolist()
    [0.0, 0.0]
    """
    if value.certain:
        return np.full(size, value.likely)
    u = rng.permutation((np.arange(size) + rng.random(size)) / size)
    width, rise = value.high - value.low, value.likely - value.low
    cut = rise / width
    with np.errstate(invalid="ignore"):
        low = value.low + np.sqrt(u * width * rise)
        high = value.high - np.sqrt((1 - u) * width * (value.high - value.likely))
    return np.where(u < cut, low, high)


def growth_factor(
    value: Range, ts: pd.DatetimeIndex, anchor: pd.Timestamp, paths: int, rng: np.random.Generator
) -> Floats:
    """(1 + g)^(years since ``anchor``), one g a path, shape (paths, hours).

    ``value`` g [share a year], above −1; ``ts`` (hours,) UTC. Years are of 365.2425 days; before
    ``anchor`` nothing is taken back.
    """
    years = (ts.as_unit("us").asi8 / 1e6 - anchor.timestamp()) / YEAR_S
    found: Floats = np.exp(np.log1p(draw(value, paths, rng))[:, None] * np.maximum(years, 0.0)[None, :])
    return found


def event_effects(
    events: Sequence[Event], ts: pd.DatetimeIndex, zone: str, paths: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Product of multipliers and sum of added rates [requests/s] of each hour, by the share of the
    hour an event covers.

    ``zone``: the clock on which an event begins and ends. Both arrays (paths, hours); events that
    overlap multiply, additions add; an hour that an event covers by half takes half of it.
    """
    multiplier, added = np.ones((paths, len(ts))), np.zeros((paths, len(ts)))
    for event in events:
        share = _cover(event, ts, zone)
        if event.multiplier is not None:
            multiplier *= 1.0 + (draw(event.multiplier, paths, rng) - 1.0)[:, None] * share[None, :]
        elif event.added_rps is not None:
            added += draw(event.added_rps, paths, rng)[:, None] * share[None, :]
    return multiplier, added


def without_effect(events: Sequence[Event], ts: pd.DatetimeIndex, zone: str) -> list[str]:
    """A sentence on each event that covers no hour of ``ts``: perhaps a wrong year."""
    plan = " to ".join(f"{t.tz_convert(zone):%Y-%m-%d}" for t in (ts[0], ts[-1]))
    return [
        f"the event {e.name} ({e.start} to {e.end}) lies wholly outside the plan ({plan}) and changes nothing"
        for e in events
        if not _cover(e, ts, zone).any()
    ]


def _cover(event: Event, ts: pd.DatetimeIndex, zone: str) -> Floats:
    hour = ts.as_unit("us").asi8 / 3.6e9
    start, end = (instant(x, zone).timestamp() / 3600.0 for x in (event.start, event.end))
    found: Floats = np.clip(np.minimum(hour + 1, end) - np.maximum(hour, start), 0.0, 1.0)
    return found


def instant(when: date | datetime, zone: str) -> pd.Timestamp:
    """UTC instant of a local date (its midnight) or of a date-time, local to ``zone`` unless it
    carries an offset.

    >>> instant(date(2027, 7, 1), "Europe/Berlin").isoformat()
    '2027-06-30T22:00:00+00:00'
    """
    stamp = pd.Timestamp(when)
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return stamp.tz_convert("UTC")
