"""The command line as people meet it: answers, exit codes, and one screen for every mistake."""

import csv
import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from planner.cli import main
from planner.cli.variants import combinations
from planner.show.words import number, percent, seconds, table, usd
from tests.builders.small import SCENARIO, traffic


def scenario_in(folder):
    (folder / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    traffic().to_csv(folder / "web.csv", index=False)
    return folder


@pytest.fixture(name="folder")
def folder_of_a_scenario(tmp_path):
    return scenario_in(tmp_path)


def run(folder, *arguments):
    return CliRunner().invoke(main, ["plan", str(folder / "small.yaml"), "--paths", "20", *arguments])


@pytest.fixture(scope="module", name="answers")
def answers_as_json_and_as_text(tmp_path_factory):
    """A folder with the files of one scenario, and its answer as JSON and as a page of text."""
    folder = scenario_in(tmp_path_factory.mktemp("answers"))
    return folder / "out", run(folder, "--json"), run(folder, "--csv", str(folder / "out"))


def test_a_plan_is_the_same_on_screen_in_json_and_in_csv(answers):
    files, done, shown = answers
    assert done.exit_code == 0, done.output
    assert "optimizing" in done.stderr
    answer = json.loads(done.stdout)
    with (files / "cost.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    total = sum(float(r["effective_cost_usd"]) for r in rows)
    assert answer["summary"]["total_usd"] == pytest.approx(total, rel=1e-9)
    assert f"proving a plan of {total:,.0f} USD" in done.stderr
    assert sum(m["effective_cost_usd"] for m in answer["months"]) == pytest.approx(total, rel=1e-9)
    assert f"{usd(total)}" in shown.stdout
    for word in ("range P10 to P90", "What breaks first", "Who answers for it", "shop", "days old", "requests within"):
        assert word in shown.stdout


def test_overrides_change_the_answer(folder):
    one, two = (
        json.loads(run(folder, "--json", "--set", f"limits.zones={z}", "--set", f"limits.zones_lost={z - 1}").stdout)
        for z in (1, 2)
    )
    assert two["summary"]["total_usd"] > one["summary"]["total_usd"]


def test_module_and_exit_code():
    done = subprocess.run(
        [sys.executable, "-m", "planner", "columns", "plan.cost"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "effective_cost_usd" in done.stdout


@pytest.mark.parametrize("command", [["forecast"], ["forecast", "--backtest"], ["simulate"]])
def test_the_other_commands_answer(folder, command):
    done = CliRunner().invoke(main, [*command, str(folder / "small.yaml"), "--paths", "20"])
    assert done.exit_code == 0, done.output
    assert "web" in done.stdout


def yaml(old, new):
    def spoil(folder):
        assert old in SCENARIO
        (folder / "small.yaml").write_text(SCENARIO.replace(old, new), encoding="utf-8")

    return spoil


def history(**changes):
    def spoil(folder):
        traffic(**changes).to_csv(folder / "web.csv", index=False)

    return spoil


def naive(folder):
    frame = traffic()
    frame["ts"] = frame["ts"].str.rstrip("Z")
    frame.to_csv(folder / "web.csv", index=False)


def mostly_gaps(folder):
    traffic().iloc[[0, 1, 2, 300, 301, 600]].to_csv(folder / "web.csv", index=False)


def raw(content):
    def spoil(folder):
        (folder / "web.csv").write_bytes(content)

    return spoil


BAD = {
    "broken YAML": (yaml("services:", "services: ["), 2, "line"),
    "a repeated key": (yaml("horizon_h: 72", "horizon_h: 72\nhorizon_h: 73"), 2, "twice"),
    "unknown key": (yaml("limits: {", "limits: {max_spot: 0.3, "), 2, "max_spot_share"),
    "negative rate": (history(arrival_rate_rps=-1.0), 2, "arrival_rate_rps|negative"),
    "ambiguous time zone": (naive, 2, "time_zone"),
    "gaps": (mostly_gaps, 2, "history|observed|day"),
    "unknown region": (yaml("us-east-1", "us-esat-1"), 2, "us-east-1"),
    "impossible target": (yaml("latency_p99_s: 0.3", "latency_p99_s: 0.001"), 3, "To make it possible"),
    "missing price": (yaml("[m6a.xlarge, c6g.2xlarge]", "[r9g.xlarge]"), 3, "no price known in this region"),
    "0 rows": (raw(b"ts,arrival_rate_rps\n"), 2, "row|empty"),
    "binary file as CSV": (raw(bytes(range(256)) * 40), 2, "CSV|text|UTF-8"),
    "no file": (raw(b""), 2, "empty|row"),
    "wrong latency parameter": (
        yaml("service_time_s: 0.03", "service_time_s: fast"),
        2,
        "services.web.latency.service_time_s",
    ),
    "unknown model": (yaml("model: queue", "model: magic"), 2, "queue"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_screen_with_a_remedy(folder, kind):
    spoil, code, remedy = BAD[kind]
    spoil(folder)
    done = run(folder, "--csv", str(folder / "out"))
    assert done.exit_code == code, done.output
    said = [line for line in done.stderr.splitlines() if not re.match(r"small: ", line)]
    assert said[0].startswith("planner: ")
    assert re.search(remedy, " ".join(said))
    assert "Traceback" not in done.output
    assert len(said) <= 24
    assert max(map(len, said)) <= 600
    assert not (folder / "out").exists()


def test_a_wrong_override_is_said(folder):
    assert run(folder, "--set", "limits.zones").exit_code == 2
    done = run(folder, "--set", "limits.zonse=2")
    assert done.exit_code == 2
    assert "zones" in done.stderr


def test_figures_are_written_as_people_read_them():
    assert [usd(v) for v in (1234.5, 12.345, 0.00132, -5.0, float("nan"), 0.0)] == [
        "$1,234",
        "$12.35",
        "$0.00132",
        "-$5.00",
        "unknown",
        "$0.00",
    ]
    assert [percent(v) for v in (0.5, 0.99999, 1.0)] == ["50.0 %", "99.9 %", "100.0 %"]
    assert [seconds(v) for v in (0.1234, 1.5, float("inf"))] == ["123 ms", "1.50 s", "overloaded"]
    assert [number(v) for v in (3.14159, 512.0, 12345.0, 2.5e6, 1.2e9)] == ["3.14", "512", "12.3 k", "2.5 m", "1.2 bn"]
    assert table(["a", "b"], [["x", "$1"], ["yy", "$22"]]) == "a     b\nx    $1\nyy  $22"


def test_compare_adds_up(folder):
    done = CliRunner().invoke(
        main,
        [
            "compare",
            str(folder / "small.yaml"),
            "--paths",
            "10",
            "--set",
            "limits.zones=2",
            "--set",
            "limits.zones_lost=1",
        ],
    )
    assert done.exit_code == 0, done.output
    head, bridge = done.stdout.split("Where the difference comes from")
    difference = next(line for line in head.splitlines() if "amortized cost" in line).split()[-1]
    assert bridge.strip().splitlines()[-1].split() == ["total", difference]
    assert CliRunner().invoke(main, ["compare", str(folder / "small.yaml")]).exit_code == 2


def test_a_sweep_on_the_command_line(folder):
    arguments = [
        "sweep",
        str(folder / "small.yaml"),
        "--paths",
        "10",
        "--vary",
        "services.web.objective.latency_p99_s=0.3,0.001",
    ]
    done = CliRunner().invoke(main, [*arguments, "--csv", str(folder / "sweep.csv")])
    assert done.exit_code == 0, done.output
    with (folder / "sweep.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["variant"] for r in rows] == ["latency_p99_s=0.3", "latency_p99_s=0.001"]
    assert rows[1]["total_usd"] == ""
    assert rows[1]["error"].startswith("services.web.objective: ")
    assert "0.001" in rows[1]["error"]
    for wrong in ("limits.zones", "limits.zones=[", "=1"):
        assert CliRunner().invoke(main, [*arguments[:4], "--vary", wrong]).exit_code == 2


def test_variants_are_every_combination():
    found = combinations(["limits.zones=1,2", "limits.max_spot_share=0,0.5"])
    assert list(found) == [
        "zones=1, max_spot_share=0",
        "zones=1, max_spot_share=0.5",
        "zones=2, max_spot_share=0",
        "zones=2, max_spot_share=0.5",
    ]
    assert found["zones=2, max_spot_share=0.5"] == {"limits.zones": 2, "limits.max_spot_share": 0.5}


def test_no_scheduler_is_said(folder):
    done = CliRunner().invoke(
        main, ["sweep", str(folder / "small.yaml"), "--vary", "limits.zones=1", "--dask", "nonsense"]
    )
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_plans_nearly_as_good_follow_the_answer_and_stand_in_the_files(answers):
    files, done, shown = answers
    text = shown.stdout
    assert text.index("What binds" if "What binds" in text else "Notes") < text.index("Plans nearly as good")
    table = pd.read_csv(files / "alternatives.csv")
    assert table["variant"].str.startswith("without ").any()
    assert all(name in text for name in table["variant"])
    total = pd.read_csv(files / "cost.csv")["effective_cost_usd"].sum()
    told = table[table["error"].isna()]
    assert (told["total_usd"] - told["difference_usd"]).to_numpy() == pytest.approx(total, rel=1e-9)
    assert json.loads(done.stdout)["alternatives"][0]["variant"] == table["variant"].iloc[0]
