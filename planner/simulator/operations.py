"""How a fleet is run while it is replayed, and what happens to it: autoscaler, start-up, lost
zones, spot pools that are taken back.

What nothing states is assumed here, and every replay says what it played
(:meth:`Operations.played`).
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.arrays import Floats, Ints

Policy = Literal["follow", "scheduled", "static"]
Autoscaler = Literal["hpa", "target_tracking", "keda", "ideal"]
Metric = Literal["utilization", "requests_per_replica", "requests_arriving", "busy_share"]

# a client gives up after this long [s] (Envoy, default route time-out, 2025)
TIMEOUT_S = 15.0
# spread of an assumed start-up, standard deviation of its logarithm
START_UP_SIGMA = 0.3
ZONE, SPOT, SPOT_EVERYWHERE = 0, 1, 2


@dataclass(frozen=True)
class Operations:
    """How the fleet is run and what is played. ``None`` means as the scenario says.

    ``policy`` follow (an ``autoscaler`` decides; ``ideal`` knows each hour's load and waits for
    nothing), scheduled or static; ``metric`` that the Kubernetes autoscaler looks at: utilization in
    whole per cents, the mean of requests served by each replica, all requests that arrive, or the
    busy share of the whole fleet; ``target_utilization`` of saturation, by default what the plan's
    own machines are loaded to; ``tolerance_share`` around it; ``fleet_factor`` times the machines
    that the policy would keep. Start-up: ``scale_up_delay_s`` ×
    ``start_up_factor``. ``zone_losses_per_year`` of each zone, each of ``zone_outage_h`` on
    average. A spot pool is a type in a zone: ``shock_share`` of its hazard comes as shocks that
    take the whole pool for ``spot_outage_h`` on average, ``everywhere_share`` of the shocks take
    every zone. ``load_factor`` multiplies all load. ``zone_lost_at_peak``, ``spot_lost_at_peak``:
    once on every path, in the hour of highest mean load. ``retries`` of each client after
    :data:`TIMEOUT_S`.
    """

    policy: Policy | None = None
    autoscaler: Autoscaler | None = None
    metric: Metric = "utilization"
    target_utilization: float | None = None
    tolerance_share: float = 0.1
    scale_up_delay_s: float | None = None
    start_up_factor: float = 1.0
    scale_down_delay_s: float | None = None
    max_replicas: int | None = None
    fleet_factor: float = 1.0
    zone_losses_per_year: float = 0.2
    zone_outage_h: float = 4.0
    interruptions: bool = True
    shock_share: float = 0.3
    everywhere_share: float = 0.3
    spot_outage_h: float = 1.0
    load_factor: float = 1.0
    zone_lost_at_peak: bool = False
    spot_lost_at_peak: bool = False
    retries: int | None = None
    step_s: float = 60.0
    seed: int = 0

    def played(self, zones: int, spot: bool, how: str) -> str:
        """What a share of this replay stands for, in words."""
        told = [f"{how}, {self.step_s:g} s steps"]
        if self.load_factor != 1:
            told.append(f"load × {self.load_factor:g}")
        if self.fleet_factor != 1:
            told.append(f"machines × {self.fleet_factor:g}")
        if self.start_up_factor != 1:
            told.append(f"start-up × {self.start_up_factor:g}")
        if zones > 1 and self.zone_losses_per_year > 0:
            told.append(f"each zone lost {self.zone_losses_per_year:g} times a year for {self.zone_outage_h:g} h")
        elif zones == 1:
            told.append("the loss of the only zone not played")
        if self.zone_lost_at_peak:
            told.append("a zone lost in the busiest hour")
        if spot and self.interruptions:
            told.append(
                f"spot machines taken back, {self.shock_share:.0%} of the time a whole pool for"
                f" {self.spot_outage_h:g} h"
            )
        if spot and self.spot_lost_at_peak:
            told.append("all spot machines taken back in the busiest hour")
        return ", ".join(told)


def zone_losses(ops: Operations, zones: int, paths: int, hours: int) -> list[Ints]:
    """Random losses of single zones, the same for every service; none where one zone is all there
    is.
    """
    if zones < 2 or ops.zone_losses_per_year <= 0:
        return []
    rng = np.random.default_rng([ops.seed, 11])
    return [
        _strikes(rng, ops, paths, hours, ops.zone_losses_per_year / 8766, ops.zone_outage_h, ZONE, -1, z)
        for z in range(zones)
    ]


def spot_shocks(ops: Operations, name: str, pool: int, hazard: float, zones: int, paths: int, hours: int) -> list[Ints]:
    """Common shocks of one spot pool [``hazard`` per instance-hour]: in one zone, or everywhere at
    once.
    """
    if not ops.interruptions or hazard <= 0:
        return []
    rng = np.random.default_rng([ops.seed, 12, zlib.crc32(name.encode())])
    rate, wide = hazard * ops.shock_share, ops.everywhere_share if zones > 1 else 0.0
    rows = [_strikes(rng, ops, paths, hours, rate * (1 - wide), ops.spot_outage_h, SPOT, pool, z) for z in range(zones)]
    # each zone sees the common ones too
    return [*rows, _strikes(rng, ops, paths, hours, rate * wide, ops.spot_outage_h, SPOT_EVERYWHERE, pool, -1)]


def at_peak(ops: Operations, peak_hour: Ints, kind: int, pool: int, lasts_h: float) -> Ints:
    """One event on every path a quarter into its ``peak_hour`` (paths,)."""
    each = round(3600 / ops.step_s)
    paths = len(peak_hour)
    step = peak_hour * each + each // 4
    fixed = [np.full(paths, v, dtype=np.int64) for v in (kind, pool, 0)]
    return np.column_stack([np.arange(paths), step, *fixed, step + int(lasts_h * each)])


def _strikes(
    rng: np.random.Generator,
    ops: Operations,
    paths: int,
    hours: int,
    rate_per_h: float,
    lasts_h: float,
    kind: int,
    pool: int,
    zone: int,
) -> Ints:
    """Random events as rows of (path, step, kind, pool, zone, end): Poisson at ``rate_per_h`` in
    the horizon of each path, of exponential length with mean ``lasts_h`` and at least a step.
    """
    count = rng.poisson(rate_per_h * hours, paths)
    each, n = 3600 / ops.step_s, int(count.sum())
    step = (rng.random(n) * hours * each).astype(np.int64)
    end = step + 1 + (rng.exponential(lasts_h, n) * each).astype(np.int64)
    fixed = [np.full(n, v, dtype=np.int64) for v in (kind, pool, zone)]
    return np.column_stack([np.repeat(np.arange(paths), count), step, *fixed, end])


def start_up_steps(delay_s: float, sigma: float, step_s: float, seed: int) -> Ints:
    """256 equally likely start-up times in steps: lognormal about ``delay_s``, whole steps drawn
    so that their mean is kept.

    ``delay_s`` is the median, ``sigma`` the standard deviation of its logarithm; 0 makes all
    equal but for rounding to whole steps. A delay of a whole number of steps is kept exactly:

    >>> set(start_up_steps(120.0, 0.0, 60.0, seed=0).tolist())
    {2}
    """
    from scipy.special import ndtri

    rng = np.random.default_rng([seed, 13])
    share: Floats = (np.arange(256) + 0.5) / 256
    length = delay_s / step_s * np.exp(sigma * ndtri(share))
    steps = np.floor(length + rng.permutation(share)).astype(np.int64)
    return np.asarray(rng.permutation(steps), dtype=np.int64)
