"""Charges by the calendar month: storage and network, their price tiers filled once over all
services of an account.

A need is a quantity for each unit of its driver (month, request, instance_hour, replica_hour,
transition; ``capacity.needs``). Requests are split over regions as the running capacity is; stored
data lies where requests are served; what is bought by the hour for the service itself (load
balancer, address) stands in every region where it runs.

Stored data, in months u since the horizon's start (1 for each true calendar month, so a part of
one counts as its share): what is there at the start, q, counts while a ≤ u < b; what is added
evenly, g a month, counts between ages a and b, so g·(min(u, b) − min(u, a)) of it is there at u.
A month is billed for the integral of both, exactly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.errors import CatalogError
from planner.load import Load
from planner.optimizer.bill.ledger import SHARE, Ledger, Price
from planner.optimizer.bill.schedule import Grid, price_factor
from planner.scenario import OtherCost, Scenario

GIB_IN_GB = 2**30 / 1e9


@dataclass(frozen=True)
class _Tiers:
    """Price tiers of one resource in one region: [lower, upper) at a price; an account's free
    allowance comes off first.
    """

    lower: Floats
    upper: Floats
    usd: Floats
    unit: str
    scope: str
    free: float
    source: tuple[Price, ...]

    def cost(self, quantity: Floats, given: Floats | float = 0.0) -> Floats:
        """Price [USD] of quantities that fill the tiers from the bottom
        after ``given`` free units.

        Σ_t price_t · max(0, min(q − given, upper_t) − lower_t), for each quantity q of any
        shape. Raises :class:`CatalogError` beyond the last tier.

        >>> lower, upper = np.array([0.0, 10.0]), np.array([10.0, np.inf])
        >>> steps = _Tiers(lower, upper, np.array([0.1, 0.05]), "GiB", "region", 0.0, ())
        >>> steps.cost(np.array([5.0, 30.0])).tolist(), float(steps.cost(np.array(30.0), 20.0))
        ([0.5, 2.0], 1.0)
        """
        billable = np.maximum(0.0, quantity - given)[..., None]
        if (billable > self.upper[-1] * (1 + 1e-9)).any():
            raise CatalogError(
                f"no price is known beyond {self.upper[-1]:g} {self.unit}",
                got=float(billable.max()),
                remedy="Ask for less, or add the price to the snapshot",
            )
        filled = np.clip(np.minimum(billable, self.upper) - self.lower, 0.0, None)
        out: Floats = (filled * self.usd).sum(axis=-1)
        return out


@dataclass(frozen=True)
class _Use:
    """What one service uses of one resource in one region, by month, in the unit of its price."""

    need: Mapping[str, object]
    provider: str
    region: str
    quantity: Floats
    tiers: _Tiers
    volume: float  # units of one volume, where each volume has tiers of its own


def add_metered(
    ledger: Ledger, scenario: Scenario, load: Load, capacity: Capacity, catalog: Catalog, grid: Grid
) -> None:
    """Add every storage and network charge. Raises :class:`CatalogError` naming
    a price that is missing.

    Two passes: first all use that fills the same tiers is added up by month (an account's, or a
    region's of it), then each service is charged at the mean price of the whole. So who comes
    first makes no difference, and a service pays less a unit where others use the same resource.
    """
    shares = {s: _region_shares(s, grid) for s in scenario.services}
    uses = [
        use
        for need in capacity.needs.to_dict("records")
        for use in _uses({str(k): v for k, v in need.items()}, load, catalog, grid, shares[str(need["service"])])
    ]
    filled: dict[tuple[str, str, str], Floats] = {}
    for use in uses:
        for key in {_scope(use), _account(use)}:
            filled[key] = filled[key] + use.quantity if key in filled else use.quantity
    starts = pd.DatetimeIndex(
        np.maximum(grid.months.start.asi8, load.ts[:1].as_unit("us").asi8).view("datetime64[us]")
    ).tz_localize("UTC")
    for use in uses:
        _charge(ledger, scenario, use, filled[_scope(use)], filled[_account(use)], starts)
    _add_others(ledger, scenario, grid, starts)


def _add_others(ledger: Ledger, scenario: Scenario, grid: Grid, starts: pd.DatetimeIndex) -> None:
    """Costs stated by the scenario and its services; shares of the bill
    last, over all other rows.
    """
    stated = [(name, c) for name, s in scenario.services.items() for c in s.other_costs]
    stated += [("", c) for c in scenario.other_costs]
    hours = grid.months.total(grid.weight_h)
    for service, cost in sorted(stated, key=lambda pair: pair[1].share_of_bill is not None):
        if cost.usd_per_month is not None:
            _other(ledger, service, cost, "month", hours / grid.months.hours, cost.usd_per_month, starts)
        elif cost.usd_per_h is not None:
            _other(ledger, service, cost, "hour", hours, cost.usd_per_h, starts)
        elif cost.share_of_bill is not None:
            _other(ledger, service, cost, SHARE, ledger.by_month(starts, service), cost.share_of_bill, starts)


def _other(
    ledger: Ledger, service: str, cost: OtherCost, unit: str, quantity: Floats, usd: float, starts: pd.DatetimeIndex
) -> None:
    """A cost the scenario states, month by month; months in which it is 0 have no row. It bears
    its own owner where one is named, and the same figure is list, effective and billed.
    """
    words = {
        "service": service,
        "provider": "",
        "region": "",
        "resource": cost.name,
        "charge": cost.charge,
        "purchase_option": "on_demand",
        "unit": unit,
        "basis": "stated",
    }
    if cost.owner is not None:
        words |= {"owner": cost.owner.team, "cost_center": cost.owner.cost_center or ""}
    on = np.flatnonzero(quantity * usd > 0)
    paid = quantity[on] * usd
    ledger.add(words, starts[on], quantity[on], usd, effective_usd=paid, billed_usd=paid)
    ledger.price(words, Price(usd, "stated", "the scenario", ""))


def assumptions(cost: pd.DataFrame) -> tuple[str, ...]:
    """Sentences about charges that stand on what nobody stated, dearest first, and on commitments
    whose price nobody read; none if there are none.
    """
    return (*_unstated(cost), *_modeled(cost))


def _modeled(cost: pd.DataFrame) -> tuple[str, ...]:
    """The sentence that names commitments whose price was computed and not
    read; none if there are none.
    """
    mine = cost[(cost["basis"] == "modeled") & (cost["commitment"] != "")]
    usd = mine.groupby("commitment", observed=True)["effective_cost_usd"].sum()
    names = ", ".join(str(c) for c in usd[usd > 0].index)
    return (f"{names}: signed at a modeled price; confirm before you buy.",) if names else ()


def _unstated(cost: pd.DataFrame) -> tuple[str, ...]:
    """The sentence on charges that nobody stated: how much of the bill stands on assumptions,
    dearest first; none if nothing does.
    """
    mine = cost[(cost["basis"] == "assumed") & ~cost["charge"].isin(["compute"])]
    usd = mine.groupby("charge", observed=True)["effective_cost_usd"].sum().sort_values(ascending=False)
    if not usd.sum() > 0:
        return ()
    shown = ", ".join(f"{charge} {value:,.0f}" for charge, value in usd.items() if value >= 0.5)
    share = usd.sum() / cost["effective_cost_usd"].sum()
    return (
        (
            f"{usd.sum():,.0f} USD ({share:.1%}) stand on assumptions where the scenario states nothing"
            f" ({shown or 'each below 1'} USD): values of your own, or 0, replace them."
        ),
    )


def unit_prices(catalog: Catalog, need: Mapping[str, object], regions: Iterable[str]) -> dict[str, tuple[float, str]]:
    """What one unit of an instance's need costs [USD] and the unit of its price, by region; NaN
    where no price is known.

    A volume fills tiers of its own; other tiers are taken at their first price, as long as nobody
    knows what the others use. Raises :class:`CatalogError` naming the need where no region has a
    price.
    """
    found: dict[str, tuple[float, str]] = {}
    missing: CatalogError | None = None
    volume = float(str(need["needs_quantity"])) / _volumes(need)
    for region in dict.fromkeys(regions):
        try:
            tiers = _tiers(catalog, str(need["provider"]), region, need)
        except CatalogError as error:
            found[region], missing = (float("nan"), ""), error
            continue
        own = tiers.scope == "volume" and volume > 0
        found[region] = (float(tiers.cost(np.array(volume))) / volume if own else float(tiers.usd[0])), tiers.unit
    if missing is not None and all(np.isnan(usd) for usd, _ in found.values()):
        raise missing
    return found


def _account(use: _Use) -> tuple[str, str, str]:
    """All use of a resource in one provider's account."""
    return use.provider, "", str(use.need["resource"])


def _scope(use: _Use) -> tuple[str, str, str]:
    """What fills one set of tiers together: an account, or a region of it."""
    return _account(use) if use.tiers.scope == "account" else (use.provider, use.region, str(use.need["resource"]))


def _charge(
    ledger: Ledger, scenario: Scenario, use: _Use, filled: Floats, account: Floats, starts: pd.DatetimeIndex
) -> None:
    """One service's share of a resource in a region: quantity × mean price of all that fills the
    tiers together, after discounts.

    An account's free allowance is split over its regions by their use. Volumes that have tiers
    of their own are priced one by one.
    """
    months = np.flatnonzero(use.quantity > 0)
    if not len(months):
        return
    quantity = use.quantity[months]
    if use.tiers.scope == "volume" and use.volume > 0:
        unit_usd = np.full(len(months), float(use.tiers.cost(np.array(use.volume))) / use.volume)
    else:
        together, everywhere = filled[months], account[months]
        unit_usd = use.tiers.cost(together, use.tiers.free * together / everywhere) / together
    service = str(use.need["service"])
    words = {
        "service": service,
        "provider": use.provider,
        "region": use.region,
        "resource": str(use.need["resource"]),
        "charge": str(use.need["charge"]),
        "purchase_option": "on_demand",
        "unit": use.tiers.unit,
        "basis": str(use.need["basis"]),
    }
    paid = quantity * unit_usd * price_factor(scenario, use.provider, service=service)
    ledger.add(words, starts[months], quantity, unit_usd, effective_usd=paid, billed_usd=paid)
    ledger.price(words, *use.tiers.source)


def _uses(
    need: Mapping[str, object], load: Load, catalog: Catalog, grid: Grid, shares: Mapping[tuple[str, str], Floats]
) -> list[_Use]:
    """The regions in which a service has this need, and how much of it by month.

    Stored data goes by true months (a part of one counts as its share), requests by
    the mean of the paths, the rest by hours that run. Prices in GB get quantities in
    GB: 1 GiB = 1.073741824 GB.
    """
    service, driver = str(need["service"]), str(need["driver"])
    amount, growth = float(str(need["needs_quantity"])), float(str(need["growth_per_month"]))
    if not amount and not growth:
        return []
    out = []
    for (provider, region), share in shares.items():
        if need["provider"] not in ("", provider):
            continue
        tiers = _tiers(catalog, provider, region, need)
        if driver == "transition" or (driver == "month" and tiers.unit != "hour"):
            whole = grid.months.total(grid.weight_h)
            here = np.divide(grid.months.total(grid.weight_h * share), whole, out=np.zeros_like(whole), where=whole > 0)
            quantity = (_moved if driver == "transition" else _stored)(need, _clock(grid)) * here
        elif (hours := _driver_hours(driver, service, provider, region, share, tiers, grid)) is None:
            requests = load.services[service].arrival_rate_rps.mean(axis=0, dtype=np.float64) * 3600.0
            quantity = grid.months.total(requests * grid.weight_h * share) * amount
        else:
            quantity = (hours / grid.months.hours if tiers.unit.endswith("-month") else hours) * amount
        if tiers.unit.startswith("GB") and str(need["unit"]).startswith("GiB"):
            quantity = quantity * GIB_IN_GB
        out.append(_Use(need, provider, region, quantity, tiers, amount / _volumes(need)))
    return out


def _volumes(need: Mapping[str, object]) -> float:
    """Volumes over which a need is spread, at least 1."""
    count = float(str(need["volumes"]))
    return count if count >= 1 else 1.0


def _clock(grid: Grid) -> Floats:
    """Months since the start of the horizon at the bounds of its calendar months: each counts the
    share of its hours that is inside.
    """
    inside = grid.months.total(grid.weight_h) / grid.months.hours
    return np.concatenate([[0.0], np.cumsum(inside)])


def _ages(need: Mapping[str, object]) -> tuple[float, float, float, float]:
    """Quantity at the start, growth a month, and the ages between which they count."""
    start, end = float(str(need["age_from_months"])), float(str(need["age_to_months"]))
    end = np.inf if np.isnan(end) else max(end, 0.0)
    return (
        float(str(need["needs_quantity"])),
        float(str(need["growth_per_month"])),
        0.0 if np.isnan(start) else max(start, 0.0),
        end,
    )


def _stored(need: Mapping[str, object], clock: Floats) -> Floats:
    """Unit-months by month: ∫ q·[a ≤ u < b] + g·(min(u, b) − min(u, a)) du."""
    amount, growth, start, end = _ages(need)

    def below(age: float) -> Floats:  # ∫ min(u, age) du from 0
        young = np.minimum(clock, age)
        return young**2 / 2 + np.maximum(clock - young, 0.0) * (age if np.isfinite(age) else 0.0)

    out: Floats = np.diff(
        amount * (np.minimum(clock, end) - np.minimum(clock, start)) + growth * (below(end) - below(start))
    )
    return out


def _moved(need: Mapping[str, object], clock: Floats) -> Floats:
    """Units that reach age a in each month: all of q at u = a, of the rest what was added a
    month-age before.
    """
    amount, growth, start, _ = _ages(need)
    out: Floats = np.diff(np.where(clock >= start, amount, 0.0) + growth * np.maximum(clock - start, 0.0))
    return out


def _driver_hours(
    driver: str, service: str, provider: str, region: str, share: Floats, tiers: _Tiers, grid: Grid
) -> Floats | None:
    """Hours by month that a driver counts (instance-hours, replica-hours, hours of the month);
    ``None`` for requests.
    """
    here = (
        (grid.pools["service"] == service) & (grid.pools["provider"] == provider) & (grid.pools["region"] == region)
    ).to_numpy()
    if driver == "request":
        return None
    if driver == "instance_hour":
        total = sum((a[here].sum(axis=0) for a in grid.instances.values()), np.zeros(len(grid.weight_h)))
    elif driver == "replica_hour":
        total = grid.replicas[here].sum(axis=0)
    elif driver in ("month", "hour"):
        # a balancer or an address cannot be split over regions, stored data is
        total = np.ones(len(grid.weight_h)) if tiers.unit == "hour" else share
    else:
        raise CatalogError("a need has an unknown driver", where=f"capacity.needs of {service}", got=driver)
    return grid.months.total(total * grid.weight_h)


def _region_shares(service: str, grid: Grid) -> dict[tuple[str, str], Floats]:
    """Share of the service's requests that each region serves, hour by hour; its mean share where
    nothing runs.
    """
    mine = np.flatnonzero((grid.pools["service"] == service).to_numpy())
    usable = np.nan_to_num(grid.pools["usable_rps"].to_numpy(np.float64)[mine])
    bears = grid.replicas[mine] * np.where(usable > 0, usable, 1.0)[:, None]
    whole = bears.sum(axis=0)
    if not whole.any():
        return {}
    mean = (bears * grid.weight_h).sum(axis=1) / (whole * grid.weight_h).sum()
    share = np.where(whole > 0, bears / np.where(whole > 0, whole, 1.0), mean[:, None])
    out: dict[tuple[str, str], Floats] = {}
    for k, p in enumerate(mine):
        key = (str(grid.pools.iloc[p]["provider"]), str(grid.pools.iloc[p]["region"]))
        out[key] = out[key] + share[k] if key in out else share[k]
    return out


def _tiers(catalog: Catalog, provider: str, region: str, need: Mapping[str, object]) -> _Tiers:
    """Price tiers of a need in a region. Raises :class:`CatalogError` where no price is known,
    or one is no number ≥ 0; an unknown price is never taken as 0.
    """
    resource, charge = str(need["resource"]), str(need["charge"])
    try:
        tiers = catalog.tiers(resource, provider=provider, region=region)
    except CatalogError:
        raise CatalogError(
            f"no price of {resource} for {charge} of {need['service']}",
            where=f"{provider} {region}",
            remedy="Choose another region, set this need of the service to 0, or add the price to the snapshot",
        ) from None
    if not all(np.isfinite(t.price_usd) and t.price_usd >= 0 for t in tiers):
        raise CatalogError(
            f"the price of {resource} is not a number ≥ 0",
            where=f"{provider} {region}",
            got=[t.price_usd for t in tiers],
        )
    # a free allowance of the whole account stands beside the tiers of a region
    beside = len({t.scope for t in tiers}) > 1
    gifts = [t for t in tiers if beside and t.scope == "account" and t.price_usd == 0 and np.isfinite(t.upper)]
    paid = [t for t in tiers if t not in gifts]
    lower, upper, usd = np.array([(t.lower, t.upper, t.price_usd) for t in paid], dtype=np.float64).T
    return _Tiers(
        lower,
        upper,
        usd,
        paid[0].unit,
        paid[0].scope,
        float(sum(t.upper - t.lower for t in gifts)),
        tuple(Price(t.price_usd, t.basis, t.source, t.as_of) for t in paid),
    )
