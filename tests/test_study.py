"""The composition: figures reconcile, seeds repeat, variants sweep the same on any executor."""

import io
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from planner import export
from planner.data import data_path
from planner.errors import InfeasiblePlan, PlannerError, ScenarioError
from planner.scenario import Scenario
from planner.study import _own, frontier, run, span, sweep
from tests.builders import small


@pytest.fixture(scope="module", name="small")
def small_scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    small.traffic().to_csv(folder / "web.csv", index=False)
    return Scenario.from_yaml(small.SCENARIO, folder=folder)


@pytest.fixture(scope="module", name="study")
def small_study(small):
    return run(small, paths=30)


@pytest.fixture(scope="module", name="before")
def known_study(small):
    return run(small, paths=20)


def test_rows_are_the_objective_the_summary_and_the_csv(study):
    total = study.plan.cost["effective_cost_usd"].sum()
    assert total == pytest.approx(study.plan.objective_usd, rel=1e-6)
    assert total == pytest.approx(study.plan.summary()["total_usd"], rel=1e-12)
    assert total == pytest.approx(study.plan.certificate.upper_bound_usd, rel=1e-6)
    assert total == pytest.approx(
        pd.read_csv(io.StringIO(export.to_csv(study.plan.cost)))["effective_cost_usd"].sum(), rel=1e-12
    )
    assert total == pytest.approx(study.plan.monthly()["effective_cost_usd"].sum(), rel=1e-12)
    assert study.plan.certificate.lower_bound_usd <= total * (1 + 1e-9)


def test_the_plan_is_handed_over_when_decided_and_when_proved(small, study):
    seen = []
    whole = run(small, paths=30, seen=seen.append)
    decided, proved = (found.plan for found in seen)
    assert np.isnan(decided.certificate.lower_bound_usd)
    assert np.isnan(decided.summary()["gap_share"]), "nothing is claimed before the proof"
    assert not decided.certificate.proven
    assert proved.certificate == whole.plan.certificate == study.plan.certificate
    later = ("lower_bound_usd", "gap_share", "ready_usd", "unseen_mean_usd")
    known = {k: v for k, v in study.plan.summary().items() if k not in later}
    assert np.isnan([decided.summary()[k] for k in later]).all()
    assert {k: decided.summary()[k] for k in known} == known
    for name in ("schedule", "coverage", "commitments", "cost", "prices"):
        pd.testing.assert_frame_equal(getattr(decided, name), getattr(study.plan, name), check_exact=True)
    assert decided.paths_usd == study.plan.paths_usd
    assert proved.unseen_usd == study.plan.unseen_usd != ()
    assert len(set(study.plan.notes) - set(decided.notes)) == 2, "the sentences of the check and of the proof"


def test_law_52_the_same_seed_gives_the_same_bytes(small, study):
    again = run(small, paths=30)
    for name, frame in export.tables(study).items():
        assert export.to_csv(frame) == export.to_csv(export.tables(again)[name])
    assert again.plan.paths_usd == study.plan.paths_usd


def test_the_replay_has_not_seen_the_plans_paths(small, study):
    other = run(small.replace(seed=1), paths=30)
    assert not (other.load.services["web"].arrival_rate_rps == study.load.services["web"].arrival_rate_rps).all()
    assert study.replay.paths == 30


def test_law_59_the_median_bill_is_not_the_bill_of_the_median_load(study):
    summary = study.plan.summary()
    assert summary["p10_usd"] <= summary["p50_usd"] <= summary["p90_usd"]
    assert summary["p50_usd"] != summary["total_usd"]
    assert len(study.plan.paths_usd) == 30
    ranges = study.plan.monthly_range()
    assert ranges["month"].tolist() == sorted(set(study.plan.monthly()["month"]))
    sums = pd.DataFrame(study.plan.paths_month_usd).sum(axis=1)
    assert sums.to_numpy() == pytest.approx(study.plan.paths_usd, rel=1e-9)
    by_month = np.array(list(study.plan.paths_month_usd.values()))
    assert by_month.sum(axis=0) == pytest.approx(study.plan.paths_usd)
    assert set(study.plan.paths_month_usd) == set(study.plan.monthly()["month"])


def test_law_2_a_tighter_target_costs_no_less(small, study):
    tight = run(small.replace(**{"services.web.objective": {"latency_p99_s": 0.2}}), paths=30)
    assert tight.plan.total_usd >= study.plan.total_usd * (1 - study.plan.certificate.gap_share)


@pytest.mark.slow
def test_a_sweep_keeps_the_variants_that_fail_and_the_executor_does_not_matter(small):
    variants = {
        "as it is": {},
        "two zones": {"limits.zones": 2, "limits.zones_lost": 1},
        "too fast": {"services.web.objective.latency_p99_s": 0.001},
    }
    here = sweep(small, variants, paths=10)
    assert here["variant"].tolist() == list(variants)
    assert here["total_usd"].iloc[1] > here["total_usd"].iloc[0]
    assert here["total_usd"].isna().tolist() == [False, False, True]
    assert here["error"].iloc[2].startswith("services.web.objective: ")
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        for executor in (threads, processes):
            pd.testing.assert_frame_equal(sweep(small, variants, paths=10, executor=executor), here, check_exact=True)


def test_an_impossible_target_is_infeasible(small):
    with pytest.raises(InfeasiblePlan) as caught:
        run(small.replace(**{"services.web.objective.latency_p99_s": 0.001}), paths=10)
    assert caught.value.relaxations


@pytest.mark.parametrize("name", ["web", "chat", "embed", "demo"])
def test_bundled_scenarios_read_back(name):
    scenario = Scenario.read(data_path("scenarios", f"{name}.yaml"))
    assert Scenario.from_yaml(scenario.to_yaml(), folder=scenario.folder) == scenario
    for service in scenario.services:
        assert scenario.traffic_file(service).is_file()


HELD = {"commitment": "aws/us-east-1/m6a.xlarge/standard_ri/1y/none", "quantity": 3, "region": "us-east-1"}


def test_commitments_already_held_are_used_and_paid(small, study):
    held = run(small.replace(existing=[{**HELD, "end": "2027-06-01"}]), paths=10)
    cost = held.plan.cost
    fee = 3 * 0.11431 * 72  # what three cost an hour, used or not
    own = cost[cost["commitment"].str.endswith("(held)")]
    assert own["effective_cost_usd"].sum() == pytest.approx(fee, rel=1e-6)
    assert own["billed_cost_usd"].sum() == pytest.approx(own["effective_cost_usd"].sum(), rel=1e-9)
    mine = held.plan.commitments
    row = mine[mine["commitment"].str.endswith("(held)")].iloc[0]
    assert row["start"] < study.load.ts[0] < row["end"]
    used = held.plan.coverage
    assert used.loc[used["commitment"] == row["commitment"], "instances"].max() == 3.0
    paid = cost.loc[
        (cost["charge"] == "compute") & (cost["purchase_option"] == "on_demand"), "effective_cost_usd"
    ].sum()
    before = study.plan.cost.loc[study.plan.cost["charge"] == "compute", "effective_cost_usd"].sum()
    assert paid < before
    assert held.plan.total_usd == pytest.approx(held.plan.objective_usd, rel=1e-6)


def test_commitments_that_cannot_be_counted_are_said(small):
    ends = run(small.replace(existing=[{**HELD, "end": "2027-01-06"}]), paths=10)
    assert any("end inside the horizon" in note for note in ends.plan.notes)
    with pytest.raises(ScenarioError, match=r"existing\.0\.commitment: no provider sells it"):
        run(small.replace(existing=[{**HELD, "commitment": "aws/nothing", "end": "2027-06-01"}]), paths=10)


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        ("services.web.objective.latency_p99_s", (0.15, 0.9)),
        ("limits.max_spot_share", (0.0, 0.9)),
        ("services.*.objective.load_quantile", (0.5, 0.99)),
        ("limits.zones_lost", (0, 0)),
        ("limits.max_term_months", (0, 36)),
    ],
)
def test_values_worth_a_look_hold_the_own_one(small, path, ends):
    values = span(small, path, 20)
    assert (min(values), max(values)) == pytest.approx(ends)
    assert values == sorted(values)
    assert _own(small, path) in values
    assert len(values) <= 20


def test_a_range_that_is_not_known_must_be_given(small):
    for path in ("limits.budget_usd_per_month", "services.web.autoscaling.min_replicas", "limits.nothing"):
        with pytest.raises(PlannerError, match="no range"):
            span(small, path)


def test_a_frontier_says_what_a_tighter_target_costs(small, study):
    found = frontier(small, "services.web.objective.latency_p99_s", points=6, paths=30, whole=2)
    assert len(found) == 6
    own = found["value"] == _own(small, "services.web.objective.latency_p99_s")
    assert found.loc[own, "total_usd"].item() == pytest.approx(study.plan.total_usd, rel=0.02)
    assert (np.diff(found["lower_bound_usd"].dropna()) <= 1e-6).all()


@pytest.mark.slow
def test_the_frontier_plans_the_scenarios_own_value_like_the_plan():
    scenario = Scenario.read(data_path("scenarios", "web.yaml"))
    found = frontier(scenario, "limits.max_spot_share", points=3, whole=0)
    own = found["value"] == scenario.limits.max_spot_share
    assert found.loc[own, "total_usd"].item() == pytest.approx(run(scenario).plan.total_usd, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "load", "capacity"),
    [
        ({"limits.max_spot_share": 0.4}, True, True),
        pytest.param({"services.web.objective.load_quantile": 0.8}, True, True, marks=pytest.mark.slow),
        ({"services.web.objective.latency_p99_s": 0.5}, True, False),
        pytest.param({"limits.zones": 2}, True, False, marks=pytest.mark.slow),
        pytest.param({"services.web.growth_share_per_year": 0.5}, False, False, marks=pytest.mark.slow),
        ({"seed": 5}, False, False),
    ],
)
def test_what_a_known_study_has_in_common_is_taken_from_it_and_changes_nothing(small, before, changes, load, capacity):
    catalog, other = before.catalog, small.replace(**changes)
    again, fresh = run(other, catalog, paths=20, known=before), run(other, catalog, paths=20)
    assert (again.load is before.load) == load
    assert (again.capacity is before.capacity) == capacity
    assert again.plan.paths_usd == fresh.plan.paths_usd
    tables = export.tables(fresh)
    for name, frame in export.tables(again).items():
        assert export.to_csv(frame) == export.to_csv(tables[name])
