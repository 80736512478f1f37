"""Whole plans of a small market: enough machines in every hour, money that reconciles, limits kept,
refusals that help.
"""

import numpy as np
import pytest

from planner.capacity import size
from planner.errors import CatalogError, InfeasiblePlan
from planner.optimizer import optimize
from tests.builders import hand
from tests.builders.markets import DAY, RESERVED, SAVINGS, plan_of, two_services, usable


def hourly(plan, column="instances", **where):
    rows = plan.schedule
    for key, value in where.items():
        rows = rows[rows[key] == value]
    return rows.groupby("ts")[column].sum()


def test_one_machine_type_is_the_load_divided_and_rounded_up():
    plan, capacity, _ = plan_of(DAY, market={("m", "on_demand"): 1.0})
    each = usable(capacity)
    assert hourly(plan).to_numpy() == pytest.approx(np.maximum(1, np.ceil(DAY / each - 1e-9)))
    assert plan.objective_usd == pytest.approx(np.maximum(1, np.ceil(DAY / each)).sum(), rel=1e-9)
    assert plan.objective_usd == pytest.approx(plan.cost["effective_cost_usd"].sum(), rel=1e-12)
    assert plan.certificate.lower_bound_usd <= plan.objective_usd * (1 + 1e-9)
    assert len(plan.paths_usd) == 1
    assert plan.paths_usd[0] == pytest.approx(plan.objective_usd, rel=1e-6)


def test_the_base_is_reserved_and_the_peak_is_not():
    plan, capacity, _ = plan_of(DAY, commitments=[RESERVED], market={("m", "on_demand"): 1.0})
    base = max(1, int(np.ceil(100.0 / usable(capacity))))
    assert plan.commitments["quantity"].tolist() == [
        base
    ]  # a third of the hours at the peak pays for no reservation at 60 %
    count = np.maximum(1, np.ceil(DAY / usable(capacity)))
    assert plan.objective_usd == pytest.approx(base * 0.6 * 48 + np.maximum(0, count - base).sum(), rel=1e-9)
    assert plan.coverage["instances"].sum() == pytest.approx(np.minimum(count, base).sum())


def test_hourly_planning_reserves_two_where_a_daily_average_reserves_more():
    """2 machines at night and 10 for 8 h a day, at a committed price of 60 %: the mean of the day
    would reserve the mean.
    """
    market = {("m", "on_demand"): 1.0}
    _, capacity, _ = plan_of(DAY, market=market)
    rates = usable(capacity) * np.where(DAY > 500, 9.5, 1.5)
    hourly_plan, *_ = plan_of(rates, commitments=[RESERVED], market=market)
    daily_plan, *_ = plan_of(np.full(48, rates.mean()), commitments=[RESERVED], market=market)
    assert hourly_plan.commitments["quantity"].tolist() == [2]
    assert daily_plan.commitments["quantity"].iloc[0] >= 3


def test_a_savings_plan_covers_any_machine_at_its_discount():
    flat = np.full(48, 500.0)
    plain, *_ = plan_of(flat, market={("m", "on_demand"): 1.0})
    saved, *_ = plan_of(flat, commitments=[SAVINGS], market={("m", "on_demand"): 1.0})
    assert saved.objective_usd == pytest.approx(0.7 * plain.objective_usd, rel=1e-3)
    assert saved.commitments["unit"].tolist() == ["USD/h"]


def test_a_term_longer_than_allowed_is_not_signed():
    plan, *_ = plan_of(DAY, commitments=[RESERVED], **{"limits.max_term_months": 0})
    assert plan.commitments.empty
    assert plan.coverage.empty


def test_spot_serves_its_share_and_no_more():
    market = {("m", "on_demand"): 1.0, ("m", "spot"): 0.4}
    plan, capacity, _ = plan_of(DAY, market=market, **{"limits.max_spot_share": 0.5})
    each = usable(capacity)
    steady = hourly(plan, purchase_option="on_demand").reindex(plan.schedule["ts"].unique()).fillna(0).to_numpy()
    assert (steady * each >= 0.5 * DAY - 1e-9).all()
    assert (plan.schedule["purchase_option"] == "spot").any()
    plain, *_ = plan_of(DAY, market=market)
    assert plan.objective_usd < plain.objective_usd


def test_after_a_zone_is_lost_the_rest_still_serves():
    plan, capacity, _ = plan_of(DAY, market={("m", "on_demand"): 1.0}, **{"limits.zones": 3, "limits.zones_lost": 1})
    count = hourly(plan).to_numpy()
    assert ((count - np.ceil(count / 3)) * usable(capacity) >= DAY - 1e-9).all()
    fewer = count - 1
    assert ((fewer - np.ceil(fewer / 3)) * usable(capacity) < DAY).all()


def test_no_type_serves_more_than_its_share():
    market = {("m", "on_demand"): 1.0, ("big", "on_demand"): 4.4}
    plan, capacity, _ = plan_of(np.full(48, 3000.0), market=market, **{"limits.max_type_share": 0.6})
    for kind in ("m", "big"):
        others = plan.schedule[plan.schedule["instance_type"] != kind]
        served = others["replicas"] @ others["instance_type"].map(
            {"m": usable(capacity), "big": usable(capacity, "big")}
        )
        assert served / 48 >= 0.4 * 3000 - 1e-6


@pytest.mark.parametrize("share", [0.5, 0.7, 1.0])
def test_a_share_of_types_bears_a_minimum_of_replicas_in_quiet_hours(share):
    market = {("m", "on_demand"): 1.0, ("big", "on_demand"): 4.4}
    plan, capacity, _ = plan_of(
        np.concatenate([np.full(24, 1.0), np.full(24, 3000.0)]),
        market=market,
        **{"limits.max_type_share": share, "services.web.autoscaling.min_replicas": 3},
    )
    usable_rps = plan.schedule["replicas"] * plan.schedule["instance_type"].map(
        {"m": usable(capacity), "big": usable(capacity, "big")}
    )
    largest = usable_rps.groupby([plan.schedule["ts"], plan.schedule["instance_type"]]).sum().groupby("ts")
    others = (largest.sum() - largest.max()).to_numpy()
    assert (others[:24] >= (1 - share) * 1.0 - 1e-9).all()
    assert (others[24:] >= (1 - share) * 3000 - 1e-6).all()
    assert (plan.schedule.groupby("ts")["replicas"].sum() >= 3).all()


def test_disks_hang_on_instances_and_count_in_the_choice():
    disk = [
        {
            "storage_class": "block/gp3",
            "tier_lower": 0.0,
            "tier_upper": np.inf,
            "price_usd": 0.1,
            "price_unit": "GiB-month",
            "tier_scope": "volume",
        }
    ]
    plan, *_ = plan_of(DAY, storage=disk, **{"services.web.storage.block_gib": 100.0})
    assert plan.cost.loc[plan.cost["charge"] == "block_storage", "effective_cost_usd"].sum() > 0
    assert plan.objective_usd == pytest.approx(plan.cost["effective_cost_usd"].sum(), rel=1e-12)
    assert 0 <= plan.certificate.gap_share < 0.5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"limits.quota": {"m": 1, "big": 0}}, "limits.quota.m"),
        ({"services.web.autoscaling.max_replicas": 1, "limits.instance_types": ["m"]}, "max_replicas"),
        ({"services.web.objective.latency_p99_s": 0.0001}, "objective"),
        ({"limits.budget_usd_per_month": 1.0}, "budget_usd_per_month"),
    ],
)
def test_an_impossible_scenario_says_what_to_relax(changes, named):
    with pytest.raises(InfeasiblePlan) as refused:
        plan_of(DAY, **changes)
    assert named in " ".join(refused.value.relaxations)


def test_the_quota_named_is_enough():
    with pytest.raises(InfeasiblePlan) as refused:
        plan_of(DAY, **{"limits.quota": {"m": 1, "big": 0}})
    wanted = int(refused.value.relaxations[0].rpartition(" ")[2])
    plan, *_ = plan_of(DAY, **{"limits.quota": {"m": wanted, "big": 0}})
    assert hourly(plan).max() == wanted
    with pytest.raises(InfeasiblePlan):
        plan_of(DAY, **{"limits.quota": {"m": wanted - 1, "big": 0}})


def test_every_offer_is_used_or_excused():
    plan, capacity, _ = plan_of(DAY)
    used = set(plan.schedule["instance_type"])
    assert used | set(plan.excuses["instance_type"]) == set(capacity.frame["instance_type"])
    assert not used & set(plan.excuses["instance_type"])
    assert (plan.excuses["reason"] != "").all()


def test_a_negotiated_discount_lowers_the_bill_by_its_share():
    market = {("m", "on_demand"): 1.0}
    plain, *_ = plan_of(DAY, market=market)
    cheap, *_ = plan_of(DAY, market=market, price_adjustments=[{"discount_share": 0.1, "service": "web"}])
    assert cheap.objective_usd == pytest.approx(0.9 * plain.objective_usd, rel=1e-9)


def test_demand_that_may_fall_lowers_the_purchase():
    """Half the paths lose half their load: the reservation follows the expected cost, not the high
    quantile.
    """
    flat = np.full((10, 48), 900.0)
    falling = flat.copy()
    falling[:5] *= 0.3
    sure, *_ = plan_of(flat, commitments=[RESERVED], market={("m", "on_demand"): 1.0})
    unsure, *_ = plan_of(falling, commitments=[RESERVED], market={("m", "on_demand"): 1.0})
    assert unsure.commitments["quantity"].sum() < sure.commitments["quantity"].sum()


def test_a_commitment_already_held_is_used_first_and_until_its_end():
    flat, market = np.full(48, 500.0), {("m", "on_demand"): 1.0}
    held = [{"commitment": "m-1y", "quantity": 2, "end": "2027-02-01"}]
    plan, capacity, _ = plan_of(
        flat, commitments=[RESERVED], market=market, existing=held, **{"limits.max_term_months": 0}
    )
    count = np.ceil(500 / usable(capacity))
    assert plan.coverage.groupby("ts")["instances"].sum().to_numpy() == pytest.approx(np.full(24, 2.0))
    assert plan.objective_usd == pytest.approx(24 * (2 * 0.6 + count - 2) + 24 * count, rel=1e-9)
    assert plan.paths_usd[0] == pytest.approx(plan.objective_usd, rel=1e-6)
    row = plan.commitments.iloc[0]
    assert (row["quantity"], row["commitment_utilization"]) == (2.0, pytest.approx(1.0))
    assert str(row["end"].date()) == "2027-02-01"


def test_a_commitment_held_leaves_less_to_buy():
    flat, market = np.full(48, 500.0), {("m", "on_demand"): 1.0}
    fresh, *_ = plan_of(flat, commitments=[RESERVED], market=market)
    held = [{"commitment": "m-1y", "quantity": 2, "end": "2028-01-01"}]
    plan, *_ = plan_of(flat, commitments=[RESERVED], market=market, existing=held)
    assert sorted(plan.commitments["quantity"]) == [2.0, fresh.commitments["quantity"].iloc[0] - 2]
    assert plan.objective_usd == pytest.approx(fresh.objective_usd, rel=1e-9)


def test_a_commitment_the_catalog_does_not_know_is_an_error():
    with pytest.raises(CatalogError, match="Did you mean m-1y"):
        plan_of(DAY, commitments=[RESERVED], existing=[{"commitment": "m-2y", "quantity": 1, "end": "2028-01-01"}])


def test_two_services_share_a_quota():
    s = two_services(**{"limits.quota": {"m": 6}})
    load = hand.load(s, {"web": np.full(48, 300.0), "api": np.full(48, 400.0)})
    catalog = hand.catalog(rates={("m", "on_demand"): 1.0, ("big", "on_demand"): 9.0})
    capacity = size(s, catalog, load)
    plan = optimize(s, load, capacity, catalog)
    assert hourly(plan, instance_type="m").max() <= 6
    assert (plan.schedule["instance_type"] == "big").any()  # three and four of m would be seven


def test_two_services_share_a_savings_plan():
    s = two_services()
    load = hand.load(s, {"web": np.full(48, 300.0), "api": np.full(48, 400.0)})
    catalog = hand.catalog(rates={("m", "on_demand"): 1.0}, commitments=[SAVINGS])
    plan = optimize(s, load, size(s, catalog, load), catalog)
    machines = hourly(plan).iloc[0]
    assert plan.objective_usd == pytest.approx(48 * machines * 0.7, rel=2e-3)


def test_the_regret_of_commitments_is_told():
    """Reserving for a flat load that falls by 30 % leaves three tenths of the reservations unused."""
    flat, market = np.full(48, 2000.0), {("m", "on_demand"): 1.0}
    plan, capacity, _ = plan_of(flat, commitments=[RESERVED], market=market)
    idle = plan.commitments["quantity"].iloc[0] - np.ceil(1400 / usable(capacity))
    below = next(n for n in plan.notes if "30% below" in n)
    assert f"cost {idle * 0.6 * 48:,.0f} USD more" in below


def random_case(seed: int) -> tuple[np.ndarray, dict, dict]:
    rng = np.random.default_rng(seed)
    market = {
        ("m", "on_demand"): 1.0,
        ("m", "spot"): float(rng.uniform(0.2, 0.9)),
        ("big", "on_demand"): float(rng.uniform(3.0, 5.0)),
    }
    zones = int(rng.integers(1, 4))
    limits = {
        "limits.max_spot_share": float(rng.choice([0.0, 0.4])),
        "limits.zones": zones,
        "limits.zones_lost": int(zones > 1),
        "services.web.autoscaling.min_replicas": int(rng.integers(1, 4)),
    }
    return rng.uniform(0, 2000, 48), market, limits


@pytest.mark.parametrize("seed", range(4))
def test_law_1_more_load_costs_no_less(seed):
    rates, market, limits = random_case(seed)
    more = rates + np.random.default_rng(seed + 100).uniform(0, 300, 48)
    assert plan_of(more, market=market, **limits)[0].objective_usd >= plan_of(rates, market=market, **limits)[
        0
    ].objective_usd * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_law_2_a_tighter_target_costs_no_less(seed):
    rates, market, limits = random_case(seed)
    loose, tight = ({"services.web.objective.latency_p99_s": s, **limits} for s in (0.3, 0.06))
    assert plan_of(rates, market=market, **tight)[0].objective_usd >= plan_of(rates, market=market, **loose)[
        0
    ].objective_usd * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_law_4_an_added_option_costs_no_more(seed):
    rates, market, limits = random_case(seed)
    fewer = {key: price for key, price in market.items() if key[0] == "m"}
    assert plan_of(rates, market=market, **limits)[0].objective_usd <= plan_of(rates, market=fewer, **limits)[
        0
    ].objective_usd * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_law_17_commitments_on_offer_cost_no_more_over_the_paths(seed):
    rates, market, limits = random_case(seed)
    paths = rates * np.random.default_rng(seed).lognormal(0, 0.3, (20, 1))
    plain, *_ = plan_of(paths, market=market, **limits)
    offered, *_ = plan_of(paths, market=market, commitments=[RESERVED, SAVINGS], **limits)
    assert np.mean(offered.paths_usd) <= np.mean(plain.paths_usd) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_proven_lower_bound_is_below_the_plan(seed):
    rates, market, limits = random_case(seed)
    plan, *_ = plan_of(rates, market=market, commitments=[RESERVED, SAVINGS], **limits)
    assert plan.certificate.checks["bound"] <= 1e-9
    assert plan.certificate.lower_bound_usd > 0.3 * plan.objective_usd
