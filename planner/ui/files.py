"""The downloads: each file holds exactly the rows behind the pages, as the
command line writes them.
"""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from planner import export
from planner.export.book import workbook
from planner.study import Study
from planner.ui import session
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
    cells = st.columns(2)
    for k, (name, text) in enumerate(FILES.items()):
        with cells[k % 2]:
            download(f"{text} (CSV)", lambda table=name: _csv(study, table), f"{name}.csv")
    with cells[1]:
        download(
            "Scenario with your changes (YAML)",
            study.scenario.to_yaml,
            "scenario.yaml",
            "application/yaml",
        )
    if find_spec("xlsxwriter"):
        with cells[0]:
            download(
                "All tables in one workbook (Excel)",
                lambda: workbook(study),
                f"{study.scenario.name}.xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            )
    with cells[0]:
        download("FOCUS 1.2 dataset (CSV)", lambda: _focus(study), "focus.csv")
    with cells[1]:
        download(
            "The whole answer (JSON)",
            lambda: export.to_json(study),
            "answer.json",
            "application/json",
        )


def _csv(study: Study, name: str) -> bytes:
    """One table; all are made together when the first is asked for."""
    tables = session.worked_out(study, "tables", lambda: export.tables(study))
    return export.to_csv(tables[name]).encode()


def _focus(study: Study) -> bytes:
    """The FOCUS dataset: written to a folder of its own, read back, and removed."""
    with TemporaryDirectory() as folder:
        return export.write_focus(study, Path(folder) / "focus.csv")[0].read_bytes()
