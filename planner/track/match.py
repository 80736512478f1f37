"""Whose money is it: each row of a bill to a service and owner of the plan, or to nobody with the
reason; money is never dropped.

In this order: what a tag says; the owner that a tag names, where it has one service or one of its
services alone plans the charge; the machine or charge that one service alone plans.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from planner.charges import CONTRACTS
from planner.plan import Plan
from planner.scenario import Scenario
from planner.track.period import Period

SERVICE_KEYS = (
    "service",
    "app",
    "application",
    "component",
    "workload",
    "name",
    "app.kubernetes.io/name",
    "k8s-app",
)
OWNER_KEYS = (
    "owner",
    "team",
    "cost_center",
    "costcenter",
    "cost-center",
    "business_unit",
    "cost center",
)
ASIDE = ("tax", "credit", "refund", "adjustment")
_EXCUSES = {
    "provider": "the plan runs nothing on this cloud",
    "unnamed": "no tag names its service, and not one service alone plans it",
    "unplanned": "its service has no such charge in the plan",
    "before": "before the period that is compared",
    "after": "after the period that is compared",
}


class Answer(NamedTuple):
    """Whose a row is: ``service`` and ``owner`` (empty: nobody's), by which ``matched_by``, else
    the ``reason``.
    """

    service: str
    owner: str
    matched_by: str
    reason: str


@dataclass(frozen=True)
class Planned:
    """What a plan knows of itself: ``charges`` (service, charge), ``machines`` and their services,
    ``owners`` by team and cost center in lower case.
    """

    services: tuple[str, ...]
    providers: frozenset[str]
    charges: frozenset[tuple[str, str]]
    machines: Mapping[str, frozenset[str]]
    owners: Mapping[str, tuple[str, ...]]
    owner_of: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, scenario: Scenario) -> "Planned":
        """Read off the plan's charges and the scenario's owners."""
        cost, owners = plan.cost, dict[str, list[str]]()
        for name, service in scenario.services.items():
            for word in (service.owner.team, service.owner.cost_center) if service.owner else ():
                if word:
                    owners.setdefault(word.lower(), []).append(name)
        pairs = cost[["service", "charge"]].drop_duplicates().itertuples(index=False)
        run = cost.loc[cost["charge"] == "compute"].groupby("resource")["service"].unique()
        return cls(
            tuple(scenario.services),
            frozenset(map(str, cost["provider"].unique())),
            frozenset((str(s), str(c)) for s, c in pairs),
            {str(t): frozenset(map(str, s)) for t, s in run.items()},
            {w: tuple(names) for w, names in owners.items()},
            {n: s.owner.team for n, s in scenario.services.items() if s.owner},
        )

    def answer(self, provider: str, charge: str, resource: str, tags: Mapping[str, str], tag: str) -> Answer:
        """Whose a row of these words is; ``tag``: the key that names the service, before others."""
        if charge in CONTRACTS:
            return Answer("", "", "commitment", "")
        if provider not in self.providers:
            return Answer("", "", "", _EXCUSES["provider"])
        keys = dict.fromkeys((tag, *SERVICE_KEYS))
        said = next((s for k in keys if k in tags for s in self.services if _names(tags[k], s)), "")
        team = next(
            (tags[k].lower() for k in OWNER_KEYS if k in tags and tags[k].lower() in self.owners),
            "",
        )
        if said:
            return self._of(said, charge, "tag")
        if team:
            mine = self.owners[team]
            alone = mine if len(mine) == 1 else self._alone(charge, resource, mine)
            if len(alone) == 1:
                return self._of(alone[0], charge, "owner")
            return Answer("", self.owner_of[mine[0]], "", _EXCUSES["unnamed"])
        foreign = any(k in tags and tags[k] for k in keys if k != "name")
        alone = () if foreign else self._alone(charge, resource, self.services)
        if len(alone) == 1:
            return self._of(alone[0], charge, "charge")
        return Answer("", "", "", _EXCUSES["unnamed"])

    def _alone(self, charge: str, resource: str, among: Iterable[str]) -> tuple[str, ...]:
        """Services that plan this machine, or this charge where no machine is named."""
        if resource in self.machines:
            return tuple(s for s in among if s in self.machines[resource])
        return tuple(s for s in among if (s, charge) in self.charges)

    def _of(self, service: str, charge: str, how: str) -> Answer:
        owner = self.owner_of.get(service, "")
        if charge not in ASIDE and (service, charge) not in self.charges:
            return Answer(service, owner, "", _EXCUSES["unplanned"])
        return Answer(service, owner, how, "")


def _names(value: str, service: str) -> bool:
    """Whether a tag's value names a service: itself, or itself with a number or a part after it.

    >>> [_names(v, "web") for v in ("Web", "web-7f", "website")]
    [True, True, False]
    """
    return re.fullmatch(re.escape(service) + r"([-_./].*)?", value, re.IGNORECASE) is not None


def matched(bill: pd.DataFrame, plan: Plan, scenario: Scenario, period: Period, tag: str = "service") -> pd.DataFrame:
    """The bill with ``service``, ``owner``, ``matched_by`` and ``reason`` of each row (frame
    ``track.rows``); as many rows and dollars as before.
    """
    known = Planned.of(plan, scenario)
    keys = ["provider", "charge", "resource", "tags"]
    answers = {
        k: known.answer(str(k[0]), str(k[1]), str(k[2]), json.loads(str(k[3]) or "{}"), tag.lower())
        for k in bill[keys].drop_duplicates().itertuples(index=False, name=None)
    }
    each = [answers[k] for k in bill[keys].itertuples(index=False, name=None)]
    found = bill.assign(**{n: [getattr(a, n) for a in each] for n in Answer._fields})
    early, late = found["ts"] < period.start, found["ts"] >= period.end
    outside = early | late
    found["reason"] = found["reason"].mask(early, _EXCUSES["before"]).mask(late, _EXCUSES["after"])
    found["matched_by"] = found["matched_by"].mask(outside, "")
    return found.astype(dict.fromkeys(Answer._fields, "str"))
