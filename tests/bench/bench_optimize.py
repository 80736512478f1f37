"""Speed and memory of the optimizer: ``python tests/bench/bench_optimize.py [one|ten|paths|naive|frontier ...]``.

Prints each figure beside its goal and, where it fits in memory, beside the full hourly program in the same run.
"""

import multiprocessing
import resource
import sys
import time

import numpy as np

from planner.optimize.fast import plan
from planner.optimize.model import build
from planner.optimize.problem import Pool, Problem, Product, Type, Workload
from planner.optimize.solve import solve


def problem(workloads: int, types: int, hours: int = 8760, scenarios: int = 1, seed: int = 1) -> Problem:
    """A fleet with daily and weekly rhythm, prices near proportional to speed; on demand, spot, reservations, one savings plan."""
    rng = np.random.default_rng(seed)
    t = np.arange(hours)
    size = 2.0 ** rng.integers(0, 6, types)
    on_demand = 0.05 * size * rng.uniform(0.8, 1.25, types)
    names = [f"type{i}" for i in range(types)]
    found = []
    for w in range(workloads):
        phase, day, week = rng.uniform(0, 24), rng.uniform(0.3, 0.8), rng.uniform(0.0, 0.3)
        base = 1.0 + day * np.sin((t + phase) / 24 * 2 * np.pi) + week * (t % 168 < 120)
        level = rng.uniform(2e3, 2e4)
        load = np.stack([level * base * rng.lognormal(0, 0.15) * rng.lognormal(0, 0.08, hours) for _ in range(scenarios)])
        speed = 10.0 * size * rng.uniform(0.7, 1.3, types)
        capacity = dict(zip(names, speed, strict=True))
        found.append(Workload(f"service{w}", load, capacity, {i: 0.92 * c for i, c in capacity.items()}, spot_share=0.3))
    kinds = tuple(Type(i, float(p), float(p * rng.uniform(0.3, 0.6))) for i, p in zip(names, on_demand, strict=True))
    pools = [Pool(f"ri-{i}", {i: 1.0}) for i in names] + [Pool("plan", {i: float(0.72 * p) for i, p in zip(names, on_demand, strict=True)})]
    products = [Product(f"ri-{i}", f"ri-{i}", hourly_usd=float(p * rng.uniform(0.58, 0.68))) for i, p in zip(names, on_demand, strict=True)]
    return Problem(tuple(found), kinds, np.ones(hours), tuple(pools), (*products, Product("plan", "plan", hourly_usd=1.0)),
                   probability=np.full(scenarios, 1.0 / scenarios))


def _measured(run, arguments, queue) -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    answer = run(*arguments)
    queue.put((answer, time.perf_counter() - begun, time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measured(run, *arguments):
    """Answer, wall [s], CPU [s] and peak memory [MiB] of a call in a process of its own."""
    queue = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(run, arguments, queue))
    process.start()
    found = queue.get()
    process.join()
    return found


def reduced(workloads: int, types: int, scenarios: int) -> tuple[float, float, float, int, int, int]:
    found = plan(problem(workloads, types, scenarios=scenarios))
    return found.lower, found.upper, found.gap_share, found.groups, found.rounds, found.solved_hours


def hourly(workloads: int, types: int, scenarios: int) -> tuple[float]:
    return (solve(build(problem(workloads, types, scenarios=scenarios)).lp).objective,)


CASES = {
    "one": (reduced, (1, 50, 1), "1 x 50 types x 8,760 h: goal 0.5 s"),
    "ten": (reduced, (10, 200, 1), "10 x 200 types x 8,760 h x 4 options: goal 5 s wall, gap 1e-4, 300 MB"),
    "paths": (reduced, (10, 200, 20), "the same x 20 paths: goal 120 s, 1 GB"),
    "naive": (hourly, (1, 50, 1), "1 x 50 types x 8,760 h in full through PuLP"),
}


def main(names: list[str]) -> None:
    """Run and print the named cases."""
    for name in names or list(CASES):
        run, arguments, title = CASES[name]
        answer, wall, cpu, memory = measured(run, *arguments)
        print(f"{title}: {wall:.2f} s wall, {cpu:.2f} s CPU, peak {memory:.0f} MiB (interpreter and data included); {answer}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
