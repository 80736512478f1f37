"""The replay: a plan's fleet played minute by minute, under load paths it was not made for.

What runs follows the scenario's policy (:mod:`planner.simulator.operations`); latency is the
model's point estimate, pointwise stationary below saturation; above it a fluid backlog is carried
from step to step, and a step with a backlog is outside every objective.  Each pool takes traffic in
proportion to what it may bear.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats, Ints
from planner.capacity import Capacity
from planner.errors import PlannerError
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator import breaks as first
from planner.simulator.fleet import Task, task_of
from planner.simulator.operations import Operations
from planner.simulator.played import Block, Played, blocks_of, nothing, play_block, together
from planner.simulator.records import CAUSES

LOW, HIGH = 0.1, 0.95
CAUSE_WORDS = {
    "overload": "more load than the whole fleet bears",
    "start_up": "replicas still starting",
    "autoscaler": "the autoscaler had not asked for more yet",
    "zone_lost": "a zone was lost",
    "spot_lost": "spot machines were taken back",
    "retries": "retries kept an overload up",
}
_METRIC = {
    "utilization": "",
    "requests_per_replica": " on requests of each replica",
    "requests_arriving": " on all requests that arrive",
    "busy_share": " on the busy share of the fleet",
}
_HOW = {
    "hpa": "followed by the Kubernetes autoscaler",
    "target_tracking": "followed by target tracking",
    "keda": "followed by KEDA",
    "ideal": "followed without delay",
    "scheduled": "scheduled by the clock",
    "static": "one fleet for all hours",
}


@dataclass(frozen=True)
class Replay:
    """What happened on ``paths`` load paths.

    ``objectives``: share of requests in time within each objective, by service, beside its worst
    hour and what was played (``replay.objectives``). ``hours``: the same by hour, with latencies
    and backlog (``replay.hours``).  ``causes``: why requests were late (``replay.causes``).
    ``breaks``: the margin to each thing that could fail, dearest to mend first, then the smallest
    margin (``replay.breaks``).
    ``path_within_share``: within every objective, by service, one value a path. ``running``:
    machines paid, mean of the hour, by service and pool, (hours, paths).
    """

    paths: int
    objectives: pd.DataFrame
    hours: pd.DataFrame
    breaks: pd.DataFrame
    path_within_share: Mapping[str, Floats] = field(repr=False)
    notes: tuple[str, ...] = ()
    causes: pd.DataFrame = field(default_factory=lambda: columns.empty("replay.causes"))
    running: Mapping[tuple[str, ...], Floats] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in ("objectives", "hours", "breaks", "causes"):
            object.__setattr__(self, name, columns.check(f"replay.{name}", getattr(self, name)))

    def within_share(self, service: str | None = None) -> float:
        """Share of requests in time within every objective: of one service, or the worst of all."""
        shares = {s: float(v.mean()) for s, v in self.path_within_share.items()}
        return shares[service] if service is not None else min(shares.values())

    def broken(self) -> list[str]:
        """A sentence for each objective that did not hold: fewer requests in time than its own
        percentile, those aside that came with more load than was planned for, with the cause.
        """
        promised = self.objectives["within_share"] + self.objectives["beyond_plan_share"]
        failed = self.objectives[promised < self.objectives["percentile_share"]]
        return [f"{r['service']}: {_failed(r, self.causes)}" for r in failed.to_dict("records")]


def _failed(row: Mapping[Any, Any], causes: pd.DataFrame) -> str:
    mine = causes[causes["service"] == row["service"]].sort_values("late_share", ascending=False)
    why = f", mostly because {CAUSE_WORDS[mine['cause'].iloc[0]]}" if len(mine) else ""
    return (
        f"{row['objective']} does not hold in the replay: {np.floor(row['within_share'] * 1e4) / 100:.2f} % of requests"
        f" in time where {row['percentile_share'] * 100:g} % are asked{why}"
    )


def simulate(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    *,
    operations: Operations | None = None,
    executor: Executor | None = None,
) -> Replay:
    """Replay ``plan`` on the paths of ``load``; give paths of another seed than the plan was made
    on.

    ``operations``: how it is run and what strikes it, by default as the scenario says.
    ``executor``: any :class:`concurrent.futures.Executor`; the answer does not depend on it.
    Raises :class:`PlannerError` if the load covers other hours or services than the plan.
    """
    ops = Operations(seed=scenario.seed) if operations is None else operations
    missing = [n for n in scenario.services if n not in load.services]
    if missing:
        raise PlannerError(
            "the load has no such service",
            where="simulate",
            got=missing[0],
            remedy="Forecast the same scenario again",
        )
    tasks = [task_of(name, plan, scenario, load, capacity, ops) for name in scenario.services]
    results = play_all(tasks, executor)
    rows = [r for t in tasks for r in first.rows_of(t, plan, load.ts, scenario)]
    rows += first.account_rows(plan, load.ts, scenario)
    both = [(t, p, _latencies(t, p)) for t, p in zip(tasks, results, strict=True)]
    return Replay(
        load.paths,
        typed("replay.objectives", [r for t, p, late in both for r in _objectives(t, p, late, load.ts)]),
        pd.concat([_hours(t, p, late, load.ts) for t, p, late in both], ignore_index=True),
        first.dearest(typed("replay.breaks", rows)),
        {t.service: shares(p.every_path, p.arrived_path) for t, p, _ in both},
        tuple(f"{t.service}: {_told(t)}" for t in tasks),
        typed("replay.causes", [r for t, p, _ in both for r in _causes(t, p, load.ts)]),
        {(t.service, *pool): p.running[q].astype(np.float64) for t, p, _ in both for q, pool in enumerate(t.pools)},
    )


def play_all(tasks: Sequence[Task], executor: Executor | None = None) -> list[Played]:
    """Play tasks block by block: on an executor, or on the cores of this machine if this is its
    main process.
    """
    cut = [blocks_of(t) for t in tasks]
    flat = [b for blocks in cut for b in blocks]
    found = iter(_mapped(flat, executor))
    return [
        together([next(found) for _ in blocks]) if blocks else nothing(t) for t, blocks in zip(tasks, cut, strict=True)
    ]


def _mapped(blocks: list[Block], executor: Executor | None) -> list[Played]:
    if executor is not None:
        return list(executor.map(play_block, blocks))
    if len(blocks) < 2 or multiprocessing.parent_process() is not None:
        return [play_block(b) for b in blocks]
    from planner.simulator import kernel  # noqa: F401  compiled before threads ask for it

    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as threads:
        return list(threads.map(play_block, blocks))


def _told(task: Task) -> str:
    how = _HOW[task.policy] + (_METRIC[task.ops.metric] if task.policy == "hpa" else "")
    return "replayed " + task.ops.played(task.zones, task.has_spot, how)


def shares(part: Floats, whole: Floats) -> Floats:
    """Part over whole, 1 where nothing came: of no requests all were in time."""
    return np.asarray(np.divide(part, whole, out=np.ones_like(part), where=whole > 0))


def _worst(within: Floats, arrived: Floats, ts: pd.DatetimeIndex) -> dict[str, Any]:
    """The hour of the least share in time, all paths together, and that share."""
    share = shares(within, arrived)
    at = int(share.argmin())
    return {"worst_hour_share": float(share[at]), "worst_hour": ts[at]}


def _objectives(
    task: Task, played: Played, late: tuple[Floats, Floats], ts: pd.DatetimeIndex
) -> Iterator[dict[str, Any]]:
    typical, high = late
    beyond = _beyond(task, played)
    for b, (name, _, quantile, limit) in enumerate(task.bounds):
        path = shares(played.within_path[b], played.arrived_path)
        late_share = 1.0 - float(path.mean())
        late_volume = float((played.arrived_hour - played.within_hour[b]).sum())
        yield {
            "service": task.service,
            "objective": name,
            "limit_s": limit,
            "percentile_share": quantile,
            "within_share": 1.0 - late_share,
            "within_low_share": float(np.quantile(path, LOW)),
            "beyond_plan_share": late_share * min(beyond / late_volume, 1.0) if late_volume > 0 else 0.0,
            **_worst(played.within_hour[b], played.arrived_hour, ts),
            "typical_latency_s": float(np.median(typical[b])),
            "high_latency_s": float(np.quantile(high[b], HIGH, method="lower")),
            "played": _told(task),
        }


def _beyond(task: Task, played: Played) -> float:
    """Requests late for lack of machines, of each hour at most those that came on paths of more load
    than the plan is ready for and than the objective's ``load_quantile`` of that hour; of all paths.

    An upper bound: which of the requests of an hour were late is not kept path by path.
    """
    rate = task.rate * np.float32(task.ops.load_factor)
    planned = np.maximum(task.planned_rps, np.quantile(rate, task.objective.load_quantile, axis=0))
    above = np.where(rate > planned, rate, 0.0).sum(axis=0) * task.weight_h * 3600.0
    return float(np.minimum(above, played.late[CAUSES.index("overload")]).sum())


def _latencies(task: Task, played: Played) -> tuple[Floats, Floats]:
    """Latency at each bound's percentile (bounds, hours) at half past, on the path of median load
    and on the one that 95 % of paths have less load than.
    """
    rate = task.rate * np.float32(task.ops.load_factor)
    return _latency(task, played, rate, 0.5), _latency(task, played, rate, HIGH)


def _latency(task: Task, played: Played, rate: Any, q: float) -> Floats:
    """Latency (bounds, hours) at half past, hour by hour on the path at quantile ``q`` of the
    loads of that hour; where nothing runs ``inf`` under load, else 0.
    """
    paths, hours = rate.shape
    rank = min(int(np.ceil(q * (paths - 1))), paths - 1)
    which = np.argpartition(rate, rank, axis=0)[rank]
    at = np.arange(hours)
    if not task.kinds:
        return np.where(rate[which, at] > 0, np.inf, 0.0)[None, :].repeat(len(task.bounds), axis=0)
    ready: Ints = played.ready[:, at, which].T.astype(np.int64)
    return first.bears(task, ready).latency(list(task.tables), rate[which, at].astype(np.float64))


def _causes(task: Task, played: Played, ts: pd.DatetimeIndex) -> Iterator[dict[str, Any]]:
    whole = played.arrived_hour.sum()
    for k, cause in enumerate(CAUSES):
        late = played.late[k]
        if late.sum() > 0:
            at = int(late.argmax())
            yield {
                "service": task.service,
                "cause": cause,
                "late_share": float(late.sum() / whole),
                "worst_hour": ts[at],
                "sentence": f"{100 * late.sum() / whole:.3g} % of requests were late because {CAUSE_WORDS[cause]}, most"
                f" of them at {ts[at]:%Y-%m-%d %H:%M} UTC",
            }


def _hours(task: Task, played: Played, late: tuple[Floats, Floats], ts: pd.DatetimeIndex) -> pd.DataFrame:
    typical, high = late
    parts = [
        typed(
            "replay.hours",
            {
                "service": np.repeat(task.service, len(ts)),
                "objective": np.repeat(bound[0], len(ts)),
                "ts": ts,
                "within_share": shares(played.within_hour[k], played.arrived_hour),
                "typical_latency_s": typical[k],
                "high_latency_s": high[k],
                "backlog_requests": played.backlog,
            },
        )
        for k, bound in enumerate(task.bounds)
    ]
    return pd.concat(parts, ignore_index=True)


def typed(name: str, data: Mapping[str, object] | list[dict[str, Any]]) -> pd.DataFrame:
    """A declared frame of rows or columns."""
    kinds: Mapping[str, Callable[[], str]] = {"str": lambda: "str", "float": lambda: "float64"}
    if not len(data):
        return columns.empty(name)
    frame = pd.DataFrame(data)
    wanted = {c: columns.dictionary()[c].dtype for c in frame.columns}
    return columns.check(name, frame.astype({c: kinds[k]() for c, k in wanted.items() if k in kinds}))
