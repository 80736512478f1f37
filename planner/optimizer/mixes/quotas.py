"""Quotas that several services share, dealt out in whole machines.

Each service gets a fixed part of each shared quota where one exists: every way to carry its largest
load has a number of machines of each quota, the ways of all services are combined, and parts are
moved machine by machine while the plan gets cheaper. Where no fixed parts exist (peaks at different
hours), each hour is dealt on its own. It is refused only where some hour has no combination at all,
and the refusal names how many machines more would do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.arrays import Floats, Index, Ints
from planner.errors import InfeasiblePlan, Relaxation
from planner.load import Load
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, menu

MOST_MOVES = 200  # trial moves of parts between services


@dataclass
class Ways:
    """What a service can run, by its use of each shared quota: ``use`` (mixes, quotas) instances,
    ``cost`` (mixes,) [USD/h].
    """

    menu: Menu
    use: Ints
    cost: Floats
    _known: dict[int, "Front"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Number the distinct uses."""
        self.levels = np.unique(self.menu.reach)
        _, number = np.unique(self.use, axis=0, return_inverse=True)
        self.number = number.reshape(-1)

    def at(self, load: float) -> "Front":
        """The ways to carry a load of which no other uses and costs no more.

        Of mixes with equal use of the quotas the cheapest that reaches the load [requests/s];
        kept by step, since all loads between two reaches have the same ways.
        """
        level = int(np.searchsorted(self.levels, load * (1 - 1e-12)))
        if level not in self._known:
            rows = np.flatnonzero(self.menu.reach >= load * (1 - 1e-12))
            order = rows[np.lexsort((self.cost[rows], self.number[rows]))]
            first = order[np.unique(self.number[order], return_index=True)[1]]
            found = Front(self.use[first], self.cost[first], first[:, None])
            self._known[level] = found.efficient()
        return self._known[level]

    def within(self, part: Ints, planned: Floats, weight_h: Floats) -> float:
        """Cost of the planned hours with at most this part of each quota [USD]; inf if an hour
        cannot be carried.
        """
        rows = (self.use <= part).all(axis=1)
        steps = Menu(self.menu.offers, self.menu.counts[rows], self.menu.reach[rows]).steps() if rows.any() else None
        if steps is None or steps.short(planned).any():
            return np.inf
        return float(weight_h @ steps.cost[steps.at(planned)])


@dataclass(frozen=True)
class Front:
    """Ways of one or several services: ``use`` (ways, quotas), ``cost`` (ways,), ``rows`` (ways,
    services) of their menus.
    """

    use: Ints
    cost: Floats
    rows: Index

    def efficient(self) -> "Front":
        """Without ways that another beats in every use and in cost.

        >>> front = Front(np.array([[1], [2], [0]]), np.array([5.0, 6.0, 7.0]), np.zeros((3, 1), dtype=np.intp))
        >>> front.efficient().use.tolist()
        [[1], [0]]
        """
        order = np.lexsort((*self.use.T, self.cost))
        kept: list[int] = []
        for k in order:
            if not any((self.use[j] <= self.use[k]).all() for j in kept):
                kept.append(int(k))
        return Front(self.use[kept], self.cost[kept], self.rows[kept])

    def beside(self, other: "Front", most: Floats) -> "Front":
        """Both together, within the quotas.

        Every pair of ways whose uses add up to at most ``most`` (quotas,), their costs
        added, efficient ones kept.
        """
        use = self.use[:, None, :] + other.use[None, :, :]
        i, j = np.nonzero((use <= most).all(axis=2))
        joined = np.concatenate([self.rows[i], other.rows[j]], axis=1)
        return Front(use[i, j], self.cost[i] + other.cost[j], joined).efficient()


def ways_of(market: Market, service: str, mixes: Menu, names: Sequence[str], cost: Floats | None = None) -> Ways:
    """The ways of a service by its use of the named quotas; ``cost`` of each mix (default: on
    demand).
    """
    kinds = {name: kinds for name, kinds, _ in market.rules[service].quota}
    each = np.array(
        [[o.unit if o.kind in kinds.get(name, ()) else 0 for name in names] for o in mixes.offers],
        dtype=np.int64,
    )
    return Ways(mixes, mixes.counts @ each, mixes.price() if cost is None else cost)


def shared_quotas(market: Market) -> dict[str, tuple[str, ...]]:
    """Quotas that more than one service could use: {name: services}."""
    users = {
        name: tuple(s for s, r in market.rules.items() if any(q[0] == name for q in r.quota)) for name in market.quotas
    }
    return {name: services for name, services in users.items() if len(services) > 1}


def deal_quotas(market: Market, planned: Mapping[str, Floats], load: Load) -> Market:
    """The market with each service's part of a shared quota; ``by_hour`` where there are no fixed
    parts.

    Raises :class:`InfeasiblePlan` when some hour's loads cannot be carried together by any whole
    machines.
    """
    shared = shared_quotas(market)
    if not shared:
        return market
    names, services = tuple(shared), tuple(s for s in market.rules if any(s in users for users in shared.values()))
    most = np.array([float(market.quotas[name]) for name in names])
    ways = {}
    for s in services:
        mixes = menu(offers_of(market.candidates[s], market.rules[s]), market.rules[s], float(planned[s].max()))
        if not len(mixes.reach) or mixes.reach.max() < planned[s].max() * (1 - 1e-12):
            # it cannot be carried even alone: the refusal of that service names what to relax
            return market
        ways[s] = ways_of(market, s, mixes, names)
    fixed = together([ways[s].at(float(planned[s].max())) for s in services], most)
    if len(fixed.cost):
        return _with_parts(market, services, names, _parts(services, ways, fixed, most, planned, load))
    for hour in _hardest(services, ways, planned):
        if not len(together([ways[s].at(float(planned[s][hour])) for s in services], most).cost):
            raise _refusal(services, names, ways, planned, most, load)
    return replace(market, by_hour=names)


def together(fronts: Sequence[Front], most: Floats) -> Front:
    """All services at once within the quotas; empty where no combination fits."""
    found = fronts[0].beside(
        Front(np.zeros((1, len(most)), dtype=np.int64), np.zeros(1), np.zeros((1, 0), dtype=np.intp)),
        most,
    )
    for front in fronts[1:]:
        found = found.beside(front, most)
    return found


def _hardest(services: Sequence[str], ways: Mapping[str, Ways], planned: Mapping[str, Floats]) -> Iterator[int]:
    """Hours of distinct steps, the busiest first.

    One hour for each distinct combination of the services' steps, since hours of one combination
    have the same ways; busy is the sum of each load over its largest.
    """
    level = np.stack([np.searchsorted(ways[s].levels, planned[s] * (1 - 1e-12)) for s in services], axis=1)
    _, first = np.unique(level, axis=0, return_index=True)
    busy = sum(planned[s] / max(1e-12, float(planned[s].max())) for s in services)
    yield from (int(h) for h in sorted(first, key=lambda h: -float(np.asarray(busy)[h])))


def _parts(
    services: Sequence[str],
    ways: Mapping[str, Ways],
    fixed: Front,
    most: Floats,
    planned: Mapping[str, Floats],
    load: Load,
) -> Ints:
    """Parts (services, quotas): from the cheapest at the peaks, then moved between services
    while the planned hours get cheaper.

    A local search: blocks of machines go from one service to another, half the largest quota at
    first, then half as many once nothing moves, and a move stays if the two services together
    get cheaper. At most ``MOST_MOVES`` trials, so the parts need not be the best there are;
    they always carry the peaks.
    """
    at = int(np.argmin(fixed.cost))
    parts = np.stack([ways[s].use[row] for s, row in zip(services, fixed.rows[at], strict=True)])
    parts[0] += (most - parts.sum(axis=0)).astype(
        np.int64
    )  # what nobody needs lies somewhere, and is moved where it pays
    value = [ways[s].within(parts[i], planned[s], load.weight_h) for i, s in enumerate(services)]
    tries, size = 0, max(1, int(most.max()) // 2)
    while size and tries < MOST_MOVES:
        moved = False
        for q in range(len(most)):
            for i in range(len(services)):
                for j in range(len(services)):
                    if i == j or parts[i, q] < size or tries >= MOST_MOVES:
                        continue
                    tries += 1
                    trial = parts.copy()
                    trial[i, q], trial[j, q] = trial[i, q] - size, trial[j, q] + size
                    new = [ways[services[k]].within(trial[k], planned[services[k]], load.weight_h) for k in (i, j)]
                    if sum(new) < (value[i] + value[j]) * (1 - 1e-9):
                        parts, value[i], value[j], moved = trial, new[0], new[1], True
        size = size if moved else size // 2
    return parts


def deal_hours(
    market: Market,
    menus: Mapping[str, Menu],
    prices: Sequence[Mapping[str, Floats]],
    bill: Callable[[Mapping[str, Index]], Floats],
    planned: Mapping[str, Floats],
    rows: Mapping[str, Index],
) -> dict[str, Index]:
    """Mixes hour by hour within the quotas: what runs without them where it fits together, else of
    the cheapest combinations that do, one for each of ``prices``, the one of the least bill.

    ``rows`` {service: mix of each hour without shared quotas}; ``prices`` {service: (mixes,) USD/h}
    under parts of the commitments of these hours; ``bill`` of mixes that run together, where what
    services share counts once. Raises :class:`InfeasiblePlan`.
    """
    names = market.by_hour
    shared = shared_quotas(market)
    services = tuple(s for s in rows if any(s in shared[name] for name in names))
    most = np.array([float(market.quotas[name]) for name in names])
    ways = [{s: ways_of(market, s, menus[s], names, usd[s]) for s in services} for usd in prices]
    found, known = {s: r.copy() for s, r in rows.items()}, dict[tuple[int, ...], dict[str, int]]()
    used = np.sum([ways[0][s].use[rows[s]] for s in services], axis=0)
    for hour in np.flatnonzero((used > most).any(axis=1)):
        level = (int(np.searchsorted(ways[0][s].levels, planned[s][hour] * (1 - 1e-12))) for s in services)
        beside = {s: int(r[hour]) for s, r in rows.items() if s not in services}
        key = (*level, *beside.values())
        if key not in known:
            fronts = [together([w[s].at(float(planned[s][hour])) for s in services], most) for w in ways]
            known[key] = _cheapest(services, [f for f in fronts if len(f.cost)], beside, bill)
        if not known[key]:
            raise InfeasiblePlan(
                "the services together need more machines than the quotas allow",
                where="limits.quota",
                relaxations=[f"raise limits.quota.{name}" for name in names],
            )
        for s, row in known[key].items():
            found[s][hour] = row
    return found


def _cheapest(
    services: Sequence[str],
    fronts: Sequence[Front],
    beside: Mapping[str, int],
    bill: Callable[[Mapping[str, Index]], Floats],
) -> dict[str, int]:
    """Of the best of each front the one of the least bill ``beside`` what others run; empty without
    any.
    """
    if not fronts:
        return {}
    best = np.stack([f.rows[int(np.argmin(f.cost))] for f in fronts])
    mixes = {s: best[:, k] for k, s in enumerate(services)}
    usd = bill(mixes | {s: np.full(len(best), row) for s, row in beside.items()})
    return {s: int(r[int(np.argmin(usd))]) for s, r in mixes.items()}


def _with_parts(market: Market, services: Sequence[str], names: Sequence[str], parts: Ints) -> Market:
    rules = dict(market.rules)
    for s, row in zip(services, parts.tolist(), strict=True):
        part = dict(zip(names, row, strict=True))
        rules[s] = replace(rules[s], quota=tuple((n, kinds, part.get(n, count)) for n, kinds, count in rules[s].quota))
    return replace(market, rules=rules)


def _refusal(
    services: Sequence[str],
    names: Sequence[str],
    ways: Mapping[str, Ways],
    planned: Mapping[str, Floats],
    most: Floats,
    load: Load,
) -> InfeasiblePlan:
    """Which quota alone, raised by how many machines, lets every hour be carried; else all of them
    together.
    """
    hours = list(_hardest(services, ways, planned))
    remedies: list[str] = []
    for q, name in enumerate(names):
        lifted = np.where(np.arange(len(most)) == q, np.inf, most)
        needed = [_least(together([ways[s].at(float(planned[s][h])) for s in services], lifted), q) for h in hours]
        if np.isfinite(needed).all():
            remedies.append(Relaxation.of({f"limits.quota.{name}": (int(most[q]), int(max(needed)))}))
    if not remedies:
        remedies = [*_all_raised(services, names, ways, planned, most, hours)]
    hour = next(h for h in hours if not len(together([ways[s].at(float(planned[s][h])) for s in services], most).cost))
    busiest = max(services, key=lambda s: float(planned[s][hour] / max(1e-12, float(planned[s].max()))))
    when = f"{load.ts[hour]:%Y-%m-%d %H:%M} UTC"
    return InfeasiblePlan(
        f"{' and '.join(services)} together need more machines than the quotas allow at {when}",
        where="limits.quota",
        relaxations=[*(remedies or ["raise the quotas together"]), f"lower the load of {busiest}"],
    )


def _all_raised(
    services: Sequence[str],
    names: Sequence[str],
    ways: Mapping[str, Ways],
    planned: Mapping[str, Floats],
    most: Floats,
    hours: Sequence[int],
) -> Iterator[Relaxation]:
    """Every quota that is short, raised to what the combination of least excess takes in the
    hardest hours.
    """
    wanted, free = most.copy(), np.full(len(most), np.inf)
    for hour in hours:
        front = together([ways[s].at(float(planned[s][hour])) for s in services], free)
        if not len(front.cost):
            return
        over = np.maximum(front.use - wanted, 0.0).sum(axis=1)
        wanted = np.maximum(wanted, front.use[int(np.argmin(over))])
    short = [q for q in range(len(most)) if wanted[q] > most[q]]
    yield Relaxation.of({f"limits.quota.{names[q]}": (int(most[q]), int(wanted[q])) for q in short})


def _least(front: Front, q: int) -> float:
    """Fewest machines of quota q with which a combination carries the hour; inf where none does."""
    return float(front.use[:, q].min()) if len(front.cost) else np.inf
