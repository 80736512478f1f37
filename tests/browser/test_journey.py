"""What a manager does, in a real browser at each width and on each ground: the ten clicks, alerts,
hand-off, the store, and today beside what is recommended; on a sample and on an own history.

Pictures of every page are left in the folder that PLANNER_PICTURES names, to be looked at.
"""

import os
import re
from pathlib import Path

import pytest

from tests.builders.screens import FIRST, choose, history, money, rows, settled

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.browser


@pytest.fixture
def pictured(tmp_path):
    """Take a picture of a page once it is drawn."""
    folder = Path(os.environ.get("PLANNER_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page, name):
        settled(page, expect)
        page.screenshot(path=folder / f"{page.label}-{name}.png")

    return take


def go(page, name):
    page.get_by_role("link", name=name, exact=True).click()
    settled(page, expect)


def cost(page):
    return page.get_by_test_id("stMetricValue").first


def test_ten_clicks_on_a_sample(app_url, seen, pictured):
    page = seen
    page.goto(f"{app_url}/start", wait_until="domcontentloaded")
    page.get_by_role("button", name="Open").first.click()
    expect(page).to_have_url(re.compile(r"/answer(\?|$)"), timeout=FIRST)  # the first sample is the default
    expect(cost(page)).to_have_text(re.compile(r"^\$[\d,.]+$"), timeout=FIRST)
    pictured(page, "answer")
    before = cost(page).inner_text()

    slider = page.get_by_role("slider", name="At most on spot machines, of the load")
    slider.focus()
    slider.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"limits\.max_spot_share=0\.35"), timeout=FIRST)
    expect(cost(page)).not_to_have_text(before, timeout=FIRST)
    settled(page, expect)
    after = cost(page).inner_text()

    for name, sign in {
        "Load": "Requests in all",
        "Money": "Who answers for it",
        "Commitments": "still owed after the plan ends",
        "Risk": "What breaks first",
        "Capacity": "What holds the cost up",
    }.items():
        go(page, name)
        expect(page).to_have_url(re.compile(r"limits\.max_spot_share=0\.35"))
        if name != "Load":
            expect(page.get_by_text(sign).first).to_be_visible(timeout=FIRST)
        pictured(page, name.lower())
    choose(page, page.get_by_label("What if another value were chosen for"), "Longest commitment, months")
    settled(page, expect)
    page.get_by_text("Work them out").click()
    expect(page.get_by_text(re.compile("^Moving the longest commitment"))).to_have_count(2, timeout=FIRST)
    pictured(page, "capacity-choices")

    page.goto(f"{app_url}/compare?b.limits.max_spot_share=0.35", wait_until="domcontentloaded")
    table = page.get_by_test_id("stTable").first
    expect(table).to_be_visible(timeout=FIRST)
    pictured(page, "compare")
    found = {line[0]: line[1:] for line in rows(table)}
    assert found["Cost a month"][:2] == [before, after]
    assert re.match(r"[+−]\$", found["Cost a month"][2])


def test_bill_alerts_and_hand_off(app_url, seen, pictured):
    page = seen
    page.goto(f"{app_url}/track", wait_until="domcontentloaded")
    expect(page.get_by_text("Where they differ, and why")).to_be_visible(timeout=FIRST)
    pictured(page, "track")
    shown = [page.get_by_test_id("stMetricValue").nth(k).inner_text() for k in range(3)]
    planned, paid, difference = map(money, shown)
    assert planned < paid
    assert shown[2].startswith("+$")
    assert abs(paid - planned - difference) < 2
    page.get_by_text("Plan the rest of the horizon again").click()
    expect(page.get_by_text(re.compile(r"on the plan is \$[\d,]+ a month"))).to_be_visible(timeout=FIRST)
    pictured(page, "track-again")

    go(page, "Operate")
    expect(page.get_by_test_id("stTable").get_by_text("shed load now").first).to_be_visible(timeout=FIRST)
    pictured(page, "operate")
    page.get_by_role("tab", name="Hand-off page").click()
    expect(page.get_by_role("heading", name="Whom to call")).to_be_visible(timeout=FIRST)
    pictured(page, "operate-handoff")
    page.get_by_role("tab", name="Files").click()
    expect(page.get_by_role("button", name="This file")).to_be_visible(timeout=FIRST)
    settled(page, expect)
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile(r"^All \d+ files")).click()
    assert download.value.suggested_filename == "web-2027-operate.zip"
    pictured(page, "operate-files")


def test_an_answer_is_kept_and_found_again(app_url, seen, pictured):
    page = seen
    page.goto(f"{app_url}/store", wait_until="domcontentloaded")
    page.get_by_label("Why keep it").fill("looked at")
    page.get_by_label("Who", exact=True).first.fill(f"ann {page.label}")
    page.get_by_role("button", name="Keep", exact=True).click()
    told = page.get_by_text(re.compile(r"^Kept as web-2027@\d+")).first
    expect(told).to_be_visible(timeout=FIRST)
    label = re.search(r"web-2027@\d+", told.inner_text())[0]
    pictured(page, "store")
    page.get_by_role("button", name="Open it").click()
    expect(page).to_have_url(re.compile(f"/answer.*scenario={label.replace('@', '(@|%40)')}"), timeout=FIRST)
    expect(cost(page)).to_have_text(re.compile(r"^\$[\d,.]+$"), timeout=FIRST)
    go(page, "Start")
    expect(page.get_by_text("Go on with what was kept")).to_be_visible(timeout=FIRST)
    pictured(page, "start")


def test_today_stands_beside_what_is_recommended(app_url, seen, pictured):
    page = seen
    page.goto(f"{app_url}/?scenario=demo", wait_until="domcontentloaded")
    expect(page).to_have_url(re.compile(r"/answer\?scenario=demo"), timeout=FIRST)
    card = page.get_by_text(re.compile(r"^\$[\d,]+ → \$[\d,]+$"))
    expect(card).to_be_visible(timeout=FIRST)
    today, plan = (int(re.sub(r"\D", "", part)) for part in card.inner_text().split("→"))
    expect(
        page.get_by_text(re.compile(rf"saves \${today - plan:,} a month|saves \${today - plan + 1:,} a month"))
    ).to_be_visible()
    pictured(page, "today")


def test_an_own_history_goes_all_the_way(app_url, seen, pictured):
    page = seen
    page.goto(f"{app_url}/start", wait_until="domcontentloaded")
    chooser = page.get_by_test_id("stFileUploaderDropzoneInput")
    chooser.wait_for(state="attached", timeout=FIRST)
    chooser.set_input_files({"name": "panel.csv", "mimeType": "text/csv", "buffer": history().encode()})
    expect(page.get_by_text(re.compile("28 days from 07 Sep 2026"))).to_be_visible(timeout=FIRST)
    pictured(page, "start-own")
    choose(page, page.get_by_role("combobox", name=re.compile("Plan for")), "3 months")
    page.get_by_role("button", name="Plan it").click()
    expect(page.get_by_role("heading", name="own traffic", exact=True)).to_be_visible(timeout=FIRST)
    pictured(page, "own-answer")
    for name in ("Load", "Capacity", "Money", "Commitments", "Risk", "Track", "Operate", "Store"):
        go(page, name)
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=FIRST)
        expect(page.get_by_test_id("stAlert").filter(has_text="What to do")).to_have_count(0)
        pictured(page, f"own-{name.lower()}")
    page.reload(wait_until="domcontentloaded")
    expect(page.get_by_text(re.compile("^own traffic, idea")).first).to_be_visible(timeout=FIRST)
