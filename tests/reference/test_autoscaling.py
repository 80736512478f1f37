"""The autoscaler that drives the replay against facts of the Kubernetes project's own unit tests
(folder ``autoscaling`` of the reference).
"""

import csv

from planner.simulator.records import Seen
from tests.builders import autoscaler


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
        autoscaler.Pod(s, usage[k] if k < len(usage) else None, request[k] if k < len(request) else None)
        for k, s in enumerate(padded)
    ]


def seen(row):
    """What the look of a row finds."""
    kind = row["metric_kind"]
    if kind in autoscaler.METRICS:
        return autoscaler.counted(pods(row), cpu=kind == "resource_utilization")
    ready = sum(p.state == "ready" for p in pods(row))
    return Seen(float(ready), 1.0, float(row["metric_value"]), 0.0, 0.0, 0.0, 0.0, 0.0)


def test_metric_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_metric_cases.csv"):
        current, target, tolerance = int(row["current_replicas"]), int(row["target"]), float(row["tolerance"])
        got, value = autoscaler.asked(row["metric_kind"], current, target, tolerance, seen(row))
        if str(got) != row["expected_replicas"] or (row["expected_metric"] and str(value) != row["expected_metric"]):
            wrong.append((row["case"], got, row["expected_replicas"], value, row["expected_metric"]))
    assert not wrong


def changes(text, sign=1):
    return [(float(age), sign * int(n)) for age, n in (c.split(":") for c in text.split("|") if c)]


def test_behaviour_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_behaviour_cases.csv"):
        rule = autoscaler.rule(
            least=int(row["min_replicas"]),
            most=int(row["max_replicas"]),
            up=row["up_policies"],
            down=row["down_policies"],
            select=row["select_policy"] or "Max",
        )
        got, reason = autoscaler.settled(
            int(row["current_replicas"]),
            int(row["desired_replicas"]),
            rule,
            changes=[*changes(row["up_events"]), *changes(row["down_events"], -1)],
        )
        if (got, reason) != (int(row["expected_replicas"]), row["expected_reason"] or reason):
            wrong.append((row["case"], got, row["expected_replicas"], reason, row["expected_reason"]))
    assert not wrong


def test_stabilisation_cases(reference):
    wrong = []
    for row in rows(reference("autoscaling"), "hpa_stabilisation_cases.csv"):
        rule = autoscaler.rule(up_window_s=float(row["up_window_s"]), down_window_s=float(row["down_window_s"]))
        current, desired = int(row["current_replicas"]), int(row["desired_replicas"])
        got, _ = autoscaler.settled(current, desired, rule, recommendations=changes(row["recommendations"]))
        if got != int(row["expected_replicas"]):
            wrong.append((row["case"], got, row["expected_replicas"]))
    assert not wrong
