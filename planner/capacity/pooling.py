"""What replicas bear together: behind a balancer that evens out their load, more for each the more
there are.
"""

from dataclasses import dataclass

import numpy as np

from planner.arrays import Floats, Ints
from planner.capacity.headroom import target_factor
from planner.latency import Goodput, LatencyModel
from planner.scenario import Objective


@dataclass(frozen=True)
class Pooling:
    """A service on a machine whose replicas share one balancer, in all zones.

    ``model`` and ``objective`` decide the goodput of n replicas; ``ceiling_rps`` is what one
    replica's network carries; ``kept_share`` Π factors of the headroom ledger, all but the one of
    ``target_utilization`` (the user's, or ``None``).
    """

    model: LatencyModel
    objective: Objective
    ceiling_rps: float
    kept_share: float
    target_utilization: float | None = None

    def usable_rps(self, replicas: int) -> float:
        """What ``replicas`` may be loaded with together [original requests/s]: g(n) · Π factors, g
        the inverse of the model's latency.
        """
        return _usable_rps(
            self.model.goodput_rps(self.objective, replicas),
            self.ceiling_rps * replicas,
            self.kept_share,
            self.target_utilization,
        )

    def gains(self, most: int) -> tuple[Ints, Floats]:
        """(sizes, gain): what each replica bears in a pool of n over what it bears alone, at each
        size to 8, then every eighth more.

        Not falling; a pool between two sizes is taken at the smaller's gain, which its own latency
        meets.

        ``most`` replicas of the largest pool asked for. The gain is the reverse cumulative minimum,
        so that a dip of a simulated curve never praises a smaller pool.
        """
        sizes = [1]
        while sizes[-1] < most:
            sizes.append(sizes[-1] + max(1, sizes[-1] // 8))
        alone = self.usable_rps(1)
        each = [self.usable_rps(n) / n / alone if alone > 0 else 1.0 for n in sizes]
        return np.array(sizes, dtype=np.int64), np.minimum.accumulate(each[::-1])[::-1]


def _usable_rps(goodput: Goodput, ceiling_rps: float, kept_share: float, target_utilization: float | None) -> float:
    rate = min(goodput.arrival_rate_rps, ceiling_rps)
    if target_utilization is None or not rate:
        return rate * kept_share
    return rate * kept_share * target_factor(target_utilization, goodput.utilization * rate / goodput.arrival_rate_rps)
