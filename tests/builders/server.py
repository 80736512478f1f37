"""The app as a user starts it, on a free loopback port, and a browser that asks nobody outside."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.builders import ROOT

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


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


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Address and process of the app while the block lasts; its log and its store are in a folder
    of its own. Raises :class:`RuntimeError` with the log if it does not start.
    """
    env = {**os.environ, "PLANNER_STORE": str(folder / "store.db")}
    with _served(["planner.ui"], folder / "log.txt", env) as found:
        yield found


@contextmanager
def serving_page(file: Path) -> Iterator[str]:
    """Address of one page of Streamlit's that has nothing to do with the app, to measure against."""
    with _served(["streamlit", "run", str(file)], file.with_suffix(".log"), {**os.environ}) as (url, _):
        yield url


@contextmanager
def _served(module: list[str], log: Path, env: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Address and process of a module with Streamlit's flags while the block lasts."""
    port = _free_port()
    flags = ["--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true"]
    command = [sys.executable, "-m", *module, *flags, "--server.fileWatcherType=none"]
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=env) as server,
    ):
        try:
            end = time.monotonic() + 120
            while not _answers(url):
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
                time.sleep(0.2)
            yield url, server.pid
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:  # in the middle of an answer that nobody waits for any more
                server.kill()
