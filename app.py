"""The browser app: its pages. Run it with ``planner app`` or ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

import planner.ui

PAGES = Path(planner.ui.__file__).parent

st.set_page_config(page_title="Capacity and cost planner", page_icon=str(PAGES / "icon.svg"), layout="wide")
st.navigation(
    [
        st.Page(PAGES / "plan.py", title="Plan", icon=":material/monitoring:", url_path="plan", default=True),
        st.Page(PAGES / "compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page(PAGES / "prices.py", title="Prices", icon=":material/sell:", url_path="prices"),
    ]
).run()
