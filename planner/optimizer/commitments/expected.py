"""What runs and what commitments pay for in expectation: the mean over the load paths, hour by
hour.

On each path an hour runs the cheapest whole mix for the load that machines follow, so

    E[units of offer j in hour t] = Σ_p w_p · counts(mix(L_pt))_j,

and likewise for what each commitment covers. Where no two services share a commitment, what is
covered is a function of the mix and is looked up; else every path is settled as a bill settles it.

Symbols: w_p weight of path p (they add up to 1), L_pt load [requests/s] that machines follow on
path p in hour t, mix(L) the cheapest whole machines of the menu that reach L under the commitments
in force. All means are linear in the paths, so the expected bill is the mean of the paths' bills
to rounding; only Google's sustained-use discount, concave in a month's use, is charged on the mean
use instead of as the mean of discounts.

Loads beyond the largest mix run the largest mix: quotas hold at what must be ready, and what does
not fit is late, not paid for.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from planner.arrays import Floats, Index
from planner.load import Load
from planner.optimizer.commitments.sign import Signed, covers_of
from planner.optimizer.commitments.starts import Regime
from planner.optimizer.market.as_program import fill
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu

Covered = dict[tuple[int, str, str], Floats]


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
    pools = [pool for _, pool in signed.shares]
    shared = len(pools) > len(set(pools))
    units = {s: np.zeros((paths.hours, len(menu.offers))) for s, menu in signed.menus.items()}
    borne = {s: np.zeros_like(u) for s, u in units.items()}
    covered: Covered = {}
    for regime in regimes:
        tables = {s: _Table.of(market, signed, regime, s, settled=not shared) for s in signed.menus}
        for s, table in tables.items():
            mean = _mean(table.columns, _steps(table, regime, paths, s), weight)
            width = len(signed.menus[s].offers)
            units[s][regime.hours], borne[s][regime.hours] = mean[:, :width], mean[:, width : 2 * width]
            for n, key in enumerate(table.keys):
                _hours_of(covered, key, paths.hours)[regime.hours] = mean[:, 2 * width + n]
        if shared:
            _settle_each(covered, market, signed, regime, tables, paths, weight)
    return Expected(units, borne, covered)


class _Table(NamedTuple):
    """The steps of a service under the commitments of a regime: ``columns`` (steps, …) are counts,
    load borne and, by ``keys``, instances covered.
    """

    reach: Floats
    counts: Floats
    columns: Floats
    keys: list[tuple[int, str, str]]

    @classmethod
    def of(cls, market: Market, signed: Signed, regime: Regime, service: str, *, settled: bool) -> "_Table":
        menu = signed.menus[service]
        held = regime.of(signed.held)
        steps = menu.steps(covers_of(market, held, signed.shares, service))
        whole = menu.counts[steps.mix]
        counts = whole.astype(np.float64)
        borne = np.stack([o.bears(whole[:, j]) for j, o in enumerate(menu.offers)], axis=1)
        covered: Covered = {}
        if settled:
            mine = {i: a for i, a in held.items() if (service, market.terms[i].pool) in signed.shares}
            covered = fill(market, mine, running_of({service: menu}, {service: counts}))
        columns = np.concatenate([counts, borne, *(c[:, None] for c in covered.values())], axis=1)
        return cls(steps.reach, counts, columns, list(covered))


def running_of(menus: Mapping[str, Menu], chosen: Mapping[str, Floats]) -> dict[tuple[str, str], Floats]:
    """On-demand instances by (service, kind) of units (…, offers)."""
    out: dict[tuple[str, str], Floats] = {}
    for service, counts in chosen.items():
        for j, offer in enumerate(menus[service].offers):
            if not offer.spot and counts[:, j].any():
                out[service, offer.kind] = counts[:, j] * float(offer.unit)
    return out


def _steps(table: _Table, regime: Regime, paths: Load, service: str) -> Iterator[Index]:
    """The step of each hour of the regime, path by path."""
    last = len(table.reach) - 1
    for path in paths.services[service].arrival_rate_rps:
        rate = path[regime.hours].astype(np.float64) * (1 - 1e-12)
        yield np.minimum(np.searchsorted(table.reach, rate), last)


def _mean(columns: Floats, steps: Iterator[Index], weight: Floats) -> Floats:
    """Σ_p w_p · columns[step of path p], shape (hours, columns)."""
    total: Floats | None = None
    for w, at in zip(weight, steps, strict=True):
        total = w * columns[at] if total is None else total + w * columns[at]
    return np.zeros((0, columns.shape[1])) if total is None else total


def _settle_each(
    covered: Covered,
    market: Market,
    signed: Signed,
    regime: Regime,
    tables: Mapping[str, _Table],
    paths: Load,
    weight: Floats,
) -> None:
    """Add what commitments cover on each path, settled as a bill settles it, since services
    share a commitment and the use of one depends on what the others leave.
    """
    held = regime.of(signed.held)
    each = {s: _steps(table, regime, paths, s) for s, table in tables.items()}
    for w in weight:
        chosen = {s: table.counts[next(each[s])] for s, table in tables.items()}
        for key, instances in fill(market, held, running_of(signed.menus, chosen)).items():
            _hours_of(covered, key, paths.hours)[regime.hours] += w * instances


def _hours_of(covered: Covered, key: tuple[int, str, str], hours: int) -> Floats:
    """The array of a key, made of zeros where it is new."""
    if key not in covered:
        covered[key] = np.zeros(hours)
    return covered[key]
