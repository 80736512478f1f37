"""What every page of one study has in common: the controls at the side, the study as it becomes
known or the reason why there is none, what was changed, and what to be careful of.
"""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import streamlit as st

from planner.errors import InfeasiblePlan, PlannerError
from planner.scenario import Scenario
from planner.show import answer, words
from planner.study import Planned, Study
from planner.ui import controls, nearest, session, sources
from planner.ui.drawing import awaited, small
from planner.ui.session import plain

FAILED = "Not known: this could not be worked out; the reason stands at the end of the page"


class _Part(NamedTuple):
    """A part of a page that is drawn in its place when ``tried`` can draw it."""

    place: Any
    tried: Callable[[Planned], bool]


class Parts:
    """Parts of a page that need more than a decided plan. Each is drawn where it stands: at once if
    what it needs is known, else it says what it waits for and is drawn when that has come.
    """

    def __init__(self, found: Planned) -> None:
        self._found, self._open = found, list[_Part]()

    def proved(self, waiting: str, draw: Callable[[Planned], None]) -> None:
        """A part that speaks of the proof."""

        def tried(found: Planned) -> bool:
            if found.plan.certificate.proven:
                draw(found)
            return found.plan.certificate.proven

        self._add(lambda: awaited(waiting), tried)

    def played(self, waiting: str | Callable[[], None], draw: Callable[[Study], None]) -> None:
        """A part that speaks of the replay, or of today beside the plan."""

        def tried(found: Planned) -> bool:
            if isinstance(found, Study):
                draw(found)
            return isinstance(found, Study)

        self._add((lambda: awaited(waiting)) if isinstance(waiting, str) else waiting, tried)

    def _add(self, waiting: Callable[[], None], tried: Callable[[Planned], bool]) -> None:
        """Draw a part at once, or say what it waits for where it will stand."""
        if tried(self._found):
            return
        place = st.empty()
        with place.container():
            waiting()
        self._open.append(_Part(place, tried))

    def come(self, found: Planned) -> None:
        """Draw what can be drawn now that more is known."""
        left = []
        for part in self._open:
            with part.place.container():
                if not part.tried(found):
                    left.append(part)
        self._open = left

    def failed(self) -> None:
        """What still waits will not come."""
        for part in self._open:
            with part.place.container():
                small(FAILED)


Body = Callable[[Planned, Parts], None]


def show(title: str, body: Body, wide: bool = False) -> None:
    """Draw a page: ``body`` shows the study of the scenario chosen as far as it is known; where
    nothing meets it, what would, and the plan before. ``wide``: the page has a head of its own.
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
            _draw(scenario, overrides, title, body, wide)
        except InfeasiblePlan as error:
            _without(error, scenario, overrides, title, body, wide)


def whole(draw: Callable[[Study], None]) -> Body:
    """A body that shows nothing before all is known."""
    return lambda _, parts: parts.played("The plan is decided; it is being checked and played", draw)


def _draw(scenario: Scenario, overrides: dict[str, Any], title: str, body: Body, wide: bool) -> None:
    """The head of a page, what was changed, and the body: as soon as the plan is decided, and more of
    it whenever more is known.
    """
    parts: Parts | None = None
    with closing(session.stages(scenario)) as stages:
        try:
            for found in stages:
                if parts is None:
                    parts = Parts(found)
                    _head(found, overrides, title, wide)
                    body(found, parts)
                    st.session_state[f"before.{scenario.name}"] = scenario
                else:
                    parts.come(found)
        except PlannerError:
            if parts is not None:
                parts.failed()
            raise


def _head(study: Planned, overrides: dict[str, Any], title: str, wide: bool) -> None:
    """The title, what the figures stand for, and what was changed."""
    if not wide:
        st.title(title)
        small(f"{study.scenario.name}, {study.scenario.state}: {_span(study)}.")
    if overrides:
        small(f"Changed from the scenario file: {controls.told(overrides)}. The address of this page holds it.")


def _span(study: Planned) -> str:
    """What the figures stand for: services, time, place, and the number of futures."""
    scenario = study.scenario
    return (
        f"{', '.join(scenario.services)} from {scenario.start:%d %b %Y} for {scenario.horizon_h / 24:,.0f} days on"
        f" {', '.join(scenario.providers)} in {', '.join(scenario.regions)}; {study.load.paths} simulated futures;"
        f" times {scenario.time_zone}"
    )


def cautions(study: Planned) -> None:
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
    body: Body,
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
    _draw(before, {}, title, body, wide)
