"""The one form of a bill's rows (frame ``actuals`` of the data dictionary), and how it is made."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.actuals.charges import charge_of, machine_of
from planner.actuals.table import Table
from planner.actuals.units import unit_of
from planner.arrays import Floats
from planner.errors import PlannerError

PROVIDERS = {
    "aws": "aws",
    "amazon web services": "aws",
    "amazon": "aws",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "azure": "azure",
    "google cloud": "gcp",
    "google": "gcp",
    "gcp": "gcp",
    "google cloud platform": "gcp",
}
_TEXTS = (
    "charge",
    "resource",
    "unit",
    "currency",
    "words",
    "tags",
    "provider",
    "commitment",
    "account",
    "region",
)


def finished(table: Table, given: Mapping[str, Any], usd_per: Mapping[str, float]) -> pd.DataFrame:
    """The frame ``actuals`` from the columns a layout found; what it left out is unknown or empty.

    ``given``: ``words`` name the charge and machine, ``unit`` is as written; ``charge``,
    ``resource`` win over words where they are not empty. ``usd_per``: dollars for one unit of each
    other currency. Raises :class:`PlannerError` for money in a currency without a rate.
    """
    blank, size = pd.Series("", index=range(len(table)), dtype="str"), len(table)
    told: dict[str, Any] = dict.fromkeys(_TEXTS, blank)
    told |= {c: np.full(size, math.nan) for c in ("quantity", "list_cost_usd", "effective_cost_usd")}
    told |= dict(given)
    words = pd.Series(np.asarray(told.pop("words")), dtype="str")
    for name, rule in (("charge", charge_of), ("resource", machine_of)):
        own = pd.Series(np.asarray(told[name]), dtype="str")
        told[name] = own.where(own != "", _each(words, rule))
    units = {u: unit_of(u) for u in pd.unique(np.asarray(told["unit"]))}
    written = pd.Series(np.asarray(told["unit"]), dtype="str")
    told["quantity"] = np.asarray(told["quantity"]) * written.map({u: f for u, (_, f) in units.items()}).to_numpy(float)
    told["unit"] = written.map({u: n for u, (n, _) in units.items()})
    told["currency"] = pd.Series(np.asarray(told["currency"]), dtype="str").replace("", "USD")
    rate = _rates(table, told["currency"], usd_per)
    for name in ("list_cost_usd", "effective_cost_usd", "billed_cost_usd"):
        with np.errstate(over="ignore", invalid="ignore"):
            told[name] = np.asarray(told[name], dtype=np.float64) * rate
        paid = pd.Series(told[name]).map("{:g}".format)
        table.refuse(np.isinf(told[name]), paid, name, "is no sum of money: check the row's amounts and its rate")
    told["row"], told["source"] = np.arange(1, size + 1), table.where
    names = columns.columns_of("actuals")
    frame = pd.DataFrame({n: np.asarray(told[n]) if n not in ("ts", "charge_end") else told[n] for n in names})
    kinds = {n: "str" for n in names if columns.dictionary()[n].dtype == "str"}
    return columns.check("actuals", frame.astype(kinds))


def _each(words: "pd.Series[str]", rule: Any) -> "pd.Series[str]":
    return words.map({w: rule(w) for w in words.unique()}).astype("str")


def _rates(table: Table, currency: "pd.Series[str]", usd_per: Mapping[str, float]) -> Floats:
    known = {"USD": 1.0, **usd_per}
    other = sorted(set(currency) - set(known))
    if other:
        raise PlannerError(
            "the bill is not in USD",
            where=table.where,
            got=other,
            remedy=f"State what one is worth: planner track --usd-per {other[0]}=1.08, or in the scenario currency:"
            f" {other[0]} and exchange: {{per_usd: 0.92, as_of: 2026-11-20}}",
        )
    return np.asarray(currency.map(known), dtype=np.float64)


def tags_of(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Tags as JSON objects of lower-case keys, from JSON (an object, or a list of key and value) or
    from Azure's pairs without braces; text that is neither is kept under ``text``.
    """
    return cells.map({c: _tags(c) for c in cells.unique()}).astype("str")


def _tags(cell: str) -> str:
    if not cell:
        return ""
    try:
        found = json.loads(cell if cell[:1] in "[{" else "{" + cell + "}")
    except (json.JSONDecodeError, RecursionError):
        found = {"text": cell}
    if isinstance(found, list):
        found = {str(p.get("key", "")): p.get("value", "") for p in found if isinstance(p, dict)}
    plain = {str(k).lower(): "" if v is None else str(v) for k, v in found.items()} if isinstance(found, dict) else {}
    return json.dumps({k: v for k, v in plain.items() if k and v}, ensure_ascii=False) if any(plain.values()) else ""


def provider_of(names: "pd.Series[str]") -> "pd.Series[str]":
    """The planner's name of a provider; another one in lower case."""
    return names.map({n: PROVIDERS.get(n.lower(), n.lower()) for n in names.unique()}).astype("str")


def first(*columns_: "pd.Series[str]") -> "pd.Series[str]":
    """The first of several columns that is not empty, row by row."""
    found = columns_[0]
    for other in columns_[1:]:
        found = found.where(found != "", other)
    return found.astype("str")
