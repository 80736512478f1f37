"""The product against the table of known queueing answers, row by row, each within the row's own
tolerance.
"""

import csv
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import pytest

from planner.latency.batch import batching
from planner.latency.measured.usl import ScalabilityLaw
from planner.latency.queue import erlang
from planner.latency.queue.service_law import ServiceLaw
from planner.latency.queue.simulation import POISSON, Pool
from tests.oracles import closed
from tests.oracles.closed import power_of_choices_mean_response
from tests.oracles.queues import Solution, solve

REQUESTS = {"fcfs": 20_000_000, "ps": 6_000_000}
# Rows by (id, value) that miss the exact value by more than their own tolerance.  The tolerance is
# twice the 95 % half-width of
# five runs: a t of 5.55 at 4 degrees of freedom, which one row in 200 passes by chance, so 1.5 of
# these 293 are to be expected.
# Each case is read as stated (one shared FCFS queue; taking turns of 32), and its other figures are
# low with it, as where a run
# met too few of the long services (scv 20): by 6.5, 6.9, 10.2 % and by 1.8, 1.8, 6.3 % of mean, p95
# and p99.
MISSED = {
    (
        "lb-61-response_p95",
        "34.18",
    ): (
        "PH/PH/8 exactly: 36.72, another simulation of 10⁸ requests: 37.25 ± 0.79; 40 runs of 10⁶ requests: "
        "35.9 with a spread of 3.1, so the row's half-width of 1.1 is not that of such runs"
    ),
    ("lb-121-response_p99", "455.1"): "one of 32 replicas taking turns is E32/H2/1, exactly 485.9",
}


@pytest.fixture(scope="module")
def folder(reference):
    return reference("queueing")


def read(folder, *kinds):
    with (folder / "queueing_cases.csv").open(newline="", encoding="utf-8") as file:
        return [r for r in csv.DictReader(file) if any(r["kind"].startswith(k) for k in kinds)]


def params(row):
    """``a=1; b=2`` as a dictionary; parts without ``=`` under their own text."""
    parts = [p.strip() for p in row["params"].split(";") if p.strip()]
    return {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in parts)}


def law(text, scv):
    """``exponential``, ``erlang2``, ``h2 balanced means``, ``lognormal``, ``deterministic``,
    ``poisson`` with a squared cv.
    """
    if text in ("exponential", "poisson"):
        return POISSON
    if text.startswith("erlang"):
        return ServiceLaw("gamma", 1 / int(text.removeprefix("erlang")))
    return ServiceLaw({"h2": "hyperexponential"}.get(text.split()[0], text.split()[0]), scv)


def laws(row):
    """(gaps, service) of ``arrival_cv2=1 (poisson); service_cv2=4 (lognormal)`` or ``poisson;
    service_cv2=...``.
    """
    found = {k: law(name, float(scv)) for k, scv, name in re.findall(r"(\w+)_cv2=([\d.]+) \(([^)]+)\)", row["params"])}
    return found.get("arrival", POISSON), found["service"]


@lru_cache(maxsize=512)
def solved(pool: Pool, utilization: float, exact: bool) -> Solution:
    return solve(
        pool, utilization, exact=exact, requests=REQUESTS[pool.discipline] * (3 if pool.law.scv > 10 else 1), seed=11
    )


def of_solution(solution: Solution, metric: str, mu: float) -> float:
    named = re.fullmatch(r"(wait|response)_p(\d+)", metric)
    if named:
        return getattr(solution, f"{named[1]}_quantile")(int(named[2]) / 10 ** len(named[2])) / mu
    value = getattr(solution, metric)
    return value if metric == "p_wait" else value / mu


def queue(row, pool):
    lam, mu, c = float(row["lam"]), float(row["mu"]), int(row["c"])
    return of_solution(solved(pool, lam / mu / c, True), row["metric"], mu)


def balanced(row):
    name, discipline = re.fullmatch(r"load balancer (\w+), (\w+) per server", row["model"]).groups()
    balancer = {"rr": "round_robin"}.get(name, name)
    gaps, service = laws(row)
    return queue(row, Pool(service, 1, int(row["c"]), balancer, discipline, gaps))


def fitted(row, positive):
    name, *rows = params(row)["dataset"].split(maxsplit=1)
    assert rows in ([], ["all rows"]), f"unknown selection {rows}"
    points = [(float(r["load"]), float(r["throughput"])) for r in row["_usl"] if r["dataset"] == name]
    found = ScalabilityLaw.fit(*zip(*points, strict=True), positive=positive)
    predicted = re.fullmatch(r"predict_load_(\d+)", row["metric"])
    return float(found.throughput(float(predicted[1]))) if predicted else getattr(found, row["metric"])


def fewest(row):
    p = params(row)
    found = closed.fewest_servers(
        float(row["lam"]), float(row["mu"]), float(p["quantile"]), float(p["target"]), p["of"]
    )
    return "infeasible" if found is None else found


def batched(row):
    setup, each = map(float, re.search(r"batch_time=([\d.]+)\+([\d.]+)\*b", row["params"]).groups())
    assert "unlimited batch" in row["params"]
    return batching.simulate_batches(float(row["lam"]), setup, each, requests=20_000_000, seed=11).mean_latency_s


def erlang_a(row):
    found = closed.erlang_a(float(row["lam"]), float(row["mu"]), int(row["c"]), float(params(row)["abandon_rate"]))
    return found[{"mean_wait_all": "mean_wait_s"}.get(row["metric"], row["metric"])]


def limited(row):
    found = closed.mmck(float(row["lam"]), float(row["mu"]), int(row["c"]), int(params(row)["K"]))
    names = {
        "mean_wait_accepted": "mean_wait_s",
        "mean_response_accepted": "mean_response_s",
        "throughput": "throughput_rps",
    }
    return found[names.get(row["metric"], row["metric"])]


def mg1(row):
    lam, mu = float(row["lam"]), float(row["mu"])
    wait = closed.mg1_mean_wait_s(lam, 1 / mu, float(params(row)["service_cv2"]))
    return {"mean_response": wait + 1 / mu, "mean_wait": wait}[row["metric"]]


def choices(row):
    return power_of_choices_mean_response(float(row["lam"]) / float(row["mu"]), int(params(row)["d"])) / float(
        row["mu"]
    )


ADAPTERS = {
    "M/M/c": lambda r: queue(r, Pool(POISSON, int(r["c"]))),
    "M/M/c/K": limited,
    "Erlang B": lambda r: float(erlang.erlang_b(float(r["lam"]) / float(r["mu"]), int(r["c"]))),
    "Erlang A (M/M/c+M)": erlang_a,
    "M/G/1": mg1,
    "M/G/1-PS": lambda r: closed.mg1_ps_mean_response_s(float(r["lam"]), 1 / float(r["mu"])),
    "M/D/c": lambda r: closed.mdc_mean_wait_s(float(r["lam"]), 1 / float(r["mu"]), int(r["c"])),
    "PH/PH/c": lambda r: queue(r, Pool(laws(r)[1], int(r["c"]), gaps=laws(r)[0])),
    "G/G/c FCFS, one queue": lambda r: queue(r, Pool(laws(r)[1], int(r["c"]), gaps=laws(r)[0])),
    "min servers M/M/c": fewest,
    "power of d choices, M/M per server, infinite pool": choices,
    "dynamic batching, one server": batched,
    "USL fit (least squares, 3 parameters)": lambda r: fitted(r, positive=False),
    "USL fit (least squares, beta >= 0)": lambda r: fitted(r, positive=True),
    "USL closed form": lambda r: getattr(
        ScalabilityLaw(float(params(r)["alpha"]), float(params(r)["beta"])), r["metric"]
    ),
}


def answer(row):
    if row["model"].startswith("load balancer "):
        return balanced(row)
    return ADAPTERS[row["model"]](row)


def within(row, got):
    """Relative tolerance of the row; ``abs_tol`` in its parameters replaces it; 0 means equal."""
    if isinstance(got, str) or not re.fullmatch(r"[-+\d.eE]+", row["value"]):
        return str(got) == row["value"]
    value, tolerance = float(row["value"]), params(row).get("abs_tol")
    allowed = float(tolerance) if tolerance else float(row["tol_rel"]) * abs(value)
    return math.isfinite(got) and abs(got - value) <= allowed + 4e-16 * abs(value)


def key(row):
    return row["id"], row["value"]


def prove(folder, *kinds):
    """Every row of these kinds; fails with one line for each row that misses."""
    with (folder / "usl_data.csv").open(newline="", encoding="utf-8") as file:
        usl = list(csv.DictReader(file))
    rows = read(folder, *kinds)
    if not rows:
        pytest.skip(f"no row of kind {', '.join(kinds)} in this folder")
    groups = {}
    for row in rows:
        groups.setdefault((row["model"], row["lam"], row["mu"], row["c"], row["params"]), []).append(
            {**row, "_usl": usl}
        )
    # rows of one case share a run; the kernels let go of the interpreter, so cases run side by side
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        answers = [
            pair
            for group in threads.map(lambda group: [(r, answer(r)) for r in group], groups.values())
            for pair in group
        ]
    wrong = []
    for row, got in answers:
        if within(row, got) == (key(row) in MISSED):
            wrong.append(
                f"{row['id']}: {got} is not {row['value']} within {row['tol_rel']} ({row['model']}, {row['params']})"
            )
    missed = [f"{r['id']} ({MISSED[key(r)]})" for r in rows if key(r) in MISSED]
    print(
        f"{len(rows) - len(wrong) - len(missed)} of {len(rows)} rows {'/'.join(kinds)} within tolerance",
        *missed,
        sep="; ",
    )
    assert not wrong, "\n".join(wrong)


def test_exact_rows(folder):
    prove(folder, "exact", "limit")


def test_published_rows(folder):
    prove(folder, "published")


@pytest.mark.slow
def test_simulated_rows(folder):
    prove(folder, "simulated")
