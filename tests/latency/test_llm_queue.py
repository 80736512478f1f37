"""The open-arrival approximations of LLM serving against a simulation of every step."""

import numpy as np
import pytest

from planner.latency import Arrivals, Machine
from planner.latency.llm.queue import Station, largest_rate_rps, quantile_s, rate_at, steady
from planner.latency.llm.service import LlmService
from planner.scenario import Objective
from planner.tokens import TokenMix

DRAWN = np.random.default_rng(0)
MIX = TokenMix.of(
    DRAWN.lognormal(6.3, 0.9, 60).clip(20, 6000).round(), DRAWN.lognormal(4.6, 0.7, 60).clip(2, 900).round()
)


def station(accelerator: str = "L40S") -> Station:
    machine = Machine("aws", "us-east-1", "t", "t", "x86_64", 8, 64, accelerator=accelerator, accelerators=1)
    # chunks as long as any prompt: the simulation runs prompts whole
    found = LlmService(weights="llama-3.1-8b", chunk_tokens=1_000_000).deployments(machine, Arrivals(1.0, MIX))
    return found[0].model.station


def simulated(st: Station, rate: float, requests: int = 3000) -> dict[str, np.ndarray]:
    """Every step of a server that runs waiting prompts first, one after the other, then a decode
    step of all running requests.
    """
    rng = np.random.default_rng(3)
    kind = rng.choice(st.tokens.weight.size, size=requests, p=st.tokens.weight)
    arrival = np.cumsum(rng.exponential(1.0 / rate, requests))
    output, prompt, overlap = (
        st.tokens.output_tokens[kind].round().astype(int),
        st.prompt_s[kind],
        float(st.constants.overlap),
    )
    step = st.step_s(np.arange(1.0, st.slots + 2.0))
    left, running = np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    first, end, now, nxt, done = np.zeros(requests), np.zeros(requests), 0.0, 0, 0
    while done < requests:
        if nxt < requests and arrival[nxt] <= now and left.size < int(st.slots):
            now += prompt[nxt] * overlap
            first[nxt] = (
                now + prompt[nxt] * (1.0 - overlap) + step[max(left.size - 1, 0)] + float(st.constants.request_s)
            )
            left, running = np.append(left, output[nxt] - 1), np.append(running, nxt)
            nxt += 1
        elif left.size:
            now += step[left.size - 1]
            left = left - 1
            ended = left <= 0
            end[running[ended]] = now
            done += int(ended.sum())
            left, running = left[~ended], running[~ended]
        else:
            now = arrival[nxt]
    kept = slice(requests // 10, requests * 9 // 10)
    return {
        "ttft": (first - arrival)[kept],
        "tpot": ((end - first) / (output - 1))[kept],
        "latency": (end - arrival)[kept],
    }


@pytest.mark.parametrize("utilization", [0.3, 0.6, 0.85])
def test_quantiles_match_a_simulation_of_every_step(utilization):
    st = station()
    top, binding = largest_rate_rps(st, [])
    assert binding == "saturation"
    rate = utilization * top
    seen = simulated(st, rate)
    tolerances = {"ttft": (0.12, 0.12, 0.35), "tpot": (0.08, 0.10, 0.12), "latency": (0.10, 0.15, 0.20)}
    for metric, allowed in tolerances.items():
        for q, tolerance in zip((0.5, 0.9, 0.99), allowed, strict=True):
            found, real = float(quantile_s(st, np.array([rate]), q, metric)[0]), float(np.quantile(seen[metric], q))
            assert found == pytest.approx(real, rel=tolerance), (metric, q)


def test_the_rate_of_a_batch_and_the_batch_of_a_rate_are_inverse():
    st = station()
    batches = np.array([0.5, 2.0, 10.0, 0.9 * st.slots])
    assert np.allclose(steady(st, rate_at(st, batches)).batch, batches, rtol=1e-6)


def test_thinning_a_fine_mix_keeps_means_and_tails():
    rng = np.random.default_rng(1)
    fine = TokenMix.of(rng.lognormal(6.5, 1.0, 5000), rng.lognormal(5.0, 0.8, 5000).clip(1))
    st = station()
    thin = Station(st.plant, st.constants, st.slots, fine).tokens
    assert thin.weight.size <= 80
    assert thin.mean_input_tokens == pytest.approx(fine.mean_input_tokens, rel=1e-9)
    assert thin.mean_output_tokens == pytest.approx(fine.mean_output_tokens, rel=1e-9)
    order = np.argsort(thin.input_tokens)
    upper = thin.input_tokens[order][np.searchsorted(np.cumsum(thin.weight[order]), 0.95)]
    assert upper == pytest.approx(float(np.quantile(fine.input_tokens, 0.95)), rel=0.08)


@pytest.mark.parametrize("metric", ["ttft", "tpot", "latency"])
def test_a_year_of_rates_is_answered_along_a_curve(metric):
    st = station()
    rates = np.linspace(0.0, 1.2, 2000) * largest_rate_rps(st, [])[0]
    many, few = quantile_s(st, rates, 0.95, metric), quantile_s(st, rates[::25], 0.95, metric)
    assert (np.isfinite(many[::25]) == np.isfinite(few)).all()
    known = np.isfinite(few)
    # where the batch is all but full a percentile jumps from the prompts to the wait for a slot
    # within 1 % of the rate
    calm = known & (rates[::25] < 0.95 * rates[np.isfinite(many)].max())
    assert np.allclose(many[::25][calm], few[calm], rtol=0.005)
    assert np.allclose(many[::25][known], few[known], rtol=0.25)
    assert (np.diff(many[np.isfinite(many)]) >= -1e-12).all()


# MLPerf Inference v4.1 and v5.1, closed division, Server and Interactive: 8 accelerators,
# requests/s at p99 of TTFT and TPOT
# (Llama-2-70B on OpenOrca: about 294 tokens in and out; Llama-3.1-8B on CNN/DailyMail: about 778
# in, at most 128 out)
SERVED = [
    ("llama-2-70b", "H100-SXM-80GB", "fp8", 2.0, 0.2, 71.2),
    ("llama-2-70b", "H200-NVL-141GB", "fp8", 2.0, 0.2, 84.2),
    ("llama-2-70b", "MI325X", "fp8", 2.0, 0.2, 109.0),
    ("llama-2-70b", "L40S", "fp8", 2.0, 0.2, 11.0),
    ("llama-2-70b", "H100-NVL-94GB", "fp8", 2.0, 0.2, 45.0),
    ("llama-2-70b", "B200-SXM-180GB", "fp4", 2.0, 0.2, 364.0),
    ("llama-2-70b", "RTX-PRO-6000", "fp4", 2.0, 0.2, 96.0),
    ("llama-2-70b", "H200-NVL-141GB", "fp8", 0.45, 0.04, 56.0),
    ("llama-2-70b", "MI325X", "fp8", 0.45, 0.04, 61.5),
    ("llama-2-70b", "B200-SXM-180GB", "fp4", 0.45, 0.04, 220.0),
    ("llama-3.1-8b", "H200-NVL-141GB", "fp8", 2.0, 0.1, 300.0),
    ("llama-3.1-8b", "RTX-PRO-6000", "fp4", 2.0, 0.1, 358.5),
    ("llama-3.1-8b", "RTX-PRO-6000", "fp4", 0.5, 0.03, 280.0),
]


def test_goodput_under_poisson_arrivals_agrees_with_public_server_results():
    """None of these results took part in the fit of the constants."""
    z = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.1], [0.1, 1]], 300)
    orca = TokenMix.of(
        np.clip(294 * np.exp(0.8 * z[:, 0] - 0.32), 1, 1024), np.clip(294 * np.exp(0.55 * z[:, 1] - 0.15), 1, 1024)
    )
    mixes = {
        "llama-2-70b": orca,
        "llama-3.1-8b": TokenMix.of(
            np.clip(778 * np.exp(0.5 * z[:, 0] - 0.125), 1, 2048), np.clip(129 + 20 * z[:, 1], 1, 128)
        ),
    }
    ratios = []
    for weights, chip, precision, ttft, tpot, measured in SERVED:
        service = LlmService(
            weights=weights, precision=precision, engine="trtllm", kv_precision="fp8", max_sequences=2048
        )
        machine = Machine("any", "any", "t", "t", "x86_64", 1, 1, accelerator=chip, accelerators=8)
        goal = Objective(ttft_p99_s=ttft, tpot_p99_s=tpot)
        best = max(
            d.model.goodput_rps(goal).arrival_rate_rps / d.instances_per_replica
            for d in service.deployments(machine, Arrivals(1.0, mixes[weights]))
        )
        ratios.append(best / measured)
    assert 0.8 <= np.median(ratios) <= 1.25
    assert min(ratios) > 0.5
    assert max(ratios) < 2.0
