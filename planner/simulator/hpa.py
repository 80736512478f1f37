"""The Kubernetes horizontal pod autoscaler as pure functions: metric → desired replicas → windows →
rate limits.

Integer arithmetic as Kubernetes does it.  Source: kubernetes/kubernetes
``pkg/controller/podautoscaler`` (rules of v1.20, with the later joint treatment of both windows and
of events of the other direction), 2020 to 2025.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from planner.errors import PlannerError

TOLERANCE = 0.1


@dataclass(frozen=True)
class Pod:
    """One pod: ``state`` (ready, unready, initialising, pending, failed, deleting), usage and
    request in one unit; no usage = no metric.
    """

    state: str = "ready"
    usage: int | None = None
    request: int | None = None


@dataclass(frozen=True)
class Policy:
    """At most ``value`` pods (``kind`` Pods) or per cent (``kind`` Percent) in ``period_s`` [s]."""

    kind: str
    value: int
    period_s: int


@dataclass(frozen=True)
class Change:
    """A past change of ``replicas`` pods, or a past recommendation of ``replicas``, ``age_s`` [s]
    ago.
    """

    age_s: float
    replicas: int


UP_POLICIES = (Policy("Pods", 4, 15), Policy("Percent", 100, 15))
DOWN_POLICIES = (Policy("Percent", 100, 15),)
DOWN_WINDOW_S = 300.0


def desired_from_utilization(
    current: int, target_percent: int, pods: Sequence[Pod], tolerance: float = TOLERANCE
) -> tuple[int, int]:
    """Replicas wanted by a resource target [% of request] and the utilization [%] seen.

    Utilization = ⌊100·Σusage/Σrequest⌋.  Raises :class:`PlannerError` if no pod has a usable
    metric.
    """

    def ratio(usage: Mapping[int, int]) -> tuple[float, int]:
        known = [k for k in usage if k < len(pods) and pods[k].state != "absent"]
        request = sum(pods[k].request or 0 for k in known)
        if not request:
            raise PlannerError("no pod has both a metric and a request", where="autoscaler")
        percent = sum(usage[k] for k in known) * 100 // request
        return percent / target_percent, percent

    return _from_pods(current, pods, ratio, lambda k: pods[k].request or 0, tolerance, cpu=True)


def desired_from_pods(current: int, target: int, pods: Sequence[Pod], tolerance: float = TOLERANCE) -> tuple[int, int]:
    """Replicas wanted by a per-pod metric with an average ``target``, and the floor of the mean
    seen.
    """

    def ratio(usage: Mapping[int, int]) -> tuple[float, int]:
        mean = sum(usage.values()) // len(usage)
        return mean / target, mean

    return _from_pods(current, pods, ratio, lambda _: target, tolerance, cpu=False)


def _from_pods(
    current: int,
    pods: Sequence[Pod],
    ratio_of: Callable[[Mapping[int, int]], tuple[float, int]],
    assumed: Callable[[int], int],
    tolerance: float,
    *,
    cpu: bool,
) -> tuple[int, int]:
    """Replicas by a rule on all pods: unready count 0 scaling out, missing 0 scaling out,
    ``assumed`` scaling in; no reversal.
    """
    ready, unready, missing = _sorted_out(pods, cpu)
    usage = dict(ready)
    if not usage:
        raise PlannerError("no pod has a usable metric", where="autoscaler")
    ratio, seen = ratio_of(usage)
    count_unready = bool(unready) and ratio > 1.0
    if not count_unready and not missing:
        pods_ready = sum(1 for k in usage if pods[k].state != "absent")
        return (current if abs(1.0 - ratio) <= tolerance else math.ceil(ratio * pods_ready)), seen
    usage |= {k: assumed(k) if ratio < 1.0 else 0 for k in missing if ratio != 1.0}
    usage |= dict.fromkeys(unready if count_unready else (), 0)
    again, _ = ratio_of(usage)
    if abs(1.0 - again) <= tolerance or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current, seen
    wanted = math.ceil(again * len(usage))
    return (current if (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current) else wanted), seen


def _sorted_out(pods: Sequence[Pod], cpu: bool) -> tuple[dict[int, int], list[int], list[int]]:
    """Usage of the pods that count, the unready, the missing.  ``absent`` is a metric whose pod
    does not exist.
    """
    ready: dict[int, int] = {}
    unready, missing = [], []
    for k, pod in enumerate(pods):
        if pod.state in ("failed", "deleting"):
            continue
        if pod.state == "pending" or (cpu and pod.usage is not None and pod.state in ("unready", "initialising")):
            unready.append(k)
        elif pod.usage is None:
            missing.append(k)
        else:
            ready[k] = pod.usage
    return ready, unready, missing


def desired_from_value(
    current: int, target: int, value: int, ready: int, tolerance: float = TOLERANCE
) -> tuple[int, int]:
    """Replicas wanted by one metric of the whole object with a target value, and the value; from
    zero replicas, ⌈value/target⌉.
    """
    ratio = value / target
    if current == 0:
        return math.ceil(ratio), value
    return (current if abs(1.0 - ratio) <= tolerance else math.ceil(ratio * ready)), value


def desired_from_average(current: int, target: int, value: int, tolerance: float = TOLERANCE) -> tuple[int, int]:
    """Replicas wanted by one metric shared by all pods with a target average, and the mean seen
    (rounded up).
    """
    ratio = value / (target * current)
    wanted = current if abs(1.0 - ratio) <= tolerance else math.ceil(value / target)
    return wanted, math.ceil(value / current)


def stabilized(
    current: int,
    desired: int,
    recommendations: Sequence[Change] = (),
    *,
    up_window_s: float = 0.0,
    down_window_s: float = DOWN_WINDOW_S,
) -> int:
    """The lowest recommendation of the up window bounds an increase, the highest of the down window
    bounds a decrease.
    """
    up = min([desired, *(r.replicas for r in recommendations if r.age_s < up_window_s)])
    down = max([desired, *(r.replicas for r in recommendations if r.age_s < down_window_s)])
    return min(max(current, up), down)


def limited(
    current: int,
    desired: int,
    minimum: int,
    maximum: int,
    *,
    up: Sequence[Policy] = UP_POLICIES,
    down: Sequence[Policy] = DOWN_POLICIES,
    select: str = "Max",
    added: Sequence[Change] = (),
    removed: Sequence[Change] = (),
) -> tuple[int, str]:
    """Replicas allowed by ``minimum``, ``maximum`` and the rate policies, and the limiting reason
    in Kubernetes' words.

    A policy counts from start = current − added + removed within its period: start + pods or
    ⌈start·(1 + p/100)⌉ upwards, start − pods or ⌊start·(1 − p/100)⌋ downwards.  ``select`` is Max
    (most change), Min (least) or Disabled.
    """
    if desired > current:
        bound = max(current, _bound(current, up, select, added, removed, 1))
        top, reason = (bound, "ScaleUpLimit") if maximum > bound else (maximum, "TooManyReplicas")
        return (top, reason) if desired > top else (desired, "DesiredWithinRange")
    if desired < current:
        bound = min(current, _bound(current, down, select, added, removed, -1))
        low, reason = (bound, "ScaleDownLimit") if minimum < bound else (minimum, "TooFewReplicas")
        return (low, reason) if desired < low else (desired, "DesiredWithinRange")
    return desired, "DesiredWithinRange"


def _bound(
    current: int, policies: Sequence[Policy], select: str, added: Sequence[Change], removed: Sequence[Change], sign: int
) -> int:
    if select == "Disabled" or not policies:
        return current
    proposed = []
    for policy in policies:
        start = (
            current
            + sum(c.replicas for c in removed if c.age_s < policy.period_s)
            - sum(c.replicas for c in added if c.age_s < policy.period_s)
        )
        if policy.kind == "Pods":
            proposed.append(start + sign * policy.value)
        else:
            moved = start * (1 + sign * policy.value / 100)
            proposed.append(math.ceil(moved) if sign > 0 else math.trunc(moved))
    # the most change is the highest bound upwards and the lowest downwards
    return max(proposed) if (select == "Min") == (sign < 0) else min(proposed)
