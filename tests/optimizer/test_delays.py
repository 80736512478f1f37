"""Autoscaler delays in the planned load, and availability: exact small cases and what a plan does
with them.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.capacity import size
from planner.catalog import PROVIDERS
from planner.errors import InfeasiblePlan
from planner.optimizer import optimize
from planner.optimizer.market.availability import availability, reached
from planner.optimizer.market.delays import followed, planned_load, told
from tests.builders import hand

PEAK = np.array([1.0, 1, 5, 1, 1, 1, 1, 9, 1, 1])


def scaled(**scaling):
    return hand.scenario(**{f"services.web.autoscaling.{k}": v for k, v in scaling.items()})


def service(**scaling):
    return scaled(**scaling).services["web"]


@pytest.mark.parametrize(
    ("scaling", "held"),
    [
        ({}, PEAK),  # 300 s down, 120 s up: less than an hour changes no hour
        ({"scale_down_delay_s": 3599}, PEAK),
        ({"scale_down_delay_s": 2 * 3600}, [1, 1, 5, 5, 5, 1, 1, 9, 9, 9]),
        ({"scale_up_delay_s": 3600}, [1, 5, 5, 1, 1, 1, 9, 9, 1, 1]),
        ({"scale_down_delay_s": 3600, "scale_up_delay_s": 5400}, [1, 5, 5, 5, 1, 1, 9, 9, 9, 1]),
        ({"scale_down_delay_s": 86_400.0}, [1, 1, 5, 5, 5, 5, 5, 9, 9, 9]),
    ],
)
def test_machines_are_kept_and_ordered_ahead(scaling, held):
    assert planned_load(PEAK, service(**scaling), None).tolist() == list(held)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(0, 4), st.integers(0, 4))
def test_planned_load_is_the_maximum_of_its_window(values, keep, lead):
    load = np.array(values)
    found = planned_load(load, service(scale_down_delay_s=3600.0 * keep, scale_up_delay_s=3600.0 * lead), None)
    assert found.tolist() == [load[max(0, t - keep) : t + lead + 1].max() for t in range(len(load))]


def plan_of(rates, **changes):
    s = hand.scenario(
        **{
            "services.web.latency": {"model": "queue", "service_time_s": 0.01},
            "services.web.network.load_balancer": False,
            "services.web.network.public_ipv4": 0,
            **changes,
        }
    )
    load = hand.load(s, {"web": rates})
    catalog = hand.catalog(rates={("m", "on_demand"): 1.0})
    return optimize(s, load, size(s, catalog, load), catalog, valued_on=load)


def test_a_plan_pays_for_machines_it_must_keep():
    rates = np.tile([50.0] * 20 + [900.0] * 4, 2)
    quick, slow = plan_of(rates), plan_of(rates, **{"services.web.autoscaling.scale_down_delay_s": 3 * 3600})
    count = quick.schedule.groupby("ts")["instances"].sum().to_numpy()
    kept = [count[max(0, t - 3) : t + 1].max() for t in range(48)]
    assert slow.schedule.groupby("ts")["instances"].sum().tolist() == kept
    assert slow.objective_usd == pytest.approx(sum(kept))
    # the path it was planned for costs what was planned
    assert slow.paths_usd[0] == pytest.approx(slow.objective_usd)
    assert slow.certificate.lower_bound_usd <= slow.objective_usd * (1 + 1e-9)
    assert not any("scale_down_delay_s" in n for n in slow.notes)


def test_paths_are_held_only_where_a_delay_reaches_an_hour():
    s = hand.scenario()
    load = hand.load(s, {"web": np.arange(48.0)})
    assert followed(load, s, {}).services["web"] is load.services["web"]
    held = followed(load, s.replace(**{"services.web.autoscaling.scale_up_delay_s": 7200}), {})
    assert held.services["web"].arrival_rate_rps[0, :3].tolist() == [2.0, 3.0, 4.0]


def test_the_part_below_an_hour_is_said():
    assert told("web", scaled()) == ""
    assert told("web", scaled(scale_down_delay_s=7200)) == ""
    assert (
        told("web", scaled(scale_down_delay_s=4500))
        == "web: of scale_down_delay_s the whole hours (1) are planned, the other 900 s are not on the bill."
    )


@pytest.mark.parametrize(
    ("share", "zones", "lost", "up"),
    [
        (0.995, 1, 0, 0.995),
        (0.995, 2, 0, 0.990025),
        (0.995, 2, 1, 0.999975),
        (0.995, 3, 1, 0.99992525),
        (0.999, 3, 2, 1 - 1e-9),
    ],
)
def test_availability_of_zones(share, zones, lost, up):
    assert availability(share, zones, lost) == pytest.approx(up, abs=1e-12)


@given(st.floats(0.5, 0.9999), st.integers(1, 6), st.integers(0, 5))
def test_availability_is_the_weight_of_the_states_that_serve(share, zones, lost):
    lost = min(lost, zones)
    whole = sum(
        share ** sum(state) * (1 - share) ** (zones - sum(state))
        for state in product((0, 1), repeat=zones)
        if zones - sum(state) <= lost
    )
    assert availability(share, zones, lost) == pytest.approx(whole)


def test_two_zones_keep_the_promise_for_two():
    """Amazon EC2, Compute Engine and Azure each promise 99.99 % for instances in two or more zones."""
    for provider in ("aws", "gcp", "azure"):
        assert availability(PROVIDERS[provider].zone_availability, 2, 1) >= 0.9999


def test_an_availability_is_reached_or_refused_with_the_fewest_zones():
    asked = {"services.web.objective.availability_share": 0.9999}
    assert reached(hand.scenario()) == []
    (note,) = reached(hand.scenario(**asked, **{"limits.zones": 2, "limits.zones_lost": 1}))
    assert note.startswith(
        "web: up at least 99.9975% of the time, 99.9900% asked: 2 zones, 1 of them spare, each up 99.5%"
    )
    with pytest.raises(InfeasiblePlan, match=r"zones from 3 to 2 and raise limits\.zones_lost from 0 to 1") as caught:
        reached(hand.scenario(**asked, **{"limits.zones": 3}))
    assert "services.web.objective.availability_share" in str(caught.value)
    with pytest.raises(InfeasiblePlan, match=r"up 99\.5%: assumed"):
        plan_of(np.full(48, 50.0), **asked)


def test_the_plan_carries_the_sentence():
    plan = plan_of(np.full(48, 50.0), **{"services.web.objective.availability_share": 0.99})
    assert any(
        "web: up at least 99.5000% of the time, 99.0000% asked: 1 zone, 0 of them spare," in n for n in plan.notes
    )
