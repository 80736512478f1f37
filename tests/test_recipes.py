"""The recipes of CONTRIBUTING.md, each followed to the end: a toy provider, latency model, charge, limit
and page, added in a temporary folder and used as a user would.
"""

import math
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import planner
from planner.capacity import needs
from planner.catalog import PROVIDERS, refresh
from planner.catalog.providers import Provider
from planner.catalog.store import ENVIRONMENT, write_files
from planner.latency import LATENCY_MODELS
from planner.optimizer.program.model import build
from planner.optimizer.program.problem import Limit
from planner.optimizer.program.solve import solve
from planner.scenario import Scenario
from tests.builders import ROOT, hand, markets, problems, small

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOUND = {"source": "https://toy.example/prices", "as_of": "2026-11-01", "basis": "observed"}
PLACE = {"provider": "toy", "region": "toy-1"}
SERVICE = """
name: on-toy
start: 2027-01-04
horizon_h: 48
providers: [toy]
regions: [toy-1]
services:
  web:
    owner: {team: shop}
    traffic: web.csv
    latency: {model: queue, service_time_s: 0.03}
    objective: {latency_p99_s: 0.3}
    storage: {block_gib: 0, log_gib_per_request: 0, metrics_per_instance: 0}
    network: {nat_gib_per_request: 0, load_balancer: false, public_ipv4: 0}
"""


def test_the_guide_names_files_that_exist_and_a_proof_for_each_recipe():
    for name in set(re.findall(r"`((?:planner|tests|data)/[\w./]+)`", GUIDE)):
        assert (ROOT / name).exists(), name
    recipes = re.findall(r"^## Add (.+)$", GUIDE, flags=re.M)
    assert recipes == ["a provider", "a latency model", "a constraint", "a charge", "a page"]
    proofs = re.findall(r"`tests/test_recipes.py::(\w+)`", GUIDE)
    assert len(proofs) == len(recipes)
    assert set(proofs) <= set(globals())


# a provider: an entry of the registry, a module that asks its price API, a snapshot


def toy_tables(usd):
    machine = {**FOUND, **PLACE, "instance_type": "toy.4", "family": "toy", "arch": "x86_64", "vcpus": 4.0}
    machine |= {"memory_gib": 16.0, "baseline_share": 1.0, "threads_per_core": 2.0, "network_gib_per_s": 1.0}
    rate = {**FOUND, **PLACE, "instance_type": "toy.4", "purchase_option": "on_demand", "rate_usd_per_h": usd}
    rows = {"instances": [machine], "rates": [rate], "commitments": [], "storage": [], "network": []}
    return {name: hand.frame(f"catalog.{name}", part) for name, part in rows.items()}


TOY_CLOUD = """
    from planner.catalog.answers import Fetched

    VARIABLE_MAP = {"usd": "rate_usd_per_h"}

    def fetch(regions, raw, known=None):
        out = Fetched()
        for region in regions:
            raw.keep("prices", {"toy.4": 0.25})
            stamp = {"provider": "toy", "region": region, "as_of": raw.as_of, "source": "toy", "basis": "observed"}
            rate = {"instance_type": "toy.4", "purchase_option": "on_demand", "rate_usd_per_h": 0.25}
            out.add("rates", **stamp, **rate)
            for machine in known[known["region"] == region].to_dict("records"):
                out.add("instances", **machine)
        return out
"""


def test_a_toy_provider_is_planned_and_refreshed(tmp_path, monkeypatch):
    write_files(tmp_path / "catalog" / "toy", toy_tables(0.2))
    (tmp_path / "toy_cloud.py").write_text(textwrap.dedent(TOY_CLOUD), encoding="utf-8")
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "catalog"))
    monkeypatch.setitem(PROVIDERS, "toy", Provider("Toy cloud", "toy_cloud", zone_availability=0.999))
    scenario = Scenario.from_yaml(SERVICE, folder=tmp_path)
    scenario = scenario.replace(**{f"services.{s}.autoscaling.policy": "scheduled" for s in scenario.services})
    plan = planner.run(scenario, paths=10).plan
    machines = plan.schedule["instances"].sum()
    assert plan.total_usd == pytest.approx(0.2 * machines)
    assert plan.prices["source"].tolist() == [FOUND["source"]]
    refresh("toy", ["toy-1"])
    dearer = planner.run(scenario, paths=10).plan
    assert dearer.total_usd == pytest.approx(0.25 * machines)


# a latency model: a frozen class of its parameters, an entry of the registry, a case of the contract suite

TOY_MODEL = """
    import math
    from dataclasses import dataclass

    import numpy as np
    from pydantic import BaseModel, ConfigDict, Field

    from planner.errors import ScenarioError
    from planner.latency import LATENCY_MODELS, Deployment, Goodput, PlainReplica, PlainService

    @dataclass(frozen=True)
    class Replica(PlainReplica):
        \"\"\"M/M/1 under random spreading: P(T > t) = exp(-(1 - rho) t / S).\"\"\"

        service_time_s: float
        basis, method, error_share = "modeled", "M/M/1, random spreading", 0.1

        def latency_s(self, arrival_rate_rps, replicas, quantile, metric="latency"):
            if metric != "latency":
                raise ScenarioError("the toy model answers latency. Give latency bounds")
            spare = 1 - np.asarray(arrival_rate_rps, dtype=float) / replicas * self.service_time_s
            with np.errstate(divide="ignore"):
                return np.where(spare > 0, -math.log(1 - quantile) * self.service_time_s / np.maximum(spare, 0), np.inf)

        def goodput_rps(self, objective, replicas=1):
            best = Goodput(math.inf, "", math.nan)
            for name, metric, quantile, bound in objective.bounds():
                alone = float(self.latency_s(0.0, 1, quantile, metric))
                busy = max(0.0, 1 - alone / bound)
                if busy / self.service_time_s * replicas < best.arrival_rate_rps:
                    best = Goodput(busy / self.service_time_s * replicas, name, busy)
            return best

    class Toy(PlainService, BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")
        service_time_s: float = Field(gt=0)

        def deployments(self, machine, arrivals):
            return [Deployment(1.0, "", Replica(self.service_time_s))]

    LATENCY_MODELS["toy"] = Toy
"""


@pytest.fixture(name="toy_model")
def module_of_a_toy_model(tmp_path, monkeypatch):
    (tmp_path / "toy_model.py").write_text(textwrap.dedent(TOY_MODEL), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LATENCY_MODELS, "toy", None)
    __import__("toy_model")
    yield LATENCY_MODELS["toy"]
    sys.modules.pop("toy_model")


def test_a_toy_latency_model_is_planned_and_keeps_the_contract(tmp_path, toy_model):
    s = markets.scenario(**{"services.web.latency": {"model": "toy", "service_time_s": 0.01}})
    load = hand.load(s, {"web": np.full(48, 300.0)})
    capacity = planner.size(s, hand.catalog(), load)
    goodput = capacity.frame["goodput_rps"].iloc[0]
    assert goodput == pytest.approx((1 - math.log(100) * 0.01 / 0.3) / 0.01)
    plan = planner.optimize(s, load, capacity, hand.catalog())
    needed = math.ceil(300 / capacity.frame["usable_rps"].iloc[0])
    assert (plan.schedule.groupby("ts")["instances"].sum() == needed).all()
    suite = (ROOT / "tests/contracts/test_latency_models.py").read_text(encoding="utf-8")
    case = 'CASES = {\n    "added": ("toy", {"service_time_s": 0.05}, CPU, ANY_LATENCY),\n'
    (tmp_path / "test_contract.py").write_text(
        "import toy_model\n" + suite.replace("CASES = {\n", case), encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "added",
            str(tmp_path / "test_contract.py"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d+ passed", done.stdout)


# a constraint: a named row of the program


def test_a_toy_limit_binds_by_its_name():
    rng = np.random.default_rng(5)
    free = problems.draw(rng, scenarios=1, commitments=False)
    spot = next(t.name for t in free.types if t.spot_usd_per_h is not None)
    limited = replace(free, limits=(*free.limits, Limit("toy", 0.0, (spot,), ("spot",))))
    before, model = problems.oracle(free), build(limited)
    found = solve(model.lp)
    assert found.optimal
    assert found.objective >= before
    assert any(row[:2] == ("limit", "toy") for row in model.rows)
    sold = [name for name, key in model.keys.items() if key[0] == "spot" and spot in key]
    assert sold
    assert max(found.values[name] for name in sold) == pytest.approx(0, abs=1e-9)


# a charge: rows of what a service needs, rows of what it costs


def test_a_toy_charge_stands_on_the_bill_with_its_owner(monkeypatch):
    """Every thousand requests are scanned at 2 cents."""
    own = needs._watching
    scan = needs._row("toy_scans", "toy_scan", "request", 0.001, "thousand requests", "measured")
    monkeypatch.setattr(needs, "_watching", lambda service: (*own(service), scan))
    price = {"kind": "toy_scan", "tier_lower": 0.0, "tier_upper": math.inf, "price_usd": 0.02, "tier_scope": "region"}
    catalog = hand.catalog(network=[{**price, "price_unit": "thousand requests"}])
    s = markets.scenario()
    load = hand.load(s, {"web": np.full(48, 100.0)})
    plan = planner.optimize(s, load, planner.size(s, catalog, load), catalog)
    scans = plan.cost[plan.cost["charge"] == "toy_scans"]
    assert scans["effective_cost_usd"].sum() == pytest.approx(48 * 3600 * 100 / 1000 * 0.02)
    assert set(scans["owner"]) == {"shop"}
    assert plan.total_usd == pytest.approx(plan.cost["effective_cost_usd"].sum(), rel=1e-12)
    assert "toy_scan" in set(plan.prices["resource"])


# a page: a script and a line of app.py


def test_a_toy_page_opens_beside_the_others(tmp_path):
    (tmp_path / "toy.py").write_text("import streamlit as st\n\nst.title('Toy page')\n", encoding="utf-8")
    app, shown = (ROOT / "app.py").read_text(encoding="utf-8"), "st.navigation("
    assert app.count(f"\n{shown}") == app.count(", default=True") == 1
    page = f'st.Page({str(tmp_path / "toy.py")!r}, title="Toy", url_path="toy", default=True)'
    app = app.replace(", default=True", "").replace(shown, f"pages.append({page})\n{shown}")
    (tmp_path / "app.py").write_text(app, encoding="utf-8")
    at = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60).run()
    assert not at.exception
    assert at.title[0].value == "Toy page"
