"""The first hour of somebody new: every command as it would be typed, each a process of its own."""

import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from planner.cli import main
from planner.load import read_histories, read_traffic
from planner.scenario import Scenario
from tests.builders import clouds, loadtests
from tests.builders.written import GATLING

NEW = (
    "planner new --name shop --requests-per-day 2000000 --shape consumer --service-time-s 0.03"
    " --latency-p99-s 0.3 --provider aws --region us-east-1 --time-zone Europe/Berlin --team checkout"
)


def grafana(folder):
    """What Grafana's 'Download CSV' of three pods writes."""
    index = pd.date_range("2026-09-01", periods=24 * 21, freq="h")
    wave = 40 + 25 * np.sin((index.hour.to_numpy() - 9) / 24 * 2 * np.pi)
    table = pd.DataFrame({"Time": index.strftime("%Y-%m-%d %H:%M:%S")})
    for pod in "abc":
        table[f'requests/s{{pod="{pod}"}}'] = wave / 3
    table.to_csv(folder / "grafana.csv", index=False)


def typed(line, folder, **more):
    words = shlex.split(line)
    assert words[0] == "planner"
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )


def run(*words):
    return CliRunner().invoke(main, list(words))


def test_from_five_answers_to_a_forecast(tmp_path):
    made = typed(NEW, tmp_path)
    assert made.returncode == 0, made.stderr
    assert "planner plan scenario.yaml" in made.stdout
    text = (tmp_path / "scenario.yaml").read_text(encoding="utf-8")
    assert text.count("#") >= 4
    shown = typed("planner forecast scenario.yaml --paths 20", tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "no history cannot show" in shown.stdout
    assert run("new", str(tmp_path / "scenario.yaml")).exit_code == 2  # nothing is written over


@pytest.mark.slow
def test_from_five_answers_to_a_plan(tmp_path):
    assert typed(NEW, tmp_path).returncode == 0
    planned = typed("planner plan scenario.yaml --paths 20", tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "expected cost" in planned.stdout


@pytest.mark.slow
def test_from_a_grafana_export_to_a_plan(tmp_path):
    """Each step does what the one before it said."""
    grafana(tmp_path)
    refused = typed("planner look grafana.csv", tmp_path)
    assert refused.returncode == 2
    assert "time_zone" in refused.stderr
    looked = typed("planner look grafana.csv --time-zone Europe/Berlin", tmp_path)
    assert looked.returncode == 0, looked.stderr
    traffic = re.search(r"traffic: (\{.*\})", looked.stdout)[1]
    line = NEW.replace(
        "--requests-per-day 2000000 --shape consumer", "--traffic grafana.csv --traffic-time-zone Europe/Berlin"
    )
    assert typed(line, tmp_path).returncode == 0
    assert "Europe/Berlin" in traffic
    planned = typed("planner plan scenario.yaml --paths 20", tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "expected cost" in planned.stdout


def test_a_scenario_beside_its_traffic_is_read_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    grafana(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    answers = shlex.split(NEW.replace("--requests-per-day 2000000 --shape consumer", "--traffic a/grafana.csv"))[2:]
    made = run("new", "b/s.yaml", *answers, "--traffic-time-zone", "Europe/Berlin")
    assert made.exit_code == 0, made.stderr
    scenario = Scenario.read("b/s.yaml")
    assert scenario.services["shop"].traffic.file == "../a/grafana.csv"
    monkeypatch.chdir("/")
    assert run("forecast", str(tmp_path / "b" / "s.yaml"), "--paths", "4").exit_code == 0


RPS = "value: requests_per_s"
HISTORIES = {
    "value": ("Time,Value\n", "{t:%Y-%m-%dT%H:00Z},40\n", RPS),
    "columns": (
        "Time,web,api\n",
        "{t:%Y-%m-%dT%H:00Z},40,2\n",
        f"{RPS}, columns: {{arrival_rate_rps: web}}",
    ),
    "date_order": ("Time,requests_per_s\n", "3/4/2026 {t:%H}:00,40\n", "time_zone: UTC, date_order: day_first"),
    "start": ("t_s,requests_per_s\n", "{s},40\n", "start: 2026-10-01T00:00:00Z"),
}


@pytest.mark.parametrize("field", HISTORIES)
def test_what_a_history_must_be_told_can_be_told_to_new(tmp_path, monkeypatch, field):
    monkeypatch.chdir(tmp_path)
    head, row, more = HISTORIES[field]
    hours = pd.date_range("2026-10-01", periods=24, freq="h")
    rows = "".join(row.format(t=t, s=3600 * i) for i, t in enumerate(hours))
    (tmp_path / "h.csv").write_text(head + rows, encoding="utf-8")
    line = NEW.replace("--requests-per-day 2000000 --shape consumer", "--traffic h.csv")
    refused = run(*shlex.split(line)[1:])
    assert refused.exit_code == 2
    assert field in refused.stderr or "time_zone" in refused.stderr
    assert "here as --traffic '{file: h.csv, FIELD: VALUE}'" in refused.stderr
    done = run(*shlex.split(line.replace("h.csv", f"'{{file: h.csv, {more}}}'"))[1:])
    assert done.exit_code == 0, done.stderr
    found = read_histories(Scenario.read("scenario.yaml"))["shop"]
    assert found.mean_rps == pytest.approx(40)


def test_a_region_that_the_provider_has_not_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for region, near in (("us-esat-1", "us-east-1"), ("europe-west4", "eu-west-1")):
        done = run(*shlex.split(NEW.replace("us-east-1", region))[1:])
        assert done.exit_code == 2
        assert f"Did you mean {near}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_missing_is_asked_by_its_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("new", "--name", "shop", "--requests-per-day", "1000")
    assert done.exit_code == 2
    assert "--service-time-s" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_answers_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ("--time-zone Mars/Base", "--shape weekend", "--traffic none.csv"):
        done = run(*shlex.split(NEW)[1:], *shlex.split(wrong))
        assert done.exit_code == 2, wrong
    assert not list(tmp_path.iterdir())


def test_look_says_what_was_read(tmp_path):
    grafana(tmp_path)
    done = run("look", str(tmp_path / "grafana.csv"), "--time-zone", "Europe/Berlin")
    assert done.exit_code == 0, done.output
    for word in (
        "2026-08-31 22:00 UTC",
        "hour",
        "no gaps",
        "40.0 requests/s",
        "15:00",
        "Mon 40",
        "3 series were added up",
    ):
        assert word in done.stdout, word
    table = pd.read_csv(tmp_path / "grafana.csv").drop(index=range(100, 130))
    table.to_csv(tmp_path / "gap.csv", index=False)
    assert "1 gaps, the longest 30 h" in run("look", str(tmp_path / "gap.csv"), "--time-zone", "UTC").stdout


def test_look_names_what_it_refuses_and_knows_a_load_test(tmp_path):
    (tmp_path / "x.csv").write_text("time,cpu_percent\n2026-01-01T00:00Z,50\n2026-01-01T01:00Z,60\n", encoding="utf-8")
    refused = run("look", str(tmp_path / "x.csv"))
    assert refused.exit_code == 2
    assert "cpu_percent" in refused.stderr
    test = "arrival_rate_rps,latency_p50_s,latency_p99_s\n10,0.01,0.05\n20,0.02,0.09\n"
    (tmp_path / "load.csv").write_text(test, encoding="utf-8")
    known = run("look", str(tmp_path / "load.csv"))
    assert known.exit_code == 0, known.output
    assert "a load test" in known.stdout
    assert "open arrivals" in known.stdout


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda: loadtests.k6(loadtests.open_run(190.0, failing=0.2)), "20.* failed.*Test again at lower load"),
        (lambda: loadtests.vegeta(loadtests.open_run(190.0, failing=0.2)), "20.* failed"),
        (lambda: GATLING, "does not say how the test was driven.*driven: open"),
        (lambda: "http_req_duration..............: avg=20ms med=18ms\n", "--summary-export"),
        (lambda: '<testResults version="1.2">\n', "output_format=csv"),
    ],
)
def test_look_tells_why_a_load_test_is_refused(tmp_path, write, told):
    (tmp_path / "result.txt").write_text(write(), encoding="utf-8")
    refused = run("look", str(tmp_path / "result.txt"))
    assert refused.exit_code == 2
    assert re.search(told, refused.stderr)


def test_a_log_of_a_load_test_is_no_history_and_a_history_no_load_test(tmp_path):
    """Both have a time and a rate in each row."""
    (tmp_path / "run_stats_history.csv").write_text(loadtests.locust(loadtests.closed_run(4)), encoding="utf-8")
    looked = run("look", str(tmp_path / "run_stats_history.csv"))
    assert looked.exit_code == 0, looked.output
    assert "4 clients in a closed loop" in looked.stdout
    rows = "".join(f"2026-10-01T00:{m:02}:00Z,40\n" for m in range(20))
    (tmp_path / "short.csv").write_text("ts,arrival_rate_rps\n" + rows, encoding="utf-8")
    short = run("look", str(tmp_path / "short.csv"))
    assert short.exit_code == 0, short.output
    assert "no hour was observed for half of it" in short.stdout
    (tmp_path / "naive.csv").write_text("ts,arrival_rate_rps\n" + rows.replace("Z", ""), encoding="utf-8")
    assert "State the zone" in run("look", str(tmp_path / "naive.csv")).stderr


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers a range query as a server does: a counter of 7 a second, at most 11,000 steps, strings."""

    asked: ClassVar[list[dict[str, str]]] = []

    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = {k: v[0] for k, v in parse_qs(said).items()}
        self.asked.append(query)
        if query["query"] == "away":
            return self.answer(302, {}, {"Location": "http://127.0.0.1:9/"})
        if query["query"] == "broken":
            return self.answer(400, {"status": "error", "error": "parse error: unexpected end"})
        stamps = np.arange(float(query["start"]), float(query["end"]) + 0.001, float(query["step"]))
        assert len(stamps) <= 11_000
        values = [[float(t), str(7 * (t - 1.7e9))] for t in stamps]
        one = {"metric": {"__name__": "http_requests_total", "pod": "a"}, "values": values}
        result = [] if query["query"] == "none" else [one]
        return self.answer(200, {"status": "success", "data": {"resultType": "matrix", "result": result}})

    def answer(self, code, document, headers=()):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_):
        pass


@pytest.fixture(name="server")
def prometheus_server():
    Prometheus.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_live_range_query_becomes_a_history(server, tmp_path):
    path = tmp_path / "live.json"
    start = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    done = run("fetch", "prometheus", server, "http_requests_total", str(path), "--start", start, "--step", "300")
    assert done.exit_code == 0, done.output
    assert len(Prometheus.asked) == 2  # 17,280 steps in two parts
    history = read_traffic(path)
    assert history.mean_rps == pytest.approx(7)
    assert history.interval_s == 300
    assert history.observed_share == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("query", "word"), [("broken", "parse error"), ("none", "no series"), ("away", "refused (302)")]
)
def test_what_a_server_refuses_is_said_and_nothing_is_written(server, tmp_path, query, word):
    done = run("fetch", "prometheus", server, query, str(tmp_path / "x.json"), "--days", "1")
    assert done.exit_code == 2
    assert word in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_address_that_is_none_or_away_is_said(tmp_path):
    for address, word in (("file:///etc/passwd", "http://"), ("http://127.0.0.1:9", "no answer")):
        done = run("fetch", "prometheus", address, "up", str(tmp_path / "x.json"))
        assert done.exit_code == 2
        assert word in done.stderr


def test_cloudwatch_sums_become_a_history(tmp_path, monkeypatch):
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")):
        monkeypatch.setenv(name, value)
    with clouds.moto_server() as url:
        client = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=url)
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
        one = {"MetricName": "RequestCount", "Dimensions": [{"Name": "LoadBalancer", "Value": "app/web/1"}]}
        for h in range(30):
            point = {**one, "Timestamp": start + timedelta(hours=h), "Value": 7200.0}
            client.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=[point])
        path = str(tmp_path / "cw.json")
        words = [
            "fetch",
            "cloudwatch",
            "AWS/ApplicationELB/RequestCount",
            path,
            "--dimension",
            "LoadBalancer=app/web/1",
        ]
        done = run(
            *words, "--start", start.isoformat(), "--period", "3600", "--region", "us-east-1", "--endpoint-url", url
        )
        assert done.exit_code == 0, done.output
        assert read_traffic(path).mean_rps == pytest.approx(2)
