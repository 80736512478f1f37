"""Many write at once and some are killed: numbers have no gap, and what stands is whole; on SQLite and on
a PostgreSQL server of its own.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from planner.errors import StoreError
from planner.store import Store
from tests.builders import revisions

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")]
WRITERS, WRITES = 4, 50
FORK = multiprocessing.get_context("fork")


@cache
def one_study():
    return revisions.study()


def binaries():
    """Folder of the server's programs, which Debian does not put on the path."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((p for p in reversed(places) if (p / "initdb").exists()), None)


@pytest.fixture(scope="module", name="server")
def a_server_of_ones_own(tmp_path_factory):
    """Address of a fresh PostgreSQL, which never runs as root: root lends it the user ``postgres``."""
    programs, folder = binaries(), tmp_path_factory.mktemp("server")
    if programs is None:
        pytest.skip("no PostgreSQL on this machine (apt install postgresql)")
    user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
        shared = Path(tempfile.gettempdir()).resolve()
        for parent in folder.resolve().parents:
            if parent == shared or shared not in parent.parents:
                break
            parent.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"check": True, "capture_output": True, "timeout": 120, "cwd": folder, **user}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "planner", "-A", "trust", "-N"], **quiet)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    start = [programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start"]
    subprocess.run(start, check=True, timeout=120, cwd=folder, stdout=subprocess.DEVNULL, **user)
    yield f"postgresql://planner@127.0.0.1:{port}/"
    subprocess.run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **quiet)


@pytest.fixture(name="address", params=["sqlite", "postgresql"])
def an_address_of_a_new_store(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server = request.getfixturevalue("server")
    name = f"store_{abs(hash(request.node.name))}"
    engine = sa.create_engine(
        server.replace("postgresql:", "postgresql+psycopg:") + "postgres", isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server + name


def write(address, writer):
    store = Store(address)
    for k in range(WRITES):
        store.save(one_study(), f"write {k}", author=f"writer {writer}")


def test_four_writers_of_fifty_leave_two_hundred_revisions_without_a_gap(address):
    one_study()
    writers = [FORK.Process(target=write, args=(address, k)) for k in range(WRITERS)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(600)
    assert [p.exitcode for p in writers] == [0] * WRITERS
    found = Store(address).revisions("hand-made")
    assert [r.facts.number for r in found] == list(range(1, WRITERS * WRITES + 1))
    assert [r.facts.before for r in found] == ["", *(r.facts.sha256 for r in found[:-1])]
    for k in range(WRITERS):
        mine = [r.facts.why for r in found if r.facts.author == f"writer {k}"]
        assert mine == [f"write {n}" for n in range(WRITES)]


def killed_at(address, study, statement, after):
    """Save in a process that is killed before or after its ``statement``-th one; whether it got there."""

    def child():
        store, seen = Store(address), [0]

        def count(*_):
            seen[0] += 1
            if seen[0] == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(store._base._engine, f"{'after' if after else 'before'}_cursor_execute", count)
        if statement == 0:  # where the driver is told to commit
            sa.event.listen(store._base._engine, "commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        store.save(study, "killed while it was written", author="ada")

    process = FORK.Process(target=child)
    process.start()
    process.join(120)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_the_old_or_the_new_stands(address, after):
    """New traffic, prices and plan each time, so that every statement of a save is one that writes."""
    store, statement, kills = Store(address), 0, 0
    store.save(one_study(), "before", author="ada")
    while killed_at(address, revisions.study(2.0 + statement), statement, after):
        kills += 1
        found = store.revisions("hand-made")
        assert [r.facts.number for r in found] == list(range(1, len(found) + 1))
        assert len(found) == 1
        assert found[-1].kept.months > 2
        statement += 1
    assert kills >= 8
    assert [r.facts.number for r in store.revisions("hand-made")] == [1, 2]
    assert store.revision("hand-made").kept.requests["web"] == 1e6 * (2.0 + statement)


def test_a_server_that_goes_away_is_told(server):
    store = Store(server + "postgres")
    store.save(one_study(), "before", author="ada")
    with pytest.raises(StoreError, match=r"does not exist.*createdb"):
        Store(server + "no_such_database")
    port = server.rpartition(":")[2].rstrip("/")
    with pytest.raises(StoreError, match="Check that the server runs"):
        Store(server.replace(port, "9") + "postgres")
