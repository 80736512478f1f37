"""``planner catalog``: what can be bought, at which price, how old and why; and refreshing it from
the providers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import yaml

from planner import export
from planner.catalog import PROVIDERS, Catalog, diff, explain, import_prices, search
from planner.catalog import refresh as refresh_snapshot
from planner.errors import CatalogError
from planner.show.words import table

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False),
    help="Folder of the snapshots (default: PLANNER_CATALOG, or the bundled one).",
)
_inferred = click.option(
    "--inferred",
    is_flag=True,
    help="Also use prices inferred from other regions or sizes, and weak sources.",
)
_regions = click.option("--region", "regions", multiple=True, help="Only this region; may be given several times.")
_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV in place of a table.")


@click.group()
def catalog() -> None:
    """What can be bought, at which price, how old it is and why."""


def _print(frame: pd.DataFrame, as_csv: bool, empty: str) -> None:
    if as_csv:
        click.echo(export.to_csv(frame), nl=False)
    elif frame.empty:
        click.echo(empty)
    else:
        click.echo(table(list(frame.columns), [[_cell(v) for v in row] for row in frame.itertuples(index=False)]))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.6g}"
    return str(value)


def _age_line(prices: Catalog) -> str:
    return f"typical on-demand price of {prices.as_of}, {prices.age_days()} days old"


@catalog.command()
@click.argument("providers", nargs=-1)
@_regions
@_folder
@_inferred
@_csv
def show(
    providers: tuple[str, ...],
    regions: tuple[str, ...],
    folder: str | None,
    inferred: bool,
    as_csv: bool,
) -> None:
    """How much the catalog holds of each provider and region."""
    prices = Catalog.read(*providers, regions=regions or None, folder=folder, inferred=inferred)
    key = ["provider", "region"]
    counts = pd.DataFrame(
        {
            "machines": prices.instances.groupby(key).size(),
            "with_accelerator": prices.instances[prices.instances["accelerator"] != ""].groupby(key).size(),
            "on_demand": prices.rates[prices.rates["purchase_option"] == "on_demand"].groupby(key).size(),
            "spot": prices.rates[prices.rates["purchase_option"] == "spot"].groupby(key).size(),
            "without_price": prices.unpriced.groupby(key).size(),
            "set_aside": prices.set_aside.groupby(key).size(),
            "commitments": prices.commitments.groupby(key).size(),
            "storage": prices.storage.groupby(key).size(),
            "network": prices.network.groupby(key).size(),
        }
    )
    _print(counts.fillna(0).astype("int64").reset_index(), as_csv, "the catalog is empty")
    for row in prices.set_aside.to_dict("records"):
        click.echo(
            f"set aside: {row['provider']} {row['region']} {row['instance_type']} {row['purchase_option']}"
            f" {row['rate_usd_per_h']:g} USD/h: {row['reason']}",
            err=True,
        )
    click.echo(_age_line(prices), err=True)


@catalog.command(name="search")
@click.argument("words", nargs=-1)
@_regions
@_folder
@_inferred
@_csv
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True, help="Rows to print.")
def find(
    words: tuple[str, ...], regions: tuple[str, ...], folder: str | None, inferred: bool, as_csv: bool, limit: int
) -> None:
    """Machines that match every WORD (type, family, accelerator, provider, region; * and ? are
    wildcards), cheapest first.
    """
    prices = Catalog.read(folder=folder, inferred=inferred)
    found = search(prices if not regions else prices.select(regions=regions), words)
    _print(found.head(limit), as_csv, "no machine matches")
    if len(found):
        click.echo(f"{min(limit, len(found))} of {len(found)} machines; {_age_line(prices)}", err=True)


@catalog.command(name="explain")
@click.argument("instance_type")
@click.option("--region", required=True, help="Region of the provider, such as us-east-1.")
@click.option("--provider", default=None, help="Only this provider, where several sell the type.")
@_folder
@_inferred
@_csv
def explain_command(
    instance_type: str, region: str, provider: str | None, folder: str | None, inferred: bool, as_csv: bool
) -> None:
    """Why this price: every way to pay for TYPE in a region, with basis, source and age."""
    prices = Catalog.read(*([provider] if provider else []), folder=folder, inferred=inferred)
    _print(explain(prices, instance_type, region, provider=provider), as_csv, "no price is known")


@catalog.command()
@click.argument("providers", nargs=-1)
@_folder
@_csv
def age(providers: tuple[str, ...], folder: str | None, as_csv: bool) -> None:
    """Oldest, median and newest price of each provider, region and purchase option."""
    _print(Catalog.read(*providers, folder=folder).ages(), as_csv, "the catalog is empty")


@catalog.command(name="diff")
@click.argument("provider")
@click.argument("other", type=click.Path(exists=True, file_okay=False))
@_folder
@_csv
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows to print.")
def diff_command(provider: str, other: str, folder: str | None, as_csv: bool, limit: int) -> None:
    """What moved from the snapshot in folder OTHER to the one in use (OTHER holds PROVIDER/, or is
    one generation of it).
    """
    place = Path(other)
    home = place / provider if (place / provider).is_dir() else place
    before = Catalog.read(provider, folder=home.parent) if home.name == provider else _generation(home, provider)
    moves = diff(before.rates, Catalog.read(provider, folder=folder).rates)
    _print(moves.head(limit), as_csv, "no price moved")


def _generation(home: Path, provider: str) -> Catalog:
    from planner.catalog.snapshot import read_provider

    return read_provider(home, provider, inferred=False)


def _asked(yes: bool) -> Callable[[pd.DataFrame, tuple[str, ...]], bool]:
    """Show what would move and ask, unless ``yes``."""

    def confirm(moves: pd.DataFrame, notes: tuple[str, ...]) -> bool:
        for note in notes:
            click.echo(note, err=True)
        kinds = moves["kind"].value_counts()
        _print(moves.head(20), False, "no price moved")
        click.echo(", ".join(f"{n} {k}" for k, n in kinds.items()) or "nothing to replace but the date", err=True)
        return yes or click.confirm("Replace the snapshot?", err=True)

    return confirm


@catalog.command(name="import")
@click.argument("file", type=click.Path(exists=True))
@click.option("--region", help="Region of an EC2 offer file, which does not name it.")
@_folder
@click.option("--accept", is_flag=True, help="Take moves by a factor of five and more too.")
@click.option("--yes", is_flag=True, help="Replace without asking.")
def import_command(file: str, region: str | None, folder: str | None, accept: bool, yes: bool) -> None:
    """Take prices from FILE (or all files of a folder): an EC2 offer file, an Azure retail price
    reply, a FOCUS or CUR bill, or a CSV of our own columns.
    """
    for done in import_prices(file, region=region, folder=folder, accept=accept, confirm=_asked(yes)):
        click.echo(f"now read from {done.path}" if done.path else "left as it was", err=True)


@catalog.command()
@click.argument("provider")
@click.option(
    "--region",
    "regions",
    multiple=True,
    required=True,
    help="Region to refresh; may be given several times.",
)
@_folder
@click.option(
    "--accept",
    is_flag=True,
    help="Take absurd moves too, and leave out prices that are zero or spot above on demand.",
)
@click.option("--yes", is_flag=True, help="Replace without asking.")
@click.option("--bulk", is_flag=True, help="AWS: read the whole offer file in place of the paged price list.")
def refresh(provider: str, regions: tuple[str, ...], folder: str | None, accept: bool, yes: bool, bulk: bool) -> None:
    """Ask PROVIDER's own price API, show what moved, and replace the snapshot of the regions; the
    old one stays if anything fails.
    """
    if bulk and provider in PROVIDERS and not PROVIDERS[provider].offer_file:
        raise CatalogError("this provider has no offer file", got=provider, remedy="Leave --bulk out")

    done = refresh_snapshot(
        provider, regions, folder=folder, accept=accept, confirm=_asked(yes), **({"bulk": True} if bulk else {})
    )
    click.echo(
        f"{PROVIDERS[provider].title}: " + (f"now read from {done.path}" if done.path else "left as it was"),
        err=True,
    )


@catalog.command()
@click.option(
    "--region",
    "regions",
    multiple=True,
    required=True,
    help="Region to ask about; may be given several times.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False),
    help="Read a CSV (commitment,quantity,end,region) in place of asking AWS.",
)
def existing(regions: tuple[str, ...], file: str | None) -> None:
    """Commitments in force, as the ``existing:`` part of a scenario file; asked of the AWS account
    unless a file is given.
    """
    from planner.catalog.holdings import account_holdings, read_holdings

    held, notes = (read_holdings(file), ()) if file else account_holdings(regions)
    for note in notes:
        click.echo(note, err=True)
    known = set(Catalog.read(inferred=True).commitments["commitment"])
    for item in held:
        if item.commitment not in known:
            click.echo(f"{item.commitment}: the catalog has no such offer; its terms are unknown", err=True)
    rows = [item.model_dump(mode="json", exclude_none=True) for item in held]
    click.echo(yaml.safe_dump({"existing": rows}, sort_keys=False), nl=False)


@catalog.command()
@click.option("--region", required=True, help="Region of the provider, such as us-east-1.")
@click.argument("instance_types", nargs=-1, required=True)
def quota(region: str, instance_types: tuple[str, ...]) -> None:
    """How many of each TYPE the AWS account may run on demand, as the ``quota:`` part of a
    scenario's limits.
    """
    from planner.catalog.holdings import account_quota, shapes_sold

    shapes = shapes_sold(region, instance_types)
    click.echo(yaml.safe_dump({"limits": {"quota": account_quota(region, shapes)}}, sort_keys=False), nl=False)


@catalog.command(name="spot-score")
@click.option(
    "--region",
    "regions",
    multiple=True,
    required=True,
    help="Region to ask about; may be given several times.",
)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Instances wanted at once.")
@click.argument("instance_types", nargs=-1, required=True)
def spot_score(regions: tuple[str, ...], count: int, instance_types: tuple[str, ...]) -> None:
    """How likely AWS has COUNT spot instances of these TYPEs now, by
    zone: 10 likely, 1 unlikely.
    """
    from planner.catalog.holdings import spot_scores

    _print(spot_scores(regions, instance_types, count), False, "AWS gives no score")
