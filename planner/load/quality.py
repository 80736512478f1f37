"""The quality report: what a reader assumed, dropped, filled, repaired or merely noticed, line by
line.
"""

from dataclasses import dataclass, field

import pandas as pd

KINDS = ("assumed", "dropped", "filled", "noted", "repaired")


@dataclass
class Quality:
    """Collects the lines of one reading; :meth:`frame` is what the reader of a plan sees."""

    source: str
    lines: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, kind: str, rows: int, detail: str) -> None:
        """Add a line: ``kind`` of action, number of ``rows`` (or buckets) it touched, a sentence.

        Raises :class:`ValueError` for a kind that is not one of ``KINDS``.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind} is not one of {KINDS}")
        self.lines.append((kind, int(rows), detail))

    def frame(self) -> pd.DataFrame:
        """Columns ``kind``, ``rows``, ``detail``; one row an action."""
        kinds, rows, details = zip(*self.lines, strict=True) if self.lines else ((), (), ())
        return pd.DataFrame(
            {
                "kind": pd.Series(kinds, dtype="str"),
                "rows": pd.Series(rows, dtype="int64"),
                "detail": pd.Series(details, dtype="str"),
            }
        )
