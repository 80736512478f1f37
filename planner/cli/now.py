"""Commands about what runs today."""

from importlib import import_module

import click
import yaml

from planner.catalog.providers import PROVIDERS


@click.group()
def today() -> None:
    """What runs today, to set the plan beside."""


@today.command(name="import")
@click.argument("provider", type=click.Choice([name for name, p in PROVIDERS.items() if p.fleet]))
@click.option("--region", "regions", multiple=True, required=True, help="Region to ask; several options are combined.")
@click.option("--tag", default="Name", show_default=True, help="Tag whose value names the service of a machine.")
def import_(provider: str, regions: tuple[str, ...], tag: str) -> None:
    """Running machines and commitments of the account, as ``today:`` and ``existing:`` of a
    scenario.
    """
    found = import_module(PROVIDERS[provider].fleet).account_fleet(regions, tag)
    for note in found.notes:
        click.echo(note, err=True)
    services = {n: s.model_dump(mode="json", exclude_defaults=True) for n, s in found.services.items()}
    held = [e.model_dump(mode="json", exclude_none=True) for e in found.existing]
    click.echo(yaml.safe_dump({"today": {"services": services}, "existing": held}, sort_keys=False), nl=False)
