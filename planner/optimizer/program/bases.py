"""Many right-hand sides of one small linear program, by bunching: an optimal basis settles every
hour for which it stays feasible.

All hours of a price class share the matrix A and the cost c; only b = ``fixed`` + ``follows`` ·
load differs. For a basis B that is dual feasible, with π = c_B B⁻¹,

    π·b ≤ cost of the hour (weak duality),    with equality if x_B = B⁻¹b ≥ 0

so an hour can only belong to a basis whose π·b is the largest: it is settled there if B⁻¹b ≥ 0
(Garstka and Rutenberg 1973), else a basis is missing and the solver is asked. Both tests are
products with as many numbers as an hour has loads.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Flags, Floats, Index
from planner.optimizer.program.solve import Matrix, hand_over, live_handle

ASKED = 64  # hours given to the solver before the rest is tried again
ENTRIES = 2_000_000  # of a product held at once
FEASIBLE = 1e-9  # of the largest right-hand side of an hour
TIED = 1e-10  # of the cost of an hour


class Bases:
    """The bases of one hour's program met so far, all dual feasible: ``basic`` (bases, rows),
    ``dual`` (bases, rows).

    Columns 0 … n − 1 are variables (``labels`` name them), then one slack for each row: A x − sense
    · s = b. ``used`` hours settled by each at the last valuation, ``solved`` hours given to the
    solver.
    """

    def __init__(self, A: Floats, cost: Floats, sense: Floats, follows: Floats, labels: Sequence[object]) -> None:
        """No basis yet. ``A`` (m, n), ``cost`` (n,), ``sense`` (m,) 1 for ≥ and −1 for ≤,
        ``follows`` (m, loads), ``labels`` (n + m).
        """
        self.A, self.cost, self.sense, self.follows, self.labels = A, cost, sense, follows, tuple(labels)
        rows = len(sense)
        self._by_column = np.concatenate([A, -np.diag(sense)], axis=1).T.copy()
        self._cost = np.concatenate([cost, np.zeros(rows)])
        self.basic, self.dual, self.used = np.zeros((0, rows), dtype=np.int32), np.zeros((0, rows)), np.zeros(0)
        self._number: dict[bytes, int] = {}
        self._live: Any = None
        self.solved = 0

    def inherit(self, other: "Bases") -> None:
        """Take over the used bases of a program with fewer columns and rows; a new
        row starts with its slack.

        Columns and rows of the two programs are matched by ``labels``. Each kept basis is
        completed by the slacks of the rows the other program lacks, so it is a basis of this
        one, and its dual is priced against all columns here: only those that stay dual feasible
        (c − π A ≥ −1e-9 · (1 + max |c|)) are kept, since a bound π·b from any other would be
        false. Nothing is taken over where two columns or rows bear one label, or where the
        number of basic columns would not fit the rows.
        """
        at = {label: j for j, label in enumerate(self.labels)}
        if len(at) < len(self.labels):
            return
        moved = np.array([at.get(label, -1) for label in other.labels], dtype=np.int32)
        kept = moved[other.basic[other.used > 0]]
        fresh = np.array(sorted(set(range(len(self.cost), len(at))) - set(moved.tolist())), dtype=np.int32)
        basic = np.concatenate([kept, np.broadcast_to(fresh, (len(kept), len(fresh)))], axis=1)
        if basic.shape[1] != len(self.sense):
            return
        basic = basic[(basic >= 0).all(axis=1)]
        dual = self._duals(basic)
        tolerance = 1e-9 * (1.0 + np.abs(self._cost).max(initial=0.0))
        holds = np.concatenate(
            [
                (self._cost[None, :] - part @ self._by_column.T).min(axis=1) >= -tolerance
                for part in np.array_split(dual, 1 + dual.size // ENTRIES)
            ]
        )
        self._keep(basic[holds])

    def settle(self, fixed: Floats, load: Floats, most: float = np.inf) -> "tuple[Floats, Index, int] | None":
        """Cost and basis of each hour of ``load`` (k, loads), and how many were left; ``None``
        if one cannot be served.

        ``fixed`` (m,) is the part of the right-hand side that does not follow the load. First
        the bases met before are tried; what stays open is solved for up to 64 examples at a
        time, each new basis is tried on all open hours, and so on until none is open.

        After about ``most`` hours were given to the solver the rest is left with its best bound
        and the basis that gives it: by weak duality this bound is never above the cost of the
        hour, so a sum over such hours is a lower bound and no estimate.
        """
        most += self.solved
        size = 1.0 + np.abs(fixed).max(initial=0.0) + np.abs(load) @ np.abs(self.follows).max(axis=0, initial=0.0)
        work = _Hours(load, FEASIBLE * size)
        if len(self.dual):
            self._by_known(work, fixed)
        while len(work.open) and self.solved < most:
            asked, before = work.examples(ASKED), len(self.dual)
            found = [self._ask(fixed + self.follows @ load[k]) for k in asked]
            if any(b is None for b in found):
                return None
            number = self._keep(np.array(found))
            constant, slope = self._lines(fixed, number)
            work.take(asked, number, constant + (slope * load[asked]).sum(axis=1))
            self._by_new(work, fixed, np.arange(before, len(self.dual)))
        left = work.open
        work.take(left, work.hint[left], work.bound[left])
        return work.value, work.number, len(left)

    def _lines(self, fixed: Floats, bases: "Index | slice" = slice(None)) -> tuple[Floats, Floats]:
        """The bound π·b of each basis as constant + slope · load."""
        return self.dual[bases] @ fixed, self.dual[bases] @ self.follows

    def _by_known(self, work: "_Hours", fixed: Floats) -> None:
        """Settle hours by the bases met before; bases with one and the same bound are tried in
        turn, the most used first.

        Different bases may share the line π·b (degenerate duals): for an hour all of them give
        the same bound, but x_B ≥ 0 may hold for one only. Lines are compared after scaling
        each coefficient by its largest, to 10 digits, and only the first of each line enters
        the product over all hours.
        """
        constant, slope = self._lines(fixed)
        lines = np.concatenate([constant[:, None], slope], axis=1)
        scale = np.abs(lines).max(axis=0)
        _, line = np.unique(np.round(lines / np.where(scale > 0, scale, 1.0), 10), axis=0, return_inverse=True)
        line = line.reshape(-1)
        order = np.lexsort((np.arange(len(line)), -self.used, line))
        start = np.concatenate([[0], np.flatnonzero(np.diff(line[order])) + 1, [len(line)]])
        first = order[start[:-1]]
        best = np.zeros(len(work.load), dtype=np.intp)
        for rows in work.blocks(len(first)):
            bound = constant[first] + work.load[rows] @ slope[first].T
            best[rows] = bound.argmax(axis=1)
            work.bound[rows] = bound[np.arange(len(bound)), best[rows]]
        work.hint[:] = first[best]
        by_line = np.argsort(best, kind="stable")
        ends = np.searchsorted(best[by_line], np.arange(len(first) + 1))
        tried = [
            (int(j), by_line[ends[g] : ends[g + 1]])
            for g in np.flatnonzero(np.diff(ends))
            for j in order[start[g] : start[g + 1]]
        ]
        for number, rows, inside in self._points(tried, fixed):
            if len(rows := rows[work.number[rows] < 0]):
                work.test(number, rows, inside, constant[number], slope[number])
        work.close()

    def _by_new(self, work: "_Hours", fixed: Floats, new: Index) -> None:
        """Settle open hours by bases just met.

        Besides settling, it raises the ``bound`` of each open hour to the best of the
        new bases, and notes in ``hint`` a basis that gives it; bases within 1e-10 of the
        best bound are all tried.
        """
        constant, slope = self._lines(fixed, new)
        points = {number: inside for number, _, inside in self._points([(int(j), work.open) for j in new], fixed)}
        for rows in work.blocks(len(new), work.open) if len(new) else ():
            bound = constant + work.load[rows] @ slope.T
            work.bound[rows] = np.maximum(work.bound[rows], bound.max(axis=1))
            ties = bound >= (work.bound[rows] - TIED * (1.0 + np.abs(work.bound[rows])))[:, None]
            work.hint[rows] = np.where(ties.any(axis=1), new[ties.argmax(axis=1)], work.hint[rows])
            for j, number in enumerate(new):
                mine = rows[ties[:, j]]
                if len(mine := mine[work.number[mine] < 0]):
                    work.test(int(number), mine, points[int(number)], constant[j], slope[j])
        work.close()

    def _points(self, tried: list[tuple[int, Index]], fixed: Floats) -> Iterator[tuple[int, Index, Floats]]:
        """With each basis x_B = B⁻¹b as (rows, 1 + loads), to be multiplied by (1, load).

        ``b`` is linear in the load, so one solve with 1 + loads right-hand sides serves all
        hours of a basis. Bases are solved in stacks of at most ``ENTRIES`` numbers.
        """
        right = np.concatenate([fixed[:, None], self.follows], axis=1)
        size = max(1, ENTRIES // max(1, len(self.sense) ** 2))
        for at in range(0, len(tried), size):
            part = tried[at : at + size]
            matrix = np.swapaxes(self._by_column[self.basic[[number for number, _ in part]]], 1, 2)
            for (number, rows), inside in zip(part, np.linalg.solve(matrix, right[None, :, :]), strict=True):
                yield number, rows, inside

    def _keep(self, basic: NDArray[np.int32]) -> Index:
        """Number of each basis (rows of ``basic`` in ascending order), the new ones added."""
        number, fresh = [], []
        for row in basic:
            key = row.tobytes()
            if key not in self._number:
                self._number[key] = len(self._number)
                fresh.append(row)
            number.append(self._number[key])
        if fresh:
            self.basic = np.concatenate([self.basic, np.stack(fresh)])
            self.dual = np.concatenate([self.dual, self._duals(np.stack(fresh))])
            self.used = np.concatenate([self.used, np.zeros(len(fresh))])
        return np.array(number, dtype=np.intp)

    def _duals(self, basic: NDArray[np.int32]) -> Floats:
        """π = c_B B⁻¹ of each basis (bases, rows), by solving Bᵀ πᵀ = c_Bᵀ in stacks."""
        size = max(1, ENTRIES // max(1, len(self.sense) ** 2))
        parts = [
            np.linalg.solve(self._by_column[some], self._cost[some][:, :, None])[:, :, 0]
            for some in (basic[at : at + size] for at in range(0, len(basic), size))
        ]
        return np.concatenate([np.zeros((0, len(self.sense))), *parts])

    def _ask(self, b: Floats) -> "NDArray[np.int32] | None":
        """An optimal basis for one hour with right-hand side ``b`` (m,), by the
        solver, from the last one.

        The model is handed to HiGHS once; afterwards only its row bounds move, so the
        simplex starts from the last basis, whose dual still holds. ``None`` where the hour
        has no optimum. A slack is numbered after the variables, as HiGHS' negative basic
        numbers are translated here.
        """
        import highspy

        self.solved += 1
        low, high = np.where(self.sense > 0, b, -highspy.kHighsInf), np.where(self.sense > 0, highspy.kHighsInf, b)
        if self._live is None:
            start, index, value = by_rows(self.A)
            n = len(self.cost)
            self._live = live_handle(
                presolve="off",
                solver="simplex",
                primal_feasibility_tolerance=FEASIBLE,
                dual_feasibility_tolerance=FEASIBLE,
            )
            self._live.passModel(
                hand_over(
                    Matrix(
                        self.cost,
                        np.zeros(n),
                        np.full(n, np.inf),
                        np.zeros(n, dtype=bool),
                        start,
                        index,
                        value,
                        low,
                        high,
                    )
                )
            )
        else:
            self._live.changeRowsBounds(len(b), np.arange(len(b), dtype=np.int32), low, high)
        self._live.run()
        if self._live.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        basic = self._live.getBasicVariables()[1]
        return np.sort(np.where(basic >= 0, basic, len(self.cost) - 1 - basic)).astype(np.int32)


class _Hours:
    """What is known of each hour: its loads, the best bound and what gave it (``hint``), its cost
    and basis once settled.
    """

    def __init__(self, load: Floats, tolerance: Floats) -> None:
        self.load, self.tolerance = load, tolerance
        self.bound, self.hint = np.full(len(load), -np.inf), np.full(len(load), -1, dtype=np.intp)
        self.value, self.number = np.zeros(len(load)), np.full(len(load), -1, dtype=np.intp)
        self.open: Index = np.arange(len(load))

    def blocks(self, width: int, rows: "Index | None" = None) -> Iterator[Index]:
        """Rows so many at a time that a product of the given width stays small."""
        rows = np.arange(len(self.load)) if rows is None else rows
        size = max(1, ENTRIES // width)
        return (rows[at : at + size] for at in range(0, len(rows), size))

    def examples(self, count: int) -> Index:
        """Open hours spread over the bases that bound them.

        Hours are ordered by the basis that bounds them best and picked at even
        distances, so bases that bound many open hours are asked about often and few
        examples ask for the same basis again.
        """
        ordered = self.open[np.argsort(self.hint[self.open], kind="stable")]
        return ordered[np.unique(((np.arange(count) + 0.5) * len(ordered) / count).astype(np.intp))]

    def test(self, number: int, rows: Index, inside: Floats, constant: float, slope: Floats) -> None:
        """Settle those of the rows at which the basis is feasible.

        ``inside`` (m, 1 + loads) gives x_B = ``inside``[:, 0] + ``inside``[:, 1:] · load;
        feasible means that its least entry is not below −``tolerance`` of the hour. The cost is
        then constant + slope · load, exact to rounding.
        """
        load = self.load[rows]
        point = inside[:, 1:] @ load.T
        point += inside[:, :1]
        fits = point.min(axis=0, initial=0.0) >= -self.tolerance[rows]
        self.take(rows[fits], number, constant + load[fits] @ slope)

    def take(self, rows: Index, number: "int | Index", value: Floats) -> None:
        """Settle rows."""
        self.number[rows], self.value[rows] = number, value

    def close(self) -> None:
        """Leave settled rows alone."""
        self.open = self.open[self.number[self.open] < 0]


def by_rows(dense: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """Start, index and value of a matrix by rows, zeros left out (compressed sparse rows).

    >>> start, index, value = by_rows(np.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> start.tolist(), index.tolist(), value.tolist()
    ([0, 1, 2], [1, 0], [2.0, 3.0])
    """
    owner, index = np.nonzero(dense)
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(dense)))])
    return start.astype(np.int32), index.astype(np.int32), dense[owner, index]


def undominated(A: Floats, cost: Floats, sense: Floats) -> Flags:
    """Columns (n,) of min c·x, sense · (A x − b) ≥ 0, x ≥ 0 that a program needs.

    Column j is dominated by k on the same rows if some λ ≥ 0 has λ · sense · a_k ≥ sense · a_j
    and λ · c_k ≤ c_j: λ x_j of k does all that x_j does at no more cost. Of two that dominate
    each other the first stays.

    Only columns with entries in the same rows are compared, and a group of them with a negative
    cost is left whole; so what is dropped is safe to drop, but a column beaten only by a mixture
    of two others stays. A machine of twice the capacity at three times the price goes:

    >>> undominated(np.array([[1.0, 2.0]]), np.array([1.0, 3.0]), np.array([1.0])).tolist()
    [True, False]
    """
    helps = sense[:, None] * A
    kept = np.ones(A.shape[1], dtype=bool)
    _, pattern = np.unique(np.packbits(helps != 0, axis=0), axis=1, return_inverse=True)
    order = np.argsort(pattern.reshape(-1), kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(pattern.reshape(-1)[order])) + 1):
        if len(group) > 1 and (cost[group] >= 0).all():
            used = np.flatnonzero(helps[:, group[0]])
            kept[group] = _undominated(helps[np.ix_(used, group)], cost[group])
    return kept


def _undominated(helps: Floats, cost: Floats) -> Flags:
    """Which of n columns with entries in the same rows stay (n,).

    ``helps`` (rows, n) holds the entries with the sign that helps. λ ≥ a_j / a_k is needed
    where the entry of k helps, λ ≤ a_j / a_k where it harms, and λ ≤ c_j / c_k for the cost: k
    beats j if these bounds leave a λ. Columns are dropped from the last to the first, each only
    for one that is still alive.
    """
    n = len(cost)
    # λ for "column by row is dominated by": [k, j]
    least, most = np.zeros((n, n)), np.full((n, n), np.inf)
    for row in helps:
        ratio = row[None, :] / row[:, None]
        least = np.where(row[:, None] > 0, np.maximum(least, ratio), least)
        most = np.where(row[:, None] < 0, np.minimum(most, ratio), most)
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.where(cost[:, None] > 0, np.minimum(most, cost[None, :] / cost[:, None]), most)
    beaten = least <= most
    np.fill_diagonal(beaten, False)
    alive = np.ones(n, dtype=bool)
    for j in np.flatnonzero(beaten.any(axis=0))[::-1]:
        alive[j] = not (beaten[:, j] & alive).any()
    return alive
