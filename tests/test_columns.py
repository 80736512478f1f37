"""The data dictionary is whole, its units agree with its names, and its door refuses what it does
not declare.
"""

import pandas as pd
import pytest

from planner import columns
from planner.errors import PlannerError

FRAMES = sorted({f for c in columns.dictionary().values() for f in c.frames})
SUFFIX_UNIT = {
    "_usd": "USD",
    "_usd_per_h": "USD/h",
    "_gib": "GiB",
    "_rps": "requests/s",
    "_s": "s",
    "_h": "h",
    "_share": "share",
    "_gib_per_s": "GiB/s",
    "_per_h": "1/h",
}


@pytest.mark.parametrize("column", columns.dictionary().values(), ids=lambda c: c.name)
def test_each_column_is_declared_whole(column):
    assert column.frames
    assert column.meaning
    assert column.dtype in {"str", "float", "int", "bool", "ts"}
    assert not column.name.endswith(("_ms", "_pct", "_percent")), "seconds and shares only"
    suffix = max((s for s in SUFFIX_UNIT if column.name.endswith(s)), key=len, default=None)
    if suffix and column.dtype == "float":
        assert column.unit.startswith(SUFFIX_UNIT[suffix])


@pytest.mark.parametrize("frame", FRAMES)
def test_an_empty_frame_passes_its_own_door(frame):
    table = columns.empty(frame)
    assert tuple(columns.check(frame, table).columns) == columns.columns_of(frame)


def test_the_door_names_every_fault():
    table = columns.empty("plan.excuses").drop(columns="gap").assign(extra=1)
    with pytest.raises(PlannerError) as caught:
        columns.check("plan.excuses", table)
    assert "missing gap" in str(caught.value)
    assert "undeclared extra" in str(caught.value)


def test_the_door_refuses_wrong_dtypes_and_naive_time():
    good = columns.empty("plan.bindings")
    row = pd.DataFrame(
        {
            "ts": pd.to_datetime(["2027-01-01"]),
            "constraint": ["serve"],
            "subject": ["chat"],
            "shadow_price_usd": [1.0],
            "sentence": ["x"],
        }
    )
    with pytest.raises(PlannerError, match=r"ts is datetime64.*declared ts"):
        columns.check("plan.bindings", row)
    columns.check("plan.bindings", row.assign(ts=row.ts.dt.tz_localize("UTC")))
    assert list(columns.check("plan.bindings", good).columns) == list(good.columns)


def test_unknown_frame_is_refused():
    with pytest.raises(PlannerError, match=r"no such frame"):
        columns.columns_of("plan.nothing")
