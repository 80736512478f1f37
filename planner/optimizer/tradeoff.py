"""Cost against one choice of the scenario: a latency target, a load quantile, a share on spot,
zones, a budget.

Every value is a problem of its own over the same hours. All of them are solved on one live handle
that goes on from its last basis (:mod:`planner.optimizer.program.neighbours`): the proven lower
bound of what a plan of short-listed machines costs for that value, parts of machines allowed. Some
of the values are also planned in whole machines; the two columns are never mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from planner import columns
from planner.capacity import Capacity, size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, PlannerError
from planner.load import Load
from planner.optimizer.commitments.sampling import COMPUTE, sample
from planner.optimizer.decide import within_budget
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.delays import followed, ready_load
from planner.optimizer.market.market import read_market
from planner.optimizer.mixes.covering import Shelf
from planner.optimizer.mixes.fleet import shelf_of
from planner.optimizer.program.neighbours import frontier
from planner.optimizer.program.problem import Problem
from planner.scenario import Scenario
from planner.scenario.written import parts

WITH_MACHINES = {"instance_hour", "replica_hour"}  # drivers of charges that follow the machines


@dataclass(frozen=True)
class _Point:
    """One value: its scenario and machines, the linear problem, fees already owed; or why there is
    none.
    """

    scenario: Scenario
    capacity: Capacity
    problem: Problem | None = None
    owed_usd: float = 0.0
    error: str = ""


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
    """Cost of the horizon at each value of the field ``path`` (``frontier``), in the order given.

    ``path``: a dotted field of ``limits`` or of a service's ``objective`` or ``autoscaling``; ``*``
    stands for every service. ``lower_bound_usd``: no plan of short-listed machines has a lower
    expected bill over the load paths planned on, with what is signed at the start (charges that
    follow no machine are those of the plan nearest by). ``total_usd``: the expected bill of a plan
    in whole machines, made on those paths, at ``whole`` of the values and the scenario's own.

    Raises :class:`PlannerError` for a field that changes the load, :class:`ScenarioError` for a
    field or value that does not exist.
    """
    variants = [scenario.replace(**overrides(scenario, path, value)) for value in values]
    variants = [scenario if v == scenario else v for v in variants]
    points = _points(scenario, variants, load, capacity, catalog, path)
    tried = {k: _whole(points[k], load, catalog) for k in _chosen(points, scenario, whole)}
    plans = {k: cost for k, cost in tried.items() if isinstance(cost, pd.DataFrame)}
    solved = iter(frontier([p.problem for p in points if p.problem is not None]))
    rows = []
    for k, point in enumerate(points):
        found, faults = next(solved) if point.problem is not None else None, tried.get(k, point.error)
        error = faults if isinstance(faults, str) else ""
        if found is not None and not found.optimal:
            error = error or "the machines allowed cannot serve the load"
        bound = found.bound + point.owed_usd if found is not None and found.optimal else np.nan
        near = min(plans, key=lambda j: abs(j - k), default=None)
        fixed = np.nan if near is None else _beside_machines(plans[near], points[near].capacity)
        total = float(plans[k]["effective_cost_usd"].sum()) if k in plans else np.nan
        rows.append({"value": float(values[k]), "lower_bound_usd": bound + fixed, "total_usd": total, "error": error})
    return columns.check("frontier", pd.DataFrame(rows).astype({"error": "str"}))


def overrides(scenario: Scenario, path: str, value: float) -> dict[str, float]:
    """The dotted overrides of a field; ``services.*`` stands for every service. Raises
    :class:`PlannerError` if it changes the load.
    """
    names = list(scenario.services) if path.startswith("services.*.") else [""]
    paths = [path.replace("*", name, 1) for name in names]
    for one in paths:
        part = parts(one, scenario.services)
        if part[0] != "limits" and not (
            part[0] == "services" and len(part) == 4 and part[2] in ("objective", "autoscaling")
        ):
            raise PlannerError(
                "a frontier varies limits, and objectives and autoscaling of services",
                got=path,
                remedy="For fields that change the load, use: planner sweep",
            )
    return dict.fromkeys(paths, value)


def _points(
    scenario: Scenario, variants: Sequence[Scenario], load: Load, capacity: Capacity, catalog: Catalog, path: str
) -> list[_Point]:
    """Each variant on the machines that are worth a look at the first, the last or the scenario's
    own value.
    """
    sized_again = path != "limits.max_spot_share" and not path.endswith(".load_quantile")
    anchors = {id(v): v for v in (scenario, variants[0], variants[-1])}.values()
    sized = {id(v): capacity if v is scenario or not sized_again else size(v, catalog, load) for v in anchors}
    types: set[str] = set()
    for anchor in anchors:
        try:
            market = read_market(anchor, load, sized[id(anchor)], catalog)
        except InfeasiblePlan:
            continue
        types |= {c.instance_type for found in market.candidates.values() for c in found}
        types |= {c.instance_type for s in market.candidates for c in market.named(s, _worth(shelf_of(market, s)))}
    shown = catalog.select(instance_types=types) if types else catalog
    for v in variants:
        if id(v) not in sized:
            sized[id(v)] = size(v, shown, load) if sized_again else capacity
    return [_point(v, load, _only(sized[id(v)], types), catalog) for v in variants]


def _worth(shelf: Shelf) -> list[str]:
    """Kinds that no other machine of their region replaces at every price: all that a plan chooses
    from.
    """
    return [shelf.kind[j] for j in shelf.undominated()]


def _only(capacity: Capacity, types: set[str]) -> Capacity:
    return replace(capacity, frame=capacity.frame[capacity.frame["instance_type"].isin(types)].reset_index(drop=True))


def _point(variant: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> _Point:
    try:
        market = read_market(variant, load, capacity, catalog).at_lowest_prices()
    except InfeasiblePlan as error:
        return _Point(variant, capacity, error=error.what)
    sampled = sample(load, None)
    run_for = followed(sampled.load, variant, {s: ready_load(load, variant, s) for s in market.candidates})
    loads = {s: run_for.services[s].arrival_rate_rps.astype(np.float64) for s in market.candidates}
    hours = {i: float(load.weight_h @ t.in_force(load.ts)) for i, t in enumerate(market.terms) if t.held}
    existing = {i: market.terms[i].held * h / float(load.weight_h.sum()) for i, h in hours.items()}
    owed = sum(market.terms[i].held * market.terms[i].usd_per_h * h for i, h in hours.items())
    problem = problem_of(variant, market, loads, load.weight_h, existing=existing, probability=sampled.weight)
    return _Point(variant, capacity, problem, owed)


def _chosen(points: Sequence[_Point], scenario: Scenario, whole: int) -> list[int]:
    """Where whole plans are made: evenly spread over the values, and at the scenario's own."""
    spread = np.round(np.linspace(0, len(points) - 1, min(whole, len(points)))).astype(int).tolist() if whole else []
    own = [k for k, p in enumerate(points) if p.scenario is scenario]
    return sorted({*spread, *own})


def _whole(point: _Point, load: Load, catalog: Catalog) -> pd.DataFrame | str:
    """The cost rows of the plan for a value, or why there is none."""
    try:
        return within_budget(point.scenario, load, point.capacity, catalog, sample(load, None))[1].cost
    except InfeasiblePlan as error:
        return error.what


def _beside_machines(cost: pd.DataFrame, capacity: Capacity) -> float:
    """Charges that follow no machine [USD]: those of requests, months and zones."""
    drivers = capacity.needs.groupby(["service", "charge"])["driver"].agg(set).to_dict()
    rest = cost[~cost["charge"].isin(COMPUTE)]
    fixed = [
        not drivers.get((s, c), set()) & WITH_MACHINES for s, c in zip(rest["service"], rest["charge"], strict=True)
    ]
    return float(rest.loc[fixed, "effective_cost_usd"].sum())
