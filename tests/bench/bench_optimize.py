"""Speed and memory of the optimizer: ``python tests/bench/bench_optimize.py [one|ten|paths|naive|frontier ...]``.

Prints each figure beside its goal and, where it fits in memory, beside the full hourly program in the same run.
"""

import multiprocessing
import resource
import sys
import time

import numpy as np

from planner.optimize.fast import plan, shortlist
from planner.optimize.frontier import frontier
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


def points() -> tuple[float, float, float]:
    """Seconds for one solve, for 20 points warm, and for the same 20 cold."""
    from dataclasses import replace

    base = problem(1, 50)
    few = base.restricted(shortlist(base))
    every = [replace(few, workloads=tuple(replace(w, spot_share=s) for w in few.workloads)) for s in np.linspace(0.05, 0.9, 20)]
    begun = time.perf_counter()
    frontier(every[:1])
    one = time.perf_counter() - begun
    warm = frontier(every)
    all_ = time.perf_counter() - begun - one
    cold = [frontier([p])[0] for p in every]
    assert np.allclose([f.objective for f in warm], [f.objective for f in cold], rtol=1e-7)
    return one, all_, time.perf_counter() - begun - one - all_


def handover(workloads: int, types: int) -> tuple[float, float, float]:
    """Seconds of PuLP with this package's hand-over (model built), of raw highspy on the same arrays, and their ratio."""
    from planner.optimize.solve import Matrix, hand_over, live_handle

    model = build(problem(workloads, types, hours=720))
    begun = time.perf_counter()
    found = solve(model.lp)
    ours = time.perf_counter() - begun
    matrix = Matrix.of(model.lp)
    begun = time.perf_counter()
    live = live_handle()
    live.passModel(hand_over(matrix))
    live.run()
    raw = time.perf_counter() - begun
    assert abs(live.getObjectiveValue() / found.objective - 1) < 1e-7
    return ours, raw, ours / raw


CASES = {
    "frontier": (points, (), "20-point frontier: goal <= 3 x one solve (one, 20 warm, 20 cold) [s]"),
    "handover": (handover, (2, 20), "PuLP pipeline / raw highspy: goal 1.2 (PuLP, raw, ratio)"),
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
