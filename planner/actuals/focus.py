"""FOCUS 1.0 to 1.3 (FinOps Open Cost and Usage Specification), as any provider or tool exports it.

Nulls are empty or ``NULL``; AWS exports of 1.0 round EffectiveCost, so that only BilledCost adds up
to the invoice to the cent.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner.actuals.rows import finished, first, provider_of, tags_of
from planner.actuals.table import Table

NAME = "FOCUS"
_WORDS = (
    "chargecategory",
    "servicecategory",
    "servicename",
    "resourcetype",
    "skumeter",
    "chargedescription",
)


def knows(table: Table) -> bool:
    """Whether the columns are those of FOCUS."""
    return table.has("billedcost")


def read(table: Table, usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The rows as frame ``actuals``. Raises :class:`PlannerError` naming
    the row of what cannot be.
    """
    category, status = (table.text(n).str.lower() for n in ("chargecategory", "commitmentdiscountstatus"))
    bought = (category == "purchase") & (table.text("commitmentdiscountid") != "")
    once = table.text("chargefrequency").str.lower() == "one-time"
    charge = pd.Series("", index=category.index).mask(bought & once, "commitment_purchase")
    charge = charge.mask(bought & ~once, "commitment_fee").mask(status == "unused", "commitment_unused")
    pricing = table.text("pricingcategory").str.lower()
    option = pricing.map({"dynamic": "spot", "committed": "committed"}).fillna("on_demand")
    option = option.mask(bought | (status != ""), "committed")
    quantity, unit = table.number("pricingquantity"), table.text("pricingunit")
    used, used_unit = table.number("consumedquantity"), table.text("consumedunit")
    missing = np.isnan(quantity)
    return finished(
        table,
        {
            "ts": table.instant("chargeperiodstart"),
            "charge_end": table.instant("chargeperiodend"),
            "provider": provider_of(table.text("serviceprovidername", "hostprovidername", "providername")),
            "region": first(table.text("regionid"), table.text("regionname")),
            "provider_service": table.text("servicename"),
            "charge": charge,
            "charge_category": _category(category, table.text("chargeclass").str.lower()),
            "purchase_option": option,
            "commitment": table.text("commitmentdiscountid"),
            "account": table.text("subaccountid", "billingaccountid"),
            "tags": tags_of(table.text("tags")),
            "currency": table.text("billingcurrency"),
            "words": table.words(*_WORDS) + " " + table.text("skupricedetails", "resourcename"),
            "quantity": np.where(missing, used, quantity),
            "unit": unit.where(~missing, used_unit),
            "list_cost_usd": table.number("listcost"),
            "effective_cost_usd": table.number("effectivecost"),
            # what a commitment pays for is not billed: exports leave it empty
            "billed_cost_usd": table.money("billedcost", spared=(status != "") & (option == "committed")),
        },
        usd_per,
    )


def _category(category: "pd.Series[str]", kind: "pd.Series[str]") -> "pd.Series[str]":
    """usage, purchase, tax, credit, adjustment; a correction of an earlier month is an adjustment,
    one that gives money back stays what it is called.
    """
    found = category.where(category.isin(["usage", "purchase", "tax", "credit", "adjustment"]), "usage")
    return found.mask((kind == "correction") & found.isin(["usage", "purchase"]), "adjustment")
