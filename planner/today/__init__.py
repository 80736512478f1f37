"""Today beside the plan: what runs now, what it costs, and what it takes to get from one to the
other.

Today's machines are billed by the plan's own bill over the same horizon and load, and replayed on
the same unseen paths, so that the two differ by the decision alone.
"""

from planner.today.fleet import check
from planner.today.held import kept
from planner.today.now import Change, Latency, Move, Reproduced, Today, last_bill, today

__all__ = ["Change", "Latency", "Move", "Reproduced", "Today", "check", "kept", "last_bill", "today"]
