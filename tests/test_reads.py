"""README's table "What it reads": every tool it names is read in that tool's own layout, and no tool is read that
it does not name; the files it refuses are named in that sentence, with that way out.
"""

import re

import pytest

from tests.builders import ROOT
from tests.builders.tools import READ, REFUSED, refusal

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## What it reads\n(.*?)^## ", README, re.M | re.S)[1]


def rows(head):
    """Cells of each row below the table's head."""
    table = SECTION.partition(head)[2].partition("\n\n")[0]
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


NAMED = [(what, tool.strip()) for what, tools, _ in rows("| what | tools") for tool in tools.split(",")]
NOT_READ = rows("| not read | ")


@pytest.mark.parametrize(("what", "tool"), NAMED)
def test_a_tool_that_readme_names_is_read_in_its_own_layout(tmp_path, what, tool):
    READ[what][tool](tmp_path)


def test_readme_names_every_tool_and_every_refusal_once():
    assert sorted(NAMED) == sorted((what, tool) for what, tools in READ.items() for tool in tools)
    assert sorted(cells[0] for cells in NOT_READ) == sorted(REFUSED)


@pytest.mark.parametrize(("what", "way_out"), NOT_READ)
def test_what_is_not_read_is_named_with_the_way_out(tmp_path, what, way_out):
    said = refusal(what, tmp_path)
    assert what in said
    assert way_out in said
