"""Results of generic HTTP load-test tools, read as points: rate served, latency percentiles [s],
concurrency where the tool holds it.

Times in the files are milliseconds (Locust, k6), nanoseconds (vegeta JSON) or carry their unit
(wrk, hey, vegeta text).
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.errors import ScenarioError

PERCENTS = (50, 90, 95, 99)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "secs": 1.0, "m": 60.0, "h": 3600.0}
# above this share of failed requests a step shows an overload, not a capacity
FAILURES_ALLOWED = 0.01
LARGEST_FILE = 32 << 20  # bytes


def read_load_test(path: str | Path, kind: str | None = None) -> list[dict[str, float]]:
    """Points of one result file: ``arrival_rate_rps``, ``latency_p50_s`` … ``latency_p99_s``,
    ``concurrency`` if closed loop.

    ``kind`` is one of ``LOAD_TEST_FORMATS``; by default it is found out.  Steps with more than 1 %
    failed requests are left out. Raises :class:`ScenarioError` naming the file and what it lacks.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ScenarioError(
                f"is larger than a summary ({LARGEST_FILE >> 20} MiB). Give the tool's summary, not its log", where=path
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"cannot be read as text: {error}", where=path) from None
    kind = kind or _recognize(text)
    if kind not in LOAD_TEST_FORMATS:
        raise ScenarioError(
            f"is not a load-test result this program knows: {', '.join(LOAD_TEST_FORMATS)} (got {kind!r})", where=path
        )
    try:
        points = LOAD_TEST_FORMATS[kind](text)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ArithmeticError,
        RecursionError,
        csv.Error,
    ) as error:
        raise ScenarioError(f"is not a complete {kind} result: {type(error).__name__} {error}", where=path) from None
    good = [p for p in points if p.pop("failure_share", 0.0) <= FAILURES_ALLOWED and p["arrival_rate_rps"] > 0]
    if not good:
        raise ScenarioError(f"holds no step with at most {FAILURES_ALLOWED:.0%} failed requests", where=path)
    return good


def _recognize(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        head = text[:200_000]
        return "k6" if '"metrics"' in head else "vegeta" if '"latencies"' in head else None
    first = text.partition("\n")[0]
    if "arrival_rate_rps" in first:
        return "csv"
    if "Requests/s" in first and "50%" in first:
        return "locust"
    if re.search(r"^Requests\s+\[total, rate", text, re.M):
        return "vegeta"
    if "threads and" in text and "Requests/sec:" in text:
        return "wrk"
    return "hey" if "Latency distribution" in text and "Requests/sec" in text else None


def _point(
    rate: float, seconds: Mapping[int, float | None], concurrency: float | None = None, failure_share: float = 0.0
) -> dict[str, float]:
    point = {"arrival_rate_rps": float(rate), "failure_share": float(failure_share)}
    point |= {f"latency_p{p}_s": float(v) for p in PERCENTS if (v := seconds.get(p)) is not None}
    if len(point) == 2:
        raise ValueError("no latency percentile among p50, p90, p95, p99")
    if not all(math.isfinite(v) for v in point.values()):
        raise ValueError("a figure is not finite")
    return point if concurrency is None else {**point, "concurrency": float(concurrency)}


def _plain(text: str) -> list[dict[str, float]]:
    """The planner's own columns, any other column refused."""
    known = {"arrival_rate_rps", "concurrency", "failure_share", *(f"latency_p{p}_s" for p in PERCENTS)}
    rows = list(csv.DictReader(io.StringIO(text)))
    strange = set(rows[0]) - known if rows else set()
    if strange:
        raise ValueError(f"unknown columns {', '.join(sorted(map(str, strange)))}")
    return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in rows]


def _locust(text: str) -> list[dict[str, float]]:
    """``*_stats.csv`` (its Aggregated row) or ``*_stats_history.csv`` (the last row of each number
    of users).
    """
    rows = [r for r in csv.DictReader(io.StringIO(text)) if r["Name"] == "Aggregated"]
    if "User Count" in (rows[0] if rows else {}):
        rows = [
            r
            for r in rows
            if float(r["Requests/s"] or 0) > 0 and float(r["User Count"]) > 0 and r["95%"] not in ("", "N/A")
        ]
        rows = list({r["User Count"]: r for r in rows}.values())
    points = []
    for r in rows:
        rate = float(r["Requests/s"])
        seconds = {p: float(r[f"{p}%"]) / 1e3 for p in PERCENTS if r.get(f"{p}%") not in (None, "", "N/A")}
        users = float(r["User Count"]) if "User Count" in r else None
        points.append(_point(rate, seconds, users, float(r["Failures/s"]) / rate if rate else 1.0))
    return points


def _k6(text: str) -> list[dict[str, float]]:
    """The summary JSON of ``--summary-export`` or of ``handleSummary``; p99 only if the run asked
    for it.
    """
    metrics = json.loads(text)["metrics"]

    def values(name: str) -> dict[str, Any]:
        found = metrics[name]
        return dict(found.get("values", found))

    duration, requests = values("http_req_duration"), values("http_reqs")
    failed = values("http_req_failed") if "http_req_failed" in metrics else {}
    seconds = {50: duration.get("med"), **{p: duration.get(f"p({p})") for p in PERCENTS[1:]}}
    vus = values("vus_max") if "vus_max" in metrics else {}
    return [
        _point(
            requests["rate"],
            {p: None if v is None else v / 1e3 for p, v in seconds.items()},
            vus.get("max", vus.get("value")),
            failed.get("rate", failed.get("value", 0.0)),
        )
    ]


def _wrk(text: str) -> list[dict[str, float]]:
    """Text of wrk and wrk2 with ``--latency``."""
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", text))
    connections = float(_found(r"threads and (\d+) connections", text))
    seconds = {round(float(p)): _seconds(v) for p, v in re.findall(r"^\s+([\d.]+)%\s+([\d.]+\s?\w+)\s*$", text, re.M)}
    total = float(_found(r"(\d+) requests in", text))
    bad = sum(float(n) for n in re.findall(r"Non-2xx or 3xx responses:\s+(\d+)", text))
    bad += sum(float(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    return [_point(rate, seconds, connections, bad / max(total, 1.0))]


def _hey(text: str) -> list[dict[str, float]]:
    """Text report of hey; its concurrency is not in it."""
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", text))
    seconds = {int(p): float(v) for p, v in re.findall(r"(\d+)%+ in ([\d.]+) secs", text)}
    codes = {c: float(n) for c, n in re.findall(r"\[(\d{3})\]\s+(\d+) responses", text)}
    errors = sum(float(n) for n in re.findall(r"^\s+\[(\d+)\]\s+\D", text.partition("Error distribution")[2], re.M))
    bad = errors + sum(n for c, n in codes.items() if c >= "400")
    return [_point(rate, seconds, None, bad / max(sum(codes.values()) + errors, 1.0))]


def _vegeta(text: str) -> list[dict[str, float]]:
    """JSON or text report of vegeta: an open loop at a stated rate."""
    if text.lstrip().startswith("{"):
        report = json.loads(text)
        seconds = {p: report["latencies"].get(f"{p}th") for p in PERCENTS}
        return [
            _point(
                report["rate"],
                {p: None if v is None else v / 1e9 for p, v in seconds.items()},
                None,
                1 - report["success"],
            )
        ]
    rate = float(_found(r"Requests\s+\[total, rate[^\]]*\]\s+\d+, ([\d.]+)", text))
    names = [n.strip() for n in _found(r"Latencies\s+\[([^\]]*)\]", text).split(",")]
    values = [_seconds(v) for v in _found(r"Latencies\s+\[[^\]]*\]\s+([^\n]+)", text).split(",")]
    timed = dict(zip(names, values, strict=True))
    return [
        _point(
            rate,
            {p: timed.get(str(p)) for p in PERCENTS},
            None,
            1 - float(_found(r"Success\s+\[ratio\]\s+([\d.]+)%", text)) / 100,
        )
    ]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"nothing like {pattern!r}")
    return match[1]


def _seconds(text: str) -> float:
    """``1m2.5s``, ``635.91us``, ``12.9 ms`` in seconds."""
    parts = re.findall(r"([\d.]+)\s?([a-zµμ]+)", text.strip())
    if not parts:
        raise ValueError(f"{text!r} is not a time")
    return sum(float(v) * _UNITS[u] for v, u in parts)


LOAD_TEST_FORMATS: dict[str, Callable[[str], list[dict[str, float]]]] = {
    "csv": _plain,
    "hey": _hey,
    "k6": _k6,
    "locust": _locust,
    "vegeta": _vegeta,
    "wrk": _wrk,
}


def read_load_tests(paths: Sequence[str | Path], kind: str | None = None) -> list[dict[str, float]]:
    """Points of several files, one step or more each, by rising rate."""
    return sorted((p for path in paths for p in read_load_test(path, kind)), key=lambda p: p["arrival_rate_rps"])
