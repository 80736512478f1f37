"""Real FOCUS bills (folder ``focus`` of the reference): what a reader of actuals must make of them."""

import csv

import pytest


@pytest.mark.xfail(
    strict=True, raises=ImportError, reason="tracking against actual bills: the reader of FOCUS files is not there yet"
)
def test_a_real_bill_is_read_to_the_cent(reference):
    folder = reference("focus")
    from planner.track import read_bill

    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        billed = sum(float(r["BilledCost"]) for r in rows if r["BilledCost"] not in ("", "NULL"))
        assert read_bill(path)["billed_cost_usd"].sum() == pytest.approx(billed, abs=0.005)
