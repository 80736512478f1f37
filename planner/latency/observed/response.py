"""Response time of a service that needs CPU and waits for other things: R = W + S + Z.

W + S is the response of M/G/c over the vCPUs (Tijms, van Hoorn & Federgruen 1981), Z what the
request waits for without CPU (databases, disks, other services), independent of it.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Flags, Floats
from planner.errors import ScenarioError
from planner.latency.curve import Curve, largest
from planner.latency.model import Goodput, PlainReplica
from planner.latency.queue import mgc
from planner.latency.queue.service_law import ServiceLaw
from planner.scenario import Objective

_USUAL = (0.5, 0.9, 0.95, 0.99)
_EDGES = np.concatenate([np.linspace(0.0, 0.9, 61)[:-1], 1 - np.geomspace(0.1, 1e-4, 61), [1.0]])
_MIDDLES = np.minimum((_EDGES[:-1] + _EDGES[1:]) / 2, 1 - 3e-5)
_PARTS = 24  # quantiles of what needs no CPU


@dataclass(frozen=True)
class Shape:
    """A service in units of its mean CPU time: ``cpu`` its law, ``elsewhere`` mean time without CPU
    and its law's scv.
    """

    cpu: ServiceLaw
    elsewhere: float
    elsewhere_scv: float

    def quantiles(self, servers: int, utilization: float, quantiles: tuple[float, ...]) -> Floats:
        """Quantiles of W + S + Z at one utilization; ``inf`` where ρ ≥ 1.

        In units of the mean CPU time. ``servers`` c vCPUs, ``utilization`` ρ. The law of W + S
        is taken at 121 quantiles, that of Z at 23, and the sums are sorted with their weights:
        exact up to that grid if Z is independent of W + S. It lies where both grow together, as
        when a slow database holds back the threads that need the CPU.
        """
        if utilization >= 1:
            return np.full(len(quantiles), np.inf)
        wanted = tuple(_MIDDLES.tolist())
        if utilization > 0:
            found = mgc.response_quantiles(_quick(self.cpu), servers, utilization, wanted, points=1024)
        else:
            found = [self.cpu.quantile(q) for q in wanted]
        z, weight = _elsewhere(self.elsewhere, self.elsewhere_scv)
        sums = (np.asarray(found)[:, None] + z[None, :]).ravel()
        mass = (np.diff(_EDGES)[:, None] * weight[None, :]).ravel()
        order = np.argsort(sums)
        below = np.cumsum(mass[order])
        return np.asarray(np.interp(quantiles, below, sums[order]))


@lru_cache(maxsize=256)
def _quick(law: ServiceLaw) -> mgc.Law:
    return law if law.scv == 0 else mgc.TabulatedLaw(law)


@lru_cache(maxsize=1024)
def _elsewhere(mean: float, scv: float) -> tuple[Floats, Floats]:
    """Values and weights of Z, the mean kept.

    ``mean`` in units of the mean CPU time; fewer than ``_PARTS`` quantiles, closer together in the
    tail. A single value where the scv is below 1e-4.
    """
    if mean <= 0 or scv < 1e-4:
        return np.array([max(mean, 0.0)]), np.array([1.0])
    edges = np.concatenate(
        [np.linspace(0.0, 0.9, _PARTS - 7)[:-1], [0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.9995, 1.0]]
    )
    middles = np.minimum((edges[:-1] + edges[1:]) / 2, 0.9999)
    law = ServiceLaw.of(scv)
    values = np.array([law.quantile(float(q)) for q in middles])
    weight = np.diff(edges)
    return mean * values / float(values @ weight), weight


@lru_cache(maxsize=4096)
def _curves(shape: Shape, servers: int) -> dict[float, Curve]:
    """Curves of the usual quantiles over the odds ρ/(1 − ρ), made not to fall;
    0.5, 0.9, 0.95 and 0.99.
    """
    rows = np.array([shape.quantiles(servers, x / (1 + x), _USUAL) for x in mgc.ODDS])
    rows = np.maximum.accumulate(rows, axis=0)
    return {q: Curve.through(mgc.ODDS, rows[:, k]) for k, q in enumerate(_USUAL)}


@dataclass(frozen=True)
class ObservedLatency(PlainReplica):
    """One machine of a service known from production: ``servers`` vCPUs, ``cpu_s`` a request [s],
    its ``shape``, ``idle_share`` of the CPU used without any request.

    Replicas share the load evenly at random. ``basis`` is measured on the machine observed, modeled
    elsewhere; ``input_error_share`` half of the 90 % band.
    """

    servers: int
    cpu_s: float
    shape: Shape
    idle_share: float = 0.0
    input_error_share: float = 0.1
    source: str = "production"
    measured_here: bool = True

    @property
    def basis(self) -> str:
        """``measured`` on the machine observed, ``modeled`` on others."""
        return "measured" if self.measured_here else "modeled"

    @property
    def method(self) -> str:
        """What was taken from production, and how other loads are read from it."""
        cpu_ms, rest_ms = self.cpu_s * 1e3, self.shape.elsewhere * self.cpu_s * 1e3
        return (
            f"{cpu_ms:.4g} ms CPU a request by the utilization law, {rest_ms:.4g} ms without CPU, service scv"
            f" {self.shape.cpu.scv:.2g}, from {self.source}; M/G/{self.servers} by the Tijms reduction (1981); random"
            " balancing over replicas"
        )

    @property
    def error_share(self) -> float:
        """Half-width of the 90 % band of goodput."""
        return self.input_error_share

    @property
    def largest_rate_rps(self) -> float:
        """Rate of one replica whose vCPUs are always busy [requests/s]."""
        return self.servers * (1 - self.idle_share) / self.cpu_s

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of the response time [s]; ``inf`` at ρ ≥ 1. Raises :class:`ScenarioError` for
        ``ttft`` or ``tpot``.
        """
        if metric != "latency":
            raise ScenarioError(
                f"objective: the observed model answers latency, not {metric}. Give latency_p…_s bounds"
            )
        rho = self.idle_share + np.asarray(arrival_rate_rps, dtype=np.float64) / replicas * self.cpu_s / self.servers
        return np.where(rho < 1, self.cpu_s * self._at(quantile, np.minimum(rho, 1 - 1e-9)), np.inf)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest pool rate with every bound met; 0 where an idle machine misses one."""
        best = Goodput(np.inf, "", np.nan)
        for name, metric, quantile, limit_s in objective.bounds():
            if float(self.latency_s(0.0, 1, quantile, metric)) > limit_s:
                return Goodput(0.0, name, self.idle_share)
            rho = largest(partial(self._within, quantile, limit_s))
            rate = max(rho - self.idle_share, 0.0) * self.servers / self.cpu_s * replicas
            if rate < best.arrival_rate_rps:
                best = Goodput(rate, name, rho)
        return best

    def _within(self, quantile: float, limit_s: float, rho: Floats) -> Flags:
        return np.asarray(self.cpu_s * self._at(quantile, rho) <= limit_s)

    def _at(self, quantile: float, rho: Floats) -> Floats:
        """Quantile in units of the CPU time, at utilizations ρ.

        Quantiles other than the usual four are read between them on log time; beyond 0.99 the
        value of 0.99 is given, below the median that of the median.
        """
        curves = _curves(self.shape, self.servers)
        if quantile in curves:
            return curves[quantile].at(rho)
        known = [float(q) for q in _USUAL]
        rows = np.array([np.log(curves[q].at(rho)) for q in known])
        flat = rows.reshape(len(known), -1)
        found = [np.exp(np.interp(quantile, known, column)) for column in flat.T]
        return np.asarray(found).reshape(np.shape(rho))
