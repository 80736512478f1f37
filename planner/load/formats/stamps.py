"""Time stamps as people write them, to UTC microseconds; nothing about a zone, an order or a start
is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from planner.arrays import Flags, Ints
from planner.errors import TrafficError
from planner.load.formats.base import Place
from planner.load.quality import Quality
from planner.scenario import TrafficSource

MAX_STAMP_LENGTH = 80
ISO = "Use ISO 8601 such as 2026-05-04T13:00:00Z"
_ZONED = r"(?:[zZ]|[+-]\d{2}:?\d{2}|\s?(?:UTC|GMT))$"
_NUMBER = r"^\d{1,19}(?:\.\d*)?$"
_COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# least value of a present-day epoch in each unit, in microseconds a unit
_EPOCHS = ((10**17, 1e-3), (10**14, 1.0), (10**11, 1e3), (10**8, 1e6))
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_NAMED_UNIT = re.compile(
    r"(?:^|_)(?:(ms|millis|milliseconds|msec)|(us|micros|microseconds)|(ns|nanos|nanoseconds)|(s|sec|secs|seconds))$"
)
_LATEST = 7_258_118_400_000_000  # 2200-01-01
_DATE = re.compile(
    r"^(?:(?P<iso>\d{4})(?P<i>[./-])\d{1,2}(?P=i)\d{1,2}|"
    r"(?P<a>\d{1,2})(?P<s>[./-])(?P<b>\d{1,2})(?P=s)(?P<y>\d{4}|\d\d(?!\d))"
    r"|(?P<dm>\d{1,2}(?P<d>[ /-])[A-Z][a-z]{2}(?P=d)\d{4})|(?P<md>[A-Z][a-z]{2} \d{1,2},? \d{4}))"
)
_CLOCK = re.compile(
    r"^(?P<gap>T|,? +|:)(?P<clock>\d{1,2}:\d{2}(?P<sec>:\d{2})?(?P<frac>\.\d+)?)(?P<half> ?[AaPp]\.?[Mm]\.?)?"
)
# what says nothing more beside an offset: a weekday, the name of the zone behind it, GMT before it
_SPOKEN = (
    (r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? (?=\S)", ""),
    (r"(?<=[+-]\d{4}) ?\([^()]*\)$", ""),
    (r"(?<=(?:[+-]\d{2}:\d{2}))\[[\w/+-]+\]$", ""),
    (r"(?<=Z)\[[\w/+-]+\]$", ""),
    (r" (?:GMT|UTC)(?=[+-]\d{2}:?\d{2}$)", ""),
)
_Kind = Literal["number", "zoned", "naive", "text"]


@dataclass(frozen=True)
class Clock:
    """How stamps without a zone, without a start or with an unproven order of day and month are
    read.
    """

    zone: str | None = None
    start: Any = None
    unit: str | None = None
    order: str | None = None

    @classmethod
    def of(cls, source: TrafficSource) -> Clock:
        """As a traffic source states it; its start is on the file's clock, else the users', else
        UTC.
        """
        start = source.start
        if start is not None:
            start = pd.Timestamp(start if isinstance(start, datetime) else str(start))
            if start.tzinfo is None:
                start = start.tz_localize(source.time_zone or source.user_time_zone or "UTC", ambiguous=True)
        return cls(source.time_zone, start, source.stamp_unit, source.date_order)


class Stamps:
    """A column of stamps, taken in part by part and turned into UTC microseconds at the end."""

    def __init__(self, clock: Clock, place: Place, quality: Quality) -> None:
        self.clock, self.place, self.quality = clock, place, quality
        self.parts: list[tuple[_Kind, Any, Any]] = []
        self.rows = 0

    def add(self, column: Any) -> None:
        """Take in texts (an Arrow array). Raises :class:`TrafficError` for a cell that is empty or
        no stamp.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        place = replace(self.place, first=self.place.first + self.rows)
        self.rows += len(column)
        text = column.cast(pa.string())
        if not text.null_count and _longest(text) <= MAX_STAMP_LENGTH and (quick := _quick(text))[0] != "text":
            self.parts.append(quick)
            return
        text = pc.utf8_trim_whitespace(text)
        blank = pc.fill_null(pc.equal(text, ""), True).to_numpy(zero_copy_only=False)
        if blank.any():
            raise TrafficError("a row has no time stamp", where=place.row(blank), remedy="Remove or mend that row")
        if _longest(text) > MAX_STAMP_LENGTH:
            raise TrafficError("a cell is too long to be a time stamp", where=place, remedy=ISO)
        self.parts.append(_quick(text))

    def finish(self) -> Ints:
        """Microseconds since 1970 UTC, shape (rows,). Raises :class:`TrafficError`
        wherever this would be a guess.

        Numbers count from ``traffic.start`` if it is stated, else from 1970 in the unit that
        their size shows, or they are dates without marks (``2026050413``). Texts all carry a
        zone or none does; without one the file's clock must be stated.
        """
        kinds = {p[0] for p in self.parts}
        if kinds == {"number"}:
            whole = np.concatenate([p[1] for p in self.parts])
            part = np.concatenate([p[2] for p in self.parts])
            self.parts = []
            return self._numbers(whole, part)
        micro, zoned = self._instants()
        self.parts = []
        if zoned.any() and not zoned.all():
            raise TrafficError(
                "some stamps carry a time zone and some do not",
                where=self.place.row(~zoned),
                remedy="Write all stamps in one way, best as UTC with a Z",
            )
        if not zoned.all():
            return from_naive(micro, self.clock.zone, self.place, self.quality)
        if self.clock.zone:
            self.quality.add(
                "noted",
                len(micro),
                f"stamps carry their own offset, so time_zone {self.clock.zone} was not needed to read them",
            )
        return checked(micro, self.place)

    def _instants(self) -> tuple[Ints, Flags]:
        """Microseconds on each stamp's own terms, and whether it named its zone."""
        ends = np.cumsum([len(p[1]) for p in self.parts])
        slow = [
            p[1].to_pandas().set_axis(range(end - len(p[1]), end))  # by their rows in the whole column
            for p, end in zip(self.parts, ends, strict=True)
            if p[0] == "text"
        ]
        if any(p[0] == "number" for p in self.parts):
            raise TrafficError("some stamps are numbers and some are not", where=self.place, remedy=ISO)
        read = (
            iter(_split(*_slow(pd.concat(slow), self.clock, self.place), [len(s) for s in slow])) if slow else iter(())
        )
        found = [
            next(read) if kind == "text" else (values, np.full(len(values), kind == "zoned"))
            for kind, values, _ in self.parts
        ]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def _numbers(self, whole: Ints, part: Any) -> Ints:
        """Numeric stamps as microseconds. Raises :class:`TrafficError` for numbers too small for
        an epoch of today without a stated start, and for more than one unit in a column.
        """
        if self.clock.start is not None:
            return self._offsets(whole, part)
        low, high = int(whole.min()), int(whole.max())
        if compact := _compact(whole, part):
            naive = pd.to_datetime(pd.Series(whole).astype(str), format=compact)
            return from_naive(_micro(pd.DatetimeIndex(naive)), self.clock.zone, self.place, self.quality)
        scale = next((s for least, s in _EPOCHS if low >= least), 0.0)
        if _day_numbers(whole, part):
            raise TrafficError(
                "the stamps are day numbers of a spreadsheet",
                where=self.place,
                got=f"{whole[0] + part[0]:.4f}",
                remedy="Format the column as yyyy-mm-dd hh:mm before saving it as CSV, or give the .xlsx",
            )
        if not scale:
            raise TrafficError(
                "the stamps are numbers counted from an unnamed start",
                where=self.place,
                got=low,
                remedy="State the first instant as traffic.start, such as 2026-10-01T00:00:00Z, or "
                + ISO[0].lower()
                + ISO[1:],
            )
        if next(s for least, s in _EPOCHS if high >= least) != scale:
            raise TrafficError(
                "numeric stamps are not all seconds, all milliseconds or all microseconds since 1970",
                where=self.place,
                got=low,
                remedy="State traffic.start, the first instant, if they count from one; else use one unit, or ISO 8601",
            )
        micro = (whole * int(scale) if scale >= 1 else whole // 1000) + (part * scale).astype(np.int64)
        return checked(micro, self.place)

    def _offsets(self, whole: Ints, part: Any) -> Ints:
        """Stamps that count from ``traffic.start``, in the stated unit, else that of the
        column's name, else seconds where there are fractions. Raises :class:`TrafficError` where
        no unit is told, or for a stamp beyond 2200.
        """
        unit = self.clock.unit or _named_unit(self.place.column) or ("s" if part.any() else "")
        if not unit:
            raise TrafficError(
                "the unit of the stamps that count from traffic.start is not stated",
                where=self.place,
                got=int(whole[0]),
                remedy="State traffic.stamp_unit: s, ms, us or ns",
            )
        offset = (whole + part) * _UNITS[unit] if unit != "ns" else whole // 1000
        if np.max(offset, initial=0) > _LATEST:
            raise TrafficError(
                "a stamp lies beyond 2200",
                where=self.place,
                remedy="Check traffic.start and stamp_unit",
            )
        self.quality.add("noted", len(whole), f"stamps are {unit} from {self.clock.start}, as traffic.start says")
        return checked(offset.astype(np.int64) + int(self.clock.start.timestamp() * 1e6), self.place)


def parse(text: Sequence[Any] | pd.Series[Any], clock: Clock, place: Place, quality: Quality) -> Ints:
    """Microseconds since 1970 UTC of each stamp. Raises :class:`TrafficError` naming row and
    column.

    Stamps without a zone need ``clock.zone``, numbers from zero ``clock.start``; a file that mixes
    ways is refused. Repeated hours at the end of summer time are told apart by their order.
    """
    import pyarrow as pa

    column = Stamps(clock, place, quality)
    column.add(pa.array(["" if v is None else str(v) for v in text], type=pa.string()))
    return column.finish()


def from_naive(micro: Ints, zone: str | None, place: Place, quality: Quality) -> Ints:
    """UTC microseconds of clock readings in ``zone``. Raises :class:`TrafficError` if no zone is
    stated.
    """
    if zone is None:
        raise TrafficError(
            "the stamps carry no time zone and none is stated",
            where=place,
            got=str(micro[:1].astype("datetime64[us]")[0]),
            remedy="State the zone of the file's clock as traffic.time_zone (such as UTC or Europe/Berlin)",
        )
    checked(micro, place)
    if zone in ("UTC", "Etc/UTC", "GMT"):
        return micro
    return checked(_micro(_localize(pd.DatetimeIndex(micro.astype("datetime64[us]")), zone, quality)), place)


def checked(micro: Ints, place: Place) -> Ints:
    """``micro`` itself. Raises :class:`TrafficError` for instants outside 1970 to 2200."""
    odd = (micro < 0) | (micro > _LATEST)
    if odd.any():
        raise TrafficError(
            "stamps must lie between 1970 and 2200",
            where=place.row(odd),
            got=str(micro[odd][:1].astype("datetime64[us]")[0]),
            remedy="Check the unit and layout of the stamps",
        )
    return micro


def _longest(text: Any) -> int:
    """Characters of the longest text; of bytes, where all are short."""
    import pyarrow.compute as pc

    most = pc.max(pc.binary_length(text)).as_py() or 0
    return int(most if most <= MAX_STAMP_LENGTH else pc.max(pc.utf8_length(text)).as_py())


def _quick(text: Any) -> tuple[_Kind, Any, Any]:
    """Numbers and ISO 8601 at the speed of Arrow; anything else is kept as text. What the first
    stamp is not is not tried on all: a cast that fails costs forty that do not.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    first = str(text[0]) if len(text) else ""
    if re.match(_NUMBER, first) and pc.all(pc.match_substring_regex(text, _NUMBER)).as_py():
        whole = pc.replace_substring_regex(text, r"\..*$", "")
        part = pc.replace_substring_regex(text, r"^\d+\.?", "0.")
        try:
            return "number", _plain(whole.cast(pa.int64())), _plain(part.cast(pa.float64()))
        except pa.ArrowInvalid:
            return "text", text, None
    for kind, zone in (("naive", None), ("zoned", "UTC")):
        try:
            text.slice(0, 1).cast(pa.timestamp("ns", tz=zone))
            found = text.cast(pa.timestamp("ns", tz=zone)).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        return ("zoned" if kind == "zoned" else "naive"), _plain(found) // 1000, None
    return "text", text, None


def _plain(column: Any) -> Any:
    return np.array(column.to_numpy(zero_copy_only=False))


def _slow(text: pd.Series[Any], clock: Clock, place: Place) -> tuple[Ints, Flags]:
    """Texts that Arrow does not read, by the pattern of the first of them. Raises
    :class:`TrafficError` for a row that does not follow it, and where some stamps
    carry a zone and some do not.
    """
    for spoken, instead in _SPOKEN:
        text = text.str.replace(spoken, instead, regex=True)
    zoned = text.str.contains(_ZONED, regex=True) & text.str.contains(":")
    if zoned.any() and not zoned.all():
        raise TrafficError(
            "some stamps carry a time zone and some do not",
            where=_row(place, ~zoned),
            got=text[~zoned].iloc[0],
            remedy="Write all stamps in one way, best as UTC with a Z",
        )
    text = text.str.replace(r"\s?(?:UTC|GMT)$", "Z", regex=True)
    words = ~text.str.match(_DATE)
    found = pd.to_datetime(
        text.where(~words),
        format=_layout(text[~words], clock, place),
        utc=bool(zoned.all()),
        errors="coerce",
    )
    bad = found.isna() | words
    if bad.any():
        raise TrafficError("not a time stamp", where=_row(place, bad), got=text[bad].iloc[0], remedy=ISO)
    return _micro(pd.DatetimeIndex(found)), zoned.to_numpy(dtype=bool)


def _row(place: Place, bad: pd.Series[Any]) -> str:
    """Where the first True of ``bad`` stands, whose index counts the rows of the whole column."""
    return replace(place, first=place.first + int(bad.index[int(np.argmax(bad))])).row([True])


def _split(micro: Ints, zoned: Flags, sizes: list[int]) -> list[tuple[Ints, Flags]]:
    cuts = np.cumsum(sizes)[:-1]
    return list(zip(np.split(micro, cuts), np.split(zoned, cuts), strict=True))


def _layout(text: pd.Series[Any], clock: Clock, place: Place) -> str:
    """The pattern of the first stamp; an order of day and month that cannot be proven and is not
    stated is refused.
    """
    if not len(text):
        return "ISO8601"
    first = str(text.iloc[0])
    date = _DATE.match(first)
    if date is None:
        return "ISO8601"
    rest = _CLOCK.match(first[date.end() :])
    if date["iso"] and not (rest and rest["half"]) and date["i"] == "-":
        return "ISO8601"
    if date["iso"]:
        day = date["i"].join(("%Y", "%m", "%d"))
    elif date["dm"]:
        day = date["d"].join(("%d", "%b", "%Y"))
    elif date["md"]:
        day = "%b %d, %Y" if "," in date["md"] else "%b %d %Y"
    else:
        day = _ordered(text, date, clock, place)
    return day + (_clock(rest) if rest else "") + ("%z" if re.search(_ZONED, first) and rest else "")


def _clock(rest: re.Match[str]) -> str:
    hour = "%I:%M" if rest["half"] else "%H:%M"
    half = rest["half"] or ""
    return (
        rest["gap"]
        + hour
        + (":%S" if rest["sec"] else "")
        + (".%f" if rest["frac"] else "")
        + half[: len(half) - len(half.lstrip())]
        + ("%p" if half else "")
    )


def _ordered(text: pd.Series[Any], date: re.Match[str], clock: Clock, place: Place) -> str:
    """The pattern of a date of two short numbers: a number above 12 anywhere in the column
    proves which is the day; dots mean day first; else ``traffic.date_order``. Raises
    :class:`TrafficError` where nothing tells, or both are above 12.
    """
    mark = date["s"]
    numbers = text.str.extract(rf"^(\d{{1,2}}){re.escape(mark)}(\d{{1,2}}){re.escape(mark)}").astype("float64")
    day_first, month_first = bool((numbers[0] > 12).any()), bool((numbers[1] > 12).any())
    # the dotted form is day first wherever it is used
    stated = clock.order or ("day_first" if mark == "." else None)
    if stated and not (day_first or month_first):
        day_first, month_first = stated == "day_first", stated == "month_first"
    if day_first == month_first:
        raise TrafficError(
            "day and month cannot be told apart",
            where=place,
            got=text.iloc[0],
            remedy=f"State traffic.date_order: day_first or month_first, or {ISO[0].lower()}{ISO[1:]}",
        )
    year = "%Y" if len(date["y"]) == 4 else "%y"
    return mark.join(("%d", "%m", year) if day_first else ("%m", "%d", year))


def _compact(whole: Ints, part: Any) -> str:
    """The pattern of dates written without marks, such as YYYYMMDDHH, if every number is one.

    >>> _compact(np.array([2026050413, 2026050414]), np.zeros(2))
    '%Y%m%d%H'
    >>> _compact(np.array([1777900000]), np.zeros(1))
    ''
    """
    digits = len(str(int(whole.max())))
    if digits not in _COMPACT or part.any() or len(str(int(whole.min()))) != digits:
        return ""
    fields = [whole // 10 ** (digits - 4)] + [whole // 10 ** (digits - at) % 100 for at in range(6, digits + 1, 2)]
    limits = ((1990, 2099), (1, 12), (1, 31), (0, 23), (0, 59), (0, 59))
    fits = all(((f >= low) & (f <= high)).all() for f, (low, high) in zip(fields, limits, strict=False))
    return _COMPACT[digits] if fits else ""


def _day_numbers(whole: Ints, part: Any) -> bool:
    """Whether numbers are days since 1900 as spreadsheets count them: of 1990 to 2100, steps of a
    day or less, most with a fraction or one day apart.

    >>> _day_numbers(np.array([46296, 46296]), np.array([0.0, 0.0417]))
    True
    """
    day = whole + part
    steps = np.abs(np.diff(day))
    return bool(whole.min() > 32_874 and whole.max() < 73_051 and part.any() and len(steps) and np.median(steps) <= 1)


def _named_unit(column: str) -> str:
    """The unit that a column's name ends in, such as ``t_ms``; '' for none.

    >>> _named_unit("start_ms"), _named_unit("timestamp")
    ('ms', '')
    """
    found = _NAMED_UNIT.search(re.sub(r"[\s./()\[\]-]+", "_", column.strip().lower()).strip("_"))
    return next((u for u, g in zip(("ms", "us", "ns", "s"), found.groups(), strict=True) if g), "") if found else ""


def _micro(found: pd.DatetimeIndex) -> Ints:
    micro: Ints = found.as_unit("us").asi8.astype(np.int64)
    return micro


def _localize(naive: pd.DatetimeIndex, zone: str, quality: Quality) -> pd.DatetimeIndex:
    """Clock readings of a zone as instants.

    An hour repeated at the end of summer time is told apart by the order of the rows; where that
    cannot be, its first passage is taken and noted as assumed. Readings in the hour that is
    skipped move to the first instant after it, noted as repaired.
    """
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
