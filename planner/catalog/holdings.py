"""What an account already has and may have: commitments in force and quotas, from a file or asked
of AWS; negotiated price lists.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from planner.catalog.answers import money, within
from planner.catalog.snapshot import Catalog, nearest
from planner.errors import CatalogError, PlannerError, one_door
from planner.scenario import Existing
from planner.scenario.sentences import sentence

_PAYMENTS = {"No Upfront": "none", "Partial Upfront": "partial", "All Upfront": "all"}


class Holdings(NamedTuple):
    """``existing`` commitments as a scenario's ``existing`` takes them, and ``notes`` on those that
    cannot be named there.
    """

    existing: tuple[Existing, ...]
    notes: tuple[str, ...]


def read_holdings(path: str | Path) -> tuple[Existing, ...]:
    """Commitments in force from a CSV with columns ``commitment quantity end region`` (region may
    be empty).

    ``quantity`` counts instances, or USD an hour for a Spend commitment; ``end`` is the first day
    no longer in force. Raises :class:`CatalogError` naming the row of a missing or malformed value.
    """
    path, out = Path(path), []
    for number, row in _rows(path, ("commitment", "quantity", "end")):
        try:
            out.append(Existing.model_validate({k: v for k, v in row.items() if v}))
        except ValidationError as error:
            first = error.errors()[0]
            raise CatalogError(
                f"{'.'.join(map(str, first['loc']))}: {sentence(first, Existing.model_fields)}",
                where=f"{path}, row {number}",
                remedy="Mend the row",
            ) from None
    return tuple(out)


def with_price_list(catalog: Catalog, path: str | Path) -> Catalog:
    """The catalog with negotiated prices from a CSV: ``provider region instance_type
    rate_usd_per_h`` and ``purchase_option``.

    A negotiated price takes the place of the list price, with basis "negotiated" and the file as
    its source; percentages on whole providers, families or services stand in the scenario's
    ``price_adjustments`` instead. Raises :class:`CatalogError` for a malformed row and for a
    machine the catalog does not have.
    """
    path, rates = Path(path), catalog.rates.copy()
    index = {
        k: i
        for i, k in enumerate(
            zip(*(rates[c] for c in ("provider", "region", "instance_type", "purchase_option")), strict=True)
        )
    }
    prices, stamp = (
        rates["rate_usd_per_h"].to_list(),
        datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
    )
    touched = []
    for number, row in _rows(path, ("provider", "region", "instance_type", "rate_usd_per_h")):
        key = (row["provider"], row["region"], row["instance_type"], row.get("purchase_option") or "on_demand")
        where = f"{path}, row {number}"
        if key not in index:
            raise CatalogError(
                "the catalog has no such price",
                where=where,
                got=" ".join(key),
                remedy=nearest(key[2], {k[2] for k in index if k[:2] == key[:2]}),
            )
        usd = money(row["rate_usd_per_h"], where)
        if usd == 0:
            raise CatalogError(
                "a price must be above zero",
                where=where,
                got=usd,
                remedy="Leave the row out to keep the list price",
            )
        prices[index[key]] = usd
        touched.append(index[key])
    rates["rate_usd_per_h"] = prices
    for column, value in (("basis", "negotiated"), ("source", f"negotiated price list {path.name}"), ("as_of", stamp)):
        rates.loc[rates.index[touched], column] = value
    return replace(catalog, rates=rates)


def _rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with their line number, values stripped. Raises :class:`CatalogError` for
    missing columns, a row longer than the header, and a file that is no CSV.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [c for c in needed if c not in (reader.fieldnames or ())]
            if missing:
                raise CatalogError(
                    "the file lacks columns",
                    where=path,
                    got=missing,
                    remedy=f"Its header must name {', '.join(needed)}",
                )
            for number, row in enumerate(reader, start=2):
                if None in row:
                    raise CatalogError(
                        "a row has more cells than the header",
                        where=f"{path}, row {number}",
                        got=row[None],
                        remedy="Quote values that hold a comma",
                    )
                yield number, {str(k): (v or "").strip() for k, v in row.items()}
    except (OSError, ValueError, csv.Error) as error:
        raise CatalogError(f"cannot be read as CSV: {error}", where=path, remedy="Give a UTF-8 CSV file") from None


def _amiss(cause: str) -> PlannerError:
    return CatalogError(f"AWS answered amiss: {cause}", where="aws", remedy="Try again, or write the figures by hand")


def reserved_instance(item: Mapping[str, Any], region: str) -> Existing | str | None:
    """A reserved instance of describe_reserved_instances as a holding; a sentence if it cannot
    be one, None if it is not in force.

    Taken are Linux reservations of shared tenancy for one or three years; the name is that
    of the catalog's own offer, so that its terms are found. Raises :class:`CatalogError`
    where a field is missing.
    """
    name = str(within(item, ("InstanceType",), "reserved instance"))
    if item.get("State") != "active":
        return None
    if not str(item.get("ProductDescription", "")).startswith("Linux/UNIX") or item.get("InstanceTenancy") != "default":
        return (
            f"{name} in {region}: reserved for {item.get('ProductDescription')}, tenancy {item.get('InstanceTenancy')};"
            " not taken"
        )
    payment, years = (
        _PAYMENTS.get(str(item.get("OfferingType"))),
        round(int(within(item, ("Duration",), name)) / 31536000),
    )
    if payment is None or years not in (1, 3):
        return f"{name} in {region}: an unknown reservation ({item.get('OfferingType')}, {years} years); not taken"
    return Existing(
        commitment=f"aws/{region}/{name}/{item.get('OfferingClass', 'standard')}_ri/{years}y/{payment}",
        region=region,
        quantity=float(within(item, ("InstanceCount",), name)),
        end=_day(within(item, ("End",), name)),
    )


def savings_plan(item: Mapping[str, Any]) -> Existing | str | None:
    """A plan of describe_savings_plans as a holding in USD an hour; a compute plan spans
    families and is told in words.

    Raises :class:`CatalogError` for a commitment that is no price in USD.
    """
    kind, state = str(item.get("savingsPlanType")), item.get("state")
    if state != "active":
        return None
    usd, end = (
        money(item.get("commitment"), f"savings plan {kind}", str(item.get("currency", "USD"))),
        _day(item.get("end")),
    )
    payment, years = (
        _PAYMENTS.get(str(item.get("paymentOption"))),
        round(int(item.get("termDurationInSeconds", 0)) / 31536000),
    )
    if kind != "EC2Instance" or payment is None or years not in (1, 3):
        return (
            f"{kind} Savings Plan of {usd:g} USD/h until {end}: it spans families; name the family it is used for by"
            " hand"
        )
    region, family = str(item.get("region")), str(item.get("ec2InstanceFamily"))
    return Existing(
        commitment=f"aws/{region}/{family}/instance_savings_plan/{years}y/{payment}",
        region=region,
        quantity=usd,
        end=end,
    )


def _day(value: Any) -> date:
    when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return when.astimezone(UTC).date()


def account_holdings(regions: Iterable[str]) -> Holdings:
    """Reserved Instances of ``regions`` and Savings Plans of the account, asked of AWS. Raises
    :class:`CatalogError`.
    """
    from planner.catalog.aws import PRICING_REGION, Cloud, asking

    found: list[Existing | str | None] = []
    with asking(), one_door(_amiss):
        cloud = Cloud()
        for region in regions:
            answer = cloud.client("ec2", region).describe_reserved_instances(
                Filters=[{"Name": "state", "Values": ["active"]}]
            )
            found += [reserved_instance(i, region) for i in answer["ReservedInstances"]]
        given: dict[str, Any] = {"states": ["active"]}
        while True:
            answer = cloud.client("savingsplans", PRICING_REGION).describe_savings_plans(**given)
            found += [savings_plan(i) for i in answer["savingsPlans"]]
            if not answer.get("nextToken"):
                break
            given["nextToken"] = answer["nextToken"]
    held = tuple(f for f in found if isinstance(f, Existing))
    return Holdings(held, tuple(f for f in found if isinstance(f, str)))


def instance_quota(quotas: Iterable[Mapping[str, Any]], shapes: pd.DataFrame) -> dict[str, int]:
    """How many of each machine the account may run on demand: ⌊vCPU quota of its class / its
    vCPUs⌋, for ``limits.quota``.

    AWS counts vCPUs over a class of families ("Standard (A, C, D, H, I, M, R, T, Z)"), so the
    machines of one class share the figure; ``shapes`` as ``catalog.instances``.  A family whose
    class is not listed gets no entry.
    """
    by_letter: dict[str, float] = {}
    for item in quotas:
        named = re.match(r"Running On-Demand (?P<what>.+?) instances$", str(item.get("QuotaName", "")))
        if named:
            inside = re.search(r"\((.+)\)", named["what"])
            letters = inside[1] if inside else "u" if named["what"] == "High Memory" else named["what"]
            by_letter |= dict.fromkeys(re.split(r",\s*|\s+and\s+", letters.lower()), float(item.get("Value", math.nan)))
    out = {}
    for name, family, vcpus in zip(shapes["instance_type"], shapes["family"], shapes["vcpus"], strict=True):
        letters = re.match(r"[a-z]+", str(family))
        limit = by_letter.get(letters[0], math.nan) if letters else math.nan
        if not math.isnan(limit):
            out[str(name)] = int(limit // float(vcpus))
    return out


def shapes_sold(region: str, instance_types: Sequence[str]) -> pd.DataFrame:
    """Machines of AWS in a region (rows of ``catalog.instances``). Raises :class:`CatalogError` for
    a name it does not have.
    """
    shapes = Catalog.read("aws", regions=[region]).select(instance_types=instance_types).instances
    for name in sorted(set(instance_types) - set(shapes["instance_type"])):
        raise CatalogError("the catalog has no such machine there", where=region, got=name)
    return shapes


def account_quota(region: str, shapes: pd.DataFrame) -> dict[str, int]:
    """:func:`instance_quota` asked of AWS Service Quotas for ``region``. Raises
    :class:`CatalogError`.
    """
    from planner.catalog.aws import Cloud, asking

    with asking(), one_door(_amiss):
        pages = (
            Cloud().client("service-quotas", region).get_paginator("list_service_quotas").paginate(ServiceCode="ec2")
        )
        return instance_quota((q for page in pages for q in page["Quotas"]), shapes[shapes["region"] == region])


def spot_scores(regions: Sequence[str], instance_types: Sequence[str], count: int) -> pd.DataFrame:
    """How likely a spot request for ``count`` of these machines succeeds now, by zone: AWS's
    placement score, 10 likely to 1 unlikely.

    The score is of this moment and says nothing about interruptions.  Columns: region zone score.
    Raises :class:`CatalogError`.
    """
    from planner.catalog.aws import Cloud, asking

    with asking(), one_door(_amiss):
        pages = (
            Cloud()
            .client("ec2", regions[0])
            .get_paginator("get_spot_placement_scores")
            .paginate(
                InstanceTypes=list(instance_types),
                TargetCapacity=count,
                RegionNames=list(regions),
                SingleAvailabilityZone=True,
            )
        )
        rows = [
            (s["Region"], s.get("AvailabilityZoneId", ""), int(s["Score"]))
            for page in pages
            for s in page["SpotPlacementScores"]
        ]
    return pd.DataFrame(rows, columns=["region", "zone", "score"]).sort_values(
        "score", ascending=False, ignore_index=True
    )
