"""What commands on a scenario are given, and the stages they tell."""

import time
from collections.abc import Callable
from typing import TypeVar

import click

from planner.scenario import Scenario

F = TypeVar("F", bound=Callable[..., object])


def scenario_options(command: F) -> F:
    """The scenario file, overrides of its fields, and how many load paths are planned on."""
    command = click.option(
        "--paths",
        type=click.IntRange(2, 5000),
        default=200,
        show_default=True,
        help="Load paths to plan and replay.",
    )(command)
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Override a field: limits.max_spot_share=0.",
    )(command)
    return click.argument("scenario_file", metavar="SCENARIO.yaml", type=click.Path(dir_okay=False))(command)


def read_scenario(scenario_file: str, overrides: tuple[str, ...]) -> Scenario:
    """The scenario with its overrides."""
    scenario = Scenario.read(scenario_file)
    return scenario.override(overrides) if overrides else scenario


class Progress:
    """Stages with their time on standard error."""

    def __init__(self, name: str) -> None:
        self.name, self.began = name, time.perf_counter()

    def __call__(self, stage: str) -> None:
        """Tell a stage that begins."""
        click.echo(f"{self.name}: {stage} ({time.perf_counter() - self.began:.1f} s)", err=True)
