"""The page of the load: what arrives, with its bands, the capacity above it, and how good such
forecasts were.
"""

import pandas as pd
import streamlit as st

from planner.load import Traffic
from planner.scenario import Scenario
from planner.show import charts, views, words
from planner.study import Planned
from planner.ui import session, study_page
from planner.ui.drawing import chart, kept_chart, table, which


def body(study: Planned, _: study_page.Parts) -> None:
    """The year, a week, the volumes, the history, and the forecast against its own past."""
    study_page.cautions(study)
    name = which(study.scenario)
    hours = session.worked_out(study, f"hours of {name}", lambda: views.hourly(study, name))
    alt = f"Load of {name} by day with the usable capacity above it"
    kept_chart(study, lambda: charts.load_year(views.daily(hours)), alt)
    _week(hours, name)
    st.dataframe(
        views.load_summary(study.load, name).T.rename(
            index={"requests": "Requests in all", "peak_rps": "Busiest hour, requests/s"}
        ),
        column_config={c: st.column_config.NumberColumn(format="%,.4g") for c in ("P10", "P50", "P90")},
    )
    traffic = study.traffic[name]
    with st.expander(
        f"The history this rests on, {words.share(traffic.observed_share, 1)} of it observed",
        icon=":material/history:",
    ):
        kept_chart(study, lambda: charts.history(traffic.hourly()), f"Traffic history of {name}")
        table(traffic.quality, ["kind", "rows", "detail"])
        if len(causes := views.range_causes(study.load)):
            chart(charts.spread(causes), "Where the uncertainty of the volume comes from")
    if st.toggle("How good would the forecast have been on this history?", key="backtest", bind="query-params"):
        _past(traffic, study.scenario)


def _week(hours: pd.DataFrame, name: str) -> None:
    """One week hour by hour: the busiest, until another is chosen."""
    first, last = hours["time"].min().normalize(), hours["time"].max().normalize()
    peak = views.peak_week(hours)["time"].min()
    weeks = [f"{w:%d %b %Y}" for w in pd.date_range(first, last, freq="7D")]
    week = st.select_slider("Week shown below", ["busiest", *weeks], "busiest")
    start = peak if week == "busiest" else pd.to_datetime(week, format="%d %b %Y")
    chart(
        charts.load_week(views.peak_week(hours, start), f"Week from {start:%d %b %Y}, hour by hour"),
        f"Load and capacity of {name} hour by hour for one week",
    )


def _past(traffic: Traffic, scenario: Scenario) -> None:
    """The forecast of the last week beside what came, and its error by horizon beside the weekly
    naive.
    """
    scores = session.backtest(traffic, scenario.time_zone)
    chart(
        charts.hindcast(views.hindcast(traffic, scenario)),
        "The last week as it would have been forecast, and what came",
    )
    chart(charts.backtest(scores), "Forecast error by horizon beside repeating last week")
    table(
        scores.assign(days=scores["horizon_h"] / 24),
        ["days", "windows", "coverage_90_share", "coverage_99_share", "peak_exceeded_share"],
    )


study_page.show("Load", body)
