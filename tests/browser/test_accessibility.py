"""No serious fault by the rules of axe on any page and either ground, and the whole visit without a
mouse.
"""

import re
from importlib.resources import files

import pytest

from tests.browser.conftest import left_clean, watched
from tests.builders.screens import FIRST, PAGES, settled

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytest.importorskip("axe_playwright_python", reason="axe is not installed")
pytestmark = pytest.mark.browser
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
ASK = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
# what Streamlit draws by itself and no page of ours can change
THEIRS = ('[data-testid="stToolbar"]', '[data-testid="stHeader"]', '[data-testid="stDataFrame"]', ".vega-embed")


def faults(page):
    """Serious and critical faults in what our pages write: rule, element, and why."""
    page.evaluate(AXE)
    return [
        f"{v['id']} ({v['impact']}): {node['target']} {node['failureSummary'][:200]}"
        for v in page.evaluate(ASK)
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
        if not page.evaluate(
            "([target, theirs]) => { const e = document.querySelector(target);"
            " return !!e && theirs.some(t => e.closest(t)); }",
            [node["target"][0] if isinstance(node["target"][0], str) else node["target"][0][0], list(THEIRS)],
        )
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault(app_url, chromium, theme):
    found = {}
    for name in PAGES:
        page = watched(chromium, theme=theme)
        page.goto(f"{app_url}/{name}", wait_until="domcontentloaded")
        settled(page, expect)
        found[name] = faults(page)
        left_clean(page)
    assert not {name: told for name, told in found.items() if told}


def named(page) -> str:
    """The element that has the focus, by its accessible name."""
    return page.evaluate(
        "() => { const e = document.activeElement; const by = e.getAttribute('aria-labelledby');"
        " const label = by && document.getElementById(by) ? document.getElementById(by).innerText : '';"
        " return e.getAttribute('aria-label') || label || (e.labels && e.labels[0] ? e.labels[0].innerText : '')"
        " || e.innerText || ''; }"
    ).strip()


def tab_to(page, name, most=150):
    """Press Tab until something of this name has the focus; it must be in sight then."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if re.search(name, named(page)):
            return
    pytest.fail(f"Tab never leads to {name}")


def test_the_visit_without_a_mouse(app_url, page):
    page.goto(f"{app_url}/answer", wait_until="domcontentloaded")
    settled(page, expect)
    tab_to(page, "^At most on spot")  # not the button that explains it
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"limits\.max_spot_share=0\.35"), timeout=FIRST)
    settled(page, expect)
    for name in ("Load", "Capacity", "Money", "Commitments", "Risk", "Track", "Operate", "Store", "Answer"):
        tab_to(page, f"^{name}$")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"/{name.lower()}"), timeout=FIRST)
        settled(page, expect)
    tab_to(page, r"\bDownloads$", most=400)
    page.keyboard.press("Enter")
    tab_to(page, "Cost, every charge")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "cost.csv"
