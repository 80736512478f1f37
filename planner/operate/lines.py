"""Figures that change by the hour or the day, and the recording rules that say them to Prometheus.

PromQL knows no table, so a rule a day holds its hours as Σ value·(hour() == bool h), and is there
only while its day lasts: one exact value at any instant of the horizon, none outside it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.calendar import Months
from planner.show import views

if TYPE_CHECKING:
    from planner.study import Study

LOAD, CAPACITY, SPEND = "load_quantile_rps", "capacity_rps", "spend_to_date_usd"
_HOUR = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Line:
    """``values`` that hold from each instant ``ts`` to the next, the last one until ``end``.

    ``name``: of the figure; ``record``: of the Prometheus series; ``labels``: of the series.
    """

    name: str
    record: str
    labels: dict[str, str]
    unit: str
    source: str
    ts: pd.DatetimeIndex
    values: Floats
    end: pd.Timestamp

    def at(self, when: pd.Timestamp) -> float:
        """The value that holds at an instant of the horizon."""
        return float(self.values[self.ts.searchsorted(when, side="right") - 1])

    @property
    def selector(self) -> str:
        """The series in PromQL."""
        return self.record + "{" + ",".join(f"{k}={quoted(v)}" for k, v in self.labels.items()) + "}"


def quoted(text: str) -> str:
    """A text as a PromQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lines_of(study: "Study", service: str) -> tuple[Line, Line]:
    """Of one service by hour [requests/s]: the load that its load quantile stays below, and what
    the machines of the plan may carry.

    Both are the curves of :func:`planner.show.views.hourly`, so the alert, the dashboard and the page
    of the app show one number.  The second is for load within every objective with the headroom of
    the plan, not the rate at which machines saturate.
    """
    hours, ts = views.hourly(study, service), study.load.ts
    labels = {"scenario": study.scenario.name, "service": service}
    q = study.scenario.services[service].objective.load_quantile
    end = ts[-1] + _HOUR
    kept = (
        (LOAD, "plan:load_quantile:rps", "planned", f"load paths, quantile {q:g} of each hour"),
        (CAPACITY, "plan:capacity:rps", "capacity", "plan.schedule and capacity: what the hour's replicas may carry"),
    )
    load, able = (
        Line(f"{service}.{n}", record, labels, "requests/s", source, ts, hours[column].to_numpy(np.float64), end)
        for n, record, column, source in kept
    )
    return load, able


def spend_line(study: "Study") -> Line:
    """The bill of the month up to the end of each day [USD, amortized] where its month ends at its
    P90.

    Σ of effective cost from the month's first hour to the day's last × P90 of the month ÷ its
    expected bill. Charges that stand once a month (traffic, disks) are spread evenly over its hours;
    what an event costs falls on its own days, so that a launch week is no false alarm.  Days and
    months are of the scenario's zone, where a cloud bills by UTC: the alert waits longer than that.
    """
    plan, ts = study.plan, study.load.ts
    months = Months.over(ts, plan.time_zone)
    hourly = _by_hour(study, months)
    high = plan.monthly_range().set_index("month")["p90_usd"]
    expected = plan.monthly().groupby("month")["effective_cost_usd"].sum()
    labels = months.start.tz_convert(plan.time_zone).strftime("%Y-%m")
    ratio = np.array([float(high.get(m, expected[m])) / float(expected[m]) if expected.get(m) else 1.0 for m in labels])
    so_far = pd.Series(hourly).groupby(months.of).cumsum().to_numpy(np.float64) * ratio[months.of]
    day = pd.Series(ts.tz_convert(plan.time_zone).tz_localize(None).normalize())
    first, last = ~day.duplicated(), ~day.duplicated(keep="last")
    source = "plan.cost: Σ effective_cost_usd of the month to the end of the day × its p90_usd over its usd"
    return Line(
        SPEND,
        "plan:spend_to_date:usd",
        {"scenario": study.scenario.name},
        "USD",
        source,
        ts[first.to_numpy()],
        so_far[last.to_numpy()],
        ts[-1] + _HOUR,
    )


def _by_hour(study: "Study", months: Months) -> Floats:
    """Effective cost by hour of the horizon [USD]; charges that stand once a month are spread."""
    cost, ts = study.plan.cost, study.load.ts
    keys = ["service", "charge", "resource", "purchase_option", "commitment"]
    per = cost.groupby(keys, observed=True)["ts"].transform("nunique")
    starts = cost["ts"].isin(months.start) | (cost["ts"] == ts[0])
    monthly = (per <= len(months.start)) & starts.groupby([cost[k] for k in keys], observed=True).transform("all")
    out = np.zeros(len(ts))
    at = np.clip(ts.searchsorted(pd.DatetimeIndex(cost["ts"]), side="right") - 1, 0, None)
    usd = cost["effective_cost_usd"].to_numpy(np.float64)
    once = monthly.to_numpy()
    np.add.at(out, at[~once], usd[~once])
    total, count = np.zeros(len(months.start)), np.bincount(months.of, minlength=len(months.start))
    np.add.at(total, months.of[at[once]], usd[once])
    return np.asarray(out + (total / np.maximum(count, 1))[months.of])


def recording(line: Line) -> list[dict[str, Any]]:
    """Groups of recording rules of a line, one group a month (UTC), one rule a day.

    Of a day with hours h of values v_h, in force from second a to b: Σ v_h · (hour() == bool h)
    and on() (vector(time()) >= a < b).  Each rule bears the label ``day``, since promtool
    refuses rules that are alike in name and labels; ``max(line)`` reads the one in force. A year
    of hours is 365 rules of 24 terms, some 20 ms an evaluation.
    """
    day = line.ts.tz_convert("UTC").normalize() if len(line.ts) > 1 and line.ts[1] - line.ts[0] == _HOUR else line.ts
    starts = np.flatnonzero(~pd.Series(day).duplicated().to_numpy()).tolist()
    groups: dict[str, list[dict[str, Any]]] = {}
    for a, b in zip(starts, [*starts[1:], len(line.ts)], strict=True):
        until = line.ts[b] if b < len(line.ts) else line.end
        during = f"(vector(time()) >= {_second(line.ts[a])} < {_second(until)})"
        labels = line.labels | {"day": f"{line.ts[a]:%Y-%m-%d}"}  # promtool refuses rules alike in all labels
        rule = {"record": line.record, "expr": f"{_terms(line, a, b)} and on() {during}", "labels": labels}
        groups.setdefault(f"{line.ts[a]:%Y-%m}", []).append(rule)
    return [{"name": f"{line.name} {month}", "interval": "1m", "rules": rules} for month, rules in groups.items()]


def _second(when: pd.Timestamp) -> int:
    return int(when.timestamp())


def _terms(line: Line, a: int, b: int) -> str:
    """The values of one day in PromQL."""
    if b - a == 1:
        return f"vector({line.values[a]:.12g})"
    hours = line.ts[a:b].tz_convert("UTC").hour
    pairs = zip(line.values[a:b], hours, strict=True)
    return "(" + " + ".join(f"{v:.12g} * (hour() == bool {h})" for v, h in pairs) + ")"
