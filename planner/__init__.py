"""Infrastructure cost estimator and capacity planner: traffic, latency target and owner in;
cheapest plan out.

>>> import planner
>>> scenario = planner.Scenario.read("data/scenarios/chat.yaml")
>>> study = planner.run(scenario)                 # traffic, load, capacity, plan and replay in one
>>> study.plan.summary()["monthly_mean_usd"] > 0  # what it costs; study.plan.cost holds every charge
True
>>> study.replay.within_share() > 0.9             # would it have held on load it was not made for?
True

Or step by step, each stage a function of frames that can be printed:

>>> catalog = planner.Catalog.read("aws", "gcp", regions=["us-east-1", "us-central1"])
>>> traffic = planner.read_histories(scenario)                      # histories on a regular grid
>>> load = planner.forecast(traffic, scenario)                      # what will arrive: sample paths
>>> capacity = planner.size(scenario, catalog, load)                # what one replica can bear, and why not
>>> plan = planner.optimize(scenario, load, capacity, catalog)      # what to buy and run, hour by hour
>>> replay = planner.simulate(plan, scenario, load, capacity)       # would it have held?

Units are in the names: ``_s`` seconds, ``_rps`` requests a second, ``_usd`` US dollars, ``_gib``;
shares are 0 to 1. Every error a user can cause is a :class:`PlannerError`.
"""

__version__ = "0.1.0"

from planner.capacity import Capacity, size
from planner.catalog import Catalog
from planner.errors import PlannerError
from planner.load import Load, Traffic, forecast, read_histories, read_traffic
from planner.optimizer import optimize
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator import Replay, simulate
from planner.study import Study, run, sweep

__all__ = [
    "Capacity",
    "Catalog",
    "Load",
    "Plan",
    "PlannerError",
    "Replay",
    "Scenario",
    "Study",
    "Traffic",
    "forecast",
    "optimize",
    "read_histories",
    "read_traffic",
    "run",
    "simulate",
    "size",
    "sweep",
]
