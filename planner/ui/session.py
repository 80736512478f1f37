"""What every page needs: the cached study, the catalog, clean error
messages, text that stays text.
"""

import hashlib
import re
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
import yaml

from planner import columns, load
from planner.capacity import size
from planner.catalog import Catalog
from planner.data import data_path
from planner.errors import (
    CatalogError,
    InfeasiblePlan,
    PlannerError,
    ScenarioError,
    SolverError,
    StoreError,
    TrafficError,
)
from planner.latency.llm.architecture import architectures
from planner.load import Traffic
from planner.optimizer import tradeoff
from planner.scenario import Scenario
from planner.show.words import escaped, plainly, remedy
from planner.study import Planned, Study, run, span, with_alternatives
from planner.ui.work import Work

Made = TypeVar("Made")
PATHS = 100
CHOICE = 20  # machine types that make a choice
SHELVES, THINGS = 32, 64  # studies of which things made are kept, and things of each
FIRST = "web"
STAGES = {"reading": 0.1, "forecasting": 0.2, "sizing": 0.4, "optimizing": 0.5, "choosing": 0.6, "adding": 0.8}
# of the work until something can be seen, the share that is done by then

TITLES: tuple[tuple[type[PlannerError], str], ...] = (
    (InfeasiblePlan, "No plan can meet this scenario"),
    (TrafficError, "The traffic history cannot be used"),
    (CatalogError, "A price or a machine is missing"),
    (SolverError, "The optimizer stopped without a proven answer"),
    (ScenarioError, "The scenario needs a correction"),
    (StoreError, "The store did not take this"),
    (PlannerError, "This cannot be used as it stands"),
)


def bundled() -> dict[str, Path]:
    """The sample scenarios by name in plain words, the quickest to answer first."""
    files = sorted(data_path("scenarios").glob("*.yaml"), key=lambda f: (f.stem != FIRST, f.stem))
    return {f.stem.replace("_", " "): f for f in files}


def about(name: str) -> str:
    """What a sample is: the first sentence of the comment it begins with."""
    lines = bundled()[name].read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    return comment.partition(". ")[0].rstrip(".")


def weights() -> list[str]:
    """Names of the language models that can be placed."""
    return list(architectures())


def _read_catalog(providers: tuple[str, ...], regions: tuple[str, ...]) -> Catalog:
    return Catalog.read(*providers, regions=list(regions))


def _read_places() -> dict[str, list[str]]:
    pairs = Catalog.read().instances[["provider", "region"]].drop_duplicates()
    return {str(p): sorted(rows["region"]) for p, rows in pairs.groupby("provider")}


def _freshest(accelerated: bool) -> tuple[str, str]:
    """Cloud and region whose prices were read last, of those with a choice of machines with (or
    without) accelerators: where the questions about an upload begin.
    """
    catalog = Catalog.read()
    shapes = catalog.instances[(catalog.instances["accelerators"] > 0) == accelerated]
    types = shapes.groupby(["provider", "region"]).size().rename("types").reset_index()
    ages = catalog.ages()
    dated = ages[ages["purchase_option"] == "on_demand"].merge(types[types["types"] >= CHOICE])
    first = dated.sort_values(["age_days", "types"], ascending=[True, False]).iloc[0]
    return str(first["provider"]), str(first["region"])


@dataclass
class _Slot:
    """Room for one study, or for the work on it; the lock lets two sessions that ask for the same one
    share the work.
    """

    lock: Lock = field(default_factory=Lock)
    study: Planned | None = None
    work: Work | None = None
    near: pd.DataFrame | None = None
    bounds: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass
class _Thing:
    """Room for one thing made of a study, and a lock of its own: who waits for it waits for no other."""

    lock: Lock = field(default_factory=Lock)
    there: bool = False
    made: Any = None


_MAKING, _MADE = Lock(), OrderedDict[int, OrderedDict[str, _Thing]]()


def _new_slot(scenario_yaml: str, folder: str, paths: int) -> _Slot:  # noqa: ARG001  (the arguments are the key)
    return _Slot()


def _new_latest(name: str, folder: str, paths: int) -> _Slot:  # noqa: ARG001  (the arguments are the key)
    """A slot in a cache of its own: Streamlit keeps one for each function."""
    return _Slot()


def _score(digest: str, time_zone: str, _traffic: Traffic) -> pd.DataFrame:  # noqa: ARG001  (the digest is the key)
    return load.backtest(_traffic, time_zone=time_zone)


# shared by all sessions and bounded; frozen objects, so that nobody gets a copy and nobody can
# spoil them
catalog: Callable[[tuple[str, ...], tuple[str, ...]], Catalog] = st.cache_resource(max_entries=8, show_spinner=False)(
    _read_catalog
)
freshest: Callable[[bool], tuple[str, str]] = st.cache_data(max_entries=1, show_spinner=False)(_freshest)
places: Callable[[], dict[str, list[str]]] = st.cache_data(max_entries=1, show_spinner=False)(_read_places)
_scores: Callable[[str, str, Traffic], pd.DataFrame] = st.cache_data(
    max_entries=16, show_spinner="Forecasting the past …"
)(_score)
_slot: Callable[[str, str, int], _Slot] = st.cache_resource(max_entries=24, show_spinner=False)(_new_slot)


# the study last worked out under a name: what the next one has in common with it is not done again
_latest: Callable[[str, str, int], _Slot] = st.cache_resource(max_entries=8, show_spinner=False)(_new_latest)


def study(scenario: Scenario, paths: int = PATHS) -> Study:
    """The study of a scenario: computed once, then shared; equal scenarios give the same object."""
    return next(found for found in stages(scenario, paths) if isinstance(found, Study))


def stages(scenario: Scenario, paths: int = PATHS) -> Generator[Planned]:
    """The study of a scenario as it becomes known: at once where it was worked out before, else when
    the plan is decided, when it is proved, and whole. Equal scenarios share the work; it is given up
    where nobody takes its stages any more. Raises any :class:`PlannerError` of :func:`run`.
    """
    slot = _slot(scenario.to_yaml(), str(scenario.folder or ""), paths)
    if isinstance(slot.study, Study):
        yield slot.study
        return
    work, waits = _joined(slot, scenario, paths), _Waiting(st.empty())
    try:
        for found in work.known(waits.tell):
            waits.see()
            yield found
    finally:
        work.leave()
        with slot.lock:
            if isinstance(slot.study, Study):
                slot.work = None  # and with it the stages before the last


@dataclass
class _Waiting:
    """What a reader sees who waits; every word of it is a place where Streamlit ends a run that is
    not wanted any more.
    """

    place: Any
    something: bool = False

    def tell(self, stage: str) -> None:
        """What is being done, while nothing else is to be seen."""
        if self.something:
            self.place.empty()
        else:
            share = STAGES.get(stage.partition(" ")[0], 0.05)
            self.place.progress(share, f"{plain(stage.capitalize() or 'Beginning')} …")

    def see(self) -> None:
        """Something can be drawn."""
        self.something = True
        self.place.empty()


def _joined(slot: _Slot, scenario: Scenario, paths: int) -> Work:
    """The work on a slot's study, begun if nobody has or if it was given up."""
    latest = _latest(scenario.name, str(scenario.folder or ""), paths)
    prices = catalog(scenario.providers, scenario.regions)

    def make(progress: Callable[[str], None], seen: Callable[[Planned], None]) -> Study:
        if isinstance(slot.study, Study):  # another has ended it since it was asked for
            return slot.study

        def handed(found: Planned) -> None:
            latest.study = found
            seen(found)

        whole = run(scenario, prices, paths=paths, progress=progress, seen=handed, known=latest.study)
        slot.study = latest.study = whole
        return whole

    with slot.lock:
        if slot.work is None or not slot.work.join():
            slot.work = Work(make)
        return slot.work


def alternatives(scenario: Scenario, paths: int = PATHS) -> pd.DataFrame:
    """Plans nearly as good as the scenario's (``plan.alternatives``), worked out once when first
    asked for.
    """
    found = study(scenario, paths)
    slot = _slot(scenario.to_yaml(), str(scenario.folder or ""), paths)
    with slot.lock:
        if slot.near is None:
            with st.spinner("Looking for plans nearly as good …"):
                slot.near = with_alternatives(found).plan.alternatives
        return slot.near


def bounds(scenario: Scenario, path: str, paths: int = PATHS) -> pd.DataFrame:
    """Proven lower bounds over a field of the scenario (``frontier``), worked out once; empty where
    the field changes the load.
    """
    found = study(scenario, paths)
    slot = _slot(scenario.to_yaml(), str(scenario.folder or ""), paths)
    with slot.lock, suppress(PlannerError):
        if path not in slot.bounds:
            values = span(scenario, path)
            slot.bounds[path] = tradeoff(scenario, found.load, found.capacity, found.catalog, path, values, whole=0)
    return slot.bounds.get(path, columns.empty("frontier"))


def worked_out(study: Planned, what: str, how: Callable[[], Made]) -> Made:
    """What takes a while to make of a study, such as its stress or a chart, made once for all
    sessions and pages; ``what`` names it. It goes when the study goes, and before that where others
    were asked for more lately: of the last ``SHELVES`` studies the last ``THINGS`` stay.
    """
    with _MAKING:
        if id(study) not in _MADE:
            _MADE[id(study)] = OrderedDict()
            weakref.finalize(study, _MADE.pop, id(study), None)
        things = _MADE[id(study)]
        thing = things.setdefault(what, _Thing())
        _forget(_MADE, id(study), SHELVES)
        _forget(things, what, THINGS)
    with thing.lock:
        if not thing.there:
            thing.made, thing.there = how(), True
        found: Made = thing.made
        return found


def _forget(kept: OrderedDict[Any, Any], last: object, most: int) -> None:
    """Drop what was asked for longest ago beyond ``most``; ``last`` was asked for just now."""
    kept.move_to_end(last)
    while len(kept) > most:
        kept.popitem(last=False)


def reachable(scenario: Scenario, service: str, path: str, values: Sequence[float]) -> float | None:
    """The first of rising latency bounds of a service that some machine keeps; ``None`` if none does, or if no
    load of this scenario is known yet.
    """
    latest = _latest(scenario.name, str(scenario.folder or ""), PATHS).study
    prices = catalog(scenario.providers, scenario.regions)
    low, high = 0, len(values)
    while latest is not None and low < high:
        middle = (low + high) // 2
        sized = size(scenario.replace(**{path: values[middle]}), prices, latest.load).frame
        able = (sized["service"] == service) & (sized["excuse"] == "")
        low, high = (low, middle) if able.any() else (middle + 1, high)
    return values[low] if latest is not None and low < len(values) else None


def backtest(traffic: Traffic, time_zone: str) -> pd.DataFrame:
    """Scores of the forecaster on a history's own past, computed once a history."""
    return _scores(hashlib.sha256(traffic.arrival_rate_rps.tobytes()).hexdigest(), time_zone, traffic)


def warm() -> None:
    """Have the first sample ready before anybody asks; its errors are
    shown to who asks, not here.
    """
    scenario = Scenario.read(bundled()[FIRST])
    work = _joined(_slot(scenario.to_yaml(), str(scenario.folder or ""), PATHS), scenario, PATHS)
    with suppress(PlannerError):
        deque(work.known(lambda _: None), maxlen=0)
    work.leave()


@contextmanager
def errors_shown() -> Iterator[None]:
    """Turn every :class:`PlannerError` inside into a message with its remedy; the rest of the page
    is left out.
    """
    try:
        yield
    except PlannerError as error:
        failed(error)


def failed(error: PlannerError) -> None:
    """Show one error: what happened, where, what was got, and what to do."""
    title = next(words for kind, words in TITLES if isinstance(error, kind))
    if isinstance(error, ScenarioError):
        body = "\n".join(f"- {plain(unplaced(problem))}" for problem in error.problems)
    elif isinstance(error, InfeasiblePlan):
        body = f"{plain(plainly(unplaced(error.what)).replace('_', ' '))}."
        if error.relaxations:
            body += "\n\n**What to do:**\n" + "\n".join(f"- {plain(remedy(r))}." for r in error.relaxations)
    else:
        where = f"{plain(unplaced(error.where))}: " if error.where else ""
        got = "" if error.got is None else f" (got {plain(repr(error.got)[:120])})"
        body = f"{where}{plain(unplaced(error.what))}{got}."
        if error.remedy:
            body += f"\n\n**What to do:** {plain(unplaced(error.remedy))}."
    st.error(f"**{title}**\n\n{body}", icon=":material/error:")


def unplaced(text: str) -> str:
    """File names without the server's folders."""
    return re.sub(r"(?:[A-Za-z]:)?[/\\](?:[^/\\\s:]+[/\\])+(?=[^/\\\s:]+)", "", text)


def as_yaml(raw: dict[str, Any]) -> str:
    """A mapping as YAML text in the order given."""
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)


def plain(text: object) -> str:
    """Text as it is on the screen, without a full stop at its end."""
    return escaped(text).rstrip(".")
