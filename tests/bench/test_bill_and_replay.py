"""How long the bill and the replay take at year size; prints, asserts only what must come out."""

import time

import numpy as np
import pandas as pd
import pytest

from planner import columns
from planner.optimizer.bill.charges import bill
from planner.plan import Certificate, Plan
from planner.simulator import Operations, simulate
from planner.simulator.fleet import task_of
from planner.simulator.replay import play_all
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


def plain_steps(rate, steps):
    """The same autoscaler for one path in plain Python: only utilization, tolerance, window and
    limits, no losses, no pools.
    """
    ready, starting, backlog, wishes = 30, [], 0.0, []
    for k in range(steps):
        load = rate[k // 60]
        ready += sum(n for at, n in starting if at == k)
        starting = [(at, n) for at, n in starting if at > k]
        backlog = max(0.0, backlog + (load - ready * 400.0) * 60.0)
        percent = int(100 * min(load / (ready * 400.0), 1.0))
        wish = ready if abs(1 - percent / 75) <= 0.1 else -(-percent * ready // 75)
        wishes = [*wishes[-4:], wish]
        goal = min(max(wish if wish > ready else max(wishes), 1), 60)
        if goal > ready + sum(n for _, n in starting):
            starting.append((k + 2, goal - ready - sum(n for _, n in starting)))
        elif goal < ready:
            ready = goal
    return ready


def test_a_year_of_minutes_of_a_thousand_paths_under_the_autoscaler():
    """Compiled replay beside a plain Python loop and beside moving its arrays through memory."""
    paths, rng = 1000, np.random.default_rng(1)
    s = hand.scenario(start="2027-01-01", horizon_h=HOURS, **{"services.web.autoscaling": {"scale_up_delay_s": 120.0}})
    wave = 6000 * (1 + 0.6 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi))
    load = hand.load(s, {"web": wave * rng.lognormal(0, 0.05, (paths, HOURS))}, burst_factor=1.2)
    counts = np.ceil(np.quantile(load.services["web"].arrival_rate_rps, 0.95, axis=0) / 300)
    made = hand.plan(s, hand.schedule(s, counts, rate=counts * 300), services=("web",))
    capacity = hand.capacity(usable=300.0, models={KEY: MODEL})
    simulate(made, s, load.select([0, 1]), capacity)  # compiled before it is timed
    task = task_of("web", made, s, load, capacity, Operations())
    began, cpu = time.perf_counter(), time.process_time()
    [played] = play_all([task])
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    steps = paths * HOURS * 60
    began = time.perf_counter()
    for array in (played.running, played.ready, task.rate):
        array.copy()
    moved = time.perf_counter() - began
    few = 20_000
    began = time.perf_counter()
    plain_steps(load.services["web"].arrival_rate_rps[0].tolist(), few)
    plain = (time.perf_counter() - began) / few
    print(
        f"\nyear of minutes x {paths:,} paths x autoscaler: {took:.2f} s ({took / steps * 1e9:.2f} ns a path-step,"
        f" {cpu / steps * 1e9:.2f} ns of processor); plain Python {plain * 1e9:.0f} ns a path-step"
        f" ({plain * steps:.0f} s); moving its arrays {moved:.2f} s"
    )
    assert played.arrived_path.sum() > 0
