"""Dynamic batching: a server takes what waits as one batch of b and serves it in setup_s + each_s·b."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError


@dataclass(frozen=True)
class Batches:
    """A simulated batching server: mean latency [s], its 95 % half-width, and the latencies' logarithmic histogram."""

    mean_latency_s: float
    half_width_s: float
    histogram: NDArray[np.int64]

    def quantile_s(self, q: float) -> float:
        """Quantile of latency [s]."""
        from planner.latency.simulation import histogram_quantile

        return histogram_quantile(self.histogram, q)


def largest_rate_rps(setup_s: float, each_s: float, largest_batch: float = math.inf) -> float:
    """Rates below b/(τ + αb) are stable; 1/α for unlimited batches [requests/s]."""
    return 1 / each_s if math.isinf(largest_batch) else largest_batch / (setup_s + each_s * largest_batch)


def mean_latency_bound_s(rate_rps: float, setup_s: float, each_s: float) -> float:
    """Upper bound of the mean latency for unlimited batches, tight within 5 %: min(φ0, φ1) (Inoue 2021) [s].

    φ0 = (α+τ)/(2(1−λα))·(1+2λτ+(1−λτ)/(1+λα)), φ1 = 1.5τ/(1−λα)+(α/2)(λα+2)/(1−λ²α²); ``inf`` at λα ≥ 1.
    """
    lam, tau, a = rate_rps, setup_s, each_s
    if lam * a >= 1:
        return math.inf
    first = (a + tau) / (2 * (1 - lam * a)) * (1 + 2 * lam * tau + (1 - lam * tau) / (1 + lam * a))
    second = 1.5 * tau / (1 - lam * a) + a / 2 * (lam * a + 2) / (1 - (lam * a) ** 2)
    return min(first, second)


def simulate_batches(rate_rps: float, setup_s: float, each_s: float, largest_batch: int = 1 << 30, *, requests: int = 1_000_000,
                     seed: int = 0, batches: int = 20) -> Batches:
    """Run the server on Poisson requests after a tenth of warm-up. Raises :class:`PlannerError` where it is unstable."""
    from planner.latency.kernels import BINS, batch_server, tally
    from planner.latency.simulation import CHUNK

    if not 0 < rate_rps < largest_rate_rps(setup_s, each_s, float(largest_batch)):
        raise PlannerError("this rate is beyond what the batches can serve", got=rate_rps,
                           remedy=f"It must lie below {largest_rate_rps(setup_s, each_s, float(largest_batch)):.6g} requests/s")
    rng = np.random.Generator(np.random.SFC64(seed))
    waiting, state = np.zeros(1 << 16), np.zeros(4)
    histogram, means, done = np.zeros(BINS, dtype=np.int64), [], 0
    size = max(requests // batches, 1)
    for batch in range(-max(1, batches // 10), batches):
        total, count, left = 0.0, 0, size
        while left > 0:
            gaps = rng.standard_exponential(min(CHUNK, left)) / rate_rps
            left -= gaps.size
            out = np.empty(gaps.size + waiting.size)
            taken, done = batch_server(gaps, setup_s, each_s, largest_batch, waiting, state, out)
            if taken < gaps.size:
                raise PlannerError("too many requests wait for the batches to be simulated", got=rate_rps)
            if batch >= 0:
                tally(out[:done].view(np.int64), histogram)
                total, count = total + float(out[:done].sum()), count + done
        if batch >= 0:
            means.append(total / max(count, 1))
    values = np.array(means)
    return Batches(float(values.mean()), float(2.09 * values.std(ddof=1) / math.sqrt(len(values))), histogram)
