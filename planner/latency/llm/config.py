"""Reads the architecture of a language model from a Hugging Face ``config.json``, or from numbers.

Counts what a server holds and moves: parameters by kind of tensor, layers by what they keep of a
sequence. Families differ in the names of their keys, not in what the keys say, so a key is looked
for under every name that published configurations give it.

Layers: *full* attention keeps every token, a *window* (sliding or chunked) the last ones, *linear*
attention or a state space one state of a fixed size, others (feed-forward only, or sharing the
state of another layer) nothing.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from planner.errors import PlannerError
from planner.latency.llm.architecture import WEIGHT_BITS, Architecture

Config = Mapping[str, Any]
_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
_NAMES = {
    "hidden": ("hidden_size", "d_model", "n_embd", "n_embed"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "context": ("max_position_embeddings", "max_sequence_length", "n_positions", "seq_length", "max_seq_len"),
    "inner": ("intermediate_size_mlp", "ffn_hidden_size", "intermediate_size", "ffn_dim", "n_inner"),
    "expert_inner": ("moe_intermediate_size", "moe_ffn_hidden_size", "intermediate_size", "ffn_hidden_size"),
    "experts": ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts"),
    "per_token": ("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_top_k", "moe_topk"),
}
_KINDS = {
    "full_attention": "full",
    "attention": "full",
    "global": "full",
    "sliding_attention": "window",
    "chunked_attention": "window",
    "local": "window",
    "linear_attention": "linear",
    "mamba": "linear",
    "mamba2": "linear",
    "recurrent": "linear",
    "moe": "other",
    "mlp": "other",
}
_PATTERN = {"M": "linear", "*": "full", "-": "other", "E": "other"}
_ENCODERS = ("bert", "roberta", "mpnet", "deberta", "clip", "vit", "whisper", "t5", "bart", "xlm-roberta")


class _Family(NamedTuple):
    """What a family's configurations leave unsaid.

    ``gates`` in the feed-forward; ``tied`` input and output embeddings; ``wide``: the feed-forward
    over the hidden width; ``positions`` learned beyond the context (None: none are); the ``context``
    itself [tokens]; ``biases`` on the matrices of attention and of the feed-forward: True, False or
    the key that says so, with ``not`` before one that says the contrary.
    """

    gates: bool = True
    tied: bool = False
    wide: int = 0
    positions: int | None = None
    context: int = 131072
    attention_bias: bool | str = False
    bias: bool | str = False


# Sources: modeling files of Hugging Face transformers 4.5x (config defaults and parameters of each)
_OLD = _Family(gates=False, wide=4, attention_bias=True, bias=True)
_FALCON = _OLD._replace(tied=True, context=2048, attention_bias="bias", bias="bias")
_TWO = _OLD._replace(wide=0)
_FAMILIES = {
    "gpt2": _OLD._replace(tied=True, positions=0),
    "gpt_bigcode": _OLD._replace(tied=True, positions=0),
    "gpt_neo": _OLD._replace(tied=True, positions=0, attention_bias=False),
    "gptj": _OLD._replace(attention_bias=False),
    "codegen": _OLD._replace(attention_bias=False),
    "gpt_neox": _OLD,
    "opt": _OLD._replace(tied=True, positions=2, attention_bias="enable_bias", bias="enable_bias"),
    "bloom": _OLD._replace(tied=True),
    "mpt": _OLD._replace(tied=True, attention_bias="not no_bias", bias="not no_bias"),
    "falcon": _FALCON,
    "refinedweb": _FALCON,
    "refinedwebmodel": _FALCON,
    "phi": _TWO,
    "starcoder2": _TWO._replace(tied=True, attention_bias="use_bias", bias="use_bias"),
    "nemotron": _Family(gates=False),
}
_MULTI_QUERY = ("falcon", "refinedweb", "refinedwebmodel", "gpt_bigcode")
_TIED = ("gemma", "gemma2", "gemma3", "gemma3_text", "gemma4", "cohere", "cohere2")
_FAMILIES |= dict.fromkeys(_TIED, _Family(tied=True))


def described(weights: Config | Path, name: str) -> Architecture:
    """The architecture that a scenario describes: the path or the content of a ``config.json``, or
    numbers under the names of :class:`Architecture`.

    ``name``: what to call it where the description has none. Raises :class:`PlannerError` with the
    key that is missing or not understood, and what to write instead.
    """
    raw = _read(weights) if isinstance(weights, Path) else weights
    where = str(weights) if isinstance(weights, Path) else "latency.weights"
    try:
        numbers = "layers" in raw and "hidden" in raw
        return _from_numbers(raw, name, where) if numbers else _from_config(raw, name, where)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise PlannerError(
            "the description of this model cannot be read",
            where=where,
            got=str(error),
            remedy="Give the config.json as it was published, or numbers (layers, hidden, heads …)",
        ) from None


def _read(path: Path) -> Config:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlannerError(
            "this config.json cannot be read", where=str(path), got=str(error), remedy="Download the file again"
        ) from None
    if not isinstance(found, dict):
        raise PlannerError(
            "this is no config.json", where=str(path), got=type(found).__name__, remedy="Give the model's config.json"
        )
    return found


def _from_numbers(raw: Config, name: str, where: str) -> Architecture:
    """Numbers under the names of the fields; what a dense model has none of is 0."""
    known = {f.name for f in fields(Architecture)} - {"aliases", "checkpoints"}
    if unknown := sorted(set(raw) - set(known)):
        raise PlannerError(
            "not a number of a model", where=where, got=", ".join(unknown), remedy="Known: " + ", ".join(sorted(known))
        )
    layers, hidden = int(raw["layers"]), int(raw["hidden"])
    heads = int(raw.get("heads") or 0)
    beside = int(raw.get("window_layers") or 0) + int(raw.get("idle_layers") or 0)
    given = {
        "weights": name,
        "kv_heads": heads,
        "head_dim": hidden // heads if heads else 0,
        "tied_embeddings": False,
        "params_active": raw.get("params_total"),
        "experts": 0,
        "experts_per_token": 0,
        "expert_param_share": 0.0,
        "mla_kv_dim": 0,
        "full_attention_layers": layers - beside,
        "window_layers": 0,
        "window_tokens": 0,
        "native_precision": "bf16",
        "max_context_tokens": 131072,
        **{k: v for k, v in raw.items() if v is not None and k != "weights"},
    }
    missing = [k for k in ("heads", "vocabulary", "params_total") if given.get(k) is None]
    if missing:
        raise PlannerError(
            "numbers of the model are missing", where=where, got=", ".join(missing), remedy="Give " + ", ".join(missing)
        )
    for field in fields(Architecture):
        if field.name in given and field.type in (int, float):
            given[field.name] = (int if field.type is int else float)(given[field.name])
    return _checked(Architecture(**given), where)


_ABOVE_0 = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocabulary", "max_context_tokens")
_FROM_0: tuple[str, ...] = ("experts", "experts_per_token", "expert_param_share", "mla_kv_dim", "state_values")
_FROM_0 += ("full_attention_layers", "window_layers", "window_tokens", "idle_layers")
_LEAST = dict.fromkeys(_ABOVE_0, 1) | dict.fromkeys(_FROM_0, 0)


def _checked(model: Architecture, where: str) -> Architecture:
    """The model, unless a number of it cannot be, or contradicts another."""
    layers = model.full_attention_layers + model.window_layers + model.idle_layers
    total, windowed = model.params_total, model.window_layers > 0
    precisions, experts = ", ".join(WEIGHT_BITS), model.experts
    fewer = f"{layers} or more, as {layers} keep something, more than the {model.layers} layers"
    faults = [
        *((not getattr(model, name) >= least, name, f"{least} or more") for name, least in _LEAST.items()),
        (model.kv_heads > model.heads, "kv_heads", f"at most the {model.heads} heads"),
        (model.expert_param_share > 1, "expert_param_share", "at most 1"),
        (layers > model.layers, "layers", fewer),
        (windowed and model.window_tokens < 1, "window_tokens", "1 or more beside window_layers"),
        (model.experts_per_token > experts, "experts_per_token", f"at most the {experts} experts"),
        (not 0 < total < math.inf, "params_total", "above 0"),
        (not 0 < model.params_active <= total, "params_active", f"above 0, at most {total:g}"),
        (model.native_precision not in WEIGHT_BITS, "native_precision", f"one of {precisions}"),
    ]
    for wrong, name, allowed in faults:
        if wrong:
            raise PlannerError(
                "a number of this model cannot be right",
                where=where,
                got=f"{name}: {getattr(model, name)}",
                remedy=f"Give {name} {allowed}",
            )
    return model


class _Shape(NamedTuple):
    """What the parts of a model are counted from."""

    config: Config
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    kind: str

    @property
    def family(self) -> _Family:
        """What its family leaves unsaid."""
        return _FAMILIES.get(self.kind, _Family())

    def biased(self, said: bool | str) -> bool:
        """Whether the configuration, or its family, puts biases there."""
        if isinstance(said, bool):
            return said
        key = said.removeprefix("not ")
        return bool(self.config.get(key, key in ("enable_bias", "use_bias"))) != (key != said)


def _from_config(raw: Config, name: str, where: str) -> Architecture:
    """One published configuration as an architecture."""
    c = _flat(raw)
    kind = str(c.get("model_type", "")).casefold()
    if kind.startswith(_ENCODERS) or not any(c.get(k) for k in _NAMES["hidden"]):
        raise PlannerError(
            "not a language model that writes tokens",
            where=where,
            got=kind or "no model_type",
            remedy="Serve encoders with latency.model: accelerated; for a language model give its config.json",
        )
    if c.get("global_head_dim") not in (None, c.get("head_dim")):
        raise PlannerError(
            "its full-attention layers have heads of another size than the others",
            where=where,
            got=f"global_head_dim {c['global_head_dim']}",
            remedy="Give latency.weights as numbers, with head_dim and kv_heads of the full-attention layers",
        )
    shape, layers = _shape(c, kind, where), _number(c, "layers", where)
    kinds = _layers(c, kind, layers)
    sparse = _sparse(c, layers, kinds)
    experts = _number(c, "experts", where, 0)
    per_token = _number(c, "per_token", where) if experts else 0
    routed = (
        len(sparse) * experts * _matrices(shape) * shape.hidden * _number(c, "expert_inner", where) if sparse else 0
    )
    vocabulary = _number(c, "vocabulary", where)
    tied = bool(c.get("tie_word_embeddings", shape.family.tied))
    language = routed + _others(shape, kinds, sparse, experts, where)
    language += _embedded(shape, vocabulary, tied, where)
    window = [k for k in kinds if k == "window"]
    return _checked(
        Architecture(
            weights=name,
            layers=layers,
            hidden=shape.hidden,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            vocabulary=vocabulary,
            tied_embeddings=tied,
            params_total=float(language + _seeing(raw)),
            params_active=float(language - routed * (1 - per_token / experts) if experts else language),
            experts=experts if sparse else 0,
            experts_per_token=per_token if sparse else 0,
            expert_param_share=routed / (language + _seeing(raw)),
            mla_kv_dim=int(c["kv_lora_rank"] + c["qk_rope_head_dim"]) if c.get("kv_lora_rank") else 0,
            full_attention_layers=kinds.count("full"),
            window_layers=len(window),
            window_tokens=_window(c) if window else 0,
            native_precision=_precision(raw, c),
            max_context_tokens=_number(c, "context", where, shape.family.context),
            idle_layers=kinds.count("other"),
            state_values=_state(shape) if "linear" in kinds else 0.0,
        ),
        where,
    )


def _flat(raw: Config) -> Config:
    """The language part of a configuration, over what is said beside it."""
    inner: Config = next((raw[n] for n in _NESTED if isinstance(raw.get(n), Mapping)), {})
    if isinstance(inner.get("text_config"), Mapping):
        inner = {**inner, **inner["text_config"]}
    out = {**raw, **{k: v for k, v in inner.items() if v is not None}}
    for part in ("attn_config", "ffn_config"):
        out |= (
            {k: v for k, v in out.get(part, {}).items() if k not in out} if isinstance(out.get(part), Mapping) else {}
        )
    return out


def _number(c: Config, what: str, where: str, default: int | None = None) -> int:
    for key in _NAMES[what]:
        value: Any = c.get(key)
        if isinstance(value, list) and value:
            value = max(value)
        if value is not None:
            return int(value)
    if default is None:
        raise PlannerError(
            "a key is missing from this configuration",
            where=where,
            got=" or ".join(_NAMES[what]),
            remedy="Give the config.json as it was published, or the numbers themselves",
        )
    return default


def _shape(c: Config, kind: str, where: str) -> _Shape:
    hidden, heads = _number(c, "hidden", where), _number(c, "heads", where)
    one = kind in _MULTI_QUERY and c.get("multi_query", True)
    one = one and not (c.get("new_decoder_architecture") or c.get("n_head_kv"))
    kv = 1 if one else _number(c, "kv_heads", where, heads)
    # where the heads are compressed together, their own dimension is that of the values
    names = ("v_head_dim",) if c.get("kv_lora_rank") else ("head_dim", "kv_channels")
    own: Any = next((c[n] for n in names if c.get(n)), hidden // heads)
    return _Shape(c, hidden, heads, kv, int(own), kind)


def _layers(c: Config, kind: str, layers: int) -> list[str]:
    """What each layer keeps of a sequence."""
    found = _listed(c, layers) or _periodic(c, kind, layers)
    shared = int(c.get("num_kv_shared_layers") or 0)
    return found[: layers - shared] + ["other"] * shared


def _listed(c: Config, layers: int) -> list[str]:
    """Layers that a configuration lists one by one; empty where it does not."""
    if pattern := c.get("hybrid_override_pattern"):
        return [_PATTERN.get(letter, "other") for letter in pattern][:layers]
    for key in ("layer_types", "layers_block_type", "block_types", "attention_layers"):
        if listed := c.get(key):
            return [_KINDS.get(str(k), "full") for k in listed][:layers]
    if isinstance(lists := c.get("linear_attn_config"), Mapping):
        full = set(lists.get("full_attn_layers", []))
        return ["full" if i + 1 in full else "linear" for i in range(layers)]
    if isinstance(listed := c.get("hybrid_layer_pattern"), Sequence):
        return ["window" if k else "full" for k in listed][:layers]
    if isinstance(listed := c.get("attn_type_list"), Sequence):
        return ["full" if k else "linear" for k in listed][:layers]
    if (
        isinstance(listed := c.get("no_rope_layers"), Sequence)
        and len(listed) == layers
        and c.get("attention_chunk_size")
    ):
        return ["window" if rope else "full" for rope in listed]
    return []


def _periodic(c: Config, kind: str, layers: int) -> list[str]:
    """Layers by the period that a configuration or its family names."""
    if every := c.get("full_attention_interval"):
        return ["linear" if (i + 1) % every else "full" for i in range(layers)]
    if every := c.get("attn_layer_period"):
        return ["full" if i % every == c.get("attn_layer_offset", 0) else "linear" for i in range(layers)]
    if c.get("attention_chunk_size"):
        every = c.get("no_rope_layer_interval", 4)
        return ["window" if (i + 1) % every else "full" for i in range(layers)]
    if not _window(c) or c.get("use_sliding_window") is False:
        return ["full"] * layers
    every = c.get("sliding_window_pattern") or {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}.get(kind)
    if every and not isinstance(every, str):
        return ["window" if (i + 1) % every else "full" for i in range(layers)]
    first = int(c.get("max_window_layers", 0)) if kind.startswith("qwen") else 0
    return ["full" if i < first else "window" for i in range(layers)]


def _window(c: Config) -> int:
    listed = c.get("window_size") if c.get("attention_layers") else 0
    said = (c.get(key) for key in ("attention_chunk_size", "sliding_window", "sliding_window_size"))
    return int(next(filter(None, said), listed) or 0)


def _sparse(c: Config, layers: int, kinds: list[str]) -> list[int]:
    """Layers whose feed-forward is a mixture of experts."""
    if not any(c.get(k) for k in _NAMES["experts"]):
        return []
    if pattern := c.get("hybrid_override_pattern"):
        return [i for i, letter in enumerate(pattern[:layers]) if letter == "E"]
    if isinstance(listed := c.get("moe_layers"), Sequence) and not isinstance(listed, str) and listed:
        return [int(i) for i in listed]
    first, dense = int(c.get("first_k_dense_replace") or 0), set(c.get("mlp_only_layers") or [])
    step = int(c.get("interleave_moe_layer_step") or c.get("decoder_sparse_step") or c.get("expert_layer_period") or 1)
    offset = int(c.get("expert_layer_offset", step - 1))
    frequency = c.get("moe_layer_freq", 1)
    at = frequency if isinstance(frequency, list) else [int(i % int(frequency) == 0) for i in range(layers)]
    return [i for i in range(len(kinds)) if i >= first and i not in dense and i % step == offset % step and at[i]]


def _matrices(shape: _Shape) -> int:
    """Matrices of a feed-forward block: two where nothing gates."""
    return 2 if not shape.family.gates or shape.config.get("mlp_hidden_act") == "relu2" else 3


def _inner(shape: _Shape, where: str) -> int:
    """Width of the feed-forward that is no mixture: as said, else as wide as its family's."""
    wide = shape.config.get("expansion_ratio") or shape.family.wide
    return _number(shape.config, "inner", where, int(wide * shape.hidden) or None)


def _embedded(shape: _Shape, vocabulary: int, tied: bool, where: str) -> int:
    """Parameters of the embeddings: of tokens, once where input and output share them, and of
    positions that are learned; through a narrower space where the configuration names one.
    """
    c, narrow = shape.config, int(shape.config.get("word_embed_proj_dim") or shape.hidden)
    words = vocabulary * narrow * (1 if tied else 2)
    words += 2 * narrow * shape.hidden if narrow != shape.hidden else 0
    beyond = shape.family.positions
    if beyond is None:
        return words
    return words + (_number(c, "context", where) + beyond) * shape.hidden


def _others(shape: _Shape, kinds: list[str], sparse: list[int], experts: int, where: str) -> int:
    """Parameters beside embeddings and routed experts: attention, states, dense and shared
    feed-forward, routers.
    """
    c, h = shape.config, shape.hidden
    pattern = c.get("hybrid_override_pattern")
    attends = [k for k in kinds if k != "other"] if pattern else ["full" if k == "other" else k for k in kinds]
    total = sum(_linear(shape) if k == "linear" else _attention(shape) for k in attends)
    dense = pattern.count("-") if pattern else len(kinds) - len(sparse)
    if dense:
        inner = _inner(shape, where)
        biases = (_matrices(shape) - 1) * inner + h if shape.biased(shape.family.bias) else 0
        total += dense * (_matrices(shape) * h * inner + biases)
    if not sparse:
        return total
    return total + len(sparse) * (experts * h + _matrices(shape) * h * _shared_inner(c, where))


def _shared_inner(c: Config, where: str) -> int:
    """Width of the feed-forward that every token passes beside its routed experts."""
    for key in (
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "share_expert_dim",
        "shared_intermediate_size",
    ):
        if c.get(key):
            return int(c[key])
    if str(c.get("model_type", "")).startswith("llama4"):
        return _number(c, "expert_inner", where)
    return int(c.get("n_shared_experts") or c.get("num_shared_experts") or 0) * _number(c, "expert_inner", where)


def _attention(shape: _Shape) -> int:
    """Parameters of one layer of attention: grouped heads, or one compressed latent (MLA)."""
    c, h, heads = shape.config, shape.hidden, shape.heads
    if not c.get("kv_lora_rank"):
        gate = 2 if c.get("attn_output_gate") or shape.kind.startswith(("qwen3_next", "qwen3_5")) else 1
        asked = shape.head_dim * (heads + 2 * shape.kv_heads)
        biases = asked + h if shape.biased(shape.family.attention_bias) else 0
        return h * shape.head_dim * ((1 + gate) * heads + 2 * shape.kv_heads) + biases
    rank, rope, nope, value = (
        int(c[k]) for k in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    )
    query = int(c.get("q_lora_rank") or 0)
    asked = h * query + query * heads * (nope + rope) if query else h * heads * (nope + rope)
    return asked + h * (rank + rope) + rank * heads * (nope + value) + heads * value * h


def _linear(shape: _Shape) -> int:
    """Parameters of one layer of linear attention or of a state space."""
    c, h = shape.config, shape.hidden
    if "linear_num_value_heads" in c:
        key = int(c["linear_num_key_heads"]) * int(c["linear_key_head_dim"])
        value = int(c["linear_num_value_heads"]) * int(c["linear_value_head_dim"])
        return h * (2 * key + 2 * value + 2 * int(c["linear_num_value_heads"])) + value * h
    if isinstance(lists := c.get("linear_attn_config"), Mapping):
        wide = int(lists["num_heads"]) * int(lists["head_dim"])
        return 4 * h * wide + 2 * int(lists["head_dim"]) * (h + wide)
    inner, heads = _inner_state(shape)
    groups = int(c.get("n_groups") or c.get("mamba_n_groups") or 1) * _state_size(c)
    return h * (2 * inner + 2 * groups + heads) + inner * h


def _inner_state(shape: _Shape) -> tuple[int, int]:
    """Width and heads of a state-space layer."""
    c = shape.config
    heads = int(c.get("mamba_num_heads") or c.get("mamba_n_heads") or 0)
    size = (
        int(c.get("mamba_head_dim") or c.get("mamba_d_head") or 0) if isinstance(c.get("mamba_d_head", 0), int) else 0
    )
    wide = heads * size or int(float(c.get("mamba_expand") or c.get("expand") or 2) * shape.hidden)
    return wide, heads


def _state_size(c: Config) -> int:
    return int(c.get("ssm_state_size") or c.get("mamba_d_state") or c.get("state_size") or 128)


def _state(shape: _Shape) -> float:
    """Numbers that one linear layer keeps of a sequence."""
    c = shape.config
    if "linear_num_value_heads" in c:
        return float(c["linear_num_value_heads"]) * float(c["linear_key_head_dim"]) * float(c["linear_value_head_dim"])
    if isinstance(lists := c.get("linear_attn_config"), Mapping):
        return float(lists["num_heads"]) * float(lists["head_dim"]) ** 2
    return float(_inner_state(shape)[0]) * _state_size(c)


def _seeing(raw: Config) -> int:
    """Parameters of a vision tower: attention and a feed-forward of two matrices a layer."""
    v = raw.get("vision_config")
    if not isinstance(v, Mapping):
        return 0
    width = v.get("vt_hidden_size") or v.get("hidden_size") or v.get("embed_dim")
    depth = v.get("vt_num_hidden_layers") or v.get("depth") or v.get("num_hidden_layers") or v.get("layers")
    if not isinstance(width, int) or not isinstance(depth, int):
        return 0
    inner = v.get("vt_intermediate_size") or v.get("intermediate_size") or 4 * width
    return depth * (4 * width * width + 2 * width * int(inner))


def _precision(raw: Config, c: Config) -> str:
    """The precision that the weights were published in."""
    q = raw.get("quantization_config") or c.get("quantization_config") or {}
    method = str(q.get("quant_method", "")).casefold()
    algorithm = str(q.get("quant_algo") or q.get("format") or "").casefold()
    if "fp4" in algorithm and method != "mxfp4":
        return "fp4"
    if method in ("mxfp4", "fp8", "fbgemm_fp8") or "fp8" in algorithm or "float" in algorithm:
        return "mxfp4" if method == "mxfp4" else "fp8"
    bits = q.get("bits") or q.get("w_bit") or _group_bits(q)
    if bits:
        return "int4" if int(bits) <= 4 else "int8"
    kept = str(c.get("torch_dtype") or c.get("dtype") or "").removeprefix("torch.")
    return "fp16" if kept == "float16" else "bf16"


def _group_bits(q: Config) -> int:
    """Bits of the weights in the groups of a compressed-tensors checkpoint; 0 where none are."""
    groups = q.get("config_groups") or {}
    found = [g.get("weights", {}).get("num_bits") for g in groups.values() if isinstance(g, Mapping)]
    return min((int(b) for b in found if b), default=0)
