"""Options of ``planner plan`` that also write the answer to files, and their writing."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click
import pandas as pd

from planner import export

if TYPE_CHECKING:
    from planner.study import Study

F = TypeVar("F", bound=Callable[..., object])


class Files(NamedTuple):
    """Where the answer is also written; ``None`` where it is not."""

    csv_folder: str | None
    parquet_folder: str | None
    excel_file: str | None
    focus_file: str | None
    focus_version: str

    def write(self, study: "Study", origin: export.Origin) -> None:
        """Write each that was asked for. Raises :class:`PlannerError` where it cannot."""
        if self.csv_folder:
            export.write_csv(study, self.csv_folder, origin)
        if self.parquet_folder:
            export.write_parquet(study, self.parquet_folder, origin)
        if self.excel_file:
            export.to_excel(study, self.excel_file, origin)
        if self.focus_file:
            export.write_focus(study, self.focus_file, self.focus_version, origin)


def file_options(command: F) -> F:
    """The options whose values make a :class:`Files`."""
    folder, file = click.Path(file_okay=False), click.Path(dir_okay=False)
    versions = click.Choice(list(export.FOCUS_VERSIONS))
    for option in (
        click.option(
            "--focus-version",
            type=versions,
            default="1.2",
            show_default=True,
            help="Names of columns of --focus.",
        ),
        click.option("--focus", "focus_file", type=file, help="Also write a FOCUS dataset, CSV or .parquet."),
        click.option("--excel", "excel_file", type=file, help="Also write one workbook (extra xlsx)."),
        click.option("--parquet", "parquet_folder", type=folder, help="The same as --csv, as Parquet files."),
        click.option("--csv", "csv_folder", type=folder, help="Also write every table as CSV to this folder."),
    ):
        command = option(command)
    return command


def write_table(frame: pd.DataFrame, path: str | None) -> None:
    """Write a table as one CSV file, if a path was given. Raises :class:`PlannerError`."""
    if path:
        export.write_file(export.to_csv(frame).encode(), Path(path))
