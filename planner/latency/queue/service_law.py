"""Service-time laws of mean 1 with a given squared coefficient of variation (scv)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.errors import PlannerError

Kind = Literal["deterministic", "gamma", "exponential", "hyperexponential", "lognormal"]


@dataclass(frozen=True)
class ServiceLaw:
    """A law of mean 1: ``kind`` and ``scv`` = variance/mean².

    gamma has shape 1/scv (whole 1/scv is Erlang), hyperexponential two balanced-means branches (scv
    ≥ 1), lognormal σ² = ln(1 + scv).  Raises :class:`PlannerError` where a kind cannot have that
    scv.
    """

    kind: Kind
    scv: float

    def __post_init__(self) -> None:
        """Refuse impossible pairs."""
        fixed = {"deterministic": 0.0, "exponential": 1.0}.get(self.kind)
        wrong = (
            self.scv != fixed
            if fixed is not None
            else self.scv <= 0 or (self.kind == "hyperexponential" and self.scv < 1)
        )
        if wrong or not math.isfinite(self.scv):
            raise PlannerError(
                f"a {self.kind} service time cannot have this scv",
                got=self.scv,
                remedy=(
                    "deterministic has 0, exponential 1, hyperexponential at least 1, gamma and lognormal more than 0"
                ),
            )

    @classmethod
    def of(cls, scv: float, kind: Kind | None = None) -> "ServiceLaw":
        """The usual law of a scv: deterministic at 0, gamma below 1, exponential at 1, lognormal
        above.

        ``scv``: variance over squared mean. The kind is a habit, not a fact: two laws of one scv
        differ in their tails, and p99 with them.

        >>> [ServiceLaw.of(scv).kind for scv in (0, 0.5, 1, 4)]
        ['deterministic', 'gamma', 'exponential', 'lognormal']
        """
        if kind is None:
            kind = "deterministic" if scv == 0 else "exponential" if scv == 1 else "gamma" if scv < 1 else "lognormal"
        return cls(kind, scv)

    @property
    def branches(self) -> tuple[float, float, float]:
        """Hyperexponential with balanced means: (p, rate of the first
        branch, rate of the second).
        """
        p = 0.5 * (1 + math.sqrt((self.scv - 1) / (self.scv + 1)))
        return p, 2 * p, 2 * (1 - p)

    def tail(self, t: ArrayLike) -> Floats:
        """P(S > t)."""
        return 1.0 - self.partial_moment(0, t)

    def partial_moment(self, order: int, t: ArrayLike) -> Floats:
        """E[S^order; S ≤ t] for order 0, 1, 2.

        ``t`` in mean services, any shape. Order 0 is the distribution function; order 1 the share
        of work in requests no longer than t.

        >>> round(float(ServiceLaw.of(1.0).partial_moment(0, 1.0)), 6)
        0.632121
        """
        from scipy.special import gammainc, ndtr

        x = np.maximum(np.asarray(t, dtype=np.float64), 0.0)
        if self.kind == "deterministic":
            return np.where(x >= 1, 1.0, 0.0)
        if self.kind == "lognormal":
            s = math.sqrt(math.log1p(self.scv))
            with np.errstate(divide="ignore"):
                z = np.log(x) / s + s / 2 - order * s
            part: Floats = ndtr(z) * (1 + self.scv) ** (order * (order - 1) / 2)
            return part
        if self.kind == "hyperexponential":
            p, r1, r2 = self.branches
            return np.asarray(p * _exponential_part(order, r1, x) + (1 - p) * _exponential_part(order, r2, x))
        k = 1 / self.scv
        full = (1.0, 1.0, 1 + self.scv)[order]
        return np.asarray(full * gammainc(k + order, k * x))

    def limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S, t)], which is the residual's cdf since the mean is 1."""
        return self.residual_cdf(t)

    def residual_cdf(self, t: ArrayLike) -> Floats:
        """P(S_e ≤ t) of the equilibrium residual, ∫₀ᵗ P(S > u) du.

        What an arriving request finds left of a running one (Cox 1962): of mean (1 + scv)/2.

        >>> round(float(ServiceLaw.of(0.0).residual_cdf(0.25)), 6)
        0.25
        """
        x = np.maximum(np.asarray(t, dtype=np.float64), 0.0)
        return np.minimum(x * self.tail(x) + self.partial_moment(1, x), 1.0)

    def residual_limited_mean(self, t: ArrayLike) -> Floats:
        """E[min(S_e, t)] = t P(S_e > t) + (t² P(S > t) + E[S²; S ≤ t])/2."""
        x = np.maximum(np.asarray(t, dtype=np.float64), 0.0)
        return x * (1 - self.residual_cdf(x)) + 0.5 * (x * x * self.tail(x) + self.partial_moment(2, x))

    def quantile(self, q: float) -> float:
        """The q quantile of S.

        ``q`` [share] below 1.

        >>> round(ServiceLaw.of(1.0).quantile(0.99), 6)
        4.60517
        """
        from scipy.special import gammaincinv, ndtri

        if self.kind == "deterministic":
            return 1.0
        if self.kind == "lognormal":
            s = math.sqrt(math.log1p(self.scv))
            return float(math.exp(s * ndtri(q) - s * s / 2))
        if self.kind == "hyperexponential":
            return _solve(lambda t: float(self.tail(t)) - (1 - q), 60 * (1 + self.scv))
        return float(gammaincinv(1 / self.scv, q) * self.scv)

    def residual_quantile(self, q: float) -> float:
        """The q quantile of S_e."""
        if self.kind == "deterministic":
            return q
        return _solve(lambda t: q - float(self.residual_cdf(t)), 1e4 * (1 + self.scv))


def _exponential_part(order: int, rate: float, x: Floats) -> Floats:
    from scipy.special import gammainc

    return np.asarray(math.factorial(order) / rate**order * gammainc(order + 1, rate * x))


def _solve(falling: Callable[[float], float], high: float) -> float:
    low = 0.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
