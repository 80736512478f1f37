"""What the name of a column or metric says: a rate, a count, a counter, or a gauge that is no
demand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

Kind = Literal["rate", "count", "counter", "gauge", ""]
TOTALS = ("total", "sum", "all", "overall")
TIMES_S = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
SCALES = {"k": 1e3, "kilo": 1e3, "thousand": 1e3, "thousands": 1e3, "mega": 1e6, "million": 1e6, "millions": 1e6}
# requests first: where several counts stand side by side, it is the demand
COUNT_NAMES = (
    *("requests", "request_count", "requestcount", "count", "counts", "hits", "calls", "queries", "events"),
    *("invocations", "views", "visits", "sessions", "users", "orders", "trips", "people", "passengers", "vehicles"),
    *("mentions", "messages", "jobs", "transactions", "doc_count"),
    *(f"{how}_{what}" for what in ("requests", "hits", "calls") for how in ("total", "num", "n", "number_of")),
    *("req_count", "requests_count", "hit_count", "call_count", "query_count"),
)
EVENT = r"(?:requests|request|reqs|req|queries|hits|calls|ops|transactions|invocations|messages|jobs|events)"
_SCALE = rf"(?:(?P<scale>{'|'.join(SCALES)})_?)?"
_TIME = "|".join(sorted(TIMES_S, key=len, reverse=True))
_RATE = re.compile(
    rf"(?:^|_){_SCALE}(?:(?P<short>rps|qps|tps|rpm|qpm|rph)|{EVENT}_?(?:per_|p(?=s$)|(?<=_))(?P<time>{_TIME}))$"
)
_SHORT_S = {"rpm": 60.0, "qpm": 60.0, "rph": 3600.0}
_SCALED_COUNT = re.compile(
    rf"(?:^|_)(?:{EVENT}_(?:in_)?(?P<after>{'|'.join(SCALES)})|(?P<scale>{'|'.join(SCALES)})_{EVENT})$"
)
_GAUGE = re.compile(
    r"cpu|percent|pct|utili[sz]ation|memory|temperature|load_avg|saturation|_mw$|bytes|latency|duration|_ms$|gauge"
    r"|response_?time|_seconds$|_seconds_sum$|_sum$|_created$|_mean$|_avg$|quantile|p\d\d$"
)
_OF_UNITS = re.compile(r"_(?:seconds|milliseconds|bytes|joules|volts|celsius|ratio|info)_total$")
_BUILT = re.compile(r"_(?:count|bucket|total)$")
_OBSERVED = re.compile(r"_(?:seconds|milliseconds|ms|us|bytes|duration|latency|time|size)_count$")
_WINDOW = re.compile(r"\bincrease\s*\(.*\[(\d+)([smhd])\]")
_RECORDED = re.compile(r":rate\d+[smhd]$")
_LABELS = re.compile(r"\s*(?:\{.*\}|\[.*\]|\(.*\)|\s[-–|:]\s.*|:\s+.*)\s*$")


@dataclass(frozen=True)
class Said:
    """``kind`` of value; ``per_s``: requests/s of one unit of a rate, requests of one unit of a
    count.
    """

    kind: Kind = ""
    per_s: float = 1.0


NOTHING = Said()


def plain_name(name: str) -> str:
    """A name in lower case with underscores.

    >>> plain_name("Requests / s (total)")
    'requests_s_total'
    """
    return re.sub(r"[\s./()\[\]-]+", "_", name.strip().lower()).strip("_")


def names_time(name: str) -> bool:
    """Whether a column's name speaks of a time, in English, German, Spanish or French.

    >>> names_time("Begin time"), names_time("Zeit"), names_time("requests")
    (True, True, False)
    """
    return bool(re.search(r"time|date|stamp|zeit|datum|fecha|heure|^ts$|^hour$", name.lower()))


def zone_of(name: str) -> str | None:
    """The zone that a stamp column's name states: ``UTC`` for ``Timestamp (UTC)``, else ``None``."""
    return "UTC" if re.search(r"(?:^|[\s_(\[])(?:UTC|GMT)[)\]]?$", name.strip(), re.IGNORECASE) else None


def written(names: Sequence[str]) -> str:
    """Names as a list in YAML, quoted where YAML would read them as something else.

    >>> written(["web-1", "200", "on"])
    "[web-1, '200', 'on']"
    """
    return yaml.safe_dump(list(names), default_flow_style=True, width=10_000, allow_unicode=True).strip()


def metric_of(name: str) -> str:
    """The name without its labels: ``requests{pod="a"}`` and ``requests
    (a)`` are both ``requests``.

    >>> metric_of('requests{pod="a"}'), metric_of("requests (a)"), metric_of("requests: a")
    ('requests', 'requests', 'requests')
    """
    return _LABELS.sub("", name.strip()).strip()


def is_total(name: str) -> bool:
    """Whether a name, or the last of its labels, says that it is the total of others.

    >>> is_total("Total"), is_total('requests{pod="all"}'), is_total("requests (sum)"), is_total("total_requests")
    (True, True, True, False)
    """
    metric = metric_of(name)
    words = re.findall(r"\w+", name.strip().removeprefix(metric).lower()) or [plain_name(metric)]
    return words[-1] in TOTALS


def said(name: str) -> Said:
    """What ``name`` says of its values; words inside a counter's or a
    function's name decide nothing.

    In order: a function of a rate; ``increase`` over a window; a usual name of a count; a total
    of seconds or bytes, which is no demand; endings of a counter; a unit of a rate; a scaled
    count; words of a gauge. A name that says nothing has the kind ''. It goes by names alone: a
    gauge called ``requests`` passes as a count.

    >>> said("krps")
    Said(kind='rate', per_s=1000.0)
    >>> said("http_requests_total").kind, said("increase(http_requests_total[5m])").per_s == 1 / 300
    ('counter', True)
    >>> said("process_cpu_seconds_total").kind, said("requests").kind
    ('gauge', 'count')
    """
    if re.search(r"\b(?:i?rate|per_second|deriv)\s*\(|\.as_rate\(\)", name) or _RECORDED.search(name):
        return Said("gauge") if _OF_UNITS.search(_inside(name)) else Said("rate")
    if window := _WINDOW.search(name):
        return Said("rate", 1.0 / (int(window[1]) * TIMES_S[window[2]]))
    plain = plain_name(name if metric_of(name) == "" or rate_of(plain_name(name)) else metric_of(name))
    if plain in COUNT_NAMES:
        return Said("count")
    if _OF_UNITS.search(plain):
        return Said("gauge")
    if plain.endswith(("_total", "_bucket")) or _OBSERVED.search(plain):
        return Said("counter")
    if found := rate_of(plain):
        return found
    if scaled := _SCALED_COUNT.search(plain):
        return Said("count", SCALES[scaled["after"] or scaled["scale"]])
    if _GAUGE.search(plain) and not plain.endswith("_count"):
        return Said("gauge")
    return Said("")


def rate_of(plain: str) -> Said | None:
    """The rate that a plain name or unit ends in, such as ``req_s``, ``krps``,
    ``requests_per_minute``.

    ``per_s`` are the requests/s of one unit; ``None`` for a name that ends in no rate.

    >>> rate_of("requests_per_minute").per_s == 1 / 60
    True
    """
    found = _RATE.search(plain)
    if not found:
        return None
    time = TIMES_S[found["time"]] if found["time"] else _SHORT_S.get(found["short"] or "", 1.0)
    return Said("rate", SCALES.get(found["scale"] or "", 1.0) / time)


def groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Columns by the metric they are parts of; columns that are labels
    alone share the metric ''.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(metric_of(name), []).append(name)
    return found


def _inside(name: str) -> str:
    """Innermost metric of a function call."""
    return re.sub(r"[\[{].*", "", name.rpartition("(")[2]).strip(" )")
