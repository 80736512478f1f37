"""A slider is moved: the new figures stand while the plan is still being checked and played, nothing
is claimed before it is known, and what stands at the end is the answer of the public call.
"""

import pytest

import planner
from planner.data import data_path
from planner.show import words
from tests.builders.screens import FIRST, settled

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.browser

# the text of the page at the first moment at which something of it is still awaited
AWAITED = """() => {
  if (document.querySelector('[aria-label="hourglass_top icon"]') === null) return null;
  return document.querySelector('[data-testid="stMain"]').innerText;
}"""
NEAR, HELD = "Is there a cheaper one?", "Would it hold?"


def moved(page, label, key):
    slider = page.get_by_role("slider", name=label)
    slider.focus()
    slider.press(key)
    return page.wait_for_function(AWAITED, timeout=FIRST).json_value()


def test_the_headline_stands_before_the_proof(app_url, page):
    page.goto(f"{app_url}/answer?limits.max_spot_share=0.15", wait_until="domcontentloaded")
    settled(page, expect)
    expect(page.get_by_text(HELD)).to_be_visible(timeout=FIRST)
    seen = moved(page, "At most on spot machines", "ArrowRight")
    assert words.NOT_PROVED in seen
    assert "being played" in seen
    assert NEAR not in seen
    assert HELD not in seen
    settled(page, expect)
    scenario = planner.Scenario.read(data_path("scenarios", "web.yaml"))
    study = planner.run(scenario.replace(**{"limits.max_spot_share": 0.2}), paths=100)
    cost = words.money(study.plan.summary()["monthly_mean_usd"])
    assert cost in seen, "the decided plan's cost is the final one"
    whole = page.get_by_test_id("stMain").inner_text()
    assert cost in whole
    assert f"none by more than {words.share(study.plan.certificate.gap_share, 1)}" in whole
    assert f"{words.share(study.replay.within_share(), 2)} of requests in time" in whole
    assert "being played" not in whole
    assert words.NOT_PROVED not in whole


def test_a_slider_moved_again_leaves_the_old_answer_behind(app_url, page):
    page.goto(f"{app_url}/answer?limits.max_spot_share=0.5", wait_until="domcontentloaded")
    settled(page, expect)
    moved(page, "At most on spot machines", "ArrowRight")
    moved(page, "At most on spot machines", "ArrowRight")
    settled(page, expect)
    scenario = planner.Scenario.read(data_path("scenarios", "web.yaml"))
    study = planner.run(scenario.replace(**{"limits.max_spot_share": 0.6}), paths=100)
    whole = page.get_by_test_id("stMain").inner_text()
    assert f"{words.money(study.plan.total_usd)} in all" in whole
    assert f"none by more than {words.share(study.plan.certificate.gap_share, 1)}" in whole
