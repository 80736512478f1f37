"""One ``solve`` for PuLP 3.3 and 4: never calls an unfinished solve optimal, and checks every answer by itself.

The check recomputes primal rows, reduced costs, bounds, complementarity and the duality gap with numpy from the matrix
handed to the solver; an answer that fails it raises :class:`SolverError`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pulp
from numpy.typing import NDArray

from planner.errors import SolverError
from planner.optimize.problem import Floats

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Matrix:
    """min c·x with ``row_lower`` ≤ A x ≤ ``row_upper``, ``lower`` ≤ x ≤ ``upper``; A by rows (start, index, value)."""

    cost: Floats
    lower: Floats
    upper: Floats
    whole: NDArray[np.bool_]
    start: NDArray[np.int32]
    index: NDArray[np.int32]
    value: Floats
    row_lower: Floats
    row_upper: Floats

    @classmethod
    def of(cls, lp: Any) -> "Matrix":
        """Read the arrays of a PuLP problem, columns in the order of ``lp.variables()``."""
        variables = lp.variables()
        at = {v.name: j for j, v in enumerate(variables)}
        cost = np.zeros(len(variables))
        for v, factor in lp.objective.items():
            cost[at[v.name]] = factor
        start, index, value, low, high = [0], [], [], [], []
        for row in lp.constraints():
            found = list(row.items())
            index += [at[v.name] for v, _ in found]
            value += [factor for _, factor in found]
            start.append(len(index))
            bound = -row.constant
            low.append(-np.inf if row.sense == pulp.LpConstraintLE else bound)
            high.append(np.inf if row.sense == pulp.LpConstraintGE else bound)
        lower = np.array([-np.inf if v.lowBound is None else v.lowBound for v in variables], dtype=np.float64)
        upper = np.array([np.inf if v.upBound is None else v.upBound for v in variables], dtype=np.float64)
        whole = np.array([v.cat == pulp.LpInteger for v in variables], dtype=bool)
        return cls(cost, lower, upper, whole, np.array(start, dtype=np.int32), np.array(index, dtype=np.int32),
                   np.array(value, dtype=np.float64), np.array(low, dtype=np.float64), np.array(high, dtype=np.float64))

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
    """``status`` optimal, infeasible, time_limit …; ``bound`` is proven; values by variable name, duals by row of the model."""

    status: str
    objective: float = np.nan
    bound: float = np.nan
    values: dict[str, float] = field(default_factory=dict, repr=False)
    duals: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    checks: dict[str, float] = field(default_factory=dict)
    x: Floats = field(default_factory=lambda: np.zeros(0), repr=False)

    @property
    def optimal(self) -> bool:
        """True for a proven and checked optimum."""
        return self.status == "optimal"


def solve(lp: Any, *, time_limit_s: float | None = None, gap_share: float = 0.0, **options: Any) -> Solution:
    """Solve a PuLP problem with HiGHS; raises :class:`SolverError` when the answer fails its certificate check."""
    matrix = Matrix.of(lp)
    if not len(matrix.cost):
        return nothing_to_choose(matrix)
    names = [v.name for v in lp.variables()]  # before the solve: PuLP adds a variable to an objective of none
    finished = lp.solve(_highs(matrix, time_limit_s, gap_share, options))
    unproven = isinstance(finished, int) and lp.sol_status != pulp.LpSolutionOptimal
    found = read(lp.solverModel, matrix)
    if found.optimal and unproven:
        raise SolverError("PuLP and HiGHS disagree whether the solve ended", got=lp.sol_status)
    return replace(found, values=dict(zip(names, found.x.tolist(), strict=True)) if found.optimal else {})


def nothing_to_choose(matrix: Matrix) -> Solution:
    """The answer of a program without variables, which HiGHS calls empty: feasible if every bound admits 0."""
    fits = bool((matrix.row_lower <= TOLERANCE).all() and (matrix.row_upper >= -TOLERANCE).all())
    return Solution("optimal" if fits else "infeasible", 0.0, 0.0, {}, np.zeros(len(matrix.row_lower)))


def read(live: Any, matrix: Matrix) -> Solution:
    """The answer on a HiGHS handle, checked; a time limit is never an optimum, any other unfinished solve raises :class:`SolverError`."""
    import highspy

    status, state = highspy.HighsModelStatus, live.getModelStatus()
    if state in (status.kInfeasible, status.kUnboundedOrInfeasible):
        return Solution("infeasible")
    if state == status.kTimeLimit:
        return Solution("time_limit", bound=float(live.getInfo().mip_dual_bound) if matrix.whole.any() else np.nan)
    if state != status.kOptimal:
        raise SolverError("HiGHS stopped without a proven answer", got=str(state).rpartition(".")[2],
                          remedy="Allow more time, or a simpler scenario")
    found, whole = live.getSolution(), bool(matrix.whole.any())
    x = np.asarray(found.col_value)
    duals = np.asarray(found.row_dual) if found.dual_valid else np.zeros(len(matrix.row_lower))
    objective = float(matrix.cost @ x)
    bound = min(float(live.getInfo().mip_dual_bound), objective) if whole else objective
    return Solution("optimal", objective, bound, {}, duals, certify(matrix, x, None if whole else duals), x)


def certify(matrix: Matrix, x: Floats, duals: Floats | None) -> dict[str, float]:
    """Largest scaled violation of each optimality condition; raises :class:`SolverError` above 1e-6 (duals: 1e-5).

    Primal violations are relative to the size of the row's terms, dual ones to the size of the cost terms,
    the duality gap to the objective. ``duals`` ``None`` (whole numbers) checks feasibility and integrality alone.
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
        raise SolverError(f"the solver's answer fails its certificate check: {worst} is off by {checks[worst]:.2g}", got=checks)
    return checks


def _dual_checks(matrix: Matrix, x: Floats, rows: Floats, y: Floats) -> dict[str, float]:
    reduced = matrix.cost - matrix.transposed(y)
    scale = np.abs(matrix.cost) + np.bincount(matrix.index, np.abs(matrix.value * y[np.repeat(
        np.arange(len(matrix.start) - 1), np.diff(matrix.start))]), minlength=len(matrix.cost)) + float(np.abs(matrix.cost).mean()) + 1e-12
    wrong = np.where(np.isinf(matrix.upper), np.maximum(-reduced, 0.0), 0.0)
    wrong = np.where(np.isinf(matrix.lower), np.abs(reduced), wrong)
    sign = np.maximum(np.where(np.isinf(matrix.row_upper), -y, 0.0), np.where(np.isinf(matrix.row_lower), y, 0.0))
    objective = float(matrix.cost @ x)
    whole = max(1.0, abs(objective))
    low = np.where(np.isfinite(matrix.row_lower), matrix.row_lower, rows)
    high = np.where(np.isfinite(matrix.row_upper), matrix.row_upper, rows)
    slack = np.where(y > 0, rows - low, np.where(y < 0, high - rows, 0.0))
    at_bound = np.where(reduced > 0, x - np.where(np.isfinite(matrix.lower), matrix.lower, x), np.where(
        np.isfinite(matrix.upper), matrix.upper, x) - x)
    dual_value = float(np.sum(np.where(y > 0, low, high) * y)) + float(np.sum(reduced * np.where(
        reduced > 0, np.where(np.isfinite(matrix.lower), matrix.lower, 0.0), np.where(np.isfinite(matrix.upper), matrix.upper, 0.0))))
    return {
        "dual": float(max(np.max(wrong / scale, initial=0.0), np.max(sign / (np.abs(y) + 1.0), initial=0.0))),
        "complementarity": float((np.abs(slack * y).sum() + np.abs(at_bound * reduced).sum()) / whole),
        "gap": abs(objective - dual_value) / whole,
    }


def hand_over(matrix: Matrix) -> Any:
    """The matrix as one HiGHS model."""
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(matrix.cost), len(matrix.row_lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = matrix.cost, matrix.lower, matrix.upper
    model.row_lower_, model.row_upper_ = matrix.row_lower, matrix.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.start, matrix.index, matrix.value
    if matrix.whole.any():
        model.integrality_ = [highspy.HighsVarType.kInteger if w else highspy.HighsVarType.kContinuous for w in matrix.whole]
    return model


def live_handle(**options: Any) -> Any:
    """A silent single-threaded HiGHS."""
    import highspy

    live = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, **options}.items():
        live.setOptionValue(name, value)
    return live


def _highs(matrix: Matrix, time_limit_s: float | None, gap_share: float, options: dict[str, Any]) -> Any:
    """HiGHS behind PuLP; on PuLP 3 the model is handed over in one call instead of row by row."""
    extra = {"gapRel": gap_share, "gapAbs": 0.0} if matrix.whole.any() else {}
    arguments: dict[str, Any] = {"msg": False, "threads": 1, "timeLimit": time_limit_s, **extra, **options}
    if int(pulp.__version__.partition(".")[0]) >= 4:
        return pulp.HiGHS(**arguments)
    return _bulk(matrix, arguments)


def _bulk(matrix: Matrix, arguments: dict[str, Any]) -> Any:
    import highspy

    class BulkHiGHS(pulp.HiGHS):  # type: ignore[misc]
        """PuLP's HiGHS, with the whole matrix passed at once; values are read from the live handle."""

        def buildSolverModel(self, lp: Any) -> None:  # noqa: N802
            lp.solverModel.passModel(hand_over(matrix))

        def findSolutionValues(self, lp: Any) -> tuple[int, int]:  # noqa: N802
            if lp.solverModel.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                return pulp.LpStatusOptimal, pulp.LpSolutionOptimal
            return pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound

    return BulkHiGHS(**arguments)
