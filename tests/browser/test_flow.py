"""One manager's visit in a real browser: read, move, share the link, download, upload, get it
wrong.
"""

import csv
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders.screens import choose

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.browser
FIRST = 180_000  # ms: the first study of a fresh server


def total(page) -> int:
    """The whole horizon's cost as the page states it [USD]."""
    text = page.get_by_text(re.compile(r"^\$[\d,]+ in all\.?$")).first
    expect(text).to_be_visible(timeout=FIRST)
    return int(re.sub(r"\D", "", text.inner_text()))


def cost(page):
    return page.get_by_test_id("stMetricValue").first


def settled(page):
    """Wait until the page is drawn whole: what was folded open before that is folded again."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_visible(timeout=FIRST)


def test_read_move_share_and_download(app_url, page, tmp_path):
    page.goto(app_url, wait_until="domcontentloaded")
    expect(cost(page)).to_have_text(re.compile(r"^\$[\d,.]+$"), timeout=FIRST)
    before = cost(page).inner_text()

    slider = page.get_by_role("slider", name="At most on spot machines, of the load")
    slider.focus()
    slider.press("ArrowLeft" if slider.input_value() == "1" else "ArrowRight")
    expect(page).to_have_url(re.compile(r"limits\.max_spot_share=0\.\d+"))
    expect(cost(page)).not_to_have_text(before, timeout=FIRST)
    settled(page)
    after, address = cost(page).inner_text(), page.url

    page.get_by_text("Downloads", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^Cost, every charge")).click()
    download.value.save_as(tmp_path / "cost.csv")
    with (tmp_path / "cost.csv").open(newline="") as file:
        added = sum(float(row["effective_cost_usd"]) for row in csv.DictReader(file))
    assert round(added) == total(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("one workbook")).click()
    book = zipfile.ZipFile(download.value.path())
    assert "xl/workbook.xml" in book.namelist()

    page.goto(address, wait_until="domcontentloaded")
    expect(cost(page)).to_have_text(after, timeout=FIRST)


def test_the_other_pages_are_a_click_away(app_url, page):
    page.goto(app_url, wait_until="domcontentloaded")
    expect(cost(page)).to_be_visible(timeout=FIRST)
    page.get_by_role("link", name="Prices").click()
    expect(page.get_by_text(re.compile(r"machines; list prices in USD"))).to_be_visible(timeout=FIRST)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("Both sides are the same scenario")).to_be_visible(timeout=FIRST)
    page.goto(f"{app_url}/risk", wait_until="domcontentloaded")
    expect(page.get_by_text("Requests in time", exact=True)).to_be_visible(timeout=FIRST)


def test_upload_a_history_and_then_nonsense(app_url, page):
    page.goto(app_url, wait_until="domcontentloaded")
    page.get_by_role("link", name="Start").click()
    chooser = page.get_by_test_id("stFileUploaderDropzoneInput")
    chooser.wait_for(state="attached", timeout=FIRST)
    start = datetime(2026, 9, 7, tzinfo=UTC)
    rows = [f"{(start + timedelta(hours=h)).isoformat()},{40 + 30 * (8 <= h % 24 < 20)}" for h in range(28 * 24)]
    chooser.set_input_files(
        {"name": "../../etc/history.csv", "mimeType": "text/csv", "buffer": "\n".join(["time,rps", *rows]).encode()}
    )
    choose(page, page.get_by_label("Plan for"), "3 months")
    page.get_by_role("button", name="Plan it").click()
    expect(page.get_by_role("heading", name="own traffic", exact=True)).to_be_visible(timeout=FIRST)
    assert total(page) > 0

    page.get_by_role("link", name="Start").click()
    chooser.set_input_files({"name": "history.csv", "mimeType": "text/csv", "buffer": bytes(range(256)) * 64})
    alert = page.get_by_test_id("stAlert").filter(has_text="The traffic history cannot be used")
    expect(alert).to_be_visible(timeout=FIRST)
    expect(alert).to_contain_text("What to do")
    expect(page.get_by_test_id("stException")).to_have_count(0)
