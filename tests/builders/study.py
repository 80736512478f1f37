"""A study made by hand on round numbers, so that the sums on a page can be checked in the head."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from planner import columns
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.load import Load, ServiceLoad
from planner.plan import Certificate, Plan
from planner.scenario import Scenario
from tests.builders.hand import frame

YAML = """
name: hand-made
start: 2027-01-01
horizon_h: {hours}
time_zone: Europe/Berlin
providers: [aws]
regions: [us-east-1]
services:
  web:
    owner: {{team: shop, cost_center: CC-1}}
    traffic: web.csv
    latency: {{model: mgc, service_time_s: 0.05}}
    objective: {{latency_p99_s: 0.3, load_quantile: 0.9}}
limits: {{max_spot_share: 0.5, zones: 2, zones_lost: 1}}
"""
WHERE = {"service": "web", "provider": "aws", "region": "us-east-1"}


def scenario(hours=1488):
    return Scenario.from_yaml(YAML.format(hours=hours))


def catalog():
    """Three machines at 0.10, 0.20 and an unknown price."""
    rates = [
        {
            "provider": "aws",
            "region": "us-east-1",
            "instance_type": t,
            "purchase_option": "on_demand",
            "rate_usd_per_h": r,
            "source": "invented",
            "as_of": "2026-11-01",
        }
        for t, r in (("a.large", 0.1), ("b.large", 0.2))
    ]
    return Catalog(
        columns.empty("catalog.instances"),
        frame("catalog.rates", rates),
        columns.empty("catalog.commitments"),
        columns.empty("catalog.storage"),
        columns.empty("catalog.network"),
    )


def study(hours=1488, paths=21):
    """Load between 8 and 16 requests/s times 0.9 to 1.1; two machines at night, three by day, a
    third of the night on spot.
    """
    s = scenario(hours)
    ts = pd.date_range(s.start_utc, periods=hours, freq="h", tz="UTC").as_unit("us")
    day = np.where((np.arange(hours) % 24 >= 8) & (np.arange(hours) % 24 < 20), 16.0, 8.0)
    factor = np.linspace(0.9, 1.1, paths)[:, None]
    load = Load(
        ts,
        np.ones(hours),
        {"web": ServiceLoad((factor * day).astype(np.float32))},
        ("Three hours of the history were missing and were left out",),
    )
    machines = [
        {
            **WHERE,
            "instance_type": t,
            "deployment": "",
            "usable_rps": r,
            "goodput_rps": r / 0.8,
            "instances_per_replica": 1.0,
            "spot_yield": 0.5,
            "headroom_share": 0.2,
            "binding_objective": "latency_p99_s",
            "basis": "modeled",
            "error_share": 0.1,
            "excuse": e,
        }
        for t, r, e in (
            ("a.large", 6.0, ""),
            ("b.large", 10.0, ""),
            ("c.large", 7.0, ""),
            ("d.large", 0.0, "too slow for 0.3 s"),
        )
    ]
    headroom = [
        {**WHERE, "instance_type": "a.large", "cause": c, "headroom_share": h, "basis": "modeled"}
        for c, h in (("queueing", 0.15), ("failure", 0.05))
    ]
    capacity = Capacity(
        frame("capacity", machines), frame("capacity.headroom", headroom), columns.empty("capacity.needs"), {}
    )
    return SimpleNamespace(
        scenario=s, catalog=catalog(), traffic={}, load=load, capacity=capacity, plan=_plan(s, ts, day), replay=None
    )


def _plan(s, ts, day):
    row = {**WHERE, "instance_type": "a.large", "deployment": "", "weight_h": 1.0}
    count = np.where(day > 10, 3, 2)
    schedule = pd.concat(
        [
            frame(
                "plan.schedule",
                {**row, "ts": ts, "purchase_option": "on_demand", "replicas": count, "instances": count.astype(float)},
            ),
            frame(
                "plan.schedule",
                {**row, "ts": ts, "purchase_option": "spot", "replicas": np.ones(len(ts), dtype=int), "instances": 1.0},
            ),
        ]
    )
    compute = frame(
        "plan.cost",
        {
            "ts": ts,
            **WHERE,
            "charge": "compute",
            "resource": "a.large",
            "purchase_option": "on_demand",
            "owner": "shop",
            "cost_center": "CC-1",
            "quantity": count.astype(float),
            "unit": "instance-hour",
            "list_unit_price_usd": 0.1,
            "list_cost_usd": 0.1 * count,
            "effective_cost_usd": 0.1 * count,
            "billed_cost_usd": 0.1 * count,
        },
    )
    spot = compute.assign(
        purchase_option="spot", quantity=1.0, list_cost_usd=0.1, effective_cost_usd=0.03, billed_cost_usd=0.03
    )
    nat = compute.iloc[:1].assign(
        charge="nat",
        resource="nat",
        owner="",
        cost_center="",
        quantity=1.0,
        list_cost_usd=7.0,
        effective_cost_usd=7.0,
        billed_cost_usd=7.0,
    )
    cost = pd.concat([compute, spot, nat], ignore_index=True)
    total = float(cost["effective_cost_usd"].sum())
    bindings = frame(
        "plan.bindings",
        {
            "constraint": ["spot_share"],
            "ts": ts[:1],
            "subject": ["web"],
            "shadow_price_usd": [120.0],
            "sentence": ["Allowing 1 % more on spot would save $1.20 over the plan"],
        },
    )
    excuses = frame(
        "plan.excuses",
        {
            **WHERE,
            "instance_type": ["b.large", "d.large"],
            "reason": ["costs more a request", "too slow for 0.3 s"],
            "gap": ["20 % too dear", "0.1 s"],
        },
    )
    prices = frame(
        "plan.prices",
        {
            **{k: [v] for k, v in WHERE.items() if k != "service"},
            "resource": ["a.large"],
            "purchase_option": ["on_demand"],
            "list_unit_price_usd": [0.1],
            "source": ["invented"],
            "as_of": ["2026-11-01"],
            "unit": ["instance-hour"],
        },
    )
    return Plan(
        s.name,
        total,
        schedule.reset_index(drop=True),
        columns.empty("plan.coverage"),
        columns.empty("plan.commitments"),
        cost,
        prices,
        bindings,
        excuses,
        Certificate("Optimal", total, total, "by hand"),
        tuple(total * np.linspace(0.95, 1.1, 16)),
        ("Planned on 21 futures",),
        s.time_zone,
        {month: tuple(total / 2 * np.linspace(0.95, 1.1, 16)) for month in ("2027-01", "2027-02")},
    )
