"""Rebuild data/hardware/disk_limits.csv, what machines sustain on block disks and network: ``python
data/build/build_disk_limits.py``.

Sources: EC2 from the describe_instance_types record that moto ships (Apache-2.0), baseline (not
burst) figures; Azure (by name; a size with fewer active cores has the limits of the whole size) and
Google Cloud (by family and vCPUs, balanced disks) from documented_limits.csv beside this file.
MB/s (10⁶ bytes) become MiB/s, Mbit/s become GiB/s.  The network of EC2 types stands in the catalog.
"""

import csv
import gzip
import json
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1]
OUT = DATA / "hardware" / "disk_limits.csv"
HEAD = ["provider", "instance_type", "disk_iops", "disk_mib_per_s", "network_gib_per_s", "source", "as_of"]
# bursts of a part of a core: other limits than their vCPU count
SHARED_CORE = re.compile(r"e2-(micro|small|medium)$")


def ec2() -> list[list[Any]]:
    spec = find_spec("moto")
    if spec is None or spec.origin is None:
        raise SystemExit("install moto: its EC2 record holds the limits")
    with gzip.open(
        Path(spec.origin).parent / "ec2" / "resources" / "instance_types.json.gz", "rt", encoding="utf-8"
    ) as file:
        types = json.load(file)
    rows, source = [], f"moto {version('moto')} describe_instance_types"
    for name in sorted(types):
        limits = types[name].get("EbsInfo", {}).get("EbsOptimizedInfo")
        if limits:
            mib = limits["BaselineThroughputInMBps"] * 1e6 / 2**20
            rows.append(["aws", name, limits["BaselineIops"], f"{mib:.2f}", "", source, "2026-10-27"])
    return rows


def documented(provider: str) -> list[list[Any]]:
    with (DATA / "build" / "documented_limits.csv").open(newline="", encoding="utf-8") as file:
        facts = [r for r in csv.DictReader(file) if r["provider"] == provider]
    with (DATA / "catalog" / provider / "instances.csv").open(newline="", encoding="utf-8") as file:
        types = {r["instance_type"]: (r["family"], float(r["vcpus"])) for r in csv.DictReader(file)}
    rows = []
    for name, (family, vcpus) in sorted(types.items()):
        if SHARED_CORE.match(name):
            continue
        whole = re.sub(r"^(Standard_[A-Z]+\d+)-\d+", r"\1", name)
        mine = [
            r
            for r in facts
            if (
                r["name"] == whole
                if provider == "azure"
                else r["name"] == family and float(r["vcpus_from"]) <= vcpus <= float(r["vcpus_to"])
            )
        ]
        disk, wire = (
            next((r for r in mine if r["disk_iops"]), None),
            next((r for r in mine if r["network_mbit_per_s"]), None),
        )
        if disk or wire:
            scale = 1e6 / 2**20 if disk and disk["disk_unit"] == "MB" else 1.0
            known = [f for f in (disk, wire) if f]
            rows.append(
                [
                    provider,
                    name,
                    disk["disk_iops"] if disk else "",
                    f"{float(disk['disk_per_s']) * scale:.2f}" if disk else "",
                    f"{float(wire['network_mbit_per_s']) * 1e6 / 8 / 2**30:.4f}" if wire else "",
                    "; ".join(dict.fromkeys(f["source"] for f in known)),
                    known[0]["as_of"],
                ]
            )
    return rows


def main() -> None:
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows([*ec2(), *documented("azure"), *documented("gcp")])


if __name__ == "__main__":
    main()
