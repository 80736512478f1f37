"""The form of the source: docstrings that say what is raised and whose examples run, lines and functions
that fit an eye. The figures are printed; a limit moves only towards its goal.
"""

import ast
import doctest
import importlib
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import ROOT

SOURCES = sorted((ROOT / "planner").rglob("*.py"))
Documented = ast.Module | ast.ClassDef | ast.FunctionDef
# pages are scripts that run when they are imported
PAGES = {p for p in SOURCES if p.parent.name == "ui"}
# the docstring of a command is its help, which speaks of exit codes
COMMANDS = {p for p in SOURCES if p.parent.name == "cli"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def height(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def documentation(node: ast.AST) -> int:
    """Lines of a docstring; 0 without one."""
    return height(node.body[0]) if isinstance(node, Documented) and ast.get_docstring(node) else 0


def work(function: ast.FunctionDef) -> int:
    """Lines of a function's body: what it does, without its signature and docstring."""
    rest = function.body[1:] if ast.get_docstring(function) else function.body
    return rest[-1].end_lineno - rest[0].lineno + 1 if rest else 0


def public(node: ast.AST, name: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods that others may call: no leading underscore, in no other function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public(child, f"{name}{child.name}.")
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            yield name + child.name, child


def raises(function: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Raise) and n.exc is not None for n in ast.walk(function))


def test_who_raises_says_so():
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if path not in PAGES | COMMANDS
        for name, function in public(parsed(path))
        if raises(function) and not re.search(r"\braises?\b", ast.get_docstring(function) or "", re.IGNORECASE)
    ]
    assert not silent


def test_public_names_say_what_they_are():
    import planner

    silent = [name for name in planner.__all__ if not (getattr(planner, name).__doc__ or "").strip()]
    assert set(silent) <= {"__version__"}


def examples() -> Iterator[object]:
    """Modules with examples; those of the package itself plan a year and are slow."""
    for path in SOURCES:
        if path not in PAGES and ">>>" in path.read_text(encoding="utf-8"):
            slow = path == ROOT / "planner" / "__init__.py"
            yield pytest.param(path, id=str(path.relative_to(ROOT)), marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("path", list(examples()))
def test_examples_run(path, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed


def figures() -> dict[str, float]:
    text = [line for path in SOURCES for line in lines(path)]
    nodes = [node for path in SOURCES for node in ast.walk(parsed(path))]
    bodies = sorted(work(n) for n in nodes if isinstance(n, ast.FunctionDef))
    tests = sum(len(lines(path)) for path in (ROOT / "tests").rglob("*.py"))
    return {
        "docstrings, share of lines": sum(map(documentation, nodes)) / len(text),
        "lines above 100, share": sum(len(line) > 100 for line in text) / len(text),
        "function, median lines": statistics.median(bodies),
        "function, 90th percentile": bodies[int(0.9 * len(bodies))],
        "function, longest": bodies[-1],
        "module, longest": max(len(lines(path)) for path in SOURCES),
        "tests over source": tests / len(text),
    }


# figure: (limit today, goal); a share or ratio to be at least, or a length to be at most
AT_LEAST = {"docstrings, share of lines": (0.185, 0.20), "tests over source": (0.52, 1.0)}
AT_MOST = {
    "lines above 100, share": (0.049, 0.05),
    "function, median lines": (10, 10),
    "function, 90th percentile": (20, 20),
    "function, longest": (60, 50),
    "module, longest": (600, 450),
}


def test_figures_of_form(capsys):
    found = figures()
    with capsys.disabled():
        print()
        for name, value in found.items():
            limit, goal = (AT_LEAST | AT_MOST)[name]
            print(f"  {name:28} {value:7.3g}   limit {limit:g}, goal {goal:g}")
    assert not {n: found[n] for n, (limit, _) in AT_LEAST.items() if found[n] < limit}
    assert not {n: found[n] for n, (limit, _) in AT_MOST.items() if found[n] > limit}


def test_no_line_above_120():
    wide = [
        f"{path.relative_to(ROOT)}:{k}"
        for path in [*SOURCES, *(ROOT / "tests").rglob("*.py"), ROOT / "app.py"]
        for k, line in enumerate(lines(path), 1)
        if len(line) > 120
    ]
    assert not wide


def test_a_test_module_takes_nothing_from_another():
    """What two test modules share stands in ``tests/builders``."""
    borrowed = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and "test_" in (node.module or "").rpartition(".")[2]
    ]
    assert not borrowed
