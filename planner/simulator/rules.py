"""The arithmetic of autoscalers, compiled: it drives every step of a replay, and the facts of
Kubernetes are proved on it.

Counts and metrics are whole numbers held in doubles: ⌊a/b⌋ of whole a, b below 2⁵³ is exact in
floating point, since a/b lies at least 1/b below the next whole number.  Sources:
kubernetes/kubernetes ``pkg/controller/podautoscaler`` (rules of v1.20, with the later joint
treatment of both windows), 2020 to 2025; *How target tracking scaling for Application Auto Scaling
works*, AWS, 2025 (alarms of 3 and 15 one-minute periods).
"""

import numpy as np

from planner.arrays import Floats, Ints
from planner.simulator.compiling import within
from planner.simulator.records import AVERAGE, RESOURCE, VALUE, Seen

PODS, PERCENT = 0, 1
MOST_CHANGE, LEAST_CHANGE, NO_CHANGE = 0, 1, 2
WITHIN, UP_LIMIT, DOWN_LIMIT, TOO_MANY, TOO_FEW = 0, 1, 2, 3, 4
# target tracking: minutes above the target before more are ordered, minutes below nine tenths of it
# before fewer are kept
ALARM_UP, ALARM_DOWN, LOW_SHARE = 3, 15, 0.9


@within
def asked(metric: int, current: float, target: float, tolerance: float, seen: Seen) -> tuple[float, float]:
    """Replicas that a metric of any kind asks for, and what was seen of it.

    No change, and NaN seen, where no pod has a metric (or, of a resource, none has a request).
    """
    if metric == AVERAGE:
        mean = np.ceil(seen.usage / current) if current > 0 else seen.usage
        return wanted_of_average(current, target, seen.usage, tolerance), mean
    if metric == VALUE:
        return wanted_of_value(current, target, seen.usage, seen.ready, tolerance), seen.usage
    if seen.metrics <= 0 or (metric == RESOURCE and seen.request <= 0):
        return current, np.nan
    return wanted(metric == RESOURCE, current, target, tolerance, seen)


@within
def _metric(per_cent: bool, usage: float, request: float, metrics: float) -> float:
    """⌊100·usage/request⌋ [%] of a resource, or the floor of the mean of a metric of pods."""
    found: float = np.floor(usage * 100.0 / request) if per_cent else np.floor(usage / metrics)
    return found


@within
def wanted(per_cent: bool, current: float, target: float, tolerance: float, seen: Seen) -> tuple[float, float]:
    """Replicas wanted by a resource (``per_cent``) or pods metric, and the metric seen.

    The unready count 0 scaling out; the missing 0 scaling out and all of their request (or the
    target) scaling in; a reversal of direction means no change.
    """
    metrics, usage, request = seen.metrics, seen.usage, seen.request
    found = _metric(per_cent, usage, request, metrics)
    ratio = found / target
    count_unready = seen.unready > 0 and ratio > 1.0
    if not count_unready and seen.missing == 0:
        return (current if abs(1.0 - ratio) <= tolerance else np.ceil(ratio * seen.ready)), found
    if ratio != 1.0:
        metrics += seen.missing
        request += seen.missing_request
        if ratio < 1.0:
            usage += seen.missing_request if per_cent else seen.missing * target
    if count_unready:
        metrics += seen.unready
        request += seen.unready_request
    again = _metric(per_cent, usage, request, metrics) / target
    if abs(1.0 - again) <= tolerance or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current, found
    wish = np.ceil(again * metrics)
    if (again < 1.0 and wish > current) or (again > 1.0 and wish < current):
        return current, found
    return wish, found


@within
def wanted_of_value(current: float, target: float, value: float, ready: float, tolerance: float) -> float:
    """Replicas wanted by one metric of the whole object with a target value; from none,
    ⌈value/target⌉.
    """
    ratio = value / target
    if current > 0 and abs(1.0 - ratio) <= tolerance:
        return current
    found: float = np.ceil(ratio * ready) if current > 0 else np.ceil(ratio)
    return found


@within
def wanted_of_average(current: float, target: float, value: float, tolerance: float) -> float:
    """Replicas wanted by one metric shared by all pods with a target average; from none,
    ⌈value/target⌉.
    """
    if current > 0 and abs(1.0 - value / (target * current)) <= tolerance:
        return current
    found: float = np.ceil(value / target)
    return found


@within
def stabilized(current: float, lowest: float, highest: float) -> float:
    """The ``lowest`` recommendation of the up window bounds an increase, the ``highest`` of
    the down window a decrease.

    What stands at ``current`` is moved no further than into [lowest, highest]: it rises only if
    all of the up window asked for more, and falls only if all of the down window asked for less.
    """
    return min(max(current, lowest), highest)


@within
def bound(current: float, kinds: Ints, values: Floats, shifts: Floats, select: int, sign: int) -> float:
    """How far the rate policies allow a change of direction ``sign``.

    ``shifts``: removed − added within each policy's period, so start = current + shift: start ±
    pods, or ⌈start·(1 + p/100)⌉ upwards and ⌊start·(1 − p/100)⌋ downwards.
    """
    if select == NO_CHANGE or kinds.size == 0:
        return current
    best = np.nan
    for k in range(kinds.size):
        start = current + shifts[k]
        if kinds[k] == PODS:
            found = start + sign * values[k]
        else:
            moved = start * (1 + sign * values[k] / 100)
            found = np.ceil(moved) if sign > 0 else np.trunc(moved)
        # the most change is the highest bound upwards and the lowest downwards
        higher = (select == LEAST_CHANGE) == (sign < 0)
        if best != best or (found > best if higher else found < best):
            best = found
    return best


@within
def limited(
    current: float, desired: float, minimum: float, maximum: float, up: float, down: float
) -> tuple[float, int]:
    """Replicas allowed between the limits and the rate bounds ``up`` and ``down``, and the limit
    that was met.
    """
    if desired > current:
        top, reason = (max(current, up), UP_LIMIT) if maximum > max(current, up) else (maximum, TOO_MANY)
        return (top, reason) if desired > top else (desired, WITHIN)
    if desired < current:
        low, reason = (min(current, down), DOWN_LIMIT) if minimum < min(current, down) else (minimum, TOO_FEW)
        return (low, reason) if desired < low else (desired, WITHIN)
    return desired, WITHIN


@within
def tracked(
    current: float, target: float, metric: float, above: int, below: int, minimum: float, maximum: float
) -> tuple[float, int, int]:
    """Target tracking after one more minute of ``metric``: replicas, and
    minutes so far above and below.

    Out after :data:`ALARM_UP` minutes above the target, in after :data:`ALARM_DOWN` below
    :data:`LOW_SHARE` of it, each to ⌈current·metric/target⌉ and counted anew. Between
    :data:`LOW_SHARE` of the target and the target nothing ever moves.
    """
    above = above + 1 if metric > target else 0
    below = below + 1 if metric < target * LOW_SHARE else 0
    if above >= ALARM_UP or below >= ALARM_DOWN:
        found = np.ceil(current * metric / target)
        return min(max(found, minimum), maximum), 0, 0
    return current, above, below
