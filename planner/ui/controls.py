"""The sidebar: which scenario, and what to change in it.

Every control is named after the scenario field it sets (``limits.max_spot_share``), in the address bar
too, so a link carries the same overrides as ``planner plan --set`` and brings back the same view.
"""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from planner.scenario import Scenario, Service
from planner.ui import session, sources, views

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
TERMS = (0, 12, 36)
LADDER = tuple(m * 10.0**e for e in (-3, -2, -1, 0, 1) for m in (1, 1.5, 2, 3, 4, 5, 6, 8))


def scenario() -> tuple[Scenario | None, dict[str, Any]]:
    """The scenario as chosen and overridden, and the overrides; ``None`` while an upload is still to come."""
    names = [*session.bundled(), sources.UPLOAD]
    with st.sidebar:
        name = st.selectbox("Scenario", names, key="scenario", bind="query-params", on_change=_forget)
        written = sources.own_traffic() if name == sources.UPLOAD else Scenario.read(session.bundled()[name])
        if written is None:
            return None, {}
        overrides = _changed(written, _controls(written))
    return written.replace(**overrides) if overrides else written, overrides


def _forget() -> None:
    """Another scenario brings its own defaults; only what stands in the address bar is carried over."""
    for key in list(st.session_state):
        if str(key).startswith(("limits.", "services.")):
            del st.session_state[key]


def _controls(written: Scenario) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, service in written.services.items():
        with st.expander(f"Service {name}", expanded=len(written.services) == 1, icon=":material/deployed_code:"):
            values |= _service(name, service)
    st.subheader("What may be bought")
    return values | _limits(written)


def _service(name: str, service: Service) -> dict[str, Any]:
    at, values = f"services.{name}", {}
    for bound, metric, quantile, limit in service.objective.bounds():
        values[f"{at}.objective.{bound}"] = _ladder(
            f"{views.METRICS[metric]} within (seconds), {quantile:.0%} of requests".replace("%", " %"),
            f"{at}.objective.{bound}",
            LADDER,
            limit,
            0.2,
            8.0,
        )
    growth = service.growth_share_per_year.likely
    values[f"{at}.growth_share_per_year"] = st.slider(
        "Growth a year",
        min(-0.5, growth),
        max(2.0, growth),
        growth,
        0.05,
        format="percent",
        key=f"{at}.growth_share_per_year",
        bind="query-params",
        help="0 % keeps today's level; 100 % doubles it in a year.",
    )
    values[f"{at}.objective.load_quantile"] = _ladder(
        "Share of load futures to serve",
        f"{at}.objective.load_quantile",
        QUANTILES,
        service.objective.load_quantile,
        0.0,
        1e9,
        "0.95: in each hour, 95 of 100 simulated futures stay at or below the load planned for.",
    )
    return values


def _limits(written: Scenario) -> dict[str, Any]:
    limits, values = written.limits, {}
    values["limits.max_spot_share"] = st.slider(
        "Most of it on spot machines",
        0.0,
        1.0,
        limits.max_spot_share,
        0.05,
        format="percent",
        key="limits.max_spot_share",
        bind="query-params",
        help="Spot machines are cheaper but can be taken away at short notice.",
    )
    values["limits.max_term_months"] = _ladder(
        "Longest commitment (months)",
        "limits.max_term_months",
        TERMS,
        limits.max_term_months,
        0,
        1e9,
        "0: sign nothing. 12 and 36: reservations and savings plans of one or three years.",
    )
    values["limits.zones"] = st.slider(
        "Zones used",
        1,
        max(4, limits.zones),
        limits.zones,
        key="limits.zones",
        bind="query-params",
        help="Availability zones over which machines are spread evenly.",
    )
    if values["limits.zones"] > 1:
        values["limits.zones_lost"] = st.slider(
            "Zones that may fail",
            0,
            values["limits.zones"] - 1,
            min(limits.zones_lost, values["limits.zones"] - 1),
            key="limits.zones_lost",
            bind="query-params",
            help="The rest must still carry the whole load.",
        )
    else:
        values["limits.zones_lost"] = 0
    return values


def _ladder(label: str, key: str, steps: Iterable[float], own: float, low: float, high: float, words: str | None = None) -> Any:
    """A slider over round steps; the scenario's own value is always one of them. ``low`` and ``high`` are multiples of it."""
    options = sorted({s for s in steps if not own or low * own <= s <= high * own} | {own})
    return st.select_slider(label, options, own, format_func=lambda v: f"{v:g}", key=key, bind="query-params", help=words)


def _changed(written: Scenario, values: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from the scenario as written, so that ranges and unset fields of the file stay as they are."""
    return {path: value for path, value in values.items() if value != _current(written, path)}


def _current(written: Scenario, path: str) -> Any:
    at: Any = written
    for part in path.split("."):
        at = at[part] if isinstance(at, dict) else getattr(at, part)
    return at.likely if path.endswith("growth_share_per_year") else at
