"""Quantiles at a few loads, read in between: monotone cubics in the logarithms, and the inverse by
repeated sectioning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Flags, Floats

_SHIFT = 0.05


@dataclass(frozen=True)
class Curve:
    """A latency quantile against the utilization, from its values at nodes of the odds ρ/(1 − ρ).

    Beyond the last node it grows like 1/(1 − ρ), as heavy traffic does; ``inf`` where ρ ≥ 1.
    """

    top: float
    spline: Callable[[Floats], Floats]

    @classmethod
    def through(cls, odds: Sequence[float] | Floats, values: ArrayLike) -> "Curve":
        """The monotone cubic (Fritsch & Butland 1984) through (log(odds + 0.05), log value);
        ``odds`` start at 0.

        ``odds`` (n,) ρ/(1 − ρ), rising; ``values`` (n,) above 0, not falling. Logarithms make a law
        that diverges like 1/(1 − ρ) nearly straight, and a monotone cubic never falls between
        nodes, so more load never looks faster.

        >>> line = Curve.through([0.0, 1.0, 9.0], [1.0, 2.0, 10.0])
        >>> round(float(line.at(np.array(0.5))), 6)
        2.0
        """
        from scipy.interpolate import PchipInterpolator

        x = np.asarray(odds, dtype=np.float64)
        return cls(float(x[-1]), PchipInterpolator(np.log(_SHIFT + x), np.log(np.asarray(values, dtype=np.float64))))

    def at(self, utilization: Floats) -> Floats:
        """Values at utilizations.

        ``utilization`` ρ, any shape; the same shape comes back, ``inf`` where ρ ≥ 1.
        """
        stable = utilization < 1
        odds = np.where(stable, utilization / np.where(stable, 1 - utilization, 1.0), np.inf)
        inside = np.exp(self.spline(np.log(_SHIFT + np.minimum(odds, self.top))))
        return np.asarray(inside * np.where(odds > self.top, (1 + odds) / (1 + self.top), 1.0))


def largest(meets: Callable[[Floats], Flags]) -> float:
    """Largest utilization in [0, 1) that meets a condition which, once broken, stays broken; 0 is
    taken to meet it.

    Six times 64 sections bring it within 64⁻⁶ ≈ 1.5e-11 from below; ``meets`` is asked for whole
    arrays.

    >>> round(largest(lambda rho: rho * rho <= 0.25), 9)
    0.5
    """
    low, high = 0.0, 1.0
    for _ in range(6):
        rho = np.linspace(low, high, 65)[:-1]
        broken = ~meets(rho)
        broken[0] = False
        last = int(broken.argmax()) - 1 if broken.any() else 63
        low, high = float(rho[last]), low + (last + 1) * (high - low) / 64
    return low
