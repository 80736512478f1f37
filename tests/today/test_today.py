"""Today beside the plan: the same hours, the same bill, what changes and what it takes."""

import csv
import json
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from planner import run
from planner.cli import main
from planner.errors import ScenarioError
from planner.scenario import Running, Scenario
from planner.today.fleet import counted
from tests.builders import hand

RI = "aws/us-east-1/m6i.2xlarge/standard_ri/1y/none"
AWAY = "aws/us-west-2/m6a.2xlarge/standard_ri/1y/none"
TODAY = {"services": {"web": {"zones": 2, "machines": [{"instance_type": "m6i.2xlarge", "count": 8}]}}}


@cache
def history():
    """A steady year up to the first hour planned: its level is known."""
    hours = pd.date_range(end="2026-11-01", periods=364 * 24, freq="h", inclusive="left")
    return "ts,arrival_rate_rps\n" + "".join(f"{t:%Y-%m-%dT%H}:00:00Z,800\n" for t in hours)


def scenario(folder, today=None, **more):
    (folder / "h.csv").write_text(history(), encoding="utf-8")
    written = {
        "name": "now",
        "start": "2026-11-01",
        "horizon_h": 72,
        "providers": ["aws"],
        "regions": ["us-east-1"],
        "services": {
            "web": {
                "traffic": {"file": "h.csv", "user_time_zone": "UTC"},
                "latency": {
                    "model": "observed",
                    "machine": "m6i.2xlarge",
                    "vcpus": 8,
                    "machines": 8,
                    "points": [{"arrival_rate_rps": 800, "cpu_utilization": 0.45, "latency_p99_s": 0.15}],
                    "archs": ["x86_64"],
                },
                "objective": {"latency_p99_s": 0.18, "load_quantile": 0.5},
                "storage": {"block_gib": 20, "object_gib": 1000},
            }
        },
        "limits": {"max_term_months": 0, "instance_types": ["m6i.2xlarge", "m7i.2xlarge", "c6i.2xlarge"]},
        "today": TODAY if today is None else today,
        **more,
    }
    return Scenario.from_yaml(yaml.safe_dump(written), folder=folder)


def study(folder, today=None, **more):
    return run(scenario(folder, today, **more), paths=10)


def test_the_answer_begins_with_today(tmp_path):
    found = study(tmp_path)
    now = found.today
    rate = 0.384  # list price of m6i.2xlarge an hour
    compute = now.cost[now.cost["charge"] == "compute"]
    assert compute["effective_cost_usd"].sum() == pytest.approx(8 * rate * 72, rel=1e-3)
    assert now.today_usd_per_month == pytest.approx(now.cost["effective_cost_usd"].sum() / found.plan.months)
    assert now.plan_usd_per_month == pytest.approx(found.plan.summary()["monthly_mean_usd"])
    assert now.saving_usd_per_month == pytest.approx(now.today_usd_per_month - now.plan_usd_per_month)
    assert now.saving_usd_per_month > 0
    (latency,) = now.latency
    assert latency.today_s == pytest.approx(0.15, rel=0.05)
    assert latency.today_within == 1
    (double,) = now.moves
    assert "beside each other for 2 weeks" in double.what
    assert double.basis == "assumed"
    assert now.payback_months == pytest.approx(now.once_usd / now.saving_usd_per_month)
    from planner.cli.answer import answer_text

    text = answer_text(found)
    assert text.index("Today and recommended") < text.index("What runs")
    assert "8 × m6i.2xlarge" in text


def test_the_same_fleet_changes_nothing_and_costs_the_same(tmp_path):
    """Law: the recommended fleet written as today's gives the plan's own bill."""
    one = {"services.web.autoscaling.policy": "static"}  # what is ready runs, as today's fleet does
    first = run(scenario(tmp_path).replace(**one), paths=10).plan.machines()
    same = {
        "services": {
            "web": {
                "machines": [
                    {"instance_type": r["instance_type"], "count": int(r["max_instances"])}
                    for r in first.to_dict("records")
                ]
            }
        }
    }
    now = run(scenario(tmp_path, same).replace(**one), paths=10).today
    assert now.changes == ()
    assert now.moves == ()
    assert now.saving_usd_per_month == pytest.approx(0, abs=1e-6)
    assert math.isinf(now.payback_months)


def test_commitments_held_pay_for_todays_machines(tmp_path):
    plain = study(tmp_path)
    held = study(tmp_path, existing=[{"commitment": RI, "quantity": 3, "end": "2027-05-01", "region": "us-east-1"}])
    by = held.today.cost.groupby("purchase_option")["quantity"].sum()
    assert by["committed"] >= 3 * 72
    assert held.today.today_usd_per_month < plain.today.today_usd_per_month
    row = held.catalog.commitments.set_index("commitment").loc[RI]
    compute = held.today.cost[held.today.cost["charge"] == "compute"]["effective_cost_usd"].sum()
    assert compute == pytest.approx((5 * 0.384 + 3 * row["rate_usd_per_h"]) * 72, rel=1e-3)


def test_a_savings_plan_pays_at_its_own_discount(tmp_path):
    name = "aws/us-east-1/m7i/instance_savings_plan/1y/none"
    newer = {"services": {"web": {"machines": [{"instance_type": "m7i.2xlarge", "count": 8}]}}}
    held = study(
        tmp_path, newer, existing=[{"commitment": name, "quantity": 1.0, "end": "2027-05-01", "region": "us-east-1"}]
    )
    row = held.catalog.commitments.set_index("commitment").loc[name]
    price = held.catalog.price("m7i.2xlarge", "us-east-1")
    covered = 1.0 / (price * (1 - row["discount_share"]))
    compute = held.today.cost[held.today.cost["charge"] == "compute"]["effective_cost_usd"].sum()
    assert compute == pytest.approx(((8 - covered) * price + 1.0) * 72, rel=1e-3)


def test_a_commitment_of_a_place_that_is_left_is_money_not_a_refusal(tmp_path):
    found = study(tmp_path, existing=[{"commitment": AWAY, "quantity": 2, "end": "2026-11-11", "region": "us-west-2"}])
    (left,) = [m for m in found.today.moves if "used by nothing" in m.what]
    from planner.catalog import Catalog

    rate = Catalog.read("aws", regions=["us-west-2"]).commitments.set_index("commitment").loc[AWAY, "rate_usd_per_h"]
    assert left.usd == pytest.approx(2 * rate * 240, rel=1e-6)


def test_a_provider_that_is_left_is_priced_with_its_data_and_contracts(tmp_path):
    """Today on AWS, the plan on Google: contracts stranded, data out, double running, pay-back."""
    today = {
        "services": {
            "web": {
                "machines": [{"instance_type": "m6i.2xlarge", "count": 30, "provider": "aws", "region": "us-east-1"}]
            }
        },
        "double_running_weeks": 1,
    }
    found = study(
        tmp_path,
        today,
        providers=["gcp"],
        regions=["us-central1"],
        limits={"max_term_months": 0, "instance_types": ["n2-standard-8", "c3-standard-8"]},
        existing=[{"commitment": RI, "quantity": 2, "end": "2026-12-01", "region": "us-east-1"}],
    )
    now = found.today
    data, stranded, double = (
        next(m for m in now.moves if word in m.what) for word in ("of data out of aws", "used by nothing", "beside")
    )
    gb = 1020 * 2**30 / 1e9
    assert data.usd == pytest.approx(0.09 * (gb - 100), rel=0.15)
    assert stranded.usd > 0
    assert double.basis == "stated"
    assert {c.what for c in now.changes} >= {"machines", "place"}
    assert now.saving_usd_per_month > 0
    assert now.payback_months == pytest.approx(
        (data.usd + stranded.usd + double.usd) / now.saving_usd_per_month, rel=1e-9
    )


def test_another_architecture_is_said_loudly(tmp_path):
    given = scenario(tmp_path).replace(
        **{
            "services.web.latency.archs": ["arm64"],
            "limits.instance_types": ["m7g.2xlarge"],
        }
    )
    from planner.cli.answer import answer_text

    found = run(given, paths=10)
    assert found.today.arm64 == ("web",)
    assert "ANOTHER ARCHITECTURE for web" in answer_text(found)


def test_zones_of_both_are_told(tmp_path):
    now = study(tmp_path).today
    (shares,) = now.zones.values()
    assert shares == (0.0, 0.0)  # four of eight machines do not bear the load, one zone bears nothing
    many = {"services": {"web": {"zones": 3, "machines": [{"instance_type": "m6i.2xlarge", "count": 30}]}}}
    assert study(tmp_path, many).today.zones["web"][0] == 1.0
    unknown = {"services": {"web": {"machines": [{"instance_type": "m6i.2xlarge", "count": 30}]}}}
    assert math.isnan(study(tmp_path, unknown).today.zones["web"][0])


def test_fleets_by_schedule_and_by_range_follow_the_clock_and_the_load():
    s = hand.scenario(horizon_h=168, start="2027-02-01")
    rates = np.tile(np.r_[np.full(12, 10.0), np.full(12, 40.0)], 7)
    load = hand.load(s, {"web": rates})
    shifts = [{"count": 6, "days": ["mon", "fri"], "from_hour": 8, "to_hour": 20}]
    counts = counted(Running(instance_type="m", count=2, schedule=shifts), load, "web", "UTC").reshape(7, 24)
    assert counts.sum(axis=1).tolist() == [2 * 12 + 6 * 12, 48, 48, 48, 96, 48, 48]
    assert counts[0, 7:9].tolist() == [2, 6]
    night = [{"count": 0, "from_hour": 22, "to_hour": 6}]
    assert counted(Running(instance_type="m", count=2, schedule=night), load, "web", "UTC")[:24].sum() == 2 * 16
    ranged = counted(Running(instance_type="m", min=3, max=8), load, "web", "UTC")
    assert set(ranged.tolist()) == {3, 8}


BILLED = (
    ("Compute", "Amazon Elastic Compute Cloud", "$0.384 per On Demand Linux m6i.2xlarge Instance Hour", "compute"),
    ("Networking", "Elastic Load Balancing", "$0.0225 per Application LoadBalancer-hour (or partial)", "load_balancer"),
    ("Networking", "Amazon Virtual Private Cloud", "$0.005 per In-use public IPv4 address per hour", "public_ipv4"),
    ("Networking", "Amazon Elastic Compute Cloud", "$0.045 per NAT Gateway Hour", "nat"),
    ("Storage", "Amazon Elastic Compute Cloud", "$0.08 per GB-month of General Purpose (gp3) storage", "block_storage"),
    (
        "Storage",
        "Amazon Simple Storage Service",
        "$0.023 per GB - first 50 TB / month of storage used",
        "object_storage",
    ),
    ("Management and Governance", "AmazonCloudWatch", "$0.50 per GB log data ingested", "logs"),
    ("Management and Governance", "AmazonCloudWatch", "$0.30 per metric-month for the first 10,000 metrics", "metrics"),
)


def focus(folder, amounts, currency="USD"):
    """A month's bill in FOCUS 1.0 with one row a charge."""
    head = "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ServiceCategory,ServiceName,ChargeDescription"
    with (folder / "focus.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(head.split(","))
        for day in (1, 30):
            for category, name, told, charge in BILLED:
                stamp = f"2026-10-{day:02} 00:00:00"
                out.writerow([amounts.get(charge, 0.0) / 2, currency, "Usage", stamp, category, name, told])


def test_a_bill_is_reproduced_charge_by_charge(tmp_path):
    """The bill is what today's fleet costs by public prices, 5 % more compute than the model knows."""
    first = study(tmp_path)
    by = first.today.cost.groupby("charge")["billed_cost_usd"].sum() / first.plan.months
    focus(tmp_path, by.to_dict() | {"compute": by["compute"] * 1.05})
    now = study(tmp_path, TODAY | {"bill": {"file": "focus.csv"}}).today
    rows = {r.charge: r for r in now.bill}
    assert rows["compute"].billed_usd == pytest.approx(rows["compute"].modeled_usd * 1.05)
    for charge in ("load_balancer", "public_ipv4", "nat", "block_storage", "logs", "metrics"):
        assert rows[charge].billed_usd == pytest.approx(rows[charge].modeled_usd, rel=1e-6), charge
    assert 0.02 < now.reproduced_share < 0.05
    by_total = study(tmp_path, TODAY | {"bill": {"services": {"web": 4000}}}).today
    assert by_total.bill[0].billed_usd == 4000


def test_a_bill_in_another_currency_is_refused_before_any_work_and_the_remedy_works(tmp_path):
    code = "JPY"
    focus(tmp_path, {"compute": 100.0}, code)
    billed = TODAY | {"bill": {"file": "focus.csv"}}
    with pytest.raises(
        ScenarioError, match=f"today.bill.file: .*in the scenario currency: {code} and exchange"
    ) as refused:
        study(tmp_path, billed)
    rate = yaml.safe_load("{" + str(refused.value).partition(" and ")[2].strip(".") + "}")
    now = study(tmp_path, billed, currency=code, **rate).today
    assert {r.charge: r.billed_usd for r in now.bill}["compute"] == pytest.approx(100 / 0.92)


@pytest.mark.parametrize(
    ("today", "message"),
    [
        ({"services": {"wep": TODAY["services"]["web"]}}, "names no service of the scenario: wep; did you mean web"),
        ({"services": {"web": {"machines": [{"instance_type": "m6i.2xlarge"}]}}}, "give either count"),
        ({"services": {"web": {"machines": []}}}, "at least 1"),
        ({"services": {"web": {"machines": [{"instance_type": "m", "min": 5, "max": 2}]}}}, "max must be ≥ min"),
        ({**TODAY, "bill": {}}, "give one of usd_per_month, services or file"),
    ],
)
def test_what_cannot_run_today_is_refused_at_once(tmp_path, today, message):
    with pytest.raises(ScenarioError, match=message):
        scenario(tmp_path, today)


def test_a_machine_that_is_not_sold_is_named_with_near_ones(tmp_path):
    today = {"services": {"web": {"machines": [{"instance_type": "m6i.3xlarge", "count": 2}]}}}
    with pytest.raises(ScenarioError, match=r"today\.services\.web\.machines\.0\.instance_type.*Did you mean m6i"):
        study(tmp_path, today)


def test_json_carries_today(tmp_path):
    given = scenario(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(given.to_yaml(), encoding="utf-8")
    done = CliRunner().invoke(main, ["plan", str(path), "--paths", "5", "--json"], catch_exceptions=False)
    now = json.loads(done.stdout)["today"]
    assert now["saving_usd_per_month"] == pytest.approx(now["today_usd_per_month"] - now["plan_usd_per_month"])
    assert now["latency"][0]["objective"] == "latency_p99_s"
