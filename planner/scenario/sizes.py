"""How large a figure of a scenario may be, by the unit its name ends in; and between which years a
date may lie.

A figure that no service has is a wrong unit or a slip of the hand. Carried on, it ends as a plan
that nobody can buy, or in a table that no memory holds.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

# ending of a field: the largest figure, and why; the first that fits counts
LARGEST: tuple[tuple[str, float, str], ...] = (
    ("_rps", 1e9, "a thousand times the busiest public services"),
    ("_gib_per_request", 1e3, "a terabyte for one request"),
    ("_per_request", 1e6, "a million of them for one request"),
    ("block_gib", 1e7, "ten petabytes on one machine"),
    ("memory_gib", 1e6, "thirty times the largest machine on sale"),
    ("_gib", 1e12, "more than any provider stores"),
    ("_gib_per_month", 1e12, "more than any provider stores"),
    ("_delay_s", 86_400.0, "a day"),
    ("_s", 1e7, "four months"),
    ("_months", 1_200.0, "a century"),
    ("_per_year", 1e3, "a thousandfold in a year"),
    ("multiplier", 1e4, "ten thousand times the usual load"),
    ("_scv", 1e4, "a spread of a hundred times the mean"),
    ("_tokens", 1e8, "a hundred times the longest context there is"),
    ("_replicas", 1e6, "more machines than a provider gives one customer"),
    ("quota", 1e6, "more machines than a provider gives one customer"),
    ("_usd_per_h", 1e9, "more than any cloud takes in"),
    ("_usd_per_month", 1e12, "more than any cloud takes in"),
    ("_usd", 1e12, "more than any cloud takes in"),
    ("usd_per_h", 1e9, "more than any cloud takes in"),
    ("usd_per_month", 1e12, "more than any cloud takes in"),
    ("", 1e18, "no figure of a service is larger"),
)
FIRST, LAST = date(1970, 1, 1), date(2200, 1, 1)


def beyond(name: str, value: Any) -> str:
    """What is wrong with the size of a field's ``value``, '' if nothing: a number above that of
    its unit, or a date outside 1970 to 2200.

    >>> beyond("egress_gib_per_request", 1e300)
    'must be at most 1,000 (a terabyte for one request); check its unit'
    >>> beyond("latency_p99_s", 0.3), beyond("start", date(9999, 1, 1))
    ('', 'must lie between 1970 and 2200')
    """
    if isinstance(value, date):
        return "" if FIRST <= date(value.year, value.month, value.day) <= LAST else "must lie between 1970 and 2200"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    most, why = next((most, why) for ending, most, why in LARGEST if name.endswith(ending))
    return "" if not abs(value) > most else f"must be at most {most:,.0f} ({why}); check its unit"


def all_beyond(name: str, value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Every figure within ``value`` (mappings and sequences of any depth) that is :func:`beyond`
    its size: its path, what is wrong, and the figure.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from all_beyond(str(key), inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from all_beyond(name, inner, (*path, str(at)))
    elif said := beyond(name, value):
        yield path, said, value
