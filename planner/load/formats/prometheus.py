"""Reads saved replies of Prometheus' ``/api/v1/query_range``: counters with resets, rates, several
series.

A counter is cumulative since its process started (Prometheus documentation, metric types): its
increase between two samples is the demand, and a fall means that the process restarted, so the new
value itself is the increase.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import TrafficError
from planner.load.formats.base import Place, Raw, TrafficFormat
from planner.load.formats.documents import added, numbers, read_json
from planner.load.formats.table import GAUGES
from planner.load.quality import Quality
from planner.scenario import TrafficSource

LATEST_S = 7_258_118_400  # the year 2200
Series = tuple[Ints, Floats]


def sniff(path: Path, head: bytes) -> bool:
    """A JSON document that names the result type of a query."""
    return path.suffix.lower() == ".json" and b'"resultType"' in head


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Add up the series of a range query. Raises :class:`TrafficError` naming the series that is
    wrong.
    """
    document = read_json(path)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict) or document.get("status") != "success" or data.get("resultType") != "matrix":
        raise TrafficError(
            "this is no successful range query",
            where=path,
            got=_short(document),
            remedy="Save the reply of /api/v1/query_range (result type matrix)",
        )
    result = data.get("result")
    if not isinstance(result, list) or not result:
        raise TrafficError("the query found no series", where=path, remedy="Check the metric name and the time range")
    names = {str(_labels(s, path).get("__name__", "")) for s in result}
    if any(GAUGES.search(n) for n in names):
        raise TrafficError(
            "a utilization or size gauge is not demand", where=path, got=sorted(names), remedy="Query a request counter"
        )
    result = _buckets(result, quality)
    counter = all(n.endswith(("_total", "_count", "_bucket")) for n in names) and source.value is None
    if not counter and source.value is None:
        raise TrafficError(
            "it is not stated whether the values are rates or counts",
            where=path,
            got=sorted(names),
            remedy=(
                "State traffic.value (a query of rate(...) gives requests_per_s), or query a counter that ends in"
                " _total"
            ),
        )
    parts = [_samples(s, path) for s in result]
    if counter:
        parts = [_increase(part, quality) for part in parts]
    if len(parts) > 1:
        quality.add("noted", len(parts), "series were added up")
    ts, value = added(parts)
    return Raw(ts, value, source.value or "requests_per_s")


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


def _buckets(result: list[Any], quality: Quality) -> list[Any]:
    """Of a histogram only the bucket that holds all requests."""
    if not any(str(s["metric"].get("__name__", "")).endswith("_bucket") for s in result):
        return result
    whole = [s for s in result if s["metric"].get("le") == "+Inf"]
    quality.add("dropped", len(result) - len(whole), "histogram buckets other than le=+Inf, which holds all requests")
    return whole or result


def _samples(series: Any, path: Path) -> Series:
    pairs = series["values"]
    place = Place(str(path), str(series["metric"].get("__name__") or series["metric"]), "sample", 1)
    if not all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], int | float) for p in pairs):
        raise TrafficError("a sample is no pair of time and value", where=place)
    odd = np.array([not 0 <= p[0] <= LATEST_S for p in pairs], dtype=bool)
    if odd.any():
        raise TrafficError(
            "stamps must be seconds since 1970", where=place.row(odd), got=str(pairs[int(np.argmax(odd))][0])[:40]
        )
    ts = np.array([round(p[0] * 1e6) for p in pairs], dtype=np.int64)
    return ts, numbers([p[1] for p in pairs], place)


def _increase(samples: Series, quality: Quality) -> Series:
    """Rates [requests/s] of the steps of a counter, stamped at the start of each step."""
    order = np.argsort(samples[0], kind="stable")
    ts, value = samples[0][order], samples[1][order]
    keep = np.isfinite(value)
    ts, value = ts[keep], value[keep]
    if len(ts) < 2:
        return ts[:0], value[:0]
    step_us = np.diff(ts)
    rise = np.diff(value)
    resets = rise < 0
    if resets.any():
        quality.add(
            "repaired", int(resets.sum()), "counter resets: the value after the restart was taken as the increase"
        )
    rise = np.where(resets, value[1:], rise)
    usual = np.median(step_us)
    near = (step_us > 0) & (step_us < 1.5 * usual)
    if not near.all():
        quality.add(
            "dropped", int((~near).sum()), "steps of a counter across missing samples: their increase cannot be placed"
        )
    return ts[:-1][near], rise[near] / (step_us[near] / 1e6)


def _short(value: Any) -> str:
    return str(value)[:80]


PROMETHEUS = TrafficFormat("prometheus", "saved reply of a Prometheus range query", sniff, read)
