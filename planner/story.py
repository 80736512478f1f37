"""A service from experiment to production and two months on, told on bundled data.

Each step is the call that its own command makes (``planner plan``, ``store save``, ``store bridge``,
``operate``, ``track``), and each file is what that call returns; nothing is worked out here. Every
figure of the story names the file, the column and the rows that it is the sum of, so that a reader
can follow it back, and :meth:`Story.agreements` holds figures of one step against those of another.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, cast

import pandas as pd

from planner import export
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.data import data_path
from planner.errors import PlannerError
from planner.load import Load
from planner.operate import texts
from planner.optimizer.bill.schedule import HELD
from planner.plan import Plan
from planner.scenario import Scenario
from planner.store import Growth, Revision, Store, growth
from planner.study import Study, run
from planner.track import Again, Track, compared, read_arrivals, read_bill, read_latencies, with_actions, with_arrivals

EXPERIMENT, PRODUCTION = "chat_experiment", "chat"
_OF_A_PLAN = ("summary", "finance", "months", "owners", "prepayments", "machines", "commitments", "prices", "tokens")
_CENT = 0.005


class Figure(NamedTuple):
    """One number of the story and where it stands: ``value`` [``unit``] is the sum of ``column``
    over the rows of ``file`` that ``where`` names (``column=word``; all of them where it is empty).
    """

    step: str
    what: str
    value: float
    unit: str
    file: str
    column: str
    where: str


class Agreement(NamedTuple):
    """Two figures of different steps that must be one [USD, or pieces]."""

    what: str
    first: float
    second: float

    @property
    def holds(self) -> bool:
        """Whether they are the same to half a cent."""
        return abs(self.first - self.second) < _CENT


class _Answer(NamedTuple):
    """The plan made again, as exports take an answer; it was not replayed."""

    scenario: Scenario
    catalog: Catalog
    load: Load
    capacity: Capacity
    plan: Plan
    replay: None = None


@dataclass(frozen=True)
class Story:
    """All steps: both studies, their revisions in a store (the last is the production, agreed), the
    ``bridge`` between them, the files that it is ``operated`` by, its ``track``, and the plan made
    ``again``.
    """

    experiment: Study
    production: Study
    revisions: tuple[Revision, ...]
    bridge: Growth
    operated: Mapping[str, str] = field(repr=False)
    track: Track
    again: Again

    @property
    def name(self) -> str:
        """The scenario."""
        return self.production.scenario.name

    @property
    def service(self) -> str:
        """The service that is told of."""
        return next(iter(self.production.scenario.services))

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by the name of its CSV file, as the commands of the steps write them."""
        made = self.again
        again = _Answer(made.scenario, self.production.catalog, made.load, made.capacity, made.plan)
        sides: dict[str, export.Answered] = {
            "experiment": self.experiment,
            "production": self.production,
            "again": again,
        }
        found = {
            f"{side}-{name}": frame
            for side, answer in sides.items()
            for name, frame in export.tables(answer, self._origin(side)).items()
            if name in _OF_A_PLAN
        }
        found |= {"bridge-lines": self.bridge.lines, "bridge-services": self.bridge.services}
        found |= {f"track-{name}": frame for name, frame in self.track.tables().items()}
        return {f"{name}.csv": frame for name, frame in {**found, "revisions": self._revised()}.items()}

    def _origin(self, side: str) -> export.Origin:
        kept = {"experiment": self.revisions[0], "production": self.revisions[1]}.get(side)
        return export.Origin() if kept is None else export.Origin(kept.label, kept.facts.day)

    def _revised(self) -> pd.DataFrame:
        rows = [(r.label, r.facts.state, r.facts.why, r.facts.monthly_mean_usd, r.facts.sha256) for r in self.revisions]
        return pd.DataFrame(rows, columns=["revision", "state", "why", "monthly_mean_usd", "sha256"])

    def files(self) -> dict[str, bytes]:
        """Every file of the story by name: the tables, the figures with where they stand, and what
        the production is operated by.
        """
        found = {name: export.to_csv(frame).encode() for name, frame in self.tables.items()}
        found["story.csv"] = export.to_csv(pd.DataFrame(self.figures)).encode()
        return {**found, **{name: text.encode() for name, text in self.operated.items()}}

    @cached_property
    def figures(self) -> list[Figure]:
        """The numbers that the story tells, in its order."""
        handed = pd.read_csv(io.StringIO(self.operated["figures.csv"]))
        tables = {**self.tables, "figures.csv": handed}
        return [Figure(*told[:2], total(tables, *told[3:]), *told[2:]) for told in _told(self)]

    def agreements(self) -> list[Agreement]:
        """Figures of one step against those of another: the plan, its export, its revision, its
        bridge, the page handed over, the bill, and the contracts held.
        """
        plan, kept = self.production.plan, self.revisions[1].kept
        said = {f.what: f.value for f in self.figures}
        ends, steps = self.bridge.after_usd - self.bridge.before_usd, float(self.bridge.lines["difference_usd"].sum())
        again, now = self.again, pd.Timestamp(self.again.scenario.start_utc)
        return [
            Agreement("plan and export for finance", plan.total_usd, said[_TOTAL]),
            Agreement("plan and revision in the store", plan.total_usd, kept.summary["total_usd"]),
            Agreement("experiment and production, and the steps between them", ends, steps),
            Agreement("plan and page handed over", plan.total_usd, said[_HANDED]),
            Agreement("plan and bill, and the causes between them", self.track.difference_usd, self._caused()),
            Agreement("contracts signed until now, and held by the plan made again", *in_force(plan, again.plan, now)),
        ]

    def _caused(self) -> float:
        return sum(self.track.causes().values())

    @property
    def alerts(self) -> list[str]:
        """Names of the alert rules, in their order."""
        lines = self.operated["prometheus-alerts.yaml"].splitlines()
        return [line.partition("alert:")[2].strip() for line in lines if line.lstrip(" -").startswith("alert:")]

    def plain(self) -> dict[str, Any]:
        """The story for programs: its figures, alerts, what drifted, what to change, what agrees."""
        told = self.track.plain()
        return {
            "scenario": self.name,
            "figures": [f._asdict() for f in self.figures],
            "alerts": self.alerts,
            "drift": told["drift"],
            "actions": told["actions"],
            "agreements": [{**a._asdict(), "holds": a.holds} for a in self.agreements()],
            "notes": told["notes"],
        }


_TOTAL, _HANDED = "in all", "in all, as handed over"


def _told(story: Story) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Step, words, unit, file, column and rows (``name=value``) of each figure, in order."""
    usd, mean = "USD", "figure=monthly_mean_usd"
    for side, words in (("experiment", "tried"), ("production", "in production")):
        yield side, f"a month, {words}", "USD/month", f"{side}-summary.csv", "value", mean
    yield "production", _TOTAL, usd, "production-finance.csv", "cost_usd", "measure=amortized"
    yield "production", "in cash", usd, "production-finance.csv", "cost_usd", "measure=cash"
    yield "production", "paid up front", usd, "production-prepayments.csv", "due_upfront_usd", ""
    yield "bridge", "more a month", "USD/month", "bridge-lines.csv", "difference_usd", ""
    for unit, words in (("usd_per_1k_requests", "1,000 requests"), ("usd_per_1m_tokens", "1 million tokens")):
        for side, when in (("before", "experiment"), ("after", "production")):
            yield "bridge", f"{words}, {when}", usd, "bridge-services.csv", f"{unit}_{side}", f"service={story.service}"
    for kind in story.tables["production-tokens.csv"]["token_kind"]:
        yield (
            "bridge",
            f"1 million {kind} tokens",
            usd,
            "production-tokens.csv",
            "usd_per_1m_tokens",
            f"token_kind={kind}",
        )
    yield "hand-off", _HANDED, usd, "figures.csv", "value", "figure=plan.total_usd"
    for month in ("2027-01", "2027-02"):
        at = f"figure={story.service}.{month}.peak_rps"
        yield "hand-off", f"alert above, {month}", "requests/s", "figures.csv", "value", at
    yield "two months", "planned", usd, "track-lines.csv", "planned_usd", ""
    yield "two months", "billed", usd, "track-lines.csv", "actual_usd", ""
    for cause in story.track.bridge["cause"].unique():
        yield "two months", cause.replace("_", "-"), usd, "track-bridge.csv", "difference_usd", f"cause={cause}"
    yield "again", "a month from now on", "USD/month", "again-summary.csv", "value", mean
    yield "again", "contracts in force", "pieces", "again-commitments.csv", "quantity", ""


def in_force(plan: Plan, again: Plan, now: pd.Timestamp) -> tuple[float, float]:
    """Pieces of the contracts that ``plan`` has in force at ``now``, and of those that the plan made
    ``again`` then was given as held.
    """
    signed = plan.commitments[(plan.commitments["start"] < now) & (plan.commitments["end"] > now)]
    held = again.commitments[again.commitments["commitment"].str.endswith(HELD)]
    return float(signed["quantity"].sum()), float(held["quantity"].sum())


def total(tables: Mapping[str, pd.DataFrame], file: str, column: str, where: str) -> float:
    """Sum of a column of a table over the rows where a column has a word, or over all; NaN where one of
    them is unknown. Raises :class:`PlannerError` for words that no row has: nothing is told there.
    """
    frame = tables[file]
    name, _, word = where.partition("=")
    rows = frame[frame[name].astype("str") == word] if name else frame
    if name and not len(rows):
        raise PlannerError(
            "a figure of the story stands in no row",
            where=f"{file}, {column}",
            got=where,
            remedy=f"Name one of {', '.join(sorted(set(frame[name].astype('str'))))}",
        )
    return float(rows[column].sum(skipna=False))


def tell(place: Store, *, paths: int = 200, progress: Callable[[str], None] = lambda _: None) -> Story:
    """Live through the story in the store ``place``, on ``paths`` load paths.

    Raises any :class:`PlannerError` of the stages, and :class:`StoreError` for a store that cannot
    be written.
    """
    tried, planned = (Scenario.read(data_path("scenarios", f"{n}.yaml")) for n in (EXPERIMENT, PRODUCTION))
    experiment = run(tried, paths=paths, progress=lambda s: progress(f"experiment: {s}"))
    production = run(planned, paths=paths, progress=lambda s: progress(f"production: {s}"))
    revisions = _saved(place, experiment, production)
    progress("hand-off: replaying an overload for the alerts")
    operated = texts(production)
    progress("two months: setting the bill beside the plan, and planning again")
    track = _actual(production, paths)
    bridge = growth(revisions[0].kept, revisions[1].kept)
    return Story(experiment, production, revisions, bridge, operated, track, cast(Again, track.again))


def _saved(place: Store, experiment: Study, production: Study) -> tuple[Revision, ...]:
    """Both plans as revisions of one scenario, and the second called agreed: its owner is named."""
    team = next(s.owner.team for s in production.scenario.services.values() if s.owner)
    first = place.save(experiment, "an experiment for one team", author=team)
    second = place.save(production, "production: everybody, with a launch in March", author=team)
    return first, second, place.set_state(second.facts.name, "agreed", "the owner answers for it", author=team)


def _actual(study: Study, paths: int) -> Track:
    """Two months of the production: its bill, its traffic and latencies, and the plan again."""
    scenario, name = study.scenario, next(iter(study.scenario.services))
    files = {name: data_path("actuals", f"{PRODUCTION}_traffic.csv")}
    arrived = read_arrivals(scenario, files)
    found = compared(scenario, study.plan, read_bill(data_path("actuals", f"{PRODUCTION}_focus.csv")))
    slow = read_latencies(scenario, files)
    found = with_arrivals(found, study.plan, study.load, arrived, slow, study.replay, study.capacity)
    return with_actions(found, scenario, study.plan, study.traffic, arrived, study.catalog, paths=paths)
