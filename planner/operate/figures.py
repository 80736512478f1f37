"""The numbers of a plan that its files repeat: each with its unit, its hour or month, and the frame
it comes from.

A figure is named by what it belongs to and its column:

``plan.*``                    the horizon: total_usd, billed_usd, p10_usd, p90_usd, unowned_usd [USD], end_s
``month.2027-03.*``           a calendar month of the scenario's zone: usd, billed_usd, p90_usd [USD]
``owner.shop.2027-03.*``      a team's part of it; ``nobody`` where no owner is named
``commitment.1.*``            a row of plan.commitments: quantity, upfront_usd, break_even_utilization
``web.*``                     a service: peak_rps, usable_rps, target_rps [requests/s], max_replicas
``web.2027-03.peak_rps``      the highest planned load of a month [requests/s]
``web.latency_p99_s.*``       an objective: limit_s [s], within_share, late_share_1h (a burn rate)
``web.pool.aws/R/T/spot.*``   a pool of machines: min_instances, mean_instances, max_instances, max_vcpus
``break.1.*``                 a row of replay.breaks: load_multiplier, mending_usd_per_month
``prices.*``                  as_of_s, age_limit_days

A figure that the plan does not know (NaN or infinite) has no name: what would need it is left out
of the files or said to be unknown, never written as zero.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Flags
from planner.errors import PlannerError
from planner.operate.lines import CAPACITY, LOAD, Line, lines_of, spend_line
from planner.operate.names import Names
from planner.operate.scaling import Scaling, scaling_of

if TYPE_CHECKING:
    from planner.study import Study

ALL = "the whole horizon"
# hours in a row above the line that are tried, and how often a month the plan's own futures may be so
RUNS_H, RUNS_A_MONTH = (1, 2, 3, 4, 6, 8, 12, 24, 48), 1.0
# (times the error budget, long window, short window, how long, severity): a budget of 30 days gone by
# 2 %, 5 % and 10 % (Site Reliability Workbook, O'Reilly 2018, chapter 5)
BURNS = ((14.4, "1h", "5m", "2m", "page"), (6.0, "6h", "30m", "15m", "page"), (1.0, "3d", "6h", "1h", "ticket"))


class Figure(NamedTuple):
    """One number: ``when`` its hour or month, ``source`` the frame and rule it was taken by."""

    name: str
    value: float
    unit: str
    when: str
    source: str

    @property
    def text(self) -> str:
        """The value as files write it: twelve digits, no thousands."""
        return f"{self.value:.12g}"

    def trace(self) -> dict[str, str]:
        """The value and where it comes from, as annotations."""
        return {"figure": self.name, "value": self.text, "unit": self.unit, "when": self.when, "source": self.source}


@dataclass(frozen=True)
class Figures:
    """All figures by name, the lines by figure name, and the settings of
    each service's autoscaler.
    """

    numbers: Mapping[str, Figure]
    lines: Mapping[str, Line]
    scaling: Mapping[str, Scaling]
    months: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Figure:
        """The figure of a name.  Raises :class:`PlannerError` where the plan has none."""
        if name not in self.numbers:
            raise PlannerError("the plan has no such figure", where="operate", got=name)
        return self.numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self.numbers

    def frame(self) -> pd.DataFrame:
        """One row a figure: ``figure value unit when source``."""
        return pd.DataFrame(list(self.numbers.values()), columns=["figure", "value", "unit", "when", "source"])


def figures_of(study: "Study", names: Names) -> Figures:
    """All figures of a study, each taken once from the frames that the
    plan's own tables are made of.

    ``names``: only its age limit of prices is a number.  The settings of the autoscaler are those of
    the scenario as its replay plays them.  Raises as :func:`planner.simulate`.
    """
    scaling = {n: s for n in study.scenario.services if (s := scaling_of(study, n)) is not None}
    lines = {line.name: line for n in scaling for line in lines_of(study, n)}
    lines |= {line.name: line for line in [spend_line(study)]}
    found = [*_money(study), *_months(study), *_owners(study), *_commitments(study), *_dates(study, names)]
    for name, settings in scaling.items():
        found += [*_load(study, name, lines), *_objectives(study, name), *_settings(settings), *_pools(study, name)]
    found += _breaks(study)
    known = {f.name: f for f in found if math.isfinite(f.value)}
    return Figures(known, lines, scaling, tuple(dict.fromkeys(study.plan.monthly()["month"])))


def hour(when: pd.Timestamp) -> str:
    """An instant as files write it: ISO 8601, UTC."""
    return f"{when.tz_convert('UTC'):%Y-%m-%dT%H:%MZ}"


def _money(study: "Study") -> Iterator[Figure]:
    told = {
        "total_usd": "expected, amortized: Σ effective_cost_usd of plan.cost",
        "monthly_mean_usd": "total_usd over the calendar months of the horizon",
        "billed_usd": "cash: Σ billed_cost_usd of plan.cost",
        "list_usd": "at list prices: Σ list_cost_usd of plan.cost",
        "p10_usd": "bill that 10 % of the load paths stay below",
        "p90_usd": "bill that 90 % of the load paths stay below",
        "ready_usd": "if all that must be ready ran",
        "unowned_usd": "Σ effective_cost_usd of the rows of plan.cost without owner",
    }
    summary = study.plan.summary()
    for name, words in told.items():
        unit = "USD/month" if name == "monthly_mean_usd" else "USD"
        yield Figure(f"plan.{name}", summary[name], unit, ALL, f"Plan.summary: {words}")
    budget = study.scenario.limits.budget_usd_per_month
    if budget is not None:
        yield Figure("plan.budget_usd_per_month", budget, "USD/month", "each month", "limits.budget_usd_per_month")


def _months(study: "Study") -> Iterator[Figure]:
    by = study.plan.monthly().groupby("month")[["effective_cost_usd", "billed_cost_usd"]].sum()
    high = study.plan.monthly_range().set_index("month")["p90_usd"]
    for month, (effective, billed) in zip(by.index, by.to_numpy(), strict=True):
        name = f"month.{month}"
        yield Figure(f"{name}.usd", effective, "USD", month, "Plan.monthly: Σ effective_cost_usd")
        yield Figure(f"{name}.billed_usd", billed, "USD", month, "Plan.monthly: Σ billed_cost_usd")
        if month in high.index:
            p90 = float(high[month])
            yield Figure(f"{name}.p90_usd", p90, "USD", month, "Plan.monthly_range: p90_usd")
            share = effective / p90 if p90 > 0 else math.nan
            yield Figure(f"{name}.expected_share", share, "share", month, f"{name}.usd over {name}.p90_usd")


def _owners(study: "Study") -> Iterator[Figure]:
    cost = study.plan.cost
    month = cost["ts"].dt.tz_convert(study.plan.time_zone).dt.strftime("%Y-%m")
    by = cost.groupby(["owner", month], observed=True)["effective_cost_usd"].sum()
    high = study.plan.monthly_range().set_index("month")["p90_usd"]
    whole = cost.groupby(month)["effective_cost_usd"].sum()
    for (owner, when), value in zip(by.index.tolist(), by.tolist(), strict=True):
        who = f"owner.{owner or 'nobody'}.{when}"
        yield Figure(f"{who}.usd", float(value), "USD", when, "plan.cost: Σ effective_cost_usd of the owner")
        if when in high.index and whole[when] > 0:
            p90 = float(value) * float(high[when]) / float(whole[when])
            yield Figure(f"{who}.p90_usd", p90, "USD", when, f"{who}.usd × month.{when}.p90_usd over month.{when}.usd")


def _commitments(study: "Study") -> Iterator[Figure]:
    for k, row in enumerate(study.plan.commitments.to_dict("records"), 1):
        name, until = f"commitment.{k}", f"{hour(row['start'])} to {hour(row['end'])}"
        what = f"plan.commitments of {row['commitment']}"
        wanted = {"quantity": row["unit"], "upfront_usd": "USD", "hourly_usd": "USD/h", "term_months": "month"}
        wanted |= {"commitment_utilization": "share", "break_even_utilization": "share"}
        for column, unit in wanted.items():
            yield Figure(f"{name}.{column}", float(row[column]), unit, until, f"{what}: {column}")


def _dates(study: "Study", names: Names) -> Iterator[Figure]:
    dated = pd.Timestamp(study.catalog.as_of, tz="UTC")
    yield Figure("prices.as_of_s", dated.timestamp(), "s since 1970", study.catalog.as_of, "Catalog.as_of: median date")
    limit = names.price_age_days
    yield Figure("prices.age_limit_days", limit, "days", "always", "assumed: names.price_age_days")
    end = pd.Timestamp(study.scenario.end_utc)
    yield Figure("plan.end_s", end.timestamp(), "s since 1970", hour(end), "first instant after the horizon")


def _load(study: "Study", name: str, lines: Mapping[str, Line]) -> Iterator[Figure]:
    load, able = lines[f"{name}.{LOAD}"], lines[f"{name}.{CAPACITY}"]
    q = study.scenario.services[name].objective.load_quantile
    where = f"services.{name}.objective.load_quantile"
    yield Figure(f"{name}.load_quantile", q, "share", "each hour", where)
    rates = study.load.services[name].arrival_rate_rps
    yield Figure(f"{name}.mean_rps", float(rates.mean(dtype=np.float64)), "requests/s", ALL, "mean of the load paths")
    for line, label in ((load, "peak_rps"), (able, "capacity_most_rps")):
        at = int(line.values.argmax())
        yield Figure(
            f"{name}.{label}", float(line.values[at]), "requests/s", hour(line.ts[at]), f"max of {line.source}"
        )
    local = load.ts.tz_convert(study.scenario.time_zone).strftime("%Y-%m")
    for month in dict.fromkeys(local):
        at = int(np.where(local == month, load.values, -1.0).argmax())
        value = float(load.values[at])
        source = f"max of {load.source} in the month"
        yield Figure(f"{name}.{month}.peak_rps", value, "requests/s", hour(load.ts[at]), source)
    yield from _runs(study, name, load)


def _runs(study: "Study", name: str, line: Line) -> Iterator[Figure]:
    """How many hours in a row above its line the load may be before that says something.

    By its making the load is above the quantile q line in a share 1 − q of hours, and such hours come
    together; so an alert on one hour would mean nothing.  The wait is the shortest of
    :data:`RUNS_H` [h] after which futures the plan was not made on speak at most
    :data:`RUNS_A_MONTH` times a month in the mean, and the rate that is left is a figure too.
    """
    paths = study.unseen or study.load
    above = paths.services[name].arrival_rate_rps > line.values
    often = {k: runs_of(above, k) / len(above) / study.plan.months for k in RUNS_H}
    least = next((k for k in RUNS_H if often[k] <= RUNS_A_MONTH), RUNS_H[-1])
    source = "fewest hours in a row above the line that unseen load paths show at most once a month"
    yield Figure(f"{name}.above_h", float(least), "h", ALL, source)
    source = f"mean of the unseen load paths: runs of {least} h or more above the line"
    yield Figure(f"{name}.above_a_month", often[least], "1/month", ALL, source)


def runs_of(above: Flags, hours: int) -> int:
    """How many runs of at least so many hours there are, all paths together.

    ``above`` (paths, hours): whether the hour is above its line; a run ends with its path.

    >>> runs_of(np.array([[True, True, False, True]]), 2)
    1
    """
    edges = np.diff(np.pad(above.astype(np.int8), ((0, 0), (1, 1))).ravel())
    length = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
    return int((length >= hours).sum())


def _objectives(study: "Study", name: str) -> Iterator[Figure]:
    replayed = study.replay.objectives
    mine = replayed[replayed["service"] == name].set_index("objective")["within_share"]
    for bound, _, q, limit in study.scenario.services[name].objective.bounds():
        at, field_ = f"{name}.{bound}", f"services.{name}.objective.{bound}"
        yield Figure(f"{at}.limit_s", limit, "s", "always", field_)
        yield Figure(f"{at}.percentile_share", q, "share", "always", f"the percentile in the name of {field_}")
        yield Figure(f"{at}.within_share", float(mine[bound]), "share", ALL, "replay.objectives: within_share")
        for times, window, *_ in BURNS:
            if times * (1 - q) < 1:
                source = f"{times:g} × (1 − {at}.percentile_share)"
                yield Figure(f"{at}.late_share_{window}", times * (1 - q), "share", f"over {window}", source)


def _settings(s: Scaling) -> Iterator[Figure]:
    one = f"a replica of {s.unit.name}"
    rows = {
        "min_replicas": (s.least, "replicas", f"fewest of the replay's fleet, counted in {one}"),
        "max_replicas": (s.most, "replicas", f"most of the replay's fleet, counted in {one}"),
        "target_share": (s.target_share, "share", "what the replay's autoscaler holds, of saturation"),
        "target_rps": (s.target_rps, "requests/s", f"target_share × saturation of {one}"),
        "tolerance_share": (s.tolerance_share, "share", "Operations.tolerance_share of the replay"),
        "scale_down_s": (s.down_window_s, "s", f"services.{s.service}.autoscaling.scale_down_delay_s"),
        "scale_up_s": (s.up_window_s, "s", "the replay's window of increases"),
        "usable_rps": (s.usable_rps, "requests/s", f"capacity: usable_rps of {one}, least over the machines"),
        "limit_rps": (s.limit_rps, "requests/s", "the replay's table: largest rate of one within every objective"),
        "saturation_rps": (s.saturation_rps, "requests/s", "the replay's table: rate at which one is always busy"),
    }
    for column, (value, unit, source) in rows.items():
        yield Figure(f"{s.service}.{column}", value, unit, "always", source)
    over = s.usable_rps * (1 + s.tolerance_share)
    source = f"{s.service}.usable_rps × (1 + {s.service}.tolerance_share)"
    yield Figure(f"{s.service}.saturated_rps", over, "requests/s", "always", source)
    for way, policies in (("up", s.up), ("down", s.down)):
        for kind, value, period in policies:
            label, unit = (f"scale_{way}_percent", "%") if kind else (f"scale_{way}_pods", "replicas")
            yield Figure(f"{s.service}.{label}", value, unit, f"in {period:g} s", "rate policy of the replay")
            yield Figure(f"{s.service}.{label}_period_s", period, "s", "always", "rate policy of the replay")


def _pools(study: "Study", name: str) -> Iterator[Figure]:
    machines = study.plan.machines()
    vcpus = study.catalog.instances.set_index(["provider", "region", "instance_type"])["vcpus"]
    for row in machines[machines["service"] == name].to_dict("records"):
        at = pool_name(row)
        for column in ("min_instances", "mean_instances", "max_instances"):
            yield Figure(f"{at}.{column}", float(row[column]), "machines", ALL, f"Plan.machines: {column}")
        each = float(vcpus.get((row["provider"], row["region"], row["instance_type"]), math.nan))
        source = f"{at}.max_instances × {each:g} vCPU of the catalog"
        yield Figure(f"{at}.max_vcpus", float(row["max_instances"]) * each, "vCPU", ALL, source)


def pool_name(row: Mapping[Any, Any]) -> str:
    """Name of the figures of a pool, a row of ``plan.machines``."""
    keys: Iterable[str] = ("service", "provider", "region", "instance_type", "purchase_option")
    service, *rest = (str(row[k]) for k in keys)
    return f"{service}.pool.{'/'.join(rest)}"


def _breaks(study: "Study") -> Iterator[Figure]:
    for k, row in enumerate(study.replay.breaks.to_dict("records"), 1):
        source = f"replay.breaks: {row['cause']} of {row['service'] or 'all services'}"
        when = hour(row["breaks_at"])
        yield Figure(f"break.{k}.load_multiplier", float(row["load_multiplier"]), "ratio", when, source)
        mending = float(row["mending_usd_per_month"])
        yield Figure(f"break.{k}.mending_usd_per_month", mending, "USD/month", when, source)
