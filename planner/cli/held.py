"""What a replay found, as plain text: what held, what breaks first, and its tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
import numpy as np
import pandas as pd

from planner.scenario import Scenario
from planner.show.words import CAUSES, EVENTS, number, percent, seconds, table, usd

if TYPE_CHECKING:
    from planner.study import Study


def replay_text(study: "Study") -> str:
    """The replay: share within each objective, what breaks first, and the worst hours."""
    hours = study.replay.hours
    worst = hours[hours["within_share"] < 1].sort_values("within_share", kind="stable").head(10)
    rows = [
        [
            r["service"],
            r["objective"],
            f"{r['ts']:%Y-%m-%d %H:%M} UTC",
            percent(r["within_share"]),
            seconds(r["high_latency_s"]),
            number(r["backlog_requests"]),
        ]
        for r in worst.to_dict("records")
    ]
    text = table(["service", "objective", "hour", "within", "p95 path", "waiting"], rows, "  ") if rows else "  none"
    return "\n\n".join([head_text(study), latency_text(study), "Hours furthest outside\n" + text])


def bill_text(frame: pd.DataFrame) -> str:
    """The bill that the plan expects, step by step to the bill as it runs."""
    rows = [[r["item"], usd(r["usd"]), percent(r["share"])] for r in frame.to_dict("records")]
    return _title("The bill as it runs", frame) + table(["", "USD", "of it"], rows, "  ")


def requests_text(frame: pd.DataFrame) -> str:
    """An hour played request by request, beside the model of the replay."""
    if not len(frame):
        return "No pool of this hour is played request by request."
    rows = [
        [
            f"{r['service']} on {r['replicas']} {r['instance_type']}",
            f"{r['variant']}, {r['ts']:%Y-%m-%d %H:%M} UTC" if r["variant"] == "this hour" else r["variant"],
            percent(r["utilization"], 0),
            r["objective"],
            f"{r['requests']:,}",
            seconds(r["played_s"]),
            seconds(r["pointwise_s"]),
            percent(r["played_difference_share"]),
        ]
        for r in frame.to_dict("records")
    ]
    head = ["", "load", "busy", "objective", "requests", "played", "model", "difference"]
    return "Request by request\n" + table(head, rows, "  ")


def _title(words: str, frame: pd.DataFrame) -> str:
    """The line above a table of a replay, with the number of load paths that were played for it."""
    return f"{words}, on {frame['paths'].max()} load paths\n" if len(frame) else f"{words}\n"


def whatif_text(frame: pd.DataFrame, title: str) -> str:
    """One line a case, under a title: dollars, requests in time, the worst hour, the
    error budget spent and why.
    """
    rows = [
        [
            r["variant"],
            usd(r["monthly_mean_usd"]),
            f"{'+' if r['difference_usd'] >= 0 else ''}{usd(r['difference_usd'])}",
            percent(r["within_share"], 2),
            percent(r["worst_hour_share"], 2),
            percent(r["error_budget_share"], 0),
            seconds(r["high_latency_s"]),
            click.style(r["sentence"], fg="red") if r["error_budget_share"] > 1 else r["sentence"],
        ]
        for r in frame.to_dict("records")
    ]
    head = ["", "a month", "more", "requests within", "worst hour", "error budget spent", "busy hours", "late because"]
    return _title(title, frame) + table(head, rows, "  ")


def latency_text(study: "Study") -> str:
    """Share of requests in time by objective, what does not hold (in red) and why, what breaks
    first.
    """
    rows = [
        [
            r["service"],
            r["objective"],
            seconds(r["limit_s"]),
            seconds(r["typical_latency_s"]),
            seconds(r["high_latency_s"]),
            percent(r["within_share"], 2),
            f"{r['percentile_share'] * 100:g} %",
            percent(r["beyond_plan_share"], 2),
            percent(r["worst_hour_share"], 2),
            percent(r["within_low_share"], 2),
        ]
        for r in study.replay.objectives.to_dict("records")
    ]
    head = [
        "service",
        "objective",
        "limit",
        "typical",
        "busy hours",
        "requests within",
        "asked",
        "beyond plan",
        "worst hour",
    ]
    broken = [click.style(f"  {sentence}", fg="red") for sentence in study.replay.broken()]
    late = [f"  {r['service']}: {r['sentence']}" for r in study.replay.causes.to_dict("records")]
    parts = [
        f"Latency on {study.replay.paths} unseen load paths\n" + table([*head, "on a bad path"], rows, "  "),
        "\n".join(broken),
        "Why requests were late\n" + "\n".join(late) if late else "",
        _breaks(study),
    ]
    return "\n\n".join(filter(None, parts))


def head_text(study: "Study") -> str:
    """What was asked: scenario, horizon, and how old its prices are."""
    s = study.scenario
    end = pd.Timestamp(s.end_utc).tz_convert(s.time_zone)
    return (
        f"{s.name} ({s.state}): {s.start} to {end:%Y-%m-%d %H:%M} {s.time_zone}; prices of {study.catalog.as_of} "
        f"({study.catalog.age_days()} days old)"
    )


def _breaks(study: "Study") -> str:
    """Margin, date, what fails and what mending costs a month, the dearest first."""
    zone = study.scenario.time_zone
    rows = [
        [
            EVENTS[r["cause"]],
            r["service"] or "all",
            f"{r['load_multiplier']:.2f} ×" if np.isfinite(r["load_multiplier"]) else "any load",
            r["objective"] or r["cause"],
            f"{r['breaks_at'].tz_convert(zone):%Y-%m-%d %H:%M}" if np.isfinite(r["load_multiplier"]) else "never",
            usd(r["mending_usd_per_month"]),
        ]
        for r in study.replay.breaks.to_dict("records")
    ]
    head = ["", "service", "is borne up to", "then fails", f"first ({zone})", "mending a month"]
    told = "below 1.00 × of the planned load, the quota in use or the bill it fails as planned"
    return f"What breaks first ({told})\n" + table(head, rows, "  ")


def tables_text(found: Mapping[str, pd.DataFrame], scenario: Scenario) -> str:
    """The tables of a replay that were asked for, one under the other."""
    texts = {
        "error_budget": lambda f: budget_text(f, scenario.time_zone),
        "bill": bill_text,
        "strain": lambda f: whatif_text(f, "Under strain"),
        "regret": regret_text,
        "headroom": headroom_text,
        "requests": requests_text,
    }
    return "\n" + "\n\n".join(say(found[name]) for name, say in texts.items() if name in found)


def budget_text(frame: pd.DataFrame, time_zone: str) -> str:
    """Of each objective the budget spent over the horizon, its worst month, and when that was
    exhausted.
    """
    rows = []
    for (service, objective), mine in frame.groupby(["service", "objective"], sort=False, observed=True):
        worst = mine.sort_values("error_budget_share", kind="stable").to_dict("records")[-1]
        spent, allowed = float(mine["late_requests"].sum()), float(mine["allowed_requests"].sum())
        when = worst["exhausted_at"]
        rows.append(
            [
                service,
                objective,
                number(spent),
                number(allowed),
                percent(spent / allowed if allowed > 0 else 0.0, 0),
                worst["month"],
                percent(worst["error_budget_share"], 0),
                "never" if pd.isna(when) else f"{when.tz_convert(time_zone):%Y-%m-%d %H:%M}",
                f"{(mine['error_budget_share'] > 1).sum()} of {len(mine)}",
            ]
        )
    head = [
        "service",
        "objective",
        "late",
        "allowed",
        "spent",
        "worst month",
        "spent in it",
        "exhausted",
        "months over",
    ]
    return _title("Error budget", frame) + table(head, rows, "  ")


def regret_text(frame: pd.DataFrame) -> str:
    """One line a fleet: its bill, what it costs over perfect foresight, and what it is late."""
    rows = [
        [
            r["variant"],
            usd(r["monthly_mean_usd"]),
            f"{'+' if r['difference_usd'] > 0 else ''}{usd(r['difference_usd'])}",
            number(r["late_requests"]),
            percent(r["within_share"], 2),
            percent(r["error_budget_share"], 0),
            usd(r["usd_per_1k_late"]) if r["usd_per_1k_late"] == r["usd_per_1k_late"] else "",
        ]
        for r in frame.to_dict("records")
    ]
    head = ["", "a month", "over foresight", "late a month", "requests within", "error budget spent"]
    return _title("Against perfect foresight and other sizes", frame) + table([*head, "for 1,000 late"], rows, "  ")


def headroom_text(frame: pd.DataFrame) -> str:
    """What is kept free of the always-busy rate by cause, beside what the replay needed."""
    rows = [
        [
            r["service"],
            CAUSES.get(r["cause"], "All together"),
            percent(r["assumed_share"]),
            percent(r["needed_share"]) if r["needed_share"] == r["needed_share"] else "",
            r["sentence"],
        ]
        for r in frame.to_dict("records")
    ]
    title = _title("Headroom kept free of the always-busy rate, and needed to hold every hour", frame)
    return title + table(["service", "for", "kept", "needed", ""], rows, "  ")
