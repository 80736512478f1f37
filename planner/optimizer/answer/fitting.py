"""Prices of hours fitted to a few choices of machine types of each service.

For given prices λ of the hours that commitments cover
(:mod:`planner.optimizer.answer.shadow`) whole machines are chosen hour by hour, so

    L(λ) = Σ_bands Σ_hours min over mixes (machines at the lower of on demand and λ) − λ · held

is a lower bound of the bill of these types, concave in λ, and so is the least of a few choices. Its
largest value is that of a linear program over mixes (Dantzig and Wolfe 1960): one convex
combination y of choices for each service, of answers x for each of them and each band,
commitments bought in parts,

    min Σ x_k c_k + Σ fee · N   with   Σ y = 1,   Σ_k x_k = y,   Σ_k x_k u_kg ≤ (N_g + held) · hours

whose columns are the answers to the prices met so far: u units of a commitment that an answer
would use, c what it costs without them. The duals of the last rows are the next prices. Any of them
is a bound; the best is kept.

Source: G. Dantzig, P. Wolfe, Decomposition principle for linear programs (1960).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.arrays import Flags, Floats, Index, Ints
from planner.compiling import compiled
from planner.optimizer.answer.shadow import Bands, Prices
from planner.optimizer.market.as_program import offers_of, zone_factor
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, Rules, menu
from planner.optimizer.program.growing import Growing

ROUNDS = 60  # of prices and answers
# of the dearest price of a unit, at which the first answers are taken: from fewer the program
# begins at prices all in one band, and needs twice the rounds
FIRST = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NEAR = 5e-4  # share of the best that better prices could still add, below which they are good enough


Loads = tuple[Floats, Floats]  # loads and their hours


class Mixes:
    """Whole mixes of some types of one service, from the farthest reach down, and the loads of each
    band. A mix that could be cheapest may be missing: prices fitted to these are valued anew.
    """

    def __init__(self, listed: Menu, kinds: Sequence[str], loads: Sequence[Loads]) -> None:
        """``kinds`` of the menu's offers, each once; ``loads`` of each band, rising, with their hours."""
        self.kinds, offers = tuple(kinds), listed.offers
        fixed = np.array([o.usd_per_h if o.spot else o.disk_usd_per_h for o in offers])
        of = np.array([[not o.spot and o.kind == k for k in self.kinds] for o in offers])
        usd, units = listed.counts @ fixed, listed.counts @ of.reshape(len(offers), len(self.kinds))
        order = np.argsort(-listed.reach, kind="stable")
        order = order[_needed(usd[order], units[order])]
        self.reach, self.fixed = listed.reach[order], usd[order]
        self.units = units[order].astype(np.float64)
        self._loads, self._hours = (np.concatenate([pair[i] for pair in loads]) for i in (0, 1))
        self._first: Index = np.cumsum([0, *(len(v) for v, _ in loads)])

    @classmethod
    def of(cls, market: Market, service: str, kinds: Sequence[str], bands: Bands) -> "Mixes":
        """Of some machine types on sale to a service, within all of each quota."""
        found, loads = market.named(service, kinds), bands.loads[service]
        rules = market.rules_for(service, found)
        every = tuple((name, of, market.quotas[name]) for name, of, _ in rules.quota)
        rules = replace(rules, quota=every)
        top = max(float(v[-1]) for v, _ in loads)
        return cls(menu(offers_of(found, rules), rules, top), kinds, loads)

    def cheapest(self, price: Floats) -> tuple[Floats, Floats]:
        """Of the mixes that are cheapest at ``price`` (kinds, bands) of a unit on demand: their
        spot machines and disks [USD], shape (bands,), and hours of units (bands, kinds).
        """
        usd, units = np.zeros(price.shape[1]), np.zeros(price.shape[::-1])
        mixes, hours = (self.reach, self.fixed, self.units), (self._loads, self._hours, self._first)
        _cheapest(*mixes, price.T.copy(), *hours, usd, units)
        return usd, units


def _needed(usd: Floats, units: Ints) -> Flags:
    """Of mixes from the farthest reach down those that spend less beside the same units on demand than
    any before.
    """
    base = units.max(axis=0, initial=0) + 1
    number = np.ravel_multi_index(tuple(units.T), tuple(base))
    group = np.unique(number, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[True], np.diff(group[order]) > 0])
    falls = usd.max(initial=0.0) + 1.0
    # a step down from group to group keeps the running least inside each
    level = usd[order] - falls * group[order]
    least = np.minimum.accumulate(level)
    kept = np.zeros(len(usd), dtype=bool)
    lower = np.concatenate([[True], level[1:] < least[:-1] - 1e-12 * falls])
    kept[order] = start | lower[: len(usd)]
    return kept


class Parts:
    """Parts of machines of any types of one service: what takes the place of :class:`Mixes` where the
    types are too many to list their mixes.
    """

    def __init__(self, prices: Prices, rules: Rules, service: str, rows: Index) -> None:
        """``rows`` of the shelf of ``prices``."""
        self.kinds = tuple(prices.shelf.kind[j] for j in rows)
        self._shelf, self._rules = prices.shelf.take(rows), rules
        volume = np.array([float(v @ h) for v, h in prices.bands.loads[service]])
        self._volume = zone_factor(rules) * volume

    def cheapest(self, price: Floats) -> tuple[Floats, Floats]:
        """As :meth:`Mixes.cheapest`: of each band's cheapest steady type, and of spot where that is
        cheaper, as much as the rules allow.
        """
        shelf = self._shelf
        each = (price + shelf.disk[:, None]) / shelf.capacity[:, None]
        best, bands = np.argmin(each, axis=0), np.arange(each.shape[1])
        spot = float((shelf.spot_price / shelf.spot_capacity).min())
        part = np.where(spot < each[best, bands], self._rules.spot_share, 0.0)
        steady = self._volume * (1.0 - part) / shelf.capacity[best]
        units = np.zeros((len(bands), len(self.kinds)))
        units[bands, best] = steady
        risky = part * self._volume * (spot if np.isfinite(spot) else 0.0)
        return steady * shelf.disk[best] + risky, units


@compiled
def _cheapest(
    reach: Floats,
    fixed: Floats,
    units: Floats,
    price: Floats,
    loads: Floats,
    hours: Floats,
    first: Index,
    usd: Floats,
    used: Floats,
) -> None:
    """Walk down the reaches once for each band: a load takes the cheapest mix met before one falls
    short of it; a load beyond all takes the farthest.
    """
    for b in range(usd.size):
        q, best, least = first[b + 1] - 1, 0, np.inf
        for i in range(reach.size + 1):
            while q >= first[b] and (i == reach.size or (i > 0 and loads[q] * (1 - 1e-12) > reach[i])):
                usd[b] += hours[q] * fixed[best]
                for j in range(used.shape[1]):
                    used[b, j] += hours[q] * units[best, j]
                q -= 1
            if q < first[b]:
                break
            if i < reach.size:
                cost = fixed[i]
                for j in range(used.shape[1]):
                    cost += units[i, j] * price[b, j]
                if cost < least:
                    best, least = i, cost


class Fit:
    """The prices of a few choices of types for each service, of which any may be kept: those of
    pools that are ``free`` are fitted, the others stay.
    """

    def __init__(
        self,
        prices: Mapping[str, Prices],
        mixes: Mapping[str, Sequence[Mixes | Parts]],
        worth: Floats,
        free: Flags | None = None,
    ) -> None:
        """``mixes`` of each choice of a service; ``worth`` (pools, bands) at first; ``free`` (pools,)
        those whose prices may move, by default all that pay for a type.
        """
        self.start = worth
        one = next(iter(prices.values()))
        self.pools, self.kept, self.hours = one.pools, one.kept, one.bands.hours
        units = [prices[s].units[_rows(prices[s], m)] for s, every in mixes.items() for m in every]
        pays = np.any([(u > 0).any(axis=0) for u in units], axis=0)
        self.free = np.flatnonzero(pays if free is None else pays & free)
        self.dearest = np.max([_dearest(prices[s], m) for s, every in mixes.items() for m in every], axis=0)[self.free]
        self.held = self.pools.held[self.free] @ self.hours.T  # hours of units (free pools, bands)
        self.choices = [[_Choice(m, prices[s], worth, self.free) for m in every] for s, every in mixes.items()]

    def rising(self, most: float = np.inf) -> Iterator[tuple[float, Floats]]:
        """The largest bound found [USD], free of what is held at fixed prices, and its prices: each
        better one from ``most`` on, and the last.
        """
        master, worth = self._master(), self.start
        best, prices = -np.inf, self.start
        for part in FIRST if len(self.free) else ():
            tried = self.start.copy()
            tried[self.free] = part * self.dearest[:, None]
            master.add(*self._answer(tried)[1:])
        for _ in range(ROUNDS):
            usd, cost, columns = self._answer(worth)
            if usd > best:
                best, prices = usd, worth
                if best >= most:
                    yield best, prices
            if not len(self.free):
                break
            master.add(cost, columns)
            found = master.solve()
            if found is None or best >= found[0] - NEAR * abs(found[0]):
                break
            worth = self.start.copy()
            duals = found[1][-self.held.size :].reshape(self.held.shape)
            worth[self.free] = np.maximum(0.0, -duals)
            worth = self.kept(worth[None])[0]
        yield best, prices

    def _answer(self, worth: Floats) -> tuple[float, Floats, Floats]:
        """The bound at some prices, and a column for each choice and band: cost and rows."""
        total, answers = -float((worth[self.free] * self.held).sum()), []
        for every in self.choices:
            found = [c.answer(worth) for c in every]
            total += min(usd for usd, _, _ in found)
            answers += found
        cost = np.concatenate([c for _, c, _ in answers])
        used = np.stack([u for _, _, u in answers])  # (choices, free pools, bands)
        bands = used.shape[-1]
        pools = np.einsum("kgb,bc->kbgc", used, np.eye(bands)).reshape(len(cost), -1)
        services = np.zeros((len(cost), len(self.choices)))
        return total, cost, np.concatenate([np.eye(len(cost)), services, pools], axis=1)

    def _master(self) -> Growing:
        """Rows: a choice's answers in a band are as much as the choice, a service's choices are one,
        units used are no more than those bought and held. Columns: choices, and commitments on sale.
        """
        bands, services = self.hours.shape[0], len(self.choices)
        of = np.repeat(np.arange(services), [len(every) for every in self.choices])
        blocks = len(of) * bands
        even = np.concatenate([np.zeros(blocks), np.ones(services)])
        low = np.concatenate([even, np.full(self.held.size, -np.inf)])
        master = Growing(low, np.concatenate([even, self.held.ravel()]))
        chosen = np.zeros((len(of), len(low)))
        for k, service in enumerate(of):
            chosen[k, k * bands : (k + 1) * bands], chosen[k, blocks + service] = -1.0, 1.0
        master.add(np.zeros(len(of)), chosen)
        hours = self.hours @ self.pools.windows.T  # (bands, windows)
        fees = self.pools.fee[self.free]
        sold = np.argwhere(np.isfinite(fees))
        bought, first = np.zeros((len(sold), len(low))), blocks + services
        for row, (g, w) in zip(bought, sold, strict=True):
            row[first + g * bands : first + (g + 1) * bands] = -hours[:, w]
        master.add(np.array([fees[g, w] * hours[:, w].sum() for g, w in sold]), bought)
        return master


def _rows(prices: Prices, mixes: Mixes | Parts) -> list[int]:
    return [prices.shelf.kind.index(k) for k in mixes.kinds]


def _dearest(prices: Prices, mixes: Mixes | Parts) -> Floats:
    """The most a unit of each pool can be worth, (pools,): what it pays for on demand."""
    rows = _rows(prices, mixes)
    usage, units = prices.shelf.usage[rows][:, None], prices.units[rows]
    sold = (units > 0) & np.isfinite(usage)
    return np.asarray(np.where(sold, usage / np.where(sold, units, 1.0), 0.0).max(axis=0))


class _Choice:
    """Some types of one service, of whose pools some are ``free`` to change their price."""

    def __init__(self, mixes: Mixes | Parts, prices: Prices, worth: Floats, free: Index) -> None:
        rows = _rows(prices, mixes)
        self.mixes, self.units = mixes, prices.units[rows][:, free, None]
        # price of a unit but for the free pools (types, bands)
        alone = worth.copy()
        alone[free] = np.inf
        self.alone = prices.usage(np.array([rows]), alone[None])[0]
        self.free = free

    def answer(self, worth: Floats) -> tuple[float, Floats, Floats]:
        """Bill at some prices [USD]; by band what it is without the units of free pools, and these
        (pools, bands).
        """
        each = np.where(self.units > 0, self.units * worth[self.free], np.inf)
        lowest = each.min(axis=1, initial=np.inf)
        usd, hours = self.mixes.cheapest(np.minimum(self.alone, lowest))
        runs = hours.T > 0
        # not sold on demand: no unit runs, at no price
        price = np.where(runs, np.minimum(self.alone, lowest), 0.0)
        covered = (lowest < self.alone) & runs
        used = np.zeros(each.shape[1:])
        for t, b in np.argwhere(covered):
            g = each[t, :, b].argmin()
            used[g, b] += hours[b, t] * self.units[t, g, 0]
        alone = np.where(covered, 0.0, price)
        return float(usd.sum() + (price * hours.T).sum()), usd + (alone * hours.T).sum(axis=0), used
