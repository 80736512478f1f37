"""Reads CSV, TSV, JSON lines, Parquet and xlsx tables part by part, so that memory holds numbers
and no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import Floats, Ints
from planner.errors import TrafficError
from planner.load.formats import cells, rows, series
from planner.load.formats.base import Meaning, Place, Raw, Requests, TrafficFormat
from planner.load.formats.chosen import (
    CLOCK,
    CLOCK_NAMES,
    DAY_NAMES,
    MOST_NAMES,
    STATE,
    Chosen,
    choose,
    part_of_one,
    whole_of,
)
from planner.load.formats.dialect import HEAD_BYTES
from planner.load.formats.documents import begins_json
from planner.load.formats.names import NOTHING, Said, plain_name, written, zone_of
from planner.load.formats.stamps import Clock, Stamps, checked, from_naive
from planner.load.quality import Quality
from planner.scenario import TrafficSource


def sniff(path: Path, head: bytes) -> bool:
    """A table by its name or by its magic bytes; a JSON document that is no log of an object a line."""
    lines = head.split(b"\n", 2)
    log = len(lines) > 1 and lines[0].rstrip().endswith(b"}") and lines[1].startswith(b"{")
    return path.suffix.lower() in rows.SUFFIXES or head[:4] == b"PAR1" or (begins_json(head) and not log)


def read(path: Path, source: TrafficSource, quality: Quality) -> Raw:
    """Read one table. Raises :class:`TrafficError` naming row and column of what is wrong."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    sheet = rows.open_rows(path, head, quality)
    clock = _clock_beside(sheet, source)
    chosen = choose([n for n in sheet.names if n != clock], source, str(path), quality)
    chosen = replace(chosen, clock=clock)
    table = _Columns(sheet, chosen, source, quality)
    for part in sheet.parts(chosen.wanted):
        table.add(part)
    if not table.rows:
        raise TrafficError("the table has no rows below its header", where=path, remedy="Export the history again")
    return table.raw()


# an hour alone, one digit of hours, an hour of twelve
_CLOCKS = ((r"^(\d{1,2})$", r"\1:00"), (r"^(\d):", r"0\1:"), (r"^(\d{1,2})\s?([AaPp][Mm])$", r"\1:00 \2"))


def _clock_beside(sheet: rows.Rows, source: TrafficSource) -> str:
    """The column that holds the clock to the day of another one, as spreadsheets keep them apart: a
    time of day, or the hour; '' where no column does.
    """
    plain = {plain_name(n): n for n in sheet.names}
    day, clock = (next((plain[n] for n in names if n in plain), "") for names in (DAY_NAMES, CLOCK_NAMES))
    if not day or not clock or (source.column("ts") or day) != day:
        return ""
    first = next(iter(sheet.parts([day, clock])), None)
    if first is None or not len(first) or not all(_is_text(first.column(n).type) for n in (day, clock)):
        return ""
    told, hour = (str(first.column(n)[0]).strip() for n in (day, clock))
    return clock if ":" not in _bare_day(told) and CLOCK.fullmatch(hour) else ""


def _bare_day(text: str) -> str:
    """A day without the midnight that spreadsheets write behind it."""
    return re.sub(r"[T ]00:00:00$", "", text)


def _joined(day: Any, clock: Any) -> Any:
    """Days and clocks of two columns as stamps."""
    import pyarrow as pa
    import pyarrow.compute as pc

    clock = pc.utf8_trim_whitespace(clock.cast(pa.string()))
    for pattern, instead in _CLOCKS:
        clock = pc.replace_substring_regex(clock, pattern, instead)
    day = pc.replace_substring_regex(pc.utf8_trim_whitespace(day.cast(pa.string())), r"[T ]00:00:00$", "")
    return pc.binary_join_element_wise(day, clock, " ")


@dataclass
class _Parts:
    """Numbers of one column, part by part, and what their cells' units said."""

    place: Place
    values: list[Floats]
    said: Said = NOTHING

    def add(self, column: Any, offset: int) -> None:
        place = replace(self.place, first=self.place.first + offset)
        found, unit = numbers(column, place)
        if self.values and unit != self.said and np.isfinite(found).any():
            raise TrafficError("the cells carry different units", where=place, remedy=cells.RAW)
        self.said = unit if np.isfinite(found).any() else self.said
        self.values.append(found)

    def whole(self) -> Floats:
        found: Floats = np.concatenate(self.values) if len(self.values) > 1 else self.values[0]
        self.values = []
        return found


class _Columns:
    """The chosen columns of one table as they come in."""

    def __init__(self, sheet: rows.Rows, chosen: Chosen, source: TrafficSource, quality: Quality) -> None:
        self.sheet, self.chosen, self.source, self.quality, self.rows = sheet, chosen, source, quality, 0
        clock = Clock.of(source)
        if clock.zone is None and (zone := zone_of(chosen.ts)):
            clock = replace(clock, zone=zone)
            quality.add("noted", 0, f"stamps are {zone}, as their column {chosen.ts} says")
        if clock.unit is None and chosen.unit:
            clock = replace(clock, unit=chosen.unit)
        self.ts = Stamps(clock, self._place(chosen.ts), quality)
        self.instants: list[tuple[Ints, bool]] = []
        kept = [*chosen.values, *(t for t in chosen.tokens.values() if t)]
        self.numbers = {name: _Parts(self._place(name), []) for name in kept}
        self.labels: list[Any] = []

    def _place(self, name: str) -> Place:
        return Place(self.quality.source, name, self.sheet.label, self.sheet.first)

    def add(self, part: Any) -> None:
        for name, column in self.numbers.items():
            column.add(part.column(name), self.rows)
        stamp = part.column(self.chosen.ts)
        self._add_stamps(_joined(stamp, part.column(self.chosen.clock)) if self.chosen.clock else stamp)
        if self.chosen.labels:
            self.labels += zip(*(part.column(n).to_pylist() for n in self.chosen.labels), strict=True)
        self.rows += len(part)
        if self.rows > rows.MAX_ROWS:
            raise rows.too_many_rows(self.quality.source)

    def _add_stamps(self, column: Any) -> None:
        import pyarrow as pa

        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_timestamp(kind):
            if column.null_count:
                place = replace(self.ts.place, first=self.ts.place.first + self.rows)
                raise TrafficError("a row has no time stamp", where=place.row(column.is_null().to_numpy(False)))
            micro = column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64()).to_numpy()
            self.instants.append((np.array(micro), kind.tz is not None))
        elif pa.types.is_date(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_text(kind):
            self.ts.add(_as_text(column))
        else:
            raise TrafficError(
                f"the column holds {kind}, no time stamps",
                where=self.ts.place,
                remedy="Map another one",
            )

    def stamps(self) -> Ints:
        """UTC microseconds of all rows."""
        if not self.instants:
            return self.ts.finish()
        micro, zoned = np.concatenate([i[0] for i in self.instants]), self.instants[0][1]
        self.instants = []
        if zoned:
            return checked(micro, self.ts.place)
        return from_naive(micro, self.ts.clock.zone, self.ts.place, self.quality)

    def raw(self) -> Raw:
        """What the table says, as one demand."""
        ts = self.stamps()
        tokens = {k: self.numbers[n].whole() if n else None for k, n in self.chosen.tokens.items()}
        if not self.chosen.values:
            return request_log(ts, tokens, self.ts.place)
        parts = [self.numbers[n] for n in self.chosen.values]
        meaning, per_s = self._meaning(parts)
        values = [p.whole() * per_s for p in parts]
        place = self._place(self.chosen.values[0])
        if not self.labels:
            self._refuse_several(ts, place)
        if len(values) == 1 and self.labels:
            stamp, value = self._long(ts, values[0], meaning, place)
        else:
            stamp, value = self._wide(ts, values, meaning, place)
        if len(stamp) != len(ts):
            tokens = dict.fromkeys(tokens)
        if meaning == "requests_per_interval":
            series.refuse_cumulative((stamp, value), place)
        kind: Meaning = "requests_per_interval" if meaning == "requests_per_interval" else "requests_per_s"
        return Raw(stamp, value, kind, input_tokens=tokens["input_tokens"], output_tokens=tokens["output_tokens"])

    def _refuse_several(self, ts: Ints, place: Place) -> None:
        """Raises :class:`TrafficError` where stamps repeat and a column that is not used tells their
        rows apart: these are several series, also where their values are equal.
        """
        unused = [n for n in self.sheet.names if n not in self.chosen.wanted]
        repeated = np.flatnonzero(np.isin(ts, _repeated(ts)))
        if len(repeated) <= series.MAX_REPEATED_SHARE * len(ts) or not unused:
            return
        held: dict[str, list[Any]] = {name: [] for name in unused}
        for part in self.sheet.parts(unused):
            for name, cells_ in held.items():
                cells_ += part.column(name).to_pylist()
        for name, cells_ in held.items():
            rows_ = {(int(ts[at]), str(cells_[at])) for at in repeated}
            told = sorted({label for _, label in rows_})
            if len(rows_) == len(repeated) and len(told) < len(repeated):
                raise TrafficError(
                    f"rows repeat a time stamp and differ in column {name}: the table holds several series",
                    where=place,
                    got=told[:MOST_NAMES],
                    remedy=f"Rename column {name} to series, and name those that add up, such as"
                    f" traffic.columns: {{arrival_rate_rps: {written(told[:MOST_NAMES])}}}",
                )

    def _meaning(self, parts: list[_Parts]) -> tuple[str, float]:
        """What the values are, and the factor to requests (a second): stated, else by units, else
        by name.
        """
        named, unit, name = self.chosen.said, parts[0].said, self.chosen.values[0]
        if any(p.said != unit for p in parts):
            raise TrafficError("the columns carry different units", where=self.quality.source, remedy=cells.RAW)
        if unit.kind == "rate":
            if self.source.value not in (None, "requests_per_s"):
                raise TrafficError(
                    f"the cells carry a rate as their unit and traffic.value says {self.source.value}",
                    where=parts[0].place,
                    remedy="State traffic.value: requests_per_s",
                )
            self.quality.add("noted", 0, "cells carry their unit and are rounded: export raw values for exact ones")
            return "requests_per_s", unit.per_s
        if self.source.value:
            scaled = named.per_s if (named.kind, self.source.value) in _SAME else 1.0
            return self.source.value, scaled
        if named.kind == "count":
            self.quality.add(
                "assumed",
                0,
                f"column {name} was read as a count in each interval, not as a rate (state traffic.value to change"
                " this)",
            )
        if named.kind in _MEANINGS:
            return _MEANINGS[named.kind], named.per_s
        raise TrafficError(
            "it is not stated whether the value is a rate or a count",
            where=f"{self.quality.source}, column {name}",
            remedy=STATE,
        )

    def _wide(self, ts: Ints, values: list[Floats], meaning: str, place: Place) -> series.Series:
        """Several value columns as one demand: if none is stated and one is the sum of the others
        it is read alone, else they are added up, counters as their increase.
        """
        whole = None if self.source.demand_columns else series.total_of(values)
        if whole is not None:
            self.quality.add(
                "noted",
                0,
                f"column {self.chosen.values[whole]} is the sum of the others and was read alone",
            )
            values = [values[whole]]
        if meaning == "counter":
            values_of = [series.increase((ts, v), place, self.quality) for v in values]
            return self._summed(values_of)
        if len(values) == 1:
            return ts, values[0]
        return self._summed([(ts, v) for v in values])

    def _long(self, ts: Ints, value: Floats, meaning: str, place: Place) -> series.Series:
        """Rows of several series as one demand. Raises :class:`TrafficError` where it is neither
        stated which series add up nor plain from their labels that all are parts of one metric.
        """
        found: dict[tuple[str, ...], list[int]] = {}
        for at, label in enumerate(self.labels):
            found.setdefault(tuple(str(v) for v in label), []).append(at)
        if self.chosen.series:
            found = {k: v for k, v in found.items() if set(k) & set(self.chosen.series)}
        keys = list(found)
        if not keys or (len(keys) > 1 and not self.chosen.series and not part_of_one(keys, self.chosen.labels)):
            names = sorted({k[0] for k in keys} or {str(label[0]) for label in self.labels})[:MOST_NAMES]
            raise TrafficError(
                "the table holds several series, and it is not stated which of them are the demand",
                where=place,
                got=names,
                remedy=(f"Name those that add up, such as traffic.columns: {{arrival_rate_rps: {written(names)}}}"),
            )
        if not self.chosen.series:
            named = {": ".join(key): key for key in found}
            found = {named[n]: found[named[n]] for n in whole_of([*named], self.quality, "series")}
        parts = [(ts[np.array(at)], value[np.array(at)]) for at in found.values()]
        if meaning == "counter":
            parts = [series.increase(p, place, self.quality) for p in parts]
        return self._summed(parts)

    def _summed(self, parts: list[series.Series]) -> series.Series:
        if len(parts) == 1:
            return parts[0]
        self.quality.add("noted", len(parts), f"{len(parts)} series were added up")
        return series.added(parts)


_MEANINGS = {"rate": "requests_per_s", "count": "requests_per_interval", "counter": "counter"}
_SAME = {("rate", "requests_per_s"), ("count", "requests_per_interval")}


def request_log(ts: Ints, tokens: dict[str, Floats | None], place: Place) -> Raw:
    """One row a request: counted by the minute, lengths kept as pairs.
    Raises :class:`TrafficError`.

    Rows are put in order of time. Minutes without a row had no request: a log is complete.
    Refused are requests without a length, and rows evenly spaced by a minute or more, which are
    buckets whose demand column is not known.
    """
    for name, values in tokens.items():
        if values is not None and np.isnan(values).any():
            raise TrafficError(
                f"a request has no {name}",
                where=Place(place.source, name, place.label, place.first).row(np.isnan(values)),
                remedy="Remove that row, or mend it",
            )
    if (ts[1:] < ts[:-1]).any():
        order = np.argsort(ts, kind="stable")
        ts, tokens = ts[order], {k: None if v is None else v[order] for k, v in tokens.items()}
    step = ts[1] - ts[0] if len(ts) > 11 else 0
    if step >= 60_000_000 and (np.diff(ts) == step).all():
        raise TrafficError(
            "the rows are evenly spaced, so they are no single requests, and no column is known to hold the demand",
            where=place.source,
            remedy="Name it in traffic.columns, such as {arrival_rate_rps: requests}",
        )
    minute = ts // 60_000_000
    first = np.flatnonzero(np.append(True, minute[1:] != minute[:-1]))
    return Raw(
        minute[first] * 60_000_000,
        np.diff(first, append=len(ts)).astype(np.float64),
        "requests_per_interval",
        interval_s=60,
        complete=True,
        requests=Requests(ts / 1e6, tokens["input_tokens"], tokens["output_tokens"]),
    )


def _repeated(ts: Ints) -> Ints:
    """Stamps that stand more than once, each once."""
    stamps, count = np.unique(ts, return_counts=True)
    return np.asarray(stamps[count > 1])


def numbers(column: Any, place: Place) -> tuple[Floats, Said]:
    """Values ≥ 0 (NaN where a cell is empty) and what their unit says.
    Raises :class:`TrafficError`.

    An empty cell was not observed; a cell that says NaN or infinity is refused, since it stands
    for neither a zero nor a gap.
    """
    import pyarrow as pa

    kind, said = column.type, Said()
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan), said
    if _is_text(kind):
        found, said, missing = _from_text(column, place)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        try:
            found = np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
        except pa.ArrowException:
            raise TrafficError(f"the column holds {kind}, too wide", where=place, remedy="Save it as float64") from None
        missing = column.is_null().to_numpy(zero_copy_only=False)
    else:
        raise TrafficError(f"the column holds {kind}, not numbers", where=place, remedy="Map another column")
    odd = ~np.isfinite(found) & ~missing
    if odd.any():
        raise TrafficError(
            "NaN or infinity is no measurement",
            where=place.row(odd),
            got=float(found[odd][0]),
            remedy="Leave the cell empty (or the row out) where nothing was observed",
        )
    if (found < 0).any():
        raise TrafficError(
            "a negative value is no demand",
            where=place.row(found < 0),
            got=float(found[found < 0][0]),
            remedy="Mend or remove that row",
        )
    return found, said


def _from_text(column: Any, place: Place) -> tuple[Floats, Said, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if (figures := _plain_figures(column)) is not None:
        return figures, Said(), np.zeros(len(figures), dtype=bool)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
    missing = pc.is_null(text).to_numpy(zero_copy_only=False)
    odd = pc.is_in(pc.utf8_lower(text), value_set=pa.array(cells.NOT_NUMBERS)).to_numpy(zero_copy_only=False)
    if odd.any():
        raise TrafficError(
            "NaN or infinity is no measurement",
            where=place.row(odd),
            got=text[int(np.argmax(odd))].as_py(),
            remedy="Leave the cell empty (or the row out) where nothing was observed",
        )
    try:
        return np.array(text.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64), Said(), missing
    except pa.ArrowInvalid:
        found, said = cells.parsed(text.to_pandas(), place)
        return found, said, missing


def _plain_figures(column: Any) -> Floats | None:
    """Finite figures written plainly in every cell; ``None`` where any is not, or is empty. The
    first cell goes first: a cast that fails is slow.
    """
    import pyarrow as pa

    try:
        column.slice(0, 1).cast(pa.float64())
        found = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    values = np.array(found.to_numpy(zero_copy_only=False), dtype=np.float64)
    return None if found.null_count or not np.isfinite(values).all() else values


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_text(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        return pa.array([("" if not np.isfinite(v) else f"{v:.6f}") for v in values], type=pa.string())
    return column.cast(pa.string())


TABLE = TrafficFormat(
    "table",
    "CSV, TSV, JSON lines, xlsx or Parquet: one row a bucket, or one row a request",
    sniff,
    read,
)
