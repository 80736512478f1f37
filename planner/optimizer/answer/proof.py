"""What binds in a plan and how far what it left out is from being used, by duals of the linear
program.

The program of the hours that machines must be ready for starts from the short list; every machine
left out is priced at the duals of every hour, and one that would lower the cost is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.answer import bindings as explain
from planner.optimizer.answer import frames as answer
from planner.optimizer.commitments.sign import GROUPS, Signed
from planner.optimizer.commitments.starts import Regime
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.market import Market
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
    """What binds at what must be ready, and how far each machine left out is from being used.

    ``falls`` {(service, kind): share by which a machine's price must fall before the linear program
    would run it in some hour}.
    """

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


def prove(
    scenario: Scenario,
    load: Load,
    wide: Market,
    market: Market,
    signed: Signed,
    planned: Mapping[str, Floats],
    regimes: list[Regime],
) -> Proof:
    """What binds where machines must be ready, under the signed commitments. Raises
    :class:`InfeasiblePlan`.
    """
    held = {market.origin[i]: a for i, a in answer.holdings(market, signed, load).items()}
    wide = wide.at_lowest_prices()
    listed = {
        s: wide.named(s, [c.kind for c in (*found, *market.candidates[s])]) for s, found in wide.candidates.items()
    }
    case = _Case(scenario, load, wide.narrowed(listed), dict(planned), held)
    falls, left_out, case = _linear(case, regimes)
    bindings, checks = _bindings(case)
    return Proof(bindings, checks | {"left_out": left_out}, falls)


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


def _linear(case: _Case, regimes: list[Regime]) -> tuple[Falls, float, _Case]:
    """How far prices must fall, the worst undercut, and the case with what was added."""
    for tries in range(1, ROUNDS + 1):
        falls, undercut = dict[tuple[str, str], float](), 0.0
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
    return falls, undercut, case


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
            amount = shelf.takes(units, 0.0)
            gain = (steady - disk[:, None] + np.outer(amount, dual("pool", pool))).max(axis=1)
            fall = np.where(amount > 0, np.minimum(fall, -gain / usage), fall)
        found |= {(s, kind): float(share) for kind, share in zip(shelf.kind, fall, strict=True)}
    return found


def sentences(certificate: Certificate, fleets: Mapping[str, Fleet]) -> list[str]:
    """What the bound says, and where more machine types are kept than asked for."""
    told = [
        f"{service} keeps {f.types or 'all listed'} machine types, not {f.asked}: {f.why}."
        for service, f in fleets.items()
        if f.why
    ]
    told.append(
        "No choice of machines and commitments on sale within these limits has an expected bill below "
        f"{certificate.lower_bound_usd:,.0f} USD (data and requests charged as in this plan):"
        f" this one is within {certificate.gap_share:.1%} of it."
    )
    return told
