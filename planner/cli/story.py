"""``planner story``: a service from experiment to production and two months on, on bundled data."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from planner.cli.given import Progress
from planner.cli.store import opened
from planner.export import frames_json
from planner.export.together import write_set
from planner.show.words import drift_needs, drifted, number, spelled, table, usd

if TYPE_CHECKING:
    from planner.story import Figure, Story

MOST = 4
_STEPS = {
    "experiment": "An experiment for one team",
    "production": "Production, planned for everybody",
    "bridge": "From the experiment to production",
    "hand-off": "Handed over to its owner, with alerts",
    "two months": "Two months later: plan and bill",
    "again": "Planned again from what came",
}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False), default="planner-story")
@click.option("--paths", type=click.IntRange(2, 5000), default=50, show_default=True, help="Load paths of each plan.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def story(folder: str, paths: int, as_json: bool) -> None:
    """A service from experiment to production on bundled data: plan, bridge, hand-off, alerts, two
    months of actuals with a drift, the plan again; all files in FOLDER (extra store).
    """
    with TemporaryDirectory(prefix="planner-") as inner:
        file = Path(inner) / "store.db"
        place = opened(str(file))
        from planner.story import tell

        told = tell(place, paths=paths, progress=Progress("story"))
        kept = file.read_bytes()
    text, plain = story_text(told), frames_json(told.plain())
    beside = {"store.db": kept, "story.txt": f"{text}\n".encode(), "story.json": f"{plain}\n".encode()}
    written = write_set({**told.files(), **beside}, folder)
    click.echo(
        plain if as_json else f"{text}\n\n{len(written)} files in {folder}/; the revisions: {_look(folder, told)}"
    )


def _look(folder: str, told: Story) -> str:
    return f"planner store show {told.revisions[1].label} --store {Path(folder) / 'store.db'}"


def story_text(told: Story) -> str:
    """The story as text: each step with its figures and the file of each, what drifted and what to
    change, and what agrees.
    """
    parts = [f"{told.name}: from an experiment to production, and two months on"]
    for number_, (step, title) in enumerate(_STEPS.items(), 1):
        figures = [f for f in told.figures if f.step == step]
        rows = [[f.what, _value(f), f.file] for f in figures]
        parts.append(f"{number_}. {title}\n{table(['', '', 'from'], rows, '   ')}")
        parts += [text for text in (_beside(told, step),) if text]
    return "\n\n".join([*parts, _agreed(told)])


def _value(figure: Figure) -> str:
    return usd(figure.value) if figure.unit.startswith("USD") else f"{number(figure.value)} {figure.unit}"


def _beside(told: Story, step: str) -> str:
    """What a step tells beside its figures."""
    if step == "hand-off":
        return (
            f"   {len(told.alerts)} alert rules, the page for the owner (handoff.md), manifests, budgets, a dashboard"
        )
    if step == "two months":
        return _drift(told)
    return _actions(told) if step == "again" else ""


def _drift(told: Story) -> str:
    """What drifted, since when it is known, and how far it is from the plan."""
    tests = told.track.drift.to_dict("records")
    rows = [
        [
            r["service"] or "the bill",
            spelled(str(r["measure"])),
            f"{r['known_since']:%Y-%m-%d}",
            f"{r['ratio']:.2f} times",
        ]
        for r in tests
        if r["drifted"]
    ]
    head = ["drift", "of", "known since", "the plan"]
    aside = sum(drifted(r) == "Not tested" for r in tests)
    more = f"{aside} of {len(tests)} were not tested: {drift_needs()} are needed." if aside else ""
    return "\n   ".join(filter(None, [table(head, rows, "   ") if rows else "   Nothing drifted.", more]))


def _actions(told: Story) -> str:
    rows = [
        [("+" if r["usd_per_month"] > 0 else "") + usd(r["usd_per_month"]), r["sentence"]]
        for r in told.track.actions.head(MOST).to_dict("records")
    ]
    return table(["a month", "what to change now"], rows, "   ") if rows else "   Nothing is to be changed."


def _agreed(told: Story) -> str:
    rows = [[a.what, "agree" if a.holds else f"differ: {a.first:,.2f} and {a.second:,.2f}"] for a in told.agreements()]
    return "What must be the same\n" + table(["", ""], rows, "   ").partition("\n")[2]
