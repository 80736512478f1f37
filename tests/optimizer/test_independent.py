"""The formulation against a second model of the same words: an explicit matrix for SciPy, written
apart from the product's builder.

Random problems use every feature together: prices by hour, headroom and delays, spot caps, zones,
traffic prices, shortage, pools with and without credit, held units, products with bounds, quotas,
both budgets, scenarios and weights.
"""

from itertools import product as pairs

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from planner.optimizer.program.conflict import diagnose
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import OPTIONS, Limit, Pool, Problem, Product, Type, Workload
from planner.optimizer.program.reduced import plan
from planner.optimizer.program.solve import solve


def drawn(seed: int) -> Problem:
    """A random problem; about two in five cannot be solved."""
    rng = np.random.default_rng(seed)
    hours, scenarios, names = (
        int(rng.integers(1, 9)),
        int(rng.integers(1, 4)),
        [f"t{i}" for i in range(rng.integers(1, 5))],
    )

    def happens(share):
        return rng.random() < share

    def price(low, high):
        return rng.uniform(low, high, hours) if happens(0.25) else float(rng.uniform(low, high))

    types = tuple(
        Type(
            t,
            price(0.5, 2) if happens(0.85) else None,
            price(0.1, 1) if happens(0.5) else None,
            float(rng.integers(0, 5)) if happens(0.2) else None,
            float(rng.uniform(0, 0.3)),
            float(rng.choice([2, 4, 8])),
        )
        for t in names
    )
    workloads = tuple(_workload(rng, happens, f"w{j}", names, hours, scenarios) for j in range(rng.integers(1, 4)))
    pools = tuple(
        Pool(
            f"g{g}",
            {t: float(rng.choice([1, 0.5, 2, 0.7])) for t in names if happens(0.7)},
            float(rng.integers(0, 4)) if happens(0.4) else 0.0,
            float(rng.uniform(0, 0.4)) if happens(0.3) else None,
        )
        for g in range(rng.integers(0, 4))
    )
    products = tuple(
        Product(
            f"b{g.name}{b}",
            g.name,
            float(rng.uniform(0.5, 10)) if happens(0.5) else 0.0,
            float(rng.uniform(0.1, 1)),
            float(rng.integers(5, 50)) if happens(0.4) else None,
            float(rng.integers(0, 3)) if happens(0.2) else 0.0,
            float(rng.integers(3, 5)) if happens(0.3) else None,
        )
        for g in pools
        for b in range(rng.integers(0, 3))
    )
    zones = sorted({z for w in workloads for z in w.zones})
    limits = tuple(
        Limit(
            f"l{n}",
            float(rng.integers(2, 30)),
            tuple(t for t in names if happens(0.6)) if happens(0.6) else None,
            tuple(o for o in OPTIONS if happens(0.6)) if happens(0.5) else OPTIONS,
            tuple(w.name for w in workloads if happens(0.6)) if happens(0.3) else None,
            str(rng.choice(zones)) if zones and happens(0.4) else None,
            happens(0.3),
        )
        for n in range(rng.integers(0, 3))
    )
    return Problem(
        workloads,
        types,
        rng.choice([1.0, 2.0, 5.0, 0.5], hours) if happens(0.4) else np.ones(hours),
        pools,
        products,
        limits,
        rng.dirichlet(np.ones(scenarios)),
        float(rng.uniform(0, 20)) if products and happens(0.3) else None,
        float(rng.uniform(5, 200)) if happens(0.15) else None,
    )


def _workload(rng, happens, name, names, hours, scenarios):
    load = np.round(rng.uniform(0, 20, (scenarios, hours)), 2)
    load = load if happens(0.6) else np.tile(load[:1], (scenarios, 1))
    capacity = {t: float(rng.uniform(1, 6)) for t in names if happens(0.85)}
    zones = {z: tuple(t for t in names if happens(0.8)) for z in "abc"[: rng.integers(1, 4)]} if happens(0.3) else {}
    return Workload(
        name,
        load,
        capacity,
        {t: c * float(rng.uniform(0.6, 1)) for t, c in capacity.items() if happens(0.6)},
        float(rng.uniform(0, 0.5)) if happens(0.3) else 0.0,
        int(rng.integers(0, 4)),
        int(rng.integers(0, 4)),
        float(rng.uniform(0, 1)) if happens(0.5) else None,
        float(rng.uniform(0.3, 1.2)) if happens(0.3) else None,
        float(rng.uniform(0.5, 5)) if happens(0.5) else None,
        zones,
        float(rng.uniform(0, 1)) if zones else 0.0,
        float(rng.integers(0, 5)) if happens(0.3) else 0.0,
        None,
        float(rng.integers(0, 3)) if zones and happens(0.5) else 0.0,
        {},
        {t: float(rng.uniform(0, 0.3)) for t in names} if happens(0.25) else {},
        {t: float(rng.uniform(0, 0.2)) for t in names},
        float(rng.uniform(0, 0.6)) if happens(0.2) else None,
    )


class Matrix:
    """Columns with a cost and an upper bound, rows with two sides."""

    def __init__(self) -> None:
        self.cost, self.upper, self.spend = [], [], []
        self.entries, self.low, self.high = [], [], []

    def column(self, cost=0.0, upper=np.inf, spend=True):
        self.cost.append(cost)
        self.upper.append(upper)
        self.spend.append(cost if spend else 0.0)
        return len(self.cost) - 1

    def row(self, terms, low=-np.inf, high=np.inf):
        self.entries += [(len(self.low), j, v) for j, v in terms if v]
        self.low.append(low)
        self.high.append(high)

    def optimum(self):
        """The least cost; ``None`` if nothing satisfies the rows."""
        if not self.cost:
            return 0.0 if all(a <= 0 <= b for a, b in zip(self.low, self.high, strict=True)) else None
        i, j, v = (
            (np.array(part) for part in zip(*self.entries, strict=True)) if self.entries else (np.zeros(0, int),) * 3
        )
        held = LinearConstraint(
            coo_array((v, (i, j)), shape=(len(self.low), len(self.cost))).tocsr(), self.low, self.high
        )
        found = milp(
            np.array(self.cost), constraints=held if self.low else (), bounds=Bounds(0.0, np.array(self.upper))
        )
        assert found.status in (0, 2), found.message
        return float(found.fun) if found.status == 0 else None


def reference(p: Problem):
    """Least cost of a problem, from the words of its types and not from the product's rows."""
    m, whole = Matrix(), float(p.weight_h.sum())
    bought = {}
    for b in p.products:
        term = whole if b.term_h is None else b.term_h
        bought[b.name] = m.column(
            b.upfront_usd * whole / term + b.hourly_usd * whole, np.inf if b.maximum is None else b.maximum
        )
        m.row([(bought[b.name], 1.0)], low=b.minimum)
    for s, t in pairs(range(len(p.probability)), range(len(p.weight_h))):
        _hour(m, p, bought, s, t)
    if p.upfront_budget_usd is not None:
        m.row([(bought[b.name], b.upfront_usd) for b in p.products], high=p.upfront_budget_usd)
    if p.total_budget_usd is not None:
        m.row(list(enumerate(m.spend)), high=p.total_budget_usd)
    return m.optimum()


def _hour(m, p, bought, s, t):
    weight = float(p.probability[s] * p.weight_h[t])
    running = []  # column, capacity, workload, zone, type, option, pool
    for w in p.workloads:
        mine = _machines(m, p, w, weight, t)
        running += mine
        window = w.load[s, max(0, t - w.keep_h) : t + w.lead_h + 1]
        need = (1 + w.headroom_share) * float(window.max())
        unserved = [] if w.shortage_usd is None else [(m.column(weight * w.shortage_usd, spend=False), 1.0)]
        m.row([(r[0], r[1]) for r in mine] + unserved, low=need)
        if w.spot_share is not None:
            m.row([(r[0], r[1]) for r in mine if r[5] == "spot"], high=w.spot_share * need)
        for kind in w.capacity if w.type_share is not None else ():
            m.row([(r[0], r[1]) for r in mine if r[4] == kind], high=w.type_share * need)
        for kind in w.capacity if w.others_share is not None else ():
            m.row([(r[0], r[1]) for r in mine if r[4] != kind] + unserved, low=w.others_share * need)
        m.row([(r[0], 1.0) for r in mine], low=w.min_replicas)
        for z in w.zones:
            m.row([(r[0], r[1]) for r in mine if r[3] != z] + unserved, low=w.zone_loss_share * need)
            m.row([(r[0], 1.0) for r in mine if r[3] == z], low=w.min_per_zone)
        if w.serve_cost:
            sent = [(m.column(weight * w.serve_cost[i]), i) for i in {r[4] for r in mine}]
            for column, i in sent:
                m.row([(column, 1.0)] + [(r[0], -r[1]) for r in mine if r[4] == i], high=0.0)
            m.row([(column, 1.0) for column, _ in sent] + unserved, low=float(w.load[s, t]))
    for i in p.types:
        if i.spot_max is not None:
            m.row([(r[0], 1.0) for r in running if r[4] == i.name and r[5] == "spot"], high=i.spot_max)
    for g in p.pools:
        units = [(bought[b.name], -1.0) for b in p.products if b.pool == g.name]
        if g.credit_usd is None:
            m.row([(r[0], g.units[r[4]]) for r in running if r[6] == g.name] + units, high=g.existing)
        else:
            credited = (m.column(-weight * g.credit_usd), 1.0)
            m.row([credited, *units], high=g.existing)
            m.row([credited] + [(r[0], -g.units.get(r[4], 0.0)) for r in running if r[5] != "spot"], high=0.0)
    for limit in p.limits:
        vcpus = {i.name: i.vcpus if limit.vcpus else 1.0 for i in p.types}
        m.row(
            [
                (r[0], vcpus[r[4]])
                for r in running
                if (limit.types is None or r[4] in limit.types)
                and r[5] in limit.options
                and (limit.workloads is None or r[2] in limit.workloads)
                and limit.zone in (None, r[3])
            ],
            high=limit.maximum,
        )


def _machines(m, p, w, weight, t):
    found = []
    zones = w.zones or {"": tuple(w.capacity)}
    for z, i in pairs(zones, p.types):
        c = w.capacity.get(i.name, 0.0)
        if c <= 0 or i.name not in zones[z]:
            continue
        extra = i.instance_usd_per_h + w.instance_usd_per_h.get(i.name, 0.0)
        if i.on_demand_usd_per_h is not None:
            found.append(
                (m.column(weight * (_at(i.on_demand_usd_per_h, t) + extra)), c, w.name, z, i.name, "on_demand", None)
            )
        found += [
            (m.column(weight * extra), c, w.name, z, i.name, "committed", g.name)
            for g in p.pools
            if g.credit_usd is None and g.units.get(i.name, 0.0) > 0
        ]
        if i.spot_usd_per_h is not None:
            spot = m.column(weight * (_at(i.spot_usd_per_h, t) + extra))
            found.append((spot, w.spot_capacity.get(i.name, c), w.name, z, i.name, "spot", None))
    return found


def _at(price, t):
    return float(price[t]) if isinstance(price, np.ndarray) else price


def agree(seed: int) -> bool:
    """Both ways of the product against the second model; true where the problem can be solved."""
    problem = drawn(seed)
    known, full, reduced = reference(problem), solve(build(problem).lp), plan(problem, gap=1e-6)
    if known is None:
        assert (full.status, reduced.status) == ("infeasible", "infeasible")
        conflict = diagnose(problem)
        assert conflict is not None
        assert conflict.alone or conflict.together
        return False
    assert full.objective == pytest.approx(known, rel=1e-6, abs=1e-7)
    assert reduced.upper == pytest.approx(known, rel=2e-6, abs=1e-6)
    assert reduced.lower <= known + 1e-6 * max(1.0, abs(known))
    return True


def test_both_ways_agree_with_a_second_model():
    solved = [agree(seed) for seed in range(60)]
    assert 0 < sum(solved) < len(solved)


@pytest.mark.slow
def test_both_ways_agree_with_a_second_model_on_many_problems():
    solved = [agree(seed) for seed in range(1_000, 1_400)]
    assert 0 < sum(solved) < len(solved)
