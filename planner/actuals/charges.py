"""From the words of a provider's bill to the planner's charges, machines and categories."""

import re

from planner.charges import CHARGES

# the first that matches names the charge; words of the providers' own bills
_CHARGES = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("tax", r"^(Tax)\b"),
        ("credit", r"^(Credit|Refund|Adjustment|EdpDiscount|BundledDiscount)\b"),
        ("load_balancer", r"Load ?Balanc|LCUUsage|Application Gateway|\bLCU\b"),
        ("public_ipv4", r"public IPv4|PublicIPv4|IP Address|ElasticIP|External IP"),
        ("nat", r"NAT ?Gateway|NatGateway|Cloud NAT"),
        (
            "cross_zone",
            r"regional data transfer|between EC2 AZs|Inter[- ]?Zone|DataTransfer-Regional|availability zone",
        ),
        (
            "egress",
            r"data transfer|DataTransfer-Out|\bEgress\b|Data Transfer Out|Internet.*(Out|Egress)",
        ),
        (
            "logs",
            r"CloudWatch.*(log|PutLogEvents)|log data|Log Analytics|Cloud Logging|Log Storage cost|VendedLog",
        ),
        ("metrics", r"CloudWatch|Cloud Monitoring|Azure Monitor"),
        (
            "block_storage",
            r"\bgp[23]\b|provisioned storage|EBS|VolumeUsage|snapshot|Managed Disk|PD Capacity|\bvolume\b",
        ),
        (
            "object_storage",
            r"Simple Storage|\bbucket\b|Storage account|Cloud Storage|Blob|TimedStorage",
        ),
        (
            "other",
            r"Fargate|Container Service|Lambda|Kubernetes|Relational Database|Machine Learning",
        ),
        (
            "compute",
            r"BoxUsage|SpotUsage|Elastic Compute Cloud|Compute Engine|Virtual Machine|\bCompute\b|Savings ?Plan"
            r"|Instance (Core|Ram)",
        ),
    )
)
# the planner's own export of a plan says which charge it forecasts
_TITLES = {charge.title: name for name, charge in CHARGES.items()}
_FORECAST = re.compile(f"Forecast: ({'|'.join(sorted(map(re.escape, _TITLES), key=len, reverse=True))}), ")
_MACHINE = re.compile(
    r"\b([a-z]+\d[a-z0-9-]*\.(?:\d+xlarge|metal(?:-\d+xl)?|[a-z]?large|xlarge|medium|small|micro|nano)"
    r"|(?:[a-z]\d[a-z]?|t2[ad])-(?:[a-z]+-?)*\d+[a-z]?"
    r"|Standard_[A-Za-z]+\d+[A-Za-z0-9_-]*)(?![\w.])"
)


def charge_of(words: str) -> str:
    """The planner's charge of a bill's row, from the words that describe it; ``other`` if none
    fits.

    >>> charge_of("Usage Networking Elastic Load Balancing $0.0225 per Application LoadBalancer-hour")
    'load_balancer'
    >>> charge_of("Usage Observability Logs Forecast: Logs, logs in us-east-1")
    'logs'
    """
    if own := _FORECAST.search(words):
        return _TITLES[own[1]]
    return next((name for name, pattern in _CHARGES if pattern.search(words)), "other")


def machine_of(words: str) -> str:
    """The instance type that words of a bill name; empty if none.

    AWS writes it into usage types and descriptions, Google Cloud into the label ``machine_spec``,
    Azure into ``AdditionalInfo``.

    >>> [machine_of(w) for w in ("USE1-BoxUsage:m6i.2xlarge", "n4a-highcpu-8", "NAT gateway")]
    ['m6i.2xlarge', 'n4a-highcpu-8', '']
    """
    found = _MACHINE.search(words)
    return found[1] if found else ""
