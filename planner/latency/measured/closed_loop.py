"""From a closed load test (N clients that wait for each answer) to what open arrivals at a rate
would see.

A closed test cannot overload: its latency at a throughput is far below that of open arrivals at the
same rate.  The throughput X(n) at concurrency n is the rate at which a service with n requests
inside completes them, so under Poisson arrivals the number inside is a birth–death chain, π_n ∝
Π_{k≤n} λ/X(k), and an arrival that finds n sees the latency of concurrency n + 1.  Exact for
stations whose rate depends on the number inside only (M/M/c, processor sharing).
"""

import math
from collections.abc import Sequence

import numpy as np

from planner.arrays import Floats

QUANTILES = (0.5, 0.9, 0.95, 0.99)
_LOADS = (0.05, 0.2, 0.4, 0.55, 0.7, 0.8, 0.87, 0.92, 0.95)
_LEVELS = 4000


def open_points(
    concurrency: Sequence[float],
    throughput_rps: Sequence[float],
    percentiles_s: Sequence[Sequence[float]],
) -> list[list[float]]:
    """Rows (rate, p50, p90, p95, p99) of open arrivals from closed steps;
    NaN percentiles stay NaN.

    ``percentiles_s`` (steps, 4) by rising concurrency; ``throughput_rps`` (steps,)
    [requests/s]. Nine rates up to 95 % of the highest throughput are answered: at each the
    chance of n requests inside is π_n ∝ Π_{k≤n} λ/X(k), and the latency seen is the mixture
    over n of the measured laws.

    Beyond the last step the throughput is taken to stay and latency to grow with the number
    inside, and between steps both are straight lines. It lies for a server whose rate depends on
    more than the number inside (caches that warm up, limits by client), and where the test did
    not reach saturation: the highest throughput seen then counts as the limit.
    """
    n, x, latency = np.asarray(concurrency, float), np.asarray(throughput_rps, float), np.asarray(percentiles_s, float)
    completion = _completion_rates(n, x)
    known = ~np.isnan(latency).any(axis=0)
    tables = _latency_levels(n, latency[:, known])
    rows = []
    for share in _LOADS:
        rate = share * float(completion.max())
        log_weight = np.concatenate([[0.0], np.cumsum(np.log(rate / completion[:-1]))])
        weight = np.exp(log_weight - log_weight.max())
        row = np.full(len(QUANTILES), math.nan)
        row[known] = _mixed_quantiles(tables, weight / weight.sum(), np.asarray(QUANTILES)[known])
        rows.append([rate, *row.tolist()])
    return rows


def _completion_rates(n: Floats, x: Floats) -> Floats:
    """X(1) … X(levels): through the origin and the steps, never falling, flat beyond the last."""
    levels = np.arange(1, _LEVELS + 1, dtype=np.float64)
    rates: Floats = np.interp(levels, np.concatenate([[0.0], n]), np.concatenate([[0.0], np.maximum.accumulate(x)]))
    return rates


def _latency_levels(n: Floats, latency: Floats) -> Floats:
    """Known percentiles at each level (levels, known): interpolated in n, growing like n beyond the
    last step.
    """
    levels = np.arange(1, _LEVELS + 1, dtype=np.float64)
    table = np.column_stack([np.interp(levels, n, np.maximum.accumulate(column)) for column in latency.T])
    return np.asarray(table * np.maximum(levels / n[-1], 1.0)[:, None])


def _mixed_quantiles(tables: Floats, weight: Floats, quantiles: Floats) -> list[float]:
    """Quantiles of the mixture over levels, each level a law through its percentiles, straight
    on (normal, log latency).

    ``tables`` (levels, known) [s], ``weight`` (levels,) sums to 1; levels of weight below 1e-9
    are left out. With one known percentile a log spread of 0.7 is assumed. Found by 60
    bisections of log latency on Σ_n π_n F_n(t) = q.
    """
    from scipy.special import ndtr, ndtri

    use = weight > 1e-9
    logs, weight, z = np.log(tables[use]), weight[use], ndtri(quantiles)
    if len(z) > 1:
        top = (logs[:, -1] - logs[:, -2]) / (z[-1] - z[-2])
        low = (logs[:, 1] - logs[:, 0]) / (z[1] - z[0])
    else:
        top = low = np.full(len(logs), 0.7)
    # a percentile's neighbours reach on with the slope of the last pair
    ends = np.array([-6.0, *z, 6.0])
    logs = np.column_stack([logs[:, 0] + (-6.0 - z[0]) * low, logs, logs[:, -1] + (6.0 - z[-1]) * top])
    found = []
    for q in quantiles:
        a, b = float(logs.min()), float(logs.max())
        for _ in range(60):
            t = 0.5 * (a + b)
            below = sum((weight * ndtr(_interpolated(t, logs, ends))).tolist())
            a, b = (a, t) if below >= q else (t, b)
        found.append(math.exp(b))
    return found


def _interpolated(x: float, rows: Floats, values: Floats) -> Floats:
    """``np.interp(x, row, values)`` of each row (rows, known), which rises, in one step."""
    k = np.clip((rows <= x).sum(axis=1) - 1, 0, rows.shape[1] - 2)
    each = np.arange(len(rows))
    left, right = rows[each, k], rows[each, k + 1]
    with np.errstate(divide="ignore", invalid="ignore"):  # of rows that stand still beside x
        inside = (values[k + 1] - values[k]) / (right - left) * (x - left) + values[k]
    known = [x < rows[:, 0], x >= rows[:, -1], left == x]
    return np.asarray(np.select(known, [values[0], values[-1], values[k]], inside))
