"""Plans nearly as good as the best: what each would cost and what would be different about it.

An alternative is a plan of its own under one more restriction: without a machine type that the best
plan runs, in one place only, without spot, without commitments, on demand only. It is decided and
billed like the best one, on fewer load paths; its difference is told against the best plan decided
on those same paths, so that what a restriction does not touch costs exactly nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from planner import columns
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan
from planner.load import Load
from planner.optimizer.commitments.sampling import Sample, few
from planner.optimizer.decide import Billed, within_budget
from planner.plan import Plan
from planner.scenario import Scenario

MOST_TYPES = 6  # machine types left out in turn, those that cost most first


@dataclass(frozen=True)
class _Variant:
    """A restriction: other limits, or other machines on offer."""

    name: str
    scenario: Scenario
    capacity: Capacity


def alternatives(plan: Plan, scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> pd.DataFrame:
    """Near-optimal plans, cheapest first (``plan.alternatives``); one that no machine allows keeps
    its row, with the reason.

    ``total_usd`` is what the plan costs plus the difference between the two plans decided on the
    same few load paths.
    """
    sampled = few(load)
    best = _bill(_Variant("", scenario, capacity), load, catalog, sampled)
    found = []
    for variant in _variants(plan, scenario, capacity):
        more, told, reason = np.nan, "", ""
        try:
            other = _bill(variant, load, catalog, sampled)
            more, told = _usd(other) - _usd(best), _changes(best, other)
        except InfeasiblePlan as error:
            reason = error.what
        share = more / plan.total_usd if plan.total_usd else np.nan
        found.append(
            {
                "variant": variant.name,
                "total_usd": plan.total_usd + more,
                "difference_usd": more,
                "difference_share": share,
                "sentence": told,
                "error": reason,
            }
        )
    if not found:
        return columns.empty("plan.alternatives")
    table = pd.DataFrame(found).sort_values("difference_usd", kind="stable", ignore_index=True)
    return columns.check("plan.alternatives", table.astype({"variant": "str", "sentence": "str", "error": "str"}))


def without_type(capacity: Capacity, instance_type: str) -> Capacity:
    """The same machines but one type."""
    return replace(
        capacity,
        frame=capacity.frame[capacity.frame["instance_type"] != instance_type].reset_index(drop=True),
    )


def _variants(plan: Plan, scenario: Scenario, capacity: Capacity) -> Iterator[_Variant]:
    limits = scenario.limits
    compute = plan.cost[plan.cost["charge"] == "compute"]
    dearest = compute.groupby("resource", observed=True)["effective_cost_usd"].sum().sort_values(ascending=False)
    for name in dearest.index[:MOST_TYPES]:
        yield _Variant(f"without {name}", scenario, without_type(capacity, str(name)))
    able = capacity.frame[capacity.frame["excuse"] == ""]
    places = sorted(set(zip(able["provider"], able["region"], strict=True)))
    used = set(zip(plan.schedule["provider"], plan.schedule["region"], strict=True))
    for provider, region in places if len(places) > 1 else ():
        here = (capacity.frame["provider"] == provider) & (capacity.frame["region"] == region)
        if used != {(provider, region)} and set(able["service"]) == set(able.loc[here.loc[able.index], "service"]):
            yield _Variant(
                f"only {provider} {region}",
                scenario,
                replace(capacity, frame=capacity.frame[here].reset_index(drop=True)),
            )
    spot = bool((plan.schedule["purchase_option"] == "spot").any())
    signed = bool(len(plan.commitments)) and limits.max_term_months > 0
    if spot:
        yield _Variant("without spot", scenario.replace(**{"limits.max_spot_share": 0.0}), capacity)
    if signed:
        yield _Variant("without commitments", scenario.replace(**{"limits.max_term_months": 0}), capacity)
    if spot and signed:
        yield _Variant(
            "on demand only",
            scenario.replace(**{"limits.max_spot_share": 0.0, "limits.max_term_months": 0}),
            capacity,
        )


def _bill(variant: _Variant, load: Load, catalog: Catalog, sampled: Sample) -> Billed:
    return within_budget(variant.scenario, load, variant.capacity, catalog, sampled)[1]


def _usd(billed: Billed) -> float:
    return float(billed.cost["effective_cost_usd"].sum())


def _changes(best: Billed, other: Billed) -> str:
    """What is different, in words: machines that come in or go, committed and spot shares of their
    cost.
    """
    parts = []
    before, after = _machines(best.schedule), _machines(other.schedule)
    for service in sorted({s for s, _ in before | after}):
        old, new = ({m for s, m in machines if s == service} for machines in (before, after))
        if new - old or old - new:
            told = [
                f"{word} {' and '.join(sorted(which))}"
                for word, which in (("adds", new - old), ("drops", old - new))
                if which
            ]
            parts.append(f"{service} {' and '.join(told)}")
    for option in ("committed", "spot"):
        was, now = (_share(billed, option) for billed in (best, other))
        if abs(now - was) >= 0.005:
            parts.append(f"{option} {now:.0%} of compute instead of {was:.0%}")
    return "; ".join(parts) or "the same machines in other numbers"


def _machines(schedule: pd.DataFrame) -> set[tuple[str, str]]:
    """Machines that carry at least one per cent of a service's instance-hours."""
    hours = (
        (schedule["instances"] * schedule["weight_h"])
        .groupby([schedule["service"], schedule["instance_type"]], observed=True)
        .sum()
    )
    whole = hours.groupby(level=0, observed=True).transform("sum")
    return {(str(s), str(m)) for s, m in hours.index[hours >= 0.01 * whole]}


def _share(billed: Billed, option: str) -> float:
    cost = billed.cost[billed.cost["charge"].isin(["compute", "commitment_unused"])]
    total = float(cost["effective_cost_usd"].sum())
    return float(cost.loc[cost["purchase_option"] == option, "effective_cost_usd"].sum()) / total if total else 0.0
