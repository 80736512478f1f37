"""The registry of providers: what each sells, promises and limits, said once; one entry a provider.

A new provider is an entry here, a module that asks its price API, and its snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from planner.catalog import sizes
from planner.errors import CatalogError

_GIB_A_GBIT = 1e9 / 8 / 2**30
# price of each quarter of the month over the on-demand price, from the first to the last (Compute
# Engine documentation)
_THIRTY, _TWENTY = (1.0, 0.8, 0.6, 0.4), (1.0, 0.8678, 0.733, 0.6)


@dataclass(frozen=True)
class Provider:
    """A seller of machines; the defaults promise least and assume nothing special.

    ``module`` has ``VARIABLE_MAP`` and ``fetch(regions, raw, known_shapes)``, empty where no
    price API can be asked; ``offer_file``: it can read a whole offer file instead. ``fleet``:
    the module whose ``account_fleet(regions, tag)`` reads what an account runs and holds.
    ``block_storage`` and ``object_storage`` are the classes a plan takes unless told otherwise.
    ``zone_availability``: share of time promised for one instance in one zone.
    ``address_in_each_zone``: its balancer takes a public address of its own in each zone.
    ``regional_gateway``: one NAT gateway serves a region, else one stands in each zone;
    ``machines_translate``: what passes NAT is the machine's own traffic to the internet.
    ``internet_gbit``: the most a machine sends to addresses on the internet, all flows together
    [Gbit/s]; from ``halved_from_vcpus`` on it is half of its network instead.
    ``flexible_size(machine)``: group and units of a reservation that pays for several sizes, or
    ``None`` (:mod:`planner.catalog.sizes`). ``sustained_use`` {family: price of each quarter of
    the month over the on-demand price}.
    """

    title: str
    module: str = ""
    block_storage: str = ""
    object_storage: str = ""
    offer_file: bool = False
    fleet: str = ""
    zone_availability: float = 0.99
    address_in_each_zone: bool = False
    regional_gateway: bool = False
    machines_translate: bool = False
    internet_gbit: float = math.inf
    halved_from_vcpus: float | None = None
    flexible_size: sizes.Rule | None = None
    sustained_use: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def internet_gib_per_s(self, vcpus: float, wire: float) -> float:
        """What a machine of network ``wire`` [GiB/s, NaN if not known] sends to the internet
        [GiB/s]; NaN if not known.
        """
        most = self.internet_gbit * _GIB_A_GBIT
        if self.halved_from_vcpus is not None and vcpus >= self.halved_from_vcpus:
            return wire / 2
        if math.isnan(wire):
            return most if self.halved_from_vcpus is None else math.nan
        return min(wire, most)


# promises: service level agreements for one instance of Amazon EC2, Compute Engine and Azure VM on
# Standard SSD (2024); GPU clouds: none on record.  Addresses: Elastic Load Balancing user guide
# (2025).  Gateways: Cloud NAT documentation (2025).  Internet: instance network bandwidth of EC2;
# network bandwidth of Compute Engine without Tier_1 networking (2025).
PROVIDERS: dict[str, Provider] = {
    "aws": Provider(
        "Amazon Web Services",
        "planner.catalog.aws",
        "block/gp3",
        "object/standard",
        offer_file=True,
        fleet="planner.catalog.running",
        zone_availability=0.995,
        address_in_each_zone=True,
        internet_gbit=5,
        halved_from_vcpus=32,
        flexible_size=sizes.normalized,
    ),
    "gcp": Provider(
        "Google Cloud",
        "planner.catalog.gcp",
        "block/pd-balanced",
        "object/standard",
        zone_availability=0.999,
        regional_gateway=True,
        machines_translate=True,
        internet_gbit=7,
        flexible_size=sizes.by_vcpu_of_shape,
        sustained_use=dict.fromkeys(("n1", "f1", "g1", "m1", "m2"), _THIRTY)
        | dict.fromkeys(("n2", "n2d", "c2"), _TWENTY),
    ),
    "azure": Provider(
        "Microsoft Azure",
        "planner.catalog.azure",
        "block/standard-ssd",
        "object/hot-lrs",
        zone_availability=0.995,
        flexible_size=sizes.by_vcpu_of_series,
    ),
    "gpu_cloud": Provider(
        "GPU clouds and marketplaces, by the GPU-hour",
        block_storage="block/network-volume",
        object_storage="object/standard",
    ),
}


def provider_of(name: str) -> Provider:
    """The facts of a provider; of one that is not registered, the defaults."""
    return PROVIDERS.get(name) or Provider(name)


def flexible_size(machine: Mapping[Any, Any]) -> tuple[str, float]:
    """The group of machines that share one reservation in a region, and the units of it that a
    machine takes an hour.

    ``machine``: a row of ``catalog.instances``. A machine whose reservations hold for its own type
    only is a group of its own, of one unit.
    """
    rule = provider_of(str(machine["provider"])).flexible_size
    return (rule(machine) if rule else None) or (str(machine["instance_type"]), 1.0)


def fetcher(provider: str) -> Callable[..., Any]:
    """The ``fetch`` of a provider; its SDK is imported only now. Raises :class:`CatalogError` where
    there is none.
    """
    module = PROVIDERS[provider].module
    if not module:
        raise CatalogError(
            "this provider has no price API to ask",
            where=provider,
            remedy="Its snapshot is rebuilt by data/build/build_catalog.py",
        )
    fetch: Callable[..., Any] = import_module(module).fetch
    return fetch
