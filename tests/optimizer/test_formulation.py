"""One golden .lp for each constraint; every constraint name stands in the docstring, a golden file
and a plain sentence.
"""

from pathlib import Path

import numpy as np
import pytest

from planner.optimizer.answer.bindings import SENTENCES
from planner.optimizer.program import model
from planner.optimizer.program.problem import Limit, Pool, Problem, Product, Type, Workload
from planner.optimizer.program.solve import solve
from tests.builders import ROOT

GOLDEN = ROOT / "tests/golden"
TYPES = (Type("a", 1.0, 0.4), Type("b", 1.8))


def one(load=(25.0, 70.0), *, types=TYPES, pools=(), products=(), limits=(), problem=None, **workload) -> Problem:
    w = Workload("w", np.array([load]), {t.name: c for t, c in zip(types, (10.0, 20.0), strict=False)}, **workload)
    return Problem((w,), types, np.ones(len(load)), tuple(pools), tuple(products), tuple(limits), **(problem or {}))


RESERVED = {
    "types": (Type("a", 1.0),),
    "pools": [Pool("ri", {"a": 1.0}, existing=1.0)],
    "products": [Product("ri-1y", "ri", 3.0, 0.2, 10.0)],
}
CASES = {
    "serve": one(),
    "pool": one(**RESERVED),
    "credit": one(
        types=(Type("a", 1.0),),
        pools=[Pool("cud", {"a": 4.0}, credit_usd=0.1)],
        products=[Product("cud-1y", "cud", 0.0, 0.06)],
    ),
    "spot_share": one(spot_share=0.5),
    "spot_max": one(types=(Type("a", 1.0, 0.4, spot_max=2.0),)),
    "type_share": one(type_share=0.6),
    "other_types": one(others_share=0.4, min_replicas=2.0),
    "zones": one(zones={"z1": ("a", "b"), "z2": ("a",), "z3": ("b",)}, zone_loss_share=1.0, min_per_zone=1.0),
    "min_instances": one((5.0,), min_replicas=3.0),
    "max_instances": one((70.0,), max_replicas=5.0),
    "flow": one(serve_cost={"b": 0.01}),
    "limit": one(limits=[Limit("quota", 2.0, ("a",), ("on_demand", "spot"))]),
    "product": one(
        types=(Type("a", 1.0),),
        pools=[Pool("ri", {"a": 1.0})],
        products=[Product("ri-1y", "ri", 3.0, 0.2, 10.0, minimum=1.0, maximum=4.0)],
    ),
    "upfront_budget": one(**RESERVED, problem={"upfront_budget_usd": 6.0}),
    "total_budget": one(shortage_usd=5.0, problem={"total_budget_usd": 3.0}),
    "whole": one(**RESERVED, problem={"whole_instances": True, "whole_commitments": True}),
}


def text_of(problem: Problem, path: Path) -> str:
    built = model.build(problem)
    built.lp.writeLP(str(path))
    return path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_the_program_is_the_golden_one(name, tmp_path):
    assert text_of(CASES[name], tmp_path / "found.lp") == (GOLDEN / f"{name}.lp").read_text()


@pytest.mark.parametrize("name", CASES)
def test_the_golden_program_can_be_solved(name):
    assert solve(model.build(CASES[name]).lp).optimal


def test_every_constraint_has_a_name_a_golden_program_and_a_sentence():
    golden = "\n".join(p.read_text() for p in GOLDEN.glob("*.lp"))
    for constraint in model.CONSTRAINTS:
        assert constraint in (model.__doc__ or "")
        assert f"\n{constraint}" in golden, constraint
        assert "{usd} USD" in SENTENCES[constraint]
    assert set(SENTENCES) == set(model.CONSTRAINTS)


def test_names_that_become_one_in_an_lp_file_stay_apart():
    types = (Type("m-1", 1.0), Type("m_1", 2.0), Type("m 1", 3.0))
    w = Workload("w", np.array([[30.0]]), {"m-1": 1.0, "m_1": 10.0, "m 1": 5.0}, type_share=0.5)
    found = solve(model.build(Problem((w,), types, np.ones(1))).lp)
    assert found.objective == pytest.approx(1.5 * 2.0 + 3.0 * 3.0)
