"""Fewest accelerators for a language model: every known accelerator, precision and layout at one
load and objective.
"""

import math
from typing import NamedTuple

from planner.latency.hardware import accelerators
from planner.latency.llm.service import LlmService
from planner.latency.model import Arrivals, Excuse, Machine
from planner.scenario import Objective

_NODE = 8.0


class Fleet(NamedTuple):
    """A way to serve a load: ``replicas`` of ``deployment`` on ``accelerator``, ``accelerators`` in
    all.
    """

    accelerator: str
    deployment: str
    replicas: int
    accelerators: int
    goodput_rps: float
    binding_objective: str


def fewest_accelerators(
    service: LlmService,
    arrival_rate_rps: float,
    objective: Objective,
    arrivals: Arrivals | None = None,
    *,
    among: tuple[str, ...] = (),
    margin_share: float = 0.0,
) -> list[Fleet]:
    """All fleets that bear ``arrival_rate_rps``, fewest accelerators first (then the greater spare
    goodput).

    Nodes of 8 accelerators; ``among``: canonical names to search (default all); ``margin_share`` of
    goodput is kept free. Requests are spread at random, so the fleet bears replicas × the goodput
    of one.
    """
    found = []
    for name in among or tuple(accelerators()):
        machine = Machine("any", "any", name, name, "x86_64", math.nan, math.nan, accelerator=name, accelerators=_NODE)
        made = service.deployments(machine, arrivals or Arrivals())
        for one in () if isinstance(made, Excuse) else made:
            goodput = one.model.goodput_rps(objective)
            bears = goodput.arrival_rate_rps * (1.0 - margin_share)
            if bears > 0:
                replicas = max(math.ceil(arrival_rate_rps / bears), 1)
                found.append(
                    Fleet(
                        name,
                        one.label,
                        replicas,
                        round(replicas * one.instances_per_replica * _NODE),
                        goodput.arrival_rate_rps * replicas,
                        goodput.binding_objective,
                    )
                )
    return sorted(found, key=lambda f: (f.accelerators, -f.goodput_rps))
