"""Capacity: what one replica of each service bears on each machine, with headroom, needs and
excuses.
"""

from planner.capacity.pooling import Pooling
from planner.capacity.result import Capacity
from planner.capacity.sizing import service_model, size

__all__ = ["Capacity", "Pooling", "service_model", "size"]
