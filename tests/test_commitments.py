"""What a commitment pays for: sizes of a family, resources of a series, and the bill that follows."""

import hand
import numpy as np
import pandas as pd
import pytest

from planner.capacity import size
from planner.catalog import Catalog
from planner.catalog.sizes import flexible_size
from planner.errors import SolverError
from planner.optimize import optimize
from planner.optimize.bill import bill

AWS, GCP = {"provider": "aws", "region": "us-east-1"}, {"provider": "gcp", "region": "us-central1"}


def machine(name, vcpus, memory_gib=None, *, place=AWS, family="", **more):
    return {**hand.HAND, **place, "instance_type": name, "family": family or name.partition(".")[0].partition("-")[0], "arch": "x86_64",
            "vcpus": float(vcpus), "memory_gib": float(4 * vcpus if memory_gib is None else memory_gib), "baseline_share": 1.0,
            "accelerators": 0.0, **more}


def reserved(scope, usd, *, place=AWS, months=12, payment="none", upfront=0.0, kind="Standard RI"):
    return {**hand.HAND, **place, "commitment": f"{scope}/{months}/{payment}", "category": "Usage", "plan_kind": kind,
            "scope_kind": "instance_type", "scope": scope, "term_months": months, "payment": payment, "rate_usd_per_h": usd,
            "upfront_share": upfront}


def on_sale(machines, usd, commitments=(), spot=()):
    """A catalog of machines at ``usd`` {type: on-demand price}."""
    at = {m["instance_type"]: {k: m[k] for k in ("provider", "region")} for m in machines}
    rates = [{**hand.HAND, **at[t], "instance_type": t, "purchase_option": o, "rate_usd_per_h": p}
             for o, prices in (("on_demand", usd), ("spot", dict(spot))) for t, p in prices.items()]
    return Catalog(*(hand.frame(f"catalog.{name}", rows) for name, rows in (
        ("instances", machines), ("rates", rates), ("commitments", list(commitments)), ("storage", []), ("network", []))))


def planned(catalog, rates, **changes):
    place = catalog.instances.iloc[0]
    s = hand.scenario(**{"providers": [place["provider"]], "regions": [place["region"]],
                         "services.web.latency": {"model": "queue", "service_time_s": 0.01},
                         "services.web.network": {"load_balancer": False, "public_ipv4": 0}, **changes})
    load = hand.load(s, dict.fromkeys(s.services, rates))
    return optimize(s, load, size(s, catalog, load), catalog), s


M5 = [machine("m5.large", 2), machine("m5.xlarge", 4), machine("m5.2xlarge", 8)]
M5_USD = {"m5.large": 0.1, "m5.xlarge": 0.2, "m5.2xlarge": 0.4}


@pytest.mark.parametrize(("row", "wanted"), [
    (machine("m5.large", 2), ("m5 family", 4.0)),
    (machine("t3.nano", 2, 0.5), ("t3 family", 0.25)),
    (machine("c5.9xlarge", 36), ("c5 family", 72.0)),
    (machine("c5.24xlarge", 96), ("c5 family", 192.0)),
    (machine("m5.metal", 96), ("m5.metal", 1.0)),
    (machine("g4dn.xlarge", 4, accelerators=1.0), ("g4dn.xlarge", 1.0)),
    (machine("hpc7a.12xlarge", 24), ("hpc7a.12xlarge", 1.0)),
    (machine("u-6tb1.56xlarge", 224), ("u-6tb1.56xlarge", 1.0)),
    (machine("Standard_D4ds_v5", 4, place={"provider": "azure", "region": "eastus"}), ("Dds_v5 series", 4.0)),
    (machine("Standard_B2ms", 2, place={"provider": "azure", "region": "eastus"}), ("Standard_B2ms", 1.0)),
    (machine("Standard_D3_v2", 4, place={"provider": "azure", "region": "eastus"}), ("Standard_D3_v2", 1.0)),
    (machine("Standard_E96-24ads_v5", 24, place={"provider": "azure", "region": "eastus"}), ("Standard_E96-24ads_v5", 1.0)),
    (machine("n4a-standard-8", 8, place=GCP), ("n4a-standard of 4 GiB a vCPU", 8.0)),
    (machine("n4a-highmem-8", 8, 64, place=GCP), ("n4a-highmem of 8 GiB a vCPU", 8.0)),
    (machine("a2-highgpu-2g", 24, 170, place=GCP, accelerator="A100", accelerators=2.0),
     ("a2-highgpu of 7.083 GiB, 0.08333 A100 a vCPU", 24.0)),
    (machine("x1", 8, place={"provider": "gpu_cloud", "region": "global"}), ("x1", 1.0)),
])
def test_what_shares_a_reservation(row, wanted):
    assert flexible_size(hand.frame("catalog.instances", [row]).iloc[0].to_dict()) == wanted


def test_a_reservation_of_one_size_pays_for_another():
    """Reservations are sold for m5.large only; the plan runs m5.2xlarge, each of which takes four of them."""
    catalog = on_sale(M5, M5_USD, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, np.full(48, 5000.0), **{"limits.instance_types": ["m5.2xlarge"]})
    count = plan.schedule["instances"].iloc[0]
    row = plan.commitments.iloc[0]
    assert (row["scope"], row["quantity"], row["unit"]) == ("m5.large", 4 * count, "instance")
    assert plan.objective_usd == pytest.approx(4 * count * 0.06 * 48, rel=1e-9)
    assert plan.cost.loc[plan.cost["purchase_option"] == "committed", "list_cost_usd"].sum() == pytest.approx(count * 0.4 * 48, rel=1e-9)
    assert plan.prices.loc[plan.prices["purchase_option"] == "committed", "list_unit_price_usd"].tolist() == pytest.approx([0.24])
    assert row["break_even_utilization"] == pytest.approx(0.6)


def test_the_smallest_size_is_signed_where_all_cost_the_same():
    catalog = on_sale(M5, M5_USD, [reserved("m5.2xlarge", 0.24), reserved("m5.large", 0.06), reserved("m5.xlarge", 0.1199)])
    plan, _ = planned(catalog, np.full(48, 900.0))
    assert set(plan.commitments["scope"]) == {"m5.large"}


def test_a_held_reservation_of_a_large_size_pays_for_small_machines():
    catalog = on_sale(M5, M5_USD, [reserved("m5.2xlarge", 0.24)])
    held = [{"commitment": "m5.2xlarge/12/none", "quantity": 1, "end": "2028-01-01"}]
    plan, _ = planned(catalog, np.full(48, 900.0), existing=held,
                      **{"limits.instance_types": ["m5.large"], "limits.max_term_months": 0})
    count = plan.schedule["instances"].iloc[0]
    assert count > 4
    assert plan.coverage.groupby("ts")["instances"].sum().tolist() == pytest.approx([4.0] * 48)
    assert plan.objective_usd == pytest.approx(48 * (0.24 + (count - 4) * 0.1), rel=1e-9)
    assert plan.commitments["quantity"].tolist() == [1.0]


def test_a_size_whose_price_breaks_the_rule_keeps_to_its_own_type():
    """m5.xlarge at twice the price of its size would be covered at half its worth: the rule or the price is wrong."""
    catalog = on_sale(M5, {**M5_USD, "m5.xlarge": 0.4}, [reserved("m5.large", 0.06)])
    plan, _ = planned(catalog, np.full(48, 900.0), **{"limits.instance_types": ["m5.xlarge"]})
    assert plan.commitments.empty


def test_a_resource_commitment_covers_every_size_of_its_series():
    shapes = [machine(f"n4a-standard-{n}", n, place=GCP) for n in (1, 4, 16)] + [machine("n4a-highmem-4", 4, 32, place=GCP)]
    usd = {"n4a-standard-1": 0.04, "n4a-standard-4": 0.16, "n4a-standard-16": 0.64, "n4a-highmem-4": 0.2}
    cuds = [reserved(m["instance_type"], 0.55 * usd[m["instance_type"]], place=GCP, kind="resource CUD") for m in shapes]
    plan, _ = planned(on_sale(shapes, usd, cuds), np.full(48, 5000.0), **{"limits.instance_types": ["n4a-standard-16"]})
    vcpus = 16 * plan.schedule["instances"].iloc[0]
    assert plan.commitments[["scope", "quantity"]].to_numpy().tolist() == [["n4a-standard-1", vcpus]]
    assert plan.objective_usd == pytest.approx(vcpus * 0.04 * 0.55 * 48, rel=1e-9)
    highmem, _ = planned(on_sale(shapes, usd, cuds[:3]), np.full(48, 5000.0), **{"limits.instance_types": ["n4a-highmem-4"]})
    assert highmem.commitments.empty  # of another shape: held apart here


def test_two_services_on_two_sizes_share_one_reservation():
    """One works by day on m5.xlarge, one by night on m5.large: together they keep the same eight units busy."""
    s = hand.scenario(**{"services.api": {"traffic": "a.csv", "latency": {"model": "mmc"}, "objective": {"latency_p99_s": 0.3}}})
    day = np.tile(np.repeat([1, 0], 12), 2)
    catalog = on_sale(M5, M5_USD, [reserved("m5.large", 0.06)])
    schedule = pd.concat([hand.schedule(s, day, instance_type="m5.xlarge"), hand.schedule(s, 2 - 2 * day, service="api",
                                                                                          instance_type="m5.large")], ignore_index=True)
    cover = pd.concat([hand.coverage(s, day, "m5.large/12/none", instance_type="m5.xlarge"),
                       hand.coverage(s, 2 - 2 * day, "m5.large/12/none", service="api", instance_type="m5.large")], ignore_index=True)
    start = pd.Timestamp(s.start_utc)
    row = {**AWS, "commitment": "m5.large/12/none", "category": "Usage", "plan_kind": "Standard RI", "scope": "m5.large", "term_months": 12,
           "payment": "none", "quantity": 2.0, "unit": "instance", "start": start, "end": start + pd.DateOffset(months=12),
           "upfront_usd": 0.0, "hourly_usd": 2 * 0.06}
    load = hand.load(s, {"web": np.ones(48), "api": np.ones(48)})
    cost, _ = bill(s, load, hand.capacity(("web", "api")), catalog, schedule, cover, hand.frame("plan.commitments", [row]))
    used = cost[cost["charge"] == "compute"].groupby("service")["effective_cost_usd"].sum()
    assert used.to_dict() == pytest.approx({"web": 24 * 0.12, "api": 24 * 0.12})
    assert not (cost["charge"] == "commitment_unused").any()
    wrong = row | {"scope": "c5.large"}
    with pytest.raises(SolverError, match="cannot pay for"):
        bill(s, load, hand.capacity(("web", "api")), on_sale([*M5, machine("c5.large", 2)], M5_USD, [reserved("m5.large", 0.06)]),
             schedule, cover, hand.frame("plan.commitments", [wrong]))
