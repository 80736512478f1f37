"""``planner look FILE``: what was understood of a file, and what was refused
and why, before any plan.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from planner.errors import TrafficError
from planner.latency.measured.loadtests import LOGS_OF_TESTS, load_test_kind, read_load_test
from planner.load import TRAFFIC_FORMATS, Traffic, read_traffic
from planner.scenario import TrafficSource
from planner.show.words import number, rate, seconds, table

BARS = " ▁▂▃▄▅▆▇█"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _columns(pairs: tuple[str, ...]) -> dict[str, str | tuple[str, ...]]:
    """``NAME=COLUMN`` texts as the scenario's ``columns``; a name that stands twice adds up."""
    found: dict[str, list[str]] = {}
    for text in pairs:
        name, sign, column = text.partition("=")
        if not sign or not column:
            raise click.UsageError(f"--column must read NAME=COLUMN, such as arrival_rate_rps=requests (got {text!r})")
        found.setdefault(name, []).append(column)
    return {name: tuple(c) if len(c) > 1 else c[0] for name, c in found.items()}


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--time-zone", help="Zone of stamps that name none, such as Europe/Berlin.")
@click.option("--user-time-zone", help="The clock users live by, for the hours shown.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(TRAFFIC_FORMATS)),
    help="What the file is, where it is not told.",
)
@click.option(
    "--value",
    type=click.Choice(["requests_per_s", "requests_per_interval", "counter"]),
    help="What its values count.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Which column is ts, arrival_rate_rps, …",
)
@click.option("--date-order", type=click.Choice(["day_first", "month_first"]), help="Settles 3/4/2026.")
@click.option("--start", metavar="TIME", help="The instant from which numeric stamps count.")
def look(
    file: str,
    time_zone: str | None,
    user_time_zone: str | None,
    format_: str | None,
    value: str | None,
    columns: tuple[str, ...],
    date_order: str | None,
    start: str | None,
) -> None:
    """What is read of FILE, a traffic history or a load test: columns, unit, clock, gaps, hours;
    and what is refused and why.
    """
    said = {
        "time_zone": time_zone,
        "user_time_zone": user_time_zone,
        "format": format_,
        "value": value,
        "columns": _columns(columns),
        "date_order": date_order,
        "start": start,
    }
    try:
        spec = TrafficSource.model_validate(
            {"file": str(Path(file).absolute()), **{k: v for k, v in said.items() if v}}
        )
    except ValueError as error:
        raise click.UsageError(str(error).splitlines()[2].strip()) from None
    try:
        told, refused = look_text(read_traffic(spec), spec), None
    except TrafficError as error:
        told, refused = "", error
    kind = load_test_kind(file)
    if kind is None or (refused is None and kind not in LOGS_OF_TESTS):
        if refused is not None:
            raise refused
        click.echo(told)
        return
    click.echo(_load_test(file))
    if refused is not None:
        click.echo(f"As a traffic history it is refused: {refused}", err=True)


def look_text(traffic: Traffic, spec: TrafficSource) -> str:
    """What was understood of a history: span, unit, gaps, repairs, hours of
    the day and of the week.
    """
    hours = traffic.hourly()
    local = hours.tz_convert(traffic.user_time_zone or "UTC")
    facts = [
        ["first", f"{traffic.start:%Y-%m-%d %H:%M} UTC"],
        ["last", f"{traffic.end:%Y-%m-%d %H:%M} UTC (end)"],
        ["one value a", _span(traffic.interval_s)],
        [
            "observed",
            f"{traffic.observed_share:.1%} of {len(traffic.arrival_rate_rps):,}; {_longest_gap(traffic)}",
        ],
        ["mean", rate(traffic.mean_rps)],
        ["busiest hour", _busiest(local)],
        [
            "users' clock",
            traffic.user_time_zone or "not stated: the scenario's time zone is taken",
        ],
        [
            "within the hour",
            f"busiest moments {traffic.burst_factor:.2f} times the mean ({traffic.burst_basis})",
        ],
    ]
    if traffic.tokens is not None:
        mix = traffic.tokens
        facts.append(
            [
                "tokens",
                f"{number(mix.mean_input_tokens)} in, {number(mix.mean_output_tokens)} out ({mix.basis})",
            ]
        )
    repairs = [f"  {r.kind}: {r.detail}" for r in traffic.quality.itertuples()]
    parts = [
        f"{traffic.source}\n" + table(["", ""], facts, "  ").partition("\n")[2],
        "Mean by hour of the day [requests/s]\n" + _by_hour(local),
        "Mean by day of the week [requests/s]\n" + _by_day(local),
        "How it was read\n" + ("\n".join(repairs) if repairs else "  as it stands"),
        f"In a scenario\n  traffic: {_written(spec)}",
    ]
    return "\n\n".join(parts)


def _busiest(local: "pd.Series[float]") -> str:
    if not local.notna().any():
        return "no hour was observed for half of it"
    return f"{number(float(local.max()))} requests/s, {local.idxmax():%a %Y-%m-%d %H:%M}"


def _span(interval_s: int) -> str:
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if interval_s % size == 0:
            count = interval_s // size
            return word if count == 1 else f"{count} {word}s"
    return f"{interval_s} s"


def _longest_gap(traffic: Traffic) -> str:
    """The longest run of buckets that were not observed, with its first instant."""
    missing = np.concatenate([[False], ~np.isfinite(traffic.arrival_rate_rps), [False]])
    edges = np.flatnonzero(np.diff(missing.astype(np.int8)))
    if not len(edges):
        return "no gaps"
    lengths = edges[1::2] - edges[::2]
    at = int(np.argmax(lengths))
    begins = traffic.ts[int(edges[2 * at])]
    return (
        f"{len(lengths)} gaps, the longest {lengths[at] * traffic.interval_s / 3600:g} h from {begins:%Y-%m-%d %H:%M}"
    )


def _by_hour(local: "pd.Series[float]") -> str:
    index = pd.DatetimeIndex(local.index)
    means = local.groupby(index.hour).mean().reindex(range(24))
    rows = [[f"{h:02}:00", _told(float(means[h])), _bar(float(means[h]), float(means.max()))] for h in range(24)]
    return table(["hour", "mean", ""], rows, "  ")


def _by_day(local: "pd.Series[float]") -> str:
    means = local.groupby(pd.DatetimeIndex(local.index).day_of_week).mean()
    return "  " + ", ".join(f"{DAYS[int(d)]} {_told(float(means[d]))}" for d in means.index)


def _told(value: float) -> str:
    return number(value) if np.isfinite(value) else "unknown"


def _bar(value: float, top: float) -> str:
    if not np.isfinite(value) or top <= 0:
        return ""
    whole, part = divmod(round(value / top * 160), 8)
    return BARS[-1] * whole + (BARS[part] if part else "")


def _written(spec: TrafficSource) -> str:
    said = spec.model_dump(mode="json", exclude_defaults=True)
    said["file"] = Path(str(spec.file)).name
    return "{" + ", ".join(f"{k}: {v}" for k, v in said.items()) + "}"


def _load_test(file: str) -> str:
    """The steps of a load test. Raises :class:`ScenarioError` with what its reader refuses."""
    points = read_load_test(file)
    names = [k for k in points[0] if k.startswith("latency_")]
    rows = [
        [
            number(p["arrival_rate_rps"]),
            *(seconds(p[n]) if n in p else "" for n in names),
            f"{p['concurrency']:.0f} clients in a closed loop" if "concurrency" in p else "open arrivals",
        ]
        for p in points
    ]
    head = [
        "requests/s",
        *(n.removeprefix("latency_").removesuffix("_s") for n in names),
        "driven",
    ]
    use = f"In a scenario\n  latency: {{model: measured, machines: {{MACHINE: {{files: [{Path(file).name}]}}}}}}"
    return f"{file}: a load test\n{table(head, rows, '  ')}\n\n{use}"
