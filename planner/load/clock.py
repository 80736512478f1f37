"""The users' wall clock: people sleep and work by it, so seasons are
learned on it and not on UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats, Ints
from planner.errors import TrafficError

DAY = 24
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class WallGrid:
    """A history on hours of the users' clock.

    ``y`` (n,) rates by wall hour, NaN where not observed or skipped by the clock (the hour that
    stands twice is averaged); ``first`` wall hour of ``y[0]``, counted since 1970-01-01 00:00;
    ``ahead`` (horizon,) position of each future hour after ``y``; ``free`` days off by wall hour,
    from ``first`` on to the end of the horizon.
    """

    y: Floats
    first: int
    ahead: Ints
    free: Flags

    @property
    def hours(self) -> int:
        """Wall hours of the horizon."""
        return len(self.free) - len(self.y)


def wall_hours(index: pd.DatetimeIndex, zone: str | None) -> Ints:
    """Hours of the clock of ``zone`` since 1970-01-01 00:00, of UTC instants (naive: UTC).

    >>> wall_hours(pd.DatetimeIndex(["1970-01-02"]), "UTC").tolist()
    [24]
    """
    utc = index if index.tz is not None else index.tz_localize("UTC")
    local = utc.tz_convert(zone or "UTC").tz_localize(None)
    found: Ints = local.as_unit("us").asi8 // 3_600_000_000
    return found


def week_slots(index: pd.DatetimeIndex, zone: str | None) -> Ints:
    """Hour of the week (Monday 00:00 is 0) on the clock of ``zone``, of UTC instants.

    >>> week_slots(pd.DatetimeIndex(["2027-01-04 06:00"], tz="UTC"), "Europe/Berlin").tolist()
    [7]
    """
    found: Ints = (wall_hours(index, zone) + _EPOCH_WEEKDAY * DAY) % (7 * DAY)
    return found


def wall_grid(history: pd.Series[Any], horizon: int, zone: str | None, country: str | None) -> WallGrid:
    """Put hourly rates (regular index, UTC) and the ``horizon`` hours after them on the wall clock
    of ``zone``.

    Seasons live on the clock people use, so a day of 25 hours is averaged where the clock stands
    twice and a day of 23 has a gap; ``country``: code of the public holidays that count as days
    off.
    """
    index = pd.DatetimeIndex(history.index)
    ahead = pd.date_range(index[-1], periods=horizon + 1, freq="h")[1:]
    past, future = wall_hours(index, zone), wall_hours(ahead, zone)
    first, size = int(past[0]), int(past[-1] - past[0]) + 1
    values = np.asarray(history, dtype=np.float64)
    seen = np.isfinite(values)
    count = np.bincount(past[seen] - first, minlength=size)
    total = np.bincount(past[seen] - first, weights=values[seen], minlength=size)
    y = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    # a repeated hour right after the history has no place of its own
    position = np.maximum(future - first - size, 0)
    free = days_off(first, size + int(position.max(initial=0)) + 1, country)
    return WallGrid(y, first, position, free)


def days_off(first: int, hours: int, country: str | None) -> Flags:
    """Saturdays, Sundays and the public holidays of ``country`` (``DE``,
    ``US-NY``), by wall hour.
    """
    day = (np.arange(hours, dtype=np.int64) + first) // DAY
    free = (day + _EPOCH_WEEKDAY) % 7 >= 5
    if country:
        years = pd.DatetimeIndex([np.datetime64(int(day[0]), "D"), np.datetime64(int(day[-1]), "D")]).year
        free |= np.isin(day, public_holidays(country, int(years[0]), int(years[-1])))
    return free


@cache
def public_holidays(country: str, first_year: int, last_year: int) -> Ints:
    """Days since 1970 of the public holidays. Raises :class:`TrafficError` for a country that is
    not known.
    """
    import holidays

    name, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(name, subdiv=part or None, years=range(first_year, last_year + 1))
    except NotImplementedError:
        raise TrafficError(
            "no public holidays are known for this country or part of it",
            where="traffic.holidays",
            got=country,
            remedy="Use a code such as DE, DE-BE or US-NY, or leave it out",
        ) from None
    return np.array(sorted(np.datetime64(d, "D").astype(np.int64) for d in found), dtype=np.int64)
