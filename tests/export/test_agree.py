"""Screen = CSV = JSON = Excel = FOCUS = ``plan.cost``, month by month and owner by owner, to the cent."""

import json
import re

import pandas as pd
import pytest
from click.testing import CliRunner

from planner import export
from planner.cli import main
from tests.builders import answered, focus, small

CENT = 0.005


def months_of(made, folder):
    """Amortized cost by month [USD] as each file tells it."""
    export.write_csv(made, folder / "csv")
    export.write_parquet(made, folder / "parquet")
    cost, long = (pd.read_csv(folder / "csv" / f"{n}.csv", keep_default_na=False) for n in ("cost", "finance"))
    rows = focus.read(export.write_focus(made, folder / "focus.csv")[0])
    local = pd.to_datetime(rows["BillingPeriodStart"], utc=True).dt.tz_convert(made.scenario.time_zone)
    told = pd.DataFrame(json.loads(export.to_json(made))["months"])
    book = pd.read_excel(export.to_excel(made, folder / "plan.xlsx"), sheet_name=None)
    first = book["month by owner"].set_index("month").drop(index="total")
    files = pd.read_parquet(folder / "parquet" / "months.parquet")
    return {
        "cost.csv": cost.groupby("month")["effective_cost_usd"].sum(),
        "finance.csv": long[long["measure"] == "amortized"].groupby("month")["cost_usd"].sum(),
        "parquet": files.groupby("month")["effective_cost_usd"].sum(),
        "FOCUS": rows.groupby(local.dt.strftime("%Y-%m"))["EffectiveCost"].sum(),
        "JSON": told.groupby("month")["effective_cost_usd"].sum(),
        "Excel, first sheet": first["total"],
        "Excel, months": book["months"].groupby("month")["effective_cost_usd"].sum(),
    }


def by_month(plan):
    return plan.monthly().groupby("month")["effective_cost_usd"].sum()


def test_every_file_says_the_same_months_where_commitments_are_signed(tmp_path):
    made = answered.answered(answered.scenario(time_zone="America/Los_Angeles"))
    screen = by_month(made.plan)
    for name, found in months_of(made, tmp_path).items():
        assert found.to_dict() == pytest.approx(screen.to_dict(), abs=CENT), name


@pytest.fixture(name="folder", scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("small")
    rate = "currency: EUR\nexchange: {per_usd: 0.92, as_of: 2026-11-20}\n"
    (place / "small.yaml").write_text(small.SCENARIO.replace("2027-01-04", "2027-01-30") + rate, encoding="utf-8")
    small.traffic().to_csv(place / "web.csv", index=False)
    return place


@pytest.mark.slow
def test_the_screen_of_a_run_says_what_its_files_say(folder, tmp_path):
    """One run of the command with every option: months and headline of the text, and each file."""
    out = {name: tmp_path / name for name in ("csv", "parquet", "excel.xlsx", "focus.csv")}
    options = [word for name, path in out.items() for word in (f"--{name.partition('.')[0]}", path)]
    words = ["plan", folder / "small.yaml", "--paths", 2, "--focus-version", "1.3", *options]
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    cost = pd.read_csv(out["csv"] / "cost.csv", keep_default_na=False)
    screen = cost.groupby("month")["effective_cost_usd"].sum()
    shown = dict(re.findall(r"^  (\d{4}-\d\d) +\S+ +\$([\d,.]+)", done.stdout.partition("By month")[2], re.MULTILINE))
    assert {m: number(v) for m, v in shown.items()} == pytest.approx(screen.to_dict(), abs=0.51)
    rows = focus.read(out["focus.csv"])
    assert focus.faults(rows) == []
    assert rows["EffectiveCost"].sum() == pytest.approx(screen.sum(), abs=CENT)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", rows["x_Vintage"].iloc[0])
    assert (tmp_path / "focus-commitments.csv").exists()
    book = pd.read_excel(out["excel.xlsx"], sheet_name="month by owner").set_index("month")
    assert book.loc["total", "total"] == pytest.approx(screen.sum(), abs=CENT)
    assert cost["effective_cost"].sum() == pytest.approx(screen.sum() * 0.92, abs=CENT)
    first = done.stdout.partition("\nCost\n")[2].splitlines()[0]
    said = re.match(r"  a month +\$\S+ +\$(\S+) up front.*, \$(\S+) cash in the horizon, \$(\S+) owed after it", first)
    calendar = pd.read_csv(out["csv"] / "prepayments.csv")
    due, owed = calendar["due_upfront_usd"].sum(), calendar.loc[~calendar["in_horizon"], "cash_usd"].sum()
    assert [number(v) for v in said.groups()] == pytest.approx([due, cost["billed_cost_usd"].sum(), owed], abs=0.51)
    assert "EUR a month at 0.92 for a dollar of 2026-11-20" in first


def number(text):
    return float(text.replace(",", ""))
