"""The break-even curve: cost of a million tokens on machines of one's own at many loads, beside
what managed APIs ask.

An API's bill is a line through zero; the own bill begins at what must stand ready at all. With a
load multiple k, own cost C(k) and tokens k·N, own cost of a million tokens is C(k)/(k·N)·10⁶; the
crossing is the smallest k at which it is at most the API's. Each C(k) is a whole plan: machines,
disks, network, zones and idle hours are in it. Between two plans C is taken as a line.

When it lies: an API promises no latency and may serve other precisions; work of people on either
side is not counted unless the scenario states it (``other_costs``); the own side rests on the
modeled throughput, whose error the plan's headroom carries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from planner.breakeven.prices import ApiPrice, api_prices, priced
from planner.capacity import size
from planner.catalog import Catalog
from planner.errors import InfeasiblePlan, ScenarioError
from planner.load import Load, forecast, read_histories
from planner.optimizer import optimize
from planner.plan import Plan
from planner.scenario import Scenario

MULTIPLES = (0.03, 0.1, 0.3, 1.0, 3.0)
_M = 1e6


class Point(NamedTuple):
    """Own cost at one load: ``multiple`` of the scenario's, ``tokens`` a month, USD a month, and
    USD a million tokens: expected, and between P10 and P90 of the paths; NaN with the reason in
    ``error``.
    """

    multiple: float
    tokens: float
    usd_per_month: float
    usd: float
    low_usd: float
    high_usd: float
    error: str


@dataclass(frozen=True)
class BreakEven:
    """Own machines against APIs for one service.

    ``input_share``: of its tokens; ``points`` by rising load; ``offers``: APIs with their price of
    a million tokens of this mix [USD], cheapest first.
    """

    service: str
    weights: str
    input_share: float
    cached_share: float
    points: tuple[Point, ...]
    offers: tuple[tuple[ApiPrice, float], ...]

    def crossing(self, api_usd: float, side: str = "usd") -> float:
        """Smallest load multiple at which own machines cost at most ``api_usd`` a million tokens.

        ``side``: ``usd``, ``low_usd`` or ``high_usd`` of the points. Infinite where they do not up
        to the largest load that was planned; the smallest one where they do already there.
        """
        known = [(p.multiple, getattr(p, side)) for p in self.points if np.isfinite(getattr(p, side))]
        if known and known[0][1] <= api_usd:
            return known[0][0]
        for (k0, u0), (k1, u1) in pairwise(known):
            if u0 > api_usd >= u1:
                return _meets(k0, k0 * u0, k1, k1 * u1, api_usd)
        return float("inf")

    def span(self, api_usd: float) -> tuple[float, float, float]:
        """The crossing at the own side's low, expected and high cost: the honest range of it."""
        low, likely, high = (self.crossing(api_usd, side) for side in ("low_usd", "usd", "high_usd"))
        return low, likely, high


def break_even(
    scenario: Scenario,
    service: str = "",
    *,
    multiples: Sequence[float] = MULTIPLES,
    apis: Sequence[str] = (),
    prices: Sequence[ApiPrice] = (),
    cached_share: float = 0.0,
    catalog: Catalog | None = None,
    paths: int = 50,
    progress: Callable[[str], None] = lambda _: None,
) -> BreakEven:
    """Plan one language-model service at ``multiples`` of its load and set it beside managed APIs.

    ``service`` may be left out where there is one; ``apis``: names from the table in place of all
    that serve the same weights; ``cached_share`` of the input would be read from the API's cache.
    Raises :class:`ScenarioError` for a service without tokens, :class:`CatalogError` where no API
    is known, and any :class:`PlannerError` of the stages but an infeasible load, which is told in
    its point.
    """
    name = service or _only(scenario)
    offers = priced(prices or api_prices(), _weights(scenario, name), apis)
    alone = scenario.model_copy(update={"services": {name: scenario.services[name]}, "today": None})
    catalog = Catalog.read(*alone.providers, regions=alone.regions) if catalog is None else catalog
    progress("forecasting load")
    load = forecast(read_histories(alone), alone, paths=paths)
    tokens = load.services[name].tokens
    if tokens is None:
        raise ScenarioError(f"services.{name}: its history holds no token counts", where=scenario.name)
    points = []
    for k in sorted(set(multiples)):
        progress(f"planning {k:g} times the load")
        points.append(_point(k, alone, name, load, catalog))
    mean = (tokens.mean_input_tokens, tokens.mean_output_tokens)
    share = mean[0] / sum(mean)
    ranked = sorted(((p, p.usd_per_1m_tokens(share, cached_share)) for p in offers), key=lambda pair: pair[1])
    return BreakEven(name, _weights(scenario, name), share, cached_share, tuple(points), tuple(ranked))


def _only(scenario: Scenario) -> str:
    """The one service that serves a language model. Raises :class:`ScenarioError`."""
    found = [name for name, s in scenario.services.items() if s.latency.model == "llm"]
    if len(found) != 1:
        raise ScenarioError(
            f"{len(found)} services serve a language model ({', '.join(found) or 'none'}); name one: --service NAME",
            where=scenario.name,
        )
    return found[0]


def _weights(scenario: Scenario, name: str) -> str:
    if name not in scenario.services:
        raise ScenarioError(
            f"no such service: {name}; services are {', '.join(scenario.services)}",
            where=scenario.name,
        )
    return str(scenario.services[name].latency.parameters.get("weights", ""))


def _point(k: float, scenario: Scenario, name: str, load: Load, catalog: Catalog) -> Point:
    """The plan of ``k`` times the load, as USD a million tokens."""
    service = load.services[name]
    more = replace(load, services={name: replace(service, arrival_rate_rps=service.arrival_rate_rps * np.float32(k))})
    try:
        plan = optimize(scenario, more, size(scenario, catalog, more), catalog)
    except InfeasiblePlan as error:
        nan = float("nan")
        return Point(k, nan, nan, nan, nan, nan, str(error))
    return _priced(k, plan, more, name)


def _priced(k: float, plan: Plan, load: Load, name: str) -> Point:
    """A bill rises with its volume: each quantile of the bills is held against the same quantile of
    the tokens.
    """
    mix = load.services[name].tokens
    each = 0.0 if mix is None else mix.mean_input_tokens + mix.mean_output_tokens
    tokens = load.volume(name) * each
    figures = plan.summary()
    units = [figures[f"p{q}_usd"] / float(np.quantile(tokens, q / 100)) * _M for q in (10, 90)]
    total, mean = figures["total_usd"], float(tokens.mean())
    usd = total / mean * _M
    low, high = min(*units, usd), max(*units, usd)
    return Point(k, mean / plan.months, total / plan.months, usd, low, high, "")


def _meets(k0: float, c0: float, k1: float, c1: float, usd: float) -> float:
    """Where the line of costs through (k0, c0) and (k1, c1) meets ``usd``·k."""
    slope = (c1 - c0) / (k1 - k0)
    return (c0 - slope * k0) / (usd - slope)
