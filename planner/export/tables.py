"""Every table of an answer by name, and all of them in a folder."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from planner.export import finance
from planner.export.asked import UNSTORED, Answered, Origin
from planner.export.budgets import budgets
from planner.export.cells import parquet, to_csv
from planner.export.together import write_set
from planner.export.tokens import token_costs

HOURLY = ("cost", "schedule", "coverage", "replay_hours")  # a row an hour: too long for a workbook


def tables(study: Answered, origin: Origin = UNSTORED) -> dict[str, pd.DataFrame]:
    """Every table by file name: what finance opens first (headline, finance, months, owners,
    prepayments, cost), then what runs, why, and how it held.
    """
    plan, replay = study.plan, study.replay
    found = {
        "summary": summary(study),
        "finance": finance.long(study, origin),
        "months": finance.months(study),
        "month_range": plan.monthly_range(),
        "owners": plan.by_owner(),
        "budgets": budgets(study),
        "prepayments": finance.prepayments(study),
        "machines": plan.machines(),
        "cost": finance.cost(study, origin),
        "schedule": plan.schedule,
        "coverage": plan.coverage,
        "commitments": plan.commitments,
        "prices": plan.prices,
        "bindings": plan.bindings,
        "excuses": plan.excuses,
    }
    if len(tokens := token_costs(study)):
        found["tokens"] = tokens
    if len(plan.alternatives):
        found["alternatives"] = plan.alternatives
    if replay is not None:
        found |= {"replay_objectives": replay.objectives, "replay_hours": replay.hours, "replay_breaks": replay.breaks}
        found["replay_causes"] = replay.causes
    return found


def summary(study: Answered) -> pd.DataFrame:
    """The figures of the answer, one a row, its headline first: ``figure`` and ``value`` [USD,
    shares]. The days a prepayment is due stand in ``prepayments``.
    """
    figures = {k: v for k, v in finance.headline(study).items() if not isinstance(v, str)}
    figures |= {k: v for k, v in study.plan.summary().items() if k not in figures}
    return pd.DataFrame({"figure": list(figures), "value": list(figures.values())}).astype({"figure": "str"})


def write_csv(study: Answered, folder: str | Path, origin: Origin = UNSTORED) -> list[Path]:
    """Write every table of :func:`tables` as ``folder/NAME.csv``, as one set.

    Raises :class:`PlannerError` as :func:`planner.export.together.write_set`.
    """
    return write_frames(tables(study, origin), folder)


def write_parquet(study: Answered, folder: str | Path, origin: Origin = UNSTORED) -> list[Path]:
    """Write every table of :func:`tables` as ``folder/NAME.parquet``, as one set, types kept.

    Raises :class:`PlannerError` as :func:`planner.export.together.write_set`.
    """
    return write_set({f"{name}.parquet": parquet(frame) for name, frame in tables(study, origin).items()}, folder)


def write_frames(frames: Mapping[str, pd.DataFrame], folder: str | Path) -> list[Path]:
    """Write frames as ``folder/NAME.csv``, as one set: all or none.

    Raises :class:`PlannerError` as :func:`planner.export.together.write_set`.
    """
    return write_set({f"{name}.csv": to_csv(frame).encode() for name, frame in frames.items()}, folder)
