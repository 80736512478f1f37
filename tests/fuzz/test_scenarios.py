"""Damaged scenarios, today's fleets among them: any text ends in a scenario whose parts could be, or in a typed error
that names the file and the line or field.
"""

import math
import re

import pytest
import yaml

from planner.catalog import Catalog
from planner.faults import checked
from planner.scenario import Scenario
from planner.today import check
from tests.builders import damage

WHOLE = """
name: whole
start: 2027-01-04
horizon_h: 720
time_zone: Europe/Berlin
providers: [aws]
regions: [us-east-1]
services:
  web:
    owner: {team: shop, cost_center: CC-1}
    traffic: {requests_per_day: {low: 1e6, likely: 2e6, high: 3e6}, shape: office, user_time_zone: Europe/Berlin}
    growth_share_per_year: 0.2
    events: [{name: launch, start: 2027-01-10, end: 2027-01-12, multiplier: 2.5}]
    latency: {model: queue, service_time_s: 0.03, service_scv: 1.5, memory_gib: 2}
    objective: {latency_p99_s: 0.3, availability_share: 0.999, load_quantile: 0.95}
    autoscaling: {min_replicas: 2, max_replicas: 90, scale_up_delay_s: 180}
    storage: {block_gib: 40, object_gib: 100}
    network: {egress_gib_per_request: 0.00001, cross_zone_share: 0.5}
    other_costs: [{name: database, usd_per_month: 310, charge: database}]
  chat:
    traffic: {requests_per_day: 2e5, shape: flat}
    latency: {model: llm, weights: llama-3.1-8b, input_tokens: 800, output_tokens: 200}
    objective: {ttft_p95_s: 1.0, tpot_p95_s: 0.05}
limits: {max_spot_share: 0.3, max_term_months: 12, zones: 3, zones_lost: 1, quota: {m7i.large: 40}, max_type_share: 0.9}
existing: [{commitment: aws/us-east-1/m7i.large/standard_ri/1y/none, quantity: 2, end: 2027-06-01, region: us-east-1}]
other_costs: [{name: support, share_of_bill: 0.1, charge: support}]
price_adjustments: [{discount_share: 0.1, provider: aws}]
"""
TODAY = """
today:
  services:
    web:
      machines: [{instance_type: m7i.large, count: 12}, {instance_type: c7i.xlarge, min: 2, max: 20}]
  bill: {usd_per_month: 9000}
"""
WORDS = [
    "-1",
    "0",
    "1e400",
    ".nan",
    ".inf",
    "[]",
    "{}",
    "null",
    "&a",
    "*a",
    "\t",
    "~",
    "2027-02-30",
    "m7i.larg",
    "é",
    '"',
]
FIELDS = [
    *("horizon_h", "start", "time_zone", "seed", "name", "limits.zones", "limits.quota.m7i.large", "regions.0"),
    *("services.web.traffic.requests_per_day", "services.web.objective.latency_p99_s", "services.web.latency.model"),
    *("services.web.events.0.start", "services.web.autoscaling.min_replicas", "services.chat.latency.weights"),
    *("existing.0.quantity", "other_costs.0.share_of_bill", "price_adjustments.0.discount_share", "nothing.here", "²"),
]


@pytest.fixture(scope="module", name="catalog")
def of_one_region():
    return Catalog.read("aws", regions=["us-east-1"])


def hurt(text, draw):
    """Damage of any file, of a line of YAML, or of a value within it."""
    kind = draw.random()
    if kind < 0.35:
        return damage.damaged(text, draw)
    if kind < 0.7:
        at = draw.randrange(len(text))
        return text[:at] + draw.choice(WORDS) + text[at + draw.randint(0, 12) :]
    return yaml.safe_dump(damage.changed(yaml.safe_load(text), draw, draw.randint(1, 2)))


def scenarios_that_could_be(scenario):
    assert scenario.services
    assert 1 <= scenario.horizon_h <= 10**6
    for service in scenario.services.values():
        assert all(limit > 0 and math.isfinite(limit) for *_, limit in service.objective.bounds())
        assert service.autoscaling.min_replicas >= 0
    assert scenario.limits.zones > scenario.limits.zones_lost >= 0


@pytest.mark.parametrize("text", [WHOLE, WHOLE + TODAY], ids=["planned", "today"])
def test_any_damage_ends_in_a_scenario_or_a_typed_error(tmp_path, catalog, text):
    draw, told, path = damage.drawing(len(text)), damage.Told("input"), tmp_path / "input.yaml"
    place = damage.Told(r"input\.yaml.*(?:line \d+|\b[a-z_][\w.]*: |must be a mapping)")
    count = damage.INPUTS // 6
    with damage.within_memory():
        for _ in range(count):
            path.write_text(hurt(text, draw), encoding="utf-8", errors="replace")
            with told.once():
                with place.once(passed=True):
                    scenario = Scenario.read(path)
                scenarios_that_could_be(scenario)
                with told.once():  # told by the scenario's own name
                    checked(scenario, catalog)
                    if scenario.today is not None:
                        check(scenario, catalog)
    assert 0 < told.refused < count
    assert place.named == place.refused, place.last


@pytest.mark.parametrize("word", WORDS)
def test_any_override_ends_in_a_scenario_or_a_typed_error(word):
    scenario = Scenario.from_yaml(WHOLE + TODAY)
    for field in FIELDS:
        above, _, last = field.rpartition(".")
        told = damage.Told(rf"{re.escape(field)}|{re.escape(above)}: .*(?:{last}|is not a known key)")
        with told.once():
            scenarios_that_could_be(scenario.override((f"{field}={word}",)))
        assert told.named == told.refused, told.last
