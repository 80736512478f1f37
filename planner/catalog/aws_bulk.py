"""The EC2 offer file of one region as CSV, read line by line: about half a gigabyte that never
stands in memory.
"""

from __future__ import annotations

import csv
import http.client
import io
import urllib.error
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from planner.catalog import aws_answers
from planner.catalog.answers import money, open_on_host
from planner.errors import CatalogError

# column of the file: attribute of the Price List
_ATTRIBUTES = {
    "Operating System": "operatingSystem",
    "Tenancy": "tenancy",
    "Pre Installed S/W": "preInstalledSw",
    "License Model": "licenseModel",
    "CapacityStatus": "capacitystatus",
    "MarketOption": "marketoption",
    "Location Type": "locationType",
    "usageType": "usagetype",
}
_NEEDED = ("SKU", "OfferTermCode", "TermType", "Unit", "PricePerUnit", "Currency", "Instance Type", *_ATTRIBUTES)


# type, class, months, payment, effective USD/h, upfront share
Term = tuple[str, str, int, str, float, float]


class Offers(NamedTuple):
    """``on_demand`` (type, USD/h, SKU) and ``reserved`` terms of the plain Linux machines of a
    file.
    """

    on_demand: list[tuple[str, float, str]]
    reserved: list[Term]


@contextmanager
def offer_file(pricing: Any, region: str) -> Iterator[Iterable[str]]:
    """Lines of the current EC2 offer file of a region, as they arrive.

    Raises :class:`CatalogError` where a region has no such file, it is not served over https, or it
    was cut short.
    """
    found = pricing.list_price_lists(
        ServiceCode="AmazonEC2",
        EffectiveDate=datetime.now(UTC),
        RegionCode=region,
        CurrencyCode="USD",
    )["PriceLists"]
    if not found:
        raise CatalogError("AWS has no EC2 offer file", where=f"aws {region}", remedy="Check the region's name")
    address = pricing.get_price_list_file_url(PriceListArn=found[0]["PriceListArn"], FileFormat="csv")["Url"]
    if not address.startswith(("https://", "http://127.0.0.1")):
        raise CatalogError("the offer file is not served over https", where=f"aws {region}", got=address)
    try:
        with open_on_host(address) as answer:
            yield io.TextIOWrapper(answer, encoding="utf-8", newline="")
            if answer.length:  # a connection that ends early looks like the end of the file
                raise OSError(f"{answer.length} bytes are missing")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise CatalogError(
            f"the offer file was cut short: {error}", where=f"aws {region}", remedy="Try again"
        ) from None


def read_offers(lines: Iterable[str], keep: Callable[[Mapping[str, str]], None] = lambda _: None) -> Offers:
    """Prices of plain Linux machines. The file opens with lines about itself and ends with a whole
    row, or it was cut.

    Raises :class:`CatalogError` for another file, or a row that is cut short.
    """
    rows = csv.reader(lines)
    header = next((r for r in rows if r and r[0] == "SKU"), None)
    missing = [c for c in _NEEDED if c not in (header or ())]
    if header is None or missing:
        raise CatalogError(
            "this is not an EC2 offer file",
            where="offer file",
            got=missing,
            remedy="Ask for FileFormat csv",
        )
    on_demand: list[tuple[str, float, str]] = []
    parts: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        if len(row) != len(header):
            raise CatalogError(
                "a row of the offer file is cut short",
                where=f"line {rows.line_num}",
                got=row[:3],
                remedy="Try again",
            )
        facts = dict(zip(header, row, strict=True))
        if not aws_answers.sells_plain_linux({a: facts[c] for c, a in _ATTRIBUTES.items()}):
            continue
        keep({c: facts[c] for c in _NEEDED})
        usd = money(facts["PricePerUnit"], f"line {rows.line_num}", facts["Currency"])
        if facts["TermType"] == "OnDemand":
            on_demand.append((facts["Instance Type"], usd, facts["SKU"]))
        else:
            key = (
                facts["SKU"],
                facts["OfferTermCode"],
                facts["Instance Type"],
                facts["OfferingClass"],
                facts["LeaseContractLength"],
                facts["PurchaseOption"],
            )
            parts.setdefault(key, [0.0, 0.0])[facts["Unit"] == "Quantity"] += usd
    return Offers(on_demand, [t for k, p in parts.items() for t in _term(k, *p)])


def _term(key: tuple[str, ...], hourly: float, upfront: float) -> Iterator[Term]:
    """A reserved term from its two rows of the file, hours and upfront, read as the
    Price List's own entry is.
    """
    sku, _, name, kind, length, option = key
    entry = {
        "product": {"sku": sku},
        "terms": {
            "Reserved": {
                "t": {
                    "termAttributes": {
                        "LeaseContractLength": length.replace(" ", ""),
                        "PurchaseOption": option,
                        "OfferingClass": kind,
                    },
                    "priceDimensions": {
                        "h": {"unit": "Hrs", "pricePerUnit": {"USD": hourly}},
                        "q": {"unit": "Quantity", "pricePerUnit": {"USD": upfront}},
                    },
                }
            }
        },
    }
    for term in aws_answers.reserved(entry):
        yield (name, *term)
