"""What a history cannot show of the year ahead: a factor on each path, the wider the thinner it is.

A fortnight shows no year's season, no growth and no break of level, and a year of one service shows
them once. How far off the level of public services really was, after histories cut to days and
weeks, is the only measure of that. Of the 16 or 17 series of ``tests/bench/bench_thin.py`` (two cuts
each) the mean of the whole year ahead lay between P10 and P90 of the forecast in

    none   2 d   7 d   14 d   28 d   56 d   182 d   of history
    90     81    90    90     75     78     81      % of cases

(11 to 33 % without this factor; one series is 6 %, so no figure is told from 80 %).

Symbols: T days observed (at most 364), d days since the end of the history, z one normal score a
path. Factor exp(σ z − σ²/2), of mean 1, so that not knowing adds no demand; with

    σ² = (0.88 − 0.095 ln T)² · e / (e + max(T/2, 14)),   e = max(d − min(28, T/2), 0).

Near the history it is none: there the forecast's own misses say how far off it is. It lies for a
service bound by contract to its level, and is too narrow for one not launched yet.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from planner.arrays import Floats

DAY_US = 86_400_000_000
# measured by tests/bench/bench_thin.py; the largest history that could be judged there is a year
AT_ONE_DAY, LESS_A_FOLD = 0.88, 0.095
LONGEST_D, NEAR_D = 364.0, 14.0
# so far ahead the forecaster's own misses say how far off it is, where half the history is as long
FORECAST_D = 28.0
THIN_D = 182.0  # below half a year an answer says what its history cannot show


def scores(paths: int, rng: np.random.Generator) -> Floats:
    """Evenly spread normal scores in random order, shape (paths,): one a path for all services,
    whose levels are taken to move together.
    """
    from scipy.special import ndtri

    found: Floats = ndtri((rng.permutation(paths) + 0.5) / paths)
    return found


def level_sd(known_d: float, lead_d: Floats) -> Floats:
    """Standard deviation of the logarithm of the level, ``lead_d`` days after a history of
    ``known_d`` days.

    >>> level_sd(2.0, np.array([0.0, 182.0])).round(2).tolist()
    [0.0, 0.78]
    """
    days = min(max(known_d, 1.0), LONGEST_D)
    lead = np.maximum(lead_d - min(FORECAST_D, days / 2), 0.0)
    found: Floats = (AT_ONE_DAY - LESS_A_FOLD * np.log(days)) * np.sqrt(lead / (lead + max(days / 2, NEAR_D)))
    return found


def level_factor(known_d: float, ts: pd.DatetimeIndex, anchor: pd.Timestamp, score: Floats, growth: Floats) -> Floats:
    """Factor of each hour on each path, shape (paths, hours), of mean 1.

    ``anchor``: the end of the history; ``score`` (paths,) from :func:`scores`. ``growth`` (paths,
    hours): what the user's own range of growth does; its variance is not counted twice, so of the
    two ranges the wider holds.
    """
    lead = ts.as_unit("us").asi8 / DAY_US - anchor.timestamp() / 86_400
    own = np.log(growth).var(axis=0)
    sd = np.sqrt(np.maximum(level_sd(known_d, lead) ** 2 - own, 0.0))
    factor: Floats = np.exp(sd[None, :] * score[:, None] - sd[None, :] ** 2 / 2)
    found: Floats = factor / factor.mean(axis=0, keepdims=True)
    return found


def said(known_d: float, horizon_d: float, stated: bool) -> str:
    """The sentence of an answer whose history is thin; empty for one of half a year or more."""
    if known_d >= THIN_D:
        return ""
    sd = float(np.sqrt((level_sd(known_d, np.arange(1.0, max(horizon_d, 2.0))) ** 2).mean()))
    low, high = np.exp(-1.2816 * sd - sd**2 / 2), np.exp(1.2816 * sd - sd**2 / 2)
    what = "no history" if stated else f"{known_d:.0f} days of history"
    return (
        f"{what} cannot show seasons, growth or breaks of the level: the load is taken {low:.2f} to {high:.2f} times"
        " its mean (P10 to P90), as public series were after as little; more history narrows it"
    )
