"""Retries: failed tries come back as load, so latency and load have a common fixed point, sometimes
two.

The rate tried is λ' = λ Σ_{i=0..r} pⁱ with p the chance that a try fails (here: takes longer than
the client waits). p grows with λ', so above a certain load the light state and an overloaded state
are both stable: metastable.

Bounds: λ ≤ λ' ≤ λ(r + 1). The fixed point lies where a slow service has settled; a client that
gives up while its try still runs leaves work behind, which this counts as a whole try. Source:
retries as sustaining effect of metastable failures (Bronson, Aghayev, Charapko & Zhu 2021).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RetryState:
    """Steady states of a service whose clients retry.

    ``tried_rps`` the rate actually tried at the light fixed point (``inf`` if there is none);
    ``amplification`` of it over the original rate; ``metastable``: a second stable state with more
    load exists, so a short overload can leave the service there; ``metastable_rps``: the smallest
    original rate at which that is so.
    """

    tried_rps: float
    amplification: float
    metastable: bool
    metastable_rps: float


def attempts(failure: float, retries: int) -> float:
    """Mean tries of a request, Σ_{i=0..r} pⁱ.

    ``failure`` p [share] of a try; ``retries`` r after the first.

    >>> attempts(0.5, 2)
    1.75
    """
    return float(sum(failure**i for i in range(retries + 1)))


def tried_rate_rps(rate_rps: float, failure: Callable[[float], float], retries: int) -> float:
    """The smallest λ' with λ' = λ·attempts(failure(λ')): iterated from λ, which rises to it.
    Bounded by λ(r + 1).

    ``rate_rps`` λ [requests/s]; ``failure(λ')`` [share], not falling in λ'.

    >>> round(tried_rate_rps(100.0, lambda tried: 0.1, 1), 6)
    110.0
    """
    tried = rate_rps
    for _ in range(10_000):
        new = rate_rps * attempts(failure(tried), retries)
        if new - tried <= 1e-12 * new:
            return new
        tried = new
    return tried


def retry_state(rate_rps: float, failure: Callable[[float], float], retries: int) -> RetryState:
    """Fixed points of the tried rate; ``failure`` gives the chance that a try fails at a tried
    rate, not falling.

    >>> state = retry_state(100.0, lambda tried: 0.02, 3)
    >>> round(state.amplification, 4), state.metastable
    (1.0204, False)
    """
    low = tried_rate_rps(rate_rps, failure, retries)
    high = _from_above(rate_rps, failure, retries)
    metastable = high > low * (1 + 1e-6)
    return RetryState(low, low / rate_rps, metastable, metastable_rate_rps(failure, retries, rate_rps * (retries + 1)))


def _from_above(rate_rps: float, failure: Callable[[float], float], retries: int) -> float:
    """The largest fixed point, iterated from λ(r + 1), which falls to it."""
    tried = rate_rps * (retries + 1)
    for _ in range(10_000):
        new = rate_rps * attempts(failure(tried), retries)
        if tried - new <= 1e-12 * tried:
            return new
        tried = new
    return tried


def metastable_rate_rps(failure: Callable[[float], float], retries: int, highest_rps: float) -> float:
    """Smallest original rate that has an overloaded fixed point, min over λ' of
    λ'/attempts(failure(λ')) past its first top.

    A tried rate x is a fixed point of the original rate x/attempts(failure(x)); where that curve
    falls as x grows, two tried rates share one original rate.  ``inf`` if it never falls below
    ``highest_rps``.
    """
    x = np.geomspace(highest_rps * 1e-3, highest_rps * (retries + 1) * 1.5, 4000)
    original = np.array([v / attempts(failure(float(v)), retries) for v in x])
    falls = np.flatnonzero(np.diff(original) < -1e-12 * original[:-1])
    return float(original[falls[0] :].min()) if len(falls) else float("inf")
