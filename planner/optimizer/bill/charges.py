"""The bill of a schedule: every charge with its owner, priced three ways, by arithmetic that
knows nothing of the linear program.

*List* [USD] is quantity × public price before discounts and commitments; *effective* spreads
what was prepaid over the hours it pays for; *billed* is the cash of that period. Over the whole
term of one commitment with yearly fee A: Σ effective of its used and unused rows = Σ billed of
its purchase and fee rows (FOCUS 1.2). A horizon shorter than the term carries the share of its
hours only: effective A·hours/term, billed the full prepayment.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.catalog.providers import flexible_size
from planner.errors import CatalogError, SolverError
from planner.load import Load
from planner.optimizer.bill.ledger import Ledger, Price
from planner.optimizer.bill.metered import add_metered
from planner.optimizer.bill.schedule import HELD, TINY, Grid, price_factor
from planner.optimizer.bill.sustained import paid_shares
from planner.scenario import Scenario


def bill(
    scenario: Scenario,
    load: Load,
    capacity: Capacity,
    catalog: Catalog,
    schedule: pd.DataFrame,
    coverage: pd.DataFrame,
    commitments: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every charge of a schedule (``plan.cost``) and every unit price used (``plan.prices``).

    ``commitments`` states what is paid after any negotiated discount: ``upfront_usd`` [USD] and
    ``hourly_usd`` [USD/h] of the whole row; a commitment signed before the horizon has its
    prepayment behind it.  Compute is charged by the hour, storage and network by the calendar month
    of the scenario's time zone.  Requests are the mean of the load's paths.

    Raises :class:`CatalogError` naming a price that is missing, :class:`SolverError` if coverage
    exceeds what runs or what was bought.
    """
    grid = Grid.of(load, schedule, coverage, catalog, capacity, scenario.time_zone)
    ledger = Ledger(scenario)
    prices = _Rates(catalog)
    sustained = paid_shares(grid, catalog)[:, grid.months.of]
    for p in range(len(grid.pools)):
        _charge_compute(ledger, grid, prices, scenario, p, sustained[p])
    rows = [{str(k): v for k, v in row.items()} for row in commitments.to_dict("records")]
    alike: dict[tuple[str, str, str], Floats] = {}
    for row in rows:
        alike[_name(row)] = alike.get(_name(row), np.zeros(len(grid.ts))) + float(str(row["quantity"])) * _in_force(
            grid, row
        )
    for row in rows:
        _charge_commitment(ledger, grid, prices, row, alike[_name(row)])
    add_metered(ledger, scenario, load, capacity, catalog, grid)
    return ledger.cost(), ledger.prices()


class _Rates:
    """Unit prices of machines by (provider, region, instance_type) and purchase option; what is
    missing is an error, never 0.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._frames = {
            option: part.set_index(["provider", "region", "instance_type"])
            for option, part in catalog.rates.groupby("purchase_option", observed=True)
        }
        self._commitments = catalog.commitments
        self._machines = catalog.instances
        self._sizes: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._known: dict[tuple[str, str, str, str], Price] = {}

    def rate(self, provider: str, region: str, instance_type: str, option: str) -> Price:
        """The price of an instance-hour [USD/h]."""
        place = (provider, region, instance_type, option)
        if place not in self._known:
            self._known[place] = self._look_up(*place)
        return self._known[place]

    def _look_up(self, provider: str, region: str, instance_type: str, option: str) -> Price:
        """The price of an instance-hour from the catalog. Raises :class:`CatalogError` where
        there is none, or not one number.
        """
        frame, key = self._frames.get(option), (provider, region, instance_type)
        if frame is None or key not in frame.index:
            raise CatalogError(
                f"no {option} price for {instance_type}",
                where=f"{provider} {region}",
                remedy="Choose another region or type, or fetch the prices again with: planner catalog refresh",
            )
        found = frame.loc[[key]]
        usd = found["rate_usd_per_h"].to_numpy(np.float64)
        if len(np.unique(usd)) != 1 or not np.isfinite(usd[0]) or usd[0] < 0:
            raise CatalogError(
                f"the {option} price of {instance_type} is not one number",
                where=f"{provider} {region}",
                got=usd.tolist(),
                remedy="Mend the rows of the snapshot's rates.csv",
            )
        row = found.iloc[0]
        return Price(float(usd[0]), str(row["basis"]), str(row["source"]), str(row["as_of"]))

    def has(self, provider: str, region: str, instance_type: str, option: str) -> bool:
        """Whether the catalog prices this machine in this way."""
        frame = self._frames.get(option)
        return frame is not None and (provider, region, instance_type) in frame.index

    def contracts(self, provider: str, region: str, instance_type: str, scope: str) -> float:
        """Reservations of type ``scope`` that an hour of a machine takes: 1, or the ratio of their
        sizes in one size group.

        Raises :class:`SolverError` for a machine that the reservation cannot pay for.
        """
        if instance_type == scope:
            return 1.0
        (group, units), (bought_group, size) = (self._size(provider, region, name) for name in (instance_type, scope))
        if group != bought_group:
            raise SolverError(f"a reservation of {scope} cannot pay for {instance_type}", where=f"{provider} {region}")
        return units / size

    def _size(self, provider: str, region: str, instance_type: str) -> tuple[str, float]:
        """Group and units of a machine's size for reservations. Raises :class:`CatalogError` for
        a machine whose shape is not known.
        """
        key = (provider, region, instance_type)
        if key not in self._sizes:
            m = self._machines
            found = m[(m["provider"] == provider) & (m["region"] == region) & (m["instance_type"] == instance_type)]
            if not len(found):
                raise CatalogError(
                    f"no machine {instance_type}",
                    where=f"{provider} {region}",
                    remedy="Mend the snapshot's instances.csv",
                )
            self._sizes[key] = flexible_size(found.to_dict("records")[0])
        return self._sizes[key]

    def committed(self, name: str, pool: Mapping[str, str], family: str, on_demand_usd: float) -> Price:
        """Effective price of an instance-hour under a commitment: its own rate, or the discounted
        on-demand price.

        Raises :class:`CatalogError` for a commitment without terms, rate or discount.
        """
        c = self._commitments
        here = c["region"].isin([pool["region"], "", "global"])
        rows = c[(c["commitment"] == name.removesuffix(HELD)) & (c["provider"] == pool["provider"]) & here]
        for scope in (pool["resource"], family):  # the narrowest scope that fits wins
            narrow = rows[(rows["scope"] == scope)]
            if len(narrow):
                rows = narrow
                break
        if not len(rows):
            raise CatalogError(
                f"no terms of the commitment {name} for {pool['resource']}",
                where=f"{pool['provider']} {pool['region']}",
                remedy="Mend the rows of the snapshot's commitments.csv",
            )
        row = rows.iloc[0]
        usd = float(row["rate_usd_per_h"])
        if np.isnan(usd):
            usd = on_demand_usd * (1.0 - float(row["discount_share"]))
        elif row["scope_kind"] == "instance_type":
            usd *= self.contracts(pool["provider"], pool["region"], pool["resource"], str(row["scope"]))
        if not np.isfinite(usd):
            raise CatalogError(
                f"the commitment {name} has neither rate nor discount",
                where=f"{pool['provider']} {pool['region']}",
            )
        return Price(usd, str(row["basis"]), str(row["source"]), str(row["as_of"]))


def _charge_compute(ledger: Ledger, grid: Grid, rates: _Rates, scenario: Scenario, p: int, sustained: Floats) -> None:
    """On-demand and spot hours of one pool; their list price is the on-demand price where one
    exists.

    ``sustained``: share of the on-demand price that is paid by hour, after Google's sustained-use
    discount of its month.
    """
    text = grid.pool(p)
    where = (text["provider"], text["region"], text["resource"])
    factor = price_factor(scenario, text["provider"], grid.pools.iloc[p]["family"], text["service"])
    for option in sorted(grid.instances):
        count = grid.uncovered(p) if option == "on_demand" else grid.instances[option][p]
        hours = np.flatnonzero(count > TINY * 1e-3)
        if not len(hours):
            continue
        price = rates.rate(*where, option)
        public = rates.rate(*where, "on_demand") if rates.has(*where, "on_demand") else price
        words = {**text, "purchase_option": option, "basis": price.basis}
        quantity = count[hours] * grid.weight_h[hours]
        paid = quantity * price.usd * factor * (sustained[hours] if option == "on_demand" else 1.0)
        ledger.add(words, grid.ts[hours], quantity, public.usd, effective_usd=paid, billed_usd=paid)
        ledger.price(words, price)


def _name(row: Mapping[str, object]) -> tuple[str, str, str]:
    return str(row["provider"]), str(row["region"]), str(row["commitment"])


def _in_force(grid: Grid, row: Mapping[str, object]) -> Flags:
    """Hours in which a commitment holds: from its start until before its end."""
    return np.asarray((grid.ts >= pd.Timestamp(str(row["start"]))) & (grid.ts < pd.Timestamp(str(row["end"]))))


def _charge_commitment(ledger: Ledger, grid: Grid, rates: _Rates, row: Mapping[str, object], alike: Floats) -> None:
    """Used, unused, prepayment and fee rows of one commitment; ``alike``: contracts of its name in
    force, whenever signed, share its use.

    The amortized cost of an hour, A = hourly + upfront/term, is split over the machines it covers
    by the share of the commitment each takes: instances × size ratio/quantity for Usage
    (:func:`planner.catalog.providers.flexible_size`), instances × committed rate/quantity for Spend
    [USD/h].
    """
    name, provider, region = str(row["commitment"]), str(row["provider"]), str(row["region"])
    start, end = pd.Timestamp(str(row["start"])), pd.Timestamp(str(row["end"]))
    hourly, upfront = float(str(row["hourly_usd"])), float(str(row["upfront_usd"]))
    amortized = hourly + upfront / ((end - start) / pd.Timedelta(hours=1))
    in_force, bought = _in_force(grid, row), float(str(row["quantity"]))
    part = np.divide(bought * in_force, alike, out=np.zeros(len(grid.ts)), where=alike > 0)
    share = np.zeros((len(grid.pools), len(grid.ts)))
    paid = amortized * grid.weight_h * in_force
    for key, covered in grid.coverage.items():
        if (
            key[0] != provider
            or key[2] != name
            or (key[1] not in (region, "", "global") and region not in ("", "global"))
        ):
            continue
        if (covered[:, alike <= 0] > TINY).any():
            raise SolverError(
                f"coverage uses more than the commitment {name} holds",
                got=float(covered[:, alike <= 0].max()),
            )
        for p in np.flatnonzero((covered * part > 0).any(axis=1)):
            share[p] += _charge_used(ledger, grid, rates, int(p), covered[p] * part, row, paid)
    used = share.sum(axis=0)
    if (used > 1 + 1e-4).any():
        raise SolverError(f"coverage uses more than the commitment {name} holds", got=float(used.max()))
    _charge_unused(
        ledger, grid, row, paid, share, upfront if start >= grid.ts[0] else 0.0, hourly * grid.weight_h * in_force
    )


def _charge_used(
    ledger: Ledger, grid: Grid, rates: _Rates, p: int, covered: Floats, row: Mapping[str, object], paid: Floats
) -> Floats:
    """Rows of one pool under a commitment; returns the share of the
    commitment it takes, hour by hour.

    Effective cost is that share of the hour's amortized cost; nothing is billed, since the
    prepayment and fee rows are. Raises :class:`SolverError` for a commitment in an unknown unit.
    """
    text, name, unit, scope = grid.pool(p), str(row["commitment"]), str(row["unit"]), str(row["scope"])
    public = rates.rate(text["provider"], text["region"], text["resource"], "on_demand")
    price = rates.committed(name, text, grid.pools.iloc[p]["family"], public.usd)
    if unit not in ("instance", "USD/h"):
        raise SolverError(f"the commitment {name} is counted in an unknown unit", got=unit)
    each = price.usd if unit == "USD/h" else rates.contracts(text["provider"], text["region"], text["resource"], scope)
    hours = np.flatnonzero(covered > 0)
    share = covered * each / float(str(row["quantity"]))
    words = {**text, "purchase_option": "committed", "commitment": name, "basis": price.basis}
    ledger.add(
        words,
        grid.ts[hours],
        covered[hours] * grid.weight_h[hours],
        public.usd,
        effective_usd=share[hours] * paid[hours],
        billed_usd=np.zeros(len(hours)),
    )
    ledger.price(words, price)
    return share


def _charge_unused(
    ledger: Ledger, grid: Grid, row: Mapping[str, object], paid: Floats, share: Floats, upfront: float, fee: Floats
) -> None:
    """Unused, prepayment and fee rows, split over services by their use of the commitment;
    nobody's if nobody uses it.

    ``share`` (pools, hours) is what is used; ``paid`` (hours,) the amortized cost [USD],
    ``fee`` (hours,) what is due in cash. The unused rows bear (1 − Σ share) of the amortized
    cost, the others cash alone.
    """
    services = grid.pools["service"].to_numpy()
    use = {str(s): float((share[services == s] * grid.weight_h).sum()) for s in sorted(set(services))}
    whole = sum(use.values())
    parts = {s: u / whole for s, u in use.items() if u > 0} if whole > 0 else {"": 1.0}
    text = {
        "provider": str(row["provider"]),
        "region": str(row["region"]),
        "resource": str(row["scope"]),
        "commitment": str(row["commitment"]),
        "purchase_option": "committed",
        "basis": "composed",
    }
    idle = np.maximum(0.0, 1.0 - share.sum(axis=0)) * (paid > 0)
    hours, zero = np.flatnonzero(idle > 1e-12), np.zeros
    months, monthly = grid.months, grid.months.total(fee)
    for service, part in parts.items():
        words = {**text, "service": service}
        ledger.add(
            {**words, "charge": "commitment_unused", "unit": "commitment_hour"},
            grid.ts[hours],
            part * idle[hours] * grid.weight_h[hours],
            0.0,
            effective_usd=part * idle[hours] * paid[hours],
            billed_usd=zero(len(hours)),
        )
        if upfront:
            ledger.add(
                {**words, "charge": "commitment_purchase", "unit": "commitment"},
                pd.DatetimeIndex([max(pd.Timestamp(str(row["start"])), grid.ts[0])]),
                np.array([part]),
                0.0,
                effective_usd=zero(1),
                billed_usd=np.array([part * upfront]),
            )
        paying = np.flatnonzero(monthly > 0)
        ledger.add(
            {**words, "charge": "commitment_fee", "unit": "commitment_hour"},
            months.start[paying],
            part * months.total(grid.weight_h * (fee > 0))[paying],
            0.0,
            effective_usd=zero(len(paying)),
            billed_usd=part * monthly[paying],
        )
