"""The browser app: its pages. Run it with ``planner app`` or ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

import planner.ui
from planner.ui import account

PAGES = Path(planner.ui.__file__).parent
NAMES = "start answer load capacity money commitments risk compare track operate store prices"

st.set_page_config(page_title="Capacity and cost planner", page_icon=str(PAGES / "icon.svg"), layout="wide")
st.html(PAGES / "style.css")
account.required()
home = st.Page(PAGES / "home.py", title="Home", default=True, visibility="hidden")
pages = [st.Page(PAGES / f"{name}.py", title=name.capitalize(), url_path=name) for name in NAMES.split()]
st.navigation([home, *pages], position="top").run()
