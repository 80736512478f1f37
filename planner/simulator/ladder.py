"""The machines that bear a load, read from a plan's own hours: the rungs an autoscaler goes up and
down.

A rung is one mix of machines.  Rungs are the mixes that the schedule runs and what is left of them
when some machines of one kind are taken away, without those that another rung bears more than for
no more money.  What a rung bears is what the plan would load it with: all of it after the worst loss
of zones the plan provides for, machines dealt to zones in turn, and no more than leaves the share
of spot machines within its limit (:func:`bears_rps`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats, Ints
from planner.zones import Zones

_MOST = 60_000  # mixes looked at, times zones


@dataclass(frozen=True)
class Kind:
    """Replicas of one kind: what n bear together and where they saturate [original requests/s], at
    n = 0, 1, …; ``usd_per_h`` where no commitment pays.
    """

    name: str
    spot: bool
    bears_rps: Floats
    saturation_rps: Floats
    usd_per_h: float
    spot_yield: float = 1.0


@dataclass(frozen=True)
class Ladder:
    """``counts`` (rungs, kinds) with rising ``bears_rps`` (rungs,).

    ``units`` (rungs,): how many replicas of the smallest kind each rung counts for; ``rung_of``
    [units]: the lowest rung of at least so many.
    """

    counts: Ints
    bears_rps: Floats
    units: Floats
    rung_of: Ints
    size: Floats

    def rung(self, rate_rps: Floats) -> Ints:
        """The lowest rung that bears a rate; the highest where none does."""
        found = np.searchsorted(self.bears_rps, rate_rps * (1 - 1e-9))
        return np.minimum(found, len(self.bears_rps) - 1).astype(np.int64)


def ladder(
    schedule: Ints,
    planned_rps: Floats,
    kinds: list[Kind],
    zones: Zones,
    spot_share: float,
    least: int,
    most: int | None,
    cost_of: Callable[[Ints], Floats],
) -> Ladder:
    """Rungs of a schedule (hours, kinds); ``least`` and ``most`` replicas in all.

    ``planned_rps`` (hours,): a mix bears at least the load it was planned for; ``spot_share`` of the
    load may be borne by spot machines; ``cost_of`` mixes [USD/h].
    """
    seen, where = np.unique(schedule, axis=0, return_inverse=True)
    told = np.zeros(len(seen))
    np.maximum.at(told, where.ravel(), planned_rps)
    mixes = _with_fewer(seen, least, max(200, _MOST // zones.zones))
    if most is not None:
        mixes = mixes[mixes.sum(axis=1) <= most] if (mixes.sum(axis=1) <= most).any() else mixes[:1]
    bears = bears_rps(mixes, kinds, zones, spot_share)
    own = bears_rps(seen, kinds, zones, spot_share)
    known = own > 0
    scale = max(1.0, float((told[known] / own[known]).max())) if known.any() else 1.0
    # of what costs the same, commitments paying, the one whose machines are cheaper
    price = cost_of(mixes) + 1e-6 * (mixes @ np.array([k.usd_per_h for k in kinds]))
    order = np.lexsort((-np.asarray(price), bears))
    mixes, bears, cost = mixes[order], bears[order] * scale, np.asarray(price)[order]
    keep = np.r_[cost[:-1] < np.minimum.accumulate(cost[::-1])[::-1][1:], True]
    mixes, bears = np.ascontiguousarray(mixes[keep]), bears[keep]
    size = _sizes(kinds)
    units = np.maximum.accumulate(mixes @ size)
    wanted = np.arange(int(np.ceil(units[-1])) + 1)
    rung_of = np.minimum(np.searchsorted(units, wanted - 1e-9), len(units) - 1)
    return Ladder(mixes, bears, units, rung_of.astype(np.int64), size)


def _sizes(kinds: list[Kind]) -> Floats:
    """Each kind's replicas counted in those of the smallest."""
    each = np.array([k.saturation_rps[1] if len(k.saturation_rps) > 1 else np.nan for k in kinds])
    return np.asarray(np.where(each > 0, each / np.nanmin(np.where(each > 0, each, np.nan)), 1.0))


def _with_fewer(seen: Ints, least: int, left: int) -> Ints:
    """The mixes seen and each of them with some machines of one kind taken away, about ``left``."""
    parts = [seen]
    for row in seen[np.argsort(-seen.sum(axis=1), kind="stable")]:
        for i in np.flatnonzero(row):
            fewer = np.repeat(row[None, :], row[i], axis=0)
            fewer[:, i] = np.arange(row[i])
            parts.append(fewer)
            left -= len(fewer)
        if left <= 0:
            break
    mixes = np.unique(np.concatenate(parts), axis=0)
    floor = min(least, int(seen.sum(axis=1).min()))
    return np.asarray(mixes[mixes.sum(axis=1) >= max(floor, 0 if least == 0 else 1)])


def bears_rps(mixes: Ints, kinds: list[Kind], zones: Zones, spot_share: float) -> Floats:
    """What mixes may be loaded with [original requests/s], as the plan loads them.

    min(s, s of what is not spot / (1 − ``spot_share``)), s what is left after the worst loss of
    zones; a bound on the share of one machine type is not counted.
    """

    def of(kind: Kind) -> Callable[[Ints], Floats]:
        return lambda n: np.asarray(kind.bears_rps[n] * (kind.spot_yield if kind.spot else 1.0))

    found = zones.worst(mixes, [of(k) for k in kinds])
    if spot_share >= 1 or not any(k.spot for k in kinds):
        return found
    steady = [i for i, k in enumerate(kinds) if not k.spot]
    kept = zones.worst(mixes[:, steady], [of(kinds[i]) for i in steady]) if steady else np.zeros(len(mixes))
    return np.minimum(found, kept / (1.0 - spot_share))
