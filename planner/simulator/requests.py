"""Hours request by request: checks the pointwise model that the replay stands on.

Requests come as a Poisson stream of the minutes' rates, are sent to replicas as the balancer does
and wait for their workers, their batch or their steps; the pointwise answer is the mixture of the
model's stationary laws over the minutes, weighted by their requests.  The two agree where an hour
is many service times long and no minute is near saturation; a minute beyond it has no pointwise
answer.

Symbols: λ(t) rate at the pool [requests/s], constant within a minute; W wait, S service, both [s];
a request's latency is W + S.  What is played:

- queues, first come first served: Lindley's recursion over the workers of each replica, behind
  ``random``, ``round_robin``, ``central``, ``jsq`` and ``jsq2`` balancers;
- batches: a server takes all that wait, up to its largest batch of b, for setup + each·b;
- language models: iterations that compute prompts in chunks beside one token of every sequence.

It lies where clients retry (tries are independent here), where gaps are burstier than Poisson
within a minute, and where a pool starts an hour with requests of the hour before: the first
seconds of an hour are played from an empty pool.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints
from planner.capacity import Capacity
from planner.errors import PlannerError
from planner.latency import LatencyModel
from planner.latency.batch.batching import BatchLatency
from planner.latency.llm.service import LlmReplica
from planner.latency.queue.queueing import QueueLatency
from planner.latency.queue.simulation import draw
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator.breaks import burst_of
from planner.simulator.fleet import Task, task_of
from planner.simulator.operations import Operations
from planner.simulator.replay import typed

_LEVELS = np.r_[np.linspace(0.005, 0.985, 99), 0.9875, 0.99, 0.9925, 0.995, 0.9975, 0.999]
# parts of the share that may be late at which models that simulate their answer are asked
_FEW = np.array([0.1, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0])
LOADED = (0.5, 0.7, 0.8, 0.9, 0.95)  # shares of saturation at which the tail is shown as well
PLAYED = (QueueLatency, BatchLatency, LlmReplica)
MOST = 2_000_000  # requests of an hour; a busier one is played by the first seconds of its minutes
_LEAD_MINUTES = 10  # language models start empty, so that these come before and are not counted


def play_requests(
    model: LatencyModel, replicas: int, rate_rps: Floats, seed: int = 0, *, minute_s: float = 60.0
) -> Mapping[str, Floats]:
    """Every request of consecutive minutes: its ``latency`` [s], and ``ttft`` and ``tpot`` where
    tokens are made.

    ``rate_rps`` (minutes,) at the pool of ``replicas``; ``minute_s`` of each minute are played.
    Raises :class:`PlannerError` for models that are not played request by request here.
    """
    if isinstance(model, QueueLatency) and model.discipline == "fcfs":
        return {"latency": _queued(model, replicas, rate_rps, minute_s, np.random.default_rng(seed))}
    if isinstance(model, BatchLatency):
        return {"latency": _batched(model, replicas, rate_rps, minute_s, np.random.default_rng(seed))}
    if isinstance(model, LlmReplica) and not model.station.disaggregated:
        return _by_steps(model, replicas, rate_rps, minute_s, np.random.default_rng(seed))
    raise PlannerError(
        "only queues served first come, first served, batches and language models on one plant are played"
        " request by request",
        got=type(model).__name__,
        remedy="Read the pointwise answer of the replay",
    )


def _arrivals(rate_rps: Floats, minute_s: float, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """When requests come [s] and in which minute.

    A Poisson number in each minute, spread evenly: a Poisson stream of the minute's rate.
    """
    minute = np.repeat(np.arange(len(rate_rps)), rng.poisson(rate_rps * minute_s))
    at = np.sort((minute + rng.random(len(minute))) * minute_s)
    return at, np.minimum((at // minute_s).astype(np.int64), len(rate_rps) - 1)


def _queued(model: QueueLatency, replicas: int, rate_rps: Floats, minute_s: float, rng: np.random.Generator) -> Floats:
    """Latency [s] of each request of a queue: waiting by the exact recursion of first come,
    first served, plus its own service, on the queues that the balancer makes.
    """
    at, minute = _arrivals(rate_rps, minute_s, rng)
    services = draw(model.law, rng, len(at)) * _service_s(model, replicas, rate_rps)[minute]
    if model.balancer.startswith("jsq"):
        return _shortest(model, replicas, at, services, rng)
    queues, workers = (1, model.servers * replicas) if model.balancer == "central" else (replicas, model.servers)
    turn: Ints = np.arange(len(at)) % queues if model.balancer == "round_robin" else rng.integers(0, queues, len(at))
    return _of_each(turn, queues, lambda mine: _waits(at[mine], services[mine], workers) + services[mine])


def _of_each(turn: Ints, queues: int, play: Any) -> Floats:
    """What each queue answers for its own requests, in the order of all."""
    found = np.zeros(len(turn))
    for k in range(queues):
        mine = np.flatnonzero(turn == k)
        found[mine] = play(mine)
    return found


def _waits(at: Floats, services: Floats, workers: int) -> Floats:
    """Waits [s] at one queue of ``workers`` (Kiefer and Wolfowitz 1955): each request takes the
    worker that is free first.
    """
    from planner.latency.kernels import shared_queue, shared_queue_heap

    waits, gaps = np.empty(len(at)), np.diff(at, prepend=0.0)
    kernel = shared_queue if workers <= 16 else shared_queue_heap
    kernel(gaps, services, np.zeros(workers), 0.0, waits)
    return waits


def _shortest(model: QueueLatency, replicas: int, at: Floats, services: Floats, rng: np.random.Generator) -> Floats:
    """Each request goes to the replica with fewest, of all or of two drawn.

    Raises :class:`PlannerError` where more wait at one replica than are kept count of.
    """
    from planner.latency import kernels

    places = max(64, int(len(at) / replicas) + 1)
    waits, free = np.empty(len(at)), np.zeros((replicas, model.servers))
    present, soonest = np.zeros(replicas, dtype=np.int64), np.full(replicas, np.inf)
    policy = kernels.JSQ if model.balancer == "jsq" else kernels.JSQ2
    leaving = np.full((replicas, min(places, 1 << 16)), np.inf)
    gaps, uniforms = np.diff(at, prepend=0.0), rng.random(len(at))
    done, _ = kernels.routed_fcfs(gaps, services, uniforms, policy, free, leaving, present, soonest, 0.0, 0, waits)
    if done < len(at):
        raise PlannerError("too many requests wait to be played one by one", got=model.balancer)
    return np.asarray(waits + services)


def _service_s(model: QueueLatency, replicas: int, rate_rps: Floats) -> Floats:
    """Mean service by minute: longer the busier the threads of a core are.

    s = s₀ (1 + k ρ) with ρ = λ s / (c · replicas), k the slowdown: solved for ρ = a / (1 − k a),
    a = λ s₀ / (c · replicas), and held at 1.
    """
    alone = rate_rps * model.service_time_s / (model.servers * replicas)
    busy = np.minimum(alone / np.maximum(1 - model.slowdown * alone, 1e-9), 1.0)
    return np.asarray(model.service_time_s * (1 + model.slowdown * busy))


def _batched(model: BatchLatency, replicas: int, rate_rps: Floats, minute_s: float, rng: np.random.Generator) -> Floats:
    """Latency [s] of each request served in batches, replicas chosen at random."""
    from planner.latency.kernels import batch_server

    at, _ = _arrivals(rate_rps, minute_s, rng)

    def play(mine: Ints) -> Floats:
        # one more, long after the others, lets the last batches go
        gaps = np.r_[np.diff(at[mine], prepend=0.0), 1e6]
        found, waiting = np.empty(len(gaps)), np.zeros(len(gaps) + 1)
        batch_server(gaps, model.setup_s, model.each_s, model.largest_batch, waiting, np.zeros(4), found)
        return found[:-1]

    return _of_each(rng.integers(0, replicas, len(at)), replicas, play)


def _by_steps(
    model: LlmReplica, replicas: int, rate_rps: Floats, minute_s: float, rng: np.random.Generator
) -> Mapping[str, Floats]:
    """Prompts in chunks beside the tokens of the running batch, step by step.

    The batch starts empty, and a long answer takes minutes: ten minutes at the rate of the first
    come before and are not counted.
    """
    from planner.simulator.steps import play_steps

    station, mix = model.station, model.station.tokens
    at, minute = _arrivals(np.r_[np.repeat(rate_rps[:1], _LEAD_MINUTES), rate_rps], minute_s, rng)
    which = rng.choice(len(mix.weight), len(at), p=mix.weight / mix.weight.sum())
    prompt = (station.prompt_s * float(station.constants.overlap))[which]
    fresh = (mix.input_tokens * (1.0 - station.cached_share))[which]
    steps = np.maximum(np.round(mix.output_tokens[which] - 1.0), 0.0).astype(np.int64)
    seconds = np.r_[0.0, np.asarray(station.step_s(np.arange(1.0, max(int(station.slots), 1) + 1.0)))]
    first, done = np.empty(len(at)), np.empty(len(at))
    turn = rng.integers(0, replicas, len(at))
    for k in range(replicas):
        mine = np.flatnonzero(turn == k)
        begun, ended = np.empty(len(mine)), np.empty(len(mine))
        play_steps(at[mine], prompt[mine], fresh[mine], steps[mine], seconds, station.chunk_tokens, begun, ended)
        first[mine], done[mine] = begun, ended
    kept = minute >= _LEAD_MINUTES
    made = kept & (steps > 0)
    return {
        "latency": (done - at)[kept],
        "ttft": (first - at)[kept],
        "tpot": (done - first)[made] / steps[made],
    }


def pointwise_s(
    model: LatencyModel, replicas: int, rate_rps: Floats, quantile: float, metric: str = "latency"
) -> float:
    """Quantile of the hour's latencies if each minute is at its stationary law [s].

    The mixture of the minutes' laws, each weighted by its requests: F(t) = Σ_m λ_m F_m(t) / Σ_m
    λ_m, on a grid of quantiles of each minute. It lies where an hour is not many service times
    long, and is ``inf`` at quantiles that fall into minutes beyond saturation.
    """
    if np.ptp(rate_rps) == 0:
        return float(model.latency_s(rate_rps[:1], replicas, quantile, metric)[0])
    simulated = isinstance(model, BatchLatency) or (isinstance(model, QueueLatency) and "jsq" in model.balancer)
    levels = np.unique(np.clip(1 - (1 - quantile) * _FEW, 0.02, None)) if simulated else _LEVELS
    values = np.stack([model.latency_s(rate_rps, replicas, float(q), metric) for q in levels], axis=1)
    edges = np.r_[0.0, (levels[1:] + levels[:-1]) / 2, 1.0]
    weight = (rate_rps[:, None] * np.diff(edges)[None, :]).ravel()
    order = np.argsort(values, axis=None)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values.ravel()[order][np.searchsorted(share, quantile)])


def play_hour(
    plan: Plan,
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    hour: pd.Timestamp | None = None,
    *,
    operations: Operations | None = None,
) -> pd.DataFrame:
    """An hour of each pool request by request beside the pointwise answer (``replay.requests``).

    ``hour`` starts within the horizon, by default each service's hour of most load (median of the
    paths); what runs is the schedule's.  Below it the same pool at :data:`LOADED` shares of its
    saturation, which shows how the tail grows.  Raises :class:`PlannerError` for an hour outside
    the horizon and as :func:`planner.simulate`.
    """
    ops = operations or Operations(seed=scenario.seed)
    if hour is not None and hour not in load.ts:
        raise PlannerError(
            "this hour is not one of the horizon",
            where="requests",
            got=str(hour),
            remedy=f"Give a whole hour from {load.ts[0]:%Y-%m-%dT%H:00}Z to {load.ts[-1]:%Y-%m-%dT%H:00}Z",
        )
    rows = []
    for name in scenario.services:
        task = task_of(name, plan, scenario, load, capacity, ops)
        typical = np.median(task.rate, axis=0) * ops.load_factor
        at = int(typical.argmax()) if hour is None else int(load.ts.get_indexer(pd.DatetimeIndex([hour]))[0])
        rows += [{**r, "ts": load.ts[at]} for r in _of_hour(task, at, float(typical[at]), capacity)]
    return typed("replay.requests", rows)


def _of_hour(task: Task, hour: int, rate: float, capacity: Capacity) -> Iterator[dict[str, Any]]:
    """Rows of every pool of a service that runs in an hour."""
    counts = task.scheduled[hour]
    bears = np.array([k.bears_rps[n] for k, n in zip(task.kinds, counts, strict=True)])
    for i in np.flatnonzero(counts):
        model = capacity.models[(task.service, *task.pools[i][:4])]
        if not isinstance(model, PLAYED):
            continue
        own = _minutes(rate * float(bears[i] / bears.sum()), burst_of(task.burst), task.ops.seed + hour)
        full = float(task.kinds[i].saturation_rps[counts[i]])
        cases = [("this hour", own)] + [
            (f"at {share:.0%} of saturation", np.full(60, share * full)) for share in LOADED
        ]
        for case, minutes in cases:
            if minutes.sum() > 0:
                place = {"service": task.service, "instance_type": task.pools[i].instance_type, "variant": case}
                for row in _beside(model, int(counts[i]), minutes, task):
                    yield {**place, "utilization": float(minutes.mean() / full), **row}


def _minutes(rate: float, burst: float, seed: int) -> Floats:
    """Rates of an hour's minutes: five of them at the burst, the mean kept."""
    found = np.full(60, rate * (12.0 - burst) / 11.0)
    first = 5 * int(np.random.default_rng(seed).integers(0, 12))
    found[first : first + 5] = rate * burst
    return found


def _beside(model: LatencyModel, replicas: int, minutes: Floats, task: Task) -> Iterator[dict[str, Any]]:
    """Each bound's percentile as played and as the pointwise model says."""
    tries = minutes * float(task.tables[0].tries)
    seconds = 60.0 * min(1.0, MOST / (tries.sum() * 60.0))
    played = play_requests(model, replicas, tries, task.ops.seed, minute_s=seconds)
    for name, metric, quantile, limit in task.bounds:
        values = played[metric]
        if len(values):
            seen, said = float(np.quantile(values, quantile)), pointwise_s(model, replicas, tries, quantile, metric)
            yield {
                "objective": name,
                "limit_s": limit,
                "percentile_share": quantile,
                "replicas": replicas,
                "requests": len(values),
                "played_s": seen,
                "pointwise_s": said,
                "played_difference_share": seen / said - 1 if 0 < said < np.inf else np.nan,
            }
