"""Google's sustained-use discount: automatic, by the share of the month a resource of the series
runs; never on committed or spot use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from planner.arrays import Floats
from planner.catalog.providers import provider_of
from planner.catalog.snapshot import Catalog

_SAME = 1e-4  # list prices are rounded


def quarters(provider: str, family: str) -> tuple[float, ...]:
    """Price of each quarter of the month over the on-demand price; empty where no discount is
    given.
    """
    return provider_of(provider).sustained_use.get(family, ())


def deepest(provider: str, family: str) -> float:
    """Share of the on-demand price paid for a machine that runs the whole month."""
    prices = quarters(provider, family)
    return sum(prices) / 4 if prices else 1.0


def sustained_use_share(prices: Sequence[float], usage_share: float) -> float:
    """What is paid over the on-demand price for a machine that runs ``usage_share`` (0 to 1) of the
    month; 1 without quarter prices.

    With :func:`quarters` p_k and u the share: Σ_k p_k · (min(u, k/4) − (k−1)/4)⁺ / u.  Concave
    in u: it is priced after the fact from the hours run, machine by machine of a family; n1 in
    full use pays 0.70, n2 0.80.
    """
    if not prices or usage_share <= 0:
        return 1.0
    usage = min(usage_share, 1.0)
    return sum(p * max(0.0, min(usage, (k + 1) / 4) - k / 4) for k, p in enumerate(prices)) / usage


def sustained_cost(prices: Sequence[float], usage: Floats, hours: Floats, month_h: float) -> float:
    """On-demand units paid for a resource that is used ``usage`` [units] during ``hours`` [h] of a
    month of ``month_h`` hours.

    Google adds up what runs at different times, so the layer of the load curve that is used u of
    the month pays the first quarter in full, the second at p_2 and so on: with the hours in falling
    order of use, hour by hour Σ_h usage_h · ∫ p over its part of the month.
    """
    order = np.argsort(-usage, kind="stable")
    edges = np.concatenate([[0.0], np.minimum(np.cumsum(hours[order]) / month_h, 1.0)])
    paid = np.interp(edges, np.linspace(0.0, 1.0, 5), np.concatenate([[0.0], np.cumsum(prices) / 4.0]))
    return float(usage[order] @ np.diff(paid)) * month_h


def resource_prices(catalog: Catalog, provider: str, region: str, family: str) -> Mapping[str, tuple[float, float]]:
    """What the vCPUs and the memory of each machine of a Google series cost on demand in a region
    [USD/h].

    Google's price of a machine is the sum of both; their unit prices are the least-squares solution
    over the series. Where the prices of the catalog are no such sum, a machine is one resource:
    (price, 0).
    """
    here = ("provider", provider), ("region", region)
    rates, machines = catalog.rates[catalog.rates["purchase_option"] == "on_demand"], catalog.instances
    for column, value in here:
        rates, machines = rates[rates[column] == value], machines[machines[column] == value]
    machines = machines[machines["family"] == family].drop_duplicates("instance_type")
    known = machines.merge(
        rates.drop_duplicates("instance_type")[["instance_type", "rate_usd_per_h"]],
        on="instance_type",
    )
    amount, usd = known[["vcpus", "memory_gib"]].to_numpy(np.float64), known["rate_usd_per_h"].to_numpy(np.float64)
    parts = amount * np.linalg.lstsq(amount, usd, rcond=None)[0] if len(known) else amount
    whole = parts.sum(axis=1)
    if (np.abs(whole - usd) > _SAME * usd).any() or (parts < 0).any():
        parts = np.stack([usd, np.zeros(len(usd))], axis=1)
    return {str(t): (float(c), float(m)) for t, (c, m) in zip(known["instance_type"], parts, strict=True)}
