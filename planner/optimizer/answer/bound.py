"""What any plan within the limits costs at least: a bound for every choice of machines and
commitments on sale.

Two relaxations of the expected bill; the larger counts.

*Parts of machines.* The linear program over all load paths with every machine that could pay and
every commitment on sale, bought anew for each stretch of about a quarter (so later contracts and
renewals are relaxed too). Hours of like load are averaged, which bounds a convex cost from below
(Jensen 1906). A machine that another of the same service undercuts for each request/s under every
way to pay is left out: parts of the other do the same for less.

*Whole machines.* Each hour costs at least the whole machines that cover its load
(:mod:`planner.optimizer.mixes.covering`) at the lowest price any commitment on sale gives them;
least over all sets of as many types as the limits allow (up to two; else any types). Units held
already are paid whatever runs; they save at most what they would cost at those prices.

Both leave out rules that only make plans dearer (type shares, largest replicas, prepayment
budgets). Charges that follow no machine (data, requests) are not part of the bound.

Where it is loose: a small fleet under a load that swings. The whole-machine bound then prices every
hour as if it were committed, the linear program prices parts of machines; a true optimum pays for
whole machines and commits only what runs most hours. On constant loads the first is near the
optimum, on large fleets the second.

The bound never depends on the plan it is compared with, but for ``best_usd``, which only stops the
work early: a plan that reaches the first bound needs no second.

Sources: J. Jensen, Sur les fonctions convexes (1906); G. Dantzig and P. Wolfe, Decomposition
principle for linear programs (1960), for leaving out columns that price out.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.covering import FINE, Shelf, least_cost, least_set, sampled
from planner.optimizer.mixes.fleet import shelf_of
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.model import build
from planner.optimizer.program.solve import solve
from planner.scenario import Scenario

STRETCHES = 4  # of the horizon, in each of which commitments are bought anew
GROUPS = 120  # of like hours in each
VALUES = 4_000  # loads of all paths and hours, rounded down, that whole machines are covered for


def least_bill(
    scenario: Scenario, load: Load, market: Market, followed: Load, weight: Floats, best_usd: float
) -> float:
    """Lower bound [USD] of compute, disks and fees of any plan, in expectation over the paths that
    machines follow; ``best_usd``: a plan's own, above which no bound needs to go.
    """
    cheap = market.at_lowest_prices()
    fees = sum(t.held * t.usd_per_h * float(load.weight_h @ t.in_force(load.ts)) for t in cheap.offered if t.held)
    whole = _whole(scenario, load, cheap, followed, weight, best_usd - fees)
    if best_usd > 0 and (best_usd - fees - whole) / best_usd < 1e-6:
        return whole + fees
    return max(whole, _parts(scenario, load, cheap, followed, weight)) + fees


def _whole(scenario: Scenario, load: Load, market: Market, followed: Load, weight: Floats, best: float) -> float:
    limits, total = scenario.limits, 0.0
    credit = 0.0
    lowest = _on_sale(market)
    for s in market.candidates:
        shelf = shelf_of(market, s)
        sale = np.array([lowest.get(k, np.inf) for k in shelf.kind]) * shelf.unit
        usage = np.minimum(shelf.usage, sale)
        values, hours = _distribution(followed, s, load.weight_h, weight)
        rows = shelf.undominated(usage, places=limits.max_regions is not None)
        part = shelf.take(rows)
        size = limits.max_instance_types
        if size is None or size > 2 or market.rules[s].type_share is not None or _shared_quota(market):
            loads, at = sampled(values, FINE[1])
            each = least_cost(
                part, np.arange(len(part))[None, :], market.rules[s], loads, usage=usage[rows], grid=FINE[0]
            )
            total += float(hours @ each[0, at])
        else:
            sets = part.sets(size, limits.max_regions)
            total += least_set(part, sets, market.rules[s], [(values, hours, usage[rows])], np.inf)
    for t in market.offered:
        if t.held and t.units:
            hours_h = float(load.weight_h @ t.in_force(load.ts))
            worth = max((_price_of(market, lowest, k) / u for k, u in t.units.items()), default=0.0)
            credit += t.held * worth * hours_h
    return min(best, max(0.0, total - credit))


def _shared_quota(market: Market) -> bool:
    return bool(market.by_hour)


def _price_of(market: Market, lowest: Mapping[str, float], kind: str) -> float:
    prices = [c.on_demand for s in market.candidates for c in market.named(s, [kind]) if np.isfinite(c.on_demand)]
    return min([*prices, lowest.get(kind, np.inf)]) if prices or kind in lowest else 0.0


def _on_sale(market: Market) -> dict[str, float]:
    """Lowest price of an instance-hour [USD/h] of each kind under a commitment that can still be
    signed.
    """
    found: dict[str, float] = {}
    for t in market.offered:
        for kind, units in t.units.items() if not t.held else ():
            found[kind] = min(found.get(kind, np.inf), units * t.usd_per_h)
    return found


def _distribution(followed: Load, service: str, weight_h: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Loads of all paths and hours, rounded down to at most ``VALUES``, and the hours of each."""
    rate = followed.services[service].arrival_rate_rps.astype(np.float64).ravel()
    hours = (weight[:, None] * weight_h[None, :]).ravel()
    order = np.argsort(rate, kind="stable")
    cuts = np.unique(np.linspace(0, len(order), min(VALUES, len(order)) + 1).astype(np.intp))[:-1]
    return rate[order][cuts], np.add.reduceat(hours[order], cuts)


def _parts(scenario: Scenario, load: Load, market: Market, followed: Load, weight: Floats) -> float:
    """The linear program stretch by stretch [USD], without the fees of what is held; 0 where it has
    no answer.
    """
    kept = {s: market.named(s, _worth_a_look(market, s)) for s in market.candidates}
    narrow = market.narrowed(kept)
    relaxed = {s: replace(r, type_share=None, max_replicas=None) for s, r in narrow.rules.items()}
    narrow = replace(narrow, rules=relaxed)
    free = scenario.model_copy(update={"limits": scenario.limits.model_copy(update={"upfront_budget_usd": None})})
    total = 0.0
    for hours in np.array_split(np.arange(load.hours), min(STRETCHES, load.hours)):
        weight_h = load.weight_h[hours]
        loads = {s: followed.services[s].arrival_rate_rps[:, hours].astype(np.float64) for s in kept}
        existing = {i: float((t.held * t.in_force(load.ts)[hours]).max()) for i, t in enumerate(narrow.terms) if t.held}
        problem = problem_of(free, narrow, loads, weight_h, existing=existing, probability=weight)
        found = solve(build(problem, aggregate(problem.hours, groups_of(problem.hours, GROUPS))).lp)
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
        each = np.array([t.units.get(k, np.nan) for k in shelf.kind]) * t.usd_per_h * shelf.unit
        each = np.where(np.isnan(each), np.inf, (each + shelf.disk) / capacity)
        if t.category == "Spend":
            plans[t.pool] = np.minimum(plans.get(t.pool, np.inf), each)
        else:
            reserved = np.minimum(reserved, each)
    return [reserved, *plans.values()]
