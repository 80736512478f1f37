"""What can be bought: machines, their prices, commitments, storage and network, by provider and
region.
"""

from planner.catalog.lookup import explain, search
from planner.catalog.providers import PROVIDERS, Provider, provider_of
from planner.catalog.refreshing import Refreshed, diff, import_prices, refresh
from planner.catalog.snapshot import GLOBAL, Catalog
from planner.catalog.tiers import Tier

__all__ = [
    "GLOBAL",
    "PROVIDERS",
    "Catalog",
    "Provider",
    "Refreshed",
    "Tier",
    "diff",
    "explain",
    "import_prices",
    "provider_of",
    "refresh",
    "search",
]
