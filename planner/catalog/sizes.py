"""Which machines one reservation pays for, and how much of it each takes: the providers' rules of
size flexibility.

AWS: a regional Linux Reserved Instance of the default tenancy pays for any size of its family by
normalization factor (EC2 User Guide, "How Reserved Instance discounts are applied"). Accelerated,
HPC and high-memory families and bare metal are held to their own type here. Azure: a reservation
pays for its size group by the ratio of sizes ("Virtual machine size flexibility with Reserved VM
Instances"); groups whose ratio is the count of vCPUs are known here, the others are held to their
type. Google: a resource commitment is vCPUs and GiB of one machine series in one region (Compute
Engine, "Resource-based committed use discounts"). It is counted here in bundles of one vCPU with
the memory, disk and accelerators that a machine of its shape has for each vCPU, so machines of one
shape share it exactly; that the vCPUs of a standard bundle could also serve a highmem machine is
left out: the bill is then below the plan, never above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# (group, units an hour) of a machine, a row of ``catalog.instances``; None where it is held to its
# own type
Rule = Callable[[Mapping[Any, Any]], tuple[str, float] | None]
# normalization factors below one "large" (EC2 User Guide); from there on a size "n xlarge" counts 8
# n
_FACTORS = {"nano": 0.25, "micro": 0.5, "small": 1.0, "medium": 2.0, "large": 4.0, "xlarge": 8.0}
_TYPE_BOUND = re.compile(r"(g\d|gr\d|p\d|inf\d|trn\d|dl\d|vt\d|f\d|hpc|u-|u7|mac)")
_AZURE = re.compile(r"Standard_(?P<series>[DEFL])(?P<number>\d+)(?P<traits>[a-hj-z]*)(?P<version>(_v\d+)?)$")


def normalized(machine: Mapping[Any, Any]) -> tuple[str, float] | None:
    """AWS: the family, by normalization factor.

    >>> normalized({"instance_type": "m7i.4xlarge", "accelerators": 0.0})
    ('m7i family', 32.0)
    """
    family, _, size = str(machine["instance_type"]).partition(".")
    many = re.fullmatch(r"(\d+)xlarge", size)
    factor = 8.0 * int(many[1]) if many else _FACTORS.get(size)
    accelerated = float(machine["accelerators"] or 0) > 0
    return None if factor is None or accelerated or _TYPE_BOUND.match(family) else (f"{family} family", factor)


def by_vcpu_of_series(machine: Mapping[Any, Any]) -> tuple[str, float] | None:
    """Azure: the size group whose ratio is the count of vCPUs.

    ``None`` for a name of another form, with accelerators, or with fewer vCPUs than its name
    says (a constrained size).

    >>> by_vcpu_of_series({"instance_type": "Standard_D4s_v5", "accelerators": 0.0, "vcpus": 4.0})
    ('Ds_v5 series', 4.0)
    """
    found = _AZURE.match(str(machine["instance_type"]))
    if not found or float(machine["accelerators"] or 0) > 0 or int(found["number"]) != float(machine["vcpus"]):
        return None
    return f"{found['series']}{found['traits']}{found['version']} series", float(machine["vcpus"])


def by_vcpu_of_shape(machine: Mapping[Any, Any]) -> tuple[str, float] | None:
    """Google: vCPUs of a shape of the series, with what belongs to each."""
    vcpus, memory = float(machine["vcpus"]), float(machine["memory_gib"])
    if not (vcpus > 0 and memory > 0):
        return None
    shape = re.sub(r"-\d+g?(?=-|$)", "", str(machine["instance_type"]))
    each = [f"{memory / vcpus:.4g} GiB"]
    if float(machine["local_disk_gib"]) > 0:
        each.append(f"{float(machine['local_disk_gib']) / vcpus:.4g} GiB of local disk")
    if float(machine["accelerators"] or 0) > 0:
        each.append(f"{float(machine['accelerators']) / vcpus:.4g} {machine['accelerator']}")
    if float(machine["baseline_share"]) != 1.0:
        each.append(f"baseline {float(machine['baseline_share']):.4g}")
    return f"{shape} of {', '.join(each)} a vCPU", vcpus
