"""The commands that play a plan: would it have held, and would it under another autoscaler."""

from typing import TYPE_CHECKING

import click
import pandas as pd

from planner import export
from planner.cli.given import Progress, read_scenario, scenario_options
from planner.cli.held import replay_text, tables_text, whatif_text
from planner.cli.variants import executor_of, instant
from planner.scenario import Scenario

if TYPE_CHECKING:
    from planner.study import Study


@click.command()
@scenario_options
@click.option(
    "--strain/--no-strain",
    default=True,
    show_default=True,
    help="Also the bill as it runs, the plan under strain, other sizes of its fleet, and its headroom.",
)
@click.option(
    "--requests",
    "hour",
    metavar="HOUR",
    help="Also play an hour (2027-01-05T10:00Z, or peak) request by request, beside the model the replay stands on.",
)
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on this machine.")
@click.option(
    "--dask",
    "scheduler",
    metavar="ADDRESS",
    help="Address of a Dask scheduler to run on instead (extra dask).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option(
    "--csv",
    "csv_folder",
    type=click.Path(file_okay=False),
    help="Also write every table, the hours too, as CSV to this folder.",
)
def simulate(
    scenario_file: str,
    overrides: tuple[str, ...],
    paths: int,
    strain: bool,
    hour: str | None,
    jobs: int,
    scheduler: str | None,
    as_json: bool,
    csv_folder: str | None,
) -> None:
    """Would the plan have held? Its replay minute by minute on unseen load paths, what breaks
    first, its error budget, the bill as it runs, the same under strain and with other fleets, and
    the headroom assumed against needed.
    """
    from planner.study import run

    scenario, at = read_scenario(scenario_file, overrides), None if hour is None else instant(hour)
    progress = Progress(scenario.name)
    with executor_of(jobs, scheduler) as executor:
        study = run(scenario, paths=paths, progress=progress, executor=executor)
    if not as_json:
        click.echo(replay_text(study))
    found = _tables(study, strain, progress)
    if hour is not None:
        found["requests"] = _requests(study, at, progress)
    if csv_folder:
        export.write_frames({**found, "hours": study.replay.hours}, csv_folder)
    click.echo(_json(study, found) if as_json else tables_text(found, scenario))


def _tables(study: "Study", strain: bool, progress: Progress) -> dict[str, pd.DataFrame]:
    """Every table of the replay but its hours, by name."""
    from planner.simulator import bill_as_it_runs, error_budget, headroom, regret, stress

    replay, load = study.replay, study.unseen or study.load
    found = {"objectives": replay.objectives, "causes": replay.causes, "breaks": replay.breaks}
    found["error_budget"] = error_budget(replay, study.scenario, load)
    if not strain:
        return found
    played = (study.plan, study.scenario, load, study.capacity)
    progress("adding up the bill as it runs")
    found["bill"] = bill_as_it_runs(*played)
    progress("straining the plan")
    found["strain"] = stress(*played)
    progress("playing smaller and larger fleets")
    found["regret"] = regret(*played)
    progress("looking for the headroom that was needed")
    found["headroom"] = headroom(*played)
    return found


def _requests(study: "Study", at: pd.Timestamp | None, progress: Progress) -> pd.DataFrame:
    from planner.simulator import play_hour

    progress("playing an hour request by request")
    return play_hour(study.plan, study.scenario, study.unseen or study.load, study.capacity, at)


def _json(study: "Study", found: dict[str, pd.DataFrame]) -> str:
    replay, scenario = study.replay, study.scenario
    first = {"scenario": scenario.name, "state": scenario.state, "paths": replay.paths, "broken": replay.broken()}
    return export.frames_json({**first, **found, "notes": list(replay.notes)})


@click.command()
@scenario_options
def policy(scenario_file: str, overrides: tuple[str, ...], paths: int) -> None:
    """The same plan under other autoscaler settings: what each costs a month and what it does to
    latency, before it is changed.
    """
    from planner.simulator import policies
    from planner.study import run

    scenario: Scenario = read_scenario(scenario_file, overrides)
    study = run(scenario, paths=paths, progress=Progress(scenario.name))
    if study.unseen is not None:
        found = policies(study.plan, scenario, study.unseen, study.capacity)
        click.echo(whatif_text(found, "Under other autoscaler settings"))
