"""The ``observed`` model: no load test, but what production shows of the
machines that run today.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, model_validator

from planner.errors import ScenarioError
from planner.latency.model import Arrivals, Deployment, Excuse, Machine, PlainService
from planner.latency.observed.fit import Fitted, Observations, fit
from planner.latency.observed.response import ObservedLatency
from planner.latency.observed.telemetry import Telemetry, read_telemetry

Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_SYSTEM_MEMORY_GIB = 0.5
# half of the 90 % band of the speed of a family, and of an architecture, that nobody measured
_OTHER_FAMILY, _OTHER_ARCH = 0.15, 0.25


class Observed(PlainService, BaseModel):
    """Parameters of the ``observed`` model under ``latency:`` in a scenario.

    ``machine`` type and ``machines`` that serve the service today; ``points`` of the whole fleet:
    ``arrival_rate_rps``, ``cpu_utilization`` (0 to 1), percentiles ``latency_p…_s``, ``machines``
    where they differ; or ``telemetry``, a CSV of such rows with ``ts``. ``vcpus`` of the machine
    where the scenario's providers do not sell it. ``speed`` of types, families or architectures
    against the observed machine (most specific wins; others are 1, with a wider band).
    ``memory_gib`` fixed for each replica; ``archs`` that the service has a build for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str = Field(min_length=1)
    machines: Annotated[float, Field(gt=0, le=1e6)] | None = None
    points: tuple["ObservedPoint", ...] = ()
    telemetry: str | None = None
    vcpus: Annotated[float, Field(gt=0, le=4096)] | None = None
    speed: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict)
    memory_gib: NonNegative = 0.0
    archs: tuple[Literal["x86_64", "arm64"], ...] = ("x86_64", "arm64")
    _rows: Telemetry | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _seen(self, info: ValidationInfo) -> Self:
        if bool(self.points) == bool(self.telemetry):
            raise ValueError("give either points or telemetry: FILE")
        if self.telemetry:
            folder = Path((info.context or {}).get("folder") or ".")
            try:
                self._rows = read_telemetry(folder / self.telemetry)
            except ScenarioError as error:
                raise ValueError(str(error)) from None
        if np.isnan(self._fleet().machines).any() and self.machines is None:
            raise ValueError("says nowhere on how many machines; add machines: N")
        return self

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """One replica on the machine observed; others need :meth:`beside`."""
        if machine.instance_type != self.machine:
            return Excuse("not the machine observed", f"observed is {self.machine}")
        return self.on(machine).deployments(machine, arrivals)

    def beside(self, machines: Sequence[Machine]) -> "ObservedOn":
        """The service fitted on its machine, found among those on sale. Raises
        :class:`ScenarioError` for a machine that nobody sells there, unless its ``vcpus`` are
        stated.
        """
        own = next((m for m in machines if m.instance_type == self.machine), None)
        if own is None and self.vcpus is None:
            near = difflib.get_close_matches(self.machine, [m.instance_type for m in machines], n=3)
            hint = f"Did you mean {', '.join(near)}? Else add" if near else "Add"
            told = f"machine: no such machine in these regions (got {self.machine!r})"
            raise ScenarioError(f"{told}. {hint} vcpus: N, its number of vCPUs")
        return self.on(own or Machine("", "", self.machine, "", "x86_64", self.vcpus or math.nan, math.nan))

    def on(self, own: Machine) -> "ObservedOn":
        """The service fitted on the machine it runs on."""
        fleet = self._fleet()
        count = np.where(np.isnan(fleet.machines), self.machines or math.nan, fleet.machines)
        seen = (fleet.rate_rps / count, fleet.utilization, fleet.percentiles_s, fleet.day)
        vcpus = self.vcpus or own.vcpus
        return ObservedOn(self, own, vcpus, _fitted(tuple(v.tobytes() for v in seen), len(fleet.rate_rps), vcpus))

    def _fleet(self) -> Telemetry:
        if self._rows is not None:
            return self._rows
        p = self.points
        return Telemetry(
            np.array([x.arrival_rate_rps for x in p]),
            np.array([x.cpu_utilization for x in p]),
            np.array([x.machines or math.nan for x in p]),
            np.array([[math.nan if v is None else v for v in x.percentiles()] for x in p]),
            np.arange(len(p), dtype=np.float64),
        )


class ObservedPoint(BaseModel):
    """One observation of the fleet: ``arrival_rate_rps`` of all its machines, ``cpu_utilization``
    (0 to 1), percentiles of the latency [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrival_rate_rps: Positive
    cpu_utilization: Annotated[float, Field(gt=0, le=1)]
    machines: Annotated[float, Field(gt=0, le=1e6)] | None = None
    latency_p50_s: Positive | None = None
    latency_p90_s: Positive | None = None
    latency_p95_s: Positive | None = None
    latency_p99_s: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        values = [v for v in self.percentiles() if v is not None]
        if any(a > b for a, b in pairwise(values)):
            raise ValueError("latency percentiles must not fall from p50 to p99")
        return self

    def percentiles(self) -> tuple[float | None, ...]:
        """The p50, p90, p95 and p99 as given."""
        return self.latency_p50_s, self.latency_p90_s, self.latency_p95_s, self.latency_p99_s


@lru_cache(maxsize=64)
def _fitted(seen: tuple[bytes, ...], rows: int, vcpus: float) -> Fitted:
    """The fit of observations given as bytes, so that each is made once."""
    rate, used, percentiles, day = (np.frombuffer(v, dtype=np.float64) for v in seen)
    return fit(Observations(rate, used, percentiles.reshape(rows, -1), day), vcpus)


@dataclass(frozen=True)
class ObservedOn(PlainService):
    """An observed service with the machine ``own`` it runs on, its ``vcpus`` and what was
    ``found``.
    """

    observed: Observed
    own: Machine
    vcpus: float
    found: Fitted

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:  # noqa: ARG002
        """One replica that fills the machine, or the excuse (architecture, accelerator, memory)."""
        excuse = self._misfit(machine)
        if excuse is not None:
            return excuse
        speed = self._speed(machine)
        servers = max(round(machine.vcpus * machine.baseline_share), 1)
        # what runs without requests takes the same CPU seconds anywhere
        idle = min(self.found.idle_share * self.vcpus / servers / speed, 0.95)
        model = ObservedLatency(
            servers,
            self.found.cpu_s / speed,
            self.found.shape,
            idle,
            min(math.hypot(self.found.error_share, self._speed_error(machine)), 0.9),
            f"{self.observed.machine} in production ({self.found.told})",
            machine.instance_type == self.observed.machine,
        )
        return (Deployment(1.0, "", model),)

    def _stated(self, machine: Machine) -> float | None:
        """The stated speed of a machine against the observed one, by type, else family, else
        architecture; ``None`` if none is.
        """
        names = (machine.instance_type, machine.family, machine.arch)
        return next((self.observed.speed[k] for k in names if k in self.observed.speed), None)

    def _speed(self, machine: Machine) -> float:
        return self._stated(machine) or 1.0

    def _speed_error(self, machine: Machine) -> float:
        """Half-width that an unstated speed adds to the band: 0.15 for another family, 0.25 for
        another architecture, 0 for the machine's own family.
        """
        if machine.instance_type == self.own.instance_type or self._stated(machine) is not None:
            return 0.0
        if machine.arch != self.own.arch:
            return _OTHER_ARCH
        return 0.0 if machine.family == self.own.family else _OTHER_FAMILY

    def _misfit(self, machine: Machine) -> Excuse | None:
        """Why a machine cannot run the service: architecture, accelerators, figures not known,
        or memory (with 0.5 GiB for the system); ``None`` if it can.
        """
        archs = self.observed.archs
        if machine.arch not in archs:
            return Excuse(
                "architecture not supported by the service",
                f"{machine.arch}, the service runs on {', '.join(archs)}",
            )
        if machine.accelerator:
            return Excuse(
                "has accelerators the service does not use",
                f"{machine.accelerators:g} × {machine.accelerator}",
            )
        if not (math.isfinite(machine.vcpus) and math.isfinite(machine.memory_gib)):
            return Excuse("its vCPUs or memory are not known", f"{machine.vcpus:g} vCPUs in the catalog")
        need = self.observed.memory_gib + _SYSTEM_MEMORY_GIB
        if machine.memory_gib < need:
            return Excuse(
                "too little memory",
                f"{machine.memory_gib:g} GiB of {need:g} GiB needed",
                "latency.memory_gib",
                self.observed.memory_gib + machine.memory_gib - need,
            )
        return None
