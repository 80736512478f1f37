"""A linear program that grows by columns: the master of a column generation.

Solved again after each batch of columns from the basis it had, so a batch costs little.
"""

from typing import Any

import numpy as np

from planner.arrays import Floats
from planner.optimizer.program.solve import live_handle


class Growing:
    """min c·x with ``low`` ≤ A x ≤ ``high``, x ≥ 0, that has no column yet."""

    def __init__(self, low: Floats, high: Floats) -> None:
        """``low``, ``high`` (rows,) bounds of the rows, infinite where there is none."""
        self._live: Any = live_handle(presolve="off", solver="simplex")
        none = np.zeros(len(low) + 1, dtype=np.int32)
        self._live.addRows(len(low), low, high, 0, none[:-1], none[:0], low[:0])

    def add(self, cost: Floats, columns: Floats) -> None:
        """Add columns (columns, rows) of a ``cost`` (columns,) each."""
        owner, index = np.nonzero(columns)
        start = np.searchsorted(owner, np.arange(len(cost))).astype(np.int32)
        self._live.addCols(
            len(cost),
            cost,
            np.zeros(len(cost)),
            np.full(len(cost), np.inf),
            len(index),
            start,
            index.astype(np.int32),
            columns[owner, index],
        )

    def solve(self) -> tuple[float, Floats] | None:
        """The objective and the dual of each row; ``None`` where the solver gives up."""
        import highspy

        self._live.run()
        if self._live.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return float(self._live.getInfo().objective_function_value), np.asarray(self._live.getSolution().row_dual)
