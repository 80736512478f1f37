"""What runs at any load under the commitments in force: the cheapest whole machines of each
service, and of services that share a commitment together.

A service alone looks its mix up by load (:class:`planner.optimizer.mixes.menu.Steps`). Where one
commitment pays for machines of several services, the cheapest mix of one depends on what the others
leave of it. Each service then has a few mixes for a load, those that are cheapest if a part λ of
what is shared were its own, and of all combinations the one runs whose bill is least, commitments
applied as the bill applies them:

    min over λ of  Σ_services price(mix_s(L_s, λ_s)) − what the commitments cover of all mixes

Parts may add up to more than one: a service that leaves something idle lets another use it. The
combination depends on the loads through the steps they reach only (a *cell*), so each cell is
settled once; cells are numbered as they are seen, since the steps of ten services are more
combinations than an integer holds. Of more services than ``PARTS`` names the parts go up and down together.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from planner.arrays import Flags, Floats, Index
from planner.optimizer.market.as_program import billing_order, fill
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Cover, Menu, Steps

PARTS = {2: (1.0, 0.75, 0.5, 0.25, 0.0), 3: (1.0, 0.5, 0.0), 4: (1.0, 0.4, 0.0)}
EVEN = (1.0, 0.5, 0.0)  # parts of all alike, beside an equal share of each
TOGETHER = 20_000  # cells settled together
LARGEST = 2**62  # combinations of steps that one integer tells apart
SEEN = 2**40  # more cells than are ever seen

Held = Mapping[int, float]  # units in force by term
Covered = dict[tuple[int, str, str], Floats]  # instances by (term, service, kind)


class Found(NamedTuple):
    """What runs in each cell seen: ``rows`` {service: mix of its menu}, ``usd_per_h`` of the
    machines that no commitment covers, spot and disks; ``covered`` instances.
    """

    rows: dict[str, Index]
    usd_per_h: Floats
    covered: Covered


def alike(market: Market, menus: Mapping[str, Menu], held: Held) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Services that share a commitment in force, together with the terms each group uses.

    Groups are the connected parts of the graph of services and terms; a service that uses none
    stands alone with no terms.
    """
    groups: list[tuple[set[str], set[int]]] = [({s}, set()) for s in menus]
    for i, amount in held.items():
        units = market.terms[i].units if amount > 0 else {}
        if not units:
            continue
        users = {s for s, m in menus.items() if any(not o.spot and o.kind in units for o in m.offers)}
        mine = [g for g in groups if g[0] & users]
        if mine:
            joined = (set[str]().union(*(g[0] for g in mine)), {i}.union(*(g[1] for g in mine)))
            groups = [g for g in groups if not g[0] & users] + [joined]
    return [(tuple(s for s in menus if s in g), tuple(sorted(terms))) for g, terms in groups]


def covers_of(market: Market, held: Held, menu: Menu, order: Sequence[int] | None = None) -> list[Cover]:
    """What a service may draw on, in billing order, which is found where it is not given."""
    kinds = {o.kind for o in menu.offers if not o.spot}
    return [
        Cover(market.terms[i].commitment, tuple(market.terms[i].units.items()), held[i])
        for i in (billing_order(market, held) if order is None else order)
        if held[i] > 0 and not kinds.isdisjoint(market.terms[i].units)
    ]


def running_of(menus: Mapping[str, Menu], chosen: Mapping[str, Floats]) -> dict[tuple[str, str], Floats]:
    """On-demand instances by (service, kind) of units (…, offers)."""
    out: dict[tuple[str, str], Floats] = {}
    for service, counts in chosen.items():
        for j, offer in enumerate(menus[service].offers):
            if not offer.spot and counts[:, j].any():
                out[service, offer.kind] = counts[:, j] * float(offer.unit)
    return out


class Numbered:
    """Numbers of values, 0 for the first that was seen."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._values: Index = np.zeros(0, dtype=np.intp)  # in order
        self._number = self._values

    def of(self, values: Index) -> tuple[Index, Index]:
        """The number of each value, and where the first of each new one stands, in their order."""
        distinct, first = np.unique(values, return_index=True)
        fresh = ~np.isin(distinct, self._values, assume_unique=True)
        numbers = np.arange(len(self._values), len(self._values) + fresh.sum())
        at = np.searchsorted(self._values, distinct[fresh])
        self._values = np.insert(self._values, at, distinct[fresh])
        self._number = np.insert(self._number, at, numbers)
        return self._number[np.searchsorted(self._values, values)], first[fresh]


class Group:
    """Services that share commitments, or one alone: cells of their loads and what runs in each."""

    def __init__(self, market: Market, menus: Mapping[str, Menu], held: Held, steps: "Memo | None" = None) -> None:
        """``menus`` of the group's services, ``held`` what is in force of the terms they use."""
        self.market, self.menus, self.held = market, menus, {i: a for i, a in held.items() if a > 0}
        self._memo, self._order = Memo() if steps is None else steps, billing_order(market, self.held)
        shared = self._shared()
        self.parts = _parts(len(menus)) if shared else [(1.0,) * len(menus)]
        self.steps: dict[str, dict[float, Steps]] = {
            s: {
                part: self._memo.steps(market, menu, self._part(menu, dict.fromkeys(shared, part)), self._order)
                for part in dict.fromkeys(combination[k] for combination in self.parts)
            }
            for k, (s, menu) in enumerate(menus.items())
        }
        self._cells, self._before = Numbered(), {s: Numbered() for s in menus}
        self._found = Found(dict.fromkeys(menus, np.zeros(0, dtype=np.intp)), np.zeros(0), {})

    @cached_property
    def bounds(self) -> dict[str, Floats]:
        """Loads at which the mix of a service changes under some part of what is shared."""
        return {s: np.unique(np.concatenate([f.reach for f in found.values()])) for s, found in self.steps.items()}

    def _part(self, menu: Menu, shared: Held) -> dict[int, float]:
        """What a service may draw on if a part of what is ``shared`` were its own."""
        kinds = {o.kind for o in menu.offers if not o.spot}
        return {
            i: a * shared.get(i, 1.0) for i, a in self.held.items() if not kinds.isdisjoint(self.market.terms[i].units)
        }

    def _shared(self) -> list[int]:
        users = [{o.kind for o in m.offers if not o.spot} for m in self.menus.values()]
        return [i for i in self.held if sum(not k.isdisjoint(self.market.terms[i].units) for k in users) > 1]

    def at(self, loads: Mapping[str, Floats]) -> Index:
        """Place of each load in :attr:`found`, which holds every cell asked for so far; loads beyond
        the largest mix are in the last cell.
        """
        steps = {
            s: np.minimum(np.searchsorted(bounds, loads[s] * (1 - 1e-12)), len(bounds) - 1)
            for s, bounds in self.bounds.items()
        }
        if len(steps) == 1:
            (s, bounds), (at,) = *self.bounds.items(), steps.values()
            if not len(self._found.usd_per_h):
                self._settle({s: bounds})
            return at
        at, new = self._number(steps)
        for some in np.array_split(new, len(new) // TOGETHER + 1):
            self._settle({s: bounds[steps[s][some]] for s, bounds in self.bounds.items()})
        return at

    def _number(self, steps: Mapping[str, Index]) -> tuple[Index, Index]:
        """The number of each cell, and where the first of each new one stands.

        Steps are digits of one number as long as an integer holds it; what is read so far then
        goes on by its own number among those seen.
        """
        found: Index = np.zeros(len(next(iter(steps.values()))), dtype=np.intp)
        size = 1
        for s, at in steps.items():
            base = len(self.bounds[s])
            if size > LARGEST // base:
                found, size = self._before[s].of(found)[0], SEEN
            found, size = found * base + at, size * base
        return self._cells.of(found)

    @property
    def found(self) -> Found:
        """What runs in the cells seen."""
        return self._found

    def prices(self) -> list[dict[str, Floats]]:
        """Cost of each mix of each service's menu [USD/h] under each combination of parts, as if its
        part of what is shared were its own.
        """
        shared, found = self._shared(), dict[tuple[str, float], Floats]()
        for k, (s, menu) in enumerate(self.menus.items()):
            for part in dict.fromkeys(combination[k] for combination in self.parts):
                held = self._part(menu, dict.fromkeys(shared, part))
                order = [i for i in self._order if i in held]
                found[s, part] = menu.price(covers_of(self.market, held, menu, order))
        return [{s: found[s, part] for s, part in zip(self.menus, c, strict=True)} for c in self.parts]

    def bill(self, rows: Mapping[str, Index]) -> Floats:
        """Bill of mixes that run together [USD/h], ``rows`` of each service's menu."""
        return self._bill({s: rows[s] for s in self.menus})[0]

    def cost(self, loads: Mapping[str, Floats]) -> Floats:
        """What is found at some loads [USD/h], without keeping it."""
        found: Floats = self._priced(*self._combined(loads)).min(axis=0)
        return found

    def _combined(self, loads: Mapping[str, Floats]) -> tuple[dict[str, Index], Flags]:
        """Mixes of each service at some loads under each combination of parts, shape (combinations,
        loads), and which of them no combination before has: only these are worth a bill.
        """
        look = {s: {p: f.mix[f.at(loads[s])] for p, f in found.items()} for s, found in self.steps.items()}
        fresh = {s: _fresh(of) for s, of in look.items()}
        if len(self.menus) in PARTS:
            some = {s: {p: bool(new.any()) for p, new in of.items()} for s, of in fresh.items()}
            parts = [c for c in self.parts if all(some[s][p] for s, p in zip(look, c, strict=True))]
            new = [np.logical_and.reduce([fresh[s][p] for s, p in zip(look, c, strict=True)]) for c in parts]
        else:  # parts of all alike: none stands for the others
            parts = self.parts
            new = [np.ones_like(fresh[s][p]) for s, p in ((next(iter(look)), c[0]) for c in parts)]
        return {s: np.stack([look[s][c[k]] for c in parts]) for k, s in enumerate(look)}, np.stack(new)

    def _priced(self, rows: Mapping[str, Index], new: Flags) -> Floats:
        """Bill of each combination [USD/h]; inf of those that are not ``new``."""
        usd = np.full(new.shape, np.inf)
        usd[new] = self._bill({s: r[new] for s, r in rows.items()})[0]
        return usd

    def _settle(self, reach: Mapping[str, Floats]) -> None:
        """Add cells by the loads each reaches: of all combinations of parts the one of the least bill."""
        number = len(next(iter(reach.values())))
        if not number:
            return
        rows, new = self._combined(reach)
        best = np.argmin(self._priced(rows, new), axis=0) if len(new) > 1 else np.zeros(number, dtype=np.intp)
        self._add({s: r[best, np.arange(number)] for s, r in rows.items()})

    def _bill(self, rows: Mapping[str, Index]) -> tuple[Floats, Covered]:
        """Bill of mixes [USD/h], and what commitments cover of them."""
        usd: Floats = np.sum([self.menus[s].on_demand[r] for s, r in rows.items()], axis=0)
        if not self.held:
            return usd, {}
        running = {
            (s, offer.kind): self.menus[s].instances[j, r]
            for s, r in rows.items()
            for j, offer in enumerate(self.menus[s].offers)
            if not offer.spot
        }
        running = {key: count for key, count in running.items() if count.any()}
        covered = fill(self.market, self.held, running)
        for (_, s, kind), instances in covered.items():
            offer = next(o for o in self.menus[s].offers if o.kind == kind and not o.spot)
            usd -= instances * (offer.usd_per_h - offer.disk_usd_per_h) / offer.unit
        return usd, covered

    def _add(self, chosen: dict[str, Index]) -> None:
        usd, covered = self._bill(chosen)
        before = self._found
        none, idle = np.zeros(len(before.usd_per_h)), np.zeros(len(usd))
        rows = {s: np.concatenate([before.rows[s], r]) for s, r in chosen.items()}
        both = {
            key: np.concatenate([before.covered.get(key, none), covered.get(key, idle)])
            for key in {**before.covered, **covered}
        }
        self._found = Found(rows, np.concatenate([before.usd_per_h, usd]), both)


def _fresh(mixes: Mapping[float, Index]) -> dict[float, Flags]:
    """Where the mix under a part is that under no part before it."""
    before: list[Index] = []
    found: dict[float, Flags] = {}
    for part, rows in mixes.items():
        found[part] = np.logical_and.reduce([np.ones(len(rows), dtype=bool), *(rows != b for b in before)])
        before.append(rows)
    return found


class Memo:
    """Step functions of menus, made once for equal commitments of one market."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._steps: dict[tuple[object, ...], tuple[Menu, Steps]] = {}

    def steps(self, market: Market, menu: Menu, held: Held, order: Sequence[int] | None = None) -> Steps:
        """The steps of a menu under what is ``held`` for it, applied in ``order``."""
        key = (id(menu), *sorted((i, a) for i, a in held.items() if a > 0))
        if key not in self._steps:
            able = None if order is None else [i for i in order if i in held]
            # the menu is kept, so that its number stays its own
            self._steps[key] = menu, menu.steps(covers_of(market, held, menu, able))
        return self._steps[key][1]


def _parts(services: int) -> list[tuple[float, ...]]:
    """Combinations of parts to try."""
    if services in PARTS:
        return list(product(PARTS[services], repeat=services))
    return [(part,) * services for part in dict.fromkeys((*EVEN, 1.0 / services))]


class Running:
    """What runs of all services in the hours of a regime: ``held`` {term: units in force}."""

    def __init__(self, market: Market, menus: Mapping[str, Menu], held: Held) -> None:
        """Groups of the services, by what they share."""
        memo = Memo()
        self.groups = [
            Group(market, {s: menus[s] for s in services}, {i: held[i] for i in terms}, memo)
            for services, terms in alike(market, menus, held)
        ]

    def rows(self, loads: Mapping[str, Floats]) -> dict[str, Index]:
        """Mix of each service's menu at each load."""
        out: dict[str, Index] = {}
        for group in self.groups:
            at = group.at(loads)
            out |= {s: rows[at] for s, rows in group.found.rows.items()}
        return out

    def prices(self) -> list[dict[str, Floats]]:
        """Costs of the mixes of all services [USD/h] from which to choose what runs together; whatever
        is chosen has its :meth:`bill`.
        """
        each = [group.prices() for group in self.groups]
        return [
            {s: usd for found in each for s, usd in found[min(k, len(found) - 1)].items()}
            for k in range(max(map(len, each)))
        ]

    def bill(self, rows: Mapping[str, Index]) -> Floats:
        """Bill of mixes that run together [USD/h], what services share counted once."""
        total: Floats = np.sum([group.bill(rows) for group in self.groups], axis=0)
        return total

    def usd_per_h(self, loads: Mapping[str, Floats]) -> Floats:
        """On demand not covered, spot and disks at each load [USD/h]."""
        total: Floats = np.zeros(len(next(iter(loads.values()))))
        for group in self.groups:
            at = group.at(loads)
            total = total + group.found.usd_per_h[at]
        return total
