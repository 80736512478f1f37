"""Response quantiles of a pool at any utilization, quickly: exact where closed, else read from a
table of the reduction or of simulations.

Times are in mean services.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from planner.arrays import Flags, Floats
from planner.latency.curve import Curve, largest
from planner.latency.queue import mgc
from planner.latency.queue.erlang import mmc_response_quantile_s, mmc_response_tail
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import POISSON, Balancer, Pool, Rows, response_rows

# half of the 90 % band of p99 where the reduction approximates: measured against exact PH/PH/c
REDUCTION_ERROR = ((1.0, 0.05), (4.0, 0.10))
_USUAL = (0.5, 0.9, 0.95, 0.99)
_SIMULATED_ODDS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.33, 4.0, 6.0, 9.0, 15.0, 24.0)
_SIZES = (1, 2, 4, 8, 16, 64, 256)  # replicas, or workers of one, that are simulated
_FEW = 16  # shared queues up to this have a table each
# arrival_scv where the reduction with stretched waits is within 15 % at p95 and p99
_STRETCHED = (0.5, 1.4)
# a response within this of the service alone is not simulated again in a larger pool
_NO_WAIT = 1.003


def alone(pool: Pool) -> Pool:
    """An equivalent smaller pool: replicas that do not watch each other are one replica with its
    share of the gaps.

    A random split keeps 1/n of the departure from Poisson; taking turns of Poisson requests makes
    Erlang-n gaps.

    A round robin over requests that are not Poisson stays as it is and is simulated whole.

    >>> alone(Pool(POISSON, 2, 8, "random")).replicas
    1
    >>> alone(Pool(POISSON, 1, 4, "round_robin")).gaps.scv
    0.25
    """
    n = pool.replicas
    if n == 1 and pool.balancer != "central" and pool.discipline == "fcfs":
        return replace(pool, balancer="central")
    queue: Balancer = "central" if pool.discipline == "fcfs" else "random"
    if pool.balancer == "random" and n > 1:
        scv = 1 + (pool.gaps.scv - 1) / n
        gaps = POISSON if pool.gaps == POISSON else ServiceLaw("gamma" if scv < 1 else "hyperexponential", scv)
        return replace(pool, replicas=1, balancer=queue, gaps=gaps)
    if pool.balancer == "round_robin" and pool.gaps == POISSON and n > 1:
        return replace(pool, replicas=1, balancer=queue, gaps=ServiceLaw("gamma", 1 / n))
    return pool


@lru_cache(maxsize=65536)
def method_and_error(pool: Pool) -> tuple[str, float]:
    """What answers for this pool, in words, and half of the 90 % band of its p99.

    The band of the reduction was measured against exact PH/PH/c, that of a simulation comes from
    its batch means; neither holds what the service time itself may be off.

    >>> method_and_error(Pool(POISSON, 4))
    ('M/M/4 exactly (Erlang 1917)', 0.0)
    """
    one = alone(pool)
    kind, servers = _kind(one), one.workers * one.replicas
    if kind == "mmc":
        return f"M/M/{servers} exactly (Erlang 1917)", 0.0
    if kind == "simulation":
        rows = _simulated(_parts(pool)[0][0], _USUAL)
        return f"simulated, up to {rows.requests:,} requests a point", rows.error_share
    error = 0.001 if servers == 1 else next(e for scv, e in REDUCTION_ERROR if one.law.scv <= scv)
    if one.gaps == POISSON:
        return f"M/G/{servers} by the Tijms reduction (1981)", error
    # measured on exact and simulated cases with arrival and service scv up to 4
    return f"G/G/{servers} by the Tijms reduction (1981), wait stretched for bursty arrivals", max(error, 0.15)


def response_quantile(pool: Pool, quantile: float, utilization: Floats) -> Floats:
    """Quantile of the response at each utilization; ``inf`` where ρ ≥ 1.

    A pool between two sizes a < n < b that have a table is read on the chord in 1/n: at one
    utilization the response is convex in 1/n (measured within noise for p50–p99 of every balancer
    and both disciplines), so the chord is no faster, by at most 3 %.

    ``quantile`` [share]; ``utilization`` ρ, any shape; the answer in mean services, not falling in
    ρ.

    >>> [round(float(x), 3) for x in response_quantile(Pool(POISSON, 1), 0.99, np.array([0.0, 0.5]))]
    [4.605, 9.21]
    """
    parts = [weight * _at(part, quantile, utilization) for part, weight in _parts(pool)]
    return np.asarray(sum(parts[1:], start=parts[0]))


def _at(part: Pool, quantile: float, utilization: Floats) -> Floats:
    one = alone(part)
    if _kind(one) == "mmc":
        servers = one.workers * one.replicas
        return mmc_response_quantile_s(utilization * servers, 1.0, servers, quantile)
    return _curve(part, quantile).at(utilization)


@lru_cache(maxsize=65536)
def largest_utilization(pool: Pool, quantile: float, limit: float, slowdown: float = 0.0) -> float:
    """Largest ρ at which the response quantile, with services slowed by 1 + slowdown·ρ, is within
    ``limit``; 0 if none.

    ``limit`` in mean services; ``slowdown`` [share] for workers that share a core: services last 1
    + slowdown·ρ times as long at ρ.

    >>> round(largest_utilization(Pool(POISSON, 1), 0.99, 9.21034), 4)
    0.5
    """
    if pool.law.quantile(quantile) > limit:
        return 0.0
    one = alone(_parts(pool)[0][0])
    servers = one.workers * one.replicas

    def meets(rho: Floats) -> Flags:
        bound = limit / (1 + slowdown * rho)
        if _kind(one) == "mmc":
            return mmc_response_tail(bound, rho * servers, 1.0, servers) <= 1 - quantile
        return response_quantile(pool, quantile, rho) <= bound

    return largest(meets)


def _kind(one: Pool) -> str:
    if one.discipline == "ps" or one.balancer != "central":
        return "simulation"
    if one.gaps == POISSON and one.law.kind == "exponential":
        return "mmc"
    if one.gaps == POISSON and one.workers * one.replicas == 1:
        return "reduction"
    close = one.gaps == POISSON or _STRETCHED[0] <= one.gaps.scv <= _STRETCHED[1]
    return "reduction" if close and one.law.scv <= REDUCTION_ERROR[-1][0] else "simulation"


def _helped(pool: Pool) -> bool:
    """Whether a replica waits less for having others beside it that do not share its queue."""
    return pool.replicas > 1 and pool.balancer != "central" and (pool.balancer != "random" or pool.gaps != POISSON)


@lru_cache(maxsize=65536)
def _parts(pool: Pool) -> tuple[tuple[Pool, float], ...]:
    """Pools that have a table or a formula, next in size to this one, and their weights on the
    chord in 1/size.

    The size is the number of replicas that help each other, then that of the workers of one queue
    where it is simulated or long.
    """
    if _helped(pool) and pool.replicas not in _SIZES[:-1]:
        return _chord(min(pool.replicas, _SIZES[-2]), _SIZES[:-1], lambda n: replace(pool, replicas=n))
    base = pool if _helped(pool) else alone(pool)
    one = alone(base)
    size = one.workers * (one.replicas if one.balancer == "central" else 1)
    low, kind = _round_down(size), _kind(one)
    if kind == "mmc" or (kind == "reduction" and (size <= _FEW or size == low)):
        return ((base, 1.0),)

    def of(workers: int) -> Pool:
        return replace(base, workers=workers, replicas=base.replicas if _helped(base) else 1)

    if kind == "reduction":
        return _chord(size, (low, _next_up(low)), of)
    return ((of(size), 1.0),) if size in _SIZES else _chord(min(size, _SIZES[-1]), _SIZES, of)


def _chord(size: int, sizes: tuple[int, ...], of: Callable[[int], Pool]) -> tuple[tuple[Pool, float], ...]:
    """The parts of the pools of the sizes next below and above, weighted; of one size alone where
    it is among them.
    """
    if size in sizes:
        return _parts(of(size))
    above = next(n for n in sizes if n > size)
    below = sizes[sizes.index(above) - 1]
    weight = (1 / size - 1 / above) / (1 / below - 1 / above)
    return tuple((p, w * share) for n, share in ((below, weight), (above, 1 - weight)) for p, w in _parts(of(n)))


def _round_down(n: int) -> int:
    """The largest 2ᵏ or 3·2ᵏ that is not above n."""
    power = 1 << (n.bit_length() - 1)
    return power + power // 2 if power > 1 and n >= power + power // 2 else power


def _next_up(n: int) -> int:
    """The next of 2ᵏ and 3·2ᵏ after one of them."""
    step = n & -n
    return n + (step if n & (n - 1) else max(step // 2, 1))


@lru_cache(maxsize=4096)
def _curve(part: Pool, quantile: float) -> Curve:
    known = _USUAL if quantile in _USUAL else (quantile,)
    at, one = known.index(quantile), alone(part)
    if _kind(one) == "simulation":
        return Curve.through(_SIMULATED_ODDS, _simulated(part, known).values[at])
    values = mgc.response_table(one.law, one.workers * one.replicas, known, one.gaps.scv)[at]
    return Curve.through(
        mgc.ODDS,
        (
            np.minimum(values, response_quantile(_smaller(part), quantile, mgc.ODDS / (1 + mgc.ODDS)))
            if _helped(part)
            else values
        ),
    )


@lru_cache(maxsize=4096)
def _simulated(part: Pool, quantiles: tuple[float, ...]) -> Rows:
    """Simulate one of the sizes. A balancer over more replicas does no worse, so the next smaller
    size bounds it from above.

    Where that bound is the service alone, nobody waits and nothing is simulated.
    """
    if not _helped(part):
        return response_rows(part, _SIMULATED_ODDS, quantiles)
    rho = np.array([x / (1 + x) for x in _SIMULATED_ODDS])
    bound = np.array([response_quantile(_smaller(part), q, rho) for q in quantiles])
    idle: Flags = np.all(bound <= _NO_WAIT * bound[:, :1], axis=0)
    rows = response_rows(
        alone(part),
        tuple(x for x, none in zip(_SIMULATED_ODDS, idle, strict=True) if not none or x == 0),
        quantiles,
    )
    values = bound.copy()
    values[:, ~idle] = np.minimum(bound[:, ~idle], np.array(rows.values)[:, 1:])
    values = np.maximum.accumulate(values, axis=1)
    return Rows(
        tuple(tuple(float(v) for v in row) for row in values),
        max(rows.error_share, _NO_WAIT - 1),
        rows.requests,
    )


def _smaller(part: Pool) -> Pool:
    return replace(part, replicas=max(n for n in _SIZES if n < part.replicas))
