"""All faults of a scenario at once, before any work: parameters of latency models, files, and names
that match nothing.

A name that matches nothing would switch a limit or a discount off in silence, so it is a fault with
the near names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from planner.capacity.sizing import service_model
from planner.catalog import Catalog
from planner.errors import PlannerError, ScenarioError
from planner.load.shapes import shape_of
from planner.scenario import Scenario
from planner.today import last_bill

_ANYWHERE = ("global", "", "any")  # regions of a commitment that holds wherever its provider sells
_PART = re.compile(r"[^\W_]+")  # of a name: a word or a number


def checked(scenario: Scenario, catalog: Catalog) -> None:
    """Raises :class:`ScenarioError` with every fault that a reader of the
    scenario alone cannot see.

    ``catalog``: what the plan may buy. A machine that is on sale in another region of the
    scenario's providers is no fault: its quota then binds nothing here.
    """
    problems = [
        *_services(scenario),
        *_quotas(scenario, catalog),
        *_adjustments(scenario, catalog),
        *_held(scenario, catalog),
        *_bill(scenario),
    ]
    if problems:
        raise ScenarioError(problems, where=scenario.name)


def _services(scenario: Scenario) -> Iterator[str]:
    """Faults of latency parameters, histories, request logs and shapes, service by service."""
    for name, service in scenario.services.items():
        try:
            service_model(scenario, name)
        except ScenarioError as error:
            yield from error.problems
        except PlannerError as error:
            yield f"services.{name}.latency: {error}"
        try:
            scenario.traffic_files(name)
            if service.traffic.shape:
                shape_of(service.traffic.shape, scenario.folder)
        except ScenarioError as error:
            yield from error.problems
        except PlannerError as error:
            yield f"services.{name}.{error}"


def _quotas(scenario: Scenario, catalog: Catalog) -> Iterator[str]:
    here = set(catalog.instances["instance_type"])
    strange = [name for name in scenario.limits.quota if name not in here]
    if not strange:
        return
    known = here | set(Catalog.read(*scenario.providers).instances["instance_type"])
    for name in strange:
        if name not in known:
            yield f"limits.quota.{name}: no machine of this name is on sale{_near(name, known)}"


def _adjustments(scenario: Scenario, catalog: Catalog) -> Iterator[str]:
    families = set(catalog.instances["family"])
    if any(d.family and d.family not in families for d in scenario.price_adjustments):
        families |= set(Catalog.read(*scenario.providers).instances["family"])
    for number, discount in enumerate(scenario.price_adjustments):
        named = (
            ("provider", discount.provider, scenario.providers),
            ("family", discount.family, families),
            ("service", discount.service, scenario.services),
        )
        for key, name, known in named:
            if name is not None and name not in known:
                yield f"price_adjustments.{number}.{key}: matches nothing that may be bought (got {name!r})" + _near(
                    name, known
                )


def _held(scenario: Scenario, catalog: Catalog) -> Iterator[str]:
    """Commitments held that no provider of the scenario sells, or in another region than is said."""
    for number, held in enumerate(scenario.existing):
        places = _sold_in(catalog, held.commitment)
        if not places:
            everywhere = Catalog.read(*scenario.providers)
            places = _sold_in(everywhere, held.commitment)
            if not places:
                known = everywhere.commitments["commitment"]
                yield f"existing.{number}.commitment: no provider sells it (got {held.commitment!r})" + _near(
                    held.commitment, set(known)
                )
            else:
                yield (
                    f"existing.{number}.commitment: it holds in {', '.join(places)}, which the scenario does not plan"
                    f" for (got {held.commitment!r}). Add {places[0]} to regions, or leave the commitment out"
                )
        elif held.region is not None and not {held.region, *_ANYWHERE} & {*places}:
            yield (
                f"existing.{number}.region: {held.commitment} holds in {', '.join(places)} (got {held.region!r}). "
                f"Write {places[0]}, or leave region out"
            )


def _bill(scenario: Scenario) -> Iterator[str]:
    """Why the file of today's bill cannot be read."""
    if scenario.today is None or scenario.today.bill is None or scenario.today.bill.file is None:
        return
    try:
        last_bill(scenario)
    except PlannerError as error:
        yield f"today.bill.file: {error}"


def _sold_in(catalog: Catalog, commitment: str) -> list[str]:
    table = catalog.commitments
    return sorted(set(table.loc[table["commitment"] == commitment, "region"]))


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(_alike(name, known)), n=3)
    return f". Did you mean {' or '.join(near)}?" if near else ". Mend the name, or leave it out"


def _alike(name: str, known: Collection[str]) -> list[str]:
    """Those of ``known`` that share the most parts with ``name``: comparing each of a hundred thousand
    commitments letter by letter takes seconds.
    """
    parts = set(_PART.findall(name))
    shared = {k: len(parts.intersection(_PART.findall(k))) for k in known}
    most = max(shared.values(), default=0)
    return [k for k, count in shared.items() if count == most]
