"""Scenarios kept in the store, as the pages offer them: by the label of a revision, such as
``web-2027@3``, which a link may carry too.

The store is the one of the command line (PLANNER_STORE, or a file of the user the server runs as).
Without the extra ``store`` there is none, and nothing else changes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from planner.errors import StoreError
from planner.scenario import Scenario
from planner.ui import uploads

if TYPE_CHECKING:
    from planner.store import Revision, Store

LABEL = re.compile(r"(.+)@(\d+)")
MOST = 20  # revisions that are offered where a scenario is chosen
MISSING = "pip install 'infra-planner[store]'"


def there() -> bool:
    """Whether scenarios can be kept here."""
    return find_spec("sqlalchemy") is not None and find_spec("platformdirs") is not None


def _open() -> Store:
    from planner.store import Store

    return Store()


# one engine for all sessions; a revision never changes, so what was unpacked once is right for ever
store: Callable[[], Store] = st.cache_resource(show_spinner=False)(_open)


def _unpacked(label: str, digest: str) -> Scenario:
    """A revision's scenario with its files in a folder that lasts as long as the server."""
    folder = uploads.shelf() / f"revision-{digest}"
    with store().revision(label).scenario() as found:
        shutil.copytree(Path(str(found.folder)), folder, dirs_exist_ok=True)
        return found.model_copy(update={"folder": folder})


_scenario: Callable[[str, str], Scenario] = st.cache_resource(max_entries=64, show_spinner=False)(_unpacked)


def revisions(name: str = "") -> list[Revision]:
    """Revisions of one scenario or of all, the newest first; none without a store.

    Raises :class:`StoreError` for a store that cannot be read.
    """
    if not there():
        return []
    return sorted(store().revisions(name), key=lambda r: (r.facts.at, r.facts.number), reverse=True)


def heads() -> list[Revision]:
    """The newest revision of each scenario, that kept last first; none without a store. Raises
    :class:`StoreError` for a store that cannot be read.
    """
    return sorted(store().heads(), key=lambda r: r.facts.at, reverse=True) if there() else []


def labels() -> list[str]:
    """Labels of the revisions kept last, for where a scenario is chosen; none of a store that cannot
    be read, whose page tells why.
    """
    try:
        return list(store().labels(MOST)) if there() else []
    except StoreError:
        return []


def known(label: str) -> bool:
    """Whether a text is the label of a revision that the store holds."""
    try:
        return bool(LABEL.fullmatch(label)) and there() and bool(store().revision(label))
    except StoreError:
        return False


def read(label: str) -> Scenario:
    """The scenario of a revision. Raises :class:`StoreError`."""
    revision = store().revision(label)
    return _scenario(label, revision.facts.sha256)
