"""Per-size ceilings of disks and networks, and volumes: each against the provider's documented
figure.
"""

import math

import numpy as np
import pytest

from planner.capacity import size
from planner.capacity.ceilings import machine_limits, network_gib_per_s, too_slow_a_disk, volumes_of, within_network
from planner.capacity.needs import needs_frame
from planner.catalog import Catalog
from planner.latency import Deployment, Goodput, Machine
from planner.optimizer.bill.metered import unit_prices
from tests.builders import hand

MB, GBIT = 1e6 / 2**20, 1e9 / 8 / 2**30  # in MiB and GiB
BUSY = Goodput(1e9, "latency_p99_s", 0.8)


def service(storage=None, network=None):
    quiet = {"load_balancer": False, "public_ipv4": 0, "nat_gib_per_request": 0}
    return hand.scenario(
        **{
            "services.web.storage": {"log_gib_per_request": 0, "metrics_per_instance": 0, **(storage or {})},
            "services.web.network": {**quiet, **(network or {})},
        }
    ).services["web"]


def machine(provider, name, vcpus=8.0, gbit=math.nan):
    return Machine(provider, "r", name, "f", "x86_64", vcpus, 32.0, network_gib_per_s=gbit * GBIT)


@pytest.mark.parametrize(
    ("provider", "name", "iops", "mib"),
    [
        # EBS-optimized instances: baseline 3,600 IOPS and 650 Mbit/s
        ("aws", "m5.large", 3600, 81.25 * MB),
        ("azure", "Standard_D2s_v5", 3750, 85 * MB),  # Dsv5 sizes, uncached
        # fewer active cores, the disks of the whole size
        ("azure", "Standard_E16-4s_v5", 25600, 600 * MB),
        ("azure", "Standard_NC24ads_A100_v4", 30000, 1000 * MB),
        # balanced persistent disk by machine series and vCPUs
        ("gcp", "n2-standard-8", 15000, 800),
        ("gcp", "c2-standard-16", 4000, 480),
        ("gcp", "g2-standard-4", 15000, 240),
    ],
)
def test_disks_of_each_size(provider, name, iops, mib):
    limits = machine_limits()[provider, name]
    assert (limits.disk_iops, limits.disk_mib_per_s) == (iops, pytest.approx(mib, abs=0.01))


def test_every_limit_is_of_a_machine_for_sale_and_the_usual_families_have_one():
    for provider in ("azure", "gcp"):
        names = set(Catalog.read(provider).instances["instance_type"])
        assert all(name in names for p, name in machine_limits() if p == provider)
    shapes = Catalog.read("gcp").instances
    usual = shapes.loc[
        shapes["family"].isin(["n1", "n2", "n2d", "e2", "c2", "c2d", "c3", "c3d", "g2"]), "instance_type"
    ].unique()
    assert np.mean([("gcp", n) in machine_limits() for n in usual]) > 0.9
    assert ("gcp", "e2-micro") not in machine_limits()  # a part of a core: unknown, not that of two


@pytest.mark.parametrize(
    ("provider", "name", "storage", "gap"),
    [
        ("azure", "Standard_D2s_v5", {"block_mib_per_s": 90}, "sustains 81.06 MiB/s of 90 needed"),
        ("gcp", "n2-standard-4", {"block_iops": 16000}, "sustains 15000 IOPS of 16000 needed"),
        ("azure", "Standard_D64s_v5", {"block_iops": 4000}, "8 of block/standard-ssd needed, 4 fit"),
    ],
)
def test_a_disk_that_is_too_slow_is_excused_with_its_gap(provider, name, storage, gap):
    found = too_slow_a_disk(service({"block_gib": 100, **storage}), machine(provider, name), None)
    assert found is not None
    assert found.gap == gap


def test_unknown_limits_excuse_nobody():
    assert (
        too_slow_a_disk(service({"block_gib": 100, "block_iops": 1e6}), machine("gpu_cloud", "x/1x-H100"), None) is None
    )


def test_network_is_the_baseline_not_the_burst():
    """m5.large is sold as "up to 10 Gbit/s" and sustains 0.75 (EC2 instance network bandwidth)."""
    shapes = Catalog.read("aws", regions=["us-east-1"]).instances.set_index("instance_type")
    assert shapes.loc["m5.large", "network_gib_per_s"] == pytest.approx(0.75 * GBIT, rel=1e-4)
    assert network_gib_per_s(machine("azure", "Standard_D16s_v5")) == pytest.approx(12.5 * GBIT, rel=1e-3)
    assert network_gib_per_s(machine("gcp", "n1-standard-8")) == pytest.approx(16 * GBIT, rel=1e-3)
    assert math.isnan(network_gib_per_s(machine("gcp", "c4-standard-8")))


@pytest.mark.parametrize(
    ("who", "gbit"),
    [
        (machine("gcp", "n2-standard-32", 32), 7),  # to the internet without Tier_1 networking
        (machine("aws", "c5n.4xlarge", 16, 15), 5),  # below 32 vCPUs
        (machine("aws", "c5n.9xlarge", 36, 50), 25),  # half of it from 32 vCPUs on
        (machine("aws", "m5.large", 2, 0.75), 0.75),
        (machine("azure", "Standard_D16s_v5", 16), 12.5),
    ],
)
def test_what_a_machine_may_send_to_the_internet(who, gbit):
    found = within_network(BUSY, service(network={"egress_gib_per_request": 0.001}), who, Deployment(1.0, "", None))
    assert found.binding_objective == "network"
    assert found.arrival_rate_rps == pytest.approx(gbit * GBIT / 0.001, rel=1e-3)


def test_a_balancer_takes_the_answers_inside_the_region():
    behind = service(network={"egress_gib_per_request": 0.001, "load_balancer": True})
    assert within_network(
        BUSY, behind, machine("aws", "c5n.4xlarge", 16, 15), Deployment(1.0, "", None)
    ).arrival_rate_rps == pytest.approx(15 * GBIT / 0.001, rel=1e-3)


@pytest.mark.parametrize(
    ("provider", "kind", "storage", "count", "gib"),
    [
        ("aws", "block/gp3", {"block_gib": 100, "block_iops": 16000}, 1, 100),
        # 16,000 IOPS a volume
        ("aws", "block/gp3", {"block_gib": 100, "block_iops": 20000}, 2, 100),
        # 1,000 MiB/s a volume
        ("aws", "block/gp3", {"block_gib": 100, "block_mib_per_s": 2500}, 3, 100),
        # 3,000 IOPS and 6 for each GiB
        ("gcp", "block/pd-balanced", {"block_gib": 100, "block_iops": 9000}, 1, 1000),
        (
            "gcp",
            "block/pd-balanced",
            {"block_gib": 100, "block_mib_per_s": 420},
            1,
            1000,
        ),  # 140 MiB/s and 0.28 for each GiB
        ("gpu_cloud", "block/network-volume", {"block_gib": 100, "block_iops": 9000}, 1, 100),
    ],
)
def test_a_need_above_one_volume_becomes_more_or_larger_ones(provider, kind, storage, count, gib):
    assert volumes_of(service(storage), provider, kind, None) == (count, pytest.approx(gib))


def test_each_volume_brings_what_is_included():
    """20,000 IOPS on two gp3 volumes: 3,000 are free on each, 0.005 USD an IOPS-month for the other
    7,000 of each.
    """
    s = hand.scenario(**{"services.web.storage": {"block_gib": 100, "block_iops": 20000}})
    offer = Catalog.read("aws", regions=["us-east-1"])
    (need,) = (n for n in needs_frame(s, offer).to_dict("records") if n["resource"] == "block/gp3/iops")
    usd, unit = unit_prices(offer, need, ["us-east-1"])["us-east-1"]
    assert (need["volumes"], unit) == (2.0, "IOPS-month")
    assert 20000 * usd == pytest.approx(2 * 7000 * 0.005)


def test_google_disks_grow_to_perform_and_the_row_says_so():
    s = hand.scenario(
        providers=["gcp"],
        regions=["us-central1"],
        **{
            "services.web.storage": {"block_gib": 100, "block_iops": 9000},
            "services.web.latency": {"model": "queue", "service_time_s": 0.05},
        },
    )
    capacity = size(s, Catalog.read("gcp", regions=["us-central1"]), hand.load(s, {"web": np.full(48, 5.0)}))
    rows = capacity.needs[capacity.needs["charge"] == "block_storage"]
    assert rows[["needs_quantity", "basis"]].to_numpy().tolist() == [[100.0, "measured"], [900.0, "modeled"]]
