"""Infrastructure cost estimator and capacity planner: traffic, latency target and owner in; cheapest plan out."""

__version__ = "0.1.0"
