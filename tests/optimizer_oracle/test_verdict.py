"""Random tiny problems of every feature: what the headline and the bound of a plan claim is true."""

import numpy as np
import pytest

from planner.optimizer.answer import bound
from tests.optimizer_oracle.draw import draw
from tests.optimizer_oracle.verdict import EQUAL, judge

MOST_ABOVE = 0.1  # over the best plan listed, of any plan


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 120))])
def test_what_a_plan_claims_is_true(seed):
    verdict = judge(draw(seed))
    assert not verdict.faults
    assert not verdict.above > MOST_ABOVE, verdict.told


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(n, marks=pytest.mark.slow) for n in range(6, 60))])
def test_a_bound_whose_sets_are_too_many_to_be_listed_is_true(seed, monkeypatch):
    monkeypatch.setattr(bound, "MOST_SETS", 3)
    assert not judge(draw(seed)).faults


@pytest.mark.slow
def test_few_of_many_plans_are_dearer_than_the_best_one_listed():
    above = np.array([judge(draw(seed)).above for seed in range(40)])
    above = above[np.isfinite(above)]
    print(f"{(above > EQUAL).sum()} of {len(above)} above, mean {above.mean():.5f}, worst {above.max():.4f}")
    assert (above > EQUAL).mean() <= 0.05
    assert above.mean() <= 1e-3
