"""The answer as one JSON object for programs: every table but the hourly ones, unknown as null."""

import json
from collections.abc import Mapping

import pandas as pd

from planner.export import finance
from planner.export.asked import UNSTORED, Answered, Origin
from planner.export.tables import HOURLY, tables

_LONG = (*HOURLY, "summary", "prices", "excuses")


def to_json(study: Answered, origin: Origin = UNSTORED, beside: Mapping[str, object] | None = None) -> str:
    """The headline, the summary, and every table without a row an hour; unknown is ``null``.

    ``beside``: further parts by name, such as ``today``. Instants are ISO 8601; numbers in
    tables have 15 decimals. Infinity has no form in JSON: a value that is infinite or
    unknown in a table is ``null``.
    """
    plan, found = study.plan, tables(study, origin)
    answer: dict[str, object] = {
        "scenario": plan.scenario_name,
        "state": study.scenario.state,
        "revision": origin.revision,
        "currency": study.scenario.currency,
        "headline": finance.headline(study),
        "summary": {k: v if v == v else None for k, v in plan.summary().items()},
    }
    answer |= beside or {}
    answer |= {n: found[n] for n in found if n not in _LONG}
    return frames_json({**answer, "notes": list(plan.notes)})


def frames_json(parts: Mapping[str, object]) -> str:
    """Parts of an answer as one JSON object: a frame as a list of rows, all else as it is; unknown and
    infinite numbers of a frame are ``null``.

    >>> print(frames_json({"rows": pd.DataFrame({"share": [0.5, float("nan")]})}).replace(" ", ""))
    {
    "rows":[
    {
    "share":0.5
    },
    {
    "share":null
    }
    ]
    }
    """
    plain = {n: _records(p) if isinstance(p, pd.DataFrame) else p for n, p in parts.items()}
    return json.dumps(plain, ensure_ascii=False, indent=2, allow_nan=False)


def _records(frame: pd.DataFrame) -> object:
    """Rows of a frame as JSON knows them: unknown and infinite as null, instants as text."""
    return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
