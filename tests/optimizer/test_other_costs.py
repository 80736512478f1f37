"""Costs that nothing measured causes, and the class of a disk: stated, owned, on the bill to the cent."""

import pandas as pd
import pytest
import yaml

from planner import run
from planner.catalog import Catalog
from planner.errors import CatalogError, ScenarioError
from planner.scenario import Scenario

HOURS = pd.date_range("2025-11-02", periods=364 * 24, freq="h", tz="UTC")  # a steady year: its level is known


def scenario(folder, **more):
    rows = [f"{t:%Y-%m-%dT%H:%M:%SZ},5" for t in HOURS]
    (folder / "h.csv").write_text("ts,arrival_rate_rps\n" + "\n".join(rows) + "\n", encoding="utf-8")
    written = {
        "name": "others",
        "start": "2026-11-01",
        "horizon_h": 730,
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "services": {
            "app": {
                "traffic": {"file": "h.csv", "user_time_zone": "UTC"},
                "latency": {"model": "queue", "service_time_s": 0.05, "memory_gib": 4},
                "objective": {"latency_p95_s": 0.5},
                "storage": {
                    "block_gib": 20,
                    "block_class": "gp2",
                    "log_gib_per_request": 0,
                    "metrics_per_instance": 0,
                },
                "network": {"load_balancer": False, "public_ipv4": 0, "nat_gib_per_request": 0},
            }
        },
        "limits": {"max_term_months": 0, "instance_types": ["t3.xlarge"], "max_spot_share": 0},
    }
    return Scenario.from_yaml(yaml.safe_dump(written), folder=folder).replace(**more)


def charges(plan):
    return plan.cost.groupby("charge")["effective_cost_usd"].sum()


def test_a_control_plane_by_the_hour(tmp_path):
    """Known bill of 730 h: cluster in extended support 438.00, t3.xlarge 121.47, 20 GiB gp2 2.00."""
    others = [
        {"name": "EKS extended support", "usd_per_h": 0.6, "charge": "control_plane", "owner": {"team": "platform"}}
    ]
    plan = run(scenario(tmp_path, other_costs=others), paths=4).plan
    found = charges(plan)
    assert found["control_plane"] == pytest.approx(438.00)
    assert found["compute"] == pytest.approx(121.47, abs=0.01)
    assert found["block_storage"] == pytest.approx(2.00 * (1 + 10 / 744), abs=0.01)  # a month and ten hours
    assert plan.total_usd == pytest.approx(561.47, abs=0.05)
    owners = plan.by_owner().set_index("owner")["effective_cost_usd"]
    assert owners["platform"] == pytest.approx(438.00)
    assert plan.certificate.gap_share == pytest.approx(0, abs=1e-6)
    assert not plan.commitments.size


def test_a_managed_database_by_the_month_belongs_to_its_service(tmp_path):
    others = [{"name": "orders database", "usd_per_month": 310.0, "charge": "database"}]
    plan = run(
        scenario(tmp_path, **{"services.app.other_costs": others, "services.app.owner": {"team": "shop"}}), paths=4
    ).plan
    rows = plan.cost[plan.cost["charge"] == "database"]
    assert rows["effective_cost_usd"].tolist() == pytest.approx([310.0, 310.0 * 10 / 744])
    assert set(rows["service"]) == {"app"}
    assert set(rows["owner"]) == {"shop"}
    assert plan.monthly()["effective_cost_usd"].sum() == pytest.approx(plan.total_usd)


def test_a_support_plan_is_a_share_of_all_but_shares(tmp_path):
    others = [
        {"name": "business support", "share_of_bill": 0.1, "charge": "support"},
        {"name": "licence", "usd_per_month": 200, "charge": "licenses"},
        {"name": "audit", "share_of_bill": 0.01},
    ]
    plan = run(scenario(tmp_path, other_costs=others), paths=4).plan
    found = charges(plan)
    rest = plan.total_usd - found["support"] - found["other"]
    assert found["support"] == pytest.approx(0.1 * rest)
    assert found["other"] == pytest.approx(0.01 * rest)


def test_other_costs_change_no_decision(tmp_path):
    """Law: what nothing drives is added to the bill and moves nothing else."""
    plain, more = (
        run(scenario(tmp_path, other_costs=o), paths=4).plan
        for o in ([], [{"name": "seats", "usd_per_month": 1000, "charge": "licenses"}])
    )
    pd.testing.assert_frame_equal(plain.schedule, more.schedule)
    assert more.total_usd - plain.total_usd == pytest.approx(1000 * (1 + 10 / 744))
    assert more.paths_usd[0] - plain.paths_usd[0] == pytest.approx(1000 * (1 + 10 / 744), rel=1e-6)


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ({"name": "x"}, "give one of usd_per_month"),
        ({"name": "x", "usd_per_month": 1, "usd_per_h": 1}, "give one of usd_per_month"),
        ({"name": "x", "usd_per_month": -1}, "greater than or equal to 0"),
        ({"name": "x", "share_of_bill": 10}, "less than or equal to 1"),
        ({"name": "x", "usd_per_month": 1, "charge": "rent"}, "charge"),
    ],
)
def test_a_cost_that_cannot_be_is_refused(tmp_path, cost, message):
    with pytest.raises(ScenarioError, match=message):
        scenario(tmp_path, other_costs=[cost])


@pytest.mark.parametrize("name", ["gp3", "gp2", "io2"])
def test_the_class_of_a_disk_decides_its_price(tmp_path, name):
    found = run(scenario(tmp_path, **{"services.app.storage.block_class": name}), paths=4)
    tier = Catalog.read("aws", regions=["us-east-1"]).tiers(f"block/{name}", "us-east-1", provider="aws")[0]
    rows = found.plan.cost[found.plan.cost["charge"] == "block_storage"]
    assert set(rows["resource"]) == {f"block/{name}"}
    gb = 20 * (2**30 / 1e9 if tier.unit.startswith("GB") else 1)
    assert rows["effective_cost_usd"].sum() == pytest.approx(gb * tier.price_usd * (1 + 10 / 744), rel=0.08)


def test_a_class_that_is_not_sold_is_named_with_those_that_are(tmp_path):
    with pytest.raises(CatalogError, match=r"no such disk class.*gp9.*Give one of gp2, gp3"):
        run(scenario(tmp_path, **{"services.app.storage.block_class": "gp9"}), paths=4)
    by_provider = scenario(tmp_path, **{"services.app.storage.block_class": {"aws": "io2"}})
    assert "block/io2" in set(run(by_provider, paths=4).plan.cost["resource"])


@pytest.mark.slow
def test_a_share_of_the_bill_is_taken_of_the_bound_not_of_the_plan(tmp_path):
    """A plan dearer than it need be must not raise what any plan costs at least."""
    changes = {"limits.instance_types": [], "limits.max_instance_types": 1, "limits.max_term_months": 12}
    plain = run(scenario(tmp_path, **changes), paths=4).plan
    bill = {"name": "support", "share_of_bill": 1.0}
    for where in ("other_costs", "services.app.other_costs"):
        plan = run(scenario(tmp_path, **changes, **{where: [bill]}), paths=4).plan
        assert plan.total_usd == pytest.approx(2 * plain.total_usd)
        assert plan.certificate.lower_bound_usd == pytest.approx(2 * plain.certificate.lower_bound_usd)
    assert plain.certificate.gap_share > 1e-4  # else the two could not be told apart
