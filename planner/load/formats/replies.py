"""Reads saved replies of monitoring APIs: Datadog's metric query, Google Cloud's list of time series,
Azure's list of metrics.

Each names what its values count: a query that ends in ``as_rate()``, a metric kind, a unit. Where one
does not, ``traffic.value`` must.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from planner.errors import TrafficError
from planner.load.formats import series, stamps
from planner.load.formats.base import Meaning, Place, Raw, TrafficFormat
from planner.load.formats.chosen import GAUGE, STATE
from planner.load.formats.documents import begins_json, numbers, read_json
from planner.load.formats.names import said
from planner.load.quality import Quality
from planner.scenario import TrafficSource

_MARKS = (b'"pointlist"', b'"timeSeries"', b'"metricKind"', b'"timeseries"')
_OF_UNITS = {"CountPerSecond": "requests_per_s", "1/s": "requests_per_s", "Count": "requests_per_interval"}
_OF_KINDS = {"DELTA": "requests_per_interval", "CUMULATIVE": "counter"}


class _Series(NamedTuple):
    """One series of a reply: its name, stamps as written, values (``None``: not observed), and what
    the values are ('' where the reply does not say).
    """

    name: str
    stamps: list[Any]
    values: list[Any]
    meaning: str


def sniff(_: Path, head: bytes) -> bool:
    """A JSON document with a key that only one of these replies has."""
    return begins_json(head) and any(mark in head for mark in _MARKS)


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """The series of a reply, added up. Raises :class:`TrafficError` for a gauge, for series of several
    metrics, and where nothing says what the values count.
    """
    document = read_json(path)
    found = [one for one in _found(document, path) if one.values]
    wanted = source.demand_columns
    found = [one for one in found if not wanted or one.name in wanted]
    if not found:
        raise TrafficError("the reply holds no series", where=path, remedy="Ask for a longer time, or another metric")
    names = sorted({one.name for one in found})
    if len(names) > 1 and not wanted:
        raise TrafficError(
            "the reply holds several metrics",
            where=path,
            got=names[:12],
            remedy="Name the demand, such as traffic.columns: {arrival_rate_rps: NAME}",
        )
    meaning = _meaning(found[0], source, path)
    parts = []
    for one in found:
        place = Place(str(path), one.name, "point", 1)
        ts = stamps.parse(one.stamps, stamps.Clock.of(source), place, quality)
        parts.append((ts, numbers([np.nan if v is None else v for v in one.values], place)))
    if meaning == "counter":
        parts = [series.increase(part, path, quality) for part in parts]
    if len(parts) > 1:
        quality.add("noted", len(parts), "series were added up")
    kind: Meaning = "requests_per_interval" if meaning == "requests_per_interval" else "requests_per_s"
    total = series.added(parts)
    if kind == "requests_per_interval":
        series.refuse_cumulative(total, path)
    return Raw(*total, kind)


def _meaning(one: _Series, source: TrafficSource, path: Path) -> str:
    """What the values are: stated, else as the reply says, else by the metric's name."""
    if source.value:
        return source.value
    named = said(one.name)
    if one.meaning:
        return one.meaning
    if named.kind == "gauge":
        raise TrafficError(GAUGE, where=path, got=one.name, remedy="Ask for a count of requests")
    raise TrafficError(
        "it is not stated whether the values are rates or counts", where=path, got=one.name, remedy=STATE
    )


def _found(document: Any, path: Path) -> Iterator[_Series]:
    """The series of a reply, whichever API it is of. Raises :class:`TrafficError` for another one."""
    if isinstance(document, dict) and isinstance(document.get("series"), list):
        yield from (_datadog(one, str(document.get("query", ""))) for one in document["series"])
        return
    listed = document.get("timeSeries") if isinstance(document, dict) else document
    if isinstance(listed, list) and all(isinstance(one, dict) and "points" in one for one in listed):
        yield from map(_google, listed)
        return
    listed = document.get("value") if isinstance(document, dict) else document
    if isinstance(listed, list) and all(isinstance(one, dict) and "timeseries" in one for one in listed):
        for metric in listed:
            yield from (_azure(metric, one, path) for one in metric["timeseries"])
        return
    raise TrafficError(
        "this JSON is no reply that is read",
        where=path,
        remedy="Save the reply of Datadog's query, of Google Cloud's timeSeries.list or of az monitor metrics list,"
        " or export CSV with the columns ts,requests",
    )


def _datadog(one: Any, query: str) -> _Series:
    """A series of ``/api/v1/query``: pairs of milliseconds and value; its query says what it counts."""
    text = f"{query} {one.get('expression', '')}"
    rate = ".as_rate()" in text or "per_second(" in text or said(str(one["metric"])).kind == "rate"
    meaning = "requests_per_s" if rate else "requests_per_interval" if ".as_count()" in text else ""
    pairs = one["pointlist"]
    return _Series(str(one["metric"]), [int(p[0]) for p in pairs], [p[1] for p in pairs], meaning)


def _google(one: Any) -> _Series:
    """A series of ``projects.timeSeries.list``, newest point first: a value of a time counts from its
    start, a counter was read at its end.
    """
    kind, unit = str(one.get("metricKind", "")), str(one.get("unit", ""))
    at = "endTime" if kind == "CUMULATIVE" else "startTime"
    values = [next(iter(p["value"].values()), None) for p in one["points"]]
    times = [p["interval"].get(at) or p["interval"]["endTime"] for p in one["points"]]
    return _Series(str(one["metric"]["type"]), times, values, _OF_KINDS.get(kind, _OF_UNITS.get(unit, "")))


def _azure(metric: Any, one: Any, path: Path) -> _Series:
    """A series of ``az monitor metrics list``: the total of a count, the average of a rate. Raises
    :class:`TrafficError` where its points hold another aggregation.
    """
    name, unit = metric.get("name"), str(metric.get("unit", ""))
    wanted = "average" if re.search("PerSecond", unit) else "total"
    points = one["data"]
    if points and not any(wanted in p for p in points):
        raise TrafficError(
            f"the points hold no {wanted}, which alone says something about demand in their unit",
            where=path,
            got=sorted(points[0]),
            remedy=f"Ask for --aggregation {wanted.capitalize()}",
        )
    told = str(name.get("value")) if isinstance(name, dict) else str(name)
    values = [p.get(wanted) for p in points]
    return _Series(told, [p["timeStamp"] for p in points], values, _OF_UNITS.get(unit, ""))


REPLIES = TrafficFormat("monitoring", "saved reply of Datadog's, Google Cloud's or Azure's metrics API", sniff, read)
