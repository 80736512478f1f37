"""The answer as one JSON object for programs: every table but the hourly ones, unknown as null."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from planner.export import finance
from planner.export.asked import UNSTORED, Answered, Origin
from planner.export.tables import HOURLY, tables

_LONG = (*HOURLY, "summary", "prices", "excuses")


def to_json(study: Answered, origin: Origin = UNSTORED, beside: Mapping[str, object] | None = None) -> str:
    """The headline, the summary, and every table without a row an hour; unknown is ``null``.

    ``beside``: further parts by name, such as ``today``. Instants are ISO 8601; numbers in
    tables have 15 decimals. Infinity has no form in JSON: a value that is infinite or
    unknown is ``null``.
    """
    plan, found = study.plan, tables(study, origin)
    answer: dict[str, object] = {
        "scenario": plan.scenario_name,
        "state": study.scenario.state,
        "revision": origin.revision,
        "currency": study.scenario.currency,
        "headline": finance.headline(study),
        "summary": plan.summary(),
    }
    answer |= beside or {}
    answer |= {n: found[n] for n in found if n not in _LONG}
    return frames_json({**answer, "notes": list(plan.notes)})


def frames_json(parts: Mapping[str, object]) -> str:
    """Parts of an answer as one JSON object, as :func:`plain` has them.

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
    return json.dumps(plain(parts), ensure_ascii=False, indent=2, allow_nan=False)


def plain(value: object) -> Any:
    """A value as JSON knows it: a frame as a list of rows with instants as text, and numbers that are
    unknown or infinite as ``None``, however deep they lie.

    >>> plain({"usd": float("nan"), "each": (1.5, float("inf"))})
    {'usd': None, 'each': [1.5, None]}
    """
    if isinstance(value, pd.DataFrame):
        return json.loads(value.to_json(orient="records", date_format="iso", double_precision=15))
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
