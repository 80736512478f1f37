"""Reads access logs of web servers, proxies and balancers, plain or gzip, larger than memory.

DuckDB streams the lines and counts them by the text of their minute; only the few distinct minutes
are parsed as time, so nothing grows with the log but the counts.  A minute without a line had no
request: a log is complete.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats import stamps
from planner.load.formats.base import Place, Raw, TrafficFormat
from planner.load.formats.dialect import refuse_known
from planner.load.formats.log_layouts import KNOWN, Layout, iso_minute, layout_of, refuse_named
from planner.load.quality import Quality
from planner.scenario import TrafficSource

MAX_LINE_BYTES = 1 << 20
MAX_EXPANSION = 200  # text logs shrink 8 to 30 times; a thousandfold is a bomb
MAX_BAD_SHARE = 0.5
MEMORY_LIMIT = "512MB"
_HEAD_BYTES = 1 << 16


def sniff(path: Path, head: bytes) -> bool:
    """One of the first lines looks like an access log."""
    return layout_of(_text(path, head)) is not None


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Requests a minute. Raises :class:`TrafficError` for a file that is no log, a bomb, or a line
    beyond 1 MiB, or where DuckDB (extra ``logs``) is missing.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    text = _text(path, head)
    layout = layout_of(text)
    if layout is None:
        refuse_named(text, path)
        refuse_known(path, head)
        raise TrafficError(
            "no line looks like an access log that is read",
            where=path,
            remedy=f"Give a log of {KNOWN}, or counts an interval as CSV",
        )
    minutes, counts, unread = _counted(path, layout)
    minutes, counts = _without_fields(minutes, counts, layout, path)
    known = [(iso_minute(m), n) for m, n in zip(minutes, counts, strict=True)]
    good = [(m, n) for m, n in known if m]
    bad = unread + sum(n for m, n in known if not m)
    lines = bad + sum(n for _, n in good)
    if not good or bad > MAX_BAD_SHARE * lines:
        raise TrafficError(
            f"{bad} of {lines} lines carry no time stamp of an access log",
            where=path,
            remedy="Check the log format",
        )
    if bad:
        quality.add("dropped", bad, f"lines without a readable time stamp ({bad / lines:.2%})")
    quality.add("noted", lines - bad, f"requests in a {layout.name} access log; a minute without a line had none")
    clock = stamps.Clock(source.time_zone) if not layout.zoned else stamps.Clock()
    ts = stamps.parse([m for m, _ in good], clock, Place(str(path), "time stamp", "minute", 1), quality)
    stamp, place = np.unique(ts, return_inverse=True)
    total: Floats = np.bincount(place, weights=np.array([n for _, n in good], dtype=np.float64)).astype(np.float64)
    return Raw(stamp, total, "requests_per_interval", interval_s=60, complete=True)


def _without_fields(minutes: list[str], counts: list[int], layout: Layout, path: Path) -> tuple[list[str], list[int]]:
    """The counted minutes without the lines that name the fields. Raises :class:`TrafficError` where
    such a line moves date or time: what follows it would be read at the wrong places.
    """
    rows = list(zip(minutes, counts, strict=True))
    named = [m for m, _ in rows if m.startswith("#Fields:")]
    if moved := next((m for m in named if not layout.places(m)), None):
        raise TrafficError(
            "the fields of the W3C log change within the file",
            where=path,
            got=moved[:120],
            remedy="Split the file at each line #Fields, and give the part that is meant",
        )
    kept = [(m, n) for m, n in rows if not m.startswith("#Fields:")]
    return [m for m, _ in kept], [n for _, n in kept]


def _text(path: Path, head: bytes) -> str:
    if head[:2] == b"\x1f\x8b":
        try:
            found = zlib.decompressobj(31).decompress(head, MAX_EXPANSION * _HEAD_BYTES)
        except zlib.error:
            raise TrafficError("the gzip file is damaged", where=path, remedy="Copy it again") from None
        if len(found) >= MAX_EXPANSION * len(head):
            raise TrafficError(
                f"the file unpacks to more than {MAX_EXPANSION} times its size, which no log does",
                where=path,
                remedy="Check where it came from",
            )
        head = found
    return head[:_HEAD_BYTES].decode("utf-8-sig", errors="replace")


def _counted(path: Path, layout: Layout) -> tuple[list[str], list[int], int]:
    """Distinct minute texts, their lines, and lines that are no text or
    hold a control character.
    """
    try:
        import duckdb
    except ImportError:
        raise TrafficError(
            "access logs are counted with DuckDB, which is not installed",
            where=path,
            remedy="pip install 'infra-planner[logs]'",
        ) from None
    zipped = _check_gzip(path)
    connection = _database().cursor()
    try:
        rows = connection.execute(
            f"SELECT {layout.minute} AS minute, count(*) "  # noqa: S608
            "FROM read_csv(?, columns={'line': 'VARCHAR'}, header=false, auto_detect=false, "
            f"delim='\x01', quote='', escape='', strict_mode=false, null_padding=false, ignore_errors=true,"
            f" store_rejects=true, "
            f"rejects_limit=0, max_line_size={MAX_LINE_BYTES}, compression='{'gzip' if zipped else 'none'}')"
            f" WHERE {layout.request} GROUP BY 1",
            [_no_pattern(path)],
        ).fetchall()
        unread = connection.execute("SELECT count(*) FROM reject_errors").fetchone()
    except duckdb.Error as error:
        raise TrafficError(
            f"the log cannot be read: {str(error).splitlines()[0][:160]}",
            where=path,
            remedy="Lines must be text below 1 MiB; copy the file again if it was cut",
        ) from None
    finally:
        connection.close()
    return [str(r[0]) for r in rows], [int(r[1]) for r in rows], int(unread[0]) if unread else 0


@lru_cache(maxsize=1)
def _database() -> Any:
    """DuckDB in memory, which takes longer to start than to read most logs; each reader has a cursor
    of its own, and lines that are refused stay with it.
    """
    import duckdb

    return duckdb.connect(config={"memory_limit": MEMORY_LIMIT})


def _no_pattern(path: Path) -> str:
    """The path as DuckDB must be given it to mean one file: it takes ``*``, ``?`` and ``[`` as a
    pattern.
    """
    return re.sub(r"[*?\[]", lambda mark: f"[{mark[0]}]", str(path.resolve()))


def _check_gzip(path: Path) -> bool:
    """Whether the file is gzip. Raises :class:`TrafficError` if all its members unpack beyond
    bounds.
    """
    packed, unpacked = path.stat().st_size, 0
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return False
        file.seek(0)
        member, data = zlib.decompressobj(31), file.read(1 << 18)
        try:
            while data:
                unpacked += len(member.decompress(data, 1 << 22))
                data = member.unconsumed_tail or member.unused_data
                if member.eof:
                    member = zlib.decompressobj(31)
                    data = data.lstrip(b"\0")  # padding after a member
                data = data or file.read(1 << 18)
                if unpacked > MAX_EXPANSION * packed:
                    raise TrafficError(
                        f"the file unpacks to more than {MAX_EXPANSION} times its size, which no log does",
                        where=path,
                        remedy="Check where it came from",
                    )
        except zlib.error:
            raise TrafficError("the gzip file is damaged or cut off", where=path, remedy="Copy it again") from None
    return True


ACCESS_LOG = TrafficFormat("access_log", f"access log of {KNOWN}, plain or gzip", sniff, read)
