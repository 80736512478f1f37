"""Commitments on offer and already held: what one unit costs and which machines it pays for.

A vendor's "up to" figure is no price and is left out; so is a term that another of the same pool beats in price and cash alike.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from planner.catalog import Catalog
from planner.errors import CatalogError
from planner.optimize.grid import HELD, price_factor
from planner.scenario import Scenario

PLACE = ["provider", "region", "instance_type"]


@dataclass(frozen=True)
class Term:
    """A commitment on offer: one unit costs ``usd_per_h`` amortized; ``units`` {kind: units an instance-hour uses}.

    ``held`` units are already signed, until ``end`` (exclusive); 0 for an offer.
    """

    commitment: str
    provider: str
    region: str
    category: str
    plan_kind: str
    scope: str
    term_months: int
    payment: str
    pool: str
    usd_per_h: float
    upfront_share: float
    units: dict[str, float]
    held: float = 0.0
    end: pd.Timestamp | None = None

    def in_force(self, ts: pd.DatetimeIndex) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        """Hours in which it holds."""
        return np.ones(len(ts), dtype=bool) if self.end is None else np.asarray(ts < self.end, dtype=bool)

    @property
    def unit(self) -> str:
        """What one unit is: an instance, or a dollar of committed spending an hour."""
        return "USD/h" if self.category == "Spend" else "instance"


def terms_on_offer(scenario: Scenario, catalog: Catalog, table: pd.DataFrame) -> list[Term]:
    """Commitments the limits allow, with the kinds they cover. A vendor's "up to" figure is no price and is left out."""
    limits, rows = scenario.limits, catalog.commitments
    allowed = (rows["term_months"] <= limits.max_term_months) & rows["payment"].isin(limits.payments)
    rows = rows[allowed & (rows["basis"] != "vendor_maximum")]
    kinds, by_type = _kinds(table)
    found: list[Term] = []
    known = set(by_type)
    for row in rows.to_dict("records"):
        if row["scope_kind"] == "instance_type" and row["scope"] not in known:
            continue
        covered = _covered(row, kinds, by_type)
        if len(covered):
            found += _term(scenario, row, covered)
    return _undominated(found)


def _kinds(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Machines that a commitment could cover, and the same by instance type."""
    priced = table[table["on_demand"].notna() & (table["excuse"] == "")]
    kinds = priced.drop_duplicates("kind")[["kind", *PLACE, "family", "on_demand", "list_on_demand"]]
    return kinds, {str(k): g for k, g in kinds.groupby("instance_type")}


def terms_held(scenario: Scenario, catalog: Catalog, table: pd.DataFrame) -> list[Term]:
    """Commitments already held, paid for as the catalog says. Raises :class:`CatalogError` for a name the catalog does not know."""
    kinds, by_type = _kinds(table)
    found: list[Term] = []
    for number, held in enumerate(scenario.existing):
        rows = catalog.commitments[catalog.commitments["commitment"] == held.commitment]
        if held.region is not None:
            rows = rows[rows["region"].isin([held.region, "global", "any", ""])]
        if rows.empty:
            near = difflib.get_close_matches(held.commitment, catalog.commitments["commitment"].tolist(), n=3)
            raise CatalogError("the catalog knows no such commitment", where=f"existing.{number}.commitment", got=held.commitment,
                               remedy=f"Did you mean {', '.join(near)}?" if near else
                               "Take its name from: planner catalog existing, or planner catalog explain TYPE")
        end = pd.Timestamp(held.end).tz_localize(scenario.time_zone).tz_convert("UTC")
        for row in rows.to_dict("records")[:1]:
            of_type = row["scope_kind"] == "instance_type"
            covered = _covered(row, kinds, by_type) if not of_type or str(row["scope"]) in by_type else kinds.iloc[:0]
            terms = _term(scenario, row, covered, sunk=True) if len(covered) else []
            mine = (terms or [_idle(scenario, row)])[0]
            found.append(replace(mine, commitment=mine.commitment + HELD, held=held.quantity, end=end))
    return found


def _idle(scenario: Scenario, row: dict[Any, Any]) -> Term:
    """A commitment that no machine of the plan can use: it is still paid."""
    text: dict[str, Any] = {c: str(row[c]) for c in ("commitment", "provider", "region", "category", "plan_kind", "scope", "payment")}
    usd = 1.0 if row["category"] == "Spend" else float(row["rate_usd_per_h"]) * price_factor(scenario, str(row["provider"]))
    share = float(row["upfront_share"])
    return Term(**text, term_months=int(row["term_months"]), pool=str(row["commitment"]), usd_per_h=usd,
                upfront_share=0.0 if np.isnan(share) else share, units={})


def _covered(row: dict[Any, Any], kinds: pd.DataFrame, by_type: dict[str, pd.DataFrame]) -> pd.DataFrame:
    near = by_type[str(row["scope"])] if row["scope_kind"] == "instance_type" else kinds
    on = (near["provider"] == row["provider"]).to_numpy()
    if row["region"] not in ("global", "", "any"):
        on = on & (near["region"] == row["region"]).to_numpy()
    if row["scope_kind"] in ("family", "family_group"):
        on = on & near["family"].isin(str(row["scope"]).split()).to_numpy()
    return pd.DataFrame(near.loc[on])


def _term(scenario: Scenario, row: dict[Any, Any], covered: pd.DataFrame, *, sunk: bool = False) -> list[Term]:
    text: dict[str, Any] = {c: str(row[c]) for c in ("commitment", "provider", "region", "category", "plan_kind", "scope", "payment")}
    months, share = int(row["term_months"]), float(row["upfront_share"])
    share = 0.0 if np.isnan(share) else share
    if row["category"] == "Spend":
        discount = float(row["discount_share"])
        if not discount > 0:
            return []
        units = {str(k): float(p) * (1.0 - discount) for k, p in zip(covered["kind"], covered["list_on_demand"], strict=True)}
        return [Term(**text, term_months=months, pool=text["commitment"], usd_per_h=1.0, upfront_share=share, units=units)]
    rate, found = float(row["rate_usd_per_h"]), []
    for place in sorted(set(zip(covered["provider"], covered["region"], strict=True))):
        part = covered[(covered["provider"] == place[0]) & (covered["region"] == place[1])]
        cheapest = float(part["on_demand"].max())
        usd = rate * price_factor(scenario, place[0], str(part["family"].iloc[0]))
        if rate > 0 and (usd < cheapest or sunk) and row["scope_kind"] == "instance_type":
            pool = f"{place[0]}/{place[1]}/{row['scope']}"
            found.append(Term(**{**text, "region": place[1]}, term_months=months, pool=pool, usd_per_h=usd, upfront_share=share,
                              units={str(k): 1.0 for k in part["kind"]}))
    return found


def _undominated(terms: list[Term]) -> list[Term]:
    """Without terms that another of the same pool and at most their length beats in price and cash upfront alike."""
    by_pool: dict[str, list[Term]] = {}
    for t in sorted(terms, key=lambda t: (t.usd_per_h, t.upfront_share * t.term_months, t.term_months, t.commitment)):
        rivals = by_pool.setdefault(t.pool, [])
        if not any(r.upfront_share * r.usd_per_h * r.term_months <= t.upfront_share * t.usd_per_h * t.term_months for r in rivals):
            rivals.append(t)
    return [t for found in by_pool.values() for t in found]
