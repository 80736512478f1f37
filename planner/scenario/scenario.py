"""The scenario itself: one question to the planner, read from YAML, varied by dotted overrides,
written back.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, field_validator, model_validator

from planner.errors import ScenarioError
from planner.scenario.now import Today
from planner.scenario.parts import (
    Exchange,
    Existing,
    Limits,
    Name,
    OtherCost,
    Owner,
    Part,
    PriceAdjustment,
    Service,
    known_zone,
)
from planner.scenario.written import assign, build, parse, parts


class Scenario(Part):
    """One question to the planner. ``folder`` (not written) is where relative traffic files are
    looked for. Money is planned in USD; with another ``currency`` answers show both, at the stated
    rate of ``exchange``.
    """

    name: Name
    state: Literal["idea", "agreed", "budgeted"] = "idea"
    start: date
    horizon_h: int = Field(default=8760, ge=1, le=3 * 8784)
    time_zone: str = "UTC"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    exchange: Exchange | None = None
    providers: tuple[str, ...] = Field(min_length=1)
    regions: tuple[str, ...] = Field(min_length=1)
    services: dict[Name, Service] = Field(min_length=1)
    limits: Limits = Limits()
    existing: tuple[Existing, ...] = ()
    price_adjustments: tuple[PriceAdjustment, ...] = ()
    today: Today | None = None
    other_costs: tuple[OtherCost, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**32)
    folder: Path | None = Field(default=None, exclude=True, repr=False)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return known_zone(value)

    @field_validator("providers", "regions")
    @classmethod
    def _unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not repeat a name")
        return value

    @model_validator(mode="after")
    def _rated(self) -> Scenario:
        if (self.currency == "USD") != (self.exchange is None):
            raise ValueError(
                "currency USD needs no exchange"
                if self.exchange
                else f"currency {self.currency} needs its rate: exchange: {{per_usd: 0.92, as_of: 2026-11-20}}"
            )
        return self

    @model_validator(mode="after")
    def _known_today(self) -> Scenario:
        strange = sorted(set(self.today.services) - set(self.services)) if self.today else []
        if self.today and self.today.bill:
            strange += sorted(set(self.today.bill.services) - set(self.services))
        if strange:
            near = difflib.get_close_matches(strange[0], sorted(self.services), n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; services are {', '.join(self.services)}"
            raise ValueError(f"today names no service of the scenario: {strange[0]}{hint}")
        return self

    @classmethod
    def read(cls, path: str | Path) -> Scenario:
        """Read a YAML file. Raises :class:`ScenarioError` with every fault, its path, value and
        line.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioError(
                f"cannot be read as UTF-8 text: {error}. Give the path of a scenario YAML file",
                where=path,
            ) from None
        return cls.from_yaml(text, where=str(path), folder=path.parent)

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "scenario", folder: Path | None = None) -> Scenario:
        """Parse YAML text; repeated keys and unknown keys are refused. Raises
        :class:`ScenarioError`.

        ``folder``: where relative files are looked for. All faults of a text are told together.
        """
        raw, lines = parse(text, where)
        return build(cls, raw, lines, where, folder)

    def to_yaml(self) -> str:
        """YAML text that reads back as the same scenario.

        Fields that hold their default are left out, so the text is what a person would have
        written.
        """
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)

    def write(self, path: str | Path) -> None:
        """Write :meth:`to_yaml` to a file, whole or not at all."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        part.write_text(self.to_yaml(), encoding="utf-8")
        part.replace(path)

    def replace(self, **overrides: Any) -> Scenario:
        """A copy with dotted fields set: ``replace(**{"limits.max_spot_share": 0.2})``. Raises
        :class:`ScenarioError`.

        Other fields stay, also those stated at their default: what is stated is no assumption. What
        is set is checked as if it had been written in the file.
        """
        raw = self.model_dump(mode="json", exclude_unset=True)
        for dotted, value in overrides.items():
            assign(raw, dotted, deepcopy(value))  # later fields may be set inside it
        return build(type(self), raw, {}, "override", self.folder)

    def override(self, assignments: Sequence[str]) -> Scenario:
        """Apply ``path=value`` texts (values in YAML), as ``--set`` on the command line and a link
        in the app do.

        Raises :class:`ScenarioError` for a text that is no ``path=value``, or names no field.
        """
        pairs: dict[str, Any] = {}
        for text in assignments:
            dotted, sign, value = text.partition("=")
            if not sign or not dotted.strip():
                raise ScenarioError(
                    f"an override must read path=value, such as limits.max_spot_share=0.3 (got {text!r})",
                    where="override",
                )
            pairs[dotted.strip()] = parse(value, f"override {dotted.strip()}")[0]
        return self.replace(**pairs)

    def at(self, path: str) -> Any:
        """What stands at a dotted path, such as ``services.web.objective.latency_p99_s``; ``None``
        where nothing does.
        """
        found: Any = self
        for part in parts(path, self.services):
            found = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
        return found

    def traffic_file(self, service: str) -> Path:
        """The history file of a service: looked for beside the scenario, then one folder up. Raises
        :class:`ScenarioError`, also where the service has no history but ``requests_per_day``.
        """
        written = self.services[service].traffic.file
        if written is None:
            raise ScenarioError(
                f"services.{service}.traffic: a service without history has no file. Give traffic.file",
                where=self.name,
            )
        return self._beside(service, "traffic", Path(written))

    def traffic_files(self, service: str) -> tuple[Path, ...]:
        """Every file the load of a service rests on: history, request log, own shape. Raises
        :class:`ScenarioError` for one that is not there.
        """
        traffic = self.services[service].traffic
        shape = None if traffic.shape is None else (self.folder or Path()) / traffic.shape
        found = (self.traffic_file(service) if traffic.file else None, self.request_file(service))
        own = (shape,) if shape and os.path.isfile(shape) else ()
        return (*(f for f in found if f), *own)

    def request_file(self, service: str) -> Path | None:
        """The request log of a service, looked for as the history; ``None`` if it names none.
        Raises :class:`ScenarioError`.
        """
        written = self.services[service].traffic.requests
        return None if written is None else self._beside(service, "traffic.requests", Path(written))

    def _beside(self, service: str, key: str, written: Path) -> Path:
        folder = self.folder or Path()
        for place in (folder, folder.parent):
            if os.path.isfile(place / written):
                return place / written
        raise ScenarioError(
            f"services.{service}.{key}: no file {written} beside the scenario. "
            "Give a path relative to the scenario file",
            where=self.name,
        )

    @model_validator(mode="after")
    def _one_budget_a_team(self) -> Scenario:
        said: dict[str, set[float]] = {}
        for owner in self._owners():
            if owner.budget_usd_per_month is not None:
                said.setdefault(owner.team, set()).add(owner.budget_usd_per_month)
        for team, budgets in said.items():
            if len(budgets) > 1:
                raise ValueError(
                    f"team {team} has several budgets: {sorted(budgets)}; state one for all it answers for"
                )
        return self

    def _owners(self) -> Iterator[Owner]:
        yield from (s.owner for s in self.services.values() if s.owner)
        others = [*self.other_costs, *(c for s in self.services.values() for c in s.other_costs)]
        yield from (c.owner for c in others if c.owner)

    @property
    def team_budgets(self) -> dict[str, float]:
        """Budget of each team that states one [USD/month]."""
        return {o.team: o.budget_usd_per_month for o in self._owners() if o.budget_usd_per_month is not None}

    @property
    def per_usd(self) -> float:
        """How much of ``currency`` a dollar is; 1 for USD."""
        return self.exchange.per_usd if self.exchange else 1.0

    @property
    def usd_per(self) -> dict[str, float]:
        """Dollars for one unit of ``currency`` by its code, where that is not the dollar itself."""
        return {} if self.exchange is None else {self.currency: 1 / self.per_usd}

    @property
    def start_utc(self) -> datetime:
        """First instant of the horizon: local midnight of ``start`` in ``time_zone``, as UTC.

        A date has no hour of its own: the same ``start`` in Tokyo comes nine hours before that in
        London.
        """
        return datetime(self.start.year, self.start.month, self.start.day, tzinfo=ZoneInfo(self.time_zone)).astimezone(
            UTC
        )

    @property
    def end_utc(self) -> datetime:
        """First instant after the horizon, as UTC."""
        return self.start_utc + timedelta(hours=self.horizon_h)
