"""JSON schemas of the fields that manifests, budgets and dashboards use, rebuilt from the API references of
Kubernetes 1.33 (autoscaling/v2), KEDA 2.17, Karpenter 1.6, Cloud Billing Budgets v1 and Grafana 11.
"""

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
QUANTITY = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?m?$"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


def closed(required, **properties):
    """An object of these properties and no others."""
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


KEYED = {"type": "object", "additionalProperties": {"type": "string"}}
META = closed("name annotations", name=NAME, namespace=NAME, labels=KEYED, annotations=KEYED)
POLICY = closed(
    "type value periodSeconds",
    type={"enum": ["Pods", "Percent"]},
    value={"type": "integer", "minimum": 1},
    periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
)
RULES = closed(
    "policies",
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={"type": "array", "items": POLICY, "minItems": 1},
)
BEHAVIOR = closed("scaleUp scaleDown", scaleUp=RULES, scaleDown=RULES)
REF = closed("apiVersion kind name", apiVersion={"const": "apps/v1"}, kind={"const": "Deployment"}, name=NAME)
TARGET = closed("type averageValue", type={"const": "AverageValue"}, averageValue=QUANTITY)
PODS = closed("metric target", metric=closed("name", name={"type": "string", "minLength": 1}), target=TARGET)
HPA = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "autoscaling/v2"},
    kind={"const": "HorizontalPodAutoscaler"},
    metadata=META,
    spec=closed(
        "scaleTargetRef minReplicas maxReplicas metrics",
        scaleTargetRef=REF,
        minReplicas=COUNT,
        maxReplicas={"type": "integer", "minimum": 1},
        metrics={"type": "array", "minItems": 1, "items": closed("type pods", type={"const": "Pods"}, pods=PODS)},
        behavior=BEHAVIOR,
    ),
)
TRIGGER = closed(
    "type metadata",
    type={"const": "prometheus"},
    metricType={"enum": ["AverageValue", "Value"]},
    metadata=closed("serverAddress query threshold", serverAddress={"type": "string"}, query={"type": "string"},
                    threshold={"type": "string", "pattern": "^[0-9.]+$"}),
)  # fmt: skip
KEDA = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=META,
    spec=closed(
        "scaleTargetRef triggers",
        scaleTargetRef=REF,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        cooldownPeriod=COUNT,
        advanced=closed("horizontalPodAutoscalerConfig", horizontalPodAutoscalerConfig=closed("", behavior=BEHAVIOR)),
        triggers={"type": "array", "minItems": 1, "items": TRIGGER},
    ),
)
REQUIREMENT = closed(
    "key operator",
    key={"type": "string", "maxLength": 316},
    operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]},
    values={"type": "array", "items": {"type": "string", "maxLength": 63}},
)
LABEL = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}}
CLASS = closed("group kind name", group={"type": "string"}, kind={"type": "string"}, name=NAME)
NODE = closed("nodeClassRef requirements", nodeClassRef=CLASS, requirements={"type": "array", "items": REQUIREMENT})
NODE_POOL = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "karpenter.sh/v1"},
    kind={"const": "NodePool"},
    metadata=META,
    spec=closed(
        "template",
        weight={"type": "integer", "minimum": 1, "maximum": 100},
        limits={"type": "object", "additionalProperties": QUANTITY},
        disruption=closed(
            "consolidateAfter",
            consolidationPolicy={"enum": ["WhenEmpty", "WhenEmptyOrUnderutilized"]},
            consolidateAfter={"type": "string", "pattern": "^(([0-9]+(s|m|h))+|Never)$"},
        ),
        template=closed("spec", metadata=closed("", labels=LABEL), spec=NODE),
    ),
)
DAY = closed("year month day", year={"type": "integer"}, month={"type": "integer", "minimum": 1, "maximum": 12},
             day={"type": "integer", "minimum": 1, "maximum": 31})  # fmt: skip
GCP_BUDGET = closed(
    "displayName budgetFilter amount thresholdRules",
    displayName={"type": "string", "maxLength": 60},
    budgetFilter=closed(
        "customPeriod",
        customPeriod=closed("startDate", startDate=DAY, endDate=DAY),
        creditTypesTreatment={"enum": ["INCLUDE_ALL_CREDITS", "EXCLUDE_ALL_CREDITS", "INCLUDE_SPECIFIED_CREDITS"]},
        labels={"type": "object", "maxProperties": 1, "additionalProperties": {"type": "array", "maxItems": 1}},
    ),
    amount=closed(
        "specifiedAmount",
        specifiedAmount=closed(
            "currencyCode units nanos",
            currencyCode={"const": "USD"},
            units={"type": "string", "pattern": "^[0-9]+$"},
            nanos={"type": "integer", "minimum": 0, "maximum": 999_999_999},
        ),
    ),
    thresholdRules={
        "type": "array",
        "items": closed("thresholdPercent spendBasis", thresholdPercent={"type": "number", "minimum": 0},
                        spendBasis={"const": "CURRENT_SPEND"}),
    },
)  # fmt: skip
NUMBER = {"type": "number"}
PLACE = closed("x y w h", x=COUNT, y=COUNT, w={"type": "integer", "minimum": 1, "maximum": 24}, h=COUNT)
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos", "targets", "fieldConfig", "datasource", "description"],
    "properties": {
        "type": {"const": "timeseries"},
        "gridPos": PLACE,
        "targets": {"type": "array", "minItems": 1, "items": {"required": ["refId", "expr", "datasource"]}},
    },
}
DASHBOARD = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time"],
    "properties": {
        "uid": {"type": "string", "maxLength": 40},
        "schemaVersion": {"type": "integer"},
        "panels": {"type": "array", "minItems": 1, "items": PANEL},
    },
}
POOL = closed(
    "provider region instance_type purchase_option min_instances mean_instances max_instances",
    **{k: {"type": "string"} for k in ("provider", "region", "instance_type", "purchase_option")},
    **dict.fromkeys(("min_instances", "mean_instances", "max_instances", "max_vcpus"), NUMBER),
)
VARIABLES = {
    "type": "object",
    "required": ["scenario", "zones", "services", "commitments", "usd_by_month", "p90_usd_by_month"],
    "properties": {
        "zones": {"type": "integer", "minimum": 1},
        "services": {
            "additionalProperties": {
                "required": ["owner", "on_call", "policy", "autoscaler", "replicas", "pools"],
                "properties": {"pools": {"items": POOL}, "replicas": {"additionalProperties": NUMBER}},
            }
        },
        "usd_by_month": {"additionalProperties": NUMBER},
    },
}
