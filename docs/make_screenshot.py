"""Takes the picture of the README from the running app: ``python docs/make_screenshot.py``.

Needs Chromium (CHROMIUM names it) and the extras ``app``, ``store`` and ``test``.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.builders.screens import settled
from tests.builders.server import CHROMIUM, QUIET, serving

PICTURE = Path(__file__).parent / "answer.png"


def main() -> None:
    """The first screen of the sample with a today, as it stands at 1280 by 720."""
    with TemporaryDirectory() as folder, serving(Path(folder)) as (url, _), sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1)
        page.goto(f"{url}/answer?scenario=demo", wait_until="domcontentloaded")
        expect(page.get_by_text("What breaks first")).to_be_visible(timeout=900_000)
        settled(page, expect)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
