"""The exact cost of every hour for given commitments, by bunching.

All hours of one price class share one matrix and one cost vector; only right-hand sides differ, linear in the load and
in the commitments. A basis B that is optimal for one hour is optimal for every hour with B⁻¹b ≥ 0 (Garstka and
Rutenberg 1973), so one matrix product settles all the hours that share it, and few hours are ever given to the solver.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.optimize.model import build
from planner.optimize.problem import Floats, Problem, States
from planner.optimize.solve import Matrix, hand_over, live_handle

CHUNK = 16_384  # hours valued at once
FIRST_STAGE = ("product_min", "product_max", "upfront_budget", "total_budget")


@dataclass(frozen=True)
class Template:
    """One hour of weight 1: min cost·x, rows A x ≥ b (``sense`` 1) or ≤ b (−1), b = constant + Σ factor·load + bought·N.

    ``rows`` name them; ``columns`` give pool, workload and type of each variable ("" where it has none); ``owner`` (m,) is
    the workload whose load the row follows (−1: none), ``factor`` of its effective, ``raw_factor`` of its raw load; ``bought``
    (m, products). ``first_`` are the rows of the products alone.
    """

    rows: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str, str], ...]
    A: Floats
    cost: Floats
    sense: Floats
    constant: Floats
    owner: NDArray[np.intp]
    factor: Floats
    raw_factor: Floats
    bought: Floats
    first_rows: tuple[tuple[str, str], ...]
    first_a: Floats
    first_sense: Floats
    first_bound: Floats

    def rhs(self, states: States, picked: NDArray[np.intp], units: Floats) -> Floats:
        """Right-hand sides (m, picked)."""
        fixed = self.constant + self.bought @ units
        return fixed[:, None] + self.factor[:, None] * states.load[picked][:, self.owner].T \
            + self.raw_factor[:, None] * states.raw[picked][:, self.owner].T


def template(problem: Problem, states: States, price: int) -> Template:
    """The one-hour model of a price class, read off the formulation itself with unit loads."""
    ones = np.ones((1, len(problem.workloads)))
    unit = States(np.ones(1), ones, ones, np.array([price]), states.on_demand, states.spot, np.zeros((1, 1), dtype=np.intp))
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
    at = {n: j for j, n in enumerate(names)}
    buy = np.array([at[model.bought[b.name][0].name] for b in problem.products], dtype=np.intp)
    follows = np.where(owner >= 0, bound, 0.0)
    columns = tuple(_parts(model.keys[n]) for n, k in zip(names, here, strict=True) if k)
    first_rows = tuple((c, s) for (c, s, _), k in zip(model.rows, keep, strict=True) if not k)
    return Template(rows, columns, dense[np.ix_(keep, here)], matrix.cost[here], sense, np.where(owner >= 0, 0.0, bound), owner,
                    np.where(flow, 0.0, follows), np.where(flow, follows, 0.0), -dense[np.ix_(keep, buy)], first_rows,
                    dense[np.ix_(~keep, buy)], every[~keep], bounds[~keep])


def templates_of(problem: Problem, states: States) -> dict[int, Template]:
    """The one-hour model of each price class."""
    return {int(price): template(problem, states, int(price)) for price in np.unique(states.price)}


def _parts(key: tuple[str, ...]) -> tuple[str, str, str]:
    if key[0] == "covered":
        return key[1], key[2], key[3]
    return ("", key[1], key[2]) if key[0] in ("on_demand", "spot", "running", "flow") else ("", "", "")


def _owner(problem: Problem, constraint: str, subject: str) -> int:
    if constraint in ("serve", "spot_share", "flow"):
        return [w.name for w in problem.workloads].index(subject)
    if constraint in ("type_share", "zones"):
        return max((len(w.name), j) for j, w in enumerate(problem.workloads) if subject.startswith(w.name + "_"))[1]
    return -1


@dataclass
class _Basis:
    inverse: Floats
    dual: Floats
    used: float = 0.0


@dataclass(frozen=True)
class Valued:
    """Cost of each state [USD/h], the number of its basis in its price class and over all, hours of each basis by price class."""

    cost: Floats
    number: NDArray[np.intp]
    basis: NDArray[np.intp]
    weight: dict[int, Floats]


@dataclass
class Recourse:
    """Values all states by the one-hour models of their price classes, keeping the bases met; ``solved``: hours given to the solver."""

    states: States
    templates: Mapping[int, Template]
    solved: int = 0
    _bases: dict[int, list[_Basis]] = field(default_factory=dict)
    _live: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start without bases."""
        self._bases.update({price: [] for price in self.templates})

    def cost(self, units: Floats, states: States | None = None) -> "Valued | None":
        """Value every state (of ``self.states``, or others of the same prices) for ``units`` of the products; ``None`` if one fails."""
        states = self.states if states is None else states
        value, basis = np.zeros(len(states)), np.zeros(len(states), dtype=np.intp)
        weight: dict[int, Floats] = {}
        for price, t in self.templates.items():
            picked = np.flatnonzero(states.price == price)
            for chunk in np.array_split(picked, max(1, len(picked) // CHUNK)):
                b = t.rhs(states, chunk, units)
                found = self._settle(price, t, b)
                if found is None:
                    return None
                for number in np.unique(found):
                    of = np.flatnonzero(found == number)
                    value[chunk[of]] = self._bases[price][number].dual @ b[:, of]
                basis[chunk] = found
            weight[price] = np.bincount(basis[picked], states.weight_h[picked], minlength=len(self._bases[price])).astype(np.float64)
            for number, held in enumerate(weight[price]):
                self._bases[price][number].used = held
        return Valued(value, basis, basis * (max(self.templates) + 1) + states.price, weight)

    def duals(self, price: int) -> Floats:
        """Duals (rows, bases) of all bases met in a price class."""
        return np.stack([x.dual for x in self._bases[price]], axis=1)

    def _settle(self, price: int, t: Template, b: Floats) -> NDArray[np.intp] | None:
        bases, open_ = self._bases[price], np.arange(b.shape[1])
        found = np.full(b.shape[1], -1, dtype=np.intp)
        tolerance = 1e-9 * (1.0 + np.abs(b).max(axis=0))
        for number in sorted(range(len(bases)), key=lambda j: -bases[j].used):
            if not len(open_):
                break
            open_ = _take(bases[number], number, b, tolerance, open_, found)
        while len(open_):
            at = open_[len(open_) // 2]
            made = self._solve(price, t, b[:, at])
            if made is None:
                return None
            bases.append(made)
            open_ = _take(made, len(bases) - 1, b, tolerance, open_, found)
            if found[at] < 0:  # the solver's own tolerance is wider than ours
                found[at] = len(bases) - 1
                open_ = open_[open_ != at]
        return found

    def _solve(self, price: int, t: Template, b: Floats) -> _Basis | None:
        import highspy

        self.solved += 1
        live = self._live.get(price)
        low, high = np.where(t.sense > 0, b, -highspy.kHighsInf), np.where(t.sense > 0, highspy.kHighsInf, b)
        if live is None:
            live = self._live[price] = _hand_over(t, low, high)
        else:
            rows = np.arange(len(b), dtype=np.int32)
            live.changeRowsBounds(len(b), rows, low, high)
        live.run()
        if live.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        status = live.getBasis()
        basic = highspy.HighsBasisStatus.kBasic
        columns = [j for j, s in enumerate(status.col_status) if s == basic]
        slack = [i for i, s in enumerate(status.row_status) if s == basic]
        matrix = np.zeros((len(b), len(b)))
        matrix[:, : len(columns)] = t.A[:, columns]
        matrix[slack, np.arange(len(columns), len(b))] = -t.sense[slack]
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        cost = np.concatenate([t.cost[columns], np.zeros(len(slack))])
        return _Basis(inverse, np.asarray(cost @ inverse, dtype=np.float64))


def _take(basis: _Basis, number: int, b: Floats, tolerance: Floats, open_: NDArray[np.intp], found: NDArray[np.intp]) -> NDArray[np.intp]:
    """Settle the open hours that share the basis; returns those still open."""
    fits = (basis.inverse @ b[:, open_]).min(axis=0) >= -tolerance[open_]
    found[open_[fits]] = number
    rest: NDArray[np.intp] = open_[~fits]
    return rest


def _hand_over(t: Template, low: Floats, high: Floats) -> Any:
    n = t.A.shape[1]
    start, index, value = by_rows(t.A)
    live = live_handle(presolve="off", solver="simplex")
    live.passModel(hand_over(Matrix(t.cost, np.zeros(n), np.full(n, np.inf), np.zeros(n, dtype=bool), start, index, value, low, high)))
    return live


def by_rows(dense: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """Start, index and value of a matrix by rows."""
    owner, index = np.nonzero(dense)
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(dense)))])
    return start.astype(np.int32), index.astype(np.int32), dense[owner, index]
