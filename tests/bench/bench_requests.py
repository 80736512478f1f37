"""Ten million request rows: what the public reader takes beside DuckDB's own reading of the same file.

    python tests/bench/bench_requests.py [--rows 10000000] [--folder DIR]

DuckDB reads every row and column into arrays and does nothing else; the reader also counts minutes,
measures the spread of arrivals and the joint token lengths. Seconds of processor time, so that other
work on the machine does not count; each reader in a process of its own, so that its peak is its own.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

SEED = 7
DAYS = 28
CHILD = """
import json, os, re, sys, time
from pathlib import Path
if sys.argv[1] == "duckdb":
    import duckdb, numpy, pandas
    ask = {".csv": "read_csv", ".parquet": "read_parquet"}[Path(sys.argv[2]).suffix]
    def read():
        found = duckdb.connect().execute(f"SELECT epoch_us(ts) AS ts, * EXCLUDE ts FROM {ask}(?)", [sys.argv[2]])
        return len(found.fetchnumpy()["ts"])
else:
    import pyarrow.csv, pyarrow.parquet
    from planner.load import read_traffic
    def read():
        history = read_traffic(sys.argv[2])
        return round(float((history.arrival_rate_rps * history.interval_s).sum()))
began, wall = sum(os.times()[:4]), time.perf_counter()
rows = read()
took = {"cpu_s": sum(os.times()[:4]) - began, "wall_s": time.perf_counter() - wall, "rows": rows}
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(json.dumps(took | {"peak_mib": int(peak[1]) / 1024}))
"""


def write(folder: Path, rows: int) -> list[Path]:
    """The same requests as CSV and Parquet: Poisson arrivals of four weeks, lognormal lengths."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    draw = np.random.default_rng(SEED)
    start = np.datetime64("2026-09-01", "us").astype(np.int64)
    at = start + (np.sort(draw.random(rows)) * DAYS * 86_400e3).astype(np.int64) * 1000
    lengths = {
        name: draw.lognormal(mean, 0.9, rows).astype(np.int64) + 1
        for name, mean in (("input_tokens", 6.5), ("output_tokens", 5.0))
    }
    table = pa.table({"ts": pa.array(at, pa.timestamp("us", tz="UTC")), **lengths})
    parquet.write_table(table, folder / "requests.parquet")
    text = pc.strftime(table["ts"].cast(pa.timestamp("ms", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    csv.write_csv(table.set_column(0, "ts", text), folder / "requests.csv", csv.WriteOptions(quoting_style="none"))
    return [folder / "requests.csv", folder / "requests.parquet"]


def measured(reader: str, path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", CHILD, reader, str(path)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(re.findall(r"\{.*\}", done.stdout)[-1])
    return found


def main(rows: int, folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for path in write(Path(place), rows):
            print(f"{path.suffix[1:]}: {rows:,} requests, {path.stat().st_size / 2**20:.0f} MiB")
            ours = measured("planner", path)
            told = f"{ours['cpu_s']:6.2f} s of processor, {ours['wall_s']:6.2f} s, peak {ours['peak_mib']:5.0f} MiB"
            print(f"  read_traffic {told}")
            if find_spec("duckdb") is None:
                print("  DuckDB is not installed: not timed")
                continue
            duck = measured("duckdb", path)
            told = f"{duck['cpu_s']:6.2f} s of processor, {duck['wall_s']:6.2f} s, peak {duck['peak_mib']:5.0f} MiB"
            print(f"  DuckDB       {told}")
            print(f"  ratio        {ours['cpu_s'] / duck['cpu_s']:.2f} × DuckDB")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--folder")
    chosen = options.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    main(chosen.rows, chosen.folder)
