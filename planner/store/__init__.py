"""Scenarios kept with who, when and why: append-only revisions, their
states, and what they cost.
"""

from planner.store.bridging import Growth, growth
from planner.store.recompute import Recomputed, recompute
from planner.store.revision import Revision
from planner.store.store import Store

__all__ = ["Growth", "Recomputed", "Revision", "Store", "growth", "recompute"]
