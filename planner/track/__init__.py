"""Plan against what came: the bill explained, drift of load, cost and
latency, what to change now.
"""

from planner.actuals import read_bill

__all__ = ["read_bill"]
