"""A Grafana dashboard: what happens beside the plan's lines, one row of panels a service."""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from planner.operate.figures import Figure, Figures
from planner.operate.lines import CAPACITY, LOAD, SPEND
from planner.operate.names import Names, slug
from planner.operate.prometheus import each_rps, late_share, requests_rps, wanted_replicas

if TYPE_CHECKING:
    from planner.study import Study

Panel = dict[str, Any]
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDE, _HIGH = 12, 8


def dashboard(study: "Study", figures: Figures, names: Names) -> dict[str, Any]:
    """The dashboard as Grafana imports it; the data source is a variable."""
    panels = [p for s in figures.scaling for p in _service(study, s, figures, names)]
    panels += _money(figures, names)
    for k, panel in zip(count(), panels, strict=False):
        panel |= {"id": k + 1, "gridPos": {"x": k % 2 * _WIDE, "y": k // 2 * _HIGH, "w": _WIDE, "h": _HIGH}}
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": slug(f"plan-{study.scenario.name}")[:40],
        "title": f"Plan of {study.scenario.name}",
        "tags": ["planner", study.scenario.state],
        "timezone": study.scenario.time_zone,
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _service(study: "Study", service: str, figures: Figures, names: Names) -> Iterator[Panel]:
    load, able = figures.lines[f"{service}.{LOAD}"], figures.lines[f"{service}.{CAPACITY}"]
    came = requests_rps(service, names, "5m")
    q = figures[f"{service}.load_quantile"]
    shown = {
        "came": came,
        f"planned for, quantile {q.text}": f"max({load.selector})",
        "may be carried": f"max({able.selector})",
    }
    yield _panel(f"{service}: load", shown, "reqps", [], f"{load.name} and {able.name}, by hour; {load.source}")
    lines = [figures[f"{service}.saturated_rps"], figures[f"{service}.limit_rps"]]
    yield _panel(f"{service}: load of one replica", {"each": each_rps(service, names)}, "reqps", lines)
    most, least = figures[f"{service}.max_replicas"], figures[f"{service}.min_replicas"]
    ready = f'sum({names.replicas_ready}{{{names.deployment_label}="{service}"}})'
    shown = {"ready": ready, "wanted": wanted_replicas(service, figures, names)}
    yield _panel(f"{service}: replicas", shown, "none", [least, most])
    for bound, metric, _, limit in study.scenario.services[service].objective.bounds():
        lines = [f for f in figures.numbers.values() if f.name.startswith(f"{service}.{bound}.late_share_")]
        late = late_share(service, metric, limit, names, "1h")
        yield _panel(f"{service}: outside {bound}", {"late, last hour": late}, "percentunit", lines)


def _money(figures: Figures, names: Names) -> Iterator[Panel]:
    line = figures.lines[SPEND]
    budget = [figures[n] for n in ("plan.budget_usd_per_month",) if n in figures]
    shown = {"spent this month": f"max({names.spend})", "plan, P90 of the month": f"max({line.selector})"}
    yield _panel("Spend of the month", shown, "currencyUSD", budget, f"{line.name}, by day; {line.source}")
    even = [f for f in figures.numbers.values() if f.name.endswith(".break_even_utilization")]
    if even:
        use = {"{{commitment}}": f"avg_over_time({names.commitment_use}[1d])"}
        yield _panel("Use of commitments", use, "percentunit", even)


def _panel(title: str, shown: dict[str, str], unit: str, lines: list[Figure], words: str = "") -> Panel:
    """A time series with the plan's figures as dashed lines; its description traces them."""
    steps: list[Panel] = [{"color": "green", "value": None}]
    steps += [{"color": "red" if k else "orange", "value": f.value} for k, f in enumerate(_rising(lines))]
    traced = "; ".join(f"{f.name} = {f.text} {f.unit} ({f.when}; {f.source})" for f in lines)
    targets = [
        {"refId": chr(ord("A") + k), "expr": expr, "legendFormat": name, "datasource": _SOURCE}
        for k, (name, expr) in enumerate(shown.items())
    ]
    custom = {"thresholdsStyle": {"mode": "dashed" if lines else "off"}}
    defaults = {"unit": unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": "timeseries",
        "title": title,
        "description": "; ".join(t for t in (words, traced) if t),
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def _rising(lines: list[Figure]) -> list[Figure]:
    return sorted(lines, key=lambda f: f.value)
