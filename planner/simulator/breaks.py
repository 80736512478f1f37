"""What breaks first: how far the plan's own hours are from each thing that could fail them, the
dearest to mend first, then the smallest margin.

A margin is what is borne over what is asked: of load, of quota, of budget; below 1 it fails as
planned.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.calendar import Months
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator.fleet import Task
from planner.simulator.tables import Together
from planner.zones import Zones

FAILS = {
    "overload": "as load grows",
    "zone_lost": "when a zone is lost",
    "spot_lost": "when all spot machines are taken back",
    "retries": "after an overload, which its clients' retries then keep up",
}


class Margin(NamedTuple):
    """One threat to one service: by hour what is borne over what is asked, and what is missing
    [requests/s].
    """

    cause: str
    objective: str
    margin: Floats
    missing_rps: Floats


def burst_of(burst_factor: float) -> float:
    """The rate of the busiest five minutes over the hour's mean."""
    return min(max(burst_factor, 1.0), 12.0)


def margins(task: Task) -> Iterator[Margin]:
    """Every threat to a service that its plan has an answer to or lacks one.

    Asked is the planned load times the burst (where the plan runs nothing, the median of the
    paths'); borne is what the machines of the hour may carry within each objective: all of them,
    those left when the fullest zone is lost, those left without spot. With retries also
    saturation over 1 + retries: beyond it the tries of those who gave up keep the fleet full,
    and it does not recover (metastable failure; Bronson and others 2021).
    """
    # load may come where nothing runs
    unplanned = (task.scheduled.sum(axis=1) == 0) & (task.planned_rps == 0)
    asked = np.where(unplanned, np.median(task.rate, axis=0), task.planned_rps) * burst_of(task.burst)
    names = [b[0] for b in task.bounds]
    counts = {"overload": task.scheduled}
    if task.zones > 1 and task.scheduled.size:
        counts["zone_lost"] = without_zone(task)
    if task.has_spot:
        counts["spot_lost"] = task.scheduled * np.array([not k.spot for k in task.kinds])
    for cause, n in counts.items():
        limit = bears(task, n).limit
        which = int(_over(limit, asked).min(axis=1).argmin())
        yield Margin(cause, names[which], _over(limit[which], asked), np.maximum(asked - limit[which], 0.0))
    if task.retries and task.kinds:
        full = bears(task, task.scheduled).saturation / (1 + task.retries)
        yield Margin("retries", names[0], _over(full, asked), np.maximum(asked - full, 0.0))


def bears(task: Task, counts: Ints) -> Together:
    """What counts (hours, kinds) of replicas bear, hour by hour, with traffic split by
    what each kind may bear.
    """
    n = counts.T.astype(np.float64)
    weight = np.stack([k.bears_rps[c] for k, c in zip(task.kinds, counts.T, strict=True)]) if task.kinds else n
    return Together.of(list(task.tables), n, weight) if task.kinds else _none(task)


def _none(task: Task) -> Together:
    hours = len(task.weight_h)
    zero = np.zeros((0, hours))
    return Together(zero, zero, np.zeros((len(task.bounds), hours)), np.zeros(hours))


def without_zone(task: Task) -> Ints:
    """Replicas (hours, kinds) left where the zone that holds most is lost."""
    counts, turn = task.scheduled, np.zeros(len(task.scheduled), dtype=np.int64)
    gone = np.zeros_like(counts)
    for q in range(counts.shape[1]):  # machines are dealt from the first zone on, so it holds most
        gone[:, q] = Zones(task.zones).dealt(counts[:, q], turn)[:, 0]
        turn = (turn + counts[:, q]) % task.zones
    return np.asarray(counts - gone)


def _over(borne: Floats, asked: Floats) -> Floats:
    """Borne over asked, ``inf`` where nothing is asked."""
    out = np.full(np.broadcast_shapes(borne.shape, asked.shape), np.inf)
    return np.asarray(np.divide(borne, asked, out=out, where=asked > 1e-9))


def rows_of(task: Task, plan: Plan, ts: pd.DatetimeIndex, scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Rows of ``replay.breaks`` of one service."""
    for m in margins(task):
        hour = int(np.argmin(m.margin))
        least = float(m.margin[hour])
        usd = _mending(task, m.missing_rps) / plan.months if least < 1 else 0.0
        yield {
            "service": task.service,
            "objective": m.objective,
            "load_multiplier": least,
            "breaks_at": ts[hour],
            "cause": m.cause if np.isfinite(least) else "none",
            "mending_usd_per_month": usd,
            "sentence": _sentence(task, m, least, hour, ts[hour].tz_convert(scenario.time_zone), usd),
        }


def _sentence(task: Task, m: Margin, least: float, hour: int, when: pd.Timestamp, usd: float) -> str:
    if not np.isfinite(least):
        return f"{task.service} has no load that could break it"
    busiest = int(task.scheduled[hour].argmax()) if task.kinds and task.scheduled[hour].any() else -1
    where = task.kinds[busiest].name if busiest >= 0 else "nothing"
    mend = f"; mending it costs {usd:,.0f} USD a month" if usd >= 0.5 else ""
    if m.cause == "overload":
        return (
            f"{task.service} bears {least:.2f} times the planned load, bursts included; then {m.objective} fails first,"
            f" at {when:%Y-%m-%d %H:%M} {when.tz} on {where}{mend}"
        )
    fails = "it never recovers by itself" if m.cause == "retries" else f"{m.objective} fails"
    verb = "holds" if least >= 1 else "does not hold"
    return (
        f"{task.service} {verb} {FAILS[m.cause]}: {least:.2f} times the planned load is borne, then {fails}, first at"
        f" {when:%Y-%m-%d %H:%M} {when.tz}{mend}"
    )


def _mending(task: Task, missing_rps: Floats) -> float:
    """What replicas of the cheapest kind cost that would bear what is missing [USD over the
    horizon]; NaN without prices.

    Σ_h w_h · ⌈missing_h / limit⌉ · price, cheapest by price for the limit of one replica,
    spot left out. An estimate: it buys at the price beyond commitments, and does not ask
    whether the quota allows it.
    """
    each = [
        (k.usd_per_h / t.limit[:, 0].min(), k.usd_per_h, t.limit[:, 0].min())
        for k, t in zip(task.kinds, task.tables, strict=True)
        if not k.spot and t.limit[:, 0].min() > 0 and k.usd_per_h == k.usd_per_h
    ]
    if not each:
        return math.nan
    _, usd, rps = min(each)
    return float((np.ceil(missing_rps / rps - 1e-9) * usd * task.weight_h).sum())


def account_rows(plan: Plan, ts: pd.DatetimeIndex, scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Rows of what all services share: quotas and the budget."""
    for name, count in scenario.limits.quota.items():
        rows = plan.schedule[plan.schedule["instance_type"] == name]
        used = rows.groupby("ts")["instances"].sum()
        if not len(used) or used.max() <= 0:
            continue
        at, most = used.idxmax(), float(used.max())
        yield {
            "service": "",
            "objective": "",
            "load_multiplier": count / most,
            "breaks_at": at,
            "cause": "quota",
            "mending_usd_per_month": 0.0,
            "sentence": f"the quota of {count} {name} is {count / most:.2f} times what is ready at most; then no more"
            " can be started",
        }
    budget = scenario.limits.budget_usd_per_month
    if budget is None:
        return
    paths = {m: float(np.quantile(v, 0.9)) for m, v in plan.paths_month_usd.items() if len(v)}
    if not paths:
        return
    worst = max(paths, key=lambda m: paths[m])
    months = Months.over(ts, scenario.time_zone)
    start = months.start[list(months.start.tz_convert(scenario.time_zone).strftime("%Y-%m")).index(worst)]
    yield {
        "service": "",
        "objective": "",
        "load_multiplier": budget / paths[worst] if paths[worst] > 0 else math.inf,
        "breaks_at": max(start, ts[0]),
        "cause": "budget",
        "mending_usd_per_month": max(0.0, paths[worst] - budget),
        "sentence": f"the budget of {budget:,.0f} USD is {budget / paths[worst]:.2f} times the bill that 90 % of"
        f" futures stay below in {worst}",
    }


def dearest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``replay.breaks`` in order: what costs most to mend (an unknown price before all), then
    the smallest margin.
    """
    usd = -rows["mending_usd_per_month"].fillna(math.inf)
    order = np.lexsort((rows["load_multiplier"].to_numpy(), usd.to_numpy()))
    return rows.iloc[order].reset_index(drop=True)
