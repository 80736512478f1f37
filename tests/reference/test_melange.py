"""GPU mixes over request-size buckets against proven optima (``melange`` folder of the reference
tables).
"""

import json
import time

import numpy as np
import pytest

from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Pool, Problem, Product, Type, Workload
from planner.optimizer.program.solve import solve


def to_problem(inputs: dict) -> Problem:
    """Each bucket a workload that takes parts of GPUs; the GPUs themselves come whole, as
    commitments of one hour.
    """
    gpus = inputs["gpu_info"]
    share = np.asarray(inputs["workload_distribution"], dtype=float)
    share = share / share.sum()
    workloads = [
        Workload(
            f"bucket-{i}-{j}",
            np.array([[share[i, j] * inputs["total_request_rate"]]]),
            {name: gpu["tputs"][i][j] for name, gpu in gpus.items() if gpu["tputs"][i][j] > 0},
        )
        for i, j in np.ndindex(share.shape)
        if share[i, j] > 0
    ]
    return Problem(
        tuple(workloads),
        tuple(Type(name, None) for name in gpus),
        np.ones(1),
        tuple(Pool(name, {name: 1.0}) for name in gpus),
        tuple(Product(name, name, hourly_usd=gpu["cost"]) for name, gpu in gpus.items()),
        whole_commitments=True,
    )


def test_mixes_cost_no_more_than_the_proven_optimum(reference):
    for case in json.loads((reference("melange") / "cases.json").read_text()):
        begun = time.perf_counter()
        model = build(to_problem(case["inputs"]))
        found = solve(model.lp)
        spent = time.perf_counter() - begun
        assert found.optimal, case["name"]
        assert found.objective <= case["expected"]["continuous_split_optimum"]["cost_per_hour"] * (1 + 1e-6), case[
            "name"
        ]
        count = {name: found.values[v.name] * step for name, (v, step) in model.bought.items()}
        assert found.objective == pytest.approx(
            sum(n * case["inputs"]["gpu_info"][g]["cost"] for g, n in count.items()), rel=1e-9
        )
        print(f"{case['name']}: {found.objective:.4f} USD/h in {spent:.3f} s")
