"""The first page: what it costs over the year, what to run, what breaks first, and whether to bet
on it.
"""

import math
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from planner.export import finance
from planner.show import answer, charts, views, words
from planner.study import Planned, Study
from planner.today import Today
from planner.ui import files, session, study_page
from planner.ui.drawing import card, kept_chart, small, table, told
from planner.ui.session import plain

BEING_PLAYED = "Being played on futures the plan was not made for"
ROW, HEAD = 26, 36  # height of a table's row and head [px]
BREAKS = ["event", "service", "times", "when", "mending"]


def body(study: Planned, parts: study_page.Parts) -> None:
    """All on one screen; downloads and notes below it."""
    with st.container(gap="small"):
        _name(study)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _year(study, parts)
        with right:
            _money(study, parts)
        with st.container(gap=None):
            _bet(study, parts)
        one = len(study.scenario.services) == 1
        left, right = st.columns([11, 9] if one else [12, 11], gap="small")
        with left.container(gap="xsmall"):
            monthly = words.money(study.plan.summary()["monthly_mean_usd"])
            st.markdown(f"**What to run**, {plain(monthly)} a month in all")
            rows = session.worked_out(study, "to run", lambda: answer.to_run(study))
            _rows(rows, ["service", "machine", "paid", "mean", "most", "usd_per_month"][one:])
        with right.container(gap="xsmall"):
            st.markdown("**What breaks first**")
            columns = ["event", "times", "when", "mending"] if one else BREAKS
            parts.played(BEING_PLAYED, lambda played: _rows(answer.breaking(played), columns))
    study_page.cautions(study)
    parts.played("Downloads and notes follow when the plan has been played", _below)


def _rows(rows: pd.DataFrame, columns: list[str]) -> None:
    """A table whose rows are low enough for one screen."""
    table(rows, columns, row_height=ROW, height=HEAD + ROW * min(7, len(rows)) + 3)


def _name(study: Planned) -> None:
    """One line: the name, its state, who answers for it, where and when."""
    scenario = study.scenario
    owners = sorted({s.owner.team for s in scenario.services.values() if s.owner is not None})
    owner = ", ".join(owners) if owners else "nobody yet"
    st.title(plain(scenario.name))
    days = views.typical_age_days(views.price_ages(study.plan, datetime.now(UTC).date()))
    aged = "prices undated" if pd.isna(days) else f"half of the bill at prices of ≤ {days:,.0f} days"
    end = scenario.end_utc - pd.Timedelta(hours=1)
    st.markdown(
        f":small[State **{plain(scenario.state)}** · owner **{plain(owner)}** ·"
        f" {plain(', '.join(scenario.services))} · {scenario.start:%b %Y} to {end:%b %Y} ·"
        f" {plain(', '.join(scenario.regions))} · {study.load.paths} futures (planner plan --paths {study.load.paths})"
        f" · {aged}]"
    )


def _year(study: Planned, parts: study_page.Parts) -> None:
    """The bill by month with its range, the budget and, once it is known, today as lines."""
    if study.scenario.today is None:
        _months(study, None)
    else:
        parts.played(
            lambda: _months(study, None),
            lambda played: _months(played, played.today.today_usd_per_month if played.today else None),
        )


def _months(study: Planned, now: float | None) -> None:
    """The chart; ``now``: what today costs a month [USD], where it is stated and known."""
    budget = study.scenario.limits.budget_usd_per_month
    alt = "Cost by month, expected and P10 to P90, with the budget"
    told = alt if now is None else f"{alt} and today"
    kept_chart(study, lambda: charts.year(answer.year(study), budget, now, height=225), told)


def _money(study: Planned, parts: study_page.Parts) -> None:
    """Four figures: cost a month with its range, today beside the plan, paid up front, still owed
    after the end.
    """
    figures, months, due = study.plan.summary(), study.plan.months, finance.headline(study)
    first, second = st.columns(2)
    low, high = (words.money(figures[p] / months) for p in ("p10_usd", "p90_usd"))
    card(first, "Cost a month", words.money(figures["monthly_mean_usd"]), f"P10 {low} to P90 {high}")
    with second:
        _beside(study, parts)
    first, second = st.columns(2)
    card(
        first,
        "Paid up front",
        words.money(float(due["upfront_usd"])),
        f"{words.money(figures['total_usd'])} in all",
    )
    card(second, "Still owed", words.money(float(due["owed_after_usd"])), "after the plan ends")


def _beside(study: Planned, parts: study_page.Parts) -> None:
    """Today → recommended, or what the plan saves against list prices where today is not stated."""
    if study.scenario.today is None:
        saved = words.share(study.plan.summary()["effective_savings_rate"])
        card(st, "Today → plan", "not stated", f"{saved} below list price")
        return

    def draw(played: Study) -> None:
        if played.today is not None:
            card(st, *_today(played.today))

    label = "Today → plan, a month"
    parts.played(lambda: card(st, label, "…", "today is being played beside the plan"), draw)


def _today(now: Today) -> tuple[str, str, str]:
    """Today → recommended: label, figure, and what to know about it."""
    saving, months = now.saving_usd_per_month, now.payback_months
    back = "" if not math.isfinite(months) or months < 0.05 else f", paid back in {months:.1f} months"
    told = f"saves {words.a_month(saving)}{back}" if saving >= 0 else f"costs {words.a_month(saving)} more"
    both = f"{words.money(now.today_usd_per_month)} → {words.money(now.plan_usd_per_month)}"
    return "Today → plan, a month", both, told


def _bet(study: Planned, parts: study_page.Parts) -> None:
    """What the answer rests on, how near it is to the cheapest, whether it held, and what would
    sharpen it most.
    """
    shares = session.worked_out(study, "basis", lambda: answer.basis_shares(study))
    rests = ", ".join(f"{words.share(v)} {kind}" for kind, v in shares.items())
    sharper = _sharper(study)
    best = f" {sharper['sentence'].iloc[0]}." if len(sharper) else ""
    st.markdown(f":small[**Would you bet on it?** {plain(rests)}.{plain(best)}.]")
    left, right = st.columns([2, 3], gap="small")
    with left:
        parts.proved(words.NOT_PROVED, _near)
    with right:
        parts.played(f"Whether it would hold is being played on {study.load.paths} futures", _held)


def _near(study: Planned) -> None:
    """How near the plan is to the cheapest possible: said once it is proved."""
    gap = words.share(study.plan.certificate.gap_share, 1)
    st.markdown(f":small[**Is there a cheaper one?** Proven: none by more than {plain(gap)}.]")


def _held(study: Study) -> None:
    """Whether the plan would hold: said once it was played."""
    held = words.share(study.replay.within_share(), 2)
    futures = f"on {study.replay.paths} futures it was not made for"
    st.markdown(f":small[**Would it hold?** {plain(held)} of requests in time {futures}.]")


def _sharper(study: Planned) -> pd.DataFrame:
    """What would make the answer surer."""
    return session.worked_out(study, "sharper", lambda: answer.sharpening(study))


def _change(now: Today) -> None:
    """From today to the plan: what changes, what it takes, and how both answer."""
    rows = pd.DataFrame(now.changes)
    if rows.empty:
        small("Nothing changes: today's machines are the recommended ones.")
    else:
        told(
            rows.assign(change=rows["what"].map(words.capital)),
            ["service", "change", "today", "recommended"],
        )
    told(
        pd.DataFrame(
            [
                {
                    "service": x.service,
                    "promise": words.capital(words.spelled(x.objective)),
                    "limit": words.seconds(x.limit_s),
                    "today": _seen(x.today_busy_s, x.today_within),
                    "recommended": _seen(x.plan_busy_s, x.plan_within),
                }
                for x in now.latency
            ]
        ),
        ["service", "promise", "limit", "today", "recommended"],
    )
    takes = [f"{m.what} ({words.money(m.usd)}, {m.basis})" for m in now.moves]
    small(f"What it takes, once: {'; '.join(takes) if takes else 'nothing that is known'}.")
    for note in now.notes:
        small(words.capital(note))


def _seen(busy_s: float, within: float) -> str:
    """A latency of the busy hours and the share of requests in time; unknown is said."""
    slow = "unknown" if math.isnan(busy_s) else words.seconds(busy_s)
    return f"{slow} in busy hours, {words.share(within, 2)} in time"


def _below(study: Study) -> None:
    """What does not fit on the first screen, folded."""
    if study.today is not None:
        with st.expander("From today to the plan", icon=":material/swap_horiz:"):
            _change(study.today)
    with st.expander("What would make this answer surer", icon=":material/target:"):
        table(_sharper(study), ["sentence", "usd_per_month"])
    with st.expander("Downloads", icon=":material/download:"):
        files.offer(study)
    notes = tuple(dict.fromkeys((*study.load.notes, *study.plan.notes, *study.replay.notes)))
    if notes:
        with st.expander(f"{len(notes)} notes on data and method", icon=":material/info:"):
            for note in notes:
                st.markdown(f"- {plain(words.plainly(note))}.")


study_page.show("Answer", body, wide=True)
