"""What the files assume of the place they are used in: metric names, labels and objects, said once.

Each is a default that the command renames with ``--name KEY=VALUE``; every file that uses
names says which they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from planner.errors import PlannerError

MEANING = {
    "requests": "counter of requests as they come to the door (ingress or gateway), with service_label",
    "latency": "histogram of the whole answer [s], with service_label; needs a bucket at each limit",
    "ttft": "histogram of the time to the first token [s] (vLLM's name); needs a bucket at each limit",
    "tpot": "histogram of a request's time for each further token [s] (vLLM's name); as above",
    "service_label": "label of these four that names the service of the scenario",
    "replicas_ready": "gauge of ready replicas (kube-state-metrics)",
    "deployment_label": "label of replicas_ready; Deployments are named as the services",
    "replicas_wanted": "gauge of replicas the autoscaler asks for (kube-state-metrics)",
    "autoscaler_label": "label of replicas_wanted; KEDA prefixes its autoscalers with keda-hpa-",
    "spend": "gauge of the bill of the calendar month so far [USD], amortized, of what the plan pays for",
    "commitment_use": "gauge of the used share of a commitment (0 to 1), with the label commitment",
    "requests_per_replica": "metric of pods that the autoscaler reads: requests/s of one pod",
    "prometheus": "address of Prometheus as the cluster sees it",
    "namespace": "Kubernetes namespace of the Deployments",
    "node_class": "name of the node class that Karpenter's pools refer to",
    "load_balancer": "CloudWatch dimension LoadBalancer; {service} stands for the service",
    "target_group": "CloudWatch dimension TargetGroup; {service} stands for the service",
    "llm_namespace": "CloudWatch namespace of ttft and tpot, with the dimension Service",
    "cluster": "CloudWatch dimension ClusterName of Container Insights",
    "sns_topic": "topic that CloudWatch alarms and AWS budgets tell; empty: nobody is told",
    "owner_tag": "cost allocation tag (AWS) or label (Google Cloud) that holds the owning team",
    "price_age_days": "oldest a typical price may be before the plan is to be made anew [days]",
}


@dataclass(frozen=True)
class Names:
    """Names and limits that no plan can know; :data:`MEANING` says what each stands for."""

    requests: str = "http_requests_total"
    latency: str = "http_request_duration_seconds"
    ttft: str = "vllm:time_to_first_token_seconds"
    tpot: str = "vllm:request_time_per_output_token_seconds"
    service_label: str = "service"
    replicas_ready: str = "kube_deployment_status_replicas_ready"
    deployment_label: str = "deployment"
    replicas_wanted: str = "kube_horizontalpodautoscaler_status_desired_replicas"
    autoscaler_label: str = "horizontalpodautoscaler"
    spend: str = "cloud_cost_month_to_date_usd"
    commitment_use: str = "cloud_commitment_utilization_share"
    requests_per_replica: str = "http_requests_per_second"
    prometheus: str = "http://prometheus-server.monitoring.svc"
    namespace: str = "default"
    node_class: str = "default"
    load_balancer: str = "app/{service}/0000000000000000"
    target_group: str = "targetgroup/{service}/0000000000000000"
    llm_namespace: str = "vllm"
    cluster: str = "production"
    sns_topic: str = "arn:aws:sns:us-east-1:000000000000:on-call"
    owner_tag: str = "owner"
    price_age_days: float = 180.0

    def of(self, metric: str) -> str:
        """Histogram of a metric of an objective: latency, ttft or tpot."""
        return {"latency": self.latency, "ttft": self.ttft, "tpot": self.tpot}[metric]

    def renamed(self, pairs: Sequence[str]) -> "Names":
        """With texts ``KEY=VALUE`` applied.  Raises :class:`PlannerError` for a key that is none, or
        a number that is none.
        """
        known = {f.name: f.type for f in fields(self)}
        changes: dict[str, str | float] = {}
        for pair in pairs:
            key, sign, value = pair.partition("=")
            if not sign or key not in known:
                remedy = f"Write KEY=VALUE with a key of {', '.join(known)}"
                raise PlannerError("this names nothing of the files", where="--name", got=pair, remedy=remedy)
            changes[key] = _days(value) if known[key] in (float, "float") else value
        return replace(self, **changes)  # type: ignore[arg-type]

    def told(self, *keys: str) -> str:
        """Comment lines on the names a file uses."""
        rows = [f"#   {key} = {getattr(self, key)}: {MEANING[key]}" for key in keys]
        return "\n".join(["# Names assumed; rename with planner operate --name KEY=VALUE:", *rows]) + "\n"


def slug(text: str) -> str:
    """A name as Kubernetes objects bear it (RFC 1123: lower case, digits, hyphens, at most 63).

    >>> slug("Web shop/eu")
    'web-shop-eu'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-")


def _days(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e5:
        raise PlannerError("a number of days above 0 is asked", where="--name price_age_days", got=text)
    return found
