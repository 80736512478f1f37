"""Small hand-made frames whose answers can be checked on paper."""

import numpy as np
import pandas as pd

from planner import columns
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.latency.queue.queueing import QueueLatency
from planner.latency.queue.service_law import ServiceLaw
from planner.load import Load, ServiceLoad
from planner.optimizer.bill.charges import bill
from planner.plan import Certificate, Plan
from planner.scenario import Scenario

HAND = {"basis": "observed", "source": "by hand", "as_of": "2026-01-01"}
PLACE = {"provider": "aws", "region": "us-east-1"}


def frame(name: str, rows) -> pd.DataFrame:
    """A frame of the dictionary from rows, or columns, that name only what matters; the rest is
    empty, 0, NaN, true or the first hour of 2026.
    """
    table, empty = pd.DataFrame(rows), columns.empty(name)
    blank = {"str": "", "float": np.nan, "int": 0, "bool": True, "ts": pd.Timestamp("2026-01-01", tz="UTC")}
    for column in empty:
        kind = columns.dictionary()[column].dtype
        found = table[column].fillna(blank[kind]) if column in table else pd.Series(blank[kind], table.index)
        table[column] = found.astype(empty[column].dtype)
    return table[list(empty)]


def scenario(**changes) -> Scenario:
    """One service ``web`` owned by team shop, 48 hours from 31 January, UTC; no disks, logs,
    metrics or gateways unless asked for.
    """
    text = """
name: hand
start: 2027-01-31
horizon_h: 48
providers: [aws]
regions: [us-east-1]
services:
  web:
    owner: {team: shop, cost_center: CC-1}
    traffic: web.csv
    latency: {model: mmc, service_time_s: 0.01}
    objective: {latency_p99_s: 0.3}
    storage: {block_gib: 0, log_gib_per_request: 0, metrics_per_instance: 0}
    network: {nat_gib_per_request: 0}
"""
    return Scenario.from_yaml(text).replace(**changes)


def load(s: Scenario, rates: dict[str, np.ndarray], **more) -> Load:
    """Load of given rates, (hours,) or (paths, hours)."""
    ts = pd.date_range(s.start_utc, periods=s.horizon_h, freq="h", unit="us")
    services = {n: ServiceLoad(np.atleast_2d(np.asarray(r, dtype=np.float32)), **more) for n, r in rates.items()}
    return Load(ts, np.ones(len(ts)), services)


def catalog(*, rates=None, commitments=(), storage=(), network=()) -> Catalog:
    """Machine m (2 vCPU, $1 on demand, $0.4 spot) and machine big (8 vCPU, $4 on demand)."""
    rates = {("m", "on_demand"): 1.0, ("m", "spot"): 0.4, ("big", "on_demand"): 4.0} if rates is None else rates
    machines = [
        {
            **HAND,
            **PLACE,
            "instance_type": t,
            "family": "f",
            "arch": "x86_64",
            "vcpus": v,
            "memory_gib": 4 * v,
            "baseline_share": 1.0,
        }
        for t, v in (("m", 2.0), ("big", 8.0))
    ]
    priced = [
        {**HAND, **PLACE, "instance_type": t, "purchase_option": o, "rate_usd_per_h": r} for (t, o), r in rates.items()
    ]
    return Catalog(
        frame("catalog.instances", machines),
        frame("catalog.rates", priced),
        frame("catalog.commitments", [{**HAND, **PLACE, **c} for c in commitments]),
        frame("catalog.storage", [{**HAND, **PLACE, **c} for c in storage]),
        frame("catalog.network", [{**HAND, **PLACE, **c} for c in network]),
    )


def capacity(services=("web",), *, usable=100.0, needs=(), models=None) -> Capacity:
    """Each service on machine m, one replica an instance."""
    rows = [
        {
            **PLACE,
            "service": s,
            "instance_type": "m",
            "instances_per_replica": 1.0,
            "goodput_rps": usable / 0.8,
            "utilization": 0.8,
            "headroom_share": 0.2,
            "usable_rps": usable,
            "spot_yield": 1.0,
            "basis": "modeled",
            "error_share": 0.1,
            "binding_objective": "latency_p99_s",
        }
        for s in services
    ]
    return Capacity(
        frame("capacity", rows),
        frame("capacity.headroom", []),
        frame("capacity.needs", [{"basis": "assumed", "provider": "aws", "growth_per_month": 0.0, **n} for n in needs]),
        models or {},
    )


def schedule(s: Scenario, counts, *, option="on_demand", service="web", instance_type="m", rate=0.0) -> pd.DataFrame:
    """``counts`` instances by hour (a number or one value an hour)."""
    ts = pd.date_range(s.start_utc, periods=s.horizon_h, freq="h", unit="us")
    n, planned = np.broadcast_to(np.asarray(counts), len(ts)), np.broadcast_to(np.asarray(rate, dtype=float), len(ts))
    rows = [
        {
            **PLACE,
            "ts": t,
            "weight_h": 1.0,
            "service": service,
            "instance_type": instance_type,
            "purchase_option": option,
            "replicas": int(k),
            "instances": float(k),
            "arrival_rate_rps": float(r),
        }
        for t, k, r in zip(ts, n, planned, strict=True)
        if k > 0
    ]
    return frame("plan.schedule", rows)


def coverage(s: Scenario, counts, commitment: str, *, service="web", instance_type="m") -> pd.DataFrame:
    """``counts`` of the instances that a commitment pays for, by hour."""
    found = schedule(s, counts, service=service, instance_type=instance_type)
    return columns.check(
        "plan.coverage",
        found.assign(commitment=commitment).astype({"commitment": "str"})[list(columns.columns_of("plan.coverage"))],
    )


# what `plan` calls where its parameter has the same name
shop = catalog


def plan(s, schedule, *, services=("web",), paths=(), needs=(), catalog=None, rates=10.0):
    """The plan of a given schedule, billed as every plan is."""
    arriving = load(s, {n: np.full(s.horizon_h, rates) for n in services})
    cost, prices = bill(
        s,
        arriving,
        capacity(services, needs=needs),
        catalog or shop(),
        schedule,
        columns.empty("plan.coverage"),
        columns.empty("plan.commitments"),
    )
    total = float(cost["effective_cost_usd"].sum())
    return Plan(
        s.name,
        total,
        schedule,
        columns.empty("plan.coverage"),
        columns.empty("plan.commitments"),
        cost,
        prices,
        columns.empty("plan.bindings"),
        columns.empty("plan.excuses"),
        Certificate("optimal", total, total, "hand"),
        tuple(paths),
        (),
        s.time_zone,
    )


TWO = {"services.api": {"traffic": "a.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}}


# four workers, 10 ms: saturates at 400 requests/s
MODEL = QueueLatency(4, 0.01, ServiceLaw.of(1.0, None))


KEY = ("web", "aws", "us-east-1", "m", "")
