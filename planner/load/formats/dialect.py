"""How a text table is written: lines before its header, its delimiter, its column names."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from planner.errors import TrafficError
from planner.load.formats.names import names_time

HEAD_BYTES = 1 << 16
MOST_TITLES = 40  # lines above the header of a table
# first bytes of files that are no text table, and the way out
REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)", "Save it as .xlsx or CSV"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first (zstd -d)"),
    (b"BZh", "a bzip2 archive", "Unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first (unxz)"),
    (b"PK\x03\x04", "a zip archive", "Unpack it first; a workbook needs the ending .xlsx"),
    (b"\x1f\x8b", "a gzip file, and no access log", "Unpack it first (gunzip)"),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV"),
    (b"ARROW1", "an Arrow (Feather) file", "Save it as Parquet or CSV"),
    (b"ORC", "an ORC file", "Save it as Parquet or CSV"),
    (b"Obj\x01", "an Avro file", "Save it as Parquet or CSV"),
    (b"%PDF", "a PDF document", "Export the table as CSV"),
    (b"\xff\xfe", "UTF-16 text", "Save it as UTF-8 CSV"),
    (b"\xfe\xff", "UTF-16 text", "Save it as UTF-8 CSV"),
    (b"<?xml", "an XML document", "Save it as .xlsx or CSV"),
    (b"<!DOCTYPE", "a web page (a sign-in page, perhaps, in place of the export)", "Export the table as CSV"),
    (b"<html", "a web page (a sign-in page, perhaps, in place of the export)", "Export the table as CSV"),
    (b"ElfFile", "a Windows event log", "Export the events as CSV"),
)


@dataclass(frozen=True)
class Dialect:
    """``names`` of the columns, the ``delimiter``, and how many lines
    stand before the first row.
    """

    names: list[str]
    delimiter: str
    skip: int


def refuse_known(path: Path, head: bytes) -> None:
    """Raises :class:`TrafficError` for a file of a kind that is known and not read, with the way
    out.
    """
    for magic, kind, remedy in REFUSED:
        if head.lstrip(b"\xef\xbb\xbf \r\n")[: len(magic)] == magic:
            raise TrafficError(f"this is {kind}, which is not read", where=path, remedy=remedy)


def dialect_of(path: Path, head: bytes) -> Dialect:
    """Delimiter and names of a text table. Raises :class:`TrafficError` for
    binary and header-less files.

    ``head`` are the first bytes of the file. A header has two columns or more and does not begin
    with a number or a date; below a named stamp its columns may be numbers (a column a status).
    Comment lines (``#``), blank lines and Excel's ``sep=;`` may stand above it.
    """
    if not head.strip():
        raise TrafficError("the file is empty", where=path, remedy="Export the history again")
    refuse_known(path, head)
    if b"\0" in head:
        raise TrafficError("this is a binary file, not a text table", where=path, remedy="Give CSV, xlsx or Parquet")
    if b"#Fields:" in head[:4096]:
        raise TrafficError(
            "this is a W3C log, not a table",
            where=path,
            remedy="State traffic.format: access_log, or leave it out",
        )
    skip, stated, header = _header(path, head)
    delimiter = stated or _delimiter(header)
    names = _cells(header, delimiter, path)
    if not any(map(names_time, names)) and (below := _header_below(head, skip, stated, path)):
        skip, delimiter, names = below
    where = f"{path}, line {skip}"
    if len(names) < 2:
        raise TrafficError(
            "the header has fewer than two columns",
            where=where,
            got=header[:80],
            remedy="The first line must name a time stamp and a value column; remove titles above it",
        )
    if any(re.fullmatch(r"[\d.,eE+-]*\d[\d.,eE+-]*|\d{4}-\d\d-\d\d[T ].*", n) for n in names[:1]) or (
        sum(bool(re.fullmatch(r"[\d.eE+-]+|\d{4}-\d\d-\d\d.*", n)) for n in names) > len(names) / 2
        and not names_time(names[0])
    ):
        raise TrafficError(
            "the first line holds values, not column names",
            where=where,
            got=header[:80],
            remedy="Add a header line such as ts,requests",
        )
    return Dialect(names, delimiter, skip)


def _cells(line: str, delimiter: str, path: Path) -> list[str]:
    """The cells of one line. Raises :class:`TrafficError` for what is no line of a table."""
    try:
        return [n.strip() for n in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise TrafficError(
            f"the first line is no header of a table: {error}",
            where=path,
            remedy="Give CSV, TSV or Parquet",
        ) from None


def _header_below(head: bytes, skip: int, stated: str, path: Path) -> tuple[int, str, list[str]] | None:
    """A header below lines of titles, as monitoring consoles write them above their rows: a line with
    the name of a stamp, under which a cell with digits stands. Lines up to and with it, its
    delimiter and its names; ``None`` where there is none.
    """
    lines = head.decode("utf-8", errors="replace").split("\n")[: skip + MOST_TITLES + 1]
    for at in range(skip, len(lines) - 1):
        line = lines[at].strip("\r\n ")
        delimiter = stated or _delimiter(line)
        names = _cells(line, delimiter, path) if delimiter in line else []
        place = next((i for i, name in enumerate(names) if names_time(name) and not re.search(r"\d", name)), None)
        if place is None:
            continue
        row = _cells(lines[at + 1].strip("\r\n "), delimiter, path)
        if len(row) == len(names) and re.search(r"\d{4}|\d:\d\d", row[place]):
            return at + 1, delimiter, names
    return None


def _header(path: Path, head: bytes) -> tuple[int, str, str]:
    """Lines up to and with the header, the delimiter that Excel's hint states, and the header's
    text.
    """
    stated, lines = "", head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, raw in enumerate(lines):
        if number == len(lines) - 1 and len(head) >= HEAD_BYTES:
            break
        try:
            line = raw.decode("utf-8").strip("\r")
        except UnicodeDecodeError:
            raise TrafficError("the file is not UTF-8 text", where=path, remedy="Save it as UTF-8 CSV") from None
        if hint := re.fullmatch(r'"?sep=(.)"?', line.strip("\r\n "), re.IGNORECASE):
            stated = hint[1]
        elif line.strip() and not line.startswith("#"):
            return number + 1, stated, line
    raise TrafficError(
        f"the first line is longer than {HEAD_BYTES} bytes, so this is no table",
        where=path,
        remedy="Give CSV, TSV or Parquet with a first line such as ts,requests",
    )


def _delimiter(header: str) -> str:
    """The mark that stands most often in the header outside quotes and braces; the comma of
    two equally frequent ones.

    >>> _delimiter('ts;"a,b,c";value')
    ';'
    """
    bare = re.sub(r'"(?:[^"]|"")*"', "", header)
    bare = re.sub(r"\{[^{}]*\}", "", bare)
    return max("\t;,|", key=lambda mark: (bare.count(mark), mark == ","))
