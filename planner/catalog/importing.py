"""Own prices without code: a provider's offer file, an Azure reply, a bill or a CSV becomes a
snapshot beside the bundled one.

A file says by its own columns what it is.  Machines are known by name from any region of the
bundled snapshot; storage and network prices that a new region lacks are taken from the provider's
first region, as ``assumed``.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from planner.catalog import azure
from planner.catalog.answers import Fetched, money
from planner.catalog.aws_answers import on_demand_usd, reserved, sells_plain_linux
from planner.catalog.aws_bulk import read_offers
from planner.catalog.checks import MOST_USD_PER_H
from planner.catalog.snapshot import nearest
from planner.errors import MALFORMED, CatalogError

LARGEST_BYTES = 4 * 2**30  # the EC2 offer file of a region is half a GiB
_PROVIDERS = {
    "aws": "aws",
    "amazon web services": "aws",
    "azure": "azure",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "gcp": "gcp",
    "google cloud": "gcp",
}
# where a bill names the machine, its region, its provider and the price agreed for an hour
_BILL = {
    "machine": ("x_InstanceType", "InstanceType", "product/instanceType", "product_instance_type", "x_SkuMeterName"),
    "region": ("RegionId", "product/region", "product_region_code", "product/regionCode"),
    "provider": ("ProviderName", "ServiceProviderName"),
    "usd": ("ContractedUnitPrice", "pricing/publicOnDemandRate", "lineItem/UnblendedRate", "line_item_unblended_rate"),
    "unit": ("PricingUnit", "pricing/unit", "pricing_unit"),
    "text": ("ChargeDescription", "lineItem/LineItemDescription", "line_item_line_item_description"),
    "currency": ("BillingCurrency", "lineItem/CurrencyCode", "line_item_currency_code"),
}
_FOREIGN = re.compile(r"windows|dedicated|\bhost\b|\brhel\b|red hat|\bsuse?\b|\bsql\b|spot|reserved|savings plan", re.I)
# columns of our own files that say nothing of a price
_BESIDE = ("source", "as_of", "basis", "interruptions_per_h", "note", "notes")
_OWN = ("region", "instance_type", "purchase_option", "rate_usd_per_h")


class Price(NamedTuple):
    """A price read: on demand, spot, or a commitment with its plan, term [months] and payment."""

    provider: str
    region: str
    instance_type: str
    option: str
    usd_per_h: float
    basis: str
    plan: str = ""
    months: int = 0
    payment: str = ""
    upfront_share: float = 0.0


def read_prices(file: str | Path, machines: Mapping[str, Iterable[str]], region: str | None = None) -> list[Price]:
    """All prices of known ``machines`` (names by provider) in a file, or
    in all files of a folder.

    ``region`` is that of an AWS offer file, which names it in words only. Raises
    :class:`CatalogError` for a file of no known kind, one without a single price of a known
    machine, and any value that is no price, with its line.
    """
    path = Path(file)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    found = [price for one in files for price in _read(one, region, machines)]
    known = {provider: frozenset(names) for provider, names in machines.items()}
    kept = [_possible(p, path) for p in found if p.instance_type in known.get(p.provider, ())]
    if not kept:
        raise CatalogError(
            "no price of a known machine stands in it",
            where=path,
            got=f"{len(found)} prices of other names" if found else None,
            remedy="Give an EC2 offer file, an Azure retail price reply, a FOCUS or CUR bill, or a CSV with the"
            f" columns provider, {', '.join(_OWN)}",
        )
    return kept


def _possible(price: Price, path: Path) -> Price:
    """``price`` itself. Raises :class:`CatalogError` for one of no region, or that no machine has."""
    if not price.region or not 0 < price.usd_per_h <= MOST_USD_PER_H:
        raise CatalogError(
            f"a price needs a region, and more than 0 and at most {MOST_USD_PER_H:,.0f} USD an hour",
            where=path,
            got=f"{price.instance_type} {price.usd_per_h:g} USD/h",
            remedy="Mend that row, or give the provider's file as it was downloaded",
        )
    return price


def _read(path: Path, region: str | None, machines: Mapping[str, Iterable[str]]) -> list[Price]:
    """Prices of one file by its kind: JSON by its first sign, else a table. Raises
    :class:`CatalogError` for a file that is too large or cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise CatalogError("the file is too large", where=path, got=path.stat().st_size, remedy="Split it")
        with path.open(encoding="utf-8-sig", newline="") as file:
            if file.read(1).strip() in ("{", "["):
                file.seek(0)
                return list(_documents(json.load(file), path, region))
            file.seek(0)
            return list(_lines(file, path, region, machines))
    except CatalogError as error:
        if error.where.startswith(str(path)):
            raise
        raise CatalogError(  # said by a reader of answers, which knows no file
            error.what,
            where=f"{path}, {error.where}",
            got=error.got,
            remedy="Give the provider's file as it was downloaded",
        ) from None
    except (OSError, *MALFORMED) as error:
        raise CatalogError(
            f"the file cannot be read: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            where=path,
            remedy="Give the provider's file as it was downloaded",
        ) from None


def _documents(body: Any, path: Path, region: str | None) -> Iterator[Price]:
    """An Azure reply (one page or a list of items), or an EC2 offer file as JSON."""
    if isinstance(body, dict) and "products" in body and "terms" in body:
        yield from _offer_document(body, path, region)
        return
    items = body.get("Items") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise CatalogError("neither an Azure reply nor an offer file", where=path, remedy="Give the file as downloaded")
    for item in items:
        place = str(item.get("armRegionName", ""))
        for offer in azure.offers(item, place):
            months = 12 * offer.years
            if offer.kind in ("on_demand", "spot"):
                yield Price("azure", place, offer.instance_type, offer.kind, offer.usd, "observed")
            else:
                for payment in ("none", "all"):
                    yield Price(
                        "azure", place, offer.instance_type, "commitment", offer.usd, "observed",
                        offer.kind, months, payment, float(payment == "all"),
                    )  # fmt: skip


def _offer_document(body: Mapping[str, Any], path: Path, region: str | None) -> Iterator[Price]:
    terms = body["terms"]
    for sku, product in body["products"].items():
        facts = product.get("attributes", {})
        if not sells_plain_linux(facts):
            continue
        place = str(facts.get("regionCode") or _needed(region, path))
        name = str(facts.get("instanceType", ""))
        entry = {
            "product": product | {"sku": sku},
            "terms": {k: terms.get(k, {}).get(sku, {}) for k in ("OnDemand", "Reserved")},
        }
        usd = on_demand_usd(entry)
        if usd:
            yield Price("aws", place, name, "on_demand", usd, "observed")
        for kind, months, payment, rate, share in reserved(entry):
            yield Price("aws", place, name, "commitment", rate, "observed", f"{kind}_ri", months, payment, share)


def _lines(
    file: Iterable[str], path: Path, region: str | None, machines: Mapping[str, Iterable[str]]
) -> Iterator[Price]:
    """A CSV: an EC2 offer file, a bill, or our own columns."""
    lines = iter(file)
    first = next(lines, "")
    if first.lstrip('"').startswith("FormatVersion"):
        place = _needed(region, path)
        offers = read_offers(itertools.chain([first], lines))
        for name, usd, _ in offers.on_demand:
            if usd:
                yield Price("aws", place, name, "on_demand", usd, "observed")
        for name, kind, months, payment, rate, share in offers.reserved:
            yield Price("aws", place, name, "commitment", rate, "observed", f"{kind}_ri", months, payment, share)
        return
    mark = max(",;\t", key=first.count)
    rows = csv.DictReader(itertools.chain([first], lines), delimiter=mark)
    head = rows.fieldnames or []
    if all(c in head for c in _OWN):
        yield from _own(rows, path, machines)
    else:
        yield from _bill(rows, {k: next((c for c in v if c in head), "") for k, v in _BILL.items()}, path, machines)


def _own(rows: csv.DictReader[str], path: Path, machines: Mapping[str, Iterable[str]]) -> Iterator[Price]:
    """Prices in our own columns. Raises :class:`CatalogError` with the row of a provider, a machine
    or a column that is not known, of what is no price in USD, and of a second price.
    """
    known = {provider: frozenset(names) for provider, names in machines.items()}
    strange = sorted(map(str, {*(rows.fieldnames or ())} - {"provider", *_OWN, *_BESIDE}))
    if strange:
        remedy = f"Leave it out; the columns are provider, {', '.join(_OWN)}, and {', '.join(_BESIDE)} for notes"
        what = "a column that is not known may change what a price means"
        raise CatalogError(what, where=path, got=strange, remedy=remedy)
    seen: dict[tuple[str, ...], float] = {}
    for number, row in enumerate(rows, start=2):
        where, option = f"{path}, row {number}", row["purchase_option"]
        told = (row.get("provider") or "aws").strip()
        provider = _PROVIDERS.get(told.lower(), told)
        if provider not in known:
            raise CatalogError("no such provider", where=where, got=told, remedy=nearest(provider, known))
        if row["instance_type"] not in known[provider]:
            near = nearest(row["instance_type"], known[provider])
            raise CatalogError("no such machine is known", where=where, got=row["instance_type"], remedy=near)
        usd = _own_usd(row["rate_usd_per_h"], where)
        if option not in ("on_demand", "spot") or not usd > 0:
            what = "a price must be above zero" if option in ("on_demand", "spot") else "no such purchase option"
            raise CatalogError(what, where=where, got=dict(row), remedy="Write on_demand or spot, and USD an hour")
        key = (provider, row["region"], row["instance_type"], option)
        if seen.setdefault(key, usd) != usd:
            got = f"{seen[key]:g} and {usd:g} USD/h"
            raise CatalogError("the machine has two prices", where=where, got=got, remedy="Leave one of the rows in")
        yield Price(provider, row["region"], row["instance_type"], option, usd, "observed")


def _own_usd(text: str | None, where: str) -> float:
    """A price that a person wrote [USD]; a comma alone is the decimal mark. Raises
    :class:`CatalogError` for anything but a number.
    """
    plain = re.sub(r"^(\d+),(\d+)$", r"\1.\2", (text or "").strip())
    try:
        return money(plain, where)
    except CatalogError as error:
        remedy = "Write the number alone, in USD an hour, such as 0.192"
        raise CatalogError(error.what, where=where, got=text, remedy=remedy) from None


def _bill(
    rows: csv.DictReader[str],
    at: Mapping[str, str],
    path: Path,
    machines: Mapping[str, Iterable[str]],
) -> Iterator[Price]:
    """Unit prices agreed for hours of plain Linux machines, one for each machine and region."""
    if not at["usd"] or not at["region"]:
        raise CatalogError(
            "neither a bill nor a price list",
            where=path,
            got=(rows.fieldnames or [])[:8],
            remedy=f"A bill has ContractedUnitPrice and RegionId; a price list {', '.join(_OWN)}",
        )
    names = {provider: frozenset(n) for provider, n in machines.items()}
    seen: dict[tuple[str, str, str], float] = {}
    for number, row in enumerate(rows, start=2):
        text = row.get(at["text"], "") or ""
        provider = _PROVIDERS.get((row.get(at["provider"], "AWS") or "").lower(), "")
        name = (row.get(at["machine"], "") or "") if at["machine"] else ""
        if name not in names.get(provider, ()):
            name = next((w for w in re.split(r"[\s,;()]+", text) if w in names.get(provider, ())), "")
        usd, hours = row.get(at["usd"]) or "", (row.get(at["unit"], "Hours") or "Hours").lower()
        if not name or not hours.startswith(("hour", "hrs")) or _FOREIGN.search(text) or usd in ("", "NULL"):
            continue
        if row.get("PricingCategory", "Standard") not in ("Standard", "On-Demand", "OnDemand", ""):
            continue
        price = money(usd, f"{path}, row {number}", row.get(at["currency"], "USD") or "USD")
        key = (provider, row[at["region"]], name)
        if price == 0:  # nothing was charged: no price is told
            continue
        if abs(seen.setdefault(key, price) / price - 1) > 1e-6:
            raise CatalogError(
                "one machine has two prices in this bill",
                where=f"{path}, row {number}",
                got=f"{name} {seen[key]:g} and {price:g} USD/h",
                remedy="Give the bill of one period after the price changed",
            )
    yield from (Price(p, r, n, "on_demand", usd, "contracted") for (p, r, n), usd in seen.items())


def _needed(region: str | None, path: Path) -> str:
    if region is None:
        raise CatalogError("an offer file does not name its region", where=path, remedy="Add --region NAME")
    return region


_TITLES = {"reservation": ("Usage", "Reservation"), "savings_plan": ("Spend", "Savings plan for compute")}


def as_rows(prices: Iterable[Price], old: Mapping[str, pd.DataFrame], source: str) -> Fetched:
    """Prices of one provider as rows of a snapshot: shapes by name, what else the regions hold
    already, and storage and network of the first region where they hold none.
    """
    out, read = Fetched(), list(prices)
    day = datetime.now(UTC).date().isoformat()
    regions = list(dict.fromkeys(p.region for p in read))
    listed = {(p.region, p.instance_type): p.usd_per_h for p in read if p.option == "on_demand"}
    for p in read:
        stamp = {"region": p.region, "basis": p.basis, "source": source, "as_of": day}
        if p.option in ("on_demand", "spot"):
            out.add(
                "rates",
                **stamp,
                instance_type=p.instance_type,
                purchase_option=p.option,
                rate_usd_per_h=p.usd_per_h,
                interruptions_per_h=0.0 if p.option == "on_demand" else math.nan,
            )
        else:
            _commitment(out, p, stamp, listed.get((p.region, p.instance_type)))
    _kept(out, old, regions)
    return out


def _commitment(out: Fetched, p: Price, stamp: Mapping[str, Any], listed: float | None) -> None:
    category, title = _TITLES.get(p.plan, ("Usage", f"{p.plan.removesuffix('_ri').capitalize()} RI"))
    if listed is None or p.usd_per_h >= listed:
        return
    discount = category == "Spend"
    out.add(
        "commitments",
        **stamp,
        commitment=f"{p.provider}/{p.region}/{p.instance_type}/{p.plan}/{p.months // 12}y/{p.payment}",
        category=category,
        plan_kind=title,
        scope_kind="instance_type",
        scope=p.instance_type,
        term_months=p.months,
        payment=p.payment,
        rate_usd_per_h=math.nan if discount else p.usd_per_h,
        discount_share=1 - p.usd_per_h / listed if discount else math.nan,
        upfront_share=p.upfront_share,
    )


def _kept(out: Fetched, old: Mapping[str, pd.DataFrame], regions: list[str]) -> None:
    """Rows of the regions that the file does not replace, and what a new region borrows."""
    shapes = old["instances"]
    by_name = shapes.drop_duplicates("instance_type").set_index("instance_type", drop=False)
    for region in regions:
        priced = {r["instance_type"] for r in out.rows["rates"] if r["region"] == region}
        own = shapes[shapes["region"] == region]
        for row in own.to_dict("records"):
            out.add("instances", **{str(k): v for k, v in row.items()})
        for name in sorted(priced - set(own["instance_type"])):
            out.add("instances", **{str(k): v for k, v in by_name.loc[name].items()} | {"region": region})
        keys = {"rates": ("instance_type", "purchase_option"), "commitments": ("commitment",)}
        for frame, columns in keys.items():
            new = {tuple(r[c] for c in columns) for r in out.rows.get(frame, []) if r["region"] == region}
            here = old[frame][old[frame]["region"] == region]
            for row in here.to_dict("records"):
                if tuple(row[c] for c in columns) not in new:
                    out.add(frame, **{str(k): v for k, v in row.items()})
        _borrowed(out, old, region)


def _borrowed(out: Fetched, old: Mapping[str, pd.DataFrame], region: str) -> None:
    """Storage and network prices of a region without its own, taken from the provider's first
    region (us-east-1 where it has one), as ``assumed``, with a note.
    """
    for frame in ("storage", "network"):
        parts = [old[n] for n in (frame, f"{frame}_assumed") if n in old]
        table = pd.concat(parts, ignore_index=True)
        if region in set(table["region"]):
            continue
        first = "us-east-1" if "us-east-1" in set(table["region"]) else str(table["region"].iloc[0])
        for row in table[table["region"] == first].to_dict("records"):
            told = {"region": region, "basis": "assumed", "source": f"taken equal to {first}; none was imported"}
            out.add(frame, **{str(k): v for k, v in row.items()} | told)
        out.notes.append(f"{region}: no {frame} prices were given; those of {first} stand in, as assumed")
