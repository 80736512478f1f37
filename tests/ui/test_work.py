"""The work behind a page: handed on stage by stage, shared by who waits for it, given up where nobody
does.
"""

from contextlib import closing
from threading import Event
from types import SimpleNamespace

import pytest

from planner.errors import InfeasiblePlan
from planner.scenario import Scenario
from planner.study import Planned, Study
from planner.ui import session
from planner.ui.work import GivenUp, Work
from tests.builders import study as hand
from tests.builders.small import SCENARIO, traffic


class LeftThePage(Exception):
    """What Streamlit raises where a run is not wanted any more."""


@pytest.fixture(name="made")
def made_by_hand():
    """Stages made by hand, with what was begun of them; ``last`` holds the last one back."""
    found = hand.study()
    parts = {k: getattr(found, k) for k in ("scenario", "catalog", "load", "capacity", "plan")}
    decided = Planned(traffic={}, **parts)
    whole = Study(traffic={}, replay=found.replay, **parts)
    state = SimpleNamespace(begun=[], ended=Event(), last=Event(), decided=decided, whole=whole)
    state.last.set()

    def make(progress, seen):
        try:
            for name in ("deciding", "proving"):
                progress(name)
                state.begun.append(name)
                seen(decided)
            progress("replaying")
            state.begun.append("replaying")
            assert state.last.wait(60)
            progress("setting it beside today")
            return whole
        finally:
            state.ended.set()

    state.make = make
    return state


def patient(_):
    """Goes on waiting."""


def test_the_last_stage_is_the_whole_study(made):
    work = Work(made.make)
    assert list(work.known(patient)) == [made.decided, made.decided, made.whole]
    assert list(work.known(patient)) == [made.whole], "who comes late sees it at once"
    assert work.join(), "work that is done can be waited for"


def test_the_proof_begins_when_the_decided_plan_was_drawn(made):
    stages = (work := Work(made.make)).known(patient)
    next(stages)
    assert made.begun == ["deciding"]
    next(stages)
    assert made.begun == ["deciding", "proving"]
    assert next(stages) is made.whole
    work.leave()


def test_work_that_nobody_waits_for_is_given_up_and_begun_anew(made):
    work = Work(made.make)
    next(work.known(patient))
    work.leave()
    assert made.ended.wait(60)
    assert made.begun == ["deciding"]
    with pytest.raises(GivenUp):
        list(work.known(patient))
    assert not work.join()


def test_a_reader_who_moves_on_in_the_middle_ends_the_work(made):
    made.last.clear()

    def moves_on(stage):
        if stage == "replaying":
            raise LeftThePage

    work = Work(made.make)
    with pytest.raises(LeftThePage):
        list(work.known(moves_on))
    work.leave()
    made.last.set()
    assert made.ended.wait(60)
    assert not work.join()


def test_the_work_goes_on_while_another_waits(made):
    work = Work(made.make)
    assert work.join()
    next(work.known(patient))
    work.leave()
    assert list(work.known(patient))[-1] is made.whole


def test_what_the_work_raises_reaches_everyone_who_waits():
    def make(progress, seen):
        raise InfeasiblePlan("nothing fits", where="limits")

    work = Work(make)
    for _ in range(2):
        with pytest.raises(InfeasiblePlan, match="nothing fits"):
            list(work.known(patient))
    assert not work.join(), "the next one tries again"


@pytest.fixture(name="scenario")
def small_scenario(tmp_path):
    traffic().to_csv(tmp_path / "web.csv", index=False)
    return Scenario.from_yaml(SCENARIO, folder=tmp_path)


@pytest.mark.slow
def test_the_stages_of_a_study_end_in_the_answer_of_the_command_line(scenario):
    stages = list(session.stages(scenario))
    assert [isinstance(found, Study) for found in stages] == [False, False, True]
    assert [found.plan.certificate.proven for found in stages] == [False, True, True]
    assert len({found.plan.total_usd for found in stages}) == 1
    assert list(session.stages(scenario)) == [stages[-1]], "and are there at once the next time"


@pytest.mark.slow
def test_a_study_left_halfway_lends_its_load_to_the_next(scenario):
    with closing(session.stages(scenario)) as stages:
        left = next(stages)
    found = session.study(scenario.replace(**{"limits.max_spot_share": 0.3}))
    assert found.load is left.load
    assert found.capacity is left.capacity
