"""How one replica behaves: latency at a load, and the load an objective allows."""

from collections.abc import Sequence
from typing import Any

from planner.latency.batch.accelerated import AcceleratedService
from planner.latency.batch.batching import Batching
from planner.latency.llm.service import LlmService
from planner.latency.measured.measured import Measured
from planner.latency.measured.sizes import MeasuredFamilies
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, LatencyModel, Machine, ServiceModel
from planner.latency.observed.service import Observed
from planner.latency.queue.queueing import Queue

# name in the scenario file -> the class of its parameters (a frozen pydantic model that is a
# ServiceModel)
LATENCY_MODELS: dict[str, Any] = {
    "accelerated": AcceleratedService,
    "batching": Batching,
    "llm": LlmService,
    "measured": Measured,
    "observed": Observed,
    "queue": Queue,
}


def beside(model: ServiceModel, machines: Sequence[Machine]) -> ServiceModel:
    """The model with what it learns from the machines on sale: a measured type's neighbors, the vCPUs
    of the machine observed. Raises :class:`ScenarioError` where that one is not known.
    """
    if isinstance(model, Measured):
        return MeasuredFamilies.of(model, machines)
    return model.beside(machines) if isinstance(model, Observed) else model


__all__ = [
    "LATENCY_MODELS",
    "Arrivals",
    "Deployment",
    "Excuse",
    "Goodput",
    "LatencyModel",
    "Machine",
    "ServiceModel",
    "beside",
]
