"""The autoscaler of a path looks at a step and orders.  Compiled into the steps of
:mod:`planner.simulator.kernel`.

The rules are those of :mod:`planner.simulator.rules`, which the facts of the Kubernetes project are
held against; here they meet the state of a path: its recommendations so far (a ring of the longest
window), its own changes (for the rate policies) and the minutes that an alarm has stood.
"""

import numpy as np

from planner.arrays import Floats, Ints
from planner.simulator import rules
from planner.simulator.compiling import within
from planner.simulator.machines import aim
from planner.simulator.records import (
    AVERAGE,
    EVENT_MEMORY,
    HPA,
    KEDA,
    PODS,
    RESOURCE,
    TRACKING,
    VALUE,
    Fleet,
    Rule,
    Seen,
    State,
)

_SYNC_S = 15.0


@within
def settled(p: int, step: int, desired: float, wish: float, rule: Rule, s: State) -> tuple[float, int]:
    """Replicas after this step's syncs and the limit that the last met: windows, rate policies,
    limits (Kubernetes).

    ``wish`` is this step's recommendation, ``desired`` what stands. The recommendations of each
    window bound it, then each sync of 15 s within the step moves as far as the rate policies
    allow and notes its change, until nothing moves.
    """
    low, high, reason = wish, wish, rules.WITHIN
    slot = s.slot[p]
    for _ in range(min(rule.up_window, step + 1)):
        low = min(low, s.wishes[p, slot])
        slot = slot - 1 if slot > 0 else s.wishes.shape[1] - 1
    if wish < desired:
        slot = s.slot[p]
        for _ in range(min(rule.down_window, step + 1)):
            high = max(high, s.wishes[p, slot])
            if high >= desired:
                break
            slot = slot - 1 if slot > 0 else s.wishes.shape[1] - 1
    for sync in range(max(1, int(rule.step_s / _SYNC_S))):
        goal = rules.stabilized(desired, low, high)
        if goal == desired and rule.least <= desired <= rule.most:
            break
        at = step * rule.step_s + sync * _SYNC_S
        up = down = desired
        if goal > desired:
            up = _rate(p, at, desired, rule.up_kinds, rule.up_values, rule.up_periods, rule.select, 1, s)
        else:
            down = _rate(p, at, desired, rule.down_kinds, rule.down_values, rule.down_periods, rule.select, -1, s)
        found, reason = rules.limited(desired, goal, rule.least, rule.most, up, down)
        if found == desired:
            break
        s.when[p, s.head[p]], s.amount[p, s.head[p]] = at, found - desired
        s.head[p] = s.head[p] + 1 if s.head[p] < EVENT_MEMORY - 1 else 0
        desired = found
    return desired, reason


@within
def _rate(
    p: int, at: float, desired: float, kinds: Ints, values: Floats, periods: Floats, select: int, sign: int, s: State
) -> float:
    """Bound of the rate policies, from the changes within each one's period.

    Changes are kept in a ring of ``EVENT_MEMORY``; what is older than a period, or fell out of
    the ring, does not count.
    """
    for k in range(periods.size):
        s.shifts[k] = 0.0
        e = s.head[p]
        for _ in range(EVENT_MEMORY):
            e = e - 1 if e > 0 else EVENT_MEMORY - 1
            if at - s.when[p, e] >= periods[k]:
                break
            s.shifts[k] -= s.amount[p, e]
    found: float = rules.bound(desired, kinds, values, s.shifts, select, sign)
    return found


@within
def band(p: int, rule: Rule, s: State) -> tuple[float, float]:
    """Rates [requests/s] between which the autoscaler surely wants what there is, nothing starting:
    kept so far inside its own bounds that rounding decides nothing.
    """
    tolerance, full, ready = rule.tolerance, s.saturation[p] / 100.0, s.units[p, 0]
    low, high = 1.0 - tolerance, 1.0 + tolerance
    if rule.kind == TRACKING:
        return full * rule.target * rules.LOW_SHARE * (1 + 1e-9), full * rule.target * (1 - 1e-9)
    if rule.kind != HPA and rule.kind != KEDA:
        return -np.inf, np.inf
    if rule.metric == RESOURCE:  # a floor of milli-units to whole per cents
        return full * (rule.keep_low + 0.11), full * (rule.keep_high + 1.0) * (1 - 1e-9)
    if rule.metric == AVERAGE:
        whole = rule.goal * s.desired[p]
        return whole * low * (1 + 1e-9), whole * high * (1 - 1e-9)
    if rule.metric == VALUE:
        whole = full * rule.goal
        return whole * low * (1 + 1e-9), whole * high * (1 - 1e-9)
    # a floor of milli-requests, and of their mean
    return (rule.goal * low + 2.0) * ready / 1000.0, rule.goal * high * ready / 1000.0 * (1 - 1e-9)


@within
def remember(p: int, wish: float, s: State) -> None:
    """Keep a recommendation in the place of the oldest."""
    slot = s.slot[p] + 1 if s.slot[p] < s.wishes.shape[1] - 1 else 0
    s.wishes[p, slot] = wish
    s.slot[p] = slot


@within
def rest(p: int, steps: int, s: State) -> None:
    """What steps within the band leave behind."""
    slots = s.wishes.shape[1]
    if steps >= slots:
        for slot in range(slots):
            s.wishes[p, slot] = s.desired[p]
    else:
        for _ in range(steps):
            remember(p, s.desired[p], s)
    s.above[p] = s.below[p] = 0


@within
def _seen(p: int, tried: float, rule: Rule, s: State) -> Seen:
    """What the metric of a step shows.

    Use of a path is min(rate tried / saturation, 1): a machine past saturation shows 100 %
    and no more, so one look asks for no more than about 100 / target [%] times what is
    ready; what arrives is seen whole. Replicas still starting count as unready, and without
    a ready one no pod has a metric.
    """
    ready, starting, full = s.units[p, 0], s.units[p, 1], s.saturation[p]
    if rule.metric == AVERAGE:
        return Seen(ready, 1.0, tried, 0.0, 0.0, 0.0, 0.0, 0.0)
    if ready <= 0:
        return Seen(0.0, 0.0, 0.0, 0.0, starting, 1000.0 * starting, 0.0, 0.0)
    if rule.metric == VALUE:
        return Seen(ready, 1.0, 100.0 * min(tried / full, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)
    if rule.metric == PODS:
        return Seen(ready, ready, np.floor(min(tried, full) * 1000.0), 0.0, starting, 0.0, 0.0, 0.0)
    usage = np.floor(min(tried / full, 1.0) * 1000.0 * ready)
    return Seen(ready, ready, usage, 1000.0 * ready, starting, 1000.0 * starting, 0.0, 0.0)


@within
def wish_of(p: int, was: float, seen: Seen, rule: Rule, s: State) -> tuple[float, float]:
    """Replicas that a look asks for, and the metric it saw (NaN: none).

    KEDA itself goes from one replica to none once nothing came for the cool-down, and from none to
    one with the first request; what lies above is Kubernetes' own.
    """
    if rule.kind == KEDA:
        came = seen.usage > 0
        s.below[p] = 0 if came else s.below[p] + 1
        if not came and s.below[p] >= rule.down_window:
            return 0.0, 0.0
        if was == 0:
            return (1.0 if came else 0.0), seen.usage
        found, metric = rules.asked(rule.metric, was, rule.goal, rule.tolerance, seen)
        return max(1.0, found), metric
    if was > 0 and seen.ready <= 0 and rule.metric == VALUE:
        return was, np.nan
    return rules.asked(rule.metric, was, rule.goal, rule.tolerance, seen)


@within
def asks(p: int, was: float, tried: float, rule: Rule, s: State) -> float:
    """Replicas that a step of a rate asks for."""
    found, _ = wish_of(p, was, _seen(p, tried, rule, s), rule, s)
    return found


@within
def decide(p: int, step: int, was: float, seen: Seen, rule: Rule, s: State) -> float:
    """Replicas after one look: what the metric asks for, remembered, then windows, rate policies and
    limits.
    """
    wish, _ = wish_of(p, was, seen, rule, s)
    remember(p, wish, s)
    if wish == was:
        return was
    found, _ = settled(p, step, was, wish, rule, s)
    return found


@within
def look(p: int, step: int, tried: float, fleet: Fleet, rule: Rule, s: State) -> None:
    """The autoscaler looks at the step that just passed, and orders."""
    was = s.desired[p]
    if rule.kind == TRACKING:
        busy = 100.0 * min(tried / s.saturation[p], 1.0) if s.units[p, 0] > 0 else 100.0
        found, s.above[p], s.below[p] = rules.tracked(
            was, rule.target, busy, s.above[p], s.below[p], rule.least, rule.most
        )
    else:
        found = decide(p, step, was, _seen(p, tried, rule, s), rule, s)
    if found != was:
        s.desired[p] = found
        _climb(p, found, fleet, s)
        aim(p, step + 1, fleet, s)


@within
def _climb(p: int, units: float, fleet: Fleet, s: State) -> None:
    """Aim at the lowest rung of at least so many units."""
    at = fleet.rung_of[min(int(units), fleet.rung_of.size - 1)]
    for q in range(s.target.shape[1]):
        s.target[p, q] = fleet.counts[at, q]


@within
def rung(bears: Floats, rate: float) -> int:
    """The lowest rung that bears a rate, or the highest.

    ``bears`` (rungs,) [requests/s] rises.
    """
    low, high = 0, bears.size - 1
    while low < high:
        middle = (low + high) // 2
        if bears[middle] >= rate:
            high = middle
        else:
            low = middle + 1
    return low
