"""Rebuild data/hardware/cpu_speed.csv and print how far its speeds are off: ``python
data/build/build_cpu_speed.py FOLDER``.

The folder holds cpu_speed.csv (benchmarks by family), cpu_silicon.csv (processor of each family) and
cpu_speed_service.csv (the same service on two families).  Transcoding and the many-core suite follow
services without a sign; CoreMark flatters slow cores, so it is bent onto them by one line fitted on
the families that have both.
"""

from __future__ import annotations

import csv
import math
import statistics as st
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "hardware" / "cpu_speed.csv"
HEAD = ("provider", "family", "processor", "threads_per_core", "speed", "error_log", "basis", "source", "as_of")
Key = tuple[str, str]
LIKE = ("ffmpeg", "geekbench6_multi")
# half of the 90 % band of a family's own benchmarks against each other (README of the folder: 10 %)
OWN_ERROR = 0.10
UNLIKE_ERROR = 0.30  # no family of the same kind is measured: 35 %
UNKNOWN_ERROR = math.log(2.0)
KINDS = {
    "8370C": "Intel Ice Lake", "8272CL": "Intel Cascade Lake", "8171M": "Intel Skylake", "8280M": "Intel Cascade Lake",
    "7763": "AMD Milan", "7452": "AMD Rome", "Axion": "Graviton4", "Cobalt 100": "Graviton3", "Graviton3E": "Graviton3",
}  # fmt: skip
BORROWED = ("Axion", "Cobalt 100")


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def benchmarks(folder: Path) -> dict[Key, dict[str, float]]:
    """ln(relative speed) by family and benchmark; the slowest processor where a family has several."""
    out: dict[Key, dict[str, float]] = {}
    for r in rows(folder, "cpu_speed.csv"):
        name, value = r["benchmark"].removesuffix("_windows"), math.log(float(r["relative_speed"]))
        mine = out.setdefault((r["provider"], r["family"]), {})
        mine[name] = min(value, mine.get(name, math.inf))
    return out


def bend(found: dict[Key, dict[str, float]]) -> tuple[float, float]:
    """Intercept and slope of ln(speed) over ln(CoreMark)."""
    pairs = [(d["coremark"], like(d)) for d in found.values() if "coremark" in d and any(b in d for b in LIKE)]
    slope, intercept = st.linear_regression([x for x, _ in pairs], [y for _, y in pairs])
    return intercept, slope


def like(found: dict[str, float]) -> float:
    """ln(speed) by the benchmarks that follow services."""
    return st.mean(found[b] for b in LIKE if b in found)


def speeds(found: dict[Key, dict[str, float]]) -> dict[Key, float]:
    """ln(speed) of every family with a benchmark of all vCPUs."""
    a, b = bend(found)
    out = {}
    for key, mine in found.items():
        if any(name in mine for name in LIKE):
            out[key] = like(mine)
        elif "coremark" in mine:
            out[key] = a + b * mine["coremark"]
    return out


def kind(processor: str, threads: str) -> tuple[str, str]:
    """The processor generation and threads a core that share a speed."""
    return next((v for k, v in KINDS.items() if k in processor), processor), threads


def by_kind(
    known: dict[Key, float], silicon: dict[Key, dict[str, str]], without: Key | None = None
) -> dict[tuple[str, str], float]:
    """Median ln(speed) of each kind of processor."""
    groups: dict[tuple[str, str], list[float]] = {}
    for key, value in known.items():
        if key != without and key in silicon:
            groups.setdefault(kind(silicon[key]["processor"], silicon[key]["threads_per_core"]), []).append(value)
    return {k: st.median(v) for k, v in groups.items()}


def p90(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(0.9 * (len(ordered) + 1)) - 1)]


def main(folder: Path) -> None:
    silicon = {(r["provider"], r["family"]): r for r in rows(folder, "cpu_silicon.csv")}
    known = speeds(benchmarks(folder))
    kinds = by_kind(known, silicon)
    off = []
    for key in known:
        k = kind(silicon[key]["processor"], silicon[key]["threads_per_core"]) if key in silicon else ("", "")
        middle = by_kind(known, silicon, key).get(k)
        if middle is not None and "not stated" not in k[0]:
            off.append(abs(known[key] - middle))
    wide = p90(off)
    print(f"families left out, by processor: {len(off)}, median {st.median(off):.3f}, p90 {wide:.3f} (ln)")
    table = []
    for key in sorted({*silicon, *known}):
        chip = silicon.get(key, {"processor": "", "threads_per_core": ""})
        k = kind(chip["processor"], chip["threads_per_core"])
        source = "vendor benchmarks of 2020 to 2026 by family" if key in known else "families with the same processor"
        if key in known:
            value, error, basis = known[key], OWN_ERROR, "measured"
        elif k in kinds and "not stated" not in k[0]:
            borrowed = any(b in chip["processor"] for b in BORROWED)
            value, error, basis = kinds[k], UNLIKE_ERROR if borrowed else wide, "processor"
        elif k == ("AMD Turin", "2"):  # two threads of Genoa, faster by what one thread gained
            value = kinds["AMD Genoa", "2"] + kinds["AMD Turin", "1"] - kinds["AMD Genoa", "1"]
            error, basis = UNLIKE_ERROR, "processor"
        else:
            value, error, basis, source = math.log(0.8), UNKNOWN_ERROR, "unknown", "processor not known"
        figures = (f"{math.exp(value):.3f}", f"{error:.3f}")
        table.append((*key, chip["processor"], chip["threads_per_core"], *figures, basis, source, "2026-07"))
    with OUT.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *table])
    services(folder, known)


def services(folder: Path, known: dict[Key, float]) -> None:
    """The band of a real service moved to another family, and its coverage with families left out."""
    errors = []
    for r in rows(folder, "cpu_speed_service.csv"):
        a, b = (r["provider_a"], r["family_a"]), (r["provider_b"], r["family_b"])
        if a in known and b in known and "up to" not in r["note"]:
            errors.append((a, b, math.log(float(r["ratio_a_over_b"])) - known[a] + known[b]))
    inside = []
    for one in {a for a, _, _ in errors}:
        band = p90([abs(e) for a, b, e in errors if one not in (a, b)])
        inside += [abs(e) <= band for a, b, e in errors if a == one]
    band = p90([abs(e) for _, _, e in errors])
    middle, cover = st.median(abs(e) for _, _, e in errors), st.mean(inside)
    print(f"services: {len(errors)} pairs, median {middle:.3f}, 90 % band {band:.3f} (ln)")
    print(f"families left out of the band: {cover:.1%} of their pairs inside")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
