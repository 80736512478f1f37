"""Reads a real bill: FOCUS 1.0 to 1.2, or AWS cost and usage reports, into the planner's charges.

FOCUS exports write nulls as ``NULL`` or empty; AWS rows carry a rounded EffectiveCost, so
BilledCost is what adds up.
"""

import math
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import PlannerError, one_door

LARGEST_FILE = 128 << 20  # bytes
# column of the cost, and the columns whose words tell what a row is for, by format
_FORMATS = {
    "FOCUS": (
        "BilledCost",
        "ChargePeriodStart",
        "BillingCurrency",
        ("ChargeCategory", "ServiceCategory", "ServiceName", "ResourceType", "ChargeDescription"),
    ),
    "AWS CUR": (
        "lineItem/UnblendedCost",
        "lineItem/UsageStartDate",
        "lineItem/CurrencyCode",
        ("lineItem/LineItemType", "product/ProductName", "lineItem/UsageType", "lineItem/LineItemDescription"),
    ),
    "AWS CUR 2": (
        "line_item_unblended_cost",
        "line_item_usage_start_date",
        "line_item_currency_code",
        ("line_item_line_item_type", "product", "line_item_usage_type", "line_item_line_item_description"),
    ),
}
# the first that matches names the charge; words of the providers' own bills
_CHARGES = (
    ("tax", r"^(Tax)\b"),
    ("credit", r"^(Credit|Refund|Adjustment|EdpDiscount|BundledDiscount)\b"),
    ("load_balancer", r"Load ?Balanc|LCUUsage|Application Gateway|\bLCU\b"),
    ("public_ipv4", r"public IPv4|PublicIPv4|IP Address|ElasticIP|External IP"),
    ("nat", r"NAT ?Gateway|NatGateway|Cloud NAT"),
    ("cross_zone", r"regional data transfer|between EC2 AZs|Inter[- ]?Zone|DataTransfer-Regional|availability zone"),
    ("egress", r"data transfer|DataTransfer-Out|\bEgress\b|Data Transfer Out|Internet.*(Out|Egress)"),
    ("logs", r"CloudWatch.*(log|PutLogEvents)|log data|Log Analytics|Cloud Logging|VendedLog"),
    ("metrics", r"CloudWatch|Cloud Monitoring|Azure Monitor"),
    ("block_storage", r"\bgp[23]\b|provisioned storage|EBS|VolumeUsage|snapshot|Managed Disk|PD Capacity|\bvolume\b"),
    ("object_storage", r"Simple Storage|\bbucket\b|Storage account|Cloud Storage|Blob|TimedStorage"),
    ("other", r"Fargate|Container Service|Lambda|Kubernetes|Relational Database|Machine Learning"),
    (
        "compute",
        r"BoxUsage|SpotUsage|Elastic Compute Cloud|Compute Engine|Virtual Machine|\bCompute\b|Savings ?Plan"
        r"|Instance (Core|Ram)",
    ),
)


@dataclass(frozen=True)
class RealBill:
    """What was paid: ``usd`` by charge, over ``days`` from the first to the last charge, in its
    ``format``.
    """

    usd: dict[str, float]
    days: float
    format: str

    @property
    def usd_per_month(self) -> float:
        """The whole for a month of its own length (a calendar month's bill is one)."""
        return sum(self.usd.values())


def read_bill(path: str | Path) -> RealBill:
    """The charges of a bill file in USD. Raises :class:`PlannerError` with file, row and value of
    what cannot be.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise PlannerError(
                f"the bill is larger than {LARGEST_FILE >> 20} MiB", where=path, remedy="Give one month, by service"
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise PlannerError(f"the bill cannot be read: {error}", where=path, remedy="Give a CSV file") from None
    with one_door(lambda cause: PlannerError(f"the bill is damaged: {cause}", where=path, remedy="Export it again")):
        return _read(pd.read_csv(StringIO(text), dtype="str", keep_default_na=False), path)


def _read(table: pd.DataFrame, path: Path) -> RealBill:
    kind = next((k for k, (cost, *_) in _FORMATS.items() if cost in table), None)
    if kind is None:
        raise PlannerError(
            "the bill is in no format this program reads",
            where=path,
            got=list(table.columns)[:6],
            remedy=f"Give one of {', '.join(_FORMATS)} as CSV, or today.bill.services with totals",
        )
    cost, when, currency, words = _FORMATS[kind]
    _require_usd(table, currency, path)
    usd = _money(table[cost], cost, path)
    told = pd.Series("", index=table.index)
    for c in (c for c in words if c in table):
        told = told + table[c].replace("NULL", "") + " "
    charges = told.map(charge_of)
    sums = pd.Series(usd).groupby(charges.to_numpy()).sum()
    return RealBill({str(k): float(v) for k, v in sums.items()}, _days(table, when), kind)


def charge_of(words: str) -> str:
    """The planner's charge of a bill's row, from the words that describe it; ``other`` if none
    fits.

    >>> charge_of("Usage Networking Elastic Load Balancing $0.0225 per Application LoadBalancer-hour")
    'load_balancer'
    """
    return next((name for name, pattern in _CHARGES if re.search(pattern, words, re.IGNORECASE)), "other")


def _require_usd(table: pd.DataFrame, column: str, path: Path) -> None:
    if column in table:
        other = sorted(set(table[column]) - {"USD", "", "NULL"})
        if other:
            raise PlannerError(
                "the bill is not in USD", where=path, got=other, remedy="Convert it, or give today.bill.services"
            )


def _money(column: "pd.Series[str]", name: str, path: Path) -> Floats:
    words = column.replace({"": "nan", "NULL": "nan"})
    values = pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
    wrong = (np.isnan(values) & (words != "nan").to_numpy()) | (np.abs(values) > 1e12)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PlannerError(
            f"row {row + 2}: {name} is not an amount", where=path, got=column.iloc[row], remedy="Mend it"
        )
    return np.asarray(np.nan_to_num(values))


def _days(table: pd.DataFrame, column: str) -> float:
    """Days from the first to the last day with a charge; NaN where it does not say."""
    if column not in table:
        return math.nan
    stamps = pd.to_datetime(table[column].str.slice(0, 10), errors="coerce", format="%Y-%m-%d").dropna()
    return math.nan if stamps.empty else float((stamps.max() - stamps.min()).days + 1)
