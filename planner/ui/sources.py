"""Your own traffic: an upload, a few answers, and a scenario is there to be moved like the samples."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from planner.scenario import Scenario
from planner.ui import session, uploads

UPLOAD = "own traffic"
CPU, LLM = "Web service or API (CPU)", "Language model (GPU)"
COUNTS = {"requests per second": "requests_per_s", "requests in each row's interval": "requests_per_interval"}
HORIZONS = {"3 months": 2184, "6 months": 4368, "1 year": 8760}
TIME_NAMES, VALUE_NAMES = (
    ("ts", "time", "timestamp", "date", "hour"),
    ("arrival_rate_rps", "rps", "requests", "rate", "count", "value"),
)


EXAMPLE = """ts,arrival_rate_rps
2026-10-01T00:00Z,41.5
2026-10-01T01:00Z,37.2
2026-10-01T02:00Z,35.9
"""


def own_traffic() -> Scenario | None:
    """The upload in the sidebar, and the scenario made of it; ``None`` until the questions of
    :func:`ask` are answered.

    Raises :class:`TrafficError` for a file that is no history, :class:`ScenarioError` for answers
    that cannot hold.
    """
    given = st.file_uploader(
        "Traffic history (CSV)",
        type=["csv", "tsv", "txt"],
        max_upload_size=uploads.MAX_MIB,
        key="history",
        help=f"One row an hour (or finer): a time and a number of requests. Up to {uploads.MAX_MIB} MiB.",
    )
    if given is None:
        _drop()
        return None
    st.session_state["own_columns"] = uploads.check(given.getvalue())
    if "own" not in st.session_state:
        return None
    st.button("Change my answers", on_click=_again, icon=":material/edit:", width="stretch")
    text, content_id = st.session_state["own"]
    folder = uploads.keep(given.getvalue())
    if folder.name != content_id:  # another file than the one the answers were given for
        _again()
        return None
    return Scenario.from_yaml(text, where="your answers", folder=folder)


def ask() -> None:
    """The main part of the page until there is a scenario: what to upload, then what must be known
    about it.
    """
    st.title("Plan from your own traffic")
    given = st.session_state.get("history")
    if given is None or "own_columns" not in st.session_state:
        st.info(
            "Upload a traffic history in the sidebar: one row an hour (or finer) with a time and a number of requests. "
            "It stays on "
            "this server, under no name of yours, and is removed when the server stops.",
            icon=":material/upload_file:",
        )
        st.caption("For example:")
        st.code(EXAMPLE, language="csv")
        return
    kind = str(st.radio("What serves it", [CPU, LLM], key="own_kind", horizontal=True))
    with st.form("own_form"):
        names = st.session_state["own_columns"]
        answers = _questions(names, kind)
        if st.form_submit_button("Plan it", type="primary"):
            st.session_state["own"] = (_as_yaml(names, kind, answers), uploads.keep(given.getvalue()).name)
            st.rerun()


def _drop() -> None:
    for key in ("own", "own_columns"):
        st.session_state.pop(key, None)


def _again() -> None:
    st.session_state.pop("own", None)


def _questions(names: list[str], kind: str) -> dict[str, Any]:
    history, promise, buying = st.columns(3)
    with history:
        st.subheader("The history")
        a = _about_history(names)
    with promise:
        st.subheader("The promise")
        a |= _about_cpu() if kind == CPU else _about_llm()
        a["team"] = st.text_input("Who answers for it (team)", max_chars=80)
    with buying:
        st.subheader("The plan")
        a |= _about_plan()
    return a


def _about_history(names: list[str]) -> dict[str, Any]:
    zones = sorted(available_timezones())
    return {
        "ts": st.selectbox("Column with the time", names, _guess(names, TIME_NAMES)),
        "rate": st.selectbox("Column with the traffic", names, _guess(names, VALUE_NAMES, 1)),
        "value": COUNTS[st.selectbox("It counts", list(COUNTS), 0 if _has_rate(names) else 1, key="own_value")],
        "time_zone": st.selectbox(
            "Time zone (of times without one, and of days and months)", zones, zones.index("UTC")
        ),
    }


def _about_cpu() -> dict[str, Any]:
    return {
        "service_time_s": st.number_input("CPU time of one request (seconds)", 0.0001, 600.0, 0.05, format="%.4g"),
        "limit_s": st.number_input("99 % of requests answered within (seconds)", 0.001, 3600.0, 0.3, format="%.4g"),
    }


def _about_llm() -> dict[str, Any]:
    return {
        "weights": st.selectbox("Model", session.weights()),
        "input_tokens": st.number_input("Mean prompt (tokens)", 1, 200_000, 1000),
        "output_tokens": st.number_input("Mean answer (tokens)", 1, 50_000, 250),
        "limit_s": st.number_input("First token for 95 % within (seconds)", 0.01, 600.0, 1.5, format="%.4g"),
        "tpot_s": st.number_input("Each further token for 95 % within (seconds)", 0.001, 10.0, 0.06, format="%.4g"),
    }


def _about_plan() -> dict[str, Any]:
    places = session.places()
    regions = [r for here in places.values() for r in here]
    return {
        "start": st.date_input("Plan from", _next_month(datetime.now(UTC).date())),
        "horizon_h": HORIZONS[st.selectbox("Plan for", list(HORIZONS), 2)],
        "providers": st.multiselect("Clouds", list(places), list(places)[:1]),
        "regions": st.multiselect("Regions of these clouds", regions, [next(iter(places.values()))[-1]]),
    }


def _as_yaml(names: list[str], kind: str, a: dict[str, Any]) -> str:
    """The answers as a scenario file, so that it can be downloaded and used on the command line."""
    columns = {"ts": a["ts"], "arrival_rate_rps": a["rate"]}
    latency: dict[str, Any] = {"model": "queue", "service_time_s": a.get("service_time_s")}
    objective: dict[str, Any] = {"latency_p99_s": a["limit_s"]}
    if kind == LLM:
        columns |= {c: c for c in ("input_tokens", "output_tokens") if c in names}
        latency = {
            "model": "llm",
            "weights": a["weights"],
            "input_tokens": a["input_tokens"],
            "output_tokens": a["output_tokens"],
        }
        objective = {"ttft_p95_s": a["limit_s"], "tpot_p95_s": a["tpot_s"]}
    service: dict[str, Any] = {
        "traffic": {"file": "traffic.csv", "columns": columns, "value": a["value"], "time_zone": a["time_zone"]},
        "latency": latency,
        "objective": objective,
    }
    if a["team"].strip():
        service["owner"] = {"team": a["team"].strip()}
    when = {key: a[key] for key in ("start", "horizon_h", "time_zone", "providers", "regions")}
    return session.as_yaml({"name": "own traffic", **when, "services": {"service": service}})


def _guess(names: list[str], wanted: tuple[str, ...], otherwise: int = 0) -> int:
    lower = [n.lower() for n in names]
    return next((lower.index(w) for w in wanted if w in lower), min(otherwise, len(names) - 1))


def _has_rate(names: list[str]) -> bool:
    return bool({"arrival_rate_rps", "rps", "rate"} & {n.lower() for n in names})


def _next_month(today: date) -> date:
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)
