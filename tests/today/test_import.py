"""What runs in an AWS account, read over its real protocols from a moto server; commitments, which moto does not
keep, from the server beside it.
"""

import boto3
import pytest
import yaml
from click.testing import CliRunner

from planner.catalog import aws
from planner.catalog.running import account_fleet
from planner.cli import main
from planner.errors import CatalogError
from planner.scenario import Scenario
from tests.builders import clouds
from tests.builders.written import PLAN, RESERVED


@pytest.fixture
def account(monkeypatch):
    """A moto server for machines and groups, a server of our own for commitments in front of it."""
    server = clouds.Aws()
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    with clouds.moto_server() as url, clouds.aws_environment(monkeypatch, server.url):
        server.beside = f"{url}/"
        yield server
    server.close()


def named(value):
    return [{"Key": "Name", "Value": value}]


def launch(count, instance_type, name, **more):
    ec2 = boto3.Session().client("ec2", region_name="us-east-1")
    images = ec2.describe_images(Owners=["amazon"])["Images"]
    image = next(i["ImageId"] for i in images if i.get("Platform") != "windows")
    tags = [{"ResourceType": "instance", "Tags": named(name)}] if name else []
    ec2.run_instances(
        ImageId=image, MinCount=count, MaxCount=count, InstanceType=instance_type, TagSpecifications=tags, **more
    )
    return image


def scale(name, image, instance_type, least, wanted, most, zones):
    group = boto3.Session().client("autoscaling", region_name="us-east-1")
    group.create_launch_configuration(LaunchConfigurationName=name, ImageId=image, InstanceType=instance_type)
    group.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=least,
        MaxSize=most,
        DesiredCapacity=wanted,
        AvailabilityZones=zones,
    )


def test_groups_machines_and_commitments_become_a_scenario(account):
    account.held, account.held_plans = [RESERVED], [PLAN]
    image = launch(3, "m6i.2xlarge", "web")
    launch(2, "c6i.xlarge", "worker")
    launch(1, "r6i.large", "cache")
    scale("api", image, "m6i.xlarge", 2, 3, 8, ["us-east-1a", "us-east-1b"])
    scale("batch", image, "c6i.2xlarge", 4, 4, 4, ["us-east-1a"])
    scale("edge", image, "t3.large", 1, 2, 6, ["us-east-1a", "us-east-1b", "us-east-1c"])
    done = CliRunner().invoke(main, ["today", "import", "aws", "--region", "us-east-1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = yaml.safe_load(done.stdout)
    place = {"provider": "aws", "region": "us-east-1"}
    services = found["today"]["services"]
    assert {n: [dict(m) for m in s["machines"]] for n, s in services.items()} == {
        "api": [{"instance_type": "m6i.xlarge", "min": 2, "max": 8, **place}],
        "batch": [{"instance_type": "c6i.2xlarge", "count": 4, **place}],
        "cache": [{"instance_type": "r6i.large", "count": 1, **place}],
        "edge": [{"instance_type": "t3.large", "min": 1, "max": 6, **place}],
        "web": [{"instance_type": "m6i.2xlarge", "count": 3, **place}],
        "worker": [{"instance_type": "c6i.xlarge", "count": 2, **place}],
    }
    assert services["api"]["zones"] >= 2
    assert [e["commitment"] for e in found["existing"]] == [
        "aws/us-east-1/m6i.2xlarge/standard_ri/1y/none",
        "aws/us-east-1/c6i/instance_savings_plan/1y/none",
    ]
    # what is printed is what a scenario takes
    service = {
        "traffic": "h.csv",
        "latency": {"model": "queue", "service_time_s": 0.02},
        "objective": {"latency_p99_s": 0.2},
    }
    text = yaml.safe_dump(
        {
            "name": "imported",
            "start": "2027-01-01",
            "providers": ["aws"],
            "regions": ["us-east-1"],
            "services": dict.fromkeys(services, service),
            **found,
        },
        sort_keys=False,
    ).replace("*id001", "")
    if "&id" not in text:
        assert Scenario.from_yaml(text).today.services["api"].machines[0].max == 8


def test_an_empty_account_and_a_refusal_are_said(account):
    with pytest.raises(CatalogError, match=r"no machine runs there.*--region"):
        account_fleet(["eu-west-3"])
    account.throttle = 10**6
    done = CliRunner().invoke(main, ["today", "import", "aws", "--region", "us-east-1"])
    assert done.exit_code == 2
    assert "AWS refused" in done.output
