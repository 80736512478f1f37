"""Speed of the queueing answers beside ciw and simpy on the same M/M/8 queue: ``PYTHONPATH=. python
tests/bench/bench_queueing.py``.

CPU seconds of one core (process time), so a busy machine does not change them much; ciw and simpy
are left out if not installed.
"""

import gc
import time
from collections.abc import Callable
from importlib.util import find_spec

from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import POISSON, Pool, simulate
from tests.oracles import closed

SERVERS, LOAD = 8, 0.8


def timed(run: Callable[[], object]) -> float:
    """CPU seconds of one run, the best of three."""
    best = float("inf")
    for _ in range(3):
        gc.collect()
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def ours(requests: int, pool: Pool) -> float:
    simulate(pool, LOAD, requests=40_000)
    return 1.1 * requests / timed(lambda: simulate(pool, LOAD, requests=requests, seed=1))


def ciw_rate(requests: int) -> float:
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(LOAD * SERVERS)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[SERVERS],
    )

    def run() -> None:
        ciw.seed(1)
        simulation = ciw.Simulation(network)
        simulation.simulate_until_max_time(requests / (LOAD * SERVERS))
        waits = [r.waiting_time for r in simulation.get_all_records()]
        assert abs(sum(waits) / len(waits) - float(closed.mmc_mean_wait_s(LOAD * SERVERS, 1.0, SERVERS))) < 0.2

    return requests / timed(run)


def simpy_rate(requests: int) -> float:
    import random

    import simpy

    def run() -> None:
        rng, waits = random.Random(1), []
        env = simpy.Environment()
        servers = simpy.Resource(env, SERVERS)

        def request():
            came = env.now
            with servers.request() as turn:
                yield turn
                waits.append(env.now - came)
                yield env.timeout(rng.expovariate(1.0))

        def source():
            for _ in range(requests):
                yield env.timeout(rng.expovariate(LOAD * SERVERS))
                env.process(request())

        env.process(source())
        env.run()
        assert abs(sum(waits) / len(waits) - float(closed.mmc_mean_wait_s(LOAD * SERVERS, 1.0, SERVERS))) < 0.2

    return requests / timed(run)


def sizing() -> None:
    """Three queueing services on every machine of one region."""
    import numpy as np
    import pandas as pd

    from planner.capacity import size
    from planner.catalog import Catalog
    from planner.load import Load, ServiceLoad
    from planner.scenario import Scenario

    text = "".join(
        f"""
  s{i}:
    traffic: none.csv
    latency: {{model: queue, service_time_s: 0.02, service_scv: {scv}}}
    objective: {{latency_p99_s: 0.3}}"""
        for i, scv in enumerate((1, 0.5, 3))
    )
    head = "name: bench\nstart: 2027-01-01\nhorizon_h: 8760\nproviders: [aws]\nregions: [us-east-1]\nservices:"
    scenario = Scenario.from_yaml(head + text)
    catalog = Catalog.read("aws", regions=["us-east-1"])
    ts = pd.date_range("2027-01-01", periods=8760, freq="h", tz="UTC", unit="us")
    load = Load(
        ts, np.ones(8760), {n: ServiceLoad(np.full((200, 8760), 50, dtype=np.float32)) for n in scenario.services}
    )
    start = time.process_time()
    rows = len(size(scenario, catalog, load).frame)
    print(f"three services on {rows // 3:,} machines: {time.process_time() - start:.2f} s the first time")


def main() -> None:
    sizing()
    ours_rate = ours(10_000_000, Pool(POISSON, SERVERS))
    print(f"M/M/8 FCFS, one queue: {ours_rate:.3g} requests/s a core")
    for name, rate in (("ciw", ciw_rate), ("simpy", simpy_rate)):
        if find_spec(name):
            theirs = rate(30_000)
            print(f"  {name}: {theirs:.3g} requests/s a core, ratio {ours_rate / theirs:,.0f}")
    lognormal = ServiceLaw.of(4.0)
    for words, pool in (
        ("M/G/8 lognormal", Pool(lognormal, SERVERS)),
        ("M/M/128", Pool(POISSON, 128)),
        ("8 replicas, random", Pool(POISSON, 1, 8, "random")),
        ("8 replicas, round robin", Pool(POISSON, 1, 8, "round_robin")),
        ("8 replicas, JSQ(2)", Pool(POISSON, 1, 8, "jsq2")),
        ("8 replicas, JSQ", Pool(POISSON, 1, 8, "jsq")),
        ("8 replicas, JSQ, processor sharing", Pool(POISSON, 1, 8, "jsq", "ps")),
    ):
        print(f"{words}: {ours(3_000_000, pool):.3g} requests/s a core")


if __name__ == "__main__":
    main()
