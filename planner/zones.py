"""What is left when zones are lost: said once for the plan, the ledger of
capacity and the screen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from planner.arrays import Floats, Ints


@dataclass(frozen=True)
class Zones:
    """Machines dealt evenly over ``zones``, of which any ``lost`` may fail at once (lost < zones).

    >>> Zones(3, 1).factor
    1.5
    """

    zones: int = 1
    lost: int = 0

    @property
    def factor(self) -> float:
        """Capacity over load so that what stays serves all of it where it is spread without rest:
        z / (z − l).
        """
        return self.zones / (self.zones - self.lost)

    @property
    def lost_share(self) -> float:
        """Share of evenly spread capacity that a loss takes: l / z."""
        return self.lost / self.zones

    def staying(self, units: Ints) -> Ints:
        """Units left of one kind when the zones that hold most of it are lost, from whichever zone
        on they are dealt: n − l·⌊n / z⌋ − min(l, n mod z).

        >>> Zones(2, 1).staying(np.array([3])).tolist()
        [1]
        """
        left: Ints = units - self.lost * (units // self.zones) - np.minimum(self.lost, units % self.zones)
        return left

    def dealt(self, units: Ints, turn: Ints) -> Ints:
        """How many of ``units`` (…,) each zone gets, shape (…, z), dealing from zone ``turn`` (…,)
        on.
        """
        rest = (np.arange(self.zones) - turn[..., None]) % self.zones < (units % self.zones)[..., None]
        return (units // self.zones)[..., None] + rest

    def worst(self, units: Ints, bears: Sequence[Callable[[Ints], Floats]]) -> Floats:
        """What the mixes still bear when the zones that hurt most are lost, shape (mixes,).

        ``units`` (mixes, kinds) are dealt kind after kind, each going on where the last one
        stopped; ``bears[j]`` tells what a number of units of kind j serves together (the balancer
        spans the zones: what is left of a kind is one smaller pool).  The least over all choices
        of ``lost`` zones.

        >>> Zones(2, 1).worst(np.array([[3]]), [lambda n: 6.0 * n]).tolist()
        [6.0]
        """
        stays = [list(kept) for kept in combinations(range(self.zones), self.zones - self.lost)]
        left, turn = np.zeros((len(stays), len(units))), np.zeros(len(units), dtype=np.int64)
        for j, serves in enumerate(bears):
            in_zone = self.dealt(units[:, j], turn)
            for k, kept in enumerate(stays):
                left[k] += serves(in_zone[:, kept].sum(axis=1))
            turn = (turn + units[:, j]) % self.zones
        worst: Floats = left.min(axis=0)
        return worst
