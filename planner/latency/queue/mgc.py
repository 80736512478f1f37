"""M/G/c with one shared queue: the whole law of wait and response by the Tijms–van Hoorn–Federgruen
reduction.

A request does not wait with probability 1 − C (Erlang C).  Otherwise it waits Y + Σ_{i ≤ N} S_e/c:
Y the smallest of c equilibrium residuals S_e, N geometric with P(N = n) = (1 − ρ)ρⁿ, all
independent (Tijms, van Hoorn & Federgruen 1981).  Exact for M/M/c and M/G/1; measured error of p99
≤ 5 % for scv ≤ 1 and ≤ 10 % for scv ≤ 4.  Arrivals that are not Poisson stretch the wait by
(arrival_scv + scv)/(1 + scv) (Allen & Cunneen 1990). Times here are in units of the mean service
time.
"""

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.latency.queue.erlang import erlang_c
from planner.latency.queue.service_law import ServiceLaw


class Law(Protocol):
    """What the reduction asks of a service law of mean 1, exact or tabulated."""

    @property
    def scv(self) -> float:
        """Variance of S."""

    def tail(self, t: ArrayLike) -> Floats:
        """P(S > t)."""

    def limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S, t)]."""

    def residual_cdf(self, t: ArrayLike) -> Floats:
        """P(S_e ≤ t)."""

    def residual_limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S_e, t)]."""

    def quantile(self, q: float) -> float:
        """The q quantile of S."""

    def residual_quantile(self, q: float) -> float:
        """The q quantile of S_e."""


class TabulatedLaw:
    """A law read from 3,000 points between 1e-4 and far in the tail: ten
    times faster, within 1e-4.
    """

    def __init__(self, law: ServiceLaw) -> None:
        far = law.residual_quantile(1 - 1e-7)
        self._scv = law.scv
        self._t = np.concatenate([[0.0], np.geomspace(1e-4, 2 * far, 3000)])
        self._tail, self._residual, self._limited = (
            law.tail(self._t),
            law.residual_cdf(self._t),
            law.residual_limited_mean(self._t),
        )

    @property
    def scv(self) -> float:
        """Variance of S."""
        return self._scv

    def tail(self, t: ArrayLike) -> Floats:
        """P(S > t)."""
        return np.interp(np.asarray(t, dtype=np.float64), self._t, self._tail)

    def limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S, t)], which is the residual's cdf since the mean is 1."""
        return self.residual_cdf(t)

    def residual_cdf(self, t: ArrayLike) -> Floats:
        """P(S_e ≤ t)."""
        return np.interp(np.asarray(t, dtype=np.float64), self._t, self._residual)

    def residual_limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S_e, t)]."""
        return np.interp(np.asarray(t, dtype=np.float64), self._t, self._limited)

    def quantile(self, q: float) -> float:
        """The q quantile of S."""
        return float(np.interp(q, 1 - self._tail, self._t))

    def residual_quantile(self, q: float) -> float:
        """The q quantile of S_e."""
        return float(np.interp(q, self._residual, self._t))


def wait_lattice(
    law: Law, servers: int, utilization: float, arrival_scv: float = 1.0, points: int = 4096
) -> tuple[Floats, Floats]:
    """The law of the wait on a lattice: (times, masses), the first time 0; masses sum to 1.

    Solved as Ŷ(1−ρ)/(1−ρŜ_e) by a tilted FFT, whose aliasing stays below 1e-8.

    ``law`` of mean 1; ``servers`` c; ``utilization`` ρ in (0, 1); ``arrival_scv`` of the gaps
    between requests, 1 for Poisson; ``points`` of the lattice. Returns two arrays (points + 1,):
    the first holds 0 and the lattice, the second P(no wait) = 1 − C and the masses. Where requests
    come in bursts or evenly the whole law is stretched, which is right for the mean and only near
    for the tail.
    """
    stretch = (arrival_scv + law.scv) / (1 + law.scv)
    mean = (1 + law.scv) / (2 * servers * (1 - utilization))
    reach = max(law.residual_quantile(0.9999) / servers, _least_residual_quantile(law, servers, 0.9999)) + 18 * mean
    h = reach / points
    t = np.arange(points + 1) * h
    step = _preserving(law.residual_limited_mean(t * servers) / servers, h)
    first = _rounded((1 - law.residual_cdf(np.maximum(np.arange(points + 1) - 0.5, 0.0) * h)) ** servers)
    tilt = np.exp(-np.arange(points) * (18.0 / points))
    s_hat = np.fft.rfft(step * tilt)
    y_hat = np.fft.rfft(first * tilt)
    waiting = np.maximum(np.fft.irfft(y_hat * (1 - utilization) / (1 - utilization * s_hat), points) / tilt, 0.0)
    waiting /= max(waiting.sum(), 1e-300)
    c = float(erlang_c(utilization * servers, servers))
    return np.concatenate([[0.0], t[:-1] * stretch]), np.concatenate([[1 - c], c * waiting])


def _least_residual_quantile(law: Law, servers: int, q: float) -> float:
    return law.residual_quantile(-math.expm1(math.log1p(-q) / servers))


def _preserving(limited_mean: Floats, h: float) -> Floats:
    """Lattice masses with the exact mean, from E[min(X, t)] at the lattice points."""
    inner = (2 * limited_mean[1:-1] - limited_mean[:-2] - limited_mean[2:]) / h
    masses: Floats = np.maximum(np.concatenate([[1 - limited_mean[1] / h], inner]), 0.0)
    return masses


def _rounded(tail_at_halves: Floats) -> Floats:
    masses: Floats = np.maximum(
        np.concatenate([[1 - tail_at_halves[1]], tail_at_halves[1:-1] - tail_at_halves[2:]]), 0.0
    )
    return masses


def response_quantiles(
    law: Law,
    servers: int,
    utilization: float,
    quantiles: tuple[float, ...],
    arrival_scv: float = 1.0,
    points: int = 4096,
) -> list[float]:
    """Quantiles of wait + service in units of the mean service; ``inf`` where ρ ≥ 1."""
    if utilization >= 1:
        return [math.inf] * len(quantiles)
    t, mass = wait_lattice(law, servers, utilization, arrival_scv, points)
    if law.scv == 0:
        total = np.cumsum(mass)
        return [1.0 + float(np.interp(q, total, t)) for q in quantiles]
    total, at = _response_cdf(law, t, mass, points)
    return [float(np.interp(q, total, at)) for q in quantiles]


def _response_cdf(law: Law, t: Floats, mass: Floats, points: int) -> tuple[Floats, Floats]:
    """P(W + S ≤ t): what does not wait exactly, the rest by convolution on a lattice that reaches
    past both.
    """
    h = (float(t[-1]) + 1.05 * law.quantile(0.9999)) / points
    place = t[1:] / h
    cell = place.astype(np.int64)
    part = place - cell
    waiting = np.bincount(cell, mass[1:] * (1 - part), points + 1) + np.bincount(cell + 1, mass[1:] * part, points + 1)
    service = _preserving(law.limited_mean(np.arange(points + 2) * h), h)
    both = np.fft.irfft(np.fft.rfft(waiting, 2 * points) * np.fft.rfft(service[: points + 1], 2 * points), 2 * points)[
        :points
    ]
    at = (np.arange(points) + 0.5) * h
    total: Floats = np.maximum.accumulate(mass[0] * (1 - law.tail(at)) + np.cumsum(both))
    return np.concatenate([[0.0], total]), np.concatenate([[0.0], at])


_TABLE_POINTS = 1024

ODDS = np.concatenate([[0.0], np.geomspace(0.05, 500.0, 20)])  # ρ/(1 − ρ) at the nodes of a table


@lru_cache(maxsize=256)
def _tabulated(law: ServiceLaw) -> TabulatedLaw:
    return TabulatedLaw(law)


@lru_cache(maxsize=4096)
def response_table(law: ServiceLaw, servers: int, quantiles: tuple[float, ...], arrival_scv: float = 1.0) -> Floats:
    """Response quantiles at the nodes ``ODDS``: array (quantiles, nodes), each row not falling.

    ``quantiles`` [share]; ``ODDS`` are ρ/(1 − ρ) from 0 (the service alone) to 500. Kept, because
    one law on one number of servers is asked for by many machines.
    """
    rows = [[law.quantile(q) for q in quantiles]]
    quick = law if law.scv == 0 else _tabulated(law)
    rows += [
        response_quantiles(quick, servers, odds / (1 + odds), quantiles, arrival_scv, _TABLE_POINTS)
        for odds in ODDS[1:]
    ]
    return np.maximum.accumulate(np.asarray(rows), axis=0).T
