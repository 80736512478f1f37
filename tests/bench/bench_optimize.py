"""Speed and memory of the optimizer: ``python tests/bench/bench_optimize.py
[one|ten|paths|naive|frontier|web|fleet|fifty ...]``.

Prints each figure beside its goal; ``naive`` runs the full hourly model in plain PuLP beside the
reduced path in the same run. Times of a case are of a process of its own, after the interpreter has
loaded the package.
"""

import multiprocessing
import os
import resource
import sys
import time

import numpy as np

from planner.optimizer.program.grouped import Stack
from planner.optimizer.program.hours import templates_of
from planner.optimizer.program.model import build
from planner.optimizer.program.neighbours import frontier
from planner.optimizer.program.problem import Pool, Problem, Product, Type, Workload
from planner.optimizer.program.reduced import plan, shortlist
from planner.optimizer.program.solve import Matrix, hand_over, live_handle, solve


def problem(workloads: int, types: int, hours: int = 8760, scenarios: int = 1, seed: int = 1) -> Problem:
    """A fleet with daily and weekly rhythm, prices near proportional to speed; on demand, spot,
    reservations, one savings plan.
    """
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
        load = np.stack(
            [level * base * rng.lognormal(0, 0.15) * rng.lognormal(0, 0.08, hours) for _ in range(scenarios)]
        )
        speed = 10.0 * size * rng.uniform(0.7, 1.3, types)
        capacity = dict(zip(names, speed, strict=True))
        found.append(
            Workload(f"service{w}", load, capacity, {i: 0.92 * c for i, c in capacity.items()}, spot_share=0.3)
        )
    kinds = tuple(Type(i, float(p), float(p * rng.uniform(0.3, 0.6))) for i, p in zip(names, on_demand, strict=True))
    pools = [Pool(f"ri-{i}", {i: 1.0}) for i in names] + [
        Pool("plan", {i: float(0.72 * p) for i, p in zip(names, on_demand, strict=True)})
    ]
    products = [
        Product(f"ri-{i}", f"ri-{i}", hourly_usd=float(p * rng.uniform(0.58, 0.68)))
        for i, p in zip(names, on_demand, strict=True)
    ]
    return Problem(
        tuple(found),
        kinds,
        np.ones(hours),
        tuple(pools),
        (*products, Product("plan", "plan", hourly_usd=1.0)),
        probability=np.full(scenarios, 1.0 / scenarios),
    )


def _measured(run, arguments, pipe) -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    answer = run(*arguments)
    pipe.send(
        (
            answer,
            time.perf_counter() - begun,
            time.process_time() - cpu,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )
    )


def measured(run, *arguments):
    """Answer, wall [s], CPU [s] and peak memory [MiB] of a call in a process of its own."""
    here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(run, arguments, there))
    process.start()
    there.close()
    found = here.recv()  # EOFError where the process failed
    process.join()
    return found


def reduced(workloads: int, types: int, scenarios: int) -> dict[str, object]:
    found = plan(problem(workloads, types, scenarios=scenarios))
    return {
        "lower": found.lower,
        "upper": found.upper,
        "gap": found.gap_share,
        "groups": found.groups,
        "rounds": found.rounds,
        "hours given to the solver": found.solved_hours,
    }


def naive(workloads: int, types: int) -> dict[str, object]:
    """Every hour a block of one PuLP model, solved by PuLP's HiGHS as it comes, but for presolve
    (with it this size does not end).
    """
    import pulp

    base = problem(workloads, types)
    begun = time.process_time()
    model = build(base, base.hours)
    built = time.process_time()
    model.lp.solve(pulp.HiGHS(msg=False, threads=1, presolve="off"))
    return {
        "cost": pulp.value(model.lp.objective),
        "build [s]": built - begun,
        "solve [s]": time.process_time() - built,
        "columns": len(model.variables),
    }


def beside(workloads: int, types: int) -> dict[str, object]:
    """The reduced path and the full hourly model in the same run, each in a process of its own."""
    ours, wall, cpu, memory = measured(reduced, workloads, types, 1)
    full, full_wall, full_cpu, full_memory = measured(naive, workloads, types)
    assert ours["lower"] <= full["cost"] * (1 + 1e-7) <= ours["upper"] * (1 + 2e-7)
    return {
        "reduced [s wall, s CPU, MiB]": (wall, cpu, memory),
        "full [s wall, s CPU, MiB]": (full_wall, full_cpu, full_memory),
        "full / reduced CPU": full_cpu / cpu,
        **ours,
        **full,
    }


def fleet(services: int) -> dict[str, object]:
    """``planner.optimize`` on a year of services like the bundled ``web``, each with its own level
    and hour of the day, that share the commitments of one region; CPU seconds of its stages.
    """
    import tempfile

    import pandas as pd

    from planner import Catalog, Scenario, forecast, optimize, read_histories, size
    from planner.data import data_path

    file = data_path("scenarios", "web.yaml")
    one, rng = Scenario.read(file), np.random.default_rng(services)
    history = pd.read_csv(data_path("traffic", "web.csv"), comment="#")
    column = history.columns[1]
    with tempfile.TemporaryDirectory() as folder:
        web, copies = one.model_dump(exclude_unset=True)["services"]["web"], {}
        for k in range(services):
            own = history[column].to_numpy(dtype=float).copy()
            own = np.roll(own, int(rng.integers(0, 24))) * rng.uniform(0.3, 3.0)
            history.assign(**{column: own}).to_csv(f"{folder}/web{k}.csv", index=False)
            copies[f"web{k}"] = web | {"traffic": web["traffic"] | {"file": f"web{k}.csv"}}
        scenario = Scenario(**one.model_dump(exclude_unset=True) | {"services": copies, "folder": folder})
        catalog = Catalog.read(*scenario.providers, regions=scenario.regions)
        begun = time.process_time()
        load = forecast(read_histories(scenario), scenario, paths=200)
        loaded = time.process_time()
        capacity = size(scenario, catalog, load)
        sized = time.process_time()
        found = optimize(scenario, load, capacity, catalog)
    proof = found.certificate
    return {
        "load [s]": loaded - begun,
        "size [s]": sized - loaded,
        "optimize [s]": time.process_time() - sized,
        "gap": proof.upper_bound_usd / proof.lower_bound_usd - 1.0,
    }


def points() -> dict[str, float]:
    """Seconds for one solve, for 20 points warm, and for the same 20 cold."""
    from dataclasses import replace

    base = problem(1, 50)
    few = base.restricted(shortlist(base))
    every = [
        replace(few, workloads=tuple(replace(w, spot_share=s) for w in few.workloads))
        for s in np.linspace(0.05, 0.9, 20)
    ]
    begun = time.process_time()
    frontier(every[:1])
    one = time.process_time() - begun
    warm = frontier(every)
    all_ = time.process_time() - begun - one
    cold = [frontier([p])[0] for p in every]
    assert np.allclose([f.objective for f in warm], [f.objective for f in cold], rtol=1e-7)
    return {"one": one, "20 warm": all_, "20 cold": time.process_time() - begun - one - all_, "warm / one": all_ / one}


def handover(workloads: int, types: int, hours: int) -> dict[str, object]:
    """The same program by PuLP and by raw highspy, CPU seconds.

    PuLP: objects → arrays → HiGHS → values and certificate check. Raw: the arrays → HiGHS → values.
    Making the objects is given apart, beside making the arrays by repeating the one-hour model.
    """
    base = problem(workloads, types, hours=hours)
    begun = time.process_time()
    model = build(base, base.hours)
    objects = time.process_time() - begun
    begun = time.process_time()
    found = solve(model.lp, variables=model.variables)
    ours = time.process_time() - begun
    matrix = Matrix.of(model.lp, model.variables)
    begun = time.process_time()
    Stack(base, base.hours, np.zeros(hours, dtype=np.intp), templates_of(base, base.hours, prune=False))
    arrays = time.process_time() - begun
    begun = time.process_time()
    live = live_handle(presolve="off")
    live.passModel(hand_over(matrix))
    live.run()
    np.asarray(live.getSolution().col_value)
    raw = time.process_time() - begun
    assert abs(live.getObjectiveValue() / found.objective - 1) < 1e-7
    return {
        "columns": len(matrix.cost),
        "PuLP [s]": ours,
        "raw [s]": raw,
        "PuLP / raw": ours / raw,
        "PuLP objects [s]": objects,
        "raw arrays [s]": arrays,
        "both with making the model": (objects + ours) / (arrays + raw),
    }


CASES = {
    "frontier": (points, (), "20-point frontier, CPU seconds: goal <= 3 x one solve"),
    "handover": (handover, (1, 50, 2_000), "PuLP pipeline / raw highspy: goal 1.2"),
    "one": (reduced, (1, 50, 1), "1 x 50 types x 8,760 h: goal 0.5 s"),
    "ten": (reduced, (10, 200, 1), "10 x 200 types x 8,760 h x 4 options: goal 5 s wall, gap 1e-4, 300 MB"),
    "paths": (reduced, (10, 200, 20), "the same x 20 paths: goal 120 s, 1 GB"),
    "web": (fleet, (1,), "planner.optimize, one service, a year x 200 paths: goal .5 s"),
    "fleet": (fleet, (4,), "planner.optimize, 10 services that share commitments, a year x 200 paths"),
    "fifty": (fleet, (50,), "planner.optimize, 50 services that share commitments: goal 10 s, 500 MiB"),
    "naive": (beside, (1, 50), "1 x 50 types x 8,760 h beside the full hourly model in plain PuLP (minutes, 4 GB)"),
}


def main(names: list[str]) -> None:
    """Run and print the named cases."""
    for name in names or list(CASES):
        run, arguments, title = CASES[name]
        answer, wall, cpu, memory = measured(run, *arguments)
        print(
            f"{title}: {wall:.2f} s wall, {cpu:.2f} s CPU, peak {memory:.0f} MiB (interpreter and data included), "
            f"load average {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        for key, value in answer.items():
            print(
                f"    {key}: {', '.join(f'{v:.6g}' for v in (value if isinstance(value, tuple) else (value,)))}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
