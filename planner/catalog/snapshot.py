"""Catalog: frames of what can be bought, read from snapshots in ``data/catalog``."""

from dataclasses import dataclass

import pandas as pd

from planner import columns


@dataclass(frozen=True)
class Catalog:
    """Prices and shapes of some providers and regions; frames as declared in ``columns.csv`` (``catalog.*``)."""

    instances: pd.DataFrame
    rates: pd.DataFrame
    commitments: pd.DataFrame
    storage: pd.DataFrame
    network: pd.DataFrame

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in ("instances", "rates", "commitments", "storage", "network"):
            object.__setattr__(self, name, columns.check(f"catalog.{name}", getattr(self, name)))
