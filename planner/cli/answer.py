"""The answer as plain text that a manager understands: aligned tables, money in dollars, reasons in
sentences.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.cli.held import head_text, latency_text
from planner.cli.today import today_text
from planner.export import budgets, headline, token_costs
from planner.load import Load, Traffic
from planner.plan import Plan
from planner.scenario import Scenario
from planner.show.words import number, percent, rate, table, usd

if TYPE_CHECKING:
    from planner.study import Study

MOST = 6


def answer_text(study: "Study") -> str:
    """The whole answer: cost with its range, machines, commitments, latency, what breaks first,
    owners, months, reasons.
    """
    parts = [
        head_text(study),
        today_text(study.today) if study.today else "",
        _cost(study),
        _machines(study),
        _commitments(study),
        latency_text(study),
        _owners(study),
        _months(study),
        _reasons(study),
    ]
    return "\n\n".join(p for p in parts if p)


def alternatives_text(plan: Plan) -> str:
    """Plans nearly as good, cheapest first: what each costs more and what changes; a restriction
    that nothing meets says why.
    """
    rows = [
        (
            [
                r["variant"],
                usd(r["total_usd"]),
                f"{'+' if r['difference_usd'] >= 0 else ''}{percent(r['difference_share'])}",
                r["sentence"],
            ]
            if not r["error"]
            else [r["variant"], "no plan", "", r["error"]]
        )
        for r in plan.alternatives.to_dict("records")
    ]
    return "\nPlans nearly as good\n" + table(["", "cost", "more", "what changes"], rows, "  ") if rows else ""


def forecast_text(scenario: Scenario, traffic: Mapping[str, Traffic], load: Load) -> str:
    """What arrived and what will by service: mean, busiest hour and volume, each the mean of the
    paths beside their P10 to P90; the causes of the range, and what was repaired in the history.
    """
    rows = []
    for name, s in load.services.items():
        volume, peak = load.volume(name), load.peak(name)
        rows.append(
            [
                name,
                number(float(s.arrival_rate_rps.mean())),
                number(float(peak.mean())),
                _low_to_high(peak),
                number(float(volume.mean())),
                _low_to_high(volume),
                f"{s.burst_factor:.2f} ({s.burst_basis})",
            ]
        )
    head = ["service", "mean req/s", "peak hour", "P10 to P90", "requests", "P10 to P90", "bursts"]
    parts = [
        f"{scenario.name}: {load.hours:,} hours from {scenario.start}, {load.paths} paths",
        table(head, rows, "  "),
    ]
    causes = [
        f"  {name}: " + ", ".join(f"{cause} {percent(v, 0)}" for cause, v in s.range_share.items())
        for name, s in load.services.items()
        if s.range_share
    ]
    repairs = [f"  {name}: {note}" for name, t in traffic.items() for note in (_read(t), *_quality(t))]
    parts += [
        f"{title}\n" + "\n".join(lines)
        for title, lines in (
            ("Where the range of the volume comes from", causes),
            ("What the histories are like", repairs),
            ("Notes", _merged(load.notes)),
        )
        if lines
    ]
    return "\n\n".join(parts)


def backtest_text(name: str, scores: pd.DataFrame) -> str:
    """Past forecasts of one history against what came, beside the weekly naive; below 1 is better
    than the naive.
    """
    rows = [
        [
            f"{r['horizon_h']:.0f} h",
            f"{r['windows']:.0f}",
            f"{r['wql']:.3f}",
            f"{r['naive_wql']:.3f}",
            f"{r['wql_ratio']:.2f}",
            percent(r["coverage_90_share"]),
            percent(r["coverage_99_share"]),
            f"{r['peak_loss']:.3f}",
            f"{r['naive_peak_loss']:.3f}",
            percent(r["peak_exceeded_share"], 0),
        ]
        for r in scores.to_dict("records")
    ]
    head = [
        "horizon",
        "windows",
        "error",
        "naive's",
        "ratio",
        "below P90",
        "below P99",
        "peak error",
        "naive's",
        "peaks above",
    ]
    return (
        f"{name}: forecasts of its own past (weighted quantile loss; peaks: the window's maximum against its 95 %"
        " quantile)\n" + table(head, rows, "  ")
    )


def _low_to_high(values: Floats) -> str:
    low, high = np.quantile(values, [0.1, 0.9])
    return f"{number(low)} to {number(high)}"


def _read(traffic: Traffic) -> str:
    """What a history says before anything is forecast: its mean, tokens a request, first and last."""
    if traffic.stated is not None:
        return f"no history: mean {rate(traffic.mean_rps)}, as stated"
    mix, span = traffic.tokens, f"{traffic.start:%Y-%m-%d %H:%M} to {traffic.end:%Y-%m-%d %H:%M} UTC"
    tokens = f", {number(mix.mean_input_tokens)} tokens in and {number(mix.mean_output_tokens)} out" if mix else ""
    return f"mean {rate(traffic.mean_rps)}{tokens}, {span}"


def _quality(traffic: Traffic) -> list[str]:
    """What was repaired or noticed, with the number of rows; assumptions stand among the notes."""
    rows = traffic.quality[traffic.quality["kind"] != "assumed"].head(MOST).to_dict("records")
    return [r["kind"] + (f" ({r['rows']:,} rows)" if r["rows"] else "") + f": {r['detail']}" for r in rows]


def _cost(study: "Study") -> str:
    f, plan = study.plan.summary(), study.plan
    rows = [
        _headline(study),
        ["expected cost", usd(f["total_usd"]), f"{usd(f['monthly_mean_usd'])} a month, amortized"],
        ["at list prices", usd(f["list_usd"]), f"{percent(f['effective_savings_rate'])} saved"],
        ["paid in cash", usd(f["billed_usd"]), "prepayments in the month of signing"],
        [
            "range P10 to P90",
            f"{usd(f['p10_usd'])} to {usd(f['p90_usd'])}",
            f"median {usd(f['p50_usd'])}, over the futures planned for",
        ],
        ["if all ready ran", usd(f["ready_usd"]), _ready(study)],
        [
            "no plan below",
            usd(f["lower_bound_usd"]),
            f"by any machines and commitments within the limits, data and requests charged as here; {_within(f)}",
        ],
    ]
    units = [
        [f"{name}: 1,000 requests", usd(v), ""]
        for name, v in plan.usd_per_1k_requests(_charged(study, study.requests)).items()
    ]
    units += [
        [f"{name}: 1 million tokens", usd(v), "input and output together"]
        for name, v in plan.usd_per_1m_tokens(_charged(study, study.tokens)).items()
    ]
    units += [
        [f"{r['service']}: 1 million {r['token_kind']} tokens", usd(r["usd_per_1m_tokens"]), _of_tokens(r)]
        for r in token_costs(study).to_dict("records")
    ]
    return "Cost\n" + table(["", "", ""], [*rows, *units], "  ").partition("\n")[2]


def _of_tokens(row: Mapping[Any, Any]) -> str:
    return f"{percent(row['cost_share'], 0)} of the bill, by the time these tokens keep machines busy"


def _headline(study: "Study") -> list[str]:
    """A month, what is due up front and when, the cash of the horizon,
    and what is owed after it.
    """
    head = headline(study)
    due = f"{usd(float(head['upfront_usd']))} up front" + (f" on {head['upfront_on']}" if head["upfront_on"] else "")
    cash, owed = (usd(float(head[k])) for k in ("cash_usd", "owed_after_usd"))
    rate, words = study.scenario.exchange, ""
    if rate is not None:
        other = float(head["monthly_mean_usd"]) * rate.per_usd
        words = f"; {other:,.0f} {study.scenario.currency} a month at {rate.per_usd:g} for a dollar of {rate.as_of}"
    said = f"{due}, {cash} cash in the horizon, {owed} owed after it{words}"
    return ["a month", usd(float(head["monthly_mean_usd"])), said]


def _charged(study: "Study", volume: Mapping[str, float]) -> dict[str, float]:
    """The volumes of services that cost anything at all."""
    return {name: v for name, v in volume.items() if (study.plan.cost["service"] == name).any()}


def _within(figures: Mapping[str, Any]) -> str:
    return f"this one is within {percent(figures['gap_share'], 2)}"


def _ready(study: "Study") -> str:
    """What the plan's hours are ready for."""
    quantiles = sorted({s.objective.load_quantile for s in study.scenario.services.values()})
    return f"each hour ready for the load that {' or '.join(f'{q:.0%}' for q in quantiles)} of futures stay below"


def _machines(study: "Study") -> str:
    m = study.plan.machines()
    keys = ["service", "provider", "region", "purchase_option", "resource"]
    compute = study.plan.cost[study.plan.cost["charge"] == "compute"]
    launched = compute["purchase_option"].replace("committed", "on_demand")
    by = compute.assign(purchase_option=launched).groupby(keys)
    paid, rests = by["effective_cost_usd"].sum(), by["basis"].agg(lambda b: "+".join(sorted(set(b))))
    busy = _utilization(study)
    rows = []
    for r in m.to_dict("records"):
        key = (r["service"], r["provider"], r["region"], r["purchase_option"], r["instance_type"])
        rows.append(
            [
                r["service"],
                f"{r['provider']} {r['region']}",
                r["instance_type"],
                r["purchase_option"],
                f"{r['min_instances']:.0f}",
                f"{r['mean_instances']:.1f}",
                f"{r['max_instances']:.0f}",
                usd(float(paid.get(key, 0.0)) / study.plan.months),
                str(rests.get(key, "")),
                busy.get(str(r["service"]), ""),
            ]
        )
    head = [
        "service",
        "where",
        "machine",
        "launched as",
        "least",
        "mean",
        "most",
        "a month",
        "price",
        "mean load / bearable",
    ]
    return "What runs\n" + table(head, rows, "  ")


def _utilization(study: "Study") -> dict[str, str]:
    """Mean load over what the running replicas may bear, by service."""
    schedule = study.plan.schedule
    bears = (study.capacity.borne_rps(schedule) * schedule["weight_h"]).groupby(schedule["service"]).sum()
    return {str(s): percent(study.requests[str(s)] / 3600 / b, 0) for s, b in bears.items() if b > 0}


def _commitments(study: "Study") -> str:
    c = study.plan.commitments
    if c.empty:
        return (
            f"Commitments\n  none within {study.scenario.limits.max_term_months} months' term pays off"
            if study.scenario.limits.max_term_months
            else ""
        )
    rows = [
        [
            r["commitment"],
            f"{r['quantity']:,.2f} {r['unit']}",
            f"{r['start'].tz_convert(study.scenario.time_zone):%Y-%m-%d}",
            f"{r['term_months']} months, {r['payment']} upfront",
            usd(r["upfront_usd"]),
            f"{usd(r['hourly_usd'], 3)}/h",
            percent(r["commitment_utilization"]),
            percent(r["break_even_utilization"]),
        ]
        for r in c.to_dict("records")
    ]
    return "Commitments\n" + table(
        ["what", "quantity", "from", "terms", "upfront", "then", "used", "pays off above"],
        rows,
        "  ",
    )


def _owners(study: "Study") -> str:
    frame = study.plan.by_owner()
    total = frame["effective_cost_usd"].sum() or 1.0
    rows = [
        [
            r["owner"] or "nobody",
            r["cost_center"] or "none",
            r["service"] or "shared",
            usd(r["effective_cost_usd"]),
            percent(r["effective_cost_usd"] / total),
        ]
        for r in frame.to_dict("records")
    ]
    text = "Who answers for it\n" + table(["owner", "cost center", "service", "cost", "share"], rows, "  ")
    unowned = study.plan.summary()["unowned_usd"]
    text += _budgets(study)
    return text + (f"\n  {usd(unowned)} have no owner: name one under services.NAME.owner" if unowned > 0.005 else "")


def _budgets(study: "Study") -> str:
    """Each budget beside its pace and the first month that may exceed it; nothing where none is
    stated.
    """
    rows = [
        [
            r["owner"],
            usd(r["monthly_mean_usd"]),
            usd(r["budget_usd_per_month"]),
            percent(r["pace_share"], 0),
            r["first_breach"] or ("none" if r["breach_share"] == 0 else "unknown"),
            percent(r["first_breach_share"], 0),
            percent(r["breach_share"], 0),
        ]
        for r in budgets(study).to_dict("records")
    ]
    head = ["", "a month", "budget", "pace", "first breach", "in so many futures", "any month"]
    return "\n" + table(["budget of", *head[1:]], rows, "  ") if rows else ""


def _months(study: "Study") -> str:
    by = study.plan.monthly().groupby("month")[["list_cost_usd", "effective_cost_usd", "billed_cost_usd"]].sum()
    ranges = {
        r["month"]: f"{usd(r['p10_usd'])} to {usd(r['p90_usd'])}" for r in study.plan.monthly_range().to_dict("records")
    }
    rows = [
        [str(m), *(usd(float(v)) for v in row), ranges.get(str(m), "")]
        for m, row in zip(by.index, by.to_numpy(), strict=True)
    ]
    charges = study.plan.monthly().groupby("charge")["effective_cost_usd"].sum().sort_values(ascending=False)
    split = ", ".join(f"{c} {usd(float(v))}" for c, v in charges.items() if v >= 0.005)
    return (
        "By month\n"
        + table(["month", "list", "amortized", "cash", "P10 to P90"], rows, "  ")
        + f"\n  by charge: {split}"
    )


def _reasons(study: "Study") -> str:
    plan = study.plan
    why = [f"  {s}" for s in plan.bindings["sentence"].drop_duplicates().head(MOST) if s]
    counts = plan.excuses.groupby(["service", "reason"], observed=True).size().rename("count").reset_index()
    counts = counts.sort_values("count", ascending=False, kind="stable").groupby("service", observed=True).head(4)
    out = [
        f"  {service}: " + ", ".join(f"{r['count']} {r['reason']}" for r in part.to_dict("records"))
        for service, part in counts.groupby("service", observed=True)
    ]
    notes = _merged([*_places(plan), *plan.notes, *study.load.notes, *study.replay.notes])
    titled = (("What binds", why), ("Why not the others", out), ("Notes", notes))
    return "\n\n".join(f"{title}\n" + "\n".join(lines) for title, lines in titled if lines)


def _places(plan: Plan) -> list[str]:
    """A warning for each service that runs in more than one place: what flows between them has no
    price here.
    """
    places: dict[str, set[str]] = {}
    for row in plan.machines().to_dict("records"):
        places.setdefault(str(row["service"]), set()).add(f"{row['provider']} {row['region']}")
    return [
        f"{name}: runs in {' and '.join(sorted(where))}; traffic between them and a second copy of its data are not"
        " priced"
        for name, where in places.items()
        if len(where) > 1
    ]


def _merged(notes: Sequence[str]) -> list[str]:
    """Notes in order, those that differ only in the service they begin with in one line."""
    said: dict[str, list[str]] = {}
    for note in notes:
        name, colon, rest = note.partition(": ")
        said.setdefault(rest if colon and " " not in name else note, []).append(
            name if colon and " " not in name else ""
        )
    return [f"  {', '.join(dict.fromkeys(names))}: {text}" if names[0] else f"  {text}" for text, names in said.items()]


def compare_text(before: "Study", after: "Study") -> str:
    """Two plans side by side, and the bridge from one bill to the other;
    its lines add up exactly.
    """
    a, b = before.plan.summary(), after.plan.summary()
    shown = (
        ("amortized cost", "total_usd"),
        ("a month", "monthly_mean_usd"),
        ("P10", "p10_usd"),
        ("P90", "p90_usd"),
        ("at list prices", "list_usd"),
    )
    rows = [[title, usd(a[k]), usd(b[k]), usd(b[k] - a[k])] for title, k in shown]
    shares = [before.replay.within_share(), after.replay.within_share()]
    rows.append(["requests within (worst)", *(percent(s, 2) for s in shares), ""])
    rows.append(
        ["load multiplier (worst)", *(f"{s.replay.breaks['load_multiplier'].min():.2f}" for s in (before, after)), ""]
    )
    names = (
        (before.scenario.name, after.scenario.name)
        if before.scenario.name != after.scenario.name
        else ("before", "after")
    )
    parts = [table(["", *names, "difference"], rows, "  ")]
    parts.append("Where the difference comes from\n" + bridge_text(before.plan.compare(after.plan)))
    return "\n\n".join(parts)


def bridge_text(bridge: pd.DataFrame) -> str:
    """The largest lines of a bridge, the rest in one, and their sum, which is the difference."""
    keys = ["service", "charge", "resource", "purchase_option", "cause"]
    large = bridge[bridge["difference_usd"].abs() >= 0.005].head(15)
    lines = [
        [r["service"] or "shared", *(r[k] for k in keys[1:]), usd(r["difference_usd"])]
        for r in large.to_dict("records")
    ]
    total = float(bridge["difference_usd"].sum())
    rest = total - float(large["difference_usd"].sum())
    lines += [["others", "", "", "", "", usd(rest)]] if abs(rest) >= 0.005 else []
    lines.append(["total", "", "", "", "", usd(total)])
    return table(["service", "charge", "resource", "bought as", "cause", "difference"], lines, "  ")


def frontier_text(frame: pd.DataFrame, path: str) -> str:
    """One line a value: the proven lower bound and, where one was made, the plan in whole machines;
    or why there is none.
    """
    rows = [
        [
            f"{r['value']:.4g}",
            usd(r["lower_bound_usd"]),
            "" if r["total_usd"] != r["total_usd"] else usd(r["total_usd"]),
            r["error"],
        ]
        for r in frame.to_dict("records")
    ]
    return table([path, "short-listed machines cost at least", "plan of whole machines", ""], rows, "  ")


def sweep_text(frame: pd.DataFrame) -> str:
    """One line a variant: cost, range, requests within, load multiplier,
    or why there is no plan.
    """
    rows = [
        (
            [
                r["variant"],
                usd(r["total_usd"]),
                usd(r["monthly_mean_usd"]),
                f"{usd(r['p10_usd'])} to {usd(r['p90_usd'])}",
                percent(r["within_share"], 2),
                f"{r['load_multiplier']:.2f}",
            ]
            if not r["error"]
            else [r["variant"], "no plan", "", "", "", ""]
        )
        for r in frame.to_dict("records")
    ]
    faults = [f"  {r['variant']}: {r['error']}" for r in frame.to_dict("records") if r["error"]]
    text = table(["variant", "cost", "a month", "P10 to P90", "requests within", "load multiplier"], rows, "  ")
    return text + ("\n\nNo plan\n" + "\n".join(faults) if faults else "")
