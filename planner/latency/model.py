"""The seam of all latency models: what a machine is, what a model answers, what an excuse says.

A *service model* is what the user configures under ``latency:`` in a scenario (a frozen pydantic
class of its parameters, registered in ``LATENCY_MODELS``).  Put on a machine it yields
*deployments*, each with a *latency model* of one replica, or an *excuse* why that machine cannot
serve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.scenario import Objective
from planner.tokens import TokenMix


@dataclass(frozen=True)
class Machine:
    """One instance type in a region, as the catalog describes it. NaN = not known; ``accelerator``
    "" = none.
    """

    provider: str
    region: str
    instance_type: str
    family: str
    arch: str
    vcpus: float
    memory_gib: float
    threads_per_core: float = float("nan")
    baseline_share: float = 1.0
    accelerator: str = ""
    accelerators: float = 0.0
    accelerator_memory_gib: float = float("nan")
    network_gib_per_s: float = float("nan")


@dataclass(frozen=True)
class Arrivals:
    """How requests arrive at one service: ``scv`` of the gaps (1 = Poisson) and the token lengths,
    if any.
    """

    scv: float = 1.0
    tokens: TokenMix | None = None


@dataclass(frozen=True)
class Goodput:
    """The largest arrival rate [requests/s] at which every objective holds, what binds there, and
    how busy it is.
    """

    arrival_rate_rps: float
    binding_objective: str
    utilization: float


class LatencyModel(Protocol):
    """One deployment of one service on one machine: latency from load, and load from objectives.

    A model that measured which margin its goodput needs says so in ``margin_sigmas``; others are
    planned at the normal 90 % quantile.
    """

    @property
    def basis(self) -> str:
        """``measured``, ``modeled`` or ``assumed``."""

    @property
    def method(self) -> str:
        """The formula or simulation used and its source, in a few words."""

    @property
    def error_share(self) -> float:
        """Half-width of the 90 % error band of goodput over its point estimate."""

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of a metric (``latency``, ``ttft``, ``tpot``) [s] when ``replicas`` share
        ``arrival_rate_rps``.

        Same shape as the rates; grows with the rate, falls with replicas, ``inf`` where the pool is
        unstable.
        """

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest rate the pool of ``replicas`` bears with every bound of ``objective`` met (0 if
        none).
        """


@dataclass(frozen=True)
class Deployment:
    """A way to run one replica: ``instances_per_replica`` machines (below 1 if several share one),
    a label, its model.
    """

    instances_per_replica: float
    label: str
    model: LatencyModel


@dataclass(frozen=True)
class Excuse:
    """Why a machine cannot serve: a reason a reader understands, and how far it is from being able."""

    reason: str
    gap: str = ""


class ServiceModel(Protocol):
    """The parameters of a latency model as the user wrote them (a frozen pydantic model)."""

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """All ways to run one replica on ``machine``, or the excuse."""
