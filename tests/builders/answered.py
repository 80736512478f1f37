"""An answered question made by hand with every kind of charge: what exports are tested on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from planner import columns
from planner.optimizer.bill.charges import bill
from planner.plan import Certificate, Plan
from tests.builders import hand

TERMS = {"commitment": "ri", "category": "Usage", "plan_kind": "Reserved Instance", "scope_kind": "instance_type"}
TERMS |= {"scope": "m", "term_months": 12, "payment": "partial", "rate_usd_per_h": 0.6, "upfront_share": 0.5}
NETWORK = {"price_usd": 0.01, "price_unit": "GiB", "tier_lower": 0.0, "tier_upper": np.inf, "kind": "nat_gib"}
NEED = {"service": "web", "charge": "nat", "resource": "nat_gib", "driver": "request", "needs_quantity": 1e-4}
SPEND = {"support": {"name": "support", "charge": "support", "usd_per_month": 50.0}}


def scenario(**changes):
    """Two services of two teams, one of them without an owner, for 72 hours."""
    wanted = {**hand.TWO, "services.api.storage": {"block_gib": 0}, "horizon_h": 72, "other_costs": [SPEND["support"]]}
    return hand.scenario(**{**wanted, **changes})


def committed(s, quantity=2, hours=8760, first=0):
    """A contract with half its cost up front, from hour ``first`` of the horizon on."""
    start = pd.Timestamp(s.start_utc) + pd.Timedelta(hours=first)
    whole = quantity * TERMS["rate_usd_per_h"]
    row = {**hand.PLACE, **TERMS, "quantity": float(quantity), "unit": "instance", "start": start}
    row |= {"end": start + pd.Timedelta(hours=hours), "upfront_usd": whole * hours / 2, "hourly_usd": whole / 2}
    return hand.frame("plan.commitments", [row])


def answered(s=None, *, machines=3, quantity=2, hours=8760, first=0):
    """On demand, spot, a commitment partly unused in the second half, data through a gateway,
    support nobody owns.
    """
    s = scenario() if s is None else s
    on = np.where(np.arange(s.horizon_h) < s.horizon_h / 2, machines, 1)
    parts = [hand.schedule(s, on), hand.schedule(s, 2, option="spot"), hand.schedule(s, 1, service="api")]
    schedule = pd.concat(parts, ignore_index=True)
    at = np.arange(s.horizon_h)
    covered = np.where((at >= first) & (at < first + hours), np.minimum(on, quantity), 0)
    catalog = hand.catalog(commitments=[TERMS], network=[NETWORK])
    load = hand.load(s, {n: np.full(s.horizon_h, 10.0) for n in ("web", "api")})
    signed, coverage = committed(s, quantity, hours, first), hand.coverage(s, covered, "ri")
    capacity = hand.capacity(("web", "api"), needs=[{**NEED, "unit": "GiB"}])
    cost, prices = bill(s, load, capacity, catalog, schedule, coverage, signed)
    return SimpleNamespace(
        scenario=s, catalog=catalog, load=load, capacity=capacity, replay=None, today=None,
        plan=_plan(s, schedule, coverage, signed, cost, prices),
    )  # fmt: skip


def _plan(s, schedule, coverage, signed, cost, prices):
    total = float(cost["effective_cost_usd"].sum())
    month = cost["ts"].dt.tz_convert(s.time_zone).dt.strftime("%Y-%m")
    by = cost.groupby(month)["effective_cost_usd"].sum()
    spread = (0.8, 0.9, 1.0, 1.1, 1.2)
    paths = {str(m): tuple(float(v) * k for k in spread) for m, v in by.items()}
    return Plan(
        s.name,
        total,
        schedule,
        coverage,
        signed,
        cost,
        prices,
        columns.empty("plan.bindings"),
        columns.empty("plan.excuses"),
        Certificate("optimal", total, total, "hand"),
        paths_usd=tuple(total * k for k in spread),
        paths_month_usd=paths,
        time_zone=s.time_zone,
    )
