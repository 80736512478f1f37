"""The linear program: the cheapest configuration that serves the load; the only importer of PuLP.

Rooms: ``problem`` (what is asked), ``model`` (the formulation), ``solve`` (one checked solve), ``reduce``, ``evaluate``, ``stack``,
``audit`` and ``fast`` (large problems to a stated gap), ``frontier`` (many near problems), ``conflict`` (why nothing fits), ``billing``
(commitments as a bill applies them); for scenarios ``market``, ``quotas``, ``build``, ``commit``, ``recourse`` (whole machines),
``paths`` (planned on, valued on), ``explain``, ``answer`` and ``run``; the bill itself is ``bill``, ``grid``, ``ledger`` and ``metered``.
"""

from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario

__all__ = ["optimize"]


def optimize(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, *, valued_on: Load | None = None) -> Plan:
    """The cheapest plan that serves the load within every objective; see :func:`planner.optimize.run.optimize`."""
    from planner.optimize.run import optimize as run

    return run(scenario, load, capacity, catalog, valued_on=valued_on)
