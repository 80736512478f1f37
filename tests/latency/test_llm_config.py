"""Models that no table holds: read from their published configuration, or given as numbers."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.capacity.assumed import artifact_gib
from planner.capacity.needs import needs_frame
from planner.catalog import Catalog
from planner.errors import PlannerError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.hardware import GIB, accelerators
from planner.latency.llm.architecture import architecture, architectures, memory, server_of
from planner.latency.llm.config import described
from planner.latency.llm.constants import stacks
from planner.latency.llm.service import LlmService
from planner.latency.llm.steps import Layout
from planner.scenario import Objective
from planner.tokens import TokenMix
from tests.builders import hand
from tests.builders.llm_configs import CONFIGS
from tests.builders.old_configs import OLD

ALL = CONFIGS | {name: raw for name, (_, raw) in OLD.items()}
CHAT = Arrivals(1.0, TokenMix.of(1500.0, 250.0))
DENSE = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "vocabulary": 128256, "params_total": 8.03e9}


def machine(accelerator: str, count: int) -> Machine:
    chip = {"accelerator": accelerator, "accelerators": count}
    visible = accelerators()[accelerator].memory_gib
    return Machine("aws", "us-east-1", "t", "t", "x86_64", 96, 1152, **chip, accelerator_memory_gib=visible)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_published_configuration_plans(name):
    """Ten kinds: grouped heads, compressed latent, experts, windows, chunks, linear attention, state spaces."""
    service = LlmService.model_validate({"weights": CONFIGS[name]})
    found = service.deployments(machine("H200-SXM-141GB", 8), CHAT)
    assert not isinstance(found, Excuse), found
    assert found[-1].model.goodput_rps(Objective(tpot_p95_s=0.2)).arrival_rate_rps > 0


@pytest.mark.parametrize("name", sorted(set(CONFIGS) & set(architectures())))
def test_what_is_counted_agrees_with_the_table(name):
    found, known = described(CONFIGS[name], name), architecture(name)
    assert found.params_total == pytest.approx(known.params_total, rel=0.01)
    # tables round what a token passes, and count the output embedding or not
    assert found.params_active == pytest.approx(known.params_active, rel=0.35)
    assert found.expert_param_share == pytest.approx(known.expert_param_share, abs=0.011)
    same = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocabulary", "tied_embeddings", "experts")
    same += (
        "mla_kv_dim",
        "full_attention_layers",
        "window_layers",
        "window_tokens",
        "linear_layers",
        "native_precision",
    )
    assert {f: getattr(found, f) for f in same} == {f: getattr(known, f) for f in same}
    assert found.state_bytes == known.state_bytes


@pytest.mark.parametrize("name", OLD)
def test_dense_models_of_older_layouts_are_read_from_what_they_publish(name):
    """Norms alone are not counted: 0.03 % of the smallest."""
    published, raw = OLD[name]
    found = described(raw, name)
    assert found.params_total == pytest.approx(published, rel=5e-4)
    assert found.params_active == found.params_total
    assert found.full_attention_layers + found.window_layers == found.layers
    service = LlmService.model_validate({"weights": raw, "max_model_len": 1024})
    assert not isinstance(
        service.deployments(machine("H200-SXM-141GB", 8), Arrivals(1.0, TokenMix.of(500, 100))), Excuse
    )


@pytest.mark.parametrize(
    ("name", "kv_heads", "context", "tied"),
    [
        ("starcoder", 1, 8192, True),
        ("falcon-7b", 1, 2048, True),
        ("falcon-40b as first released", 8, 2048, True),
        ("falcon-rw-1b", 32, 2048, True),
        ("gpt-j-6b", 16, 2048, False),
        ("mpt-7b", 32, 2048, True),
        ("bloom-7b1", 32, 2048, True),
    ],
)
def test_what_older_layouts_keep_of_a_token(name, kv_heads, context, tied):
    found = described(OLD[name][1], name)
    assert (found.kv_heads, found.max_context_tokens, found.tied_embeddings) == (kv_heads, context, tied)


def test_layers_that_keep_nothing_hold_no_state():
    """52 blocks: 23 state spaces of 64 heads · 64 · 128, 6 of attention, 23 of experts only (31.6 B parameters,
    3.6 B a token, as published).
    """
    found = described(CONFIGS["nemotron-3-nano-30b-a3b"], "nemotron")
    assert (found.full_attention_layers, found.linear_layers, found.idle_layers) == (6, 23, 23)
    assert found.state_bytes == 23 * 64 * 64 * 128 * 4
    assert float(found.kv_bytes(1, "bf16")) == 6144
    assert found.params_total == pytest.approx(31.58e9, rel=1e-3)
    assert found.params_active == pytest.approx(3.58e9, rel=1e-3)


def test_a_file_beside_the_scenario_is_read_wherever_the_program_runs(tmp_path):
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS["llama-3.1-8b"]))
    found = LlmService.model_validate({"weights": "my-model/config.json"}, context={"folder": tmp_path})
    assert found.architecture.weights == "my-model"
    assert found.architecture.params_total == pytest.approx(8.03e9, rel=1e-3)
    assert LlmService.artifact_gib({"weights": "my-model/config.json"}, tmp_path) == pytest.approx(14.96, abs=0.01)
    with pytest.raises(ValidationError, match="no file beside the scenario"):
        LlmService.model_validate({"weights": "other/config.json"}, context={"folder": tmp_path})
    (folder / "config.json").write_text("{")
    with pytest.raises(ValidationError, match="cannot be read"):
        LlmService.model_validate({"weights": "my-model/config.json"}, context={"folder": tmp_path})


def test_a_described_model_is_on_the_bill_by_its_bytes():
    latency = {"model": "llm", "weights": CONFIGS["llama-3.1-8b"]}
    service = hand.scenario(**{"services.web.latency": latency, "services.web.objective": {"tpot_p95_s": 0.1}})
    assert artifact_gib(service.services["web"], None)[0] == pytest.approx(14.96, abs=0.01)


def test_a_scenario_that_moves_finds_the_files_beside_it(tmp_path):
    """As one unpacked from a store does: the bill reads the model where the scenario lies now."""
    latency = {"model": "llm", "weights": "my-model/config.json"}
    service = {"services.web.latency": latency, "services.web.objective": {"tpot_p95_s": 0.1}}
    moved = hand.scenario(**service).model_copy(update={"folder": tmp_path})
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text(json.dumps(CONFIGS["llama-3.1-8b"]))
    needs = needs_frame(moved, Catalog.read("aws", regions=["us-east-1"]))
    kept = needs.loc[needs["charge"] == "model_artifacts", "needs_quantity"]
    assert kept.tolist() == pytest.approx([2 * 14.96], abs=0.05)


def test_numbers_alone_describe_a_model():
    found = LlmService.model_validate({"weights": DENSE}).architecture
    known = architecture("llama-3.1-8b")
    assert found.weight_bytes("bf16") == pytest.approx(known.weight_bytes("bf16"))
    assert float(found.kv_bytes(1000, "bf16")) == float(known.kv_bytes(1000, "bf16"))
    sparse = DENSE | {"experts": 8, "experts_per_token": 2, "expert_param_share": 0.9, "params_active": 3e9}
    assert LlmService.model_validate({"weights": sparse}).architecture.expert_params == pytest.approx(7.227e9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_layers": 8}, "window_tokens"),
        ({"window_layers": 40, "window_tokens": 10, "full_attention_layers": 0}, "more than the 32 layers"),
        ({"params_active": 9e9}, "params_active"),
        ({"native_precision": "fp7"}, "native_precision"),
        ({"vocabulary": None}, "vocabulary"),
        ({"layerz": 3}, "layerz"),
        ({"experts": 2, "experts_per_token": 4}, "experts_per_token"),
        ({"hidden": "wide"}, "cannot be read"),
        ({"kv_heads": 0}, "kv_heads: 0.*Give kv_heads 1 or more"),
        ({"kv_heads": -8}, "kv_heads: -8.*Give kv_heads 1 or more"),
        ({"kv_heads": 64}, "kv_heads: 64.*at most the 32 heads"),
        ({"vocabulary": 0}, "vocabulary: 0.*Give vocabulary 1 or more"),
        ({"head_dim": -128}, "head_dim: -128.*1 or more"),
        ({"max_context_tokens": 0}, "max_context_tokens: 0.*1 or more"),
        ({"experts": -1}, "experts: -1.*0 or more"),
        ({"params_total": float("nan")}, "params_total: nan.*above 0"),
    ],
)
def test_numbers_that_are_wrong_are_refused_by_name(change, message):
    with pytest.raises(ValidationError, match=message):
        LlmService.model_validate({"weights": DENSE | change})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12}, "not a language model"),
        ({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}, "num_attention_heads"),
        ({"model_type": "gemma4", "hidden_size": 8, "head_dim": 256, "global_head_dim": 512}, "global_head_dim"),
        ({}, "not a language model"),
    ],
)
def test_a_configuration_that_cannot_be_counted_is_refused(raw, message):
    with pytest.raises(PlannerError) as caught:
        described(raw, "x")
    assert message in f"{caught.value.what} {caught.value.got}"
    assert caught.value.remedy


@given(st.sampled_from(sorted(ALL)), st.integers(0, 30), st.sampled_from([None, "x", [], {}, -1]))
def test_a_damaged_configuration_is_read_or_refused_by_name(name, place, value):
    raw = dict(ALL[name])
    key = sorted(raw)[place % len(raw)]
    try:
        layers = described(raw | {key: value}, name).layers
    except PlannerError as error:
        layers = len(error.remedy)
    assert layers > 0


@pytest.mark.parametrize(
    ("quantization", "precision"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fbgemm_fp8"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "fp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4}}}}, "int4"),
    ],
)
def test_the_precision_of_a_release_is_read(quantization, precision):
    raw = CONFIGS["llama-3.1-8b"] | {"quantization_config": quantization}
    assert described(raw, "x").native_precision == precision


def test_a_release_has_the_bytes_that_were_published():
    """The 405B FP8 release keeps attention and embeddings in 16 bit: 454 GiB, where 8 bits a parameter are 382."""
    assert sum(architecture("llama-3.1-405b").weight_bytes("fp8")) / GIB == pytest.approx(453.7, abs=0.1)
    lookup, shared, experts = architecture("deepseek-r1").weight_bytes("fp8")
    assert (lookup + shared + experts) / GIB == pytest.approx(641.2, abs=0.1)
    assert experts / GIB == pytest.approx(609.3, abs=0.5)
    stated = LlmService(weights="llama-3.1-405b", precision="fp8", weights_gib=382.0)
    assert sum(stated.architecture.weight_bytes("fp8")) / GIB == pytest.approx(382.0)
    assert LlmService.artifact_gib({"weights": "llama-3.1-405b", "weights_gib": 382.0}) == 382.0
    with pytest.raises(ValidationError, match="one precision"):
        LlmService(weights="llama-3.1-405b", precision=("fp8", "bf16"), weights_gib=382.0)


P5 = Machine("aws", "us-east-1", "p5.48xlarge", "p5", "x86_64", 192.0, 2048.0, 2.0, 1.0, "H100-SXM-80GB", 8.0, 80.0)
UPLOADED = CONFIGS["llama-3.1-405b"] | {"num_key_value_heads": 16}  # the FP8 release as it came first
LONG = Arrivals(1.0, TokenMix.of(120_000.0, 1_000.0))


def test_the_longest_context_is_refused_where_a_server_refused_it_and_the_ways_out_work():
    """Reported of eight H100: 57.75 GiB of weights each, room for 79,392 tokens, no context of 131,072."""
    one = {
        "weights": UPLOADED,
        "weights_gib": 461.59,
        "precision": "fp8",
        "tensor_parallel": 8,
        "max_model_len": 131072,
    }
    found = LlmService.model_validate(one)
    cache = found.room.budget("fp8", 79.6, Layout(8)).kv_cache_gib * GIB
    assert cache / float(found.architecture.sequence_bytes(1.0, "bf16", 8, 1)) == pytest.approx(79_392, rel=0.05)
    refused = found.deployments(P5, LONG)
    assert isinstance(refused, Excuse)
    assert "does not fit 8 × H100" in refused.reason
    ways = refused.gap.split("; ")[1:]
    assert len(ways) >= 2
    for way in ways:
        changes = {k: v if v[0].isalpha() else float(v) for k, v in re.findall(r"latency\.(\w+): (\w[\w.]*)", way)}
        changed = LlmService.model_validate(one | changes)
        assert not isinstance(changed.deployments(P5, LONG), Excuse), way


@pytest.mark.parametrize(("tokens", "at_once"), [(120_000.0, 1), (80_000.0, 2), (50_000.0, 3)])
def test_sequences_are_whole(tokens, at_once):
    """180,000 tokens fit beside today's release: a second sequence of 121,000 waits, it does not run by half."""
    service = LlmService(weights="llama-3.1-405b", precision="fp8", tensor_parallel=8, max_model_len=131072)
    mix = TokenMix.of(tokens, 1_000.0)
    assert service.room.slots("fp8", 79.6, Layout(8), mix) == at_once


def test_engine_and_release_choose_what_a_server_keeps():
    assert (server_of("vllm", "0.16.2"), server_of("vllm", "v0.17.0")) == ("vllm-0.11", "vllm-0.17")
    one = {"max_sequences": 256, "utilization": 0.9}
    model = architecture("qwen3-0.6b")
    rooms = {
        e: memory(model, "bf16", 79.6, server=server_of(e), **one).kv_cache_gib for e in ("vllm", "sglang", "trtllm")
    }
    # a log of TensorRT-LLM for a 0.6B model on an H100: 68.69 GiB of cache, a share of what is free
    assert rooms["trtllm"] == pytest.approx(68.69, rel=0.02)
    assert rooms["sglang"] > rooms["vllm"]
    with pytest.raises(ValidationError, match="release"):
        LlmService(weights="llama-3.1-8b", release="0.3")
    with pytest.raises(ValidationError, match="release"):
        LlmService(weights="llama-3.1-8b", release="nightly")
    assert LlmService(weights="llama-3.1-8b", release=0.19).room.server == "vllm-0.17"


def test_attention_on_each_accelerator_shares_only_the_experts():
    plain = LlmService(weights="deepseek-r1", expert_parallel=True, data_parallel_attention=True)
    found = {d.label: d for d in plain.deployments(machine("H200-SXM-141GB", 8), CHAT)}
    apart, joined = found["fp8 tp1 dp8"].model, found["fp8 tp8"].model
    lookup, shared, experts = architecture("deepseek-r1").weight_bytes("fp8")
    assert apart.memory.weights_gib == pytest.approx((lookup + shared + experts / 8) / GIB)
    # the latent state is whole on each rank of tensor parallelism, and once on a rank of data parallelism
    assert apart.station.slots > 1.5 * joined.station.slots
    assert LlmService(weights="llama-3.1-8b", data_parallel_attention=True).deployments(machine("L4", 2), CHAT)


@pytest.mark.parametrize(
    ("accelerator", "count", "settings", "key"),
    [
        ("H100-SXM-80GB", 1, {"weights": "llama-3.1-70b"}, "precision"),
        ("H100-SXM-80GB", 8, {"weights": "llama-3.1-70b", "tensor_parallel": 1}, "tensor_parallel"),
        ("L4", 1, {"weights": "llama-3.1-8b", "max_sequences": 4096}, "max_sequences"),
        ("L4", 1, {"weights": "llama-3.1-8b", "max_model_len": 60000}, "max_model_len"),
        ("L4", 1, {"weights": "llama-3.1-8b", "memory_utilization": 0.7}, "memory_utilization"),
        ("H100-SXM-80GB", 8, {"weights": "deepseek-r1"}, "max_instances_per_replica"),
        ("H100-SXM-80GB", 1, {"weights": "llama-3.1-70b", "weights_gib": 131.5}, "precision"),
        ("L4", 1, {"weights": "llama-3.1-8b", "engine": "trtllm", "memory_utilization": 0.03}, "memory_utilization"),
        ("L4", 1, {"weights": "llama-3.1-8b", "engine": "sglang", "memory_utilization": 0.66}, "memory_utilization"),
    ],
)
def test_every_remedy_of_a_refusal_for_memory_works(accelerator, count, settings, key):
    box = machine(accelerator, count)
    box = Machine(**{**vars(box), "network_gib_per_s": 100.0})
    excuse = LlmService.model_validate(settings).deployments(box, CHAT)
    assert isinstance(excuse, Excuse)
    assert "GiB missing" in excuse.gap
    remedies = [dict(re.findall(r"latency\.(\w+): ([\w.]+)", part)) for part in excuse.gap.split("; ")[1:]]
    assert all(remedies)
    assert key in {field for remedy in remedies for field in remedy}
    for remedy in remedies:
        mended = settings | {k: v if "precision" in k else json.loads(v) for k, v in remedy.items()}
        assert not isinstance(LlmService.model_validate(mended).deployments(box, CHAT), Excuse), remedy
        assert mended.get("max_model_len", 10**9) >= (CHAT.tokens.input_tokens + CHAT.tokens.output_tokens).max()


def test_no_remedy_refuses_the_requests_of_the_traffic():
    """A shorter context than the longest request is no way to serve it; machines are not joined over a
    network that nobody knows.
    """
    long = Arrivals(1.0, TokenMix.of(60000.0, 2000.0))
    excuse = LlmService.model_validate({"weights": "llama-3.1-8b"}).deployments(machine("L4", 1), long)
    assert isinstance(excuse, Excuse)
    assert "GiB missing" in excuse.gap
    assert "max_model_len" not in excuse.gap
    apart = LlmService.model_validate({"weights": "deepseek-r1"}).deployments(machine("H100-SXM-80GB", 8), CHAT)
    assert "GiB missing" in apart.gap
    assert "max_instances_per_replica" not in apart.gap


def test_a_stated_share_slows_a_server_and_default_flags_widen_its_band_around_what_they_reach():
    """At every rate in proportion: half the speed bears half the rate at twice the time a token."""
    box = machine("H100-SXM-80GB", 1)
    tuned, slow, plain = (
        LlmService.model_validate({"weights": "llama-3.1-8b"} | s)
        for s in ({}, {"stack": {"share": 0.5}}, {"stack": "default"})
    )
    one, half, wide = (s.deployments(box, CHAT)[0].model for s in (tuned, slow, plain))
    goal, twice = Objective(tpot_p95_s=0.03), Objective(tpot_p95_s=0.06)
    rate = one.goodput_rps(goal).arrival_rate_rps
    assert half.goodput_rps(twice).arrival_rate_rps == pytest.approx(rate / 2, rel=1e-3)
    untuned = stacks()["default"]
    longer = Objective(tpot_p95_s=0.03 / untuned.share)
    assert wide.goodput_rps(longer).arrival_rate_rps == pytest.approx(rate * untuned.share, rel=1e-3)
    assert 0.3 < untuned.share < 0.8
    assert wide.error_share > 3 * one.error_share
    assert f"{untuned.share:.2g}" in plain.remarks([])[0]
    assert "benchmark" in plain.remarks([])[0]
    assert not tuned.remarks([])
    with pytest.raises(ValidationError, match="stack"):
        LlmService.model_validate({"weights": "llama-3.1-8b", "stack": "fast"})
