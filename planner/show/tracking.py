"""What the page and the notebook of tracking show: the bill beside the plan day by day, the bridge
between them, the lines with their reasons, and drift in words.

Every figure is a sum of the frames of :class:`planner.track.Track`, which can be downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from planner.charges import CONTRACTS, charge
from planner.show import views, words
from planner.track import Track
from planner.track.period import daily


def bridge(found: Track) -> pd.DataFrame:
    """From what was planned to what was paid by cause [USD]: steps of
    :func:`planner.show.charts.bridge`.
    """
    parts = [(words.TRACKED_SHORT[c], v) for c, v in found.causes().items() if abs(v) >= 0.5]
    return views.waterfall(("Planned", found.planned_usd), ("Paid", found.actual_usd), parts)


def days(found: Track, time_zone: str) -> pd.DataFrame:
    """Spending of each whole day [USD]: ``day planned paid``.

    Taxes, credits and refunds come in one sum on one day and are left out; the bridge has them.
    """
    column, period = f"{found.money}_cost_usd", found.period
    rows = found.rows[found.rows["charge_category"].isin(["usage", "purchase"])]
    rows = rows[(rows["ts"] < period.end) & (rows["ts"] >= period.start)]
    sides = {"planned": daily(found.due, column, period), "paid": daily(rows, column, period)}
    table = pd.DataFrame(sides).rename_axis("day").reset_index()
    return table.assign(day=table["day"].dt.tz_convert(time_zone).dt.tz_localize(None))


def lines(found: Track) -> pd.DataFrame:
    """Plan, bill and difference by service and charge with the two largest reasons, the largest
    first: ``service owner charge planned_usd actual_usd difference_usd reasons``.
    """
    why = {
        (str(s), str(c)): "; ".join(
            _reason(r) for r in rows[rows["difference_usd"].abs() >= 0.005].head(2).to_dict("records")
        )
        for (s, c), rows in found.bridge.groupby(["service", "charge"], observed=True)
    }
    table = found.lines
    keys = list(zip(table["service"], table["charge"], strict=True))
    names = [s or ("all services" if c in CONTRACTS else "nobody's") for s, c in keys]
    return table.assign(
        service=names,
        owner=table["owner"].where(table["owner"] != "", "nobody"),
        charge=table["charge"].map(lambda name: charge(str(name)).title),
        reasons=[why.get(key, "") for key in keys],
    )


def _reason(row: Mapping[Any, Any]) -> str:
    """A cause with its dollars, and what the bridge says of it."""
    usd = float(str(row["difference_usd"]))
    said = f" ({row['sentence']})" if row["sentence"] else ""
    return f"{words.TRACKED_SHORT[str(row['cause'])]} {'+' if usd > 0 else ''}{words.money(usd)}{said}"


def drifts(found: Track) -> list[tuple[str, str]]:
    """Of each of load, cost and latency ``Drift``, ``No drift`` or ``Not tested``, and how, those
    that drifted first.
    """
    rows = found.drift.sort_values("drifted", ascending=False, kind="stable").to_dict("records")
    return [(words.drifted(r), words.drifting(r)) for r in rows]


def headline(found: Track, time_zone: str) -> str:
    """What was paid against what was planned, and on which days."""
    word = "more" if found.difference_usd >= 0 else "less"
    share = abs(found.difference_usd) / found.planned_usd if found.planned_usd else float("nan")
    kind = "spread over the term (amortized)" if found.money == "effective" else "as invoiced"
    first, last = (t.tz_convert(time_zone) for t in (found.period.start, found.period.end - pd.Timedelta(hours=1)))
    return (
        f"{words.money(abs(found.difference_usd))} {word} than planned ({words.share(share, 1)}) from"
        f" {first:%d %b %Y} to {last:%d %b %Y} in {time_zone}, {kind}"
    )


def forecast(found: Track) -> pd.DataFrame:
    """The forecast against what came, ready to read: ``service came forecast hourly_error inside
    peak``.
    """
    rows = [
        {
            "service": r["service"],
            "came": words.number(r["arrived_requests"]),
            "forecast": f"{words.number(r['p50_requests'])} ({words.number(r['p10_requests'])} to"
            f" {words.number(r['p90_requests'])})",
            "hourly_error": words.share(r["forecast_error_share"], 1),
            "inside": words.share(r["within_band_share"]),
            "peak": f"{words.number(r['peak_rps'])} ({words.number(r['expected_peak_rps'])})",
        }
        for r in found.accuracy.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["service", "came", "forecast", "hourly_error", "inside", "peak"])
