"""Steps of a fleet under an autoscaler, compiled: one path after the other, its state together in
the cache of a core.

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

from typing import cast

import numpy as np

from planner.arrays import Ints, Singles
from planner.simulator.autoscaler import asks, band, look, remember, rest, rung
from planner.simulator.compiling import bare, within
from planner.simulator.machines import LATE, OVERLOAD, RETRIES, START, aim, arrive, draw, strike, unstruck
from planner.simulator.records import EVENT_MEMORY, HPA, IDEAL, KEDA, STATIC, Fleet, Out, Rule, State, Strikes

# a literal is a type of its own to the compiler, and what it is handed to would be compiled twice
ZERO, ONE = cast("int", np.int64(0)), cast("int", np.int64(1))


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
    bounds = s.limit.shape[1]
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
        calm = min(calm, s.limit[p, b])
        if held or tries > s.limit[p, b]:
            out.late_of_path[p, b] += count
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
    for b in range(s.limit.shape[1]):
        least = min(least, s.limit[p, b])
    if tries > least:
        late = rule.kind != STATIC and s.desired[p] < rule.most
        s.cause[p] = START if s.units[p, 1] > 0 else LATE if late else OVERLOAD
    return int(s.cause[p])


@within
def _turn(p: int, hour: int, each: int, rate: Singles, steep: float, fleet: Fleet, rule: Rule, s: State) -> None:
    """The load of a new hour of a path, and what the clock orders."""
    hours, factor = rate.shape[1], rule.load_factor
    now = rate[p, hour] * factor
    before = rate[p, hour - 1] * factor if hour > 0 else now
    after = rate[p, hour + 1] * factor if hour + 1 < hours else now
    s.now[p], s.slope[p] = now, _slope(before, now, after, steep)
    changed = hour == 0
    if rule.kind == STATIC:
        for q in range(s.target.shape[1]):
            changed = changed or s.target[p, q] != fleet.scheduled[hour, q]
            s.target[p, q] = fleet.scheduled[hour, q]
    elif changed or rule.kind == IDEAL:
        at = rung(fleet.bears, now * (1 - 1e-9))
        units = 0.0
        for q in range(s.target.shape[1]):
            changed = changed or s.target[p, q] != fleet.counts[at, q]
            s.target[p, q] = fleet.counts[at, q]
            units += fleet.size[q] * fleet.counts[at, q]
        s.desired[p] = min(max(np.round(units), rule.least), rule.most)
    if hour == 0:
        for q in range(s.target.shape[1]):
            s.ready[p, q] = s.target[p, q]
        for w in range(s.wishes.shape[1]):
            s.wishes[p, w] = s.desired[p]
    if changed:
        aim(p, hour * each, fleet, s)


def at_rest(paths: int, fleet: Fleet, rule: Rule, strikes: Strikes) -> State:
    """A block of paths before its first step."""
    each = (paths, len(fleet.size))
    ahead, window = int(fleet.start.max()) + 1, max(rule.up_window, rule.down_window, 1)
    whole, small, real = np.int64, np.int32, np.float64
    shapes: list[tuple[tuple[int, ...], type]] = [(each, small)] * 3 + [((*each, ahead), small), (each, whole)]
    shapes += [((paths, len(fleet.limit)), real), *[((paths,), real)] * 5, ((paths,), np.bool_)]
    shapes += [*[((paths,), whole)] * 2, ((paths, window), real), *[((paths, EVENT_MEMORY), real)] * 2]
    shapes += [*[((paths,), whole)] * 4, ((paths, 2), real)]
    shapes += [((max(len(rule.up_kinds), len(rule.down_kinds), 1),), real)]
    shapes += [((paths,), np.uint64), *[(each, whole)] * 2, ((paths,), whole), *[((paths,), real)] * 2]
    shapes += [*[((12, round(3600.0 / rule.step_s)), real)] * 2, ((12, 2), real), ((12, 5), whole)]
    s = State(*(np.zeros(shape, dtype=kind) for shape, kind in shapes))
    s.when[:] = -1e18
    s.coming[:] = strikes.first[:-1]
    return s


@within
def _rates(rule: Rule, s: State) -> None:
    """Factors of the mean and of the slope in each step of an hour, by the twelfth that bursts."""
    each = s.flat.shape[1]
    burst = min(max(rule.burst, 1.0), 12.0)
    for block in range(12):
        first, last, flats, tilts = 0, 0, 0.0, 0.0
        middle = (block + 0.5) / 12.0 - 0.5
        for minute in range(each):
            at = (minute + 0.5) / each
            if int(at * 12.0) == block:
                s.flat[block, minute], s.tilt[block, minute] = burst, 0.0
                first, last = first if last > 0 else minute, minute + 1
            else:
                s.flat[block, minute], s.tilt[block, minute] = (12.0 - burst) / 11.0, at - 0.5 + middle / 11.0
            flats += s.flat[block, minute]
            tilts += s.tilt[block, minute]
        s.sums[block, 0], s.sums[block, 1] = flats, tilts
        within = first if last > first else 0
        low, high = last if first == 0 else 0, each - 1 if last < each else first - 1
        s.marks[block, 0], s.marks[block, 1] = first, last
        s.marks[block, 2], s.marks[block, 3], s.marks[block, 4] = min(low, each - 1), max(high, 0), within


@within
def _rate_of(p: int, block: int, minute: int, s: State) -> float:
    """Rate of a step [requests/s]."""
    found: float = s.now[p] * s.flat[block, minute] + s.slope[p] * s.tilt[block, minute]
    return found


@within
def _all_within(p: int, block: int, low: float, high: float, s: State) -> bool:
    """Whether every step of an hour stays between two bounds: the ends of its line and its burst
    speak for all.
    """
    here, there = _rate_of(p, block, s.marks[block, 2], s), _rate_of(p, block, s.marks[block, 3], s)
    burst = _rate_of(p, block, s.marks[block, 4], s)
    return low < min(here, there, burst) and max(here, there, burst) <= high


@within
def _quiet(p: int, block: int, minute: int, end: int, low: float, high: float, s: State) -> int:
    """Steps from ``minute`` on, before ``end``, whose rate stays between two bounds; all
    of them lie on one line.
    """
    here = _rate_of(p, block, minute, s)
    if not low < here <= high:
        return 0
    there = _rate_of(p, block, end - 1, s)
    if low < there <= high:
        return end - minute
    left = (high if there > high else low) - here  # the line crosses: guessed, then found exactly
    passed = min(max(int(left / (there - here) * (end - 1 - minute)), 1), end - 1 - minute)
    while not low < _rate_of(p, block, minute + passed - 1, s) <= high:
        passed -= 1
    while low < _rate_of(p, block, minute + passed, s) <= high:
        passed += 1
    return passed


@within
def _pass(p: int, hour: int, minute: int, steps: int, half: int, s: State, out: Out) -> None:
    """Count the machines of ``steps`` steps from ``minute`` of an hour: paid,
    starting, and ready at half past.
    """
    for q in range(s.ready.shape[1]):
        out.running[p, q, hour] += steps * (s.ready[p, q] + s.starting[p, q])
        if s.starting[p, q] > 0:
            out.starting[q, hour] += steps * s.starting[p, q]
        if minute <= half < minute + steps:
            out.ready[p, q, hour] = s.ready[p, q]


@within
def _skip(p: int, step: int, block: int, minute: int, fleet: Fleet, rule: Rule, strikes: Strikes, s: State) -> int:
    """Steps from ``minute`` on, of a path at rest, in which nothing can happen."""
    each, first, last = s.flat.shape[1], s.marks[block, 0], s.marks[block, 1]
    low, high = band(p, rule, s)
    high = min(high, s.calm[p])
    if minute == 0 and _all_within(p, block, low, high, s):
        steps = each
    else:
        steps = _quiet(p, block, minute, first if minute < first else last if minute < last else each, low, high, s)
    return unstruck(p, step, steps, fleet, strikes, s) if steps > 0 else 0


@within
def _held(p: int, step: int, block: int, minute: int, fleet: Fleet, rule: Rule, strikes: Strikes, s: State) -> int:
    """Steps from ``minute`` on, of a path at rest, that ask for fewer replicas while the down window
    still holds those there are: each is remembered, and nothing moves.
    """
    was, slot, age, done = s.desired[p], s.slot[p], 1, 0
    while age < rule.down_window and s.wishes[p, slot] < was:  # since when fewer were asked for
        slot = slot - 1 if slot > 0 else s.wishes.shape[1] - 1
        age += 1
    most = unstruck(p, step, s.flat.shape[1] - minute, fleet, strikes, s)
    while done < most and age < rule.down_window and age <= step + done:
        rate = _rate_of(p, block, minute + done, s)
        wish = asks(p, was, rate, rule, s)
        if rate > s.calm[p] or not wish < was:
            break
        remember(p, wish, s)
        done += 1
        age += 1
    return done


@within
def _hour(
    p: int, hour: int, block: int, closely: bool, fleet: Fleet, rule: Rule, strikes: Strikes, s: State, out: Out
) -> None:
    """An hour of a path."""
    each, looks, minute = s.flat.shape[1], HPA <= rule.kind <= KEDA, ZERO
    while minute < each:
        step, steps = hour * each + minute, ZERO
        if not closely and s.calm[p] >= 0 and not s.short[p] and s.lost[p] == 0 and s.units[p, 1] == 0:
            steps = _skip(p, step, block, minute, fleet, rule, strikes, s)
            if steps > 0 and looks:
                rest(p, steps, s)
            if steps == 0 and rule.kind == HPA:
                steps = _held(p, step, block, minute, fleet, rule, strikes, s)
        if steps > 0:
            for q in range(fleet.hazard.size):
                s.exposed[p, q] += steps * s.ready[p, q]
            _pass(p, hour, minute, steps, each // 2, s, out)
            minute += steps
            continue
        strike(p, step, fleet, strikes, s)
        arrive(p, step, fleet, s)
        rate = _rate_of(p, block, minute, s)
        if rate > s.calm[p]:
            rate = _strain(p, hour, max(rate, 0.0), rule, s, out)
        _pass(p, hour, minute, ONE, each // 2, s, out)
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
    """Play all hours of a block of paths from the state ``s``, one path after the other.

    ``rate`` (paths, hours) [requests/s]; ``blocks`` (hours,) which twelfth of the hour bursts;
    ``seed`` of the block's first path; ``closely``: every step, none passed over.  Machines of an
    hour are left as sums over its steps.
    """
    burst = min(max(rule.burst, 1.0), 12.0)
    steep = 2.0 * min(burst - 1.0, 0.8 * (12.0 - burst) / 11.0)
    _rates(rule, s)
    for p in range(rate.shape[0]):
        draw(p, seed, fleet, s)
        for hour in range(rate.shape[1]):
            block = blocks[hour]
            _turn(p, hour, s.flat.shape[1], rate, steep, fleet, rule, s)
            _hour(p, hour, block, closely, fleet, rule, strikes, s, out)
            arrived = max(s.now[p] * s.sums[block, 0] + s.slope[p] * s.sums[block, 1], 0.0) * rule.step_s
            out.arrived_path[p] += arrived
            out.arrived_hour[hour] += arrived
            out.backlog[hour] += s.backlog[p]
        out.waiting_path[p] = s.backlog[p]
