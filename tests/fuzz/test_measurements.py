"""Damaged measurements, bills and holdings: any input ends in a result that could be, or in a typed error.

A short run goes with every suite; FUZZ_INPUTS=200000 makes it a long one.
"""

import json
import math

import pytest

from planner.actuals import read_bill
from planner.catalog.holdings import read_holdings, reserved_instance, savings_plan
from planner.errors import CatalogError, PlannerError, one_door
from planner.latency.llm.records import read_llm_benchmark
from planner.latency.measured.loadtests import LOAD_TEST_FORMATS, read_load_tests
from planner.latency.observed.telemetry import read_telemetry
from tests.builders import damage
from tests.builders import loadtests as tool
from tests.builders.written import (
    BOMBARDIER,
    CE_RESULTS,
    GATLING,
    GCP_ROW,
    GUIDE,
    HEY,
    OHA,
    PLAN,
    PROFILE,
    RESERVED,
    SERVING,
    STATS,
    VEGETA,
)

SHORT = tool.open_run(100.0, seconds=3.0)
LOOP = tool.closed_run(4, seconds=3.0)
LOAD_TESTS = [
    HEY,
    OHA,
    BOMBARDIER,
    GATLING,
    STATS,
    VEGETA.format(rate=2000, p99=11),
    *(write(SHORT) for write in (tool.k6, tool.k6_csv, tool.wrk2, tool.vegeta, tool.gatling)),
    *(write(LOOP) for write in (tool.locust, tool.wrk, tool.jmeter, tool.gatling_loop, tool.bombardier)),
    tool.autocannon(LOOP),
    "arrival_rate_rps,concurrency,latency_p50_s,latency_p99_s\n5,1,0.01,0.03\n50,4,0.02,0.08\n",
]
BENCHMARKS = [
    json.dumps(one)
    for one in (
        SERVING,
        {"results": SERVING, "config": {"max_concurrency": 4}},
        PROFILE | {"input_config": {"loadgen": {"concurrency": 16}}},
        {"benchmarks": [GUIDE]},
    )
]
TELEMETRY = ["ts,arrival_rate_rps,cpu_percent,machines,latency_p99_ms\n2026-10-01T00:00:00Z,800,60,6,180\n" * 1]
BILLS = [
    "BilledCost,BillingCurrency,ChargePeriodStart,ServiceName\n1.5,USD,2026-10-01 00:00:00,AmazonCloudWatch\n",
    "lineItem/UnblendedCost,lineItem/UsageStartDate,lineItem/UsageType\n1.5,2026-10-01,BoxUsage:m6i.large\n",
    json.dumps({"ResultsByTime": CE_RESULTS, "GroupDefinitions": [{"Type": "DIMENSION", "Key": "USAGE_TYPE"}]}),
    json.dumps(GCP_ROW),
    "CostInBillingCurrency,MeterCategory,Date,Tags\n1.5,Virtual Machines,10/01/2026,\n",
]
HOLDINGS = ["commitment,quantity,end,region\naws/us-east-1/m6a.xlarge/standard_ri/1y/none,5,2027-03-01,us-east-1\n"]


def points_that_could_be(found):
    assert found
    for p in found:
        assert all(math.isfinite(v) and v > 0 for v in p.values())
        assert p["arrival_rate_rps"] < 1e9


def benchmarks_that_could_be(found):
    assert found
    for p in found:
        assert p.throughput_rps > 0
        assert p.mode in ("closed_loop", "open_rate", "offline_max")
        assert math.isnan(p.clients) or 1 <= p.clients <= 1e6


def telemetry_that_could_be(found):
    assert ((found.utilization > 0) & (found.utilization <= 1) & (found.rate_rps > 0)).all()


def bills_that_could_be(found):
    assert found["billed_cost_usd"].map(math.isfinite).all()


def holdings_that_could_be(found):
    assert all(e.quantity > 0 and math.isfinite(e.quantity) for e in found)


READERS = {
    "load tests": (LOAD_TESTS, lambda p, draw: read_load_tests([p]), points_that_could_be),
    "load tests of a stated format": (
        LOAD_TESTS,
        lambda p, draw: read_load_tests([p], draw.choice(list(LOAD_TEST_FORMATS))),
        points_that_could_be,
    ),
    "benchmarks": (BENCHMARKS, lambda p, draw: read_llm_benchmark(p), benchmarks_that_could_be),
    "telemetry": (TELEMETRY, lambda p, draw: read_telemetry(p), telemetry_that_could_be),
    "bills": (BILLS, lambda p, draw: read_bill(p), bills_that_could_be),
    "holdings": (HOLDINGS, lambda p, draw: read_holdings(p), holdings_that_could_be),
}


@pytest.mark.parametrize("name", READERS)
def test_any_damage_ends_in_a_result_or_a_typed_error(tmp_path, name):
    samples, read, could_be = READERS[name]
    draw, told, path = damage.drawing(name), damage.Told("input"), tmp_path / "input"
    with damage.within_memory():
        for _ in range(damage.INPUTS // len(READERS)):
            text = damage.damaged(draw.choice(samples), draw)
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
            with told.once():
                could_be(read(path, draw))
    assert told.named == told.refused > 0, "the file is named"


@pytest.mark.parametrize(("item", "read"), [(RESERVED, lambda i: reserved_instance(i, "r")), (PLAN, savings_plan)])
def test_answers_of_the_account_end_in_a_holding_or_a_typed_error(item, read):
    draw = damage.drawing(3)
    for _ in range(damage.INPUTS // 6):
        try:
            with one_door(lambda cause: CatalogError(cause, where="aws")):
                read(damage.changed(item, draw, 2))
        except PlannerError:
            continue


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep", "[" * 100_000),
        ("deep object", '{"a":' * 50_000),
        ("bytes", "\udcff\udcfe"),
        ("empty", ""),
        ("huge figure", json.dumps(SERVING).replace("100,", "1" * 5000 + ",")),
    ],
)
def test_absurd_files_are_refused_by_every_reader(tmp_path, name, text):
    path = tmp_path / "input"
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    for read in (lambda p: read_load_tests([p]), read_llm_benchmark, read_telemetry, read_bill, read_holdings):
        with pytest.raises(PlannerError, match="input"):
            read(path)


@pytest.mark.parametrize("scale", [10.0, 1000.0])
def test_the_unit_of_a_file_scales_its_points(tmp_path, scale):
    """Law: times written in another unit are other times, never silently the same."""
    path = tmp_path / "input"
    path.write_text(HEY, encoding="utf-8")
    before = read_load_tests([path])[0]
    text = json.loads(OHA)
    text["latencyPercentiles"] = {k: v * scale for k, v in text["latencyPercentiles"].items()}
    text["summary"] |= {"average": 0.4721 * scale, "requestsPerSec": 105.39 / scale}
    path.write_text(json.dumps(text), encoding="utf-8")
    after = read_load_tests([path])[0]
    assert after["latency_p99_s"] == pytest.approx(before["latency_p99_s"] * scale)
    assert after["concurrency"] == before["concurrency"]
