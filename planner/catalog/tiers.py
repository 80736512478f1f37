"""Tiered prices: each tier is filled once an account and month, lowest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.errors import CatalogError


class Tier(NamedTuple):
    """``price_usd`` [USD per ``unit``] of the quantity between ``lower`` and ``upper`` [units a month]; ``scope`` fills it."""

    lower: float
    upper: float
    price_usd: float
    unit: str = ""
    scope: str = "region"
    basis: str = ""
    source: str = ""
    as_of: str = ""


def tier_cost(tiers: Sequence[Tier], quantity: float) -> float:
    """Cost [USD] of ``quantity`` units in one month: Σ_k price_k · (min(quantity, upper_k) − lower_k)⁺.

    ``tiers`` as :meth:`Catalog.tiers` returns them.  Give the quantity of the whole account: two services that share a tier
    are one call, or the cheap tail (and the free head) is counted twice.  Raises :class:`CatalogError` for a negative
    quantity and for one beyond the last tier.
    """
    if not quantity >= 0:
        raise CatalogError("a quantity must not be negative", got=quantity)
    last = max(t.upper for t in tiers)
    if quantity > last * (1 + 1e-12):
        raise CatalogError(f"no price is known beyond {last:g} {tiers[-1].unit}", got=quantity,
                           remedy="Spread the quantity, or refresh the snapshot")
    return sum(t.price_usd * max(0.0, min(quantity, t.upper) - t.lower) for t in tiers)
