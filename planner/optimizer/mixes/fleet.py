"""Which few machine types a service may keep over the horizon: ``limits.max_instance_types`` of
``limits.max_regions``; the sets that look best by themselves.

Every set of types has a lower bound (``planner.optimizer.mixes.covering``), coarse for all sets,
finer for those still in play; sets are then valued exactly, hour by hour in whole machines, from
the lowest bound up until the next bound is above the best value. That at on-demand prices, at the
lowest prices of commitments on sale, and with what is held already for nothing. The best of each
kind and size are rivals: which of them stays is decided with the commitments signed for them
(:mod:`planner.optimizer.commitments.together`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from planner.arrays import Floats, Index, Ints
from planner.load import Load
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.commitments import Term
from planner.optimizer.market.market import Candidate, Market
from planner.optimizer.mixes.covering import COARSE, Shelf, least_cost, restricted, sampled
from planner.optimizer.mixes.menu import Cover, Menu, Offer, Rules, menu
from planner.scenario import Scenario

MOST_VALUED = 16  # sets valued exactly at each kind of price
TYPICAL = 2_000  # groups of like hours of all paths that sets are valued on
MOST_RANKED = 8  # sets of more types are not ranked: each type more takes several times as long
SETTLED = 4  # best sets at each kind of price that are compared with their commitments
RIVALS = 12  # sets that go on


@dataclass(frozen=True)
class Fleet:
    """``types`` machine types kept; ``asked`` as many as the limits say, ``why`` more were needed
    ("" if they were not); ``others`` are sets that may be better, in the order of their promise.
    """

    candidates: tuple[Candidate, ...]
    types: int | None
    asked: int | None
    why: str = ""
    others: tuple[tuple[Candidate, ...], ...] = ()

    @property
    def rivals(self) -> tuple[tuple[Candidate, ...], ...]:
        """All sets to choose from, the one kept first."""
        return (self.candidates, *self.others)


def shelf_of(market: Market, service: str, *, listed: bool = False) -> Shelf:
    """Every usable machine of a service; with ``listed``, of those with a
    quota only the short list's.

    A row is a unit: the whole instances that carry whole replicas, ⌈instances a replica⌉ of them
    where a replica needs more than one, else one with ⌊1 / instances a replica⌋ replicas.
    Capacity [requests/s] is that in the largest pool, so a bound from the shelf is never above
    the cost of a real mix; prices [USD/h] are ``inf`` where a machine is not sold that way.
    """
    rules, table = market.rules[service], market.usable(service)
    if listed:
        kinds = [c.kind for c in market.candidates[service]]
        table = table[~table["instance_type"].isin(market.quotas) | table["kind"].isin(kinds)]
    each = table["instances_per_replica"].to_numpy(np.float64)
    unit = np.where(each <= 1, 1.0, np.ceil(each - 1e-9))
    replicas = np.where(each <= 1, np.floor(1.0 / each + 1e-9), 1.0)
    capacity = table["usable_rps"].to_numpy(np.float64) * replicas * [gains[-1][1] for gains in table["gains"]]
    disk = unit * table["disk"].to_numpy(np.float64)
    price, committed, spot = (
        np.nan_to_num(unit * table[c].to_numpy(np.float64), nan=np.inf) for c in ("on_demand", "committed", "spot")
    )
    share = np.nan_to_num(table["spot_yield"].to_numpy(np.float64), nan=1.0)
    spot = np.where((share > 0) & (rules.spot_share > 0), spot, np.inf)
    most = np.array(
        [np.floor(market.quotas.get(name, np.inf) / u) for name, u in zip(table["instance_type"], unit, strict=True)]
    )
    place = np.unique((table["provider"] + "/" + table["region"]).to_numpy(dtype=object), return_inverse=True)[
        1
    ].reshape(-1)
    shelf = Shelf(
        tuple(table["kind"]),
        place.astype(np.intp),
        unit,
        replicas,
        capacity,
        price,
        np.minimum(committed, price),
        disk,
        np.where(share > 0, capacity * share, capacity),
        spot + disk,
        most,
    )
    return restricted(shelf, rules)


def rival_fleets(
    scenario: Scenario, market: Market, planned: Mapping[str, Floats], followed: Load, weight: Floats
) -> dict[str, Fleet]:
    """Sets of machine types for each service by itself: those of the least expected cost over the
    paths that machines follow, each of its ``weight``, which reach what is ``planned``.

    ``planned`` {service: (hours,) load [requests/s]}, ``weight`` (paths,).
    """
    return {s: _fleet(scenario, market, s, *_typical(planned[s], followed, s, weight)) for s in market.candidates}


def _typical(planned: Floats, followed: Load, service: str, weight: Floats) -> tuple[Floats, Floats]:
    """Mean loads of at most ``TYPICAL`` groups of like hours of all paths, the hours of each,
    and the largest planned load at none.

    Loads above the largest planned one are cut to it. The planned peak has the weight 0 h: it
    must be reached, and costs nothing here.
    """
    rate = followed.services[service].arrival_rate_rps.astype(np.float64).ravel()
    hours = (weight[:, None] * followed.weight_h[None, :]).ravel()
    order = np.argsort(rate)
    cuts = np.unique(np.linspace(0, len(order), min(TYPICAL, len(order)) + 1).astype(np.intp))[:-1]
    counted = np.add.reduceat(hours[order], cuts)
    mean = np.add.reduceat((hours * rate)[order], cuts) / counted
    return np.append(np.minimum(mean, planned.max()), planned.max()), np.append(counted, 0.0)


def _fleet(scenario: Scenario, market: Market, service: str, planned: Floats, weight_h: Floats) -> Fleet:
    """The types one service keeps: the best set of the size asked for, up to three types more
    where fewer cannot carry the load.

    A largest share of one type sets a least number of types, ⌈1 / share⌉. Services whose quotas
    are dealt hour by hour keep their short list.
    """
    limits, rules = scenario.limits, market.rules[service]
    asked, regions = limits.max_instance_types, limits.max_regions
    valuer = Valuer(market, service, planned, weight_h)
    if any(q[0] in market.by_hour for q in rules.quota):
        return Fleet(
            market.candidates[service],
            None,
            asked,
            "a quota that its services share fits only if it is dealt hour by hour",
        )
    shelf = shelf_of(market, service, listed=True)
    usages = _usages(market, shelf)
    kept = shelf.undominated(*usages, places=regions is not None)
    shelf, usages = shelf.take(kept), [u[kept] for u in usages]
    if asked is None:
        best = next(iter(_best(shelf, usages, valuer, rules, 2, regions)), ())
        return Fleet(_unlimited(market, service, valuer, best, regions), None, None)
    most = min(len(shelf), MOST_RANKED)
    size, why = min(asked, most), ""
    if rules.type_share is not None and size < (fewest := ceil(1.0 / rules.type_share - 1e-9)):
        size, why = fewest, f"limits.max_type_share = {rules.type_share:g}"
    while size <= most or size == 1:
        found = [valuer.known(kinds) for kinds in _best(shelf, usages, valuer, rules, size, regions)]
        if found:
            return Fleet(found[0], size, asked, why, tuple(found[1:RIVALS]))
        if size >= min(most, asked + 3):
            break
        size, why = size + 1, why or "fewer cannot carry the load within the limits"
    # if nothing reaches the load, the refusal names what to relax
    return Fleet(market.candidates[service], None, asked, why)


def _unlimited(
    market: Market, service: str, valuer: "Valuer", best: tuple[str, ...], regions: int | None
) -> tuple[Candidate, ...]:
    """All short-listed types and the best pair, where there must be one region those of that
    pair's.
    """
    kept = valuer.known(best)
    places = {(c.provider, c.region) for c in kept}
    listed = [c for c in market.candidates[service] if c.kind not in best]
    return (*kept, *(c for c in listed if regions is None or not places or (c.provider, c.region) in places))


def _usages(market: Market, shelf: Shelf) -> list[Floats]:
    """Prices of use at which sets are ranked: on demand, the lowest on sale, and with what is held
    for nothing; each once.
    """
    on_sale = shelf.usage.copy()
    for t in market.offered:
        if not t.held:
            on_sale = np.fmin(on_sale, shelf.takes(t.units, np.nan) * shelf.unit * t.usd_per_h)
    found: list[Floats] = []
    for usage in (shelf.usage, on_sale, np.minimum(shelf.committed, on_sale)):
        if not any(np.array_equal(usage, u) for u in found):
            found.append(usage)
    return found


def _best(
    shelf: Shelf, usages: list[Floats], valuer: "Valuer", rules: Rules, size: int, regions: int | None
) -> list[tuple[str, ...]]:
    """Sets of at most ``size`` types that reach the load, the cheapest after commitments first.

    All sets of one or two types are ranked; larger ones grow from the best by one type, then by one
    exchange, so of three or more types the best found need not be the best there is. Sets of fewer
    types compete where no share of a type sets their number, and so do sets of one region.
    """
    found: dict[tuple[str, ...], float] = {}
    smaller = [(size - 1, regions)] if size > 1 and rules.type_share is None else []
    for few, near in [*smaller, *([(size, 1)] if size > 2 and regions != 1 else [])]:
        found |= {kinds: valuer.settled(kinds) for kinds in _best(shelf, usages, valuer, rules, few, near)}
    for usage in usages:
        ranked = _ranked(shelf, shelf.sets(min(size, 2), regions), valuer, rules, usage)
        for _ in range(size - 2):
            ranked = _ranked(shelf, _larger(shelf, ranked, regions), valuer, rules, usage)
            ranked = _ranked(shelf, _exchanged(shelf, ranked, regions), valuer, rules, usage)
        for value, rows in ranked[:SETTLED]:
            if np.isfinite(value):
                kinds = tuple(dict.fromkeys(shelf.kind[j] for j in sorted(rows)))
                found[kinds] = valuer.settled(kinds)
    return sorted(found, key=lambda k: (found[k], len(k)))


def _ranked(shelf: Shelf, sets: Index, valuer: "Valuer", rules: Rules, usage: Floats) -> list[tuple[float, Index]]:
    """Sets valued exactly, best first: in the order of their lower bounds, while these
    are below the best value.

    Each pass of ``COARSE`` bounds the sets left on a finer grid, values the three of the
    lowest bounds and drops those whose bound is not below the best value. At most
    ``MOST_VALUED`` of the rest are valued; where more have a bound below the best value,
    the best set may be missed.
    """
    best, values, at = np.inf, {}, np.arange(len(sets))
    bounds = np.zeros(len(sets))
    for grid, count in COARSE:
        loads, hour = sampled(valuer.planned, count)
        hours = np.bincount(hour, valuer.weight_h, minlength=len(loads))
        loads, hours = loads[hours > 0], hours[hours > 0]  # no hour at infinite cost is no number
        bounds = least_cost(shelf, sets[at], rules, loads, usage=usage, grid=grid) @ hours
        for j in np.argsort(bounds, kind="stable")[:SETTLED]:
            values[int(at[j])] = valuer.cost(
                tuple(shelf.kind[i] for i in sets[at[j]]),
                usage=dict(zip(shelf.kind, usage, strict=True)),
            )
        best = min([best, *values.values()])
        kept = np.isfinite(bounds) & (bounds < best * (1 - 1e-9))
        at, bounds = at[kept], bounds[kept]
        if not len(at):
            break
    for j in np.argsort(bounds, kind="stable")[:MOST_VALUED]:
        if bounds[j] >= best:
            break
        if int(at[j]) not in values:
            values[int(at[j])] = valuer.cost(
                tuple(shelf.kind[i] for i in sets[at[j]]),
                usage=dict(zip(shelf.kind, usage, strict=True)),
            )
            best = min(best, values[int(at[j])])
    return sorted(((v, sets[k]) for k, v in values.items()), key=lambda pair: pair[0])


def _larger(shelf: Shelf, ranked: list[tuple[float, Index]], regions: int | None) -> Index:
    """The best sets, each with one type more."""
    return shelf.within(
        _distinct([np.append(rows, j) for _, rows in ranked[:SETTLED] for j in range(len(shelf))]),
        regions,
    )


def _exchanged(shelf: Shelf, ranked: list[tuple[float, Index]], regions: int | None) -> Index:
    """The best sets, and each with one type exchanged for another."""
    near = [
        np.append(np.delete(rows, k), j)
        for _, rows in ranked[:SETTLED]
        for k in range(len(rows))
        for j in range(len(shelf))
    ]
    return shelf.within(_distinct([rows for _, rows in ranked[:SETTLED]] + near), regions)


def _distinct(sets: list[Index]) -> Index:
    return np.unique(np.sort(np.array(sets, dtype=np.intp), axis=1), axis=0)


class Valuer:
    """Values sets of machine types of one service over the planned hours, in whole machines."""

    def __init__(self, market: Market, service: str, planned: Floats, weight_h: Floats) -> None:
        """Nothing is valued yet."""
        self.market, self.service, self.planned, self.weight_h = market, service, planned, weight_h
        self._menus: dict[tuple[str, ...], Menu] = {}
        self._known: dict[str, Candidate] = {}
        users = len(market.candidates)
        self.held = [
            Cover(t.commitment, tuple(t.units.items()), t.held / users) for t in market.offered if t.held and t.units
        ]

    def cost(self, kinds: tuple[str, ...], *, usage: Mapping[str, float] | None = None) -> float:
        """Compute and disks over the planned hours [USD], inf where a load is not reached;
        ``usage`` {kind: price of a unit's use}.
        """
        mixes = self._menu(kinds)
        if usage is not None:
            mixes = mixes.repriced([_repriced(o, usage) for o in mixes.offers])
        steps = mixes.steps(mixes.draws(self.held))
        if not len(steps.reach) or steps.short(self.planned).any():
            return np.inf
        return float(self.weight_h @ steps.cost[steps.at(self.planned)])

    def settled(self, kinds: tuple[str, ...]) -> float:
        """The same once the base of each type is committed where that pays: one price of the
        hour for each further unit.

        The cheaper of two ways: mixes chosen at on-demand prices, and mixes chosen at the
        lowest committed prices, both then billed at on-demand prices less what
        commitments for the base save. Each type takes the one commitment of the lowest
        hourly price, for the whole horizon.
        """
        mixes, best = self._menu(kinds), np.inf
        lowest = self._lowest(kinds)
        for usage in (None, {k: (r, t.usd_per_h * t.units[k]) for k, (t, r) in lowest.items()}):
            priced = (
                mixes
                if usage is None
                else mixes.repriced([_repriced(o, {k: o.unit * v[1] for k, v in usage.items()}) for o in mixes.offers])
            )
            steps = priced.steps(priced.draws(self.held))
            at = steps.mix[steps.at(self.planned)]
            counts = mixes.counts[at]
            cost = float(self.weight_h @ mixes.price(mixes.draws(self.held))[at])
            best = min(best, cost - self._saved(mixes, counts, lowest))
        return best

    def known(self, kinds: tuple[str, ...]) -> tuple[Candidate, ...]:
        """The candidates of a set."""
        self._menu(kinds)
        return tuple(self._known[k] for k in kinds)

    def _menu(self, kinds: tuple[str, ...]) -> Menu:
        kinds = tuple(dict.fromkeys(kinds))
        if kinds not in self._menus:
            new = [k for k in kinds if k not in self._known]
            self._known.update({c.kind: c for c in self.market.named(self.service, new)})
            rules = self.market.rules_for(self.service, tuple(self._known[k] for k in kinds))
            self._menus[kinds] = menu(
                offers_of([self._known[k] for k in kinds], rules), rules, float(self.planned.max())
            )
        return self._menus[kinds]

    def _lowest(self, kinds: tuple[str, ...]) -> dict[str, tuple[Term, float]]:
        """The commitment of the lowest hourly price for each type, with the on-demand price of an
        instance.
        """
        found: dict[str, tuple[Term, float]] = {}
        for t in self.market.offered:
            for k in kinds:
                if not t.held and k in t.units and np.isfinite(price := self._known[k].on_demand):
                    before = found.get(k)
                    if t.usd_per_h * t.units[k] < min(
                        price, before[0].usd_per_h * before[0].units[k] if before else np.inf
                    ):
                        found[k] = t, price
        return found

    def _saved(self, mixes: Menu, counts: Ints, lowest: dict[str, tuple[Term, float]]) -> float:
        """What commitments for the base save: a unit is signed where its hours of use at
        the price outweigh its fee.

        The n-th unit of an offer runs in the hours in which at least n units run, h_n; committed
        for the horizon H it saves max(0, price · h_n − committed price · H).
        """
        saved, horizon_h = 0.0, float(self.weight_h.sum())
        for j, offer in enumerate(mixes.offers):
            if offer.spot or offer.kind not in lowest:
                continue
            term, price = lowest[offer.kind]
            running = np.bincount(counts[:, j], self.weight_h)
            hours = running[::-1].cumsum()[::-1][1:]  # hours in which the n-th unit runs
            saved += (
                float(np.maximum(0.0, price * hours - term.usd_per_h * term.units[offer.kind] * horizon_h).sum())
                * offer.unit
            )
        return saved


def _repriced(offer: Offer, usage: Mapping[str, float]) -> Offer:
    """An offer whose machines cost ``usage`` [USD/h a unit] beside their disks; spot, and types
    without such a price, as they are.
    """
    price = usage.get(offer.kind, np.inf)
    return offer if offer.spot or not np.isfinite(price) else replace(offer, usd_per_h=price + offer.disk_usd_per_h)
