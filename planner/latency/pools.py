"""Response quantiles of a pool at any utilization, quickly: exact where closed, else read from a table of the reduction or of simulations.

Times are in mean services.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.latency import mgc
from planner.latency.erlang import mmc_response_quantile_s, mmc_response_tail
from planner.latency.simulation import POISSON, Pool, Rows, response_rows
from planner.latency.solve import REDUCTION_ERROR, alone
from planner.latency.tables import Curve, largest

Array = NDArray[np.float64]

_USUAL = (0.5, 0.9, 0.95, 0.99)
_SIMULATED_ODDS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.33, 4.0, 6.0, 9.0, 15.0, 24.0, 49.0)
_SIZES = (1, 2, 4, 8, 16, 64)  # replicas that are simulated
_FEW = 16  # shared queues up to this have a table each
_NO_WAIT = 1.003  # a response within this of the service alone is not simulated again in a larger pool


@lru_cache(maxsize=65536)
def method_and_error(pool: Pool) -> tuple[str, float]:
    """What answers for this pool, in words, and half of the 90 % band of its p99."""
    one = alone(pool)
    kind, servers = _kind(one), one.workers * one.replicas
    if kind == "mmc":
        return f"M/M/{servers} exactly (Erlang 1917)", 0.0
    if kind == "simulation":
        rows = _simulated(_parts(pool)[0][0], _USUAL)
        return f"simulated, {rows.requests:,} requests a point", rows.error_share
    error = 0.001 if servers == 1 else next(e for scv, e in REDUCTION_ERROR if one.law.scv <= scv)
    if one.gaps == POISSON:
        return f"M/G/{servers} by the Tijms reduction (1981)", error
    # measured on exact and simulated cases with arrival and service scv up to 4
    return f"G/G/{servers} by the Tijms reduction (1981), wait stretched for bursty arrivals", max(error, 0.15)


def response_quantile(pool: Pool, quantile: float, utilization: Array) -> Array:
    """Quantile of the response at each utilization; ``inf`` where ρ ≥ 1.

    A pool between two sizes a < n < b that have a table is read on the chord in 1/n: at one utilization the response is convex in
    1/n (measured within noise for p50–p99 of every balancer and both disciplines), so the chord is no faster, by at most 3 %.
    """
    parts = [weight * _at(part, quantile, utilization) for part, weight in _parts(pool)]
    return np.asarray(sum(parts[1:], start=parts[0]))


def _at(one: Pool, quantile: float, utilization: Array) -> Array:
    if _kind(one) == "mmc":
        servers = one.workers * one.replicas
        return mmc_response_quantile_s(utilization * servers, 1.0, servers, quantile)
    return _curve(one, quantile).at(utilization)


@lru_cache(maxsize=65536)
def largest_utilization(pool: Pool, quantile: float, limit: float, slowdown: float = 0.0) -> float:
    """Largest ρ at which the response quantile, with services slowed by 1 + slowdown·ρ, is within ``limit``; 0 if none."""
    if pool.law.quantile(quantile) > limit:
        return 0.0
    one = _parts(pool)[0][0]
    servers = one.workers * one.replicas

    def meets(rho: Array) -> NDArray[np.bool_]:
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
    rough = REDUCTION_ERROR[-1][0]
    alone_in_line = one.workers * one.replicas == 1 and one.gaps == POISSON
    return "reduction" if alone_in_line or (one.law.scv <= rough and one.gaps.scv <= rough) else "simulation"


@lru_cache(maxsize=65536)
def _parts(pool: Pool) -> tuple[tuple[Pool, float], ...]:
    """The pools with a table next in size to this one, the smaller first, and their weights on the chord in 1/size.

    The size is the number of replicas where a larger pool helps, and that of workers in a shared queue of more than 16.
    """
    if pool.replicas > 1 and pool.balancer != "central" and (pool.balancer != "random" or pool.gaps != POISSON):
        sizes, size = _around(pool.replicas), min(pool.replicas, _SIZES[-1])
        found = [_tabled(replace(pool, replicas=n)) for n in sizes]
    else:
        one = alone(pool)
        size = one.workers * one.replicas
        if _kind(one) == "mmc" or one.balancer != "central" or (size <= _FEW and _kind(one) == "reduction"):
            return ((_tabled(one), 1.0),)
        low = _round_down(size)
        sizes = low, _next_up(low)
        found = [replace(one, workers=n, replicas=1) for n in sizes]
    smaller = (1 / size - 1 / sizes[1]) / (1 / sizes[0] - 1 / sizes[1]) if sizes[0] < size else 1.0
    return tuple((p, w) for p, w in zip(found, (smaller, 1 - smaller), strict=True) if w)


def _around(replicas: int) -> tuple[int, int]:
    """Sizes with a table around ``replicas``: the largest not above it, and the next."""
    at = max(i for i, n in enumerate(_SIZES) if n <= replicas)
    return _SIZES[at], _SIZES[min(at + 1, len(_SIZES) - 1)]


def _tabled(pool: Pool) -> Pool:
    """The pool alone, its workers rounded down where replicas are simulated: never faster at the same utilization."""
    one = alone(pool)
    return one if one.balancer == "central" else replace(one, workers=_round_down(one.workers))


def _round_down(n: int) -> int:
    """The largest 2ᵏ or 3·2ᵏ that is not above n."""
    power = 1 << (n.bit_length() - 1)
    return power + power // 2 if power > 1 and n >= power + power // 2 else power


def _next_up(n: int) -> int:
    """The next of 2ᵏ and 3·2ᵏ after one of them."""
    step = n & -n
    return n + (step if n & (n - 1) else max(step // 2, 1))


@lru_cache(maxsize=4096)
def _curve(one: Pool, quantile: float) -> Curve:
    known = _USUAL if quantile in _USUAL else (quantile,)
    at = known.index(quantile)
    if _kind(one) == "simulation":
        return Curve.through(_SIMULATED_ODDS, _simulated(one, known).values[at])
    return Curve.through(mgc.ODDS, mgc.response_table(one.law, one.workers * one.replicas, known, one.gaps.scv)[at])


@lru_cache(maxsize=4096)
def _simulated(one: Pool, quantiles: tuple[float, ...]) -> Rows:
    """Simulate one of the sizes. A balancer over more replicas does no worse, so the next smaller size bounds it from above.

    Where that bound is the service alone, nobody waits and nothing is simulated.
    """
    if one.balancer == "central" or one.replicas == 1:
        return response_rows(one, _SIMULATED_ODDS, quantiles)
    rho = np.array([x / (1 + x) for x in _SIMULATED_ODDS])
    smaller = _tabled(replace(one, replicas=_SIZES[_SIZES.index(one.replicas) - 1]))
    if smaller.replicas == 1 and one.gaps.scv < 1:  # the formula of one replica is not an upper bound for such gaps
        return response_rows(one, _SIMULATED_ODDS, quantiles)
    bound = np.array([_at(smaller, q, rho) for q in quantiles])
    idle: NDArray[np.bool_] = np.all(bound <= _NO_WAIT * bound[:, :1], axis=0)
    rows = response_rows(one, tuple(x for x, none in zip(_SIMULATED_ODDS, idle, strict=True) if not none or x == 0), quantiles)
    values = bound.copy()
    values[:, ~idle] = np.minimum(bound[:, ~idle], np.array(rows.values)[:, 1:])
    values = np.maximum.accumulate(values, axis=1)
    return replace(rows, values=tuple(tuple(float(v) for v in row) for row in values))
