"""Charges in time: until when each charge of a plan lasts, and what falls into a period or a day.

A plan's hourly charges last an hour; what it charges by the month stands at the month's first hour
and is spread evenly over the month, so that half a month of a bill meets half of it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.plan import Plan

_LINE = [
    "service",
    "charge",
    "resource",
    "purchase_option",
    "commitment",
    "provider",
    "region",
    "unit",
]
ONCE = "commitment_purchase"  # paid at an instant, not spread
_HOUR = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Period:
    """From ``start`` to ``end`` (UTC instants, end exclusive)."""

    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def days(self) -> float:
        """Length [days]."""
        return float((self.end - self.start) / pd.Timedelta(days=1))

    def share(self, start: "pd.Series[pd.Timestamp]", end: "pd.Series[pd.Timestamp]") -> Floats:
        """Part of each charge from ``start`` to ``end`` that lies in the period [share]."""
        inside = (_earlier(end, self.end) - _later(start, self.start)) / (end - start)
        return np.clip(np.asarray(inside, dtype=np.float64), 0.0, 1.0)

    def holds(self, instant: "pd.Series[pd.Timestamp]") -> "pd.Series[bool]":
        """Whether each instant lies in the period."""
        return (instant >= self.start) & (instant < self.end)


def lasting(plan: Plan, end: pd.Timestamp) -> "pd.Series[pd.Timestamp]":
    """Until when each row of ``plan.cost`` lasts: an hour, or for a line that is charged by the
    month until the next month or ``end``, the first instant after the horizon.
    """
    cost = plan.cost
    wall = cost["ts"].dt.tz_convert(plan.time_zone)
    first = (wall.dt.day == 1) & (wall.dt.hour == 0) | (cost["ts"] == cost["ts"].min())
    monthly = first.groupby([cost[c] for c in _LINE], observed=True).transform("all") & (cost["charge"] != ONCE)
    month = wall.dt.tz_localize(None).dt.to_period("M") + 1
    bounds = {
        m: m.start_time.tz_localize(plan.time_zone, nonexistent="shift_forward", ambiguous=True) for m in month.unique()
    }
    until = month.map(bounds).dt.tz_convert("UTC")
    until = _earlier(until, end)
    return (cost["ts"] + _HOUR).where(~monthly, until)


def planned(plan: Plan, period: Period, end: pd.Timestamp) -> pd.DataFrame:
    """The rows of ``plan.cost`` that fall into a period, quantities and money in proportion, with
    ``charge_end``; Σ over periods that fill the horizon is the plan.
    """
    until = lasting(plan, end)
    once = plan.cost["charge"] == ONCE
    share = np.where(once, period.holds(plan.cost["ts"]), period.share(plan.cost["ts"], until))
    found = plan.cost.assign(charge_end=until)
    for name in ("quantity", "list_cost_usd", "effective_cost_usd", "billed_cost_usd"):
        found[name] = found[name] * share
    kept = found[share > 0].copy()
    kept["ts"] = _later(kept["ts"], period.start)
    kept["charge_end"] = _earlier(kept["charge_end"], period.end)
    return kept.reset_index(drop=True)


def _earlier(instants: "pd.Series[pd.Timestamp]", most: pd.Timestamp) -> "pd.Series[pd.Timestamp]":
    return instants.where(instants < most, most)


def _later(instants: "pd.Series[pd.Timestamp]", least: pd.Timestamp) -> "pd.Series[pd.Timestamp]":
    return instants.where(instants > least, least)


def daily(rows: pd.DataFrame, money: str, period: Period) -> "pd.Series[float]":
    """Money of each whole UTC day of the period [USD], charges spread evenly over their time."""
    first, last = period.start.ceil("D"), period.end.floor("D")
    count = max(int((last - first) / pd.Timedelta(days=1)), 0)
    days = pd.date_range(first, periods=count, freq="D")
    start = ((rows["ts"] - first) / pd.Timedelta(days=1)).to_numpy(np.float64)
    end = ((rows["charge_end"] - first) / pd.Timedelta(days=1)).to_numpy(np.float64)
    usd = rows[money].to_numpy(np.float64) / np.maximum(end - start, 1e-9)
    edges = np.arange(count + 1, dtype=np.float64)
    found = np.zeros(count)
    whole = (np.floor(start) == np.ceil(end) - 1) & (start >= 0) & (end <= count)
    np.add.at(found, np.floor(start[whole]).astype(int), (usd * (end - start))[whole])
    for a, b, each in zip(start[~whole], end[~whole], usd[~whole], strict=True):
        found += each * np.clip(np.minimum(b, edges[1:]) - np.maximum(a, edges[:-1]), 0.0, 1.0)
    return pd.Series(found, index=days)
