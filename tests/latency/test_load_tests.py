"""Load tests in the layouts of their tools: Little's law tells how they were driven, and the fleet is the known
queue's.
"""

import math

import pytest

from planner.errors import PlannerError
from planner.latency import Arrivals, Machine
from planner.latency.measured.loadtests import read_load_tests
from planner.latency.measured.measured import Measured
from planner.latency.queue.queueing import Queue
from planner.scenario import Objective
from tests.builders import loadtests as tool

M7I = Machine("aws", "us-east-1", "m7i.xlarge", "m7i", "x86_64", 4.0, 16.0, threads_per_core=2.0)
GOAL = Objective(latency_p99_s=0.2, load_quantile=0.5)
DEMAND_RPS = 1000.0
SHARES = (0.2, 0.4, 0.6, 0.75, 0.85, 0.92)
CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

OPEN = [tool.open_run(200 * s) for s in SHARES]
CLOSED = [tool.closed_run(n) for n in CLIENTS]
SATURATED, FAILING = tool.open_run(240.0), tool.open_run(190.0, failing=0.2)
CAPPED = tool.open_run(260.0, cap=60)
PAUSING = [tool.closed_run(n, think_s=0.5) for n in (20, 40, 60, 80, 100, 130)]
FULL, FAILING_LOOP = tool.closed_run(200), tool.closed_run(48, failing=0.2)


def fleet(model) -> int:
    (found,) = model.deployments(M7I, Arrivals())
    return math.ceil(DEMAND_RPS / found.model.goodput_rps(GOAL).arrival_rate_rps)


def fleet_of(tmp_path, write, runs) -> int:
    names = []
    for k, run in enumerate(runs):
        (tmp_path / f"{k}.txt").write_text(write(run), encoding="utf-8")
        names.append(f"{k}.txt")
    given = {"machines": {"m7i.xlarge": {"files": names}}}
    return fleet(Measured.model_validate(given, context={"folder": tmp_path}))


KNOWN = fleet(Queue(service_time_s=tool.SERVICE_S, threads_share=1.0))

DRIVEN = {
    "open": {
        "k6": (tool.k6, OPEN),
        "k6-csv": (tool.k6_csv, OPEN),
        "wrk2": (tool.wrk2, OPEN),
        "vegeta": (tool.vegeta, OPEN),
        "gatling": (tool.gatling, OPEN),
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
            ("autocannon", tool.autocannon),
        )
    },
    "capped": {"k6": (tool.k6, [*OPEN, CAPPED])},
    "failing": {
        "k6": (tool.k6, [*OPEN, FAILING]),
        "wrk2": (tool.wrk2, [*OPEN, FAILING]),
        "vegeta": (tool.vegeta, [*OPEN, FAILING]),
        "gatling": (tool.gatling, [*OPEN, FAILING]),
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
        "autocannon": (tool.autocannon, [*CLOSED, FULL]),
    },
}


@pytest.mark.parametrize(
    ("mode", "name"), [(mode, name) for mode, tools in DRIVEN.items() for name in tools], ids=lambda v: v
)
def test_the_fleet_of_the_file_is_that_of_the_known_queue(tmp_path, mode, name):
    assert abs(fleet_of(tmp_path, *DRIVEN[mode][name]) - KNOWN) <= 1
