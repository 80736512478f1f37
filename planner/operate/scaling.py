"""The settings of the autoscaler that the replay plays, as numbers a manifest can hold.

The replay counts in units of the smallest replica of a service (a larger machine is several),
scales on the rate over the rate at which they saturate, and so its target is a rate of one unit.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.arrays import Floats
from planner.simulator.fleet import Pool, Task, task_of
from planner.simulator.operations import Operations
from planner.simulator.played import HPA_DOWN, HPA_UP, UP_WINDOW_S, Policies, rule_of, unit_rps

if TYPE_CHECKING:
    from planner.study import Study


@dataclass(frozen=True)
class Scaling:
    """How the replicas of a service follow its load.

    ``policy`` follow, scheduled or static; ``autoscaler`` hpa, target_tracking or keda;
    ``least`` and ``most`` [units]; ``target_share`` of saturation and ``target_rps`` of one
    unit [requests/s], held within ``tolerance_share``; ``up_window_s``, ``down_window_s`` [s];
    rate policies (0 pods or 1 per cent, value, period [s]). ``unit``: the machine that one unit
    is a replica of. Of one unit, the least over the machines that run [requests/s]:
    ``usable_rps`` it may be loaded with, ``limit_rps`` up to which every objective holds,
    ``saturation_rps`` it serves at all.
    """

    service: str
    policy: str
    autoscaler: str
    least: float
    most: float
    target_share: float
    target_rps: float
    tolerance_share: float
    down_window_s: float
    unit: Pool
    usable_rps: float
    limit_rps: float
    saturation_rps: float
    up_window_s: float = UP_WINDOW_S
    up: Policies = HPA_UP
    down: Policies = HPA_DOWN


def scaling_of(study: "Study", service: str) -> Scaling | None:
    """The settings of one service; ``None`` where the plan runs nothing for it.

    They are read from the task that the replay plays, not from the scenario, so what the scenario
    leaves open (the target, the most replicas) is what was played.  Where machines differ, one unit
    is what the smallest bears, and the figures of one unit are the least over all kinds: a limit held
    by each unit is held by every machine.  Raises as :func:`planner.simulate`.
    """
    s, plan = study.scenario, study.plan
    first = study.load.select([0])  # what strikes the paths plays no part here
    task = task_of(service, plan, s, first, study.capacity, Operations(seed=s.seed))
    if task.ladder is None:
        return None
    rule, size = rule_of(task, task.ladder), task.ladder.size
    smallest = int(np.argmin(size))
    settings = s.services[service].autoscaling
    usable, limit, saturation = (float((v / size).min()) for v in _of_one(task))
    return Scaling(
        service,
        settings.policy,
        settings.autoscaler,
        float(rule.least),
        float(rule.most),
        float(rule.target) / 100,
        unit_rps(task, task.ladder) * task.target_percent / 100,
        float(rule.tolerance),
        float(settings.scale_down_delay_s),
        task.pools[smallest],
        usable,
        limit,
        saturation,
    )


def _of_one(task: Task) -> tuple[Floats, Floats, Floats]:
    """By kind, of one replica: what it may be loaded with, the objectives' limit, saturation."""
    worth = np.array([k.spot_yield if k.spot else 1.0 for k in task.kinds])
    usable = np.array([_alone(k.bears_rps) for k in task.kinds]) * worth
    limit = np.array([float(t.limit[:, 0].min()) for t in task.tables])
    return usable, limit, np.array([_alone(k.saturation_rps) for k in task.kinds])


def _alone(values: Floats) -> float:
    return float(values[1]) if len(values) > 1 else float("inf")
