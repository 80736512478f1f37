"""The loss of zones against every deal and every loss tried out by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.zones import Zones


@st.composite
def settings(draw):
    zones = draw(st.integers(1, 6))
    return Zones(zones, draw(st.integers(0, zones - 1)))


def dealt_one_by_one(units, zones):
    """Cards dealt in turn: (kinds, zones)."""
    held, at = np.zeros((len(units), zones), dtype=int), 0
    for kind, count in enumerate(units):
        for _ in range(count):
            held[kind, at % zones] += 1
            at += 1
    return held


@given(settings(), st.lists(st.integers(0, 12), min_size=1, max_size=4), st.data())
def test_the_worst_loss_is_the_worst_of_all_losses(setting, units, data):
    each = [data.draw(st.integers(1, 9)) for _ in units]
    held = dealt_one_by_one(units, setting.zones)
    by_zone = np.array(each) @ held
    least = min(by_zone.sum() - by_zone[list(lost)].sum() for lost in combinations(range(setting.zones), setting.lost))
    found = setting.worst(np.array([units]), [lambda n, e=e: e * n.astype(float) for e in each])
    assert found.tolist() == [least]


@given(settings(), st.integers(0, 60), st.integers(0, 5))
def test_one_kind_loses_what_the_fullest_zones_hold(setting, units, before):
    held = np.sort(dealt_one_by_one([before, units], setting.zones)[1])
    left = int(setting.staying(np.array([units]))[0])
    assert left == held[: setting.zones - setting.lost].sum()
    if units % setting.zones == 0 and units:
        assert left * setting.factor == pytest.approx(units)
        assert left == pytest.approx(units * (1 - setting.lost_share))


def test_three_machines_in_two_zones_keep_one():
    assert Zones(2, 1).staying(np.array([3])).tolist() == [1]
    assert Zones(2, 1).worst(np.array([[3]]), [lambda n: n * 10.0]).tolist() == [10.0]
