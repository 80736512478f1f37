"""Whole contracts by descent on the exact expected cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from planner.optimizer.market.commitments import Term
from planner.optimizer.market.market import Market
from planner.scenario import Scenario

MOST_TRIALS = 300  # valuations of trial purchases
UNKNOWN = 24.0  # contracts about which the first steps are taken where the program buys none
COARSE = 3.0  # each step is so many times the next finer one

Worth = Callable[[Mapping[int, float]], float]  # expected cost of a trial purchase [USD]
Allowed = Callable[[Mapping[int, float]], bool]


def within_upfront(scenario: Scenario, terms: Sequence[Term]) -> Allowed:
    """Whether a purchase of ``terms`` keeps ``limits.upfront_budget_usd``."""
    budget = scenario.limits.upfront_budget_usd

    def allowed(trial: Mapping[int, float]) -> bool:
        return budget is None or sum(a * terms[i].upfront_usd for i, a in trial.items()) <= budget * (1 + 1e-9)

    return allowed


def whole_contracts(
    market: Market,
    first: Mapping[int, float],
    expected: Worth,
    affordable: Allowed,
    *,
    trials: int = MOST_TRIALS,
) -> dict[int, float]:
    """Whole contracts by coordinate descent on the exact expected cost, from ``first`` rounded, in
    ever finer steps.

    Whole machines make the cost bumpy in single contracts, so the first steps are a third of the
    purchase.
    """
    least = {i: market.terms[i].least for i in first}
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
                trial = best | {i: max(0.0, float(round(best[i] + units, 9))) for i, units in change.items()}
                taken = [i for i, units in change.items() if units < 0]
                if any(best[i] == 0 for i in taken) or not affordable(trial):
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


def exchanged(
    market: Market, best: Mapping[int, float], expected: Worth, affordable: Allowed, *, trials: int = MOST_TRIALS
) -> dict[int, float]:
    """Whole purchases given up for as much use of another, as long as that is cheaper; at most so many
    ``trials``.

    Steps of single contracts stop where what they leave uncovered costs more than they save; all of a
    purchase leaves the rounding of one contract.
    """
    kept, value, tries, moved = dict(best), expected(best), 0, True
    while moved and tries < trials:
        moved = False
        for change in islice(_exchanges(market, kept), trials - tries):
            tries += 1
            trial = kept | change
            if affordable(trial) and (cost := expected(trial)) < value - 1e-9 * abs(value):
                kept, value, moved = trial, cost, True
                break
    return kept


def _exchanges(market: Market, held: Mapping[int, float]) -> Iterator[dict[int, float]]:
    """Every purchase for each other that pays for the same machines, rounded up and down."""
    for i in held:
        for j in (j for j, amount in held.items() if amount > 0 and j != i):
            one, other = market.terms[i], market.terms[j]
            if (common := _common(one, other)) is not None:
                use = held[j] / other.units[common] * one.units[common] / one.least
                for count in (np.ceil(use - 1e-9), np.floor(use)):
                    yield {j: 0.0, i: float(round(held[i] + count * one.least, 9))}


def _common(one: Term, other: Term) -> str | None:
    """A machine that either could pay for in place of the other: in the same hours, or of one pool."""
    if one.pool != other.pool and one.start != other.start:
        return None
    return next((k for k in one.units if k in other.units), None)


def _changes(market: Market, step: Mapping[int, float], least: Mapping[int, float]) -> list[dict[int, float]]:
    """Moves of the descent: a step more or less of a term; the same signed at another date; the
    same use under another pool.

    A contract that is a part of a machine also moves by whole machines. A swap takes away at
    least as much use as it adds, counted in units of a machine both can pay for, or all there is.
    """
    amounts = {i: [step[i], *_machines(market, i, step[i], least[i])] for i in step}
    alone = [{i: units} for i in step for units in (step[i], -step[i])]
    alone += [{i: sign * units} for i, more in amounts.items() for units in more[1:] for sign in (1.0, -1.0)]
    swaps = []
    for i in step:
        for j in step:
            one, other = market.terms[i], market.terms[j]
            if i == j or (common := _common(one, other)) is None:
                continue
            for units in amounts[i]:
                instead = units / one.units[common] * other.units[common]
                swaps.append({i: units, j: -float(np.ceil(instead / least[j] - 1e-9)) * least[j]})
    return swaps + alone


def _machines(market: Market, i: int, step: float, least: float) -> list[float]:
    """Units of a contract that make a whole machine, where that is more than a step."""
    whole = {float(np.ceil(u / least - 1e-9)) * least for u in market.terms[i].units.values()}
    return sorted(units for units in whole if units > step * (1 + 1e-9))
