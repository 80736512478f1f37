"""Azure: the Retail Prices API, asked by region and service; shapes come from the snapshot, the API
has none.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from planner.catalog.answers import Fetched, RawAnswers, bounded, money, open_on_host, within
from planner.catalog.azure_meters import add_disks, add_egress
from planner.catalog.snapshot import require_region
from planner.errors import CatalogError

ENDPOINT = "https://prices.azure.com/api/retail/prices"
VERSION = "2023-01-01-preview"  # the only one that carries savingsPlan
VARIABLE_MAP = {
    "instance_type": "armSkuName",
    "region": "armRegionName",
    "rate_usd_per_h": "retailPrice of type Consumption; whole-term retailPrice / (8760 h · years) of type Reservation",
    "purchase_option": "skuName ending in Spot",
    "discount_share": "1 − savingsPlan[].retailPrice / retailPrice",
    "storage_class": "meterName of a Managed Disks product, such as P10 LRS Disk, and the size of its step",
    "kind": "productName of the meter Standard Data Transfer Out",
}
MAX_PAGES, ATTEMPTS, FIRST_WAIT_S = 2000, 6, 1.0
_YEARS = {"1 Year": 1, "3 Years": 3, "5 Years": 5}

# share of each vCPU that a burstable size earns (Azure documentation, B, Bsv2, Basv2 and Bpsv2
# series)
_B1 = {"B1ls": 0.05, "B1s": 0.10, "B1ms": 0.20, "B2s": 0.20, "B2ms": 0.30, "B4ms": 0.225}


def baseline_share(name: str) -> float:
    """Share of its vCPUs a size sustains; 1 unless it is of a B series.

    >>> baseline_share("Standard_B2ts_v2"), baseline_share("Standard_B2ms"), baseline_share("Standard_D4s_v5")
    (0.2, 0.3, 1.0)
    """
    size = name.removeprefix("Standard_")
    modern = re.match(r"B\d+[pa]?(?P<small>[tl]?)s_v2$", size)
    if modern:
        return {"t": 0.20, "l": 0.30}.get(modern["small"], 0.40)
    return _B1.get(size, 0.16875) if re.match(r"B\d+\w*s$", size) else 1.0


class Offer(NamedTuple):
    """A price of a machine: ``kind`` on_demand, spot, reservation or savings_plan; ``usd`` an hour;
    ``years`` of the term, else 0.
    """

    instance_type: str
    kind: str
    usd: float
    years: int = 0


def offers(item: Mapping[str, Any], region: str) -> Iterator[Offer]:
    """Prices of a Linux machine in an item; none for Windows, Low Priority, Cloud Services,
    dev/test and zero-priced rows.

    Windows differs by the end of productName only; a reservation states the whole term's price
    though its unit says an hour.

    Raises :class:`CatalogError` for a reservation term that is not known.
    """
    name, product = str(item.get("armSkuName", "")), str(item.get("productName", ""))
    words = f"{item.get('skuName', '')}|{item.get('meterName', '')}"
    foreign = item.get("serviceName") != "Virtual Machines" or item.get("armRegionName") != region or not name
    if foreign or product.endswith((" Windows", "Cloud Services", "CloudServices")) or "Low Priority" in words:
        return
    if item.get("type") not in ("Consumption", "Reservation") or item.get("unitOfMeasure") != "1 Hour":
        return
    usd = money(within(item, ("retailPrice",), name), name, str(item.get("currencyCode", "")))
    if usd == 0 or float(item.get("tierMinimumUnits", 0)) > 0:
        return
    if item["type"] == "Reservation":
        years = _YEARS.get(str(item.get("reservationTerm")))
        if years is None:
            raise CatalogError(
                "an unknown reservation term",
                where=name,
                got=item.get("reservationTerm"),
                remedy="Report it",
            )
        yield Offer(name, "reservation", usd / (8760 * years), years)
        return
    spot = re.search(r" Spot(\||$)", words) is not None
    yield Offer(name, "spot" if spot else "on_demand", usd)
    for plan in () if spot else item.get("savingsPlan", ()):
        years = _YEARS.get(str(plan.get("term")))
        rate = money(within(plan, ("retailPrice",), name), name)
        if years and 0 < rate < usd:
            yield Offer(name, "savings_plan", rate, years)


def full_size(name: str) -> str:
    """The full size a constrained one is billed as: Standard_E8-2s_v5 → Standard_E8s_v5; other
    names come back unchanged.

    >>> full_size("Standard_E8-2s_v5"), full_size("Standard_D4s_v5")
    ('Standard_E8s_v5', 'Standard_D4s_v5')
    """
    return re.sub(r"^(Standard_[A-Z]+\d+)-\d+", r"\1", name)


def fetch(
    regions: Sequence[str], raw: RawAnswers, known: pd.DataFrame | None = None, *, endpoint: str = ENDPOINT
) -> Fetched:
    """Prices of the known machines of ``regions``; the API needs no key.

    Raises :class:`CatalogError` for an answer that stays broken after retries, loops, leaves its
    host, or is malformed.
    """
    if known is None or known.empty:
        raise CatalogError(
            "machine shapes are needed: the API has none",
            where="azure",
            remedy="Keep the bundled snapshot and refresh it",
        )
    for region in regions:
        require_region(region, set(known["region"]))
    out = Fetched()
    for region in regions:
        stamp = {
            "region": region,
            "provider": "azure",
            "as_of": raw.as_of,
            "source": "Azure Retail Prices API",
            "basis": "observed",
        }
        found: dict[tuple[str, str, int], set[float]] = {}
        for item in _kept("prices", region, "serviceName eq 'Virtual Machines'", raw, endpoint):
            for offer in offers(item, region):
                found.setdefault((offer.instance_type, offer.kind, offer.years), set()).add(offer.usd)
        _rows(region, _settled(found, region, out.notes), known[known["region"] == region], stamp, out)
        disks = "serviceName eq 'Storage' and contains(productName, 'Managed Disks')"
        add_disks(_kept("disks", region, disks, raw, endpoint), region, stamp, out)
        add_egress(_kept("egress", region, "serviceName eq 'Bandwidth'", raw, endpoint), region, stamp, out)
    return out


def _kept(name: str, region: str, ask: str, raw: RawAnswers, endpoint: str) -> Iterator[dict[str, Any]]:
    for item in items(f"armRegionName eq '{region}' and {ask}", endpoint):
        raw.keep(f"{region}-{name}", item)
        yield item


def _settled(
    found: Mapping[tuple[str, str, int], set[float]], region: str, notes: list[str]
) -> dict[tuple[str, str, int], float]:
    """One price each. The same meter can come twice with another location label; two prices of one
    machine price nothing.
    """
    torn = [key for key, prices in found.items() if max(prices) - min(prices) > 1e-9]
    notes += [f"azure {region}: {name} has several {kind} prices; left out" for name, kind, _ in torn]
    return {key: min(prices) for key, prices in found.items() if key not in torn}


def _rows(
    region: str,
    seen: Mapping[tuple[str, str, int], float],
    shapes: pd.DataFrame,
    stamp: Mapping[str, Any],
    out: Fetched,
) -> None:
    """Rates and commitments of the machines whose shape is known.

    A constrained size without a price of its own takes that of its full size. Commitments
    not below the on-demand price are left out; each is there paid monthly and paid at once,
    which cost the same at Azure.
    """
    names = list(shapes["instance_type"])
    for name in names:
        billed = name if (name, "on_demand", 0) in seen else full_size(name)
        usd = seen.get((billed, "on_demand", 0))
        for option in ("on_demand", "spot"):
            price = seen.get((billed, option, 0))
            if price is not None:
                out.add(
                    "rates",
                    **stamp,
                    instance_type=name,
                    purchase_option=option,
                    rate_usd_per_h=price,
                    interruptions_per_h=0.0 if option == "on_demand" else math.nan,
                )
        for years in (1, 3, 5):
            for kind, category, title in (
                ("reservation", "Usage", "Reservation"),
                ("savings_plan", "Spend", "Savings plan for compute"),
            ):
                price = seen.get((billed, kind, years))
                if price is None or usd is None or price >= usd:
                    continue
                for payment in ("none", "all"):  # both cost the same at Azure
                    out.add(
                        "commitments",
                        **stamp,
                        commitment=f"azure/{region}/{name}/{kind}/{years}y/{payment}",
                        category=category,
                        plan_kind=title,
                        scope_kind="instance_type",
                        scope=name,
                        term_months=12 * years,
                        payment=payment,
                        rate_usd_per_h=price if category == "Usage" else math.nan,
                        discount_share=1 - price / usd if category == "Spend" else math.nan,
                        upfront_share=float(payment == "all"),
                    )
    priced, shaped = {k[0] for k in seen if k[1] == "on_demand"}, set(names)
    if priced - shaped:
        out.notes.append(f"azure {region}: {len(priced - shaped)} priced names without a known shape are left out")


def items(ask: str, endpoint: str = ENDPOINT) -> Iterator[dict[str, Any]]:
    """Items of all pages of an OData filter. A plain ?armRegionName= would not filter and return
    the whole world.

    Raises :class:`CatalogError` where pages repeat, lie on another host, do not end, or hold no
    items.
    """
    query = urllib.parse.urlencode({"api-version": VERSION, "currencyCode": "'USD'", "$filter": ask})
    address, seen = f"{endpoint}?{query}", set[str]()
    host = urllib.parse.urlsplit(endpoint)[:2]
    for _ in range(MAX_PAGES):
        if urllib.parse.urlsplit(address)[:2] != host:
            raise CatalogError(
                "the next page lies on another host",
                where="azure",
                got=address,
                remedy="Do not follow it; try again later",
            )
        if address in seen:
            raise CatalogError("the pages repeat", where="azure", got=address, remedy="Try again later")
        seen.add(address)
        page = _get(address)
        found = page.get("Items")
        if not isinstance(found, list):
            raise CatalogError(
                "an answer without items",
                where="azure",
                got=address,
                remedy="The provider's answer is malformed",
            )
        yield from found
        address = str(page.get("NextPageLink") or "")
        if not address:
            return
    raise CatalogError(f"more than {MAX_PAGES} pages", where="azure", got=ask, remedy="Narrow the filter")


def _get(address: str) -> dict[str, Any]:
    """One page; 429, 5xx and broken connections are tried again with growing waits, or the wait the
    server asks for.
    """
    wait, last = FIRST_WAIT_S, ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(wait)
            wait = min(60.0, wait * 2)
        try:
            # the scheme is that of ENDPOINT
            request = urllib.request.Request(address, headers={"Accept": "application/json"})  # noqa: S310
            with open_on_host(request) as answer:
                body = json.loads(bounded(answer, address), parse_float=Decimal)
            if isinstance(body, dict):
                return body
            last = "the answer is not an object"
        except urllib.error.HTTPError as error:
            last = f"HTTP {error.code}"
            if error.code != 429 and error.code < 500:
                break
            wait = max(wait, _asked_wait(error.headers.items()))
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            last = f"{type(error).__name__}: {error}"
    raise CatalogError(
        f"the Retail Prices API could not be read ({last})",
        where="azure",
        got=address,
        remedy="Check the network and try again later; the old snapshot stays in use",
    )


def _asked_wait(headers: Iterable[tuple[str, str]]) -> float:
    """Seconds that a ``Retry-After`` header asks for, at most 60; 0 without
    one, or where it is a date.

    >>> _asked_wait([("Retry-After", "7")]), _asked_wait([])
    (7.0, 0.0)
    """
    asked = next((v for k, v in headers if k.lower() == "retry-after"), "0")
    return min(60.0, float(asked)) if asked.isdigit() else 0.0
