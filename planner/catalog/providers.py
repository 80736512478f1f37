"""The registry of providers: one line a provider."""

from __future__ import annotations

from typing import NamedTuple


class Provider(NamedTuple):
    """A seller of machines; ``block_storage`` and ``object_storage`` are the classes a plan takes unless told otherwise."""

    title: str
    block_storage: str
    object_storage: str


PROVIDERS: dict[str, Provider] = {
    "aws": Provider("Amazon Web Services", "block/gp3", "object/standard"),
    "gcp": Provider("Google Cloud", "block/pd-balanced", "object/standard"),
    "azure": Provider("Microsoft Azure", "block/standard-ssd", "object/hot-lrs"),
}
