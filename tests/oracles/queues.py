"""The best answer known for a pool, whatever it takes: what the queueing models are held against.

Closed form where there is one, matrix-analytic where the phases are few, the Tijms reduction where
it is exact (one worker) or good enough (Poisson arrivals, scv ≤ 4), simulation otherwise.  Times
are in mean services.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.errors import PlannerError
from planner.latency.queue import erlang, mgc
from planner.latency.queue.pools import REDUCTION_ERROR, alone
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import POISSON, Pool, simulate
from tests.oracles import closed, phph


@dataclass(frozen=True)
class Solution:
    """Steady state of a pool: waits over all requests and responses, in mean services;
    ``error_share`` on p99.
    """

    method: str
    error_share: float
    p_wait: float
    mean_wait: float
    mean_response: float
    wait_quantile: Callable[[float], float]
    response_quantile: Callable[[float], float]


def method_of(pool: Pool, *, exact: bool = False) -> str:
    """Which method :func:`solve` takes: ``mmc``, ``phph``, ``reduction`` or ``simulation``;
    ``exact`` forbids approximations.
    """
    one = alone(pool)
    if one.discipline == "ps" or one.balancer != "central":
        return "simulation"
    servers, poisson = one.workers * one.replicas, one.gaps == POISSON
    if poisson and one.law.kind == "exponential":
        return "mmc"
    if phph.solvable(one.gaps, one.law, servers):
        return "phph"
    if poisson and servers == 1:
        return "reduction"
    if poisson and one.law.scv <= REDUCTION_ERROR[-1][0] and not exact:
        return "reduction"
    return "simulation"


def solve(pool: Pool, utilization: float, *, exact: bool = False, requests: int = 1_000_000, seed: int = 0) -> Solution:
    """Steady state at ρ. Raises :class:`PlannerError` at ρ ≥ 1, which is unstable and has no
    numbers.
    """
    if not 0 < utilization < 1:
        raise PlannerError("a pool is stable only at a utilization between 0 and 1", got=utilization)
    one, method = alone(pool), method_of(pool, exact=exact)
    servers = one.workers * one.replicas
    if method == "mmc":
        return _markov(servers, utilization)
    if method == "phph":
        found = phph.PhPhC(one.gaps, one.law, servers, utilization)
        return Solution(
            f"PH/PH/{servers} by matrix-analytic solution (Neuts 1981)",
            0.0,
            found.p_wait,
            found.mean_wait,
            found.mean_wait + 1,
            found.wait_quantile,
            found.response_quantile,
        )
    if method == "reduction":
        return _reduced(one.law, servers, utilization)
    run = simulate(one, utilization, requests=requests, seed=seed)
    error = run.response_half_width(0.99) / run.response_quantile(0.99) * 1.645 / 1.96
    return Solution(
        f"simulation of {run.requests:,} requests",
        error,
        run.p_wait,
        run.mean_wait,
        run.mean_response,
        lambda q: closed.simulated_wait_quantile(run, q),
        run.response_quantile,
    )


def _markov(servers: int, utilization: float) -> Solution:
    rate = utilization * servers
    wait = float(closed.mmc_mean_wait_s(rate, 1.0, servers))
    return Solution(
        f"M/M/{servers} (Erlang 1917)",
        0.0,
        float(erlang.erlang_c(rate, servers)),
        wait,
        wait + 1,
        lambda q: float(erlang.mmc_wait_quantile_s(rate, 1.0, servers, q)),
        lambda q: float(erlang.mmc_response_quantile_s(rate, 1.0, servers, q)),
    )


def _reduced(law: ServiceLaw, servers: int, utilization: float) -> Solution:
    wait = closed.mean_wait(law, servers, utilization)
    error = 0.001 if servers == 1 else next(e for scv, e in REDUCTION_ERROR if law.scv <= scv)
    p_wait = float(erlang.erlang_c(utilization * servers, servers))
    return Solution(
        f"M/G/{servers} by the Tijms reduction (1981)",
        error,
        p_wait,
        wait,
        wait + 1,
        lambda q: closed.wait_quantile(law, servers, utilization, q),
        lambda q: mgc.response_quantiles(law, servers, utilization, (q,))[0],
    )


def fewest_workers(
    law: ServiceLaw, offered_load: float, quantile: float, target: float, gaps: ServiceLaw = POISSON
) -> int | None:
    """Smallest c whose response quantile is within ``target`` mean services: c meets it and c − 1
    does not.

    ``None`` exactly when the service alone misses the target.  Closed form for exponential service,
    else the quick reduction by bisection (its error band applies); gaps that are not Poisson
    stretch the wait.  Raises
    :class:`PlannerError` for numbers that are not finite or out of range.
    """
    if not (0 < offered_load < np.inf and 0 < quantile < 1 and target < np.inf):
        raise PlannerError(
            "fewest workers need a finite load above 0, a finite target and a quantile between 0 and 1",
            got=(offered_load, quantile, target),
        )
    if law.quantile(quantile) >= target:
        return None
    if law.kind == "exponential" and gaps == POISSON:
        return closed.fewest_servers(offered_load, 1.0, quantile, target)
    low = int(np.floor(offered_load))  # never enough: ρ ≥ 1
    step = 1
    while not _meets(law, offered_load, low + step, quantile, target, gaps):
        low, step = low + step, 2 * step
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _meets(law, offered_load, middle, quantile, target, gaps) else (middle, high)
    return high


def _meets(
    law: ServiceLaw, offered_load: float, servers: int, quantile: float, target: float, gaps: ServiceLaw
) -> bool:
    rho = offered_load / servers
    return rho < 1 and closed.quick_response_quantile(law, servers, rho, quantile, gaps.scv) <= target
