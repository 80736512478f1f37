"""What arrived and how fast it was answered: a traffic file of each service, read as histories are.

A column named as an objective (``latency_p99_s``, ``ttft_p95_s``; ``…_ms`` for milliseconds) in the
same CSV file is its measured percentile, put on the same hourly grid with its gaps.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from planner.errors import PlannerError
from planner.load import Traffic, read_traffic
from planner.scenario import Scenario, TrafficSource


def files_of(scenario: Scenario, given: Iterable[str]) -> dict[str, Path]:
    """Files by service from ``SERVICE=FILE`` texts; a plain file where the
    scenario has one service.

    Raises :class:`PlannerError` for a service that the scenario does not have.
    """
    found = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign and len(scenario.services) == 1:
            name, file = next(iter(scenario.services)), text
        if name not in scenario.services or not file:
            raise PlannerError(
                "traffic must be given as SERVICE=FILE",
                where=scenario.name,
                got=text,
                remedy=f"Services: {', '.join(scenario.services)}",
            )
        found[name] = Path(file)
    return found


def read_arrivals(scenario: Scenario, files: Mapping[str, Path]) -> dict[str, Traffic]:
    """The traffic of each file, on the clock and with the stated columns of the service's history.

    Raises :class:`TrafficError` as :func:`planner.load.read_traffic` does.
    """
    found = {}
    for name, path in files.items():
        stated = scenario.services[name].traffic
        found[name] = read_traffic(stated.model_copy(update={"file": str(path.resolve()), "requests": None}))
    return found


def read_latencies(scenario: Scenario, files: Mapping[str, Path]) -> dict[tuple[str, str], "pd.Series[float]"]:
    """Hourly percentiles [s] by (service, objective) of the columns that a CSV file has of them."""
    found = {}
    for name, path in files.items():
        if path.suffix.lower() != ".csv":
            continue
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            header = [c.strip() for c in next(csv.reader(file), [])]
        for objective, *_ in scenario.services[name].objective.bounds():
            for column, scale in ((objective, 1.0), (objective.removesuffix("_s") + "_ms", 1e-3)):
                if column in header:
                    found[name, objective] = _grid(scenario.services[name].traffic, path, column) * scale
    return found


def _grid(stated: TrafficSource, path: Path, column: str) -> "pd.Series[float]":
    """One column of the file on an hourly UTC index; NaN where it was not observed."""
    columns = {k: v for k, v in stated.columns.items() if k == "ts"} | {"arrival_rate_rps": column}
    update = {
        "file": str(path.resolve()),
        "columns": columns,
        "value": "requests_per_s",
        "requests": None,
    }
    return read_traffic(stated.model_copy(update=update)).hourly().rename(column)
