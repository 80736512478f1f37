"""Odd but legal YAML is read; what is wrong is told with what to write in its place, and that is right."""

import re

import pytest

from planner.capacity.sizing import service_model
from planner.errors import ScenarioError
from planner.scenario import Scenario

TEXT = """
name: shop
start: 2026-11-01
horizon_h: 168
providers: [aws]
regions: [us-east-1]
services:
  web:
    traffic: {file: h.csv, user_time_zone: UTC}
    growth_share_per_year: 0.1
    latency: {model: queue, service_time_s: 0.02, memory_gib: 2}
    objective: {latency_p95_s: 0.2, load_quantile: 0.5}
limits: {max_spot_share: 0}
"""


def built(text):
    """The scenario with the latency parameters of its services, as a plan reads them."""
    found = Scenario.from_yaml(text, where="s.yaml")
    for name in found.services:
        service_model(found, name)
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("horizon_h: 168", "horizon_h: 1.68e2"),
        ("horizon_h: 168", "horizon_h: 1_68"),
        ("horizon_h: 168", 'horizon_h: "168"'),
        ("service_time_s: 0.02", "service_time_s: 2e-2"),
        ("service_time_s: 0.02", "service_time_s: .2E-1"),
        ("latency_p95_s: 0.2", "latency_p95_s: 2.E-1"),
        ("2026-11-01", "'2026-11-01'"),
        ("regions: [us-east-1]", "regions:\n- us-east-1"),
    ],
)
def test_the_same_number_in_another_spelling_is_the_same_scenario(old, new):
    assert built(TEXT.replace(old, new)) == built(TEXT)


def test_aliases_and_merged_keys_stand_for_what_they_name_and_nothing_is_shared():
    service = TEXT.partition("  web:\n")[2].partition("limits:")[0]
    whole = TEXT.replace("limits:", f"  api:\n{service.replace('0.02', '0.05')}limits:")
    folded = TEXT.replace("  web:\n", "  web: &web\n").replace("latency: {", "latency: &latency {")
    folded = folded.replace("limits:", "  api: {<<: *web, latency: {<<: *latency, service_time_s: 0.05}}\nlimits:")
    assert built(folded) == built(whole)
    alone = built(folded).override(["services.web.objective.latency_p95_s=0.3"])
    assert [s.objective.latency_p95_s for s in alone.services.values()] == [0.3, 0.2]


WRITTEN = [
    ("service_time_s: 0.02", "service_time_s: 20ms", "0.02"),
    ("service_time_s: 0.02", "service_time_s: 20 msec", "0.02"),
    ("latency_p95_s: 0.2", "latency_p95_s: 200ms", "0.2"),
    ("memory_gib: 2", "memory_gib: 2GiB", "2"),
    ("memory_gib: 2", "memory_gib: 2048Mi", "2"),
    ("load_quantile: 0.5", "load_quantile: 50%", "0.5"),
    ("load_quantile: 0.5", "load_quantile: 50", "0.5"),
    ("growth_share_per_year: 0.1", "growth_share_per_year: 10 %", "0.1"),
    ("max_spot_share: 0", "max_spot_share: 30", "0.3"),
    ("horizon_h: 168", "horizon_h: 1w", "168"),
    ("horizon_h: 168", "horizon_h: 7 days", "168"),
    ("{file: h.csv, user_time_zone: UTC}", "{requests_per_day: 2M, shape: flat}", "2000000"),
    ("{file: h.csv, user_time_zone: UTC}", "{requests_per_day: 1.5 k, shape: flat}", "1500"),
    ("user_time_zone: UTC", "user_time_zone: UTC+2", "Etc/GMT-2"),
    ("user_time_zone: UTC", "user_time_zone: '-05:00'", "Etc/GMT+5"),
    ("2026-11-01", "01.11.2026", "2026-11-30"),
    ("[us-east-1]", "us-east-1", "[us-east-1]"),
]


@pytest.mark.parametrize(("old", "new", "right"), WRITTEN)
def test_what_to_write_in_place_of_a_value_is_told_and_is_right(old, new, right):
    with pytest.raises(ScenarioError) as refused:
        built(TEXT.replace(old, new))
    told = re.search(r"[Ww]rite (?:it as )?(?:a list: )?(\[.*\]|[^\s:,]+)", str(refused.value))[1]
    assert told == right
    wrong = new.rpartition(": ")[2] if "{" not in new else re.search(r"requests_per_day: ([^,]+)", new)[1]
    built(TEXT.replace(old, new.replace(wrong, told)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "service_time_s",
            "service_time",
            "services.web.latency.service_time: is not a known key; did you mean service",
        ),
        ("model: queue", "model: queueing", r"no such model \(got 'queueing'\); did you mean queue\?"),
        ("regions: [us-east-1]", "regions: [no]", "line 6: regions.0: .*Quote it"),
        (
            "limits: {max_spot_share: 0}",
            "limits:",
            "line 13: limits: is empty. Write its keys below it, or leave it out",
        ),
        (
            "objective: {latency_p95_s: 0.2, load_quantile: 0.5}",
            "objective: fast",
            "a mapping with the keys .*ttft_p95_s",
        ),
        ("growth_share_per_year: 0.1", "growth_share_per_year: much", "a number, or a mapping with low, likely, high"),
        (
            "name: shop",
            "name: shop\ncurrency: EUR",
            r"s.yaml: line 2: currency EUR needs its rate: exchange: \{per_usd",
        ),
    ],
)
def test_what_is_due_is_told_in_words_of_the_file(old, new, told):
    with pytest.raises(ScenarioError, match=told) as refused:
        built(TEXT.replace(old, new))
    assert "instance of" not in str(refused.value)
