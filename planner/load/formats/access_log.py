"""Reads access logs of nginx (and Apache, same layout) and of AWS load balancers, plain or gzip,
larger than memory.

DuckDB streams the lines and counts them by the text of their minute; only the few distinct minutes
are parsed as time, so nothing grows with the log but the counts.  A minute without a line had no
request: a log is complete.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats import stamps
from planner.load.formats.base import Place, Raw, TrafficFormat
from planner.load.quality import Quality
from planner.scenario import TrafficSource

MAX_LINE_BYTES = 1 << 20
MAX_EXPANSION = 200  # text logs shrink 8 to 30 times; a thousandfold is a bomb
MAX_BAD_SHARE = 0.5
MEMORY_LIMIT = "1GB"
_HEAD_BYTES = 1 << 16
_NGINX = re.compile(r"\[(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2}):\d{2} ([+-]\d{4})\]")
_ALB = re.compile(r"^(?:https?|h2|grpcs?|wss?) (\d{4}-\d\d-\d\dT\d\d:\d\d):\d\d(?:\.\d+)?Z ")
_MONTHS = {
    m: i + 1 for i, m in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"))
}
# text of the minute (and offset) in one line, without parsing it as time
_NGINX_MINUTE = "substr(line, instr(line, '[') + 1, 17) || substr(line, instr(line, '[') + 21, 6)"
_ALB_MINUTE = "substr(line, instr(line, ' ') + 1, 16) || 'Z'"


def sniff(path: Path, head: bytes) -> bool:
    """One of the first lines looks like an access log."""
    return _kind(_text(path, head)) is not None


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Requests a minute. Raises :class:`TrafficError` for a file that is no log, a bomb, or a line
    beyond 1 MiB, or where DuckDB (extra ``logs``) is missing.
    """
    del source  # the stamps of both layouts carry their zone
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    kind = _kind(_text(path, head))
    if kind is None:
        raise TrafficError(
            "no line looks like an nginx or load balancer access log",
            where=path,
            remedy="Give a log in the combined or ALB format",
        )
    minutes, counts, unread = _counted(path, _NGINX_MINUTE if kind == "nginx" else _ALB_MINUTE)
    known = [(_iso(m, kind), n) for m, n in zip(minutes, counts, strict=True)]
    good = [(m, n) for m, n in known if m]
    bad = unread + sum(n for m, n in known if not m)
    lines = bad + sum(n for _, n in good)
    if not good or bad > MAX_BAD_SHARE * lines:
        raise TrafficError(
            f"{bad} of {lines} lines carry no time stamp of an access log", where=path, remedy="Check the log format"
        )
    if bad:
        quality.add("dropped", bad, f"lines without a readable time stamp ({bad / lines:.2%})")
    quality.add("noted", lines - bad, f"requests in a {kind} access log; a minute without a line had none")
    text = pd.Series([m for m, _ in good], dtype="str")
    ts = stamps.parse(text, None, Place(str(path), "time stamp", "minute", 1), quality)
    stamp, place = np.unique(ts, return_inverse=True)
    total: Floats = np.bincount(place, weights=np.array([n for _, n in good], dtype=np.float64)).astype(np.float64)
    return Raw(stamp, total, "requests_per_interval", interval_s=60, complete=True)


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
    return head[:_HEAD_BYTES].decode("utf-8", errors="replace")


def _kind(text: str) -> str | None:
    for line in text.splitlines()[:50]:
        if _ALB.match(line):
            return "ALB"
        if _NGINX.search(line):
            return "nginx"
    return None


def _counted(path: Path, minute: str) -> tuple[list[str], list[int], int]:
    """Distinct minute texts, their lines, and lines that are no text or hold a control character."""
    try:
        import duckdb
    except ImportError:
        raise TrafficError(
            "access logs are counted with DuckDB, which is not installed",
            where=path,
            remedy="pip install 'infra-planner[logs]'",
        ) from None
    _check_gzip(path)
    connection = duckdb.connect()
    try:
        connection.execute(f"SET memory_limit='{MEMORY_LIMIT}'")
        rows = connection.execute(
            f"SELECT {minute} AS minute, count(*) "  # noqa: S608
            "FROM read_csv(?, columns={'line': 'VARCHAR'}, header=false, auto_detect=false, "
            f"delim='\x01', quote='', escape='', strict_mode=false, null_padding=false, ignore_errors=true,"
            f" store_rejects=true, "
            f"rejects_limit=0, max_line_size={MAX_LINE_BYTES}, compression='{'gzip' if _zipped(path) else 'none'}')"
            " GROUP BY 1",
            [str(path)],
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


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _check_gzip(path: Path) -> None:
    """The trailer states the unpacked size (modulo 4 GiB): refuse a bomb that starts like a log."""
    if not _zipped(path):
        return
    packed = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, packed - 4))
        stated = int.from_bytes(file.read(4), "little")
    if stated > MAX_EXPANSION * packed:
        raise TrafficError(
            f"the file is cut off, or unpacks to more than {MAX_EXPANSION} times its size, which no log does",
            where=path,
            remedy="Copy it again, or check where it came from",
        )


def _iso(minute: Any, kind: str) -> str:
    """ISO text of a counted minute; empty if it is none."""
    text = str(minute)
    if kind == "ALB":
        return f"{text[:16]}:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", text) else ""
    parts = re.fullmatch(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2}) ([+-]\d{2})(\d{2})", text)
    if not parts or parts[2] not in _MONTHS:
        return ""
    return f"{parts[3]}-{_MONTHS[parts[2]]:02}-{parts[1]}T{parts[4]}:00{parts[5]}:{parts[6]}"


ACCESS_LOG = TrafficFormat("access_log", "nginx or AWS load balancer access log, plain or gzip", sniff, read)
