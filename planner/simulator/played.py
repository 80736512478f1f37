"""Plays a task's paths block by block and adds up what was counted; the blocks are the same whoever
plays them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from planner.arrays import Floats, Ints, Singles
from planner.simulator.fleet import Task
from planner.simulator.ladder import Ladder
from planner.simulator.operations import TIMEOUT_S
from planner.simulator.records import (
    AVERAGE,
    CAUSES,
    HPA,
    IDEAL,
    KEDA,
    PODS,
    RESOURCE,
    STATIC,
    TRACKING,
    VALUE,
    Fleet,
    Out,
    Rule,
    Small,
    Strikes,
)

BLOCK = 64  # paths whose state stays near a core
UP_WINDOW_S = 0.0
Policies = tuple[tuple[int, float, float], ...]  # (pods 0 or per cent 1, value, period [s])
HPA_UP: Policies = ((0, 4.0, 15.0), (1, 100.0, 15.0))
HPA_DOWN: Policies = ((1, 100.0, 15.0),)
METRICS = {"utilization": RESOURCE, "requests_per_replica": PODS, "requests_arriving": AVERAGE, "busy_share": VALUE}
KINDS = {"static": STATIC, "scheduled": STATIC, "hpa": HPA, "target_tracking": TRACKING, "keda": KEDA, "ideal": IDEAL}


class Block(NamedTuple):
    """A task on some of its paths, and the fleets that it may run."""

    task: Task
    ladder: Ladder
    first: int
    last: int


@dataclass(frozen=True)
class Played:
    """What was counted, requests unless said otherwise; arrays named as in the kernel.

    ``running`` (kinds, hours, paths) machines paid, mean of the hour; ``starting`` (hours,) of them
    not yet ready, mean over the paths; ``ready`` (kinds, hours, paths) replicas at half past.
    """

    within_hour: Floats
    every_hour: Floats
    arrived_hour: Floats
    late: Floats
    backlog: Floats
    within_path: Floats
    every_path: Floats
    arrived_path: Floats
    tried_path: Floats
    served_path: Floats
    dropped_path: Floats
    waiting_path: Floats
    running: Singles
    starting: Floats
    ready: Small


def blocks_of(task: Task) -> list[Block]:
    """The task cut into blocks of paths; none where no machine of it can run."""
    if task.ladder is None:
        return []
    paths, rungs = len(task.rate), task.ladder
    lean = [
        Task(**{**task.__dict__, "rate": task.rate[k : k + BLOCK], "strikes": _those(task.strikes, k)})
        for k in range(0, paths, BLOCK)
    ]
    return [Block(t, rungs, k, min(k + BLOCK, paths)) for t, k in zip(lean, range(0, paths, BLOCK), strict=True)]


def _those(strikes: Ints, first: int) -> Ints:
    """The events of one block's paths, numbered from its first path."""
    found = strikes[(strikes[:, 0] >= first) & (strikes[:, 0] < first + BLOCK)].copy()
    found[:, 0] -= first
    return np.asarray(found)


def play_block(block: Block, *, closely: bool = False) -> Played:
    """Play one block; ``closely``: no step is passed over, for the same answer later."""
    from planner.simulator import kernel

    task, ops = block.task, block.task.ops
    fleet, rule = _fleet(task, block.ladder), rule_of(task, block.ladder)
    paths, hours = task.rate.shape
    kinds, bounds = len(task.kinds), len(task.bounds)
    first = np.searchsorted(task.strikes[:, 0], np.arange(paths + 1))
    rows = [np.ascontiguousarray(task.strikes[:, c]) for c in range(1, 6)]
    strikes = Strikes(first.astype(np.int64), *rows)
    shapes: list[tuple[tuple[int, ...], type]] = [((bounds, hours), np.float64), ((hours,), np.float64)]
    shapes += [((len(CAUSES), hours), np.float64), ((hours,), np.float64), ((paths, bounds), np.float64)]
    shapes += [*[((paths,), np.float64)] * 7, ((paths, kinds, hours), np.float32), ((kinds, hours), np.float64)]
    out = Out(*(np.zeros(s, dtype=k) for s, k in [*shapes, ((paths, kinds, hours), np.int32)]))
    when = np.asarray(np.random.default_rng([ops.seed, 10]).integers(0, 12, hours), dtype=np.int64)
    rate = np.ascontiguousarray(task.rate, dtype=np.float32)
    state = kernel.at_rest(paths, fleet, rule, strikes)
    kernel.play(rate, when, fleet, rule, strikes, ops.seed * 1_000_003 + block.first, closely, state, out)
    each = np.float32(round(3600 / ops.step_s))
    machines = np.moveaxis(out.running / each * task.instances[:, None].astype(np.float32), 0, -1)
    waiting = (out.starting / each * task.instances[:, None]).sum(axis=0)
    every_hour = out.arrived_hour - out.late.sum(axis=0)
    return Played(
        out.arrived_hour - out.late_of_hour,
        every_hour,
        out.arrived_hour,
        out.late,
        out.backlog,
        out.arrived_path - out.late_of_path.T,
        out.arrived_path - out.late_path,
        out.arrived_path,
        out.arrived_path + out.again_path,
        out.arrived_path - out.strained_path + out.served_path,
        out.dropped_path,
        out.waiting_path,
        machines,
        waiting,
        np.moveaxis(out.ready, 0, -1),
    )


def _fleet(task: Task, rungs: Ladder) -> Fleet:
    """What does not change while a task is played, as arrays for the compiled steps; tables by
    number of replicas are padded to one width.
    """
    kinds = task.kinds
    most = max(len(k.bears_rps) for k in kinds)
    sizes = np.arange(most)
    limit = np.zeros((len(task.bounds), len(kinds), most))
    for q, table in enumerate(task.tables):
        limit[:, q] = table.limit[:, table.row(sizes.astype(np.float64))] * sizes
    pad = [np.pad(k.saturation_rps, (0, most - len(k.saturation_rps)), mode="edge") for k in kinds]
    weight = [np.pad(k.bears_rps, (0, most - len(k.bears_rps)), mode="edge") for k in kinds]
    return Fleet(
        np.ascontiguousarray(task.scheduled, dtype=np.int32),
        np.ascontiguousarray(rungs.counts, dtype=np.int32),
        rungs.bears_rps,
        rungs.rung_of,
        rungs.size,
        np.stack(pad),
        np.stack(weight),
        limit,
        np.zeros_like(task.start) if task.policy == "ideal" else task.start,
        np.array([k.spot for k in kinds]),
        task.hazard * (1 - task.ops.shock_share) * task.ops.step_s / 3600 * task.ops.interruptions,
        task.zones,
    )


def unit_rps(task: Task, rungs: Ladder) -> float:
    """Requests/s at which one unit of the autoscaler is always busy: the mean over the kinds."""
    pairs = zip(task.kinds, rungs.size, strict=True)
    each = [float(k.saturation_rps[1]) / s for k, s in pairs if len(k.saturation_rps) > 1]
    return float(np.mean(each)) if each else 0.0


def rule_of(task: Task, rungs: Ladder) -> Rule:
    """The numbers of the autoscaler that a task is played with; counts are units of its smallest
    replica.
    """
    ops = task.ops
    down = int(np.ceil(task.scale_down_s / ops.step_s))
    units = rungs.units
    low, high = _kept(task.target_percent, ops.tolerance_share)
    each = unit_rps(task, rungs)
    metric = METRICS["requests_arriving" if task.policy == "keda" else ops.metric]
    goals = {PODS: np.floor(each * task.target_percent * 10), AVERAGE: each * task.target_percent / 100}
    goal = float(max(goals.get(metric, task.target_percent), 1e-9))
    return Rule(
        KINDS[task.policy],
        metric,
        goal,
        task.target_percent,
        ops.tolerance_share,
        low,
        high,
        float(np.round(units[0])),
        float(np.round(units[-1])),
        int(UP_WINDOW_S // ops.step_s),
        down,
        *_policies(HPA_UP),
        *_policies(HPA_DOWN),
        0,
        task.retries,
        TIMEOUT_S,
        ops.step_s,
        ops.load_factor,
        max(task.burst, 1.0),
    )


def _kept(target: float, tolerance: float) -> tuple[float, float]:
    """The least and the most whole per cents at which the autoscaler keeps what there is.

    >>> _kept(50.0, 0.11)
    (45.0, 55.0)
    """
    percent = np.arange(101.0)
    kept = percent[np.abs(1.0 - percent / target) <= tolerance]
    return (float(kept[0]), float(kept[-1])) if len(kept) else (np.inf, -np.inf)


def _policies(rows: Policies) -> tuple[Ints, Floats, Floats]:
    kinds, values, periods = zip(*rows, strict=True)
    return np.array(kinds, dtype=np.int64), np.array(values), np.array(periods)


def together(parts: list[Played]) -> Played:
    """Blocks of one task, in order."""

    def joined(name: str, axis: int | None) -> Any:
        arrays = [getattr(p, name) for p in parts]
        return sum(arrays[1:], arrays[0]) if axis is None else np.concatenate(arrays, axis=axis)

    hourly = ("within_hour", "every_hour", "arrived_hour", "late", "backlog", "starting")
    paths = sum(len(p.every_path) for p in parts)
    found = {n: joined(n, None if n in hourly else -1) for n in Played.__dataclass_fields__}
    found["backlog"], found["starting"] = found["backlog"] / paths, found["starting"] / paths
    return Played(**found)


def nothing(task: Task) -> Played:
    """Where nothing runs every request is late."""
    paths, hours = task.rate.shape
    volume = task.rate.astype(np.float64) * 3600.0 * task.ops.load_factor
    bounds, late = len(task.bounds), np.zeros((6, hours))
    late[0] = volume.sum(axis=0)
    per = volume.sum(axis=1)
    zero = np.zeros
    return Played(
        zero((bounds, hours)),
        zero(hours),
        volume.sum(axis=0),
        late,
        zero(hours),
        zero((bounds, paths)),
        zero(paths),
        per,
        per,
        zero(paths),
        per,
        zero(paths),
        zero((0, hours, paths), dtype=np.float32),
        zero(hours),
        zero((0, hours, paths), dtype=np.int32),
    )
