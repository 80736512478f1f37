"""Embedding, vision, speech and image services on accelerators and CPUs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import ScenarioError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.batch.accelerated import AcceleratedService, BatchedReplica, benchmarks
from planner.latency.hardware import accelerators
from planner.scenario import Objective
from planner.tokens import TokenMix

GOAL = Objective(latency_p95_s=0.5)


def machine(accelerator: str, count: float = 1.0, vcpus: float = 8.0) -> Machine:
    return Machine("aws", "us-east-1", "t", "t", "x86_64", vcpus, 32, accelerator=accelerator, accelerators=count)


def one(accelerator: str, count: float = 1.0, tokens: float = 178.0, **parameters):
    arrivals = Arrivals(1.0, TokenMix.of(tokens, 1))
    found = AcceleratedService(workload="bert-large", **parameters).deployments(machine(accelerator, count), arrivals)
    assert not isinstance(found, Excuse), found
    assert len(found) == 1
    return found[0]


def simulated(base: float, each: float, most: int, rate: float, requests: int = 60_000) -> np.ndarray:
    """Response times of a server that takes all waiting requests as one batch."""
    arrivals = np.cumsum(np.random.default_rng(5).exponential(1.0 / rate, requests))
    response, at, now = np.empty(requests), 0, 0.0
    while at < requests:
        now = max(now, arrivals[at])
        end = min(int(np.searchsorted(arrivals, now, side="right")), at + most)
        now += base + each * (end - at)
        response[at:end] = now - arrivals[at:end]
        at = end
    return response[requests // 10 :]


@pytest.mark.parametrize(
    ("base", "each", "most"), [(0.01, 0.001, 64), (0.002, 0.002, 64), (0.01, 0.001, 8), (0.0, 0.005, 32)]
)
@pytest.mark.parametrize("utilization", [0.25, 0.55, 0.83])
def test_batched_responses_match_a_simulation(base, each, most, utilization):
    replica = BatchedReplica(base, each, most, "modeled", 0.1)
    rate = utilization * replica.ceiling_rps
    seen = simulated(base, each, most, rate)
    for quantile, tolerance in ((0.5, 0.04), (0.9, 0.06), (0.99, 0.08)):
        assert float(replica.latency_s(rate, 1, quantile)) == pytest.approx(
            float(np.quantile(seen, quantile)), rel=tolerance
        )


def test_deterministic_single_server_is_the_limit_of_batches_of_one():
    """Mean-free check against M/D/1: batches of one with τ₀ = 0, waiting time of Crommelin (1932)
    at ρ = 0.5.
    """
    replica = BatchedReplica(0.0, 1.0, 1.0, "modeled", 0.1)
    # Σ over k of (−1)^k e^{ρ(t−k)} (ρ(t−k))^k / k!, times 1−ρ, is P(W ≤ t)
    below = 0.5 * sum(
        (-1) ** k * math.exp(0.5 * (1.5 - k)) * (0.5 * (1.5 - k)) ** k / math.factorial(k) for k in (0, 1)
    )
    assert float(replica.latency_s(0.5, 1, below)) == pytest.approx(2.5, rel=0.06)


def test_an_embedding_service_stands_on_gpus_and_cpus():
    rates = {a: one(a).model.goodput_rps(GOAL).arrival_rate_rps for a in ("", "T4", "A10G", "L4", "H100-SXM-80GB")}
    assert list(rates) == sorted(rates, key=rates.__getitem__)
    assert rates[""] > 1
    assert one("L4").label == "bert-large measured"
    assert one("T4").label == "bert-large interpolated"
    assert one("T4").model.error_share > one("L4").model.error_share
    assert (one("L4", relative_speed=1.0).model.basis, one("T4", relative_speed=1.0).model.basis) == (
        "measured",
        "modeled",
    )
    assert one("L4", 4).instances_per_replica == 0.25


def test_work_grows_with_tokens_items_and_size():
    base = one("L4").model
    assert one("L4", tokens=356.0).model.each_s == pytest.approx(2 * base.each_s)
    assert one("L4", items_per_request=8).model.each_s == pytest.approx(8 * base.each_s)
    assert one("L4", params_m=303 / 3).model.each_s == pytest.approx(base.each_s / 3)


def test_what_is_not_known_is_excused_or_refused():
    for accelerator in ("M60", "Inferentia2", "Nothing9000"):
        excuse = AcceleratedService(workload="bert-large").deployments(machine(accelerator), Arrivals())
        assert isinstance(excuse, Excuse)
        assert "no record" in excuse.reason
    with pytest.raises(ScenarioError, match="item_tokens"):
        AcceleratedService(workload="resnet50", item_tokens=10).deployments(machine("L4"), Arrivals())
    with pytest.raises(ScenarioError, match="not ttft"):
        one("L4").model.goodput_rps(Objective(ttft_p95_s=1.0))


@settings(max_examples=20)
@given(limit=st.floats(0.005, 2.0), q=st.sampled_from(["p50", "p95", "p99"]), items=st.sampled_from([1.0, 16.0]))
def test_goodput_and_latency_are_inverse(limit, q, items):
    """Laws 27, 36, 37 and 40."""
    model = one("L4", items_per_request=items).model
    objective = Objective(**{f"latency_{q}_s": limit})
    found = model.goodput_rps(objective)
    quantile = int(q[1:]) / 100
    if found.arrival_rate_rps:
        assert float(model.latency_s(found.arrival_rate_rps, 1, quantile)) <= limit * (1 + 1e-9)
    if found.binding_objective != "saturation":
        assert float(
            model.latency_s(max(found.arrival_rate_rps, model.ceiling_rps * 1e-4) * 1.01, 1, quantile)
        ) >= limit * (1 - 1e-9)
    rates = np.linspace(0.0, 1.1, 60) * model.ceiling_rps
    curve = model.latency_s(rates, 1, quantile)
    assert (np.diff(curve[np.isfinite(curve)]) >= -1e-12).all()
    assert (model.latency_s(rates, 2, quantile) <= curve).all()


def test_every_record_names_a_known_accelerator():
    for bench in benchmarks().values():
        for name, record in bench.records.items():
            assert name == "vCPU" or name in accelerators()
            assert record.items_per_s > 0
