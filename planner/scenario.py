"""What people write: a scenario and its parts, frozen, with units in the names.

Unknown keys are refused, and all faults of a file are reported at once with path, value and line.
Shares are fractions (0 to 1), times seconds unless the name says otherwise, money USD.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_serializer, model_validator

from planner.errors import ScenarioError

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$")]

METRICS = ("latency", "ttft", "tpot")
PERCENTILES = (50, 90, 95, 99)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Part):
    """An uncertain number: triangular between ``low`` and ``high`` with mode ``likely``; a plain number is certain."""

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
    def certain(self) -> bool:
        """True when low = high."""
        return self.low == self.high


class Owner(_Part):
    """Who answers for a service and its bill."""

    team: Name
    on_call: str | None = None
    cost_center: str | None = None


class Event(_Part):
    """A known change of load between two local dates (``end`` exclusive): a ``multiplier`` or ``added_rps``."""

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


class TrafficSource(_Part):
    """Where a service's history lies and how to read it; a plain file name means CSV or Parquet with standard columns.

    ``columns`` maps the planner's column names (``ts arrival_rate_rps input_tokens output_tokens``) to the file's.
    ``value`` says what the value column counts: requests a second, or requests in each interval.
    ``holidays`` is a country (``DE``) or subdivision (``DE-BE``) code.
    ``requests`` is a log of single requests of the same service, for joint token lengths and the spread of arrivals.
    """

    file: str = Field(min_length=1)
    requests: str | None = None
    format: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    value: Literal["requests_per_s", "requests_per_interval"] | None = None
    time_zone: str | None = None
    user_time_zone: str | None = None
    holidays: str | None = None
    gaps: Literal["keep", "zero"] = "keep"

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @field_validator("time_zone", "user_time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return value if value is None else _known_zone(value)


class LatencySpec(BaseModel):
    """Name of a latency model; all other keys are that model's own parameters, checked by it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The model's own parameters as written."""
        return dict(self.model_extra or {})


class Objective(_Part):
    """What must hold. At least one latency bound; ``load_quantile`` of each hour's load uncertainty must be served."""

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
        """Each bound as ``(name, metric, quantile, limit_s)``, e.g. ``("ttft_p95_s", "ttft", 0.95, 0.8)``."""
        for metric in METRICS:
            for percent in PERCENTILES:
                name = f"{metric}_p{percent}_s"
                limit = getattr(self, name)
                if limit is not None:
                    yield name, metric, percent / 100, limit


class Autoscaling(_Part):
    """Bounds and delays of the replicas; ``target_utilization`` overrides the planner's own headroom if given."""

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


class LifecycleStep(_Part):
    """Objects move to a colder class once they are ``after_months`` calendar months old.

    ``storage_tier``: infrequent (Standard-IA, Nearline, Cool), cold (Glacier Instant Retrieval, Coldline, Cold) or archive
    (Glacier Deep Archive, Archive).
    """

    after_months: Positive
    storage_tier: Literal["infrequent", "cold", "archive"]


class Storage(_Part):
    """Storage of one service. ``block_gib`` hangs on each instance; object storage is shared by all.

    ``artifact_gib``: one version of the model it serves (known for a language model); ``artifact_versions`` of it lie in object storage
    and one on each instance, whose disk grows to hold it.

    ``object_gib`` is there at the start, ``object_age_months`` old, and stays; what ``object_growth_gib_per_month`` adds, evenly
    over each month, is deleted after ``object_retention_months``. Both move through ``object_lifecycle``. ``object_size_gib``: of a
    mean object, which decides how many requests a move takes. ``object_retrieval_share_per_month``: part of the colder classes
    that is read each month. ``object_puts_per_request``, ``object_gets_per_request``: requests to the store that one request causes.
    Disks, logs, metrics and versions are assumed where nothing is stated (``planner.capacity.assumed``); 0 is none.
    """

    block_gib: NonNegative | None = None
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
        if any(a.after_months >= b.after_months or order.index(a.storage_tier) >= order.index(b.storage_tier)
               for a, b in pairwise(steps)):
            raise ValueError("object_lifecycle must go from young to old and from warm to cold")
        if steps and self.object_retention_months is not None and steps[-1].after_months >= self.object_retention_months:
            raise ValueError("object_lifecycle must end before object_retention_months")
        return self


class Network(_Part):
    """Network of one service, for each request; ``cross_zone_share`` of the internal traffic crosses zones.

    Where nothing is stated a share, the NAT volume and the addresses are assumed (``planner.capacity.assumed``); 0 is none.
    ``public_ipv4`` counts all addresses of the service.
    """

    egress_gib_per_request: NonNegative = 0.0
    internal_gib_per_request: NonNegative = 0.0
    cross_zone_share: Share | None = None
    nat_gib_per_request: NonNegative | None = None
    load_balancer: bool = True
    public_ipv4: int | None = Field(default=None, ge=0)


class Service(_Part):
    """One workload: who owns it, what arrives, what must hold, what it stores and sends.

    ``retry_share`` of all tries are repeated ones; ``retries`` is how often a client tries a failed request again.
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
    retry_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    retries: int | None = Field(default=None, ge=0, le=100)

    @field_validator("growth_share_per_year")
    @classmethod
    def _growth(cls, value: Range) -> Range:
        if value.low <= -1:
            raise ValueError("growth must be above -1 (-100 %)")
        return value


class Limits(_Part):
    """Bounds on what may be bought, over all services. ``None`` means no bound.

    Each service keeps at most ``max_instance_types`` (each on demand and spot) in at most ``max_regions`` over the horizon.
    ``budget_usd_per_month`` bounds the effective cost of every month, ``upfront_budget_usd`` the cash paid at signing in all.
    """

    max_spot_share: Share = 0.0
    quota: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    max_term_months: int = Field(default=12, ge=0)
    payments: tuple[Literal["none", "partial", "all"], ...] = ("none", "partial", "all")
    budget_usd_per_month: Positive | None = None
    upfront_budget_usd: NonNegative | None = None
    zones: int = Field(default=1, ge=1)
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


class Existing(_Part):
    """A commitment already held, by the catalog's commitment name, until ``end`` (local date, exclusive).

    ``quantity`` counts instances of the type it names (it may pay for other sizes), or USD an hour of committed spending.
    """

    commitment: str
    quantity: Positive
    end: date
    region: str | None = None


class PriceAdjustment(_Part):
    """A negotiated discount on list prices, for one provider, family or service, or for all of them."""

    discount_share: Annotated[float, Field(gt=-1, lt=1)]
    provider: str | None = None
    family: str | None = None
    service: str | None = None


class Scenario(_Part):
    """One question to the planner. ``folder`` (not written) is where relative traffic files are looked for."""

    name: Name
    state: Literal["idea", "agreed", "budgeted"] = "idea"
    start: date
    horizon_h: int = Field(default=8760, ge=1, le=3 * 8784)
    time_zone: str = "UTC"
    currency: Literal["USD"] = "USD"
    providers: tuple[str, ...] = Field(min_length=1)
    regions: tuple[str, ...] = Field(min_length=1)
    services: dict[Name, Service] = Field(min_length=1)
    limits: Limits = Limits()
    existing: tuple[Existing, ...] = ()
    price_adjustments: tuple[PriceAdjustment, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**32)
    folder: Path | None = Field(default=None, exclude=True, repr=False)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return _known_zone(value)

    @field_validator("providers", "regions")
    @classmethod
    def _unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not repeat a name")
        return value

    @classmethod
    def read(cls, path: str | Path) -> Scenario:
        """Read a YAML file. Raises :class:`ScenarioError` with every fault, its path, value and line."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioError(f"cannot be read as UTF-8 text: {error}. Give the path of a scenario YAML file", where=path) from None
        return cls.from_yaml(text, where=str(path), folder=path.parent)

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "scenario", folder: Path | None = None) -> Scenario:
        """Parse YAML text; aliases, repeated keys and unknown keys are refused. Raises :class:`ScenarioError`."""
        raw, lines = _parse(text, where)
        return _build(cls, raw, lines, where, folder)

    def to_yaml(self) -> str:
        """YAML text that reads back as the same scenario."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)

    def write(self, path: str | Path) -> None:
        """Write :meth:`to_yaml` to a file, whole or not at all."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        part.write_text(self.to_yaml(), encoding="utf-8")
        part.replace(path)

    def replace(self, **overrides: Any) -> Scenario:
        """A copy with dotted fields set: ``replace(**{"limits.max_spot_share": 0.2})``. Raises :class:`ScenarioError`."""
        raw = self.model_dump(mode="json", exclude_defaults=True)
        for dotted, value in overrides.items():
            _set(raw, dotted, value)
        return _build(type(self), raw, {}, "override", self.folder)

    def override(self, assignments: Sequence[str]) -> Scenario:
        """Apply ``path=value`` texts (values in YAML), as ``--set`` on the command line and a link in the app do."""
        pairs: dict[str, Any] = {}
        for text in assignments:
            dotted, sign, value = text.partition("=")
            if not sign or not dotted.strip():
                raise ScenarioError(f"an override must read path=value, such as limits.max_spot_share=0.3 (got {text!r})", where="override")
            pairs[dotted.strip()] = _parse(value, f"override {dotted.strip()}")[0]
        return self.replace(**pairs)

    def traffic_file(self, service: str) -> Path:
        """The history file of a service: looked for beside the scenario, then one folder up. Raises :class:`ScenarioError`."""
        return self._beside(service, "traffic", Path(self.services[service].traffic.file))

    def request_file(self, service: str) -> Path | None:
        """The request log of a service, looked for as the history; ``None`` if it names none. Raises :class:`ScenarioError`."""
        written = self.services[service].traffic.requests
        return None if written is None else self._beside(service, "traffic.requests", Path(written))

    def _beside(self, service: str, key: str, written: Path) -> Path:
        folder = self.folder or Path()
        for place in (folder, folder.parent):
            if (place / written).is_file():
                return place / written
        raise ScenarioError(f"services.{service}.{key}: no file {written} beside the scenario. "
                            "Give a path relative to the scenario file", where=self.name)

    @property
    def start_utc(self) -> datetime:
        """First instant of the horizon: local midnight of ``start`` in ``time_zone``, as UTC."""
        return datetime(self.start.year, self.start.month, self.start.day, tzinfo=ZoneInfo(self.time_zone)).astimezone(UTC)

    @property
    def end_utc(self) -> datetime:
        """First instant after the horizon, as UTC."""
        return self.start_utc + timedelta(hours=self.horizon_h)


def _known_zone(value: str) -> str:
    if value in available_timezones():
        return value
    near = difflib.get_close_matches(value, sorted(available_timezones()), n=3)
    raise ValueError(f"is not an IANA time zone{'; did you mean ' + ', '.join(near) + '?' if near else ' such as Europe/Berlin'}")


class _Loader(yaml.SafeLoader):
    """YAML without aliases (alias bombs) and without repeated keys (silently lost values)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} must be text; quote it", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> tuple[Any, dict[str, int]]:
    """The parsed value and the line of each dotted path."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        return loader.construct_document(node), dict(_lines(node, ""))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ScenarioError(f"{line}{error.problem or 'is not valid YAML'}. Mend the YAML there", where=where) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"is not valid YAML: {str(error).splitlines()[0]}. Mend the YAML", where=where) from None
    finally:
        if loader is not None:
            loader.dispose()


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield from ((p, key.start_mark.line + 1 if p == inner else n) for p, n in _lines(value, inner))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _lines(value, f"{path}.{i}" if path else str(i))


def _build(cls: type[Scenario], raw: Any, lines: Mapping[str, int], where: str, folder: Path | None) -> Scenario:
    if not isinstance(raw, dict):
        raise ScenarioError("must be a mapping with name, start, services, providers and regions. "
                            "See data/scenarios for examples", where=where)
    problems = [_unknown("folder", cls, lines)] if "folder" in raw else []
    try:
        built = cls.model_validate({**raw, "folder": folder})
    except ValidationError as error:
        problems += [_sentence(e, lines, cls) for e in error.errors(include_url=False)]
    if problems:
        raise ScenarioError(problems, where=where)
    return built


def _sentence(error: Any, lines: Mapping[str, int], cls: type[BaseModel]) -> str:
    path = ".".join(str(p) for p in error["loc"] if not _union_tag(p))
    if error["type"] == "extra_forbidden":
        return _unknown(path, cls, lines)
    line = next((f"line {lines[p]}: " for p in (path, path.rpartition(".")[0]) if p in lines), "")
    if error["type"] == "missing":
        return f"{line}{path}: is required but missing. Add it"
    message = re.sub(r"^(Value error, |Input )", "", error["msg"])
    value = error["input"]
    got = "" if isinstance(value, dict | list | BaseModel) else f" (got {value!r})"
    return f"{line}{path}: {message}{got}"


def _union_tag(part: Any) -> bool:
    return isinstance(part, str) and part in {"date", "datetime"}


def _unknown(path: str, cls: type[BaseModel], lines: Mapping[str, int]) -> str:
    parent, _, key = path.rpartition(".")
    known = sorted(set(_fields_at(cls, parent.split(".") if parent else [])) - {"folder"})
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    line = f"line {lines[path]}: " if path in lines else ""
    return f"{line}{path}: is not a known key; {hint}"


def _fields_at(cls: type[BaseModel], parts: list[str]) -> Sequence[str]:
    """Field names of the model that stands at a dotted path (indices and service names are stepped over)."""
    found = [cls]
    for part in parts:
        inner = [f for model in found for f in _models(model.model_fields[part].annotation)] if all(
            part in model.model_fields for model in found) else found
        found = inner or found
    return [name for model in found for name in model.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in getattr(annotation, "__args__", ()) for m in _models(a)]


def _set(raw: dict[str, Any], dotted: str, value: Any) -> None:
    at: Any = raw
    *parents, last = dotted.split(".", 2) if dotted.startswith("limits.quota.") else dotted.split(".")  # machine names hold dots
    for part in parents:
        if isinstance(at, list):
            at = _item(at, part, dotted)
        elif isinstance(at, dict):
            if not isinstance(at.get(part), dict | list):
                at[part] = {"file": at[part]} if part == "traffic" and isinstance(at.get(part), str) else {}
            at = at[part]
    if isinstance(at, list):
        _item(at, last, dotted)
        at[int(last)] = value
    else:
        at[last] = value


def _item(items: list[Any], part: str, dotted: str) -> Any:
    if not part.isdigit() or int(part) >= len(items):
        raise ScenarioError(f"{dotted}: {part} is not an index below {len(items)}", where="override")
    return items[int(part)]
