"""From the blend to paths: the hourly quantiles are the margins, past weeks say how hours hang
together.

Each path takes whole past weeks of the blend's misses (as normal scores) and keeps only their order
among the paths, hour by hour; the values come from the hourly quantile forecasts (the Schaake
shuffle: Clark et al. 2004).  So the paths' quantiles are those of
:func:`planner.load.forecast_quantiles` up to 28 days, and beyond the last two weeks of it repeat by
day of the week (public holidays as Sundays), moved by the yearly season where the history shows
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats, Ints, Singles
from planner.load import clock
from planner.load.blend import Backcast, backcast, blocks
from planner.load.shapes import Shape
from planner.load.spread import hourly_quantiles

DAY, WEEK = 24, 168
LEADS = 672
LEVELS = (0.002, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.998)
LEVEL_MEMORY = 0.9  # correlation of the level error from one week to the next
YEARLY_DAYS = 550
SHIFT = 1.5
# of busy hours around their series' weekly profile, 13 public series: median of the central 80 % as
# a standard deviation of the logarithm, and its correlation from hour to hour (data/traffic/shapes.csv)
HOUR_SD, HOUR_MEMORY = 0.3, 0.75
DRAWN_WEEKS = 12


@dataclass(frozen=True)
class Outlook:
    """A fitted history.

    ``table`` (leads, levels) quantiles [requests/s] at ``LEVELS`` by wall-clock lead; ``first``
    wall hour of lead 0 (since 1970); ``weeks`` (m, 168) normal scores of past misses by hour of the
    week and ``week_start`` (m,) their wall hours; ``yearly`` (52,) factor of each week of the year.
    """

    zone: str
    country: str | None
    first: int
    table: Floats
    weeks: Floats
    week_start: Ints
    yearly: Floats
    notes: tuple[str, ...]

    def median(self, ts: pd.DatetimeIndex) -> Floats:
        """Central rate of each hour [requests/s]."""
        source, factor = self._source(ts)
        found: Floats = self.table[source, LEVELS.index(0.5)] * factor
        return found

    def sample(self, ts: pd.DatetimeIndex, paths: int, when: Floats, rng: np.random.Generator) -> Floats:
        """Paths (paths, hours) [requests/s].

        ``when`` (paths, weeks) wall hours of the past weeks to take, the same for all services that
        are to move together.

        The values of an hour are the quantile forecast read at evenly spread probabilities, so the
        margin is kept exactly whatever the dependence; which path gets which value follows the
        drawn weeks.
        """
        from scipy.special import ndtri

        source, factor = self._source(ts)
        order = np.argsort(self._scores(ts, when, rng), axis=1)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(paths)[None, :], axis=1)
        even = ndtri((np.arange(paths) + 0.5) / paths)
        knots = ndtri(np.array(LEVELS))
        values = np.stack([np.interp(even, knots, row) for row in self.table])
        found: Floats = (values[source[:, None], rank] * factor[:, None]).T
        return found

    def _source(self, ts: pd.DatetimeIndex) -> tuple[Ints, Floats]:
        """Row of the table for each hour, and the yearly factor relative to that row's season."""
        wall = clock.wall_hours(ts, self.zone)
        lead = wall - self.first
        near = (lead >= 0) & (lead < len(self.table))
        week = _days_as(wall // DAY, self.country)
        base = max(0, len(self.table) - 2 * WEEK)
        usual = {}
        free = clock.days_off(self.first + base, len(self.table) - base, self.country)
        for at in range(base, len(self.table)):
            day, hour = divmod(self.first + at, DAY)
            kind = int(day + 3) % 7
            if kind >= 5 or not free[at - base] or (kind, hour) not in usual:
                usual[kind, hour] = at
        lookup = np.array([usual.get((kind, hour), base) for kind in range(7) for hour in range(DAY)], dtype=np.int64)
        source = np.where(near, lead, lookup[week * DAY + wall % DAY])
        factor = np.where(near, 1.0, self.yearly[_week_of_year(wall)] / self.yearly[_week_of_year(self.first + source)])
        return source, factor

    def _scores(self, ts: pd.DatetimeIndex, when: Floats, rng: np.random.Generator) -> Singles:
        """Dependence template (hours, paths): drawn weeks without their mean, plus their means with
        memory.
        """
        slot, number = weeks_of(ts, self.zone)
        drawn = np.abs(self.week_start[None, None, :] - when[:, : number[-1] + 1, None]).argmin(axis=2)
        mean = self.weeks.mean(axis=1)
        level = mean[drawn]
        for w in range(1, level.shape[1]):
            level[:, w] = LEVEL_MEMORY * level[:, w - 1] + np.sqrt(1 - LEVEL_MEMORY**2) * level[:, w]
        inner = (self.weeks - mean[:, None]).astype(np.float32)
        found = inner[drawn.T[number], slot[:, None]] + level.T[number].astype(np.float32)
        found += 0.02 * rng.standard_normal(found.shape, dtype=np.float32)
        return np.asarray(found, dtype=np.float32)


def weeks_of(ts: pd.DatetimeIndex, zone: str) -> tuple[Ints, Ints]:
    """Hour of the week (Monday 00:00 is 0) on the clock of ``zone``, and number of the week counted
    from the first.

    >>> slot, week = weeks_of(pd.date_range("2027-01-04", periods=169, freq="h", tz="UTC"), "UTC")
    >>> int(slot[0]), int(slot[168]), int(week[168])
    (0, 0, 1)
    """
    wall = clock.wall_hours(ts, zone) + 3 * DAY
    number = wall // WEEK
    return wall % WEEK, number - number[0]


def fit(history: pd.Series[Any], zone: str, country: str | None) -> Outlook:
    """Fit hourly rates with gaps (UTC index). ``zone``: the users' clock; ``country``: code of
    their public holidays.

    Rates [requests/s], NaN where not observed; kept for the next call with the same history, since
    a study draws planning and unseen paths from one fit. It lies after a break that the history
    does not show twice: its notes then say that the last week is unlike those before.
    """
    return _fitted(history.index[0], history.to_numpy(np.float64).tobytes(), zone, country)


def shaped(shape: Shape, mean_rps: float, start: pd.Timestamp, zone: str, country: str | None) -> Outlook:
    """Outlook of a service without history: the shape's mean week at ``mean_rps`` [requests/s] from
    ``start``, and around it hours that scatter as those of public services do.

    Surprises are drawn once, of a fixed seed: an autoregression of one hour on the hour before.
    It knows nothing of the level: that is the user's word, and :mod:`planner.load.thin` widens it.
    """
    from scipy.special import ndtri

    first = int(clock.wall_hours(pd.DatetimeIndex([start]), zone)[0])
    slot = (first + 3 * DAY + np.arange(2 * WEEK)) % WEEK
    spread = np.exp(HOUR_SD * ndtri(np.array(LEVELS)) - HOUR_SD**2 / 2)  # of mean 1
    table = mean_rps * shape.mean[slot][:, None] * spread[None, :]
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((DRAWN_WEEKS, WEEK))
    for hour in range(1, WEEK):
        steps[:, hour] = HOUR_MEMORY * steps[:, hour - 1] + np.sqrt(1 - HOUR_MEMORY**2) * steps[:, hour]
    begins = first - WEEK * np.arange(DRAWN_WEEKS, 0, -1)
    return Outlook(zone, country, first, table, steps, begins, np.ones(52), ())


@lru_cache(maxsize=16)  # planning paths and unseen ones are drawn from one fit
def _fitted(origin: pd.Timestamp, rates: bytes, zone: str, country: str | None) -> Outlook:
    """The fit of a history given as bytes: quantiles of its next 28 days, its past misses as
    normal scores, and a yearly factor.
    """
    values = np.frombuffer(rates, dtype=np.float64)
    history = pd.Series(values, index=pd.date_range(origin, periods=len(values), freq="h", unit="us"))
    grid = clock.wall_grid(history, LEADS, zone, country)
    cast = backcast(grid)
    table = hourly_quantiles(cast, LEVELS)
    yearly, notes = _yearly(grid)
    first = grid.first + len(grid.y)
    weeks, start = _weeks(cast, first)
    return Outlook(zone, country, first, table, weeks, start, yearly, notes + _flags(cast))


def _flags(cast: Backcast) -> tuple[str, ...]:
    """Sentences on what makes the end of the history unlike the weeks before.

    From five whole weeks on: a last week above 1.5 times the median of the four before, or below
    1/1.5 of it; a peak above three times the usual weekly one.
    """
    if len(cast.y) < 5 * WEEK:
        return ()
    weeks = cast.y[-5 * WEEK :].reshape(5, WEEK)
    before, now = float(np.median(weeks[:4].mean(axis=1))), float(weeks[4].mean())
    found = []
    if now > SHIFT * before or before > SHIFT * now:
        found.append(
            f"the last week is {now / before if before > 0 else float('inf'):.2f} times the four before: if that was an"
            " event, end the history before it, if it stays, name the new level as an event"
        )
    top = float(np.median(np.sort(weeks[:4], axis=1)[:, -1]))
    if weeks[4].max() > 3 * top > 0:
        found.append(f"the last week holds a burst of {weeks[4].max() / top:.1f} times the usual weekly peak")
    return tuple(found)


def _weeks(cast: Backcast, now: int) -> tuple[Floats, Ints]:
    """Normal scores of the misses of the first week after each origin, by hour of the week.

    A miss is (truth − forecast) / √(forecast / level + 0.02), whose spread hardly depends on the
    load; its rank among the misses of like leads becomes a normal score. Weeks of which less
    than 80 % was observed are left out, unless fewer than three would stay.
    """
    from scipy.special import ndtri

    span = min(WEEK, cast.past.shape[1])
    truth, past = cast.truth[:, :span], cast.past[:, :span]
    miss = (truth - past) / np.sqrt(past / cast.level + 0.02)
    score = np.zeros_like(miss)
    for a, b in blocks(span):
        part = miss[:, a:b]
        seen = np.isfinite(part)
        ranks = part[seen].argsort().argsort()
        score[:, a:b][seen] = ndtri((ranks + 0.5) / max(len(ranks), 1))
    start = now - cast.age_h.astype(np.int64)
    slot = (start[:, None] + 3 * DAY + np.arange(span)[None, :]) % WEEK
    found = np.zeros((len(start), WEEK))
    np.put_along_axis(found, slot, score, axis=1)
    whole = np.isfinite(truth).mean(axis=1) > 0.8
    if whole.sum() < 3:
        whole[:] = True
    return found[whole], start[whole]


def _days_as(day: Ints, country: str | None) -> Ints:
    """Day of the week (Monday 0) of each day since 1970; public holidays count as Sundays."""
    kind = (day + 3) % 7
    if not country or not len(day):
        return kind
    years = pd.DatetimeIndex([np.datetime64(int(day[0]), "D"), np.datetime64(int(day[-1]), "D")]).year
    holiday = np.isin(day, clock.public_holidays(country, int(years[0]), int(years[-1])))
    return np.where(holiday, 6, kind)


def _week_of_year(wall: Ints) -> Ints:
    """Week of the year, 0 to 51, of each wall hour; the last one has eight or nine days."""
    index = pd.DatetimeIndex((wall // DAY).astype("datetime64[D]"))
    return np.minimum((index.day_of_year.to_numpy().astype(np.int64) - 1) // 7, 51)


def _yearly(grid: clock.WallGrid) -> tuple[Floats, tuple[str, ...]]:
    """Smoothed factor of each week of the year against a running year's mean; ones
    below 18 months of history.

    The median over years of daily mean / centered mean of 364 days, smoothed over five
    weeks and scaled to a mean of 1, at least 0.05. With a single year of overlap a one-off
    event looks like a season.
    """
    if len(grid.y) < YEARLY_DAYS * DAY:
        return np.ones(52), ()
    start = pd.Timestamp(np.datetime64(grid.first // DAY, "D"))
    hours = np.concatenate([np.full(grid.first % DAY, np.nan), grid.y])
    hours = np.concatenate([hours, np.full(-len(hours) % DAY, np.nan)]).reshape(-1, DAY)
    seen = np.isfinite(hours)
    count = seen.sum(axis=1)
    mean = np.where(seen, hours, 0.0).sum(axis=1) / np.maximum(count, 1)
    daily = pd.Series(
        np.where(count >= DAY // 2, mean, np.nan),
        index=pd.date_range(start, periods=len(hours), freq="D"),
    )
    level = daily.rolling(364, center=True, min_periods=250).mean().ffill().bfill()
    ratio = (daily / level).to_numpy()
    week = np.minimum((pd.DatetimeIndex(daily.index).day_of_year.to_numpy() - 1) // 7, 51)
    factor = np.array(
        [np.median(part) if len(part := ratio[(week == w) & np.isfinite(ratio)]) else np.nan for w in range(52)]
    )
    smooth = (
        pd.Series(np.tile(factor, 3)).interpolate(limit_direction="both").rolling(5, center=True, min_periods=1).mean()
    )
    found = smooth.to_numpy()[52:104]
    if not np.isfinite(found).all() or found.mean() <= 0:
        return np.ones(52), ()
    return np.maximum(found / found.mean(), 0.05), ("a yearly season was learned from the history",)
