"""The tables of the store, and the one way to them: SQLite by default, PostgreSQL by address.

``revision`` and ``blob`` only grow: triggers refuse to change or delete a row. A scenario's number
is taken by ``UPDATE scenario SET head = head + 1 … RETURNING head`` inside the transaction that
writes the revision, so numbers have no gap and no double, whoever else writes; a process that is
killed leaves the old head. SQLite keeps its rollback journal: the store is one file, which may be
copied and read where it cannot be written; writers take their turn (``BEGIN IMMEDIATE``).
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from platformdirs import user_data_path

from planner.errors import PlannerError, StoreError

SCHEMA = 1
# where the store is, unless an address is given
ENVIRONMENT = "PLANNER_STORE"
_WAIT_S = 30
_BACKENDS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_LOCK = 0x706C616E  # of PostgreSQL, while the tables are made

metadata = sa.MetaData()
version = sa.Table("planner_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
blob = sa.Table(
    "blob",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
scenario = sa.Table(
    "scenario",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("head", sa.Integer, nullable=False),
)
revision = sa.Table(
    "revision",
    metadata,
    sa.Column("name", sa.String(200), sa.ForeignKey("scenario.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_GUARDED = ("revision", "blob")
_FUNCTION = (
    "CREATE OR REPLACE FUNCTION planner_append_only() RETURNS trigger AS "
    "$$ BEGIN RAISE EXCEPTION 'the store only grows'; END $$ LANGUAGE plpgsql"
)


class Database:
    """One store: :meth:`reading` and :meth:`writing` are its only transactions."""

    def __init__(self, address: str | None = None) -> None:
        """Open the store at ``address``: ``sqlite:///FILE``, a file, or
        ``postgresql://USER:PASSWORD@HOST/DATABASE``; made where there is none.

        Without one: the environment variable PLANNER_STORE, else a file in the user's data folder.
        Raises :class:`StoreError` for an address that cannot be read, a server that does not
        answer, and a store that a newer version made.
        """
        url = _url(address or os.environ.get(ENVIRONMENT) or _default())
        self.shown = url.render_as_string(hide_password=True)
        with self._door():
            self._engine = sa.create_engine(url, poolclass=sa.NullPool, **_options(url))
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _no_own_begin)
            sa.event.listen(self._engine, "begin", _begin)
        self._prepare()

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A transaction that reads. Raises :class:`StoreError`."""
        with self._door(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A transaction that writes: all of it stands when the block ends, or nothing. Raises
        :class:`StoreError`.
        """
        with self._door(), self._engine.execution_options(planner_writes=True).begin() as connection:
            yield connection

    def _prepare(self) -> None:
        """Make the tables where there are none; refuse those of another version.

        Two processes may find no tables at once: the second finds those of the first inside its
        own transaction and makes none.
        """
        with self.reading() as connection:
            there = sa.inspect(connection).has_table(version.name)
        if not there:
            with self.writing() as connection:
                _make(connection)
        with self.reading() as connection:
            found = connection.execute(sa.select(sa.func.max(version.c.version))).scalar()
        if found != SCHEMA:
            raise StoreError(
                f"this store has tables of version {found}; this planner knows version {SCHEMA}",
                where=self.shown,
                remedy="Update the planner: pip install -U 'infra-planner[store]'",
            )

    @contextmanager
    def _door(self) -> Iterator[None]:
        """What breaks in the database becomes one sentence with the way out."""
        try:
            yield
        except PlannerError:
            raise
        except ModuleNotFoundError as error:
            raise StoreError(
                f"this kind of store needs {error.name}",
                where=self.shown,
                remedy="pip install 'infra-planner[store]'",
            ) from None
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise _told(error, self.shown) from None


def _default() -> str:
    """The file in the user's data folder."""
    return str(user_data_path("infra-planner", appauthor=False) / "store.db")


def _url(address: str) -> Any:
    """The address as SQLAlchemy knows it; a text without ``://`` is a file of SQLite.

    Raises :class:`StoreError` for another kind of database and for one in memory, which would
    forget; a password in the address is not shown.
    """
    text = address if "://" in address else f"sqlite:///{address}"
    try:
        url = sa.make_url(text)
        backend = _BACKENDS.get(url.get_backend_name())
    except (sa.exc.ArgumentError, ValueError):
        backend = None
    if backend is None or (backend == "sqlite" and url.database in (None, "", ":memory:")):
        raise StoreError(
            "this is no address of a store",
            got=re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", address),
            remedy="Give a file, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
        )
    url = url.set(drivername=backend)
    if backend == "sqlite" and url.database and not url.database.startswith("file:"):
        _folder(Path(url.database).parent)
    return url


def _folder(folder: Path) -> None:
    """Make the folder of the store. Raises :class:`StoreError` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder of the store cannot be made: {error.strerror or error}",
            where=folder,
            remedy="Give another place: --store FILE",
        ) from None


def _options(url: Any) -> dict[str, Any]:
    """How long to wait: 30 s for the lock of a file, 10 s for a server to answer."""
    wait = {"timeout": _WAIT_S} if url.get_backend_name() == "sqlite" else {"connect_timeout": _WAIT_S // 3}
    return {"connect_args": wait}


def _no_own_begin(connection: Any, _: Any) -> None:
    """The driver must not begin transactions by its own rules (documented way of SQLAlchemy)."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Any) -> None:
    """Begin a transaction of SQLite: a writer takes its turn at once (``BEGIN IMMEDIATE``), so
    that two that read before they write cannot both hold a stale head.
    """
    writes = connection.get_execution_options().get("planner_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make(connection: Any) -> None:
    """All tables, unless another process has just made them.

    With triggers that refuse ``UPDATE`` and ``DELETE`` on revisions and contents. They guard
    against mistakes: who owns the database can drop them, and a change of what was saved
    then shows by its SHA-256.
    """
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if sa.inspect(connection).has_table(version.name):
        return
    metadata.create_all(connection)
    connection.execute(version.insert(), {"version": SCHEMA})
    if not sqlite:
        connection.exec_driver_sql(_FUNCTION)
    for table in _GUARDED:
        for change in ("UPDATE", "DELETE"):
            act = (
                "BEGIN SELECT RAISE(ABORT, 'the store only grows'); END"
                if sqlite
                else "FOR EACH ROW EXECUTE FUNCTION planner_append_only()"
            )
            connection.exec_driver_sql(f"CREATE TRIGGER {table}_{change.lower()} BEFORE {change} ON {table} {act}")


# what a driver says, and what to do about it
_REMEDIES = (
    ("readonly database|read-only|permission denied|unable to open", "Give a place that can be written: --store FILE"),
    ("not a database|malformed", "Give the file of a store, or a name that is not taken yet"),
    ("locked", "Another process holds the store; try again"),
    ("password|authentication|role .* does not exist", "Check user and password of the address"),
    ("database .* does not exist", "Make it first: createdb DATABASE"),
    ("connect|timeout|resolve|closed|server", "Check that the server runs and that its address is right"),
)


def _told(error: Exception, shown: str) -> StoreError:
    """What the database said, in one line, with the remedy that its words call for."""
    cause = str(getattr(error, "orig", None) or error).strip()
    said = next((line.strip() for line in cause.splitlines() if line.strip()), type(error).__name__)
    remedy = next((r for words, r in _REMEDIES if re.search(words, said, re.IGNORECASE)), "Check the store")
    return StoreError(f"the store cannot be used: {said[:200]}", where=shown, remedy=remedy)
