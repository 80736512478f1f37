"""Steps of a fleet under an autoscaler, compiled: the inner loop runs over paths, the state lies in
arrays over paths.

A step: replicas that were starting become ready, machines are lost, what waits is served, the
step's requests are within their bounds or not, the autoscaler looks at the step and orders.  The
rate within an hour is its mean, moved by a slope towards the neighbouring hours that makes no new
extremes, and five minutes at the burst factor; the mean is kept.  Requests are original ones: what
retries and repeated tries cost is in the saturation.
"""

import math

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Floats, Ints, Singles
from planner.simulator import rules
from planner.simulator.compiling import bare, within
from planner.simulator.records import EVENT_MEMORY, HPA, IDEAL, KEDA, STATIC, TRACKING, Fleet, Out, Rule, State, Strikes

_OVERLOAD, _START, _LATE, _ZONE, _SPOT, _RETRIES = 0, 1, 2, 3, 4, 5
_SYNC_S = 15.0


@within
def _random(state: NDArray[np.uint64], p: int) -> np.uint64:
    """Next number of a path's own stream (xorshift64*, Vigna 2016)."""
    x = state[p]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[p] = x
    return np.uint64(x * np.uint64(2685821657736338717)) >> np.uint64(11)


@within
def _exponential(state: NDArray[np.uint64], p: int) -> float:
    return -math.log((_random(state, p) + 0.5) / 9007199254740992.0)


@within
def _slope(before: float, now: float, after: float, most: float) -> float:
    """Change of the rate over the hour that makes no new extreme, at most ``most`` of the mean
    either way (van Leer 1977).
    """
    left, right = now - before, after - now
    if left * right <= 0:
        return 0.0
    found = min(2 * abs(left), 2 * abs(right), 0.5 * abs(left + right), most * now)
    return found if right > 0 else -found


@within
def _bears(p: int, fleet: Fleet, s: State) -> None:
    """What the ready replicas of a path bear: saturation, each bound's largest rate with traffic
    split by weight, and their number in units.
    """
    kinds = s.ready.shape[0]
    whole = full = up = coming = 0.0
    for q in range(kinds):
        n = s.ready[q, p]
        whole += fleet.weight[q, n]
        full += fleet.saturation[q, n]
        up += fleet.size[q] * n
        coming += fleet.size[q] * s.starting[q, p]
    s.saturation[p] = full
    s.units[0, p], s.units[1, p] = np.round(up), np.round(coming)
    for b in range(s.limit.shape[0]):
        least = np.inf
        for q in range(kinds):
            n = s.ready[q, p]
            if n > 0:
                least = min(least, fleet.limit[b, q, n] * whole / fleet.weight[q, n])
        s.limit[b, p] = least * (1 + 1e-9) if whole > 0 else 0.0
        full = min(full, s.limit[b, p])
    s.calm[p] = full if s.backlog[p] <= 0 and s.failing[p] == 0 else -1.0


@within
def _take(q: int, p: int, k: int, slot: int, s: State) -> None:
    """Stop ``k`` replicas, those that start last first."""
    length = s.ring.shape[0]
    for back in range(length):
        if k == 0 or s.starting[q, p] == 0:
            break
        at = (slot - 1 - back) % length
        gone = min(k, s.ring[at, q, p])
        s.ring[at, q, p] -= gone
        s.starting[q, p] -= gone
        k -= gone
    s.ready[q, p] -= min(k, s.ready[q, p])


@within
def _aim(p: int, step: int, fleet: Fleet, s: State) -> None:
    """Order and stop replicas towards a path's target; ``short`` if some cannot be had now."""
    s.short[p] = False
    length = s.ring.shape[0]
    for q in range(s.target.shape[0]):
        more = s.target[q, p] - s.ready[q, p] - s.starting[q, p]
        if more < 0:
            _take(q, p, -more, step % length, s)
        elif more > 0:
            if s.closed[q, p] > step:
                s.short[p] = True
                s.trouble[0] = 1
                continue
            wait = fleet.start[q, np.int64(_random(s.random, p) & np.uint64(255))]
            if wait <= 0:
                s.ready[q, p] += more
            else:
                s.ring[(step + wait) % length, q, p] += more
                s.due[(step + wait) % length] = 1
                s.starting[q, p] += more
    _bears(p, fleet, s)


@within
def _lose(p: int, kind: int, pool: int, zone: int, end: int, fleet: Fleet, s: State) -> None:
    """Take a zone's machines, or those of a spot pool."""
    turn = 0
    for q in range(s.ready.shape[0]):
        n = s.ready[q, p]
        if kind == 0 or (pool == q if pool >= 0 else fleet.spot[q]):
            gone = n
            if kind != 2 and fleet.zones > 1:
                gone = n // fleet.zones + (1 if (zone - turn) % fleet.zones < n % fleet.zones else 0)
            s.ready[q, p] -= gone
            if gone > 0:
                s.lost[p] = _ZONE if kind == 0 else _SPOT
                s.short[p] = True
                s.trouble[0] = 1
            if kind == 2 or fleet.zones == 1:
                s.closed[q, p] = max(s.closed[q, p], end)
        turn += n


@bare
def _strike(step: int, fleet: Fleet, strikes: Strikes, s: State) -> None:
    """Events that are due, and spot machines taken back one by one: the next when the hazard since
    the last adds up to an exponential draw.
    """
    for p in range(s.now.size):
        while s.coming[p] < strikes.first[p + 1] and strikes.step[s.coming[p]] <= step:
            e = s.coming[p]
            s.coming[p] += 1
            _lose(p, strikes.kind[e], strikes.pool[e], strikes.zone[e], strikes.end[e], fleet, s)
        for q in range(fleet.hazard.size):
            s.exposed[q, p] += s.ready[q, p] * fleet.hazard[q]
            if s.exposed[q, p] >= s.until[q, p] and s.ready[q, p] > 0:
                s.exposed[q, p], s.until[q, p] = 0.0, _exponential(s.random, p)
                s.ready[q, p] -= 1
                s.lost[p] = _SPOT
                s.short[p] = True
                s.trouble[0] = 1


@bare
def _arrive(step: int, fleet: Fleet, s: State) -> None:
    """Replicas that are ready now; orders again for what is missing."""
    slot = step % s.ring.shape[0]
    if s.due[slot] > 0:
        s.due[slot] = 0
        for q in range(s.ready.shape[0]):
            for p in range(s.now.size):
                fresh = s.ring[slot, q, p]
                if fresh > 0:
                    s.ring[slot, q, p] = 0
                    s.ready[q, p] += fresh
                    s.starting[q, p] -= fresh
                    _bears(p, fleet, s)
    if s.trouble[0] == 0:
        return
    s.trouble[0] = 0
    for p in range(s.now.size):
        if s.short[p]:
            _aim(p, step, fleet, s)
        elif s.lost[p] != 0 and s.units[1, p] == 0:
            s.lost[p] = 0
        if s.short[p] or s.lost[p] != 0:
            s.trouble[0] = 1


@within
def _queue(p: int, tries: float, rule: Rule, s: State, out: Out) -> float:
    """Serve what waits and arrives [requests served]; clients that retry give up what waits longer
    than their time-out.
    """
    todo, room = s.backlog[p] + tries * rule.step_s, s.saturation[p] * rule.step_s
    done: float = min(todo, room)
    s.backlog[p] = todo - done
    if rule.retries > 0:
        most = s.saturation[p] * rule.timeout_s
        s.failing[p] = 1.0 if s.backlog[p] > 0 and s.backlog[p] >= most else 0.0
        if s.failing[p] > 0:
            out.dropped_path[p] += s.backlog[p] - most
            s.backlog[p] = most
    return done


@bare
def _serve(hour: int, flat: float, tilt: float, rule: Rule, s: State, out: Out) -> None:
    """One step of all paths; a closer look where it is late or something waits."""
    now, slope, calm, tried = s.now, s.slope, s.calm, s.tried
    for p in range(now.size):
        arriving = now[p] * flat + slope[p] * tilt
        tried[p] = arriving
        if arriving > calm[p]:
            _strain(p, hour, max(arriving, 0.0), rule, s, out)


@within
def _strain(p: int, hour: int, arriving: float, rule: Rule, s: State, out: Out) -> None:
    """A step of a path that is late, or in which something waits."""
    tries, bounds = arriving * (1.0 + rule.retries * s.failing[p]), s.limit.shape[0]
    count, served = arriving * rule.step_s, tries * rule.step_s
    held = s.backlog[p] > 0
    if held or tries > s.saturation[p]:
        served = _queue(p, tries, rule, s, out)
        held = held or s.backlog[p] > 0
    else:
        s.failing[p] = 0.0
    s.tried[p] = tries
    out.strained_path[p] += count
    out.again_path[p] += (tries - arriving) * rule.step_s
    out.served_path[p] += served
    calm, late = s.saturation[p], False
    for b in range(bounds):
        calm = min(calm, s.limit[b, p])
        if held or tries > s.limit[b, p]:
            out.late_of_path[b, p] += count
            out.late_of_hour[b, hour] += count
            late = True
    if late and count > 0:
        out.late_path[p] += count
        out.late[_why(p, tries, rule, s), hour] += count
    s.calm[p] = calm if s.backlog[p] <= 0 and s.failing[p] == 0 else -1.0


@within
def _why(p: int, tries: float, rule: Rule, s: State) -> int:
    """Why a step's requests are late; what waits from before is late for the reason it began to
    wait.
    """
    if s.lost[p] != 0:
        s.cause[p] = s.lost[p]
        return int(s.cause[p])
    if s.failing[p] > 0:
        return _RETRIES
    least = np.inf
    for b in range(s.limit.shape[0]):
        least = min(least, s.limit[b, p])
    if tries > least:
        late = rule.kind != STATIC and s.desired[p] < rule.most
        s.cause[p] = _START if s.units[1, p] > 0 else _LATE if late else _OVERLOAD
    return int(s.cause[p])


@within
def _changed(p: int, step: int, desired: float, wish: float, rule: Rule, s: State) -> float:
    """Replicas after this step's syncs: windows, rate policies, limits (Kubernetes)."""
    slots = s.wishes.shape[0]
    low = high = wish
    for back in range(min(rule.up_window, step + 1)):
        low = min(low, s.wishes[(step - back) % slots, p])
    if wish < desired:
        for back in range(min(rule.down_window, step + 1)):
            high = max(high, s.wishes[(step - back) % slots, p])
            if high >= desired:
                break
    for sync in range(max(1, int(rule.step_s / _SYNC_S))):
        goal = rules.stabilized(desired, low, high)
        if goal == desired and rule.least <= desired <= rule.most:
            break
        at = step * rule.step_s + sync * _SYNC_S
        up = _rate(p, at, desired, rule.up_kinds, rule.up_values, rule.up_periods, rule.select, 1, s)
        down = _rate(p, at, desired, rule.down_kinds, rule.down_values, rule.down_periods, rule.select, -1, s)
        found, _ = rules.limited(desired, goal, rule.least, rule.most, up, down)
        if found == desired:
            break
        s.when[s.head[p], p], s.amount[s.head[p], p] = at, found - desired
        s.head[p] = (s.head[p] + 1) % EVENT_MEMORY
        desired = found
    return desired


@within
def _rate(
    p: int, at: float, desired: float, kinds: Ints, values: Floats, periods: Floats, select: int, sign: int, s: State
) -> float:
    """Bound of the rate policies, from the changes within each one's period."""
    for k in range(periods.size):
        s.shifts[k] = 0.0
        for back in range(EVENT_MEMORY):
            e = (s.head[p] - 1 - back) % EVENT_MEMORY
            if at - s.when[e, p] >= periods[k]:
                break
            s.shifts[k] -= s.amount[e, p]
    found: float = rules.bound(desired, kinds, values, s.shifts, select, sign)
    return found


@within
def _wish_of_load(desired: float, rate: float, idle: float, rule: Rule) -> float:
    """KEDA: replicas for the rate itself, none once nothing came for the cool-down."""
    if rate <= 0 and idle >= rule.down_window:
        return 0.0
    if desired == 0:
        return 1.0 if rate > 0 else 0.0
    return max(1.0, rules.wanted_of_average(desired, rule.target_rps, rate, rule.tolerance))


@within
def _rests(tried: float, saturation: float, target: float, tolerance: float) -> bool:
    """Whether the metric surely is within tolerance, by a per cent and more: rounding decides
    nothing.
    """
    percent = 100.0 * tried / saturation if saturation > 0 else 1e9
    return target * (1.0 - tolerance) + 1.5 < percent < target * (1.0 + tolerance) - 0.5


@bare
def _look(step: int, fleet: Fleet, rule: Rule, s: State) -> None:
    """The autoscaler looks at the step that just passed, and orders."""
    kind, target, tolerance, slot = rule.kind, rule.target, rule.tolerance, step % s.wishes.shape[0]
    wishes, desired, tried, saturation, units = s.wishes, s.desired, s.tried, s.saturation, s.units
    for p in range(desired.size):
        was, ready, starting = desired[p], units[0, p], units[1, p]
        if kind == TRACKING:
            busy = 100.0 * min(tried[p] / saturation[p], 1.0) if ready > 0 else 100.0
            found, s.above[p], s.below[p] = rules.tracked(
                was, target, busy, s.above[p], s.below[p], rule.least, rule.most
            )
        else:
            if kind == KEDA:
                s.below[p] = 0 if tried[p] > 0 else s.below[p] + 1
                wish = _wish_of_load(was, tried[p], s.below[p], rule)
            elif starting == 0 and _rests(tried[p], saturation[p], target, tolerance):
                wish = was
            elif ready > 0:
                usage = math.floor(min(tried[p] / saturation[p], 1.0) * 1000.0 * ready)
                wish, _ = rules.wanted(
                    True,
                    was,
                    target,
                    tolerance,
                    ready,
                    ready,
                    usage,
                    1000.0 * ready,
                    starting,
                    1000.0 * starting,
                    0.0,
                    0.0,
                )
            else:
                wish = was  # no pod has a metric
            wishes[slot, p] = wish
            found = was if wish == was else _changed(p, step, was, wish, rule, s)
        if found != was:
            desired[p] = found
            _climb(p, found, fleet, s)
            _aim(p, step + 1, fleet, s)


@within
def _climb(p: int, units: float, fleet: Fleet, s: State) -> None:
    """Aim at the lowest rung of at least so many units."""
    rung = fleet.rung_of[min(int(units), fleet.rung_of.size - 1)]
    for q in range(s.target.shape[0]):
        s.target[q, p] = fleet.counts[rung, q]


@within
def _rung(bears: Floats, rate: float) -> int:
    """The lowest rung that bears a rate, or the highest."""
    low, high = 0, bears.size - 1
    while low < high:
        middle = (low + high) // 2
        if bears[middle] >= rate:
            high = middle
        else:
            low = middle + 1
    return low


@bare
def _turn(hour: int, each: int, rate: Singles, steep: float, fleet: Fleet, rule: Rule, s: State) -> None:
    """The load of a new hour, and what the clock orders."""
    hours, factor = rate.shape[0], rule.load_factor
    for p in range(s.now.size):
        now = rate[hour, p] * factor
        before = rate[hour - 1, p] * factor if hour > 0 else now
        after = rate[hour + 1, p] * factor if hour + 1 < hours else now
        s.now[p], s.slope[p] = now, _slope(before, now, after, steep)
        changed = hour == 0
        if rule.kind == STATIC:
            for q in range(s.target.shape[0]):
                changed = changed or s.target[q, p] != fleet.scheduled[hour, q]
                s.target[q, p] = fleet.scheduled[hour, q]
        elif changed or rule.kind == IDEAL:
            rung = _rung(fleet.bears, now * (1 - 1e-9))
            units = 0.0
            for q in range(s.target.shape[0]):
                changed = changed or s.target[q, p] != fleet.counts[rung, q]
                s.target[q, p] = fleet.counts[rung, q]
                units += fleet.size[q] * fleet.counts[rung, q]
            s.desired[p] = min(max(np.round(units), rule.least), rule.most)
        if hour == 0:
            for q in range(s.target.shape[0]):
                s.ready[q, p] = s.target[q, p]
            for w in range(s.wishes.shape[0]):
                s.wishes[w, p] = s.desired[p]
        if changed:
            _aim(p, hour * each, fleet, s)


@bare
def _draw(seed: int, s: State) -> None:
    """A random stream of its own for each path."""
    for p in range(s.now.size):
        s.random[p] = np.uint64(seed + p + 1) * np.uint64(0x9E3779B97F4A7C15)
        for _ in range(8):
            _random(s.random, p)
        for q in range(s.ready.shape[0]):
            s.until[q, p] = _exponential(s.random, p)


def at_rest(paths: int, fleet: Fleet, rule: Rule, strikes: Strikes) -> State:
    """A block of paths before its first step."""
    each = (len(fleet.size), paths)
    ahead, window = int(fleet.start.max()) + 1, max(rule.up_window, rule.down_window, 1)
    whole, small, real = np.int64, np.int32, np.float64
    shapes: list[tuple[tuple[int, ...], type]] = [(each, small)] * 3 + [
        ((ahead, *each), small),
        ((ahead,), whole),
        ((1,), whole),
        (each, whole),
    ]
    shapes += [
        ((len(fleet.limit), paths), real),
        *[((paths,), real)] * 6,
        ((paths,), np.bool_),
        *[((paths,), whole)] * 2,
    ]
    shapes += [((window, paths), real), ((EVENT_MEMORY, paths), real), ((EVENT_MEMORY, paths), real)]
    shapes += [
        *[((paths,), whole)] * 3,
        ((2, paths), real),
        ((max(len(rule.up_kinds), len(rule.down_kinds), 1),), real),
    ]
    shapes += [((paths,), np.uint64), (each, real), (each, real), ((paths,), whole), ((paths,), real), ((paths,), real)]
    s = State(*(np.zeros(shape, dtype=kind) for shape, kind in shapes))
    s.when[:] = -1e18
    s.coming[:] = strikes.first[:-1]
    return s


@bare
def _count(hour: int, each: int, half: bool, s: State, out: Out) -> None:
    """Add this step's machines to the hour's."""
    for q in range(s.ready.shape[0]):
        waiting = 0
        for p in range(s.now.size):
            out.running[q, hour, p] += s.ready[q, p] + s.starting[q, p]
            waiting += s.starting[q, p]
            if half:
                out.ready[q, hour, p] = s.ready[q, p]
        out.starting[q, hour] += waiting / each


@bare
def play(
    rate: Singles, blocks: Ints, fleet: Fleet, rule: Rule, strikes: Strikes, seed: int, s: State, out: Out
) -> None:
    """Play all hours of a block of paths from the state ``s``.

    ``rate`` (hours, paths) [requests/s]; ``blocks`` (hours,) which twelfth of the hour bursts;
    ``seed`` of the block's first path. Machines of an hour are left as sums over its steps.
    """
    each = round(3600.0 / rule.step_s)
    _draw(seed, s)
    burst = min(max(rule.burst, 1.0), 12.0)
    rest = (12.0 - burst) / 11.0
    steep = 2.0 * min(burst - 1.0, 0.8 * rest)
    struck = strikes.step.size > 0
    for q in range(fleet.hazard.size):
        struck = struck or fleet.hazard[q] > 0
    for hour in range(rate.shape[0]):
        _turn(hour, each, rate, steep, fleet, rule, s)
        middle = (blocks[hour] + 0.5) / 12.0 - 0.5
        flats = tilts = 0.0
        for minute in range(each):
            step, at = hour * each + minute, (minute + 0.5) / each
            if struck:
                _strike(step, fleet, strikes, s)
            _arrive(step, fleet, s)
            bursts = int(at * 12.0) == blocks[hour]
            flat, tilt = (burst, 0.0) if bursts else (rest, at - 0.5 + middle / 11.0)
            flats, tilts = flats + flat, tilts + tilt
            _serve(hour, flat, tilt, rule, s, out)
            _count(hour, each, minute == each // 2, s, out)
            if HPA <= rule.kind <= KEDA:
                _look(step, fleet, rule, s)
        for p in range(s.backlog.size):
            arrived = max(s.now[p] * flats + s.slope[p] * tilts, 0.0) * rule.step_s
            out.arrived_path[p] += arrived
            out.arrived_hour[hour] += arrived
            out.backlog[hour] += s.backlog[p]
    for p in range(s.backlog.size):
        out.waiting_path[p] = s.backlog[p]
