"""Series into one demand: counters to rates, parts added up, and the signs that a series is not
what it is read as.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import TrafficError
from planner.load.quality import Quality

Series = tuple[Ints, Floats]
MAX_FALLING_SHARE = 0.2  # a process that restarts at every fifth sample counts nothing
RISING_SHARE = 0.5
MAX_REPEATED_SHARE = 0.02  # of rows that repeat a stamp, as where two exports overlap
DAY_US = 86_400_000_000
STATE_COUNTER = "State traffic.value: counter, or export the increase of each interval"


def added(series: Sequence[Series]) -> Series:
    """Sum of several series stamp by stamp; a stamp counts as observed if one of them has it.

    It lies low at stamps that some series lack, as when one of several pods was not scraped.

    >>> one, other = (np.array([0, 1]), np.array([1.0, 3.0])), (np.array([1, 2]), np.array([2.0, np.nan]))
    >>> [part.tolist() for part in added([one, other])]
    [[0, 1, 2], [1.0, 5.0, nan]]
    """
    ts = np.concatenate([s[0] for s in series])
    value = np.concatenate([s[1] for s in series])
    seen = np.isfinite(value)
    stamps, place = np.unique(ts, return_inverse=True)
    total = np.bincount(place[seen], weights=value[seen], minlength=len(stamps))
    count = np.bincount(place[seen], minlength=len(stamps))
    return stamps, np.where(count > 0, total, np.nan)


def increase(samples: Series, where: object, quality: Quality) -> Series:
    """Rates [requests/s] of the steps of a counter, stamped at the start of each step.

    A counter is cumulative since its process started (Prometheus documentation, metric types): a
    fall means a restart, and the value after it is the increase. Raises :class:`TrafficError` for a
    series that falls too often to be a counter.
    """
    order = np.argsort(samples[0], kind="stable")
    ts, value = samples[0][order], samples[1][order]
    keep = np.isfinite(value)
    ts, value = ts[keep], value[keep]
    if len(ts) < 2:
        return ts[:0], value[:0]
    step_us, rise = np.diff(ts), np.diff(value)
    resets = rise < 0
    if resets.sum() > max(2, MAX_FALLING_SHARE * len(rise)):
        raise TrafficError(
            f"the series falls in {resets.mean():.0%} of its steps, so it is no counter",
            where=where,
            remedy="State what it holds as traffic.value: requests_per_s or requests_per_interval",
        )
    if resets.any():
        quality.add(
            "repaired",
            int(resets.sum()),
            "counter resets: the value after the restart was taken as the increase",
        )
    rise = np.where(resets, value[1:], rise)
    near = (step_us > 0) & (step_us < 1.5 * np.median(step_us))
    if not near.all():
        quality.add(
            "dropped",
            int((~near).sum()),
            "steps of a counter across missing samples: their increase cannot be placed",
        )
    return ts[:-1][near], rise[near] / (step_us[near] / 1e6)


def never_falls(samples: Series) -> bool:
    """True for a series that rises in most steps over days and never falls: a
    counter, whatever it is called.

    From 24 values over two days on, with more than half of the steps rising. A demand that grew
    at every step of two days would be taken for a counter; one with a single lower night is not.
    """
    order = np.argsort(samples[0], kind="stable")
    ts, value = samples[0][order], samples[1][order]
    value, ts = value[np.isfinite(value)], ts[np.isfinite(value)]
    if len(value) < 24 or ts[-1] - ts[0] < 2 * DAY_US:
        return False
    rise = np.diff(value)
    return bool((rise >= 0).all() and (rise > 0).mean() > RISING_SHARE)


def refuse_cumulative(samples: Series, where: object) -> None:
    """Raises :class:`TrafficError` for counts of an interval that never fall over days: they are a
    counter.
    """
    if never_falls(samples):
        raise TrafficError(
            "the series never falls over days, so it is a counter and no count in each interval",
            where=where,
            remedy=STATE_COUNTER,
        )


def total_of(parts: Sequence[Floats]) -> int | None:
    """Place of the column that is the sum of all others, row by row; ``None`` if there is none.

    From two other columns on that hold anything: of two equal ones neither need be a total. A
    missing value counts as 0.

    >>> total_of([np.array([1.0, 2.0]), np.array([3.0, 1.0]), np.array([4.0, 3.0])])
    2
    """
    if sum(bool(np.nansum(part)) for part in parts) < 3:
        return None
    whole = np.nansum(np.array(parts), axis=0)
    for i, part in enumerate(parts):
        if np.allclose(np.nan_to_num(part) * 2, whole, rtol=1e-6, atol=1e-9) and whole.any():
            return i
    return None
