"""Reads CSV, TSV and Parquet tables with one row a bucket: finds the columns, refuses what is no
demand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats import stamps
from planner.load.formats.base import Meaning, Place, Raw, Requests, TrafficFormat
from planner.load.quality import Quality
from planner.scenario import TrafficSource

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN = ("ts", "arrival_rate_rps", "input_tokens", "output_tokens")
TS_NAMES = (
    "ts",
    "timestamp",
    "time",
    "datetime",
    "date_time",
    "@timestamp",
    "date",
    "start",
    "period_start",
    "bucket",
    "hour",
)
TOKEN_NAMES = {
    "input_tokens": ("input_tokens", "mean_input_tokens", "prompt_tokens", "contexttokens"),
    "output_tokens": ("output_tokens", "mean_output_tokens", "completion_tokens", "generatedtokens"),
}
RATE_NAMES = re.compile(r"(^|_)(rps|qps|(requests|req|queries|hits)_per_(s|sec|second))$")
# requests first: where several counts stand side by side, it is the demand
COUNT_NAMES = (
    "requests",
    "request_count",
    "requestcount",
    "count",
    "counts",
    "hits",
    "calls",
    "queries",
    "events",
    "invocations",
    "views",
    "visits",
    "sessions",
    "users",
    "orders",
    "trips",
    "people",
    "passengers",
    "vehicles",
    "mentions",
    "messages",
    "jobs",
    "transactions",
)
GAUGES = re.compile(
    r"cpu|percent|pct|utili[sz]ation|memory|temperature|load_avg|saturation|_mw$|bytes|latency|duration|_ms$|gauge"
)
NOT_NUMBERS = ("nan", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity")
JSON_LINES = (".jsonl", ".ndjson")
MAX_LINE_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16
_REMEDY_COLUMNS = "Name it in traffic.columns, such as {arrival_rate_rps: requests}"


def sniff(path: Path, head: bytes) -> bool:
    """A table by its name or by its magic bytes."""
    return path.suffix.lower() in {".csv", ".tsv", ".txt", ".parquet", ".pq", *JSON_LINES} or head[:4] == b"PAR1"


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Read one table. Raises :class:`TrafficError` naming row and column of what is wrong."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    parquet, lines = head[:4] == b"PAR1", _read_json_lines(path) if path.suffix.lower() in JSON_LINES else None
    names = lines.column_names if lines is not None else _parquet_names(path) if parquet else csv_names(path, head)
    picked, meaning = choose(names, source, str(path), quality)
    wanted = [c for c in picked.values() if c]
    table = (
        lines.select(wanted)
        if lines is not None
        else _read_parquet(path, wanted)
        if parquet
        else read_csv(path, head, wanted)
    )
    if not table.num_rows:
        raise TrafficError("the table has no rows below its header", where=path, remedy="Export the history again")
    return _raw(
        table, picked, meaning, source, quality, "row" if parquet else "line", 1 if parquet or lines is not None else 2
    )


def choose(
    names: list[str], source: TrafficSource, where: str, quality: Quality
) -> tuple[dict[str, str], Meaning | None]:
    """File columns by planner name, and what the value counts (``None``: no value column, each row
    is a request).

    Raises :class:`TrafficError` for a name that stands twice, a mapping of unknown names, or no
    time stamps.
    """
    plain = {plain_name(n): n for n in names}
    for known, given in source.columns.items():
        if known not in KNOWN:
            raise TrafficError(
                f"traffic.columns maps the unknown name {known}", where=where, remedy=f"Map {', '.join(KNOWN)}"
            )
        if given not in names:
            raise TrafficError(f"there is no column {given}, named in traffic.columns", where=where, got=names)
    if len(set(names)) != len(names):
        raise TrafficError("a column name stands twice in the header", where=where, got=names)
    ts = source.columns.get("ts") or next((plain[n] for n in TS_NAMES if n in plain), "") or _stamp_like(names)
    if not ts:
        raise TrafficError(
            "no time stamp column was found",
            where=where,
            got=names,
            remedy="Name it in traffic.columns, such as {ts: When}",
        )
    picked = {"ts": ts}
    for known, usual in TOKEN_NAMES.items():
        picked[known] = source.columns.get(known) or next((plain[n] for n in usual if n in plain), "")
    rest = [n for n in names if n not in picked.values()]
    lengths = [picked[k] for k in TOKEN_NAMES if picked[k]]
    single = bool(lengths) and not any("mean" in n.lower() for n in lengths)
    value, meaning = _value(rest, single, source, where, quality)
    picked["arrival_rate_rps"] = value
    ignored = [n for n in rest if n != value]
    if ignored:
        quality.add("noted", 0, f"columns not used: {', '.join(ignored[:12])}")
    return picked, meaning


def _value(
    rest: list[str], single: bool, source: TrafficSource, where: str, quality: Quality
) -> tuple[str, Meaning | None]:
    mapped = source.columns.get("arrival_rate_rps")
    name = mapped or _candidate(rest, where)
    if not name:
        if single:
            return "", None
        shown = [n for n in rest if not GAUGES.search(plain_name(n))]
        if rest and not shown:
            raise TrafficError(
                "a utilization or size gauge is not demand: it falls when machines are added",
                where=f"{where}, column {rest[0]}",
                remedy="Export a request count or rate of the same service",
            )
        if len(shown) != 1:
            raise TrafficError(
                "the column that holds the demand cannot be told", where=where, got=rest, remedy=_REMEDY_COLUMNS
            )
        name = shown[0]
    plain = plain_name(name)
    if GAUGES.search(plain) and not (mapped and source.value):
        raise TrafficError(
            "a utilization or size gauge is not demand: it falls when machines are added",
            where=f"{where}, column {name}",
            remedy=(
                "Export a request count or rate; to use it as it is, map it in traffic.columns and state traffic.value"
            ),
        )
    if source.value:
        return name, source.value
    if RATE_NAMES.search(plain):
        return name, "requests_per_s"
    if plain in COUNT_NAMES:
        quality.add(
            "assumed",
            0,
            f"column {name} was read as a count in each interval, not as a rate (state traffic.value to change this)",
        )
        return name, "requests_per_interval"
    raise TrafficError(
        "it is not stated whether the value is a rate or a count",
        where=f"{where}, column {name}",
        remedy="State traffic.value: requests_per_s or requests_per_interval",
    )


def _candidate(rest: list[str], where: str) -> str:
    plain = {plain_name(n): n for n in rest}
    if "arrival_rate_rps" in plain:
        return plain["arrival_rate_rps"]
    rates = [n for p, n in plain.items() if RATE_NAMES.search(p)]
    if len(rates) > 1:
        raise TrafficError("several columns hold rates", where=where, got=rates, remedy=_REMEDY_COLUMNS)
    if rates:
        return rates[0]
    return next((plain[n] for n in COUNT_NAMES if n in plain), "")


def plain_name(name: str) -> str:
    """A column name in lower case with underscores."""
    return re.sub(r"[\s./()-]+", "_", name.strip().lower()).strip("_")


def _stamp_like(names: list[str]) -> str:
    return next((n for n in names if re.search(r"time|date|stamp", n.lower())), "")


def _raw(
    table: pa.Table,
    picked: dict[str, str],
    meaning: Meaning | None,
    source: TrafficSource,
    quality: Quality,
    label: str,
    first: int,
) -> Raw:
    def place(name: str) -> Place:
        return Place(quality.source, name, label, first)

    ts = _stamps(table.column(picked["ts"]), source.time_zone, place(picked["ts"]), quality)
    tokens = {k: numbers(table.column(picked[k]), place(picked[k])) if picked[k] else None for k in TOKEN_NAMES}
    if meaning is None:
        return _request_log(ts, tokens, place(picked["ts"]))
    value = numbers(table.column(picked["arrival_rate_rps"]), place(picked["arrival_rate_rps"]))
    return Raw(ts, value, meaning, input_tokens=tokens["input_tokens"], output_tokens=tokens["output_tokens"])


def _request_log(ts: Any, tokens: dict[str, Floats | None], place: Place) -> Raw:
    """One row a request: counted by the minute, lengths kept as pairs."""
    order = np.argsort(ts, kind="stable")
    steps = np.diff(ts[order])
    if len(steps) > 10 and steps[0] >= 60_000_000 and (steps == steps[0]).all():
        raise TrafficError(
            "the rows are evenly spaced, so they are no single requests, and no column is known to hold the demand",
            where=place.source,
            remedy=_REMEDY_COLUMNS,
        )
    for name, values in tokens.items():
        if values is not None and np.isnan(values).any():
            raise TrafficError(
                f"a request has no {name}",
                where=Place(place.source, name, place.label, place.first).row(np.isnan(values)),
            )
    minute = ts[order] // 60_000_000
    starts, count = np.unique(minute, return_counts=True)
    lengths = {k: None if v is None else v[order] for k, v in tokens.items()}
    return Raw(
        starts * 60_000_000,
        count.astype(np.float64),
        "requests_per_interval",
        interval_s=60,
        complete=True,
        requests=Requests(ts[order] / 1e6, lengths["input_tokens"], lengths["output_tokens"]),
    )


def _stamps(column: pa.ChunkedArray, zone: str | None, place: Place, quality: Quality) -> Any:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        if column.null_count:
            raise TrafficError("a row has no time stamp", where=place.row(column.is_null().to_numpy()))
        micro = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64()).to_numpy()
        if column.type.tz is None:
            return stamps.from_naive(micro, zone, place, quality)
        return stamps.checked(pd.DatetimeIndex(micro.astype("datetime64[us]")), place)
    if pa.types.is_date(column.type):
        column = column.cast(pa.string())
    text = column.cast(pa.string()).to_pandas().astype("str")
    return stamps.parse(text, zone, place, quality)


def numbers(column: pa.ChunkedArray, place: Place) -> Floats:
    """Values ≥ 0; NaN where a cell is empty. Raises :class:`TrafficError` for NaN, infinity, words
    and negatives.
    """
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _to_float(column, place)
    elif not (
        pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    ):
        raise TrafficError(f"the column holds {column.type}, not numbers", where=place)
    found: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    missing = column.is_null().to_numpy()
    odd = ~np.isfinite(found) & ~missing
    if odd.any():
        raise TrafficError(
            "NaN or infinity is no measurement",
            where=place.row(odd),
            got=float(found[odd][0]),
            remedy="Leave the cell empty (or the row out) where nothing was observed",
        )
    negative = found < 0
    if negative.any():
        raise TrafficError(
            "a negative value is no demand",
            where=place.row(negative),
            got=float(found[negative][0]),
            remedy="Mend or remove that row",
        )
    return found


def _to_float(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
    odd = pc.is_in(pc.utf8_lower(text), value_set=pa.array(NOT_NUMBERS)).to_numpy(zero_copy_only=False)
    if odd.any():
        raise TrafficError(
            "NaN or infinity is no measurement",
            where=place.row(odd),
            got=text[int(np.argmax(odd))].as_py(),
            remedy="Leave the cell empty (or the row out) where nothing was observed",
        )
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        values = pd.to_numeric(text.to_pandas(), errors="coerce")
        bad = values.isna().to_numpy() & text.is_valid().to_numpy()
        got = text[int(np.argmax(bad))].as_py()
        hint = (
            "Write numbers with a decimal point and no thousands mark"
            if "," in str(got)
            else "Mend that row, or map another column in traffic.columns"
        )
        raise TrafficError("not a number", where=place.row(bad), got=got, remedy=hint) from None


def csv_names(path: Path, head: bytes) -> list[str]:
    """Column names of a text table. Raises :class:`TrafficError` for empty, binary and header-less
    files.
    """
    import csv

    if not head.strip():
        raise TrafficError("the file is empty", where=path, remedy="Export the history again")
    if b"\0" in head or head[:2] in (b"PK", b"\x1f\x8b"):
        raise TrafficError(
            "this is a binary file, not a text table",
            where=path,
            remedy="Give CSV, TSV or Parquet (spreadsheets: save as CSV)",
        )
    line, mark, _ = head.partition(b"\n")
    if not mark and len(head) == _HEAD_BYTES:
        raise TrafficError(
            f"the first line is longer than {_HEAD_BYTES} bytes, so this is no table",
            where=path,
            remedy="Give CSV, TSV or Parquet",
        )
    try:
        header = line.decode("utf-8-sig").strip("\r")
    except UnicodeDecodeError:
        raise TrafficError("the file is not UTF-8 text", where=path, remedy="Save it as UTF-8 CSV") from None
    try:
        names = [n.strip() for n in next(csv.reader([header], delimiter=_delimiter(header)), [])]
    except csv.Error as error:
        raise TrafficError(
            f"the first line is no header of a table: {error}", where=path, remedy="Give CSV, TSV or Parquet"
        ) from None
    if len(names) < 2:
        raise TrafficError(
            "the header has fewer than two columns",
            where=f"{path}, line 1",
            got=header[:80],
            remedy="The first line must name a time stamp and a value column",
        )
    if any(re.fullmatch(r"[\d.eE+-]+|\d{4}-\d\d-\d\d.*", n) for n in names):
        raise TrafficError(
            "the first line holds values, not column names",
            where=f"{path}, line 1",
            got=header[:80],
            remedy="Add a header line such as ts,requests",
        )
    return names


def _delimiter(header: str) -> str:
    return max("\t;,|", key=lambda mark: (header.count(mark), mark == ","))


def read_csv(path: Path, head: bytes, wanted: list[str]) -> pa.Table:
    """The wanted columns as text. Raises :class:`TrafficError` for ragged rows and lines beyond 1
    MiB.
    """
    import pyarrow as pa
    from pyarrow import csv

    header = head.partition(b"\n")[0].decode("utf-8-sig")
    names = csv_names(path, head)
    parse = csv.ParseOptions(delimiter=_delimiter(header), newlines_in_values=False)
    convert = csv.ConvertOptions(
        column_types={n: pa.string() for n in names}, include_columns=wanted, strings_can_be_null=False
    )
    # a line longer than one block is an error, so memory stays bounded whatever the file
    options = csv.ReadOptions(block_size=MAX_LINE_BYTES, column_names=names, skip_rows=1, use_threads=False)
    try:
        with csv.open_csv(path, read_options=options, parse_options=parse, convert_options=convert) as reader:
            return reader.read_all()
    except pa.ArrowInvalid as error:
        raise TrafficError(
            f"the table cannot be parsed: {str(error).splitlines()[0][:200]}",
            where=path,
            remedy="Each row needs as many fields as the header, in lines below 1 MiB",
        ) from None


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return [str(n) for n in parquet.read_schema(path).names]
    except (pa.ArrowInvalid, OSError) as error:
        raise TrafficError(
            f"the Parquet file cannot be read: {str(error)[:160]}", where=path, remedy="Write the file again"
        ) from None


def _read_parquet(path: Path, wanted: list[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path, columns=wanted, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise TrafficError(
            f"the Parquet file cannot be read: {str(error)[:160]}", where=path, remedy="Write the file again"
        ) from None


def _read_json_lines(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json

    try:
        return json.read_json(path, read_options=json.ReadOptions(use_threads=False, block_size=MAX_LINE_BYTES))
    except (pa.ArrowInvalid, OSError) as error:
        raise TrafficError(
            f"a line is no JSON object: {str(error).splitlines()[0][:160]}",
            where=path,
            remedy="Each line must be one object with the same fields, below 1 MiB",
        ) from None


TABLE = TrafficFormat(
    "table", "CSV, TSV or Parquet with one row a bucket, or a request log with one row a request", sniff, read
)
