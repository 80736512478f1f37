"""Speed of the LLM model. Run: python tests/bench/bench_llm.py. Prints times; asserts nothing about
them.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from planner.latency.hardware import accelerators
from planner.latency.llm.architecture import architectures
from planner.latency.llm.bench import Runs, report
from planner.latency.llm.constants import Condition, constants
from planner.latency.llm.steps import Constants, Layout, Plant


def best_of(call, times: int = 5) -> float:
    spent = []
    for _ in range(times):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    chips = [a for a in accelerators().values() if a.memory_bandwidth_gib_per_s > 0 and a.flops("bf16") > 0]
    conditions = [
        Condition(m, a, "bf16", "vllm", Layout(tp)) for m in architectures().values() for a in chips for tp in (1, 8)
    ][:1000]
    plant = Plant.stack([Plant.of(c.model, c.chip, c.precision, "bf16", c.layout) for c in conditions])
    each = [constants(c) for c in conditions]
    values = Constants(**{k: np.array([getattr(c, k) for c in each]) for k in Constants.__dataclass_fields__})
    n = len(conditions)
    runs = Runs(
        np.full(n, "closed_loop"),
        np.full(n, 64.0),
        np.zeros(n),
        np.full(n, 1024.0),
        np.full(n, 256.0),
        np.full(n, 256.0),
    )
    once = best_of(lambda: report(plant, values, runs))
    print(f"{n} deployments in one estimate: {once * 1e3:.2f} ms, {once / n * 1e6:.1f} µs each")


if __name__ == "__main__":
    main()
