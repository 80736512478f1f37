"""Commitments held today: what they pay for of today's machines, and what stays to be paid when
their place is left.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.calendar import later
from planner.catalog import Catalog
from planner.catalog.providers import flexible_size
from planner.errors import CatalogError
from planner.load import Load
from planner.scenario import Existing, Scenario

_ANYWHERE = ("", "global", "any")
_POOL = ["service", "provider", "region", "instance_type", "deployment"]


class Stranded(NamedTuple):
    """A commitment whose place the plan leaves: dollars an hour until ``end`` that buy nothing."""

    commitment: str
    usd_per_h: float
    end: pd.Timestamp
    usd: float


def place_of(held: Existing) -> tuple[str, str]:
    """Provider and region of a commitment, from its name where the region is not stated."""
    parts = held.commitment.split("/")
    return parts[0], held.region or (parts[1] if len(parts) > 1 else "")


def is_left(held: Existing, scenario: Scenario) -> bool:
    """Whether the scenario plans nothing where this commitment holds."""
    provider, region = place_of(held)
    return provider not in scenario.providers or region not in (*_ANYWHERE, *scenario.regions)


def kept(scenario: Scenario) -> Scenario:
    """The scenario to be planned: where ``today`` says what runs, commitments of a place that is
    left are no part of the plan.
    """
    if scenario.today is None or not any(is_left(e, scenario) for e in scenario.existing):
        return scenario
    return scenario.model_copy(update={"existing": tuple(e for e in scenario.existing if not is_left(e, scenario))})


def terms(held: Existing, catalog: Catalog) -> dict[str, Any] | None:
    """The catalog's row of a commitment, or ``None`` if it has none."""
    provider, region = place_of(held)
    c = catalog.commitments
    rows = c[(c["commitment"] == held.commitment) & (c["provider"] == provider)]
    rows = rows[rows["region"].isin([region, *_ANYWHERE])]
    return {str(k): v for k, v in rows.iloc[0].to_dict().items()} if len(rows) else None


def frames(
    scenario: Scenario, held: tuple[Existing, ...], load: Load, catalog: Catalog, schedule: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``plan.coverage`` and ``plan.commitments`` of today: each commitment covers what it fits,
    reservations before spending, in order of their names.

    Each hour a commitment holds ``quantity`` units; machines it fits draw on them in order of
    service and place, each taking its units, until they are used up. What is left pays for
    nothing. A commitment whose terms the catalog lacks is not among the rows.
    """
    found = [(e, row) for e in held if (row := terms(e, catalog)) is not None]
    found.sort(key=lambda pair: (str(pair[1]["category"]) == "Spend", str(pair[0].commitment)))
    left = _uncovered(schedule, load)
    covered, rows = [], []
    for e, row in found:
        signed = _signed(scenario, e, row)
        force = np.asarray((load.ts >= signed["start"]) & (load.ts < signed["end"]))
        if not force.any():
            continue
        budget, used = force * e.quantity, np.zeros(load.hours)
        for key, counts in sorted(left.items()):
            each = _each(row, key, catalog)
            if each <= 0:
                continue
            take = np.minimum(counts, np.maximum(budget - used, 0.0) / each)
            counts -= take
            used += take * each
            covered.append(_covered(key, take, load, e.commitment))
        share = float(used.sum() / max(budget.sum(), 1e-12))
        rows.append(signed | {"commitment_utilization": share})
    coverage = pd.concat(covered, ignore_index=True) if covered else columns.empty("plan.coverage")
    if not rows:
        return coverage, columns.empty("plan.commitments")
    table = pd.DataFrame(rows, columns=list(columns.columns_of("plan.commitments")))
    for c in ("start", "end"):
        table[c] = pd.to_datetime(table[c], utc=True).astype("datetime64[us, UTC]")
    return columns.check("plan.coverage", coverage), columns.check("plan.commitments", table)


def _uncovered(schedule: pd.DataFrame, load: Load) -> dict[tuple[str, ...], Floats]:
    """Machines on demand by pool and hour, before any commitment covers them: {pool: (hours,)}."""
    out = {}
    running = schedule[schedule["purchase_option"] == "on_demand"]
    for key, part in running.groupby(_POOL, observed=True):
        dense = np.zeros(load.hours)
        dense[load.ts.get_indexer(pd.DatetimeIndex(part["ts"]))] = part["instances"].to_numpy(np.float64)
        out[tuple(str(k) for k in key)] = dense
    return out


def _covered(key: tuple[str, ...], take: Floats, load: Load, commitment: str) -> pd.DataFrame:
    on = np.flatnonzero(take > 1e-9)
    words = dict(zip(_POOL, key, strict=True)) | {"commitment": commitment}
    frame = pd.DataFrame({"ts": load.ts[on], "instances": take[on]}).assign(**words)
    return frame[list(columns.columns_of("plan.coverage"))].astype(dict.fromkeys(words, "str"))


def _each(row: Mapping[str, Any], key: tuple[str, ...], catalog: Catalog) -> float:
    """Units of a commitment that an hour of a machine takes; 0 where it does not pay for it.

    Of a reservation, the machine's size over that of its own type within a group of flexible
    sizes. Of a spending commitment, the dollars of the hour at its rate: stated, or the
    on-demand price less the discount.
    """
    _, provider, region, name, _ = key
    if row["provider"] != provider or row["region"] not in (region, *_ANYWHERE):
        return 0.0
    machine, scope = _machine(catalog, provider, region, name), _machine(catalog, provider, region, str(row["scope"]))
    if machine is None:
        return 0.0
    if row["category"] != "Spend":
        if scope is None or flexible_size(machine)[0] != flexible_size(scope)[0]:
            return 0.0
        return flexible_size(machine)[1] / flexible_size(scope)[1]
    if not {name, str(machine["family"])} & set(str(row["scope"]).split()):
        return 0.0
    rates = catalog.rates
    here = rates[(rates["provider"] == provider) & (rates["region"] == region) & (rates["instance_type"] == name)]
    public = here.loc[here["purchase_option"] == "on_demand", "rate_usd_per_h"]
    rate = float(row["rate_usd_per_h"])
    return (
        rate
        if np.isfinite(rate)
        else float(public.iloc[0]) * (1 - float(row["discount_share"]))
        if len(public)
        else 0.0
    )


def _machine(catalog: Catalog, provider: str, region: str, name: str) -> dict[Any, Any] | None:
    m = catalog.instances
    found = m[(m["provider"] == provider) & (m["region"] == region) & (m["instance_type"] == name)]
    return found.iloc[0].to_dict() if len(found) else None


def _signed(scenario: Scenario, held: Existing, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``plan.commitments``; its prepayment lies behind.

    The start is the end less the term, as bills state ends only. The upfront part is
    told for the amortized cost.
    """
    end = pd.Timestamp(held.end, tz=scenario.time_zone).tz_convert("UTC")
    start = later(end, -int(row["term_months"]), scenario.time_zone)
    per_h = held.quantity * (1.0 if row["category"] == "Spend" else float(row["rate_usd_per_h"]))
    hours = (end - start) / pd.Timedelta(hours=1)
    words = {k: row[k] for k in ("provider", "region", "commitment", "category", "plan_kind", "scope", "payment")}
    return {
        **words,
        "term_months": int(row["term_months"]),
        "quantity": float(held.quantity),
        "unit": "USD/h" if row["category"] == "Spend" else "instance",
        "start": start,
        "end": end,
        "upfront_usd": per_h * float(row["upfront_share"]) * hours,
        "hourly_usd": per_h * (1 - float(row["upfront_share"])),
        "commitment_utilization": float("nan"),
        "break_even_utilization": float("nan"),
        "regret_low_usd": float("nan"),
        "regret_high_usd": float("nan"),
    }


def catalog_of(scenario: Scenario, held: tuple[Existing, ...], known: Catalog) -> Catalog:
    """``known`` with the offers of the places that are left, to find the terms of what is held
    there.
    """
    left = {place_of(e) for e in held if is_left(e, scenario)}
    tables = [known.commitments]
    for provider, region in sorted(left):
        try:
            tables.append(Catalog.read(provider, regions=[region]).commitments)
        except CatalogError:
            continue  # a place without a snapshot: its terms stay unknown
    return replace(known, commitments=pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True))


def stranded(scenario: Scenario, held: tuple[Existing, ...], catalog: Catalog) -> tuple[Stranded, ...]:
    """What is still paid for commitments whose place is left, from the start of the plan to
    their end (NaN where their terms are not known).

    Hourly fees alone: what was prepaid is spent either way and decides nothing (sunk).
    """
    out, start = [], pd.Timestamp(scenario.start_utc)
    for e in held:
        if not is_left(e, scenario):
            continue
        row, end = terms(e, catalog), pd.Timestamp(e.end, tz=scenario.time_zone).tz_convert("UTC")
        hours = max((end - start) / pd.Timedelta(hours=1), 0.0)
        per_h = float("nan") if row is None else float(_signed(scenario, e, row)["hourly_usd"])
        out.append(Stranded(e.commitment, per_h, end, per_h * hours))
    return tuple(out)
