"""Unit tests of the alert rules for ``promtool test rules``: quiet on the plan's own load,
loud on a replayed overload.

Both play hours around the plan's busiest: the median load path with the machines of the plan,
and a load beyond what all its replicas serve, with the requests that its replay finds in time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.operate.figures import Figures
from planner.operate.lines import LOAD, SPEND, Line, quoted
from planner.operate.names import Names
from planner.operate.prometheus import autoscaler_of, le
from planner.operate.scaling import Scaling
from planner.simulator import Operations, simulate

if TYPE_CHECKING:
    from planner.study import Study

HOURS, PATHS, BEYOND = 8, 4, 1.25
_EVEN = "break_even_utilization"
Rules = Sequence[Mapping[str, Any]]
Test = dict[str, Any]


@dataclass(frozen=True)
class _Played:
    """Some hours of one service: ``rate`` [requests/s], ``replicas`` ready and asked for,
    ``within`` share in time by objective, ``line`` the plan's quantile.
    """

    service: str
    rate: Floats
    replicas: Floats
    within: Mapping[str, Floats]
    line: Floats


def rule_tests(study: "Study", figures: Figures, names: Names, rules: Rules, rules_file: str) -> Test:
    """The tests of all rules but those that look at the date.

    Series begin at second 0, as promtool has it, with a sample a minute; the plan's lines are given
    as series, since their rules speak in the horizon only.  An alert is expected to fire where the
    played hours hold out longer than it waits and are beyond its figure; each name is expected with
    all its labels and annotations, and nothing beside.
    """
    tests = [t for s in figures.scaling for t in _service(study, s, figures, names, rules)]
    tests += _money(study, figures, names, rules)
    return {"rule_files": [rules_file], "evaluation_interval": "1m", "tests": tests}


def date_tests(study: "Study", figures: Figures, rules: Rules, files: Sequence[str]) -> Test:
    """The tests of the rules that look at the date: at the plan's start, and after its end; and the
    first value of each line.

    promtool 2 begins at 1970 and evaluates every interval: with the plan's start as the interval
    its second evaluation is the first hour of the horizon, and its third lies 57 years later.
    """
    start = pd.Timestamp(study.load.ts[0])
    old = figures["prices.as_of_s"].value + 86400 * figures["prices.age_limit_days"].value
    first = f"{start.timestamp() / 3600:.0f}h"
    later = f"{2 * start.timestamp() / 3600:.0f}h"
    lines = [line_test(x, first, float(x.values[0])) for x in figures.lines.values()]
    dated = [*_chosen(rules, "PlanEnded"), *_chosen(rules, "PlanPricesOld")]
    known = [r for r in dated if r["alert"] == "PlanPricesOld" and old < start.timestamp()]
    asked = [*_expected(dated, known, first), *_expected(dated, dated, later)]
    tests = [{"interval": "1m", "promql_expr_test": lines, "alert_rule_test": asked}]
    return {"rule_files": list(files), "evaluation_interval": first, "tests": tests}


def _service(study: "Study", service: str, figures: Figures, names: Names, rules: Rules) -> Iterator[Test]:
    quiet, loud = _own(study, service, figures), _overload(study, service, figures)
    hours = f"{len(quiet.rate)}h"
    for name, played, fires in (("the plan's own load", quiet, False), ("a replayed overload", loud, True)):
        chosen = [r for r in rules if r["labels"].get("service") == service]
        loudly = [r for r in chosen if fires and r["alert"] != "PlanMetricMissing" and _reaches(r, played, figures)]
        asked = _expected(chosen, loudly, hours)
        series = [*_series(played, study, figures, names)]
        yield {"name": f"{service}: {name}", "interval": "1m", "input_series": series, "alert_rule_test": asked}
    blind = _chosen(rules, "PlanMetricMissing", service)
    yield {"name": f"{service}: no metric comes", "interval": "1m", "alert_rule_test": _expected(blind, blind, "1h")}


def _reaches(rule: Mapping[str, Any], played: _Played, figures: Figures) -> bool:
    """Whether the played hours are beyond what an alert waits for; some budgets are so wide that a
    window of theirs holds more than was late.
    """
    if rule["alert"] == "PlanLoadAbove":
        return float(rule["annotations"]["for_value"]) < len(played.rate)
    if rule["alert"] != "PlanErrorBudget":
        return True
    late = 1 - played.within[rule["labels"]["objective"]]
    return bool(late.min() > figures[rule["annotations"]["figure"]].value)


def _window(service: str, figures: Figures) -> "slice[Any, Any, Any]":
    """Hours around the plan's busiest: eight, or what the slowest alert waits for and two more."""
    line = figures.lines[f"{service}.{LOAD}"].values
    length = max(HOURS, round(figures[f"{service}.above_h"].value) + 2)
    first = int(np.clip(int(line.argmax()) - length // 2, 0, max(len(line) - length, 0)))
    return slice(first, min(first + length, len(line)))


def _own(study: "Study", service: str, figures: Figures) -> _Played:
    """The median load with what the plan has ready, and what its replay found in time."""
    at, s = _window(service, figures), figures.scaling[service]
    rate = np.median(study.load.services[service].arrival_rate_rps, axis=0)[at].astype(np.float64)
    replicas = np.clip(np.ceil(rate / s.target_rps), s.least, s.most)
    within = _within(study.replay.hours, service, at)
    return _Played(service, rate, replicas, within, figures.lines[f"{service}.{LOAD}"].values[at])


def _overload(study: "Study", service: str, figures: Figures) -> _Played:
    """A load beyond all replicas in each of the hours, and what its replay finds in time."""
    at, s = _window(service, figures), figures.scaling[service]
    paths = (study.unseen or study.load).select(np.arange(min(PATHS, study.load.paths)))
    rate = paths.services[service].arrival_rate_rps.mean(axis=0, dtype=np.float64)[at]
    times = _times(s, rate)
    replay = simulate(
        study.plan,
        study.scenario,
        paths,
        study.capacity,
        operations=Operations(seed=study.scenario.seed, load_factor=times),
    )
    within = _within(replay.hours, service, at)
    most = np.full(len(rate), s.most)
    return _Played(service, rate * times, most, within, figures.lines[f"{service}.{LOAD}"].values[at])


def _times(s: Scaling, rate: Floats) -> float:
    """How many times the load is taken so that its least hour is beyond what all replicas serve."""
    return float(ceil(BEYOND * s.saturation_rps * s.most / max(float(rate.min()), 1e-9)))


def _within(hours: pd.DataFrame, service: str, at: "slice[Any, Any, Any]") -> dict[str, Floats]:
    mine = hours[hours["service"] == service]
    return {
        str(o): part.sort_values("ts")["within_share"].clip(0, 1).to_numpy(np.float64)[at]
        for o, part in mine.groupby("objective", observed=True)
    }


def _series(p: _Played, study: "Study", figures: Figures, names: Names) -> Iterator[dict[str, str]]:
    label = f"{names.service_label}={quoted(p.service)}"
    yield _counter(f"{names.requests}{{{label}}}", p.rate)
    yield _gauge(f"{names.replicas_ready}{{{names.deployment_label}={quoted(p.service)}}}", p.replicas)
    name = quoted(autoscaler_of(figures, p.service))
    yield _gauge(f"{names.replicas_wanted}{{{names.autoscaler_label}={name}}}", p.replicas)
    yield _gauge(figures.lines[f"{p.service}.{LOAD}"].selector, p.line)
    counted = set()
    for bound, metric, _, limit in study.scenario.services[p.service].objective.bounds():
        bucket = le(limit) if "." in f"{limit:.12g}" else f'le="{limit:.12g}"'
        yield _counter(f"{names.of(metric)}_bucket{{{label},{bucket}}}", p.rate * p.within[bound])
        if metric not in counted:
            yield _counter(f"{names.of(metric)}_count{{{label}}}", p.rate)
        counted.add(metric)


def _counter(series: str, rate: Floats) -> dict[str, str]:
    """A counter that grows by each hour's rate [1/s], a sample a minute."""
    parts, so_far = [], 0.0
    for r in rate * 60:
        parts.append(f"{_fixed(so_far)}+{_fixed(r)}x59")
        so_far += 60 * float(r)
    return {"series": series, "values": " ".join([*parts, _fixed(so_far)])}


def _gauge(series: str, values: Floats) -> dict[str, str]:
    """A gauge that holds each hour's value, a sample a minute."""
    return {"series": series, "values": " ".join([*(f"{_fixed(v)}+0x59" for v in values), _fixed(values[-1])])}


def _fixed(value: float) -> str:
    """A number without exponent, which promtool does not read in series."""
    return np.format_float_positional(value, precision=9, unique=False, trim="-")


def _money(study: "Study", figures: Figures, names: Names, rules: Rules) -> Iterator[Test]:
    """Spend at the plan's own pace and beyond it; commitments used as
    planned and below what pays.
    """
    line, at, ends = figures.lines[SPEND], f"{HOURS}h", np.ones(HOURS)
    month = pd.Timestamp(line.ts[0]).tz_convert(study.plan.time_zone).strftime("%Y-%m")
    share = figures[f"month.{month}.expected_share"].value if f"month.{month}.expected_share" in figures else 1.0
    used = {k: f for k, f in _uses(study, figures).items() if f"commitment.{k}.{_EVEN}" in figures}
    names_of = study.plan.commitments["commitment"].tolist()
    for name, pace, factor in (("own pace", share, 1.0), ("overspent, idle commitments", 1.05, 0.0)):
        series = [_gauge(line.selector, line.values[0] * ends), _gauge(names.spend, line.values[0] * pace * ends)]
        for k, use in used.items():
            what = f"{names.commitment_use}{{commitment={quoted(names_of[k - 1])}}}"
            series.append(_gauge(what, use * factor * ends))
        fire = _chosen(rules, "PlanSpendPace") if factor == 0.0 else []
        idle = {names_of[k - 1] for k, u in used.items() if u * factor < figures[f"commitment.{k}.{_EVEN}"].value}
        fire = [*fire, *(r for r in _chosen(rules, "PlanCommitmentUse") if r["labels"]["commitment"] in idle)]
        asked = _expected([*_chosen(rules, "PlanSpendPace"), *_chosen(rules, "PlanCommitmentUse")], fire, at)
        yield {"name": name, "interval": "1m", "input_series": series, "alert_rule_test": asked}


def _uses(study: "Study", figures: Figures) -> dict[int, float]:
    """The planned use of each commitment."""
    keys = range(1, len(study.plan.commitments) + 1)
    return {k: figures[n].value for k in keys if (n := f"commitment.{k}.commitment_utilization") in figures}


def _chosen(rules: Rules, alert: str, service: str = "") -> Rules:
    """The rules of one name, of one service if it is given."""
    return [r for r in rules if r["alert"] == alert and (not service or r["labels"].get("service") == service)]


def _expected(rules: Rules, fire: Rules, at: str) -> list[Test]:
    """What is expected of each name of ``rules`` at a time: those that ``fire``, and no others."""
    found = []
    for alert in dict.fromkeys(r["alert"] for r in rules):
        told = [{"exp_labels": r["labels"], "exp_annotations": r["annotations"]} for r in _chosen(fire, alert)]
        found.append({"eval_time": at, "alertname": alert, "exp_alerts": told})
    return found


def line_test(line: Line, at: str, value: float) -> Test:
    """What a line is expected to be at a time."""
    sample = {"labels": "{}", "value": float(f"{value:.12g}")}
    return {"expr": f"max({line.selector})", "eval_time": at, "exp_samples": [sample]}
