"""Real FOCUS bills (folder ``focus`` of the reference): what a reader of actuals must make of them."""

import csv

import pytest

from planner.track import read_bill


def test_a_real_bill_is_read_to_the_cent(reference):
    for path in sorted(reference("focus").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        billed = sum(float(r["BilledCost"]) for r in rows if r["BilledCost"] not in ("", "NULL"))
        found = read_bill(path)
        assert found["billed_cost_usd"].sum() == pytest.approx(billed, abs=0.005)
        assert found["row"].tolist() == list(range(1, len(rows) + 1))
