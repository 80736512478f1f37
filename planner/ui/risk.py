"""The page of risk: did it hold on futures it was not made for, what breaks first, and what if."""

import pandas as pd
import streamlit as st

from planner.show import answer, charts, views, words
from planner.simulator import policies, stress
from planner.study import Study
from planner.ui import session, study_page
from planner.ui.drawing import chart, kept_chart, small, table, which, worded
from planner.ui.session import plain

WHATIF = [
    "variant",
    "monthly_usd",
    "more_usd",
    "within_share",
    "worst_hour_share",
    "error_budget_share",
    "high_latency_s",
    "sentence",
]


def body(study: Study) -> None:
    """The replay, what breaks first, then strain and other autoscalers when asked for."""
    replay = study.replay
    small(f"The plan was played minute by minute on {replay.paths} futures it was not made for.")
    for sentence in replay.broken():
        st.error(plain(words.capital(words.spelled(sentence))))
    st.subheader("What breaks first")
    breaks = answer.breaking(study)
    for sentence in breaks["sentence"]:
        st.markdown(f"- {plain(sentence)}.")
    table(breaks, ["event", "service", "times", "then", "when", "mending"])
    st.subheader("Requests in time")
    figures = ["limit_s", "typical_latency_s", "high_latency_s"]
    figures += ["within_share", "percentile_share", "beyond_plan_share", "worst_hour_share"]
    table(worded(replay.objectives), ["service", "objective", *figures])
    for row in replay.causes.sort_values("late_share", ascending=False).to_dict("records"):
        st.markdown(f"- {plain(words.lateness(row, study.scenario.time_zone))}.")
    name = which(study.scenario)
    alt = f"Share of requests of {name} in time, worst hour of each day"
    kept_chart(study, lambda: charts.held(worded(views.held(study, name))), alt)
    _what_if(study)


def _what_if(study: Study) -> None:
    """Cases that take a while to play, each behind its own switch, so that a page is never late for
    what nobody asked.
    """
    st.subheader("What if")
    played = (study.plan, study.scenario, study.unseen or study.load, study.capacity)
    if st.toggle(
        "Strain the plan: more load, lost zones, slow starts, other prices",
        key="strain",
        bind="query-params",
    ):
        with st.spinner("Straining the plan …"):
            found = session.worked_out(study, "stress", lambda: stress(*played))
        chart(charts.strain(found), "Late requests over those allowed, by strain")
        _table(found)
    if st.toggle("Try other autoscalers before anything is changed", key="policy", bind="query-params"):
        with st.spinner("Playing other autoscalers …"):
            found = session.worked_out(study, "policies", lambda: policies(*played))
        chart(charts.strain(found, "Requests late under other autoscalers"), "Late requests by autoscaler")
        _table(found)
    with st.expander("How the replay is played", icon=":material/info:"):
        for note in study.replay.notes:
            st.markdown(f"- {plain(words.plainly(note))}.")


def _table(frame: pd.DataFrame) -> None:
    """The cases of ``replay.whatif`` with money a month, the main cause of what was late, and on how
    many paths they were played.
    """
    shown = frame.assign(
        monthly_usd=frame["monthly_mean_usd"].map(words.money),
        more_usd=frame["difference_usd"].map(words.money),
        sentence=frame["sentence"].map(words.capital),
    )
    table(shown, WHATIF)
    small(f"Each case was played on {frame['paths'].max()} of these futures.")


study_page.show("Risk", study_page.whole(body))
