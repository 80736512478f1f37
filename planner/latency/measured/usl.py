"""The Universal Scalability Law: throughput against concurrency, fitted and read, always as a
labeled extrapolation.

X(N) = γN/(1 + α(N − 1) + βN(N − 1)): γ throughput of one, α contention, β coherency (Gunther 1993,
2007). Away from the fitted range it misses by a quarter at four times the load, so it never
replaces measurement.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.errors import PlannerError


@dataclass(frozen=True)
class ScalabilityLaw:
    """``alpha`` contention, ``beta`` coherency, ``gamma`` throughput of one [1/s]."""

    alpha: float
    beta: float
    gamma: float = 1.0

    def throughput(self, load: ArrayLike) -> Floats:
        """X(N) [1/s] at concurrency (or vCPUs) N: a straight line where α = β = 0,
        with a peak where β > 0.

        >>> ScalabilityLaw(0.1, 0.0, 10.0).throughput(11.0).item()
        55.0
        """
        n = np.asarray(load, dtype=np.float64)
        return self.gamma * n / (1 + self.alpha * (n - 1) + self.beta * n * (n - 1))

    @property
    def peak_load(self) -> float:
        """Concurrency of the highest throughput, √((1 − α)/β); ``inf`` where β = 0."""
        return math.sqrt((1 - self.alpha) / self.beta) if self.beta > 0 else math.inf

    @property
    def peak_throughput(self) -> float:
        """X at the peak; Amdahl's limit where there is none."""
        return float(self.throughput(self.peak_load)) if self.beta > 0 else self.amdahl_limit_throughput

    @property
    def amdahl_limit_throughput(self) -> float:
        """γ/α, what contention alone would allow."""
        return self.gamma / self.alpha if self.alpha > 0 else math.inf

    @property
    def optimal_load(self) -> float:
        """1/α: where the linear start meets Amdahl's limit."""
        return 1 / self.alpha if self.alpha > 0 else math.inf

    @classmethod
    def fit(cls, load: Sequence[float], throughput: Sequence[float], *, positive: bool = False) -> "ScalabilityLaw":
        """Least squares on throughput, three parameters; ``positive`` keeps α and β ≥ 0.

        ``load`` N > 0 and ``throughput`` X > 0 of the same length; residuals are over the
        largest X, so the high end counts most. Without ``positive`` α may be negative, which
        means better than linear in the range fitted and nothing beyond it.

        Raises :class:`PlannerError` for fewer than three points or values that are not positive.
        """
        from scipy.optimize import least_squares

        n, x = np.asarray(load, dtype=np.float64), np.asarray(throughput, dtype=np.float64)
        if n.shape != x.shape or n.size < 3 or not (np.isfinite(n) & np.isfinite(x) & (n > 0) & (x > 0)).all():
            raise PlannerError(
                "a scalability fit needs at least three positive (load, throughput) points",
                got=(list(load), list(throughput)),
            )
        scale = float(x.max())

        def residual(p: Floats) -> Floats:
            fitted = p[2] * n / (1 + p[0] * (n - 1) + p[1] * n * (n - 1))
            return np.asarray((fitted - x) / scale)

        start = np.array([0.01, 1e-5, float(x[0] / n[0])])
        low = [0.0, 0.0, 0.0] if positive else [-0.999, -1.0, 0.0]
        found = least_squares(
            residual,
            start,
            bounds=(low, [1.0, 1.0, np.inf]),
            x_scale=[0.01, 1e-4, start[2]],
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=5000,
        ).x
        return cls(*(float(v) for v in found))
