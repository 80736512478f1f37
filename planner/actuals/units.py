"""Units of the providers' bills in the units of a plan, so that quantities can be set side by side.

A provider's "GB" of storage and traffic is counted as 2^30 bytes by AWS and Google Cloud, as the
planner does; a unit that is not known has no factor, and its quantity stays unknown.
"""

import re

MONTH_H = 365.25 * 24 / 12  # hours of a mean month, where a bill counts GiB-hours for GiB-months
_GIB = 2.0**30
# unit as written in lower case without blanks, dashes and plurals: planner's unit, factor
_UNITS: dict[str, tuple[str, float]] = {
    "hr": ("hour", 1.0),
    "hour": ("hour", 1.0),
    "lcuhr": ("lcu_hour", 1.0),
    "second": ("hour", 1 / 3600),
    "gb": ("GiB", 1.0),
    "gib": ("GiB", 1.0),
    "gibibyte": ("GiB", 1.0),
    "byte": ("GiB", 1 / _GIB),
    "gbmo": ("GiB-month", 1.0),
    "gbmonth": ("GiB-month", 1.0),
    "gibmonth": ("GiB-month", 1.0),
    "gibibytemonth": ("GiB-month", 1.0),
    "gb/month": ("GiB-month", 1.0),
    "gbhour": ("GiB-month", 1 / MONTH_H),
    "byteseconds": ("GiB-month", 1 / _GIB / 3600 / MONTH_H),
    "bytesecond": ("GiB-month", 1 / _GIB / 3600 / MONTH_H),
    "metric": ("metric-hour", MONTH_H),
    "request": ("request", 1.0),
    "count": ("request", 1.0),
}


def unit_of(written: str) -> tuple[str, float]:
    """Unit of the planner and the factor to it; an empty unit where it is not known.

    ``10K Hours`` and the like, as Azure packs them, multiply the quantity.

    >>> unit_of("GB-Mo"), unit_of("100 Hours"), unit_of("Lambda-GB-Second")
    (('GiB-month', 1.0), ('hour', 100.0), ('', nan))
    """
    packed = re.match(r"\s*(\d+)\s*([KMkm]?)\s+(?=\D)", written)
    size = int(packed[1]) * {"": 1, "k": 1e3, "m": 1e6}[packed[2].lower()] if packed else 1.0
    word = re.sub(r"[\s-]", "", written[packed.end() if packed else 0 :]).lower()
    found = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    return (found[0], found[1] * size) if found else ("", float("nan"))
