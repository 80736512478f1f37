"""The linear program: the cheapest configuration that serves the load; the only importer of PuLP.

Rooms: ``problem`` (what is asked), ``model`` (the formulation), ``solve`` (one checked solve),
``reduce``, ``bunching``, ``evaluate``, ``stack``, ``audit`` and ``fast`` (large problems to a
stated gap), ``frontier`` (many near problems), ``conflict`` (why nothing fits), ``billing``
(commitments as a bill applies them); for scenarios ``market``, ``quotas``, ``build``, ``commit``,
``recourse`` (whole machines), ``fleet`` (which few machine types to keep), ``bound`` and ``proof``
(what any plan costs at least), ``paths`` (planned on, valued on), ``explain``, ``answer``, ``run``
and ``near`` (near-optimal plans); the bill itself is ``bill``, ``grid``, ``ledger`` and
``metered``.
"""

from collections.abc import Sequence

import pandas as pd

from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario

__all__ = ["alternatives", "optimize", "tradeoff"]


def optimize(
    scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, *, valued_on: Load | None = None
) -> Plan:
    """The cheapest plan that serves the load within every objective; see
    :func:`planner.optimizer.decide.optimize`.
    """
    from planner.optimizer.decide import optimize as run

    return run(scenario, load, capacity, catalog, valued_on=valued_on)


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
