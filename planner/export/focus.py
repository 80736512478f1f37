"""A plan as a FOCUS dataset (FinOps Open Cost and Usage Specification 1.2, 1.3 and 1.4), marked
as a forecast by its ``x_`` columns.

One row is a charge of a local day, a month, or a signing: hours of a day that are charged alike are
one row. Money is USD, periods end exclusively and are told in UTC, a billing period is a calendar
month of the scenario's time zone, so that sums by it are those of the screen.

*Cash* is BilledCost: what is prepaid stands on its Purchase row. *Accrual* is EffectiveCost: 0 on
Purchase rows, spread over the Used and Unused rows of the hours it pays for. Over the whole term of
a commitment

    Σ EffectiveCost(Usage) = Σ BilledCost(Purchase);

a horizon shorter than the term holds the part of its hours on the left and the prepayment in full
on the right (``prepayments`` says what is left). ListCost and ContractedCost of a Purchase are 0:
the usage that it pays for carries them, and they add up to those of the plan.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.catalog.providers import PROVIDERS
from planner.charges import CONTRACTS, charge
from planner.errors import PlannerError
from planner.export import finance
from planner.export.asked import UNSTORED, Answered, Origin
from planner.export.cells import parquet, stamps, to_csv
from planner.export.together import write_file

# what each version has that the one before lacks, and what it lacks that the one before has
ADDED: dict[str, tuple[str, ...]] = {
    "1.2": (),
    "1.3": ("ServiceProviderName", "HostProviderName", "ContractApplied"),
    "1.4": (),
}
REMOVED: dict[str, tuple[str, ...]] = {"1.2": (), "1.3": (), "1.4": ("ProviderName", "PublisherName")}
_PURCHASES = {"commitment_purchase": "One-Time", "commitment_fee": "Recurring"}
_DAILY = ("compute", "commitment_unused")
_MEASURES = ["quantity", "list_cost_usd", "contracted_cost_usd", "effective_cost_usd", "billed_cost_usd"]
_UNITS = {"commitment_hour": "Hours", "instance_hour": "Hours", "commitment": "Contracts", "USD": "Dollars"}
_COUNTED = ("hour", "month", "request", "metric", "unit")


def write_focus(study: Answered, path: str | Path, version: str = "1.2", origin: Origin = UNSTORED) -> list[Path]:
    """Write the dataset as CSV, or as Parquet where the name ends so; from 1.3 on also its Contract
    Commitment dataset, as ``NAME-commitments`` beside it. Returns the paths.

    Raises :class:`PlannerError` for another version, or where a file cannot be written.
    """
    path = Path(path)
    frames = {path: cost_and_usage(study, version, origin)}
    if version != "1.2":
        frames[path.with_name(f"{path.stem}-commitments{path.suffix}")] = contract_commitments(study)
    return [write_file(_bytes(frame, p), p) for p, frame in frames.items()]


def _bytes(frame: pd.DataFrame, path: Path) -> bytes:
    """A dataset as its file: Parquet with its own types, or CSV that no spreadsheet runs."""
    return parquet(frame) if path.suffix == ".parquet" else to_csv(frame).encode()


def cost_and_usage(study: Answered, version: str = "1.2", origin: Origin = UNSTORED) -> pd.DataFrame:
    """The Cost and Usage dataset of a version; nulls are missing values.

    Raises :class:`PlannerError` for a version that is not known.
    """
    if version not in ADDED:
        raise PlannerError("no such version of FOCUS", got=version, remedy=f"Choose one of {', '.join(ADDED)}")
    rows = _rows(study, origin)
    signed = _signed(study)
    columns = {
        **_money(rows), **_periods(rows, study), **_words(rows), **_places(rows),
        **_commitment(rows, signed), **_new(rows, signed), **_forecast(rows, study, origin),
    }  # fmt: skip
    known = list(ADDED)[: list(ADDED).index(version) + 1]
    absent = {c for v in ADDED if v not in known for c in ADDED[v]} | {c for v in known for c in REMOVED[v]}
    found = pd.DataFrame({c: columns[c] for c in columns if c not in absent}, index=rows.index)
    names: list[str] = sorted(map(str, found.columns), key=lambda name: (name.startswith("x_"), name))
    return found[names]


def _rows(study: Answered, origin: Origin) -> pd.DataFrame:
    """Charges of ``export.cost``: those of an hour added up over each local day.

    A day may have 23 or 25 hours; its period is cut where the horizon begins or ends. Rows alike
    in every word become one, money and quantities add up.
    """
    cost, zone = finance.cost(study, origin), study.plan.time_zone
    begin, over = pd.Timestamp(study.scenario.start_utc), pd.Timestamp(study.scenario.end_utc)
    wall = cost["ts"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    days = pd.DatetimeIndex(wall.unique())
    bounds = {d: (max(begin, _midnight(d, zone)), min(over, _midnight(d + pd.Timedelta(days=1), zone))) for d in days}
    daily = cost["charge"].isin(_DAILY)
    for k, side in enumerate(("charge_period_start_utc", "charge_period_end_utc")):
        cut = pd.to_datetime(wall.map({d: pair[k] for d, pair in bounds.items()}), utc=True)
        cost[side] = cost[side].where(~daily, cut.astype("datetime64[us, UTC]"))
    dropped = {"ts", "charge_period_start", "charge_period_end", "effective_cost", "billed_cost", *_MEASURES}
    keys = [c for c in cost.columns if c not in dropped and c != "billing_period"]
    return cost.groupby(keys, observed=True, dropna=False)[_MEASURES].sum().reset_index()


def _midnight(day: pd.Timestamp, zone: str) -> pd.Timestamp:
    """First instant of a local day, as UTC."""
    return day.tz_localize(zone, nonexistent="shift_forward", ambiguous=True).tz_convert("UTC")


class _Signed(NamedTuple):
    """One contract: its own ``id``, and the figures of ``plan.commitments``."""

    id: str
    name: str
    row: dict[str, object]
    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def term_h(self) -> float:
        """Hours of the whole term."""
        return float((self.end - self.start) / pd.Timedelta(hours=1))

    def usd(self, name: str) -> float:
        """A figure of the contract."""
        return float(str(self.row[name]))

    @property
    def total_usd(self) -> float:
        """What the whole term costs."""
        return self.usd("upfront_usd") + self.usd("hourly_usd") * self.term_h


def _signed(study: Answered) -> list[_Signed]:
    """Contracts, those of one name told apart by the day they begin."""
    found = study.plan.commitments
    often = found["commitment"].value_counts()
    out = []
    for row in found.to_dict("records"):
        name, start = str(row["commitment"]), pd.Timestamp(row["start"])
        each = f"{name}@{start:%Y-%m-%d}" if often[name] > 1 else name
        words = {str(k): v for k, v in row.items()}
        out.append(_Signed(each, name, words, start, pd.Timestamp(row["end"])))
    return out


def contract_commitments(study: Answered) -> pd.DataFrame:
    """The Contract Commitment dataset of FOCUS 1.3: one row a contract, its cost over the whole
    term [USD].
    """
    rows = []
    for each in _signed(study):
        usage, start, end = each.row["category"] == "Usage", each.start, each.end
        months, payment = each.row["term_months"], each.row["payment"]
        rows.append(
            {
                "BillingCurrency": "USD",
                "ContractCommitmentCategory": str(each.row["category"]),
                "ContractCommitmentCost": each.total_usd,
                "ContractCommitmentDescription": f"{each.row['plan_kind']}, {months} months, {payment} upfront",
                "ContractCommitmentId": each.id,
                "ContractCommitmentPeriodEnd": end,
                "ContractCommitmentPeriodStart": start,
                "ContractCommitmentQuantity": each.usd("quantity") * each.term_h if usage else np.nan,
                "ContractCommitmentType": str(each.row["plan_kind"]),
                "ContractCommitmentUnit": "Hours" if usage else None,
                "ContractId": each.name,
                "ContractPeriodEnd": end,
                "ContractPeriodStart": start,
            }
        )
    return pd.DataFrame(rows, columns=list(_CONTRACT))


_CONTRACT = (
    "BillingCurrency", "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentDescription",
    "ContractCommitmentId", "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart",
    "ContractCommitmentQuantity", "ContractCommitmentType", "ContractCommitmentUnit", "ContractId",
    "ContractPeriodEnd", "ContractPeriodStart",
)  # fmt: skip


def _money(rows: pd.DataFrame) -> dict[str, object]:
    """Costs, prices and quantities of each row; nothing is consumed where a commitment is
    bought, paid for or left unused.
    """
    quantity = rows["quantity"].to_numpy(np.float64)
    contracted = rows["contracted_cost_usd"].to_numpy(np.float64)
    each = np.divide(contracted, quantity, out=np.zeros_like(quantity), where=quantity > 0)
    unit = rows["unit"].map({u: unit_in_words(u) for u in rows["unit"].unique()})
    used = ~rows["charge"].isin([*_PURCHASES, "commitment_unused"])
    return {
        "BilledCost": rows["billed_cost_usd"],
        "EffectiveCost": rows["effective_cost_usd"],
        "ListCost": rows["list_cost_usd"],
        "ContractedCost": contracted,
        "ListUnitPrice": rows["list_unit_price_usd"],
        "ContractedUnitPrice": each,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ConsumedQuantity": rows["quantity"].where(used),
        "ConsumedUnit": unit.where(used),
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "PricingCurrencyEffectiveCost": rows["effective_cost_usd"],
        "PricingCurrencyListUnitPrice": rows["list_unit_price_usd"],
        "PricingCurrencyContractedUnitPrice": each,
    }


def unit_in_words(unit: str) -> str:
    """A unit of the bill in the format of FOCUS.

    >>> [unit_in_words(u) for u in ("instance_hour", "GiB-month", "hour", "request")]
    ['Hours', 'GiB-Months', 'Hours', 'Requests']
    """
    if unit in _UNITS:
        return _UNITS[unit]
    *first, last = unit.replace("_", "-").split("-")
    words = [w.capitalize() if w in _COUNTED else w for w in first]
    return "-".join([*words, f"{last.capitalize()}s" if last in _COUNTED else last])


def _periods(rows: pd.DataFrame, study: Answered) -> dict[str, object]:
    """Charge periods, and the local month they fall into as billing period."""
    start, zone = rows["charge_period_start_utc"], study.plan.time_zone
    first = {m: _midnight(pd.Timestamp(f"{m}-01"), zone) for m in rows["month"].unique()}
    after = {m: _midnight(pd.Timestamp(f"{m}-01") + pd.DateOffset(months=1), zone) for m in first}
    return {
        "ChargePeriodStart": stamps(start),
        "ChargePeriodEnd": stamps(rows["charge_period_end_utc"]),
        "BillingPeriodStart": rows["month"].map({m: f"{t:%Y-%m-%dT%H:%M:%SZ}" for m, t in first.items()}),
        "BillingPeriodEnd": rows["month"].map({m: f"{t:%Y-%m-%dT%H:%M:%SZ}" for m, t in after.items()}),
    }


def _words(rows: pd.DataFrame) -> dict[str, object]:
    """What each row is: category, frequency, service, price list entry."""
    name, option = rows["charge"], rows["purchase_option"]
    kinds = {n: charge(n) for n in name.unique()}
    bought = name.isin(list(_PURCHASES))
    sku = rows["provider"].where(rows["provider"] != "", "stated") + "/" + _thing(rows)
    pricing = option.map({"spot": "Dynamic", "committed": "Committed"}).fillna("Standard")
    return {
        "ChargeCategory": pd.Series("Usage", index=rows.index).where(~bought, "Purchase"),
        "ChargeClass": None,
        "ChargeDescription": _description(rows),
        "ChargeFrequency": name.map(_PURCHASES).fillna("Usage-Based"),
        "PricingCategory": pricing.where(~bought, "Standard"),
        "ServiceCategory": name.map({n: k.category for n, k in kinds.items()}),
        "ServiceSubcategory": name.map({n: k.subcategory for n, k in kinds.items()}),
        "ServiceName": rows["charge_name"],
        "SkuId": sku,
        "SkuMeter": rows["charge_name"],
        "SkuPriceDetails": option.map(lambda text: json.dumps({"x_PurchaseOption": text})),
        "SkuPriceId": sku + "/" + rows["region"] + "/" + option,
        "InvoiceId": None,
        "Tags": rows["tags"],
    }


def _thing(rows: pd.DataFrame) -> "pd.Series[str]":
    """What is charged for: a machine, a class of storage, a contract."""
    named = rows["resource"].where(rows["resource"] != "", rows["commitment"])
    thing: pd.Series[str] = named.where(named != "", rows["charge"])
    return thing


def _description(rows: pd.DataFrame) -> "pd.Series[str]":
    where = (" in " + rows["region"]).where(rows["region"] != "", "")
    said: pd.Series[str] = "Forecast: " + rows["charge_name"] + ", " + _thing(rows) + where
    return said


def _places(rows: pd.DataFrame) -> dict[str, object]:
    """Who charges, to which account, where."""
    titles = {p: PROVIDERS[p].title if p in PROVIDERS else p or "Stated in the scenario" for p in set(rows["provider"])}
    issuer, service = rows["provider"].map(titles), _filled(rows["service"])
    region = _filled(rows["region"])
    return {
        "BillingAccountId": "forecast/" + rows["scenario"],
        "BillingAccountName": rows["scenario"],
        "SubAccountId": service,
        "SubAccountName": service,
        "InvoiceIssuerName": issuer,
        "ProviderName": issuer,
        "PublisherName": issuer,
        "ServiceProviderName": issuer,
        "HostProviderName": issuer,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": _resource(rows),
        "ResourceName": _thing(rows),
        "ResourceType": rows["charge_name"],
    }


def _resource(rows: pd.DataFrame) -> "pd.Series[str]":
    """A contract by its name, all else by where the plan runs it: a forecast has no
    identifiers of real machines.
    """
    place = rows[["provider", "region", "service"]].agg("/".join, axis=1) + "/" + _thing(rows)
    contract = rows["charge"].isin(CONTRACTS)
    found: pd.Series[str] = place.where(~contract, rows["commitment"])
    return found


def _filled(words: "pd.Series[str]") -> "pd.Series[str]":
    return words.where(words != "")


def _commitment(rows: pd.DataFrame, signed: list[_Signed]) -> dict[str, object]:
    """Which commitment pays, and how much of it: hours of a Usage, dollars of a Spend commitment.

    What is used is the share of the amortized cost: effective cost over the amortized price of a
    unit; what is bought is the whole term at signing, and the hours of the month with each fee.
    """
    by = {s.name: s for s in signed}
    named = _filled(rows["commitment"])
    status = rows["charge"].map({"compute": "Used", "commitment_unused": "Unused"}).where(named.notna())
    unit = {n: "Hours" if s.row["category"] == "Usage" else "USD" for n, s in by.items()}
    return {
        "CommitmentDiscountId": named,
        "CommitmentDiscountName": named,
        "CommitmentDiscountCategory": named.map({n: str(s.row["category"]) for n, s in by.items()}),
        "CommitmentDiscountType": named.map({n: str(s.row["plan_kind"]) for n, s in by.items()}),
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountQuantity": _committed(rows, by),
        "CommitmentDiscountUnit": named.map(unit),
    }


def _committed(rows: pd.DataFrame, by: dict[str, _Signed]) -> Floats:
    """Committed amount of each row, in hours of a Usage or dollars of a Spend commitment;
    NaN for rows without one.

    Bought is size · term, a fee size · its hours, used (and unused) the row's effective cost
    over the amortized price of a unit, so that the used and unused rows of a term that lies in
    the horizon add up to what was bought.
    """
    out = np.full(len(rows), np.nan)
    for name, each in by.items():
        mine = (rows["commitment"] == name).to_numpy()
        size, unit_usd = each.usd("quantity"), each.total_usd / each.term_h / each.usd("quantity")
        bought = mine & (rows["charge"] == "commitment_purchase").to_numpy()
        fee = mine & (rows["charge"] == "commitment_fee").to_numpy()
        used = mine & ~bought & ~fee
        out[bought] = rows.loc[bought, "quantity"] * size * each.term_h
        out[fee] = rows.loc[fee, "quantity"] * size
        out[used] = rows.loc[used, "effective_cost_usd"] / unit_usd if unit_usd > 0 else 0.0
    return out


def _new(rows: pd.DataFrame, signed: list[_Signed]) -> dict[str, object]:
    """ContractApplied: which contracts each row belongs to, those of one name in
    proportion to their size.
    """
    return {"ContractApplied": pd.Series(list(_applied(rows, signed)), index=rows.index, dtype="object")}


def _applied(rows: pd.DataFrame, signed: list[_Signed]) -> Iterator[str | None]:
    """JSON of the contracts each row draws on and the cost of each [USD]; ``None`` for a row
    without one. Rows name a commitment, of which several contracts may be in force: its
    money is split by their size.
    """
    money = np.where(rows["charge"].isin(list(_PURCHASES)), rows["billed_cost_usd"], rows["effective_cost_usd"])
    starts, ends = rows["charge_period_start_utc"], rows["charge_period_end_utc"]
    for name, usd, start, end in zip(rows["commitment"], money, starts, ends, strict=True):
        mine = [s for s in signed if s.name == name and s.start < end and s.end > start] if name else []
        whole = sum(s.usd("quantity") for s in mine)
        elements = [
            {
                "ContractId": s.name,
                "ContractCommitmentId": s.id,
                "ContractCommitmentAppliedCost": float(usd) * s.usd("quantity") / whole,
            }
            for s in mine
        ]
        yield json.dumps({"Elements": elements}) if elements else None


def _forecast(rows: pd.DataFrame, study: Answered, origin: Origin) -> dict[str, object]:
    """What marks the rows as a forecast: whose, of when, by which method, at which prices."""
    paths = len(study.plan.paths_usd)
    return {
        "x_ScenarioId": rows["scenario"],
        "x_ScenarioRevision": _filled(rows["revision"]),
        "x_ScenarioState": rows["state"],
        "x_Vintage": origin.vintage or None,
        "x_Quantile": "mean",
        "x_Method": f"expected bill over {paths} load paths" if paths else "bill of a given schedule",
        "x_PriceAsOf": _filled(rows["price_as_of"]),
        "x_PriceBasis": _filled(rows["basis"]),
        "x_Owner": _filled(rows["owner"]),
        "x_CostCenter": _filled(rows["cost_center"]),
        "x_MonthP10": rows["month_p10_usd"],
        "x_MonthP90": rows["month_p90_usd"],
    }
