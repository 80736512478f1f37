"""Nothing but the answer on standard output, whatever versions of the dependencies are installed:
each command as a process, read whole, by a JSON parser, and by a reader that has seen enough.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from planner.cli import main
from tests.builders import small

SMALL = ["small.yaml", "--paths", "10"]
VARIED = ["--vary", "limits.zones=1,2"]
ANSWERS = {
    "plan": ["plan", *SMALL],
    "plan --json": ["plan", *SMALL, "--json"],
    "forecast": ["forecast", *SMALL],
    "simulate": ["simulate", *SMALL],
    "policy": ["policy", *SMALL],
    "compare": ["compare", *SMALL, "--set", "limits.zones=2"],
    "sweep": ["sweep", *SMALL, *VARIED],
    "frontier": ["frontier", *SMALL, "--vary", "services.web.objective.latency_p99_s=0.2,0.3", "--whole", "0"],
    "operate": ["operate", *SMALL, "--out", "ops"],
    "columns": ["columns"],
    "look": ["look", "web.csv"],
    "catalog show": ["catalog", "show"],
    "catalog search": ["catalog", "search", "m6a"],
    "catalog explain": ["catalog", "explain", "m6a.xlarge", "--region", "us-east-1"],
    "catalog age": ["catalog", "age"],
}
# what asks a cloud, or needs a second snapshot: here it can only say what is missing
AWAY = ["--store", "postgresql://nobody@127.0.0.1:9/none"]
REFUSALS = {
    "new": ["new", "small.yaml"],
    "fetch prometheus": ["fetch", "prometheus", "http://127.0.0.1:9", "up", "x.json"],
    "fetch cloudwatch": ["fetch", "cloudwatch", "AWS/X/Y", "x.json", "--region", "us-east-1", "--days", "1"],
    "breakeven": ["breakeven", *SMALL],  # it serves no language model
    "catalog refresh": ["catalog", "refresh", "nobody"],
    "catalog import": ["catalog", "import", "README.md"],
    "catalog diff": ["catalog", "diff", "nobody", "."],
    "catalog existing": ["catalog", "existing", "--file", "none.csv"],
    "today import": ["today", "import", "aws", "--region", "nowhere"],
    "track": ["track", "small.yaml", "--actual", "none.csv"],
    "catalog quota": ["catalog", "quota", "--region", "nowhere", "m6a.xlarge"],
    "catalog spot-score": ["catalog", "spot-score", "--region", "nowhere", "m6a.xlarge"],
}
REFUSALS |= {
    f"store {name}": ["store", name, *arguments, *AWAY]
    for name, arguments in {
        "save": [*SMALL, "--why", "first"],
        "list": [],
        "show": ["small@1"],
        "state": ["small", "agreed"],
        "recompute": ["small@1"],
        "bridge": ["small@1", "small@2"],
    }.items()
}
# their own proofs: a server in tests/browser and .ci/run, the four plans in .ci/run, tests/cli/test_story.py
ELSEWHERE = {"app", "demo", "story"}
QUICK = {"columns", "catalog show", "catalog search", "plan --json"}


def slow_but(quick):
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in ANSWERS]


@pytest.fixture(scope="module", name="folder")
def folder_of_a_scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipes")
    (folder / "small.yaml").write_text(small.SCENARIO, encoding="utf-8")
    small.traffic().to_csv(folder / "web.csv", index=False)
    return folder


def environment():
    """No account and no way to a cloud."""
    bare = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AWS_", "GOOGLE_"))}
    nowhere = "http://127.0.0.1:9"
    return bare | {"AWS_EC2_METADATA_DISABLED": "true", "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere}


def planner(folder, arguments, **more):
    command = [sys.executable, "-m", "planner", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False, **more
    )


def untimed(stages):
    """Stages without the seconds they took."""
    return re.sub(r"\(\d+\.\d s\)", "", stages)


def commands(group=main, before=""):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")
        else:
            yield before + name


def test_every_command_is_tried():
    assert {name.partition(" --")[0] for name in [*ANSWERS, *REFUSALS]} | ELSEWHERE == set(commands())


@pytest.mark.parametrize("name", slow_but(QUICK))
def test_a_process_writes_the_answer_and_nothing_else(name, folder, monkeypatch):
    """What a process writes, libraries in C included, is what the command itself has to say."""
    done = planner(folder, ANSWERS[name])
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(folder)
    said = CliRunner().invoke(main, ANSWERS[name])
    assert done.stdout == said.stdout
    assert untimed(done.stderr) == untimed(said.stderr)
    if name.endswith("--json"):
        assert json.loads(done.stdout)["summary"]["total_usd"] > 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="no shell here")
@pytest.mark.parametrize("name", slow_but(QUICK - {"plan --json"}))
def test_a_reader_that_has_seen_enough_is_no_error(name, folder):
    line = f'set -o pipefail; "{sys.executable}" -m planner "$@" | head -1'
    done = subprocess.run(
        ["bash", "-c", line, "planner", *ANSWERS[name]],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "pipe" not in done.stderr.lower()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space there, or write elsewhere"),
        (errno.EDQUOT, "Free space there, or write elsewhere"),
        (errno.EACCES, "Check the path"),
        (errno.ENAMETOOLONG, "Check the path"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_with_what_mends_it(number, remedy):
    """A path is not to blame where the disk is full."""

    def write():
        raise OSError(number, os.strerror(number), "plan.csv")

    group = type(main)("planner", commands={"write": click.Command("write", callback=write)})
    done = CliRunner().invoke(group, ["write"])
    assert done.exit_code == 2
    assert done.stderr == f"planner: plan.csv: {os.strerror(number)}. {remedy}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="asks for a device that is always full")
@pytest.mark.parametrize("name", slow_but(QUICK - {"plan --json"}))
def test_a_full_disk_behind_standard_output_is_told(name, folder):
    command = [sys.executable, "-m", "planner", *ANSWERS[name]]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            command, cwd=folder, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert "not written in full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_path_that_cannot_be_is_told(folder):
    for arguments in (["plan", "a" * 5000], ["look", "a" * 5000], ["track", "small.yaml", "--actual", "a" * 5000]):
        done = planner(folder, arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "too long" in done.stderr or "does not exist" in done.stderr or "no file" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_leaves_standard_output_empty(name, folder):
    done = planner(folder, REFUSALS[name])
    assert done.returncode == 2, done.stdout + done.stderr
    assert not done.stdout
    assert "planner: " in done.stderr or "Error: " in done.stderr
    assert "Traceback" not in done.stderr
