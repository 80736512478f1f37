"""One hour request by request: checks the pointwise model that the replay stands on.

Requests come as a Poisson stream of the minutes' rates, are sent to replicas as the balancer does
and wait for their workers; the pointwise answer is the mixture of the model's stationary laws over
the minutes, weighted by their requests.  The two agree where an hour is many service times long and
no minute is near saturation; a minute beyond it has no pointwise answer.
"""

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import PlannerError
from planner.latency import LatencyModel
from planner.latency.queue.queueing import QueueLatency
from planner.latency.queue.simulation import draw

_LEVELS = np.r_[np.linspace(0.005, 0.985, 99), 0.9875, 0.99, 0.9925, 0.995, 0.9975, 0.999]


def play_requests(model: QueueLatency, replicas: int, rate_rps: Floats, seed: int = 0) -> Floats:
    """Latency of every request of consecutive minutes [s].

    ``rate_rps`` (minutes,) at the pool of ``replicas``.  Raises :class:`PlannerError` for balancers
    and disciplines that are not played request by request here.
    """
    from planner.latency.kernels import shared_queue_heap

    if model.discipline != "fcfs" or model.balancer not in ("random", "round_robin", "central"):
        raise PlannerError("only first come, first served behind random, round_robin or central is played", got=model)
    rng = np.random.default_rng(seed)
    minute = np.repeat(np.arange(len(rate_rps)), rng.poisson(rate_rps * 60.0))
    at = np.sort((minute + rng.random(len(minute))) * 60.0)
    minute = np.minimum((at // 60).astype(np.int64), len(rate_rps) - 1)
    services = draw(model.law, rng, len(at)) * _service_s(model, replicas, rate_rps)[minute]
    queues, workers = (1, model.servers * replicas) if model.balancer == "central" else (replicas, model.servers)
    turn: Ints = np.arange(len(at)) % queues if model.balancer == "round_robin" else rng.integers(0, queues, len(at))
    found = np.zeros(len(at))
    for k in range(queues):
        mine = np.flatnonzero(turn == k)
        waits = np.empty(len(mine))
        gaps = np.diff(at[mine], prepend=0.0)
        shared_queue_heap(gaps, services[mine], np.zeros(workers), 0.0, waits)
        found[mine] = waits + services[mine]
    return found


def _service_s(model: QueueLatency, replicas: int, rate_rps: Floats) -> Floats:
    """Mean service by minute: longer the busier the threads of a core are."""
    alone = rate_rps * model.service_time_s / (model.servers * replicas)
    busy = np.minimum(alone / np.maximum(1 - model.slowdown * alone, 1e-9), 1.0)
    return np.asarray(model.service_time_s * (1 + model.slowdown * busy))


def pointwise_s(model: LatencyModel, replicas: int, rate_rps: Floats, quantile: float) -> float:
    """Quantile of the hour's latencies if each minute is at its stationary law [s]."""
    values = np.stack([model.latency_s(rate_rps, replicas, float(q)) for q in _LEVELS], axis=1)
    edges = np.r_[0.0, (_LEVELS[1:] + _LEVELS[:-1]) / 2, 1.0]
    weight = (rate_rps[:, None] * np.diff(edges)[None, :]).ravel()
    order = np.argsort(values, axis=None)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values.ravel()[order][np.searchsorted(share, quantile)])
