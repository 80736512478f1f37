r"""Tests that may be looked at any day without raising more false alarms.

**What is looked at** (:func:`sums`).  A curve's standardized surprises z(d), one a day, are added up
by the two sums of Page (1954),

    C⁺(d) = max(0, C⁺(d−1) + z(d) − κ),   C⁻(d) = max(0, C⁻(d−1) − z(d) − κ),   κ = ¼,

which grow where surprises of one sign do not end; κ is half the shift that is to be found, of half a
standard deviation. The larger of both, at its largest so far, is the evidence T(d).

**What is usual** (:func:`ranked`).  T of what came is held against the largest T of N curves over
*all* D days of a quarter, those ahead too, so that it may be looked at on any of them: p(d) = (1 + #{k : T_k(D) ≥
T(d)}) / (N + 1). It only falls, and if what came is one more draw like the N,

    P(some day p ≤ α) = ⌊α(N + 1)⌋ / (N + 1),

whatever the dependence of days, since the curves carry it (Vovk, Gammerman and Shafer 2005). Nothing
is tuned: what the curves are decides how often chance alarms. Each quarter begins anew
(:func:`quarterly`): over a year at once the same error would be spread so thin that a change in its
first months is seen only in its last.

**Surprises against sample paths** (:func:`surprises`).  r(d) is the volume of the seven days up to d
over the median path's, less one; a curve's own level is believed the more, the longer it is seen:

    e(d) = r(d) − Σ_{j ≤ d−7} r(j) / (τ + n(d)),   z = e / sd of the paths' e(d),

n(d) earlier days, τ the variance of weeks within a path over that of levels between paths, as in
best linear prediction. So a level that the plan holds possible is no drift, a change of it is.

**Surprises without paths** (:func:`scores`).  z(d) = Φ⁻¹((rank of day d among the days so far − ½) /
d): if days are exchangeable and no two alike, these are independent of each other and of what is
measured, and curves for comparison are drawn. Days of one value share their ranks: z(d) is then its
mean over all orders in which equal days could stand. T is convex in z, so the evidence is at most the
mean of the T that these orders give (Jensen), each of which is one more draw; days that are all alike
have z = 0 and are never evidence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil

import numpy as np
from scipy.special import ndtri

from planner.arrays import Flags, Floats

DAY, WEEK, QUARTER = 24, 7, 91
REFERENCE = 0.25
SIGNIFICANCE = 0.05  # at or below this p value it is called drift
CURVES = 9999  # drawn for comparison where there are no sample paths
_SEED = 20270101
_TINY = 1e-9
# no two curves differ by less: paths are kept in single precision
_LEAST_SD = 1e-6


@dataclass(frozen=True)
class Evidence:
    """``p_value`` on each day looked at (n,), falling; ``day`` of each look, from 1; ``side`` on
    which the evidence is: ``above`` or ``below``; ``least`` p value that so few curves for comparison
    can give, NaN where nothing was looked at.
    """

    p_value: Floats
    day: Floats
    side: str
    least: float

    def first_below(self, level: float) -> float:
        """The first day on which the p value is at or below ``level``; NaN if there is none."""
        below = np.flatnonzero(self.p_value <= level)
        return float(self.day[below[0]]) if len(below) else float("nan")

    @property
    def last(self) -> float:
        """The p value today; NaN before the first look."""
        return float(self.p_value[-1]) if len(self.p_value) else float("nan")


NOTHING = Evidence(np.empty(0), np.empty(0), "above", float("nan"))


def quarterly(length: int, test: Callable[[slice], Evidence]) -> Evidence:
    """The evidence of all quarters: ``test`` is asked for each, as a slice of the ``length`` days of
    a plan, none much shorter than the others; days count from the first of the plan.

    The p value is the smallest so far of the quarters on the side of the strongest: what one
    quarter found stays known since then, however much stronger a later one finds the same.
    """
    edges = np.linspace(0, length, max(round(length / QUARTER), 1) + 1).astype(int).tolist()
    each = [(a, test(slice(a, b))) for a, b in pairwise(edges)]
    strongest = min((found for _, found in each), key=lambda found: found.last if len(found.day) else np.inf)
    same = [(a, found) for a, found in each if found.side == strongest.side]
    p = np.minimum.accumulate(np.concatenate([found.p_value for _, found in same]))
    return Evidence(p, np.concatenate([found.day + a for a, found in same]), strongest.side, strongest.least)


def against(paths: Floats, came: Floats) -> Evidence:
    """Evidence that a curve is not like the paths.

    ``paths`` (N, D) daily volumes over the plan; ``came`` (D,) what came of a day at the rate of
    the middle path's hours that were observed, NaN on days without observation (those to come).
    """
    if paths.shape[1] < WEEK:
        return NOTHING
    weekly = _weeks(paths)
    middle = np.maximum(np.median(weekly, axis=0), _TINY)
    usual = weekly / middle - 1.0
    believed = _believed_days(usual)
    kept = surprises(usual, believed)
    spread = np.maximum(kept.std(axis=0), _LEAST_SD)
    own = surprises((_weeks(came[None, :]) / middle - 1.0), believed) / spread
    top, _ = sums(kept / spread)
    return ranked(own[0], top[:, -1], WEEK)


def fewest_paths(level: float = SIGNIFICANCE) -> int:
    """The number of paths from which on the strongest evidence reaches a p value of ``level``: the
    least of N paths is 1 / (N + 1).

    >>> fewest_paths(0.05), fewest_paths(0.01)
    (19, 99)
    """
    return ceil(1.0 / level - _TINY) - 1


def _weeks(days: Floats) -> Floats:
    """Sums of seven days, (n, D) → (n, D − 6); NaN where a day is not known."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(days, WEEK, axis=1).sum(axis=2))


def _believed_days(usual: Floats) -> float:
    """τ [days]: variance of weeks within a path over the variance of levels between paths, times
    seven.
    """
    weeks = usual[:, ::WEEK]
    within = float(weeks.var(axis=1, ddof=1).mean()) if weeks.shape[1] > 1 else 0.0
    between = float(weeks.mean(axis=1).var(ddof=1)) - within / weeks.shape[1]
    return float(WEEK * within / max(between, within * 1e-6, 1e-12))


def surprises(usual: Floats, believed: float) -> Floats:
    """What is new in each curve and day, e, (n, days), beside the curve's own past; NaN where
    ``usual`` is.
    """
    known = np.isfinite(usual)
    past, count = np.zeros_like(usual), np.zeros_like(usual)
    past[:, WEEK:] = np.cumsum(np.where(known, usual, 0.0), axis=1)[:, :-WEEK]
    count[:, WEEK:] = np.cumsum(known, axis=1)[:, :-WEEK]
    return usual - past / np.maximum(believed + count, _TINY)


def sums(z: Floats) -> tuple[Floats, Flags]:
    """The evidence T of each curve and day, (n, days), and which side is larger then (True: above);
    a day that is not known (NaN) changes nothing.
    """
    up, down = (_excess(np.where(np.isfinite(z), side - REFERENCE, 0.0)) for side in (z, -z))
    return np.maximum.accumulate(np.maximum(up, down), axis=1), up >= down


def _excess(steps: Floats) -> Floats:
    """C(d) = max(0, C(d−1) + step(d)) of each curve, (n, days): the sum so far less its least."""
    whole = np.cumsum(steps, axis=1)
    return np.asarray(whole - np.minimum(np.minimum.accumulate(whole, axis=1), 0.0))


def ranked(own: Floats, largest: Floats, first: int = 1) -> Evidence:
    """The evidence of surprises ``own`` (n,) among the ``largest`` (N,) of other curves; ``first``:
    the day of the first surprise. Days after the last known one are not looked at.
    """
    known = np.flatnonzero(np.isfinite(own))
    looked = own[: known[-1] + 1] if len(known) else own[:0]
    if not len(looked):
        return NOTHING
    top, above = sums(looked[None, :])
    ordered = np.sort(largest)
    reached = len(ordered) - np.searchsorted(ordered, top[0], side="left")
    when = int(np.argmax(top[0]))  # the day on which the evidence was last raised
    p, day = (1.0 + reached) / (len(ordered) + 1.0), first + np.arange(len(looked), dtype=np.float64)
    return Evidence(p, day, "above" if above[0, when] else "below", 1.0 / (len(ordered) + 1.0))


def changed(days: Floats, length: int) -> Evidence:
    """Evidence that days (n,) stopped being alike, to be looked at on any of ``length`` ≥ n; NaN is
    not known.
    """
    own = np.full(len(days), np.nan)
    known = np.isfinite(days)
    own[known] = scores(days[known][None, :])[0]
    return ranked(own, _usual(length))


@cache
def _usual(length: int) -> Floats:
    """The largest evidence of curves of exchangeable days, (:data:`CURVES`,)."""
    drawn = np.random.default_rng(_SEED).random((CURVES, length))
    return np.asarray(sums(scores(drawn))[0][:, -1])


def scores(curves: Floats) -> Floats:
    """The normal score z of each day among the days of its curve so far, (n, days); days of one
    value have the mean of the scores they share.
    """
    found = np.empty(curves.shape)
    for d, whole in enumerate(_totals(curves.shape[1])):
        before, today = curves[:, :d], curves[:, d : d + 1]
        first, last = (before < today).sum(axis=1), (before <= today).sum(axis=1) + 1
        found[:, d] = (whole[last] - whole[first]) / (last - first)
    return found


@cache
def _totals(length: int) -> list[Floats]:
    """Of each day d of ``length`` the scores of its d + 1 possible ranks, summed up from 0, (d + 2,)."""
    places = [(np.arange(d + 1) + 0.5) / (d + 1) for d in range(length)]
    return [np.concatenate([[0.0], np.cumsum(ndtri(place))]) for place in places]
