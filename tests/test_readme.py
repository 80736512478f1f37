"""What README says is run: its Python blocks here, its two commands in ``.ci/run``."""

import re
import subprocess

import pytest

from tests.builders import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


@pytest.mark.slow
@pytest.mark.parametrize("code", _blocks("python"))
def test_python_block_runs(code, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert list(tmp_path.glob("*.csv")), "the example ends by writing a CSV"


@pytest.mark.parametrize("marker", ["first-command", "second-command"])
def test_each_command_is_one_line_that_ci_can_cut_out(marker):
    pattern = f"/<!-- {marker} -->/,/^```$/p"
    cut = subprocess.run(["sed", "-n", pattern, str(ROOT / "README.md")], capture_output=True, text=True, check=True)
    assert len(cut.stdout.strip().splitlines()[2:-1]) == 1


def test_every_planner_command_in_readme_exists():
    from planner.cli import main

    named = set(re.findall(r"^planner (\w+)", "\n".join(_blocks("bash")), flags=re.M)) | {"demo"}
    assert named <= set(main.commands)
