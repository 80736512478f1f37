"""A measured type serves the neighboring sizes of its family, by stated scaling, as modeled.

Throughput over vCPUs n follows C(n) = n/(1 + α(n − 1) + βn(n − 1)) (Gunther 2007): fitted where
three sizes or more were measured, α from the two where two were, a stated contention where one was.
Latency at the same share of that throughput is taken to stay, which flatters smaller machines:
their band is twice as wide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from planner.latency.measured.measured import Measured, MeasuredLatency, latency_model
from planner.latency.measured.usl import ScalabilityLaw
from planner.latency.model import Arrivals, Deployment, Excuse, Machine, PlainService

# sizes count as neighbors up to this ratio; a doubling widens the band by this much, a halving
# twice
FARTHEST, ERROR_A_DOUBLING = 4.0, 0.1


@dataclass(frozen=True)
class MeasuredFamilies(PlainService):
    """A measured service beside the machines on sale: ``shapes`` of its measured types by name."""

    measured: Measured
    shapes: Mapping[str, Machine]

    @classmethod
    def of(cls, measured: Measured, machines: Sequence[Machine]) -> "MeasuredFamilies":
        """With the shapes of the measured types among ``machines``."""
        return cls(measured, {m.instance_type: m for m in machines if m.instance_type in measured.machines})

    def deployments(self, machine: Machine, arrivals: Arrivals) -> Sequence[Deployment] | Excuse:
        """The measured replica, or one scaled from the nearest measured size of the family.

        Nearest by the ratio of vCPUs, the larger of two equally near; up to four times as large
        or as small. Only machines of one provider, family, architecture and baseline share are
        near; machines with accelerators are never scaled. Else the excuse.
        """
        found = self.measured.deployments(machine, arrivals)
        if not isinstance(found, Excuse) or machine.accelerator or not self.measured.neighbors:
            return found
        kin = {n: m for n, m in self.shapes.items() if _kin(m, machine)}
        if not kin:
            return found
        name = min(kin, key=lambda n: (abs(math.log2(machine.vcpus / kin[n].vcpus)), -kin[n].vcpus))
        ratio = machine.vcpus / kin[name].vcpus
        if not 1 / FARTHEST <= ratio <= FARTHEST:
            return Excuse("too far from a measured size of its family", f"nearest is {name}, measure one nearer")
        return (Deployment(1.0, "", self._scaled(name, kin, machine)),)

    def _scaled(self, name: str, kin: Mapping[str, Machine], machine: Machine) -> MeasuredLatency:
        """The points of the nearest measured size with rates × C(n)/C(n₀), latencies unchanged.

        Its ``scaling_error`` is 10 % for each doubling of vCPUs and 20 % for each halving.
        """
        own = latency_model(self.measured.machines[name])
        law, told = self._law(kin)
        gain = float(law.throughput(machine.vcpus) / law.throughput(kin[name].vcpus))
        steps = math.log2(machine.vcpus / kin[name].vcpus)
        spread = ERROR_A_DOUBLING * (steps if steps > 0 else -2 * steps)
        points = tuple((p[0] * gain, *p[1:]) for p in own.points)
        return replace(own, points=points, scaled=f"{gain:.3g} × the rates of {name} ({told})", scaling_error=spread)

    def _law(self, kin: Mapping[str, Machine]) -> tuple[ScalabilityLaw, str]:
        """Throughput over vCPUs of a family, and in words where it comes from.

        Of types with equal vCPUs the best counts. From three sizes on α and β are fitted, two
        give α alone, and one size takes ``contention_share``.
        """
        best: dict[float, float] = {}
        for n, m in kin.items():
            best[m.vcpus] = max(best.get(m.vcpus, 0.0), latency_model(self.measured.machines[n]).largest_rate_rps)
        sizes = sorted(best)
        if len(sizes) >= 3:
            law = ScalabilityLaw.fit(sizes, [best[n] for n in sizes], positive=True)
            return law, f"scalability law of {len(sizes)} sizes, contention {law.alpha:.2g}, coherency {law.beta:.2g}"
        if len(sizes) == 2:
            alpha = _contention(sizes[0], sizes[1], best[sizes[1]] / best[sizes[0]])
            return ScalabilityLaw(alpha, 0.0), f"contention {alpha:.2g} of two sizes"
        alpha = self.measured.contention_share
        return ScalabilityLaw(alpha, 0.0), f"contention {alpha:.2g} assumed; measure a second size"


def _kin(measured: Machine, machine: Machine) -> bool:
    same = (measured.provider, measured.family, measured.arch) == (machine.provider, machine.family, machine.arch)
    return same and measured.vcpus > 0 and machine.vcpus > 0 and measured.baseline_share == machine.baseline_share


def _contention(small: float, large: float, gain: float) -> float:
    """α with C(large)/C(small) = gain, within 0 … 1.

    Amdahl's law C(n) = n/(1 + α(n − 1)) solved for α: with ratio = large/small, α = (ratio −
    gain) / (gain(large − 1) − ratio(small − 1)). Twice the vCPUs at 1.6 times the rate:

    >>> round(_contention(2.0, 4.0, 1.6), 3)
    0.143
    """
    ratio = large / small
    bottom = gain * (large - 1) - ratio * (small - 1)
    return min(max((ratio - gain) / bottom, 0.0), 1.0) if bottom > 0 else 0.0
