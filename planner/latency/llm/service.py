"""Language-model serving as a service model: which layouts fit a machine, and what each bears.

Every precision × tensor-parallel degree that fits the accelerators of a machine is a deployment; a
replica of a smaller degree leaves room for more replicas on the same machine
(``instances_per_replica`` below 1).
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationInfo, field_validator, model_validator

from planner.arrays import Floats
from planner.data import data_path
from planner.errors import PlannerError
from planner.latency.hardware import GIB, Accelerator, accelerators, canonical
from planner.latency.llm.architecture import Architecture, Memory, architecture, server_of
from planner.latency.llm.calibration import calibrate, error_after
from planner.latency.llm.config import described
from planner.latency.llm.constants import Condition, band, constants, margin_sigmas, stacks
from planner.latency.llm.queue import Draft, Station, largest_rate_rps, quantile_s, steady
from planner.latency.llm.records import read_llm_benchmark
from planner.latency.llm.room import Room
from planner.latency.llm.steps import TIMES, Constants, Layout, Plant, prefill_s
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine, PlainReplica, PlainService
from planner.scenario import Objective
from planner.tokens import TokenMix, TokenWork

Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "fp4", "mxfp4"]
KvPrecision = Literal["bf16", "fp16", "fp8", "int8"]
Vendor = Literal["NVIDIA", "AMD", "AWS", "Google", "Intel", "Huawei"]
# what servers of the default vendors' chips must be exchanged for, and families no current server
# supports (vLLM installation guide, 2025)
_STACKS = {
    "AWS": "the AWS Neuron stack",
    "Google": "a TPU build of the server",
    "Intel": "the Intel Gaudi stack",
    "Huawei": "the CANN stack",
}
_TOO_OLD = ("Kepler", "Maxwell", "Pascal", "Vega", "RDNA 1", "RDNA 2")
_Z90, _TRANSFER_SHARE = 1.645, 0.82
# machines of fewer accelerators are not joined to pipelines; the most machines of one
_WHOLE_NODE, _MOST_MACHINES = 8, 16


class Speculation(BaseModel):
    """Speculative decoding: ``draft_tokens`` guessed a step, ``accepted_tokens`` that come out of
    it on average (1 to draft + 1).

    Without ``accepted_tokens`` the median of data/benchmarks/speculation.csv holds (coding
    prompts). ``draft_cost_share``: what guessing one token costs, as a share of a step of the
    served model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    draft_tokens: Annotated[int, Field(ge=1, le=16)]
    accepted_tokens: Annotated[float, Field(ge=1)] | None = None
    draft_cost_share: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.accepted_tokens is not None and self.accepted_tokens > self.draft_tokens + 1:
            raise ValueError("accepted_tokens must be ≤ draft_tokens + 1")
        if self.accepted_tokens is None and self.draft_tokens not in accepted_lengths():
            raise ValueError(f"accepted_tokens is not on record for {self.draft_tokens} draft tokens; state it")
        return self

    @property
    def draft(self) -> Draft:
        """The same for the latency model."""
        return Draft(
            self.draft_tokens,
            self.accepted_tokens or accepted_lengths()[self.draft_tokens],
            self.draft_cost_share,
        )


@cache
def accepted_lengths() -> dict[int, float]:
    """Median tokens out of one step by tokens drafted, on record."""
    with data_path("benchmarks", "speculation.csv").open(encoding="utf-8", newline="") as file:
        return {int(r["draft_tokens"]): float(r["accepted_tokens"]) for r in csv.DictReader(file)}


class OwnBenchmark(BaseModel):
    """Your own load test: its ``file`` (vLLM, SGLang, aiperf, genai-perf or guidellm JSON) and the
    deployment it was run on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1)
    accelerator: str
    precision: Precision
    tensor_parallel: Annotated[int, Field(ge=1)] = 1

    @field_validator("file")
    @classmethod
    def _there(cls, value: str, info: ValidationInfo) -> str:
        """Beside the scenario or one folder up, wherever the program runs; read once here, so that
        faults show at once.
        """
        folder = (info.context or {}).get("folder")
        places = [Path()] if folder is None else [Path(folder), Path(folder).parent]
        found = next((p / value for p in places if (p / value).is_file()), None)
        if found is None:
            raise ValueError("is no file beside the scenario; give the path of the load test's JSON")
        try:
            read_llm_benchmark(found)
        except PlannerError as error:
            raise ValueError(f"{error.what}. {error.remedy}") from None
        return str(found)

    @field_validator("accelerator")
    @classmethod
    def _named(cls, value: str) -> str:
        try:
            return canonical(value)
        except PlannerError as error:
            raise ValueError(f"{error.what}. {error.remedy}") from None


class Stack(BaseModel):
    """``share`` of a tuned record's speed that your own server reaches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Annotated[float, Field(gt=0, le=2)]


class LlmService(PlainService, BaseModel):
    """Parameters of ``latency: {model: llm}``.

    ``weights``: slug of data/models/models.csv, the path or the content of a Hugging Face
    ``config.json``, or numbers (``layers``, ``hidden``, ``heads``, ``vocabulary``, ``params_total``
    and other fields of the architecture). ``weights_gib``: bytes of the release that is served
    [GiB], where its precision leaves tensors in 16 bit; with one precision. ``precision``: one or
    several to choose from (default: as published). ``tensor_parallel``: degrees to try (default 1 2 4 8 16);
    ``max_instances_per_replica``: machines that one replica may span as pipeline stages over their
    network (tensor parallelism stays inside a machine); ``expert_parallel``: experts whole on one
    accelerator each; ``data_parallel_attention``: also try attention whole on each accelerator, the
    experts shared among them; ``disaggregated``: also try a second set of accelerators for the prompts.
    ``input_tokens``, ``output_tokens`` hold only where the traffic carries none.
    ``prefix_cache_hit_share``: share of prompt tokens found in the cache. ``max_model_len``
    [tokens]: longest request. ``max_sequences``: bound of the running batch. ``vendors``: whose
    accelerators may serve (others than NVIDIA and AMD need another software stack). ``engine``:
    whose records the constants follow; ``release`` of it, such as 0.11: whose memory (default: the
    newest on record). ``stack``: ``tuned`` as the records are, ``default`` flags, at the share of
    their speed that such servers reached on record and in a band as wide, or ``{share: 0.6}`` of it.
    ``benchmark``: own load test, which sharpens the deployment
    it was run on. Efficiency overrides are shares of the datasheet's dense peak.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: InstanceOf[Architecture]
    weights_gib: Annotated[float, Field(gt=0)] | None = None
    precision: tuple[Precision, ...] = ()
    kv_precision: KvPrecision = "bf16"
    engine: Literal["vllm", "sglang", "trtllm"] = "vllm"
    release: str | None = None
    stack: Literal["tuned", "default"] | Stack = "tuned"
    vendors: Annotated[tuple[Vendor, ...], Field(min_length=1)] = ("NVIDIA", "AMD")
    tensor_parallel: tuple[Annotated[int, Field(ge=1, le=64)], ...] = (1, 2, 4, 8, 16)
    max_instances_per_replica: Annotated[int, Field(ge=1, le=_MOST_MACHINES)] = 1
    expert_parallel: bool = False
    data_parallel_attention: bool = False
    disaggregated: bool = False
    speculation: Speculation | None = None
    input_tokens: Annotated[float, Field(ge=0)] = 1024.0
    output_tokens: Annotated[float, Field(ge=1)] = 256.0
    prefix_cache_hit_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    max_sequences: Annotated[int, Field(ge=1)] | None = None
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    chunk_tokens: Annotated[int, Field(ge=64)] = 8192
    benchmark: OwnBenchmark | None = None
    weight_bandwidth: Annotated[float, Field(gt=0, le=1)] | None = None
    decode_compute: Annotated[float, Field(gt=0, le=1)] | None = None
    prefill_compute: Annotated[float, Field(gt=0, le=1)] | None = None

    @field_validator("precision", "tensor_parallel", "vendors", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("release", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        return str(value) if isinstance(value, float | int) else value

    @field_validator("weights", mode="before")
    @classmethod
    def _known(cls, value: object, info: ValidationInfo) -> Architecture:
        try:
            return _served(value, (info.context or {}).get("folder"))
        except PlannerError as error:
            raise ValueError(f"{error.what} ({error.got}). {error.remedy}") from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights_gib is not None and len(self.precision) > 1:
            raise ValueError("weights_gib are those of one release: give one precision with it")
        try:
            server_of(self.engine, self.release)
        except PlannerError as error:
            raise ValueError(f"release: {error.what}. {error.remedy}") from None
        return self

    @cached_property
    def architecture(self) -> Architecture:
        """Facts of the model, with the bytes of the release that is served."""
        precision = self.precision[0] if self.precision else self.weights.native_precision
        return self.weights if self.weights_gib is None else self.weights.released(precision, self.weights_gib)

    @cached_property
    def room(self) -> Room:
        """How its server uses the memory of accelerators."""
        return Room(
            self.architecture,
            self.kv_precision,
            self.memory_utilization,
            self.max_sequences,
            self.max_model_len,
            server_of(self.engine, self.release),
        )

    @classmethod
    def artifact_gib(cls, parameters: Mapping[str, Any], folder: Path | None = None) -> float:
        """The weights in the widest of the precisions [GiB], as stated or counted. Raises
        :class:`PlannerError` for an unknown model.
        """
        if parameters.get("weights_gib"):
            return float(parameters["weights_gib"])
        model = _served(parameters.get("weights"), folder)
        wanted = parameters.get("precision") or model.native_precision
        precisions = [wanted] if isinstance(wanted, str) else list(wanted)
        return max(sum(model.weight_bytes(p)) for p in precisions) / GIB

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """Every precision and tensor-parallel degree that fits ``machine``, or why none does."""
        chip = self._chip(machine)
        if isinstance(chip, Excuse):
            return chip
        mix = arrivals.tokens or TokenMix.of(self.input_tokens, self.output_tokens)
        found: list[Deployment] = []
        excuses: list[Excuse] = []
        for precision in self.precision or (self.architecture.native_precision,):
            for layout in self._layouts(machine):
                made = self._deployment(machine, chip, precision, layout, mix, arrivals.scv)
                if isinstance(made, Excuse):
                    excuses.append(made)
                    continue
                found.append(made)
                if self.disaggregated:
                    found += self._split(made)
        if found:
            return tuple(found)
        return self._with_remedy(min(excuses, key=lambda e: _gap_gib(e.gap)), machine, chip, mix)

    def _layouts(self, machine: Machine) -> list[Layout]:
        """Layouts to try: tensor-parallel degrees that divide the machine's accelerators (all of
        them where none does), then whole machines in a pipeline.
        """
        whole = max(int(machine.accelerators), 1)
        degrees = [d for d in sorted(set(self.tensor_parallel)) if d <= whole and whole % d == 0] or [whole]
        experts = self.expert_parallel and self.architecture.experts > 0
        within = [Layout(d, expert_parallel=d if experts else 1) for d in degrees]
        across = [
            Layout(whole, pp, expert_parallel=whole if experts else 1)
            for pp in range(2, self.max_instances_per_replica + 1)
        ]
        apart = [Layout(1, 1, d, d) for d in degrees if d > 1 and self.architecture.experts]
        return within + across + (apart if self.data_parallel_attention else [])

    def _with_remedy(self, excuse: Excuse, machine: Machine, chip: Accelerator, mix: TokenMix) -> Excuse:
        """The excuse, and each setting that alone would make the model fit: a narrower precision, a
        larger share of the memory, fewer sequences, a shorter context, more machines.
        """
        if "GiB missing" not in excuse.gap:
            return excuse
        precision, visible = self.precision or (self.architecture.native_precision,), _visible_gib(machine, chip)
        layouts, stated = self._layouts(machine), self.weights_gib is not None
        layouts = [one for one in layouts if one.pipeline_parallel == 1 or _joined(machine)]
        ways = list(self.room.remedies(chip, precision[0], visible, layouts, mix, stated))
        degrees = [d for d in (1, 2, 4, 8, 16) if machine.accelerators >= d and machine.accelerators % d == 0]
        more = [Layout(d) for d in degrees if Layout(d) not in layouts]
        ways += [
            f"latency.tensor_parallel: {one.tensor_parallel}"
            for one in more
            if self.room.missing_gib(precision[0], visible, one, mix) <= 0
        ][:1]
        ways += self._across(machine, precision[0], visible, mix)
        return Excuse(excuse.reason, "; ".join((excuse.gap, *ways[:3]))) if ways else excuse

    def _across(self, machine: Machine, precision: str, visible_gib: float, mix: TokenMix) -> list[str]:
        """How many whole machines in a pipeline hold the model, where it may."""
        whole = int(machine.accelerators)
        if whole < _WHOLE_NODE or not _joined(machine):
            return []
        for pp in range(self.max_instances_per_replica + 1, _MOST_MACHINES + 1):
            if self.room.missing_gib(precision, visible_gib, Layout(whole, pp), mix) <= 0:
                return [f"{pp} machines hold it (latency.max_instances_per_replica: {pp})"]
        return []

    def _chip(self, machine: Machine) -> Accelerator | Excuse:
        """The accelerator's facts, or why it cannot serve: none there, not in the table, another
        software stack, too old, speed not known.
        """
        if not machine.accelerator or not machine.accelerators > 0:
            return Excuse("has no accelerator, which a language model needs")
        chip = accelerators().get(machine.accelerator)
        if chip is None:
            return Excuse(
                f"its accelerator {machine.accelerator} is not in data/hardware/accelerators.csv",
                "add a row with its speeds",
            )
        if chip.vendor not in self.vendors:
            needs = _STACKS.get(chip.vendor, f"software for {chip.vendor}")
            return Excuse(f"its accelerator {chip.name} needs {needs}", f"add {chip.vendor} to latency.vendors")
        if chip.architecture in _TOO_OLD:
            return Excuse(
                f"language-model servers do not support the {chip.architecture} family of its accelerator {chip.name}"
            )
        if math.isnan(chip.memory_bandwidth_gib_per_s) or math.isnan(chip.flops("bf16")):
            return Excuse(
                f"the speed of its accelerator {chip.name} is not known",
                "give memory bandwidth and dense peak",
            )
        return chip

    def _deployment(
        self, machine: Machine, chip: Accelerator, precision: str, layout: Layout, mix: TokenMix, scv: float
    ) -> Deployment | Excuse:
        """One precision and layout on a machine, or why it does not fit: no such arithmetic,
        memory, context, unknown network between machines.

        Where the own load test was run on just this, its constants are calibrated and its band
        is narrowed by the number of points.
        """
        if math.isnan(chip.flops(precision)):
            return Excuse(f"{chip.name} does not multiply {precision}", f"choose another precision than {precision}")
        visible, share = _visible_gib(machine, chip), min(machine.accelerators, 1.0)
        excuse = self.room.excuse(chip, precision, visible, layout, mix, share)
        if excuse is not None:
            return excuse
        fits = self.room.slots(precision, visible, layout, mix)
        condition = Condition(self.architecture, chip, precision, self.engine, layout)
        network = machine.network_gib_per_s if layout.pipeline_parallel > 1 else math.inf
        if math.isnan(network):
            return Excuse(
                f"the network between {layout.pipeline_parallel} machines of this type is not known",
                "a network bandwidth is missing",
            )
        plant = Plant.of(
            self.architecture, chip, precision, self.kv_precision, layout, share, network_gib_per_s=network
        )
        fitted, sigma = self._constants(condition), self._sigma(condition)
        if self.benchmark is not None and self._is_own(condition):
            points = read_llm_benchmark(self.benchmark.file)
            fitted, sigma = calibrate(plant, fitted, points, fits), error_after(len(points), sigma)
        draft = self.speculation.draft if self.speculation else Draft()
        station = Station(
            plant, fitted, fits, mix, self.prefix_cache_hit_share, scv, float(self.chunk_tokens), draft=draft
        )
        instances = layout.accelerators / machine.accelerators if machine.accelerators >= 1 else 1.0
        degrees = (("pp", layout.pipeline_parallel), ("dp", layout.data_parallel))
        label = f"{precision} tp{layout.tensor_parallel}" + "".join(f" {k}{d}" for k, d in degrees if d > 1)
        return Deployment(instances, label, LlmReplica(station, self.room.budget(precision, visible, layout), sigma))

    def _split(self, whole: Deployment) -> list[Deployment]:
        """The same layout twice: once for prompts, once for decoding, if the machine has room for
        both.
        """
        replica = whole.model
        if whole.instances_per_replica * 2 > 1 or not isinstance(replica, LlmReplica):
            return []
        plant = replica.station.plant
        # the state of one token crosses the links of all accelerators of the replica at once, at 82
        # % of their rate (Mooncake, 2025)
        moved = float((plant.kv_bytes + plant.window_bytes)[0] / plant.link[0]) / _TRANSFER_SHARE
        station = replace(replica.station, disaggregated=True, transfer_s_per_token=moved)
        return [Deployment(whole.instances_per_replica * 2, f"{whole.label} split", replace(replica, station=station))]

    def _is_own(self, condition: Condition) -> bool:
        """Whether the own load test was run on this accelerator, precision and
        degree, on a single machine.
        """
        own = self.benchmark
        return own is not None and (own.accelerator, own.precision, own.tensor_parallel, 1) == (
            condition.chip.name,
            condition.precision,
            condition.layout.tensor_parallel,
            condition.layout.pipeline_parallel,
        )

    def _sigma(self, condition: Condition) -> float:
        """The error of a deployment that no own load test describes; of a server with default flags
        at least what these were off on record, around the share of the speed that they reached.
        """
        fitted, untuned = band(condition).tpot, stacks().get(str(self.stack))
        return fitted if untuned is None else max(fitted, untuned.band.tpot, untuned.band.throughput)

    def remarks(self, families: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:  # noqa: ARG002
        """What a server that is not tuned makes of the plan, and the remedy."""
        if self.stack != "default" or self.benchmark is not None:
            return ()
        untuned = stacks()["default"]
        return (
            f"A server with default flags is taken to reach {untuned.share:.2g} of what tuned ones do, the median of "
            f"{untuned.worst:.2g} to {untuned.best:.2g} on record, so its range is several times wider: calibrate "
            "with one benchmark (latency.benchmark).",
        )

    def _constants(self, condition: Condition) -> Constants:
        """Fitted constants with the user's efficiencies in their place, each the inverse of a
        share of the datasheet's peak.
        """
        fitted = constants(condition)
        own: dict[str, float] = {}
        if self.weight_bandwidth is not None:
            own |= {"weight_read": 1.0 / self.weight_bandwidth, "expert_read": 1.0 / self.weight_bandwidth}
        if self.decode_compute is not None:
            own |= {"weight_math": 1.0 / self.decode_compute, "expert_math": 1.0 / self.decode_compute}
        if self.prefill_compute is not None:
            own["prompt_math"] = 1.0 / self.prefill_compute
        stated = replace(fitted, **own)
        slower = self.stack if isinstance(self.stack, Stack) else stacks().get(self.stack)
        share = slower.share if slower else 1.0
        return stated.scaled(**dict.fromkeys(TIMES, 1.0 / share)) if share != 1.0 else stated


def _served(weights: object, folder: Path | None) -> Architecture:
    """The model that a scenario names or describes: a name of the table, the path of a
    ``config.json`` beside the scenario or one folder up, its content, or numbers. Raises
    :class:`PlannerError`.
    """
    if isinstance(weights, Architecture):
        return weights
    if isinstance(weights, Mapping):
        return described(weights, str(weights.get("weights") or weights.get("_name_or_path") or "own model"))
    if not isinstance(weights, str) or not weights.endswith(".json"):
        return architecture(str(weights))
    places = [Path()] if folder is None else [Path(folder), Path(folder).parent]
    found = next((p / weights for p in places if (p / weights).is_file()), None)
    if found is None:
        raise PlannerError(
            "is no file beside the scenario", got=weights, remedy="Give the path of the model's config.json"
        )
    return described(found, found.resolve().parent.name if found.stem == "config" else found.stem)


def _joined(machine: Machine) -> bool:
    """Whether the network between machines of this type is known."""
    return not math.isnan(machine.network_gib_per_s)


def _visible_gib(machine: Machine, chip: Accelerator) -> float:
    """Memory of one accelerator that a program sees [GiB]."""
    sold = machine.accelerator_memory_gib
    return min(chip.memory_gib, sold) if sold > 0 else chip.memory_gib


def _gap_gib(gap: str) -> float:
    """GiB that an excuse says are missing; infinite where it counts none, so that
    the nearest miss is told.

    >>> _gap_gib("12.5 GiB missing"), _gap_gib("choose another precision")
    (12.5, inf)
    """
    first = gap.split(" ")[0]
    return float(first) if first.replace(".", "", 1).isdigit() else math.inf


@dataclass(frozen=True)
class LlmReplica(PlainReplica):
    """Latency of one replica under Poisson arrivals; ``memory`` says what fits beside the weights.

    With several replicas requests are spread at random, so each sees its share of the rate.
    """

    station: Station
    memory: Memory
    sigma: float
    basis: str = "modeled"

    @property
    def method(self) -> str:
        """The model in a few words."""
        return "LLM roofline with fitted efficiencies; M/G/1 prompts, M/G/∞ running batch, open arrivals"

    @cached_property
    def error_share(self) -> float:
        """e^(1.645·σ) − 1 of the log error of TPOT on left-out deployments: how far up the 90 %
        band of goodput reaches.
        """
        return math.expm1(_Z90 * self.sigma)

    @property
    def margin_sigmas(self) -> float:
        """How many σ below its point estimate goodput is planned, as measured on left-out
        deployments.
        """
        return margin_sigmas()

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> Floats:
        """Quantile of ``ttft``, ``tpot`` or ``latency`` [s], same shape as the
        rates; inf where unstable.

        ``arrival_rate_rps`` [requests/s] of all ``replicas``, spread at random. Balancers that
        look at the load do better than this, so it errs on the safe side.
        """
        rate = np.asarray(arrival_rate_rps, dtype=np.float64)
        return quantile_s(self.station, np.atleast_1d(rate).ravel() / replicas, quantile, metric).reshape(rate.shape)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest rate with every bound held; 0 and the binding bound if the latency floor is above
        it.
        """
        rate, binding = largest_rate_rps(self.station, list(objective.bounds()))
        state = steady(self.station, np.array([max(rate, 1e-9)]))
        used = max(float(state.batch[0]) / self.station.slots, float(state.prompt_utilization[0])) if rate else 0.0
        return Goodput(rate * replicas, binding, min(used, 1.0))

    def token_work(self, arrival_rate_rps: float) -> TokenWork:
        """Accelerator time of a mean request by its tokens.

        Prompt tokens that are computed take prefill(T, 0); those found in the cache what the
        attention to them adds, prefill(T, H) − prefill(T, 0); a token written its part of a decode
        step, t_dec(B)/B with the B sequences that run together at ``arrival_rate_rps`` [requests/s].
        The first output token comes out of the prompt and is counted with the others. It lies where
        drafts or adapters take time of their own.
        """
        station, mix = self.station, self.station.tokens
        fresh, found = (mix.input_tokens * s for s in (1.0 - station.cached_share, station.cached_share))
        alone = float(mix.weight @ prefill_s(station.plant, fresh, station.constants))
        batch = max(float(steady(station, np.array([arrival_rate_rps])).batch[0]), 1.0)
        return TokenWork(
            float(mix.weight @ fresh),
            float(mix.weight @ found),
            mix.mean_output_tokens,
            alone,
            float(mix.weight @ station.prompt_s) - alone,
            station.mean_steps * float(station.step_s([batch])[0]) / batch,
        )
