"""What was left out of a program, priced out: does any offer, or any commitment, lower the cost at
the duals found?

With duals π of an hour a column of cost c and entries a has the reduced cost c − π·a; one below 0
could lower the cost. A commitment whose pool is not in the program saves, in each hour, the best
any covered machine could gain from one unit, max(0, max over machines of (π·a − c) / units): this
is the dual of its idle pool (a smaller one would make the cuts invalid), and it is worth buying
only if these savings add up to more than its fee.
"""

from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats, Index
from planner.optimizer.program.hours import Template, templates_of
from planner.optimizer.program.problem import Problem, States

Pairs = dict[str, dict[str, None]]

ENTRIES = 2_000_000  # reduced costs held at once

Duals = dict[int, tuple[tuple[tuple[str, str], ...], Floats, Floats, Floats]]


@dataclass(frozen=True)
class Finding:
    """``pairs`` {(workload, type): most negative reduced cost}; ``saved`` {pool: what a unit saves,
    by family of hours};

    ``by_pool`` {pool: {(workload, type): its own gain from a unit}}.
    """

    pairs: dict[tuple[str, str], float]
    saved: dict[str, Floats]
    by_pool: dict[str, dict[tuple[str, str], float]]


class Audit:
    """The one-hour models of the whole problem, by columns, with the identity of each."""

    def __init__(self, problem: Problem, states: States) -> None:
        """Build them once."""
        self.problem = problem
        self.existing = {g.name for g in problem.pools if g.existing > 0}
        self._pools = {g.name: j for j, g in enumerate(problem.pools)}
        units = {g.name: g.units for g in problem.pools}
        self._full: dict[int, _Columns] = {}
        for price, t in templates_of(problem, states).items():
            self._full[price] = _Columns(
                t,
                np.array([units[g][i] if g else 1.0 for g, _, i in t.columns]),
                np.array([self._pools.get(g, -1) for g, _, _ in t.columns], dtype=np.intp),
            )

    def examine(self, pairs: Pairs, known: set[str], duals: Duals, tolerance: float) -> Finding:
        """Price out what a program left out. ``known`` pools are in the program.

        ``duals`` {price class: (its rows, duals (rows, k), cost factor (k,), weight (k,
        families))}. Rows the program lacks have the dual 0.

        A (workload, type) not in ``pairs`` is found if a reduced cost c · factor − π·a is
        below −``tolerance`` in any of the k columns of duals. A pool not ``known`` is found
        with what one unit saves, summed over hours with ``weight``; whether that is more than
        its fee is for the caller to say.
        """
        finding = Finding({}, {}, {})
        for price, (rows, y, factor, weight) in duals.items():
            full = self._full[price]
            out = np.array([bool(w) and i not in pairs[w] for _, w, i in full.t.columns], dtype=bool)
            absent = np.array([bool(g) and g not in known for g, _, _ in full.t.columns], dtype=bool)
            lifted = full.lifted(rows, y)
            self._pairs_out(finding, full, np.flatnonzero(out & ~absent), lifted, factor, tolerance)
            self._pools_out(finding, full, np.flatnonzero(out & absent), lifted, factor, weight)
        return finding

    def _pairs_out(
        self, finding: Finding, full: "_Columns", columns: Index, lifted: Floats, factor: Floats, tolerance: float
    ) -> None:
        """Machines left out whose reduced cost is negative in some column of duals, with the
        sum of the negative ones.
        """
        worst, total = np.zeros(len(columns)), np.zeros(len(columns))
        for part in _parts(len(columns), lifted.shape[1]):
            reduced = full.reduced(columns, lifted[:, part], factor[part])
            worst = np.minimum(worst, reduced.min(axis=1))
            total += np.minimum(reduced, 0.0).sum(axis=1)
        for j in np.flatnonzero(worst < -tolerance):
            key = full.t.columns[columns[j]][1:]
            finding.pairs[key] = min(finding.pairs.get(key, 0.0), float(total[j]))

    def _pools_out(
        self, finding: Finding, full: "_Columns", columns: Index, lifted: Floats, factor: Floats, weight: Floats
    ) -> None:
        """What one unit of each absent pool saves: Σ_k weight_k · max(0, max_j −reduced_jk /
        units_j), over the machines j it covers; and each machine's own gain, for the choice of
        which to take into play.
        """
        columns = columns[np.argsort(full.pool[columns], kind="stable")]
        if not len(columns):
            return
        pools, first = np.unique(full.pool[columns], return_index=True)
        saved, own, hours = np.zeros((len(pools), weight.shape[1])), np.zeros(len(columns)), weight.sum(axis=1)
        for part in _parts(len(columns), lifted.shape[1]):
            gain = np.maximum(0.0, -full.reduced(columns, lifted[:, part], factor[part])) / full.units[columns][:, None]
            saved += np.maximum.reduceat(gain, first, axis=0) @ weight[part]
            own += gain @ hours[part]
        names = list(self._pools)
        for g, sums in zip(pools, saved, strict=True):
            if sums.any():
                finding.saved[names[g]] = finding.saved.get(names[g], 0.0) + sums
        for j in np.flatnonzero(own > 0):
            pool, *key = full.t.columns[columns[j]]
            found = finding.by_pool.setdefault(pool, {})
            found[key[0], key[1]] = found.get((key[0], key[1]), 0.0) + float(own[j])


class _Columns:
    """A one-hour model by columns: the rows each touches and its entries there,
    ``width`` of them at most.

    Columns touch few rows, so a reduced cost c − π·a is summed over ``width`` entries instead of
    all rows; shorter columns are filled with entries 0.
    """

    def __init__(self, t: Template, units: Floats, pool: Index) -> None:
        self.t, self.units, self.pool = t, units, pool
        column, row = np.nonzero(t.A.T)
        count = np.bincount(column, minlength=t.A.shape[1])
        place = np.arange(len(column)) - np.repeat(np.cumsum(count) - count, count)
        self.row, self.entry = np.zeros((2, t.A.shape[1], int(count.max(initial=0))))
        self.row = self.row.astype(np.intp)
        self.row[column, place], self.entry[column, place] = row, t.A[row, column]

    def lifted(self, rows: tuple[tuple[str, str], ...], y: Floats) -> Floats:
        """Duals of these rows, from those of a program with some of them."""
        at = {row: i for i, row in enumerate(rows)}
        found = np.zeros((len(self.t.rows), y.shape[1]))
        here = [i for i, row in enumerate(self.t.rows) if row in at]
        found[here] = y[[at[self.t.rows[i]] for i in here]]
        return found

    def reduced(self, columns: Index, y: Floats, factor: Floats) -> Floats:
        """Reduced costs (columns, k) = cost · factor − π·a, with ``y`` (rows, k) the duals π and
        ``factor`` (k,) the weight that the duals bear.
        """
        found: Floats = self.t.cost[columns][:, None] * factor[None, :]
        for row, entry in zip(self.row[columns].T, self.entry[columns].T, strict=True):
            found -= entry[:, None] * y[row]
        return found


def _parts(columns: int, count: int) -> list[slice]:
    size = max(1, ENTRIES // max(1, columns))
    return [slice(at, at + size) for at in range(0, count, size)]
