"""One suite for every latency model: whatever is registered behaves like a queue."""

import math
import pickle
import re
from itertools import pairwise

import numpy as np
import pytest

from planner.errors import ScenarioError
from planner.latency import LATENCY_MODELS, Arrivals, Excuse, LatencyModel, Machine, ServiceModel
from planner.scenario import Objective
from planner.tokens import TokenMix
from tests.builders import ROOT

CPU = Machine("aws", "us-east-1", "m7i.4xlarge", "m7i", "x86_64", 16.0, 64.0, threads_per_core=2.0)
SMALL = Machine("aws", "us-east-1", "m7a.medium", "m7a", "x86_64", 1.0, 4.0, threads_per_core=1.0)
GPU = Machine(
    "aws",
    "us-east-1",
    "p5.48xlarge",
    "p5",
    "x86_64",
    192.0,
    2048.0,
    2.0,
    accelerator="H100-SXM-80GB",
    accelerators=8.0,
    accelerator_memory_gib=79.6,
)
ANY_LATENCY = {"latency_p50_s": 0.15, "latency_p95_s": 0.4, "latency_p99_s": 0.6}
ANY_TOKEN = {"ttft_p95_s": 1.0, "tpot_p95_s": 0.08}
POINTS = [
    {"arrival_rate_rps": r, "latency_p50_s": 0.02 * k, "latency_p95_s": 0.05 * k, "latency_p99_s": 0.09 * k}
    for r, k in ((10, 1.0), (40, 1.2), (80, 2.0), (100, 9.0))
]

CLOSED = [{**p, "concurrency": n} for n, p in zip((1, 4, 16, 64), POINTS, strict=True)]

# (model, its parameters, a machine it fits, an objective it can meet): at least one for each
# registered model
CASES = {
    "queue-mmc": ("queue", {"service_time_s": 0.05}, CPU, ANY_LATENCY),
    "queue-steady": ("queue", {"service_time_s": 0.05, "service_scv": 0.5}, CPU, ANY_LATENCY),
    "queue-constant": ("queue", {"service_time_s": 0.05, "service_scv": 0}, CPU, ANY_LATENCY),
    "queue-lumpy": ("queue", {"service_time_s": 0.02, "service_scv": 4, "balancer": "central"}, CPU, ANY_LATENCY),
    "measured": ("measured", {"machines": {"m7i.4xlarge": POINTS}}, CPU, ANY_LATENCY),
    "observed": (
        "observed",
        {
            "machine": "m7i.4xlarge",
            "machines": 2,
            "points": [{"arrival_rate_rps": 200, "cpu_utilization": 0.4, "latency_p50_s": 0.09, "latency_p99_s": 0.3}],
        },
        CPU,
        ANY_LATENCY,
    ),
    "measured-accelerator": ("measured", {"machines": {"H100-SXM-80GB": POINTS}}, GPU, ANY_LATENCY),
    "queue-turns": ("queue", {"service_time_s": 0.02, "service_scv": 2, "balancer": "round_robin"}, CPU, ANY_LATENCY),
    "queue-watched": ("queue", {"service_time_s": 0.02, "service_scv": 2, "balancer": "jsq"}, CPU, ANY_LATENCY),
    "queue-shared": ("queue", {"service_time_s": 0.02, "discipline": "ps"}, CPU, ANY_LATENCY),
    "queue-shared-watched": (
        "queue",
        {"service_time_s": 0.02, "service_scv": 4, "discipline": "ps", "balancer": "jsq2"},
        SMALL,
        ANY_LATENCY,
    ),
    "queue-small": ("queue", {"service_time_s": 0.05, "balancer": "jsq"}, SMALL, ANY_LATENCY),
    "queue-small-central": (
        "queue",
        {"service_time_s": 0.05, "service_scv": 0.5, "balancer": "central"},
        SMALL,
        ANY_LATENCY,
    ),
    "queue-heavy": ("queue", {"service_time_s": 0.01, "service_scv": 12}, CPU, ANY_LATENCY),
    "accelerated": ("accelerated", {"workload": "resnet50"}, GPU, ANY_LATENCY),
    "measured-closed": ("measured", {"machines": {"m7i.4xlarge": CLOSED}}, CPU, ANY_LATENCY),
    "batching": ("batching", {"machines": {"H100-SXM-80GB": {"setup_s": 0.02, "each_s": 0.004}}}, GPU, ANY_LATENCY),
    "llm": ("llm", {"weights": "llama-3.1-8b"}, GPU, ANY_TOKEN),
}


def members(protocol):
    return [name for name in vars(protocol) if not name.startswith("_")]


def built(name):
    """The first deployment's model, its objective and the bounds to look at."""
    kind, parameters, machine, bounds = CASES[name]
    arrivals = Arrivals(1.0, TokenMix.of(512.0, 128.0) if kind == "llm" else None)
    found = LATENCY_MODELS[kind](**parameters).deployments(machine, arrivals)
    assert not isinstance(found, Excuse)
    assert len(found)
    objective = Objective(**bounds)
    return found[0].model, objective, list(objective.bounds())


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return built(request.param)


def test_every_registered_model_is_here():
    assert {kind for kind, *_ in CASES.values()} == set(LATENCY_MODELS)


def test_latency_grows_with_the_rate(case):
    model, objective, bounds = case
    rates = np.linspace(0.02, 0.999, 40) * model.goodput_rps(objective).arrival_rate_rps
    for _, metric, quantile, _ in bounds:
        latency = model.latency_s(rates, 1, quantile, metric)
        assert latency.shape == rates.shape
        assert np.isfinite(latency).all()
        assert (latency > 0).all()
        assert (np.diff(latency) >= -1e-9 * latency[:-1]).all()


def test_latency_falls_with_replicas(case):
    model, objective, bounds = case
    rate = 0.9 * model.goodput_rps(objective).arrival_rate_rps
    for _, metric, quantile, _ in bounds:
        latency = [float(model.latency_s(rate, n, quantile, metric)) for n in (1, 2, 3, 4, 6, 8, 12, 40)]
        # tables of two pools differ by their grids
        assert all(b <= a * (1 + 1e-3) for a, b in pairwise(latency))


def test_percentiles_are_ordered(case):
    """Law 33."""
    model, objective, bounds = case
    rate = 0.8 * model.goodput_rps(objective).arrival_rate_rps
    for metric in {metric for _, metric, _, _ in bounds}:
        latency = [float(model.latency_s(rate, 1, q, metric)) for q in (0.5, 0.9, 0.95, 0.99)]
        assert latency == sorted(latency)


def test_beyond_saturation_there_is_no_number(case):
    """Law 40."""
    model, objective, bounds = case
    good = model.goodput_rps(objective)
    hopeless = 20 * good.arrival_rate_rps / max(good.utilization, 0.02)
    for _, metric, quantile, _ in bounds:
        assert math.isinf(float(model.latency_s(hopeless, 1, quantile, metric))) or metric == "tpot"
    assert any(math.isinf(float(model.latency_s(hopeless, 1, q, m))) for _, m, q, _ in bounds)


@pytest.mark.parametrize("replicas", [1, 3, 10])
def test_goodput_is_the_inverse_of_latency(case, replicas):
    """Every bound holds just below goodput; the binding one fails just above it."""
    model, objective, bounds = case
    good = model.goodput_rps(objective, replicas)
    assert good.arrival_rate_rps > 0
    for _, metric, quantile, limit_s in bounds:
        assert float(model.latency_s(good.arrival_rate_rps * 0.999, replicas, quantile, metric)) <= limit_s * (1 + 1e-6)
    over = [
        name
        for name, metric, quantile, limit_s in bounds
        if float(model.latency_s(good.arrival_rate_rps * 1.01, replicas, quantile, metric)) > limit_s * (1 - 1e-6)
    ]
    assert good.binding_objective in over or good.binding_objective not in {name for name, *_ in bounds}
    assert over


def test_goodput_grows_with_replicas_and_falls_with_tighter_bounds(case):
    """A larger pool bears no less a replica; it bears the same where the model says that replicas
    do not help each other.
    """
    model, objective, bounds = case
    sizes = (1, 2, 3, 4, 6, 8, 12, 40)
    each = [model.goodput_rps(objective, n).arrival_rate_rps / n for n in sizes]
    one = each[0]
    # tables of two pools differ by their grids
    assert all(b >= a * (1 - 1e-3) for a, b in pairwise(each))
    if not model.gains_by_pooling:
        assert each == pytest.approx([one] * len(sizes))
    elif one < 0.95 * model.largest_rate_rps:
        assert each[-1] > 1.02 * one
    tighter = Objective(**{name: limit * 0.8 for name, _, _, limit in bounds})
    assert model.goodput_rps(tighter).arrival_rate_rps <= one


def test_answers_every_member_of_the_seam(case):
    """No caller asks whether a model has a member: it has them all, and what it says holds."""
    model, objective, _ = case
    assert all(hasattr(model, name) for name in members(LatencyModel))
    assert isinstance(model.gains_by_pooling, bool)
    assert 0 < model.margin_sigmas < 3
    top = model.largest_rate_rps
    assert math.isnan(top) or model.goodput_rps(objective).arrival_rate_rps <= top * (1 + 1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_service_model_answers_every_member_of_the_seam(name):
    kind, parameters, machine, _ = CASES[name]
    service = LATENCY_MODELS[kind](**parameters)
    assert all(hasattr(service, member) for member in members(ServiceModel))
    loads = LATENCY_MODELS[kind].artifact_gib(parameters)
    assert loads > 1 if kind == "llm" else loads == 0
    found = service.beside([machine])
    assert all(hasattr(found, member) for member in members(ServiceModel))
    assert not isinstance(found.deployments(machine, Arrivals(1.0, TokenMix.of(512.0, 128.0))), Excuse)


# where language models are the subject: their steps played one by one, their price beside that of
# an API, the scenario that is written for one
OF_LANGUAGE_MODELS = {"simulator/requests.py", "breakeven/curve.py", "cli/new.py"}


def test_language_models_are_not_known_by_name_beside_latency_and_its_page():
    rooms = [p for p in (ROOT / "planner").rglob("*.py") if not {"latency", "ui"} & set(p.parts)]
    known = [p for p in rooms if re.search(r"""["']llm["']|latency\.llm""", p.read_text("utf-8"))]
    assert {str(p.relative_to(ROOT / "planner")) for p in known} == OF_LANGUAGE_MODELS


def test_an_impossible_target_has_no_goodput(case):
    """Law 37."""
    model, _, bounds = case
    assert model.goodput_rps(Objective(**{name: 1e-9 for name, *_ in bounds})).arrival_rate_rps == 0


def test_says_its_basis_method_and_error(case):
    model, *_ = case
    assert model.basis in {"measured", "modeled", "assumed"}
    assert len(model.method) > 10
    assert 0 < model.error_share < 2


def test_survives_a_pickle(case):
    """Law 52: a worker process answers the same bytes."""
    model, objective, bounds = case
    again = pickle.loads(pickle.dumps(model))
    rate = 0.7 * model.goodput_rps(objective).arrival_rate_rps
    for _, metric, quantile, _ in bounds:
        assert float(again.latency_s(rate, 2, quantile, metric)) == float(model.latency_s(rate, 2, quantile, metric))


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c[0] in ("queue", "measured", "batching")])
def test_refuses_a_metric_it_does_not_answer(name):
    model, *_ = built(name)
    with pytest.raises(ScenarioError, match="not ttft"):
        model.latency_s(1.0, 1, 0.95, "ttft")
    with pytest.raises(ScenarioError, match="not ttft"):
        model.goodput_rps(Objective(ttft_p95_s=1.0))
