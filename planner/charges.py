"""What a charge is called by people and by FOCUS, once for screens, files and bills.

FOCUS groups charges by service category and subcategory (FOCUS 1.2, columns ServiceCategory and
ServiceSubcategory); the pairs below are allowed values of it.
"""

from typing import NamedTuple


class Charge(NamedTuple):
    """A kind of charge: its ``title`` in words, and its place in FOCUS."""

    title: str
    category: str
    subcategory: str


_STORE, _NET, _RULE = "Storage", "Networking", "Management and Governance"

CHARGES = {
    "compute": Charge("Compute", "Compute", "Virtual Machines"),
    "commitment_purchase": Charge("Commitments, paid up front", "Compute", "Virtual Machines"),
    "commitment_fee": Charge("Commitments", "Compute", "Virtual Machines"),
    "commitment_unused": Charge("Commitments, unused", "Compute", "Virtual Machines"),
    "block_storage": Charge("Block storage", _STORE, "Block Storage"),
    "model_artifacts": Charge("Model versions", _STORE, "Object Storage"),
    "object_storage": Charge("Object storage", _STORE, "Object Storage"),
    "object_transitions": Charge("Moves to colder storage", _STORE, "Object Storage"),
    "object_retrieval": Charge("Reads from colder storage", _STORE, "Object Storage"),
    "object_requests": Charge("Requests to object storage", _STORE, "Object Storage"),
    "egress": Charge("Data to the internet", _NET, "Network Infrastructure"),
    "cross_zone": Charge("Data between zones", _NET, "Network Infrastructure"),
    "nat": Charge("NAT gateway", _NET, "Network Routing"),
    "load_balancer": Charge("Load balancer", _NET, "Network Routing"),
    "public_ipv4": Charge("Public IPv4", _NET, "Network Infrastructure"),
    "logs": Charge("Logs", _RULE, "Observability"),
    "metrics": Charge("Metrics", _RULE, "Observability"),
    "control_plane": Charge("Control plane", "Compute", "Containers"),
    "support": Charge("Support", _RULE, "Support"),
    "licenses": Charge("Licenses", "Other", "Other (Other)"),
    "database": Charge("Managed databases", "Databases", "Other (Databases)"),
    "other": Charge("Other costs", "Other", "Other (Other)"),
}

# of contracts: they stand on a bill under no service
CONTRACTS = ("commitment_fee", "commitment_purchase", "commitment_unused")

_OTHER = Charge("", "Other", "Other (Other)")


def charge(name: str) -> Charge:
    """The charge of a name of ``plan.cost``; one that is not listed keeps its name, in words.

    >>> charge("nat").title, charge("tape_robot").title
    ('NAT gateway', 'Tape robot')
    """
    return CHARGES.get(name) or _OTHER._replace(title=name.replace("_", " ").capitalize())
