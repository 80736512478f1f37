"""The page of one plan: choose, move, read the answer, see why, download."""

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import streamlit as st

from planner import export
from planner.errors import PlannerError
from planner.load import Traffic
from planner.scenario import Scenario
from planner.show import charts, views, words
from planner.study import Study
from planner.ui import controls, session, sources
from planner.ui.cells import CELLS
from planner.ui.session import plain

FILES = {
    "cost": "Cost, every charge by hour",
    "months": "Cost by month",
    "owners": "Cost by owner",
    "schedule": "Machines, every hour",
    "commitments": "Commitments to sign",
    "excuses": "Machines not used, and why",
    "prices": "Prices used, with source and date",
    "replay_hours": "Replay, hour by hour",
}


def page() -> None:
    """Sidebar first, then the study or the reason why there is none."""
    with session.errors_shown():
        scenario, overrides = controls.scenario()
        if scenario is None:
            sources.ask()
            return
        study = session.study(scenario)
        _head(study, overrides)
        _body(study)


def _head(study: Study, overrides: dict[str, Any]) -> None:
    scenario = study.scenario
    st.title(scenario.name)
    end = scenario.end_utc - pd.Timedelta(hours=1)
    st.caption(
        plain(
            f"Cheapest plan found for {', '.join(scenario.services)} from {scenario.start:%d %b %Y} to {end:%d %b %Y},"
            f" on {', '.join(scenario.providers)} in {', '.join(scenario.regions)}. {study.load.paths} simulated"
            f" futures; all times {scenario.time_zone}."
        )
    )
    _figures(study)
    first = study.replay.breaks.sort_values("load_multiplier")
    if len(first):
        st.markdown(f"**What breaks first:** {plain(words.spelled(first['sentence'].iloc[0]))}.")
    if overrides:
        st.caption(
            plain(
                f"Changed from the scenario file: {controls.told(overrides)}. The address of this page holds these"
                " changes."
            )
        )
    notes = tuple(dict.fromkeys((*study.load.notes, *study.plan.notes)))
    if notes:
        with st.expander(f"{len(notes)} notes on data and method", icon=":material/info:"):
            for note in notes:
                st.markdown(f"- {plain(note)}.")


def _figures(study: Study) -> None:
    figures, months = study.plan.summary(), study.plan.months
    cells = st.columns(5)
    low, high = (words.money(figures[p] / months) for p in ("p10_usd", "p90_usd"))
    spread = f"{low} to {high} in 8 of 10 futures" if study.plan.paths_usd else ""
    _card(
        cells[0],
        "Cost a month",
        words.money(figures["monthly_mean_usd"]),
        f"{words.money(figures['total_usd'])} in all",
        spread,
    )
    _card(
        cells[1],
        "Saved against list",
        words.share(figures["effective_savings_rate"]),
        f"List price on demand: {words.money(figures['list_usd'] / months)} a month",
    )
    _replay_card(cells[2], study)
    ages = views.price_ages(study.plan, datetime.now(UTC).date())
    typical, undated = views.typical_age_days(ages), ages.loc[ages["age_days"].isna(), "effective_cost_usd"].sum()
    _card(
        cells[3],
        "Age of prices",
        "unknown" if pd.isna(typical) else f"{typical:.0f} days",
        "or less for half of the bill",
        f"{words.share(undated / figures['total_usd'])} of it without a date" if undated else "",
    )
    unowned = figures["unowned_usd"]
    _card(
        cells[4],
        "Without owner",
        words.money(unowned / months),
        "a month that no team answers for" if unowned else "every charge has an owner",
    )


def _card(cell: Any, label: str, value: str, *lines: str) -> None:
    with cell.container(border=True, height="stretch", gap="xsmall"):
        st.metric(label, plain(value))
        for line in filter(None, lines):
            st.caption(plain(line))


def _replay_card(cell: Any, study: Study) -> None:
    replay = study.replay
    worst = min(study.scenario.services, key=replay.within_share)
    which = (
        f"{worst}, the worst of {len(study.scenario.services)} services"
        if len(study.scenario.services) > 1
        else "of requests in time"
    )
    _card(
        cell,
        "Time within target",
        words.share(replay.within_share(), 2),
        which,
        f"replayed on {replay.paths} other futures",
    )


def _body(study: Study) -> None:
    names = [
        "Configuration",
        "Load and capacity",
        "Does it hold",
        "Cost",
        "Trade-offs",
        "Why",
        "Commitments",
        "Owners",
        "Downloads",
    ]
    draw = [_configuration, _load, _held, _cost, _trade_offs, _why, _commitments, _owners, _downloads]
    for tab, show in zip(st.tabs(names, key="view", bind="query-params"), draw, strict=True):
        if tab.open:
            with tab:
                show(study)


def _configuration(study: Study) -> None:
    st.subheader("What to run")
    table = views.configuration(study).assign(paid=lambda t: t["purchase_option"].map(words.OPTIONS))
    _table(table, ["service", "machine", "where", "paid", "mean", "most", "work_share"])
    _near(study)
    st.subheader("Machines by the cost of a request")
    ranking = views.ranking(study)
    for name in study.scenario.services:
        part = ranking[ranking["service"] == name].head(8)
        st.caption(plain(f"{name}: machines that meet the target, cheapest per request first (on demand, fully used)."))
        _table(
            part, ["machine", "where", "usable_rps", "rate_usd_per_h", "usd_per_1m_requests", "work_share", "reason"]
        )


def _near(study: Study) -> None:
    st.subheader("Plans nearly as good")
    if not st.toggle(
        "Work them out",
        key="near",
        bind="query-params",
        help="Each is a plan of its own: without one machine type, without "
        "spot, without commitments, in one place only.",
    ):
        return
    near = session.alternatives(study.scenario)
    if near.empty:
        st.caption("Nothing of this plan can be left out.")
        return
    months = study.plan.months
    monthly = {
        to: (near[of] / months).map(words.money)
        for to, of in (("monthly_usd", "total_usd"), ("more_usd", "difference_usd"))
    }
    shown = near.assign(**monthly)
    _table(shown, ["variant", "monthly_usd", "more_usd", "difference_share", "sentence", "error"])


def _load(study: Study) -> None:
    name = _which(study.scenario)
    hours = views.hourly(study, name)
    st.altair_chart(
        charts.load_year(views.daily(hours)), alt=f"Load of {name} by day with the usable capacity above it"
    )
    first, last = hours["time"].min().normalize(), hours["time"].max().normalize()
    weeks = pd.date_range(first, last, freq="7D")
    peak = views.peak_week(hours)["time"].min()
    week = st.select_slider("Week shown below", ["busiest", *(f"{w:%d %b %Y}" for w in weeks)], "busiest")
    start = peak if week == "busiest" else pd.to_datetime(week, format="%d %b %Y")
    st.altair_chart(
        charts.load_week(views.peak_week(hours, start), f"Week from {start:%d %b %Y}, hour by hour"),
        alt=f"Load and capacity of {name} hour by hour for one week",
    )
    st.dataframe(
        views.load_summary(study.load, name).T.rename(
            index={"requests": "Requests in all", "peak_rps": "Busiest hour, requests/s"}
        ),
        column_config={c: st.column_config.NumberColumn(format="%,.4g") for c in ("P10", "P50", "P90")},
    )

    traffic = study.traffic[name]
    with st.expander(
        f"The history this rests on, {words.share(traffic.observed_share, 1)} of it observed", icon=":material/history:"
    ):
        st.altair_chart(charts.history(traffic.hourly()), alt=f"Traffic history of {name}")
        _table(traffic.quality, ["kind", "rows", "detail"])
        if len(causes := views.range_causes(study.load)):
            st.altair_chart(charts.spread(causes), alt="Where the uncertainty of the volume comes from")
    if st.toggle("How good would the forecast have been on this history?", key="backtest", bind="query-params"):
        _past(traffic, study.scenario)


def _past(traffic: Traffic, scenario: Scenario) -> None:
    scores = session.backtest(traffic, scenario.time_zone)
    st.altair_chart(
        charts.hindcast(views.hindcast(traffic, scenario)),
        alt="The last week as it would have been forecast, and what came",
    )
    st.altair_chart(charts.backtest(scores), alt="Forecast error by horizon beside repeating last week")
    _table(
        scores.assign(days=scores["horizon_h"] / 24),
        ["days", "windows", "coverage_90_share", "coverage_99_share", "peak_exceeded_share"],
    )


def _which(scenario: Scenario) -> str:
    names = list(scenario.services)
    if len(names) == 1:
        return names[0]
    return str(
        st.segmented_control("Service", names, default=names[0], required=True, key="service", bind="query-params")
    )


def _held(study: Study) -> None:
    replay = study.replay
    st.caption(
        plain(
            f"The plan was played minute by minute on {replay.paths} futures it was not made for. "
            + " ".join(f"{note}." for note in replay.notes)
        )
    )
    for sentence in replay.broken():
        st.error(plain(words.spelled(sentence)))
    figures = ["limit_s", "typical_latency_s", "high_latency_s", "within_share", "percentile_share", "worst_hour_share"]
    _table(_worded(replay.objectives), ["service", "objective", *figures])
    name = _which(study.scenario)
    st.altair_chart(
        charts.held(_worded(views.held(study, name))),
        alt=f"Share of requests of {name} in time, worst hour of each day",
    )
    st.subheader("What breaks first")
    _table(_worded(replay.breaks), ["service", "load_multiplier", "mending_usd_per_month", "sentence"])


def _worded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{c: frame[c].map(words.spelled) for c in ("objective", "sentence") if c in frame})


def _cost(study: Study) -> None:
    measures = {
        "Spread over the term (amortized)": "effective_cost_usd",
        "Cash on the invoice": "billed_cost_usd",
        "List price, on demand": "list_cost_usd",
    }
    measure = st.segmented_control("Count", list(measures), default=next(iter(measures)), required=True)
    span = views.month_range(study.plan) if measures[str(measure)] == "effective_cost_usd" else None
    chart = charts.cost_months(study.plan.monthly(), words.CHARGES, measures[str(measure)], span=span)
    st.altair_chart(chart, alt="Cost by month and charge, with its range over simulated futures")
    if study.plan.paths_usd:
        if span is not None:
            st.caption(
                "Bars: the expected bill. Lines: 8 of 10 futures. If all that must be ready ran:"
                f" {words.money(study.plan.ready_usd / study.plan.months)} a month."
            )
        futures = charts.cost_range(pd.DataFrame({"usd": views.path_costs(study.plan)}))
        st.altair_chart(futures, alt="Distribution of total cost over simulated futures")
        st.caption("Machines follow the load of each future; commitments stay as signed.")
    _table(views.by_basis(study.plan).rename(columns={"basis": "rests"}), ["rests", "effective_cost_usd"])


def _trade_offs(study: Study) -> None:
    choices = _choices(study.scenario)
    name = st.selectbox("What if another value were chosen for", list(choices), key="choice", bind="query-params")
    path = choices[str(name)]
    own, values = controls.current(study.scenario, path), controls.steps(study.scenario, path)
    st.caption(
        plain(
            "Green: no plan of short-listed machines costs less (parts of machines allowed). "
            f"Blue: {len(values)} plans of whole machines, each replayed."
        )
    )
    if not st.toggle("Work them out", key="frontier", bind="query-params"):
        return
    place, months = st.empty(), study.plan.months
    with st.spinner("Finding what no plan can undercut …"):
        bounds = session.bounds(study.scenario, path).dropna(subset="lower_bound_usd")
    bounds = bounds.assign(lower_bound_usd=bounds["lower_bound_usd"] / months)
    if len(bounds):
        place.altair_chart(charts.frontier(pd.DataFrame(), str(name), bounds), alt=f"Least monthly cost over {name}")
    points = pd.DataFrame([_point(study.scenario, path, value, own) for value in values])
    drawn = points.dropna(subset="monthly_usd")
    if len(drawn) or len(bounds):
        place.altair_chart(charts.frontier(drawn, str(name), bounds), alt=f"Monthly cost over {name}")
    shown = points.drop(columns="chosen").assign(monthly_usd=points["monthly_usd"].map(words.money))
    _table(shown, ["value", "monthly_usd", "within_share", "note"])
    if len(bounds):
        with st.expander("Every bound"):
            _table(bounds.assign(bound_usd=bounds["lower_bound_usd"].map(words.money)), ["value", "bound_usd"])


def _choices(scenario: Scenario) -> dict[str, str]:
    found = {"Most on spot": "limits.max_spot_share", "Longest commitment, months": "limits.max_term_months"}
    if scenario.limits.zones > 1:
        found["Zones that may fail"] = "limits.zones_lost"
    for name, service in scenario.services.items():
        found |= {
            f"{name}: {words.spelled(b[0])}, seconds": f"services.{name}.objective.{b[0]}"
            for b in service.objective.bounds()
        }
        found |= {f"{name}: share of load futures to serve": f"services.{name}.objective.load_quantile"}
        found |= {f"{name}: growth a year": f"services.{name}.growth_share_per_year"}
    return found


def _point(scenario: Scenario, path: str, value: Any, own: Any) -> dict[str, Any]:
    """One variant's figures; without a plan the reason stands in their place."""
    try:
        other = session.study(scenario if value == own else scenario.replace(**{path: value}))
    except PlannerError as error:
        return {
            "value": value,
            "monthly_usd": float("nan"),
            "within_share": float("nan"),
            "chosen": False,
            "note": str(error),
        }
    monthly = other.plan.summary()["monthly_mean_usd"]
    note = "as chosen" if value == own else ""
    return {
        "value": value,
        "monthly_usd": monthly,
        "within_share": other.replay.within_share(),
        "chosen": value == own,
        "note": note,
    }


def _why(study: Study) -> None:
    st.subheader("What holds the cost up")
    sentences = study.plan.bindings.sort_values("shadow_price_usd", key=abs, ascending=False)[
        "sentence"
    ].drop_duplicates()
    for sentence in sentences.head(10):
        st.markdown(f"- {plain(words.spelled(sentence))}.")
    if sentences.empty:
        st.caption("No limit of the scenario costs anything: loosening one would not make the plan cheaper.")
    proof = study.plan.certificate
    bound, gap = words.money(proof.lower_bound_usd), words.share(proof.gap_share, 1)
    st.caption(
        plain(
            "Proven: no choice of machines and commitments on sale within the limits has an expected bill"
            f" below {bound}; this one is within {gap} of that."
        )
    )
    ledger = views.ledger(study)
    if len(ledger):
        st.altair_chart(charts.headroom(ledger), alt="Capacity kept free by cause")
    st.subheader("Machines not used, and why")
    _table(views.reasons(study.plan), ["service", "reason", "types", "example"])
    with st.expander("Every machine with its reason"):
        _table(study.plan.excuses, ["service", "provider", "region", "instance_type", "reason", "gap"])


def _commitments(study: Study) -> None:
    signed = study.plan.commitments
    if signed.empty:
        st.info(
            "The plan signs no commitment: of those in the price catalog for these machines and terms, none would pay"
            " for itself.",
            icon=":material/contract:",
        )
    else:
        local = {c: signed[c].dt.tz_convert(study.scenario.time_zone).dt.tz_localize(None) for c in ("start", "end")}
        _table(
            signed.assign(**local).sort_values("hourly_usd", ascending=False),
            [
                "commitment",
                "quantity",
                "unit",
                "term_months",
                "payment",
                "start",
                "end",
                "upfront_usd",
                "hourly_usd",
                "commitment_utilization",
                "break_even_utilization",
            ],
        )
    st.altair_chart(charts.instances(views.running(study)), alt="Machines by day, committed, on demand and spot")


def _owners(study: Study) -> None:
    owners = study.plan.by_owner()
    owners["owner"] = owners["owner"].where(owners["owner"] != "", "nobody")
    _table(owners, ["owner", "cost_center", "service", "effective_cost_usd", "billed_cost_usd", "list_cost_usd"])


def _downloads(study: Study) -> None:
    st.caption("Each file holds exactly the rows behind this page; the command line writes the same files.")
    tables = export.tables(study)
    for name, text in FILES.items():
        frame = tables[name]
        st.download_button(
            f"{text} (CSV, {len(frame):,} rows)",
            data=lambda table=frame: export.to_csv(table).encode(),
            file_name=f"{name}.csv",
            mime="text/csv",
            on_click="ignore",
            key=f"download_{name}",
            icon=":material/download:",
        )
    if find_spec("xlsxwriter"):
        st.download_button(
            "All tables in one workbook (Excel)",
            data=lambda: _workbook(study),
            file_name=f"{study.scenario.name}.xlsx",
            mime="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            on_click="ignore",
            icon=":material/download:",
        )
    st.download_button(
        "Scenario with your changes (YAML)",
        data=study.scenario.to_yaml,
        file_name="scenario.yaml",
        mime="application/yaml",
        on_click="ignore",
        icon=":material/download:",
    )


def _workbook(study: Study) -> bytes:
    with TemporaryDirectory() as folder:
        return export.to_excel(study, Path(folder) / "plan.xlsx").read_bytes()


def _table(frame: pd.DataFrame, columns: list[str]) -> None:
    """Only columns that say something: those empty in every row are left out."""
    kept = [c for c in columns if not (frame[c].isna() | (frame[c].astype(str) == "")).all()]
    shown = frame[kept].style.format(_share, subset=[c for c in kept if c.endswith(("_share", "_utilization"))])
    if "mean" in kept:
        shown = shown.format(_few, subset=["mean"])
    heads = ", ".join(str(CELLS[c]["label"]) for c in kept if c in CELLS)
    st.dataframe(
        shown,
        alt=f"Table of {heads}",
        hide_index=True,
        column_config={c: CELLS[c] for c in kept if c in CELLS},
        placeholder="–",
    )


def _few(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) and not 0 < value < 0.005 else "< 0.01"


def _share(value: object) -> str:
    return words.share(
        value if isinstance(value, float) else None, 2 if isinstance(value, float) and value > 0.99 else 0
    )


page()
