"""The page of prices: every machine on offer, what it costs, where that was read and when."""

import pandas as pd
import streamlit as st

from planner import export
from planner.catalog import Catalog
from planner.show import answer, views
from planner.ui import session
from planner.ui.cells import CELLS
from planner.ui.drawing import download, small, told

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
    "list",
]


def page() -> None:
    """Choose where (at first the region whose prices were read last), search what, see the price and
    the list it was read from.
    """
    st.title("Prices")
    with session.errors_shown():
        places, fresh = session.places(), session.freshest(False)
        where, what, kind = st.columns([2, 2, 1], vertical_alignment="bottom")
        provider = where.segmented_control(
            "Cloud",
            list(places),
            default=fresh[0],
            format_func=lambda name: name.replace("_", " "),
            required=True,
            key="cloud",
            bind="query-params",
        )
        regions = places[str(provider)]
        first = regions.index(fresh[1]) if provider == fresh[0] else 0
        region = what.selectbox("Region", regions, first, key=f"region.{provider}")
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
        lists = _lists(table)
        numbered = table.assign(list=table["source"].map(lists.set_index("source")["list"]))
        shown = [c for c in SHOWN if accelerated or not c.startswith("accelerator")]
        st.dataframe(
            numbered[shown], hide_index=True, column_config={c: CELLS[c] for c in shown}, placeholder="–", height=520
        )
        told(lists, ["list", "source", "machines"])
        download("These prices (CSV)", lambda: export.to_csv(table).encode(), "prices.csv")
        _commitments(catalog)


def _matching(table: pd.DataFrame, search: str, accelerated: bool) -> pd.DataFrame:
    text = (table["instance_type"] + " " + table["accelerator"]).str.lower()
    keep = text.str.contains(search.strip().lower(), regex=False)
    return table[keep & (table["accelerators"] > 0)] if accelerated else table[keep]


def _lists(table: pd.DataFrame) -> pd.DataFrame:
    """The price lists that the machines shown were read from, the longest first, each with its number
    and how many machines are of it: ``list source machines``.
    """
    count = table["source"].value_counts().rename_axis("source").rename("machines").reset_index()
    return count.assign(list=range(1, len(count) + 1))


def _commitments(catalog: Catalog) -> None:
    with st.expander(f"{len(catalog.commitments):,} commitments on offer", icon=":material/contract:"):
        st.dataframe(catalog.commitments, hide_index=True, placeholder="–")


page()
