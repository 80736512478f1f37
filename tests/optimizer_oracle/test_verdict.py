"""Random tiny problems of every feature: what the headline and the bound of a plan claim is true."""

import pytest

from tests.optimizer_oracle.draw import draw
from tests.optimizer_oracle.verdict import judge

UNTRUE = ("untrue bound", "no bound", "rows", "mean of paths", "refused", "allowed", "error")


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 120))])
def test_what_a_plan_claims_is_true(seed):
    verdict = judge(draw(seed))
    assert not {k: v for k, v in verdict.faults.items() if k in UNTRUE}
