"""Uploads: checked in Python (the browser's own limits can be passed by), kept under names of our
own, removed with the server.
"""

import csv
import hashlib
import io
import re
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from planner.errors import TrafficError

MAX_MIB, MAX_ROWS, MAX_COLUMNS, MAX_LINE = 20, 600_000, 60, 4_000
KEPT = 32
WHERE = "upload"
MARK = " · "  # between the name of an own scenario and its id


def check(content: bytes) -> list[str]:
    """The column names of an uploaded CSV. Raises :class:`TrafficError` for anything too big,
    binary or not a table.
    """
    if len(content) > MAX_MIB * 2**20:
        raise TrafficError(
            f"the file is larger than {MAX_MIB} MiB",
            where=WHERE,
            got=f"{len(content) / 2**20:.0f} MiB",
            remedy="Upload hourly values, or read the file with the command line, which has no such limit",
        )
    if not content.strip():
        raise TrafficError(
            "the file is empty", where=WHERE, remedy="Upload a CSV with a header line and at least one day of traffic"
        )
    if b"\x00" in content[:65536]:
        raise TrafficError(
            "the file is binary, not CSV text",
            where=WHERE,
            remedy="Export the history as comma-separated UTF-8 text and upload that",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrafficError(
            "the file is not UTF-8 text",
            where=f"{WHERE}, byte {error.start}",
            remedy="Save the history as CSV in UTF-8 and upload that",
        ) from None
    rows = text.count("\n")
    if rows > MAX_ROWS:
        raise TrafficError(
            f"the file has more than {MAX_ROWS:,} rows",
            where=WHERE,
            got=rows,
            remedy="Sum it to one row a minute or an hour, or read it with the command line",
        )
    head = text.lstrip().splitlines()[0]
    if len(head) > MAX_LINE:
        raise TrafficError(
            "the first line is too long for a header",
            where=f"{WHERE}, line 1",
            got=f"{len(head)} characters",
            remedy="Upload a CSV whose first line names the columns",
        )
    try:
        names = next(
            csv.reader(
                io.StringIO(head), csv.Sniffer().sniff(head, ",;\t") if any(c in head for c in ",;\t") else "excel"
            )
        )
    except csv.Error:
        names = head.split(",")
    if len(names) > MAX_COLUMNS:
        raise TrafficError(
            f"the file has more than {MAX_COLUMNS} columns",
            where=f"{WHERE}, line 1",
            got=len(names),
            remedy="Keep the time and the traffic columns",
        )
    return [n.strip() for n in names]


@cache
def _shelf() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="planner-uploads-")


def keep(content: bytes) -> Path:
    """Write a checked upload as ``traffic.csv`` in a folder named after its content; the oldest
    beyond 32 are removed.
    """
    root = Path(_shelf().name)
    folder = root / hashlib.sha256(content).hexdigest()
    file = folder / "traffic.csv"
    if file.exists():
        folder.touch()
    else:
        folder.mkdir(exist_ok=True)
        part = folder / "part"
        part.write_bytes(content)
        part.replace(file)
    for old in sorted(root.iterdir(), key=lambda f: f.stat().st_mtime, reverse=True)[KEPT:]:
        with suppress(OSError):  # another session may be using or removing it
            for inner in old.iterdir():
                inner.unlink(missing_ok=True)
            old.rmdir()
    return folder


def add(content: bytes, name: str, scenario_yaml: str) -> str:
    """Keep a scenario beside its history; the answer is the name under which it is offered, with an
    id that cannot be guessed, so that a link to it is found again while the server runs.
    """
    folder = keep(content)
    digest = hashlib.sha256(content + b"\0" + scenario_yaml.encode()).hexdigest()[:24]
    file = folder / f"scenario-{digest}.yaml"
    if not file.exists():
        part = folder / f"{digest}.part"
        part.write_text(scenario_yaml, encoding="utf-8")
        part.replace(file)
    return f"{name}{MARK}{digest}"


def find(name: str) -> tuple[str, Path] | None:
    """The text and the folder of an own scenario by the name :func:`add` gave; ``None`` if it is no
    such name, or the server has forgotten it.
    """
    found = re.search(rf"{MARK}([0-9a-f]{{24}})$", name)
    file = next(Path(_shelf().name).glob(f"*/scenario-{found[1]}.yaml"), None) if found else None
    return None if file is None else (file.read_text(encoding="utf-8"), file.parent)
