"""Speeds of CPU families: a service measured on one machine, put on others."""

import csv
import math

import pytest

from planner.data import data_path
from planner.errors import PlannerError
from planner.latency import Arrivals, Machine
from planner.latency.cpus import SERVICE_ERROR, cpu_speed, moved
from planner.latency.queue.queueing import Queue


def machine(family: str, threads: float, arch: str = "x86_64", provider: str = "aws") -> Machine:
    return Machine(provider, "us-east-1", f"{family}.xlarge", family, arch, 4.0, 16.0, threads_per_core=threads)


def rate(queue: Queue, on: Machine) -> float:
    deployments = queue.deployments(on, Arrivals())
    assert not hasattr(deployments, "reason")
    return deployments[0].model.largest_rate_rps


def test_a_saturated_service_moves_by_the_ratio_of_speeds():
    """All vCPUs busy, whatever the threads a core."""
    queue = Queue(service_time_s=0.05, measured_on="m6i.xlarge")
    own = rate(queue, machine("m6i", 2))
    assert own == pytest.approx(rate(Queue(service_time_s=0.05), machine("m6i", 2)))
    for family, threads, arch in (("m6g", 1, "arm64"), ("m8g", 1, "arm64"), ("m7i", 2, "x86_64"), ("m5a", 2, "x86_64")):
        ratio = cpu_speed("aws", family).speed / cpu_speed("aws", "m6i").speed
        assert rate(queue, machine(family, threads, arch)) / own == pytest.approx(ratio)


def test_a_stated_speed_wins_over_the_table_and_has_no_wider_band():
    queue = Queue(service_time_s=0.05, measured_on="m6i", speed={"m8g": 1.2})
    on = machine("m8g", 1, "arm64")
    assert queue.worker_speed(on) == 1.2
    assert queue.input_error(on) == queue.error_share
    assert queue.input_error(machine("m7g", 1, "arm64")) > 0.3


def test_the_band_is_wider_where_only_the_processor_or_nothing_is_known():
    queue = Queue(service_time_s=0.05, measured_on="m6i")
    by_basis = {}
    for family in ("m7g", "m8gd", "no-such-family"):
        by_basis[cpu_speed("aws", family).basis] = queue.input_error(machine(family, 1, "arm64"))
    assert by_basis["measured"] < by_basis["processor"] < by_basis["unknown"]
    assert queue.input_error(machine("m6i", 2)) == queue.error_share


def test_another_cloud_is_measured_on_the_same_scale():
    queue = Queue(service_time_s=0.05, measured_on="m6i.large")
    n2 = Machine("gcp", "us-central1", "n2-standard-4", "n2", "x86_64", 4.0, 16.0, threads_per_core=2.0)
    assert queue.worker_speed(n2) == pytest.approx(cpu_speed("gcp", "n2").speed / cpu_speed("aws", "m6i").speed)


def test_a_machine_that_no_table_knows_is_refused():
    with pytest.raises((PlannerError, ValueError), match="no table knows the CPU"):
        Queue(service_time_s=0.05, measured_on="z99.large")


def test_service_pairs_fall_inside_the_band(reference):
    """Measured ratios of services between two families of the table."""
    path = reference("prices") / "cpu_speed_service.csv"
    if not path.exists():
        pytest.skip("no service pairs in the folder")
    with path.open(encoding="utf-8", newline="") as file:
        pairs = [r for r in csv.DictReader(file) if "up to" not in r["note"]]
    inside = []
    for r in pairs:
        own, other = cpu_speed(r["provider_b"], r["family_b"]), cpu_speed(r["provider_a"], r["family_a"])
        ratio, band = moved(own, other)
        inside.append(abs(math.log(float(r["ratio_a_over_b"]) / ratio)) <= band)
    assert 0.85 <= sum(inside) / len(inside) <= 0.96, sum(inside) / len(inside)
    assert SERVICE_ERROR < 0.4


def test_every_speed_has_a_basis_and_a_band():
    with data_path("hardware", "cpu_speed.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["basis"] for r in rows} == {"measured", "processor", "unknown"}
    assert all(0.2 < float(r["speed"]) < 3 and 0 < float(r["error_log"]) < 0.7 for r in rows)
    assert len({(r["provider"], r["family"]) for r in rows}) == len(rows) > 350
