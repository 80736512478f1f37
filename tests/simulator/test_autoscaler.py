"""The autoscaler as the replay drives it: facts of Kubernetes worked out by hand, and its laws.

Every row and law goes through the compiled steps of :mod:`planner.simulator.autoscaler` that a
replay plays; the facts of the Kubernetes project itself stand in ``tests/reference``.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.records import AVERAGE, PODS, RESOURCE, VALUE, Seen
from tests.builders import autoscaler
from tests.builders.autoscaler import Pod, asked, counted, rule, settled

COMMON = settings(max_examples=60)


def group(*usage, states=(), request=100):
    """Pods with these usages of a request each; ``None`` has no metric."""
    return [Pod(states[k] if k < len(states) else "ready", u, request) for k, u in enumerate(usage)]


# kind, replicas, target, pods or value, asked for, metric seen: each worked out from the rules
WORKED = [
    ("resource_utilization", 4, 50, group(60, 70, 80, 90), 6, 75),  # ⌈4 · 75/50⌉
    ("resource_utilization", 4, 70, group(60, 70, 80, 90), 4, 75),  # 75/70 is within a tenth
    ("resource_utilization", 4, 60, group(10, 20, 30, 40), 2, 25),  # ⌈4 · 25/60⌉
    ("resource_utilization", 3, 50, group(99, 100, 100), 6, 99),  # ⌊99.67⌋ % asks for ⌈5.94⌉
    # an unready pod counts 0 when scaling out: ⌊180/3⌋ = 60 %, ⌈60/50 · 3⌉
    ("resource_utilization", 3, 50, group(90, 90, 5, states=("ready", "ready", "unready")), 4, 90),
    # but not when scaling in: two ready at 20 % ask for ⌈2 · 20/50⌉
    ("resource_utilization", 3, 50, group(20, 20, 90, states=("ready", "ready", "unready")), 1, 20),
    # a missing one counts all of its request when scaling in: ⌊150/3⌋ = 50 %, nothing moves
    ("resource_utilization", 3, 50, group(25, 25, None), 3, 25),
    ("resource_utilization", 3, 50, group(70, 70, None), 3, 70),  # 0 when scaling out: ⌊140/3⌋ = 46 %
    ("resource_utilization", 2, 50, group(60, 60, 60, states=("ready", "ready", "failed")), 3, 60),
    ("resource_utilization", 2, 50, group(None, None), "error", ""),
    ("resource_utilization", 1, 50, group(80, states=("pending",)), "error", ""),
    ("pods_average", 3, 40, group(50, 60, 70), 5, 60),  # ⌈3 · 60/40⌉
    ("pods_average", 3, 40, group(10, 20, None), 2, 15),  # the missing at the target: ⌊70/3⌋ = 23, ⌈1.7⌉
    ("external_average", 3, 100, 700.0, 7, 234),
    ("external_average", 7, 100, 700.0, 7, 100),
    ("external_average", 0, 100, 250.0, 3, 250),  # from none: what the value needs
    ("object_value", 4, 50, 75.0, 6, 75),
    ("object_value", 4, 50, 54.0, 4, 54),
]


@pytest.mark.parametrize("row", WORKED, ids=[f"{k}-{i}" for i, (k, *_) in enumerate(WORKED)])
def test_metrics_worked_by_hand(row):
    kind, current, target, shown, wanted, seen = row
    ready = float(current)
    look = (
        counted(shown, cpu=kind == "resource_utilization")
        if isinstance(shown, list)
        else Seen(ready, 1.0, shown, 0.0, 0.0, 0.0, 0.0, 0.0)
    )
    assert asked(kind, current, target, 0.1, look) == (wanted, seen)


UP, DOWN = "Pods:4:15|Percent:100:15", "Percent:100:15"
# replicas, asked for, settings, changes within the periods, allowed, limit met
LIMITED = [
    (10, 13, {}, (), 13, "DesiredWithinRange"),
    (3, 9, {"up": UP}, (), 7, "ScaleUpLimit"),  # 4 pods allow more than 100 % of 3
    (10, 90, {"up": UP}, (), 20, "ScaleUpLimit"),
    (10, 90, {"up": UP, "select": "Min"}, (), 14, "ScaleUpLimit"),
    (10, 90, {"up": UP, "select": "Disabled"}, (), 10, "ScaleUpLimit"),
    (10, 90, {"up": "Pods:6:60"}, ((20, 4),), 12, "ScaleUpLimit"),  # 4 of 6 a minute are used
    (10, 90, {"up": "Pods:6:60"}, ((70, 4),), 16, "ScaleUpLimit"),  # longer ago than a minute
    (40, 4, {"down": "Percent:10:60"}, (), 36, "ScaleDownLimit"),
    (36, 4, {"down": "Percent:10:60"}, ((30, -4),), 36, "ScaleDownLimit"),  # ⌊40 · 0.9⌋ is reached
    (12, 90, {"most": 20, "up": UP}, (), 20, "TooManyReplicas"),
    (12, 1, {"least": 5}, (), 5, "TooFewReplicas"),
]


@pytest.mark.parametrize("row", LIMITED, ids=[str(i) for i in range(len(LIMITED))])
def test_limits_worked_by_hand(row):
    current, desired, changed, past, allowed, reason = row
    assert settled(current, desired, rule(**changed), changes=past) == (allowed, reason)


# replicas, asked for, (age, recommendation) …, windows up and down [s], allowed
WINDOWS = [
    (20, 4, ((50, 9), (200, 12)), 0, 300, 12),
    (20, 4, ((50, 9), (200, 12)), 0, 100, 9),
    (20, 4, ((50, 9), (100, 12)), 0, 100, 9),  # a window ends before its last second
    (2, 8, ((50, 5), (200, 3)), 300, 0, 3),
    (2, 8, ((50, 5), (200, 3)), 0, 300, 8),
    (6, 4, ((50, 9),), 0, 300, 6),  # more was asked for, but a decrease never turns into a rise
]


@pytest.mark.parametrize("row", WINDOWS, ids=[str(i) for i in range(len(WINDOWS))])
def test_windows_worked_by_hand(row):
    current, desired, past, up, down, allowed = row
    assert settled(current, desired, rule(up_window_s=up, down_window_s=down), recommendations=past)[0] == allowed


POLICY = st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.sampled_from([15, 60]))
POLICIES = st.lists(POLICY, min_size=1, max_size=3).map(lambda rows: "|".join(":".join(map(str, r)) for r in rows))
PAST = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 100)), max_size=8)


@COMMON
@given(
    st.integers(1, 200),
    st.integers(0, 500),
    st.integers(1, 50),
    st.integers(0, 200),
    POLICIES,
    POLICIES,
    st.sampled_from(["Max", "Min", "Disabled"]),
)
def test_law_45_never_beyond_the_bounds(at, desired, low, room, up, down, select):
    high = low + room
    found, _ = settled(low + at % (room + 1), desired, rule(least=low, most=high, up=up, down=down, select=select))
    assert low <= found <= high


@COMMON
@given(
    st.integers(1, 60),
    st.integers(20, 90),
    st.integers(1, 30),
    st.sampled_from([2, 4, 8]),
    st.sampled_from(["resource_utilization", "pods_average"]),
)
def test_laws_46_and_47_tolerance_and_scale(usage, target, pods, k, kind):
    cpu = kind == "resource_utilization"
    found, seen = asked(kind, pods, target, 0.1, counted(group(*[usage] * pods), cpu=cpu))
    if abs(1 - seen / target) <= 0.1:
        assert found == pods
    bigger = counted(group(*[usage * k] * pods, request=100 * k), cpu=cpu)
    # of a resource the share counts; of a metric of pods its target is larger too
    assert asked(kind, pods, target if cpu else target * k, 0.1, bigger)[0] == found


@COMMON
@given(st.integers(1, 5000), st.integers(10, 90))
def test_law_48_constant_load_reaches_a_fixed_point(work, target):
    n, seen = 1, []
    for _ in range(40):
        n = max(1, asked("resource_utilization", n, target, 0.1, counted(group(*[max(work // n, 1)] * n), cpu=True))[0])
        seen.append(n)
    assert seen[-1] == seen[-2]


@COMMON
@given(st.integers(1, 100), st.integers(1, 100), PAST)
def test_law_49_a_longer_down_window_never_falls_earlier(current, desired, past):
    found = [settled(current, desired, rule(down_window_s=w), recommendations=past)[0] for w in (0, 100, 300, 800)]
    assert found == sorted(found)


@COMMON
@given(st.integers(1, 100), st.integers(1, 100), PAST)
def test_own_law_a_longer_up_window_never_rises_earlier(current, desired, past):
    found = [settled(current, desired, rule(up_window_s=w), recommendations=past)[0] for w in (0, 100, 300, 800)]
    assert found == sorted(found, reverse=True)


@COMMON
@given(st.integers(1, 100), st.integers(0, 200), PAST, st.integers(0, 400), st.integers(0, 400))
def test_own_law_what_is_allowed_lies_between_what_is_and_what_is_asked(current, desired, past, up, down):
    found, _ = settled(current, desired, rule(up_window_s=up, down_window_s=down), recommendations=past)
    assert min(current, desired) <= found <= max(current, desired)


@COMMON
@given(st.integers(1, 200), st.integers(0, 500), POLICIES, POLICIES, PAST)
def test_own_law_the_most_change_is_never_less_than_the_least(current, desired, up, down, past):
    moved = {
        s: abs(settled(current, desired, rule(up=up, down=down, select=s), changes=past)[0] - current)
        for s in ("Max", "Min", "Disabled")
    }
    assert moved["Disabled"] == 0
    assert moved["Min"] <= moved["Max"]


@COMMON
@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 60), st.lists(st.integers(1, 59), max_size=5))
def test_own_law_a_policy_of_pods_is_never_exceeded_in_its_period(current, asked_for, pods, ages):
    """What was added within the period and what is added now are the policy's pods at most."""
    past = [(age, 1) for age in ages]
    found, _ = settled(current, asked_for, rule(up=f"Pods:{pods}:60"), changes=past)
    assert max(found - current, 0) <= max(pods - len(past), 0)


@COMMON
@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.integers(0, 7), st.integers(1, 100))
def test_own_law_more_use_never_asks_for_fewer(usage, which, more):
    busier = [u + more * (k == which % len(usage)) for k, u in enumerate(usage)]
    few, many = (
        asked("resource_utilization", len(usage), 50, 0.1, counted(group(*u), cpu=True))[0] for u in (usage, busier)
    )
    assert many >= few


@COMMON
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=6),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([20, 50, 80]),
)
def test_own_law_pods_without_a_metric_never_turn_the_direction(usage, missing, unready, target):
    """Whatever is not seen only slows a change."""
    n = len(usage) + missing + unready
    seen = counted(group(*usage), cpu=True)
    whole = counted(
        [*group(*usage), *group(*[None] * missing), *group(*[10] * unready, states=["unready"] * unready)], cpu=True
    )
    alone = asked("resource_utilization", len(usage), target, 0.1, seen)[0] - len(usage)
    found = asked("resource_utilization", n, target, 0.1, whole)[0] - n
    ratio = math.floor(sum(usage) / len(usage)) / target
    if found > 0:
        assert ratio > 1
        assert alone > 0
    if found < 0:
        assert ratio < 1


@COMMON
@given(st.integers(1, 60), st.integers(1, 200), st.integers(20, 90))
def test_own_law_what_is_asked_for_is_enough(pods, usage, target):
    """Outside the tolerance the wish brings the use to the target or below, and one fewer does not."""
    found, seen = asked("resource_utilization", pods, target, 0.1, counted(group(*[usage] * pods), cpu=True))
    if abs(1 - seen / target) > 0.1:
        assert seen * pods / found <= target * (1 + 1e-9)
        assert found == 1 or seen * pods / (found - 1) > target * (1 - 1e-9)


@COMMON
@given(st.integers(1, 60), st.floats(0.1, 5000), st.floats(1, 400))
def test_own_law_an_average_asks_for_what_the_whole_needs(current, value, target):
    """All pods share the metric: the wish does not depend on how many there are, but for the tolerance."""
    look = Seen(float(current), 1.0, value, 0.0, 0.0, 0.0, 0.0, 0.0)
    found, _ = asked("external_average", current, target, 0.1, look)
    assert found in (math.ceil(value / target), current)


@pytest.mark.parametrize("metric", [RESOURCE, PODS, AVERAGE, VALUE])
def test_a_wish_is_remembered_whatever_becomes_of_it(metric):
    """The windows look back on what was asked for, not on what was allowed."""
    r = rule(metric=metric, down_window_s=300)
    s = autoscaler.state(r, 9.0)
    seen = Seen(9.0, 9.0, 90.0, 900.0, 0.0, 0.0, 0.0, 0.0)
    before = int(s.slot[0])
    wish, _ = autoscaler.wish_of(0, 9.0, seen, r, s)
    found = autoscaler.decide(0, autoscaler.NOW, 9.0, seen, r, s)
    assert s.slot[0] != before
    assert s.wishes[0, s.slot[0]] == wish
    assert found == (9.0 if wish < 9 else wish)  # the nine of the window hold a decrease up
    assert np.count_nonzero(s.wishes[0] != 9.0) == (wish != 9.0)
