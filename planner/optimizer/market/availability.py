"""Whether zones and spare capacity reach the availability asked for.

A plan for z zones of which k may be lost serves its load while at most k are down. With zones
independent and each up for a share a: availability ≥ Σ_{i ≤ k} C(z, i)·(1 − a)^i·a^(z − i). ``a``
is the provider's promise for what stands in one place, an assumption on the safe side: with 0.995
two zones, one of them spare, give 0.999975, above the 0.9999 promised for two.
"""

import math
from math import comb

from planner.catalog import provider_of
from planner.errors import InfeasiblePlan, Relaxation
from planner.scenario import Scenario

_MOST_ZONES = 6


def availability(zone_share: float, zones: int, lost: int) -> float:
    """P(at most ``lost`` of ``zones`` are down), each up for ``zone_share`` of the time."""
    return sum(comb(zones, i) * (1 - zone_share) ** i * zone_share ** (zones - i) for i in range(lost + 1))


def reached(scenario: Scenario) -> list[str]:
    """A sentence for each service that asks for an availability.

    Raises :class:`InfeasiblePlan` naming the fewest zones, and spare ones, that reach it.
    """
    limits, found = scenario.limits, []
    share = min(provider_of(p).zone_availability for p in scenario.providers)
    have = availability(share, limits.zones, limits.zones_lost)
    setting = f"{limits.zones} zone{'s' if limits.zones > 1 else ''}, {limits.zones_lost} of them spare,"
    for name, service in scenario.services.items():
        asked = service.objective.availability_share
        if asked is None:
            continue
        if have < asked:
            enough = (
                (z, k)
                for k in range(_MOST_ZONES)
                for z in range(k + 1, _MOST_ZONES + 1)
                if availability(share, z, k) >= asked
            )
            better = next(enough, None)
            least = math.floor(have * 1e6) / 1e6
            remedies = [Relaxation.of({f"services.{name}.objective.availability_share": (asked, least)})]
            if better:
                now = {"limits.zones": limits.zones, "limits.zones_lost": limits.zones_lost}
                changed = {
                    path: (had, want) for (path, had), want in zip(now.items(), better, strict=True) if had != want
                }
                remedies.insert(0, Relaxation.of(changed))
            raise InfeasiblePlan(
                f"{name} is to be up {asked:.6%} of the time; {setting} give {have:.6%} (each up {share:.1%}: assumed)",
                where=f"services.{name}.objective.availability_share",
                relaxations=remedies,
            )
        found.append(
            f"{name}: up at least {have:.4%} of the time, {asked:.4%} asked: {setting} each up {share:.1%} (assumed)."
        )
    return found
