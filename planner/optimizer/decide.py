"""``optimize``: from what was sized and what is on sale to the cheapest plan, checked against its
own latency model and bill.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.calendar import Months
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, SolverError
from planner.load import Load, ServiceLoad
from planner.optimizer.answer import bindings as explain
from planner.optimizer.answer import frames as answer
from planner.optimizer.answer.proof import prove, sentences
from planner.optimizer.bill.charges import bill
from planner.optimizer.bill.metered import assumptions
from planner.optimizer.bill.schedule import HELD
from planner.optimizer.bill.sustained import Use, saving_usd
from planner.optimizer.commitments.sampling import COMPUTE, Sample, bills, by_month, sample
from planner.optimizer.commitments.sign import Signed, covers_of, sign
from planner.optimizer.commitments.starts import Regime, regimes_of
from planner.optimizer.market.as_program import as_billed, fill
from planner.optimizer.market.availability import reached
from planner.optimizer.market.delays import planned_load, planned_paths, told
from planner.optimizer.market.market import Market, read_market
from planner.optimizer.mixes.fleet import Fleet, choose_fleets
from planner.optimizer.mixes.quotas import deal_hours, deal_quotas
from planner.plan import Certificate, Plan
from planner.scenario import Scenario

MOST_TRIES = 6  # other choices of commitments to keep a budget


@dataclass(frozen=True)
class Decision:
    """What is bought and run: commitments signed, and units of each offer of the menus by service,
    shape (hours, offers).

    ``market`` holds the machine types kept (``fleets``), ``wide`` the short list they were chosen
    beside.
    """

    market: Market
    signed: Signed
    regimes: list[Regime]
    planned: dict[str, Floats]
    chosen: dict[str, Ints]
    wide: Market
    fleets: dict[str, Fleet]


class Billed(NamedTuple):
    """The bill of a decision: the plan's frames of these names."""

    schedule: pd.DataFrame
    coverage: pd.DataFrame
    commitments: pd.DataFrame
    cost: pd.DataFrame
    prices: pd.DataFrame


def optimize(
    scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, *, valued_on: Load | None = None
) -> Plan:
    """The cheapest plan that serves each hour's load quantile within every objective.

    Commitments are chosen for the expected cost over a stratified sample of the load's paths
    (:mod:`planner.optimizer.commitments.sampling`); then each hour runs the cheapest whole machines
    (:mod:`planner.optimizer.mixes.menu`) of the few types each service keeps
    (:mod:`planner.optimizer.mixes.fleet`). The certificate holds a lower bound of what any plan with these
    commitments costs for the planned load (:mod:`planner.optimizer.answer.proof`). ``paths_usd``: the bill
    if capacity follows each path of ``valued_on``, or without it each path of ``load`` not planned
    on.

    Raises :class:`InfeasiblePlan` naming what to relax, :class:`SolverError` when a check of the
    answer fails.
    """
    sampled = sample(load, valued_on)
    decision, billed, kept = within_budget(scenario, load, capacity, catalog, sampled)
    market, signed, planned, chosen = decision.market, decision.signed, decision.planned, decision.chosen
    schedule, coverage, commitments, cost, prices = billed
    proof = prove(scenario, load, decision.wide, market, signed, planned, decision.fleets, decision.regimes)
    checks, bound = proof.checks, proof.bound_usd
    checks["latency"] = answer.verify_latency(scenario, capacity, schedule)
    objective = float(cost["effective_cost_usd"].sum())
    months = Months.over(load.ts, scenario.time_zone)
    checks["bill"] = _cross_check(load, months, catalog, market, signed, chosen, cost)
    other = float(cost.loc[~cost["charge"].isin(COMPUTE), "effective_cost_usd"].sum()) - _disks(load, signed, chosen)
    checks["bound"] = max(0.0, (bound + other) / objective - 1.0) if objective > 0 else 0.0
    machines = planned_paths(sampled.valued, scenario)
    paths = bills(
        months, load, sampled.valued, machines, capacity, *_as_billed(market, signed, cost), decision.regimes, cost
    )
    names = months.start.tz_convert(scenario.time_zone).strftime("%Y-%m")
    charged = {s: answer.candidate_prices(found, schedule, s) for s, found in market.candidates.items()}
    certificate = Certificate(
        "optimal",
        float(min(objective, bound + other)),
        objective,
        "HiGHS through PuLP",
        {name: float(value) for name, value in checks.items()},
        float(min(objective, proof.free_usd + other)),
    )
    return Plan(
        scenario.name,
        objective,
        schedule,
        coverage,
        commitments,
        cost,
        prices,
        proof.bindings,
        answer.excuses_frame(market, schedule, charged, proof.falls),
        certificate,
        paths_usd=tuple(paths.sum(axis=1).tolist()),
        paths_month_usd={name: tuple(paths[:, m].tolist()) for m, name in enumerate(names)},
        notes=(
            *_notes(scenario, load, market, signed, sampled),
            *kept,
            *answer.pooling_notes(scenario, capacity, schedule),
            *answer.metastable_notes(scenario, capacity, schedule),
            *_discounts(market, cost),
            *assumptions(cost),
            *sentences(certificate, schedule, decision.fleets),
        ),
        time_zone=scenario.time_zone,
    )


def within_budget(
    scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, sampled: Sample
) -> tuple[Decision, Billed, list[str]]:
    """The cheapest plan and its bill, or, where a month of it exceeds the budget, one whose every
    month keeps it; and what that took.

    A month is judged by its effective cost: what was prepaid counts in the hours it pays for. Over
    the budget, commitments are chosen again for the planned load with the dearest month's dollars
    counted twice as much, time and again: more is committed for that month. Raises
    :class:`InfeasiblePlan` with the lowest budget so reached.
    """
    budget, months = scenario.limits.budget_usd_per_month, Months.over(load.ts, scenario.time_zone)
    decision = decide(scenario, load, capacity, catalog, sampled)
    billed = charge(scenario, load, capacity, catalog, decision)
    spent = by_month(months, billed.cost)
    if budget is None or spent.max(initial=0.0) <= budget * (1 + 1e-9):
        return decision, billed, []
    cheapest, lowest, count = float(spent.sum()), float(spent.max()), np.ones(len(spent))
    named = f"{lowest:,.0f} USD in {months.start[int(np.argmax(spent))].tz_convert(scenario.time_zone):%Y-%m}"
    for _ in range(MOST_TRIES):
        count[spent >= spent.max() * 0.999] *= 2.0
        decision = decide(scenario, load, capacity, catalog, sampled, count[months.of])
        billed = charge(scenario, load, capacity, catalog, decision)
        spent = by_month(months, billed.cost)
        if spent.max() <= budget * (1 + 1e-9):
            return (
                decision,
                billed,
                [
                    f"Commitments are chosen to keep every month within {budget:,.0f} USD (amortized); the cheapest"
                    f" ones would cost {spent.sum() - cheapest:,.0f} USD less over the horizon, but {named}."
                ],
            )
        lowest = min(lowest, float(spent.max()))
    raise InfeasiblePlan(
        f"the cheapest plan costs {named}, above the budget of {budget:,.0f} USD a month; no other commitments keep it",
        where="limits.budget_usd_per_month",
        relaxations=[
            f"raise limits.budget_usd_per_month to {np.ceil(lowest):,.0f}",
            "relax the objectives, allow spot or longer terms, or plan for a lower load_quantile",
        ],
    )


def decide(
    scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, sampled: Sample, count: Floats | None = None
) -> Decision:
    """Commitments for the expected cost of the sampled paths, then the cheapest whole machines for
    each planned hour.

    With ``count`` (what a dollar of each hour counts) commitments are chosen for the planned load
    instead of the paths. Raises :class:`InfeasiblePlan` naming what to relax.
    """
    reached(scenario)
    market = read_market(scenario, load, capacity, catalog)
    planned = {
        s: planned_load(load.quantile(s, scenario.services[s].objective.load_quantile), scenario.services[s])
        for s in market.candidates
    }
    wide = deal_quotas(market, planned, load)
    market, fleets = choose_fleets(scenario, wide, planned, load)
    tops = {s: max(float(planned[s].max()), float(load.peak(s).max())) for s in planned}
    if count is None:
        market, signed = sign(scenario, planned_paths(sampled.load, scenario), market, tops, sampled.weight)
    else:
        alone = {s: ServiceLoad(p[None, :].astype(np.float32)) for s, p in planned.items()}
        market, signed = sign(scenario, Load(load.ts, load.weight_h, alone), market, tops, emphasis=count)
    wide = replace(wide, offered=market.offered).narrowed(wide.candidates)
    regimes = regimes_of(market, load)
    chosen = _choose(load, market, signed, regimes, planned)
    return Decision(market, signed, regimes, planned, chosen, wide, fleets)


def charge(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, decision: Decision) -> Billed:
    """The bill of a decision."""
    market, signed = decision.market, decision.signed
    schedule = answer.schedule_frame(load, market, signed.menus, decision.chosen, decision.planned)
    running = answer.running_of(signed.menus, decision.chosen)
    coverage, commitments = answer.coverage_frames(load, market, signed, running)
    return Billed(
        schedule, coverage, commitments, *bill(scenario, load, capacity, catalog, schedule, coverage, commitments)
    )


def _choose(
    load: Load, market: Market, signed: Signed, regimes: list[Regime], planned: Mapping[str, Floats]
) -> dict[str, Ints]:
    """The cheapest units of each offer in each hour, by service."""
    rows = {s: np.zeros(load.hours, dtype=np.intp) for s in planned}
    for regime in regimes:
        hours, here, costs = regime.hours, {}, {}
        for s, mixes in signed.menus.items():
            covers = covers_of(market, regime.of(signed.held), signed.shares, s)
            steps, costs[s] = mixes.steps(covers), mixes.price(covers)
            if not len(steps.reach) or steps.short(planned[s]).any():
                raise explain.too_small(market, s, mixes, planned[s], load)
            here[s] = steps.mix[steps.at(planned[s][hours])]
        if market.by_hour:
            here = deal_hours(market, signed.menus, costs, {s: p[hours] for s, p in planned.items()}, here)
        for s, found in here.items():
            rows[s][hours] = found
    return {s: signed.menus[s].counts[r] for s, r in rows.items()}


def _as_billed(market: Market, signed: Signed, cost: pd.DataFrame) -> tuple[Market, Signed]:
    """Prices after the sustained-use discount that the bill found in place of the expected one, to
    value other paths with.
    """
    priced, menus = as_billed(market, signed.menus, cost)
    return priced, replace(signed, menus=menus)


def _fees(load: Load, market: Market, signed: Signed) -> float:
    return sum(
        float(load.weight_h @ a) * market.terms[i].usd_per_h for i, a in answer.holdings(market, signed, load).items()
    )


def _disks(load: Load, signed: Signed, chosen: Mapping[str, Ints]) -> float:
    return sum(
        float(load.weight_h @ (counts @ np.array([o.disk_usd_per_h for o in signed.menus[s].offers])))
        for s, counts in chosen.items()
    )


def _cross_check(
    load: Load,
    months: Months,
    catalog: Catalog,
    market: Market,
    signed: Signed,
    chosen: Mapping[str, Ints],
    cost: pd.DataFrame,
) -> float:
    """Relative difference of the bill's compute and fees from the optimizer's own sum; raises above
    1e-6.
    """
    running = answer.running_of(signed.menus, chosen)
    known = {(c.service, c.kind): c for found in market.candidates.values() for c in found}
    left = {key: n.copy() for key, n in running.items()}
    for (_, service, kind), covered in fill(market, answer.holdings(market, signed, load), running).items():
        left[service, kind] -= covered
    own = _fees(load, market, signed)
    own += sum(float(load.weight_h @ n) * known[key].on_demand / known[key].sustained for key, n in left.items())
    use = [
        Use(
            c.provider,
            c.region,
            c.family,
            c.instance_type,
            c.on_demand / c.sustained / c.list_on_demand,
            left[c.service, c.kind],
        )
        for c in (known[key] for key in left)
    ]
    own -= saving_usd(use, catalog, load.weight_h, months)
    for s, counts in chosen.items():
        spot = np.array([o.usd_per_h - o.disk_usd_per_h if o.spot else 0.0 for o in signed.menus[s].offers])
        own += float(load.weight_h @ (counts @ spot))
    billed = float(cost.loc[cost["charge"].isin(COMPUTE), "effective_cost_usd"].sum())
    difference = abs(own - billed) / max(1.0, abs(billed))
    if difference > 1e-6:
        raise SolverError("the optimizer and the bill disagree about the cost of compute", got=(own, billed))
    return difference


def _discounts(market: Market, cost: pd.DataFrame) -> list[str]:
    """What the sustained-use discount took off, so that a reduction nobody asked for can be seen."""
    rows = cost[(cost["charge"] == "compute") & (cost["purchase_option"] == "on_demand")]
    known = {
        (c.service, c.region, c.instance_type): c
        for found in market.candidates.values()
        for c in found
        if c.sustained < 1
    }
    off: dict[str, float] = {}
    for key, part in rows.groupby(["service", "region", "resource"], observed=True):
        c = known.get((str(key[0]), str(key[1]), str(key[2])))
        if c is not None:
            usd = float(part["quantity"].sum()) * c.on_demand / c.sustained - float(part["effective_cost_usd"].sum())
            off[f"{c.family} in {c.region}"] = off.get(f"{c.family} in {c.region}", 0.0) + usd
    told = "Google's sustained-use discount takes {:,.0f} USD off {}; it needs no commitment."
    return [told.format(usd, name) for name, usd in off.items() if usd >= 0.5]


def _notes(scenario: Scenario, load: Load, market: Market, signed: Signed, sampled: Sample) -> tuple[str, ...]:
    notes = [f"Commitments were chosen for the expected cost: {sampled.told}."]
    for t in market.terms:
        name = f"{t.held / t.size:g} of {t.commitment.removesuffix(HELD)}, already held,"
        if t.held and not t.units:
            notes.append(f"{name} fit no machine on the short list: they are paid and not used.")
        elif t.held and not t.in_force(load.ts).all():
            notes.append(
                f"{name} end inside the horizon ({t.end:%Y-%m-%d %H:%M} UTC): they are used and paid until then."
            )
    last, new = pd.Timestamp(scenario.end_utc), [market.terms[i] for i in signed.held]
    longer = list(dict.fromkeys(t.commitment for t in new if t.end > last + pd.Timedelta(days=1)))
    if longer:
        notes.append(
            f"{', '.join(longer)}: the term outlasts the horizon; amortized cost holds the horizon's share only, "
            "and the rest must be used or paid for nothing."
        )
    for growth, usd in signed.regret_usd.items():
        turn = f"{abs(growth - 1):.0%} {'below' if growth < 1 else 'above'} forecast"
        notes.append(
            f"With load {turn}, these commitments cost {max(0.0, usd):,.0f} USD more than the best ones for that load."
        )
    if not any(not t.held for t in market.terms):
        notes[0] = (
            f"No commitment on offer fits the limits; the cost range values the plan on {sampled.valued.paths} load"
            " paths."
        )
    elif not signed.held:
        notes.append("No commitment pays for itself under the uncertainty of the load.")
    delays = (told(name, service) for name, service in scenario.services.items())
    return (*notes, *reached(scenario), *filter(None, delays))
