"""Sizing: every service on every machine of the catalog, to what one replica may be loaded with, or
an excuse.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from planner import columns
from planner.capacity.ceilings import too_slow_a_disk, within_network
from planner.capacity.headroom import (
    Factor,
    metastable_rps,
    model_error_factor,
    ramp_per_hour,
    service_factors,
    spot_yield,
    start_up_s,
    target_factor,
)
from planner.capacity.needs import needs_frame
from planner.capacity.pooling import Pooling
from planner.capacity.result import Capacity
from planner.catalog import Catalog
from planner.catalog.snapshot import nearest
from planner.errors import CatalogError, ScenarioError
from planner.latency import (
    LATENCY_MODELS,
    Arrivals,
    Deployment,
    Excuse,
    Goodput,
    LatencyModel,
    Machine,
    ServiceModel,
)
from planner.load import Load, ServiceLoad
from planner.scenario import Scenario, Service
from planner.scenario.sentences import near, sentence
from planner.scenario.sizes import all_beyond

MOST_REPLICAS = 1e6  # ten times the largest fleet of one service that is known

_SHAPE = [
    "family",
    "arch",
    "vcpus",
    "memory_gib",
    "threads_per_core",
    "baseline_share",
    "accelerator",
    "accelerators",
    "accelerator_memory_gib",
    "network_gib_per_s",
]


class _Offer(NamedTuple):
    """A machine in a region, what keeps it from being considered at all, and its spot hazard."""

    machine: Machine
    shape: Machine  # the same without its region, equal wherever it is sold
    excuse: Excuse | None
    interruptions_per_h: float


@dataclass(frozen=True)
class _Sized:
    """One way to run a replica on a machine shape, sized without regard to region: its factors, and
    its pool if that bears more.
    """

    deployment: Deployment
    goodput: Goodput
    error_share: float
    kept: tuple[Factor, ...]
    pool: Pooling | None
    metastable_rps: float
    excuse: Excuse | None


def size(scenario: Scenario, catalog: Catalog, load: Load) -> Capacity:
    """Size every service of ``scenario`` on every machine of ``catalog`` in its providers and
    regions.

    usable_rps [original requests/s, one replica] = goodput · Π factors (retries, burst,
    scale_up_lag, model_error), or ``autoscaling.target_utilization`` of the saturated rate where
    given.  goodput is that of one replica alone; what a pool of more bears stands in ``pools``
    where that is more for each.  Machines that cannot serve keep a row with usable_rps 0, an
    excuse and its gap. Raises :class:`ScenarioError` for wrong latency parameters or a metric
    the model does not answer, :class:`CatalogError` for a region without machines.
    """
    offers = list(_offers(scenario, catalog))
    sheet = _Sheet([], [], {}, {})
    for name in scenario.services:
        if name not in load.services:
            raise ScenarioError(
                f"services.{name}: there is no load for it. Forecast the same scenario",
                where=scenario.name,
            )
        _size_service(scenario, name, load, offers, sheet)
    head = ["service", "provider", "region", "instance_type", "deployment"]
    order = [
        *head,
        "instances_per_replica",
        "goodput_rps",
        "binding_objective",
        "utilization",
        "headroom_share",
        "usable_rps",
        "metastable_rps",
        "spot_yield",
        "basis",
        "error_share",
        "excuse",
        "gap",
        "mends_by",
        "mends_at",
    ]
    frame = _frame("capacity", sheet.rows, order)
    _refuse_absurd(scenario, frame, load)
    headroom = _frame("capacity.headroom", sheet.ledger, [*head, "cause", "headroom_share", "basis"])
    return Capacity(frame, headroom, needs_frame(scenario, catalog), sheet.models, sheet.pools)


def _refuse_absurd(scenario: Scenario, capacity: pd.DataFrame, load: Load) -> None:
    """Raises :class:`ScenarioError` for a service whose peak asks for more than :data:`MOST_REPLICAS`
    of the best machine.
    """
    best = capacity.groupby("service", observed=True)["usable_rps"].max()
    peaks = {name: float(s.arrival_rate_rps.max()) for name, s in load.services.items()}
    odd = [
        f"services.{name}: its peak of {peaks[name]:.3g} requests/s asks for {peaks[name] / usable:.2g} replicas of "
        f"{usable:.3g} requests/s, and no provider has more than {MOST_REPLICAS:,.0f}. "
        "Check the units of its traffic, latency, network and retry_share"
        for name, usable in zip(best.index.astype(str), best, strict=True)
        if usable > 0 and peaks[name] / usable > MOST_REPLICAS
    ]
    if odd:
        raise ScenarioError(odd, where=scenario.name)


def service_model(scenario: Scenario, name: str) -> ServiceModel:
    """The checked latency parameters of one service. Raises :class:`ScenarioError` with
    ``services.NAME.latency.KEY``.
    """
    spec = scenario.services[name].latency
    if spec.model not in LATENCY_MODELS:
        raise ScenarioError(
            f"services.{name}.latency.model: no such model (got {spec.model!r}); "
            + near(spec.model, LATENCY_MODELS, "models"),
            where=scenario.name,
        )
    odd = [
        f"{'.'.join((f'services.{name}.latency', *path))}: {said} (got {value!r})"
        for path, said, value in all_beyond("latency", spec.parameters)
    ]
    if odd:
        raise ScenarioError(odd, where=scenario.name)
    try:
        model: ServiceModel = LATENCY_MODELS[spec.model].model_validate(
            spec.parameters, context={"folder": scenario.folder}
        )
    except ValidationError as error:
        problems = []
        for fault in error.errors():
            path = ".".join(str(p) for p in (f"services.{name}.latency", *fault["loc"]))
            keys = LATENCY_MODELS[spec.model].model_fields if len(fault["loc"]) == 1 else ()
            problems.append(f"{path}: {sentence(fault, keys)}")
        raise ScenarioError(problems, where=scenario.name) from None
    except ScenarioError as error:
        raise ScenarioError([f"services.{name}.latency: {p}" for p in error.problems], where=scenario.name) from None
    return model


@dataclass
class _Sheet:
    """What sizing has written so far."""

    rows: list[tuple[Any, ...]]
    ledger: list[tuple[Any, ...]]
    models: dict[tuple[str, str, str, str, str], LatencyModel]
    pools: dict[tuple[str, str, str, str, str], Pooling]

    def refuse(self, key: tuple[str, str, str, str], label: str, instances: float, excuse: Excuse) -> None:
        """A row that cannot serve."""
        unknown = math.nan
        self.rows.append(
            (
                *key,
                label,
                instances,
                0.0,
                "",
                unknown,
                unknown,
                0.0,
                unknown,
                unknown,
                "modeled",
                unknown,
                excuse.reason,
                excuse.gap,
                excuse.field,
                excuse.needs,
            )
        )

    def accept(self, key: tuple[str, str, str, str], sized: _Sized, failure: float, worth: float) -> None:
        """A row that serves, its ledger, its model and its pool."""
        goodput, model, label = sized.goodput, sized.deployment.model, sized.deployment.label
        share = 1 - math.prod(f.factor for f in sized.kept)
        usable = goodput.arrival_rate_rps * (1 - share)
        self.rows.append(
            (
                *key,
                label,
                sized.deployment.instances_per_replica,
                goodput.arrival_rate_rps,
                goodput.binding_objective,
                goodput.utilization,
                share,
                usable,
                sized.metastable_rps,
                worth,
                model.basis,
                sized.error_share,
                "",
                "",
                "",
                math.nan,
            )
        )
        self.ledger.extend((*key, label, *line) for line in _ledger(goodput.utilization, sized.kept, failure, worth))
        self.models[*key, label] = model
        if sized.pool is not None:
            self.pools[*key, label] = sized.pool


def _size_service(scenario: Scenario, name: str, load: Load, offers: Sequence[_Offer], sheet: _Sheet) -> None:
    """Rows of one service on every machine on offer. Raises :class:`ScenarioError` for latency
    parameters that do not fit the machines.

    Equal shapes are sized once, wherever they are sold; only what a spot machine is
    worth differs by region.
    """
    service, mine = scenario.services[name], load.services[name]
    try:
        model = service_model(scenario, name).beside([o.shape for o in offers])
    except ScenarioError as error:
        where = f"services.{name}.latency"
        told = [p if p.startswith("services.") else f"{where}: {p}" for p in error.problems]
        raise ScenarioError(told, where=scenario.name) from None
    scale = _Scale(name, service, model, Arrivals(mine.arrival_scv, mine.tokens), mine, scenario.folder)
    failure = scenario.limits.loss.lost_share
    known: dict[Machine, Sequence[_Sized] | Excuse] = {}
    for machine, shape, barred, hazard in offers:
        key = (name, machine.provider, machine.region, machine.instance_type)
        if barred is None and shape not in known:
            known[shape] = scale.machine(shape)
        found = known[shape] if barred is None else barred
        if isinstance(found, Excuse):
            sheet.refuse(key, "", math.nan, found)
            continue
        worth = spot_yield(hazard, start_up_s(service, bool(machine.accelerator), scenario.folder)[0])
        for sized in found:
            if sized.excuse is not None:
                sheet.refuse(key, sized.deployment.label, sized.deployment.instances_per_replica, sized.excuse)
            else:
                sheet.accept(key, sized, failure, worth)


class _Scale:
    """Sizes one service on machine shapes; equal latency models are asked once."""

    def __init__(
        self,
        name: str,
        service: Service,
        model: ServiceModel,
        arrivals: Arrivals,
        load: ServiceLoad,
        folder: Path | None,
    ) -> None:
        self._name, self._service, self._model, self._arrivals = name, service, model, arrivals
        self._folder = folder
        ramp = ramp_per_hour(load)
        self._common = {
            accelerated: service_factors(service, load, ramp, accelerated, folder) for accelerated in (False, True)
        }
        self._goodputs: dict[Any, tuple[Goodput, float]] = {}

    def machine(self, machine: Machine) -> Sequence[_Sized] | Excuse:
        """All ways to run a replica on a shape, or the excuse."""
        slow = too_slow_a_disk(self._service, machine, self._folder)
        found = self._model.deployments(machine, self._arrivals) if slow is None else slow
        return found if isinstance(found, Excuse) else [self._deployment(d, machine) for d in found]

    def _deployment(self, deployment: Deployment, machine: Machine) -> _Sized:
        """One way to run a replica: its goodput within the network's ceiling, the factors that
        leave room, and its pool where more replicas bear more for each.

        The saturated rate is the model's own, or goodput over utilization where it states none;
        retries are stable below it only (``metastable_rps``).
        """
        service, model = self._service, deployment.model
        alone, error_share = self._goodput(model)
        goodput = within_network(alone, service, machine, deployment)
        kept = _factors(service, goodput, error_share, model, self._common[bool(machine.accelerator)])
        pool, excuse = None, None
        if not goodput.arrival_rate_rps > 0:
            excuse = _out_of_reach(service, model)
        elif model.gains_by_pooling:
            target = service.autoscaling.target_utilization
            ceiling = within_network(Goodput(math.inf, "", 1.0), service, machine, deployment).arrival_rate_rps
            share = math.prod(f.factor for f in kept if f.cause != "target_utilization")
            pool = Pooling(model, service.objective, ceiling, share, target)
        saturated = model.largest_rate_rps
        if math.isnan(saturated):
            saturated = goodput.arrival_rate_rps / max(goodput.utilization, 1e-9)
        return _Sized(deployment, goodput, error_share, kept, pool, metastable_rps(service, saturated), excuse)

    def _goodput(self, model: LatencyModel) -> tuple[Goodput, float]:
        """Largest rate within the objective, and the model's error share; asked once for equal
        models. Raises :class:`ScenarioError` naming the service.
        """
        key = _identity(model)
        if key not in self._goodputs:
            try:
                self._goodputs[key] = model.goodput_rps(self._service.objective), model.error_share
            except ScenarioError as error:
                raise ScenarioError([f"services.{self._name}.{p}" for p in error.problems]) from None
        return self._goodputs[key]


def _factors(
    service: Service,
    goodput: Goodput,
    error_share: float,
    model: LatencyModel,
    common: Sequence[Factor],
) -> tuple[Factor, ...]:
    """Every cause that acts on usable_rps; a target utilization of the user replaces all but the
    retries.
    """
    target = service.autoscaling.target_utilization
    if target is None:
        kept = model_error_factor(error_share, model.margin_sigmas)
        return (*common, Factor("model_error", kept, model.basis))
    reached = target_factor(target, goodput.utilization)
    return (*(f for f in common if f.cause == "retries"), Factor("target_utilization", reached, "measured"))


def _ledger(
    utilization: float, kept: Sequence[Factor], failure: float, worth: float
) -> Iterator[tuple[str, float, str]]:
    """Additive shares of the saturated rate: queueing first, then each factor of what is
    left, then zones and spot.

    Queueing takes 1 − ρ, each factor f of what is left takes left · (1 − f); what remains is
    what a replica may be loaded with. Zones and spot are told beside it, each of what remains:
    they are not in ``usable_rps``.
    """
    left = min(utilization, 1.0)
    yield "queueing", 1 - left, "modeled"
    for f in kept:
        yield f.cause, left * (1 - f.factor), f.basis
        left *= f.factor
    yield "failure", left * failure, "assumed"
    yield "interruption", left * (1 - worth), "assumed"


def _identity(model: LatencyModel) -> Any:
    """What tells latency models apart: the model itself, or the object
    where it cannot be hashed.
    """
    try:
        hash(model)
    except TypeError:
        return id(model)
    return model


def _out_of_reach(service: Service, model: LatencyModel) -> Excuse:
    """The bound that is furthest out of reach on an idle replica."""
    worst, why = 0.0, Excuse("latency target out of reach", "no load meets every objective")
    for bound, metric, quantile, limit_s in service.objective.bounds():
        floor = float(model.latency_s(1e-9, 1, quantile, metric))
        if floor / limit_s > worst:
            worst, gap = floor / limit_s, f"{bound}: {floor:.4g} s without any load, {limit_s:g} s wanted"
            why = Excuse(why.reason, gap, f"objective.{bound}", floor)
    return why


def _offers(scenario: Scenario, catalog: Catalog) -> Iterator[_Offer]:
    """Machines of the scenario's providers and regions, with the scenario's own
    reasons against some of them.

    Machines without any price come last, so that they get a row with their excuse. Raises
    :class:`CatalogError` for a provider or region without machines, :class:`ScenarioError` for a
    machine named in the limits that nobody sells there.
    """
    shapes = catalog.instances
    shapes = shapes[shapes["provider"].isin(scenario.providers) & shapes["region"].isin(scenario.regions)]
    for column, wanted in (("provider", scenario.providers), ("region", scenario.regions)):
        lost = sorted(set(wanted) - set(shapes[column]))
        if lost:
            raise CatalogError(
                f"the catalog has no machine of this {column}",
                where=scenario.name,
                got=", ".join(lost),
                remedy=f"Read a catalog that covers it, or take it out of {column}s",
            )
    hidden = catalog.unpriced
    hidden = hidden[hidden["provider"].isin(scenario.providers) & hidden["region"].isin(scenario.regions)]
    unknown = sorted(set(scenario.limits.instance_types) - set(shapes["instance_type"]) - set(hidden["instance_type"]))
    if unknown:
        raise ScenarioError(
            f"limits.instance_types: no such machine in these regions (got {', '.join(unknown)}). "
            f"{nearest(unknown[0], shapes['instance_type'])}",
            where=scenario.name,
        )
    priced, hazards = _prices(catalog)
    names = {held.commitment for held in scenario.existing}  # what is reserved already is never too old
    reserved = set(catalog.commitments.loc[catalog.commitments["commitment"].isin(names), "scope"])
    fields = ["provider", "region", "instance_type", *_SHAPE]
    for row, current in zip(
        shapes[fields].itertuples(index=False, name=None),
        shapes["current_generation"].tolist(),
        strict=True,
    ):
        key = (row[0], row[1], row[2])
        shape = Machine(row[0], "", *row[2:])
        barred = _barred(scenario, row[2], bool(current) or row[2] in reserved, key in priced)
        yield _Offer(Machine(*row), shape, barred, hazards.get(key, math.nan))
    for provider, region, name in zip(hidden["provider"], hidden["region"], hidden["instance_type"], strict=True):
        bare = Machine(provider, region, name, "", "", math.nan, math.nan)
        yield _Offer(bare, bare, _barred(scenario, name, True, False), math.nan)


def _prices(catalog: Catalog) -> tuple[set[tuple[str, str, str]], Mapping[tuple[str, str, str], float]]:
    rates = catalog.rates
    keys = list(zip(rates["provider"], rates["region"], rates["instance_type"], strict=True))
    spot = (rates["purchase_option"] == "spot").tolist()
    hazard = rates["interruptions_per_h"].to_numpy(np.float64)
    return set(keys), {k: float(h) for k, s, h in zip(keys, spot, hazard, strict=True) if s}


def _barred(scenario: Scenario, instance_type: str, current: bool, priced: bool) -> Excuse | None:
    """The scenario's reason against a machine, or ``None``: not listed, of a previous
    generation, made for clusters, a quota of 0, no price.
    """
    limits = scenario.limits
    if limits.instance_types and instance_type not in limits.instance_types:
        return Excuse("not among limits.instance_types", "add it there", "limits.instance_types")
    if not current and not limits.previous_generation and not limits.instance_types:
        return Excuse("previous generation", "set limits.previous_generation: true", "limits.previous_generation", 1.0)
    # AWS sells these in a single zone of a region
    if instance_type.startswith("hpc") and not limits.instance_types:
        return Excuse("made for HPC clusters, in one zone only", "name it in limits.instance_types")
    if limits.quota.get(instance_type) == 0:
        return Excuse("quota is 0", "at least 1 is needed", f"limits.quota.{instance_type}", 1.0)
    if not priced:
        return Excuse("no price known in this region", "one on-demand or spot price is needed")
    return None


def _frame(name: str, rows: list[tuple[Any, ...]], order: list[str]) -> pd.DataFrame:
    if not rows:
        return columns.empty(name)
    table = pd.DataFrame(rows, columns=order)
    kinds = {c: "str" if columns.dictionary()[c].dtype == "str" else "float64" for c in order}
    return table.astype(kinds)
