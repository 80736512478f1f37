"""Ceilings of a machine beside its processors: network and block disks, each size its own."""

import csv
import math
from functools import cache

from planner.capacity.assumed import nat_gib
from planner.data import data_path
from planner.latency import Deployment, Excuse, Goodput, Machine
from planner.scenario import Service


def within_network(goodput: Goodput, service: Service, machine: Machine, deployment: Deployment) -> Goodput:
    """No more than the machine's sustained network carries; an unknown bandwidth bounds nothing."""
    n = service.network
    gib = n.egress_gib_per_request + n.internal_gib_per_request + nat_gib(service)[0]
    if not gib or math.isnan(machine.network_gib_per_s):
        return goodput
    ceiling = machine.network_gib_per_s * deployment.instances_per_replica / gib
    if ceiling >= goodput.arrival_rate_rps:
        return goodput
    return Goodput(ceiling, "network", goodput.utilization * ceiling / goodput.arrival_rate_rps)


@cache
def disk_limits() -> dict[tuple[str, str], tuple[float, float]]:
    """Sustained (IOPS, MiB/s) of all block disks of a machine, by (provider, instance type), where known."""
    with data_path("hardware", "disk_limits.csv").open(newline="", encoding="utf-8") as file:
        return {(r["provider"], r["instance_type"]): (float(r["disk_iops"]), float(r["disk_mib_per_s"])) for r in csv.DictReader(file)}


def too_slow_a_disk(service: Service, machine: Machine) -> Excuse | None:
    """The excuse of a machine that cannot sustain the disk the service asks for; unknown limits excuse nobody."""
    asked = (service.storage.block_iops or 0.0, service.storage.block_mib_per_s or 0.0)
    known = disk_limits().get((machine.provider, machine.instance_type))
    if known is None or not any(asked):
        return None
    for have, need, unit in zip(known, asked, ("IOPS", "MiB/s"), strict=True):
        if have < need:
            return Excuse("block disks of this size are too slow", f"sustains {have:g} {unit} of {need:g} needed")
    return None
