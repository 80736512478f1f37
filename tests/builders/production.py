"""Production simulated: a machine with a known queue, and what monitoring shows of it."""

import heapq
from functools import cache

import numpy as np

QUANTILES = (0.5, 0.9, 0.95, 0.99)


def _times(rng, mean: float, scv: float, count: int) -> np.ndarray:
    if mean == 0 or scv == 0:
        return np.full(count, mean)
    if scv <= 1:
        return rng.gamma(1 / scv, scv * mean, count)
    return rng.lognormal(np.log(mean) - np.log1p(scv) / 2, np.sqrt(np.log1p(scv)), count)


@cache
def observe(rate, servers, cpu_s, scv, elsewhere_s=0.0, elsewhere_scv=1.0, count=80_000, seed=0):
    """CPU utilization and latency quantiles of M/G/c with a stay elsewhere after it."""
    rng = np.random.default_rng(seed)
    arrived = np.cumsum(rng.exponential(1 / rate, count))
    service, rest = _times(rng, cpu_s, scv, count), _times(rng, elsewhere_s, elsewhere_scv, count)
    free, took = [0.0] * servers, np.empty(count)
    for i in range(count):
        done = max(arrived[i], heapq.heappop(free)) + service[i]
        heapq.heappush(free, done)
        took[i] = done - arrived[i]
    return float(service.sum() / arrived[-1] / servers), tuple(float(np.quantile(took + rest, q)) for q in QUANTILES)
