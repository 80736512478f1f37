"""What a week looks like where no hour was ever counted: the weeks of public services of that kind.

A shape is not one curve but several, one a public series (``data/traffic/shapes.csv``), and each
path of a forecast follows one of them: the range is as wide as services of that kind differ. Where
only daily totals are known they are kept, and the shape says how a day's total lies over its hours.
It lies for a service unlike all of its kind; an own file of 24 or 168 hours replaces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.data import data_path
from planner.errors import TrafficError, one_door

DAY, WEEK = 24, 168
UNSTATED = "mixed"  # a history of daily totals whose shape nobody stated


@dataclass(frozen=True)
class Shape:
    """Weeks of a kind of service: ``weeks`` (members, 168) load of each hour of the users' week
    (Monday 00:00 is 0) over the week's mean, so that each member has mean 1.
    """

    name: str
    weeks: Floats

    @property
    def mean(self) -> Floats:
        """Mean over the members, shape (168,), of mean 1."""
        found: Floats = self.weeks.mean(axis=0)
        return found

    def by_day(self) -> Shape:
        """The same with every day of mean 1, for histories that know each day's total."""
        days = self.weeks.reshape(-1, 7, DAY)
        level = days.mean(axis=2, keepdims=True)
        even = np.where(level > 0, days / np.where(level > 0, level, 1.0), 1.0)
        return Shape(self.name, even.reshape(-1, WEEK))

    def variants(self, slot: Ints, paths: int, rng: np.random.Generator) -> Floats:
        """Factor of each hour on each path, shape (paths, hours): that of one member over the mean.

        ``slot`` (hours,) hour of the users' week. Members are drawn equally often, in random order.
        """
        mean = self.mean
        ratio = np.where(mean > 0, self.weeks / np.where(mean > 0, mean, 1.0), 1.0)
        drawn = rng.permutation(np.arange(paths) % len(ratio))
        found: Floats = ratio[drawn][:, slot]
        return found


def shape_of(name: str, folder: Path | None = None) -> Shape:
    """The shape called ``name``: ``office``, ``consumer``, ``batch``, ``flat``, ``mixed``
    (office and consumer), or an own CSV file beside the scenario.

    An own file has 24 rows (hours of a day) or 168 (hours of a week from Monday 00:00) and a column
    of loads for each week that may come; a column ``hour`` or ``hour_of_week`` orders the rows.
    Raises :class:`TrafficError` for a name or file that is none.

    >>> bool(shape_of("office").mean[11] > shape_of("office").mean[3])
    True
    """
    known = _bundled()
    if name in known:
        return known[name]
    path = (folder or Path()) / name
    if path.is_file():
        return _own(path)
    raise TrafficError(
        "this is no shape of a week and no file beside the scenario",
        where="traffic.shape",
        got=name,
        remedy=f"Use {', '.join(known)}, or give a CSV file of 24 or 168 hours",
    )


@cache
def _bundled() -> dict[str, Shape]:
    """The public weeks by kind; ``mixed`` holds all that people make."""
    table = pd.read_csv(data_path("traffic", "shapes.csv")).set_index("hour_of_week").sort_index()
    kinds: dict[str, list[Floats]] = {}
    for column in table.columns:
        kinds.setdefault(column.partition(":")[0], []).append(table[column].to_numpy(np.float64))
    kinds[UNSTATED] = kinds["office"] + kinds["consumer"]
    return {kind: Shape(kind, _even(np.stack(weeks))) for kind, weeks in kinds.items()}


def _own(path: Path) -> Shape:
    """A user's own shape. Raises :class:`TrafficError` naming what is wrong with the file."""
    remedy = "Give 24 or 168 rows of loads ≥ 0, with a column for each week that may come"
    with one_door(lambda said: TrafficError(f"cannot be read as a shape ({said})", where=path, remedy=remedy)):
        table = pd.read_csv(path)
        order = next((c for c in table.columns if c.strip().lower() in ("hour", "hour_of_week", "hour_of_day")), None)
        table = table if order is None else table.sort_values(order).drop(columns=order)
        loads = table.to_numpy(dtype=np.float64).T
    fault = _fault(loads)
    if fault:
        raise TrafficError(fault, where=path, remedy=remedy)
    return Shape(path.name, _even(loads if loads.shape[1] == WEEK else np.tile(loads, 7)))


def _fault(loads: Floats) -> str:
    """What is wrong with loads (members, hours); nothing if they make a shape."""
    if loads.ndim != 2 or not len(loads) or loads.shape[1] not in (DAY, WEEK):
        return f"a shape has 24 or 168 rows, not {loads.shape[-1]}"
    if not np.isfinite(loads).all() or (loads < 0).any() or (loads.max(axis=1) <= 0).any() or loads.max() > 1e12:
        return "the loads of a shape are numbers from 0 to 1e12, not all 0"
    return ""


def _even(weeks: Floats) -> Floats:
    found: Floats = weeks / weeks.mean(axis=1, keepdims=True)
    return found
