"""What any plan within the limits costs at least: a bound for every choice of machines and
commitments on sale.

Commitments are replaced by prices of the hours they cover
(:mod:`planner.optimizer.answer.shadow`), under which signing more never pays. What is left of a
service is a choice of machine types and, hour by hour, of whole machines that cover its load
(:mod:`planner.optimizer.mixes.covering`). So

    bound = fees of what is held + Σ_services min over sets of types Σ_hours least(set, load, prices)
            − what held units save at those prices

for any such prices; each set has its own, but for commitments that services share: their prices
serve all. Of several choices the best counts. Sets are opened best first: parts of machines for
all, whole ones on a coarse and then a fine grid for those that could still be least, and for those
left prices fitted to the set (:mod:`planner.optimizer.answer.fitting`). Contracts may begin at any
date the planner may sign at, and cost the least of their kind. Where all that is far from the plan
stands the bound in parts of machines (:mod:`planner.optimizer.answer.parts`) beside it; the larger
counts.

Rules that only make plans dearer are left out (type shares, largest replicas, prepayment
budgets; where quotas are dealt by the hour, any types at once). Of a service with too many sets the
prices serve all, and only types count that no other beats in every band.
Charges that follow no machine (data, requests) are not part of the bound.

Where it is loose: more than ``MOST_TYPES`` types a service; several services on one commitment,
whose hours all stand in one rank; few machines, of which the bound commits parts; zones of which
one may be lost.

The bound never depends on the plan it is compared with, but for ``best_usd``, above which no
bound needs to go.

Sources: H. Everett, Generalized Lagrange multiplier method (1963); A. Geoffrion, Lagrangean
relaxation for integer programming (1974).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, comb

import numpy as np

from planner.arrays import Flags, Floats, Index
from planner.load import Load
from planner.optimizer.answer.fitting import Fit, Mixes, Parts
from planner.optimizer.answer.parts import in_parts
from planner.optimizer.answer.shadow import (
    Prices,
    bands_of,
    pools_of,
    shared,
    stretches_of,
    worth_keeping,
)
from planner.optimizer.market.as_program import zone_factor
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.covering import Shelf, least_cost, parts_price, sampled
from planner.optimizer.mixes.fleet import shelf_of
from planner.optimizer.mixes.menu import Rules
from planner.scenario import Scenario

# times the price of what would run instead: whole machines fit worse than parts
OVER = (1.15, 1.0, 1.4, 2.0)
FEW = 4  # services that share commitments for which all of these are tried
RARE = 8.0  # the same of a type beside those whose prices are known: it fills what they leave
MOST_SETS = 200_000  # of types; where there are more, any types at once
IDLE = (0.0, 0.5, 1.0)  # share of hours in which what services hold together is priced
# sets valued together; ranked together coarsely; finely
TOGETHER, OPENED, CHUNK = 256, 4_096, 16
STEPS = ((300, 10), (1_500, 40))  # grid of capacities and loads of each band, coarse and fine
LAST = (6_000, 250)  # the same at fitted prices
MOST_TYPES = 4  # of a set whose prices are fitted
MOST_FITTED = 200  # sets of a service
CLOSE = 0.99  # of what the sets met allow, from where on no prices are fitted anew
REFITS = 6  # times the prices of all services are fitted to the sets they would keep
NEAR = 0.95  # of a plan, from where on parts of machines add nothing
# prices of hours for some sets, one choice or several
Worths = Callable[[Index, bool], list[Floats]]
_Cost = Callable[[Index, Floats], Floats]  # of some sets under prices of use in each band [USD]


def least_bill(
    scenario: Scenario, load: Load, market: Market, followed: Load, weight: Floats, best_usd: float
) -> float:
    """Lower bound [USD] of compute, disks and fees of any plan, in expectation over the paths that
    machines follow; ``best_usd``: a plan's own, above which no bound needs to go.
    """
    cheap = market.at_lowest_prices()
    fees = sum(t.held * t.usd_per_h * float(load.weight_h @ t.in_force(load.ts)) for t in cheap.offered if t.held)
    first = stretches_of(cheap, load, scenario.time_zone)
    pools, places = pools_of(cheap, load, scenario.time_zone, first), scenario.limits.max_regions is not None
    shelves = {s: shelf_of(cheap, s) for s in cheap.candidates}
    shelves = {s: shelf.take(worth_keeping(shelf, pools, places=places)) for s, shelf in shelves.items()}
    best = best_usd - fees
    if shared(cheap, shelves) or any(
        _too_many(shelf, _most_types(scenario, cheap, s, shelf)) for s, shelf in shelves.items()
    ):
        bands = bands_of(followed, {s: shelf.cheapest for s, shelf in shelves.items()}, weight, first)
        each = {s: Prices(shelf, pools, bands, zone_factor(cheap.rules[s])) for s, shelf in shelves.items()}
        found = _Together(scenario, cheap, each).least(best)
    else:
        found = 0.0
        for s, shelf in shelves.items():
            prices = Prices(shelf, pools, bands_of(followed, {s: 1.0}, weight, first), zone_factor(cheap.rules[s]))
            found += _Sets(scenario, cheap, s, prices).least(_own(prices), best - found)[0]
    if found < NEAR * best:
        found = max(found, in_parts(scenario, load, cheap, followed, weight))
    return min(best_usd, fees + max(0.0, found))


def _most_types(scenario: Scenario, market: Market, service: str, shelf: Shelf) -> int | None:
    """Types that a service may keep at most; ``None`` where the bound lets it keep any number."""
    size, share = scenario.limits.max_instance_types, market.rules[service].type_share
    if size is None or market.by_hour:
        return None
    return min(size if share is None else max(size, ceil(1.0 / share - 1e-9)), len(shelf))


def _too_many(shelf: Shelf, size: int | None) -> bool:
    """Whether there are more sets of so many types than can be looked at one by one."""
    return size is not None and comb(len(shelf), size) > MOST_SETS


def _own(prices: Prices) -> Worths:
    """Prices of hours fitted to each set of types."""
    held, spot = bool(prices.pools.held.any()), bool(np.isfinite(prices.shelf.spot_price).any())

    def worths(sets: Index, few: bool) -> list[Floats]:
        caps = [prices.caps(sets, over) for over in OVER[: 1 if few else None]]
        found = [prices.worth(c, sets) for c in caps]
        if few:
            return found
        even = np.repeat(np.minimum(caps[0], prices.fee)[..., None], len(prices.bands.hours), axis=-1)
        idle = [prices.worth(caps[0], sets, part) for part in IDLE] if held else []
        risky = [prices.worth(prices.caps(sets, over, spot=True), sets) for over in OVER] if spot else []
        return [*found, prices.kept(even), *idle, *risky]

    return worths


class _Together:
    """Services that share commitments: the best bound of a few prices that all of them see alike."""

    def __init__(self, scenario: Scenario, market: Market, each: dict[str, Prices]) -> None:
        self.market, self.each, self.one = market, each, next(iter(each.values()))
        pays = {s: (p.units > 0).any(axis=0) for s, p in each.items()}
        self.shared = np.sum(list(pays.values()), axis=0) > 1
        self.search = {s: _Sets(scenario, market, s, p, pays[s] & ~self.shared) for s, p in each.items()}

    def least(self, most: float) -> float:
        """The largest bound found [USD]; none better than ``most`` is sought."""
        every = {s: np.arange(len(p.shelf))[None, :] for s, p in self.each.items()}
        held, sets, best = self.one.pools.held.any(), every, -np.inf
        prices = np.zeros((len(self.shared), len(self.one.bands.hours)))
        tries = max(2, (1 + len(OVER)) * min(FEW, len(every)) // len(every))
        for over in (OVER[0], *OVER)[:tries]:
            caps = [np.max([self.each[s].caps(kept[s], over)[0] for s in every], axis=0) for kept in (sets, every)]
            cap = np.where(caps[0] > 0, *caps)
            for idle in IDLE if held else IDLE[-1:]:
                worth = self.one.worth(cap[None], every[next(iter(every))], idle)[0]
                total, sets = self._value(worth, fit=False)
                best, prices = max((best, prices), (total, worth), key=lambda pair: pair[0])
        met = {s: {tuple(np.unique(rows))} for s, rows in sets.items()}
        for _ in range(REFITS):
            *_, (most_met, prices) = self._fit(met, prices).rising()
            total, sets = self._value(prices, fit=True)
            best, before = max(best, total), sum(map(len, met.values()))
            for s, rows in sets.items():
                met[s].add(tuple(np.unique(rows)))
            # no prices reach more for the sets met, of which the least is wanted
            if best >= min(most, CLOSE * most_met) or sum(map(len, met.values())) == before:
                break
        return max(0.0, best)

    def _fit(self, met: dict[str, set[tuple[int, ...]]], worth: Floats) -> Fit:
        """Prices of what services share and of what few types use, fitted to the sets ``met``."""
        mixes, free = dict[str, list[Mixes | Parts]](), self.shared.copy()
        for s, every in met.items():
            mixes[s] = []
            for rows in sorted(every):
                if len(rows) <= MOST_TYPES:
                    kinds = self.search[s].named(np.array(rows))
                    mixes[s].append(Mixes.of(self.market, s, kinds, self.one.bands))
                    free |= (self.each[s].units[list(rows)] > 0).any(axis=0)
                else:
                    mixes[s].append(Parts(self.each[s], self.search[s].rules, s, np.array(rows)))
        return Fit(self.each, mixes, worth, free)

    def _value(self, worth: Floats, *, fit: bool) -> tuple[float, dict[str, Index]]:
        """The bound at some prices [USD], and the set of types that each service keeps there."""
        total, sets = -float(self.one.credit(worth[None], self.shared)[0]), {}
        for s, search in self.search.items():
            usd, chosen = search.least(_alike(worth), np.inf, fit=fit)
            total, sets[s] = total + usd, chosen[None, :]
        return total, sets


def _alike(worth: Floats) -> Worths:
    """The same prices for every set."""

    def worths(_sets: Index, _few: bool) -> list[Floats]:
        return [worth[None]]

    return worths


class _Sets:
    """The sets of machine types a service may keep, and the least bound among them."""

    def __init__(
        self, scenario: Scenario, market: Market, service: str, prices: Prices, own: Flags | None = None
    ) -> None:
        """``own`` (pools,): commitments that no other service may use, by default all."""
        self.own = np.ones(len(prices.pools.names), dtype=bool) if own is None else own
        self.market, self.service, self.known = market, service, dict[int, Floats]()
        self.fitted = 0
        self.rules: Rules = market.rules[service]
        self.prices, self.shelf, self.loads = prices, prices.shelf, prices.bands.loads[service]
        self.volume = np.array([float(v @ h) for v, h in self.loads])
        self.size, self.regions = _most_types(scenario, market, service, self.shelf), scenario.limits.max_regions
        self.every = np.arange(len(self.shelf))[None, :]
        self.listed: Index | None = None
        if self.size is not None and not _too_many(self.shelf, self.size):
            self.listed = self.shelf.sets(self.size, self.regions)

    def least(self, worths: Worths, most: float, *, fit: bool = True) -> tuple[float, Index]:
        """Least of ``most`` and the bounds of all sets [USD], opened in the order of their bounds in
        parts of machines; and the set that has it. ``fit`` the prices of own commitments to the sets
        that are left.
        """
        sets, fit = (self._sets_at(worths), False) if self.listed is None else (self.listed, fit)
        parts = self._by_chunk(sets, worths, self._in_parts, few=True)
        order, best = np.argsort(parts, kind="stable"), most
        chosen = sets[order[0]]
        order = order[parts[order] < best]
        for rows in np.split(order, [CHUNK, *range(OPENED, len(order), OPENED)]):
            rows = rows[parts[rows] < best]
            if not len(rows):
                break
            coarse = self._by_chunk(sets[rows], worths, self._whole(*STEPS[0]), few=True)
            coarse = np.maximum(coarse, parts[rows])
            for k in np.array_split(np.argsort(coarse, kind="stable"), max(1, len(rows) // CHUNK)):
                k = k[coarse[k] < best]
                if not len(k):
                    break
                fine = self._by_chunk(sets[rows[k]], worths, self._whole(*STEPS[1]), few=False)
                fine = np.maximum(fine, coarse[k])
                for j in np.argsort(fine, kind="stable"):
                    if fine[j] < best:
                        rival = sets[rows[k[j]]]
                        usd = max(fine[j], self._fitted(rival, worths, best)) if fit else fine[j]
                        if usd < best:
                            best, chosen = float(usd), rival
        return best, chosen

    def _sets_at(self, worths: Worths) -> Index:
        """Sets of the types that no other serves as much as for no more in any band, at prices that all
        sets see alike (another's prices would not hold for what is left out); any types at once where
        these are too many still.
        """
        if self.size is None:
            return self.every
        price = self.prices.usage(self.every.T, worths(self.every, True)[0])[:, 0]
        rows = np.flatnonzero(replace(self.shelf, usage=price[:, 0]).needed(price, places=self.regions is not None))
        if _too_many(shelf := self.shelf.take(rows), self.size):
            return self.every
        return rows[shelf.sets(min(self.size, len(rows)), self.regions)]

    def named(self, rows: Index) -> tuple[str, ...]:
        """Kinds of a set, each once."""
        return tuple(self.shelf.kind[j] for j in np.unique(rows))

    def _fitted(self, rows: Index, worths: Worths, most: float) -> float:
        """The bound of a set at prices fitted to it [USD]; −inf where there are none."""
        if len(np.unique(rows)) > MOST_TYPES or self.market.by_hour or self.fitted >= MOST_FITTED:
            return -np.inf
        self.fitted += 1
        alone = self.prices.worth(self.prices.caps(rows[None, :], RARE), rows[None, :])[0]
        worth = np.where(self.own[:, None], alone, worths(rows[None, :], True)[0][0])
        for g, known in self.known.items():
            worth[g] = known
        if self.known and (usd := self._last(rows, worth)) >= most:
            return usd
        mixes = Mixes.of(self.market, self.service, self.named(rows), self.prices.bands)
        fit = Fit({self.service: self.prices}, {self.service: [mixes]}, worth, self.own)
        usd = -np.inf
        for _, worth in fit.rising(most):
            usd = self._last(rows, worth)  # the mixes listed need not be all that could be cheapest
            self.known = {int(g): worth[g] for g in fit.free} | self.known
            if usd >= most:
                return usd
        self.known |= {int(g): worth[g] for g in fit.free}
        return usd

    def _last(self, rows: Index, worth: Floats) -> float:
        """The bound of a set at some prices [USD] on the finest grid."""
        return float(self._value(rows[None, :], [worth[None]], self._whole(*LAST))[0])

    def _by_chunk(self, sets: Index, worths: Worths, cost: _Cost, *, few: bool) -> Floats:
        chunks = np.array_split(sets, len(sets) // TOGETHER + 1)
        return np.concatenate([self._value(c, worths(c, few), cost) for c in chunks])

    def _value(self, sets: Index, worths: Sequence[Floats], cost: _Cost) -> Floats:
        found = [cost(sets, self.prices.usage(sets, w)) - self.prices.credit(w, self.own) for w in worths]
        return np.asarray(np.max(found, axis=0))

    def _in_parts(self, sets: Index, usage: Floats) -> Floats:
        price = usage + self.shelf.disk[sets][..., None]
        return np.asarray(parts_price(self.shelf, sets, self.rules, price) @ self.volume)

    def _whole(self, grid: int, count: int) -> _Cost:
        def cost(sets: Index, usage: Floats) -> Floats:
            total = np.zeros(len(sets))
            for m, (loads, hours) in enumerate(self.loads):
                few, at = sampled(loads, count)
                each = least_cost(self.shelf, sets, self.rules, few, usage=usage[..., m], grid=grid)
                total += each @ np.bincount(at, hours, minlength=len(few))
            return total

        return cost
