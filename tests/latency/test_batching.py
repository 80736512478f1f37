"""Dynamic batching, scalability fits and retries."""

import math

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.batch import batching
from planner.latency.batch.batching import Batching, BatchLatency, simulate_batches
from planner.latency.measured.usl import ScalabilityLaw
from planner.latency.queue import erlang, retries
from planner.latency.queue.queueing import Queue
from planner.scenario import Objective
from tests.oracles import closed

L4 = Machine(
    "aws",
    "us-east-1",
    "g6.12xlarge",
    "g6",
    "x86_64",
    48.0,
    192.0,
    accelerator="L4",
    accelerators=4.0,
    accelerator_memory_gib=22.35,
)


@pytest.mark.parametrize(
    ("setup", "each", "load"), [(1.8874, 0.1438, 0.3), (1.8874, 0.1438, 0.7), (1.0, 0.3, 0.5), (0.1, 1.0, 0.8)]
)
def test_simulated_mean_is_below_and_near_its_bound(setup, each, load):
    """Inoue (2021): the bound is never undercut and tight within 5 %."""
    rate = load / each
    run = simulate_batches(rate, setup, each, requests=400_000, seed=2)
    bound = closed.mean_latency_bound_s(rate, setup, each)
    assert run.mean_latency_s <= bound + 2 * run.half_width_s
    assert run.mean_latency_s >= bound * 0.94


def test_batches_of_one_are_a_plain_queue():
    run = simulate_batches(0.7, 0.0, 1.0, 1, requests=600_000, seed=4)
    assert run.mean_latency_s == pytest.approx(1 + closed.mg1_mean_wait_s(0.7, 1.0, 0.0), rel=0.02)


def test_stability_of_capped_batches():
    """λ < b/(τ + αb)."""
    assert batching.largest_rate_rps(1.0, 0.1, 10) == pytest.approx(5.0)
    with pytest.raises(PlannerError, match="below 5"):
        simulate_batches(5.0, 1.0, 0.1, 10)
    assert math.isinf(closed.mean_latency_bound_s(10.0, 1.0, 0.1))
    model = BatchLatency(1.0, 0.1, 10)
    assert np.isfinite(model.latency_s([0.1, 4.9, 5.1], 1, 0.95)).tolist() == [True, True, False]
    assert float(model.latency_s(0.0, 1, 0.5)) == pytest.approx(1.1)


def test_larger_batches_bear_more_within_a_target():
    good = [BatchLatency(0.02, 0.001, b).goodput_rps(Objective(latency_p95_s=0.2)).arrival_rate_rps for b in (1, 8, 64)]
    assert good[0] < good[1] < good[2]


def test_one_replica_an_accelerator_and_excuses():
    (found,) = Batching(machines={"L4": {"setup_s": 0.01, "each_s": 0.002, "memory_gib": 10}}).deployments(
        L4, Arrivals()
    )
    assert found.instances_per_replica == 0.25
    for machines, gap in (
        ({"H100-SXM-80GB": {"setup_s": 0.01, "each_s": 0.002}}, "given are H100"),
        ({"L4": {"setup_s": 0.01, "each_s": 0.002, "memory_gib": 40}}, "22.35 GiB of 40 GiB"),
    ):
        refused = Batching(machines=machines).deployments(L4, Arrivals())
        assert isinstance(refused, Excuse)
        assert gap in refused.gap


def test_scalability_fit_recovers_its_own_curve():
    truth = ScalabilityLaw(0.03, 2e-4, 95.0)
    n = [1, 4, 8, 16, 32, 64, 128]
    found = ScalabilityLaw.fit(n, truth.throughput(n))
    assert (found.alpha, found.beta, found.gamma) == pytest.approx((0.03, 2e-4, 95.0), rel=1e-5)
    assert found.peak_load == pytest.approx(math.sqrt(0.97 / 2e-4), rel=1e-4)
    assert (
        float(found.throughput(found.peak_load))
        == found.peak_throughput
        > float(found.throughput(found.peak_load * 1.2))
    )


def test_scalability_fit_needs_three_points():
    with pytest.raises(PlannerError, match="three positive"):
        ScalabilityLaw.fit([1, 2], [10, 19])


def test_no_failures_no_retries():
    state = retries.retry_state(50.0, lambda _: 0.0, 3)
    assert (state.tried_rps, state.amplification, state.metastable) == (50.0, 1.0, False)
    assert math.isinf(state.metastable_rps)


def test_constant_failures_are_a_geometric_sum():
    assert retries.attempts(0.5, 3) == 1.875
    assert retries.tried_rate_rps(10.0, lambda _: 0.5, 3) == pytest.approx(18.75)


def test_a_timeout_in_a_full_queue_makes_a_metastable_service():
    """M/M/8 whose clients give up after twice the service time and try again up to three times."""

    def failure(rate):
        return float(erlang.mmc_response_tail(20.0, rate, 1.0, 8)) if rate < 8 else 1.0

    calm = retries.retry_state(1.5, failure, 3)
    assert not calm.metastable
    risky = retries.retry_state(6.0, failure, 3)
    assert risky.amplification < 1.01
    assert risky.metastable  # 6 × 4 tries is above 8: once overloaded, it stays so
    assert risky.metastable_rps == pytest.approx(2.0, rel=0.01)  # 8 / 4 tries
    # both fixed points hold
    low = risky.tried_rps
    assert low == pytest.approx(6.0 * retries.attempts(failure(low), 3), rel=1e-9)


def test_retry_state_of_a_service_on_a_machine():
    machine = Machine("aws", "us-east-1", "m7a.2xlarge", "m7a", "x86_64", 8.0, 32.0, threads_per_core=1.0)
    (found,) = Queue(service_time_s=0.05).deployments(machine, Arrivals())
    calm, risky = (found.model.retry_state(rate, 1, 1.0, 3) for rate in (30.0, 120.0))
    assert not calm.metastable
    assert risky.metastable
    assert risky.amplification < 1.01
    assert 30.0 < risky.metastable_rps < 50.0  # 160 requests/s at full use, four tries each
