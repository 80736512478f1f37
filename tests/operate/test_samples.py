"""The bundled web queue service and LLM chat, by the command: promtool accepts and runs what is written."""

import shutil
import subprocess

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from planner.cli import main
from planner.data import data_path
from tests.operate import reading, shapes

pytestmark = pytest.mark.slow
RULES = ("prometheus-alerts.yaml", "prometheus-lines.yaml")
TESTS = ("prometheus-tests.yaml", "prometheus-date-tests.yaml")


@pytest.fixture(scope="module", params=["web", "chat"])
def folder(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "ops"
    scenario = str(data_path("scenarios", f"{request.param}.yaml"))
    done = CliRunner().invoke(main, ["operate", scenario, "--out", str(out), "--paths", "40"])
    assert done.exit_code == 0, done.output
    return out


def promtool(folder, *words):
    """Exit code and words of promtool, which .ci/run installs (Debian package prometheus)."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool")
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def test_promtool_accepts_every_rule_file(folder):
    code, said = promtool(folder, "check", "rules", *RULES)
    assert code == 0, said


def test_alerts_fire_on_a_replayed_overload_and_are_quiet_on_the_plans_own_load(folder):
    expected = yaml.safe_load((folder / TESTS[0]).read_text(encoding="utf-8"))["tests"]
    loud = {a["alertname"] for t in expected for a in t["alert_rule_test"] if a["exp_alerts"]}
    assert loud >= {
        "PlanSaturation",
        "PlanBeyondLimit",
        "PlanLoadAbove",
        "PlanReplicasAtMaximum",
        "PlanErrorBudget",
        "PlanMetricMissing",
        "PlanSpendPace",
        "PlanCommitmentUse",
    }
    own = [t for t in expected if t["name"].endswith("the plan's own load") or t["name"] == "own pace"]
    assert own
    assert not any(a["exp_alerts"] for t in own for a in t["alert_rule_test"])
    code, said = promtool(folder, "test", "rules", *TESTS)
    assert code == 0, said


def test_a_rule_with_another_number_is_found_out(folder, tmp_path):
    """The tests that are written do test: a limit a hundred times as high is silent in the overload."""
    for name in (*RULES, TESTS[0]):
        shutil.copy(folder / name, tmp_path / name)
    rules = yaml.safe_load((tmp_path / RULES[0]).read_text(encoding="utf-8"))
    rule = rules["groups"][0]["rules"][1]
    before, sign, number = rule["expr"].rpartition(" > ")
    rule["expr"] = f"{before}{sign}{100 * float(number)}"
    (tmp_path / RULES[0]).write_text(yaml.safe_dump(rules), encoding="utf-8")
    code, said = promtool(tmp_path, "test", "rules", TESTS[0])
    assert code != 0
    assert "PlanBeyondLimit" in said


def test_lines_are_the_plans_at_instants_of_the_whole_horizon(folder, tmp_path):
    """Days read by promtool at their own seconds, as Prometheus would evaluate them then."""
    rules = reading.rules({RULES[1]: (folder / RULES[1]).read_text(encoding="utf-8")}, RULES[1])
    shutil.copy(folder / RULES[1], tmp_path / RULES[1])
    for k in (0, 200, len(rules) // 2, len(rules) - 1):
        rule = rules[k]
        first = int(rule["expr"].rpartition(">= ")[2].split(" < ")[0])
        terms = rule["expr"].partition(" and on()")[0]
        value = eval(terms.replace("vector", "").replace("hour() == bool", f"{first // 3600 % 24} =="))
        sample = {"labels": "{}", "value": float(f"{value:.12g}")}
        asked = {"expr": f"max({rule['record']})", "eval_time": f"{first}s", "exp_samples": [sample]}
        test = {"rule_files": [RULES[1]], "evaluation_interval": f"{first}s"}
        test |= {"tests": [{"interval": "1m", "promql_expr_test": [asked]}]}
        (tmp_path / "at.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
        code, said = promtool(tmp_path, "test", "rules", "at.yaml")
        assert code == 0, said


def test_manifests_and_budgets_of_the_samples_are_valid(folder):
    files = {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir()}
    found = reading.figures(files)
    checked = [(shapes.HPA, o) for o in reading.objects(files, "autoscalers.yaml")]
    checked += [(shapes.NODE_POOL, o) for o in reading.objects(files, "karpenter.yaml")]
    checked += [(shapes.DASHBOARD, reading.loaded(files, "grafana-dashboard.json"))]
    checked += [(shapes.VARIABLES, reading.loaded(files, "terraform.tfvars.json"))]
    if "gcp-budgets.json" in files:
        checked += [(shapes.GCP_BUDGET, b) for b in reading.loaded(files, "gcp-budgets.json")]
    for schema, value in checked:
        assert [e.message for e in Draft202012Validator(schema).iter_errors(value)] == []
    for rule in reading.rules(files):
        said = rule["annotations"]
        if said["value"] != "by hour":
            assert float(said["value"]) == pytest.approx(found[said["figure"]], rel=1e-9)
    assert ("cloudwatch-alarms.json" in files) != ("gcp-budgets.json" in files)
