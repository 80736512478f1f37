"""The downloads: each file holds exactly the rows behind the pages, as the
command line writes them.
"""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from planner import export
from planner.study import Study
from planner.ui.drawing import download, small

FILES = {
    "cost": "Cost, every charge by hour",
    "months": "Cost by month",
    "owners": "Cost by owner",
    "schedule": "Machines, every hour",
    "commitments": "Commitments to sign",
    "excuses": "Machines not used, and why",
    "prices": "Prices used, with source and date",
    "replay_hours": "Replay, hour by hour",
}


def offer(study: Study) -> None:
    """A button for each table, one for the workbook, one for the scenario with its changes."""
    small("Each file holds exactly the rows behind these pages; the command line writes the same files.")
    tables = export.tables(study)
    cells = st.columns(2)
    for k, (name, text) in enumerate(FILES.items()):
        frame = tables[name]
        with cells[k % 2]:
            download(
                f"{text} (CSV, {len(frame):,} rows)",
                lambda table=frame: export.to_csv(table).encode(),
                f"{name}.csv",
            )
    with cells[1]:
        download("Scenario with your changes (YAML)", study.scenario.to_yaml, "scenario.yaml", "application/yaml")
    if find_spec("xlsxwriter"):
        with cells[0]:
            download(
                "All tables in one workbook (Excel)",
                lambda: _workbook(study),
                f"{study.scenario.name}.xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            )


def _workbook(study: Study) -> bytes:
    """All tables as one workbook: written to a folder of its own, read back, and removed."""
    with TemporaryDirectory() as folder:
        return export.to_excel(study, Path(folder) / "plan.xlsx").read_bytes()
