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
_LARGEST_POOL = 64


@lru_cache(maxsize=65536)
def method_and_error(pool: Pool) -> tuple[str, float]:
    """What answers for this pool, in words, and half of the 90 % band of its p99."""
    one = _anchored(alone(pool))
    kind, servers = _kind(one), one.workers * one.replicas
    if kind == "mmc":
        return f"M/M/{servers} exactly (Erlang 1917)", 0.0
    if kind == "simulation":
        rows = _simulated(one, _USUAL)
        return f"simulated, {rows.requests:,} requests a point", rows.error_share
    error = 0.001 if servers == 1 else next(e for scv, e in REDUCTION_ERROR if one.law.scv <= scv)
    if one.gaps == POISSON:
        return f"M/G/{servers} by the Tijms reduction (1981)", error
    # measured on exact and simulated cases with arrival and service scv up to 4
    return f"G/G/{servers} by the Tijms reduction (1981), wait stretched for bursty arrivals", max(error, 0.15)


def response_quantile(pool: Pool, quantile: float, utilization: Array) -> Array:
    """Quantile of the response at each utilization; ``inf`` where ρ ≥ 1."""
    one = _anchored(alone(pool))
    if _kind(one) == "mmc":
        servers = one.workers * one.replicas
        return mmc_response_quantile_s(utilization * servers, 1.0, servers, quantile)
    return _within(one, quantile, utilization)


@lru_cache(maxsize=65536)
def largest_utilization(pool: Pool, quantile: float, limit: float, slowdown: float = 0.0) -> float:
    """Largest ρ at which the response quantile, with services slowed by 1 + slowdown·ρ, is within ``limit``; 0 if none."""
    if pool.law.quantile(quantile) > limit:
        return 0.0
    one = _anchored(alone(pool))
    servers = one.workers * one.replicas

    def meets(rho: Array) -> NDArray[np.bool_]:
        bound = limit / (1 + slowdown * rho)
        if _kind(one) == "mmc":
            return mmc_response_tail(bound, rho * servers, 1.0, servers) <= 1 - quantile
        return _within(one, quantile, rho) <= bound

    return largest(meets)


def _within(one: Pool, quantile: float, utilization: Array) -> Array:
    """Read the pool's table; a balancer that watches the replicas does no worse than one that does not."""
    found = _curve(one, quantile).at(utilization)
    if one.discipline == "ps" or one.balancer == "central" or one.gaps.scv < 1:
        return found
    return np.minimum(found, response_quantile(replace(one, replicas=1, balancer="central"), quantile, utilization))


def _simulated(one: Pool, quantiles: tuple[float, ...]) -> Rows:
    return response_rows(one, _SIMULATED_ODDS, quantiles)


def _kind(one: Pool) -> str:
    if one.discipline == "ps" or one.balancer != "central":
        return "simulation"
    if one.gaps == POISSON and one.law.kind == "exponential":
        return "mmc"
    rough = REDUCTION_ERROR[-1][0]
    alone_in_line = one.workers * one.replicas == 1 and one.gaps == POISSON
    return "reduction" if alone_in_line or (one.law.scv <= rough and one.gaps.scv <= rough) else "simulation"


def _anchored(one: Pool) -> Pool:
    """A pool that is simulated is taken at the next smaller round size, which is never faster at the same utilization."""
    if _kind(one) != "simulation":
        return one
    if one.balancer == "central":
        return replace(one, workers=_round_down(one.workers * one.replicas), replicas=1)
    return replace(one, workers=_round_down(one.workers), replicas=min(1 << (one.replicas.bit_length() - 1), _LARGEST_POOL))


def _round_down(n: int) -> int:
    """The largest 2ᵏ or 3·2ᵏ that is not above n."""
    power = 1 << (n.bit_length() - 1)
    return power + power // 2 if power > 1 and n >= power + power // 2 else power


@lru_cache(maxsize=4096)
def _curve(one: Pool, quantile: float) -> Curve:
    known = _USUAL if quantile in _USUAL else (quantile,)
    at = known.index(quantile)
    if _kind(one) == "simulation":
        return Curve.through(_SIMULATED_ODDS, _simulated(one, known).values[at])
    return Curve.through(mgc.ODDS, mgc.response_table(one.law, one.workers * one.replicas, known, one.gaps.scv)[at])
