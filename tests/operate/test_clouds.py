"""Alarms and budgets as the clouds take them: created on a moto server, and read back."""

import boto3
import pytest
from jsonschema import Draft202012Validator

from planner.operate import Names, texts
from tests.builders import clouds
from tests.operate import reading, shapes

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}


@pytest.fixture(scope="module", name="aws")
def a_moto_server():
    with clouds.moto_server() as url:
        yield lambda name: boto3.client(name, endpoint_url=url, **KEYS)


def test_alarms_stand_in_cloudwatch_with_the_plans_figures(files, aws):
    found, client = reading.figures(files), aws("cloudwatch")
    written = reading.loaded(files, "cloudwatch-alarms.json")
    for alarm in written:
        client.put_metric_alarm(**alarm)
    stands = {a["AlarmName"]: a for a in client.describe_alarms()["MetricAlarms"]}
    assert set(stands) == {a["AlarmName"] for a in written}
    for alarm in written:
        tags = {t["Key"]: t["Value"] for t in alarm["Tags"]}
        figure, there = tags["figure"], stands[alarm["AlarmName"]]
        assert figure in alarm["AlarmDescription"]
        if there["Threshold"] != 1.0:
            assert there["Threshold"] == pytest.approx(found[figure], rel=1e-9)
        for metric in alarm.get("Metrics", []):
            values = {found[n] for n in found if n.endswith((".p90_usd", ".peak_rps"))}
            for number in reading.numbers(metric.get("Expression", "")):
                known = number in reading.CONSTANTS or 202600 < number < 202800
                assert known or any(number == pytest.approx(v, rel=1e-9) for v in values)
    assert {"web saturation", "web latency_p99_s", "web load above plan", "web replicas at maximum"} <= {
        n.partition(": ")[2] for n in stands
    }


def test_budgets_of_aws_are_taken_and_hold_each_months_p90(files, aws):
    found, client = reading.figures(files), aws("budgets")
    written = reading.loaded(files, "aws-budgets.json")
    for body in written:
        client.create_budget(AccountId="123456789012", **body)
    stands = client.describe_budgets(AccountId="123456789012")["Budgets"]
    assert {b["BudgetName"] for b in stands} == {b["Budget"]["BudgetName"] for b in written}
    plan = next(b["Budget"] for b in written if b["Budget"]["BudgetName"].endswith(" plan"))
    limits = [float(v["Amount"]) for v in plan["PlannedBudgetLimits"].values()]
    assert limits == [
        pytest.approx(v, rel=1e-9) for n, v in found.items() if n[:6] == "month." and n[-4:] == "_usd" and "p90" in n
    ]
    owner = next(b["Budget"] for b in written if b["Budget"]["BudgetName"].endswith(" shop"))
    assert owner["CostFilters"] == {"TagKeyValue": ["user:owner$shop"]}
    assert sum(float(v["Amount"]) for v in owner["PlannedBudgetLimits"].values()) < sum(limits)


def test_who_is_told_is_the_topic_of_the_names_or_nobody(study, aws):
    topic = "arn:aws:sns:us-east-1:123456789012:oncall"
    silent = texts(study, Names().renamed(["sns_topic="]))
    assert not any(a["ActionsEnabled"] for a in reading.loaded(silent, "cloudwatch-alarms.json"))
    assert not any(b["NotificationsWithSubscribers"] for b in reading.loaded(silent, "aws-budgets.json"))
    files = texts(study, Names().renamed([f"sns_topic={topic}"]))
    alarms = reading.loaded(files, "cloudwatch-alarms.json")
    assert all(a["AlarmActions"] == [topic] and a["ActionsEnabled"] for a in alarms)
    body = reading.loaded(files, "aws-budgets.json")[0]
    body["Budget"]["BudgetName"] = "told"
    aws("budgets").create_budget(AccountId="123456789012", **body)
    assert body["NotificationsWithSubscribers"][0]["Subscribers"] == [{"SubscriptionType": "SNS", "Address": topic}]


def test_budgets_of_google_hold_each_months_p90_to_the_cent(study):
    from planner.operate.budgets import gcp_budgets
    from planner.operate.figures import figures_of

    names = Names()
    figures = figures_of(study, names)
    for budget in gcp_budgets(study, figures, names):
        assert [e.message for e in Draft202012Validator(shapes.GCP_BUDGET).iter_errors(budget)] == []
        owner, month = budget["displayName"].split()[-2:]
        amount = budget["amount"]["specifiedAmount"]
        name = f"month.{month}.p90_usd" if owner == "plan" else f"owner.{owner}.{month}.p90_usd"
        value = int(amount["units"]) + amount["nanos"] / 1e9
        assert value == pytest.approx(figures[name].value, abs=1e-8)
        assert budget["thresholdRules"][0]["thresholdPercent"] == figures[f"month.{month}.expected_share"].value
