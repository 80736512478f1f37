"""The page of tracking: what was paid beside the plan, why they differ, what drifts, and what to
change now.
"""

from pathlib import Path

import streamlit as st

from planner import export
from planner.show import charts, tracking, words
from planner.study import Study
from planner.track import (
    Track,
    compared,
    files_of,
    read_arrivals,
    read_bill,
    read_latencies,
    with_actions,
    with_arrivals,
)
from planner.ui import bills, session, study_page
from planner.ui.drawing import card, chart, download, small, table, told
from planner.ui.session import plain

LINES = ["service", "owner", "charge", "planned_usd", "actual_usd", "difference_usd", "reasons"]

DRIFT_MARKS = {
    "Drift": ":material/trending_up: **Drift**",
    "No drift": ":material/check: No drift",
    "Not tested": ":material/hourglass_empty: Not tested",
}


def body(study: Study) -> None:
    """Which bill, then how far it is from the plan, and why."""
    bill, arrivals = bills.chosen(study.scenario)
    if bill is None:
        _how(study)
        return
    found = _compared(study, bill, arrivals)
    _head(found, study)
    left, right = st.columns(2, gap="medium")
    with left:
        chart(
            charts.bridge(tracking.bridge(found), "From plan to bill", "USD"),
            "Bridge from plan to bill by cause",
        )
    with right:
        days = tracking.days(found, study.scenario.time_zone)
        chart(charts.spending(days), "What was paid and what was planned, day by day")
    _drift(found)
    _lines(found)
    _now(study, found, bill, arrivals)
    _more(found)


def _how(study: Study) -> None:
    """No bill yet: what can be read, and how to get it."""
    st.info(
        f"Bring the bill of {plain(study.scenario.name)} and, where you have it, what arrived."
        " A bill is an export of AWS (cost and usage report, Cost Explorer), Google Cloud or"
        " Azure, or a FOCUS file, as CSV. Rows find their service by a tag.",
        icon=":material/receipt_long:",
    )


def _compared(study: Study, bill: Path, arrivals: dict[str, Path]) -> Track:
    """Plan and bill over the same hours, worked out once for each pair of files."""

    def work() -> Track:
        scenario = study.scenario
        found = compared(scenario, study.plan, read_bill(bill, usd_per=scenario.usd_per))
        files = files_of(scenario, [f"{name}={file}" for name, file in arrivals.items()])
        came, latencies = read_arrivals(scenario, files), read_latencies(scenario, files)
        return with_arrivals(found, study.plan, study.load, came, latencies, study.replay, study.capacity)

    return session.worked_out(study, f"track {bill} {arrivals}", work)


def _head(found: Track, study: Study) -> None:
    """Four figures and one sentence."""
    cells = st.columns(4)
    card(cells[0], "Planned", words.money(found.planned_usd), f"over {found.period.days:,.0f} days")
    card(cells[1], "Paid", words.money(found.actual_usd), f"{len(found.rows):,} rows of the bill")
    sign = "+" if found.difference_usd > 0 else ""
    share = found.difference_usd / found.planned_usd if found.planned_usd else float("nan")
    card(
        cells[2],
        "Difference",
        f"{sign}{words.money(found.difference_usd)}",
        f"{words.share(share, 1)} of the plan",
    )
    lost = found.causes()["unmatched"]
    card(cells[3], words.TRACKED_SHORT["unmatched"], words.money(lost), "no line of the plan answers for it")
    small(f"{tracking.headline(found, study.scenario.time_zone)}.")


def _drift(found: Track) -> None:
    """What left the plan, with its mark in words."""
    st.subheader("What drifts")
    drifts = tracking.drifts(found)
    if not drifts:
        small("Nothing could be tested yet: drift needs three days of a bill or of traffic.")
    for state, sentence in drifts:
        st.markdown(f"{DRIFT_MARKS[state]}. {plain(sentence)}.")
    if drifts:
        small(f"{words.DRIFT_CHANCE}.")


def _lines(found: Track) -> None:
    """Plan, bill and why, by service and charge."""
    st.subheader("Where they differ, and why")
    lines = tracking.lines(found)
    told(lines.assign(**{c: lines[c].map(words.money) for c in LINES if c.endswith("_usd")}), LINES)
    for note in found.notes:
        small(note)


def _now(study: Study, found: Track, bill: Path, arrivals: dict[str, Path]) -> None:
    """The same question again from the bill's end on, when asked for, as it is a plan of its own."""
    st.subheader("What to change now")
    if not st.toggle(
        "Plan the rest of the horizon again, with what came and with the contracts held",
        key="again",
        bind="query-params",
    ):
        return

    def work() -> Track:
        files = files_of(study.scenario, [f"{name}={file}" for name, file in arrivals.items()])
        came = read_arrivals(study.scenario, files)
        return with_actions(
            found,
            study.scenario,
            study.plan,
            study.traffic,
            came,
            study.catalog,
            paths=study.load.paths,
        )

    with st.spinner("Planning the rest again …"):
        done = session.worked_out(study, f"again {bill} {arrivals}", work)
    if done.again is None:
        return
    monthly = words.money(done.again.plan.summary()["monthly_mean_usd"])
    small(f"From {done.again.scenario.start:%d %b %Y} on the plan is {monthly} a month.")
    if done.actions.empty:
        small("Nothing needs to change.")
        return
    shown = done.actions.assign(
        what=done.actions["sentence"].map(words.capital),
        service=done.actions["service"].replace("", "all"),
        more_usd=done.actions["usd_per_month"].map(words.money),
    )
    told(shown, ["what", "service", "more_usd"])
    download("What to change (CSV)", lambda: export.to_csv(done.actions).encode(), "actions.csv")


def _more(found: Track) -> None:
    """The forecast so far, the use of commitments, and every table as a file."""
    if len(found.accuracy):
        st.subheader("The forecast so far")
        table(
            tracking.forecast(found),
            ["service", "came", "forecast", "hourly_error", "inside", "peak"],
        )
    if len(found.commitments):
        st.subheader("Commitments used")
        named = found.commitments.assign(commitment=found.commitments["commitment"].map(_named))
        table(named, ["commitment", "planned_utilization", "billed_utilization", "paid_usd"])
    with st.expander("Downloads", icon=":material/download:"):
        for name, frame in found.tables().items():
            if len(frame):
                text = f"{words.capital(name)} (CSV, {len(frame):,} rows)"
                download(text, lambda t=frame: export.to_csv(t).encode(), f"track-{name}.csv")


def _named(commitment: str) -> str:
    return "All together" if commitment == "all" else words.commitment(commitment)


study_page.show("Track", study_page.whole(body))
