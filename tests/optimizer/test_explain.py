"""What the answer says about itself is true: each sentence's money is the difference of two solved
problems, in its own unit.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from planner.optimizer.answer.bindings import bindings
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Limit, Pool, Problem, Type, Workload
from planner.optimizer.program.solve import solve
from tests.builders import hand
from tests.builders.markets import DAY, RESERVED, SAVINGS, plan_of, usable

LOADS = np.array([[20.0, 50.0, 80.0, 80.0]])


def problem(**changes):
    w = Workload("web", LOADS, {"m": 10.0, "big": 45.0}, spot_share=0.25, headroom_share=0.5, min_replicas=2.0)
    types = (Type("m", 1.0, 0.4), Type("big", 4.4))
    return replace(Problem((w,), types, np.ones(4), (Pool("ri", {"m": 1.0}, existing=3.0),)), **changes)


def told(p):
    load = hand.load(hand.scenario(horizon_h=p.weight_h.size), {w.name: w.load for w in p.workloads})
    found, frame = bindings(p, p.states, load)
    assert found.optimal
    # the sentence says what the figure says, with the sign of a cost
    for row in frame.to_dict("records"):
        money = re.search(r"by (-?[\d,]+\.\d\d) USD", row["sentence"])
        if money:
            assert float(money[1].replace(",", "")) == pytest.approx(-row["shadow_price_usd"], abs=0.006)
    return frame.set_index(["constraint", "subject"])["shadow_price_usd"]


def cost(p):
    found = solve(build(p).lp)
    assert found.optimal
    return found.objective


def moved(p, **changes):
    return replace(p, workloads=(replace(p.workloads[0], **changes), *p.workloads[1:]))


def test_each_figure_is_the_difference_of_two_solves():
    p = problem(limits=(Limit("quota.big", 1.0, ("big",)),))
    found, before = told(p), cost(p)
    assert -found["serve", "web"] == pytest.approx(cost(moved(p, load=LOADS + 1.0)) - before)
    assert -found["spot_share", "web"] == pytest.approx(cost(moved(p, spot_share=0.26)) - before)
    assert -found["pool", "ri"] == pytest.approx(cost(replace(p, pools=(replace(p.pools[0], existing=4.0),))) - before)
    assert -found["limit", "quota.big"] == pytest.approx(
        cost(replace(p, limits=(replace(p.limits[0], maximum=2.0),))) - before
    )
    assert -found["zones", "web"] == pytest.approx(cost(moved(p, headroom_share=0.0)) - before)
    assert found["serve", "web"] < 0 < found["spot_share", "web"]


def test_a_request_more_needs_machines_for_the_lost_zone_and_its_share_of_spot():
    p = problem(
        pools=(),
        types=(Type("m", 1.0, 0.4),),
        workloads=(Workload("web", LOADS, {"m": 10.0}, spot_share=0.25, headroom_share=0.5),),
    )
    each = (
        4 * 1.5 / 10 * (0.75 * 1.0 + 0.25 * 0.4)
    )  # four hours, three zones of which two must do, ten requests/s a machine
    assert -told(p)["serve", "web"] == pytest.approx(each)


def test_a_degenerate_dual_is_not_believed():
    """At exactly the reserved load any dual between nothing and the price is right; one request/s
    more costs the price.
    """
    p = problem(workloads=(Workload("web", np.full((1, 4), 30.0), {"m": 10.0}),), types=(Type("m", 1.0),))
    assert -told(p)["serve", "web"] == pytest.approx(4 / 10)
    idle = told(replace(p, pools=(Pool("ri", {"m": 1.0}, existing=5.0),)))
    assert idle.empty  # there is room for one more


def test_what_cannot_grow_says_so():
    web, quota = Workload("web", LOADS, {"m": 10.0}), Limit("quota.m", 8.0, ("m",))
    p = problem(pools=(), types=(Type("m", 1.0),), workloads=(web,), limits=(quota,))
    load = hand.load(hand.scenario(horizon_h=4), {"web": LOADS})
    _, frame = bindings(p, p.states, load)
    row = frame.set_index("constraint").loc["serve"]
    assert np.isnan(row["shadow_price_usd"])
    assert row["sentence"] == "one more request/s of web in every hour cannot be served within the limits"


@pytest.mark.parametrize("seed", range(4))
def test_the_sentences_of_a_whole_plan_have_the_right_sign(seed):
    rng = np.random.default_rng(seed)
    market = {("m", "on_demand"): 1.0, ("m", "spot"): float(rng.uniform(0.2, 0.9))}
    plan, capacity, _ = plan_of(
        DAY * rng.uniform(0.5, 2),
        commitments=[RESERVED, SAVINGS],
        market=market,
        **{"limits.max_spot_share": 0.3, "limits.zones": 3, "limits.zones_lost": 1},
    )
    found = plan.bindings.set_index("constraint")["shadow_price_usd"]
    assert found["serve"] < 0
    assert found.get("spot_share", 1.0) > 0
    assert found.get("pool", np.ones(1)) > 0 if np.isscalar(found.get("pool", 1.0)) else (found["pool"] > 0).all()
    # no dearer than on demand in every hour
    assert -found["serve"] <= 48 * 1.5 / usable(capacity) * (1 + 1e-9)
