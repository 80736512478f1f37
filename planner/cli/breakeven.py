"""``planner breakeven``: from which load machines of one's own are cheaper than a managed API."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pandas as pd

from planner.cli.exporting import write_table
from planner.scenario import Scenario
from planner.show.words import number, percent, table, usd

if TYPE_CHECKING:
    from planner.breakeven import ApiPrice, BreakEven, Point


@click.command()
@click.argument("scenario_file", metavar="SCENARIO.yaml", type=click.Path(dir_okay=False))
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field of the scenario.")
@click.option("--service", default="", help="Which service, where several serve a language model.")
@click.option(
    "--api",
    "apis",
    multiple=True,
    help="Compare with this API (PROVIDER/MODEL) in place of all of its weights.",
)
@click.option("--prices", type=click.Path(dir_okay=False), help="Own table of API prices (columns of api_prices.csv).")
@click.option(
    "--cached-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Input read from the API's cache.",
)
@click.option("--multiples", default="0.03,0.1,0.3,1,3", show_default=True, help="Multiples of the load to plan.")
@click.option("--paths", type=click.IntRange(2, 5000), default=50, show_default=True, help="Load paths to plan.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False), help="Also write the curve to this file.")
def breakeven(
    scenario_file: str,
    overrides: tuple[str, ...],
    service: str,
    apis: tuple[str, ...],
    prices: str | None,
    cached_share: float,
    multiples: str,
    paths: int,
    csv_file: str | None,
) -> None:
    """Own machines against managed APIs for a language-model service: USD a million tokens by load,
    and the load at which machines of one's own become cheaper.
    """
    from planner.breakeven import api_prices, break_even

    scenario = Scenario.read(scenario_file)
    found = break_even(
        scenario.override(overrides) if overrides else scenario,
        service,
        multiples=_numbers(multiples),
        apis=apis,
        prices=api_prices(Path(prices)) if prices else (),
        cached_share=cached_share,
        paths=paths,
        progress=lambda stage: click.echo(f"{scenario.name}: {stage}", err=True),
    )
    write_table(_curve(found), csv_file)
    click.echo(breakeven_text(found))


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < k < 1e6 for k in found):
        raise click.BadParameter(f"{text!r} is no list of numbers above 0, such as 0.1,1,3", param_hint="--multiples")
    return found


def _curve(found: BreakEven) -> pd.DataFrame:
    """The points, with the cheapest, median and dearest API beside each."""
    asked = sorted(price for _, price in found.offers)
    frame = pd.DataFrame(found.points)
    beside = {"api_low_usd": asked[0], "api_usd": asked[len(asked) // 2], "api_high_usd": asked[-1]}
    return frame.assign(**beside).astype({"error": "str"})


def breakeven_text(found: BreakEven) -> str:
    """The curve, and each API with the load at which it is met."""
    curve = [_point(p) for p in found.points]
    head = ["load", "tokens a month", "own, a month", "own, 1 million tokens", "P10 to P90"]
    mix = f"{percent(found.input_share, 0)} of the tokens are input"
    mix += f", {percent(found.cached_share, 0)} of it cached" if found.cached_share else ""
    offers = [_offer(found, price, cost) for price, cost in found.offers]
    faults = [f"  {p.multiple:g} times: {p.error}" for p in found.points if p.error]
    parts = [
        f"{found.service} on machines of its own ({found.weights or 'own model'}; {mix})\n" + table(head, curve, "  "),
        "Managed APIs, and the load from which own machines are cheaper\n"
        + table(["API", "1 million tokens", "prices of", "from", "range"], offers, "  "),
        "\n".join(faults),
        "  An API promises no latency and may serve another precision; own costs hold machines, disks, network and idle"
        " hours,\n  and people's work only where other_costs states it.",
    ]
    return "\n\n".join(part for part in parts if part)


def _point(p: Point) -> list[str]:
    spread = "" if p.error else f"{usd(p.low_usd, 3)} to {usd(p.high_usd, 3)}"
    cost = "no plan" if p.error else usd(p.usd, 3)
    return [f"{p.multiple:g} times", number(p.tokens) if not p.error else "", usd(p.usd_per_month), cost, spread]


def _offer(found: BreakEven, price: ApiPrice, cost: float) -> list[str]:
    low, likely, high = found.span(cost)
    lowest, top = found.points[0].multiple, found.points[-1].multiple

    def said(k: float) -> str:
        if math.isinf(k):
            return f"not up to {top:g} times"
        return f"below {lowest:g} times" if k <= lowest else f"{k:.2g} times"

    spread = said(likely) if said(low) == said(high) else f"{said(low)} to {said(high)}"
    return [price.label, usd(cost, 3), price.as_of, said(likely), spread]
