"""What a service uses that states nothing: disks, logs, metrics, gateways and addresses are on
every bill, so unknown is not zero.

Each answer is (value, basis): "measured" if the scenario says it, else "assumed".  A stated 0
switches the need off.
"""

from pathlib import Path

from planner.catalog import provider_of
from planner.latency import LATENCY_MODELS, PlainService
from planner.scenario import Scenario, Service, Storage

# one access-log line a request: 75 GB for 105 million requests (cloudcostkit.com, access log
# calculator, 2026)
LOG_GIB_PER_REQUEST = 7.0e-7
# what EC2 detailed monitoring charges for an instance: 7 metrics (Amazon CloudWatch pricing, 2026)
METRICS_PER_INSTANCE = 7.0
# system disk of a node: default of EKS managed node groups (Amazon EKS API, 2025)
SYSTEM_GIB = 20.0
# driver and server image of an accelerator service beside its system, unpacked
SERVER_IMAGE_GIB = 20.0
# versions of a model kept in object storage: the one that serves and the one to go back to
VERSIONS = 2.0

Value = tuple[float, str]


def log_gib(storage: Storage) -> Value:
    """Log volume of one request [GiB]."""
    return _stated(storage.log_gib_per_request, LOG_GIB_PER_REQUEST)


def artifact_gib(service: Service, folder: Path | None) -> Value:
    """Size of one version of the model that a service serves [GiB]: its weights in the widest of
    its precisions, or 0; files it names are looked for in the scenario's ``folder``.
    """
    stated, latency = service.storage.artifact_gib, service.latency
    serves = LATENCY_MODELS.get(latency.model, PlainService)
    known = serves.artifact_gib(latency.parameters, folder) if stated is None else 0.0
    return (known, "modeled") if known else (float(stated or 0.0), "measured")


def versions(storage: Storage) -> Value:
    """Versions of the model that object storage holds."""
    return _stated(storage.artifact_versions, VERSIONS)


def disk_gib(service: Service, folder: Path | None) -> tuple[Value, ...]:
    """Block storage of each instance [GiB]: what is stated, or a system disk; and what the model
    needs beyond it.
    """
    stated = _stated(service.storage.block_gib, SYSTEM_GIB)
    model, basis = artifact_gib(service, folder)
    missing = SYSTEM_GIB + SERVER_IMAGE_GIB + model - stated[0] if model else 0.0
    return (stated, (missing, "assumed" if basis == "modeled" else basis)) if missing > 0 else (stated,)


def metrics(storage: Storage) -> Value:
    """Metrics that each instance reports."""
    return _stated(storage.metrics_per_instance, METRICS_PER_INSTANCE)


def cross_zone(service: Service, zones: int) -> Value:
    """Share of internal traffic that leaves its zone: with z zones and no affinity (z − 1)/z."""
    return _stated(service.network.cross_zone_share, (zones - 1) / zones)


def nat_gib(service: Service) -> Value:
    """Volume that leaves through a NAT gateway for one request [GiB]: at least the service's own
    logs.
    """
    return _stated(service.network.nat_gib_per_request, log_gib(service.storage)[0])


def gateways(scenario: Scenario, provider: str) -> float:
    """NAT gateways a service pays for: one in each zone or region, shared by the services that use
    them.
    """
    users = sum(nat_gib(s)[0] > 0 for s in scenario.services.values())
    count = 1 if provider_of(provider).regional_gateway else scenario.limits.zones
    return count / users if users else 0.0


def balancer_addresses(service: Service, provider: str, zones: int) -> Value:
    """Public addresses of the service itself; those of gateways beside it where the scenario states
    no number.
    """
    each_zone = service.network.load_balancer and provider_of(provider).address_in_each_zone
    return _stated(service.network.public_ipv4, zones if each_zone else 1)


def _stated(value: float | None, otherwise: float) -> Value:
    return (float(otherwise), "assumed") if value is None else (float(value), "measured")
