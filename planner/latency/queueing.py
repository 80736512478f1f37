"""The ``queue`` model: a CPU service as a pool of replicas, each with some parallel workers, behind a balancer.

One replica fills one instance.  Its c workers serve one queue in order of arrival; requests keep a
worker busy for a service time of known mean and squared coefficient of variation.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from planner.errors import ScenarioError
from planner.latency import mgc
from planner.latency.erlang import mmc_response_quantile_s, mmc_response_tail
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine
from planner.latency.service_law import Kind, ServiceLaw
from planner.scenario import Objective

Array = NDArray[np.float64]
Balancer = Literal["random", "round_robin", "jsq", "jsq2", "central"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

_TABLE_QUANTILES = (0.5, 0.9, 0.95, 0.99)
_SYSTEM_MEMORY_GIB = 0.5


@dataclass(frozen=True)
class QueueLatency:
    """A pool of replicas of ``servers`` workers each, G/G/c inside a replica, under a balancer.

    ``service_time_s`` mean of one request alone on the machine [s]; ``law`` its shape;
    ``slowdown`` how much longer a request takes when all workers are busy (hyper-threads share a core), growing
    with the busy share: S(ρ) = S(1 + slowdown·ρ), so ρ = a/(1 − slowdown·a) with a = λS/c;
    ``arrival_scv`` of the gaps between requests at the pool (1 = Poisson); ``input_error_share`` how far the
    user's service time may be off on this machine, as half a 90 % band.

    With ``random`` balancing each replica sees a Poisson split and is an M/G/c of its own; with ``central`` all
    workers of the pool share one queue; ``round_robin``, ``jsq`` (fewest requests present) and ``jsq2`` (the
    better of two) lie between the two, and the slower of them, ``random``, is answered.
    """

    servers: int
    service_time_s: float
    law: ServiceLaw
    slowdown: float = 0.0
    arrival_scv: float = 1.0
    balancer: Balancer = "random"
    input_error_share: float = 0.1

    @property
    def basis(self) -> str:
        """Always ``modeled``."""
        return "modeled"

    @property
    def method(self) -> str:
        """The formula used and how good it is."""
        pool = {"random": "each replica a random split", "central": "one shared queue"}.get(
            self.balancer, f"{self.balancer} bounded from above by random balancing")
        if self._exact:
            return f"M/M/{self.servers} exactly (Erlang 1917), {pool}"
        return f"G/G/{self.servers} by the Tijms reduction (1981), p99 within {self._method_error:.0%}, {pool}"

    @property
    def error_share(self) -> float:
        """Method and input error together, in quadrature."""
        return math.hypot(self._method_error, self.input_error_share)

    @property
    def _exact(self) -> bool:
        return self.law.kind == "exponential" and self.arrival_scv == 1

    @property
    def _method_error(self) -> float:
        if self._exact:
            return 0.0
        arrivals = 0.0 if self.arrival_scv == 1 else 0.15
        return arrivals + (0.05 if self.law.scv <= 1 else 0.10 if self.law.scv <= 4 else 0.35)

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Array:
        """Quantile of the response time [s]; ``inf`` at ρ ≥ 1. Raises :class:`ScenarioError` for ``ttft`` or ``tpot``."""
        _only_latency(metric)
        servers, rate, scv = self._queue(np.asarray(arrival_rate_rps, dtype=np.float64), replicas)
        alone = rate * self.service_time_s / servers
        rho = np.where(alone * (1 + self.slowdown) < 1, alone / np.maximum(1 - self.slowdown * alone, 1e-9), 1.0)
        service_s = self.service_time_s * (1 + self.slowdown * rho)
        if self.law.kind == "exponential" and scv == 1:
            return np.asarray(service_s * mmc_response_quantile_s(rho * servers, 1.0, servers, quantile))
        return np.asarray(service_s * _from_table(self.law, servers, scv, quantile, rho))

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest pool rate with every bound met; 0 where the service alone misses one."""
        best = Goodput(math.inf, "", math.nan)
        for name, metric, quantile, limit_s in objective.bounds():
            _only_latency(metric)
            servers, _, scv = self._queue(np.zeros(1), replicas)
            rho = _largest_utilization(self.law, servers, scv, quantile, limit_s / self.service_time_s, self.slowdown)
            rate = rho * servers / (self.service_time_s * (1 + self.slowdown * rho)) * (1 if self.balancer == "central" else replicas)
            if rate < best.arrival_rate_rps:
                best = Goodput(rate, name, rho)
        return best

    def _queue(self, rate: Array, replicas: int) -> tuple[int, Array, float]:
        """The one queue to solve: workers, its arrival rates, the scv of its gaps."""
        if self.balancer == "central":
            return self.servers * replicas, rate, self.arrival_scv
        # a random split of n ways keeps 1/n of the departure from Poisson
        return self.servers, rate / replicas, 1 + (self.arrival_scv - 1) / replicas


def _only_latency(metric: str) -> None:
    if metric != "latency":
        raise ScenarioError(f"objective: the queue model answers latency, not {metric}. Give latency_p…_s bounds")


def _from_table(law: ServiceLaw, servers: int, scv: float, quantile: float, utilization: Array) -> Array:
    """Response quantile in mean services at any utilization, from the nodes of the reduction."""
    spline = _spline(law, servers, scv, quantile)
    odds = np.where(utilization < 1, utilization / np.where(utilization < 1, 1 - utilization, 1.0), np.inf)
    top = mgc.ODDS[-1]
    inside = np.exp(spline(np.log(_SHIFT + np.minimum(odds, top))))
    # beyond the last node heavy traffic grows like 1/(1 − ρ)
    return np.asarray(inside * np.where(odds > top, (1 + odds) / (1 + top), 1.0))


_SHIFT = 0.05


@lru_cache(maxsize=4096)
def _spline(law: ServiceLaw, servers: int, scv: float, quantile: float) -> Callable[[Array], Array]:
    from scipy.interpolate import PchipInterpolator

    known = quantile in _TABLE_QUANTILES
    rows = mgc.response_table(law, servers, _TABLE_QUANTILES if known else (quantile,), scv)
    row = rows[_TABLE_QUANTILES.index(quantile) if known else 0]
    spline: Callable[[Array], Array] = PchipInterpolator(np.log(_SHIFT + mgc.ODDS), np.log(row))
    return spline


@lru_cache(maxsize=65536)
def _largest_utilization(law: ServiceLaw, servers: int, scv: float, quantile: float, limit: float, slowdown: float) -> float:
    """Largest ρ whose response quantile is within ``limit`` idle services; 0 if the service alone misses it."""
    if law.quantile(quantile) > limit:
        return 0.0
    low, high = 0.0, 1.0
    exact = law.kind == "exponential" and scv == 1
    meets = _meets_exactly if exact else _meets_in_table
    for _ in range(44):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if meets(law, servers, scv, quantile, limit / (1 + slowdown * middle), middle) else (low, middle)
    return low


def _meets_exactly(law: ServiceLaw, servers: int, scv: float, quantile: float, limit: float, utilization: float) -> bool:  # noqa: ARG001
    return float(mmc_response_tail(limit, utilization * servers, 1.0, servers)) <= 1 - quantile


def _meets_in_table(law: ServiceLaw, servers: int, scv: float, quantile: float, limit: float, utilization: float) -> bool:
    return float(_from_table(law, servers, scv, quantile, np.asarray(utilization))) <= limit


class Queue(BaseModel):
    """Parameters of the ``queue`` model under ``latency:`` in a scenario.

    ``service_time_s`` mean time one request keeps a worker busy on one core of speed 1 [s], measured without
    queueing; ``service_scv`` its squared coefficient of variation (0 constant, 1 exponential);
    ``service_law`` its shape, by default gamma below 1 and lognormal above.
    ``vcpus_per_request`` CPU a busy worker takes: 1 for CPU-bound work, 0.1 where it waits 90 % of its time.
    ``threads_share`` what the second hardware thread of a core adds, as a share of the first (0 to 1; 1 if the
    service time was measured with all threads busy).
    ``speed`` relative speed of instance types, families or architectures (most specific wins; others are 1).
    ``memory_gib`` fixed for each replica, ``memory_gib_per_request`` for each busy worker.
    ``burstable`` what to do with machines that earn CPU credits: plan on their ``baseline``, or ``exclude`` them.
    ``error_share`` half of the 90 % band of the service time on a machine where it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_time_s: Positive
    service_scv: NonNegative = 1.0
    service_law: Kind | None = None
    vcpus_per_request: Positive = 1.0
    threads_share: Share = 0.3
    speed: dict[str, Positive] = Field(default_factory=dict)
    memory_gib: NonNegative = 0.0
    memory_gib_per_request: NonNegative = 0.0
    archs: tuple[Literal["x86_64", "arm64"], ...] = ("x86_64", "arm64")
    balancer: Balancer = "random"
    burstable: Literal["baseline", "exclude"] = "baseline"
    error_share: Share = 0.1

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """One replica that fills the machine, or the excuse (architecture, accelerator, memory, CPU)."""
        excuse = self._misfit(machine)
        if excuse:
            return excuse
        servers = self.workers(machine)
        if isinstance(servers, Excuse):
            return servers
        law = ServiceLaw.of(self.service_scv, self.service_law)
        model = QueueLatency(servers, self.service_time_s / self.worker_speed(machine), law, self.slowdown(machine), arrivals.scv,
                             self.balancer, self.error_share)
        return (Deployment(1.0, "", model),)

    def workers(self, machine: Machine) -> int | Excuse:
        """Parallel workers c = floor(vcpus/vcpus_per_request), fewer where memory runs out first."""
        by_cpu = math.floor(machine.vcpus / self.vcpus_per_request + 1e-9)
        if by_cpu < 1:
            return Excuse("too little CPU for one request", f"{machine.vcpus:g} vCPUs of {self.vcpus_per_request:g} needed")
        free = machine.memory_gib - _SYSTEM_MEMORY_GIB - self.memory_gib
        by_memory = math.floor(free / self.memory_gib_per_request + 1e-9) if self.memory_gib_per_request else by_cpu
        if free < 0 or by_memory < 1:
            need = self.memory_gib + self.memory_gib_per_request + _SYSTEM_MEMORY_GIB
            return Excuse("too little memory", f"{machine.memory_gib:g} GiB of {need:g} GiB needed")
        return min(by_cpu, by_memory)

    def worker_speed(self, machine: Machine) -> float:
        """Speed of one worker of the idle machine: its ``speed`` × the share of its vCPUs it sustains."""
        speed = next((self.speed[k] for k in (machine.instance_type, machine.family, machine.arch) if k in self.speed), 1.0)
        return speed * machine.baseline_share

    def slowdown(self, machine: Machine) -> float:
        """How much longer a request takes with all threads busy: threads/(1 + (threads − 1)·threads_share) − 1."""
        threads = machine.threads_per_core
        if math.isnan(threads):
            # arm64 servers have one thread a core; x86_64 is taken to have two unless the catalog knows better
            threads = 1.0 if machine.arch == "arm64" else 2.0
        return threads / (1 + (threads - 1) * self.threads_share) - 1

    def _misfit(self, machine: Machine) -> Excuse | None:
        if machine.arch not in self.archs:
            return Excuse("architecture not supported by the service", f"{machine.arch}, the service runs on {', '.join(self.archs)}")
        if machine.accelerator:
            return Excuse("has accelerators the service does not use", f"{machine.accelerators:g} × {machine.accelerator}")
        if machine.baseline_share < 1 and self.burstable == "exclude":
            return Excuse("burstable types are excluded", f"sustains {machine.baseline_share:.0%} of its vCPUs")
        return None
