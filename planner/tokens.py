"""How long the requests of an LLM service are: the joint distribution of input and output tokens.

Means alone mislead: cost and latency depend on the product of both lengths, and they are
correlated.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from planner.arrays import Floats
from planner.errors import PlannerError


class TokenWork(NamedTuple):
    """What the tokens of a mean request are and what they cost a server: tokens of the prompt that
    are computed (``input_tokens``) and found in the prefix cache (``cached_tokens``), tokens
    written (``output_tokens``), and the accelerator time of each kind [s].
    """

    input_tokens: float
    cached_tokens: float
    output_tokens: float
    input_s: float
    cached_s: float
    output_s: float


@dataclass(frozen=True)
class TokenMix:
    """Weighted points of the joint token-length distribution of one service.

    ``input_tokens``, ``output_tokens`` [tokens], float64 arrays of one shape ``(k,)``, output ≥ 1;
    ``weight`` (k,) sums to 1; ``basis`` is ``measured`` (from a request log) or ``assumed``.
    """

    input_tokens: Floats
    output_tokens: Floats
    weight: Floats
    basis: str = "assumed"

    @classmethod
    def of(
        cls, input_tokens: ArrayLike, output_tokens: ArrayLike, weight: ArrayLike | None = None, basis: str = "assumed"
    ) -> "TokenMix":
        """Build and check a mix; scalars make the one-point mix. Raises :class:`PlannerError`.

        >>> TokenMix.of([100, 300], [10, 30], [1, 3]).mean_input_tokens
        250.0
        """
        i = np.atleast_1d(np.asarray(input_tokens, dtype=np.float64))
        o = np.atleast_1d(np.asarray(output_tokens, dtype=np.float64))
        w = np.full(i.shape, 1.0 / i.size) if weight is None else np.atleast_1d(np.asarray(weight, dtype=np.float64))
        if i.shape != o.shape or i.shape != w.shape or i.ndim != 1 or not i.size:
            raise PlannerError(
                "token lengths need one input, one output and one weight each",
                got=(i.shape, o.shape, w.shape),
            )
        if not (
            np.isfinite(i).all()
            and np.isfinite(o).all()
            and (i >= 0).all()
            and (o >= 1).all()
            and np.isfinite(w).all()
            and (w >= 0).all()
            and w.sum() > 0
        ):
            raise PlannerError("token lengths must be finite, input ≥ 0, output ≥ 1, weights ≥ 0 with a positive sum")
        return cls(i, o, w / w.sum(), basis)

    @property
    def mean_input_tokens(self) -> float:
        """Mean prompt length [tokens]."""
        return float(self.weight @ self.input_tokens)

    @property
    def mean_output_tokens(self) -> float:
        """Mean generated length [tokens]."""
        return float(self.weight @ self.output_tokens)
