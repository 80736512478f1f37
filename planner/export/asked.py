"""What an export is made of: an answered question, and which revision and vintage of it this is."""

from typing import NamedTuple, Protocol

from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.load import Load
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator import Replay


class Planned(Protocol):
    """A question answered as far as a plan and its bill; :class:`planner.study.Planned` is one."""

    @property
    def scenario(self) -> Scenario:
        """What was asked."""

    @property
    def catalog(self) -> Catalog:
        """The prices it was answered with."""

    @property
    def load(self) -> Load:
        """What is to arrive."""

    @property
    def capacity(self) -> Capacity:
        """What each machine bears of it."""

    @property
    def plan(self) -> Plan:
        """What to buy and run, and every charge of it."""


class Answered(Planned, Protocol):
    """A question with its answer; :class:`planner.Study` is one."""

    @property
    def replay(self) -> Replay | None:
        """How the plan would have held; ``None`` where it was not played."""


class Origin(NamedTuple):
    """Where a file comes from: ``revision`` of the stored scenario, empty until it is stored;
    ``vintage``, the day the plan was made (ISO date), empty where it is not said.
    """

    revision: str = ""
    vintage: str = ""


UNSTORED = Origin()
