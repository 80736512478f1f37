"""The registry of providers: one line a provider."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from planner.errors import CatalogError


class Provider(NamedTuple):
    """A seller of machines.

    ``module`` has ``VARIABLE_MAP`` and ``fetch(regions, raw, known_shapes)``, empty where no price
    API can be asked; ``block_storage`` and ``object_storage`` are the classes a plan takes unless
    told otherwise.
    """

    title: str
    module: str
    block_storage: str
    object_storage: str


PROVIDERS: dict[str, Provider] = {
    "aws": Provider("Amazon Web Services", "planner.catalog.aws", "block/gp3", "object/standard"),
    "gcp": Provider("Google Cloud", "planner.catalog.gcp", "block/pd-balanced", "object/standard"),
    "azure": Provider("Microsoft Azure", "planner.catalog.azure", "block/standard-ssd", "object/hot-lrs"),
    "gpu_cloud": Provider(
        "GPU clouds and marketplaces, by the GPU-hour", "", "block/network-volume", "object/standard"
    ),
}


def fetcher(provider: str) -> Callable[..., Any]:
    """The ``fetch`` of a provider; its SDK is imported only now. Raises :class:`CatalogError` where
    there is none.
    """
    module = PROVIDERS[provider].module
    if not module:
        raise CatalogError(
            "this provider has no price API to ask",
            where=provider,
            remedy="Its snapshot is rebuilt by data/build/build_catalog.py",
        )
    fetch: Callable[..., Any] = import_module(module).fetch
    return fetch
