"""Opens a saved JSON reply within bounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats.base import Place

MAX_JSON_BYTES = 256 << 20


def begins_json(head: bytes) -> bool:
    """Whether a file's first bytes are those of a JSON document, whatever its name ends in."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def read_json(path: Path) -> Any:
    """The document in a JSON file of at most 256 MiB. Raises :class:`TrafficError`."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise TrafficError(
            f"the JSON file is larger than {MAX_JSON_BYTES >> 20} MiB",
            where=path,
            remedy="Export a longer interval or fewer series",
        )
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise TrafficError(
            f"the file is no complete JSON document: {str(error)[:120]}",
            where=path,
            remedy="Save the reply again",
        ) from None


def numbers(values: Sequence[Any], place: Place) -> Floats:
    """Finite numbers ≥ 0, or NaN where the source itself says not-a-number.
    Raises :class:`TrafficError`.

    ``values`` may be numbers or their text, as Prometheus writes samples. A negative value is no
    demand, infinity no measurement (often a division by zero in the query).
    """
    try:
        found = np.array([float(v) for v in values], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        bad = np.array([not _number(v) for v in values])
        raise TrafficError(
            "not a number",
            where=place.row(bad),
            got=values[int(np.argmax(bad))],
            remedy="Save the reply again",
        ) from None
    if np.isinf(found).any():
        raise TrafficError(
            "infinity is no measurement",
            where=place.row(np.isinf(found)),
            remedy="Mend the query that divides by zero",
        )
    if (found < 0).any():
        raise TrafficError("a negative value is no demand", where=place.row(found < 0), got=float(found[found < 0][0]))
    return found


def _number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
