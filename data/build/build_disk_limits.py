"""Rebuild data/hardware/disk_limits.csv: what each EC2 type sustains on its block disks, ``python data/build/build_disk_limits.py``.

Source: the describe_instance_types record that moto ships (Apache-2.0), baseline (not burst) figures; MB/s (10⁶ bytes) become MiB/s.
"""

import csv
import gzip
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "hardware" / "disk_limits.csv"


def main() -> None:
    spec = find_spec("moto")
    if spec is None or spec.origin is None:
        raise SystemExit("install moto: its EC2 record holds the limits")
    with gzip.open(Path(spec.origin).parent / "ec2" / "resources" / "instance_types.json.gz", "rt", encoding="utf-8") as file:
        types = json.load(file)
    rows = []
    for name in sorted(types):
        limits = types[name].get("EbsInfo", {}).get("EbsOptimizedInfo")
        if limits:
            mib = limits["BaselineThroughputInMBps"] * 1e6 / 2**20
            rows.append(("aws", name, limits["BaselineIops"], f"{mib:.2f}", f"moto {version('moto')} describe_instance_types"))
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["provider", "instance_type", "disk_iops", "disk_mib_per_s", "source"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
