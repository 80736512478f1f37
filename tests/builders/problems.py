"""Random problems of the optimizer's program, and their answer by the full hourly program."""

import numpy as np

from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Pool, Problem, Product, Type, Workload
from planner.optimizer.program.solve import solve


def draw(rng, *, scenarios=None, commitments=True, spot=True, hours=None, workloads=None) -> Problem:
    """A small random problem that can always be solved."""
    s, t = scenarios or int(rng.integers(1, 3)), hours or int(rng.integers(3, 9))
    names = [f"t{i}" for i in range(int(rng.integers(2, 5)))]
    price = {i: float(rng.uniform(0.5, 4.0)) for i in names}
    types = tuple(
        Type(
            i,
            price[i],
            float(price[i] * rng.uniform(0.2, 1.1)) if spot and rng.random() < 0.7 else None,
            instance_usd_per_h=float(rng.choice([0.0, 0.05])),
        )
        for i in names
    )
    found = tuple(
        Workload(
            f"w{k}",
            rng.uniform(0, 500, (s, t)).round(1),
            {i: float(rng.uniform(5, 40)) for i in names},
            spot_share=float(rng.uniform(0.1, 0.9)),
            min_replicas=float(rng.choice([0, 0, 2])),
        )
        for k in range(workloads or int(rng.integers(1, 3)))
    )
    pools, products = [], []
    if commitments:
        pools = [Pool(f"ri-{i}", {i: 1.0}) for i in names]
        products = [Product(f"ri-{i}", f"ri-{i}", hourly_usd=float(price[i] * rng.uniform(0.4, 0.95))) for i in names]
        pools.append(Pool("sp", {i: float(p * 0.75) for i, p in price.items()}))
        products.append(Product("sp", "sp", hourly_usd=1.0))
    weight = rng.choice([1.0, 1.0, 2.0, 24.0], t)
    return Problem(found, types, weight, tuple(pools), tuple(products), probability=np.full(s, 1.0 / s))


def oracle(problem: Problem) -> float:
    """Cost by the full hourly program, unmerged."""
    found = solve(build(problem, problem.hours).lp)
    assert found.optimal
    return found.objective
