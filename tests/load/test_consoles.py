"""What consoles and APIs of monitoring really write: titles above the rows, days and clocks apart, stamps of browsers,
replies in JSON under any name; and what looks like one demand and is not.
"""

import json

import numpy as np
import pytest

from planner.errors import TrafficError
from planner.load import read_traffic
from planner.scenario import TrafficSource
from tests.builders.histories import RATE, STAMPS, START, counter, lines, log
from tests.builders.tools import RPS, UTC, demand, put, twelve_an_hour

TITLES = 'Full label,"app/web/50dc"\nMetric,"RequestCount"\nStatistic,"Sum"\nPeriod,"3600"\n'
MONTH_FIRST = {"date_order": "month_first"}
POINTS = [{"beginTimeSeconds": int(t.timestamp()), "count": v * 3600} for t, v in zip(STAMPS, RATE, strict=True)]
BUCKETS = [
    {"key_as_string": f"{t:%FT%TZ}", "key": int(t.timestamp()) * 1000, "doc_count": round(v * 3600)}
    for t, v in zip(STAMPS, RATE, strict=True)
]
ROWS = [[f"{t:%FT%TZ}", round(v * 3600)] for t, v in zip(STAMPS, RATE, strict=True)]


def datadog(query, of=lambda v: v):
    pairs = [[t.timestamp() * 1000, of(v)] for t, v in zip(STAMPS, RATE, strict=True)]
    series = [{"metric": "trace.http.request.hits", "scope": "env:prod", "pointlist": pairs}]
    return json.dumps({"status": "ok", "series": series, "query": query})


def google(kind, values):
    points = [
        {"interval": {"startTime": f"{a:%FT%TZ}", "endTime": f"{a + np.timedelta64(1, 'h'):%FT%TZ}"}, "value": v}
        for a, v in zip(STAMPS, values, strict=True)
    ]
    return {"metric": {"type": "x.com/https/request_count"}, "metricKind": kind, "points": points[::-1]}


def azure(unit, name, values):
    data = [{"timeStamp": f"{t:%FT%T+00:00}", name: v} for t, v in zip(STAMPS, values, strict=True)]
    metric = {"name": {"value": "Requests"}, "unit": unit, "timeseries": [{"metadatavalues": [], "data": data}]}
    return json.dumps({"interval": "PT1H", "value": [metric]})


COUNTS = [{"int64Value": str(round(v * 3600))} for v in RATE]
READ = {
    "CloudWatch console": demand("a.csv", TITLES + lines('Timestamp,"RequestCount"\n', "{t:%Y/%m/%d %T},{n}"), **UTC),
    "Azure portal": demand("a.csv", "Name,web\nMetric,Requests\n\n" + lines("Timestamp,Requests\n", "{t:%FT%TZ},{n}")),
    "titles with commas": demand("a.csv", "Report, all regions, Q4\n" + lines("Time;Requests\n", "{t:%FT%TZ};{n}")),
    "day and hour": demand("a.csv", lines("Date,Hour,Requests\n", "{t:%F},{t.hour},{n}"), **UTC),
    "day and clock": demand("a.csv", lines("Requests;Datum;Uhrzeit\n", "{n};{t:%d.%m.%Y};{t:%H:%M}"), **UTC),
    "day and clock of 12": demand("a.csv", lines("day,time,hits\n", "{t:%F},{t:%I:%M %p},{n}"), **UTC),
    "midnight and clock": demand("a.csv", lines("date,time,hits\n", "{t:%F 00:00:00},{t:%T},{n}"), **UTC),
    "a whole stamp beside its day": demand("a.csv", lines("date,time,hits\n", "{t:%F},{t:%FT%TZ},{n}")),
    "stamps of a browser": demand(
        "a.csv", lines("Time,rps\n", "{t:%a %b %d %Y %T} GMT+0000 (Coordinated Universal Time),{v}")
    ),
    "stamps of mail": demand("a.csv", lines("Time,rps\n", '"{t:%a, %d %b %Y %T} GMT",{v}')),
    "stamps of Java": demand("a.csv", lines("Time,rps\n", "{t:%FT%T+00:00}[Europe/London],{v}")),
    "Prometheus under any name": demand("reply.txt", counter("http_requests_total")),
    "promtool": demand("a.json", json.dumps(json.loads(counter("http_requests_total"))["data"]["result"])),
    "data alone": demand("a.json", json.dumps(json.loads(counter("http_requests_total", 2))["data"])),
    "Datadog rate": demand("a.json", datadog("sum:trace.http.request.hits{*}.as_rate()")),
    "Datadog count": demand("a", datadog("sum:trace.http.request.hits{*}.as_count()", lambda v: v * 3600)),
    "Google delta": demand("a.json", json.dumps({"timeSeries": [google("DELTA", COUNTS)]})),
    "gcloud list": demand("a.json", json.dumps([google("GAUGE", [{"doubleValue": v} for v in RATE])]), **RPS),
    "Azure total": demand("a.json", azure("Count", "total", RATE * 3600)),
    "Azure rate": demand("a.json", azure("CountPerSecond", "average", RATE)),
    "NerdGraph": demand("a.json", json.dumps({"data": {"actor": {"account": {"nrql": {"results": POINTS}}}}})),
    "Elasticsearch": demand("a.json", json.dumps({"took": 3, "aggregations": {"by_hour": {"buckets": BUCKETS}}})),
    "Azure query": demand(
        "a.json",
        json.dumps({"tables": [{"name": "T", "columns": [{"name": "timestamp"}, {"name": "count_"}], "rows": ROWS}]}),
    ),
    "CloudWatch a second": demand(
        "a.json",
        json.dumps(
            {
                "MetricDataResults": [
                    {
                        "Id": "e1",
                        "Label": "m1/PERIOD(m1)",
                        "Timestamps": [f"{t:%FT%TZ}" for t in STAMPS],
                        "Values": [*RATE],
                    }
                ]
            }
        ),
    ),
    "CloudWatch unit": demand(
        "a.json",
        json.dumps(
            {
                "Label": "rate",
                "Datapoints": [
                    {"Timestamp": f"{t:%FT%TZ}", "Average": v, "Sum": v * 60, "Unit": "Count/Second"}
                    for t, v in zip(STAMPS, RATE, strict=True)
                ],
            }
        ),
    ),
}


def written(header, cell):
    """A table whose values are written by ``cell`` of the rate."""
    return header + "".join(f"{t:%FT%TZ},{cell(v)}\n" for t, v in zip(STAMPS, RATE, strict=True))


def lakhs(count):
    """A number grouped as in India: 1,44,000.

    >>> lakhs(144000), lakhs(90000)
    ('1,44,000', '90,000')
    """
    whole, rest = divmod(count, 100_000)
    return f"{whole},{rest // 1000:02},{rest % 1000:03}" if whole else f"{rest:,}"


READ |= {
    "Grafana a minute": demand("a.csv", written("Time,A-series\n", lambda v: f"{v * 60:.3f} c/m")),
    "Grafana messages": demand("a.csv", written("Time,A-series\n", lambda v: f"{v / 1000:.6f}K msg/s")),
    "lakhs": demand("a.csv", written("Time,Requests\n", lambda v: f'"{lakhs(round(v * 3600))}"')),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_console_writes_is_read(tmp_path, name):
    READ[name](tmp_path)


LOGS = {
    "nginx JSON, local": '{{"time_local":"{t:%d/%b/%Y:%T} +0000","request":"GET / HTTP/1.1","status":"200"}}',
    "nginx JSON, msec": '{{"msec":"{s}.123","status":200,"uri":"/"}}',
    "Cloudflare, ns": '{{"ClientRequestMethod":"GET","EdgeStartTimestamp":{s}000000000}}',
    "CloudFront JSON": '{{"timestamp":"{s}","x-edge-location":"FRA","cs-method":"GET"}}',
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_more_proxies_are_read(tmp_path, name):
    twelve_an_hour("", LOGS[name])(tmp_path)


def test_fields_of_a_log_that_change_within_it_are_refused_and_their_repetition_is_not(tmp_path):
    head, row = "#Software: IIS\n#Fields: date time s-ip\n", "{t:%F %T} 10.0.0.4"
    again = head + log("", row).replace("\n2026-10-03 00:00", f"\n{head}2026-10-03 00:00", 1)
    more = again[: again.rindex("#Fields")] + again[again.rindex("#Fields") :].replace("s-ip", "s-ip cs-method", 1)
    for text in (again, more):
        found = read_traffic(put(tmp_path, "a.log", text))
        assert found.hourly().to_numpy() * 3600 == pytest.approx(12)
    moved = again[: again.rindex("#Fields")] + again[again.rindex("#Fields") :].replace("date time", "time date", 1)
    with pytest.raises(TrafficError, match=r"fields of the W3C log change.*Split the file"):
        read_traffic(put(tmp_path, "a.log", moved))
    first = moved[: moved.rindex("#Software")]
    assert read_traffic(put(tmp_path, "a.log", first)).hourly().to_numpy() * 3600 == pytest.approx(12)


@pytest.mark.parametrize("names", [("api", "app"), ("queue", "model"), ("job", "cluster")])
def test_a_column_a_service_is_a_value_whatever_the_service_is_called(tmp_path, names):
    path = put(tmp_path, "wide.csv", lines(f"Time,{','.join(names)}\n", "{t:%FT%TZ},{v},{h}"))
    with pytest.raises(TrafficError, match=rf"cannot be told.*{names[0]}.*{names[1]}"):
        read_traffic(path)
    for name, part in zip(names, (1.0, 0.5), strict=True):
        stated = {"columns": {"arrival_rate_rps": name}, **RPS}
        found = read_traffic(TrafficSource(file=str(path), **stated))
        np.testing.assert_allclose(found.arrival_rate_rps, RATE * part, rtol=1e-4)


@pytest.mark.parametrize("column", ["shop", "team", "app", "Produkt"])
@pytest.mark.parametrize("parts", [(1.0, 1.0), (1.0, 0.25)])
def test_series_that_an_unknown_column_tells_apart_are_refused_and_the_remedy_works(tmp_path, column, parts):
    """Also where their values are equal: one of them is not the demand."""
    rows = "".join(
        f"{t:%FT%TZ},{name},{v * part:.6f}\n"
        for t, v in zip(STAMPS, RATE, strict=True)
        for name, part in zip(("a", "b"), parts, strict=True)
    )
    path = put(tmp_path, "long.csv", f"ts,{column},requests_per_s\n{rows}")
    with pytest.raises(TrafficError, match=rf"differ in column {column}.*several series.*\[a, b\]"):
        read_traffic(path)
    path.write_text(f"ts,series,requests_per_s\n{rows}", encoding="utf-8")
    found = read_traffic(TrafficSource(file=str(path), columns={"arrival_rate_rps": ("a", "b")}))
    np.testing.assert_allclose(found.arrival_rate_rps, RATE * sum(parts), rtol=1e-5)


def test_exports_that_overlap_are_one_series(tmp_path):
    rows = [f"{t:%FT%TZ},{i},{v}\n" for i, (t, v) in enumerate(zip(STAMPS, RATE, strict=True))]
    found = read_traffic(put(tmp_path, "a.csv", "ts,row,rps\n" + "".join(rows[:60] + rows[50:])))
    assert found.start == START
    np.testing.assert_allclose(found.arrival_rate_rps, RATE)


TWO = json.dumps({"a": POINTS, "b": POINTS})
WEEKLY = "Week start date,Requests\n" + "".join(f"2026-{m:02}-{d:02},7000\n" for m in (1, 2) for d in (1, 8, 15, 22))
REFUSED = {
    "two lists": ("a.json", TWO, {}, "several lists of objects.*ts,requests"),
    "no list": ("a.json", '{"status": "ok"}', {}, "no list of objects"),
    "an Azure average": ("a.json", azure("Count", "average", RATE), {}, "hold no total.*--aggregation Total"),
    "a Datadog gauge": ("a.json", datadog("avg:x{*}").replace("hits", "cpu_percent"), {}, "gauge"),
    "a Datadog query": ("a.json", datadog("sum:x{*}"), {}, "rates or counts.*traffic.value"),
    "single rows": ("a.csv", lines("ts,referrer,user\n", "{t:%FT%TZ},/a,b"), {}, "count them by the minute"),
    "weekly": ("a.csv", WEEKLY, UTC, "requests_per_day: NUMBER, shape: office"),
    "bytes": (
        "a.json",
        json.dumps({"Label": "m", "Datapoints": [{"Timestamp": "2026-10-01T00:00Z", "Sum": 1, "Unit": "Bytes"}]}),
        {},
        "count no requests",
    ),
}


@pytest.mark.parametrize(("name", "text", "stated", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_with_a_way_out(tmp_path, name, text, stated, told):
    with pytest.raises(TrafficError, match=told):
        read_traffic(TrafficSource(file=str(put(tmp_path, name, text)), **stated))
