"""Data flows one way: the import contracts of pyproject.toml hold."""

import subprocess
import sys

from tests.builders import ROOT


def test_import_contracts_hold():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_module_outgrows_one_idea():
    long = {
        str(p.relative_to(ROOT)): n
        for p in [*(ROOT / "planner").rglob("*.py"), ROOT / "app.py"]
        if p.exists() and (n := len(p.read_text(encoding="utf-8").splitlines())) > 600
    }
    assert not long
