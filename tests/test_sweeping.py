"""A long sweep survives its workers, leaves nobody behind and is taken up where it was killed."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor

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
    return Scenario.from_yaml(small.SCENARIO, folder=folder)


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
import sys, time
from planner.workers import Workers
def work(k):
    import os
    open(sys.argv[1] + "/" + str(os.getpid()), "w").close()
    time.sleep(60)
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


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="asks /proc")
def test_a_killed_parent_leaves_nobody(tmp_path):
    (tmp_path / "pids").mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids")])
    began = time.monotonic()
    while len(os.listdir(tmp_path / "pids")) < 2 and time.monotonic() - began < 60:
        time.sleep(0.1)
    children = [int(p) for p in os.listdir(tmp_path / "pids")]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    while any(map(lives, children)) and time.monotonic() - began < 90:
        time.sleep(0.1)
    assert not any(map(lives, children))


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


def test_a_sweep_that_was_killed_is_taken_up_and_ends_equal(small, tmp_path, monkeypatch):
    variants = {str(z): {"limits.max_spot_share": z} for z in (0.0, 0.1, 0.2)}
    whole = study.sweep(small, variants, paths=6)
    first = dict(list(variants.items())[:2])
    told = []
    study.sweep(small, first, paths=6, results=tmp_path / "rows", progress=told.append)
    assert told == ["1 of 2 variants", "2 of 2 variants"]
    planned = []
    real = study.run
    monkeypatch.setattr(study, "run", lambda s, *a, **k: planned.append(s.limits.max_spot_share) or real(s, *a, **k))
    found = study.sweep(small, variants, paths=6, results=tmp_path / "rows")
    assert planned == [0.2]
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert len(pd.read_parquet(tmp_path / "rows")) == 3


def test_a_variant_whose_worker_was_killed_keeps_its_row_and_is_tried_again(small, tmp_path):
    class Broken(Workers):
        def submit(self, fn, /, *args, **kwargs):
            fatal = args[0].limits.max_spot_share == 0.1
            return super().submit(power, 3) if fatal else super().submit(fn, *args, **kwargs)

    variants = {str(z): {"limits.max_spot_share": z} for z in (0.0, 0.1)}
    with Broken(1) as workers:
        found = study.sweep(small, variants, paths=6, executor=workers, results=tmp_path / "rows")
    assert found["error"].tolist() == ["", study.KILLED]
    assert study.sweep(small, variants, paths=6, results=tmp_path / "rows")["error"].tolist() == ["", ""]
