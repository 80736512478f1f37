"""Facts about the Kubernetes autoscaler through the code that drives the replay: a fact becomes the
state of one path, and the replay's own compiled step decides.
"""

import math
from dataclasses import dataclass

import numpy as np

from planner.simulator import autoscaler, kernel, rules
from planner.simulator.compiling import bare
from planner.simulator.records import (
    AVERAGE,
    EVENT_MEMORY,
    HPA,
    PODS,
    RESOURCE,
    VALUE,
    Fleet,
    Rule,
    Seen,
    State,
    Strikes,
)

METRICS = {"resource_utilization": RESOURCE, "pods_average": PODS}
REASONS = ("DesiredWithinRange", "ScaleUpLimit", "ScaleDownLimit", "TooManyReplicas", "TooFewReplicas")
SELECT = {"Max": rules.MOST_CHANGE, "Min": rules.LEAST_CHANGE, "Disabled": rules.NO_CHANGE}
FREE = "Pods:1000000:15|Percent:1000000:15"
STEP_S = 1.0  # ages in facts are whole seconds
NOW = 100_000  # the step that decides: long after the first


# doors for the interpreter to what only compiled code may call
@bare
def wish_of(p, was, seen, r, s):
    return autoscaler.wish_of(p, was, seen, r, s)


@bare
def decide(p, step, was, seen, r, s):
    return autoscaler.decide(p, step, was, seen, r, s)


@bare
def _remembered_and_settled(p, step, desired, wish, r, s):
    autoscaler.remember(p, wish, s)
    return autoscaler.settled(p, step, desired, wish, r, s)


@dataclass(frozen=True)
class Pod:
    """``state`` as the facts name it (``absent``: a metric that belongs to no pod); usage and request
    in one unit, no usage = no metric.
    """

    state: str = "ready"
    usage: int | None = None
    request: int | None = None


def counted(pods: list[Pod], *, cpu: bool) -> Seen:
    """Pods as Kubernetes counts them: the failed and deleting for nothing, the pending as unready (for
    CPU also those not or not yet ready), those without a value as missing.
    """
    told = [p for p in pods if p.state not in ("failed", "deleting")]
    late = {"unready", "initialising"}
    waiting = [p for p in told if p.state == "pending" or (cpu and p.usage is not None and p.state in late)]
    missing = [p for p in told if p not in waiting and p.usage is None]
    counts = [p for p in told if p not in waiting and p.usage is not None]
    real = [p for p in counts if p.state != "absent"]
    requests = [float(sum(p.request or 0 for p in group)) for group in (real, waiting, missing)]
    usage = float(sum(p.usage for p in (real if cpu else counts)))
    return Seen(
        float(len(real)), float(len(counts)), usage, requests[0], float(len(waiting)), requests[1],
        float(len(missing)), requests[2],
    )  # fmt: skip


def rule(
    *,
    metric=RESOURCE,
    target=50.0,
    tolerance=0.1,
    least=0,
    most=10**9,
    up_window_s=0,
    down_window_s=0,
    up=FREE,
    down=FREE,
    select="Max",
) -> Rule:
    """The autoscaler of a fact; rate policies as ``Pods:4:15|Percent:100:15``."""
    windows = [math.ceil(w / STEP_S) for w in (up_window_s, down_window_s)]
    return Rule(
        HPA, metric, float(target), float(target), tolerance, 0.0, 0.0, float(least), float(most), *windows,
        *policies(up), *policies(down), SELECT[select], 0, 15.0, STEP_S, 1.0, 1.0,
    )  # fmt: skip


def policies(text):
    rows = [part.split(":") for part in text.split("|") if part]
    kinds = {"Pods": rules.PODS, "Percent": rules.PERCENT}
    return (
        np.array([kinds[k] for k, _, _ in rows], dtype=np.int64),
        np.array([float(v) for _, v, _ in rows]),
        np.array([float(s) for _, _, s in rows]),
    )


def state(r: Rule, wish: float = 0.0, recommendations=(), changes=()) -> State:
    """A path whose autoscaler made these recommendations and changes, (age [s], replicas) each.

    Between recommendations it asked for ``wish``, what it asks for now: that bounds nothing.
    """
    one = np.ones((1, 256), dtype=np.int64)
    zeros = [np.zeros((1, 2))] * 2 + [np.zeros((1, 1, 2))]
    small = np.zeros((1, 1), dtype=np.int32)
    fleet = Fleet(small, small, np.ones(1), one[0], np.ones(1), *zeros, one, np.zeros(1, dtype=bool), np.ones(1), 1)
    none = Strikes(np.zeros(2, dtype=np.int64), *[np.zeros(0, dtype=np.int64)] * 5)
    s = kernel.at_rest(1, fleet, r, none)
    slots = s.wishes.shape[1]
    s.wishes[:], s.slot[0] = wish, slots - 1
    for age, replicas in recommendations:
        if age < slots * STEP_S:
            s.wishes[0, int(slots - age / STEP_S) % slots] = replicas
    for age, replicas in sorted(changes, reverse=True):
        s.when[0, s.head[0]], s.amount[0, s.head[0]] = NOW * STEP_S - age, replicas
        s.head[0] = (s.head[0] + 1) % EVENT_MEMORY
    return s


def asked(kind, current, target, tolerance, seen):
    """(replicas or ``error``, metric seen) that a metric of this kind asks for."""
    metric = METRICS.get(kind, VALUE if kind.endswith("_value") else AVERAGE)
    r = rule(metric=metric, target=target, tolerance=tolerance)
    s = state(r)
    found, value = wish_of(0, float(current), seen, r, s)
    if np.isnan(value):
        return "error", ""
    # with nothing in the way of it, the step decides for what the metric asks
    assert decide(0, NOW, float(current), seen, r, s) == found
    return int(found), int(value)


def settled(current, desired, r, *, recommendations=(), changes=()):
    """(replicas, limit met) after windows, rate policies and limits, of a step that asks for ``desired``."""
    s = state(r, float(desired), recommendations, changes)
    found, reason = _remembered_and_settled(0, NOW, float(current), float(desired), r, s)
    return int(found), REASONS[reason]
