"""The certificate of a plan: no plan with these commitments costs less than its bound, and what
keeping few machine types costs.

Two bounds of each hour, the larger counts: the linear program (parts of machines, every rule) and
the covering of the load by whole machines (:mod:`planner.optimizer.mixes.covering`). Both are over everything
on sale: the linear program starts from the short list, every machine left out is priced at the
duals of every hour, and one that would lower the cost is added. The bound under the limit of
machine types is the least over all sets of so many types (up to two; else the free one).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from planner.arrays import Floats, Index
from planner.load import Load
from planner.optimizer.answer import bindings as explain
from planner.optimizer.answer import frames as answer
from planner.optimizer.commitments.sign import GROUPS, Signed
from planner.optimizer.commitments.starts import Regime
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.covering import Pooled, each_hour, least_set, priced
from planner.optimizer.mixes.fleet import Fleet, shelf_of
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.hours import Recourse, Template, templates_of
from planner.plan import Certificate
from planner.scenario import Scenario

UNDERCUT = 1e-6  # share of its price by which a machine left out may still seem cheaper
ROUNDS = 8  # of adding the machines that the duals ask for
Falls = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Proof:
    """``bound_usd`` of compute, disks and fees under every limit; ``free_usd`` the same where each
    hour may run any machines.

    ``falls`` {(service, kind): share by which a machine's price must fall before the linear program
    would run it in some hour}.
    """

    bound_usd: float
    free_usd: float
    bindings: pd.DataFrame
    checks: dict[str, float]
    falls: Falls = field(default_factory=dict)


@dataclass(frozen=True)
class _Case:
    """The planned hours with commitments as they stand: ``held`` {place among all commitments:
    units, one value an hour}.
    """

    scenario: Scenario
    load: Load
    market: Market
    planned: dict[str, Floats]
    held: dict[int, Floats]
    fleets: Mapping[str, Fleet]


def prove(
    scenario: Scenario,
    load: Load,
    wide: Market,
    market: Market,
    signed: Signed,
    planned: Mapping[str, Floats],
    fleets: Mapping[str, Fleet],
    regimes: list[Regime],
) -> Proof:
    """Lower bounds for the planned load under the signed commitments; what binds there. Raises
    :class:`InfeasiblePlan`.
    """
    held = {market.origin[i]: a for i, a in answer.holdings(market, signed, load).items()}
    wide = wide.at_lowest_prices()
    listed = {
        s: wide.named(s, [c.kind for c in (*found, *market.candidates[s])]) for s, found in wide.candidates.items()
    }
    case = _Case(scenario, load, wide.narrowed(listed), dict(planned), held, fleets)
    hourly, falls, left_out, case = _linear(case, regimes)
    bindings, checks = _bindings(case)
    fees = sum(float(load.weight_h @ a) * wide.offered[i].usd_per_h for i, a in held.items())
    limited, free = np.sum([_whole(case, regime, hourly[regime.hours]) for regime in regimes], axis=0)
    return Proof(float(limited) + fees, float(free) + fees, bindings, checks | {"left_out": left_out}, falls)


def _problem_held(case: _Case, hour: int | None) -> dict[int, float]:
    """Units of each of the market's commitments in an hour, or at their most."""
    found = {k: case.held[at] for k, at in enumerate(case.market.origin) if at in case.held}
    return {k: float(a.max() if hour is None else a[hour]) for k, a in found.items()}


def _bindings(case: _Case) -> tuple[pd.DataFrame, dict[str, float]]:
    loads = {s: p[None, :] for s, p in case.planned.items()}
    problem = problem_of(case.scenario, case.market, loads, case.load.weight_h, held=_problem_held(case, None))
    states = problem.states
    if len(states) > GROUPS:
        states = aggregate(states, groups_of(states, GROUPS))
    found, bindings = explain.bindings(problem, states, case.load)
    if not found.optimal:
        raise explain.impossible(case.scenario, case.market, case.planned, case.load)
    return bindings, dict(found.checks)


def _linear(case: _Case, regimes: list[Regime]) -> tuple[Floats, Falls, float, _Case]:
    """Cost of each hour in parts of machines [USD/h], how far prices must fall, the worst undercut,
    and the case with what was added.
    """
    for tries in range(1, ROUNDS + 1):
        hourly, falls, undercut = np.zeros(case.load.hours), dict[tuple[str, str], float](), 0.0
        for regime in regimes:
            hours = regime.hours
            loads = {s: p[None, hours] for s, p in case.planned.items()}
            problem = problem_of(
                case.scenario, case.market, loads, case.load.weight_h[hours], held=_problem_held(case, int(hours[0]))
            )
            recourse = Recourse(problem.states, templates_of(problem, problem.states))
            valued = recourse.cost(np.zeros(0))
            if valued is None:
                raise explain.impossible(case.scenario, case.market, case.planned, case.load)
            hourly[hours] = valued.cost[problem.states.member[0]]
            for price, t in recourse.templates.items():
                y = recourse.duals(price)[:, valued.weight[price] > 0]
                for key, fall in _falls(case.market, t, y).items():
                    falls[key] = min(falls.get(key, np.inf), fall)
        known = {(s, c.kind) for s, found in case.market.candidates.items() for c in found}
        cheaper = sorted((fall, key) for key, fall in falls.items() if key not in known and fall < -UNDERCUT)
        undercut = -cheaper[0][0] if cheaper else 0.0
        if not cheaper or tries == ROUNDS:
            break
        more = {s: case.market.named(s, [kind for _, (of, kind) in cheaper if of == s][:6]) for s in case.planned}
        case = replace(
            case, market=case.market.narrowed({s: (*found, *more[s]) for s, found in case.market.candidates.items()})
        )
    return (
        hourly if not cheaper else np.zeros_like(hourly),
        falls,
        undercut,
        case,
    )  # no bound before every machine is priced out


def _falls(market: Market, t: Template, y: Floats) -> Falls:
    """Share by which each machine's price must fall to enter the linear program at duals ``y``
    (rows, bases); below 0 it undercuts.
    """
    at, nothing = {row: i for i, row in enumerate(t.rows)}, np.zeros(y.shape[1])

    def dual(constraint: str, subject: str) -> Floats:
        return y[at[constraint, subject]] if (constraint, subject) in at else nothing

    pools = {term.pool: units for term, units in ((t, t.units) for t in market.offered) if ("pool", term.pool) in at}
    found: Falls = {}
    for s in market.candidates:
        shelf = shelf_of(market, s)
        each = np.outer(shelf.replicas / shelf.unit, dual("min_instances", s) + dual("max_instances", s))
        steady = np.outer(shelf.capacity / shelf.unit, dual("serve", s)) + each
        spot = np.outer(shelf.spot_capacity / shelf.unit, dual("serve", s) + dual("spot_share", s)) + each
        disk, usage = shelf.disk / shelf.unit, shelf.usage / shelf.unit
        fall = 1.0 - (steady - disk[:, None]).max(axis=1) / usage
        fall = np.minimum(fall, 1.0 - (spot - disk[:, None]).max(axis=1) / (shelf.spot_price / shelf.unit - disk))
        for pool, units in pools.items():
            amount = np.array([units.get(k, 0.0) for k in shelf.kind])
            gain = (steady - disk[:, None] + np.outer(amount, dual("pool", pool))).max(axis=1)
            fall = np.where(amount > 0, np.minimum(fall, -gain / usage), fall)
        found |= {(s, kind): float(share) for kind, share in zip(shelf.kind, fall, strict=True)}
    return found


def _whole(case: _Case, regime: Regime, linear: Floats) -> tuple[float, float]:
    """Bounds of the hours of a regime [USD]: any machines in each hour, and within the limit of
    machine types.
    """
    hours, market = regime.hours, case.market
    weight_h, planned = case.load.weight_h[hours], {s: p[hours] for s, p in case.planned.items()}
    shelves = {s: shelf_of(market, s) for s in planned}
    amounts: dict[str, float] = {}
    # contracts of one pool are one commitment, whenever they were signed
    for i, a in case.held.items():
        if a[hours[0]] > 0:
            amounts[market.offered[i].pool] = amounts.get(market.offered[i].pool, 0.0) + float(a[hours[0]])
    units = {market.offered[i].pool: market.offered[i].units for i in case.held}
    pools = {
        s: tuple(Pooled(np.array([units[g].get(k, 0.0) for k in shelf.kind]), e) for g, e in amounts.items())
        for s, shelf in shelves.items()
    }
    options = priced(shelves, pools)
    credit = np.array([o.credit for o in options])

    def hourly(s: str, rows: Index) -> Floats:
        return np.stack([each_hour(shelves[s], rows, market.rules[s], planned[s], o.usage[s]) for o in options])

    any_type = {
        s: hourly(s, shelf.undominated(*(o.usage[s] for o in options), places=False)) for s, shelf in shelves.items()
    }
    free = float(weight_h @ np.maximum(linear, (sum(any_type.values()) - credit[:, None]).max(axis=0)))
    kept = {s: [c.kind for c in f.candidates] for s, f in case.fleets.items()}
    own = {
        s: hourly(s, np.array([j for j, k in enumerate(shelf.kind) if k in kept[s]])) for s, shelf in shelves.items()
    }
    best = np.argmax(
        sum(own.values()) - credit[:, None], axis=0
    )  # the prices of the commitments, hour by hour: any will do
    limited = -float(weight_h @ credit[best])
    for s, shelf in shelves.items():
        fleet, each = case.fleets[s], np.arange(len(hours))
        if fleet.types is None or fleet.types > 2:
            limited += float(weight_h @ any_type[s][best, each])
            continue
        rows = shelf.undominated(*(o.usage[s] for o in options), places=case.scenario.limits.max_regions is not None)
        parts = [
            (planned[s][best == k], weight_h[best == k], o.usage[s][rows])
            for k, o in enumerate(options)
            if (best == k).any()
        ]
        sets = shelf.take(rows).sets(fleet.types, case.scenario.limits.max_regions)
        limited += least_set(shelf.take(rows), sets, market.rules[s], parts, float(weight_h @ own[s][best, each]))
    return max(free, limited), free


def sentences(certificate: Certificate, schedule: pd.DataFrame, fleets: Mapping[str, Fleet]) -> list[str]:
    """What the bound says, and what it costs to keep few machine types."""
    told = [
        f"{service} keeps {f.types or 'all listed'} machine types, not {f.asked}: {f.why}."
        for service, f in fleets.items()
        if f.why
    ]
    told.append(
        "No plan of whole machines within these limits, with these commitments, costs less than "
        f"{certificate.lower_bound_usd:,.0f} USD: this one is within {certificate.gap_share:.1%} of it."
    )
    if all(f.asked is None for f in fleets.values()) or not certificate.upper_bound_usd > 0:
        return told
    pools = len(schedule[["service", "provider", "region", "instance_type"]].drop_duplicates())
    saved = certificate.upper_bound_usd - certificate.free_bound_usd
    told.append(
        f"This plan uses {pools} machine {'pool' if pools == 1 else 'pools'} (a type in a region for a service);"
        f" letting machines change freely from hour to hour would save at most {saved:,.0f} USD"
        f" ({saved / certificate.upper_bound_usd:.1%})."
    )
    return told
