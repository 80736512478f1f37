"""Your own traffic: an upload is looked at, five questions are answered, and a scenario is there
to be moved like the samples.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pandas as pd
import streamlit as st

from planner.load import Traffic, read_traffic
from planner.scenario import TrafficSource
from planner.show import charts, words
from planner.ui import controls, session, uploads
from planner.ui.drawing import chart, small
from planner.ui.session import plain

ANSWER = Path(__file__).parent / "answer.py"
CPU, LLM = "Web service or API (CPU)", "Language model (GPU)"
FOUND = "found by itself"
COUNTS = {
    FOUND: None,
    "requests per second": "requests_per_s",
    "requests in each row's interval": "requests_per_interval",
    "a counter since some start": "counter",
}
HORIZONS = {"3 months": 2184, "6 months": 4368, "1 year": 8760}
EXAMPLE = """ts,arrival_rate_rps
2026-10-01T00:00Z,41.5
2026-10-01T01:00Z,37.2
2026-10-01T02:00Z,35.9
"""


def open_answer(name: str) -> None:
    """Go to the answer of a scenario under the name it is offered by; from a page that has no
    controls.
    """
    controls.forget("")
    st.switch_page(ANSWER, query_params={"scenario": name})


def ask() -> None:
    """Upload, look at what was read, answer five questions.

    Raises :class:`TrafficError` for a file that is no history, :class:`ScenarioError` for answers
    that cannot hold.
    """
    given = st.file_uploader(
        "Traffic history (CSV)",
        type=["csv", "tsv", "txt"],
        max_upload_size=uploads.MAX_MIB,
        key="history",
        help=f"A time and a number of requests on each row. Up to {uploads.MAX_MIB} MiB.",
    )
    if given is None:
        small(
            "One row an hour (or finer) with a time and a number of requests: an export of Grafana, CloudWatch,"
            " Datadog or Prometheus, an access log, or a table of your own. It stays on this server, under no name"
            " of yours, is seen only by who has the link to it, and is removed when the server stops."
        )
        st.code(EXAMPLE, language=None)
        return
    content = given.getvalue()
    names = uploads.check(content)
    source = _about_history(names)
    _preview(read_traffic(source.model_copy(update={"file": "traffic.csv"}), folder=uploads.keep(content)), content)
    kind = str(st.radio("2. What serves it?", [CPU, LLM], key="own_kind", horizontal=True))
    with st.form("own_form"):
        answers = _questions(kind)
        if st.form_submit_button("Plan it"):
            text = _as_yaml(source, names, kind, answers)
            own = uploads.add(content, str(answers["name"]), text)
            st.session_state.setdefault("own", []).append(own)
            open_answer(own)


def _about_history(names: list[str]) -> TrafficSource:
    """The first question: what the columns are, where the file does not say it itself."""
    st.markdown("**1. What is in the file?**")
    zones = sorted(available_timezones())
    cells = st.columns(4)
    time = cells[0].selectbox("Column with the time", [FOUND, *names], key="own_ts")
    rate = cells[1].selectbox("Column with the traffic", [FOUND, *names], key="own_rate")
    counts = cells[2].selectbox("It counts", list(COUNTS), key="own_value")
    zone = cells[3].selectbox("Time zone of times without one", zones, zones.index("UTC"), key="own_zone")
    stated = {"ts": time, "arrival_rate_rps": rate}
    chosen = {name: str(column) for name, column in stated.items() if column != FOUND}
    said = {"file": "traffic.csv", "columns": chosen, "time_zone": zone, "value": COUNTS[str(counts)]}
    return TrafficSource.model_validate({k: v for k, v in said.items() if v})


def _preview(traffic: Traffic, content: bytes) -> None:
    """What was read, before anything is planned on it."""
    rates = traffic.hourly()
    days, step = len(rates) / 24, pd.Timedelta(seconds=traffic.interval_s)
    left, right = st.columns([2, 1])
    with left:
        chart(charts.history(rates, "What was read"), "Requests per second of the uploaded history")
    with right:
        st.markdown(
            plain(
                f"{days:,.0f} days from {traffic.start:%d %b %Y} to {traffic.end:%d %b %Y}, one row each"
                f" {step / pd.Timedelta(minutes=1):g} minutes, {words.share(traffic.observed_share, 1)} observed."
                f" Mean {words.number(float(rates.mean()))} requests/s,"
                f" busiest hour {words.number(float(rates.max()))}."
            )
        )
        for line in traffic.quality.loc[traffic.quality["kind"] != "noted", "detail"].head(4):
            small(f"{words.capital(str(line))}.")
        with st.expander("First rows as uploaded"):
            st.code("\n".join(content[:4000].decode("utf-8-sig", "replace").splitlines()[:6]), language=None)


def _questions(kind: str) -> dict[str, Any]:
    """Questions three to five side by side: the promise, the owner, where and when."""
    promise, owner, buying = st.columns(3)
    with promise:
        st.markdown("**3. What is promised?**")
        a = _about_cpu() if kind == CPU else _about_llm()
    with owner:
        st.markdown("**4. Who answers for it?**")
        a["name"] = st.text_input("Name of the plan", "own traffic", max_chars=40)
        a["team"] = st.text_input("Team", max_chars=80)
    with buying:
        st.markdown("**5. Where and when?**")
        a |= _about_plan(kind == LLM)
    return a


def _about_cpu() -> dict[str, Any]:
    """The promise of a service on processors: the time one request takes
    and the time it may take.
    """
    return {
        "service_time_s": st.number_input("CPU time of one request (seconds)", 0.0001, 600.0, 0.05, format="%.4g"),
        "limit_s": st.number_input("99 % of requests answered within (seconds)", 0.001, 3600.0, 0.3, format="%.4g"),
    }


def _about_llm() -> dict[str, Any]:
    """The promise of a language model: its weights, the lengths of prompt and answer, and the time
    to the first and to each further token.
    """
    return {
        "weights": st.selectbox("Model", session.weights()),
        "input_tokens": st.number_input("Mean prompt (tokens)", 1, 200_000, 1000),
        "output_tokens": st.number_input("Mean answer (tokens)", 1, 50_000, 250),
        "limit_s": st.number_input("First token for 95 % within (seconds)", 0.01, 600.0, 1.5, format="%.4g"),
        "tpot_s": st.number_input("Each further token for 95 % within (seconds)", 0.001, 10.0, 0.06, format="%.4g"),
    }


def _about_plan(accelerated: bool) -> dict[str, Any]:
    """Where and when: begins with the place whose prices were read last."""
    places, (provider, region) = session.places(), session.freshest(accelerated)
    regions = [r for here in places.values() for r in here]
    zones = sorted(available_timezones())
    return {
        "start": st.date_input("Plan from", _next_month(datetime.now(UTC).date())),
        "horizon_h": HORIZONS[st.selectbox("Plan for", list(HORIZONS), 2)],
        "providers": st.multiselect("Clouds", list(places), [provider]),
        "regions": st.multiselect("Regions of these clouds", regions, [region]),
        "time_zone": st.selectbox("Time zone of days and months", zones, zones.index("UTC")),
    }


def _as_yaml(source: TrafficSource, names: list[str], kind: str, a: dict[str, Any]) -> str:
    """The answers as a scenario file, so that it can be downloaded and used on the command line."""
    traffic: dict[str, Any] = {"file": "traffic.csv", **source.model_dump(mode="json", exclude_defaults=True)}
    latency: dict[str, Any] = {"model": "queue", "service_time_s": a.get("service_time_s")}
    objective: dict[str, Any] = {"latency_p99_s": a["limit_s"]}
    if kind == LLM:
        tokens = {c: c for c in ("input_tokens", "output_tokens") if c in names}
        if tokens and source.columns:
            traffic["columns"] = {**source.columns, **tokens}
        latency = {
            "model": "llm",
            "weights": a["weights"],
            "input_tokens": a["input_tokens"],
            "output_tokens": a["output_tokens"],
        }
        objective = {"ttft_p95_s": a["limit_s"], "tpot_p95_s": a["tpot_s"]}
    service: dict[str, Any] = {"traffic": traffic, "latency": latency, "objective": objective}
    if a["team"].strip():
        service["owner"] = {"team": a["team"].strip()}
    when = {key: a[key] for key in ("start", "horizon_h", "time_zone", "providers", "regions")}
    return session.as_yaml({"name": a["name"].strip() or "own traffic", **when, "services": {"service": service}})


def _next_month(today: date) -> date:
    """The first day of the month after ``today``: where a plan begins."""
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)
