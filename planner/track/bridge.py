r"""From what was planned to what was paid: every dollar of the difference under one cause.

Of a line (a service's charge, or one unit of it) with planned items i of quantity q, price p and
billed ones of Q, P, with s = ΣQ/Σq:

    volume      (ΣQ − Σq) · Σqp/Σq          more or less of the same
    mix         Σ (Q − s·q) · p             other machines, or spot instead of on demand
    commitment  its part of the mix between committed and not, and all fees and unused commitments
    price       Σ Q · (P − p)               the same at another price
    one-off     taxes, credits, refunds, corrections, single purchases: no price and no volume
    unmatched   money that no row of the plan answers for

They add up to the difference exactly: price is what is left.  A line whose bill states no
comparable quantity (another unit, or none) cannot tell price from volume: it counts as volume and
says so.  An item that was not planned has the price it was billed at, and so is all mix.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.charges import CONTRACTS
from planner.track.match import ASIDE

CAUSES = ("volume", "price", "mix", "commitment", "one_off", "unmatched")
_UNITS = {"instance_hour": "hour", "commitment_hour": "hour"}
_ITEM = ["resource", "purchase_option"]


@dataclass(frozen=True)
class Line:
    """Items of a line: arrays (n,) of planned ``q`` [unit], ``usd`` and ``list_usd``, billed ``Q``
    and ``USD``, by ``resource`` and ``option``.
    """

    resource: "pd.Series[str]"
    option: "pd.Series[str]"
    q: Floats
    usd: Floats
    list_usd: Floats
    Q: Floats
    USD: Floats

    def causes(self) -> dict[str, float]:
        """The difference of the line by cause; their sum is ΣUSD − Σusd."""
        planned, billed = float(self.usd.sum()), float(self.USD.sum())
        if self.q.sum() <= 0 or not np.isfinite(self.Q).all() or self.Q.sum() <= 0:
            return {"volume": billed - planned}
        volume = (self.Q.sum() / self.q.sum() - 1) * planned
        price = np.where(self.q > 0, _over(self.usd, self.q), _over(self.USD, self.Q))
        moved = self.Q - self.q * (self.Q.sum() / self.q.sum())
        mix = float((moved * price).sum())
        commitment = self._committed(price)
        return {
            "volume": float(volume),
            "mix": mix - commitment,
            "commitment": commitment,
            "price": billed - planned - float(volume) - mix,
        }

    def _committed(self, price: Floats) -> float:
        """What moves between committed and not within each resource, at the distance of its price
        from the list price.
        """
        total = 0.0
        for name in self.resource.unique():
            here = (self.resource == name).to_numpy()
            if self.q[here].sum() <= 0:
                continue
            reference = self.list_usd[here].sum() / self.q[here].sum()
            moved = self.Q[here] - self.q[here] * (self.Q[here].sum() / self.q[here].sum())
            bound = (self.option[here] == "committed").to_numpy()
            total += float((moved * (price[here] - reference))[bound].sum())
        return total


def _over(a: Floats, b: Floats) -> Floats:
    """Unit prices a/b; 0 where there is no quantity, whose money is then all price or volume."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def bridge(planned: pd.DataFrame, rows: pd.DataFrame, money: str) -> pd.DataFrame:
    """Frame ``track.bridge``: service, charge, cause and difference [USD], largest
    first; Σ = Σ rows − Σ planned.

    ``planned``: rows of ``plan.cost`` of the period; ``rows``: the matched bill; ``money``: the
    column that both are compared by.
    """
    aside = rows["charge_category"].isin(ASIDE) | (
        (rows["charge_category"] == "purchase") & ~rows["charge"].isin(CONTRACTS)
    )
    lost = (rows["matched_by"] == "") & ~(aside & ~rows["reason"].str.contains("period that is compared"))
    used = rows[~aside & ~lost]
    found = [
        *_told(rows[lost], money, "unmatched"),
        *_told(rows[aside & ~lost], money, "one_off"),
        *_shared(planned, used, money),
        *_lines(planned, used, money),
    ]
    table = pd.DataFrame(found, columns=["service", "charge", "cause", "difference_usd", "sentence"])
    table = table[table["difference_usd"].abs() > 0].astype(
        dict.fromkeys(("service", "charge", "cause", "sentence"), "str")
    )
    order = table["difference_usd"].abs().sort_values(ascending=False, kind="stable").index
    return columns.check(
        "track.bridge",
        table.loc[order].astype({"difference_usd": "float64"}).reset_index(drop=True),
    )


def _told(rows: pd.DataFrame, money: str, cause: str) -> list[tuple[str, str, str, float, str]]:
    keys = ["service", "charge", "reason" if cause == "unmatched" else "charge_category"]
    sums = rows.groupby(keys, observed=True)[money].sum().reset_index()
    return [(str(s), str(c), cause, float(v), str(why)) for s, c, why, v in sums.itertuples(index=False)]


def _shared(planned: pd.DataFrame, used: pd.DataFrame, money: str) -> list[tuple[str, str, str, float, str]]:
    sides = [t.loc[t["charge"].isin(CONTRACTS)].groupby("charge")[money].sum() for t in (planned, used)]
    charges = dict.fromkeys([*sides[0].index, *sides[1].index])
    return [
        (
            "",
            str(c),
            "commitment",
            float(sides[1].get(c, 0.0)) - float(sides[0].get(c, 0.0)),
            "fees and what is left unused",
        )
        for c in charges
    ]


def _lines(planned: pd.DataFrame, used: pd.DataFrame, money: str) -> list[tuple[str, str, str, float, str]]:
    planned, used = (t[~t["charge"].isin(CONTRACTS)] for t in (planned, used))
    planned = planned.assign(unit=planned["unit"].replace(_UNITS))
    found = []
    for service, charge in _pairs(planned, used):
        mine, theirs = (t[(t["service"] == service) & (t["charge"] == charge)] for t in (planned, used))
        comparable = set(theirs["unit"]) <= set(mine["unit"]) and not theirs["quantity"].isna().any()
        parts = mine["unit"].unique() if comparable else [None]
        for unit in parts:
            a, b = (t if unit is None else t[t["unit"] == unit] for t in (mine, theirs))
            why = _why(a, b, comparable, None if unit is None else str(unit))
            found += [
                (service, charge, c, v, why.get(c, "")) for c, v in _line(a, b, money, comparable).causes().items()
            ]
    return found


def _pairs(planned: pd.DataFrame, used: pd.DataFrame) -> list[tuple[str, str]]:
    both = pd.concat([t[["service", "charge"]] for t in (planned, used)]).drop_duplicates()
    return [(str(s), str(c)) for s, c in both.itertuples(index=False)]


def _line(planned: pd.DataFrame, used: pd.DataFrame, money: str, comparable: bool) -> Line:
    machines = bool((planned["charge"] == "compute").any())
    sides = []
    for t, names in ((planned, ["quantity", money, "list_cost_usd"]), (used, ["quantity", money])):
        t = t if machines else t.assign(resource="", purchase_option="")
        sides.append(t.groupby(_ITEM, observed=True)[list(dict.fromkeys(names))].sum(min_count=0))
    both = sides[0].add_suffix("_0").join(sides[1].add_suffix("_1"), how="outer").fillna(0.0)
    keys = both.index.to_frame(index=False)
    value = {n: both[n].to_numpy(np.float64) for n in both}
    billed = value["quantity_1"] if comparable else np.full(len(both), np.nan)
    return Line(
        keys["resource"],
        keys["purchase_option"],
        value["quantity_0"],
        value[f"{money}_0"],
        value["list_cost_usd_0"],
        billed,
        value[f"{money}_1"],
    )


def _why(planned: pd.DataFrame, used: pd.DataFrame, comparable: bool, unit: str | None) -> dict[str, str]:
    """What the figures say, cause by cause."""
    if not len(used):
        return {"volume": "planned, and nothing is billed"}
    if not comparable or unit is None:
        return {"volume": "the bill states no comparable quantity: price and volume cannot be told apart"}
    before, now = float(planned["quantity"].sum()), float(used["quantity"].sum())
    new = (
        sorted(set(used["resource"]) - set(planned["resource"]) - {""})
        if (planned["charge"] == "compute").any()
        else []
    )
    many = {"hour": "hours"}.get(unit, unit)
    told = {"volume": f"{now:,.0f} {many} against {before:,.0f} planned"}
    if new:
        told["mix"] = "billed and not planned: " + ", ".join(new[:4])
    return told
