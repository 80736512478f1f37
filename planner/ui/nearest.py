"""Where no plan meets a scenario: the nearest value of each limit that can be reached, ready for a
button.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from planner.errors import InfeasiblePlan, PlannerError, Relaxation
from planner.scenario import Scenario
from planner.show import words
from planner.ui import controls, session

Offer = tuple[Mapping[str, Any], str]


def values(error: InfeasiblePlan, scenario: Scenario, overrides: dict[str, Any]) -> list[Offer]:
    """Values by field and what the button says: what the error itself names, latency bounds that
    some machine keeps, and what was changed taken back.
    """
    offers = [*_named(error)]
    offers += _bounds(error, scenario, _fields(offers))
    offers += _back(overrides, _fields(offers))
    return offers


def _fields(offers: list[Offer]) -> set[str]:
    return {path for changes, _ in offers for path in changes}


def _named(error: InfeasiblePlan) -> Iterator[Offer]:
    """Remedies that the controls of the page can follow whole."""
    for remedy in error.relaxations:
        if isinstance(remedy, Relaxation) and all(map(controls.moves, remedy.changes)):
            yield remedy.changes, words.remedy(remedy)


def _bounds(error: InfeasiblePlan, scenario: Scenario, known: set[str]) -> Iterator[Offer]:
    """The tightest bound of each objective that some machine keeps."""
    found = re.fullmatch(r"services\.(.+)\.objective", error.where)
    if found is None:
        return
    for bound, _, _, limit in scenario.services[found[1]].objective.bounds():
        path = f"services.{found[1]}.objective.{bound}"
        if path in known:
            continue
        value = session.reachable(scenario, found[1], path, [v for v in controls.LADDER if limit < v <= limit * 50])
        if value is not None:
            yield {path: value}, f"Allow {words.seconds(value)} for {words.spelled(bound)} of {found[1]}"


def _back(overrides: dict[str, Any], known: set[str]) -> Iterator[Offer]:
    """Changes taken back one by one."""
    written = None
    with suppress(PlannerError, KeyError):
        written = controls.chosen()
    if written is None:
        return
    for path in overrides:
        if path not in known:
            value = controls.current(written, path)
            yield {path: value}, f"Go back to {words.setting(path, value)}"
