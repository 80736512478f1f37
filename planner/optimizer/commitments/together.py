"""Machine types chosen together with the commitments that pay for them.

Types that are best on demand are seldom best once their base is committed, a reservation already
held pays for a few machines and no more, and what one service signs another may use. So the sets of
types that look best by themselves (:mod:`planner.optimizer.mixes.fleet`) are compared on the one
expected bill (:class:`planner.optimizer.commitments.valuing.Value`), each with commitments of its
own: what is signed already where it still fits, nothing, and every machine of the base committed,
for mixes that are cheapest on demand and for mixes that are cheapest fully committed. The best few
go on by descent over whole contracts; services take turns, then pairs that move at once, until
nothing is cheaper.

A search: the plan it ends at is never dearer than any it looked at, and need not be the best. Its
work is bounded, so that a fleet of fifty services is looked at no longer than one of five.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product

import numpy as np

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.commitments.descent import whole_contracts, within_upfront
from planner.optimizer.commitments.starts import worth_trying
from planner.optimizer.commitments.valuing import Value
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.market import Candidate, Market
from planner.optimizer.mixes.fleet import Fleet
from planner.optimizer.mixes.menu import Menu, Offer, menu
from planner.scenario import Scenario

ROUNDS = 4  # of turns of the services
TRIALS = 100  # valuations of one descent
FINALISTS = 3  # sets, or pairs of them, that descend
AT_ONCE = 4  # best sets of each of two services that move at once
WORK = 25_000  # costs of one service under one purchase after which no other sets are looked at

Sets = dict[str, int]  # place among the rivals of each service
Trial = dict[int, float]  # units by term


def choose_together(
    scenario: Scenario,
    load: Load,
    market: Market,
    fleets: Mapping[str, Fleet],
    planned: Mapping[str, Floats],
    tops: Mapping[str, float],
    weight: Floats,
    counted: Floats,
) -> tuple[dict[str, Fleet], Trial]:
    """The fleet of each service, one of its rivals, and units of each commitment of
    ``market.offered`` that go with them.

    ``load``: paths that machines follow, each of its ``weight``; ``planned`` must be reached and
    ``tops`` are worth a menu entry [requests/s]; ``counted`` hours of each hour.
    """
    search = _Search(scenario, load, market, fleets, planned, tops, weight, counted)
    sets, trial = search.best()
    kept = {s: search.fewer(s, sets, trial) for s in sets}
    chosen = {s: replace(f, candidates=kept[s]) for s, f in fleets.items()}
    return chosen, {search.market.origin[i]: a for i, a in trial.items() if a > 0}


class _Search:
    """Sets of types of all services on one market."""

    def __init__(
        self,
        scenario: Scenario,
        load: Load,
        market: Market,
        fleets: Mapping[str, Fleet],
        planned: Mapping[str, Floats],
        tops: Mapping[str, float],
        weight: Floats,
        counted: Floats,
    ) -> None:
        every = {s: {c.kind: c for found in f.rivals for c in found} for s, f in fleets.items()}
        self.market = market.narrowed({s: tuple(found.values()) for s, found in every.items()})
        self.planned, self.tops, self.rivals = planned, tops, {s: f.rivals for s, f in fleets.items()}
        self.menus = {s: [self.menu(s, kept) for kept in found] for s, found in self.rivals.items()}
        loads = {s: load.services[s].arrival_rate_rps.astype(np.float64) for s in fleets}
        self.value = Value(self.market, load, {s: m[0] for s, m in self.menus.items()}, loads, weight, counted)
        self.allowed = within_upfront(scenario, self.market.terms)
        self.last = load.ts[-1]
        self.budget = scenario.limits.upfront_budget_usd is not None
        self._bases: dict[tuple[str, int, bool], Trial] = {}
        self.work = 0

    def expected(self, value: Value, trial: Trial) -> float:
        """Expected cost of a purchase [USD], counted as work."""
        self.work += len(self.menus)
        return value.expected(trial)

    def menu(self, service: str, kept: Sequence[Candidate]) -> Menu:
        """Whole machines of a set."""
        rules = self.market.rules_for(service, kept)
        return menu(offers_of(kept, rules), rules, self.tops[service])

    def reaches(self, service: str, mixes: Menu) -> bool:
        """Whether a set bears what is planned."""
        return bool(len(mixes.reach)) and float(mixes.reach.max()) >= self.planned[service].max() * (1 - 1e-12)

    def best(self) -> tuple[Sets, Trial]:
        """The sets and the purchase at which the search ends."""
        sets: Sets = dict.fromkeys(self.menus, 0)
        usd, trial = self.descend(sets, self.start(sets, {})[1])
        for _ in range(ROUNDS):
            before = usd
            for moves in self.moves():
                if self.work > WORK:
                    break
                moved = [sets | move for move in moves if not move.items() & sets.items()]
                ranked = sorted(((*self.start(other, trial), other) for other in moved), key=lambda found: found[0])
                for value, first, other in ranked[:FINALISTS]:
                    if np.isfinite(value):
                        value, found = self.descend(other, first)
                        if value < usd * (1 - 1e-9):
                            usd, sets, trial = value, other, found
            if usd >= before * (1 - 1e-9):
                break
        return sets, trial

    def moves(self) -> Iterator[list[Sets]]:
        """Changes to compare: other sets of one service in turn, then of two at once. Each is made to
        what stands when it is tried.
        """
        able = {s: [k for k, m in enumerate(found) if self.reaches(s, m)] for s, found in self.menus.items()}
        for s, places in able.items():
            yield [{s: k} for k in places]
        for one, other in combinations(able, 2):
            yield [{one: i, other: j} for i, j in product(able[one][:AT_ONCE], able[other][:AT_ONCE])]

    def start(self, sets: Sets, trial: Trial) -> tuple[float, Trial]:
        """The best first purchase for some sets, of a few, and its expected cost."""
        value, found = self.value.of(self.chosen(sets)), (np.inf, dict[int, float]())
        none = dict.fromkeys(self.terms(sets), 0.0)
        seeds = [none | {i: a for i, a in trial.items() if i in none}, none]
        seeds += [none | self.base(sets, none, committed) for committed in (False, True)]
        for seed in seeds:
            if self.allowed(seed) and (usd := self.expected(value, seed)) < found[0]:
                found = usd, seed
        return found

    def chosen(self, sets: Sets) -> dict[str, Menu]:
        """Menus of some sets."""
        return {s: self.menus[s][k] for s, k in sets.items()}

    def terms(self, sets: Sets) -> list[int]:
        """Commitments on sale that some sets can use and that could be best."""
        kinds = {o.kind for m in self.chosen(sets).values() for o in m.offers if not o.spot}
        return worth_trying(self.market, kinds, self.last, payments=self.budget)

    def descend(self, sets: Sets, first: Trial) -> tuple[float, Trial]:
        """Expected cost and purchase after a descent from ``first``."""
        value = self.value.of(self.chosen(sets))
        if not first:
            return self.expected(value, {}), {}
        found = whole_contracts(self.market, first, partial(self.expected, value), self.allowed, trials=TRIALS)
        return self.expected(value, found), found

    def base(self, sets: Sets, terms: Mapping[int, float], committed: bool) -> Trial:
        """Every machine that runs long enough committed at the lowest price of its type, beside what
        is held; mixes are cheapest on demand, or ``committed``.
        """
        found: Trial = {}
        for s, k in sets.items():
            if (s, k, committed) not in self._bases:
                self._bases[s, k, committed] = self._base(s, self.menus[s][k], terms, committed)
            for i, amount in self._bases[s, k, committed].items():
                found[i] = found.get(i, 0.0) + amount
        for i, amount in found.items():
            pool = self.market.terms[i].pool
            held = sum(t.held for t in self.market.terms if t.pool == pool)
            least = self.market.terms[i].least
            found[i] = float(np.round(max(0.0, amount - held) / least) * least)
        return found

    def _base(self, service: str, mixes: Menu, terms: Mapping[int, float], committed: bool) -> Trial:
        lowest = {o.kind: self._lowest(o.kind, terms) for o in mixes.offers if not o.spot}
        offers = [self._as_committed(o, lowest.get(o.kind)) if committed else o for o in mixes.offers]
        steps = mixes.repriced(offers).steps()
        hours = self.value.hours_at(service, mixes, steps)
        found: Trial = {}
        for j, offer in enumerate(mixes.offers):
            i = None if offer.spot else lowest[offer.kind]
            if i is None:
                continue
            ran = np.bincount(mixes.counts[steps.mix, j], hours)[::-1].cumsum()[::-1][1:]  # hours of the n-th unit
            units = self.market.terms[i].units[offer.kind] * offer.unit
            saved = (offer.usd_per_h - offer.disk_usd_per_h) * ran > units * self.value.fee_usd[i]
            found[i] = found.get(i, 0.0) + units * int(saved.sum())
        return found

    def _lowest(self, kind: str, terms: Mapping[int, float]) -> int | None:
        able = [i for i in terms if kind in self.market.terms[i].units]
        return min(able, key=lambda i: self.market.terms[i].usd_per_h * self.market.terms[i].units[kind], default=None)

    def _as_committed(self, offer: Offer, i: int | None) -> Offer:
        if offer.spot or i is None:
            return offer
        usage = offer.unit * self.market.terms[i].usd_per_h * self.market.terms[i].units[offer.kind]
        return replace(offer, usd_per_h=min(offer.usd_per_h, usage + offer.disk_usd_per_h))

    def fewer(self, service: str, sets: Sets, trial: Trial) -> tuple[Candidate, ...]:
        """The types of a set without those whose loss costs nothing; all of them where quotas are dealt
        hour by hour, since what the others leave of a quota is not known here.
        """
        if any(name in self.market.by_hour for name, _, _ in self.market.rules[service].quota):
            return self.rivals[service][sets[service]]
        kept, menus = self.rivals[service][sets[service]], self.chosen(sets)
        usd = self.value.of(menus).expected(trial)
        for out in kept:
            rest = tuple(c for c in kept if c is not out)
            if not rest or not self.reaches(service, smaller := self.menu(service, rest)):
                continue
            if self.value.of(menus | {service: smaller}).expected(trial) <= usd * (1 + 1e-9):
                kept = rest
        return kept
