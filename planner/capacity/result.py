"""The answer of sizing: frames with declared columns, and the models behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from planner import columns
from planner.capacity.pooling import Pooling
from planner.latency import LatencyModel


@dataclass(frozen=True)
class Capacity:
    """Sized services.

    ``frame``: one row for each service, machine and deployment (``capacity`` in the dictionary); rows that
    cannot serve have ``usable_rps`` 0 and an ``excuse``.  ``headroom``: the ledger of each servable row by cause
    (``capacity.headroom``); the shares of all causes but ``failure`` and ``interruption`` add up to 1 − usable_rps ·
    utilization/goodput_rps.  ``needs``: storage and network quantities with drivers (``capacity.needs``).
    ``models``: the latency model by (service, provider, region, instance_type, deployment), servable rows only.
    ``pools``: by the same key where replicas bear more together than alone (usable_rps is that of one alone).
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
