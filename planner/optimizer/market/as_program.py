"""From a market and load to the optimizer's problem, and from commitments to what they cover hour
by hour.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.optimizer.market.commitments import Term
from planner.optimizer.market.market import Candidate, Market
from planner.optimizer.market.settle import Instrument, settle
from planner.optimizer.mixes.menu import Menu, Offer, Rules
from planner.optimizer.program.problem import OPTIONS, Limit, Pool, Problem, Product, Type, Workload
from planner.scenario import Scenario


def zone_factor(rules: Rules) -> float:
    """Capacity over load so that the zones left after a loss still serve all of it: zones / (zones
    − lost).
    """
    return rules.zones / (rules.zones - rules.zones_lost)


def offers_of(candidates: Sequence[Candidate], rules: Rules) -> list[Offer]:
    """The candidates of one service as whole units, on demand and (where allowed) spot."""
    found = []
    for c in candidates:
        replicas = c.replicas if rules.max_replicas is None else max(1, min(c.replicas, rules.max_replicas))
        capacity, disk = c.capacity * replicas / c.replicas, c.unit * c.disk_usd_per_h
        if np.isfinite(c.on_demand):
            found.append(
                Offer(
                    c.kind, c.deployment, False, c.unit, replicas, capacity, c.unit * c.on_demand + disk, disk, c.gains
                )
            )
        if np.isfinite(c.spot) and rules.spot_share > 0 and c.spot_yield > 0:
            found.append(
                Offer(
                    c.kind,
                    c.deployment,
                    True,
                    c.unit,
                    replicas,
                    capacity * c.spot_yield,
                    c.unit * c.spot + disk,
                    disk,
                    c.gains,
                )
            )
    return found


def as_billed(market: Market, menus: Mapping[str, Menu], cost: pd.DataFrame) -> tuple[Market, dict[str, Menu]]:
    """Market and menus at the prices on demand that a bill charged on average, where a
    sustained-use discount applies.
    """
    rows = cost[(cost["charge"] == "compute") & (cost["purchase_option"] == "on_demand")]
    sums = rows.groupby(["service", "region", "resource"], observed=True)[["quantity", "effective_cost_usd"]].sum()
    mean = (sums["effective_cost_usd"] / sums["quantity"]).to_dict()
    candidates, repriced = {}, dict(menus)
    for service, found in market.candidates.items():
        to = {
            c.kind: mean.get((service, c.region, c.instance_type), c.on_demand) if c.sustained < 1 else c.on_demand
            for c in found
        }
        candidates[service] = tuple(replace(c, on_demand=to[c.kind]) for c in found)
        offers = tuple(
            o if o.spot else replace(o, usd_per_h=o.unit * to[o.kind] + o.disk_usd_per_h) for o in menus[service].offers
        )
        repriced[service] = replace(menus[service], offers=offers)
    return replace(market, candidates=candidates), repriced


def problem_of(
    scenario: Scenario,
    market: Market,
    loads: Mapping[str, Floats],
    weight_h: Floats,
    *,
    held: Mapping[int, float] | None = None,
    existing: Mapping[int, float] | None = None,
    probability: Floats | None = None,
) -> Problem:
    """The linear problem of the short-listed market; ``loads`` {service: (scenarios, hours)},
    equally likely by default.

    ``held`` {term index: units} fixes the commitments (their fees are then not in the cost);
    ``None`` lets the problem buy besides ``existing`` {term index: units}.
    """
    paths = len(next(iter(loads.values())))
    workloads = tuple(_workload(market, s, loads[s]) for s in market.candidates)
    pools: dict[str, Pool] = {}
    have = (existing or {}) if held is None else held
    for index, t in enumerate(market.terms):
        if not t.units:
            continue
        before = pools.get(t.pool, Pool(t.pool, t.units))
        pools[t.pool] = replace(before, existing=before.existing + have.get(index, 0.0))
    products = () if held is not None else tuple(_product(t) for t in market.terms if not t.held)
    weight = np.full(paths, 1.0 / paths) if probability is None else probability
    types = tuple(_types(market))
    return Problem(
        workloads,
        types,
        weight_h,
        tuple(pools.values()),
        products,
        tuple(_quotas(scenario, market)),
        weight,
        None if held is not None else scenario.limits.upfront_budget_usd,
    )


def _workload(market: Market, service: str, load: Floats) -> Workload:
    rules, found = market.rules[service], market.candidates[service]
    spot = {c.kind: c.largest * c.spot_yield / c.unit for c in found if rules.spot_share > 0}
    return Workload(
        service,
        load,
        {c.kind: c.largest / c.unit for c in found},
        spot or {c.kind: 0.0 for c in found},
        zone_factor(rules) - 1.0,
        spot_share=rules.spot_share if spot else None,
        min_replicas=rules.min_replicas,
        max_replicas=rules.max_replicas,
        replicas={c.kind: c.replicas / c.unit for c in found},
        instance_usd_per_h={c.kind: c.disk_usd_per_h for c in found},
        others_share=None if rules.type_share is None else 1.0 - rules.type_share,
    )


def _types(market: Market) -> list[Type]:
    kinds = {c.kind: c for found in market.candidates.values() for c in found}
    return [
        Type(
            k,
            c.on_demand if np.isfinite(c.on_demand) else None,
            c.spot if np.isfinite(c.spot) else None,
            vcpus=c.vcpus,
        )
        for k, c in kinds.items()
    ]


def _product(t: Term) -> Product:
    return Product(t.commitment + "@" + t.region, t.pool, t.upfront_usd, t.usd_per_h * (1.0 - t.upfront_share), t.hours)


def _quotas(scenario: Scenario, market: Market) -> list[Limit]:
    kinds: dict[str, list[str]] = {}
    for found in market.candidates.values():
        for c in found:
            kinds.setdefault(c.instance_type, []).append(c.kind)
    return [
        Limit(f"quota.{name}", float(count), tuple(dict.fromkeys(kinds[name])), OPTIONS)
        for name, count in scenario.limits.quota.items()
        if name in kinds
    ]


def fill(
    market: Market, held: Mapping[int, float | Floats], running: Mapping[tuple[str, str], Floats]
) -> dict[tuple[int, str, str], Floats]:
    """What each commitment covers as the bill applies it: instances by (term, service, kind),
    arrays like ``running``.

    ``held`` {term index: units, a number or one value an hour}.
    """
    covered, _ = settle(running, market.on_demand, instruments_of(market, held, running))
    return {(int(name), *key): count for (name, key), count in covered.items()}


def instruments_of(
    market: Market, held: Mapping[int, float | Floats], usage: Collection[tuple[str, str]]
) -> list[Instrument]:
    """Held terms in the order the bill applies them, named by their index, each as it applies to
    some ``usage`` (service, kind).
    """
    found = []
    for rank, index in enumerate(billing_order(market, held), start=1):
        term = market.terms[index]
        # AWS fills a size-flexible reservation from the smallest size up
        able = sorted((key for key in usage if key[1] in term.units), key=lambda key: (term.units[key[1]], key))
        spending = term.category == "Spend"
        units = {key: term.units[key[1]] for key in able}
        found.append(Instrument(str(index), held[index], units, rank if spending else 0))
    return found


def billing_order(market: Market, held: Mapping[int, float | Floats]) -> list[int]:
    """Indices of the held terms in the order the bill applies them: usage first, then narrow plans,
    then by rate.
    """

    def rank(index: int) -> tuple[bool, int, float, str]:
        term = market.terms[index]
        return term.category == "Spend", len(term.units), min(term.units.values()), term.commitment

    return sorted(
        (i for i, amount in held.items() if np.any(np.asarray(amount) > 0) and market.terms[i].units),
        key=rank,
    )
