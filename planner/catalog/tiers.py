"""Tiered prices: each tier is filled once an account and month, lowest first."""

from __future__ import annotations

from typing import NamedTuple


class Tier(NamedTuple):
    """``price_usd`` [USD per ``unit``] of the quantity between ``lower`` and ``upper`` [units a
    month]; ``scope`` fills it.
    """

    lower: float
    upper: float
    price_usd: float
    unit: str = ""
    scope: str = "region"
    basis: str = ""
    source: str = ""
    as_of: str = ""
