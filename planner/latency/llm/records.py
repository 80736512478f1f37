"""Reads a user's own load test of an LLM server: which points it holds and how each was driven.

Formats: vLLM and SGLang ``bench_serving`` JSON (one object, a list, or lines, flat or nested in
another tool's), aiperf and genai-perf profile JSON, guidellm JSON, LLMPerf summaries, stages of
inference-perf, reports of trtllm-bench.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import PlannerError, one_door

LARGEST_FILE = 32 << 20  # bytes
# above this share of failed requests a point shows an overload, not the server
FAILURES_ALLOWED = 0.01
# clients at work from which a cap on them counts as reached, and the share of a stated rate that a
# server which keeps up answers
_CLOSED, _KEPT_UP = 0.9, 0.9
_DEEPEST = 6
_KNOWN = "vLLM and SGLang bench_serving, aiperf, genai-perf, guidellm, LLMPerf, inference-perf, trtllm-bench"
# a loop keeps its clients busy: short runs on record keep .04 to 1.4 of them so, a unit of times that is wrong .001
_LEAST_BUSY, _MOST_BUSY = 0.01, 20.0
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}
# what a server could report of each field
_POSSIBLE = {
    "clients": (1.0, 1e6),
    "arrival_rate_rps": (1e-6, 1e6),
    "input_tokens": (1.0, 1e8),
    "output_tokens": (1.0, 1e8),
    "throughput_rps": (1e-6, 1e6),
    "tpot_s": (1e-7, 1e4),
    "ttft_s": (1e-6, 1e6),
}


@dataclass(frozen=True)
class BenchmarkPoint:
    """One measured operating point; NaN where not reported.

    ``clients`` (closed loop) or ``arrival_rate_rps`` (open) drive it, neither where the queue was
    always full; mean ``input_tokens``, ``output_tokens``; ``throughput_rps`` [requests/s], mean
    ``tpot_s`` and ``ttft_s`` [s].
    """

    clients: float
    arrival_rate_rps: float
    input_tokens: float
    output_tokens: float
    throughput_rps: float
    tpot_s: float
    ttft_s: float

    @property
    def mode(self) -> str:
        """How the server was driven: ``closed_loop``, ``open_rate`` or ``offline_max``."""
        if math.isfinite(self.clients):
            return "closed_loop"
        return "open_rate" if math.isfinite(self.arrival_rate_rps) else "offline_max"

    @property
    def busy(self) -> float:
        """Requests inside: throughput × (TTFT + (o − 1)·TPOT) (Little 1961)."""
        return self.throughput_rps * (self.ttft_s + max(self.output_tokens - 1, 0.0) * self.tpot_s)


@dataclass(frozen=True)
class _Record:
    """A point as its tool reports it, and what shows whether it counts: ``failure_share``, requests
    ``done`` (NaN unknown).
    """

    point: BenchmarkPoint
    failure_share: float
    done: float

    @property
    def full(self) -> bool:
        """Whether the server fell behind a stated rate: it answered less than that, and not just
        because the last requests of a short run had to end.
        """
        p = self.point
        if p.mode != "open_rate":
            return False
        lasted = self.done / p.arrival_rate_rps + p.busy / p.throughput_rps
        expected = self.done / lasted if math.isfinite(self.done) else p.arrival_rate_rps
        return p.throughput_rps < _KEPT_UP * min(expected, p.arrival_rate_rps)


def read_llm_benchmark(file: str | Path) -> tuple[BenchmarkPoint, ...]:
    """Points of a benchmark file in any known format; those with more than 1 % failed requests, or
    of a server that fell behind the rate, are left out.

    A stated rate with a cap on clients is open where Little's law shows the cap was never reached,
    else a closed loop. Raises :class:`PlannerError` with file and what is missing.
    """
    path = Path(file)
    with one_door(lambda cause: _fault(f"the benchmark is not complete: {cause}", path)):
        records = [r for one in _entries(path) for r in _records(one, path)]
        if not records:
            raise _fault(
                "the benchmark holds no points",
                path,
                "Run the load test at one concurrency at least",
            )
        good = [r for r in records if r.failure_share <= FAILURES_ALLOWED]
        if not good:
            raise _fault(
                f"every point of the benchmark has more than {FAILURES_ALLOWED:.0%} failed requests"
                f" ({min(r.failure_share for r in records):.0%} or more)",
                path,
                "Run it again at a load that the server bears",
            )
        kept = tuple(r.point for r in good if not r.full)
        if not kept:
            raise _fault(
                "the server fell behind the stated rate in every point of the benchmark",
                path,
                "Run it again at a lower request rate",
            )
    return kept


def _fault(
    what: str, path: Path, remedy: str = "Give the JSON that the load test wrote", got: Any = None
) -> PlannerError:
    return PlannerError(what, where=path, got=got, remedy=remedy)


def _entries(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise _fault(
                f"the benchmark is larger than {LARGEST_FILE >> 20} MiB",
                path,
                "Leave out the times of single requests",
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(f"the benchmark cannot be read: {error}", path, "Give a JSON file of a load test") from None
    try:
        raw: Any = json.loads(text)
    except json.JSONDecodeError:
        try:
            raw = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise _fault(f"the benchmark is not JSON: {error.msg}", path) from None
    return raw if isinstance(raw, list) else [raw]


def _records(one: Any, path: Path) -> Iterator[_Record]:
    if not isinstance(one, Mapping):
        raise _fault("a benchmark entry is not an object", path, got=one)
    if "benchmarks" in one:
        yield from (_guidellm(b, path) for b in one["benchmarks"])
        return
    for keys, reader in _OTHERS.items():
        if found := list(_inside(one, *keys)):
            yield from (reader(f, one, path) for f in found)
            return
    profiles = list(_inside(one, "time_to_first_token"))
    served = list(_inside(one, "request_throughput", "completed"))
    if profiles:
        yield from (_profile(p, one, path) for p in profiles)
    else:
        yield from (_bench_serving(s, one, path) for s in (served or [one]))


def _inside(one: Any, *keys: str, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The objects at or below ``one`` that hold all keys, outermost only: other tools nest them."""
    if isinstance(one, Mapping):
        if all(k in one for k in keys):
            yield one
            return
        children: Iterable[Any] = one.values()
    else:
        children = one if isinstance(one, list) else ()
    if depth < _DEEPEST:
        for child in children:
            yield from _inside(child, *keys, depth=depth + 1)


def _told(name: str, *places: Any) -> Any:
    """The first value of a field that is not null in these places or anything nested in them."""
    for place in places:
        for holder in _inside(place, name):
            if holder[name] is not None:
                return holder[name]
    return None


def _bench_serving(one: Mapping[str, Any], whole: Mapping[str, Any], path: Path) -> _Record:
    """VLLM and SGLang: totals and milliseconds in one flat object."""
    done = _number(one, "completed", path)
    if done <= 0:
        raise _fault("no request of the benchmark was completed", path, "Drop the runs that failed", done)
    failed = one.get("failed")
    if failed is None:
        failed = max(float(one.get("num_prompts") or done) - done, 0.0)
    rate, clients = _told("request_rate", one, whole), _told("max_concurrency", one, whole)
    tokens = [
        _number(one, name if name in one else old, path) / done
        for name, old in (
            ("total_input_tokens", "total_input"),
            ("total_output_tokens", "total_output"),
        )
    ]
    throughput = _number(one, "request_throughput", path)
    if rate == "trace":  # arrivals of a recorded trace: open at the rate that came
        rate = throughput
    times = (_number(one, "mean_tpot_ms", path) / 1e3, _number(one, "mean_ttft_ms", path) / 1e3)
    point = _driven(rate, clients, (*tokens, throughput, *times), path)
    return _Record(point, float(failed) / max(done + float(failed), 1.0), done)


def _profile(one: Mapping[str, Any], whole: Mapping[str, Any], path: Path) -> _Record:
    """Aiperf and genai-perf: one object a metric with unit and avg."""
    figures = tuple(
        _average(one, name, path)
        for name in (
            "input_sequence_length",
            "output_sequence_length",
            "request_throughput",
            "inter_token_latency",
            "time_to_first_token",
        )
    )
    config = one.get("input_config") or _told("input_config", whole)
    rate, clients = _told("request_rate", config), _told("concurrency", config)
    done = _count(one, "request_count")
    failed = _count(one, "error_request_count")
    if math.isnan(failed):
        errors = one.get("error_summary") or []
        failed = sum(float(e.get("count", 0)) for e in errors if isinstance(e, Mapping))
    share = failed / (done + failed) if done + failed > 0 else 0.0
    return _Record(_driven(rate, clients, figures, path), share, done)


def _llmperf(one: Mapping[str, Any], _: Mapping[str, Any], path: Path) -> _Record:
    """LLMPerf's summary: seconds, requests a minute. Its inter-token latency counts the first token
    too, so that of the others is taken from the whole time.
    """
    ttft, whole_s = (_number(one, f"results_{n}_s_mean", path) for n in ("ttft", "end_to_end_latency"))
    tokens = [_number(one, f"results_number_{way}_tokens_mean", path) for way in ("input", "output")]
    rate = _number(one, "results_num_completed_requests_per_min", path) / 60
    tpot = (whole_s - ttft) / max(tokens[1] - 1, 1.0)
    point = _driven(None, one.get("num_concurrent_requests"), (*tokens, rate, tpot, ttft), path)
    done = _count(one, "results_num_completed_requests")
    return _Record(point, float(one.get("results_error_rate") or 0.0), done)


def _inference_perf(one: Mapping[str, Any], _: Mapping[str, Any], path: Path) -> _Record:
    """A stage of inference-perf: seconds; open arrivals at the requested rate, or a stated
    concurrency.
    """
    good, load = one["successes"], one["load_summary"]
    figures = (
        _number(good["prompt_len"], "mean", path),
        _number(good["output_len"], "mean", path),
        _number(good["throughput"], "requests_per_sec", path),
        _number(good["latency"]["time_per_output_token"], "mean", path),
        _number(good["latency"]["time_to_first_token"], "mean", path),
    )
    done, failed = (
        float(good.get("count") or 0.0),
        float((one.get("failures") or {}).get("count") or 0.0),
    )
    point = _driven(load.get("requested_rate"), _told("concurrency", load), figures, path)
    return _Record(point, failed / max(done + failed, 1.0), done or math.nan)


def _trtllm(one: Mapping[str, Any], whole: Mapping[str, Any], path: Path) -> _Record:
    """trtllm-bench's report of a streaming run: milliseconds; how it was driven stands in its
    command alone, so ``max_concurrency`` or ``request_rate`` must be added.
    """
    asked, streamed = one["request_info"], one["streaming_metrics"]
    figures = (
        _number(asked, "avg_input_length", path),
        _number(asked, "avg_output_length", path),
        _number(one["performance"], "request_throughput_req_s", path),
        _number(streamed, "avg_tpot_ms", path) / 1e3,
        _number(streamed, "avg_ttft_ms", path) / 1e3,
    )
    point = _driven(_told("request_rate", whole), _told("max_concurrency", whole), figures, path)
    return _Record(point, 0.0, _count(asked, "num_requests"))


# tools whose result is known by keys of its own
_OTHERS = {
    ("results_ttft_s_mean", "num_concurrent_requests"): _llmperf,
    ("load_summary", "successes"): _inference_perf,
    ("request_info", "streaming_metrics"): _trtllm,
}


def _average(one: Mapping[str, Any], name: str, path: Path) -> float:
    part = one.get(name)
    if not isinstance(part, Mapping) or not _is_number(part.get("avg")):
        raise _fault(f"the benchmark lacks {name}.avg", path, "Give the profile export of the load test")
    if name not in ("inter_token_latency", "time_to_first_token"):
        return float(part["avg"])
    unit = str(part.get("unit", "ms"))
    if unit not in _UNITS:
        raise _fault(
            f"the unit of {name} is not known",
            path,
            f"Give it in one of {', '.join(_UNITS)}",
            unit,
        )
    return float(part["avg"]) * _UNITS[unit]


def _count(one: Mapping[str, Any], name: str) -> float:
    part: Any = one.get(name)
    value: Any = part.get("avg") if isinstance(part, Mapping) else part
    return float(value) if _is_number(value) else math.nan


def _guidellm(one: Any, path: Path) -> _Record:
    """Guidellm: each benchmark has its strategy and metrics.NAME.successful.mean; its
    time_per_output_token counts the first token.
    """
    if not isinstance(one, Mapping):
        raise _fault("a benchmark entry is not an object", path, got=one)
    figures = tuple(
        _mean(one, name, path)
        for name in (
            "prompt_token_count",
            "output_token_count",
            "requests_per_second",
            "inter_token_latency_ms",
            "time_to_first_token_ms",
        )
    )
    strategy = _told("strategy", one.get("args"), one.get("config"), one.get("scheduler"), one) or {}
    kind = str(strategy.get("type_", strategy.get("type", "")))
    clients = strategy.get("streams", 1 if kind == "synchronous" else None)
    rate = strategy.get("rate") or ("inf" if kind == "throughput" else None)
    totals = _told("request_totals", one) or _told("requests_made", one) or {}
    done, failed = (float(totals.get(k) or 0.0) for k in ("successful", "errored"))
    share = failed / (done + failed) if done + failed > 0 else 0.0
    figures = (*figures[:3], figures[3] / 1e3, figures[4] / 1e3)
    return _Record(_driven(rate, clients, figures, path), share, done or math.nan)


def _mean(one: Mapping[str, Any], name: str, path: Path) -> float:
    part = one.get("metrics")
    for key in (name, "successful", "mean"):
        part = part.get(key) if isinstance(part, Mapping) else None
    if not _is_number(part):
        raise _fault(
            f"the benchmark lacks metrics.{name}.successful.mean",
            path,
            "Give the JSON report of the load test",
        )
    return float(str(part))


def _driven(rate: Any, clients: Any, figures: tuple[float, ...], path: Path) -> BenchmarkPoint:
    """The point with what drove it; a cap on clients that a stated rate never reached drops out."""
    unlimited = rate in ("inf", "Infinity", math.inf)
    cap, sent = (
        _setting("max_concurrency", clients, path),
        _setting("request_rate", None if unlimited else rate, path),
    )
    if math.isnan(cap) and math.isnan(sent) and not unlimited:
        raise _fault(
            "the benchmark does not say how the server was driven",
            path,
            f"Add max_concurrency (clients) or request_rate to it, or give a result of {_KNOWN}",
        )
    point = BenchmarkPoint(cap, sent, *figures)
    _check(point, path)
    if math.isfinite(cap) and math.isfinite(sent):
        reached = point.busy >= _CLOSED * cap
        point = BenchmarkPoint(cap if reached else math.nan, math.nan if reached else sent, *figures)
    if point.mode == "closed_loop" and not _LEAST_BUSY <= point.busy / point.clients <= _MOST_BUSY:
        raise _fault(
            f"rate and times of the benchmark contradict its {point.clients:g} clients, which wait for each answer:"
            f" {point.throughput_rps:.4g} requests/s x {point.busy / point.throughput_rps:.4g} s keep"
            f" {point.busy:.3g} of them busy (Little's law)",
            path,
            "Check the units of its times (a field that ends in _ms holds milliseconds) and its number of clients",
        )
    return point


def _setting(name: str, value: Any, path: Path) -> float:
    if value is None or value == 0:
        return math.nan
    try:
        found = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found > 0) or (name == "max_concurrency" and found < 1):
        raise _fault(
            f"the benchmark's {name} is not a number above 0",
            path,
            "Mend it, or drop the run",
            value,
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(one: Mapping[str, Any], key: str, path: Path) -> float:
    value = one.get(key)
    if not _is_number(value):
        raise _fault(f"the benchmark lacks the number {key}", path, f"Give a result of {_KNOWN}", value)
    return float(str(value))


def _check(point: BenchmarkPoint, path: Path) -> None:
    for name, (smallest, largest) in _POSSIBLE.items():
        value = getattr(point, name)
        if name in ("clients", "arrival_rate_rps") and math.isnan(value):
            continue
        if not (math.isfinite(value) and value > 0):
            raise _fault(f"the benchmark's {name} must be above 0", path, "Drop the runs that failed", value)
        if not smallest <= value <= largest:
            told = f"the benchmark's {name} is not between {smallest:g} and {largest:g}"
            raise _fault(told, path, "Mend it, or drop the run", value)
