"""How long one step of an LLM server takes: a roofline with fitted efficiencies, vectorized over deployments.

A :class:`Plant` holds the physical quantities of deployments as arrays; :func:`decode_step_s` and
:func:`prefill_s` turn them into seconds with the constants of ``data/models/llm_constants.csv``.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.data import data_path
from planner.latency.hardware import GIB, Accelerator
from planner.latency.llm_models import KV_BYTES, Architecture

Array = NDArray[np.float64]
_NORM = 4.0


class Layout(NamedTuple):
    """How one replica lies on its accelerators: degrees of tensor, pipeline, attention-data and expert parallelism."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel


@dataclass(frozen=True)
class Plant:
    """Physical quantities of ``n`` deployments, each an array ``(n,)`` (or broadcastable).

    ``bandwidth`` [B/s] and ``peak``, ``peak16`` [FLOP/s] of one accelerator; ``link`` [B/s, one way]; ``accelerators``,
    ``tp``, ``pp``, ``dp``, ``ep`` of a replica; ``shared_bytes``, ``expert_bytes`` [B] read by one accelerator if all weights
    are touched; ``params`` multiplied for a token; ``attention_flops`` [FLOP] for a token and token of context;
    ``kv_bytes``, ``window_bytes`` [B] a token of context on one accelerator for one sequence of its data-parallel rank.
    """

    bandwidth: Array
    peak: Array
    peak16: Array
    link: Array
    accelerators: Array
    tp: Array
    pp: Array
    dp: Array
    ep: Array
    layers: Array
    hidden: Array
    shared_bytes: Array
    expert_bytes: Array
    experts: Array
    experts_per_token: Array
    params: Array
    attention_flops: Array
    kv_bytes: Array
    window_bytes: Array
    window_tokens: Array

    @classmethod
    def of(cls, model: Architecture, chip: Accelerator, precision: str, kv_precision: str, layout: Layout, share: float = 1.0) -> "Plant":
        """The plant of one deployment, arrays of shape (1,); ``share`` of an accelerator where a slice is sold."""
        _, shared, experts = model.weight_bytes(precision)
        tp, pp, dp, ep = layout
        a_layer = (model.mla_kv_dim or 2.0 * model.kv_heads * model.head_dim) * KV_BYTES[kv_precision] / model.kv_shards(tp) / pp
        width = model.heads * (1088.0 if model.mla_kv_dim else 2.0 * model.head_dim)
        lookup_params = 0.0 if model.tied_embeddings else float(model.vocabulary) * model.hidden
        values = {
            "bandwidth": chip.memory_bandwidth_gib_per_s * GIB * share, "peak": chip.flops(precision) * share,
            "peak16": chip.flops("bf16") * share, "link": chip.link_gib_per_s * GIB, "accelerators": layout.accelerators,
            "tp": tp, "pp": pp, "dp": dp, "ep": ep, "layers": model.layers, "hidden": model.hidden,
            "shared_bytes": shared / (tp * pp), "expert_bytes": experts / layout.accelerators, "experts": max(model.experts, 1),
            "experts_per_token": model.experts_per_token if model.experts else 1, "params": model.params_active - lookup_params,
            "attention_flops": 2.0 * width * (model.full_attention_layers + model.window_layers),
            "kv_bytes": a_layer * model.full_attention_layers, "window_bytes": a_layer * model.window_layers,
            "window_tokens": model.window_tokens}
        return cls(**{k: np.atleast_1d(np.asarray(v, dtype=np.float64)) for k, v in values.items()})

    @classmethod
    def stack(cls, plants: "Sequence[Plant]") -> "Plant":
        """One plant of many deployments: arrays joined along the first axis."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in plants]) for f in fields(cls)})

    def __getitem__(self, key: object) -> "Plant":
        """Index or reshape every array alike, e.g. ``plant[:, None]``."""
        return Plant(**{f.name: getattr(self, f.name)[key] for f in fields(Plant)})


@dataclass(frozen=True)
class Constants:
    """Fitted constants of the step times; efficiencies are shares of the datasheet's dense peaks."""

    weight_bandwidth: float
    kv_bandwidth: float
    decode_compute: float
    prefill_compute: float
    attention_compute: float
    link: float
    collective_s: float
    moe_layer_s: float
    step_s: float
    sequence_s: float
    request_s: float
    tpot_sigma: float
    ttft_sigma: float

    def with_(self, **values: float) -> "Constants":
        """The same constants with some replaced."""
        return replace(self, **values)


@cache
def constants() -> Constants:
    """The shipped constants, from ``data/models/llm_constants.csv``."""
    with data_path("models", "llm_constants.csv").open(encoding="utf-8", newline="") as file:
        return Constants(**{r["constant"]: float(r["value"]) for r in csv.DictReader(file)})


def decode_step_s(plant: Plant, batch: ArrayLike, context: ArrayLike, c: Constants) -> Array:
    """Seconds of one decode step of ``batch`` running sequences with ``context`` tokens each.

    t = ‖W/(BW·E_b), 2·P·B/(n·peak·E_c)‖₄ + KV/(BW·E_k) + collectives + MoE dispatch + c₀ + c₁·B, where the experts touched
    are a share 1−(1−k/E)^B. Rooflines after Williams et al. (2009); holds for steady batches without prefill.
    """
    b, s = np.asarray(batch, dtype=np.float64), np.asarray(context, dtype=np.float64)
    routed = plant.experts_per_token / plant.experts
    touched = np.where(plant.experts > 1, 1.0 - (1.0 - np.minimum(routed, 1.0 - 1e-12)) ** b, 0.0)
    read = (plant.shared_bytes + plant.expert_bytes * touched) / (plant.bandwidth * c.weight_bandwidth) * plant.pp
    computed = 2.0 * plant.params * b / (plant.accelerators * plant.peak * c.decode_compute) * plant.pp
    held = plant.kv_bytes * s + plant.window_bytes * np.minimum(s, plant.window_tokens)
    attended = b / plant.dp * held / (plant.bandwidth * c.kv_bandwidth)
    return np.asarray((read**_NORM + computed**_NORM) ** (1.0 / _NORM) + attended + _exchange_s(plant, b, c)
                      + np.where(plant.experts > 1, c.moe_layer_s * plant.layers, 0.0) + c.step_s + c.sequence_s * b)


def _exchange_s(plant: Plant, tokens: Array, c: Constants) -> Array:
    """Two all-reduces a layer over the tensor-parallel group, and the all-to-all of expert parallelism."""
    ring = 2.0 * (plant.tp - 1.0) / plant.tp
    a_rank = tokens / plant.dp * plant.hidden * 2.0 / (plant.link * c.link)
    reduce = np.where(plant.tp > 1, 2.0 * plant.layers * (c.collective_s + ring * a_rank), 0.0)
    return np.asarray(reduce + np.where(plant.dp > 1, 2.0 * plant.layers * (c.collective_s + plant.experts_per_token * a_rank), 0.0))


def prefill_s(plant: Plant, tokens: ArrayLike, c: Constants, cached: ArrayLike = 0.0) -> Array:
    """Seconds of accelerator time that a prompt takes: ``tokens`` computed after ``cached`` ones found in the prefix cache.

    t = ‖2·P·T/(n·peak·E_p), weights read once‖₄ + attention + all-reduce.
    """
    t, hit = np.asarray(tokens, dtype=np.float64), np.asarray(cached, dtype=np.float64)
    routed = plant.experts_per_token / plant.experts
    touched = np.where(plant.experts > 1, 1.0 - (1.0 - np.minimum(routed, 1.0 - 1e-12)) ** t, 0.0)
    computed = 2.0 * plant.params * t / (plant.accelerators * plant.peak * c.prefill_compute)
    read = (plant.shared_bytes + plant.expert_bytes * touched) / (plant.bandwidth * c.weight_bandwidth)
    attended = plant.attention_flops * t * (t / 2.0 + hit) / (plant.accelerators * plant.peak16 * c.attention_compute)
    return np.asarray((computed**_NORM + read**_NORM) ** (1.0 / _NORM) + attended
                      + np.where(plant.tp > 1, _exchange_s(plant, t, c) / plant.dp, 0.0))
