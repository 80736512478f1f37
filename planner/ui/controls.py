"""The controls: which scenario, and what to change in it.

Every control is named after the scenario field it sets (``limits.max_spot_share``), in the address
bar too, so a link carries the same overrides as ``planner plan --set`` and brings back the same
view.  Where two scenarios stand side by side, the names of each begin with its letter
(``b.limits.max_spot_share``).
"""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from planner.scenario import Scenario, Service
from planner.show import words
from planner.ui import session, sources

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
TERMS = (0, 12, 36)
LADDER = tuple(float(f"{m}e{e}") for e in (-3, -2, -1, 0, 1) for m in (1, 1.5, 2, 3, 4, 5, 6, 8))


def scenario() -> tuple[Scenario | None, dict[str, Any]]:
    """The scenario as chosen and overridden, and the overrides; ``None`` while an upload is still
    to come.
    """
    with st.sidebar:
        name = _choose("", [*session.bundled(), sources.UPLOAD], 0)
        written = sources.own_traffic() if name == sources.UPLOAD else Scenario.read(session.bundled()[name])
        if written is None:
            return None, {}
        return _overridden(written, "")


def side(letter: str, first: int) -> tuple[Scenario, dict[str, Any]]:
    """One of two scenarios side by side, its controls folded away; ``first`` is the sample it
    begins with.
    """
    name = _choose(f"{letter}.", list(session.bundled()), first)
    with st.popover("Change it", icon=":material/tune:", width="stretch"):
        return _overridden(Scenario.read(session.bundled()[name]), f"{letter}.")


def steps(written: Scenario, path: str) -> list[Any]:
    """The values a control offers for a field of the scenario, such as ``limits.zones``; used to
    draw trade-offs.
    """
    own = current(written, path)
    if path.endswith("load_quantile"):
        return sorted({*QUANTILES, own})
    if ".objective." in path:
        return sorted({v for v in LADDER if own / 2.1 <= v <= own * 3.1} | {own})
    ladders: dict[str, tuple[Any, ...]] = {
        "limits.max_spot_share": (0.0, 0.2, 0.4, 0.6, 0.8),
        "limits.max_term_months": TERMS,
        "limits.zones": (2, 3, 4),
        "limits.zones_lost": tuple(range(written.limits.zones)),
    }
    return sorted({*ladders.get(path, (0.0, 0.25, 0.5, 1.0)), own})


def current(written: Scenario, path: str) -> Any:
    """The value of a dotted field; of an uncertain growth its likely value."""
    at: Any = written
    for part in path.split("."):
        at = at[part] if isinstance(at, dict) else getattr(at, part)
    return at.likely if path.endswith("growth_share_per_year") else at


def told(overrides: dict[str, Any]) -> str:
    """The overrides in words, such as ``limits.zones = 3``."""
    return ", ".join(f"{path} = {value:,.7g}" for path, value in overrides.items())


def _choose(prefix: str, names: list[str], first: int) -> str:
    return str(
        st.selectbox(
            "Scenario", names, first, key=f"{prefix}scenario", bind="query-params", on_change=_forget, args=(prefix,)
        )
    )


def _forget(prefix: str) -> None:
    """Another scenario brings its own defaults; only what stands in the address bar is carried
    over.
    """
    for key in list(st.session_state):
        if str(key).startswith((f"{prefix}limits.", f"{prefix}services.")):
            del st.session_state[key]


def _overridden(written: Scenario, prefix: str) -> tuple[Scenario, dict[str, Any]]:
    """Only what differs from the scenario as written is set, so that its ranges and unset fields
    stay as they are.
    """
    values: dict[str, Any] = {}
    for name, service in written.services.items():
        with st.expander(f"Service {name}", expanded=len(written.services) == 1, icon=":material/deployed_code:"):
            values |= _service(prefix, f"services.{name}", service)
    st.subheader("What may be bought")
    values |= _limits(prefix, written)
    changed = {path: value for path, value in values.items() if value != current(written, path)}
    return (written.replace(**changed) if changed else written), changed


def _service(prefix: str, at: str, service: Service) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for bound, metric, quantile, limit in service.objective.bounds():
        label = f"{words.METRICS[metric]} within (seconds), {quantile:.0%} of requests".replace("%", " %")
        values[f"{at}.objective.{bound}"] = _ladder(
            prefix, f"{at}.objective.{bound}", label, [v for v in LADDER if limit / 5 <= v <= limit * 8], limit
        )
    growth = service.growth_share_per_year.likely
    path = f"{at}.growth_share_per_year"
    values[path] = st.slider(
        "Growth a year",
        min(-0.5, growth),
        max(2.0, growth),
        growth,
        0.05,
        format="percent",
        key=f"{prefix}{path}",
        bind="query-params",
        help="0 % keeps today's level; 100 % doubles it in a year.",
    )
    path = f"{at}.objective.load_quantile"
    values[path] = _ladder(
        prefix,
        path,
        "Share of load futures to serve",
        QUANTILES,
        service.objective.load_quantile,
        "0.95: in each hour, 95 of 100 simulated futures stay at or below the load planned for.",
    )
    return values


def _limits(prefix: str, written: Scenario) -> dict[str, Any]:
    limits, values = written.limits, {}
    path = "limits.max_spot_share"
    values[path] = st.slider(
        "Most of it on spot machines",
        0.0,
        1.0,
        limits.max_spot_share,
        0.05,
        format="percent",
        key=f"{prefix}{path}",
        bind="query-params",
        help="Spot machines are cheaper but can be taken away at short notice.",
    )
    path = "limits.max_term_months"
    values[path] = _ladder(
        prefix,
        path,
        "Longest commitment (months)",
        TERMS,
        limits.max_term_months,
        "0: sign nothing. 12 and 36: reservations and savings plans of one or three years.",
    )
    path = "limits.zones"
    zones = st.slider(
        "Zones used",
        1,
        max(4, limits.zones),
        limits.zones,
        key=f"{prefix}{path}",
        bind="query-params",
        help="Availability zones over which machines are spread evenly.",
    )
    values |= {path: zones, "limits.zones_lost": 0}
    if zones > 1:
        path = "limits.zones_lost"
        values[path] = st.slider(
            "Zones that may fail",
            0,
            zones - 1,
            min(limits.zones_lost, zones - 1),
            key=f"{prefix}{path}",
            bind="query-params",
            help="The rest must still carry the whole load.",
        )
    path = "limits.budget_usd_per_month"
    values[path] = st.number_input(
        "Budget a month (USD)",
        1.0,
        None,
        limits.budget_usd_per_month,
        100.0,
        format="%.0f",
        key=f"{prefix}{path}",
        bind="query-params",
        placeholder="no limit",
    )
    return values


def _ladder(prefix: str, path: str, label: str, offered: Iterable[float], own: float, words: str | None = None) -> Any:
    """A slider over round steps; the scenario's own value is always one of them."""
    options = sorted({*offered, own})
    return st.select_slider(
        label, options, own, format_func=lambda v: f"{v:g}", key=f"{prefix}{path}", bind="query-params", help=words
    )
