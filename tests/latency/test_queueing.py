"""Queueing formulas against published values, and the ``queue`` model on machines."""

import math

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.latency import Arrivals, Deployment, Excuse, Machine
from planner.latency.queue import erlang, mgc
from planner.latency.queue.pools import response_quantile
from planner.latency.queue.queueing import Queue, QueueLatency
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import Pool, simulate
from planner.scenario import Objective
from tests.oracles import closed
from tests.oracles.queues import fewest_workers

BIG = Machine("aws", "us-east-1", "m7i.4xlarge", "m7i", "x86_64", 16.0, 64.0, threads_per_core=2.0)


def deployed(machine=BIG, **parameters) -> QueueLatency:
    found = Queue(**{"service_time_s": 0.05, **parameters}).deployments(machine, Arrivals())
    assert not isinstance(found, Excuse)
    (only,) = found
    assert isinstance(only, Deployment)
    return only.model


# Gross & Harris, Fundamentals of Queueing Theory: M/M/3 with 6 arrivals and 3 services an hour (eye
# clinic example)
def test_mmc_textbook_case():
    assert float(erlang.erlang_c(2.0, 3)) == pytest.approx(4 / 9, rel=1e-12)
    assert float(closed.mmc_mean_wait_s(6.0, 3.0, 3)) == pytest.approx(4 / 27, rel=1e-12)


def test_mm1_percentiles_are_exponential():
    for rho, q in ((0.3, 0.5), (0.9, 0.99), (0.999, 0.95)):
        assert float(erlang.mmc_response_quantile_s(rho, 1.0, 1, q)) == pytest.approx(
            -math.log1p(-q) / (1 - rho), rel=1e-10
        )


@pytest.mark.parametrize(("load", "servers"), [(0.4, 1), (7.0, 8), (7.0000001, 8), (30.0, 32), (190.0, 200)])
def test_mmc_quantile_inverts_its_tail(load, servers):
    for q in (0.01, 0.5, 0.95, 0.9999):
        t = float(erlang.mmc_response_quantile_s(load, 1.0, servers, q))
        assert float(erlang.mmc_response_tail(t, load, 1.0, servers)) == pytest.approx(1 - q, rel=1e-8)


def test_unstable_is_infinite_not_a_number():
    for value in (
        closed.mmc_mean_wait_s(8.0, 1.0, 8),
        erlang.mmc_wait_quantile_s(9.0, 1.0, 8, 0.5),
        erlang.mmc_response_quantile_s(8.0, 1.0, 8, 0.5),
        deployed().latency_s(1e9, 1, 0.5),
    ):
        assert math.isinf(float(value))


def test_fewest_servers_is_minimal():
    c = closed.fewest_servers(100.0, 10.0, 0.99, 0.6)
    meets = [float(erlang.mmc_response_quantile_s(100.0, 10.0, n, 0.99)) <= 0.6 for n in (c - 1, c)]
    assert meets == [False, True]
    # the service alone takes 0.4605 s
    assert closed.fewest_servers(100.0, 10.0, 0.99, 0.46) is None


@pytest.mark.parametrize(
    ("rate", "quantile", "target"),
    [(math.nan, 0.9, 1), (1, 0.9, math.nan), (1, 1.0, 1), (-1, 0.9, 1), (math.inf, 0.9, 1)],
)
def test_fewest_servers_refuses_what_is_not_a_question(rate, quantile, target):
    with pytest.raises(PlannerError, match="fewest"):
        closed.fewest_servers(rate, 1.0, quantile, target)
    with pytest.raises(PlannerError, match="fewest"):
        fewest_workers(ServiceLaw.of(2.0), rate, quantile, target)


def test_a_wait_below_zero_cannot_be_had():
    assert closed.fewest_servers(10.0, 1.0, 0.9, -0.1, "wait") is None


@pytest.mark.parametrize("kind", ["deterministic", "gamma", "exponential", "hyperexponential", "lognormal"])
def test_service_laws_have_mean_one_and_their_scv(kind):
    scv = {"deterministic": 0.0, "exponential": 1.0}.get(kind, 2.5)
    law = ServiceLaw(kind, scv)
    far = 1e6
    assert float(law.partial_moment(1, far)) == pytest.approx(1.0, rel=1e-9)
    assert float(law.partial_moment(2, far)) == pytest.approx(1 + scv, rel=1e-9)
    assert float(law.residual_limited_mean(far)) == pytest.approx((1 + scv) / 2, rel=1e-6)
    q = law.quantile(0.9)
    assert float(law.tail(q * (1 - 1e-9))) >= 0.1 >= float(law.tail(q * (1 + 1e-9)))


def test_impossible_service_law_is_refused():
    with pytest.raises(PlannerError, match="cannot have this scv"):
        ServiceLaw("hyperexponential", 0.5)


@pytest.mark.parametrize("scv", [0.0, 0.3, 1.0, 4.0])
def test_reduction_has_the_exact_mean_with_one_server(scv):
    """Pollaczek–Khinchine."""
    for rho in (0.2, 0.7, 0.95):
        t, mass = mgc.wait_lattice(ServiceLaw.of(scv, None if scv else "deterministic"), 1, rho)
        assert float(t @ mass) == pytest.approx(closed.mg1_mean_wait_s(rho, 1.0, scv), rel=5e-3)


@pytest.mark.parametrize("servers", [1, 8, 64])
def test_reduction_is_exact_for_exponential_service(servers):
    law = ServiceLaw("gamma", 1.0)
    for rho in (0.3, 0.8, 0.97):
        ours = mgc.response_quantiles(law, servers, rho, (0.5, 0.95, 0.99))
        exact = [float(erlang.mmc_response_quantile_s(rho * servers, 1.0, servers, q)) for q in (0.5, 0.95, 0.99)]
        assert ours == pytest.approx(exact, rel=1e-3)


def test_table_agrees_with_the_direct_reduction():
    model = deployed(service_scv=0.5, threads_share=1)
    for share in (0.3, 0.6, 0.85):
        rate = share * model.servers / model.service_time_s
        direct = mgc.response_quantiles(model.law, model.servers, share, (0.99,))[0] * model.service_time_s
        assert float(model.latency_s(rate, 1, 0.99)) == pytest.approx(direct, rel=3e-3)


def test_hyper_threads_are_not_cores():
    """16 hyper-threads at share 0.3 serve 8 × 1.3 cores, not 16; on a machine with one thread a
    core nothing is lost.
    """
    model = deployed(threads_share=0.3)
    limit = 8 * 1.3 / 0.05
    assert np.isfinite(model.latency_s([0.999 * limit, 1.001 * limit], 1, 0.5)).tolist() == [True, False]
    assert float(model.latency_s(1e-6, 1, 0.99)) == pytest.approx(
        0.05 * math.log(100)
    )  # a lone request has the core to itself
    whole = Machine("aws", "us-east-1", "m7a.4xlarge", "m7a", "x86_64", 16.0, 64.0, threads_per_core=1.0)
    assert deployed(whole).slowdown == deployed(threads_share=1.0).slowdown == 0
    # memory for 7 requests leaves each a core of the 8
    assert deployed(memory_gib_per_request=8).slowdown == 0


def test_burstable_machines_count_at_their_baseline():
    t3 = Machine("aws", "us-east-1", "t3.xlarge", "t3", "x86_64", 4.0, 16.0, threads_per_core=2.0, baseline_share=0.4)
    m = Machine("aws", "us-east-1", "m5.xlarge", "m5", "x86_64", 4.0, 16.0, threads_per_core=2.0)
    assert deployed(t3).service_time_s == pytest.approx(deployed(m).service_time_s / 0.4)
    refused = Queue(service_time_s=0.05, burstable="exclude").deployments(t3, Arrivals())
    assert isinstance(refused, Excuse)
    assert "40%" in refused.gap


@pytest.mark.parametrize(
    ("parameters", "machine", "reason", "gap"),
    [
        ({"memory_gib": 100}, BIG, "too little memory", "64 GiB of 100.5 GiB needed"),
        ({"vcpus_per_request": 32}, BIG, "too little CPU", "16 vCPUs of 32 needed"),
        ({"archs": ("arm64",)}, BIG, "architecture", "x86_64"),
        ({}, Machine("gpu_cloud", "r", "bare", "", "x86_64", math.nan, 64.0), "not known", "nan vCPUs"),
        (
            {},
            Machine("aws", "r", "g5.xlarge", "g5", "x86_64", 4.0, 16.0, accelerator="A10G", accelerators=1.0),
            "accelerators",
            "1 × A10G",
        ),
    ],
)
def test_excuses_name_their_gap(parameters, machine, reason, gap):
    refused = Queue(**{"service_time_s": 0.05, **parameters}).deployments(machine, Arrivals())
    assert isinstance(refused, Excuse)
    assert reason in refused.reason
    assert gap in refused.gap


def test_memory_bounds_the_workers():
    assert deployed(memory_gib=4, memory_gib_per_request=10).servers == 5


def test_speed_of_the_most_specific_name_wins():
    base = deployed().service_time_s
    assert deployed(speed={"x86_64": 2.0}).service_time_s == pytest.approx(base / 2)
    assert deployed(speed={"x86_64": 2.0, "m7i": 4.0, "m7i.4xlarge": 5.0}).service_time_s == pytest.approx(base / 5)


def test_random_balancing_is_not_a_shared_queue():
    """A pool of small replicas behind a random balancer has far longer tails than one shared queue."""
    small = Machine("aws", "us-east-1", "m7a.medium", "m7a", "x86_64", 1.0, 4.0, threads_per_core=1.0)
    rate = 8 * 0.8 / 0.05
    random, central = (float(deployed(small, balancer=b).latency_s(rate, 8, 0.99)) for b in ("random", "central"))
    assert random > 2 * central
    wide = Objective(latency_p99_s=1.0)
    assert (
        deployed(small, balancer="central").goodput_rps(wide, 8).arrival_rate_rps
        > deployed(small).goodput_rps(wide, 8).arrival_rate_rps
    )


def test_a_million_rates_at_once():
    rates = np.linspace(1, 400, 200_000)
    assert np.all(np.diff(deployed(service_scv=2).latency_s(rates, 2, 0.99)) >= 0)


def test_a_watching_balancer_is_simulated_between_its_bounds():
    """JSQ over small replicas: better than chance, no better than one shared queue, and its band is
    said.
    """
    small = Machine("aws", "us-east-1", "m7a.medium", "m7a", "x86_64", 1.0, 4.0, threads_per_core=1.0)
    rate = 4 * 0.8 / 0.05
    central, jsq, random = (
        float(deployed(small, balancer=b).latency_s(rate, 4, 0.99)) for b in ("central", "jsq", "random")
    )
    assert central < jsq < random
    heavy = deployed(service_scv=9)
    assert "simulated" in heavy.method
    assert 0.1 < heavy.error_share < 0.3


def test_bursty_arrivals_cost_goodput():
    wide = Objective(latency_p99_s=0.5)
    good = []
    for scv in (0.5, 1.0, 3.0, 9.0):
        (found,) = Queue(service_time_s=0.05, threads_share=1).deployments(BIG, Arrivals(scv))
        good.append(found.model.goodput_rps(wide).arrival_rate_rps)
    assert good == sorted(good, reverse=True)


@pytest.mark.parametrize(
    ("balancer", "replicas", "workers"), [("jsq", 3, 1), ("jsq", 6, 4), ("jsq2", 12, 2), ("central", 5, 8)]
)
def test_a_pool_between_two_tables_is_read_no_faster(balancer, replicas, workers):
    """The chord in 1/size against a long run of the pool itself, in the middle between two sizes."""
    pool, rho = Pool(ServiceLaw.of(0.5), workers, replicas, balancer), 0.85
    run = simulate(pool, rho, requests=3_000_000, seed=4)
    for q in (0.5, 0.95, 0.99):
        read, width = float(response_quantile(pool, q, np.array(rho))), run.response_half_width(q)
        assert run.response_quantile(q) * 0.98 - width < read < run.response_quantile(q) * 1.04 + width
