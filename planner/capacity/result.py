"""The answer of sizing: frames with declared columns, and the models behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from planner import columns
from planner.arrays import Floats
from planner.capacity.pooling import Pooling
from planner.latency import LatencyModel

_KEY = ["service", "provider", "region", "instance_type", "deployment"]


@dataclass(frozen=True)
class Capacity:
    """Sized services.

    ``frame``: one row for each service, machine and deployment (``capacity`` in the dictionary);
    rows that cannot serve have ``usable_rps`` 0 and an ``excuse``.  ``headroom``: the ledger of
    each servable row by cause (``capacity.headroom``); the shares of all causes but ``failure`` and
    ``interruption`` add up to 1 − usable_rps · utilization/goodput_rps.  ``needs``: storage and
    network quantities with drivers (``capacity.needs``). ``models``: the latency model by (service,
    provider, region, instance_type, deployment), servable rows only. ``pools``: by the same key
    where replicas bear more together than alone (usable_rps is that of one alone).
    """

    frame: pd.DataFrame
    headroom: pd.DataFrame
    needs: pd.DataFrame
    models: Mapping[tuple[str, str, str, str, str], LatencyModel] = field(repr=False)
    pools: Mapping[tuple[str, str, str, str, str], Pooling] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        object.__setattr__(self, "frame", columns.check("capacity", self.frame))
        object.__setattr__(self, "headroom", columns.check("capacity.headroom", self.headroom))
        object.__setattr__(self, "needs", columns.check("capacity.needs", self.needs))

    def bears_rps(self, key: tuple[str, str, str, str, str], replicas: ArrayLike) -> Floats:
        """What n ``replicas`` may be loaded with together [original requests/s]: n · usable_rps, or
        more where they pool; same shape.

        ``replicas`` n, any shape; pools between two known sizes are taken at the gain of the
        smaller.
        """
        count = np.asarray(replicas, dtype=np.float64)
        alone = count * self._usable[key]
        if key not in self.pools or not count.size:
            return alone
        sizes, gain = self.pools[key].gains(int(count.max()))
        return np.asarray(alone * gain[np.clip(np.searchsorted(sizes, count, side="right") - 1, 0, None)])

    def borne_rps(self, schedule: pd.DataFrame) -> "pd.Series[float]":
        """What the replicas of each row of a plan's schedule may be loaded with together [original
        requests/s].
        """
        found = pd.Series(np.nan, index=schedule.index, dtype="float64")
        for words, part in schedule.groupby(_KEY, observed=True):
            key = str(words[0]), str(words[1]), str(words[2]), str(words[3]), str(words[4])
            found[part.index] = self.bears_rps(key, part["replicas"].to_numpy())
        return found

    @cached_property
    def _usable(self) -> dict[tuple[str, ...], float]:
        able = self.frame[self.frame["usable_rps"] > 0]
        return dict(zip(able[_KEY].itertuples(index=False, name=None), able["usable_rps"].tolist(), strict=True))
