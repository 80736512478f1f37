"""The ``queue`` model: a CPU service as a pool of replicas, each with some parallel workers, behind
a balancer.

One replica fills one instance.  Its c workers serve one queue in order of arrival; requests keep a
worker busy for a service time of known mean and squared coefficient of variation.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, model_validator

from planner.arrays import Floats
from planner.errors import PlannerError, ScenarioError
from planner.latency.cpus import cpu_speed, cpu_threads, known_families, moved
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine, PlainReplica, PlainService
from planner.latency.queue import pools
from planner.latency.queue.retries import RetryState, retry_state
from planner.latency.queue.service_law import Kind, ServiceLaw
from planner.latency.queue.simulation import Balancer, Discipline, Pool
from planner.scenario import Objective

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

_SYSTEM_MEMORY_GIB = 0.5


@dataclass(frozen=True)
class QueueLatency(PlainReplica):
    """A pool of replicas of ``servers`` workers each under a balancer, first come first served or
    processor sharing inside.

    ``service_time_s`` mean of one request alone on the machine [s]; ``law`` its shape;
    ``slowdown`` how much longer a request takes when all workers are busy (hyper-threads share a
    core), growing with the busy share: S(ρ) = S(1 + slowdown·ρ), so ρ = a/(1 − slowdown·a) with a =
    λS/c; ``arrival_scv`` of the gaps between requests at the pool (1 = Poisson);
    ``input_error_share`` how far the user's service time may be off on this machine, as half a 90 %
    band.

    With ``random`` balancing each replica sees a Poisson split and is an M/G/c of its own; with
    ``round_robin`` it sees Erlang-n gaps; with ``central`` all workers share one queue; ``jsq``
    (fewest requests present) and ``jsq2`` (the better of two drawn) are simulated, as are processor
    sharing and heavy tails (scv > 4).
    """

    servers: int
    service_time_s: float
    law: ServiceLaw
    slowdown: float = 0.0
    arrival_scv: float = 1.0
    balancer: Balancer = "random"
    discipline: Discipline = "fcfs"
    input_error_share: float = 0.1

    @property
    def basis(self) -> str:
        """Always ``modeled``."""
        return "modeled"

    @property
    def method(self) -> str:
        """The formula or simulation behind one replica, how good it is, and how replicas share the
        load.
        """
        words, error = pools.method_and_error(self._pool(1))
        good = f", p99 within {error:.1%}" if error else ""
        return f"{words}{good}; {self.balancer} balancing over replicas"

    @property
    def error_share(self) -> float:
        """Method and input error together, in quadrature."""
        return math.hypot(pools.method_and_error(self._pool(1))[1], self.input_error_share)

    @property
    def gains_by_pooling(self) -> bool:
        """Whether n replicas bear more than n times what one does: all but Poisson requests sent at
        random.
        """
        return self.balancer != "random" or self.arrival_scv != 1

    @property
    def largest_rate_rps(self) -> float:
        """Rate of one replica whose workers are always busy [requests/s]."""
        return self.servers / (self.service_time_s * (1 + self.slowdown))

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of the response time [s]; ``inf`` at ρ ≥ 1. Raises :class:`ScenarioError` for
        ``ttft`` or ``tpot``.
        """
        _only_latency(metric)
        rate = np.asarray(arrival_rate_rps, dtype=np.float64)
        alone = rate * self.service_time_s / (self.servers * replicas)
        rho = np.where(alone * (1 + self.slowdown) < 1, alone / np.maximum(1 - self.slowdown * alone, 1e-9), 1.0)
        service_s = self.service_time_s * (1 + self.slowdown * rho)
        return np.asarray(service_s * pools.response_quantile(self._pool(replicas), quantile, rho))

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest pool rate with every bound met; 0 where the service alone misses one."""
        best = Goodput(math.inf, "", math.nan)
        for name, metric, quantile, limit_s in objective.bounds():
            _only_latency(metric)
            rho = pools.largest_utilization(
                self._pool(replicas), quantile, limit_s / self.service_time_s, self.slowdown
            )
            rate = rho * self.servers * replicas / (self.service_time_s * (1 + self.slowdown * rho))
            if rate < best.arrival_rate_rps:
                best = Goodput(rate, name, rho)
        return best

    def failure_share(self, arrival_rate_rps: float, replicas: int, timeout_s: float) -> float:
        """Share of tries that take longer than a client's ``timeout_s``; 1 where the pool is
        unstable.
        """
        low, high = 0.0, 1.0
        for _ in range(40):
            q = 0.5 * (low + high)
            low, high = (q, high) if float(self.latency_s(arrival_rate_rps, replicas, q)) <= timeout_s else (low, q)
        return 1 - low

    def retry_state(self, arrival_rate_rps: float, replicas: int, timeout_s: float, retries: int) -> RetryState:
        """The load with clients that give up after ``timeout_s`` and try again up to ``retries``
        times, and its metastable point.
        """
        if math.isinf(float(self.latency_s(arrival_rate_rps, replicas, 0.5))):
            return RetryState(math.inf, retries + 1.0, True, arrival_rate_rps)
        top = self.largest_rate_rps * replicas
        rates = top * (1 - np.geomspace(1, 1e-3, 40))
        failing = [self.failure_share(float(r), replicas, timeout_s) for r in rates]
        return retry_state(arrival_rate_rps, lambda r: float(np.interp(r, [*rates, top], [*failing, 1.0])), retries)

    def _pool(self, replicas: int) -> Pool:
        return _pool(self.law, self.servers, replicas, self.balancer, self.discipline, self.arrival_scv)


@lru_cache(maxsize=65536)
def _pool(
    law: ServiceLaw, servers: int, replicas: int, balancer: Balancer, discipline: Discipline, arrival_scv: float
) -> Pool:
    gaps = ServiceLaw("hyperexponential", arrival_scv) if arrival_scv > 1 else ServiceLaw.of(arrival_scv)
    return Pool(law, servers, replicas, balancer, discipline, gaps)


def _family(name: str) -> str:
    """The family of a type or family name: m6i of m6i.xlarge, n2 of n2-standard-4."""
    return name if known_families(name) else name.split(".")[0] if "." in name else name.split("-")[0]


def _threads(machine: Machine) -> float:
    """Hardware threads a core; where the catalog does not know, arm64 servers have one and x86_64
    two.
    """
    if math.isnan(machine.threads_per_core):
        return 1.0 if machine.arch == "arm64" else 2.0
    return machine.threads_per_core


def _only_latency(metric: str) -> None:
    if metric != "latency":
        raise ScenarioError(f"objective: the queue model answers latency, not {metric}. Give latency_p…_s bounds")


class Queue(PlainService, BaseModel):
    """Parameters of the ``queue`` model under ``latency:`` in a scenario.

    ``service_time_s`` mean time one request keeps a worker busy on one core of speed 1 [s],
    measured without queueing; ``service_scv`` its squared coefficient of variation (0 constant,
    1 exponential); ``service_law`` its shape, by default gamma below 1 and lognormal above.
    ``vcpus_per_request`` CPU a busy worker takes: 1 for CPU-bound work, 0.1 where it waits 90 %
    of its time. ``threads_share`` what the second hardware thread of a core adds, as a share of
    the first (0 to 1; 1 if the service time was measured with all threads busy). ``measured_on``
    the type or family it was measured on: other families count by the table of CPU speeds, with
    its band; without it every core counts 1. ``speed`` relative speed of instance types,
    families or architectures, which wins over the table (most specific first). ``memory_gib``
    fixed for each replica, ``memory_gib_per_request`` for each busy worker. ``balancer`` over
    replicas (``random``, ``round_robin``, ``jsq``, ``jsq2``, ``central``); ``discipline`` inside
    one. ``burstable`` what to do with machines that earn CPU credits: plan on their
    ``baseline``, or ``exclude`` them. ``error_share`` half of the 90 % band of the service time
    on a machine where it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_time_s: Positive
    service_scv: NonNegative = 1.0
    service_law: Kind | None = None
    vcpus_per_request: Positive = 1.0
    threads_share: Share = 0.3
    speed: dict[str, Positive] = Field(default_factory=dict)
    measured_on: str | None = Field(default=None, min_length=1)
    memory_gib: NonNegative = 0.0
    memory_gib_per_request: NonNegative = 0.0
    archs: tuple[Literal["x86_64", "arm64"], ...] = ("x86_64", "arm64")
    balancer: Balancer = "random"
    discipline: Discipline = "fcfs"
    burstable: Literal["baseline", "exclude"] = "baseline"
    error_share: Share = 0.1

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            _ = self.law
        except PlannerError as error:
            raise ValueError(str(error)) from None
        if self.discipline == "ps" and self.balancer == "central":
            raise ValueError("discipline ps shares inside replicas; choose a balancer other than central")
        if self.measured_on is not None and not known_families(_family(self.measured_on)):
            raise ValueError(
                f"measured_on: no table knows the CPU of {self.measured_on!r}; name a type or family such as"
                " m6i.xlarge, n2 or standardDSv5Family, or leave it out and state speed"
            )
        return self

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """One replica that fills the machine, or the excuse (architecture, accelerator, memory,
        CPU).
        """
        excuse = self._misfit(machine)
        if excuse:
            return excuse
        servers = self.workers(machine)
        if isinstance(servers, Excuse):
            return servers
        model = QueueLatency(
            servers,
            self.service_time_s / self.worker_speed(machine),
            self.law,
            self.slowdown(machine, servers),
            arrivals.scv,
            self.balancer,
            self.discipline,
            self.input_error(machine),
        )
        return (Deployment(1.0, "", model),)

    @property
    def law(self) -> ServiceLaw:
        """The shape of the service time."""
        return ServiceLaw.of(self.service_scv, self.service_law)

    def workers(self, machine: Machine) -> int | Excuse:
        """Parallel workers c = floor(vcpus/vcpus_per_request), fewer
        where memory runs out first.

        0.5 GiB are kept for the system, then ``memory_gib`` for the process and
        ``memory_gib_per_request`` for each worker. An excuse where not one request fits.
        """
        by_cpu = math.floor(machine.vcpus / self.vcpus_per_request + 1e-9)
        if by_cpu < 1:
            return Excuse(
                "too little CPU for one request",
                f"{machine.vcpus:g} vCPUs of {self.vcpus_per_request:g} needed",
            )
        free = machine.memory_gib - _SYSTEM_MEMORY_GIB - self.memory_gib
        by_memory = math.floor(free / self.memory_gib_per_request + 1e-9) if self.memory_gib_per_request else by_cpu
        if free < 0 or by_memory < 1:
            need = self.memory_gib + self.memory_gib_per_request + _SYSTEM_MEMORY_GIB
            return Excuse(
                "too little memory",
                f"{machine.memory_gib:g} GiB of {need:g} GiB needed",
                "latency.memory_gib",
                self.memory_gib + machine.memory_gib - need,
            )
        return min(by_cpu, by_memory)

    def worker_speed(self, machine: Machine) -> float:
        """Speed of one worker of the idle machine: its ``speed`` × the share of its vCPUs it
        sustains.
        """
        stated = self._stated(machine)
        speed = self._tabled(machine)[0] if stated is None else stated
        return speed * machine.baseline_share

    def input_error(self, machine: Machine) -> float:
        """How far the service time may be off on this machine, as half a 90 % band.

        A stated speed adds nothing to the service's own error; a speed from the table adds its
        band in quadrature, up to 1.
        """
        if self._stated(machine) is not None:
            return self.error_share
        return min(math.hypot(self.error_share, math.expm1(self._tabled(machine)[1])), 1.0)

    def remarks(self, families: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
        """What the plan must say of the CPUs it chose: where the service was measured, which speeds
        are assumed, which machines need a build of their own.
        """
        own, places = self.measured_on, sorted(set(families))
        if own is None:
            known = "latency.measured_on names the machine of the measurement"
            return (f"Every vCPU counts the same: {known}, and speeds of other families follow.",)
        others = [(p, f) for p, f, _ in places if f != _family(own)]
        speeds = ", ".join(f"{f} {self._against(p, f):.2f}" for p, f in others)
        told = f"Measured on {own}; assumed until measured: speed of a vCPU against it, all busy: {speeds}."
        arms = sorted({f for _, f, arch in places if arch == "arm64"} - {_family(own)})
        build = f"{', '.join(arms)}: arm64, which needs a build of the service for it."
        return (*((told,) if others else ()), *((build,) if arms else ()))

    def _against(self, provider: str, family: str) -> float:
        own = _family(str(self.measured_on))
        return moved(cpu_speed(known_families(own)[0], own), cpu_speed(provider, family))[0]

    def _stated(self, machine: Machine) -> float | None:
        names = (machine.instance_type, machine.family, machine.arch)
        return next((self.speed[k] for k in names if k in self.speed), None)

    def _tabled(self, machine: Machine) -> tuple[float, float]:
        """Speed of one worker alone against the machine of the measurement, and its band (ln).

        The table's speeds hold with all vCPUs busy; a core of two threads gives one worker alone
        2/(1 + threads_share) of its share of the busy core.
        """
        if self.measured_on is None or machine.family == _family(self.measured_on):
            return 1.0, 0.0
        family = _family(self.measured_on)
        sellers = known_families(family)
        seller = machine.provider if machine.provider in sellers else sellers[0]
        busy, band = moved(cpu_speed(seller, family), cpu_speed(machine.provider, machine.family))
        return busy * self._alone(_threads(machine)) / self._alone(cpu_threads(seller, family)), band

    def _alone(self, threads: float) -> float:
        return threads / (1 + (threads - 1) * self.threads_share)

    def slowdown(self, machine: Machine, workers: int) -> float:
        """How much longer a request takes with all workers busy: u/(k + (u − k)·threads_share) −
        1 for u > k threads busy on k cores.

        The second thread of a core adds ``threads_share`` of what the first does. 0 where no
        core is shared: one thread a core, or no more busy threads than cores.
        """
        threads = _threads(machine)
        busy, cores = workers * self.vcpus_per_request, machine.vcpus / threads
        return max(0.0, busy / (cores + (busy - cores) * self.threads_share) - 1)

    def _misfit(self, machine: Machine) -> Excuse | None:
        if machine.arch not in self.archs:
            return Excuse(
                "architecture not supported by the service",
                f"{machine.arch}, the service runs on {', '.join(self.archs)}",
            )
        if machine.accelerator:
            return Excuse(
                "has accelerators the service does not use",
                f"{machine.accelerators:g} × {machine.accelerator}",
            )
        if not (math.isfinite(machine.vcpus) and math.isfinite(machine.memory_gib)):
            return Excuse(
                "its vCPUs or memory are not known",
                f"{machine.vcpus:g} vCPUs, {machine.memory_gib:g} GiB in the catalog",
            )
        if machine.baseline_share < 1 and self.burstable == "exclude":
            return Excuse("burstable types are excluded", f"sustains {machine.baseline_share:.0%} of its vCPUs")
        return None
