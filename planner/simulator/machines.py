"""Machines of a path: ordered, started, stopped, lost.  Compiled into the steps of
:mod:`planner.simulator.kernel`.

A machine that is ordered waits in a ring of steps for the one in which it is ready; it is paid from
the order on.  What is stopped goes at once, the latest orders first.  A lost zone takes its share
of every kind, machines dealt to zones in turn; a spot shock takes a pool in one zone or everywhere,
and none can be had again there until it ends.  Single spot machines are taken back when the
machine-steps since the last reach an exponential draw, counted in whole numbers so that a stretch
of steps adds up to the same as its single steps.
"""

import math

import numpy as np
from numpy.typing import NDArray

from planner.simulator.compiling import within
from planner.simulator.records import Fleet, State, Strikes

OVERLOAD, START, LATE, ZONE, SPOT, RETRIES = 0, 1, 2, 3, 4, 5  # causes, in the order of CAUSES


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
    """A draw of the exponential law of mean 1, by −ln u with u of 53 bits and never 0."""
    return -math.log((_random(state, p) + 0.5) / 9007199254740992.0)


@within
def draw(p: int, seed: int, fleet: Fleet, s: State) -> None:
    """A random stream of a path's own, and the first machine of each kind that is taken back."""
    s.random[p] = np.uint64(seed + p + 1) * np.uint64(0x9E3779B97F4A7C15)
    for _ in range(8):
        _random(s.random, p)
    for q in range(s.ready.shape[1]):
        _await_the_next(q, p, fleet, s)


@within
def _await_the_next(q: int, p: int, fleet: Fleet, s: State) -> None:
    """Machine-steps until the next machine of a kind is taken back."""
    drawn = _exponential(s.random, p)
    s.exposed[p, q] = 0
    s.until[p, q] = np.int64(min(math.ceil(drawn / fleet.hazard[q]), 1e18)) if fleet.hazard[q] > 0 else np.int64(2**62)


@within
def bears(p: int, fleet: Fleet, s: State) -> None:
    """What the ready replicas of a path bear: saturation, each bound's largest rate with traffic
    split by weight, and their number in units.

    A kind with n ready gets the share weight / Σ weight of the traffic, so bound b holds up to
    min_kinds limit_b · Σ weight / weight; ``calm`` is the least of these and saturation, below
    which a step needs no closer look.
    """
    kinds = s.ready.shape[1]
    whole = full = up = coming = 0.0
    for q in range(kinds):
        n = s.ready[p, q]
        whole += fleet.weight[q, n]
        full += fleet.saturation[q, n]
        up += fleet.size[q] * n
        coming += fleet.size[q] * s.starting[p, q]
    s.saturation[p] = full
    s.units[p, 0], s.units[p, 1] = np.round(up), np.round(coming)
    for b in range(s.limit.shape[1]):
        least = np.inf
        for q in range(kinds):
            n = s.ready[p, q]
            if n > 0:
                least = min(least, fleet.limit[b, q, n] * whole / fleet.weight[q, n])
        s.limit[p, b] = least * (1 + 1e-9) if whole > 0 else 0.0
        full = min(full, s.limit[p, b])
    s.calm[p] = full if s.backlog[p] <= 0 and s.failing[p] == 0 else -1.0


@within
def _take(q: int, p: int, k: int, slot: int, s: State) -> None:
    """Stop ``k`` replicas, those that start last first."""
    length = s.ring.shape[2]
    for back in range(length):
        if k == 0 or s.starting[p, q] == 0:
            break
        at = (slot - 1 - back) % length
        gone = min(k, s.ring[p, q, at])
        s.ring[p, q, at] -= gone
        s.starting[p, q] -= gone
        k -= gone
    s.ready[p, q] -= min(k, s.ready[p, q])


@within
def aim(p: int, step: int, fleet: Fleet, s: State) -> None:
    """Order and stop replicas towards a path's target; ``short`` if some cannot be had now.

    More: start-up steps are drawn from the 256 of the kind, one draw for all replicas ordered at
    once. Fewer: the latest orders go first, then ready ones, at once. A pool that is closed is
    asked again in the next step.
    """
    s.short[p] = False
    length = s.ring.shape[2]
    for q in range(s.target.shape[1]):
        more = s.target[p, q] - s.ready[p, q] - s.starting[p, q]
        if more < 0:
            _take(q, p, -more, step % length, s)
        elif more > 0:
            if s.closed[p, q] > step:
                s.short[p] = True
                continue
            wait = fleet.start[q, np.int64(_random(s.random, p) & np.uint64(255))]
            if wait <= 0:
                s.ready[p, q] += more
            else:
                s.ring[p, q, (step + wait) % length] += more
                s.starting[p, q] += more
    bears(p, fleet, s)


@within
def _lose(p: int, kind: int, pool: int, zone: int, end: int, fleet: Fleet, s: State) -> None:
    """Take a zone's machines, or those of a spot pool.

    ``kind`` 0 a zone (all pools), 1 a spot pool in a zone, 2 it everywhere; ``pool`` −1 every
    spot pool. Only ready machines are taken; those that are starting stay. A pool is closed
    until ``end`` where no other zone can give it.
    """
    turn = 0
    for q in range(s.ready.shape[1]):
        n = s.ready[p, q]
        if kind == 0 or (pool == q if pool >= 0 else fleet.spot[q]):
            gone = n
            if kind != 2 and fleet.zones > 1:
                gone = n // fleet.zones + (1 if (zone - turn) % fleet.zones < n % fleet.zones else 0)
            s.ready[p, q] -= gone
            if gone > 0:
                s.lost[p] = ZONE if kind == 0 else SPOT
                s.short[p] = True
            if kind == 2 or fleet.zones == 1:
                s.closed[p, q] = max(s.closed[p, q], end)
        turn += n


@within
def strike(p: int, step: int, fleet: Fleet, strikes: Strikes, s: State) -> None:
    """Events that are due, and spot machines taken back one by one: the next when the machine-steps
    since the last reach an exponential draw.
    """
    while s.coming[p] < strikes.first[p + 1] and strikes.step[s.coming[p]] <= step:
        e = s.coming[p]
        s.coming[p] += 1
        _lose(p, strikes.kind[e], strikes.pool[e], strikes.zone[e], strikes.end[e], fleet, s)
    for q in range(fleet.hazard.size):
        s.exposed[p, q] += s.ready[p, q]
        if s.exposed[p, q] >= s.until[p, q] and s.ready[p, q] > 0:
            _await_the_next(q, p, fleet, s)
            s.ready[p, q] -= 1
            s.lost[p] = SPOT
            s.short[p] = True


@within
def unstruck(p: int, step: int, most: int, fleet: Fleet, strikes: Strikes, s: State) -> int:
    """How many of the next ``most`` steps surely lose no machine: up to the next event, and
    before the machine-steps reach the draw of any kind.
    """
    if s.coming[p] < strikes.first[p + 1]:
        most = min(most, strikes.step[s.coming[p]] - step)
    for q in range(fleet.hazard.size):
        if s.ready[p, q] > 0:
            left = s.until[p, q] - s.exposed[p, q] - 1
            if s.ready[p, q] * most > left:
                most = left // s.ready[p, q]
    return most


@within
def arrive(p: int, step: int, fleet: Fleet, s: State) -> None:
    """Replicas that are ready now; orders again for what is missing. Once nothing is missing or
    starting, a past loss is no cause any more.
    """
    if s.units[p, 1] > 0:
        slot, fresh = step % s.ring.shape[2], 0
        for q in range(s.ready.shape[1]):
            more = s.ring[p, q, slot]
            fresh += more
            s.ring[p, q, slot] = 0
            s.ready[p, q] += more
            s.starting[p, q] -= more
        if fresh > 0:
            bears(p, fleet, s)
    if s.short[p]:
        aim(p, step, fleet, s)
    elif s.lost[p] != 0 and s.units[p, 1] == 0:
        s.lost[p] = 0
