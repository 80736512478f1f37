"""How long the bill and the replay take at year size; prints, asserts only what must come out."""

import time

import numpy as np
import pandas as pd
import pytest

from planner import columns
from planner.optimizer.bill.charges import bill
from planner.plan import Certificate, Plan
from planner.simulator import simulate
from tests.builders import hand
from tests.builders.hand import KEY, MODEL

HOURS, PATHS = 8760, 200
pytestmark = pytest.mark.slow


def year(names):
    spec = {"traffic": "a.csv", "latency": {"model": "queue"}, "objective": {"latency_p99_s": 0.3}}
    return hand.scenario(start="2027-01-01", horizon_h=HOURS, **{f"services.{n}": spec for n in names})


def schedule(s, names, kinds, rng):
    """Every service on every (machine, option), 1 to 8 instances in each hour."""
    parts = []
    for name in names:
        for kind, option in kinds:
            row = hand.schedule(s.replace(horizon_h=1), 1, service=name, instance_type=kind, option=option)
            part = row.loc[row.index.repeat(HOURS)].reset_index(drop=True)
            part["ts"] = pd.date_range(s.start_utc, periods=HOURS, freq="h", unit="us")
            part["replicas"] = rng.integers(1, 9, HOURS)
            part["instances"] = part["replicas"].astype(float)
            parts.append(part.assign(arrival_rate_rps=200.0))
    return pd.concat(parts, ignore_index=True)


def test_bill_of_ten_services_for_a_year():
    names = [f"s{i}" for i in range(10)]
    s, rng = year(names), np.random.default_rng(0)
    plan = schedule(s, names, [("m", "on_demand"), ("m", "spot"), ("big", "on_demand")], rng)
    load = hand.load(s, {n: np.full(HOURS, 10.0) for n in s.services})
    began = time.perf_counter()
    cost, _ = bill(
        s,
        load,
        hand.capacity(tuple(names)),
        hand.catalog(),
        plan,
        columns.empty("plan.coverage"),
        columns.empty("plan.commitments"),
    )
    print(f"\nbill: {len(cost):,} rows in {time.perf_counter() - began:.2f} s")
    assert cost["quantity"].sum() == pytest.approx(plan["instances"].sum())


def test_replay_of_three_services_for_a_year():
    names, rng = ["web", "s1", "s2"], np.random.default_rng(1)
    s = year(names[1:])
    load = hand.load(s, {n: rng.gamma(8, 100, (PATHS, HOURS)) for n in names}, burst_factor=1.5)
    frame = schedule(s, names, [("m", "on_demand")], rng)
    capacity = hand.capacity(tuple(names), models={(n, *KEY[1:]): MODEL for n in names})
    empty = {
        n: columns.empty(f"plan.{n}") for n in ("coverage", "commitments", "cost", "prices", "bindings", "excuses")
    }
    plan = Plan("bench", 0.0, frame, *empty.values(), Certificate("none", 0.0, 0.0, "none"))
    began = time.perf_counter()
    replay = simulate(plan, s, load, capacity)
    took = time.perf_counter() - began
    each = took / (len(names) * PATHS * HOURS)
    print(
        f"\nreplay: {len(names)} services × {PATHS} paths × {HOURS} h in {took:.2f} s, {each * 1e9:.0f} ns a path-hour"
    )
    assert 0 < replay.within_share() < 1
