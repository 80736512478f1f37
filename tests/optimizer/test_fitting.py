"""Fitted prices of hours against the linear program they come from, written out whole and solved by
SciPy: every mix at every load, commitments in parts.
"""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from planner.optimizer.answer.fitting import NEAR, Fit, Mixes, Parts
from planner.optimizer.answer.shadow import Bands, Pools, Prices
from planner.optimizer.mixes.covering import Shelf, parts_price
from planner.optimizer.mixes.menu import Offer, Rules, menu
from planner.optimizer.program.growing import Growing

SPOT = 0.4


def case(seed, services=1):
    """Shelves of two types, menus and loads of some services; one commitment for each type of the
    first, one for all; some units are held.
    """
    rng = np.random.default_rng(seed)
    kinds = ["a", "b"]
    units = [{"a": 1.0}, {"b": 1.0}, {"a": 1.0, "b": 2.0}]
    stretches = int(rng.integers(1, 3))
    hours = rng.uniform(50, 200, (4, stretches))
    windows = np.vstack([np.ones(stretches), np.eye(stretches)[-1]])
    price = {"a": rng.uniform(1, 2), "b": rng.uniform(2, 4)}
    fee = np.outer([price["a"], price["b"], price["a"]], rng.uniform(0.5, 0.8, 2))
    fee[rng.integers(0, 3), 1] = np.inf
    held = np.zeros((3, stretches))
    held[rng.integers(0, 3)] = rng.integers(0, 3)
    pools = Pools(("ra", "rb", "all"), tuple(units), fee, windows, held, np.array([False, False, True]))
    loads, menus, shelves, rules = {}, {}, {}, Rules(SPOT, None, 1, 0, 0)
    for s in (f"s{k}" for k in range(services)):
        capacity = {"a": rng.uniform(20, 30), "b": rng.uniform(40, 70)}
        offers = [Offer(k, "d", False, 1, 1, capacity[k], price[k] + 0.05, 0.05) for k in kinds]
        offers += [Offer("a", "d", True, 1, 1, capacity["a"], 0.45 * price["a"])]
        level = np.sort(rng.uniform(10, 200, 4))[::-1]
        loads[s] = []
        for m in range(4):
            values = np.sort(level[m] * rng.uniform(0.8, 1.2, 3))
            loads[s].append((values, hours[m].sum() * rng.dirichlet(np.ones(3))))
        menus[s] = menu(offers, rules, max(float(v[-1]) for v, _ in loads[s]))
        each = [np.array([x[k] for k in kinds]) for x in (capacity, price)]
        shelves[s] = Shelf(
            tuple(kinds), np.zeros(2, dtype=np.intp), np.ones(2), np.ones(2), each[0], each[1], each[1] * 0.5,
            np.full(2, 0.05), each[0], np.array([0.45 * price["a"], np.inf]), np.full(2, np.inf),
        )  # fmt: skip
    bands = Bands(hours, loads, np.zeros(1, dtype=np.intp), np.zeros(stretches, dtype=np.intp))
    return {s: Prices(shelf, pools, bands, 1.0) for s, shelf in shelves.items()}, menus, rules


def whole_program(prices, menus):
    """The same as one linear program: x of each mix, load and band; units covered; commitments."""
    one = next(iter(prices.values()))
    pools, bands = one.pools, one.bands
    hours = bands.hours @ pools.windows.T
    sold = [(g, w) for g in range(3) for w in range(hours.shape[1]) if np.isfinite(pools.fee[g, w])]
    cost = [pools.fee[g, w] * hours[:, w].sum() for g, w in sold]
    entries, upper, equal, ones = [], [], [], 0
    pool_row = {(g, b): len(upper) + g * 4 + b for g in range(3) for b in range(4)}
    upper += [float(pools.held[g] @ bands.hours[b]) for g in range(3) for b in range(4)]
    entries += [(pool_row[g, b], j, -hours[b, w]) for j, (g, w) in enumerate(sold) for b in range(4)]
    for s, listed in menus.items():
        on_demand = {o.kind: (j, o) for j, o in enumerate(listed.offers) if not o.spot}
        full = listed.counts @ np.array([o.usd_per_h for o in listed.offers])
        for b, (values, each) in enumerate(bands.loads[s]):
            runs = {k: [] for k in on_demand}
            for load, h in zip(values, each, strict=True):
                for i in np.flatnonzero(listed.reach >= load * (1 - 1e-12)):
                    equal.append((ones, len(cost), 1.0))
                    for k, (j, _) in on_demand.items():
                        runs[k].append((len(cost), -h * listed.counts[i, j]))
                    cost.append(h * full[i])
                ones += 1
            for k, (_, offer) in on_demand.items():
                row = len(upper)
                upper.append(0.0)
                entries += [(row, column, value) for column, value in runs[k]]
                for g in range(3):
                    if k in pools.units[g]:
                        entries += [(row, len(cost), 1.0), (pool_row[g, b], len(cost), pools.units[g][k])]
                        cost.append(-(offer.usd_per_h - offer.disk_usd_per_h))

    def matrix(found, rows):
        i, j, v = zip(*found, strict=True)
        return scipy.sparse.csr_matrix((v, (i, j)), shape=(rows, len(cost)))

    return scipy.optimize.linprog(
        cost, matrix(entries, len(upper)), upper, matrix(equal, ones), np.ones(ones), method="highs"
    ).fun


@pytest.mark.parametrize("services", [1, 2])
@pytest.mark.parametrize("seed", range(12))
def test_fitted_prices_reach_the_linear_program(seed, services):
    prices, menus, _ = case(seed, services)
    bands = next(iter(prices.values())).bands
    mixes = {s: [Mixes(listed, ("a", "b"), bands.loads[s])] for s, listed in menus.items()}
    truth = whole_program(prices, menus)
    *_, (best, worth) = Fit(prices, mixes, np.zeros((3, 4))).rising()
    assert best <= truth * (1 + 1e-9)
    assert best >= truth * (1 - 2 * NEAR)
    hours = bands.hours @ next(iter(prices.values())).pools.windows.T
    fee = next(iter(prices.values())).pools.fee
    for g, w in np.argwhere(np.isfinite(fee)):
        assert worth[g] @ hours[:, w] <= fee[g, w] * hours[:, w].sum() * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_of_several_choices_the_least_counts(seed):
    prices, menus, rules = case(seed)
    bands = prices["s0"].bands
    few = [menu([o for o in menus["s0"].offers if o.kind == k], rules, float(menus["s0"].reach.max())) for k in "ab"]
    choices = [Mixes(listed, (k,), bands.loads["s0"]) for k, listed in zip("ab", few, strict=True)]
    alone = [max(usd for usd, _ in Fit(prices, {"s0": [c]}, np.zeros((3, 4))).rising()) for c in choices]
    *_, (best, worth) = Fit(prices, {"s0": choices}, np.zeros((3, 4))).rising()
    both = [list(Fit(prices, {"s0": [c]}, worth, np.zeros(3, dtype=bool)).rising())[-1][0] for c in choices]
    held = float((worth * (prices["s0"].pools.held @ bands.hours.T)).sum())
    assert best == pytest.approx(min(both) - held)
    assert best <= min(alone) * (1 + 2 * NEAR)


@pytest.mark.parametrize("seed", range(8))
def test_parts_of_machines_cost_their_lowest_price(seed):
    prices, _, rules = case(seed)
    of = prices["s0"]
    worth = of.kept(np.random.default_rng(seed).uniform(0, 2, (1, 3, 4)))
    price = of.usage(np.array([[0, 1]]), worth)
    usd, units = Parts(of, rules, "s0", np.arange(2)).cheapest(price[0])
    volume = np.array([float(v @ h) for v, h in of.bands.loads["s0"]])
    known = parts_price(of.shelf, np.array([[0, 1]]), rules, price + 0.05)[0] * volume
    assert usd + (price[0] * units.T).sum(axis=0) == pytest.approx(known)


def test_a_program_that_grows_has_the_optimum_of_the_whole():
    rng = np.random.default_rng(3)
    columns, cost, low = rng.uniform(0, 1, (40, 6)), rng.uniform(1, 2, 40), rng.uniform(1, 3, 6)
    program = Growing(low, np.full(6, np.inf))
    program.add(np.full(6, 100.0), np.eye(6))
    for some in np.array_split(np.arange(40), 5):
        program.add(cost[some], columns[some])
        usd, duals = program.solve()
    every = np.concatenate([columns, np.eye(6)]).T
    truth = scipy.optimize.linprog(np.concatenate([cost, np.full(6, 100.0)]), -every, -low, method="highs")
    assert usd == pytest.approx(truth.fun)
    assert duals @ low == pytest.approx(truth.fun)
