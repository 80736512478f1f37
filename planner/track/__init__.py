"""Plan against what came: the bill explained, drift of load, cost and
latency, what to change now.
"""

from planner.actuals import read_bill
from planner.track.again import Again
from planner.track.arrived import files_of, read_arrivals, read_latencies
from planner.track.tracked import Track, compared, with_actions, with_arrivals

__all__ = [
    "Again",
    "Track",
    "compared",
    "files_of",
    "read_arrivals",
    "read_bill",
    "read_latencies",
    "with_actions",
    "with_arrivals",
]
