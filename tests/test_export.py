"""What finance opens: the same rows, to the cent, and nothing that runs."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from planner import export
from planner.errors import PlannerError
from tests.builders import hand
from tests.builders.hand import TWO, plan


@pytest.fixture(name="made")
def made_plan():
    s = hand.scenario(**TWO)
    schedule = pd.concat(
        [hand.schedule(s, 3), hand.schedule(s, 2, option="spot"), hand.schedule(s, 1, service="api")], ignore_index=True
    )
    return plan(s, schedule, services=("web", "api"), paths=(100.0, 200.0, 300.0))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_reconcile_with_the_plan(made, tmp_path):
    export.write_csv(made, tmp_path)
    cost = rows(tmp_path / "cost.csv")
    assert len(cost) == len(made.cost)
    total = sum(float(r["effective_cost_usd"]) for r in cost)
    assert total == pytest.approx(made.total_usd, rel=1e-12)
    for name in ("months", "owners"):
        assert sum(float(r["effective_cost_usd"]) for r in rows(tmp_path / f"{name}.csv")) == pytest.approx(
            total, rel=1e-12
        )
    figures = {r["figure"]: float(r["value"] or "nan") for r in rows(tmp_path / "summary.csv")}
    assert figures == pytest.approx(made.summary(), nan_ok=True)
    assert cost[0]["ts"] == "2027-01-31T00:00:00Z"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx", "\rx", "\n=1"])
def test_formulas_are_neutralized_and_numbers_are_not(text):
    written = export.to_csv(pd.DataFrame({"owner": pd.Series([text, "plain"], dtype="str"), "value": [-1.5, 2.0]}))
    found = list(csv.reader(io.StringIO(written, newline="")))
    assert found[1] == ["'" + text.replace("\r", " ").replace("\n", " "), "-1.5"]
    assert found[2] == ["plain", "2.0"]


def test_figures_keep_every_digit():
    value = 0.1 + 0.2
    frame = pd.DataFrame({"value": [value, np.nan]})
    back = pd.read_csv(io.StringIO(export.to_csv(frame)))
    assert back["value"].iloc[0] == value
    assert np.isnan(back["value"].iloc[1])  # unknown stays unknown, never 0


def test_law_54_a_fault_leaves_the_old_files(tmp_path):
    export.write_texts({"a.csv": "old", "b.csv": "old"}, tmp_path)
    with pytest.raises(PlannerError, match="cannot be written"):
        export.write_texts({"a.csv": "new", "no/such/folder.csv": "new"}, tmp_path)
    assert (tmp_path / "a.csv").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.csv"]
    with pytest.raises(PlannerError, match="cannot be written"):
        export.write_texts({"a.csv": "x"}, tmp_path / "a.csv")


def test_json_has_null_for_unknown():
    s = hand.scenario()
    answer = json.loads(export.to_json(plan(s, hand.schedule(s, 1))))
    assert answer["summary"]["p50_usd"] is None
    assert answer["summary"]["total_usd"] == pytest.approx(48.0)
    assert answer["owners"][0]["owner"] == "shop"


def test_excel_has_numbers_and_no_formulas(made, tmp_path):
    pytest.importorskip("xlsxwriter")
    import zipfile

    path = export.to_excel(made, tmp_path / "plan.xlsx")
    with zipfile.ZipFile(path) as book:
        sheets = "".join(book.read(n).decode() for n in book.namelist() if n.startswith("xl/worksheets/"))
    assert "<f>" not in sheets
    assert repr(float(made.summary()["list_usd"])).removesuffix(".0") in sheets
    assert not list(tmp_path.glob("*.part"))
