"""What an autoscaler's delays add to the load that machines are planned for, in whole hours.

A machine no longer needed is kept for the scale-in delay, one that will be needed is ordered a
start-up ahead, so the machines of an hour follow L_t = max(load[t − keep … t + lead]) with both
delays cut to whole hours (Workload holds the equation). Of a start-up the part below an hour is
headroom (``scale_up_lag``); the part of a scale-in delay below one is not planned:
machines then cost up to that part of an hour more each time the load falls.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from planner.arrays import Floats
from planner.capacity.assumed import artifact_gib
from planner.capacity.headroom import start_up_s
from planner.load import Load
from planner.optimizer.program.problem import Workload
from planner.scenario import Scenario, Service


def delays_h(service: Service, folder: Path | None) -> tuple[int, int]:
    """(keep, lead): whole hours of the scale-in delay and of the start-up; the start-up of
    accelerators where a model is served, whose files may lie in the scenario's ``folder``.
    """
    lead_s, _ = start_up_s(service, artifact_gib(service, folder)[0] > 0, folder)
    return int(service.autoscaling.scale_down_delay_s // 3600), int(lead_s // 3600)


def planned_load(load: Floats, service: Service, folder: Path | None) -> Floats:
    """Load that machines must be there for [requests/s], shape (…, hours) of consecutive hours, as
    ``load``.
    """
    keep, lead = delays_h(service, folder)
    if not keep and not lead:
        return load
    return Workload("", np.atleast_2d(load), {}, keep_h=keep, lead_h=lead).effective_load.reshape(load.shape)


def ready_load(load: Load, scenario: Scenario, service: str) -> Floats:
    """Load [requests/s] that machines must be ready for in each hour: its quantile after the
    delays; of a static fleet the largest of all hours.
    """
    mine = scenario.services[service]
    planned = planned_load(load.quantile(service, mine.objective.load_quantile), mine, scenario.folder)
    return np.full_like(planned, planned.max()) if mine.autoscaling.policy == "static" else planned


def followed(load: Load, scenario: Scenario, ready: Mapping[str, Floats]) -> Load:
    """Every path of a load as machines run for it: under ``follow`` the path after the delays, else
    what is ``ready`` whatever comes.
    """
    held = dict(load.services)
    for s, mine in load.services.items():
        service = scenario.services[s]
        if service.autoscaling.policy != "follow":
            rate = np.broadcast_to(ready[s].astype(np.float32), mine.arrival_rate_rps.shape)
        elif any(delays_h(service, scenario.folder)):
            rate = planned_load(mine.arrival_rate_rps.astype(np.float64), service, scenario.folder).astype(np.float32)
        else:
            continue
        held[s] = replace(mine, arrival_rate_rps=rate)
    return replace(load, services=held)


def told(name: str, scenario: Scenario) -> str:
    """What of a stated scale-in delay is planned and what is not; empty if all is, or nothing is
    stated.
    """
    service = scenario.services[name]
    rest = service.autoscaling.scale_down_delay_s % 3600
    if "scale_down_delay_s" not in service.autoscaling.model_fields_set or not rest:
        return ""
    whole, _ = delays_h(service, scenario.folder)
    hours = f"{name}: of scale_down_delay_s the whole hours ({whole}) are planned"
    return f"{hours}, the other {rest:g} s are not on the bill."
