"""Load: what will arrive, as equally likely sample paths; quantiles and typical hours are views of
it.

Adding hourly 95 % curves overstates a year, and their maximum understates its peak, so the paths
are kept and every summary is taken over them last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats, Index, Singles
from planner.errors import TrafficError
from planner.load.door import MAX_RATE_RPS
from planner.tokens import TokenMix


@dataclass(frozen=True)
class ServiceLoad:
    """Load paths of one service.

    ``arrival_rate_rps`` [requests/s], float32 ``(paths, hours)``: mean over each hour, never NaN or
    negative. ``burst_factor`` ≥ 1: busiest moments over the hourly mean in busy hours;
    ``burst_basis`` measured or assumed. ``arrival_scv``: squared coefficient of variation of the
    gaps between arrivals (1 = Poisson). ``tokens``: joint token lengths of an LLM service, else
    ``None``. ``range_share``: which share of the spread of the horizon's volume comes from
    ``noise``, ``history`` (too thin to show the year), ``growth``, ``events``.
    """

    arrival_rate_rps: Singles
    burst_factor: float = 1.0
    burst_basis: str = "assumed"
    arrival_scv: float = 1.0
    arrival_basis: str = "assumed"
    tokens: TokenMix | None = None
    range_share: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """Load of all services on one grid: ``ts`` (hours,) UTC instants, ``weight_h`` (hours,) hours
    each stands for.

    Path ``k`` of one service and path ``k`` of another happen together, so their dependence is
    kept. ``notes`` are sentences for the reader (repairs of the history, fallbacks of the
    forecaster).
    """

    ts: pd.DatetimeIndex
    weight_h: Floats
    services: Mapping[str, ServiceLoad]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse paths of unequal shape, NaN, negative or infinite rates."""
        shapes = {name: s.arrival_rate_rps.shape for name, s in self.services.items()}
        if not shapes or len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 2:
            raise TrafficError("all services need load paths of one shape (paths, hours)", got=shapes)
        if (
            next(iter(shapes.values()))[1] != len(self.ts)
            or self.weight_h.shape != (len(self.ts),)
            or not (self.weight_h > 0).all()
        ):
            raise TrafficError("ts and weight_h need one value for each hour of the paths, weights above 0")
        for name, s in self.services.items():
            rate = s.arrival_rate_rps
            if not np.isfinite(rate).all() or (rate < 0).any():
                raise TrafficError("arrival rates must be finite and not negative", where=name)
            if rate.size and rate.max() > MAX_RATE_RPS:
                raise TrafficError(
                    f"more than {MAX_RATE_RPS:.0e} requests/s: no service sees so many",
                    where=name,
                    got=float(rate.max()),
                    remedy="Check the unit of its history, growth_share_per_year, events and retry_share",
                )

    @property
    def paths(self) -> int:
        """Number of sample paths."""
        return int(next(iter(self.services.values())).arrival_rate_rps.shape[0])

    @property
    def hours(self) -> int:
        """Number of rows of the grid (hours, unless ``weight_h`` says otherwise)."""
        return len(self.ts)

    def quantile(self, service: str, q: float) -> Floats:
        """Rate that a share ``q`` of the paths does not exceed, hour by hour [requests/s], shape
        (hours,).

        It belongs to the hour alone: the q path of one hour is seldom that of the next, so such a
        curve is neither a path nor a bound of one.
        """
        found: Floats = np.quantile(self.services[service].arrival_rate_rps, q, axis=0).astype(np.float64)
        return found

    def volume(self, service: str) -> Floats:
        """Requests over the horizon, one value a path.

        Σ_t rate · 3600 · weight, rate [requests/s], weight [h].
        """
        rate = self.services[service].arrival_rate_rps.astype(np.float64)
        found: Floats = rate @ (self.weight_h * 3600.0)
        return found

    def peak(self, service: str) -> Floats:
        """Highest hourly rate of each path [requests/s].

        Its mean over paths is the expected peak; the highest hour of a quantile curve is not.
        """
        found: Floats = self.services[service].arrival_rate_rps.max(axis=1).astype(np.float64)
        return found

    def select(self, paths: "Index | list[int]") -> "Load":
        """The load on some of its paths, in the order given.

        Services keep their common paths. ``paths``: positions from 0, with repeats if wanted.
        """
        rows = np.asarray(paths, dtype=np.intp)
        kept = {
            n: ServiceLoad(
                s.arrival_rate_rps[rows],
                s.burst_factor,
                s.burst_basis,
                s.arrival_scv,
                s.arrival_basis,
                s.tokens,
                s.range_share,
            )
            for n, s in self.services.items()
        }
        return Load(self.ts, self.weight_h, kept, self.notes)

    def frame(self, path: int) -> pd.DataFrame:
        """One path of all services as the ``load`` frame of the data dictionary."""
        parts = []
        for name, s in self.services.items():
            parts.append(
                pd.DataFrame(
                    {
                        "service": name,
                        "ts": self.ts,
                        "path": path,
                        "weight_h": self.weight_h,
                        "arrival_rate_rps": s.arrival_rate_rps[path].astype(np.float64),
                        "burst_factor": s.burst_factor,
                        "input_tokens": s.tokens.mean_input_tokens if s.tokens else np.nan,
                        "output_tokens": s.tokens.mean_output_tokens if s.tokens else np.nan,
                    }
                )
            )
        return columns.check("load", pd.concat(parts, ignore_index=True))
