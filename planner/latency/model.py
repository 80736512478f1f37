"""The seam of all latency models: what a machine is, what a model answers, what an excuse says.

A *service model* is what the user configures under ``latency:`` in a scenario (a frozen pydantic
class of its parameters, registered in ``LATENCY_MODELS``).  Put on a machine it yields
*deployments*, each with a *latency model* of one replica, or an *excuse* why that machine cannot
serve.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.scenario import Objective
from planner.tokens import TokenMix, TokenWork

# one-sided 90 % quantile of a normal model error, for models that did not measure their own margin
MODEL_QUANTILE_Z = 1.2815515655446004


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

    A class of its own inherits :class:`PlainReplica` for what it has nothing special to say about.
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

    @property
    def gains_by_pooling(self) -> bool:
        """Whether n replicas behind one balancer bear more than n times what one does."""

    @property
    def largest_rate_rps(self) -> float:
        """Rate at which one replica is always busy [requests/s]; NaN where only goodput over its
        utilization tells.
        """

    @property
    def margin_sigmas(self) -> float:
        """How many σ of its error below the point estimate goodput is planned."""

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

    def token_work(self, arrival_rate_rps: float) -> TokenWork | None:
        """Tokens of a mean request and the time they take where one replica bears
        ``arrival_rate_rps``; ``None`` where requests have no tokens.
        """


class PlainReplica:
    """What a latency model answers that says nothing else: replicas do not help each other, the
    saturated rate is not known apart, and the margin is the normal 90 % quantile.
    """

    @property
    def gains_by_pooling(self) -> bool:
        """No."""
        return False

    @property
    def largest_rate_rps(self) -> float:
        """Not known: NaN."""
        return math.nan

    @property
    def margin_sigmas(self) -> float:
        """:data:`MODEL_QUANTILE_Z`."""
        return MODEL_QUANTILE_Z

    def token_work(self, arrival_rate_rps: float) -> TokenWork | None:  # noqa: ARG002
        """Requests have no tokens."""
        return None


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
    """Why a machine cannot serve: a reason a reader understands, and how far it is from being able.

    ``field``: of the service (``latency.memory_gib``) or the limits (``limits.quota.NAME``), a change
    of which would let the machine serve; ``needs``: the value nearest to what is written with which it
    would, NaN where no number says it.
    """

    reason: str
    gap: str = ""
    field: str = ""
    needs: float = math.nan


class ServiceModel(Protocol):
    """The parameters of a latency model as the user wrote them (a frozen pydantic model).

    A class of its own inherits :class:`PlainService` for what it has nothing special to say about.
    """

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """All ways to run one replica on ``machine``, or the excuse."""

    def beside(self, machines: Sequence[Machine]) -> "ServiceModel":
        """The model with what it learns from the machines on sale."""

    def remarks(self, families: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
        """What a plan must say of the machines it chose: (provider, family, architecture) each."""

    @classmethod
    def artifact_gib(cls, parameters: Mapping[str, Any], folder: Path | None = None) -> float:
        """Size of one version of what each replica loads before it serves [GiB], from unchecked
        ``parameters``; 0 is nothing. Files that these name lie beside ``folder``.
        """


class PlainService:
    """What a service model answers that says nothing else: it learns from no other machine, has
    nothing to say of them and loads nothing.
    """

    def beside(self, machines: Sequence[Machine]) -> ServiceModel:  # noqa: ARG002
        """The model itself."""
        return cast("ServiceModel", self)

    def remarks(self, families: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing."""
        return ()

    @classmethod
    def artifact_gib(cls, parameters: Mapping[str, Any], folder: Path | None = None) -> float:  # noqa: ARG003
        """Nothing."""
        return 0.0
