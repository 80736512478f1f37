"""The composition: one scenario and catalog in, one study out; near plans, the frontier of a
choice, and many variants.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner import __version__, columns
from planner.capacity import Capacity, service_model, size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, PlannerError
from planner.faults import checked
from planner.load import Load, Traffic, forecast, read_histories
from planner.optimizer import alternatives, tradeoff, unproven
from planner.plan import Plan
from planner.relaxing import tried
from planner.results import Rows
from planner.scenario import Existing, Scenario
from planner.simulator import Replay, simulate
from planner.today import Today, check, kept, today

KILLED = "its worker was killed, as the system does where memory runs out; run fewer jobs, or this variant alone"
_WANTED = ("total_usd", "monthly_mean_usd", "p10_usd", "p50_usd", "p90_usd", "within_share", "load_multiplier")
UNSEEN = 0x5EED  # added to the scenario's seed: the replay's paths are not the plan's


@dataclass(frozen=True)
class Planned:
    """What one question led to, stage by stage, as far as a plan: all of a :class:`Study` that is
    known before the replay. While the plan is not proved, its certificate says so.
    """

    scenario: Scenario
    catalog: Catalog
    traffic: Mapping[str, Traffic]
    load: Load
    capacity: Capacity
    plan: Plan
    unseen: Load | None = None

    @property
    def requests(self) -> dict[str, float]:
        """Requests over the horizon by service, mean of the load paths."""
        return {name: float(self.load.volume(name).mean()) for name in self.load.services}

    @property
    def tokens(self) -> dict[str, float]:
        """Input and output tokens over the horizon of the services that have them, mean of the load
        paths.
        """
        return {
            name: self.requests[name] * (s.tokens.mean_input_tokens + s.tokens.mean_output_tokens)
            for name, s in self.load.services.items()
            if s.tokens is not None
        }


@dataclass(frozen=True, kw_only=True)
class Study(Planned):
    """Everything one question led to: the plan proved and replayed; ``today`` beside it where the
    scenario says what runs now.
    """

    replay: Replay
    today: Today | None = None


def run(
    scenario: Scenario,
    catalog: Catalog | None = None,
    *,
    paths: int = 200,
    progress: Callable[[str], None] = lambda _: None,
    seen: Callable[[Planned], None] = lambda _: None,
    known: Planned | None = None,
    executor: Executor | None = None,
) -> Study:
    """Plan a scenario; value and replay the plan on ``paths`` unseen load paths.

    ``catalog`` defaults to the bundled snapshots of the scenario's providers and regions;
    ``progress`` is told each stage; ``seen`` is handed what is known of the study as soon as the plan
    is decided, and again when it is proved.  Stages whose inputs are those of ``known``, a study that
    may still lack its proof and replay, are taken from it: the answer is the same, sooner.
    ``executor`` plays the replay.  Raises any :class:`PlannerError` of the stages.

    ``paths``: as many again, of another seed, are drawn to value the plan and to replay it, so a
    plan is never judged on the futures it was made for.
    """
    sized = _sized(scenario, catalog, paths, progress, known)
    try:
        plan = _optimized(sized, progress, seen)
    except InfeasiblePlan as error:
        progress("looking for a way out")
        raise tried(error, sized.scenario, sized.load, sized.catalog) from None
    return _replayed(sized, plan, progress, executor)


class _Sized(NamedTuple):
    """What a plan is made of; ``scenario`` without the commitments that have lapsed, ``held`` all of
    them.
    """

    scenario: Scenario
    held: tuple[Existing, ...]
    catalog: Catalog
    traffic: Mapping[str, Traffic]
    load: Load
    unseen: Load
    capacity: Capacity


def _sized(
    scenario: Scenario,
    catalog: Catalog | None,
    paths: int,
    progress: Callable[[str], None] = lambda _: None,
    known: Planned | None = None,
) -> _Sized:
    """Load and capacity of a scenario, from ``known`` where its inputs are the same."""
    catalog = Catalog.read(*scenario.providers, regions=scenario.regions) if catalog is None else catalog
    held, scenario = scenario.existing, kept(scenario)
    checked(scenario, catalog)
    check(scenario, catalog)
    same_load = known is not None and known.load.paths == paths and _arrives(known.scenario) == _arrives(scenario)
    if known is not None and known.unseen is not None and same_load:
        traffic, load, unseen = known.traffic, known.load, known.unseen
    else:
        progress("reading traffic")
        traffic = read_histories(scenario)
        progress("forecasting load")
        load = forecast(traffic, scenario, paths=paths)
        unseen = forecast(traffic, scenario, paths=paths, seed=(scenario.seed + UNSEEN) % 2**32)
    if (
        known is not None
        and load is known.load
        and catalog is known.catalog
        and _bears(known.scenario) == _bears(scenario)
    ):
        capacity = known.capacity
    else:
        progress("sizing replicas on every machine")
        capacity = size(scenario, catalog, load)
    return _Sized(scenario, held, catalog, traffic, load, unseen, capacity)


def _optimized(
    sized: _Sized,
    progress: Callable[[str], None] = lambda _: None,
    seen: Callable[[Planned], None] = lambda _: None,
) -> Plan:
    """The cheapest plan with what the latency models say of its machines. Raises
    :class:`InfeasiblePlan`, its ways out not tried.
    """
    progress("optimizing")
    inputs = sized.scenario, sized.load, sized.capacity, sized.catalog
    decided = unproven(*inputs, valued_on=sized.unseen, progress=progress)
    remarks = _remarks(sized.scenario, decided.plan, sized.catalog)

    def remarked(plan: Plan) -> Plan:
        plan = replace(plan, notes=(*plan.notes, *remarks))
        seen(Planned(sized.scenario, sized.catalog, sized.traffic, sized.load, sized.capacity, plan, sized.unseen))
        return plan

    remarked(decided.plan)
    return remarked(decided.proved(progress))


def _replayed(
    sized: _Sized, plan: Plan, progress: Callable[[str], None] = lambda _: None, executor: Executor | None = None
) -> Study:
    """The plan replayed on unseen load, and beside what runs today."""
    scenario, held, catalog, traffic, load, unseen, capacity = sized
    progress("replaying the plan on unseen load")
    replay = simulate(plan, scenario, unseen, capacity, executor=executor)
    now = None
    if scenario.today is not None:
        progress("setting it beside today")
        now = today(scenario, catalog, load, plan, replay, capacity, unseen, held)
    return Study(scenario, catalog, traffic, load, capacity, plan, unseen, replay=replay, today=now)


def _remarks(scenario: Scenario, plan: Plan, catalog: Catalog) -> tuple[str, ...]:
    """What the latency models say of the machines chosen, each sentence with its service."""
    place = ["provider", "region", "instance_type"]
    run = plan.schedule[["service", *place]].drop_duplicates()
    run = run.merge(catalog.instances[[*place, "family", "arch"]], on=place)
    notes = []
    for name, rows in run.groupby("service", observed=True):
        families = rows[["provider", "family", "arch"]].itertuples(index=False, name=None)
        notes += [f"{name}: {s}" for s in service_model(scenario, str(name)).remarks(families)]
    return tuple(notes)


def _arrives(scenario: Scenario) -> dict[str, Any]:
    """All of a scenario that its load could depend on, as written."""
    bought = {"limits", "existing", "price_adjustments", "providers", "regions", "currency", "exchange"}
    not_load = {*bought, "state", "name", "today"}
    said = scenario.model_dump(exclude_unset=True, exclude=not_load)
    later = ("objective", "autoscaling", "storage", "network", "owner")
    services = {name: {k: v for k, v in s.items() if k not in later} for name, s in said["services"].items()}
    return {**said, "services": services, "folder": scenario.folder}


def _bears(scenario: Scenario) -> dict[str, Any]:
    """All of a scenario that its capacity could depend on, as written."""
    bought = {"max_spot_share", "max_term_months", "payments", "budget_usd_per_month", "upfront_budget_usd"}
    not_capacity: Any = {"limits": bought, "existing": True, "price_adjustments": True, "name": True, "state": True}
    not_capacity |= {"today": True, "currency": True, "exchange": True}
    said = scenario.model_dump(exclude_unset=True, exclude=not_capacity)
    for service in said["services"].values():
        service["objective"].pop("load_quantile", None)
    return {**said, "folder": scenario.folder}


def with_alternatives(study: Study) -> Study:
    """The study with its near-optimal alternatives worked out (``plan.alternatives``)."""
    found = alternatives(study.plan, study.scenario, study.load, study.capacity, study.catalog)
    return replace(study, plan=replace(study.plan, alternatives=found))


def frontier(
    scenario: Scenario,
    path: str,
    values: Sequence[float] | None = None,
    catalog: Catalog | None = None,
    *,
    points: int = 20,
    paths: int = 200,
    whole: int = 5,
) -> pd.DataFrame:
    """Cost against one field of the scenario (``frontier``): a proven lower bound at each value,
    whole plans at some.

    ``values`` default to ``points`` of :func:`span`.  Raises as :func:`planner.optimizer.tradeoff`.
    """
    catalog = Catalog.read(*scenario.providers, regions=scenario.regions) if catalog is None else catalog
    values = span(scenario, path, points) if values is None else values
    load = forecast(read_histories(scenario), scenario, paths=paths)
    return tradeoff(scenario, load, size(scenario, catalog, load), catalog, path, values, whole=whole)


def span(scenario: Scenario, path: str, points: int = 20) -> list[float]:
    """Values worth a look for a field, the scenario's own among them: at most ``points``, rising.

    A latency bound from half to three times its own; shares and quantiles over their range; zones,
    zones lost and terms whole. Raises :class:`PlannerError` for a field whose range is not known.
    """
    own = _own(scenario, path)
    ranges: dict[str, Sequence[float]] = {
        "load_quantile": np.linspace(0.5, 0.99, points).tolist(),
        "max_spot_share": np.linspace(0.0, 0.9, points).tolist(),
        "max_type_share": np.linspace(0.5, 1.0, points).tolist(),
        "zones_lost": list(range(scenario.limits.zones)),
        "zones": list(range(scenario.limits.zones_lost + 1, max(4, scenario.limits.zones) + 1)),
        "max_term_months": [0, 12, 36],
    }
    found = ranges.get(path.rpartition(".")[2])
    if found is None and own is not None and own > 0 and (".objective." in path or "budget" in path):
        found = [float(f"{v:.3g}") for v in np.geomspace(own / 2, own * 3, points)]
    if found is None:
        raise PlannerError(
            "no range of values is known for this field",
            got=path,
            remedy=f"Give them: --vary {path}=A,B,...",
        )
    if own is None or own in found:
        return list(found)
    if own == int(own) and all(v == int(v) for v in found):
        return sorted({*found, own})
    inside = min(found[1:-1], key=lambda v: abs(v - own), default=None)  # the ends stay
    return sorted({*(v for v in found if v != inside), own})


def _own(scenario: Scenario, path: str) -> float | None:
    """The scenario's value of a dotted field; of ``services.*`` that of the first service."""
    at = scenario.at(path.replace("*", next(iter(scenario.services)), 1))
    return float(at) if isinstance(at, int | float) else None


def sweep(
    scenario: Scenario,
    variants: Mapping[str, Mapping[str, Any]],
    catalog: Catalog | None = None,
    *,
    paths: int = 200,
    executor: Executor | None = None,
    results: str | Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Plan each variant (name → dotted overrides, as :meth:`Scenario.replace` takes them); one row
    each (``sweep``).

    A variant without a plan keeps its row, with NaN and the reason in ``error``; so does one whose
    worker was killed.  ``executor``: any :class:`concurrent.futures.Executor`; the answer does not
    depend on it.  ``results``: a folder to which each row is written as soon as it is known
    (Parquet); rows of equal scenarios that it holds are not computed again.  Raises
    :class:`PlannerError` if it cannot be written.
    """
    scenarios = {name: scenario.replace(**overrides) for name, overrides in variants.items()}
    kept = None if results is None else Rows(results)
    keys = {name: _key(s, catalog, paths) for name, s in scenarios.items()} if kept is not None else {}
    rows = {name: row for name, key in keys.items() if kept is not None and (row := kept[key]) is not None}
    left = {name: s for name, s in scenarios.items() if name not in rows}
    if rows:
        progress(f"{len(rows)} of {len(scenarios)} variants were there")
    for name, row in _planned(left, partial(_figures, catalog=catalog, paths=paths), executor):
        rows[name] = row
        if kept is not None and row["error"] != KILLED:
            kept[keys[name]] = row
        progress(f"{len(rows)} of {len(scenarios)} variants")
    frame = pd.DataFrame(
        [{"variant": name, **rows[name]} for name in variants],
        columns=list(columns.columns_of("sweep")),
    )
    return columns.check("sweep", frame.astype({"variant": "str", "error": "str"}))


def _planned(
    scenarios: Mapping[str, Scenario],
    one: Callable[[Scenario], dict[str, Any]],
    executor: Executor | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variant's figures, as they come."""
    if executor is None:
        yield from ((name, one(s)) for name, s in scenarios.items())
        return
    futures = {executor.submit(one, s): name for name, s in scenarios.items()}
    for future in as_completed(futures):
        try:
            yield futures[future], future.result()
        except BrokenExecutor:
            yield futures[future], {**dict.fromkeys(_WANTED, float("nan")), "error": KILLED}


def _key(scenario: Scenario, catalog: Catalog | None, paths: int) -> str:
    """What a row stands for: the scenario as written, its histories, prices, paths and this
    version.
    """
    files = [f.stat() for s in scenario.services for f in scenario.traffic_files(s)]
    facts = [scenario.to_yaml(), str(paths), __version__, "" if catalog is None else str(catalog.as_of)]
    facts += [f"{f.st_size} {f.st_mtime_ns}" for f in files]
    return sha256("\0".join(facts).encode()).hexdigest()[:32]


def _figures(scenario: Scenario, catalog: Catalog | None, paths: int) -> dict[str, Any]:
    unknown = dict.fromkeys(_WANTED, float("nan"))
    try:
        sized = _sized(scenario, catalog, paths)
        study = _replayed(sized, _optimized(sized))
    except InfeasiblePlan as error:  # why it has none; ways out are for the one who asks for a plan
        return {**unknown, "error": str(InfeasiblePlan(error.what, where=error.where))}
    except PlannerError as error:
        return {**unknown, "error": str(error)}
    summary = study.plan.summary()
    return {
        **{k: summary[k] for k in _WANTED if k in summary},
        "within_share": study.replay.within_share(),
        "load_multiplier": float(study.replay.breaks["load_multiplier"].min()),
        "error": "",
    }
