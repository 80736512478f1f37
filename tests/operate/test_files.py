"""Every number of every file is the plan's figure, and every figure the plan's own sum."""

import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from planner.cli import main
from planner.errors import PlannerError
from planner.operate import Names, texts, write
from planner.operate.figures import figures_of
from planner.operate.lines import recording
from planner.show import views
from planner.simulator.fleet import task_of
from planner.simulator.operations import Operations
from tests.builders.small import SCENARIO, traffic
from tests.operate import reading, shapes

RELATIVE = 1e-9


def near(value):
    return pytest.approx(value, rel=RELATIVE, abs=1e-12)


def valid(schema, value):
    return [e.message for e in Draft202012Validator(schema).iter_errors(value)]


def test_figures_are_sums_and_quantiles_of_the_plans_own_frames(study, files):
    found, plan = reading.figures(files), study.plan
    assert found["plan.total_usd"] == near(plan.cost["effective_cost_usd"].sum())
    assert found["plan.unowned_usd"] == near(plan.cost.loc[plan.cost["owner"] == "", "effective_cost_usd"].sum())
    month = plan.cost["ts"].dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m")
    for name, value in plan.cost.groupby(month)["effective_cost_usd"].sum().items():
        assert found[f"month.{name}.usd"] == near(value)
        assert found[f"month.{name}.p90_usd"] == near(np.quantile(plan.paths_month_usd[name], 0.9))
    rate = study.load.services["web"].arrival_rate_rps
    assert found["web.peak_rps"] == near(np.quantile(rate, 0.95, axis=0).max())
    assert found["web.mean_rps"] == near(rate.mean(dtype=float))
    assert found["web.capacity_most_rps"] == near(views.hourly(study, "web")["capacity"].max())
    most = plan.schedule.groupby(["instance_type", "purchase_option", "ts"])["instances"].sum()
    for (machine, option), value in most.groupby(level=[0, 1]).max().items():
        assert found[f"web.pool.aws/us-east-1/{machine}/{option}.max_instances"] == value
    assert found["web.latency_p99_s.limit_s"] == 0.3
    assert found["break.1.load_multiplier"] == near(study.replay.breaks["load_multiplier"].iloc[0])


def test_settings_are_those_the_replay_plays(study, files):
    found, s = reading.figures(files), study.scenario
    task = task_of("web", study.plan, s, study.load, study.capacity, Operations(seed=s.seed))
    smallest = int(np.argmin(task.ladder.size))
    full = task.kinds[smallest].saturation_rps[1]
    assert found["web.target_share"] == near(task.target_percent / 100)
    assert found["web.target_rps"] == near(full * task.target_percent / 100)
    assert found["web.max_replicas"] == round(task.ladder.units[-1])
    assert found["web.min_replicas"] == round(task.ladder.units[0])
    assert found["web.scale_down_s"] == s.services["web"].autoscaling.scale_down_delay_s
    assert found["web.usable_rps"] <= found["web.limit_rps"] <= found["web.saturation_rps"]


def test_every_alert_names_its_figure_and_compares_with_no_other_number(files):
    found = reading.figures(files)
    for rule in reading.rules(files):
        said = rule["annotations"]
        traced = {said[k]: said.get(k.replace("figure", "value")) for k in said if k.endswith("figure")}
        assert {"figure", "value", "unit", "when", "source"} <= said.keys()
        for name, value in traced.items():
            if name in found and value is not None:
                assert float(value) == near(found[name]), name
        known = {float(v) for k, v in said.items() if k.endswith("value") and v != "by hour"} | reading.CONSTANTS
        assert set(reading.numbers(rule["expr"])) <= known, rule["expr"]
    names = {r["alert"] for r in reading.rules(files)}
    assert {"PlanSaturation", "PlanLoadAbove", "PlanErrorBudget", "PlanBudgetSpent", "PlanSpendPace"} <= names


def test_lines_hold_the_plans_value_of_every_hour_and_day(study, files):
    """The rules of a day, taken apart: seconds of its bounds, hours and values."""
    figures = figures_of(study, Names())
    hours = views.hourly(study, "web")
    line = figures.lines["web.load_quantile_rps"]
    assert line.values == near(hours["planned"].to_numpy())
    said = {}
    for rule in reading.rules(files, "prometheus-lines.yaml"):
        if rule["record"] == line.record:
            first, last = (int(t) for t in re.search(r">= (\d+) < (\d+)\)$", rule["expr"]).groups())
            alone = re.match(r"vector\(([\d.]+)\)", rule["expr"])  # a day of one hour
            pairs = re.findall(r"([\d.]+) \* \(hour\(\) == bool (\d+)\)", rule["expr"])
            for value, hour in [(alone[1], first // 3600 % 24)] if alone else pairs:
                for second in range(first, last, 3600):
                    if second // 3600 % 24 == int(hour):
                        said[second] = float(value)
    assert list(said) == [int(t.timestamp()) for t in study.load.ts]
    assert list(said.values()) == near(hours["planned"].tolist())
    spend = figures.lines["spend_to_date_usd"]
    assert spend.values[-1] == near(figures["month.2027-01.p90_usd"].value)
    assert (np.diff(spend.values) > 0).all()
    assert sum(len(g["rules"]) for g in recording(spend)) == 3


def test_the_page_says_each_number_with_its_figure_and_names_what_nobody_answers_for(study, files):
    page, found = files["handoff.md"], reading.figures(files)
    notes = dict(re.findall(r"^\[\^(\d+)\]: `([^`]+)` = ", page, flags=re.M))
    body = page[: page.index("\n[^1]: ")]
    assert set(re.findall(r"\[\^(\d+)\]", body)) <= set(notes)
    for key, name, value in re.findall(r"^\[\^(\d+)\]: `([^`]+)` = (\S+) ", page, flags=re.M):
        assert float(value) == near(found[name]), key
    for text, key in re.findall(r"\$([\d,.]+)\[\^(\d+)\]", body):
        shown = float(text.replace(",", ""))
        assert shown == pytest.approx(found[notes[key]], abs=0.5), notes[key]
    body = body[: body.index("## Names to rename")]
    bare = re.sub(r"\$?[\d,.]+ ?(?:%|×|ms|s|k|m|bn)?\[\^\d+\]|`[^`]*`|\d{4}-\d\d(?:-\d\d)?(?: \d\d:\d\d)?", "", body)
    told = [line for line in bare.splitlines() if "plan.bindings" not in line and not line.startswith("#")]
    left = {n for line in told for n in re.findall(r"(?<![\w-])\d[\d.]*(?![\w-])", line)}
    assert left <= {"99"}, left  # the percentile of the objective, in words
    assert "**Nobody answers for $" in page
    assert "shop-oncall" in page


def test_manifests_are_what_kubernetes_keda_and_karpenter_take(study, files):
    found = reading.figures(files)
    (scaler,) = reading.objects(files, "autoscalers.yaml")
    assert valid(shapes.HPA, scaler) == []
    spec = scaler["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (found["web.min_replicas"], found["web.max_replicas"])
    held = spec["metrics"][0]["pods"]["target"]["averageValue"]
    assert float(held.removesuffix("m")) / 1000 == pytest.approx(found["web.target_rps"], abs=5e-4)
    down = spec["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == found["web.scale_down_s"]
    up = {p["type"]: (p["value"], p["periodSeconds"]) for p in spec["behavior"]["scaleUp"]["policies"]}
    assert up == {"Pods": (4, 15), "Percent": (100, 15)}
    pools = reading.objects(files, "karpenter.yaml")
    machines = study.plan.machines()
    assert len(pools) == (machines["max_instances"] > 0).sum()
    for pool in pools:
        assert valid(shapes.NODE_POOL, pool) == []
        wanted = {r["key"].rpartition("/")[2]: r["values"][0] for r in pool["spec"]["template"]["spec"]["requirements"]}
        option = wanted["capacity-type"].replace("-", "_")
        at = f"web.pool.aws/{wanted['region']}/{wanted['instance-type']}/{option}"
        assert float(pool["spec"]["limits"]["cpu"]) == near(found[f"{at}.max_vcpus"])
        assert (
            float(pool["metadata"]["annotations"]["planner/max_instances"].split()[0]) == found[f"{at}.max_instances"]
        )


def test_keda_takes_the_place_of_the_autoscaler_where_the_scenario_says_so(study):
    from dataclasses import replace

    keda = replace(study, scenario=study.scenario.replace(**{"services.web.autoscaling.autoscaler": "keda"}))
    files = texts(keda, Names().renamed(["requests=nginx_requests_total", "price_age_days=90"]))
    (scaler,) = reading.objects(files, "autoscalers.yaml")
    assert valid(shapes.KEDA, scaler) == []
    trigger = scaler["spec"]["triggers"][0]["metadata"]
    assert float(trigger["threshold"]) == near(reading.figures(files)["web.target_rps"])
    assert "nginx_requests_total" in trigger["query"]
    assert "http_requests_total" not in files["prometheus-alerts.yaml"]
    assert "keda-hpa-web" in files["prometheus-alerts.yaml"]
    assert reading.figures(files)["prices.age_limit_days"] == 90


def test_variables_and_dashboard_hold_the_figures(files):
    found = reading.figures(files)
    told = reading.loaded(files, "terraform.tfvars.json")
    assert valid(shapes.VARIABLES, told) == []
    for month, value in told["p90_usd_by_month"].items():
        assert value == near(found[f"month.{month}.p90_usd"])
    for key, value in told["services"]["web"]["replicas"].items():
        assert value == near(found[f"web.{key}"])
    for pool in told["services"]["web"]["pools"]:
        at = f"web.pool.{pool['provider']}/{pool['region']}/{pool['instance_type']}/{pool['purchase_option']}"
        assert pool["max_instances"] == found[f"{at}.max_instances"]
    board = reading.loaded(files, "grafana-dashboard.json")
    assert valid(shapes.DASHBOARD, board) == []
    for panel in board["panels"]:
        traced = {float(v) for v in re.findall(r" = (\S+) ", panel["description"])}
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert {float(f"{s['value']:.12g}") for s in steps if s["value"] is not None} == traced


def test_a_folder_is_written_whole_or_not_at_all(study, files, tmp_path):
    found = write(study, tmp_path / "out")
    assert {p.name for p in found} == set(files) == {p.name for p in (tmp_path / "out").iterdir()} - {"manifest.json"}
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(PlannerError, match="cannot be written"):
        write(study, tmp_path / "file")


@pytest.mark.parametrize("pair", ["request=x", "requests", "price_age_days=soon", "price_age_days=-1"])
def test_a_name_that_is_none_is_refused_with_the_way_out(pair):
    with pytest.raises(PlannerError, match=r"KEY=VALUE|number of days"):
        Names().renamed([pair])


def test_the_command_writes_the_files_and_names_them(tmp_path, study, monkeypatch):
    """On a study that is there already; the slow test plans the samples."""
    monkeypatch.setattr("planner.study.run", lambda *_, **__: study)
    (tmp_path / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    traffic().to_csv(tmp_path / "web.csv", index=False)
    arguments = ["operate", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out"), "--paths", "5"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == len(list((tmp_path / "out").iterdir())) - 1  # the manifest of the set
    wrong = CliRunner().invoke(main, [*arguments, "--name", "nothing=x"])
    assert wrong.exit_code == 2
    assert "KEY=VALUE" in wrong.stderr


def test_runs_above_a_line_count_once_a_path():
    from planner.operate.figures import runs_of

    above = np.array([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 1]], dtype=bool)
    assert [runs_of(above, k) for k in (1, 2, 3, 4)] == [5, 2, 1, 0]


def test_events_and_terms_are_due_on_their_local_days(files):
    rows = dict(re.findall(r"^\| (\d{4}-\d\d-\d\d) \| (.+) \|$", files["handoff.md"], flags=re.M))
    assert "2027-01-07" in rows
    assert pd.Timestamp(max(rows)) >= pd.Timestamp("2027-01-07")
