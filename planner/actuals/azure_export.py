"""Azure cost export, actual or amortized (Cost Management; EA, MCA and CSP column names).

The actual file holds purchases of reservations and covered usage at 0; the amortized file holds
covered usage at its share of the purchase and what was left unused.  Each knows only its own view.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner.actuals.rows import finished, first, tags_of
from planner.actuals.table import Table

NAME = "Azure cost export"
_CATEGORY = {
    "purchase": "purchase",
    "refund": "refund",
    "tax": "tax",
    "credit": "credit",
    "roundingadjustment": "adjustment",
}
_OPTION = {"spot": "spot", "reservation": "committed", "savingsplan": "committed"}
_UNUSED = ("unusedreservation", "unusedsavingsplan")


def knows(table: Table) -> bool:
    """Whether the columns are those of the export.

    ``Cost`` alone is not enough: other clouds name a column so too.
    """
    cost = any(table.has(c) for c in ("costinbillingcurrency", "pretaxcost", "cost"))
    return cost and table.has("metercategory")


def read(table: Table, usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The rows as frame ``actuals``. Raises :class:`PlannerError` naming
    the row of what cannot be.
    """
    kind = table.text("chargetype").str.lower()
    model = table.text("pricingmodel").str.lower().str.replace(" ", "")
    held = first(table.text("benefitid"), table.text("reservationid"))
    bought = (kind == "purchase") & (held != "")
    in_usd = table.has("costinusd") and not table.text("costinusd").eq("").any()
    money = table.money(*(("costinusd",) if in_usd else ("costinbillingcurrency", "pretaxcost", "cost")))
    covered = model.isin(["reservation", "savingsplan"]) & (kind == "usage")
    amortized = bool((kind.isin(_UNUSED) | (covered & (money != 0))).any())
    only_here = covered | kind.isin(_UNUSED) | bought
    own, other = money, np.where(only_here, np.nan, money)
    once = table.text("frequency").str.lower() == "onetime"
    charge = pd.Series("", index=kind.index).mask(bought & once, "commitment_purchase")
    charge = charge.mask(bought & ~once, "commitment_fee").mask(kind.isin(_UNUSED), "commitment_unused")
    words = ("metercategory", "metersubcategory", "metername", "productname", "product")
    start = table.instant("date", "usagedatetime", "usagedate")
    return finished(
        table,
        {
            "ts": start,
            "charge_end": start + pd.Timedelta(days=1),
            "provider": pd.Series("azure", index=kind.index),
            "region": table.text("resourcelocation", "meterregion").str.lower().str.replace(" ", ""),
            "provider_service": table.text("metercategory"),
            "charge": charge,
            "charge_category": kind.map(_CATEGORY).fillna("usage"),
            "purchase_option": model.map(_OPTION).fillna("on_demand").mask(bought | kind.isin(_UNUSED), "committed"),
            "commitment": held,
            "account": table.text("subscriptionid", "subscriptionguid"),
            "tags": tags_of(table.text("tags")),
            "currency": table.text("") if in_usd else table.text("billingcurrency", "billingcurrencycode", "currency"),
            "words": table.words("chargetype", *words) + " " + table.text("additionalinfo"),
            "quantity": table.number("quantity", "usagequantity", "consumedquantity"),
            "unit": table.text("unitofmeasure"),
            "list_cost_usd": table.number("paygcostinbillingcurrency"),
            "effective_cost_usd": own if amortized else other,
            "billed_cost_usd": other if amortized else own,
        },
        usd_per,
    )
