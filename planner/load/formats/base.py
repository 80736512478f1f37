"""What every reader hands over: raw rows in UTC, and what their value means."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from planner.arrays import Floats, Ints
from planner.load.quality import Quality
from planner.scenario import TrafficSource

Meaning = Literal["requests_per_s", "requests_per_interval"]


@dataclass(frozen=True)
class Place:
    """A column of a file, for messages; ``first`` is the number the user would give its first row
    (or line).
    """

    source: str
    column: str
    label: str = "row"
    first: int = 1

    def __str__(self) -> str:
        return f"{self.source}, column {self.column}"

    def row(self, mask: "np.typing.ArrayLike") -> str:
        """Where the first True of ``mask`` stands."""
        return f"{self.source}, {self.label} {int(np.argmax(np.asarray(mask))) + self.first}, column {self.column}"


@dataclass(frozen=True)
class Raw:
    """Rows of one history as they stood in the file.

    ``ts_us`` [µs since 1970, UTC] start of each bucket, any order; ``value`` (NaN: not observed) as
    ``meaning`` says; ``interval_s`` if the format states it, else it is found from the stamps;
    ``complete``: an absent bucket between the first and last is a true zero (logs), otherwise it
    was not observed (metrics). ``requests``: single requests (arrival instant, input and output
    tokens) where the file is a request log.
    """

    ts_us: Ints
    value: Floats
    meaning: Meaning
    interval_s: int | None = None
    complete: bool = False
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None
    requests: "Requests | None" = None


@dataclass(frozen=True)
class Requests:
    """Single requests: sorted arrival instants ``at_s`` [s], token lengths [tokens] or ``None``."""

    at_s: Floats
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None


@dataclass(frozen=True)
class TrafficFormat:
    """A registered format: ``sniff(path, head)`` says whether a file looks like it, ``read`` reads
    it.
    """

    name: str
    meaning: str
    sniff: Callable[[Path, bytes], bool]
    read: Callable[[Path, TrafficSource, Quality], Raw]
