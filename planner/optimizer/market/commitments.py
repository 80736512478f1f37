"""Commitments on offer and already held: what one unit costs and which machines it pays for.

A vendor's "up to" figure is no price and is left out; so is a term that another of the same pool
beats in price and cash alike.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner.calendar import later
from planner.catalog import Catalog
from planner.catalog.providers import flexible_size
from planner.errors import CatalogError
from planner.optimizer.bill.schedule import HELD, price_factor
from planner.scenario import Scenario

PLACE = ["provider", "region", "instance_type"]
ANYWHERE = ("global", "", "any")
WORTH_A_CONTRACT = 1e-4  # share of a price by which a larger contract must be cheaper for a unit
SAME_PRICE = 0.01  # list prices for each unit of one size group differ by less: rounding


@dataclass(frozen=True)
class Term:
    """A commitment on offer: one unit costs ``usd_per_h`` amortized; ``units`` {kind: units an
    instance-hour uses}.

    ``size``: units that one contract brings, since contracts are bought whole. In force from
    ``start`` to ``end`` (exclusive). ``held`` units are already signed; 0 for an offer.
    ``cheapest_usd_per_h``: lowest price of a unit of the contracts it stands for, default its own.
    """

    commitment: str
    provider: str
    region: str
    category: str
    plan_kind: str
    scope: str
    term_months: int
    payment: str
    pool: str
    usd_per_h: float
    upfront_share: float
    units: dict[str, float]
    start: pd.Timestamp
    end: pd.Timestamp
    size: float = 1.0
    held: float = 0.0
    cheapest_usd_per_h: float | None = None

    @property
    def lowest(self) -> float:
        """Lowest price of a unit [USD/h] among the contracts that this one stands for."""
        return self.usd_per_h if self.cheapest_usd_per_h is None else self.cheapest_usd_per_h

    def in_force(self, ts: pd.DatetimeIndex) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        """Hours in which it holds."""
        return np.asarray((ts >= self.start) & (ts < self.end), dtype=bool)

    @property
    def hours(self) -> float:
        """Hours of the term, true to the calendar."""
        return float((self.end - self.start) / pd.Timedelta(hours=1))

    @property
    def upfront_usd(self) -> float:
        """Cash paid at signing for a unit."""
        return self.usd_per_h * self.upfront_share * self.hours

    @property
    def least(self) -> float:
        """Units of the smallest purchase and of each step above it: a contract, or a tenth of a cent an
        hour of committed spending.
        """
        return 0.001 if self.category == "Spend" else self.size

    @property
    def unit(self) -> str:
        """What is counted when it is signed: instances of its type, or dollars of committed
        spending an hour.
        """
        return "USD/h" if self.category == "Spend" else "instance"


@dataclass
class _Group:
    """Machines that one reservation pays for: their ``units`` and the dearest price on demand of a
    unit [USD/h].
    """

    family: str
    units: dict[str, float] = field(default_factory=dict)
    dearest: float = 0.0


class _Kind(NamedTuple):
    """A machine that a commitment could cover, at its list price on demand."""

    kind: str
    region: str
    instance_type: str
    family: str
    list_usd_per_h: float


@dataclass(frozen=True)
class _Kinds:
    """Machines that a commitment could cover, by provider, and their groups with units of
    :func:`flexible_size`; ``sizes`` of all on sale.
    """

    machines: dict[str, list[_Kind]]
    groups: dict[tuple[str, str, str], "_Group"]
    sizes: dict[tuple[str, str, str], tuple[str, float]]

    @classmethod
    def of(cls, catalog: Catalog, table: pd.DataFrame) -> "_Kinds":
        priced = table[table["on_demand"].notna() & (table["excuse"] == "")]
        frame = priced.drop_duplicates("kind")[["kind", *PLACE, "family", "on_demand", "list_on_demand"]]
        places = set(zip(frame["provider"], frame["region"], strict=True))
        sizes = _sizes(catalog, places)
        of_kind = [sizes.get(key, (key[2], 1.0)) for key in frame[PLACE].itertuples(index=False, name=None)]
        frame = frame.assign(
            group=pd.Series([g for g, _ in of_kind], index=frame.index, dtype="str"),
            units=[float(u) for _, u in of_kind],
        )
        machines: dict[str, list[_Kind]] = {}
        groups: dict[tuple[str, str, str], _Group] = {}
        for row in frame.to_dict("records"):
            kind, region, name, family = (str(row[c]) for c in ("kind", "region", "instance_type", "family"))
            one = _Kind(kind, region, name, family, float(row["list_on_demand"]))
            machines.setdefault(str(row["provider"]), []).append(one)
            group = groups.setdefault(
                (str(row["provider"]), str(row["region"]), str(row["group"])), _Group(str(row["family"]))
            )
            group.units[str(row["kind"])] = float(row["units"])
            group.dearest = max(group.dearest, float(row["on_demand"]) / float(row["units"]))
        return cls(machines, groups, sizes)

    def in_scope(self, row: dict[Any, Any]) -> Iterator[_Kind]:
        """Machines that a spending commitment, a row of ``catalog.commitments``, discounts: those of
        its provider in its region, or anywhere, narrowed to its type or its families.
        """
        scope, kind, anywhere = str(row["scope"]), row["scope_kind"], row["region"] in ANYWHERE
        families = scope.split() if kind in ("family", "family_group") else None
        for machine in self.machines.get(str(row["provider"]), ()):
            if not (anywhere or machine.region == row["region"]):
                continue
            if kind == "instance_type" and machine.instance_type != scope:
                continue
            if families is None or machine.family in families:
                yield machine


def _sizes(catalog: Catalog, places: set[tuple[str, str]]) -> dict[tuple[str, str, str], tuple[str, float]]:
    """Group and units of every machine on sale at ``places``.

    A machine whose list price for each unit is not that of its group is a group of its own: the
    price or the rule is in doubt.
    """
    machines = catalog.instances.drop_duplicates(PLACE)
    machines = machines[[place in places for place in zip(machines["provider"], machines["region"], strict=True)]]
    rates = catalog.rates[catalog.rates["purchase_option"] == "on_demand"].drop_duplicates(PLACE)
    found = machines[PLACE].merge(rates[[*PLACE, "rate_usd_per_h"]], how="left", on=PLACE)
    rule = [flexible_size(m) for m in machines.to_dict("records")]
    found["group"], found["units"] = pd.Series([g for g, _ in rule], dtype="str"), [u for _, u in rule]
    each = found["rate_usd_per_h"] / found["units"]
    usual = each.groupby([found["provider"], found["region"], found["group"]]).transform("median")
    odd = ((each / usual - 1.0).abs() > SAME_PRICE).to_numpy()
    keys = found[PLACE].astype("str").itertuples(index=False, name=None)
    return {key: (key[2], 1.0) if strange else size for key, size, strange in zip(keys, rule, odd, strict=True)}


def terms_on_offer(scenario: Scenario, catalog: Catalog, table: pd.DataFrame) -> list[Term]:
    """Commitments the limits allow, with the kinds they cover. A vendor's "up to" figure is no
    price and is left out.
    """
    limits, rows = scenario.limits, catalog.commitments
    allowed = (rows["term_months"] <= limits.max_term_months) & rows["payment"].isin(limits.payments)
    kinds = _Kinds.of(catalog, table)
    rows = rows[allowed & (rows["basis"] != "vendor_maximum")]
    found = [term for row in rows.to_dict("records") for term in _offered(scenario, row, kinds)]
    return _undominated(_finest(found), pd.Timestamp(scenario.end_utc))


def terms_held(scenario: Scenario, catalog: Catalog, table: pd.DataFrame) -> list[Term]:
    """Commitments already held, paid for as the catalog says. Raises :class:`CatalogError` for a
    name the catalog does not know.
    """
    if not scenario.existing:
        return []
    kinds, found = _Kinds.of(catalog, table), []
    for number, held in enumerate(scenario.existing):
        rows = catalog.commitments[catalog.commitments["commitment"] == held.commitment]
        if held.region is not None:
            rows = rows[rows["region"].isin([held.region, *ANYWHERE])]
        if rows.empty:
            near = difflib.get_close_matches(held.commitment, catalog.commitments["commitment"].tolist(), n=3)
            raise CatalogError(
                "the catalog knows no such commitment",
                where=f"existing.{number}.commitment",
                got=held.commitment,
                remedy=(
                    f"Did you mean {', '.join(near)}?"
                    if near
                    else "Take its name from: planner catalog existing, or planner catalog explain TYPE"
                ),
            )
        end = pd.Timestamp(held.end).tz_localize(scenario.time_zone).tz_convert("UTC")
        row = rows.to_dict("records")[0]
        mine = (_offered(scenario, row, kinds, sunk=True) or [_idle(scenario, row)])[0]
        start = later(end, -mine.term_months, scenario.time_zone)
        found.append(
            replace(mine, commitment=mine.commitment + HELD, held=held.quantity * mine.size, start=start, end=end)
        )
    return found


def _words(scenario: Scenario, row: dict[Any, Any]) -> dict[str, Any]:
    """What a term takes from its row as it stands, signed at the start of the horizon."""
    share, months, start = float(row["upfront_share"]), int(row["term_months"]), pd.Timestamp(scenario.start_utc)
    text = {c: str(row[c]) for c in ("commitment", "provider", "region", "category", "plan_kind", "scope", "payment")}
    return {
        **text,
        "term_months": months,
        "upfront_share": 0.0 if np.isnan(share) else share,
        "start": start,
        "end": later(start, months, scenario.time_zone),
    }


def _idle(scenario: Scenario, row: dict[Any, Any]) -> Term:
    """A commitment that no machine of the plan can use: it is still paid."""
    usd = (
        1.0
        if row["category"] == "Spend"
        else float(row["rate_usd_per_h"]) * price_factor(scenario, str(row["provider"]))
    )
    return Term(**_words(scenario, row), pool=str(row["commitment"]), usd_per_h=usd, units={})


def _offered(scenario: Scenario, row: dict[Any, Any], kinds: _Kinds, *, sunk: bool = False) -> list[Term]:
    """A row of ``catalog.commitments`` as terms, one for each place it applies to alone; none where
    it covers or saves nothing.
    """
    if row["category"] == "Spend":
        return _spending(scenario, row, kinds)
    if row["scope_kind"] != "instance_type":
        return []
    regions = (
        sorted({r for p, r, _ in kinds.groups if p == row["provider"]})
        if row["region"] in ANYWHERE
        else [str(row["region"])]
    )
    return [term for region in regions for term in _reservation(scenario, row, region, kinds, sunk=sunk)]


def _spending(scenario: Scenario, row: dict[Any, Any], kinds: _Kinds) -> list[Term]:
    """A savings plan or flexible CUD: a dollar an hour pays for what its discounted rates add up
    to.
    """
    discount = float(row["discount_share"])
    units = {k.kind: k.list_usd_per_h * (1.0 - discount) for k in kinds.in_scope(row)} if discount > 0 else {}
    if not units:
        return []
    return [Term(**_words(scenario, row), pool=str(row["commitment"]), usd_per_h=1.0, units=units)]


def _reservation(scenario: Scenario, row: dict[Any, Any], region: str, kinds: _Kinds, *, sunk: bool) -> list[Term]:
    """A reserved instance or resource commitment: units of its size group, at its price for each
    unit.
    """
    provider, scope, rate = str(row["provider"]), str(row["scope"]), float(row["rate_usd_per_h"])
    name, size = kinds.sizes.get((provider, region, scope), (scope, 1.0))
    group = kinds.groups.get((provider, region, name))
    if group is None or not rate > 0:
        return []
    usd = rate / size * price_factor(scenario, provider, group.family)
    if usd >= group.dearest and not sunk:
        return []
    return [
        Term(
            **{**_words(scenario, row), "region": region},
            pool=f"{provider}/{region}/{name}",
            usd_per_h=usd,
            units=dict(group.units),
            size=size,
        )
    ]


def _finest(terms: list[Term]) -> list[Term]:
    """Of contracts alike but for their size, the smallest at the lowest price for each unit (sizes
    differ by rounding only), and the cheapest for a unit where rounding makes a larger one that.
    """
    alike: dict[tuple[str, str, int, str], list[Term]] = {}
    for t in terms:
        alike.setdefault((t.pool, t.plan_kind, t.term_months, t.payment), []).append(t)
    kept = []
    for found in alike.values():
        least = min(t.usd_per_h for t in found)
        near = [t for t in found if t.usd_per_h <= least * (1.0 + SAME_PRICE)]
        finest = min(near, key=lambda t: (t.size, t.usd_per_h, t.commitment))
        kept.append(replace(finest, cheapest_usd_per_h=least))
        cheapest = min(found, key=lambda t: (t.usd_per_h, t.size, t.commitment))
        if cheapest.usd_per_h < finest.usd_per_h * (1.0 - WORTH_A_CONTRACT):
            kept.append(cheapest)
    return kept


def _undominated(terms: list[Term], until: pd.Timestamp) -> list[Term]:
    """Without terms that another of the same pool, no larger and in force no longer of the horizon
    ending at ``until``, beats in price and cash upfront alike: a longer one that is cheaper by the
    hour would be paid on when the load has gone.
    """
    by_pool: dict[str, list[Term]] = {}
    for t in sorted(terms, key=lambda t: (t.usd_per_h, t.upfront_share * t.term_months, t.term_months, t.commitment)):
        rivals = by_pool.setdefault(t.pool, [])
        better = (
            n
            for n, r in enumerate(rivals)
            if r.size <= t.size * (1 + 1e-9)
            and min(r.end, until) <= min(t.end, until)
            and r.upfront_share * r.usd_per_h * r.term_months <= t.upfront_share * t.usd_per_h * t.term_months
        )
        if (n := next(better, None)) is None:
            rivals.append(t)
        else:
            rivals[n] = replace(rivals[n], cheapest_usd_per_h=min(rivals[n].lowest, t.lowest))
    return [t for found in by_pool.values() for t in found]
