"""How the pages show a chart, a table and small print: the same everywhere, in the colors of the
reader's ground.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from planner.scenario import Scenario
from planner.show import charts, words
from planner.study import Planned
from planner.ui import session
from planner.ui.cells import CELLS
from planner.ui.session import plain

UNKNOWN = "–"


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


def awaited(text: str) -> None:
    """Small print that says what is still being worked out."""
    st.markdown(f":small[:material/hourglass_top: {plain(text)} …]")


def kept_chart(study: Planned, draw: Callable[[], Any], alt: str) -> None:
    """A chart of a study that no control of its page moves: drawn once, as is what it shows."""
    theme = "dark" if st.context.theme.type == "dark" else "light"
    spec = session.worked_out(study, f"{alt}, {theme}", lambda: charts.on(draw(), theme))
    st.vega_lite_chart(spec, alt=alt, width="stretch")


def card(cell: Any, label: str, value: str, line: str) -> None:
    """A figure with its name above and what to know about it below."""
    with cell.container(gap=None):
        st.metric(label, plain(value))
        small(line)


def table(frame: pd.DataFrame, columns: Sequence[str], row_height: int | None = None, height: Any = "auto") -> None:
    """Only columns that say something: those empty in every row are left out."""
    kept = _telling(frame, columns)
    shown = frame[kept].style.format(_share, subset=[c for c in kept if c.endswith(("_share", "_utilization"))])
    if "mean" in kept:
        shown = shown.format(_few, subset=["mean"])
    heads = ", ".join(str(CELLS[c]["label"]) for c in kept if c in CELLS)
    st.dataframe(
        shown,
        alt=f"Table of {heads}",
        hide_index=True,
        column_config={c: CELLS[c] for c in kept if c in CELLS},
        placeholder=UNKNOWN,
        row_height=row_height,
        height=height,
    )


def _telling(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns that say something in some row."""
    return [c for c in columns if not (frame[c].isna() | (frame[c].astype(str) == "")).all()]


def told(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """A table whose long texts wrap instead of being cut; every cell is text as it is. Columns empty
    in every row are left out.
    """
    kept = _telling(frame, columns)
    heads = {c: str(CELLS[c]["label"]) for c in kept}
    shown = frame[kept].map(lambda cell: UNKNOWN if pd.isna(cell) else plain(cell)).rename(columns=heads)
    st.table(shown, hide_index=True, border="horizontal", alt=f"Table of {', '.join(heads.values())}")


def worded(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with its objectives in words."""
    return frame.assign(**{c: frame[c].map(words.spelled) for c in ("objective", "sentence") if c in frame})


def which(scenario: Scenario) -> str:
    """The service a page speaks of; asked where there are several."""
    names = list(scenario.services)
    if len(names) == 1:
        return names[0]
    # a box, whose entries no Markdown is made of, and whose address holds a name as it is
    return str(st.selectbox("Service", names, key="service", bind="query-params", width=320))


def download(label: str, data: Any, file_name: str, mime: str = "text/csv", key: str = "") -> None:
    """A file that is written when it is asked for."""
    st.download_button(
        label,
        data=data,
        file_name=file_name,
        mime=mime,
        on_click="ignore",
        icon=":material/download:",
        key=key or file_name,
    )


def _few(value: object) -> str:
    """A mean number of machines; one too small to be shown is said to be small, never zero."""
    if value is None or value != value:
        return UNKNOWN
    return f"{value:,.2f}" if isinstance(value, float) and not 0 < value < 0.005 else "< 0.01"


def _share(value: object) -> str:
    """A share as per cent, with two digits where it is nearly all."""
    return words.share(
        value if isinstance(value, float) else None,
        2 if isinstance(value, float) and value > 0.99 else 0,
    )
