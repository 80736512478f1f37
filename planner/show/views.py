"""What the pages and notebooks show of a study: small frames and figures, computed from the plan's
own frames.

Nothing here rounds, fills or estimates: every figure is a sum or a quantile of frames that can be
downloaded. Calendar days and months are those of the scenario's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.catalog.checks import first_day
from planner.charges import charge
from planner.latency import LatencyModel
from planner.load import Load, Traffic, forecast_quantiles
from planner.plan import Plan
from planner.scenario import Objective, Scenario
from planner.show.words import BASES, CAUSES, OPTIONS, committed, money, share, spelled

if TYPE_CHECKING:
    from planner.study import Planned, Study

MACHINE = ["service", "provider", "region", "instance_type", "deployment"]


def price_ages(plan: Plan, today: date) -> pd.DataFrame:
    """How old the prices behind the bill are: ``age_days effective_cost_usd``, youngest first; NaN
    days where no date is known.

    A resource priced from several dates (tiers) counts as its oldest.
    """
    keys = ["provider", "region", "purchase_option", "resource"]
    days = plan.prices["as_of"].map(
        lambda text: np.nan if (first := first_day(text)) is None else float((today - first).days)
    )
    oldest = plan.prices.assign(age_days=days).groupby(keys, as_index=False)["age_days"].max()
    bill: pd.DataFrame = (
        plan.cost.groupby(keys, as_index=False)["effective_cost_usd"].sum().merge(oldest, how="left", on=keys)
    )
    return bill.groupby("age_days", dropna=False)["effective_cost_usd"].sum().reset_index()


def oldest_prices(plan: Plan, today: date, limit_days: int) -> list[str]:
    """Places whose prices of this bill are older than ``limit_days``, such
    as ``gcp europe-west4``.
    """
    prices = plan.prices.drop_duplicates(["provider", "region", "as_of"])
    first = prices["as_of"].map(first_day)
    old = [d is not None and (today - d).days > limit_days for d in first]
    return sorted((prices["provider"] + " " + prices["region"])[old].str.strip().unique())


def typical_age_days(ages: pd.DataFrame) -> float:
    """The age that half of the bill's dated prices do not exceed; NaN if none is dated."""
    dated = ages.dropna()
    half = dated["effective_cost_usd"].cumsum() >= dated["effective_cost_usd"].sum() / 2
    return float(dated.loc[half, "age_days"].iloc[0]) if half.any() else float("nan")


def usable(plan: Plan, capacity: Capacity) -> pd.DataFrame:
    """Each row of the schedule with ``usable_rps``, the rate its replicas may carry together
    [requests/s].
    """
    each = capacity.frame.loc[capacity.frame["excuse"] == "", [*MACHINE, "spot_yield"]]
    table = plan.schedule.merge(each, on=MACHINE, how="left", validate="many_to_one")
    share = table["spot_yield"].where(table["purchase_option"] == "spot", 1.0)
    return table.assign(usable_rps=capacity.borne_rps(table) * share)


def load_hours(load: Load, scenario: Scenario, service: str) -> pd.DataFrame:
    """One row an hour of one service: local ``time``, load ``p10 p50 p90`` and ``planned``, its
    load quantile [requests/s].
    """
    planned = scenario.services[service].objective.load_quantile
    bands = np.quantile(load.services[service].arrival_rate_rps, [0.1, 0.5, 0.9, planned], axis=0)
    return pd.DataFrame(
        {"time": local(load.ts, scenario)} | dict(zip(("p10", "p50", "p90", "planned"), bands, strict=True))
    )


def hourly(study: Planned, service: str) -> pd.DataFrame:
    """:func:`load_hours` with ``capacity``, what the running machines may carry, and ``left``, the
    same when the zones that hurt most are lost, as the plan counts it [requests/s].
    """
    able = usable(study.plan, study.capacity)
    carried = (
        able[able["service"] == service]
        .groupby("ts")["usable_rps"]
        .sum()
        .reindex(study.load.ts, fill_value=0.0)
        .to_numpy()
    )
    hours = load_hours(study.load, study.scenario, service).assign(capacity=carried)
    return hours.assign(left=_left_rps(study, service)) if study.scenario.limits.loss.lost else hours


def _left_rps(study: Planned, service: str) -> Floats:
    """What the machines of each hour still carry after the worst loss of zones, shape (hours,).

    Whole machines (or as many as hold one replica) are dealt to the zones in turn in the order of
    ``capacity``, spot last.
    """
    schedule, sized = study.plan.schedule, study.capacity.frame
    able = sized[sized["excuse"] == ""].set_index(MACHINE)[["instances_per_replica", "spot_yield"]].to_dict("index")
    turn = {key: place for place, key in enumerate(able)}
    kinds = sorted(
        schedule[schedule["service"] == service].groupby([*MACHINE, "purchase_option"], observed=True),
        key=lambda kind: (kind[0][-1] == "spot", turn[kind[0][:-1]]),
    )
    units, bears = [], []
    for (*key, option), rows in kinds:
        each, spot_yield = able[tuple(key)].values()
        count = rows.groupby("ts")["instances"].sum().reindex(study.load.ts, fill_value=0.0)
        units.append(np.rint(count / max(1, np.ceil(each - 1e-9))).astype(np.int64))
        replicas = rows["replicas"].sum() / max(1, units[-1].sum())
        bears.append(_bears(study.capacity, tuple(key), replicas, spot_yield if option == "spot" else 1.0))
    return study.scenario.limits.loss.worst(np.stack(units, axis=1), bears) if units else np.zeros(study.load.hours)


def _bears(capacity: Capacity, key: Any, replicas: float, worth: float) -> Callable[[Ints], Floats]:
    return lambda units: capacity.bears_rps(key, units * replicas) * worth


def daily(hours: pd.DataFrame) -> pd.DataFrame:
    """The busiest hour of each local day for every curve of :func:`hourly`."""
    return hours.groupby(hours["time"].dt.normalize().rename("day")).max().drop(columns="time").reset_index()


def peak_week(hours: pd.DataFrame, week: pd.Timestamp | None = None) -> pd.DataFrame:
    """The seven local days from ``week`` on; by default those around the highest planned load."""
    at = hours["time"]
    if week is None:
        top = at.iloc[int(hours["planned"].to_numpy().argmax())].normalize()
        week = max(top - pd.Timedelta(days=3), at.min().normalize())
    return hours[(at >= week) & (at < week + pd.Timedelta(days=7))]


def local(ts: pd.DatetimeIndex | pd.Series[pd.Timestamp], scenario: Scenario) -> pd.DatetimeIndex:
    """Instants as wall-clock time of the scenario, without zone (charts draw them as written)."""
    return pd.DatetimeIndex(ts).tz_convert(scenario.time_zone).tz_localize(None)


def configuration(study: Planned) -> pd.DataFrame:
    """What runs: one row for each service, machine and purchase option with instances over time and
    its share of the work.
    """
    plan = study.plan
    table = usable(plan, study.capacity).assign(
        instance_h=lambda t: t["instances"] * t["weight_h"],
        work=lambda t: t["usable_rps"] * t["weight_h"],
    )
    keys = ["service", "provider", "region", "instance_type", "deployment", "purchase_option"]
    grouped = table.groupby(keys, as_index=False).agg(
        most=("instances", "max"), instance_h=("instance_h", "sum"), work=("work", "sum")
    )
    grouped["mean"] = grouped["instance_h"] / study.scenario.horizon_h
    grouped = grouped.assign(machine=machine(grouped), where=grouped["provider"] + " " + grouped["region"])
    grouped["work_share"] = grouped["work"] / grouped.groupby("service")["work"].transform("sum")
    return grouped[grouped["instance_h"] > 0].sort_values(
        ["service", "work_share"], ascending=[True, False], ignore_index=True
    )


def paid(plan: Plan, pools: pd.DataFrame) -> list[str]:
    """How each pool is paid, in words: on demand, spot, or the share of its machine hours that
    commitments pay. ``pools`` are named by columns of the schedule, ``purchase_option`` among them.
    """
    keys = [c for c in MACHINE if c in pools]
    ready = plan.schedule[plan.schedule["purchase_option"] != "spot"]
    hours = (ready["instances"] * ready["weight_h"]).groupby([ready[c] for c in keys], observed=True).sum()
    weight = plan.schedule.drop_duplicates("ts").set_index("ts")["weight_h"]
    coverage = plan.coverage
    covered = coverage["instances"] * coverage["ts"].map(weight)
    part = (
        covered.groupby([coverage[c] for c in keys], observed=True).sum().reindex(hours.index, fill_value=0.0) / hours
    )
    named = part.reindex(pd.MultiIndex.from_frame(pools[keys])).fillna(0.0)
    return [OPTIONS[o] if o == "spot" else committed(p) for o, p in zip(pools["purchase_option"], named, strict=True)]


def unit_costs(capacity: Capacity, catalog: Catalog) -> pd.DataFrame:
    """Every machine that can serve, by service and by the on-demand cost of a million requests at
    full use.

    ``usd_per_1m_requests`` = rate × instances a replica ÷ usable rate ÷ 3,600 s × 10⁶; a missing
    price leaves NaN, never 0.
    """
    place = ["provider", "region", "instance_type"]
    able: pd.DataFrame = capacity.frame[capacity.frame["excuse"] == ""]
    rates = catalog.rates[catalog.rates["purchase_option"] == "on_demand"].drop_duplicates(place)
    table: pd.DataFrame = able.merge(rates[[*place, "rate_usd_per_h"]], how="left", on=place)
    table["usd_per_1m_requests"] = (
        table["rate_usd_per_h"] * table["instances_per_replica"] / table["usable_rps"] / 3600.0 * 1e6
    )
    keep = [
        *MACHINE,
        "usable_rps",
        "binding_objective",
        "basis",
        "error_share",
        "rate_usd_per_h",
        "usd_per_1m_requests",
    ]
    return table[keep].sort_values(["service", "usd_per_1m_requests"], ignore_index=True)


def price_list(catalog: Catalog) -> pd.DataFrame:
    """Machines with their on-demand and spot price an hour [USD] and where the on-demand price was
    read; unknown prices are NaN.
    """
    place = ["provider", "region", "instance_type"]
    rates = catalog.rates
    prices = rates.pivot_table(index=place, columns="purchase_option", values="rate_usd_per_h", aggfunc="first")
    read = rates[rates["purchase_option"] == "on_demand"].drop_duplicates(place)[[*place, "basis", "as_of", "source"]]
    shapes = catalog.instances[[*place, "vcpus", "memory_gib", "accelerator", "accelerators"]]
    table: pd.DataFrame = shapes.merge(
        prices.reindex(columns=["on_demand", "spot"]).reset_index(), on=place, how="left"
    ).merge(read, on=place, how="left")
    return table.sort_values([*place[:2], "on_demand", "instance_type"], ignore_index=True)


def ranking(study: Planned) -> pd.DataFrame:
    """:func:`unit_costs` with the share of the work each machine got (``work_share``) and the
    ``reason`` if it got none.
    """
    place = ["service", "provider", "region", "instance_type"]
    used = configuration(study).groupby(MACHINE, as_index=False)["work_share"].sum()
    why = study.plan.excuses.drop_duplicates(place)[[*place, "reason"]]
    table: pd.DataFrame = (
        unit_costs(study.capacity, study.catalog).merge(used, how="left", on=MACHINE).merge(why, how="left", on=place)
    )
    where = table["provider"] + " " + table["region"]
    table = table.fillna({"reason": "", "work_share": 0.0})
    return table.assign(machine=machine(table), where=where)


def machine(table: pd.DataFrame) -> pd.Series[str]:
    """Machine type with the layout of a replica on it, if that has a name."""
    layout: pd.Series[str] = table["deployment"].where(table["deployment"] == "", ", " + table["deployment"])
    return table["instance_type"] + layout


def ledger(study: Planned) -> pd.DataFrame:
    """:func:`headroom` of the machines in use."""
    return headroom(study.capacity, configuration(study))


def headroom(capacity: Capacity, machines: pd.DataFrame) -> pd.DataFrame:
    """What is kept free on some machines (rows with ``service provider region instance_type
    deployment``), in words.

    ``label cause headroom_share basis``; causes that keep nothing free are left out.
    """
    rows: pd.DataFrame = capacity.headroom.merge(machines[MACHINE].drop_duplicates(), on=MACHINE)
    label = rows["service"] + " on " + machine(rows)
    table = rows.assign(label=label, cause=rows["cause"].map(CAUSES).fillna(rows["cause"]))
    kept: pd.DataFrame = table.loc[table["headroom_share"] >= 0.0005, ["label", "cause", "headroom_share", "basis"]]
    return kept.reset_index(drop=True)


def latency_curve(model: LatencyModel, objective: Objective, upto_rps: float) -> pd.DataFrame:
    """Latency of one replica at forty rates below ``upto_rps``: ``rate_rps latency_s objective
    limit_s``, one curve a bound.
    """
    rates = np.linspace(upto_rps / 40, upto_rps, 40)
    curves = [
        pd.DataFrame(
            {
                "rate_rps": rates,
                "latency_s": model.latency_s(rates, 1, quantile, metric),
                "objective": spelled(name),
                "limit_s": limit,
            }
        )
        for name, metric, quantile, limit in objective.bounds()
    ]
    table = pd.concat(curves, ignore_index=True)
    finite: pd.DataFrame = table[np.isfinite(table["latency_s"])]
    return finite


def out_of_reach(capacity: Capacity) -> pd.DataFrame:
    """Why machines cannot serve at all: ``service excuse types example``,
    the most frequent first.
    """
    grouped = capacity.frame[capacity.frame["excuse"] != ""].groupby(["service", "excuse"])
    table: pd.DataFrame = grouped.agg(
        types=("instance_type", "nunique"), example=("instance_type", "first")
    ).reset_index()
    return table.sort_values(["service", "types"], ascending=[True, False], ignore_index=True)


def hindcast(traffic: Traffic, scenario: Scenario, hours: int = 168) -> pd.DataFrame:
    """The last ``hours`` of a history as they would have been forecast from what came before:
    ``time p5 p50 p95 actual`` [requests/s].
    """
    known = traffic.hourly()
    train, kept = known.iloc[:-hours], known.iloc[-hours:]
    train.attrs.update(
        {"tz": traffic.user_time_zone or scenario.time_zone, "clock": "utc", "holidays": traffic.holidays}
    )
    said = forecast_quantiles(train, hours, [0.05, 0.5, 0.95])
    time = local(pd.DatetimeIndex(kept.index), scenario)
    return pd.DataFrame(
        {"time": time, "actual": kept.to_numpy()} | {f"p{100 * q:.0f}": said[q].to_numpy() for q in (0.05, 0.5, 0.95)}
    )


def range_causes(load: Load) -> pd.DataFrame:
    """What the spread of each service's volume comes from: ``service cause share``."""
    rows = [{"service": n, "cause": c, "share": v} for n, s in load.services.items() for c, v in s.range_share.items()]
    return pd.DataFrame(rows, columns=["service", "cause", "share"])


def reasons(plan: Plan) -> pd.DataFrame:
    """Why machines are not used: ``service reason types example``, the
    most frequent reason first.
    """
    grouped = plan.excuses.groupby(["service", "reason"])
    table: pd.DataFrame = grouped.agg(
        types=("instance_type", "nunique"), example=("instance_type", "first")
    ).reset_index()
    return table.sort_values(["service", "types"], ascending=[True, False], ignore_index=True)


def running(study: Planned) -> pd.DataFrame:
    """Instances by local day and how they are paid: mean ``instances`` on demand, spot and covered
    by commitments.
    """
    plan, scenario = study.plan, study.scenario
    ran = plan.schedule.pivot_table(
        index="ts", columns="purchase_option", values="instances", aggfunc="sum", fill_value=0.0
    )
    ran = ran.reindex(study.load.ts, fill_value=0.0)
    covered = plan.coverage.groupby("ts")["instances"].sum().reindex(ran.index, fill_value=0.0)
    on_demand, spot = (ran[o] if o in ran else pd.Series(0.0, ran.index) for o in ("on_demand", "spot"))
    paid = pd.DataFrame({"Committed": covered, "On demand": (on_demand - covered).clip(lower=0.0), "Spot": spot})
    days = paid.groupby(local(study.load.ts, scenario).normalize()).mean().rename_axis("day").reset_index()
    return days.melt("day", var_name="paid", value_name="instances")


def held(study: Study, service: str) -> pd.DataFrame:
    """The worst hour of each local day: ``day objective within_share``, the share of requests
    within each objective.
    """
    hours = study.replay.hours[study.replay.hours["service"] == service]
    day = local(hours["ts"], study.scenario).normalize()
    return hours.assign(day=day).groupby(["day", "objective"])[["within_share"]].min().reset_index()


def by_basis(plan: Plan) -> pd.DataFrame:
    """What the bill rests on: ``basis effective_cost_usd``, in words, largest first."""
    table: pd.DataFrame = plan.cost.groupby("basis")[["effective_cost_usd"]].sum().reset_index()
    table["basis"] = table["basis"].map(BASES).fillna(table["basis"])
    return table.sort_values("effective_cost_usd", ascending=False, ignore_index=True)


def bridge(first: Plan, second: Plan, names: tuple[str, str], most: int = 6) -> pd.DataFrame:
    """Steps of a waterfall from one plan's cost to another's [USD]: ``step start end top change
    kind label``, in order.

    The ``most`` largest differences by service and charge stand alone, the others together; the
    steps add up exactly.
    """
    rows = first.compare(second)
    what = (
        rows["service"].where(rows["service"] != "", "all")
        + ": "
        + rows["charge"].map(lambda name: charge(str(name)).title.lower())
    )
    change = rows["difference_usd"].groupby(what).sum()
    change = change.reindex(change.abs().sort_values(ascending=False).index)
    least = max(0.5, 0.001 * first.total_usd)
    parts = [(str(k), float(v)) for k, v in change.iloc[:most].items() if abs(v) >= least]
    return waterfall((names[0], first.total_usd), (names[1], second.total_usd), parts)


def waterfall(first: tuple[str, float], second: tuple[str, float], parts: list[tuple[str, float]]) -> pd.DataFrame:
    """Steps from one named sum to another [USD], as :func:`planner.show.charts.bridge` draws them;
    what the ``parts`` leave open is "all other".
    """
    rest = second[1] - first[1] - sum(v for _, v in parts)
    parts = [*parts, *([("all other", rest)] if abs(rest) >= 0.5 else [])]
    steps, level = [(first[0], 0.0, first[1], "total")], first[1]
    for name, value in parts:
        steps.append((name, level, level + value, "more" if value > 0 else "less"))
        level += value
    table = pd.DataFrame([*steps, (second[0], 0.0, second[1], "total")], columns=["step", "start", "end", "kind"])
    table = table.assign(top=table[["start", "end"]].max(axis=1), change=table["end"] - table["start"])
    label = [
        money(c) if k == "total" else f"{'+' if c > 0 else ''}{money(c)}"
        for c, k in zip(table["change"], table["kind"], strict=True)
    ]
    return table.assign(label=label)


def side_by_side(studies: Mapping[str, Study]) -> pd.DataFrame:
    """The same figures of several studies, one column each, ready to read; of two, with a column
    ``Difference``, the second less the first.
    """
    figures = {name: _figures(study) for name, study in studies.items()}
    table = {name: {k: f.said for k, f in found.items()} for name, found in figures.items()}
    if len(figures) == 2:
        a, b = figures.values()
        table["Difference"] = {k: a[k].apart(b[k]) for k in a}
    return pd.DataFrame(table)


class _Said(NamedTuple):
    """A figure in words with the value behind it, of which the difference is said: ``money``,
    ``unit`` (a small sum), ``share`` (in points), ``ratio``, or ``range``, whose ends are not
    subtracted.
    """

    said: str
    value: float
    kind: str

    def apart(self, other: _Said) -> str:
        """How far the other figure is from this one."""
        change = other.value - self.value
        if self.kind == "range" or change != change:
            return "–"
        size = {
            "money": money(abs(change)),
            "unit": f"${abs(change):,.4f}",
            "share": f"{abs(change) * 100:.{2 if abs(change) < 0.01 else 0}f} points",
            "ratio": f"{abs(change):.2f}",
        }[self.kind]
        return f"{'−' if change < 0 else '+'}{size}" if re.search("[1-9]", size) else "none"


def _figures(study: Study) -> dict[str, _Said]:
    """What two plans are compared by."""
    found, months = study.plan.summary(), study.plan.months
    within, bears = study.replay.within_share(), float(study.replay.breaks["load_multiplier"].min())
    ends = f"{money(found['p10_usd'] / months)} to {money(found['p90_usd'] / months)}"
    shares = {
        "Below list price of the same machines": found["effective_savings_rate"],
        "On demand, share of compute": found["on_demand_share"],
        "Spot, share of compute": found["spot_share"],
        "Committed, share of compute": found["committed_share"],
    }
    requests = sum(study.requests.values())
    each = study.plan.total_usd / requests * 1000 if requests else float("nan")
    return {
        "Cost a month": _money(found["monthly_mean_usd"]),
        "In 8 of 10 futures, a month": _Said(ends, float("nan"), "range"),
        "Cost in all": _money(found["total_usd"]),
        **{name: _Said(share(v), v, "share") for name, v in shares.items()},
        "Requests in time": _Said(share(within, 2), within, "share"),
        "Bears, times the planned load": _Said(f"{bears:.2f}", bears, "ratio"),
        "Cost of 1,000 requests": _Said(f"${each:,.4f}" if each == each else "–", each, "unit"),
        "Without owner, a month": _money(found["unowned_usd"] / months),
    }


def _money(usd: float) -> _Said:
    return _Said(money(usd), usd, "money")


def units(study: Planned) -> pd.DataFrame:
    """Effective cost of 1,000 requests and, where there are any, of a million tokens by service:
    ``service unit usd_each``; idle hours are paid.
    """
    charged = set(study.plan.cost["service"])
    volumes = {
        "1,000 requests": study.plan.usd_per_1k_requests({s: v for s, v in study.requests.items() if s in charged}),
        "1 million tokens": study.plan.usd_per_1m_tokens({s: v for s, v in study.tokens.items() if s in charged}),
    }
    rows = [(service, unit, usd) for unit, each in volumes.items() for service, usd in each.items()]
    return pd.DataFrame(rows, columns=["service", "unit", "usd_each"])


def month_range(plan: Plan) -> pd.DataFrame:
    """P10, P50 and P90 of each calendar month's bill over the load paths [USD]: ``month p10 p50
    p90``.
    """
    return plan.monthly_range().rename(columns={"p10_usd": "p10", "p50_usd": "p50", "p90_usd": "p90"})


def path_costs(plan: Plan) -> Floats:
    """The bill on each valued load path [USD], sorted."""
    return np.sort(np.asarray(plan.paths_usd, dtype=np.float64))


def load_summary(load: Load, service: str) -> pd.DataFrame:
    """Volume and peak of a service over the paths: P10, P50 and P90."""
    found = {"requests": load.volume(service), "peak_rps": load.peak(service)}
    return pd.DataFrame(
        {name: np.quantile(v, [0.1, 0.5, 0.9]) for name, v in found.items()},
        index=["P10", "P50", "P90"],
    )
