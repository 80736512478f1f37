"""What every page of one study has in common: the controls at the side, the study or the reason
why there is none, what was changed, and what to be careful of.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from planner.errors import InfeasiblePlan
from planner.scenario import Scenario
from planner.show import answer, words
from planner.study import Study
from planner.ui import controls, nearest, session, sources
from planner.ui.drawing import small
from planner.ui.session import plain


def show(title: str, body: Callable[[Study], None], wide: bool = False) -> None:
    """Draw a page: ``body`` shows the study of the scenario chosen; where nothing meets it, what
    would, and the plan before. ``wide``: the page has a head of its own.
    """
    if st.session_state.pop("leave", False):
        st.switch_page(sources.ANSWER)
    with session.errors_shown():
        scenario, overrides = controls.scenario()
        refused = controls.ignored()
        if refused:
            st.warning(
                f"This link asks for what cannot be used: {plain('; '.join(refused))}.",
                icon=":material/link_off:",
            )
        try:
            study = session.study(scenario)
        except InfeasiblePlan as error:
            _without(error, scenario, overrides, title, body, wide)
            return
        st.session_state[f"before.{scenario.name}"] = scenario
        _draw(study, overrides, title, body, wide)


def _draw(study: Study, overrides: dict[str, Any], title: str, body: Callable[[Study], None], wide: bool) -> None:
    """The head of a page, what was changed, and the body."""
    if not wide:
        st.title(title)
        small(f"{study.scenario.name}, {study.scenario.state}: {_span(study)}.")
    if overrides:
        small(f"Changed from the scenario file: {controls.told(overrides)}. The address of this page holds it.")
    body(study)


def _span(study: Study) -> str:
    """What the figures stand for: services, time, place, and the number of futures."""
    scenario = study.scenario
    return (
        f"{', '.join(scenario.services)} from {scenario.start:%d %b %Y} for {scenario.horizon_h / 24:,.0f} days on"
        f" {', '.join(scenario.providers)} in {', '.join(scenario.regions)}; {study.load.paths} simulated futures;"
        f" times {scenario.time_zone}"
    )


def cautions(study: Study) -> None:
    """Banners: a thin history with its effect on the range, prices past their age."""
    for sentence in answer.thin_history(study):
        st.warning(plain(sentence) + ".", icon=":material/history:")
    old = answer.old_prices(study.plan, datetime.now(UTC).date())
    if old:
        st.warning(plain(old) + ".", icon=":material/update:")


def _without(
    error: InfeasiblePlan,
    scenario: Scenario,
    overrides: dict[str, Any],
    title: str,
    body: Callable[[Study], None],
    wide: bool,
) -> None:
    """No plan: what happened, what would do, and the plan before."""
    session.failed(error)
    for k, (changes, said) in enumerate(nearest.values(error, scenario, overrides)):
        st.button(
            plain(said), key=f"nearest.{k}", on_click=controls.put, args=(changes,), icon=":material/arrow_forward:"
        )
    before = st.session_state.get(f"before.{scenario.name}")
    if before is None or before == scenario:
        return
    st.divider()
    small(f"Below: the plan before this change. {words.capital(controls.told(overrides))} has no plan.")
    _draw(session.study(before), {}, title, body, wide)
