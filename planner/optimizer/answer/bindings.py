"""Why the answer is what it is: what binds and what it is worth, and what to relax when nothing
fits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.errors import InfeasiblePlan, Relaxation
from planner.load import Load
from planner.optimizer.market.as_program import offers_of, problem_of, zone_factor
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.fleet import MOST_RANKED
from planner.optimizer.mixes.menu import Menu, Rules, menu
from planner.optimizer.program.conflict import diagnose
from planner.optimizer.program.grouped import stacked
from planner.optimizer.program.neighbours import frontier
from planner.optimizer.program.problem import Problem, States
from planner.optimizer.program.solve import Solution
from planner.scenario import Scenario

# what one more unit of each constraint's right-hand side means, for a reader who has not seen the
# formulation
SENTENCES = {
    "serve": "one more request/s of {subject} in every hour changes the cost by {usd} USD over the horizon",
    "pool": (
        "one more unit of the commitment pool {subject}, its fee aside, changes the cost by {usd} USD over the horizon"
    ),
    "credit_used": (
        "one more running unit that earns the credit of {subject} changes the cost by {usd} USD over the horizon"
    ),
    "credit": (
        "one more unit of the resource commitment {subject}, its fee aside, changes the cost by {usd} USD over the"
        " horizon"
    ),
    "spot_share": "one percentage point more spot for {subject} changes the cost by {usd} USD over the horizon",
    "spot_max": "one more spot machine of {subject} on the market changes the cost by {usd} USD over the horizon",
    "type_share": (
        "one percentage point more on a single type for {subject} changes the cost by {usd} USD over the horizon"
    ),
    "other_types": (
        "one percentage point more on a single type for {subject} changes the cost by {usd} USD over the horizon"
    ),
    "zones": (
        "one more request/s to survive the loss of a zone for {subject} changes the cost by {usd} USD over the horizon"
    ),
    "min_instances": "one more replica in the minimum of {subject} changes the cost by {usd} USD over the horizon",
    "min_per_zone": (
        "one more replica in the minimum of each zone for {subject} changes the cost by {usd} USD over the horizon"
    ),
    "max_instances": "one more replica allowed for {subject} changes the cost by {usd} USD over the horizon",
    "carry": "one more unit of capacity to carry traffic of {subject} changes the cost by {usd} USD over the horizon",
    "flow": "one more request/s sent for {subject} in every hour changes the cost by {usd} USD over the horizon",
    "limit": "one more machine allowed by {subject} changes the cost by {usd} USD over the horizon",
    "product_min": "one more unit of {subject} that must be bought changes the cost by {usd} USD over the horizon",
    "product_max": "one more unit of {subject} on sale changes the cost by {usd} USD over the horizon",
    "upfront_budget": "one more USD of upfront budget changes the cost by {usd} USD over the horizon",
    "total_budget": (
        "one more USD of budget changes the cost (with the price of unserved load) by {usd} USD over the horizon"
    ),
    "whole": (
        "machines come whole for {subject}; one more part of a machine changes the cost by {usd} USD over the horizon"
    ),
}

# where zones are alike, the loss of some is capacity on top of the load and no row of its own
NO_ZONE_LOST = (
    "leaving out what {subject} keeps ready for the loss of zones changes the cost by {usd} USD over the horizon"
)


def bindings(problem: Problem, states: States, load: Load) -> tuple[Solution, pd.DataFrame]:
    """Solve the planned hours (like ones grouped) and say what each binding constraint is worth.

    A dual only bounds the value of a whole unit, and where the optimum is degenerate not even its
    first part. So every constraint that binds, and the load of each service, is moved by one
    natural unit and the problem solved again on a live handle:
    the figure told is the difference of the two optima, with the commitments as they are.
    """
    stack = stacked(problem, states, prune=False)
    found = stack.solve()
    if not found.optimal:
        return found, columns.empty("plan.bindings")
    hardest: dict[tuple[str, str], tuple[float, int]] = {}
    for price, (names, duals, _, _) in stack.duals(found).items():
        each = np.abs(duals) / states.weight_h[stack.row_of[price][0]]
        for (constraint, subject), of_state in zip(names, each, strict=True):
            if of_state.any() or constraint == "serve":
                key = (constraint, _workload(problem, subject) if constraint == "type_share" else subject)
                at = int(np.argmax(of_state))
                hardest[key] = max(hardest.get(key, (-1.0, -1)), (float(of_state[at]), int(stack.row_of[price][0][at])))
    for w in problem.workloads:
        if w.headroom_share > 0:
            hardest.setdefault(("zones", w.name), hardest["serve", w.name])
    moved = {key: other for key in hardest if (other := _one_more(problem, *key)) is not None}
    base, *solved = frontier([problem, *moved.values()])
    first = {int(k): h for h, k in reversed(list(enumerate(states.member[0])))}
    rows: list[tuple[Any, ...]] = []
    for (constraint, subject), after in zip(moved, solved, strict=True):
        hour = load.ts[first.get(hardest[constraint, subject][1], 0)]
        change = after.objective - base.objective if after.optimal else np.nan
        if not abs(change) <= max(1e-6, abs(base.objective) * 1e-9):
            text = _told(problem, constraint) if after.optimal else _IMPOSSIBLE[constraint]
            rows.append((hour, constraint, subject, -change, text.format(subject=subject, usd=f"{change:,.2f}")))
    if not rows:
        return found, columns.empty("plan.bindings")
    frame = pd.DataFrame(rows, columns=["ts", "constraint", "subject", "shadow_price_usd", "sentence"])
    order = frame["shadow_price_usd"].abs().sort_values(ascending=False, kind="stable", na_position="first").index
    return found, columns.check("plan.bindings", frame.loc[order].reset_index(drop=True).astype({"sentence": "str"}))


_IMPOSSIBLE = dict.fromkeys(SENTENCES, "one more unit of {subject} has no plan within the limits") | {
    "serve": "one more request/s of {subject} in every hour cannot be served within the limits",
    "min_instances": "one more replica in the minimum of {subject} cannot be run within the limits",
}


def _told(problem: Problem, constraint: str) -> str:
    return (
        NO_ZONE_LOST if constraint == "zones" and not any(w.zones for w in problem.workloads) else SENTENCES[constraint]
    )


def _one_more(problem: Problem, constraint: str, subject: str) -> Problem | None:
    """The problem with one natural unit more of a constraint's right-hand side; ``None`` for rows
    that only define quantities.
    """

    def of_workload(**changes: Any) -> Problem:
        return replace(
            problem, workloads=tuple(replace(w, **changes) if w.name == subject else w for w in problem.workloads)
        )

    w = next((w for w in problem.workloads if w.name == subject), None)
    if w is not None and constraint == "serve":
        return of_workload(load=w.load + 1.0)
    if w is not None and constraint == "zones" and not w.zones:
        return of_workload(headroom_share=0.0)
    if w is not None and constraint in ("spot_share", "type_share"):
        share = w.spot_share if constraint == "spot_share" else w.type_share
        return None if share is None or share >= 1.0 else of_workload(**{constraint: min(1.0, share + 0.01)})
    if w is not None and constraint == "other_types":
        return None if not w.others_share else of_workload(others_share=max(0.0, w.others_share - 0.01))
    if w is not None and constraint == "min_instances":
        return of_workload(min_replicas=w.min_replicas + 1.0)
    if w is not None and constraint == "max_instances":
        return None if w.max_replicas is None else of_workload(max_replicas=w.max_replicas + 1.0)
    if constraint in ("pool", "credit"):
        return replace(
            problem,
            pools=tuple(replace(g, existing=g.existing + 1.0) if g.name == subject else g for g in problem.pools),
        )
    if constraint == "limit":
        return replace(
            problem,
            limits=tuple(replace(m, maximum=m.maximum + 1.0) if m.name == subject else m for m in problem.limits),
        )
    return None


def _workload(problem: Problem, subject: str) -> str:
    names = [w.name for w in problem.workloads if subject == w.name or subject.startswith(w.name + "_")]
    return max(names, key=len)


def too_small(market: Market, service: str, mixes: Menu, planned: Floats, load: Load) -> InfeasiblePlan:
    """What to relax when no allowed mix of machines reaches the planned load: each remedy is tried
    before it is named.
    """
    hour = int(np.argmax(planned))
    need = float(planned[hour])
    remedies: list[str] = [*_alone(market, service, need)] or [*_at_once(market, service, need)]
    remedies = remedies or ["add providers, regions or machine types"]
    best = float(mixes.reach.max()) if len(mixes.reach) else 0.0
    when = f"{load.ts[hour]:%Y-%m-%d %H:%M} UTC"
    return InfeasiblePlan(
        f"{service} needs {need:,.4g} requests/s at {when}; the machines allowed serve at most {best:,.4g}",
        where=f"services.{service}",
        relaxations=remedies,
    )


def refuse_least(market: Market, planned: Mapping[str, Floats], load: Load) -> None:
    """Raises :class:`InfeasiblePlan` where the quotas allow fewer replicas than must always run."""
    for service, rules in market.rules.items():
        if rules.quota and rules.min_replicas > 1:
            mixes = menu(offers_of(market.candidates[service], rules), rules, float(planned[service].max()))
            if not len(mixes.counts):
                raise too_small(market, service, mixes, planned[service], load)


def refuse_narrow(market: Market) -> None:
    """Raises :class:`InfeasiblePlan` where a share of one type asks for more types than a service
    has, or than are ever compared.
    """
    for service, rules in market.rules.items():
        if rules.type_share is None:
            continue
        asked = ceil(1.0 / rules.type_share - 1e-9)
        there = market.usable(service)["kind"].nunique()
        if asked > (most := min(there, MOST_RANKED)):
            able = f"{there} can serve it" if there < MOST_RANKED else f"at most {most} are compared"
            raise InfeasiblePlan(
                f"limits.max_type_share = {rules.type_share:g} asks for {asked} machine types of {service}; {able}",
                where="limits.max_type_share",
                relaxations=[Relaxation.of({"limits.max_type_share": (rules.type_share, ceil(100 / most) / 100)})],
            )


def _alone(market: Market, service: str, need: float) -> Iterator[Relaxation]:
    """Each limit that, changed by itself, lets some mix reach the load, with the least change that
    does.
    """
    rules = market.rules[service]
    if rules.max_replicas is not None and (
        wanted := _smallest(market, service, replace(rules, max_replicas=None), need)
    ):
        yield Relaxation.of({f"services.{service}.autoscaling.max_replicas": (rules.max_replicas, wanted)})
    for name, kinds, count in rules.quota:
        without = replace(rules, quota=tuple(q for q in rules.quota if q[0] != name))
        if wanted := _smallest(market, service, without, need, kinds):
            yield Relaxation.of({f"limits.quota.{name}": (count, wanted)})
    if rules.type_share is not None:
        shares = (round(k / 100, 2) for k in range(1, 101) if k / 100 > rules.type_share)
        enough = (s for s in shares if _smallest(market, service, replace(rules, type_share=s), need))
        if (share := next(enough, None)) is not None:
            yield Relaxation.of({"limits.max_type_share": (rules.type_share, share)})
    if rules.min_replicas > 1:
        fewer = range(int(rules.min_replicas) - 1, 0, -1)
        enough = (k for k in fewer if _smallest(market, service, replace(rules, min_replicas=k), need))
        if (least := next(enough, None)) is not None:
            yield Relaxation.of({f"services.{service}.autoscaling.min_replicas": (rules.min_replicas, least)})
    for lost in range(rules.zones_lost - 1, -1, -1):
        if _smallest(market, service, replace(rules, zones_lost=lost), need):
            yield Relaxation.of({"limits.zones_lost": (rules.zones_lost, lost)})
            break


def _at_once(market: Market, service: str, need: float) -> Iterator[Relaxation]:
    """All limits raised together to what the mix of fewest replicas that reaches the load takes."""
    rules = market.rules[service]
    free = replace(rules, max_replicas=None, quota=(), type_share=None)
    offers = offers_of(market.candidates[service], free)
    mixes = menu(offers, free, need)
    able = mixes.counts[mixes.reach >= need * (1 - 1e-12)]
    if not len(able):
        return
    replicas = able @ np.array([o.replicas for o in offers])
    mix = able[int(np.argmin(replicas))]
    found: dict[str, tuple[float, float]] = {}
    if rules.max_replicas is not None and replicas.min() > rules.max_replicas:
        found[f"services.{service}.autoscaling.max_replicas"] = rules.max_replicas, int(replicas.min())
    for name, kinds, count in rules.quota:
        used = int(mix @ np.array([o.unit if o.kind in kinds else 0 for o in offers]))
        if used > count:
            found[f"limits.quota.{name}"] = count, used
    if rules.type_share is not None and rules.type_share < 1:
        found["limits.max_type_share"] = rules.type_share, 1.0
    if found:
        yield Relaxation.of(found)


def _smallest(market: Market, service: str, rules: Rules, need: float, kinds: tuple[str, ...] = ()) -> int:
    """Fewest replicas (or instances of a type) in a mix that reaches the load; 0 if none does."""
    offers = offers_of(market.candidates[service], rules)
    mixes = menu(offers, rules, need)
    able = mixes.counts[mixes.reach >= need * (1 - 1e-12)]
    if not len(able):
        return 0
    per = [o.replicas if not kinds else o.unit if o.kind in kinds else 0 for o in offers]
    return int((able @ np.array(per)).min())


def impossible(scenario: Scenario, market: Market, planned: Mapping[str, Floats], load: Load) -> InfeasiblePlan:
    """Services that fit alone but not together, or not under all rules at once: what to lift so
    that the problem can be solved.
    """
    problem = problem_of(scenario, market, {s: p[None, :] for s, p in planned.items()}, load.weight_h, held={})
    found = diagnose(problem)
    alone = [_remedy(scenario, *name, amount) for name, amount in found.alone.items() if amount > 0] if found else []
    names = {name[0] for name in (*found.alone, *found.together)} if found else set()
    if not names or names & {"limit"}:
        peak = max(planned.items(), key=lambda item: float(item[1].max() * zone_factor(market.rules[item[0]])))[0]
        return InfeasiblePlan(
            "the services together need more machines than the quotas allow",
            where="limits.quota",
            relaxations=alone or ["raise the quotas together", f"lower the load of {peak}"],
        )
    together = sorted({_remedy(scenario, *name, 0.0) for name in found.together}) if found else []
    return InfeasiblePlan(
        "no mix of machines serves the load under every limit at once",
        where=scenario.name,
        relaxations=alone or [" and ".join(together)],
    )


def _remedy(scenario: Scenario, constraint: str, subject: str, amount: float) -> str:
    """What a reader can write in the scenario so that a restriction gives way by ``amount`` (0:
    unknown).
    """
    by = f" by {np.ceil(amount - 1e-6):,.0f}" if amount > 0 else ""
    more = int(np.ceil(amount - 1e-6))
    if constraint == "limit" and amount > 0 and subject.startswith("quota."):
        now = scenario.limits.quota.get(subject.removeprefix("quota."), 0)
        return Relaxation.of({f"limits.{subject}": (now, now + more)})
    if constraint in ("max_instances", "min_instances") and amount > 0 and subject in scenario.services:
        scaling = scenario.services[subject].autoscaling
        name = "max_replicas" if constraint == "max_instances" else "min_replicas"
        now = getattr(scaling, name) or 0
        wanted = now + more if name == "max_replicas" else max(now - more, 0)
        return Relaxation.of({f"services.{subject}.autoscaling.{name}": (now, wanted)})
    return {
        "limit": f"raise limits.{subject}{by}",
        "max_instances": f"raise services.{subject}.autoscaling.max_replicas{by}",
        "min_instances": f"lower services.{subject}.autoscaling.min_replicas{by}",
        "other_types": f"raise limits.max_type_share, or offer more machine types for {subject}",
        "spot_share": "raise limits.max_spot_share",
        "demand": f"lower the load of {subject}" + (f" by {amount:,.4g} requests/s" if amount > 0 else ""),
    }.get(constraint, f"relax {constraint} of {subject or scenario.name}")
