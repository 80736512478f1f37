"""Closed forms of Markovian queues: M/M/c, M/M/c/K, Erlang B and A, M/D/c, M/G/1 and M/G/1-PS.

Symbols everywhere: ``rate`` λ [requests/s], ``mu`` μ [1/s] rate of one server, ``servers`` c,
``offered_load`` a = λ/μ [erlang], utilization ρ = a/c.  At ρ ≥ 1 an unbounded queue has no
steady state and every function answers ``inf``, never a number.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.errors import PlannerError

_LONG_RECURSION = 24


def erlang_b(offered_load: ArrayLike, servers: int) -> Floats:
    """Blocking probability of M/G/c/c: B_k = aB/(k + aB) from B_0 = 1 (Erlang 1917), stable for any
    c.
    """
    a = np.asarray(offered_load, dtype=np.float64)
    if servers > _LONG_RECURSION and np.all(a <= servers):
        return _poisson_ratio(a, servers)
    b = np.ones_like(a)
    for k in range(1, servers + 1):
        b = a * b / (k + a * b)
    return b


def _poisson_ratio(a: Floats, servers: int) -> Floats:
    """The same as P(N = c)/P(N ≤ c) of a Poisson N, which needs no recursion."""
    from scipy.special import gammaincc, gammaln, xlogy

    ratio: Floats = np.exp(xlogy(servers, a) - a - gammaln(servers + 1)) / gammaincc(servers + 1, a)
    return ratio


def erlang_c(offered_load: ArrayLike, servers: int) -> Floats:
    """Probability of waiting in M/M/c, C = B/(1 − ρ(1 − B)); 1 where ρ ≥ 1."""
    a = np.asarray(offered_load, dtype=np.float64)
    b = erlang_b(a, servers)
    rho = a / servers
    with np.errstate(divide="ignore", invalid="ignore"):
        c = b / (1 - rho * (1 - b))
    return np.where(rho < 1, c, 1.0)


def mmc_mean_wait_s(rate: ArrayLike, mu: float, servers: int) -> Floats:
    """Mean wait in M/M/c, C/(cμ − λ) [s]."""
    lam = np.asarray(rate, dtype=np.float64)
    slack = servers * mu - lam
    with np.errstate(divide="ignore"):
        return np.where(slack > 0, erlang_c(lam / mu, servers) / np.where(slack > 0, slack, 1.0), np.inf)


def mmc_wait_quantile_s(rate: ArrayLike, mu: float, servers: int, quantile: float) -> Floats:
    """Quantile of the wait in M/M/c over all requests, ln(C/(1−q))/(cμ−λ), 0 where C ≤ 1−q [s]."""
    lam = np.asarray(rate, dtype=np.float64)
    slack = servers * mu - lam
    c = erlang_c(lam / mu, servers)
    with np.errstate(divide="ignore"):
        wait = np.log(np.maximum(c, 1e-300) / (1 - quantile)) / np.where(slack > 0, slack, 1.0)
    return np.where(slack > 0, np.maximum(wait, 0.0), np.inf)


def mmc_response_tail(t_s: ArrayLike, rate: ArrayLike, mu: float, servers: int) -> Floats:
    """P(response > t) in M/M/c: e^{−μt}(1 + C(1 − e^{−μt(c−1−a)})/(c−1−a)), whose limit at a = c−1
    is 1 + Cμt.
    """
    lam = np.asarray(rate, dtype=np.float64)
    return _response_tail(np.asarray(t_s, dtype=np.float64) * mu, lam / mu, erlang_c(lam / mu, servers), servers)


def _response_tail(x: Floats, a: Floats, c_wait: Floats, servers: int) -> Floats:
    d = servers - 1 - a
    near = np.abs(d * x) < 1e-8
    safe = np.where(near, 1.0, d)
    # the two exponentials are kept apart because e^{−μt(c−1−a)} alone overflows when a > c − 1
    waiting = np.where(near, x * np.exp(-x) * (1 - d * x / 2), (np.exp(-x) - np.exp(-x * (1 + d))) / safe)
    return np.where(a < servers, np.exp(-x) + c_wait * waiting, 1.0)


def mmc_response_quantile_s(rate: ArrayLike, mu: float, servers: int, quantile: float) -> Floats:
    """Quantile of the response time in M/M/c [s], to 1e-12 relative, by safeguarded Newton on the
    log tail.
    """
    lam = np.asarray(rate, dtype=np.float64)
    a = np.atleast_1d(lam / mu)
    c_wait = erlang_c(a, servers)
    stable = a < servers
    a_in = np.where(stable, a, 0.0)
    c_in = np.where(stable, c_wait, 0.0)
    goal = math.log1p(-quantile)
    low = np.full(a.shape, -goal)  # the service alone
    high = low + np.maximum(np.log(np.maximum(c_in, 1e-300)) - goal, 0.0) / (servers - a_in) + 40.0 / (servers - a_in)
    x = low + mmc_wait_quantile_s(a_in, 1.0, servers, quantile)
    for _ in range(80):
        value = np.log(_response_tail(x, a_in, c_in, servers)) - goal
        low, high = np.where(value > 0, x, low), np.where(value > 0, high, x)
        step = np.maximum(x, 1e-12) * 1e-6
        slope = (np.log(_response_tail(x + step, a_in, c_in, servers)) - goal - value) / step
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = x - value / slope
        new = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
        done = np.all(np.abs(new - x) <= 1e-13 * x)
        x = new
        if done:
            break
    found: Floats = np.where(stable, x / mu, np.inf).reshape(lam.shape)
    return found


def mmck(rate: float, mu: float, servers: int, places: int) -> dict[str, float]:
    """M/M/c/K with K = ``places`` in system: ``p_block``, ``throughput_rps``, waits [s] of accepted
    requests.

    ``p_wait`` is over accepted requests.  Any ρ is stable because arrivals that find K present are
    lost.
    """
    n = np.arange(places + 1)
    with np.errstate(divide="ignore"):
        log_weight = n * np.log(rate / mu) - np.concatenate(
            [[0.0], np.cumsum(np.log(np.minimum(np.arange(1, places + 1), servers)))]
        )
    p = np.exp(log_weight - log_weight.max())
    p /= p.sum()
    throughput = rate * (1 - p[-1])
    waiting = float(np.maximum(n - servers, 0) @ p)
    mean_wait = waiting / throughput
    return {
        "p_block": float(p[-1]),
        "throughput_rps": throughput,
        "mean_wait_s": mean_wait,
        "mean_response_s": mean_wait + 1 / mu,
        "p_wait": float(p[servers:-1].sum() / (1 - p[-1])) if places > servers else 0.0,
        "mean_in_system": float(n @ p),
    }


def erlang_a(rate: float, mu: float, servers: int, abandon_rate: float) -> dict[str, float]:
    """M/M/c with exponential patience of rate θ (Palm 1957; Garnett, Mandelbaum & Reiman 2002).

    ``p_abandon``, ``p_wait`` and ``mean_wait_s`` over all requests (those that leave included); θ >
    0 makes any ρ stable.
    """
    full = servers * mu
    # past the typical number waiting, levels thin out like a normal law of variance λ/θ, and below
    # ρ = 1 at least geometrically
    beyond = 50 + max(0.0, rate - full) / abandon_rate + 12 * math.sqrt(max(rate, full) / abandon_rate)
    if rate < full:
        beyond = min(beyond, 50 + 60 / -math.log(rate / full))
    n = np.arange(servers + int(beyond) + 1)
    death = np.minimum(n, servers) * mu + np.maximum(n - servers, 0) * abandon_rate
    log_p = np.concatenate([[0.0], np.cumsum(math.log(rate) - np.log(death[1:]))])
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    waiting = float(np.maximum(n - servers, 0) @ p)
    return {
        "p_abandon": waiting * abandon_rate / rate,
        "p_wait": float(p[servers:].sum()),
        "mean_wait_s": waiting / rate,
    }


def mg1_mean_wait_s(rate: float, service_time_s: float, service_scv: float) -> float:
    """Mean wait of M/G/1 FCFS, ρS(1 + scv)/(2(1 − ρ)) (Pollaczek 1930, Khinchine 1932) [s]."""
    rho = rate * service_time_s
    return rho * service_time_s * (1 + service_scv) / (2 * (1 - rho)) if rho < 1 else math.inf


def mg1_ps_mean_response_s(rate: float, service_time_s: float) -> float:
    """Mean response of M/G/1 with processor sharing, S/(1 − ρ), whatever the service law (Sakata et
    al. 1971) [s].
    """
    rho = rate * service_time_s
    return service_time_s / (1 - rho) if rho < 1 else math.inf


def mdc_mean_wait_s(rate: float, service_time_s: float, servers: int) -> float:
    """Mean wait of M/D/c, exactly (Crommelin 1932) [s].

    W = Σ_{i≥1} e^{−ia}[Σ_{j≥ic} (ia)^j/j! − (c/a) Σ_{j>ic} (ia)^j/j!] in units of the service time.
    """
    a = rate * service_time_s
    if a >= servers:
        return math.inf
    if a <= 0:
        return 0.0
    from scipy.special import gammainc, gammaln

    # term i decays like e^{−ic·g}, g = ρ − 1 − ln ρ
    rho = a / servers
    decay = servers * (rho - 1 - math.log(rho))
    total, start, block = 0.0, 1, 512
    while True:
        i = np.arange(start, start + block, dtype=np.float64)
        k = i * servers
        # P(Poisson(ia) ≥ k) and P(Poisson(ia) = k); both differences are rewritten to avoid
        # cancellation near ρ = 1
        at_least = gammainc(k, i * a)
        equal = np.exp(k * np.log(i * a) - i * a - gammaln(k + 1))
        total += float(np.sum(at_least - (servers / a) * (at_least - equal)))
        start += block
        if start * decay > 40 or start > 5_000_000:
            return total * service_time_s
        block = min(block * 2, 262_144)


def fewest_servers(rate: float, mu: float, quantile: float, target_s: float, of: str = "response") -> int | None:
    """Smallest c with the ``of`` (``response`` or ``wait``) quantile of M/M/c within ``target_s``;
    ``None`` if no c can.

    The response target is infeasible exactly when the service alone misses it: e^{−μt} > 1 − q; a
    wait below 0 always is. Raises :class:`PlannerError` for numbers that are not finite, a rate or
    μ not above 0, a quantile outside (0, 1).
    """
    if not (math.isfinite(target_s) and 0 < rate < math.inf and 0 < mu < math.inf and 0 < quantile < 1):
        raise PlannerError(
            "fewest servers need a finite target, rates above 0 and a quantile between 0 and 1",
            got=(rate, mu, quantile, target_s),
        )
    if target_s < 0:
        return None
    if of == "response" and math.exp(-mu * target_s) >= 1 - quantile:
        return None
    a = rate / mu
    c = int(a)
    b = float(_poisson_ratio(np.asarray(a), c))
    while True:
        c += 1
        b = a * b / (c + a * b)
        if a < c and _meets(a, c, b / (1 - a / c * (1 - b)), mu * target_s, 1 - quantile, of):
            return c


def _meets(a: float, c: int, c_wait: float, x: float, tail: float, of: str) -> bool:
    if of == "wait":
        return c_wait * math.exp(-x * (c - a)) <= tail
    d = c - 1 - a
    waiting = x * math.exp(-x) * (1 - d * x / 2) if abs(d * x) < 1e-8 else (math.exp(-x) - math.exp(-x * (1 + d))) / d
    return math.exp(-x) + c_wait * waiting <= tail
