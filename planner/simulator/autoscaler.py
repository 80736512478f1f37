"""The autoscaler of a path looks at a step and orders.  Compiled into the steps of
:mod:`planner.simulator.kernel`.

The rules are those of :mod:`planner.simulator.rules`, which the facts of the Kubernetes project are
held against; here they meet the state of a path: its recommendations so far (a ring of the longest
window), its own changes (for the rate policies) and the minutes that an alarm has stood.
"""

import math

import numpy as np

from planner.arrays import Floats, Ints
from planner.simulator import rules
from planner.simulator.compiling import within
from planner.simulator.machines import aim
from planner.simulator.records import EVENT_MEMORY, HPA, KEDA, TRACKING, Fleet, Rule, State

_SYNC_S = 15.0


@within
def _changed(p: int, step: int, desired: float, wish: float, rule: Rule, s: State) -> float:
    """Replicas after this step's syncs: windows, rate policies, limits (Kubernetes).

    ``wish`` is this step's recommendation, ``desired`` what stands. The recommendations of each
    window bound it, then each sync of 15 s within the step moves as far as the rate policies
    allow and notes its change, until nothing moves.
    """
    low = high = wish
    slot = s.slot[p]
    for _ in range(min(rule.up_window, step + 1)):
        low = min(low, s.wishes[slot, p])
        slot = slot - 1 if slot > 0 else s.wishes.shape[0] - 1
    if wish < desired:
        slot = s.slot[p]
        for _ in range(min(rule.down_window, step + 1)):
            high = max(high, s.wishes[slot, p])
            if high >= desired:
                break
            slot = slot - 1 if slot > 0 else s.wishes.shape[0] - 1
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
        found, _ = rules.limited(desired, goal, rule.least, rule.most, up, down)
        if found == desired:
            break
        s.when[s.head[p], p], s.amount[s.head[p], p] = at, found - desired
        s.head[p] = s.head[p] + 1 if s.head[p] < EVENT_MEMORY - 1 else 0
        desired = found
    return desired


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
            if at - s.when[e, p] >= periods[k]:
                break
            s.shifts[k] -= s.amount[e, p]
    found: float = rules.bound(desired, kinds, values, s.shifts, select, sign)
    return found


@within
def _wish_of_load(desired: float, rate: float, idle: float, rule: Rule) -> float:
    """KEDA: replicas for the rate itself, none once nothing came for the cool-down.

    ⌈rate / target rate of a replica⌉ outside the tolerance, at least 1; ``idle`` counts steps
    without a request, and the first request after none starts one replica.
    """
    if rate <= 0 and idle >= rule.down_window:
        return 0.0
    if desired == 0:
        return 1.0 if rate > 0 else 0.0
    return max(1.0, rules.wanted_of_average(desired, rule.target_rps, rate, rule.tolerance))


@within
def band(p: int, rule: Rule, s: State) -> tuple[float, float]:
    """Rates [requests/s] between which the autoscaler surely wants what there is, nothing starting:
    kept so far inside its own bounds that rounding decides nothing.
    """
    tolerance, full = rule.tolerance, s.saturation[p] / 100.0
    if rule.kind == HPA:  # a floor of milli-units to whole per cents
        return full * (rule.keep_low + 0.11), full * (rule.keep_high + 1.0) * (1 - 1e-9)
    if rule.kind == TRACKING:
        return full * rule.target * rules.LOW_SHARE * (1 + 1e-9), full * rule.target * (1 - 1e-9)
    if rule.kind == KEDA:
        whole = rule.target_rps * s.desired[p]
        return whole * (1.0 - tolerance) * (1 + 1e-9), whole * (1.0 + tolerance) * (1 - 1e-9)
    return -np.inf, np.inf


@within
def _remember(p: int, wish: float, s: State) -> None:
    """Keep a recommendation in the place of the oldest."""
    slot = s.slot[p] + 1 if s.slot[p] < s.wishes.shape[0] - 1 else 0
    s.wishes[slot, p] = wish
    s.slot[p] = slot


@within
def rest(p: int, steps: int, s: State) -> None:
    """What steps within the band leave behind."""
    slots = s.wishes.shape[0]
    if steps >= slots:
        for slot in range(slots):
            s.wishes[slot, p] = s.desired[p]
    else:
        for _ in range(steps):
            _remember(p, s.desired[p], s)
    s.above[p] = s.below[p] = 0


@within
def _wish(p: int, was: float, tried: float, rule: Rule, s: State) -> float:
    """Replicas that the metric of a step asks for.

    Use of a path is min(rate tried / saturation, 1): a machine past saturation shows 100 %
    and no more, so one look asks for no more than about 100 / target [%] times what is
    ready. Replicas still starting count as unready. Without a ready replica there is no
    metric and nothing changes.
    """
    ready, starting = s.units[0, p], s.units[1, p]
    if rule.kind == KEDA:
        s.below[p] = 0 if tried > 0 else s.below[p] + 1
        return _wish_of_load(was, tried, s.below[p], rule)
    if ready <= 0:
        return was  # no pod has a metric
    usage = math.floor(min(tried / s.saturation[p], 1.0) * 1000.0 * ready)
    found, _ = rules.wanted(
        True,
        was,
        rule.target,
        rule.tolerance,
        ready,
        ready,
        usage,
        1000.0 * ready,
        starting,
        1000.0 * starting,
        0.0,
        0.0,
    )
    return found


@within
def look(p: int, step: int, tried: float, fleet: Fleet, rule: Rule, s: State) -> None:
    """The autoscaler looks at the step that just passed, and orders."""
    was = s.desired[p]
    if rule.kind == TRACKING:
        busy = 100.0 * min(tried / s.saturation[p], 1.0) if s.units[0, p] > 0 else 100.0
        found, s.above[p], s.below[p] = rules.tracked(
            was, rule.target, busy, s.above[p], s.below[p], rule.least, rule.most
        )
    else:
        wish = _wish(p, was, tried, rule, s)
        _remember(p, wish, s)
        found = was if wish == was else _changed(p, step, was, wish, rule, s)
    if found != was:
        s.desired[p] = found
        _climb(p, found, fleet, s)
        aim(p, step + 1, fleet, s)


@within
def _climb(p: int, units: float, fleet: Fleet, s: State) -> None:
    """Aim at the lowest rung of at least so many units."""
    at = fleet.rung_of[min(int(units), fleet.rung_of.size - 1)]
    for q in range(s.target.shape[0]):
        s.target[q, p] = fleet.counts[at, q]


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
