"""The program over groups of hours, laid out by repeating the arrays of the one-hour PuLP model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Floats, Index
from planner.optimizer.program.bases import by_rows
from planner.optimizer.program.hours import Template, templates_of
from planner.optimizer.program.priced_out import Duals
from planner.optimizer.program.problem import Problem, States
from planner.optimizer.program.solve import Matrix, Solution, hand_over, live_handle, nothing_to_choose, read


@dataclass(frozen=True)
class Cut:
    """Cost of each family of hours ≥ ``constant`` + Σ ``slope`` · N (families,), exact at the
    commitments where it was found.
    """

    constant: Floats
    slope: Mapping[str, Floats]


class Stack:
    """The one-hour model repeated for each group by its arrays (as PuLP objects the same program
    takes ten times longer to make).

    Columns: products, then for each group its hour and, where there are cuts, its cost z. Rows:
    those of the products alone, the cuts (Σ ω z of a family ≥ its cut), then for each group its
    hour and z ≥ cost.
    """

    def __init__(
        self,
        problem: Problem,
        grouped: States,
        family: Index,
        templates: Mapping[int, Template],
        cuts: Sequence[Cut] = (),
    ) -> None:
        """Lay the program out; ``family`` (groups,) is the family of each group; ``templates`` as
        for all states.
        """
        self.problem, self.grouped, self.family, self.cuts = problem, grouped, family, cuts
        self.templates = templates
        self.products, extra = len(problem.products), int(bool(cuts))
        cost, lower = [np.array([problem.fee_usd(b) for b in problem.products])], [np.zeros(self.products)]
        self.column_of: dict[int, tuple[Index, int]] = {}
        self.row_of: dict[int, tuple[Index, int]] = {}
        column, blocks = self.products, []
        for price, t in self.templates.items():
            here, n = np.flatnonzero(grouped.price == price), t.A.shape[1] + extra
            self.column_of[price] = here, column
            blocks.append(self._hours(t, here, column, extra))
            each = np.concatenate([np.zeros(n - 1), np.ones(1)]) if extra else t.cost
            cost.append((each[None, :] * grouped.weight_h[here][:, None]).ravel())
            lower.append(np.tile(np.where(np.arange(n) >= t.A.shape[1], -np.inf, 0.0), len(here)))
            column += n * len(here)
        parts = [self._first(), *([self._cuts()] if cuts else [])]
        row = sum(len(p.low) for p in parts)
        for price, block in zip(self.templates, blocks, strict=True):
            self.row_of[price] = self.column_of[price][0], row
            row += len(block.low)
        parts += blocks
        start = np.concatenate([[0], np.cumsum(np.concatenate([p.count for p in parts]))])
        self.matrix = Matrix(
            np.concatenate(cost),
            np.concatenate(lower),
            np.full(column, np.inf),
            np.zeros(column, dtype=bool),
            start.astype(np.int32),
            np.concatenate([p.index for p in parts]).astype(np.int32),
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.low for p in parts]),
            np.concatenate([p.high for p in parts]),
        )

    def _first(self) -> "_Rows":
        t = next(iter(self.templates.values()))
        start, index, value = by_rows(t.first_a)
        return _Rows(
            np.diff(start),
            index,
            value,
            np.where(t.first_sense > 0, t.first_bound, -np.inf),
            np.where(t.first_sense > 0, np.inf, t.first_bound),
        )

    def _cuts(self) -> "_Rows":
        """Rows of the cuts: Σ_g ω_g z_g − Σ_b slope_b N_b ≥ constant, one for each cut and
        family f, over the groups g of the family; a product a cut does not name has the slope 0.
        """
        z, families = np.zeros(len(self.grouped), dtype=np.intp), int(self.family.max()) + 1
        for price, (here, column) in self.column_of.items():
            n = self.templates[price].A.shape[1] + 1
            z[here] = column + n * np.arange(len(here)) + n - 1
        members = [np.flatnonzero(self.family == f) for f in range(families)]
        index, value = [], []
        for cut in self.cuts:
            slopes = np.stack(
                [cut.slope.get(b.name, np.zeros(families)) for b in self.problem.products] or [np.zeros(families)]
            )
            for f, mine in enumerate(members):
                index.append(np.concatenate([np.arange(self.products), z[mine]]))
                value.append(np.concatenate([-slopes[: self.products, f], self.grouped.weight_h[mine]]))
        low = np.concatenate([cut.constant for cut in self.cuts])
        count = np.array([len(i) for i in index], dtype=np.int32)
        return _Rows(count, np.concatenate(index), np.concatenate(value), low, np.full(len(low), np.inf))

    def _hours(self, t: Template, here: Index, column: int, extra: int) -> "_Rows":
        """Rows of all groups of one price class: the hour's own rows (A x − bought N against b)
        and, with cuts, z − cost·x ≥ 0.

        The pattern of one hour is made once and its columns are shifted for each
        group, those of the products excepted; ``column`` is the first column of the
        class, ``extra`` 1 with cuts.
        """
        n = t.A.shape[1] + extra
        block = np.zeros((len(t.rows) + extra, n + self.products))
        block[: len(t.rows), : t.A.shape[1]], block[: len(t.rows), n:] = t.A, -t.bought
        if extra:
            block[-1, : n - 1], block[-1, n - 1] = -t.cost, 1.0
        start, index, value = by_rows(block)
        shift = column + n * np.arange(len(here))[:, None]
        b = t.rhs(self.grouped, here, np.zeros(self.products)).T
        low, high = np.where(t.sense > 0, b, -np.inf), np.where(t.sense > 0, np.inf, b)
        if extra:
            low, high = np.pad(low, ((0, 0), (0, 1))), np.pad(high, ((0, 0), (0, 1)), constant_values=np.inf)
        return _Rows(
            np.tile(np.diff(start), len(here)),
            np.where(index[None, :] < n, index[None, :] + shift, index[None, :] - n).ravel(),
            np.tile(value, len(here)),
            low.ravel(),
            high.ravel(),
        )

    def solve(self) -> Solution:
        """The optimum over groups, certified."""
        if not len(self.matrix.cost):
            return nothing_to_choose(self.matrix)
        live = live_handle()
        live.passModel(hand_over(self.matrix))
        live.run()
        return read(live, self.matrix)

    def duals(self, found: Solution) -> Duals:
        """By price class: rows, their duals (rows, groups), factor of the hours' cost (groups,),
        and each group's family.
        """
        out, extra = {}, int(bool(self.cuts))
        for price, (here, row) in self.row_of.items():
            t, m = self.templates[price], len(self.templates[price].rows) + extra
            y = found.duals[row : row + m * len(here)].reshape(len(here), m).T
            out[price] = (
                t.rows,
                y[: len(t.rows)],
                y[-1] if extra else self.grouped.weight_h[here],
                np.ones((len(here), 1)),
            )
        return out

    def cut_duals(self, found: Solution) -> Floats:
        """Dual of each cut (cuts, families)."""
        first = len(next(iter(self.templates.values())).first_rows)
        count = sum(len(c.constant) for c in self.cuts)
        return found.duals[first : first + count].reshape(len(self.cuts), -1)


def stacked(problem: Problem, grouped: States, *, prune: bool = True) -> Stack:
    """The whole program over ``grouped`` hours, its first columns the products; ``prune`` leaves
    dominated machines out, which changes no optimum.
    """
    family = np.zeros(len(grouped), dtype=np.intp)
    return Stack(problem, grouped, family, templates_of(problem, grouped, prune=prune))


@dataclass(frozen=True)
class _Rows:
    """Some rows: entries in each, their columns and values, bounds."""

    count: NDArray[np.int32]
    index: NDArray[np.int32]
    value: Floats
    low: Floats
    high: Floats
