"""Files as other people's tools write them: right, or refused by name with the way out."""

import gzip

import numpy as np
import pandas as pd
import pytest

from planner.errors import TrafficError
from planner.load import read_traffic
from planner.scenario import TrafficSource
from tests.builders.histories import RATE, REQUESTS, STAMPS, START, counter, lines, log, requests

SECONDS = {"value": "requests_per_s"}


def cumulative() -> str:
    totals = np.cumsum(np.append(1000, RATE * 3600))[:96]
    return "Time,http_request_duration_seconds_count\n" + "".join(
        f"{t:%Y-%m-%dT%H:%MZ},{v:.2f}\n" for t, v in zip(STAMPS, totals, strict=True)
    )


TABLES = {
    "ingress counter": ("a.json", counter("nginx_ingress_controller_request_duration_seconds_count"), {}),
    "histogram": ("a.json", counter("http_latency_seconds_bucket", le="+Inf"), {}),
    "counter without _total": ("a.json", counter("istio_requests"), {}),
    "stated counter": ("a.json", counter("cpu_latency_work"), {"value": "counter"}),
    "counter in a table": ("a.csv", cumulative(), {}),
    "a column a pod": ("a.csv", lines('"Time","{pod=""a""}","{pod=""b""}"\n', "{ms},{v},0"), SECONDS),
    "listed columns": (
        "a.csv",
        lines("Time,web-1,web-2\n", "{ms},0,{v}"),
        SECONDS | {"columns": {"arrival_rate_rps": ["web-1", "web-2"]}},
    ),
    "long form": ("a.csv", lines("pod;Time;Value\n", "a;{t:%Y-%m-%dT%H:%MZ};{v}\nb;{t:%Y-%m-%dT%H:%MZ};0"), SECONDS),
    "sep line": ("a.csv", lines("\ufeffsep=,\nTime,requests\n", "{ms},{v}"), SECONDS),
    "decimal comma": ("a.csv", lines("Time;requests\n", "{ms};{de}"), SECONDS),
    "rate a minute": ("a.csv", lines("Time;requests per minute\n", "{ms};{v:.4f}"), {"scale": 1 / 60}),
    "units": ("a.csv", lines("Time,Value\n", "{ms},{v} req/s"), {}),
    "units in thousands": ("a.csv", lines("Time,Value\n", "{ms},{v} K req/s"), {"scale": 1000}),
    "units a minute": ("a.csv", lines("Time,Value\n", "{ms},{v} req/min"), {"scale": 1 / 60}),
    "twelve hours": (
        "a.csv",
        lines("Time,rps\n", "{t:%m/%d/%Y %I:%M:%S %p},{v}"),
        {"time_zone": "UTC", "date_order": "month_first"},
    ),
    "YYYYMMDDHH": ("a.csv", lines("hour,rps\n", "{t:%Y%m%d%H},{v}"), {"time_zone": "UTC"}),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_many_tools(tmp_path, name):
    file, text, stated = TABLES[name]
    stated = dict(stated)
    scale = stated.pop("scale", 1)
    (tmp_path / file).write_text(text, encoding="utf-8")
    traffic = read_traffic(TrafficSource(file=str(tmp_path / file), **stated))
    size = len(traffic.arrival_rate_rps)
    assert size >= 95
    assert traffic.start == START
    np.testing.assert_allclose(traffic.arrival_rate_rps, RATE[:size] * scale, rtol=1e-4)


TRACES = {
    "BurstGPT": ("t.csv", "Timestamp,Model,Request tokens,Response tokens\n", "{s},GPT,{i},{o}\n"),
    "Mooncake": ("t.jsonl", "", '{{"timestamp": {s}000, "input_length": {i}, "output_length": {o}, "ids": [1]}}\n'),
    "offsets in ms": ("t.csv", "t_ms,input_tokens,output_tokens\n", "{s}000,{i},{o}\n"),
}


@pytest.mark.parametrize("name", TRACES)
def test_traces_count_from_a_stated_start(tmp_path, name):
    file, header, row = TRACES[name]
    path = tmp_path / file
    path.write_text(requests(header, row), encoding="utf-8")
    with pytest.raises(TrafficError, match=r"traffic\.start"):
        read_traffic(path)
    traffic = read_traffic(TrafficSource(file=str(path), start="2026-10-01T00:00:00Z"))
    assert traffic.mean_rps == pytest.approx(1 / 150, rel=0.01)
    assert traffic.start.floor("h") == START
    assert traffic.tokens.mean_input_tokens == pytest.approx(np.mean([r[1] for r in REQUESTS]), rel=0.01)


CADDY = '{{"level":"info","ts":{s}.5,"logger":"http.log.access","request":{{"method":"GET"}},"status":200}}'
LOGS = {
    "IIS": ("#Fields: date time s-ip cs-method sc-status\n", "{t:%Y-%m-%d %H:%M:%S} 10.0.0.4 GET 200"),
    "CloudFront": ("#Version: 1.0\n#Fields: date time x-edge-location\n", "{t:%Y-%m-%d\t%H:%M:%S}\tFRA2"),
    "Envoy": ("", '[{t:%Y-%m-%dT%H:%M:%S}.123Z] "GET / HTTP/1.1" 200 - 0 11 2 1 "-" "curl" "id" "host" "up"'),
    "Caddy": ("", CADDY),
    "Traefik": ("", '{{"ClientAddr":"1.2.3.4","StartUTC":"{t:%Y-%m-%dT%H:%M:%S}.1Z","RouterName":"web"}}'),
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_servers_and_proxies(tmp_path, name):
    (tmp_path / "a.log").write_text(log(*LOGS[name]), encoding="utf-8")
    traffic = read_traffic(tmp_path / "a.log")
    assert traffic.hourly().to_numpy() * 3600 == pytest.approx(12)
    assert traffic.mean_rps == pytest.approx(12 / 3600, rel=0.01)


def test_all_members_of_a_gzip_log_count(tmp_path):
    text = log(*LOGS["Envoy"]).encode()
    half = text.index(b"\n", len(text) // 2) + 1
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:]))
    assert len(read_traffic(tmp_path / "a.log.gz").hourly()) == pytest.approx(95, abs=1)
    bomb = gzip.compress(text[:half]) + gzip.compress(b"\n" * 30_000_000) + gzip.compress(text[half:])
    (tmp_path / "b.log.gz").write_bytes(bomb)
    with pytest.raises(TrafficError, match="unpacks to more than"):
        read_traffic(tmp_path / "b.log.gz")


def test_a_file_name_is_no_pattern(tmp_path):
    (tmp_path / "a[1].log").write_text(log(*LOGS["Envoy"]), encoding="utf-8")
    (tmp_path / "a1.log").write_text(log(*LOGS["Envoy"]) * 3, encoding="utf-8")
    assert read_traffic(tmp_path / "a[1].log").mean_rps == pytest.approx(12 / 3600, rel=0.01)


REFUSED = {
    "old Excel": ("a.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 600, {}, r"\.xls.*\.xlsx or CSV"),
    "HAProxy": ("a.log", b"Oct  1 00:00:01 lb haproxy[1]: [01/Oct/2026:00:00:01.123] web\n" * 9, {}, "HAProxy.*CSV"),
    "a word as a stamp": ("a.csv", b"ts,rps\ntoday,1\nnow,2\n", {"time_zone": "UTC"}, "not a time stamp.*ISO"),
    "one column twice": ("a.csv", b"ts,rps\n1,2\n", {"columns": {"arrival_rate_rps": "ts"}}, "another column"),
    "bytes as cells": ("a.csv", b"ts,requests\n2026-10-01T00:00Z,5 MB\n", {}, "no rate and no count.*raw values"),
    "counts that never fall": (
        "a.csv",
        lines("ts,requests\n", "{t:%Y-%m-%dT%H:%MZ},{ms}").encode(),
        {},
        "counter.*traffic.value",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named_with_the_way_out(tmp_path, name):
    file, content, stated, message = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TrafficError, match=message):
        read_traffic(TrafficSource(file=str(tmp_path / file), **stated))


def test_one_stray_stamp_makes_no_million_buckets(tmp_path):
    (tmp_path / "a.csv").write_text(lines("ts,rps\n", "{t:%Y-%m-%dT%H:%MZ},{v}") + "1971-01-01T00:00Z,1\n")
    with pytest.raises(TrafficError, match="stray"):
        read_traffic(tmp_path / "a.csv")


@pytest.mark.parametrize("factor", [1e-3, 60.0, 1e4])
def test_scaling_the_files_unit_scales_the_demand(tmp_path, factor):
    for name, scale in (("one.csv", 1.0), ("other.csv", factor)):
        text = "".join(f"{t:%Y-%m-%dT%H:%MZ},{v * scale:.9f}\n" for t, v in zip(STAMPS, RATE, strict=True))
        (tmp_path / name).write_text("ts,rps\n" + text)
    one, other = (read_traffic(tmp_path / n).arrival_rate_rps for n in ("one.csv", "other.csv"))
    np.testing.assert_allclose(other, one * factor, rtol=1e-6)


def test_xlsx_by_openpyxl(tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({"Time": [t.tz_localize(None) for t in STAMPS], "rps": RATE})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    traffic = read_traffic(TrafficSource(file=str(tmp_path / "a.xlsx"), time_zone="UTC"))
    np.testing.assert_allclose(traffic.arrival_rate_rps, RATE)
