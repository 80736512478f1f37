"""What machines cost under the commitments of a plan, by the plan's own rows.

Commitments are paid whatever runs; they pay for machines up to their amortized dollars of the hour,
each taking as many as in the plan's own rows; the rest is paid at the plan's own prices. They are
applied as a bill applies them: reservations, then spending plans of few families, then of many.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.plan import Plan

Pool = tuple[str, ...]  # service, provider, region, instance type, deployment, purchase option
_PLACE = ["service", "provider", "region", "resource"]


def fees_of(plan: Plan, ts: pd.DatetimeIndex) -> dict[str, Floats]:
    """Amortized cost of the commitments of each name [USD/h], hour by hour, in the order in which
    a bill applies them.
    """
    found: dict[str, Floats] = {}
    for row in sorted(plan.commitments.to_dict("records"), key=_narrowness):
        term_h = (row["end"] - row["start"]) / pd.Timedelta(hours=1)
        usd = row["hourly_usd"] + row["upfront_usd"] / term_h
        in_force = np.asarray((ts >= row["start"]) & (ts < row["end"]), dtype=np.float64)
        name = str(row["commitment"])
        found[name] = found.get(name, np.zeros(len(ts))) + usd * in_force
    return found


def _narrowness(row: Mapping[Hashable, Any]) -> tuple[bool, float, str]:
    """Usage before spending, then by how many families are covered (none named: any)."""
    return row["category"] == "Spend", len(str(row["scope"]).split()) or np.inf, str(row["commitment"])


def cover(plan: Plan, name: str, usd_per_h: Floats, left: dict[Pool, Floats]) -> None:
    """Take off what a commitment pays for: the machines on which it saves most first.

    From the plan's own rows of this commitment: e = effective cost and u = list cost of
    an instance-hour of each machine type. Machines with the lowest e / u draw first, each
    taking e of the hour's dollars, until those are used up. ``left`` {pool: (paths,
    hours) machines} is changed; ``usd_per_h`` (hours,).
    """
    rows = plan.cost[(plan.cost["commitment"] == name) & (plan.cost["charge"] == "compute")]
    sums = rows.groupby(_PLACE, observed=True)[["effective_cost_usd", "quantity", "list_cost_usd"]].sum()
    takes = {k: (e / q, u / q) for k, (e, q, u) in zip(sums.index, sums.to_numpy(), strict=True) if q > 0 and e > 0}
    if not left:
        return
    dollars = usd_per_h[:, None] * np.ones_like(next(iter(left.values())))
    for pool in sorted(left, key=lambda p: np.divide(*takes.get(p[:4], (1.0, 1.0)))):
        if pool[:4] in takes and pool[5] == "on_demand":
            used = np.minimum(left[pool], dollars / takes[pool[:4]][0])
            left[pool] = left[pool] - used
            dollars = dollars - used * takes[pool[:4]][0]


def price_of(plan: Plan, pool: Pool) -> float:
    """What the plan pays for an hour of a machine beyond commitments;
    list where it pays for none.

    The mean over the horizon, so hours of cheaper spot and dearer spot cost the same. NaN if the
    plan has no row of this machine in this place.
    """
    rows = plan.cost[(plan.cost["charge"] == "compute") & (plan.cost["resource"] == pool[3])]
    rows = rows[(rows["service"] == pool[0]) & (rows["provider"] == pool[1]) & (rows["region"] == pool[2])]
    own = rows[rows["purchase_option"] == pool[5]]
    if own["quantity"].sum() > 0:
        return float(own["effective_cost_usd"].sum() / own["quantity"].sum())
    return float(rows["list_unit_price_usd"].max()) if len(rows) else float("nan")


def price_of_mixes(
    plan: Plan, ts: pd.DatetimeIndex, pools: Sequence[Pool], instances: Floats
) -> Callable[[Ints], Floats]:
    """What an hour of mixes (mixes, pools) of replicas costs beyond the fees [USD/h], where the pools
    are those of one service and ``instances`` (pools,) the machines of a replica.

    Each commitment gives the service what it usually pays for when the service draws on it: what
    pays for one kind of machine no longer pays for another.
    """
    prices = {pool: price_of(plan, pool) for pool in pools}
    dollars = {name: _usual(plan, name, pools[0][0]) for name in fees_of(plan, ts)}

    def cost(mixes: Ints) -> Floats:
        left = {pool: mixes[:, i : i + 1] * instances[i] for i, pool in enumerate(pools)}
        for name, usd in dollars.items():
            cover(plan, name, np.full(len(mixes), usd), left)
        return np.asarray(sum((n[:, 0] * prices[pool] for pool, n in left.items()), np.zeros(len(mixes))))

    return cost


def _usual(plan: Plan, name: str, service: str) -> float:
    """Dollars of a commitment that pay for machines of a service in an hour [USD/h]: the mean over
    the dollars so paid, Σ d² / Σ d of the hours' d, so hours in which others draw do not count.
    """
    rows = plan.cost[(plan.cost["commitment"] == name) & (plan.cost["charge"] == "compute")]
    by_hour = rows[rows["service"] == service].groupby("ts")["effective_cost_usd"].sum().to_numpy(np.float64)
    return float((by_hour**2).sum() / by_hour.sum()) if by_hour.sum() > 0 else 0.0
