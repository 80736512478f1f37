"""Today → recommended as text: what it costs, what changes, what it takes and when it pays back."""

import math
from collections.abc import Iterator

from planner.show.words import percent, seconds, table, usd
from planner.today import Today


def today_text(now: Today) -> str:
    """The first lines of an answer whose scenario says what runs today."""
    parts = [_cost(now), _changes(now), _latency(now), _moves(now), _bill(now)]
    parts += ["\n".join(f"  {note}" for note in now.notes)]
    return "\n\n".join(p for p in parts if p)


def _cost(now: Today) -> str:
    saving = now.saving_usd_per_month
    share = saving / now.today_usd_per_month if now.today_usd_per_month else math.nan
    word = f"{usd(saving)} a month saved ({percent(share)})" if saving >= 0 else f"{usd(-saving)} a month more"
    rows = [
        ["today", usd(now.today_usd_per_month), "a month, at the plan's load and prices"],
        ["recommended", usd(now.plan_usd_per_month), f"a month: {word}"],
        ["what it takes", usd(now.once_usd), f"once; {_payback(now)}"],
    ]
    return "Today and recommended\n" + table(["", "", ""], rows, "  ").partition("\n")[2]


def _payback(now: Today) -> str:
    months = now.payback_months
    if math.isnan(months):
        return "when it pays back is not known, as a part of it is not"
    return "it does not pay back" if math.isinf(months) else f"paid back after {months:.1f} months"


def _changes(now: Today) -> str:
    if not now.changes:
        return "  Nothing changes: today's machines are the recommended ones."
    rows = [list(c) for c in now.changes]
    loud = [
        f"  ANOTHER ARCHITECTURE for {name}: it needs a build and a test of its own before it can move"
        for name in now.arm64
    ]
    return "\n".join(["What changes", table(["service", "", "today", "recommended"], rows, "  "), *loud])


def _latency(now: Today) -> str:
    rows = [
        [
            r.service,
            r.objective,
            seconds(r.limit_s),
            _known(r.today_s),
            _share(r.today_within),
            _known(r.plan_s),
            _share(r.plan_within),
        ]
        for r in now.latency
    ]
    head = ["service", "objective", "limit", "today", "within", "recommended", "within"]
    return "\n".join(["Latency of both", table(head, rows, "  "), *_zones(now)])


def _zones(now: Today) -> Iterator[str]:
    for name, (old, new) in now.zones.items():
        yield f"  {name}: without one zone {_bears(old)} today, {_bears(new)} as recommended"


def _bears(share: float) -> str:
    if math.isnan(share):
        return "not known (state its zones)"
    return "all hours are served" if share >= 1 else f"{percent(share)} of hours are served in full"


def _known(value: float) -> str:
    return "unknown" if math.isnan(value) else seconds(value)


def _share(value: float) -> str:
    return "unknown" if math.isnan(value) else percent(value, 2)


def _moves(now: Today) -> str:
    rows = [[m.what, usd(m.usd), m.basis] for m in now.moves]
    return "What it takes, once\n" + table(["", "cost", ""], rows, "  ").partition("\n")[2] if rows else ""


def _bill(now: Today) -> str:
    if not now.bill:
        return ""
    rows = [[r.charge, usd(r.billed_usd), usd(r.modeled_usd), usd(r.modeled_usd - r.billed_usd)] for r in now.bill]
    told = f"  We reproduce your bill within {percent(now.reproduced_share)}"
    return "\n".join(
        ["Last bill and model of today, a month", table(["", "billed", "modeled", "difference"], rows, "  "), told]
    )
