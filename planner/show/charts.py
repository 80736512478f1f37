"""Charts of the pages and the notebooks: each takes a frame of :mod:`planner.show.views` and
returns an Altair chart.

Titles name the quantity and its unit.  A color is a meaning, the same on every page: blue is what
is expected, orange what is asked or spot, green what is safe or committed, red what fails or costs
more, gray what is only a mark.  Each keeps a contrast of 4.5 to its ground, which no color can do
on white and on black at once: :func:`on` draws a chart for a light or a dark ground.  Nothing is
told by color alone: dashes, places, tooltips and the download behind each chart carry it too.
"""

import json
from typing import Any

import altair as alt
import pandas as pd

from planner.charges import charge

BLUE, ORANGE, GREEN, PINK, SKY, RED, GRAY = "#1D6FA5", "#8F5600", "#00704F", "#A33B7C", "#2B7A9B", "#B3440B", "#5C6670"
INK, GROUND = "#1B2430", "#FFFFFF"
COLORS = [BLUE, ORANGE, GREEN, PINK, SKY, RED, GRAY]
# the same meanings on a dark ground
DARK = {
    BLUE: "#6FB1E8",
    ORANGE: "#F0B43C",
    GREEN: "#3CC79B",
    PINK: "#E59CC8",
    SKY: "#9AD7F5",
    RED: "#FF8F66",
    GRAY: "#A7B1BC",
    INK: "#E6EAF0",
    GROUND: "#12161C",
}
BAND, SERVED = "Load, 8 of 10 futures", "Usable capacity"
# column of a load frame: name in the legend, color, width, dash
CURVES: dict[str, tuple[str, str, float, list[int]]] = {
    "p50": ("Load, middle", BLUE, 1.2, [1, 0]),
    "planned": ("Load planned for", ORANGE, 1.2, [3, 2]),
    "capacity": (SERVED, GREEN, 2.0, [1, 0]),
    "left": ("Left if zones fail", PINK, 1.2, [6, 2]),
}

_BOTTOM = alt.Legend(
    orient="bottom", title=None, labelLimit=260, symbolType="square", symbolOpacity=1, symbolStrokeWidth=6, columns=5
)
_BOTTOM_3 = alt.Legend(orient="bottom", title=None, labelLimit=260, symbolType="square", symbolOpacity=1, columns=3)
_LINES = alt.Legend(orient="bottom", title=None, labelLimit=260, symbolType="stroke", symbolStrokeWidth=3, columns=3)
_MONEY = "$,.0f"
# of an axis: each label by itself, so that zero is $0 and half a dollar is not $500m
_DOLLARS = "format(datum.value, abs(datum.value) < 1 ? '$~g' : '$~s')"


def on(chart: alt.Chart | alt.LayerChart, theme: str = "light") -> dict[str, Any]:
    """A chart as Vega-Lite for a ground, ``light`` or ``dark``: colors of that ground, axes and
    legends in its ink.
    """
    text = json.dumps(chart.to_dict())
    if theme == "dark":
        for light, dark in DARK.items():
            text = text.replace(light, dark)
    spec: dict[str, Any] = json.loads(text)
    ink = DARK[INK] if theme == "dark" else INK
    words = {"labelColor": ink, "titleColor": ink}
    spec.setdefault("padding", {"top": 14, "left": 4, "right": 8, "bottom": 4})
    spec["config"] = {**spec.get("config", {}), "axis": words, "legend": {**words, "offset": 8}}
    spec["config"]["title"] = {"color": ink, "fontSize": 14, "offset": 8}
    return spec


def year(
    months: pd.DataFrame,
    budget: float | None = None,
    today: float | None = None,
    title: str = "Cost by month",
    height: int = 230,
) -> alt.LayerChart:
    """Expected bill of each month with its range P10 to P90 [USD] (``month expected p10 p90``, from
    :func:`planner.show.answer.year`), the budget and what today costs as lines.
    """
    table = months.assign(month=pd.to_datetime(months["month"]))
    shown = {"expected": "Expected", "p10": "1 in 10 futures below", "p90": "1 in 10 futures above"}
    x = alt.X("month:O", timeUnit="yearmonth", title=None, axis=alt.Axis(format="%b", labelAngle=0, labelOverlap=True))
    tips = [alt.Tooltip("month:T", title="Month", format="%B %Y")]
    tips += [alt.Tooltip(f"{c}:Q", title=t, format=_MONEY) for c, t in shown.items()]
    top = alt.Axis(labelExpr=_DOLLARS, tickCount=5)
    names, colors = ["Expected", "P10 to P90"], [BLUE, INK]
    lines = {"Budget": (budget, RED, [6, 3]), "Today": (today, ORANGE, [2, 2])}
    names += [n for n, line in lines.items() if line[0] is not None]
    colors += [line[1] for line in lines.values() if line[0] is not None]
    color = alt.Color("line:N", scale=alt.Scale(domain=names, range=colors), legend=_BOTTOM)

    def named(layer: alt.Chart, name: str) -> alt.Chart:
        return layer.transform_calculate(line=f"'{name}'").encode(color=color)

    base = alt.Chart(table).encode(x=x, tooltip=tips)
    # a light fill, so that the marks of the range stand out on it
    bar = base.mark_bar(fillOpacity=0.25, stroke=BLUE, strokeWidth=1.5)
    layers = [named(bar, "Expected").encode(y=alt.Y("expected:Q", title="USD a month", axis=top))]
    if table["p10"].notna().any():
        layers.append(named(base.mark_rule(strokeWidth=3), "P10 to P90").encode(y="p10:Q", y2="p90:Q"))
        layers += [named(base.mark_tick(thickness=3, size=14), "P10 to P90").encode(y=f"{c}:Q") for c in ("p10", "p90")]
    for name, (usd, _, dash) in lines.items():
        if usd is not None:
            rule = alt.Chart(pd.DataFrame({"usd": [usd]})).mark_rule(strokeWidth=2.5, strokeDash=dash)
            layers.append(
                named(rule, name).encode(y="usd:Q", tooltip=alt.Tooltip("usd:Q", title=f"{name}, USD", format=_MONEY))
            )
    return alt.layer(*layers).properties(title=_title(title, "USD, expected and P10 to P90"), height=height)


def ladder(signed: pd.DataFrame, title: str = "Commitments in force") -> alt.Chart:
    """When commitments begin and end and what they bind [USD/h]: ``commitment quantity
    start end hourly_usd`` (local times), one bar each.
    """
    named = [
        f"{r['quantity']:g} × {r['commitment']}" + (f", from {r['start']:%b %Y}" if twice else "")
        for r, twice in zip(signed.to_dict("records"), signed["commitment"].duplicated(keep=False), strict=True)
    ]
    return (
        alt.Chart(signed.assign(named=named))
        .mark_bar(color=GREEN, height=14)
        .encode(
            y=alt.Y("named:N", title=None, sort=named, axis=alt.Axis(labelLimit=420)),
            x=alt.X("start:T", title=None, axis=alt.Axis(format="%b %Y", labelOverlap=True)),
            x2="end:T",
            tooltip=[
                alt.Tooltip("named:N", title="Commitment"),
                alt.Tooltip("start:T", title="From", format="%d %b %Y"),
                alt.Tooltip("end:T", title="Until", format="%d %b %Y"),
                alt.Tooltip("hourly_usd:Q", title="USD an hour", format="$,.3f"),
            ],
        )
        .properties(title=_title(title, "from signing to end"), height=alt.Step(34))
    )


def strain(cases: pd.DataFrame, title: str = "Requests late under strain") -> alt.Chart:
    """Error budget spent in each case of ``replay.whatif`` [share]; above
    100 % a target is missed.
    """
    table = cases.assign(held=cases["error_budget_share"].le(1).map({True: "Holds", False: "Misses a target"}))
    color = alt.Color(
        "held:N",
        scale=alt.Scale(domain=["Holds", "Misses a target"], range=[GREEN, RED]),
        legend=_BOTTOM,
    )
    return (
        alt.Chart(table.assign(shown=table["error_budget_share"].clip(upper=3.0)))
        .mark_bar()
        .encode(
            y=alt.Y("variant:N", sort=table["variant"].tolist(), title=None, axis=alt.Axis(labelLimit=260)),
            x=alt.X("shown:Q", title="late requests over those allowed, cut at 300 %", axis=alt.Axis(format="%")),
            color=color,
            tooltip=[
                alt.Tooltip("variant:N", title="Case"),
                alt.Tooltip("error_budget_share:Q", title="Late over allowed", format=".0%"),
                alt.Tooltip("monthly_mean_usd:Q", title="USD a month", format=_MONEY),
            ],
        )
        .properties(title=_title(title, "share of the late requests allowed"), height=alt.Step(20))
    )


def history(rates: "pd.Series[float]", title: str = "What arrived") -> alt.Chart:
    """A traffic history by hour [requests/s]; gaps stay open. ``rates`` has a time index, as
    :meth:`Traffic.hourly` gives.
    """
    table = pd.DataFrame({"time": pd.DatetimeIndex(rates.index).tz_localize(None), "rate": rates.to_numpy()})
    return (
        alt.Chart(table)
        .mark_line(color=BLUE, strokeWidth=1)
        .encode(
            x=alt.X("time:T", title=None),
            y=alt.Y("rate:Q", title="requests per second"),
            tooltip=[
                alt.Tooltip("time:T", title="Hour", format="%a %d %b %Y %H:%M"),
                alt.Tooltip("rate:Q", title="Requests/s", format=",.3~r"),
            ],
        )
        .properties(title=_title(title, "requests per second, UTC"), height=260)
    )


def load_year(daily: pd.DataFrame, title: str = "Busiest hour of each day") -> alt.LayerChart:
    """Load bands and usable capacity by day [requests/s] from :func:`views.daily`."""
    return _load(
        daily,
        alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", labelOverlap=True)),
        alt.Tooltip("day:T", title="Day", format="%a %d %b %Y"),
        title,
        "monotone",
    )


def load_week(hours: pd.DataFrame, title: str = "The busiest week, hour by hour") -> alt.LayerChart:
    """Load bands and usable capacity by hour [requests/s] from :func:`views.peak_week`."""
    return _load(
        hours,
        alt.X("time:T", title=None, axis=alt.Axis(format="%a %d %b", tickCount="day", labelOverlap=True)),
        alt.Tooltip("time:T", title="Hour", format="%a %d %b %H:%M"),
        title,
        "step-after",
    )


def _load(table: pd.DataFrame, x: alt.X, when: alt.Tooltip, title: str, shape: str) -> alt.LayerChart:
    curves = {c: style for c, style in CURVES.items() if c in table}
    scale = alt.Scale(domain=[BAND, *(s[0] for s in curves.values())], range=[SKY, *(s[1] for s in curves.values())])
    shown = {"p10": "Load, 1 in 10 below", "p90": "Load, 1 in 10 above"} | {c: s[0] for c, s in curves.items()}
    tips = [when, *(alt.Tooltip(f"{c}:Q", title=t, format=",.3~r") for c, t in shown.items())]
    base = alt.Chart(table).encode(x=x)
    layers = [_named(base.mark_area(opacity=0.3, interpolate=shape), BAND, "p10", scale).encode(y2="p90:Q")]
    layers += [_named(base.mark_line(strokeWidth=0.8, interpolate=shape), BAND, c, scale) for c in ("p10", "p90")]
    for column, (name, _, width, dash) in curves.items():
        steps = shape if column in {"p50", "planned"} else "step-after"
        layers.append(
            _named(base.mark_line(strokeWidth=width, strokeDash=dash, interpolate=steps), name, column, scale)
        )
    hover = base.mark_rule(opacity=0, strokeWidth=6).encode(tooltip=tips)
    return alt.layer(*layers, hover).properties(title=_title(title, "requests per second"), height=360)


def _named(layer: alt.Chart, name: str, column: str, scale: alt.Scale) -> alt.Chart:
    """A layer that stands in the common legend under its own name."""
    return layer.transform_calculate(curve=f"'{name}'").encode(
        y=alt.Y(f"{column}:Q", title="requests per second"),
        color=alt.Color("curve:N", scale=scale, legend=_BOTTOM),
    )


def latency(curve: pd.DataFrame, title: str = "Latency of one replica under load") -> alt.LayerChart:
    """Latency as a share of its limit over the arrival rate [requests/s] from
    :func:`views.latency_curve`; at 100 % the promise breaks.
    """
    table = curve.assign(of_limit=curve["latency_s"] / curve["limit_s"])
    line = (
        alt.Chart(table)
        .mark_line(clip=True)
        .encode(
            x=alt.X("rate_rps:Q", title="requests per second"),
            y=alt.Y(
                "of_limit:Q",
                title="share of the limit",
                scale=alt.Scale(domain=[0, 1.5]),
                axis=alt.Axis(format="%"),
            ),
            color=alt.Color("objective:N", scale=alt.Scale(range=COLORS), legend=_LINES),
            tooltip=[
                alt.Tooltip("objective:N", title="Objective"),
                alt.Tooltip("rate_rps:Q", title="Requests/s", format=",.3~r"),
                alt.Tooltip("latency_s:Q", title="Seconds", format=".3~r"),
                alt.Tooltip("limit_s:Q", title="Limit, seconds", format="~g"),
            ],
        )
    )
    limit = alt.Chart(pd.DataFrame({"of_limit": [1.0]})).mark_rule(strokeDash=[5, 3], color=GRAY).encode(y="of_limit:Q")
    return alt.layer(line, limit).properties(title=_title(title, "share of the limit"), height=320)


def spread(causes: pd.DataFrame, title: str = "Where the uncertainty of the volume comes from") -> alt.Chart:
    """Share of the spread of each service's volume by cause, from :func:`views.range_causes`."""
    return (
        alt.Chart(causes)
        .mark_bar()
        .encode(
            y=alt.Y("service:N", title=None),
            x=alt.X("share:Q", title="share of the spread", axis=alt.Axis(format="%")),
            color=alt.Color("cause:N", scale=alt.Scale(range=COLORS), legend=_BOTTOM),
            tooltip=["service:N", "cause:N", alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(title=_title(title, "share"), height=alt.Step(34))
    )


def hindcast(hours: pd.DataFrame, title: str = "The last week as it would have been forecast") -> alt.LayerChart:
    """What came against what would have been forecast [requests/s], from :func:`views.hindcast`."""
    names = {"p5": "Forecast, 9 of 10 hours", "p50": "Forecast, middle", "actual": "What came"}
    scale = alt.Scale(domain=list(names.values()), range=[SKY, BLUE, RED])
    tips = [alt.Tooltip("time:T", title="Hour", format="%a %d %b %H:%M")]
    tips += [
        alt.Tooltip(f"{c}:Q", title=t, format=",.3~r")
        for c, t in {"p5": "5 %", "p50": "Middle", "p95": "95 %", "actual": "Came"}.items()
    ]
    base = alt.Chart(hours).encode(
        x=alt.X("time:T", title=None, axis=alt.Axis(format="%a %d %b", tickCount="day", labelOverlap=True))
    )
    band = _named(base.mark_area(opacity=0.3), names["p5"], "p5", scale).encode(y2="p95:Q")
    edges = [_named(base.mark_line(strokeWidth=0.8), names["p5"], c, scale) for c in ("p5", "p95")]
    middle = _named(base.mark_line(strokeWidth=1.2), names["p50"], "p50", scale)
    actual = _named(base.mark_line(strokeWidth=1.5), names["actual"], "actual", scale)
    hover = base.mark_rule(opacity=0, strokeWidth=6).encode(tooltip=tips)
    return alt.layer(band, *edges, middle, actual, hover).properties(
        title=_title(title, "requests per second"), height=320
    )


def backtest(scores: pd.DataFrame, title: str = "Forecast error beside repeating last week") -> alt.Chart:
    """Weighted quantile loss by horizon from :func:`planner.load.backtest`, the product's beside
    the weekly naive's; smaller is better.
    """
    names = {"wql": "This forecast", "naive_wql": "Last week repeated"}
    table = scores.assign(ahead=[f"{h / 24:.0f} days" if h > 24 else "1 day" for h in scores["horizon_h"]])
    long = table.melt(["ahead", "horizon_h"], list(names), "who", "loss").assign(who=lambda t: t["who"].map(names))
    return (
        alt.Chart(long)
        .mark_bar()
        .encode(
            y=alt.Y("ahead:N", sort=alt.EncodingSortField("horizon_h"), title=None),
            yOffset=alt.YOffset("who:N", sort=list(names.values())),
            x=alt.X("loss:Q", title="weighted quantile loss, share of the volume", axis=alt.Axis(format="%")),
            color=alt.Color("who:N", scale=alt.Scale(domain=list(names.values()), range=[BLUE, GRAY]), legend=_BOTTOM),
            tooltip=[
                "ahead:N",
                alt.Tooltip("who:N", title="Forecast"),
                alt.Tooltip("loss:Q", title="Loss", format=".1%"),
            ],
        )
        .properties(title=_title(title, "share of the volume"), height=alt.Step(18))
    )


def unit_costs(table: pd.DataFrame, title: str = "Cheapest machines that meet the target", most: int = 12) -> alt.Chart:
    """On-demand cost of a million requests at full use [USD], the cheapest ``most`` machines of
    :func:`views.unit_costs`.
    """
    part = table.head(most).assign(
        machine=table["instance_type"]
        + table["deployment"].where(table["deployment"] == "", ", " + table["deployment"])
    )
    return (
        alt.Chart(part)
        .mark_bar(color=BLUE)
        .encode(
            y=alt.Y(
                "machine:N",
                sort=alt.EncodingSortField("usd_per_1m_requests", "min"),
                title=None,
                axis=alt.Axis(labelLimit=260),
            ),
            x=alt.X("usd_per_1m_requests:Q", title="USD per million requests", axis=alt.Axis(format="$~g")),
            tooltip=[
                alt.Tooltip("machine:N", title="Machine"),
                alt.Tooltip("usd_per_1m_requests:Q", title="USD per million requests", format="$,.3~r"),
                alt.Tooltip("usable_rps:Q", title="Requests/s a replica", format=",.3~r"),
                alt.Tooltip("binding_objective:N", title="Limited by"),
            ],
        )
        .properties(title=_title(title, "USD per million requests"), height=alt.Step(22))
    )


def cost_months(
    monthly: pd.DataFrame,
    measure: str = "effective_cost_usd",
    title: str = "Cost by month",
    span: pd.DataFrame | None = None,
    most: int = 6,
) -> alt.LayerChart:
    """Stacked cost by month and charge [USD] from :meth:`Plan.monthly`.

    The ``most`` largest charges have a color of their own, the rest is one.  ``span`` of
    :func:`views.month_range` adds the range over load paths as a line with ends.
    """
    table = monthly.assign(
        month=pd.to_datetime(monthly["month"]),
        what=[charge(str(name)).title for name in monthly["charge"]],
    )
    order = table.groupby("what")[measure].sum().sort_values(ascending=False).index.tolist()
    if len(order) > most + 1:
        table["what"] = table["what"].where(table["what"].isin(order[:most]), "All other")
        order = [*order[:most], "All other"]
    table = table.groupby(["month", "what"], as_index=False)[[measure]].sum()
    table["rank"] = table["what"].map({name: i for i, name in enumerate(order)})
    x = alt.X(
        "month:O",
        timeUnit="yearmonth",
        title=None,
        axis=alt.Axis(format="%b %Y", labelAngle=0, labelOverlap=True),
    )
    when = alt.Tooltip("month:T", title="Month", format="%B %Y")
    layers = [
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y(f"{measure}:Q", title="USD per month", axis=alt.Axis(labelExpr=_DOLLARS)),
            color=alt.Color(
                "what:N",
                sort=order,
                scale=alt.Scale(domain=order, range=COLORS[: len(order)]),
                legend=_BOTTOM,
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                when,
                alt.Tooltip("what:N", title="Charge"),
                alt.Tooltip(f"{measure}:Q", title="Cost", format=_MONEY),
            ],
        )
    ]
    if span is not None and len(span):
        shown = {"p10": "1 in 10 futures below", "p50": "Middle future", "p90": "1 in 10 futures above"}
        tips = [when, *(alt.Tooltip(f"{c}:Q", title=t, format=_MONEY) for c, t in shown.items())]
        lines = alt.Chart(span.assign(month=pd.to_datetime(span["month"]))).encode(x=x, tooltip=tips)
        ends = {"y": "p10:Q", "y2": "p90:Q"}
        layers.append(lines.mark_rule(strokeWidth=4.5, color=GROUND).encode(**ends))
        layers.append(lines.mark_rule(strokeWidth=2.5, color=INK).encode(**ends))
        layers += [lines.mark_tick(thickness=2.5, size=14, color=INK).encode(y=f"{c}:Q") for c in ("p10", "p90")]
    return alt.layer(*layers).properties(title=_title(title, "USD per calendar month"), height=360)


def cost_range(path_costs: pd.DataFrame, title: str = "Total cost on every future") -> alt.LayerChart:
    """Distribution of the horizon's bill over load paths [USD]: ``path_costs`` holds a column
    ``usd``.
    """
    bars = (
        alt.Chart(path_costs)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(
                "usd:Q", bin=alt.Bin(maxbins=24), title="USD over the whole plan", axis=alt.Axis(labelExpr=_DOLLARS)
            ),
            y=alt.Y("count():Q", title="futures"),
            tooltip=[alt.Tooltip("count():Q", title="Futures")],
        )
    )
    marks = pd.DataFrame({"usd": path_costs["usd"].quantile([0.1, 0.5, 0.9]).to_numpy(), "name": ["P10", "P50", "P90"]})
    rules = (
        alt.Chart(marks)
        .mark_rule(color=ORANGE, strokeWidth=2)
        .encode(x="usd:Q", tooltip=["name:N", alt.Tooltip("usd:Q", format=_MONEY)])
    )
    words = (
        alt.Chart(marks)
        .mark_text(dy=-6, baseline="bottom", color=GRAY)
        .encode(x="usd:Q", y=alt.value(0), text="name:N")
    )
    return alt.layer(bars, rules, words).properties(title=_title(title, "USD"), height=300)


def instances(running: pd.DataFrame, title: str = "Machines running and how they are paid") -> alt.Chart:
    """Mean machines by day, stacked by purchase option, from :func:`views.running`."""
    order = ["Committed", "On demand", "Spot"]
    return (
        alt.Chart(running)
        .mark_area(interpolate="step-after")
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", labelOverlap=True)),
            y=alt.Y("instances:Q", stack=True, title="machines"),
            color=alt.Color("paid:N", scale=alt.Scale(domain=order, range=[GREEN, BLUE, ORANGE]), legend=_BOTTOM),
            tooltip=[
                alt.Tooltip("day:T", title="Day", format="%a %d %b %Y"),
                alt.Tooltip("paid:N", title="Paid"),
                alt.Tooltip("instances:Q", title="Machines", format=",.1f"),
            ],
        )
        .properties(title=_title(title, "daily mean of machines"), height=340)
    )


def held(days: pd.DataFrame, title: str = "Requests in time, worst hour of each day") -> alt.Chart:
    """Share of requests within each objective by day from :func:`views.held`."""
    low = min(0.95, float(days["within_share"].min()))
    return (
        alt.Chart(days)
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", labelOverlap=True)),
            y=alt.Y(
                "within_share:Q",
                title="share of requests",
                scale=alt.Scale(domain=[low, 1.0]),
                axis=alt.Axis(format=".1%"),
            ),
            color=alt.Color("objective:N", scale=alt.Scale(range=COLORS), legend=_LINES),
            tooltip=[
                alt.Tooltip("day:T", title="Day", format="%a %d %b %Y"),
                alt.Tooltip("objective:N", title="Objective"),
                alt.Tooltip("within_share:Q", title="In time", format=".3%"),
            ],
        )
        .properties(title=_title(title, "share"), height=320, padding={"top": 12, "left": 5, "right": 5, "bottom": 5})
    )


def headroom(ledger: pd.DataFrame, title: str = "Capacity kept free and what for") -> alt.Chart:
    """Share of what an always busy replica would serve that is kept free, by cause, from
    :func:`views.ledger`.
    """
    return (
        alt.Chart(ledger)
        .mark_bar()
        .encode(
            y=alt.Y("label:N", title=None, axis=alt.Axis(labelLimit=320)),
            x=alt.X("sum(headroom_share):Q", title="share kept free", axis=alt.Axis(format="%")),
            color=alt.Color("cause:N", scale=alt.Scale(range=COLORS), legend=_BOTTOM_3),
            tooltip=[
                alt.Tooltip("label:N", title="For"),
                alt.Tooltip("cause:N", title="Kept for"),
                alt.Tooltip("headroom_share:Q", title="Share", format=".1%"),
                alt.Tooltip("basis:N", title="Basis"),
            ],
        )
        .properties(title=_title(title, "share of an always busy replica"), height=alt.Step(34))
    )


def spending(days: pd.DataFrame, title: str = "Plan and bill day by day") -> alt.LayerChart:
    """What was paid beside what was planned by day [USD] from
    :func:`planner.show.tracking.days`.
    """
    names = {"paid": ("Paid", BLUE, [1, 0]), "planned": ("Planned", ORANGE, [3, 2])}
    scale = alt.Scale(domain=[n for n, *_ in names.values()], range=[c for _, c, _ in names.values()])
    tips = [alt.Tooltip("day:T", title="Day", format="%a %d %b %Y")]
    tips += [alt.Tooltip(f"{c}:Q", title=n, format="$,.2f") for c, (n, *_) in names.items()]
    axis = alt.Axis(format="%d %b", labelOverlap=True)
    base = alt.Chart(days).encode(x=alt.X("day:T", title=None, axis=axis), tooltip=tips)
    lines = [
        base.mark_line(strokeWidth=1.6, strokeDash=dash, interpolate="step-after")
        .transform_calculate(line=f"'{name}'")
        .encode(
            y=alt.Y(f"{column}:Q", title="USD a day", axis=alt.Axis(labelExpr=_DOLLARS)),
            color=alt.Color("line:N", scale=scale, legend=_LINES),
        )
        for column, (name, _, dash) in names.items()
    ]
    hover = base.mark_rule(opacity=0, strokeWidth=6)
    return alt.layer(*lines, hover).properties(title=_title(title, "USD a day"), height=340)


def bridge(
    steps: pd.DataFrame, title: str = "What makes the difference", unit: str = "USD over the whole plan"
) -> alt.LayerChart:
    """Waterfall of cost differences [USD] from :func:`views.waterfall`."""
    scale = alt.Scale(domain=["total", "more", "less"], range=[GRAY, RED, GREEN])
    rows = alt.Axis(labelLimit=230, ticks=False, domain=False)
    base = alt.Chart(steps).encode(y=alt.Y("step:N", sort=steps["step"].tolist(), title=None, axis=rows))
    room = alt.Scale(domain=[0, 1.12 * float(steps["top"].max() or 1.0)])
    bars = base.mark_bar(height=18).encode(
        x=alt.X("start:Q", title=None, axis=alt.Axis(labelExpr=_DOLLARS, tickCount=5), scale=room),
        x2="end:Q",
        color=alt.Color("kind:N", scale=scale, legend=None),
        tooltip=[alt.Tooltip("step:N", title="Step"), alt.Tooltip("change:Q", title="USD", format="+$,.0f")],
    )
    words = base.mark_text(dx=5, align="left", color=INK).encode(x="top:Q", text="label:N")
    return alt.layer(bars, words).properties(title=_title(title, unit), height=alt.Step(30))


def frontier(
    points: pd.DataFrame,
    name: str,
    bounds: pd.DataFrame | None = None,
    title: str = "What it would cost to choose otherwise",
) -> alt.LayerChart:
    """Monthly cost [USD] over the values of one choice: whole plans (``value monthly_usd
    within_share chosen``) and, as a line, the proven lower bound (``value lower_bound_usd``);
    values without a plan are left out.
    """
    x = alt.X("value:Q", title=name, scale=alt.Scale(zero=False, nice=True))
    axis, scale = alt.Axis(labelExpr=_DOLLARS), alt.Scale(zero=False, nice=True)
    tips = [
        alt.Tooltip("value:Q", title=name, format="~g"),
        alt.Tooltip("monthly_usd:Q", title="USD a month", format=_MONEY),
        alt.Tooltip("within_share:Q", title="In time", format=".2%"),
    ]
    layers: list[alt.Chart] = []
    if bounds is not None and len(bounds):
        low = alt.Y("lower_bound_usd:Q", title="USD a month", axis=axis, scale=scale)
        proven = [tips[0], alt.Tooltip("lower_bound_usd:Q", title="At least, USD a month", format=_MONEY)]
        base = alt.Chart(bounds).encode(x=x, y=low, tooltip=proven)
        layers += [
            base.mark_line(color=GREEN, strokeDash=[5, 3]),
            base.mark_point(filled=True, size=30, opacity=1, color=GREEN),
        ]
    if len(points):
        base = alt.Chart(points).encode(x=x, y=alt.Y("monthly_usd:Q", title="USD a month", axis=axis, scale=scale))
        color = alt.condition("datum.chosen", alt.value(ORANGE), alt.value(BLUE))
        layers += [
            base.mark_line(color=BLUE),
            base.mark_point(filled=True, size=90, opacity=1).encode(color=color, tooltip=tips),
        ]
    return alt.layer(*layers).properties(title=_title(title, "USD a month"), height=300)


def _title(text: str, unit: str) -> alt.TitleParams:
    return alt.TitleParams(f"{text}, {unit}", anchor="start")
