"""Uploads: checked in Python (the browser's own limits can be passed by), kept under names of our
own, removed with the server.
"""

import csv
import hashlib
import io
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from planner.errors import PlannerError, TrafficError

MAX_MIB, MAX_ROWS, MAX_COLUMNS, MAX_LINE = 20, 600_000, 60, 4_000
KEPT = 32
WHERE = "upload"
MARK = " · "  # between the name of an own scenario and its id


class Kind(NamedTuple):
    """What an upload is taken for: the name it is kept under, how many columns and how long a
    header it may have, what it must hold, and the error that says so.
    """

    file: str
    columns: int
    header: int
    holds: str
    error: type[PlannerError]


HISTORY = Kind("traffic.csv", MAX_COLUMNS, MAX_LINE, "the time and the traffic columns", TrafficError)
BILL = Kind("bill.csv", 400, 20_000, "the columns of a FOCUS, AWS, Google or Azure export", PlannerError)
KINDS = {kind.file: kind for kind in (HISTORY, BILL)}


def check(content: bytes, kind: Kind = HISTORY) -> list[str]:
    """The column names of an uploaded CSV. Raises the error of its ``kind`` for anything too big,
    binary or not a table.
    """
    _size(content, kind)
    text = _text(content, kind)
    rows = text.count("\n")
    if rows > MAX_ROWS:
        raise kind.error(
            f"the file has more than {MAX_ROWS:,} rows",
            where=WHERE,
            got=rows,
            remedy="Sum it to fewer rows, such as one an hour, or read it with the command line",
        )
    head = text.lstrip().splitlines()[0]
    if len(head) > kind.header:
        raise kind.error(
            "the first line is too long for a header",
            where=f"{WHERE}, line 1",
            got=f"{len(head)} characters",
            remedy="Upload a CSV whose first line names the columns",
        )
    names = _names(head)
    if len(names) > kind.columns:
        raise kind.error(
            f"the file has more than {kind.columns} columns",
            where=f"{WHERE}, line 1",
            got=len(names),
            remedy=f"Keep {kind.holds}",
        )
    return [n.strip() for n in names]


def _size(content: bytes, kind: Kind) -> None:
    """Refuse what is too big, empty or binary."""
    if len(content) > MAX_MIB * 2**20:
        raise kind.error(
            f"the file is larger than {MAX_MIB} MiB",
            where=WHERE,
            got=f"{len(content) / 2**20:.0f} MiB",
            remedy="Upload fewer rows, such as one an hour, or use the command line, which has no such limit",
        )
    if not content.strip():
        raise kind.error("the file is empty", where=WHERE, remedy=f"Upload a CSV with {kind.holds}")
    if b"\x00" in content[:65536]:
        raise kind.error(
            "the file is binary, not CSV text",
            where=WHERE,
            remedy="Export it as comma-separated UTF-8 text and upload that",
        )


def _text(content: bytes, kind: Kind) -> str:
    """The upload as text; refused unless it is UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise kind.error(
            "the file is not UTF-8 text",
            where=f"{WHERE}, byte {error.start}",
            remedy="Save it as CSV in UTF-8 and upload that",
        ) from None


def _names(head: str) -> list[str]:
    """The cells of a header line, whatever separates them."""
    marks = any(c in head for c in ",;\t")
    try:
        return next(csv.reader(io.StringIO(head), csv.Sniffer().sniff(head, ",;\t") if marks else "excel"))
    except csv.Error:
        return head.split(",")


@cache
def _shelf() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="planner-uploads-")


def shelf() -> Path:
    """The folder of what is kept while the server runs."""
    return Path(_shelf().name)


def keep(content: bytes, kind: Kind = HISTORY) -> Path:
    """Write a checked upload under the name of its kind in a folder named after its content; the
    oldest beyond 32 are removed.
    """
    root = shelf()
    folder = root / hashlib.sha256(content).hexdigest()
    file = folder / kind.file
    if file.exists():
        folder.touch()
    else:
        folder.mkdir(exist_ok=True)
        part = folder / "part"
        part.write_bytes(content)
        part.replace(file)
    for old in sorted(root.glob("[0-9a-f]*"), key=lambda f: f.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)  # another session may be using or removing it
    return folder


def add_file(content: bytes, kind: Kind, name: str) -> str:
    """Keep a checked upload; the answer is the name under which it is offered, with an id that
    cannot be guessed, so that a link to it is found again while the server runs.
    """
    return f"{name}{MARK}{keep(content, kind).name[:24]}"


def file_of(name: str) -> Path | None:
    """The file of a name that :func:`add_file` gave; ``None`` if it is no such name, or the server
    has forgotten it.
    """
    found = re.search(rf"{MARK}([0-9a-f]{{24}})$", name)
    files = shelf().glob(f"{found[1]}*/*.csv") if found else iter(())
    return next((f for f in files if f.name in KINDS), None)


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
    file = next(shelf().glob(f"*/scenario-{found[1]}.yaml"), None) if found else None
    return None if file is None else (file.read_text(encoding="utf-8"), file.parent)
