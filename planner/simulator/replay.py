"""The replay: a plan's schedule under load paths it was not made for.

Within an hour the load is taken in two levels: a twelfth of the time at burst_factor times the
mean, the rest at what is left.  Replicas ordered for an hour serve after the start-up delay; until
then the hour before runs on.  Each pool takes traffic in proportion to what it may bear.  Latency
is the model's point estimate, pointwise stationary below saturation; above it a fluid backlog is
carried from hour to hour, and an hour with a backlog is outside every objective.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Flags, Floats, Index, Singles
from planner.capacity import Capacity
from planner.capacity.headroom import start_up_s
from planner.errors import PlannerError
from planner.latency import LatencyModel
from planner.load import Load, ServiceLoad
from planner.plan import Plan
from planner.scenario import Objective, Scenario

BURST_TIME = 1 / 12  # five busiest minutes of an hour
LOW, HIGH = 0.1, 0.95
_POOL = ["service", "provider", "region", "instance_type", "deployment"]
_GRID = np.r_[np.linspace(0.02, 0.9, 45), 1 - np.geomspace(0.09, 1e-3, 18)]


@dataclass(frozen=True)
class Replay:
    """What happened on ``paths`` load paths.

    ``objectives``: share of requests in time within each objective, by service
    (``replay.objectives``). ``hours``: the same by hour, with latencies and backlog
    (``replay.hours``).  ``breaks``: how much more load each service bears and what fails first
    (``replay.breaks``).  ``path_within_share``: within every objective, by service, one value a
    path.
    """

    paths: int
    objectives: pd.DataFrame
    hours: pd.DataFrame
    breaks: pd.DataFrame
    path_within_share: Mapping[str, Floats] = field(repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in ("objectives", "hours", "breaks"):
            object.__setattr__(self, name, columns.check(f"replay.{name}", getattr(self, name)))

    def within_share(self, service: str | None = None) -> float:
        """Share of requests in time within every objective: of one service, or the worst of all."""
        shares = {s: float(v.mean()) for s, v in self.path_within_share.items()}
        return shares[service] if service is not None else min(shares.values())


@dataclass(frozen=True)
class _Pool:
    """One pool over the hours: ``replicas`` (hours,), what they bear together, how it behaves;
    ``tries``: attempts a request costs.
    """

    name: str
    replicas: Floats
    bears_rps: Floats
    delay_s: float
    tries: float
    model: LatencyModel


@dataclass(frozen=True)
class _Task:
    """All that one service's replay needs; travels to a worker as it stands."""

    service: str
    load: ServiceLoad
    weight_h: Floats
    objective: Objective
    planned_rps: Floats
    pools: tuple[_Pool, ...]


@dataclass(frozen=True)
class _Result:
    """Arrays by objective (rows) of one service."""

    within_path: Floats
    within_hour: Floats
    all_within_path: Floats
    typical_s: Floats
    high_s: Floats
    backlog: Floats
    margin: Floats


def simulate(
    plan: Plan, scenario: Scenario, load: Load, capacity: Capacity, *, executor: Executor | None = None
) -> Replay:
    """Replay ``plan`` on the paths of ``load``; give paths of another seed than the plan was made
    on.

    ``executor``: any :class:`concurrent.futures.Executor`; the answer does not depend on it.
    Raises :class:`PlannerError` if the load covers other hours or services than the plan.
    """
    tasks = [_task(name, plan, scenario, load, capacity) for name in scenario.services]
    run: Callable[..., object] = map if executor is None else executor.map
    results = list(run(_replay, tasks))  # type: ignore[call-overload]
    objectives, hours, breaks = [], [], []
    for task, result in zip(tasks, results, strict=True):
        objectives.append(_objectives_frame(task, result))
        hours.append(_hours_frame(task, result, load.ts))
        breaks.append(_breaks_frame(task, result, load.ts, scenario.time_zone))
    return Replay(
        load.paths,
        pd.concat(objectives, ignore_index=True),
        pd.concat(hours, ignore_index=True),
        pd.concat(breaks, ignore_index=True),
        {t.service: r.all_within_path for t, r in zip(tasks, results, strict=True)},
    )


def _task(name: str, plan: Plan, scenario: Scenario, load: Load, capacity: Capacity) -> _Task:
    if name not in load.services:
        raise PlannerError(
            "the load has no such service", where="simulate", got=name, remedy="Forecast the same scenario again"
        )
    service, schedule = scenario.services[name], plan.schedule[plan.schedule["service"] == name]
    outside = ~schedule["ts"].isin(load.ts)
    if outside.any():
        raise PlannerError(
            "the plan runs in hours that the load does not cover",
            where=name,
            got=str(schedule.loc[outside, "ts"].iloc[0]),
            remedy="Forecast the horizon of the plan",
        )
    pools = []
    for words, part in schedule.groupby(_POOL, observed=True):
        key = (str(words[0]), str(words[1]), str(words[2]), str(words[3]), str(words[4]))
        replicas = np.zeros(len(load.ts))
        np.add.at(replicas, load.ts.get_indexer(pd.DatetimeIndex(part["ts"])), part["replicas"].to_numpy(np.float64))
        if key not in capacity.models:
            raise PlannerError(
                "the capacity has no latency model of a pool that runs", where=name, got="/".join(key[1:])
            )
        delay_s, _ = start_up_s(service, accelerated=bool(key[4]))
        tries = 1.0 / (1.0 - service.retry_share)
        pools.append(
            _Pool("/".join(key[2:4]), replicas, capacity.bears_rps(key, replicas), delay_s, tries, capacity.models[key])
        )
    planned = schedule.groupby("ts")["arrival_rate_rps"].sum().reindex(load.ts, fill_value=0.0).to_numpy(np.float64)
    return _Task(name, load.services[name], load.weight_h, service.objective, planned, tuple(pools))


def _replay(task: _Task) -> _Result:
    bounds = list(task.objective.bounds())
    rate = task.load.arrival_rate_rps
    hours = len(task.weight_h)
    if not task.pools:
        return _nothing_runs(task, len(bounds))
    now, bears = np.stack([p.replicas for p in task.pools]), np.stack([p.bears_rps for p in task.pools])
    before, bore = (np.concatenate([a[:, :1], a[:, :-1]], axis=1) for a in (now, bears))
    delay = np.array([min(p.delay_s / 3600.0, 1.0) for p in task.pools])
    lag = np.where((now > before).any(axis=0), (delay[:, None] * (now > before)).max(axis=0), 0.0)
    tables = [_Table(p, bounds) for p in task.pools]
    full, part = _Bears.of(tables, now, bears), _Bears.of(tables, before, bore)
    levels = _levels(task.load.burst_factor)
    within, every = _within(rate, levels, full, part, lag)
    backlog = _backlog(rate, full.saturation * (1 - lag) + part.saturation * lag, task.weight_h)
    held_up = _waited(backlog)
    within *= ~held_up
    every *= ~held_up
    mid, high = (np.quantile(rate, q, axis=0).astype(np.float64) for q in (0.5, HIGH))
    volume = np.maximum(rate.astype(np.float64) * task.weight_h, 0.0)
    per_path = volume.sum(axis=1)
    planned = task.planned_rps * max(factor for _, factor in levels)
    margin = np.divide(full.limit, planned, out=np.full((len(bounds), hours), np.inf), where=planned > 0)
    safe = np.where(per_path > 0, per_path, 1.0)
    margin[:, (now.sum(axis=0) == 0) & (mid > 0)] = 0.0  # load comes where nothing runs
    return _Result(
        np.stack([(w * volume).sum(axis=1) / safe + (per_path == 0) for w in within]),
        _by_hour(within, volume),
        (every * volume).sum(axis=1) / safe + (per_path == 0),
        full.latency(tables, mid),
        full.latency(tables, high),
        backlog.mean(axis=0),
        margin,
    )


def _within(
    rate: Singles, levels: list[tuple[float, float]], full: "_Bears", part: "_Bears", lag: Floats
) -> tuple[Singles, Singles]:
    """Share of each path-hour's requests within each objective, and within all of them; a share
    ``lag`` of the hour runs on ``part``.
    """
    within = np.zeros((len(full.limit), *rate.shape), dtype=np.float32)
    every = np.zeros(rate.shape, dtype=np.float32)
    late, on_time = np.flatnonzero(lag > 0), (1 - lag).astype(np.float32)
    for share, factor in levels:
        busy = rate * np.float32(factor)
        ok = busy <= full.limit[:, None, :]
        within += np.float32(share) * on_time * ok
        every += np.float32(share) * on_time * ok.all(axis=0)
        if len(late):
            ok = busy[:, late] <= part.limit[:, None, late]
            within[..., late] += np.float32(share) * lag[late].astype(np.float32) * ok
            every[:, late] += np.float32(share) * lag[late].astype(np.float32) * ok.all(axis=0)
    for found in (within, every):
        found[found > 1 - 1e-5] = 1.0  # single-precision shares that should add up to one
    return within, every


def _levels(burst: float) -> list[tuple[float, float]]:
    """(share of requests, rate over the hourly mean) of the busiest minutes and of the rest."""
    burst = min(max(burst, 1.0), 1.0 / BURST_TIME)
    rest = (1.0 - burst * BURST_TIME) / (1.0 - BURST_TIME)
    return [(burst * BURST_TIME, burst), (1 - burst * BURST_TIME, rest)]


def _by_hour(within: Singles, volume: Floats) -> Floats:
    whole = volume.sum(axis=0)
    out: Floats = np.stack([(w * volume).sum(axis=0) for w in within]) / np.where(whole > 0, whole, 1.0) + (whole == 0)
    return out


def _backlog(rate: Singles, saturation: Floats, weight_h: Floats) -> Singles:
    """Requests waiting at the end of each hour, (paths, hours): B' = max(0, B + (λ −
    μ)·3600·weight).
    """
    out = np.zeros(rate.shape, dtype=np.float32)
    gain = (rate.astype(np.float64) - saturation) * 3600.0 * weight_h
    first = np.flatnonzero((gain > 0).any(axis=0))
    if not len(first):
        return out
    held = np.zeros(rate.shape[0])
    for hour in range(int(first[0]), rate.shape[1]):
        held = np.maximum(0.0, held + gain[:, hour])
        out[:, hour] = held
    return out


def _waited(backlog: Singles) -> Flags:
    """Hours that begin or end with requests waiting."""
    out: Flags = backlog > 0
    out[:, 1:] |= backlog[:, :-1] > 0
    return out


class _Table:
    """Latency of one pool on a grid of utilization for a few pool sizes; sizes between take the
    next smaller one (no less latency).
    """

    def __init__(self, pool: _Pool, bounds: list[tuple[str, str, float, float]]) -> None:
        most = max(int(pool.replicas.max(initial=0.0)), 1)
        metric = bounds[0][1]
        alone = _saturation(pool.model, 1, metric)
        if _splits(pool.model, bounds, alone, most):
            most = 1
        sizes = np.r_[np.arange(1, min(most, 8) + 1), np.geomspace(8, max(most, 8), 24).astype(int)]
        self.sizes = np.unique(sizes[sizes <= most])
        self.saturation = (
            np.array([alone, *(_saturation(pool.model, int(n), metric) for n in self.sizes[1:])]) / pool.tries
        )
        self.rates = self.saturation[:, None] * _GRID
        total = self.rates * self.sizes[:, None] * pool.tries
        self.latency = np.stack(
            [
                [pool.model.latency_s(r, int(n), q, m) for r, n in zip(total, self.sizes, strict=True)]
                for _, m, q, _ in bounds
            ]
        )
        self.limit = np.array(
            [
                [_threshold(r, lat, limit) for r, lat in zip(self.rates, rows, strict=True)]
                for rows, (*_, limit) in zip(self.latency, bounds, strict=True)
            ]
        )

    def row(self, replicas: Floats) -> Index:
        """Row of the table for each pool size."""
        return np.clip(np.searchsorted(self.sizes, replicas, side="right") - 1, 0, None)


def _splits(model: LatencyModel, bounds: list[tuple[str, str, float, float]], alone: float, most: int) -> bool:
    """Whether a pool of ``most`` is no better than as many pools of one: then one row of the table
    serves every size.
    """
    probe = alone * np.array([0.3, 0.7, 0.95])
    return all(
        np.allclose(model.latency_s(probe, 1, q, metric), model.latency_s(probe * most, most, q, metric), rtol=1e-6)
        for _, metric, q, _ in bounds
    )


def _saturation(model: LatencyModel, replicas: int, metric: str) -> float:
    """Largest rate of one replica [requests/s] in a pool of ``replicas`` at which a metric is
    finite (relative 1e-4).
    """

    def stable(rate: Floats) -> Flags:
        found: Flags = np.isfinite(model.latency_s(rate * replicas, replicas, 0.5, metric))
        return found

    ladder = np.geomspace(1e-4, 1e7, 45)
    good = stable(ladder)
    low, high = (ladder[good][-1] if good.any() else 0.0), (ladder[~good][0] if not good.all() else ladder[-1])
    while high - low > 1e-4 * high and high > ladder[0] * 1e-3:
        grid = np.linspace(low, high, 18)[1:-1]
        good = stable(grid)
        low, high = (grid[good][-1] if good.any() else low), (grid[~good][0] if not good.all() else high)
    return float(low)


def _threshold(rates: Floats, latency: Floats, limit: float) -> float:
    """Largest rate with latency ≤ limit, linear between grid points."""
    late = np.flatnonzero(~(latency <= limit))
    if not len(late):
        return float(rates[-1])
    at = int(late[0])
    if at == 0:
        return 0.0
    low, high = latency[at - 1], latency[at]
    part = (limit - low) / (high - low) if np.isfinite(high) and high > low else 0.0
    return float(rates[at - 1] + part * (rates[at] - rates[at - 1]))


@dataclass(frozen=True)
class _Bears:
    """What the pools of a service bear together, hour by hour: up to which total rate each
    objective holds.
    """

    replicas: Floats
    share: Floats
    limit: Floats
    saturation: Floats

    @classmethod
    def of(cls, tables: list[_Table], replicas: Floats, weight: Floats) -> "_Bears":
        """Traffic is split in proportion to what the pools may bear (``weight``); the first one
        beyond its limit decides.
        """
        whole = weight.sum(axis=0)
        share = np.divide(weight, whole, out=np.zeros_like(weight), where=whole > 0)
        limit = np.full((len(tables[0].latency), replicas.shape[1]), np.inf)
        saturation = np.zeros(replicas.shape[1])
        for table, n, part in zip(tables, replicas, share, strict=True):
            row, runs = table.row(n), n > 0
            own = table.limit[:, row] * n
            limit = np.where(runs, np.minimum(limit, own / np.where(part > 0, part, 1.0)), limit)
            saturation += table.saturation[row] * n
        return cls(replicas, share, np.where(whole > 0, limit, 0.0), saturation)

    def latency(self, tables: list[_Table], rate: Floats) -> Floats:
        """Latency of each objective's metric in the slowest pool, (objectives, hours)."""
        out = np.zeros((len(tables[0].latency), len(rate)))
        for table, n, part in zip(tables, self.replicas, self.share, strict=True):
            row = table.row(n)
            each = np.divide(rate * part, n, out=np.zeros_like(rate), where=n > 0)
            for k in np.unique(row[n > 0]):
                mine = np.flatnonzero((row == k) & (n > 0))
                for b in range(len(out)):
                    found = np.interp(each[mine], table.rates[k], table.latency[b, k], right=np.inf)
                    out[b, mine] = np.maximum(out[b, mine], found)
        return np.where(self.share.sum(axis=0) > 0, out, np.where(rate > 0, np.inf, 0.0))


def _nothing_runs(task: _Task, bounds: int) -> _Result:
    hours = len(task.weight_h)
    idle = task.load.arrival_rate_rps.sum(axis=0) == 0
    empty = (task.load.arrival_rate_rps.sum(axis=1) == 0).astype(np.float64)
    return _Result(
        np.tile(empty, (bounds, 1)),
        np.tile(idle.astype(np.float64), (bounds, 1)),
        empty,
        np.where(np.tile(idle, (bounds, 1)), 0.0, np.inf),
        np.where(np.tile(idle, (bounds, 1)), 0.0, np.inf),
        np.zeros(hours),
        np.where(np.tile(idle, (bounds, 1)), np.inf, 0.0),
    )


def _objectives_frame(task: _Task, result: _Result) -> pd.DataFrame:
    bounds = list(task.objective.bounds())
    return _typed(
        "replay.objectives",
        {
            "service": [task.service] * len(bounds),
            "objective": [b[0] for b in bounds],
            "limit_s": [b[3] for b in bounds],
            "within_share": result.within_path.mean(axis=1),
            "within_low_share": np.quantile(result.within_path, LOW, axis=1),
            "typical_latency_s": np.median(result.typical_s, axis=1),
            "high_latency_s": np.quantile(result.high_s, HIGH, axis=1, method="lower"),
        },
    )


def _hours_frame(task: _Task, result: _Result, ts: pd.DatetimeIndex) -> pd.DataFrame:
    parts = [
        _typed(
            "replay.hours",
            {
                "service": np.repeat(task.service, len(ts)),
                "objective": np.repeat(bound[0], len(ts)),
                "ts": ts,
                "within_share": result.within_hour[k],
                "typical_latency_s": result.typical_s[k],
                "high_latency_s": result.high_s[k],
                "backlog_requests": result.backlog,
            },
        )
        for k, bound in enumerate(task.objective.bounds())
    ]
    return pd.concat(parts, ignore_index=True)


def _breaks_frame(task: _Task, result: _Result, ts: pd.DatetimeIndex, time_zone: str) -> pd.DataFrame:
    """The hour and objective with the least room over the load that was planned for."""
    names = [b[0] for b in task.objective.bounds()]
    k, hour = divmod(int(np.argmin(result.margin)), result.margin.shape[1])
    least = float(result.margin[k, hour])
    pool = max(task.pools, key=lambda p: p.bears_rps[hour]).name if task.pools else "nothing"
    when = f"{ts[hour].tz_convert(time_zone):%Y-%m-%d %H:%M} {time_zone}"
    text = (
        f"{task.service} bears {least:.2f} times the planned load, bursts included; then {names[k]} fails first, at"
        f" {when} on {pool}"
        if np.isfinite(least)
        else f"{task.service} has no load that could break it"
    )
    return _typed(
        "replay.breaks",
        {
            "service": [task.service],
            "objective": [names[k]],
            "load_multiplier": [least],
            "breaks_at": ts[[hour]],
            "cause": ["saturation" if least < np.inf else "none"],
            "sentence": [text],
        },
    )


def _typed(name: str, data: Mapping[str, object]) -> pd.DataFrame:
    kinds = {"str": "str", "float": "float64"}
    frame = pd.DataFrame(dict(data))
    return columns.check(
        name,
        frame.astype({c: kinds[columns.dictionary()[c].dtype] for c in data if columns.dictionary()[c].dtype in kinds}),
    )
