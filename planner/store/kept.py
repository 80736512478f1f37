"""What a revision keeps of its plan: charges by month, prices paid, machines, commitments, volumes
and the figures of the first screen; enough to show it, to bridge it, and to check that it comes out
again.
"""

import json
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from planner import columns
from planner.export import token_costs
from planner.study import Study

MONEY = ["list_cost_usd", "effective_cost_usd", "billed_cost_usd"]
# what tells two charges of a month apart
KEYS = [
    "service",
    "owner",
    "cost_center",
    "provider",
    "region",
    "charge",
    "resource",
    "purchase_option",
    "commitment",
    "unit",
    "basis",
]
_TABLES = ("cost", "prices", "machines", "commitments", "token_costs")


@dataclass(frozen=True)
class Kept:
    """A plan as it was saved.

    ``cost``: ``month``, ``KEYS``, quantity and the three costs [USD]; ``prices``, ``machines``:
    as in a plan; ``commitments`` with times as text; ``token_costs``: by kind of token
    (``export.tokens``; empty in revisions that were saved before it was kept). ``summary``: figures
    of the first screen; ``months``: calendar months of the horizon; ``requests``, ``tokens``: by
    service over it.
    """

    cost: pd.DataFrame
    prices: pd.DataFrame
    machines: pd.DataFrame
    commitments: pd.DataFrame
    token_costs: pd.DataFrame
    summary: dict[str, float]
    months: float
    requests: dict[str, float]
    tokens: dict[str, float]

    @classmethod
    def of(cls, study: Study) -> "Kept":
        """What is kept of a study.

        Charges are summed by calendar month of the plan's time zone: the hours of a month become
        one row a charge, from which each month comes out to the cent.
        """
        plan = study.plan
        month = plan.cost["ts"].dt.tz_convert(plan.time_zone).dt.strftime("%Y-%m").astype("str").rename("month")
        cost = plan.cost.groupby([month, *KEYS], observed=True)[["quantity", *MONEY]].sum().reset_index()
        signed = plan.commitments.copy()
        for name in signed.select_dtypes("datetimetz").columns:
            signed[name] = signed[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(
            cost,
            plan.prices,
            plan.machines(),
            signed,
            token_costs(study),
            plan.summary(),
            plan.months,
            study.requests,
            study.tokens,
        )

    @property
    def monthly_mean(self) -> pd.DataFrame:
        """Charges of a mean month of the horizon: quantity and costs over its months."""
        found = self.cost.copy()
        found[["quantity", *MONEY]] /= self.months
        return found

    def unit_costs(self) -> dict[tuple[str, str], float]:
        """Effective cost by service and volume: (name, ``usd_per_1k_requests`` or
        ``usd_per_1m_tokens``) → USD.
        """
        paid = self.cost.groupby("service")["effective_cost_usd"].sum()
        scales = (("usd_per_1k_requests", self.requests, 1e3), ("usd_per_1m_tokens", self.tokens, 1e6))
        return {
            (name, measure): float(paid.get(name, 0.0)) / volume * each
            for measure, volumes, each in scales
            for name, volume in volumes.items()
            if volume > 0
        }

    def usd_per_1m_tokens(self, service: str, kind: str) -> float:
        """Effective cost of a million tokens of a kind (``input``, ``cached input``, ``output``);
        unknown (NaN) where the service has none.
        """
        mine = self.token_costs
        mine = mine[(mine["service"] == service) & (mine["token_kind"] == kind)]
        return float(mine["usd_per_1m_tokens"].iloc[0]) if len(mine) else float("nan")

    def to_json(self) -> bytes:
        """Bytes from which :meth:`from_json` makes it again, to the last digit.

        Python writes the shortest text that reads back as the same float, so equal answers are
        equal bytes and have one SHA-256. A missing number is written as ``NaN``, which other
        readers of JSON may refuse.
        """
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _TABLES}
        tables = {n: {c: getattr(self, n)[c].tolist() for c in getattr(self, n).columns} for n in _TABLES}
        return json.dumps({**plain, **tables}, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Kept":
        """What :meth:`to_json` wrote."""
        raw: dict[str, Any] = json.loads(content)
        raw |= {name: _frame(raw[name]) for name in _TABLES if name in raw}
        raw.setdefault("token_costs", columns.empty("export.tokens"))
        return cls(**raw)


def _frame(lists: dict[str, list[Any]]) -> pd.DataFrame:
    """A table of its columns; a column is of the kind that the data dictionary says."""
    known = columns.dictionary()
    kinds = {"str": "str", "float": "float64", "int": "int64", "bool": "bool", "ts": "str"}
    return pd.DataFrame(
        {c: pd.Series(values, dtype=kinds[known[c].dtype] if c in known else "str") for c, values in lists.items()}
    )
