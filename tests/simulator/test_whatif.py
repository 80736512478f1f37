"""The bill as it runs, strain, and other policies: dollars and shares that can be checked on paper."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from planner.catalog import Catalog
from planner.cli import main
from planner.data import data_path
from planner.scenario import Scenario
from planner.simulator import Operations, bill_as_it_runs, bill_usd, policies, simulate, stress
from planner.simulator.ladder import Kind, Shares, bears_rps
from planner.study import run
from planner.zones import Zones
from tests.builders import hand, small
from tests.builders.hand import KEY, MODEL, plan

CAPACITY = hand.capacity(usable=300.0, models={KEY: MODEL})


def parts(rates, **changes):
    """A service on machines at $1, planned for exactly what comes."""
    rates = np.atleast_2d(np.asarray(rates, dtype=float))
    auto = {"scale_up_delay_s": 600.0, "scale_down_delay_s": 1800.0}
    s = hand.scenario(**{"horizon_h": rates.shape[1], "services.web.autoscaling": auto, **changes})
    counts = np.maximum(np.ceil(rates.max(axis=0) / 300.0), 1)
    return plan(s, hand.schedule(s, counts, rate=rates.max(axis=0))), s, hand.load(s, {"web": rates}), CAPACITY


def test_without_delays_the_bill_is_the_plans():
    rates = np.r_[np.full(12, 290.0), np.full(12, 1400.0)]
    p, s, load, sized = parts(rates)
    bill = bill_as_it_runs(p, s, load, sized).set_index("item")["usd"]
    assert bill["expected by the plan"] == pytest.approx(12 * 1 + 12 * 5)
    assert bill["other machines than the plan's, followed without delay"] == pytest.approx(0.0)
    assert bill.drop("as it runs").sum() == pytest.approx(bill["as it runs"], rel=1e-12)
    # four machines start once: ten minutes each are paid and serve nothing
    own = simulate(p, s, load, sized, operations=Operations(policy="scheduled", interruptions=False))
    assert bill_usd(p, own, load) == pytest.approx(72.0)


def test_kept_machines_are_paid():
    rates = np.r_[np.full(6, 1400.0), np.full(18, 290.0)]
    p, s, load, sized = parts(rates)
    bill = bill_as_it_runs(p, s, load, sized).set_index("item")["usd"]
    assert bill["scale-in delay"] == pytest.approx(4 * 0.5, abs=0.2)  # four machines for half an hour


def test_commitments_are_paid_whatever_runs():
    rates = np.full(24, 290.0)
    p, s, load, sized = parts(rates)
    kept = simulate(p, s, load, sized, operations=Operations(policy="static"))
    assert bill_usd(p, kept, load) == pytest.approx(24.0)
    fees = hand.frame(
        "plan.commitments",
        [
            {
                "commitment": "ri",
                "quantity": 2.0,
                "start": load.ts[0],
                "end": load.ts[0] + np.timedelta64(24, "h"),
                "upfront_usd": 0.0,
                "hourly_usd": 0.8,
            }
        ],
    )
    cost = p.cost.assign(
        purchase_option="committed", commitment="ri", effective_cost_usd=0.4, billed_cost_usd=0.0
    ).astype({"purchase_option": "str", "commitment": "str"})
    committed = replace(p, commitments=fees, cost=cost)
    assert bill_usd(committed, kept, load) == pytest.approx(24 * 0.8)  # two are paid, one runs


def test_a_commitment_of_few_families_is_used_before_one_of_many():
    """The wide one, first by name, must not use up the machine that alone the narrow one pays for."""
    p, s, load, sized = parts(np.full(24, 290.0))
    kept = simulate(p, s, load, sized, operations=Operations(policy="static"))
    term = {"start": load.ts[0], "end": load.ts[0] + np.timedelta64(24, "h"), "upfront_usd": 0.0, "hourly_usd": 0.4}
    wide, narrow = {"commitment": "a", "scope": "c m"}, {"commitment": "z", "scope": "m"}
    fees = hand.frame("plan.commitments", [{**term, "category": "Spend", **one} for one in (wide, narrow)])
    rows = [
        p.cost.assign(purchase_option="committed", commitment=n, resource=r, effective_cost_usd=0.4)
        for n, r in (("a", "c"), ("a", "m"), ("z", "m"))
    ]
    both = replace(p, commitments=fees, cost=pd.concat(rows, ignore_index=True))
    [(pool, one)] = kept.running.items()
    ran = replace(kept, running={pool: one, (*pool[:3], "c", *pool[4:]): one})
    assert bill_usd(both, ran, load) == pytest.approx(24 * 0.8)


def test_strain_costs_and_shows():
    rates = np.tile(np.r_[np.full(12, 290.0), np.full(12, 1400.0)], (3, 1))
    p, s, load, sized = parts(rates)
    found = stress(p, s, load, sized).set_index("variant")
    share = found["within_share"]
    loads = [share["as planned"], *(share[f"load × {k}"] for k in ("1.25", "1.5", "2", "3"))]
    assert loads == sorted(loads, reverse=True)
    assert share["load × 3"] < 0.6
    assert found.loc["prices + 20%", "monthly_mean_usd"] == pytest.approx(
        1.2 * found.loc["as planned", "monthly_mean_usd"]
    )
    assert "zone lost in the busiest hour" not in found.index  # one zone: nothing to lose and stand


def test_policies_have_dollars_and_latency():
    p, s, load, sized = parts(np.tile(np.r_[np.full(12, 290.0), np.full(12, 1400.0)], (2, 1)))
    found = policies(p, s, load, sized).set_index("variant")
    assert found.loc["static", "monthly_mean_usd"] == pytest.approx(24 * 5 / p.months)
    assert found.loc["perfect foresight", "monthly_mean_usd"] == pytest.approx(72 / p.months)
    assert found.loc["target 50 %", "monthly_mean_usd"] > found.loc["target 80 %", "monthly_mean_usd"]
    own = policies(p, s, load, sized, {"mine": Operations(target_utilization=0.6)})
    assert own["variant"].tolist() == ["as it is", "mine"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("web", 0.01), ("chat", 0.01), ("embed", 0.01), ("demo", 0.02)])
def test_the_bill_without_delay_is_the_expected_one_within_two_percent(name, most):
    """On the same paths the machines of one service cost the same within one per cent; services that
    share a commitment run what is cheapest together in the plan, each by its usual part here.
    """
    scenario = Scenario.read(data_path("scenarios", f"{name}.yaml"))
    study = run(scenario, Catalog.read(*scenario.providers, regions=scenario.regions), paths=40)
    bill = bill_as_it_runs(study.plan, scenario, study.unseen, study.capacity).set_index("item")["usd"]
    expected = bill["expected by the plan"]
    machines = bill["other machines than the plan's, followed without delay"] / expected
    paths = bill["other paths than those planned on"] / expected
    print(f"\n{name}: {machines:+.2%} by machines, {paths:+.2%} by paths")
    assert abs(machines) <= most
    assert abs(machines + paths) <= 0.02


def test_a_step_of_the_replay_leaves_the_spot_share_that_the_plan_leaves():
    """Of 40 % spot capacity only what 30 % of the load may use counts."""
    kinds = [Kind("m", False, 100.0 * np.arange(9), 130.0 * np.arange(9), 1.0)]
    kinds.append(Kind("m spot", True, 100.0 * np.arange(9), 130.0 * np.arange(9), 0.3))
    mixes = np.array([[7, 1], [6, 4], [0, 8]])
    assert bears_rps(mixes, kinds, Zones(1, 0), Shares(0.3)).tolist() == pytest.approx([800, 600 / 0.7, 0])
    assert bears_rps(mixes, kinds, Zones(1, 0), Shares(1.0)).tolist() == pytest.approx([800, 1000, 800])
    # two zones, one lost: three of six and two of four stay, and the three bear 70 % of the load
    assert bears_rps(mixes[1:2], kinds, Zones(2, 1), Shares(0.3)).tolist() == pytest.approx([300 / 0.7])


def test_a_step_of_the_replay_keeps_one_type_within_its_share():
    """Half of the load at most on one type: eight of a kind bear nothing, six and two four hundred."""
    kinds = [Kind(t, False, 100.0 * np.arange(9), 130.0 * np.arange(9), 1.0, instance_type=t) for t in ("m", "n")]
    mixes = np.array([[8, 0], [6, 2], [4, 4]])
    assert bears_rps(mixes, kinds, Zones(1, 0), Shares(1.0, 0.5)).tolist() == pytest.approx([0, 400, 800])
    # two zones, one lost: of six and two there are three and one
    assert bears_rps(mixes[1:], kinds, Zones(2, 1), Shares(1.0, 0.5)).tolist() == pytest.approx([200, 400])


def test_the_autoscaler_takes_machines_of_both_types_away_where_each_may_carry_half():
    """A quiet hour that one type alone would bear still runs both."""
    rates = np.r_[np.full(6, 1100.0), np.full(6, 250.0)]
    _, s, load, _ = parts(rates, **{"limits.max_type_share": 0.5})
    runs = [hand.schedule(s, 2, rate=rates), hand.schedule(s, 2, instance_type="big", rate=0.0)]
    frame = pd.concat([CAPACITY.frame, CAPACITY.frame.assign(instance_type="big")], ignore_index=True)
    sized = replace(CAPACITY, frame=frame, models={KEY: MODEL, (*KEY[:3], "big", ""): MODEL})
    both = plan(s, pd.concat(runs, ignore_index=True))
    ran = simulate(both, s, load, sized, operations=Operations(policy="follow", autoscaler="ideal")).running
    assert sorted(float(n[-1, 0]) for n in ran.values()) == [1.0, 1.0]


def test_the_command_prints_dollars_for_each_setting(tmp_path):
    (tmp_path / "small.yaml").write_text(small.SCENARIO, encoding="utf-8")
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    done = CliRunner().invoke(main, ["policy", str(tmp_path / "small.yaml"), "--paths", "4"])
    assert done.exit_code == 0, done.output
    for word in ("target tracking", "KEDA", "static", "error budget spent", "$", "settings, on 4 load paths"):
        assert word in done.output
