"""Where a line of each access log carries its minute: a row a layout, as SQL for the reader's
counting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from planner.errors import TrafficError

KNOWN = (
    "nginx, Apache, the load balancers of AWS, Google Cloud and Azure Front Door, S3, IIS, CloudFront, Envoy, Caddy or"
    " Traefik"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NGINX = re.compile(r"\[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\]")
_ALB = re.compile(r"^(?:https?|h2|grpcs?|wss?|tls) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z? ")
_NLB = re.compile(r"^tls \d\.\d \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d net/")
_ELB = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z \S+ \d+\.\d+\.\d+\.\d+:\d+ ")
_ENVOY = re.compile(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\] \"")
_BARE_APACHE = re.compile(r"\[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}(?:\.\d+)?\]")
_SYSLOG = re.compile(r"^(?:<\d+>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ")
# with brackets before the stamp, such as an IPv6 address or the name of a pod, it is sought in the line
_FIRST_BRACKET = re.compile(rf"[^\[]*{_NGINX.pattern}")
_CLF_SOUGHT = (
    r"regexp_extract(line, '\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}):\d{2} [+-]\d{4}\]', 1)"
    r" || regexp_extract(line, '\[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}( [+-]\d{4})\]', 1)"
)
_CLF_MINUTE = "substr(line, instr(line, '[') + 1, 17) || substr(line, instr(line, '[') + 21, 6)"


@dataclass(frozen=True)
class Layout:
    """``minute``: SQL text of the minute of a line; ``request``: SQL that holds for lines that are
    requests; ``zoned``: the text names its zone; ``fields``: the line that names the fields, which
    counts as its own minute wherever it stands again.
    """

    name: str
    minute: str
    request: str = "true"
    zoned: bool = True
    fields: str = ""

    def places(self, fields: str) -> bool:
        """Whether another line of fields has date and time at the same places."""
        mine, theirs = (f.removeprefix("#Fields:").split() for f in (self.fields, fields))
        return all(n in theirs and mine.index(n) == theirs.index(n) for n in ("date", "time"))


_FIXED: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("NLB", _NLB.match, "substr(line, instr(line, ' ') + 5, 16) || 'Z'"),
    ("ALB", _ALB.match, "substr(line, instr(line, ' ') + 1, 16) || 'Z'"),
    ("classic ELB", _ELB.match, "substr(line, 1, 16) || 'Z'"),
    ("Envoy", _ENVOY.match, "substr(line, 2, 16) || 'Z'"),
    ("nginx", _FIRST_BRACKET.match, _CLF_MINUTE),
    ("nginx", _NGINX.search, _CLF_SOUGHT),
)
# proxies that log one JSON object a request: a key that they always write, the key of the time,
# what is a request
_JSON = (
    ("Traefik", "RouterName|RequestMethod|ClientAddr", "StartUTC", "true"),
    ("Caddy", "logger", "ts", "json_extract_string(line, '$.request.method') IS NOT NULL"),
    ("nginx JSON", "time_iso8601", "time_iso8601", "true"),
    ("nginx JSON", "remote_addr|request|request_uri", "time_local", "true"),
    ("nginx JSON", "status|request|request_uri|uri", "msec", "true"),
    ("Cloudflare", "ClientRequestMethod|EdgeResponseStatus|ClientIP", "EdgeStartTimestamp", "true"),
    ("Azure Application Gateway", "category", "timeStamp", "json_extract_string(line, '$.category') LIKE '%AccessLog'"),
    ("CloudFront JSON", "x-edge-location|cs-method", "timestamp", "true"),
    ("Envoy JSON", "response_flags|upstream_cluster|response_code", "start_time", "true"),
    ("Google Cloud load balancer", "httpRequest", "timestamp", "true"),
    ("Azure Front Door", "category", "time", "json_extract_string(line, '$.category') LIKE '%AccessLog'"),
)


def layout_of(text: str) -> Layout | None:
    """The layout of the first of fifty lines that is known."""
    lines = text.splitlines()[:50]
    for line in lines:
        if line.startswith("#Fields:"):
            return _w3c(line)
        for name, known, minute in _FIXED:
            if known(line):
                return Layout(name, minute)
        if line.startswith("{") and (found := _json(line)):
            return found
    return None


def _w3c(fields: str) -> Layout | None:
    """W3C extended log: its stamps are UTC (W3C working draft WD-logfile-960323)."""
    names = fields.removeprefix("#Fields:").split()
    if "date" not in names or "time" not in names:
        return None
    bare = "replace(line, chr(9), ' ')"
    date, time = (f"split_part({bare}, ' ', {names.index(n) + 1})" for n in ("date", "time"))
    minute = f"CASE WHEN line[1] = '#' THEN line ELSE {date} || 'T' || substr({time}, 1, 5) || 'Z' END"
    return Layout("W3C", minute, "(line[1] <> '#' OR starts_with(line, '#Fields:'))", fields=fields)


def _json(line: str) -> Layout | None:
    """The layout of a JSON log by the keys of its first line: where its minute stands, and
    which lines are requests; ``None`` for an unknown one. Lines that are no JSON have no
    minute and count as unread.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    for name, marks, key, request in _JSON if isinstance(found, dict) else ():
        if key in found and any(mark in found for mark in marks.split("|")):
            value = f"json_extract_string(line, '$.{key}')"
            epoch = bool(re.fullmatch(r"\d{9,19}(?:\.\d+)?", str(found[key])))
            size = len(str(found[key]).partition(".")[0])  # 10 digits of seconds, 13 of ms, 16 of µs, 19 of ns
            minute_of = 60 * 1000 ** max(0, (size - 8) // 3)
            valid = f"CASE WHEN json_valid(line) THEN {request} ELSE true END"
            minute = f"CAST(CAST(TRY_CAST({value} AS DOUBLE) // {minute_of} AS BIGINT) AS VARCHAR)" if epoch else value
            return Layout(name, f"CASE WHEN json_valid(line) THEN {minute} END", valid, epoch or _zoned(found[key]))
    return None


def _zoned(text: object) -> bool:
    return bool(re.search(r"(?:Z|[+-]\d{2}:?\d{2})$", str(text)))


def iso_minute(text: str) -> str:
    """ISO text of a counted minute; empty if it is none.

    Minutes since 1970 are UTC; Common Log Format carries its offset; of ISO text the offset
    stays as it is, or stays away.

    >>> iso_minute("04/May/2026:13:07 +0200")
    '2026-05-04T13:07:00+02:00'
    >>> iso_minute("29640000")
    '2026-05-10T08:00:00Z'
    """
    if re.fullmatch(r"\d{6,9}", text):
        return f"{datetime.fromtimestamp(int(text) * 60, UTC):%Y-%m-%dT%H:%M:00Z}"
    if found := re.fullmatch(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d)(?::[\d.]+)?(Z|[+-]\d{2}:?\d{2})?", text):
        return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}:00{found[5] or ''}"
    parts = re.fullmatch(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2})(?::\d{2})? ([+-]\d{2})(\d{2})", text)
    if not parts or parts[2] not in _MONTHS:
        return ""
    return f"{parts[3]}-{_MONTHS.index(parts[2]) + 1:02}-{parts[1]}T{parts[4]}:00{parts[5]}:{parts[6]}"


def refuse_named(text: str, path: Path) -> None:
    """Raises :class:`TrafficError` for a log whose kind is known and not read, with the way out."""
    lines = text.splitlines()[:50]
    remedy = "Count its requests by the minute into a CSV with the columns ts,requests"
    if any(line.startswith("#Fields:") for line in lines):
        raise TrafficError(
            "this W3C log has no date and time among its #Fields",
            where=path,
            remedy="Switch both fields on, or " + remedy.lower(),
        )
    kinds = (
        ("HAProxy or another log whose stamps carry no zone", _BARE_APACHE.search),
        ("syslog, whose stamps carry neither year nor zone", _SYSLOG.match),
        ("a JSON log of a proxy that is not known", lambda line: line.startswith("{")),
    )
    for kind, known in kinds:
        if any(known(line) for line in lines):
            raise TrafficError(f"this is {kind}: it is not read", where=path, remedy=remedy)
