"""Kubernetes manifests of what the replay plays: HorizontalPodAutoscaler (autoscaling/v2), KEDA's
ScaledObject, and a Karpenter NodePool (v1) for each pool of machines.

A replica is what one unit of the replay is: a pod as large as the smallest machine of the service;
larger machines hold several.  Every object names its figures in annotations.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from planner.operate.figures import Figure, Figures, pool_name
from planner.operate.lines import quoted
from planner.operate.names import Names, slug
from planner.operate.scaling import Scaling

if TYPE_CHECKING:
    from planner.study import Study

Object = dict[str, Any]
# group and kind of Karpenter's node classes, by provider
NODE_CLASSES = {
    "aws": ("karpenter.k8s.aws", "EC2NodeClass"),
    "azure": ("karpenter.azure.com", "AKSNodeClass"),
    "gcp": ("karpenter.k8s.gcp", "GCENodeClass"),
}


def autoscalers(figures: Figures, names: Names) -> list[Object]:
    """The autoscaler of each service that follows its load: the one its replay is played with.

    Target tracking is written as a HorizontalPodAutoscaler with the same target; services that are
    scheduled or static have none.
    """
    following = [s for s in figures.scaling.values() if s.policy == "follow"]
    return [_keda(s, figures, names) if s.autoscaler == "keda" else _hpa(s, figures, names) for s in following]


def _meta(name: str, namespace: str | None, traced: list[Figure], labels: dict[str, str] | None = None) -> Object:
    notes = {f"planner/{_key(f)}": f"{f.text} {f.unit}; {f.when}; {f.source}" for f in traced}
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, **({"labels": labels} if labels else {}), "annotations": notes}


def _key(figure: Figure) -> str:
    """The last word of a figure as the name of an annotation."""
    return figure.name.rpartition(".")[2]


def _traced(service: str, figures: Figures) -> list[Figure]:
    keys = ("min_replicas", "max_replicas", "target_rps", "target_share", "scale_up_s", "scale_down_s")
    return [figures[f"{service}.{k}"] for k in keys]


def _behavior(s: Scaling, figures: Figures) -> Object:
    """Windows and rate policies as the replay has them."""
    rules: Object = {}
    for way, policies, word in (("scaleUp", s.up, "up"), ("scaleDown", s.down, "down")):
        window = figures[f"{s.service}.scale_{word}_s"].value
        rules[way] = {"stabilizationWindowSeconds": round(window), "selectPolicy": "Max", "policies": []}
        for percent, value, period in policies:
            kind = "Percent" if percent else "Pods"
            rules[way]["policies"].append({"type": kind, "value": round(value), "periodSeconds": round(period)})
    return rules


def _hpa(s: Scaling, figures: Figures, names: Names) -> Object:
    target = {"type": "AverageValue", "averageValue": milli(figures[f"{s.service}.target_rps"].value)}
    metric = {"type": "Pods", "pods": {"metric": {"name": names.requests_per_replica}, "target": target}}
    name = slug(s.service)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(name, names.namespace, _traced(s.service, figures)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": round(figures[f"{s.service}.min_replicas"].value),
            "maxReplicas": round(figures[f"{s.service}.max_replicas"].value),
            "metrics": [metric],
            "behavior": _behavior(s, figures),
        },
    }


def milli(value: float) -> str:
    """A quantity of Kubernetes, which holds thousandths and no finer.

    >>> milli(18.678334)
    '18678m'
    """
    return f"{round(value * 1000)}m"


def _keda(s: Scaling, figures: Figures, names: Names) -> Object:
    target, name = figures[f"{s.service}.target_rps"], slug(s.service)
    query = f"sum(rate({names.requests}{{{names.service_label}={quoted(s.service)}}}[1m]))"
    down = round(figures[f"{s.service}.scale_down_s"].value)
    trigger = {"serverAddress": names.prometheus, "query": query, "threshold": target.text}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _meta(name, names.namespace, _traced(s.service, figures)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicaCount": round(figures[f"{s.service}.min_replicas"].value),
            "maxReplicaCount": round(figures[f"{s.service}.max_replicas"].value),
            "cooldownPeriod": down,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(s, figures)}},
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
        },
    }


def node_pools(study: "Study", figures: Figures, names: Names) -> Iterator[Object]:
    """A NodePool for each pool that runs, on demand or spot, with the plan's most machines of it as
    its limit; those that run the most hours are preferred.
    """
    machines = study.plan.machines()
    machines = machines[machines["max_instances"] > 0].sort_values("mean_instances", ascending=False, kind="stable")
    rank: dict[str, int] = {}
    for row in machines.to_dict("records"):
        service = str(row["service"])
        rank[service] = rank.get(service, 0) + 1
        if row["provider"] in NODE_CLASSES:
            yield _node_pool({str(k): v for k, v in row.items()}, rank[service], study, figures, names)


def _node_pool(row: Object, rank: int, study: "Study", figures: Figures, names: Names) -> Object:
    service, at = str(row["service"]), pool_name(row)
    group, kind = NODE_CLASSES[row["provider"]]
    option = str(row["purchase_option"]).replace("_", "-")
    wanted = {"node.kubernetes.io/instance-type": row["instance_type"], "karpenter.sh/capacity-type": option}
    wanted["topology.kubernetes.io/region"] = row["region"]
    most = figures[f"{at}.max_instances"]
    cpu = figures.numbers.get(f"{at}.max_vcpus")
    down = figures.numbers.get(f"{service}.scale_down_s")
    owner = study.scenario.services[service].owner
    label = {"planner/service": slug(service), **({"planner/team": slug(owner.team)} if owner else {})}
    calm: Object = {"consolidationPolicy": "WhenEmptyOrUnderutilized"}
    calm["consolidateAfter"] = f"{round(down.value)}s" if down else "Never"
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": _meta(slug(f"{service}-{row['instance_type']}-{option}"), None, [most, *([cpu] if cpu else [])]),
        "spec": {
            "weight": max(1, 101 - rank),
            "limits": {"cpu": cpu.text} if cpu else {},
            "disruption": calm,
            "template": {
                "metadata": {"labels": label},
                "spec": {
                    "nodeClassRef": {"group": group, "kind": kind, "name": names.node_class},
                    "requirements": [{"key": k, "operator": "In", "values": [v]} for k, v in wanted.items()],
                },
            },
        },
    }
