"""Results of tools and answers of accounts as they are written, for tests of their readers."""

import json

SERVING = {
    "max_concurrency": 16,
    "request_rate": "inf",
    "completed": 100,
    "total_input_tokens": 100_000,
    "total_output_tokens": 20_000,
    "request_throughput": 4.0,
    "mean_tpot_ms": 12.0,
    "mean_ttft_ms": 200.0,
}
LLMPERF = {
    "num_concurrent_requests": 16,
    "results_ttft_s_mean": 0.2,
    "results_inter_token_latency_s_mean": 0.01294,  # the first token counts too
    "results_end_to_end_latency_s_mean": 0.2 + 199 * 0.012,
    "results_number_input_tokens_mean": 1000.0,
    "results_number_output_tokens_mean": 200.0,
    "results_num_requests_started": 100,
    "results_error_rate": 0.0,
    "results_num_completed_requests": 100,
    "results_num_completed_requests_per_min": 240.0,
}
STAGE = {  # inference-perf, one stage
    "load_summary": {"count": 1000, "requested_rate": 4.1, "achieved_rate": 4.08},
    "successes": {
        "count": 1000,
        "latency": {"time_per_output_token": {"mean": 0.012}, "time_to_first_token": {"mean": 0.2}},
        "throughput": {"output_tokens_per_sec": 800.0, "requests_per_sec": 4.0},
        "prompt_len": {"mean": 1000.0},
        "output_len": {"mean": 200.0},
    },
    "failures": {"count": 0},
}
TRTLLM = {
    "engine": {"backend": "pytorch"},
    "request_info": {"num_requests": 100, "avg_input_length": 1000.0, "avg_output_length": 200.0},
    "performance": {"request_throughput_req_s": 4.0, "avg_request_latency_ms": 2588.0},
    "streaming_metrics": {"avg_ttft_ms": 200.0, "avg_tpot_ms": 12.0},
}
PROFILE = {
    "request_throughput": {"unit": "requests/sec", "avg": 4.0},
    "time_to_first_token": {"unit": "ms", "avg": 200.0},
    "inter_token_latency": {"unit": "ms", "avg": 12.0},
    "output_sequence_length": {"unit": "tokens", "avg": 200.0},
    "input_sequence_length": {"unit": "tokens", "avg": 1000.0},
}
GUIDE = {
    "args": {"strategy": {"type_": "concurrent", "streams": 16}},
    "metrics": {
        name: {"successful": {"mean": value}}
        for name, value in (
            ("requests_per_second", 4.0),
            ("time_to_first_token_ms", 200.0),
            ("inter_token_latency_ms", 12.0),
            ("prompt_token_count", 1000.0),
            ("output_token_count", 200.0),
        )
    },
}

HEY = """
Summary:
  Total:	47.1772 secs
  Slowest:	1.0801 secs
  Fastest:	0.1212 secs
  Average:	0.4721 secs
  Requests/sec:	105.3900

Latency distribution:
  50% in 0.4650 secs
  90% in 0.5703 secs
  95% in 0.6204 secs
  99% in 0.7905 secs

Status code distribution:
  [200]	4972 responses
"""
OHA = json.dumps(
    {
        "summary": {"successRate": 1.0, "total": 47.2, "average": 0.4721, "requestsPerSec": 105.39},
        "latencyPercentiles": {"p50": 0.465, "p90": 0.5703, "p95": 0.6204, "p99": 0.7905},
        "statusCodeDistribution": {"200": 4972},
        "errorDistribution": {"aborted due to deadline": 50},
    }
)
BOMBARDIER = json.dumps(
    {
        "spec": {"numberOfConnections": 50, "testType": "timed", "testDurationSeconds": 47},
        "result": {
            "timeTakenSeconds": 47.1772,
            "req2xx": 4972,
            "others": 0,
            "latency": {
                "mean": 472100,
                "percentiles": {"50": 465000, "75": 500000, "90": 570300, "95": 620400, "99": 790500},
            },
            "rps": {"mean": 104.2},
        },
    }
)
VEGETA = """Requests      [total, rate, throughput]         60000, {rate}, {rate}
Duration      [total, attack, wait]             30.006s, 30s, 6.6ms
Latencies     [min, mean, 50, 90, 95, 99, max]  1ms, 6.6ms, 6.67ms, 9.14ms, 10ms, {p99}ms, 30ms
Success       [ratio]                           100.00%
"""
STATS = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Requests/s,Failures/s,"
    "50%,90%,95%,99%\n,Aggregated,3000,0,120,131.0,100.0,0.0,120,200,300,500\n"
)
GATLING = json.dumps(
    {
        "type": "GROUP",
        "stats": {
            "numberOfRequests": {"total": 6000, "ok": 6000, "ko": 0},
            "meanResponseTime": {"total": 131},
            "meanNumberOfRequestsPerSecond": {"total": 100.0},
            **{f"percentiles{k}": {"total": v} for k, v in ((1, 120), (2, 150), (3, 300), (4, 500))},
        },
    }
)
RESERVED = {
    "ReservedInstancesId": "r-1",
    "InstanceType": "m6i.2xlarge",
    "InstanceCount": 4,
    "State": "active",
    "ProductDescription": "Linux/UNIX",
    "InstanceTenancy": "default",
    "OfferingClass": "standard",
    "OfferingType": "No Upfront",
    "Duration": 31536000,
    "End": "2027-06-01T00:00:00.000Z",
}
PLAN = {
    "savingsPlanType": "EC2Instance",
    "state": "active",
    "commitment": "1.25",
    "currency": "USD",
    "paymentOption": "No Upfront",
    "termDurationInSeconds": 31536000,
    "region": "us-east-1",
    "ec2InstanceFamily": "c6i",
    "end": "2027-09-30T12:00:00.000Z",
}

CE_RESULTS = [
    {
        "TimePeriod": {"Start": f"2027-01-{day:02}", "End": f"2027-01-{day + 1:02}"},
        "Groups": [
            {
                "Keys": [usage, f"service${service}"],
                "Metrics": {
                    "UnblendedCost": {"Amount": amount, "Unit": "USD"},
                    "AmortizedCost": {"Amount": amount, "Unit": "USD"},
                    "UsageQuantity": {"Amount": quantity, "Unit": "N/A"},
                },
            }
            for usage, service, amount, quantity in (
                ("USE1-BoxUsage:m6i.2xlarge", "web", "9.216", "24"),
                ("USE1-DataTransfer-Out-Bytes", "web", "0.45", "5"),
                ("USE1-SpotUsage:g6.xlarge", "", "3.1", "12"),
            )
        ],
        "Total": {},
        "Estimated": False,
    }
    for day in (1, 2)
]
GCP_ROW = {
    "billing_account_id": "01AB-23CD",
    "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
    "sku": {"id": "1234", "description": "N2 Instance Core running in Netherlands"},
    "usage_start_time": "2027-01-01 00:00:00 UTC",
    "usage_end_time": "2027-01-01 01:00:00 UTC",
    "project": {"id": "shop-prod"},
    "labels": [{"key": "service", "value": "web"}],
    "system_labels": [
        {"key": "compute.googleapis.com/machine_spec", "value": "n2-standard-8"},
        {"key": "compute.googleapis.com/cores", "value": "8"},
    ],
    "location": {"region": "europe-west4"},
    "cost": 2.0,
    "currency": "EUR",
    "currency_conversion_rate": 0.8,
    "usage": {"amount": 57600, "unit": "seconds", "amount_in_pricing_units": 16, "pricing_unit": "hour"},
    "credits": [{"name": "CUD", "amount": -0.5, "type": "SUSTAINED_USAGE_DISCOUNT"}],
    "cost_type": "regular",
}
