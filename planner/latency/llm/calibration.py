"""A user's own load test of an LLM server: read it, and shrink the model's error for that
deployment with it.

Formats: vLLM and SGLang ``bench_serving`` JSON (one object, a list, or lines), aiperf and
genai-perf profile JSON, guidellm JSON. The fitted constants stay the prior: a few points move only
the constants that they can tell apart.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import Floats
from planner.errors import PlannerError
from planner.latency.llm.bench import Runs, report
from planner.latency.llm.steps import Constants, Plant

# log prior width of a deployment's own deviation from the fitted constants, and the log errors of a
# benchmark's metrics
_WIDTH, _ERRORS = 0.35, np.array([0.03, 0.03, 0.15])
_NOT_OWN = ("drain_share", "wave_share")


@dataclass(frozen=True)
class BenchmarkPoint:
    """One measured operating point; NaN where not reported.

    ``clients`` (closed loop) or ``arrival_rate_rps`` (open) drive it; mean ``input_tokens``,
    ``output_tokens``; ``throughput_rps`` [requests/s], mean ``tpot_s`` and ``ttft_s`` [s].
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


def read_llm_benchmark(file: str | Path) -> tuple[BenchmarkPoint, ...]:
    """Points of a benchmark file in any known format. Raises :class:`PlannerError` with file and
    what is missing.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlannerError(
            f"the benchmark cannot be read: {error}", where=path, remedy="Give a JSON file of a load test"
        ) from None
    try:
        raw: Any = json.loads(text)
    except json.JSONDecodeError:
        try:
            raw = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise PlannerError(
                f"the benchmark is not JSON: {error.msg}",
                where=f"{path}: line {error.lineno}",
                remedy="Give the JSON that the load test wrote",
            ) from None
    points = tuple(p for one in (raw if isinstance(raw, list) else [raw]) for p in _points(one, path))
    if not points:
        raise PlannerError(
            "the benchmark holds no points", where=path, remedy="Run the load test at one concurrency at least"
        )
    return points


def _points(one: Any, path: Path) -> Iterable[BenchmarkPoint]:
    if not isinstance(one, Mapping):
        raise PlannerError("a benchmark entry is not an object", where=path, got=one)
    if "benchmarks" in one:
        return [_guidellm(b, path) for b in one["benchmarks"]]
    if "time_to_first_token" in one:
        return [_genai_perf(one, path)]
    return [_bench_serving(one, path)]


def _bench_serving(one: Mapping[str, Any], path: Path) -> BenchmarkPoint:
    """VLLM and SGLang: totals and milliseconds in one flat object."""
    done = _number(one, "completed", path)
    rate = one.get("request_rate")
    clients = one.get("max_concurrency")
    return _checked(
        BenchmarkPoint(
            float(clients) if clients else math.nan,
            float(rate) if rate not in (None, "inf") else math.nan,
            _number(one, "total_input_tokens", path) / done,
            _number(one, "total_output_tokens", path) / done,
            _number(one, "request_throughput", path),
            _number(one, "mean_tpot_ms", path) / 1e3,
            _number(one, "mean_ttft_ms", path) / 1e3,
        ),
        path,
    )


def _genai_perf(one: Mapping[str, Any], path: Path) -> BenchmarkPoint:
    """Aiperf and genai-perf: one object a metric with unit and avg."""

    def average(name: str) -> float:
        part = one.get(name)
        if not isinstance(part, Mapping) or "avg" not in part:
            raise PlannerError(
                f"the benchmark lacks {name}.avg", where=path, remedy="Give the profile export of the load test"
            )
        return float(part["avg"]) * (1e-3 if part.get("unit") == "ms" else 1.0)

    config = one.get("input_config", {})
    stimulus = {**config.get("perf_analyzer", {}).get("stimulus", {}), **config.get("loadgen", {})}
    return _checked(
        BenchmarkPoint(
            float(stimulus.get("concurrency", math.nan)),
            float(stimulus.get("request_rate", math.nan)),
            average("input_sequence_length"),
            average("output_sequence_length"),
            average("request_throughput"),
            average("inter_token_latency"),
            average("time_to_first_token"),
        ),
        path,
    )


def _guidellm(one: Mapping[str, Any], path: Path) -> BenchmarkPoint:
    """Guidellm: each benchmark has its strategy and metrics.NAME.successful.mean; its
    time_per_output_token counts the first token.
    """

    def mean(name: str) -> float:
        try:
            return float(one["metrics"][name]["successful"]["mean"])
        except (KeyError, TypeError):
            raise PlannerError(
                f"the benchmark lacks metrics.{name}.successful.mean",
                where=path,
                remedy="Give the JSON report of the load test",
            ) from None

    strategy = one.get("args", {}).get("strategy") or one.get("config", {}).get("strategy") or {}
    kind = strategy.get("type_", strategy.get("type", ""))
    clients = float(strategy.get("streams", 1 if kind == "synchronous" else math.nan))
    return _checked(
        BenchmarkPoint(
            clients,
            float(strategy.get("rate") or math.nan),
            mean("prompt_token_count"),
            mean("output_token_count"),
            mean("requests_per_second"),
            mean("inter_token_latency_ms") / 1e3,
            mean("time_to_first_token_ms") / 1e3,
        ),
        path,
    )


def _number(one: Mapping[str, Any], key: str, path: Path) -> float:
    value = one.get(key)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise PlannerError(
            f"the benchmark lacks the number {key}",
            where=path,
            got=value,
            remedy="Give the JSON that the load test wrote",
        )
    return float(value)


def _checked(point: BenchmarkPoint, path: Path) -> BenchmarkPoint:
    for name in ("input_tokens", "output_tokens", "throughput_rps", "tpot_s", "ttft_s"):
        value = getattr(point, name)
        if not (math.isfinite(value) and value > 0):
            raise PlannerError(
                f"the benchmark's {name} must be above 0", where=path, got=value, remedy="Drop the runs that failed"
            )
    return point


def calibrate(plant: Plant, prior: Constants, points: Sequence[BenchmarkPoint], slots: float) -> Constants:
    """Constants of one deployment after its own measurements: the maximum a posteriori of log
    deviations from ``prior``.

    Each deviation is normal with width 0.35; TPOT and throughput are believed to 3 %, TTFT to 15 %.
    One point moves the common level, three tell memory, arithmetic and overheads apart. Solved by
    damped Gauss-Newton steps.
    """
    runs = Runs(
        np.array([p.mode for p in points]),
        _column(points, "clients", np.inf),
        _column(points, "arrival_rate_rps", 0.0),
        _column(points, "input_tokens"),
        _column(points, "output_tokens"),
        np.full(len(points), slots),
    )
    measured = np.log(np.stack([_column(points, n) for n in ("tpot_s", "throughput_rps", "ttft_s")], axis=1))
    names = [f.name for f in fields(Constants) if f.name not in _NOT_OWN]

    def scaled(x: Floats) -> Constants:
        return prior.scaled(**dict(zip(names, np.exp(x).tolist(), strict=True)))

    def residual(x: Floats) -> Floats:
        r = (measured - np.log(np.stack(report(plant, scaled(x), runs), axis=1))) / _ERRORS
        return np.concatenate([np.where(np.isfinite(r), r, 0.0).ravel(), -x / _WIDTH])

    x = np.zeros(len(names))
    now, damping = residual(x), 1e-3
    for _ in range(25):
        slopes = np.stack([(residual(x + 1e-4 * e) - now) / 1e-4 for e in np.eye(len(names))], axis=1)
        square = slopes.T @ slopes
        step = -np.linalg.solve(square + damping * np.diag(np.diag(square)), slopes.T @ now)
        trial = residual(x + step)
        if trial @ trial < now @ now:
            gain, x, now, damping = now @ now - trial @ trial, x + step, trial, damping / 4.0
            if gain < 1e-5 * (now @ now):
                break
        else:
            damping *= 8.0
    return scaled(x)


def _column(points: Sequence[BenchmarkPoint], name: str, missing: float = math.nan) -> Floats:
    values = np.array([getattr(p, name) for p in points], dtype=np.float64)
    return np.where(np.isnan(values), missing, values)


def error_after(points: int, sigma: float) -> float:
    """Log-error sigma of TPOT and throughput left after ``points`` own measurements of the same
    deployment.

    90 % quantile of |log error| / 1.645 on the other points of 234 concurrency curves of public
    records: 0.09 after one point, 0.05 after three; nearly doubled, since a user's own points lie
    at other lengths too.
    """
    return sigma if points == 0 else min(sigma, 0.16 if points == 1 else 0.12 if points == 2 else 0.08)
