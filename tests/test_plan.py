"""What a plan says about itself: every figure from the same rows."""

import numpy as np
import pandas as pd
import pytest

from planner.errors import PlannerError
from tests.builders import hand
from tests.builders.hand import TWO, plan


def test_summary_months_and_owners_come_from_the_same_rows():
    s = hand.scenario(**TWO)
    schedule = pd.concat(
        [hand.schedule(s, 3), hand.schedule(s, 5, option="spot"), hand.schedule(s, 1, service="api")], ignore_index=True
    )
    p = plan(s, schedule, services=("web", "api"), paths=np.linspace(100, 300, 101))
    figures = p.summary()
    assert figures["total_usd"] == pytest.approx(48 * (3 + 5 * 0.4 + 1))
    assert figures["list_usd"] == pytest.approx(48 * 9)
    assert figures["saving_usd"] == pytest.approx(48 * 3)
    assert figures["effective_savings_rate"] == pytest.approx(3 / 9)
    assert [figures[f"p{q}_usd"] for q in (10, 50, 90)] == pytest.approx([120, 200, 280])
    assert figures["spot_share"] == pytest.approx(2 / 6)
    assert figures["unowned_usd"] == pytest.approx(48)
    assert figures["monthly_mean_usd"] == pytest.approx(48 * 6 / (1 / 31 + 1 / 28))
    for frame in (p.monthly(), p.by_owner()):
        assert frame["effective_cost_usd"].sum() == pytest.approx(p.total_usd, rel=1e-12)
    assert p.monthly()["month"].tolist() == ["2027-01", "2027-02"]
    assert p.by_owner()["owner"].tolist() == ["shop", ""]


def test_months_begin_where_the_scenario_is():
    s = hand.scenario(time_zone="Asia/Tokyo")
    assert plan(s, hand.schedule(s, 1)).monthly()["month"].tolist() == ["2027-01", "2027-02"]
    assert plan(s, hand.schedule(s, 1)).months == pytest.approx(1 / 31 + 1 / 28)


def test_machines_count_hours_that_run_nothing():
    s = hand.scenario()
    found = plan(s, hand.schedule(s, np.r_[np.full(12, 4), np.zeros(36)])).machines().iloc[0]
    assert (found["min_instances"], found["mean_instances"], found["max_instances"]) == (
        4.0,
        4.0,
        4.0,
    )  # the horizon is what the schedule names
    both = pd.concat(
        [hand.schedule(s, np.r_[np.full(12, 4), np.zeros(36)]), hand.schedule(s, 1, instance_type="big")],
        ignore_index=True,
    )
    m = plan(s, both).machines().set_index("instance_type").loc["m"]
    assert (m["min_instances"], m["mean_instances"], m["max_instances"]) == (0.0, 1.0, 4.0)


def test_unit_cost_pays_for_idle_hours():
    s = hand.scenario()
    p = plan(s, hand.schedule(s, 2))
    assert p.usd_per_1k_requests({"web": 10 * 3600 * 48}) == pytest.approx({"web": 96 / (10 * 3600 * 48) * 1000})
    assert p.usd_per_1m_tokens({"web": 3e6}) == pytest.approx({"web": 32})
    assert np.isnan(p.usd_per_1k_requests({"web": 0})["web"])
    with pytest.raises(PlannerError, match="no charge"):
        p.usd_per_1k_requests({"nobody": 1})


def test_a_bridge_adds_up_and_names_causes():
    s = hand.scenario()
    before = plan(s, pd.concat([hand.schedule(s, 3), hand.schedule(s, 2, option="spot")], ignore_index=True))
    after = plan(
        s,
        pd.concat([hand.schedule(s, 5), hand.schedule(s, 1, instance_type="big")], ignore_index=True),
        catalog=hand.catalog(rates={("m", "on_demand"): 1.5, ("big", "on_demand"): 4.0}),
    )
    bridge = before.compare(after)
    assert bridge["difference_usd"].sum() == pytest.approx(after.total_usd - before.total_usd)
    assert bridge.set_index("cause")["difference_usd"].to_dict() == pytest.approx(
        {"volume": 2 * 48, "price": 5 * 0.5 * 48, "removed": -2 * 0.4 * 48, "added": 4 * 48}
    )
    assert before.compare(before).empty
