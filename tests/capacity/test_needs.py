"""Storage and network needs and their bill: amounts worked out on paper, prices with their source
beside the figure.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import columns
from planner.capacity import size
from planner.capacity.assumed import artifact_gib
from planner.capacity.headroom import start_up_s
from planner.capacity.needs import needs_frame
from planner.capacity.objects import ASSUMED_OBJECT_GIB
from planner.catalog import Catalog
from planner.errors import CatalogError, ScenarioError
from planner.optimizer import optimize
from planner.optimizer.bill.charges import bill
from planner.optimizer.bill.metered import assumptions
from tests.builders import hand

QUIET = {"services.web.network": {"load_balancer": False, "public_ipv4": 0, "nat_gib_per_request": 0}}
SILENT = {"block_gib": 0, "log_gib_per_request": 0, "metrics_per_instance": 0}
AWS, GCP = Catalog.read("aws", regions=["us-east-1"]), Catalog.read("gcp", regions=["us-central1"])


def selling(storage=(), network=()) -> Catalog:
    """Machine m beside the real storage and network prices of us-east-1, or hand-made ones."""
    offer = hand.catalog(storage=storage, network=network)
    return (
        offer
        if storage or network
        else Catalog(offer.instances, offer.rates, offer.commitments, AWS.storage, AWS.network)
    )


def charges(catalog=None, *, start="2027-01-01", hours=2160, rate=0.0, instances=1, **changes) -> pd.DataFrame:
    """The bill of one machine and the needs of the service."""
    given = {k.replace("__", "."): v for k, v in changes.items()}
    if "services.web.storage" in given:
        given["services.web.storage"] = {**SILENT, **given["services.web.storage"]}
    s = hand.scenario(start=start, horizon_h=hours, **{**QUIET, **given})
    offer = catalog or selling()
    needs = needs_frame(s, offer)
    load = hand.load(s, {"web": np.full(s.horizon_h, rate)})
    capacity = hand.capacity(needs=needs.to_dict("records"))
    cost, _ = bill(
        s,
        load,
        capacity,
        offer,
        hand.schedule(s, instances),
        columns.empty("plan.coverage"),
        columns.empty("plan.commitments"),
    )
    return cost[cost["charge"] != "compute"]


def amounts(cost: pd.DataFrame, resource: str) -> list[float]:
    return cost.loc[cost["resource"] == resource, "quantity"].tolist()


def dollars(cost: pd.DataFrame) -> dict[str, float]:
    return cost.groupby("resource")["effective_cost_usd"].sum().to_dict()


def test_growth_and_retention():
    """10 GiB stay; 4 a month, evenly, are deleted after 2 months: mean stock of each month 10 +
    4·(0.5, 1.5, 2).
    """
    cost = charges(
        services__web__storage={"object_gib": 10, "object_growth_gib_per_month": 4, "object_retention_months": 2}
    )
    assert np.reshape(amounts(cost, "object/standard"), (3, 2)).sum(axis=1) == pytest.approx([12.0, 16.0, 18.0])
    assert dollars(cost)["object/standard"] == pytest.approx(46 * 0.023)


def test_objects_move_to_a_colder_class_by_age():
    """100 GiB a month, to Standard-IA after one month: what is younger than a month stays, and
    1,024 objects a GiB move.
    """
    cost = charges(
        services__web__storage={
            "object_growth_gib_per_month": 100,
            "object_size_gib": 2**-10,
            "object_lifecycle": [{"after_months": 1, "storage_tier": "infrequent"}],
        }
    )
    assert amounts(cost, "object/standard") == pytest.approx([50.0, 100.0, 100.0])
    assert amounts(cost, "object/standard-ia") == pytest.approx([50.0, 150.0])
    assert amounts(cost, "object/standard-ia/transition") == pytest.approx([102400.0, 102400.0])
    # aws.amazon.com/s3/pricing, us-east-1: 0.023 and 0.0125 USD a GB-month, 0.01 USD for 1,000
    # transitions
    assert dollars(cost) == pytest.approx(
        {
            "object/standard": 250 * 0.023,
            "object/standard-ia": 200 * 0.0125,
            "object/standard-ia/transition": 204.8 * 0.01,
        }
    )
    assert set(cost["basis"]) == {"measured"}


def test_what_is_there_at_the_start_moves_once_and_stays():
    steps = [{"after_months": 1, "storage_tier": "infrequent"}, {"after_months": 2, "storage_tier": "archive"}]
    cost = charges(
        services__web__storage={
            "object_gib": 640,
            "object_age_months": 0.5,
            "object_size_gib": 2**-5,
            "object_lifecycle": steps,
            "object_retention_months": 24,
        }
    )
    kib = 2.0**-20
    assert amounts(cost, "object/standard")[0] == pytest.approx(320.0)
    assert amounts(cost, "object/standard-ia") == pytest.approx([320.0, 320.0])
    assert amounts(cost, "object/standard-ia/transition") == [640 * 32]
    # Deep Archive keeps an index of 32 KiB an object there and 8 KiB in Standard (S3 user guide)
    assert amounts(cost, "object/glacier-deep-archive") == pytest.approx(
        [(640 + 640 * 32 * 32 * kib) * m for m in (0.5, 1.0)]
    )
    assert amounts(cost, "object/standard")[1:] == pytest.approx([640 * 32 * 8 * kib * m for m in (0.5, 1.0)])
    # older than every step from the start: nothing moves any more
    old = charges(
        services__web__storage={
            "object_gib": 640,
            "object_age_months": 6,
            "object_lifecycle": steps[:1],
            "object_size_gib": 1,
        }
    )
    assert dollars(old) == pytest.approx({"object/standard-ia": 3 * 640 * 0.0125})


def test_minimum_duration_and_size_are_billed():
    """Glacier Instant Retrieval bills 90 days and 128 KiB at least: objects of 64 KiB, deleted a
    month after they moved.
    """
    cost = charges(
        hours=8760,
        services__web__storage={
            "object_growth_gib_per_month": 10,
            "object_size_gib": 2**-14,
            "object_retention_months": 2,
            "object_lifecycle": [{"after_months": 1, "storage_tier": "cold"}],
        },
    )
    cold = amounts(cost, "object/glacier-instant-retrieval")
    assert cold[-1] == pytest.approx(2 * 10 * 90 / (365.25 / 12))
    assert amounts(cost, "object/standard")[-1] == pytest.approx(10.0)


def test_reading_cold_objects_is_charged_and_an_assumed_size_says_so():
    cost = charges(
        services__web__storage={
            "object_gib": 200,
            "object_age_months": 1,
            "object_retrieval_share_per_month": 0.1,
            "object_lifecycle": [{"after_months": 1, "storage_tier": "infrequent"}],
            "object_growth_gib_per_month": 1,
        }
    )
    read = cost[cost["resource"] == "object/standard-ia/retrieval"]
    # 0.01 USD a GB
    assert read["effective_cost_usd"].sum() == pytest.approx(0.1 * 0.01 * (3 * 200 + 0.5 + 1.5))
    assert read["basis"].eq("measured").all()
    moves = cost[cost["resource"] == "object/standard-ia/transition"]
    assert moves["quantity"].tolist() == pytest.approx([1 / ASSUMED_OBJECT_GIB] * 2)
    assert moves["basis"].eq("assumed").all()


def test_requests_to_the_store_follow_the_load_with_its_retries():
    cost = charges(
        hours=48,
        rate=10.0,
        services__web__retry_share=0.2,
        services__web__storage={"object_puts_per_request": 0.5, "object_gets_per_request": 4},
    )
    requests = 10 * 48 * 3600 / 0.8
    # aws.amazon.com/s3/pricing: 0.005 USD for 1,000 PUT, 0.0004 for 1,000 GET
    assert dollars(cost) == pytest.approx(
        {"object/standard/put": requests * 0.5 * 5e-6, "object/standard/get": requests * 4 * 4e-7}
    )
    assert set(cost["charge"]) == {"object_requests"}


def test_a_service_that_states_nothing_pays_for_what_everybody_uses():
    """100 requests/s through January in three zones of us-east-1, figures of the AWS price lists of
    2026.
    """
    cost = charges(
        hours=744, rate=100.0, services__web__storage=dict.fromkeys(SILENT), services__web__network={}, limits__zones=3
    )
    logs = 100 * 744 * 3600 * 7e-7
    assert dollars(cost) == pytest.approx(
        {
            "block/gp3": 20 * 0.08,
            # the default disk of a node; what detailed monitoring of one instance costs a month
            "metrics": 2.10,
            "logs_gib": logs * 0.50,
            "nat_gib": logs * 0.045,
            "nat_hour": 3 * 744 * 0.045,  # a gateway in each zone
            # of the gateways, and of the balancer in each zone
            "public_ipv4": (3 + 3) * 744 * 0.005,
            "load_balancer_hour": 744 * 0.0225,
            "load_balancer_unit": 100 * 744 / 10 / 25 * 0.008,
        }
    )  # one LCU-hour: 25 new connections a second, ten requests each
    assert set(cost["basis"]) == {"assumed"}


LLAMA = {
    "services.web.latency": {"model": "llm", "weights": "llama-3.1-8b"},
    "services.web.objective": {"ttft_p95_s": 1},
}


def test_a_model_lies_in_object_storage_and_on_each_disk():
    """Llama 3.1 8B is 16.06 GB of bf16 files (its four safetensors files), 14.96 GiB; two versions
    are kept, each node has one.
    """
    gib = 16.06e9 / 2**30
    cost = charges(instances=3, **{**LLAMA, "services.web.storage": {}})
    assert amounts(cost, "object/standard") == pytest.approx([2 * gib] * 3, rel=5e-3)
    assert cost.loc[
        cost["resource"] == "object/standard", ["charge", "basis"]
    ].drop_duplicates().to_numpy().tolist() == [["model_artifacts", "assumed"]]
    assert sum(amounts(cost, "block/gp3")) == pytest.approx(3 * 3 * (20 + 20 + gib), rel=2e-3)
    assert set(cost["basis"]) == {"assumed"}


@pytest.mark.parametrize(
    ("storage", "disks", "objects"),
    [
        ({"block_gib": 100}, [100.0], [(2 * 14.957, "assumed")]),
        # grows until system, image and weights fit
        ({"block_gib": 30}, [30.0, 25.0], [(2 * 14.957, "assumed")]),
        ({"block_gib": 100, "artifact_versions": 3}, [100.0], [(3 * 14.957, "modeled")]),
        ({"block_gib": 100, "artifact_gib": 7, "artifact_versions": 1}, [100.0], [(7.0, "measured")]),
        ({"block_gib": 0, "artifact_gib": 0}, [], []),
    ],
)
def test_what_is_stated_of_a_model_holds(storage, disks, objects):
    needs = needs_frame(hand.scenario(**{**LLAMA, "services.web.storage": storage}), AWS)
    assert needs.loc[needs["charge"] == "block_storage", "needs_quantity"].tolist() == pytest.approx(disks, abs=0.1)
    found = needs.loc[needs["charge"] == "model_artifacts", ["needs_quantity", "basis"]].to_numpy().tolist()
    assert [(pytest.approx(q, abs=0.1), b) for q, b in objects] == [(q, b) for q, b in found]


def test_the_widest_precision_is_kept():
    precise = {"model": "llm", "weights": "llama-3.1-8b", "precision": ["fp8", "bf16"]}
    whole, half = (
        artifact_gib(hand.scenario(**{**LLAMA, "services.web.latency": latency}).services["web"], None)[0]
        for latency in (precise, {**precise, "precision": "fp8"})
    )
    assert whole == pytest.approx(14.96, abs=0.05)
    assert half < 0.6 * whole


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        # 47.99 s measured for these weights (Run:ai Model Streamer benchmarks, gp3, 2024)
        ({}, 300 + 48.0),
        ({"services.web.storage.block_mib_per_s": 125}, 300 + 122.6),
        ({"services.web.autoscaling.scale_up_delay_s": 90}, 90.0),
        ({"services.web.storage.artifact_gib": 0}, 420.0),
    ],
)
def test_weights_are_read_before_a_replica_serves(more, seconds):
    service = hand.scenario(**{**LLAMA, **more}).services["web"]
    assert start_up_s(service, accelerated=True, folder=None)[0] == pytest.approx(seconds, rel=5e-3)
    assert start_up_s(service, accelerated=True, folder=None)[1] == (
        "measured" if "services.web.autoscaling.scale_up_delay_s" in more else "assumed"
    )


def test_what_is_assumed_is_said_in_a_sentence():
    cost = charges(
        hours=744,
        rate=100.0,
        services__web__storage={"metrics_per_instance": None},
        services__web__network={"load_balancer": False},
    )
    assert assumptions(cost) == (
        (
            "6 USD (100.0%) stand on assumptions where the scenario states nothing (public_ipv4 4, metrics 2 USD): "
            "values of your own, or 0, replace them."
        ),
    )
    assert assumptions(charges(services__web__storage={"object_gib": 10})) == ()


def test_gateways_are_shared_by_the_services_that_use_them():
    text = hand.scenario().model_dump(mode="json", exclude_defaults=True)["services"]["web"]
    web = {**text, "network": {}, "storage": {}}
    s = hand.scenario(
        services={"web": web, "api": web, "batch": {**text, "network": {"nat_gib_per_request": 0}}},
        **{"limits.zones": 3},
    )
    needs = needs_frame(s, AWS)
    assert needs.loc[needs["resource"] == "nat_hour", ["service", "needs_quantity"]].to_numpy().tolist() == [
        ["web", 1.5],
        ["api", 1.5],
    ]
    regional = needs_frame(s.replace(providers=["gcp"]), GCP)  # Cloud NAT is one for the region
    assert regional.loc[regional["resource"] == "nat_hour", "needs_quantity"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("network", "rows"),
    [
        # two of three zones are elsewhere
        ({"internal_gib_per_request": 0.006}, [("cross_zone", 0.004, "assumed")]),
        ({"internal_gib_per_request": 0.006, "cross_zone_share": 0.5}, [("cross_zone", 0.003, "measured")]),
        ({"internal_gib_per_request": 0.006, "cross_zone_share": 0}, []),
        ({"egress_gib_per_request": 0.003, "load_balancer": True}, [("balancer_cross_zone", 0.002, "assumed")]),
        ({"egress_gib_per_request": 0.003}, []),
    ],
)
def test_traffic_between_zones(network, rows):
    s = hand.scenario(
        **{"services.web.network": {"load_balancer": False, "public_ipv4": 0, **network}, "limits.zones": 3}
    )
    needs = needs_frame(s, AWS)
    found = needs.loc[needs["charge"] == "cross_zone", ["resource", "needs_quantity", "basis"]].to_numpy().tolist()
    assert [(r, pytest.approx(q), b) for r, q, b in found] == rows


def test_a_stated_zero_switches_a_need_off():
    off = {"load_balancer": False, "public_ipv4": 0, "nat_gib_per_request": 0}
    assert needs_frame(hand.scenario(**{"services.web.network": off, "services.web.storage": SILENT}), AWS).empty


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        (
            {"metrics_per_instance": 7},
            "aws us-east-1: no price of metrics for metrics of web. .* set this need of the service to 0",
        ),
        (
            {"log_gib_per_request": 1e-6},
            "aws us-east-1: no price of logs_gib for logs of web. .* set this need of the service to 0",
        ),
        ({"block_gib": 20}, "aws: no price of block storage. Set this storage to 0"),
    ],
)
def test_a_missing_price_names_its_need_and_the_remedy(storage, words):
    s = hand.scenario(
        **{
            **QUIET,
            "services.web.latency": {"model": "queue", "service_time_s": 0.01},
            "services.web.storage": {**SILENT, **storage},
        }
    )
    load, offer = hand.load(s, {"web": np.full(48, 50.0)}), hand.catalog()
    with pytest.raises(CatalogError, match=words):
        optimize(s, load, size(s, offer, load), offer, valued_on=load)


def test_a_quantity_beyond_the_last_price_is_an_error():
    short = [
        {
            "storage_class": "object/standard",
            "price_usd": 0.02,
            "price_unit": "GiB-month",
            "tier_lower": 0.0,
            "tier_upper": 100.0,
            "tier_scope": "region",
        }
    ]
    with pytest.raises(CatalogError, match="no price is known beyond 100 GiB-month"):
        charges(selling(storage=short), services__web__storage={"object_gib": 101})


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure", "gpu_cloud"])
def test_whatever_is_assumed_or_asked_for_has_a_price_in_every_region(provider):
    offer = Catalog.read(provider)
    ask = {"block_gib": 1, "object_gib": 1, "object_puts_per_request": 1, "object_gets_per_request": 1}
    for region in sorted(set(offer.instances["region"])):
        s = hand.scenario(
            providers=[provider],
            regions=[region],
            **{
                "services.web.storage": ask,
                "limits.zones": 3,
                "services.web.network": {"egress_gib_per_request": 1, "internal_gib_per_request": 1},
            },
        )
        for need in needs_frame(s, offer).to_dict("records"):
            tiers = offer.tiers(need["resource"], region, provider=provider)
            assert tiers[-1].upper == np.inf, need
            assert all(t.source and t.basis and t.as_of for t in tiers), need


@pytest.mark.parametrize(
    ("provider", "region", "cents"),
    [
        ("aws", "us-east-1", (2.3, 1.25, 0.4, 0.099)),
        ("gcp", "us-central1", (2.0, 1.0, 0.4, 0.12)),
        ("azure", "eastus", (1.8, 1.0, 0.36, 0.099)),
    ],
)
def test_each_cloud_has_its_own_classes(provider, region, cents):
    """Price lists of the three clouds, US cents a GB-month."""
    steps = [{"after_months": m, "storage_tier": t} for m, t in ((1, "infrequent"), (2, "cold"), (3, "archive"))]
    offer = Catalog.read(provider, regions=[region])
    s = hand.scenario(
        providers=[provider],
        regions=[region],
        **{**QUIET, "services.web.storage": {"object_gib": 1, "object_lifecycle": steps}},
    )
    needs = needs_frame(s, offer)
    stock = needs[(needs["charge"] == "object_storage") & (needs["needs_quantity"] >= 1)]
    assert [100 * offer.tiers(r, region, provider=provider)[0].price_usd for r in stock["resource"]] == pytest.approx(
        list(cents)
    )
    for resource in needs["resource"]:
        assert offer.tiers(resource, region, provider=provider)


def test_a_class_nobody_sells_is_an_error():
    with pytest.raises(CatalogError, match="gpu_cloud: no cold class of object storage"):
        needs_frame(
            hand.scenario(
                providers=["gpu_cloud"],
                regions=["global"],
                **{
                    "services.web.storage": {
                        "object_gib": 1,
                        "object_lifecycle": [{"after_months": 1, "storage_tier": "cold"}],
                    }
                },
            ),
            Catalog.read("gpu_cloud"),
        )


@pytest.mark.parametrize(
    "storage",
    [
        {
            "object_lifecycle": [
                {"after_months": 3, "storage_tier": "cold"},
                {"after_months": 2, "storage_tier": "archive"},
            ]
        },
        {
            "object_lifecycle": [
                {"after_months": 1, "storage_tier": "cold"},
                {"after_months": 2, "storage_tier": "infrequent"},
            ]
        },
        {"object_lifecycle": [{"after_months": 6, "storage_tier": "cold"}], "object_retention_months": 6},
        {"object_lifecycle": [{"after_months": 0, "storage_tier": "cold"}]},
    ],
)
def test_a_lifecycle_runs_from_young_to_old_and_from_warm_to_cold(storage):
    with pytest.raises(ScenarioError, match="object_lifecycle"):
        hand.scenario(**{"services.web.storage": storage})


def test_months_are_true_months():
    """From 15 February of a leap year: half of February adds half a month's growth, and the month
    after is whole.
    """
    cost = charges(start="2028-02-15", hours=(15 + 31) * 24, services__web__storage={"object_growth_gib_per_month": 29})
    part = 15 / 29
    assert amounts(cost, "object/standard") == pytest.approx([29 * part**2 / 2, 29 * (part + 0.5)])


@settings(max_examples=25)
@given(
    base=st.floats(0, 100),
    growth=st.floats(0, 50),
    first=st.floats(0.1, 5),
    second=st.floats(0.1, 5),
    kept=st.integers(11, 20),
    age=st.floats(0, 12),
)
def test_classes_add_up_to_what_is_stored(base, growth, first, second, kept, age):
    """Law 58: with classes that bill what they hold, the months of all classes add up to the stock,
    by brute force over days.
    """
    steps = [
        {"after_months": first, "storage_tier": "infrequent"},
        {"after_months": first + second, "storage_tier": "cold"},
    ]
    storage = {
        "object_gib": base,
        "object_growth_gib_per_month": growth,
        "object_lifecycle": steps,
        "object_retention_months": kept,
        "object_age_months": age,
        "object_size_gib": 1,
    }
    s = hand.scenario(
        start="2027-01-01",
        horizon_h=8760,
        providers=["gcp"],
        regions=["us-central1"],
        **{**QUIET, "services.web.storage": storage},
    )
    needs = needs_frame(s, GCP)
    stock = needs[needs["charge"] == "object_storage"]
    u = (np.arange(12 * 400) + 0.5) / 400  # months
    held = base + growth * np.minimum(u, kept)
    counted = np.zeros_like(u)
    for r in stock.to_dict("records"):
        late = r["age_to_months"]
        if r["growth_per_month"] and np.isfinite(late) and late > kept:
            late = kept  # billed on as the minimum duration, but no longer there
        a, b = max(r["age_from_months"], 0.0), max(late, 0.0)
        counted += r["needs_quantity"] * ((u >= a) & (u < b)) + r["growth_per_month"] * (
            np.minimum(u, b) - np.minimum(u, a)
        )
    # leaves nearline before its 30 days: billed in both classes
    early = second < 30 / (365.25 / 12)
    assert (counted >= held - 1e-6).all() if early else counted == pytest.approx(held)
