"""What a language model is, and where the memory of its server goes.

Facts of published models stand in ``data/models/models.csv``. Weights are counted by tensor kind,
not as parameters × bits: embeddings stay in 16 bit, and 4-bit mixtures of experts quantize only the
routed experts.

Symbols: layers, hidden width h, query heads, KV heads and their dimension; experts E of which k
serve a token; vocabulary V. Bytes are of tensors, GiB of memory (2³⁰ B).
"""

import csv
import difflib
import re
from dataclasses import dataclass, replace
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
    one among several (collectives). ``of`` what its utilization is a share: the ``board``, as
    activations live within it or ``outside``, or what is ``free`` beside all else.
    """

    logit_copies: float
    activations_gib: float
    expert_activations_gib: float
    runtime_gib: float
    collective_gib: float
    of: str = "board"


# reports of the servers themselves on an H100 (llm-d-planner, 2025 and 2026): samplers that sorted
# the vocabulary until vLLM 0.16, that do not since 0.17. SGLang's mem_fraction_static bounds weights
# and cache, not activations (server arguments, 2026); TensorRT-LLM's free_gpu_memory_fraction is a
# share of what weights and activations leave (its log of a 0.6B model on an H100: 68.69 GiB). Both
# are taken to keep what vLLM keeps.
_SORTING, _PLAIN = (9.7, 0.0, 0.0, 0.13, 0.55), (3.35, 0.36, 0.35, 0.25, 2.1)
SERVERS = {
    "vllm-0.11": Server(*_SORTING),
    "vllm-0.17": Server(*_PLAIN),
    "sglang-0": Server(*_PLAIN, of="outside"),
    "trtllm-0": Server(*_PLAIN, of="free"),
}


def server_of(engine: str, release: str | None = None) -> str:
    """The row of ``SERVERS`` that describes an engine's ``release`` (None: the newest on record):
    the last one not above it. Raises :class:`PlannerError` for a release that is no number or is
    older than every record.

    >>> server_of("vllm", "0.14.1"), server_of("vllm"), server_of("sglang", "0.5")
    ('vllm-0.11', 'vllm-0.17', 'sglang-0')
    """
    rows = {_release(name.partition("-")[2]): name for name in SERVERS if name.startswith(f"{engine}-")}
    wanted = None if release is None else _release(release)
    older = [r for r in rows if wanted is None or (wanted and r <= wanted)]
    if not older:
        raise PlannerError(
            "no record of the memory of this release",
            got=f"{engine} {release}",
            remedy=f"Give a release of {min(rows.values()).replace('-', ' ')} or later, such as 0.19.1",
        )
    return rows[max(older)]


def _release(text: str) -> tuple[int, ...]:
    """The numbers of a release; empty where it begins with none."""
    found = re.match(r"v?(\d+)(?:\.(\d+))?", text)
    return tuple(int(n or 0) for n in found.groups()) if found else ()


@dataclass(frozen=True)
class Architecture:
    """Published facts of one model; parameter counts in units, not billions. ``experts`` 0 = dense,
    ``mla_kv_dim`` 0 = GQA. ``idle_layers`` keep nothing of a sequence (feed-forward only, or state
    shared with another layer); ``state_values`` of each linear layer, 0 = 2·hidden·128.
    ``checkpoints``: bytes of published releases by precision, where they are known.
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
    idle_layers: int = 0
    state_values: float = 0.0
    checkpoints: tuple[tuple[str, float], ...] = ()

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
        return self.layers - self.full_attention_layers - self.window_layers - self.idle_layers

    @property
    def state_bytes(self) -> float:
        """Bytes of the linear-attention states of one sequence in fp32: ``state_values`` a layer, or
        2·hidden/128 heads of 128 × 128 (gated delta nets).
        """
        return float(self.linear_layers) * (self.state_values or 2.0 * self.hidden * 128.0) * 4.0

    def weight_bytes(self, precision: str) -> tuple[float, float, float]:
        """Bytes of all tensors in ``precision``: (input embedding that a step only looks up, other
        shared tensors, routed experts).

        ``precision`` is a name of ``WEIGHT_BITS``; scales of blocks are counted in its bits. A
        release that is on record has its own total: what it keeps in 16 bit beyond the embeddings
        (attention, routers, vision parts) is shared. It lies for another release, of which
        :meth:`released` states the bytes.

        >>> lookup, shared, experts = architecture("llama-3.1-8b").weight_bytes("bf16")
        >>> round((lookup + shared + experts) / 1e9, 1), experts
        (16.1, 0.0)
        """
        bits = WEIGHT_BITS[precision]
        linear = self.params_total - self.expert_params - self.embedding_params
        linear_bits = 16.0 if self.experts and bits < 8.0 else bits
        head = float(self.vocabulary) * self.hidden * 2.0
        padding = np.ceil(self.hidden / _MXFP4_TILE) * _MXFP4_TILE / self.hidden if precision == "mxfp4" else 1.0
        lookup, shared = 0.0 if self.tied_embeddings else head, head + max(linear, 0.0) * linear_bits / 8.0
        experts = self.expert_params * bits / 8.0 * float(padding)
        total = dict(self.checkpoints).get(precision)
        if total is None:
            return lookup, shared, experts
        shared = min(max(total - lookup - experts, head), total - lookup)
        return lookup, shared, max(total - lookup - shared, 0.0)

    def released(self, precision: str, gib: float) -> "Architecture":
        """The same model in a release of ``gib`` bytes of weights [GiB] in ``precision``.

        >>> sum(architecture("qwen3-32b").released("fp8", 32.0).weight_bytes("fp8")) / GIB
        32.0
        """
        return replace(self, checkpoints=(*(c for c in self.checkpoints if c[0] != precision), (precision, gib * GIB)))

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
    data_parallel: int = 1,
    utilization: float = 0.9,
    max_sequences: int | None = None,
    server: str = "vllm-0.17",
) -> Memory:
    """Memory budget of one accelerator of a replica [GiB].

    weights = shared tensors/(tp·pp) + routed experts/(tp·dp·pp); activations = copies of the fp32
    logits of ``max_sequences`` (the sampler sets the peak of the start-up profile) and what
    ``server`` (of ``SERVERS``) needs besides; KV cache = visible·utilization − all of these and the
    runtime, where utilization is a share of the board. Within 3 % of the servers' own reports on an
    H100 (llm-d-planner, 2025 and 2026).

    ``visible_gib`` of one accelerator; ``utilization`` the share the server may take;
    ``max_sequences`` as configured, else its default for such a board; ``data_parallel`` ranks keep
    the attention of all, and share the experts.

    >>> memory(architecture("llama-3.1-70b"), "bf16", 79.6).kv_cache_gib < 0
    True
    """
    kept = SERVERS[server]
    lookup, shared, experts = model.weight_bytes(precision)
    ranks = tensor_parallel * pipeline_parallel * data_parallel
    weights = ((lookup + shared) * data_parallel + experts) / ranks / GIB
    sequences = max_sequences or default_sequences(visible_gib)
    activations = kept.logit_copies * 4.0 * sequences * model.vocabulary / GIB + kept.activations_gib
    activations += kept.expert_activations_gib if model.experts else 0.0
    runtime = kept.runtime_gib if ranks == 1 else kept.collective_gib
    cache = {
        "board": visible_gib * utilization - weights - activations - runtime,
        "outside": min(visible_gib * utilization - runtime, visible_gib - runtime - activations) - weights,
        "free": (visible_gib - weights - activations - runtime) * utilization,
    }[kept.of]
    return Memory(visible_gib, weights, activations, runtime, cache)


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


@cache
def _releases() -> dict[str, tuple[tuple[str, float], ...]]:
    """Bytes of published releases by model and precision."""
    found: dict[str, tuple[tuple[str, float], ...]] = {}
    with data_path("models", "checkpoints.csv").open(encoding="utf-8", newline="") as file:
        for r in csv.DictReader(file):
            found[r["weights"]] = (*found.get(r["weights"], ()), (r["precision"], float(r["gib"]) * GIB))
    return found


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
        checkpoints=_releases().get(r["weights"], ()),
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
