"""Blends the experts by how they did: weights for each stretch of the lead, learned on origins
inside the history.

At about ninety past origins each expert forecasts what is known by now.  For each block of leads
the weights minimize Σ r·|y − Σ wₑ fₑ| + λ·‖w − w⁰‖² with w ≥ 0, Σ w = 1, where r halves every
ten weeks of age and w⁰ ∝ (error of the expert)⁻ᵖ: absolute errors because bursts must not choose
the experts, the pull to w⁰ because few weeks cannot tell forty apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from planner.arrays import Flags, Floats, Ints
from planner.load import experts
from planner.load.clock import WallGrid

BLOCKS = (0, 6, 24, 72, 168, 336, 672)
TRAIN_CAP = 26 * 168
ORIGINS = 90
MAX_ROWS = 6000
HALF_LIFE_H = 10 * 168
PRIOR_POWER = 12.0
PULL = 0.05


@dataclass(frozen=True)
class Backcast:
    """What the blend would have said.

    ``y`` (n,) rates without gaps; ``origins`` (m,) past origins; ``truth`` (m, h) what came then,
    NaN where unknown; ``past`` (m, h) the blend at those origins, ``point`` (h,) the blend now;
    ``age_h`` (m,) hours from origin to now; ``level`` mean rate of the last four weeks.
    """

    y: Floats
    origins: Ints
    truth: Floats
    past: Floats
    point: Floats
    age_h: Floats
    level: float

    @property
    def hours(self) -> int:
        """Leads that were forecast."""
        return len(self.point)


def backcast(grid: WallGrid) -> Backcast:
    """Fit and blend the experts on a wall-clock history of any length; the last 26 weeks are used.

    ``grid``: hourly rates [requests/s] on the users' wall clock, days off, and how many hours to
    forecast. Origins lie inside the history, so nothing of what came after one is used at it.
    """
    cut = max(0, len(grid.y) - TRAIN_CAP)
    y, free = _at_least_three_days(grid.y[cut:], grid.free[cut:])
    n, hours = len(y), grid.hours
    filled = experts.fill(y)
    first = min(14 * 24, max(36, n // 4))
    origins = np.unique(np.linspace(first, n - 3, ORIGINS).astype(np.int64))
    span = min(hours, BLOCKS[-1])
    said = experts.forecasts(filled, free, np.append(origins, n), span)
    target = origins[:, None] + np.arange(span)[None, :]
    truth = np.where(target < n, y[np.minimum(target, n - 1)], np.nan)
    age = (n - origins).astype(np.float64)
    blended = np.empty(said.shape[1:])
    for a, b in blocks(span):
        columns = np.arange(a, b, max(1, (b - a) * len(origins) // MAX_ROWS))
        seen = np.isfinite(truth[:, columns])
        weight = np.broadcast_to((0.5 ** (age / HALF_LIFE_H))[:, None], seen.shape)[seen]
        chosen = weights(said[:, :-1, columns][:, seen].T, truth[:, columns][seen], weight)
        blended[:, a:b] = np.tensordot(chosen, said[:, :, a:b], axes=1)
    point = _extended(blended[-1], hours)
    return Backcast(filled, origins, truth, blended[:-1], point, age, max(float(filled[-672:].mean()), 1e-12))


def blocks(hours: int) -> list[tuple[int, int]]:
    """Stretches of the lead that share their weights and residuals.

    >>> blocks(48)
    [(0, 6), (6, 24), (24, 48)]
    """
    return [(a, min(b, hours)) for a, b in pairwise(BLOCKS) if a < hours]


def weights(said: Floats, truth: Floats, weight: Floats) -> Floats:
    """Non-negative weights (experts,) of sum 1 for rows ``said`` (rows, experts); iteratively
    reweighted least squares.

    ``weight`` (rows,) of age. The prior w⁰ leans on the best expert (power 12), the pull of 5 % of
    the mean squared size keeps the solution near it where rows are few. Non-negative least squares
    after Lawson & Hanson 1974; iterated weights r = weight/|miss| make squares count as absolute
    errors.

    >>> said = np.column_stack([np.arange(20.0), np.zeros(20)])
    >>> weights(said, np.arange(20.0), np.ones(20)).round(3).tolist()
    [1.0, 0.0]
    """
    from scipy.optimize import nnls

    count = said.shape[1]
    if len(truth) < 10:
        return np.full(count, 1.0 / count)
    error = weight @ np.abs(said - truth[:, None]) / weight.sum()
    tiny = 1e-12 + 1e-9 * float(np.abs(truth).max())
    prior = ((error.min() + tiny) / (error + tiny)) ** PRIOR_POWER
    prior /= prior.sum()
    found = prior
    for _ in range(4):
        miss = np.abs(truth - said @ found)
        rows = said * (weight / np.maximum(miss, 0.3 * np.median(miss) + tiny))[:, None]
        gram, target = rows.T @ said, rows.T @ truth
        size = float(np.trace(gram)) / count
        if not np.isfinite(size) or size <= 0:
            return np.asarray(prior)
        # the heavy row of ones holds the sum at 1
        gram += size * (PULL * np.eye(count) + 1e3)
        lower = np.linalg.cholesky(gram)
        found = nnls(lower.T, np.linalg.solve(lower, target + size * (PULL * prior + 1e3)))[0]
        found /= max(found.sum(), 1e-9)
    return np.asarray(found)


def _extended(point: Floats, hours: int) -> Floats:
    """Beyond the longest lead that is learned the last two weeks repeat."""
    if hours <= len(point):
        return point
    period = 336
    back = len(point) - period + (np.arange(len(point), hours) - len(point)) % period
    found: Floats = np.concatenate([point, point[back]])
    return found


def _at_least_three_days(y: Floats, free: Flags) -> tuple[Floats, Flags]:
    missing = 72 - len(y)
    if missing <= 0:
        return y, free
    days = -(-missing // 24)
    lead = np.tile(y[:24], days) if len(y) >= 24 else np.full(24 * days, np.nanmean(y))
    return np.concatenate([lead, y]), np.concatenate([np.repeat(free[:1], 24 * days), free])
