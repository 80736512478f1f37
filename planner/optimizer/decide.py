"""``unproven``: from what was sized and what is on sale to the cheapest plan, checked against its
own latency model and bill.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats, Ints
from planner.calendar import Months
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, Relaxation, SolverError
from planner.load import Load
from planner.optimizer.answer import bindings as explain
from planner.optimizer.answer import frames as answer
from planner.optimizer.answer.bound import least_bill
from planner.optimizer.answer.proof import prove, sentences
from planner.optimizer.bill.charges import bill
from planner.optimizer.bill.ledger import SHARE
from planner.optimizer.bill.metered import assumptions
from planner.optimizer.bill.schedule import HELD
from planner.optimizer.bill.sustained import Use, saving_usd
from planner.optimizer.commitments.expected import Expected, expected_use
from planner.optimizer.commitments.running import Running, running_of
from planner.optimizer.commitments.sampling import COMPUTE, Sample, bills, by_month, sample
from planner.optimizer.commitments.sign import Signed, sign
from planner.optimizer.commitments.starts import Regime, regimes_of
from planner.optimizer.commitments.together import choose_together
from planner.optimizer.market.as_program import as_billed, fill
from planner.optimizer.market.availability import reached
from planner.optimizer.market.delays import followed, ready_load, told
from planner.optimizer.market.market import Market, read_market
from planner.optimizer.mixes.fleet import Fleet, rival_fleets
from planner.optimizer.mixes.quotas import deal_hours, deal_quotas
from planner.plan import Certificate, Plan, path_quantile
from planner.scenario import OtherCost, Scenario

SOLVER = "HiGHS through PuLP"
MOST_TRIES = 6  # other choices of commitments to keep a budget


@dataclass(frozen=True)
class Decision:
    """What is bought and run: commitments signed, and units of each offer of the menus by service,
    shape (hours, offers): ``chosen`` must be ready, ``expected`` runs on average.

    ``market`` holds the machine types kept (``fleets``), ``wide`` the short list they were chosen
    beside; ``followed`` is the load that machines run for on each planning path.
    """

    market: Market
    signed: Signed
    regimes: list[Regime]
    planned: dict[str, Floats]
    chosen: dict[str, Ints]
    expected: Expected
    followed: Load
    wide: Market
    fleets: dict[str, Fleet]


class Billed(NamedTuple):
    """The bill of a decision: the plan's frames of these names (``cost`` and ``commitments``
    expected), and ``ready``, the commitments as they are used if all that must be ready runs.
    """

    schedule: pd.DataFrame
    coverage: pd.DataFrame
    commitments: pd.DataFrame
    cost: pd.DataFrame
    prices: pd.DataFrame
    ready: pd.DataFrame


@dataclass(frozen=True)
class Unproven:
    """A plan that is decided, billed and checked against the latency models. Still to be found are
    what binds in it, why other machines are left out, how near it is to the cheapest, and what it
    costs on other paths and if all that must be ready ran (NaN and empty until then).
    """

    plan: Plan
    scenario: Scenario
    load: Load
    capacity: Capacity
    catalog: Catalog
    decision: Decision
    billed: Billed
    sampled: Sample

    def proved(self, progress: Callable[[str], None] = lambda _: None) -> Plan:
        """The same plan, with all of that; ``progress`` is told its expected bill before the proof
        begins. Raises :class:`InfeasiblePlan`.
        """
        plan, decision = self.plan, self.decision
        progress(f"proving a plan of {plan.objective_usd:,.0f} USD")
        found = prove(
            self.scenario,
            self.load,
            decision.wide,
            decision.market,
            decision.signed,
            decision.planned,
            decision.regimes,
        )
        charged = {s: answer.candidate_prices(c, plan.schedule, s) for s, c in decision.market.candidates.items()}
        progress("proving how near it is to the cheapest")
        certificate, unseen = self._certificate(found.checks), self._unseen_usd()
        return replace(
            plan,
            bindings=found.bindings,
            excuses=answer.excuses_frame(decision.market, plan.schedule, charged, found.falls),
            certificate=certificate,
            unseen_usd=unseen,
            ready_usd=self._ready_usd(),
            notes=(*plan.notes, *_bias(plan.objective_usd, unseen), *sentences(certificate, decision.fleets)),
        )

    def _certificate(self, checks: Mapping[str, float]) -> Certificate:
        """The proven bound beside the plan's own cost, with the checks of the proof (``checks``), of
        the decided plan, and of the bound itself: by what share it exceeds the plan (0 if not).
        """
        objective = self.plan.objective_usd
        bound = _bound(self.scenario, self.load, self.decision, self.plan.cost, self.sampled.weight)
        over = max(0.0, bound / objective - 1.0) if objective > 0 else 0.0
        every = {**checks, **self.plan.certificate.checks, "bound": over}
        named = {name: float(value) for name, value in every.items()}
        return Certificate("optimal", float(min(objective, bound)), objective, SOLVER, named)

    def _unseen_usd(self) -> tuple[float, ...]:
        """Bills of the paths that were not planned on; none where there are none."""
        paths = self.sampled.valued
        if paths is None:
            return ()
        run_for = followed(paths, self.scenario, self.decision.planned)
        found = _path_bills(self.scenario, self.load, self.capacity, self.decision, self.billed, paths, run_for)
        return tuple(found.sum(axis=1).tolist())

    def _ready_usd(self) -> float:
        """What the horizon would cost if all that must be ready ran."""
        frames = self.billed.schedule, self.billed.coverage, self.billed.ready
        cost = bill(self.scenario, self.load, self.capacity, self.catalog, *frames)[0]
        return float(cost["effective_cost_usd"].sum())


def unproven(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    *,
    valued_on: Load | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Unproven:
    """The plan of least expected bill whose machines are ready for each hour's load quantile.

    What runs follows what arrives (``autoscaling.policy``): on each load path an hour runs the
    cheapest whole machines (:mod:`planner.optimizer.mixes.menu`) of the few types each service
    keeps (:mod:`planner.optimizer.mixes.fleet`). The expected bill over a stratified sample of the
    paths w_p (:mod:`planner.optimizer.commitments.sampling`)

        fees(N) + Σ_p w_p Σ_t cost(mix | N, load_pt) + metered charges

    is what types and commitments N are chosen for, what ``plan.cost`` holds and what the headline
    says; ``paths_usd`` are the bills of the same paths. ``plan.schedule`` holds what must be ready.
    :meth:`Unproven.proved` adds ``unseen_usd``, bills on the paths of ``valued_on``, a check of bias,
    and the certificate, which bounds the expected bill of any plan within the limits
    (:mod:`planner.optimizer.answer.bound`). ``progress`` is told each step.

    Raises :class:`InfeasiblePlan` naming what to relax, :class:`SolverError` when a check of the
    answer fails.
    """
    sampled = sample(load, valued_on)
    decision, billed, kept = within_budget(scenario, load, capacity, catalog, sampled, progress)
    objective = float(billed.cost["effective_cost_usd"].sum())
    months = Months.over(load.ts, scenario.time_zone)
    checks = {
        "latency": answer.verify_latency(scenario, capacity, billed.schedule),
        "bill": _cross_check(load, months, catalog, decision, billed.cost),
    }
    paths = _path_bills(scenario, load, capacity, decision, billed, sampled.load, decision.followed)
    names = months.start.tz_convert(scenario.time_zone).strftime("%Y-%m")
    plan = Plan(
        scenario.name,
        objective,
        billed.schedule,
        billed.coverage,
        billed.commitments,
        billed.cost,
        billed.prices,
        columns.empty("plan.bindings"),
        columns.empty("plan.excuses"),
        Certificate("decided", float("nan"), objective, SOLVER, checks),
        paths_usd=tuple(paths.sum(axis=1).tolist()),
        paths_weight=tuple(sampled.weight.tolist()),
        paths_month_usd={name: tuple(paths[:, m].tolist()) for m, name in enumerate(names)},
        notes=(
            *_notes(scenario, load, decision.market, decision.signed, sampled),
            *kept,
            *answer.pooling_notes(scenario, capacity, billed.schedule),
            *answer.metastable_notes(scenario, capacity, billed.schedule),
            *_discounts(decision.market, billed.cost),
            *assumptions(billed.cost),
        ),
        time_zone=scenario.time_zone,
    )
    return Unproven(plan, scenario, load, capacity, catalog, decision, billed, sampled)


def _bias(objective: float, unseen: tuple[float, ...]) -> list[str]:
    if not unseen or objective <= 0:
        return []
    mean = float(np.mean(unseen))
    return [
        f"On {len(unseen)} other load paths, not planned on, the same plan costs {mean:,.0f} USD on average:"
        f" {mean / objective - 1:+.1%} against the expected bill."
    ]


def _bound(scenario: Scenario, load: Load, decision: Decision, cost: pd.DataFrame, weight: Floats) -> float:
    """Lower bound of the expected bill [USD]: of machines, disks and fees whatever is chosen,
    beside this plan's charges for data and requests; a share of a bill is taken of its bound.
    """
    usd, units = cost["effective_cost_usd"], decision.expected.units
    machines = float(usd[cost["charge"].isin(COMPUTE)].sum()) + _disks(load, decision.signed, units)
    least = min(machines, least_bill(scenario, load, decision.wide, decision.followed, weight, machines))
    rest = usd[~cost["charge"].isin(COMPUTE) & (cost["unit"] != SHARE)]
    total = least + float(rest.sum()) - _disks(load, decision.signed, units)
    bound = total * (1.0 + _shares(scenario.other_costs))
    for name, service in scenario.services.items():
        mine = float(rest[cost["service"] == name].sum()) - _disks(load, decision.signed, {name: units[name]})
        bound += _shares(service.other_costs) * max(0.0, mine + (least if len(units) == 1 else 0.0))
    return bound


def _shares(stated: Sequence[OtherCost]) -> float:
    return sum(c.share_of_bill or 0.0 for c in stated)


def _path_bills(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    decision: Decision,
    billed: Billed,
    paths: Load,
    run_for: Load,
) -> Floats:
    """Bill of each path by month [USD], shape (paths, months), at the prices that the expected bill
    charged.
    """
    months = Months.over(load.ts, scenario.time_zone)
    priced, menus = as_billed(decision.market, decision.signed.menus, billed.cost)
    signed = replace(decision.signed, menus=menus)
    return bills(months, load, paths, run_for, capacity, priced, signed, decision.regimes, billed.cost)


def within_budget(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    sampled: Sample,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Decision, Billed, list[str]]:
    """The cheapest plan and its bill, or, where a month of it exceeds the budget, one whose every
    month keeps it; and what that took.

    A month is judged by its expected effective cost, or by the P90 of its bill over the paths
    (``limits.budget_basis``): what was prepaid counts in the hours it pays for. Over the budget,
    commitments are chosen again with the dearest month's dollars counted twice as much, time and
    again: more is committed for that month. Raises :class:`InfeasiblePlan` with the lowest budget
    so reached.
    """
    budget, months = scenario.limits.budget_usd_per_month, Months.over(load.ts, scenario.time_zone)

    def judged(decision: Decision, billed: Billed) -> Floats:
        if budget is None or scenario.limits.budget_basis == "expected":
            return by_month(months, billed.cost)
        paths = _path_bills(scenario, load, capacity, decision, billed, sampled.load, decision.followed)
        return path_quantile(paths, sampled.weight, 0.9)

    decision = decide(scenario, load, capacity, catalog, sampled, progress=progress)
    progress("adding up the bill")
    billed = charge(scenario, load, capacity, catalog, decision)
    spent = judged(decision, billed)
    if budget is None or spent.max(initial=0.0) <= budget * (1 + 1e-9):
        return decision, billed, []
    cheapest, lowest, count = float(spent.sum()), float(spent.max()), np.ones(len(spent))
    named = f"{lowest:,.0f} USD in {months.start[int(np.argmax(spent))].tz_convert(scenario.time_zone):%Y-%m}"
    for _ in range(MOST_TRIES):
        count[spent >= spent.max() * 0.999] *= 2.0
        decision = decide(scenario, load, capacity, catalog, sampled, count[months.of], progress)
        billed = charge(scenario, load, capacity, catalog, decision)
        spent = judged(decision, billed)
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
            Relaxation.of({"limits.budget_usd_per_month": (budget, float(np.ceil(lowest)))}),
            "relax the objectives, allow spot or longer terms, or plan for a lower load_quantile",
        ],
    )


def check_feasible(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> None:
    """Raises :class:`InfeasiblePlan` where no plan keeps the limits and the budget; far less work
    than a plan with its proof.
    """
    within_budget(scenario, load, capacity, catalog, sample(load, None))


def decide(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    sampled: Sample,
    count: Floats | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Decision:
    """Machine types and commitments for the expected cost of the sampled paths, then the cheapest
    whole machines that must be ready in each hour.

    ``count``: what a dollar of each hour counts, default 1. Raises :class:`InfeasiblePlan` naming
    what to relax.
    """
    reached(scenario)
    market = read_market(scenario, load, capacity, catalog)
    explain.refuse_narrow(market)
    planned = {s: ready_load(load, scenario, s) for s in market.candidates}
    run_for = followed(sampled.load, scenario, planned)
    wide = deal_quotas(market, planned, load)
    explain.refuse_least(wide, planned, load)
    tops = {s: max(float(planned[s].max()), float(load.peak(s).max())) for s in planned}
    progress("choosing machine types")
    fleets = rival_fleets(scenario, wide, planned, run_for, sampled.weight)
    counted = load.weight_h if count is None else load.weight_h * count
    progress("choosing commitments")
    fleets, start = choose_together(scenario, run_for, wide, fleets, planned, tops, sampled.weight, counted)
    market = wide.narrowed({s: f.candidates for s, f in fleets.items()})
    market, signed = sign(scenario, run_for, market, tops, sampled.weight, counted, start)
    wide = replace(wide, offered=market.offered).narrowed(wide.candidates)
    regimes = regimes_of(market, load)
    chosen = _choose(load, market, signed, regimes, planned)
    expected = expected_use(market, signed, regimes, run_for, sampled.weight)
    return Decision(market, signed, regimes, planned, chosen, expected, run_for, wide, fleets)


def charge(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, decision: Decision) -> Billed:
    """The expected bill of a decision, beside what must be ready."""
    market, signed, expected = decision.market, decision.signed, decision.expected
    schedule = answer.schedule_frame(load, market, signed.menus, decision.chosen, decision.planned)
    whole = {s: n.astype(np.float64) for s, n in decision.chosen.items()}
    covered = fill(market, answer.holdings(market, signed, load), running_of(signed.menus, whole))
    coverage, ready = answer.coverage_frames(load, market, signed, covered)
    mean = {s: decision.followed.quantile(s, 0.5) for s in signed.menus}
    runs = answer.usage_frame(load, market, signed.menus, expected.units, expected.borne, mean)
    pays, commitments = answer.coverage_frames(load, market, signed, expected.covered)
    cost, prices = bill(scenario, load, capacity, catalog, runs, pays, commitments)
    return Billed(schedule, coverage, commitments, cost, prices, ready)


def _choose(
    load: Load, market: Market, signed: Signed, regimes: list[Regime], planned: Mapping[str, Floats]
) -> dict[str, Ints]:
    """The cheapest units of each offer in each hour, by service."""
    for s, mixes in signed.menus.items():
        if not len(mixes.reach) or (planned[s] * (1 - 1e-12) > mixes.reach.max()).any():
            raise explain.too_small(market, s, mixes, planned[s], load)
    rows = {s: np.zeros(load.hours, dtype=np.intp) for s in planned}
    for regime in regimes:
        hours, held = regime.hours, regime.of(signed.held)
        wanted = {s: p[hours] for s, p in planned.items()}
        running = Running(market, signed.menus, held)
        here = running.rows(wanted)
        if market.by_hour:
            here = deal_hours(market, signed.menus, running.prices(), running.bill, wanted, here)
        for s, found in here.items():
            rows[s][hours] = found
    return {s: signed.menus[s].counts[r] for s, r in rows.items()}


def _fees(load: Load, market: Market, signed: Signed) -> float:
    return sum(
        float(load.weight_h @ a) * market.terms[i].usd_per_h for i, a in answer.holdings(market, signed, load).items()
    )


def _disks(load: Load, signed: Signed, units: Mapping[str, Floats]) -> float:
    return sum(
        float(load.weight_h @ (counts @ np.array([o.disk_usd_per_h for o in signed.menus[s].offers])))
        for s, counts in units.items()
    )


def _cross_check(load: Load, months: Months, catalog: Catalog, decision: Decision, cost: pd.DataFrame) -> float:
    """Relative difference of the bill's compute and fees from the optimizer's own sum; raises above
    1e-6.
    """
    market, signed, expected = decision.market, decision.signed, decision.expected
    known = {(c.service, c.kind): c for found in market.candidates.values() for c in found}
    left = running_of(signed.menus, expected.units)
    for (_, service, kind), covered in expected.covered.items():
        if covered.any():
            left[service, kind] = left[service, kind] - covered
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
    for s, counts in expected.units.items():
        spot = np.array([o.usd_per_h - o.disk_usd_per_h if o.spot else 0.0 for o in signed.menus[s].offers])
        own += float(load.weight_h @ (counts @ spot))
    billed = float(cost.loc[cost["charge"].isin(COMPUTE), "effective_cost_usd"].sum())
    difference = abs(own - billed) / max(1.0, abs(billed))
    if difference > 1e-6:
        raise SolverError("the optimizer and the bill disagree about the cost of compute", got=(own, billed))
    return difference


def _discounts(market: Market, cost: pd.DataFrame) -> list[str]:
    """What the sustained-use discount took off, so that a reduction
    nobody asked for can be seen.
    """
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
    notes = [f"Machines and commitments were chosen for the expected bill: {sampled.told}."]
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
            f"No commitment on offer fits the limits; the expected bill is the mean of {sampled.load.paths} load paths."
        )
    elif not signed.held:
        notes.append("No commitment pays for itself under the uncertainty of the load.")
    delays = (told(name, scenario) for name in scenario.services)
    return (*notes, *reached(scenario), *filter(None, delays))
