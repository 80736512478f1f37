"""Why a problem has no solution, in named restrictions: which of them alone restores it, by how
much, or a minimal conflict.

Every test is a small elastic program on the same formulation: the restrictions under suspicion may
be broken by an amount, the least sum of amounts is 0 where the rest can be satisfied.
"""

from dataclasses import dataclass, replace

import numpy as np

from planner.optimizer.program.model import Restriction, build, restrictions_of
from planner.optimizer.program.problem import Problem, States
from planner.optimizer.program.solve import solve


@dataclass(frozen=True)
class Conflict:
    """``alone`` {restriction: how far it must give way}, each sufficient by itself; else
    ``together``: one minimal conflict.
    """

    alone: dict[Restriction, float]
    together: tuple[Restriction, ...]


def diagnose(problem: Problem) -> Conflict | None:
    """The conflict that makes a problem infeasible; ``None`` if it can be solved.

    First the problem with parts of machines is tried; if that can be solved, only whole numbers
    make it impossible and the tests run with them. A restriction is in ``alone`` if breaking it
    and nothing else restores the problem, by the least amount given, those on demand last. If
    none suffices, a deletion filter (Chinneck and Dravnieks 1991) lifts one restriction after
    another and keeps those without which the problem could be solved: a conflict from which
    nothing can be left out, though other conflicts may exist beside it.
    """
    states = hard_states(problem)
    whole, problem = problem, problem.linear()
    names = restrictions(problem)
    if _give(problem, states, frozenset()) is not None:
        problem = whole  # only whole numbers make it impossible
        if not (whole.whole_instances or whole.whole_commitments) or _give(problem, states, frozenset()) is not None:
            return None
    alone = {name: amount for name in names if (amount := _give(problem, states, frozenset([name]))) is not None}
    if alone:
        return Conflict(dict(sorted(alone.items(), key=lambda item: (item[0][0] == "demand", item[1]))), ())
    lifted: set[Restriction] = set()
    # deletion filter: what can be lifted without restoring the problem is no part of the conflict
    for name in names:
        if _give(problem, states, frozenset(lifted | {name})) is None:
            lifted.add(name)
    return Conflict({}, tuple(n for n in names if n not in lifted))


def restrictions(problem: Problem) -> list[Restriction]:
    """Every restriction of a problem that a reader can lift, in the order of the formulation."""
    first = _rows(problem.states, np.zeros(1, dtype=np.intp))
    rows = build(problem, first).rows
    return list(dict.fromkeys(r for c, s, _ in rows for r in restrictions_of(c, s, problem)))


def _give(problem: Problem, states: States, elastic: frozenset[Restriction]) -> float | None:
    """Least amount by which the named restrictions must give way; ``None`` if even lifting them is
    not enough.
    """
    found = solve(build(problem, states, elastic=elastic).lp)
    return found.objective if found.optimal else None


def hard_states(problem: Problem) -> States:
    """States enough to show the conflict: with a budget over all hours every state, else
    those no other state exceeds.

    A state is left out if another with the same prices has at least its load in every workload,
    effective and raw. The 8 states of the lowest summed load stay, since a largest share of the
    load can clash with a least number of machines there. Problems of up to 64 states, with a
    least purchase or with a total budget are tested whole.
    """
    states = problem.states
    if problem.total_budget_usd is not None or any(b.minimum > 0 for b in problem.products) or len(states) <= 64:
        return states
    every = np.concatenate([states.load, states.raw], axis=1)
    order = np.argsort(-every.sum(axis=1))
    kept: list[int] = []
    for k in order:
        if not any((every[j] >= every[k]).all() and (states.price[j] == states.price[k]) for j in kept):
            kept.append(int(k))
    # a share of the load (spot, one type) can fail at low loads beside a minimum of instances, so
    # the lowest states stay too
    kept += [int(k) for k in order[-8:] if int(k) not in kept]
    return _rows(states, np.array(kept, dtype=np.intp))


def _rows(states: States, rows: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]") -> States:
    return replace(
        states,
        weight_h=states.weight_h[rows],
        load=states.load[rows],
        raw=states.raw[rows],
        price=states.price[rows],
        member=np.zeros_like(states.member),
    )
