"""``planner track``: the bill beside the plan, drift, and what to change now."""

import math
from datetime import datetime
from pathlib import Path

import click
import pandas as pd

from planner import export
from planner.actuals import ask_cost_explorer, read_bill
from planner.charges import CONTRACTS, charge
from planner.errors import PlannerError
from planner.export.together import write_set
from planner.scenario import Scenario
from planner.show.words import DRIFT_CHANCE, TRACKED, drifted, number, percent, spelled, table, usd
from planner.track import (
    Track,
    compared,
    files_of,
    read_arrivals,
    read_latencies,
    with_actions,
    with_arrivals,
)

ASK = "cost-explorer"
MOST = 8


@click.command()
@click.argument("scenario_file", metavar="SCENARIO.yaml", type=click.Path(dir_okay=False))
@click.option(
    "--actual",
    required=True,
    metavar="BILL",
    help="Bill: a FOCUS, AWS CUR, Cost Explorer, Google or Azure export (file or folder), or cost-explorer to ask AWS.",
)
@click.option(
    "--traffic",
    "traffic",
    multiple=True,
    metavar="SERVICE=FILE",
    help="What arrived, and its latencies.",
)
@click.option(
    "--now",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Look from this day on (default: the bill's end).",
)
@click.option("--tag", default="service", show_default=True, help="Tag whose value names the service.")
@click.option(
    "--usd-per",
    "rates",
    multiple=True,
    metavar="CUR=USD",
    help="Worth of a bill's currency: EUR=1.08.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a field of the scenario.",
)
@click.option(
    "--paths",
    type=click.IntRange(2, 5000),
    default=200,
    show_default=True,
    help="Load paths to plan on.",
)
@click.option(
    "--again/--no-again",
    default=True,
    show_default=True,
    help="Also plan again: what to change now.",
)
@click.option(
    "--csv",
    "csv_folder",
    type=click.Path(file_okay=False),
    help="Also write every table to this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def track(
    scenario_file: str,
    actual: str,
    traffic: tuple[str, ...],
    now: datetime | None,
    tag: str,
    rates: tuple[str, ...],
    overrides: tuple[str, ...],
    paths: int,
    again: bool,
    csv_folder: str | None,
    as_json: bool,
) -> None:
    """The plan beside what was paid: the difference by cause, drift of load, cost and latency,
    use of commitments, and what to change now.
    """
    from planner.study import run

    scenario = Scenario.read(scenario_file)
    scenario = scenario.override(overrides) if overrides else scenario
    files = files_of(scenario, traffic)
    arrived, latencies = read_arrivals(scenario, files), read_latencies(scenario, files)
    bill = _bill(actual, scenario, now, tag, rates)
    study = run(
        scenario,
        paths=paths,
        progress=lambda stage: click.echo(f"{scenario.name}: {stage}", err=True),
    )
    found = compared(scenario, study.plan, bill, now=now.date() if now else None, tag=tag)
    found = with_arrivals(found, study.plan, study.load, arrived, latencies, study.replay, study.capacity)
    if again:
        click.echo(f"{scenario.name}: planning again from {found.period.end:%Y-%m-%d}", err=True)
        found = with_actions(found, scenario, study.plan, study.traffic, arrived, study.catalog, paths=paths)
    if csv_folder:
        texts = {f"{name}.csv": export.to_csv(frame).encode() for name, frame in found.tables().items()}
        write_set(texts, csv_folder)
    click.echo(export.frames_json(found.plain()) if as_json else track_text(found))


def _bill(actual: str, scenario: Scenario, now: datetime | None, tag: str, rates: tuple[str, ...]) -> pd.DataFrame:
    if actual == ASK:
        end = now.date() if now else min(pd.Timestamp.now(tz="UTC"), pd.Timestamp(scenario.end_utc)).date()
        return ask_cost_explorer(scenario.start, end, tag=tag)
    return read_bill(Path(actual), usd_per=scenario.usd_per | dict(map(_rate, rates)))


def _rate(text: str) -> tuple[str, float]:
    code, _, value = text.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not (len(code) == 3 and math.isfinite(rate) and rate > 0):
        raise PlannerError("a rate must read CUR=USD", got=text, remedy="Such as --usd-per EUR=1.08")
    return code.upper(), rate


def track_text(found: Track) -> str:
    """The answer on a screen: total, causes, lines, drift, forecast,
    commitments, actions, notes.
    """
    parts = [
        _head(found),
        _causes(found),
        _lines(found),
        _drift(found),
        _accuracy(found),
        _commitments(found),
        _actions(found),
        "\n".join(f"  {note}" for note in found.notes),
    ]
    return "\n\n".join(p for p in parts if p)


def _signed(amount: float) -> str:
    return ("+" if amount > 0 else "") + usd(amount)


def _titled(title: str, head: list[str], rows: list[list[str]]) -> str:
    return f"{title}\n{table(head, rows, '  ')}" if rows else ""


def _head(found: Track) -> str:
    share = found.difference_usd / found.planned_usd if found.planned_usd else math.nan
    word = "more" if found.difference_usd >= 0 else "less"
    days = f"{found.period.start:%Y-%m-%d} to {found.period.end:%Y-%m-%d} ({found.period.days:.0f} days)"
    kind = "amortized" if found.money == "effective" else "invoiced"
    return (
        f"{found.scenario_name}: {usd(found.actual_usd)} paid, {usd(found.planned_usd)} planned:"
        f" {usd(abs(found.difference_usd))} {word} ({percent(abs(share))})\n  {days}, {kind} cost"
    )


def _causes(found: Track) -> str:
    rows = [["plan", usd(found.planned_usd), ""]]
    for cause, amount in found.causes().items():
        rows.append([cause.replace("_", "-"), _signed(amount), TRACKED[cause]])
    return _titled("From plan to bill", ["", "", "why"], [*rows, ["bill", usd(found.actual_usd), ""]])


def _lines(found: Track) -> str:
    why = found.bridge.groupby(["service", "charge"])
    rows = []
    for r in found.lines.head(MOST).to_dict("records"):
        key = (r["service"], r["charge"])
        told = why.get_group(key) if key in why.groups else found.bridge.iloc[:0]
        words = "; ".join(
            f"{c['cause'].replace('_', '-')} {_signed(c['difference_usd'])}"
            + (f" ({c['sentence']})" if c["sentence"] else "")
            for c in told.head(2).to_dict("records")
        )
        name = r["service"] or "nobody's" if r["charge"] not in CONTRACTS else "all services"
        figures = [usd(r["planned_usd"]), usd(r["actual_usd"]), _signed(r["difference_usd"])]
        rows.append(
            [
                name,
                r["owner"] or "–",
                charge(r["charge"]).title,
                *figures,
                words,
            ]
        )
    more = len(found.lines) - len(rows)
    title = "Largest differences" + (f" ({more} smaller ones: --csv)" if more > 0 else "")
    return _titled(title, ["service", "owner", "charge", "plan", "actual", "difference", "why"], rows)


def _drift(found: Track) -> str:
    rows = []
    for r in found.drift.to_dict("records"):
        since = f"yes, known since {r['known_since']:%Y-%m-%d}" if r["drifted"] else drifted(r).lower()
        unit = "hours" if r["measure"] == "load" else "days"
        told = f"{percent(r['outside_share'], 0)} of {unit} {r['side']}, {percent(r['expected_share'], 0)} "
        told += "expected"
        name, what = r["service"] or "the bill", spelled(str(r["measure"]))
        rows.append([name, what, since, f"{r['ratio']:.2f}", told, _chance(r["p_value"])])
    text = _titled("Drift", ["", "", "drift", "× plan", "", "p"], rows)
    return f"{text}\n  {DRIFT_CHANCE}." if text else ""


def _chance(p: float) -> str:
    """A p value; none where nothing was tested, and never 0."""
    return "" if p != p else f"{p:.3f}" if p >= 0.0005 else "< 0.001"


def _accuracy(found: Track) -> str:
    rows = [
        [
            r["service"],
            number(r["arrived_requests"]),
            f"{number(r['p50_requests'])} ({number(r['p10_requests'])} to {number(r['p90_requests'])})",
            percent(r["forecast_error_share"]),
            percent(r["within_band_share"], 0),
            f"{number(r['peak_rps'])} ({number(r['expected_peak_rps'])})",
        ]
        for r in found.accuracy.to_dict("records")
    ]
    head = [
        "service",
        "requests",
        "forecast (P10 to P90)",
        "error an hour",
        "within the band of 80 %",
        "peak/s (expected)",
    ]
    return _titled("Forecast so far", head, rows)


def _commitments(found: Track) -> str:
    rows = [
        [
            r["commitment"],
            percent(r["planned_utilization"]),
            percent(r["billed_utilization"]),
            usd(r["paid_usd"]),
        ]
        for r in found.commitments.to_dict("records")
    ]
    return _titled("Commitments used", ["", "planned", "billed", "paid"], rows)


def _actions(found: Track) -> str:
    if found.again is None:
        return ""
    rows = [
        [_signed(r["usd_per_month"]), r["service"] or "all", r["sentence"]] for r in found.actions.to_dict("records")
    ]
    cost = found.again.plan.summary()["monthly_mean_usd"]
    title = f"What I would change now: {usd(cost)} a month from {found.again.scenario.start}"
    return _titled(title, ["a month", "", ""], rows[:MOST]) or f"{title}, and nothing to change"
