"""Today → recommended: costs, changes, latency, zones, what it takes and when it pays back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner import columns
from planner.actuals import by_charge, days, read_bill
from planner.arrays import Floats, Ints
from planner.capacity import Capacity, size
from planner.catalog import Catalog
from planner.errors import CatalogError, PlannerError
from planner.load import Load
from planner.optimizer.bill.charges import bill
from planner.plan import Plan
from planner.scenario import Existing, Scenario
from planner.simulator import Replay, simulate
from planner.today import fleet, held
from planner.zones import Zones

WEEKS = 2.0  # old and new machines beside each other, where nobody states it
_POOL = ["service", "provider", "region", "instance_type", "deployment"]
# charges of the planner as they stand on a provider's bill
_ON_THE_BILL = {
    "commitment_unused": "compute",
    "commitment_fee": "compute",
    "commitment_purchase": "compute",
    "model_artifacts": "object_storage",
}


class Change(NamedTuple):
    """What changes for a service: ``what`` of it, ``today`` and ``recommended`` in words."""

    service: str
    what: str
    today: str
    recommended: str


class Latency(NamedTuple):
    """An objective under both: the usual and the busy hours [s], share of requests within; NaN
    where it is not known.
    """

    service: str
    objective: str
    limit_s: float
    today_s: float
    today_busy_s: float
    today_within: float
    plan_s: float
    plan_busy_s: float
    plan_within: float


class Move(NamedTuple):
    """Something that the change takes, once [USD]; ``basis`` stated, modeled or assumed."""

    what: str
    usd: float
    basis: str


class Reproduced(NamedTuple):
    """A charge of the last bill beside what the model says for today [USD a month]."""

    charge: str
    billed_usd: float
    modeled_usd: float


@dataclass(frozen=True)
class Today:
    """Today beside the plan over the same horizon. Costs [USD a month] by name of the service, ""
    for what no service answers for.

    ``zones``: by service, share of hours in which today's machines and the plan's bear the load
    after the loss of one zone (NaN unknown). ``cost``: today's charges as ``plan.cost``.
    """

    today_usd_per_month: float
    plan_usd_per_month: float
    changes: tuple[Change, ...]
    latency: tuple[Latency, ...]
    zones: dict[str, tuple[float, float]]
    moves: tuple[Move, ...]
    bill: tuple[Reproduced, ...]
    notes: tuple[str, ...]
    cost: pd.DataFrame = field(repr=False)

    @property
    def saving_usd_per_month(self) -> float:
        """What the plan costs less a month than today; negative where it costs more."""
        return self.today_usd_per_month - self.plan_usd_per_month

    @property
    def once_usd(self) -> float:
        """All that the change takes, once; NaN where a part is not known."""
        return float(sum(m.usd for m in self.moves))

    @property
    def payback_months(self) -> float:
        """Months until the saving has paid for the change; infinite where there is none.

        Once paid over saved a month, without interest; NaN where a part of
        the change is not known.
        """
        if self.saving_usd_per_month <= 0:
            return math.inf
        return self.once_usd / self.saving_usd_per_month

    @property
    def reproduced_share(self) -> float:
        """Σ |modeled − billed| over the charges, as a share of the bill; NaN without one.

        Charges that no scenario states (``other``, taxes, credits) are left out of both.
        """
        known = [r for r in self.bill if r.charge not in ("other", "tax", "credit")]
        billed = sum(r.billed_usd for r in known)
        off = sum(abs(r.modeled_usd - r.billed_usd) for r in known)
        return off / billed if billed > 0 else math.nan

    def plain(self) -> dict[str, object]:
        """All but the single charges in plain values for JSON; unknown
        and infinite are ``None``.
        """
        rows = {n: [_plain(r._asdict()) for r in getattr(self, n)] for n in ("changes", "latency", "moves", "bill")}
        names = (
            "today_usd_per_month",
            "plan_usd_per_month",
            "saving_usd_per_month",
            "once_usd",
            "payback_months",
            "reproduced_share",
        )
        zones = [_plain({"service": s, "today_share": a, "plan_share": b}) for s, (a, b) in self.zones.items()]
        return {
            **_plain({n: getattr(self, n) for n in names}),
            **rows,
            "zones": zones,
            "notes": list(self.notes),
        }

    @property
    def arm64(self) -> tuple[str, ...]:
        """Services that the plan moves to machines of another architecture."""
        return tuple(c.service for c in self.changes if c.what == "architecture")


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def today(
    scenario: Scenario,
    catalog: Catalog,
    load: Load,
    plan: Plan,
    replay: Replay,
    capacity: Capacity,
    unseen: Load | None = None,
    existing: tuple[Existing, ...] | None = None,
) -> Today:
    """Today's fleet of ``scenario.today`` beside ``plan``, on the plan's load and the unseen paths
    that ``replay`` was made on. ``existing``: all commitments held, those of a place that is left
    included.

    Raises :class:`PlannerError` for a bill that cannot be read.
    """
    known = fleet.catalog_of(scenario, catalog)
    commitments = scenario.existing if existing is None else existing
    there = _as_today(scenario)
    sized, notes = _sized(there, known, load)
    labels = {str(s): str(d) for s, d in zip(sized.frame["service"], sized.frame["deployment"], strict=True) if d}
    running = fleet.schedule(scenario, load, labels)
    coverage, signed = held.frames(there, commitments, load, known, running)
    cost, _ = bill(there, load, sized, known, running, coverage, signed)
    seen, told = _replayed(there, running, plan, sized, load if unseen is None else unseen)
    scale = 1.0 / plan.months
    left = held.stranded(scenario, commitments, held.catalog_of(scenario, commitments, known))
    return Today(
        float(cost["effective_cost_usd"].sum()) * scale,
        plan.total_usd * scale,
        tuple(_changes(scenario, running, plan, known, catalog, load)),
        tuple(_latency(replay, seen)),
        _zones(scenario, running, plan, sized, capacity, load),
        tuple(_moves(scenario, running, plan, cost, known, left, load)),
        _reproduced(scenario, cost, plan.months),
        (*notes, *told),
        cost,
    )


def _as_today(scenario: Scenario) -> Scenario:
    """The scenario of today's places and machines: same services, no choice. Quotas do not bind,
    since the machines run already.
    """
    where = fleet.places(scenario)
    types = {m.instance_type for s in (scenario.today.services if scenario.today else {}).values() for m in s.machines}
    limits = scenario.limits.model_copy(
        update={"instance_types": tuple(sorted(types)), "quota": {}, "previous_generation": True}
    )
    return scenario.model_copy(
        update={
            "providers": tuple(dict.fromkeys(p.provider for p in where)),
            "regions": tuple(dict.fromkeys(p.region for p in where)),
            "limits": limits,
        }
    )


def _sized(there: Scenario, catalog: Catalog, load: Load) -> tuple[Capacity, list[str]]:
    """Today's machines sized for the services; a type that cannot meet an objective says so."""
    sized = size(there, catalog, load)
    running = {
        (n, m.instance_type) for n, s in (there.today.services if there.today else {}).items() for m in s.machines
    }
    notes = []
    for r in sized.frame[sized.frame["usable_rps"] <= 0].to_dict("records"):
        if (r["service"], r["instance_type"]) in running:
            gap = f" ({r['gap']})" if r["gap"] else ""
            notes.append(f"{r['service']}: {r['instance_type']}, which runs today, {r['excuse']}{gap}")
    return sized, notes


def _replayed(
    there: Scenario, running: pd.DataFrame, plan: Plan, sized: Capacity, unseen: Load
) -> tuple[Replay | None, list[str]]:
    """Today's machines on the paths of the plan's replay; none, with the reason, where their
    latency is not known.
    """
    try:
        return simulate(
            replace(plan, schedule=running, coverage=columns.empty("plan.coverage")),
            there,
            unseen,
            sized,
        ), []
    except (PlannerError, KeyError) as error:
        return None, [f"today's latency is not known: {error}"]


def _words(counts: "pd.Series[float]") -> str:
    """``6 × m6i.2xlarge`` or ``2 to 8 × m6i.xlarge``."""
    least, most = counts.min(), counts.max()
    return f"{most:.0f}" if least == most else f"{least:.0f} to {most:.0f}"


def _kinds(schedule: pd.DataFrame, service: str, hours: int) -> dict[str, str]:
    """Machines of a service by type: how many, from the least to the most."""
    mine, found = schedule[schedule["service"] == service], {}
    for name, part in mine.groupby("instance_type", observed=True):
        by_hour = part.groupby("ts")["instances"].sum()
        found[str(name)] = _words(by_hour if len(by_hour) == hours else pd.concat([by_hour, pd.Series([0.0])]))
    return found


def _changes(
    scenario: Scenario,
    running: pd.DataFrame,
    plan: Plan,
    known: Catalog,
    catalog: Catalog,
    load: Load,
) -> Iterator[Change]:
    for service in scenario.today.services if scenario.today else {}:
        old, new = (_kinds(s, service, load.hours) for s in (running, plan.schedule))
        if old != new:
            yield Change(
                service,
                "machines",
                *(", ".join(f"{n} × {t}" for t, n in k.items()) or "none" for k in (old, new)),
            )
        pairs = [
            (what, *(_joined(s, service, columns_) for s in (running, plan.schedule)))
            for what, columns_ in (
                ("place", ["provider", "region"]),
                ("launched as", ["purchase_option"]),
            )
        ]
        archs = [_archs(c, k) for c, k in ((known, old), (catalog, new))]
        yield from (Change(service, what, a, b) for what, a, b in pairs if a != b)
        if not set(archs[1]) <= set(archs[0]):
            yield Change(service, "architecture", ", ".join(archs[0]), ", ".join(archs[1]))


def _joined(schedule: pd.DataFrame, service: str, names: list[str]) -> str:
    mine = schedule.loc[schedule["service"] == service, names].drop_duplicates()
    return ", ".join(sorted({" ".join(map(str, row)) for row in mine.itertuples(index=False)})) or "none"


def _archs(catalog: Catalog, kinds: dict[str, str]) -> list[str]:
    m = catalog.instances
    return sorted({str(a) for a in m.loc[m["instance_type"].isin(list(kinds)), "arch"]})


def _latency(replay: Replay, seen: Replay | None) -> Iterator[Latency]:
    names = ["typical_latency_s", "high_latency_s", "within_share"]
    unknown = [math.nan] * 3
    before = (
        {}
        if seen is None
        else {(r["service"], r["objective"]): [float(r[n]) for n in names] for r in seen.objectives.to_dict("records")}
    )
    for r in replay.objectives.to_dict("records"):
        key = (r["service"], r["objective"])
        own = [float(r[n]) for n in names]
        yield Latency(str(key[0]), str(key[1]), float(r["limit_s"]), *before.get(key, unknown), *own)


def _zones(
    scenario: Scenario,
    running: pd.DataFrame,
    plan: Plan,
    sized: Capacity,
    capacity: Capacity,
    load: Load,
) -> dict[str, tuple[float, float]]:
    out = {}
    for name, service in (scenario.today.services if scenario.today else {}).items():
        old = _survived(running, name, sized, load, service.zones) if service.zones else math.nan
        out[name] = (old, _survived(plan.schedule, name, capacity, load, scenario.limits.zones))
    return out


def _survived(schedule: pd.DataFrame, service: str, capacity: Capacity, load: Load, zones: int) -> float:
    """Share of hours whose mean load is borne by what stays after the loss of one zone.

    Machines are dealt evenly over ``zones``; 0 with a single zone, NaN where no latency model of
    a machine is known. The mean of the paths hides their spread: on single paths less may stay.
    """
    if zones < 2:
        return 0.0
    mine = schedule[schedule["service"] == service]
    bears = np.zeros(load.hours)
    for words, part in mine.groupby(_POOL, observed=True):
        counts: Ints = np.zeros(load.hours, dtype=np.int64)
        np.add.at(
            counts,
            load.ts.get_indexer(pd.DatetimeIndex(part["ts"])),
            part["replicas"].to_numpy(np.int64),
        )
        try:
            key = str(words[0]), str(words[1]), str(words[2]), str(words[3]), str(words[4])
            bears += capacity.bears_rps(key, Zones(zones, 1).staying(counts))
        except KeyError:
            return math.nan
    rate: Floats = load.services[service].arrival_rate_rps.mean(axis=0, dtype=np.float64)
    return float(((bears >= rate * (1 - 1e-9)) * load.weight_h).sum() / load.weight_h.sum())


def _moves(
    scenario: Scenario,
    running: pd.DataFrame,
    plan: Plan,
    cost: pd.DataFrame,
    known: Catalog,
    left: tuple[held.Stranded, ...],
    load: Load,
) -> Iterator[Move]:
    """What the change takes, once: commitments that strand, old and new machines beside each
    other for some weeks, data out of a provider that is left.

    Running both costs the cheaper of the two fleets for those weeks (two where nobody states
    them), and nothing where machines and place stay.
    """
    for s in left:
        yield Move(f"{s.commitment}: paid until {s.end:%Y-%m-%d} and used by nothing", s.usd, "modeled")
    stated = scenario.today.double_running_weeks if scenario.today else None
    weeks, hours = WEEKS if stated is None else stated, float(load.weight_h.sum())
    for service in scenario.today.services if scenario.today else {}:
        old, new = (_joined(s, service, ["provider", "region", "instance_type"]) for s in (running, plan.schedule))
        if old != new:
            each = [_compute(c, service) / hours * 168 for c in (cost, plan.cost)]
            basis = "assumed" if stated is None else "stated"
            yield Move(
                f"{service}: old and new machines beside each other for {weeks:g} weeks",
                min(each) * weeks,
                basis,
            )
        yield from _data_moved(scenario, service, running, plan, known)


def _compute(cost: pd.DataFrame, service: str) -> float:
    """Amortized cost of a service's machines over the horizon [USD],
    unused commitments among it.
    """
    mine = (cost["service"] == service) & cost["charge"].isin(["compute", "commitment_unused"])
    return float(cost.loc[mine, "effective_cost_usd"].sum())


def _data_moved(scenario: Scenario, service: str, running: pd.DataFrame, plan: Plan, known: Catalog) -> Iterator[Move]:
    """Egress of what the service stores where it leaves a provider.

    Object and block storage in GB, tier by tier, as if nothing else left in that month; unknown
    (NaN) where the catalog has no egress price there.
    """
    old, new = (set(_column(s, service, "provider")) for s in (running, plan.schedule))
    storage = scenario.services[service].storage
    gib = storage.object_gib + (storage.block_gib or 0.0)
    if not old - new or gib <= 0:
        return
    region = _column(running, service, "region")[0]
    for provider in sorted(old - new):
        try:
            tiers = known.tiers("egress", region, provider=provider)
            gb = gib * 2**30 / 1e9
            usd = sum(max(min(gb, t.upper) - t.lower, 0.0) * t.price_usd for t in tiers)
            yield Move(f"{service}: {gib:,.0f} GiB of data out of {provider}", float(usd), "modeled")
        except CatalogError as error:
            yield Move(
                f"{service}: {gib:,.0f} GiB of data out of {provider} ({error.what})",
                math.nan,
                "unknown",
            )


def _column(schedule: pd.DataFrame, service: str, name: str) -> list[str]:
    return [str(v) for v in schedule.loc[schedule["service"] == service, name].unique()]


def last_bill(scenario: Scenario) -> pd.DataFrame:
    """Rows of ``today.bill.file`` (frame ``actuals``), its money in USD by the scenario's exchange
    rate. Raises :class:`PlannerError` with the file, row and field that cannot be read.
    """
    last = scenario.today.bill if scenario.today else None
    file = Path(str(last.file if last else None))
    return read_bill((scenario.folder or Path()) / file, usd_per=scenario.usd_per)


def _reproduced(scenario: Scenario, cost: pd.DataFrame, months: float) -> tuple[Reproduced, ...]:
    """The last bill beside the model: charge by charge from a file, else by service or in all.

    The model is a mean month of the horizon, the bill one month of the past: the two differ by
    growth and season too. A bill of less than 27 days is set beside as many days of the model.
    """
    last = scenario.today.bill if scenario.today else None
    if last is None:
        return ()
    modeled = cost["billed_cost_usd"]
    if last.usd_per_month is not None:
        return (Reproduced("all", last.usd_per_month, float(modeled.sum()) / months),)
    if last.services:
        by = modeled.groupby(cost["service"]).sum() / months
        return tuple(Reproduced(n, usd, float(by.get(n, 0.0))) for n, usd in last.services.items())
    real = last_bill(scenario)
    names = cost["charge"].replace(_ON_THE_BILL)
    names = names.where(~names.str.startswith("object_"), "object_storage")
    paid, length = by_charge(real), days(real)
    share = length / 30.4375 if length < 27 else 1.0  # NaN and whole months count as a month
    by = modeled.groupby(names).sum() / months * share
    charges = dict.fromkeys([*paid, *map(str, by.index)])
    rows = [Reproduced(c, paid.get(c, 0.0), float(by.get(c, 0.0))) for c in charges]
    return tuple(sorted(rows, key=lambda r: -abs(r.billed_usd)))
