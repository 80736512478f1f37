"""Would it have held? Replays a plan on load paths it was not optimized on."""

from planner.simulator.operations import Operations
from planner.simulator.replay import Replay, simulate

__all__ = ["Operations", "Replay", "simulate"]
