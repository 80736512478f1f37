"""Storage and network needs of each service as rows: charge, resource, quantity and what it is
proportional to.

What the scenario leaves open is assumed (``planner.capacity.assumed``) and stands as a row of its
own with that basis.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from planner import columns
from planner.capacity.assumed import (
    artifact_gib,
    balancer_addresses,
    cross_zone,
    disk_gib,
    gateways,
    log_gib,
    metrics,
    nat_gib,
    versions,
)
from planner.capacity.ceilings import volumes_of
from planner.capacity.objects import object_rows
from planner.catalog import Catalog, provider_of
from planner.errors import CatalogError
from planner.scenario import Scenario, Service

# clients keep a connection for some requests
_REQUESTS_A_CONNECTION = 10


def needs_frame(scenario: Scenario, catalog: Catalog) -> pd.DataFrame:
    """All needs (``capacity.needs``), by service and provider; amounts a request causes include its
    retries.
    """
    blank = {"growth_per_month": 0.0, "age_from_months": 0.0, "age_to_months": math.inf, "volumes": 1.0}
    rows = [
        {"service": name, "provider": provider, **blank, **row}
        for name, service in scenario.services.items()
        for provider in scenario.providers
        for row in (
            *_storage(service, catalog, provider, scenario.folder),
            *_watching(service),
            *_network(scenario, service, catalog, provider),
        )
    ]
    return (
        pd.DataFrame(rows, columns=list(columns.columns_of("capacity.needs")))
        if rows
        else columns.empty("capacity.needs")
    )


def _row(
    charge: str, resource: str, driver: str, quantity: float, unit: str, basis: str, **more: Any
) -> dict[str, Any]:
    return {
        "charge": charge,
        "resource": resource,
        "driver": driver,
        "needs_quantity": float(quantity),
        "unit": unit,
        "basis": basis,
        **more,
    }


def _storage(service: Service, catalog: Catalog, provider: str, folder: Path | None) -> Iterator[dict[str, Any]]:
    """Rows of disks, what they need beyond space, kept model versions and objects.

    Where a disk class gives performance by its size, the size grows until it gives what is
    asked; the part beyond the space is a row of its own, ``modeled``. Providers that sell IOPS
    and throughput apart get rows for them.
    """
    s = service.storage
    block = [(gib, basis) for gib, basis in disk_gib(service, folder) if gib]
    if block:
        kind = _stated_class(service, catalog, provider) or _class(catalog, provider, "block")
        count, grown = volumes_of(service, provider, kind, folder)
        more = grown - sum(gib for gib, _ in block)
        for gib, basis in (
            *block,
            *([(more, "modeled")] if more > 0 else []),
        ):  # what performance needs beyond the space
            yield _row("block_storage", kind, "instance_hour", gib, "GiB", basis, volumes=count)
        known = set(catalog.storage.loc[catalog.storage["provider"] == provider, "storage_class"])
        for part, amount, unit in (("iops", s.block_iops, "IOPS"), ("throughput", s.block_mib_per_s, "MiBps")):
            if amount and f"{kind}/{part}" in known:  # other providers sell both with the capacity
                yield _row("block_storage", f"{kind}/{part}", "instance_hour", amount, unit, "measured", volumes=count)
    (model, basis), (kept, counted) = artifact_gib(service, folder), versions(s)
    if model and kept:
        sure = basis if counted == "measured" else counted
        yield _row(
            "model_artifacts",
            _class(catalog, provider, "object"),
            "month",
            model * kept,
            "GiB",
            sure,
        )
    if s.object_gib or s.object_growth_gib_per_month or s.object_puts_per_request or s.object_gets_per_request:
        yield from object_rows(
            s,
            provider,
            _class(catalog, provider, "object"),
            1 / (1 - service.retry_share),
        )


def _watching(service: Service) -> Iterator[dict[str, Any]]:
    """Logs of each try and metrics of each instance."""
    (gib, logged), (count, reported) = log_gib(service.storage), metrics(service.storage)
    if gib:
        yield _row("logs", "logs_gib", "request", gib / (1 - service.retry_share), "GiB", logged)
    if count:
        yield _row("metrics", "metrics", "instance_hour", count, "metric", reported)


def _network(scenario: Scenario, service: Service, catalog: Catalog, provider: str) -> Iterator[dict[str, Any]]:
    """Rows of egress, traffic between zones, NAT, balancer and addresses; what a request causes
    is paid for each of its tries, 1/(1 − retry share).
    """
    n, zones, tries = service.network, scenario.limits.zones, 1 / (1 - service.retry_share)
    if n.egress_gib_per_request:
        yield _row("egress", "egress", "request", n.egress_gib_per_request * tries, "GiB", "measured")
    share, basis = cross_zone(service, zones)
    if n.internal_gib_per_request and share:
        yield _row("cross_zone", "cross_zone", "request", n.internal_gib_per_request * share * tries, "GiB", basis)
    addresses, known = balancer_addresses(service, provider, zones)
    gib, basis = nat_gib(service)
    if gib:
        gateway = gateways(scenario, provider)
        yield _row("nat", "nat_gib", "request", gib * tries, "GiB", basis)
        yield _row("nat", "nat_hour", "hour", gateway, "hour", "assumed")
        if n.public_ipv4 is None:
            yield _row("public_ipv4", "public_ipv4", "hour", gateway, "hour", "assumed")
    if n.load_balancer:
        yield from _balancer(service, catalog, provider, zones)
    if addresses:
        yield _row("public_ipv4", "public_ipv4", "hour", addresses, "hour", known)


def _balancer(service: Service, catalog: Catalog, provider: str, zones: int) -> Iterator[dict[str, Any]]:
    """Hours and use of the balancer, and what it sends to machines in other zones."""
    n, tries = service.network, 1 / (1 - service.retry_share)
    yield _row(
        "load_balancer",
        "load_balancer_hour",
        "hour",
        1,
        "hour",
        "measured" if "load_balancer" in n.model_fields_set else "assumed",
    )
    unit = _price_unit(catalog, provider, "load_balancer_unit")
    units = _balanced(n.egress_gib_per_request, unit)
    if unit and units:
        yield _row("load_balancer", "load_balancer_unit", "request", units * tries, unit, "assumed")
    if zones > 1 and n.egress_gib_per_request:
        crossing = n.egress_gib_per_request * (zones - 1) / zones
        yield _row("cross_zone", "balancer_cross_zone", "request", crossing * tries, "GiB", "assumed")


def _balanced(gib: float, unit: str) -> float:
    """Balancer units of one request: GiB, or LCU-hours (1 GB each, or 25 new connections a
    second, whichever is more).

    Ten requests are taken to share a connection.

    >>> _balanced(2.0, "GiB")
    2.0
    >>> _balanced(0.0, "LCU-hour") == 1 / (25 * 3600 * 10)
    True
    """
    if not unit.startswith("LCU"):
        return gib
    return max(gib * 2**30 / 1e9, 1 / (25 * 3600 * _REQUESTS_A_CONNECTION))


def _price_unit(catalog: Catalog, provider: str, kind: str) -> str:
    """Unit of a network price of a provider; empty where there is none."""
    table = catalog.network
    found = table.loc[(table["provider"] == provider) & (table["kind"] == kind), "price_unit"]
    return str(found.iloc[0]) if len(found) else ""


def _stated_class(service: Service, catalog: Catalog, provider: str) -> str | None:
    """The disk class that a service names for a provider. Raises :class:`CatalogError` for one that
    it does not sell.
    """
    named = service.storage.block_class
    name = named.get(provider) if isinstance(named, dict) else named
    if name is None:
        return None
    table = catalog.storage[catalog.storage["provider"] == provider]
    known = {str(c).removeprefix("block/") for c in table["storage_class"] if str(c).startswith("block/")}
    known = {c for c in known if "/" not in c}
    if name.removeprefix("block/") not in known:
        raise CatalogError(
            "no such disk class",
            where=f"storage.block_class at {provider}",
            got=name,
            remedy=f"Give one of {', '.join(sorted(known))}, or a class for each provider",
        )
    return f"block/{name.removeprefix('block/')}"


def _class(catalog: Catalog, provider: str, role: Literal["block", "object"]) -> str:
    """The usual class of a provider, or the first other one of that role in the snapshot. Raises
    :class:`CatalogError`.
    """
    known = catalog.storage.loc[catalog.storage["provider"] == provider, "storage_class"].unique()
    seller = provider_of(provider)
    usual = seller.block_storage if role == "block" else seller.object_storage
    if usual in known:
        return usual
    rest = sorted(c for c in known if c.startswith(f"{role}/") and c.count("/") == 1)
    if not rest:
        raise CatalogError(
            f"no price of {role} storage",
            where=provider,
            remedy="Set this storage to 0, or add the price to the snapshot",
        )
    return str(rest[0])
