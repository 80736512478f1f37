"""What an hour of commitment is worth at most: prices of hours under which no contract on sale pays
for more than its fee.

A commitment g covers E_g(t) + N_g units in every hour t in force and costs F_g for each unit and
hour, used or not. Price a covered unit in hour t at λ_g(t) ≥ 0 instead. As long as

    Σ_{t in force} ω_t λ_g(t) ≤ F_g · hours in force         for each contract that may be signed,

no plan costs less than its machines at the lower of their prices on demand and λ, less what held
units save at λ (weak duality; Everett 1963, Geoffrion 1974): signing more can only cost more.
Then every hour stands alone, and whole machines can be counted in it.

Good prices are 0 where a commitment lies idle and the price of what would run instead where it
is exhausted: hours are ranked by load, and λ_g is positive in the busiest share ρ_g of them,

    ρ_g = F_g / cap_g,    cap_g = max over its machines j of min(on demand_j, π·c_j − disk_j) / units_j,

π the lowest price of a request/s on demand (for one type this is the newsvendor's quantile, and
the bound is reached). Where load falls later in the horizon, contracts signed at the start may
not be signed anew, so the ranks of neighbouring stretches are pooled until thresholds do not
fall.

Hours are dealt to bands of like rank; within a band prices are constant and loads are rounded
down. Whatever the ranks, prices are scaled down until every contract keeps its rule, so the
bound holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats, Index
from planner.compiling import compiled
from planner.load import Load
from planner.optimizer.commitments.starts import in_force_windows
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.covering import Shelf

BANDS = 16  # of hours of like rank
VALUES = 4_000  # loads of all bands of a service, rounded down
LEVELS = 2_000  # of load, at which thresholds are sought


@dataclass(frozen=True)
class Bands:
    """Hours of all paths by rank: ``hours`` (bands, stretches) [h]; ``loads`` {service: for each
    band its loads and their hours}; ``of`` (hours of the horizon,) the stretch of each.
    """

    hours: Floats
    loads: dict[str, list[tuple[Floats, Floats]]]
    of: Index
    first: Index  # hour at which each stretch begins

    def share(self, part: Floats) -> Floats:
        """How far the busiest ``part`` (…) of all hours fills each band, shape (…, bands)."""
        each = self.hours.sum(axis=1)
        whole = each.sum()
        before = np.concatenate([[0.0], np.cumsum(each)[:-1]])
        filled = (part[..., None] * whole - before) / np.maximum(each, 1e-12)
        return np.asarray(np.clip(filled, 0.0, 1.0))


@dataclass(frozen=True)
class Pools:
    """Commitments by pool: ``units`` (pools, …) by kind; ``fee`` (pools, windows) lowest on sale
    [USD/h of a unit], inf = none; ``windows`` (windows, stretches) 1 where in force; ``held``
    (pools, stretches) units; ``spends`` (pools,) true for spending plans.
    """

    names: tuple[str, ...]
    units: tuple[Mapping[str, float], ...]
    fee: Floats
    windows: Floats
    held: Floats
    spends: Flags


def stretches_of(market: Market, load: Load, time_zone: str) -> Index:
    """Hours at which some commitment may begin or ends, the first hour among them."""
    first, last = load.ts[0], load.ts[-1]
    stamps = {first}
    for t in market.offered:
        for start, end in in_force_windows(t, load, time_zone):
            stamps |= {x for x in (start, end) if first < x <= last}
    return np.asarray(load.ts.searchsorted(pd.DatetimeIndex(sorted(stamps))), dtype=np.intp)


def pools_of(market: Market, load: Load, time_zone: str, first: Index) -> Pools:
    """Every pool of the commitments on offer and held."""
    names = tuple(dict.fromkeys(t.pool for t in market.offered if t.units)) or ("",)
    at = {name: g for g, name in enumerate(names)}
    edges = load.ts[first]
    units: list[dict[str, float]] = [{} for _ in names]
    windows: dict[tuple[float, ...], int] = {}
    fees: list[tuple[int, int, float]] = []
    held = np.zeros((len(names), len(first)))
    for t in market.offered:
        if not t.units:
            continue
        units[at[t.pool]] |= t.units
        if t.held:
            held[at[t.pool]] += t.held * ((edges >= t.start) & (edges < t.end))
            continue
        for start, end in in_force_windows(t, load, time_zone):
            key = tuple(((edges >= start) & (edges < end)).astype(np.float64).tolist())
            fees.append((at[t.pool], windows.setdefault(key, len(windows)), t.lowest))
    fee = np.full((len(names), max(1, len(windows))), np.inf)
    for g, w, usd in fees:
        fee[g, w] = min(fee[g, w], usd)
    shape = np.array(list(windows) or [(0.0,) * len(first)])
    spends = {t.pool for t in market.offered if t.category == "Spend"}
    return Pools(names, tuple(units), fee, shape, held, np.array([n in spends for n in names], dtype=bool))


def bands_of(followed: Load, price: Mapping[str, float], weight: Floats, first: Index) -> Bands:
    """Hours of all paths ranked by what the load of some services together costs; ``price``
    {service: USD/h of a request/s}.
    """
    stretch = np.zeros(followed.hours, dtype=np.intp)
    stretch[first[1:]] = 1
    stretch = np.cumsum(stretch)
    rates = {s: followed.services[s].arrival_rate_rps.astype(np.float64) for s in price}
    height = np.sum([r * price[s] for s, r in rates.items()], axis=0).ravel()
    hours = (weight[:, None] * followed.weight_h[None, :]).ravel()
    where = np.tile(stretch, followed.paths)
    band = _ranked(height, hours, where, len(first))
    number = int(band.max()) + 1
    shape = (
        np.bincount(band * len(first) + where, hours, minlength=number * len(first))
        .astype(np.float64)
        .reshape(number, -1)
    )
    loads = {}
    for s, rate in rates.items():
        flat = rate.ravel()
        loads[s] = [_rounded(flat[band == m], hours[band == m], VALUES // number) for m in range(number)]
    return Bands(shape, loads, stretch, first)


def _ranked(height: Floats, hours: Floats, stretch: Index, count: int) -> Index:
    """Band of each hour, the busiest first; equal heights never part within a stretch."""
    ordered = np.unique(height)
    level = ordered[np.unique(np.linspace(0, len(ordered) - 1, min(LEVELS, len(ordered))).astype(np.intp))]
    at = np.searchsorted(level, height, side="right") - 1
    table = (
        np.bincount(stretch * len(level) + at, hours, minlength=count * len(level))
        .astype(np.float64)
        .reshape(count, -1)
    )
    band = np.full(len(height), BANDS - 1, dtype=np.intp)
    for m in range(BANDS - 2, -1, -1):
        threshold = _thresholds(table, (m + 1) / BANDS)
        band[at >= threshold[stretch]] = m
    number = np.cumsum(np.bincount(band, minlength=BANDS) > 0) - 1  # without bands of no hour
    return np.asarray(number[band], dtype=np.intp)


def _thresholds(table: Floats, part: float) -> Index:
    """Lowest level of the busiest ``part`` of hours in each stretch, pooled until it never falls."""
    blocks: list[tuple[Floats, int, int]] = []
    for row in table:
        blocks.append((row, 1, _level(row, part)))
        while len(blocks) > 1 and blocks[-2][2] > blocks[-1][2]:
            (late, n, _), (early, m, _) = blocks.pop(), blocks.pop()
            blocks.append((early + late, n + m, _level(early + late, part)))
    return np.repeat([b[2] for b in blocks], [b[1] for b in blocks])


def _level(row: Floats, part: float) -> int:
    busiest = np.cumsum(row[::-1])
    return len(row) - 1 - int(np.searchsorted(busiest, part * busiest[-1] * (1 - 1e-12)))


def _rounded(rate: Floats, hours: Floats, count: int) -> tuple[Floats, Floats]:
    """At most ``count`` loads, rounded down, and the hours of each."""
    order = np.argsort(rate)
    ordered = rate[order]
    fresh = np.flatnonzero(np.concatenate([[True], np.diff(ordered) > 0]))
    cuts = fresh[np.unique(np.linspace(0, len(fresh) - 1, min(count, len(fresh))).astype(np.intp))]
    return ordered[cuts], np.add.reduceat(hours[order], cuts)


class Prices:
    """Prices of hours for sets of machine types of one service."""

    def __init__(self, shelf: Shelf, pools: Pools, bands: Bands, zones: float) -> None:
        """``zones``: capacity over load that a lost zone asks for."""
        self.shelf, self.pools, self.bands, self.zones = shelf, pools, bands, zones
        self.units = units_of(shelf, pools)
        self.fee = pools.fee.min(axis=1)

    def caps(self, sets: Index, over: float, *, spot: bool = False) -> Floats:
        """Most that a unit of each pool may be worth beside each set, shape (sets, pools); ``over``:
        times the price of what would run instead, on demand or also on ``spot``.
        """
        usage, capacity, disk = self.shelf.usage[sets], self.shelf.capacity[sets], self.shelf.disk[sets]
        instead = ((usage + disk) / capacity).min(axis=1, keepdims=True)
        if spot:
            risky = self.shelf.spot_price[sets] / np.maximum(self.shelf.spot_capacity[sets], 1e-12)
            instead = np.minimum(instead, risky.min(axis=1, keepdims=True))
        instead = instead * over
        most = np.minimum(usage, np.maximum(0.0, np.where(np.isfinite(instead), instead, 0.0) * capacity - disk))
        units = self.units[sets]
        return np.asarray((most[:, :, None] / np.where(units > 0, units, np.inf)).max(axis=1))

    def worth(self, caps: Floats, sets: Index, idle: float | None = None) -> Floats:
        """λ of each pool in each band, shape (sets, pools, bands).

        What is held is priced in at most the share ``idle`` of hours, by default those in which the
        set would use all of it.
        """
        part = np.minimum(1.0, self.fee / np.maximum(caps, 1e-12))
        most = self._needed(sets) if idle is None else np.full_like(part, idle)
        part = np.where(self.pools.held.max(axis=1) > 0, np.minimum(part, most), part)
        return self.kept(caps[..., None] * self.bands.share(part))

    def kept(self, worth: Floats) -> Floats:
        """λ scaled down until no contract pays for more than its fee."""
        hours = self.pools.windows @ self.bands.hours.T
        paid = worth @ hours.T
        able = np.isfinite(self.pools.fee) & (hours.sum(axis=1) > 0)
        fee = np.where(able, self.pools.fee, 0.0) * hours.sum(axis=1)
        scale = np.where(able, fee / np.maximum(paid, 1e-12), np.inf)
        return np.asarray(worth * np.minimum(1.0, scale.min(axis=-1))[..., None])

    def usage(self, sets: Index, worth: Floats) -> Floats:
        """Price of a unit's use in each band, shape (sets, size, bands)."""
        price = np.empty((*sets.shape, worth.shape[-1]))
        _usage(sets, self.shelf.usage, self.units, worth, price)
        return price

    def credit(self, worth: Floats, of: Flags) -> Floats:
        """What held units ``of`` some pools save at λ [USD], shape (sets,)."""
        return np.asarray((worth * (self.pools.held @ self.bands.hours.T))[..., of, :].sum(axis=(-1, -2)))

    def _needed(self, sets: Index) -> Floats:
        """Share of hours in which the set would use all held units of each pool."""
        units, held = self.units[sets], self.pools.held.max(axis=1)
        capacity = self.shelf.capacity[sets][..., None]
        bears = np.where(units > 0, held * capacity / np.where(units > 0, units, 1.0), np.inf).min(axis=1) / self.zones
        service = next(iter(self.bands.loads))
        loads = np.concatenate([v for v, _ in self.bands.loads[service]])
        hours = np.concatenate([h for _, h in self.bands.loads[service]])
        order = np.argsort(loads)
        below = np.concatenate([[0.0], np.cumsum(hours[order])])
        return np.asarray(1.0 - below[np.searchsorted(loads[order], bears)] / below[-1])


@compiled
def _usage(sets: Index, alone: Floats, units: Floats, worth: Floats, price: Floats) -> None:
    """Fill ``price`` (sets, size, bands): the lower of a unit ``alone`` (types,) and under each pool;
    ``worth`` is one for each set, or one for all.
    """
    for r in range(sets.shape[0]):
        w = r if worth.shape[0] > 1 else 0
        for i in range(sets.shape[1]):
            for m in range(price.shape[2]):
                price[r, i, m] = alone[sets[r, i]]
            for g in range(units.shape[1]):
                each = units[sets[r, i], g]
                if each > 0:
                    for m in range(price.shape[2]):
                        price[r, i, m] = min(price[r, i, m], each * worth[w, g, m])


def worth_keeping(shelf: Shelf, pools: Pools, *, places: bool) -> Index:
    """Rows of the types without which no plan is cheaper.

    A type goes where another (of its region, with ``places``) serves as much for no more on demand,
    on spot and under each spending plan, and stands in the same reservation for no more units; all
    types of a reservation go where those of another do so, and are reserved for no more.
    """
    units = units_of(shelf, pools)
    asks = np.where(units > 0, units, np.inf)
    better = shelf.as_good(places=places)
    for g in np.flatnonzero(pools.spends):
        better &= (units[:, g] == 0)[:, None] | (asks[None, :, g] <= asks[:, None, g] * (1 + 1e-12))
    own = np.where((units[:, ~pools.spends] > 0).any(axis=1), np.argmax((units > 0) & ~pools.spends, axis=1), -1)
    ask = np.where(own >= 0, units[np.arange(len(shelf)), own], 0.0)
    alike = (own[None, :] == own[:, None]) & (ask[None, :] <= ask[:, None] * (1 + 1e-12))
    inside = better & ((own < 0)[:, None] | alike)
    inside &= ~inside.T | (np.arange(len(shelf))[None, :] < np.arange(len(shelf))[:, None])
    np.fill_diagonal(inside, False)
    gone = inside.any(axis=1)
    fee = np.where(own[:, None] >= 0, pools.fee[own], np.inf) * np.where(ask > 0, ask, 1.0)[:, None]
    for g in sorted(set(own[own >= 0].tolist()), key=lambda g: -float(pools.fee[g].min())):
        mine = np.flatnonzero((own == g) & ~gone)
        found = better[mine] & ((own >= 0) & (own != g) & ~gone)[None, :]
        found &= (fee[None, :] <= fee[mine][:, None] * (1 + 1e-12)).all(axis=2)
        rivals = set(own[found.any(axis=0)].tolist())
        if not pools.held[g].any() and any(found[:, own == h].any(axis=1).all() for h in rivals):
            gone[mine] = True
    return np.flatnonzero(~gone)


def units_of(shelf: Shelf, pools: Pools) -> Floats:
    """Units of each pool that a unit of each type uses, shape (types, pools); 0 = not covered."""
    found = np.stack([shelf.takes(u, 0.0) for u in pools.units], axis=1)
    return np.asarray(found * shelf.unit[:, None])


def shared(market: Market, shelves: Mapping[str, Shelf]) -> bool:
    """Whether two services could draw on one commitment."""
    return any(sum(any(k in t.units for k in shelf.kind) for shelf in shelves.values()) > 1 for t in market.offered)
