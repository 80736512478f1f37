"""All faults of a scenario at once, before any work; files beside the scenario from any folder."""

import json
import shutil

import pytest

from planner.catalog import Catalog
from planner.data import data_path
from planner.errors import ScenarioError
from planner.faults import checked
from planner.load import forecast, read_histories
from planner.scenario import Scenario
from planner.study import run

SERVICE = {
    "traffic": {"requests_per_day": 1e6, "shape": "office"},
    "latency": {"model": "queue", "service_time_s": 0.03, "memory_gib": 2},
    "objective": {"latency_p99_s": 0.3},
}


def scenario(folder=None, services=None, **more):
    base = {"name": "s", "start": "2027-01-01", "providers": ["aws"], "regions": ["us-east-1"]}
    return Scenario.from_yaml(json.dumps({**base, "services": services or {"web": SERVICE}, **more}), folder=folder)


@pytest.fixture(scope="module", name="catalog")
def of_one_region():
    return Catalog.read("aws", regions=["us-east-1"])


def test_a_scenario_without_fault_passes(catalog):
    checked(scenario(limits={"quota": {"m7i.xlarge": 3}}), catalog)


def test_all_faults_are_told_at_once_with_near_names_before_any_work(catalog):
    services = {
        "web": {**SERVICE, "latency": {"model": "queue", "service_time": 0.03}},
        "api": {**SERVICE, "traffic": "none.csv", "latency": {"model": "queu"}},
        "job": {**SERVICE, "traffic": {"requests_per_day": 1e6, "shape": "weekend"}},
    }
    wrong = scenario(
        services=services,
        limits={"quota": {"m7i.xlargee": 3}},
        price_adjustments=[{"discount_share": 0.1, "provider": "awz"}, {"discount_share": 0.1, "service": "webb"}],
    )
    with pytest.raises(ScenarioError) as caught:
        run(wrong, catalog)
    told = str(caught.value)
    for word in (
        "services.web.latency.service_time",
        "services.api.latency.model",
        "services.api.traffic: no file none.csv",
        "services.job.traffic.shape",
        "limits.quota.m7i.xlargee",
        "m7i.xlarge",
        "price_adjustments.0.provider",
        "price_adjustments.1.service",
        "web",
    ):
        assert word in told, word
    assert len(caught.value.problems) >= 8


RESERVED = "aws/us-east-1/m6a.xlarge/standard_ri/1y/none"


@pytest.mark.parametrize(
    ("held", "told", "mended"),
    [
        (
            {"commitment": RESERVED, "region": "eu-west-1"},
            "Write us-east-1",
            {"region": "us-east-1"},
        ),
        ({"commitment": RESERVED.replace("us-east-1", "eu-west-1")}, r"Add eu-west-1 to regions", None),
        ({"commitment": RESERVED.replace("m6a", "m6")}, rf"Did you mean .*{RESERVED}", {"commitment": RESERVED}),
    ],
)
def test_a_commitment_that_is_not_held_here_is_told_with_what_to_write(catalog, held, told, mended):
    """The remedy is followed, and gets further."""
    held = {"quantity": 2, "end": "2027-06-01", **held}
    with pytest.raises(ScenarioError, match=told):
        checked(scenario(existing=[held]), catalog)
    if mended:
        checked(scenario(existing=[held | mended]), catalog)
    else:
        wider = scenario(existing=[held], regions=["us-east-1", "eu-west-1"])
        checked(wider, Catalog.read("aws", regions=wider.regions))


def test_an_event_outside_the_plan_is_told():
    """A wrong year looks like a plan for it."""
    event = {"name": "sale", "start": "2037-01-10", "end": "2037-01-12", "multiplier": 2}
    s = scenario(horizon_h=48, services={"web": {**SERVICE, "events": [event]}})
    load = forecast(read_histories(s), s, paths=2)
    assert any("the event sale" in n and "changes nothing" in n for n in load.notes)
    s = s.replace(**{"services.web.events.0.start": "2027-01-02", "services.web.events.0.end": "2027-01-03"})
    assert not any("changes nothing" in n for n in forecast(read_histories(s), s, paths=2).notes)


def test_the_file_beside_the_scenario_is_taken_from_any_folder(tmp_path, monkeypatch, catalog):
    """A file of the same name where the program runs does not take the place of the scenario's own."""
    beside, away = tmp_path / "beside", tmp_path / "away"
    beside.mkdir()
    away.mkdir()
    shutil.copy(data_path("traffic", "chat.csv"), beside / "chat.csv")
    (away / "bench.json").write_text(json.dumps({"broken": True}), encoding="utf-8")
    own = {"completed": 0, "duration": 1}
    (beside / "bench.json").write_text(json.dumps(own), encoding="utf-8")
    latency = {"model": "llm", "weights": "llama-3.1-8b", "benchmark": {"file": "bench.json"}}
    chat = {"traffic": "chat.csv", "latency": latency, "objective": {"ttft_p95_s": 1}}
    s = scenario(beside, {"chat": chat})
    said = []
    for folder in (away, beside, tmp_path):
        monkeypatch.chdir(folder)
        with pytest.raises(ScenarioError) as caught:
            checked(s, catalog)
        said.append(str(caught.value))
    assert len(set(said)) == 1
