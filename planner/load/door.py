"""One door for every reader: whatever breaks inside becomes a typed error, and what comes out is
checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats.base import Raw

MAX_RATE_RPS = 1e9  # a thousand times the busiest public services; more is a wrong unit
MAX_TOKENS = 1e8


@contextmanager
def door(where: object, kind: str, remedy: str) -> Iterator[None]:
    """Turns what breaks in a reader into :class:`TrafficError` with the file, what it was read as
    and the remedy.

    Readers meet files that no reader foresaw: a list where a number is due, brackets nested by the
    hundred thousand, bytes that are no text. One door around each reader means that none of them
    needs to foresee all of it.

    Raises :class:`TrafficError` for any fault of the file; faults of the planner that are no kind
    of a damaged file (a missing name in the code, say) pass through.
    """
    import pyarrow as pa

    broken = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError, OSError)
    try:
        yield
    except (*broken, pa.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise TrafficError(f"the file cannot be read as {kind}: {said}", where=where, remedy=remedy) from None


def check_raw(raw: Raw, where: object) -> Raw:
    """``raw`` if its rows are as many as they should be, finite, not negative and of a size that
    exists.

    ``raw.value`` is held against the largest rate [requests/s] any service has, in the unit in
    which the file counts; token counts against the longest context there is. A figure beyond that
    is a wrong unit, not a large service.

    Raises :class:`TrafficError` naming the file, the column, the value and what to do.
    """
    sides = [raw.ts_us, raw.value, raw.input_tokens, raw.output_tokens]
    if len({len(s) for s in sides if s is not None}) != 1:
        raise TrafficError("the columns are not of one length", where=where, remedy="Export the history again")
    scale = 1.0 if raw.meaning == "requests_per_s" or raw.interval_s is None else 1.0 / raw.interval_s
    _within(raw.value, MAX_RATE_RPS / scale, "requests", where)
    for tokens in (raw.input_tokens, raw.output_tokens):
        _within(tokens, MAX_TOKENS, "tokens of a request", where)
    if raw.requests is not None:
        for tokens in (raw.requests.input_tokens, raw.requests.output_tokens):
            _within(tokens, MAX_TOKENS, "tokens of a request", where)
    return raw


def _within(values: Floats | None, most: float, what: str, where: object) -> None:
    if values is None or not len(values):
        return
    top, low = np.nanmax(values, initial=0.0), np.nanmin(values, initial=0.0)
    if low < 0 or top > most:
        raise TrafficError(
            f"{what} outside 0 to {most:.0e}: no service sees so many",
            where=where,
            got=float(low if low < 0 else top),
            remedy="Check the unit of the column, or map another one in traffic.columns",
        )
