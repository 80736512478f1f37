"""Time stamps as people write them, to UTC microseconds; nothing about a zone is guessed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Ints
from planner.errors import TrafficError
from planner.load.formats.base import Place
from planner.load.quality import Quality

_ZONED = r"(?:[zZ]|[+-]\d{2}:?\d{2}|\s?(?:UTC|GMT))$"
_EPOCH = r"^\d{9,19}(?:\.\d+)?$"
# digits of a present-day epoch to microseconds
_EPOCH_UNITS = {10: 1e6, 13: 1e3, 16: 1.0, 19: 1e-3}
_SLASH = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_LATEST = 7_258_118_400_000_000  # 2200-01-01


def parse(text: pd.Series[Any], zone: str | None, place: Place, quality: Quality) -> Ints:
    """Microseconds since 1970 UTC of each stamp. Raises :class:`TrafficError` naming row and
    column.

    ``zone`` is the clock of stamps that carry none; such stamps without a stated zone are refused,
    and so is a file that mixes both.  Repeated hours at the end of summer time are told apart by
    their order.
    """
    text = text.str.strip()
    blank = text.isna() | (text == "")
    if blank.any():
        raise TrafficError("a row has no time stamp", where=place.row(blank), remedy="Remove or mend that row")
    if text.str.match(_EPOCH).all():
        return _epoch(text, place)
    zoned = text.str.contains(_ZONED, regex=True) & text.str.contains(":")
    if zoned.any() and not zoned.all():
        raise TrafficError(
            "some stamps carry a time zone and some do not",
            where=place.row(~zoned),
            got=text[~zoned].iloc[0],
            remedy="Write all stamps in one way, best as UTC with a Z",
        )
    text = text.str.replace(r"\s?(?:UTC|GMT)$", "Z", regex=True)
    found = _instants(text, bool(zoned.all()), place)
    if zoned.all():
        if zone:
            quality.add(
                "noted", len(text), f"stamps carry their own offset, so time_zone {zone} was not needed to read them"
            )
        return checked(found, place)
    return _localized(found, zone, place, quality)


def from_naive(micro: Ints, zone: str | None, place: Place, quality: Quality) -> Ints:
    """UTC microseconds of clock readings in ``zone``. Raises :class:`TrafficError` if no zone is
    stated.
    """
    return _localized(pd.DatetimeIndex(micro.astype("datetime64[us]")), zone, place, quality)


def _localized(found: pd.DatetimeIndex, zone: str | None, place: Place, quality: Quality) -> Ints:
    if zone is None:
        raise TrafficError(
            "the stamps carry no time zone and none is stated",
            where=place,
            got=str(found[0]),
            remedy="State the zone of the file's clock as traffic.time_zone (such as UTC or Europe/Berlin)",
        )
    return checked(_localize(found, zone, quality), place)


def _instants(text: pd.Series[Any], zoned: bool, place: Place) -> pd.DatetimeIndex:
    form = _layout(text, place)
    found = pd.to_datetime(text, format=form, utc=zoned, errors="coerce")
    bad = found.isna()
    if bad.any():
        raise TrafficError(
            "not a time stamp",
            where=place.row(bad),
            got=text[bad].iloc[0],
            remedy="Use ISO 8601 such as 2026-05-04T13:00:00Z",
        )
    return pd.DatetimeIndex(found)


def _layout(text: pd.Series[Any], place: Place) -> str:
    """ISO, or day and month order proven by a value above 12; an order that cannot be proven is
    refused.
    """
    parts = _SLASH.match(str(text.iloc[0]))
    if not parts:
        return "ISO8601"
    mark = parts[2]
    numbers = text.str.extract(rf"^(\d{{1,2}}){re.escape(mark)}(\d{{1,2}}){re.escape(mark)}").astype("float64")
    day_first, month_first = bool((numbers[0] > 12).any()), bool((numbers[1] > 12).any())
    if mark == ".":
        day_first, month_first = True, False  # the dotted form is day first wherever it is used
    if day_first == month_first:
        raise TrafficError(
            "day and month cannot be told apart",
            where=place,
            got=text.iloc[0],
            remedy="Use ISO 8601 such as 2026-05-04T13:00:00Z",
        )
    rest = str(text.iloc[0])[parts.end() :]
    clock = "" if not rest else rest[0] + ("%H:%M:%S" if rest.count(":") >= 2 else "%H:%M")
    zone = "%z" if re.search(_ZONED, rest) else ""
    return (f"%d{mark}%m{mark}%Y" if day_first else f"%m{mark}%d{mark}%Y") + clock + zone


def _localize(naive: pd.DatetimeIndex, zone: str, quality: Quality) -> pd.DatetimeIndex:
    try:
        aware = naive.tz_localize(zone, ambiguous="infer", nonexistent="NaT")
    except ValueError:
        # the repeated hour stands there once, or out of order: take its first passage
        aware = naive.tz_localize(zone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="NaT")
        unsure = aware != naive.tz_localize(zone, ambiguous=np.zeros(len(naive), dtype=bool), nonexistent="NaT")
        unsure &= aware.notna()
        if unsure.any():
            quality.add(
                "assumed",
                int(unsure.sum()),
                f"stamps in the hour that {zone} repeats at the end of summer time were read as its first passage",
            )
    skipped = np.asarray(aware.isna())
    if skipped.any():
        quality.add(
            "repaired",
            int(skipped.sum()),
            f"stamps in the hour that {zone} skips at the start of summer time were moved to the hour after",
        )
        aware = naive.tz_localize(zone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="shift_forward").where(
            skipped, aware
        )
    return aware.tz_convert("UTC")


def _epoch(text: pd.Series[Any], place: Place) -> Ints:
    digits = text.str.partition(".")[0].str.len()
    widths = set(digits.unique()) | {10 if w == 9 else w for w in digits.unique()}
    known = [w for w in _EPOCH_UNITS if w in widths]
    if len(known) != 1:
        raise TrafficError(
            "numeric stamps are not all seconds, all milliseconds or all microseconds since 1970",
            where=place,
            got=text.iloc[0],
            remedy="Use one unit, or ISO 8601",
        )
    scale = _EPOCH_UNITS[known[0]]
    whole = text.str.partition(".")[0].astype("int64").to_numpy()
    part = (
        ("0." + text.str.partition(".")[2]).where(text.str.contains(".", regex=False), "0").astype("float64").to_numpy()
    )
    micro = (whole * int(scale) if scale >= 1 else whole // 1000) + (part * scale).astype(np.int64)
    return checked(pd.DatetimeIndex(micro.astype("datetime64[us]")), place)


def checked(found: pd.DatetimeIndex, place: Place) -> Ints:
    """Microseconds since 1970; refuses instants outside 1970 to 2200.

    Raises :class:`TrafficError` that shows the first of them.
    """
    micro: Ints = found.as_unit("us").asi8.astype(np.int64)
    if micro.size and (micro.min() < 0 or micro.max() > _LATEST):
        raise TrafficError(
            "stamps must lie between 1970 and 2200",
            where=place,
            got=str(found[int(np.argmax((micro < 0) | (micro > _LATEST)))]),
            remedy="Check the unit and layout of the stamps",
        )
    return micro
