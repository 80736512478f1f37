"""The files of a snapshot: written whole beside the old one, then taken into use by replacing one
small file.

``data/catalog/<provider>/`` holds the CSV files themselves, or ``CURRENT`` with the name of the
generation folder that does. A reader therefore sees the old snapshot or the new one, whatever is
killed when.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from planner.data import data_path
from planner.errors import CatalogError

FILES = (
    "instances",
    "rates",
    "rates_inferred",
    "commitments",
    "storage",
    "storage_assumed",
    "network",
    "network_assumed",
)
CURRENT = "CURRENT"
_GENERATION = re.compile(r"\d{4}-\d\d-\d\dT\d{6}\.\d{6}")
# another folder for the snapshots than the one that came with the package
ENVIRONMENT = "PLANNER_CATALOG"


def catalog_folder(folder: str | Path | None = None) -> Path:
    """The folder of all snapshots: the one given, or of the environment variable PLANNER_CATALOG,
    or the bundled one.
    """
    chosen = folder or os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else data_path("catalog")


def current(home: Path) -> Path:
    """Where the files of the provider whose folder is ``home`` stand now. Raises
    :class:`CatalogError` for a broken pointer.
    """
    pointer = home / CURRENT
    if not pointer.exists():
        return home
    name = pointer.read_text(encoding="utf-8").strip()
    if not name or Path(name).name != name or not (home / name).is_dir():
        raise CatalogError(
            "CURRENT names no generation of the snapshot",
            where=pointer,
            got=name,
            remedy="Delete CURRENT to return to the bundled snapshot, or refresh",
        )
    return home / name


def write_files(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables of one provider; texts of ``source`` move to ``sources.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, int] = {}
    for name, table in tables.items():
        if table.empty and name not in ("instances", "rates", "commitments", "storage", "network"):
            continue
        out = table.drop(columns="provider", errors="ignore")
        out = out.assign(source=[sources.setdefault(s, len(sources) + 1) for s in out["source"]])
        if "current_generation" in out:
            out["current_generation"] = out["current_generation"].astype("int64")
        _write(folder / f"{name}.csv", out)
    _write(folder / "sources.csv", pd.DataFrame({"id": list(sources.values()), "source": list(sources)}))


def _write(path: Path, table: pd.DataFrame) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False, lineterminator="\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_generation(home: Path, name: str) -> Iterator[Path]:
    """A folder to write the next generation into; taken into use when the block ends well, removed
    when it does not.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        for left in home.glob("*.part"):  # of a process that was killed
            if _GENERATION.fullmatch(left.stem):
                shutil.rmtree(left, ignore_errors=True)
        part, final = home / f"{name}.part", home / name
        part.mkdir()
        try:
            yield part
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.rename(final)
        pointer = home / f"{CURRENT}.new"
        with pointer.open("w", encoding="utf-8") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        pointer.replace(home / CURRENT)
        _prune(home, name)


def _prune(home: Path, name: str) -> None:
    """Keep the new generation and the one before it, which a reader may still be reading; touch
    nothing that is not a generation.
    """
    older = sorted(p for p in home.iterdir() if p.is_dir() and p.name != name and _GENERATION.fullmatch(p.name))
    for old in older[:-1]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the provider's lock; it falls with the process that held it."""
    import fcntl

    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CatalogError(
                "another refresh of this provider is running",
                where=home,
                remedy="Wait for it to end",
            ) from None
        yield
