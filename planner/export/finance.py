"""What finance opens: charges with their periods, owners and prices; months; a table to pivot; the
calendar of prepayments and obligations.

A *month* is a calendar month of the scenario's time zone, as on screen; ``billing_period`` is the
month in UTC that holds the middle of the charge, as providers invoice. Every frame sums to
``plan.cost``: nothing is rounded, filled or estimated here.
"""

import json
from itertools import pairwise

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.calendar import Months
from planner.charges import CONTRACTS, charge
from planner.export.asked import UNSTORED, Answered, Origin, Planned
from planner.optimizer.bill.schedule import price_factor
from planner.scenario import Scenario

MEASURES = {
    "list_cost_usd": "list",
    "contracted_cost_usd": "contracted",
    "effective_cost_usd": "amortized",
    "billed_cost_usd": "cash",
}
_HOURLY = ("compute", "commitment_unused")
_ONCE = "commitment_purchase"
_PRICED = ["provider", "region", "resource", "purchase_option", "unit"]


def cost(study: Answered, origin: Origin = UNSTORED) -> pd.DataFrame:
    """Every charge of ``plan.cost``, in its order, with what finance needs beside it
    (``export.cost``).

    ``contracted_cost_usd`` [USD] is what the charge costs at negotiated prices before commitments.
    ``month_p10_usd`` and ``month_p90_usd`` are the range of the whole month the row falls into.
    """
    found = study.plan.cost.copy()
    found = found.assign(**_periods(study), **_names(study, found), **_origin(study.scenario, origin))
    found["price_as_of"] = _price_dates(study)
    found["contracted_cost_usd"] = _contracted(study)
    found = _exchanged(_ranged(found, study), study.scenario)
    return columns.check("export.cost", found)


def months(study: Answered) -> pd.DataFrame:
    """Cost by month, service, owner, region and charge with the range of the month
    (``export.months``).
    """
    keys = ["month", "service", "owner", "cost_center", "provider", "region", "charge", "charge_name"]
    found = _ranged(_sums(study, keys), study)
    return columns.check("export.months", found)


def long(study: Answered, origin: Origin = UNSTORED) -> pd.DataFrame:
    """One row a month, owner, service, place, charge and measure (``export.finance``): a
    spreadsheet pivots it as it is.

    ``measure``: list, contracted, amortized or cash; sums are of one measure, and a sum over
    measures means nothing. ``cost`` is in the scenario's currency, ``cost_usd`` in dollars.
    """
    keys = ["month", "owner", "cost_center", "service", "provider", "region", "charge", "charge_name"]
    wide = _sums(study, keys)
    found = wide.melt(id_vars=keys, value_vars=list(MEASURES), var_name="measure", value_name="cost_usd")
    found["measure"] = found["measure"].map(MEASURES).astype("str")
    found = found.assign(**_origin(study.scenario, origin), cost=found["cost_usd"] * study.scenario.per_usd)
    return columns.check("export.finance", found.sort_values([*keys, "measure"], ignore_index=True))


def _sums(study: Answered, keys: list[str]) -> pd.DataFrame:
    """Money of ``plan.cost`` by some of its words, months and names of charges among them."""
    found = study.plan.cost.assign(month=_month(study), contracted_cost_usd=_contracted(study))
    found["charge_name"] = found["charge"].map(lambda name: charge(name).title).astype("str")
    return found.groupby(keys, observed=True)[list(MEASURES)].sum().reset_index()


def _month(study: Answered) -> "pd.Series[str]":
    month: pd.Series[str] = study.plan.cost["ts"].dt.tz_convert(study.plan.time_zone).dt.strftime("%Y-%m")
    return month.astype("str")


def prepayments(study: Planned) -> pd.DataFrame:
    """The calendar of prepayments and obligations, one row a commitment and month until its term
    ends (``export.prepayments``).

    ``due_upfront_usd`` is paid at signing, ``cash_usd`` in the month in all, ``amortized_usd`` is
    the cost of the hours in force. ``prepaid_left_usd`` and ``owed_usd`` stand at the end of the
    row: what is paid and not yet used, what is signed and not yet paid. A month in which the
    horizon ends has two rows, ``in_horizon`` and after it.
    """
    rows: list[dict[str, object]] = []
    for each in study.plan.commitments.to_dict("records"):
        rows += _calendar({str(k): v for k, v in each.items()}, study.scenario)
    if not rows:
        return columns.empty("export.prepayments")
    text = dict.fromkeys(("month", "commitment", "provider", "region"), "str")
    return columns.check("export.prepayments", pd.DataFrame(rows).astype(text))


def _calendar(row: dict[str, object], scenario: Scenario) -> list[dict[str, object]]:
    """Rows of one commitment: its hours by month, cut where the horizon begins and ends.

    Over a row of h hours: amortized = (hourly + upfront / term) · h, cash = hourly · h and the
    upfront payment where the term begins, prepaid left = upfront · hours to come / term, owed =
    hourly · hours to come. A term that began before the horizon is told from the horizon's
    start; its upfront payment lies behind and is not due again.
    """
    begin, end = pd.Timestamp(scenario.start_utc), pd.Timestamp(scenario.end_utc)
    start, over = pd.Timestamp(str(row["start"])), pd.Timestamp(str(row["end"]))
    upfront, hourly = float(str(row["upfront_usd"])), float(str(row["hourly_usd"]))
    term_h, first = _hours(start, over), max(start, begin)
    if over <= first:
        return []
    span = Months.over(pd.DatetimeIndex([first, over - pd.Timedelta(hours=1)]), scenario.time_zone)
    cuts = sorted({first, over, *(t for t in (*span.start, end) if first < t < over)})
    rows: list[dict[str, object]] = []
    for low, high in pairwise(cuts):
        due = upfront if low == start else 0.0
        rows.append(
            {
                "month": f"{low.tz_convert(scenario.time_zone):%Y-%m}",
                **{name: row[name] for name in ("commitment", "provider", "region")},
                "in_horizon": bool(low < end),
                "due_upfront_usd": due,
                "cash_usd": due + hourly * _hours(low, high),
                "amortized_usd": (hourly + upfront / term_h) * _hours(low, high),
                "prepaid_left_usd": upfront * _hours(high, over) / term_h,
                "owed_usd": hourly * _hours(high, over),
            }
        )
    return rows


def _hours(start: pd.Timestamp, end: pd.Timestamp) -> float:
    return float((end - start) / pd.Timedelta(hours=1))


def headline(study: Planned) -> dict[str, float | str]:
    """The first row of an answer [USD]: ``monthly_mean_usd`` amortized, ``upfront_usd`` and the
    local days it is due (``upfront_on``), ``cash_usd`` of the horizon, and ``owed_after_usd``,
    signed and still to pay after the horizon's end.
    """
    plan, calendar = study.plan, prepayments(study)
    paid = plan.cost[plan.cost["charge"] == _ONCE]
    days = paid["ts"].dt.tz_convert(plan.time_zone).dt.strftime("%Y-%m-%d").drop_duplicates()
    after = calendar[~calendar["in_horizon"].astype(bool)]
    return {
        "monthly_mean_usd": plan.total_usd / plan.months,
        "upfront_usd": float(paid["billed_cost_usd"].sum()),
        "upfront_on": ", ".join(days),
        "cash_usd": float(plan.cost["billed_cost_usd"].sum()),
        "owed_after_usd": float(after["cash_usd"].sum()),
    }


def by_month_and_owner(study: Answered) -> pd.DataFrame:
    """Amortized cost, one row a month and one column an owner [USD], with totals: the first sheet
    of the workbook. Money that nobody answers for stands under ``no owner``.
    """
    found = study.plan.cost.assign(month=_month(study))
    owner = found["owner"].where(found["owner"] != "", "no owner")
    table = found.assign(owner=owner).pivot_table(
        index="month", columns="owner", values="effective_cost_usd", aggfunc="sum", fill_value=0.0, observed=True
    )
    table = table.assign(total=table.sum(axis=1))
    table.loc["total"] = table.sum()
    return table.rename_axis(columns=None).reset_index()


def _periods(study: Answered) -> dict[str, "pd.Series[pd.Timestamp] | pd.Series[str]"]:
    """Month and charge period of each row: an hour, the part of a month in the
    horizon, or the hour of signing.

    Periods end exclusively. Machines and unused commitments are charged by the hour;
    other charges stand once a month and run from its first hour in the horizon to its
    end or that of the horizon.
    """
    found, zone = study.plan.cost, study.plan.time_zone
    begin, over = (pd.Timestamp(t).as_unit("us") for t in (study.scenario.start_utc, study.scenario.end_utc))
    hourly = found["charge"].isin([*_HOURLY, _ONCE])
    span = Months.over(pd.DatetimeIndex(found["ts"]) if len(found) else pd.DatetimeIndex([begin]), zone)
    ends = span.start + pd.to_timedelta(span.hours, unit="h")
    monthly_end = pd.Series(ends[span.of[: len(found)]], index=found.index)
    start = found["ts"].where(hourly | (found["ts"] > begin), begin)
    end = (found["ts"] + pd.Timedelta(hours=1)).where(hourly, monthly_end.where(monthly_end < over, over))
    middle = start + (end - start) / 2
    return {
        "month": _month(study),
        "billing_period": middle.dt.strftime("%Y-%m").astype("str"),
        "charge_period_start": _wall(start, zone),
        "charge_period_end": _wall(end, zone),
        "charge_period_start_utc": start.astype("datetime64[us, UTC]"),
        "charge_period_end_utc": end.astype("datetime64[us, UTC]"),
    }


def _wall(instants: "pd.Series[pd.Timestamp]", zone: str) -> "pd.Series[str]":
    """Instants as local time with its distance from UTC: ``2027-01-01T00:00:00+01:00``."""
    each = pd.DatetimeIndex(instants.unique())
    said = dict(zip(each, [t.isoformat() for t in each.tz_convert(zone)], strict=True))
    return instants.map(said).astype("str")


def _names(study: Answered, found: pd.DataFrame) -> dict[str, "pd.Series[str]"]:
    """Charges in words, teams, and tags as JSON."""
    titles = {name: charge(name).title for name in found["charge"].unique()}
    words = found[["owner", "cost_center", "service"]].drop_duplicates()
    tags = [
        json.dumps({"scenario": study.plan.scenario_name, **{k: v for k, v in row.items() if v}}, sort_keys=True)
        for row in words.to_dict("records")
    ]
    tagged = found.merge(words.assign(tags=tags), how="left", on=["owner", "cost_center", "service"])["tags"]
    return {
        "charge_name": found["charge"].map(titles).astype("str"),
        "team": found["owner"],
        "tags": tagged.set_axis(found.index).astype("str"),
    }


def _origin(scenario: Scenario, origin: Origin) -> dict[str, str]:
    return {
        "scenario": scenario.name,
        "revision": origin.revision,
        "state": scenario.state,
        "currency": scenario.currency,
    }


def _price_dates(study: Answered) -> "pd.Series[str]":
    """Oldest date of the prices of each row; of a commitment's fees, that of what it pays for.
    Empty where no price of the catalog stands behind a row.
    """
    found = study.plan.cost
    dates = study.plan.prices.groupby(_PRICED, observed=True)["as_of"].min().reset_index()
    own = found[_PRICED].merge(dates, how="left", on=_PRICED)["as_of"].set_axis(found.index)
    of = own.groupby(found["commitment"]).min()
    return own.fillna(found["commitment"].where(found["commitment"] != "").map(of)).fillna("").astype("str")


def _contracted(study: Answered) -> Floats:
    """Cost of each row at negotiated prices before commitments [USD]: of what a commitment pays
    for, the list price less the discounts that apply; of all else what is paid.

    Rows of the commitments themselves are 0: what they pay for carries its own price, so that
    the column counts nothing twice.
    """
    found = study.plan.cost
    covered = ((found["charge"] == "compute") & (found["commitment"] != "")).to_numpy()
    place = ["provider", "region", "resource", "service"]
    pools = found.loc[covered, place].drop_duplicates()
    machines = study.catalog.instances.drop_duplicates(["provider", "region", "instance_type"])
    family = machines.set_index(["provider", "region", "instance_type"])["family"]
    factor = {
        (p, r, t, s): price_factor(study.scenario, p, str(family.get((p, r, t), "")), s)
        for p, r, t, s in pools.itertuples(index=False, name=None)
    }
    out = found["effective_cost_usd"].to_numpy(np.float64).copy()
    keys = found.loc[covered, place].itertuples(index=False, name=None)
    out[covered] = found.loc[covered, "list_cost_usd"].to_numpy() * np.array([factor[k] for k in keys])
    out[found["charge"].isin(CONTRACTS).to_numpy(bool)] = 0.0
    return out


def _ranged(found: pd.DataFrame, study: Answered) -> pd.DataFrame:
    """The frame with P10 and P90 of each row's month; unknown where no paths were valued."""
    span = study.plan.monthly_range().set_index("month")
    return found.assign(**{f"month_{p}": found["month"].map(span[p]).astype("float64") for p in ("p10_usd", "p90_usd")})


def _exchanged(found: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """The frame with its money in the scenario's currency beside the dollars."""
    rate = scenario.per_usd
    return found.assign(effective_cost=found["effective_cost_usd"] * rate, billed_cost=found["billed_cost_usd"] * rate)
