"""What a language model is, and where the memory of its server goes.

Facts of published models stand in ``data/models/models.csv``. Weights are counted by tensor kind,
not as parameters × bits: embeddings stay in 16 bit, and 4-bit mixtures of experts quantize only the
routed experts.

Symbols: layers, hidden width h, query heads, KV heads and their dimension; experts E of which k
serve a token; vocabulary V. Bytes are of tensors, GiB of memory (2³⁰ B).
"""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.data import data_path
from planner.errors import PlannerError
from planner.latency.hardware import GIB

# bits a quantized weight takes with its scales (int4: groups of 32, fp4: NVFP4 blocks of 16, mxfp4:
# blocks of 32)
WEIGHT_BITS = {"bf16": 16.0, "fp16": 16.0, "fp8": 8.0, "int8": 8.0, "int4": 4.5, "fp4": 4.5, "mxfp4": 4.25}
KV_BYTES = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}
_MXFP4_TILE = 256.0


class Server(NamedTuple):
    """What a server keeps beside weights and cache [GiB]: copies of the sampler's fp32 logits in
    its start-up profile, other activations (more with experts), runtime of one accelerator, and of
    one among several (collectives).
    """

    logit_copies: float
    activations_gib: float
    expert_activations_gib: float
    runtime_gib: float
    collective_gib: float


# reports of the servers themselves on an H100 (llm-d-planner, 2025 and 2026): samplers that sorted
# the vocabulary until vLLM 0.16,
# that do not since 0.17
SERVERS = {"vllm-0.11": Server(9.7, 0.0, 0.0, 0.13, 0.55), "vllm-0.19": Server(3.35, 0.36, 0.35, 0.25, 2.1)}


@dataclass(frozen=True)
class Architecture:
    """Published facts of one model; parameter counts in units, not billions. ``experts`` 0 = dense,
    ``mla_kv_dim`` 0 = GQA.
    """

    weights: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied_embeddings: bool
    params_total: float
    params_active: float
    experts: int
    experts_per_token: int
    expert_param_share: float
    mla_kv_dim: int
    full_attention_layers: int
    window_layers: int
    window_tokens: int
    native_precision: str
    max_context_tokens: int
    aliases: tuple[str, ...] = ()

    @property
    def embedding_params(self) -> float:
        """Parameters of the input and output embeddings.

        V·h, twice where input and output are not tied.

        >>> tiny = architecture("llama-3.1-8b")
        >>> int(tiny.embedding_params) == 2 * tiny.vocabulary * tiny.hidden
        True
        """
        return float(self.vocabulary) * self.hidden * (1.0 if self.tied_embeddings else 2.0)

    @property
    def expert_params(self) -> float:
        """Parameters of the routed experts (0 if dense)."""
        return self.params_total * self.expert_param_share if self.experts else 0.0

    @property
    def linear_layers(self) -> int:
        """Layers of linear attention: each keeps one state of a fixed size a sequence."""
        return self.layers - self.full_attention_layers - self.window_layers

    @property
    def state_bytes(self) -> float:
        """Bytes of the linear-attention states of one sequence: 2·hidden/128 heads of 128 × 128 in
        fp32 (gated delta nets).
        """
        return float(self.linear_layers) * 2.0 * self.hidden * 128.0 * 4.0

    def weight_bytes(self, precision: str) -> tuple[float, float, float]:
        """Bytes of all tensors in ``precision``: (input embedding that a step only looks up, other
        shared tensors, routed experts).

        ``precision`` is a name of ``WEIGHT_BITS``; scales of blocks are counted in its bits. It
        lies for a checkpoint that keeps further tensors in 16 bit (attention, routers, vision
        parts).

        >>> lookup, shared, experts = architecture("llama-3.1-8b").weight_bytes("bf16")
        >>> round((lookup + shared + experts) / 1e9, 1), experts
        (16.1, 0.0)
        """
        bits = WEIGHT_BITS[precision]
        linear = self.params_total - self.expert_params - self.embedding_params
        linear_bits = 16.0 if self.experts and bits < 8.0 else bits
        head = float(self.vocabulary) * self.hidden * 2.0
        padding = np.ceil(self.hidden / _MXFP4_TILE) * _MXFP4_TILE / self.hidden if precision == "mxfp4" else 1.0
        lookup = 0.0 if self.tied_embeddings else head
        return lookup, head + max(linear, 0.0) * linear_bits / 8.0, self.expert_params * bits / 8.0 * float(padding)

    def kv_bytes(self, tokens: ArrayLike, precision: str) -> Floats:
        """Bytes of attention state of one sequence of ``tokens``, unsharded: window layers
        saturate, linear attention counts 0.

        2 · KV heads · head dimension · bytes a value, a token and layer; one joint vector where the
        heads are compressed together (MLA).

        >>> float(architecture("llama-3.1-8b").kv_bytes(1.0, "bf16"))
        131072.0
        """
        t = np.asarray(tokens, dtype=np.float64)
        a_layer = (self.mla_kv_dim or 2.0 * self.kv_heads * self.head_dim) * KV_BYTES[precision]
        held = self.full_attention_layers * t + (
            self.window_layers * np.minimum(t, self.window_tokens) if self.window_layers else 0.0
        )
        return np.asarray(a_layer * held, dtype=np.float64)

    def kv_shards(self, tensor_parallel: int) -> int:
        """Over how many tensor-parallel ranks the attention state is split: MLA replicates it, GQA
        splits by KV heads.

        >>> architecture("llama-3.1-8b").kv_shards(16)
        8
        """
        return 1 if self.mla_kv_dim else min(tensor_parallel, self.kv_heads)

    def sequence_bytes(self, tokens: ArrayLike, precision: str, tensor_parallel: int, pipeline_parallel: int) -> Floats:
        """Bytes that one sequence of ``tokens`` takes on each accelerator: attention state by its
        shards, linear states by ranks.
        """
        held = self.kv_bytes(tokens, precision) / self.kv_shards(tensor_parallel) + self.state_bytes / tensor_parallel
        return np.asarray(held / pipeline_parallel, dtype=np.float64)


@dataclass(frozen=True)
class Memory:
    """Memory of one accelerator [GiB]: what is visible, and what each part takes. ``kv_cache_gib``
    below 0: does not fit.
    """

    visible_gib: float
    weights_gib: float
    activations_gib: float
    runtime_gib: float
    kv_cache_gib: float


def memory(
    model: Architecture,
    precision: str,
    visible_gib: float,
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    utilization: float = 0.9,
    max_sequences: int | None = None,
    server: str = "vllm-0.19",
) -> Memory:
    """Memory budget of one accelerator of a replica [GiB].

    weights = tensors/(tp·pp); activations = copies of the fp32 logits of ``max_sequences`` (the
    sampler sets the peak of the start-up profile) and what ``server`` (of ``SERVERS``) needs
    besides; KV cache = visible·utilization − all of these and the runtime. Within 3 % of the
    servers' own reports on an H100 (llm-d-planner, 2025 and 2026).

    ``visible_gib`` of one accelerator; ``utilization`` the share the server may take;
    ``max_sequences`` as configured, else its default for such a board.

    >>> memory(architecture("llama-3.1-70b"), "bf16", 79.6).kv_cache_gib < 0
    True
    """
    kept = SERVERS[server]
    lookup, shared, experts = model.weight_bytes(precision)
    ranks = tensor_parallel * pipeline_parallel
    weights = (lookup + shared + experts) / ranks / GIB
    sequences = max_sequences or default_sequences(visible_gib)
    activations = kept.logit_copies * 4.0 * sequences * model.vocabulary / GIB + kept.activations_gib
    activations += kept.expert_activations_gib if model.experts else 0.0
    runtime = kept.runtime_gib if ranks == 1 else kept.collective_gib
    return Memory(
        visible_gib,
        weights,
        activations,
        runtime,
        visible_gib * utilization - weights - activations - runtime,
    )


def slots(
    model: Architecture,
    precision: str,
    visible_gib: float,
    kv_precision: str,
    tokens: float,
    layout: tuple[int, int, int, int],
    *,
    sequences: int = 256,
) -> float:
    """How many sequences of ``tokens`` a replica holds at once, over its data-parallel ranks; at
    least those of 2 % of the memory.

    ``layout`` is (tensor, pipeline, data, expert) parallelism; ``sequences`` sets the activations.
    """
    tp, pp, dp, _ = layout
    budget = memory(
        model, precision, visible_gib, tensor_parallel=tp * dp, pipeline_parallel=pp, max_sequences=sequences
    )
    each = float(model.sequence_bytes(tokens, kv_precision, tp, pp)) / GIB
    return max(budget.kv_cache_gib, 0.02 * visible_gib) / each * dp


def default_sequences(visible_gib: float) -> int:
    """Sequences a server runs at once unless told: 1024 on boards of 70 GiB or more, else 256 (vLLM
    0.11 defaults).
    """
    return 1024 if visible_gib >= 70.0 else 256


@cache
def architectures() -> dict[str, Architecture]:
    """All models of the table by slug."""
    with data_path("models", "models.csv").open(encoding="utf-8", newline="") as file:
        return {r["weights"]: _row(r) for r in csv.DictReader(file)}


def _row(r: dict[str, str]) -> Architecture:
    layers, hidden, heads, kv_heads, head_dim, vocabulary = (
        int(r[c]) for c in ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocabulary")
    )
    return Architecture(
        r["weights"],
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim,
        vocabulary,
        r["tied_embeddings"] == "1",
        float(r["params_total_b"]) * 1e9,
        float(r["params_active_b"]) * 1e9,
        int(r["experts"]),
        int(r["experts_per_token"]),
        float(r["expert_param_share"]),
        int(r["mla_kv_dim"]),
        int(r["full_attention_layers"]),
        int(r["window_layers"]),
        int(r["window_tokens"]),
        r["native_precision"],
        int(r["max_context_tokens"]),
        tuple(filter(None, r["aliases"].split("|"))),
    )


def architecture(name: str) -> Architecture:
    """A model by slug or alias, without regard to case. Raises :class:`PlannerError` with the
    nearest known names.

    >>> architecture("Llama-3.1-8B").layers
    32
    """
    spelled = _spellings()
    if name.casefold() in spelled:
        return spelled[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), spelled, n=3)
    hint = ", ".join(dict.fromkeys(spelled[n].weights for n in near))
    raise PlannerError(
        "this model is not in the table",
        where="data/models/models.csv",
        got=name,
        remedy=f"Did you mean {hint}? Otherwise add a row" if hint else "Add a row with its architecture",
    )


@cache
def _spellings() -> dict[str, Architecture]:
    return {s.casefold(): m for m in architectures().values() for s in (m.weights, *m.aliases)}
