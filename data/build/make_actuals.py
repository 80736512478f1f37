"""Generates the bundled actuals in ``data/actuals/``: two months of traffic and of a bill for the
sample scenarios ``web`` and ``chat``, with a drift (invented; seeded; no measured data).

Run from a checkout: ``python data/build/make_actuals.py [NAME ...]``.  What is told: the load grows
past its forecast from 18 January, the machines with it; logs double in February; a machine type
nobody planned appears; a database has no tag; there are a credit and a tax; answers become slower
in February.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner import Scenario, Study, run
from planner.load import forecast
from planner.track.period import Period, planned

ROOT = Path(__file__).resolve().parent.parent
SEED = 20270101
START, END = pd.Timestamp("2027-01-01", tz="Europe/Berlin"), pd.Timestamp("2027-03-01", tz="Europe/Berlin")
SHIFT = pd.Timestamp("2027-01-18", tz="Europe/Berlin")
SLOW = pd.Timestamp("2027-02-01", tz="Europe/Berlin")
_OPTIONS = {"on_demand": "Standard", "spot": "Dynamic", "committed": "Committed"}
_GOOGLE = {
    "compute": ("Compute", "Compute Engine", "Instance {resource} running"),
    "block_storage": ("Storage", "Compute Engine", "Balanced PD Capacity"),
    "object_storage": ("Storage", "Cloud Storage", "Standard Storage"),
    "egress": ("Networking", "Networking", "Network Internet Data Transfer Out"),
    "cross_zone": ("Networking", "Networking", "Network Inter Zone Data Transfer"),
    "nat": ("Networking", "Networking", "Cloud NAT Gateway"),
    "load_balancer": ("Networking", "Networking", "Cloud Load Balancer"),
    "public_ipv4": ("Networking", "Networking", "External IP Charge on a Standard VM"),
    "logs": ("Management and Governance", "Cloud Logging", "Log Storage cost"),
    "metrics": ("Management and Governance", "Cloud Monitoring", "Metric Volume"),
    "commitment_unused": ("Compute", "Compute Engine", "Commitment, unused part"),
    "commitment_fee": ("Compute", "Compute Engine", "Commitment fee"),
}
_AMAZON = {
    "compute": ("Compute", "Amazon Elastic Compute Cloud", "BoxUsage:{resource}"),
    "block_storage": ("Storage", "Amazon Elastic Compute Cloud", "EBS:VolumeUsage.gp3"),
    "object_storage": ("Storage", "Amazon Simple Storage Service", "TimedStorage-ByteHrs"),
    "egress": ("Networking", "AWS Data Transfer", "DataTransfer-Out-Bytes"),
    "cross_zone": ("Networking", "AWS Data Transfer", "DataTransfer-Regional-Bytes"),
    "nat": ("Networking", "Amazon Virtual Private Cloud", "NatGateway"),
    "load_balancer": ("Networking", "Elastic Load Balancing", "LoadBalancerUsage"),
    "public_ipv4": ("Networking", "Amazon Virtual Private Cloud", "PublicIPv4:InUseAddress"),
    "logs": ("Management and Governance", "AmazonCloudWatch", "PutLogEvents log data"),
    "metrics": ("Management and Governance", "AmazonCloudWatch", "MetricMonitorUsage"),
    "commitment_unused": ("Compute", "Amazon Elastic Compute Cloud", "Reserved instance, unused hours"),
    "commitment_purchase": ("Compute", "Amazon Elastic Compute Cloud", "Reserved instance, paid at once"),
}


class Told(NamedTuple):
    """What is told of a sample scenario: its service and team, how it is billed, by how much its
    load ``grown`` past its forecast [share], how much slower it answers [ratio], and the machine
    and database [USD/day] nobody planned.
    """

    service: str
    team: str
    provider: str
    contract: str
    names: dict[str, tuple[str, str, str]]
    grown: float
    slower: float
    machine: str
    machine_usd: float
    database: tuple[str, str]


STORIES = {
    "web": Told("web", "shop", "Google Cloud", "cud-1", _GOOGLE, 0.35, 2.2, "c3-standard-8", 9.6,
                ("Cloud SQL", "Cloud SQL for PostgreSQL")),
    "chat": Told("chat", "search", "Amazon Web Services", "ri-1", _AMAZON, 1.0, 2.2, "g5.xlarge", 24.1,
                 ("Amazon Relational Database Service", "RDS db.t4g.medium")),
}  # fmt: skip


def rise(ts: pd.DatetimeIndex, grown: float) -> Any:
    """Factor on the load: 1 until the shift, then rising over three weeks."""
    return 1 + grown * np.clip((ts - SHIFT) / pd.Timedelta(days=21), 0, 1)


def traffic(told: Told, study: Study, rng: np.random.Generator) -> pd.DataFrame:
    """One unseen path of the forecast, raised, with its latency at the percentiles asked for."""
    load = forecast(study.traffic, study.scenario, paths=20, seed=SEED)
    inside = (load.ts >= START) & (load.ts < END)
    ts, service = load.ts[inside], load.services[told.service]
    # the path in the middle of the volumes, so that the drift is what is told
    path = service.arrival_rate_rps[np.argsort(load.volume(told.service))[10]][inside]
    found = {"ts": ts.strftime("%Y-%m-%dT%H:%MZ"), "arrival_rate_rps": (path * rise(ts, told.grown)).round(4)}
    slow = np.where(ts >= SLOW, told.slower, 1.0)
    for row in study.replay.objectives.to_dict("records"):
        noise = np.exp(rng.normal(0, 0.1, len(ts)))
        found[str(row["objective"])] = (float(row["typical_latency_s"]) * slow * noise).round(4)
    return pd.DataFrame(found)


def row(
    told: Told, day: pd.Timestamp, charge: str, option: str, unit: str, quantity: float, usd: float, **more: Any
) -> dict[str, Any]:
    """A FOCUS row of one day; ``more`` wins."""
    category, name, words = told.names.get(charge, ("Other", "Other", charge))
    day = day.tz_convert("UTC")
    bound = option == "committed"
    return {
        "BilledCost": round(0.0 if bound else usd, 6),
        "EffectiveCost": round(usd, 6),
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": f"{day:%Y-%m-%dT%H:%M:%SZ}",
        "ChargePeriodEnd": f"{(day + pd.Timedelta(days=1)):%Y-%m-%dT%H:%M:%SZ}",
        "ProviderName": told.provider,
        "RegionId": more.pop("region", ""),
        "ServiceCategory": category,
        "ServiceName": name,
        "ChargeDescription": words.format(resource=more.pop("resource", "")),
        "PricingCategory": _OPTIONS[option],
        "CommitmentDiscountId": told.contract if bound else "",
        "CommitmentDiscountStatus": ("Unused" if charge == "commitment_unused" else "Used") if bound else "",
        "PricingQuantity": round(quantity, 6),
        "PricingUnit": unit,
        "Tags": f'{{"service": "{told.service}", "team": "{told.team}"}}',
        **more,
    }


_UNITS = {"instance_hour": "Hours", "commitment_hour": "Hours", "hour": "Hours", "GiB-month": "GB-Months", "GiB": "GB"}
_CONTRACTS = ("commitment_fee", "commitment_purchase")  # a bill spreads them over what they pay for
_STORED = {"model_artifacts": "object_storage"}  # a bill knows no models


def usual(
    told: Told, day: pd.Timestamp, lines: pd.DataFrame, grown: float, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """What the plan expects of a day, as it came."""
    for r in lines.to_dict("records"):
        charge, option = str(r["charge"]), str(r["purchase_option"])
        follows = charge in ("compute", "egress", "cross_zone", "nat", "load_balancer", "logs")
        more = grown if follows and option != "committed" else 1.0
        more *= 2.0 if charge == "logs" and day.month == 2 else 1.0
        more *= float(np.exp(rng.normal(0, 0.03)))
        price = 1.05 if charge == "compute" and option == "on_demand" else 1.0
        usd, quantity = r["effective_cost_usd"] * more * price, r["quantity"] * more
        unit, place = _UNITS.get(str(r["unit"]), str(r["unit"])), {"region": r["region"], "resource": r["resource"]}
        yield row(told, day, _STORED.get(charge, charge), option, unit, quantity, usd, **place)


def bought(told: Told, day: pd.Timestamp, lines: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Contracts that are paid for at once: cash of the day, and no cost of it."""
    for r in lines.to_dict("records"):
        paid = {"BilledCost": round(r["billed_cost_usd"], 6), "ChargeCategory": "Purchase", "region": r["region"]}
        paid |= {"ChargeFrequency": "One-Time", "CommitmentDiscountStatus": ""}
        yield row(told, day, "commitment_purchase", "committed", "Contracts", r["quantity"], 0.0, **paid)


def strange(told: Told, day: pd.Timestamp, region: str) -> Iterator[dict[str, Any]]:
    """What nobody planned: a database without a tag, another machine, a credit, a tax."""
    name, words = told.database
    other = {"ServiceCategory": "Databases", "ServiceName": name, "Tags": "", "region": region}
    yield row(told, day, "database", "on_demand", "Hours", 24, 4.1, **other, ChargeDescription=words)
    at = {"region": region}
    if day >= pd.Timestamp("2027-02-08", tz="Europe/Berlin"):
        yield row(told, day, "compute", "on_demand", "Hours", 24, told.machine_usd, **at, resource=told.machine)
    if (day.month, day.day) == (1, 31):
        credit = at | {"ChargeCategory": "Credit", "ChargeDescription": "Promotion"}
        yield row(told, day, "credit", "on_demand", "", 0, -60, **credit)
    if (day.month, day.day) == (2, 28):
        tax = at | {"ChargeCategory": "Tax", "ChargeDescription": "Tax"}
        yield row(told, day, "tax", "on_demand", "", 0, 38.5, **tax)


def bill(told: Told, study: Study, rng: np.random.Generator) -> pd.DataFrame:
    """The days of two months as their plan, their drift and their surprises make them."""
    scenario, found = study.scenario, list[dict[str, Any]]()
    keys = ["charge", "purchase_option", "resource", "region", "unit"]
    for day in pd.date_range(START, END, freq="D", inclusive="left"):
        start, end = (d.tz_convert("UTC") for d in (day, day + pd.DateOffset(days=1)))
        due = planned(study.plan, Period(start, end), pd.Timestamp(scenario.end_utc))
        signed, due = due[due["charge"] == "commitment_purchase"], due[~due["charge"].isin(_CONTRACTS)]
        lines = due.groupby(keys, observed=True)[["quantity", "effective_cost_usd"]].sum().reset_index()
        grown = float(rise(pd.DatetimeIndex([day + pd.Timedelta(hours=12)]), told.grown)[0])
        found += [*bought(told, day, signed), *usual(told, day, lines[lines["quantity"] > 0], grown, rng)]
        found += strange(told, day, scenario.regions[0])
    return pd.DataFrame(found)


def main() -> None:
    """Write ``NAME_traffic.csv`` and ``NAME_focus.csv`` of every story, or of those named."""
    folder = ROOT / "actuals"
    for name in sys.argv[1:] or STORIES:
        told, rng = STORIES[name], np.random.default_rng(SEED)
        study = run(Scenario.read(ROOT / "scenarios" / f"{name}.yaml"), paths=50)
        came, paid = traffic(told, study, rng), bill(told, study, rng)
        came.to_csv(folder / f"{name}_traffic.csv", index=False, lineterminator="\n")
        paid.to_csv(folder / f"{name}_focus.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
