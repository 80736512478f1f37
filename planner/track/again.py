"""What to change now: the same question asked again from today, with what came since, and with the
contracts that are held.

The answer is a plan for the rest of the horizon and a list of actions: each with what it changes a
month against the first plan over the same hours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.capacity import Capacity, size
from planner.catalog import Catalog
from planner.load import Load, Traffic, forecast
from planner.optimizer import optimize
from planner.optimizer.bill.schedule import HELD
from planner.plan import Plan
from planner.scenario import Existing, Scenario
from planner.today import kept
from planner.track.period import Period, planned

LEAST_H = 28 * 24  # the rest of a horizon is planned for at least four weeks
_SMALL_USD = 1.0  # a month; smaller changes are no action


class Again(NamedTuple):
    """The question asked again (``scenario``, ``load``, ``capacity``), its ``plan``, and ``actions``
    (frame ``track.actions``).
    """

    scenario: Scenario
    load: Load
    capacity: Capacity
    plan: Plan
    actions: pd.DataFrame


def appended(history: Traffic, actual: Traffic) -> Traffic:
    """The history with what came after it, hourly; where both observed
    an hour, what came counts.
    """
    before, after = history.hourly(), actual.hourly()
    both = after.combine_first(before).sort_index()
    index = pd.date_range(both.index[0], both.index[-1], freq="h", unit="us")
    rates: Floats = np.asarray(both.reindex(index), dtype=np.float64)
    return replace(
        history,
        start=index[0],
        interval_s=3600,
        arrival_rate_rps=rates,
        input_tokens=None,
        output_tokens=None,
    )


def held(scenario: Scenario, plan: Plan, now: pd.Timestamp) -> tuple[Existing, ...]:
    """Commitments in force: the scenario's own, and those that the plan signed before ``now``."""
    own = tuple(e for e in scenario.existing if pd.Timestamp(e.end, tz=scenario.time_zone) > now)
    every = plan.commitments[~plan.commitments["commitment"].str.endswith(HELD)]
    signed = every[(every["start"] < now) & (every["end"] > now)]
    return (*own, *(_existing(r, scenario) for r in signed.to_dict("records")))


def _existing(row: Mapping[Any, Any], scenario: Scenario) -> Existing:
    """A contract that a plan signed, as a scenario states it."""
    end = row["end"].tz_convert(scenario.time_zone).date()
    return Existing(commitment=row["commitment"], quantity=row["quantity"], end=end, region=row["region"])


def rest(scenario: Scenario, plan: Plan, now: date) -> Scenario:
    """The scenario from ``now`` to its end, at least four weeks, with the contracts held."""
    start = pd.Timestamp(now, tz=scenario.time_zone)
    left = int((pd.Timestamp(scenario.end_utc) - start) / pd.Timedelta(hours=1))
    update = {
        "start": now,
        "horizon_h": max(left, LEAST_H),
        "existing": held(scenario, plan, start),
        "today": None,
    }
    return scenario.model_copy(update=update)


def plan_again(
    scenario: Scenario,
    plan: Plan,
    traffic: Mapping[str, Traffic],
    catalog: Catalog,
    now: date,
    *,
    paths: int = 200,
) -> Again:
    """Plan the rest of the horizon on ``traffic`` that holds what came.

    Raises as :func:`planner.load.forecast`, :func:`planner.capacity.size` and
    :func:`planner.optimizer.optimize` do.
    """
    asked = kept(rest(scenario, plan, now))
    load = forecast(traffic, asked, paths=paths)
    capacity = size(asked, catalog, load)
    found = optimize(asked, load, capacity, catalog)
    return Again(asked, load, capacity, found, actions(plan, found, asked, scenario))


def actions(before: Plan, after: Plan, asked: Scenario, scenario: Scenario) -> pd.DataFrame:
    """What differs over the hours that both plans cover (frame
    ``track.actions``), largest first.
    """
    start, end = pd.Timestamp(asked.start_utc), pd.Timestamp(asked.end_utc)
    common = Period(start, min(end, pd.Timestamp(scenario.end_utc)))
    months = after.months * common.days / max(Period(start, end).days, 1e-9)
    rows = [
        *_contracts(before, after, start, months),
        *_machines(before, after, common, scenario, months),
    ]
    table = pd.DataFrame(rows, columns=["service", "action", "usd_per_month", "sentence"])
    table = table.astype({"service": "str", "action": "str", "sentence": "str", "usd_per_month": "float64"})
    order = table["usd_per_month"].abs().sort_values(ascending=False, kind="stable").index
    return columns.check("track.actions", table.loc[order].reset_index(drop=True))


def _contracts(before: Plan, after: Plan, start: pd.Timestamp, months: float) -> Iterator[tuple[str, str, float, str]]:
    """Commitments to sign that the first plan did not hold: what each saves against on demand."""
    known = set(before.commitments.loc[before.commitments["start"] < start, "commitment"])
    for r in after.commitments.to_dict("records"):
        if r["start"] < start or (r["commitment"] in known and r["start"] <= start and _same(before, r)):
            continue
        mine = after.cost[after.cost["commitment"] == r["commitment"]]
        saved = float((mine["list_cost_usd"] - mine["effective_cost_usd"]).sum()) / months
        told = f"sign {r['quantity']:g} × {r['commitment']} from {r['start']:%Y-%m-%d} for {r['term_months']} months"
        yield "", "sign", -saved, f"{told}: {_use(r)}, {r['upfront_usd']:,.0f} USD at once"


def _same(before: Plan, row: Mapping[object, object]) -> bool:
    """Whether the first plan holds this very contract: its name and its last hour.

    The same name with another end is another contract, to be signed by itself.
    """
    mine = before.commitments
    return bool(((mine["commitment"] == row["commitment"]) & (mine["end"] == row["end"])).any())


def _use(row: Mapping[object, object]) -> str:
    share = row["commitment_utilization"]
    return f"{float(str(share)):.0%} of it would be used"


def _machines(
    before: Plan, after: Plan, common: Period, scenario: Scenario, months: float
) -> Iterator[tuple[str, str, float, str]]:
    """Machines of each service and type, as mean numbers over the common hours, with their cost."""
    sides = [_running(p, common, pd.Timestamp(scenario.end_utc)) for p in (before, after)]
    both = sides[0].add_suffix("_0").join(sides[1].add_suffix("_1"), how="outer").fillna(0.0)
    for r in both.reset_index().to_dict("records"):
        usd = float(r["usd_1"] - r["usd_0"]) / months
        old, new = float(r["mean_0"]), float(r["mean_1"])
        if abs(usd) < _SMALL_USD or abs(new - old) < 0.05:
            continue
        verb = "add" if new > old else "remove"
        kind = f"{r['resource']} {str(r['purchase_option']).replace('_', ' ')}"
        yield (
            str(r["service"]),
            verb,
            usd,
            f"{verb} {abs(new - old):.1f} × {kind}: {old:.1f} to {new:.1f} on average",
        )


def _running(plan: Plan, common: Period, end: pd.Timestamp) -> pd.DataFrame:
    """Mean machines and compute dollars by service, type and option over the common hours."""
    rows = planned(plan, common, end)
    rows = rows[rows["charge"] == "compute"]
    found = rows.groupby(["service", "resource", "purchase_option"], observed=True)
    table = found[["quantity", "effective_cost_usd"]].sum()
    return pd.DataFrame(
        {"mean": table["quantity"] / (common.days * 24), "usd": table["effective_cost_usd"]},
        index=table.index,
    )
