"""How far the blend may be off: quantiles of each hour, and of the highest hour of a window, from
its own past misses.

Misses of a block of leads are pooled in units of (blend / level)ᵃ with a = 0 (additive) ... 1
(proportional), a chosen for each quantile by its pinball loss, recent misses weighing more.

Symbols: y the hour that came, f what the blend said, L the level (mean rate of the last four
weeks), s = (f/L + 0.02)ᵃ the scale, m = (y − f)/s the miss; quantile q ahead: f + s·(q cut of m).
It lies where the future holds what the past never showed: launches belong into ``events``, growth
into ``growth_share_per_year``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.arrays import Floats
from planner.load.blend import Backcast, blocks

EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
PEAK_EXPONENTS = (0.0, 0.5, 1.0)
FLOOR = 0.02
HALF_LIFE_H = 4 * 168
PEAK_HALF_LIFE_H = 6 * 168
CENTER_WINDOWS = 10.0
TOP_FACTOR = 1.5
PEAK_INFLATION = 2.0
PEAK_LEVEL_INFLATION = 0.3
RIPE_H = 4 * 168  # experts need this much past before windows longer than a week are judged


def hourly_quantiles(cast: Backcast, quantiles: Sequence[float]) -> Floats:
    """Quantiles of each hour ahead, shape (hours, quantiles), non-decreasing along the second axis.

    The median miss is a trend in disguise where few windows saw it, so it moves the center only by
    n/(n + 10) for n windows of the block's length.  No quantile exceeds 1.5 times the highest hour
    of the last four weeks, unless the blend does.

    ``cast``: what the blend would have said at past origins; ``quantiles`` [share], rising. Rates
    [requests/s], never negative.
    """
    levels = [0.5, *quantiles]
    found = np.empty((cast.hours, len(quantiles)))
    span = cast.past.shape[1]
    for a, b in blocks(span):
        upto = b if b < span else cast.hours
        truth, past, weight, windows = _rows(cast, a, b)
        keep = windows / (windows + CENTER_WINDOWS)
        ahead = cast.point[a:upto]
        options, losses = [], []
        for exponent in EXPONENTS:
            scale = (past / cast.level + FLOOR) ** exponent
            miss = (truth - past) / scale
            cut = weighted_quantile(miss, weight, levels)
            losses.append(
                [float((weight * pinball(miss, c, q) * scale).sum()) for c, q in zip(cut[1:], quantiles, strict=True)]
            )
            options.append(
                ahead[:, None]
                + ((ahead / cast.level + FLOOR) ** exponent)[:, None] * (cut[1:] - (1 - keep) * cut[0])[None, :]
            )
        best = np.argmin(np.array(losses), axis=0)
        found[a:upto] = np.stack([options[k][:, i] for i, k in enumerate(best)], axis=1)
    ceiling = max(TOP_FACTOR * float(cast.y[-672:].max()), 1.0001 * float(cast.point.max()))
    return np.sort(np.clip(found, 0.0, ceiling), axis=1) if len(quantiles) else found


def _rows(cast: Backcast, a: int, b: int) -> tuple[Floats, Floats, Floats, float]:
    """Truth, blend and weight of the block's past rows, and how many windows of its length they
    stand for.
    """
    windows = max((float(cast.age_h.max()) - a) / max(b, 24), 0.3)
    seen = np.isfinite(cast.truth[:, a:b])
    if seen.sum() < 20:
        a, b, windows = 0, cast.truth.shape[1], 0.3
        seen = np.isfinite(cast.truth)
    if not seen.any():
        return np.zeros(1), np.zeros(1), np.ones(1), windows
    weight = np.broadcast_to((0.5 ** (cast.age_h / HALF_LIFE_H))[:, None], seen.shape)[seen]
    return cast.truth[:, a:b][seen], cast.past[:, a:b][seen], weight, windows


def window_peak(cast: Backcast, hours: int, quantile: float = 0.95) -> float | None:
    """Quantile of the highest hour within the first ``hours`` ahead; ``None`` if the past shows too
    few such windows.

    Learned from past windows directly (highest of the hourly curve would be too low over weeks):
    distance of the window's maximum from the blend's, scaled as the hourly misses.  Few windows say
    little about a tail, so with n of them the level is raised by the factor 1 + 0.3/n and the cut
    by 2/n standard deviations.

    ``hours`` of the window from now; the answer [requests/s]. The maximum of the hourly quantile
    curve would understate it over weeks, because the highest hour is rarely the one expected.
    """
    if hours > cast.past.shape[1]:
        return None
    seen = np.isfinite(cast.truth[:, :hours]).mean(axis=1) > 0.7
    ripe = seen & (cast.origins >= min(RIPE_H, float(np.median(cast.origins))))
    if hours > 168 and ripe.sum() >= 6:
        seen = ripe
    if seen.sum() < 6:
        return None
    truth = np.nanmax(cast.truth[seen][:, :hours], axis=1)
    past, ahead = cast.past[seen][:, :hours].max(axis=1), float(cast.point[:hours].max())
    weight = 0.5 ** (cast.age_h[seen] / PEAK_HALF_LIFE_H)
    step = float(np.median(np.diff(cast.origins[seen])))
    windows = max(1.0, weight.sum() ** 2 / (weight**2).sum() * step / hours)
    level = min(quantile * (1 + PEAK_LEVEL_INFLATION / windows), 0.999)
    relative = truth + 0.05 * cast.level
    best, found = np.inf, None
    for exponent in PEAK_EXPONENTS:
        scale = (past / cast.level + FLOOR) ** exponent
        miss, share = (truth - past) / scale, weight * scale / relative
        cut = float(weighted_quantile(miss, share, [level])[0])
        loss = float((weight * pinball(miss, cut, quantile) * scale / relative).sum())
        if loss < best:
            center = np.average(miss, weights=share)
            wide = float(np.sqrt(np.average((miss - center) ** 2, weights=share)))
            best, found = (
                loss,
                ahead + (cut + PEAK_INFLATION * wide / windows) * (ahead / cast.level + FLOOR) ** exponent,
            )
    return max(found, 0.0) if found is not None else None


def weighted_quantile(values: Floats, weight: Floats, levels: Sequence[float]) -> Floats:
    """Interpolated quantiles of weighted values.

    ``values`` and ``weight`` (n,), weights above 0; ``levels`` [share]. Midpoints of the weights
    are the plotting positions, so equal weights give the Hazen quantile.

    >>> weighted_quantile(np.array([1.0, 2.0, 3.0]), np.ones(3), [0.5]).tolist()
    [2.0]
    """
    order = np.argsort(values)
    ranked = np.cumsum(weight[order])
    found: Floats = np.interp(levels, (ranked - 0.5 * weight[order]) / ranked[-1], values[order])
    return found


def pinball(values: Floats, cut: float, quantile: float) -> Floats:
    """Loss of the quantile forecast ``cut``: its expectation is least at the true quantile (Koenker
    and Bassett 1978).

    ``values`` (n,); q·(y − c) above the cut, (1 − q)·(c − y) below.

    >>> pinball(np.array([1.0, 3.0]), 2.0, 0.9).round(6).tolist()
    [0.1, 0.9]
    """
    above = values - cut
    found: Floats = np.maximum(quantile * above, (quantile - 1) * above)
    return found
