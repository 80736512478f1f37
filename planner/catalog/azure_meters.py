"""Azure: managed disks by their step and internet egress by its two meters, read from items of the
Retail Prices API.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog.answers import Fetched, money, within

# letter and size [GiB] of a step: a disk is billed as the whole step that holds it (Azure
# documentation, managed disk types)
_LETTERS = {"Premium SSD Managed Disks": "P", "Standard SSD Managed Disks": "E", "Standard HDD Managed Disks": "S"}
STEP_GIB = {
    1: 4,
    2: 8,
    3: 16,
    4: 32,
    6: 64,
    10: 128,
    15: 256,
    20: 512,
    30: 1024,
    40: 2048,
    50: 4096,
    60: 8192,
    70: 16384,
    80: 32767,
}
_EGRESS = {
    "Rtn Preference: MGN": "egress",
    "Bandwidth - Routing Preference: Internet": "egress_internet_routing",
}  # MGN is the default


def disk_step(item: Mapping[str, Any], region: str) -> tuple[str, float] | None:
    """Class of a disk step, named with its size (``disk/p10-lrs-128gib``), and its price [USD a
    disk and month].

    None for mounts, operations, bursting, snapshots, reservations and zero-priced rows.
    """
    meter = str(item.get("meterName", ""))
    named = re.fullmatch(r"([PES])(\d+) (LRS|ZRS) Disk", meter)
    if (
        not named
        or named[1] != _LETTERS.get(str(item.get("productName")))
        or not _sold(item, region, "Storage", "1/Month")
    ):
        return None
    gib, usd = STEP_GIB.get(int(named[2])), _usd(item, meter)
    return (f"disk/{named[1]}{named[2]}-{named[3]}-{gib}gib".lower(), usd) if gib and usd else None


def egress_tier(item: Mapping[str, Any], region: str) -> tuple[str, str, float, float] | None:
    """Kind, meter id, start [GiB a month] and price [USD/GiB] of an internet egress tier; None for
    transfer between zones or regions.
    """
    kind = _EGRESS.get(str(item.get("productName")))
    if (
        kind is None
        or item.get("meterName") != "Standard Data Transfer Out"
        or not _sold(item, region, "Bandwidth", "1 GB")
    ):
        return None
    return kind, str(item.get("meterId", "")), money(within(item, ("tierMinimumUnits",), kind), kind), _usd(item, kind)


def _sold(item: Mapping[str, Any], region: str, service: str, unit: str) -> bool:
    facts = {"armRegionName": region, "serviceName": service, "unitOfMeasure": unit, "type": "Consumption"}
    return all(item.get(k) == v for k, v in facts.items())


def _usd(item: Mapping[str, Any], where: str) -> float:
    return money(within(item, ("retailPrice",), where), where, str(item.get("currencyCode", "")))


def add_disks(items: Iterable[Mapping[str, Any]], region: str, stamp: Mapping[str, Any], out: Fetched) -> None:
    """Rows of ``storage`` in units of a whole disk and month; a step with two prices has none."""
    found: dict[str, set[float]] = {}
    for step in (disk_step(item, region) for item in items):
        if step is not None:
            found.setdefault(step[0], set()).add(step[1])
    for name, prices in sorted(found.items()):
        if len(prices) > 1:
            out.notes.append(f"azure {region}: {name} has several prices; left out")
            continue
        out.add(
            "storage",
            **stamp,
            storage_class=name,
            tier_scope="volume",
            tier_lower=0.0,
            tier_upper=math.inf,
            price_usd=min(prices),
            price_unit="disk-month",
        )


def add_egress(items: Iterable[Mapping[str, Any]], region: str, stamp: Mapping[str, Any], out: Fetched) -> None:
    """Rows of ``network``, each kind by its own meter: the free first tier as the account's
    allowance, paid tiers counted from its end.
    """
    meters: dict[str, dict[str, set[tuple[float, float]]]] = {}
    for tier in (egress_tier(item, region) for item in items):
        if tier is not None:
            meters.setdefault(tier[0], {}).setdefault(tier[1], set()).add(tier[2:])
    for kind, by_meter in sorted(meters.items()):
        ladder, *others = {tuple(sorted(tiers)) for tiers in by_meter.values()}
        starts = [lower for lower, _ in ladder]
        if others or starts[0] != 0 or len(set(starts)) < len(starts) or ladder[-1][1] == 0:
            out.notes.append(f"azure {region}: the tiers of {kind} are not those of one meter; left out")
            continue
        free = starts[1] if ladder[0][1] == 0 else 0.0
        for (lower, usd), upper in zip(ladder, [*starts[1:], math.inf], strict=True):
            gift = upper <= free
            out.add(
                "network",
                **stamp,
                kind=kind,
                tier_scope="account" if gift else "region",
                price_usd=usd,
                price_unit="GiB",
                tier_lower=lower if gift else lower - free,
                tier_upper=upper if gift else upper - free,
            )
