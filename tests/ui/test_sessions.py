"""Twenty readers of one server at once: each gets the answer to the own question, equal ones share
the work.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from planner.catalog import Catalog
from planner.scenario import Scenario
from planner.study import run
from planner.ui import session
from tests.builders.small import SCENARIO, traffic

SHARES = [0.0, 0.1, 0.2, 0.3]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    traffic().to_csv(folder / "web.csv", index=False)
    (folder / "small.yaml").write_text(SCENARIO)
    return Scenario.read(folder / "small.yaml")


@pytest.mark.slow
def test_twenty_sessions_do_not_mix(scenario):
    asked = [scenario.replace(**{"limits.max_spot_share": share}) for share in SHARES * 5]
    with ThreadPoolExecutor(20) as readers:
        found = list(readers.map(session.study, asked))
    for k, study in enumerate(found):
        assert study is found[k % len(SHARES)]
        assert study.scenario.limits.max_spot_share == SHARES[k % len(SHARES)]
    catalog = Catalog.read(*scenario.providers, regions=scenario.regions)
    alone = run(scenario.replace(**{"limits.max_spot_share": SHARES[-1]}), catalog, paths=session.PATHS)
    assert found[-1].plan.total_usd == alone.plan.total_usd
    assert found[-1].replay.within_share() == alone.replay.within_share()


def test_what_is_made_of_a_study_is_made_once_and_goes_with_it(scenario):
    made = []
    first, other = session.study(scenario), session.study(scenario.replace(**{"limits.max_spot_share": 0.1}))

    def work(name):
        return session.worked_out(first, "thing", lambda: made.append(name) or name)

    with ThreadPoolExecutor(8) as readers:
        assert len(set(readers.map(work, range(8)))) == 1
    assert len(made) == 1
    assert session.worked_out(other, "thing", lambda: "other") == "other"
