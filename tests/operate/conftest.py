"""A small study and its files, made once."""

import pytest

from planner.operate import texts
from planner.scenario import Scenario
from planner.study import run
from tests.builders.small import SCENARIO, traffic

TWO = SCENARIO.replace("  web:\n    owner: {team: shop}", "  web:\n    owner: {team: shop, on_call: shop-oncall}")
BESIDE = """
other_costs:
  - {name: audit, usd_per_month: 90}
"""


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Three days of one service on AWS, with a budget, a commitment to sign and a cost nobody owns."""
    folder = tmp_path_factory.mktemp("small")
    traffic().to_csv(folder / "web.csv", index=False)
    scenario = Scenario.from_yaml(TWO + BESIDE, folder=folder).replace(**{"limits.budget_usd_per_month": 5000})
    return run(scenario, paths=20)


@pytest.fixture(scope="session")
def files(study):
    return texts(study)
