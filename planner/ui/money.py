"""The page of the money: by month, amortized, in cash and at list, its range, its owners, and the
cost of a request.
"""

import pandas as pd
import streamlit as st

from planner.show import answer, charts, views, words
from planner.study import Planned
from planner.ui import drawing, files, session, study_page
from planner.ui.drawing import kept_chart, small, table
from planner.ui.session import plain

MEASURES = {
    "Spread over the term (amortized)": "effective_cost_usd",
    "Cash on the invoice": "billed_cost_usd",
    "List price, on demand": "list_cost_usd",
}


def body(study: Planned, parts: study_page.Parts) -> None:
    """Months, range, what it rests on, owners, unit costs, downloads."""
    plan = study.plan
    st.markdown(f"**{plain(words.limits_told(study.plan, study.scenario))}**")
    counted = str(st.segmented_control("Count", list(MEASURES), default=next(iter(MEASURES)), required=True))
    measure = MEASURES[counted]
    span = views.month_range(plan) if measure == "effective_cost_usd" else None
    kept_chart(
        study,
        lambda: charts.cost_months(plan.monthly(), measure, span=span),
        f"Cost by month and charge ({counted}), with its range over simulated futures",
    )
    if plan.paths_usd:
        _range(study, parts)
    left, right = st.columns(2)
    with left:
        st.subheader("Who answers for it")
        owners = plan.by_owner()
        owners["owner"] = owners["owner"].where(owners["owner"] != "", "nobody")
        table(owners, ["owner", "cost_center", "service", "effective_cost_usd", "billed_cost_usd", "list_cost_usd"])
    with right:
        st.subheader("What the bill rests on")
        table(views.by_basis(plan).rename(columns={"basis": "rests"}), ["rests", "effective_cost_usd"])
    st.subheader("What a request costs")
    table(session.worked_out(study, "units", lambda: views.units(study)), ["service", "unit", "usd_each"])
    with st.expander("Every month to the cent", icon=":material/calendar_month:"):
        drawing.told(
            session.worked_out(study, "to the cent", lambda: answer.to_the_cent(plan)),
            ["month", "amortized", "cash", "at_list"],
        )
        small("The files hold these very sums. A whole dollar elsewhere on the pages is one of them, rounded.")
    with st.expander("Downloads", icon=":material/download:", expanded=True):
        parts.played("The files follow when the plan has been checked and played", files.offer)


def _range(study: Planned, parts: study_page.Parts) -> None:
    """What the bars and lines of the months mean, and the distribution of the whole bill over the
    futures the plan was valued on.
    """
    plan = study.plan
    lines = "Bars: the expected bill. Lines: 8 of 10 futures."

    def told(found: Planned) -> None:
        ready = words.money(found.plan.ready_usd / found.plan.months)
        small(f"{lines} If all that must be ready ran: {ready} a month.")

    parts.proved(f"{lines} What it would be if all that must be ready ran is being worked out", told)
    futures = pd.DataFrame({"usd": views.path_costs(plan)})
    kept_chart(study, lambda: charts.cost_range(futures), "Distribution of total cost over simulated futures")
    small("Machines follow the load of each future; commitments stay as signed.")


study_page.show("Money", body)
