"""What to relax where no plan keeps a scenario's limits: each way out is followed before it is told, together with
all that binds after it.

A limit that hides another is no way out by itself: two quotas, a number of replicas and a budget are told as one
change. The figures are those with which a plan was found; what leads to none is not told.
"""

from __future__ import annotations

from typing import Any

from planner.capacity import size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, Relaxation, ScenarioError
from planner.load import Load
from planner.optimizer import check_feasible
from planner.scenario import Scenario

MOST_WAYS, MOST_STEPS = 3, 6
SEVERAL = "relax several limits or objectives at once; no single one is enough"


def tried(error: InfeasiblePlan, scenario: Scenario, load: Load, catalog: Catalog) -> InfeasiblePlan:
    """``error`` with those of its ways out that lead to a plan, each with all that it takes.

    Follows each way and, where another limit then binds, that one's first way, up to ``MOST_STEPS``.
    Where none leads to a plan only general advice is left. Raises :class:`SolverError` as a plan does.
    """
    ways = [r for r in error.relaxations if isinstance(r, Relaxation)][:MOST_WAYS]
    found: list[str] = [way for way in (_followed(r, scenario, load, catalog) for r in ways) if way is not None]
    advice = [r for r in error.relaxations if not isinstance(r, Relaxation)]
    return InfeasiblePlan(error.what, relaxations=found or advice or [SEVERAL], where=error.where)


def _followed(first: Relaxation, scenario: Scenario, load: Load, catalog: Catalog) -> Relaxation | None:
    """One way out with all steps that a plan then takes; ``None`` where they lead nowhere."""
    changes: dict[str, Any] = dict(first.changes)
    for _ in range(MOST_STEPS):
        try:
            there = scenario.replace(**changes)
            check_feasible(there, load, size(there, catalog, load), catalog)
        except InfeasiblePlan as error:
            more = next((r for r in error.relaxations if isinstance(r, Relaxation)), None)
            if more is None or all(changes.get(k) == v for k, v in more.changes.items()):
                return None
            changes |= more.changes
        except ScenarioError:
            return None  # the change is none that this scenario can take
        else:
            return Relaxation.of({path: (scenario.at(path), value) for path, value in changes.items()})
    return None
