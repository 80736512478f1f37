"""Laws 27–44: what every correct queueing program obeys."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.latency import kernels
from planner.latency.queue import erlang
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import POISSON, Pool, simulate
from tests.oracles import closed
from tests.oracles.phph import PhPhC
from tests.oracles.queues import fewest_workers, method_of, solve

times = st.lists(st.floats(1e-3, 10), min_size=1, max_size=60)
servers = st.integers(1, 24)
loads = st.floats(0.01, 200)
quantiles = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999])
CLOSE = 1e-9


def waits(gaps, services, c):
    """FCFS waits of requests given one by one; the plain kernel up to 16 workers, the heap above."""
    out = np.empty(len(gaps))
    kernel = kernels.shared_queue if c <= 16 else kernels.shared_queue_heap
    kernel(np.asarray(gaps, float), np.asarray(services, float), np.zeros(c), 0.0, out)
    return out


def paired(draw_from):
    return st.tuples(draw_from, draw_from).map(lambda t: (t[0][: min(map(len, t))], t[1][: min(map(len, t))]))


@given(paired(times), servers)
def test_27_one_more_server_raises_no_wait(both, c):
    assert (waits(*both, c + 1) <= waits(*both, c) + CLOSE).all()


@given(paired(times), servers, st.integers(0, 59), st.floats(0, 20))
def test_28_a_longer_service_lowers_no_wait(both, c, at, more):
    gaps, services = both
    longer = list(services)
    longer[at % len(longer)] += more
    assert (waits(gaps, longer, c) >= waits(gaps, services, c) - CLOSE).all()


@given(paired(times), servers, st.integers(0, 59), st.floats(0, 20))
def test_29_a_larger_gap_raises_no_wait(both, c, at, more):
    gaps, services = both
    larger = list(gaps)
    larger[at % len(larger)] += more
    assert (waits(larger, services, c) <= waits(gaps, services, c) + CLOSE).all()


@given(paired(times), servers, st.integers(0, 59), st.floats(1e-3, 20))
def test_30_an_extra_request_lowers_nobodys_wait(both, c, at, size):
    gaps, services = both
    k = at % len(gaps)
    more_gaps, more_services = [*gaps[:k], gaps[k], 0.0, *gaps[k + 1 :]], [*services[:k], size, *services[k:]]
    others = np.delete(waits(more_gaps, more_services, c), k)
    assert (others >= waits(gaps, services, c) - CLOSE).all()


@given(paired(times), servers, st.sampled_from([0.25, 2.0, 8.0]))
def test_31_scaled_times_scale_waits(both, c, k):
    gaps, services = np.asarray(both[0]), np.asarray(both[1])
    assert waits(gaps * k, services * k, c) == pytest.approx(k * waits(gaps, services, c), rel=1e-9, abs=1e-9)


@given(paired(times), st.integers(17, 24))
def test_both_kernels_serve_alike(both, c):
    plain = np.empty(len(both[0]))
    kernels.shared_queue(np.asarray(both[0]), np.asarray(both[1]), np.zeros(c), 0.0, plain)
    assert waits(*both, c) == pytest.approx(plain, abs=1e-12)


@given(loads, servers, quantiles, st.floats(0.1, 100))
def test_32_faster_arrivals_and_services_shrink_times(load, c, q, k):
    one, scaled = (erlang.mmc_response_quantile_s(load * f, f, c, q) for f in (1.0, k))
    assert float(scaled) * k == pytest.approx(float(one), rel=1e-9) or (
        math.isinf(float(scaled)) and load >= c * (1 - 1e-12)
    )


@given(st.floats(0.01, 0.99), servers)
def test_33_percentiles_are_ordered_and_a_response_is_no_shorter_than_its_wait(rho, c):
    waited = [float(erlang.mmc_wait_quantile_s(rho * c, 1.0, c, q)) for q in (0.5, 0.95, 0.99)]
    took = [float(erlang.mmc_response_quantile_s(rho * c, 1.0, c, q)) for q in (0.5, 0.95, 0.99)]
    assert waited == sorted(waited)
    assert took == sorted(took)
    assert all(r >= w for r, w in zip(took, waited, strict=True))


@given(st.floats(0.01, 100))
def test_34_blocking_is_below_waiting_and_both_fall_convexly(load):
    first = int(load) + 1
    b = np.array([float(erlang.erlang_b(load, c)) for c in range(first, first + 40)])
    w = np.array([float(erlang.erlang_c(load, c)) for c in range(first, first + 40)])
    assert (b <= w + CLOSE).all()
    assert (w <= 1).all()
    for p in (b, w):
        assert (np.diff(p) <= 1e-12).all()
        assert (np.diff(p, 2) >= -1e-9).all()


@given(st.floats(0.1, 3000), st.floats(0.1, 3000), st.floats(0.3, 5))
def test_35_fewest_servers_grow_with_load_and_pool(a, b, slack):
    target = -math.log(0.01) + slack
    one, two, both = (closed.fewest_servers(x, 1.0, 0.99, target) for x in (a, b, a + b))
    assert (one <= two) == (a <= b) or one == two
    assert both <= one + two


@given(st.floats(0.1, 500), quantiles, st.floats(0.01, 5), st.sampled_from(["response", "wait"]))
def test_36_fewest_servers_is_minimal(load, q, slack, of):
    target = slack - (math.log1p(-q) if of == "response" else 0)
    c = closed.fewest_servers(load, 1.0, q, target, of)
    quantile = erlang.mmc_response_quantile_s if of == "response" else erlang.mmc_wait_quantile_s
    assert float(quantile(load, 1.0, c, q)) <= target * (1 + 1e-9)
    assert c == 1 or float(quantile(load, 1.0, c - 1, q)) > target * (1 - 1e-9)


@settings(max_examples=25)
@given(st.floats(0.5, 80), st.sampled_from([0.0, 0.4, 2.0]), st.floats(1.1, 4))
def test_36_for_any_service_law(load, scv, slack):
    law = ServiceLaw.of(scv)
    target = law.quantile(0.99) * slack
    c = fewest_workers(law, load, 0.99, target)
    meets = [n > load and closed.quick_response_quantile(law, n, load / n, 0.99) <= target for n in (c - 1, c)]
    assert meets == [False, True]


@given(loads, quantiles, st.floats(0.2, 3))
def test_37_infeasible_exactly_when_the_service_alone_misses(load, q, ratio):
    alone = -math.log1p(-q)
    if abs(ratio - 1) > 1e-6:
        assert (closed.fewest_servers(load, 1.0, q, alone * ratio) is None) == (ratio < 1)


@settings(max_examples=30)
@given(
    st.floats(0.05, 0.97),
    st.integers(1, 6),
    st.sampled_from([(POISSON, 4.0), (ServiceLaw("gamma", 0.5), 3.0), (POISSON, 15.0)]),
)
def test_38_littles_law(rho, c, laws):
    """Requests waiting, from the level probabilities, = rate × mean wait, from the integral of the
    tail.
    """
    gaps, scv = laws
    found = PhPhC(gaps, ServiceLaw("hyperexponential", scv), c, rho)
    eye = np.eye(len(found._r))
    waiting = float((found._pi_c @ found._r @ np.linalg.matrix_power(np.linalg.inv(eye - found._r), 2)).sum())
    assert waiting == pytest.approx(found.rate * found.mean_wait, rel=1e-8)


@given(st.floats(0.01, 30), st.integers(1, 12), st.integers(0, 30))
def test_38_littles_law_with_losses(rate, c, room):
    found = closed.mmck(rate, 1.0, c, c + room)
    assert found["mean_in_system"] == pytest.approx(found["throughput_rps"] * found["mean_response_s"], rel=1e-9)


@given(st.floats(0.05, 0.9), st.integers(1, 12))
def test_39_special_cases_reduce(rho, c):
    load = rho * c
    wait = float(closed.mmc_mean_wait_s(load, 1.0, c))
    # M/M/1
    assert float(closed.mmc_mean_wait_s(rho, 1.0, 1)) == pytest.approx(rho / (1 - rho), rel=1e-9)
    # K → ∞
    assert closed.mmck(load, 1.0, c, c + 600)["mean_wait_s"] == pytest.approx(wait, rel=1e-6)
    # θ → 0
    assert closed.erlang_a(load, 1.0, c, 1e-9)["mean_wait_s"] == pytest.approx(wait, rel=1e-4, abs=1e-9)
    # K = c
    assert closed.mmck(load, 1.0, c, c)["p_block"] == pytest.approx(float(erlang.erlang_b(load, c)), rel=1e-9)
    assert PhPhC(POISSON, POISSON, c, rho).mean_wait == pytest.approx(wait, rel=1e-9)
    assert closed.mg1_mean_wait_s(rho, 1.0, 1.0) == pytest.approx(rho / (1 - rho))  # scv = 1
    assert closed.mean_wait(ServiceLaw("gamma", 1.0), c, rho) == pytest.approx(wait, rel=1e-9)


@given(st.floats(1.0, 50), servers, quantiles)
def test_40_at_or_beyond_full_use_there_is_no_number(excess, c, q):
    assert math.isinf(float(erlang.mmc_response_quantile_s(excess * c, 1.0, c, q)))
    assert math.isinf(closed.mdc_mean_wait_s(excess * c, 1.0, c))
    assert math.isinf(closed.wait_quantile(ServiceLaw.of(2.0), c, excess, q))
    for attempt in (lambda: simulate(Pool(POISSON, c), excess), lambda: solve(Pool(POISSON, c), excess)):
        with pytest.raises(PlannerError, match="stable"):
            attempt()


def test_41_lumpy_services_hurt_a_queue_but_not_shared_processors():
    assert [closed.mg1_mean_wait_s(0.8, 1.0, s) for s in (0, 1, 4, 20)] == pytest.approx([2, 4, 10, 42])
    shared = [
        simulate(Pool(ServiceLaw.of(s), 1, 1, "random", "ps"), 0.6, requests=400_000, seed=3) for s in (0.0, 1.0, 4.0)
    ]
    for run in shared:
        assert run.mean_response == pytest.approx(
            closed.mg1_ps_mean_response_s(0.6, 1.0), abs=3 * run.half_width["mean_response"]
        )


@pytest.mark.parametrize(
    ("law", "rho"), [(POISSON, 0.7), (ServiceLaw("hyperexponential", 4.0), 0.6), (ServiceLaw.of(0.0), 0.85)]
)
def test_42_a_shared_queue_beats_the_shortest_queue_beats_chance(law, rho):
    mean = {
        b: simulate(Pool(law, 1, 8, b), rho, requests=300_000, seed=5).mean_response
        for b in ("central", "jsq", "jsq2", "random")
    }
    assert mean["central"] < mean["jsq"] < mean["jsq2"] < mean["random"]


def test_43_intervals_cover_the_exact_value_at_their_rate():
    exact = float(closed.mmc_mean_wait_s(1.4, 1.0, 2)) + 1
    exact_p95 = float(erlang.mmc_response_quantile_s(1.4, 1.0, 2, 0.95))
    runs = [simulate(Pool(POISSON, 2), 0.7, requests=60_000, seed=s) for s in range(60)]
    for hits in (
        sum(abs(r.mean_response - exact) <= r.half_width["mean_response"] for r in runs),
        sum(abs(r.response_quantile(0.95) - exact_p95) <= r.response_half_width(0.95) for r in runs),
    ):
        assert hits >= 50  # 95 % of 60 is 57; fewer than 50 has probability below 1e-3


@given(st.integers(0, 2**31), st.integers(1, 12))
@settings(max_examples=10)
def test_44_common_random_numbers_keep_the_order_exactly(seed, c):
    """Pools that differ in one thing meet the same requests: more workers, or shorter services,
    never wait longer.
    """
    load = 0.8 * c
    less = simulate(Pool(POISSON, c), 0.8, requests=20_000, seed=seed)
    more = simulate(Pool(POISSON, c + 1), load / (c + 1), requests=20_000, seed=seed)
    assert more.mean_wait <= less.mean_wait
    assert more.p_wait <= less.p_wait
    again = simulate(Pool(POISSON, c), 0.8, requests=20_000, seed=seed)
    assert again.mean_wait == less.mean_wait
    assert np.array_equal(again.response, less.response)  # law 52


@pytest.mark.parametrize(
    ("pool", "method"),
    [
        (Pool(POISSON, 8), "mmc"),
        (Pool(POISSON, 1, 8, "random"), "mmc"),
        (Pool(ServiceLaw("hyperexponential", 20.0), 8), "phph"),
        (Pool(POISSON, 1, 8, "round_robin"), "phph"),
        (Pool(ServiceLaw.of(4.0), 1), "reduction"),
        (Pool(ServiceLaw.of(4.0), 8), "reduction"),
        (Pool(ServiceLaw.of(12.0), 8), "simulation"),
        (Pool(POISSON, 1, 8, "jsq"), "simulation"),
        (Pool(POISSON, 1, 1, "random", "ps"), "simulation"),
    ],
)
def test_the_best_method_is_taken_and_named(pool, method):
    assert method_of(pool) == method
    found = solve(pool, 0.6, requests=50_000)
    assert found.error_share == 0 or method in ("reduction", "simulation")
    assert found.p_wait <= 1 or method == "simulation"
    assert found.response_quantile(0.99) > found.response_quantile(0.5) > 0


@pytest.mark.parametrize("law", [ServiceLaw("hyperexponential", 3.0), ServiceLaw("gamma", 0.5)])
@pytest.mark.parametrize("balancer", ["random", "round_robin", "central"])
def test_simulation_agrees_with_the_exact_solution(law, balancer):
    """Whole balanced pool simulated, against one replica solved exactly."""
    pool = Pool(law, 1, 4, balancer)
    run, exact = simulate(pool, 0.7, requests=1_000_000, seed=9), solve(pool, 0.7, exact=True)
    assert run.mean_response == pytest.approx(exact.mean_response, abs=2.5 * run.half_width["mean_response"])
    for q in (0.5, 0.95, 0.99):
        assert run.response_quantile(q) == pytest.approx(
            exact.response_quantile(q), abs=2.5 * run.response_half_width(q) + 1e-3
        )
