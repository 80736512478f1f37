"""The page of prices: every machine on offer, what it costs, where that was read and when."""

import pandas as pd
import streamlit as st

from planner import export
from planner.catalog import Catalog
from planner.show import answer, views
from planner.ui import session
from planner.ui.cells import CELLS
from planner.ui.drawing import download, small

SHOWN = [
    "instance_type",
    "vcpus",
    "memory_gib",
    "accelerator",
    "accelerators",
    "on_demand",
    "spot",
    "basis",
    "as_of",
    "source",
]


def page() -> None:
    """Choose where, search what, see the price with its source."""
    st.title("Prices")
    with session.errors_shown():
        places = session.places()
        where, what, kind = st.columns([2, 2, 1], vertical_alignment="bottom")
        provider = where.segmented_control(
            "Cloud",
            list(places),
            default=next(iter(places)),
            format_func=lambda name: name.replace("_", " "),
            required=True,
            key="cloud",
            bind="query-params",
        )
        region = what.selectbox("Region", places[str(provider)], key=f"region.{provider}")
        accelerated = kind.toggle("With accelerators", key="accelerated", bind="query-params")
        catalog = session.catalog((str(provider),), (str(region),))
        table = views.price_list(catalog)
        search = st.text_input(
            "Search",
            placeholder="part of a machine or accelerator name, such as g6 or H100",
            key="search",
            bind="query-params",
        )
        table = _matching(table, str(search or ""), bool(accelerated))
        if table.empty:
            st.info(
                "No machine of this region matches. Shorten the search, or choose another region.",
                icon=":material/search_off:",
            )
            return
        small(
            f"{len(table):,} machines; list prices in USD, Linux, shared tenancy, before tax. Half of the prices were"
            f" read on {catalog.as_of} or later, {catalog.age_days()} days ago."
        )
        if catalog.age_days() > answer.OLD_DAYS:
            st.warning(
                f"Refresh these prices: a typical one is {catalog.age_days()} days old, more than {answer.OLD_DAYS}.",
                icon=":material/update:",
            )
        st.dataframe(
            table[SHOWN], hide_index=True, column_config={c: CELLS[c] for c in SHOWN}, placeholder="–", height=520
        )
        download("These prices (CSV)", lambda: export.to_csv(table).encode(), "prices.csv")
        _commitments(catalog)


def _matching(table: pd.DataFrame, search: str, accelerated: bool) -> pd.DataFrame:
    text = (table["instance_type"] + " " + table["accelerator"]).str.lower()
    keep = text.str.contains(search.strip().lower(), regex=False)
    return table[keep & (table["accelerators"] > 0)] if accelerated else table[keep]


def _commitments(catalog: Catalog) -> None:
    with st.expander(f"{len(catalog.commitments):,} commitments on offer", icon=":material/contract:"):
        st.dataframe(catalog.commitments, hide_index=True, placeholder="–")


page()
