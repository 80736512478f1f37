"""The traps in the providers' answers, one test each; figures are list prices of 2026 unless a trap
needs an invented one.
"""

import json
import math

import pytest

from planner import columns
from planner.catalog import aws_answers, azure, gcp
from planner.catalog.answers import accelerator, money
from planner.catalog.aws_bulk import read_offers
from planner.errors import CatalogError
from tests.builders.clouds import HEADER, azure_item, gcp_sku, plan, product, reserved, spot

HERE = "us-east-1"


def entry(usd="0.1728000000", **changes):
    return json.loads(product("SKU1", "m6a.xlarge", HERE, usd, **changes))


def facts(**changes):
    return entry(**changes)["product"]["attributes"]


# --- AWS Price List


def test_the_plain_linux_machine_is_taken():
    assert aws_answers.sells_plain_linux(facts())
    assert aws_answers.on_demand_usd(entry()) == 0.1728


@pytest.mark.parametrize(
    "change",
    [
        {"tenancy": "Dedicated", "usagetype": "DedicatedUsage:m6a.xlarge"},  # 5 % dearer
        {"operatingSystem": "Windows"},
        # repeats the Linux price
        {"operatingSystem": "Windows", "licenseModel": "Bring your own license"},
        {"preInstalledSw": "SQL Std"},
        # repeats it too
        {"capacitystatus": "UnusedCapacityReservation", "usagetype": "UnusedBox:m6a.xlarge"},
        # is 0.00
        {"capacitystatus": "AllocatedCapacityReservation", "usagetype": "Reservation:m6a.xlarge"},
        {"marketoption": "CapacityBlock"},
        {"locationType": "AWS Local Zone"},
        {"usagetype": "HostBoxUsage:m6a.xlarge"},
    ],
)
def test_other_ways_to_sell_it_are_not(change):
    assert not aws_answers.sells_plain_linux(facts(**change))


def test_bare_metal_is_asked_as_shared():
    assert aws_answers.sells_plain_linux(json.loads(product("S", "m6g.metal", HERE, "2.464"))["product"]["attributes"])
    assert not aws_answers.sells_plain_linux(
        json.loads(product("S", "m6g.metal", HERE, "2.6112", tenancy="Dedicated"))["product"]["attributes"]
    )


@pytest.mark.parametrize("prefix", ["", "EU-", "USW2-", "APN1-"])
def test_the_usage_type_has_a_prefix_outside_us_east_1(prefix):
    assert aws_answers.sells_plain_linux(facts(usagetype=f"{prefix}BoxUsage:m6a.xlarge"))


def test_a_reserved_term_adds_its_upfront_over_the_years():
    (term,) = aws_answers.reserved(entry(terms=reserved(3, "Partial Upfront", "0.03630", "953.88")))
    assert term[:3] == ("standard", 36, "partial")
    assert term[3] == pytest.approx(0.0363 + 953.88 / 26280)
    (whole,) = aws_answers.reserved(entry(terms=reserved(1, "All Upfront", "0", "876", kind="convertible")))
    assert whole == ("convertible", 12, "all", pytest.approx(0.1), 1.0)
    (none,) = aws_answers.reserved(entry(terms=reserved(1, "No Upfront", "0.11431", 0)))
    assert none[3:] == (0.11431, 0.0)


def test_a_type_without_an_on_demand_term_has_no_price():
    without = entry()
    without["terms"] = {}
    assert aws_answers.on_demand_usd(without) is None


def test_transfer_tiers_count_a_terabyte_as_1024_gigabytes():
    steps = {
        f"T.{i}": {"unit": "GB", "beginRange": a, "endRange": b, "pricePerUnit": {"USD": p}}
        for i, (a, b, p) in enumerate(
            [
                ("153600", "Inf", "0.05"),
                ("0", "10240", "0.09"),
                ("51200", "153600", "0.07"),
                ("10240", "51200", "0.085"),
            ]
        )
    }
    found = aws_answers.tiers({"product": {"sku": "T"}, "terms": {"OnDemand": {"T": {"priceDimensions": steps}}}})
    assert [t[:3] for t in found] == [
        (0, 10240, 0.09),
        (10240, 51200, 0.085),
        (51200, 153600, 0.07),
        (153600, math.inf, 0.05),
    ]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            lambda: aws_answers.on_demand_usd(json.loads(product("S", "m6a.xlarge", HERE, "1.0", currency="CNY"))),
            "must be in USD",
        ),
        (lambda: aws_answers.on_demand_usd(entry("NA")), "not a price"),
        (lambda: aws_answers.on_demand_usd(entry("-0.2")), "number ≥ 0"),
        (lambda: aws_answers.on_demand_usd(entry("NaN")), "number ≥ 0"),
        (lambda: aws_answers.on_demand_usd({"product": {}}), "lacks the field sku"),
        (lambda: list(aws_answers.reserved(entry(terms=reserved(2, "No Upfront", "1", 0)))), "unknown reserved term"),
        (lambda: aws_answers.shape({"InstanceType": "m9.huge"}), "lacks the field VCpuInfo"),
        (lambda: aws_answers.plan_rate(plan("m6a.xlarge", HERE, "cheap")), "not a price"),
        (lambda: gcp.tiers({"skuId": "S", "pricingInfo": []}), "without a price"),
        (lambda: gcp.tiers(gcp_sku(1, "N2 Instance Core running in Iowa", 0.03, currency="EUR")), "must be in USD"),
        (lambda: list(azure.offers(azure_item("Standard_D4s_v5", "eastus", None), "eastus")), "not a price"),
        (
            lambda: list(azure.offers(azure_item("Standard_D4s_v5", "eastus", 0.2, currencyCode="EUR"), "eastus")),
            "must be in USD",
        ),
        (
            lambda: list(
                azure.offers(
                    azure_item("Standard_D4s_v5", "eastus", 9, type="Reservation", reservationTerm="2 Years"), "eastus"
                )
            ),
            "reservation term",
        ),
        (lambda: money(None, "somewhere"), "not a price"),
    ],
)
def test_a_malformed_item_is_an_error_that_names_it(broken, words):
    with pytest.raises(CatalogError, match=words):
        broken()


# --- AWS spot


def test_spot_is_the_median_over_zones_of_the_last_linux_price():
    history = [
        spot("p5.48xlarge", "use1-az6", "17.6289", "2026-01-15T01:00:00Z"),
        spot("p5.48xlarge", "use1-az6", "16.9", "2026-01-14T22:00:00Z"),
        spot("p5.48xlarge", "use1-az6", "99", "2026-01-16T01:00:00Z", system="Windows"),
        spot("p5.48xlarge", "use1-az1", "55.04"),
        spot("p5.48xlarge", "use1-az2", "19.2531"),
    ]
    assert aws_answers.spot_usd(history) == {"p5.48xlarge": 19.2531}  # the mean would be 30.6


def test_zones_are_told_apart_by_id_not_by_letter():
    history = [spot("m6a.xlarge", "use1-az1", "0.05"), spot("m6a.xlarge", "use1-az2", "0.07")]
    assert {i["AvailabilityZone"] for i in history} == {"us-east-1a"}
    assert aws_answers.spot_usd(history) == {"m6a.xlarge": pytest.approx(0.06)}


# --- AWS shapes


def ec2(name, **more):
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 4, "DefaultThreadsPerCore": 2},
        "MemoryInfo": {"SizeInMiB": 16384},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        **more,
    }


def test_a_sliced_gpu_counts_its_slice():
    found = aws_answers.shape(
        ec2(
            "g6f.large",
            GpuInfo={
                "Gpus": [
                    {
                        "Name": "L4",
                        "Count": 0,
                        "LogicalGpuCount": 1,
                        "GpuPartitionSize": 0.125,
                        "MemoryInfo": {"SizeInMiB": 2861},
                    }
                ]
            },
        )
    )
    assert (found["accelerator"], found["accelerators"]) == ("L4", 0.125)
    assert found["accelerator_memory_gib"] == pytest.approx(2861 / 1024)


def test_a_neuron_chip_listed_twice_counts_once():
    found = aws_answers.shape(
        ec2(
            "inf2.xlarge",
            NeuronInfo={"NeuronDevices": [{"Name": "Inferentia2", "Count": 1, "MemoryInfo": {"SizeInMiB": 32768}}]},
            InferenceAcceleratorInfo={
                "Accelerators": [{"Name": "Inferentia2", "Count": 1, "MemoryInfo": {"SizeInMiB": 32768}}]
            },
        )
    )
    assert (found["accelerator"], found["accelerators"], found["accelerator_memory_gib"]) == ("Inferentia2", 1, 32)


def test_trainium2_memory_is_the_chip_not_the_sum():
    found = aws_answers.shape(
        ec2(
            "trn2.48xlarge",
            NeuronInfo={"NeuronDevices": [{"Name": "Trainium2", "Count": 16, "MemoryInfo": {"SizeInMiB": 524288}}]},
        )
    )
    assert (found["accelerators"], found["accelerator_memory_gib"]) == (16, 96)


def test_one_name_for_two_memory_sizes():
    assert accelerator("A100", 40.0)[0] == "A100-SXM-40GB"
    assert accelerator("A100", 80.0)[0] == "A100-SXM-80GB"
    assert accelerator("V100", 32.0)[0] == "V100-SXM-32GB"
    assert accelerator("Unheard of", 12.0) == ("Unheard of", 12.0)


@pytest.mark.parametrize(
    ("network", "gbps"),
    [
        (
            {"NetworkPerformance": "400 Gigabit", "NetworkCards": [{"BaselineBandwidthInGbps": 100.0}] * 16},
            400,
        ),  # cards over-count
        ({"NetworkPerformance": "3200 Gigabit", "NetworkCards": [{"BaselineBandwidthInGbps": 100.0}] * 2}, 3200),
        ({"NetworkPerformance": "16x 200 Gigabit", "NetworkCards": []}, 3200),
        (
            {"NetworkPerformance": "Up to 12.5 Gigabit", "NetworkCards": [{"BaselineBandwidthInGbps": 0.781}]},
            0.781,
        ),  # a burst is not sustained
    ],
)
def test_sustained_bandwidth(network, gbps):
    assert aws_answers.network_gbps(network) == gbps


def test_old_types_state_no_bandwidth():
    assert math.isnan(
        aws_answers.network_gbps(
            {"NetworkPerformance": "Moderate", "NetworkCards": [{"NetworkPerformance": "Moderate"}]}
        )
    )


def test_units_and_bursts_of_a_shape():
    found = aws_answers.shape(
        ec2("t3.large", BurstablePerformanceSupported=True, InstanceStorageInfo={"TotalSizeInGB": 250})
    )
    assert found["local_disk_gib"] == pytest.approx(250e9 / 2**30)
    assert (found["memory_gib"], found["baseline_share"], found["arch"]) == (16, 0.30, "x86_64")
    old = aws_answers.shape(ec2("t2.micro") | {"ProcessorInfo": {"SupportedArchitectures": ["i386", "x86_64"]}})
    assert old["arch"] == "x86_64"
    assert math.isnan(aws_answers.shape(ec2("t9.huge", BurstablePerformanceSupported=True))["baseline_share"])


# --- AWS Savings Plans


def test_a_plan_rate_is_a_price():
    assert aws_answers.plan_rate(plan("m6a.xlarge", HERE, "0.13965")) == ("m6a.xlarge", "Compute", 12, "none", 0.13965)
    found = aws_answers.plan_rate(
        plan("m6a.xlarge", HERE, "0.068227", kind="EC2Instance", seconds=94608000, payment="All Upfront")
    )
    assert found == ("m6a.xlarge", "EC2Instance", 36, "all", 0.068227)


@pytest.mark.parametrize(
    "changed",
    [
        plan("m6a.xlarge", HERE, "0.32", productDescription="Windows"),
        plan("m6a.xlarge", HERE, "0.15", tenancy="dedicated"),
        plan("m6a.xlarge", HERE, "0.14", usage="UnusedBox"),
        plan("m6a.xlarge", HERE, "0.14", usage="DedicatedUsage"),
        plan("m6a.xlarge", HERE, "0.03") | {"productType": "Fargate"},
    ],
)
def test_plan_rates_of_other_things_are_left(changed):
    assert aws_answers.plan_rate(changed) is None


# --- AWS offer file


def offer(sku, usd, *, term="OnDemand", unit="Hrs", lease="", option="", kind="", tenancy="Shared"):
    row = (
        sku,
        "T1",
        term,
        unit,
        usd,
        "USD",
        lease,
        option,
        kind,
        "AWS Region",
        "m6a.xlarge",
        tenancy,
        "Linux",
        "No License required",
        "BoxUsage:m6a.xlarge",
        "Used",
        "NA",
        "OnDemand",
    )
    return ",".join(f'"{c}"' for c in row) + "\n"


def test_the_offer_file_is_read_line_by_line():
    lines = [
        '"FormatVersion","v1.0"\n',
        '"Publication Date","2026-07-20"\n',
        ",".join(f'"{c}"' for c in HEADER) + "\n",
        offer("S1", "0.1728"),
        offer("S2", "0.18", tenancy="Dedicated"),
        offer("S1", "0.0363", term="Reserved", lease="3yr", option="Partial Upfront", kind="standard"),
        offer("S1", "953.88", term="Reserved", unit="Quantity", lease="3yr", option="Partial Upfront", kind="standard"),
    ]
    found = read_offers(iter(lines))
    assert found.on_demand == [("m6a.xlarge", 0.1728, "S1")]
    ((name, kind, months, payment, usd, _),) = found.reserved
    assert (name, kind, months, payment, usd) == (
        "m6a.xlarge",
        "standard",
        36,
        "partial",
        pytest.approx(0.0363 + 953.88 / 26280),
    )
    with pytest.raises(CatalogError, match="cut short"):
        read_offers(iter([*lines, '"S3","T1","OnDem']))
    with pytest.raises(CatalogError, match="not an EC2 offer file"):
        read_offers(iter(["<html>", "sorry"]))


# --- Google


def prices(*skus, region="us-central1"):
    return gcp.components(skus, region)[0]


CORE, RAM = gcp.Component("on_demand", "n2", "core"), gcp.Component("on_demand", "n2", "ram")
N2_CORE = gcp_sku(1, "N2 Instance Core running in Americas", 0.031611, region=["us-central1", "us-east1"])
N2_RAM = gcp_sku(
    2, "N2 Instance Ram running in Americas", 0.004237, region=["us-central1", "us-east1"], group="RAM", unit="GiBy.h"
)
A2 = (
    gcp_sku(3, "A2 Instance Core running in Americas", 0.031611),
    gcp_sku(4, "A2 Instance Ram running in Americas", 0.004237, group="RAM", unit="GiBy.h"),
    gcp_sku(5, "Nvidia Tesla A100 GPU running in Americas", 2.933908, group="GPU"),
)
A2_SHAPE = {
    "instance_type": "a2-highgpu-1g",
    "family": "a2",
    "vcpus": 12.0,
    "baseline_share": 1.0,
    "memory_gib": 85.0,
    "accelerator": "A100-SXM-40GB",
    "accelerators": 1.0,
    "local_disk_gib": 0.0,
}


def test_money_is_units_plus_nanos():
    assert gcp.tiers(A2[2]) == [(0, pytest.approx(2.933908))]  # nanos alone would say 0.933908


def test_a_machine_is_the_sum_of_its_parts():
    assert gcp.compose(A2_SHAPE, prices(*A2), "on_demand") == pytest.approx(
        3.673385
    )  # without its GPU it would be 0.739
    assert gcp.compose(A2_SHAPE, prices(*A2[:2]), "on_demand") is None


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("N2 Instance Core running in Americas", "n2"),
        ("N2D AMD Instance Core running in Americas", "n2d"),
        ("N1 Predefined Instance Core running in Iowa", "n1"),
        ("Compute optimized Core running in Iowa", "c2"),
        ("Memory-optimized Instance Core running in Iowa", "m1"),
        ("C4A Arm Instance Core running in Iowa", "c4a"),
        ("M3 Memory-optimized Instance Core running in Iowa", "m3"),
        ("E2 Instance Core running in Americas", "e2"),
    ],
)
def test_families_hide_in_free_text(text, family):
    assert gcp.component(gcp_sku(1, text, 0.03)) == gcp.Component("on_demand", family, "core")


@pytest.mark.parametrize(
    ("text", "usage", "wanted"),
    [
        ("Spot Preemptible N2 Instance Ram running in Americas", "Preemptible", gcp.Component("spot", "n2", "ram")),
        ("Commitment v1: N2 Cpu in Americas for 1 Year", "Commit1Yr", gcp.Component("cud_1y", "n2", "core")),
        ("Commitment v1: N2 Ram in Americas for 3 Year", "Commit3Yr", gcp.Component("cud_3y", "n2", "ram")),
        ("Commitment v1: Cpu in Americas for 1 Year", "Commit1Yr", gcp.Component("cud_1y", "n1", "core")),
        ("Nvidia Tesla A100 80GB GPU running in Iowa", "OnDemand", gcp.Component("on_demand", "A100-SXM-80GB", "gpu")),
        (
            "Nvidia L4 GPU attached to Spot Preemptible VMs running in Iowa",
            "Preemptible",
            gcp.Component("spot", "L4", "gpu"),
        ),
        ("Nvidia H100 80GB GPU running in Iowa", "OnDemand", gcp.Component("on_demand", "H100-SXM-80GB", "gpu")),
        (
            "Nvidia H100 80GB Mega GPU running in Iowa",
            "OnDemand",
            gcp.Component("on_demand", "H100-SXM-80GB mega", "gpu"),
        ),
        ("SSD backed Local Storage in Iowa", "OnDemand", gcp.Component("on_demand", "", "disk")),
    ],
)
def test_usage_and_parts_of_a_sku(text, usage, wanted):
    assert gcp.component(gcp_sku(1, text, 0.03, usage=usage)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "N2 Custom Instance Core running in Americas",
        "N2 Custom Extended Instance Ram running in Americas",
        "N2 Sole Tenancy Instance Core running in Americas",
        "Reserved Nvidia H100 80GB GPU in Iowa",
        "DWS Defined Duration A3 Instance Core running in Iowa",
        "A3 Instance Core Calendar Mode running in Iowa",
        "N2D AMD Confidential Instance Core running in Americas",
        "Commitment - dollar based v1: GCE for 1 year",
    ],
)
def test_other_ways_to_sell_a_core_are_left(text):
    assert gcp.component(gcp_sku(1, text, 0.03)) is None


def test_one_sku_serves_many_regions_and_no_others():
    assert prices(N2_CORE, N2_RAM) == {CORE: 0.031611, RAM: 0.004237}
    assert prices(N2_CORE, N2_RAM, region="europe-west1") == {}


def test_memory_priced_by_the_decimal_gigabyte():
    decimal = gcp_sku(2, "N2 Instance Ram running in Americas", 0.004, group="RAM", unit="GBy.h")
    assert prices(decimal)[RAM] == pytest.approx(0.004 * 1.073741824)


def test_a_free_first_tier_is_not_the_price():
    stepped = gcp_sku(2, "N2 Instance Core running in Americas", 0, tiers=[(0, 0.0), (10, 0.03)])
    assert prices(stepped) == {CORE: 0.03}
    egress = gcp_sku(
        3,
        "Network Standard Data Transfer Out to Internet from Iowa",
        0,
        unit="GiBy",
        tiers=[(0, 0.0), (200, 0.085), (10240, 0.065)],
    )
    assert gcp.tiers(egress) == [(0, 0.0), (200, 0.085), (10240, 0.065)]


def test_two_skus_that_disagree_price_nothing():
    found, torn = gcp.components([N2_CORE, gcp_sku(9, "N2 Instance Core running in Americas", 0.04)], "us-central1")
    assert CORE not in found
    assert "two SKUs price n2 core" in torn[0]


def test_the_latest_price_counts():
    late = json.loads(json.dumps(N2_CORE))
    late["pricingInfo"].append(
        {
            "effectiveTime": "2026-11-01T00:00:00Z",
            "pricingExpression": gcp_sku(1, "", 0.05)["pricingInfo"][0]["pricingExpression"],
        }
    )
    assert gcp.tiers(late) == [(0, 0.05)]


def test_mega_machines_share_cores_but_not_gpus():
    skus = [
        gcp_sku(1, "A3 Instance Core running in Iowa", 0.03),
        gcp_sku(2, "A3 Instance Ram running in Iowa", 0.003, group="RAM", unit="GiBy.h"),
        gcp_sku(3, "Nvidia H100 80GB GPU running in Iowa", 9.0, group="GPU"),
        gcp_sku(4, "Nvidia H100 80GB Mega GPU running in Iowa", 9.5, group="GPU"),
    ]
    shape = A2_SHAPE | {
        "family": "a3",
        "vcpus": 208.0,
        "memory_gib": 1872.0,
        "accelerator": "H100-SXM-80GB",
        "accelerators": 8.0,
    }
    base = 208 * 0.03 + 1872 * 0.003
    assert gcp.compose(shape | {"instance_type": "a3-highgpu-8g"}, prices(*skus), "on_demand") == pytest.approx(
        base + 72
    )
    assert gcp.compose(shape | {"instance_type": "a3-megagpu-8g"}, prices(*skus), "on_demand") == pytest.approx(
        base + 76
    )


def test_local_disks_are_priced_by_a_month_of_730_hours():
    parts = {
        gcp.Component("on_demand", "c3", "core"): 0.0,
        gcp.Component("on_demand", "c3", "ram"): 0.0,
        gcp.Component("on_demand", "", "disk"): 0.08,
    }
    shape = A2_SHAPE | {
        "family": "c3",
        "accelerators": 0.0,
        "local_disk_gib": 375.0,
        "instance_type": "c3-standard-4-lssd",
    }
    assert gcp.compose(shape, parts, "on_demand") == pytest.approx(375 * 0.08 / 730)
    assert gcp.compose(shape, {k: v for k, v in parts.items() if k.part != "disk"}, "on_demand") is None


def test_newer_families_do_not_take_the_common_disk_price():
    parts = {gcp.Component("on_demand", "c4", p): 0.03 for p in ("core", "ram")} | {
        gcp.Component("on_demand", "", "disk"): 0.08
    }
    shape = A2_SHAPE | {
        "family": "c4",
        "accelerators": 0.0,
        "local_disk_gib": 375.0,
        "instance_type": "c4-standard-4-lssd",
    }
    assert gcp.compose(shape, parts, "on_demand") is None  # theirs costs twice as much
    own = parts | {gcp.Component("on_demand", "c4", "disk"): 0.16}
    assert gcp.compose(shape, own, "on_demand") == pytest.approx((12 + 85) * 0.03 + 375 * 0.16 / 730)


def test_a_shared_core_is_billed_at_its_part():
    parts = {gcp.Component("on_demand", "e2", "core"): 0.02, gcp.Component("on_demand", "e2", "ram"): 0.003}
    shape = A2_SHAPE | {
        "family": "e2",
        "vcpus": 2.0,
        "baseline_share": 0.125,
        "memory_gib": 1.0,
        "accelerators": 0.0,
        "instance_type": "e2-micro",
    }
    assert gcp.compose(shape, parts, "on_demand") == pytest.approx(0.25 * 0.02 + 0.003)


# --- Azure


def found(**changes):
    return list(azure.offers(azure_item("Standard_D4ds_v5", "eastus", 0.226, **changes), "eastus"))


def test_the_linux_price_and_its_plans():
    plans = [
        {"term": "1 Year", "retailPrice": 0.154471, "unitPrice": 0.154471},
        {"term": "3 Years", "retailPrice": 0.1032142, "unitPrice": 0.1032142},
    ]
    assert found(savingsPlan=plans) == [
        ("Standard_D4ds_v5", "on_demand", 0.226, 0),
        ("Standard_D4ds_v5", "savings_plan", 0.154471, 1),
        ("Standard_D4ds_v5", "savings_plan", 0.1032142, 3),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"productName": "Virtual Machines Ddsv5 Series Windows"},
        {"productName": "Ddsv5 Series Cloud Services"},
        {"productName": "Ddsv5 CloudServices"},
        {"skuName": "D4ds v5 Low Priority", "meterName": "D4ds v5 Low Priority"},
        {"type": "DevTestConsumption"},
        {"armRegionName": "westeurope"},
        {"serviceName": "Storage"},
        {"armSkuName": ""},
        {"retailPrice": 0.0},
        {"unitOfMeasure": "1/Month"},
    ],
)
def test_other_meters_are_left(change):
    assert found(**change) == []


def test_spot_is_told_by_its_name_only():
    assert found(skuName="D4ds v5 Spot", meterName="D4ds v5 Spot", retailPrice=0.0452) == [
        ("Standard_D4ds_v5", "spot", 0.0452, 0)
    ]


def test_a_reservation_states_the_price_of_the_whole_term():
    (one,) = found(type="Reservation", reservationTerm="1 Year", retailPrice=1168.0)
    (three,) = found(type="Reservation", reservationTerm="3 Years", retailPrice=2257.0)
    assert (one.kind, one.usd) == ("reservation", pytest.approx(0.13333, rel=1e-4))
    assert three.usd == pytest.approx(0.085883, rel=1e-5)


def test_constrained_sizes_are_billed_as_the_full_size():
    assert azure.full_size("Standard_E8-2s_v5") == "Standard_E8s_v5"
    assert azure.full_size("Standard_M64-32bds_1_v3") == "Standard_M64bds_1_v3"
    assert azure.full_size("Standard_D4ds_v5") == "Standard_D4ds_v5"


@pytest.mark.parametrize("module", [aws_answers, gcp, azure])
def test_variable_maps_name_columns(module):
    assert set(module.VARIABLE_MAP) <= set(columns.dictionary())
