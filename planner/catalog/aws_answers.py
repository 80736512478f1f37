"""How to read AWS's answers: Price List entries, instance types, spot history, Savings Plans rates.

The Price List holds every way to sell a machine; :func:`sells_plain_linux` says which one is meant
here.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from planner.catalog.answers import accelerator, money, within
from planner.errors import CatalogError

VARIABLE_MAP = {  # column of the planner: field of the answer
    "instance_type": "InstanceType",
    "vcpus": "VCpuInfo.DefaultVCpus",
    "threads_per_core": "VCpuInfo.DefaultThreadsPerCore",
    "memory_gib": "MemoryInfo.SizeInMiB / 1024",
    "arch": "ProcessorInfo.SupportedArchitectures",
    "local_disk_gib": "InstanceStorageInfo.TotalSizeInGB × 10^9 / 2^30",
    "network_gib_per_s": "NetworkInfo (Gbit/s × 10^9 / 8 / 2^30)",
    "accelerator": "GpuInfo.Gpus[].Name or NeuronInfo.NeuronDevices[].Name",
    "current_generation": "CurrentGeneration",
    "rate_usd_per_h": "terms.OnDemand.*.priceDimensions.*.pricePerUnit.USD, or the median of SpotPrice over zones",
}
_TERM_YEARS = {"1yr": 1, "3yr": 3}
_PAYMENTS = {"No Upfront": "none", "Partial Upfront": "partial", "All Upfront": "all"}
SOLD = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "licenseModel": "No License required",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "locationType": "AWS Region",
}

# share of each vCPU that a burstable size earns (EC2 user guide, CPU credits and baseline
# utilization)
_T3 = {"nano": 0.05, "micro": 0.10, "small": 0.20, "medium": 0.20, "large": 0.30, "xlarge": 0.40, "2xlarge": 0.40}
BASELINE_SHARE = {f"{family}.{size}": share for family in ("t3", "t3a", "t4g") for size, share in _T3.items()}
BASELINE_SHARE |= {
    "t1.micro": 0.10,
    "t2.nano": 0.05,
    "t2.micro": 0.10,
    "t2.small": 0.20,
    "t2.medium": 0.20,
    "t2.large": 0.30,
    "t2.xlarge": 0.225,
    "t2.2xlarge": 0.16875,
}
GIB_PER_S_PER_GBPS = 1e9 / 8 / 2**30


def sells_plain_linux(attributes: Mapping[str, str]) -> bool:
    """True for the shared Linux machine in use: not dedicated, not Windows or licensed, not a
    capacity reservation's row.

    Dedicated tenancy costs 6 to 10 % more, bring-your-own-license Windows repeats the Linux price,
    an unused reservation repeats it too and an allocated one is 0.
    """
    usage = attributes.get("usagetype", "")
    return all(attributes.get(k) == v for k, v in SOLD.items()) and re.search(r"(^|-)BoxUsage", usage) is not None


def on_demand_usd(entry: Mapping[str, Any]) -> float | None:
    """Hourly on-demand price [USD/h] of a Price List entry, None if it has no on-demand term.

    Only dimensions in hours count. Zero comes back as 0: rows of allocated capacity
    reservations carry it, and the caller leaves them out. Raises :class:`CatalogError` where a
    machine has two on-demand prices.
    """
    sku = str(within(entry, ("product", "sku"), "Price List"))
    terms = within(entry, ("terms",), sku).get("OnDemand", {})
    prices = {
        money(*_usd(d, sku))
        for t in terms.values()
        for d in within(t, ("priceDimensions",), sku).values()
        if d.get("unit") == "Hrs"
    }
    if len(prices) > 1:
        raise CatalogError(
            "one machine has two on-demand prices",
            where=sku,
            got=sorted(prices),
            remedy="Report the SKU; it is not priced",
        )
    return prices.pop() if prices else None


def _usd(dimension: Mapping[str, Any], where: str) -> tuple[Any, str, str]:
    prices = within(dimension, ("pricePerUnit",), where)
    if "USD" not in prices:
        return next(iter(prices.values()), None), where, next(iter(prices), "none")
    return prices["USD"], where, "USD"


def reserved(entry: Mapping[str, Any]) -> Iterator[tuple[str, int, str, float, float]]:
    """Reserved terms as (class, months, payment, effective USD/h, upfront share).

    A term has up to two dimensions, hours and the upfront "Quantity": effective = hourly + upfront
    / (8760 h · years).

    Raises :class:`CatalogError` for a class, term or payment that is not known.
    """
    sku = str(within(entry, ("product", "sku"), "Price List"))
    for term in within(entry, ("terms",), sku).get("Reserved", {}).values():
        facts = within(term, ("termAttributes",), sku)
        years, payment = (
            _TERM_YEARS.get(facts.get("LeaseContractLength", "")),
            _PAYMENTS.get(facts.get("PurchaseOption", "")),
        )
        if years is None or payment is None:
            raise CatalogError("an unknown reserved term", where=sku, got=dict(facts), remedy="Report the SKU")
        hourly = upfront = 0.0
        for dimension in within(term, ("priceDimensions",), sku).values():
            usd = money(*_usd(dimension, sku))
            if dimension.get("unit") == "Quantity":
                upfront += usd
            else:
                hourly += usd
        spread = upfront / (8760 * years)
        if hourly + spread > 0:
            yield (
                str(facts.get("OfferingClass", "standard")),
                12 * years,
                payment,
                hourly + spread,
                spread / (hourly + spread),
            )


def tiers(entry: Mapping[str, Any]) -> list[tuple[float, float, float, str]]:
    """On-demand tiers of an entry as (from, to, USD, unit), lowest first; the account's free
    allowance is not in the list.

    The last tier ends at infinity. Raises :class:`CatalogError` for an entry without its SKU
    or a price that is none.
    """
    sku = str(within(entry, ("product", "sku"), "Price List"))
    out = []
    for term in within(entry, ("terms",), sku).get("OnDemand", {}).values():
        for d in within(term, ("priceDimensions",), sku).values():
            end = str(d.get("endRange", "Inf"))
            upper = math.inf if end == "Inf" else float(end)
            out.append((float(d.get("beginRange", 0)), upper, money(*_usd(d, sku)), str(d.get("unit", ""))))
    return sorted(out)


def shape(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of ``instances`` from one item of describe_instance_types.

    Memory comes in MiB and stays binary; local disks come in GB and become GiB; bandwidth
    becomes GiB/s. A burstable type that is not in ``BASELINE_SHARE`` has an unknown baseline
    (NaN), others sustain all of their vCPUs. Raises :class:`CatalogError` where a field that
    every type has is missing.
    """
    name = str(within(kind, ("InstanceType",), "describe_instance_types"))
    vcpus, memory = within(kind, ("VCpuInfo",), name), within(kind, ("MemoryInfo", "SizeInMiB"), name)
    slug, count, size = _accelerator(kind)
    disk = kind.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)
    return {
        "instance_type": name,
        "family": name.split(".")[0],
        "arch": "arm64" if "arm64" in kind.get("ProcessorInfo", {}).get("SupportedArchitectures", []) else "x86_64",
        "vcpus": float(within(vcpus, ("DefaultVCpus",), name)),
        "threads_per_core": float(vcpus.get("DefaultThreadsPerCore", math.nan)),
        "baseline_share": BASELINE_SHARE.get(name, math.nan if kind.get("BurstablePerformanceSupported") else 1.0),
        "memory_gib": memory / 1024,
        "accelerator": slug,
        "accelerators": count,
        "accelerator_memory_gib": size,
        "network_gib_per_s": network_gbps(kind.get("NetworkInfo", {})) * GIB_PER_S_PER_GBPS,
        "local_disk_gib": disk * 1e9 / 2**30,
        "current_generation": bool(kind.get("CurrentGeneration", True)),
    }


def _accelerator(kind: Mapping[str, Any]) -> tuple[str, float, float]:
    """Name, count and memory [GiB] of one accelerator. Neuron chips come twice in an answer:
    NeuronInfo is the one taken.
    """
    for holder, items in (
        ("GpuInfo", "Gpus"),
        ("NeuronInfo", "NeuronDevices"),
        ("InferenceAcceleratorInfo", "Accelerators"),
    ):
        for device in kind.get(holder, {}).get(items, [])[:1]:
            mib = device.get("MemoryInfo", {}).get("SizeInMiB")
            part = float(device.get("GpuPartitionSize") or 1.0)
            # a sliced GPU says Count 0 and how large its slice is
            count = float(device.get("Count") or part * device.get("LogicalGpuCount", 1))
            seen = None if mib is None else mib / 1024
            slug, whole = accelerator(str(device.get("Name", "")), None if seen is None else seen / part)
            return slug, count, whole * part if seen is not None else whole
    return "", 0.0, 0.0


def network_gbps(network: Mapping[str, Any]) -> float:
    """Sustained bandwidth [Gbit/s]: the stated total, or where that is a burst ("Up to") the
    cards' baselines; NaN if unknown.

    >>> network_gbps({"NetworkPerformance": "4x 100 Gigabit"})
    400.0
    >>> network_gbps({"NetworkPerformance": "Up to 10 Gigabit", "NetworkCards": [{"BaselineBandwidthInGbps": 0.75}]})
    0.75
    """
    stated = re.fullmatch(r"(?:(\d+)x )?(\d+(?:\.\d+)?) Gigabit", str(network.get("NetworkPerformance", "")))
    if stated:
        return float(stated[1] or 1) * float(stated[2])
    base = [c["BaselineBandwidthInGbps"] for c in network.get("NetworkCards", []) if "BaselineBandwidthInGbps" in c]
    return float(sum(base)) if base else math.nan


def spot_usd(history: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Spot price [USD/h] by type: the last change in each zone, then the median over zones.

    Zones differ up to fivefold and one without a market shows the on-demand price, so a mean
    misleads; zone ids, not letters.
    """
    last: dict[tuple[str, str], tuple[str, float]] = {}
    for item in history:
        if item.get("ProductDescription") != "Linux/UNIX":
            continue
        name = str(within(item, ("InstanceType",), "describe_spot_price_history"))
        zone, when = str(item.get("AvailabilityZoneId") or item.get("AvailabilityZone")), item.get("Timestamp", "")
        stamp = when.isoformat() if isinstance(when, datetime) else str(when)
        price = money(item.get("SpotPrice"), f"spot price of {name} in {zone}")
        if (name, zone) not in last or stamp > last[name, zone][0]:
            last[name, zone] = stamp, price
    by_type: dict[str, list[float]] = {}
    for (name, _), (_, price) in last.items():
        by_type.setdefault(name, []).append(price)
    return {name: statistics.median(prices) for name, prices in by_type.items()}


def plan_rate(result: Mapping[str, Any]) -> tuple[str, str, int, str, float] | None:
    """A Savings Plans rate as (type, plan, months, payment, USD/h); None unless it is for shared
    Linux machines in use.

    Windows, dedicated, unused-reservation, Fargate and Lambda rows come in the same answer and
    share usage types.

    Raises :class:`CatalogError` for a plan, term or payment that is not known.
    """
    facts = {str(p.get("name")): str(p.get("value")) for p in result.get("properties", [])}
    name = facts.get("instanceType", "")
    plain = (
        facts.get("productDescription") == "Linux/UNIX"
        and facts.get("tenancy") == "shared"
        and result.get("productType") == "EC2"
    )
    if not plain or not name or not re.search(r"(^|-)BoxUsage", str(result.get("usageType", ""))):
        return None
    offer = within(result, ("savingsPlanOffering",), name)
    payment, months = (
        _PAYMENTS.get(offer.get("paymentOption", "")),
        round(int(within(offer, ("durationSeconds",), name)) / 31536000) * 12,
    )
    if payment is None or months not in (12, 36) or result.get("unit") != "Hrs":
        raise CatalogError(
            "an unknown Savings Plans offer",
            where=name,
            got=dict(offer),
            remedy="Report it; it is not priced",
        )
    return (
        name,
        str(offer.get("planType")),
        months,
        payment,
        money(result.get("rate"), name, str(offer.get("currency", "USD"))),
    )
