"""Where no machine can serve a service: what to change in the scenario, with the figure that the nearest machine
asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from planner.errors import Relaxation
from planner.scenario import Scenario

MARGIN = 1.25  # a bound at the idle machine's own time leaves nothing for any load


def ways_out(scenario: Scenario, service: str, refused: pd.DataFrame) -> list[Relaxation]:
    """Changes by the excuses of the machines (rows of ``refused``), the nearest to serving first: a
    target that the fastest keeps, a quota, a memory need, machines that the limits leave out.

    They are proposals by each machine's own excuse; what else then binds is found by trying them.
    """
    able = refused[refused["mends_by"] != ""]
    return [
        *_slower(scenario, service, able),
        *_quota(able),
        *_memory(scenario, service, able),
        *_left_out(scenario, able),
    ]


def _slower(scenario: Scenario, service: str, able: pd.DataFrame) -> Iterator[Relaxation]:
    """The target raised above what the fastest idle machine takes."""
    now = {f"objective.{name}": limit for name, _, _, limit in scenario.services[service].objective.bounds()}
    rows = able[able["mends_by"].isin(now)]
    found = [(str(field), float(floor)) for field, floor in zip(rows["mends_by"], rows["mends_at"], strict=True)]
    if not found:
        return
    field, floor = min(found, key=lambda f: f[1] / now[f[0]])
    path, wanted = f"services.{service}.{field}", _above(floor * MARGIN)
    yield Relaxation.of({path: (now[field], wanted)})


def _quota(able: pd.DataFrame) -> Iterator[Relaxation]:
    """A quota of 0 lifted for one machine: the largest of them, which is most likely to do."""
    barred = able[able["mends_by"].str.startswith("limits.quota.")]
    if len(barred):
        path = str(barred.sort_values("vcpus", ascending=False, kind="stable")["mends_by"].iloc[0])
        yield Relaxation.of({path: (0, 1)})


def _memory(scenario: Scenario, service: str, able: pd.DataFrame) -> Iterator[Relaxation]:
    """The memory need lowered to what the largest machine has beside the system's own."""
    needs = able.loc[able["mends_by"] == "latency.memory_gib", "mends_at"]
    wanted = math.floor(needs.max() * 10) / 10 if len(needs) else 0.0
    if wanted > 0:
        own = (scenario.services[service].latency.model_extra or {})["memory_gib"]
        path = f"services.{service}.latency.memory_gib"
        yield Relaxation.of({path: (own, wanted)})


def _left_out(scenario: Scenario, able: pd.DataFrame) -> Iterator[Relaxation]:
    """Machines that the limits leave out let in again."""
    if scenario.limits.instance_types:
        yield Relaxation.of({"limits.instance_types": (scenario.limits.instance_types, [])})
    elif (able["mends_by"] == "limits.previous_generation").any():
        yield Relaxation.of({"limits.previous_generation": (False, True)})


def _above(value: float) -> float:
    """The next number of two digits at or above ``value``.

    >>> _above(0.3561), _above(12.0)
    (0.36, 12.0)
    """
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step - 1e-9) * step, 12)
