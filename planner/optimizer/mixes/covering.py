"""What whole machines cost at least: a relaxation small enough to be solved for every load, every
set of machine types at once.

For a set of types, load L, ``zones`` Z of which l may be lost, spot share σ, whatever the zone a
machine stands in:

    D(x)  least price of whole machines of capacity ≥ x (covering by dynamic programming; S(x) the
        same for spot)
    Z(x)  zones whose Z − l smallest carry x: min_k (l+1)·D(k) + D(x − k), k ≥ x/(Z − l); Z·D(x)
        where one zone must do
    (a)   each choice of surviving zones carries L, of it (1 − σ)L steady:  Z/(Z − l) · min_{s ≥
        (1−σ)L} D(s) + S(L − s)
    (b)   all together carry Z/(Z − l)·L:  min_s max(D(s), Z((1 − σ)L)) + S(Z/(Z − l)·L − s)
    (c)   the price of ``min_replicas``

The larger of the three is below the cost of any plan. Capacities are rounded up to a grid and loads
down to samples, so a coarse grid loosens the bound and never breaks it. Type shares and
``max_replicas`` are left to the linear program.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from planner.arrays import Floats, Index
from planner.optimizer.mixes.menu import Rules

COARSE = ((200, 40), (800, 160))  # grid of capacities and loads sampled where there are many sets
FINE = (3_000, 600)  # the same for those that come into question


@dataclass(frozen=True)
class Shelf:
    """Machine types of one service, arrays (types,): capacity and prices [USD/h] of a whole unit;
    inf = not sold.

    ``usage`` is the on-demand price, ``committed`` the lowest price of the same under a commitment,
    ``disk`` what neither covers; ``spot_price`` holds the disk. ``most`` units a quota allows;
    ``place`` the number of its region.
    """

    kind: tuple[str, ...]
    place: Index
    unit: Floats
    replicas: Floats
    capacity: Floats
    usage: Floats
    committed: Floats
    disk: Floats
    spot_capacity: Floats
    spot_price: Floats
    most: Floats

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: Index) -> "Shelf":
        """Some of its types."""
        return Shelf(
            tuple(self.kind[j] for j in rows),
            *(
                getattr(self, name)[rows]
                for name in (
                    "place",
                    "unit",
                    "replicas",
                    "capacity",
                    "usage",
                    "committed",
                    "disk",
                    "spot_capacity",
                    "spot_price",
                    "most",
                )
            ),
        )

    def undominated(self, *usages: Floats, places: bool = True) -> Index:
        """Rows of the types that no other (of the same region) serves as much as for no more, at
        each of ``usages`` and on spot.
        """
        columns = [
            -self.capacity,
            -self.spot_capacity,
            self.spot_price,
            *(u + self.disk for u in usages or (self.usage, self.committed)),
        ]
        # [i, j]: j is as good as i in everything
        better = np.ones((len(self), len(self)), dtype=bool)
        for column in columns:
            better &= column[None, :] <= column[:, None]
        if places:
            better &= self.place[None, :] == self.place[:, None]
        better &= np.isinf(self.most)[None, :]
        number = np.arange(len(self))
        better &= ~better.T | (number[None, :] < number[:, None])  # of equals the first stays
        np.fill_diagonal(better, False)
        found: Index = np.flatnonzero(~better.any(axis=1))
        return found

    def sets(self, size: int, regions: int | None) -> Index:
        """All sets of at most ``size`` types in at most ``regions``, short ones filled up by
        repeating a type.
        """
        groups = (
            [np.flatnonzero(self.place == p) for p in np.unique(self.place)] if regions == 1 else [np.arange(len(self))]
        )
        rows = [
            c + c[:1] * (size - len(c)) for group in groups for c in combinations(group.tolist(), min(size, len(group)))
        ]
        return self.within(np.array(rows, dtype=np.intp).reshape(len(rows), size), regions)

    def within(self, sets: Index, regions: int | None) -> Index:
        """Those of the sets that lie in at most ``regions``."""
        if regions is None or regions >= sets.shape[1]:
            return sets
        places = np.sort(self.place[sets], axis=1)
        found: Index = sets[1 + (np.diff(places, axis=1) > 0).sum(axis=1) <= regions]
        return found


def least_cost(
    shelf: Shelf, sets: Index, rules: Rules, loads: Floats, *, usage: Floats | None = None, grid: int = FINE[0]
) -> Floats:
    """Lower bound [USD/h] for each set of types (rows of ``sets``) and load, shape (sets, loads);
    ``usage`` in place of the shelf's.
    """
    price = (shelf.usage if usage is None else usage) + shelf.disk
    wide = rules.zones / (rules.zones - rules.zones_lost)
    step = max(1e-12, float(loads.max()) * wide / grid)
    most = shelf.most[sets]
    steady = _covering(shelf.capacity[sets], price[sets], most, grid, step)
    spot = np.full_like(steady, np.inf)
    spot[:, 0] = 0.0
    if rules.spot_share > 0 and np.isfinite(shelf.spot_price[sets]).any():
        spot = _covering(shelf.spot_capacity[sets], shelf.spot_price[sets], most, grid, step)
    floor = np.zeros(len(sets))
    if rules.min_replicas:
        floor = _covering(shelf.replicas[sets], price[sets], most, rules.min_replicas, 1.0)[:, -1]
    found = np.zeros((len(sets), len(loads)))
    for j, load in enumerate(loads):
        y, x, w = (int(np.ceil(v / step - 1e-9)) for v in ((1 - rules.spot_share) * load, load, wide * load))
        by_zone = _zones(steady, y, rules)
        apart = wide * (steady[:, y : x + 1] + spot[:, : x - y + 1][:, ::-1]).min(axis=1)
        first = min(w, int(np.ceil(wide * (1 - rules.spot_share) * load / step - 1e-9)))
        together = (np.maximum(steady[:, first : w + 1], by_zone[:, None]) + spot[:, : w - first + 1][:, ::-1]).min(
            axis=1
        )
        found[:, j] = np.maximum(np.maximum(apart, together), floor)
    return found


def _zones(steady: Floats, need: int, rules: Rules) -> Floats:
    """Least price of machines in zones of which any that stay carry ``need``."""
    stay = rules.zones - rules.zones_lost
    if not rules.zones_lost:
        return steady[:, need]
    if stay == 1:
        return rules.zones * steady[:, need]
    largest = np.arange(-(-need // stay), need + 1)
    return np.asarray(((rules.zones_lost + 1) * steady[:, largest] + steady[:, need - largest]).min(axis=1))


def _covering(capacity: Floats, price: Floats, most: Floats, grid: int, step: float) -> Floats:
    """Least price of whole machines of capacity ≥ u·``step``, u = 0 … ``grid``; capacities rounded
    up; rows are independent.
    """
    size = np.clip(np.ceil(capacity / step - 1e-9), 1, grid).astype(np.intp)
    found = np.full((len(capacity), grid + 1), np.inf)
    found[:, 0] = 0.0
    row = np.arange(len(capacity))[:, None]
    free = np.where(np.isinf(most), price, np.inf)
    if np.isfinite(free).any():
        for u in range(1, grid + 1):
            found[:, u] = (free + found[row, np.maximum(u - size, 0)]).min(axis=1)
    for column in np.flatnonzero((np.isfinite(most) & np.isfinite(price)).any(axis=0)):
        left = np.where(np.isfinite(most[:, column]), most[:, column], 0.0)
        chunk = 1.0
        while (left > 0).any():  # a number up to m is a sum of some of 1, 2, 4 … and the rest
            number = np.minimum(chunk, left)
            before = np.maximum(np.arange(grid + 1)[None, :] - (number * size[:, column]).astype(np.intp)[:, None], 0)
            cost = np.where(number > 0, number * np.where(np.isfinite(price[:, column]), price[:, column], 0.0), np.inf)
            cost = np.where(np.isfinite(price[:, column]), cost, np.inf)
            found = np.minimum(found, found[row, before] + cost[:, None])
            left, chunk = left - number, chunk * 2
    return found


def sampled(planned: Floats, count: int) -> tuple[Floats, Index]:
    """At most ``count`` of the loads, and for each hour the largest of them that is not above its
    own.
    """
    ordered = np.unique(planned)
    picked = ordered[np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(np.intp))]
    return picked, np.searchsorted(picked, planned, side="right") - 1


def least_set(
    shelf: Shelf, sets: Index, rules: Rules, parts: Sequence[tuple[Floats, Floats, Floats]], best: float
) -> float:
    """Least of ``best`` and the bounds of all sets [USD], coarse first, finer for those below it.

    ``parts`` cut the hours: planned loads, hours they stand for, and the price of a unit's use
    there.
    """
    for grid, count in (*COARSE, FINE):
        total = np.zeros(len(sets))
        for planned, weight_h, usage in parts:
            loads, at = sampled(planned, count)
            total += least_cost(shelf, sets, rules, loads, usage=usage, grid=grid) @ np.bincount(
                at, weight_h, minlength=len(loads)
            )
        sets, total = sets[total < best], total[total < best]
        if not len(sets):
            return best
    return min(best, float(total.min()))


def restricted(shelf: Shelf, rules: Rules) -> Shelf:
    """A shelf under the largest number of replicas: a machine that carries more serves with fewer."""
    if rules.max_replicas is None:
        return shelf
    part = np.minimum(shelf.replicas, rules.max_replicas) / shelf.replicas
    return replace(
        shelf, replicas=shelf.replicas * part, capacity=shelf.capacity * part, spot_capacity=shelf.spot_capacity * part
    )
