"""Alert rules of Prometheus, each with the figure it was derived from in its annotations.

What they watch: load over what the ready replicas were sized for, load over the plan's quantile of
that hour, the error budget of each objective, the autoscaler at its maximum, the pace of spending,
the use of commitments, the age of prices, the end of the plan, and metrics that do not come.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from planner.operate.figures import BURNS, Figure, Figures
from planner.operate.lines import LOAD, SPEND, Line, quoted
from planner.operate.names import Names, slug

if TYPE_CHECKING:
    from planner.study import Study

Rule = dict[str, Any]
# alert: how long, severity, summary (after the service, if it has one), what to do
WORDS = {
    "PlanSaturation": (
        "10m",
        "ticket",
        "each replica gets more than it was sized for",
        "Let the autoscaler add replicas; if it is at its maximum, raise the maximum and make the plan anew.",
    ),
    "PlanBeyondLimit": (
        "5m",
        "page",
        "each replica gets more than it can serve within the objectives",
        "Add replicas by hand or shed load now.",
    ),
    "PlanLoadAbove": (
        "",
        "ticket",
        "more load than the plan was made for in these hours",
        "Fit the forecast again with the newest history and make the plan anew.",
    ),
    "PlanReplicasAtMaximum": (
        "15m",
        "ticket",
        "the autoscaler asks for all the replicas the plan has",
        "Compare the load with the plan's; raise the maximum only with a new plan and its bill.",
    ),
    "PlanErrorBudget": (
        "",
        "",
        "requests outside an objective use up the error budget too fast",
        "See what breaks first in handoff.md; add replicas or shed load.",
    ),
    "PlanMetricMissing": (
        "15m",
        "ticket",
        "the metric these rules watch does not come, so they are blind",
        "Rename the metric: planner operate --name requests=...; the plan expects this load in the mean.",
    ),
    "PlanSpendPace": (
        "6h",
        "ticket",
        "the bill of this month runs ahead of the plan's P90",
        "Find the charge that grew; planner compare tells load, price and mix apart.",
    ),
    "PlanBudgetSpent": (
        "1h",
        "ticket",
        "the budget of this month is spent",
        "Tell the owner of the budget; nothing is switched off by itself.",
    ),
    "PlanCommitmentUse": (
        "6h",
        "ticket",
        "a commitment is used less than what pays for it",
        "Move machines it covers back onto it, or sell or exchange it where its terms allow.",
    ),
    "PlanPricesOld": (
        "0s",
        "ticket",
        "the prices of the plan are old",
        "Refresh the prices (planner catalog refresh), then make the plan anew.",
    ),
    "PlanEnded": (
        "0s",
        "ticket",
        "the plan's horizon is over: its lines have no value any more",
        "Make the plan of the next horizon.",
    ),
}


def alert_groups(study: "Study", figures: Figures, names: Names) -> list[dict[str, Any]]:
    """The groups of a rules file, one a service and one for the whole plan.

    Load is compared three ways: a replica's with what it was sized for (and the tolerance of the
    autoscaler) and with the largest rate within every objective, both requests/s of the last five
    minutes over ready replicas; the service's of the last hour with the plan's line, whose highest
    value within that hour counts, so that a falling evening is no alarm.
    """
    groups = [{"name": f"plan of {n}", "rules": [*_service(study, n, figures, names)]} for n in figures.scaling]
    return [*groups, {"name": "plan as a whole", "rules": [*_whole(study, figures, names)]}]


def requests_rps(service: str, names: Names, window: str) -> str:
    """PromQL: requests/s of a service over a window."""
    return f"sum(rate({names.requests}{{{names.service_label}={quoted(service)}}}[{window}]))"


def le(limit_s: float) -> str:
    """PromQL matcher of the bucket at a limit, as clients of every language write it."""
    text = f"{limit_s:.12g}"
    return f"le={quoted(text)}" if "." in text else f'le=~"{text}([.]0)?"'


def late_share(service: str, metric: str, limit_s: float, names: Names, window: str) -> str:
    """PromQL: share of requests outside a bound over a window: 1 − requests in the
    bucket at the limit over all.

    It lies where the histogram has no bucket at the limit: the query then has no answer, and
    no alert can come of it.
    """
    histogram, label = names.of(metric), f"{names.service_label}={quoted(service)}"
    within = f"sum(rate({histogram}_bucket{{{label},{le(limit_s)}}}[{window}]))"
    return f"(1 - {within} / sum(rate({histogram}_count{{{label}}}[{window}])))"


def each_rps(service: str, names: Names) -> str:
    """PromQL: requests/s of one ready replica."""
    ready = f"sum({names.replicas_ready}{{{names.deployment_label}={quoted(service)}}})"
    return f"{requests_rps(service, names, '5m')} / {ready}"


def wanted_replicas(service: str, figures: Figures, names: Names) -> str:
    """PromQL: replicas the autoscaler asks for."""
    name = quoted(autoscaler_of(figures, service))
    return f"max({names.replicas_wanted}{{{names.autoscaler_label}={name}}})"


def autoscaler_of(figures: Figures, service: str) -> str:
    """Name of the horizontal autoscaler of a service; KEDA makes its own."""
    return ("keda-hpa-" if figures.scaling[service].autoscaler == "keda" else "") + slug(service)


def _service(study: "Study", service: str, figures: Figures, names: Names) -> Iterator[Rule]:
    label, each = {"service": service, **who(study, service)}, each_rps(service, names)
    full, limit = figures[f"{service}.saturated_rps"], figures[f"{service}.limit_rps"]
    most, mean = figures[f"{service}.max_replicas"], figures[f"{service}.mean_rps"]
    yield _rule("PlanSaturation", f"{each} > {full.text}", label, full)
    yield _rule("PlanBeyondLimit", f"{each} > {limit.text}", label, limit)
    yield _above(service, label, figures, names)
    wanted = wanted_replicas(service, figures, names)
    yield _rule("PlanReplicasAtMaximum", f"{wanted} >= {most.text}", label, most)
    for bound, metric, _, _ in study.scenario.services[service].objective.bounds():
        yield from _burns(service, bound, metric, label, figures, names)
    series = f"{names.requests}{{{names.service_label}={quoted(service)}}}"
    yield _rule("PlanMetricMissing", f"absent({series})", label, mean)


def _above(service: str, label: dict[str, str], figures: Figures, names: Names) -> Rule:
    line, hours = figures.lines[f"{service}.{LOAD}"], figures[f"{service}.above_h"]
    often = figures[f"{service}.above_a_month"]
    expr = f"{requests_rps(service, names, '1h')} > max(max_over_time({line.selector}[1h]))"
    rule = _rule("PlanLoadAbove", expr, label, line_figure(line), f"{hours.text}h")
    rule["annotations"] |= {"for_figure": hours.name, "for_value": hours.text, "for_unit": hours.unit}
    rule["annotations"] |= {"by_chance_a_month": often.text, "by_chance_figure": often.name}
    return rule


def line_figure(line: Line) -> Figure:
    """What a line is, as a figure without a number of its own."""
    return Figure(line.name, math.nan, line.unit, f"each hour, recorded as {line.record}", line.source)


def _burns(
    service: str, bound: str, metric: str, label: dict[str, str], figures: Figures, names: Names
) -> Iterator[Rule]:
    limit = figures[f"{service}.{bound}.limit_s"]
    for _, long, short, lasts, severity in BURNS:
        name = f"{service}.{bound}.late_share_{long}"
        if name not in figures:
            continue
        spent = figures[name]
        parts = [f"{late_share(service, metric, limit.value, names, w)} > {spent.text}" for w in (long, short)]
        words = label | {"severity": severity, "objective": bound, "window": long}
        rule = _rule("PlanErrorBudget", " and ".join(parts), words, spent, lasts)
        rule["annotations"] |= {"limit_figure": limit.name, "limit_value": limit.text, "limit_unit": limit.unit}
        yield rule


def _whole(study: "Study", figures: Figures, names: Names) -> Iterator[Rule]:
    label, line = {"scenario": study.scenario.name}, figures.lines[SPEND]
    spend = f"max({names.spend})"
    yield _rule("PlanSpendPace", f"{spend} > max({line.selector})", label, line_figure(line))
    if "plan.budget_usd_per_month" in figures:
        budget = figures["plan.budget_usd_per_month"]
        yield _rule("PlanBudgetSpent", f"{spend} > {budget.text}", label, budget)
    for k, what in enumerate(study.plan.commitments["commitment"], 1):
        if f"commitment.{k}.break_even_utilization" in figures:
            least = figures[f"commitment.{k}.break_even_utilization"]
            use = f"min(avg_over_time({names.commitment_use}{{commitment={quoted(what)}}}[1d]))"
            yield _rule("PlanCommitmentUse", f"{use} < {least.text}", label | {"commitment": what}, least)
    dated, age, end = figures["prices.as_of_s"], figures["prices.age_limit_days"], figures["plan.end_s"]
    rule = _rule("PlanPricesOld", f"(vector(time()) - {dated.text}) / 86400 > {age.text}", label, dated)
    rule["annotations"] |= {"limit_figure": age.name, "limit_value": age.text, "limit_unit": age.unit}
    yield rule
    yield _rule("PlanEnded", f"vector(time()) >= {end.text}", label, end)


def who(study: "Study", service: str) -> dict[str, str]:
    """Labels of who answers for a service: ``team``, and ``on_call`` if it is known."""
    owner = study.scenario.services[service].owner
    if owner is None:
        return {"team": "nobody"}
    return {"team": owner.team, **({"on_call": owner.on_call} if owner.on_call else {})}


def _rule(alert: str, expr: str, labels: dict[str, str], figure: Figure, lasts: str = "") -> Rule:
    usual, severity, summary, action = WORDS[alert]
    subject = f"{labels['service']}: " if "service" in labels else ""
    trace = figure.trace() | ({"value": "by hour"} if math.isnan(figure.value) else {})
    return {
        "alert": alert,
        "expr": expr,
        "for": lasts or usual,
        "labels": {"severity": severity} | labels,
        "annotations": {"summary": subject + summary, "action": action, **trace},
    }
