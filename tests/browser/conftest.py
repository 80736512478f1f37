"""A real server on a free loopback port and a real Chromium; both are left out, with the reason,
where there is none.
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.builders import ROOT

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
HERE = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
# Streamlit looks for itself below the address of a page before it looks at the root
SEARCH = re.compile(r"^http://127\.0\.0\.1:\d+/[a-z]+/_stcore/(health|host-config)$")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def app_url(tmp_path_factory):
    """Address of the app, started as a user starts it."""
    port, log = _free_port(), tmp_path_factory.mktemp("server") / "log.txt"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        "--server.headless=true",
        "--server.fileWatcherType=none",
    ]
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as server,
    ):
        try:
            end = time.monotonic() + 60
            while not _answers(url):
                if server.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"the app did not start:\n{log.read_text()}")
                time.sleep(0.2)
            yield url
        finally:
            server.terminate()
            server.wait(15)


@pytest.fixture(scope="session")
def chromium():
    """One headless browser for all flows."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    if not program.exists():
        pytest.skip("no Chromium here; name one in CHROMIUM")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=str(program), headless=True, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A fresh page that notes console errors and requests that leave the machine, and refuses both
    at the end.
    """
    context = chromium.new_context(viewport={"width": 1280, "height": 1800})
    tab = context.new_page()
    errors, outside = [], []

    def heard(message):
        if message.type == "error" and not SEARCH.match(message.location["url"]):
            errors.append(message.text)

    tab.on("console", heard)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: outside.append(request.url) if not request.url.startswith(HERE) else None)
    yield tab
    context.close()
    assert not errors
    assert not outside
