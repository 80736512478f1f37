"""Calendar-true time: months of a zone with their true hours, and the same wall-clock time months
later.

Months have 672 to 745 hours (a day of 25 hours in autumn, of 23 in spring); there is no month of
730 hours.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from planner.arrays import Floats, Index


@dataclass(frozen=True)
class Months:
    """Calendar months of a time zone that the horizon touches.

    ``start``: UTC instants; ``hours``: true hours of each (672 to 745); ``of``: the month of each
    hour of the grid.
    """

    start: pd.DatetimeIndex
    hours: Floats
    of: Index

    @classmethod
    def over(cls, ts: pd.DatetimeIndex, time_zone: str) -> "Months":
        """The months that instants ``ts`` fall into.

        >>> Months.over(pd.date_range("2027-02-01", periods=2, freq="h", tz="UTC"), "UTC").hours.tolist()
        [672.0]
        """
        wall = ts.tz_convert(time_zone).tz_localize(None)
        number = (wall.year * 12 + wall.month - 1).to_numpy()
        first = int(number.min())
        walls = pd.DatetimeIndex(
            [pd.Timestamp(year=n // 12, month=n % 12 + 1, day=1) for n in range(first, int(number.max()) + 2)]
        )
        local = walls.tz_localize(time_zone, nonexistent="shift_forward", ambiguous=np.ones(len(walls), dtype=bool))
        bounds = local.tz_convert("UTC").as_unit("us")
        hours = np.diff(bounds.asi8) / 3.6e9
        return cls(bounds[:-1], hours.astype(np.float64), (number - first).astype(np.intp))

    def total(self, values: Floats) -> Floats:
        """Sums by month of values along the last axis.

        ``values`` (…, hours); the answer (…, months).
        """
        rows, months = values.reshape(-1, values.shape[-1]), len(self.start)
        at = np.arange(len(rows))[:, None] * months + self.of
        sums = np.bincount(at.ravel(), rows.ravel(), minlength=len(rows) * months)
        return sums.astype(np.float64).reshape(*values.shape[:-1], months)


@lru_cache(maxsize=4096)
def later(start: pd.Timestamp, months: int, time_zone: str) -> pd.Timestamp:
    """The same wall-clock time so many months after (before, if negative).

    ``months`` whole; the last day of a shorter month where the day does not exist.

    >>> later(pd.Timestamp("2027-01-31", tz="UTC"), 1, "UTC").date().isoformat()
    '2027-02-28'
    """
    return (pd.Timestamp(start).tz_convert(time_zone) + pd.DateOffset(months=months)).tz_convert("UTC")
