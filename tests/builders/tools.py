"""A file of each tool in its own layout, by the rows of README's table "What it reads": what the reader must make
of it. The demand of traffic files is that of :mod:`tests.builders.histories`.
"""

import json
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from planner.actuals import read_bill
from planner.catalog.holdings import read_holdings, reserved_instance, savings_plan
from planner.catalog.importing import read_prices
from planner.latency.llm.records import read_llm_benchmark
from planner.latency.measured.loadtests import read_load_tests
from planner.latency.observed.telemetry import read_telemetry
from planner.load import read_traffic
from planner.scenario import TrafficSource
from tests.builders import loadtests as run
from tests.builders import written
from tests.builders.histories import RATE, REQUESTS, STAMPS, START, counter, lines, log, requests

UTC, RPS = {"time_zone": "UTC"}, {"value": "requests_per_s"}


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def demand(name, content, **stated):
    """A traffic file that holds the known demand, hour by hour."""

    def check(folder):
        found = read_traffic(TrafficSource(file=str(put(folder, name, content)), **stated))
        assert found.start == START
        size = len(found.arrival_rate_rps)
        assert size >= 95
        np.testing.assert_allclose(found.arrival_rate_rps, RATE[:size], rtol=2e-3)

    return check


def twelve_an_hour(header, row):
    """An access log of twelve requests an hour."""

    def check(folder):
        found = read_traffic(put(folder, "access.log", log(header, row)))
        assert found.hourly().to_numpy() * 3600 == pytest.approx(12)

    return check


def single(name, header, row, **stated):
    """A log of single requests with their token lengths."""

    def check(folder):
        found = read_traffic(TrafficSource(file=str(put(folder, name, requests(header, row))), **stated))
        assert found.mean_rps == pytest.approx(1 / 150, rel=0.01)
        assert found.tokens.mean_input_tokens == pytest.approx(np.mean([r[1] for r in REQUESTS]), rel=0.01)

    return check


def steps(text, closed):
    """A load test: its rate, and whether its clients waited for their answers."""

    def check(folder):
        (point,) = read_load_tests([put(folder, "result.txt", text)])
        assert 0 < point["arrival_rate_rps"] < 1000
        assert ("concurrency" in point) == closed

    return check


def point(one):
    """A benchmark of a model server: 16 clients, 4 requests/s, 12 ms a token."""

    def check(folder):
        (found,) = read_llm_benchmark(put(folder, "bench.json", json.dumps(one)))
        assert (found.clients, found.throughput_rps, found.tpot_s) == (16, 4.0, 0.012)

    return check


def billed(content, usd, name="bill.csv", **told):
    def check(folder):
        found = read_bill(put(folder, name, content), **told)
        assert found["billed_cost_usd"].sum() == pytest.approx(usd)

    return check


def priced(name, content, provider, machine, usd, region=None):
    def check(folder):
        (found,) = read_prices(put(folder, name, content), {provider: [machine]}, region)
        assert (found.instance_type, found.usd_per_h) == (machine, usd)

    return check


def parquet():
    out = BytesIO()
    pd.DataFrame({"ts": STAMPS, "arrival_rate_rps": RATE}).to_parquet(out)
    return out.getvalue()


def workbook(folder):
    pytest.importorskip("openpyxl")
    pd.DataFrame({"Time": [t.tz_localize(None) for t in STAMPS], "rps": RATE}).to_excel(folder / "a.xlsx", index=False)
    demand("a.xlsx", (folder / "a.xlsx").read_bytes(), **UTC)(folder)


def held(folder):
    head = "commitment,quantity,end,region\n"
    (found,) = read_holdings(
        put(folder, "held.csv", head + "aws/us-east-1/m6a.xlarge/standard_ri/1y/none,5,2027-03-01,us-east-1\n")
    )
    assert found.quantity == 5


def account(folder):
    assert reserved_instance(written.RESERVED, "us-east-1").quantity == 4
    assert savings_plan(written.PLAN).quantity == 1.25


def observed(folder):
    head = "ts,arrival_rate_rps,cpu_percent,machines,latency_p99_ms\n"
    found = read_telemetry(put(folder, "telemetry.csv", head + "2026-10-01T00:00:00Z,800,60,6,180\n"))
    assert (found.rate_rps[0], found.utilization[0], found.percentiles_s[0, 3]) == (800, 0.6, pytest.approx(0.18))


CLF = '203.0.113.9 - - [{t:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5.0"'
ALB = (
    "https {t:%FT%T}.186641Z app/web/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57"
    ' "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2'
)
ELB = (
    "{t:%FT%T}.945958Z web 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29"
    ' "GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -'
)
S3 = (
    "79a59df900b9 docs [{t:%d/%b/%Y:%H:%M:%S} +0000] 192.0.2.3 79a59df900b9 3E57427F3 REST.GET.OBJECT a.png"
    ' "GET /docs/a.png HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" -'
)
ENVOY = '[{t:%FT%T}.123Z] "GET / HTTP/1.1" 200 - 0 11 2 1 "-" "curl/8.5" "id" "web" "10.0.0.1:80"'
CADDY = '{{"level":"info","ts":{s}.5,"logger":"http.log.access.log0","request":{{"method":"GET"}},"status":200}}'
TRAEFIK = '{{"ClientAddr":"192.0.2.1:80","RequestMethod":"GET","RouterName":"web@docker","StartUTC":"{t:%FT%T}.1Z"}}'
FRONT_DOOR = '{{"time":"{t:%FT%T}.1Z","category":"FrontDoorAccessLog","properties":{{"httpMethod":"GET"}}}}'
NLB = "tls 2.0 {t:%FT%T} net/web/g3d4 192.0.2.1:2 10.0.0.1:443 5 2 98 246 - arn - ECDHE tlsv12 - www.example.com"
APP_GATEWAY = '{{"timeStamp":"{t:%FT%T+00:00}","category":"ApplicationGatewayAccessLog","properties":{{}}}}'
CLOUDFLARE = '{{"ClientRequestMethod":"GET","EdgeStartTimestamp":"{t:%FT%TZ}","EdgeResponseStatus":200}}'
GOOGLE_LB = '{{"httpRequest":{{"requestMethod":"GET","status":200}},"timestamp":"{t:%FT%T}.1Z"}}'
INFLUX = "#group,false,false,true\n#datatype,string,long,dateTime:RFC3339,double\n#default,_result,,,\n"
LOOP, OPEN = run.closed_run(4, seconds=20.0), run.open_run(100.0, seconds=20.0)
FOCUS = (
    "BilledCost,BillingCurrency,ChargePeriodStart,ServiceName\n1.5,USD,2026-10-01 00:00:00,AmazonCloudWatch\n"
    "2.5,USD,2026-10-02 00:00:00,AmazonCloudWatch\n"
)
CUR = "lineItem/UnblendedCost,lineItem/UsageStartDate,lineItem/UsageType\n4.0,2026-10-01,BoxUsage:m6i.large\n"
AZURE = "CostInBillingCurrency,MeterCategory,Date,Tags\n4.0,Virtual Machines,10/01/2026,\n"
EXPLORER = json.dumps(
    {"ResultsByTime": written.CE_RESULTS, "GroupDefinitions": [{"Type": "DIMENSION", "Key": "USAGE_TYPE"}]}
)
RETAIL = json.dumps(
    {
        "BillingCurrency": "USD",
        "Items": [
            {
                "currencyCode": "USD",
                "tierMinimumUnits": 0.0,
                "retailPrice": 0.2299,
                "meterName": "D4s v5",
                "armRegionName": "polandcentral",
                "productName": "Virtual Machines Dsv5 Series",
                "skuName": "D4s v5",
                "serviceName": "Virtual Machines",
                "unitOfMeasure": "1 Hour",
                "type": "Consumption",
                "armSkuName": "Standard_D4s_v5",
            }
        ],
    }
)
OWN = "provider,region,instance_type,purchase_option,rate_usd_per_h\naws,af-south-1,m6a.xlarge,on_demand,0.2345\n"
AGREED = (
    "ProviderName,RegionId,ChargeDescription,ContractedUnitPrice,PricingUnit,PricingCategory,BillingCurrency\n"
    "AWS,eu-south-2,$0.2 per On Demand Linux m6a.xlarge Instance Hour,0.1777,Hours,Standard,USD\n"
)
AIPERF = (
    '{{"metadata": {{"request_start_ns": {s}000000000}}, "metrics": {{"input_sequence_length": {{"value": {i}}},'
    ' "output_sequence_length": {{"value": {o}}}}}}}\n'
)
BEGUN = {"start": "2026-10-01T00:00:00Z"}

READ = {
    "traffic by the hour or minute": {
        "Prometheus": demand("a.json", counter("http_requests_total", 2)),
        "CloudWatch": demand(
            "a.json",
            json.dumps(
                {
                    "Label": "RequestCount",
                    "Datapoints": [
                        {"Timestamp": f"{t:%FT%TZ}", "Sum": v * 3600, "Unit": "Count"}
                        for t, v in zip(STAMPS, RATE, strict=True)
                    ],
                }
            ),
        ),
        "Datadog": demand("a.csv", lines('time,"sum:web.hits{pod:a}.as_rate()"\n', "{t:%FT%TZ},{v}")),
        "Grafana": demand("a.csv", lines('"Time","{pod=""a""}","{pod=""b""}"\n', "{ms},{h},{h}"), **RPS),
        "Azure Monitor": demand("a.csv", lines("TimeGenerated [UTC],Requests\n", "{t:%F %T},{n}")),
        "InfluxDB": demand("a.csv", INFLUX + lines(",result,table,_time,_value\n", ",,0,{t:%FT%TZ},{v}"), **RPS),
        "Splunk": demand("a.csv", lines("_time,count\n", "{t:%FT%T.000+0000},{n}")),
        "New Relic": demand("a.csv", lines("Timestamp,Requests per hour\n", "{ms},{n}")),
        "Excel": workbook,
        "PostgreSQL": demand("a.csv", lines("ts|requests\n", "{t:%F %T}+00|{n}")),
        "Google Cloud Monitoring": demand(
            "a.csv",
            lines("TimeSeries ID,web\n", "{t:%a %b %d %Y %T} GMT+0000 (Coordinated Universal Time),{v}"),
            **RPS,
        ),
        "Elasticsearch": demand(
            "a.json",
            json.dumps(
                {
                    "aggregations": {
                        "hours": {
                            "buckets": [
                                {"key_as_string": f"{t:%FT%TZ}", "doc_count": round(v * 3600)}
                                for t, v in zip(STAMPS, RATE, strict=True)
                            ]
                        }
                    }
                }
            ),
        ),
        "BigQuery": demand("a.csv", lines("ts,requests\n", "{t:%F %T} UTC,{n}")),
        "JSON lines": demand("a.jsonl", lines("", '{{"ts":"{t:%FT%TZ}","requests":{n}}}')),
        "Parquet": demand("a.parquet", parquet()),
    },
    "access logs": {
        "nginx": twelve_an_hour("", CLF),
        "Apache": twelve_an_hour("", "www.example.com:443 " + CLF),
        "AWS ALB": twelve_an_hour("", ALB),
        "AWS Classic ELB": twelve_an_hour("", ELB),
        "S3": twelve_an_hour("", S3),
        "IIS": twelve_an_hour("#Software: IIS 10.0\n#Fields: date time s-ip cs-method\n", "{t:%F %T} 10.0.0.4 GET"),
        "CloudFront": twelve_an_hour("#Version: 1.0\n#Fields: date time x-edge-location\n", "{t:%F\t%T}\tFRA2"),
        "Envoy": twelve_an_hour("", ENVOY),
        "Caddy": twelve_an_hour("", CADDY),
        "Traefik": twelve_an_hour("", TRAEFIK),
        "Google Cloud load balancer": twelve_an_hour("", GOOGLE_LB),
        "Azure Front Door": twelve_an_hour("", FRONT_DOOR),
        "AWS NLB": twelve_an_hour("", NLB),
        "Azure Application Gateway": twelve_an_hour("", APP_GATEWAY),
        "Cloudflare": twelve_an_hour("", CLOUDFLARE),
    },
    "single requests with tokens": {
        "BurstGPT": single("t.csv", "Timestamp,Model,Request tokens,Response tokens\n", "{s},GPT,{i},{o}\n", **BEGUN),
        "Mooncake": single(
            "t.jsonl", "", '{{"timestamp": {s}000, "input_length": {i}, "output_length": {o}}}\n', **BEGUN
        ),
        "Azure LLM trace": single(
            "t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "{t:%F %T}.2874050,{i},{o}\n", **UTC
        ),
        "Vidur": single("t.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n", "{s}.5,{i},{o}\n", **BEGUN),
        "aiperf requests": single("t.jsonl", "", AIPERF, **BEGUN),
    },
    "load tests": {
        "k6": steps(run.k6(OPEN), closed=False),
        "Locust": steps(run.locust(LOOP), closed=True),
        "wrk": steps(run.wrk(LOOP), closed=True),
        "wrk2": steps(run.wrk2(OPEN), closed=False),
        "hey": steps(run.hey(LOOP), closed=True),
        "oha": steps(run.oha(LOOP), closed=True),
        "vegeta": steps(run.vegeta(OPEN), closed=False),
        "JMeter": steps(run.jmeter(LOOP), closed=True),
        "Gatling": steps(run.gatling(OPEN), closed=False),
        "bombardier": steps(run.bombardier(LOOP), closed=True),
        "ApacheBench": steps(run.ab(LOOP), closed=True),
        "fortio": steps(run.fortio(OPEN), closed=False),
        "Artillery": steps(run.artillery(OPEN), closed=False),
        "autocannon": steps(run.autocannon(LOOP), closed=True),
        "CSV of steps": steps("arrival_rate_rps,concurrency,latency_p99_s\n50,4,0.08\n", closed=True),
    },
    "LLM benchmarks": {
        "vLLM": point(written.SERVING),
        "SGLang": point({k: v for k, v in written.SERVING.items() if k != "request_rate"}),
        "llm-optimizer": point({"config": {"client_args": {"max_concurrency": 16}}, "results": written.SERVING}),
        "genai-perf": point(written.PROFILE | {"input_config": {"concurrency": 16}}),
        "aiperf": point(written.PROFILE | {"input_config": {"loadgen": {"concurrency": 16}}}),
        "guidellm": point({"benchmarks": [written.GUIDE]}),
        "LLMPerf": point(written.LLMPERF),
        "inference-perf": point(written.STAGE | {"load_summary": {"concurrency": 16}}),
    },
    "telemetry of a fleet": {"CSV by the hour": observed},
    "bills": {
        "FOCUS": billed(FOCUS, 4.0),
        "AWS CUR": billed(CUR, 4.0),
        "AWS Cost Explorer": billed(EXPLORER, 25.532, "bill.json"),
        "Google Cloud billing export": billed(json.dumps(written.GCP_ROW), 1.875, "bill.json"),
        "Azure cost export": billed(AZURE, 4.0),
    },
    "commitments held": {"CSV of commitments": held, "AWS account": account},
    "own prices": {
        "Azure retail reply": priced("reply.json", RETAIL, "azure", "Standard_D4s_v5", 0.2299),
        "agreed prices of a bill": priced("focus.csv", AGREED, "aws", "m6a.xlarge", 0.1777),
        "CSV of prices": priced("prices.csv", OWN, "aws", "m6a.xlarge", 0.2345),
    },
}

SYSLOG = "Oct  1 00:00:01 web app[12]: GET / 200\n"
HAPROXY = "198.51.100.7:1 [01/Oct/2026:00:00:01.123] web b/s 0/0/1/2/3 200 12 - - ---- 1/1\n"
REFUSED = {
    "an old Excel file (.xls)": ("a.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 600),
    "UTF-16 text": ("a.csv", lines("Time,rps\n", "{ms},{v}").encode("utf-16")),
    "a zip archive": ("a.zip", b"PK\x03\x04" + b"\0" * 100),
    "an SQLite database": ("a.db", b"SQLite format 3\0" + b"\0" * 100),
    "an Arrow (Feather) file": ("a.feather", b"ARROW1\0\0" + b"\0" * 100),
    "a PDF document": ("a.pdf", b"%PDF-1.7\n%abc\n"),
    "a web page (a sign-in page, perhaps, in place of the export)": ("a.csv", b"<!DOCTYPE html>\n<p>Sign in</p>\n"),
    "HAProxy or another log whose stamps carry no zone": ("a.log", HAPROXY * 9),
    "syslog, whose stamps carry neither year nor zone": ("a.log", SYSLOG * 9),
    "a JSON log of a proxy that is not known": ("a.log", '{"msg":"GET /","at":1}\n' * 9),
    "day numbers of a spreadsheet": ("a.csv", lines("Time,rps\n", "{x:.6f},{v}")),
}


def refusal(name, folder):
    """The sentence in which a file that is not read is named, with its way out."""
    from planner.errors import TrafficError

    with pytest.raises(TrafficError) as refused:
        read_traffic(put(folder, *REFUSED[name]))
    return str(refused.value)
