"""Compiled request-level kernels; state lives in arrays, so a long run goes through them chunk by
chunk.

Times are in units of the mean service.  Random numbers come in as arrays: equal arrays mean equal
requests, so two runs that differ in one thing only can be compared request by request.
"""

import numpy as np

from planner.arrays import Floats, Ints
from planner.compiling import compiled
from planner.latency.histogram import BINS, LOWEST, SHIFT

RANDOM, ROUND_ROBIN, JSQ, JSQ2 = 0, 1, 2, 3


@compiled
def tally(bits: Ints, histogram: Ints) -> None:
    """Count positive doubles, given as their bits, into logarithmic bins."""
    for i in range(bits.size):
        k = (bits[i] >> SHIFT) - LOWEST
        histogram[min(max(k, 0), BINS - 1)] += 1


@compiled
def shared_queue(gaps: Floats, services: Floats, free: Floats, clock: float, waits: Floats) -> float:
    """FCFS with one queue for all workers (Kiefer & Wolfowitz 1955), few workers: each request
    takes the earliest free one.

    ``free`` [time] when each worker is free, changed in place; returns the clock.
    """
    c = free.size
    for i in range(gaps.size):
        clock += gaps[i]
        best, at = free[0], 0
        for j in range(1, c):
            if free[j] < best:
                best, at = free[j], j
        start = max(best, clock)
        waits[i] = start - clock
        free[at] = start + services[i]
    return clock


@compiled
def shared_queue_heap(gaps: Floats, services: Floats, free: Floats, clock: float, waits: Floats) -> float:
    """The same for many workers: ``free`` is a binary heap."""
    c = free.size
    for i in range(gaps.size):
        clock += gaps[i]
        start = max(free[0], clock)
        waits[i] = start - clock
        _sink(free, c, start + services[i])
    return clock


@compiled
def _sink(heap: Floats, size: int, value: float) -> None:
    """Replace the root of a heap."""
    k = 0
    child = 1
    while child < size:
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[k] = heap[child]
        k = child
        child = 2 * k + 1
    heap[k] = value


@compiled
def _rise(heap: Floats, size: int, value: float) -> None:
    """Add to a heap of ``size``."""
    k = size
    while k > 0:
        up = (k - 1) >> 1
        if heap[up] <= value:
            break
        heap[k] = heap[up]
        k = up
    heap[k] = value


@compiled
def _pick(policy: int, u: float, turn: int, present: Ints, n: int) -> int:
    """The replica a request is sent to; ``present`` counts requests, ties of ``JSQ`` go to one at
    random.
    """
    if policy == RANDOM:
        return min(int(u * n), n - 1)
    if policy == ROUND_ROBIN:
        return turn % n
    if policy == JSQ2:
        first = min(int(u * n), n - 1)
        second = min(int((u * n - first) * n), n - 1)
        return second if present[second] < present[first] else first
    least = present[0]
    ties = 1
    for j in range(1, n):
        if present[j] < least:
            least, ties = present[j], 1
        elif present[j] == least:
            ties += 1
    skip = min(int(u * ties), ties - 1)
    for j in range(n):
        if present[j] == least:
            if skip == 0:
                return j
            skip -= 1
    return n - 1


@compiled
def _depart(j: int, now: float, leaving: Floats, present: Ints, soonest: Floats) -> None:
    """Let those leave replica ``j`` whose time has come."""
    while present[j] > 0 and leaving[j, 0] <= now:
        present[j] -= 1
        _sink(leaving[j], present[j], leaving[j, present[j]])
    soonest[j] = leaving[j, 0] if present[j] > 0 else np.inf


@compiled
def routed_fcfs(
    gaps: Floats,
    services: Floats,
    uniforms: Floats,
    policy: int,
    free: Floats,
    leaving: Floats,
    present: Ints,
    soonest: Floats,
    clock: float,
    turn: int,
    waits: Floats,
) -> tuple[int, float]:
    """Requests routed on arrival to a replica of some workers, FCFS inside.

    ``free`` (replicas, workers); ``leaving`` (replicas, places) heaps of departure times,
    ``present`` their sizes, ``soonest`` their roots.  Returns (requests done, clock); fewer than
    given when a replica outgrows its places.
    """
    n, w = free.shape
    counts = policy >= JSQ
    for i in range(gaps.size):
        now = clock + gaps[i]
        u = uniforms[i]
        if policy == JSQ:
            for j in range(n):
                if soonest[j] <= now:
                    _depart(j, now, leaving, present, soonest)
        elif policy == JSQ2:
            first = min(int(u * n), n - 1)
            _depart(first, now, leaving, present, soonest)
            _depart(min(int((u * n - first) * n), n - 1), now, leaving, present, soonest)
        at = _pick(policy, u, turn + i, present, n)
        if counts and present[at] >= leaving.shape[1]:
            return i, clock
        clock = now
        row = free[at]
        best, worker = row[0], 0
        for k in range(1, w):
            if row[k] < best:
                best, worker = row[k], k
        start = max(best, now)
        waits[i] = start - now
        row[worker] = start + services[i]
        if counts:
            _rise(leaving[at], present[at], row[worker])
            present[at] += 1
            soonest[at] = leaving[at, 0]
    return gaps.size, clock


@compiled
def _advance(
    j: int,
    now: float,
    finish: Floats,
    born: Floats,
    present: Ints,
    virtual: Floats,
    last: Floats,
    soonest: Floats,
    workers: int,
    responses: Floats,
    done: int,
) -> int:
    """Serve replica ``j`` by processor sharing until ``now``: virtual time runs at min(1,
    workers/n), the least finish leaves first.
    """
    while present[j] > 0:
        step = (finish[j, 0] - virtual[j]) * max(1.0, present[j] / workers)
        if last[j] + step > now:
            virtual[j] += (now - last[j]) / max(1.0, present[j] / workers)
            break
        last[j] += step
        virtual[j] = finish[j, 0]
        responses[done] = last[j] - born[j, 0]
        done += 1
        present[j] -= 1
        size = present[j]
        value, age = finish[j, size], born[j, size]
        k, child = 0, 1
        while child < size:
            if child + 1 < size and finish[j, child + 1] < finish[j, child]:
                child += 1
            if finish[j, child] >= value:
                break
            finish[j, k], born[j, k] = finish[j, child], born[j, child]
            k, child = child, 2 * child + 1
        finish[j, k], born[j, k] = value, age
    if present[j] == 0:
        virtual[j] = 0.0  # restarted, or digits would be lost over a long run
    last[j] = now
    soonest[j] = now + (finish[j, 0] - virtual[j]) * max(1.0, present[j] / workers) if present[j] > 0 else np.inf
    return done


@compiled
def routed_ps(
    gaps: Floats,
    services: Floats,
    uniforms: Floats,
    policy: int,
    finish: Floats,
    born: Floats,
    present: Ints,
    virtual: Floats,
    last: Floats,
    soonest: Floats,
    workers: int,
    clock: float,
    turn: int,
    responses: Floats,
) -> tuple[int, int, float]:
    """Requests routed on arrival to replicas of some workers, shared evenly by all present: each is
    served at min(1, workers/n).

    ``finish`` and ``born`` (replicas, places): heaps on the virtual finish time and the arrival
    times beside, ``soonest`` the next departures.  Returns (requests taken, departures written to
    ``responses``, clock).
    """
    n = present.size
    done = 0
    for i in range(gaps.size):
        now = clock + gaps[i]
        u = uniforms[i]
        if policy == JSQ:
            for j in range(n):
                if soonest[j] <= now:
                    done = _advance(j, now, finish, born, present, virtual, last, soonest, workers, responses, done)
        elif policy == JSQ2:
            first = min(int(u * n), n - 1)
            second = min(int((u * n - first) * n), n - 1)
            done = _advance(first, now, finish, born, present, virtual, last, soonest, workers, responses, done)
            done = _advance(second, now, finish, born, present, virtual, last, soonest, workers, responses, done)
        at = _pick(policy, u, turn + i, present, n)
        done = _advance(at, now, finish, born, present, virtual, last, soonest, workers, responses, done)
        if present[at] >= finish.shape[1]:
            return i, done, clock
        clock = now
        value = virtual[at] + services[i]
        k = present[at]
        while k > 0:
            up = (k - 1) >> 1
            if finish[at, up] <= value:
                break
            finish[at, k], born[at, k] = finish[at, up], born[at, up]
            k = up
        finish[at, k], born[at, k] = value, now
        present[at] += 1
        soonest[at] = now + (finish[at, 0] - virtual[at]) * max(1.0, present[at] / workers)
    return gaps.size, done, clock


@compiled
def batch_server(
    gaps: Floats, setup: float, each: float, largest: int, waiting: Floats, state: Floats, latencies: Floats
) -> tuple[int, int]:
    """One server that takes all waiting requests (up to ``largest``) as a batch of b and serves
    them in setup + each·b.

    ``waiting``: ring of arrival times; ``state`` = (clock, busy until, head, length).  Returns
    (requests taken, latencies written).
    """
    clock, busy = state[0], state[1]
    head, length = int(state[2]), int(state[3])
    places = waiting.size
    done = 0
    taken = gaps.size
    for i in range(gaps.size):
        now = clock + gaps[i]
        while length > 0:
            start = max(busy, waiting[head])
            if start >= now:
                break
            b = 0
            while b < length and b < largest and waiting[(head + b) % places] <= start:
                b += 1
            busy = start + setup + each * b
            for k in range(b):
                latencies[done] = busy - waiting[(head + k) % places]
                done += 1
            head, length = (head + b) % places, length - b
        if length >= places:
            taken = i
            break
        clock = now
        waiting[(head + length) % places] = now
        length += 1
    state[0], state[1], state[2], state[3] = clock, busy, head, length
    return taken, done
