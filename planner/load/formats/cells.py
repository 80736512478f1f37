"""Cells as spreadsheets and dashboards write them, to numbers: decimal commas, thousands marks,
``25.9 K req/s``.

Which mark is the decimal one is decided over the whole column by cells that can be read one way
only.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load.formats.base import Place
from planner.load.formats.names import EVENT, Said, plain_name, rate_of

NOT_NUMBERS = ("nan", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity", "n/a", "na", "undefined")
RAW = "Export raw values: in Grafana 'Formatted data' off, in a spreadsheet the cell format General"
_CELL = re.compile(r"^(?P<number>[+-]?\d[\d.,'’  _\s]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+)\s*(?P<unit>[^\d\s].*)?$")
_MULTIPLES = {"k": 1e3, "mil": 1e6, "mio": 1e6, "million": 1e6, "bil": 1e9, "tri": 1e12, "g": 1e9, "thousand": 1e3}
_MULTIPLE = re.compile(
    rf"^(?:(?P<word>k|mil|mio|million|bil|tri|thousand|g|M)\b|(?P<tight>[kKM])(?=/|{EVENT}|[cqrt]p[smh]))\s*"
)
_ENTRY = ("", "req", "reqs", "requests", "request", "count", "hits", "calls", "queries", "ops", "short")


def parsed(text: pd.Series[Any], place: Place) -> tuple[Floats, Said]:
    """Numbers of cells that no plain parser reads, and what their unit says
    (``Said('')``: nothing).

    Distinct cells are read once. The decimal mark is decided over the whole column and the
    multiple (``K``, ``mil``, ``M``) cell by cell; an empty cell is NaN. One column has one unit.

    Raises :class:`TrafficError` naming the row whose unit or marks cannot be read, and for
    cells of different units.
    """
    distinct, code = np.unique(text.fillna("").to_numpy(dtype=object).astype(str), return_inverse=True)
    cells = [_CELL.match(t.strip()) for t in distinct]
    bad = np.array([c is None and bool(t.strip()) for c, t in zip(cells, distinct, strict=True)])
    if bad.any():
        raise _refusal("not a number", distinct, bad, code, place, _hint(distinct[int(np.argmax(bad))]))
    decimal = _decimal([c["number"] for c in cells if c], place)
    values, units = np.full(len(distinct), np.nan), [Said("")] * len(distinct)
    for i, cell in enumerate(cells):
        if cell:
            factor, units[i] = unit(cell["unit"] or "")
            values[i] = _number(cell["number"], decimal) * factor
    odd = np.array([u.kind == "gauge" for u in units]) | (np.isnan(values) & np.array([c is not None for c in cells]))
    if odd.any():
        raise _refusal("the unit of the cell is no rate and no count of requests", distinct, odd, code, place, RAW)
    used = {u for u, c in zip(units, cells, strict=True) if c}
    if len(used) > 1:
        raise TrafficError("the cells carry different units", where=place, got=sorted(distinct)[:4], remedy=RAW)
    return values[code], used.pop() if used else Said("")


def unit(text: str) -> tuple[float, Said]:
    """Multiple and kind of a unit such as ``K req/s``; ``gauge`` for one
    that counts no requests.

    Without a unit, or with a bare ``req`` or ``hits``, the kind is '' and the column's name
    decides. A small ``m`` is no million.

    >>> unit("K req/s")
    (1000.0, Said(kind='rate', per_s=1.0))
    >>> unit("Mrps")[0], unit("Mil")[0], unit("kops")[0]
    (1000000.0, 1000000.0, 1000.0)
    >>> unit("%")[1].kind, unit("mreq/s")[1].kind
    ('gauge', 'gauge')
    """
    text, factor = text.strip(), 1.0
    if found := _MULTIPLE.match(text) or _MULTIPLE.match(text[:1].lower() + text[1:]):
        word = (found["word"] or found["tight"] or "").strip()
        factor, text = (1e6 if word == "M" else _MULTIPLES[word.lower()]), text[found.end() :].strip()
    plain = plain_name(text)
    if plain in _ENTRY:
        return factor, Said("")
    if text[:1] == "/":
        plain = "req_" + plain
    if plain in ("c_s", "r_s", "q_s", "hits_s", "reqps", "cps", "ops_s", "msg_s", "evt_s", "rec_s", "io_s"):
        return factor, Said("rate") if plain not in ("io_s",) else Said("gauge")
    if plain in ("c_m", "ops_m", "msg_m", "evt_m", "rec_m", "cpm", "opm"):  # Grafana's units of throughput
        return factor, Said("rate", 1 / 60)
    found_rate = rate_of(plain)
    return factor, found_rate or Said("gauge")


def _decimal(numbers: list[str], place: Place) -> str:
    """The decimal mark of a column: what stands last where both stand, else
    what cannot group thousands.

    ``1,234`` may be either and votes for nothing; ``1,23`` and ``0,123`` can only be decimals,
    ``1,234,567`` only groups. A point is taken as the decimal mark where nothing speaks against
    it. Raises :class:`TrafficError` where votes disagree, and for commas that are never decided.
    """
    votes = set()
    for text in numbers:
        body = re.sub(r"[eE].*", "", text)
        dots, commas = body.count("."), body.count(",")
        if dots and commas:
            votes.add("," if body.rfind(",") > body.rfind(".") else ".")
        elif commas > 1:
            votes.add(".")
        elif dots > 1 or (commas == 1 and not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", body.strip())):
            votes.add(",")
        elif dots == 1 and not re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", body.strip()):
            votes.add(".")
    if len(votes) > 1:
        raise TrafficError(
            "some cells use the comma as decimal mark and some the point",
            where=place,
            got=numbers[:3],
            remedy=RAW,
        )
    if votes:
        return votes.pop()
    if any("," in n for n in numbers):
        raise TrafficError(
            "the comma may be a decimal or a thousands mark",
            where=place,
            got=next(n for n in numbers if "," in n),
            remedy=f"{RAW}, or write the decimals with a point",
        )
    return "."


def _number(text: str, decimal: str) -> float:
    """The value of a cell under a decimal mark; NaN where its thousands marks do not
    stand every three digits, or as in India.

    >>> _number("1.234,5", ",")
    1234.5
    >>> _number("12,34", ".")
    nan
    """
    thousands = "," if decimal == "." else "."
    body = re.sub(r"[\s'’  _]", "", text).rstrip(".,")
    whole = re.split(r"[eE]", body)[0].partition(decimal)[0]
    mark = re.escape(thousands)
    grouped = rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+|[+-]?\d{{1,2}}(?:{mark}\d\d)+{mark}\d{{3}}"  # 1,234,567; 12,34,567
    if thousands in whole and not re.fullmatch(grouped, whole):
        return np.nan
    try:
        return float(body.replace(thousands, "").replace(decimal, "."))
    except ValueError:
        return np.nan


def _hint(text: str) -> str:
    if re.search(r"\d", text):
        return RAW
    return "Mend that row, or map another column in traffic.columns"


def _refusal(what: str, distinct: Any, bad: Any, code: Any, place: Place, remedy: str) -> TrafficError:
    return TrafficError(what, where=place.row(bad[code]), got=str(distinct[int(np.argmax(bad))]), remedy=remedy)
