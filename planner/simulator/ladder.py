"""The machines that bear a load, read from a plan's own hours: the rungs an autoscaler goes up and
down.

A rung is one mix of machines.  Rungs are the mixes that the schedule runs and what is left of them
when some machines of one kind (or, under a largest share of one type, of all) are taken away,
without those that another rung bears more than for no more money.  What a rung bears is what the
plan would load it with: all of it after the worst loss of zones the plan provides for, machines
dealt to zones in turn, and no more than leaves the shares of spot machines and of the largest machine
type within their limits (:func:`bears_rps`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planner.arrays import Floats, Ints
from planner.shares import largest_load
from planner.zones import Zones

_MOST = 60_000  # mixes looked at, times zones


@dataclass(frozen=True)
class Kind:
    """Replicas of one kind, on machines of one ``instance_type``: what n bear together and where they
    saturate [original requests/s], at n = 0, 1, …; ``usd_per_h`` where no commitment pays.
    """

    name: str
    spot: bool
    bears_rps: Floats
    saturation_rps: Floats
    usd_per_h: float
    spot_yield: float = 1.0
    instance_type: str = ""


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


class Shares(NamedTuple):
    """How much of a load spot machines may bear together, and one machine type (``None``: all)."""

    spot: float
    of_type: float | None = None


def ladder(
    schedule: Ints,
    planned_rps: Floats,
    kinds: list[Kind],
    zones: Zones,
    shares: Shares,
    least: int,
    most: int | None,
    cost_of: Callable[[Ints], Floats],
) -> Ladder:
    """Rungs of a schedule (hours, kinds); ``least`` and ``most`` replicas in all.

    ``planned_rps`` (hours,): a mix bears at least the load it was planned for; ``shares`` of
    the load that machines may bear; ``cost_of`` mixes [USD/h].
    """
    seen, where = np.unique(schedule, axis=0, return_inverse=True)
    told = np.zeros(len(seen))
    np.maximum.at(told, where.ravel(), planned_rps)
    mixes = _with_fewer(seen, least, max(200, _MOST // zones.zones), evenly=shares.of_type is not None)
    if most is not None:
        mixes = mixes[mixes.sum(axis=1) <= most] if (mixes.sum(axis=1) <= most).any() else mixes[:1]
    bears = bears_rps(mixes, kinds, zones, shares)
    own = bears_rps(seen, kinds, zones, shares)
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


def _with_fewer(seen: Ints, least: int, left: int, *, evenly: bool) -> Ints:
    """The mixes seen and each of them with some machines of one kind taken away, about ``left``; and
    of all kinds ``evenly``, where none may carry too much of the load.
    """
    parts = [seen]
    for row in seen[np.argsort(-seen.sum(axis=1), kind="stable")]:
        if evenly:
            part = np.arange(row.max(initial=0))[:, None]
            parts.append(-(-row[None, :] * part // max(row.max(initial=0), 1)))
            left -= len(part)
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


def bears_rps(mixes: Ints, kinds: list[Kind], zones: Zones, shares: Shares) -> Floats:
    """What mixes may be loaded with [original requests/s], as the plan loads them.

    min(s, s of what is not spot / (1 − spot share), what the share of one type allows), s what is
    left after the worst loss of zones.
    """

    def of(kind: Kind) -> Callable[[Ints], Floats]:
        return lambda n: np.asarray(kind.bears_rps[n] * (kind.spot_yield if kind.spot else 1.0))

    found = zones.worst(mixes, [of(k) for k in kinds])
    if shares.of_type is not None:
        found = np.minimum(found, largest_load(_by_type(mixes, kinds, zones), shares.of_type))
    if shares.spot >= 1 or not any(k.spot for k in kinds):
        return found
    steady = [i for i, k in enumerate(kinds) if not k.spot]
    kept = zones.worst(mixes[:, steady], [of(kinds[i]) for i in steady]) if steady else np.zeros(len(mixes))
    return np.minimum(found, kept / (1.0 - shares.spot))


def _by_type(mixes: Ints, kinds: list[Kind], zones: Zones) -> Floats:
    """What each machine type bears in the zones that stay on average, (mixes, types), each replica as
    much as in the smaller pool that a loss may leave.
    """
    found: dict[str, Floats] = {}
    for i, kind in enumerate(kinds):
        pool = np.maximum(zones.staying(mixes[:, i]), np.minimum(mixes[:, i], 1))
        each = kind.bears_rps[pool] * (kind.spot_yield if kind.spot else 1.0) / np.maximum(pool, 1)
        found[kind.instance_type] = found.get(kind.instance_type, 0.0) + each * mixes[:, i] / zones.factor
    return np.stack(list(found.values()), axis=1)
