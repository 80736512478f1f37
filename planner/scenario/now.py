"""What runs today, as people write it under ``today:``: machines by service, the last bill."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.scenario.parts import Name, NonNegative, Part, Positive

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Shift(Part):
    """Local hours ``from_hour`` to ``to_hour`` (exclusive) of some days in which ``count`` machines
    run; before ``from_hour`` where it is above ``to_hour``, as over midnight.
    """

    count: Count
    days: tuple[Day, ...] = DAYS
    from_hour: Annotated[int, Field(ge=0, le=23)] = 0
    to_hour: Annotated[int, Field(ge=1, le=24)] = 24


class Running(Part):
    """Machines of one type that serve a service today: a fixed ``count``, one that follows a
    ``schedule`` (``count`` at other hours), or an autoscaled group between ``min`` and ``max``.

    ``provider`` and ``region`` where the scenario names several. ``purchase_option``: how they are
    launched; what commitments held pay for stands in ``existing``.
    """

    instance_type: str = Field(min_length=1, max_length=80)
    count: Count | None = None
    min: Count | None = None
    max: Count | None = None
    schedule: tuple[Shift, ...] = ()
    purchase_option: Literal["on_demand", "spot"] = "on_demand"
    provider: str | None = None
    region: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ranged = self.min is not None and self.max is not None
        if (self.count is None) == (not ranged) or (self.min is None) != (self.max is None):
            raise ValueError("give either count (with or without a schedule) or both min and max")
        if self.schedule and ranged:
            raise ValueError("an autoscaled group follows the load, not a schedule; give count or leave it out")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("max must be ≥ min")
        return self


class ServiceToday(Part):
    """What serves one service today: ``machines``, and over how many ``zones`` they are spread."""

    machines: tuple[Running, ...] = Field(min_length=1)
    zones: Annotated[int, Field(ge=1, le=20)] | None = None


class LastBill(Part):
    """What was really paid for a month: a total, totals by service, or a FOCUS or AWS cost file."""

    usd_per_month: Positive | None = None
    services: dict[Name, NonNegative] = Field(default_factory=dict)
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum((self.usd_per_month is not None, bool(self.services), self.file is not None)) != 1:
            raise ValueError("give one of usd_per_month, services or file")
        return self


class Today(Part):
    """Today's fleet and bill. ``double_running_weeks``: how long old and new machines run beside
    each other in a move (assumed where not stated).
    """

    services: dict[Name, ServiceToday] = Field(min_length=1)
    bill: LastBill | None = None
    double_running_weeks: Annotated[float, Field(ge=0, le=52)] | None = None
