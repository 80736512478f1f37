"""AWS Cost Explorer: answers of ``get_cost_and_usage``, saved as JSON or asked of the account.

Two questions make one bill without overlap: usage by usage type and one tag, and all that is no
usage (taxes, credits, refunds) by record type and the same tag.  The account pays one cent a page.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import pandas as pd

from planner.actuals.rows import finished, tags_of
from planner.actuals.table import Table
from planner.errors import PlannerError

NAME = "AWS Cost Explorer"
_ASIDE = ["Tax", "Credit", "Refund", "Enterprise Discount Program Discount", "Bundled Discount"]
_METRICS = ["UnblendedCost", "AmortizedCost", "UsageQuantity"]
_FEES = {
    "Reserved Instance": "commitment_fee",
    "Recurring reservation fee": "commitment_fee",
    "Upfront reservation fee": "commitment_purchase",
    "Savings Plan Recurring Fee": "commitment_fee",
    "Savings Plan Upfront Fee": "commitment_purchase",
}
PAGES = 1000


def knows(table: Table) -> bool:
    """Whether this is a saved answer, or rows that :func:`ask_cost_explorer` made of one."""
    return table.has("resultsbytime") or table.has("unblendedcost", "periodstart")


def read(table: Table, usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The groups of each day or month as frame ``actuals``. Raises :class:`PlannerError` for an
    answer without costs, and for one page of several.
    """
    if table.has("resultsbytime"):
        if (table.text("nextpagetoken") != "").any():
            raise PlannerError(
                "this is one page of several",
                where=table.where,
                remedy="Save all pages, or --actual cost-explorer",
            )
        answers = [{"ResultsByTime": json.loads(cell)} for cell in table.text("resultsbytime") if cell]
        keys = [json.loads(c) if c else [] for c in table.text("groupdefinitions")]
        rows = [r for a, k in zip(answers, keys, strict=True) for r in _rows({**a, "GroupDefinitions": k})]
        if not rows:
            raise PlannerError(
                "the answer holds no costs",
                where=table.where,
                remedy="Ask for a period with charges",
            )
        table = Table(pd.DataFrame(rows, dtype="str"), table.where)
    kind = table.text("recordtype")
    category = kind.str.lower().where(kind.isin(["Tax", "Credit", "Refund"]), "usage")
    category = category.mask(kind.str.contains("Discount"), "credit").mask(kind.isin(list(_FEES)), "purchase")
    usage = table.text("usagetype")
    machine = usage.str.extract(r"(?:BoxUsage|SpotUsage|HeavyUsage):(\S+)", expand=False).fillna("")
    hours = usage.str.contains("Usage:|IdleAddress|InUseAddress|NatGateway-Hours|LoadBalancerUsage")
    option = pd.Series("on_demand", index=usage.index).mask(usage.str.contains("SpotUsage"), "spot")
    return finished(
        table,
        {
            "ts": table.instant("periodstart"),
            "charge_end": table.instant("periodend"),
            "provider": pd.Series("aws", index=usage.index),
            "region": table.text("region"),
            "provider_service": table.text("service"),
            "charge": kind.map(_FEES).fillna(""),
            "resource": machine,
            "charge_category": category,
            "purchase_option": option.mask(kind.isin(list(_FEES)), "committed"),
            "commitment": table.text(""),
            "account": table.text("linkedaccount"),
            "tags": tags_of(table.text("tags")),
            "currency": table.text("currency"),
            "words": table.words("recordtype", "service", "usagetype"),
            "quantity": table.number("usagequantity"),
            "unit": table.text("usageunit").where(~hours, "Hrs"),
            "effective_cost_usd": table.number("amortizedcost"),
            "billed_cost_usd": table.number("unblendedcost"),
        },
        usd_per,
    )


def _rows(answer: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """One row a group of each period; a period without groups is one row of its total."""
    names = [(str(d.get("Type")), str(d.get("Key"))) for d in answer.get("GroupDefinitions") or []]
    for result in answer["ResultsByTime"]:
        period = {
            "periodstart": result["TimePeriod"]["Start"],
            "periodend": result["TimePeriod"]["End"],
        }
        groups = result.get("Groups") or [{"Keys": [], "Metrics": result.get("Total") or {}}]
        for group in groups:
            row = {**period, **_keys(names, group.get("Keys") or []), **_figures(group["Metrics"])}
            if "unblendedcost" in row:
                yield row


def _keys(names: list[tuple[str, str]], keys: list[str]) -> dict[str, str]:
    found, tags = {}, {}
    for k, key in enumerate(keys):
        kind, name = names[k] if k < len(names) else ("TAG" if "$" in key else "DIMENSION", "SERVICE")
        if kind == "TAG":
            tags[key.partition("$")[0] or name] = key.partition("$")[2]
        else:
            found[name.replace("_", "").lower()] = key
    return {**found, "tags": json.dumps(tags) if tags else ""}


def _figures(metrics: Mapping[str, Any]) -> dict[str, str]:
    found = {n.lower(): str(m["Amount"]) for n, m in metrics.items()}
    if "UnblendedCost" in metrics:
        found["currency"] = str(metrics["UnblendedCost"].get("Unit", "USD"))
    if "UsageQuantity" in metrics:
        found["usageunit"] = str(metrics["UsageQuantity"].get("Unit", "")).replace("N/A", "")
    return found


def ask_cost_explorer(start: date, end: date, *, tag: str = "service", client: Any = None) -> pd.DataFrame:
    """The account's costs by day from ``start`` to ``end`` (exclusive) as frame ``actuals``.

    ``tag``: the cost allocation tag whose value names the service.  Needs the extra ``aws`` and
    the right ``ce:GetCostAndUsage``.  Raises :class:`PlannerError` without boto3, for an answer of
    AWS that refuses, and for an account without costs in the period.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise PlannerError("asking AWS needs boto3", remedy="pip install 'infra-planner[aws]'") from None
    aside: dict[str, Any] = {"Dimensions": {"Key": "RECORD_TYPE", "Values": _ASIDE}}
    try:
        asked = client or boto3.client("ce", region_name="us-east-1")
        rows = [
            row
            for dimension, only in (("USAGE_TYPE", {"Not": aside}), ("RECORD_TYPE", aside))
            for answer in _pages(asked, start, end, dimension, tag, only)
            for row in _rows(answer)
        ]
    except (BotoCoreError, ClientError) as error:
        raise PlannerError(
            f"AWS Cost Explorer does not answer: {error}",
            remedy="Allow ce:GetCostAndUsage, or save a bill as a file",
        ) from None
    if not rows:
        raise PlannerError(
            "the account has no costs in the period",
            got=f"{start} to {end}",
            remedy="Give --actual",
        )
    return read(Table(pd.DataFrame(rows, dtype="str"), "Cost Explorer"), {})


def _pages(
    client: Any, start: date, end: date, dimension: str, tag: str, only: Mapping[str, Any]
) -> Iterable[Mapping[str, Any]]:
    """All pages of one question; a token that repeats or never ends is an error."""
    asked: dict[str, Any] = {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "DAILY",
        "Metrics": _METRICS,
        "GroupBy": [{"Type": "DIMENSION", "Key": dimension}, {"Type": "TAG", "Key": tag}],
        "Filter": only,
    }
    seen: set[str] = set()
    while len(seen) < PAGES:
        answer = client.get_cost_and_usage(**asked)
        yield {**answer, "GroupDefinitions": asked["GroupBy"]}
        token = answer.get("NextPageToken")
        if not token:
            return
        if token in seen:
            break
        seen.add(token)
        asked["NextPageToken"] = token
    raise PlannerError("AWS Cost Explorer sends the same page again and again", remedy="Save a bill as a file")
