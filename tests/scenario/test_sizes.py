"""Figures that no service has, dates that no calendar has, names of any script: told at the door by their unit."""

import json
from datetime import date

import pytest

from planner.catalog import Catalog
from planner.cli.variants import combinations
from planner.errors import PlannerError, ScenarioError
from planner.faults import checked
from planner.scenario import Scenario
from planner.study import run

SERVICE = {
    "traffic": {"requests_per_day": 1e6, "shape": "flat"},
    "latency": {"model": "queue", "service_time_s": 0.03, "memory_gib": 2},
    "objective": {"latency_p99_s": 0.3},
    "events": [{"name": "e", "start": "2027-01-02", "end": "2027-01-03", "multiplier": 2}],
    "other_costs": [{"name": "o", "usd_per_month": 1}],
}
ANY = {"name": "s", "start": "2027-01-01", "horizon_h": 24, "providers": ["aws"], "regions": ["us-east-1"]}
LIMITS = {"instance_types": ["m7i.xlarge"], "max_term_months": 0}


@pytest.fixture(scope="module", name="plain")
def of_one_service():
    return Scenario.from_yaml(json.dumps({**ANY, "services": {"web": SERVICE}, "limits": LIMITS}))


@pytest.fixture(scope="module", name="catalog")
def of_one_region():
    return Catalog.read("aws", regions=["us-east-1"])


FIELDS = [
    *("growth_share_per_year", "network.egress_gib_per_request", "network.nat_gib_per_request", "storage.block_gib"),
    *("storage.object_gib", "storage.object_growth_gib_per_month", "storage.object_gets_per_request"),
    *("objective.latency_p99_s", "autoscaling.scale_up_delay_s", "autoscaling.scale_down_delay_s"),
    *("events.0.multiplier", "other_costs.0.usd_per_month", "storage.block_iops", "storage.metrics_per_instance"),
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_figure_that_no_service_has_is_refused_by_its_field(plain, field):
    with pytest.raises(ScenarioError, match=rf"services\.web\.{field}: must be at most .*check its unit"):
        plain.replace(**{f"services.web.{field}": 1e300})


@pytest.mark.parametrize("field", ["autoscaling.min_replicas", "autoscaling.max_replicas"])
def test_a_count_of_machines_has_a_limit(plain, field):
    plain.replace(**{f"services.web.{field}": 1_000_000})
    with pytest.raises(ScenarioError, match=f"{field}: must be at most 1,000,000"):
        plain.replace(**{f"services.web.{field}": 1_000_001})


@pytest.mark.parametrize(
    ("field", "value"),
    [("service_time_s", 1e300), ("service_scv", 1e300), ("memory_gib", 1e7), ("speed", {"c7i": 1e19})],
)
def test_parameters_of_a_latency_model_have_sizes_too(plain, catalog, field, value):
    with pytest.raises(ScenarioError, match=rf"services\.web\.latency\.{field}.*must be at most"):
        checked(plain.replace(**{f"services.web.latency.{field}": value}), catalog)


@pytest.mark.parametrize(
    "changes",
    [
        {"services.web.retry_share": 0.9999999999},
        {"services.web.network.egress_gib_per_request": 1e3, "services.web.traffic.requests_per_day": 1e9},
        {"services.web.traffic.requests_per_day": 1e13, "services.web.events.0.multiplier": 1e3},
    ],
)
def test_what_is_right_one_by_one_and_absurd_together_is_refused_before_the_search(plain, catalog, changes):
    with pytest.raises(PlannerError, match=r"no provider has more than 1,000,000|no service sees so many"):
        run(plain.replace(**changes), catalog, paths=2)


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2200-01-02", "9999-12-31"])
def test_a_date_lies_where_calendars_do(plain, day):
    held = {"commitment": "c", "quantity": 1, "end": day}
    for field, value in (("start", day), ("services.web.events.0.end", day), ("existing", [held])):
        with pytest.raises(ScenarioError, match=r"must lie between 1970 and 2200|end must be after start"):
            plain.replace(**{field: value})


@pytest.mark.parametrize("day", ["1970-01-01", "2199-12-31"])
def test_the_first_and_the_last_year_are_planned(plain, catalog, day):
    assert run(plain.replace(start=day), catalog, paths=2).plan.cost["effective_cost_usd"].sum() > 0


@pytest.mark.parametrize("name", ["Überraschung", "Büro Süd", "検索", "a/b-c_d.e"])
def test_names_are_of_any_script(plain, name):
    assert plain.replace(name=name, **{"services.web.owner": {"team": name}}).name == name


@pytest.mark.parametrize("name", ["-x", " x", "a\nb", "=1+1", "a;b", ""])
def test_a_name_that_is_none_is_told_in_words(plain, name):
    with pytest.raises(ScenarioError) as caught:
        plain.replace(name=name)
    assert "^" not in str(caught.value)


def test_an_index_is_of_plain_digits(plain):
    for field in ("regions.²", "regions.٣", "regions.1.a"):
        with pytest.raises(ScenarioError, match="is not an index"):
            plain.override((f"{field}=x",))


@pytest.mark.parametrize("text", ["2027-02-30", "1, 2027-02-30", "[" * 3000, "&a 1, *b", "1][", "{a: 1, a: 2}"])
def test_values_to_vary_are_read_as_a_scenario_is(text):
    with pytest.raises(ScenarioError, match="no list in YAML"):
        combinations([f"limits.zones={text}"])


def test_a_day_that_no_month_has_is_told_with_its_line():
    with pytest.raises(ScenarioError, match="line 2: day is out of range"):
        Scenario.from_yaml("name: a\nstart: 2027-02-30\n")
    assert date(2027, 2, 28).isoformat() in str(combinations(["start=2027-02-28"]))
