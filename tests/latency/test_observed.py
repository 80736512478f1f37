"""Production instead of a load test: utilization law, percentiles, telemetry files, one sentence to a fleet."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from planner.capacity import service_model
from planner.catalog import Catalog
from planner.cli import main
from planner.errors import PlannerError
from planner.latency import Arrivals, Excuse, Machine
from planner.latency.observed.service import Observed
from planner.latency.observed.telemetry import read_telemetry
from planner.scenario import Objective, Scenario
from tests.builders.production import observe

OWN = Machine("aws", "us-east-1", "m6i.2xlarge", "m6i", "x86_64", 8.0, 32.0, threads_per_core=2.0)
# vCPUs, CPU seconds a request, their scv, seconds without CPU, their scv
QUEUES = {
    "exponential": (8, 0.036, 1, 0.0, 1),
    "steady, then a database": (4, 0.01, 0.5, 0.02, 0),
    "lumpy, then a database": (4, 0.01, 2, 0.02, 1),
    "mostly waiting": (2, 0.005, 1, 0.05, 0.5),
    "heavy tail": (16, 0.02, 4, 0.01, 1),
    "constant": (8, 0.02, 0, 0.0, 1),
}
MACHINES = 3


def points(queue, shares=(0.25, 0.35, 0.45, 0.55, 0.6)):
    servers, cpu_s, *_ = queue
    rows = []
    for k, share in enumerate(shares):
        rate = share * servers / cpu_s
        used, times = observe(rate, *queue, seed=k)
        named = zip(("p50", "p90", "p95", "p99"), times, strict=True)
        rows.append(
            {"arrival_rate_rps": rate * MACHINES, "cpu_utilization": used} | {f"latency_{n}_s": t for n, t in named}
        )
    return rows


def model(rows, servers=8, machine="m6i.2xlarge", **more):
    own = Machine("aws", "us-east-1", machine, "m6i", "x86_64", float(servers), 32.0)
    given = Observed(machine=machine, machines=MACHINES, points=rows, **more)
    (found,) = given.beside([own]).deployments(own, Arrivals())
    return found.model


@pytest.mark.parametrize("few", [False, True], ids=["five points", "one point"])
@pytest.mark.parametrize("queue", QUEUES.values(), ids=QUEUES)
def test_the_known_queue_comes_back(queue, few):
    """Service time within 3 %, p99 at 1.3 times the load within 15 %."""
    rows = points(queue)
    found = model(rows[-1:] if few else rows, queue[0])
    assert found.cpu_s == pytest.approx(queue[1], rel=0.03)
    rate = 1.3 * 0.6 * queue[0] / queue[1]
    _, times = observe(rate, *queue, count=200_000, seed=99)
    assert float(found.latency_s(rate, 1, 0.99)) == pytest.approx(times[3], rel=0.15)
    assert found.basis == "measured"


def test_what_runs_without_requests_is_told_from_their_cost():
    queue = QUEUES["exponential"]
    rows = [r | {"cpu_utilization": r["cpu_utilization"] + 0.08} for r in points(queue)]
    found = model(rows)
    assert found.cpu_s == pytest.approx(queue[1], rel=0.03)
    assert found.idle_share == pytest.approx(0.08, abs=0.01)
    assert found.largest_rate_rps == pytest.approx(0.92 * 8 / 0.036, rel=0.03)


def test_a_single_percentile_or_none_is_enough_and_widens_the_band():
    row = {"arrival_rate_rps": 800, "cpu_utilization": 0.6, "machines": 6}
    with_p99, without = model([row | {"latency_p99_s": 0.18}]), model([row])
    assert with_p99.cpu_s == without.cpu_s == pytest.approx(0.6 * 8 * 6 / 800)
    assert float(with_p99.latency_s(800 / 6, 1, 0.99)) == pytest.approx(0.18, rel=0.03)
    assert without.error_share > with_p99.error_share
    assert "no latency among them" in without.method


def telemetry(days=10, wrong=1.0):
    """Hours of production: rates over the day, the last day's CPU ``wrong`` times what it should be."""
    lines = ["ts,arrival_rate_rps,cpu_percent,machines,latency_p50_ms,latency_p99_ms"]
    for day in range(days):
        for hour in (2, 8, 14, 20):
            share = 0.2 + 0.4 * math.sin(math.pi * hour / 24)
            used, times = observe(share * 8 / 0.02, 8, 0.02, 1, 0.01, 1, count=20_000, seed=hour + 24 * (day % 3))
            busy = used * (wrong if day == days - 1 else 1)
            rate = share * 8 / 0.02 * 4
            lines.append(
                f"2026-10-{day + 1:02}T{hour:02}:00:00Z,{rate:.3f},{busy * 100:.3f},4,{times[0] * 1e3},{times[3] * 1e3}"
            )
    return "\n".join(lines) + "\n"


def test_telemetry_gives_the_queue_and_days_held_out_give_the_band(tmp_path):
    (tmp_path / "t.csv").write_text(telemetry(), encoding="utf-8")
    (tmp_path / "bad.csv").write_text(telemetry(days=4, wrong=1.4), encoding="utf-8")
    calm, doubtful = (
        Observed.model_validate({"machine": "m6i.2xlarge", "telemetry": name}, context={"folder": tmp_path})
        .beside([OWN])
        .deployments(OWN, Arrivals())[0]
        .model
        for name in ("t.csv", "bad.csv")
    )
    assert calm.cpu_s == pytest.approx(0.02, rel=0.03)
    assert "10 days, each predicted from the others" in calm.method
    assert calm.error_share < 0.15 < doubtful.error_share


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of telemetry"),
        ("a,b\n1,2\n", "columns that are not known: a, b"),
        ("arrival_rate_rps\n5\n", "lacks cpu_utilization"),
        ("arrival_rate_rps,cpu_utilization\n5,60\n", r"row 2: 60 is above 1; name the column cpu_percent"),
        ("arrival_rate_rps,cpu_utilization\n5,0.5\n-5,0.5\n", r"row 3: arrival_rate_rps is not a number ≥ 0"),
        ("arrival_rate_rps,cpu_utilization\n5,many\n", r"row 2: cpu_utilization is not a number ≥ 0 \(got 'many'\)"),
        ("arrival_rate_rps,cpu_utilization\n0,0\n", "has no row with both"),
        ("ts,arrival_rate_rps,cpu_utilization\ntoday,5,0.5\n", "row 2: ts is not an ISO 8601 instant"),
        ("\x00\x01", "known"),
    ],
)
def test_telemetry_that_cannot_be_is_named_with_file_and_row(tmp_path, text, message):
    path = tmp_path / "telemetry.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlannerError, match=message) as caught:
        read_telemetry(path)
    assert "telemetry.csv" in str(caught.value)


def test_other_machines_are_modeled_with_a_wider_band():
    rows = points(QUEUES["exponential"])
    given = Observed(machine="m6i.2xlarge", machines=MACHINES, points=rows, archs=("x86_64",))
    fitted = given.beside([OWN])
    other = Machine("aws", "us-east-1", "c7i.4xlarge", "c7i", "x86_64", 16.0, 32.0)
    bigger = Machine("aws", "us-east-1", "m6i.4xlarge", "m6i", "x86_64", 16.0, 64.0)
    arm = Machine("aws", "us-east-1", "m7g.2xlarge", "m7g", "arm64", 8.0, 32.0)
    own, larger, elsewhere = (fitted.deployments(m, Arrivals())[0].model for m in (OWN, bigger, other))
    assert (own.basis, larger.basis, elsewhere.basis) == ("measured", "modeled", "modeled")
    assert own.error_share == larger.error_share < elsewhere.error_share
    goal = Objective(latency_p99_s=0.3)
    assert larger.goodput_rps(goal).arrival_rate_rps > 2 * own.goodput_rps(goal).arrival_rate_rps
    assert isinstance(fitted.deployments(arm, Arrivals()), Excuse)


BASE = {"model": "observed", "machine": "m6i.2xlarge", "machines": 6}
POINT = {"arrival_rate_rps": 800, "cpu_utilization": 0.6, "latency_p99_s": 0.18}


def scenario(tmp_path, latency, **more):
    hours = [f"2026-{9 + d // 28:02}-{d % 28 + 1:02}T{h:02}:00:00Z,800" for d in range(28) for h in range(24)]
    (tmp_path / "history.csv").write_text("ts,arrival_rate_rps\n" + "\n".join(hours) + "\n", encoding="utf-8")
    written = {
        "name": "today",
        "start": "2026-11-01",
        "horizon_h": 72,
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "services": {
            "app": {
                "traffic": {"file": "history.csv", "user_time_zone": "UTC"},
                "latency": latency,
                "objective": {"latency_p99_s": 0.18, "load_quantile": 0.5},
            }
        },
        "limits": {"max_term_months": 0, "instance_types": ["m6i.2xlarge"]},
    }
    path = tmp_path / "scenario.yaml"
    path.write_text(json.dumps(written | more), encoding="utf-8")
    return path


def test_one_sentence_of_production_is_planned_in_one_command(tmp_path):
    """CPU 60 % at 800 requests/s on 6 × m6i.2xlarge: today's fleet comes back."""
    path = scenario(tmp_path, BASE | {"points": [POINT]})
    done = CliRunner().invoke(main, ["plan", str(path), "--paths", "10", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    machines = json.loads(done.stdout)["machines"]
    assert abs(max(m["max_instances"] for m in machines) - 6) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "give either points or telemetry"),
        ({"points": [POINT], "telemetry": "t.csv"}, "give either points or telemetry"),
        ({"telemetry": "absent.csv"}, r"absent\.csv"),
        ({"points": [POINT], "machines": None}, "add machines: N"),
        ({"points": [POINT | {"cpu_utilization": 60}]}, "less than or equal to 1"),
        ({"points": [POINT | {"arrival_rate_rps": -1}]}, "greater than 0"),
        ({"points": [POINT | {"latency_p50_s": 1}]}, "must not fall from p50 to p99"),
        ({"points": [POINT], "machine": "m6i.3xlarge"}, r"no such machine .*Did you mean m6i\.\w+"),
        ({"points": [POINT | {"latency_p99_s": 0.001}]}, "uses 36 ms of CPU, more than it was seen to take"),
    ],
)
def test_faults_name_the_service_and_what_to_do(tmp_path, change, message):
    read = Scenario.read(scenario(tmp_path, BASE | change))
    with pytest.raises(PlannerError, match=message) as caught:
        service_model(read, "app").beside(catalog_machines())
    if "no such machine" not in message and "36 ms" not in message:
        assert "services.app.latency" in str(caught.value)


def catalog_machines():
    table = Catalog.read("aws", regions=("us-east-1",)).instances
    return [
        Machine("aws", "us-east-1", t, f, a, v, m)
        for t, f, a, v, m in table[["instance_type", "family", "arch", "vcpus", "memory_gib"]].itertuples(index=False)
    ]


def test_cpu_that_does_not_grow_with_the_rate_is_refused():
    rows = [{"arrival_rate_rps": r, "cpu_utilization": u} for r, u in ((100, 0.6), (200, 0.5), (300, 0.4))]
    with pytest.raises(PlannerError, match="does not grow with the rate"):
        model(rows)


def test_observed_loads_are_monotone():
    found = model(points(QUEUES["lumpy, then a database"]), 4)
    rates = np.linspace(1, found.largest_rate_rps * 0.999, 50)
    for q in (0.5, 0.9, 0.95, 0.99):
        assert (np.diff(found.latency_s(rates, 1, q)) >= -1e-12).all()
    assert math.isinf(float(found.latency_s(found.largest_rate_rps * 1.01, 1, 0.5)))
