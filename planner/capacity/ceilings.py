"""Ceilings beside the processors: network and block disks of each machine size, and what one volume
gives.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from planner.capacity.assumed import disk_gib, nat_gib
from planner.catalog import provider_of
from planner.data import data_path
from planner.latency import Deployment, Excuse, Goodput, Machine
from planner.scenario import Service


@dataclass(frozen=True)
class Limits:
    """What a machine sustains on all its block disks [IOPS, MiB/s] and its network [GiB/s]; NaN is
    not known.
    """

    disk_iops: float
    disk_mib_per_s: float
    network_gib_per_s: float


@dataclass(frozen=True)
class VolumeLimits:
    """One volume of a class: performance included and for each GiB, its maxima, and how many may
    hang on a machine; inf is none.
    """

    included_iops: float
    iops_per_gib: float
    max_iops: float
    included_mib_per_s: float
    mib_per_s_per_gib: float
    max_mib_per_s: float
    max_gib: float
    max_volumes: float


def _number(text: str, otherwise: float) -> float:
    return float(text) if text else otherwise


@cache
def machine_limits() -> dict[tuple[str, str], Limits]:
    """Sustained limits by (provider, instance type), from ``data/hardware/disk_limits.csv``."""
    with data_path("hardware", "disk_limits.csv").open(newline="", encoding="utf-8") as file:
        return {
            (r["provider"], r["instance_type"]): Limits(*(_number(r[c], math.nan) for c in Limits.__dataclass_fields__))
            for r in csv.DictReader(file)
        }


@cache
def volume_limits() -> dict[tuple[str, str], VolumeLimits]:
    """Limits of one volume by (provider, storage class), from
    ``data/hardware/volume_limits.csv``.
    """
    zero = {"included_iops", "iops_per_gib", "included_mib_per_s", "mib_per_s_per_gib"}
    with data_path("hardware", "volume_limits.csv").open(newline="", encoding="utf-8") as file:
        return {
            (r["provider"], r["storage_class"]): VolumeLimits(
                *(_number(r[c], 0.0 if c in zero else math.inf) for c in VolumeLimits.__dataclass_fields__)
            )
            for r in csv.DictReader(file)
        }


def within_network(goodput: Goodput, service: Service, machine: Machine, deployment: Deployment) -> Goodput:
    """No more than the machine's sustained network carries, all of it or its part to the internet;
    unknown bounds nothing.

    What a balancer sends to the internet leaves the machine inside the region.
    """
    n, nat, seller = service.network, nat_gib(service)[0], provider_of(machine.provider)
    wire = network_gib_per_s(machine)
    outside = (0.0 if n.load_balancer else n.egress_gib_per_request) + (nat if seller.machines_translate else 0.0)
    asked = (
        (n.egress_gib_per_request + n.internal_gib_per_request + nat, wire),
        (outside, seller.internet_gib_per_s(machine.vcpus, wire)),
    )
    ceilings = [speed * deployment.instances_per_replica / gib for gib, speed in asked if gib and not math.isnan(speed)]
    ceiling = min(ceilings, default=math.inf)
    if ceiling >= goodput.arrival_rate_rps:
        return goodput
    return Goodput(ceiling, "network", goodput.utilization * ceiling / goodput.arrival_rate_rps)


def network_gib_per_s(machine: Machine) -> float:
    """Sustained (baseline) network of a machine [GiB/s]: the catalog's, else the documented one,
    else NaN.
    """
    if not math.isnan(machine.network_gib_per_s):
        return machine.network_gib_per_s
    known = machine_limits().get((machine.provider, machine.instance_type))
    return math.nan if known is None else known.network_gib_per_s


def volumes_of(service: Service, provider: str, storage_class: str, folder: Path | None) -> tuple[float, float]:
    """(volumes, GiB of them all) on each instance: as many, and as large, as the performance asked
    for needs; ``folder`` of the scenario, for files that its latency model names.

    Where performance is bought apart (gp3) a volume has its maxima; where it comes with size the
    volumes grow.
    """
    s, gib = service.storage, sum(value for value, _ in disk_gib(service, folder))
    one = volume_limits().get((provider, storage_class))
    if one is None or not gib:
        return 1.0, gib
    iops, mib = s.block_iops or 0.0, s.block_mib_per_s or 0.0
    for need, included, each in (
        (iops, one.included_iops, one.iops_per_gib),
        (mib, one.included_mib_per_s, one.mib_per_s_per_gib),
    ):
        if each:
            gib = max(gib, (need - included) / each)
    count = max(
        1,
        *(
            math.ceil(need / most)
            for need, most in ((iops, one.max_iops), (mib, one.max_mib_per_s), (gib, one.max_gib))
        ),
    )
    return float(count), gib


def too_slow_a_disk(service: Service, machine: Machine, folder: Path | None) -> Excuse | None:
    """The excuse of a machine that cannot sustain the disk the service asks for; unknown limits
    excuse nobody.
    """
    asked = (service.storage.block_iops or 0.0, service.storage.block_mib_per_s or 0.0)
    storage_class = provider_of(machine.provider).block_storage
    one = volume_limits().get((machine.provider, storage_class))
    if any(asked) and one is not None:
        count, _ = volumes_of(service, machine.provider, storage_class, folder)
        if count > one.max_volumes:
            return Excuse(
                "so many volumes do not fit a machine",
                f"{count:g} of {storage_class} needed, {one.max_volumes:g} fit",
            )
    known = machine_limits().get((machine.provider, machine.instance_type))
    if known is None or not any(asked):
        return None
    for have, need, unit in zip((known.disk_iops, known.disk_mib_per_s), asked, ("IOPS", "MiB/s"), strict=True):
        if have < need:
            return Excuse("block disks of this size are too slow", f"sustains {have:g} {unit} of {need:g} needed")
    return None
