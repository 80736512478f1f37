"""The exact cost of every hour for given commitments: one small program for each price class, its
hours settled by bunching.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from planner.arrays import Floats, Index
from planner.optimizer.program.bases import Bases, undominated
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Problem, States
from planner.optimizer.program.solve import Matrix

FIRST_STAGE = ("product_min", "product_max", "upfront_budget", "total_budget")


@dataclass(frozen=True)
class Template:
    """One hour of weight 1: min cost·x, rows A x ≥ b (``sense`` 1) or ≤ b (−1), b = constant + Σ
    factor·load + bought·N.

    ``rows`` name them; ``columns`` give pool, workload and type of each variable ("" where it has
    none), ``labels`` its whole name; ``owner`` (m,) is the workload whose load the row follows (−1:
    none), ``factor`` of its effective, ``raw_factor`` of its raw load; ``bought`` (m, products).
    ``first_`` are the rows of the products alone.
    """

    rows: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str, str], ...]
    labels: tuple[tuple[str, ...], ...]
    A: Floats
    cost: Floats
    sense: Floats
    constant: Floats
    owner: Index
    factor: Floats
    raw_factor: Floats
    bought: Floats
    first_rows: tuple[tuple[str, str], ...]
    first_a: Floats
    first_sense: Floats
    first_bound: Floats

    def rhs(self, states: States, picked: Index, units: Floats) -> Floats:
        """Right-hand sides (m, picked) = constant + bought · N + factor · load
        + raw_factor · raw load.

        ``units`` (products,) are the commitments N; each row follows the load of its ``owner``
        alone, and a row without owner has both factors 0.
        """
        fixed = self.constant + self.bought @ units
        return (
            fixed[:, None]
            + self.factor[:, None] * states.load[picked][:, self.owner].T
            + self.raw_factor[:, None] * states.raw[picked][:, self.owner].T
        )

    @cached_property
    def follows(self) -> Floats:
        """Right-hand sides for each unit of the loads (m, loads): of the effective loads, then of
        the raw ones where they matter.
        """
        width = int(self.owner.max(initial=-1)) + 1
        at = (np.arange(len(self.owner)), self.owner)
        # owner −1 falls on the last column, which is dropped
        found = np.zeros((2, len(self.owner), width + 1))
        found[0][at], found[1][at] = self.factor, self.raw_factor
        return np.concatenate(found[:, :, :width], axis=1) if self.raw_factor.any() else found[0, :, :width]

    def loads(self, states: States, picked: Index) -> Floats:
        """Loads (picked, loads) that the right-hand sides follow."""
        width = int(self.owner.max(initial=-1)) + 1
        load = states.load[picked, :width]
        return np.concatenate([load, states.raw[picked, :width]], axis=1) if self.raw_factor.any() else load


def template(problem: Problem, states: States, price: int, *, prune: bool = True) -> Template:
    """The one-hour model of a price class, read off the formulation itself with unit loads,
    without dominated columns if ``prune``.

    The program of one state with all loads 1 is built by :func:`build`, and its arrays are
    sorted into what follows the load (bound × load of the owner), what follows the commitments
    (columns of the purchases) and what is constant. So there is one formulation and no second
    one to keep in step. It holds as long as each right-hand side is a constant or proportional
    to the load of one workload.
    """
    ones = np.ones((1, len(problem.workloads)))
    unit = States(
        np.ones(1), ones, ones, np.array([price]), states.on_demand, states.spot, np.zeros((1, 1), dtype=np.intp)
    )
    model = build(problem, unit)
    matrix = Matrix.of(model.lp)
    names = [v.name for v in model.lp.variables()]
    purchases = {v.name for v, _ in model.bought.values()}
    here = np.array([n not in purchases for n in names], dtype=bool)
    dense = np.zeros((len(model.rows), len(names)))
    dense[np.repeat(np.arange(len(model.rows)), np.diff(matrix.start)), matrix.index] = matrix.value
    keep = np.array([c not in FIRST_STAGE for c, _, _ in model.rows], dtype=bool)
    every = np.where(np.isinf(matrix.row_upper), 1.0, -1.0)
    bounds = np.where(np.isinf(matrix.row_upper), matrix.row_lower, matrix.row_upper)
    sense, bound = every[keep], bounds[keep]
    rows = tuple((c, s) for (c, s, _), k in zip(model.rows, keep, strict=True) if k)
    owner = np.array([_owner(problem, c, s) for c, s in rows], dtype=np.intp)
    flow = np.array([c == "flow" for c, _ in rows], dtype=bool)
    if prune:
        here[here] = undominated(dense[np.ix_(keep, here)], matrix.cost[here], sense)
    at = {n: j for j, n in enumerate(names)}
    buy = np.array([at[model.bought[b.name][0].name] for b in problem.products], dtype=np.intp)
    follows = np.where(owner >= 0, bound, 0.0)
    labels = tuple(model.keys[n] for n, k in zip(names, here, strict=True) if k)
    first_rows = tuple((c, s) for (c, s, _), k in zip(model.rows, keep, strict=True) if not k)
    return Template(
        rows,
        tuple(map(_parts, labels)),
        labels,
        dense[np.ix_(keep, here)],
        matrix.cost[here],
        sense,
        np.where(owner >= 0, 0.0, bound),
        owner,
        np.where(flow, 0.0, follows),
        np.where(flow, follows, 0.0),
        -dense[np.ix_(keep, buy)],
        first_rows,
        dense[np.ix_(~keep, buy)],
        every[~keep],
        bounds[~keep],
    )


def templates_of(problem: Problem, states: States, *, prune: bool = True) -> dict[int, Template]:
    """The one-hour model of each price class."""
    return {int(price): template(problem, states, int(price), prune=prune) for price in np.unique(states.price)}


def _parts(key: tuple[str, ...]) -> tuple[str, str, str]:
    """Pool, workload and type of a variable from its key; "" where it has none."""
    if key[0] == "covered":
        return key[1], key[2], key[3]
    return ("", key[1], key[2]) if key[0] in ("on_demand", "spot", "running", "flow") else ("", "", "")


def _owner(problem: Problem, constraint: str, subject: str) -> int:
    """Number of the workload whose load the right-hand side of a row follows; −1 for none.

    Subjects of rows by type or zone begin with the workload's name; of several names that
    fit the longest is meant.
    """
    if constraint in ("serve", "spot_share", "flow"):
        return [w.name for w in problem.workloads].index(subject)
    if constraint in ("type_share", "other_types", "zones"):
        return max((len(w.name), j) for j, w in enumerate(problem.workloads) if subject.startswith(w.name + "_"))[1]
    return -1


@dataclass(frozen=True)
class Valued:
    """Cost of each state [USD/h], the number of its basis in its price class and over all, hours of
    each basis by price class.

    ``left`` states are not settled: their cost is a lower bound, their basis gives it.
    """

    cost: Floats
    number: Index
    basis: Index
    weight: dict[int, Floats]
    left: int


class Recourse:
    """Values states by the one-hour models of their price classes, keeping the bases met."""

    def __init__(self, states: States, templates: Mapping[int, Template], before: "Recourse | None" = None) -> None:
        """Start with the bases of ``before`` (an hour with fewer offers) that are still dual
        feasible.
        """
        self.states, self.templates = states, templates
        self._bases = {p: Bases(t.A, t.cost, t.sense, t.follows, (*t.labels, *t.rows)) for p, t in templates.items()}
        self._before = before.solved if before is not None else 0
        for price, bases in self._bases.items():
            if before is not None and price in before._bases:
                bases.inherit(before._bases[price])

    @property
    def solved(self) -> int:
        """Hours given to the solver."""
        return self._before + sum(b.solved for b in self._bases.values())

    def cost(self, units: Floats, states: States | None = None, most: float = np.inf) -> "Valued | None":
        """Value every state (of ``self.states``, or others of the same prices) for ``units`` of the
        products; ``None`` if one fails.

        In each price class about ``most`` hours are given to the solver; states that stay open then
        get a lower bound.
        """
        states = self.states if states is None else states
        value, number, weight, left = np.zeros(len(states)), np.zeros(len(states), dtype=np.intp), {}, 0
        for price, t in self.templates.items():
            picked, bases = np.flatnonzero(states.price == price), self._bases[price]
            found = bases.settle(t.constant + t.bought @ units, t.loads(states, picked), most)
            if found is None:
                return None
            value[picked], number[picked] = found[:2]
            left += found[2]
            weight[price] = np.bincount(found[1], states.weight_h[picked], minlength=len(bases.dual)).astype(np.float64)
            if states is self.states:
                bases.used = weight[price]
        return Valued(value, number, number * (max(self.templates) + 1) + states.price, weight, left)

    def duals(self, price: int) -> Floats:
        """Duals (rows, bases) of all bases met in a price class."""
        return self._bases[price].dual.T
