r"""Tests that may be looked at any day without raising more false alarms: anytime-valid.

**Against sample paths** (:func:`beyond`).  If what came is one more draw from what the paths were
drawn from, then all N + 1 curves are exchangeable.  The share of hours outside the band up to day t,
standardized by mean and standard deviation of the paths' own shares up to t, is looked at by its
running maximum; the p value on day t is the rank of that maximum among the paths' maxima over the
whole horizon, (1 + #{k : max_s Z_k(s) ≥ max_{s ≤ t} Z(s)}) / (N + 1).  It only falls, and

    P(some day p ≤ α) ≤ α

(less, by the slack that it is given) whatever the dependence between hours, since
the paths carry it: a load that was forecast with an uncertain level stays off its
middle for weeks, and may.

**Against one figure a day** (:func:`bets`).  Hypothesis: whatever came before, a day is above its
bound with probability at most q.  A gambler stakes the share λ of their money on "above" at fair
odds, and puts the share 1/(j·(j+1)) of it into play on day j, so that a change is met whenever it
comes; wealth, averaged over several λ,

    W(t) = mean over λ of [ 1/(t+1) + Σ_j Π_{i=j..t} g(i) / (j·(j+1)) ],  g = 1 + λ·(1−q)/q above, else 1 − λ

is a supermartingale, so that P(some day W ≥ 1/α) ≤ α (Ville 1939); 1/max W is a p value on any day.
"""

from dataclasses import dataclass

import numpy as np

from planner.arrays import Flags, Floats, Singles

STAKES = (0.05, 0.1, 0.25, 0.5, 0.9)  # share of the money, of what may be lost at most
# a forecast of real series is a little too sure of itself: below two weeks, and by up to 5 hours in a
# hundred outside, nothing is said (both chosen on real series whose weeks were shuffled)
FIRST_DAYS = 14
SLACK_SHARE = 0.05
DAY = 24


@dataclass(frozen=True)
class Evidence:
    """``p_value`` on each day looked at (n,), falling; ``day`` of each look, from 1."""

    p_value: Floats
    day: Floats

    def first_below(self, level: float) -> float:
        """The first day on which the p value is at or below ``level``; NaN if there is none."""
        below = np.flatnonzero(self.p_value <= level)
        return float(self.day[below[0]]) if len(below) else float("nan")

    @property
    def last(self) -> float:
        """The p value today; 1 before the first look."""
        return float(self.p_value[-1]) if len(self.p_value) else 1.0


def beyond(outside: Flags, seen: Flags, known: Flags) -> Evidence:
    """Evidence that a curve is outside more often than the paths are.

    ``outside`` (paths, hours) and ``seen`` (hours,): whether each hour lies beyond the band;
    ``known`` (hours,): whether it was observed at all. One look a day.
    """
    hours = np.flatnonzero(known)
    looks = np.arange(FIRST_DAYS * DAY - 1, len(hours), DAY)
    if not len(looks):
        return Evidence(np.empty(0), np.empty(0))
    counts = np.cumsum(outside[:, hours], axis=1, dtype=np.float64)
    mean, spread = counts[:, looks].mean(axis=0), counts[:, looks].std(axis=0)
    usual = np.maximum(spread, 0.5)
    slack = SLACK_SHARE * (looks + 1)
    own = np.maximum.accumulate((np.cumsum(seen[hours])[looks] - mean - slack) / usual)
    top = ((counts[:, looks] - mean) / usual).max(axis=1)
    p = (1.0 + (top[:, None] >= own[None, :]).sum(axis=0)) / (len(top) + 1)
    return Evidence(np.asarray(p, dtype=np.float64), (hours[looks] // DAY + 1.0).astype(np.float64))


def bets(above: Flags, share: float = 0.5) -> Evidence:
    """Evidence that days (n,) are above their bound more often than ``share`` of them."""
    stakes = np.array(STAKES)[:, None]
    gain = np.where(np.asarray(above)[None, :], 1 + stakes * (1 - share) / share, 1 - stakes)
    played, wealth = np.zeros(len(stakes)), np.empty(gain.shape[1])
    for t in range(gain.shape[1]):
        played = (played + 1.0 / ((t + 1) * (t + 2))) * gain[:, t]
        wealth[t] = played.mean() + 1.0 / (t + 2)
    top = np.maximum.accumulate(wealth) if len(wealth) else wealth
    return Evidence(
        np.minimum(1.0, 1.0 / np.maximum(top, 1e-12)).astype(np.float64),
        np.arange(1.0, len(wealth) + 1),
    )


def two_sided(high: Evidence, low: Evidence) -> tuple[float, str]:
    """The smaller p value, doubled (Bonferroni), and its side: ``above`` or ``below``."""
    side = "above" if high.last <= low.last else "below"
    return min(1.0, 2 * min(high.last, low.last)), side


def outside_of(paths: Singles, actual: Floats, band: float) -> dict[str, tuple[Flags, Flags]]:
    """By side: which hours of the paths (paths, hours) and of what came (hours,) lie beyond the
    central ``band`` of the paths.
    """
    low, high = (np.quantile(paths, q, axis=0) for q in ((1 - band) / 2, (1 + band) / 2))
    with np.errstate(invalid="ignore"):
        return {"above": (paths > high, actual > high), "below": (paths < low, actual < low)}
