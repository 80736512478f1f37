"""The linear program: the cheapest configuration that serves the load; the only importer of PuLP.

Rooms, each knowing only those below: ``alternatives`` and ``tradeoff`` (plans beside the best, cost
against one choice), ``decide`` (one plan from start to end), ``answer`` (frames, proof, what
binds), ``commitments`` (what is signed, when, and what it pays for), ``mixes`` (whole machines that
bear a load together), ``market`` (what is on sale to a scenario), ``program`` (the mathematics:
problem, formulation, one checked solve) and ``bill`` (every charge, by arithmetic that knows no
program).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario

if TYPE_CHECKING:
    from planner.optimizer.decide import Unproven

__all__ = ["alternatives", "check_feasible", "optimize", "tradeoff", "unproven"]


def optimize(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    *,
    valued_on: Load | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The cheapest plan that serves the load within every objective, proved: :func:`unproven`, and
    its :meth:`~planner.optimizer.decide.Unproven.proved`.

    Decided are machines by hour, zone and way to pay, and commitments with their start: least
    expected effective cost over the load paths, under every limit of the scenario; machines are
    whole. Every hour of the answer is checked against the latency model, and the bill is summed up
    independently. ``valued_on``: the load whose paths give the cost range, best of another seed;
    else half of ``load``'s. ``progress`` is told each step, and what the plan costs before it is
    proved.

    Raises :class:`InfeasiblePlan` with the smallest relaxation where nothing satisfies the
    scenario, :class:`CatalogError` for a price that is missing, :class:`SolverError` where an
    answer fails its check.
    """
    return unproven(scenario, load, capacity, catalog, valued_on=valued_on, progress=progress).proved(progress)


def unproven(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    *,
    valued_on: Load | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Unproven:
    """The plan of :func:`optimize` as soon as it is decided, billed and checked, its proof still
    open; see :func:`planner.optimizer.decide.unproven`.
    """
    from planner.optimizer.decide import unproven as decided

    return decided(scenario, load, capacity, catalog, valued_on=valued_on, progress=progress)


def check_feasible(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> None:
    """Whether any plan keeps the scenario's limits: nothing, or the :class:`InfeasiblePlan` that it
    raises; see :func:`planner.optimizer.decide.check_feasible`.
    """
    from planner.optimizer.decide import check_feasible as check

    check(scenario, load, capacity, catalog)


def alternatives(plan: Plan, scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> pd.DataFrame:
    """Plans nearly as good as the best (``plan.alternatives``); see
    :func:`planner.optimizer.alternatives.alternatives`.
    """
    from planner.optimizer.alternatives import alternatives as near

    return near(plan, scenario, load, capacity, catalog)


def tradeoff(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    path: str,
    values: Sequence[float],
    *,
    whole: int = 5,
) -> pd.DataFrame:
    """Cost against one field of the scenario (``frontier``); see
    :func:`planner.optimizer.tradeoff.tradeoff`.
    """
    from planner.optimizer.tradeoff import tradeoff as curve

    return curve(scenario, load, capacity, catalog, path, values, whole=whole)
