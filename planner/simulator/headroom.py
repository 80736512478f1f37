"""Headroom assumed against needed: what sizing keeps free of the always-busy rate, cause by cause,
and what the replay shows to have been needed.

Symbols: u load over the always-busy rate as planned, 1 − Σ assumed; F the smallest multiple of the
plan's fleet (its target of utilization over F, or F times its machines) with which the replay holds
every objective in every hour; F_c the same without cause c.  Needed in all is 1 − u/F, for cause c
u·(1/F_c − 1/F).  Causes act together, so their needs need not add up to the whole.  It holds for
the machines that the plan runs, to about 3 % of the fleet, and on the paths that are played: what
happens more rarely is not seen to be needed.

F says nothing where whole replicas are coarser than what is asked: a fleet of one replica is one
replica at every F.  So no need is known where the smallest fleet tried still holds, where the largest
does not, or where what follows is no share: F < u is a fleet that is loaded beyond always busy on
paper and holds, as its replicas are rounded up or a minimum of them runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from planner.capacity import Capacity
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator.breaks import bears
from planner.simulator.fleet import Task, task_of
from planner.simulator.operations import Operations
from planner.simulator.replay import play_all, shares, typed

LEAST, MOST, CLOSE = 1 / 16, 4.0, 1.03  # fleets that are tried, and how closely
_POOL = ["service", "provider", "region", "instance_type", "deployment"]
ALL = "all"

# what the replay does without to see what a cause needs
_WITHOUT: dict[str, dict[str, Any]] = {
    "scale_up_lag": {"scale_up_delay_s": 0.0},
    "retries": {"retries": 0},
    "failure": {"zone_losses_per_year": 0.0, "zone_lost_at_peak": False},
    "interruption": {"interruptions": False},
}


def headroom(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    *,
    operations: Operations | None = None,
    paths: int = 10,
) -> pd.DataFrame:
    """Headroom of each service by cause, as sized and as the replay needed it
    (``replay.headroom``), on the first ``paths`` paths.

    Where the plan must survive the loss of a zone, one is lost in the busiest hour.  ``cause``
    ``all`` is the whole; ``needed_share`` is NaN for what the replay does not play (the error of
    the model), and where whole replicas hide it.  Raises as :func:`planner.simulate`.
    """
    load = load.select(np.arange(min(paths, load.paths)))
    ops = operations or Operations(seed=scenario.seed)
    if scenario.limits.zones_lost:
        ops = replace(ops, zone_lost_at_peak=True)

    def play(name: str, factor: float, **changes: Any) -> Task:
        changed = replace(ops, fleet_factor=ops.fleet_factor * factor, **changes)
        return task_of(name, plan, scenario, load, capacity, changed)

    rows = [row for name in scenario.services for row in _rows(name, plan, capacity, play)]
    return typed("replay.headroom", [{**row, "paths": load.paths} for row in rows])


def _rows(name: str, plan: Plan, capacity: Capacity, play: Callable[..., Task]) -> Iterator[dict[str, Any]]:
    kept, task = _assumed(name, plan, capacity), play(name, 1.0)
    if task.ladder is None or not kept:
        return
    used = 1.0 - sum(kept.values())
    fleet = _least(lambda f: _holds(play(name, f)))
    whole = _known(1 - used / fleet, fleet)
    yield _row(name, ALL, 1 - used, whole, (fleet, fleet))
    for cause, share in kept.items():
        without = _least_without(cause, task, fleet, play)
        needed = used * float(np.maximum(1 / without - 1 / fleet, 0.0))
        known = _known(needed, without) if whole == whole else float("nan")
        yield _row(name, cause, share, known, (without, fleet))


def _known(share: float, fleet: float) -> float:
    """A share that was needed, if the fleet that tells it is within those tried, and it is a share."""
    return share if LEAST < fleet < MOST and 0 <= share <= 1 else float("nan")


def _row(name: str, cause: str, assumed: float, needed: float, fleets: tuple[float, float]) -> dict[str, Any]:
    """One line of the table, and what it says; ``fleets``: the smallest that holds without the cause,
    and with everything played.
    """
    if fleets[0] != fleets[0]:
        said = "not played: kept on trust"
    elif max(fleets) >= MOST:
        said = f"not known: no fleet up to {MOST:g} times the plan's holds every hour"
    elif needed != needed:
        said = "not known: what runs, in whole replicas, bears more than it is sized for"
    elif needed > assumed + 0.005:
        said = f"{100 * (needed - assumed):.0f} points short"
    else:
        said = f"{100 * (assumed - needed):.0f} points more than the replay needed"
    found = {"service": name, "cause": cause, "assumed_share": assumed, "needed_share": needed}
    return {**found, "fleet_multiplier": fleets[0], "sentence": said}


def _assumed(name: str, plan: Plan, capacity: Capacity) -> dict[str, float]:
    """Share of the always-busy rate kept free by cause, mean over the machine-hours that run."""
    runs = plan.schedule[plan.schedule["service"] == name]
    hours = (runs["replicas"] * runs["weight_h"]).groupby([runs[c] for c in _POOL], observed=True).sum()
    rows = capacity.headroom.merge(hours.rename("machine_h").reset_index(), on=_POOL)
    whole = float(hours.sum())
    by = (rows["headroom_share"] * rows["machine_h"]).groupby(rows["cause"], observed=True, sort=False).sum()
    return {str(cause): float(v) / whole for cause, v in by.items()} if whole > 0 else {}


def _least_without(cause: str, task: Task, fleet: float, play: Callable[..., Task]) -> float:
    """The smallest fleet that holds where a cause is left out; NaN where it is not played."""
    name = task.service
    if cause == "burst":
        return _least(lambda f: _holds(replace(play(name, f), burst=1.0)), fleet)
    if cause == "queueing":  # the objective is met up to saturation itself
        busy = bears(task, task.scheduled[[int(task.planned_rps.argmax())]])
        return fleet * float(busy.limit.min()) / float(busy.saturation[0]) if busy.limit.min() > 0 else float("nan")
    if cause not in _WITHOUT:
        return float("nan")
    return _least(lambda f: _holds(play(name, f, **_WITHOUT[cause])), fleet)


def _least(holds: Callable[[float], bool], known: float = 1.0) -> float:
    """The smallest fleet that holds, within 3 %; the search begins at ``known``."""
    low = high = known
    if holds(known):
        while low > LEAST and holds(low := low / 1.25):
            high = low
    else:
        while high < MOST and not holds(high := high * 1.25):
            low = high
    while high > low * CLOSE:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if holds(middle) else (middle, high)
    return min(high, MOST)


def _holds(task: Task) -> bool:
    """Whether in every hour as many requests are in time as each bound's percentile asks, all paths
    together.
    """
    [played] = play_all([task])
    found = shares(played.within_hour, np.broadcast_to(played.arrived_hour, played.within_hour.shape)).min(axis=1)
    return all(share >= quantile for share, (_, _, quantile, _) in zip(found, task.bounds, strict=True))
