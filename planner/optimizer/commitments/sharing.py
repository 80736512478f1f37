"""The bill of services that draw on the same commitments, compiled: who may use what does not
depend on how much is in force, so it is laid out once for many purchases.

Of several combinations of mixes the one runs whose bill is least, commitments applied as the bill
applies them (:mod:`planner.optimizer.market.settle`); of several that cost the same, the first.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from planner.arrays import Floats, Index
from planner.compiling import compiled
from planner.optimizer.market.as_program import billing_order, instruments_of
from planner.optimizer.market.market import Market
from planner.optimizer.market.settle import less_covered, turns_of
from planner.optimizer.mixes.menu import Cover, Draws, Menu

PARTS = {2: (1.0, 0.75, 0.5, 0.25, 0.0), 3: (1.0, 0.5, 0.0), 4: (1.0, 0.4, 0.0)}
EVEN = (1.0, 0.5, 0.0)  # parts of all alike, beside an equal share of each

Held = Mapping[int, float]  # units in force by term


class Sharing:
    """How some services use some terms.

    ``uses`` {service: terms in billing order}; ``parts`` of what is shared that the services try
    together, ``parts_of`` {service: those it tries}, ``places`` (combinations, services) of the
    one in the other.
    """

    def __init__(self, market: Market, menus: Mapping[str, Menu], terms: Sequence[int]) -> None:
        """``terms`` of the market that are in force and that some service uses."""
        self.menus, order = menus, billing_order(market, dict.fromkeys(terms, 1.0))
        kinds = {s: {o.kind for o in m.offers if not o.spot} for s, m in menus.items()}
        self.uses = {s: tuple(i for i in order if not k.isdisjoint(market.terms[i].units)) for s, k in kinds.items()}
        self._order = order
        shared = {i for i in order if sum(i in used for used in self.uses.values()) > 1}
        self.parts = _parts(len(menus)) if shared else [(1.0,) * len(menus)]
        self.parts_of = {s: list(dict.fromkeys(c[k] for c in self.parts)) for k, s in enumerate(menus)}
        self.places = np.array([[self.parts_of[s].index(p) for s, p in zip(menus, c, strict=True)] for c in self.parts])
        self._shared = frozenset(shared)
        self._draws = {
            s: m.draws(
                [Cover(market.terms[i].commitment, tuple(market.terms[i].units.items()), 1.0) for i in self.uses[s]]
            )
            for s, m in menus.items()
        }
        self._lay_out(market)

    def _lay_out(self, market: Market) -> None:
        """Mixes of all menus in one row, and the place of each service and of each on-demand type."""
        usage = [(s, j, o) for s, m in self.menus.items() for j, o in enumerate(m.offers) if not o.spot]
        keys = [(s, o.kind) for s, _, o in usage]
        instruments = instruments_of(market, dict.fromkeys(self._order, 1.0), keys)
        self._turns, names = turns_of(instruments, keys, market.on_demand), list(self.menus)
        sizes = [len(m.reach) for m in self.menus.values()]
        self._first = np.cumsum([0, *sizes])[:-1].astype(np.intp)
        self._usd = np.concatenate([m.on_demand for m in self.menus.values()])
        self._of = np.array([names.index(s) for s, _, _ in usage], dtype=np.intp)
        counts = [self.menus[s].instances[j] for s, j, _ in usage]
        self._at = np.cumsum([0, *map(len, counts)])[:-1].astype(np.intp)
        self._instances = np.concatenate([*counts, np.zeros(0)])
        self._saved = np.array([o.usd_per_h - o.disk_usd_per_h for _, _, o in usage], dtype=np.float64)
        self._unit = np.array([o.unit for _, _, o in usage], dtype=np.float64)

    def amounts(self, service: str, held: Held, part: float) -> tuple[float, ...]:
        """What is held of each term a service uses, a ``part`` of what is shared."""
        return tuple(held[i] * part if i in self._shared else held[i] for i in self.uses[service])

    def draws(self, service: str, held: Held, part: float) -> Draws:
        """What a service may draw on if a ``part`` of what is shared were its own."""
        amounts = self.amounts(service, held, part)
        return self._draws[service]._replace(amount=np.array(amounts, dtype=np.float64))

    def bill(self, rows: Sequence[Index], held: Held) -> Floats:
        """Bill of mixes that run together [USD/h]; ``rows`` of each service's menu in turn."""
        return self.cheapest([[r] for r in rows], held, np.zeros((1, len(rows)), dtype=np.intp))[0]

    def cheapest(
        self, rows: Sequence[Sequence[Index]], held: Held, places: Index | None = None
    ) -> tuple[Floats, Index]:
        """Least bill [USD/h] of the combinations ``places`` of ``rows`` (services, parts, loads), by
        default all of :attr:`parts`, and which has it; shapes (loads,).
        """
        parts = max(map(len, rows))
        every = np.array([[*of, *[of[0]] * (parts - len(of))] for of in rows], dtype=np.intp)
        tried = self.places if places is None else places
        usd, best = np.empty(every.shape[2]), np.zeros(every.shape[2], dtype=np.intp)
        room = np.array([held[i] for i in self._order], dtype=np.float64)
        _cheapest(
            every, tried, len(rows) in PARTS, self._usd, self._first, self._instances, self._at, self._of,
            self._saved, self._unit, room, *self._turns, usd, best,
        )  # fmt: skip
        return usd, best


@compiled
def _cheapest(
    rows: Index,
    places: Index,
    product: bool,
    on_demand: Floats,
    first: Index,
    instances: Floats,
    at: Index,
    of: Index,
    saved: Floats,
    unit: Floats,
    room: Floats,
    units: Floats,
    order: Index,
    usd: Floats,
    best: Index,
) -> None:
    """Fill ``usd`` and ``best`` (loads,)."""
    load, which = _worth_a_bill(rows, places, product)
    bill, left = np.zeros(load.size), np.empty((of.size, load.size))
    for s in range(rows.shape[0]):
        for k in range(load.size):
            bill[k] += on_demand[first[s] + rows[s, places[which[k], s], load[k]]]
    for u in range(of.size):
        for k in range(load.size):
            left[u, k] = instances[at[u] + rows[of[u], places[which[k], of[u]], load[k]]]
    less_covered(bill, left, room, units, order, saved, unit)
    for n in range(usd.size):
        usd[n] = np.inf
    for k in range(load.size):
        if bill[k] < usd[load[k]]:
            usd[load[k]], best[load[k]] = bill[k], which[k]


@compiled
def _worth_a_bill(rows: Index, places: Index, product: bool) -> tuple[Index, Index]:
    """Loads and combinations that are no others again: where combinations are a ``product`` of parts,
    one in which a service's mix is that of a part before has been met already.
    """
    load = np.empty(rows.shape[2] * places.shape[0], dtype=np.intp)
    which, count = np.empty(load.size, dtype=np.intp), 0
    for c in range(places.shape[0]):
        for n in range(rows.shape[2]):
            met = False
            for s in range(rows.shape[0]):
                for p in range(places[c, s] if product else 0):
                    met |= rows[s, p, n] == rows[s, places[c, s], n]
            if not met:
                load[count], which[count] = n, c
                count += 1
    return load[:count], which[:count]


def _parts(services: int) -> list[tuple[float, ...]]:
    """Combinations of parts to try."""
    if services in PARTS:
        return list(product(PARTS[services], repeat=services))
    return [(part,) * services for part in dict.fromkeys((*EVEN, 1.0 / services))]
