"""What runs and what commitments pay for in expectation: the mean over the load paths, hour by
hour.

On each path an hour runs the cheapest whole mix for the load that machines follow, so

    E[units of offer j in hour t] = Σ_p w_p · counts(mix(L_pt))_j,

and likewise for what each commitment covers: both are looked up in what runs at a load
(:mod:`planner.optimizer.commitments.running`), settled as a bill settles it.

Symbols: w_p weight of path p (they add up to 1), L_pt load [requests/s] that machines follow on
path p in hour t, mix(L) the cheapest whole machines of the menu that reach L under the commitments
in force. All means are linear in the paths, so the expected bill is the mean of the paths' bills
to rounding; only Google's sustained-use discount, concave in a month's use, is charged on the mean
use instead of as the mean of discounts.

Loads beyond the largest mix run the largest mix: quotas hold at what must be ready, and what does
not fit is late, not paid for.
"""

from typing import NamedTuple

import numpy as np

from planner.arrays import Floats, Index
from planner.load import Load
from planner.optimizer.commitments.running import Covered, Group, Running
from planner.optimizer.commitments.sign import Signed
from planner.optimizer.commitments.starts import Regime
from planner.optimizer.market.market import Market


class Expected(NamedTuple):
    """``units`` and ``borne`` {service: (hours, offers)}: units of each offer and the load they
    bear [requests/s]; ``covered`` {(term, service, kind): (hours,) instances a commitment pays
    for}.
    """

    units: dict[str, Floats]
    borne: dict[str, Floats]
    covered: Covered


def expected_use(market: Market, signed: Signed, regimes: list[Regime], paths: Load, weight: Floats) -> Expected:
    """Means over ``paths`` (what machines follow), each of its ``weight``.

    ``regimes``: hours with the same commitments in force. A mean over paths is no fleet that
    ever runs: it has parts of machines, and is for money, not for latency.
    """
    units = {s: np.zeros((paths.hours, len(menu.offers))) for s, menu in signed.menus.items()}
    borne = {s: np.zeros_like(u) for s, u in units.items()}
    covered: Covered = {}
    for regime in regimes:
        hours = regime.hours
        for group in Running(market, signed.menus, regime.of(signed.held)).groups:
            at = _places(group, hours, paths)
            for s, rows in group.found.rows.items():
                counts, offers = signed.menus[s].counts[rows], signed.menus[s].offers
                units[s][hours] = _mean(counts.astype(np.float64), at, weight)
                borne[s][hours] = _mean(np.stack([o.bears(counts[:, j]) for j, o in enumerate(offers)], 1), at, weight)
            for key, instances in group.found.covered.items():
                _hours_of(covered, key, paths.hours)[hours] = _mean(instances[:, None], at, weight)[:, 0]
    return Expected(units, borne, covered)


def _places(group: Group, hours: Index, paths: Load) -> list[Index]:
    """What runs of a group in these hours, path by path."""
    rates = {s: paths.services[s].arrival_rate_rps for s in group.menus}
    return [
        group.at({s: r[k, hours].astype(np.float64) for s, r in rates.items()}).astype(np.int32)
        for k in range(paths.paths)
    ]


def _mean(columns: Floats, places: list[Index], weight: Floats) -> Floats:
    """Σ_p w_p · columns[place on path p], shape (hours, columns)."""
    total: Floats = np.zeros((len(places[0]), columns.shape[1]))
    for w, at in zip(weight, places, strict=True):
        total += w * columns[at]
    return total


def _hours_of(covered: Covered, key: tuple[int, str, str], hours: int) -> Floats:
    """The array of a key, made of zeros where it is new."""
    if key not in covered:
        covered[key] = np.zeros(hours)
    return covered[key]
