"""Results of HTTP load-test tools, read as points: rate served, latency percentiles [s], and the
requests inside where clients waited for their answers (:mod:`planner.latency.measured.steps`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from planner.errors import ScenarioError, one_door
from planner.latency.measured import logs, reports, texts
from planner.latency.measured.steps import Driven, Step, points

LARGEST_FILE = 64 << 20  # bytes
LOAD_TEST_FORMATS: dict[str, Callable[[str], list[Step]]] = {
    "ab": texts.ab,
    "artillery": reports.artillery,
    "autocannon": reports.autocannon,
    "bombardier": texts.bombardier,
    "bombardier_json": reports.bombardier,
    "csv": logs.plain,
    "fortio": reports.fortio,
    "gatling": reports.gatling,
    "gatling_log": logs.gatling_log,
    "hey": texts.hey,
    "jmeter": logs.jmeter,
    "k6": reports.k6,
    "k6_csv": logs.k6_rows,
    "locust": logs.locust,
    "oha": texts.hey,
    "oha_json": reports.oha,
    "vegeta": texts.vegeta,
    "vegeta_json": reports.vegeta,
    "wrk": texts.wrk,
}
# results a row of which has a time and a rate, as a traffic history has
LOGS_OF_TESTS = ("locust", "k6_csv", "jmeter")
# two spellings of one tool's result: the second where the content is JSON
_AS_JSON = {"bombardier", "oha", "vegeta"}


def read_load_test(
    path: str | Path,
    kind: str | None = None,
    *,
    clients: float | None = None,
    driven: Driven | None = None,
) -> list[dict[str, float]]:
    """Points of one result file: ``arrival_rate_rps``, ``latency_p50_s`` … ``latency_p99_s``,
    ``concurrency`` if closed loop.

    As :func:`read_load_tests`. Raises :class:`ScenarioError` naming the file and what it lacks.
    """
    return read_load_tests([path], kind, clients=clients, driven=driven)


def read_load_tests(
    paths: Sequence[str | Path],
    kind: str | None = None,
    *,
    clients: float | None = None,
    driven: Driven | None = None,
) -> list[dict[str, float]]:
    """Points of one machine from several files, one step or more each, by rising load.

    ``kind`` is one of ``LOAD_TEST_FORMATS``; by default it is found out. How a step was driven is
    found by Little's law (:class:`planner.latency.measured.steps.Step`); ``clients`` and ``driven``
    say it where a file does not. Steps with more than 1 % failed requests or a server that fell
    behind are left out. Raises :class:`ScenarioError` naming the file and what it lacks.
    """
    steps = [s for path in paths for s in _steps(Path(path), kind)]
    where = ", ".join(str(p) for p in paths)
    with one_door(lambda cause: ScenarioError(f"holds figures that no test can have: {cause}", where=where)):
        steps = steps if clients is None else [replace(s, clients=clients) for s in steps]
        return points(steps, where, driven)


def _steps(path: Path, kind: str | None) -> list[Step]:
    """The steps of one file, by the reader of its format. Raises :class:`ScenarioError` for a
    format that is not known, or a result that is not complete.
    """
    text = _text(path)
    named = _named(kind, text) or recognized(text)
    if named is None:
        _refuse_known(text, path)
    if named not in LOAD_TEST_FORMATS:
        raise ScenarioError(
            f"is not a load-test result this program knows: {', '.join(LOAD_TEST_FORMATS)}"
            + (f" (got {kind!r})" if kind else "")
            + ". Give one of these, or a CSV with a step a row: arrival_rate_rps, latency_p50_s, latency_p95_s,"
            " latency_p99_s, and concurrency where clients waited for their answers",
            where=path,
        )
    kind = named
    with one_door(lambda cause: ScenarioError(f"is not a complete {kind} result: {cause}", where=path)):
        found = LOAD_TEST_FORMATS[kind](text)
        if not found:
            raise ValueError("it holds no step")
    return found


def _text(path: Path) -> str:
    """The text of a result file. Raises :class:`ScenarioError` for more than 64 MiB, or
    for what is no UTF-8 text.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ScenarioError(
                f"is larger than a summary ({LARGEST_FILE >> 20} MiB). Give the tool's summary, or a part of its log",
                where=path,
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ScenarioError(f"cannot be read as text: {error}", where=path) from None


def _named(kind: str | None, text: str) -> str | None:
    """The reader of a stated format: vegeta is read as text or as JSON, whichever it is."""
    return f"{kind}_json" if kind in _AS_JSON and text.lstrip().startswith("{") else kind


def load_test_kind(file: str | Path) -> str | None:
    """The format of a file that is a load test by marks in it, one that is known and not read
    counted as ``unread``; ``None`` for any other file.
    """
    try:
        text = _text(Path(file))
    except ScenarioError:
        return None
    own = re.fullmatch(
        r"(?:(?:arrival_rate_rps|concurrency|failure_share|latency_p\d+_s)[,\r]?)+",
        text.partition("\n")[0],
    )
    if (kind := recognized(text)) and (own or kind != "csv") and (kind != "k6" or '"http_req' in text):
        return kind
    return "unread" if any(re.search(mark, text[:400_000], re.M) for mark, _, _ in _BESIDE[:-1]) else None


def _refuse_known(text: str, path: Path) -> None:
    """Raises :class:`ScenarioError` for what a tool writes beside the result that is read, with the
    way to that one.
    """
    for mark, what, remedy in _BESIDE:
        if re.search(mark, text[:400_000], re.M):
            raise ScenarioError(f"is {what}, which is not read. {remedy}", where=path)


# what tools write beside the result that is read: a mark of it, its name, the way out
_BESIDE = (
    (
        r"http_req_duration\.*:",
        "k6's summary on the screen",
        "Run k6 with --summary-export FILE and give that",
    ),
    (
        r'"type":\s*"(?:Metric|Point)"',
        "k6's log as JSON",
        "Run k6 with --out csv=FILE or --summary-export FILE",
    ),
    (
        r"<testResults\b",
        "JMeter's log as XML",
        "Run jmeter with -Jjmeter.save.saveservice.output_format=csv",
    ),
    (
        r'"attack":.*"seq":',
        "vegeta's encoded requests",
        "Give what vegeta report -type=json makes of it",
    ),
    (
        r"│ Stat\s+│",
        "autocannon's table on the screen",
        "Run autocannon with --json and give that",
    ),
    (
        r"^response-time,DNS\+dialup",
        "hey's list of single requests",
        "Run hey without -o csv and give its report",
    ),
    (
        r"<html|<!DOCTYPE",
        "a web page",
        "Give the tool's JSON or CSV beside it (of Gatling js/stats.json)",
    ),
)


def recognized(text: str) -> str | None:
    """The format of a result by marks in it: keys of a JSON report, the header of a table, else
    lines of a text report; ``None`` for none.

    >>> recognized('{"latencyPercentiles": {}}')
    'oha_json'
    """
    if text.lstrip().startswith("{"):
        return next((kind for kind, mark in _JSON_MARKS.items() if re.search(mark, text[:400_000])), None)
    first = text.lstrip("\n").partition("\n")[0]
    return next((k for k, mark in _HEADERS.items() if all(m in first for m in mark)), None) or next(
        (kind for kind, mark in _TEXT_MARKS.items() if re.search(mark, text, re.M | re.S)), None
    )


_JSON_MARKS = {
    "oha_json": r'"latencyPercentiles"',
    "bombardier_json": r'"numberOfConnections"',
    "k6": r'"metrics"',
    "gatling": r'"percentiles1"',
    "vegeta_json": r'"latencies"',
    "fortio": r'"DurationHistogram"',
    "artillery": r'"http\.response_time"',
    "autocannon": r'"connections"\s*:.*"latency"|"p97_5"',
}
_HEADERS = {
    "csv": ("arrival_rate_rps",),
    "locust": ("Requests/s", "50%"),
    "k6_csv": ("metric_name", "metric_value"),
    "jmeter": ("timeStamp", "elapsed"),
}
_TEXT_MARKS = {
    "ab": r"^Concurrency Level:.*^Requests per second:",
    "vegeta": r"^Requests\s+\[total, rate",
    "gatling_log": r"^REQUEST\t",
    "bombardier": r"Bombarding|Reqs/sec\s",
    "wrk": r"threads and.*Requests/sec:",
    "hey": r"Requests/sec.*(Latency distribution|Response time distribution)",
}
