"""Writes a plan for finance: CSV that equals the screen, safe to open in a spreadsheet, whole or
not at all.

Text that a spreadsheet would run as a formula (it begins with ``= + - @``, a tab or a line break)
gets a leading apostrophe (OWASP, CSV injection), and a line break becomes a space; numbers are left
as they are.  Times are ISO 8601 in UTC.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from planner.errors import PlannerError
from planner.plan import Plan
from planner.simulator import Replay

_FORMULA = r"^([=+\-@\t\r\n])"


def to_csv(frame: pd.DataFrame) -> str:
    """CSV text of a frame: declared column names, full precision, formulas neutralized, lines ended
    with a line feed.
    """
    safe = frame.copy()
    for name in safe.columns:
        if pd.api.types.is_string_dtype(safe[name]):
            safe[name] = safe[name].str.replace(_FORMULA, r"'\1", regex=True).str.replace(r"[\r\n]", " ", regex=True)
        elif isinstance(safe[name].dtype, pd.DatetimeTZDtype):
            safe[name] = safe[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return safe.to_csv(index=False, lineterminator="\n")


def tables(plan: Plan, replay: Replay | None = None) -> dict[str, pd.DataFrame]:
    """Every table of a plan by file name: summary, months, owners, cost, schedule, coverage,
    commitments, prices and reasons.
    """
    figures = plan.summary()
    summary = pd.DataFrame({"figure": list(figures), "value": list(figures.values())}).astype({"figure": "str"})
    found = {
        "summary": summary,
        "months": plan.monthly(),
        "month_range": plan.monthly_range(),
        "owners": plan.by_owner(),
        "machines": plan.machines(),
        "cost": plan.cost,
        "schedule": plan.schedule,
        "coverage": plan.coverage,
        "commitments": plan.commitments,
        "prices": plan.prices,
        "bindings": plan.bindings,
        "excuses": plan.excuses,
    }
    if len(plan.alternatives):
        found["alternatives"] = plan.alternatives
    if replay is not None:
        found |= {"replay_objectives": replay.objectives, "replay_hours": replay.hours, "replay_breaks": replay.breaks}
        found["replay_causes"] = replay.causes
    return found


def write_csv(plan: Plan, folder: str | Path, replay: Replay | None = None) -> list[Path]:
    """Write every table of :func:`tables` as ``folder/NAME.csv``; all files are complete before the
    first takes its place.

    Raises :class:`PlannerError` if the folder cannot be written.
    """
    return write_texts({f"{name}.csv": to_csv(frame) for name, frame in tables(plan, replay).items()}, folder)


def write_texts(texts: Mapping[str, str], folder: str | Path) -> list[Path]:
    """Write files together: a fault leaves every old file as it was. Raises :class:`PlannerError`."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
        try:
            for name, text in texts.items():
                (part / name).write_text(text, encoding="utf-8", newline="")
            return [(part / name).replace(folder / name) for name in texts]
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise PlannerError(
            f"the files cannot be written: {error.strerror or error}", where=folder, remedy="Choose another folder"
        ) from None


def to_json(plan: Plan, replay: Replay | None = None, beside: Mapping[str, object] | None = None) -> str:
    """The answer without its hourly rows as JSON: summary, months, owners, machines, commitments,
    breaks; unknown is ``null``. ``beside``: further parts by name, such as ``today``.
    """
    hourly = ("summary", "cost", "schedule", "coverage", "prices", "excuses", "replay_hours")
    found = tables(plan, replay)
    answer: dict[str, object] = {
        "scenario": plan.scenario_name,
        "summary": {k: v if v == v else None for k, v in plan.summary().items()},
    }
    answer |= beside or {}
    answer |= {
        n: json.loads(found[n].to_json(orient="records", date_format="iso", double_precision=15))
        for n in found
        if n not in hourly
    }
    return json.dumps({**answer, "notes": list(plan.notes)}, ensure_ascii=False, indent=2, allow_nan=False)


def to_excel(plan: Plan, path: str | Path, replay: Replay | None = None) -> Path:
    """One workbook, one sheet a table, numbers as numbers; hourly tables stay in CSV. Needs the
    extra ``xlsx``.

    Raises :class:`PlannerError` without the extra, or where the file cannot be written.
    """
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise PlannerError(
            "writing Excel needs XlsxWriter", where=path, remedy="pip install 'infra-planner[xlsx]'"
        ) from None
    path = Path(path)
    part = path.with_name(path.name + ".part")
    plain = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
    try:
        with pd.ExcelWriter(part, engine="xlsxwriter", engine_kwargs=plain) as book:
            for name, frame in tables(plan, replay).items():
                if name not in ("cost", "schedule", "coverage", "replay_hours"):
                    stamps = frame.select_dtypes("datetimetz").columns
                    naive = frame.assign(**{c: frame[c].dt.tz_convert("UTC").dt.tz_localize(None) for c in stamps})
                    naive.to_excel(book, sheet_name=name, index=False, freeze_panes=(1, 0))
        return part.replace(path)
    except OSError as error:
        raise PlannerError(
            f"the workbook cannot be written: {error.strerror or error}", where=path, remedy="Choose another place"
        ) from None
    finally:
        part.unlink(missing_ok=True)
