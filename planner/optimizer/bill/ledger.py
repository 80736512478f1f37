"""Where charges are collected: one line a charge that repeats over hours or months, turned into one
frame at the end.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.scenario import Scenario

_TEXT = (
    "service",
    "owner",
    "cost_center",
    "provider",
    "region",
    "resource",
    "charge",
    "purchase_option",
    "commitment",
    "unit",
    "basis",
)


SHARE = "USD"  # unit of a charge that is a share of others


@dataclass(frozen=True)
class Price:
    """A unit price [USD/unit] with its basis (observed, composed, inferred, assumed), source and
    date.
    """

    usd: float
    basis: str
    source: str
    as_of: str


@dataclass
class Ledger:
    """Collects charges; :meth:`cost` and :meth:`prices` are the frames ``plan.cost`` and
    ``plan.prices``.
    """

    scenario: Scenario
    _lines: list[dict[str, str]] = field(default_factory=list)
    _blocks: list[tuple[pd.DatetimeIndex, Floats, Floats, Floats, Floats]] = field(default_factory=list)
    _prices: dict[tuple[str, ...], tuple[Price, ...]] = field(default_factory=dict)

    def add(
        self,
        text: dict[str, str],
        ts: pd.DatetimeIndex,
        quantity: Floats,
        list_unit_usd: Floats | float,
        *,
        effective_usd: Floats,
        billed_usd: Floats,
    ) -> None:
        """One line of charges: ``text`` holds its words, the arrays one value for each ``ts``;
        list cost is quantity × list unit price.

        ``effective_usd`` and ``billed_usd`` [USD] are whole amounts, not unit prices. The owner
        is that of the service unless ``text`` names another. No row is made of an empty ``ts``.
        """
        if not len(ts):
            return
        owner = self.scenario.services[text["service"]].owner if text["service"] else None
        self._lines.append(
            {
                "owner": owner.team if owner else "",
                "cost_center": (owner and owner.cost_center) or "",
                "commitment": "",
                **text,
            }
        )
        self._blocks.append(
            (
                ts,
                quantity,
                np.broadcast_to(np.asarray(list_unit_usd, dtype=np.float64), quantity.shape),
                effective_usd,
                billed_usd,
            )
        )

    def by_month(self, starts: pd.DatetimeIndex, service: str = "") -> Floats:
        """Effective cost so far in the months that begin at ``starts`` [USD], of one service or
        of all; without shares of a bill.

        "So far": lines added later are not in it, so shares of the bill are added last,
        and never count each other.
        """
        total = np.zeros(len(starts))
        bounds = starts.as_unit("us").asi8
        for text, block in zip(self._lines, self._blocks, strict=True):
            if service in ("", text["service"]) and text["unit"] != SHARE:
                month = np.searchsorted(bounds, block[0].as_unit("us").asi8, side="right") - 1
                np.add.at(total, np.clip(month, 0, None), block[3])
        return total

    def price(self, text: dict[str, str], *prices: Price) -> None:
        """Remember the prices a line was charged at, for the reader who asks where a figure comes
        from.
        """
        key = tuple(text[c] for c in ("provider", "region", "resource", "purchase_option", "unit"))
        known = self._prices.get(key, ())
        self._prices[key] = (*known, *(p for p in prices if p not in known))

    def cost(self) -> pd.DataFrame:
        """All charges as ``plan.cost``, by instant, then service, charge and resource."""
        if not self._lines:
            return columns.empty("plan.cost")
        counts = [len(block[0]) for block in self._blocks]
        words = pd.DataFrame(self._lines, columns=list(_TEXT)).astype("str")
        # ranks of the words first, so that a year of rows is sorted by two integers and not by text
        rank = words.sort_values(
            ["service", "charge", "provider", "region", "resource", "purchase_option", "commitment"],
            kind="stable",
        ).index
        place = np.empty(len(rank), dtype=np.int64)
        place[rank.to_numpy()] = np.arange(len(rank))
        ts = np.concatenate([b[0].as_unit("us").asi8 for b in self._blocks])
        order = np.lexsort((np.repeat(place, counts), ts))
        quantity, unit, effective, billed = (np.concatenate([b[k] for b in self._blocks])[order] for k in (1, 2, 3, 4))
        frame = words.take(np.repeat(np.arange(len(counts)), counts)[order]).reset_index(drop=True)
        frame["ts"] = pd.DatetimeIndex(ts[order].view("datetime64[us]")).tz_localize("UTC")
        frame["quantity"], frame["list_unit_price_usd"], frame["list_cost_usd"] = quantity, unit, quantity * unit
        frame["effective_cost_usd"], frame["billed_cost_usd"] = effective, billed
        return columns.check("plan.cost", frame)

    def prices(self) -> pd.DataFrame:
        """Every unit price used, as ``plan.prices``."""
        names = ["provider", "region", "resource", "purchase_option", "unit"]
        rows = [
            {
                **dict(zip(names, key, strict=True)),
                "list_unit_price_usd": p.usd,
                "basis": p.basis,
                "source": p.source,
                "as_of": p.as_of,
            }
            for key, prices in sorted(self._prices.items())
            for p in prices
        ]
        if not rows:
            return columns.empty("plan.prices")
        frame = pd.DataFrame(rows)
        return columns.check(
            "plan.prices",
            frame.astype({c: "str" for c in frame.columns if c != "list_unit_price_usd"}),
        )
