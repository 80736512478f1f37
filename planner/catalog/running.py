"""What an AWS account runs now, as the ``today:`` and ``existing:`` parts of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from planner.catalog.holdings import account_holdings
from planner.errors import CatalogError, one_door
from planner.scenario import Existing, Running, ServiceToday

_GROUP = "aws:autoscaling:groupName"
# what AWS itself puts on a machine is no name of a service
_OWN = "aws:"


class Fleet(NamedTuple):
    """Machines by service, commitments held, and notes on what is not among them."""

    services: dict[str, ServiceToday]
    existing: tuple[Existing, ...]
    notes: tuple[str, ...]


@dataclass
class _Group:
    """Machines of one name: how many by (type, option, region), their zones, and the bounds of a
    scaling group.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    zones: set[str] = field(default_factory=set)
    bounds: tuple[int, int] | None = None


def account_fleet(regions: Iterable[str], tag: str = "Name") -> Fleet:
    """Running machines of ``regions`` by the value of their ``tag`` (or their scaling group), asked
    of AWS with the commitments in force.

    Raises :class:`CatalogError` for what AWS refuses or answers amiss, and where nothing runs.
    """
    from planner.catalog.aws import Cloud, asking

    regions, groups, notes = tuple(regions), dict[str, _Group](), list[str]()
    told = "Try again, or write today: by hand"
    with asking(), one_door(lambda cause: CatalogError(f"AWS answered amiss: {cause}", where="aws", remedy=told)):
        cloud = Cloud()
        for region in regions:
            scaling = cloud.client("autoscaling", region).get_paginator("describe_auto_scaling_groups").paginate()
            named = _scaling(groups, [g for page in scaling for g in page["AutoScalingGroups"]], tag)
            running = cloud.client("ec2", region).get_paginator("describe_instances")
            pages = running.paginate(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
            machines = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
            notes += _machines(groups, named, machines, region, tag)
        services = {name: _service(g) for name, g in sorted(groups.items()) if g.counts}
    if not services:
        raise CatalogError(
            "; ".join(["no machine runs there", *notes]),
            where="aws",
            got=list(regions),
            remedy="Name others with --region",
        )
    held = account_holdings(regions)
    notes += [
        f"{n}: its group runs several types or options; their present numbers are taken"
        for n, g in groups.items()
        if g.bounds and len(g.counts) > 1
    ]
    return Fleet(services, held.existing, (*notes, *held.notes))


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(t["Key"]): str(t["Value"]) for t in item.get("Tags") or []}


def _scaling(groups: dict[str, _Group], found: Iterable[Mapping[str, Any]], tag: str) -> dict[str, str]:
    """Bounds of scaling groups; the service of each group by its name."""
    named = {}
    for g in found:
        own = str(g["AutoScalingGroupName"])
        name = _tags(g).get(tag) or own
        named[own] = name
        group = groups.setdefault(name, _Group())
        least, most = group.bounds or (0, 0)
        group.bounds = (least + int(g["MinSize"]), most + int(g["MaxSize"]))
        group.zones |= {str(z) for z in g.get("AvailabilityZones") or []}
    return named


def _machines(
    groups: dict[str, _Group],
    named: Mapping[str, str],
    machines: Iterable[Mapping[str, Any]],
    region: str,
    tag: str,
) -> list[str]:
    notes, skipped = [], Counter[str]()
    for m in machines:
        tags = _tags(m)
        if m.get("Platform") == "windows" or m.get("Placement", {}).get("Tenancy", "default") != "default":
            skipped[str(m["InstanceType"])] += 1
            continue
        name = named.get(tags.get(_GROUP, "")) or tags.get(tag) or "unnamed"
        group = groups.setdefault(name, _Group())
        option = "spot" if m.get("InstanceLifecycle") == "spot" else "on_demand"
        group.counts[str(m["InstanceType"]), option, region] += 1
        group.zones.add(str(m["Placement"]["AvailabilityZone"]))
    if skipped:
        kinds = ", ".join(f"{n} × {t}" for t, n in skipped.items())
        notes.append(f"{region}: {kinds} run Windows or on dedicated hosts; not taken")
    return notes


def _service(group: _Group) -> ServiceToday:
    machines = []
    for (name, option, region), count in sorted(group.counts.items()):
        place: dict[str, Any] = {
            "instance_type": name,
            "purchase_option": option,
            "provider": "aws",
            "region": region,
        }
        scaled = group.bounds is not None and len(group.counts) == 1 and group.bounds[0] < group.bounds[1]
        size = {"min": group.bounds[0], "max": group.bounds[1]} if scaled and group.bounds else {"count": count}
        machines.append(Running.model_validate(place | size))
    return ServiceToday(machines=tuple(machines), zones=max(len(group.zones), 1))
