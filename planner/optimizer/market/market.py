"""What a scenario may buy: offers for each service and commitments, read from capacity and catalog,
short-listed by price.

The short list holds what the price of some option can make cheapest, for a long run or for the
whole instances of a small fleet: the linear program starts from it. Which machines a service
keeps is chosen among all of them (:mod:`planner.optimizer.mixes.fleet`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.calendar import Months
from planner.capacity import Capacity, Pooling
from planner.catalog import Catalog
from planner.catalog.sustained import deepest, quarters
from planner.errors import InfeasiblePlan
from planner.load import Load
from planner.optimizer.bill.metered import unit_prices
from planner.optimizer.bill.schedule import price_factor
from planner.optimizer.bill.sustained import expected_share
from planner.optimizer.market.commitments import PLACE, Term, terms_held, terms_on_offer
from planner.optimizer.market.ways_out import ways_out
from planner.optimizer.mixes.menu import Rules
from planner.scenario import Scenario

KEPT_BY_RATIO = 3
POOL = ["service", *PLACE, "deployment"]
Gains = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Candidate:
    """A machine that can serve a service: ``unit`` instances carry ``replicas`` and serve
    ``capacity`` [requests/s] alone.

    Prices [USD/h] of one instance, NaN where not sold; ``spot_yield`` share of ``capacity`` a spot
    unit is worth; ``disk_usd_per_h`` for each running instance. ``gains`` (replicas, gain): from
    that size of their pool on each bears so much more than alone. ``sustained``: share of its price
    that ``on_demand`` is after the sustained-use discount expected for the planned load
    (:mod:`planner.optimizer.bill.sustained`).
    """

    service: str
    kind: str
    provider: str
    region: str
    instance_type: str
    deployment: str
    family: str
    unit: int
    replicas: int
    capacity: float
    on_demand: float
    list_on_demand: float
    spot: float
    spot_yield: float
    disk_usd_per_h: float
    vcpus: float
    sustained: float = 1.0
    gains: Gains = ((1, 1.0),)

    @property
    def largest(self) -> float:
        """The most a unit serves in a pool of any size that the load could need [requests/s]."""
        return self.capacity * self.gains[-1][1]


@dataclass(frozen=True)
class Market:
    """Candidates by service, the commitments that apply to them, the rules of each service, and all
    excuses.

    ``offered`` are all commitments with all they cover, ``origin`` the place of each of ``terms``
    among them; ``quotas`` {machine type: instances, all services together}, those ``by_hour`` are
    dealt to the services anew each hour. ``table`` holds every machine of every service, usable
    where its ``excuse`` is empty.
    """

    candidates: dict[str, tuple[Candidate, ...]]
    terms: tuple[Term, ...]
    rules: dict[str, Rules]
    table: pd.DataFrame
    excuses: pd.DataFrame
    offered: tuple[Term, ...]
    origin: tuple[int, ...]
    quotas: dict[str, int]
    by_hour: tuple[str, ...] = ()

    def usable(self, service: str) -> pd.DataFrame:
        """Rows of every machine that may serve a service, on the short list or not."""
        return self.table[(self.table["service"] == service) & (self.table["excuse"] == "")]

    def named(self, service: str, kinds: Sequence[str]) -> tuple[Candidate, ...]:
        """Usable machines of a service by their kind."""
        wanted = set(kinds)
        return tuple(c for kind, c in self._usable_by_kind[service].items() if kind in wanted)

    @cached_property
    def _usable_by_kind(self) -> dict[str, dict[str, Candidate]]:
        return {
            s: {str(row["kind"]): _candidate(row) for row in self.usable(s).to_dict("records")} for s in self.candidates
        }

    def rules_for(self, service: str, found: Sequence[Candidate]) -> Rules:
        """The rules of a service with its part of each quota, on the kinds found."""
        counts = {name: count for name, _, count in self.rules[service].quota}
        kinds = {name: tuple(c.kind for c in found if c.instance_type == name) for name in counts}
        return replace(
            self.rules[service],
            quota=tuple((name, kinds[name], count) for name, count in counts.items() if kinds[name]),
        )

    def at_lowest_prices(self) -> "Market":
        """On-demand prices after the deepest sustained-use discount a bill can take, for bounds."""
        of_month = np.array([deepest(str(p), str(f)) for p, f in self.table[["provider", "family"]].to_numpy()])
        if (of_month == 1).all():
            return self
        table = self.table.assign(on_demand=self.table["on_demand"] / self.table["sustained"] * of_month)
        again = replace(self, table=table)
        return again.narrowed({s: again.named(s, [c.kind for c in found]) for s, found in self.candidates.items()})

    @cached_property
    def on_demand(self) -> dict[tuple[str, str], float]:
        """Price of an instance [USD/h] by service and kind, of the candidates."""
        return {(c.service, c.kind): c.on_demand for found in self.candidates.values() for c in found}

    def narrowed(self, candidates: Mapping[str, tuple[Candidate, ...]]) -> "Market":
        """The market with other candidates for each service, and the commitments these can use."""
        terms, origin = _applying(self.offered, candidates)
        rules = {s: self.rules_for(s, found) for s, found in candidates.items()}
        return replace(self, candidates=dict(candidates), terms=terms, rules=rules, origin=origin)


def read_market(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog) -> Market:
    """Everything the scenario may buy. Raises :class:`InfeasiblePlan` when a service has no machine
    that meets its objectives.
    """
    planned = {s: load.quantile(s, scenario.services[s].objective.load_quantile) for s in scenario.services}
    table = _table(scenario, load, capacity, catalog, planned)
    terms = tuple(terms_on_offer(scenario, catalog, table) + terms_held(scenario, catalog, table))
    table["committed"] = _best_committed(table, terms)
    candidates = {}
    for service in scenario.services:
        usable = table[(table["service"] == service) & (table["excuse"] == "")]
        if usable.empty:
            raise _nothing_serves(scenario, service, table)
        picked = _shortlist(scenario, usable, planned[service])
        candidates[service] = tuple(_candidate(row) for row in picked.to_dict("records"))
    kept, origin = _applying(terms, candidates)
    rules = {s: _rules(scenario, s, found) for s, found in candidates.items()}
    return Market(candidates, kept, rules, table, _excused(table), terms, origin, dict(scenario.limits.quota))


def _applying(
    offered: Sequence[Term], candidates: Mapping[str, tuple[Candidate, ...]]
) -> tuple[tuple[Term, ...], tuple[int, ...]]:
    """Commitments that apply to some candidate, or are already held, with the kinds among the
    candidates; and their places.
    """
    kinds = {c.kind for found in candidates.values() for c in found}
    narrowed = [replace(t, units={k: u for k, u in t.units.items() if k in kinds}) for t in offered]
    origin = tuple(i for i, t in enumerate(narrowed) if t.units or t.held)
    return tuple(narrowed[i] for i in origin), origin


def _rules(scenario: Scenario, service: str, found: tuple[Candidate, ...]) -> Rules:
    limits, scaling = scenario.limits, scenario.services[service].autoscaling
    kinds = {name: tuple(c.kind for c in found if c.instance_type == name) for name in limits.quota}
    return Rules(
        limits.max_spot_share,
        limits.max_type_share,
        limits.zones,
        limits.zones_lost,
        scaling.min_replicas,
        scaling.max_replicas,
        tuple((name, kinds[name], count) for name, count in limits.quota.items() if kinds[name]),
    )


def _table(
    scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, planned: Mapping[str, Floats]
) -> pd.DataFrame:
    """One row for each service and machine: its best deployment, prices after negotiated and
    expected discounts, disk, excuse.
    """
    frame = capacity.frame.reset_index(drop=True)
    frame = frame.assign(per_instance=frame["usable_rps"] / frame["instances_per_replica"])
    frame = frame.sort_values(["per_instance", "instances_per_replica"], ascending=[False, True], kind="stable")
    frame = frame.drop_duplicates(["service", *PLACE])
    shapes = catalog.instances.drop_duplicates(PLACE)[[*PLACE, "family", "vcpus", "current_generation"]]
    frame = frame.merge(shapes, how="left", on=PLACE)
    for option in ("on_demand", "spot"):
        rates = catalog.rates[catalog.rates["purchase_option"] == option].drop_duplicates(PLACE)
        frame = frame.merge(
            rates[[*PLACE, "rate_usd_per_h"]].rename(columns={"rate_usd_per_h": option}),
            how="left",
            on=PLACE,
        )
    key = frame[["service", "provider", "family"]].fillna("").astype("str")
    factor = {k: price_factor(scenario, k[1], k[2], k[0]) for k in set(key.itertuples(index=False, name=None))}
    frame["factor"] = [factor[k] for k in key.itertuples(index=False, name=None)]
    frame["list_on_demand"] = frame["on_demand"]
    months = Months.over(load.ts, scenario.time_zone)
    series = list(zip(key["provider"], key["family"], strict=True))
    share = {s: expected_share(quarters(*s), list(planned.values()), load.weight_h, months) for s in set(series)}
    frame["sustained"] = [share[s] for s in series]
    frame["on_demand"], frame["spot"] = (
        frame["on_demand"] * frame["factor"] * frame["sustained"],
        frame["spot"] * frame["factor"],
    )
    frame["disk"] = _disk(scenario, load, capacity, catalog, frame)
    special = {a.service for a in scenario.price_adjustments if a.service}
    suffix = ["@" + s if s in special else "" for s in frame["service"]]
    place = frame["provider"] + "/" + frame["region"] + "/" + frame["instance_type"]
    frame["kind"] = place + pd.Series(suffix, index=frame.index, dtype="str")
    frame = frame.assign(**_excuses(scenario, catalog, frame))
    frame["gains"] = _gains(scenario, load, capacity, frame)
    frame["per_instance"] *= [gains[-1][1] for gains in frame["gains"]]
    return frame.sort_values(["service", "kind"]).reset_index(drop=True)


def _gains(scenario: Scenario, load: Load, capacity: Capacity, frame: pd.DataFrame) -> "pd.Series[Any]":
    """(replicas, gain) of each machine that may serve, up to the largest pool the load could need;
    (1, 1) where replicas do not pool.
    """
    limits = scenario.limits
    found: list[Gains] = []
    known: dict[tuple[Pooling, int], Gains] = {}
    tops = {s: float(load.peak(s).max()) * limits.zones / (limits.zones - limits.zones_lost) for s in scenario.services}
    for *key, usable, excuse in frame[[*POOL, "usable_rps", "excuse"]].itertuples(index=False, name=None):
        pool = capacity.pools.get(tuple(key)) if excuse == "" else None
        if pool is None:
            found.append(((1, 1.0),))
            continue
        most = (
            max(int(np.ceil(tops[key[0]] / usable)), scenario.services[key[0]].autoscaling.min_replicas) + limits.zones
        )
        if (pool, most) not in known:
            sizes, gain = pool.gains(most)
            known[pool, most] = tuple(zip(sizes.tolist(), gain.tolist(), strict=True))
        found.append(known[pool, most])
    return pd.Series(found, index=frame.index, dtype=object)


def _excuses(scenario: Scenario, catalog: Catalog, frame: pd.DataFrame) -> "pd.DataFrame":
    """Why a machine is out before any price is compared, empty if it is in, and by what field and
    value it could be let in. What is reserved already is never too old.
    """
    limits = scenario.limits
    found = frame[["excuse", "mends_by"]].fillna("").astype("str").assign(mends_at=frame["mends_at"])

    def out(where: "pd.Series[bool]", why: str, mends_by: "str | pd.Series[str]" = "") -> None:
        rows = where & (found["excuse"] == "")
        found.loc[rows, "excuse"] = why
        found.loc[rows, "mends_by"] = mends_by if isinstance(mends_by, str) else mends_by[rows]
        found.loc[rows, "mends_at"] = 1.0

    out(~(frame["usable_rps"] > 0), "serves nothing within the objectives")
    unpriced = frame["on_demand"].isna() & (frame["spot"].isna() | (limits.max_spot_share == 0))
    out(unpriced, "no price is known")
    out(frame["disk"].isna(), "the price of its disk or metrics is not known")
    if limits.instance_types:
        unlisted = ~frame["instance_type"].isin(limits.instance_types)
        out(unlisted, "not among limits.instance_types", "limits.instance_types")
    elif not limits.previous_generation:
        names = {held.commitment for held in scenario.existing}
        reserved = catalog.commitments.loc[catalog.commitments["commitment"].isin(names), "scope"]
        old = ~frame["current_generation"].fillna(True).astype(bool) & ~frame["instance_type"].isin(reserved)
        out(old, "a previous generation (limits.previous_generation)", "limits.previous_generation")
    none_allowed = frame["instance_type"].map(limits.quota).fillna(1) == 0
    out(none_allowed, "its quota is 0", "limits.quota." + frame["instance_type"].astype("str"))
    return found


def _disk(scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, frame: pd.DataFrame) -> Floats:
    """Cost of what hangs on each running instance [USD/h], mean over the
    calendar of the horizon.
    """
    months = Months.over(load.ts, scenario.time_zone)
    per_hour = float((load.weight_h / months.hours[months.of]).sum() / load.weight_h.sum())
    needs = capacity.needs[capacity.needs["driver"] == "instance_hour"]
    found, places = (
        np.zeros(len(frame)),
        list(zip(frame["provider"].astype(str), frame["region"].astype(str), strict=True)),
    )
    for need in needs.to_dict("records"):
        service, provider, amount = str(need["service"]), str(need["provider"]), float(need["needs_quantity"])
        each = dict.fromkeys(places, 0.0)
        mine = [region for p, region in each if p == provider and amount]
        for region, (price, unit) in unit_prices(catalog, {str(k): v for k, v in need.items()}, mine).items():
            factor = price_factor(scenario, provider, service=service) * (per_hour if unit.endswith("-month") else 1.0)
            each[provider, region] = amount * price * factor
        found += np.where((frame["service"] == service).to_numpy(), [each[place] for place in places], 0.0)
    return found


def _shortlist(scenario: Scenario, usable: pd.DataFrame, planned: Floats) -> pd.DataFrame:
    """Machines that can be cheapest: by price for capacity in each option, and by whole instances
    at typical loads.
    """
    limits = scenario.limits
    capacity = usable["per_instance"].to_numpy()
    disk = usable["disk"].to_numpy()
    prices = {"on_demand": usable["on_demand"].to_numpy() + disk, "committed": usable["committed"].to_numpy() + disk}
    if limits.max_spot_share > 0:
        prices["spot"] = usable["spot"].to_numpy() + disk
        prices["spot"] = prices["spot"] / np.clip(usable["spot_yield"].fillna(1.0).to_numpy(), 1e-9, 1.0)
    wanted = (
        KEPT_BY_RATIO if limits.max_type_share is None else KEPT_BY_RATIO + int(np.ceil(1.0 / limits.max_type_share))
    )
    free = ~usable["instance_type"].isin(limits.quota).to_numpy()
    kept: dict[int, None] = {}
    for price in prices.values():
        _keep(kept, price / capacity, wanted, free)
    factor = limits.zones / (limits.zones - limits.zones_lost)
    for level in np.unique(np.quantile(planned, [0.05, 0.5, 0.95, 1.0])) * factor:
        for option in ("on_demand", "committed"):
            count = np.maximum(np.ceil(level / capacity - 1e-9), limits.zones if limits.zones_lost else 1)
            _keep(kept, count * prices[option], 1, free)
    return usable.iloc[sorted(kept)]


def _keep(
    kept: dict[int, None],
    score: Floats,
    wanted: int,
    free: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]",
) -> None:
    """The best ``wanted`` machines without a quota, and every machine with a quota that is better
    than the last of them.
    """
    found = 0
    for at in np.argsort(score, kind="stable"):
        if not np.isfinite(score[at]) or found == wanted:
            return
        kept[int(at)] = None
        found += bool(free[at])


def _best_committed(usable: pd.DataFrame, terms: Sequence[Term]) -> Floats:
    """Lowest committed price of an instance of each machine [USD/h], 0 where a commitment is
    already held, NaN without one.
    """
    best: dict[str, float] = {}
    for t in terms:
        for kind, units in t.units.items():
            best[kind] = min(best.get(kind, np.inf), 0.0 if t.held else units * t.usd_per_h)
    return np.array([best.get(k, np.nan) for k in usable["kind"]])


def _candidate(row: dict[Any, Any]) -> Candidate:
    each = float(row["instances_per_replica"])
    unit, replicas = (1, int(1.0 / each + 1e-9)) if each <= 1 else (int(np.ceil(each - 1e-9)), 1)
    spot_yield = float(row["spot_yield"])
    return Candidate(
        str(row["service"]),
        str(row["kind"]),
        str(row["provider"]),
        str(row["region"]),
        str(row["instance_type"]),
        str(row["deployment"]),
        str(row["family"]),
        unit,
        replicas,
        float(row["usable_rps"]) * replicas,
        float(row["on_demand"]),
        float(row["list_on_demand"]),
        float(row["spot"]),
        1.0 if np.isnan(spot_yield) else spot_yield,
        float(row["disk"]),
        float(row["vcpus"]),
        float(row["sustained"]),
        row["gains"],
    )


def _nothing_serves(scenario: Scenario, service: str, table: pd.DataFrame) -> InfeasiblePlan:
    mine = table[table["service"] == service]
    bounds = [f"{name} = {limit:g}" for name, _, _, limit in scenario.services[service].objective.bounds()]
    if mine.empty:
        return InfeasiblePlan(
            "no machine is on offer",
            where=f"services.{service}",
            relaxations=[f"add providers or regions (now {', '.join(scenario.regions)})"],
        )
    # what the user took out is no reason
    allowed = mine[mine["mends_by"] != "limits.instance_types"]
    found: list[str] = [*ways_out(scenario, service, allowed if len(allowed) else mine)]
    reasons = allowed if len(allowed) else mine
    counts = reasons["excuse"].value_counts()
    top = f"most often: {counts.index[0]} ({counts.iloc[0]} of {len(reasons)} machines)"
    return InfeasiblePlan(
        f"no machine type can serve {service} within its objectives ({', '.join(bounds)}); {top}",
        where=f"services.{service}.objective",
        relaxations=[
            *(found or [f"relax services.{service}.objective ({', '.join(bounds)})"]),
            "add providers, regions or machine types",
        ],
    )


def _excused(table: pd.DataFrame) -> pd.DataFrame:
    out = table[table["excuse"] != ""][["service", "provider", "region", "instance_type", "excuse", "gap"]]
    return out.rename(columns={"excuse": "reason"}).reset_index(drop=True)
