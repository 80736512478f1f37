"""The pointwise model of the replay against every single request of an hour."""

import time

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.latency.queue.queueing import QueueLatency
from planner.latency.queue.service_law import ServiceLaw
from planner.simulator.requests import play_requests, pointwise_s

BAND = {0.5: 0.06, 0.95: 0.10, 0.99: 0.10}  # of the pointwise answer, up to a utilization of 0.9


def hours():
    """Twenty hours: service laws, balancers, sizes, ramps and bursts."""
    for k in range(20):
        rng = np.random.default_rng(k)
        servers, replicas = int(rng.choice([2, 4, 8])), int(rng.integers(2, 12))
        scv = float(rng.choice([0.25, 1.0, 2.0]))
        balancer = ["random", "central", "random", "round_robin"][k % 4]
        model = QueueLatency(servers, 0.02, ServiceLaw.of(scv, None), balancer=balancer)
        rho = 0.5 + 0.4 * k / 19
        shape = np.linspace(1 - 0.2 * (k % 3), 1, 60)
        shape[20:25] *= 1.0 + 0.02 * (k % 5)
        yield k, model, replicas, rho, rho * servers * replicas / 0.02 * shape / shape.max()


CASES = [pytest.param(*h, id=f"hour {h[0]}", marks=[] if h[0] in (0, 5) else pytest.mark.slow) for h in hours()]


@pytest.mark.parametrize(("k", "model", "replicas", "rho", "rate"), CASES)
def test_request_by_request_is_the_pointwise_answer(k, model, replicas, rho, rate):
    found = play_requests(model, replicas, rate, seed=k)
    assert len(found) == pytest.approx(rate.sum() * 60, rel=0.02)
    for quantile, band in BAND.items():
        pointwise = pointwise_s(model, replicas, rate, quantile)
        seen = float(np.quantile(found, quantile))
        print(f"hour {k:2} rho {rho:.2f} {model.balancer:11} p{quantile * 100:g}: {seen:.4f} s, {pointwise:.4f} s")
        assert seen == pytest.approx(pointwise, rel=band)


def test_requests_that_no_kernel_plays_are_refused():
    with pytest.raises(PlannerError, match="only first come"):
        play_requests(QueueLatency(2, 0.02, ServiceLaw.of(1.0, None), balancer="jsq"), 2, np.full(60, 10.0))


@pytest.mark.slow
def test_speed_of_the_queue_alone():
    """Requests a second of the compiled queue with 8 workers, one core."""
    from planner.latency.kernels import shared_queue

    rng, n = np.random.default_rng(1), 10_000_000
    gaps, services, waits = rng.exponential(1 / 6.4, n), rng.exponential(1.0, n), np.empty(n)
    shared_queue(gaps[:10], services[:10], np.zeros(8), 0.0, waits[:10])
    began = time.process_time()
    shared_queue(gaps, services, np.zeros(8), 0.0, waits)
    print(f"\n{n / (time.process_time() - began):.3g} requests a second")
    assert waits.mean() > 0
