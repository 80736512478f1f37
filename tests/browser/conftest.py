"""A real server on a free loopback port and a real Chromium; both are left out, with the reason,
where there is none.
"""

import re
from pathlib import Path

import pytest

from tests.builders.screens import FIRST
from tests.builders.server import CHROMIUM, QUIET, serving

HERE = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
# Streamlit looks for itself below the address of a page before it looks at the root
SEARCH = re.compile(r"^http://127\.0\.0\.1:\d+/[a-z]+/_stcore/(health|host-config)$")


@pytest.fixture(scope="session")
def app_url(tmp_path_factory):
    """Address of the app, started as a user starts it, with a store of its own."""
    with serving(tmp_path_factory.mktemp("server")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def chromium():
    """One headless browser for all flows."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium here; name one in CHROMIUM")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield browser
        browser.close()


def watched(chromium, width=1280, height=1800, theme="light"):
    """A fresh page that notes console errors of ours and requests that leave the machine."""
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    tab = context.new_page()
    tab.set_default_timeout(FIRST)
    tab.errors, tab.outside = [], []

    def heard(message):
        if message.type == "error" and not SEARCH.match(message.location["url"]):
            tab.errors.append(message.text)

    tab.on("console", heard)
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("request", lambda request: tab.outside.append(request.url) if not request.url.startswith(HERE) else None)
    return tab


def left_clean(tab):
    """Close a page; it must have had no error of ours and asked nobody outside."""
    tab.context.close()
    assert not tab.errors
    assert not tab.outside


@pytest.fixture
def page(chromium):
    """A fresh page that refuses console errors and requests that leave the machine at its end."""
    tab = watched(chromium)
    yield tab
    left_clean(tab)


@pytest.fixture(params=[(1280, "light"), (1920, "dark")], ids=lambda p: f"{p[0]}-{p[1]}")
def seen(request, chromium):
    """The same for the narrow light screen and the wide dark one."""
    width, theme = request.param
    tab = watched(chromium, width, 720 if width == 1280 else 1080, theme)
    tab.theme, tab.label = theme, f"{width}-{theme}"
    yield tab
    left_clean(tab)
