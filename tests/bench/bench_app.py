"""Speed of the app, as a reader feels it: a browser moves every slider of a sample and waits until
the new figures stand, and until the page is whole; then every page; with one session and with several
at once.

Run: ``python tests/bench/bench_app.py [SESSIONS ...]`` (default 1 4; 20 tells cross-talk and
memory). Prints seconds until the figures of the decided plan stand (seen) and until nothing of the
page is still being checked or played (whole): by the clock, how many times those of a slider on an
empty page of Streamlit (moved in the same run by as many sessions), and, with one session, of the
server's processor, which a busy machine does not stretch; asserts nothing. Needs Chromium (CHROMIUM
names it).
"""

import asyncio
import os
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.async_api import Page, async_playwright
from playwright.async_api import TimeoutError as Late

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.builders.server import CHROMIUM, QUIET, serving, serving_page

PAGES = ("load", "money", "commitments", "risk", "capacity", "track", "operate", "answer")
DONE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
BUSY = '[data-testid="stApp"]:not([data-test-script-state="notRunning"])'
WAIT = 600_000  # ms
MOVES = 9  # of the slider on the empty page
EMPTY = """import streamlit as st
st.slider("Nothing", 0, 100)
"""
SOON = 8.0  # s: a page that has not begun to be drawn by then has been drawn before it was looked at


async def settled(page: Page) -> None:
    await page.wait_for_selector(DONE, state="attached", timeout=WAIT)


async def cost(page: Page) -> str:
    return str(await page.get_by_test_id("stMetricValue").first.inner_text())


# in the page: when its script last came to rest after it ran since the clock was set [s], and when it
# first said what is still being worked out: the figures of the decided plan stand by then
CLOCK = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const clock = { begin: performance.now(), ran: false, seen: null, rest: null };
  const awaits = () => document.querySelector('[aria-label="hourglass_top icon"]') !== null;
  const look = () => {
    const state = app.getAttribute('data-test-script-state');
    if (state !== 'notRunning') { clock.ran = true; clock.rest = null; }
    else if (clock.ran && clock.rest === null) clock.rest = performance.now();
    if (clock.ran && clock.seen === null && awaits()) clock.seen = performance.now();
  };
  window.clock?.watch.disconnect();
  clearInterval(window.clock?.often);
  clock.watch = new MutationObserver(look);
  clock.watch.observe(app, { attributes: true, attributeFilter: ['data-test-script-state'] });
  clock.often = setInterval(look, 20);
  window.clock = clock;
}"""
SPENT = "() => window.clock.rest === null ? null : (window.clock.rest - window.clock.begin) / 1000"
SEEN = "() => ((window.clock.seen ?? window.clock.rest) - window.clock.begin) / 1000"


class Spent(NamedTuple):
    """Seconds from an act until the new figures stand and until the page is whole: by the clock and of
    the server's processor.
    """

    seen: float
    whole: float
    seen_cpu: float = 0.0
    whole_cpu: float = 0.0


async def timed(page: Page, act: Callable[[], Awaitable[object]], pid: int) -> Spent | None:
    """What an act takes until the page that follows from it is drawn and stays so; ``None`` where
    nothing was drawn.
    """
    await page.evaluate(CLOCK)
    before = processor_s(pid)
    await act()
    try:
        await page.wait_for_function("() => window.clock.ran", timeout=1000 * SOON)
    except Late:
        return None
    await page.wait_for_function("() => window.clock.seen !== null || window.clock.rest !== null", timeout=WAIT)
    seen_cpu = processor_s(pid) - before
    while True:
        await page.wait_for_function("() => window.clock.rest !== null", timeout=WAIT)
        spent, whole_cpu = await page.evaluate(SPENT), processor_s(pid) - before
        await page.wait_for_timeout(300)
        if spent is not None and await page.evaluate(SPENT) == spent:
            return Spent(float(await page.evaluate(SEEN)), float(spent), seen_cpu, whole_cpu)


async def empty(page: Page, url: str, pid: int) -> list[float]:
    """Seconds of moves of a slider on a page that works out nothing."""
    await page.goto(url, wait_until="domcontentloaded")
    await settled(page)
    slider = page.get_by_role("slider").first
    await slider.wait_for(timeout=WAIT)
    await slider.focus()
    moves = [await timed(page, lambda: slider.press("ArrowRight"), pid) for _ in range(MOVES)]
    return [move.whole for move in moves if move is not None]


async def opened(page: Page, url: str) -> Spent:
    """Seconds until the first figures of a view stand, and until all of it does."""
    start = time.perf_counter()
    await page.goto(url, wait_until="domcontentloaded")
    await page.get_by_test_id("stMetricValue").first.wait_for(timeout=WAIT)
    seen = time.perf_counter() - start
    await settled(page)
    return Spent(seen, time.perf_counter() - start)


def processor_s(pid: int) -> float:
    """Seconds that a process and its threads have computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def sliders(page: Page, pid: int) -> dict[str, Spent | None]:
    """One step of each slider, to the right and, at the end of its track, to the left."""
    found = {}
    names = await page.get_by_role("slider").evaluate_all("all => all.map(e => e.getAttribute('aria-label') || '')")
    for k, name in enumerate(names):
        slider = page.get_by_role("slider").nth(k)
        at, end = [await slider.get_attribute(a) for a in ("aria-valuenow", "aria-valuemax")]
        await slider.focus()
        found[name] = await timed(page, partial(slider.press, "ArrowLeft" if at == end else "ArrowRight"), pid)
    return found


async def visits(page: Page, pid: int) -> dict[str, Spent | None]:
    """Each page change."""
    links = {name: page.get_by_role("link", name=name.capitalize(), exact=True) for name in PAGES}
    return {name: await timed(page, link.click, pid) for name, link in links.items()}


def memory_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def told(what: str, moves: Sequence[Spent | None], alone: bool, unit: float) -> None:
    """Two lines of the table, of what is seen and of the whole; ``unit`` is what the slider of the
    empty page takes [s].
    """
    drawn = [move for move in moves if move is not None]
    if not drawn:
        print(f"  {what:44} nothing was drawn")
        return
    for name in ("seen", "whole"):
        clock = [getattr(move, name) for move in drawn]
        processor = [getattr(move, f"{name}_cpu") for move in drawn]
        middle, worst = statistics.median(clock), max(clock)
        line = f"  {what:44} {name:5} {middle:7.2f} {worst:7.2f} {middle / unit:7.1f} {worst / unit:7.1f}"
        own = f" {statistics.median(processor):9.2f} {max(processor):7.2f}" if alone else ""
        print(line + own, flush=True)
        if max(map(abs, (move.seen - move.whole for move in drawn))) < 0.001:
            return


async def measure(url: str, pid: int, count: int, blank: str) -> None:
    async with async_playwright() as engine:
        browser = await engine.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        pages = [
            await (await browser.new_context(viewport={"width": 1280, "height": 900})).new_page() for _ in range(count)
        ]
        for page in pages:
            page.set_default_timeout(WAIT)
        alone = count == 1
        idle = [s for found in await asyncio.gather(*(empty(p, blank, pid) for p in pages)) for s in found]
        unit = statistics.median(idle)
        before = processor_s(pid)
        heads = "         median   worst  times the empty page" + ("  processor: median, worst" if alone else "")
        print(f"\n{count} session{'s' if count > 1 else '':35}{heads}  [s]; load {os.getloadavg()[0]:.1f}")
        told("slider of an empty page", [Spent(s, s) for s in idle], False, unit)
        # each its own budget, so that none is served by what another has just worked out
        own = [f"{url}/answer?limits.budget_usd_per_month={100_000 + 1000 * count + k}" for k in range(count)]
        first = await asyncio.gather(*(opened(p, u) for p, u in zip(pages, own, strict=True)))
        spent = processor_s(pid) - before
        told("a new view opened", [s._replace(whole_cpu=spent) for s in first], alone, unit)
        if count <= 4:
            moved = await asyncio.gather(*(sliders(p, pid) for p in pages))
            for name in moved[0]:
                told(name[:44], [m[name] for m in moved], alone, unit)
            told("all sliders", [s for m in moved for s in m.values()], alone, unit)
            for when in ("first time", "again"):
                walked = await asyncio.gather(*(visits(p, pid) for p in pages))
                told(f"page change, {when}", [s for w in walked for s in w.values()], alone, unit)
        else:
            kept = [f"limits.budget_usd_per_month={100_000 + 1000 * count + k}" in p.url for k, p in enumerate(pages)]
            budgets = [await p.get_by_label("Budget a month (USD)").input_value() for p in pages]
            errors = [await p.get_by_test_id("stException").count() for p in pages]
            print(f"  own view kept by {sum(kept)} of {count}, budgets shown {len(set(budgets))}, errors {sum(errors)}")
        print(f"  memory of the server: {memory_mib(pid):,.0f} MiB")
        await browser.close()


def main(counts: list[int]) -> None:
    with TemporaryDirectory() as folder, serving(Path(folder)) as (url, pid):
        (Path(folder) / "empty.py").write_text(EMPTY)
        with serving_page(Path(folder) / "empty.py") as blank:
            for count in counts:
                asyncio.run(measure(url, pid, count, blank))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 4])
