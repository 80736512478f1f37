"""What production shows of a service: CPU seconds a request, and the shape of the rest.

Utilization law: U·v = u₀·v + r·D, with U the CPU utilization, v vCPUs, r requests/s of a machine, D
CPU seconds a request, u₀ what runs without requests (Denning & Buzen 1978). The percentiles then
give the scv of the CPU time and the mean and scv of the time without CPU.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.arrays import Floats, Index
from planner.errors import ScenarioError
from planner.latency.observed.response import Shape
from planner.latency.queue.service_law import ServiceLaw

QUANTILES = (0.5, 0.9, 0.95, 0.99)
# rates must differ by this much before an idle share can be told from the cost of a request
_SPREAD = 0.15
_BINS, _FOLDS = 8, 7
# log widths of what is believed before any percentile is seen: scv and its like about 1
_PRIOR = 1.0
_SCV = (0.05, 8.0)
_ERROR = 0.08  # log error of a measured percentile, that of the law included
_SETTLED = 0.02  # log width of an scv that is decided
_AWAY = 5.0  # keeps the variables of the fit away from 0, where relative steps vanish
# half of the 90 % band of goodput where too few points leave nothing to test on
_FEW_ERRORS = {1: 0.15, 2: 0.12}
_NO_TIMES_ERROR = 0.3  # no percentile: exponential CPU times and nothing else are assumed
LEAST_ERROR = 0.05


@dataclass(frozen=True)
class Observations:
    """Points of production, arrays (n,): ``rate_rps`` of one machine [requests/s], ``utilization``
    of its CPU (0 to 1), ``percentiles_s`` (n, 4) of p50, p90, p95, p99 [s, NaN unknown], ``day`` a
    number for each day.
    """

    rate_rps: Floats
    utilization: Floats
    percentiles_s: Floats
    day: Floats

    def __getitem__(self, rows: Index) -> "Observations":
        """Some rows of every array."""
        return Observations(self.rate_rps[rows], self.utilization[rows], self.percentiles_s[rows], self.day[rows])


@dataclass(frozen=True)
class Fitted:
    """A service as production shows it: ``cpu_s`` a request, ``idle_share``, ``shape``, half of the
    90 % band ``error_share`` and where it comes from.
    """

    cpu_s: float
    idle_share: float
    shape: Shape
    error_share: float
    told: str


def utilization_law(seen: Observations, vcpus: float) -> tuple[float, float]:
    """CPU seconds a request and the idle share, by least squares; through the origin where rates
    hardly differ. Raises :class:`ScenarioError` where CPU does not grow with the rate.

    U = u₀ + r·D/v over the observations, D = slope · v. Fewer than three points, or rates that
    spread over less than 15 % of their mean, cannot part u₀ from D: all CPU is then laid to the
    requests, which overstates D. A u₀ that comes out negative is taken as 0. It lies where other
    work on the machine rises and falls with the requests.
    """
    r, u = seen.rate_rps, seen.utilization
    origin = float(r @ u / (r @ r)) * vcpus
    if len(r) < 3 or np.ptp(r) < _SPREAD * r.mean():
        return origin, 0.0
    slope, idle = np.polyfit(r, u, 1)
    if slope <= 0:
        raise ScenarioError(
            "the CPU utilization does not grow with the rate, so it is not these requests that use it. Give the rate"
            " and CPU of the same machines and hours"
        )
    return (float(slope) * vcpus, float(idle)) if idle > 0 else (origin, 0.0)


def fit(seen: Observations, vcpus: float) -> Fitted:
    """The service behind the observations, and how well it predicts days that it was not shown.

    With three days or more ``error_share`` is the 90 % quantile of the log errors on days kept
    apart, at least 5 % and at most 90 %; with fewer a stated band (15 % of one point, 12 % of
    two, 10 % of more), and 30 % without any latency, where exponential CPU times and no
    waiting elsewhere are assumed.

    Raises :class:`ScenarioError` as :func:`utilization_law` does, and where the CPU time alone
    is longer than a request was seen to take.
    """
    cpu_s, idle = utilization_law(seen, vcpus)
    binned = _binned(seen)
    shape = _shape(binned, vcpus, cpu_s, None)
    _refuse_impossible(binned, cpu_s)
    if np.isnan(seen.percentiles_s).all():
        return Fitted(cpu_s, idle, shape, _NO_TIMES_ERROR, f"{_points(len(seen.rate_rps))}, no latency among them")
    errors = _held_out(seen, vcpus, shape)
    if errors is None:
        return Fitted(cpu_s, idle, shape, _FEW_ERRORS.get(len(seen.rate_rps), 0.1), _points(len(seen.rate_rps)))
    band = max(float(np.quantile(errors, 0.9)), LEAST_ERROR)
    days = len(np.unique(seen.day))
    return Fitted(cpu_s, idle, shape, min(band, 0.9), f"{days} days, each predicted from the others within {band:.0%}")


def _points(count: int) -> str:
    return f"{count} {'point' if count == 1 else 'points'}, too few to test on"


def _binned(seen: Observations) -> Observations:
    """Medians of equal groups by utilization: what is fitted."""
    if len(seen.rate_rps) <= _BINS:
        return seen
    groups = np.array_split(np.argsort(seen.utilization, kind="stable"), _BINS)
    rate, used = (np.array([np.median(v[g]) for g in groups]) for v in (seen.rate_rps, seen.utilization))
    return Observations(rate, used, np.array([_medians(seen.percentiles_s[g]) for g in groups]), np.zeros(len(groups)))


def _medians(rows: Floats) -> Floats:
    """Median of each column without its NaN; NaN where it has no value."""
    return np.array([float(np.median(c[~np.isnan(c)])) if (~np.isnan(c)).any() else math.nan for c in rows.T])


def _shape(seen: Observations, vcpus: float, cpu_s: float, start: Shape | None) -> Shape:
    """The maximum a posteriori of log scv, log scv elsewhere (normal about 1) and the time
    elsewhere, from starts on both sides of exponential.
    """
    from scipy.optimize import least_squares

    servers, known = max(round(vcpus), 1), ~np.isnan(seen.percentiles_s)
    if not known.any():
        return Shape(ServiceLaw.of(1.0), 0.0, 1.0)
    measured = np.log(seen.percentiles_s[known] / cpu_s)

    def of(x: Floats) -> Shape:
        scv, elsewhere = (round(math.exp(v - _AWAY), 6) for v in (x[0], x[2]))
        return Shape(ServiceLaw.of(scv), (x[1] - _AWAY) ** 2, elsewhere)

    def residual(x: Floats, scv: float = _AWAY, sure: float = _PRIOR) -> Floats:
        model = np.array([of(x).quantiles(servers, float(u), QUANTILES) for u in seen.utilization])
        beliefs = [(x[0] - scv) / sure, (x[2] - _AWAY) / _PRIOR]
        return np.concatenate([(np.log(model[known]) - measured) / _ERROR, beliefs])

    def solved(first: Floats, *belief: float) -> Any:
        return least_squares(
            residual,
            np.clip(first, low + 1e-3, high - 1e-3),
            bounds=(low, high),
            diff_step=2e-3,
            xtol=1e-4,
            ftol=1e-4,
            max_nfev=25,
            args=belief,
        )

    low, high = (
        np.array([math.log(scv), most, math.log(scv)]) + _AWAY for scv, most in zip(_SCV, (0, 100), strict=True)
    )
    typical = math.sqrt(max(float(np.median(np.exp(measured))) - 1.0, 0.05))
    starts = [(scv, typical, 1.0) for scv in (0.3, 2.0)]
    if start is not None:
        starts = [(start.cpu.scv, math.sqrt(start.elsewhere), start.elsewhere_scv)]
    tries = [solved(np.array([math.log(a), b, math.log(c)]) + _AWAY) for a, b, c in starts]
    # where the percentiles leave several laws open, one between them by their likelihood
    weight = np.exp(min(float(t.cost) for t in tries) - np.array([float(t.cost) for t in tries]))
    between = weight @ np.array([t.x for t in tries]) / weight.sum()
    return of(solved(between, float(between[0]), _SETTLED).x if len(tries) > 1 else tries[0].x)


def _refuse_impossible(seen: Observations, cpu_s: float) -> None:
    """A request whose median is far below the CPU it uses runs on several vCPUs at once, or the
    rate is of something else.
    """
    medians = seen.percentiles_s[:, 0][~np.isnan(seen.percentiles_s[:, 0])]
    slowest = np.where(np.isnan(seen.percentiles_s), -np.inf, seen.percentiles_s).max(axis=1)
    slowest = slowest[np.isfinite(slowest)]
    if (len(medians) and float(np.median(medians)) < 0.2 * cpu_s) or (slowest < 0.5 * cpu_s).any():
        raise ScenarioError(
            f"each request uses {cpu_s * 1e3:.3g} ms of CPU, more than it was seen to take. Give the rate of all"
            " requests that use this CPU, and its utilization over all vCPUs (0 to 1)"
        )


def _held_out(seen: Observations, vcpus: float, shape: Shape) -> Floats | None:
    """|log error| of CPU and slowest percentile of each day, predicted from the other days;
    ``None`` with fewer than three.
    """
    days = np.unique(seen.day)
    if len(days) < 3:
        return None
    errors: list[float] = []
    for group in np.array_split(days, min(_FOLDS, len(days))):
        out: Index = np.flatnonzero(np.isin(seen.day, group))
        rest: Index = np.flatnonzero(~np.isin(seen.day, group))
        cpu_s, idle = utilization_law(seen[rest], vcpus)
        trial = _shape(_binned(seen[rest]), vcpus, cpu_s, shape)
        errors += _misses(_binned(seen[out]), vcpus, cpu_s, idle, trial)
    return np.array(errors)


def _misses(seen: Observations, vcpus: float, cpu_s: float, idle: float, shape: Shape) -> list[float]:
    """Log errors of each row: |ln(ρ / utilization seen)|, and |ln(model / seen)| of its highest
    known percentile where ρ < 1.
    """
    errors = []
    for rate, used, row in zip(seen.rate_rps, seen.utilization, seen.percentiles_s, strict=True):
        rho = idle + rate * cpu_s / vcpus
        errors.append(abs(math.log(rho / used)))
        known = np.flatnonzero(~np.isnan(row))
        if len(known) and rho < 1:
            k = int(known[-1])
            model = float(shape.quantiles(max(round(vcpus), 1), rho, QUANTILES)[k]) * cpu_s
            errors.append(abs(math.log(model / row[k])))
    return errors
