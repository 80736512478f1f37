"""The bare address: it leads to the answer, whose own address a link can carry."""

from pathlib import Path

import streamlit as st

st.switch_page(Path(__file__).parent / "answer.py", query_params=st.query_params.to_dict())
