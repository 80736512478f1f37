"""Which commitments to sign: a linear program over all load paths at once, then whole units by
exact valuation.

The program sees every hour of every path through groups of like hours (a lower bound by Jensen's
inequality); the valuation counts whole machines in every hour of every path. So a commitment is
bought for the expected cost, not for the cost of an average or of a high quantile of the load.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.commitments.descent import (
    MOST_TRIALS,
    Allowed,
    Worth,
    exchanged,
    whole_contracts,
    within_upfront,
)
from planner.optimizer.commitments.starts import only, with_rungs, worth_trying
from planner.optimizer.commitments.valuing import Value
from planner.optimizer.market.as_program import offers_of, problem_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, menu
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.model import build
from planner.optimizer.program.solve import solve
from planner.scenario import Scenario

GROUPS = 160
SURPRISES = (0.7, 1.5)  # load over forecast at which the regret of the commitments is told
TRIFLE = 2e-5  # of the cost: a contract must save more
FEW, LEAST_TRIALS = 4, 60  # services tried with all valuations of a descent; of any number at least
ALONE = 2  # pools from which the descent starts by themselves, those of the least cost
SIZES = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)  # of the peak, at which a pool alone is tried


@dataclass(frozen=True)
class Signed:
    """``held`` {term index: units}; menus by service; ``regret_usd`` {load over forecast: what the
    commitments then cost more than those best for that load}; ``regret_each`` {term index: the same
    of this one alone, the others as they are, one value for each of ``SURPRISES``}.
    """

    held: dict[int, float]
    menus: dict[str, Menu]
    regret_usd: dict[float, float] = field(default_factory=dict)
    regret_each: dict[int, tuple[float, ...]] = field(default_factory=dict)


def sign(
    scenario: Scenario,
    load: Load,
    market: Market,
    tops: Mapping[str, float],
    weight: Floats,
    counted: Floats,
    start: Mapping[int, float],
) -> tuple[Market, Signed]:
    """Choose the commitments, at the start of the horizon and later in it; the market returned
    knows the later contracts that were signed.

    ``start`` {place in ``market.offered``: units}: a purchase to begin from as well. ``tops``: the
    largest load of each service worth a menu entry; ``weight`` of each path; ``counted`` hours of
    each hour.
    """
    menus = {
        s: menu(offers_of(found, market.rules[s]), market.rules[s], tops[s]) for s, found in market.candidates.items()
    }
    loads = {
        s: np.minimum(load.services[s].arrival_rate_rps.astype(np.float64), menus[s].reach.max())
        for s in market.candidates
    }
    if not market.terms:
        return market, Signed({}, menus)
    amounts = _relaxed(scenario, load, market, loads, weight, counted)
    given = {market.origin.index(at): a for at, a in start.items() if at in market.origin}
    amounts = dict.fromkeys(given, 0.0) | amounts
    market, rungs = with_rungs(market, amounts, load, scenario.time_zone)
    value, affordable = Value(market, load, menus, loads, weight, counted), within_upfront(scenario, market.terms)

    trials = max(LEAST_TRIALS, MOST_TRIALS * min(FEW, len(menus)) // len(menus))

    # what the program buys first: a term it leaves alone must beat that, not forestall it
    pools, everything = {market.terms[i].pool for i, a in amounts.items() if a > 0}, amounts | rungs
    best = whole_contracts(
        market,
        {i: a for i, a in everything.items() if a > 0 or (i in rungs and market.terms[i].pool in pools)},
        value.expected,
        affordable,
        trials=trials,
    )
    alone = sorted(_alone(market, amounts, menus, loads, value.expected), key=value.expected)
    for first in [given, *alone[:ALONE]]:  # signed at the start: later contracts come with the best of these
        start_only = dict.fromkeys(amounts, 0.0) | first
        other = whole_contracts(market, start_only, value.expected, affordable, trials=trials // 3)
        best = min(best, other, key=value.expected)
    every = dict.fromkeys(everything, 0.0) | best
    best = whole_contracts(market, every, value.expected, affordable, trials=trials)
    best = exchanged(market, best, value.expected, affordable, trials=trials)
    best, regret, each = _worth(best, value.expected), dict[float, float](), dict[int, tuple[float, ...]]()
    for growth in SURPRISES if any(best.values()) else ():
        expected = partial((value if growth <= 1 else value.reaching(tops, growth)).expected, growth=growth)
        other = whole_contracts(market, best, expected, affordable, trials=trials // 3)
        regret[growth] = expected(best) - expected(other)
        each |= {
            i: (*each.get(i, ()), _regret(market, best, i, expected, affordable)) for i, a in best.items() if a > 0
        }
    market, held = only(market, {i: a for i, a in best.items() if a > 0}, rungs)
    return market, Signed(held, menus, regret, dict(zip(held, each.values(), strict=True)))


def _alone(
    market: Market,
    amounts: Mapping[int, float],
    menus: Mapping[str, Menu],
    loads: Mapping[str, Floats],
    expected: Worth,
) -> list[dict[int, float]]:
    """Other points to start from, where pools compete for machines: the cheapest term of each
    pool alone, at the best of a few sizes.

    Descent by single contracts cannot leave one pool for another that pays only in bulk; a start
    from there can. Sizes are shares of the machines the peak needs.
    """
    found: list[dict[int, float]] = []
    for i in sorted(amounts, key=lambda i: (market.terms[i].pool, market.terms[i].usd_per_h)):
        term = market.terms[i]
        others = [market.terms[j] for j in amounts if market.terms[j].pool != term.pool]
        if not any(t.units.keys() & term.units.keys() for t in others) or any(
            market.terms[j].pool == term.pool for s in found for j in s
        ):
            continue
        peak = max(
            (
                float(loads[s].max()) / o.capacity * o.unit * term.units[o.kind]
                for s in menus
                for o in menus[s].offers
                if not o.spot and o.kind in term.units
            ),
            default=0.0,
        )
        sizes = [{i: float(np.round(part * peak / term.least) * term.least)} for part in SIZES]
        found.append(min(sizes, key=expected))
    return found


def _regret(
    market: Market,
    best: Mapping[int, float],
    i: int,
    expected: Worth,
    affordable: Allowed,
) -> float:
    """What one purchase costs more than its best size, the others as they are [USD]."""
    other = whole_contracts(
        market,
        {i: best[i]},
        lambda part: expected({**best, **part}),
        lambda part: affordable({**best, **part}),
        trials=12,
    )
    return max(0.0, expected(best) - expected({**best, **other}))


def _worth(best: Mapping[int, float], expected: Worth) -> dict[int, float]:
    """Without contracts that save next to nothing: nobody signs for cents.

    The smallest are tried first; one goes if without it the cost is not above the best by
    more than ``TRIFLE`` of it.
    """
    kept, value = dict(best), expected(best)
    for i in sorted(best, key=lambda i: best[i]):
        without = {**kept, i: 0.0}
        if expected(without) <= value + TRIFLE * abs(value):
            kept = without
    return kept


def _relaxed(
    scenario: Scenario, load: Load, market: Market, loads: Mapping[str, Floats], weight: Floats, counted: Floats
) -> dict[int, float]:
    """Units of each term worth a closer look in the linear program; none of each where it has no
    answer, as where the loads of some path together exceed a quota that what is planned keeps.
    """
    horizon_h = float(counted.sum())
    existing = {
        i: t.held * float(counted @ t.in_force(load.ts)) / horizon_h for i, t in enumerate(market.terms) if t.held
    }
    problem = problem_of(scenario, market, loads, counted, existing=existing, probability=weight)
    states = aggregate(problem.hours, groups_of(problem.hours, GROUPS))
    model = build(problem, states)
    found = solve(model.lp)
    index = {(t.commitment + "@" + t.region): i for i, t in enumerate(market.terms) if not t.held}
    amounts = {}
    if found.optimal:
        bought = {index[b]: found.values[v.name] * step for b, (v, step) in model.bought.items()}
        amounts = {i: a for i, a in bought.items() if a > 1e-9}
    kinds = {c.kind for kept in market.candidates.values() for c in kept}
    return {i: amounts.get(i, 0.0) for i in worth_trying(market, kinds, load.ts[-1], amounts)}
