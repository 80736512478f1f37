"""From one revision to another, such as from an experiment to its production: what grows, why, and
whose money it is.
"""

from dataclasses import dataclass

import pandas as pd

from planner.export.tokens import KINDS, measure_of
from planner.plan import bridge
from planner.store.kept import Kept


@dataclass(frozen=True)
class Growth:
    """The bridge of a mean month between two plans of one scenario.

    ``before_usd``, ``after_usd`` [USD/month], amortized; ``lines``: service, owner, charge,
    resource, purchase option, cause and difference [USD/month], which add up to the difference of
    the two; ``services``: service, owner, requests and cost a month of both, and unit costs of both
    [USD].
    """

    before_usd: float
    after_usd: float
    lines: pd.DataFrame
    services: pd.DataFrame

    @property
    def owners(self) -> pd.DataFrame:
        """Difference by owner, service and cause, largest first [USD/month]; adds up like the
        lines.
        """
        found = self.lines.groupby(["owner", "service", "cause"], observed=True)["difference_usd"].sum().reset_index()
        order = found["difference_usd"].abs().sort_values(ascending=False, kind="stable").index
        return found.loc[order].reset_index(drop=True)


def growth(before: Kept, after: Kept) -> Growth:
    """The bridge from ``before`` to ``after``, both as a mean month of their horizons, so that a
    month's experiment can stand beside a year's production.

    Causes are those of :func:`bridge`; its lines add up to the difference exactly. A mean month
    hides seasons: an experiment in a quiet month beside a whole year grows by the season too.
    """
    a, b = before.monthly_mean, after.monthly_mean
    lines = bridge(a, b)
    owners = {**_owners(before), **_owners(after)}
    named = [owners.get((row["service"], row["charge"]), "") for row in lines.to_dict("records")]
    lines.insert(1, "owner", pd.Series(named, dtype="str", index=lines.index))
    totals = [float(side["effective_cost_usd"].sum()) for side in (a, b)]
    return Growth(totals[0], totals[1], lines, _services(before, after))


def _owners(kept: Kept) -> dict[tuple[str, str], str]:
    """Who answers for a charge of a service: the owner of most of its money."""
    paid = kept.cost.groupby(["service", "charge", "owner"])["effective_cost_usd"].sum().reset_index()
    paid = paid.sort_values("effective_cost_usd", kind="stable")
    return {(r["service"], r["charge"]): r["owner"] for r in paid.to_dict("records")}


def _services(before: Kept, after: Kept) -> pd.DataFrame:
    """One row a service and side by side what it does and costs in a month.

    A service that only one side has costs and does nothing on the other; its unit costs are
    unknown there (NaN), not 0.
    """
    rows = []
    for name in dict.fromkeys([*before.requests, *after.requests]):
        row: dict[str, str | float] = {"service": name}
        for side, kept in (("before", before), ("after", after)):
            mine = kept.cost[kept.cost["service"] == name]
            units = kept.unit_costs()
            row[f"owner_{side}"] = ", ".join(dict.fromkeys(mine["owner"]))
            row[f"requests_{side}"] = kept.requests.get(name, 0.0) / kept.months
            row[f"usd_{side}"] = float(mine["effective_cost_usd"].sum()) / kept.months
            for measure in ("usd_per_1k_requests", "usd_per_1m_tokens"):
                row[f"{measure}_{side}"] = units.get((name, measure), float("nan"))
            for kind in KINDS:
                row[f"{measure_of(kind)}_{side}"] = kept.usd_per_1m_tokens(name, kind)
        rows.append(row)
    return pd.DataFrame(rows)
