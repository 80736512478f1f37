"""Shrinks the model's error for one deployment with the user's own load test of it.

The fitted constants stay the prior: a few points move only the constants that they can tell apart.
"""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from planner.arrays import Floats
from planner.latency.llm.bench import Runs, report
from planner.latency.llm.records import BenchmarkPoint
from planner.latency.llm.steps import Constants, Plant

# log prior width of a deployment's own deviation from the fitted constants, and the log errors of a
# benchmark's metrics
_WIDTH, _ERRORS = 0.35, np.array([0.03, 0.03, 0.15])
_NOT_OWN = ("drain_share", "wave_share")


def calibrate(plant: Plant, prior: Constants, points: Sequence[BenchmarkPoint], slots: float) -> Constants:
    """Constants of one deployment after its own measurements: the maximum a posteriori of log
    deviations from ``prior``.

    Each deviation is normal with width 0.35; TPOT and throughput are believed to 3 %, TTFT to 15 %.
    One point moves the common level, three tell memory, arithmetic and overheads apart. Solved by
    damped Gauss-Newton steps.

    ``points`` of this deployment only; ``slots`` sequences its server runs at most. Symbols: x the
    log deviations (one a constant), r the log misses over their errors; minimized is |r(x)|² +
    |x/0.35|². It lies where the points come from another version of the server than the plan is
    for.
    """
    runs = Runs(
        np.array([p.mode for p in points]),
        _column(points, "clients", np.inf),
        _column(points, "arrival_rate_rps", 0.0),
        _column(points, "input_tokens"),
        _column(points, "output_tokens"),
        np.full(len(points), slots),
    )
    measured = np.log(np.stack([_column(points, n) for n in ("tpot_s", "throughput_rps", "ttft_s")], axis=1))
    names = [f.name for f in fields(Constants) if f.name not in _NOT_OWN]

    def scaled(x: Floats) -> Constants:
        return prior.scaled(**dict(zip(names, np.exp(x).tolist(), strict=True)))

    def residual(x: Floats) -> Floats:
        r = (measured - np.log(np.stack(report(plant, scaled(x), runs), axis=1))) / _ERRORS
        return np.concatenate([np.where(np.isfinite(r), r, 0.0).ravel(), -x / _WIDTH])

    x = np.zeros(len(names))
    now, damping = residual(x), 1e-3
    for _ in range(25):
        slopes = np.stack([(residual(x + 1e-4 * e) - now) / 1e-4 for e in np.eye(len(names))], axis=1)
        square = slopes.T @ slopes
        step = -np.linalg.solve(square + damping * np.diag(np.diag(square)), slopes.T @ now)
        trial = residual(x + step)
        if trial @ trial < now @ now:
            gain, x, now, damping = now @ now - trial @ trial, x + step, trial, damping / 4.0
            if gain < 1e-5 * (now @ now):
                break
        else:
            damping *= 8.0
    return scaled(x)


def _column(points: Sequence[BenchmarkPoint], name: str, missing: float = math.nan) -> Floats:
    values = np.array([getattr(p, name) for p in points], dtype=np.float64)
    return np.where(np.isnan(values), missing, values)


def error_after(points: int, sigma: float) -> float:
    """Log-error sigma of TPOT and throughput left after ``points`` own measurements of the same
    deployment.

    90 % quantile of |log error| / 1.645 on the other points of 234 concurrency curves of public
    records: 0.09 after one point, 0.05 after three; nearly doubled, since a user's own points lie
    at other lengths too.

    >>> error_after(0, 0.3), error_after(3, 0.3)
    (0.3, 0.08)
    """
    return sigma if points == 0 else min(sigma, 0.16 if points == 1 else 0.12 if points == 2 else 0.08)
