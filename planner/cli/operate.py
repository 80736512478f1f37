"""The command that writes what a plan is run by."""

import click

from planner.cli.given import Progress, read_scenario, scenario_options


@click.command()
@scenario_options
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False),
    required=True,
    help="Folder for the files: all or none.",
)
@click.option(
    "--name",
    "renamed",
    multiple=True,
    metavar="KEY=VALUE",
    help="What a metric or object is called where the files are used: requests=nginx_requests_total.",
)
def operate(scenario_file: str, overrides: tuple[str, ...], paths: int, folder: str, renamed: tuple[str, ...]) -> None:
    """Alert rules with their tests, alarms, budgets, a dashboard, autoscaler and machine manifests,
    and a hand-off page: each number a figure of the plan.
    """
    from planner.operate import Names, write
    from planner.study import run

    names = Names().renamed(renamed)
    scenario = read_scenario(scenario_file, overrides)
    progress = Progress(scenario.name)
    study = run(scenario, paths=paths, progress=progress)
    progress("replaying an overload and writing")
    for path in write(study, folder, names):
        click.echo(str(path))
