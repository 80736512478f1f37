"""Whole instances for a given set of commitments: what to run at each load, as a step function
built once and looked up.

A *mix* is a whole number of each offer. Its *reach* is the largest load it serves under every rule;
more machines never reach less, so the cheapest mix for a load is a step function of the load, and a
year of hours on all sample paths costs one table look-up each. Reach of a mix with s left in the
worst case when ``zones_lost`` of the ``zones`` over which its machines are dealt evenly are lost,
and capacities c_i in the zones that stay on average (a type's capacity is that of one pool of its
machines, on demand and spot apart; requests are split over pools by their capacity):

    min( s,  s of what is not spot / (1 − spot_share),  max{L: Σ_types min(c_i, type_share·L) ≥ L} )

Where all mixes can be listed (few offers, or few machines) the steps are exact; ``menu`` states
what is listed else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from planner.arrays import Flags, Floats, Index, Ints
from planner.compiling import compiled
from planner.optimizer.market.settle import Turns, less_covered
from planner.shares import largest_load

WIDEST = 20_000  # mixes up to which all are listed
LEVELS = 600  # numbers of the main offer in the mixes of large fleets
FEW = 8  # offers up to which each pair stands beside spot of any type, not of its own alone
MOST_KINDS = 12  # types of which all pairs are listed whole
MOST_TYPES = 6  # types among which a share is dealt out


@dataclass(frozen=True)
class Offer:
    """One way to run a service: ``unit`` instances of ``kind`` carry ``replicas`` replicas and
    serve ``capacity`` (a unit alone).

    ``usd_per_h``: price of a unit (all its instances, disks included); ``disk_usd_per_h`` the part
    no commitment covers. ``gains`` (replicas, gain) from which size of the pool on each replica
    bears how much more than alone, both rising.
    """

    kind: str
    deployment: str
    spot: bool
    unit: int
    replicas: int
    capacity: float
    usd_per_h: float
    disk_usd_per_h: float = 0.0
    gains: tuple[tuple[int, float], ...] = ((1, 1.0),)

    def each(self, units: Ints) -> Floats:
        """What a unit serves among ``units`` of this offer, which share one balancer; other offers
        are pools of their own.
        """
        if len(self.gains) == 1:
            return np.full(np.shape(units), self.capacity * self.gains[0][1])
        sizes, gain = (np.array(x) for x in zip(*self.gains, strict=True))
        found: Floats = (
            self.capacity * gain[np.clip(np.searchsorted(sizes, units * self.replicas, side="right") - 1, 0, None)]
        )
        return found

    def bears(self, units: Ints) -> Floats:
        """What ``units`` of this offer serve together."""
        return units * self.each(units)

    @property
    def largest(self) -> float:
        """The most a unit serves in a pool of any size."""
        return self.capacity * self.gains[-1][1]


@dataclass(frozen=True)
class Rules:
    """What a mix must satisfy."""

    spot_share: float = 0.0
    type_share: float | None = None
    zones: int = 1
    zones_lost: int = 0
    min_replicas: int = 0
    max_replicas: int | None = None
    # name, kinds counted together, instances
    quota: tuple[tuple[str, tuple[str, ...], int], ...] = ()


@dataclass(frozen=True)
class Cover:
    """Commitment units free to this service: ``units`` {type: units an instance-hour uses},
    ``amount`` in force.
    """

    name: str
    units: tuple[tuple[str, float], ...]
    amount: float


@dataclass(frozen=True)
class Menu:
    """Mixes of one service: ``counts`` (mixes, offers) units, ``reach``
    (mixes,) load each serves.
    """

    offers: tuple[Offer, ...]
    counts: Ints
    reach: Floats

    def draws(self, covers: Sequence[Cover]) -> "Draws":
        """How the mixes draw on ``covers``, one after the other: within a cover the machines that
        save most [USD] for each unit it holds draw first.
        """
        units, order = np.zeros((len(covers), len(self.offers))), np.full((len(covers), len(self.offers)), -1)
        for c, cover in enumerate(covers):
            takes = dict(cover.units)
            able = [j for j, o in enumerate(self.offers) if not o.spot and o.kind in takes]
            units[c, able] = [takes[self.offers[j].kind] for j in able]
            for_a_dollar = (units[c] * self._unit / np.maximum(1e-12, self._saved)).tolist()
            order[c, : len(able)] = sorted(able, key=for_a_dollar.__getitem__)
        return Draws(Turns(units, order), np.array([c.amount for c in covers], dtype=np.float64))

    def price(self, draws: "Draws | None" = None) -> Floats:
        """Cost of each mix [USD/h] when its on-demand machines draw on some covers, by default none.

        A covered machine costs its disks alone; what a mix leaves of a cover is lost to it. The fee
        of the covers is not in the cost.
        """
        cost = self.on_demand.copy()
        if draws is not None and len(draws.amount):
            less_covered(cost, self.instances.copy(), draws.amount, *draws.turns, self._saved, self._unit)
        return cost

    def steps(self, draws: "Draws | None" = None) -> "Steps":
        """The cheapest mix by load.

        Mixes are taken from the farthest reach down, and one is kept where it is cheaper than
        all that reach at least as far: cost rises with reach among those kept. Of mixes of
        equal reach a dearer one may stay behind the cheapest, where no load meets it.
        """
        cost = self.price(draws)
        rows = _ever_cheaper(cost, self._falling)
        return Steps(self.reach[rows], cost[rows], rows)

    def repriced(self, offers: Sequence[Offer]) -> "Menu":
        """The same mixes at other prices of their offers."""
        other = replace(self, offers=tuple(offers))
        vars(other).update(_falling=self._falling, instances=self.instances)  # these know no price
        return other

    @cached_property
    def _saved(self) -> Floats:
        """What a covered unit of each offer saves [USD/h]."""
        return np.array([o.usd_per_h - o.disk_usd_per_h for o in self.offers], dtype=np.float64)

    @cached_property
    def _unit(self) -> Floats:
        return np.array([o.unit for o in self.offers], dtype=np.float64)

    @cached_property
    def on_demand(self) -> Floats:
        """Cost of each mix [USD/h] without commitments."""
        found: Floats = self.counts @ np.array([o.usd_per_h for o in self.offers])
        return found

    @cached_property
    def instances(self) -> Floats:
        """Instances of each offer in each mix, shape (offers, mixes)."""
        return np.ascontiguousarray((self.counts * np.array([o.unit for o in self.offers])).T, dtype=np.float64)

    @cached_property
    def _falling(self) -> Index:
        """Rows from the farthest reach down."""
        return np.argsort(-self.reach, kind="stable")


class Draws(NamedTuple):
    """``turns`` of the offers of a menu in some covers, and the ``amount`` (covers,) in force."""

    turns: Turns
    amount: Floats


@compiled
def _ever_cheaper(cost: Floats, falling: Index) -> Index:
    """Rows that cost less than all before them, the last first."""
    rows, count, best = np.empty(falling.size, dtype=np.intp), 0, np.inf
    for row in falling:
        if count == 0 or cost[row] < best - 1e-12:
            rows[count] = row
            count += 1
        best = min(best, cost[row])
    return rows[:count][::-1].copy()


@dataclass(frozen=True)
class Steps:
    """Cheapest mixes in order of ``reach``; ``cost`` [USD/h] rises with it; ``mix`` is the row of
    the menu.
    """

    reach: Floats
    cost: Floats
    mix: Index

    def at(self, load: Floats) -> Index:
        """Step for each load: the first that reaches it; the last where none does (see
        :meth:`short`).
        """
        tolerant = load * (1 - 1e-12)
        return np.minimum(np.searchsorted(self.reach, tolerant), len(self.reach) - 1)

    def short(self, load: Floats) -> Flags:
        """True where no mix reaches the load."""
        found: Flags = load * (1 - 1e-12) > self.reach[-1]
        return found


def reach(offers: Sequence[Offer], counts: Ints, rules: Rules) -> Floats:
    """Largest load each mix serves under the rules; −1 where a mix breaks
    a rule whatever the load.

    ``counts`` (mixes, offers) units. The least of: the capacity left after the worst loss of
    zones; that of machines that cannot be taken back over 1 − ``spot_share``; and what a largest
    share of one type allows. Broken are a least or a largest number of replicas (the least
    without spot) and a quota of instances.
    """
    spot = np.array([o.spot for o in offers])
    steady, every = _after_loss(offers, counts, rules)
    found = every
    if spot.any() and rules.spot_share < 1:
        found = np.minimum(found, steady / (1.0 - rules.spot_share))
    if rules.type_share is not None:
        kept = (rules.zones - rules.zones_lost) / rules.zones
        each = np.stack([counts[:, j] * o.each(_staying(counts[:, j], rules)) for j, o in enumerate(offers)], axis=1)
        found = np.minimum(found, largest_load(_by_kind(offers, each * kept), rules.type_share))
    replicas = counts * np.array([o.replicas for o in offers])
    broken = replicas[:, ~spot].sum(axis=1) < rules.min_replicas
    if rules.max_replicas is not None:
        broken |= replicas.sum(axis=1) > rules.max_replicas
    for _, kinds, maximum in rules.quota:
        of_kind = np.array([o.unit if o.kind in kinds else 0 for o in offers])
        broken |= counts @ of_kind > maximum
    return np.where(broken, -1.0, found)


def _after_loss(offers: Sequence[Offer], counts: Ints, rules: Rules) -> tuple[Floats, Floats]:
    """Non-spot and whole capacity left in the worst case when zones are lost.

    Machines are dealt to the zones in turn, each type going on where the last one stopped, spot
    last.  The balancer spans the zones: what is left of an offer is one smaller pool.
    """
    if not rules.zones_lost:
        borne = np.stack([o.bears(counts[:, j]) for j, o in enumerate(offers)], axis=1)
        return borne[:, [not o.spot for o in offers]].sum(axis=1), borne.sum(axis=1)
    zones, turn = np.arange(rules.zones), np.zeros(len(counts), dtype=np.int64)
    stays = [list(kept) for kept in combinations(range(rules.zones), rules.zones - rules.zones_lost)]
    left = np.zeros((2, len(stays), len(counts)))
    for j in sorted(range(len(offers)), key=lambda j: offers[j].spot):
        more = (zones[None, :] - turn[:, None]) % rules.zones < (counts[:, j] % rules.zones)[:, None]
        dealt = (counts[:, j] // rules.zones)[:, None] + more
        for k, kept in enumerate(stays):
            more_rps = offers[j].bears(dealt[:, kept].sum(axis=1))
            left[0, k] += 0.0 if offers[j].spot else more_rps
            left[1, k] += more_rps
        turn = (turn + counts[:, j]) % rules.zones
    worst: Floats = left.min(axis=1)
    return worst[0], worst[1]


def _staying(units: Ints, rules: Rules) -> Ints:
    """Units left where the zones lost held as many as any could."""
    return units - -(-units * rules.zones_lost // rules.zones)


def _by_kind(offers: Sequence[Offer], each: Floats) -> Floats:
    """What offers bear (mixes, offers), summed by type, (mixes, types)."""
    kinds = sorted({o.kind for o in offers})
    return np.stack([each[:, [o.kind == k for o in offers]].sum(axis=1) for k in kinds], axis=1)


def menu(offers: Sequence[Offer], rules: Rules, top: float, *, widest: int = WIDEST) -> Menu:
    """Mixes up to load ``top``, without those that lose nothing with a machine fewer.

    Every mix of whole machines where these are at most ``widest``; else every number of each offer
    alone, each pair (thinned when wide), each pair beside spot, and the mixes that share the load
    among as many types as ``type_share`` asks for.
    """
    need = top * rules.zones / (rules.zones - rules.zones_lost)
    most = [_most(o, need, rules) for o in offers]
    counts = _lattice(offers, rules, need, most, 2 * widest)
    if counts is None:
        counts = _distinct(np.concatenate(_blocks(offers, rules, need, most, widest)))
    reached = reach(offers, counts, rules)
    kept = (reached >= 0) & (counts.sum(axis=1) > 0 if rules.min_replicas else True)
    counts, reached = counts[kept], reached[kept]
    kept = ~_spare(counts, reached)
    return Menu(tuple(offers), counts[kept], reached[kept])


def _lattice(offers: Sequence[Offer], rules: Rules, need: float, most: Sequence[int], widest: int) -> Ints | None:
    """Every mix that passes ``need`` by at most a machine in each zone (of its largest offer; with
    a type share, of each offer).

    ``None`` above ``widest`` mixes.
    """
    counts = np.zeros((1, len(offers)), dtype=np.int64)
    used, over, spot, replicas = np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1)
    for j in sorted(range(len(offers)), key=lambda j: -offers[j].capacity):
        each = offers[j].largest
        holds = _holds(offers[j], most[j], rules)
        beyond = over + each if rules.type_share is not None else np.maximum(over, each)
        room = need + rules.zones * beyond - used
        if offers[j].spot:  # beyond its largest share it replaces nothing
            room = np.minimum(room, rules.spot_share * need + rules.zones * beyond - spot)
        fewest = 0 if offers[j].spot else np.ceil((rules.min_replicas - replicas) / offers[j].replicas)
        choices = (
            np.clip(
                np.maximum(np.searchsorted(holds, room * (1 + 1e-12), side="right") - 1, fewest),
                0,
                most[j],
            ).astype(np.int64)
            + 1
        )
        if choices.sum() > widest:
            return None
        row = np.repeat(np.arange(len(counts)), choices)
        number = np.arange(len(row)) - np.repeat(np.cumsum(choices) - choices, choices)
        counts, more = counts[row], holds[number]
        counts[:, j] = number
        used, over = used[row] + more, np.where(number > 0, beyond[row], over[row])
        spot = spot[row] + (more if offers[j].spot else 0.0)
        replicas = replicas[row] + (0 if offers[j].spot else number * offers[j].replicas)
    return counts


def _holds(offer: Offer, most: int, rules: Rules) -> Floats:
    """What 0 … ``most`` units serve at the gain of those that stay when zones are lost."""
    units = np.arange(most + 1)
    found: Floats = units * offer.each(_staying(units, rules))
    return found


def _spare(counts: Ints, reached: Floats) -> Flags:
    """True for a mix that reaches no further than the same with one machine fewer."""
    stride = _stride(counts)
    if stride is None:
        return np.zeros(len(counts), dtype=bool)
    key = counts @ stride
    order = np.arange(len(key)) if (key[1:] > key[:-1]).all() else np.argsort(key)
    ordered, spare = key[order], np.zeros(len(counts), dtype=bool)
    for j in range(counts.shape[1]):
        has = np.flatnonzero(counts[:, j] > 0)
        fewer = key[has] - stride[j]
        at = np.minimum(np.searchsorted(ordered, fewer), len(ordered) - 1)
        spare[has] |= (ordered[at] == fewer) & (reached[order[at]] >= reached[has])
    return spare


def _stride(counts: Ints) -> Ints | None:
    """Factors that make one number of each mix; ``None`` where it would not fit.

    Numbers to a mixed base: count j runs from 0 to its largest value, so different mixes get
    different numbers as long as they stay below 2⁶².

    >>> _stride(np.array([[1, 2], [3, 0]])).tolist()
    [1, 4]
    """
    size = counts.max(axis=0, initial=0) + 1
    if float(np.prod(size.astype(np.float64))) >= 2**62:
        return None
    return np.concatenate([[1], np.cumprod(size[:-1])]).astype(np.int64)


def _distinct(counts: Ints) -> Ints:
    stride = _stride(counts)
    if stride is None:
        return np.unique(counts, axis=0)
    number = np.unique(counts @ stride)  # each mix has one of its own
    found: Ints = number[:, None] // stride % (counts.max(axis=0, initial=0) + 1)
    return found


def _blocks(offers: Sequence[Offer], rules: Rules, need: float, most: list[int], widest: int) -> list[Ints]:
    """Mixes of large fleets: each offer, each pair, all of two types, each pair of steady offers
    beside spot, shares of several types.
    """
    blocks = [_block(len(offers), {j: _levels(most[j])}) for j in range(len(offers))]
    for i in range(len(offers)):
        for j in range(len(offers)):
            if i < j and (most[i] + 1) * (most[j] + 1) <= widest:
                blocks.append(_grid(offers, (i, j), (np.arange(most[i] + 1), np.arange(most[j] + 1)), need))
            elif i != j and (most[i] + 1) * (most[j] + 1) > widest:
                blocks.append(_thin(offers, i, j, most, rules, need))
    steady, spot = ([j for j, o in enumerate(offers) if o.spot is kind] for kind in (False, True))
    triples = [(i, j, q) for i in steady for j in steady for q in spot if i != j]
    near = [t for t in triples if len(offers) <= FEW or offers[t[2]].kind in (offers[t[0]].kind, offers[t[1]].kind)]
    blocks += [_beside(offers, (i, j), q, most, rules) for i, j, q in near]
    kinds = list(dict.fromkeys(o.kind for o in offers))
    if 2 < len(kinds) <= MOST_KINDS:
        blocks += [_of_two(offers, pair, rules, need, most, 2 * widest) for pair in combinations(kinds, 2)]
    if rules.quota:
        blocks.append(_by_quota(offers, most, rules))
    if rules.type_share is not None:
        blocks += _by_share(offers, rules, need, most)
    return blocks


def _most(offer: Offer, need: float, rules: Rules) -> int:
    """Units of an offer beyond which no mix needs more: enough for ``need`` alone and one in
    each zone more, within quota and largest number of replicas.
    """
    quota = min((count for _, kinds, count in rules.quota if offer.kind in kinds), default=None)
    by_load = int(np.ceil(need / offer.capacity)) + rules.zones
    if len(offer.gains) > 1:
        by_load = int(np.searchsorted(_holds(offer, by_load, rules), need)) + rules.zones
    most = max(by_load, -(-rules.min_replicas // offer.replicas))
    if rules.max_replicas is not None:
        most = min(most, rules.max_replicas // offer.replicas)
    return most if quota is None else min(most, quota // offer.unit)


def _levels(most: int) -> Ints:
    """Counts 0 … most; in large fleets, where one machine is below 0.03 %, only about 3,000 of
    them.
    """
    found: Ints = np.unique(np.round(np.linspace(0, most, min(most, 3_000) + 1)).astype(np.int64))
    return found


def _block(width: int, columns: dict[int, Ints]) -> Ints:
    """Mixes of ``width`` offers with the counts of some ``columns``, none of the others."""
    counts = np.zeros((len(next(iter(columns.values()))), width), dtype=np.int64)
    for j, values in columns.items():
        counts[:, j] = values
    return counts


def _grid(offers: Sequence[Offer], pair: tuple[int, int], ranges: tuple[Ints, Ints], need: float) -> Ints:
    """All mixes of two offers over two ranges of counts, without those far beyond ``need``."""
    first, second = (a.ravel() for a in np.meshgrid(*ranges, indexing="ij"))
    spare = max(offers[pair[0]].largest, offers[pair[1]].largest)
    fits = offers[pair[0]].bears(first) + offers[pair[1]].bears(second) <= need * 1.2 + 3 * spare
    return _block(len(offers), {pair[0]: first[fits], pair[1]: second[fits]})


def _thin(offers: Sequence[Offer], i: int, j: int, most: list[int], rules: Rules, need: float) -> Ints:
    """Any number of offer i beside few of offer j, or beside spot near its largest share."""
    if not offers[j].spot or offers[i].spot:
        return _grid(offers, (i, j), (_levels(most[i]), np.arange(min(most[j], 24) + 1)), need)
    first = _levels(most[i])
    full = np.floor(
        rules.spot_share / max(1e-9, 1 - rules.spot_share) * offers[i].bears(first) / offers[j].largest
    ).astype(np.int64)
    near = [np.clip(full + d, 0, most[j]) for d in range(-12, 4)]
    return _block(len(offers), {i: np.tile(first, len(near)), j: np.concatenate(near)})


def _beside(offers: Sequence[Offer], pair: tuple[int, int], q: int, most: list[int], rules: Rules) -> Ints:
    """Any number of one offer, few of a second, and spot near its largest share of both."""
    first, few, near = _levels(min(most[pair[0]], LEVELS)), np.arange(min(most[pair[1]], 3) + 1), np.arange(-3, 2)
    if most[pair[0]] > LEVELS:
        first = np.unique(np.round(np.linspace(0, most[pair[0]], LEVELS + 1)).astype(np.int64))
    a, b, d = (x.ravel() for x in np.meshgrid(first, few, near, indexing="ij"))
    steady = offers[pair[0]].bears(a) + offers[pair[1]].bears(b)
    full = np.floor(rules.spot_share / max(1e-9, 1 - rules.spot_share) * steady / offers[q].largest).astype(np.int64)
    return _block(len(offers), {pair[0]: a, pair[1]: b, q: np.clip(full + d, 0, most[q])})


def _of_two(
    offers: Sequence[Offer], pair: tuple[str, str], rules: Rules, need: float, most: list[int], widest: int
) -> Ints:
    """All mixes of two types that are cheapest for some load when none, some or all of the steady
    ones are paid for already.
    """
    at = [j for j, o in enumerate(offers) if o.kind in pair]
    few = [offers[j] for j in at]
    found = _lattice(few, rules, need, [most[j] for j in at], widest)
    if found is None:
        return np.zeros((0, len(offers)), dtype=np.int64)
    reached, spot = reach(few, found, rules), np.array([o.spot for o in few])
    order, kept = np.argsort(-reached, kind="stable"), np.zeros(len(found), dtype=bool)
    for part in (1.0, 0.6, 0.3, 0.0):
        cost = (found @ (np.array([o.usd_per_h for o in few]) * np.where(spot, 1.0, part)))[order]
        below = np.minimum.accumulate(cost)
        kept[order] |= np.concatenate([[True], cost[1:] < below[:-1]])
    return _block(len(offers), {j: found[kept & (reached >= 0), k] for k, j in enumerate(at)})


def _by_quota(offers: Sequence[Offer], most: list[int], rules: Rules) -> Ints:
    """All there is of the cheapest offers with a quota, then any number of the next offer."""
    limited = {kind for _, kinds, _ in rules.quota for kind in kinds}
    order = sorted(
        (j for j, o in enumerate(offers) if o.kind in limited),
        key=lambda j: offers[j].usd_per_h / offers[j].capacity,
    )
    full, blocks = np.zeros(len(offers), dtype=np.int64), []
    for j in order:
        for k in {j} | {k for k, o in enumerate(offers) if o.kind not in limited}:
            block = np.tile(full, (len(_levels(most[k])), 1))
            block[:, k] = _levels(most[k])
            blocks.append(block)
        full[j] = most[j]
    return np.concatenate(blocks)


def _by_share(offers: Sequence[Offer], rules: Rules, need: float, most: list[int]) -> list[Ints]:
    """Mixes in which all types but one serve the largest share a type may, at many loads; with
    and without spot of the same types.

    For the cheapest ``MOST_TYPES`` types by price for capacity, in sets of ⌈1 / share⌉; the last
    type bears the rest. Beside each mix stand its neighbours by one machine, since rounding up
    every type is seldom the cheapest.
    """
    share = rules.type_share or 1.0
    wanted = int(np.ceil(1.0 / share - 1e-9))
    at = {o.kind: j for j, o in enumerate(offers) if not o.spot}
    with_spot = {o.kind: j for j, o in enumerate(offers) if o.spot}
    cheap = sorted(at, key=lambda k: offers[at[k]].usd_per_h / offers[at[k]].largest)[:MOST_TYPES]
    load, blocks = np.linspace(0, need, LEVELS // 3 + 1), list[Ints]()
    for kinds in combinations(cheap, min(wanted, len(cheap))):
        for last in kinds:
            part = {k: 1.0 - share * (len(kinds) - 1) if k == last else share for k in kinds}
            for spot_share in {0.0, rules.spot_share}:
                columns = {}
                for k in kinds:
                    columns[at[k]] = _enough(load * part[k] * (1.0 - spot_share), offers[at[k]], most[at[k]])
                    if spot_share and k in with_spot:
                        columns[with_spot[k]] = _enough(
                            load * part[k] * spot_share, offers[with_spot[k]], most[with_spot[k]]
                        )
                blocks.append(_distinct(_block(len(offers), columns)))
                blocks += [_moved(blocks[-1], change, most) for change in _moves(len(offers), list(columns))]
    return blocks


def _moves(width: int, at: list[int]) -> list[Ints]:
    """One machine fewer of one offer, alone or for one more of another."""
    less = [-np.eye(width, dtype=np.int64)[j] for j in at]
    return less + [move + np.eye(width, dtype=np.int64)[j] for move in less for j in at if move[j] == 0]


def _moved(counts: Ints, change: Ints, most: list[int]) -> Ints:
    found = counts + change
    kept: Ints = found[((found >= 0) & (found <= np.array(most))).all(axis=1)]
    return kept


def _enough(load: Floats, offer: Offer, most: int) -> Ints:
    """Fewest units of an offer that bear a load, at most ``most``; where its replicas gain from
    a larger pool by look-up.
    """
    if len(offer.gains) == 1:
        found: Ints = np.minimum(np.ceil(load / offer.capacity - 1e-9), most).astype(np.int64)
        return found
    return np.minimum(np.searchsorted(offer.bears(np.arange(most + 1)), load * (1 - 1e-9)), most)
