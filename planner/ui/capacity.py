"""The page of the machines: what runs, why these, what another choice would cost, and why not the
others.
"""

from typing import Any

import pandas as pd
import streamlit as st

from planner.errors import PlannerError
from planner.scenario import Scenario
from planner.show import charts, views, words
from planner.study import Planned, Study
from planner.ui import controls, session, study_page
from planner.ui.drawing import chart, kept_chart, small, table
from planner.ui.session import plain


def body(study: Planned, parts: study_page.Parts) -> None:
    """What runs, what holds its cost up, the trade-off, near plans, and the machines left out."""
    st.subheader("What runs")
    running = session.worked_out(study, "configuration", lambda: views.configuration(study)).assign(
        paid=lambda t: views.paid(study.plan, t)
    )
    table(running, ["service", "machine", "where", "paid", "mean", "most", "work_share"])
    alt = "Machines by day, committed, on demand and spot"
    kept_chart(study, lambda: charts.instances(views.running(study)), alt)
    st.subheader("What holds the cost up")
    parts.proved(f"{words.NOT_PROVED}, and what holds the cost up is being found", _why)
    parts.played("Other choices follow when this one has been checked and played", _others)


def _why(study: Planned) -> None:
    """What binds and what one unit more of it is worth, how near the plan is to the best there can
    be, and what capacity is kept free for.
    """
    rows = study.plan.bindings.sort_values("shadow_price_usd", key=abs, ascending=False).to_dict("records")
    sentences = [s for s in dict.fromkeys(words.binding(r, study.plan.months) for r in rows) if s]
    for sentence in sentences[:8]:
        st.markdown(f"- {plain(sentence)}.")
    if not sentences:
        small("No limit of the scenario costs anything: loosening one would not make the plan cheaper.")
    small(f"{words.proof(study.plan)}.")
    ledger = session.worked_out(study, "ledger", lambda: views.ledger(study))
    if len(ledger):
        kept_chart(study, lambda: charts.headroom(ledger), "Capacity kept free by cause")


def _trade_offs(study: Study) -> None:
    """Another value of one choice: the bound that no plan undercuts, whole plans, and each step
    to the side of the chosen value in dollars a month.
    """
    st.subheader("What another choice would cost")
    choices = _choices(study.scenario)
    name = st.selectbox("What if another value were chosen for", list(choices), key="choice", bind="query-params")
    path = choices[str(name)]
    own, values = controls.current(study.scenario, path), controls.steps(study.scenario, path)
    small(
        "Green, dashed: no plan of short-listed machines costs less (parts of machines allowed)."
        f" Blue: {len(values)} plans of whole machines, each replayed."
    )
    if not st.toggle("Work them out", key="frontier", bind="query-params"):
        return
    place, months = st.empty(), study.plan.months
    with st.spinner("Finding what no plan can undercut …"):
        bounds = session.bounds(study.scenario, path).dropna(subset="lower_bound_usd")
    bounds = bounds.assign(lower_bound_usd=bounds["lower_bound_usd"] / months)
    points = pd.DataFrame([_point(study.scenario, path, value, own) for value in values])
    drawn = points.dropna(subset="monthly_usd")
    if len(drawn) or len(bounds):
        with place.container():
            chart(charts.frontier(drawn, str(name), bounds), f"Monthly cost over {name}")
    for sentence in words.steps(path, drawn, own):
        st.markdown(f"- {plain(sentence)}.")
    table(
        points.assign(monthly_usd=points["monthly_usd"].map(words.money)),
        ["value", "monthly_usd", "within_share", "note"],
    )
    if len(bounds):
        with st.expander("Every bound"):
            table(bounds.assign(bound_usd=bounds["lower_bound_usd"].map(words.money)), ["value", "bound_usd"])


def _choices(scenario: Scenario) -> dict[str, str]:
    """Fields that can be traded off, by the words they are asked in."""
    found = {"Most on spot": "limits.max_spot_share", "Longest commitment, months": "limits.max_term_months"}
    if scenario.limits.zones > 1:
        found["Zones that may fail"] = "limits.zones_lost"
    for name, service in scenario.services.items():
        found |= {
            f"{name}: {words.spelled(b[0])}, seconds": f"services.{name}.objective.{b[0]}"
            for b in service.objective.bounds()
        }
        found |= {f"{name}: share of load futures to serve": f"services.{name}.objective.load_quantile"}
        found |= {f"{name}: growth a year": f"services.{name}.growth_share_per_year"}
    return found


def _point(scenario: Scenario, path: str, value: Any, own: Any) -> dict[str, Any]:
    """One variant's figures; without a plan the reason stands in their place."""
    row = {"value": value, "monthly_usd": float("nan"), "within_share": float("nan"), "chosen": value == own}
    changed = {path: controls.moved(scenario, path, value)}
    try:
        other = session.study(scenario if value == own else scenario.replace(**changed))
    except PlannerError as error:
        return {**row, "chosen": False, "note": words.plainly(error.what).replace("_", " ")}
    monthly = other.plan.summary()["monthly_mean_usd"]
    found = {"monthly_usd": monthly, "within_share": other.replay.within_share()}
    return {**row, **found, "note": "as chosen" if value == own else ""}


def _near(study: Study) -> None:
    """Plans nearly as good, each without something the plan has; looked for only when asked, as
    each is a plan of its own.
    """
    st.subheader("Plans nearly as good")
    if not st.toggle(
        "Look for them",
        key="near",
        bind="query-params",
        help="Each is a plan of its own: without one machine type, without "
        "spot, without commitments, in one place only.",
    ):
        return
    near = session.alternatives(study.scenario)
    if near.empty:
        small("Nothing of this plan can be left out.")
        return
    months = study.plan.months
    monthly = {
        to: (near[of] / months).map(words.money)
        for to, of in (("monthly_usd", "total_usd"), ("more_usd", "difference_usd"))
    }
    shown = near.assign(**monthly, sentence=near["sentence"].map(words.plainly))
    table(shown, ["variant", "monthly_usd", "more_usd", "difference_share", "sentence", "error"])


def _others(study: Study) -> None:
    """The trade-off, near plans, and the machines left out."""
    _trade_offs(study)
    _near(study)
    _left_out(study)


def _left_out(study: Study) -> None:
    """Machines that could serve, by the cost of a request, and why the others are left out."""
    st.subheader("Machines by the cost of a request")
    ranking = session.worked_out(study, "ranking", lambda: views.ranking(study))
    ranking = ranking.assign(reason=[words.excuse(r) if r else "" for r in ranking["reason"]])
    place = ["where"] if len(study.scenario.regions) > 1 else []
    shown = ["machine", *place, "usable_rps", "rate_usd_per_h", "usd_per_1m_requests", "work_share", "reason"]
    for name in study.scenario.services:
        small(f"{name}: machines that meet the target, cheapest for each request first (on demand, fully used).")
        table(ranking[ranking["service"] == name].head(8), shown)
    st.subheader("Machines not used, and why")
    reasons = views.reasons(study.plan)
    table(reasons.assign(reason=reasons["reason"].map(words.excuse)), ["service", "reason", "types", "example"])
    with st.expander("Every machine with its reason"):
        every = study.plan.excuses.assign(reason=study.plan.excuses["reason"].map(words.excuse))
        table(every, ["service", "provider", "region", "instance_type", "reason", "gap"])


study_page.show("Capacity", body)
