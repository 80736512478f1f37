"""How one replica behaves: latency at a load, and the load an objective allows."""

from planner.latency.llm import LlmService
from planner.latency.model import Arrivals, Deployment, Excuse, Goodput, LatencyModel, Machine, ServiceModel

# name in the scenario file -> the class of its parameters (a frozen pydantic model that is a ServiceModel)
LATENCY_MODELS: dict[str, type] = {"llm": LlmService}

__all__ = ["LATENCY_MODELS", "Arrivals", "Deployment", "Excuse", "Goodput", "LatencyModel", "Machine", "ServiceModel"]
