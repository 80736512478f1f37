"""Offers held against each other: a price that its kind contradicts is set aside with its reason.

A snapshot may be right by its own past and still hold the wrong thing: the price of the machine
with a Windows licence, of one card where eight are meant, of a month or a cent for an hour. Each
rule compares an offer with its kind only, asks for several witnesses, and is wide enough to keep
every price that was ever observed: sizes of a series differ by up to 1.4 times a vCPU, the dearest
market of a card asks six times the cheapest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.arrays import Flags
from planner.catalog.checks import ACCEPTED

KEY = ["provider", "region", "instance_type"]
SET_ASIDE = [*KEY, "purchase_option", "rate_usd_per_h", "reason"]
# a licence of Windows Server as all three clouds add it to the Linux price [USD/h a vCPU], and the
# share of it that small burstable sizes pay (price lists of 2026)
LICENCES = {0.046: 0.012, 0.0046: 0.03}  # with the share by which rounded prices miss it
_LEVEL = 0.02  # sizes whose price for each vCPU differs by less are of one level
_SLIP = 2.5  # a size this many times dearer or cheaper than its series, by vCPU and by GiB alike
_CARD_LOW, _CARD_HIGH = 0.22, 8.0  # of the median over sellers of one kind of card
_PART = 0.2  # of the median over one seller's machines with this card
_SELLERS = 3  # witnesses for a kind of card
_SPOT_LOW = 0.02  # of on demand; the deepest market seen sells at 0.09
_AZURE = re.compile(r"Standard_([A-Z]+)(\d+)(?:-\d+)?(.*)")


@dataclass(frozen=True)
class _Rule:
    """Rows to set aside, and what to say of each, with ``{got}`` and ``{usual}`` [USD/h]."""

    rows: Flags
    got: pd.Series[float]
    usual: pd.Series[float]
    says: str


def set_aside(instances: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """Rates that others of their kind contradict: ``provider region instance_type purchase_option
    rate_usd_per_h reason``; empty where there are none.

    What somebody accepted by hand is neither set aside nor a witness. Nothing is compared across
    kinds: series of sizes, cards, or one machine's spot with its own price on demand.
    """
    priced = rates.loc[rates["basis"] != ACCEPTED, [*KEY, "purchase_option", "rate_usd_per_h"]]
    table = priced.merge(_named(instances), on=KEY, how="left")
    option = table["purchase_option"]
    demand, spot = table[option == "on_demand"], table[option == "spot"]
    plain = demand[demand["accelerators"] == 0]
    found = [
        *(_said(plain, rule) for rule in (_licence(plain), _slip(plain))),
        *(_said(t, _outlier(t)) for t in (_cards(demand), _cards(spot))),
        _said(demand, _part(demand)),
        _said(spot, _dry(spot, demand)),
    ]
    return pd.concat(found, ignore_index=True).drop_duplicates([*KEY, "purchase_option"])


def _named(instances: pd.DataFrame) -> pd.DataFrame:
    """Shapes with the series and the whole vCPUs of each size."""
    kind = ["provider", "instance_type"]
    names = instances[[*kind, "family"]].drop_duplicates(kind)
    found = [series(*n) for n in names.itertuples(index=False, name=None)]
    named = names[kind].assign(series=[s for s, _ in found], whole_vcpus=[w for _, w in found])
    shapes = instances[[*KEY, "family", "vcpus", "memory_gib", "accelerator", "accelerators"]]
    table = shapes.merge(named, on=kind, how="left")
    return table.assign(whole_vcpus=table["whole_vcpus"].fillna(table["vcpus"]))


def series(provider: str, instance_type: str, family: str) -> tuple[str, float]:
    """What sizes of a machine are priced alike, and the vCPUs of the whole size where the name says
    more than are switched on (Azure's E16-4ads_v5), else NaN.
    """
    if provider == "azure" and (found := _AZURE.fullmatch(instance_type)):
        return f"{found[1]}{found[3]}", float(found[2]) if "-" in instance_type else np.nan
    if provider == "gcp":
        return re.sub(r"-\d+[a-z]*", "", instance_type, count=1), np.nan
    return (f"{family}.metal" if "metal" in instance_type else family), np.nan


def _said(table: pd.DataFrame, rule: _Rule) -> pd.DataFrame:
    out = table.loc[rule.rows, SET_ASIDE[:-1]]
    pairs = zip(rule.got[rule.rows], rule.usual[rule.rows], strict=True)
    reasons = [rule.says.format(got=got, usual=usual) for got, usual in pairs]
    return out.assign(reason=pd.Series(reasons, index=out.index, dtype="str"))


def _by_series(table: pd.DataFrame, column: str) -> pd.Series[float]:
    """Price for each unit of ``column`` [USD/h]."""
    return table["rate_usd_per_h"] / table[column]


def _lowest_level(table: pd.DataFrame, each: pd.Series[float]) -> pd.Series[float]:
    """The lowest price for each unit that two or more sizes of a series share, NaN if no two do."""
    ordered = pd.DataFrame({"place": _place(table), "each": each}).sort_values(["place", "each"])
    following = ordered["each"].shift(-1).where(ordered["place"] == ordered["place"].shift(-1))
    close = ordered[following / ordered["each"] < 1 + _LEVEL].drop_duplicates("place")
    shared = close.set_index("place")["each"]
    return pd.Series(shared.reindex(_place(table)).to_numpy(), index=table.index)


def _place(table: pd.DataFrame) -> pd.Series[str]:
    """The series of a region, as one text."""
    return table["provider"] + " " + table["region"] + " " + table["series"]


def _licence(table: pd.DataFrame) -> _Rule:
    """A size dearer than its series by just a Windows licence for each vCPU."""
    each = _by_series(table, "whole_vcpus")
    level = _lowest_level(table, each)
    above = (each - level).to_numpy()
    near = np.zeros(len(table), dtype=bool)
    for licence, off in LICENCES.items():
        near |= np.abs(above / licence - 1.0) < off
    # where one size differs by its own shape, that is no licence
    memory = _by_series(table, "memory_gib")
    near &= (memory > _lowest_level(table, memory) * (1 + _LEVEL)).to_numpy()
    says = "{got:.4f} USD/h a vCPU where its series costs {usual:.4f}: the difference is a Windows licence"
    return _Rule(near, each, level, says)


def _slip(table: pd.DataFrame) -> _Rule:
    """A size far from its series both by vCPU and by GiB: a slipped decimal, another unit."""
    far = np.ones(len(table), dtype=bool)
    place = _place(table)
    each = _by_series(table, "whole_vcpus")
    for column in ("whole_vcpus", "memory_gib"):
        own = _by_series(table, column)
        ratio = own / own.groupby(place).transform("median")
        far &= ((ratio > _SLIP) | (ratio < 1 / _SLIP)).to_numpy()
    far &= (each.groupby(place).transform("size") >= 3).to_numpy()
    says = "{got:.4g} USD/h a vCPU where the median of its series is {usual:.4g}"
    return _Rule(far, each, each.groupby(place).transform("median"), says)


def _cards(table: pd.DataFrame) -> pd.DataFrame:
    """Offers with accelerators, with the price of one and its median over sellers of the kind."""
    cards = table[table["accelerators"] > 0].copy()
    cards["each"] = cards["rate_usd_per_h"] / cards["accelerators"]
    cards["seller"] = np.where(cards["provider"] == "gpu_cloud", cards["family"], cards["provider"])
    asked = cards.groupby(["accelerator", "seller"])["each"].median().groupby("accelerator")
    return cards.join(asked.agg(usual="median", sellers="size"), on="accelerator")


def _outlier(cards: pd.DataFrame) -> _Rule:
    """A card far below or above what sellers of its kind ask."""
    ratio, witnesses = cards["each"] / cards["usual"], cards["sellers"] >= _SELLERS
    says = "{got:.2f} USD/h a card where the median over sellers is {usual:.2f}"
    odd = witnesses & ((ratio < _CARD_LOW) | (ratio > _CARD_HIGH))
    return _Rule(odd.to_numpy(), cards["each"], cards["usual"], says)


def _part(demand: pd.DataFrame) -> _Rule:
    """A machine of several cards at the price of one, by the other machines of its own seller."""
    each = demand["rate_usd_per_h"] / demand["accelerators"].where(demand["accelerators"] > 1)
    own = demand["rate_usd_per_h"] / demand["accelerators"].where(demand["accelerators"] > 0)
    by = own.groupby([demand["provider"], demand["accelerator"]])
    usual = by.transform("median")
    low = (each < _PART * usual) & (by.transform("size") >= _SELLERS)
    says = "{got:.2f} USD/h a card where the same seller asks {usual:.2f}"
    return _Rule(low.to_numpy(), each, usual, says)


def _dry(spot: pd.DataFrame, demand: pd.DataFrame) -> _Rule:
    """A spot price below any discount a market has given."""
    listed = spot[KEY].merge(demand[[*KEY, "rate_usd_per_h"]], on=KEY, how="left")["rate_usd_per_h"]
    usual = pd.Series(listed.to_numpy(), index=spot.index)
    low = (spot["rate_usd_per_h"] < _SPOT_LOW * usual).to_numpy()
    says = "{got:.4g} USD/h on the spot market, {usual:.4g} on demand"
    return _Rule(low, spot["rate_usd_per_h"], usual, says)
