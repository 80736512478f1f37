"""Speed of a sweep and that it is the same whoever does it:

    python -m tests.bench.bench_sweep [--variants 1000]

A small scenario of a day, varied in its spot share and its latency target, in this process, on one and
two workers, on a local Dask cluster of two, and taken up after half of its rows were there. Every table
must be the same to the byte; wall time and its ratio to this process are printed.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from planner.scenario import Scenario
from planner.study import sweep
from planner.workers import Workers
from tests.builders import small


def variants(count: int) -> dict[str, dict[str, float]]:
    """Spot shares and latency targets, all different."""
    pairs = [(k % 40 / 50, 0.2 + 0.01 * (k // 40)) for k in range(count)]
    return {
        f"{share:g} {target:g}": {
            "limits.max_spot_share": share,
            "services.web.objective.latency_p99_s": round(target, 4),
        }
        for share, target in pairs
    }


@contextmanager
def dask() -> Iterator[Executor]:
    """Two processes of a local cluster."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with cluster, Client(cluster) as client, client.get_executor() as executor:
        yield executor


def main() -> None:
    """Print one line for each way."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--variants", type=int, default=1000)
    count = asked.parse_args().variants
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small.traffic().to_csv(folder / "web.csv", index=False)
        brief = {"horizon_h": 24, "limits.max_term_months": 0}
        scenario, wanted = Scenario.from_yaml(small.SCENARIO, folder=folder).replace(**brief), variants(count)

        def timed(title: str, **how: object) -> pd.DataFrame:
            begun = time.perf_counter()
            found = sweep(scenario, wanted, paths=2, **how)
            took = time.perf_counter() - begun
            first.setdefault("s", took)
            print(f"{title}: {took:.1f} s, {count / took:.1f} variants/s, {first['s'] / took:.2f} x", flush=True)
            return found

        first: dict[str, float] = {}
        alone = timed("this process")
        for jobs in (1, 2):
            with Workers(jobs) as workers:
                pd.testing.assert_frame_equal(timed(f"{jobs} workers", executor=workers), alone, check_exact=True)
        with dask() as executor:
            pd.testing.assert_frame_equal(timed("Dask, 2 workers", executor=executor), alone, check_exact=True)
        half = dict(list(wanted.items())[: count // 2])
        sweep(scenario, half, paths=2, results=folder / "rows")
        taken_up = timed("half of it there already", results=folder / "rows")
        pd.testing.assert_frame_equal(taken_up, alone, check_exact=True)
        print(f"{int((alone['error'] == '').sum())} of {count} variants have a plan; all tables equal")


if __name__ == "__main__":
    main()
