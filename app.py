"""The browser app: its pages. Run it with ``planner app`` or ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

import planner.ui

PAGES = Path(planner.ui.__file__).parent

st.set_page_config(page_title="Capacity and cost planner", page_icon=str(PAGES / "icon.svg"), layout="wide")
st.navigation(
    [
        st.Page(PAGES / "start.py", title="Start", url_path="start"),
        st.Page(PAGES / "answer.py", title="Answer", url_path="answer", default=True),
        st.Page(PAGES / "load.py", title="Load", url_path="load"),
        st.Page(PAGES / "capacity.py", title="Capacity", url_path="capacity"),
        st.Page(PAGES / "money.py", title="Money", url_path="money"),
        st.Page(PAGES / "commitments.py", title="Commitments", url_path="commitments"),
        st.Page(PAGES / "risk.py", title="Risk", url_path="risk"),
        st.Page(PAGES / "compare.py", title="Compare", url_path="compare"),
        st.Page(PAGES / "prices.py", title="Prices", url_path="prices"),
    ],
    position="top",
).run()
