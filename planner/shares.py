"""What a mix of machines may be loaded with where no type of them may carry more than a share of the
load: said once for the plan and its replay.
"""

import numpy as np

from planner.arrays import Floats


def largest_load(by_type: Floats, share: float) -> Floats:
    """The largest L with Σ_types min(c_i, share · L) ≥ L of each mix, (mixes,) [requests/s], apart from
    L ≤ Σ c_i, which is for the caller to see to.

    ``by_type`` (mixes, types) c_i [requests/s].  With the m largest types at their share, L ≤ Σ of
    the others / (1 − m · share) for every m ≥ 1 with m · share < 1; the least of these.  One type
    alone with a share below 1 serves nothing:

    >>> largest_load(np.array([[10.0]]), 0.5).tolist()
    [0.0]
    >>> largest_load(np.array([[10.0, 4.0]]), 0.5).tolist()
    [8.0]
    """
    tail = by_type.sum(axis=1)[:, None] - np.cumsum(-np.sort(-by_type, axis=1), axis=1)
    found: Floats = np.full(len(by_type), np.inf)
    for capped in range(1, by_type.shape[1] + 1):
        if capped * share < 1 - 1e-12:
            found = np.minimum(found, tail[:, capped - 1] / (1.0 - capped * share))
    return found
