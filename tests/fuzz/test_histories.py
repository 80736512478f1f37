"""Damaged traffic files: any input ends in a history that could be, or in a typed error that names the file; and
a file in another unit is another demand.
"""

import gzip
import json

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.load import TRAFFIC_FORMATS, read_traffic
from planner.scenario import TrafficSource
from tests.builders import damage
from tests.builders.histories import RATE, STAMPS, counter, lines, log, matrix, requests

HOURS = 30  # of each table; enough for a history, and quick to read


def short(text, rows=HOURS + 4):
    return "\n".join(text.split("\n")[:rows]) + "\n"


CLF = '10.0.0.1 - - [{t:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" 200 12'


def metrics(values):
    """A saved reply of GetMetricData."""
    stamps = [f"{t:%FT%TZ}" for t in STAMPS[: len(values)]]
    one = {"Id": "m1", "Label": "RequestCount", "StatusCode": "Complete", "Timestamps": stamps}
    return json.dumps({"MetricDataResults": [one | {"Values": list(map(float, values))}]})


def statistics(values):
    """A saved reply of GetMetricStatistics."""
    points = [
        {"Timestamp": f"{t:%FT%TZ}", "Sum": float(v), "Unit": "Count"} for t, v in zip(STAMPS, values, strict=False)
    ]
    return json.dumps({"Label": "RequestCount", "Datapoints": points})


OBJECT = '{{"ts": "{t:%FT%TZ}", "requests": {n}, "more": {{"a": 1}}}}'
SAMPLES = {
    "tables": (
        ".csv",
        [
            short(lines("ts,requests,errors\n", "{t:%FT%TZ},{n},1")),
            short(lines("Time;rps\n", "{t:%d.%m.%Y %H:%M};{de}")),
            short(lines('sep=,\n"Time","{pod=""a""}","{pod=""b""}"\n', "{ms},{h},{h}")),
            short(lines("Time,Value\n", '{t:%m/%d/%Y %I:%M:%S %p},"{k:,.1f} req/s"')),
            short(lines("Series,Time,requests\n", "a,{s},{n}\nb,{s},{n}")),
            short(lines("Time,http_requests_total\n", "{t:%FT%TZ},{ms}")),
            short(lines("day,hour,arrival_rate_rps,input_tokens,output_tokens\n", "x,{t:%Y%m%d%H},{v},900,200")),
        ],
    ),
    "datadog": (".csv", [short(lines('time,"sum:web.hits{pod:a}.as_rate()"\n', "{t:%FT%TZ},{v}"))]),
    "lines": (".jsonl", [short(lines("", OBJECT))]),
    "arrays": (".json", [f"[{','.join(short(lines('', OBJECT)).split(chr(10))[:HOURS])}]"]),
    "prometheus": (
        ".json",
        [
            counter("http_requests_total", 2),
            counter("http_request_duration_seconds_bucket", le="+Inf"),
            matrix([{"metric": {}, "values": [[1790812800 + 3600 * h, str(v)] for h, v in enumerate(RATE)]}]),
        ],
    ),
    "cloudwatch": (".json", [metrics(RATE[:HOURS] * 3600), statistics(RATE[:HOURS] * 3600)]),
    "traces": (
        ".csv",
        [
            short(requests("Timestamp,Request tokens,Response tokens\n", "{s},{i},{o}\n"), 60),
            short(requests("arrived_at,num_prefill_tokens,num_decode_tokens\n", "{s}.5,{i},{o}\n"), 60),
        ],
    ),
    "logs": (
        ".log",
        [
            log("", CLF, "30min"),
            log("", "[pod/web-1] " + CLF, "30min"),
            log("#Version: 1.0\n#Fields: date time cs-method\n", "{t:%F %T} GET", "30min"),
            log("", 'https {t:%FT%T}.1Z app/a 1.2.3.4:1 10.0.0.1:80 0 0 0 200 200 1 1 "GET"', "30min"),
            log("", '[{t:%FT%T}.123Z] "GET / HTTP/1.1" 200 - 0 11 2 1 "-" "curl"', "30min"),
            log("", '{{"level":"info","ts":{s}.5,"logger":"http.log.access","request":{{"method":"GET"}}}}', "30min"),
            log("", '{{"ClientAddr":"1.2.3.4","StartUTC":"{t:%FT%T}.1Z","RouterName":"web"}}', "30min"),
        ],
    ),
}
# what a user may state beside a file, right or wrong
STATED = {
    "value": ["requests_per_s", "requests_per_interval", "counter"],
    "time_zone": ["UTC", "Europe/Berlin", "Australia/Lord_Howe"],
    "start": ["2026-10-01T00:00:00Z", "1970-01-01", "2199-12-31"],
    "stamp_unit": ["s", "ms", "us", "ns"],
    "date_order": ["day_first", "month_first"],
    "gaps": ["keep", "zero"],
    "format": list(TRAFFIC_FORMATS),
    "columns": [{"ts": "Time"}, {"arrival_rate_rps": "requests"}, {"arrival_rate_rps": ["a", "b"]}, {"ts": "requests"}],
}


def stated(draw, name):
    """Usually what the file needs, at times anything."""
    needs = {"start": "2026-10-01T00:00:00Z", "stamp_unit": "s"} if name == "traces" else {"time_zone": "UTC"}
    found = needs if draw.random() < 0.7 else {"value": "requests_per_s"}
    for field in draw.sample(list(STATED), draw.choice([0, 0, 0, 1, 2])):
        found = found | {field: draw.choice(STATED[field])}
    return found


def histories_that_could_be(traffic, text):
    rate = traffic.arrival_rate_rps
    seen = np.isfinite(rate)
    assert seen.any()
    assert 1 <= traffic.interval_s <= 86_400
    assert (rate[seen] >= 0).all()
    assert rate[seen].max() <= 1e9
    assert 1970 <= traffic.start.year <= traffic.end.year <= 2200
    assert traffic.burst_factor >= 1
    hours = traffic.hourly()
    assert (hours.dropna() >= 0).all()
    if traffic.tokens is not None:
        assert 0 <= traffic.tokens.mean_input_tokens <= 1e8
    # no more was seen than there are values or lines
    assert rate[seen].astype(bool).sum() <= text.count("\n") + text.count(",") + 1


@pytest.mark.parametrize("name", SAMPLES)
def test_any_damage_ends_in_a_history_or_a_typed_error(tmp_path, name):
    suffix, samples = SAMPLES[name]
    draw, told, path = damage.drawing(name), damage.Told("input"), tmp_path / f"input{suffix}"
    count = damage.INPUTS // len(SAMPLES)
    with damage.within_memory():
        for _ in range(count):
            text = damage.damaged(draw.choice(samples), draw)
            if draw.random() < 0.3:
                text = damage.damaged(text or "x", draw)
            raw = text.encode("utf-8", errors="replace")
            path.write_bytes(gzip.compress(raw) if name == "logs" and draw.random() < 0.2 else raw)
            with told.once():
                histories_that_could_be(read_traffic(TrafficSource(file=str(path), **stated(draw, name))), text)
    assert 0 < told.refused < count, "some are refused and some are read"
    assert told.named == told.refused, told.last


SCALED = {
    "rates": (".csv", lambda k: f"ts,rps\n{rows('{t},{v}', k)}"),
    "counts": (".csv", lambda k: f"ts,requests\n{rows('{t},{v}', k)}"),
    "cells with units": (".csv", lambda k: f"ts,Value\n{rows('{t},{v} req/s', k)}"),
    "columns that add up": (".csv", lambda k: f"ts,requests (a),requests (b)\n{rows('{t},{v},{v}', k)}"),
    "lines": (".jsonl", lambda k: rows('{{"ts": "{t}", "rps": {v}}}', k)),
    "arrays": (".json", lambda k: "[" + rows('{{"ts": "{t}", "rps": {v}}},', k).strip(", \n") + "]"),
    "datadog": (".csv", lambda k: f'time,"sum:web.hits{{a}}.as_rate()"\n{rows("{t},{v}", k)}'),
    "prometheus": (".json", lambda k: matrix([{"metric": {"__name__": "x:rate5m"}, "values": points(k)}])),
    "counter": (".json", lambda k: matrix([{"metric": {"__name__": "x_total"}, "values": points(k, np.cumsum(RATE))}])),
    "cloudwatch": (".json", lambda k: metrics(RATE * k)),
    "statistics": (".json", lambda k: statistics(RATE * k)),
}


def rows(pattern, factor):
    return "".join(
        pattern.format(t=f"{t:%FT%TZ}", v=repr(float(v * factor))) + "\n" for t, v in zip(STAMPS, RATE, strict=True)
    )


def points(factor, values=RATE):
    return [[int(t.timestamp()), repr(float(v * factor))] for t, v in zip(STAMPS, values, strict=True)]


@pytest.mark.parametrize("factor", [1e-3, 7.0, 3600.0])
@pytest.mark.parametrize("name", SCALED)
def test_a_file_in_another_unit_is_another_demand(tmp_path, name, factor):
    """Law: figures so many times as large are so many times the demand, in every layout."""
    suffix, write = SCALED[name]
    found = []
    for k in (1.0, factor):
        path = tmp_path / f"{k}{suffix}"
        path.write_text(write(k), encoding="utf-8")
        found.append(read_traffic(path).arrival_rate_rps)
    np.testing.assert_allclose(found[1], found[0] * factor, rtol=1e-9)


MINUTE, HOUR = 1 / 60, 1 / 3600
WORDS = {"req/s": 1.0, "req/min": MINUTE, "req/h": HOUR, "K req/s": 1e3, "Mil req/s": 1e6, "krps": 1e3, "rpm": MINUTE}
NAMES = {"rps": 1.0, "krps": 1e3, "requests per minute": MINUTE, "requests_per_hour": HOUR, "Requests/sec": 1.0}


@pytest.mark.parametrize("word", WORDS)
def test_the_unit_in_a_cell_scales_the_demand(tmp_path, word):
    path = tmp_path / "a.csv"
    path.write_text(lines("ts,Value\n", "{t:%FT%TZ},{v} " + word), encoding="utf-8")
    np.testing.assert_allclose(read_traffic(path).arrival_rate_rps, RATE * WORDS[word], rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_unit_in_a_name_scales_the_demand(tmp_path, name):
    path = tmp_path / "a.csv"
    path.write_text(lines(f"ts,{name}\n", "{t:%FT%TZ},{v}"), encoding="utf-8")
    np.testing.assert_allclose(read_traffic(path).arrival_rate_rps, RATE * NAMES[name], rtol=1e-9)


@pytest.mark.parametrize(
    "raw", [b"", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\xfd", b"ts,rps\n\xff,1\n", b"\0" * 9]
)
@pytest.mark.parametrize("form", [None, *TRAFFIC_FORMATS])
def test_absurd_files_are_refused_whatever_is_stated(tmp_path, raw, form):
    for suffix in (".csv", ".json", ".jsonl", ".log", ".parquet", ".xlsx"):
        path = tmp_path / f"input{suffix}"
        path.write_bytes(raw)
        with pytest.raises(PlannerError, match="input"):
            read_traffic(TrafficSource(file=str(path), format=form))
