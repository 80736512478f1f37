"""The notebooks run as they stand, pair with their source and carry no outputs."""

import json
import subprocess
import sys

import pytest

from tests.builders import ROOT

FOLDER = ROOT / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))


def test_there_are_notebooks():
    assert SOURCES
    assert {f.stem for f in SOURCES} == {f.stem for f in FOLDER.glob("*.ipynb")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.stem)
def test_the_pair_says_the_same_and_carries_no_outputs(source):
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")
    written = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
    cells = [(c.cell_type, c.source) for c in jupytext.read(source).cells]
    assert [(c["cell_type"], "".join(c["source"])) for c in written["cells"]] == cells
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in written["cells"])


@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.stem)
def test_a_notebook_tells_and_does_not_program(source):
    text = source.read_text(encoding="utf-8")
    assert "\ndef " not in text
    assert "\nassert " in text.rpartition("# %%")[2]


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.stem)
def test_the_source_runs_as_a_script(source):
    code = f"import runpy, sys; sys.path.insert(0, {str(FOLDER.parent)!r}); runpy.run_path({str(source)!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, cwd=FOLDER
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.stem)
def test_the_notebook_runs_in_a_kernel(source):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    book = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    done = nbclient.NotebookClient(
        book, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    drawn = [
        o for c in done.cells for o in c.get("outputs", []) if "vegaEmbed" in o.get("data", {}).get("text/html", "")
    ]
    assert len(drawn) >= 3
