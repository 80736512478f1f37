"""Quantiles at a few loads, read in between: monotone cubics in the logarithms, and the inverse by repeated sectioning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_SHIFT = 0.05


@dataclass(frozen=True)
class MonotoneCubic:
    """The piecewise cubic through ``(x, y)`` that rises where its points rise (Fritsch & Butland 1984).

    Inner slopes are weighted harmonic means of the two neighboring secants, 0 at a turn; outer ones the three-point formula,
    cut so that they keep the sign and at most three times the secant.  Flat outside the points.
    """

    x: Array
    y: Array
    slope: Array

    @classmethod
    def through(cls, x: ArrayLike, y: ArrayLike) -> "MonotoneCubic":
        """``x`` rising; one point gives a constant."""
        at, value = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if len(at) < 3:
            return cls(at, value, np.full(len(at), (value[-1] - value[0]) / (at[-1] - at[0]) if len(at) == 2 else 0.0))
        h = np.diff(at)
        secant = np.diff(value) / h
        before, after, w1, w2 = secant[:-1], secant[1:], 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        turns = before * after <= 0
        inner = (w1 + w2) / (w1 / np.where(turns, 1.0, before) + w2 / np.where(turns, 1.0, after))
        ends = _end_slope(h[0], h[1], secant[0], secant[1]), _end_slope(h[-1], h[-2], secant[-1], secant[-2])
        return cls(at, value, np.concatenate([ends[:1], np.where(turns, 0.0, inner), ends[1:]]))

    def __call__(self, x: ArrayLike) -> Array:
        """Values at ``x``."""
        if len(self.x) == 1:
            return np.full(np.shape(x), self.y[0])
        at = np.clip(np.asarray(x, dtype=np.float64), self.x[0], self.x[-1])
        k = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, len(self.x) - 2)
        h = self.x[k + 1] - self.x[k]
        t = (at - self.x[k]) / h
        rise = t * t * (3 - 2 * t)
        bend = h * t * (1 - t) * (self.slope[k] * (1 - t) - self.slope[k + 1] * t)
        return np.asarray(self.y[k] + rise * (self.y[k + 1] - self.y[k]) + bend)


def _end_slope(near: float, far: float, secant: float, other: float) -> float:
    slope = ((2 * near + far) * secant - near * other) / (near + far)
    if slope * secant <= 0:
        return 0.0
    return 3 * secant if secant * other <= 0 and abs(slope) > 3 * abs(secant) else slope


@dataclass(frozen=True)
class Curve:
    """A latency quantile against the utilization, from its values at nodes of the odds ρ/(1 − ρ).

    Beyond the last node it grows like 1/(1 − ρ), as heavy traffic does; ``inf`` where ρ ≥ 1.
    """

    top: float
    spline: MonotoneCubic

    @classmethod
    def through(cls, odds: Sequence[float] | Array, values: ArrayLike) -> "Curve":
        """The monotone cubic through (log(odds + 0.05), log value); ``odds`` start at 0."""
        x = np.asarray(odds, dtype=np.float64)
        return cls(float(x[-1]), MonotoneCubic.through(np.log(_SHIFT + x), np.log(np.asarray(values, dtype=np.float64))))

    def at(self, utilization: Array) -> Array:
        """Values at utilizations."""
        stable = utilization < 1
        odds = np.where(stable, utilization / np.where(stable, 1 - utilization, 1.0), np.inf)
        inside = np.exp(self.spline(np.log(_SHIFT + np.minimum(odds, self.top))))
        return np.asarray(inside * np.where(odds > self.top, (1 + odds) / (1 + self.top), 1.0))


def largest(meets: Callable[[Array], NDArray[np.bool_]]) -> float:
    """Largest utilization in [0, 1) that meets a condition which, once broken, stays broken; 0 is taken to meet it."""
    low, high = 0.0, 1.0
    for _ in range(6):
        rho = np.linspace(low, high, 65)[:-1]
        broken = ~meets(rho)
        broken[0] = False
        last = int(broken.argmax()) - 1 if broken.any() else 63
        low, high = float(rho[last]), low + (last + 1) * (high - low) / 64
    return low
