"""The store: scenarios by name, each a row of revisions that only grows."""

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from planner import __version__
from planner.data import tables_read
from planner.errors import StoreError
from planner.store import database as tables
from planner.store.database import Database
from planner.store.gates import MAX_PRICE_AGE_DAYS, check_gates
from planner.store.kept import Kept
from planner.store.packing import compress, pack, restore
from planner.store.revision import Facts, Revision, content_of, facts_of
from planner.study import Study


class Store:
    """Revisions of scenarios, each with who, when and why, its traffic, its prices and its plan.

    Nothing in it changes: a new state is a new revision too. Two people who save at once get two
    numbers; who must not overlook another's says ``after``.
    """

    def __init__(self, address: str | None = None) -> None:
        """Open (or make) the store at ``address``, as :class:`planner.store.database.Database`
        does. Raises :class:`StoreError`.
        """
        self._base = Database(address)
        self.address = self._base.shown

    def save(
        self,
        study: Study,
        why: str,
        *,
        author: str = "",
        after: int | None = None,
        max_age_days: int = MAX_PRICE_AGE_DAYS,
        now: datetime | None = None,
    ) -> Revision:
        """Keep a study as the next revision of its scenario.

        ``author`` defaults to the user of the system; ``after``: number of the revision that it
        follows (0: none), so that what another has saved since is not passed over. Raises
        :class:`StoreError` for an empty ``why``, a shut gate of the scenario's state, another
        revision since, and a store that cannot be written.
        """
        now, kept = now or datetime.now(UTC), Kept.of(study)
        packed = pack(study.scenario, study.catalog)
        state = study.scenario.state
        answer = kept.to_json()
        facts = Facts(
            name=study.scenario.name,
            number=0,
            at="",
            author="",
            why="",
            state=state,
            before="",
            content=content_of(packed.text, packed.files, packed.catalog, study.load.paths),
            text=packed.text,
            files=packed.files,
            catalog=packed.catalog,
            paths=study.load.paths,
            kept=sha256(answer).hexdigest(),
            price_as_of=study.catalog.as_of,
            monthly_mean_usd=kept.summary["monthly_mean_usd"],
            made_by=__version__,
            tables=tables_read(),
        )
        check_gates(
            state,
            self._state(facts.name),
            study.scenario,
            kept,
            today=now.date(),
            max_age_days=max_age_days,
        )
        blobs = {**packed.blobs, facts.kept: compress(answer)}
        return self._append(facts, why, author, now, after, blobs)

    def set_state(
        self,
        name: str,
        state: str,
        why: str,
        *,
        author: str = "",
        after: int | None = None,
        max_age_days: int = MAX_PRICE_AGE_DAYS,
        now: datetime | None = None,
    ) -> Revision:
        """The newest revision again, in another state; ``after``: the number that it must have.

        Raises :class:`StoreError` with every gate that is shut, and where another revision came in
        between.
        """
        now, head = now or datetime.now(UTC), self.revision(name)
        _expected(name, head.facts.number, after)
        with head.scenario() as scenario:
            check_gates(state, head.facts.state, scenario, head.kept, today=now.date(), max_age_days=max_age_days)
        return self._append(head.facts.again(state=state), why, author, now, head.facts.number, {})

    def revisions(self, name: str = "") -> tuple[Revision, ...]:
        """Every revision, of one scenario or of all, oldest first. Raises :class:`StoreError`."""
        wanted = sa.select(tables.revision).order_by(tables.revision.c.name, tables.revision.c.number)
        if name:
            wanted = wanted.where(tables.revision.c.name == name)
        with self._base.reading() as connection:
            rows = connection.execute(wanted).all()
        return tuple(Revision(facts_of(row.body, row.sha256), self._fetch) for row in rows)

    def heads(self) -> tuple[Revision, ...]:
        """The newest revision of each scenario, by name. Raises :class:`StoreError`."""
        of, head = tables.revision.c, tables.scenario.c
        newest = sa.and_(of.name == head.name, of.number == head.head)
        wanted = sa.select(tables.revision).join(tables.scenario, newest).order_by(of.name)
        with self._base.reading() as connection:
            rows = connection.execute(wanted).all()
        return tuple(Revision(facts_of(row.body, row.sha256), self._fetch) for row in rows)

    def labels(self, most: int) -> tuple[str, ...]:
        """Labels of the ``most`` revisions kept last, the last first, without what was kept under
        them. Raises :class:`StoreError`.
        """
        of = tables.revision.c
        with self._base.reading() as connection:
            at = _written(connection, "at")
            wanted = sa.select(of.name, of.number).order_by(at.desc(), of.number.desc()).limit(most)
            return tuple(f"{row.name}@{row.number}" for row in connection.execute(wanted))

    def revision(self, label: str) -> Revision:
        """The revision of ``NAME@REV``, or the newest of ``NAME``. Raises :class:`StoreError` where
        there is none.
        """
        name, sign, number = label.partition("@")
        if sign and not number.isdigit():
            raise StoreError("this is no revision", got=label, remedy="Give NAME@REV, such as chat-2027@3")
        found = [r for r in self.revisions(name) if not sign or r.facts.number == int(number)]
        if not found:
            known = ", ".join(sorted({r.facts.name for r in self.revisions()})) or "nothing yet"
            raise StoreError(
                "the store has no such revision",
                where=self.address,
                got=label,
                remedy=f"It holds {known}",
            )
        return found[-1]

    def _state(self, name: str) -> str | None:
        found = self.revisions(name)
        return found[-1].facts.state if found else None

    def _append(
        self,
        facts: Facts,
        why: str,
        author: str,
        now: datetime,
        after: int | None,
        blobs: Mapping[str, bytes],
    ) -> Revision:
        """The next number of a scenario, with what it needs, in one transaction.

        Contents first, then the number, then the revision: whoever is killed in between leaves
        nothing. Raises :class:`StoreError` for an empty reason.
        """
        if not why.strip():
            raise StoreError("a revision needs a reason", remedy="Say why: --why TEXT")
        said = {
            "at": now.astimezone(UTC).isoformat(timespec="seconds"),
            "author": author or getpass.getuser(),
            "why": why,
        }
        with self._base.writing() as connection:
            for key, body in sorted(blobs.items()):  # in one order, so that two writers never wait in a ring
                _once(connection, tables.blob, {"sha256": key, "body": body})
            number, before = _next(connection, facts.name, after)
            facts = facts.again(number=number, before=before, **said)
            row = {"name": facts.name, "number": number, "sha256": facts.sha256, "body": facts.to_json()}
            connection.execute(tables.revision.insert(), row)
        return Revision(facts, self._fetch)

    def _fetch(self, wanted: Mapping[str, str]) -> dict[str, bytes]:
        """Contents by name, each checked against its SHA-256."""
        ask = sa.select(tables.blob).where(tables.blob.c.sha256.in_(set(wanted.values())))
        with self._base.reading() as connection:
            bodies = {row.sha256: row.body for row in connection.execute(ask)}
        lost = [name for name, key in wanted.items() if key not in bodies]
        if lost:
            raise StoreError("the store lacks a content", where=self.address, got=lost[0], remedy="Take it from a copy")
        return {name: restore(key, bodies[key]) for name, key in wanted.items()}


def _written(connection: Any, key: str) -> Any:
    """What a revision says under a key of its text, as SQL: the text stays in the store."""
    body = tables.revision.c.body
    if connection.dialect.name == "sqlite":
        return sa.func.json_extract(body, f"$.{key}")
    return sa.cast(body, postgresql.JSON)[key].astext


def _once(connection: Any, table: Any, row: Mapping[str, Any]) -> None:
    """Insert a row, unless its key is there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())


def _next(connection: Any, name: str, after: int | None) -> tuple[int, str]:
    """The number that the next revision takes, and the SHA-256 of the one before it.

    Taken by one ``UPDATE … RETURNING``, which holds the row until the transaction ends: two
    writers get two numbers in turn. Raises :class:`StoreError` if another revision than
    ``after`` is the newest.
    """
    _once(connection, tables.scenario, {"name": name, "head": 0})
    heads = tables.scenario.c
    taken = sa.update(tables.scenario).where(heads.name == name).values(head=heads.head + 1).returning(heads.head)
    number = int(connection.execute(taken).scalar_one())
    _expected(name, number - 1, after)
    of = tables.revision.c
    last = sa.select(of.sha256).where(of.name == name, of.number == number - 1)
    return number, str(connection.execute(last).scalar() or "")


def _expected(name: str, newest: int, after: int | None) -> None:
    """Raise :class:`StoreError` if another revision than ``after`` (None: any) is the newest."""
    if after is not None and newest != after:
        raise StoreError(
            f"revision {newest} was saved since revision {after}",
            where=name,
            remedy=f"Look at {name}@{newest}, then save again",
        )
