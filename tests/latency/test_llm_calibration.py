"""Own load tests: every format gives the same points, wrong files are refused, and points sharpen
the model.
"""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from planner.errors import PlannerError
from planner.latency import Arrivals, Machine
from planner.latency.hardware import accelerator
from planner.latency.llm.architecture import architecture
from planner.latency.llm.bench import MODES, Runs, report
from planner.latency.llm.calibration import calibrate, error_after
from planner.latency.llm.constants import Condition, band, common, constants, effects, seen
from planner.latency.llm.records import BenchmarkPoint, read_llm_benchmark
from planner.latency.llm.service import LlmService
from planner.latency.llm.steps import Layout, Plant, decode_step, prefill_s
from planner.scenario import Objective
from tests.builders.written import GUIDE, LLMPERF, PROFILE, SERVING, STAGE, TRTLLM

POINT = BenchmarkPoint(16.0, math.nan, 1000.0, 200.0, 4.0, 0.012, 0.2)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SERVING),
        json.dumps([SERVING]),
        json.dumps(SERVING) + "\n",
        json.dumps(PROFILE | {"input_config": {"perf_analyzer": {"stimulus": {"concurrency": 16}}}}),
        json.dumps(PROFILE | {"input_config": {"loadgen": {"concurrency": 16}}}),
        json.dumps({"benchmarks": [GUIDE]}),
        json.dumps(LLMPERF),
        json.dumps(TRTLLM | {"max_concurrency": 16}),
        json.dumps({"stage_0": STAGE | {"load_summary": {"concurrency": 16}}}),
    ],
    ids=[
        "vllm",
        "vllm-list",
        "sglang-lines",
        "genai-perf",
        "aiperf",
        "guidellm",
        "llmperf",
        "trtllm-bench",
        "inf-perf",
    ],
)
def test_every_format_gives_the_same_point(tmp_path, text):
    file = tmp_path / "bench.json"
    file.write_text(text, encoding="utf-8")
    (point,) = read_llm_benchmark(file)
    assert point.mode == "closed_loop"
    assert np.allclose(
        [point.clients, point.input_tokens, point.output_tokens, point.throughput_rps, point.tpot_s, point.ttft_s],
        [16, 1000, 200, 4, 0.012, 0.2],
    )


def test_lines_give_many_points(tmp_path):
    file = tmp_path / "bench.jsonl"
    file.write_text("\n".join(json.dumps(SERVING | {"max_concurrency": c}) for c in (1, 8, 64)), encoding="utf-8")
    assert [p.clients for p in read_llm_benchmark(file)] == [1, 8, 64]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "cannot be read"),
        (b"not json", "not JSON"),
        (b"[]", "no points"),
        (b"[3]", "not an object"),
        (b"{}", "completed"),
        (json.dumps(SERVING | {"mean_tpot_ms": 0}).encode(), "tpot_s must be above 0"),
        (json.dumps({"benchmarks": [{"metrics": {}}]}).encode(), "prompt_token_count"),
    ],
)
def test_wrong_files_are_refused_with_name_and_remedy(tmp_path, content, message):
    file = tmp_path / "bench.json"
    file.write_bytes(content)
    with pytest.raises(PlannerError, match=message) as caught:
        read_llm_benchmark(file)
    assert "bench.json" in str(caught.value)


def deployment(tensor_parallel: int = 1):
    layout = Layout(tensor_parallel)
    condition = Condition(architecture("llama-3.1-8b"), accelerator("L40S"), "bf16", "vllm", layout)
    return Plant.of(condition.model, condition.chip, "bf16", "bf16", layout), constants(condition)


def runs_of(clients, mode="closed_loop", rate=0.0):
    n = len(clients)
    return Runs(
        np.full(n, mode),
        np.array(clients, float),
        np.full(n, rate),
        np.full(n, 800.0),
        np.full(n, 200.0),
        np.full(n, 128.0),
    )


def test_three_points_of_a_slower_server_recover_its_curve():
    plant, prior = deployment()
    truth = prior.scaled(weight_read=1.5, kv_read=0.7, prompt_math=1.4, step_s=3.0)
    clients = [1.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0]
    real = report(plant, truth, runs_of(clients))
    points = [
        BenchmarkPoint(clients[i], math.nan, 800.0, 200.0, real.throughput_rps[i], real.tpot_s[i], real.ttft_s[i])
        for i in (0, 3, 6)
    ]
    before = report(plant, prior, runs_of(clients))
    after = report(plant, calibrate(plant, prior, points, 128.0), runs_of(clients))
    rest = [1, 2, 4, 5]
    assert np.abs(before.tpot_s / real.tpot_s - 1)[rest].max() > 0.15
    assert np.abs(after.tpot_s / real.tpot_s - 1)[rest].max() < 0.04
    assert np.abs(after.throughput_rps / real.throughput_rps - 1)[rest].max() < 0.04


def test_no_points_keep_the_prior_and_more_points_shrink_the_band():
    plant, prior = deployment()
    same = calibrate(plant, prior, [BenchmarkPoint(8.0, math.nan, 800.0, 200.0, math.nan, math.nan, math.nan)], 128.0)
    assert same.weight_read == pytest.approx(prior.weight_read)
    assert error_after(0, 0.2) == 0.2 > error_after(1, 0.2) > error_after(3, 0.2)


def test_a_benchmark_in_the_scenario_moves_only_its_own_deployment(tmp_path):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(SERVING | {"mean_tpot_ms": 60.0, "request_throughput": 1.3}), encoding="utf-8")
    machine = Machine("aws", "us-east-1", "g6e.12xlarge", "g6e", "x86_64", 48, 384, accelerator="L40S", accelerators=4)
    own = {"file": str(file), "accelerator": "L40S", "precision": "bf16", "tensor_parallel": 1}
    plain = {d.label: d.model for d in LlmService(weights="llama-3.1-8b").deployments(machine, Arrivals())}
    sharp = {
        d.label: d.model for d in LlmService(weights="llama-3.1-8b", benchmark=own).deployments(machine, Arrivals())
    }
    goal = Objective(tpot_p95_s=0.1)
    assert (
        sharp["bf16 tp1"].goodput_rps(goal).arrival_rate_rps
        < 0.8 * plain["bf16 tp1"].goodput_rps(goal).arrival_rate_rps
    )
    assert sharp["bf16 tp2"].goodput_rps(goal) == plain["bf16 tp2"].goodput_rps(goal)
    assert sharp["bf16 tp1"].error_share <= plain["bf16 tp1"].error_share


def test_a_benchmark_is_looked_for_beside_the_scenario_and_read_at_once(tmp_path):
    own = {"file": "bench.json", "accelerator": "H100-SXM", "precision": "bf16"}
    with pytest.raises(ValidationError, match="beside the scenario"):
        LlmService.model_validate({"weights": "llama-3.1-8b", "benchmark": own}, context={"folder": tmp_path})
    (tmp_path / "bench.json").write_text(json.dumps(SERVING), encoding="utf-8")
    found = LlmService.model_validate({"weights": "llama-3.1-8b", "benchmark": own}, context={"folder": tmp_path})
    assert found.benchmark.accelerator == "H100-SXM-80GB"
    (tmp_path / "bench.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValidationError, match="lacks the number completed"):
        LlmService.model_validate({"weights": "llama-3.1-8b", "benchmark": own}, context={"folder": tmp_path})
    with pytest.raises(ValidationError, match="several boards"):
        LlmService(weights="llama-3.1-8b", benchmark=own | {"accelerator": "A100"})


@pytest.mark.parametrize("mode", MODES)
def test_reports_are_finite_and_worsen_with_load(mode):
    plant, c = deployment()
    clients, rate = [1.0, 4.0, 16.0, 64.0, 128.0], 0.5
    found = report(plant, c, runs_of(clients, mode, rate))
    for column in found:
        assert np.isfinite(column).all()
        assert (column > 0).all()
    if mode in ("closed_loop", "static_batch"):
        assert (np.diff(found.tpot_s) > 0).all()
        assert (np.diff(found.throughput_rps) > 0).all()


def test_closed_loop_obeys_littles_law():
    """Law 38: clients = throughput × (TTFT + (o−1)·TPOT)."""
    plant, c = deployment()
    runs = runs_of([2.0, 20.0, 90.0])
    found = report(plant, c, runs)
    assert np.allclose(found.throughput_rps * (found.ttft_s + 199.0 * found.tpot_s), runs.clients)


def test_steps_scale_as_their_physics_says():
    one, c = deployment()
    two, _ = deployment(2)
    bare = replace(c, **dict.fromkeys(("collective_s", "layer_s", "step_s", "sequence_s", "link_time"), 0.0))
    alone, pair = decode_step(one, 1000.0, bare).seconds(8.0), decode_step(two, 1000.0, bare).seconds(8.0)
    assert float(pair[0]) == pytest.approx(float(alone[0]) / 2, rel=1e-9)
    assert float(prefill_s(one, 500.0, c, 500.0)[0]) > float(prefill_s(one, 500.0, c)[0])
    # a long context costs what its keys and values take to read
    more = decode_step(one, 2000.0, c).seconds(4.0) - decode_step(one, 1000.0, c).seconds(4.0)
    assert float(more[0]) == pytest.approx(4 * 1000 * 131072 / (864e9) * c.kv_read, rel=1e-3)


def test_effects_are_shrunk_and_bands_widen_away_from_the_fit():
    assert set(common()) == set(
        constants(Condition(architecture("phi-4"), accelerator("T4"), "fp16", "vllm", Layout())).__dict__
    )
    sizes = [abs(e) for (term, _), part in effects().items() if term != "mode" for e in part.values()]
    assert np.median(sizes) < 0.1
    known = Condition(architecture("llama-3.1-70b"), accelerator("H100-SXM"), "fp8", "vllm", Layout(4))
    elsewhere = known._replace(chip=accelerator("L40S"))
    assert band(known).tpot < band(elsewhere).tpot
    unseen = {"model": {"chip": accelerator("T4")}, "accelerator": {"model": architecture("phi-4")}}
    unseen["none"] = unseen["model"] | unseen["accelerator"]
    assert seen(elsewhere) == "pair"
    for near, change in unseen.items():
        assert seen(known._replace(**change)) == near
        assert all(
            a > b
            for a, b in zip(vars(band(known._replace(**change))).values(), vars(band(elsewhere)).values(), strict=True)
        )


def written(tmp_path, *entries):
    file = tmp_path / "bench.jsonl"
    file.write_text("\n".join(json.dumps(e) for e in entries), encoding="utf-8")
    return file


COUNTED = {"num_prompts": 1000, "completed": 1000, "failed": 0}
FAILED = {
    "vllm": SERVING | {"num_prompts": 1000, "completed": 120, "failed": 880},
    "older": SERVING | {"num_prompts": 1000, "completed": 120},
    "aiperf": PROFILE
    | {"input_config": {"loadgen": {"concurrency": 16}}}
    | {"request_count": {"avg": 120}, "error_request_count": {"avg": 880}},
    "guidellm": {
        "benchmarks": [
            {**GUIDE, "metrics": {**GUIDE["metrics"], "request_totals": {"successful": 120, "errored": 880}}}
        ]
    },
}


@pytest.mark.parametrize("one", FAILED.values(), ids=FAILED)
def test_a_benchmark_whose_requests_failed_is_refused(tmp_path, one):
    with pytest.raises(PlannerError, match=r"more than 1% failed requests.*Run it again") as caught:
        read_llm_benchmark(written(tmp_path, one))
    assert "bench.jsonl" in str(caught.value)


def test_a_failed_point_among_good_ones_is_left_out(tmp_path):
    points = read_llm_benchmark(written(tmp_path, SERVING | {"max_concurrency": 4}, FAILED["vllm"]))
    assert [p.clients for p in points] == [4]


NESTED = {
    "results": {"config": {"client_args": {"max_concurrency": 16}}, "results": SERVING | {"max_concurrency": None}},
    "list": {"run": {"model": "x"}, "data": [{"metrics": SERVING}]},
    "records": {"records": [{"summary": PROFILE, "input_config": {"phases": [{"loadgen": {"concurrency": 16}}]}}]},
}


@pytest.mark.parametrize("one", NESTED.values(), ids=NESTED)
def test_points_nested_by_another_tool_are_found(tmp_path, one):
    (point,) = read_llm_benchmark(written(tmp_path, one))
    assert (point.clients, point.throughput_rps, point.tpot_s) == (16, 4.0, 0.012)


def guide(strategy, rate=4.0):
    metrics = {**GUIDE["metrics"], "requests_per_second": {"successful": {"mean": rate}}}
    return {"benchmarks": [{"config": {"strategy": strategy}, "metrics": metrics}]}


DRIVEN = {
    "trace": (SERVING | {"request_rate": "trace", "max_concurrency": None}, "open_rate", 4.0),
    "rate": (SERVING | {"request_rate": 4.1, "max_concurrency": None, "completed": 1000} | COUNTED, "open_rate", 4.1),
    "cap never reached": (SERVING | {"request_rate": 4.1, "max_concurrency": 200}, "open_rate", 4.1),
    "cap reached": (SERVING | {"request_rate": 9.0, "max_concurrency": 10}, "closed_loop", 10),
    "all at once": (SERVING | {"request_rate": "inf", "max_concurrency": None}, "offline_max", math.nan),
    "poisson": (guide({"type_": "poisson", "rate": 4.1}), "open_rate", 4.1),
    "throughput": (guide({"type_": "throughput"}), "offline_max", math.nan),
    "synchronous": (guide({"type_": "synchronous"}), "closed_loop", 1),
    "aiperf rate": (
        PROFILE | {"input_config": {"loadgen": {"request_rate": 4.1, "concurrency": None}}},
        "open_rate",
        4.1,
    ),
}


@pytest.mark.parametrize(("one", "mode", "load"), DRIVEN.values(), ids=DRIVEN)
def test_how_a_server_was_driven_is_found_by_littles_law(tmp_path, one, mode, load):
    (point,) = read_llm_benchmark(written(tmp_path, one))
    assert point.mode == mode
    assert {"open_rate": point.arrival_rate_rps, "closed_loop": point.clients}.get(mode, math.nan) == pytest.approx(
        load, nan_ok=True
    )


@pytest.mark.parametrize(
    "one",
    [
        SERVING | {"mean_tpot_ms": 0.012, "mean_ttft_ms": 0.2},
        PROFILE
        | {"input_config": {"loadgen": {"concurrency": 16}}}
        | {"time_to_first_token": {"unit": "s", "avg": 200.0}, "inter_token_latency": {"unit": "s", "avg": 12.0}},
        LLMPERF | {"results_ttft_s_mean": 200.0, "results_end_to_end_latency_s_mean": 2588.0},
    ],
    ids=["seconds as milliseconds", "milliseconds as seconds", "milliseconds under a name of seconds"],
)
def test_times_in_a_wrong_unit_contradict_the_clients_that_wait(tmp_path, one):
    with pytest.raises(PlannerError, match=r"contradict its 16 clients.*Little's law.*Check the units"):
        read_llm_benchmark(written(tmp_path, one))


def test_stages_of_inference_perf_are_open_at_the_rate_they_asked_for(tmp_path):
    (point,) = read_llm_benchmark(written(tmp_path, STAGE))
    assert (point.mode, point.arrival_rate_rps, point.throughput_rps) == ("open_rate", 4.1, 4.0)
    failed = STAGE | {"failures": {"count": 50}}
    with pytest.raises(PlannerError, match="more than 1% failed"):
        read_llm_benchmark(written(tmp_path, failed))
    with pytest.raises(PlannerError, match=r"does not say how.*Add max_concurrency"):
        read_llm_benchmark(written(tmp_path, TRTLLM))


def test_driving_that_is_not_told_and_a_server_that_fell_behind_are_refused(tmp_path):
    with pytest.raises(PlannerError, match=r"does not say how the server was driven.*max_concurrency"):
        read_llm_benchmark(written(tmp_path, SERVING | {"request_rate": None, "max_concurrency": None}))
    behind = SERVING | COUNTED | {"request_rate": 20.0, "max_concurrency": None}
    with pytest.raises(PlannerError, match="fell behind the stated rate"):
        read_llm_benchmark(written(tmp_path, behind))


@pytest.mark.parametrize("value", [-5, 0.2, 1e308, "many", [4], {"a": 1}, True, 10**400])
@pytest.mark.parametrize(
    "field",
    ["max_concurrency", "request_rate", "completed", "request_throughput", "mean_ttft_ms", "total_input_tokens"],
)
def test_every_field_of_a_benchmark_is_checked(tmp_path, field, value):
    one = SERVING | {field: value} | ({"max_concurrency": None} if field == "request_rate" else {})
    if (field, value) in (
        (f, 0.2) for f in ("request_rate", "request_throughput", "mean_ttft_ms", "total_input_tokens")
    ):
        return  # small, but possible
    if (field, value) == ("completed", 0.2):
        return
    with pytest.raises(PlannerError, match=r"bench\.jsonl"):
        read_llm_benchmark(written(tmp_path, one))
