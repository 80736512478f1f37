"""Rows of a table as Arrow batches, whatever file holds them; nothing is
unpacked without a limit.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import TrafficError
from planner.load.formats.dialect import Dialect, dialect_of
from planner.load.formats.documents import begins_json, read_json
from planner.load.quality import Quality

JSON_LINES = (".jsonl", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm")
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq", *JSON_LINES, *WORKBOOKS)
MAX_LINE_BYTES = 1 << 20
MAX_WORKBOOK_BYTES = 128 << 20  # unpacked; a sheet is full at 1,048,576 rows
BATCH = 1 << 16
MAX_CELL = 1024
MAX_ROWS = 16_000_000  # half a year of seconds; ten times the rows of two years of minutes
DEEPEST = 8  # levels of a JSON document above its rows


@dataclass(frozen=True)
class Rows:
    """Column ``names``; ``parts(wanted)`` yields record batches; rows count from ``first``."""

    names: list[str]
    parts: Callable[[list[str]], Iterator[Any]]
    label: str = "row"
    first: int = 1


def open_rows(path: Path, head: bytes, quality: Quality) -> Rows:
    """The rows of any table. Raises :class:`TrafficError`.

    Parquet is told by its first bytes, workbooks and JSON lines by their suffix; all else is a
    text table. Columns are known at once, rows come when they are asked for, part by part.
    """
    suffix = path.suffix.lower()
    if head[:4] == b"PAR1":
        return _parquet(path)
    if suffix in WORKBOOKS:
        return _workbook(path, quality)
    if suffix in JSON_LINES:
        return _json_lines(path)
    if suffix == ".json" or begins_json(head):
        return _json_array(path)
    form = dialect_of(path, head)
    return Rows(form.names, lambda wanted: csv_parts(path, form, wanted), "line", form.skip + 1)


def csv_parts(path: Path, form: Dialect, wanted: list[str]) -> Iterator[Any]:
    """The wanted columns as text. Raises :class:`TrafficError` for ragged
    rows and lines beyond 1 MiB.

    Everything is read as text: what a cell means is decided later, over the whole column. A line
    break inside quotes is not read.
    """
    import pyarrow as pa
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=False)
    convert = csv.ConvertOptions(
        column_types={n: pa.string() for n in form.names},
        include_columns=wanted,
        strings_can_be_null=False,
    )
    # a line longer than one block is an error, so memory stays bounded whatever the file
    options = csv.ReadOptions(
        block_size=MAX_LINE_BYTES, column_names=form.names, skip_rows=form.skip, use_threads=False
    )
    try:
        with csv.open_csv(path, read_options=options, parse_options=parse, convert_options=convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise TrafficError(
            f"the table cannot be parsed: {str(error).splitlines()[0][:200]}",
            where=path,
            remedy="Each row needs as many fields as the header, in lines below 1 MiB",
        ) from None


def _parquet(path: Path) -> Rows:
    """Rows of a Parquet file in batches of ``BATCH``, their types kept. Raises
    :class:`TrafficError` for a damaged file and, when read, for a cell longer
    than ``MAX_CELL`` bytes.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names, held = [str(n) for n in parquet.read_schema(path).names], parquet.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise TrafficError(
            f"the Parquet file cannot be read: {str(error)[:160]}",
            where=path,
            remedy="Write the file again",
        ) from None

    if held > MAX_ROWS:
        raise too_many_rows(path)

    def parts(wanted: list[str]) -> Iterator[Any]:
        # text stays as a dictionary, so a long cell that repeats is held once
        schema = parquet.read_schema(path)
        texts = [n for n in wanted if pa.types.is_string(schema.field(n).type)]
        try:
            with parquet.ParquetFile(path, read_dictionary=texts) as file:
                for batch in file.iter_batches(BATCH, columns=wanted, use_threads=False):
                    for name in texts:
                        _bounded(batch.column(name), path, name)
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise TrafficError(
                f"the Parquet file cannot be read: {str(error)[:160]}",
                where=path,
                remedy="Write the file again",
            ) from None

    return Rows(names, parts)


def too_many_rows(where: object) -> TrafficError:
    """What a table of more than :data:`MAX_ROWS` rows is refused with."""
    return TrafficError(
        f"the table has more than {MAX_ROWS} rows",
        where=where,
        remedy="Export at a longer interval, or a shorter span",
    )


def _bounded(column: Any, path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if len(values) and (pc.max(pc.binary_length(values)).as_py() or 0) > MAX_CELL:
        raise TrafficError(
            f"a cell is longer than {MAX_CELL} bytes",
            where=f"{path}, column {name}",
            remedy="Map another column in traffic.columns",
        )


def _json_lines(path: Path) -> Rows:
    """One object a line; fields of nested objects are named with dots. Only the fields of the first
    line are known.
    """
    with path.open("rb") as file:
        first = file.readline(MAX_LINE_BYTES)
    try:
        names = [n for n, v in _flat(json.loads(first.decode("utf-8-sig"))) if not isinstance(v, list)]
    except (ValueError, RecursionError, AttributeError):
        raise TrafficError(
            "the first line is no JSON object",
            where=path,
            remedy="Each line must be one object with the same fields, below 1 MiB",
        ) from None
    return Rows(names, lambda wanted: _json_parts(path, wanted), "line", 1)


def _json_array(path: Path) -> Rows:
    """An array of objects, each a row, alone or within a document. Raises :class:`TrafficError` for a
    document without one, or with several.
    """
    import pyarrow as pa

    lists = list(_lists(read_json(path), 0))
    if len(lists) != 1:
        raise TrafficError(
            f"this JSON holds {'several lists' if lists else 'no list'} of objects, so its rows are not known",
            where=path,
            remedy="Give one list with an object a row, or CSV with the columns ts,requests",
        )
    found = lists[0]
    names = [n for n, v in _flat(found[0]) if not isinstance(v, list)]

    def parts(wanted: list[str]) -> Iterator[Any]:
        lines = [dict(_flat(one)) for one in found]
        yield pa.RecordBatch.from_pydict(
            {n: pa.array([_text(line.get(n)) for line in lines], pa.string()) for n in wanted}
        )

    return Rows(names, parts)


def _lists(value: Any, depth: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of two objects or more in a document, outermost first; columns and rows beside each other
    (as Azure's queries answer) are a list of objects too.
    """
    if isinstance(value, dict):
        heads, lines = value.get("columns"), value.get("rows")
        if isinstance(heads, list) and isinstance(lines, list) and all(isinstance(h, dict) for h in heads):
            yield [dict(zip((str(h.get("name")) for h in heads), line, strict=True)) for line in lines]
            return
        inner: list[Any] = list(value.values())
    elif isinstance(value, list):
        if len(value) > 1 and all(isinstance(one, dict) for one in value):
            yield value
            return
        inner = value[:1]
    else:
        return
    for one in inner if depth < DEEPEST else ():
        yield from _lists(one, depth + 1)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[: MAX_CELL + 1]


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}.")
        else:
            yield before + key, inner


def _json_parts(path: Path, wanted: list[str]) -> Iterator[Any]:
    """The wanted fields of each line as text, in batches; a field that a line lacks is null.
    Raises :class:`TrafficError` naming the line that is no object.
    """
    import pyarrow as pa

    held: dict[str, list[str | None]] = {n: [] for n in wanted}
    number = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if not line.strip():
                continue
            try:
                found = dict(_flat(json.loads(line.decode("utf-8-sig"))))
            except (ValueError, RecursionError, AttributeError) as error:
                raise TrafficError(
                    f"a line is no JSON object: {str(error)[:120]}",
                    where=f"{path}, line {number}",
                    remedy="Each line must be one object with the same fields, below 1 MiB",
                ) from None
            for name, texts in held.items():
                texts.append(_text(found.get(name)))
            if len(held[wanted[0]]) == BATCH:
                yield pa.RecordBatch.from_pydict({n: pa.array(t, pa.string()) for n, t in held.items()})
                held = {n: [] for n in wanted}
    yield pa.RecordBatch.from_pydict({n: pa.array(t, pa.string()) for n, t in held.items()})


def _workbook(path: Path, quality: Quality) -> Rows:
    """The first sheet that holds a table of two columns or more.

    Its header is the first line with two texts or more; what stands above it is left out. Values
    are those Excel saved for formulas. Raises :class:`TrafficError` without openpyxl, for a
    workbook that unpacks to more than 128 MiB, and where no sheet has a header above its rows.
    """
    try:
        import openpyxl
    except ImportError:
        raise TrafficError(
            "reading a workbook needs openpyxl",
            where=path,
            remedy="Install the extra infra-planner[xlsx], or save the sheet as CSV",
        ) from None
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(i.file_size for i in packed.infolist())
    except zipfile.BadZipFile:
        raise TrafficError("this is no complete xlsx workbook", where=path, remedy="Save it again, or as CSV") from None
    if size > MAX_WORKBOOK_BYTES:
        raise TrafficError(
            f"the workbook unpacks to more than {MAX_WORKBOOK_BYTES >> 20} MiB",
            where=path,
            remedy="Save it as CSV",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True)
        for sheet in book.worksheets:
            lines = [list(line) for line in sheet.iter_rows(values_only=True) if any(c is not None for c in line)]
            start = next((i for i, line in enumerate(lines) if sum(isinstance(c, str) for c in line) >= 2), None)
            if start is not None and len(lines) > start + 1:
                if len(book.worksheets) > 1:
                    quality.add("noted", 0, f"sheet {sheet.title} was read, others were not")
                return _sheet(lines[start], lines[start + 1 :], start + 2)
    raise TrafficError(
        "no sheet has a header line above its rows",
        where=path,
        remedy="The first line must name time and value",
    )


def _sheet(header: list[Any], lines: list[list[Any]], first: int) -> Rows:
    import pyarrow as pa

    named = [(i, str(c).strip()) for i, c in enumerate(header) if c is not None and str(c).strip()]

    def parts(wanted: list[str]) -> Iterator[Any]:
        place = {name: i for i, name in named}
        texts = {n: [_cell(line[place[n]] if place[n] < len(line) else None) for line in lines] for n in wanted}
        yield pa.RecordBatch.from_pydict({n: pa.array(t, pa.string()) for n, t in texts.items()})

    return Rows([n for _, n in named], parts, "row", first)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str | int | float):
        return None if value is None else repr(value) if isinstance(value, float) else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
