"""The parts of a scenario: services, objectives, limits, commitments held; frozen, with units in
the names.

Shares are fractions (0 to 1), times seconds unless the name says otherwise, money USD.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from planner.scenario.sizes import beyond
from planner.zones import Zones

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _plain_name(value: str) -> str:
    """Letters and digits of any script. Raises ValueError in words, not as a pattern."""
    if not value[0].isalnum() or not all(c.isalnum() or c in " ._/-" for c in value):
        raise ValueError("must begin with a letter or digit and hold letters, digits, spaces and . _ / - only")
    return value


Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_plain_name)]

MAX_REQUESTS_PER_DAY = 1e14  # a thousand times the busiest public services
METRICS = ("latency", "ttft", "tpot")
PERCENTILES = (50, 90, 95, 99)


class Part(BaseModel):
    """A frozen part of a scenario that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _of_a_size(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a figure that no service has, by the unit of its field."""
        if cls is Range:  # by the name of the field that it fills
            return value
        name = info.field_name or ""
        held = value.values() if isinstance(value, dict) else value.ends if isinstance(value, Range) else (value,)
        if said := next(filter(None, (beyond(name, one) for one in held)), ""):
            raise ValueError(said)
        return value


class Range(Part):
    """An uncertain number: triangular between ``low`` and ``high`` with mode ``likely``; a plain
    number is certain.
    """

    low: float = Field(allow_inf_nan=False)
    likely: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"low": value, "likely": value, "high": value}
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.likely <= self.high:
            raise ValueError("must have low ≤ likely ≤ high")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: Any) -> Any:
        return self.likely if self.certain else handler(self)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest it may be."""
        return self.low, self.high

    @property
    def certain(self) -> bool:
        """True when low = high."""
        return self.low == self.high


class Owner(Part):
    """Who answers for a service and its bill. ``budget_usd_per_month`` is the team's for all it
    answers for: stated once, or alike everywhere. It is shown beside the cost, not planned for
    (``limits.budget_usd_per_month`` is).
    """

    team: Name
    on_call: str | None = None
    cost_center: str | None = None
    budget_usd_per_month: Positive | None = None


class Event(Part):
    """A known change of load between two local dates (``end`` exclusive): a ``multiplier`` or
    ``added_rps``.
    """

    name: Name
    start: date | datetime
    end: date | datetime
    multiplier: Range | None = None
    added_rps: Range | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> Self:
        if (self.multiplier is None) == (self.added_rps is None):
            raise ValueError("give either multiplier or added_rps")
        if self.multiplier is not None and self.multiplier.low < 0:
            raise ValueError("multiplier must be ≥ 0")
        if _instant(self.end) <= _instant(self.start):
            raise ValueError("end must be after start")
        return self


def _instant(when: date | datetime) -> datetime:
    return when.replace(tzinfo=None) if isinstance(when, datetime) else datetime(when.year, when.month, when.day)


class TrafficSource(Part):
    """Where a service's history lies and how to read it; a plain file name means CSV or Parquet
    with standard columns.

    ``columns`` maps the planner's column names (``ts arrival_rate_rps input_tokens output_tokens``)
    to the file's; several for ``arrival_rate_rps`` are added up. ``value`` says what the value
    column counts: requests a second, requests in each interval, or a counter since some start.
    ``start`` is the instant from which numeric stamps count, ``stamp_unit`` their unit;
    ``date_order`` settles 3/4/2026. ``holidays`` is a country (``DE``) or subdivision (``DE-BE``)
    code. ``requests`` is a log of single requests of the same service, for joint token lengths and
    the spread of arrivals.

    A service without history gives ``requests_per_day`` (a number, or a range of what it may be)
    and a ``shape`` in place of a file: office, consumer, batch, flat, mixed, or an own CSV file of
    24 or 168 hours. ``shape`` also spreads a history of daily totals over the hours.

    ``burst_factor`` (at least 1) states the busiest moments over the hourly mean, in place of what
    the file shows or its rate lets expect.
    """

    file: str | None = Field(default=None, min_length=1)
    requests_per_day: Range | None = None
    shape: str | None = Field(default=None, min_length=1)
    requests: str | None = None
    format: str | None = None
    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    value: Literal["requests_per_s", "requests_per_interval", "counter"] | None = None
    start: datetime | date | None = None
    stamp_unit: Literal["s", "ms", "us", "ns"] | None = None
    date_order: Literal["day_first", "month_first"] | None = None
    time_zone: str | None = None
    user_time_zone: str | None = None
    holidays: str | None = None
    gaps: Literal["keep", "zero"] = "keep"
    burst_factor: float | None = Field(default=None, ge=1, le=100)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @field_validator("columns", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Columns may be called 200 or 404, which YAML reads as numbers."""

        def name(of: Any) -> Any:
            if isinstance(of, list | tuple):
                return tuple(map(name, of))
            return str(of) if isinstance(of, int) and not isinstance(of, bool) else of

        return {k: name(v) for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file is None) == (self.requests_per_day is None):
            raise ValueError("give either a file, or requests_per_day and a shape for a service without history")
        if self.requests_per_day is None:
            return self
        if self.shape is None:
            raise ValueError("requests_per_day needs a shape: office, consumer, batch, flat, mixed or an own CSV file")
        if not 0 < self.requests_per_day.low <= self.requests_per_day.high <= MAX_REQUESTS_PER_DAY:
            raise ValueError("requests_per_day must be above 0 and at most 1e14")
        beside = [k for k in ("requests", "format", "value", "start", "stamp_unit") if getattr(self, k) is not None]
        if beside:
            raise ValueError(f"{beside[0]} belongs to a file; a service without history has none")
        return self

    @field_validator("time_zone", "user_time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @property
    def demand_columns(self) -> tuple[str, ...]:
        """File columns that hold the demand, as stated; empty if none is."""
        stated = self.columns.get("arrival_rate_rps", ())
        return (stated,) if isinstance(stated, str) else stated

    def column(self, name: str) -> str:
        """The one file column stated for ``name``; empty if none is."""
        stated = self.columns.get(name, "")
        return stated if isinstance(stated, str) else next(iter(stated), "")


class LatencySpec(BaseModel):
    """Name of a latency model; all other keys are that model's own parameters, checked by it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The model's own parameters as written."""
        return dict(self.model_extra or {})

    @property
    def holds_bursts(self) -> bool:
        """Whether its latencies come from production, where requests bunch within the hour as they
        do.
        """
        return self.model == "observed"


class Objective(Part):
    """What must hold. At least one latency bound; ``load_quantile`` of each hour's load uncertainty
    must be served.
    """

    latency_p50_s: Positive | None = None
    latency_p90_s: Positive | None = None
    latency_p95_s: Positive | None = None
    latency_p99_s: Positive | None = None
    ttft_p50_s: Positive | None = None
    ttft_p90_s: Positive | None = None
    ttft_p95_s: Positive | None = None
    ttft_p99_s: Positive | None = None
    tpot_p50_s: Positive | None = None
    tpot_p90_s: Positive | None = None
    tpot_p95_s: Positive | None = None
    tpot_p99_s: Positive | None = None
    availability_share: OpenShare | None = None
    load_quantile: OpenShare = 0.95

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if not tuple(self.bounds()):
            raise ValueError("needs at least one latency bound, such as latency_p99_s: 0.3")
        return self

    def bounds(self) -> Iterator[tuple[str, str, float, float]]:
        """Each bound as ``(name, metric, quantile, limit_s)``, e.g. ``("ttft_p95_s", "ttft", 0.95,
        0.8)``.
        """
        for metric in METRICS:
            for percent in PERCENTILES:
                name = f"{metric}_p{percent}_s"
                limit = getattr(self, name)
                if limit is not None:
                    yield name, metric, percent / 100, limit


class Autoscaling(Part):
    """What runs as load comes, and the bounds and delays of the replicas.

    ``policy``: follow (machines follow each future's load, with the delays), scheduled (the hourly
    plan for ``load_quantile`` runs whatever comes) or static (one fleet for the whole horizon);
    ``autoscaler``: the rule by which they follow it. ``target_utilization`` overrides the planner's
    own headroom if given.
    """

    policy: Literal["follow", "scheduled", "static"] = "follow"
    autoscaler: Literal["hpa", "target_tracking", "keda"] = "hpa"
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int | None = Field(default=None, ge=1)
    target_utilization: OpenShare | None = None
    scale_up_delay_s: NonNegative | None = None
    scale_down_delay_s: NonNegative = 300.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas must be ≥ min_replicas")
        return self


class OtherCost(Part):
    """A cost that no machine, disk or request causes: a control plane, support, licences, a managed
    database.

    One of ``usd_per_month``, ``usd_per_h`` and ``share_of_bill`` (of all charges of the service or,
    on the scenario, of the whole plan but shares like it). ``owner`` answers for it, by default the
    service's.
    """

    name: Name
    usd_per_month: NonNegative | None = None
    usd_per_h: NonNegative | None = None
    share_of_bill: Annotated[float, Field(ge=0, le=1)] | None = None
    owner: Owner | None = None
    charge: Literal["control_plane", "support", "licenses", "database", "other"] = "other"

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if sum(v is not None for v in (self.usd_per_month, self.usd_per_h, self.share_of_bill)) != 1:
            raise ValueError("give one of usd_per_month, usd_per_h and share_of_bill")
        return self


class LifecycleStep(Part):
    """Objects move to a colder class once they are ``after_months`` calendar months old.

    ``storage_tier``: infrequent (Standard-IA, Nearline, Cool), cold (Glacier Instant Retrieval,
    Coldline, Cold) or archive (Glacier Deep Archive, Archive).
    """

    after_months: Positive
    storage_tier: Literal["infrequent", "cold", "archive"]


class Storage(Part):
    """Storage of one service. ``block_gib`` hangs on each instance, of ``block_class`` (gp3, gp2,
    io2, pd-ssd …; by provider where several are planned for); object storage is shared by all.

    ``artifact_gib``: one version of the model it serves (known for a language model);
    ``artifact_versions`` of it lie in object storage and one on each instance, whose disk grows to
    hold it.

    ``object_gib`` is there at the start, ``object_age_months`` old, and stays; what
    ``object_growth_gib_per_month`` adds, evenly over each month, is deleted after
    ``object_retention_months``. Both move through ``object_lifecycle``. ``object_size_gib``: of a
    mean object, which decides how many requests a move takes. ``object_retrieval_share_per_month``:
    part of the colder classes that is read each month. ``object_puts_per_request``,
    ``object_gets_per_request``: requests to the store that one request causes. Disks, logs, metrics
    and versions are assumed where nothing is stated (``planner.capacity.assumed``); 0 is none.
    """

    block_gib: NonNegative | None = None
    block_class: str | dict[str, str] | None = None
    block_iops: NonNegative | None = None
    block_mib_per_s: NonNegative | None = None
    artifact_gib: NonNegative | None = None
    artifact_versions: int | None = Field(default=None, ge=0)
    object_gib: NonNegative = 0.0
    object_age_months: NonNegative = 0.0
    object_growth_gib_per_month: NonNegative = 0.0
    object_retention_months: int | None = Field(default=None, ge=1)
    object_lifecycle: tuple[LifecycleStep, ...] = ()
    object_size_gib: Positive | None = None
    object_retrieval_share_per_month: NonNegative = 0.0
    object_puts_per_request: NonNegative = 0.0
    object_gets_per_request: NonNegative = 0.0
    log_gib_per_request: NonNegative | None = None
    metrics_per_instance: NonNegative | None = None

    @model_validator(mode="after")
    def _colder_with_age(self) -> Self:
        steps, order = self.object_lifecycle, ("infrequent", "cold", "archive")
        if any(
            a.after_months >= b.after_months or order.index(a.storage_tier) >= order.index(b.storage_tier)
            for a, b in pairwise(steps)
        ):
            raise ValueError("object_lifecycle must go from young to old and from warm to cold")
        if (
            steps
            and self.object_retention_months is not None
            and steps[-1].after_months >= self.object_retention_months
        ):
            raise ValueError("object_lifecycle must end before object_retention_months")
        return self


class Network(Part):
    """Network of one service, for each request; ``cross_zone_share`` of the internal traffic
    crosses zones.

    Where nothing is stated a share, the NAT volume and the addresses are assumed
    (``planner.capacity.assumed``); 0 is none. ``public_ipv4`` counts all addresses of the service.
    """

    egress_gib_per_request: NonNegative = 0.0
    internal_gib_per_request: NonNegative = 0.0
    cross_zone_share: Share | None = None
    nat_gib_per_request: NonNegative | None = None
    load_balancer: bool = True
    public_ipv4: int | None = Field(default=None, ge=0)


class Service(Part):
    """One workload: who owns it, what arrives, what must hold, what it stores and sends.

    ``retry_share`` of all tries are repeated ones; ``retries`` is how often a client tries a failed
    request again.
    """

    owner: Owner | None = None
    traffic: TrafficSource
    growth_share_per_year: Range = Range(low=0.0, likely=0.0, high=0.0)
    events: tuple[Event, ...] = ()
    latency: LatencySpec
    objective: Objective
    autoscaling: Autoscaling = Autoscaling()
    storage: Storage = Storage()
    network: Network = Network()
    other_costs: tuple[OtherCost, ...] = ()
    retry_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    retries: int | None = Field(default=None, ge=0, le=100)

    @field_validator("growth_share_per_year")
    @classmethod
    def _growth(cls, value: Range) -> Range:
        if value.low <= -1:
            raise ValueError("growth must be above -1 (-100 %)")
        return value


class Limits(Part):
    """Bounds on what may be bought, over all services. ``None`` means no bound.

    Each service keeps at most ``max_instance_types`` (each on demand and spot) in at most
    ``max_regions`` over the horizon. ``budget_usd_per_month`` bounds the effective cost of every
    month, expected or the P90 of its bill (``budget_basis``); ``upfront_budget_usd`` the cash paid
    at signing in all.
    """

    max_spot_share: Share = 0.0
    quota: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    max_term_months: int = Field(default=12, ge=0)
    payments: tuple[Literal["none", "partial", "all"], ...] = ("none", "partial", "all")
    budget_usd_per_month: Positive | None = None
    budget_basis: Literal["expected", "p90"] = "expected"
    upfront_budget_usd: NonNegative | None = None
    zones: int = Field(default=1, ge=1, le=10)  # no region has more
    zones_lost: int = Field(default=0, ge=0)
    max_type_share: Annotated[float, Field(gt=0, le=1)] | None = None
    max_instance_types: Annotated[int, Field(ge=1)] | None = 2
    max_regions: Annotated[int, Field(ge=1)] | None = 1
    instance_types: tuple[str, ...] = ()
    previous_generation: bool = False

    @model_validator(mode="after")
    def _zones(self) -> Self:
        if self.zones_lost >= self.zones:
            raise ValueError("zones_lost must be below zones")
        return self

    @property
    def loss(self) -> Zones:
        """Zones and how many of them the plan must stand to lose."""
        return Zones(self.zones, self.zones_lost)


class Existing(Part):
    """A commitment already held, by the catalog's commitment name, until ``end`` (local date,
    exclusive).

    ``quantity`` counts instances of the type it names (it may pay for other sizes), or USD an hour
    of committed spending.
    """

    commitment: str
    quantity: Positive
    end: date
    region: str | None = None


class Exchange(Part):
    """What a dollar is worth in the scenario's currency: ``per_usd`` [currency/USD] on the day
    ``as_of``, and where the rate was read.
    """

    per_usd: Positive
    as_of: date
    source: str | None = None


class PriceAdjustment(Part):
    """A negotiated discount on list prices, for one provider, family or service, or for all of
    them.
    """

    discount_share: Annotated[float, Field(gt=-1, lt=1)]
    provider: str | None = None
    family: str | None = None
    service: str | None = None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # each call walks the whole database of zones


def known_zone(value: str) -> str:
    """The IANA time zone as written. Raises ValueError, which names near
    ones, for any other text.
    """
    if value in _zones():
        return value
    if offset := re.fullmatch(r"(?:UTC|GMT|Z)?\s?([+-])(\d{1,2})(?::?00)?", value, re.IGNORECASE):
        zone = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}"  # these count the other way round
        if zone in _zones():
            raise ValueError(f"is not an IANA time zone; write {zone}, or the place's own, such as Europe/Berlin")
    near = difflib.get_close_matches(value, sorted(_zones()), n=3)
    raise ValueError(
        f"is not an IANA time zone{'; did you mean ' + ', '.join(near) + '?' if near else ' such as Europe/Berlin'}"
    )
