"""Rows of a bill's file as text, whatever holds them: CSV, Parquet, JSON or JSON lines, gzipped or
not; nested values are laid flat, and nothing is unpacked without a limit.
"""

import gzip
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import PlannerError

LARGEST_FILE = 256 << 20  # bytes, unpacked
MOST_CELLS = 64_000_000  # a file of 256 MiB has fewer
BATCH = 4096  # rows of a Parquet file that are unpacked at once
FILES = "give the file as the provider's cost export writes it (of Google Cloud: the export to BigQuery)"
_NULLS = ("NULL", "null", "NaN", "nan", "None", "<NA>")


class Table:
    """Columns of text by their plain names: ``lineItem/UsageType`` and ``line_item_usage_type`` are
    both ``lineitemusagetype``.

    A null is an empty text, whatever the file calls it.
    """

    def __init__(self, frame: pd.DataFrame, where: str) -> None:
        """Columns whose plain names are equal keep the first. ``where``: the file, for messages."""
        self.where, self.written = (
            where,
            {plain(str(c)): str(c) for c in reversed(list(frame.columns))},
        )
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def has(self, *names: str) -> bool:
        """Whether the file has all of these columns."""
        return all(n in self.written for n in names)

    def text(self, *names: str) -> "pd.Series[str]":
        """The first of these columns that the file has; empty text without any."""
        found = next((n for n in names if n in self.written), None)
        if found is None:
            return pd.Series("", index=self._frame.index, dtype="str")
        column = self._frame[self.written[found]].fillna("").str.strip()
        return column.mask(column.isin(_NULLS), "").astype("str")

    def words(self, *names: str) -> "pd.Series[str]":
        """These columns joined by blanks, to be searched."""
        told = pd.Series("", index=self._frame.index, dtype="str")
        for name in names:
            told = told + self.text(name) + " "
        return told.str.strip().astype("str")

    def number(self, *names: str) -> Floats:
        """Figures of the first of these columns; NaN where a row or the file has none.

        Raises :class:`PlannerError` naming the row of a text that is no amount.
        """
        column = self.text(*names)
        values = pd.to_numeric(column.where(column != "", "nan"), errors="coerce").to_numpy(np.float64)
        wrong = (np.isnan(values) & (column != "").to_numpy()) | (np.abs(values) > 1e12)
        self.refuse(
            wrong,
            column,
            next((n for n in names if n in self.written), names[0]),
            "is not an amount",
        )
        return values

    def money(self, *names: str, spared: Any = False) -> Floats:
        """Amounts of the first of these columns, of which every row must have one: what is not
        stated is no zero. ``spared`` rows, told elsewhere, count 0 without one.

        Raises :class:`PlannerError` naming the first row without an amount.
        """
        values = self.number(*names)
        name = next((n for n in names if n in self.written), names[0])
        self.refuse(
            np.isnan(values) & ~np.asarray(spared),
            self.text(*names),
            name,
            "is empty, and unknown is not 0",
        )
        return np.nan_to_num(values)

    def prints(self) -> Any:
        """A fingerprint of each row [uint64], equal where all cells are."""
        return pd.util.hash_pandas_object(self._frame.fillna("").astype("str"), index=False).to_numpy()

    def instant(self, *names: str) -> pd.Series:
        """Instants (UTC) of the first of these columns; NaT where there is none.

        ISO 8601, ``YYYY-MM-DD HH:MM:SS`` or Azure's ``MM/DD/YYYY``; a stamp without a zone is UTC,
        as the layouts say. Raises :class:`PlannerError` naming the row of what is no date.
        """
        column = self.text(*names)
        iso = column.str.replace(r"^(\d{1,2})/(\d{1,2})/(\d{4})", r"\3-\1-\2", regex=True)
        iso = iso.str.replace(r"-(\d)(?=-|$)", r"-0\1", regex=True).str.replace(" UTC", "Z")
        dated = iso.where(iso.str.match(r"\d{4}-\d\d-\d\d"), None)
        found = pd.to_datetime(dated, utc=True, errors="coerce", format="ISO8601").astype("datetime64[us, UTC]")
        name = next((n for n in names if n in self.written), names[0])
        self.refuse((found.isna() & (column != "")).to_numpy(), column, name, "is not a date")
        return found

    def refuse(self, wrong: Any, column: "pd.Series[str]", name: str, why: str) -> None:
        """Raise :class:`PlannerError` for the first row that is wrong, with its value."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise PlannerError(
                f"row {rows[0] + 2}: {self.written.get(name, name)} {why}",
                where=self.where,
                got=column.iloc[rows[0]],
                remedy="Export the bill again, or mend the row",
            )


def plain(name: str) -> str:
    """A column's name without case, dots, slashes, colons, blanks and underscores.

    >>> plain("lineItem/UsageType") == plain("line_item_usage_type")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_table(path: Path) -> Table:
    """All rows of one file. Raises :class:`PlannerError` for a file that is too large, cannot be
    read or holds no table.
    """
    raw = _bytes(path)
    if raw[:4] == b"PAR1":
        return Table(_parquet(raw, path), str(path))
    head = raw[:4096].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head[:1] in (b"{", b"["):
        return Table(_json(raw), str(path))
    _refuse_packed(raw, path)
    text = raw.decode("utf-8-sig").lstrip("\x00")
    head_line = text[:20_000].partition("\n")[0]
    sep = max(",;\t", key=head_line.count)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                BytesIO(text.encode()),
                dtype="str",
                keep_default_na=False,
                sep=sep,
                index_col=False,
            )
        except (
            pd.errors.ParserWarning,
            pd.errors.ParserError,
        ):  # cells without a column would be lost
            raise PlannerError(
                "rows hold more cells than the first line, which must name the columns",
                where=path,
                got=head_line[:80],
                remedy=f"Remove titles above the columns' names, or {FILES}",
            ) from None
    return Table(frame, str(path))


# what a bill may come in, and is not read: first bytes, what it is, and the way out
_PACKED = (
    (b"PK\x03\x04", "a zip archive or a workbook", "Unpack it first, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "Save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first (zstd -d)"),
    (b"%PDF", "a PDF document", "Give the provider's cost export in its place"),
    (b"\xff\xfe", "UTF-16 text", "Save it as UTF-8 CSV"),
    (b"\xfe\xff", "UTF-16 text", "Save it as UTF-8 CSV"),
)


def _refuse_packed(raw: bytes, path: Path) -> None:
    for magic, kind, remedy in _PACKED:
        if raw.startswith(magic):
            raise PlannerError(f"this is {kind}, which is not read as a bill", where=path, remedy=remedy)


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes() if path.stat().st_size <= LARGEST_FILE else b""
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(BytesIO(raw)) as file:
                raw = file.read(LARGEST_FILE + 1)
        if not raw or len(raw) > LARGEST_FILE:
            size = "empty" if not raw and path.stat().st_size == 0 else f"larger than {LARGEST_FILE >> 20} MiB"
            raise PlannerError(f"the bill is {size}", where=path, remedy="Give one month, by day and service")
    except (OSError, EOFError, ValueError) as error:
        raise PlannerError(f"the bill cannot be read: {error}", where=path, remedy="Give a file of a bill") from None
    return raw


def _parquet(raw: bytes, path: Path) -> pd.DataFrame:
    """All rows of a Parquet file. Raises :class:`PlannerError` for one that unpacks to more than
    :data:`LARGEST_FILE` of text or :data:`MOST_CELLS`, before it is unpacked.

    Constant columns shrink a millionfold, so neither the file's size nor the sizes it states bound
    what it holds: texts are read as the distinct ones there are, and counted batch by batch.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        source = pa.BufferReader(raw)
        schema = parquet.read_schema(source)
        texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        with parquet.ParquetFile(source, read_dictionary=texts) as file:
            if file.metadata.num_rows * len(schema) > MOST_CELLS:
                raise _too_large(path, f"{file.metadata.num_rows:,} rows of {len(schema)} columns")
            table = pa.Table.from_batches(_bounded(file, path), file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)[:160]) from None
    flat = table.flatten()
    return pd.DataFrame({n: _texts(c) for n, c in zip(flat.column_names, flat.columns, strict=True)}, dtype="str")


def _bounded(file: Any, path: Path) -> Iterator[Any]:
    """Batches of a Parquet file, until their cells written out pass :data:`LARGEST_FILE`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for batch in file.iter_batches(BATCH, use_threads=False):
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                size += pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
            else:
                size += column.nbytes
        if size > LARGEST_FILE:
            raise _too_large(path, f"more than {LARGEST_FILE >> 20} MiB")
        yield batch


def _too_large(path: Path, size: str) -> PlannerError:
    return PlannerError("the bill is too large", where=path, got=size, remedy="Give one month, by day and service")


def _texts(column: Any) -> list[str]:
    """Cells of an Arrow column as text; lists and maps as JSON."""
    return ["" if v is None else _text(v) for v in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        value = dict(value)  # an Arrow map
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _json(raw: bytes) -> pd.DataFrame:
    """Objects of an array or of lines; one object whose ``rows`` are a list is that list."""
    text = raw.decode("utf-8-sig").strip()
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = found if isinstance(found, list) else [found]
    return pd.DataFrame([dict(_flat(r)) for r in rows if isinstance(r, dict)], dtype="str")


def _flat(row: Mapping[str, Any], lead: str = "") -> Iterator[tuple[str, str]]:
    for key, value in row.items():
        if isinstance(value, dict) and key not in ("tags", "labels"):
            yield from _flat(value, f"{lead}{key}.")
        elif value is not None:
            yield f"{lead}{key}", _text(value)
