"""On which load paths a plan is made, and what it costs on paths it was not made for.

Commitments are chosen on a stratified sample of the load's paths: as many as a plan of seconds can
bear, spread over volume and peak, weighted by what each stands for. The cost range is the bill on
other paths, so that it holds no figure the choice has been fitted to. The number of paths follows
from the size of the problem, never from a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from planner.arrays import Floats, Index
from planner.calendar import Months
from planner.capacity import Capacity
from planner.errors import PlannerError
from planner.load import Load
from planner.optimizer.answer import frames as answer
from planner.optimizer.commitments.running import Running
from planner.optimizer.commitments.sign import Signed
from planner.optimizer.commitments.starts import Regime
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, menu

COMPUTE = ("compute", "commitment_unused", "commitment_fee", "commitment_purchase")
# hours of all services and paths that commitments are chosen on: about two seconds of work
PATH_HOURS = 8_000_000
LEAST, FEW = 10, 32


@dataclass(frozen=True)
class Sample:
    """Paths to plan on with their ``weight`` (paths,) adding up to 1, and unseen paths to check the
    plan on; ``told`` says so.
    """

    load: Load
    weight: Floats
    valued: Load | None
    told: str


def sample(load: Load, valued_on: Load | None) -> Sample:
    """The paths a plan is made on, all of ``load`` or a stratified sample of many; ``valued_on``
    are unseen ones.

    Raises :class:`PlannerError` when ``valued_on`` is not about the same services and hours.
    """
    if valued_on is not None and not (set(load.services) <= set(valued_on.services) and valued_on.ts.equals(load.ts)):
        raise PlannerError(
            "a plan is valued on the services and hours it was made for",
            got=sorted(valued_on.services),
            remedy="Forecast both loads from the same scenario",
        )
    count = min(load.paths, max(LEAST, PATH_HOURS // (load.hours * len(load.services))))
    rows, weight = stratified(load, count)
    some = f"all {load.paths}" if count == load.paths else f"{count} of {load.paths}"
    how = "" if count == load.paths else " (one for each stratum of volume and peak)"
    chosen = load if count == load.paths else load.select(rows)
    return Sample(chosen, weight, valued_on, f"planned on {some} load paths{how}")


def few(load: Load) -> Sample:
    """A small stratified sample: for plans that are compared, not signed."""
    rows, weight = stratified(load, FEW)
    chosen = load.select(rows)
    return Sample(chosen, weight, None, f"planned on {len(rows)} of {load.paths} load paths")


def stratified(load: Load, count: int) -> tuple[Index, Floats]:
    """``count`` paths and their weights: slabs of like volume, cut into strata of like peak; of
    each the path nearest its mean.

    Volume and peak [shares of their means over the paths] are averaged over the services. Weights
    are the strata's shares of the paths and add up to 1; with as many strata as paths every path
    stands for itself.
    """
    paths = load.paths
    if count >= paths:
        return np.arange(paths), np.full(paths, 1.0 / paths)
    size = [
        (v / max(1e-12, v.mean()), p / max(1e-12, p.mean()))
        for v, p in ((load.volume(s), load.peak(s)) for s in load.services)
    ]
    volume, peak = np.mean([v for v, _ in size], axis=0), np.mean([p for _, p in size], axis=0)
    bound = np.round(np.linspace(0, paths, count + 1)).astype(np.intp)
    slab = np.round(np.linspace(0, count, int(np.sqrt(count)) + 1)).astype(np.intp)
    order = np.argsort(volume, kind="stable")
    rows, weight = [], []
    for first, last in pairwise(slab):
        inside = order[bound[first] : bound[last]]
        inside = inside[np.argsort(peak[inside], kind="stable")]
        for low, high in zip(bound[first:last], bound[first + 1 : last + 1], strict=True):
            stratum = inside[low - bound[first] : high - bound[first]]
            off = [np.abs(x[stratum] - x[stratum].mean()) / max(1e-12, float(x.std())) for x in (volume, peak)]
            rows.append(int(stratum[np.argmin(off[0] + off[1])]))
            weight.append(len(stratum) / paths)
    ascending = np.argsort(rows)
    return np.array(rows, dtype=np.intp)[ascending], np.array(weight)[ascending]


def bills(
    months: Months,
    load: Load,
    valued: Load,
    machines: Load,
    capacity: Capacity,
    market: Market,
    signed: Signed,
    regimes: list[Regime],
    cost: pd.DataFrame,
) -> Floats:
    """The bill of each path of ``valued`` by month, shape (paths, months): machines follow the
    path, commitments stay as signed.

    ``machines``: the same paths after the autoscaler's delays. Charges for requests follow the
    path's volume (those in ``cost`` are for the mean of ``load``), all others are as planned.
    """
    held = answer.holdings(market, signed, load)
    fees = sum((a * market.terms[i].usd_per_h for i, a in held.items()), np.zeros(load.hours))
    menus = _reaching(market, signed, valued)
    running = [(r.hours, Running(market, menus, r.of(signed.held))) for r in regimes]
    total = np.zeros((valued.paths, len(months.start)))
    for k in range(valued.paths):
        rates = {s: machines.services[s].arrival_rate_rps[k].astype(np.float64) for s in menus}
        usd_per_h = fees.copy()
        for hours, runs in running:
            usd_per_h[hours] += runs.usd_per_h({s: rate[hours] for s, rate in rates.items()})
        total[k] = months.total(load.weight_h * usd_per_h)
    needs = capacity.needs
    words = ["service", "charge", "resource"]
    driver = needs.groupby(words)["driver"].agg(set).to_dict()
    for key, part in cost[~cost["charge"].isin(COMPUTE)].groupby(words, observed=True):
        service, drivers = key[0], driver.get(key, set())
        if drivers == {"instance_hour"}:
            continue
        usd = by_month(months, part)
        if drivers == {"request"}:
            mean = _requests(months, load, str(service)).mean(axis=0)
            usd = usd * np.divide(
                _requests(months, valued, str(service)),
                mean,
                out=np.ones((valued.paths, len(mean))),
                where=mean > 0,
            )
        total += usd
    return total


def by_month(months: Months, cost: pd.DataFrame) -> Floats:
    """Effective cost of the rows by month [USD]."""
    at = np.clip(
        np.searchsorted(months.start.asi8, cost["ts"].dt.as_unit("us").astype("int64").to_numpy(), side="right") - 1,
        0,
        None,
    )
    return np.bincount(at, cost["effective_cost_usd"].to_numpy(), minlength=len(months.start)).astype(np.float64)


def _requests(months: Months, load: Load, service: str) -> Floats:
    rate = load.services[service].arrival_rate_rps
    return np.stack([months.total(path.astype(np.float64) * load.weight_h) for path in rate])


def _reaching(market: Market, signed: Signed, valued: Load) -> Mapping[str, Menu]:
    """Menus that reach the peaks of other paths, so that a load beyond those planned on is paid for
    too.
    """
    found = {}
    for s, mixes in signed.menus.items():
        top, rules = float(valued.peak(s).max()), market.rules[s]
        enough = len(mixes.reach) and float(mixes.reach.max()) >= top
        found[s] = mixes if enough else menu(offers_of(market.candidates[s], rules), rules, top)
    return found
