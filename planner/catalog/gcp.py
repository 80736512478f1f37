"""Google Cloud: machine prices composed from the SKUs of the Cloud Billing Catalog.

The catalog sells no machines: a machine is cores × core SKU + GiB × memory SKU + accelerators ×
accelerator SKU + local SSD, each found by the free text of its description.  Shapes come from the
snapshot; the catalog has none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pandas as pd

from planner.catalog.answers import Fetched, RawAnswers, accelerator, money, within
from planner.catalog.snapshot import require_region
from planner.errors import CatalogError

COMPUTE_ENGINE = "services/6F81-5844-456A"
VARIABLE_MAP = {
    "rate_usd_per_h": (
        "Σ components: pricing_info[-1].pricing_expression.tiered_rates[].unit_price (units + nanos × 10^-9)"
    ),
    "purchase_option": "category.usage_type (OnDemand, Preemptible)",
    "term_months": "category.usage_type (Commit1Yr, Commit3Yr)",
    "region": "service_regions",
}
USAGE = {"OnDemand": "on_demand", "Preemptible": "spot", "Commit1Yr": "cud_1y", "Commit3Yr": "cud_3y"}
# variants that share a resource group with the plain price
_OTHER = re.compile(
    r"custom|extended|sole tenancy|dws|calendar mode|reserved|reservation|confidential|dollar based|"
    r"upgrade premium|overcommit|vmware|license",
    re.I,
)
_NAMED = {"compute optimized": "c2", "memory-optimized": "m1", "memory optimized": "m1", "": "n1"}
_PART = re.compile(
    r"^(?:spot preemptible |commitment v\d: )?(?P<family>[a-z]\d+[a-z]?\b|compute optimized|memory-optimized|)\s*"
    r"(?:amd |arm |predefined |memory-optimized )*(?:instance )?(?P<part>core|cpu|ram) (?:running )?in ",
    re.I,
)
_GPU = re.compile(r"^(?:spot preemptible |commitment v\d: )?nvidia (?:tesla )?(?P<gpu>[a-z0-9 ]+?) gpu\b", re.I)
_DISK = re.compile(r"^(?:commitment v\d: )?(?:ssd backed local storage|local ssd)", re.I)
# vCPUs the guest sees
SHARED_CORE = {"e2-micro": 2, "e2-small": 2, "e2-medium": 2, "f1-micro": 1, "g1-small": 1}
_SHARED_DISK = frozenset(
    {"n1", "n2", "n2d", "c2", "c2d", "c3", "c3d", "g2", "a2", "a3", "m1", "m3"}
)  # newer families have dearer disks
RETRY_S = 120.0
HOURS_PER_MONTH = 730.0  # Google's own month of a price per GiB-month


class Component(NamedTuple):
    """What a SKU prices: ``part`` core, ram, gpu or disk of ``family`` (for gpu: the accelerator's
    canonical name).
    """

    usage: str
    family: str
    part: str


def component(sku: Mapping[str, Any]) -> Component | None:
    """The machine component a SKU prices, None if it prices something else or another way of
    selling it.
    """
    category, text = sku.get("category", {}), str(sku.get("description", ""))
    usage = USAGE.get(str(category.get("usageType", "")))
    if usage is None or category.get("resourceFamily") not in ("Compute", "Storage") or _OTHER.search(text):
        return None
    gpu = _GPU.match(text)
    if gpu:
        name = re.sub(r"\s+(plus|mega)$", "", gpu["gpu"].strip(), flags=re.I)
        flavor = (
            " mega"
            if re.search(r"\bmega\b", gpu["gpu"], re.I)
            else " plus"
            if re.search(r"\bplus\b", gpu["gpu"], re.I)
            else ""
        )
        return Component(usage, accelerator(_gpu_alias(name))[0] + flavor, "gpu")
    if _DISK.match(text):
        return Component(usage, "", "disk")
    part = _PART.match(text)
    if part is None or category.get("resourceFamily") != "Compute":
        return None
    family = part["family"].lower()
    return Component(usage, _NAMED.get(family, family), {"cpu": "core"}.get(part["part"].lower(), part["part"].lower()))


def _gpu_alias(name: str) -> str:
    """The catalog's name of an accelerator as the planner's table writes it, with the memory
    it has where none is said.

    >>> _gpu_alias("A100 80GB"), _gpu_alias("A100"), _gpu_alias("L4")
    ('A100-80GB', 'A100-40GB', 'L4')
    """
    found = re.match(r"(?P<chip>[a-z]+\d+[a-z]*)(?: (?P<size>\d+)gb)?", name, re.I)
    if found is None:
        return name
    chip, size = found["chip"].upper(), found["size"]
    default = {"A100": "40", "H100": "80", "H200": "141"}.get(chip)
    return f"{chip}-{size or default}GB" if size or default else chip


def tiers(sku: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Tiers of the latest price as (start of use, USD a unit), lowest first. Money is ``units``
    plus ``nanos`` × 10^-9.

    Raises :class:`CatalogError` for a SKU without a price.
    """
    name = str(sku.get("skuId", "SKU"))
    infos = sku.get("pricingInfo") or []
    if not infos:
        raise CatalogError(
            "a SKU without a price",
            where=name,
            got=sku.get("description"),
            remedy="The provider's answer is malformed",
        )
    latest = max(infos, key=lambda i: str(i.get("effectiveTime", "")))
    out = []
    for rate in within(latest, ("pricingExpression", "tieredRates"), name):
        price = within(rate, ("unitPrice",), name)
        whole, part = (
            money(price.get("units", 0), name, str(price.get("currencyCode", "USD"))),
            money(price.get("nanos", 0), name),
        )
        out.append((float(rate.get("startUsageAmount", 0)), whole + part / 1e9))
    return sorted(out)


def unit_usd(sku: Mapping[str, Any]) -> float | None:
    """Price of one core-hour, GiB-hour, accelerator-hour or GiB-month of disk [USD]; None for an
    unknown unit or a free SKU.

    The first tier may be free: the first tier with a price is the one that applies to a machine
    that runs on.
    """
    unit = str(
        within((sku.get("pricingInfo") or [{}])[-1], ("pricingExpression",), str(sku.get("skuId"))).get("usageUnit", "")
    )
    factor = {"h": 1.0, "GiBy.h": 1.0, "GBy.h": 2**30 / 1e9, "GiBy.mo": 1.0, "GBy.mo": 2**30 / 1e9}.get(unit)
    paid = [usd for _, usd in tiers(sku) if usd > 0]
    return None if factor is None or not paid else paid[0] * factor


Prices = dict[Component, float]


def components(skus: Iterable[Mapping[str, Any]], region: str) -> tuple[Prices, list[str]]:
    """Component prices of a region [USD], and the components left out because two SKUs disagree
    about them.

    A SKU under a continental name lists its regions; one that is sold everywhere says "global".
    """
    prices: Prices = {}
    torn: set[Component] = set()
    for sku in skus:
        part = component(sku)
        if part is None or region not in sku.get("serviceRegions", []):
            continue
        usd = unit_usd(sku)
        if usd is None:
            continue
        if abs(prices.setdefault(part, usd) - usd) > 1e-12:
            torn.add(part)
    for part in torn:
        del prices[part]
    return prices, [f"gcp {region}: two SKUs price {t.family} {t.part} ({t.usage}); left out" for t in sorted(torn)]


def compose(shape: Mapping[str, Any], prices: Mapping[Component, float], usage: str) -> float | None:
    """Price of a machine-hour [USD/h] under ``usage`` (on_demand, spot, cud_1y, cud_3y); None where
    a component has no price.

    cores × core + GiB × memory + accelerators × accelerator + GiB of local SSD × disk / 730 h.
    ``shape`` is a row of ``catalog.instances``; a shared core is billed at its sustained part,
    vcpus × baseline_share.
    """
    family, count = str(shape["family"]), float(shape["accelerators"])
    amounts = {
        Component(usage, family, "core"): float(shape["vcpus"]) * float(shape["baseline_share"]),
        Component(usage, family, "ram"): float(shape["memory_gib"]),
    }
    if count:
        flavor = " mega" if "-megagpu" in str(shape["instance_type"]) and family == "a3" else ""
        amounts[Component(usage, str(shape["accelerator"]) + flavor, "gpu")] = count
    disk = float(shape["local_disk_gib"])
    if disk:
        own = Component(usage, family, "disk")
        shared = Component(usage, "", "disk")
        amounts[shared if own not in prices and family in _SHARED_DISK else own] = disk / HOURS_PER_MONTH
    if math.isnan(disk) or any(part not in prices for part in amounts):
        return None
    return sum(amount * prices[part] for part, amount in amounts.items())


def fetch(regions: Sequence[str], raw: RawAnswers, known: pd.DataFrame | None = None) -> Fetched:
    """Prices of the known machines of ``regions``, asked of the Cloud Billing Catalog with the
    application default credentials.

    Raises :class:`CatalogError` where the catalog refuses, stays unavailable after retries, or
    answers a malformed SKU.
    """
    if known is None or known.empty:
        raise CatalogError(
            "machine shapes are needed to compose prices",
            where="gcp",
            remedy="Keep the bundled snapshot and refresh it",
        )
    for region in regions:
        require_region(region, set(known["region"]))
    out = Fetched()
    with _asking():
        skus = []
        for sku in _list_skus():
            raw.keep("skus", sku)
            if component(sku) is not None or _egress(sku) or _volume(sku):
                skus.append(sku)
    for region in regions:
        stamp = {"region": region, "provider": "gcp", "as_of": raw.as_of, "source": "Cloud Billing Catalog"}
        prices, torn = components(skus, region)
        out.notes += torn
        _machines(known[known["region"] == region], prices, stamp, out)
        _tiered(skus, region, stamp, out)
    return out


def _machines(shapes: pd.DataFrame, prices: Prices, stamp: Mapping[str, Any], out: Fetched) -> None:
    """Rates and resource commitments of the known shapes, each composed of its
    components; a commitment not below the on-demand price is left out, and so is a
    machine that lacks a component's price.
    """
    missing = 0
    for row in shapes.to_dict("records"):
        shape, name = {str(k): v for k, v in row.items()}, str(row["instance_type"])
        usd = compose(shape, prices, "on_demand")
        missing += usd is None
        for option in ("on_demand", "spot"):
            price = usd if option == "on_demand" else compose(shape, prices, "spot")
            if price is not None:
                out.add(
                    "rates",
                    **stamp,
                    instance_type=name,
                    purchase_option=option,
                    rate_usd_per_h=price,
                    basis="composed",
                    interruptions_per_h=0.0 if option == "on_demand" else math.nan,
                )
        for years in (1, 3):
            price = compose(shape, prices, f"cud_{years}y")
            if price is not None and usd is not None and price < usd:
                out.add(
                    "commitments",
                    **stamp,
                    commitment=f"gcp/{stamp['region']}/{name}/resource_cud/{years}y/none",
                    category="Usage",
                    plan_kind="resource CUD",
                    scope_kind="instance_type",
                    scope=name,
                    term_months=12 * years,
                    payment="none",
                    rate_usd_per_h=price,
                    upfront_share=0.0,
                    basis="composed",
                )
    if missing:
        out.notes.append(f"gcp {stamp['region']}: {missing} machines lack a component price and are left out")


_EGRESS = {"PremiumInternetEgress": "egress", "StandardInternetEgress": "egress_standard"}
_VOLUMES = {
    "balanced pd capacity": "block/pd-balanced",
    "storage pd capacity": "block/pd-standard",
    "ssd backed pd capacity": "block/pd-ssd",
}


def _egress(sku: Mapping[str, Any]) -> str:
    """Kind of internet egress a SKU prices, by its network tier; '' for all other transfer."""
    text, group = str(sku.get("description", "")), str(sku.get("category", {}).get("resourceGroup", ""))
    return _EGRESS.get(group, "") if "Data Transfer Out to Internet" in text else ""


def _volume(sku: Mapping[str, Any]) -> str:
    """Class of disk a SKU prices; '' for regional disks and all else."""
    text = str(sku.get("description", "")).lower()
    return next((v for k, v in _VOLUMES.items() if re.match(rf"{k}(?! regional)( in |$)", text)), "")


def _tiered(skus: Iterable[Mapping[str, Any]], region: str, stamp: Mapping[str, Any], out: Fetched) -> None:
    """Egress and disk prices with all their tiers, the free first one included."""
    for sku in skus:
        egress, volume = _egress(sku), _volume(sku)
        if region not in sku.get("serviceRegions", []) or not (egress or volume):
            continue
        steps = tiers(sku)
        for (lower, usd), upper in zip(steps, [*(s for s, _ in steps[1:]), math.inf], strict=True):
            common = {**stamp, "tier_lower": lower, "tier_upper": upper, "price_usd": usd, "basis": "observed"}
            if egress:
                out.add("network", **common, kind=egress, price_unit="GiB", tier_scope="region")
            else:
                out.add("storage", **common, storage_class=volume, price_unit="GiB-month", tier_scope="volume")


def client() -> Any:
    """The Cloud Billing Catalog client with the application default credentials."""
    from google.cloud import billing_v1

    return billing_v1.CloudCatalogClient()


def _list_skus() -> Iterator[dict[str, Any]]:
    """Every SKU of Compute Engine as plain data. The client retries nothing by itself."""
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type
    from google.cloud import billing_v1

    passing = if_exception_type(
        exceptions.ServiceUnavailable,
        exceptions.ResourceExhausted,
        exceptions.TooManyRequests,
        exceptions.Aborted,
    )
    again = Retry(predicate=passing, initial=0.5, multiplier=2.0, maximum=30.0, timeout=RETRY_S)
    ask = billing_v1.ListSkusRequest(parent=COMPUTE_ENGINE, page_size=5000, currency_code="USD")
    for sku in client().list_skus(request=ask, retry=again, timeout=60.0):
        yield billing_v1.Sku.to_dict(sku, preserving_proto_field_name=False)


@contextmanager
def _asking() -> Iterator[None]:
    """Turn missing libraries, missing credentials and refusals into a
    :class:`CatalogError` that says what to do.
    """
    try:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import billing_v1  # noqa: F401
    except ImportError:
        raise CatalogError(
            "refreshing GCP prices needs google-cloud-billing",
            where="gcp",
            remedy="pip install 'infra-planner[gcp]'",
        ) from None
    try:
        yield
    except GoogleAuthError as error:
        raise CatalogError(
            f"no Google credentials: {error}",
            where="gcp",
            remedy="Run gcloud auth application-default login; data/catalog/README.md names the role",
        ) from None
    except exceptions.GoogleAPIError as error:
        raise CatalogError(
            f"Google's catalog could not be read: {type(error).__name__}",
            where="gcp",
            got=str(error)[:200],
            remedy="Check the role in data/catalog/README.md, or try again later",
        ) from None
