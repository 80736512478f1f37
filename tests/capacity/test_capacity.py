"""Sizing services on machines: goodput, the headroom ledger, needs and excuses."""

import math
import pickle

import numpy as np
import pytest

from planner import columns
from planner.capacity import Capacity, service_model, size
from planner.catalog import Catalog
from planner.errors import CatalogError, ScenarioError
from planner.latency.queue.erlang import mmc_response_quantile_s
from planner.load import Load
from tests.builders.hand import catalog, load, scenario

STEADY = np.full(48, 50.0)
QUEUE = {"services.web.latency": {"model": "queue", "service_time_s": 0.05}}
STORAGE = [
    {
        "storage_class": "block/gp3",
        "price_usd": 0.08,
        "price_unit": "GiB-month",
        "tier_lower": 0.0,
        "tier_upper": math.inf,
    },
    {
        "storage_class": "block/gp3/iops",
        "price_usd": 0.005,
        "price_unit": "IOPS-month",
        "tier_lower": 0.0,
        "tier_upper": math.inf,
    },
    {
        "storage_class": "object/standard",
        "price_usd": 0.02,
        "price_unit": "GiB-month",
        "tier_lower": 0.0,
        "tier_upper": math.inf,
    },
]


def sized(*, burst=1.0, rates=STEADY, offer=None, **changes) -> Capacity:
    s = scenario(**{**QUEUE, **{k.replace("__", "."): v for k, v in changes.items()}})
    return size(s, offer or catalog(storage=STORAGE), load(s, {"web": rates}, burst_factor=burst))


def row(capacity: Capacity, instance_type="big"):
    (found,) = capacity.frame[capacity.frame["instance_type"] == instance_type].to_dict("records")
    return found


def test_every_machine_has_a_row_that_serves_or_says_why_not():
    c = sized()
    assert list(c.frame["instance_type"]) == ["m", "big"]
    for r in c.frame.to_dict("records"):
        assert (r["usable_rps"] > 0) == (r["excuse"] == "")
        assert (r["service"], r["provider"], r["region"], r["instance_type"], r["deployment"]) in c.models or r[
            "excuse"
        ]


def test_usable_is_goodput_less_its_headroom_and_the_model_agrees():
    c = sized(burst=1.3, services__web__retry_share=0.1)
    r = row(c)
    assert r["usable_rps"] == pytest.approx(r["goodput_rps"] * (1 - r["headroom_share"]))
    assert r["usable_rps"] < r["goodput_rps"] * 0.9 / 1.3
    model = c.models["web", "aws", "us-east-1", "big", ""]
    assert float(model.latency_s(r["goodput_rps"], 1, 0.99)) == pytest.approx(0.3, rel=1e-6)


def test_ledger_adds_up():
    c = sized(
        burst=1.3,
        rates=50 + 40 * np.sin(np.arange(48) / 24 * 2 * np.pi),
        services__web__retry_share=0.1,
        limits__zones=3,
        limits__zones_lost=1,
    )
    r = row(c)
    ledger = c.headroom[c.headroom["instance_type"] == "big"].set_index("cause")["headroom_share"]
    assert {"queueing", "retries", "burst", "scale_up_lag", "model_error", "failure", "interruption"} == set(
        ledger.index
    )
    beside = ["failure", "interruption"]
    assert float(ledger.drop(beside).sum()) == pytest.approx(1 - r["usable_rps"] * r["utilization"] / r["goodput_rps"])
    assert (ledger > 0).all()
    assert ledger["failure"] == pytest.approx(r["usable_rps"] * r["utilization"] / r["goodput_rps"] / 3)


@pytest.mark.parametrize(
    "more", [{"burst": 1.5}, {"services__web__retry_share": 0.2}, {"services__web__objective": {"latency_p99_s": 0.27}}]
)
def test_every_cause_lowers_usable_rps(more):
    assert row(sized(**more))["usable_rps"] < row(sized())["usable_rps"]


def test_a_steeper_ramp_or_a_longer_start_up_keeps_more_free():
    ramp = np.concatenate([np.full(24, 10.0), np.geomspace(10, 200, 24)])
    short, long = (
        row(sized(rates=ramp, services__web__autoscaling__scale_up_delay_s=s))["headroom_share"] for s in (60, 1800)
    )
    assert row(sized())["headroom_share"] < short < long


def test_the_margin_is_taken_after_the_machines_speed():
    """Twice the speed and half the time scale: exactly twice the usable rate, the same share kept
    free.
    """
    slow = row(sized(burst=1.4))
    latency = {"model": "queue", "service_time_s": 0.05, "speed": {"big": 2.0}}
    fast = row(sized(burst=1.4, services__web__latency=latency, services__web__objective={"latency_p99_s": 0.15}))
    assert fast["usable_rps"] == pytest.approx(2 * slow["usable_rps"])
    assert fast["headroom_share"] == pytest.approx(slow["headroom_share"])


def test_a_target_utilization_replaces_the_planners_headroom():
    r = row(sized(burst=3.0, services__web__autoscaling__target_utilization=0.3))
    assert r["usable_rps"] == pytest.approx(0.3 * r["goodput_rps"] / r["utilization"])


WATCHED = {
    "services__web__latency": {"model": "queue", "service_time_s": 0.05, "threads_share": 1, "balancer": "central"}
}
BIG = "web", "aws", "us-east-1", "big", ""


def test_a_pool_bears_what_its_model_bears():
    """One shared queue: n machines of c workers are M/M/nc, and each bears more the more there are."""
    c = sized(burst=1.3, services__web__retry_share=0.1, **WATCHED)
    pool, r, model = c.pools[BIG], row(c), c.models[BIG]
    assert pool.usable_rps(1) == pytest.approx(r["usable_rps"])
    for n in (2, 7, 40):
        goodput = pool.usable_rps(n) / (1 - r["headroom_share"])
        at, over = (float(mmc_response_quantile_s(goodput * k, 20.0, model.servers * n, 0.99)) for k in (1, 1.02))
        assert at == pytest.approx(0.3, rel=1e-3)
        assert over > 0.3
    sizes, gain = pool.gains(40)
    assert sizes[0] == 1
    assert sizes[-1] >= 40
    assert gain[0] == pytest.approx(1)
    assert (np.diff(gain) >= 0).all()
    # no pool gains more than replicas that are always busy
    assert 1.04 < gain[-1] < model.largest_rate_rps / (pool.usable_rps(1) / (1 - r["headroom_share"]))


def test_replicas_that_get_requests_at_random_do_not_pool():
    assert not sized().pools
    # cannot serve at all
    assert BIG not in sized(services__web__objective={"latency_p99_s": 0.2}, **WATCHED).pools


def test_a_pool_keeps_to_its_network_and_its_target_utilization():
    offer = catalog()
    slow = Catalog(
        offer.instances.assign(network_gib_per_s=0.0725), offer.rates, offer.commitments, offer.storage, offer.network
    )
    narrow = sized(offer=slow, services__web__network={"egress_gib_per_request": 0.0005}, **WATCHED)
    # alone it is not the network that binds
    assert row(narrow)["binding_objective"] == "latency_p99_s"
    pool, kept = narrow.pools[BIG], 1 - row(narrow)["headroom_share"]
    assert pool.usable_rps(30) == pytest.approx(30 * 145 * kept)
    held = sized(services__web__autoscaling__target_utilization=0.3, **WATCHED)
    model = held.models[BIG]
    assert held.pools[BIG].usable_rps(10) / 10 == pytest.approx(row(held)["usable_rps"])
    assert held.pools[BIG].usable_rps(10) / 10 == pytest.approx(0.3 * model.largest_rate_rps)


@pytest.mark.parametrize(
    ("policy", "retries"),
    [
        ({"services__web__retries": 3}, 3),
        ({"services__web__retry_share": 0.1}, 2),
        ({"services__web__retries": 1, "services__web__retry_share": 0.1}, 1),
    ],
)
def test_an_overload_ends_only_below_the_metastable_rate(policy, retries):
    """The rate of the row is where the fixed points of the model's own retried load meet, whatever
    the client's patience.
    """
    c = sized(**policy)
    model = c.models[BIG]
    for patience_s in (0.35, 2.0):
        assert row(c)["metastable_rps"] == pytest.approx(
            model.retry_state(20.0, 1, patience_s, retries).metastable_rps, rel=0.01
        )
    assert math.isnan(row(sized())["metastable_rps"])
    assert math.isnan(row(sized(services__web__retries=0, services__web__retry_share=0.1))["metastable_rps"])


def test_target_out_of_reach_says_by_how_much():
    r = row(sized(services__web__objective={"latency_p99_s": 0.2}))
    assert r["usable_rps"] == 0
    assert r["excuse"] == "latency target out of reach"
    assert "without any load, 0.2 s wanted" in r["gap"]


def test_network_ceiling_of_the_machine():
    offer = catalog()
    slow = offer.instances.assign(network_gib_per_s=[0.001, 1e9])
    c = sized(
        offer=Catalog(slow, offer.rates, offer.commitments, offer.storage, offer.network),
        services__web__network={"egress_gib_per_request": 0.0005},
    )
    assert row(c, "m")["goodput_rps"] == pytest.approx(2.0)
    assert row(c, "m")["binding_objective"] == "network"
    assert row(c)["binding_objective"] == "latency_p99_s"


@pytest.mark.parametrize(
    ("storage", "gap"), [({"block_iops": 4000}, "3600 IOPS of 4000"), ({"block_mib_per_s": 100}, "77.49 MiB/s of 100")]
)
def test_disk_ceiling_of_each_size(storage, gap):
    """m5.large sustains 3,600 IOPS and 650 Mbit/s, m5.4xlarge four times the bandwidth."""
    offers = Catalog.read("aws", regions=["us-east-1"]).select(instance_types=["m5.large", "m5.4xlarge"])
    s = scenario(
        **QUEUE,
        **{"services.web.storage": {"block_gib": 100, **storage}, "limits.instance_types": ["m5.large", "m5.4xlarge"]},
    )
    c = size(s, offers, load(s, {"web": STEADY}))
    assert row(c, "m5.large")["excuse"] == "block disks of this size are too slow"
    assert gap in row(c, "m5.large")["gap"]
    assert row(c, "m5.4xlarge")["usable_rps"] > 0


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"limits__instance_types": ["m"]}, "not among limits.instance_types"),
        ({"limits__quota": {"big": 0}}, "quota is 0"),
    ],
)
def test_the_scenario_can_bar_machines(limits, reason):
    r = row(sized(**limits))
    assert r["excuse"] == reason
    assert r["gap"]


def test_a_machine_that_nobody_sells_is_told_with_the_nearest_name():
    with pytest.raises(ScenarioError, match=r"got bigg.* Did you mean big\?"):
        sized(limits__instance_types=["bigg"])


def test_previous_generation_and_missing_price_are_excused():
    offer = catalog(rates={("m", "on_demand"): 1.0})
    old = offer.instances.assign(current_generation=[False, True])
    offer = Catalog(old, offer.rates, offer.commitments, offer.storage, offer.network)
    assert row(sized(offer=offer), "m")["excuse"] == "previous generation"
    assert row(sized(offer=offer), "big")["excuse"] == "no price known in this region"
    assert row(sized(offer=offer, limits__previous_generation=True), "m")["usable_rps"] > 0


def test_spot_is_worth_less_the_more_it_is_interrupted():
    offer = catalog()
    rates = offer.rates.copy()
    rates.loc[rates["purchase_option"] == "spot", "interruptions_per_h"] = 0.5
    often = Catalog(offer.instances, rates, offer.commitments, offer.storage, offer.network)
    slow = {"services__web__autoscaling__scale_up_delay_s": 3600}
    assert row(sized(offer=often, **slow), "m")["spot_yield"] == pytest.approx(1 / 1.5)
    # unknown: an assumed hazard, never zero
    assert 0.99 < row(sized(**slow), "m")["spot_yield"] < 1


def test_needs_have_charge_resource_driver_and_basis():
    c = sized(
        services__web__storage={
            "block_gib": 100,
            "block_iops": 4000,
            "object_gib": 10,
            "object_growth_gib_per_month": 2,
        },
        services__web__network={
            "egress_gib_per_request": 0.001,
            "internal_gib_per_request": 0.01,
            "cross_zone_share": 0.5,
            "nat_gib_per_request": 0.002,
        },
        services__web__retry_share=0.2,
    )
    needs = c.needs.set_index("resource")
    assert needs.loc["block/gp3", "driver"] == "instance_hour"
    assert needs.loc["block/gp3/iops", "needs_quantity"] == 4000
    assert needs.loc["object/standard", "growth_per_month"] == 2
    # retries cause traffic too
    assert needs.loc["egress", "needs_quantity"] == pytest.approx(0.001 / 0.8)
    assert needs.loc["cross_zone", "needs_quantity"] == pytest.approx(0.005 / 0.8)
    assert needs.loc["nat_hour", "driver"] == "hour"
    # of the gateway and of the balancer
    assert needs.loc["public_ipv4", "basis"].tolist() == ["assumed", "assumed"]
    assert needs.loc[["logs_gib", "metrics", "nat_hour"], "basis"].eq("assumed").all()
    assert set(needs["provider"]) == {"aws"}


@pytest.mark.parametrize(
    ("provider", "region", "unit", "amount"),
    [
        ("aws", "us-east-1", "LCU-hour", 0.001 * 2**30 / 1e9),
        ("gcp", "us-central1", "GiB", 0.001),
        ("azure", "eastus", "GiB", 0.001),
    ],
)
def test_balancers_are_paid_by_use_as_well(provider, region, unit, amount):
    s = scenario(
        **QUEUE,
        **{"services.web.network": {"egress_gib_per_request": 0.001}, "providers": [provider], "regions": [region]},
    )
    needs = size(s, Catalog.read(provider, regions=[region]), load(s, {"web": STEADY})).needs.set_index("resource")
    assert needs.loc["load_balancer_unit", "unit"] == unit
    assert needs.loc["load_balancer_unit", "needs_quantity"] == pytest.approx(amount)
    assert needs.loc["load_balancer_hour", "driver"] == "hour"


def test_storage_without_a_price_is_an_error_not_a_zero():
    with pytest.raises(CatalogError, match="no price of block storage"):
        sized(offer=catalog(), services__web__storage={"block_gib": 100})


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        ({"model": "qeue"}, r"services\.web\.latency\.model: no such model .*did you mean queue"),
        ({"model": "queue"}, r"services\.web\.latency\.service_time_s"),
        ({"model": "queue", "service_time_s": -1}, r"services\.web\.latency\.service_time_s.*got -1"),
        ({"model": "queue", "service_time_s": 1, "cores": 3}, r"services\.web\.latency\.cores: is not a known key"),
    ],
)
def test_wrong_latency_parameters_name_their_path(latency, message):
    with pytest.raises(ScenarioError, match=message):
        service_model(scenario(**{"services.web.latency": latency}), "web")


def test_a_metric_the_model_does_not_answer_is_the_scenarios_fault():
    with pytest.raises(ScenarioError, match=r"services\.web\.objective"):
        sized(services__web__objective={"ttft_p95_s": 0.3})


def test_a_region_without_machines_is_an_error():
    with pytest.raises(CatalogError, match="eu-west-1"):
        sized(regions=["us-east-1", "eu-west-1"])


def test_pickles_and_matches_the_dictionary():
    c = pickle.loads(pickle.dumps(sized()))
    assert list(c.frame.columns) == list(columns.columns_of("capacity"))
    assert float(c.models["web", "aws", "us-east-1", "big", ""].latency_s(1.0, 1, 0.99)) > 0


def test_sizes_the_bundled_catalog():
    """Every machine of a real region gets an answer; bigger machines of a family bear more."""
    s = scenario(**QUEUE)
    offers = Catalog.read("aws", regions=["us-east-1"])
    c = size(s, offers, load(s, {"web": STEADY}))
    assert len(c.frame) == len(offers.instances) + len(offers.unpriced)
    assert (c.frame["excuse"] == "no price known in this region").sum() == len(offers.unpriced) > 0
    m7i = [row(c, f"m7i.{k}")["usable_rps"] for k in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")]
    assert m7i == sorted(m7i)
    assert m7i[0] > 0
    per_vcpu = [u / v for u, v in zip(m7i, (2, 4, 8, 16, 32), strict=True)]
    assert per_vcpu == sorted(per_vcpu)  # larger pools of workers wait less at the same use


def test_load_must_hold_every_service():
    s = scenario(**QUEUE)
    other = load(s, {"other": STEADY})
    assert isinstance(other, Load)
    with pytest.raises(ScenarioError, match="no load"):
        size(s, catalog(), other)
