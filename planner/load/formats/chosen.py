"""Which column of a table holds what: the stamps, the demand, the token lengths, the name of a
series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from planner.errors import TrafficError
from planner.load.formats.names import (
    COUNT_NAMES,
    NOTHING,
    Said,
    groups,
    is_total,
    metric_of,
    names_time,
    plain_name,
    said,
    written,
)
from planner.load.quality import Quality
from planner.scenario import TrafficSource

KNOWN = ("ts", "arrival_rate_rps", "input_tokens", "output_tokens")
TS_NAMES = (
    *("ts", "timestamp", "time", "datetime", "date_time", "@timestamp", "date", "start", "period_start", "bucket"),
    *("hour", "_time", "arrived_at", "arrival_time", "arrival_timestamp", "t_ms", "t_s", "metadata_request_start_ns"),
    *("key_as_string", "day", "jour"),
)
# a day and its clock in two columns
DAY_NAMES = ("date", "day", "datum", "fecha", "jour")
CLOCK_NAMES = ("time", "hour", "hour_of_day", "uhrzeit", "zeit", "stunde", "hora", "heure")
CLOCK = re.compile(r"\d{1,2}(?::\d{2}){0,2}(?:\.\d+)?(?:\s?[AaPp]\.?[Mm]\.?)?")
TOKEN_NAMES = {
    "input_tokens": (
        *("input_tokens", "mean_input_tokens", "prompt_tokens", "contexttokens", "request_tokens", "input_length"),
        *("input_len", "prompt_len", "num_prefill_tokens", "num_prompt_tokens", "isl", "input_sequence_length"),
        "metrics_input_sequence_length_value",
    ),
    "output_tokens": (
        *("output_tokens", "mean_output_tokens", "completion_tokens", "generatedtokens", "response_tokens"),
        *("output_length", "output_len", "num_decode_tokens", "osl", "output_sequence_length"),
        "metrics_output_sequence_length_value",
    ),
}
# unit of stamps that count from the start of a trace, by a column its publisher always writes
TRACE_UNITS = {"request_tokens": "s", "input_length": "ms", "arrived_at": "s"}
VALUE_NAMES = ("value", "values", "_value")
# names that no column of values has: a wide table may well have columns app, api and queue
SERIES_NAMES = ("series", "metric", "metric_name", "name", "__name__", "legend", "service", "service_name")
PART_NAMES = (
    *("pod", "instance", "host", "hostname", "node", "container", "region", "zone", "az", "availability_zone"),
    *("status", "status_code", "code", "method", "path", "route", "target", "target_group", "replica", "shard"),
    *("namespace", "datacenter", "country"),
)
MOST_NAMES = 12
REMEDY = "Name it in traffic.columns, such as {arrival_rate_rps: requests}"
ROWS = "where each row is one request, count them by the minute into a CSV with the columns ts,requests"
GAUGE = "a utilization or size gauge is not demand: it falls when machines are added"
STATE = "State traffic.value: requests_per_s, requests_per_interval or counter"


@dataclass(frozen=True)
class Chosen:
    """File columns: ``ts``, ``values`` to add up (none: each row is a request), ``tokens`` by
    planner name, ``labels`` that name the series of a row; ``series`` to keep of a long table;
    ``said`` by the value's name; ``clock``: a column with the time of day to the day in ``ts``.
    """

    ts: str
    values: tuple[str, ...]
    tokens: dict[str, str]
    labels: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    said: Said = NOTHING
    unit: str | None = None
    clock: str = ""

    @property
    def wanted(self) -> list[str]:
        """Columns to read, each once."""
        return list(
            dict.fromkeys(
                [
                    self.ts,
                    *([self.clock] if self.clock else []),
                    *self.values,
                    *(t for t in self.tokens.values() if t),
                    *self.labels,
                ]
            )
        )


def choose(names: list[str], source: TrafficSource, where: str, quality: Quality) -> Chosen:
    """Columns of a table by what is stated and by their names. Raises
    :class:`TrafficError` where that is a guess.

    Stated columns come first, then usual names, then for the stamps any name with time, date or
    stamp in it. Token lengths without a demand column make each row a single request, unless
    their names say that they are means. What is not used is noted; a gauge is refused as demand
    unless both its column and ``traffic.value`` are stated.
    """
    plain = {plain_name(n): n for n in names}
    _check_stated(names, source, where)
    ts = source.column("ts") or next((plain[n] for n in TS_NAMES if n in plain), "") or _stamp_like(names)
    if not ts:
        raise TrafficError(
            "no time stamp column was found",
            where=where,
            got=names,
            remedy="Name it in traffic.columns, such as {ts: When}; lines above the header must go",
        )
    tokens = {
        known: source.column(known) or next((plain[n] for n in usual if n in plain), "")
        for known, usual in TOKEN_NAMES.items()
    }
    used = [ts, *(t for t in tokens.values() if t), *(c for c in source.demand_columns if c in names)]
    if len(set(used)) != len(used):
        raise TrafficError(
            "one column cannot hold both the time and the traffic, or two kinds of tokens",
            where=where,
            got=used,
            remedy="Map each planner column to another column in traffic.columns",
        )
    labels = tuple(plain[n] for n in (*SERIES_NAMES, *PART_NAMES) if n in plain and plain[n] not in used)
    rest = [n for n in names if n not in (ts, *tokens.values(), *labels)]
    lengths = [t for t in tokens.values() if t]
    single = bool(lengths) and not any("mean" in n.lower() for n in lengths)
    values = _values(rest, single, source, where)
    if not source.demand_columns:
        values = whole_of(values, quality, "column")
    unit = next((TRACE_UNITS[n] for n in plain if n in TRACE_UNITS), None)
    ignored = [n for n in rest if n not in values]
    if ignored:
        quality.add("noted", 0, f"columns not used: {', '.join(ignored[:12])}")
    series = tuple(c for c in source.demand_columns if c not in names)
    meant = said(values[0]) if values else NOTHING
    if meant.kind == "gauge" and not (source.value and source.demand_columns):
        raise TrafficError(
            GAUGE,
            where=f"{where}, column {values[0]}",
            remedy=(
                "Export a request count or rate; to use it as it is, map it in traffic.columns and state traffic.value"
            ),
        )
    return Chosen(ts, values, tokens, labels if values else (), series, meant, unit)


def _check_stated(names: list[str], source: TrafficSource, where: str) -> None:
    """Raises :class:`TrafficError` for a header that names a column twice, a mapping
    to an unknown name, and mapped columns that are not there (of a long table these
    may be names of series).
    """
    if len(set(names)) != len(names):
        raise TrafficError(
            "a column name stands twice in the header",
            where=where,
            got=names,
            remedy="Rename one of them",
        )
    for known, given in source.columns.items():
        if known not in KNOWN:
            raise TrafficError(
                f"traffic.columns maps the unknown name {known}",
                where=where,
                remedy=f"Map {', '.join(KNOWN)}",
            )
        if not isinstance(given, str) and known != "arrival_rate_rps":
            raise TrafficError(f"only arrival_rate_rps may be several columns, not {known}", where=where, got=given)
        missing = [c for c in ((given,) if isinstance(given, str) else given) if c not in names]
        long = any(plain_name(n) in SERIES_NAMES + PART_NAMES for n in names) and known == "arrival_rate_rps"
        if missing and not long:
            raise TrafficError(f"there is no column {missing[0]}, named in traffic.columns", where=where, got=names)


def _values(rest: list[str], single: bool, source: TrafficSource, where: str) -> tuple[str, ...]:
    """Columns that hold the demand: stated; named ``arrival_rate_rps``; the only rate; the
    only counter; a usual name of a count; else the only one left that is no gauge. Empty
    where each row is a request.

    Columns of one metric that differ in their labels go together. Raises :class:`TrafficError`
    where several could be meant.
    """
    stated = tuple(c for c in source.demand_columns if c in rest)
    if stated:
        return stated
    by_metric = groups(rest)
    kinds = {m: said(columns[0]).kind for m, columns in by_metric.items()}
    plain = {plain_name(m or by_metric[m][0]): m for m in by_metric}
    if "arrival_rate_rps" in plain:
        return tuple(by_metric[plain["arrival_rate_rps"]])
    for kind in ("rate", "counter"):
        found = [m for m, k in kinds.items() if k == kind]
        if len(found) > 1:
            columns = [c for m in found for c in by_metric[m]]
            raise TrafficError(f"several columns hold a {kind}", where=where, got=columns, remedy=_several(columns))
        if found:
            return tuple(by_metric[found[0]])
    counts = [n for n in (*COUNT_NAMES, *VALUE_NAMES) if n in plain]
    scaled = [m for m, k in kinds.items() if k == "count"]
    if counts or scaled:
        return tuple(by_metric[plain[counts[0]] if counts else scaled[0]])
    if single:
        return ()
    shown = {m: columns for m, columns in by_metric.items() if kinds[m] != "gauge"}
    if rest and not shown:
        raise TrafficError(
            GAUGE,
            where=f"{where}, column {rest[0]}",
            remedy="Export a request count or rate of the same service",
        )
    if len(shown) == 2 and any(is_total(m) for m in shown) and max(map(len, shown.values())) > 1:
        return tuple(n for columns in shown.values() for n in columns)  # parts and their total
    if len(shown) != 1:
        raise TrafficError(
            "the column that holds the demand cannot be told",
            where=where,
            got=rest,
            remedy=f"{_several(rest)}; {ROWS}",
        )
    return tuple(next(iter(shown.values())))


def whole_of(names: Sequence[str], quality: Quality, what: str) -> tuple[str, ...]:
    """Of parts and their total the total alone, as its name says; else all of them. A total beside its
    parts would count the demand twice, also where some parts are missing or rounded.
    """
    totals = [n for n in names if is_total(n)]
    if len(totals) != 1 or len(names) < 2:
        return tuple(names)
    quality.add("noted", 0, f"{what} {totals[0]} is the total of the others and was read alone")
    return (totals[0],)


def _several(names: list[str]) -> str:
    if len(names) < 2:
        return REMEDY
    return f"{REMEDY}; where they add up, {{arrival_rate_rps: {written(names[:MOST_NAMES])}}}"


def part_of_one(labels: list[tuple[str, ...]], kinds: tuple[str, ...]) -> bool:
    """Whether the series of a long table are parts of one demand: they
    share their metric's name.
    """
    for at, kind in enumerate(kinds):
        values = {row[at] for row in labels}
        if plain_name(kind) in SERIES_NAMES and len({metric_of(v) for v in values}) > 1:
            return False
    return True


def _stamp_like(names: list[str]) -> str:
    return next((n for n in names if names_time(n)), "")
