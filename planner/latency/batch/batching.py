"""Dynamic batching: a server takes what waits as one batch of b requests and serves it in setup_s +
each_s·b.

Requests are Poisson; a batch begins when the server is free and somebody waits, and takes
all who wait up to the largest batch (Inoue 2021, who bounds the mean of batches without
limit in closed form). Symbols: τ ``setup_s`` [s], α ``each_s`` [s], λ ``rate_rps``
[requests/s]. It lies where a server holds requests back to fill a batch (a batching delay),
or where α itself grows with b.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from planner.arrays import Floats, Ints
from planner.errors import PlannerError, ScenarioError
from planner.latency.curve import Curve, largest
from planner.latency.histogram import BINS, CHUNK, histogram_quantile
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine, PlainReplica, PlainService
from planner.scenario import Objective

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_ODDS = (0.0, 0.05, 0.15, 0.35, 0.7, 1.2, 2.0, 3.0, 4.5, 7.0, 12.0, 24.0)
_USUAL = (0.5, 0.9, 0.95, 0.99)
_REQUESTS = 200_000
_UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Batches:
    """A simulated batching server: mean latency [s], its 95 % half-width, and the latencies'
    logarithmic histogram.
    """

    mean_latency_s: float
    half_width_s: float
    histogram: Ints

    def quantile_s(self, q: float) -> float:
        """Quantile of latency [s]."""
        return histogram_quantile(self.histogram, q)


def largest_rate_rps(setup_s: float, each_s: float, largest_batch: float = math.inf) -> float:
    """Rates below b/(τ + αb) are stable; 1/α for unlimited batches [requests/s].

    ``setup_s`` τ and ``each_s`` α [s]; ``largest_batch`` b.

    >>> largest_rate_rps(0.01, 0.005, 2)
    100.0
    """
    return 1 / each_s if math.isinf(largest_batch) else largest_batch / (setup_s + each_s * largest_batch)


def simulate_batches(
    rate_rps: float,
    setup_s: float,
    each_s: float,
    largest_batch: int = _UNLIMITED,
    *,
    requests: int = 1_000_000,
    seed: int = 0,
    batches: int = 20,
) -> Batches:
    """Run the server on Poisson requests after a tenth of warm-up. Raises :class:`PlannerError`
    where it is unstable.

    ``rate_rps`` λ [requests/s]; ``batches`` of the interval's means. A lone request lasts τ + α.

    >>> run = simulate_batches(1.0, 0.01, 0.001, requests=20_000)
    >>> 0.011 < run.mean_latency_s < 0.013
    True
    """
    from planner.latency.kernels import batch_server, tally

    if not 0 < rate_rps < largest_rate_rps(setup_s, each_s, float(largest_batch)):
        raise PlannerError(
            "this rate is beyond what the batches can serve",
            got=rate_rps,
            remedy=f"It must lie below {largest_rate_rps(setup_s, each_s, float(largest_batch)):.6g} requests/s",
        )
    rng = np.random.Generator(np.random.SFC64(seed))
    waiting, state = np.zeros(1 << 16), np.zeros(4)
    histogram, means, done = np.zeros(BINS, dtype=np.int64), [], 0
    size = max(requests // batches, 1)
    for batch in range(-max(1, batches // 10), batches):
        total, count, left = 0.0, 0, size
        while left > 0:
            gaps = rng.standard_exponential(min(CHUNK, left)) / rate_rps
            left -= gaps.size
            out = np.empty(gaps.size + waiting.size)
            taken, done = batch_server(gaps, setup_s, each_s, largest_batch, waiting, state, out)
            if taken < gaps.size:
                raise PlannerError("too many requests wait for the batches to be simulated", got=rate_rps)
            if batch >= 0:
                tally(out[:done].view(np.int64), histogram)
                total, count = total + float(out[:done].sum()), count + done
        if batch >= 0:
            means.append(total / max(count, 1))
    values = np.array(means)
    return Batches(float(values.mean()), float(2.09 * values.std(ddof=1) / math.sqrt(len(values))), histogram)


@lru_cache(maxsize=256)
def _curve(setup_share: float, largest_batch: int, quantile: float) -> Curve:
    """A latency quantile in units of one lone request (setup + each = 1) against the share of the
    largest rate.
    """
    each = 1 - setup_share
    top = largest_rate_rps(setup_share, each, math.inf if largest_batch == _UNLIMITED else largest_batch)
    values = [1.0]
    for odds in _ODDS[1:]:
        run = simulate_batches(odds / (1 + odds) * top, setup_share, each, largest_batch, requests=_REQUESTS, seed=1)
        values.append(run.quantile_s(quantile))
    return Curve.through(_ODDS, np.maximum.accumulate(values))


def _largest_within(curve: Curve, bound: float) -> float:
    """Largest utilization at which the curve is within a bound."""
    return largest(lambda rho: curve.at(rho) <= bound)


@dataclass(frozen=True)
class BatchLatency(PlainReplica):
    """One replica that serves batches in ``setup_s`` + ``each_s``·b, b ≤ ``largest_batch``; Poisson
    requests, split at random.

    Simulated at twelve loads; the error band is that of the batch time on the machine,
    ``input_error_share``.
    """

    setup_s: float
    each_s: float
    largest_batch: int
    input_error_share: float = 0.1

    @property
    def basis(self) -> str:
        """Always ``modeled``."""
        return "modeled"

    @property
    def method(self) -> str:
        """What was done."""
        return (
            f"simulated batches of at most {self.largest_batch}, {_REQUESTS:,} requests a point; random split over"
            " replicas"
        )

    @property
    def error_share(self) -> float:
        """Simulation and input error together, in quadrature."""
        return math.hypot(0.03, self.input_error_share)

    @property
    def largest_rate_rps(self) -> float:
        """Rate of one replica that always serves full batches [requests/s]."""
        return largest_rate_rps(self.setup_s, self.each_s, self.largest_batch)

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of wait + batch [s]; ``inf`` at or beyond the rate of full batches. Only metric
        ``latency``.

        Raises :class:`ScenarioError` for another metric.
        """
        if metric != "latency":
            raise ScenarioError(
                f"objective: the batching model answers latency, not {metric}. Give latency_p…_s bounds"
            )
        use = np.asarray(arrival_rate_rps, dtype=np.float64) / replicas / self.largest_rate_rps
        return self._alone_s * self._curve(quantile).at(use)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest pool rate with every bound met; 0 where one lone request misses one."""
        best = Goodput(math.inf, "", math.nan)
        for name, metric, quantile, limit_s in objective.bounds():
            floor = float(self.latency_s(0.0, 1, quantile, metric))
            curve, bound = self._curve(quantile), limit_s / self._alone_s
            use = 0.0 if floor > limit_s else _largest_within(curve, bound)
            rate = use * self.largest_rate_rps * replicas
            if rate < best.arrival_rate_rps:
                best = Goodput(rate, name, use)
        return best

    @property
    def _alone_s(self) -> float:
        return self.setup_s + self.each_s

    def _curve(self, quantile: float) -> Curve:
        # two ratios that agree to three digits share their simulations
        return _curve(round(self.setup_s / self._alone_s, 3), self.largest_batch, quantile)


class BatchTime(BaseModel):
    """Batch time of one replica on a machine or accelerator: ``setup_s`` + ``each_s``·b [s], fitted
    to two or more batch sizes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup_s: NonNegative
    each_s: Positive
    memory_gib: NonNegative = 0.0


class Batching(PlainService, BaseModel):
    """Parameters of the ``batching`` model under ``latency:`` in a scenario.

    ``machines``: batch times by instance type or by accelerator (one a replica); an instance type
    wins. ``max_batch``: most requests in one batch. ``error_share``: half of the 90 % band of the
    batch time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: dict[str, BatchTime] = Field(min_length=1)
    max_batch: Annotated[int, Field(ge=1, le=4096)] = 32
    error_share: Annotated[float, Field(ge=0, le=1)] = 0.1

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:  # noqa: ARG002
        """One replica on this machine or on each of its accelerators, or the excuse."""
        key = machine.instance_type if machine.instance_type in self.machines else machine.accelerator
        if key not in self.machines:
            return Excuse("no batch time is given for this machine", f"given are {', '.join(self.machines)}")
        time = self.machines[key]
        memory = machine.accelerator_memory_gib if key == machine.accelerator else machine.memory_gib
        if time.memory_gib > memory:
            return Excuse("too little memory", f"{memory:g} GiB of {time.memory_gib:g} GiB needed")
        share = 1.0 if key == machine.instance_type else 1.0 / max(machine.accelerators, 1.0)
        return (Deployment(share, "", BatchLatency(time.setup_s, time.each_s, self.max_batch, self.error_share)),)
