"""What is wrong with a field, in a sentence that also says what to write in its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
}
_GIB = {
    **{f"{p}i{b}": 1024.0 ** (n - 3) for n, p in enumerate(("", "k", "m", "g", "t", "p")) for b in ("", "b") if n},
    **{f"{p}b": 1000.0**n / 2**30 for n, p in enumerate(("", "k", "m", "g", "t", "p"))},
    "g": 1.0,
    "m": 1 / 1024,
    "t": 1024.0,
}
_HOURS = {unit: seconds / 3600 for unit, seconds in _SECONDS.items()}
_MONTHS = {
    "m": 1.0,
    "mo": 1.0,
    "month": 1.0,
    "months": 1.0,
    "y": 12.0,
    "yr": 12.0,
    "year": 12.0,
    "years": 12.0,
}
_MANY = {"k": 1e3, "m": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9}
_USD = {"$": 1.0, "usd": 1.0, **_MANY}
_SHARE = re.compile(r"share|quantile|utilization")
# what a field counts, by what its name ends in, and what the units people write are of that
_COUNTED: tuple[tuple[str, str, Mapping[str, float]], ...] = (
    (r"_s$", "seconds", _SECONDS),
    (r"_h$", "hours", _HOURS),
    (r"_gib(?:_|$)", "GiB", _GIB),
    (r"_months$", "months", _MONTHS),
    (r"usd", "USD", _USD),
    (_SHARE.pattern, "a share from 0 to 1", {"%": 0.01}),
    (r"", "a number", _MANY),
)
_NUMBER = re.compile(r"\s*(\$?)([-+]?\d[\d_]*(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\s*([^\d\s].*?)?\s*")


def sentence(fault: Any, known: Collection[str] = ()) -> str:
    """A fault of pydantic as what is wrong, the value that was got and what to write in its place.

    ``known``: the keys that may stand where a key is not known.

    >>> sentence({"type": "float_parsing", "loc": ("latency_p99_s",), "msg": "Input should be a valid number",
    ...           "input": "200ms"})
    "should be a valid number (got '200ms'). Write 0.2: seconds, without a unit"
    """
    kind, value, name = (
        fault["type"],
        fault["input"],
        next((p for p in reversed(fault["loc"]) if _is_name(p)), ""),
    )
    if kind == "missing":
        return "is required but missing. Add it"
    if kind == "extra_forbidden":
        return f"is not a known key; {near(name, known)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{_mapping(fault)}{_got(value)}{_instead(name, value)}"
    message = re.sub(r"^(Value error, |Input )", "", fault["msg"])
    message = re.sub(r", unable to parse string as an? \w+$", "", message)
    return f"{message}{_got(value)}{_remedy(kind, name, value)}"


def near(name: str, known: Collection[str], what: str = "keys") -> str:
    """The known name that is nearest to one that nobody knows, else all of them, which are ``what``."""
    if not known:
        return "mend the name, or leave it out"
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {found[0]}?" if found else f"known {what}: {', '.join(sorted(known))}"


def plain(name: str, text: str) -> str:
    """What to write for a figure with a unit in the field ``name``; '' where that cannot be told.

    >>> plain("memory_gib", "512MiB"), plain("load_quantile", "50 %"), plain("requests_per_day", "2M")
    ('0.5: GiB, without a unit', '0.5: a share from 0 to 1, without a unit', '2000000: a number, without a unit')
    """
    found = _NUMBER.fullmatch(text)
    unit = ((found[3] or found[1]) if found else "").lower()
    counted, units = next((what, units) for ending, what, units in _COUNTED if re.search(ending, name))
    if not found or (unit and unit not in units):
        return ""
    written = float(found[2].replace("_", "").replace(",", ".")) * units.get(unit, 1.0)
    return f"{written:.10g}: {counted}, without a unit"


def _is_name(part: Any) -> bool:
    return isinstance(part, str) and part not in ("date", "datetime")


def _got(value: Any) -> str:
    if value is None or isinstance(value, dict | list | tuple | BaseModel):
        return ""
    return f" (got {value if isinstance(value, date) else repr(value)})"


def _mapping(fault: Any) -> str:
    """What stands where keys below are due; of a range a number does too."""
    name = (fault.get("ctx") or {}).get("class_name", "")
    keys = next((list(c.model_fields) for c in _parts(BaseModel) if c.__name__ == name), [])
    if fault["input"] is None:
        return "is empty. Write its keys below it, or leave it out"
    if keys[:3] == ["low", "likely", "high"]:
        return "should be a number, or a mapping with low, likely, high"
    return f"should be a mapping with the keys {', '.join(keys)}" if keys else "should be a mapping, a name a key"


def _parts(cls: type[BaseModel]) -> list[type[BaseModel]]:
    return [c for one in cls.__subclasses__() for c in (one, *_parts(one))]


def _instead(name: str, value: Any) -> str:
    told = plain(name, value) if isinstance(value, str) else ""
    return f". Write {told}" if told else ""


def _remedy(kind: str, name: str, value: Any) -> str:
    """What to write in place of a value, where that can be told."""
    if kind.startswith(("float_", "int_")):
        return _instead(name, value) or ". Write a plain number"
    if kind in ("less_than", "less_than_equal") and _SHARE.search(name) and 1 < value <= 100:
        return f". Write {value / 100:g}: a share from 0 to 1, not per cent"
    if kind == "string_type":
        return ". Quote it, as YAML takes a bare no, yes, on, off or number for something else than text"
    if kind.startswith(("date_", "datetime_")):
        return ". Write it as 2026-11-30"
    if kind in ("tuple_type", "list_type"):
        return f". Write it as a list: [{value}]" if isinstance(value, str | int) else ". Write it as a list: [a, b]"
    return ""
