"""Closed forms of Markovian queues: Erlang B and C, waits and responses of M/M/c.

Symbols everywhere: ``rate`` λ [requests/s], ``mu`` μ [1/s] rate of one server, ``servers`` c,
``offered_load`` a = λ/μ [erlang], utilization ρ = a/c.  At ρ ≥ 1 an unbounded queue has no
steady state and every function answers ``inf``, never a number.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats

_LONG_RECURSION = 24


def erlang_b(offered_load: ArrayLike, servers: int) -> Floats:
    """Blocking probability of M/G/c/c: B_k = aB/(k + aB) from B_0 = 1 (Erlang 1917), stable for any
    c.

    ``offered_load`` a [erlang], any shape; ``servers`` c. Holds for every service law
    (insensitive), for Poisson requests that are lost when all servers are busy.

    >>> round(float(erlang_b(2.0, 3)), 6)
    0.210526
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
    """Probability of waiting in M/M/c, C = B/(1 − ρ(1 − B)); 1 where ρ ≥ 1.

    ``offered_load`` a [erlang], any shape; ``servers`` c; exact for exponential service behind one
    queue. Where service times vary more, waits are longer though as many requests wait; where every
    replica has a queue of its own, far more wait than this says.

    >>> round(float(erlang_c(2.0, 3)), 6)
    0.444444
    """
    a = np.asarray(offered_load, dtype=np.float64)
    b = erlang_b(a, servers)
    rho = a / servers
    with np.errstate(divide="ignore", invalid="ignore"):
        c = b / (1 - rho * (1 - b))
    return np.where(rho < 1, c, 1.0)


def mmc_wait_quantile_s(rate: ArrayLike, mu: float, servers: int, quantile: float) -> Floats:
    """Quantile of the wait in M/M/c over all requests, ln(C/(1−q))/(cμ−λ), 0 where C ≤ 1−q [s].

    ``rate`` λ [requests/s], any shape; ``mu`` μ [1/s]; ``quantile`` q [share]. The wait is 0 with
    probability 1 − C and exponential of rate cμ − λ otherwise; ``inf`` at ρ ≥ 1.

    >>> float(mmc_wait_quantile_s(2.0, 1.0, 3, 0.5))
    0.0
    >>> round(float(mmc_wait_quantile_s(2.0, 1.0, 3, 0.99)), 4)
    3.7942
    """
    lam = np.asarray(rate, dtype=np.float64)
    slack = servers * mu - lam
    c = erlang_c(lam / mu, servers)
    with np.errstate(divide="ignore"):
        wait = np.log(np.maximum(c, 1e-300) / (1 - quantile)) / np.where(slack > 0, slack, 1.0)
    return np.where(slack > 0, np.maximum(wait, 0.0), np.inf)


def mmc_response_tail(t_s: ArrayLike, rate: ArrayLike, mu: float, servers: int) -> Floats:
    """P(response > t) in M/M/c: e^{−μt}(1 + C(1 − e^{−μt(c−1−a)})/(c−1−a)), whose limit at a = c−1
    is 1 + Cμt.

    ``t_s`` [s] and ``rate`` [requests/s] broadcast together; 1 where ρ ≥ 1. With one server it is
    e^{−(μ−λ)t}.

    >>> round(float(mmc_response_tail(2.0, 0.5, 1.0, 1)), 6)
    0.367879
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

    ``rate`` λ [requests/s], any shape; ``quantile`` q [share]; ``inf`` where ρ ≥ 1. With one server
    it is −ln(1 − q)/(μ − λ).

    >>> round(float(mmc_response_quantile_s(0.5, 1.0, 1, 0.99)), 6)
    9.21034
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
