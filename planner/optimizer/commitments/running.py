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
combinations than an integer holds. Of more services than
:mod:`planner.optimizer.commitments.sharing` lists combinations for, the parts go up and down together.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from planner.arrays import Floats, Index
from planner.optimizer.commitments.sharing import Held, Sharing
from planner.optimizer.market.as_program import fill
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, Steps

TOGETHER = 20_000  # cells settled together
LARGEST = 2**62  # combinations of steps that one integer tells apart
SEEN = 2**40  # more cells than are ever seen

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

    def __init__(self, market: Market, menus: Mapping[str, Menu], held: Held, memo: "Memo | None" = None) -> None:
        """``menus`` of the group's services, ``held`` what is in force of the terms they use."""
        self.market, self.menus, self.held = market, menus, {i: a for i, a in held.items() if a > 0}
        self._memo = Memo() if memo is None else memo
        self.sharing = self._memo.sharing(market, menus, tuple(self.held))
        self.steps = {
            s: {part: self._memo.steps(self.sharing, s, self.held, part) for part in parts}
            for s, parts in self.sharing.parts_of.items()
        }
        self._cells, self._before = Numbered(), {s: Numbered() for s in menus}
        self._found = Found(dict.fromkeys(menus, np.zeros(0, dtype=np.intp)), np.zeros(0), {})

    @cached_property
    def bounds(self) -> dict[str, Floats]:
        """Loads at which the mix of a service changes under some part of what is shared."""
        return {s: np.unique(np.concatenate([f.reach for f in found.values()])) for s, found in self.steps.items()}

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
        found = {
            (s, part): self.menus[s].price(self.sharing.draws(s, self.held, part))
            for s, parts in self.sharing.parts_of.items()
            for part in parts
        }
        return [{s: found[s, part] for s, part in zip(self.menus, c, strict=True)} for c in self.sharing.parts]

    def bill(self, rows: Mapping[str, Index]) -> Floats:
        """Bill of mixes that run together [USD/h], ``rows`` of each service's menu."""
        return self.sharing.bill([rows[s] for s in self.menus], self.held)

    def cost(self, loads: Mapping[str, Floats]) -> Floats:
        """What is found at some loads [USD/h], without keeping it."""
        rows = [[self._memo.mix(steps, loads[s]) for steps in found.values()] for s, found in self.steps.items()]
        return self.sharing.cheapest(rows, self.held)[0]

    def _settle(self, reach: Mapping[str, Floats]) -> None:
        """Add cells by the loads each reaches: of all combinations of parts the one of the least bill."""
        number = len(next(iter(reach.values())))
        if not number:
            return
        rows = [[f.mix[f.at(reach[s])] for f in found.values()] for s, found in self.steps.items()]
        usd, best = self.sharing.cheapest(rows, self.held)
        chosen = {
            s: np.stack(of)[self.sharing.places[best, k], np.arange(number)]
            for k, (s, of) in enumerate(zip(self.menus, rows, strict=True))
        }
        self._add(chosen, usd)

    def _covered(self, rows: Mapping[str, Index]) -> Covered:
        """What commitments cover of mixes that run together."""
        if not self.held:
            return {}
        running = {
            (s, offer.kind): self.menus[s].instances[j, r]
            for s, r in rows.items()
            for j, offer in enumerate(self.menus[s].offers)
            if not offer.spot
        }
        return fill(self.market, self.held, {key: count for key, count in running.items() if count.any()})

    def _add(self, chosen: dict[str, Index], usd: Floats) -> None:
        before, covered = self._found, self._covered(chosen)
        none, idle = np.zeros(len(before.usd_per_h)), np.zeros(len(usd))
        rows = {s: np.concatenate([before.rows[s], r]) for s, r in chosen.items()}
        both = {
            key: np.concatenate([before.covered.get(key, none), covered.get(key, idle)])
            for key in {**before.covered, **covered}
        }
        self._found = Found(rows, np.concatenate([before.usd_per_h, usd]), both)


class Memo:
    """What equal commitments of one market have in common, made once."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._steps: dict[tuple[object, ...], tuple[Menu, Steps]] = {}
        self._sharing: dict[tuple[object, ...], tuple[Mapping[str, Menu], Sharing]] = {}
        self._mix: dict[tuple[int, int], tuple[Steps, Floats, Index]] = {}

    # what a key names by its number is kept, so that the number stays its own
    def sharing(self, market: Market, menus: Mapping[str, Menu], terms: tuple[int, ...]) -> Sharing:
        """How services with some ``menus`` share some ``terms``."""
        key = (terms, *map(id, menus.values()))
        if key not in self._sharing:
            self._sharing[key] = menus, Sharing(market, menus, terms)
        return self._sharing[key][1]

    def steps(self, sharing: Sharing, service: str, held: Held, part: float = 1.0) -> Steps:
        """The steps of a service's menu under what is ``held`` and a ``part`` of what is shared."""
        menu, amounts = sharing.menus[service], sharing.amounts(service, held, part)
        key = id(menu), sharing.uses[service], amounts
        if key not in self._steps:
            self._steps[key] = menu, menu.steps(sharing.draws(service, held, part))
        return self._steps[key][1]

    def mix(self, steps: Steps, loads: Floats) -> Index:
        """Mixes of the steps at some loads that come again."""
        key = id(steps), id(loads)
        if key not in self._mix:
            self._mix[key] = steps, loads, steps.mix[steps.at(loads)]
        return self._mix[key][2]


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
