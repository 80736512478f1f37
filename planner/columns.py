"""The data dictionary: each column's name, unit, dtype, frames, FOCUS name and meaning, once.

``columns.csv`` beside this module is the dictionary; :func:`check` is the door of each stage.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype

from planner.errors import PlannerError

_KINDS: dict[str, Callable[[Any], bool]] = {  # of a column, or of its dtype
    "str": pd.api.types.is_string_dtype,
    "float": pd.api.types.is_float_dtype,
    "int": pd.api.types.is_integer_dtype,
    "bool": pd.api.types.is_bool_dtype,
    "ts": lambda d: isinstance(getattr(d, "dtype", d), pd.DatetimeTZDtype),
}


@dataclass(frozen=True)
class Column:
    """One quantity: the same name in YAML, type, frame, CSV header and plot label."""

    name: str
    unit: str
    dtype: str  # str, float, int, bool, ts (UTC instant)
    frames: tuple[str, ...]
    focus: str  # FOCUS column, empty if none
    meaning: str


@cache
def dictionary() -> dict[str, Column]:
    """All columns by name, in the order of ``columns.csv``."""
    with (Path(__file__).parent / "columns.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        r["name"]: Column(r["name"], r["unit"], r["dtype"], tuple(r["frames"].split()), r["focus"], r["meaning"])
        for r in rows
    }


@cache
def columns_of(frame: str) -> tuple[str, ...]:
    """The columns of a frame, in order. Raises :class:`PlannerError` for an unknown frame."""
    found = tuple(c.name for c in dictionary().values() if frame in c.frames)
    if not found:
        raise PlannerError("no such frame in columns.csv", got=frame)
    return found


def check(frame: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with exactly the declared columns of ``frame`` in declared order.

    Raises :class:`PlannerError` naming each missing, undeclared or wrongly typed column.
    """
    wanted, given = columns_of(frame), table.columns.tolist()
    faults = [f"missing {c}" for c in wanted if c not in given]
    faults += [f"undeclared {c}" for c in given if c not in wanted]
    for name, dtype in zip(given, table.dtypes.tolist(), strict=True):
        if name in wanted and len(table) and not _holds(dictionary()[name].dtype, dtype, table, name):
            faults.append(f"{name} is {dtype}, declared {dictionary()[name].dtype}")
    if faults:
        raise PlannerError("the frame does not match the data dictionary: " + ", ".join(faults), where=frame)
    return table.copy(deep=False) if given == list(wanted) else table.loc[:, list(wanted)]


def _holds(kind: str, dtype: Any, table: pd.DataFrame, name: str) -> bool:
    """Whether a column is of a kind: its dtype says so, or its values where the dtype says nothing."""
    return _KINDS[kind](table[name]) if is_object_dtype(dtype) else _of_kind(kind, dtype)


@cache
def _of_kind(kind: str, dtype: Any) -> bool:
    return _KINDS[kind](dtype)


def empty(frame: str) -> pd.DataFrame:
    """A frame of no rows with the declared columns and dtypes."""
    return _empty(frame).copy()


@cache
def _empty(frame: str) -> pd.DataFrame:
    kinds = {"str": "str", "float": "float64", "int": "int64", "bool": "bool", "ts": "datetime64[us, UTC]"}
    return pd.DataFrame({c: pd.Series(dtype=kinds[dictionary()[c].dtype]) for c in columns_of(frame)})
