"""AWS: shapes and spot prices from EC2, list prices and reserved terms from the Price List, Savings
Plans rates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from planner.catalog.answers import Fetched, RawAnswers, within
from planner.catalog.aws_answers import (
    SOLD,
    VARIABLE_MAP,
    on_demand_usd,
    plan_rate,
    reserved,
    sells_plain_linux,
    shape,
    spot_usd,
    tiers,
)
from planner.catalog.aws_bulk import Term, offer_file, read_offers
from planner.catalog.snapshot import require_region
from planner.errors import CatalogError

__all__ = ["PERMISSIONS", "VARIABLE_MAP", "fetch"]

PERMISSIONS = (
    "pricing:GetProducts",
    "pricing:ListPriceLists",
    "pricing:GetPriceListFileUrl",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeSpotPriceHistory",
    "savingsplans:DescribeSavingsPlansOfferingRates",
    "ec2:DescribeReservedInstances",
    "savingsplans:DescribeSavingsPlans",
    "servicequotas:ListServiceQuotas",
    "ec2:GetSpotPlacementScores",
)
ATTEMPTS = 8
# the Price List answers in three regions only; the region asked about is a filter
PRICING_REGION = "us-east-1"


def fetch(regions: Sequence[str], raw: RawAnswers, known: object = None, *, bulk: bool = False) -> Fetched:
    """Everything :func:`planner.catalog.refresh` needs of ``regions``, asked of AWS; keys come from
    boto3's own chain.

    ``bulk`` reads the whole offer file of a region (CSV, streamed) in place of the paged Price
    List: faster for many types. Raises :class:`CatalogError` for a refusal, a connection cut at
    every attempt, and a malformed item.
    """
    del known  # EC2 tells shapes itself
    out = Fetched()
    with asking():
        cloud = Cloud()
        for region in regions:
            require_region(region, cloud.regions())
        for region in regions:
            _fetch_region(region, cloud, raw, out, bulk)
    return out


@contextmanager
def asking() -> Iterator[None]:
    """Turn every refusal, broken connection and missing credential into a :class:`CatalogError`.

    Raises :class:`CatalogError` with what to do: install boto3, sign in, mend the policy, or try
    again.
    """
    try:
        import boto3  # noqa: F401
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError
    except ImportError:
        raise CatalogError(
            "refreshing AWS prices needs boto3",
            where="aws",
            remedy="pip install 'infra-planner[aws]'",
        ) from None
    try:
        yield
    except NoCredentialsError:
        raise CatalogError(
            "no AWS credentials were found",
            where="aws",
            remedy="Sign in as for the AWS CLI (environment, profile or role); data/catalog/README.md has the policy",
        ) from None
    except ClientError as error:
        facts = error.response.get("Error", {})
        raise CatalogError(
            f"AWS refused {error.operation_name}: {facts.get('Code')}",
            where="aws",
            got=facts.get("Message"),
            remedy="Check the policy in data/catalog/README.md, or try again later",
        ) from None
    except ResponseParserError:
        short = "AWS could not be asked: an answer was cut short"
        raise CatalogError(short, where="aws", remedy="Check the network and try again") from None
    except BotoCoreError as error:
        raise CatalogError(
            f"AWS could not be asked: {error}",
            where="aws",
            remedy="Check the network and try again",
        ) from None


class Cloud:
    """Clients of one refresh, made once each; they retry throttling and broken connections with
    growing waits.
    """

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config

        self._session, self._clients = boto3.Session(), dict[tuple[str, str], Any]()
        self._config = Config(
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
            connect_timeout=10,
            read_timeout=60,
        )

    def regions(self) -> list[str]:
        """Names of all regions EC2 is sold in, as the SDK knows them."""
        return [
            r
            for p in self._session.get_available_partitions()
            for r in self._session.get_available_regions("ec2", partition_name=p)
        ]

    def client(self, service: str, region: str) -> Any:
        """The client of a service in a region."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(service, region_name=region, config=self._config)
        return self._clients[service, region]


def _fetch_region(region: str, cloud: Cloud, raw: RawAnswers, out: Fetched, bulk: bool) -> None:
    """Rows of one region: shapes, on-demand and spot prices, reserved terms,
    Savings Plans, disks, egress.

    A type is priced only where it has a shape and one on-demand price; what is left
    out stands in the notes.
    """
    stamp = {"region": region, "provider": "aws", "as_of": raw.as_of}
    shapes = _shapes(region, cloud, raw)
    for row in shapes.values():
        out.add("instances", **row, **stamp, source="AWS describe_instance_types")
    listed, terms = _bulk_prices(region, cloud, raw) if bulk else _listed_prices(region, cloud, raw)
    prices = {name: min(found) for name, found in listed.items() if len(found) == 1}
    out.notes += [
        f"aws {region}: {name} has several on-demand prices and is left out"
        for name, found in listed.items()
        if len(found) > 1
    ]
    unknown = sorted(set(prices) - set(shapes))
    if unknown:
        out.notes.append(
            f"aws {region}: {len(unknown)} priced types without a shape are left out, such as {unknown[0]}"
        )
    for name in sorted(set(prices) & set(shapes)):
        out.add(
            "rates",
            **stamp,
            instance_type=name,
            purchase_option="on_demand",
            rate_usd_per_h=prices[name],
            interruptions_per_h=0.0,
            basis="observed",
            source="AWS Price List",
        )
    for name, kind, months, payment, usd, share in dict.fromkeys(terms):
        if name in shapes and name in prices:
            out.add(
                "commitments",
                **stamp,
                commitment=f"aws/{region}/{name}/{kind}_ri/{months // 12}y/{payment}",
                category="Usage",
                plan_kind=f"{kind.capitalize()} RI",
                scope_kind="instance_type",
                scope=name,
                term_months=months,
                payment=payment,
                rate_usd_per_h=usd,
                upfront_share=share,
                basis="observed",
                source="AWS Price List",
            )
    for name, usd in sorted(_spot(region, cloud, raw).items()):
        if name in shapes:
            out.add(
                "rates",
                **stamp,
                instance_type=name,
                purchase_option="spot",
                rate_usd_per_h=usd,
                basis="zone_median",
                source="AWS describe_spot_price_history, median over zones",
            )
    _plans(region, cloud, raw, out, prices, stamp)
    _volumes_and_egress(region, cloud, raw, out, stamp)


def _shapes(region: str, cloud: Cloud, raw: RawAnswers) -> dict[str, dict[str, Any]]:
    out = {}
    for page in (
        cloud.client("ec2", region)
        .get_paginator("describe_instance_types")
        .paginate(PaginationConfig={"PageSize": 100})
    ):
        for item in page["InstanceTypes"]:
            raw.keep(f"{region}-shapes", item)
            row = shape(item)
            out[row["instance_type"]] = row
    return out


def _products(
    region: str, service: str, filters: Mapping[str, str], cloud: Cloud, raw: RawAnswers, name: str
) -> Iterator[dict[str, Any]]:
    """Entries of the Price List; each comes as JSON in a string."""
    terms = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in filters.items()]
    pages = (
        cloud.client("pricing", PRICING_REGION)
        .get_paginator("get_products")
        .paginate(ServiceCode=service, Filters=terms)
    )
    for page in pages:
        for text in page["PriceList"]:
            try:
                entry = json.loads(text)
            except ValueError:
                raise CatalogError(
                    "an entry of the Price List is not JSON",
                    where=f"aws {region}",
                    got=text,
                    remedy="The provider's answer is malformed; try again later",
                ) from None
            raw.keep(f"{region}-{name}", entry)
            yield entry


def _listed_prices(region: str, cloud: Cloud, raw: RawAnswers) -> tuple[dict[str, set[float]], list[Term]]:
    """Every on-demand price of each type in use on plain Linux, and its reserved terms,
    from the paged Price List.
    """
    prices: dict[str, set[float]] = {}
    terms: list[Term] = []
    for entry in _products(region, "AmazonEC2", {"regionCode": region, **SOLD}, cloud, raw, "prices"):
        sku = str(within(entry, ("product", "sku"), "Price List"))
        facts = within(entry, ("product", "attributes"), sku)
        if not sells_plain_linux(facts) or facts.get("regionCode") != region:
            continue
        name, usd = str(within(facts, ("instanceType",), sku)), on_demand_usd(entry)
        prices.setdefault(name, set()).update({usd} if usd else ())
        terms += [(name, *term) for term in reserved(entry)]
    return prices, terms


def _bulk_prices(region: str, cloud: Cloud, raw: RawAnswers) -> tuple[dict[str, set[float]], list[Term]]:
    prices: dict[str, set[float]] = {}
    with offer_file(cloud.client("pricing", PRICING_REGION), region) as lines:
        offers = read_offers(lines, lambda row: raw.keep(f"{region}-prices", row))
    for name, usd, _ in offers.on_demand:
        prices.setdefault(name, set()).update({usd} if usd else ())
    return prices, offers.reserved


def _spot(region: str, cloud: Cloud, raw: RawAnswers) -> dict[str, float]:
    """Last price before now in each zone: the history lists changes only, so a start of now gives
    one a zone.
    """
    pages = (
        cloud.client("ec2", region)
        .get_paginator("describe_spot_price_history")
        .paginate(ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC), PaginationConfig={"PageSize": 1000})
    )

    def items() -> Iterator[Mapping[str, Any]]:
        for page in pages:
            for item in page["SpotPriceHistory"]:
                raw.keep(f"{region}-spot", item)
                yield item

    return spot_usd(items())


def _plans(
    region: str, cloud: Cloud, raw: RawAnswers, out: Fetched, prices: Mapping[str, float], stamp: Mapping[str, Any]
) -> None:
    """Savings Plans rates as discounts on the on-demand price, one row a family where all its sizes
    get the same discount.
    """
    discounts: dict[tuple[str, str, int, str], dict[str, float]] = {}
    for item in _plan_rates(region, cloud):
        raw.keep(f"{region}-plans", item)
        rate = plan_rate(item)
        if rate is not None and rate[0] in prices and rate[4] < prices[rate[0]]:
            name, plan, months, payment, usd = rate
            discounts.setdefault((name.split(".")[0], plan, months, payment), {})[name] = 1 - usd / prices[name]
    for (family, plan, months, payment), by_type in sorted(discounts.items()):
        title, slug = PLANS.get(plan, PLANS["EC2Instance"])
        even = max(by_type.values()) - min(by_type.values()) < EVEN_DISCOUNT
        for scope, discount in {family: min(by_type.values())}.items() if even else by_type.items():
            out.add(
                "commitments",
                **stamp,
                commitment=f"aws/{region}/{scope}/{slug}/{months // 12}y/{payment}",
                category="Spend",
                plan_kind=title,
                scope_kind="family" if even else "instance_type",
                scope=scope,
                term_months=months,
                payment=payment,
                discount_share=discount,
                upfront_share=UPFRONT_SHARE[payment],
                basis="observed",
                source="AWS describe_savings_plans_offering_rates",
            )


def _plan_rates(region: str, cloud: Cloud) -> Iterator[dict[str, Any]]:
    """All offering rates. A global service without a paginator: nextToken is followed by hand."""
    ask: Callable[..., Any] = cloud.client("savingsplans", PRICING_REGION).describe_savings_plans_offering_rates
    facts = {"region": region, "productDescription": "Linux/UNIX", "tenancy": "shared"}
    given: dict[str, Any] = {
        "savingsPlanTypes": ["Compute", "EC2Instance"],
        "products": ["EC2"],
        "maxResults": 1000,
        "filters": [{"name": k, "values": [v]} for k, v in facts.items()],
    }
    while True:
        page = ask(**given)
        yield from page.get("searchResults", [])
        token = page.get("nextToken")
        if not token:
            return
        if token == given.get("nextToken"):
            raise CatalogError(
                "AWS repeats a page of Savings Plans rates",
                where=f"aws {region}",
                remedy="Try again later",
            )
        given["nextToken"] = token


PLANS = {
    "Compute": ("Compute Savings Plan", "compute_savings_plan"),
    "EC2Instance": ("EC2 Instance Savings Plan", "instance_savings_plan"),
}
# rates are rounded to five places, so discounts within a family differ a little
EVEN_DISCOUNT = 0.002
# a partial Savings Plan asks at least half
UPFRONT_SHARE = {"none": 0.0, "partial": 0.5, "all": 1.0}
_VOLUMES = ("gp3", "gp2", "io2", "st1")


def _volumes_and_egress(region: str, cloud: Cloud, raw: RawAnswers, out: Fetched, stamp: Mapping[str, Any]) -> None:
    """Disks by GiB-month and internet egress by GiB, tier by tier, from the Price List."""
    listed = {**stamp, "basis": "observed", "source": "AWS Price List"}
    for entry in _products(
        region, "AmazonEC2", {"regionCode": region, "productFamily": "Storage"}, cloud, raw, "volumes"
    ):
        volume = entry["product"].get("attributes", {}).get("volumeApiName")
        for lower, upper, usd, unit in tiers(entry) if volume in _VOLUMES else ():
            if unit == "GB-Mo" and usd > 0:
                step = {
                    "tier_lower": lower,
                    "tier_upper": upper,
                    "price_usd": usd,
                    "price_unit": "GiB-month",
                    "tier_scope": "volume",
                }
                out.add("storage", **listed, **step, storage_class=f"block/{volume}")
    away = {"fromRegionCode": region, "transferType": "AWS Outbound", "toLocation": "External"}
    for entry in _products(region, "AWSDataTransfer", away, cloud, raw, "transfer"):
        for lower, upper, usd, _ in tiers(entry):
            step = {
                "tier_lower": lower,
                "tier_upper": upper,
                "price_usd": usd,
                "price_unit": "GiB",
                "tier_scope": "region",
            }
            out.add("network", **listed, **step, kind="egress")
