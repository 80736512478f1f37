"""The controls: which scenario, and what to change in it.

Every control is named after the scenario field it sets (``limits.max_spot_share``), in the address
bar too, so a link carries the same overrides as ``planner plan --set`` and brings back the same
view.  A value that a link brings joins the steps of its control; what cannot be used is named
(:func:`ignored`).  Where two scenarios stand side by side, the names of each begin with its letter
(``b.limits.max_spot_share``).
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import streamlit as st

from planner.errors import PlannerError
from planner.scenario import Range, Scenario, Service
from planner.show import words
from planner.ui import kept, session, uploads

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
TERMS = (0, 12, 36)
LADDER = tuple(float(f"{m}e{e}") for e in (-3, -2, -1, 0, 1) for m in (1, 1.5, 2, 3, 4, 5, 6, 8))
GROWTH = "growth_share_per_year"


def scenario() -> tuple[Scenario, dict[str, Any]]:
    """The scenario as chosen and overridden in the sidebar, and the overrides."""
    with st.sidebar:
        return _overridden(read(_choose("", 0)), "")


def side(letter: str, first: int) -> tuple[Scenario, dict[str, Any]]:
    """One of two scenarios side by side, its controls folded away; ``first`` is the sample it
    begins with.
    """
    written = read(_choose(f"{letter}.", first))
    with st.popover("Change it", icon=":material/tune:", width="stretch"):
        return _overridden(written, f"{letter}.")


def offered() -> list[str]:
    """Scenarios to choose from: the samples, what this session uploaded or was linked to, and the
    newest of the store.
    """
    own: list[str] = st.session_state.setdefault("own", [])
    for key in ("scenario", "a.scenario", "b.scenario"):
        linked = st.query_params.get(key, "")
        if linked not in own and (uploads.find(linked) is not None or kept.known(linked)):
            own.append(linked)
    return list(dict.fromkeys([*session.bundled(), *own, *kept.labels()]))


def read(name: str) -> Scenario:
    """A scenario by the name under which it is offered."""
    if name in session.bundled():
        return Scenario.read(session.bundled()[name])
    own = uploads.find(name)
    return kept.read(name) if own is None else Scenario.from_yaml(own[0], where="your answers", folder=own[1])


def chosen() -> Scenario:
    """The scenario chosen in the sidebar, as written."""
    return read(str(st.session_state["scenario"]))


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
    at = written.at(path)
    return at.likely if path.endswith(GROWTH) else at


def moved(written: Scenario, path: str, value: Any) -> Any:
    """What a control writes into its field: an uncertain growth keeps its low and high ends at
    their distance.
    """
    if not path.endswith(GROWTH):
        return value
    growth: Range = written.at(path)
    if growth.certain:
        return value
    below, above = growth.likely - growth.low, growth.high - growth.likely
    ends = {"low": max(-1.0, value - below), "likely": value, "high": value + above}
    return {end: round(share, 9) for end, share in ends.items()}


def told(overrides: dict[str, Any]) -> str:
    """The overrides in words, such as "the zones used: 3"."""
    return "; ".join(words.setting(path, value) for path, value in overrides.items())


def ignored() -> list[str]:
    """What a link asked for that cannot be used, in words."""
    drawn = st.session_state.get("drawn", set())
    refused = dict(st.session_state.get("refused", {}))
    for key in st.query_params:
        if key.startswith(("limits.", "services.")) and key not in drawn:
            refused[key] = f"{key} = {st.query_params[key]} (there is no such control here)"
    return list(refused.values())


def moves(path: str) -> bool:
    """Whether a control of the page sets a field (that of zones that may fail is drawn where there
    are several).
    """
    return path in st.session_state.get("drawn", set()) or path == "limits.zones_lost"


def put(changes: Mapping[str, Any]) -> None:
    """Set controls from a button; their steps take the values in."""
    for path, value in changes.items():
        _joined(path).add(value)
        st.session_state[path] = value


def _joined(key: str) -> set[Any]:
    """Values that joined the steps of a control in this session."""
    found: set[Any] = st.session_state.setdefault("joined", {}).setdefault(key, set())
    return found


def _choose(prefix: str, first: int) -> str:
    """The scenario, by the name under which it is offered."""
    names = offered()
    return str(
        st.selectbox(
            "Scenario",
            names,
            min(first, len(names) - 1),
            key=f"{prefix}scenario",
            bind="query-params",
            on_change=forget,
            args=(prefix,),
        )
    )


def choose(name: str) -> None:
    """Choose a scenario from a button, as the box of scenarios does, and go to its answer."""
    forget("")
    own: list[str] = st.session_state.setdefault("own", [])
    if name not in own:
        own.append(name)
    st.session_state["scenario"] = name
    st.session_state["leave"] = True


def forget(prefix: str) -> None:
    """Another scenario brings its own defaults; only what stands in the address bar is carried
    over.
    """
    for key in list(st.session_state):
        if str(key).startswith((f"{prefix}limits.", f"{prefix}services.")):
            del st.session_state[key]
    for memory in ("joined", "refused"):
        st.session_state.pop(memory, None)


def _overridden(written: Scenario, prefix: str) -> tuple[Scenario, dict[str, Any]]:
    """Only what differs from the scenario as written is set, so that its ranges and unset fields
    stay as they are.
    """
    st.session_state["drawn"] = st.session_state.get("drawn", set()) if prefix == "b." else set()
    values: dict[str, Any] = {}
    for name, service in written.services.items():
        with st.expander(
            f"Service {session.plain(name)}", expanded=len(written.services) == 1, icon=":material/deployed_code:"
        ):
            values |= _service(written, prefix, f"services.{name}", service)
    st.subheader("What may be bought")
    values |= _limits(prefix, written)
    changed = {p: moved(written, p, value) for p, value in values.items() if value != current(written, p)}
    return (written.replace(**changed) if changed else written), changed


def _service(written: Scenario, prefix: str, at: str, service: Service) -> dict[str, Any]:
    """The controls of one service: its objectives, its growth, the share of futures it serves."""
    values: dict[str, Any] = {}
    for bound, metric, quantile, limit in service.objective.bounds():
        label = f"{words.METRICS[metric]} within (seconds), {quantile:.0%} of requests".replace("%", "\u00a0%")
        path = f"{at}.objective.{bound}"
        values[path] = _ladder(written, prefix, path, label, [v for v in LADDER if limit / 5 <= v <= limit * 8])
    path = f"{at}.{GROWTH}"
    growth, linked = service.growth_share_per_year, _linked(written, prefix, path)
    ends = "" if growth.certain else " The range around it moves along."
    values[path] = st.slider(
        "Growth a year",
        min(-0.5, growth.likely, *linked),
        max(2.0, growth.likely, *linked),
        growth.likely,
        0.05,
        format="percent",
        key=f"{prefix}{path}",
        bind="query-params",
        help=f"0 % keeps today's level; 100 % doubles it in a year.{ends}",
    )
    path = f"{at}.objective.load_quantile"
    values[path] = _ladder(
        written,
        prefix,
        path,
        "Share of load futures to serve",
        QUANTILES,
        "0.95: in each hour, 95 of 100 simulated futures stay at or below the load planned for.",
    )
    return values


def _limits(prefix: str, written: Scenario) -> dict[str, Any]:
    """The controls of what may be bought: spot, terms, zones, budget."""
    limits, values = written.limits, dict[str, Any]()
    path = "limits.max_spot_share"
    _linked(written, prefix, path)
    values[path] = st.slider(
        "At most on spot machines, of the load",
        0.0,
        1.0,
        limits.max_spot_share,
        0.05,
        format="percent",
        key=f"{prefix}{path}",
        bind="query-params",
        help="Spot machines are cheaper but can be taken away at short notice. The share is of the load carried,"
        " not of the bill.",
    )
    path = "limits.max_term_months"
    values[path] = _ladder(
        written,
        prefix,
        path,
        "Longest commitment (months)",
        TERMS,
        "0: sign nothing. 12 and 36: reservations and savings plans of one or three years.",
    )
    values |= _zones(prefix, written)
    path = "limits.budget_usd_per_month"
    _linked(written, prefix, path)
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


def _zones(prefix: str, written: Scenario) -> dict[str, Any]:
    """Zones used, and where there are several, how many of them may fail."""
    limits, path = written.limits, "limits.zones"
    zones = st.slider(
        "Zones used",
        1,
        int(max(4, limits.zones, *_linked(written, prefix, path), 0)),
        limits.zones,
        key=f"{prefix}{path}",
        bind="query-params",
        help="Availability zones over which machines are spread evenly.",
    )
    values = {path: zones, "limits.zones_lost": 0}
    if zones > 1:
        path = "limits.zones_lost"
        _linked(written.replace(**{"limits.zones": zones}), prefix, path)
        values[path] = st.slider(
            "Zones that may fail",
            0,
            zones - 1,
            min(limits.zones_lost, zones - 1),
            key=f"{prefix}{path}",
            bind="query-params",
            help="The rest must still carry the whole load.",
        )
    return values


def _ladder(
    written: Scenario, prefix: str, path: str, label: str, steps: Iterable[float], help_: str | None = None
) -> Any:
    """A slider over round steps; the scenario's own value and what a link brings are among them."""
    own = current(written, path)
    options = sorted({*steps, own, *_linked(written, prefix, path)})
    return st.select_slider(
        label, options, own, format_func=lambda v: f"{v:g}", key=f"{prefix}{path}", bind="query-params", help=help_
    )


def _linked(written: Scenario, prefix: str, path: str) -> set[Any]:
    """Values that links and buttons brought to a control; one that the scenario cannot hold is
    noted as refused.
    """
    key = f"{prefix}{path}"
    st.session_state.setdefault("drawn", set()).add(key)
    joined, raw = _joined(key), st.query_params.get(key)
    if raw is None:
        return joined
    try:
        value = float(raw)
        value = int(value) if isinstance(current(written, path), int) and value.is_integer() else value
        if not math.isfinite(value):
            raise ValueError
        written.replace(**{path: value})
    except ValueError:
        _refuse(key, f"{words.plainly(path)} = {raw} (a number is needed)")
    except PlannerError as error:
        why = getattr(error, "problems", (str(error),))[0]
        _refuse(key, f"{words.plainly(path)} = {raw} ({words.plainly(why)})")
    else:
        joined.add(value)
        st.session_state.get("refused", {}).pop(key, None)
        if f"{value:g}" != raw and st.session_state.get(key) is None:
            with suppress(st.errors.StreamlitAPIException):
                st.session_state[key] = value
    return joined


def _refuse(key: str, text: str) -> None:
    """Note what a link asked for in vain, to be named on the page."""
    st.session_state.setdefault("refused", {})[key] = text
