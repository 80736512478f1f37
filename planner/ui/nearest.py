"""Where no plan meets a scenario: the nearest value of each limit that can be reached, ready for a
button.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from planner.errors import InfeasiblePlan, PlannerError
from planner.scenario import Scenario
from planner.show import words
from planner.ui import controls, session

Offer = tuple[str, Any, str]


def values(error: InfeasiblePlan, scenario: Scenario, overrides: dict[str, Any]) -> list[Offer]:
    """Field, value and what the button says: what the error itself names, latency bounds that some
    machine keeps, and what was changed taken back.
    """
    offers = [*_named(error), *_bounds(error, scenario)]
    offers += _back(overrides, {path for path, _, _ in offers})
    return offers


def _named(error: InfeasiblePlan) -> Iterator[Offer]:
    """Values that a remedy names for a control of the page."""
    for remedy in error.relaxations:
        budget = re.search(r"limits\.budget_usd_per_month to ([\d,]+)", remedy)
        if budget:
            yield "limits.budget_usd_per_month", float(budget[1].replace(",", "")), words.remedy(remedy)
        zones = re.search(r"set limits\.zones to (\d+) and limits\.zones_lost to (\d+)", remedy)
        if zones:
            yield "limits.zones", int(zones[1]), f"Use {zones[1]} zones"


def _bounds(error: InfeasiblePlan, scenario: Scenario) -> Iterator[Offer]:
    """The tightest bound of each objective that some machine keeps."""
    found = re.fullmatch(r"services\.(.+)\.objective", error.where)
    if found is None:
        return
    for bound, _, _, limit in scenario.services[found[1]].objective.bounds():
        path = f"services.{found[1]}.objective.{bound}"
        value = session.reachable(scenario, path, [v for v in controls.LADDER if limit < v <= limit * 50])
        if value is not None:
            yield path, value, f"Allow {words.seconds(value)} for {words.spelled(bound)} of {found[1]}"


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
            yield path, value, f"Go back to {words.setting(path, value)}"
