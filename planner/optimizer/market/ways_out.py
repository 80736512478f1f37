"""Where no machine can serve a service: what to change in the scenario, with the figure that the nearest machine
asks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from planner.errors import Relaxation
from planner.scenario import Scenario

MARGIN = 1.25  # a bound at the idle machine's own time leaves nothing for any load
_FLOOR = re.compile(r"(?P<bound>\w+): (?P<floor>[\d.e+-]+) s without any load, (?P<limit>[\d.e+-]+) s wanted")
_MEMORY = re.compile(r"(?P<has>[\d.]+) GiB of (?P<need>[\d.]+) GiB needed")


def ways_out(scenario: Scenario, service: str, refused: pd.DataFrame) -> list[Relaxation]:
    """Changes by the excuses of the machines (rows of ``refused``), the nearest to serving first: a
    target that the fastest keeps, a quota, a memory need, machines that the limits leave out.

    They are proposals by each machine's own excuse; what else then binds is found by trying them.
    """
    return [
        *_slower(service, refused),
        *_quota(refused),
        *_memory(scenario, service, refused),
        *_left_out(scenario, refused),
    ]


def _slower(service: str, refused: pd.DataFrame) -> Iterator[Relaxation]:
    """The target raised above what the fastest idle machine takes."""
    found = [_FLOOR.match(gap) for gap in refused["gap"].fillna("").astype(str).unique()]
    gaps = [(float(m["floor"]), float(m["limit"]), m["bound"]) for m in found if m]
    if not gaps:
        return
    floor, limit, bound = min(gaps, key=lambda g: g[0] / g[1])
    wanted = _above(floor * MARGIN)
    path = f"services.{service}.objective.{bound}"
    yield Relaxation(f"raise {path} from {limit:g} to {wanted:g}", {path: wanted})


def _quota(refused: pd.DataFrame) -> Iterator[Relaxation]:
    """A quota of 0 lifted for one machine: the largest of them, which is most likely to do."""
    barred = refused[refused["excuse"].isin(["quota is 0", "its quota is 0"])]
    if len(barred):
        name = str(barred.sort_values("vcpus", ascending=False, kind="stable")["instance_type"].iloc[0])
        yield Relaxation(f"raise limits.quota.{name} from 0 to 1", {f"limits.quota.{name}": 1})


def _memory(scenario: Scenario, service: str, refused: pd.DataFrame) -> Iterator[Relaxation]:
    """The memory need lowered to what the largest machine has beside the system's own."""
    own: Any = (scenario.services[service].latency.model_extra or {}).get("memory_gib")
    found = [_MEMORY.match(gap) for gap in refused["gap"].fillna("").astype(str).unique()]
    gaps = [(float(m["has"]), float(m["need"])) for m in found if m]
    if not gaps or not isinstance(own, int | float):
        return
    has, need = max(gaps)
    wanted = math.floor((own - (need - has)) * 10) / 10
    if wanted > 0:
        path = f"services.{service}.latency.memory_gib"
        yield Relaxation(f"lower {path} from {own:g} to {wanted:g}", {path: wanted})


def _left_out(scenario: Scenario, refused: pd.DataFrame) -> Iterator[Relaxation]:
    """Machines that the limits leave out let in again."""
    if scenario.limits.instance_types:
        yield Relaxation("set limits.instance_types to []", {"limits.instance_types": []})
    elif refused["excuse"].str.contains("previous generation").any():
        yield Relaxation("set limits.previous_generation to true", {"limits.previous_generation": True})


def _above(value: float) -> float:
    """The next number of two digits at or above ``value``.

    >>> _above(0.3561), _above(12.0)
    (0.36, 12.0)
    """
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step - 1e-9) * step, 12)
