"""The Kubernetes horizontal pod autoscaler, of pods and changes by name: metric → desired replicas
→ windows → rate limits.

The arithmetic is that of :mod:`planner.simulator.rules`, which also drives the replay.  Source:
kubernetes/kubernetes ``pkg/controller/podautoscaler`` (rules of v1.20, with the later joint
treatment of both windows and of events of the other direction), 2020 to 2025.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import PlannerError
from planner.simulator import rules

TOLERANCE = 0.1
REASONS = ("DesiredWithinRange", "ScaleUpLimit", "ScaleDownLimit", "TooManyReplicas", "TooFewReplicas")
SELECT = {"Max": rules.MOST_CHANGE, "Min": rules.LEAST_CHANGE, "Disabled": rules.NO_CHANGE}


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
    group = _Group.of(pods, cpu=True)
    if not group.request:
        raise PlannerError("no pod has both a metric and a request", where="autoscaler")
    return group.wanted(True, current, target_percent, tolerance)


def desired_from_pods(current: int, target: int, pods: Sequence[Pod], tolerance: float = TOLERANCE) -> tuple[int, int]:
    """Replicas wanted by a per-pod metric with an average ``target``, and the floor of the mean
    seen.  Raises :class:`PlannerError` if no pod has a usable metric.
    """
    return _Group.of(pods, cpu=False).wanted(False, current, target, tolerance)


@dataclass(frozen=True)
class _Group:
    """Pods as the arithmetic counts them; ``absent`` is a metric whose pod does not exist."""

    ready: int
    metrics: int
    usage: int
    request: int
    unready: int
    unready_request: int
    missing: int
    missing_request: int

    @classmethod
    def of(cls, pods: Sequence[Pod], *, cpu: bool) -> "_Group":
        """Sort pods into those that count, the unready and the missing; the failed and deleting
        count for nothing.

        Raises :class:`PlannerError` where no pod has a usable metric.
        """
        kinds = [_kind(pod, cpu) for pod in pods]
        counts, unready, missing = ([p for p, k in zip(pods, kinds, strict=True) if k == w] for w in (0, 1, 2))
        if not counts:
            raise PlannerError("no pod has a usable metric", where="autoscaler")
        real = [p for p in counts if p.state != "absent"]
        # a metric without a pod has no request to be compared with
        summed = real if cpu else counts
        return cls(
            len(real),
            len(counts),
            sum(p.usage or 0 for p in summed),
            sum(p.request or 0 for p in real),
            len(unready),
            sum(p.request or 0 for p in unready),
            len(missing),
            sum(p.request or 0 for p in missing),
        )

    def wanted(self, per_cent: bool, current: int, target: int, tolerance: float) -> tuple[int, int]:
        """Replicas wanted and the metric seen."""
        found, seen = rules.wanted(
            per_cent,
            float(current),
            float(target),
            tolerance,
            float(self.ready),
            float(self.metrics),
            float(self.usage),
            float(self.request),
            float(self.unready),
            float(self.unready_request),
            float(self.missing),
            float(self.missing_request),
        )
        return int(found), int(seen)


def _kind(pod: Pod, cpu: bool) -> int:
    """0 counts, 1 unready, 2 missing, 3 for nothing."""
    if pod.state in ("failed", "deleting"):
        return 3
    if pod.state == "pending" or (cpu and pod.usage is not None and pod.state in ("unready", "initialising")):
        return 1
    return 2 if pod.usage is None else 0


def desired_from_value(
    current: int, target: int, value: int, ready: int, tolerance: float = TOLERANCE
) -> tuple[int, int]:
    """Replicas wanted by one metric of the whole object with a target value, and the value; from
    zero replicas, ⌈value/target⌉.
    """
    return int(rules.wanted_of_value(float(current), float(target), float(value), float(ready), tolerance)), value


def desired_from_average(current: int, target: int, value: int, tolerance: float = TOLERANCE) -> tuple[int, int]:
    """Replicas wanted by one metric shared by all pods with a target average, and the mean seen
    (rounded up).
    """
    wanted = int(rules.wanted_of_average(float(current), float(target), float(value), tolerance))
    return wanted, -(-value // current) if current else value


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
    low = min([desired, *(r.replicas for r in recommendations if r.age_s < up_window_s)])
    high = max([desired, *(r.replicas for r in recommendations if r.age_s < down_window_s)])
    return int(rules.stabilized(float(current), float(low), float(high)))


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
    bounds = [
        rules.bound(float(current), *as_arrays(policies), _shifts(policies, added, removed), SELECT[select], sign)
        for policies, sign in ((up, 1), (down, -1))
    ]
    found, reason = rules.limited(float(current), float(desired), float(minimum), float(maximum), *bounds)
    return int(found), REASONS[reason]


def as_arrays(policies: Sequence[Policy]) -> tuple[Ints, Floats]:
    """Kinds and values of rate policies."""
    kinds = {"Pods": rules.PODS, "Percent": rules.PERCENT}
    return (
        np.array([kinds[p.kind] for p in policies], dtype=np.int64),
        np.array([p.value for p in policies], dtype=np.float64),
    )


def _shifts(policies: Sequence[Policy], added: Sequence[Change], removed: Sequence[Change]) -> Floats:
    """Removed − added within each policy's period."""
    return np.array(
        [
            sum(c.replicas for c in removed if c.age_s < p.period_s)
            - sum(c.replicas for c in added if c.age_s < p.period_s)
            for p in policies
        ],
        dtype=np.float64,
    )
