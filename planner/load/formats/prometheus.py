"""Reads saved replies of Prometheus' ``/api/v1/query_range``, and asks for them: counters,
histograms, rates, several series.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np

from planner.errors import TrafficError
from planner.load.door import door
from planner.load.formats import series
from planner.load.formats.base import Place, Raw, TrafficFormat
from planner.load.formats.documents import begins_json, numbers, read_json
from planner.load.formats.names import said
from planner.load.formats.series import Series
from planner.load.quality import Quality
from planner.scenario import TrafficSource

LATEST_S = 7_258_118_400  # the year 2200
MOST_STEPS = 11_000  # a server answers no more values a series
LARGEST_ANSWER = 256 << 20
TIMEOUT_S = 60


def sniff(_: Path, head: bytes) -> bool:
    """A JSON document that names the result type of a query, or the bare series of ``promtool query
    range -o json``.
    """
    bare = re.match(rb'\s*\[\s*\{\s*"(?:metric|values)"\s*:', head.removeprefix(b"\xef\xbb\xbf"))
    return begins_json(head) and (b'"resultType"' in head or (bool(bare) and b'"values"' in head))


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Add up the series of a range query. Raises :class:`TrafficError` naming
    the series that is wrong.

    Each series of a counter is turned into rates before they are added, since each restarts by
    itself. Of a histogram only the bucket without a bound is taken, which counts every request.
    """
    document = read_json(path)
    data, status = _data(document)
    if data is None or status != "success" or data.get("resultType") != "matrix":
        raise TrafficError(
            "this is no successful range query",
            where=path,
            got=_short(document),
            remedy="Save the reply of /api/v1/query_range (result type matrix)",
        )
    result = data.get("result")
    if not isinstance(result, list) or not result:
        raise TrafficError("the query found no series", where=path, remedy="Check the metric name and the time range")
    names = sorted({str(_labels(s, path).get("__name__", "")) for s in result})
    result = _buckets(result, path, quality)
    parts = [_samples(s, path) for s in result]
    meaning, per_s = _meaning(names, parts, source, path, quality)
    if meaning == "counter":
        parts = [series.increase(part, path, quality) for part in parts]
    if len(parts) > 1:
        quality.add("noted", len(parts), "series were added up")
    ts, value = series.added(parts)
    if meaning == "requests_per_interval":
        series.refuse_cumulative((ts, value), path)
    return Raw(ts, value * per_s, "requests_per_interval" if meaning == "requests_per_interval" else "requests_per_s")


def _data(document: Any) -> tuple[dict[str, Any] | None, str]:
    """The data of a reply and its status; a tool that prints the data alone prints a success."""
    if isinstance(document, list):
        return {"resultType": "matrix", "result": document}, "success"
    if not isinstance(document, dict):
        return None, ""
    if "resultType" in document:
        return document, "success"
    data = document.get("data")
    return (data if isinstance(data, dict) else None), str(document.get("status"))


def _meaning(
    names: list[str], parts: list[Series], source: TrafficSource, path: Path, quality: Quality
) -> tuple[str, float]:
    """What the samples are and their factor: as stated, else by the metric's
    name, else by never falling.

    A result of ``rate(...)`` carries no name, so ``traffic.value`` must say it. Raises
    :class:`TrafficError` for a gauge, and where nothing tells.
    """
    if source.value:
        return source.value, 1.0
    found = [said(n) for n in names]
    if any(f.kind == "gauge" for f in found):
        raise TrafficError(
            "a utilization or size gauge is not demand",
            where=path,
            got=names,
            remedy="Query a request counter; to use it as it is, state traffic.value",
        )
    if all(f.kind == "counter" for f in found):
        return "counter", 1.0
    if len(set(found)) == 1 and found[0].kind == "rate":
        return "requests_per_s", found[0].per_s
    if all(series.never_falls(p) for p in parts) and all(names):
        quality.add("assumed", 0, f"{names[0]} never falls and was read as a counter (state traffic.value otherwise)")
        return "counter", 1.0
    raise TrafficError(
        "it is not stated whether the values are rates or counts",
        where=path,
        got=names,
        remedy=(
            "State traffic.value (a query of rate(...) gives requests_per_s; counter for one without _total), or query"
            " a counter that ends in _total"
        ),
    )


def _labels(series: Any, path: Path) -> dict[str, Any]:
    if (
        not isinstance(series, dict)
        or not isinstance(series.get("metric"), dict)
        or not isinstance(series.get("values"), list)
    ):
        raise TrafficError(
            "a series lacks its metric or its values",
            where=path,
            got=_short(series),
            remedy="Save the reply of /api/v1/query_range",
        )
    found: dict[str, Any] = series["metric"]
    return found


def _buckets(result: list[Any], path: Path, quality: Quality) -> list[Any]:
    """Of a histogram only the bucket that holds all requests. Raises :class:`TrafficError` if it is
    missing.
    """
    if not any("le" in s["metric"] for s in result):
        return result
    whole = [s for s in result if s["metric"].get("le") in ("+Inf", "Inf", "inf")]
    if not whole:
        raise TrafficError(
            "the histogram lacks its bucket le=+Inf, which alone holds all requests",
            where=path,
            remedy="Query the metric that ends in _count, or all buckets",
        )
    quality.add("dropped", len(result) - len(whole), "histogram buckets other than le=+Inf, which holds all requests")
    return whole


def _samples(series: Any, path: Path) -> Series:
    """Stamps [µs] and values of a series. Raises :class:`TrafficError` for a sample that is no
    pair, or a stamp that does not count seconds since 1970.
    """
    pairs = series["values"]
    place = Place(str(path), str(series["metric"].get("__name__") or series["metric"]), "sample", 1)
    if not all(
        isinstance(p, list) and len(p) == 2 and isinstance(p[0], int | float) and not isinstance(p[0], bool)
        for p in pairs
    ):
        raise TrafficError("a sample is no pair of time and value", where=place)
    odd = np.array([not 0 <= p[0] <= LATEST_S for p in pairs], dtype=bool)
    if odd.any():
        raise TrafficError(
            "stamps must be seconds since 1970",
            where=place.row(odd),
            got=str(pairs[int(np.argmax(odd))][0])[:40],
        )
    ts = np.array([round(p[0] * 1e6) for p in pairs], dtype=np.int64)
    return ts, numbers([p[1] for p in pairs], place)


def _short(value: Any) -> str:
    return str(value)[:80]


def fetch(
    path: str | Path,
    *,
    address: str,
    query: str,
    start: datetime,
    end: datetime | None = None,
    step_s: int = 300,
    token_env: str | None = None,
) -> Path:
    """Save the answer of a live range query as the JSON file that
    :func:`planner.read_traffic` reads.

    A server answers at most 11,000 values a series, so long spans are asked for in parts and
    joined. Redirects are not followed, an answer has at most 256 MiB, and the file is written
    whole or not at all. ``token_env``: environment variable with a bearer token. Raises
    :class:`TrafficError` with what the server said.
    """
    path, end = Path(path), end or datetime.now(UTC)
    if urlsplit(address).scheme not in ("http", "https"):
        raise TrafficError("the address must begin with http:// or https://", where="prometheus", got=address)
    if start >= end:
        raise TrafficError("the start must lie before the end", where="prometheus", got=start.isoformat())
    token = _token(token_env)
    found: dict[str, dict[str, Any]] = {}
    at, last = start.timestamp(), end.timestamp()
    while at <= last:
        upto = min(at + (MOST_STEPS - 1) * step_s, last)
        asked = {"query": query, "start": f"{at:.3f}", "end": f"{upto:.3f}", "step": str(step_s)}
        with door(address, "a range query", "Check the address and the query"):
            for one in _asked(address, asked, token)["data"]["result"]:
                kept = found.setdefault(
                    json.dumps(one["metric"], sort_keys=True),
                    {"metric": one["metric"], "values": []},
                )
                kept["values"] += one["values"]
        at = upto + step_s
    if not any(s["values"] for s in found.values()):
        raise TrafficError("the query found no series in this time", where=address, got=query, remedy="Check the query")
    whole = {"status": "success", "data": {"resultType": "matrix", "result": list(found.values())}}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(whole), encoding="utf-8")
    part.replace(path)
    return path


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name):
        raise TrafficError(
            "this environment variable is not set",
            where="prometheus",
            got=name,
            remedy="Export it first",
        )
    return os.environ[name]


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: what is asked for must answer itself."""

    def redirect_request(self, *_: Any) -> None:
        """No request takes the place of the one that was made."""


def _asked(address: str, asked: dict[str, str], token: str | None) -> Any:
    """The server's answer. Raises :class:`TrafficError` with its own words where it refuses."""
    url = f"{address.rstrip('/')}/api/v1/query_range"
    head = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=urlencode(asked).encode(), headers=head)  # noqa: S310  (scheme checked)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(LARGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2000).decode("utf-8", errors="replace")
        raise TrafficError(
            f"the server refused ({error.code})", where=url, got=said, remedy="Check the query"
        ) from None
    except OSError as error:
        raise TrafficError(f"no answer: {error}", where=url, remedy="Check the address and the network") from None
    if len(body) > LARGEST_ANSWER:
        raise TrafficError("the answer is larger than 256 MiB", where=url, remedy="Ask for sum(...) or a longer --step")
    return json.loads(body)


PROMETHEUS = TrafficFormat("prometheus", "saved reply of a Prometheus range query", sniff, read)
