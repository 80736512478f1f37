"""Steps of a fleet under an autoscaler, compiled: an hour of one path after the other, the state in
arrays over paths.

A step: machines are lost, replicas that were starting become ready, what waits is served, the
step's requests are within their bounds or not, the autoscaler looks at the step and orders.  The
rate within an hour is its mean, moved by a slope towards the neighbouring hours that makes no new
extremes, and five minutes at the burst factor; the mean is kept.  Requests are original ones: what
retries and repeated tries cost is in the saturation.

Steps in which nothing can happen are passed at once: nothing waits, starts or is missing, no event
is due, and the rate stays below what is borne and inside the band in which the autoscaler wants
what there is.  The rate is a rising or falling line on each side of the burst, in floating point
too since rounding keeps order, so that the ends of a stretch speak for all of it and the answer is
that of every step played, bit for bit (``closely`` plays them).
"""

import numpy as np

from planner.arrays import Ints, Singles
from planner.simulator.autoscaler import band, look, rest, rung
from planner.simulator.compiling import bare, within
from planner.simulator.machines import LATE, OVERLOAD, RETRIES, START, aim, arrive, draw, strike, unstruck
from planner.simulator.records import EVENT_MEMORY, HPA, IDEAL, KEDA, STATIC, Fleet, Out, Rule, State, Strikes


@within
def _slope(before: float, now: float, after: float, most: float) -> float:
    """Change of the rate over the hour that makes no new extreme, at most ``most`` of the mean
    either way (van Leer 1977).

    0 at a peak or a trough; else the least of twice the change on either side, half their
    sum, and ``most`` · now.
    """
    left, right = now - before, after - now
    if left * right <= 0:
        return 0.0
    found = min(2 * abs(left), 2 * abs(right), 0.5 * abs(left + right), most * now)
    return found if right > 0 else -found


@within
def _queue(p: int, tries: float, rule: Rule, s: State, out: Out) -> float:
    """Serve what waits and arrives [requests served]; clients that retry give up what waits
    longer than their time-out.

    A fluid queue: backlog' = max(0, backlog + tries · step − saturation · step). With retries
    the backlog is held at saturation · time-out and what is beyond it is dropped, and the path
    is failing while it stands there.
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


@within
def _strain(p: int, hour: int, arriving: float, rule: Rule, s: State, out: Out) -> float:
    """A step of a path that is late, or in which something waits.

    Clients whose requests fail try again, so the rate tried is (1 + retries) times that
    arriving while the path is failing. Requests of a step are late for a bound if anything
    waits or the rate tried is above the bound's limit; a whole step counts as late or not.
    Returns the rate tried [requests/s].
    """
    bounds = s.limit.shape[0]
    tries: float = arriving * (1.0 + rule.retries * s.failing[p])
    count, served = arriving * rule.step_s, tries * rule.step_s
    held = s.backlog[p] > 0
    if held or tries > s.saturation[p]:
        served = _queue(p, tries, rule, s, out)
        held = held or s.backlog[p] > 0
    else:
        s.failing[p] = 0.0
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
    return tries


@within
def _why(p: int, tries: float, rule: Rule, s: State) -> int:
    """Why a step's requests are late; what waits from before is late for the reason it began to
    wait.
    """
    if s.lost[p] != 0:
        s.cause[p] = s.lost[p]
        return int(s.cause[p])
    if s.failing[p] > 0:
        return RETRIES
    least = np.inf
    for b in range(s.limit.shape[0]):
        least = min(least, s.limit[b, p])
    if tries > least:
        late = rule.kind != STATIC and s.desired[p] < rule.most
        s.cause[p] = START if s.units[1, p] > 0 else LATE if late else OVERLOAD
    return int(s.cause[p])


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
            at = rung(fleet.bears, now * (1 - 1e-9))
            units = 0.0
            for q in range(s.target.shape[0]):
                changed = changed or s.target[q, p] != fleet.counts[at, q]
                s.target[q, p] = fleet.counts[at, q]
                units += fleet.size[q] * fleet.counts[at, q]
            s.desired[p] = min(max(np.round(units), rule.least), rule.most)
        if hour == 0:
            for q in range(s.target.shape[0]):
                s.ready[q, p] = s.target[q, p]
            for w in range(s.wishes.shape[0]):
                s.wishes[w, p] = s.desired[p]
        if changed:
            aim(p, hour * each, fleet, s)


def at_rest(paths: int, fleet: Fleet, rule: Rule, strikes: Strikes) -> State:
    """A block of paths before its first step."""
    each = (len(fleet.size), paths)
    ahead, window = int(fleet.start.max()) + 1, max(rule.up_window, rule.down_window, 1)
    whole, small, real = np.int64, np.int32, np.float64
    shapes: list[tuple[tuple[int, ...], type]] = [(each, small)] * 3 + [
        ((ahead, *each), small),
        (each, whole),
    ]
    shapes += [
        ((len(fleet.limit), paths), real),
        *[((paths,), real)] * 5,
        ((paths,), np.bool_),
        *[((paths,), whole)] * 2,
    ]
    shapes += [((window, paths), real), ((EVENT_MEMORY, paths), real), ((EVENT_MEMORY, paths), real)]
    shapes += [
        *[((paths,), whole)] * 4,
        ((2, paths), real),
        ((max(len(rule.up_kinds), len(rule.down_kinds), 1),), real),
    ]
    shapes += [
        ((paths,), np.uint64),
        (each, whole),
        (each, whole),
        ((paths,), whole),
        *[((paths,), real)] * 2,
        *[((round(3600.0 / rule.step_s),), real)] * 2,
    ]
    s = State(*(np.zeros(shape, dtype=kind) for shape, kind in shapes))
    s.when[:] = -1e18
    s.coming[:] = strikes.first[:-1]
    return s


@within
def _rates(hour: int, blocks: Ints, rule: Rule, s: State) -> tuple[int, int]:
    """Factors of the mean and of the slope in each step of an hour; the steps of its burst."""
    each, first, last = s.flat.size, 0, 0
    burst = min(max(rule.burst, 1.0), 12.0)
    middle = (blocks[hour] + 0.5) / 12.0 - 0.5
    for minute in range(each):
        at = (minute + 0.5) / each
        if int(at * 12.0) == blocks[hour]:
            s.flat[minute], s.tilt[minute] = burst, 0.0
            first, last = first if last > 0 else minute, minute + 1
        else:
            s.flat[minute], s.tilt[minute] = (12.0 - burst) / 11.0, at - 0.5 + middle / 11.0
    return first, last


@within
def _quiet(p: int, minute: int, end: int, low: float, high: float, s: State) -> int:
    """Steps from ``minute`` on, before ``end``, whose rate stays between two bounds; all
    of them lie on one line.
    """
    now, slope = s.now[p], s.slope[p]
    here = now * s.flat[minute] + slope * s.tilt[minute]
    if not low < here <= high:
        return 0
    there = now * s.flat[end - 1] + slope * s.tilt[end - 1]
    if low < there <= high:
        return end - minute
    left = (high if there > high else low) - here  # the line crosses: guessed, then found exactly
    passed = min(max(int(left / (there - here) * (end - 1 - minute)), 1), end - 1 - minute)
    while not low < now * s.flat[minute + passed - 1] + slope * s.tilt[minute + passed - 1] <= high:
        passed -= 1
    while low < now * s.flat[minute + passed] + slope * s.tilt[minute + passed] <= high:
        passed += 1
    return passed


@within
def _pass(p: int, hour: int, minute: int, steps: int, half: int, s: State, out: Out) -> None:
    """Count the machines of ``steps`` steps from ``minute`` of an hour: paid,
    starting, and ready at half past.
    """
    for q in range(s.ready.shape[0]):
        out.running[q, hour, p] += steps * (s.ready[q, p] + s.starting[q, p])
        out.starting[q, hour] += steps * s.starting[q, p]
        if minute <= half < minute + steps:
            out.ready[q, hour, p] = s.ready[q, p]


@bare
def _hour(
    hour: int, first: int, last: int, closely: bool, fleet: Fleet, rule: Rule, strikes: Strikes, s: State, out: Out
) -> None:
    """An hour of every path."""
    each, looks = s.flat.size, HPA <= rule.kind <= KEDA
    for p in range(s.now.size):
        minute, now, slope = 0, s.now[p], s.slope[p]
        while minute < each:
            step, steps = hour * each + minute, 0
            if not closely and s.calm[p] >= 0 and not s.short[p] and s.lost[p] == 0 and s.units[1, p] == 0:
                end = first if minute < first else last if minute < last else each
                low, high = band(p, rule, s)
                steps = _quiet(p, minute, end, low, min(high, s.calm[p]), s)
                steps = unstruck(p, step, steps, fleet, strikes, s) if steps > 0 else 0
            if steps > 0:
                for q in range(fleet.hazard.size):
                    s.exposed[q, p] += steps * s.ready[q, p]
                if looks:
                    rest(p, steps, s)
                _pass(p, hour, minute, steps, each // 2, s, out)
                minute += steps
                continue
            strike(p, step, fleet, strikes, s)
            arrive(p, step, fleet, s)
            rate = now * s.flat[minute] + slope * s.tilt[minute]
            if rate > s.calm[p]:
                rate = _strain(p, hour, max(rate, 0.0), rule, s, out)
            _pass(p, hour, minute, 1, each // 2, s, out)
            if looks:
                look(p, step, rate, fleet, rule, s)
            minute += 1


@bare
def play(
    rate: Singles,
    blocks: Ints,
    fleet: Fleet,
    rule: Rule,
    strikes: Strikes,
    seed: int,
    closely: bool,
    s: State,
    out: Out,
) -> None:
    """Play all hours of a block of paths from the state ``s``.

    ``rate`` (hours, paths) [requests/s]; ``blocks`` (hours,) which twelfth of the hour bursts;
    ``seed`` of the block's first path; ``closely``: every step, none passed over.  Machines of an
    hour are left as sums over its steps.
    """
    burst = min(max(rule.burst, 1.0), 12.0)
    steep = 2.0 * min(burst - 1.0, 0.8 * (12.0 - burst) / 11.0)
    for p in range(s.now.size):
        draw(p, seed, fleet, s)
    for hour in range(rate.shape[0]):
        _turn(hour, s.flat.size, rate, steep, fleet, rule, s)
        first, last = _rates(hour, blocks, rule, s)
        _hour(hour, first, last, closely, fleet, rule, strikes, s, out)
        flats, tilts = s.flat.sum(), s.tilt.sum()
        for p in range(s.backlog.size):
            arrived = max(s.now[p] * flats + s.slope[p] * tilts, 0.0) * rule.step_s
            out.arrived_path[p] += arrived
            out.arrived_hour[hour] += arrived
            out.backlog[hour] += s.backlog[p]
    for p in range(s.backlog.size):
        out.waiting_path[p] = s.backlog[p]
