"""The listing itself: answers that can be worked out on paper, its parts, and that it bounds plans."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner import optimize
from planner.capacity import size
from planner.errors import InfeasiblePlan
from tests.builders import hand, markets
from tests.optimizer_oracle.bill import Bill, Usage
from tests.optimizer_oracle.draw import FEATURES, Case, draw
from tests.optimizer_oracle.listing import cheapest

QUIET = {
    "start": "2027-01-04",
    "services.web.latency": {"model": "queue", "service_time_s": 0.01},
    "services.web.autoscaling.scale_up_delay_s": 0,
    "services.web.network": {"load_balancer": False, "public_ipv4": 0},
}
DISKS = {**hand.HAND, **markets.AWS, "storage_class": "block/gp3", "price_usd": 1.0, "price_unit": "GiB-month"}


def case_of(rates, machines, usd, contracts=(), *, spot=(), **changes) -> Case:
    s = hand.scenario(**{**QUIET, "horizon_h": np.shape(rates)[-1], **changes})
    load = hand.load(s, dict.fromkeys(s.services, rates))
    catalog = markets.on_sale(machines, usd, contracts, spot=spot, storage=[DISKS])
    return Case(0, frozenset(), s, catalog, load, size(s, catalog, load))


ONE = ([markets.machine("m5.large", 2)], {"m5.large": 1.0})


def usable(case: Case) -> float:
    return float(case.capacity.frame["usable_rps"].iloc[0])


def stairs(counts) -> np.ndarray:
    """Loads that so many machines of :data:`ONE` serve, 1 % below what they bear."""
    return np.asarray(counts) * 0.99 * usable(case_of([1.0], *ONE))


def test_the_newsvendor_commits_the_quantile_of_the_load():
    counts = np.arange(1, 11)
    best = cheapest(case_of(stairs(counts), *ONE, [markets.reserved("m5.large", 0.65)]))
    assert best.signed == {"m5.large/12/none": 4.0}  # in 70 % of the hours the fourth is used, in 60 % the fifth
    assert best.usd == pytest.approx(4 * 0.65 * 10 + np.maximum(counts - 4, 0).sum())


def test_hours_are_committed_not_a_mean_of_the_day():
    counts = np.tile(np.repeat([2, 10], [16, 8]), 2)
    best = cheapest(case_of(stairs(counts), *ONE, [markets.reserved("m5.large", 0.6)]))
    assert best.signed == {"m5.large/12/none": 2.0}
    assert best.usd == pytest.approx(2 * 0.6 * 48 + 8 * 16)


def test_paths_are_weighed_not_their_mean():
    paths = np.stack([stairs(np.full(8, n)) for n in (1, 1, 1, 5)])
    best = cheapest(case_of(paths, *ONE, [markets.reserved("m5.large", 0.6)]))
    assert best.usd == pytest.approx(8 * (0.6 + 4 * 0.25))


def test_a_plan_of_many_sizes_ends_where_a_machine_does():
    plan = {**hand.HAND, "provider": "aws", **markets.SAVINGS}
    best = cheapest(case_of(stairs([1, 3, 3, 3]), *ONE, [plan]))
    assert best.signed == {"plan-1y": pytest.approx(2.1)}
    assert best.usd == pytest.approx(4 * 2.1)


def test_two_small_zones_cost_twice_the_load():
    best = cheapest(case_of(stairs([2, 2]), *ONE, **{"limits.zones": 2, "limits.zones_lost": 1}))
    assert best.usd == pytest.approx(2 * 4)


def test_spot_serves_its_share():
    best = cheapest(case_of(stairs([4, 4]), *ONE, spot={"m5.large": 0.1}, **{"limits.max_spot_share": 0.5}))
    assert best.usd == pytest.approx(2 * (2 + 2 * 0.1))


def test_what_no_mix_serves_has_no_plan():
    assert cheapest(case_of(stairs([4, 4]), *ONE, **{"services.web.autoscaling.max_replicas": 3})) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_machine_fewer_never_costs_more(seed):
    """Listed mixes have no machine too many; with one fewer, no bill rises whatever is signed."""
    case, rng = draw(seed), np.random.default_rng(seed)
    usd = dict(zip(case.catalog.rates["instance_type"], case.catalog.rates["rate_usd_per_h"], strict=True))
    shapes = case.catalog.instances
    places = shapes[["provider", "region", "instance_type"]].itertuples(index=False, name=None)
    usages = [Usage("web", *place, usd[place[2]], usd[place[2]]) for place in places]
    bill = Bill(case, usages)
    counts = rng.integers(0, 5, (200, len(usages))).astype(float)
    fewer = counts.copy()
    fewer[np.arange(200), rng.integers(len(usages), size=200)] -= 1
    signed = {c.name: rng.uniform(0, 4, 5).round(3) for c in bill.sold}
    held = (True,) * len(case.scenario.existing)
    able = (fewer >= 0).all(axis=1)
    more, less = bill.uncovered(counts[able], signed, held), bill.uncovered(fewer[able], signed, held)
    assert (less <= more + 1e-9).all()


def test_draws_repeat_and_features_leave_the_rest_alone():
    for seed in range(4):
        one, same = draw(seed), draw(seed)
        assert one.scenario == same.scenario
        pd.testing.assert_frame_equal(one.catalog.commitments, same.catalog.commitments)
        np.testing.assert_array_equal(
            one.load.services["web"].arrival_rate_rps, same.load.services["web"].arrival_rate_rps
        )
        bare = draw(seed, frozenset(FEATURES) - {"reserved", "spend"})
        assert bare.load.paths == 1
        assert not bare.scenario.existing
        assert bare.scenario.limits.zones_lost == 0


def expected(case: Case) -> float:
    """The mean of the plan's bill over the paths, machines following each [USD]; infinite without a plan."""
    try:
        plan = optimize(case.scenario, case.load, case.capacity, case.catalog, valued_on=case.load)
    except InfeasiblePlan:
        return np.inf
    return float(np.mean(plan.paths_usd))


def bounded(first: int, last: int) -> None:
    for seed in range(first, last):
        case = draw(seed)
        best = cheapest(case)
        least = np.inf if best is None else best.usd
        assert expected(case) >= least * (1 - 1e-6), f"{case.told}: {best}"


def test_no_plan_is_billed_less_than_the_listing():
    bounded(0, 12)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(16, 316, 30))
def test_no_plan_of_many_is_billed_less_than_the_listing(first):
    bounded(first, first + 30)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_signed_costs_the_same_as_if_it_had_been_held(seed):
    case = draw(seed, frozenset({"services"}))
    best = cheapest(case)
    assert best is not None
    held = [{"commitment": name, "quantity": n, "end": "2027-06-01"} for name, n in best.signed.items()]
    again = replace(
        case, scenario=case.scenario.replace(**{"existing": [*_written(case), *held], "limits.max_term_months": 0})
    )
    fixed = cheapest(again)
    assert fixed is not None
    assert fixed.usd == pytest.approx(best.usd, rel=1e-9)


def _written(case: Case):
    return [e.model_dump(mode="json") for e in case.scenario.existing]
