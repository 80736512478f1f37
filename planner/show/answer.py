"""The first screen of an answer: what it costs over the year, what is paid when, what to run, what
breaks first, and what the answer rests on.

Every figure is a sum or a quantile of the plan's own frames; money is USD a month of the horizon
unless a name says otherwise.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from planner.charges import charge
from planner.plan import Plan
from planner.show import views, words

if TYPE_CHECKING:
    from planner.study import Planned, Study

OLD_DAYS = 180  # a price read longer ago is named
THIN_DAYS = 84  # twelve weeks: less shows neither a trend nor the turn of a season
_POOL = ["service", "provider", "region", "instance_type", "purchase_option"]


def year(study: Planned) -> pd.DataFrame:
    """The bill by calendar month: ``month expected p10 p90`` [USD]; the
    range is NaN without paths.
    """
    plan = study.plan
    expected = plan.monthly().groupby("month")["effective_cost_usd"].sum().rename("expected").reset_index()
    return expected.merge(views.month_range(plan).drop(columns="p50"), on="month", how="left")


def to_the_cent(plan: Plan) -> pd.DataFrame:
    """The bill of each month and of all of them to the cent, as the files hold it: ``when amortized
    cash at_list``, in words.
    """
    money = {"effective_cost_usd": "amortized", "billed_cost_usd": "cash", "list_cost_usd": "at_list"}
    months = plan.monthly().groupby("month")[list(money)].sum()
    months.loc["In all"] = plan.cost[list(money)].sum()
    shown = months.rename(columns=money).map("${:,.2f}".format).rename_axis("month").reset_index()
    named = shown["month"].map(lambda m: m if m == "In all" else f"{pd.Timestamp(m):%B %Y}")
    return shown.assign(month=named)


def to_run(study: Planned) -> pd.DataFrame:
    """What to run: one row a pool of machines with ``most`` and ``mean`` machines ready and
    ``usd_per_month``; then unused commitments, all else, and the total (the plan's own).
    """
    plan, months = study.plan, study.plan.months
    compute = plan.cost[plan.cost["charge"] == "compute"]
    option = compute["purchase_option"].where(compute["purchase_option"] == "spot", "on_demand")
    keys = [compute[c] for c in ("service", "provider", "region")]
    by = compute.assign(paid=compute["effective_cost_usd"]).groupby(
        [*keys, compute["resource"].rename("instance_type"), option.rename("purchase_option")]
    )
    spent = by["paid"].sum().rename("usd_per_month") / months
    table = _ready(study).merge(spent.reset_index(), how="left", on=_POOL)
    table["paid"] = views.paid(plan, table)
    table["where"] = table["provider"] + " " + table["region"]
    shown = table.rename(columns={"instance_type": "machine"})[
        ["service", "machine", "where", "paid", "mean", "most", "usd_per_month"]
    ].sort_values("usd_per_month", ascending=False)
    return pd.concat([shown, _rest(plan, float(shown["usd_per_month"].sum()))], ignore_index=True)


def _ready(study: Planned) -> pd.DataFrame:
    """Mean and most machines ready, by pool; the layouts of a replica on a type are one pool."""
    schedule = study.plan.schedule
    hours = schedule.groupby([*_POOL, "ts"], as_index=False, observed=True).agg(
        instances=("instances", "sum"), weight_h=("weight_h", "first")
    )
    hours["instance_h"] = hours["instances"] * hours["weight_h"]
    table: pd.DataFrame = hours.groupby(_POOL, as_index=False, observed=True).agg(
        most=("instances", "max"), instance_h=("instance_h", "sum")
    )
    return table.assign(mean=table["instance_h"] / study.scenario.horizon_h)


def _rest(plan: Plan, shown: float) -> pd.DataFrame:
    """Unused commitments, all that is no machine, and the total, as rows under the machines."""
    unused = float(plan.cost.loc[plan.cost["charge"] == "commitment_unused", "effective_cost_usd"].sum()) / plan.months
    total = plan.total_usd / plan.months
    rows = [("Commitments not used", unused), ("Storage, network, other", total - shown - unused)]
    rows = [r for r in rows if abs(r[1]) >= 0.5]
    return pd.DataFrame([*rows, ("Total", total)], columns=["machine", "usd_per_month"])


def breaking(study: Study) -> pd.DataFrame:
    """What breaks first: ``event service times objective when mending sentence``, in the order of the
    replay (dearest to mend, then the smallest margin); the objective in words.
    """
    zone = study.scenario.time_zone
    rows = study.replay.breaks.to_dict("records")
    return pd.DataFrame(
        [
            {
                "event": words.EVENTS[r["cause"]],
                "service": r["service"] or "all",
                "times": r["load_multiplier"],
                "then": words.capital(words.late(r["objective"])) if r["objective"] else "–",
                "when": f"{r['breaks_at'].tz_convert(zone):%b %Y}" if np.isfinite(r["load_multiplier"]) else "–",
                "mending": words.money(r["mending_usd_per_month"]) if r["mending_usd_per_month"] >= 0.5 else "–",
                "sentence": words.breaking(r, zone),
            }
            for r in rows
        ],
        columns=["event", "service", "times", "then", "when", "mending", "sentence"],
    )


def basis_shares(study: Planned) -> dict[str, float]:
    """Shares of the bill that are measured, modeled and assumed.

    A charge counts as the weaker of its price and its quantity: machines of a modeled service are
    modeled, whatever their price.
    """
    cost = study.plan.cost
    kind = cost["basis"].map(words.KINDS).fillna("modeled")
    models = study.capacity.frame.loc[study.capacity.frame["excuse"] == "", ["service", "basis"]].drop_duplicates()
    weakest = {
        str(s): max((words.KINDS.get(str(b), "modeled") for b in part["basis"]), key=_RANK.index)
        for s, part in models.groupby("service", observed=True)
    }
    machines = cost["charge"].isin(["compute", "commitment_unused", "commitment_fee"])
    sized = cost["service"].map(weakest).where(machines).fillna("measured")
    rank = np.maximum(kind.map(_RANK.index), sized.map(_RANK.index))
    total = float(cost["effective_cost_usd"].sum()) or float("nan")
    return {k: float(cost.loc[rank == i, "effective_cost_usd"].sum()) / total for i, k in enumerate(_RANK)}


_RANK = ["measured", "modeled", "assumed"]
_SOURCES = {
    "growth": "Firm up the growth of {}: its range is worth",
    "events": "Firm up the events of {}: their range is worth",
    "noise": "Bring a longer history of {}: what this one leaves open is worth",
}


def sharpening(study: Planned) -> pd.DataFrame:
    """What would make the answer surer, the most first: ``usd_per_month sentence``.

    Of the load: the range P10 to P90 of the bill × the share of the volume's variance by cause; of
    a model: its error × what its machines cost; of what nobody stated: all of it.
    """
    plan, figures = study.plan, study.plan.summary()
    wide = (figures["p90_usd"] - figures["p10_usd"]) / plan.months if plan.paths_usd else 0.0
    by_service = plan.cost.groupby("service", observed=True)["effective_cost_usd"].sum()
    total = float(by_service.sum()) or 1.0
    found = [
        (wide * part * float(by_service.get(name, 0.0)) / total, _SOURCES[cause].format(name))
        for name, load in study.load.services.items()
        for cause, part in load.range_share.items()
        if cause in _SOURCES
    ]
    found += [
        (usd, f"Measure {name} on {machine}: its model may be off by {words.share(error)}, worth")
        for name, machine, error, usd in _model_errors(study)
    ]
    assumed = plan.cost[plan.cost["basis"] == "assumed"].groupby("charge", observed=True)["effective_cost_usd"].sum()
    found += [
        (
            float(usd) / plan.months,
            f"State the {charge(str(c)).title.lower()} of your services: today we assume",
        )
        for c, usd in assumed.items()
    ]
    rows = [(usd, f"{text} {words.a_month(usd)}") for usd, text in found if usd >= 0.5]
    return pd.DataFrame(sorted(rows, reverse=True), columns=["usd_per_month", "sentence"])


def _model_errors(study: Planned) -> list[tuple[str, str, float, float]]:
    """Service, machine, error share and dollars a month of each pool that no measurement stands
    behind.
    """
    table = to_run(study).dropna(subset="service")
    sized = study.capacity.frame[(study.capacity.frame["excuse"] == "") & (study.capacity.frame["basis"] != "measured")]
    errors = sized.groupby(["service", "instance_type"], observed=True)["error_share"].max()
    spent = table.groupby(["service", "machine"])["usd_per_month"].sum()
    both = pd.concat([errors.rename_axis(spent.index.names), spent], axis=1, join="inner")
    return [
        (str(service), str(machine), float(error), float(usd) * float(error))
        for (service, machine), error, usd in zip(both.index, both["error_share"], both["usd_per_month"], strict=True)
        if error > 0
    ]


def old_prices(plan: Plan, today: date, limit_days: int = OLD_DAYS) -> str:
    """Which prices of the bill are older than ``limit_days``, and what share of it; empty if none
    is.
    """
    ages = views.price_ages(plan, today)
    old = ages[ages["age_days"] > limit_days]
    if old.empty:
        return ""
    part = float(old["effective_cost_usd"].sum()) / plan.total_usd
    names = views.oldest_prices(plan, today, limit_days)
    return (
        f"Refresh the prices of {', '.join(names)}: {words.share(part)} of the bill is priced from lists more than"
        f" {limit_days} days old, the oldest {old['age_days'].max():.0f} days"
    )


def thin_history(study: Planned) -> list[str]:
    """A sentence for each service whose history is short or full of gaps, with what that does to
    the range.
    """
    told = []
    for name, traffic in study.traffic.items():
        rates = traffic.hourly()
        days, seen = len(rates) / 24, traffic.observed_share
        if days >= THIN_DAYS and seen >= 0.9:
            continue
        volume = study.load.volume(name)
        low, mid, high = np.quantile(volume, [0.1, 0.5, 0.9])
        below, above = words.share(1 - low / mid), words.share(high / mid - 1)
        what = f"{days:.0f} days long" if days < THIN_DAYS else f"only {words.share(seen)} observed"
        told.append(
            f"Take the range of {name} with care: its history is {what}, which shows no season of the year. Its"
            f" volume is planned from {below} below to {above} above the middle future;"
            " 12 weeks or more narrow the trend, a year the season"
        )
    return told
