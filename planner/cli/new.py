"""``planner new``: five questions, or as many options, to a commented scenario
that plans as it stands.
"""

import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click
import yaml

from planner.catalog import PROVIDERS, Catalog
from planner.errors import ScenarioError, TrafficError
from planner.load import read_histories
from planner.scenario import Scenario

SHAPES = "office, consumer, batch, flat, mixed or an own CSV file"
TEXT = """\
# Made by planner new. Plan it: planner plan {file}
name: {name}
start: {start}
time_zone: {time_zone}
providers: [{provider}]
regions: [{region}]
services:
  {name}:
    owner: {{team: {team}}}
    # what arrives: a history (planner look FILE), or requests a day and a shape until there is one
    traffic: {traffic}
    # by how much it grows a year: a number, or a range such as {{low: 0, likely: 0.2, high: 0.5}}
    growth_share_per_year: 0
    # what one replica does: {latency_note}
    latency: {latency}
    # what must hold
    objective: {objective}
limits: {{zones: 3, zones_lost: 1}}
"""
NOTES = {
    "queue": "seconds of work a request takes; a load test or telemetry says more (model: measured, observed)",
    "llm": "the weights that are served; a benchmark of your own narrows the error (benchmark)",
}


def _ask(option: str, given: str | None, question: str, default: Any = None) -> str:
    """The option as given, else the answer to the question at a terminal. Raises a usage error
    elsewhere.
    """
    if given is not None:
        return given
    if sys.stdin.isatty():
        return str(click.prompt(question, default=default, err=True))
    if default is not None:
        return str(default)
    raise click.UsageError(f"{question}? Answer with {option}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), default="scenario.yaml")
@click.option("--name", help="What it is: the name of the service.")
@click.option(
    "--traffic", help="How much: a traffic history, or what planner look prints: '{file: a.csv, value: counter}'."
)
@click.option("--traffic-time-zone", help="Zone of a history whose stamps name none; see planner look.")
@click.option("--requests-per-day", type=float, help="How much, where there is no history.")
@click.option("--shape", help=f"When, where there is no history: {SHAPES}.")
@click.option("--service-time-s", type=float, help="How fast: seconds of work a request takes on one processor.")
@click.option("--memory-gib", type=float, help="Memory of one replica.")
@click.option("--weights", help="In place of a service time: the language model that is served, such as llama-3.1-8b.")
@click.option("--latency-p99-s", type=float, help="How fast: 99 of 100 requests within so many seconds.")
@click.option("--ttft-p95-s", type=float, help="With --weights: 95 of 100 first tokens within so many seconds.")
@click.option("--provider", type=click.Choice(sorted(PROVIDERS)), help="Where: the provider.")
@click.option("--region", help="Where: the region.")
@click.option("--time-zone", help="Where: the users' time zone.")
@click.option("--team", help="Whose: the team that answers for it.")
@click.option("--start", help="First day of the plan.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def new(file: str, force: bool, **given: Any) -> None:
    """Write a commented scenario to FILE from five questions: what, how
    much, how fast, where, whose.

    Options answer them without a terminal. The traffic is read before anything is written.
    """
    path = Path(file)
    if path.exists() and not force:
        raise click.UsageError(f"{path} is there already; --force writes over it")
    text = _text(path, given)
    scenario = Scenario.from_yaml(text, where=str(path), folder=path.absolute().parent)
    _check(scenario, given["traffic"])
    if not path.absolute().parent.is_dir():
        raise ScenarioError("there is no such folder. Make it first", where=str(path.parent))
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    click.echo(f"{path} written; plan it: planner plan {path}")


def _check(scenario: Scenario, traffic: str | None) -> None:
    """Raises what a plan would refuse at once: the history, with the way to say here what it asks for,
    and the region.
    """
    try:
        read_histories(scenario)
    except TrafficError as error:
        if traffic is None:
            raise
        spec = next(iter(scenario.services.values())).traffic
        said = {"file": traffic} if not _is_mapping(traffic) else yaml.safe_load(traffic)
        said |= {"time_zone": spec.time_zone} if spec.time_zone else {}
        here = _plain({**said, "FIELD": "VALUE"})
        remedy = f"{error.remedy.rstrip('.')}; here as --traffic '{here}'"
        raise TrafficError(error.what, where=error.where, got=error.got, remedy=remedy) from None
    Catalog.read(*scenario.providers, regions=scenario.regions)


def _is_mapping(traffic: str) -> bool:
    return traffic.lstrip().startswith("{")


def _text(path: Path, given: dict[str, Any]) -> str:
    """The scenario as YAML with comments."""
    name = _ask("--name", given["name"], "What is it, the name of the service")
    traffic = _traffic(path, given)
    latency, objective = _speed(given)
    provider = _ask("--provider", given["provider"], f"Where, the provider ({', '.join(sorted(PROVIDERS))})")
    region = _ask("--region", given["region"], "Where, the region, such as eu-central-1")
    time_zone = _ask("--time-zone", given["time_zone"], "Where, the users' time zone, such as Europe/Berlin", "UTC")
    team = _ask("--team", given["team"], "Whose, the team that answers for it")
    return TEXT.format(
        file=path.name,
        name=_plain(name),
        start=given["start"] or _next_month(date.today()),
        time_zone=_plain(time_zone),
        provider=_plain(provider),
        region=_plain(region),
        team=_plain(team),
        traffic=_plain(traffic),
        latency=_plain(latency),
        objective=_plain(objective),
        latency_note=NOTES[str(latency["model"])],
    )


def _traffic(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The history, by its place from the scenario's folder, or requests a day and a shape."""
    if given["requests_per_day"] is None and given["traffic"] is None and sys.stdin.isatty():
        given["traffic"] = (
            click.prompt("How much, a traffic history (empty: there is none)", default="", err=True) or None
        )
    if given["traffic"]:
        said = _said(given["traffic"])
        beside = os.path.relpath(Path(str(said["file"])).absolute(), path.absolute().parent)
        more = {"shape": given["shape"], "time_zone": given["traffic_time_zone"]}
        return {**said, "file": Path(beside).as_posix(), **{k: v for k, v in more.items() if v}}
    asked = "How much, requests a day (or --traffic FILE)"
    number = None if given["requests_per_day"] is None else str(given["requests_per_day"])
    day = float(_ask("--requests-per-day", number, asked))
    return {"requests_per_day": day, "shape": _ask("--shape", given["shape"], f"When ({SHAPES})", "mixed")}


def _said(traffic: str) -> dict[str, Any]:
    """A history and how it is read: the name of a file, or what ``planner look`` prints of it."""
    if not _is_mapping(traffic):
        return {"file": traffic}
    try:
        said = yaml.safe_load(traffic)
    except yaml.YAMLError:
        said = None
    if not isinstance(said, dict) or "file" not in said:
        raise click.UsageError(
            f"--traffic must be a file, or such as {{file: a.csv, value: counter}} (got {traffic!r})"
        )
    return said


def _speed(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one replica does, and what must hold."""
    if given["weights"]:
        first = _number(
            "--ttft-p95-s",
            given["ttft_p95_s"],
            "How fast, the first token of 95 of 100 within seconds",
            1.0,
        )
        return {"model": "llm", "weights": given["weights"]}, {"ttft_p95_s": first, "tpot_p95_s": 0.05}
    work = _number("--service-time-s", given["service_time_s"], "How fast, seconds of work a request takes")
    memory = _number("--memory-gib", given["memory_gib"], "Memory of one replica in GiB", 2.0)
    limit = _number("--latency-p99-s", given["latency_p99_s"], "How fast, 99 of 100 requests within seconds")
    return {"model": "queue", "service_time_s": work, "memory_gib": memory}, {"latency_p99_s": limit}


def _number(option: str, given: float | None, question: str, default: float | None = None) -> float:
    text = _ask(option, None if given is None else str(given), question, default)
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"{option} must be a number (got {text!r})") from None


def _next_month(today: date) -> date:
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)


def _plain(value: Any) -> str:
    """A value as YAML on one line, quoted where it must be."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()
