"""Prices of hours fitted to one choice of machine types for each service.

For given prices λ of the hours that commitments cover
(:mod:`planner.optimizer.answer.shadow`) whole machines are chosen hour by hour, so

    L(λ) = Σ_bands Σ_hours min over mixes (machines at the lower of on demand and λ) − λ · held

is a lower bound of the bill of these types, concave in λ. Its largest value is that of a linear
program over mixes (Dantzig and Wolfe 1960): one convex combination of answers for each service and
band, commitments bought in parts,

    min Σ x_k c_k + Σ fee · N   with   Σ_k x_k = 1  each band,   Σ_k x_k u_kg ≤ (N_g + held) · hours

whose columns are the answers to the prices met so far: u units of a commitment that an answer
would use, c what it costs without them. The duals of the last rows are the next prices. Any of them
is a bound; the best is kept.

Source: G. Dantzig, P. Wolfe, Decomposition principle for linear programs (1960).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.arrays import Flags, Floats, Index, Ints
from planner.latency.kernels import compiled
from planner.optimizer.answer.shadow import Bands, Prices
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import menu
from planner.optimizer.program.growing import Growing

ROUNDS = 60  # of prices and answers
NEAR = 5e-4  # share of the best that better prices could still add, below which they are good enough


class Mixes:
    """Whole mixes of some types of one service, from the farthest reach down, and the loads of each
    band; ``every``: no mix that could be cheapest is missing.
    """

    def __init__(self, market: Market, service: str, kinds: Sequence[str], bands: Bands) -> None:
        """``kinds`` of the service, each once."""
        self.kinds = tuple(kinds)
        found = market.named(service, self.kinds)
        rules = market.rules_for(service, found)
        rules = replace(rules, quota=tuple((name, of, market.quotas[name]) for name, of, _ in rules.quota))
        loads = bands.loads[service]
        listed = menu(offers_of(found, rules), rules, max(float(v[-1]) for v, _ in loads))
        offers = listed.offers
        self.every = listed.every and len(listed.reach) > 0
        fixed = np.array([o.usd_per_h if o.spot else o.disk_usd_per_h for o in offers])
        of = np.array([[not o.spot and o.kind == k for o in offers] for k in self.kinds]).reshape(len(self.kinds), -1)
        usd, units = listed.counts @ fixed, listed.counts @ of.T
        order = np.argsort(-listed.reach, kind="stable")
        order = order[_needed(usd[order], units[order])]
        self.reach, self.fixed, self.units = listed.reach[order], usd[order], units[order].astype(np.float64)
        self._loads, self._hours = (np.concatenate([pair[i] for pair in loads]) for i in (0, 1))
        self._first: Index = np.cumsum([0, *(len(v) for v, _ in loads)])

    def cheapest(self, price: Floats) -> tuple[Floats, Floats]:
        """Of the mixes that are cheapest at ``price`` (kinds, bands) of a unit on demand: their
        spot machines and disks [USD], shape (bands,), and hours of units (bands, kinds).
        """
        usd, units = np.zeros(len(self._first) - 1), np.zeros((len(self._first) - 1, len(self.kinds)))
        _cheapest(self.reach, self.fixed, self.units, price.T.copy(), self._loads, self._hours, self._first, usd, units)
        return usd, units


def _needed(usd: Floats, units: Ints) -> Flags:
    """Of mixes from the farthest reach down those that spend less beside the same units on demand than
    any before.
    """
    base = units.max(axis=0, initial=0) + 1
    group = np.unique(np.ravel_multi_index(tuple(units.T), tuple(base)), return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[True], np.diff(group[order]) > 0])
    falls = usd.max(initial=0.0) + 1.0
    # a step down from group to group keeps the running least inside each
    level = usd[order] - falls * group[order]
    least = np.minimum.accumulate(level)
    kept = np.zeros(len(usd), dtype=bool)
    kept[order] = start | np.concatenate([[True], level[1:] < least[:-1] - 1e-12 * falls])[: len(usd)]
    return kept


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
    """The prices of one choice of types for each service; pools that are not ``free`` keep theirs."""

    def __init__(
        self, prices: Mapping[str, Prices], mixes: Mapping[str, Mixes], worth: Floats, free: Flags | None = None
    ) -> None:
        """``worth`` (pools, bands) at first; ``free`` (pools,) those whose prices may move, by
        default all that pay for a type.
        """
        self.prices, self.mixes, self.start = prices, mixes, worth
        one = next(iter(prices.values()))
        self.pools, self.kept = one.pools, one.kept
        self.hours = one.bands.hours
        rows = {s: [prices[s].shelf.kind.index(k) for k in m.kinds] for s, m in mixes.items()}
        self.units = {s: prices[s].units[r] for s, r in rows.items()}
        # what is not sold on demand runs on spot alone: no unit of it has a price
        usage = {s: prices[s].shelf.usage[r][:, None] for s, r in rows.items()}
        self.usage = {s: np.where(np.isfinite(u), u, 0.0) for s, u in usage.items()}
        pays = np.any([(u > 0).any(axis=0) for u in self.units.values()], axis=0)
        self.free = np.flatnonzero(pays if free is None else pays & free)
        self.held = self.pools.held[self.free] @ self.hours.T  # hours of units (free pools, bands)
        rest = np.setdiff1d(np.arange(len(self.pools.names)), self.free)
        self.alone = {s: np.minimum(self.usage[s], self._lowest(s, worth, rest)[0]) for s in mixes}

    def rising(self, most: float = np.inf) -> Iterator[tuple[float, Floats]]:
        """The largest bound found [USD], free of what is held at fixed prices, and its prices: each
        better one from ``most`` on, and the last.
        """
        master, worth = self._master(), self.start
        bands, best, prices = self.hours.shape[0], -np.inf, self.start
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
            worth[self.free] = np.maximum(0.0, -found[1][len(cost) :].reshape(len(self.free), bands))
            worth = self.kept(worth[None])[0]
        yield best, prices

    def _lowest(self, service: str, worth: Floats, of: Index) -> tuple[Floats, Index]:
        """Lowest price of a unit of each type under some pools (types, bands), and which."""
        units = self.units[service][:, of, None]
        each = np.where(units > 0, units * worth[of], np.inf)
        if not len(of):
            none = np.full((len(units), worth.shape[1]), np.inf)
            return none, np.zeros(none.shape, dtype=np.intp)
        return each.min(axis=1), each.argmin(axis=1)

    def _answer(self, worth: Floats) -> tuple[float, Floats, Floats]:
        """The bound at some prices, and a column for each service and band: cost and rows."""
        bands = self.hours.shape[0]
        cost, used = np.zeros((len(self.mixes), bands)), np.zeros((len(self.mixes), len(self.free), bands))
        total = -float((worth[self.free] * self.held).sum())
        for k, (s, mixes) in enumerate(self.mixes.items()):
            lowest, which = self._lowest(s, worth, self.free)
            price = np.minimum(self.alone[s], lowest)
            usd, hours = mixes.cheapest(price)
            covered = lowest < self.alone[s]
            cost[k] = usd + (np.where(covered, 0.0, self.alone[s]) * hours.T).sum(axis=0)
            total += float(usd.sum() + (price * hours.T).sum())
            for t, b in np.argwhere(covered):
                g = which[t, b]
                used[k, g, b] += hours[b, t] * self.units[s][t, self.free[g]]
        rows = np.eye(len(self.mixes) * bands)
        pools = np.einsum("kgb,bc->kbgc", used, np.eye(bands)).reshape(len(rows), -1)
        return total, cost.ravel(), np.concatenate([rows, pools], axis=1)

    def _master(self) -> Growing:
        """Rows of convexity and of pools, and the commitments on sale."""
        bands, one = self.hours.shape[0], len(self.mixes) * self.hours.shape[0]
        low = np.concatenate([np.ones(one), np.full(self.held.size, -np.inf)])
        master = Growing(low, np.concatenate([np.ones(one), self.held.ravel()]))
        hours = self.hours @ self.pools.windows.T  # (bands, windows)
        fees = self.pools.fee[self.free]
        sold = np.argwhere(np.isfinite(fees))
        columns = np.zeros((len(sold), one + self.held.size))
        for row, (g, w) in zip(columns, sold, strict=True):
            row[one + g * bands : one + (g + 1) * bands] = -hours[:, w]
        master.add(np.array([fees[g, w] * hours[:, w].sum() for g, w in sold]), columns)
        return master
