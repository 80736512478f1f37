"""Request-level simulation of a pool: the answer where no formula is good enough, with its own
error band.

The pool is FCFS or processor sharing behind a balancer, any service law, renewal arrivals.  Times
are in units of the mean service.  Gaps, services and routing draw from streams of their own, so
pools that differ in one thing meet the same requests.
"""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import PlannerError
from planner.latency.histogram import BINS, CHUNK, histogram_quantile
from planner.latency.queue.service_law import ServiceLaw

Balancer = Literal["random", "round_robin", "jsq", "jsq2", "central"]
Discipline = Literal["fcfs", "ps"]

_BLOCK = 1 << 18  # requests whose times are spread evenly over their law
_REQUESTS, _MOST_REQUESTS = 120_000, 1_600_000
_POLICY = {"random": 0, "round_robin": 1, "jsq": 2, "jsq2": 3}
_FEW_WORKERS = 16
POISSON = ServiceLaw("exponential", 1.0)


@dataclass(frozen=True)
class Pool:
    """``replicas`` of ``workers`` each behind a ``balancer``; ``gaps`` is the law of the times
    between requests.

    Under processor sharing (``ps``) each of n requests in a replica is served at min(1, workers/n).
    ``central`` is one FCFS queue for all workers.
    """

    law: ServiceLaw
    workers: int = 1
    replicas: int = 1
    balancer: Balancer = "central"
    discipline: Discipline = "fcfs"
    gaps: ServiceLaw = POISSON

    def __post_init__(self) -> None:
        """Refuse what has no kernel."""
        if self.discipline == "ps" and self.balancer == "central":
            raise PlannerError("processor sharing happens inside replicas; a central queue has none", got=self.balancer)


@dataclass(frozen=True)
class Simulated:
    """What a run measured, times in mean services; each figure has a half-width of its 95 %
    interval from batch means.

    ``response`` and ``wait`` are (batches, bins) histograms; FCFS only for the wait.
    """

    requests: int
    mean_response: float
    mean_wait: float
    p_wait: float
    half_width: dict[str, float]
    response: Ints = field(repr=False)
    wait: Ints = field(repr=False)

    def response_quantile(self, q: float) -> float:
        """Quantile of the response."""
        return histogram_quantile(self.response.sum(axis=0), q)

    def response_half_width(self, q: float) -> float:
        """Half of the 95 % interval of :meth:`response_quantile`, from the spread over batches."""
        values = np.array([histogram_quantile(b, q) for b in self.response])
        return _half_width(values)


def simulate(
    pool: Pool, utilization: float, *, requests: int = 1_000_000, seed: int = 0, batches: int = 20, even: bool = False
) -> Simulated:
    """Run ``requests`` after a tenth of warm-up. Raises :class:`PlannerError` at ρ ≥ 1, where there
    is no answer.

    ``even`` draws gaps and services one from each of many equal slices of their law, in random
    order: half the spread of medians and of p95 for the same number of requests, and intervals that
    are too wide rather than too narrow.

    ``pool``: laws and balancer; ``utilization`` ρ in (0, 1) of all workers; ``batches`` for the
    intervals. Same seed, same requests: two pools that differ in one thing are compared request
    by request. The interval of a high quantile is too narrow where few requests reach it, as q =
    0.99 under an scv of 20. Kernels after Kiefer & Wolfowitz 1955 (one queue) and routed queues.

    >>> run = simulate(Pool(POISSON), 0.5, requests=200_000, seed=1)
    >>> abs(run.mean_response - 2.0) < 3 * run.half_width["mean_response"]
    True
    """
    if not 0 < utilization < 1:
        raise PlannerError("a pool is stable only at a utilization between 0 and 1", got=utilization)
    run = _Run(pool, utilization, seed, even)
    for _ in run.chunks(max(requests // 10, CHUNK)):
        pass
    size = max(requests // batches, 1)
    return _summary([_batch(run, size) for _ in range(batches)], pool.discipline == "ps")


class _Run:
    """The streams and the state of one simulation."""

    def __init__(self, pool: Pool, utilization: float, seed: int, even: bool = False) -> None:
        self.pool, self._even = pool, even
        self._left: list[tuple[Floats, Floats]] = []
        self.rate = utilization * pool.workers * pool.replicas
        self._rng = [np.random.Generator(np.random.SFC64(s)) for s in np.random.SeedSequence(seed).spawn(3)]
        self._turn, self._clock = 0, 0.0
        n, w = pool.replicas, pool.workers
        self._free = np.zeros(n * w) if pool.balancer == "central" else np.zeros((n, w))
        places = 64 if pool.discipline == "ps" or pool.balancer in ("jsq", "jsq2") else 1
        self._heap, self._born = np.zeros((n, places)), np.zeros((n, places))
        self._present = np.zeros(n, dtype=np.int64)
        self._virtual, self._last, self._soonest = np.zeros(n), np.zeros(n), np.full(n, np.inf)

    def chunks(self, requests: int) -> Iterator[tuple[Floats, Floats]]:
        """(responses, waits) of about ``requests`` requests; waits are empty under processor
        sharing.
        """
        left = requests
        while left > 0:
            gaps, services = self._drawn(min(CHUNK, left))
            left -= gaps.size
            yield self._step(gaps / self.rate, services)

    def _drawn(self, size: int) -> tuple[Floats, Floats]:
        """Gaps of mean 1 and services; of a whole block that is handed out in parts where they are
        spread evenly.
        """
        laws = (self.pool.gaps, self._rng[0]), (self.pool.law, self._rng[1])
        if not self._even:
            gaps, services = (draw(law, rng, size) for law, rng in laws)
            return gaps, services
        if not self._left:
            both = [draw_evenly(law, rng, _BLOCK) for law, rng in laws]
            self._left = [(both[0][k : k + CHUNK], both[1][k : k + CHUNK]) for k in range(_BLOCK - CHUNK, -1, -CHUNK)]
        gaps, services = self._left.pop()
        if size < gaps.size:
            self._left.append((gaps[size:], services[size:]))
        return gaps[:size], services[:size]

    def _step(self, gaps: Floats, services: Floats) -> tuple[Floats, Floats]:
        """Responses and waits of one chunk by the kernel of the pool's balancer and discipline;
        the queue goes on where the last chunk left it.
        """
        from planner.latency import kernels

        if self.pool.balancer == "central":
            kernel = kernels.shared_queue if self._free.size <= _FEW_WORKERS else kernels.shared_queue_heap
            waits = np.empty(gaps.size)
            self._clock = self._rebase(kernel(gaps, services, self._free, self._clock, waits))
            return waits + services, waits
        uniforms = self._rng[2].random(gaps.size)
        if self.pool.discipline == "ps":
            return self._sharing(gaps, services, uniforms), np.empty(0)
        waits = np.empty(gaps.size)
        policy, at = _POLICY[self.pool.balancer], 0
        while at < gaps.size:
            taken, self._clock = kernels.routed_fcfs(
                gaps[at:],
                services[at:],
                uniforms[at:],
                policy,
                self._free,
                self._heap,
                self._present,
                self._soonest,
                self._clock,
                self._turn,
                waits[at:],
            )
            at, self._turn = at + taken, self._turn + taken
            self._grow(at < gaps.size)
        return waits + services, waits

    def _sharing(self, gaps: Floats, services: Floats, uniforms: Floats) -> Floats:
        """Responses under processor sharing, in the order in which requests are done; those
        still inside count in a later chunk.
        """
        from planner.latency import kernels

        policy, at, parts = _POLICY[self.pool.balancer], 0, []
        while at < gaps.size:
            out = np.empty(gaps.size - at + int(self._present.sum()))
            taken, done, self._clock = kernels.routed_ps(
                gaps[at:],
                services[at:],
                uniforms[at:],
                policy,
                self._heap,
                self._born,
                self._present,
                self._virtual,
                self._last,
                self._soonest,
                self.pool.workers,
                self._clock,
                self._turn,
                out,
            )
            at, self._turn = at + taken, self._turn + taken
            parts.append(out[:done])
            self._grow(at < gaps.size)
        return np.concatenate(parts)

    def _rebase(self, clock: float) -> float:
        """Count from 0 again, or a long run loses digits of short waits."""
        self._free -= clock
        return 0.0

    def _grow(self, full: bool) -> None:
        """Twice the places where a replica ran out of them; the run then goes on at the
        request that did not fit.
        """
        if full:
            self._heap = np.hstack([self._heap, np.zeros_like(self._heap)])
            self._born = np.hstack([self._born, np.zeros_like(self._born)])


def draw(law: ServiceLaw, rng: np.random.Generator, size: int) -> Floats:
    """``size`` values of a law of mean 1.

    Gamma of shape 1/scv, hyperexponential by two branches of equal load, lognormal with σ² = ln(1
    + scv).

    >>> draw(ServiceLaw.of(0.0), np.random.default_rng(0), 2).tolist()
    [1.0, 1.0]
    """
    if law.kind == "deterministic":
        return np.ones(size)
    if law.kind == "exponential":
        return rng.standard_exponential(size)
    if law.kind == "lognormal":
        s = math.sqrt(math.log1p(law.scv))
        z: Floats = rng.standard_normal(size)
        z *= s
        z -= s * s / 2
        return np.exp(z, out=z)
    if law.kind == "hyperexponential":
        p, r1, r2 = law.branches
        mean: Floats = np.where(rng.random(size) < p, 1 / r1, 1 / r2)
        return rng.standard_exponential(size) * mean
    return rng.standard_gamma(1 / law.scv, size) * law.scv


def draw_evenly(law: ServiceLaw, rng: np.random.Generator, size: int) -> Floats:
    """``size`` values of a law of mean 1, one from each of ``size`` equally likely slices, in
    random order; gamma as drawn.
    """
    if law.kind in ("deterministic", "gamma"):
        return draw(law, rng, size)
    if law.kind == "hyperexponential":
        p, r1, r2 = law.branches
        first = int(p * size + rng.random())
        values = np.concatenate([draw_evenly(POISSON, rng, first) / r1, draw_evenly(POISSON, rng, size - first) / r2])
    else:
        values = _slices(law, size).copy()
        tail = size - size // 64  # the rare large values differ from block to block
        values[tail:] = _at_share(law, (np.arange(tail, size) + rng.random(size - tail)) / size)
    rng.shuffle(values)
    return values


@lru_cache(maxsize=16)
def _slices(law: ServiceLaw, size: int) -> Floats:
    """One value from each of ``size`` equally likely slices of a law, the same for every
    block of a law and size.
    """
    return _at_share(law, (np.arange(size) + np.random.default_rng(0).random(size)) / size)


def _at_share(law: ServiceLaw, share: Floats) -> Floats:
    """Quantiles of an exponential or lognormal law."""
    if law.kind == "exponential":
        return -np.log1p(-share)
    from scipy.special import ndtri

    s = math.sqrt(math.log1p(law.scv))
    return np.asarray(np.exp(s * ndtri(share) - s * s / 2))


def _batch(run: _Run, size: int) -> dict[str, Any]:
    """Counts and sums of one batch: histograms of response and wait, their means and the share
    of requests that wait. A wait below 1e-12 mean services is none.
    """
    from planner.latency.kernels import tally

    response, wait = np.zeros(BINS, dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    total = waited = 0.0
    count = 0
    for responses, waits in run.chunks(size):
        tally(responses.view(np.int64), response)
        waits = waits[waits > 1e-12]
        tally(waits.view(np.int64), wait)
        total, waited, count = total + float(responses.sum()), waited + float(waits.sum()), count + responses.size
    n = max(count, 1)
    return {
        "response": response,
        "wait": wait,
        "n": n,
        "mean_response": total / n,
        "mean_wait": waited / n,
        "p_wait": wait.sum() / n,
    }


def _summary(batches: list[dict[str, Any]], sharing: bool) -> Simulated:
    """Means over batches weighted by their requests, with half-widths of their 95 % intervals;
    no waits under processor sharing.
    """
    n = np.array([b["n"] for b in batches])
    means = {k: np.array([b[k] for b in batches]) for k in ("mean_response", "mean_wait", "p_wait")}
    if sharing:
        means["mean_wait"], means["p_wait"] = np.full(len(batches), np.nan), np.full(len(batches), np.nan)
    value = {k: float(n @ v / n.sum()) for k, v in means.items()}
    spread = {k: _half_width(v) for k, v in means.items()}
    return Simulated(
        int(n.sum()),
        value["mean_response"],
        value["mean_wait"],
        value["p_wait"],
        spread,
        np.array([b["response"] for b in batches]),
        np.array([b["wait"] for b in batches]),
    )


def _half_width(values: Floats) -> float:
    """Half of the 95 % interval of a mean from n batch means: Student's t with n − 1
    degrees × standard deviation / √n. Too narrow where batches are so short that
    neighbors depend on each other.
    """
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))


@dataclass(frozen=True)
class Rows:
    """Response quantiles at nodes of ρ/(1 − ρ), one row a quantile, and half of the 90 % band of
    the highest one.
    """

    values: tuple[tuple[float, ...], ...]
    error_share: float
    requests: int  # of the longest run


@lru_cache(maxsize=512)
def response_rows(pool: Pool, odds: tuple[float, ...], quantiles: tuple[float, ...]) -> Rows:
    """Simulate a pool at ``odds`` (0 = the service alone).

    The band is the widest of the nodes up to ρ = 0.9, from batch means.

    ``odds`` (n,) ρ/(1 − ρ), rising from 0; ``quantiles`` [share]. One run a node, all with one
    seed, so that neighboring nodes meet the same requests and the row does not fall by chance.
    """
    # the kernels let go of the interpreter and every run has streams of its own
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        runs = list(
            threads.map(lambda x: simulate(pool, x / (1 + x), requests=_enough(pool, x), seed=1, even=True), odds[1:])
        )
    values = [
        [pool.law.quantile(q) for q in quantiles],
        *([run.response_quantile(q) for q in quantiles] for run in runs),
    ]
    top, usual = max(quantiles), [run for x, run in zip(odds[1:], runs, strict=True) if x <= 9]
    error = max(
        (run.response_half_width(top) / run.response_quantile(top) * 1.645 / 1.96 for run in usual),
        default=0.0,
    )
    columns = np.maximum.accumulate(np.asarray(values), axis=0).T
    return Rows(
        tuple(tuple(float(v) for v in column) for column in columns),
        error,
        max((run.requests for run in runs), default=0),
    )


def _enough(pool: Pool, odds: float) -> int:
    """Requests to simulate: more for lumpy gaps and services and up to ρ = 0.9, where waits are
    long and alike; fewer for large pools.
    """
    lumpy = max(1.0, 0.5 * (pool.gaps.scv + (1.0 if pool.discipline == "ps" else pool.law.scv)))
    near = min(odds, 9.0) ** 2 / (10 * math.sqrt(pool.workers * pool.replicas))
    return int(min(_REQUESTS * lumpy * (1 + near), _MOST_REQUESTS))
