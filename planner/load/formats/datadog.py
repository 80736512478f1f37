"""Reads Datadog CSV exports: a time column and one column a scope, or one row a scope and time.

A graph's default rollup is an average over ever wider buckets as the range grows (Datadog
documentation, rollup), so the peaks of an export are flattened; the quality report says so unless
the query states its own rollup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import TrafficError
from planner.load.formats import stamps, table
from planner.load.formats.base import Meaning, Place, Raw, TrafficFormat
from planner.load.formats.documents import added
from planner.load.quality import Quality
from planner.scenario import TrafficSource

_QUERY = re.compile(r"\b(?:avg|sum|min|max):[\w.]+|\.as_(?:rate|count)\(\)|\.rollup\(")
_LABELS = ("metric", "scope", "tags", "host", "query", "series", "aggr", "unit", "display_name")


def sniff(path: Path, head: bytes) -> bool:
    """A CSV whose head holds a Datadog query."""
    return path.suffix.lower() == ".csv" and bool(_QUERY.search(head.decode("utf-8", errors="ignore")))


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Add up the scopes of one metric. Raises :class:`TrafficError`."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    names = table.csv_names(path, head)
    plain = {table.plain_name(n): n for n in names}
    ts_name = source.columns.get("ts") or next((plain[n] for n in table.TS_NAMES if n in plain), "")
    if ts_name not in names:
        raise TrafficError("no time column was found", where=path, got=names, remedy="Name it as traffic.columns.ts")
    labels = [plain[n] for n in _LABELS if n in plain]
    values = [n for n in names if n != ts_name and n not in labels]
    wanted = source.columns.get("arrival_rate_rps")
    if wanted and wanted not in values:
        raise TrafficError(f"there is no column {wanted}, named in traffic.columns", where=path, got=values)
    values = [wanted] if wanted else values
    if not values:
        raise TrafficError("no column holds values", where=path, got=names, remedy="Export the graph again as CSV")
    rows = table.read_csv(path, head, [ts_name, *labels, *values])
    if not rows.num_rows:
        raise TrafficError("the table has no rows below its header", where=path, remedy="Export the graph again as CSV")
    text = " ".join([*names, *(str(v) for label in labels for v in rows.column(label).unique().to_pylist())])
    meaning = _meaning(text, source, path, quality)
    ts = _stamps(rows.column(ts_name), source, Place(str(path), ts_name, "line", 2), quality)
    parts = [(ts, table.numbers(rows.column(n), Place(str(path), n, "line", 2))) for n in values]
    several = len(values) > 1 or any(len(rows.column(label).unique()) > 1 for label in labels)
    if several:
        quality.add("noted", len(values), "scopes were added up")
        return Raw(*added(parts), meaning)
    return Raw(*parts[0], meaning)


def _meaning(text: str, source: TrafficSource, path: Path, quality: Quality) -> Meaning:
    if table.GAUGES.search(text.lower()) and not source.value:
        raise TrafficError(
            "a utilization or size gauge is not demand", where=path, got=text[:80], remedy="Export a request count"
        )
    if ".rollup(" not in text:
        quality.add(
            "noted",
            0,
            "Datadog averages over wider buckets the longer the range: exported peaks are flattened unless the query "
            "states .rollup(sum, 60) or similar",
        )
    if source.value:
        return source.value
    if "as_rate()" in text:
        return "requests_per_s"
    if "as_count()" in text:
        return "requests_per_interval"
    raise TrafficError(
        "it is not stated whether the values are rates or counts",
        where=path,
        got=text[:80],
        remedy="State traffic.value, or export with .as_rate() or .as_count()",
    )


def _stamps(column: Any, source: TrafficSource, place: Place, quality: Quality) -> Any:
    return stamps.parse(pd.Series(column.to_pylist(), dtype="str"), source.time_zone, place, quality)


DATADOG = TrafficFormat("datadog", "Datadog graph exported as CSV", sniff, read)
