"""Reads any traffic history into one form: a regular UTC grid of rates with a mask and a quality
report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.errors import TrafficError
from planner.load import bursts
from planner.load.clock import week_slots
from planner.load.door import check_raw, door
from planner.load.formats import TRAFFIC_FORMATS, Raw, TrafficFormat
from planner.load.formats.base import Requests
from planner.load.formats.dialect import refuse_known
from planner.load.formats.log_layouts import refuse_named
from planner.load.formats.table import TABLE
from planner.load.grid import Grid, regular
from planner.load.quality import Quality
from planner.load.shapes import UNSTATED, WEEK, Shape, shape_of
from planner.scenario import Range, Scenario, TrafficSource
from planner.tokens import TokenMix

HOUR_S, DAY_S = 3600, 86_400
MIN_COVERAGE = 0.5  # an hour counts as observed if at least this share of it was


@dataclass(frozen=True)
class Traffic:
    """A history of one service.

    ``arrival_rate_rps`` [requests/s] (n,) mean over each bucket of ``interval_s`` seconds from
    ``start`` (UTC), NaN where nothing was observed; ``input_tokens``/``output_tokens`` [tokens]
    (n,) means of each bucket, or ``None``. ``burst_factor`` ≥ 1 and ``arrival_scv`` with their
    basis (measured or assumed) as in :class:`planner.load.ServiceLoad`. ``user_time_zone``: the
    clock users live by; ``holidays``: their country code.  ``quality``: every assumption and
    repair.

    ``shape``: weeks by which totals coarser than an hour lie over the hours. ``stated``: requests a
    day of a service without history, as the user says; ``arrival_rate_rps`` is then one week of the
    shape before the plan starts, and no measurement.
    """

    source: str
    start: pd.Timestamp
    interval_s: int
    arrival_rate_rps: Floats = field(repr=False)
    input_tokens: Floats | None = field(default=None, repr=False)
    output_tokens: Floats | None = field(default=None, repr=False)
    tokens: TokenMix | None = field(default=None, repr=False)
    burst_factor: float = 1.0
    burst_basis: str = "assumed"
    arrival_scv: float = 1.0
    arrival_basis: str = "assumed"
    user_time_zone: str | None = None
    holidays: str | None = None
    shape: Shape | None = field(default=None, repr=False)
    stated: Range | None = None
    quality: pd.DataFrame = field(default_factory=lambda: Quality("").frame(), repr=False)

    @property
    def ts(self) -> pd.DatetimeIndex:
        """Start of each bucket, UTC, shape (n,)."""
        return pd.date_range(
            self.start,
            periods=len(self.arrival_rate_rps),
            freq=pd.Timedelta(seconds=self.interval_s),
            unit="us",
        )

    @property
    def end(self) -> pd.Timestamp:
        """First instant after the history, UTC."""
        return self.start + pd.Timedelta(seconds=self.interval_s * len(self.arrival_rate_rps))

    @property
    def observed_share(self) -> float:
        """Share of the buckets between start and end that were observed.

        1 for a history without gaps [share].
        """
        return float(np.isfinite(self.arrival_rate_rps).mean())

    @property
    def mean_rps(self) -> float:
        """Mean observed rate [requests/s]."""
        return float(np.nanmean(self.arrival_rate_rps))

    def hourly(self) -> pd.Series[float]:
        """Mean rate of each clock hour [requests/s] on a regular UTC index; NaN where less than
        half of it was observed.

        A history coarser than an hour lies over its hours as its ``shape`` says, each total kept.
        Incomplete first and last hours are left out.

        The mean of an hour is that of its observed buckets, so an hour that is half seen is not
        halved.
        """
        if self.interval_s > HOUR_S:
            return self._spread()
        hour = (self.ts.asi8 // (HOUR_S * 1_000_000)).astype(np.int64)
        slot = hour - hour[0]
        seen = np.isfinite(self.arrival_rate_rps)
        size = int(slot[-1]) + 1
        count = np.bincount(slot[seen], minlength=size)
        total = np.bincount(slot[seen], weights=self.arrival_rate_rps[seen], minlength=size)
        full = HOUR_S / self.interval_s
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(count >= MIN_COVERAGE * full, total / count, np.nan)
        index = pd.DatetimeIndex(
            pd.to_datetime(hour[0] * HOUR_S, unit="s", utc=True) + pd.to_timedelta(np.arange(size), unit="h")
        ).as_unit("us")
        found = pd.Series(mean, index=index, name="arrival_rate_rps")
        edge = np.bincount(slot, minlength=size) < np.floor(full)
        keep = slice(int(edge[0] and size > 1), size - int(edge[-1] and size > 1))
        return found.iloc[keep]

    def _spread(self) -> pd.Series[float]:
        """A history coarser than an hour laid over its hours by the shape's mean week, each
        total kept; evenly without a shape, and where the shape is 0 for a whole bucket.
        """
        hours = max(1, round(self.interval_s / HOUR_S))
        index = pd.date_range(self.start.floor("h"), periods=hours * len(self.arrival_rate_rps), freq="h", unit="us")
        laid = np.ones((len(self.arrival_rate_rps), hours))
        if self.shape is not None:
            laid = self.shape.mean[week_slots(index, self.user_time_zone)].reshape(-1, hours)
            total = laid.sum(axis=1, keepdims=True)
            laid = np.where(total > 0, laid * hours / np.where(total > 0, total, 1.0), 1.0)
        return pd.Series((laid * self.arrival_rate_rps[:, None]).ravel(), index=index, name="arrival_rate_rps")


def read_traffic(source: str | Path | TrafficSource, *, folder: str | Path | None = None) -> Traffic:
    r"""Read a traffic history: CSV, TSV, Parquet, or any format of ``TRAFFIC_FORMATS``.

    ``source``: a file name, or a :class:`TrafficSource` that also says how to read it; a relative
    file is looked for in ``folder``.  Buckets may be 1 s to 1 day; stamps without zone need
    ``time_zone``; a count column becomes a rate.  Raises :class:`TrafficError` with file, row,
    column and remedy wherever reading would need a guess.

    >>> from pathlib import Path
    >>> rows = "".join(f"2026-11-02T{h:02}:00Z,{3600 * (h + 1)}\n" for h in range(24))
    >>> _ = Path("web.csv").write_text("ts,requests\n" + rows, encoding="utf-8")
    >>> history = read_traffic("web.csv")
    >>> history.interval_s, float(history.mean_rps)
    (3600, 12.5)
    """
    spec = source if isinstance(source, TrafficSource) else TrafficSource(file=str(source))
    if spec.file is None:
        raise TrafficError(
            "a service without history has no file to read",
            where="traffic",
            remedy="Give traffic.file, or let read_histories(scenario) lay requests_per_day over the hours",
        )
    path = _existing(Path(folder or "") / spec.file)
    quality = Quality(str(path))
    form = _format_of(path, spec)
    with door(path, form.meaning, "Export the history again, or state traffic.format"):
        raw = check_raw(form.read(path, spec, quality), path)
        if spec.requests is not None:
            raw = replace(raw, requests=_request_log(Path(folder or "") / spec.requests, spec, quality))
        grid = _trim(regular(raw, spec.gaps, str(path), quality), raw.complete, quality)
        if not np.isfinite(grid.rate_rps).any():
            raise TrafficError("no bucket of the history holds a value", where=path, remedy="Export the history again")
        return _assemble(path, spec, raw, grid, quality, Path(folder or path.parent))


def read_histories(scenario: Scenario) -> Mapping[str, Traffic]:
    """The history of each service of a scenario, files looked for as :meth:`Scenario.traffic_file`
    does; for a service without one, a week of its stated shape before the plan starts.
    """
    found = {}
    for name, service in scenario.services.items():
        spec = service.traffic
        if spec.requests_per_day is not None:
            found[name] = stated_traffic(spec, spec.requests_per_day, scenario)
            continue
        log = scenario.request_file(name)
        update = {
            "file": str(scenario.traffic_file(name).resolve()),
            "requests": None if log is None else str(log.resolve()),
        }
        history = read_traffic(spec.model_copy(update=update), folder=scenario.folder)
        laid = history.shape is not None and history.user_time_zone is None
        found[name] = replace(history, user_time_zone=scenario.time_zone) if laid else history
    return found


def stated_traffic(spec: TrafficSource, requests_per_day: Range, scenario: Scenario) -> Traffic:
    """A week of the stated shape before the plan starts, at the likely level: what the forecast
    of a service without history stands on.

    Rate of an hour [requests/s] = requests a day / 86,400 × the shape's mean at that hour of the
    users' week. Raises :class:`TrafficError` for a shape that is not known.
    """
    shape = shape_of(spec.shape or UNSTATED, scenario.folder)
    quality = Quality("stated")
    zone = spec.user_time_zone or spec.time_zone or scenario.time_zone
    start = pd.Timestamp(scenario.start_utc).as_unit("us") - pd.Timedelta(hours=WEEK)
    index = pd.date_range(start, periods=WEEK, freq="h", unit="us")
    rate = requests_per_day.likely / DAY_S * shape.mean[week_slots(index, zone)]
    quality.add("assumed", 0, f"no history: {requests_per_day.likely:g} requests a day are laid out as {shape.name}")
    burst, basis = bursts.burst_factor(rate, DAY_S, quality, spec.burst_factor)  # the hours are a shape's
    scv, scv_basis = bursts.arrival_scv(None, quality)
    return Traffic(
        "stated",
        start,
        HOUR_S,
        rate,
        burst_factor=burst,
        burst_basis=basis,
        arrival_scv=scv,
        arrival_basis=scv_basis,
        user_time_zone=zone,
        holidays=spec.holidays,
        shape=shape,
        stated=requests_per_day,
        quality=quality.frame(),
    )


def _request_log(path: Path, spec: TrafficSource, quality: Quality) -> Requests:
    """Single requests of the same service: their lengths and gaps, not their rate."""
    path = _existing(path)
    own = Quality(str(path))
    found = TABLE.read(path, TrafficSource(file=str(path), time_zone=spec.time_zone, start=spec.start), own).requests
    if found is None:
        raise TrafficError(
            "this is no log of single requests",
            where=path,
            remedy="Give columns ts, input_tokens, output_tokens, one row a request",
        )
    quality.lines += own.lines
    quality.add(
        "noted",
        len(found.at_s),
        f"single requests in {path.name} give the token lengths and the spread of arrivals",
    )
    return found


def _shape(spec: TrafficSource, interval_s: int, folder: Path, quality: Quality) -> Shape | None:
    """By what totals coarser than an hour lie over the hours; ``None`` where hours were counted."""
    if interval_s <= HOUR_S:
        return None
    shape = shape_of(spec.shape or UNSTATED, folder).by_day()
    why = "as traffic.shape says" if spec.shape else "no traffic.shape is stated: office, consumer, batch, flat or own"
    quality.add(
        "assumed",
        0,
        f"totals of {interval_s / HOUR_S:g} hours lie over their hours by the shape {shape.name} ({why})",
    )
    return shape


def _assemble(path: Path, spec: TrafficSource, raw: Raw, grid: Grid, quality: Quality, folder: Path) -> Traffic:
    """A history with all that is read off it beside the rate: bursts within the hour, spread of
    arrivals, tokens, shape. Each is measured where the file shows it, else assumed and said so.
    """
    burst, burst_basis = bursts.burst_factor(grid.rate_rps, grid.interval_s, quality, spec.burst_factor)
    scv, scv_basis = bursts.arrival_scv(raw.requests, quality)
    tokens = bursts.token_mix(raw.requests, grid.rate_rps, grid.input_tokens, grid.output_tokens, quality)
    start = pd.Timestamp(grid.start_us, unit="us", tz="UTC")
    shape = _shape(spec, grid.interval_s, folder, quality)
    if spec.user_time_zone is None and spec.time_zone is None:
        quality.add("noted", 0, "no user_time_zone is stated: daily patterns will follow the scenario's time zone")
    return Traffic(
        str(path),
        start,
        grid.interval_s,
        grid.rate_rps,
        grid.input_tokens,
        grid.output_tokens,
        tokens,
        burst,
        burst_basis,
        scv,
        scv_basis,
        spec.user_time_zone or spec.time_zone,
        spec.holidays,
        shape,
        quality=quality.frame(),
    )


def _existing(path: Path) -> Path:
    """The path, if a file with content stands there. Raises :class:`TrafficError` for a folder,
    no file, or an empty one.
    """
    if path.is_dir():
        raise TrafficError("this is a folder, not a file", where=path, remedy="Give the path of one traffic file")
    if not path.is_file():
        raise TrafficError(
            "there is no such file",
            where=path,
            remedy="Check the path; it is relative to the working folder or the scenario file",
        )
    if path.stat().st_size == 0:
        raise TrafficError("the file is empty", where=path, remedy="Export the history again")
    return path


def _format_of(path: Path, spec: TrafficSource) -> TrafficFormat:
    """The format stated, or the first of ``TRAFFIC_FORMATS`` that knows the file by its name and
    first 64 KiB. Raises :class:`TrafficError` with the way out where none does.
    """
    if spec.format is not None:
        if spec.format not in TRAFFIC_FORMATS:
            raise TrafficError(
                "there is no such traffic format",
                where=path,
                got=spec.format,
                remedy=f"Known: {', '.join(TRAFFIC_FORMATS)}",
            )
        return TRAFFIC_FORMATS[spec.format]
    with path.open("rb") as file:
        head = file.read(1 << 16)
    for form in TRAFFIC_FORMATS.values():
        if form.sniff(path, head):
            return form
    refuse_known(path, head)
    refuse_named(head.decode("utf-8", errors="replace"), path)
    raise TrafficError(
        "the format of the file cannot be told",
        where=path,
        remedy=f"State traffic.format: {', '.join(TRAFFIC_FORMATS)}, or give counts by the minute as CSV with the"
        " columns ts,requests",
    )


def _trim(grid: Grid, complete: bool, quality: Quality) -> Grid:
    """Drop a first or last bucket that was only partly counted: far below what its
    neighbors and its like ever were.

    Of a log, whose absent minutes are zeros, first and last bucket always go: it begins and ends
    within them. Otherwise a bucket goes below half of its neighbor and half of the least of up
    to 28 buckets at the same time of day.
    """
    rate = grid.rate_rps
    day = 86_400 // grid.interval_s if grid.interval_s <= 86_400 else 1
    first = int(complete or _partial(rate, rate[1:2], rate[day::day]))
    last = int(complete or _partial(rate[::-1], rate[-2:-1], rate[::-1][day::day]))
    if len(rate) <= 2 or not (first or last):
        return grid
    quality.add(
        "dropped",
        first + last,
        (
            "first or last buckets that were only partly counted"
            if not complete
            else "the first and last buckets of the log, which it covers only in part"
        ),
    )
    keep = slice(first, len(rate) - last)
    tokens = [None if t is None else t[keep] for t in (grid.input_tokens, grid.output_tokens)]
    return Grid(grid.start_us + first * grid.interval_s * 1_000_000, grid.interval_s, rate[keep], tokens[0], tokens[1])


def _partial(rate: Floats, neighbor: Floats, alike: Floats) -> bool:
    """Whether the first of ``rate`` is below half of its ``neighbor`` and half of the least of
    those ``alike``; never told by fewer than three of them.

    >>> _partial(np.array([1.0, 9.0]), np.array([9.0]), np.array([8.0, 9.0, 10.0]))
    True
    """
    alike = alike[np.isfinite(alike)][:28]
    if len(alike) < 3 or not np.isfinite(rate[0]) or not np.isfinite(neighbor).all():
        return False
    return bool(rate[0] < 0.5 * alike.min() and rate[0] < 0.5 * neighbor[0])
