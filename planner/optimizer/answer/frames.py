"""The plan's frames: schedule, coverage, commitments, bindings and excuses, and the checks no plan
leaves without.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats, Ints
from planner.capacity import Capacity
from planner.capacity.headroom import retries_of
from planner.errors import SolverError
from planner.load import Load
from planner.optimizer.commitments.sign import Signed
from planner.optimizer.market.market import Candidate, Market
from planner.optimizer.mixes.menu import Menu
from planner.scenario import Scenario

_POOL = ["service", "provider", "region", "instance_type", "deployment"]
LATENCY_SLACK = 1e-3  # a model solved by bisection meets its own bound to this share


def schedule_frame(
    load: Load, market: Market, menus: Mapping[str, Menu], chosen: Mapping[str, Ints], planned: Mapping[str, Floats]
) -> pd.DataFrame:
    """``plan.schedule``: a service's planned load is split over its machines by the capacity they
    run.
    """
    borne = {
        s: np.stack([o.bears(counts[:, j]) for j, o in enumerate(menus[s].offers)], axis=1)
        for s, counts in chosen.items()
    }
    frame = usage_frame(load, market, menus, {s: c.astype(np.float64) for s, c in chosen.items()}, borne, planned)
    return columns.check("plan.schedule", frame.astype({"replicas": "int64"}))


def usage_frame(
    load: Load,
    market: Market,
    menus: Mapping[str, Menu],
    chosen: Mapping[str, Floats],
    borne: Mapping[str, Floats],
    planned: Mapping[str, Floats],
) -> pd.DataFrame:
    """Units of each offer by hour, shape (hours, offers) and whole or expected, as rows like
    ``plan.schedule``; the load is split by the capacity ``borne`` (hours, offers).
    """
    parts = []
    for service, counts in chosen.items():
        offers = menus[service].offers
        capacity = borne[service]
        whole = capacity.sum(axis=1)
        known = {c.kind: c for c in market.candidates[service]}
        for j, offer in enumerate(offers):
            on, c = np.flatnonzero(counts[:, j]), known[offer.kind]
            if len(on):
                parts.append(
                    pd.DataFrame(
                        {
                            "ts": load.ts[on],
                            "provider": c.provider,
                            "region": c.region,
                            "instance_type": c.instance_type,
                            "purchase_option": "spot" if offer.spot else "on_demand",
                            "service": service,
                            "weight_h": load.weight_h[on],
                            "arrival_rate_rps": planned[service][on] * capacity[on, j] / whole[on],
                            "deployment": c.deployment,
                            "replicas": counts[on, j] * offer.replicas,
                            "instances": counts[on, j] * offer.unit,
                        }
                    )
                )
    if not parts:
        return columns.empty("plan.schedule")
    frame = pd.concat(parts, ignore_index=True)
    return frame.sort_values(
        ["ts", "service", "provider", "region", "instance_type", "purchase_option"], ignore_index=True
    )


def coverage_frames(
    load: Load, market: Market, signed: Signed, covered: Mapping[tuple[int, str, str], Floats]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``plan.coverage`` and ``plan.commitments`` of what each commitment covers by hour: instances
    by (term, service, kind).
    """
    held = holdings(market, signed, load)
    known = {(c.service, c.kind): c for found in market.candidates.values() for c in found}
    parts, used = [], {_name(market, i): np.zeros(load.hours) for i in held}
    for (index, service, kind), instances in covered.items():
        term, c, on = market.terms[index], known[service, kind], np.flatnonzero(instances > 1e-9)
        used[_name(market, index)] += instances * term.units[kind]
        if len(on):
            parts.append(
                pd.DataFrame(
                    {
                        "ts": load.ts[on],
                        "provider": c.provider,
                        "region": c.region,
                        "instance_type": c.instance_type,
                        "service": service,
                        "deployment": c.deployment,
                        "instances": instances[on],
                        "commitment": term.commitment,
                    }
                )
            )
    coverage = columns.empty("plan.coverage")
    if parts:
        frame = pd.concat(parts, ignore_index=True)
        coverage = columns.check("plan.coverage", frame.sort_values(["ts", "service", "commitment"], ignore_index=True))
    whole = {name: np.zeros(load.hours) for name in used}
    for i, amount in held.items():
        whole[_name(market, i)] += amount
    share = {name: np.zeros(load.hours) for name in used}
    for name, units in used.items():
        np.divide(units, whole[name], out=share[name], where=whole[name] > 0)
    rows = [_commitment(market, signed, i, held[i], share[_name(market, i)], load.weight_h) for i in held]
    if not rows:
        return coverage, columns.empty("plan.commitments")
    signed_frame = pd.DataFrame(rows)
    for column in ("start", "end"):
        signed_frame[column] = pd.to_datetime(signed_frame[column], utc=True).astype("datetime64[us, UTC]")
    return coverage, columns.check("plan.commitments", signed_frame)


def _name(market: Market, index: int) -> tuple[str, str]:
    """Contracts of one name are used alike, whenever they were signed."""
    return market.terms[index].commitment, market.terms[index].region


def holdings(market: Market, signed: Signed, load: Load) -> dict[int, Floats]:
    """Units of each commitment in force, new and already signed, one value an hour."""
    units = signed.held | {i: t.held for i, t in enumerate(market.terms) if t.held}
    return {i: amount * market.terms[i].in_force(load.ts).astype(np.float64) for i, amount in units.items()}


def _commitment(
    market: Market, signed: Signed, index: int, held: Floats, use: Floats, weight_h: Floats
) -> dict[str, Any]:
    """A row of ``plan.commitments``; ``use``: share of all contracts of its name that is used, hour
    by hour.
    """
    term, (low, high) = market.terms[index], signed.regret_each.get(index, (np.nan, np.nan))
    amount, hours = term.held or float(held.max()), float(held @ weight_h)
    prices = {c.kind: c.on_demand for found in market.candidates.values() for c in found}
    ratio = max((prices[k] / u for k, u in term.units.items() if np.isfinite(prices.get(k, np.nan))), default=np.nan)
    return {
        "provider": term.provider,
        "region": term.region,
        "commitment": term.commitment,
        "category": term.category,
        "plan_kind": term.plan_kind,
        "scope": term.scope,
        "term_months": term.term_months,
        "payment": term.payment,
        "quantity": amount / term.size,
        "unit": term.unit,
        "start": term.start,
        "end": term.end,
        "upfront_usd": amount * term.upfront_usd,
        "hourly_usd": amount * term.usd_per_h * (1.0 - term.upfront_share),
        "commitment_utilization": min(1.0, float((use * held) @ weight_h) / hours) if hours > 0 else 0.0,
        "break_even_utilization": term.usd_per_h / ratio,
        "regret_low_usd": low,
        "regret_high_usd": high,
    }


def excuses_frame(
    market: Market, schedule: pd.DataFrame, charged: Mapping[str, float], falls: Mapping[tuple[str, str], float]
) -> pd.DataFrame:
    """Every offer not used, with how far it is from being chosen.

    ``charged`` {service: cheapest USD/h for each request/s in use}; ``falls`` {(service, kind):
    share by which its price must fall before parts of it would pay in some hour}.
    """
    place = ["service", "provider", "region", "instance_type"]
    table = market.table[market.table["excuse"] == ""]
    used = set(schedule[place].itertuples(index=False, name=None))
    keep = [key not in used for key in table[place].itertuples(index=False, name=None)]
    table = table[keep]
    if table.empty:
        return _sorted_excuses([market.excuses])
    price = (table["on_demand"].fillna(table["spot"]) + table["disk"]) / table["per_instance"]
    best = table["service"].map(charged)
    reason, gap = [], []
    for own, other, key in zip(price, best, zip(table["service"], table["kind"], strict=True), strict=True):
        share, fall = own / other - 1.0 if other > 0 else np.nan, falls.get(key, np.nan)
        reason.append(
            "the types kept are cheaper together"
            if fall <= 0
            else "dearer for each request served"
            if not share < 0
            else "another mix of whole machines is cheaper"
        )
        gap.append(
            f"{own * 1e3 / 3.6e3:.4g} USD per 1,000 requests at full use against {other * 1e3 / 3.6e3:.4g}"
            + (f": {abs(share):.1%} {'dearer' if share >= 0 else 'cheaper at full use'}" if np.isfinite(share) else "")
            + (f"; its price must fall by {fall:.1%} before it pays in any hour" if 0 < fall < 1 else "")
        )
    text = {"reason": reason, "gap": gap}
    unused = table[place].assign(
        **{name: pd.Series(words, index=table.index, dtype="str") for name, words in text.items()}
    )
    return _sorted_excuses([market.excuses, unused])


def _sorted_excuses(parts: list[pd.DataFrame]) -> pd.DataFrame:
    parts = [p for p in parts if len(p)]
    if not parts:
        return columns.empty("plan.excuses")
    frame = pd.concat(parts, ignore_index=True).sort_values(
        ["service", "provider", "region", "instance_type"], ignore_index=True
    )
    return columns.check("plan.excuses", frame.fillna({"gap": ""}).astype("str"))


def verify_latency(scenario: Scenario, capacity: Capacity, schedule: pd.DataFrame) -> float:
    """Largest latency over its bound in any hour, as a share; raises :class:`SolverError` when a
    plan misses its own model.
    """
    worst = 0.0
    for words, part in schedule.groupby(_POOL, observed=True):
        key = _five(words)
        model = capacity.models.get(key)
        if model is None:
            raise SolverError("the plan uses a machine that capacity did not size", where=", ".join(key))
        for replicas in sorted(set(part["replicas"].tolist())):
            rows = part[part["replicas"] == replicas]
            rate = np.array([rows["arrival_rate_rps"].max()])
            for name, metric, quantile, limit in scenario.services[key[0]].objective.bounds():
                found = float(model.latency_s(rate, replicas, quantile, metric)[0])
                worst = max(worst, found / limit)
                if not found <= limit * (1 + LATENCY_SLACK):
                    raise SolverError(
                        f"{replicas} replicas of {key[3]} at {rate[0]:.4g} requests/s miss {name}",
                        where=f"services.{key[0]}",
                        got=found,
                    )
    return worst


def pooling_notes(scenario: Scenario, capacity: Capacity, schedule: pd.DataFrame) -> tuple[str, ...]:
    """What the largest pool of each service gives that bears more together than its machines do
    apart.
    """
    told = []
    for service, part in schedule.groupby("service", observed=True):
        borne, count = capacity.borne_rps(part).to_numpy(), part["replicas"].to_numpy()
        gain = borne / (capacity.borne_rps(part.assign(replicas=1)).to_numpy() * count)
        at = int(np.argmax(np.where(gain > 1.005, borne, -1.0)))
        if gain[at] > 1.005:
            balancer = scenario.services[str(service)].latency.parameters.get("balancer", "random")
            told.append(
                f"{service}: behind its {balancer} balancer {count[at]} {part['instance_type'].iloc[at]} bear together"
                f" {gain[at]:.2f} times what they would bear each alone; machines of another type or purchase are a"
                " pool of their own, and requests are split over pools by what these bear."
            )
    return tuple(told)


def metastable_notes(scenario: Scenario, capacity: Capacity, schedule: pd.DataFrame) -> tuple[str, ...]:
    """Below which part of the planned load the machines that run recover from an overload by
    themselves, where clients retry.
    """
    told = []
    each = capacity.frame.set_index(_POOL)["metastable_rps"]
    for service, part in schedule.groupby("service", observed=True):
        retries, basis = retries_of(scenario.services[str(service)])
        if not retries:
            continue
        ends = each.loc[pd.MultiIndex.from_frame(part[_POOL])].to_numpy() * part["replicas"].to_numpy()
        hours = part.assign(ends=ends).groupby("ts")[["arrival_rate_rps", "ends"]].sum()
        share = (hours["ends"] / hours["arrival_rate_rps"])[hours["arrival_rate_rps"] > 0]
        if len(share):
            told.append(
                f"{service}: clients try a failed request again {retries}"
                f" times{' (assumed)' if basis == 'assumed' else ''}. Once overloaded, what runs recovers by itself"
                f" only below {share.min():.0%} of the planned load in its tightest hour ({share.median():.0%} in the"
                " median hour); above that, retries keep it overloaded until load is shed."
            )
    return tuple(told)


def _five(words: Any) -> tuple[str, str, str, str, str]:
    service, provider, region, instance_type, deployment = map(str, words)
    return service, provider, region, instance_type, deployment


def candidate_prices(candidates: tuple[Candidate, ...], schedule: pd.DataFrame, service: str) -> float:
    """Lowest on-demand price for each request/s [USD/h per requests/s] among the machines a service
    uses.
    """
    used = set(
        schedule.loc[schedule["service"] == service, ["provider", "region", "instance_type"]].itertuples(
            index=False, name=None
        )
    )
    prices = [
        (c.on_demand if np.isfinite(c.on_demand) else c.spot) * c.unit / c.largest
        + c.unit * c.disk_usd_per_h / c.largest
        for c in candidates
        if (c.provider, c.region, c.instance_type) in used
    ]
    return min(prices, default=np.nan)
