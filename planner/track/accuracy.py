"""How good the forecast was so far, and how well what was bought ahead is used."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from planner import columns
from planner.charges import CONTRACTS
from planner.load import Load, Traffic
from planner.plan import Plan
from planner.track.period import Period

_HOUR_S = 3600.0


def accuracy(load: Load, actual: Mapping[str, Traffic]) -> pd.DataFrame:
    """Each service's forecast against what came on the observed hours (frame ``track.accuracy``).

    Requests that came, forecast middle, P10 and P90 of the paths over the same hours; error of an
    hour Σ|y − median| / Σy; share of hours within the central 80 %; highest hour against the mean
    of the paths' highest.
    """
    rows = []
    for name, traffic in actual.items():
        came = traffic.hourly().reindex(load.ts).to_numpy(np.float64)
        known = np.isfinite(came)
        if not known.any():
            continue
        y, paths = came[known], load.services[name].arrival_rate_rps[:, known].astype(np.float64)
        low, mid, high = np.quantile(paths, (0.1, 0.5, 0.9), axis=0)
        volume = paths.sum(axis=1) * _HOUR_S
        rows.append(
            {
                "service": name,
                "hours": float(known.sum()),
                "arrived_requests": float(y.sum() * _HOUR_S),
                "p10_requests": float(np.quantile(volume, 0.1)),
                "p50_requests": float(np.quantile(volume, 0.5)),
                "p90_requests": float(np.quantile(volume, 0.9)),
                "forecast_error_share": float(np.abs(y - mid).sum() / y.sum()) if y.sum() > 0 else float("nan"),
                "within_band_share": float(((y >= low) & (y <= high)).mean()),
                "peak_rps": float(y.max()),
                "expected_peak_rps": float(paths.max(axis=1).mean()),
            }
        )
    frame = pd.DataFrame(rows, columns=list(columns.columns_of("track.accuracy")))
    return columns.check("track.accuracy", frame.astype({"service": "str"}))


def utilization(plan: Plan, planned: pd.DataFrame, rows: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Each commitment in force (frame ``track.commitments``): its planned use and the billed one.

    Billed use = what was covered / (covered + left unused), amortized; NaN where the bill has no
    amortized figures or no row of it. The first row, ``all``, is over all of them.
    """
    inside = rows[(rows["ts"] < period.end) & (rows["ts"] >= period.start)]
    bound = inside[inside["purchase_option"] == "committed"]
    own = planned[planned["purchase_option"] == "committed"]
    force = plan.commitments[(plan.commitments["start"] < period.end) & (plan.commitments["end"] > period.start)]
    names = dict.fromkeys([*force["commitment"], *own["commitment"]])
    found = [("all", _used(own), _used(bound), float(bound["effective_cost_usd"].sum(min_count=1)))]
    for name in names:
        mine = own[own["commitment"] == name]
        # a bill has names of its own: where one contract is in force, all of it is that one
        theirs = bound if len(names) == 1 else bound[bound["commitment"] == name]
        found.append(
            (
                str(name),
                _used(mine),
                _used(theirs),
                float(theirs["effective_cost_usd"].sum(min_count=1)),
            )
        )
    table = pd.DataFrame(found if names or len(bound) else [], columns=list(columns.columns_of("track.commitments")))
    return columns.check("track.commitments", table.astype({"commitment": "str"}))


def _used(rows: pd.DataFrame) -> float:
    usd = rows["effective_cost_usd"]
    if not len(rows) or usd.isna().any():
        return float("nan")
    left = float(usd[rows["charge"].isin(CONTRACTS)].sum())
    total = float(usd.sum())
    return 1.0 - left / total if total > 0 else float("nan")
