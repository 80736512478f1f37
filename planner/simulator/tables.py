"""What pools of replicas bear, tabulated: latency, each bound's largest rate and saturation by pool
size.
"""

from dataclasses import dataclass

import numpy as np

from planner.arrays import Flags, Floats, Index
from planner.latency import LatencyModel

Bounds = list[tuple[str, str, float, float]]
_GRID = np.r_[np.linspace(0.02, 0.9, 45), 1 - np.geomspace(0.09, 1e-3, 18)]


class Table:
    """Latency of one pool on a grid of utilization for a few pool sizes; sizes between take the
    next smaller one (no less latency).
    """

    def __init__(self, model: LatencyModel, most: int, tries: float, bounds: Bounds) -> None:
        most, self.tries = max(most, 1), tries
        metric = bounds[0][1]
        alone = _saturation(model, 1, metric)
        if _splits(model, bounds, alone, most):
            most = 1
        sizes = np.r_[np.arange(1, min(most, 8) + 1), np.geomspace(8, max(most, 8), 24).astype(int)]
        self.sizes = np.unique(sizes[sizes <= most])
        self.saturation = np.array([alone, *(_saturation(model, int(n), metric) for n in self.sizes[1:])]) / tries
        self.rates = self.saturation[:, None] * _GRID
        total = self.rates * self.sizes[:, None] * tries
        self.latency = np.stack(
            [
                [model.latency_s(r, int(n), q, m) for r, n in zip(total, self.sizes, strict=True)]
                for _, m, q, _ in bounds
            ]
        )
        self.limit = np.array(
            [
                [_threshold(r, lat, limit) for r, lat in zip(self.rates, rows, strict=True)]
                for rows, (*_, limit) in zip(self.latency, bounds, strict=True)
            ]
        )

    def row(self, replicas: Floats) -> Index:
        """Row of the table for each pool size."""
        return np.clip(np.searchsorted(self.sizes, replicas, side="right") - 1, 0, None)


def _splits(model: LatencyModel, bounds: Bounds, alone: float, most: int) -> bool:
    """Whether a pool of ``most`` is no better than as many pools of one: then one row of the table
    serves every size.
    """
    probe = alone * np.array([0.3, 0.7, 0.95])
    return all(
        np.allclose(model.latency_s(probe, 1, q, metric), model.latency_s(probe * most, most, q, metric), rtol=1e-6)
        for _, metric, q, _ in bounds
    )


def _saturation(model: LatencyModel, replicas: int, metric: str) -> float:
    """Largest rate of one replica [requests/s] in a pool of ``replicas`` at which a metric
    is finite (relative 1e-4).

    Found on a ladder of 45 rates from 1e-4 to 1e7 requests/s, then by sections of
    16; 0 for a model that is finite at none of them. It takes for granted that a
    metric once infinite stays so.
    """

    def stable(rate: Floats) -> Flags:
        found: Flags = np.isfinite(model.latency_s(rate * replicas, replicas, 0.5, metric))
        return found

    ladder = np.geomspace(1e-4, 1e7, 45)
    good = stable(ladder)
    low, high = (ladder[good][-1] if good.any() else 0.0), (ladder[~good][0] if not good.all() else ladder[-1])
    while high - low > 1e-4 * high and high > ladder[0] * 1e-3:
        grid = np.linspace(low, high, 18)[1:-1]
        good = stable(grid)
        low, high = (grid[good][-1] if good.any() else low), (grid[~good][0] if not good.all() else high)
    return float(low)


def _threshold(rates: Floats, latency: Floats, limit: float) -> float:
    """Largest rate with latency ≤ limit, linear between grid points."""
    late = np.flatnonzero(~(latency <= limit))
    if not len(late):
        return float(rates[-1])
    at = int(late[0])
    if at == 0:
        return 0.0
    low, high = latency[at - 1], latency[at]
    part = (limit - low) / (high - low) if np.isfinite(high) and high > low else 0.0
    return float(rates[at - 1] + part * (rates[at] - rates[at - 1]))


@dataclass(frozen=True)
class Together:
    """What the pools of a service bear together, hour by hour: up to which total rate each
    objective holds.
    """

    replicas: Floats
    share: Floats
    limit: Floats
    saturation: Floats

    @classmethod
    def of(cls, tables: list[Table], replicas: Floats, weight: Floats) -> "Together":
        """Traffic is split in proportion to what the pools may bear (``weight``); the first one
        beyond its limit decides.

        ``replicas`` and ``weight`` (pools, hours). A pool with the share p of the traffic and a
        limit of its own l holds up to a total rate l / p, so the limit of an objective is
        min_pools l / p; saturation is the sum. It lies where a balancer splits otherwise: evenly
        over unlike machines, the smallest would fail first.
        """
        whole = weight.sum(axis=0)
        share = np.divide(weight, whole, out=np.zeros_like(weight), where=whole > 0)
        limit = np.full((len(tables[0].latency), replicas.shape[1]), np.inf)
        saturation = np.zeros(replicas.shape[1])
        for table, n, part in zip(tables, replicas, share, strict=True):
            row, runs = table.row(n), n > 0
            own = table.limit[:, row] * n
            limit = np.where(runs, np.minimum(limit, own / np.where(part > 0, part, 1.0)), limit)
            saturation += table.saturation[row] * n
        return cls(replicas, share, np.where(whole > 0, limit, 0.0), saturation)

    def latency(self, tables: list[Table], rate: Floats) -> Floats:
        """Latency of each objective's metric in the slowest pool, (objectives, hours)."""
        out = np.zeros((len(tables[0].latency), len(rate)))
        for table, n, part in zip(tables, self.replicas, self.share, strict=True):
            row = table.row(n)
            each = np.divide(rate * part, n, out=np.zeros_like(rate), where=n > 0)
            for k in np.unique(row[n > 0]):
                mine = np.flatnonzero((row == k) & (n > 0))
                for b in range(len(out)):
                    found = np.interp(each[mine], table.rates[k], table.latency[b, k], right=np.inf)
                    out[b, mine] = np.maximum(out[b, mine], found)
        return np.where(self.share.sum(axis=0) > 0, out, np.where(rate > 0, np.inf, 0.0))
