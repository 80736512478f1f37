"""The page of the store: what was kept, by whom, when and why; keep this one, call it agreed or
budgeted, and see what moved since.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from planner.charges import charge
from planner.show import charts, views, words
from planner.study import Study
from planner.ui import account, controls, kept, session, study_page
from planner.ui.drawing import card, chart, download, small, table
from planner.ui.session import plain

if TYPE_CHECKING:
    from planner.store import Revision

STATES = {
    "idea": "Idea: anything may be kept",
    "agreed": "Agreed: somebody answers for every dollar",
    "budgeted": "Budgeted: agreed before, a budget is stated, prices are young",
}
SHOWN = ["label", "state", "at", "author", "monthly_usd", "price_as_of", "why"]


def body(study: Study) -> None:
    """This answer beside the newest kept one, keep it, then all revisions and one of them."""
    if not kept.there():
        st.info(
            f"Keeping scenarios needs one more package on the server: {kept.MISSING}",
            icon=":material/inventory:",
        )
        return
    done = st.session_state.pop("stored", None)
    if done:
        st.success(plain(done), icon=":material/check:")
    found = kept.revisions()
    seen = _seen(found)
    mine = [r for r in found if r.facts.name == study.scenario.name]
    _beside(study, mine)
    _keep(study, seen)
    if not found:
        small("Nothing is kept yet.")
        return
    st.subheader("What is kept")
    all_of_them = st.toggle("All scenarios", value=not mine, key="all", bind="query-params")
    rows = found if all_of_them else mine
    table(_rows(rows), SHOWN)
    if rows:
        _one(rows, seen)


def _seen(found: list[Revision]) -> dict[str, int]:
    """Number of the newest revision of each scenario that this page showed before it was drawn
    anew, which is what its reader answers; from now on those it shows.
    """
    newest: dict[str, int] = {}
    for revision in found:
        name, number = revision.facts.name, revision.facts.number
        newest[name] = max(number, newest.get(name, 0))
    before: dict[str, int] = st.session_state.get("seen", newest)
    st.session_state["seen"] = newest
    return before


def _beside(study: Study, mine: list[Revision]) -> None:
    """This answer, the newest kept one, and what lies between."""
    now = study.plan.summary()["monthly_mean_usd"]
    cells = st.columns(3)
    card(
        cells[0],
        "This answer, a month",
        words.money(now),
        f"{study.scenario.name}, {study.scenario.state}",
    )
    if not mine:
        card(cells[1], "Kept last", "nothing yet", "of this scenario")
        return
    newest = mine[0].facts
    card(
        cells[1],
        "Kept last, a month",
        words.money(newest.monthly_mean_usd),
        f"{mine[0].label}, {newest.state}",
    )
    change = now - newest.monthly_mean_usd
    sign = "+" if change >= 0.005 else ""
    card(cells[2], "Since then", f"{sign}{words.money(change)}", f"a month, kept by {newest.author}")


def _keep(study: Study, seen: dict[str, int]) -> None:
    """Keep this answer as the next revision, unless another has kept one that was not seen yet."""
    with st.form("keep", border=True):
        why, who, button = st.columns([3, 2, 1], vertical_alignment="bottom")
        reason = why.text_input("Why keep it", placeholder="One sentence for who reads it in a year", max_chars=300)
        author = account.author(who)
        if not button.form_submit_button("Keep", icon=":material/save:", width="stretch"):
            return
    account.remember(author)
    if not _said(author, reason):
        return
    with session.errors_shown():
        saved = kept.store().save(study, reason, author=author, after=seen.get(study.scenario.name, 0))
        st.session_state.update(stored=f"Kept as {saved.label}.", newest=saved.label)
        st.rerun()


def _said(author: str, reason: str) -> bool:
    """Whether who and why are said; told where not."""
    missing = [
        what for what, text in (("say why, in one sentence", reason), ("say who you are", author)) if not text.strip()
    ]
    if missing:
        st.warning(f"Nothing was kept: {' and '.join(missing)}.", icon=":material/edit:")
    return not missing


def _rows(found: list[Revision]) -> pd.DataFrame:
    """Revisions as the table shows them."""
    return pd.DataFrame(
        [
            {
                "label": r.label,
                "state": r.facts.state,
                "at": datetime.fromisoformat(r.facts.at).replace(tzinfo=None),
                "author": r.facts.author,
                "monthly_usd": words.money(r.facts.monthly_mean_usd),
                "price_as_of": r.facts.price_as_of,
                "why": r.facts.why,
            }
            for r in found
        ],
        columns=SHOWN,
    )


def _one(rows: list[Revision], seen: dict[str, int]) -> None:
    """A revision: open it, work it out again, set it beside another, move its state on."""
    st.subheader("One revision")
    names = [r.label for r in rows]
    newest = st.session_state.pop("newest", None)
    if newest in names:
        st.session_state["revision"] = newest
    label = str(st.selectbox("Revision", names, key="revision", bind="query-params"))
    chosen = rows[names.index(label)]
    left, right = st.columns(2, gap="medium")
    with left:
        _facts(chosen)
    with right:
        _state(chosen, seen.get(chosen.facts.name, 0))
    _bridge(chosen, rows)
    _again(chosen)


def _facts(chosen: Revision) -> None:
    """What it rests on and costs, and the ways out of the page."""
    f, s = chosen.facts, chosen.kept.summary
    months = chosen.kept.months
    low, high = (words.money(s[k] / months) for k in ("p10_usd", "p90_usd"))
    st.markdown(
        f"**{plain(words.money(f.monthly_mean_usd))}** a month, {plain(low)} to {plain(high)} in 8 of 10 futures."
        f" Kept by **{plain(f.author)}** on {plain(_day(f.at))}: {plain(f.why)}."
    )
    small(f"Scenario, traffic and prices have the fingerprint {f.content[:12]}; planned on {f.paths} futures.")
    with st.container(horizontal=True):
        st.button(
            "Open it",
            icon=":material/open_in_new:",
            key="open.revision",
            on_click=controls.choose,
            args=(chosen.label,),
        )
        download("Scenario (YAML)", f.text.encode, "scenario.yaml", "application/yaml")


def _day(at: str) -> str:
    """The day of a time as the store writes it."""
    return f"{datetime.fromisoformat(at):%d %b %Y}"


def _state(chosen: Revision, seen: int) -> None:
    """Call the newest revision of the scenario, the number ``seen``, agreed or budgeted; a shut gate
    says what opens it.
    """
    with st.form("state", border=True):
        state = st.selectbox("Call the newest one", list(STATES), format_func=lambda s: STATES[s])
        reason = st.text_input("Why", max_chars=300)
        author = account.author(st)
        if not st.form_submit_button("Set the state", icon=":material/verified:"):
            return
    account.remember(author)
    if not _said(author, reason):
        return
    with session.errors_shown():
        moved = kept.store().set_state(chosen.facts.name, str(state), reason, author=author, after=seen)
        st.session_state.update(stored=f"{moved.label} is {moved.facts.state} now.", newest=moved.label)
        st.rerun()


def _bridge(chosen: Revision, rows: list[Revision]) -> None:
    """What grew or shrank from another revision to this one."""
    from planner.store import growth

    others = [r for r in rows if r.label != chosen.label]
    if not others:
        return
    st.subheader("What moved since another revision")
    names = [r.label for r in others]
    now = (chosen.facts.at, chosen.facts.number)
    earlier = [k for k, r in enumerate(others) if (r.facts.at, r.facts.number) < now]
    first = earlier[0] if earlier else 0
    before = others[names.index(str(st.selectbox("From", names, first, key="from", bind="query-params")))]
    found = growth(before.kept, chosen.kept)
    by = found.lines.groupby("charge")["difference_usd"].sum().sort_values(key=abs, ascending=False)
    parts = [(charge(str(c)).title, float(v)) for c, v in by.items() if abs(v) >= 0.5][:6]
    steps = views.waterfall((before.label, found.before_usd), (chosen.label, found.after_usd), parts)
    chart(
        charts.bridge(steps, "What moved", "USD a month"),
        f"Bridge of a month from {before.label} to {chosen.label}",
    )
    owners = found.owners.assign(
        owner=found.owners["owner"].replace("", "nobody"),
        service=found.owners["service"].replace("", "shared"),
        because=found.owners["cause"].map(words.GROWTH).fillna(found.owners["cause"]),
        usd_per_month=found.owners["difference_usd"],
    )
    table(
        owners[owners["usd_per_month"].abs() >= 0.005],
        ["owner", "service", "because", "usd_per_month"],
    )


def _again(chosen: Revision) -> None:
    """Whether it still comes out, on its own prices or on the newest."""
    st.subheader("Does it still come out?")
    with st.container(horizontal=True):
        pinned = st.button("Work it out again on its own prices", icon=":material/replay:")
        newest = st.button("On the newest prices", icon=":material/update:")
    if not (pinned or newest):
        return
    from planner.store import recompute

    with st.spinner("Working it out again …"):
        done = recompute(chosen, newest=newest)
    if done.same:
        st.success("Every charge of every month is the same to the cent.", icon=":material/check:")
        return
    st.markdown(
        f"Kept: **{plain(words.money(done.before_usd))}** over the horizon; now:"
        f" **{plain(words.money(done.after_usd))}**."
    )
    table(
        done.lines.assign(charge=[charge(str(c)).title for c in done.lines["charge"]]),
        ["service", "charge", "difference_usd"],
    )


study_page.show("Store", study_page.whole(body))
