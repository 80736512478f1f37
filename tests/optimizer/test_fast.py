"""The parts of the reduced path, each against the plain program: bunching, dominated columns,
unfinished valuations, cuts.
"""

from dataclasses import replace

import numpy as np
import pytest

from planner.optimizer.program import reduced as fast
from planner.optimizer.program.bases import undominated
from planner.optimizer.program.hours import Recourse, templates_of
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Limit, States
from planner.optimizer.program.solve import solve
from tests.builders.problems import draw, oracle


def drawn(seed: int, **more):
    rng = np.random.default_rng(seed)
    problem = draw(rng, **more)
    if seed % 3 == 1:
        problem = replace(problem, limits=(Limit("q", float(rng.uniform(5, 20)), ("t0",)),))
    if seed % 3 == 2:
        problem = replace(
            problem,
            workloads=tuple(
                replace(
                    w,
                    zones={f"z{k}": tuple(w.capacity) for k in range(3)},
                    zone_loss_share=0.6,
                    serve_cost={"t0": 0.01},
                )
                for w in problem.workloads
            ),
        )
    return rng, problem, rng.uniform(0, 8, len(problem.products))


def by_solver(problem, states: States, units) -> list[float]:
    """Cost of each hour alone [USD/h], the commitments given and paid."""
    fixed = replace(
        problem, products=tuple(replace(b, minimum=n, maximum=n) for b, n in zip(problem.products, units, strict=True))
    )
    fees = sum(problem.fee_usd(b) * n for b, n in zip(problem.products, units, strict=True))
    found = []
    for k in range(len(states)):
        one = replace(
            states,
            weight_h=np.ones(1),
            load=states.load[[k]],
            raw=states.raw[[k]],
            price=states.price[[k]],
            member=np.zeros((1, 1), dtype=np.intp),
        )
        answer = solve(build(fixed, one).lp)
        assert answer.optimal
        found.append(answer.objective - fees)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_bunching_costs_each_hour_what_the_solver_says(seed):
    _, problem, units = drawn(seed)
    found = Recourse(problem.hours, templates_of(problem, problem.hours)).cost(units)
    assert found.left == 0
    assert found.cost == pytest.approx(by_solver(problem, problem.hours, units), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_an_unfinished_valuation_is_a_lower_bound_in_every_hour(seed):
    rng, problem, units = drawn(seed, hours=200)
    recourse = Recourse(problem.hours, templates_of(problem, problem.hours))
    other = rng.uniform(0, 8, len(units))
    part, whole = recourse.cost(units, most=1), recourse.cost(units)
    assert whole.left == 0
    assert (part.cost <= whole.cost * (1 + 1e-9) + 1e-9).all()
    # known bases alone, at commitments they were not found for
    moved = recourse.cost(other, most=0)
    exact = Recourse(problem.hours, templates_of(problem, problem.hours)).cost(other)
    assert (moved.cost <= exact.cost * (1 + 1e-9) + 1e-9).all()
    assert np.count_nonzero(moved.cost < exact.cost * (1 - 1e-9) - 1e-9) <= moved.left


@pytest.mark.parametrize("seed", range(6))
def test_bases_taken_over_from_fewer_offers_settle_as_fresh_ones(seed):
    _, problem, units = drawn(seed, hours=60)
    few = problem.restricted({w.name: [i for i in w.capacity if i != "t1"] for w in problem.workloads})
    before = Recourse(problem.hours, templates_of(few, problem.hours))
    at = {b.name: n for b, n in zip(problem.products, units, strict=True)}
    if before.cost(np.array([at[b.name] for b in few.products])) is None:
        pytest.skip("the offers left cannot serve the load")
    every = templates_of(problem, problem.hours)
    after, fresh = Recourse(problem.hours, every, before), Recourse(problem.hours, every)
    assert after.cost(units).cost == pytest.approx(fresh.cost(units).cost, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_dominated_columns_change_no_cost(seed):
    _, problem, units = drawn(seed, hours=30)
    lean, plain = (templates_of(problem, problem.hours, prune=p) for p in (True, False))
    fewer = sum(t.A.shape[1] for t in plain.values()) - sum(t.A.shape[1] for t in lean.values())
    # with traffic priced by type every type has a row of its own
    assert (fewer > 0) == (seed % 3 != 2)
    cost = [Recourse(problem.hours, t).cost(units).cost for t in (lean, plain)]
    assert cost[0] == pytest.approx(cost[1], rel=1e-9, abs=1e-9)


def test_a_dominated_column_goes_and_of_twins_one_stays():
    A = np.array([[1.0, 2.0, 1.0, 1.0], [0.0, 0.0, -1.0, -2.0]])
    sense, cost = np.array([1.0, 1.0]), np.array([1.0, 2.0, 0.5, 0.5])
    assert undominated(A, cost, sense).tolist() == [True, False, True, False]
    assert undominated(A, np.array([1.0, 1.9, 0.5, 0.2]), sense).tolist() == [False, True, True, True]


@pytest.mark.parametrize("seed", range(8))
def test_rounds_that_only_learn_end_at_the_optimum_too(seed, monkeypatch):
    _, problem, _ = drawn(seed, hours=40, scenarios=2)
    known = oracle(problem)
    monkeypatch.setattr(fast, "EXACT", 0)
    monkeypatch.setattr(fast, "ASKED", 3)
    found = fast.plan(problem, gap=1e-6, groups=3, families=6)
    assert found.status == "optimal"
    assert found.upper == pytest.approx(known, rel=1e-6, abs=1e-7)
    assert found.lower <= known * (1 + 1e-9) + 1e-7
    assert found.gap_share <= 1e-6


def test_the_last_round_proves_an_upper_bound_whatever_the_gap(monkeypatch):
    _, problem, _ = drawn(0, hours=40, scenarios=2)
    monkeypatch.setattr(fast, "EXACT", 0)
    monkeypatch.setattr(fast, "ASKED", 3)
    found = fast.plan(problem, gap=1e-12, groups=3, families=4, rounds=2)
    assert found.rounds == 2
    assert found.lower <= oracle(problem) * (1 + 1e-9) <= found.upper * (1 + 2e-9)
    amounts = [found.bought.get(b.name, 0.0) for b in problem.products]
    bought = tuple(replace(b, minimum=n, maximum=n) for b, n in zip(problem.products, amounts, strict=True))
    assert oracle(replace(problem, products=bought)) <= found.upper * (1 + 1e-7)
