"""How the pages show a chart, a table and small print: the same everywhere, in the colors of the
reader's ground.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from planner.scenario import Scenario
from planner.show import charts, words
from planner.ui.cells import CELLS
from planner.ui.session import plain


def chart(drawn: Any, alt: str) -> None:
    """An Altair chart in the colors of the reader's ground; ``alt`` says
    it to who cannot see it.
    """
    theme = "dark" if st.context.theme.type == "dark" else "light"
    st.vega_lite_chart(charts.on(drawn, theme), alt=alt, width="stretch")


def small(*texts: str) -> None:
    """Small print in full color: gray on gray is hard to read."""
    for text in filter(None, texts):
        st.markdown(f":small[{plain(text)}{'.' if text.endswith('.') else ''}]")


def table(frame: pd.DataFrame, columns: Sequence[str], row_height: int | None = None, height: Any = "auto") -> None:
    """Only columns that say something: those empty in every row are left out."""
    kept = [c for c in columns if not (frame[c].isna() | (frame[c].astype(str) == "")).all()]
    shown = frame[kept].style.format(_share, subset=[c for c in kept if c.endswith(("_share", "_utilization"))])
    if "mean" in kept:
        shown = shown.format(_few, subset=["mean"])
    heads = ", ".join(str(CELLS[c]["label"]) for c in kept if c in CELLS)
    st.dataframe(
        shown,
        alt=f"Table of {heads}",
        hide_index=True,
        column_config={c: CELLS[c] for c in kept if c in CELLS},
        placeholder="–",
        row_height=row_height,
        height=height,
    )


def worded(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with its objectives in words."""
    return frame.assign(**{c: frame[c].map(words.spelled) for c in ("objective", "sentence") if c in frame})


def which(scenario: Scenario) -> str:
    """The service a page speaks of; asked where there are several."""
    names = list(scenario.services)
    if len(names) == 1:
        return names[0]
    return str(
        st.segmented_control("Service", names, default=names[0], required=True, key="service", bind="query-params")
    )


def download(label: str, data: Any, file_name: str, mime: str = "text/csv") -> None:
    """A file that is written when it is asked for."""
    st.download_button(
        label, data=data, file_name=file_name, mime=mime, on_click="ignore", icon=":material/download:", key=file_name
    )


def _few(value: object) -> str:
    """A mean number of machines; one too small to be shown is said to be small, never zero."""
    if value is None or value != value:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) and not 0 < value < 0.005 else "< 0.01"


def _share(value: object) -> str:
    """A share as per cent, with two digits where it is nearly all."""
    return words.share(
        value if isinstance(value, float) else None,
        2 if isinstance(value, float) and value > 0.99 else 0,
    )
