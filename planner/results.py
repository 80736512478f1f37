"""Rows of a long sweep on disk: one small Parquet file each, whole or not at all, so that a run
that was killed is taken up where it ended.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import PlannerError


class Rows:
    """Rows by key in a folder; ``pandas.read_parquet(folder)`` reads them all.

    Two runs may write into one folder: equal keys mean equal rows.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open or make the folder; what a killed run left half-written is cleared.

        Raises :class:`PlannerError` if it cannot be written.
        """
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for part in self.folder.glob(".row-*.part"):
                part.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def __getitem__(self, key: str) -> dict[str, Any] | None:
        """The row of a key, ``None`` if there is none or it cannot be read."""
        path = self.folder / f"row-{key}.parquet"
        try:
            return {str(k): v for k, v in pd.read_parquet(path).iloc[0].items()} if path.exists() else None
        except (OSError, ValueError, IndexError):  # not ours: made anew
            return None

    def __setitem__(self, key: str, row: Mapping[str, Any]) -> None:
        """Write a row.  Raises :class:`PlannerError` if it cannot be written."""
        part = self.folder / f".row-{key}.part"
        try:
            pd.DataFrame([dict(row)]).to_parquet(part, index=False)
            os.replace(part, self.folder / f"row-{key}.parquet")
        except OSError as error:
            raise _unwritable(self.folder, error) from None


def _unwritable(folder: Path, error: OSError) -> PlannerError:
    return PlannerError(
        f"results cannot be written: {error.strerror or error}",
        where=folder,
        remedy="Choose another folder",
    )
