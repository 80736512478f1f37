"""One revision: what was asked, on which traffic and prices, what the
answer was, by whom and why.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from planner.catalog import Catalog
from planner.errors import StoreError
from planner.scenario import Scenario
from planner.store.kept import Kept
from planner.store.packing import catalog_of, unpacked


@dataclass(frozen=True)
class Facts:
    """What is written of a revision and never changes.

    ``at``: UTC, ISO 8601; ``before``: SHA-256 of the revision before it, so that none can be
    exchanged unseen; ``content``: SHA-256 over scenario, files, catalog and paths; ``text``,
    ``files``, ``catalog`` as in :class:`planner.store.packing.Packed`; ``kept``: SHA-256 of the
    plan that was kept; ``made_by``: version of the planner; ``tables``: SHA-256 of the bundled
    tables it was worked out with, by name (:func:`planner.data.tables_read`).
    """

    name: str
    number: int
    at: str
    author: str
    why: str
    state: str
    before: str
    content: str
    text: str
    files: Mapping[str, str]
    catalog: Mapping[str, str]
    paths: int
    kept: str
    price_as_of: str
    monthly_mean_usd: float
    made_by: str
    tables: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text whose SHA-256 names the revision; revisions from before tables were written have
        none in it.
        """
        plain = asdict(self)
        if not self.tables:
            del plain["tables"]
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @property
    def day(self) -> str:
        """The day on which it was saved, UTC (ISO date)."""
        return self.at[:10]

    @property
    def sha256(self) -> str:
        """What names the revision."""
        return sha256(self.to_json().encode()).hexdigest()

    def again(self, **changes: Any) -> "Facts":
        """The same question and answer as another revision."""
        return replace(self, **changes)


def content_of(text: str, files: Mapping[str, str], catalog: Mapping[str, str], paths: int) -> str:
    """SHA-256 of all that an answer follows from but the planner itself.

    Two revisions of equal content ask the same question on the same traffic and prices; their
    answers may differ only if the planner does.
    """
    plain = json.dumps([text, dict(files), dict(catalog), paths], sort_keys=True, ensure_ascii=False)
    return sha256(plain.encode()).hexdigest()


@dataclass(frozen=True)
class Revision:
    """A stored revision; what is large is read when it is asked for."""

    facts: Facts
    fetch: Callable[[Mapping[str, str]], dict[str, bytes]] = field(repr=False)

    @property
    def label(self) -> str:
        """``NAME@REV``."""
        return f"{self.facts.name}@{self.facts.number}"

    @cached_property
    def kept(self) -> Kept:
        """The plan as it was saved. Raises :class:`StoreError` if it is damaged."""
        return Kept.from_json(self.fetch({"kept": self.facts.kept})["kept"])

    def catalog(self) -> Catalog:
        """The prices it was planned on. Raises :class:`StoreError` if they are damaged."""
        return catalog_of(self.fetch(self.facts.catalog))

    @contextmanager
    def scenario(self) -> Iterator[Scenario]:
        """The scenario as it was saved, with its files for as long as the block lasts. Raises
        :class:`StoreError` if it is damaged.
        """
        with unpacked(self.facts.text, self.facts.state, self.fetch(self.facts.files)) as found:
            yield found


def facts_of(body: str, digest: str) -> Facts:
    """Facts as they were written. Raises :class:`StoreError` if they were changed since.

    ``digest`` is the SHA-256 stored beside them. Who can write both can forge a single revision;
    the chain of ``before`` then no longer fits the revisions after it.
    """
    facts = Facts(**json.loads(body))
    if sha256(body.encode()).hexdigest() != digest:
        raise StoreError(
            "this revision was changed after it was saved: its SHA-256 differs",
            where=f"{facts.name}@{facts.number}",
            remedy="Take the store back from a copy",
        )
    return facts
