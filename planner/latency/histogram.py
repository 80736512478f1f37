"""Logarithmic histograms of simulated times: a bin is an octave's 1/256th, so a quantile is within
0.3 %.

The bin of a time is the top bits of its IEEE 754 double.  Simulations draw their requests in chunks
and count each chunk before the next, so their memory does not grow with the requests.
"""

import numpy as np

from planner.arrays import Ints

CHUNK = 1 << 15
SHIFT = 44
LOWEST = (1023 - 24) << 8
BINS = 48 << 8


def histogram_quantile(histogram: Ints, q: float) -> float:
    """Time below which a share ``q`` of the counted times lies, evenly spread within a bin.

    ``histogram`` (BINS,) counts; ``q`` [share] in 0–1.  Times below 2⁻²⁴ or above 2²⁴ units stand
    in the outermost bins, so quantiles there are bounds.

    >>> counts = np.zeros(BINS, dtype=np.int64)
    >>> counts[(int(np.float64(2.0).view(np.int64)) >> SHIFT) - LOWEST] = 10
    >>> histogram_quantile(counts, 0.5)
    2.00390625
    """
    total = np.cumsum(histogram)
    goal = q * total[-1]
    k = int(np.searchsorted(total, goal))
    before = total[k - 1] if k else 0
    edges = (np.array([k, k + 1], dtype=np.int64) + LOWEST << SHIFT).view(np.float64)
    return float(edges[0] + (edges[1] - edges[0]) * (goal - before) / max(histogram[k], 1))
