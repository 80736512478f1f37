"""The formulation, in PuLP; the names below are the names of rows in the code, the .lp files, the
logs and the app.

Sets: workloads w, types i, zones z (one nameless zone where a workload has none), commitment pools
g, products b, states k (hours of scenarios) of weight ω_k [h]. First stage: N_b ≥ 0 units of
product b at fee F_b = upfront_b · W/term_b + hourly_b · W, W the horizon. In each state, for each
w, z, i: on demand o, covered m_g by pool g, spot q (instances); u_w load left unserved; f_wi load
sent; v_g credited units.

    min Σ_b F_b N_b + Σ_k ω_k [Σ od·o + sp·q + disk·(o + Σ_g m_g + q) + Σ e·f + Σ_w pen_w·u_w − Σ_g
    credit_g·v_g]

    serve[w,k]           Σ_zi c_wi (o + Σ_g m_g) + y_wi q + u ≥ L_wk
    pool[g,k]            Σ a_gi m_g ≤ E_g + Σ_{b in g} N_b
    credit_used[g,k]     v_g ≤ Σ a_gi (o + Σ m)
    credit[g,k]          v_g ≤ E_g + Σ_{b in g} N_b
    spot_share[w,k]      Σ y_wi q ≤ σ_w L_wk
    spot_max[i,k]        Σ_wz q ≤ depth_i
    type_share[w,i,k]    all capacity of w on i ≤ φ_w L_wk
    other_types[w,i,k]   capacity of w outside type i + u ≥ κ_w L_wk
    zones[w,z,k]         capacity of w outside zone z + u ≥ ρ_w L_wk
    min_instances[w,k]   Σ r_wi (o + Σ m + q) ≥ minimum;  min_per_zone[w,z,k] the same in each zone
    max_instances[w,k]   Σ r_wi (o + Σ m + q) ≤ maximum
    carry[w,i,k]         f_wi ≤ capacity of w on i
    flow[w,k]            Σ_i f_wi + u ≥ raw load (where traffic is priced)
    limit[l,k]           instances (or vCPUs) of the named types and options ≤ maximum (quotas)
    product_min[b], product_max[b]   bounds on N_b
    upfront_budget       Σ_b upfront_b N_b ≤ budget
    total_budget         all spending but the shortage cost ≤ budget
    whole[w,z,i,k]       o + Σ m = a whole number (whole instances only)

Everything is time-separable but N and the two budgets. A dual is money for each unit of the
right-hand side.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pulp

from planner.optimizer.program.problem import Limit, Problem, States, Workload
from planner.optimizer.program.solve import uncollected

CONSTRAINTS = (
    "serve",
    "pool",
    "credit_used",
    "credit",
    "spot_share",
    "spot_max",
    "type_share",
    "other_types",
    "zones",
    "min_instances",
    "min_per_zone",
    "max_instances",
    "carry",
    "flow",
    "limit",
    "product_min",
    "product_max",
    "upfront_budget",
    "total_budget",
    "whole",
)

_PLAIN = str.maketrans("-+[] >/", "_______")
Restriction = tuple[str, str]  # constraint (or "demand": serve and flow), subject
Row = tuple[str, str, int]  # constraint, subject, state (−1: not of one state)
Terms = list[tuple[Any, float]]
Place = tuple[Any, float, str, str]  # variable, load an instance serves, type, zone


@dataclass
class Hour:
    """Variables of one state: keys (workload, type, zone), with the pool first for ``covered``."""

    on_demand: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    covered: dict[tuple[str, str, str, str], Any] = field(default_factory=dict)
    spot: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    flow: dict[tuple[str, str], Any] = field(default_factory=dict)
    shortage: dict[str, Any] = field(default_factory=dict)
    credit: dict[str, Any] = field(default_factory=dict)


@dataclass
class Model:
    """A PuLP problem with handles: ``bought`` {product: units}, ``hours`` by state, ``rows`` in the
    order of the matrix.
    """

    lp: Any
    bought: dict[str, tuple[Any, float]]
    hours: list[Hour]
    rows: list[Row]
    spend: Terms
    shortage: Terms
    keys: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # variable name: role, then pool, workload, type, zone as they apply
    broken: dict[Restriction, Any] = field(default_factory=dict)
    variables: list[Any] = field(default_factory=list)


def build(problem: Problem, states: States | None = None, *, elastic: frozenset[Restriction] | None = None) -> Model:
    """The model of all states (default: equal hours merged).

    With ``elastic`` each named restriction may be broken by an amount of its own (the same in every
    hour), and the sum of these amounts is minimized instead of the cost: 0 where the restrictions
    do not conflict.
    """
    states = problem.states if states is None else states
    with uncollected():
        return _Builder(problem, states, elastic).model()


def restrictions_of(constraint: str, subject: str, problem: Problem) -> tuple[Restriction, ...]:
    """What a reader can lift so that a row gives way; empty for rows that only define quantities.

    Lifting the demand of a workload leaves load unserved, which also helps it survive the loss of a
    zone.
    """
    if constraint in ("serve", "flow"):
        return (("demand", subject),)
    if constraint in ("type_share", "other_types", "zones", "min_per_zone"):
        name = max((w.name for w in problem.workloads if subject.startswith(w.name + "_")), key=len)
        return (
            ((constraint, name), ("demand", name)) if constraint in ("zones", "other_types") else ((constraint, name),)
        )
    return () if constraint in ("pool", "credit_used", "credit", "carry", "whole") else ((constraint, subject),)


class _Builder:
    def __init__(self, problem: Problem, states: States, elastic: frozenset[Restriction] | None) -> None:
        self.p, self.states, self.elastic = problem, states, elastic
        self.broken: dict[Restriction, Any] = {}
        self.keys: dict[str, tuple[str, ...]] = {}
        self.row_names: set[str] = set()
        self.variables: list[Any] = []
        self.lp = pulp.LpProblem("plan", pulp.LpMinimize)
        self.rows: list[Row] = []
        self.spend: Terms = []
        self.shortage: Terms = []
        self.type_at = {t.name: j for j, t in enumerate(problem.types)}
        bought = {b.pool for b in problem.products}
        self.pools = [g for g in problem.pools if g.existing > 0 or g.name in bought]
        self.covering: dict[str, list[str]] = defaultdict(list)
        for g in self.pools:
            if g.credit_usd is None:
                for kind in g.units:
                    self.covering[kind].append(g.name)
        self.units = {g.name: g.units for g in self.pools}

    def model(self) -> Model:
        self.bought = self._first_stage()
        self.bought_of: dict[str, Terms] = {g.name: [] for g in self.pools}
        for b in self.p.products:
            self.bought_of[b.pool].append((self.bought[b.name][0], -self.bought[b.name][1]))
        hours = [self._hour(k) for k in range(len(self.states))]
        if self.p.total_budget_usd is not None:
            self._row(self.spend, "<=", self.p.total_budget_usd, "total_budget", "", -1)
        broken = [(v, 1.0) for v in self.broken.values()]
        self.lp.setObjective(_sum(dict(self.spend + self.shortage if self.elastic is None else broken)))
        return Model(
            self.lp, self.bought, hours, self.rows, self.spend, self.shortage, self.keys, self.broken, self.variables
        )

    def _variable(self, *name: object, whole: bool = False) -> Any:
        """A variable ≥ 0 named by its parts; the name and the parts are kept in ``keys``."""
        key = tuple(map(str, name))
        text = "_".join(filter(None, key)).translate(_PLAIN)
        if text in self.keys:  # .lp files cannot hold some signs, so two names may become one
            text = f"{text}_{len(self.keys)}"
        self.keys[text] = key
        self.variables.append(self.lp.add_variable(text, 0, None, pulp.LpInteger if whole else pulp.LpContinuous))
        return self.variables[-1]

    def _row(self, terms: Terms, sense: str, bound: float, constraint: str, subject: str, k: int) -> None:
        """Add Σ factor · variable against ``bound`` as a named row; terms of one
        variable are summed first.

        In an elastic model a row of a restriction under suspicion also holds the amount by which
        that restriction gives way, one variable for all its rows.
        """
        sums: dict[Any, float] = defaultdict(float)
        for variable, factor in terms:
            sums[variable] += factor
        for restriction in restrictions_of(constraint, subject, self.p) if self.elastic is not None else ():
            if self.elastic and restriction in self.elastic:
                if restriction not in self.broken:
                    self.broken[restriction] = self._variable("broken", *restriction)
                sums[self.broken[restriction]] = 1.0 if sense == ">=" else -1.0
        name = "_".join(x for x in (constraint, subject, "" if k < 0 else str(k)) if x).translate(_PLAIN)
        if name in self.row_names:
            name = f"{name}_{len(self.rows)}"
        self.row_names.add(name)
        left = _sum(sums)
        self.lp += (left <= bound if sense == "<=" else left >= bound if sense == ">=" else left == bound), name
        self.rows.append((constraint, subject, k))

    def _first_stage(self) -> dict[str, tuple[Any, float]]:
        """Purchases {product: (variable, units of a step)} with their fees, least and
        largest amounts and the budget due up front. With whole commitments the variable
        counts steps, else units.
        """
        bought = {}
        for b in self.p.products:
            step = b.step if self.p.whole_commitments else 1.0
            n = self._variable("buy", b.name, whole=self.p.whole_commitments)
            bought[b.name] = (n, step)
            self.spend.append((n, self.p.fee_usd(b) * step))
            if b.minimum > 0:
                self._row([(n, step)], ">=", b.minimum, "product_min", b.name, -1)
            if b.maximum is not None:
                self._row([(n, step)], "<=", b.maximum, "product_max", b.name, -1)
        if self.p.upfront_budget_usd is not None and self.p.products:
            cash = [(bought[b.name][0], b.upfront_usd * bought[b.name][1]) for b in self.p.products]
            self._row(cash, "<=", self.p.upfront_budget_usd, "upfront_budget", "", -1)
        return bought

    def _hour(self, k: int) -> Hour:
        hour = Hour()
        for j, w in enumerate(self.p.workloads):
            steady, spot = self._instances(hour, w, k)
            self._serve(hour, w, k, steady, spot, float(self.states.load[k, j]), float(self.states.raw[k, j]))
        self._spot_max(hour, k)
        self._pool_rows(hour, k)
        for limit in self.p.limits:
            terms = list(self._limited(hour, limit))
            if terms:
                self._row(terms, "<=", limit.maximum, "limit", limit.name, k)
        return hour

    def _instances(self, hour: Hour, w: Workload, k: int) -> tuple[list[Place], list[Place]]:
        """Variables of the instances of a workload; those that cannot be interrupted and spot.

        An option exists only where it is sold: a price of NaN makes no variable. Covered
        instances pay for their disk alone, their unit being paid by the commitment; with
        whole instances and pools that may cover them, it is on demand and covered
        together that must be whole.
        """
        weight, whole = float(self.states.weight_h[k]), self.p.whole_instances
        on_demand: list[Place] = []
        covered: list[Place] = []
        spots: list[Place] = []
        for zone, kind in _places(w):
            at, capacity = self.type_at[kind], w.capacity[kind]
            disk = self.p.types[at].instance_usd_per_h + w.instance_usd_per_h.get(kind, 0.0)
            row = self.states.price[k]
            od, spot = float(self.states.on_demand[row, at]), float(self.states.spot[row, at])
            pools, running = self.covering.get(kind, ()), []
            if not np.isnan(od):
                o = hour.on_demand[w.name, kind, zone] = self._variable(
                    "on_demand", w.name, kind, zone, k, whole=whole and not pools
                )
                self.spend.append((o, weight * (od + disk)))
                running.append((o, 1.0))
                on_demand.append((o, capacity, kind, zone))
            for g in pools:
                m = hour.covered[g, w.name, kind, zone] = self._variable("covered", g, w.name, kind, zone, k)
                self.spend.append((m, weight * disk))
                running.append((m, 1.0))
                covered.append((m, capacity, kind, zone))
            if whole and pools:
                x = self._variable("running", w.name, kind, zone, k, whole=True)
                self._row([*running, (x, -1.0)], "==", 0.0, "whole", f"{w.name}_{kind}_{zone}", k)
            if not np.isnan(spot) and w.spot_capacity_of(kind) > 0:
                q = hour.spot[w.name, kind, zone] = self._variable("spot", w.name, kind, zone, k, whole=whole)
                self.spend.append((q, weight * (spot + disk)))
                spots.append((q, w.spot_capacity_of(kind), kind, zone))
        return on_demand + covered, spots

    def _serve(
        self, hour: Hour, w: Workload, k: int, steady: list[Place], spot: list[Place], load: float, raw: float
    ) -> None:
        """Rows of one workload in one state: the load is served, and the shares, zones
        and counts asked for hold.

        ``load`` is the effective load, ``raw`` the load itself, which only the cost of serving
        follows. Unserved load, where it has a price, helps to serve, to survive the loss of a
        zone and to do without a type; it does not help shares or counts.
        """
        name, weight, short = w.name, float(self.states.weight_h[k]), Terms()
        every = steady + spot
        if w.shortage_usd is not None:
            u = hour.shortage[name] = self._variable("shortage", name, k)
            self.shortage.append((u, weight * w.shortage_usd))
            short.append((u, 1.0))
        self._row([(v, c) for v, c, _, _ in every] + short, ">=", load, "serve", name, k)
        if w.spot_share is not None and spot:
            self._row([(v, c) for v, c, _, _ in spot], "<=", w.spot_share * load, "spot_share", name, k)
        if w.type_share is not None:
            for kind in dict.fromkeys(i for _, _, i, _ in every):
                self._row(
                    [(v, c) for v, c, i, _ in every if i == kind],
                    "<=",
                    w.type_share * load,
                    "type_share",
                    f"{name}_{kind}",
                    k,
                )
        for kind in w.capacity if w.others_share is not None else ():
            others = [(v, c) for v, c, i, _ in every if i != kind]
            self._row(others + short, ">=", (w.others_share or 0.0) * load, "other_types", f"{name}_{kind}", k)
        for zone in w.zones:
            self._row(
                [(v, c) for v, c, _, z in every if z != zone] + short,
                ">=",
                w.zone_loss_share * load,
                "zones",
                f"{name}_{zone}",
                k,
            )
            if w.min_per_zone > 0:
                self._row(
                    [(v, w.replicas.get(i, 1.0)) for v, _, i, z in every if z == zone],
                    ">=",
                    w.min_per_zone,
                    "min_per_zone",
                    f"{name}_{zone}",
                    k,
                )
        counted = [(v, w.replicas.get(i, 1.0)) for v, _, i, _ in every]
        if w.min_replicas > 0:
            self._row(counted, ">=", w.min_replicas, "min_instances", name, k)
        if w.max_replicas is not None:
            self._row(counted, "<=", w.max_replicas, "max_instances", name, k)
        if w.serve_cost:
            self._flows(hour, w, k, every, short, raw)

    def _flows(self, hour: Hour, w: Workload, k: int, every: list[Place], short: Terms, raw: float) -> None:
        """Load sent to each type, where serving has a cost by type: at most the type's capacity,
        all of the raw load together.
        """
        flows: Terms = []
        for kind in dict.fromkeys(i for _, _, i, _ in every):
            f = hour.flow[w.name, kind] = self._variable("flow", w.name, kind, k)
            self.spend.append((f, float(self.states.weight_h[k]) * w.serve_cost.get(kind, 0.0)))
            self._row(
                [(f, 1.0)] + [(v, -c) for v, c, i, _ in every if i == kind], "<=", 0.0, "carry", f"{w.name}_{kind}", k
            )
            flows.append((f, 1.0))
        self._row(flows + short, ">=", raw, "flow", w.name, k)

    def _spot_max(self, hour: Hour, k: int) -> None:
        for t in self.p.types:
            if t.spot_max is not None:
                terms = [(v, 1.0) for key, v in hour.spot.items() if key[1] == t.name]
                if terms:
                    self._row(terms, "<=", t.spot_max, "spot_max", t.name, k)

    def _pool_rows(self, hour: Hour, k: int) -> None:
        used: dict[str, Terms] = defaultdict(list)
        for (pool, _, kind, _), v in hour.covered.items():
            used[pool].append((v, self.units[pool][kind]))
        for g in self.pools:
            bought = self.bought_of[g.name]
            if g.credit_usd is None:
                if g.name in used:
                    self._row(used[g.name] + bought, "<=", g.existing, "pool", g.name, k)
                continue
            running = [(v, -g.units[key[1]]) for key, v in hour.on_demand.items() if key[1] in g.units]
            running += [(v, -g.units[key[2]]) for key, v in hour.covered.items() if key[2] in g.units]
            v = hour.credit[g.name] = self._variable("credit", g.name, k)
            self.spend.append((v, -float(self.states.weight_h[k]) * g.credit_usd))
            self._row([(v, 1.0), *running], "<=", 0.0, "credit_used", g.name, k)
            self._row([(v, 1.0), *bought], "<=", g.existing, "credit", g.name, k)

    def _limited(self, hour: Hour, limit: Limit) -> Iterator[tuple[Any, float]]:
        for option in limit.options:
            of_option: dict[str, dict[Any, Any]] = {
                "on_demand": hour.on_demand,
                "committed": hour.covered,
                "spot": hour.spot,
            }
            for key, v in of_option[option].items():
                name, kind, zone = key[-3:]
                wanted = (limit.types is None or kind in limit.types) and (
                    limit.workloads is None or name in limit.workloads
                )
                if wanted and (limit.zone is None or zone == limit.zone):
                    yield v, self.p.types[self.type_at[kind]].vcpus if limit.vcpus else 1.0


def _sum(terms: Mapping[Any, float]) -> Any:
    """Σ factor · variable; PuLP 4 has a constructor of its own for it."""
    make = getattr(pulp.LpAffineExpression, "from_dict", pulp.LpAffineExpression)
    return make(dict(terms))


def _places(w: Workload) -> Iterator[tuple[str, str]]:
    """Zone and type of each place where instances of a workload can stand."""
    for zone, kinds in (w.zones or {"": tuple(w.capacity)}).items():
        for kind in kinds:
            if w.capacity.get(kind, 0.0) > 0:
                yield zone, kind
