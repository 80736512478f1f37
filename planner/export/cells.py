"""A frame as CSV text that a spreadsheet opens without running anything.

Text that a spreadsheet would run as a formula (it begins with ``= + - @``, a tab or a line break)
gets a leading apostrophe (OWASP, CSV injection), and a line break becomes a space; numbers are left
as they are.  Times are ISO 8601 in UTC.
"""

import io

import pandas as pd

_FORMULA = r"^([=+\-@\t\r\n])"


def to_csv(frame: pd.DataFrame) -> str:
    """CSV text of a frame: declared column names, full precision, formulas neutralized, lines ended
    with a line feed.

    >>> print(to_csv(pd.DataFrame({"owner": ["=1+1"], "value": [-0.5]})), end="")
    owner,value
    '=1+1,-0.5
    """
    return neutral(frame).to_csv(index=False, lineterminator="\n")


def neutral(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text that no spreadsheet runs, and instants as ISO 8601 text in UTC.

    Numbers are never touched, negative ones neither.

    >>> neutral(pd.DataFrame({"note": ["-2+3", "plain"]}))["note"].tolist()
    ["'-2+3", 'plain']
    """
    safe = frame.copy()
    for name in safe.columns:
        if pd.api.types.is_string_dtype(safe[name]):
            safe[name] = _plain(safe[name])
        elif isinstance(safe[name].dtype, pd.DatetimeTZDtype):
            safe[name] = stamps(safe[name])
    return safe


def stamps(instants: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
    """Instants as ``2027-01-01T00:00:00Z``; an unknown one stays unknown."""
    codes, each = pd.factorize(instants)
    said = pd.Series(pd.DatetimeIndex(each).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"), dtype="str")
    return said.reindex(codes).set_axis(instants.index)


def parquet(frame: pd.DataFrame) -> bytes:
    """A frame as one Parquet file: its own types, instants in UTC."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _plain(text: "pd.Series[str]") -> "pd.Series[str]":
    """Each different text is looked at once: a year of hours says few."""
    codes, words = pd.factorize(text, use_na_sentinel=False)
    each = pd.Series(words, dtype="str")
    safe = each.str.replace(_FORMULA, r"'\1", regex=True).str.replace(r"[\r\n]", " ", regex=True)
    return safe.take(codes).set_axis(text.index)
