"""Budgets beside what is expected: pace, the month of the first breach, and how likely it is.

The plan's own budget is ``limits.budget_usd_per_month``; a team's stands with its owner. A month is
breached on a load path where its amortized bill exceeds the budget. The plan keeps one bill a path
and month for all services; a team's is taken in proportion to it,

    team's bill on path p in month m = team's expected bill of m × bill of p in m / expected bill of m,

which holds where loads rise together and overstates the spread of a team where they do not.
"""

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.export.asked import Answered

WHOLE = "the whole plan"


def budgets(study: Answered) -> pd.DataFrame:
    """One row a budget, that of the plan first (``export.budgets``); none where none is stated.

    ``pace_share`` is the expected bill of the horizon over the budget of its months;
    ``first_breach`` the first month that any path breaches, with the share of paths that do
    (``first_breach_share``), and ``breach_share`` the share of paths that breach any month.
    Shares are unknown without paths.
    """
    limit = study.scenario.limits.budget_usd_per_month
    wanted = ({WHOLE: limit} if limit is not None else {}) | study.scenario.team_budgets
    rows = [_row(study, name, usd) for name, usd in wanted.items()]
    if not rows:
        return columns.empty("export.budgets")
    text = {"owner": "str", "first_breach": "str"}
    return columns.check("export.budgets", pd.DataFrame(rows).astype(text))


def _row(study: Answered, name: str, budget: float) -> dict[str, object]:
    """One budget beside its charges: pace, first breach and shares of paths, weighted as
    the plan weighs its paths.
    """
    plan = study.plan
    mine = plan.cost if name == WHOLE else plan.cost[plan.cost["owner"] == name]
    months, bills = _bills(study, mine)
    over = bills > budget * (1 + 1e-9)
    weight = np.asarray(plan.paths_weight) if plan.paths_weight else np.full(len(bills), 1 / max(1, len(bills)))
    share = weight @ over if len(bills) else np.full(len(months), np.nan)
    first = int(np.argmax(share > 0)) if (share > 0).any() else None
    total = float(mine["effective_cost_usd"].sum())
    return {
        "owner": name,
        "budget_usd_per_month": budget,
        "monthly_mean_usd": total / plan.months,
        "pace_share": total / (budget * plan.months),
        "first_breach": "" if first is None else months[first],
        "first_breach_share": (np.nan if not len(bills) else 0.0) if first is None else float(share[first]),
        "breach_share": float(weight @ over.any(axis=1)) if len(bills) else np.nan,
    }


def _bills(study: Answered, mine: pd.DataFrame) -> tuple[list[str], Floats]:
    """Months and the bill of some charges on each path, shape (paths, months) [USD].

    The bill of a path times the expected share of these charges in the month; 0 in a
    month that costs nothing.
    """
    plan = study.plan
    months = list(plan.paths_month_usd)
    paths = np.array([plan.paths_month_usd[m] for m in months], dtype=np.float64).T if months else np.zeros((0, 0))
    whole, part = (
        c.groupby(c["ts"].dt.tz_convert(plan.time_zone).dt.strftime("%Y-%m"))["effective_cost_usd"]
        .sum()
        .reindex(months, fill_value=0.0)
        .to_numpy()
        for c in (plan.cost, mine)
    )
    return months, paths * np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
