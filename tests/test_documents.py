"""Documents that are made from the code say what the code says; ``pytest --renew`` writes them anew."""

import re

import click
import pytest
from click.testing import CliRunner

from planner.cli import main
from tests.builders import ROOT

COMMANDS = ROOT / "docs" / "commands.md"
HEAD = """# Commands

Made from the commands themselves by `pytest tests/test_documents.py --renew`; a test compares them.
Exit codes: 0 answered, 1 the solver failed, 2 wrong input, 3 no plan satisfies the scenario. Standard
output holds the answer and nothing else; stages and errors go to standard error.
"""


def every(group=main, before=()):
    """Words of each command, groups before what they hold."""
    yield before
    for name, command in sorted(group.commands.items()):
        yield from every(command, (*before, name)) if isinstance(command, click.Group) else [(*before, name)]


def shown(words) -> str:
    done = CliRunner().invoke(main, [*words, "--help"], terminal_width=100, max_content_width=100)
    assert done.exit_code == 0
    title = " ".join(["planner", *words])
    return f"## {title}\n\n```text\n$ {title} --help\n{done.stdout.strip()}\n```\n"


def commands() -> str:
    return "\n".join([HEAD, *map(shown, every())])


def test_the_document_of_commands_is_what_help_says(request):
    if request.config.getoption("--renew"):
        COMMANDS.write_text(commands(), encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == commands(), "pytest tests/test_documents.py --renew"


@pytest.mark.parametrize("words", list(every()), ids=" ".join)
def test_every_option_has_a_line_of_help(words):
    command = main
    for word in words:
        command = command.commands[word]
    silent = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not silent


def test_links_in_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("CONTRIBUTING.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_has_dates_and_a_table_of_numbers_that_move():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.split(r"^## ", text, flags=re.M)[1:]
    assert releases[0].startswith("Unreleased (")
    for release in releases:
        assert re.match(r"(Unreleased|\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n", release)
        lines, _, table = release.partition("### Numbers move\n")
        moved = [b for b in lines.splitlines() if re.match(r"- \**Numbers", b)]
        assert not moved, "a number that moves is a row of the table under 'Numbers move'"
        head, _, *rows = table.strip().splitlines()
        assert head == "| what | old | new |"
        for row in rows:
            assert len([c for c in row.strip("|").split(" | ") if c.strip()]) == 3, row
