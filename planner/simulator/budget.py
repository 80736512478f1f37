"""The error budget: late requests over those that the objectives allow, month by month."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.calendar import Months
from planner.load import Load
from planner.scenario import Scenario
from planner.simulator.replay import Replay, typed


def error_budget(replay: Replay, scenario: Scenario, load: Load) -> pd.DataFrame:
    """What each month's late requests took of those allowed, and when they were all taken
    (``replay.budget``), one row a service, objective and calendar month.

    Late: Σ_h (1 − share in time_h) · requests_h, allowed: (1 − percentile) · Σ_h requests_h, both
    mean over the paths; ``load``: the paths of the replay.  ``exhausted_at``: the hour in which the
    late requests of the month exceed what the whole month allows.
    """
    months = Months.over(load.ts, scenario.time_zone)
    rows = [
        row
        for objective in replay.objectives.to_dict("records")
        for row in _of_objective(objective, replay, months, load, scenario.time_zone)
    ]
    if not rows:
        return columns.empty("replay.budget")
    frame = pd.DataFrame(rows)
    return typed(
        "replay.budget", {**frame, "exhausted_at": pd.to_datetime(frame["exhausted_at"], utc=True).dt.as_unit("us")}
    )


def _of_objective(
    row: Mapping[Any, Any], replay: Replay, months: Months, load: Load, time_zone: str
) -> Iterator[dict[str, Any]]:
    """The months of one objective."""
    keys = {"service": row["service"], "objective": row["objective"]}
    mine = replay.hours[(replay.hours[list(keys)] == list(keys.values())).all(axis=1)]
    came = load.services[row["service"]].arrival_rate_rps.mean(axis=0, dtype=np.float64) * 3600 * load.weight_h
    late = (1 - mine["within_share"].to_numpy(np.float64)) * came
    arrived, spent = months.total(came), months.total(late)
    allowed = (1 - row["percentile_share"]) * arrived
    for k, start in enumerate(months.start.tz_convert(time_zone)):
        yield {
            **keys,
            "month": f"{start:%Y-%m}",
            "arrived_requests": float(arrived[k]),
            "late_requests": float(spent[k]),
            "allowed_requests": float(allowed[k]),
            "error_budget_share": float(spent[k] / allowed[k]) if allowed[k] > 0 else 0.0,
            "paths": replay.paths,
            "exhausted_at": _exhausted(late, months, k, float(allowed[k]), load.ts),
        }


def _exhausted(late: Floats, months: Months, month: int, allowed: float, ts: pd.DatetimeIndex) -> Any:
    """The hour in which a month's late requests pass those allowed; no instant where they do not."""
    hours = np.flatnonzero(months.of == month)
    over = np.flatnonzero(np.cumsum(late[hours]) > allowed * (1 + 1e-9))
    return ts[hours[over[0]]] if len(over) else pd.NaT
