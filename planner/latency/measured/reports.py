"""JSON summaries of load-test tools: k6, vegeta, oha, bombardier, autocannon, Gatling, fortio,
Artillery.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from planner.latency.measured.steps import PERCENTS, Step
from planner.latency.measured.texts import vegeta_step


def load(text: str) -> dict[str, Any]:
    """The JSON object of a report; constants such as NaN are refused.

    Raises :class:`TypeError` for JSON that is no object.
    """
    found = json.loads(text, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise TypeError("it is no JSON object")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def k6(text: str) -> list[Step]:
    """The summary of ``--summary-export`` or ``handleSummary`` [ms]; p99 only
    if the run asked for it.

    Both layouts are read: figures of a metric beside its name, or under ``values``. Of users the
    largest number is taken. Dropped iterations above 1 % of the requests are those of an arrival
    rate whose users were all busy, which is a closed loop again.
    """
    metrics = load(text)["metrics"]

    def values(name: str) -> dict[str, Any]:
        found = metrics.get(name, {})
        return dict(found.get("values", found))

    duration, requests = values("http_req_duration"), values("http_reqs")
    failed, users, dropped = values("http_req_failed"), values("vus"), values("dropped_iterations")
    clients = users.get("max", users.get("value", values("vus_max").get("max", values("vus_max").get("value"))))
    seconds = {50: duration.get("med"), **{p: duration.get(f"p({p})") for p in PERCENTS[1:]}}
    return [
        Step(
            number(requests["rate"]),
            {p: number(v) / 1e3 for p, v in seconds.items() if v is not None},
            optional(duration.get("avg")) / 1e3,
            optional(clients),
            number(failed.get("rate", failed.get("value", 0.0))),
            # only arrival rates drop iterations, and only where all users are busy
            loop="count" in dropped and number(dropped["count"]) > 0.01 * number(requests.get("count", math.inf)),
        )
    ]


def vegeta(text: str) -> list[Step]:
    """JSON report of vegeta [ns]."""
    report = load(text)
    latencies = {k: number(v) / 1e9 for k, v in report["latencies"].items() if number(v) > 0}
    times = [optional(report.get(k)) / 1e9 for k in ("total", "duration", "wait")]
    return vegeta_step(number(report["rate"]), latencies, number(report["success"]), times)


def oha(text: str) -> list[Step]:
    """JSON of oha [s]: workers that wait for their answers; how many is not in it.

    Failed are errors, except requests cut off at the end of a timed run, and
    answers of status 400 or above.
    """
    report = load(text)
    summary, codes = report["summary"], report.get("statusCodeDistribution") or {}
    # what a run by time cuts off at its end has not failed
    errors = [number(n) for why, n in (report.get("errorDistribution") or {}).items() if "deadline" not in why]
    bad = sum(errors) + sum(number(n) for c, n in codes.items() if c >= "400")
    answered = sum(number(n) for n in codes.values())
    share = bad / max(answered + sum(errors), 1.0) if codes else 1 - number(summary["successRate"])
    return [
        Step(
            number(summary["requestsPerSec"]),
            _named(report["latencyPercentiles"], 1.0),
            number(summary["average"]),
            failure_share=share,
            loop=True,
        )
    ]


def bombardier(text: str) -> list[Step]:
    """JSON of bombardier with ``-l`` [µs]; its rate is answers over time, failures included."""
    report = load(text)
    spec, found = report["spec"], report["result"]
    counts = {c: number(found.get(c, 0)) for c in ("req1xx", "req2xx", "req3xx", "req4xx", "req5xx", "others")}
    bad = counts["req4xx"] + counts["req5xx"] + counts["others"]
    latency, total = found["latency"], sum(counts.values())
    return [
        Step(
            total / number(found["timeTakenSeconds"]),
            {int(p): number(v) / 1e6 for p, v in latency["percentiles"].items() if p.isdigit() and number(v) > 0},
            number(latency["mean"]) / 1e6,
            number(spec["numberOfConnections"]),
            bad / max(total, 1.0),
            loop=True,
        )
    ]


def autocannon(text: str) -> list[Step]:
    """JSON of autocannon [ms]; each connection holds ``pipelining`` requests."""
    report = load(text)
    total = number(report["requests"]["total"])
    bad = sum(number(report.get(k, 0)) for k in ("errors", "non2xx"))  # errors hold the timeouts
    latency = report["latency"]
    return [
        Step(
            total / number(report["duration"]),
            _named(latency, 1e-3),
            number(latency.get("average", latency.get("mean"))) / 1e3,
            number(report["connections"]) * number(report.get("pipelining", 1)),
            min(bad / max(total + number(report.get("errors", 0)), 1.0), 1.0),
            loop=True,
        )
    ]


def gatling(text: str) -> list[Step]:
    """``js/stats.json`` or ``js/global_stats.json`` of Gatling [ms]; its users are not in it.

    Its four percentiles are 50, 75, 95 and 99 unless configured otherwise.
    """
    report = load(text)
    stats = report.get("stats", report)
    total, failed = (number(stats["numberOfRequests"][k]) for k in ("total", "ko"))
    times = {p: number(stats[f"percentiles{k}"]["total"]) / 1e3 for k, p in ((1, 50), (3, 95), (4, 99))}
    return [
        Step(
            number(stats["meanNumberOfRequestsPerSecond"]["total"]),
            times,
            number(stats["meanResponseTime"]["total"]) / 1e3,
            failure_share=failed / max(total, 1.0),
        )
    ]


def fortio(text: str) -> list[Step]:
    """JSON of fortio [s]: threads that send at a rate; at ``max`` (or 0) each waits for its answer.

    Failed are answers other than 2xx and 3xx, and calls without one (code -1).
    """
    report = load(text)
    asked = str(report.get("RequestedQPS", "max"))
    paced = asked not in ("max", "0", "")
    found, codes = report["DurationHistogram"], report.get("RetCodes") or {}
    bad = sum(number(n) for code, n in codes.items() if not re.fullmatch(r"[123]\d\d|SERVING|OK", code))
    return [
        Step(
            number(report["ActualQPS"]),
            {
                int(p["Percentile"]): number(p["Value"])
                for p in found["Percentiles"]
                if p["Percentile"] in PERCENTS and number(p["Value"]) > 0
            },
            number(found["Avg"]),
            number(report["NumThreads"]),
            min(bad / max(number(found["Count"]), 1.0), 1.0),
            loop=not paced,
            # threads that are all busy send no more than they are answered
            paced=paced and number(report["ActualQPS"]) >= 0.95 * float(asked),
        )
    ]


def artillery(text: str) -> list[Step]:
    """JSON of Artillery [ms]: users that arrive at a rate of their own, over the time in which it
    sent.

    Failed are errors and answers of status 400 or above.
    """
    report = load(text)["aggregate"]
    counters, found = report["counters"], report["summaries"]["http.response_time"]
    sent = number(counters["http.requests"])
    lasted = (optional(report.get("lastMetricAt")) - optional(report.get("firstMetricAt"))) / 1e3
    bad = sum(number(n) for name, n in counters.items() if re.match(r"errors\.|http\.codes\.[45]", name))
    return [
        Step(
            sent / lasted if lasted > 0 else number(report["rates"]["http.request_rate"]),
            _named(found, 1e-3),
            number(found["mean"]) / 1e3,
            failure_share=min(bad / max(sent, 1.0), 1.0),
            paced=True,
        )
    ]


def number(value: Any) -> float:
    """A JSON number. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def optional(value: Any) -> float:
    """A JSON number, or NaN where there is none."""
    return math.nan if value is None else number(value)


def _named(table: Mapping[str, Any], scale: float) -> dict[int, float]:
    """Percentiles p50 … p99 under names such as ``p95``, times ``scale`` [s a unit]; zeros
    and absent ones left out.
    """
    found = {p: table.get(f"p{p}") for p in PERCENTS}
    return {p: number(v) * scale for p, v in found.items() if v is not None and number(v) > 0}
