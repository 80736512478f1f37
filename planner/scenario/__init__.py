"""What people write: a scenario and its parts, frozen, with units in the names.

Unknown keys are refused, and all faults of a file are reported at once with path, value and line.
Shares are fractions (0 to 1), times seconds unless the name says otherwise, money USD.
"""

from planner.scenario.now import LastBill, Running, ServiceToday, Today
from planner.scenario.parts import (
    METRICS,
    PERCENTILES,
    Autoscaling,
    Event,
    Exchange,
    Existing,
    LatencySpec,
    LifecycleStep,
    Limits,
    Name,
    Network,
    NonNegative,
    Objective,
    OpenShare,
    OtherCost,
    Owner,
    Positive,
    PriceAdjustment,
    Range,
    Service,
    Share,
    Storage,
    TrafficSource,
)
from planner.scenario.scenario import Scenario

__all__ = [
    "METRICS",
    "PERCENTILES",
    "Autoscaling",
    "Event",
    "Exchange",
    "Existing",
    "LastBill",
    "LatencySpec",
    "LifecycleStep",
    "Limits",
    "Name",
    "Network",
    "NonNegative",
    "Objective",
    "OpenShare",
    "OtherCost",
    "Owner",
    "Positive",
    "PriceAdjustment",
    "Range",
    "Running",
    "Scenario",
    "Service",
    "ServiceToday",
    "Share",
    "Storage",
    "Today",
    "TrafficSource",
]
