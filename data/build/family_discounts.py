"""Commitments nobody has listed row by row, from the discounts of their family; and how far that is
off.

Discounts of AWS are equal over the sizes of a family in one region (within half a point in 99 % of
families and regions), and the price of a payment option is a fixed multiple of the all-upfront
price.  ``PYTHONPATH=data/build python data/build/family_discounts.py FOLDER`` prints the error on
observed rows when their own family and region, or their whole family, is left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from merge_prices import read

# price over the all-upfront price of the same Standard RI, by term and payment (2019 matrix of 1,886
# types and regions; the 1y ratio again in 768 of 768 prices of 2026-01)
PAYMENT_RATIO = {("1y", "none"): 1.0714, ("1y", "partial"): 1.0204, ("3y", "none"): 1.1489, ("3y", "partial"): 1.0638}
PAYMENTS = ("none", "partial", "all")
TERMS = ("1y", "3y")
MODELED = "modeled"
# discounts closer than this stand in one row of a plan that covers many families
_SAME = 0.005


class Discount(NamedTuple):
    """A discount on the on-demand price [share], and how far the discounts it rests on differ."""

    share: float
    spread: float
    day: str


class Discounts:
    """Discounts by (family, region, plan, term, payment), with what stands in for a missing one.

    A family of a region without a row takes its median over all regions; a family without any row
    the median of its generation, the first number in its name (m6i, c6g and r6a: 6).
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._own: dict[tuple[str, ...], Discount] = {}
        wide = table.assign(term=table["term_months"].map({"12": "1y", "36": "3y"}))
        for row in wide.to_dict("records"):
            low, mid, high = float(row["min"]), float(row["discount_share"]), float(row["max"])
            key = (row["family"], row["region"], row["plan_kind"], row["term"], row["payment"])
            self._own[key] = Discount(mid, max(high - mid, mid - low), row["as_of"])
        anywhere = wide[wide["region"] == "any"].assign(
            share=wide["discount_share"].astype(float), generation=wide["family"].map(generation)
        )
        by = anywhere.groupby(["generation", "plan_kind", "term", "payment"])["share"]
        days = anywhere["as_of"].max()
        self._generation = {
            k: Discount(float(g.median()), float((g - g.median()).abs().max()), days) for k, g in by if len(g) > 2
        }

    def find(self, family: str, region: str, plan: str, term: str, payment: str) -> Discount | None:
        """The nearest discount known, None if no family of the generation has one."""
        for place in (region, "any"):
            if found := self._own.get((family, place, plan, term, payment)):
                return found
        return self._of_generation(generation(family), plan, term, payment)

    def _of_generation(self, name: str, plan: str, term: str, payment: str) -> Discount | None:
        """A generation newer than all known ones takes the discount of the one before it."""
        found = self._generation.get((name, plan, term, payment))
        if found is None and name.isdigit() and int(name) > 1:
            return self._of_generation(str(int(name) - 1), plan, term, payment)
        return found

    def sells(self, family: str, plan: str) -> bool:
        """True where a row says that this family has such a plan."""
        return (family, "any", plan, "3y", "all") in self._own or (family, "any", plan, "1y", "all") in self._own


def generation(family: str) -> str:
    """The generation in a family's name: ``6`` of m6i, ``u7`` of u7i-12tb."""
    found = re.match(r"(u?)[a-z]*(\d+)", family)
    return "".join(found.groups()) if found else family


def told(found: Discount) -> str:
    """What stands as the source of a modeled price."""
    return (
        "modeled: the family's discount on the on-demand price; types and regions it was seen on differ by up to"
        f" {100 * found.spread:.1f} points"
    )


def aws_reservations(raw: pd.DataFrame, observed: pd.DataFrame, discounts: Discounts) -> pd.DataFrame:
    """Standard RIs of current types that no row gives, in the columns of ``commitments.csv``."""
    plan = "Standard RI"
    mine = observed[(observed["plan_kind"] == plan) & (observed["effective_usd_hour"] != "")]
    have = {
        (r["region"], r["scope"], r["term"], r["upfront"]): float(r["effective_usd_hour"])
        for r in mine.to_dict("records")
    }
    rows = []
    for item in _current(raw):
        for term in TERMS if discounts.sells(item["family"], plan) else ():
            for payment in PAYMENTS:
                if (item["region"], item["instance_type"], term, payment) not in have:
                    rows += _reservation(item, term, payment, have, discounts)
    return pd.DataFrame(rows)


_Seen = dict[tuple[str, str, str, str], float]


def _reservation(
    item: dict[str, str], term: str, payment: str, seen: _Seen, discounts: Discounts
) -> list[dict[str, str]]:
    """One Standard RI from the same type's price under another payment, else from its family."""
    region, name, listed = item["region"], item["instance_type"], float(item["on_demand_usd_hour"])
    for other in reversed(PAYMENTS):
        if usd := seen.get((region, name, term, other)):
            usd *= PAYMENT_RATIO.get((term, payment), 1.0) / PAYMENT_RATIO.get((term, other), 1.0)
            if usd < listed:
                row = _row(
                    region,
                    name,
                    "instance_type",
                    "Standard RI",
                    term,
                    payment,
                    Discount(1 - usd / listed, 0.0, item["as_of"]),
                    listed,
                )
                return [row | {"source": RATIO}]
    found = discounts.find(item["family"], region, "Standard RI", term, payment)
    return [_row(region, name, "instance_type", "Standard RI", term, payment, found, listed)] if found else []


RATIO = (
    "modeled: the price read of another payment times AWS's fixed ratio between payments; types and regions it was"
    " seen on differ by up to 0.3 points"
)


def _current(raw: pd.DataFrame) -> Iterator[dict[str, str]]:
    keep = (raw["provider"] == "aws") & (raw["current_generation"] != "0") & (raw["on_demand_usd_hour"] != "")
    for item in raw[keep].to_dict("records"):
        yield {str(k): str(v) for k, v in item.items()}


def _row(
    region: str, scope: str, kind: str, plan: str, term: str, payment: str, found: Discount, usd: float | None
) -> dict[str, str]:
    return {
        "provider": "aws", "region": region, "scope": scope, "scope_kind": kind, "plan_kind": plan, "term": term,
        "upfront": payment, "effective_usd_hour": "" if usd is None else f"{usd * (1 - found.share):.6g}",
        "discount_fraction": f"{found.share:.4f}", "as_of": found.day, "confidence": MODELED, "source": told(found),
    }  # fmt: skip


def aws_plans(raw: pd.DataFrame, discounts: Discounts) -> pd.DataFrame:
    """Savings Plans by family: the EC2 Instance plan one row a family, the Compute plan one row for
    all families of about the same discount, at the least of them.
    """
    places = sorted({(i["region"], i["family"]) for i in _current(raw)})
    rows = []
    for region in sorted({r for r, _ in places}):
        families = [f for r, f in places if r == region]
        for term in TERMS:
            for payment in PAYMENTS:
                known = _known(families, region, "EC2 Instance Savings Plan", term, payment, discounts)
                rows += [
                    _row(region, f, "family", "EC2 Instance Savings Plan", term, payment, d, None) for f, d in known
                ]
                known = _known(families, region, "Compute Savings Plan", term, payment, discounts)
                for group, least in _alike(known):
                    rows.append(_row(region, group, "family_group", "Compute Savings Plan", term, payment, least, None))
    return pd.DataFrame(rows)


def _known(
    families: list[str], region: str, plan: str, term: str, payment: str, discounts: Discounts
) -> list[tuple[str, Discount]]:
    found = ((f, discounts.find(f, region, plan, term, payment)) for f in families)
    return [(f, d) for f, d in found if d is not None]


def _alike(known: list[tuple[str, Discount]]) -> Iterator[tuple[str, Discount]]:
    """Families whose discounts lie within half a point, as one scope, with the least discount and
    the widest spread.
    """
    groups: list[list[tuple[str, Discount]]] = []
    for item in sorted(known, key=lambda i: (i[1].share, i[0])):
        if groups and item[1].share - groups[-1][0][1].share <= _SAME:
            groups[-1].append(item)
        else:
            groups.append([item])
    for group in groups:
        low = group[0][1]
        yield " ".join(sorted(f for f, _ in group)), Discount(low.share, max(d.spread for _, d in group), low.day)


_AZURE = re.compile(r"Standard_([A-Z]+)\d+(?:-\d+)?(.*)")


def azure_series(instance_type: str) -> str:
    """The series of a size: ``Dads_v5`` of Standard_D4ads_v5."""
    found = _AZURE.fullmatch(instance_type)
    return f"{found[1]}{found[2]}" if found else instance_type


def azure_reservations(raw: pd.DataFrame, observed: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Reservations of sizes without a row, from the discounts of their series in a list of 2022."""
    plan = "Reservation"
    seen = table[table["plan_kind"] == plan].drop_duplicates(["series", "term_months"], keep="last")
    series = {
        (r["series"], {"12": "1y", "36": "3y"}[r["term_months"]]): Discount(
            float(r["discount_share"]),
            max(float(r["max"]) - float(r["discount_share"]), float(r["discount_share"]) - float(r["min"])),
            r["as_of"],
        )
        for r in seen.to_dict("records")
    }
    have = set(
        observed.loc[observed["plan_kind"] == plan, ["region", "scope", "term"]].itertuples(index=False, name=None)
    )
    rows = []
    for item in raw[(raw["provider"] == "azure") & (raw["on_demand_usd_hour"] != "")].to_dict("records"):
        for term in TERMS:
            found = series.get((azure_series(item["instance_type"]), term))
            if found and (item["region"], item["instance_type"], term) not in have:
                usd = float(item["on_demand_usd_hour"])
                row = _row(
                    item["region"],
                    item["instance_type"],
                    "instance_type",
                    plan,
                    term,
                    "none or all (same price)",
                    found,
                    usd,
                )
                rows.append(row | {"provider": "azure"})
    return pd.DataFrame(rows)


def azure_plans(observed: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """Savings plan rates that all sizes of a family share, as one row a family; the others as they
    are.
    """
    families = dict(zip(raw["instance_type"], raw["family"], strict=True))
    rows = observed[observed["scope"].isin(families)].copy()
    rows["family"] = rows["scope"].map(families)
    share = rows["discount_fraction"].astype(float)
    by = share.groupby([rows["region"], rows["family"], rows["term"]])
    even = (by.transform("max") - by.transform("min")) < 0.002
    whole = rows[even].assign(scope=rows["family"], scope_kind="family")
    whole = whole.sort_values("discount_fraction").drop_duplicates(["region", "scope", "term"])
    return pd.concat([whole, rows[~even]], ignore_index=True).drop(columns="family")


def _seen(folder: Path) -> pd.DataFrame:
    """Observed Standard RI discounts of types."""
    rows = read(folder, "commitments_aws_more.csv")
    rows = rows[(rows["plan_kind"] == "Standard RI") & (rows["confidence"] == "observed")]
    rows = rows[rows["discount_fraction"] != ""]
    return rows.assign(family=rows["scope"].str.split(".").str[0], share=rows["discount_fraction"].astype(float))


def errors(folder: Path) -> dict[str, pd.Series[float]]:
    """Errors [points] of the modeled discount on observed rows: with the row's own family left out
    in its region, so that other regions answer, and with its whole family left out, so that its
    generation does.
    """
    table, seen = read(folder, "aws_family_discounts.csv"), _seen(folder)
    out: dict[str, list[float]] = {"family and region left out": [], "family left out": []}
    for family, rows in seen.groupby("family"):
        mine = table[(table["family"] == family) & (table["region"] != "any")]
        others = Discounts(table[table["family"] != family])
        for row in rows.to_dict("records"):
            key = {"12": "1y", "36": "3y"}
            near = mine[(mine["region"] != row["region"]) & (mine["plan_kind"] == "Standard RI")]
            near = near[(near["term_months"].map(key) == row["term"]) & (near["payment"] == row["upfront"])]
            if len(near):
                middle = near["discount_share"].astype(float).median()
                out["family and region left out"].append(100 * abs(middle - row["share"]))
            if found := others.find(str(family), row["region"], "Standard RI", row["term"], row["upfront"]):
                out["family left out"].append(100 * abs(found.share - row["share"]))
    return {k: pd.Series(v) for k, v in out.items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    for what, off in errors(Path(sys.argv[1])).items():
        middle, far, worst = off.median(), off.quantile(0.9), off.max()
        print(f"{what}: {len(off)} rows, median {middle:.2f} points, p90 {far:.2f}, worst {worst:.1f}")
