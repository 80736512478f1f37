"""One solve of a PuLP program: what is handed over, what is an answer, and what the certificate
refuses.
"""

from dataclasses import replace

import numpy as np
import pulp
import pytest

from planner.errors import SolverError
from planner.optimizer.program import solve as module
from planner.optimizer.program.model import build
from planner.optimizer.program.solve import Matrix, certify, solve
from tests.builders.problems import draw


def program(seed: int = 3):
    return build(draw(np.random.default_rng(seed)))


def test_a_time_limit_is_never_an_optimum():
    rng = np.random.default_rng(1)
    lp = pulp.LpProblem("hard", pulp.LpMinimize)
    x = [lp.add_variable(f"x{j}", 0, 5, pulp.LpInteger) for j in range(120)]
    lp.setObjective(pulp.lpSum(float(c) * v for c, v in zip(rng.integers(5, 50, 120), x, strict=True)))
    for _ in range(60):
        lp += pulp.lpSum(float(a) * v for a, v in zip(rng.integers(0, 40, 120), x, strict=True)) >= 5_000
    found = solve(lp, time_limit_s=0.0)
    assert found.status == "time_limit"
    assert not found.optimal
    assert found.values == {}


def test_the_matrix_is_the_program():
    model = program()
    matrix = Matrix.of(model.lp, model.variables)
    owner = np.repeat(np.arange(len(matrix.row_lower)), np.diff(matrix.start))
    for i, row in enumerate(model.lp.constraints()):
        told = {
            model.variables[j].name: v for j, v in zip(matrix.index[owner == i], matrix.value[owner == i], strict=True)
        }
        assert told == {v.name: factor for v, factor in row.items()}
        bounds = {pulp.LpConstraintLE: (-np.inf, -row.constant), pulp.LpConstraintGE: (-row.constant, np.inf)}
        assert (matrix.row_lower[i], matrix.row_upper[i]) == bounds[row.sense]
    cost = dict(zip((v.name for v in model.variables), matrix.cost, strict=True))
    assert {n: c for n, c in cost.items() if c} == {v.name: c for v, c in model.lp.objective.items() if c}


def test_the_order_of_the_variables_and_presolve_change_no_cost(monkeypatch):
    model = program()
    plain, ordered = solve(model.lp), solve(model.lp, variables=model.variables)
    monkeypatch.setattr(module, "LARGE", 0)
    bare = solve(model.lp, variables=model.variables[::-1])
    assert ordered.objective == pytest.approx(plain.objective, rel=1e-9)
    assert bare.objective == pytest.approx(plain.objective, rel=1e-9)
    assert set(bare.values) == {v.name for v in model.variables}
    assert bare.values["buy_sp"] == bare.x[[v.name for v in model.variables[::-1]].index("buy_sp")]


@pytest.mark.parametrize("wrong", ["primal", "bounds", "dual", "gap"])
def test_a_wrong_answer_fails_its_certificate(wrong):
    model = program()
    matrix, found = Matrix.of(model.lp), solve(model.lp)
    certify(matrix, found.x, found.duals)
    x, duals = found.x.copy(), found.duals.copy()
    if wrong == "primal":
        x[int(np.argmax(x))] *= 0.99
    if wrong == "bounds":
        x[int(np.argmin(x))] = -0.1
    if wrong == "dual":
        duals[int(np.argmax(np.abs(duals)))] *= 3.0
    if wrong == "gap":
        matrix = replace(matrix, cost=matrix.cost * 1.01)
    with pytest.raises(SolverError, match="certificate"):
        certify(matrix, x, duals)


def test_garbage_is_collected_again_after_a_build():
    import gc

    assert gc.isenabled()
    solve(program().lp)
    assert gc.isenabled()
