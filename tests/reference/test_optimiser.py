"""The optimizer against problems with a known optimum (``optimiser`` folder of the reference
tables).
"""

import json
from pathlib import Path

import numpy as np
import pytest

from planner.optimizer.market.settle import Instrument, settle
from planner.optimizer.program.conflict import diagnose
from planner.optimizer.program.model import build
from planner.optimizer.program.neighbours import frontier
from planner.optimizer.program.problem import OPTIONS, Limit, Pool, Problem, Product, Type, Workload
from planner.optimizer.program.reduced import plan
from planner.optimizer.program.solve import solve

# whole numbers over a day, and years hour by hour without reduction
SLOW = {"m-whole-day", "m-year-one-workload", "m-year-three-workloads"}


def cases(config) -> list[Path]:
    return sorted((Path(config.getoption("--reference")) / "optimiser").glob("*.json"))


KINDS = {
    "plan_case": lambda c: c.get("kind", "plan") == "plan",
    "linear_case": lambda c: c.get("kind", "plan") == "plan" and not c.get("integer"),
    "marginal_case": lambda c: bool(c["expected"].get("marginal")),
    "infeasible_case": lambda c: c.get("kind", "plan") == "plan" and c["expected"]["status"] == "infeasible",
    "billing_case": lambda c: c.get("kind") == "billing",
    "frontier_case": lambda c: c.get("kind") == "frontier",
}


def pytest_generate_tests(metafunc):
    for kind in set(KINDS) & set(metafunc.fixturenames):
        found = [f for f in cases(metafunc.config) if KINDS[kind](json.loads(f.read_text()))]
        marked = [
            pytest.param(f, marks=pytest.mark.slow) if f.stem in SLOW and kind == "plan_case" else f for f in found
        ]
        absent = pytest.mark.skip(reason="no such case in the folder optimiser given by --reference")
        metafunc.parametrize(
            kind, marked or [pytest.param(None, marks=absent)], ids=lambda f: f.stem if isinstance(f, Path) else "none"
        )


def to_problem(case: dict) -> Problem:
    hours = case["hours"]["count"]
    weight = np.asarray(case["hours"].get("weight", [1.0] * hours), dtype=float)
    scenarios = case.get("scenarios", [{"id": "only", "probability": 1.0}])
    ids = [s["id"] for s in scenarios]
    budget, whole = case.get("budget", {}), case.get("integer", [])
    return Problem(
        workloads=tuple(workload(w, ids, {t["id"]: t for t in case["types"]}) for w in case["workloads"]),
        types=tuple(kind(t) for t in case["types"]),
        weight_h=weight,
        pools=tuple(
            Pool(p["id"], p["applies_to"], p.get("existing", 0.0), p.get("credit_per_unit"))
            for p in case.get("pools", [])
        ),
        products=tuple(
            Product(
                b["id"],
                b["pool"],
                b.get("upfront", 0.0),
                b.get("hourly", 0.0),
                b.get("term_hours"),
                b.get("min", 0.0),
                b.get("max"),
                b.get("step", 1.0),
            )
            for b in case.get("products", [])
        ),
        limits=tuple(limit(row) for row in case.get("limits", [])),
        probability=np.array([s["probability"] for s in scenarios]),
        upfront_budget_usd=budget.get("upfront_max"),
        total_budget_usd=budget.get("total_max"),
        whole_instances="instances" in whole,
        whole_commitments="commitments" in whole,
    )


def workload(w: dict, ids: list[str], types: dict) -> Workload:
    load = w["load"]
    rows = [load[s] for s in ids] if isinstance(load, dict) else [load] * len(ids)
    zones = w.get("zones", {})
    return Workload(
        w["id"],
        np.array(rows, dtype=float),
        w["capacity"],
        {i: c * types[i]["spot"].get("yield", 1.0) for i, c in w["capacity"].items() if "spot" in types[i]},
        w.get("headroom", 0.0),
        w.get("keep_hours", 0),
        w.get("lead_hours", 0),
        w.get("spot_share_max"),
        w.get("type_share_max"),
        w.get("shortage_cost"),
        {z: tuple(kinds) for z, kinds in zones.get("types", {}).items()},
        zones.get("loss_share", 0.0),
        min_replicas=w.get("min_instances", 0.0),
        min_per_zone=w.get("min_per_zone", 0.0),
        serve_cost=w.get("serve_cost", {}),
    )


def limit(row: dict) -> Limit:
    return Limit(
        row["id"],
        row["max"],
        tuple(row["types"]) if "types" in row else None,
        tuple(row.get("options", OPTIONS)),
        tuple(row["workloads"]) if "workloads" in row else None,
        row.get("zone"),
        row.get("counts") == "vcpu",
    )


def kind(t: dict) -> Type:
    spot = t.get("spot", {})
    return Type(
        t["id"],
        price(t.get("on_demand")),
        price(spot.get("price")),
        spot.get("max"),
        t.get("per_instance_hour", 0.0),
        t.get("vcpu", 1.0),
    )


def price(value):
    return np.asarray(value, dtype=float) if isinstance(value, list) else value


def test_plan_costs_the_known_optimum(plan_case):
    case = json.loads(plan_case.read_text())
    problem, expected = to_problem(case), case["expected"]
    found = solve(build(problem).lp)
    assert found.status == expected["status"]
    if expected["status"] == "optimal":
        assert found.objective == pytest.approx(expected["cost"], rel=1e-6, abs=1e-9)


def test_the_reduced_path_closes_on_the_known_optimum(linear_case):
    case = json.loads(linear_case.read_text())
    expected = case["expected"]
    found = plan(to_problem(case), gap=1e-6)
    if expected["status"] == "infeasible":
        assert found.status == "infeasible"
        return
    assert found.upper == pytest.approx(expected["cost"], rel=1e-6, abs=1e-9)
    assert found.lower <= expected["cost"] * (1 + 1e-9) + 1e-9
    assert found.gap_share <= 1e-6


def test_a_right_dual_lies_between_the_one_sided_marginals(marginal_case):
    case = json.loads(marginal_case.read_text())
    model = build(to_problem(case))
    found = solve(model.lp)
    for name, sides in case["expected"]["marginal"].items():
        constraint, _, subject = name.partition(":")
        row = {"limit": ("limit", subject), "max": ("product_max", subject), "budget": (f"{subject}_budget", "")}[
            constraint
        ]
        dual = sum(d for (c, s, _), d in zip(model.rows, found.duals, strict=True) if (c, s) == row)
        low, high = sorted((sides["per_unit_less"], sides["per_unit_more"]))
        assert low - 1e-6 * abs(low) - 1e-9 <= dual <= high + 1e-6 * abs(high) + 1e-9


REASONS = {
    "limit": "limit",
    "demand": "demand",
    "spot_share": "spot_share",
    "type_share": "type_share",
    "zones": "zones",
    "min_instances": "min_instances",
    "min_per_zone": "min_instances",
    "spot_max": "spot_max",
    "product_max": "max",
    "product_min": "min",
    "upfront_budget": "budget",
    "total_budget": "budget",
}


def reason(restriction) -> str:
    constraint, subject = restriction
    return f"{REASONS[constraint]}:{constraint.removesuffix('_budget') if constraint.endswith('_budget') else subject}"


def test_an_infeasible_plan_names_a_right_reason(infeasible_case):
    case = json.loads(infeasible_case.read_text())
    expected = case["expected"]
    found = diagnose(to_problem(case))
    if expected["each_alone_restores"]:
        assert {reason(r) for r in found.alone} == set(expected["each_alone_restores"])
    else:
        assert set(map(reason, found.together)) & {
            name for conflict in expected["minimal_conflicts"] for name in conflict
        }


def test_the_bill_applies_commitments_in_its_order(billing_case):
    case = json.loads(billing_case.read_text())
    expected = case["expected"]
    usage = {k: np.array([float(n)]) for k, n in case["usage"].items()}
    reservations = [
        Instrument(r["id"], r["units"], {k: r["applies_to"][k] for k in r["order"]})
        for r in case.get("reservations", [])
    ]
    plans = [Instrument(p["id"], p["commitment"], p["rates"], p["rank"]) for p in case.get("plans", [])]
    covered, left = settle(usage, case["on_demand"], reservations + plans)
    uncovered = sum(float(n[0]) * case["on_demand"][k] for k, n in left.items())
    fixed = sum(r["units"] * r["hourly"] for r in case.get("reservations", [])) + sum(
        p["commitment"] for p in case.get("plans", [])
    )
    assert uncovered == pytest.approx(expected["on_demand"], rel=1e-6, abs=1e-9)
    assert uncovered + fixed == pytest.approx(expected["cost"], rel=1e-6)
    for name, count in expected["covered"].items():
        instrument, _, key = name.partition(":")
        assert covered[instrument, key][0] == pytest.approx(count, rel=1e-6)
    assert fixed + cheapest(case) == pytest.approx(expected["cheapest_conceivable"], rel=1e-6)


def cheapest(case: dict) -> float:
    """On-demand cost under the cheapest conceivable application: the product's linear program with
    existing pools.
    """
    pools = [Pool(r["id"], r["applies_to"], r["units"]) for r in case.get("reservations", [])]
    pools += [Pool(p["id"], p["rates"], p["commitment"]) for p in case.get("plans", [])]
    found = solve(
        build(
            Problem(
                tuple(Workload(k, np.array([[float(n)]]), {k: 1.0}) for k, n in case["usage"].items()),
                tuple(Type(k, price) for k, price in case["on_demand"].items()),
                np.ones(1),
                tuple(pools),
            )
        ).lp
    )
    return found.objective


def test_every_point_of_a_frontier(frontier_case):
    case = json.loads(frontier_case.read_text())
    for point, expected in zip(case["points"], case["expected"]["points"], strict=True):
        moved = {
            **case,
            "workloads": [{**w, "capacity": point["capacity"].get(w["id"], w["capacity"])} for w in case["workloads"]],
        }
        found = solve(build(to_problem(moved)).lp)
        assert found.status == expected["status"]
        if expected["status"] == "optimal":
            assert found.objective == pytest.approx(expected["cost"], rel=1e-6)


def test_a_frontier_on_one_live_handle(frontier_case):
    case = json.loads(frontier_case.read_text())
    moved = [
        {
            **case,
            "workloads": [{**w, "capacity": point["capacity"].get(w["id"], w["capacity"])} for w in case["workloads"]],
        }
        for point in case["points"]
    ]
    for found, expected in zip(frontier([to_problem(c) for c in moved]), case["expected"]["points"], strict=True):
        assert found.status == expected["status"]
        if expected["status"] == "optimal":
            assert found.objective == pytest.approx(expected["cost"], rel=1e-6)
