"""The autoscaler against facts of the Kubernetes project's own unit tests (folder ``autoscaling``
of the reference).
"""

import csv

import pytest

from planner.errors import PlannerError
from planner.simulator import hpa


def rows(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(text):
    return [int(v) for v in text.split("|") if v]


def pods(row):
    states, usage, request = (
        [s for s in row["pod_states"].split("|") if s],
        numbers(row["pod_usage"]),
        numbers(row["pod_request"]),
    )
    # a shorter list: the last request holds for the rest
    request += request[-1:] * (len(states) - len(request))
    # values beyond the last pod belong to no pod
    padded = [*states, *["absent"] * (len(usage) - len(states))]
    return [
        hpa.Pod(s, usage[k] if k < len(usage) else None, request[k] if k < len(request) else None)
        for k, s in enumerate(padded)
    ]


def desired(row):
    current, target, tolerance = int(row["current_replicas"]), int(row["target"]), float(row["tolerance"])
    match row["metric_kind"]:
        case "resource_utilization":
            return hpa.desired_from_utilization(current, target, pods(row), tolerance)
        case "pods_average":
            return hpa.desired_from_pods(current, target, pods(row), tolerance)
        case kind if kind.endswith("_average"):
            return hpa.desired_from_average(current, target, int(row["metric_value"]), tolerance)
        case kind if kind.endswith("_value"):
            ready = sum(p.state == "ready" for p in pods(row))
            return hpa.desired_from_value(current, target, int(row["metric_value"]), ready, tolerance)
    raise AssertionError(f"unknown metric kind {row['metric_kind']}")


def test_metric_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_metric_cases.csv"):
        try:
            got, seen = desired(row)
        except PlannerError:
            got, seen = "error", ""
        if str(got) != row["expected_replicas"] or (row["expected_metric"] and str(seen) != row["expected_metric"]):
            wrong.append((row["case"], got, row["expected_replicas"], seen, row["expected_metric"]))
    assert not wrong


def policies(text):
    return [
        hpa.Policy(kind, int(value), int(period))
        for kind, value, period in (p.split(":") for p in text.split("|") if p)
    ]


def changes(text):
    return [hpa.Change(float(age), int(n)) for age, n in (c.split(":") for c in text.split("|") if c)]


def test_behaviour_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_behaviour_cases.csv"):
        got = hpa.limited(
            int(row["current_replicas"]),
            int(row["desired_replicas"]),
            int(row["min_replicas"]),
            int(row["max_replicas"]),
            up=policies(row["up_policies"]),
            down=policies(row["down_policies"]),
            select=row["select_policy"] or "Max",
            added=changes(row["up_events"]),
            removed=changes(row["down_events"]),
        )
        if got != (int(row["expected_replicas"]), row["expected_reason"] or got[1]):
            wrong.append((row["case"], got, row["expected_replicas"], row["expected_reason"]))
    assert not wrong


def test_stabilisation_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_stabilisation_cases.csv"):
        got = hpa.stabilized(
            int(row["current_replicas"]),
            int(row["desired_replicas"]),
            changes(row["recommendations"]),
            up_window_s=float(row["up_window_s"]),
            down_window_s=float(row["down_window_s"]),
        )
        if got != int(row["expected_replicas"]):
            wrong.append((row["case"], got, row["expected_replicas"]))
    assert not wrong


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_no_usable_metric_is_said(state):
    with pytest.raises(PlannerError, match="metric"):
        hpa.desired_from_utilization(1, 50, [hpa.Pod(state, 100, 100)])
