"""Many near problems, one live solver: cost against a latency target, load, spot share, zones or
budget.

Every variant is laid out by the same arrays, and only what differs from the last one (prices,
bounds, coefficients) is told to the live handle, which goes on from its basis; so twenty points
cost little more than one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.optimizer.program.grouped import Stack
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.hours import templates_of
from planner.optimizer.program.problem import Problem
from planner.optimizer.program.solve import Matrix, Solution, hand_over, live_handle, nothing_to_choose, read


def frontier(problems: Sequence[Problem], *, groups: int = 160) -> list[Solution]:
    """The optimum of each problem over groups of hours (exact up to ``groups`` distinct hours, else
    a lower bound), in order.

    All problems need the same scenarios and hours. Whole numbers and a total budget are not for
    this path. Raises :class:`PlannerError` for problems of unequal shape, :class:`SolverError` as
    :func:`solve`.
    """
    if any(p.whole_instances or p.whole_commitments or p.total_budget_usd is not None for p in problems):
        raise PlannerError("a frontier is of problems without whole numbers and without a total budget")
    if len({(len(p.probability), len(p.weight_h)) for p in problems}) > 1:
        raise PlannerError("a frontier is of problems over the same scenarios and hours")
    first = problems[0].hours
    member = groups_of(first, groups) if len(problems[0].states) > groups else problems[0].states.member.reshape(-1)
    live: _Live | None = None
    found, before, states = [], problems[0], aggregate(first, _apart(member, problems[0]))
    for problem in problems:
        if not _same_hours(before, problem):
            before, states = problem, aggregate(problem.hours, _apart(member, problem))
        stack = Stack(problem, states, np.zeros(len(states), dtype=np.intp), templates_of(problem, states, prune=False))
        live = live or _Live()
        found.append(live.solve(stack.matrix))
    return found


def _same_hours(one: Problem, other: Problem) -> bool:
    """Whether two problems share loads and prices, so that their groups of hours are the same.

    Loads and types are compared by identity, which variants of one problem made by ``replace``
    keep; equal copies count as different and only cost time.
    """
    alike = all(
        a.load is b.load
        and (a.headroom_share, a.keep_h, a.lead_h, bool(a.serve_cost))
        == (b.headroom_share, b.keep_h, b.lead_h, bool(b.serve_cost))
        for a, b in zip(one.workloads, other.workloads, strict=True)
    )
    return alike and one.types is other.types


def _apart(
    member: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]", problem: Problem
) -> "np.ndarray[tuple[int, ...], np.dtype[np.intp]]":
    """Groups that never mix hours of different prices."""
    return member * (int(problem.hours.price.max()) + 1) + problem.hours.price


class _Live:
    """A HiGHS handle that is told differences."""

    def __init__(self) -> None:
        self.handle, self.known = live_handle(presolve="off", solver="simplex"), None

    handle: Any
    known: Matrix | None

    def solve(self, matrix: Matrix) -> Solution:
        """Solve a matrix, from the last basis where the pattern is the same."""
        if not len(matrix.cost):
            return nothing_to_choose(matrix)
        known = self.known
        same = (
            known is not None
            and len(known.cost) == len(matrix.cost)
            and np.array_equal(known.start, matrix.start)
            and np.array_equal(known.index, matrix.index)
        )
        if known is None or not same:
            self.handle.passModel(hand_over(matrix))
        else:
            self._tell(known, matrix)
        self.known = matrix
        self.handle.run()
        return read(self.handle, matrix)

    def _tell(self, known: Matrix, matrix: Matrix) -> None:
        rows = np.flatnonzero((known.row_lower != matrix.row_lower) | (known.row_upper != matrix.row_upper)).astype(
            np.int32
        )
        if len(rows):
            self.handle.changeRowsBounds(len(rows), rows, matrix.row_lower[rows], matrix.row_upper[rows])
        columns = np.flatnonzero(known.cost != matrix.cost).astype(np.int32)
        if len(columns):
            self.handle.changeColsCost(len(columns), columns, matrix.cost[columns])
        owner = np.repeat(np.arange(len(matrix.start) - 1), np.diff(matrix.start))
        for at in np.flatnonzero(known.value != matrix.value):
            self.handle.changeCoeff(int(owner[at]), int(matrix.index[at]), float(matrix.value[at]))
