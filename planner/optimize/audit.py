"""What was left out of a program, priced out: does any offer, or any commitment, lower the cost at the duals found?

A commitment whose pool is not in the program saves, in each hour, the best any covered machine could gain from one
unit; it is worth buying only if these savings add up to more than its fee.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.optimize.evaluate import Template, templates_of
from planner.optimize.problem import Floats, Problem, States

Pairs = dict[str, dict[str, None]]


Duals = dict[int, tuple[tuple[tuple[str, str], ...], Floats, Floats, Floats]]


@dataclass(frozen=True)
class Finding:
    """``pairs`` {(workload, type): most negative reduced cost}; ``saved`` {pool: what a unit saves, by family of hours};

    ``by_pool`` {pool: {(workload, type): its own gain from a unit}}.
    """

    pairs: dict[tuple[str, str], float]
    saved: dict[str, Floats]
    by_pool: dict[str, dict[tuple[str, str], float]]


class Audit:
    """The one-hour models of the whole problem, as sparse matrices with the identity of each column."""

    def __init__(self, problem: Problem, states: States) -> None:
        """Build them once."""
        from scipy.sparse import csr_array

        self.problem = problem
        self.fees = {b.pool: min(problem.fee_usd(x) for x in problem.products if x.pool == b.pool) for b in problem.products}
        self.existing = {g.name for g in problem.pools if g.existing > 0}
        self._pools = {g.name: j for j, g in enumerate(problem.pools)}
        self._units = {g.name: g.units for g in problem.pools}
        self._full: dict[int, tuple[Template, object, Floats, NDArray[np.intp]]] = {}
        for price, t in templates_of(problem, states).items():
            units = np.array([self._units[g][i] if g else 1.0 for g, _, i in t.columns])
            pool = np.array([self._pools.get(g, -1) for g, _, _ in t.columns], dtype=np.intp)
            self._full[price] = t, csr_array(t.A.T), units, pool

    def examine(self, pairs: Pairs, known: set[str], duals: Duals, tolerance: float) -> Finding:
        """Price out. ``known`` pools are in the program.

        ``duals`` {price class: (its rows, duals (rows, k), cost factor (k,), weight (k, families))}.
        Rows the program lacks have the dual 0.
        """
        finding = Finding({}, {}, {})
        for price, (rows, y, factor, weight) in duals.items():
            t, transposed, units, pool = self._full[price]
            at = {row: i for i, row in enumerate(rows)}
            lifted = np.zeros((len(t.rows), y.shape[1]))
            here = [i for i, row in enumerate(t.rows) if row in at]
            lifted[here] = y[[at[t.rows[i]] for i in here]]
            out = np.array([bool(w) and i not in pairs[w] for _, w, i in t.columns], dtype=bool)
            absent = np.array([bool(g) and g not in known for g, _, _ in t.columns], dtype=bool)
            reduced = t.cost[:, None] * factor[None, :] - transposed @ lifted  # type: ignore[operator]
            worst = reduced.min(axis=1)
            for j in np.flatnonzero(out & ~absent & (worst < -tolerance)):
                key = t.columns[j][1:]
                finding.pairs[key] = min(finding.pairs.get(key, 0.0), float(np.minimum(reduced[j], 0.0).sum()))
            self._pools_out(finding, t, reduced, units, pool, np.flatnonzero(out & absent & (worst < 0)), weight)
        return finding

    def _pools_out(self, finding: Finding, t: Template, reduced: Floats, units: Floats, pool: NDArray[np.intp], columns: NDArray[np.intp],
                   weight: Floats) -> None:
        gain = np.maximum(0.0, -reduced[columns]) / units[columns][:, None]
        names = list(self._pools)
        for g in np.unique(pool[columns]):
            mine = np.flatnonzero(pool[columns] == g)
            found = finding.by_pool.setdefault(names[g], {})
            finding.saved[names[g]] = finding.saved.get(names[g], 0.0) + gain[mine].max(axis=0) @ weight
            for j, own in zip(columns[mine], (gain[mine] @ weight).sum(axis=1), strict=True):
                key = t.columns[j][1:]
                found[key] = found.get(key, 0.0) + float(own)
