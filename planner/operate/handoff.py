"""The page for the owner and the on-call: what runs and why, limits, what breaks first and what to
do, whom to call, what is due when.

Each number carries a footnote: the figure, its exact value and unit, its hour or month, and
the frame it comes from.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from planner.operate.figures import Figure, Figures, pool_name
from planner.operate.names import MEANING, Names
from planner.show.words import binding, escaped, number, percent, seconds, spelled, usd

if TYPE_CHECKING:
    from planner.scenario.parts import Owner
    from planner.study import Study

CURES = {
    "overload": "Add replicas by hand up to the maximum, then shed load; make the plan anew with the newest history.",
    "zone_lost": "Let the autoscaler refill the zones that are left; do not scale in until the zone is back.",
    "spot_lost": "Launch the same machines on demand; their price is in prices.csv of the plan.",
    "retries": "Shed load at the door until the backlog is gone; cut the retries of clients.",
    "quota": "Ask the provider for more quota before the hour named; until then no more machines start.",
    "budget": "Tell the owner of the budget; nothing is switched off by itself.",
}
NOBODY = "**nobody: name an owner under services.NAME.owner**"


@dataclass
class _Page:
    """Lines of a page, and the figures its numbers came from, in order of appearance."""

    figures: Figures
    used: dict[str, Figure] = field(default_factory=dict)

    def said(self, name: str, words: Callable[[float], str]) -> str:
        """A number in words with its footnote; what the plan does not know is said."""
        if name not in self.figures:
            return "unknown"
        figure = self.figures[name]
        self.used[name] = figure
        return f"{words(figure.value)}[^{_note(self, name)}]"

    def notes(self) -> Iterator[str]:
        """The footnotes."""
        for k, f in enumerate(self.used.values(), 1):
            yield f"[^{k}]: {_code(f.name)} = {f.text} {f.unit}; {f.when}; {f.source}"


def _note(page: _Page, name: str) -> int:
    return list(page.used).index(name) + 1


def page(study: "Study", figures: Figures, names: Names) -> str:
    """The hand-off page as Markdown."""
    p = _Page(figures)
    s = study.scenario
    sections = {
        "What it costs": _cost(p),
        "Whom to call": _owners(study, p),
        "What runs, and why": _runs(study, p),
        "Limits": _limits(study, p),
        "What breaks first, and what to do": _breaks(study, p),
        "What is due, and when": _due(study, p),
        "Alerts": _alerts(p),
        "Names to rename": [f"- `{k}` = {_code(getattr(names, k))}: {words}" for k, words in MEANING.items()],
    }
    head = f"# {escaped(s.name)}: hand-off\n\nState: {s.state}. From {s.start} for the horizon of the plan, times in"
    body = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items() if lines]
    return "\n\n".join([f"{head} {s.time_zone} unless they say UTC.", *body, "\n".join(p.notes())]) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    cells = (" | ".join(re.sub(r"(?<!\\)\|", r"\|", c) for c in row) for row in rows)
    return [*lines, *(f"| {row} |" for row in cells)]


def _code(text: object) -> str:
    """A name as code, which nothing inside can leave."""
    return f"`{str(text).replace('`', '')}`"


def _cost(p: _Page) -> list[str]:
    mean, total = p.said("plan.monthly_mean_usd", usd), p.said("plan.total_usd", usd)
    low, high = p.said("plan.p10_usd", usd), p.said("plan.p90_usd", usd)
    told = [f"Expected {mean} a month, {total} in all; in eight of ten futures {low} to {high}."]
    if "plan.budget_usd_per_month" in p.figures:
        told.append(f"Budget: {p.said('plan.budget_usd_per_month', usd)} a month.")
    if p.figures["plan.unowned_usd"].value > 0.005:
        told.append(f"**Nobody answers for {p.said('plan.unowned_usd', usd)} of it.**")
    keys = ("usd", "p90_usd", "billed_usd")
    rows = [[m, *(p.said(f"month.{m}.{k}", usd) for k in keys)] for m in p.figures.months]
    return [*told, "", *_table(["month", "expected", "P90, told as budget", "cash"], rows)]


def _owners(study: "Study", p: _Page) -> list[str]:
    rows = []
    for name, service in study.scenario.services.items():
        owner = service.owner
        words = [escaped(owner.team), *_reached(owner)] if owner else [NOBODY] * 3
        rows.append([escaped(name), *words])
    return [*_table(["service", "team", "on call", "cost center"], rows), "", *_parts(study, p)]


def _reached(owner: "Owner") -> list[str]:
    """Whom to call and where the cost goes, as the owner wrote it."""
    on_call = escaped(owner.on_call) if owner.on_call else "**nobody**"
    return [on_call, escaped(owner.cost_center) if owner.cost_center else "none"]


def _parts(study: "Study", p: _Page) -> list[str]:
    """Each owner's money by month, nobody's first."""
    owners = sorted({o or "nobody" for o in study.plan.cost["owner"]}, key=lambda o: o != "nobody")
    rows = [[m, *(p.said(f"owner.{o}.{m}.usd", usd) for o in owners)] for m in p.figures.months]
    return _table(["month", *map(escaped, owners)], rows)


def _runs(study: "Study", p: _Page) -> list[str]:
    rows = []
    for row in study.plan.machines().to_dict("records"):
        at, words = pool_name(row), [escaped(row[k]) for k in ("service", "provider", "region", "instance_type")]
        option = str(row["purchase_option"]).replace("_", " ")
        counts = [p.said(f"{at}.{c}_instances", number) for c in ("min", "mean", "max")]
        rows.append([*words, option, *counts])
    head = ["service", "provider", "region", "machine", "launched", "least", "mean", "most"]
    bindings = study.plan.bindings.sort_values("shadow_price_usd", key=abs, ascending=False).to_dict("records")
    why = [f"- {_reason(s)}" for s in dict.fromkeys(binding(r, study.plan.months) for r in bindings) if s]
    return [*_table(head, rows), "", *_signed(study, p), "", "What shapes it:", "", *why[:6]]


def _reason(sentence: str) -> str:
    """A reason of the plan, whose numbers are those of plan.bindings."""
    return f"{escaped(sentence)} (plan.bindings)"


def _signed(study: "Study", p: _Page) -> list[str]:
    found = []
    for k, row in enumerate(study.plan.commitments.to_dict("records"), 1):
        at = f"commitment.{k}"
        size, used = p.said(f"{at}.quantity", number), p.said(f"{at}.commitment_utilization", percent)
        even = p.said(f"{at}.break_even_utilization", percent)
        found.append(f"- Signed: {size} {row['unit']} of {_code(row['commitment'])}; used {used}, pays above {even}.")
    return found or ["- No commitment is signed."]


def _limits(study: "Study", p: _Page) -> list[str]:
    rows = []
    for name in p.figures.scaling:
        cells = [p.said(f"{name}.{k}", number) for k in ("peak_rps", "capacity_most_rps", "max_replicas")]
        cells += [p.said(f"{name}.{k}", number) for k in ("target_rps", "usable_rps", "limit_rps")]
        rows.append([escaped(name), *cells])
    head = ["service", "planned peak", "most carried", "most replicas", "held a replica", "sized a replica"]
    told = _table([*head, "breaks a replica"], rows)
    told += ["", "Rates in requests/s; a replica is one unit of the smallest machine.", ""]
    for name, service in study.scenario.services.items():
        for bound, *_ in service.objective.bounds():
            if f"{name}.{bound}.limit_s" in p.figures:
                limit = p.said(f"{name}.{bound}.limit_s", seconds)
                within = p.said(f"{name}.{bound}.within_share", lambda v: percent(v, 2))
                asked = p.said(f"{name}.{bound}.percentile_share", percent)
                told.append(
                    f"- {escaped(name)}: {spelled(bound)} within {limit}; asked {asked}, in the replay {within}."
                )
    return told


def _breaks(study: "Study", p: _Page) -> list[str]:
    rows = []
    for k, row in enumerate(study.replay.breaks.to_dict("records"), 1):
        when = f"{row['breaks_at'].tz_convert(study.scenario.time_zone):%Y-%m-%d %H:%M}"
        margin = p.said(f"break.{k}.load_multiplier", lambda v: f"{v:.2f} ×")
        cost = p.said(f"break.{k}.mending_usd_per_month", usd)
        cause = str(row["cause"])
        rows.append(
            [escaped(row["service"] or "all"), cause.replace("_", " "), margin, when, cost, CURES.get(cause, "")]
        )
    return _table(["service", "what", "bears", "first at", "mending, a month", "what to do"], rows)


def _due(study: "Study", p: _Page) -> list[str]:
    s, zone = study.scenario, study.scenario.time_zone
    due: list[tuple[pd.Timestamp, str]] = [(pd.Timestamp(s.end_utc), "the plan ends: make the next one before")]
    for k, row in enumerate(study.plan.commitments.to_dict("records"), 1):
        what, upfront = _code(row["commitment"]), p.said(f"commitment.{k}.upfront_usd", usd)
        due.append((row["start"], f"sign {what}; {upfront} are paid that day"))
        due.append((row["end"], f"{what} ends: renew it or pay on demand"))
    for name, service in s.services.items():
        due += [
            (_instant(e.start, zone), f"{escaped(name)}: {escaped(e.name)} begins: be on call") for e in service.events
        ]
    old = p.figures["prices.as_of_s"].value + 86400 * p.figures["prices.age_limit_days"].value
    p.said("prices.as_of_s", str)
    days = p.said("prices.age_limit_days", number)
    due.append((pd.Timestamp(old, unit="s", tz="UTC"), f"the prices are {days} days old: refresh them"))
    rows = [[f"{t.tz_convert(zone):%Y-%m-%d}", what] for t, what in sorted(due, key=lambda d: d[0])]
    return _table(["when", "what"], rows)


def _instant(when: object, zone: str) -> pd.Timestamp:
    """A local date or time of an event as an instant."""
    found = pd.Timestamp(when)  # type: ignore[arg-type]
    return found if found.tzinfo else found.tz_localize(zone, nonexistent="shift_forward", ambiguous=True)


def _alerts(p: _Page) -> list[str]:
    told = ["Rules stand in `prometheus-alerts.yaml`, the plan's lines in `prometheus-lines.yaml`; check them with"]
    told.append("`promtool test rules prometheus-tests.yaml prometheus-date-tests.yaml`. All figures: `figures.csv`.")
    for name in p.figures.scaling:
        hours, often = p.said(f"{name}.above_h", number), p.said(f"{name}.above_a_month", number)
        told.append(
            f"- {escaped(name)}: load above the plan's line speaks after {hours} h; by chance {often} times a month."
        )
    return told
