"""One door for every bill: a file or a folder of one layout in, the frame ``actuals`` out.

Every row of the file is a row of the frame, in its order, and Σ billed cost is that of the file: a
bill that loses money on its way is worse than none.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from planner.actuals import aws_cur, azure_export, cost_explorer, focus, gcp_export
from planner.actuals.table import FILES, Table, read_table
from planner.arrays import Ints
from planner.errors import PlannerError, one_door

# a layout is a module with ``knows`` and ``read``; the first that knows the columns reads them
BILL_FORMATS: dict[str, ModuleType] = {m.NAME: m for m in (focus, aws_cur, cost_explorer, gcp_export, azure_export)}
_SUFFIXES = (".csv", ".gz", ".parquet", ".json", ".jsonl")
_TWICE = 0.5  # share of a file's rows that stand in another one


def read_bill(path: str | Path, *, usd_per: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Every row of a bill (frame ``actuals``), of a file or of all files of a folder.

    ``usd_per``: what one unit of each other currency of the bill is worth in USD.  Raises
    :class:`PlannerError` with file, row, field and value of what cannot be, and names the layouts
    that are read where the file has none of them.
    """
    path = Path(path)
    files = _files(path) if path.is_dir() else [path]
    parts = [_read(p, usd_per or {}) for p in files]
    names = dict.fromkeys(name for name, _, _ in parts)
    if len(names) > 1:
        raise PlannerError(
            "the folder holds bills of several layouts, which may tell the same money twice",
            where=path,
            got=list(names),
            remedy="Give a folder of one layout",
        )
    _refuse_twice(files, [prints for _, _, prints in parts])
    found = parts[0][1] if len(parts) == 1 else pd.concat([f for _, f, _ in parts], ignore_index=True)
    found.attrs["format"] = next(iter(names))
    return found


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in _SUFFIXES)
    found = [p for p in found if not ("manifest" in p.name.lower() and p.suffix.lower() == ".json")]
    if not found:
        raise PlannerError(
            "the folder holds no bill",
            where=folder,
            remedy=f"Put {', '.join(_SUFFIXES)} files there",
        )
    return found


def _refuse_twice(files: Sequence[Path], prints: Sequence[Ints]) -> None:
    """Raises :class:`PlannerError` where most rows of a file stand in another one too: a copy, an
    older version of a report, or exports that each begin at the first of the month.

    Rows that repeat within their own file say nothing: machines that are alike may be on different
    parts of one report.
    """
    rows = pd.DataFrame(
        {
            "print": np.concatenate(prints),
            "file": np.repeat(range(len(files)), [*map(len, prints)]),
        }
    )
    once = rows[~rows.duplicated(keep=False)]
    again = once.duplicated("print", keep=False).groupby(once["file"]).sum()
    size = rows.groupby("file").size()
    for at in again.index[again >= _TWICE * size.loc[again.index]]:
        raise PlannerError(
            f"{again[at]} of {size[at]} rows stand in another file of the folder too, so that their money would"
            " count twice",
            where=files[int(at)],
            remedy="Leave one of them in the folder: of copies any, of versions of a report the last",
        )


def _read(path: Path, usd_per: Mapping[str, float]) -> tuple[str, pd.DataFrame, Ints]:
    """Layout, rows and their fingerprints of one file. Raises :class:`PlannerError`."""
    way = FILES[0].upper() + FILES[1:]
    with one_door(lambda cause: PlannerError(f"the bill is damaged: {cause}", where=path, remedy=way)):
        table = read_table(path)
        name = next((n for n, form in BILL_FORMATS.items() if form.knows(table)), None)
        if name is None:
            raise _unknown(table, path)
        if not len(table):
            raise PlannerError("the bill has no rows", where=path, remedy="Export a period with charges")
        return name, BILL_FORMATS[name].read(table, usd_per), table.prints()


def _unknown(table: Table, path: Path) -> PlannerError:
    return PlannerError(
        "the bill is in no format this program reads",
        where=path,
        got=list(table.written.values())[:6],
        remedy=f"Export one of {', '.join(BILL_FORMATS)}; each of these clouds exports FOCUS too",
    )


def by_charge(bill: pd.DataFrame) -> dict[str, float]:
    """What was billed for each charge [USD]."""
    sums = bill.groupby("charge")["billed_cost_usd"].sum()
    return {str(k): float(v) for k, v in sums.items()}


def days(bill: pd.DataFrame) -> float:
    """Days from the first to the last day with a charge; NaN where the bill does not say."""
    stamps = bill["ts"].dropna().dt.floor("D")
    return math.nan if stamps.empty else float((stamps.max() - stamps.min()) / pd.Timedelta(days=1)) + 1
