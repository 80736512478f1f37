"""Google's sustained-use discount on a bill: by month, region and machine series, on what runs on
demand and no commitment pays for.

It is concave (the more of the month, the deeper) and so no part of the hourly program. Candidates
are ranked and planned at the share of the price that a fleet following the planned load would pay
(:func:`expected_share`): the least discount over the services, so that no machine looks cheaper
than it can become by serving a service alone. The bill then takes the discount that the plan's own
hours earn, and no plan is refused or chosen on more than that estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats, Index
from planner.calendar import Months
from planner.catalog import Catalog
from planner.catalog.sustained import quarters, resource_prices, sustained_cost, sustained_use_share
from planner.optimizer.bill.schedule import Grid


@dataclass(frozen=True)
class Use:
    """On-demand ``instances`` of a machine by hour that no commitment pays for; ``price_factor``
    what negotiation leaves of its price.
    """

    provider: str
    region: str
    family: str
    instance_type: str
    price_factor: float
    instances: Floats


def expected_share(prices: Sequence[float], loads: list[Floats], weight_h: Floats, months: Months) -> float:
    """Share of the on-demand price paid for a fleet proportional to the load; the largest over
    ``loads``.

    ``prices`` of :func:`quarters`; 1 without.
    """
    if not prices:
        return 1.0
    found = []
    for load in loads:
        paid = sum(sustained_cost(prices, load[at], weight_h[at], hours) for at, hours in _months(months))
        found.append(paid / max(1e-12, float(load @ weight_h)))
    return max(found, default=1.0)


def paid_shares(grid: Grid, catalog: Catalog) -> Floats:
    """Share of the on-demand price that each pool pays in each month, shape (pools, months); 1 but
    for Google's older series.

    Every machine of a series gets the same share of its vCPU price and of its memory price: Google
    credits them by use.
    """
    shares = np.ones((len(grid.pools), len(grid.months.start)))
    for (provider, region, family), part in grid.pools.groupby(["provider", "region", "family"], observed=True):
        off = quarters(str(provider), str(family))
        if not off:
            continue
        prices = resource_prices(catalog, str(provider), str(region), str(family))
        rows = part.index.to_numpy()
        usd = np.array([prices[str(t)] for t in part["instance_type"]])
        count = np.stack([grid.uncovered(int(p)) for p in rows])
        curves = usd.T @ count  # vCPUs and memory, [USD/h] by hour
        for m, (at, hours) in enumerate(_months(grid.months)):
            used = curves[:, at] @ grid.weight_h[at]
            paid = np.array([sustained_cost(off, curve[at], grid.weight_h[at], hours) for curve in curves])
            of_resource = np.divide(paid, used, out=np.ones(2), where=used > 0)
            shares[rows, m] = usd @ of_resource / usd.sum(axis=1)
    return shares


def saving_usd(use: Sequence[Use], catalog: Catalog, weight_h: Floats, months: Months) -> float:
    """What the discount takes off [USD], by layers of the load curve: the optimizer's own sum,
    beside :func:`paid_shares` of the bill.
    """
    saved = 0.0
    for key in sorted({(u.provider, u.region, u.family) for u in use if quarters(u.provider, u.family)}):
        mine, prices = [u for u in use if (u.provider, u.region, u.family) == key], resource_prices(catalog, *key)
        discount = quarters(key[0], key[2])
        for resource in (0, 1):
            listed = [u.instances * prices[u.instance_type][resource] for u in mine]
            paid = np.sum([u.price_factor * curve for u, curve in zip(mine, listed, strict=True)], axis=0)
            curve = np.sum(listed, axis=0)
            for at, hours in _months(months):
                whole = float(curve[at] @ weight_h[at])
                off = _layered(discount, curve[at], weight_h[at], hours) / whole if whole > 0 else 0.0
                saved += off * float(paid[at] @ weight_h[at])
    return saved


def _layered(prices: Sequence[float], curve: Floats, weight_h: Floats, month_h: float) -> float:
    """Discount on a load curve: each layer between two levels is one resource used in the hours
    above it.
    """
    total, below = 0.0, 0.0
    order = np.argsort(curve, kind="stable")
    levels, left = curve[order], float(weight_h.sum())
    for level, hours in zip(levels, weight_h[order], strict=True):
        if level > below:
            total += (level - below) * left * (1.0 - sustained_use_share(prices, left / month_h))
            below = float(level)
        left -= float(hours)
    return total


def _months(months: Months) -> list[tuple[Index, float]]:
    return [(np.flatnonzero(months.of == m), float(h)) for m, h in enumerate(months.hours)]
