"""Drift check: was the actual load outside the forecast band more often than it should be?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.paths import Load
from planner.load.traffic import Traffic

DAY = 24
MIN_DAYS = 7


@dataclass(frozen=True)
class Drift:
    """Result for one service.

    ``days`` judged; ``above_share`` and ``below_share`` of hours outside the band;
    ``expected_share`` a side; ``p_value`` of seeing so much by chance; ``drifted`` at the asked
    significance; ``direction``: above, below or none.
    """

    service: str
    days: int
    above_share: float
    below_share: float
    expected_share: float
    p_value: float
    drifted: bool
    direction: str


def drift(load: Load, service: str, actual: Traffic, *, band: float = 0.8, significance: float = 0.05) -> Drift:
    """Test actual traffic against the central ``band`` of the load's paths, hour by hour.

    Hours of a day fail together, so the unit is the day: the daily shares above and below the band
    are compared with (1 − band)/2 by one-sided t tests, the variance widened by the days' own
    correlation (n·(1 − r)/(1 + r) independent days, r of lag 1, at least 0.3) and never below that
    of one coin flip a day; both sides share the significance (Bonferroni). Holds for a week and
    more.  Raises :class:`TrafficError` if fewer than seven days lie on the load's hours.
    """
    from scipy.stats import t as student

    seen = actual.hourly().reindex(load.ts)
    low, high = (load.quantile(service, q) for q in ((1 - band) / 2, (1 + band) / 2))
    day = (np.arange(load.hours) // DAY).astype(np.int64)
    rate = seen.to_numpy(dtype=np.float64)
    known = np.isfinite(rate)
    count = np.bincount(day[known], minlength=day[-1] + 1)
    judged = count >= DAY // 2
    if judged.sum() < MIN_DAYS:
        raise TrafficError(
            f"only {int(judged.sum())} days of actual traffic lie on the plan's hours; {MIN_DAYS} are needed",
            where=service,
            got=f"{actual.start:%Y-%m-%d} to {actual.end:%Y-%m-%d}",
        )
    expected = (1 - band) / 2
    share, p = {}, {}
    for side, out in (("above", rate > high), ("below", rate < low)):
        daily = np.bincount(day[known], weights=out[known].astype(float), minlength=len(count))[judged] / count[judged]
        share[side] = float(daily.mean())
        error, free = _standard_error(daily, expected)
        p[side] = float(student.sf((share[side] - expected) / error, free))
    side = min(p, key=lambda k: p[k])
    value = min(1.0, 2 * p[side])
    gone = value < significance
    return Drift(
        service, int(judged.sum()), share["above"], share["below"], expected, value, gone, side if gone else "none"
    )


def _standard_error(daily: Floats, expected: float) -> tuple[float, float]:
    centered = daily - daily.mean()
    power = float(centered @ centered)
    lag = float(centered[1:] @ centered[:-1]) / power if power > 0 else 0.0
    lag = min(max(lag, 0.3), 0.9)
    days = max(len(daily) * (1 - lag) / (1 + lag), 2.0)
    variance = max(float(daily.var(ddof=1)), expected * (1 - expected) / 4)
    return float(np.sqrt(variance / days)), days - 1
