"""The answer of tracking: plan, actual, difference and why; drift; what to change now.

Money is compared by its amortized (``effective``) cost where every row of the bill states it, else
by what was billed; the plan's own column of the same kind stands beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from planner import columns
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.charges import CONTRACTS
from planner.errors import PlannerError
from planner.export import plain
from planner.load import Load, Traffic
from planner.plan import Plan
from planner.scenario import Scenario
from planner.simulator import Replay
from planner.track import drift as drifting
from planner.track.accuracy import accuracy, utilization
from planner.track.again import Again, appended, plan_again
from planner.track.bridge import CAUSES, bridge
from planner.track.match import matched
from planner.track.period import Period, planned

_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Track:
    """A period of a plan beside its bill [USD, ``money``: effective or billed].

    ``rows``: the bill with whose each row is (``track.rows``); ``due``: rows of ``plan.cost`` of the
    period with their ``charge_end``, charges of commitments under no service as on the bill;
    ``lines``: plan, actual and difference by service and charge; ``bridge``: the difference by
    cause; ``drift``, ``accuracy``, ``commitments``; ``actions`` and ``again`` where it was planned
    again.
    """

    scenario_name: str
    period: Period
    money: str
    rows: pd.DataFrame = field(repr=False)
    due: pd.DataFrame = field(repr=False)
    lines: pd.DataFrame = field(repr=False)
    bridge: pd.DataFrame = field(repr=False)
    drift: pd.DataFrame = field(repr=False)
    accuracy: pd.DataFrame = field(repr=False)
    commitments: pd.DataFrame = field(repr=False)
    actions: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    again: Again | None = field(default=None, repr=False)

    @property
    def planned_usd(self) -> float:
        """What the plan expected of the period."""
        return float(self.lines["planned_usd"].sum())

    @property
    def actual_usd(self) -> float:
        """The whole bill: Σ of its rows, whosever they are."""
        return float(self.rows[f"{self.money}_cost_usd"].sum())

    @property
    def difference_usd(self) -> float:
        """Actual − planned."""
        return self.actual_usd - self.planned_usd

    def causes(self) -> dict[str, float]:
        """The difference by cause; they add up to it."""
        sums = self.bridge.groupby("cause")["difference_usd"].sum()
        return {c: float(sums.get(c, 0.0)) for c in CAUSES}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by the name of its file."""
        return {
            "lines": self.lines,
            "bridge": self.bridge,
            "rows": self.rows,
            "drift": self.drift,
            "accuracy": self.accuracy,
            "commitments": self.commitments,
            "actions": self.actions,
        }

    def plain(self) -> dict[str, Any]:
        """All but the single rows of the bill in plain values for JSON; unknown is ``None``."""
        answer: dict[str, Any] = {
            "scenario": self.scenario_name,
            "start": self.period.start.isoformat(),
            "end": self.period.end.isoformat(),
            "money": self.money,
            "planned_usd": self.planned_usd,
            "actual_usd": self.actual_usd,
            "difference_usd": self.difference_usd,
            "causes_usd": self.causes(),
        }
        tables = {name: frame for name, frame in self.tables().items() if name != "rows"}
        return dict(plain({**answer, **tables, "notes": self.notes}))


def compared(
    scenario: Scenario,
    plan: Plan,
    bill: pd.DataFrame,
    *,
    now: date | None = None,
    tag: str = "service",
) -> Track:
    """The bill beside the plan over the hours that both cover, up to ``now`` (default: where the
    bill ends); without drift and actions.

    Raises :class:`PlannerError` for a bill without dates, or without a charge on the plan's hours.
    """
    period = _period(scenario, bill, now)
    money = "effective" if bill["effective_cost_usd"].notna().all() else "billed"
    column = f"{money}_cost_usd"
    if bill[column].isna().any():
        raise PlannerError(
            "the bill states neither amortized nor billed cost for all of its rows",
            where=bill["source"].iloc[0],
            got=f"{int(bill[column].isna().sum())} rows without",
            remedy="Export actual and amortized cost as FOCUS, which holds both",
        )
    due = _shared(planned(plan, period, pd.Timestamp(scenario.end_utc)))
    rows = matched(bill, plan, scenario, period, tag)
    return Track(
        scenario.name,
        period,
        money,
        columns.check("track.rows", rows),
        due,
        _lines(due, rows, column),
        bridge(due, rows, column),
        columns.empty("track.drift"),
        columns.empty("track.accuracy"),
        utilization(plan, due, rows, period),
        columns.empty("track.actions"),
        tuple(_notes(rows, money, column)),
    )


def _inside(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose spending a plan can expect day by day.

    Taxes and credits come in one sum on one day, and what nobody planned has no day to be held
    against: both stand in the bridge, not in the test for drift.
    """
    return rows[(rows["matched_by"] != "") & rows["charge_category"].isin(["usage", "purchase"])]


def with_arrivals(
    track: Track,
    plan: Plan,
    load: Load,
    arrived: Mapping[str, Traffic],
    latencies: Mapping[tuple[str, str], "pd.Series[float]"],
    replay: Replay,
    capacity: Capacity,
) -> Track:
    """The comparison with what arrived until its end: accuracy of the forecast, drift of load,
    latency and cost.
    """
    seen = {n: _until(t, track.period.end) for n, t in arrived.items()}
    said = replay.objectives.set_index(["service", "objective"])["typical_latency_s"]
    expected = {(str(k[0]), str(k[1])): float(v) for k, v in said.items() if isinstance(k, tuple)}
    usable = capacity.frame[capacity.frame["usable_rps"] > 0]
    error = {str(s): float(v) for s, v in usable.groupby("service")["error_share"].median().items()}
    quick = {k: s[(s.index >= track.period.start) & (s.index < track.period.end)] for k, s in latencies.items()}
    found = [*drifting.of_load(load, seen), *drifting.of_latency(expected, quick, error), *_cost(track, plan, load)]
    return _replaced(track, drift=drifting.table(found), accuracy=accuracy(load, seen))


def _cost(track: Track, plan: Plan, load: Load) -> Iterator[drifting.Finding]:
    money = f"{track.money}_cost_usd"
    return drifting.of_cost(plan, track.due, _inside(track.rows), money, track.period, load)


def with_actions(
    track: Track,
    scenario: Scenario,
    plan: Plan,
    histories: Mapping[str, Traffic],
    arrived: Mapping[str, Traffic],
    catalog: Catalog,
    *,
    paths: int = 200,
) -> Track:
    """The comparison with what to change now: planned again from its end on what came.

    Raises as :func:`planner.track.again.plan_again`; :class:`PlannerError` where less than a day of
    the horizon is left.
    """
    now = track.period.end.tz_convert(scenario.time_zone).ceil("D").date()
    if pd.Timestamp(now, tz=scenario.time_zone) >= pd.Timestamp(scenario.end_utc) - _DAY:
        raise PlannerError("the plan's horizon is over", where=scenario.name, got=str(now), remedy="Plan a new one")
    end = track.period.end
    traffic = {n: appended(h, _until(arrived[n], end)) if n in arrived else h for n, h in histories.items()}
    found = plan_again(scenario, plan, traffic, catalog, now, paths=paths)
    return _replaced(track, actions=found.actions, again=found)


def _replaced(track: Track, **changes: Any) -> Track:
    return Track(**{**track.__dict__, **changes})


def _until(traffic: Traffic, end: pd.Timestamp) -> Traffic:
    """What was observed before an instant."""
    kept = int((traffic.ts < end).sum())
    return Traffic(**{**traffic.__dict__, "arrival_rate_rps": traffic.arrival_rate_rps[:kept]} | _no_tokens(traffic))


def _no_tokens(traffic: Traffic) -> dict[str, Any]:
    """Token columns would be longer than the rates that were kept."""
    return {"input_tokens": None, "output_tokens": None, "tokens": traffic.tokens}


def _period(scenario: Scenario, bill: pd.DataFrame, now: date | None) -> Period:
    """Hours that plan and bill both cover.

    Begin and end are those of the usage on the bill: a fee for a month that has just begun, or a
    tax of the month before, would otherwise stretch the period over days of which nothing is known.
    """
    if bill["ts"].isna().any():
        raise PlannerError(
            "a row of the bill has no date",
            where=bill["source"].iloc[0],
            got=f"row {int(bill.loc[bill['ts'].isna(), 'row'].iloc[0])}",
            remedy="Export the start of each charge",
        )
    used = bill[bill["charge_category"] == "usage"]
    used = used if len(used) else bill
    ends = used["charge_end"].fillna(used["ts"] + _DAY)
    start = max(used["ts"].min(), pd.Timestamp(scenario.start_utc))
    end = min(ends.max(), pd.Timestamp(scenario.end_utc))
    if now is not None:
        end = min(end, pd.Timestamp(now, tz=scenario.time_zone).tz_convert("UTC"))
    if start >= end:
        raise PlannerError(
            "the bill has no charge on the plan's hours",
            where=scenario.name,
            got=f"bill {used['ts'].min():%Y-%m-%d} to {ends.max():%Y-%m-%d}, plan from {scenario.start}",
            remedy="Give a bill of the plan's months, or a later --now",
        )
    return Period(start, end)


def _lines(due: pd.DataFrame, rows: pd.DataFrame, money: str) -> pd.DataFrame:
    """Plan, actual and difference by service, owner and charge (frame ``track.lines``)."""
    owners = due[due["service"] != ""].fillna({"owner": ""}).groupby("service")["owner"].first()
    sides = [t.groupby(["service", "charge"], observed=True)[money].sum() for t in (due, rows)]
    both = pd.concat(sides, axis=1, keys=["planned_usd", "actual_usd"]).fillna(0.0).reset_index()
    both["owner"] = both["service"].map(owners).fillna("")
    both["difference_usd"] = both["actual_usd"] - both["planned_usd"]
    order = both["difference_usd"].abs().sort_values(ascending=False, kind="stable").index
    words = both.loc[order].astype({"service": "str", "charge": "str", "owner": "str"}).reset_index(drop=True)
    return columns.check("track.lines", words)


def _shared(due: pd.DataFrame) -> pd.DataFrame:
    """Charges of commitments under no service: a bill does not say for whom they are."""
    return due.assign(service=due["service"].where(~due["charge"].isin(CONTRACTS), ""))


def _notes(rows: pd.DataFrame, money: str, column: str) -> list[str]:
    """Sentences for the reader: which cost was compared, and what stayed without a plan.

    One sentence a reason, dearest first, so that the money without a plan is on the screen even
    where its lines are too many to be shown.
    """
    found = []
    if money == "billed":
        found.append("The bill has no amortized figure for every row: plan and bill are compared by what is invoiced.")
    lost = rows[(rows["matched_by"] == "") & (rows["reason"] != "")]
    for reason, usd in lost.groupby("reason")[column].sum().sort_values(ascending=False).items():
        found.append(f"{usd:,.2f} USD of the bill: {reason}.")
    return found
