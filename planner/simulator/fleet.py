"""From a plan to a fleet that can be played: kinds of replicas, rungs, autoscaler, and what strikes
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints, Singles
from planner.capacity import Capacity
from planner.capacity.headroom import retries_of, start_up_s
from planner.errors import PlannerError
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Objective, Scenario, Service
from planner.simulator.ladder import Kind, Ladder, Shares, ladder
from planner.simulator.operations import (
    SPOT_EVERYWHERE,
    START_UP_SIGMA,
    TIMEOUT_S,
    ZONE,
    Operations,
    at_peak,
    spot_shocks,
    start_up_steps,
    zone_losses,
)
from planner.simulator.paid import price_of, price_of_mixes
from planner.simulator.tables import Bounds, Table
from planner.zones import Zones

_POOL = ["provider", "region", "instance_type", "deployment", "purchase_option"]


class Pool(NamedTuple):
    """One kind of replica of a service."""

    provider: str
    region: str
    instance_type: str
    deployment: str
    purchase_option: str

    @property
    def name(self) -> str:
        """Where and what, as the reader knows it."""
        return f"{self.region}/{self.instance_type}" + (" spot" if self.purchase_option == "spot" else "")


@dataclass(frozen=True)
class Task:
    """All that the replay of one service needs; travels to a worker as it stands.

    ``rate`` (paths, hours) [requests/s]; ``scheduled`` (hours, kinds) replicas of the plan;
    ``planned_rps`` (hours,) the load it was made for; ``instances`` (kinds,) machines a replica;
    ``strikes`` rows of (path, step, kind, pool, zone, end).
    """

    service: str
    objective: Objective
    policy: str
    pools: tuple[Pool, ...]
    kinds: tuple[Kind, ...]
    tables: tuple[Table, ...]
    scheduled: Ints
    planned_rps: Floats
    instances: Floats
    ladder: Ladder | None
    start: Ints
    hazard: Floats
    zones: int
    target_percent: float
    retries: int
    scale_down_s: float
    burst: float
    rate: Singles
    weight_h: Floats
    strikes: Ints
    ops: Operations

    @property
    def bounds(self) -> Bounds:
        """The bounds of the objective."""
        return list(self.objective.bounds())

    @property
    def has_spot(self) -> bool:
        """Whether any machine may be taken back."""
        return any(k.spot for k in self.kinds)


def task_of(name: str, plan: Plan, scenario: Scenario, load: Load, capacity: Capacity, ops: Operations) -> Task:
    """The fleet of one service. Raises :class:`PlannerError` for hours or machines that do not
    match.
    """
    service, mine = scenario.services[name], load.services[name]
    pools, scheduled, planned, instances = _scheduled(name, plan, load)
    tables, kinds = [], []
    ready = _times(scheduled, max(ops.fleet_factor, 1.0))  # what the autoscaler may reach
    most = np.max(ready, axis=0, initial=0)
    owned = [(name, *pool) for pool in pools]
    bounds = list(service.objective.bounds())
    for i, pool in enumerate(pools):
        table, kind = _kind(
            service, name, pool, int(most[i]), capacity, price_of(plan, owned[i]) * instances[i], bounds
        )
        tables.append(table)
        kinds.append(kind)
    delays = [_start_up(service, pool, ops, scenario.folder) for pool in pools]
    hazard = np.array([_hazard(k, d[0] / ops.start_up_factor) for k, d in zip(kinds, delays, strict=True)])
    policy = ops.policy or service.autoscaling.policy
    rungs = None
    if kinds and most.any():
        rungs = _rungs(service, scenario, kinds, ready, planned, ops, price_of_mixes(plan, load.ts, owned, instances))
    return Task(
        name,
        service.objective,
        policy if policy != "follow" else (ops.autoscaler or service.autoscaling.autoscaler),
        pools,
        tuple(kinds),
        tuple(tables),
        _by_the_clock(_times(scheduled, ops.fleet_factor), policy, max((d[0] for d in delays), default=0.0)),
        planned,
        instances,
        rungs,
        np.array([start_up_steps(d, sigma, ops.step_s, ops.seed) for d, sigma in delays], dtype=np.int64),
        hazard,
        scenario.limits.zones,
        _target(service, ops, rungs, kinds, planned),
        retries_of(service)[0] if ops.retries is None else ops.retries,
        service.autoscaling.scale_down_delay_s if ops.scale_down_delay_s is None else ops.scale_down_delay_s,
        mine.burst_factor,
        mine.arrival_rate_rps,
        load.weight_h,
        _strikes(mine.arrival_rate_rps, pools, kinds, hazard, scenario.limits.zones, ops),
        ops,
    )


def _scheduled(name: str, plan: Plan, load: Load) -> tuple[tuple[Pool, ...], Ints, Floats, Floats]:
    """Pools of a service, replicas (hours, pools), planned load (hours,), machines a replica
    (pools,).
    """
    schedule = plan.schedule[plan.schedule["service"] == name]
    outside = ~schedule["ts"].isin(load.ts)
    if outside.any():
        raise PlannerError(
            "the plan runs in hours that the load does not cover",
            where=name,
            got=str(schedule.loc[outside, "ts"].iloc[0]),
            remedy="Forecast the horizon of the plan",
        )
    pools, columns, each = [], [], []
    # spot last, as machines are dealt to zones
    for words, part in sorted(schedule.groupby(_POOL, observed=True), key=lambda g: (g[0][4] == "spot", *g[0])):
        replicas = np.zeros(len(load.ts), dtype=np.int64)
        np.add.at(replicas, load.ts.get_indexer(pd.DatetimeIndex(part["ts"])), part["replicas"].to_numpy(np.int64))
        pools.append(Pool(*(str(w) for w in words)))
        columns.append(replicas)
        each.append(float(part["instances"].sum() / max(part["replicas"].sum(), 1)))
    planned = schedule.groupby("ts")["arrival_rate_rps"].sum().reindex(load.ts, fill_value=0.0).to_numpy(np.float64)
    found = np.stack(columns, axis=1) if columns else np.zeros((len(load.ts), 0), dtype=np.int64)
    return tuple(pools), found, planned, np.array(each)


def _kind(
    service: Service,
    name: str,
    pool: Pool,
    most: int,
    capacity: Capacity,
    usd_per_h: float,
    bounds: Bounds,
) -> tuple[Table, Kind]:
    """Table and kind of one pool: what 0 … ``most`` replicas bear and where they saturate.
    Raises :class:`PlannerError` where the capacity has no latency model of the pool.
    """
    key = (name, *pool[:4])
    if key not in capacity.models:
        raise PlannerError("the capacity has no latency model of a pool that runs", where=name, got="/".join(pool[:4]))
    table = Table(capacity.models[key], most, 1.0 / (1.0 - service.retry_share), bounds)
    n = np.arange(most + 1)
    spot = pool.purchase_option == "spot"
    kind = Kind(
        pool.name,
        spot,
        capacity.bears_rps(key, n),
        table.saturation[table.row(n.astype(np.float64))] * n,
        usd_per_h,
        _spot_yield(capacity, key) if spot else 1.0,
        pool.instance_type,
    )
    return table, kind


def _spot_yield(capacity: Capacity, key: tuple[str, ...]) -> float:
    """Share of a steady instance that a spot one is worth, as the capacity says;
    1 where it says nothing.
    """
    frame = capacity.frame
    rows = np.logical_and.reduce(
        [
            frame[c] == v
            for c, v in zip(("service", "provider", "region", "instance_type", "deployment"), key, strict=True)
        ]
    )
    found = frame.loc[rows, "spot_yield"]
    return float(found.iloc[0]) if len(found) and found.iloc[0] > 0 else 1.0


def _hazard(kind: Kind, recovery_s: float) -> float:
    """Interruptions of an instance an hour, from the share of time it is worth.

    A spot instance interrupted h times an hour, each costing ``recovery_s`` of start-up, is
    worth 1 / (1 + h · recovery_s / 3600) of a steady one; solved for h.
    """
    if not kind.spot or recovery_s <= 0:
        return 0.0
    return (1 / kind.spot_yield - 1) * 3600 / recovery_s


def _start_up(service: Service, pool: Pool, ops: Operations, folder: Path | None) -> tuple[float, float]:
    """Start-up [s] and its spread: none where it is stated."""
    told, basis = start_up_s(service, accelerated=bool(pool.deployment), folder=folder)
    delay = told if ops.scale_up_delay_s is None else ops.scale_up_delay_s
    return delay * ops.start_up_factor, START_UP_SIGMA if basis == "assumed" and ops.scale_up_delay_s is None else 0.0


def _rungs(
    service: Service,
    scenario: Scenario,
    kinds: list[Kind],
    scheduled: Ints,
    planned: Floats,
    ops: Operations,
    cost: Callable[[Ints], Floats],
) -> Ladder:
    limits, most = scenario.limits, ops.max_replicas or service.autoscaling.max_replicas
    zones, least = Zones(limits.zones, limits.zones_lost), service.autoscaling.min_replicas
    shares = Shares(limits.max_spot_share, limits.max_type_share)
    return ladder(scheduled, planned, kinds, zones, shares, least, most, cost)


def _by_the_clock(scheduled: Ints, policy: str, delay_s: float) -> Ints:
    """Replicas ordered by the clock: the plan's hours, whole hours of start-up ahead; one fleet
    for all where the policy is static.

    Each hour runs the most of its own and of the next ⌊start-up / 1 h⌋ hours; a start-up below
    an hour is not ordered ahead.
    """
    if policy == "static":
        return np.broadcast_to(scheduled.max(axis=0, initial=0), scheduled.shape).copy()
    ahead = min(int(delay_s // 3600), max(len(scheduled) - 1, 0))
    shifted = [np.concatenate([scheduled[k:], np.repeat(scheduled[-1:], k, axis=0)]) for k in range(ahead + 1)]
    return np.asarray(np.max(shifted, axis=0))


def _times(counts: Ints, factor: float) -> Ints:
    """A fleet of so many times the machines, in whole ones."""
    return np.asarray(np.ceil(counts * factor - 1e-9).astype(np.int64))


def _target(service: Service, ops: Operations, rungs: Ladder | None, kinds: list[Kind], planned: Floats) -> float:
    """Utilization [%] of saturation that the autoscaler holds: as stated, else what the plan's
    own machines are loaded to; over ``fleet_factor``, in whole per cents from 1 to 100.
    """
    stated = service.autoscaling.target_utilization if ops.target_utilization is None else ops.target_utilization
    share = _own_load(rungs, kinds, planned) if stated is None else stated
    return float(np.clip(int(share * 100 / ops.fleet_factor + 1e-9), 1, 100))


def _own_load(rungs: Ladder | None, kinds: list[Kind], planned: Floats) -> float:
    """What the plan's machines are loaded to [share of saturation]: of the rung that bears the mean
    of the hours with load, what it bears over its saturation.
    """
    if rungs is None:
        return 1.0
    busy = planned[planned > 0]
    rung = int(rungs.rung(np.array([busy.mean() if len(busy) else 0.0]))[0])
    while rung < len(rungs.bears_rps) - 1 and not rungs.counts[rung].any():
        rung += 1
    full = sum(float(k.saturation_rps[n]) for k, n in zip(kinds, rungs.counts[rung], strict=True))
    return float(rungs.bears_rps[rung]) / full if full > 0 else 1.0


def _strikes(
    rate: Singles, pools: tuple[Pool, ...], kinds: list[Kind], hazard: Floats, zones: int, ops: Operations
) -> Ints:
    """Events of all paths, rows of (path, step, kind, pool, zone, end) in order of path and
    step, those beyond the horizon left out.
    """
    paths, hours = rate.shape
    peak, each = np.repeat(rate.mean(axis=0).argmax().astype(np.int64), paths), 3600 / ops.step_s
    rows = zone_losses(ops, zones, paths, hours)
    for i, pool in enumerate(pools):
        if kinds[i].spot:
            rows += spot_shocks(ops, pool.name, i, float(hazard[i]), zones, paths, hours)
            if ops.spot_lost_at_peak:
                rows.append(at_peak(ops, peak, SPOT_EVERYWHERE, i, 2.0))
    if ops.zone_lost_at_peak:
        rows.append(at_peak(ops, peak, ZONE, -1, ops.zone_outage_h))
    table = np.concatenate([np.zeros((0, 6), dtype=np.int64), *rows])
    table = table[table[:, 1] < hours * each]
    return np.asarray(table[np.lexsort((table[:, 1], table[:, 0]))])


__all__ = ["TIMEOUT_S", "Pool", "Task", "task_of"]
