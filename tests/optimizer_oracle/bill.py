"""What contracts cost and cover, and every purchase worth trying.

Reservations first, each of its size group from the smallest size up; then spending plans, the
narrower first and of alike ones the deeper. A plan pays for usage at list price less its discount.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
import pandas as pd

from planner.catalog.providers import flexible_size
from planner.scenario import Scenario
from tests.optimizer_oracle.draw import Case

STEP = 0.001  # USD/h: the least part of a spending plan
CELLS = 2_000_000  # of one table of mixes and purchases


@dataclass(frozen=True)
class Usage:
    """A machine of one service on demand: price paid and list price [USD/h]."""

    service: str
    provider: str
    region: str
    name: str
    usd: float
    list_usd: float


@dataclass(frozen=True)
class Contract:
    """A commitment on sale: ``size`` units of its pool, fee [USD/h] and cash at signing [USD] of one."""

    name: str
    pool: tuple[str, ...]
    spends: bool
    size: float
    usd: float
    upfront: float
    discount: float
    row: dict


def factor(scenario: Scenario, provider: str, family: str = "", service: str = "") -> float:
    """What negotiated discounts leave of a list price."""
    left = 1.0
    for a in scenario.price_adjustments:
        named = ((a.provider, provider), (a.family, family), (a.service, service))
        if all(wanted is None or wanted == given for wanted, given in named):
            left *= 1 - a.discount_share
    return left


def in_force(case: Case) -> np.ndarray:
    """Whether each held contract is in force, shape (held, hours)."""
    ends = [pd.Timestamp(e.end, tz=case.scenario.time_zone) for e in case.scenario.existing]
    return np.array([case.load.ts < end for end in ends], dtype=bool).reshape(len(ends), case.load.hours)


class Bill:
    """Contracts of a case, and what they leave uncovered of whole machines."""

    def __init__(self, case: Case, usages: list[Usage]) -> None:
        self.case, self.usages = case, usages
        self._groups = _groups(case)
        rows = case.catalog.commitments.to_dict("records")
        self.known = {c.name: c for c in map(self._contract, rows)}
        limits = case.scenario.limits
        self.sold = [
            c for c in self.known.values()
            if c.row["term_months"] <= limits.max_term_months and c.row["payment"] in limits.payments
        ]  # fmt: skip
        self.held = [(self.known[e.commitment], e.quantity) for e in case.scenario.existing]
        self.pools = list(dict.fromkeys(c.pool for c in self.known.values() if not c.spends))
        self.plans = sorted(
            (c for c in self.known.values() if c.spends), key=lambda c: (len(self.rates(c)), -c.discount, c.name)
        )

    def _contract(self, row) -> Contract:
        months, share = int(row["term_months"]), float(row["upfront_share"])
        start = pd.Timestamp(self.case.scenario.start_utc)
        hours = (start + pd.DateOffset(months=months) - start) / pd.Timedelta(hours=1)
        if row["category"] == "Spend":
            return Contract(row["commitment"], (), True, 1.0, 1.0, share * hours, row["discount_share"], row)
        place = (row["provider"], row["region"], row["scope"])
        group, size = self._groups[place]
        shapes = self.case.catalog.instances
        family = shapes.loc[shapes["instance_type"] == row["scope"], "family"].iloc[0]
        usd = row["rate_usd_per_h"] * factor(self.case.scenario, row["provider"], family)
        return Contract(row["commitment"], (*place[:2], group), False, size, usd, usd * share * hours, 0.0, row)

    def rates(self, plan: Contract) -> dict[int, float]:
        """What an hour of each usage takes of a spending plan [USD]."""
        row, found = plan.row, {}
        families = self.case.catalog.instances.set_index(["provider", "region", "instance_type"])["family"]
        for u, use in enumerate(self.usages):
            here = row["region"] in ("global", use.region)
            family = families[use.provider, use.region, use.name]
            if here and (row["scope_kind"] == "account" or family in row["scope"].split()):
                found[u] = use.list_usd * (1 - plan.discount)
        return found

    def sizes(self, pool: tuple[str, ...]) -> dict[int, float]:
        """Units an hour of each usage takes of a reservation pool."""
        found = {}
        for u, use in enumerate(self.usages):
            group, size = self._groups[use.provider, use.region, use.name]
            if (use.provider, use.region, group) == pool:
                found[u] = size
        return found

    def uncovered(self, counts: np.ndarray, signed: dict[str, np.ndarray], held: tuple[bool, ...]) -> np.ndarray:
        """On-demand cost [USD/h] (mixes, purchases) of ``counts`` (mixes, usages); ``signed``: contracts by name."""
        left = self.left(counts, signed, held)
        return np.einsum("mup,u->mp", left, np.array([u.usd for u in self.usages]))

    def left(self, counts, signed, held, *, plans=None) -> np.ndarray:
        """Instances not covered, shape (mixes, usages, purchases), after all reservations and ``plans`` (all)."""
        width = len(next(iter(signed.values()))) if signed else 1
        left = np.repeat(counts[:, :, None].astype(np.float64), width, axis=2)
        for pool in self.pools:
            units = sum(
                (c.size * signed[c.name] for c in self.sold if c.pool == pool and c.name in signed), np.zeros(width)
            )
            units = units + sum(c.size * n for (c, n), on in zip(self.held, held, strict=True) if on and c.pool == pool)
            takes = self.sizes(pool)
            order = sorted(takes, key=lambda u: (takes[u], self.usages[u].service, self.usages[u].name))
            self._cover(left, units, takes, order)
        for plan in self.plans if plans is None else plans:
            usd = signed.get(plan.name, np.zeros(width))
            usd = usd + sum(n for (c, n), on in zip(self.held, held, strict=True) if on and c is plan)
            takes = self.rates(plan)
            order = sorted(takes, key=lambda u: (round(takes[u] / self.usages[u].usd, 12), takes[u]))
            self._cover(left, usd, takes, order)
        return left

    @staticmethod
    def _cover(left: np.ndarray, amount: np.ndarray, takes: dict[int, float], order: list[int]) -> None:
        room = np.broadcast_to(amount, (left.shape[0], left.shape[2])).copy()
        for u in order:
            used = np.minimum(left[:, u], room / takes[u])
            left[:, u] -= used
            room -= used * takes[u]

    def fees_held(self) -> float:
        """What held contracts cost over the horizon [USD]."""
        hours = in_force(self.case) @ self.case.load.weight_h if self.held else []
        return float(sum(c.usd * n * h for (c, n), h in zip(self.held, hours, strict=True)))

    def told(self, signed: dict[str, np.ndarray], k: int) -> dict[str, float]:
        """What is signed in purchase ``k``."""
        return {name: float(n[k]) for name, n in signed.items() if n[k] > 0}


def _groups(case: Case) -> dict[tuple[str, str, str], tuple[str, float]]:
    """Size group and units of each machine; one priced out of proportion to its group stands alone."""
    shapes = case.catalog.instances.to_dict("records")
    rates = case.catalog.rates[case.catalog.rates["purchase_option"] == "on_demand"]
    price = rates.set_index(["provider", "region", "instance_type"])["rate_usd_per_h"]
    found = {(m["provider"], m["region"], m["instance_type"]): flexible_size(m) for m in shapes}
    out = {}
    for key, (group, units) in found.items():
        alike = [price[k] / u for k, (g, u) in found.items() if (*k[:2], g) == (*key[:2], group)]
        odd = abs(price[key] / units / np.median(alike) - 1) > 0.01
        out[key] = (key[2], 1.0) if odd else (group, units)
    return out


def purchases(
    case: Case, bill: Bill, counts: np.ndarray, regimes
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Every purchase worth trying, in batches: contracts by name, and fees of the horizon [USD] with those held.

    Reservations: every number of contracts up to what any mix could use. Spending plans: the bill
    is piecewise linear in what is committed, so the best amount ends a machine's cover in some mix,
    rounded either way to the least step, or spends the last of an upfront budget.
    """
    limits, hours = case.scenario.limits, float(case.load.weight_h.sum())
    reserved = [c for c in bill.sold if not c.spends]
    spending = [p for p in bill.plans if p in bill.sold]
    held = bill.fees_held()
    ranges = []
    for c in reserved:
        takes = bill.sizes(c.pool)
        most = max((float((counts[:, list(takes)] @ np.array(list(takes.values()))).max()) if takes else 0.0), 0.0)
        ranges.append(range(ceil(most / c.size - 1e-9) + 1))
    seen: set[tuple] = set()
    batch: list[dict[str, float]] = []
    room = max(1, CELLS // max(1, counts.size))
    for numbers in _worth_trying(reserved, ranges, limits.upfront_budget_usd):
        for amounts in _amounts(
            bill, counts, regimes, dict(zip((c.name for c in reserved), numbers, strict=True)), spending
        ):
            key = (*numbers, *(round(a, 6) for a in amounts))
            if key not in seen:
                seen.add(key)
                batch.append(dict(zip([c.name for c in (*reserved, *spending)], key, strict=True)))
            if len(batch) >= room:
                yield _batch(bill, batch, hours, held)
                batch = []
    if batch:
        yield _batch(bill, batch, hours, held)


def _batch(bill: Bill, batch, hours: float, held: float):
    signed = {name: np.array([b[name] for b in batch], dtype=np.float64) for name in batch[0]}
    fees = held + sum((bill.known[name].usd * n * hours for name, n in signed.items()), np.zeros(len(batch)))
    return signed, fees


def _worth_trying(reserved: list[Contract], ranges, budget: float | None) -> Iterator[tuple[int, ...]]:
    """Numbers of contracts within the budget; of those that bring a pool the same units only the cheap ones."""
    best: dict[tuple[float, ...], list[tuple[float, float, tuple[int, ...]]]] = {}
    pools = list(dict.fromkeys(c.pool for c in reserved))
    top = {p: max(c.size * max(r) for c, r in zip(reserved, ranges, strict=True) if c.pool == p) for p in pools}
    for numbers in product(*ranges):
        units = dict.fromkeys(pools, 0.0)
        for c, n in zip(reserved, numbers, strict=True):
            units[c.pool] += c.size * n
        fee = sum(c.usd * n for c, n in zip(reserved, numbers, strict=True))
        cash = 0.0 if budget is None else sum(c.upfront * n for c, n in zip(reserved, numbers, strict=True))
        if (budget is not None and cash > budget * (1 + 1e-9)) or any(units[p] > 2 * top[p] for p in pools):
            continue
        key = tuple(round(min(units[p], top[p]), 9) for p in pools)
        rivals = best.setdefault(key, [])
        if not any(f <= fee and c <= cash for f, c, _ in rivals):
            rivals[:] = [r for r in rivals if not (fee <= r[0] and cash <= r[1])] + [(fee, cash, numbers)]
    for rivals in best.values():
        for _, _, numbers in rivals:
            yield numbers


def _amounts(
    bill: Bill, counts, regimes, reserved: dict[str, int], spending: list[Contract]
) -> Iterator[tuple[float, ...]]:
    """Amounts of the spending plans [USD/h], in their order."""
    if not spending:
        yield ()
        return
    budget = bill.case.scenario.limits.upfront_budget_usd
    cash = sum(bill.known[name].upfront * n for name, n in reserved.items())

    def grow(done: dict[str, float], rest: list[Contract]) -> Iterator[tuple[float, ...]]:
        if not rest:
            yield tuple(done.values())
            return
        plan = rest[0]
        ends = _ends(bill, counts, regimes, reserved | done, plan)
        if budget is not None and plan.upfront > 0:
            left = (budget - cash) / plan.upfront  # the draw offers one plan beside a budget
            ends = np.minimum(ends, max(0.0, np.floor(left / STEP * (1 + 1e-12)) * STEP))
        for amount in np.unique(ends.round(6)):
            yield from grow({**done, plan.name: float(amount)}, rest[1:])

    yield from grow({}, spending)


def _ends(bill: Bill, counts, regimes, signed: dict[str, float], plan: Contract) -> np.ndarray:
    """Amounts of a plan at which it, or what is held of a plan applied after it, ends to cover a machine in some mix.

    Given is all that is applied before it. Of a later plan that is held the end moves with this
    plan's amount; a later plan that may be signed has ends of its own.
    """
    takes = bill.rates(plan)
    before, after = bill.plans[: bill.plans.index(plan)], bill.plans[bill.plans.index(plan) + 1 :]
    order = sorted(takes, key=lambda u: (round(takes[u] / bill.usages[u].usd, 12), takes[u]))
    ends = [np.zeros(1)]
    for held in regimes:
        own = sum(n for (c, n), on in zip(bill.held, held, strict=True) if on and c is plan)
        left = bill.left(counts, {k: np.array([v]) for k, v in signed.items()}, held, plans=before)[:, :, 0]
        if order:
            covered = np.cumsum(left[:, order] * [takes[u] for u in order], axis=1) - own
            ends.append(np.unique(covered.ravel().round(9)))
            for other in after:
                rates = bill.rates(other)
                later = sum(n for (c, n), on in zip(bill.held, held, strict=True) if on and c is other)
                ratios = {round(takes[u] / rates[u], 9) for u in order if u in rates} if later else set()
                ends += [np.unique((covered - later * ratio).ravel().round(9)) for ratio in ratios]
    every = np.clip(np.concatenate(ends), 0.0, None)
    return np.unique(
        np.concatenate([np.floor(every / STEP + 1e-6) * STEP, np.ceil(every / STEP - 1e-6) * STEP]).round(6)
    )
