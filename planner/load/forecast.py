"""From histories to load paths on the scenario's calendar: shape × growth × events, with what is
not known as spread.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load import growth, thin
from planner.load.clock import week_slots
from planner.load.outlook import Outlook, fit, shaped, weeks_of
from planner.load.paths import Load, ServiceLoad
from planner.load.traffic import Traffic
from planner.scenario import Scenario, Service

MIN_HOURS = 24
STALE_H = 366 * 24  # a history that ends longer ago than this says nothing about the level since


def forecast(
    traffic: Traffic | Mapping[str, Traffic], scenario: Scenario, *, paths: int = 200, seed: int | None = None
) -> Load:
    """Sample paths of every service's load on the scenario's hours.

    ``paths`` equally likely futures; path k of all services happens together.  Rate of an hour
    [requests/s] = history's shape in the users' wall clock × residuals drawn in blocks × (1 +
    growth)^years × events.  ``seed`` defaults to the scenario's; the same seed gives the same
    bytes.  Beyond the history growth is the user's, not a trend of the data. Raises
    :class:`TrafficError` if a service has no history or less than a day of it.

    ``traffic``: history by service (:func:`read_histories`). The paths' hourly quantiles are those
    of :func:`planner.load.forecast_quantiles`; growth and events are drawn for each path from their
    ranges; what the history is too thin to show widens the year by what public series did after as
    little (:mod:`planner.load.thin`). It lies where the future holds a shape the past never had.
    """
    if paths < 1:
        raise TrafficError("at least one path is needed", got=paths)
    histories = _by_service(traffic, scenario)
    ts = pd.date_range(scenario.start_utc, periods=scenario.horizon_h, freq="h", unit="us")
    root = scenario.seed if seed is None else seed
    notes: list[str] = []
    outlooks = {name: _outlook(name, histories[name], scenario, notes) for name in scenario.services}
    weeks = _past_weeks(outlooks, ts, paths, np.random.default_rng([root, 1]))
    score = thin.scores(paths, np.random.default_rng([root, 2]))
    services = {}
    for name, service in scenario.services.items():
        rng = np.random.default_rng([root, zlib.crc32(name.encode())])
        drawn = (weeks[name], score)
        services[name] = _service(name, service, histories[name], outlooks[name], scenario, ts, drawn, rng, notes)
    return Load(ts, np.ones(len(ts)), services, tuple(notes))


def _by_service(traffic: Traffic | Mapping[str, Traffic], scenario: Scenario) -> Mapping[str, Traffic]:
    """The history of each service. Raises :class:`TrafficError` for one history given to several
    services, and for services without any.
    """
    if isinstance(traffic, Traffic):
        if len(scenario.services) > 1:
            raise TrafficError(
                "one history was given for several services",
                where=scenario.name,
                got=list(scenario.services),
                remedy="Give a mapping of service name to history, as read_histories(scenario) returns",
            )
        return {next(iter(scenario.services)): traffic}
    missing = [n for n in scenario.services if n not in traffic]
    if missing:
        raise TrafficError(
            "these services have no traffic history",
            where=scenario.name,
            got=missing,
            remedy="Read one for each service",
        )
    return traffic


def _outlook(name: str, traffic: Traffic, scenario: Scenario, notes: list[str]) -> Outlook:
    """What the forecast of one service stands on: its stated shape, or the fit of its history.
    Repairs of the history and doubts of the fit go to the notes.

    Raises :class:`TrafficError` for less than a day of observed hours. Below two weeks all days
    are taken alike, and the notes say so.
    """
    zone = traffic.user_time_zone or scenario.time_zone
    if traffic.stated is not None and traffic.shape is not None:
        likely = traffic.stated.likely / 86_400
        return shaped(traffic.shape, likely, pd.Timestamp(scenario.start_utc), zone, traffic.holidays)
    history = traffic.hourly()
    seen = int(history.notna().sum())
    if seen < MIN_HOURS:
        raise TrafficError(
            f"the history holds {seen} observed hours; {MIN_HOURS} are the least a daily shape needs",
            where=f"{name}: {traffic.source}",
            remedy="Export at least three days, better eight weeks",
        )
    notes += [f"{name}: {line}" for line in traffic.quality.loc[traffic.quality["kind"] != "noted", "detail"]]
    found = fit(history, zone, traffic.holidays)
    notes += [f"{name}: {line}" for line in found.notes]
    if seen < 14 * 24:
        notes.append(f"{name}: {seen / 24:.0f} days of history cannot show a weekly season: all days are taken alike")
    return found


def _past_weeks(
    outlooks: Mapping[str, Outlook], ts: pd.DatetimeIndex, paths: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Past weeks (paths, weeks) each path takes its surprises from: the same calendar weeks for
    all services whose histories overlap.

    An overlap of four weeks or more is needed. Without it each service draws weeks of its own,
    and their surprises are independent, which flatters a fleet that they share.
    """
    count = max(int(weeks_of(ts, o.zone)[1][-1]) for o in outlooks.values()) + 1
    drawn = rng.random((paths, count))
    start = max(int(o.week_start.min()) for o in outlooks.values())
    end = min(int(o.week_start.max()) for o in outlooks.values())
    if end - start >= 4 * 168:
        return dict.fromkeys(outlooks, start + drawn * (end - start))
    found = {}
    for number, (name, o) in enumerate(outlooks.items()):
        own = drawn if number == 0 else rng.random((paths, count))
        found[name] = o.week_start.min() + own * (o.week_start.max() - o.week_start.min())
    return found


def _service(
    name: str,
    service: Service,
    traffic: Traffic,
    outlook: Outlook,
    scenario: Scenario,
    ts: pd.DatetimeIndex,
    drawn: tuple[Floats, Floats],
    rng: np.random.Generator,
    notes: list[str],
) -> ServiceLoad:
    """Load of one service: rate = max(0, paths · level · growth · events + added), shape
    (paths, hours) [requests/s].

    ``drawn``: the past weeks of each path and its normal score of the level. Rates below 1e-9
    are 0. Latencies observed in production hold the bursts within an hour already, so for such a
    model no burst is added.
    """
    weeks, score = drawn
    paths = len(weeks)
    anchor = _anchor(name, traffic, ts[0], notes)
    base = outlook.median(ts)
    noisy = outlook.sample(ts, paths, weeks, rng)
    if traffic.shape is not None:
        noisy *= traffic.shape.variants(week_slots(ts, outlook.zone), paths, rng)
    if traffic.stated is not None:
        noisy *= growth.draw(traffic.stated, paths, rng)[:, None] / traffic.stated.likely
    factor = growth.growth_factor(service.growth_share_per_year, ts, anchor, paths, rng)
    multiplier, added = growth.event_effects(service.events, ts, scenario.time_zone, paths, rng)
    notes += [f"{name}: {line}" for line in growth.without_effect(service.events, ts, scenario.time_zone)]
    known_d = _known_days(traffic)
    level = thin.level_factor(known_d, ts, anchor, score, factor)
    if told := thin.said(known_d, len(ts) / 24, traffic.stated is not None):
        notes.append(f"{name}: {told}")
    rate = np.maximum(noisy * level * factor * multiplier + added, 0.0).astype(np.float32)
    rate[rate < 1e-9] = 0.0  # less than one request in thirty years is none
    share = _range_share(base, noisy, level, factor, multiplier, added)
    seen = service.latency.holds_bursts
    if seen and traffic.burst_factor > 1:
        notes.append(f"{name}: no bursts are added within the hour, the percentiles observed in production hold them")
    return ServiceLoad(
        rate,
        1.0 if seen else traffic.burst_factor,
        "measured" if seen else traffic.burst_basis,
        traffic.arrival_scv,
        traffic.arrival_basis,
        traffic.tokens,
        share,
    )


def _anchor(name: str, traffic: Traffic, start: pd.Timestamp, notes: list[str]) -> pd.Timestamp:
    """From when growth counts: the end of the history, or the start of the plan if the history is
    stale.
    """
    age_h = (start - traffic.end).total_seconds() / 3600
    if age_h < 0:
        notes.append(
            f"{name}: history reaches to {traffic.end:%Y-%m-%d}, past the plan's start; its hours are forecast all the"
            " same"
        )
    if age_h <= STALE_H:
        return traffic.end
    notes.append(
        f"{name}: the history ends {traffic.end:%Y-%m-%d}, {age_h / 8766:.1f} years before the plan starts: its level"
        " is taken as the level at the start (growth counts from there), its seasons are aligned by the users'"
        " wall-clock hour of the week"
    )
    return start


def _known_days(traffic: Traffic) -> float:
    """Days that were observed; one where the user states what a day holds."""
    return 1.0 if traffic.stated is not None else float(traffic.hourly().notna().sum()) / 24


def _range_share(
    base: Floats, noisy: Floats, level: Floats, factor: Floats, multiplier: Floats, added: Floats
) -> dict[str, float]:
    """Shares of the variance of the horizon's volume when only one source varies at a time:
    ``noise`` of hours and weeks, ``history`` too thin to show the year, the user's
    ``growth`` and ``events``.

    The others stand at their medians meanwhile. What sources do together (growth times
    an event) belongs to none, so the shares are of the sum of the four variances and
    not of the variance itself.
    """
    growth_mid, event_mid, added_mid = (
        np.median(factor, axis=0),
        np.median(multiplier, axis=0),
        np.median(added, axis=0),
    )
    volumes = {
        "noise": noisy @ (growth_mid * event_mid),
        "history": level @ (base * growth_mid * event_mid),
        "growth": factor @ (base * event_mid),
        "events": multiplier @ (base * growth_mid) + (added - added_mid).sum(axis=1),
    }
    variance = {k: float(v.var()) for k, v in volumes.items()}
    total = sum(variance.values())
    return {k: v / total if total > 0 else 0.0 for k, v in variance.items()}
