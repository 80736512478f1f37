"""What a snapshot must not contain, and what the ``basis`` of a price means."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import CatalogError

ACCEPTED = "accepted"
BASIS = {
    "observed": "read from a price list at its date",
    "composed": "added up from component prices (core, memory, accelerator, disk)",
    "rounded": "read from a list that rounds to cents",
    "zone_median": "median over the zones of a sample",
    "zone_mean": "mean over the zones of a region",
    "modeled": "from a published average saving or the discount of a family, on the on-demand price",
    "documented_live_check": "quoted by a third party from a live check",
    "documented_example": "an example in documentation",
    "third_party_brief": "from a third party's summary of the terms",
    "third_party_curated": "from a third party's curated list",
    "approximate": "from guides that give a range",
    "assumed": "commonly published price that nothing here confirms",
    "inferred": "taken from another region or size of the same provider",
    "test_fixture": "from another project's test data",
    "vendor_maximum": "the vendor's 'up to' figure, not an offer",
    ACCEPTED: "read from a price list, far from its own past or its kind, and accepted by hand",
    "contracted": "the unit price of a bill, as agreed for its period",
    "negotiated": "list price after the scenario's price adjustments",
}
WEAK = frozenset({"inferred", "test_fixture", "vendor_maximum"})  # read only when asked for


MOST_USD_PER_H = 10_000.0  # twenty times the dearest machine on sale; more is another currency or unit


def first_day(as_of: str) -> date | None:
    """First day of an ``as_of`` such as 2026-07-20, 2026-09, 2026 or
    2025-11..2026-06; None if unknown.

    The first day, so that an age counted from it is never too young.

    >>> first_day("2025-11..2026-06")
    datetime.date(2025, 11, 1)
    """
    found = re.match(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", as_of)
    return date(int(found[1]), int(found[2] or 1), int(found[3] or 1)) if found else None


def check_rates(file: Path, rates: pd.DataFrame) -> None:
    """Raise :class:`CatalogError` for a zero, negative or missing price, a repeated key, an unknown
    option, spot above on demand.
    """
    price = rates["rate_usd_per_h"]
    _refuse(file, rates, ~(price > 0), "a price must be above zero", "rate_usd_per_h")
    _refuse(file, rates, price > MOST_USD_PER_H, "no machine costs that much an hour", "rate_usd_per_h")
    known = rates["purchase_option"].isin(["on_demand", "spot"])
    _refuse(file, rates, ~known, "purchase_option must be on_demand or spot", "purchase_option")
    _refuse(
        file,
        rates,
        rates.duplicated(["region", "instance_type", "purchase_option"]),
        "this price stands twice",
        "rate_usd_per_h",
    )
    _refuse(file, rates, rates["interruptions_per_h"] < 0, "a hazard must not be negative", "interruptions_per_h")
    _refuse(file, rates, rates["basis"] == "", "a price needs a basis", "basis")
    _refuse(file, rates, rates["as_of"] == "", "a price needs a date", "as_of")
    on_demand = rates[rates["purchase_option"] == "on_demand"].set_index(["region", "instance_type"])["rate_usd_per_h"]
    keys = pd.MultiIndex.from_frame(rates[["region", "instance_type"]])
    limit = on_demand.reindex(keys).to_numpy()
    dear = (rates["purchase_option"] == "spot") & (price > limit * (1 + 1e-9))
    _refuse(file, rates, dear, "the spot price is above on demand", "rate_usd_per_h")


def check_commitments(file: Path, offers: pd.DataFrame) -> None:
    """Raise :class:`CatalogError` for a repeated name, a rate or discount out of range, or a row
    with both or neither.
    """
    rate, discount = offers["rate_usd_per_h"], offers["discount_share"]
    _refuse(file, offers, offers["commitment"].duplicated(), "this commitment stands twice", "commitment")
    _refuse(
        file,
        offers,
        rate.notna() == discount.notna(),
        "give rate_usd_per_h or discount_share, not both",
        "commitment",
    )
    _refuse(file, offers, rate <= 0, "a rate must be above zero", "rate_usd_per_h")
    _refuse(file, offers, (discount <= 0) | (discount >= 1), "a discount must lie between 0 and 1", "discount_share")
    _refuse(file, offers, ~offers["term_months"].isin([1, 6, 12, 36, 60]), "no such term is sold", "term_months")
    _refuse(
        file,
        offers,
        ~offers["payment"].isin(["none", "partial", "all"]),
        "payment must be none, partial or all",
        "payment",
    )


def check_tiers(file: Path, table: pd.DataFrame, column: str) -> None:
    """Raise :class:`CatalogError` for a negative price, or tiers of one price
    that overlap or leave a gap.

    ``column`` tells the prices of a region apart (a storage class, a kind of transfer). Tiers
    are ordered by their start; each begins where the one before it ends. An account's free
    allowance is counted beside the tiers of a region.
    """
    sane = (table["price_usd"] >= 0) & (table["price_usd"] < float("inf"))
    _refuse(file, table, ~sane, "a price must be finite and not negative or missing", "price_usd")
    _refuse(file, table, ~(table["tier_upper"] > table["tier_lower"]), "a tier must end above its start", "tier_upper")
    # an account's free allowance stands beside the tiers of a region
    key = ["region", column, "tier_scope"]
    ordered = table.sort_values([*key, "tier_lower"])
    same = (ordered[key] == ordered[key].shift()).all(axis=1)
    joined = (ordered["tier_lower"] == ordered["tier_upper"].shift()) | (ordered["tier_lower"] == 0)
    _refuse(file, ordered, same & ~joined, "tiers must join without gap or overlap", "tier_lower")
    _refuse(file, ordered, same & (ordered["tier_lower"] == 0), "this price stands twice", "tier_lower")


def _refuse(file: Path, table: pd.DataFrame, bad: pd.Series[Any], what: str, column: str) -> None:
    if not bad.any():
        return
    row = table[bad].iloc[0]
    keys = ("provider", "region", "instance_type", "commitment", "storage_class", "kind", "purchase_option")
    named = [str(row[c]) for c in keys if c in table.columns]
    more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
    raise CatalogError(
        f"{what}{more}",
        where=f"{file}, {' '.join(named)}",
        got=f"{column} = {row[column]}",
        remedy="Mend the row, or refresh the provider's snapshot",
    )
