"""Cost against one choice: bounds that a cold solve repeats, below every whole plan, moving the way
the laws say.
"""

import numpy as np
import pytest

from planner.capacity import size
from planner.errors import PlannerError, ScenarioError
from planner.optimizer import optimize, tradeoff
from planner.optimizer.market.as_program import problem_of
from planner.optimizer.market.market import read_market
from planner.optimizer.program.model import build
from planner.optimizer.program.solve import solve
from tests.builders import hand
from tests.builders.markets import DAY, RESERVED, SAVINGS, scenario, two_services

MARKET = {("m", "on_demand"): 1.0, ("m", "spot"): 0.45, ("big", "on_demand"): 4.1, ("big", "spot"): 1.9}
# field, values from loose to tight: cost never falls along them
TIGHTER = {
    "services.web.objective.latency_p99_s": (1.0, 0.3, 0.1, 0.06),
    "limits.max_spot_share": (0.8, 0.5, 0.3, 0.0),
    "limits.zones_lost": (0, 1, 2),
    "limits.upfront_budget_usd": (1e6, 2000.0, 0.0),
    "services.web.autoscaling.min_replicas": (1, 4, 12),
}


def market_of(seed=0, paths=1):
    s = scenario(**{"limits.max_spot_share": 0.3, "limits.zones": 3, "limits.zones_lost": 1})
    rates = DAY * np.random.default_rng(seed).lognormal(0, 0.3, (paths, 48))
    prepaid = {**RESERVED, "commitment": "m-all", "payment": "all", "upfront_share": 1.0, "rate_usd_per_h": 0.55}
    catalog = hand.catalog(rates=MARKET, commitments=[RESERVED, SAVINGS, prepaid])
    load = hand.load(s, {"web": rates})
    return s, load, size(s, catalog, load), catalog


@pytest.mark.parametrize("path", TIGHTER)
def test_tighter_costs_no_less_and_every_point_is_a_solve_of_its_own(path):
    s, load, capacity, catalog = market_of()
    values = TIGHTER[path]
    found = tradeoff(s, load, capacity, catalog, path, values, whole=len(values))
    assert found["value"].tolist() == list(values)
    assert (found["error"] == "").all()
    bound, total = found["lower_bound_usd"].to_numpy(), found["total_usd"].to_numpy()
    assert (bound <= total * (1 + 1e-9)).all()
    assert (np.diff(bound) >= -1e-9 * bound[:-1]).all()
    assert bound[-1] > bound[0]
    # whole machines and commitments by search: within the gap
    assert (np.diff(total) >= -0.15 * total[:-1]).all()
    for value, got in zip(values, bound, strict=True):
        one = s.replace(**{path: value})
        sized = size(one, catalog, load)
        market = read_market(one, load, sized, catalog)
        planned = {"web": load.quantile("web", one.services["web"].objective.load_quantile)[None, :]}
        cold = solve(build(problem_of(one, market, planned, load.weight_h, existing={})).lp)
        assert got == pytest.approx(cold.objective, rel=1e-6)


def test_a_higher_quantile_of_the_load_costs_no_less():
    """What runs whatever comes costs more with each quantile; what follows the load costs the same in
    parts of machines, more is only kept ready.
    """
    s, load, capacity, catalog = market_of(paths=40)
    path, values = "services.*.objective.load_quantile", (0.5, 0.8, 0.95, 0.99)
    fixed = s.replace(**{"services.web.autoscaling.policy": "scheduled"})
    runs = tradeoff(fixed, load, capacity, catalog, path, values, whole=0)
    assert (np.diff(runs["lower_bound_usd"]) > 0).all()
    found = tradeoff(s, load, capacity, catalog, path, values, whole=0)
    assert np.diff(found["lower_bound_usd"]) == pytest.approx([0, 0, 0], abs=1e-6)
    assert found["total_usd"].notna().tolist() == [
        False,
        False,
        True,
        False,
    ]  # the scenario's own value is always planned whole


def test_the_whole_plan_at_the_own_value_is_the_plan():
    s, load, capacity, catalog = market_of()
    found = tradeoff(s, load, capacity, catalog, "limits.max_spot_share", (0.0, 0.3, 0.6))
    plan = optimize(s, load, capacity, catalog, valued_on=load)
    assert found["total_usd"].iloc[1] == pytest.approx(plan.total_usd, rel=1e-12)
    assert (found["lower_bound_usd"] <= found["total_usd"] * (1 + 1e-9)).all()


def test_a_field_of_every_service():
    s = two_services()
    load = hand.load(s, {"web": DAY, "api": DAY / 2})
    catalog = hand.catalog(rates=MARKET)
    both = tradeoff(s, load, size(s, catalog, load), catalog, "services.*.objective.latency_p99_s", (0.1, 0.3), whole=0)
    one = tradeoff(
        s, load, size(s, catalog, load), catalog, "services.api.objective.latency_p99_s", (0.1, 0.3), whole=0
    )
    assert both["lower_bound_usd"].iloc[0] > one["lower_bound_usd"].iloc[0] > one["lower_bound_usd"].iloc[1]


def test_values_that_nothing_serves_say_why():
    s, load, capacity, catalog = market_of()
    found = tradeoff(s, load, capacity, catalog, "services.web.objective.latency_p99_s", (0.001, 0.3))
    assert found["lower_bound_usd"].isna().tolist() == [True, False]
    assert "within its objectives" in found["error"].iloc[0]
    tight = tradeoff(s, load, capacity, catalog, "limits.budget_usd_per_month", (1.0, 1e6))
    assert "budget" in tight["error"].iloc[0]
    assert tight["error"].iloc[1] == ""


def test_fields_of_the_load_and_fields_that_do_not_exist_are_refused():
    s, load, capacity, catalog = market_of()
    with pytest.raises(PlannerError, match="planner sweep"):
        tradeoff(s, load, capacity, catalog, "services.web.growth_share_per_year", (0.0, 1.0))
    with pytest.raises(ScenarioError, match="max_spot"):
        tradeoff(s, load, capacity, catalog, "limits.max_spot", (0.0, 1.0))
    with pytest.raises(ScenarioError, match="zones_lost"):
        tradeoff(s, load, capacity, catalog, "limits.zones_lost", (0, 3))
