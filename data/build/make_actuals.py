"""Generates the bundled actuals in ``data/actuals/``: two months of traffic and of a bill for the
sample scenario ``web``, with a drift (invented; seeded; no measured data).

Run from a checkout: ``python data/build/make_actuals.py``.  What is told: the load grows past its
forecast from 18 January, the machines with it; logs double in February; a machine type nobody
planned appears; a database has no tag; there are a credit and a tax; answers become slower in
February.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner import Scenario, run
from planner.load import forecast
from planner.track.period import Period, planned

ROOT = Path(__file__).resolve().parent.parent
SEED = 20270101
START, END = pd.Timestamp("2027-01-01", tz="Europe/Berlin"), pd.Timestamp("2027-03-01", tz="Europe/Berlin")
SHIFT = pd.Timestamp("2027-01-18", tz="Europe/Berlin")
GROWN = 0.35  # of the load, reached after three weeks
_OPTIONS = {"on_demand": "Standard", "spot": "Dynamic", "committed": "Committed"}
_NAMES = {
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


def rise(ts: pd.DatetimeIndex) -> Any:
    """Factor on the load: 1 until the shift, then rising over three weeks."""
    return 1 + GROWN * np.clip((ts - SHIFT) / pd.Timedelta(days=21), 0, 1)


def traffic(scenario: Scenario, histories: Any, typical_s: float, rng: np.random.Generator) -> pd.DataFrame:
    """One unseen path of the forecast, raised, with its latency at the 99th percentile."""
    load = forecast(histories, scenario, paths=20, seed=SEED)
    inside = (load.ts >= START) & (load.ts < END)
    ts = load.ts[inside]
    # the path in the middle of the volumes, so that the drift is what is told
    path = load.services["web"].arrival_rate_rps[np.argsort(load.volume("web"))[10]][inside]
    slow = 1 + 1.2 * np.asarray(ts >= pd.Timestamp("2027-02-01", tz="Europe/Berlin"))
    return pd.DataFrame(
        {
            "ts": ts.strftime("%Y-%m-%dT%H:%MZ"),
            "arrival_rate_rps": (path * rise(ts)).round(2),
            "latency_p99_s": (typical_s * slow * np.exp(rng.normal(0, 0.1, len(ts)))).round(4),
        }
    )


def row(
    day: pd.Timestamp, charge: str, option: str, unit: str, quantity: float, usd: float, **more: Any
) -> dict[str, Any]:
    """A FOCUS row of one day; ``more`` wins."""
    category, name, told = _NAMES.get(charge, ("Other", "Other", charge))
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
        "ProviderName": "Google Cloud",
        "RegionId": "europe-west4",
        "ServiceCategory": category,
        "ServiceName": name,
        "ChargeDescription": told.format(resource=more.pop("resource", "")),
        "PricingCategory": _OPTIONS[option],
        "CommitmentDiscountId": "cud-1" if bound else "",
        "CommitmentDiscountStatus": ("Unused" if charge == "commitment_unused" else "Used") if bound else "",
        "PricingQuantity": round(quantity, 6),
        "PricingUnit": unit,
        "Tags": '{"service": "web", "team": "shop"}',
        **more,
    }


_UNITS = {"instance_hour": "Hours", "commitment_hour": "Hours", "hour": "Hours", "GiB-month": "GB-Months", "GiB": "GB"}


def usual(day: pd.Timestamp, lines: pd.DataFrame, grown: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """What the plan expects of a day, as it came."""
    for r in lines.to_dict("records"):
        charge, option = str(r["charge"]), str(r["purchase_option"])
        follows = charge in ("compute", "egress", "cross_zone", "nat", "load_balancer", "logs")
        more = grown if follows and option != "committed" else 1.0
        more *= 2.0 if charge == "logs" and day.month == 2 else 1.0
        more *= float(np.exp(rng.normal(0, 0.03)))
        price = 1.05 if charge == "compute" and option == "on_demand" else 1.0
        usd, quantity = r["effective_cost_usd"] * more * price, r["quantity"] * more
        unit = _UNITS.get(str(r["unit"]), str(r["unit"]))
        yield row(day, charge, option, unit, quantity, usd, resource=r["resource"])


def strange(day: pd.Timestamp) -> Iterator[dict[str, Any]]:
    """What nobody planned: a database without a tag, another machine, a credit, a tax."""
    other = {"ServiceCategory": "Databases", "ServiceName": "Cloud SQL", "Tags": ""}
    yield row(day, "database", "on_demand", "Hours", 24, 4.1, **other, ChargeDescription="Cloud SQL for PostgreSQL")
    if day >= pd.Timestamp("2027-02-08", tz="Europe/Berlin"):
        yield row(day, "compute", "on_demand", "Hours", 24, 9.6, resource="c3-standard-8")
    if (day.month, day.day) == (1, 31):
        yield row(day, "credit", "on_demand", "", 0, -60, ChargeCategory="Credit", ChargeDescription="Promotion")
    if (day.month, day.day) == (2, 28):
        yield row(day, "tax", "on_demand", "", 0, 38.5, ChargeCategory="Tax", ChargeDescription="Tax")


def main() -> None:
    """Write ``web_traffic.csv`` and ``web_focus.csv``."""
    scenario = Scenario.read(ROOT / "scenarios" / "web.yaml")
    study, rng = run(scenario, paths=50), np.random.default_rng(SEED)
    typical_s = float(study.replay.objectives["typical_latency_s"].iloc[0])
    came, bill = traffic(scenario, study.traffic, typical_s, rng), list[dict[str, Any]]()
    keys = ["charge", "purchase_option", "resource", "unit"]
    for day in pd.date_range(START, END, freq="D", inclusive="left"):
        start, end = (d.tz_convert("UTC") for d in (day, day + pd.DateOffset(days=1)))
        due = planned(study.plan, Period(start, end), pd.Timestamp(scenario.end_utc))
        due = due[~due["charge"].isin(["commitment_fee", "commitment_purchase"])]
        lines = due.groupby(keys, observed=True)[["quantity", "effective_cost_usd"]].sum().reset_index()
        grown = float(rise(pd.DatetimeIndex([day + pd.Timedelta(hours=12)]))[0])
        bill += [*usual(day, lines[lines["quantity"] > 0], grown, rng), *strange(day)]
    folder = ROOT / "actuals"
    came.to_csv(folder / "web_traffic.csv", index=False, lineterminator="\n")
    pd.DataFrame(bill).to_csv(folder / "web_focus.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
