"""How one replica behaves: latency at a load, and the load an objective allows."""

from typing import Any

from planner.latency.batch.accelerated import AcceleratedService
from planner.latency.batch.batching import Batching
from planner.latency.llm.service import LlmService
from planner.latency.measured.measured import Measured
from planner.latency.model import (
    Arrivals,
    Deployment,
    Excuse,
    Goodput,
    LatencyModel,
    Machine,
    PlainReplica,
    PlainService,
    ServiceModel,
)
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


__all__ = [
    "LATENCY_MODELS",
    "Arrivals",
    "Deployment",
    "Excuse",
    "Goodput",
    "LatencyModel",
    "Machine",
    "PlainReplica",
    "PlainService",
    "ServiceModel",
]
