"""Traffic files of public reports, rebuilt small: the file of the report and two of its kind by other tools."""

import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from planner.cli import main
from planner.errors import TrafficError
from planner.load import read_traffic
from planner.scenario import TrafficSource
from tests.builders.histories import RATE, REQUESTS, START, counter, lines, log, requests

RPS, UTC = {"value": "requests_per_s"}, {"time_zone": "UTC"}
OBJECT = '{{"ts": "{t:%FT%TZ}", "total_requests": {n}}},'
TABLES = {
    # the count of a histogram of durations counts requests, whatever it measured
    "ingress": ("a.json", counter("nginx_ingress_controller_request_duration_seconds_count"), {}),
    "mesh": ("a.json", counter("istio_request_duration_milliseconds_count", 3), {}),
    "model server": ("a.json", counter("vllm:e2e_request_latency_seconds_count", 2), {}),
    # a column a pod adds up
    "pods": ("a.csv", lines('"Time","{pod=""web-1""}","{pod=""web-2""}"\n', "{ms},{h},{h}"), RPS),
    "pods and their total": ("a.csv", lines('"Time","{pod=""a""}","{pod=""b""}","Total"\n', "{ms},{h},{h},{v}"), RPS),
    "pods and a total of more": (
        "a.csv",
        lines('"Time","{pod=""a""}","{pod=""b""}","Total"\n', "{ms},{h},1,{v}"),
        RPS,
    ),
    "instances and a total of more": (
        "a.csv",
        lines("Time,requests (a),requests (total),requests (b)\n", "{ms},{h},{v},1"),
        RPS,
    ),
    "rows of instances and of their total": (
        "a.csv",
        lines("Time,instance,requests\n", "{ms},a,{h}\n{ms},b,1\n{ms},all,{v}"),
        RPS,
    ),
    "named instances": ("a.csv", lines("Time,requests - eu-1,requests - eu-2\n", "{t:%FT%TZ},{h},{h}"), RPS),
    # spreadsheets: the hint of the delimiter, units in cells, thousands marks
    "sep comma": ("a.csv", lines('sep=,\n"Time","requests"\n', "{ms},{v}"), RPS),
    "sep semicolon": ("a.csv", lines("\ufeffsep=;\nTime;requests\n", "{ms};{de}"), RPS),
    "sep tab": ("a.csv", lines('"sep=\t"\nTime\trequests\n', "{ms}\t{v}"), RPS),
    "units": ("a.csv", lines('"Time","requests"\n', "{t:%F %T},{v:.1f} req/s"), UTC | {"within": 0.005}),
    "units in millions": ("a.csv", lines("Time,requests\n", "{ms},{v} Mil"), RPS | {"scale": 1e6}),
    "units in millions of requests": ("a.csv", lines("Time,Value\n", "{ms},{v} Mreq/s"), {"scale": 1e6}),
    "units in millions, short": ("a.csv", lines("Time,Value\n", "{ms},{v} Mrps"), {"scale": 1e6}),
    "units in thousands of requests": ("a.csv", lines("Time,Value\n", "{ms},{v} kreq/s"), {"scale": 1e3}),
    "units in thousands, short": ("a.csv", lines("Time,Value\n", "{ms},{v} Kqps"), {"scale": 1e3}),
    "units of queries": ("a.csv", lines("Time,Value\n", "{ms},{v} q/s"), {}),
    "thousands": (
        "a.csv",
        lines('"Series";"Time";"Value"\n', '"all";"{t:%FT%T+00:00}";{k:,.3f}'),
        RPS | {"scale": 1e3},
    ),
    "thousands in blanks": ("a.csv", lines("Time;Value\n", "{ms};{k:,.1f}").replace(",", " "), RPS | {"scale": 1e3}),
    "thousands in quotes": ("a.csv", lines("Time,Value\n", '{ms},"{k:,.1f}"'), RPS | {"scale": 1e3}),
    # the zone that a column's name states, names in another language, an array of objects
    "zone in the name": ("a.csv", lines("TimeGenerated [UTC],Requests\n", "{t:%F %T},{n}"), {"within": 1e-4}),
    "another language": ("a.csv", lines("Datum;Anfragen\n", "{t:%d.%m.%Y %H:%M};{de}"), RPS | UTC),
    "an array": ("a.json", f"[{lines('', OBJECT)[:-2]}]", {"within": 1e-4}),
}


def read(folder, file, text, **stated):
    (folder / file).write_text(text, encoding="utf-8")
    return read_traffic(TrafficSource(file=str(folder / file), **stated))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_as_its_tool_wrote_it(tmp_path, name):
    file, text, stated = TABLES[name]
    stated = dict(stated)
    scale, within = stated.pop("scale", 1), stated.pop("within", 1e-6)
    traffic = read(tmp_path, file, text, **stated)
    assert traffic.start == START
    size = len(traffic.arrival_rate_rps)
    assert size >= 95
    np.testing.assert_allclose(traffic.arrival_rate_rps, RATE[:size] * scale, rtol=within)


CLF = '10.0.0.1 - - [{t:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" 200 12'
LOGS = {
    "IIS": ("#Software: IIS\n#Fields: date time s-ip cs-method\n", "{t:%F %T} 10.0.0.4 POST"),
    "IIS started again": ("#Fields: date time s-ip\n", "{t:%F %T} 10.0.0.4\n#Fields: date time s-ip"),
    "CloudFront": ("#Version: 1.0\n#Fields: date\ttime\tx-edge-location\n", "{t:%F\t%T}\tFRA2"),
    "a pod's name before": ("", "[pod/web-1/nginx] " + CLF),
    "an address in brackets before": ("", CLF.replace("10.0.0.1", "[2001:db8::1]")),
    "Envoy JSON": ("", '{{"start_time":"{t:%FT%T}.123Z","method":"GET","response_code":200}}'),
    "Google Cloud": ("", '{{"httpRequest":{{"requestMethod":"GET"}},"timestamp":"{t:%FT%T}.1Z"}}'),
    "Azure": ("", '{{"time":"{t:%FT%T}.1Z","category":"FrontDoorAccessLog","properties":{{}}}}'),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_as_its_server_wrote_it(tmp_path, name):
    traffic = read(tmp_path, "a.log", log(*LOGS[name]))
    assert traffic.hourly().to_numpy() * 3600 == pytest.approx(12)


TRACES = {
    "BurstGPT": ("t.csv", "Timestamp,Model,Request tokens,Response tokens\n", "{s},ChatGPT,{i},{o}\n"),
    "Mooncake": ("t.jsonl", "", '{{"timestamp": {s}000, "input_length": {i}, "output_length": {o}}}\n'),
    "Azure": ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "{t:%F %T}.2874050,{i},{o}\n"),
    "Vidur": ("t.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n", "{s}.5,{i},{o}\n"),
    "aiperf": (
        "t.jsonl",
        "",
        '{{"metadata": {{"request_start_ns": {s}000000000}}, "metrics": {{"input_sequence_length": {{"value": {i}}},'
        ' "output_sequence_length": {{"value": {o}}}}}}}\n',
    ),
}


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_of_requests(tmp_path, name):
    file, header, row = TRACES[name]
    text = requests(header, row)
    stated = {"time_zone": "UTC"} if "{t:" in row else {"start": "2026-10-01T00:00:00Z"}
    with pytest.raises(TrafficError, match=rf"State .*traffic\.{next(iter(stated))}"):
        read(tmp_path, file, text)
    traffic = read(tmp_path, file, text, **stated)
    assert traffic.mean_rps == pytest.approx(1 / 150, rel=0.01)
    for found, column in ((traffic.tokens.mean_input_tokens, 1), (traffic.tokens.mean_output_tokens, 2)):
        assert found == pytest.approx(np.mean([r[column] for r in REQUESTS]), rel=0.01)


SEVERAL = {
    "a column a status": (lines('"Time","200","404"\n', "{ms},{h},{h}"), {}),
    "equal columns, one empty": (lines("Time,a,b,c\n", "{ms},{h},{h},0"), {}),
    "names with units": (lines("Time,web-1 (req/s),web-2 (req/s)\n", "{ms},{h},{h}"), {}),
    "names with labels": (lines('Time,"a{x=""1""}","b{x=""1""}"\n', "{ms},{h},{h}"), {}),
    "a row a series": (lines('"Series","Time","Value"\n', "web-1,{ms},{h}\nweb-2,{ms},{h}"), {}),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_columns_that_may_add_up_are_named_and_the_remedy_is_followed(tmp_path, name):
    text, stated = SEVERAL[name]
    with pytest.raises(TrafficError) as refused:
        read(tmp_path, "a.csv", text, **RPS | stated)
    (remedy,) = re.findall(r"\{arrival_rate_rps: \[.*?\]\}", str(refused.value))
    traffic = read(tmp_path, "a.csv", text, **RPS, columns=yaml.safe_load(remedy))
    np.testing.assert_allclose(traffic.arrival_rate_rps, RATE, rtol=1e-6)


def test_day_numbers_of_a_spreadsheet_are_named(tmp_path):
    with pytest.raises(TrafficError, match=r"day numbers.*yyyy-mm-dd hh:mm"):
        read(tmp_path, "a.csv", lines("Time,requests\n", "{x:.6f},{v}"), **RPS)


def test_a_forecast_says_what_was_read_and_its_figures_agree(tmp_path):
    """Mean × hours = volume, and no peak below the mean: all three are means of the paths."""
    (tmp_path / "a.log").write_text(log(*LOGS["IIS"]), encoding="utf-8")
    scenario = {
        "name": "iis",
        "start": "2026-11-01",
        "horizon_h": 720,
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "services": {
            "app": {
                "traffic": {"file": "a.log", "user_time_zone": "UTC"},
                "latency": {"model": "queue", "service_time_s": 0.02},
                "objective": {"latency_p95_s": 0.2},
            }
        },
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
    done = CliRunner().invoke(main, ["forecast", str(tmp_path / "s.yaml"), "--paths", "50"])
    assert done.exit_code == 0, done.output
    assert "app: mean 0.00333 requests/s, 12.0 an hour, 2026-10-01 00:01 to 2026-10-04 23:55 UTC" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("  app  "))
    mean, peak, *_ = row.split()[1:]
    assert "8,640" in row
    assert float(peak) >= float(mean) == pytest.approx(12 / 3600, rel=0.01)
