"""Scenario files: round trip, overrides, and every fault at once with path, value and line."""

import copy
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planner.data import data_path
from planner.errors import InfeasiblePlan, PlannerError, ScenarioError
from planner.scenario import Range, Scenario
from tests.builders import hand

TEXT = """\
name: chat-2027
start: 2027-01-01
horizon_h: 8760
time_zone: Europe/Berlin
providers: [aws, gcp]
regions: [us-east-1, us-central1]
services:
  chat:
    owner: {team: search, on_call: search-oncall, cost_center: CC-1042}
    traffic: traffic/chat.csv
    growth_share_per_year: 0.6
    events:
      - {name: launch, start: 2027-03-03, end: 2027-03-10, multiplier: 2.5}
    latency: {model: llm, weights: llama-3.1-8b, precision: bf16}
    objective: {ttft_p95_s: 0.8, tpot_p95_s: 0.05, load_quantile: 0.95}
    autoscaling: {min_replicas: 2, scale_up_delay_s: 180}
    storage: {block_gib: 400, object_gib: 2000, object_growth_gib_per_month: 150}
    network: {egress_gib_per_request: 0.00001, cross_zone_share: 0.66}
limits:
  {max_spot_share: 0.3, max_term_months: 12, zones: 3, zones_lost: 1, quota: {p5.48xlarge: 4},
   budget_usd_per_month: 60000}
seed: 7
"""


def faults(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_yaml(text, where="s.yaml")
    return str(caught.value)


def test_a_scenario_reads_with_units_and_types():
    s = Scenario.from_yaml(TEXT)
    chat = s.services["chat"]
    assert list(chat.objective.bounds()) == [("ttft_p95_s", "ttft", 0.95, 0.8), ("tpot_p95_s", "tpot", 0.95, 0.05)]
    assert chat.latency.parameters == {"weights": "llama-3.1-8b", "precision": "bf16"}
    assert chat.growth_share_per_year == Range(low=0.6, likely=0.6, high=0.6)
    assert s.start_utc == datetime(2026, 12, 31, 23, tzinfo=UTC)  # Berlin midnight in winter
    assert (s.end_utc - s.start_utc).total_seconds() == 8760 * 3600


def test_parse_of_write_is_the_same_scenario(tmp_path):  # law 53
    s = Scenario.from_yaml(TEXT, folder=tmp_path)
    s.write(tmp_path / "s.yaml")
    assert Scenario.read(tmp_path / "s.yaml") == s
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("path", sorted(data_path("scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_bundled_scenarios_read_round_trip_and_have_owners(path):
    s = Scenario.read(path)
    assert Scenario.from_yaml(s.to_yaml(), folder=path.parent) == s
    assert all(service.owner for service in s.services.values())
    assert all(s.traffic_file(name).is_file() for name in s.services)


def test_all_faults_of_a_file_are_reported_at_once_with_path_value_and_line():
    text = (
        TEXT.replace("ttft_p95_s", "ttft_p95")
        .replace("growth_share_per_year: 0.6", "growth_share_per_year: -2")
        .replace("Europe/Berlin", "Europe/Berln")
        .replace("seed: 7", "seed: -1")
        + "limitz: {}\n"
    )
    message = faults(text)
    assert "5 problems" in message
    for part in (
        "s.yaml",
        "line 15: services.chat.objective.ttft_p95: is not a known key; did you mean ttft_p95_s?",
        "line 11: services.chat.growth_share_per_year",
        "(got -2)",
        "line 4: time_zone",
        "did you mean Europe/Berlin",
        "line 22: seed",
        "(got -1)",
        "line 23: limitz: is not a known key; did you mean limits?",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "line 1"),
        ("name: x\nname: y\n", "line 2: the key 'name' stands twice"),
        ("a: &x [1, *x]\nb: *x\n", "within what they name"),
        ("a: &a {k: {b: *a}}\n", "within what they name"),
        ("".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 9 if i else 'x')}]\n" for i in range(9)), "100,000 values"),
        ("", "must be a mapping"),
        ("- 1\n", "must be a mapping"),
        ("name: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("1: 2\n", "the key 1 must be text"),
        ("\x00", "is not valid YAML"),
        ("a: " + "[" * 2000, "YAML"),
    ],
)
def test_unsafe_or_broken_yaml_is_refused_with_its_line(text, part):
    assert part in faults(text)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (
            "max_spot_share: 0.3",
            "max_spot_share: 30",
            "limits.max_spot_share: should be less than or equal to 1 (got 30)",
        ),
        ("max_spot_share: 0.3", "max_spot_share: .nan", "limits.max_spot_share"),
        ("zones_lost: 1", "zones_lost: 3", "zones_lost must be below zones"),
        ("horizon_h: 8760", "horizon_h: 0", "horizon_h"),
        ("multiplier: 2.5", "multiplier: 2.5, added_rps: 3", "give either multiplier or added_rps"),
        ("end: 2027-03-10", "end: 2027-03-01", "end must be after start"),
        (
            "{ttft_p95_s: 0.8, tpot_p95_s: 0.05, load_quantile: 0.95}",
            "{load_quantile: 0.95}",
            "needs at least one latency bound",
        ),
        ("providers: [aws, gcp]", "providers: []", "providers"),
        ("providers: [aws, gcp]", "providers: [aws, aws]", "must not repeat"),
        ("min_replicas: 2", "min_replicas: 2, max_replicas: 1", "max_replicas must be ≥ min_replicas"),
        ("growth_share_per_year: 0.6", "growth_share_per_year: {low: 1, likely: 0, high: 2}", "low ≤ likely ≤ high"),
        ("name: chat-2027", "folder: x\nname: chat-2027", "folder: is not a known key"),
        ("currency", "currency", None),
    ],
)
def test_values_out_of_bounds_are_named(old, new, part):
    if part is None:
        assert "currency" in faults(TEXT + "currency: EUR\n")
    else:
        assert part in faults(TEXT.replace(old, new))


def test_one_override_mechanism_for_code_and_text():
    s = Scenario.from_yaml(TEXT)
    a = s.replace(
        **{"limits.max_spot_share": 0, "services.chat.events.0.multiplier": {"low": 1, "likely": 2, "high": 3}}
    )
    b = s.override(["limits.max_spot_share=0", "services.chat.events.0.multiplier={low: 1, likely: 2, high: 3}"])
    assert a == b
    assert a.limits.max_spot_share == 0
    assert not a.services["chat"].events[0].multiplier.certain
    assert s.override(["services.chat.traffic.time_zone=UTC"]).services["chat"].traffic.time_zone == "UTC"
    assert s.override(["limits.quota.g6e.xlarge=3"]).limits.quota["g6e.xlarge"] == 3
    assert s.limits.max_spot_share == 0.3, "the original stays as it was"


@pytest.mark.parametrize(
    "text",
    ["limits.max_spot_shar=0", "nonsense", "=3", "services.chat.events.7.multiplier=2", "seed=a b: c", "a.b.c=1"],
)
def test_wrong_overrides_are_refused(text):
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_yaml(TEXT).override([text])
    assert "override" in str(caught.value)


def test_traffic_is_found_beside_the_scenario_or_one_folder_up(tmp_path):
    inner = tmp_path / "scenarios"
    inner.mkdir()
    (tmp_path / "traffic").mkdir()
    s = Scenario.from_yaml(TEXT, folder=inner)
    with pytest.raises(ScenarioError, match=r"services\.chat\.traffic"):
        s.traffic_file("chat")
    (tmp_path / "traffic" / "chat.csv").write_text("ts\n")
    assert s.traffic_file("chat") == tmp_path / "traffic" / "chat.csv"


def test_unreadable_file_is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"missing\.yaml"):
        Scenario.read(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ScenarioError, match="UTF-8"):
        Scenario.read(tmp_path / "binary.yaml")


_leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@given(st.data())
def test_any_mutation_of_a_file_gives_a_scenario_or_a_typed_error(data):  # law 55
    raw = yaml.safe_load(TEXT)
    raw["start"] = "2027-01-01"
    at = copy.deepcopy(raw)
    node = at
    while True:
        key = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.sampled_from(range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        node[key] = data.draw(_leaf)
        break
    try:
        built = Scenario.from_yaml(yaml.safe_dump(at, allow_unicode=True))
    except ScenarioError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert Scenario.from_yaml(built.to_yaml()) == built


def test_errors_say_what_where_got_remedy_and_survive_pickling():
    import pickle

    e = PlannerError("the rate is negative", where="web.csv, row 7", got=-3, remedy="Remove the row")
    assert str(e) == "web.csv, row 7: the rate is negative (got -3). Remove the row."
    assert str(pickle.loads(pickle.dumps(e))) == str(e)
    i = InfeasiblePlan("no plan", relaxations=("raise quota p5 by 2",))
    assert "raise quota p5 by 2" in str(pickle.loads(pickle.dumps(i)))
    assert i.exit_code == 3
    assert pickle.loads(pickle.dumps(ScenarioError(["a", "b"], where="f"))).problems == ("a", "b")


def test_a_replacement_leaves_what_it_was_given_as_it_was():
    given = {"services.b": {"traffic": "b.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}}
    before = repr(given)
    hand.scenario().replace(**given, **{"services.b.owner": {"team": "shop"}})
    assert repr(given) == before
