"""Would it have held? Replays a plan on load paths it was not optimized on."""

from planner.simulator.billed import bill_as_it_runs, bill_usd
from planner.simulator.budget import error_budget
from planner.simulator.headroom import headroom
from planner.simulator.operations import Operations
from planner.simulator.replay import Replay, simulate
from planner.simulator.requests import play_hour
from planner.simulator.stress import policies, regret, stress

__all__ = [
    "Operations",
    "Replay",
    "bill_as_it_runs",
    "bill_usd",
    "error_budget",
    "headroom",
    "play_hour",
    "policies",
    "regret",
    "simulate",
    "stress",
]
