"""The command line: each command is one public call and its output."""

import errno
import os
import sys
import time
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from planner import __version__, columns, export
from planner.cli import catalog as catalog_commands
from planner.cli.answer import (
    alternatives_text,
    answer_text,
    backtest_text,
    compare_text,
    forecast_text,
    frontier_text,
    sweep_text,
)
from planner.cli.breakeven import breakeven
from planner.cli.exporting import Files, file_options, write_table
from planner.cli.fetch import fetch
from planner.cli.given import Progress as _Progress
from planner.cli.given import read_scenario as _read
from planner.cli.given import scenario_options as _scenario_options
from planner.cli.look import look
from planner.cli.new import new
from planner.cli.now import today
from planner.cli.operate import operate
from planner.cli.replay import policy, simulate
from planner.cli.store import store
from planner.cli.story import story
from planner.cli.track import track
from planner.cli.variants import combinations, executor_of
from planner.data import data_path
from planner.errors import PlannerError
from planner.scenario import Scenario
from planner.show.words import table

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
DEMO = ("web", "chat", "embed", "demo")


class _Planner(click.Group):
    """The command group whose errors are one screen and an exit code: 0 solved, 1 solver failed, 2
    wrong input, 3 no plan satisfies it.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; every :class:`PlannerError` ends in its message, never in a traceback."""
        options |= {"prog_name": "planner", "standalone_mode": False}
        try:
            super().main(*arguments, **options)
        except PlannerError as error:
            _fail(str(error), error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except OSError as error:
            if error.filename is not None and error.errno in _FULL:
                _fail(f"{str(error.filename)[:200]}: {error.strerror}. Free space there, or write elsewhere", 2)
            if error.filename is not None:
                _fail(f"{str(error.filename)[:200]}: {error.strerror}. Check the path", 2)
            if error.errno not in _FULL:
                raise
            _hush()
            _fail(f"the answer is not written in full: {error.strerror}. Free space where standard output goes", 2)
        except click.Abort:
            _fail("stopped", 130)
        sys.exit(0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a reader (head, less) that has seen enough ends it without an error."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _hush()
            return None
        return found


def _hush() -> None:
    """Nothing more goes to standard output: the interpreter would fail again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int) -> None:
    click.echo(f"planner: {text}", err=True)
    sys.exit(code)


@click.group(cls=_Planner, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """What a service will cost, on which machines, how sure that is, and what breaks first."""


main.add_command(catalog_commands.catalog)
main.add_command(today)
main.add_command(look)
main.add_command(new)
main.add_command(fetch)
main.add_command(track)
main.add_command(store)
main.add_command(story)
main.add_command(operate)
main.add_command(breakeven)
main.add_command(simulate)
main.add_command(policy)


@main.command()
@_scenario_options
@file_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def plan(scenario_file: str, overrides: tuple[str, ...], paths: int, as_json: bool, **files: Any) -> None:
    """The cheapest configuration that meets every objective, its cost with a range, and what breaks
    first.
    """
    from planner.study import run, with_alternatives

    scenario = _read(scenario_file, overrides)
    progress = _Progress(scenario.name)
    study = run(scenario, paths=paths, progress=progress)
    if not as_json:
        click.echo(answer_text(study))
    progress("looking for plans nearly as good")
    study = with_alternatives(study)
    origin = export.Origin(vintage=date.today().isoformat())
    Files(**files).write(study, origin)
    beside = {"today": study.today.plain()} if study.today else {}
    click.echo(export.to_json(study, origin, beside) if as_json else alternatives_text(study.plan))


@main.command()
@_scenario_options
@click.option(
    "--backtest",
    is_flag=True,
    help="Also score the forecaster on each history's own past, beside the weekly naive.",
)
def forecast(scenario_file: str, overrides: tuple[str, ...], paths: int, backtest: bool) -> None:
    """What will arrive: volume and peak of each service with their ranges, and where the ranges
    come from.
    """
    from planner.load import backtest as score
    from planner.load import forecast as make_load
    from planner.load import read_histories

    scenario = _read(scenario_file, overrides)
    traffic = read_histories(scenario)
    click.echo(forecast_text(scenario, traffic, make_load(traffic, scenario, paths=paths)))
    if backtest:
        for name, history in traffic.items():
            click.echo("\n" + backtest_text(name, score(history, time_zone=scenario.time_zone)))


@main.command()
@_scenario_options
@click.argument("other_file", metavar="[OTHER.yaml]", required=False, type=click.Path(dir_okay=False))
def compare(scenario_file: str, overrides: tuple[str, ...], paths: int, other_file: str | None) -> None:
    """SCENARIO.yaml against OTHER.yaml, or against itself with --set; the bridge of the difference
    adds up exactly.
    """
    from planner.study import run

    if other_file is None and not overrides:
        raise click.UsageError("Give OTHER.yaml, or at least one --set PATH=VALUE.")
    first, second = Scenario.read(scenario_file), _read(other_file or scenario_file, overrides)
    click.echo(compare_text(*(run(s, paths=paths, progress=_Progress(s.name)) for s in (first, second))))


@main.command()
@_scenario_options
@click.option(
    "--vary",
    "varied",
    multiple=True,
    required=True,
    metavar="PATH=A,B,...",
    help="Values of a field; several options are combined.",
)
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on this machine.")
@click.option(
    "--dask",
    "scheduler",
    metavar="ADDRESS",
    help="Address of a Dask scheduler to run on instead (extra dask).",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False),
    help="Write each line to this folder as soon as it is known (Parquet); a run that was killed is taken up there.",
)
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False), help="Also write the table to this file.")
def sweep(
    scenario_file: str,
    overrides: tuple[str, ...],
    paths: int,
    varied: tuple[str, ...],
    jobs: int,
    scheduler: str | None,
    results: str | None,
    csv_file: str | None,
) -> None:
    """Plan every combination of values: one line each."""
    from planner.study import sweep as plan_all

    scenario, variants = _read(scenario_file, overrides), combinations(varied)
    with executor_of(jobs, scheduler) as executor:
        progress = _Progress(scenario.name)
        frame = plan_all(scenario, variants, paths=paths, executor=executor, results=results, progress=progress)
    write_table(frame, csv_file)
    click.echo(sweep_text(frame))


@main.command()
@_scenario_options
@click.option(
    "--vary",
    "varied",
    required=True,
    metavar="PATH[=A,B,...]",
    help="Field to vary; services.* means every service.",
)
@click.option(
    "--points",
    type=click.IntRange(2, 200),
    default=20,
    show_default=True,
    help="How many values, where none are given.",
)
@click.option(
    "--whole",
    type=click.IntRange(0, 200),
    default=5,
    show_default=True,
    help="At how many of them whole plans are made too.",
)
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False), help="Also write the table to this file.")
def frontier(
    scenario_file: str,
    overrides: tuple[str, ...],
    paths: int,
    varied: str,
    points: int,
    whole: int,
    csv_file: str | None,
) -> None:
    """Cost against one choice: a latency target, a load quantile, the share on spot, zones, a
    budget.
    """
    from planner.study import frontier as cost_against

    scenario, path = _read(scenario_file, overrides), varied.partition("=")[0].strip()
    values = [v for variant in combinations([varied]).values() for v in variant.values()] if "=" in varied else None
    frame = cost_against(scenario, path, values, points=points, paths=paths, whole=whole)
    write_table(frame, csv_file)
    click.echo(frontier_text(frame, path))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False), default="planner-demo")
@click.option(
    "--paths",
    type=click.IntRange(2, 5000),
    default=200,
    show_default=True,
    help="Load paths to plan and replay.",
)
def demo(folder: str, paths: int) -> None:
    """Plan the bundled scenarios and write their CSVs to FOLDER."""
    from planner.study import run

    began = time.perf_counter()
    for name in DEMO:
        scenario = Scenario.read(data_path("scenarios", f"{name}.yaml"))
        study = run(scenario, paths=paths, progress=_Progress(scenario.name))
        export.write_csv(study, Path(folder) / name)
        click.echo(answer_text(study) + "\n")
    click.echo(f"{len(DEMO)} plans in {time.perf_counter() - began:.0f} s; their tables are in {folder}/")


@main.command(name="columns")
@click.argument("frame", required=False)
def columns_command(frame: str | None) -> None:
    """The data dictionary: every column, its unit and meaning; of one FRAME such as plan.cost if
    given.
    """
    names = columns.columns_of(frame) if frame else tuple(columns.dictionary())
    rows = [columns.dictionary()[n] for n in names]
    click.echo(table(["column", "unit", "type", "meaning"], [[c.name, c.unit, c.dtype, c.meaning] for c in rows]))


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8501,
    show_default=True,
    help="Where the browser finds it.",
)
@click.option("--address", default="localhost", show_default=True, help="Where to listen; 0.0.0.0 for other machines.")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
def app(port: int, address: str, headless: bool) -> None:
    """Start the browser app (extra app)."""
    if find_spec("streamlit") is None:
        raise PlannerError("the browser app needs Streamlit", remedy="pip install 'infra-planner[app]'")
    os.execv(  # noqa: S606
        sys.executable,
        [
            sys.executable,
            "-m",
            "planner.ui",
            f"--server.port={port}",
            f"--server.address={address}",
            f"--server.headless={str(headless).lower()}",
            "--browser.gatherUsageStats=false",
        ],
    )
