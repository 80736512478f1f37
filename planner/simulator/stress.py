"""What if: the same plan under more load, lost zones, taken spot machines, slower starts and other
prices; under other autoscalers; against perfect foresight and other sizes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.capacity import Capacity
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator.billed import bill_usd
from planner.simulator.operations import Operations
from planner.simulator.replay import CAUSE_WORDS, Replay, simulate, typed

LOADS = (1.25, 1.5, 2.0, 3.0)
PRICE_RISE = 0.2
_YEAR_H = 8766.0


def stress(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    *,
    operations: Operations | None = None,
    paths: int = 40,
) -> pd.DataFrame:
    """The plan under one strain at a time, on the same paths and strokes of luck
    (``replay.whatif``).

    Load × 1.25 to 3, a zone lost in the busiest hour, all spot machines taken then, start-up twice
    as long, prices 20 % higher, growth half and double of what the scenario says; then a fleet with
    perfect foresight, one fleet for all hours, and three quarters of the replicas.  Raises as
    :func:`simulate`.
    """
    load = load.select(np.arange(min(paths, load.paths)))
    base = operations or Operations(seed=scenario.seed)
    return typed("replay.whatif", list(_rows(plan, scenario, capacity, _strains(scenario, plan, load, base))))


def policies(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    changes: Mapping[str, Operations] | None = None,
    *,
    paths: int = 40,
) -> pd.DataFrame:
    """The same plan under other autoscaler settings, each with its bill and what it does to latency
    (``replay.whatif``), before anything is changed.

    ``changes`` name settings; by default every policy and rule there is, and targets 10 points up
    and down.  Raises as :func:`simulate`.
    """
    load = load.select(np.arange(min(paths, load.paths)))
    base = Operations(seed=scenario.seed)
    asked = {"as it is": base, **(usual(base) if changes is None else changes)}
    return typed("replay.whatif", list(_rows(plan, scenario, capacity, ((n, o, load, 1.0) for n, o in asked.items()))))


def usual(base: Operations) -> dict[str, Operations]:
    """Settings worth comparing."""
    return {
        "Kubernetes autoscaler": replace(base, policy="follow", autoscaler="hpa"),
        "target tracking": replace(base, policy="follow", autoscaler="target_tracking"),
        "KEDA": replace(base, policy="follow", autoscaler="keda"),
        "target 50 %": replace(base, policy="follow", target_utilization=0.5),
        "target 80 %": replace(base, policy="follow", target_utilization=0.8),
        "scale-in after 15 minutes": replace(base, policy="follow", scale_down_delay_s=900.0),
        "scheduled": replace(base, policy="scheduled"),
        "static": replace(base, policy="static"),
        "perfect foresight": replace(base, policy="follow", autoscaler="ideal"),
    }


Variant = tuple[str, Operations, Load, float]


def _strains(scenario: Scenario, plan: Plan, load: Load, base: Operations) -> Iterator[Variant]:
    yield "as planned", base, load, 1.0
    for factor in LOADS:
        yield f"load × {factor:g}", replace(base, load_factor=factor), load, 1.0
    if scenario.limits.zones > 1:
        yield "zone lost in the busiest hour", replace(base, zone_lost_at_peak=True), load, 1.0
    if (plan.schedule["purchase_option"] == "spot").any():
        yield "all spot machines taken", replace(base, spot_lost_at_peak=True), load, 1.0
    yield "start-up × 2", replace(base, start_up_factor=2.0), load, 1.0
    yield f"prices + {PRICE_RISE:.0%}", base, load, 1.0 + PRICE_RISE
    for name, part in (("growth half", 0.5), ("growth double", 2.0)):
        yield name, base, grown(scenario, load, part), 1.0
    yield "perfect foresight", replace(base, policy="follow", autoscaler="ideal"), load, 1.0
    yield "one fleet for all hours", replace(base, policy="static"), load, 1.0
    most = (
        int(plan.schedule.groupby(["service", "ts"], observed=True)["replicas"].sum().max())
        if len(plan.schedule)
        else 1
    )
    yield "a quarter fewer replicas at most", replace(base, max_replicas=max(1, most * 3 // 4)), load, 1.0


def grown(scenario: Scenario, load: Load, part: float) -> Load:
    """The load if growth were ``part`` of what the scenario expects, from the
    start of the horizon on.

    Each rate is multiplied by ((1 + part · g) / (1 + g)) ^ years since the first hour, g the
    likely growth a year. The spread of growth over the paths stays as it is.
    """
    years = (load.ts - load.ts[0]) / pd.Timedelta(hours=1) / _YEAR_H
    services = {}
    for name, mine in load.services.items():
        growth = scenario.services[name].growth_share_per_year.likely
        ratio: Floats = np.asarray((max(1 + part * growth, 1e-6) / (1 + growth)) ** years.to_numpy())
        services[name] = replace(mine, arrival_rate_rps=(mine.arrival_rate_rps * ratio).astype(np.float32))
    return replace(load, services=services)


def _rows(plan: Plan, scenario: Scenario, capacity: Capacity, variants: Iterable[Variant]) -> Iterator[dict[str, Any]]:
    first = float("nan")
    for name, ops, mine, price in variants:
        replay = simulate(plan, scenario, mine, capacity, operations=ops)
        usd = float(bill_usd(plan, replay, mine).mean()) * price / plan.months
        first = usd if first != first else first
        yield {"variant": name, "monthly_mean_usd": usd, "difference_usd": usd - first, **figures(replay)}


def figures(replay: Replay) -> dict[str, Any]:
    """Share in time, worst hour, error budget spent and the main cause of a replay.

    Error budget spent: (1 − share in time) / (1 − percentile) of the worst objective; above 1 it
    is broken. ``sentence`` names the cause of most late requests of any one service.
    """
    o = replay.objectives
    spent = ((1 - o["within_share"]) / (1 - o["percentile_share"])).max()
    causes = replay.causes.sort_values("late_share", ascending=False)
    return {
        "within_share": replay.within_share(),
        "worst_hour_share": float(o["worst_hour_share"].min()),
        "error_budget_share": float(spent),
        "high_latency_s": float(o["high_latency_s"].max()),
        "sentence": CAUSE_WORDS[causes["cause"].iloc[0]] if len(causes) else "nothing was late",
    }
