"""What every row of a FOCUS dataset must hold (FOCUS 1.2, written from the text of the specification); the
validator judges whole columns and lets single wrong rows through."""

import json

import numpy as np
import pandas as pd

ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "CommitmentDiscountStatus": {"Used", "Unused", ""},
    "CommitmentDiscountCategory": {"Usage", "Spend", ""},
    "ServiceCategory": {"Compute", "Storage", "Networking", "Management and Governance", "Databases", "Other"},
    "BillingCurrency": {"USD"},
    "PricingCurrency": {"USD"},
    "ChargeClass": {""},
    "InvoiceId": {""},
}
NEVER_EMPTY = (
    *("BillingAccountId", "BillingAccountName", "BillingPeriodStart", "BillingPeriodEnd"),
    *("ChargePeriodStart", "ChargePeriodEnd", "ChargeDescription", "InvoiceIssuerName", "ServiceName"),
    *("ServiceSubcategory", "SkuId", "SkuPriceId", "PricingUnit", "Tags"),
    *("x_ScenarioId", "x_ScenarioState", "x_Quantile", "x_Method"),
)
MONEY = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def read(path) -> pd.DataFrame:
    """A dataset as it lies in the file: nulls are empty text, numbers are numbers."""
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    numbers = [c for c in frame if c in MONEY or c.endswith(("Quantity", "UnitPrice", "P10", "P90"))]
    return frame.assign(**{c: pd.to_numeric(frame[c].replace("", np.nan)) for c in numbers})


def faults(rows: pd.DataFrame) -> list[str]:
    """Each rule that some row breaks, with the first such row."""
    usage, bought = rows["ChargeCategory"] == "Usage", rows["ChargeCategory"] == "Purchase"
    unused, named = rows["CommitmentDiscountStatus"] == "Unused", rows["CommitmentDiscountId"] != ""
    rules = {f"{c} is one of {sorted(v)}": rows[c].isin(v) for c, v in ALLOWED.items()}
    rules |= {f"{c} is never empty": rows[c] != "" for c in NEVER_EMPTY}
    rules |= {f"{c} is a number": rows[c].notna() for c in (*MONEY, "PricingQuantity", "ListUnitPrice")}
    rules |= {f"{c} is UTC": rows[c].str.fullmatch(STAMP) for c in rows if c.endswith(("PeriodStart", "PeriodEnd"))}
    rules |= {
        "a purchase is not usage based": ~(bought & (rows["ChargeFrequency"] == "Usage-Based")),
        "a purchase has a Standard price": ~(bought & (rows["PricingCategory"] != "Standard")),
        "a purchase has no effective cost": ~(bought & (rows["EffectiveCost"] != 0)),
        "what is covered has no cash": ~(usage & named & (rows["BilledCost"] != 0)),
        "status stands on usage of a commitment": (usage & named) == (rows["CommitmentDiscountStatus"] != ""),
        "committed is priced so": ~(usage & named & (rows["PricingCategory"] != "Committed")),
        "a commitment has its quantity": named == rows["CommitmentDiscountQuantity"].notna(),
        "consumed quantity stands on usage": (usage & ~unused) == rows["ConsumedQuantity"].notna(),
        "consumed quantity has a unit": rows["ConsumedQuantity"].notna() == (rows["ConsumedUnit"] != ""),
        "list cost is price times quantity": _product(rows, "ListUnitPrice", "ListCost"),
        "contracted cost is price times quantity": _product(rows, "ContractedUnitPrice", "ContractedCost"),
        "a charge lies in its billing period": (rows["ChargePeriodStart"] >= rows["BillingPeriodStart"])
        & (rows["ChargePeriodEnd"] <= rows["BillingPeriodEnd"]),
        "a charge takes time": rows["ChargePeriodStart"] < rows["ChargePeriodEnd"],
        "a price has one SKU": rows.groupby("SkuPriceId")["SkuId"].transform("nunique") == 1,
        "a subcategory has one category": rows.groupby("ServiceSubcategory")["ServiceCategory"].transform("nunique")
        == 1,
        "tags are an object": rows["Tags"].map(lambda text: isinstance(json.loads(text), dict)),
    }
    return [f"{rule}: row {int(np.argmin(held))}" for rule, held in rules.items() if not held.all()]


def _product(rows: pd.DataFrame, price: str, cost: str) -> "pd.Series[bool]":
    return np.isclose(rows[price] * rows["PricingQuantity"], rows[cost], rtol=1e-9, atol=1e-9) & rows[cost].notna()
