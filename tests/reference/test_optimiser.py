"""The optimizer against problems with a known optimum (``optimiser`` folder of the reference tables)."""

import json
from pathlib import Path

import numpy as np
import pytest

from planner.optimize.model import build
from planner.optimize.problem import OPTIONS, Limit, Pool, Problem, Product, Type, Workload
from planner.optimize.solve import solve

# whole numbers over a day, and years hour by hour without reduction
SLOW = {"m-whole-day", "m-year-one-workload", "m-year-three-workloads"}


def cases(config) -> list[Path]:
    return sorted((Path(config.getoption("--reference")) / "optimiser").glob("*.json"))


def pytest_generate_tests(metafunc):
    files = cases(metafunc.config)
    for kind in ("plan", "billing", "frontier"):
        if f"{kind}_case" in metafunc.fixturenames:
            found = [f for f in files if json.loads(f.read_text()).get("kind", "plan") == kind]
            found = [pytest.param(f, marks=pytest.mark.slow) if f.stem in SLOW else f for f in found]
            absent = pytest.mark.skip(reason="no folder optimiser in the reference folder given by --reference")
            metafunc.parametrize(f"{kind}_case", found or [pytest.param(None, marks=absent)],
                                 ids=lambda f: f.stem if isinstance(f, Path) else "none")


def to_problem(case: dict) -> Problem:
    hours = case["hours"]["count"]
    weight = np.asarray(case["hours"].get("weight", [1.0] * hours), dtype=float)
    scenarios = case.get("scenarios", [{"id": "only", "probability": 1.0}])
    ids = [s["id"] for s in scenarios]
    budget, whole = case.get("budget", {}), case.get("integer", [])
    return Problem(
        workloads=tuple(workload(w, ids, {t["id"]: t for t in case["types"]}) for w in case["workloads"]),
        types=tuple(kind(t) for t in case["types"]), weight_h=weight,
        pools=tuple(Pool(p["id"], p["applies_to"], p.get("existing", 0.0), p.get("credit_per_unit")) for p in case.get("pools", [])),
        products=tuple(Product(b["id"], b["pool"], b.get("upfront", 0.0), b.get("hourly", 0.0), b.get("term_hours"), b.get("min", 0.0),
                               b.get("max"), b.get("step", 1.0)) for b in case.get("products", [])),
        limits=tuple(limit(row) for row in case.get("limits", [])), probability=np.array([s["probability"] for s in scenarios]),
        upfront_budget_usd=budget.get("upfront_max"), total_budget_usd=budget.get("total_max"),
        whole_instances="instances" in whole, whole_commitments="commitments" in whole)


def workload(w: dict, ids: list[str], types: dict) -> Workload:
    load = w["load"]
    rows = [load[s] for s in ids] if isinstance(load, dict) else [load] * len(ids)
    zones = w.get("zones", {})
    return Workload(
        w["id"], np.array(rows, dtype=float), w["capacity"],
        {i: c * types[i]["spot"].get("yield", 1.0) for i, c in w["capacity"].items() if "spot" in types[i]},
        w.get("headroom", 0.0), w.get("keep_hours", 0), w.get("lead_hours", 0), w.get("spot_share_max"), w.get("type_share_max"),
        w.get("shortage_cost"), {z: tuple(kinds) for z, kinds in zones.get("types", {}).items()}, zones.get("loss_share", 0.0),
        min_replicas=w.get("min_instances", 0.0), min_per_zone=w.get("min_per_zone", 0.0), serve_cost=w.get("serve_cost", {}))


def limit(row: dict) -> Limit:
    return Limit(row["id"], row["max"], tuple(row["types"]) if "types" in row else None, tuple(row.get("options", OPTIONS)),
                 tuple(row["workloads"]) if "workloads" in row else None, row.get("zone"), row.get("counts") == "vcpu")


def kind(t: dict) -> Type:
    spot = t.get("spot", {})
    return Type(t["id"], price(t.get("on_demand")), price(spot.get("price")), spot.get("max"), t.get("per_instance_hour", 0.0),
                t.get("vcpu", 1.0))


def price(value):
    return np.asarray(value, dtype=float) if isinstance(value, list) else value


def test_plan_costs_the_known_optimum(plan_case):
    case = json.loads(plan_case.read_text())
    problem, expected = to_problem(case), case["expected"]
    found = solve(build(problem).lp)
    assert found.status == expected["status"]
    if expected["status"] == "optimal":
        assert found.objective == pytest.approx(expected["cost"], rel=1e-6, abs=1e-9)
