"""Today's machines hour by hour, as a schedule that the bill can price."""

import difflib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats, Ints
from planner.catalog import Catalog
from planner.errors import ScenarioError
from planner.load import Load
from planner.scenario import Running, Scenario
from planner.scenario.now import DAYS

_FIRST_H = 28 * 24  # hours from whose peak a scaling group is told to reach its maximum


class Place(NamedTuple):
    """Where machines run."""

    provider: str
    region: str


def places(scenario: Scenario) -> tuple[Place, ...]:
    """The places of today's machines, each once. Raises :class:`ScenarioError` where several could
    be meant.
    """
    return tuple(dict.fromkeys(place_of(scenario, m, path) for path, _, m in _all(scenario)))


def place_of(scenario: Scenario, running: Running, path: str) -> Place:
    """Where one group runs: as stated, or the scenario's only provider and region. Raises
    :class:`ScenarioError` where it could be several.
    """
    found = {}
    for key, stated, known in (
        ("provider", running.provider, scenario.providers),
        ("region", running.region, scenario.regions),
    ):
        if stated is None and len(known) != 1:
            raise ScenarioError(f"{path}.{key}: the scenario has several; add {key}: one of {', '.join(known)}")
        found[key] = stated or known[0]
    return Place(found["provider"], found["region"])


def _all(scenario: Scenario) -> Iterator[tuple[str, str, Running]]:
    for name, service in (scenario.today.services if scenario.today else {}).items():
        for k, running in enumerate(service.machines):
            yield f"today.services.{name}.machines.{k}", name, running


def catalog_of(scenario: Scenario, catalog: Catalog) -> Catalog:
    """A catalog that holds today's places: the scenario's own where it does. Raises
    :class:`CatalogError` for a place that is not known.

    Today's machines may run where the plan may not: the bundled snapshots of their providers are
    then read for those regions.
    """
    wanted = places(scenario)
    table = catalog.instances
    known = set(zip(table["provider"], table["region"], strict=True))
    if all(place in known for place in wanted):
        return catalog
    return Catalog.read(*dict.fromkeys(p.provider for p in wanted), regions=dict.fromkeys(p.region for p in wanted))


def check(scenario: Scenario, catalog: Catalog) -> None:
    """Every fault of today's machines at once, before any work: places that could be several,
    machines that are not sold. Raises :class:`ScenarioError`, or :class:`CatalogError` for an
    unknown place.
    """
    known, faults = catalog_of(scenario, catalog), list[str]()
    for path, _, running in _all(scenario):
        try:
            _known(known, place_of(scenario, running, path), running, path)
        except ScenarioError as error:
            faults += error.problems
    if faults:
        raise ScenarioError(faults, where=scenario.name)


def schedule(scenario: Scenario, load: Load, deployments: dict[str, str]) -> pd.DataFrame:
    """``plan.schedule`` of today's machines over the horizon; ``deployments`` the label
    of each service's layout.

    Each machine carries one replica. The load beside them is the mean of the paths,
    which is told and not asked: how much they bear is for the replay. Groups alike in
    place, type and option add up.
    """
    blocks = []
    for path, name, running in _all(scenario):
        place = place_of(scenario, running, path)
        counts = counted(running, load, name, scenario.time_zone)
        rate = load.services[name].arrival_rate_rps.mean(axis=0, dtype=np.float64)
        here = counts > 0
        blocks.append(
            pd.DataFrame(
                {
                    "ts": load.ts[here],
                    "weight_h": load.weight_h[here],
                    "arrival_rate_rps": rate[here],
                    "replicas": counts[here],
                    "instances": counts[here].astype(np.float64),
                }
            ).assign(
                provider=place.provider,
                region=place.region,
                instance_type=running.instance_type,
                purchase_option=running.purchase_option,
                service=name,
                deployment=deployments.get(name, ""),
            )
        )
    keys = ["ts", "service", "provider", "region", "instance_type", "deployment", "purchase_option"]
    whole = pd.concat(blocks, ignore_index=True)
    merged = whole.groupby([*keys, "weight_h", "arrival_rate_rps"], as_index=False, observed=True).sum(
        numeric_only=True
    )
    text = dict.fromkeys(keys[1:], "str")
    return columns.check("plan.schedule", merged.astype(text).sort_values(keys, ignore_index=True))


def _known(catalog: Catalog, place: Place, running: Running, path: str) -> None:
    """Raises :class:`ScenarioError` for a machine that is not sold in its
    place, with the nearest names.
    """
    table = catalog.instances
    here = table[(table["provider"] == place.provider) & (table["region"] == place.region)]
    if running.instance_type not in set(here["instance_type"]):
        near = difflib.get_close_matches(running.instance_type, sorted(here["instance_type"]), n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "Check its spelling and region"
        raise ScenarioError(
            f"{path}.instance_type: {place.provider} {place.region} has no such machine (got"
            f" {running.instance_type!r}). {hint}"
        )


def counted(running: Running, load: Load, service: str, zone: str) -> Ints:
    """How many machines of a group run in each hour of the load, shape (hours,).

    A scaling group follows the mean load between its bounds. Otherwise a fixed count, replaced
    in the hours of each shift of its schedule, on the clock of ``zone``; a shift that ends
    before it begins holds in the late and in the early hours of the weekdays it names. Of shifts
    that overlap the last one counts.
    """
    if running.min is not None and running.max is not None:
        return _following(running.min, running.max, load.services[service].arrival_rate_rps.mean(axis=0))
    count = np.full(load.hours, running.count or 0, dtype=np.int64)
    local = load.ts.tz_convert(zone)
    weekday, hour = local.day_of_week.to_numpy(), local.hour.to_numpy()
    for shift in running.schedule:
        days = np.isin(weekday, [DAYS.index(d) for d in shift.days])
        over = shift.from_hour >= shift.to_hour
        inside = (
            (hour >= shift.from_hour) | (hour < shift.to_hour)
            if over
            else (hour >= shift.from_hour) & (hour < shift.to_hour)
        )
        count[days & inside] = shift.count
    return count


def _following(least: int, most: int, rate: Floats) -> Ints:
    """A scaling group: its maximum at the peak of the first four weeks, in proportion below.

    ⌈rate / peak · most⌉ held in [least, most], so that growth beyond the first
    weeks meets a group already at its maximum. The real group is not known hour by
    hour: this is an assumption.
    """
    peak = float(rate[:_FIRST_H].max())
    wanted = np.ceil(rate / peak * most - 1e-9) if peak > 0 else np.zeros(len(rate))
    return np.asarray(np.clip(wanted, least, most), dtype=np.int64)
