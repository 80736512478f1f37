"""Every reader: a round trip, and files made to break it."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import TrafficError
from planner.load import TRAFFIC_FORMATS, read_traffic
from planner.load.formats import cloudwatch
from planner.scenario import TrafficSource
from tests.builders import clouds

START = pd.Timestamp("2026-10-24T00:00Z")
RATE = 5 + 3 * np.sin(np.arange(72) / 24 * 2 * np.pi)  # requests/s by hour
COUNT = np.round(RATE * 12).astype(int)
EPOCH = int(START.timestamp())


def stamp(hour: float) -> pd.Timestamp:
    return START + pd.Timedelta(hours=hour)


def nginx(per_hour: np.ndarray = COUNT, zone: str = "Europe/Berlin") -> str:
    out = []
    for h, n in enumerate(per_hour):
        for i in range(n):
            at = (stamp(h) + pd.Timedelta(seconds=int(3600 * i / n))).tz_convert(zone)
            out.append(
                f'10.0.0.{i % 250} - - [{at:%d/%b/%Y:%H:%M:%S %z}] "GET /a?b=[1] HTTP/1.1" 200 512 "-" "client"\n'
            )
    return "".join(out)


def alb(per_hour: np.ndarray = COUNT) -> str:
    rest = (
        'app/web/1 10.0.0.1:2817 10.0.0.2:80 0.0 0.0 0.0 200 200 34 366 "GET https://x:443/ HTTP/2.0" "c" - - arn:a'
        ' "Root=1" "-" "-" 0'
    )
    return "".join(
        f"h2 {stamp(h) + pd.Timedelta(seconds=3600 * i / n):%Y-%m-%dT%H:%M:%S.%fZ} {rest}\n"
        for h, n in enumerate(per_hour)
        for i in range(n)
    )


def prometheus(resets: tuple[int, ...] = (30,), pods: int = 2) -> str:
    result = []
    for pod in range(pods):
        level, values = 1000.0 * pod, []
        for h in range(73):
            values.append([EPOCH + 3600 * h, f"{level:.6f}"])
            if h < 72:
                level = (0.0 if h in resets else level) + RATE[h] * 3600 / pods
        result.append({"metric": {"__name__": "http_requests_total", "pod": str(pod)}, "values": values})
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def metric_data(**more: object) -> str:
    return json.dumps(
        {
            "MetricDataResults": [
                {
                    "Id": "m1",
                    "Label": "RequestCount",
                    "StatusCode": "Complete",
                    "Timestamps": [stamp(h).isoformat() for h in range(72)],
                    "Values": list(RATE * 3600),
                    **more,
                }
            ]
        }
    )


def statistics() -> str:
    points = [{"Timestamp": stamp(h).isoformat(), "Sum": RATE[h] * 3600, "Unit": "Count"} for h in range(72)]
    return json.dumps({"Label": "RequestCount", "Datapoints": points[::-1]})


def datadog_wide() -> str:
    return pd.DataFrame(
        {
            "time": [EPOCH * 1000 + 3_600_000 * h for h in range(72)],
            "sum:web.requests{*}.as_rate() by {az}: a": RATE / 4,
            "sum:web.requests{*}.as_rate() by {az}: b": RATE * 3 / 4,
        }
    ).to_csv(index=False)


def datadog_long() -> str:
    rows = [
        (f"{stamp(h):%Y-%m-%dT%H:%M:%SZ}", "sum:web.requests{*}.as_count()", scope, RATE[h] * 3600 * part)
        for h in range(72)
        for scope, part in (("az:a", 0.25), ("az:b", 0.75))
    ]
    return pd.DataFrame(rows, columns=["timestamp", "metric", "scope", "value"]).to_csv(index=False)


def request_lines() -> str:
    out = [
        {
            "timestamp": f"{stamp(h) + pd.Timedelta(seconds=3600 * i / n):%Y-%m-%dT%H:%M:%S.%fZ}",
            "prompt_tokens": 100 + i,
            "completion_tokens": 20,
        }
        for h, n in enumerate(COUNT)
        for i in range(n)
    ]
    return "\n".join(json.dumps(x) for x in out) + "\n"


# name: (file name, text, counts of whole requests are in the file)
FILES = {
    "nginx": ("access.log", nginx, True),
    "alb": ("alb.log", alb, True),
    "prometheus": ("reply.json", prometheus, False),
    "metric data": ("reply.json", metric_data, False),
    "statistics": ("reply.json", statistics, False),
    "datadog wide": ("graph.csv", datadog_wide, False),
    "datadog long": ("graph.csv", datadog_long, False),
    "request lines": ("requests.jsonl", request_lines, True),
}


def put(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("kind", FILES)
def test_round_trip(tmp_path, kind):
    name, make, counted = FILES[kind]
    hourly = read_traffic(put(tmp_path, name, make())).hourly()
    truth = pd.Series((COUNT / 3600) if counted else RATE, index=pd.date_range(START, periods=72, freq="h", unit="us"))
    both = pd.concat([hourly, truth], axis=1, join="inner").to_numpy()[1:-1]
    assert len(both) >= 68
    np.testing.assert_allclose(both[:, 0], both[:, 1], rtol=0.01 if counted else 1e-6)


def test_each_format_is_registered_and_named():
    assert set(TRAFFIC_FORMATS) == {"table", "access_log", "cloudwatch", "prometheus", "datadog", "monitoring"}
    assert all(form.name == name and form.meaning for name, form in TRAFFIC_FORMATS.items())


def test_gzip_logs_read_as_plain_ones(tmp_path):
    plain, packed = put(tmp_path, "a.log", nginx()), put(tmp_path, "a.log.gz", gzip.compress(nginx().encode()))
    np.testing.assert_array_equal(read_traffic(plain).arrival_rate_rps, read_traffic(packed).arrival_rate_rps)


def test_log_offsets_change_with_summer_time_and_order_does_not_matter(tmp_path):
    lines = nginx().splitlines(keepends=True)
    np.random.default_rng(0).shuffle(lines)
    mixed, utc = put(tmp_path, "a.log", "".join(lines)), put(tmp_path, "b.log", nginx(zone="UTC"))
    np.testing.assert_array_equal(read_traffic(mixed).arrival_rate_rps, read_traffic(utc).arrival_rate_rps)


def test_a_minute_without_a_line_had_no_request(tmp_path):
    counts = COUNT.copy()
    counts[30:33] = 0
    hourly = read_traffic(put(tmp_path, "a.log", nginx(counts))).hourly()
    assert (hourly.loc[stamp(30) : stamp(32)] == 0).all()


def test_a_few_foreign_lines_are_dropped_and_counted(tmp_path):
    dirty = nginx() + "garbage\n" * 20 + "\n\x01\x02\n"
    traffic = read_traffic(put(tmp_path, "a.log", dirty.encode() + b"\xff\xfe\xfa bad bytes\n"))
    lines = traffic.quality.loc[traffic.quality["kind"] == "dropped", "detail"]
    assert any("without a readable time stamp" in x for x in lines)


def test_an_endless_line_is_dropped_and_the_rest_of_the_log_kept(tmp_path):
    text = nginx()
    traffic = read_traffic(put(tmp_path, "a.log", text[:80_000] + "x" * 5_000_000 + "\n" + text[80_000:]))
    assert traffic.hourly().mean() == pytest.approx(COUNT.mean() / 3600, rel=0.02)
    assert traffic.quality["detail"].str.contains("without a readable time stamp").any()


def test_counter_resets_and_histograms_are_repaired_as_stated(tmp_path):
    quality = read_traffic(put(tmp_path, "r.json", prometheus(resets=(10, 50)))).quality
    assert int(quality.loc[quality["detail"].str.contains("counter resets"), "rows"].sum()) == 4
    document = json.loads(prometheus(pods=1))
    series = document["data"]["result"][0]
    series["metric"] = {"__name__": "http_request_duration_seconds_bucket", "le": "+Inf"}
    document["data"]["result"].append({"metric": {**series["metric"], "le": "0.1"}, "values": series["values"]})
    series["metric"]["__name__"] = document["data"]["result"][1]["metric"]["__name__"] = "http_requests_bucket"
    hourly = read_traffic(put(tmp_path, "b.json", json.dumps(document))).hourly()
    assert hourly.mean() == pytest.approx(RATE.mean(), rel=0.05)


def test_datadog_averages_are_called_flattened(tmp_path):
    quality = read_traffic(put(tmp_path, "g.csv", datadog_wide())).quality
    assert quality["detail"].str.contains("flattened").any()


def test_cloudwatch_live_over_loopback(tmp_path, monkeypatch):
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")):
        monkeypatch.setenv(name, value)
    with clouds.moto_server() as url:
        client = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=url)
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=48)
        for h in range(48):
            client.put_metric_data(
                Namespace="AWS/ApplicationELB",
                MetricData=[
                    {
                        "MetricName": "RequestCount",
                        "Dimensions": [{"Name": "LoadBalancer", "Value": "app/web/1"}],
                        "Timestamp": start + timedelta(hours=h),
                        "Value": float(COUNT[h]),
                    }
                ],
            )
        path = cloudwatch.fetch(
            tmp_path / "live.json",
            namespace="AWS/ApplicationELB",
            metric="RequestCount",
            start=start,
            period_s=3600,
            dimensions={"LoadBalancer": "app/web/1"},
            client=client,
        )
        rate = read_traffic(path).arrival_rate_rps
        np.testing.assert_allclose(rate[:40] * 3600, COUNT[:40], rtol=1e-9)
        with pytest.raises(TrafficError, match="no points"):
            cloudwatch.fetch(
                tmp_path / "none.json",
                namespace="AWS/ApplicationELB",
                metric="RequestCount",
                start=start,
                period_s=3600,
                dimensions={"LoadBalancer": "other"},
                client=client,
            )
        assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(("days", "period"), [(1, 60), (20, 300), (100, 3600)])
def test_cloudwatch_is_asked_for_the_finest_period_it_keeps(days, period):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    assert cloudwatch.finest_period_s(now - timedelta(days=days), now) == period
    with pytest.raises(TrafficError, match="455 days"):
        cloudwatch.finest_period_s(now - timedelta(days=500), now)


def changed(text: str, path: list[object], value: object) -> str:
    document = json.loads(text)
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(document)


SERIES = ["data", "result", 0]
BAD = {
    "log: truncated gzip": ("a.log.gz", lambda: gzip.compress(nginx().encode())[:-2000], "cut"),
    "log: damaged gzip": ("a.log.gz", lambda: b"\x1f\x8b\x08\0" + b"junk" * 100, "damaged"),
    "log: gzip bomb": ("a.log.gz", lambda: gzip.compress(b"x" * 5_000_000), "unpacks to more than"),
    "log: bomb behind a log": (
        "a.log.gz",
        lambda: gzip.compress(nginx()[:3000].encode() + b"\n" * 6_000_000),
        "unpacks to more than",
    ),
    "log: no log": ("a.log", lambda: "hello\n" * 500, "format of the file cannot be told"),
    "log: mostly garbage": ("a.log", lambda: nginx()[:5000] + "garbage\n" * 500, "carry no time stamp"),
    "prometheus: truncated": ("r.json", lambda: prometheus()[:-500], "no complete JSON"),
    "prometheus: error reply": (
        "r.json",
        lambda: '{"status":"error","error":"x","resultType":""}',
        "no successful range query",
    ),
    "prometheus: vector": ("r.json", lambda: prometheus().replace("matrix", "vector"), "no successful range query"),
    "prometheus: no series": ("r.json", lambda: changed(prometheus(), ["data", "result"], []), "found no series"),
    "prometheus: words": ("r.json", lambda: changed(prometheus(), [*SERIES, "values", 5, 1], "many"), "not a number"),
    "prometheus: infinity": ("r.json", lambda: changed(prometheus(), [*SERIES, "values", 5, 1], "+Inf"), "infinity"),
    "prometheus: no pairs": (
        "r.json",
        lambda: changed(prometheus(), [*SERIES, "values", 5], [1]),
        "no pair of time and value",
    ),
    "prometheus: milliseconds": (
        "r.json",
        lambda: changed(prometheus(), [*SERIES, "values", 5, 0], 1.79e12),
        "seconds since 1970",
    ),
    "prometheus: gauge": (
        "r.json",
        lambda: prometheus().replace("http_requests_total", "node_cpu_percent"),
        "not demand",
    ),
    "prometheus: unnamed": ("r.json", lambda: prometheus().replace("http_requests_total", "x"), "rates or counts"),
    "prometheus: no labels": ("r.json", lambda: changed(prometheus(), [*SERIES, "metric"], 3), "lacks its metric"),
    "cloudwatch: empty": ("r.json", lambda: '{"MetricDataResults": []}', "no metric results"),
    "cloudwatch: no points": ("r.json", lambda: metric_data(Timestamps=[], Values=[]), "no points"),
    "cloudwatch: lengths": ("r.json", lambda: metric_data(Values=[1.0]), "not as many"),
    "cloudwatch: gauge": ("r.json", lambda: metric_data(Label="CPUUtilization"), "not demand"),
    "cloudwatch: words": ("r.json", lambda: metric_data(Values=["x"] * 72), "not a number"),
    "cloudwatch: no zone": (
        "r.json",
        lambda: metric_data(Timestamps=[f"2026-10-24T00:{m:02}:00" for m in range(60)], Values=[1] * 60),
        "no time zone",
    ),
    "cloudwatch: mixed zones": (
        "r.json",
        lambda: metric_data(
            Timestamps=[f"2026-10-24T00:{m:02}:00" + "Z" * (m % 2) for m in range(60)], Values=[1] * 60
        ),
        "some stamps carry",
    ),
    "cloudwatch: forbidden": ("r.json", lambda: metric_data(StatusCode="Forbidden"), "reports an error"),
    "cloudwatch: average": (
        "r.json",
        lambda: statistics().replace('"Sum"', '"Average"'),
        "Ask for --statistics Sum",
    ),
    "cloudwatch: two metrics": (
        "r.json",
        lambda: json.dumps(
            {
                "MetricDataResults": [
                    *json.loads(metric_data())["MetricDataResults"],
                    *json.loads(metric_data(Id="m2"))["MetricDataResults"],
                ]
            }
        ),
        "several metrics",
    ),
    "datadog: unstated": ("g.csv", lambda: datadog_wide().replace(".as_rate()", ""), "rates or counts"),
    "datadog: gauge": ("g.csv", lambda: datadog_wide().replace("web.requests", "system.cpu.user"), "not demand"),
    "datadog: no time": ("g.csv", lambda: datadog_wide().replace("time", "zeit", 1), "no time column"),
    "datadog: words": ("g.csv", lambda: datadog_long().replace(",4500.0\n", ",lots\n"), "not a number"),
    "lines: no object": ("a.jsonl", lambda: "[1,2\n" * 9, "no JSON object"),
    "lines: truncated": ("a.jsonl", lambda: request_lines()[:-30], "no JSON object"),
    "lines: endless": ("a.jsonl", lambda: '{"timestamp": "' + "x" * 8_000_000, "no JSON object"),
    "json: deep": ("r.json", lambda: '{"resultType":' + "[" * 200_000, "no complete JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_files_are_refused(tmp_path, name):
    file, make, message = BAD[name]
    path = put(tmp_path, file, make())
    with pytest.raises(TrafficError) as caught:
        read_traffic(path)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 700


def test_repeated_points_of_overlapping_pages_are_named(tmp_path):
    document = json.loads(metric_data())
    page = document["MetricDataResults"][0]
    document["MetricDataResults"].append({**page, "Timestamps": page["Timestamps"][:5], "Values": page["Values"][:5]})
    traffic = read_traffic(put(tmp_path, "r.json", json.dumps(document)))
    np.testing.assert_allclose(traffic.arrival_rate_rps, RATE)
    assert traffic.quality["detail"].str.contains("repeated").any()


def test_unsorted_points_and_one_of_two_metrics(tmp_path):
    two = json.dumps(
        {
            "MetricDataResults": [
                *json.loads(metric_data())["MetricDataResults"],
                *json.loads(metric_data(Id="cpu", Label="CPUUtilization"))["MetricDataResults"],
            ]
        }
    )
    source = TrafficSource(file=str(put(tmp_path, "r.json", two)), columns={"arrival_rate_rps": "m1"})
    np.testing.assert_allclose(read_traffic(source).arrival_rate_rps, RATE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.log", "a.jsonl", "a.json"])
def test_a_line_of_one_gigabyte_stays_within_time_and_memory(tmp_path, name):
    path = tmp_path / name
    head = {
        "a.csv": b"ts,requests\n",
        "a.log": nginx()[:3000].encode(),
        "a.jsonl": b'{"ts": "',
        "a.json": b'{"resultType": "',
    }[name]
    with path.open("wb") as file:
        file.write(head)
        for _ in range(1024):
            file.write(b"x" * (1 << 20))
    code = (
        "import re, sys; from planner.errors import TrafficError; from planner.load import read_traffic\ntry:"
        " read_traffic(sys.argv[1])\nexcept TrafficError:"
        " pass\nprint(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) < 2 * 1024**2  # KiB


@pytest.fixture(scope="module")
def small_files(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    made = {name: make().encode() for name, make, _ in FILES.values()}
    made = {name: body if name.endswith(".json") else body[:6000] for name, body in made.items()}
    made["t.csv"] = b"ts,requests\n" + b"".join(
        f"2026-05-{d:02}T{h:02}:00Z,{h + d}\n".encode() for d in range(4, 9) for h in range(24)
    )
    return tmp_path_factory.mktemp("fuzz"), made


@settings(max_examples=150)
@given(st.data())
def test_any_bytes_give_a_history_or_a_typed_error(small_files, data):  # law 55
    folder, made = small_files
    name = data.draw(st.sampled_from(sorted(made)))
    body = bytearray(made[name])
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "noise", "repeat"]))
    at = data.draw(st.integers(0, len(body) - 1))
    if how == "flip":
        for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=8)):
            body[place] = data.draw(st.integers(0, 255))
    elif how == "cut":
        del body[at:]
    elif how == "insert":
        body[at:at] = data.draw(
            st.sampled_from([b"\0", b"\xff\xfe", b"\n\n", b",,", b'"', b"NaN", b"1e999", b"-5", b"9" * 400, b"\r"])
        )
    elif how == "noise":
        body = bytearray(data.draw(st.binary(max_size=300)))
    else:
        body[at:at] = body[: data.draw(st.integers(1, 500))]
    try:
        rate = read_traffic(put(folder, name, bytes(body))).arrival_rate_rps
    except TrafficError:
        return
    assert np.isfinite(rate).any()
    assert (rate[np.isfinite(rate)] >= 0).all()
    assert not np.isinf(rate).any()
