"""Simulated load tests of a known queue, written in the layout of each tool."""

import heapq
import json
from dataclasses import dataclass
from functools import cache

import numpy as np

SERVERS, SERVICE_S = 4, 0.02  # saturates at 200 requests/s


@dataclass(frozen=True)
class Run:
    """One step: seconds at which each request was planned, sent and answered, whether it succeeded; the most
    clients at once.
    """

    planned: np.ndarray
    sent: np.ndarray
    ended: np.ndarray
    good: np.ndarray
    clients: int
    dropped: int = 0

    @property
    def lasted(self) -> float:
        return float(self.ended.max())

    @property
    def rate(self) -> float:
        return len(self.ended) / self.lasted

    def took(self, corrected: bool = False) -> np.ndarray:
        return self.ended - (self.planned if corrected else self.sent)


@cache
def open_run(rate: float, seconds: float = 120.0, failing: float = 0.0, cap: int = 0, seed: int = 1) -> Run:
    """Poisson arrivals at M/M/c; with a ``cap`` an arrival that finds all clients busy is dropped, as k6 drops it."""
    rng = np.random.default_rng(seed)
    planned = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    service, free, inside = rng.exponential(SERVICE_S, len(planned)), [0.0] * SERVERS, []
    ended, kept = np.empty(len(planned)), np.ones(len(planned), dtype=bool)
    for i, t in enumerate(planned):
        while inside and inside[0] <= t:
            heapq.heappop(inside)
        if cap and len(inside) >= cap:
            kept[i] = False
            continue
        ended[i] = max(t, heapq.heappop(free)) + service[i]
        heapq.heappush(free, ended[i])
        heapq.heappush(inside, ended[i])
    good = rng.random(len(planned)) >= failing
    clients = cap or 100_000
    return Run(planned[kept], planned[kept], ended[kept], good[kept], clients, int((~kept).sum()))


@cache
def closed_run(clients: int, seconds: float = 120.0, think_s: float = 0.0, failing: float = 0.0, seed: int = 2) -> Run:
    """Clients that wait for each answer, and pause for ``think_s`` on average."""
    rng = np.random.default_rng(seed)
    ready = [(float(rng.exponential(think_s)) if think_s else 0.0, k) for k in range(clients)]
    heapq.heapify(ready)
    free, sent, ended = [0.0] * SERVERS, [], []
    while True:
        t, k = heapq.heappop(ready)
        if t > seconds:
            break
        done = max(t, heapq.heappop(free)) + float(rng.exponential(SERVICE_S))
        heapq.heappush(free, done)
        sent.append(t)
        ended.append(done)
        heapq.heappush(ready, (done + (float(rng.exponential(think_s)) if think_s else 0.0), k))
    began, answered = np.array(sent), np.array(ended)
    return Run(began, began, answered, rng.random(len(began)) >= failing, clients)


def percentiles(took: np.ndarray, wanted=(50, 75, 90, 95, 99)) -> dict[int, float]:
    return {p: float(np.quantile(took, p / 100)) for p in wanted}


def k6(run: Run) -> str:
    q = percentiles(run.took() * 1e3)
    clients = min(run.clients, 400)
    metrics = {
        "http_req_duration": {"avg": run.took().mean() * 1e3, "med": q[50], "p(90)": q[90], "p(95)": q[95]}
        | {"p(99)": q[99]},
        "http_reqs": {"count": len(run.ended), "rate": run.rate},
        "http_req_failed": {"passes": 0, "fails": 0, "value": float(1 - run.good.mean())},
        "vus": {"value": 1, "min": 1, "max": clients},
        "vus_max": {"value": clients, "min": clients, "max": clients},
    }
    if run.dropped:
        metrics["dropped_iterations"] = {"count": run.dropped, "rate": run.dropped / run.lasted}
    return json.dumps({"root_group": {}, "metrics": metrics})


def k6_csv(run: Run) -> str:
    head = "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,"
    rows = [head + "scenario,service,status,subproto,tls_version,url,extra_tags,metadata"]
    rest = ",,,,,,GET,http://x,HTTP/1.1,default,,200,,,http://x,,"
    for end, took, good in zip(run.ended, run.took(), run.good, strict=True):
        at = 1700000000 + int(end)
        rows += [f"http_reqs,{at},1.000000{rest}", f"http_req_duration,{at},{took * 1e3:f}{rest}"]
        rows.append(f"http_req_failed,{at},{0 if good else 1}.000000{rest}")
    rows += [f"vus,{1700000000 + s},{min(run.clients, 400)}.000000,,,,,,,,,,,,,,,," for s in range(int(run.lasted) + 1)]
    return "\n".join(rows) + "\n"


def locust(run: Run) -> str:
    """``*_stats_history.csv``: a row a second, percentiles of the last ten."""
    names = "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
    rows = [
        f"Timestamp,User Count,Type,Name,Requests/s,Failures/s,{names},Total Request Count,Total Failure Count,"
        "Total Median Response Time,Total Average Response Time,Total Min Response Time,Total Max Response Time,"
        "Total Average Content Size"
    ]
    order = np.argsort(run.ended)
    ended, took, good = run.ended[order], run.took()[order] * 1e3, run.good[order]
    for second in range(1, int(run.lasted)):
        last, upto = (np.searchsorted(ended, t) for t in (second - 10, second))
        if upto <= max(last, 0):
            continue
        window = took[last:upto]
        shown = ",".join(
            f"{np.quantile(window, q):.0f}" for q in (0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 1, 1, 1)
        )
        span, bad = min(second, 10), int((~good[:upto]).sum())
        rows.append(
            f"{1700000000 + second},{min(run.clients, 400)},,Aggregated,{len(window) / span:.6f},"
            f"{(~good[last:upto]).sum() / span:.6f},{shown},{upto},{bad},{np.median(took[:upto]):.0f},"
            f"{took[:upto].mean():.6f},1,{took[:upto].max():.0f},10"
        )
    return "\n".join(rows) + "\n"


def wrk(run: Run) -> str:
    q = percentiles(run.took() * 1e3)
    failed = int((~run.good).sum())
    return (
        f"Running {run.lasted:.0f}s test @ http://10.0.0.5/\n  2 threads and {run.clients} connections\n"
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
        f"    Latency   {run.took().mean() * 1e3:.2f}ms    9.00ms  99.92ms   93.69%\n"
        "    Req/Sec    56.20      8.07    62.00    86.54%\n  Latency Distribution\n"
        + "".join(f"     {p}%   {q[p]:.2f}ms\n" for p in (50, 75, 90, 99))
        + f"  {len(run.ended)} requests in {run.lasted:.2f}s, 17.76MB read\n"
        + (f"  Non-2xx or 3xx responses: {failed}\n" if failed else "")
        + f"Requests/sec: {run.rate:.2f}\nTransfer/sec:    606.33KB\n"
    )


def wrk2(run: Run) -> str:
    q = percentiles(run.took(corrected=True) * 1e3)
    failed = int((~run.good).sum())
    mean = run.took(corrected=True).mean() * 1e3
    return (
        f"Running {run.lasted:.0f}s test @ http://10.0.0.5/\n  2 threads and 100 connections\n"
        "  Thread calibration: mean lat.: 1087 usec, rate sampling interval: 22 msec\n"
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
        f"    Latency     {mean:.2f}ms    1.92ms  12.50ms   68.46%\n"
        "    Req/Sec     1.04k     1.08k    2.50k    72.79%\n  Latency Distribution (HdrHistogram - Recorded Latency)\n"
        + "".join(f" {p}.000%    {q[p]:.2f}ms\n" for p in (50, 75, 90, 99))
        + f"----------\n  {len(run.ended)} requests in {run.lasted:.2f}s, 19.81MB read\n"
        + (f"  Non-2xx or 3xx responses: {failed}\n" if failed else "")
        + f"Requests/sec:   {run.rate:.2f}\nTransfer/sec:    676.14KB\n"
    )


def hey(run: Run) -> str:
    q, failed = percentiles(run.took()), int((~run.good).sum())
    return (
        f"\nSummary:\n  Total:\t{run.lasted:.4f} secs\n  Slowest:\t{run.took().max():.4f} secs\n"
        f"  Fastest:\t0.0001 secs\n  Average:\t{run.took().mean():.4f} secs\n  Requests/sec:\t{run.rate:.4f}\n\n"
        "Response time histogram:\n  0.121 [1]\t|\n\nLatency distribution:\n"
        + "".join(f"  {p}% in {q[p]:.4f} secs\n" for p in (50, 75, 90, 95, 99))
        + f"\nStatus code distribution:\n  [200]\t{int(run.good.sum())} responses\n"
        + (f"  [503]\t{failed} responses\n" if failed else "")
    )


def oha(run: Run) -> str:
    q, failed = percentiles(run.took()), int((~run.good).sum())
    summary = {"successRate": 1.0, "total": run.lasted, "slowest": float(run.took().max()), "fastest": 1e-4}
    codes = {"200": int(run.good.sum())} | ({"503": failed} if failed else {})
    return json.dumps(
        {
            "summary": summary | {"average": float(run.took().mean()), "requestsPerSec": run.rate},
            "responseTimeHistogram": {},
            "latencyPercentiles": {f"p{p}": v for p, v in q.items()},
            "statusCodeDistribution": codes,
            "errorDistribution": {"aborted due to deadline": run.clients},
        }
    )


def vegeta(run: Run) -> str:
    q = {f"{p}th": int(v * 1e9) for p, v in percentiles(run.took()).items()}
    attack = float(run.planned.max())
    return json.dumps(
        {
            "latencies": {"total": 1, "mean": int(run.took().mean() * 1e9), **q},
            "duration": int(attack * 1e9),
            "wait": int((run.lasted - attack) * 1e9),
            "requests": len(run.ended),
            "rate": len(run.ended) / attack,
            "throughput": run.rate,
            "success": float(run.good.mean()),
            "status_codes": {},
        }
    )


def jmeter(run: Run) -> str:
    head = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,"
    rows = [head + "sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect"]
    for sent, took, good in zip(run.sent, run.took(), run.good, strict=True):
        rows.append(
            f"{1700000000000 + int(sent * 1e3)},{round(took * 1e3)},home,{200 if good else 503},OK,"
            f"Thread Group 1-1,text,{'true' if good else 'false'},,10,10,{run.clients},"
            f"{run.clients},http://x,{round(took * 1e3)},0,1"
        )
    return "\n".join(rows) + "\n"


def gatling(run: Run, loop: bool = False) -> str:
    """``simulation.log``: in an open workload each request is a user of its own."""
    base = 1700000000000
    lines = ["RUN\tsim.Basic\tbasic\t1700000000000\t \t3.9.5"]
    if loop:
        lines += [f"USER\tload\tSTART\t{base}"] * run.clients
    for sent, ended, good in zip(run.sent, run.ended, run.good, strict=True):
        a, b = base + int(sent * 1e3), base + int(ended * 1e3)
        lines.append(f"REQUEST\t\thome\t{a}\t{b}\t{'OK' if good else 'KO'}\t ")
        if not loop:
            lines += [f"USER\tload\tSTART\t{a}", f"USER\tload\tEND\t{b}"]
    if loop:
        lines += [f"USER\tload\tEND\t{base + int(run.lasted * 1e3)}"] * run.clients
    return "\n".join(lines) + "\n"


def gatling_loop(run: Run) -> str:
    return gatling(run, loop=True)


def bombardier(run: Run) -> str:
    q, failed = percentiles(run.took() * 1e3), int((~run.good).sum())
    return (
        f"Bombarding http://10.0.0.5:80 for {run.lasted:.0f}s using {run.clients} connection(s)\nDone!\n"
        f"Statistics        Avg      Stdev        Max\n  Reqs/sec      {run.rate:.2f}     300.05    1054.97\n"
        f"  Latency      {run.took().mean() * 1e3:.2f}ms     5.11ms    42.00ms\n  Latency Distribution\n"
        + "".join(f"     {p}%    {q[p]:.2f}ms\n" for p in (50, 75, 90, 95, 99))
        + f"  HTTP codes:\n    1xx - 0, 2xx - {int(run.good.sum())}, 3xx - 0, 4xx - 0, 5xx - {failed}\n    others - 0\n"
        "  Throughput:   130.02KB/s\n"
    )


def ab(run: Run) -> str:
    q, failed = percentiles(run.took() * 1e3), int((~run.good).sum())
    return (
        "This is ApacheBench, Version 2.3 <$Revision: 1903618 $>\n\n"
        f"Concurrency Level:      {run.clients}\nTime taken for tests:   {run.lasted:.3f} seconds\n"
        f"Complete requests:      {len(run.ended)}\nFailed requests:        {len(run.ended)}\n"
        f"   (Connect: 0, Receive: 0, Length: {len(run.ended)}, Exceptions: 0)\n"
        + (f"Non-2xx responses:      {failed}\n" if failed else "")
        + f"Requests per second:    {run.rate:.2f} [#/sec] (mean)\n"
        f"Time per request:       {run.took().mean() * 1e3:.3f} [ms] (mean)\n"
        f"Time per request:       {1e3 / run.rate:.3f} [ms] (mean, across all concurrent requests)\n\n"
        "Percentage of the requests served within a certain time (ms)\n"
        + "".join(f"  {p}%  {q[p]:5.0f}\n" for p in (50, 75, 90, 95, 99))
        + f" 100%  {run.took().max() * 1e3:5.0f} (longest request)\n"
    )


def fortio(run: Run) -> str:
    q, asked = percentiles(run.took(), (50, 75, 90, 99)), "max" if run.clients < 100_000 else f"{run.rate:.1f}"
    return json.dumps(
        {
            "RunType": "HTTP",
            "RequestedQPS": asked,
            "ActualQPS": run.rate,
            "NumThreads": run.clients,
            "DurationHistogram": {
                "Count": len(run.ended),
                "Avg": run.took().mean(),
                "Percentiles": [{"Percentile": p, "Value": v} for p, v in q.items()],
            },
            "RetCodes": {"200": int(run.good.sum()), "503": int((~run.good).sum())},
        }
    )


def artillery(run: Run) -> str:
    q = {f"p{p}": v for p, v in percentiles(run.took() * 1e3).items()}
    return json.dumps(
        {
            "aggregate": {
                "counters": {
                    "vusers.created": len(run.ended),
                    "http.requests": len(run.ended),
                    "http.codes.200": int(run.good.sum()),
                    "http.codes.503": int((~run.good).sum()),
                },
                "rates": {"http.request_rate": round(run.rate)},
                "firstMetricAt": 1_790_000_000_000,
                "lastMetricAt": 1_790_000_000_000 + run.lasted * 1e3,
                "summaries": {"http.response_time": {"mean": run.took().mean() * 1e3, "median": q["p50"], **q}},
            },
            "intermediate": [],
        }
    )


def autocannon(run: Run) -> str:
    q = {f"p{p}": round(v) for p, v in percentiles(run.took() * 1e3, (50, 75, 90, 99)).items()}
    mean = float(run.took().mean() * 1e3)
    return json.dumps(
        {
            "url": "http://10.0.0.5",
            "connections": run.clients,
            "pipelining": 1,
            "duration": run.lasted,
            "errors": 0,
            "timeouts": 0,
            "non2xx": int((~run.good).sum()),
            "2xx": int(run.good.sum()),
            "latency": {"average": mean, "mean": mean, "stddev": 1.0, "p97_5": q["p90"], **q},
            "requests": {"average": run.rate, "total": len(run.ended), "sent": len(run.ended) + run.clients},
        }
    )
