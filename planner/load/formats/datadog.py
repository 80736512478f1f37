"""Reads Datadog CSV exports: a time column and one column a scope, or one row a scope and time.

A graph's default rollup is an average over ever wider buckets as the range grows (Datadog
documentation, rollup), so the peaks of an export are flattened; the quality report says so unless
the query states its own rollup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from planner.errors import TrafficError
from planner.load.formats import series, stamps, table
from planner.load.formats.base import Meaning, Place, Raw, TrafficFormat
from planner.load.formats.chosen import TS_NAMES
from planner.load.formats.dialect import HEAD_BYTES, Dialect, dialect_of
from planner.load.formats.names import plain_name, said
from planner.load.formats.rows import csv_parts
from planner.load.quality import Quality
from planner.scenario import TrafficSource

_QUERY = re.compile(r"\b(?:avg|sum|min|max):[\w.]+|\.as_(?:rate|count)\(\)|\.rollup\(")
_LABELS = ("metric", "scope", "tags", "host", "query", "series", "aggr", "unit", "display_name")


def sniff(path: Path, head: bytes) -> bool:
    """A CSV whose head holds a Datadog query."""
    return path.suffix.lower() == ".csv" and bool(_QUERY.search(head.decode("utf-8", errors="ignore")))


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Add up the scopes of one metric. Raises :class:`TrafficError`.

    Scopes are columns, or rows of one value column told apart by tags; both are summed
    stamp by stamp. A query's ``as_rate()`` or ``as_count()`` says what the values are,
    else ``traffic.value`` must.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    form = dialect_of(path, head)
    plain = {plain_name(n): n for n in form.names}
    ts_name = source.column("ts") or next((plain[n] for n in TS_NAMES if n in plain), "")
    if ts_name not in form.names:
        raise TrafficError(
            "no time column was found",
            where=path,
            got=form.names,
            remedy="Name it as traffic.columns.ts",
        )
    labels = [plain[n] for n in _LABELS if n in plain]
    values = [n for n in form.names if n != ts_name and n not in labels]
    wanted = source.demand_columns
    if missing := [w for w in wanted if w not in values]:
        raise TrafficError(f"there is no column {missing[0]}, named in traffic.columns", where=path, got=values)
    values = list(wanted) or values
    if not values:
        raise TrafficError("no column holds values", where=path, got=form.names, remedy="Export the graph again as CSV")
    rows = pa_table(path, form, [ts_name, *labels, *values])
    if not rows.num_rows:
        raise TrafficError("the table has no rows below its header", where=path, remedy="Export the graph again as CSV")
    text = " ".join([*form.names, *(str(v) for label in labels for v in rows.column(label).unique().to_pylist())])
    meaning = _meaning(text, source, path, quality)
    first = form.skip + 1
    ts = stamps.parse(
        rows.column(ts_name).to_pylist(),
        stamps.Clock.of(source),
        Place(str(path), ts_name, "line", first),
        quality,
    )
    several = len(values) > 1 or any(len(rows.column(label).unique()) > 1 for label in labels)
    parts = [
        (ts, table.numbers(rows.column(n).combine_chunks(), Place(str(path), n, "line", first))[0]) for n in values
    ]
    if meaning == "counter":
        parts = [series.increase(p, path, quality) for p in parts]
    kind: Meaning = "requests_per_interval" if meaning == "requests_per_interval" else "requests_per_s"
    if several:
        quality.add("noted", len(values), "scopes were added up")
        return Raw(*series.added(parts), kind)
    return Raw(*parts[0], kind)


def pa_table(path: Path, form: Dialect, wanted: list[str]) -> Any:
    """The wanted columns as one table of text."""
    import pyarrow as pa

    parts = list(csv_parts(path, form, wanted))
    return pa.Table.from_batches(parts) if parts else pa.table({n: pa.array([], pa.string()) for n in wanted})


def _meaning(text: str, source: TrafficSource, path: Path, quality: Quality) -> str:
    """What the values are, by ``traffic.value``, else by the query. Raises :class:`TrafficError`
    for a gauge, and where neither says.
    """
    metric = " ".join(re.findall(r"(?:avg|sum|min|max):([\w.]+)", text)) or text
    if said(metric).kind == "gauge" and not source.value:
        raise TrafficError(
            "a utilization or size gauge is not demand",
            where=path,
            got=text[:80],
            remedy="Export a request count; to use it as it is, state traffic.value",
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


DATADOG = TrafficFormat("datadog", "Datadog graph exported as CSV", sniff, read)
