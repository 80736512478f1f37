"""From step times to latency: how many requests run together at an arrival rate, and the tails of
TTFT, TPOT and latency.

Requests arrive as a Poisson stream (or with another squared coefficient of variation of the gaps),
wait for the prompts before them, take a slot of the running batch, and then produce a token a step
while later prompts interrupt them. Against a simulation of every step: medians within 6 %, p99 of
TPOT up to 10 % low at 85 % of the largest rate.

Symbols: λ arrival rate [requests/s], o output tokens, B running sequences, TPOT seconds a token
after the first, TTFT seconds to the first. It lies where the scheduler favors some requests, and
where prompts that share prefixes come in bursts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Flags, Floats
from planner.latency.llm.steps import Constants, DecodeStep, Plant, decode_step, prefill_s
from planner.tokens import TokenMix

_ROOT2 = np.sqrt(2.0)
# Gauss-Hermite points of a normal deviate; the one below the mean is drawn up to it, so that all
# quantiles grow with the load
_NODES, _WEIGHTS = np.array([0.0, np.sqrt(3.0)]), np.array([5.0, 1.0]) / 6.0
_NODES_OF_A_CURVE, _TRANSFER_START_S = 320, 0.002
# cells of very fine token mixes: finest where percentiles are read
_OUTPUT_EDGES = (0.3, 0.6, 0.8, 0.92, 0.98)
_INPUT_EDGES = (0.25, 0.5, 0.65, 0.75, 0.82, 0.88, 0.92, 0.95, 0.97, 0.985, 0.995)


@dataclass(frozen=True)
class Draft:
    """Speculative decoding: ``tokens`` drafted a step, of which ``accepted`` (with the target's
    own) come out on average.

    A drafted token costs ``cost_share`` of a step of the target.
    """

    tokens: int = 0
    accepted: float = 1.0
    cost_share: float = 0.0


@dataclass(frozen=True)
class Station:
    """One replica and the requests it gets: its plant, constants, slots, token lengths.

    ``cached_share`` of the prompt tokens is found in the prefix cache; prompts run in chunks of
    ``chunk_tokens``. A disaggregated station computes prompts on a second plant of the same kind,
    so that they do not interrupt decoding, and moves their attention state in
    ``transfer_s_per_token`` after 2 ms (Mooncake measurements, 2025).
    """

    plant: Plant
    constants: Constants
    slots: float
    tokens: TokenMix
    cached_share: float = 0.0
    scv: float = 1.0
    chunk_tokens: float = 8192.0
    draft: Draft = Draft()
    disaggregated: bool = False
    transfer_s_per_token: float = 0.0

    def __post_init__(self) -> None:
        """Thin very fine token mixes: neighbors are merged, means kept."""
        object.__setattr__(self, "tokens", _thin(self.tokens))

    @cached_property
    def mean_context(self) -> float:
        """Context tokens of a running sequence, averaged over the steps of all requests."""
        mix = self.tokens
        steps = mix.weight * mix.output_tokens
        return float(steps @ (mix.input_tokens + mix.output_tokens / 2.0) / steps.sum())

    @cached_property
    def _decode(self) -> tuple[DecodeStep, DecodeStep]:
        return (
            decode_step(self.plant, self.mean_context, self.constants, 1.0 + self.draft.tokens),
            decode_step(self.plant, self.mean_context, self.constants),
        )

    def step_s(self, batch: ArrayLike) -> Floats:
        """Seconds of decoding for each token that comes out, with ``batch`` sequences."""
        verified, plain = self._decode
        step = verified.seconds(batch)
        if self.draft.tokens:
            step = (step + self.draft.tokens * self.draft.cost_share * plain.seconds(batch)) / self.draft.accepted
        return step

    @cached_property
    def prompt_s(self) -> Floats:
        """Accelerator seconds of each prompt of the mix, shape (k,)."""
        t = self.tokens.input_tokens
        return prefill_s(self.plant, t * (1.0 - self.cached_share), self.constants, t * self.cached_share)

    @cached_property
    def mean_prompt_s(self) -> float:
        """Mean accelerator seconds that a prompt takes from decoding."""
        return 0.0 if self.disaggregated else float(self.tokens.weight @ self.prompt_s) * float(self.constants.overlap)

    @cached_property
    def mean_steps(self) -> float:
        """Mean decode steps of a request: output tokens after the first."""
        return float(self.tokens.weight @ (self.tokens.output_tokens - 1.0))


@dataclass(frozen=True)
class Steady:
    """Steady state at each arrival rate, arrays of one shape: running sequences, tokens pace, busy
    shares; inf if unstable.
    """

    batch: Floats
    tpot_s: Floats
    tpot_sd_a_step: Floats
    batch_sd_s: Floats
    prompt_utilization: Floats
    prompt_wait_s: Floats
    slot_probability: Floats
    slot_rate: Floats
    stable: Flags
    step_s: Floats


def steady(station: Station, arrival_rate_rps: ArrayLike) -> Steady:
    """Steady state at each rate: B = λ·E[o−1]·TPOT(B) with TPOT = t_dec(B)/(1−λ·E[t_prefill]),
    solved for B.

    ``arrival_rate_rps`` λ, any shape. B(λ) rises without bound at the largest rate, so B is
    bisected between 0 and the slots; 44 halvings leave less than 1e-12 of them. Little's law: B = λ
    × time in decoding.
    """
    rate = np.asarray(arrival_rate_rps, dtype=np.float64)
    low, high = np.zeros_like(rate), np.full_like(rate, station.slots)
    if station.mean_steps:
        for _ in range(44):
            mid = 0.5 * (low + high)
            enough = rate_at(station, mid) >= rate
            low, high = np.where(enough, low, mid), np.where(enough, mid, high)
    else:
        high = low
    return state_at(station, rate, high)


def rate_at(station: Station, batch: ArrayLike) -> Floats:
    """Arrival rate [requests/s] at which ``batch`` sequences run on average: λ = B/(E[o−1]·t_dec(B)
    + B·E[t_prefill]).

    The inverse of :func:`steady`, explicit, which is why searches run over B and not over λ.
    """
    b = np.asarray(batch, dtype=np.float64)
    return np.asarray(b / (station.mean_steps * station.step_s(b) + b * station.mean_prompt_s))


def state_at(station: Station, rate: Floats, batch: Floats) -> Steady:
    """State with ``batch`` sequences running at ``rate``; unstable where even a full batch does not
    keep up.

    Waits: M/G/1 before the prompts (Pollaczek-Khinchine with (c_a²+c_s²)/2), and for a slot when
    the running batch comes near its bound (Halfin and Whitt 1981).
    """
    from scipy.special import erfcx

    mix, busy = station.tokens, rate * station.mean_prompt_s
    # what a prompt holds up: the part of its work that decoding cannot hide
    prompt = station.prompt_s * (1.0 if station.disaggregated else float(station.constants.overlap))
    running = np.maximum(batch, 1.0)
    step = station.step_s(running)
    # with chunked prompts every chunk also carries a decode step
    chunks = 0.0 if station.disaggregated else 1.0 / station.chunk_tokens
    shared = mix.input_tokens * (1.0 - station.cached_share) * chunks
    first, cross = float(mix.weight @ shared), float(mix.weight @ (prompt * shared))
    service = float(mix.weight @ prompt) + step * first
    second = float(mix.weight @ prompt**2) + 2.0 * step * cross + step**2 * float(mix.weight @ shared**2)
    used = rate * service
    full = station.mean_steps > 0 and rate > float(np.ravel(rate_at(station, station.slots))[0]) * (1.0 + 1e-9)
    stable = (used < 1.0) & ~np.asarray(full)
    room = np.where(stable, 1.0 - busy, 1.0)
    spread = (station.scv + second / service**2 - 1.0) / 2.0
    wait = rate * service**2 * np.maximum(spread, 0.05) / np.where(stable, 1.0 - used, 1.0)
    tpot = step / room
    spare = np.maximum(station.slots - batch, 1e-6)
    beta = np.minimum(spare / np.sqrt(np.maximum(batch, 1e-9)), 20.0)
    delayed = (
        1.0 / (1.0 + beta * np.sqrt(np.pi / 2.0) * erfcx(-beta / _ROOT2)) if station.mean_steps else np.zeros_like(rate)
    )
    slope = station.step_s(running + 1.0) - step
    # the number running is birth and death with a pace that falls as it grows: its variance is
    # B/(1−elasticity)
    elasticity = np.minimum(slope * running / step, 0.95)
    jolt = np.sqrt(rate * (0.0 if station.disaggregated else float(mix.weight @ prompt**2)) / room)
    return Steady(
        batch,
        tpot,
        jolt,
        slope * np.sqrt(batch / (1.0 - elasticity)) / room,
        used,
        wait,
        delayed,
        spare / np.maximum(tpot * station.mean_steps, 1e-9),
        stable,
        step,
    )


def exceedance(station: Station, state: Steady, metric: str, limit_s: ArrayLike) -> Floats:
    """P(metric > limit) for each rate of ``state``; limits broadcast against the rates. 1 where
    unstable.

    ``metric`` is ``ttft``, ``tpot`` or ``latency``; ``limit_s`` [s]. Token lengths are summed over
    the mix, so a request with a long prompt counts with its own prefill time.
    """
    from scipy.special import erfc

    limit = np.asarray(limit_s, dtype=np.float64)[..., None]
    mix = station.tokens
    tpot = state.tpot_s[..., None]
    steps = np.maximum(mix.output_tokens - 1.0, 1.0)
    # prompts that interrupt a request: their number in its life is Poisson, so the deviation a
    # token falls with √steps
    deviation = np.sqrt(state.batch_sd_s[..., None] ** 2 + (state.tpot_sd_a_step[..., None] ** 2) * tpot / steps)
    if metric == "tpot":
        more = np.where(limit < tpot, 1.0, 0.5 * erfc((limit - tpot) / (deviation * _ROOT2 + 1e-12)))
        weight = mix.weight * (mix.output_tokens > 1)
        found = more @ (weight / weight.sum()) if weight.sum() > 0 else np.zeros_like(state.tpot_s)
    else:
        moved = _TRANSFER_START_S + station.transfer_s_per_token * mix.input_tokens
        handover = moved if station.disaggregated else 0.5 * state.step_s[..., None]
        first = station.constants.request_s + station.prompt_s + handover + state.step_s[..., None]
        if metric == "latency":
            body = np.maximum(tpot[..., None] + deviation[..., None] * _NODES, 0.0) * (mix.output_tokens - 1.0)[:, None]
            fixed = (first[..., None] + body).reshape(*first.shape[:-1], -1)
            weight = (mix.weight[:, None] * _WEIGHTS).ravel()
        else:
            fixed, weight = first, mix.weight
        found = _wait_tail(state, limit - fixed) @ weight
    return np.where(state.stable, found, 1.0)


def _wait_tail(state: Steady, t: Floats) -> Floats:
    """P(prompt wait + slot wait > t): each is 0 with an atom, else
    exponential; t on the last axis.
    """
    p1 = np.minimum(state.prompt_utilization, 1.0)[..., None]
    r1 = p1 / np.maximum(state.prompt_wait_s[..., None], 1e-12)
    p2, r2 = state.slot_probability[..., None], state.slot_rate[..., None]
    r2 = np.where(np.abs(r2 - r1) < 1e-6 * r1, r1 * (1.0 + 1e-5), r2)
    x = np.maximum(t, 0.0)
    e1, e2 = np.exp(-np.minimum(r1 * x, 700.0)), np.exp(-np.minimum(r2 * x, 700.0))
    both = (r2 * e1 - r1 * e2) / (r2 - r1)
    return np.where(t < 0.0, 1.0, np.clip(p1 * (1.0 - p2) * e1 + p2 * (1.0 - p1) * e2 + p1 * p2 * both, 0.0, 1.0))


def quantile_s(station: Station, arrival_rate_rps: ArrayLike, quantile: float, metric: str) -> Floats:
    """Quantile of ``ttft``, ``tpot`` or ``latency`` [s] at each rate; inf where unstable.

    ``quantile`` [share]. The mix is discrete, so the quantile is found by bisection of
    :func:`exceedance` on a logarithmic scale, to about 1e-9; beyond 640 rates it is read from a
    curve.
    """
    rate = np.asarray(arrival_rate_rps, dtype=np.float64)
    if rate.size > 2 * _NODES_OF_A_CURVE:
        return _along_a_curve(station, rate, quantile, metric)
    state = steady(station, rate)
    low, high = np.full(rate.shape, 1e-5), np.full(rate.shape, 1e-3)
    for _ in range(40):
        short = (exceedance(station, state, metric, high) > 1.0 - quantile) & state.stable
        if not short.any():
            break
        high = np.where(short, high * 4.0, high)
    for _ in range(36):
        mid = np.sqrt(low * high)
        over = exceedance(station, state, metric, mid) > 1.0 - quantile
        low, high = np.where(over, mid, low), np.where(over, high, mid)
    return np.where(state.stable, high, np.inf)


def _along_a_curve(station: Station, rate: Floats, quantile: float, metric: str) -> Floats:
    """The quantile at many rates: log-linear between nodes at even steps of the batch, inf above
    the largest stable rate.
    """
    top = largest_rate_rps(station, [])[0]
    most = float(steady(station, np.array([top])).batch[0]) if station.mean_steps else top
    # the wait for a slot grows steeply only where the batch is all but full
    half = _NODES_OF_A_CURVE // 2
    filled = most * np.concatenate([np.geomspace(1e-4, 0.85, half), 1.0 - np.geomspace(0.145, 1e-6, half)])
    nodes = np.append(0.0, rate_at(station, filled) if station.mean_steps else filled)
    values = quantile_s(station, nodes, quantile, metric)
    known = np.isfinite(values)
    found = np.exp(np.interp(rate, nodes[known], np.log(values[known])))
    return np.where(rate <= nodes[known][-1] * (1.0 + 1e-9), found, np.inf)


def largest_rate_rps(station: Station, bounds: list[tuple[str, str, float, float]]) -> tuple[float, str]:
    """Largest rate at which every bound ``(name, metric, quantile, limit_s)`` holds, and the bound
    that stops it.

    0 and the bound's name if it fails at any rate; ``saturation`` where the server itself is full.
    Searched over the running batch, of which the rate is an explicit function.

    Four rounds of a grid bring the batch within 25⁻³ of the first interval, from below: the rate
    given is one at which every bound was seen to hold.
    """
    top, prompt_mean = station.slots if station.mean_steps else 1.0, float(station.tokens.weight @ station.prompt_s)
    grid, low = np.geomspace(top * 1e-5, top, 48), 0.0
    binding = "saturation"
    for _ in range(4):
        rates = rate_at(station, grid) if station.mean_steps else grid / prompt_mean
        state = state_at(station, rates, grid if station.mean_steps else np.zeros_like(grid))
        broken = {"saturation": ~state.stable}
        broken |= {
            name: exceedance(station, state, m, np.full(rates.shape, limit)) > 1.0 - q for name, m, q, limit in bounds
        }
        some = np.logical_or.reduce(list(broken.values()))
        if not some.any():
            low = float(grid[-1])
            break
        first = int(np.argmax(some))
        binding = next(n for n in reversed(broken) if broken[n][first])
        if first == 0 and not low:
            return 0.0, binding
        low = float(grid[first - 1]) if first else low
        grid = np.linspace(low, float(grid[first]), 26)[1:]
    return float(np.ravel(rate_at(station, low))[0]) if station.mean_steps else low / prompt_mean, binding


def _thin(mix: TokenMix) -> TokenMix:
    """At most 72 points: cells of output length, then of input length, finest in the upper tails;
    means are kept.
    """
    if mix.weight.size <= len(_OUTPUT_EDGES) * len(_INPUT_EDGES):
        return mix
    i, o, w = mix.input_tokens, mix.output_tokens, mix.weight
    rows = np.searchsorted(_OUTPUT_EDGES, _ranks(o, w), side="right")
    cell = np.zeros(w.size, dtype=np.intp)
    for row in range(len(_OUTPUT_EDGES) + 1):
        at = np.flatnonzero(rows == row)
        cell[at] = row * (len(_INPUT_EDGES) + 1) + np.searchsorted(_INPUT_EDGES, _ranks(i[at], w[at]), side="right")
    total = np.bincount(cell, w)
    kept = total > 0
    return TokenMix(
        np.bincount(cell, w * i)[kept] / total[kept],
        np.bincount(cell, w * o)[kept] / total[kept],
        total[kept] / total[kept].sum(),
        mix.basis,
    )


def _ranks(x: Floats, w: Floats) -> Floats:
    """Middle of each point's place in the cumulative weight of ``x``, 0 to 1."""
    order = np.argsort(x, kind="stable")
    found = np.empty_like(w)
    found[order] = (np.cumsum(w[order]) - w[order] / 2.0) / max(float(w.sum()), 1e-300)
    return found
