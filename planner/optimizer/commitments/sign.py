"""Which commitments to sign: a linear program over all load paths at once, then whole units by
exact valuation.

The program sees every hour of every path through groups of like hours (a lower bound by Jensen's
inequality); the valuation counts whole machines in every hour of every path. So a commitment is
bought for the expected cost, not for the cost of an average or of a high quantile of the load.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.commitments.starts import only, regimes_of, with_rungs
from planner.optimizer.market.as_program import billing_order, offers_of, problem_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Cover, Menu, Steps, menu
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.model import Hour, build
from planner.optimizer.program.solve import Solution, solve
from planner.scenario import Scenario

GROUPS = 160
SURPRISES = (0.7, 1.5)  # load over forecast at which the regret of the commitments is told
MOST_TRIALS = 300  # valuations of trial purchases
TRIFLE = 2e-5  # of the cost: a contract must save more
UNKNOWN = 24.0  # contracts about which the first steps are taken where the program buys none
SIZES = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)  # of the peak, at which a pool alone is tried
COARSE = 3.0  # each step is so many times the next finer one


@dataclass(frozen=True)
class Signed:
    """``held`` {term index: units}; menus by service; ``shares`` {(service, pool): part of the
    pool's use};

    ``bound_usd`` a lower bound of the expected cost of compute and fees over the paths;
    ``regret_usd`` {load over forecast: what the commitments then cost more than those best for
    that load}; ``regret_each`` {term index: the same of this one alone, the others as they are,
    one value for each of ``SURPRISES``}.
    """

    held: dict[int, float]
    menus: dict[str, Menu]
    shares: dict[tuple[str, str], float]
    bound_usd: float
    regret_usd: dict[float, float] = field(default_factory=dict)
    regret_each: dict[int, tuple[float, ...]] = field(default_factory=dict)


def covers_of(
    market: Market, held: Mapping[int, float], shares: Mapping[tuple[str, str], float], service: str
) -> list[Cover]:
    """A service's part of each held commitment, in billing order.

    ``held`` {term index: units in force}; ``shares`` {(service, pool): part}. What several
    services share is dealt in fixed parts here, while a bill lets one use what the other leaves.
    """
    found = []
    for index in billing_order(market, held):
        term = market.terms[index]
        part = shares.get((service, term.pool), 0.0)
        if part > 0:
            found.append(Cover(term.commitment, tuple(term.units.items()), held[index] * part))
    return found


def sign(
    scenario: Scenario,
    load: Load,
    market: Market,
    tops: Mapping[str, float],
    weight: Floats | None = None,
    emphasis: Floats | None = None,
) -> tuple[Market, Signed]:
    """Choose the commitments, at the start of the horizon and later in it; the market returned
    knows the later contracts that were signed.

    ``tops``: the largest load of each service worth a menu entry; ``weight`` of each path,
    default equal; ``emphasis`` by hour: how much a dollar of that hour counts, default 1.
    """
    weight = np.full(load.paths, 1.0 / load.paths) if weight is None else weight
    counted = load.weight_h if emphasis is None else load.weight_h * emphasis
    menus = {
        s: menu(offers_of(found, market.rules[s]), market.rules[s], tops[s]) for s, found in market.candidates.items()
    }
    loads = {
        s: np.minimum(load.services[s].arrival_rate_rps.astype(np.float64), menus[s].reach.max())
        for s in market.candidates
    }
    if not market.terms:
        return market, Signed({}, menus, {}, np.nan)
    relaxed = _relaxed(scenario, load, market, loads, weight, counted)
    if relaxed is None:
        return market, Signed({}, menus, {}, np.nan)
    amounts, shares, bound = relaxed
    market, rungs = with_rungs(market, amounts, load, scenario.time_zone)
    value = _Value(market, load, menus, shares, loads, weight, counted)

    def affordable(trial: Mapping[int, float]) -> bool:
        budget = scenario.limits.upfront_budget_usd
        return budget is None or sum(a * market.terms[i].upfront_usd for i, a in trial.items()) <= budget * (1 + 1e-9)

    # what the program buys first: a term it leaves alone must beat that, not forestall it
    pools, everything = {market.terms[i].pool for i, a in amounts.items() if a > 0}, amounts | rungs
    best = _whole(
        market,
        {i: a for i, a in everything.items() if a > 0 or (i in rungs and market.terms[i].pool in pools)},
        value.expected,
        affordable,
    )
    if len(best) < len(everything):
        best = _whole(market, dict.fromkeys(everything, 0.0) | best, value.expected, affordable)
    for start in _alone(market, amounts, menus, loads, value.expected):
        other = _whole(
            market, dict.fromkeys(everything, 0.0) | start, value.expected, affordable, trials=MOST_TRIALS // 3
        )
        best = min(best, other, key=value.expected)
    best, regret, alone = _worth(best, value.expected), dict[float, float](), dict[int, tuple[float, ...]]()
    for growth in SURPRISES if any(best.values()) else ():
        expected = partial((value if growth <= 1 else value.reaching(tops, growth)).expected, growth=growth)
        other = _whole(market, best, expected, affordable, trials=MOST_TRIALS // 3)
        regret[growth] = expected(best) - expected(other)
        alone |= {
            i: (*alone.get(i, ()), _regret(market, best, i, expected, affordable)) for i, a in best.items() if a > 0
        }
    market, held = only(market, {i: a for i, a in best.items() if a > 0}, rungs)
    return market, Signed(held, menus, shares, bound, regret, dict(zip(held, alone.values(), strict=True)))


def _alone(
    market: Market,
    amounts: Mapping[int, float],
    menus: Mapping[str, Menu],
    loads: Mapping[str, Floats],
    expected: Callable[[Mapping[int, float]], float],
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
        least = 0.001 if term.category == "Spend" else term.size
        sizes = [{i: float(np.round(part * peak / least) * least)} for part in SIZES]
        found.append(min(sizes, key=expected))
    return found


def _regret(
    market: Market,
    best: Mapping[int, float],
    i: int,
    expected: Callable[[Mapping[int, float]], float],
    affordable: Callable[[Mapping[int, float]], bool],
) -> float:
    """What one purchase costs more than its best size, the others as they are [USD]."""
    other = _whole(
        market,
        {i: best[i]},
        lambda part: expected({**best, **part}),
        lambda part: affordable({**best, **part}),
        trials=12,
    )
    return max(0.0, expected(best) - expected({**best, **other}))


def _worth(best: Mapping[int, float], expected: Callable[[Mapping[int, float]], float]) -> dict[int, float]:
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
) -> tuple[dict[int, float], dict[tuple[str, str], float], float] | None:
    """Units of each term worth a closer look in the linear program, shares of the pools by service,
    and its bound; ``None`` if infeasible.

    Besides what it buys, the cheapest term of each pool that covers a machine kept, and of each
    that ends earlier in the horizon: worth nothing to parts of machines bought for good, such a
    term may pay for the whole ones that fill the rest, signed later, or for a load that falls.
    """
    horizon_h = float(counted.sum())
    existing = {
        i: t.held * float(counted @ t.in_force(load.ts)) / horizon_h for i, t in enumerate(market.terms) if t.held
    }
    problem = problem_of(scenario, market, loads, counted, existing=existing, probability=weight)
    states = aggregate(problem.hours, groups_of(problem.hours, GROUPS))
    model = build(problem, states)
    found = solve(model.lp)
    if not found.optimal:
        return None
    index = {(t.commitment + "@" + t.region): i for i, t in enumerate(market.terms) if not t.held}
    bought = {index[b]: found.values[v.name] * step for b, (v, step) in model.bought.items()}
    shares = _shares(market, model.hours, states.weight_h, found)
    amounts = {i: a for i, a in bought.items() if a > 1e-9}
    last = load.ts[-1] + pd.Timedelta(hours=1)

    def place(i: int) -> tuple[str, pd.Timestamp]:
        return market.terms[i].pool, min(market.terms[i].end, last)

    known = {place(i) for i in amounts}
    for i in sorted(index.values(), key=lambda i: (market.terms[i].usd_per_h, market.terms[i].commitment)):
        if place(i) not in known:
            amounts[i] = 0.0
            known.add(place(i))
    return amounts, shares, found.bound


class _Value:
    """The exact expected cost of trial purchases; what two trials have
    in common is counted once.
    """

    def __init__(
        self,
        market: Market,
        load: Load,
        menus: Mapping[str, Menu],
        shares: Mapping[tuple[str, str], float],
        loads: Mapping[str, Floats],
        weight: Floats,
        counted: Floats,
    ) -> None:
        self.market, self.menus, self.shares = market, dict(menus), shares
        self.regimes = regimes_of(market, load)
        self.ordered = {
            s: [_sorted(loads[s][:, r.hours], counted[r.hours], weight) for r in self.regimes] for s in loads
        }
        self.fee_h = [float(counted @ t.in_force(load.ts)) for t in market.terms]
        self._steps: dict[tuple[str, tuple[tuple[int, float], ...]], Steps] = {}
        self._cost: dict[tuple[str, int, float, tuple[tuple[int, float], ...]], float] = {}

    def reaching(self, tops: Mapping[str, float], growth: float) -> "_Value":
        """The same with machines enough for ``growth`` times the largest loads."""
        found, rules = self.market.candidates, self.market.rules
        other = copy(self)
        other.menus = {s: menu(offers_of(found[s], rules[s]), rules[s], growth * tops[s]) for s in self.menus}
        other._steps, other._cost = {}, {}
        return other

    def expected(self, trial: Mapping[int, float], growth: float = 1.0) -> float:
        """Cost [USD] over the paths, machines and fees, with every load times ``growth``.

        ``trial`` {term index: units}. Fees are paid in the hours in force, used or not. Machines
        are the cheapest whole mix of each hour under its commitments, exact for the paths given;
        whole fleets beyond the menu's largest load stay at the largest.
        """
        fees = sum(a * self.market.terms[i].usd_per_h * self.fee_h[i] for i, a in trial.items())
        return float(fees + sum(self._hours(s, r, growth, trial) for s in self.menus for r in range(len(self.regimes))))

    def _hours(self, service: str, r: int, growth: float, trial: Mapping[int, float]) -> float:
        """Cost of one service in the hours of one regime [USD]; counted once for equal
        commitments of its own pools.
        """
        held = self.regimes[r].of(trial)
        key = tuple(
            sorted((i, a) for i, a in held.items() if a > 0 and (service, self.market.terms[i].pool) in self.shares)
        )
        if (service, r, growth, key) not in self._cost:
            steps = self._steps.get((service, key))
            if steps is None:
                steps = self._steps[service, key] = self.menus[service].steps(
                    covers_of(self.market, dict(key), self.shares, service)
                )
            rate, hours = self.ordered[service][r]
            self._cost[service, r, growth, key] = _expected(steps, growth * rate, hours)
        return self._cost[service, r, growth, key]


def _sorted(load: Floats, weight_h: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """All path hours by load, and the hours (a year has W of them, not W ×
    paths) at or below each.
    """
    flat = load.ravel()
    order = np.argsort(flat)
    hours = (weight[:, None] * weight_h[None, :]).ravel()[order]
    return flat[order], np.concatenate([[0.0], np.cumsum(hours)])


def _expected(steps: Steps, load: Floats, hours: Floats) -> float:
    """Σ over the steps of a menu of cost · hours in which the step is the
    cheapest that reaches the load.

    ``load`` sorted, ``hours`` (n + 1,) at or below each; one search for each step
    instead of one for each hour.
    """
    below = hours[np.searchsorted(load, steps.reach * (1 + 1e-12), side="right")]
    below[-1] = hours[-1]  # beyond the last mix the fleet stays at its largest
    return float(steps.cost @ np.diff(np.concatenate([[0.0], below])))


def _shares(market: Market, hours: Sequence[Hour], weight_h: Floats, found: Solution) -> dict[tuple[str, str], float]:
    """Part of each pool's use that falls to each service in the linear program; of what it could
    cover where it covers nothing.
    """
    use: dict[tuple[str, str], float] = {}
    could: dict[tuple[str, str], float] = {}
    units = {t.pool: t.units for t in market.terms}
    pools: dict[str, list[str]] = {}
    for pool, kinds in units.items():
        for kind in kinds:
            pools.setdefault(kind, []).append(pool)
    for k, hour in enumerate(hours):
        for (pool, service, kind, _), v in hour.covered.items():
            amount = found.values.get(v.name, 0.0) * units[pool][kind] * weight_h[k]
            use[service, pool] = use.get((service, pool), 0.0) + float(amount)
        for (service, kind, _), v in hour.on_demand.items():
            instances = found.values.get(v.name, 0.0) * weight_h[k]
            for pool in pools.get(kind, ()) if instances > 1e-9 else ():
                could[service, pool] = could.get((service, pool), 0.0) + float(instances) * units[pool][kind]
    covered = {pool for (_, pool), amount in use.items() if amount > 1e-9}
    both = {key: a for key, a in use.items() if key[1] in covered} | {
        key: a for key, a in could.items() if key[1] not in covered
    }
    named = {pool for _, pool in both}
    for service, found_kinds in kinds_of(market).items():
        for pool in {p for k in found_kinds for p in pools.get(k, ())} - named:
            both[service, pool] = 1.0  # nothing runs on it in parts of machines: equal shares
    total: dict[str, float] = {}
    for (_, pool), amount in both.items():
        total[pool] = total.get(pool, 0.0) + amount
    return {key: amount / total[key[1]] for key, amount in both.items() if amount > 0}


def kinds_of(market: Market) -> dict[str, set[str]]:
    """The machines each service keeps."""
    return {s: {c.kind for c in kept} for s, kept in market.candidates.items()}


def _whole(
    market: Market,
    first: Mapping[int, float],
    expected: Callable[[Mapping[int, float]], float],
    affordable: Callable[[Mapping[int, float]], bool],
    *,
    trials: int = MOST_TRIALS,
) -> dict[int, float]:
    """Whole contracts by coordinate descent on the exact expected cost, from ``first`` rounded, in
    ever finer steps.

    Whole machines make the cost bumpy in single contracts, so the first steps are a third of the
    purchase.
    """
    least = {i: 0.001 if market.terms[i].category == "Spend" else market.terms[i].size for i in first}
    scale: dict[str, float] = {}
    for i, amount in first.items():
        scale[market.terms[i].pool] = max(scale.get(market.terms[i].pool, 0.0), amount)
    scale = {
        pool: amount or UNKNOWN * max(least[i] for i in first if market.terms[i].pool == pool)
        for pool, amount in scale.items()
    }
    step = {i: least[i] * max(1.0, np.floor(scale[market.terms[i].pool] / least[i] / COARSE)) for i in first}
    best = {i: float(np.round(a / least[i]) * least[i]) for i, a in first.items()}
    while not affordable(best):  # the program weighs prepayments of parts of contracts
        dearest = max(best, key=lambda i: best[i] * market.terms[i].upfront_usd)
        best[dearest] = max(0.0, best[dearest] - step[dearest])
    value, tries, sweep = expected(best), 0, True
    while sweep and tries < trials:
        moved = False
        for change in _changes(market, step, least):
            while tries < trials:
                trial = best | {i: float(round(best[i] + units, 9)) for i, units in change.items()}
                if min(trial[i] for i in change) < 0 or not affordable(trial):
                    break
                tries += 1
                cost = expected(trial)
                if cost >= value - 1e-9 * abs(value):
                    break
                best, value, moved = trial, cost, True
        finer = {i: least[i] * max(1.0, np.floor(step[i] / least[i] / COARSE)) for i in best if step[i] > least[i]}
        sweep = moved or bool(finer)
        step |= {} if moved else finer
    return best


def _changes(market: Market, step: Mapping[int, float], least: Mapping[int, float]) -> list[dict[int, float]]:
    """Moves of the descent: a step more or less of a term; the same signed at another date; the
    same use under another pool.

    A contract that is a part of a machine also moves by whole machines. A swap takes away at
    least as much use as it adds, counted in units of a machine both can pay for.
    """
    alone = [{i: units} for i in step for units in (step[i], -step[i])]
    for i in step:  # whole machines, where a contract is a part of one
        for units in sorted({float(np.ceil(u / least[i] - 1e-9)) * least[i] for u in market.terms[i].units.values()}):
            if units > step[i] * (1 + 1e-9):
                alone += [{i: units}, {i: -units}]
    swaps = []
    for i in step:
        for j in step:
            one, other = market.terms[i], market.terms[j]
            common = next((k for k in one.units if k in other.units), None)
            if i == j or common is None or (one.pool != other.pool and one.start != other.start):
                continue
            instead = step[i] / one.units[common] * other.units[common]
            swaps.append({i: step[i], j: -float(np.ceil(instead / least[j] - 1e-9)) * least[j]})
    return alone + swaps
