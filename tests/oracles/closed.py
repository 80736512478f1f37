"""Closed forms that the queueing models are held against; no plan takes them.

M/M/c, M/M/c/K, Erlang A, M/D/c, M/G/1 and M/G/1-PS, the reduction's mean and quantiles of the wait,
many servers behind a balancer that watches. Symbols as in :mod:`planner.latency.queue.erlang`: ``rate`` λ
[requests/s], ``mu`` μ [1/s] rate of one server, ``servers`` c, a = λ/μ [erlang], ρ = a/c. At ρ ≥ 1 an
unbounded queue has no steady state and every function answers ``inf``.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.errors import PlannerError
from planner.latency.histogram import histogram_quantile
from planner.latency.queue import mgc
from planner.latency.queue.erlang import _poisson_ratio, erlang_c
from planner.latency.queue.mgc import Law, response_quantiles, wait_lattice
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import Simulated


def mmc_mean_wait_s(rate: ArrayLike, mu: float, servers: int) -> Floats:
    """Mean wait in M/M/c, C/(cμ − λ) [s]."""
    lam = np.asarray(rate, dtype=np.float64)
    slack = servers * mu - lam
    with np.errstate(divide="ignore"):
        return np.where(slack > 0, erlang_c(lam / mu, servers) / np.where(slack > 0, slack, 1.0), np.inf)


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


def mean_wait(law: ServiceLaw, servers: int, utilization: float) -> float:
    """Mean wait of M/G/c in units of the mean service: Kimura (1986) for scv ≤ 4, Whitt's scaling
    of M/M/c above.

    Kimura: (1 + scv)/(2 scv/W(M/M/c) + (1 − scv)/W(M/D/c)); Pollaczek–Khinchine where c = 1.
    """
    rate = utilization * servers
    exponential = float(mmc_mean_wait_s(rate, 1.0, servers))
    if servers == 1 or law.scv > 4:
        return exponential * (1 + law.scv) / 2
    return (1 + law.scv) / (2 * law.scv / exponential + (1 - law.scv) / mdc_mean_wait_s(rate, 1.0, servers))


def wait_quantile(
    law: ServiceLaw, servers: int, utilization: float, quantile: float, arrival_scv: float = 1.0
) -> float:
    """Quantile of the wait over all requests, in units of the mean service; ``inf`` where ρ ≥ 1."""
    if utilization >= 1:
        return math.inf
    t, mass = wait_lattice(law, servers, utilization, arrival_scv)
    total = np.cumsum(mass)
    if total[0] >= quantile:
        return 0.0
    # the mass of a lattice point is spread evenly over its cell
    return float(np.interp(quantile, total[1:], t[1:] + 0.5 * (t[2] - t[1])))


def quick_response_quantile(
    law: ServiceLaw, servers: int, utilization: float, quantile: float, arrival_scv: float = 1.0
) -> float:
    """As :func:`response_quantiles` on the grid of the tables: a tenth of the time, within 0.2 %."""
    quick: Law = law if law.scv == 0 else mgc._tabulated(law)
    return response_quantiles(quick, servers, utilization, (quantile,), arrival_scv, mgc._TABLE_POINTS)[0]


def mean_latency_bound_s(rate_rps: float, setup_s: float, each_s: float) -> float:
    """Upper bound of the mean latency for unlimited batches, tight within 5 %: min(φ0, φ1) (Inoue
    2021) [s].

    φ0 = (α+τ)/(2(1−λα))·(1+2λτ+(1−λτ)/(1+λα)), φ1 = 1.5τ/(1−λα)+(α/2)(λα+2)/(1−λ²α²); ``inf`` at λα
    ≥ 1.
    """
    lam, tau, a = rate_rps, setup_s, each_s
    if lam * a >= 1:
        return math.inf
    first = (a + tau) / (2 * (1 - lam * a)) * (1 + 2 * lam * tau + (1 - lam * tau) / (1 + lam * a))
    second = 1.5 * tau / (1 - lam * a) + a / 2 * (lam * a + 2) / (1 - (lam * a) ** 2)
    return min(first, second)


def simulated_wait_quantile(run: Simulated, q: float) -> float:
    """Quantile of the simulated wait over all requests [mean services]; 0 where fewer than 1 − q wait."""
    total = run.wait.sum(axis=0)
    waiting = total.sum() / max(run.requests, 1)
    return 0.0 if waiting <= 1 - q else histogram_quantile(total, 1 - (1 - q) / waiting)


def power_of_choices_mean_response(utilization: float, choices: int) -> float:
    """Mean response in mean services of an endless pool of M/M/1 FCFS servers, each request to the
    shortest of d drawn.

    Σ_{i≥1} ρ^{(dⁱ − d)/(d − 1)} (Mitzenmacher 2001; Vvedenskaya, Dobrushin & Karpelevich 1996);
    ``inf`` at ρ ≥ 1.
    """
    if utilization >= 1:
        return float("inf")
    if choices == 1:
        return 1 / (1 - utilization)
    total, i = 0.0, 1
    while True:
        term = math.pow(utilization, (choices**i - choices) / (choices - 1))
        total += term
        if term < 1e-18:
            return total
        i += 1
