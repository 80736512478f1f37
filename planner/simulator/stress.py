"""What if: the same plan under more load, lost zones, taken spot machines, slower starts and other
prices; under other autoscalers; against perfect foresight and fleets too small or too large.
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
SIZES = (0.75, 0.9, 1.1, 1.25, 1.5)  # fleets too small and too large, over the plan's own
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
    as long, prices 20 % higher, growth half and double of what the scenario says.  Raises as
    :func:`simulate`.
    """
    load = load.select(np.arange(min(paths, load.paths)))
    base = operations or Operations(seed=scenario.seed)
    return typed("replay.whatif", list(_rows(plan, scenario, capacity, _strains(scenario, plan, load, base))))


def regret(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    *,
    operations: Operations | None = None,
    paths: int = 40,
) -> pd.DataFrame:
    """The plan beside a fleet of perfect foresight, fleets too small and too large, and one fleet
    for all hours (``replay.regret``).

    ``difference_usd``: the bill a month over that of perfect foresight, which follows each hour's
    load without delay; ``late_requests`` a month outside some objective.  Of another size:
    ``usd_per_1k_late`` = 1000 · Δbill / −Δlate against the plan, what a thousand late requests less
    would cost (or more would save); NaN where a fleet is better or worse in both.  Raises as
    :func:`simulate`.
    """
    load = load.select(np.arange(min(paths, load.paths)))
    base = operations or Operations(seed=scenario.seed)
    found = {
        name: _priced(plan, simulate(plan, scenario, load, capacity, operations=ops), load)
        for name, ops in _sizes(base)
    }
    foresight, own = found["perfect foresight"]["monthly_mean_usd"], found["as planned"]
    for row in found.values():
        less = own["late_requests"] - row["late_requests"]
        more = row["monthly_mean_usd"] - own["monthly_mean_usd"]
        row["difference_usd"] = row["monthly_mean_usd"] - foresight
        row["usd_per_1k_late"] = 1000 * more / less if abs(less) >= 1 and more * less > 0 else float("nan")
    return typed("replay.regret", [{"variant": name, **row} for name, row in found.items()])


def _sizes(base: Operations) -> Iterator[tuple[str, Operations]]:
    yield "perfect foresight", replace(base, policy="follow", autoscaler="ideal")
    yield "as planned", base
    for factor in SIZES:
        size = f"{abs(factor - 1):.0%} {'larger' if factor > 1 else 'smaller'}"
        yield f"a fleet {size}", replace(base, fleet_factor=base.fleet_factor * factor)
    yield "one fleet for all hours", replace(base, policy="static")


def _priced(plan: Plan, replay: Replay, load: Load) -> dict[str, Any]:
    """Bill and late requests a month of a replay, its share in time and error budget, its paths."""
    late = sum(float(((1 - v) * load.volume(s)).mean()) for s, v in replay.path_within_share.items())
    found = figures(replay)
    return {
        "monthly_mean_usd": float(bill_usd(plan, replay, load).mean()) / plan.months,
        "within_share": found["within_share"],
        "error_budget_share": found["error_budget_share"],
        "late_requests": late / plan.months,
        "paths": replay.paths,
    }


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
        "Kubernetes on requests of each replica": replace(
            base, policy="follow", autoscaler="hpa", metric="requests_per_replica"
        ),
        "Kubernetes on all requests that arrive": replace(
            base, policy="follow", autoscaler="hpa", metric="requests_arriving"
        ),
        "Kubernetes on the busy share of the fleet": replace(
            base, policy="follow", autoscaler="hpa", metric="busy_share"
        ),
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
        told = {"variant": name, "paths": replay.paths, "monthly_mean_usd": usd, "difference_usd": usd - first}
        yield {**told, **figures(replay)}


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
