"""The engine of load paths: hour-of-week shape in the users' wall clock, residual blocks, level uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY, WEEK = 24, 168
RECENT_WEEKS = 8
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outlook:
    """A fitted history: ``shape`` (period,) [requests/s] by wall-clock hour of the ``period``; ``yearly`` (53,) factor by week of
    the year; ``blocks`` (m, block) residuals relative to √(shape × level); ``level_sd`` of the log level error.
    """

    zone: str
    shape: Floats
    yearly: Floats
    blocks: Floats
    level_sd: float
    notes: tuple[str, ...]

    def median(self, ts: pd.DatetimeIndex) -> Floats:
        """Central rate of each hour [requests/s]."""
        local = ts.tz_convert(self.zone)
        return self.shape[_slot(local, len(self.shape))] * self.yearly[_week(local)]

    def sample(self, ts: pd.DatetimeIndex, paths: int, rng: np.random.Generator) -> Floats:
        """Paths (paths, hours): residual blocks that start at their own wall-clock hour, times a level drawn once a path."""
        base = self.median(ts)
        local = ts.tz_convert(self.zone)
        block = self.blocks.shape[1]
        slot = _slot(local, block)
        number = np.concatenate([[0], np.cumsum(np.diff(slot) < 0)])
        drawn = rng.integers(0, len(self.blocks), (paths, int(number[-1]) + 1))
        noise = self.blocks[drawn[:, number], slot[None, :]]
        level = np.exp(self.level_sd * rng.standard_normal(paths))
        scale = np.sqrt(base * base.mean())
        found: Floats = np.maximum(base[None, :] + noise * scale[None, :], 0.0) * level[:, None]
        return found


def fit(history: pd.Series[float], zone: str, holidays: str | None) -> Outlook:
    """Fit hourly rates with gaps (UTC index). ``zone``: the users' clock."""
    del holidays
    local = pd.DatetimeIndex(history.index).tz_convert(zone)
    y = np.asarray(history, dtype=np.float64)
    period = WEEK if len(y) >= 2 * WEEK else DAY
    yearly, notes = _yearly(y, local)
    flat = y / yearly[_week(local)]
    slot = _slot(local, period)
    shape = _shape(flat, slot, period)
    blocks, level_sd = _blocks(flat, slot, period)
    return Outlook(zone, shape, yearly, blocks, level_sd, notes)


def _slot(local: pd.DatetimeIndex, period: int) -> Ints:
    hour = local.hour.to_numpy().astype(np.int64)
    return hour if period == DAY else local.day_of_week.to_numpy().astype(np.int64) * DAY + hour


def _week(local: pd.DatetimeIndex) -> Ints:
    return np.minimum((local.day_of_year.to_numpy().astype(np.int64) - 1) // 7, 51)


def _yearly(y: Floats, local: pd.DatetimeIndex) -> tuple[Floats, tuple[str, ...]]:
    """Smoothed factor of each week of the year, mean 1, relative to a running year's mean; ones below 18 months."""
    if len(y) < 550 * DAY:
        return np.ones(52), ()
    daily = pd.Series(y, index=local.tz_localize(None)).resample("D").mean()
    level = daily.rolling(364, center=True, min_periods=300).mean().ffill().bfill()
    ratio = (daily / level).to_numpy()
    week = np.minimum((pd.DatetimeIndex(daily.index).day_of_year.to_numpy() - 1) // 7, 51)
    factor = np.array([np.nanmean(ratio[week == w]) if np.isfinite(ratio[week == w]).any() else np.nan for w in range(52)])
    filled = pd.Series(np.tile(factor, 3)).interpolate(limit_direction="both").rolling(5, center=True,
        min_periods=1).mean().to_numpy()[52:104]
    return np.maximum(filled / filled.mean(), 0.05), ("a yearly season was learned from the history",)


def _shape(y: Floats, slot: Ints, period: int) -> Floats:
    """Mean of the last weeks at each slot; slots never seen take the mean of their hour of the day."""
    recent = y[-RECENT_WEEKS * WEEK:] if np.isfinite(y[-RECENT_WEEKS * WEEK:]).sum() >= DAY else y
    found = _mean_by(recent, slot[-len(recent):], period)
    if np.isnan(found).any():
        by_hour = _mean_by(recent, slot[-len(recent):] % DAY, DAY)
        by_hour = np.where(np.isnan(by_hour), np.nanmean(recent), by_hour)
        found = np.where(np.isnan(found), by_hour[np.arange(period) % DAY], found)
    return found


def _mean_by(y: Floats, slot: Ints, period: int) -> Floats:
    seen = np.isfinite(y)
    count = np.bincount(slot[seen], minlength=period)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.bincount(slot[seen], weights=y[seen], minlength=period) / count
    return found


def _blocks(y: Floats, slot: Ints, period: int) -> tuple[Floats, float]:
    """Residuals of each past period against the four before it, in units of √(forecast × level), and the log level error."""
    start = np.flatnonzero(slot == 0)
    edges = start[:-1][np.diff(start) >= period - 1]
    rows, jumps = [], []
    for at in edges[1:]:
        past = slice(max(0, at - 4 * period), at)
        if np.isfinite(y[past]).sum() < period // 2 or np.isfinite(y[at:at + period]).sum() < period // 2:
            continue
        shape = _mean_by(y[past], slot[past], period)
        now = np.full(period, np.nan)
        now[slot[at:at + period]] = y[at:at + period]
        both = np.isfinite(shape) & np.isfinite(now)
        if not both.any() or shape[both].sum() <= 0:
            continue
        ratio = now[both].sum() / shape[both].sum()
        jumps.append(np.log(max(ratio, 0.05)))
        scale = np.sqrt(shape * shape[both].mean())
        with np.errstate(invalid="ignore", divide="ignore"):
            rows.append(np.where(both & (scale > 0), (now - shape * ratio) / scale, 0.0))
    if not rows:
        return np.zeros((1, period)), 0.2
    spread = float(np.quantile(np.abs(jumps), 0.7)) if len(jumps) >= 3 else 0.2
    return np.array(rows[-52:]), min(spread, 0.5)
