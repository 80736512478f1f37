"""The workbook: it opens on amortized cost by month and owner, then one sheet a table; numbers are
numbers, nothing is a formula or a link.
"""

import io
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import PlannerError
from planner.export import finance
from planner.export.asked import UNSTORED, Answered, Origin
from planner.export.tables import HOURLY, tables
from planner.export.together import write_file

FIRST = "month by owner"
_PLAIN = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
_MONEY = "#,##0.00"


def to_excel(study: Answered, path: str | Path, origin: Origin = UNSTORED) -> Path:
    """Write one workbook: :data:`FIRST`, then the tables without a row an hour. Needs the extra
    ``xlsx``.

    Raises :class:`PlannerError` without the extra, or where the file cannot be written.
    """
    return write_file(workbook(study, origin, path), path)


def workbook(study: Answered, origin: Origin = UNSTORED, where: object = "workbook") -> bytes:
    """The workbook's bytes. Raises :class:`PlannerError` without the extra ``xlsx``."""
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise PlannerError(
            "writing Excel needs XlsxWriter",
            where=where,
            remedy="pip install 'infra-planner[xlsx]'",
        ) from None
    buffer = io.BytesIO()
    sheets = {FIRST: finance.by_month_and_owner(study), **tables(study, origin)}
    with pd.ExcelWriter(buffer, engine="xlsxwriter", engine_kwargs=_PLAIN) as book:
        for name, frame in sheets.items():
            if name not in HOURLY:
                _sheet(book, name, frame)
    return buffer.getvalue()


def _sheet(book: "pd.ExcelWriter[Any]", name: str, frame: pd.DataFrame) -> None:
    """One table with its head kept in sight, a filter on each column, and money with cents."""
    stamps = frame.select_dtypes("datetimetz").columns
    naive = frame.assign(**{c: frame[c].dt.tz_convert("UTC").dt.tz_localize(None) for c in stamps})
    naive.to_excel(book, sheet_name=name, index=False, freeze_panes=(1, 1 if name == FIRST else 0))
    sheet, money = book.sheets[name], book.book.add_format({"num_format": _MONEY})
    for k, column in enumerate(frame.columns):
        dollars = column.endswith("_usd") or (name == FIRST and column != "month")
        sheet.set_column(k, k, max(10, min(40, len(column) + 2)), money if dollars else None)
    if len(frame):
        sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)
