"""Your own traffic: an upload, a few answers, and a scenario is there to be moved like the samples."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from planner.scenario import Scenario
from planner.ui import session, uploads

UPLOAD = "own traffic"
CPU, LLM = "Web service or API (CPU)", "Language model (GPU)"
COUNTS = {"requests per second": "requests_per_s", "requests in each row's interval": "requests_per_interval"}
HORIZONS = {"3 months": 2184, "6 months": 4368, "1 year": 8760}
TIME_NAMES, VALUE_NAMES = ("ts", "time", "timestamp", "date", "hour"), ("arrival_rate_rps", "rps", "requests", "rate", "count", "value")


def own_traffic() -> Scenario | None:
    """The upload and its questions in the sidebar; ``None`` until they are answered.

    Raises :class:`TrafficError` for a file that is no history, :class:`ScenarioError` for answers that cannot hold.
    """
    given = st.file_uploader(
        "Traffic history (CSV)",
        type=["csv", "tsv", "txt"],
        max_upload_size=uploads.MAX_MIB,
        key="history",
        help=f"One row an hour (or finer): a time and a number of requests. Up to {uploads.MAX_MIB} MiB.",
    )
    if given is None:
        st.session_state.pop("own", None)
        return None
    content = given.getvalue()
    names = uploads.check(content)
    kind = st.radio("What serves it", [CPU, LLM], key="own_kind")
    with st.form("own_form"):
        answers = _questions(names, str(kind))
        if st.form_submit_button("Plan it", type="primary", width="stretch"):
            st.session_state["own"] = (_as_yaml(names, str(kind), answers), str(uploads.keep(content)))
    if "own" not in st.session_state:
        return None
    text, folder = st.session_state["own"]
    return Scenario.from_yaml(text, where="your answers", folder=Path(folder))


def _questions(names: list[str], kind: str) -> dict[str, Any]:
    places = session.places()
    answers: dict[str, Any] = {
        "ts": st.selectbox("Column with the time", names, _guess(names, TIME_NAMES)),
        "rate": st.selectbox("Column with the traffic", names, _guess(names, VALUE_NAMES, 1)),
        "value": COUNTS[st.selectbox("It counts", list(COUNTS), 0 if _has_rate(names) else 1, key="own_value")],
        "time_zone": st.selectbox("Time zone of the times (if not written in them)", sorted(available_timezones()), _zone("UTC")),
    }
    if kind == CPU:
        answers["service_time_s"] = st.number_input("CPU time of one request (seconds)", 0.0001, 600.0, 0.05, format="%.4g")
        answers["limit_s"] = st.number_input("99 % of requests answered within (seconds)", 0.001, 3600.0, 0.3, format="%.4g")
    else:
        answers["weights"] = st.selectbox("Model", session.weights())
        answers["input_tokens"] = st.number_input("Mean prompt (tokens)", 1, 200_000, 1000)
        answers["output_tokens"] = st.number_input("Mean answer (tokens)", 1, 50_000, 250)
        answers["limit_s"] = st.number_input("First token for 95 % within (seconds)", 0.01, 600.0, 1.0, format="%.4g")
        answers["tpot_s"] = st.number_input("Each further token for 95 % within (seconds)", 0.001, 10.0, 0.05, format="%.4g")
    answers["team"] = st.text_input("Who answers for it (team)", max_chars=80)
    answers["start"] = st.date_input("Plan from", _next_month(datetime.now(UTC).date()))
    answers["horizon_h"] = HORIZONS[st.selectbox("Plan for", list(HORIZONS), 2)]
    answers["providers"] = st.multiselect("Clouds", list(places), list(places)[:1])
    answers["regions"] = st.multiselect("Regions", [r for regions in places.values() for r in regions], [next(iter(places.values()))[0]])
    return answers


def _as_yaml(names: list[str], kind: str, a: dict[str, Any]) -> str:
    """The answers as a scenario file, so that it can be downloaded and used on the command line."""
    columns = {"ts": a["ts"], "arrival_rate_rps": a["rate"]}
    latency: dict[str, Any] = {"model": "queue", "service_time_s": a.get("service_time_s")}
    objective: dict[str, Any] = {"latency_p99_s": a["limit_s"]}
    if kind == LLM:
        columns |= {c: c for c in ("input_tokens", "output_tokens") if c in names}
        latency = {"model": "llm", "weights": a["weights"], "input_tokens": a["input_tokens"], "output_tokens": a["output_tokens"]}
        objective = {"ttft_p95_s": a["limit_s"], "tpot_p95_s": a["tpot_s"]}
    service: dict[str, Any] = {
        "traffic": {"file": "traffic.csv", "columns": columns, "value": a["value"], "time_zone": a["time_zone"]},
        "latency": latency, "objective": objective,
    }  # fmt: skip
    if a["team"].strip():
        service["owner"] = {"team": a["team"].strip()}
    when = {key: a[key] for key in ("start", "horizon_h", "time_zone", "providers", "regions")}
    return session.as_yaml({"name": "own traffic", **when, "services": {"service": service}})


def _guess(names: list[str], wanted: tuple[str, ...], otherwise: int = 0) -> int:
    lower = [n.lower() for n in names]
    return next((lower.index(w) for w in wanted if w in lower), min(otherwise, len(names) - 1))


def _has_rate(names: list[str]) -> bool:
    return bool({"arrival_rate_rps", "rps", "rate"} & {n.lower() for n in names})


def _zone(name: str) -> int:
    return sorted(available_timezones()).index(name)


def _next_month(today: date) -> date:
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)
