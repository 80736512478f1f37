"""AWS cost and usage reports, CUR 1 (``lineItem/UnblendedCost``) and CUR 2 (``line_item_…``).

Amortized cost by line item type (AWS, Cost and Usage Report user guide): what is covered counts at
``EffectiveCost`` of its reservation or savings plan, recurring fees count what was left unused, and
upfront fees and negations count nothing.
"""

import json
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner.actuals.rows import finished, tags_of
from planner.actuals.table import Table
from planner.arrays import Floats

NAME = "AWS CUR"
_CATEGORY = {
    "Tax": "tax",
    "Credit": "credit",
    "Refund": "refund",
    "RIFee": "purchase",
    "SavingsPlanRecurringFee": "purchase",
    "SavingsPlanUpfrontFee": "purchase",
    "EdpDiscount": "credit",
    "BundledDiscount": "credit",
    "PrivateRateDiscount": "credit",
    "Discount": "credit",
}
_CHARGE = {
    "RIFee": "commitment_fee",
    "SavingsPlanRecurringFee": "commitment_fee",
    "SavingsPlanUpfrontFee": "commitment_purchase",
    "SavingsPlanNegation": "compute",
}
_COVERED = ("DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation")


def knows(table: Table) -> bool:
    """Whether the columns are those of either report."""
    return table.has("lineitemunblendedcost")


def read(table: Table, usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The rows as frame ``actuals``. Raises :class:`PlannerError` naming
    the row of what cannot be.
    """
    kind, usage = table.text("lineitemlineitemtype"), table.text("lineitemusagetype")
    held = table.words("reservationreservationarn", "savingsplansavingsplanarn")
    bought = (kind == "Fee") & (held != "")
    option = pd.Series("on_demand", index=kind.index).mask(usage.str.contains("SpotUsage"), "spot")
    billed = table.money("lineitemunblendedcost")
    quantity = table.number("lineitemusageamount")
    words = (
        "lineitemlineitemtype",
        "productproductname",
        "lineitemproductcode",
        "lineitemusagetype",
    )
    told = (
        table.words(*words) + " " + table.text("lineitemlineitemdescription") + " " + _product(table, "instance_type")
    )
    return finished(
        table,
        {
            "ts": table.instant("lineitemusagestartdate", "billbillingperiodstartdate"),
            "charge_end": table.instant("lineitemusageenddate", "billbillingperiodenddate"),
            "provider": pd.Series("aws", index=kind.index),
            "region": _product(table, "region"),
            "provider_service": table.text("productproductname", "lineitemproductcode"),
            "charge": kind.map(_CHARGE).fillna("").mask(bought, "commitment_purchase"),
            "resource": _product(table, "instance_type"),
            "charge_category": kind.map(_CATEGORY).fillna("usage").mask(kind == "Fee", "purchase"),
            "purchase_option": option.mask(kind.isin(_COVERED) | (held != ""), "committed"),
            "commitment": held,
            "account": table.text("lineitemusageaccountid"),
            "tags": _tagged(table),
            "currency": table.text("lineitemcurrencycode"),
            "words": told,
            "quantity": np.where(kind == "SavingsPlanNegation", 0.0, quantity),
            "unit": _unit(table, usage),
            "list_cost_usd": table.number("pricingpublicondemandcost"),
            "effective_cost_usd": _effective(table, kind, bought, billed),
            "billed_cost_usd": billed,
        },
        usd_per,
    )


def _product(table: Table, name: str) -> "pd.Series[str]":
    """An attribute of the product: a column of its own, or an entry of the map of CUR 2."""
    own = table.text("product" + name.replace("_", ""))
    if name == "region":
        own = own.where(own != "", table.text("productregioncode"))
    named = tags_of(table.text("product")).str.extract(rf'"{name}": "([^"]*)"', expand=False)
    return own.where(own != "", named.fillna("")).astype("str")


def _tagged(table: Table) -> "pd.Series[str]":
    """Tags: the map of CUR 2, or the columns ``resourceTags/user:NAME`` of CUR 1."""
    if table.has("resourcetags"):
        found = tags_of(table.text("resourcetags"))
        return found.str.replace('"user_', '"').str.replace('"user:', '"').astype("str")
    named = {p: re.split(r"[/:.]", w)[-1] for p, w in table.written.items() if p.startswith("resourcetags")}
    rows = pd.DataFrame({n.removeprefix("user_"): table.text(p) for p, n in named.items()})
    if rows.empty:
        return table.text("")
    return tags_of(pd.Series([json.dumps(r) for r in rows.to_dict("records")], dtype="str"))


def _unit(table: Table, usage: "pd.Series[str]") -> "pd.Series[str]":
    """The pricing unit; without it the hours of machines, addresses, gateways and balancers."""
    hours = usage.str.contains(r"Usage:|IdleAddress|InUseAddress|NatGateway-Hours|LoadBalancerUsage")
    own = table.text("pricingunit")
    return own.where(own != "", pd.Series(np.where(hours, "Hrs", ""), index=usage.index, dtype="str")).astype("str")


def _effective(table: Table, kind: "pd.Series[str]", bought: "pd.Series[bool]", billed: Floats) -> Floats:
    """Amortized cost of each row; NaN where the report lacks the column it needs."""
    found = np.where(kind.isin(["SavingsPlanNegation", "SavingsPlanUpfrontFee"]) | bought, 0.0, billed)
    unused = table.number("reservationunusedamortizedupfrontfeeforbillingperiod") + table.number(
        "reservationunusedrecurringfee"
    )
    committed = table.number("savingsplantotalcommitmenttodate") - table.number("savingsplanusedcommitment")
    for name, value in (
        ("DiscountedUsage", table.number("reservationeffectivecost")),
        ("SavingsPlanCoveredUsage", table.number("savingsplansavingsplaneffectivecost")),
        ("RIFee", unused),
        ("SavingsPlanRecurringFee", committed),
    ):
        found = np.where(kind == name, value, found)
    return np.asarray(found, dtype=np.float64)
