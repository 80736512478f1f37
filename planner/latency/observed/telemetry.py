"""Reads telemetry: rows of rate, CPU and latency percentiles of a fleet, one an hour or so."""

import math
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats
from planner.errors import ScenarioError, one_door

LARGEST_FILE = 64 << 20  # bytes
_PERCENTS = (50, 90, 95, 99)
# columns by the planner's names; other units by their own names, never guessed
_SCALES = {
    "arrival_rate_rps": ("arrival_rate_rps", 1.0),
    "cpu_utilization": ("cpu_utilization", 1.0),
    "cpu_percent": ("cpu_utilization", 0.01),
    "machines": ("machines", 1.0),
}
_SCALES |= {f"latency_p{p}_s": (f"latency_p{p}_s", 1.0) for p in _PERCENTS}
_SCALES |= {f"latency_p{p}_ms": (f"latency_p{p}_s", 1e-3) for p in _PERCENTS}
_KNOWN = (
    "ts, arrival_rate_rps, cpu_utilization (0 to 1) or cpu_percent, machines, latency_p50_s … latency_p99_s or …_ms"
)


@dataclass(frozen=True)
class Telemetry:
    """Rows of a fleet, arrays (n,): ``rate_rps`` of all machines, ``utilization`` of their CPU (0
    to 1), ``machines`` (NaN unknown), ``percentiles_s`` (n, 4) of p50, p90, p95, p99, ``day``.
    """

    rate_rps: Floats
    utilization: Floats
    machines: Floats
    percentiles_s: Floats
    day: Floats


def read_telemetry(path: str | Path) -> Telemetry:
    """Rows of a CSV with a header of these names: ts, arrival_rate_rps, cpu_utilization or
    cpu_percent, machines, latency_p…_s or latency_p…_ms; a row that lacks its rate or CPU is left
    out.

    Raises :class:`ScenarioError` naming file, row, column and value of what cannot be.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ScenarioError(f"is larger than {LARGEST_FILE >> 20} MiB. Give hourly rows", where=path)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ScenarioError(f"cannot be read as text: {error}. Give a CSV file", where=path) from None
    with one_door(lambda cause: ScenarioError(f"is no table of telemetry: {cause}. Its columns: {_KNOWN}", where=path)):
        return _read(pd.read_csv(StringIO(text), dtype="str", keep_default_na=False), path)


def _read(table: pd.DataFrame, path: Path) -> Telemetry:
    strange = [c for c in table.columns if c not in _SCALES and c != "ts"]
    if strange:
        raise ScenarioError(
            f"has columns that are not known: {', '.join(map(str, strange))}. Known: {_KNOWN}",
            where=path,
        )
    columns: dict[str, Floats] = {}
    for written, (name, scale) in _SCALES.items():
        if written in table:
            columns[name] = _numbers(table[written], written, path) * scale
    missing = [c for c in ("arrival_rate_rps", "cpu_utilization") if c not in columns]
    if missing:
        raise ScenarioError(f"lacks {', '.join(missing)}. Its columns: {_KNOWN}", where=path)
    _refuse(columns["cpu_utilization"] > 1, columns["cpu_utilization"], "is above 1; name the column cpu_percent", path)
    nowhere = np.full(len(table), math.nan)
    found = Telemetry(
        columns["arrival_rate_rps"],
        columns["cpu_utilization"],
        columns.get("machines", nowhere),
        np.column_stack([columns.get(f"latency_p{p}_s", nowhere) for p in _PERCENTS]),
        _days(table, path),
    )
    good = (found.rate_rps > 0) & (found.utilization > 0)
    if not good.any():
        raise ScenarioError("has no row with both a rate and a CPU utilization above 0", where=path)
    return Telemetry(
        *(getattr(found, n)[good] for n in ("rate_rps", "utilization", "machines", "percentiles_s", "day"))
    )


def _numbers(column: "pd.Series[str]", name: str, path: Path) -> Floats:
    """Numbers ≥ 0 of a column, NaN for an empty cell and its usual names. Raises
    :class:`ScenarioError` naming row and value of anything else.
    """
    words = column.str.strip().replace(dict.fromkeys(("", "null", "NULL", "N/A", "NaN"), "nan"))
    values = pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
    wrong = (np.isnan(values) & (words != "nan").to_numpy()) | (values < 0) | np.isinf(values) | (values > 1e12)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScenarioError(f"row {row + 2}: {name} is not a number ≥ 0 (got {column.iloc[row]!r})", where=path)
    return np.asarray(np.where(np.isnan(values), math.nan, values))


def _refuse(wrong: Flags, values: Floats, why: str, path: Path) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise ScenarioError(f"row {rows[0] + 2}: {values[rows[0]]:g} {why}", where=path)


def _days(table: pd.DataFrame, path: Path) -> Floats:
    """Days since the epoch; rows without a stamp are days of their own."""
    if "ts" not in table:
        return np.arange(len(table), dtype=np.float64)
    # pandas takes words such as "today" for instants
    written = table["ts"].where(table["ts"].str.match(r"\d{4}-\d\d-\d\d"), "")
    stamps = pd.to_datetime(written, utc=True, errors="coerce", format="ISO8601")
    lost = np.flatnonzero(stamps.isna())
    if len(lost):
        raise ScenarioError(
            f"row {lost[0] + 2}: ts is not an ISO 8601 instant such as 2027-01-31T14:00:00Z (got"
            f" {table['ts'].iloc[lost[0]]!r})",
            where=path,
        )
    return np.floor(stamps.astype("int64").to_numpy(np.float64) / 86_400e6)
