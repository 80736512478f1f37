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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from planner.arrays import Flags, Floats, Index
from planner.compiling import compiled
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

    @property
    def cheapest(self) -> float:
        """Lowest price of a request/s, sold in any way [USD/h]; 1 where none is."""
        steady, spot = (self.committed + self.disk) / self.capacity, self.spot_price / self.spot_capacity
        least = float(np.minimum(steady, spot).min(initial=np.inf))
        return least if np.isfinite(least) else 1.0

    def takes(self, units: Mapping[str, float], other: float) -> Floats:
        """``units`` {kind: of something an instance takes} of each type; ``other`` of those not named."""
        found = np.full(len(self), other)
        for kind in units if len(units) < len(self) else self.kind:
            if kind in units and kind in self._at:
                found[self._at[kind]] = units[kind]
        return found

    @cached_property
    def _at(self) -> dict[str, int]:
        return {kind: j for j, kind in enumerate(self.kind)}

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

    def as_good(self, *, places: bool) -> Flags:
        """[i, j]: j serves as much as i for no more on demand and on spot, without a quota."""
        better = np.ones((len(self), len(self)), dtype=bool)
        for column in (-self.capacity, -self.spot_capacity, -self.replicas, self.spot_price, self.usage + self.disk):
            better &= column[None, :] <= column[:, None]
        better &= self.disk[None, :] <= self.disk[:, None]
        if places:
            better &= self.place[None, :] == self.place[:, None]
        better &= np.isinf(self.most)[None, :]
        return better

    def needed(self, price: Floats, *, places: bool) -> Flags:
        """Types that no other serves as much as for no more at each ``price`` (types, …) of their use."""
        better = self.as_good(places=places)
        for column in np.unique(price, axis=1).T:
            better &= column[None, :] <= column[:, None]
        number = np.arange(len(self))
        better &= ~better.T | (number[None, :] < number[:, None])  # of equals the first stays
        np.fill_diagonal(better, False)
        return np.asarray(~better.any(axis=1))

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
    """Lower bound [USD/h] for each set of types (rows of ``sets``) and load, shape (sets, loads).

    ``usage`` in place of the shelf's: one price of a unit for each type, or one for each place of
    ``sets``. The largest of (a), (b), (c) above and of the parts of machines that (b) needs.
    """
    own = shelf.usage if usage is None else usage
    price = (own[sets] if own.ndim == 1 else own) + shelf.disk[sets]
    found = np.empty((len(sets), len(loads)))
    share = rules.spot_share if rules.spot_share > 0 and np.isfinite(shelf.spot_price[sets]).any() else 0.0
    _floors(
        shelf.capacity[sets], price, shelf.most[sets], shelf.spot_capacity[sets], shelf.spot_price[sets],
        shelf.replicas[sets], loads.astype(np.float64), rules.zones, rules.zones_lost, rules.spot_share, share > 0,
        rules.min_replicas, grid, found,
    )  # fmt: skip
    return np.maximum(found, np.outer(parts_price(shelf, sets, rules, price), loads))


def parts_price(shelf: Shelf, sets: Index, rules: Rules, price: Floats) -> Floats:
    """Lowest price of a request/s in parts of machines [USD/h], shape (sets, …); ``price`` of a unit
    with its disk, shape (sets, size, …).
    """
    more = (slice(None), slice(None), *(None,) * (price.ndim - 2))
    steady: Floats = (price / np.maximum(shelf.capacity[sets], 1e-12)[more]).min(axis=1)
    spot = (shelf.spot_price[sets] / np.maximum(shelf.spot_capacity[sets], 1e-12)).min(axis=1)
    spot = np.minimum(steady, spot.reshape(-1, *(1,) * (steady.ndim - 1)))
    part = rules.spot_share
    mixed = (1.0 - part) * steady + (part * spot if part else 0.0)
    return np.asarray(np.where(np.isfinite(mixed), mixed, 0.0) * rules.zones / (rules.zones - rules.zones_lost))


@compiled
def _floors(
    capacity: Floats,
    price: Floats,
    most: Floats,
    spot_capacity: Floats,
    spot_price: Floats,
    replicas: Floats,
    loads: Floats,
    zones: int,
    lost: int,
    spot_share: float,
    spot: bool,
    fewest: int,
    grid: int,
    found: Floats,
) -> None:
    """Fill ``found`` (sets, loads) with the largest of (a), (b) and (c)."""
    wide, stay = zones / (zones - lost), zones - lost
    step = 1e-12
    for load in loads:
        step = max(step, load * wide / grid)
    steady, risky, spare = np.empty(grid + 1), np.empty(grid + 1), np.empty(grid + 1)
    few, rest, ends = np.empty(fewest + 1), np.empty(fewest + 1), np.empty(grid + 1, dtype=np.intp)
    for r in range(capacity.shape[0]):
        _cover(capacity[r], price[r], most[r], step, steady, spare)
        last = _ends(steady, ends)
        for u in range(grid + 1):
            risky[u] = np.inf if u else 0.0
        if spot:
            _cover(spot_capacity[r], spot_price[r], most[r], step, risky, spare)
        _cover(replicas[r], price[r], most[r], 1.0, few, rest)
        for j in range(loads.size):
            load = loads[j]
            y = int(np.ceil((1.0 - spot_share) * load / step - 1e-9))
            x, w = int(np.ceil(load / step - 1e-9)), int(np.ceil(wide * load / step - 1e-9))
            by_zone = np.inf
            if lost == 0:
                by_zone = steady[y]
            elif stay == 1:
                by_zone = zones * steady[y]
            else:
                by_zone = _cheapest_sum(steady, steady, lost + 1, 0.0, -(-y // stay), y, ends[:last])
            apart = _cheapest_sum(steady, risky, 1, 0.0, y, x, ends[:last])
            least = min(w, int(np.ceil(wide * (1.0 - spot_share) * load / step - 1e-9)))
            together = _cheapest_sum(steady, risky, 1, by_zone, least, w, ends[:last])
            found[r, j] = max(wide * apart, together, few[fewest])


@compiled
def _ends(steady: Floats, ends: Index) -> int:
    """Fill ``ends`` with the last places of equal prices; how many there are."""
    count = 0
    for u in range(steady.size):
        if u + 1 == steady.size or steady[u + 1] != steady[u]:
            ends[count] = u
            count += 1
    return count


@compiled
def _cheapest_sum(one: Floats, other: Floats, times: int, floor: float, first: int, last: int, ends: Index) -> float:
    """Least over s of max(``times`` · one(s), ``floor``) + other(last − s), s from ``first`` to ``last``:
    prices that rise with s, so that of equal ones the last serves best.
    """
    found = float(max(times * one[last], floor) + other[0])
    for k in range(ends.size):
        if ends[k] < first:
            continue
        if ends[k] >= last:
            break
        found = min(found, max(times * one[ends[k]], floor) + other[last - ends[k]])
    return found


@compiled
def _cover(capacity: Floats, price: Floats, most: Floats, step: float, found: Floats, before: Floats) -> None:
    """Least price of whole machines of capacity ≥ u·``step``, u = 0 …, into ``found``; capacities are
    rounded up. ``before`` is room to work in.
    """
    grid = found.size - 1
    for u in range(grid + 1):
        found[u] = np.inf if u else 0.0
    for j in range(capacity.size):
        if not np.isfinite(price[j]):
            continue
        size = min(max(int(np.ceil(min(capacity[j] / step, grid) - 1e-9)), 1), max(grid, 1))
        if np.isinf(most[j]):
            for u in range(1, grid + 1):
                found[u] = min(found[u], found[max(u - size, 0)] + price[j])
            continue
        left, chunk = most[j], 1.0
        while left > 0:  # a number up to m is a sum of some of 1, 2, 4 … and the rest
            number = min(chunk, left)
            for u in range(grid + 1):
                before[u] = found[u]
            for u in range(1, grid + 1):
                found[u] = min(found[u], before[max(u - int(number) * size, 0)] + number * price[j])
            left, chunk = left - number, chunk * 2.0


def sampled(planned: Floats, count: int) -> tuple[Floats, Index]:
    """At most ``count`` of the loads, and for each hour the largest of them that is not above its
    own.
    """
    ordered = np.unique(planned)
    picked = ordered[np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(np.intp))]
    return picked, np.searchsorted(picked, planned, side="right") - 1


def restricted(shelf: Shelf, rules: Rules) -> Shelf:
    """A shelf under the largest number of replicas: a machine that carries more serves with fewer."""
    if rules.max_replicas is None:
        return shelf
    part = np.minimum(shelf.replicas, rules.max_replicas) / shelf.replicas
    return replace(
        shelf, replicas=shelf.replicas * part, capacity=shelf.capacity * part, spot_capacity=shelf.spot_capacity * part
    )
