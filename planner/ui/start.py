"""The first step: one of the samples, or your own traffic with a look at it before anything is
planned.
"""

import streamlit as st

from planner.show import words
from planner.ui import kept, session, sources
from planner.ui.drawing import small
from planner.ui.session import plain


def page() -> None:
    """The samples side by side, then the upload."""
    st.title("What will it cost, and will it hold?")
    with session.errors_shown():
        st.subheader("Look at a sample")
        samples = session.bundled()
        for cell, name in zip(st.columns(len(samples)), samples, strict=True):
            with cell.container(border=True, height="stretch"):
                st.markdown(f"**{plain(name)}**")
                small(session.about(name))
                if st.button("Open", key=f"open.{name}", width="stretch"):
                    sources.open_answer(name)
    with session.errors_shown():
        _kept()
    with session.errors_shown():
        st.subheader("Plan from your own traffic")
        sources.ask()


def _kept() -> None:
    """The newest revision of each of the scenarios kept last, where there is one."""
    newest = kept.heads()[:4]
    if not newest:
        return
    st.subheader("Go on with what was kept")
    for cell, revision in zip(st.columns(4), newest, strict=False):
        f = revision.facts
        with cell.container(border=True, height="stretch"):
            st.markdown(f"**{plain(revision.label)}**, {plain(f.state)}")
            small(f"{words.money(f.monthly_mean_usd)} a month; {f.author} on {f.at:.10}: {f.why}")
            if st.button("Open", key=f"open.{revision.label}", width="stretch"):
                sources.open_answer(revision.label)


page()
