"""The ``measured`` model: latency of a service on a machine as load-test points say, and no
further.

Between points the percentiles follow a monotone piecewise cubic through (log rate, log latency)
(Fritsch & Butland 1984).  The last point is the limit: nothing is promised beyond it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from planner.arrays import Floats
from planner.errors import ScenarioError
from planner.latency.measured.closed_loop import open_points
from planner.latency.measured.loadtests import read_load_tests
from planner.latency.model import (
    Arrivals,
    Deployment,
    Excuse,
    Goodput,
    Machine,
    PlainReplica,
    PlainService,
    ServiceModel,
)
from planner.scenario import Objective

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

_NORMAL = {0.5: 0.0, 0.9: 1.2815515655446004, 0.95: 1.6448536269514722, 0.99: 2.3263478740408408}


class Point(BaseModel):
    """One load-test step: ``arrival_rate_rps`` served and latency percentiles [s], rising with the
    percentile.

    ``concurrency`` clients where the test is a closed loop (each client waits for its answer).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrival_rate_rps: Positive
    concurrency: Annotated[float, Field(gt=0, le=4000)] | None = None
    latency_p50_s: Positive | None = None
    latency_p90_s: Positive | None = None
    latency_p95_s: Positive | None = None
    latency_p99_s: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        values = [v for v in self.percentiles() if v is not None]
        if not values:
            raise ValueError("needs at least one latency percentile, such as latency_p95_s")
        if any(a > b for a, b in pairwise(values)):
            raise ValueError("latency percentiles must not fall from p50 to p99")
        return self

    def percentiles(self) -> tuple[float | None, ...]:
        """The p50, p90, p95 and p99 as given."""
        return self.latency_p50_s, self.latency_p90_s, self.latency_p95_s, self.latency_p99_s


@dataclass(frozen=True)
class MeasuredLatency(PlainReplica):
    """One replica as measured: ``points`` of (rate [requests/s], p50, p90, p95, p99 [s], NaN where
    not measured).

    Replicas share the load evenly.  A percentile that was not measured is interpolated between its
    measured neighbours on the normal scale of log latency, and never extrapolated upward: it is
    ``inf``. ``scaled`` says how the points were brought from another size, ``scaling_error`` how
    far that may be off.
    """

    points: tuple[tuple[float, ...], ...]
    closed: bool = False
    scaled: str = ""
    scaling_error: float = 0.0

    @property
    def basis(self) -> str:
        """``measured``; ``modeled`` where the points are those of another size."""
        return "modeled" if self.scaled else "measured"

    @property
    def method(self) -> str:
        """How it is read between points."""
        source = (
            "open-arrival points from a closed load test (birth–death chain)" if self.closed else "load-test points"
        )
        told = f", {self.scaled}" if self.scaled else ""
        return f"{len(self.points)} {source}{told}, monotone cubic in log rate and log latency, nothing beyond the last"

    @property
    def error_share(self) -> float:
        """0.056 from three points (2.3 % median error on series kept apart), twice that for two,
        0.25 for one; 0.15 from a closed loop; that of another size on top, in quadrature.
        """
        few = 0.056 if len(self.points) >= 3 else 0.112 if len(self.points) == 2 else 0.25
        return math.hypot(0.15 if self.closed else few, self.scaling_error)

    @property
    def largest_rate_rps(self) -> float:
        """Rate of the last point [requests/s]."""
        return self.points[-1][0]

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of latency [s]: that of the first point below it, ``inf`` beyond the last.
        Only metric ``latency``.

        ``arrival_rate_rps`` [requests/s] is that of all ``replicas``, which share it
        evenly. Percentiles are made not to fall with the rate. It lies where the
        service depends on something shared by the replicas (a database, a lock): the
        test of one replica cannot show it.

        Raises :class:`ScenarioError` for another metric.
        """
        if metric != "latency":
            raise ScenarioError(
                f"objective: the measured model answers latency, not {metric}. Give latency_p…_s bounds"
            )
        rate = np.asarray(arrival_rate_rps, dtype=np.float64) / replicas
        rates = _series(self.points, quantile)[0]
        if not len(rates):
            return np.full(rate.shape, np.inf)
        inside = np.exp(_curve(self.points, quantile)(np.log(np.clip(rate, rates[0], rates[-1]))))
        return np.where(rate <= rates[-1] * (1 + 1e-12), inside, np.inf)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest measured rate with every bound met; the binding objective is
        ``last_point`` if none binds.

        Found by bisection on each bound, as latency does not fall with the rate; 0 where the
        first point misses a bound already. ``last_point`` says that the test ended before the
        machine did: a test at higher rates could raise it.
        """
        top = self.largest_rate_rps
        best = Goodput(top * replicas, "last_point", 1.0)
        for name, metric, quantile, limit_s in objective.bounds():
            rate = self._largest(metric, quantile, limit_s)
            if rate * replicas < best.arrival_rate_rps:
                best = Goodput(rate * replicas, name, rate / top)
        return best

    def _largest(self, metric: str, quantile: float, limit_s: float) -> float:
        """Largest rate of one replica [requests/s] at which a quantile keeps its
        limit: 50 bisections of the geometric mean; 0 if the lowest point misses it or
        no point knows the quantile.
        """
        rates, _ = _series(self.points, quantile)
        if not len(rates) or float(self.latency_s(rates[0], 1, quantile, metric)) > limit_s:
            return 0.0
        low, high = float(rates[0]), float(rates[-1])
        if float(self.latency_s(high, 1, quantile, metric)) <= limit_s:
            return high
        for _ in range(50):
            middle = math.sqrt(low * high)
            low, high = (
                (middle, high) if float(self.latency_s(middle, 1, quantile, metric)) <= limit_s else (low, middle)
            )
        return low


@lru_cache(maxsize=4096)
def _series(points: tuple[tuple[float, ...], ...], quantile: float) -> tuple[Floats, Floats]:
    """Rates and non-falling latencies of a quantile at the points that know it."""
    known = [(p[0], _percentile(p[1:], quantile)) for p in points]
    known = [(rate, value) for rate, value in known if not math.isnan(value)]
    rates = np.array([rate for rate, _ in known])
    return rates, np.maximum.accumulate(np.array([value for _, value in known])) if known else rates


def _percentile(values: tuple[float, ...], quantile: float) -> float:
    """A percentile from measured ones: below the lowest takes the lowest (safe),
    above the highest is unknown.

    Between two of them log latency is straight over the normal quantile, as for a lognormal law:

    >>> round(_percentile((0.1, math.nan, math.nan, 0.4), 0.9), 4)
    0.2146
    >>> _percentile((0.1, 0.2, math.nan, math.nan), 0.99)
    nan
    """
    known = [(q, v) for q, v in zip(_NORMAL, values, strict=True) if not math.isnan(v)]
    if quantile > known[-1][0]:
        return math.nan
    if quantile <= known[0][0]:
        return known[0][1]
    from scipy.special import ndtri

    return float(np.exp(np.interp(ndtri(quantile), [_NORMAL[q] for q, _ in known], [math.log(v) for _, v in known])))


@lru_cache(maxsize=4096)
def _curve(points: tuple[tuple[float, ...], ...], quantile: float) -> Callable[[Floats], Floats]:
    """Log latency over log rate: monotone cubic through the points (Fritsch and Butland
    1984), a constant for one.
    """
    from scipy.interpolate import PchipInterpolator

    rates, latency = _series(points, quantile)
    if len(rates) == 1:
        return lambda x: np.full(np.shape(x), math.log(latency[0]))
    curve: Callable[[Floats], Floats] = PchipInterpolator(np.log(rates), np.log(latency))
    return curve


class Measured(PlainService, BaseModel):
    """Parameters of the ``measured`` model under ``latency:`` in a scenario.

    ``machines``: load-test points by instance type, or by accelerator name (one accelerator a
    replica, so a machine with four holds four replicas); an instance type wins over its
    accelerator.  Instead of points give ``{files: [a.json, b.json]}``: results of load-test
    tools (``LOAD_TEST_FORMATS``) beside the scenario, with ``format``, ``clients`` or ``driven``
    where a file does not say. Points with ``concurrency`` are a closed loop and are turned into
    what open arrivals would see. ``neighbors``: other sizes of a measured type's family are
    served too, as modeled; ``contention_share`` of the work that does not spread over more
    vCPUs, where a single size was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: dict[str, tuple[Point, ...]] = Field(min_length=1)
    neighbors: bool = True
    contention_share: Share = 0.03

    @field_validator("machines", mode="before")
    @classmethod
    def _from_files(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping):
            return value
        folder = Path((info.context or {}).get("folder") or ".")
        return {
            name: _read(points, folder) if isinstance(points, Mapping) else points for name, points in value.items()
        }

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name, points in self.machines.items():
            rates = [p.arrival_rate_rps for p in points]
            closed = [p.concurrency for p in points if p.concurrency is not None]
            if not rates or (len(set(rates)) != len(rates) and not closed):
                raise ValueError(f"{name} needs at least one point, and no rate twice")
            if closed and (len(closed) != len(points) or len(set(closed)) != len(closed)):
                raise ValueError(f"{name}: give concurrency for every point or for none, and none twice")
        return self

    def beside(self, machines: Sequence[Machine]) -> ServiceModel:
        """With the shapes of the measured types, so that their neighbors are served."""
        from planner.latency.measured.sizes import MeasuredFamilies

        return MeasuredFamilies.of(self, machines)

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:  # noqa: ARG002
        """The measured replica on this machine, or the excuse that nobody measured it."""
        key = machine.instance_type if machine.instance_type in self.machines else machine.accelerator
        if key not in self.machines:
            return Excuse("not measured", f"measured are {', '.join(self.machines)}")
        share = 1.0 if key == machine.instance_type else 1.0 / machine.accelerators
        return (Deployment(share, "", latency_model(self.machines[key])),)


@lru_cache(maxsize=1024)
def latency_model(points: tuple[Point, ...]) -> MeasuredLatency:
    """One replica as its points say, those of a closed loop turned into open arrivals."""
    if points[0].concurrency is not None:
        steps = sorted(points, key=lambda p: p.concurrency or 0.0)
        opened = open_points(
            [p.concurrency or 0.0 for p in steps],
            [p.arrival_rate_rps for p in steps],
            [_row(p)[1:] for p in steps],
        )
        return MeasuredLatency(tuple(tuple(row) for row in opened), closed=True)
    return MeasuredLatency(tuple(sorted(_row(p) for p in points)))


def _row(point: Point) -> tuple[float, ...]:
    """Rate and the four percentiles of a point, NaN where not given."""
    return (point.arrival_rate_rps, *(math.nan if v is None else v for v in point.percentiles()))


def _read(given: Mapping[str, Any], folder: Path) -> list[dict[str, float]]:
    """Points of ``{files: [...], format: ...}``; a wrong key or file is a fault of the scenario.

    Raises :class:`ValueError`, which pydantic turns into a message that names
    the place in the scenario.
    """
    files, strange = given.get("files"), set(given) - {"files", "format", "clients", "driven"}
    files = [files] if isinstance(files, str) else files
    if strange or not files or not isinstance(files, list) or not all(isinstance(f, str) for f in files):
        raise ValueError("give a list of points, or files: [...] and, if needed, format, clients, driven")
    clients, driven = given.get("clients"), given.get("driven")
    if clients is not None and not (isinstance(clients, int | float) and 1 <= clients <= 4000):
        raise ValueError(f"clients must be a number from 1 to 4000 (got {clients!r})")
    if driven not in (None, "open", "closed"):
        raise ValueError(f"driven must be open or closed (got {driven!r})")
    try:
        return read_load_tests([folder / f for f in files], given.get("format"), clients=clients, driven=driven)
    except ScenarioError as error:
        raise ValueError(str(error)) from None
