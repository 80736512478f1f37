"""Damage for readers: cuts, repeats, foreign bytes, figures and values that no tool writes; and what reading cost."""

import json
import os
import random
import re
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from planner.errors import PlannerError

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1500"))  # of a short run; 200000 make a long one
SEED = os.environ.get("FUZZ_SEED", "")  # another seed, other damage
SLOWEST_S, MOST_MIB = 10.0, 1024.0
ODD = [
    *(None, True, -1, 0, 1e308, -1e308, 10**400, "", "many", "NaN", "1e999", [], {}, [[]], {"avg": None}),
    *("\x00", "=1+1"),
]
FOREIGN = [0, 9, 10, 34, 44, 45, 46, 57, 101, 0x7F, 0xE9, 0x2028]


def drawing(key):
    """The draws of one test: the same in each run of a seed."""
    return random.Random(f"{SEED}{key}")


def damaged(text, draw):
    """Another figure, cuts, repeats, foreign bytes, swapped cells; in JSON also foreign values at any place."""
    if draw.random() < 0.25 and (figures := list(re.finditer(r"\d+", text))):
        figure = draw.choice(figures)
        return text[: figure.start()] + str(draw.choice([0, 7, 10**6, 10**12, -3, 0.5])) + text[figure.end() :]
    kind = draw.random()
    if kind < 0.45 and text.lstrip().startswith(("{", "[")):
        try:
            return json.dumps(changed(json.loads(text), draw, draw.randint(1, 3)))
        except ValueError:
            pass  # lines of JSON
    at = draw.randrange(len(text))
    if kind < 0.6:
        return text[:at] + text[at + draw.randint(0, 60) :]
    if kind < 0.75:
        return text[:at] + "".join(chr(draw.choice(FOREIGN)) for _ in range(6)) + text[at:]
    if kind < 0.9:
        words = text.split(",")
        words[draw.randrange(len(words))] = str(draw.choice(ODD))
        return ",".join(words)
    return text[at:] + text[: draw.randint(0, at)]


def changed(value, draw, times):
    for _ in range(times):
        value = _change(value, draw)
    return value


def _change(value, draw):
    if draw.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return draw.choice(ODD)
    if isinstance(value, list):
        at = draw.randrange(len(value))
        return [*value[:at], _change(value[at], draw), *value[at + 1 :]]
    key = draw.choice(list(value))
    if draw.random() < 0.15:
        return {k: v for k, v in value.items() if k != key}
    return {**value, key: _change(value[key], draw)}


class Told:
    """How many inputs of a run were refused, how many refusals match ``name``, the ``last`` that does not, and
    processor time of the slowest.
    """

    def __init__(self, name: str) -> None:
        self.name, self.refused, self.named, self.slowest_s, self.last = name, 0, 0, 0.0, ""

    @contextmanager
    def once(self, *, passed=False):
        """One input: a typed error counts (and goes on where it is ``passed``), any other passes through; warnings are
        errors.
        """
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                yield
        except PlannerError as error:
            self.refused += 1
            found = re.search(self.name, str(error), re.DOTALL)
            self.named, self.last = self.named + bool(found), self.last if found else str(error)
            if passed:
                raise
        finally:
            self.slowest_s = max(self.slowest_s, time.process_time() - began)
        assert self.slowest_s < SLOWEST_S


@contextmanager
def within_memory():
    """The most memory held meanwhile stays within bounds of what was held before (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_mib()
    yield
    assert _peak_mib() - before < MOST_MIB


def _peak_mib():
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
