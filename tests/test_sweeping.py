"""A long sweep survives its workers, leaves nobody behind and is taken up where it was killed."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager

import pandas as pd
import pytest

from planner import study
from planner.results import Rows
from planner.scenario import Scenario
from planner.workers import Workers
from tests.builders import small


@pytest.fixture(scope="module", name="small")
def small_scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    small.traffic().to_csv(folder / "web.csv", index=False)
    brief = {"horizon_h": 24, "limits.max_term_months": 0}  # what is planned does not matter here
    return Scenario.from_yaml(small.SCENARIO, folder=folder).replace(**brief)


VARIANTS = {str(z): {"limits.max_spot_share": z} for z in (0.0, 0.1)}


def sweep(scenario, variants=VARIANTS, **options):
    return study.sweep(scenario, variants, paths=2, **options)


@pytest.fixture(scope="module", name="whole")
def uninterrupted(small):
    return sweep(small)


def power(k):
    if k == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return k * k


def test_a_killed_worker_takes_only_its_own_task_along():
    with Workers(2) as workers:
        futures = [workers.submit(power, k) for k in range(8)]
        found = [f.exception() or f.result() for f in futures]
    assert isinstance(found.pop(3), BrokenExecutor)
    assert found == [0, 1, 4, 16, 25, 36, 49]


PARENT = """
import os, sys, time
from planner.workers import Workers
def work(k):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(3600)
if __name__ == "__main__":
    with Workers(2) as workers:
        [workers.submit(work, k) for k in range(2)]
"""


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(event, going_on=lambda: True, limit_s=300):
    """Whether the event came; given up at once where nothing goes on, and only late otherwise: the
    machine may be slow.
    """
    last = time.monotonic() + limit_s
    while not event() and going_on() and time.monotonic() < last:
        time.sleep(0.05)
    return event()


@contextmanager
def running(*command):
    """A process that is killed and reaped whatever happens to the test."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="asks /proc")
def test_a_killed_parent_leaves_nobody(tmp_path):
    (tmp_path / "pids").mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")

    def children():
        return [int(p) for p in os.listdir(tmp_path / "pids")]

    with running(sys.executable, str(script), str(tmp_path / "pids")) as parent:
        assert wait_for(lambda: len(children()) == 2, going_on=lambda: parent.poll() is None)
        assert all(map(lives, children()))
    assert wait_for(lambda: not any(map(lives, children())))


def test_rows_are_kept_whole_and_damage_is_made_anew(tmp_path):
    rows = Rows(tmp_path / "rows")
    rows["a"] = {"total_usd": 1.5, "error": ""}
    assert rows["a"] == {"total_usd": 1.5, "error": ""}
    assert rows["b"] is None
    (tmp_path / "rows" / "row-a.parquet").write_bytes(b"half")
    (tmp_path / "rows" / ".row-c.part").write_bytes(b"half")
    again = Rows(tmp_path / "rows")
    assert again["a"] is None
    assert not list((tmp_path / "rows").glob(".row-*"))


def test_a_sweep_that_was_killed_is_taken_up_and_ends_equal(small, whole, tmp_path, monkeypatch):
    told, planned = [], []
    sweep(small, dict(list(VARIANTS.items())[:1]), results=tmp_path / "rows", progress=told.append)
    assert told == ["1 of 1 variants"]
    real = study.unproven
    monkeypatch.setattr(
        study, "unproven", lambda s, *a, **k: planned.append(s.limits.max_spot_share) or real(s, *a, **k)
    )
    found = sweep(small, results=tmp_path / "rows", progress=told.append)
    assert told[1:] == ["1 of 2 variants were there", "2 of 2 variants"]
    assert planned == [0.1]
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert len(pd.read_parquet(tmp_path / "rows")) == 2


class Broken(Workers):
    """Kills the worker of one variant."""

    def submit(self, fn, /, *args, **kwargs):
        fatal = args[0].limits.max_spot_share == 0.1
        return super().submit(power, 3) if fatal else super().submit(fn, *args, **kwargs)


def test_a_variant_whose_worker_was_killed_keeps_its_row_and_is_tried_again(small, whole, tmp_path):
    with Broken(1) as workers:
        found = sweep(small, executor=workers, results=tmp_path / "rows")
    assert found["error"].tolist() == ["", study.KILLED]
    pd.testing.assert_frame_equal(sweep(small, results=tmp_path / "rows"), whole, check_exact=True)


def test_a_variant_without_a_plan_says_why_and_follows_no_way_out(small, monkeypatch):
    """Ways out are for the one who asks for a plan; a row of a sweep is not the place where they are read."""
    followed = []
    monkeypatch.setattr(study, "tried", lambda error, *_: followed.append(error) or error)
    row = sweep(small, {"none": {"limits.budget_usd_per_month": 0.01}}).iloc[0]
    assert not followed
    assert "above the budget" in row["error"]
    assert "raise" not in row["error"]
