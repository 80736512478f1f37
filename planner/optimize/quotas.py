"""Quotas that several services share, dealt out before each service chooses its machines."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.load import Load
from planner.optimize.build import problem_of
from planner.optimize.conflict import hard_states
from planner.optimize.explain import impossible
from planner.optimize.market import Market
from planner.optimize.model import build
from planner.optimize.problem import Floats
from planner.optimize.solve import solve
from planner.scenario import Scenario


def deal_quotas(scenario: Scenario, market: Market, planned: Mapping[str, Floats], load: Load) -> Market:
    """Each service's part of a shared quota: what it uses at its busiest in the linear program, in whole machines.

    Raises :class:`InfeasiblePlan` when the services cannot be served together.
    """
    shared = [name for name in scenario.limits.quota if sum(any(q[0] == name for q in r.quota) for r in market.rules.values()) > 1]
    if not shared:
        return market
    problem = problem_of(scenario, market, {s: p[None, :] for s, p in planned.items()}, load.weight_h, held={})
    states = hard_states(problem)
    model = build(problem, states)
    found = solve(model.lp)
    if not found.optimal:
        raise impossible(scenario, market, planned, load)
    kind_of = {c.kind: c.instance_type for cs in market.candidates.values() for c in cs}
    use = {(s, name): np.zeros(len(states)) for s in market.rules for name in shared}
    for name, key in model.keys.items():
        if key[0] in ("on_demand", "covered", "spot") and (place := (key[-4], kind_of[key[-3]])) in use:
            use[place][int(key[-1])] += found.values[name]
    rules = dict(market.rules)
    for name in shared:
        takers = [s for s in rules if any(q[0] == name for q in rules[s].quota)]
        parts = _whole_parts(np.array([use[s, name].max() for s in takers]), scenario.limits.quota[name])
        for s, part in zip(takers, parts, strict=True):
            rules[s] = replace(rules[s], quota=tuple((n, kinds, part if n == name else count) for n, kinds, count in rules[s].quota))
    return replace(market, rules=rules)


def _whole_parts(wanted: Floats, count: int) -> list[int]:
    """Whole parts of a quota: everybody's need rounded down, the rest by largest remainder, what nobody needs to the largest."""
    wanted = wanted * min(1.0, count / max(1e-12, float(wanted.sum())))
    parts = np.floor(wanted + 1e-9)
    for j in np.argsort(parts - wanted, kind="stable"):
        if parts.sum() < count and parts[j] < wanted[j] - 1e-9:
            parts[j] += 1
    parts[int(np.argmax(wanted))] += count - parts.sum()
    return [int(p) for p in parts]
