"""How good the forecast would have been on the user's own series, beside
the weekly naive forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.blend import TRAIN_CAP
from planner.load.forecaster import forecast_quantiles
from planner.load.spread import pinball
from planner.load.traffic import Traffic

WEEK = 168
HORIZONS = (24, 168, 672)
QUANTILES = (0.5, 0.9, 0.95, 0.99)
SCORED = (0.5, 0.9, 0.99)
Forecaster = Callable[[pd.Series, int, Sequence[float]], pd.DataFrame]


def backtest(traffic: Traffic, *, origins: int = 6, time_zone: str | None = None) -> pd.DataFrame:
    """Scores of the forecaster and of the weekly naive at ``origins`` past moments, one row a
    horizon.

    Columns: ``horizon_h``; ``windows`` scored; ``wql`` and ``naive_wql`` weighted quantile loss,
    the mean over q = .5, .9, .99 of 2·Σ pinball / Σ |y|; ``wql_ratio`` (below 1: better than the
    naive); ``coverage_90_share`` and ``coverage_99_share`` of hours at or below that quantile;
    ``peak_loss`` and ``naive_peak_loss`` pinball of the window's maximum at .95 / maximum;
    ``peak_exceeded_share`` of windows.  ``time_zone``: the users' clock, if the traffic names none.
    Raises :class:`TrafficError` below ten days of history.
    """
    history = traffic.hourly()
    zone = traffic.user_time_zone or time_zone or "UTC"
    history.attrs.update({"tz": zone, "clock": "utc", "holidays": traffic.holidays})
    return score(history, forecast_quantiles, origins)


def score(history: pd.Series[Any], forecaster: Forecaster, origins: int = 6) -> pd.DataFrame:
    """Table of :func:`backtest` for any forecaster of the signature of
    :func:`planner.load.forecast_quantiles`.

    Raises :class:`TrafficError` where no past window has enough observed hours.
    """
    y = np.asarray(history, dtype=np.float64)
    first, horizons = _plan(len(y))
    sums: dict[int, list[Floats]] = {h: [] for h in horizons}
    for at in _origins(y, first, horizons[-1], origins):
        train = history.iloc[max(0, at - TRAIN_CAP) : at]
        train.attrs.update(history.attrs)
        answers = [f(train, horizons[-1], QUANTILES) for f in (forecaster, weekly_naive)]
        for h in horizons:
            truth = y[at : at + h]
            if np.isfinite(truth).mean() >= 0.7 and np.nanmax(truth) > 0:
                sums[h].append(np.concatenate([_window(truth, a, h) for a in answers]))
    rows = [_row(h, np.array(parts)) for h, parts in sums.items() if parts]
    if not rows:
        raise TrafficError(
            "no past window has enough observed hours to be scored",
            where="backtest",
            remedy="Give a history with fewer gaps",
        )
    return pd.DataFrame(rows)


def weekly_naive(train: pd.Series[Any], horizon: int, quantiles: Sequence[float]) -> pd.DataFrame:
    """Last week repeated, plus the empirical quantiles of the same-lag differences of ``train``;
    the yardstick.
    """
    y = np.asarray(train, dtype=np.float64)
    filled = y.copy()
    for at in np.flatnonzero(np.isnan(filled)):
        if at >= WEEK:
            filled[at] = filled[at - WEEK]
    week = np.arange(horizon) // WEEK + 1
    source = len(y) + np.arange(horizon) - WEEK * week
    point = np.where(source >= 0, filled[np.maximum(source, 0)], np.nan)
    point = np.where(np.isnan(point), np.nanmedian(y), point)
    found = np.empty((horizon, len(quantiles)))
    for number in range(1, int(week[-1]) + 1):
        lag = WEEK * number
        while lag >= len(y) - 24 and lag > WEEK:
            lag -= WEEK
        miss = y[lag:] - y[:-lag]
        shift = np.nanquantile(miss, quantiles) if np.isfinite(miss).any() else np.zeros(len(quantiles))
        found[week == number] = point[week == number, None] + shift[None, :]
    found = np.sort(found, axis=1)
    if np.nanmin(y) >= 0:
        found = np.maximum(found, 0.0)
    index = pd.date_range(pd.DatetimeIndex(train.index)[-1], periods=horizon + 1, freq="h")[1:]
    return pd.DataFrame(found, index=index, columns=list(quantiles))


def _plan(hours: int) -> tuple[int, tuple[int, ...]]:
    """Least training hours and the horizons a history of this length can judge."""
    days = hours / 24
    if days < 10:
        raise TrafficError(f"a backtest needs at least ten days of history, not {days:.1f}", where="backtest")
    if days < 21:
        return 9 * 24, HORIZONS[:1]
    if days < 84:
        return (14 if days < 50 else 28) * 24, HORIZONS[:2]
    return 56 * 24, HORIZONS


def _origins(y: Floats, first: int, horizon: int, count: int) -> list[int]:
    fine = np.unique(np.linspace(first, len(y) - horizon, 20 * count).round().astype(int))
    usable = [
        int(at)
        for at in fine
        if np.isfinite(y[max(0, at - 8 * WEEK) : at]).mean() > 0.7
        and np.isfinite(y[at : at + horizon]).mean() > 0.7
        and np.isfinite(y[at : at + 24]).mean() > 0.9
    ]
    if not usable:
        return []
    picked = np.unique(np.linspace(0, len(usable) - 1, min(count, len(usable))).round().astype(int))
    return [usable[i] for i in picked]


def _window(truth: Floats, answer: pd.DataFrame, hours: int) -> Floats:
    """Sums of one window: loss at SCORED, |y|, hours, covered at .9 and
    .99, peak loss, exceeded.
    """
    seen = np.isfinite(truth)
    y, said = truth[seen], answer.to_numpy()[:hours][seen]
    loss = [2 * float(pinball(y - said[:, QUANTILES.index(q)], 0.0, q).sum()) for q in SCORED]
    top = float(y.max())
    peak = float(answer.attrs.get("peak", {}).get(hours, answer[0.95].to_numpy()[:hours].max()))
    peak_loss = float(pinball(np.array([top - peak]), 0.0, 0.95)[0]) / top
    covered = [float((y <= said[:, QUANTILES.index(q)] + 1e-9).sum()) for q in (0.9, 0.99)]
    return np.array([*loss, float(np.abs(y).sum()), len(y), *covered, peak_loss, float(top > peak)])


def _row(hours: int, parts: Floats) -> dict[str, float]:
    ours, naive = parts[:, :9], parts[:, 9:]

    def wql(p: Floats) -> float:
        return float(p[:, :3].sum() / 3 / p[:, 3].sum())

    return {
        "horizon_h": hours,
        "windows": len(parts),
        "wql": wql(ours),
        "naive_wql": wql(naive),
        "wql_ratio": wql(ours) / wql(naive) if wql(naive) > 0 else float("nan"),
        "coverage_90_share": float(ours[:, 5].sum() / ours[:, 4].sum()),
        "coverage_99_share": float(ours[:, 6].sum() / ours[:, 4].sum()),
        "peak_loss": float(ours[:, 7].mean()),
        "naive_peak_loss": float(naive[:, 7].mean()),
        "peak_exceeded_share": float(ours[:, 8].mean()),
    }
