"""The answer as one JSON object for programs: every table but the hourly ones, unknown as null."""

import json
from collections.abc import Mapping

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
    answer |= {
        n: json.loads(found[n].to_json(orient="records", date_format="iso", double_precision=15))
        for n in found
        if n not in _LONG
    }
    return json.dumps({**answer, "notes": list(plan.notes)}, ensure_ascii=False, indent=2, allow_nan=False)
