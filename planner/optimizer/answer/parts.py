"""The bound in parts of machines: a linear program over all load paths with every machine that
could pay and every commitment on sale.

Commitments are bought anew for each stretch of about a quarter, so that later contracts and
renewals are relaxed too. Hours of like load are averaged, which bounds a convex cost from below
(Jensen 1906). A machine that another of the same service undercuts for each request/s under
every way to pay is left out: parts of the other do the same for less. Type shares, largest
replicas and prepayment budgets are left out. It takes minutes with a thousand machine types, so
it stands beside the bound of whole machines only where there are at most ``MOST_KINDS``.

Sources: J. Jensen, Sur les fonctions convexes (1906).
"""

from dataclasses import replace

import numpy as np

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.covering import Shelf
from planner.optimizer.mixes.fleet import shelf_of
from planner.optimizer.program.grouped import stacked
from planner.optimizer.program.groups import aggregate, groups_of
from planner.scenario import Scenario

STRETCHES = 4  # of the horizon, in each of which commitments are bought anew
GROUPS = 24  # of like hours in each; five times as many raise the bound by .03 %
MOST_KINDS = 500  # usable machine types of all services


def in_parts(scenario: Scenario, load: Load, market: Market, followed: Load, weight: Floats) -> float:
    """The linear program stretch by stretch [USD], without the fees of what is held; 0 where it has
    no answer, or there are too many machine types.
    """
    if sum(len(market.usable(s)) for s in market.candidates) > MOST_KINDS:
        return 0.0
    kept = {s: market.named(s, _worth_a_look(market, s)) for s in market.candidates}
    narrow = market.narrowed(kept)
    relaxed = {s: replace(r, type_share=None, max_replicas=None) for s, r in narrow.rules.items()}
    cheapest = tuple(replace(t, usd_per_h=t.lowest) for t in narrow.terms)
    narrow = replace(narrow, rules=relaxed, terms=cheapest)
    free = scenario.model_copy(update={"limits": scenario.limits.model_copy(update={"upfront_budget_usd": None})})
    total = 0.0
    for hours in np.array_split(np.arange(load.hours), min(STRETCHES, load.hours)):
        weight_h = load.weight_h[hours]
        loads = {s: followed.services[s].arrival_rate_rps[:, hours].astype(np.float64) for s in kept}
        existing = {i: float((t.held * t.in_force(load.ts)[hours]).max()) for i, t in enumerate(narrow.terms) if t.held}
        problem = problem_of(free, narrow, loads, weight_h, existing=existing, probability=weight)
        states = aggregate(problem.hours, groups_of(problem.hours, GROUPS))
        found = stacked(problem, states).solve()
        if not found.optimal:
            return 0.0
        total += found.bound
    return total


def _worth_a_look(market: Market, service: str) -> list[str]:
    """Kinds of a service that no other undercuts for each request/s in every way to pay (with as
    many replicas, where some are asked for); all that a held commitment covers or a quota bounds.
    """
    shelf = shelf_of(market, service)
    capacity, spot = np.maximum(shelf.capacity, 1e-12), np.maximum(shelf.spot_capacity, 1e-12)
    ways = [(shelf.usage + shelf.disk) / capacity, shelf.spot_price / spot, *_ways(market, shelf, capacity)]
    columns = np.stack([-shelf.replicas / capacity if market.rules[service].min_replicas else capacity * 0.0, *ways])
    held = {k for t in market.offered if t.held for k in t.units}
    always = np.array([k in held or np.isfinite(m) for k, m in zip(shelf.kind, shelf.most, strict=True)], dtype=bool)
    kept: list[int] = []
    for j in np.argsort(np.nan_to_num(ways[0], posinf=1e30), kind="stable"):
        beaten = any((columns[:, i] <= columns[:, j] + 1e-15).all() for i in kept if not np.isfinite(shelf.most[i]))
        if always[j] or not beaten:
            kept.append(int(j))
    return [shelf.kind[j] for j in kept]


def _ways(market: Market, shelf: Shelf, capacity: Floats) -> list[Floats]:
    """Price of a request/s under the best reservation, and under each spending plan [USD/h]."""
    reserved = np.full(len(shelf), np.inf)
    plans: dict[str, Floats] = {}
    for t in market.offered:
        if t.held:
            continue
        each = shelf.takes(t.units, np.nan) * t.lowest * shelf.unit
        each = np.where(np.isnan(each), np.inf, (each + shelf.disk) / capacity)
        if t.category == "Spend":
            plans[t.pool] = np.minimum(plans.get(t.pool, np.inf), each)
        else:
            reserved = np.minimum(reserved, each)
    return [reserved, *plans.values()]
