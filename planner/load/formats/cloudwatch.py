"""Reads CloudWatch metrics: saved replies of GetMetricData and GetMetricStatistics, or live through
boto3.

CloudWatch keeps 60 s points for 15 days, 5-minute points for 63 days and hourly points for 455
days, gives at most 100,800 points a call, and emits nothing for a period without requests (Amazon
CloudWatch user guide, 2025).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import TrafficError
from planner.load.formats import series, stamps
from planner.load.formats.base import Meaning, Place, Raw, TrafficFormat
from planner.load.formats.documents import begins_json, numbers, read_json
from planner.load.formats.names import plain_name, said
from planner.load.quality import Quality
from planner.scenario import TrafficSource

_COUNTS = (
    *("requestcount", "invocations", "count", "httpcode_target_2xx_count", "numberofmessagessent", "requests"),
    *("allrequests", "getrequests", "processedrequests", "newconnectioncount"),
)
_PER_S = ("Count/Second",)
# metric math that divides by the seconds of a period (CloudWatch user guide: PERIOD, RATE)
_A_SECOND = re.compile(r"/\s*PERIOD\s*\(|\bRATE\s*\(|per[ _]?sec|/\s?s(?:ec)?\b", re.IGNORECASE)
KEPT = ((timedelta(days=15), 60), (timedelta(days=63), 300), (timedelta(days=455), 3600))


def sniff(_: Path, head: bytes) -> bool:
    """A JSON document with the keys of one of the two calls."""
    return begins_json(head) and (b'"MetricDataResults"' in head or b'"Datapoints"' in head)


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Read a saved reply; one series must be the demand. Raises :class:`TrafficError`.

    The values are taken as sums of requests a period unless ``traffic.value`` says
    otherwise. Periods without a point are not taken as zero here: a point may also be absent
    because it was not measured.
    """
    document = read_json(path)
    if isinstance(document, dict) and isinstance(document.get("Datapoints"), list):
        return _statistics(document, path, source, quality)
    results = document.get("MetricDataResults") if isinstance(document, dict) else None
    if not isinstance(results, list) or not results:
        raise TrafficError(
            "the reply holds no metric results",
            where=path,
            remedy="Save the reply of get-metric-data or get-metric-statistics",
        )
    picked = _picked(results, path, source)
    label = str(picked[0].get("Label") or picked[0].get("Id"))
    _refuse_gauge(label, source, path)
    if any(p.get("StatusCode", "Complete") not in ("Complete", "PartialData") for p in picked):
        raise TrafficError(
            "CloudWatch reports an error for this metric",
            where=path,
            got=[p.get("StatusCode") for p in picked],
            remedy="Ask again",
        )
    if picked[-1].get("StatusCode") == "PartialData":
        quality.add("noted", 0, "CloudWatch marks the last page as partial: later points may be missing")
    place = Place(str(path), label, "point", 1)
    parts = []
    for part in picked:
        ts, values = part.get("Timestamps"), part.get("Values")
        if not isinstance(ts, list) or not isinstance(values, list) or len(ts) != len(values):
            raise TrafficError("time stamps and values are not as many", where=place, remedy="Save the reply again")
        if ts:
            parts.append((_micro(ts, source, place, quality), numbers(values, place)))
    if not parts:
        raise TrafficError("the metric has no points", where=place, remedy="Check the dimensions and the time range")
    stamp, value = (np.concatenate(side) for side in zip(*parts, strict=True))
    return _raw(stamp, value, source, label, path, quality)


def _picked(results: list[Any], path: Path, source: TrafficSource) -> list[Any]:
    """The pages of the one series that is meant."""
    if not all(isinstance(r, dict) for r in results):
        raise TrafficError("a metric result is no object", where=path, remedy="Save the reply again")
    wanted = source.column("arrival_rate_rps")
    ids = sorted({str(r.get("Id")) for r in results})
    if wanted:
        found = [r for r in results if wanted in (r.get("Id"), r.get("Label"))]
        if not found:
            raise TrafficError(f"no metric has the Id or Label {wanted}, named in traffic.columns", where=path, got=ids)
        return found
    if len(ids) > 1:
        raise TrafficError(
            "the reply holds several metrics",
            where=path,
            got=ids,
            remedy="Map its Id in traffic.columns",
        )
    return results


def _statistics(document: Mapping[str, Any], path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """A reply of GetMetricStatistics; its points must hold ``Sum``. Raises :class:`TrafficError`
    for points without it: an average of a count says nothing of its size.
    """
    label = str(document.get("Label", "metric"))
    _refuse_gauge(label, source, path)
    place = Place(str(path), label, "point", 1)
    points = document["Datapoints"]
    if not points:
        raise TrafficError("the metric has no points", where=place, remedy="Check the dimensions and the time range")
    if not all(isinstance(p, dict) and "Timestamp" in p for p in points):
        raise TrafficError("a point has no Timestamp", where=place)
    units = sorted({str(p.get("Unit", "Count")) for p in points})
    statistic = "Average" if units == ["Count/Second"] else "Sum"  # the sum of rates is no rate
    if not all(statistic in p for p in points):
        raise TrafficError(
            f"the points hold no {statistic}, which alone says something about demand in their unit",
            where=place,
            got=sorted(points[0]),
            remedy=f"Ask for --statistics {statistic}",
        )
    ts = _micro([p["Timestamp"] for p in points], source, place, quality)
    if not source.value and units not in (["Count"], ["None"], ["Count/Second"]):
        raise TrafficError(
            "the points count no requests",
            where=place,
            got=units,
            remedy="Ask for a metric whose unit is Count; to use it as it is, state traffic.value",
        )
    value = numbers([p[statistic] for p in points], place)
    return _raw(ts, value, source, label, path, quality, units[0])


def _refuse_gauge(label: str, source: TrafficSource, path: Path) -> None:
    """Words inside a balancer's own name decide nothing where the metric is one that counts
    requests.
    """
    words = [w for w in re.split(r"[\s,/:]+", label) if w]
    if source.value or any(plain_name(w) in _COUNTS for w in words):
        return
    if any(said(w).kind == "gauge" for w in words) or said(label).kind == "gauge":
        raise TrafficError(
            "a utilization or size gauge is not demand",
            where=path,
            got=label,
            remedy="Ask for the sum of RequestCount or Invocations; to use it as it is, state traffic.value",
        )


def _raw(
    ts: Any,
    value: Any,
    source: TrafficSource,
    label: str,
    path: Path,
    quality: Quality,
    unit: str = "",
) -> Raw:
    """Points as raw rows: a sum of requests in each period unless stated otherwise, a rate where
    their unit or a metric math expression says so, a counter turned into rates.
    """
    quality.add(
        "noted",
        0,
        "CloudWatch emits no point for a period without requests; if that is why points are absent, state traffic.gaps:"
        " zero",
    )
    if source.value is None and (unit in _PER_S or _A_SECOND.search(label)):
        quality.add("noted", 0, f"{label} was read as a rate, as its {'unit' if unit in _PER_S else 'expression'} says")
        return Raw(ts, value, "requests_per_s")
    if source.value == "counter":
        return Raw(*series.increase((ts, value), path, quality), "requests_per_s")
    if not source.value:
        quality.add(
            "assumed",
            0,
            f"{label} was read as the sum of requests in each period (state traffic.value to change this)",
        )
    meaning: Meaning = "requests_per_s" if source.value == "requests_per_s" else "requests_per_interval"
    if meaning == "requests_per_interval":
        series.refuse_cumulative((ts, value), path)
    return Raw(ts, value, meaning)


def _micro(values: list[Any], source: TrafficSource, place: Place, quality: Quality) -> Any:
    return stamps.parse(values, stamps.Clock.of(source), place, quality)


def fetch(
    path: str | Path,
    *,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    start: datetime,
    end: datetime | None = None,
    period_s: int | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    client: Any = None,
) -> Path:
    """Save sums of a metric from the live API as a JSON file that :func:`planner.read_traffic`
    reads.

    ``period_s`` defaults to the finest that CloudWatch still keeps at ``start``.  All pages are
    followed; the file is written whole or not at all. ``client``: a boto3 CloudWatch client, else
    one is made for ``region``.  Raises :class:`TrafficError`.
    """
    path, end = Path(path), end or datetime.now(UTC)
    period = period_s or finest_period_s(start)
    connection = client or _client(region, endpoint_url)
    query = {
        "Id": "demand",
        "Label": metric,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
            },
            "Period": period,
            "Stat": "Sum",
        },
        "ReturnData": True,
    }
    results: list[dict[str, Any]] = []
    try:
        for page in connection.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[query], StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        ):
            results += page["MetricDataResults"]
    except _failures() as error:
        raise TrafficError(
            f"CloudWatch refused: {str(error)[:200]}",
            where=f"{namespace} {metric}",
            remedy="Check credentials, region and the permission cloudwatch:GetMetricData",
        ) from None
    finally:
        if client is None:
            connection.close()
    if not any(r["Values"] for r in results):
        raise TrafficError(
            "the metric has no points in this time",
            where=f"{namespace} {metric}",
            got=dict(dimensions),
            remedy="Check the dimensions (ListMetrics) and the time range",
        )
    part = path.with_name(path.name + ".part")
    part.write_text(
        json.dumps({"MetricDataResults": results}, default=lambda t: t.astimezone(UTC).isoformat()),
        encoding="utf-8",
    )
    part.replace(path)
    return path


def finest_period_s(start: datetime, now: datetime | None = None) -> int:
    """Shortest period that CloudWatch still keeps for points as old as ``start`` [s].

    Raises :class:`TrafficError` for a start more than 455 days ago, of which CloudWatch keeps
    nothing.
    """
    age = (now or datetime.now(UTC)) - start
    for kept, period in KEPT:
        if age <= kept:
            return period
    raise TrafficError(
        "CloudWatch keeps metrics for 455 days only",
        where="start",
        got=f"{start:%Y-%m-%d}",
        remedy="Ask for a later start",
    )


def _client(region: str | None, endpoint_url: str | None) -> Any:
    try:
        import boto3
    except ImportError:
        raise TrafficError(
            "reading CloudWatch live needs boto3",
            where="cloudwatch",
            remedy="Install the extra: infra-planner[aws]",
        ) from None
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client("cloudwatch", region_name=region, endpoint_url=endpoint_url)
    except (BotoCoreError, ValueError) as error:
        raise TrafficError(f"CloudWatch cannot be asked: {error}", where="cloudwatch", remedy="Give --region") from None


def _failures() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


CLOUDWATCH = TrafficFormat("cloudwatch", "saved reply of CloudWatch GetMetricData or GetMetricStatistics", sniff, read)
