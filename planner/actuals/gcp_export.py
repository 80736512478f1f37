"""Google Cloud billing export to BigQuery (standard and detailed usage cost), rows as JSON, CSV or
Parquet.

Cost of a row = ``cost`` + Σ ``credits.amount`` (credits are negative).  The export has no amortized
figure: fees of committed use are billed as rows of their own, and what they cover comes back as a
credit on the usage.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner.actuals.rows import finished, tags_of
from planner.actuals.table import Table
from planner.arrays import Floats

NAME = "GCP billing export"
_COVERING = (
    "COMMITTED_USAGE_DISCOUNT",
    "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE",
    "FEE_UTILIZATION_OFFSET",
)
_FREE = ("PROMOTION", "FREE_TIER", "SUBSCRIPTION_BENEFIT")
_CATEGORY = {"tax": "tax", "adjustment": "adjustment", "rounding_error": "adjustment"}


def knows(table: Table) -> bool:
    """Whether the columns are those of the export."""
    return table.has("cost", "skudescription") or table.has("cost", "servicedescription", "usagestarttime")


def read(table: Table, usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The rows as frame ``actuals``, in USD by ``currency_conversion_rate`` where the bill is in
    another currency. Raises :class:`PlannerError` naming the row of what cannot be.
    """
    sku, credits_ = table.text("skudescription"), _credits(table)
    cost, given = table.money("cost"), credits_.sum(axis=1)
    covered = (credits_[:, 0] < 0) & (-credits_[:, 0] >= 0.5 * np.abs(cost))
    fee = sku.str.contains(r"^Commitment\b|\bCommitment v\d|commitment - dollar based", case=False)
    machine, cores = (
        _label(table, "machine_spec"),
        pd.to_numeric(_label(table, "cores"), errors="coerce"),
    )
    compute = sku.str.contains(r"\b(?:Instance )?Core\b", case=False) & cores.notna().to_numpy()
    ram = sku.str.contains(r"\bRam\b", case=False) & (machine != "")
    amount = table.number("usageamountinpricingunits")
    each = cores.where(cores > 0, 1.0).to_numpy(float)
    quantity = np.where(ram, 0.0, np.where(compute, amount / each, amount))
    kind = table.text("costtype").str.lower()
    category = kind.map(_CATEGORY).fillna("usage").mask(fee, "purchase")
    rate = table.number("currencyconversionrate")
    own = np.isnan(rate) | (rate == 0) | (table.text("currency") == "USD").to_numpy()
    local = 1 / np.where(own, 1.0, rate)
    converted = ~np.isnan(rate) & (rate != 0)
    option = pd.Series("on_demand", index=sku.index).mask(sku.str.contains("Spot|Preemptible"), "spot")
    return finished(
        table,
        {
            "ts": table.instant("usagestarttime"),
            "charge_end": table.instant("usageendtime"),
            "provider": pd.Series("gcp", index=sku.index),
            "region": table.text("locationregion"),
            "provider_service": table.text("servicedescription"),
            "charge": pd.Series("", index=sku.index).mask(fee, "commitment_fee"),
            "resource": machine,
            "charge_category": category.mask((cost == 0) & (given < 0) & ~covered, "credit"),
            "purchase_option": option.mask(covered | fee, "committed"),
            "account": table.text("projectid"),
            "tags": tags_of(table.text("labels")),
            "currency": table.text("currency").where(~converted, "USD"),
            "words": table.words("costtype").where(kind == "tax", "") + sku + " " + table.text("servicedescription"),
            "quantity": quantity,
            "unit": table.text("usagepricingunit", "usageunit").where(~compute & ~ram, "hour"),
            "list_cost_usd": table.number("costatlist") * local,
            "billed_cost_usd": (cost + given) * local,
        },
        usd_per,
    )


def _credits(table: Table) -> Floats:
    """Amounts of credits by row: of committed use, of promotions, of all else; shape (n, 3).

    Raises :class:`PlannerError` naming the row whose credits are no JSON list with amounts.
    """
    cells, known = table.text("credits"), {}
    for cell in cells.unique():
        try:
            known[cell] = _split(cell)
        except (ValueError, TypeError, AttributeError):
            table.refuse(
                (cells == cell).to_numpy(),
                cells,
                "credits",
                "is no JSON list of credits with amounts",
            )
    return np.array([known[c] for c in cells], dtype=np.float64).reshape(-1, 3)


def _split(cell: str) -> tuple[float, float, float]:
    found: list[dict[str, Any]] = json.loads(cell) if cell else []
    sums = [0.0, 0.0, 0.0]
    for c in found:
        kind = str(c.get("type", ""))
        sums[0 if kind in _COVERING else 1 if kind in _FREE else 2] += float(c.get("amount", 0.0))
    return sums[0], sums[1], sums[2]


def _label(table: Table, name: str) -> "pd.Series[str]":
    """A system label that Compute Engine writes: ``machine_spec``, ``cores`` or ``memory``."""
    labels = tags_of(table.text("systemlabels"))
    found = labels.str.extract(rf'"compute\.googleapis\.com/{name}": "([^"]*)"', expand=False)
    return found.fillna("").astype("str")
