"""A folder of files is one thing: killed, raced or out of room, it holds one whole set."""

import errno
import itertools
import json
import os
import resource
import signal
import time
import warnings
from contextlib import contextmanager

import pytest

from planner.errors import PlannerError
from planner.export import together


def write(folder, *names, text="new"):
    return together.write_set({name: text.encode() for name in names}, folder)


def held(folder):
    """What the files of a folder say, once each file of its manifest is there."""
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert sorted([*listed, "manifest.json"]) == sorted(p.name for p in folder.iterdir())
    return {(folder / name).read_text() for name in listed}


def test_a_set_replaces_the_one_before_and_leaves_what_is_not_its_own(tmp_path):
    folder = tmp_path / "out"
    write(folder, "a.csv", "b.csv", text="old")
    (folder / "notes.txt").write_text("mine")
    write(folder, "a.csv", "c.csv")
    assert sorted(p.name for p in folder.iterdir()) == ["a.csv", "c.csv", "manifest.json", "notes.txt"]
    assert (folder / "a.csv").read_text() == "new"
    assert (folder / "notes.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_law_54_a_fault_leaves_the_old_set(tmp_path):
    folder = tmp_path / "out"
    write(folder, "a.csv", "b.csv", text="old")
    with pytest.raises(PlannerError, match="cannot be written"):
        write(folder, "a.csv", "no/such/folder.csv")
    assert held(folder) == {"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_is_no_folder_of_its_own_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PlannerError, match="cannot be written"):
        write(tmp_path / "file", "a.csv")
    (tmp_path / "full" / "inner").mkdir(parents=True)
    with pytest.raises(PlannerError, match="holds folders"):
        write(tmp_path / "full", "a.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlannerError, match="current one"):
        write(".", "a.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_where_names_cannot_be_exchanged_two_renames_do(tmp_path, monkeypatch, code):
    folder = tmp_path / "out"
    write(folder, "a.csv", text="old")
    monkeypatch.setattr(together, "_renameat2", lambda *_: code)
    write(folder, "a.csv")
    assert held(folder) == {"new"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    folder.rename(tmp_path / ".out.old")  # killed between the two
    with pytest.raises(PlannerError):
        write(folder, "a.csv", "no/such/folder.csv")
    assert held(folder) == {"new"}


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "a.csv")
    assert (tmp_path / "link").is_symlink()
    assert held(tmp_path / "real") == {"new"}


def test_a_full_disk_leaves_the_old_files(tmp_path):
    """The system ends every file at 2,000 bytes, as a full disk does."""
    write(tmp_path / "out", "a.csv", text="old")
    together.write_file(b"old", tmp_path / "one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(PlannerError, match="cannot be written"):
            write(tmp_path / "out", "a.csv", "b.csv", text="new" * 2000)
        with pytest.raises(PlannerError, match="cannot be written"):
            together.write_file(b"new" * 2000, tmp_path / "one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert held(tmp_path / "out") == {"old"}
    assert (tmp_path / "one").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "out"]


def test_what_is_no_file_keeps_its_place(tmp_path):
    """A pipe or a device is written to, never replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    together.write_file(b"new", pipe)
    assert os.read(reading, 10) == b"new"
    os.close(reading)
    assert pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


class Endless:
    """A process that writes set after set, every second number from ``first`` on, until it is killed; each file of
    a set says its number, and each whole set is told through a pipe."""

    def __init__(self, folder, first):
        self.told, tell = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking where threads run: it only writes files
            self.pid = os.fork()
        if not self.pid:
            self._write(folder, first, tell)
        os.close(tell)

    def _write(self, folder, first, tell):
        try:
            for k in itertools.count(first, 2):
                together.write_set({f"{n}.csv": f"{k}\n".encode() * 3000 for n in range(8)}, folder)
                os.write(tell, b".")
        finally:
            os._exit(1)

    def wait(self):
        return os.read(self.told, 1)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.told)


@pytest.mark.slow
def test_law_54_killed_at_any_time_the_folder_holds_one_whole_set(tmp_path):
    """Sixty kills at moments spread over a write; each time all files are of one set, and the next run clears
    what was left."""
    folder, whole = tmp_path / "out", 0
    for k in range(60):
        writer = Endless(folder, k)
        writer.wait()
        began = time.perf_counter()
        writer.wait()
        time.sleep((time.perf_counter() - began) * (k % 20) / 20)
        writer.kill()
        whole += len(held(folder)) == 1
    assert whole == 60
    write(folder, "last.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_two_writers_and_a_reader_never_see_a_mixture(tmp_path):
    folder = tmp_path / "out"
    write(folder, "0.csv", text="0")
    writers = [Endless(folder, k) for k in (0, 1)]
    for writer in writers:
        writer.wait()
    seen = set()
    for turn in range(100_000):
        with opened(folder) as at:  # a reader that has the folder open reads one set
            texts = {_read(at, f"{n}.csv") for n in range(8)}
        seen |= texts
        assert len(texts - {None}) <= 1
        if turn >= 300 and len({int(t.split()[0]) % 2 for t in seen - {None}}) == 2:
            break
    for writer in writers:
        writer.kill()
    assert len(held(folder)) == 1
    assert len({int(t.split()[0]) % 2 for t in seen - {None}}) == 2


@contextmanager
def opened(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _read(at, name):
    """A file of an open folder; ``None`` once a writer has replaced and removed it."""
    try:
        handle = os.open(name, os.O_RDONLY, dir_fd=at)
    except FileNotFoundError:
        return None
    with os.fdopen(handle) as file:
        return file.read()
