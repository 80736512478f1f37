"""What an account has and may have: from files, and asked of AWS over its real protocols on the
loopback interface.
"""

from datetime import date

import pytest
import yaml
from click.testing import CliRunner

from planner.catalog import Catalog, aws
from planner.catalog.holdings import (
    account_holdings,
    account_quota,
    instance_quota,
    read_holdings,
    spot_scores,
    with_price_list,
)
from planner.cli import main
from planner.errors import CatalogError
from tests.builders import clouds


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.read("aws", regions=["us-east-1"])


@pytest.fixture
def cloud(monkeypatch):
    server = clouds.Aws()
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    with clouds.aws_environment(monkeypatch, server.url):
        yield server
    server.close()


def reserved(**changes):
    return {
        "ReservedInstancesId": "r-1",
        "InstanceType": "m6a.xlarge",
        "InstanceCount": 5,
        "State": "active",
        "ProductDescription": "Linux/UNIX",
        "InstanceTenancy": "default",
        "OfferingClass": "standard",
        "OfferingType": "No Upfront",
        "Duration": 31536000,
        "End": "2027-03-01T00:00:00.000Z",
        **changes,
    }


def plan(**changes):
    return {
        "savingsPlanType": "EC2Instance",
        "state": "active",
        "commitment": "2.50",
        "currency": "USD",
        "paymentOption": "All Upfront",
        "termDurationInSeconds": 94608000,
        "region": "us-east-1",
        "ec2InstanceFamily": "m6a",
        "end": "2028-06-30T12:00:00.000Z",
        **changes,
    }


def test_commitments_of_an_account(cloud, catalog):
    cloud.held = [
        reserved(),
        reserved(ProductDescription="Windows"),
        reserved(State="retired"),
        reserved(InstanceTenancy="dedicated"),
        reserved(Duration=94608000, OfferingType="Partial Upfront", InstanceCount=2),
    ]
    cloud.held_plans = [plan(), plan(savingsPlanType="Compute"), plan(state="queued")]
    found = account_holdings(["us-east-1"])
    assert [(e.commitment, e.quantity, e.end) for e in found.existing] == [
        ("aws/us-east-1/m6a.xlarge/standard_ri/1y/none", 5, date(2027, 3, 1)),
        ("aws/us-east-1/m6a.xlarge/standard_ri/3y/partial", 2, date(2027, 3, 1)),
        ("aws/us-east-1/m6a/instance_savings_plan/3y/all", 2.5, date(2028, 6, 30)),
    ]
    assert {e.commitment for e in found.existing[:2]} <= set(catalog.commitments["commitment"])
    assert len(found.notes) == 3
    assert any("spans families" in n for n in found.notes)


def test_the_command_line_writes_what_a_scenario_takes(cloud, tmp_path):
    cloud.held, cloud.quotas = [reserved()], [{**q, "ServiceCode": "ec2"} for q in QUOTAS]
    asked = CliRunner().invoke(main, ["catalog", "existing", "--region", "us-east-1"])
    assert yaml.safe_load(asked.stdout)["existing"] == [
        {
            "commitment": "aws/us-east-1/m6a.xlarge/standard_ri/1y/none",
            "quantity": 5.0,
            "end": "2027-03-01",
            "region": "us-east-1",
        }
    ]
    may = CliRunner().invoke(main, ["catalog", "quota", "--region", "us-east-1", "m6a.xlarge", "g6.xlarge"])
    assert yaml.safe_load(may.stdout) == {"limits": {"quota": {"m6a.xlarge": 16, "g6.xlarge": 2}}}


def test_spot_placement_scores_are_asked_by_zone(cloud):
    cloud.scores = [
        {"Region": "us-east-1", "AvailabilityZoneId": f"use1-az{k}", "Score": s} for k, s in ((1, 3), (2, 9))
    ]
    assert spot_scores(["us-east-1"], ["p5.48xlarge"], 4).to_numpy().tolist() == [
        ["us-east-1", "use1-az2", 9],
        ["us-east-1", "use1-az1", 3],
    ]
    shown = CliRunner().invoke(main, ["catalog", "spot-score", "--region", "us-east-1", "p5.48xlarge"])
    assert "use1-az2" in shown.output


def test_a_refused_question_is_one_screen(cloud):
    cloud.throttle = 10**6
    with pytest.raises(CatalogError, match="AWS refused"):
        account_holdings(["us-east-1"])


QUOTAS = [
    {"QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "Value": 64.0},
    {"QuotaName": "Running On-Demand G and VT instances", "Value": 8.0},
    {"QuotaName": "Running On-Demand P instances", "Value": 0.0},
    {"QuotaName": "All Standard Spot Instance Requests", "Value": 999.0},
]


def test_quotas_count_cores_of_a_class(cloud, catalog):
    cloud.quotas = [{**q, "ServiceCode": "ec2"} for q in QUOTAS]
    found = account_quota("us-east-1", catalog.instances)
    assert (found["m6a.xlarge"], found["t3.large"], found["g6.xlarge"], found["g6.12xlarge"], found["p5.48xlarge"]) == (
        16,
        32,
        2,
        0,
        0,
    )
    assert "inf2.xlarge" not in found  # its class is not listed: unknown, not zero
    assert instance_quota([], catalog.instances) == {}


def test_holdings_from_a_file(tmp_path):
    path = tmp_path / "held.csv"
    path.write_text(
        "commitment,quantity,end,region\n"
        "aws/us-east-1/m6a.xlarge/standard_ri/1y/none,5,2027-03-01,us-east-1\nflex,1.5,2027-04-01,\n"
    )
    found = read_holdings(path)
    assert [(e.commitment, e.quantity, e.end, e.region) for e in found] == [
        ("aws/us-east-1/m6a.xlarge/standard_ri/1y/none", 5, date(2027, 3, 1), "us-east-1"),
        ("flex", 1.5, date(2027, 4, 1), None),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("commitment,quantity\na,1\n", "lacks columns"),
        ("commitment,quantity,end\na,-1,2027-01-01\n", "row 2"),
        ("commitment,quantity,end\na,1,someday\n", "end"),
        ("commitment,quantity,end\na,,2027-01-01\n", "quantity"),
    ],
)
def test_a_bad_holdings_file_names_the_row(tmp_path, text, words):
    path = tmp_path / "held.csv"
    path.write_text(text)
    with pytest.raises(CatalogError, match=words):
        read_holdings(path)
    with pytest.raises(CatalogError, match="cannot be read"):
        read_holdings(tmp_path / "absent.csv")


def test_negotiated_prices_replace_list_prices(tmp_path, catalog):
    path = tmp_path / "deal.csv"
    path.write_text(
        "provider,region,instance_type,purchase_option,rate_usd_per_h\n"
        "aws,us-east-1,m6a.xlarge,on_demand,0.15\naws,us-east-1,c8g.large,,0.07\n"
    )
    deal = with_price_list(catalog, path)
    assert deal.price("m6a.xlarge", "us-east-1") == 0.15
    assert deal.price("c8g.large", "us-east-1") == 0.07
    assert deal.rate("m6a.xlarge", "us-east-1")["basis"] == "negotiated"
    assert deal.price("m6a.2xlarge", "us-east-1") == catalog.price("m6a.2xlarge", "us-east-1")
    assert catalog.price("m6a.xlarge", "us-east-1") == 0.1728  # the catalog itself is not touched


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("aws,us-east-1,m6a.xlage,,0.1", "Did you mean m6a"),
        ("aws,us-east-1,m6a.xlarge,,0", "above zero"),
        ("aws,us-east-1,m6a.xlarge,,cheap", "not a price"),
        ("aws,us-east-1,m6a.xlarge,,-1", "number ≥ 0"),
    ],
)
def test_a_bad_price_list_names_the_row(tmp_path, catalog, row, words):
    path = tmp_path / "deal.csv"
    path.write_text(f"provider,region,instance_type,purchase_option,rate_usd_per_h\n{row}\n")
    with pytest.raises(CatalogError, match=words) as caught:
        with_price_list(catalog, path)
    assert "row 2" in caught.value.where


def test_every_permission_is_an_operation_of_its_service():
    from botocore.session import get_session

    session, named = get_session(), {"servicequotas": "service-quotas"}
    for permission in aws.PERMISSIONS:
        service, operation = permission.split(":")
        assert operation in session.get_service_model(named.get(service, service)).operation_names, permission
