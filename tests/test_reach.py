"""Nothing in the source is unreached: every function, class and method is read by a command, a page, a
notebook, a public name or what builds the data; what waits for its door is named here with the reason.
"""

import ast

import pytest

import planner
from tests.builders import ROOT, reach

DOORS = ("planner.cli", "planner.ui", "planner.__main__")
SCRIPTS = [ROOT / "app.py", *(ROOT / "notebooks").glob("*.py"), *(ROOT / "data" / "build").glob("*.py")]

# the beginning of a name: why it stands though nothing reaches it yet
AWAITED = {
    "planner.optimizer.program.": "the reduced program and its certificate become the path of every plan",
    "planner.latency.queue.retries.": "the replay tells at which load retries do not come down again",
    "planner.latency.queue.queueing.QueueLatency.retry_state": "as above",
    "planner.latency.measured.usl.ScalabilityLaw.": "sizes of a measured type beside the one that was tested",
    "planner.catalog.holdings.with_price_list": "a negotiated price list in the scenario",
}


@pytest.fixture(scope="module", name="dead")
def names_that_nothing_reaches():
    source = reach.read(ROOT, "planner")
    roots = {key for key in source.bodies if key[0].startswith(DOORS)} | {("planner", "")}
    roots |= {lead for name in planner.__all__ if (lead := reach.lead(source, "planner", name))}
    for path in SCRIPTS:
        source.add_script(path.stem, ast.parse(path.read_text(encoding="utf-8")))
        roots.add((path.stem, ""))
    return reach.unreached(source, roots)


def test_nothing_is_unreached(dead):
    unexplained = {name: size for name, size in dead.items() if not name.startswith(tuple(AWAITED))}
    assert not unexplained, "use it, move it under tests/oracles, or delete it"


def test_what_is_awaited_still_waits(dead, capsys):
    with capsys.disabled():
        print(f"\n  waiting for a door: {len(dead)} names, {sum(dead.values())} lines")
    assert not [name for name in AWAITED if not any(d.startswith(name) for d in dead)], "reached: take it off the list"


def test_the_analysis_finds_what_is_unreached(tmp_path):
    """A package of one used and several unused parts, by every way a name can lead."""
    package = tmp_path / "toy"
    package.mkdir()
    (package / "__init__.py").write_text("from toy.deep import used\n__all__ = ['used']\n", encoding="utf-8")
    (package / "deep.py").write_text(
        "from toy import table\n"
        "def used(): return table.ALL['a'].read() + Kept().size + helper()\n"
        "def helper(): return 1\n"
        "def unused(): return also_unused()\n"
        "def also_unused(): return 2\n"
        "class Kept:\n"
        "    @property\n"
        "    def size(self): return 1\n"
        "    def never(self): return 2\n",
        encoding="utf-8",
    )
    (package / "table.py").write_text("from toy import form\nALL = {'a': form}\n", encoding="utf-8")
    (package / "form.py").write_text("def read(): return 0\ndef write(): return 1\n", encoding="utf-8")
    found = reach.unreached(reach.read(tmp_path, "toy"), {("toy", ""), ("toy.deep", "used")})
    assert set(found) == {"toy.deep.unused", "toy.deep.also_unused", "toy.deep.Kept.never", "toy.form.write"}
