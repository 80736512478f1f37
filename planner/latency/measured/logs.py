"""Tables and logs of load tests, a row or line a step, second or request: the planner's own CSV,
Locust, k6, JMeter, Gatling.
"""

import csv
import io
import math
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats
from planner.latency.measured.steps import PERCENTS, Step

# a level of clients is a step if it lasts this long [s] and holds this many requests
_SHORTEST_S, _FEWEST = 2.0, 50
# a log's clients are constant where their number varies less than this share of it
_STEADY = 0.1


def plain(text: str) -> list[Step]:
    """The planner's own columns, any other column refused; open unless ``concurrency`` is given.

    Raises :class:`ValueError` that names the columns nobody knows.
    """
    known = {
        "arrival_rate_rps",
        "concurrency",
        "failure_share",
        *(f"latency_p{p}_s" for p in PERCENTS),
    }
    rows = list(csv.DictReader(io.StringIO(text)))
    strange = {c for row in rows[:1] for c in row} - known
    if strange:
        raise ValueError(f"unknown columns {', '.join(sorted(map(str, strange)))}")
    return [_own(number, row) for number, row in enumerate(rows, start=2)]


def _own(number: int, row: dict[str, str]) -> Step:
    """A step of the planner's own columns. Raises :class:`ValueError` for a row
    without a rate, or one whose clients could not hold rate × median requests (twice
    their number is allowed for).
    """
    if not (row.get("arrival_rate_rps") or "").strip():
        raise ValueError(f"row {number} has no arrival_rate_rps")
    times = {p: row.get(f"latency_p{p}_s") for p in PERCENTS}
    clients = float(row.get("concurrency") or "nan")
    step = Step(
        float(row["arrival_rate_rps"]),
        {p: float(v) for p, v in times.items() if v not in (None, "")},
        clients=clients,
        failure_share=float(row.get("failure_share") or 0.0),
        stated="open" if math.isnan(clients) else "closed",
    )
    median = step.percentiles_s.get(50, math.nan)
    if step.rate_rps * median > 2 * clients:
        raise ValueError(f"row {number}: {clients:g} clients cannot hold {step.rate_rps:g}/s × {median:g} s")
    return step


def locust(text: str) -> list[Step]:
    """``*_stats.csv`` (its Aggregated row, users unknown) or ``*_stats_history.csv`` (a step for
    each number of users, without the first half of its time).
    """
    rows = [r for r in csv.DictReader(io.StringIO(text)) if r["Name"] == "Aggregated"]
    if not rows or "User Count" not in rows[0]:
        return [_locust_summary(r) for r in rows]
    steps = []
    for users, part in _runs(rows, "User Count"):
        settled = [r for r in part[len(part) // 2 :] if r["95%"] not in ("", "N/A") and float(r["Requests/s"]) > 0]
        if float(users) > 0 and settled:
            steps.append(_locust_level(float(users), settled))
    return steps


def _runs(rows: list[dict[str, str]], name: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Rows in a row that hold the same value."""
    start = 0
    for i in range(1, len(rows) + 1):
        if i == len(rows) or rows[i][name] != rows[start][name]:
            yield rows[start][name], rows[start:i]
            start = i


def _locust_summary(r: dict[str, str]) -> Step:
    """The Aggregated row of a summary [ms to s]. The users are not in it, so how it was driven
    is found from the rate and the mean time alone.
    """
    rate = float(r["Requests/s"])
    times = {p: float(r[f"{p}%"]) / 1e3 for p in PERCENTS if r.get(f"{p}%") not in (None, "", "N/A")}
    mean = float(r.get("Average Response Time") or "nan") / 1e3
    return Step(rate, times, mean, failure_share=min(float(r["Failures/s"]) / rate, 1.0))


def _locust_level(users: float, rows: list[dict[str, str]]) -> Step:
    """Percentiles are the medians of Locust's own sliding ones; rate and mean come from its running
    totals.
    """
    first, last = rows[0], rows[-1]
    times = {p: float(np.median([float(r[f"{p}%"]) for r in rows])) / 1e3 for p in PERCENTS if f"{p}%" in last}
    done, lasted = (float(last[c]) - float(first[c]) for c in ("Total Request Count", "Timestamp"))
    sums = [float(r["Total Request Count"]) * float(r["Total Average Response Time"]) for r in (first, last)]
    failed = float(last["Total Failure Count"]) - float(first["Total Failure Count"])
    if done <= 0 or lasted <= 0:  # a single row of this level
        done, lasted = float(last["Requests/s"]), 1.0
        sums, failed = [0.0, done * float(last["50%"])], float(last["Failures/s"])
    mean = (sums[1] - sums[0]) / done / 1e3
    share = min(max(failed / done, float(last["Failures/s"]) / float(last["Requests/s"])), 1.0)
    return Step(done / lasted, times, mean if mean > 0 else math.nan, users, share, loop=True)


def k6_rows(text: str) -> list[Step]:
    """CSV of ``--out csv`` [ms]: a step for each scenario, or for each
    level that its users hold.

    Stamps may be in seconds, ms, µs or ns; the users inside at the end of a request are those of
    the last ``vus`` sample before it. Failures are matched to requests by their order; if their
    numbers differ, none is counted as failed. Dropped iterations mean that the rate was set from
    outside, so it is then no closed loop.
    """
    wanted = ["metric_name", "timestamp", "metric_value", "scenario"]
    table = pd.read_csv(io.StringIO(text), usecols=lambda c: c in wanted, dtype={"scenario": "str"})
    if "scenario" not in table:
        table["scenario"] = ""
    table = table.fillna({"scenario": ""})
    rows = table[table["metric_name"] == "http_req_duration"].reset_index(drop=True)
    users = table[table["metric_name"] == "vus"].sort_values("timestamp")
    failed = table.loc[table["metric_name"] == "http_req_failed", "metric_value"].to_numpy(np.float64)
    rows["failed"] = failed if len(failed) == len(rows) else 0.0
    scale = _unit(rows["timestamp"].to_numpy(np.float64))
    ended = rows["timestamp"].to_numpy(np.float64) * scale
    clients = np.full(len(rows), math.nan)
    if len(users):
        stamps = users["timestamp"].to_numpy(np.float64) * scale
        at = np.clip(np.searchsorted(stamps, ended, side="right") - 1, 0, None)
        clients = users["metric_value"].to_numpy(np.float64)[at]
    dropped = (table["metric_name"] == "dropped_iterations").any()
    steps = []
    for _, part in rows.groupby("scenario", observed=True):
        i = part.index.to_numpy()
        took = part["metric_value"].to_numpy(np.float64) / 1e3
        good: Flags = part["failed"].to_numpy(np.float64) == 0
        steps += _levels(ended[i], took, good, clients[i], loop=not dropped)
    return steps


def jmeter(text: str) -> list[Step]:
    """JTL in CSV [ms], with the delimiter and layout of stamps that JMeter was told to write: a
    step for each number of threads that it held; rows of transactions are their samples again and
    are left out.
    """
    wanted = ["timeStamp", "elapsed", "success", "allThreads", "responseMessage"]
    mark = max(",;\t|", key=text.partition("\n")[0].count)
    table = pd.read_csv(io.StringIO(text), usecols=lambda c: c in wanted, dtype={"success": "str"}, sep=mark)
    if "responseMessage" in table:
        again = table["responseMessage"].astype("str").str.startswith("Number of samples in transaction")
        table = table[~again]
    took = table["elapsed"].to_numpy(np.float64) / 1e3
    stamps = table["timeStamp"]
    if not pd.api.types.is_numeric_dtype(stamps):
        stamps = pd.to_datetime(stamps, utc=True).dt.as_unit("us").astype("int64") / 1e3
    ended = stamps.to_numpy(np.float64) / 1e3 + took
    clients = table["allThreads"].to_numpy(np.float64) if "allThreads" in table else np.full(len(table), math.nan)
    good = (table["success"].str.lower() == "true").to_numpy(bool)
    return _levels(ended, took, good, clients, loop=True)


def gatling_log(text: str) -> list[Step]:
    """``simulation.log`` of Gatling in text [ms]: users that come and go are open arrivals, a
    constant number of them is a loop.

    Raises :class:`ValueError` where no line is a request.
    """
    found = re.findall(r"^REQUEST\t.*?\t(\d{12,14})\t(\d{12,14})\t(OK|KO)\b", text, re.M)
    if not found:
        raise ValueError("no REQUEST lines; newer logs are binary, give js/stats.json")
    began, ended = (np.array([float(r[k]) for r in found]) / 1e3 for k in (0, 1))
    good = np.array([r[2] == "OK" for r in found])
    users = re.findall(r"^USER\t.*?\b(START|END)\b.*?\t(\d{12,14})", text, re.M)
    active = _active(users)
    clients = np.full(len(ended), active if _is_steady(users, active) else math.nan)
    paced = bool(users) and not _is_steady(users, active)
    return _levels(ended, np.maximum(ended - began, 1e-4), good, clients, loop=not paced, paced=paced)


def _active(users: list[tuple[str, str]]) -> float:
    """Users active in the middle of the run, on average; NaN without them."""
    level = _inside(users)
    return float(level.mean()) if len(level) else math.nan


def _is_steady(users: list[tuple[str, str]], active: float) -> bool:
    """Whether the active users stay within 10 % (standard deviation over mean) in the middle of
    the run: then it is a closed loop of so many.
    """
    level = _inside(users)
    return bool(len(level)) and float(level.std()) < _STEADY * active


def _inside(users: list[tuple[str, str]]) -> Floats:
    """Active users at 200 instants of the middle eight tenths."""
    starts, ends = (np.sort([float(t) for kind, t in users if kind == k]) for k in ("START", "END"))
    if not len(starts):
        return np.empty(0)
    last = max(starts[-1], ends[-1] if len(ends) else 0.0)
    at = np.linspace(starts[0] + 0.1 * (last - starts[0]), starts[0] + 0.9 * (last - starts[0]), 200)
    return np.asarray(
        np.searchsorted(starts, at, side="right") - np.searchsorted(ends, at, side="right"),
        np.float64,
    )


def _unit(stamps: Floats) -> float:
    """Seconds a unit of epoch stamps: they count seconds, ms, µs or ns by their size."""
    size = float(np.median(stamps)) if len(stamps) else 0.0
    return 1.0 if size < 1e11 else 1e-3 if size < 1e14 else 1e-6 if size < 1e17 else 1e-9


def _levels(
    ended: Floats, took: Floats, good: Flags, clients: Floats, *, loop: bool, paced: bool = False
) -> list[Step]:
    """A step for each level of clients that lasts; all requests as one where no level does.

    A level counts from 50 requests and 2 s on. Several levels are kept only if all of them are
    closed loops: under open arrivals the number inside is a result and no setting. Raises
    :class:`ValueError` where a time or latency is missing.
    """
    if not np.isfinite(took).all() or not np.isfinite(ended).all():
        raise ValueError("a time or latency is missing")
    steps = []
    for level in np.unique(clients[np.isfinite(clients)]):
        here = clients == level
        lasted = _lasted(ended[here], took[here])
        if here.sum() >= _FEWEST and lasted >= _SHORTEST_S:
            steps.append(_step(ended[here], took[here], good[here], float(level), loop, paced))
    share = sum(s.rate_rps for s in steps)
    if steps and (share > 0) and all(s.driven == "closed" for s in steps):
        return steps
    most = float(np.nanmax(clients)) if np.isfinite(clients).any() else math.nan
    return steps if len(steps) == 1 else [_step(ended, took, good, most, loop, paced)]


def _lasted(ended: Floats, took: Floats) -> float:
    """Seconds from the first request sent to the last one answered."""
    return float(ended.max() - (ended - took).min()) if len(ended) else 0.0


def _step(ended: Floats, took: Floats, good: Flags, clients: float, loop: bool, paced: bool) -> Step:
    """Percentiles and mean of the requests of one step; open arrivals that took
    ever longer fell behind.

    Falling behind: the later half of the requests took over 1.5 times the earlier half on
    average, and over 2 % of the length of the run. Times are of all requests, failed ones too.
    """
    lasted = _lasted(ended, took)
    order = np.argsort(ended, kind="stable")
    early, late = np.array_split(took[order], 2)
    behind = paced and len(late) > _FEWEST and late.mean() > 1.5 * early.mean() and late.mean() > 0.02 * lasted
    times = {p: max(float(np.quantile(took, p / 100)), 1e-6) for p in PERCENTS}
    failures = 1 - float(np.mean(good))
    return Step(
        len(took) / max(lasted, 1e-3),
        times,
        max(float(took.mean()), 1e-6),
        clients,
        failures,
        loop=loop,
        paced=paced,
        overloaded=bool(behind),
    )
