"""Plans nearly as good: none is cheaper than the best beyond its gap, each is what planning under
its restriction gives.
"""

import numpy as np
import pytest

from planner.capacity import size
from planner.optimizer import alternatives, optimize
from planner.optimizer.alternatives import without_type
from tests.builders import hand
from tests.builders.markets import DAY, RESERVED, SAVINGS, scenario

MARKET = {("m", "on_demand"): 1.0, ("m", "spot"): 0.45, ("big", "on_demand"): 4.1}


def near(rates=DAY, *, commitments=(RESERVED, SAVINGS), market=None, **changes):
    s = scenario(**{"limits.max_spot_share": 0.3, **changes})
    load = hand.load(s, dict.fromkeys(s.services, rates))
    catalog = hand.catalog(rates=MARKET if market is None else market, commitments=commitments)
    capacity = size(s, catalog, load)
    plan = optimize(s, load, capacity, catalog, valued_on=load)
    return alternatives(plan, s, load, capacity, catalog).set_index("variant"), plan, s, load, capacity, catalog


def test_each_alternative_is_what_its_restriction_costs():
    found, plan, s, load, capacity, catalog = near()
    assert plan.commitments["quantity"].sum() > 0
    assert (plan.schedule["purchase_option"] == "spot").any()
    limits = {"without spot": {"limits.max_spot_share": 0.0}, "without commitments": {"limits.max_term_months": 0}}
    limits["on demand only"] = limits["without spot"] | limits["without commitments"]
    for name, changes in limits.items():
        other = optimize(s.replace(**changes), load, capacity, catalog, valued_on=load)
        assert found.loc[name, "total_usd"] == pytest.approx(other.total_usd, rel=1e-12)
        assert found.loc[name, "difference_usd"] == pytest.approx(other.total_usd - plan.total_usd, rel=1e-9)
    bigger = optimize(s, load, without_type(capacity, "m"), catalog, valued_on=load)
    assert found.loc["without m", "total_usd"] == pytest.approx(bigger.total_usd, rel=1e-12)
    assert "drops m" in found.loc["without m", "sentence"]
    assert found["difference_usd"].is_monotonic_increasing
    assert found["difference_share"].to_numpy() == pytest.approx(found["difference_usd"] / plan.total_usd)


@pytest.mark.parametrize("seed", range(6))
def test_no_alternative_is_better_than_the_best_by_more_than_the_gap(seed):
    rng = np.random.default_rng(seed)
    market = {
        ("m", "on_demand"): 1.0,
        ("m", "spot"): float(rng.uniform(0.2, 0.9)),
        ("big", "on_demand"): float(rng.uniform(3.0, 5.0)),
    }
    found, plan, *_ = near(rng.uniform(0, 2000, 48), market=market, **{"limits.zones": 2, "limits.zones_lost": 1})
    assert len(found)
    assert (found["difference_usd"].dropna() >= -plan.certificate.gap_share * plan.total_usd).all()
    # the same machines with less freedom
    fewer = ["without spot", "without commitments", "on demand only"]
    assert (found["difference_usd"].reindex(fewer).dropna() >= -1e-9 * plan.total_usd).all()
    assert (found["error"] == "").any() or found["total_usd"].isna().all()


def test_law_5_leaving_out_what_is_not_used_changes_nothing():
    market = MARKET | {("big", "on_demand"): 40.0}
    _, plan, s, load, capacity, catalog = near(market=market)
    assert set(plan.schedule["instance_type"]) == {"m"}
    other = optimize(s, load, without_type(capacity, "big"), catalog, valued_on=load)
    assert other.cost.equals(plan.cost)


def test_what_no_machine_allows_says_why():
    found, *_ = near(market={("m", "on_demand"): 1.0}, commitments=())
    assert found.loc["without m", "total_usd"] != found.loc["without m", "total_usd"]
    assert "no machine" in found.loc["without m", "error"]
