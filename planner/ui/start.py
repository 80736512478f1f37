"""The first step: one of the samples, or your own traffic with a look at it before anything is
planned.
"""

import streamlit as st

from planner.ui import session, sources
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
        st.subheader("Plan from your own traffic")
        sources.ask()


page()
