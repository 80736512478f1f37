"""Non-language inference on accelerators and CPUs: embedding, reranking, vision, speech, image
generation.

Rates are condensed from public records (``data/benchmarks/accelerated.csv``). An accelerator
without a record is interpolated by its matrix peak, and says so. Requests are served in dynamic
batches: a batch of b takes τ₀ + α·b.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from planner.arrays import Floats
from planner.data import data_path
from planner.errors import ScenarioError
from planner.latency.hardware import accelerators
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine, PlainReplica, PlainService
from planner.scenario import Objective

Workload = Literal["bert-large", "resnet50", "retinanet", "whisper-large", "stable-diffusion-xl", "3d-unet"]
_CPU = "vCPU"
# latency of one item alone × the full-batch rate, where no record says it (L4 and L40S records: 1.0
# to 3.4)
_SINGLE_BATCH = 2.0
_MEASURED_ERROR, _INTERPOLATED_ERROR, _ASSUMED_ERROR = 0.10, 0.35, 0.20
_UTILIZATIONS = np.array(
    [0.001, 0.01, 0.03, 0.07, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.72, 0.78, 0.83, 0.87, 0.9, 0.925, 0.95]
)
_OVERHANG = 160
_MOMENTS: Floats = (np.arange(12, dtype=np.float64) + 0.5) / 12.0
_PLACES: Floats = (np.arange(7, dtype=np.float64) + 0.5) / 7.0


class Record(NamedTuple):
    """Rate of one workload on one accelerator (or vCPU): items/s in full batches, and seconds of
    one item alone (NaN unknown).
    """

    items_per_s: float
    single_item_s: float


class Benchmark(NamedTuple):
    """Records of one workload; ``item_tokens`` and ``params_m`` (millions) are 0 where texts and
    sizes do not apply.
    """

    item: str
    item_tokens: float
    params_m: float
    records: dict[str, Record]


@cache
def benchmarks() -> dict[str, Benchmark]:
    """All workloads of the table."""
    found: dict[str, Benchmark] = {}
    with data_path("benchmarks", "accelerated.csv").open(encoding="utf-8", newline="") as file:
        for r in csv.DictReader(file):
            one = found.setdefault(
                r["workload"],
                Benchmark(r["item"], float(r["item_tokens"]), float(r["params_m"]), {}),
            )
            one.records[r["accelerator"]] = Record(float(r["items_per_s"]), float(r["single_item_s"] or "nan"))
    return found


class AcceleratedService(PlainService, BaseModel):
    """Parameters of ``latency: {model: accelerated}``.

    ``workload``: a workload of data/benchmarks/accelerated.csv. ``items_per_request``: texts,
    images or clips a request carries. Encoders only: ``item_tokens`` of one text (default: the
    traffic's input tokens, else the benchmark's) and ``params_m``, millions of parameters without
    embeddings (a bge-base has 86, a MiniLM-L6 11). ``relative_speed``: share of the vendor-tuned
    record your own stack reaches on accelerators; ``cpu_relative_speed`` the same a vCPU, against a
    Xeon with AMX. ``max_batch`` items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: Workload
    items_per_request: Annotated[float, Field(gt=0)] = 1.0
    item_tokens: Annotated[float, Field(gt=0)] | None = None
    params_m: Annotated[float, Field(gt=0)] | None = None
    relative_speed: Annotated[float, Field(gt=0, le=1)] = 0.5
    cpu_relative_speed: Annotated[float, Field(gt=0, le=1)] = 0.25
    max_batch: Annotated[int, Field(ge=1)] = 64

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """One replica an accelerator, or one on all vCPUs of a machine without any; an excuse where
        no rate is known.
        """
        bench = benchmarks()[self.workload]
        work = self._work(bench, arrivals)
        if not machine.accelerator:
            return self._on_cpu(machine, bench, work)
        record = bench.records.get(machine.accelerator)
        error, label = _MEASURED_ERROR, f"{self.workload} measured"
        if record is None:
            record = _interpolated(bench, machine.accelerator)
            error, label = _INTERPOLATED_ERROR, f"{self.workload} interpolated"
        if record is None:
            return Excuse(
                f"no record of {self.workload} on {machine.accelerator}, and its speed is not known",
                "a measured point is missing",
            )
        speed = self.relative_speed * min(machine.accelerators, 1.0)
        share = 1.0 / machine.accelerators if machine.accelerators > 1 else 1.0
        return (Deployment(share, label, self._replica(record, work / speed, error)),)

    def _on_cpu(self, machine: Machine, bench: Benchmark, work: float) -> Sequence[Deployment] | Excuse:
        """One replica on all vCPUs, by the record of one vCPU; an excuse where there
        is none. Speed is taken as proportional to sustained vCPUs, whatever their
        kind, hence the wide band.
        """
        record = bench.records.get(_CPU)
        if record is None:
            return Excuse(f"no record of {self.workload} on a CPU", "a measured point is missing")
        speed = self.cpu_relative_speed * machine.vcpus * machine.baseline_share
        return (Deployment(1.0, f"{self.workload} cpu", self._replica(record, work / speed, _INTERPOLATED_ERROR)),)

    def _work(self, bench: Benchmark, arrivals: Arrivals) -> float:
        """Benchmark items that one request amounts to. Raises :class:`ScenarioError` for encoder
        keys of another workload.

        items · tokens / tokens of the benchmark · parameters / those of its model: work of
        an encoder taken as proportional to both. It lies for very long texts, whose
        attention grows with the square.
        """
        if not bench.item_tokens:
            wrong = [k for k in ("item_tokens", "params_m") if getattr(self, k) is not None]
            if wrong:
                raise ScenarioError(
                    f"latency.{wrong[0]}: holds only for encoders such as bert-large, not for {self.workload}."
                    " Remove it"
                )
            return self.items_per_request
        tokens = (
            self.item_tokens or (arrivals.tokens.mean_input_tokens if arrivals.tokens else 0.0) or bench.item_tokens
        )
        return self.items_per_request * tokens / bench.item_tokens * (self.params_m or bench.params_m) / bench.params_m

    def _replica(self, record: Record, work: float, error: float) -> "BatchedReplica":
        """A batch of b takes τ₀ + α b: α = work / rate in full batches, τ₀ = time of one item
        alone − α, or α itself where that time is not on record.
        """
        each = work / record.items_per_s
        alone = work * record.single_item_s if record.single_item_s == record.single_item_s else _SINGLE_BATCH * each
        # only a measured point taken as it stands is measured; every assumed factor adds its own
        # error
        assumed = (self.relative_speed != 1.0) + (self.params_m is not None or self.item_tokens is not None)
        basis = "modeled" if assumed or error != _MEASURED_ERROR else "measured"
        return BatchedReplica(
            max(alone - each, 0.0),
            each,
            float(self.max_batch),
            basis,
            math.hypot(error, *[_ASSUMED_ERROR] * assumed),
        )


def _interpolated(bench: Benchmark, name: str) -> Record | None:
    """Rate by matrix peak: the median share of peak that other accelerators reach."""

    def peak(accelerator: str) -> float:
        chip = accelerators().get(accelerator)
        if chip is None:
            return math.nan
        known = [p for p in (chip.int8, chip.fp8, chip.flops("bf16")) if p == p]
        return known[0] if known and chip.vendor == "NVIDIA" else math.nan

    shares = [r.items_per_s / peak(a) for a, r in bench.records.items() if peak(a) == peak(a)]
    own = peak(name)
    if not shares or own != own:
        return None
    return Record(float(np.median(shares)) * own, math.nan)


@dataclass(frozen=True)
class BatchedReplica(PlainReplica):
    """A server that takes all waiting requests as one batch, at most ``max_batch``: a batch of b
    takes ``base_s`` + ``each_s``·b.

    Response quantiles from the Markov chain of the number waiting when a batch starts, exact up to
    the quadrature over the moment of arrival (within 5 % of a simulation; 9 % in the tail where τ₀
    = 0); requests are spread at random over replicas.
    """

    base_s: float
    each_s: float
    max_batch: float
    basis: str
    error_share: float

    @property
    def method(self) -> str:
        """The model in a few words."""
        return "dynamic batches τ₀+αb: Markov chain of batch starts, requests spread at random over replicas"

    @property
    def ceiling_rps(self) -> float:
        """Rate at which full batches just keep up [requests/s]."""
        return self.max_batch / (self.base_s + self.each_s * self.max_batch)

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of latency [s], same shape as the rates; inf where unstable.

        Raises :class:`ScenarioError` for another metric than ``latency``.
        """
        if metric != "latency":
            raise ScenarioError(
                f"objective: the accelerated model answers latency, not {metric}. Give latency_p…_s bounds"
            )
        used = np.asarray(arrival_rate_rps, dtype=np.float64) / replicas / self.ceiling_rps
        odds = np.log(_UTILIZATIONS / (1.0 - _UTILIZATIONS))
        x = np.clip(used, 1e-12, 1.0 - 1e-12)
        found = np.interp(np.log(x / (1.0 - x)), odds, np.log(self._curve(quantile)))
        # past the last node the wait grows as 1/(1−ρ)
        last = _UTILIZATIONS[-1]
        found = np.exp(found) * np.where(x > last, (1.0 - last) / (1.0 - x), 1.0)
        return np.where(used < 1.0, found * self.each_s, np.inf)

    def _curve(self, quantile: float) -> Floats:
        return _response_quantiles(round(self.base_s / self.each_s, 6), int(self.max_batch), quantile)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest rate with every latency bound held; 0 and the bound's name where one request
        alone breaks it.
        """
        best, binding = self.ceiling_rps * (1.0 - 1e-6), "saturation"
        for name, metric, quantile, limit_s in objective.bounds():
            low, high = 0.0, best
            if float(self.latency_s(high, 1, quantile, metric)) <= limit_s:
                continue
            for _ in range(40):
                middle = 0.5 * (low + high)
                low, high = (
                    (middle, high) if float(self.latency_s(middle, 1, quantile, metric)) <= limit_s else (low, middle)
                )
            best, binding = (low if low > self.ceiling_rps * 1e-6 else 0.0), name
        return Goodput(best * replicas, binding, best / self.ceiling_rps)


@lru_cache(maxsize=256)
def _response_quantiles(base: float, most: int, quantile: float) -> Floats:
    """Response quantile at each of ``_UTILIZATIONS``, in units of ``each_s``, for τ₀/α = ``base``
    and batches up to ``most``.
    """
    found = [_response_quantile(base, most, float(u) * most / (base + most), quantile) for u in _UTILIZATIONS]
    return np.maximum.accumulate(np.array(found))


def _response_quantile(base: float, most: int, rate: float, quantile: float) -> float:
    """Response quantile at one ``rate`` (all times in units of ``each_s``).

    The number n waiting when a batch starts is a Markov chain: n → n − b + Poisson(λ T_b), b =
    min(n, most), and 1 after an idle spell. A request that comes at a moment of a batch waits
    for its end, for the full batches ahead of it, and for its own, whose size counts those
    behind it; states are weighted by the requests that meet them. The chain is cut ``_OVERHANG``
    beyond a full batch, which shortens the tail near saturation.
    """
    from scipy.special import gammaln

    waiting = np.arange(1, most + _OVERHANG + 1)
    served = np.minimum(waiting, most)
    left, length = waiting - served, base + served
    # n → n − b + Poisson(λT), and 1 after an idle spell
    count, mean = waiting[None, :] - left[:, None], rate * length[:, None]
    counted = np.maximum(count, 0)
    jump = np.where(
        count >= 0,
        np.exp(counted * np.log(mean) - mean - gammaln(np.arange(waiting[-1] + 2) + 1.0)[counted]),
        0.0,
    )
    idle = np.where(left == 0, np.exp(-rate * length), 0.0)
    jump[:, 0] += idle
    jump[:, -1] += np.maximum(1.0 - jump.sum(axis=1), 0.0)
    balance = jump.T - np.eye(waiting.size)
    balance[-1] = 1.0
    state = np.maximum(np.linalg.solve(balance, np.eye(waiting.size)[-1]), 0.0)
    kept = state > 1e-5 * state.max()
    state, left, length, idle = state[kept], left[kept], length[kept], idle[kept]
    gone = length[:, None] * _MOMENTS
    ahead = left[:, None, None, None] + _counts(rate * gone, _PLACES)[..., None]
    behind = _counts(rate * (length[:, None] - gone), _PLACES)[:, :, None, :]
    own = base + np.minimum(ahead + behind + 1.0, most)
    response = (length[:, None] - gone)[..., None, None] + np.floor(ahead / most) * (base + most) + own
    weight = np.broadcast_to((state * rate * length)[:, None, None, None] / response[0].size, response.shape)
    values = np.append(response.ravel(), base + 1.0)
    weights = np.append(weight.ravel(), float(state @ idle))
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, quantile * reached[-1])])


def _counts(mean: Floats, places: Floats) -> Floats:
    """Poisson counts at each place of their distribution (a new last axis): the smallest whose
    cumulative probability reaches it.
    """
    from scipy.special import pdtrik

    load = mean[..., None]
    return np.where(np.exp(-load) >= places, 0.0, np.ceil(pdtrik(places, load) - 1e-9))
