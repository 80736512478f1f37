"""One ``solve`` for PuLP 3.3 and 4: never calls an unfinished solve optimal, and checks every
answer by itself.

The check recomputes primal rows, reduced costs, bounds, complementarity and the duality gap with
numpy from the matrix handed to the solver; an answer that fails it raises :class:`SolverError`.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import pulp
from numpy.typing import NDArray

from planner.arrays import Flags, Floats
from planner.errors import SolverError

TOLERANCE = 1e-6
LARGE = 20_000  # columns of a program without whole numbers above which HiGHS goes without presolve
PULP = int(pulp.__version__.partition(".")[0])


@dataclass(frozen=True)
class Matrix:
    """min c·x with ``row_lower`` ≤ A x ≤ ``row_upper``, ``lower`` ≤ x ≤ ``upper``; A by rows
    (start, index, value).
    """

    cost: Floats
    lower: Floats
    upper: Floats
    whole: Flags
    start: NDArray[np.int32]
    index: NDArray[np.int32]
    value: Floats
    row_lower: Floats
    row_upper: Floats

    @classmethod
    def of(cls, lp: Any, variables: Sequence[Any] | None = None) -> "Matrix":
        """Read the arrays of a PuLP problem, columns in the order of ``variables``
        (default ``lp.variables()``).

        An equality gets both bounds, ≤ a lower bound of −∞, ≥ an upper bound of +∞. PuLP 4
        identifies variables by ``id`` of its own, PuLP 3 by the object.
        """
        variables, rows = lp.variables() if variables is None else variables, lp.constraints()
        identity: Callable[[Any], int] = attrgetter("id") if PULP >= 4 else id
        at = dict(zip(map(identity, variables), range(len(variables)), strict=True))
        cost = np.zeros(len(variables))
        for v, factor in lp.objective.items():
            cost[at[identity(v)]] = factor
        terms = [row.items() for row in rows]
        start = np.concatenate([[0], np.cumsum(np.fromiter(map(len, terms), dtype=np.int64, count=len(terms)))])
        entries = int(start[-1])
        column = map(at.__getitem__, map(identity, map(itemgetter(0), chain.from_iterable(terms))))
        index = np.fromiter(column, dtype=np.int32, count=entries)
        value = np.fromiter(map(itemgetter(1), chain.from_iterable(terms)), dtype=np.float64, count=entries)
        bound = -np.fromiter((row.constant for row in rows), dtype=np.float64, count=len(rows))
        sense = [row.sense for row in rows]
        low = np.where([s == pulp.LpConstraintLE for s in sense], -np.inf, bound)
        high = np.where([s == pulp.LpConstraintGE for s in sense], np.inf, bound)
        # None becomes NaN
        lower = np.array(list(map(attrgetter("lowBound"), variables)), dtype=np.float64)
        upper = np.array(list(map(attrgetter("upBound"), variables)), dtype=np.float64)
        whole = np.array([c == pulp.LpInteger for c in map(attrgetter("cat"), variables)], dtype=bool)
        return cls(
            cost,
            np.where(np.isnan(lower), -np.inf, lower),
            np.where(np.isnan(upper), np.inf, upper),
            whole,
            start.astype(np.int32),
            index,
            value,
            low,
            high,
        )

    def times(self, x: Floats) -> Floats:
        """A x."""
        return self._by_row(self.value * x[self.index])

    def transposed(self, y: Floats) -> Floats:
        """Aᵀ y."""
        owner = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return np.bincount(self.index, self.value * y[owner], minlength=len(self.cost)).astype(np.float64)

    def _by_row(self, values: Floats) -> Floats:
        owner = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return np.bincount(owner, values, minlength=len(self.start) - 1).astype(np.float64)


@dataclass(frozen=True)
class Solution:
    """``status`` optimal, infeasible, time_limit …; ``bound`` is proven; values by variable name,
    duals by row of the model.
    """

    status: str
    objective: float = np.nan
    bound: float = np.nan
    duals: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    checks: dict[str, float] = field(default_factory=dict)
    x: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def values(self) -> dict[str, float]:
        """Value of each variable by name; empty without an optimum."""
        return dict(zip(self.names, self.x.tolist(), strict=True)) if self.optimal and self.names else {}

    @property
    def optimal(self) -> bool:
        """True for a proven and checked optimum."""
        return self.status == "optimal"


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: PuLP makes a million small objects that all stay, over which it
    would pass again and again.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def solve(
    lp: Any,
    *,
    variables: Sequence[Any] | None = None,
    time_limit_s: float | None = None,
    gap_share: float = 0.0,
    **options: Any,
) -> Solution:
    """Solve a PuLP problem with HiGHS; raises :class:`SolverError` when the answer fails its
    certificate check.

    ``variables`` of the problem, if at hand, spare PuLP a search through all rows for them.

    PuLP's own solver object is called on a silent handle; the whole matrix is handed over at
    once, and the answer read from the handle, which stays at ``lp.solverModel``. ``options`` are
    HiGHS' own. Above ``LARGE`` columns HiGHS' presolve is left out: on rows "used ≤ bought" over
    many hours its time grows as their square.
    """
    with uncollected():
        variables = lp.variables() if variables is None else variables
        matrix = Matrix.of(lp, variables)
    if not len(matrix.cost):
        return nothing_to_choose(matrix)
    whole = bool(matrix.whole.any())
    gaps: dict[str, Any] = {"mip_rel_gap": gap_share, "mip_abs_gap": 0.0}
    extra = gaps if whole else {"presolve": "off"} if len(matrix.cost) > LARGE else {}
    limit = {} if time_limit_s is None else {"time_limit": float(time_limit_s)}
    lp.solverModel = live_handle(**limit, **extra, **options)
    lp.solverModel.passModel(hand_over(matrix))
    pulp.HiGHS(msg=False).callSolver(lp)
    return replace(read(lp.solverModel, matrix), names=tuple(map(attrgetter("name"), variables)))


def nothing_to_choose(matrix: Matrix) -> Solution:
    """The answer of a program without variables, which HiGHS calls empty: feasible
    if every bound admits 0.

    All its rows read 0, so the objective is 0 and so are the duals.
    """
    fits = bool((matrix.row_lower <= TOLERANCE).all() and (matrix.row_upper >= -TOLERANCE).all())
    return Solution("optimal" if fits else "infeasible", 0.0, 0.0, np.zeros(len(matrix.row_lower)))


def read(live: Any, matrix: Matrix) -> Solution:
    """The answer on a HiGHS handle, checked; a time limit is never an optimum, any other unfinished
    solve raises :class:`SolverError`.
    """
    import highspy

    status, state = highspy.HighsModelStatus, live.getModelStatus()
    if state in (status.kInfeasible, status.kUnboundedOrInfeasible):
        return Solution("infeasible")
    if state == status.kTimeLimit:
        return Solution("time_limit", bound=float(live.getInfo().mip_dual_bound) if matrix.whole.any() else np.nan)
    if state != status.kOptimal:
        raise SolverError(
            "HiGHS stopped without a proven answer",
            got=str(state).rpartition(".")[2],
            remedy="Allow more time, or a simpler scenario",
        )
    found, whole = live.getSolution(), bool(matrix.whole.any())
    x = np.asarray(found.col_value)
    duals = np.asarray(found.row_dual) if found.dual_valid else np.zeros(len(matrix.row_lower))
    # a BLAS product would round by its number of threads
    objective = float(np.sum(matrix.cost * x))
    bound = min(float(live.getInfo().mip_dual_bound), objective) if whole else objective
    return Solution("optimal", objective, bound, duals, certify(matrix, x, None if whole else duals), x)


def certify(matrix: Matrix, x: Floats, duals: Floats | None) -> dict[str, float]:
    """Largest scaled violation of each optimality condition; raises :class:`SolverError` above 1e-6
    (duals: 1e-5).

    Primal violations are relative to the size of the row's terms, dual ones to the size of the cost
    terms, the duality gap to the objective. ``duals`` ``None`` (whole numbers) checks feasibility
    and integrality alone.
    """
    size = matrix._by_row(np.abs(matrix.value * x[matrix.index])) + 1.0
    rows = matrix.times(x)
    checks = {
        "primal": float(np.max(np.maximum(matrix.row_lower - rows, rows - matrix.row_upper) / size, initial=0.0)),
        "bounds": float(np.max(np.maximum(matrix.lower - x, x - matrix.upper) / (1.0 + np.abs(x)), initial=0.0)),
    }
    if duals is None:
        part = x[matrix.whole]
        checks["whole"] = float(np.max(np.abs(part - np.round(part)), initial=0.0))
    else:
        checks |= _dual_checks(matrix, x, rows, duals)
    worst = max(checks, key=lambda name: checks[name])
    if checks[worst] > (1e-5 if worst in ("dual", "complementarity", "gap", "whole") else TOLERANCE):
        raise SolverError(
            f"the solver's answer fails its certificate check: {worst} is off by {checks[worst]:.2g}",
            got=checks,
        )
    return checks


def _dual_checks(matrix: Matrix, x: Floats, rows: Floats, y: Floats) -> dict[str, float]:
    """Scaled violations of the conditions of a linear optimum (Karush
    1939, Kuhn and Tucker 1951).

    ``dual``: signs of the reduced costs c − Aᵀy and of the duals y where a bound is infinite;
    ``complementarity``: Σ |slack · y| + Σ |distance from bound · reduced cost| over the
    objective; ``gap``: |c·x − dual objective| over the objective. All near 0 prove the optimum
    without trust in the solver.
    """
    reduced = matrix.cost - matrix.transposed(y)
    scale = (
        np.abs(matrix.cost)
        + np.bincount(
            matrix.index,
            np.abs(matrix.value * y[np.repeat(np.arange(len(matrix.start) - 1), np.diff(matrix.start))]),
            minlength=len(matrix.cost),
        )
        + float(np.abs(matrix.cost).mean())
        + 1e-12
    )
    wrong = np.where(np.isinf(matrix.upper), np.maximum(-reduced, 0.0), 0.0)
    wrong = np.where(np.isinf(matrix.lower), np.abs(reduced), wrong)
    sign = np.maximum(np.where(np.isinf(matrix.row_upper), -y, 0.0), np.where(np.isinf(matrix.row_lower), y, 0.0))
    objective = float(matrix.cost @ x)
    whole = max(1.0, abs(objective))
    low = np.where(np.isfinite(matrix.row_lower), matrix.row_lower, rows)
    high = np.where(np.isfinite(matrix.row_upper), matrix.row_upper, rows)
    slack = np.where(y > 0, rows - low, np.where(y < 0, high - rows, 0.0))
    at_bound = np.where(
        reduced > 0,
        x - np.where(np.isfinite(matrix.lower), matrix.lower, x),
        np.where(np.isfinite(matrix.upper), matrix.upper, x) - x,
    )
    dual_value = float(np.sum(np.where(y > 0, low, high) * y)) + float(
        np.sum(
            reduced
            * np.where(
                reduced > 0,
                np.where(np.isfinite(matrix.lower), matrix.lower, 0.0),
                np.where(np.isfinite(matrix.upper), matrix.upper, 0.0),
            )
        )
    )
    return {
        "dual": float(max(np.max(wrong / scale, initial=0.0), np.max(sign / (np.abs(y) + 1.0), initial=0.0))),
        "complementarity": float((np.abs(slack * y).sum() + np.abs(at_bound * reduced).sum()) / whole),
        "gap": abs(objective - dual_value) / whole,
    }


def hand_over(matrix: Matrix) -> Any:
    """The matrix as one HiGHS model, rows compressed, whole numbers marked
    only where there are any.
    """
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(matrix.cost), len(matrix.row_lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = matrix.cost, matrix.lower, matrix.upper
    model.row_lower_, model.row_upper_ = matrix.row_lower, matrix.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.start, matrix.index, matrix.value
    if matrix.whole.any():
        model.integrality_ = [
            highspy.HighsVarType.kInteger if w else highspy.HighsVarType.kContinuous for w in matrix.whole
        ]
    return model


@cache
def _silent() -> type[Any]:
    """HiGHS that has nothing to say from the first: 1.16 prints a banner on standard output when
    the first handle of a process is given its callbacks, before an option can be set from outside.
    """
    import highspy

    class Silent(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802 (HiGHS' name)
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    return Silent


def live_handle(**options: Any) -> Any:
    """A silent single-threaded HiGHS with ``options`` by HiGHS' own names.

    One thread, so that the answer does not depend on the machine's number of cores.
    """
    live = _silent()()
    for name, value in {"output_flag": False, "threads": 1, **options}.items():
        live.setOptionValue(name, value)
    return live
