"""Twenty readers of one server at once: each gets the answer to the own question, equal ones share
the work.
"""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace

import pytest

from planner.catalog import Catalog
from planner.scenario import Scenario
from planner.study import run
from planner.ui import session
from tests.builders import study as hand
from tests.builders.small import SCENARIO, traffic

SHARES = [0.0, 0.1, 0.2, 0.3]


class Made(SimpleNamespace):
    """A study made by hand, of which one can see that it is gone."""


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


def test_what_is_made_of_a_study_goes_with_it_and_is_bounded():
    """What a reader types is part of its name, so many names of one study must not pile up."""

    class Thing:
        """Something that can be seen to go."""

    def made(study, names):
        return [weakref.ref(session.worked_out(study, name, Thing)) for name in names]

    by_hand = vars(hand.study())
    study = Made(**by_hand)
    many = made(study, [f"names {k}" for k in range(3 * session.THINGS)])
    gc.collect()
    assert [ref() is not None for ref in many] == [False] * (2 * session.THINGS) + [True] * session.THINGS
    one = session.worked_out(study, f"names {3 * session.THINGS - 1}", Thing)
    assert one is many[-1]()
    studies = [Made(**by_hand) for _ in range(3 * session.SHELVES)]
    first = [made(s, ["x"])[0] for s in studies]
    del one, study
    gc.collect()
    assert sum(ref() is not None for ref in (*many, *first)) == session.SHELVES
    studies.clear()
    gc.collect()
    assert not any(ref() for ref in first)


def test_what_takes_long_holds_up_nothing_else_of_its_study():
    """A chart is drawn while the same study is strained."""
    study, begun, done = Made(**vars(hand.study())), Event(), Event()

    def slow():
        begun.set()
        assert done.wait(60)
        return "strained"

    with ThreadPoolExecutor(1) as other:
        strained = other.submit(session.worked_out, study, "strain", slow)
        assert begun.wait(60)
        assert session.worked_out(study, "chart", lambda: "drawn") == "drawn"
        done.set()
        assert strained.result() == "strained"


def test_what_is_made_of_a_study_is_made_once(scenario):
    made = []
    first, other = session.study(scenario), session.study(scenario.replace(**{"limits.max_spot_share": 0.1}))

    def work(name):
        return session.worked_out(first, "thing", lambda: made.append(name) or name)

    with ThreadPoolExecutor(8) as readers:
        assert len(set(readers.map(work, range(8)))) == 1
    assert len(made) == 1
    assert session.worked_out(other, "thing", lambda: "other") == "other"
