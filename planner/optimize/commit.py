"""Which commitments to sign: a linear program over all load paths at once, then whole units by exact valuation.

The program sees every hour of every path through groups of like hours (a lower bound by Jensen's inequality); the
valuation counts whole machines in every hour of every path. So a commitment is bought for the expected cost,
not for the cost of an average or of a high quantile of the load.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.load import Load
from planner.optimize.build import billing_order, offers_of, problem_of
from planner.optimize.market import Market
from planner.optimize.model import Hour, build
from planner.optimize.problem import Floats, Problem
from planner.optimize.recourse import Cover, Menu, menu
from planner.optimize.reduce import aggregate, groups_of
from planner.optimize.solve import Solution, solve
from planner.scenario import Scenario

GROUPS = 160
SURPRISES = (0.7, 1.5)  # load over forecast at which the regret of the commitments is told
MOST_TRIALS = 200  # valuations of trial purchases


@dataclass(frozen=True)
class Signed:
    """``held`` {term index: units}; menus by service; ``shares`` {(service, pool): part of the pool's use};

    ``bound_usd`` a lower bound of the expected cost of compute and fees over the paths; ``regret_usd`` {load over forecast:
    what the commitments then cost more than those best for that load}.
    """

    held: dict[int, float]
    menus: dict[str, Menu]
    shares: dict[tuple[str, str], float]
    bound_usd: float
    regret_usd: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Regime:
    """Hours of the horizon in which the same commitments already signed are in force: ``held`` {term index: units}."""

    hours: NDArray[np.intp]
    held: dict[int, float]


def regimes_of(market: Market, load: Load) -> list[Regime]:
    """The horizon cut where a commitment already signed ends."""
    signed = {i: t for i, t in enumerate(market.terms) if t.held}
    flags = np.stack([t.in_force(load.ts) for t in signed.values()], axis=1) if signed else np.zeros((load.hours, 0), dtype=bool)
    _, first, number = np.unique(flags, axis=0, return_index=True, return_inverse=True)
    return [Regime(np.flatnonzero(number.reshape(-1) == r), {i: t.held for j, (i, t) in enumerate(signed.items()) if flags[at, j]})
            for r, at in enumerate(first)]


def covers_of(market: Market, held: Mapping[int, float], shares: Mapping[tuple[str, str], float], service: str) -> list[Cover]:
    """A service's part of each held commitment, in billing order."""
    found = []
    for index in billing_order(market, held):
        term = market.terms[index]
        part = shares.get((service, term.pool), 0.0)
        if part > 0:
            found.append(Cover(term.commitment, tuple(term.units.items()), held[index] * part))
    return found


def lower_bound(problem: Problem, groups: int = GROUPS) -> tuple[Solution, Mapping[str, float]]:
    """Solve with like hours grouped: a proven lower bound, and the duals summed over hours by "constraint subject"."""
    states = problem.states
    if len(states) > groups:
        states = aggregate(states, groups_of(states, groups))
    model = build(problem, states)
    found = solve(model.lp)
    sums: dict[str, float] = {}
    for (constraint, subject, _), dual in zip(model.rows, found.duals, strict=False):
        sums[f"{constraint} {subject}"] = sums.get(f"{constraint} {subject}", 0.0) + float(dual)
    return found, sums


def sign(scenario: Scenario, load: Load, market: Market, tops: Mapping[str, float], weight: Floats | None = None) -> Signed:
    """Choose the commitments. ``tops``: the largest load of each service worth a menu entry; ``weight`` of each path, default equal."""
    weight = np.full(load.paths, 1.0 / load.paths) if weight is None else weight
    menus = {s: menu(offers_of(found, market.rules[s]), market.rules[s], tops[s]) for s, found in market.candidates.items()}
    loads = {s: np.minimum(load.services[s].arrival_rate_rps.astype(np.float64), menus[s].reach.max()) for s in market.candidates}
    if not market.terms:
        return Signed({}, menus, {}, np.nan)
    regimes, horizon_h = regimes_of(market, load), float(load.weight_h.sum())
    existing = {i: t.held * float(load.weight_h @ t.in_force(load.ts)) / horizon_h for i, t in enumerate(market.terms) if t.held}
    problem = problem_of(scenario, market, loads, load.weight_h, existing=existing, probability=weight)
    states = aggregate(problem.hours, groups_of(problem.hours, GROUPS))
    model = build(problem, states)
    found = solve(model.lp)
    if not found.optimal:
        return Signed({}, menus, {}, np.nan)
    index = {(t.commitment + "@" + t.region): i for i, t in enumerate(market.terms) if not t.held}
    amounts = {index[b]: found.values[v.name] * step for b, (v, step) in model.bought.items()}
    shares = _shares(market, model.hours, states.weight_h, found)
    held = {i: a for i, a in amounts.items() if a > 1e-9}
    ordered = {s: [_sorted(loads[s][:, r.hours], load.weight_h[r.hours], weight) for r in regimes] for s in loads}

    def expected(trial: Mapping[int, float], growth: float = 1.0) -> float:
        fees = sum(a * market.terms[i].usd_per_h for i, a in trial.items()) * horizon_h
        return fees + sum(_expected(menus[s], covers_of(market, {**trial, **r.held}, shares, s), growth * rate, hours)
                          for s in menus for r, (rate, hours) in zip(regimes, ordered[s], strict=True))

    def affordable(trial: Mapping[int, float]) -> bool:
        budget = scenario.limits.upfront_budget_usd
        return budget is None or sum(a * _cash(market, i) for i, a in trial.items()) <= budget * (1 + 1e-9)

    best = _whole(market, held, expected, affordable)
    regret = {}
    for growth in SURPRISES if best else ():
        other = _whole(market, best, lambda trial, growth=growth: expected(trial, growth), affordable, trials=40)  # type: ignore[misc]
        regret[growth] = expected(best, growth) - expected(other, growth)
    return Signed(best, menus, shares, found.bound, regret)


def _cash(market: Market, index: int) -> float:
    term = market.terms[index]
    return term.usd_per_h * term.upfront_share * term.term_months * 730.0


def _sorted(load: Floats, weight_h: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """All path hours by load, and the hours (a year has W of them, not W × paths) at or below each."""
    flat = load.ravel()
    order = np.argsort(flat)
    hours = (weight[:, None] * weight_h[None, :]).ravel()[order]
    return flat[order], np.concatenate([[0.0], np.cumsum(hours)])


def _expected(mixes: Menu, covers: list[Cover], load: Floats, hours: Floats) -> float:
    steps = mixes.steps(covers)
    below = hours[np.searchsorted(load, steps.reach * (1 + 1e-12), side="right")]
    below[-1] = hours[-1]  # beyond the last mix the fleet stays at its largest
    return float(steps.cost @ np.diff(np.concatenate([[0.0], below])))


def _shares(market: Market, hours: Sequence[Hour], weight_h: Floats, found: Solution) -> dict[tuple[str, str], float]:
    """Part of each pool's use that falls to each service in the linear program."""
    use: dict[tuple[str, str], float] = {}
    units = {t.pool: t.units for t in market.terms}
    for k, hour in enumerate(hours):
        for (pool, service, kind, _), v in hour.covered.items():
            amount = found.values.get(v.name, 0.0) * units[pool][kind] * weight_h[k]
            use[service, pool] = use.get((service, pool), 0.0) + float(amount)
    total: dict[str, float] = {}
    for (_, pool), amount in use.items():
        total[pool] = total.get(pool, 0.0) + amount
    return {key: amount / total[key[1]] for key, amount in use.items() if total[key[1]] > 0}


def _whole(market: Market, held: dict[int, float], expected: Callable[[Mapping[int, float]], float],
           affordable: Callable[[Mapping[int, float]], bool], *, trials: int = MOST_TRIALS) -> dict[int, float]:
    """Whole units by coordinate descent on the exact expected cost, from the linear optimum rounded down; dollars in ever finer steps."""
    spend = [i for i in held if market.terms[i].category == "Spend"]
    step = {i: max(0.001, round(a / 20.0, 3)) if i in spend else market.terms[i].size for i, a in held.items()}
    best = {i: np.floor(a / step[i] + 1e-9) * step[i] for i, a in held.items()}
    value, tries, sweep = expected(best), 0, True
    while sweep and tries < trials:
        moved = False
        for i in best:
            for move in (step[i], -step[i]):
                while tries < trials:
                    trial = {**best, i: round(best[i] + move, 9)}
                    if trial[i] < 0 or not affordable(trial):
                        break
                    tries += 1
                    cost = expected(trial)
                    if cost >= value - 1e-9 * abs(value):
                        break
                    best, value, moved = trial, cost, True
        finer = {i: max(0.001, round(step[i] / 4.0, 3)) for i in spend if step[i] > 0.001}
        sweep = moved or bool(finer)
        step |= {} if moved else finer
    return {i: a for i, a in best.items() if a > 0}
