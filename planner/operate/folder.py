"""The folder of files that a plan is run by, all of it or nothing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from planner.export import to_csv
from planner.export.together import write_set
from planner.operate import budgets, cloudwatch, grafana, handoff, kubernetes, prometheus, ruletests, terraform
from planner.operate.figures import Figures, figures_of
from planner.operate.lines import recording
from planner.operate.names import Names

if TYPE_CHECKING:
    from planner.study import Study

ALERTS, LINES = "prometheus-alerts.yaml", "prometheus-lines.yaml"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WATCHED = ("requests", "latency", "ttft", "tpot", "service_label", "replicas_ready", "deployment_label")
_WATCHED_TOO = ("replicas_wanted", "autoscaler_label", "spend", "commitment_use", "price_age_days")


def write(study: "Study", folder: str | Path, names: Names | None = None) -> list[Path]:
    """Write every file of :func:`texts` into a folder: all of them are complete before the first
    takes its place.

    Raises :class:`PlannerError` if the folder cannot be written, or as :func:`planner.simulate`.
    """
    return write_set({name: text.encode() for name, text in texts(study, names).items()}, folder)


def texts(study: "Study", names: Names | None = None) -> dict[str, str]:
    """Every file by name: alert rules and their tests, lines, budgets, alarms, a dashboard,
    manifests, variables, the hand-off page, and all figures as CSV.

    ``names``: what metrics and objects are called where the files are used.  Files of a cloud are
    written where the plan runs something on it.  Raises as :func:`planner.simulate`.
    """
    names = names or Names()
    figures = figures_of(study, names)
    return {
        **_rules(study, figures, names),
        **_clouds(study, figures, names),
        "grafana-dashboard.json": _json(grafana.dashboard(study, figures, names)),
        **_objects(study, figures, names),
        "terraform.tfvars.json": _json(terraform.variables(study, figures)),
        "figures.csv": to_csv(figures.frame().astype(dict.fromkeys(("figure", "unit", "when", "source"), "str"))),
        "handoff.md": handoff.page(study, figures, names),
    }


def _rules(study: "Study", figures: Figures, names: Names) -> dict[str, str]:
    groups = prometheus.alert_groups(study, figures, names)
    rules = [rule for group in groups for rule in group["rules"]]
    lines = [group for line in figures.lines.values() for group in recording(line)]
    told = "".join(f"# {x.record} = {x.name} [{x.unit}]: {x.source}\n" for x in figures.lines.values())
    tests = ruletests.rule_tests(study, figures, names, rules, ALERTS)
    dates = ruletests.date_tests(study, figures, rules, [ALERTS, LINES])
    head = names.told(*_WATCHED, *_WATCHED_TOO)
    return {
        ALERTS: head + _yaml({"groups": groups}),
        LINES: told + _yaml({"groups": lines}),
        "prometheus-tests.yaml": "# promtool test rules prometheus-tests.yaml\n" + _yaml(tests),
        "prometheus-date-tests.yaml": "# promtool test rules prometheus-date-tests.yaml\n" + _yaml(dates),
    }


def _clouds(study: "Study", figures: Figures, names: Names) -> dict[str, str]:
    used = set(study.plan.cost.loc[study.plan.cost["effective_cost_usd"] > 0, "provider"])
    found = {}
    if "aws" in used:
        found["cloudwatch-alarms.json"] = _json(cloudwatch.alarms(study, figures, names))
        found["aws-budgets.json"] = _json(budgets.aws_budgets(study, figures, names))
    if "gcp" in used:
        found["gcp-budgets.json"] = _json(budgets.gcp_budgets(study, figures, names))
    return found


def _objects(study: "Study", figures: Figures, names: Names) -> dict[str, str]:
    scalers = names.told("namespace", "requests", "service_label", "requests_per_replica", "prometheus")
    files = {
        "autoscalers.yaml": (scalers, kubernetes.autoscalers(figures, names)),
        "karpenter.yaml": (names.told("node_class"), list(kubernetes.node_pools(study, figures, names))),
    }
    return {name: head + _documents(objects) for name, (head, objects) in files.items() if objects}


def _documents(objects: Sequence[Mapping[str, Any]]) -> str:
    return "".join("---\n" + _yaml(o) for o in objects)


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.dump(_plain(value), Dumper=_DUMPER, sort_keys=False, width=1_000_000, allow_unicode=True))


def _plain(value: Any) -> Any:
    """Without shared parts, which YAML would write as aliases."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
