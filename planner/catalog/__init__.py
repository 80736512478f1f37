"""What can be bought: machines, their prices, commitments, storage and network, by provider and region."""

from planner.catalog.snapshot import Catalog

__all__ = ["Catalog"]
