"""Text reports of load-test tools: wrk, wrk2, ab, hey, vegeta, oha, bombardier."""

import math
import re
from collections.abc import Mapping

from planner.latency.measured.steps import Step

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "secs": 1.0,
    "sec": 1.0,
}
_UNITS |= {"m": 60.0, "h": 3600.0}
_SHARE = re.compile(r"^\s*([\d.]+)%+(?:\s+in)?\s+([\d.]+)\s?([a-zµμ]*)\s*$", re.M)


def wrk(text: str) -> list[Step]:
    """Wrk and wrk2 with ``--latency``; wrk2 sends at a rate and counts
    latency from the time planned.

    Which of the two wrote it is seen by its calibration lines or its histogram. Failed are
    answers other than 2xx and 3xx, and socket errors.
    """
    total = float(_found(r"(\d+) requests in", text))
    bad = sum(float(n) for n in re.findall(r"Non-2xx or 3xx responses:\s+(\d+)", text))
    bad += sum(float(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    paced = "Thread calibration" in text or "HdrHistogram" in text
    mean = re.search(r"^\s+Latency\s+([\d.]+[a-zµμ]+)", text, re.M)
    return [
        Step(
            float(_found(r"Requests/sec:\s+([\d.]+)", text)),
            _percentiles(text),
            seconds(mean[1]) if mean else math.nan,
            float(_found(r"threads and (\d+) connections", text)),
            min(bad / max(total, 1.0), 1.0),
            loop=not paced,
            paced=paced,
            corrected=paced,
        )
    ]


def ab(text: str) -> list[Step]:
    """ApacheBench [ms]: ``-c`` clients that wait for their answers. Answers of another length than
    the first have not failed.
    """
    done = float(_found(r"Complete requests:\s+(\d+)", text))
    counted = re.search(r"\(Connect: (\d+), Receive: (\d+), Length: \d+, Exceptions: (\d+)\)", text)
    failed = sum(map(float, counted.groups())) if counted else float(_found(r"Failed requests:\s+(\d+)", text))
    failed += sum(float(n) for n in re.findall(r"Non-2xx responses:\s+(\d+)", text))
    served = re.findall(r"^\s+(\d+)%\s+(\d+)(?:\s+\(longest request\))?\s*$", text, re.M)
    return [
        Step(
            float(_found(r"Requests per second:\s+([\d.]+)", text)),
            {int(p): float(v) / 1e3 for p, v in served if int(p) < 100 and float(v) > 0},
            float(_found(r"Time per request:\s+([\d.]+) \[ms\] \(mean\)", text)) / 1e3,
            float(_found(r"Concurrency Level:\s+(\d+)", text)),
            min(failed / max(done, 1.0), 1.0),
            loop=True,
        )
    ]


def hey(text: str) -> list[Step]:
    """Text report of hey and oha: workers that wait for their answers; how many is not in it.

    Failed are errors, except requests cut off at the end of a timed run, and
    answers of status 400 or above.
    """
    codes = {c: float(n) for c, n in re.findall(r"\[(\d{3})\]\s+(\d+) responses", text)}
    told = text.partition("Error distribution")[2]
    # what a run by time cuts off at its end has not failed
    errors = sum(float(n) for n, why in re.findall(r"^\s+\[(\d+)\]\s+(\D.*)$", told, re.M) if "deadline" not in why)
    bad = errors + sum(n for c, n in codes.items() if c >= "400")
    mean = re.search(r"^\s+Average:\s+([\d.]+)\s*([a-zµμ]*)", text, re.M)
    return [
        Step(
            float(_found(r"Requests/sec:\s+([\d.]+)", text)),
            _percentiles(text),
            float(mean[1]) * _UNITS[mean[2] or "secs"] if mean else math.nan,
            failure_share=bad / max(sum(codes.values()) + errors, 1.0),
            loop=True,
        )
    ]


def vegeta(text: str) -> list[Step]:
    """Text report of vegeta: open arrivals at a stated rate."""
    sent = _found(r"Requests\s+\[[^\]]*\]\s+([^\n]+)", text).split(",")
    success = float(_found(r"Success\s+\[ratio\]\s+([\d.]+)%", text)) / 100
    duration = re.search(r"Duration\s+\[total, attack, wait\]\s+([^\n]+)", text)
    times = [seconds(v) for v in duration[1].split(",")] if duration else [math.nan] * 3
    return vegeta_step(float(sent[1]), _listed("Latencies", text), success, times)


def vegeta_step(rate: float, latencies_s: Mapping[str, float], success: float, times: list[float]) -> list[Step]:
    """One attack; it fell behind where its last answer came after the attack by more than a
    tenth of it: a queue that stands for 5 % of the run was still growing.
    """
    known = {p: latencies_s[k] for p in (50, 90, 95, 99) for k in (str(p), f"{p}th") if k in latencies_s}
    _, attack, wait = times
    mean = latencies_s.get("mean", math.nan)
    behind = wait > 0.05 * attack and mean > 0.02 * attack
    return [Step(rate, known, mean, failure_share=max(0.0, 1 - success), paced=True, overloaded=behind)]


def bombardier(text: str) -> list[Step]:
    """Text report of bombardier with ``-l``.

    Raises :class:`ValueError` where the report states neither rate nor latency.
    """
    codes = {c: float(n) for c, n in re.findall(r"(\dxx|others) - (\d+)", text)}
    rate, mean = (
        re.search(r"Reqs/sec\s+([\d.]+)", text),
        re.search(r"Latency\s+([\d.]+[a-zµμ]+)", text),
    )
    clients = re.search(r"using (\d+) connection", text)
    bad = sum(n for c, n in codes.items() if c in ("4xx", "5xx", "others"))
    if rate is None or mean is None:
        raise ValueError("no line of Reqs/sec or Latency")
    return [
        Step(
            float(rate[1]),
            _percentiles(text),
            seconds(mean[1]),
            float(clients[1]) if clients else math.nan,
            bad / max(sum(codes.values()), 1.0),
            loop=True,
        )
    ]


def _percentiles(text: str) -> dict[int, float]:
    """Lines such as ``99%  5.80ms``, ``99.000%   11.18ms`` and ``99% in 0.0900 secs``."""
    found = ((float(p), float(v) * _UNITS[u or "secs"]) for p, v, u in _SHARE.findall(text) if (u or "secs") in _UNITS)
    return {int(p): v for p, v in found if p == int(p) and 0 < p < 100 and v > 0}


def _listed(name: str, text: str) -> dict[str, float]:
    """``Latencies [min, mean, 50]  1ms, 2ms, 3ms`` by name [s]."""
    names = _found(name + r"\s+\[([^\]]*)\]", text).split(",")
    values = _found(name + r"\s+\[[^\]]*\]\s+([^\n]+)", text).split(",")
    return {n.strip(): seconds(v) for n, v in zip(names, values, strict=True)}


def _found(pattern: str, text: str) -> str:
    """The first group of a pattern that must be there. Raises
    :class:`ValueError` naming the pattern.
    """
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"nothing like {pattern!r}")
    return match[1]


def seconds(text: str) -> float:
    """``1m2.5s``, ``635.91us``, ``12.9 ms`` in seconds. Raises ValueError for anything else.

    >>> seconds("1m2.5s"), seconds("12.9 ms")
    (62.5, 0.0129)
    """
    parts = re.findall(r"([\d.]+)\s?([a-zµμ]+)", text.strip())
    if not parts:
        raise ValueError(f"{text!r} is not a time")
    return sum(float(v) * _UNITS[u] for v, u in parts)
