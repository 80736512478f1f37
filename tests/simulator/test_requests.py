"""The pointwise model of the replay against every single request of an hour."""

import time

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli import main
from planner.errors import PlannerError
from planner.latency.batch.batching import BatchLatency
from planner.latency.queue.queueing import QueueLatency
from planner.latency.queue.service_law import ServiceLaw
from planner.simulator.requests import play_requests, pointwise_s
from planner.simulator.steps import play_steps
from tests.builders import small

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


PLAIN = (1, 12)  # few requests, one queue and one of each replica
CASES = [pytest.param(*h, id=f"hour {h[0]}", marks=[] if h[0] in PLAIN else pytest.mark.slow) for h in hours()]


@pytest.mark.parametrize(("k", "model", "replicas", "rho", "rate"), CASES)
def test_request_by_request_is_the_pointwise_answer(k, model, replicas, rho, rate):
    found = play_requests(model, replicas, rate, seed=k)["latency"]
    assert len(found) == pytest.approx(rate.sum() * 60, rel=0.02)
    for quantile, band in BAND.items():
        pointwise = pointwise_s(model, replicas, rate, quantile)
        seen = float(np.quantile(found, quantile))
        print(f"hour {k:2} rho {rho:.2f} {model.balancer:11} p{quantile * 100:g}: {seen:.4f} s, {pointwise:.4f} s")
        assert seen == pytest.approx(pointwise, rel=band)


def test_requests_that_no_kernel_plays_are_refused():
    with pytest.raises(PlannerError, match="first come"):
        play_requests(QueueLatency(2, 0.02, ServiceLaw.of(1.0, None), discipline="ps"), 2, np.full(60, 10.0))


def test_batches_and_the_shortest_queue_are_the_pointwise_answer():
    rate = np.full(60, 240.0)
    shortest = QueueLatency(2, 0.02, ServiceLaw.of(1.0, None), balancer="jsq")
    for model, replicas in ((BatchLatency(0.02, 0.005, 32), 3), (shortest, 4)):
        found = play_requests(model, replicas, rate, seed=1)["latency"]
        assert len(found) == pytest.approx(240 * 3600, rel=0.01)
        for quantile, band in BAND.items():
            assert np.quantile(found, quantile) == pytest.approx(pointwise_s(model, replicas, rate, quantile), rel=band)


def test_a_language_model_step_by_step_on_paper():
    first, done = np.empty(3), np.empty(3)
    # a token of one sequence takes 1 s, of two 1.5 s; prompts of 10 tokens 2 s, in chunks of 10; two slots
    play_steps(
        np.array([0.0, 0.5, 0.6]), np.full(3, 2.0), np.full(3, 10.0), np.array([2, 1, 0]), np.array([0, 1, 1.5]),
        10.0, first, done,
    )  # fmt: skip
    # 0–2 first prompt; 2–5 the second beside a token; 5–6.5 both end; 6.5–8.5 the third
    assert first.tolist() == [2.0, 5.0, 8.5]
    assert done.tolist() == [6.5, 6.5, 8.5]


def test_the_command_plays_an_hour_request_by_request(tmp_path):
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    (tmp_path / "small.yaml").write_text(small.SCENARIO, encoding="utf-8")
    brief = ["--set", "horizon_h=24", "--set", "limits.max_term_months=0", "--paths", "2", "--no-strain"]

    def run(hour):
        return CliRunner().invoke(main, ["simulate", str(tmp_path / "small.yaml"), *brief, "--requests", hour])

    done = run("peak")
    assert done.exit_code == 0, done.output
    for word in ("Request by request", "this hour", "at 95% of saturation", "latency_p99_s"):
        assert word in done.output
    assert "an hour reads" in run("noon").output


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
