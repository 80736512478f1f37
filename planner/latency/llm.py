"""Language-model serving as a service model: which layouts fit a machine, and what each bears.

Every precision × tensor-parallel degree that fits the accelerators of a machine is a deployment; a replica of a
smaller degree leaves room for more replicas on the same machine (``instances_per_replica`` below 1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from planner.errors import PlannerError
from planner.latency.hardware import GIB, Accelerator, accelerators
from planner.latency.llm_constants import Condition, band, constants
from planner.latency.llm_models import Architecture, Memory, architecture, default_sequences, memory
from planner.latency.llm_queue import Station, largest_rate_rps, quantile_s, steady
from planner.latency.llm_steps import Constants, Layout, Plant
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, Machine
from planner.scenario import Objective
from planner.tokens import TokenMix

Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "fp4", "mxfp4"]
KvPrecision = Literal["bf16", "fp16", "fp8", "int8"]
_Z90 = 1.645


class LlmService(BaseModel):
    """Parameters of ``latency: {model: llm}``.

    ``weights``: slug of data/models/models.csv. ``precision``: one or several to choose from (default: as published).
    ``tensor_parallel``: degrees to try (default 1 2 4 8 16). ``input_tokens``, ``output_tokens`` hold only where the traffic carries
    none. ``prefix_cache_hit_share``: share of prompt tokens found in the cache. ``max_model_len`` [tokens]: longest request.
    ``max_sequences``: bound of the running batch. ``engine``: whose records the constants follow. Efficiency overrides are shares of the
    datasheet's dense peak.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    precision: tuple[Precision, ...] = ()
    kv_precision: KvPrecision = "bf16"
    engine: Literal["vllm", "sglang", "trtllm"] = "vllm"
    tensor_parallel: tuple[Annotated[int, Field(ge=1, le=64)], ...] = (1, 2, 4, 8, 16)
    input_tokens: Annotated[float, Field(ge=0)] = 1024.0
    output_tokens: Annotated[float, Field(ge=1)] = 256.0
    prefix_cache_hit_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    max_sequences: Annotated[int, Field(ge=1)] | None = None
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    chunk_tokens: Annotated[int, Field(ge=64)] = 8192
    weight_bandwidth: Annotated[float, Field(gt=0, le=1)] | None = None
    decode_compute: Annotated[float, Field(gt=0, le=1)] | None = None
    prefill_compute: Annotated[float, Field(gt=0, le=1)] | None = None

    @field_validator("precision", "tensor_parallel", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("weights")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return architecture(value).weights
        except PlannerError as error:
            raise ValueError(f"{error.what} ({value}). {error.remedy}") from None

    @property
    def architecture(self) -> Architecture:
        """Facts of the model."""
        return architecture(self.weights)

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """Every precision and tensor-parallel degree that fits ``machine``, or why none does."""
        chip = self._chip(machine)
        if isinstance(chip, Excuse):
            return chip
        mix = arrivals.tokens or TokenMix.of(self.input_tokens, self.output_tokens)
        found: list[Deployment] = []
        excuses: list[Excuse] = []
        for precision in self.precision or (self.architecture.native_precision,):
            for degree in self._degrees(machine):
                made = self._deployment(machine, chip, precision, degree, mix, arrivals.scv)
                (found if isinstance(made, Deployment) else excuses).append(made)  # type: ignore[arg-type]
        return tuple(found) if found else min(excuses, key=lambda e: _gap_gib(e.gap))

    def _degrees(self, machine: Machine) -> list[int]:
        whole = max(int(machine.accelerators), 1)
        return [d for d in sorted(set(self.tensor_parallel)) if d <= whole and whole % d == 0] or [whole]

    def _chip(self, machine: Machine) -> Accelerator | Excuse:
        if not machine.accelerator or not machine.accelerators > 0:
            return Excuse("has no accelerator, which a language model needs")
        chip = accelerators().get(machine.accelerator)
        if chip is None:
            return Excuse(f"its accelerator {machine.accelerator} is not in data/hardware/accelerators.csv", "add a row with its speeds")
        if math.isnan(chip.memory_bandwidth_gib_per_s) or math.isnan(chip.flops("bf16")):
            return Excuse(f"the speed of its accelerator {chip.name} is not known", "give memory bandwidth and dense peak")
        return chip

    def _deployment(self, machine: Machine, chip: Accelerator, precision: str, degree: int, mix: TokenMix,
                    scv: float) -> Deployment | Excuse:
        if math.isnan(chip.flops(precision)):
            return Excuse(f"{chip.name} does not multiply {precision}", f"choose another precision than {precision}")
        visible = min(chip.memory_gib, machine.accelerator_memory_gib) if machine.accelerator_memory_gib > 0 else chip.memory_gib
        sequences = self.max_sequences or default_sequences(visible)
        budget = memory(self.architecture, precision, visible, tensor_parallel=degree, utilization=self.memory_utilization,
                        max_sequences=sequences)
        longest = float(self.max_model_len or min((mix.input_tokens + mix.output_tokens).max(), self.architecture.max_context_tokens))
        if longest > self.architecture.max_context_tokens:
            return Excuse(f"{self.weights} takes {self.architecture.max_context_tokens} tokens at most",
                          f"{longest - self.architecture.max_context_tokens:.0f} tokens too long")
        shards = self.architecture.kv_shards(degree)
        one = float(self.architecture.kv_bytes(longest, self.kv_precision)) / shards / GIB
        if budget.kv_cache_gib < one:
            return Excuse(f"{self.weights} in {precision} does not fit {degree} × {chip.name}",
                          f"{(one - budget.kv_cache_gib) * degree:.1f} GiB missing")
        held = float(mix.weight @ self.architecture.kv_bytes(mix.input_tokens + 0.75 * mix.output_tokens, self.kv_precision)) / shards / GIB
        slots = min(float(sequences), budget.kv_cache_gib / held) if held > 0 else float(sequences)
        condition = Condition(self.architecture, chip, precision, self.engine, Layout(degree))
        plant = Plant.of(self.architecture, chip, precision, self.kv_precision, condition.layout, min(machine.accelerators, 1.0))
        station = Station(plant, self._constants(condition), max(slots, 1.0), mix, self.prefix_cache_hit_share, scv,
                          float(self.chunk_tokens))
        share = degree / machine.accelerators if machine.accelerators >= 1 else 1.0
        return Deployment(share, f"{precision} tp{degree}", LlmReplica(station, budget, band(condition).tpot))

    def _constants(self, condition: Condition) -> Constants:
        fitted = constants(condition)
        own: dict[str, float] = {}
        if self.weight_bandwidth is not None:
            own |= {"weight_read": 1.0 / self.weight_bandwidth, "expert_read": 1.0 / self.weight_bandwidth}
        if self.decode_compute is not None:
            own |= {"weight_math": 1.0 / self.decode_compute, "expert_math": 1.0 / self.decode_compute}
        if self.prefill_compute is not None:
            own["prompt_math"] = 1.0 / self.prefill_compute
        return replace(fitted, **own)


def _gap_gib(gap: str) -> float:
    first = gap.split(" ")[0]
    return float(first) if first.replace(".", "", 1).isdigit() else math.inf


@dataclass(frozen=True)
class LlmReplica:
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
        """e^(1.645·σ) − 1 of the log error of TPOT on left-out deployments: how far up the 90 % band of goodput reaches."""
        return math.expm1(_Z90 * self.sigma)

    def latency_s(self, arrival_rate_rps: ArrayLike, replicas: int, quantile: float, metric: str = "latency") -> NDArray[np.float64]:
        """Quantile of ``ttft``, ``tpot`` or ``latency`` [s], same shape as the rates; inf where unstable."""
        rate = np.asarray(arrival_rate_rps, dtype=np.float64)
        return quantile_s(self.station, np.atleast_1d(rate).ravel() / replicas, quantile, metric).reshape(rate.shape)

    def goodput_rps(self, objective: Objective, replicas: int = 1) -> Goodput:
        """Largest rate with every bound held; 0 and the binding bound if the latency floor is above it."""
        rate, binding = largest_rate_rps(self.station, list(objective.bounds()))
        state = steady(self.station, np.array([max(rate, 1e-9)]))
        used = max(float(state.batch[0]) / self.station.slots, float(state.prompt_utilization[0])) if rate else 0.0
        return Goodput(rate * replicas, binding, min(used, 1.0))
