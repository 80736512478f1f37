"""How long one step of an LLM server takes: a roofline with fitted multipliers, vectorized over
deployments.

A :class:`Plant` holds the physical quantities of deployments as arrays; :func:`decode_step_s` and
:func:`prefill_s` turn them into seconds. A multiplier says how much longer a part of a step takes
than the datasheet allows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.latency.hardware import GIB, Accelerator
from planner.latency.llm.architecture import KV_BYTES, Architecture


class Layout(NamedTuple):
    """How one replica lies on its accelerators: degrees of tensor, pipeline, attention-data and
    expert parallelism.

    Expert parallelism shares the accelerators of the other three.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica.

        >>> Layout(tensor_parallel=2, pipeline_parallel=2).accelerators
        4
        """
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel


@dataclass(frozen=True)
class Plant:
    """Physical quantities of ``n`` deployments, each an array ``(n,)`` (or broadcastable).

    ``bandwidth`` [B/s] and ``peak``, ``peak16`` [FLOP/s] of one accelerator; ``link`` [B/s, one
    way]; ``accelerators``, ``tp``, ``dp`` of a replica; ``shared_bytes``, ``expert_bytes`` [B] that
    stand in the way of a token: one accelerator of each pipeline stage, one stage after the other,
    all experts touched; ``shared_params``, ``routed_params`` multiplied for a token;
    ``untouched_log`` = ln(1−k/E); ``attention_flops`` [FLOP] for a token and token of context;
    ``kv_bytes``, ``window_bytes`` [B] on one accelerator a token of context and sequence of its
    data-parallel rank; ``state_bytes`` [B] read and written for the linear attention of a sequence,
    ``state_flops`` [FLOP] for its token; ``hops`` between pipeline stages on machines of their own,
    joined by ``network`` [B/s].
    """

    bandwidth: Floats
    peak: Floats
    peak16: Floats
    link: Floats
    accelerators: Floats
    tp: Floats
    dp: Floats
    layers: Floats
    hidden: Floats
    shared_bytes: Floats
    expert_bytes: Floats
    shared_params: Floats
    routed_params: Floats
    experts_per_token: Floats
    untouched_log: Floats
    attention_flops: Floats
    kv_bytes: Floats
    window_bytes: Floats
    window_tokens: Floats
    state_bytes: Floats
    state_flops: Floats
    hops: Floats
    network: Floats

    @classmethod
    def of(
        cls,
        model: Architecture,
        chip: Accelerator,
        precision: str,
        kv_precision: str,
        layout: Layout,
        share: float = 1.0,
        link_gib_per_s: float | None = None,
        network_gib_per_s: float = math.inf,
    ) -> "Plant":
        """The plant of one deployment, arrays of shape (1,); ``share`` of an accelerator where a
        slice is sold.

        ``network_gib_per_s`` between its pipeline stages where each is a machine of its own.

        ``precision`` and ``kv_precision``: names of ``WEIGHT_BITS`` and ``KV_BYTES``;
        ``link_gib_per_s`` in place of the chip's own link [GiB/s, one way]. A chip whose link is
        not known gets PCIe 3 x16, the slowest on record, so that tensor parallelism over it is not
        praised.
        """
        _, shared, experts = model.weight_bytes(precision)
        tp, pp, dp, _ = layout
        a_layer = (
            (model.mla_kv_dim or 2.0 * model.kv_heads * model.head_dim)
            * KV_BYTES[kv_precision]
            / model.kv_shards(tp)
            / pp
        )
        width = model.heads * (1088.0 if model.mla_kv_dim else 2.0 * model.head_dim)
        lookup_params = 0.0 if model.tied_embeddings else float(model.vocabulary) * model.hidden
        routed = model.expert_params * model.experts_per_token / max(model.experts, 1)
        link = chip.link_gib_per_s if link_gib_per_s is None else link_gib_per_s
        values = {
            "bandwidth": chip.memory_bandwidth_gib_per_s * GIB * share,
            "peak": chip.flops(precision) * share,
            "peak16": chip.flops("bf16") * share,
            "link": (link if link == link else _SLOWEST_LINK_GIB_PER_S) * GIB,
            "accelerators": layout.accelerators,
            "tp": tp,
            "dp": dp,
            "layers": model.layers,
            "hidden": model.hidden,
            "shared_bytes": shared / tp,
            "expert_bytes": experts * pp / layout.accelerators,
            "shared_params": model.params_active - lookup_params - routed,
            "routed_params": routed,
            "experts_per_token": model.experts_per_token,
            "untouched_log": (
                np.log1p(-min(model.experts_per_token / model.experts, 1.0 - 1e-12)) if model.experts else 0.0
            ),
            "attention_flops": 2.0 * width * (model.full_attention_layers + model.window_layers),
            "kv_bytes": a_layer * model.full_attention_layers,
            "window_bytes": a_layer * model.window_layers,
            "window_tokens": model.window_tokens,
            "state_bytes": 2.0 * model.state_bytes / tp / pp,
            "hops": pp - 1.0 if math.isfinite(network_gib_per_s) else 0.0,
            "network": network_gib_per_s * GIB,
            # chunks of 64 tokens: products inside the chunk and with the state
            "state_flops": 1.5 * model.state_bytes,
        }
        return cls(**{k: np.atleast_1d(np.asarray(v, dtype=np.float64)) for k, v in values.items()})

    @classmethod
    def stack(cls, plants: "Sequence[Plant]") -> "Plant":
        """One plant of many deployments: arrays joined along the first axis."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in plants]) for f in fields(cls)})

    def __getitem__(self, key: object) -> "Plant":
        """Index or reshape every array alike, e.g. ``plant[:, None]``."""
        return Plant(**{f.name: getattr(self, f.name)[key] for f in fields(Plant)})


# PCIe 3 x16, for chips whose link is not known
_SLOWEST_LINK_GIB_PER_S = 14.9
# start of one transfer between machines (NCCL point to point over EFA or InfiniBand)
_HOP_S = 50e-6


@dataclass(frozen=True)
class Constants:
    """Fitted constants, numbers or arrays like a plant's. Multipliers are times over what the
    datasheet allows; ``_s`` are seconds.

    ``weight_read``, ``expert_read``, ``kv_read``: memory traffic; ``weight_math``, ``expert_math``:
    decode products; ``prompt_math``, ``attention_math``, ``state_math``: prefill products;
    ``link_time``: all-reduces, ``expert_link_time`` those of experts, with ``collective_s`` a
    doubling of the group; ``layer_s``, ``moe_layer_s`` a layer; ``step_s`` a step; ``sequence_s`` a
    running sequence; ``request_s`` a request before its first step. Of benchmarks: ``burst_share``
    of the prompts that start together, ``drain_share`` of the last requests, ``overlap`` of a
    prompt's work with decoding, ``wave_share`` of batches that begin and end together.
    """

    weight_read: Floats | float
    expert_read: Floats | float
    kv_read: Floats | float
    weight_math: Floats | float
    expert_math: Floats | float
    prompt_math: Floats | float
    attention_math: Floats | float
    state_math: Floats | float
    link_time: Floats | float
    expert_link_time: Floats | float
    collective_s: Floats | float
    layer_s: Floats | float
    moe_layer_s: Floats | float
    step_s: Floats | float
    sequence_s: Floats | float
    request_s: Floats | float
    burst_share: Floats | float
    drain_share: Floats | float
    overlap: Floats | float
    wave_share: Floats | float

    def scaled(self, **factors: Floats | float) -> "Constants":
        """The same constants with some multiplied."""
        return replace(self, **{k: getattr(self, k) * v for k, v in factors.items()})


# constants that a slower server multiplies alike; the others are shares of a benchmark
TIMES = tuple(f.name for f in fields(Constants) if not f.name.endswith("_share") and f.name != "overlap")


class DecodeStep(NamedTuple):
    """One decode step as a function of the running batch B, for fixed contexts: seconds are
    ‖shared − experts·(e^(B·untouched_log) − 1), products·B‖₄ + fixed + each·B.
    """

    shared: Floats
    experts: Floats
    untouched_log: Floats
    products: Floats
    fixed: Floats
    each: Floats

    def seconds(self, batch: ArrayLike) -> Floats:
        """Seconds of a step with ``batch`` running sequences.

        ``batch`` B, any shape. Reading weights and multiplying run side by side, so their 4-norm is
        taken: it is within 19 % of the larger one where both are equal, and equal to it where one
        rules.

        >>> one = DecodeStep(*(np.array(v) for v in (0.01, 0.0, 0.0, 0.0, 0.001, 0.0001)))
        >>> round(float(one.seconds(10.0)), 6)
        0.012
        """
        b = np.asarray(batch, dtype=np.float64)
        return np.asarray(
            _roofline(self.shared - self.experts * np.expm1(b * self.untouched_log), self.products * b)
            + self.fixed
            + self.each * b
        )


def decode_step(plant: Plant, context: ArrayLike, c: Constants, width: float = 1.0) -> DecodeStep:
    """One decode step of sequences with ``context`` tokens each, ``width`` tokens computed of each.

    t = ‖W_touched/BW, 2·P·B/(n·peak)‖₄ + KV/BW + collectives + layers + c₀ + c₁·B, each with its
    multiplier; the experts touched are a share 1−(1−k/E)^B; linear attention reads and writes its
    states. Collectives: two ring all-reduces a layer in the tensor-parallel group and the
    all-to-all of the experts between data-parallel ranks; machines of one pipeline hand on B·2h
    bytes. Rooflines after Williams et al. (2009); holds for steady batches without prefill.

    Symbols: B running sequences; W bytes of weights [B], BW memory bandwidth [B/s]; P parameters
    that a token is multiplied with, n accelerators, peak [FLOP/s]; KV bytes of attention state of
    all sequences [B]; k of E experts a token; h hidden width; c₀ a step and c₁ a sequence [s].
    Arrays broadcast: plant ``(n,)``, context ``(n,)`` or ``(n, contexts)``. It lies where the
    server skips steps, captures no graphs, or offloads weights or state to the host.
    """
    s = np.asarray(context, dtype=np.float64)
    products = plant.shared_params * c.weight_math + plant.routed_params * c.expert_math
    held = plant.kv_bytes * s + plant.window_bytes * np.minimum(s, plant.window_tokens) + plant.state_bytes
    sent = width * plant.hidden * 2.0 / plant.link
    ring = np.where(plant.tp > 1.0, 2.0 * (plant.tp - 1.0) / plant.tp, 0.0) * c.link_time
    routed = np.where(plant.dp > 1.0, plant.experts_per_token, 0.0) * c.expert_link_time
    latency = c.collective_s * (
        np.log2(np.maximum(plant.tp, 1.0)) + np.where(plant.dp > 1.0, np.log2(plant.accelerators), 0.0)
    )
    a_layer = c.layer_s + np.where(plant.untouched_log < 0.0, c.moe_layer_s, 0.0) + 2.0 * latency
    hop = plant.hops * width * plant.hidden * 2.0 / plant.network
    return DecodeStep(
        np.asarray(plant.shared_bytes * c.weight_read / plant.bandwidth),
        np.asarray(plant.expert_bytes * c.expert_read / plant.bandwidth),
        plant.untouched_log * width,
        np.asarray(2.0 * products * width / (plant.accelerators * plant.peak)),
        np.asarray(a_layer * plant.layers + c.step_s + plant.hops * _HOP_S),
        np.asarray(
            (held / plant.bandwidth * c.kv_read + 2.0 * plant.layers * (ring + routed) * sent) / plant.dp
            + c.sequence_s
            + hop
        ),
    )


def _roofline(read: Floats, computed: Floats) -> Floats:
    """Smooth maximum of the two times: their 4-norm."""
    a, b = read * read, computed * computed
    return np.asarray(np.sqrt(np.sqrt(a * a + b * b)))


def prefill_s(plant: Plant, tokens: ArrayLike, c: Constants, cached: ArrayLike = 0.0) -> Floats:
    """Seconds of accelerator time that a prompt takes: ``tokens`` computed after ``cached`` ones
    found in the prefix cache.

    t = ‖weights read once, 2·P·T/(n·peak)‖₄ + attention over T·(T/2 + cached) + all-reduce.

    T ``tokens`` and ``cached`` [tokens] broadcast against the plant; P as in :func:`decode_step`. A
    cached prefix saves its products but is still attended to. Chunks run one after the other:
    waiting between them belongs to :mod:`planner.latency.llm.queue`.
    """
    t, hit = np.asarray(tokens, dtype=np.float64), np.asarray(cached, dtype=np.float64)
    products = plant.shared_params + plant.routed_params * c.expert_math / c.weight_math
    computed = 2.0 * products * t / (plant.accelerators * plant.peak) * c.prompt_math
    touched = (
        plant.shared_bytes * c.weight_read - plant.expert_bytes * np.expm1(t * plant.untouched_log) * c.expert_read
    )
    attended = (plant.attention_flops * (t / 2.0 + hit) * c.attention_math + plant.state_flops * c.state_math) * t
    attended = attended / (plant.accelerators * plant.peak16)
    sent = 2.0 * (plant.tp - 1.0) / plant.tp * t * plant.hidden * 2.0 / plant.link * c.link_time
    reduced = np.where(plant.tp > 1.0, 2.0 * plant.layers * (c.collective_s + sent), 0.0) / plant.dp
    handed = plant.hops * (_HOP_S + t * plant.hidden * 2.0 / plant.network)
    return np.asarray(_roofline(touched / plant.bandwidth, computed) + attended + reduced + handed)
