"""The page of commitments: what to sign, from when, how far it is used, and what it costs if the
load comes otherwise.
"""

import streamlit as st

from planner.export import finance
from planner.show import charts, views, words
from planner.study import Planned
from planner.ui import study_page
from planner.ui.drawing import kept_chart, small, table
from planner.ui.session import plain

SHOWN = ["commitment", "quantity", "unit", "term_months", "payment", "start", "end"]
MONEY = ["commitment", "upfront_usd", "hourly_usd", "commitment_utilization", "break_even_utilization"]


def body(study: Planned, _: study_page.Parts) -> None:
    """What is signed, the ladder over time, the regret, and the machines covered."""
    signed = study.plan.commitments
    if signed.empty:
        st.info(
            "Sign nothing: of the commitments in the price catalog for these machines and terms, none would pay for"
            " itself.",
            icon=":material/contract:",
        )
    else:
        _signed(study)
    alt = "Machines by day, committed, on demand and spot"
    kept_chart(study, lambda: charts.instances(views.running(study)), alt)


def _signed(study: Planned) -> None:
    """The sums first, then what is signed and on which terms, what it costs and how far it is used,
    and when each begins and ends.
    """
    signed, zone = study.plan.commitments, study.scenario.time_zone
    local = {c: signed[c].dt.tz_convert(zone).dt.tz_localize(None) for c in ("start", "end")}
    local["commitment"] = signed["commitment"].map(words.commitment)
    shown = signed.assign(**local).sort_values("hourly_usd", ascending=False)
    due = finance.headline(study)
    sums = (due["upfront_usd"], due["owed_after_usd"], signed["hourly_usd"].sum())
    upfront, owed, hourly = (plain(words.money(float(usd))) for usd in sums)
    st.markdown(f"Pay **{upfront}** up front and **{hourly}** an hour; **{owed}** is still owed after the plan ends.")
    table(shown, SHOWN)
    table(shown, [*MONEY, "regret_low_usd", "regret_high_usd"])
    small("Regret: the dollars a commitment costs above its best size if the load comes 30 % lower or 50 % higher.")
    kept_chart(study, lambda: charts.ladder(shown), "Commitments from signing to end")


study_page.show("Commitments", body)
