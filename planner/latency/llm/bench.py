"""What a load test of an LLM server reports, for each way of driving it: the same step times, other
queues.

``closed_loop``: a fixed number of clients, each sends again when answered; ``offline_max``: the
queue is always full; ``static_batch``: one batch from prompt to end; ``burst_all``: all requests at
once; ``open_rate``: Poisson arrivals. The fit and the calibration from a user's own records both
compare with these.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Floats
from planner.latency.llm.steps import Constants, Plant, decode_step, prefill_s

MODES = ("closed_loop", "offline_max", "static_batch", "burst_all", "open_rate")
# requests of an offline run, over which batches that start together decay; the most prompts of a
# burst that meet; a share of 1 has all
# prompts run one after the other, 2 all in one batch
_OFFLINE_REQUESTS, _BURST_PROMPTS, _ALL_AT_ONCE = 3000.0, 4096.0, 2.0


class Report(NamedTuple):
    """What a load test reports: seconds a token after the first, requests/s of the deployment, mean
    seconds to the first token.
    """

    tpot_s: Floats
    throughput_rps: Floats
    ttft_s: Floats


@dataclass(frozen=True)
class Runs:
    """Load tests, arrays ``(n,)``: ``mode`` (of ``MODES``), ``clients`` (infinite where the queue
    is full), ``arrival_rate_rps``, mean ``input_tokens`` and ``output_tokens``, and ``slots``, how
    many sequences fit.
    """

    mode: NDArray[np.str_]
    clients: Floats
    arrival_rate_rps: Floats
    input_tokens: Floats
    output_tokens: Floats
    slots: Floats

    def __getitem__(self, key: object) -> "Runs":
        """Index every array alike."""
        return Runs(**{f.name: getattr(self, f.name)[key] for f in fields(Runs)})


def batch(plant: Plant, c: Constants, runs: Runs, start: Floats | None = None, rounds: int = 24) -> Floats:
    """Sequences that run on average in each test: the fixed point of Little's law, from ``start``
    if given.
    """
    most = np.minimum(runs.clients, runs.slots)
    closed, open_ = runs.mode == "closed_loop", runs.mode == "open_rate"
    context, steps = runs.input_tokens + runs.output_tokens / 2.0, np.maximum(runs.output_tokens - 1.0, 1e-9)
    prompt = prefill_s(plant, runs.input_tokens, c)
    room = np.maximum(1.0 - runs.arrival_rate_rps * prompt * c.overlap, 0.05)
    together = np.minimum(c.burst_share, _ALL_AT_ONCE) * np.minimum(runs.clients, _BURST_PROMPTS) * prompt / 2.0
    clients = np.where(closed, runs.clients, 1.0)
    others = prompt * c.overlap * _of_others(runs)
    fixed, decode = c.request_s + prompt + together, decode_step(plant, context, c)
    found = np.where(open_, 1.0, most) if start is None else start
    fixed_batch, some_open = ~(closed | open_), bool(open_.any())
    for _ in range(rounds):
        step = decode.seconds(np.maximum(found, 1.0))
        rate = 1.0 / (others + steps * step / np.maximum(found, 1e-9))
        first = fixed + 0.5 * step
        # clients that wait for their first token do not decode
        decoding = np.minimum(most, np.maximum(clients - rate * first, 0.03 * clients + 0.5))
        settled = 0.4 * found + 0.6 * decoding
        if some_open:
            arrived = np.minimum(runs.arrival_rate_rps * steps * step / room, runs.slots)
            settled = np.where(open_, 0.4 * found + 0.6 * arrived, settled)
        found = np.where(fixed_batch, most, settled)
    return np.asarray(found)


def report(plant: Plant, c: Constants, runs: Runs, running: Floats | None = None) -> Report:
    """What each test reports; ``running`` from :func:`batch` if already known.

    Closed loop: TPOT = t_dec(B)/(1 − X·ω·t_pf·(n−1)/n), as only the prompts of the n−1 others halt
    a request that decodes; with B = X·(o−1)·TPOT that is X = 1/(ω·t_pf·(n−1)/n + (o−1)·t_dec(B)/B).
    B = C − X·TTFT, and C = X·(TTFT + (o−1)·TPOT); n = min(C, slots).
    """
    b = batch(plant, c, runs) if running is None else running
    context, steps = runs.input_tokens + runs.output_tokens / 2.0, np.maximum(runs.output_tokens - 1.0, 1e-9)
    prompt = prefill_s(plant, runs.input_tokens, c)
    step = decode_step(plant, context, c).seconds(np.maximum(b, 1.0))
    rate = 1.0 / (prompt * c.overlap * _of_others(runs) + steps * step / np.maximum(b, 1e-9))
    closed = _closed(c, runs, prompt, step, rate, b, steps)
    static = _static(c, runs, prompt, step, steps)
    burst = _burst(c, runs, prompt, step, rate, steps)
    open_ = _open(c, runs, prompt, step, rate, b)
    waves = 1.0 + c.wave_share * runs.slots / _OFFLINE_REQUESTS
    offline = Report(closed.tpot_s, rate / waves, closed.ttft_s)
    known = [runs.mode == m for m in MODES]
    parts = [
        np.select(known, [np.broadcast_to(x, b.shape) for x in column])
        for column in zip(closed, offline, static, burst, open_, strict=True)
    ]
    return Report(*parts)


def _of_others(runs: Runs) -> Floats:
    """Share of all prompts that are not a running request's own: (n−1)/n in a closed loop."""
    together = np.maximum(np.minimum(runs.clients, runs.slots), 1.0)
    return np.where(runs.mode == "closed_loop", 1.0 - 1.0 / together, 1.0)


def _closed(c: Constants, runs: Runs, prompt: Floats, step: Floats, rate: Floats, b: Floats, steps: Floats) -> Report:
    clients = np.where(np.isfinite(runs.clients), runs.clients, runs.slots)
    tpot = b / (rate * steps)
    waiting = np.maximum(clients - runs.slots, 0.0) / rate
    together = np.minimum(c.burst_share, _ALL_AT_ONCE) * np.minimum(clients, _BURST_PROMPTS) * prompt / 2.0
    first = c.request_s + prompt + 0.5 * step + together + waiting
    return Report(tpot, clients / (first + steps * tpot), np.asarray(first))


def _static(c: Constants, runs: Runs, prompt: Floats, step: Floats, steps: Floats) -> Report:
    clients = np.where(np.isfinite(runs.clients), runs.clients, runs.slots)
    first = 0.2 * c.request_s + prompt * clients
    return Report(step, clients / (first + steps * step), np.asarray(first))


def _burst(c: Constants, runs: Runs, prompt: Floats, step: Floats, rate: Floats, steps: Floats) -> Report:
    requests = np.where(np.isfinite(runs.clients), runs.clients, runs.slots)
    span = requests / rate + c.drain_share * steps * step
    first = (
        c.request_s
        + prompt * np.minimum(requests, runs.slots) / 2.0
        + np.maximum(requests - runs.slots, 0.0) / rate / 2.0
    )
    tpot = np.minimum(requests, runs.slots) / (rate * steps)
    return Report(tpot, requests / span, np.asarray(first))


def _open(c: Constants, runs: Runs, prompt: Floats, step: Floats, rate: Floats, b: Floats) -> Report:
    served = np.where(b >= 0.999 * runs.slots, np.minimum(runs.arrival_rate_rps, rate), runs.arrival_rate_rps)
    busy = served * prompt * c.overlap
    room = np.maximum(1.0 - busy, 0.05)
    return Report(step / room, served, np.asarray(c.request_s + prompt * (1.0 + 0.5 * busy / room) + 1.5 * step))
