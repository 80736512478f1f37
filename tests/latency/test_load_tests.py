"""Load tests in the layouts of their tools: Little's law tells how they were driven, and the fleet is the known
queue's.
"""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial

import pytest

from planner.errors import PlannerError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.measured.loadtests import read_load_tests
from planner.latency.measured.measured import Measured
from planner.latency.measured.usl import ScalabilityLaw
from planner.latency.queue.queueing import Queue
from planner.scenario import Objective
from tests.builders import loadtests as tool
from tests.builders.written import BOMBARDIER, GATLING, HEY, OHA, STATS, VEGETA

M7I = Machine("aws", "us-east-1", "m7i.xlarge", "m7i", "x86_64", 4.0, 16.0, threads_per_core=2.0)
GOAL = Objective(latency_p99_s=0.2, load_quantile=0.5)
DEMAND_RPS = 1000.0
SHARES = (0.2, 0.4, 0.6, 0.75, 0.85, 0.92)
CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

# runs that are simulated when they are first called for
OPEN = [partial(tool.open_run, 200 * s) for s in SHARES]
CLOSED = [partial(tool.closed_run, n) for n in CLIENTS]
SATURATED, FAILING = partial(tool.open_run, 240.0), partial(tool.open_run, 190.0, failing=0.2)
CAPPED = partial(tool.open_run, 260.0, cap=60)
PAUSING = [partial(tool.closed_run, n, think_s=0.5) for n in (20, 40, 60, 80, 100, 130)]
FULL, FAILING_LOOP = partial(tool.closed_run, 200), partial(tool.closed_run, 48, failing=0.2)


def fleet(model) -> int:
    (found,) = model.deployments(M7I, Arrivals())
    return math.ceil(DEMAND_RPS / found.model.goodput_rps(GOAL).arrival_rate_rps)


def fleet_of(tmp_path, write, runs) -> int:
    names = []
    for k, run in enumerate(runs):
        (tmp_path / f"{k}.txt").write_text(write(run()), encoding="utf-8")
        names.append(f"{k}.txt")
    given = {"machines": {"m7i.xlarge": {"files": names}}}
    return fleet(Measured.model_validate(given, context={"folder": tmp_path}))


@cache
def known() -> int:
    return fleet(Queue(service_time_s=tool.SERVICE_S, threads_share=1.0))


DRIVEN = {
    "open": {
        "k6": (tool.k6, OPEN),
        "k6-csv": (tool.k6_csv, OPEN),
        "wrk2": (tool.wrk2, OPEN),
        "vegeta": (tool.vegeta, OPEN),
        "gatling": (tool.gatling, OPEN),
        "fortio": (tool.fortio, OPEN),
        "artillery": (tool.artillery, OPEN),
        "locust": (tool.locust, PAUSING),
        "jmeter": (tool.jmeter, PAUSING),
    },
    "closed": {
        name: (write, CLOSED)
        for name, write in (
            ("locust", tool.locust),
            ("k6", tool.k6),
            ("k6-csv", tool.k6_csv),
            ("wrk", tool.wrk),
            ("hey", tool.hey),
            ("jmeter", tool.jmeter),
            ("gatling", tool.gatling_loop),
            ("oha", tool.oha),
            ("bombardier", tool.bombardier),
            ("ab", tool.ab),
            ("fortio", tool.fortio),
            ("autocannon", tool.autocannon),
        )
    },
    "capped": {"k6": (tool.k6, [*OPEN, CAPPED])},
    "failing": {
        "k6": (tool.k6, [*OPEN, FAILING]),
        "wrk2": (tool.wrk2, [*OPEN, FAILING]),
        "vegeta": (tool.vegeta, [*OPEN, FAILING]),
        "gatling": (tool.gatling, [*OPEN, FAILING]),
        "fortio": (tool.fortio, [*OPEN, FAILING]),
        "artillery": (tool.artillery, [*OPEN, FAILING]),
        "ab": (tool.ab, [*CLOSED, FAILING_LOOP]),
        "locust": (tool.locust, [*CLOSED, FAILING_LOOP]),
        "wrk": (tool.wrk, [*CLOSED, FAILING_LOOP]),
        "hey": (tool.hey, [*CLOSED, FAILING_LOOP]),
        "jmeter": (tool.jmeter, [*CLOSED, FAILING_LOOP]),
        "oha": (tool.oha, [*CLOSED, FAILING_LOOP]),
        "bombardier": (tool.bombardier, [*CLOSED, FAILING_LOOP]),
        "autocannon": (tool.autocannon, [*CLOSED, FAILING_LOOP]),
    },
    "saturated": {
        "wrk2": (tool.wrk2, [*OPEN, SATURATED]),
        "vegeta": (tool.vegeta, [*OPEN, SATURATED]),
        "gatling": (tool.gatling, [*OPEN, SATURATED]),
        "locust": (tool.locust, [*CLOSED, FULL]),
        "k6": (tool.k6, [*CLOSED, FULL]),
        "wrk": (tool.wrk, [*CLOSED, FULL]),
        "hey": (tool.hey, [*CLOSED, FULL]),
        "jmeter": (tool.jmeter, [*CLOSED, FULL]),
        "oha": (tool.oha, [*CLOSED, FULL]),
        "bombardier": (tool.bombardier, [*CLOSED, FULL]),
        "ab": (tool.ab, [*CLOSED, FULL]),
        "fortio": (tool.fortio, [*CLOSED, FULL]),
        "autocannon": (tool.autocannon, [*CLOSED, FULL]),
    },
}


@pytest.mark.parametrize(
    ("mode", "name"), [(mode, name) for mode, tools in DRIVEN.items() for name in tools], ids=lambda v: v
)
def test_the_fleet_of_the_file_is_that_of_the_known_queue(tmp_path, mode, name):
    assert abs(fleet_of(tmp_path, *DRIVEN[mode][name]) - known()) <= 1


def read(tmp_path, text, name="result.txt", **told):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_load_tests([tmp_path / name], **told)


@pytest.mark.parametrize("text", [HEY, OHA, BOMBARDIER], ids=["hey", "oha", "bombardier"])
def test_the_saturation_of_a_loop_is_no_rate_that_it_bears(tmp_path, text):
    """50 workers without a pause, 105.39/s × 0.4721 s = 49.8 inside: the server was full."""
    (point,) = read(tmp_path, text)
    assert point["concurrency"] == 50
    (found,) = Measured(machines={"m7i.xlarge": [point]}).deployments(M7I, Arrivals())
    assert found.model.goodput_rps(Objective(latency_p99_s=0.8)).arrival_rate_rps < 100


@pytest.mark.parametrize("mark", [";", "\t", "|"])
@pytest.mark.parametrize("layout", ["%Y/%m/%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f%z"])
def test_jmeter_is_read_as_it_was_told_to_write(tmp_path, mark, layout):
    plain = tool.jmeter(tool.closed_run(4, seconds=20.0))
    head, *rows = plain.splitlines()
    stamped = [datetime.fromtimestamp(int(r.partition(",")[0]) / 1e3, UTC).strftime(layout) for r in rows]
    other = [head, *(f"{s},{r.partition(',')[2]}" for s, r in zip(stamped, rows, strict=True))]
    (point,), (known,) = (read(tmp_path, t) for t in ("\n".join(other).replace(",", mark), plain))
    assert point == pytest.approx(known)


BESIDE = {
    "k6 on the screen": ("http_req_duration..............: avg=20ms med=18ms p(95)=40ms\n", "--summary-export"),
    "k6 JSON": ('{"type":"Metric","data":{},"metric":"http_reqs"}\n{"metric":"x","type":"Point"}\n', "--out csv=FILE"),
    "JMeter XML": ('<?xml version="1.0"?>\n<testResults version="1.2">\n</testResults>\n', "output_format=csv"),
    "vegeta encoded": ('{"attack":"","seq":0,"code":200,"latency":2000000}\n', "vegeta report -type=json"),
    "autocannon on the screen": ("┌───┐\n│ Stat    │ 2.5% │ 50%  │\n└───┘\n", "--json"),
    "hey CSV": ("response-time,DNS+dialup,DNS,Request-write\n0.05,0.0,0.0,0.0\n", "without -o csv"),
    "Gatling's page": ("<!DOCTYPE html><title>Gatling Stats</title>", "js/stats.json"),
    "wrk without percentiles": (
        re.sub(r" +\d+% .*\n", "", tool.wrk(tool.closed_run(4))),
        "wrk prints them with --latency",
    ),
    "a table of one's own": ("rps,p50_ms,p99_ms\n100,12,30\n", "arrival_rate_rps, latency_p50_s"),
}


@pytest.mark.parametrize(("text", "way_out"), BESIDE.values(), ids=BESIDE)
def test_what_a_tool_writes_beside_its_result_is_named_with_the_way_to_it(tmp_path, text, way_out):
    with pytest.raises(PlannerError, match=way_out):
        read(tmp_path, text)


WRK2 = """Running 30s test @ http://10.0.0.5:80/index.html
  2 threads and 100 connections
  Thread calibration: mean lat.: 10087 usec, rate sampling interval: 22 msec
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.60ms    1.92ms  12.50ms   68.46%
    Req/Sec     1.04k     1.08k    2.50k    72.79%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    6.67ms
 90.000%    9.14ms
 99.000%   {p99}ms
----------------------------------------------------------
  {n} requests in 30.00s, 19.81MB read
Requests/sec:   {rate}
"""
K6 = (
    '{{"metrics": {{"http_req_duration": {{"avg": 6.6, "med": 6.67, "p(90)": 9.14, "p(95)": 10, "p(99)": {p99}}},'
    ' "http_reqs": {{"count": {n}, "rate": {rate}}}, "http_req_failed": {{"value": 0}},'
    ' "vus": {{"value": 300, "min": 100, "max": 300}}}}}}'
)


@pytest.mark.parametrize("text", [WRK2, VEGETA, K6], ids=["wrk2", "vegeta", "k6"])
def test_a_rate_sweep_is_open_points(tmp_path, text):
    for rate, p99 in ((2000.15, 11.18), (4000.2, 18.4)):
        (tmp_path / f"{rate}").write_text(text.format(rate=rate, p99=p99, n=int(rate * 30)), encoding="utf-8")
    points = read_load_tests([tmp_path / "2000.15", tmp_path / "4000.2"])
    assert [(p["arrival_rate_rps"], p["latency_p99_s"]) for p in points] == [
        (2000.15, pytest.approx(0.01118)),
        (4000.2, pytest.approx(0.0184)),
    ]
    assert not any("concurrency" in p for p in points)


@pytest.mark.parametrize("text", [STATS, GATLING], ids=["locust", "gatling"])
def test_driving_that_cannot_be_told_is_refused_and_the_remedy_works(tmp_path, text):
    with pytest.raises(PlannerError, match=r"does not say how the test was driven.*clients: N"):
        read(tmp_path, text)
    assert [p["concurrency"] for p in read(tmp_path, text, clients=14)] == [14]
    assert "concurrency" not in read(tmp_path, text, driven="open")[0]
    assert "concurrency" not in read(tmp_path, text, clients=100)[0]


def test_a_full_server_and_a_failing_one_are_refused(tmp_path):
    with pytest.raises(PlannerError, match="are its saturation, no rate that it bears"):
        read(tmp_path, tool.wrk2(SATURATED()))
    for write in (tool.hey, tool.k6, tool.locust, tool.jmeter, tool.gatling_loop, tool.autocannon):
        with pytest.raises(PlannerError, match="no step with at most 1% failed"):
            read(tmp_path, write(FAILING_LOOP()))


@pytest.mark.parametrize("field", ["concurrency", "arrival_rate_rps"])
@pytest.mark.parametrize("value", ["-5", "0", "1e308", "nan", "inf", "many", ""])
def test_every_field_of_a_table_is_checked(tmp_path, field, value):
    row = {"arrival_rate_rps": "100", "concurrency": "4", "latency_p99_s": "0.05"} | {field: value}
    text = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    if (field, value) in (("concurrency", "nan"), ("concurrency", "")):
        assert "concurrency" not in read(tmp_path, text)[0]
        return
    with pytest.raises(PlannerError, match=r"result\.txt"):
        read(tmp_path, text)


def test_clients_that_cannot_hold_the_requests_are_refused(tmp_path):
    with pytest.raises(PlannerError, match="cannot hold"):
        read(tmp_path, "arrival_rate_rps,concurrency,latency_p50_s\n1000,4,0.5\n")


def sized(vcpus, name):
    return replace(M7I, vcpus=vcpus, instance_type=name, memory_gib=4 * vcpus)


def test_neighboring_sizes_are_served_as_modeled_and_far_ones_are_not():
    steps = [{"arrival_rate_rps": r, "latency_p99_s": t} for r, t in ((40, 0.05), (120, 0.09), (180, 0.4))]
    measured = Measured(machines={"m7i.xlarge": steps})
    family = [M7I, sized(8, "m7i.2xlarge"), sized(2, "m7i.large"), sized(64, "m7i.16xlarge")]
    model = measured.beside(family)
    own, double, half = (model.deployments(m, Arrivals())[0].model for m in family[:3])
    assert (own.basis, double.basis, half.basis) == ("measured", "modeled", "modeled")
    gain = double.largest_rate_rps / own.largest_rate_rps
    assert gain == pytest.approx(2 * (1 + 0.03 * 3) / (1 + 0.03 * 7))
    assert own.error_share < double.error_share < half.error_share
    assert "assumed; measure a second size" in double.method
    assert model.deployments(family[3], Arrivals()).reason == "too far from a measured size of its family"
    assert isinstance(model.deployments(replace(M7I, family="c7i", instance_type="c7i.xlarge"), Arrivals()), Excuse)
    assert isinstance(
        Measured(machines={"m7i.xlarge": steps}, neighbors=False).beside(family).deployments(family[1], Arrivals()),
        Excuse,
    )


def test_three_measured_sizes_give_their_own_law():
    law = ScalabilityLaw(0.05, 0.001, 60.0)
    rates = {n: float(law.throughput(n)) for n in (2, 4, 16)}
    machines = {f"m7i.{n}": [{"arrival_rate_rps": r, "latency_p99_s": 0.1}] for n, r in rates.items()}
    family = [sized(n, f"m7i.{n}") for n in (2, 4, 16, 8)]
    (found,) = Measured(machines=machines).beside(family).deployments(family[3], Arrivals())
    assert found.model.largest_rate_rps == pytest.approx(float(law.throughput(8)), rel=1e-3)
    assert "scalability law of 3 sizes" in found.model.method
