"""The page, CSV, workbook, FOCUS, JSON and the public call say one number, to the cent, for every
month and for all of them; read from the page as a reader does.
"""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import planner
from planner.data import data_path
from tests.builders.screens import FIRST, money, rows, settled

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.browser
KINDS = ["effective_cost_usd", "billed_cost_usd", "list_cost_usd"]


def taken(page, name) -> bytes:
    with page.expect_download(timeout=FIRST) as download:
        page.get_by_role("button", name=re.compile(name)).click()
    return Path(download.value.path()).read_bytes()


def cents(frame, by, columns=KINDS):
    """Sums by month and in all, in whole cents."""
    table = frame.groupby(by)[columns].sum()
    table.loc["In all"] = frame[columns].sum()
    return (table * 100).round().astype(int).to_numpy().tolist()


def test_one_number_everywhere(app_url, page):
    page.goto(f"{app_url}/money", wait_until="domcontentloaded")
    expect(page.get_by_text("Every month to the cent")).to_be_visible(timeout=FIRST)
    settled(page, expect)
    page.get_by_text("Every month to the cent").click()
    table = page.get_by_test_id("stTable").first
    expect(table).to_be_visible(timeout=FIRST)
    head, *lines = rows(table)
    assert head == ["Month", "Spread over the term (amortized)", "Cash on the invoice", "List price, on demand"]
    screen = [[round(money(cell) * 100) for cell in line[1:]] for line in lines]

    scenario = planner.Scenario.read(data_path("scenarios", "web.yaml"))
    plan = planner.run(scenario, paths=100).plan
    assert screen == cents(plan.monthly(), "month")

    cost = pd.read_csv(io.BytesIO(taken(page, "^Cost, every charge")))
    assert screen == cents(cost, "month")
    months = pd.read_csv(io.BytesIO(taken(page, "^Cost by month")))
    assert screen == cents(months, "month")
    answer = json.loads(taken(page, "^The whole answer"))
    assert screen == cents(pd.DataFrame(answer["months"]), "month")
    assert round(answer["summary"]["total_usd"] * 100) == screen[-1][0]
    book = pd.read_excel(io.BytesIO(taken(page, "one workbook")), sheet_name=None)
    assert screen == cents(book["months"], "month")
    focus = pd.read_csv(io.BytesIO(taken(page, "^FOCUS")), low_memory=False)
    local = pd.to_datetime(focus["ChargePeriodStart"], utc=True).dt.tz_convert(scenario.time_zone)
    dated = focus.assign(month=local.dt.strftime("%Y-%m"))
    assert [line[:2] for line in screen] == cents(dated, "month", ["EffectiveCost", "BilledCost"])
