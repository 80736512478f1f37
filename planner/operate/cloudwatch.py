"""CloudWatch alarms as arguments of ``put_metric_alarm``, for services that run on AWS.

CloudWatch knows no recorded series, but its metric math knows months: the load and the bill are
compared with the figure of their month, and outside the horizon there is no data.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from planner.operate.figures import Figure, Figures
from planner.operate.names import Names

if TYPE_CHECKING:
    from planner.study import Study

Alarm = dict[str, Any]
Dimensions = list[dict[str, str]]


def alarms(study: "Study", figures: Figures, names: Names) -> list[Alarm]:
    """Every alarm of the plan; none where nothing of it runs on AWS.

    Each is the whole set of arguments of one call, ``client.put_metric_alarm(**alarm)``; its tags name
    the figure of its threshold and whom to call.  Missing data is no breach: an objective without
    requests is not broken.
    """
    here = [n for n in figures.scaling if _on_aws(study, n)]
    found = [alarm for n in here for alarm in _service(study, n, figures, names)]
    return [*found, *([_spend(study, figures, names)] if here else [])]


def _on_aws(study: "Study", service: str) -> bool:
    rows = study.plan.schedule
    return bool(((rows["service"] == service) & (rows["provider"] == "aws")).any())


def _service(study: "Study", service: str, figures: Figures, names: Names) -> Iterator[Alarm]:
    door = [_dimension("LoadBalancer", names.load_balancer.format(service=service))]
    group = [_dimension("TargetGroup", names.target_group.format(service=service))]
    full, most = figures[f"{service}.saturated_rps"], figures[f"{service}.max_replicas"]
    each = _metric("AWS/ApplicationELB", "RequestCountPerTarget", [*group, *door], "Sum")
    yield _alarm(study, f"{service} saturation", full, service, names) | {
        "Metrics": [*_math("m1 / PERIOD(m1)", each)],
        "Threshold": full.value,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 10,
    }
    came = _metric("AWS/ApplicationELB", "RequestCount", door, "Sum")
    peaks = [f for m in figures.months if (f := figures.numbers.get(f"{service}.{m}.peak_rps"))]
    yield _above_month(study, f"{service} load above plan", peaks, "m1 / PERIOD(m1)", came, service, names)
    for bound, metric, q, _ in study.scenario.services[service].objective.bounds():
        yield _late(study, service, bound, metric, q, figures, names)
    where = [_dimension("ClusterName", names.cluster), _dimension("Namespace", names.namespace)]
    yield _alarm(study, f"{service} replicas at maximum", most, service, names) | {
        "Namespace": "ContainerInsights",
        "MetricName": "service_number_of_running_pods",
        "Dimensions": [*where, _dimension("Service", service)],
        "Statistic": "Maximum",
        "Period": 60,
        "Threshold": most.value,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 15,
    }


def _late(study: "Study", service: str, bound: str, metric: str, q: float, figures: Figures, names: Names) -> Alarm:
    """The percentile of an objective over its limit."""
    limit = figures[f"{service}.{bound}.limit_s"]
    whole = metric == "latency"
    door = _dimension("LoadBalancer", names.load_balancer.format(service=service))
    return _alarm(study, f"{service} {bound}", limit, service, names) | {
        "Namespace": "AWS/ApplicationELB" if whole else names.llm_namespace,
        "MetricName": "TargetResponseTime" if whole else f"{metric}_seconds",
        "Dimensions": [door if whole else _dimension("Service", service)],
        "ExtendedStatistic": f"p{100 * q:g}",
        "Period": 60,
        "Threshold": limit.value,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 5,
    }


def _spend(study: "Study", figures: Figures, names: Names) -> Alarm:
    """The bill of the month so far over the month's P90; AWS publishes it in us-east-1."""
    high = [f for m in figures.months if (f := figures.numbers.get(f"month.{m}.p90_usd"))]
    bill = _metric("AWS/Billing", "EstimatedCharges", [_dimension("Currency", "USD")], "Maximum", 21600)
    return _above_month(study, "month above its P90", high, "m1", bill, "", names)


def _above_month(
    study: "Study", what: str, figures: Sequence[Figure], value: str, metric: Alarm, service: str, names: Names
) -> Alarm:
    """A value over the figure of its month, as a ratio above 1."""
    months = [f"IF(YEAR(m1) * 100 + MONTH(m1) == {_number(f)}, {f.text}, 0)" for f in figures]
    expression = f"({value}) / ({' + '.join(months)})"
    return _alarm(study, what, figures[0], service, names, all_of=figures) | {
        "Metrics": [*_math(expression, metric)],
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1 if metric["MetricStat"]["Period"] > 60 else 60,
    }


def _number(figure: Figure) -> str:
    """Year and month of a figure as one number: the month of its name."""
    month = next(part for part in figure.name.split(".") if len(part) == 7 and part[4] == "-")
    return month.replace("-", "")


def _math(expression: str, metric: Alarm) -> Iterator[Alarm]:
    yield {"Id": "e1", "Expression": expression, "Label": "of the plan", "ReturnData": True}
    yield metric


def _metric(namespace: str, name: str, dimensions: Dimensions, stat: str, period: int = 60) -> Alarm:
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"Id": "m1", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, "ReturnData": False}


def _dimension(name: str, value: str) -> dict[str, str]:
    return {"Name": name, "Value": value}


def _alarm(
    study: "Study", what: str, figure: Figure, service: str, names: Names, all_of: Sequence[Figure] = ()
) -> Alarm:
    """Name, words and tags of an alarm: the figure it was derived from, and whom to call."""
    owner = study.scenario.services[service].owner if service else None
    trace = "; ".join(f"{k} {v}" for k, v in figure.trace().items())
    rest = f" and {len(all_of) - 1} more months, each in figures.csv" if len(all_of) > 1 else ""
    tags = {"scenario": study.scenario.name, "figure": figure.name, names.owner_tag: owner.team if owner else "nobody"}
    tags |= {"on_call": owner.on_call} if owner and owner.on_call else {}
    return {
        "AlarmName": f"{study.scenario.name}: {what}",
        "AlarmDescription": f"{trace}{rest}"[:1024],
        "ActionsEnabled": bool(names.sns_topic),
        "AlarmActions": [names.sns_topic] if names.sns_topic else [],
        "TreatMissingData": "notBreaching",
        "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
    }
