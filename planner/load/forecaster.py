"""Quantile forecasts of one hourly series: wall clock, expert blend, pooled misses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from planner.errors import TrafficError
from planner.load.blend import TRAIN_CAP, Backcast, backcast
from planner.load.clock import wall_grid
from planner.load.spread import hourly_quantiles, window_peak

PEAK_WINDOWS_H = (24, 168, 672)


def forecast_quantiles(train: pd.Series[Any], horizon: int, quantiles: Sequence[float]) -> pd.DataFrame:
    """Quantiles of the ``horizon`` hours after ``train``.

    ``train``: hourly rates or counts on a regular DatetimeIndex (UTC), NaN where not observed;
    ``train.attrs`` may carry ``tz`` (the users' IANA zone), ``clock`` (``utc`` if the stamps are
    UTC; ``wall`` if they are the users' clock) and ``holidays`` (country code).  Answer: one column
    a quantile, in the unit of ``train``; ``attrs["peak"]`` gives the .95 quantile of the highest
    hour within 24, 168 and 672 h.  Raises :class:`TrafficError` if there is nothing to learn from.
    """
    if horizon < 1 or not all(0 < q < 1 for q in quantiles):
        raise TrafficError(
            "a forecast needs at least one hour and quantiles between 0 and 1",
            got=(horizon, list(quantiles)),
        )
    index = pd.DatetimeIndex(train.index)
    values = np.asarray(train, dtype=np.float64)
    if not np.isfinite(values).any():
        raise TrafficError(
            "the history holds no observed hour",
            where="forecast_quantiles",
            remedy="Give at least three days",
        )
    low = min(0.0, float(np.nanmin(values)))
    recent = pd.Series(values - low, index=index).iloc[-TRAIN_CAP - 2 :]
    cast, ahead = fit(recent, horizon, zone_of(train.attrs), train.attrs.get("holidays"))
    table = hourly_quantiles(cast, quantiles)[ahead] + low
    found = pd.DataFrame(
        table,
        index=pd.date_range(index[-1], periods=horizon + 1, freq="h")[1:],
        columns=list(quantiles),
    )
    peaks = {h: window_peak(cast, h) for h in PEAK_WINDOWS_H if h <= horizon}
    found.attrs["peak"] = {h: p + low for h, p in peaks.items() if p is not None}
    return found


def fit(history: pd.Series[Any], horizon: int, zone: str | None, country: str | None) -> tuple[Backcast, Any]:
    """Backcast of an hourly history and the place of each future hour in it, shape (horizon,)."""
    grid = wall_grid(history, horizon, zone, country)
    cast = backcast(grid)
    return cast, np.minimum(grid.ahead, cast.hours - 1)


def zone_of(attrs: Any) -> str | None:
    """The zone to move stamps into: the users' ``tz`` where it is known and the stamps are an
    instant, not a wall clock.
    """
    zone = str(attrs.get("tz", "")).split(" ")[0]
    clock = str(attrs.get("clock", "utc"))
    fixed = any(word in clock for word in ("wall", "relative", "shifted"))
    return zone if zone in available_timezones() and not fixed else None
