"""The optimizer's own problem: what must be served, what can be bought, what is forbidden.

A *state* is one hour of one load scenario. States share nothing but the commitments (bought once,
before the scenario is known) and the two budgets, so they are the unit of reduction: equal states
are merged, and their weights [h] add up.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from planner.arrays import Floats, Index
from planner.errors import PlannerError

OPTIONS = ("on_demand", "committed", "spot")


@dataclass(frozen=True)
class Workload:
    """Load to serve and what one instance of each type serves of it within the latency target.

    ``load`` [requests/s or any unit], shape (scenarios, hours). ``capacity`` {type: load an
    instance serves}; ``spot_capacity`` the same for a spot instance (its yield applied), default
    equal. The effective load is (1 + ``headroom_share``) · max(load[t − ``keep_h`` … t +
    ``lead_h``]). ``spot_share``, ``type_share``: largest share of the effective load served by
    spot, by any one type. ``zones`` {zone: types offered there}; any one zone lost, the others
    serve ``zone_loss_share`` of the load. ``replicas`` {type: replicas an instance carries},
    default 1, counted by ``min_replicas``, ``max_replicas`` and ``min_per_zone``. ``serve_cost``
    {type: USD for each unit of load and hour}; ``shortage_usd`` the same for load left unserved
    (``None``: all must be served). ``instance_usd_per_h`` {type: USD/h} for disk or licence of each
    instance. ``others_share``: without any one type, the others serve at least this share of the
    effective load (unlike ``type_share``, it lets more run of a type than its share, as a minimum
    of instances may force).
    """

    name: str
    load: Floats
    capacity: Mapping[str, float]
    spot_capacity: Mapping[str, float] = field(default_factory=dict)
    headroom_share: float = 0.0
    keep_h: int = 0
    lead_h: int = 0
    spot_share: float | None = None
    type_share: float | None = None
    shortage_usd: float | None = None
    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    zone_loss_share: float = 0.0
    min_replicas: float = 0.0
    max_replicas: float | None = None
    min_per_zone: float = 0.0
    replicas: Mapping[str, float] = field(default_factory=dict)
    serve_cost: Mapping[str, float] = field(default_factory=dict)
    instance_usd_per_h: Mapping[str, float] = field(default_factory=dict)
    others_share: float | None = None

    @cached_property
    def effective_load(self) -> Floats:
        """Load after headroom, scale-in delay and start-up lead, shape (scenarios, hours).

        (1 + ``headroom_share``) · max(load[t − ``keep_h`` … t + ``lead_h``]): machines started
        ``lead_h`` before they are needed and kept ``keep_h`` after. The window is cut off at
        both ends of the horizon, so the load before the first hour is not seen.
        """
        found, hours = self.load.copy(), self.load.shape[1]
        for shift in range(1, min(self.keep_h, hours - 1) + 1):
            np.maximum(found[:, shift:], self.load[:, :-shift], out=found[:, shift:])
        for shift in range(1, min(self.lead_h, hours - 1) + 1):
            np.maximum(found[:, :-shift], self.load[:, shift:], out=found[:, :-shift])
        return found * (1.0 + self.headroom_share)

    def spot_capacity_of(self, kind: str) -> float:
        """Load one spot instance of a type serves."""
        return self.spot_capacity.get(kind, self.capacity.get(kind, 0.0))


@dataclass(frozen=True)
class Type:
    """A machine on offer. Prices [USD/h]: a number, an array by hour, or ``None`` where it is not
    sold that way.
    """

    name: str
    on_demand_usd_per_h: float | Floats | None
    spot_usd_per_h: float | Floats | None = None
    spot_max: float | None = None
    instance_usd_per_h: float = 0.0
    vcpus: float = 1.0


@dataclass(frozen=True)
class Pool:
    """Commitment units that running instances draw on: ``units`` {type: units an instance-hour
    uses}.

    Without ``credit_usd`` a covered instance-hour costs nothing else; with it (resource
    commitments) each used unit takes ``credit_usd`` off the bill of running non-spot instances.
    ``existing`` units are already paid.
    """

    name: str
    units: Mapping[str, float]
    existing: float = 0.0
    credit_usd: float | None = None


@dataclass(frozen=True)
class Product:
    """A commitment on sale: one unit costs ``upfront_usd`` · horizon/term + ``hourly_usd`` ·
    horizon.
    """

    name: str
    pool: str
    upfront_usd: float = 0.0
    hourly_usd: float = 0.0
    term_h: float | None = None
    minimum: float = 0.0
    maximum: float | None = None
    step: float = 1.0


@dataclass(frozen=True)
class Limit:
    """At most ``maximum`` instances (or their vCPUs) of some types and options in any hour;
    ``None`` means all.
    """

    name: str
    maximum: float
    types: tuple[str, ...] | None = None
    options: tuple[str, ...] = OPTIONS
    workloads: tuple[str, ...] | None = None
    zone: str | None = None
    vcpus: bool = False


@dataclass(frozen=True)
class States:
    """Distinct hours: ``weight_h`` (k,) probability-weighted hours; effective and raw loads (k,
    workloads).

    ``price`` (k,) is the row of the price tables ``on_demand`` and ``spot`` (rows, types) [USD/h],
    NaN = not sold. ``member`` (scenarios, hours) is the state of each original hour.
    """

    weight_h: Floats
    load: Floats
    raw: Floats
    price: Index
    on_demand: Floats
    spot: Floats
    member: Index

    def __len__(self) -> int:
        return len(self.weight_h)


@dataclass(frozen=True)
class Problem:
    """Everything the optimizer needs, in natural units; the formulation stands in
    :mod:`planner.optimizer.program.model`.
    """

    workloads: tuple[Workload, ...]
    types: tuple[Type, ...]
    weight_h: Floats
    pools: tuple[Pool, ...] = ()
    products: tuple[Product, ...] = ()
    limits: tuple[Limit, ...] = ()
    probability: Floats = field(default_factory=lambda: np.ones(1))
    upfront_budget_usd: float | None = None
    total_budget_usd: float | None = None
    whole_instances: bool = False
    whole_commitments: bool = False

    def __post_init__(self) -> None:
        """Refuse loads of the wrong shape and names that do not exist.
        Raises :class:`PlannerError`.
        """
        shape = (len(self.probability), len(self.weight_h))
        for w in self.workloads:
            if w.load.shape != shape:
                raise PlannerError(f"the load needs shape (scenarios, hours) = {shape}", where=w.name, got=w.load.shape)
        types, pools = {t.name for t in self.types}, {p.name for p in self.pools}
        unknown = [n for w in self.workloads for n in w.capacity if n not in types]
        unknown += [n for p in self.pools for n in p.units if n not in types] + [
            b.pool for b in self.products if b.pool not in pools
        ]
        unknown += [n for limit in self.limits for n in limit.types or () if n not in types]
        if unknown:
            raise PlannerError("these types or pools are named but not offered", got=sorted(set(unknown)))

    @property
    def horizon_h(self) -> float:
        """Hours of the horizon (sum of the weights)."""
        return float(self.weight_h.sum())

    def fee_usd(self, product: Product) -> float:
        """What one unit of a commitment costs over the horizon [USD].

        upfront · horizon / term + hourly · horizon: a horizon shorter than the term bears
        its part of the upfront payment, and a longer one renews. Without a term the
        upfront payment counts once.
        """
        term = self.horizon_h if product.term_h is None else product.term_h
        return product.upfront_usd * self.horizon_h / term + product.hourly_usd * self.horizon_h

    def restricted(self, pairs: Mapping[str, Collection[str]]) -> "Problem":
        """The same problem with only the named types for each workload, and the pools and products
        those can use or must buy.

        The list of types stays whole, so the states (whose prices are columns by type) serve both
        problems.
        """
        workloads = tuple(
            replace(
                w,
                capacity={i: c for i, c in w.capacity.items() if i in pairs[w.name]},
                zones={z: tuple(i for i in kinds if i in pairs[w.name]) for z, kinds in w.zones.items()},
            )
            for w in self.workloads
        )
        kinds = {i for found in pairs.values() for i in found}
        pools = tuple(replace(g, units={i: a for i, a in g.units.items() if i in kinds}) for g in self.pools)
        must = {b.pool for b in self.products if b.minimum > 0}
        pools = tuple(g for g in pools if g.units or g.name in must)
        names = {g.name for g in pools}
        limits = tuple(
            replace(m, types=None if m.types is None else tuple(i for i in m.types if i in kinds)) for m in self.limits
        )
        return replace(
            self,
            workloads=workloads,
            pools=pools,
            products=tuple(b for b in self.products if b.pool in names),
            limits=limits,
        )

    def linear(self) -> "Problem":
        """The same problem with parts of instances and commitments allowed: a lower bound."""
        return replace(self, whole_instances=False, whole_commitments=False)

    @cached_property
    def states(self) -> States:
        """All hours of all scenarios, equal ones merged exactly."""
        return self._states(merge=True)

    @cached_property
    def hours(self) -> States:
        """All hours of all scenarios, unmerged (the oracle of tests)."""
        return self._states(merge=False)

    def _states(self, merge: bool) -> States:
        """Hours of all scenarios as states; equal ones (same loads and same price
        row) merged if ``merge``.

        Merging is exact: equal states have the same optimal decisions, so only their weights [h]
        add up. Hours with the same prices of all types share one row of the price tables; NaN
        stands for "not sold" and is compared as −1.
        """
        scenarios, hours = len(self.probability), len(self.weight_h)
        count = scenarios * hours
        load = np.stack([w.effective_load.reshape(count) for w in self.workloads], axis=1)
        priced = any(w.serve_cost for w in self.workloads)
        raw = np.stack([w.load.reshape(count) for w in self.workloads], axis=1) if priced else load
        prices = [[t.on_demand_usd_per_h for t in self.types], [t.spot_usd_per_h for t in self.types]]
        moving = [p for column in prices for p in column if isinstance(p, np.ndarray)]
        by_hour = np.nan_to_num(np.stack(moving, axis=1), nan=-1.0) if moving else np.zeros((hours, 1))
        _, first, row = np.unique(by_hour, axis=0, return_index=True, return_inverse=True)
        on_demand, spot = (np.stack([_by_hour(p, hours)[first] for p in column], axis=1) for column in prices)
        price = np.tile(row.reshape(-1), scenarios)
        weight = (self.probability[:, None] * self.weight_h[None, :]).reshape(count)
        every = States(weight, load, raw, price, on_demand, spot, np.arange(count).reshape(scenarios, hours))
        if not merge:
            return every
        key = np.concatenate([load, raw, price[:, None]] if priced else [load, price[:, None]], axis=1)
        _, first, member = np.unique(key, axis=0, return_index=True, return_inverse=True)
        member = member.reshape(-1)
        merged = np.bincount(member, weight, minlength=len(first)).astype(np.float64)
        return States(
            merged, load[first], raw[first], price[first], every.on_demand, every.spot, member.reshape(scenarios, hours)
        )


def _by_hour(price: float | Floats | None, hours: int) -> Floats:
    if price is None:
        return np.full(hours, np.nan)
    return np.broadcast_to(np.asarray(price, dtype=np.float64), (hours,))
