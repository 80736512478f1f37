"""What tests in a real browser share: waiting, going to pages, pictures, and reading tables."""

import re

FIRST = 150_000  # ms: the first study of a fresh server on a busy machine
PAGES = ("start", "answer", "load", "capacity", "money", "commitments", "risk", "compare", "track", "operate", "store")
PAGES += ("prices",)


def settled(page, expect):
    """Wait until the page is drawn whole: what was folded open before that is folded again."""
    done = page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')
    expect(done).to_be_visible(timeout=FIRST)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=FIRST)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def choose(page, box, name):
    """Pick from a list; it is opened again where a picture or the page being drawn has closed it."""
    from playwright.sync_api import TimeoutError as Closed

    option = page.get_by_role("option", name=name)
    for _ in range(5):
        box.click()
        try:
            option.click(timeout=10_000)
        except Closed:
            page.keyboard.press("Escape")
        else:
            return
    raise AssertionError(f"{name} was never on offer")


def money(text: str) -> float:
    """Dollars as the page writes them."""
    return float(re.sub(r"[^\d.\-]", "", text.replace("−", "-")))


def rows(table) -> list[list[str]]:
    """The cells of a table of the page, line by line."""
    lines = table.locator("tr").all()
    return [[cell.inner_text().strip() for cell in line.locator("th, td").all()] for line in lines]


def history(days=28):
    """A traffic history as Grafana exports a panel to CSV: series in columns, a unit in each cell."""
    from datetime import datetime, timedelta

    start = datetime(2026, 9, 7)
    lines = ['"Time","web"']
    for h in range(24 * days):
        rate = 40 + 30 * (8 <= h % 24 < 20)
        lines.append(f'"{start + timedelta(hours=h):%Y-%m-%d %H:%M:%S}","{rate} req/s"')
    return "\n".join(lines) + "\n"
