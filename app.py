"""The browser app: its pages. Run it with ``planner app`` or ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

import planner.ui

PAGES = Path(planner.ui.__file__).parent
NAMES = ["Start", "Answer", "Load", "Capacity", "Money", "Commitments", "Risk", "Compare", "Prices"]

st.set_page_config(page_title="Capacity and cost planner", page_icon=str(PAGES / "icon.svg"), layout="wide")
pages = [st.Page(PAGES / f"{n.lower()}.py", title=n, url_path=n.lower(), default=n == "Answer") for n in NAMES]
st.navigation(pages, position="top").run()
