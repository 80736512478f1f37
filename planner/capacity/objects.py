"""Object storage as rows: what lies in which class by age, what moving and reading it costs.

A class bills at least its minimum duration and size; data that leaves earlier is billed on (the
early-deletion fee), which is the same sum. Ages are calendar months, so a step after one month and
a class of 30 days agree to a day or two.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from planner.data import data_path
from planner.errors import CatalogError
from planner.scenario import Storage

_DAYS_A_MONTH = 365.25 / 12
_KIB_A_GIB = 2.0**20
# a mean object where the scenario names none
ASSUMED_OBJECT_GIB = 1 / 1024

Row = dict[str, Any]


@dataclass(frozen=True)
class ObjectClass:
    """A colder class: ``minimum_months`` and ``minimum_object_gib`` billed at least; what an object
    adds to it and to the first class.
    """

    storage_class: str
    minimum_months: float
    minimum_object_gib: float
    overhead_gib: float
    hot_overhead_gib: float


@cache
def object_classes() -> dict[tuple[str, str], ObjectClass]:
    """The colder classes by (provider, storage tier), from ``data/catalog/object_classes.csv``."""
    with data_path("catalog", "object_classes.csv").open(newline="", encoding="utf-8") as file:
        return {
            (r["provider"], r["storage_tier"]): ObjectClass(
                r["storage_class"],
                float(r["minimum_days"]) / _DAYS_A_MONTH,
                float(r["minimum_object_kib"]) / _KIB_A_GIB,
                float(r["overhead_kib"]) / _KIB_A_GIB,
                float(r["hot_overhead_kib"]) / _KIB_A_GIB,
            )
            for r in csv.DictReader(file)
        }


def object_class(provider: str, tier: str) -> ObjectClass:
    """One colder class of a provider. Raises :class:`CatalogError` where it sells none."""
    try:
        return object_classes()[provider, tier]
    except KeyError:
        raise CatalogError(
            f"no {tier} class of object storage is known",
            where=provider,
            remedy="Leave this step out of object_lifecycle, or add the class to data/catalog/object_classes.csv",
        ) from None


def object_rows(s: Storage, provider: str, hot: str, tries: float) -> Iterator[Row]:
    """Every need of a service's objects at one provider; ``hot`` is its first class, ``tries``
    includes retries.
    """
    basis = "measured" if s.object_size_gib or not s.object_lifecycle else "assumed"
    # what is there at the start ages from the start of the horizon and stays, what is added ages
    # from when it is written
    kept = float(s.object_retention_months or math.inf)
    stocks = [(s.object_gib, 0.0, s.object_age_months, math.inf), (0.0, s.object_growth_gib_per_month, 0.0, kept)]
    if math.isinf(kept) and not s.object_age_months:
        stocks = [(s.object_gib, s.object_growth_gib_per_month, 0.0, kept)]
    for gib, growth, age, kept in stocks:
        if gib or growth:
            yield from _stock(s, provider, hot, gib, growth, age, kept, basis)
    for part, each in (("put", s.object_puts_per_request), ("get", s.object_gets_per_request)):
        if each:
            yield _need("object_requests", f"{hot}/{part}", "request", each * tries, 0.0, "request", "measured")


def _stock(
    s: Storage, provider: str, hot: str, gib: float, growth: float, age: float, kept: float, basis: str
) -> Iterator[Row]:
    """One stock of ``gib`` + ``growth`` a month, ``age`` months old at the start, through its
    classes until it is deleted.
    """
    steps = [(step.after_months, object_class(provider, step.storage_tier)) for step in s.object_lifecycle]
    ends = [*(after for after, _ in steps), kept]
    if ends[0] > age:
        yield _need("object_storage", hot, "month", gib, growth, "GiB", "measured", 0.0, ends[0] - age)
    size = s.object_size_gib or ASSUMED_OBJECT_GIB
    for (after, kind), until in zip(steps, ends[1:], strict=True):
        start, end = after - age, until - age
        if end <= 0:
            continue
        larger = max(size, kind.minimum_object_gib) / size + kind.overhead_gib / size
        billed = max(end, start + kind.minimum_months)
        yield _need(
            "object_storage", kind.storage_class, "month", gib * larger, growth * larger, "GiB", basis, start, billed
        )
        if kind.hot_overhead_gib:
            more = kind.hot_overhead_gib / size
            yield _need("object_storage", hot, "month", gib * more, growth * more, "GiB", basis, start, end)
        if start > 0:
            yield _need(
                "object_transitions",
                f"{kind.storage_class}/transition",
                "transition",
                gib / size,
                growth / size,
                "request",
                basis,
                start,
                end,
            )
        if s.object_retrieval_share_per_month:
            read = s.object_retrieval_share_per_month
            yield _need(
                "object_retrieval",
                f"{kind.storage_class}/retrieval",
                "month",
                gib * read,
                growth * read,
                "GiB",
                "measured",
                start,
                end,
            )


def _need(
    charge: str,
    resource: str,
    driver: str,
    quantity: float,
    growth: float,
    unit: str,
    basis: str,
    start: float = 0.0,
    end: float = math.inf,
) -> Row:
    return {
        "charge": charge,
        "resource": resource,
        "driver": driver,
        "needs_quantity": float(quantity),
        "growth_per_month": float(growth),
        "unit": unit,
        "basis": basis,
        "age_from_months": start,
        "age_to_months": end,
    }
