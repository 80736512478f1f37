"""Measured points: interpolation, closed loops, and results of load-test tools."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.capacity import service_model
from planner.errors import ScenarioError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.measured.closed_loop import open_points
from planner.latency.measured.loadtests import LOAD_TEST_FORMATS, read_load_test, read_load_tests
from planner.latency.measured.measured import Measured
from planner.latency.queue import erlang
from planner.scenario import Objective
from tests.builders.hand import scenario

G5 = Machine("aws", "us-east-1", "g5.12xlarge", "g5", "x86_64", 48.0, 192.0, accelerator="A10G", accelerators=4.0)
STEPS = [
    {"arrival_rate_rps": r, "latency_p50_s": a, "latency_p99_s": b}
    for r, a, b in ((10, 0.02, 0.05), (40, 0.03, 0.09), (80, 0.1, 0.6))
]


def model(points, machine=G5, key="A10G", **more):
    (found,) = Measured(machines={key: points}, **more).deployments(machine, Arrivals())
    return found


def test_passes_through_its_points_and_promises_nothing_beyond():
    m = model(STEPS).model
    assert m.latency_s([10, 40, 80], 1, 0.99) == pytest.approx([0.05, 0.09, 0.6])
    # below the first point: its latency, not less
    assert float(m.latency_s(1.0, 1, 0.99)) == pytest.approx(0.05)
    assert math.isinf(float(m.latency_s(80.1, 1, 0.99)))
    assert m.goodput_rps(Objective(latency_p99_s=5)).binding_objective == "last_point"
    assert m.goodput_rps(Objective(latency_p99_s=0.09)).arrival_rate_rps == pytest.approx(40)


def test_percentiles_between_measured_ones_are_interpolated_never_extrapolated():
    m = model(
        [
            {"arrival_rate_rps": r, "latency_p50_s": a, "latency_p95_s": b}
            for r, a, b in ((10, 0.02, 0.05), (40, 0.03, 0.09))
        ]
    ).model
    assert 0.02 < float(m.latency_s(10, 1, 0.9)) < 0.05
    assert math.isinf(float(m.latency_s(10, 1, 0.99)))
    assert m.goodput_rps(Objective(latency_p99_s=100)).arrival_rate_rps == 0


def test_a_machine_with_four_accelerators_holds_four_replicas():
    assert model(STEPS).instances_per_replica == 0.25
    assert model(STEPS, key="g5.12xlarge").instances_per_replica == 1
    assert isinstance(Measured(machines={"L4": STEPS}).deployments(G5, Arrivals()), Excuse)


def test_interpolates_a_saturation_curve_from_four_points():
    """Four points of an M/M/8 curve bring the rest of it within a few per cent."""
    rates = np.array([2.0, 5.0, 6.4, 7.2])
    points = [
        {"arrival_rate_rps": r, "latency_p95_s": float(erlang.mmc_response_quantile_s(r, 1.0, 8, 0.95))} for r in rates
    ]
    between = np.array([3.0, 4.0, 5.8, 6.9])
    error = model(points).model.latency_s(between, 1, 0.95) / erlang.mmc_response_quantile_s(between, 1.0, 8, 0.95) - 1
    assert np.abs(error).max() < 0.08


@pytest.mark.parametrize(
    "bad",
    [
        [{"arrival_rate_rps": 10}],
        [{"arrival_rate_rps": 10, "latency_p50_s": 2, "latency_p99_s": 1}],
        [],
        [STEPS[0], STEPS[0]],
        [{**STEPS[0], "concurrency": 3}, STEPS[1]],
        [{**STEPS[0], "latency_p95": 1}],
    ],
)
def test_refuses_points_that_cannot_be(bad):
    with pytest.raises(ValueError, match=r"machines"):
        Measured(machines={"A10G": bad})


def closed_mm8(users, rng):
    """Simulated latencies of N clients that wait at 8 exponential servers without thinking, and the
    throughput.
    """
    n, c = users, 8
    wait_for = rng.standard_gamma(n - c, 400_000) / c if n > c else np.zeros(400_000)
    took = wait_for + rng.standard_exponential(400_000)
    return min(n, c) * 1.0, [float(np.quantile(took, q)) for q in (0.5, 0.9, 0.95, 0.99)]


def test_a_closed_test_becomes_what_open_arrivals_see():
    """From closed steps of an M/M/8 station alone, the open percentiles come out as the exact ones."""
    rng = np.random.default_rng(5)
    users = [1, 2, 4, 6, 8, 10, 13, 16, 24, 32, 48, 64]
    x, latency = zip(*(closed_mm8(n, rng) for n in users), strict=True)
    for rate, *percentiles in open_points(users, x, latency):
        if rate <= 7.4:
            exact = [float(erlang.mmc_response_quantile_s(rate, 1.0, 8, q)) for q in (0.5, 0.9, 0.95, 0.99)]
            assert percentiles == pytest.approx(exact, rel=0.06)


def test_closed_points_are_not_capacity():
    """At the throughput of a closed step, open arrivals see a longer tail than the closed clients
    did.
    """
    points = [
        {"arrival_rate_rps": x, "concurrency": n, "latency_p50_s": t, "latency_p95_s": 1.6 * t, "latency_p99_s": 2 * t}
        for n, x, t in ((1, 50, 0.02), (4, 150, 0.027), (16, 300, 0.053), (64, 320, 0.2))
    ]
    found = model(points).model
    assert found.closed
    assert float(found.latency_s(300, 1, 0.99)) > 0.106
    assert found.goodput_rps(Objective(latency_p99_s=10)).arrival_rate_rps < 320
    assert "birth–death" in found.method


LOCUST = """Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,\
Min Response Time,Max Response Time,\
Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,\
99.9%,99.99%,100%
GET,/,300,0,12,13.1,5,99,200,10.0,0.0,12,13,14,15,20,30,40,50,90,99,99
,Aggregated,300,0,12,13.1,5,99,200,10.0,0.0,12,13,14,15,20,30,40,50,90,99,99
"""
HISTORY = """Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%,\
Total Request Count,Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,\
Total Max Response Time,Total Average Content Size
1700000000,0,,Aggregated,0.0,0.0,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,0,0,0,0,0,0,0
1700000001,10,,Aggregated,90.0,0.0,11,12,13,14,16,20,22,25,30,31,31,90,0,11,12,5,31,200
1700000002,10,,Aggregated,100.0,0.0,10,12,13,14,15,21,22,26,30,31,31,190,0,10,12,5,31,200
1700000003,20,,Aggregated,160.0,0.0,12,14,15,16,21,33,36,41,60,61,61,350,0,11,13,5,61,200
1700000004,40,,Aggregated,170.0,40.0,90,94,95,96,121,133,136,141,160,161,161,520,40,12,15,5,161,200
"""
K6 = {
    "metrics": {
        "http_req_duration": {"avg": 21.0, "min": 4.1, "med": 18.0, "max": 300.0, "p(90)": 40.0, "p(95)": 60.0},
        "http_reqs": {"count": 6000, "rate": 100.0},
        "http_req_failed": {"passes": 6, "fails": 5994, "value": 0.001},
        "vus_max": {"value": 5, "min": 5, "max": 5},
    }
}
K6_HANDLED = {
    "metrics": {
        "http_req_duration": {
            "type": "trend",
            "contains": "time",
            "values": {"avg": 21.0, "med": 18.0, "p(90)": 40.0, "p(95)": 60.0},
        },
        "vus": {"type": "gauge", "values": {"value": 2, "min": 2, "max": 2}},
        "http_reqs": {"type": "counter", "values": {"count": 6000, "rate": 100.0}},
        "http_req_failed": {"type": "rate", "values": {"rate": 0.0}},
    }
}
WRK = """Running 30s test @ http://127.0.0.1:8080/index.html
  12 threads and 400 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.54%
  Latency Distribution
     50%  250.00us
     75%  491.00us
     90%  700.00us
     99%    5.80ms
  22464657 requests in 30.00s, 17.76GB read
Requests/sec: 748868.53
Transfer/sec:    606.33MB
"""
HEY = """
Summary:
  Total:	1.0000 secs
  Slowest:	0.2000 secs
  Average:	0.0249 secs
  Requests/sec:	200.5000

Latency distribution:
  10%% in 0.0100 secs
  50%% in 0.0200 secs
  90%% in 0.0400 secs
  95%% in 0.0500 secs
  99%% in 0.0900 secs

Status code distribution:
  [200]	200 responses
"""
VEGETA = {
    "latencies": {
        "total": 1,
        "mean": 2e7,
        "50th": 18_000_000,
        "90th": 40_000_000,
        "95th": 60_000_000,
        "99th": 90_000_000,
    },
    "requests": 6000,
    "rate": 100.02,
    "throughput": 100.0,
    "success": 1,
    "status_codes": {"200": 6000},
    "errors": [],
}
VEGETA_TEXT = """Requests      [total, rate, throughput]         1200, 120.00, 65.87
Duration      [total, attack, wait]             10.094965987s, 9.949883921s, 145.082066ms
Latencies     [min, mean, 50, 90, 95, 99, max]  90.438129ms, 113.172398ms, 108.272568ms, 140.18235ms,\
 247.771566ms, 1m2.5s, 2m0s
Bytes In      [total, mean]                     3714690, 3095.57
Success       [ratio]                           99.50%
Status Codes  [code:count]                      200:1194  500:6
"""
OWN = "arrival_rate_rps,latency_p50_s,latency_p99_s\n5,0.01,0.03\n50,0.02,0.08\n"


@pytest.mark.parametrize(
    ("text", "rate", "percentiles", "concurrency"),
    [
        (LOCUST, 10.0, (0.012, 0.02, 0.03, 0.05), None),
        (json.dumps(K6), 100.0, (0.018, 0.04, 0.06, None), None),
        (json.dumps(K6_HANDLED), 100.0, (0.018, 0.04, 0.06, None), 2),
        (WRK, 748868.53, (0.00025, 0.0007, None, 0.0058), 400),
        (HEY, 200.5, (0.02, 0.04, 0.05, 0.09), 5),
        (json.dumps(VEGETA), 100.02, (0.018, 0.04, 0.06, 0.09), None),
        (VEGETA_TEXT, 120.0, (0.108272568, 0.14018235, 0.247771566, 62.5), None),
    ],
    ids=["locust", "k6", "k6-handled", "wrk", "hey", "vegeta", "vegeta-text"],
)
def test_reads_the_results_of_load_test_tools(tmp_path, text, rate, percentiles, concurrency):
    path = tmp_path / "result"
    path.write_text(text, encoding="utf-8")
    (point,) = read_load_test(path)
    assert point["arrival_rate_rps"] == rate
    assert point.get("concurrency") == concurrency
    for p, wanted in zip((50, 90, 95, 99), percentiles, strict=True):
        assert point.get(f"latency_p{p}_s") == (None if wanted is None else pytest.approx(wanted))


def test_reads_steps_of_users_and_drops_the_overloaded_one(tmp_path):
    (tmp_path / "h.csv").write_text(HISTORY, encoding="utf-8")
    points = read_load_tests([tmp_path / "h.csv"])
    # 1 of 10 users and 2 of 20 are at work: the users pause, so requests arrive from outside
    assert [(p.get("concurrency"), p["arrival_rate_rps"], p["latency_p99_s"]) for p in points] == [
        (None, 100, 0.026),
        (None, 160, 0.041),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a load-test result this program knows"),
        ("PK\x03\x04", "is not a load-test result this program knows"),
        ('{"metrics": {}}', "is not a complete k6 result"),
        (
            WRK.replace("50%  250.00us", "").replace("90%  700.00us", "").replace("99%    5.80ms", ""),
            "is not a complete wrk result",
        ),
        (VEGETA_TEXT.replace("99.50%", "80.00%"), "no step with at most 1% failed"),
        (OWN.replace("0.08", "fast"), "is not a complete csv result"),
        (OWN.replace("latency_p99_s", "p99_ms"), "unknown columns p99_ms"),
    ],
)
def test_a_file_it_cannot_read_is_named_with_its_fault(tmp_path, text, message):
    path = tmp_path / "result.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=message) as caught:
        read_load_test(path)
    assert "result.txt" in str(caught.value)


SAMPLES = [LOCUST, HISTORY, json.dumps(K6), json.dumps(K6_HANDLED), WRK, HEY, json.dumps(VEGETA), VEGETA_TEXT, OWN]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SAMPLES),
    st.integers(0, 2000),
    st.integers(0, 60),
    st.text(max_size=12),
    st.sampled_from([None, *LOAD_TEST_FORMATS]),
)
def test_law_55_any_damage_ends_in_points_or_a_typed_error(tmp_path, text, at, cut, new, kind):
    path = tmp_path / "result"
    path.write_text(text[: at % len(text)] + new + text[at % len(text) + cut :], encoding="utf-8", newline="")
    try:
        points = read_load_test(path, kind)
    except ScenarioError:
        return
    assert points
    assert all(p["arrival_rate_rps"] > 0 and math.isfinite(p["arrival_rate_rps"]) for p in points)


def test_a_log_is_not_a_summary(tmp_path):
    path = tmp_path / "result"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(ScenarioError, match="larger than a summary"):
        read_load_test(path)


def test_files_stand_beside_the_scenario(tmp_path):
    (tmp_path / "steps.csv").write_text(OWN, encoding="utf-8")
    latency = {"model": "measured", "machines": {"m": {"files": ["steps.csv"]}}}
    s = scenario(**{"services.web.latency": latency}).model_copy(update={"folder": tmp_path})
    (found,) = service_model(s, "web").deployments(Machine("aws", "r", "m", "m", "x86_64", 2.0, 4.0), Arrivals())
    assert float(found.model.latency_s(50.0, 1, 0.99)) == pytest.approx(0.08)
    with pytest.raises(ScenarioError, match=r"services\.web\.latency\.machines.*absent\.csv"):
        service_model(
            scenario(**{"services.web.latency": {**latency, "machines": {"m": {"files": "absent.csv"}}}}), "web"
        )
