"""The page of two scenarios side by side, with a bridge from one bill to the other."""

import pandas as pd
import streamlit as st

from planner import export
from planner.show import charts, views
from planner.ui import controls, session
from planner.ui.drawing import chart, download, small
from planner.ui.session import plain


def page() -> None:
    """Two choices, two studies, one table and one waterfall."""
    st.title("Two plans side by side")
    with session.errors_shown():
        left, right = st.columns(2)
        with left:
            st.subheader("A")
            first, first_changes = controls.side("a", 0)
        with right:
            st.subheader("B")
            second, second_changes = controls.side("b", 0)
        if first == second:
            st.info(
                "Both sides are the same scenario. Choose another one for B, or change something in it.",
                icon=":material/compare_arrows:",
            )
            return
        names = (f"A: {first.name}", f"B: {second.name}")
        a, b = session.study(first), session.study(second)
        for name, changes in zip(names, (first_changes, second_changes), strict=True):
            if changes:
                small(f"{name} with {controls.told(changes)}")
        figures = views.side_by_side(dict(zip(names, (a, b), strict=True))).rename_axis("Figure").reset_index()
        st.table(figures.map(plain), hide_index=True, border="horizontal", alt="Figures of both plans")
        steps = views.bridge(a.plan, b.plan, names)
        chart(charts.bridge(steps), f"Bridge of cost from {names[0]} to {names[1]}")
        rows: pd.DataFrame = a.plan.compare(b.plan)
        download("Every difference (CSV)", lambda: export.to_csv(rows).encode(), "bridge.csv")


page()
