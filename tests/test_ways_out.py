"""Sixty odd scenarios that no plan satisfies: what the refusal says to change is written as it says, and then a plan
exists. Nothing is promised that was not tried.
"""

import json
import re
from contextlib import suppress

import pytest

from planner.capacity import size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, Relaxation, ScenarioError, SolverError
from planner.load import forecast, read_histories
from planner.optimizer import check_feasible
from planner.relaxing import tried
from planner.scenario import Scenario
from planner.study import run

PATHS = 4
WEB = {
    "traffic": {"requests_per_day": 4e7, "shape": "office"},
    "latency": {"model": "queue", "service_time_s": 0.03, "memory_gib": 2},
    "objective": {"latency_p99_s": 0.3},
}
CHAT = {
    "traffic": {"requests_per_day": 2e5, "shape": "flat"},
    "latency": {"model": "llm", "weights": "llama-3.1-8b", "input_tokens": 800, "output_tokens": 200},
    "objective": {"ttft_p95_s": 1.0, "tpot_p95_s": 0.05},
}
TYPES = ["m7i.large", "c7i.xlarge"]
BASE = {
    "name": "odd",
    "start": "2027-01-04",
    "horizon_h": 24,
    "time_zone": "UTC",
    "providers": ["aws"],
    "regions": ["us-east-1"],
    "services": {"web": WEB},
    "limits": {"instance_types": TYPES, "max_term_months": 0, "max_spot_share": 0},
}
ONE = {"limits.instance_types": ["m7i.large"]}
QUOTA, REPLICAS = "limits.quota.m7i.large", "services.web.autoscaling.max_replicas"
P99, SHARE, BUDGET = "services.web.objective.latency_p99_s", "limits.max_type_share", "limits.budget_usd_per_month"
MEMORY, BOTH = "services.web.latency.memory_gib", "limits.quota"
TWO = {"services.api": WEB}
ZONES = {"limits.zones": 3, "limits.zones_lost": 1}
UP = "services.web.objective.availability_share"

ODD = [
    *({QUOTA: n} | ONE for n in (0, 1, 2, 5, 9)),
    *({BOTH: dict.fromkeys(TYPES, n)} for n in (0, 1, 2, 3)),
    {BOTH: {"m7i.large": 1, "c7i.xlarge": 3}},
    *({REPLICAS: n} for n in (1, 2, 3, 4)),
    *({REPLICAS: n} | ONE for n in (1, 5)),
    *({BUDGET: usd} for usd in (1, 5, 10, 20, 40)),
    *({P99: s} for s in (1e-6, 1e-3, 0.02, 0.05)),
    {"services.web.objective": {"latency_p50_s": 0.001}},
    {"services.web.objective": {"latency_p95_s": 0.01, "latency_p99_s": 0.02}},
    *({MEMORY: gib} for gib in (8, 9.5, 100, 5000)),
    *({SHARE: share} for share in (0.01, 0.2, 0.34, 0.49)),
    {SHARE: 0.3, "limits.instance_types": ["m7i.large", "c7i.xlarge", "r7i.large"]},
    *({UP: share} for share in (0.999, 0.9999, 0.999999)),
    {UP: 0.99999, "limits.zones": 2, "limits.zones_lost": 0},
    # several at once
    {QUOTA: 1, REPLICAS: 2} | ONE,
    {QUOTA: 0, MEMORY: 20} | ONE,
    {QUOTA: 0, P99: 0.01} | ONE,
    {QUOTA: 2, BUDGET: 5} | ONE,
    {REPLICAS: 1, BUDGET: 5},
    {REPLICAS: 2, SHARE: 0.3},
    {P99: 0.02, BUDGET: 50},
    {P99: 0.02, REPLICAS: 1, BUDGET: 50},
    {BOTH: dict.fromkeys(TYPES, 1), REPLICAS: 1},
    {BOTH: dict.fromkeys(TYPES, 2), SHARE: 0.4},
    {QUOTA: 3, BUDGET: 20} | ONE | ZONES,
    {QUOTA: 12} | ONE | ZONES,
    {REPLICAS: 3} | ZONES,
    {MEMORY: 64, REPLICAS: 1},
    # two services on one quota
    *({QUOTA: n} | ONE | TWO for n in (1, 8, 20)),
    {BOTH: {"m7i.large": 2, "c7i.xlarge": 4}} | TWO,
    {QUOTA: 8, BUDGET: 20} | ONE | TWO,
    {QUOTA: 0, "services.api.objective.latency_p99_s": 0.01} | ONE | TWO,
    # least replicas above what is allowed
    {"services.web.autoscaling.min_replicas": 10, BOTH: {"m7i.large": 3, "c7i.xlarge": 2}},
    {"services.web.autoscaling.min_replicas": 40, QUOTA: 12} | ONE,
    # language models
    {"services": {"chat": CHAT}, "limits.instance_types": ["g6.xlarge"], "limits.quota.g6.xlarge": 1},
    {"services": {"chat": CHAT}, "limits.instance_types": ["g6.xlarge"], "services.chat.objective.tpot_p95_s": 0.001},
    {"services": {"chat": CHAT}, "limits.instance_types": ["m7i.large"]},
    {"services": {"chat": CHAT}, "limits.instance_types": ["g6.xlarge"], BUDGET: 100},
    # more types than are compared
    {SHARE: 0.01, "limits.instance_types": []},
]
QUICK = (12, 22, 60, len(ODD) - 1)  # of each kind one, in the plain suite


@pytest.fixture(scope="module", name="catalog")
def of_one_region():
    return Catalog.read("aws", regions=["us-east-1"])


def odd(changes):
    return Scenario.from_yaml(json.dumps(BASE)).replace(**changes)


def written(remedy):
    """What a reader writes who follows a remedy word for word: fields and values; ``None`` for general advice."""
    found, verb = [], r"(?:raise|lower|set) "
    for part in re.split(r" and (?=raise |lower |set |limits\.|services\.)", remedy):
        match = re.fullmatch(rf"(?:{verb})?([\w.-]+)(?: from [\d.,e+-]+)? to (.+)", part)
        if match is None:
            return None
        value = re.sub(r" (?:s|GiB|USD)$", "", match[2])
        value = value.replace(",", "") if re.fullmatch(r"[\d.,e+-]+", value) else value
        found.append(f"{match[1]}={value}")
    return found


def check(changes, catalog):
    scenario = odd(changes)
    with pytest.raises(InfeasiblePlan) as refused:
        run(scenario, catalog, paths=PATHS)
    followed = [w for w in map(written, refused.value.relaxations) if w]
    assert followed, str(refused.value)
    for settings in followed:
        study = run(scenario.override(tuple(settings)), catalog, paths=PATHS)
        assert study.plan.total_usd > 0


@pytest.mark.parametrize("number", QUICK)
def test_a_remedy_is_followed_to_a_plan(number, catalog):
    check(ODD[number], catalog)


@pytest.mark.slow
@pytest.mark.parametrize("number", [n for n in range(len(ODD)) if n not in QUICK])
def test_every_remedy_is_followed_to_a_plan(number, catalog):
    check(ODD[number], catalog)


@pytest.mark.parametrize("changes", [{"limits.max_instance_types": 1000}])
def test_more_types_than_there_are_are_no_more_work(changes, catalog):
    """A limit far above the machines on sale ends in a plan or a refusal, not in a search without end."""
    scenario = odd(changes)
    load = forecast(read_histories(scenario), scenario, paths=PATHS)
    with suppress(InfeasiblePlan):
        check_feasible(scenario, load, size(scenario, catalog, load), catalog)


def test_zones_without_number_are_refused():
    for zones in (11, 1000, 10**9):
        with pytest.raises(ScenarioError, match=r"limits\.zones.*10"):
            odd({"limits.zones": zones})


def test_sixty_are_tried():
    assert len(ODD) >= 60


def test_ways_that_lead_nowhere_are_not_told(catalog):
    """Of what a refusal proposes the ways that were followed to a plan stay, and general advice where none was."""
    scenario = odd({QUOTA: 1} | ONE)
    load = forecast(read_histories(scenario), scenario, paths=PATHS)
    dead = [Relaxation("set limits.zones to 99", {"limits.zones": 99}), Relaxation("set limits.none to 1", {"none": 1})]
    for advice in ([], ["add providers"]):
        told = tried(InfeasiblePlan("none", relaxations=[*dead, *advice]), scenario, load, catalog).relaxations
        assert told
        assert not {*told} & {*map(str, dead)}
        assert {*advice} <= {*told}


def test_a_fault_of_the_solver_is_no_way_that_leads_nowhere(catalog, monkeypatch):
    scenario = odd({QUOTA: 1} | ONE)
    load = forecast(read_histories(scenario), scenario, paths=PATHS)

    def failing(*_):
        raise SolverError("the solver stopped")

    monkeypatch.setattr("planner.relaxing.check_feasible", failing)
    with pytest.raises(SolverError):
        tried(InfeasiblePlan("none", relaxations=[Relaxation("more", {QUOTA: 9})]), scenario, load, catalog)
