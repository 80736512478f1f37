"""The bill as it runs: what the machines of a replay cost under the commitments of the plan, path
by path, and where it differs from the bill the plan expects.

Which machines the commitments pay for is said in :mod:`planner.simulator.paid`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.capacity import Capacity
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator.operations import Operations
from planner.simulator.paid import cover, fees_of, price_of
from planner.simulator.replay import Replay, simulate, typed

# charges that grow with the hours of machines; all others stay as planned
_BY_MACHINE = ("block_storage", "metrics")


def bill_usd(plan: Plan, replay: Replay, load: Load) -> Floats:
    """The bill of each path of a replay [USD], shape (paths,): fees, machines that no commitment
    pays for, and the plan's other charges, of which disks and metrics follow the machines.

    Σ_h w_h (fees_h + Σ_pools price · machines left_h) + other charges. Storage, network and the
    like are those of the plan, which were counted on its load and not on that of the path. NaN
    where the plan has no row of a machine that the replay may run.
    """
    fees = fees_of(plan, load.ts)
    left = {pool: n.copy() for pool, n in replay.running.items()}
    for name, usd_per_h in fees.items():
        cover(plan, name, usd_per_h, left)
    prices = {pool: price_of(plan, pool) for pool in left}
    paid = sum((np.tensordot(load.weight_h, n * prices[p], axes=1) for p, n in left.items()), np.zeros(replay.paths))
    fixed = float(sum((usd * load.weight_h).sum() for usd in fees.values()))
    return np.asarray(paid + fixed + _others(plan, replay, load))


def _others(plan: Plan, replay: Replay, load: Load) -> Floats:
    """Storage, network and the like [USD] by path.

    Disks and metrics of a service go with its instance-hours over those the plan
    bills; the rest is the plan's.
    """
    rows = plan.cost[~plan.cost["charge"].isin(["compute", "commitment_unused"])]
    by_machine = (
        rows.loc[rows["charge"].isin(_BY_MACHINE)].groupby("service", observed=True)["effective_cost_usd"].sum()
    )
    found = np.full(replay.paths, float(rows["effective_cost_usd"].sum() - by_machine.sum()))
    compute = plan.cost[plan.cost["charge"] == "compute"].groupby("service", observed=True)["quantity"].sum()
    for service, usd in by_machine.items():
        hours = sum(
            (np.tensordot(load.weight_h, n, axes=1) for p, n in replay.running.items() if p[0] == service),
            np.zeros(replay.paths),
        )
        planned = float(compute.get(service, 0.0))
        found += usd * hours / planned if planned > 0 else usd
    return found


_STEPS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("scale-in delay", {"scale_down_delay_s": None}),
    ("starting, paid before it serves", {"scale_up_delay_s": None, "start_up_factor": 1.0}),
    ("machines lost and replaced", {"zone_losses_per_year": None, "interruptions": True}),
)


def bill_as_it_runs(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    *,
    operations: Operations | None = None,
    paths: int = 40,
) -> pd.DataFrame:
    """The bill of the replay and each step from the bill that the plan expects to it
    (``replay.bill``); the steps add up exactly.

    The first step is from the paths that the plan was made on to those that are played, at the
    plan's own bills; each other is a replay that plays one thing more: machines that follow without
    delay, the policy and its rule, the scale-in delay, start-up, losses.  ``load``: the paths the
    plan was valued on (``valued_on``), of which the first ``paths`` are taken.  Raises as
    :func:`simulate`.
    """
    ops = operations or Operations(seed=scenario.seed)
    load = load.select(np.arange(min(paths, load.paths)))
    rows = [("expected by the plan", plan.total_usd)]
    before = float(np.mean(plan.unseen_usd[: load.paths])) if plan.unseen_usd else plan.total_usd
    rows.append(("other paths than those planned on", before - plan.total_usd))
    for item, step in _ladder_of(ops):
        usd = float(bill_usd(plan, simulate(plan, scenario, load, capacity, operations=step), load).mean())
        rows.append((item, usd - before))
        before = usd
    rows.append(("as it runs", before))
    whole = before or float("nan")
    return typed("replay.bill", [{"item": i, "usd": u, "share": u / whole, "paths": load.paths} for i, u in rows])


def _ladder_of(ops: Operations) -> Iterator[tuple[str, Operations]]:
    """What each step plays, by name: from machines that follow each hour's load without delay to
    all that the operations say, one thing more at a time.
    """
    calm = replace(ops, scale_down_delay_s=0.0, scale_up_delay_s=0.0, zone_losses_per_year=0.0, interruptions=False)
    yield "other machines than the plan's, followed without delay", replace(calm, policy="follow", autoscaler="ideal")
    yield "policy and its rule", calm
    for item, fields in _STEPS:
        calm = replace(calm, **{f: getattr(ops, f) for f in fields})
        yield item, calm
