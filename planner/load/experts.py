"""Cheap experts: what the next hours would be if one simple habit of the past held.

About forty of them: last day and week, recency-weighted and median profiles of the hour of the day
and of the week, weekly shapes moved to the level of the last 2, 6, 24, 72, 168 ... hours, damped
growth, working days against days off. Profiles are taken in the rate itself and in its logarithm
(where a level is a factor and a burst weighs little). All are computed for many origins at once; a
profile is indexed from its origin, so row 0 is always the last period.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import Flags, Floats, Ints

DAY, WEEK = 24, 168
DAYS, WEEKS = 28, 12
LOG_FLOOR = 0.05  # of the mean level, added before taking logarithms
LEVEL_SPANS = (672, 336, 168, 72, 24, 6, 2)


def fill(y: Floats) -> Floats:
    """Missing hours from the same hour of earlier weeks, else days, else the mean so far; looks
    back only.

    ``y`` (n,) [requests/s], NaN where nothing was observed. A true zero stays: absent is never
    zero.

    >>> fill(np.array([1.0, np.nan, 3.0])).tolist()
    [1.0, 1.0, 3.0]
    """
    found = y.copy()
    for lag in (WEEK, DAY):
        for at in np.flatnonzero(np.isnan(found)):
            if at >= lag:
                found[at] = found[at - lag]
    gaps = np.isnan(found)
    if gaps.any():
        seen = np.isfinite(y)
        count = np.cumsum(seen)
        mean = np.cumsum(np.where(seen, y, 0.0)) / np.maximum(count, 1)
        found[gaps] = np.where(count[gaps] > 0, mean[gaps], y[seen][0] if seen.any() else 0.0)
    return found


def forecasts(y: Floats, free: Flags, origins: Ints, hours: int) -> Floats:
    """Every expert at every origin, shape (experts, origins, hours).

    ``y`` (n,) rates without gaps, ≥ 0; ``free`` (n + hours,) days off by hour; ``origins`` in (24,
    n].
    """
    level = max(float(y.mean()), 1e-12)
    plain = _Past(y, free, origins, hours)
    log = _Past(np.log(y / level + LOG_FLOOR), free, origins, hours)
    medians = [plain.last_day, plain.last_week, plain.daily_median, plain.weekly_median(4.0), plain.weekly_median(12.0)]
    logs = log.profiles() + log.shifted()
    backs = [level * np.maximum(np.exp(np.minimum(x, 8.0)) - LOG_FLOOR, 0.0) for x in logs]
    return np.maximum(np.stack(medians + plain.profiles() + plain.scaled(0.02 * level) + backs), 0.0)


class _Past:
    """Windows of one series before each origin; all methods give (origins, hours)."""

    def __init__(self, z: Floats, free: Flags, origins: Ints, hours: int) -> None:
        self.z, self.free, self.origins, self.hours = z, free, origins, hours
        self.lead = np.arange(hours, dtype=np.float64)[None, :]
        self.day, self.day_there = _windows(z, origins, DAY, DAYS)
        self.week, self.week_there = _windows(z, origins, WEEK, WEEKS)
        self.has_week = self.week_there[:, :1]
        self.last_day = self.tile(self.day[:, 0])
        self.daily_median = self.tile(_weighted_median(self.day, _decay(DAYS, 8.0, self.day_there)))
        fallback = np.tile(_weighted(self.day, _decay(DAYS, 5.0, self.day_there)), 7)
        self.shape = np.where(self.has_week, _weighted_median(self.week, _decay(WEEKS, 4.0, self.week_there)), fallback)

    def tile(self, profile: Floats) -> Floats:
        return profile[:, np.arange(self.hours) % profile.shape[1]]

    @property
    def last_week(self) -> Floats:
        return np.where(self.has_week, self.tile(self.week[:, 0]), self.last_day)

    def weekly_median(self, half_life: float) -> Floats:
        profile = _weighted_median(self.week, _decay(WEEKS, half_life, self.week_there))
        return np.where(self.has_week, self.tile(profile), self.daily_median)

    def profiles(self) -> list[Floats]:
        """Recency-weighted means by hour of day and week, flat level, day + hour, working days,
        days off.
        """
        days = [self.tile(_weighted(self.day, _decay(DAYS, h, self.day_there))) for h in (1.5, 6.0)]
        other = self.tile(_weighted(self.day, _decay(DAYS, 3.0, self.day_there)))
        weeks = [
            np.where(self.has_week, self.tile(_weighted(self.week, _decay(WEEKS, h, self.week_there))), other)
            for h in (0.7, 2.0, 6.0)
        ]
        flat = _weighted(self.day, _decay(DAYS, 2.0, self.day_there)).mean(axis=1, keepdims=True)
        cube = self.shape.reshape(len(self.shape), 7, DAY)
        sums = (
            cube.mean(axis=1, keepdims=True) + cube.mean(axis=2, keepdims=True) - cube.mean(axis=(1, 2), keepdims=True)
        )
        additive = self.tile(sums.reshape(len(self.shape), WEEK))
        kinds = [self.day_kind(h) for h in (2.0, 7.0)]
        return [*days, np.repeat(flat, self.hours, axis=1), *weeks, additive, *kinds]

    def day_kind(self, half_life: float) -> Floats:
        """Hour-of-day profile of the target's kind of day: working day, or weekend and holiday."""
        start = np.maximum(self.origins[:, None] - DAY * (np.arange(DAYS) + 1)[None, :], 0)
        off = self.free[start[:, :, None] + np.arange(DAY)[None, None, :]]
        weight = np.repeat(_decay(DAYS, half_life, self.day_there)[:, :, None], DAY, axis=2)
        whole = (weight * self.day).sum(axis=1) / weight.sum(axis=1)
        found = []
        for kind in (False, True):
            part = weight * (off == kind)
            total = part.sum(axis=1)
            found.append(np.where(total > 0, (part * self.day).sum(axis=1) / np.where(total > 0, total, 1.0), whole))
        at = self.origins[:, None] + np.arange(self.hours)[None, :]
        return np.where(self.free[at], self.tile(found[1]), self.tile(found[0]))

    def misses(self, span: int) -> tuple[Floats, Floats]:
        """What the last ``span`` hours were above the weekly shape, and the shape there; NaN before
        the history.
        """
        at = self.origins[:, None] - span + np.arange(span)[None, :]
        shape = self.shape[:, (np.arange(span) - span) % WEEK]
        return np.where(at >= 0, self.z[np.maximum(at, 0)] - shape, np.nan), np.where(at >= 0, shape, np.nan)

    def scaled(self, small: float) -> list[Floats]:
        """The weekly shape times the ratio of recent level to shape; short spans fade with the
        lead.
        """
        ratio = {}
        for span in LEVEL_SPANS:
            miss, shape = (np.nanmean(x, axis=1)[:, None] for x in self.misses(span))
            ratio[span] = np.clip((miss + shape + small) / (shape + small), 0.05, 20.0)
        long, week = self.tile(self.shape), ratio[168]
        by_day = week + (ratio[24] - week) * _fade(self.lead, 60.0)
        trend = np.clip(week / ratio[336], 0.5, 2.0)
        return [
            long * week,
            long * (week + (ratio[72] - week) * _fade(self.lead, 168.0)),
            long * by_day,
            long * (by_day + (ratio[6] - ratio[24]) * _fade(self.lead, 8.0)),
            long * trend ** _damped(self.lead) * week,
        ]

    def shifted(self) -> list[Floats]:
        """The weekly shape plus the recent level's distance from it: a factor where ``z`` is a
        logarithm.
        """
        misses = {span: self.misses(span)[0] for span in LEVEL_SPANS}
        mean = {span: np.nanmean(x, axis=1)[:, None] for span, x in misses.items()}
        median = {span: np.nanmedian(x, axis=1)[:, None] for span, x in misses.items()}
        long, lead = self.tile(self.shape), self.lead
        by_day = long + mean[168] + (mean[24] - mean[168]) * _fade(lead, 60.0)
        trend = np.clip(mean[168] - mean[336], -0.5, 0.5)
        before = np.stack([self.shape[:, (np.arange(DAY) - DAY * (k + 1)) % WEEK] for k in range(DAYS)], axis=1)
        moved = _weighted(self.day - before, _decay(DAYS, 2.0, self.day_there))
        return [
            long + mean[168],
            long + median[168],
            long + median[336],
            long + median[672],
            long + median[672] + (median[168] - median[672]) * _fade(lead, 336.0),
            long + mean[168] + (mean[72] - mean[168]) * _fade(lead, 168.0),
            by_day,
            long + mean[24] * _fade(lead, 24.0),
            long + median[168] + (median[24] - median[168]) * _fade(lead, 60.0),
            by_day + (mean[6] - mean[24]) * _fade(lead, 8.0),
            by_day + (mean[2] - mean[24]) * _fade(lead, 4.0),
            long + mean[168] + trend * _damped(lead),
            long + self.tile(self.day[:, 0] - self.shape[:, -DAY:]),
            long + self.tile(moved),
        ]


def _fade(lead: Floats, half_life_h: float) -> Floats:
    found: Floats = 0.5 ** (lead / half_life_h)
    return found


def _damped(lead: Floats) -> Floats:
    """Half-weeks of growth still to come at a lead: grows to a limit, so
    that no trend runs away.
    """
    found: Floats = 2.0 * (1.0 - 0.7 ** ((lead + WEEK / 2) / WEEK))
    return found


def _windows(z: Floats, origins: Ints, period: int, count: int) -> tuple[Floats, Flags]:
    """The last ``count`` periods before each origin (origins, count, period), newest first, and
    which of them exist.
    """
    start = origins[:, None] - period * (np.arange(count) + 1)[None, :]
    index = np.maximum(start, 0)[:, :, None] + np.arange(period)[None, None, :]
    return z[np.minimum(index, len(z) - 1)], start >= 0


def _decay(count: int, half_life: float, there: Flags) -> Floats:
    return np.where(there, 0.5 ** (np.arange(count) / half_life)[None, :], 0.0)


def _weighted(values: Floats, weight: Floats) -> Floats:
    total = weight.sum(axis=1, keepdims=True)
    found: Floats = np.einsum("okj,ok->oj", values, weight / np.where(total > 0, total, 1.0))
    return found


def _weighted_median(values: Floats, weight: Floats) -> Floats:
    order = np.argsort(values, axis=1)
    ranked = np.take_along_axis(np.broadcast_to(weight[:, :, None], values.shape), order, axis=1).cumsum(axis=1)
    middle = (ranked >= ranked[:, -1:, :] / 2 - 1e-12).argmax(axis=1)
    return np.take_along_axis(np.take_along_axis(values, order, axis=1), middle[:, None, :], axis=1)[:, 0]
