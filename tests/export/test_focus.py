"""A plan as a FOCUS dataset: every row holds the rules, and money is that of the plan in both views."""

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner import export
from planner.data import data_path
from planner.errors import PlannerError
from tests.builders import ROOT, answered, focus

SAMPLES = ("web", "chat", "embed", "demo")
CRITERIA = (
    *("ACCOUNT_NAMING", "MULTIPLE_PRICING_CATEGORIES", "NEGOTIATED_PRICING", "PUBLIC_PRICE_LIST", "USAGE_MEASUREMENT"),
    *("UNIT_PRICING", "SUB_ACCOUNT", "REGION", "TAGGING"),
)
# the model of rules has both "must be null" and "must not be null" of one column
CONTRADICTORY = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}
ORIGIN = export.Origin("3", "2026-11-27")


def dataset(made, folder, version="1.2"):
    return focus.read(export.write_focus(made, folder / "focus.csv", version, ORIGIN)[0])


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def test_every_row_holds_the_rules_and_money_is_the_plans(zone, tmp_path):
    made = answered.answered(answered.scenario(time_zone=zone))
    rows, cost = dataset(made, tmp_path), made.plan.cost
    assert focus.faults(rows) == []
    for column, name in (("EffectiveCost", "effective"), ("BilledCost", "billed"), ("ListCost", "list")):
        assert rows[column].sum() == pytest.approx(cost[f"{name}_cost_usd"].sum(), rel=1e-12)
    by = rows.groupby(rows["BillingPeriodStart"])["EffectiveCost"].sum()
    screen = made.plan.monthly().groupby("month")["effective_cost_usd"].sum()
    assert by.to_numpy() == pytest.approx(screen.to_numpy(), abs=1e-9)
    begins = pd.to_datetime(by.index, utc=True).tz_convert(zone)
    assert begins.strftime("%Y-%m-%dT%H:%M").tolist() == [f"{m}-01T00:00" for m in screen.index]
    owners = rows.groupby("x_Owner")["EffectiveCost"].sum()
    assert owners.to_dict() == pytest.approx(cost.groupby("owner")["effective_cost_usd"].sum().to_dict())
    assert set(rows["x_Vintage"]) == {"2026-11-27"}
    assert set(rows["x_ScenarioRevision"]) == {"3"}
    assert set(rows.loc[rows["x_Owner"] == "shop", "x_CostCenter"]) == {"CC-1"}


def test_the_rules_see_a_wrong_row(tmp_path):
    """The checks are not empty: a row of each kind that is wrong is named."""
    rows = dataset(answered.answered(), tmp_path)
    for column, value in (
        ("ChargeCategory", "Usagee"),
        ("ChargePeriodStart", "2027-01-31 00:00:00"),
        ("ListCost", 1e6),
        ("EffectiveCost", np.nan),
        ("ServiceCategory", "Storage"),
    ):
        wrong = rows.copy()
        wrong.loc[wrong.index[3], column] = value
        assert focus.faults(wrong), column


@settings(max_examples=4)
@given(hours=st.integers(12, 72), first=st.integers(0, 40), quantity=st.integers(1, 3))
def test_law_57_what_is_used_is_what_was_bought(hours, first, quantity, tmp_path_factory):
    """Over each commitment whose term lies in the horizon Σ EffectiveCost(Usage) = Σ BilledCost(Purchase), and
    what is consumed with what is unused is what was committed."""
    hours = min(hours, 72 - first)
    made = answered.answered(hours=hours, first=first, quantity=quantity)
    rows = dataset(made, tmp_path_factory.mktemp("focus"))
    mine = rows[rows["CommitmentDiscountId"] == "ri"]
    usage, bought = (mine[mine["ChargeCategory"] == c] for c in ("Usage", "Purchase"))
    assert usage["EffectiveCost"].sum() == pytest.approx(bought["BilledCost"].sum(), rel=1e-9)
    assert bought["EffectiveCost"].sum() == usage["BilledCost"].sum() == 0
    held = usage["CommitmentDiscountQuantity"].sum()
    assert held == pytest.approx(quantity * hours)
    for _, part in bought.groupby("ChargeFrequency"):  # the whole term at signing, and its hours by month
        assert part["CommitmentDiscountQuantity"].sum() == pytest.approx(quantity * hours)


def test_versions_name_their_columns(tmp_path):
    made = answered.answered()
    columns = {v: set(dataset(made, tmp_path, v)) for v in export.FOCUS_VERSIONS}
    new = {"ServiceProviderName", "HostProviderName", "ContractApplied"}
    assert columns["1.3"] - columns["1.2"] == new
    assert columns["1.2"] - columns["1.3"] == set()
    assert columns["1.3"] - columns["1.4"] == {"ProviderName", "PublisherName"}
    assert all(c.startswith("x_") or c[0].isupper() for c in columns["1.4"])
    with pytest.raises(PlannerError, match="no such version"):
        export.write_focus(made, tmp_path / "x.csv", "0.9")
    assert not (tmp_path / "x.csv").exists()


def test_contracts_stand_beside_the_rows_that_they_pay_for(tmp_path):
    """The Contract Commitment dataset of 1.3: its cost is that of the whole term, every application names it."""
    made = answered.answered()
    rows = dataset(made, tmp_path, "1.3")
    contracts = pd.read_csv(tmp_path / "focus-commitments.csv")
    assert len(contracts.columns) == 13
    only = contracts.iloc[0]
    assert only["ContractCommitmentCost"] == pytest.approx(2 * 0.6 * 8760)
    assert only["ContractCommitmentQuantity"] == pytest.approx(2 * 8760)
    assert only["ContractCommitmentPeriodStart"] == "2027-01-31T00:00:00Z"
    said = rows.loc[rows["ContractApplied"] != "", "ContractApplied"].map(json.loads)
    assert len(said) == (rows["CommitmentDiscountId"] != "").sum()
    assert {e["ContractCommitmentId"] for text in said for e in text["Elements"]} == {only["ContractCommitmentId"]}
    applied = sum(e["ContractCommitmentAppliedCost"] for text in said for e in text["Elements"])
    mine = rows[rows["CommitmentDiscountId"] != ""]
    assert applied == pytest.approx(mine["EffectiveCost"].sum() + mine["BilledCost"].sum())


def test_parquet_holds_the_same_rows(tmp_path):
    made = answered.answered()
    rows = dataset(made, tmp_path)
    path = export.write_focus(made, tmp_path / "focus.parquet", "1.2", ORIGIN)[0]
    found = pd.read_parquet(path)
    assert found["EffectiveCost"].sum() == pytest.approx(rows["EffectiveCost"].sum())
    assert list(found) == list(rows)


@pytest.fixture(name="sample", scope="module", params=SAMPLES)
def sample_study(request):
    scenario = planner.Scenario.read(data_path("scenarios", f"{request.param}.yaml"))
    return planner.run(scenario, paths=10)


@pytest.mark.slow
def test_the_bundled_samples_hold_every_rule_and_pass_the_validator(sample, tmp_path):
    """Row checks always; the validator of the specification's makers where it is installed: it needs Python 3.12,
    so it has an environment of its own, named by ``FOCUS_PYTHON`` or found in ``.focus``."""
    path = export.write_focus(sample, tmp_path / "focus.csv", "1.2", ORIGIN)[0]
    rows = focus.read(path)
    assert focus.faults(rows) == []
    assert rows["EffectiveCost"].sum() == pytest.approx(sample.plan.total_usd, rel=1e-12)
    assert rows["BilledCost"].sum() == pytest.approx(sample.plan.cost["billed_cost_usd"].sum(), rel=1e-12)
    python = Path(os.environ.get("FOCUS_PYTHON", ROOT / ".focus" / "bin" / "python"))
    if not python.exists():
        pytest.skip("row checks passed; no focus-validator: FOCUS_PYTHON names no interpreter that has it")
    outcome = validated(path, python, tmp_path)
    assert sum(v == "pass" for v in outcome.values()) >= 250
    assert {k for k, v in outcome.items() if v == "fail"} <= CONTRADICTORY


def validated(path, python, folder):
    """Rule → pass, fail or skip, as focus-validator says; it reads its rules from the current folder."""
    where = subprocess.run(
        [python, "-c", "import focus_validator; print(focus_validator.__path__[0])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    place = folder / "run"
    (place / "focus_validator").mkdir(parents=True)
    (place / "focus_validator" / "rules").symlink_to(Path(where) / "rules")
    command = [
        python.with_name("focus-validator"),
        "--data-file",
        path,
        "--validate-version",
        "1.2",
        "--block-download",
    ]
    command += ["--block-download", "--output-type", "unittest", "--output-destination", "out.xml"]
    command += ["--applicability-criteria", ",".join(f"{c}_SUPPORTED" for c in CRITERIA)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert (place / "out.xml").exists(), done.stderr[-800:]
    return {c.get("name").split(" :: ")[0]: _said(c) for c in ET.parse(place / "out.xml").iter("testcase")}


def _said(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "fail"
    return "skip" if case.find("skipped") is not None else "pass"
