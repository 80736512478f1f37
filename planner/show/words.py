"""How names and figures are said to people, on the terminal and on the pages alike."""

import re
from collections.abc import Sequence

import numpy as np

from planner import charges

CHARGES = {name: charge.title for name, charge in charges.CHARGES.items()}
CAUSES = {
    "queueing": "Waiting time",
    "retries": "Retries",
    "burst": "Bursts within the hour",
    "scale_up_lag": "Start-up of new machines",
    "model_error": "Uncertainty of the model",
    "target_utilization": "Target utilization",
    "failure": "Loss of a zone",
    "interruption": "Spot interruption",
}
METRICS = {"latency": "Whole answer", "ttft": "First token", "tpot": "Each further token"}
BASES = {
    "observed": "Price read from the provider",
    "measured": "Measured",
    "composed": "Composed from observed parts",
    "zone_median": "Median over zones",
    "modeled": "Modeled",
    "assumed": "Assumed",
    "third_party_curated": "From a curated list",
}
OPTIONS = {"on_demand": "On demand", "spot": "Spot", "committed": "Committed", "": "–"}


def spelled(text: str) -> str:
    """A sentence with objectives in words: ``ttft_p95_s`` becomes "first token for 95 % of
    requests".
    """
    return re.sub(
        r"\b(latency|ttft|tpot)_p(\d\d)_s\b", lambda m: f"{METRICS[m[1]].lower()} for {m[2]} % of requests", text
    )


def usd(amount: float, digits: int | None = None) -> str:
    """Dollars as people read them: whole above 100, cents below, more digits for unit costs;
    unknown is said.
    """
    if amount != amount:
        return "unknown"
    if digits is None:
        digits = 0 if abs(amount) >= 100 else 2 if abs(amount) >= 0.1 or amount == 0 else 5
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent, rounded down near 100 so that what is missing is not hidden."""
    if share != share:
        return "unknown"
    shown = np.floor(share * 10 ** (digits + 2)) / 10**digits if share > 0.99 else share * 100
    return f"{shown:.{digits}f} %"


def seconds(value: float) -> str:
    """A latency in the unit that fits; infinite is said as overload."""
    if not np.isfinite(value):
        return "overloaded"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def number(value: float) -> str:
    """A count with at most three significant digits after thousands."""
    for size, letter in ((1e9, " bn"), (1e6, " m"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == ' k' else size):,.1f}{letter}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Columns aligned: text left, figures (and their heads) right."""
    cells = [list(map(str, head)), *[list(map(str, r)) for r in rows]]
    wide = [max(len(r[k]) for r in cells) for k in range(len(head))]
    right = [
        bool(rows) and all(r[k][:1] in "-$0123456789" or r[k] in ("", "unknown", "overloaded") for r in map(list, rows))
        for k in range(len(head))
    ]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(indent + line for line in lines)


def money(usd: float | None) -> str:
    """Whole dollars with thousands separators; cents only below 10; a dash for what is not known."""
    if usd is None or np.isnan(usd):
        return "–"
    sign, size = ("−" if usd < 0 else ""), abs(usd)
    return f"{sign}${size:,.2f}" if 0 < size < 10 else f"{sign}${size:,.0f}"


def share(value: float | None, digits: int = 0) -> str:
    """A share as per cent; never rounds up to 100 % what is below it."""
    if value is None or np.isnan(value):
        return "–"
    text = f"{value:.{digits}%}"
    if value < 1.0 and float(text[:-1]) >= 100.0:
        text = f"> {1.0 - 10.0 ** -(digits + 2):.{digits}%}"
    return text.replace("%", " %")
