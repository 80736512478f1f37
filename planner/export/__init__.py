"""What leaves the planner: tables as CSV and Parquet in a folder, one JSON answer, a
workbook, and a FOCUS dataset. All hold the rows of ``plan.cost`` to the cent, and
each is whole or not there.

``asked`` what an export is made of · ``cells`` a frame as text · ``together`` a set of files as one
thing · ``finance`` frames for finance · ``budgets`` pace and breach · ``tables`` every
table by name · ``tokens`` cost of tokens by kind · ``answer`` JSON · ``book`` Excel · ``focus`` FOCUS.
"""

from planner.export.answer import frames_json, plain, to_json
from planner.export.asked import Answered, Origin
from planner.export.book import to_excel
from planner.export.budgets import budgets
from planner.export.cells import to_csv
from planner.export.finance import headline
from planner.export.focus import ADDED as FOCUS_VERSIONS
from planner.export.focus import write_focus
from planner.export.tables import tables, write_csv, write_frames, write_parquet
from planner.export.together import write_file
from planner.export.tokens import token_costs

__all__ = [
    "FOCUS_VERSIONS",
    "Answered",
    "Origin",
    "budgets",
    "frames_json",
    "headline",
    "plain",
    "tables",
    "to_csv",
    "to_excel",
    "to_json",
    "token_costs",
    "write_csv",
    "write_file",
    "write_focus",
    "write_frames",
    "write_parquet",
]
