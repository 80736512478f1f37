"""Budgets beside the expected bill: pace, first breach and its share of paths, by hand."""

import numpy as np
import pytest

from planner.errors import ScenarioError
from planner.export import budgets, tables
from tests.builders import answered

TEAM = {"services.web.owner": {"team": "shop", "budget_usd_per_month": 100.0}}


def test_a_breach_is_counted_over_the_paths():
    """Bills of the five paths are .8 to 1.2 of the expected; a budget of 1.05 of the dearer month is breached by two
    of them, in that month first."""
    made = answered.answered()
    monthly = made.plan.monthly().groupby("month")["effective_cost_usd"].sum()
    worst = monthly.idxmax()
    s = answered.scenario(**{"limits.budget_usd_per_month": float(monthly.max() * 1.05)})
    row = budgets(answered.answered(s)).iloc[0]
    assert row["owner"] == "the whole plan"
    assert row["first_breach"] == worst
    assert row["first_breach_share"] == row["breach_share"] == pytest.approx(0.4)
    assert row["pace_share"] == pytest.approx(row["monthly_mean_usd"] / row["budget_usd_per_month"])


def test_a_team_has_its_own_budget_and_pace():
    made = answered.answered(answered.scenario(**TEAM))
    row = budgets(made).set_index("owner").loc["shop"]
    spent = made.plan.cost.loc[made.plan.cost["owner"] == "shop", "effective_cost_usd"].sum()
    assert row["monthly_mean_usd"] == pytest.approx(spent / made.plan.months)
    assert row["pace_share"] == pytest.approx(spent / made.plan.months / 100)
    assert tables(made)["budgets"].equals(budgets(made))


def test_without_breach_or_paths_it_says_so():
    calm = answered.answered(answered.scenario(**{"limits.budget_usd_per_month": 1e6}))
    row = budgets(calm).iloc[0]
    assert (row["first_breach"], row["first_breach_share"], row["breach_share"]) == ("", 0.0, 0.0)
    object.__setattr__(calm.plan, "paths_month_usd", {})
    row = budgets(calm).iloc[0]
    assert np.isnan(row["breach_share"])
    assert np.isnan(row["first_breach_share"])
    assert budgets(answered.answered()).empty


def test_a_team_has_one_budget():
    owner = {"team": "shop", "budget_usd_per_month": 50.0}
    with pytest.raises(ScenarioError, match="several budgets"):
        answered.scenario(**TEAM, **{"services.api.owner": owner})
    assert answered.scenario(**TEAM, **{"services.api.owner": {"team": "shop"}}).team_budgets == {"shop": 100.0}
