"""One step of a load test, and how it was driven: found by Little's law, not by one field.

Rate × mean time = requests inside = clients busy (Little 1961). Where that equals the clients there
are, each waited for its answer (a closed loop); where it is far below, most clients idled and the
rate was set from outside (open arrivals). A loop is no capacity: it slows down with the server.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from planner.errors import ScenarioError

PERCENTS = (50, 90, 95, 99)
# shares of the clients that are busy: from the first on a closed loop, up to the second open
# arrivals
_CLOSED, _OPEN = 0.9, 0.5
# a loop whose clients are not stated: how near busy clients lie to a whole number
_WHOLE = 0.05
# above this share of failed requests a step shows an overload, not a capacity
FAILURES_ALLOWED = 0.01
Driven = Literal["open", "closed"]


@dataclass(frozen=True)
class Step:
    """What a tool reports of one step; NaN where it does not say.

    ``rate_rps`` answered [requests/s], ``percentiles_s`` and ``mean_s`` of the latency [s],
    ``clients`` the tool kept (connections, users, workers), ``failure_share`` of its requests.
    ``loop``: a tool whose clients wait for their answers unless told otherwise; ``paced``: it sent
    at a rate of its own, ``corrected``: with latency counted from the time planned, so waiting
    outside counts; ``overloaded``: it was seen to fall behind that rate. ``stated``: how the user
    says it was driven.
    """

    rate_rps: float
    percentiles_s: Mapping[int, float] = field(default_factory=dict)
    mean_s: float = math.nan
    clients: float = math.nan
    failure_share: float = 0.0
    loop: bool = False
    paced: bool = False
    corrected: bool = False
    overloaded: bool = False
    stated: Driven | None = None

    def __post_init__(self) -> None:
        """Refuse figures that no test can have, and percentiles out of order."""
        _check(self)

    @property
    def busy(self) -> float:
        """Requests inside on average: rate × mean time (Little 1961), the mean from two percentiles
        on a lognormal law where it is not told.
        """
        return self.rate_rps * (_lognormal_mean(self.percentiles_s) if math.isnan(self.mean_s) else self.mean_s)

    @property
    def driven(self) -> Driven | Literal["between", "full"] | None:
        """``open`` arrivals, a ``closed`` loop, ``between`` (clients that pause between
        requests), ``full`` (a queue that grew as long as the test ran, so its times say
        nothing); ``None`` where it cannot be told.

        By the share of clients that are busy (Little 1961): closed from 0.9 on, open up to 0.5
        or where the tool sent at a rate of its own. Without a number of clients, a loop is
        closed if its busy requests are within 5 % of a whole number. What the user states wins.

        >>> Step(100.0, {50: 0.08}, mean_s=0.1, clients=10.0).driven
        'closed'
        >>> Step(100.0, {50: 0.008}, mean_s=0.01, clients=10.0).driven
        'open'
        """
        if self.stated is not None:
            return self.stated
        if self.overloaded or (self.corrected and self.busy >= _CLOSED * self.clients):
            return "full"
        if math.isfinite(self.clients) and math.isfinite(self.busy):
            share = self.busy / self.clients
            if share >= _CLOSED:
                return "closed"
            return "open" if self.paced or share <= _OPEN else "between"
        if self.paced or self.busy <= _OPEN:  # fewer than one client at work
            return "open"
        near = abs(self.busy - max(round(self.busy), 1)) <= _WHOLE * self.busy
        return "closed" if self.loop and near else None

    def inside(self) -> float:
        """Requests inside on average: of a loop its clients (more where each sends several at
        once), else the busy ones.
        """
        if self.driven != "closed":
            return self.busy
        if not math.isfinite(self.clients):
            return self.busy if self.stated else float(max(round(self.busy), 1))
        return self.busy if self.busy > 1.25 * self.clients else self.clients


def _lognormal_mean(percentiles_s: Mapping[int, float]) -> float:
    """exp(μ + σ²/2) of the law through p50 and p90 or p95 [s]; NaN without them.

    σ is held below 3, above which the mean would say nothing of the middle of the law. It lies
    for laws of two humps, such as hits and misses of a cache.
    """
    normal = {90: 1.2816, 95: 1.6449}
    upper = next((p for p in normal if p in percentiles_s), None)
    if upper is None or 50 not in percentiles_s:
        return math.nan
    sigma = math.log(percentiles_s[upper] / percentiles_s[50]) / normal[upper]
    return percentiles_s[50] * math.exp(min(sigma, 3.0) ** 2 / 2)


def _check(step: Step) -> None:
    """Raises :class:`ValueError` for a rate or time that is not above 0, a share outside 0 … 1,
    no percentile among p50, p90, p95 and p99, or percentiles that fall by more than 0.1 %.
    """
    times = {f"p{p}": v for p, v in step.percentiles_s.items()}
    for name, value in {"rate": step.rate_rps, **times}.items():
        if not math.isfinite(value) or not 0 < value < 1e9:
            raise ValueError(f"its {name} is {value:g}, not a number above 0")
    for name, value in (("mean time", step.mean_s), ("clients", step.clients)):
        if not math.isnan(value) and not 0 < value < 1e9:
            raise ValueError(f"its {name} is {value:g}, not a number above 0")
    if not 0 <= step.failure_share <= 1 + 1e-9:
        raise ValueError(f"its share of failed requests is {step.failure_share:g}")
    if not any(p in step.percentiles_s for p in PERCENTS):
        raise ValueError(
            "no latency percentile among p50, p90, p95, p99 (wrk prints them with --latency, bombardier -l)"
        )
    ordered = [step.percentiles_s[p] for p in sorted(step.percentiles_s)]
    if any(a > b * 1.001 for a, b in pairwise(ordered)):
        raise ValueError("its percentiles fall as they rise")


def points(steps: Sequence[Step], where: object, driven: Driven | None = None) -> list[dict[str, float]]:
    """Points of one machine from all its steps, as ``latency.machines`` takes them.

    All open where one rate was set for each, else all as closed steps at their mean number inside:
    throughput is concave in the number inside, so an open step counts for less, never for more.
    Failing and full steps are left out. Raises :class:`ScenarioError` where nothing is left or
    driving cannot be told.
    """
    good = [s for s in steps if s.failure_share <= FAILURES_ALLOWED]
    if not good:
        worst = max(s.failure_share for s in steps)
        raise ScenarioError(
            f"holds no step with at most {FAILURES_ALLOWED:.0%} failed requests ({worst:.1%} failed): that shows an"
            " overload, no capacity. Test again at lower load",
            where=where,
        )
    good = [replace(s, stated=driven or s.stated) for s in good]
    kinds = [s.driven for s in good]
    if None in kinds or any(k == "closed" and math.isnan(s.inside()) for s, k in zip(good, kinds, strict=True)):
        busy = next(s.busy for s, k in zip(good, kinds, strict=True) if k is None or k == "closed")
        raise ScenarioError(
            f"does not say how the test was driven ({busy:.3g} requests were inside on average, of how many clients?)."
            " Write clients: N (connections, users or workers of the test) or driven: open beside files",
            where=where,
        )
    kept = [s for s, kind in zip(good, kinds, strict=True) if kind != "full"]
    if not kept:
        raise ScenarioError(
            f"the server was full: {max(s.rate_rps for s in good):.6g} requests/s are its saturation, no rate that it"
            " bears, and times grow as long as the test runs. Test again at lower rates",
            where=where,
        )
    if all(s.driven == "open" for s in kept):
        return [_point(s) for s in _distinct(kept, "rate_rps")]
    closed = [replace(s, clients=s.inside()) for s in kept if math.isfinite(s.inside())]
    return [_point(s) | {"concurrency": s.clients} for s in _distinct(closed, "clients")]


def _distinct(steps: Sequence[Step], name: str) -> list[Step]:
    """The slower of two steps at the same load, by rising load."""
    found: dict[float, Step] = {}
    for s in sorted(steps, key=lambda s: (float(getattr(s, name)), -max(s.percentiles_s.values()))):
        found.setdefault(float(getattr(s, name)), s)
    return list(found.values())


def _point(step: Step) -> dict[str, float]:
    """A step as a point of a scenario: its rate and the percentiles it knows."""
    known = [p for p in PERCENTS if p in step.percentiles_s]
    return {
        "arrival_rate_rps": float(step.rate_rps),
        **{f"latency_p{p}_s": float(step.percentiles_s[p]) for p in known},
    }
