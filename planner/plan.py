"""Plan: what to buy and run, hour by hour, what it costs, and why; frames that reconcile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.errors import PlannerError

_MONEY = ["list_cost_usd", "effective_cost_usd", "billed_cost_usd"]
_BRIDGE = ["service", "charge", "resource", "purchase_option", "provider", "region"]


@dataclass(frozen=True)
class Certificate:
    """Proof of an answer: ``lower_bound_usd`` ≤ optimum ≤ ``upper_bound_usd`` (the plan itself);
    until it is found the lower bound is NaN.

    The bound holds for the expected bill of any machines and commitments on sale within the limits;
    charges that follow no machine are those of the plan.

    ``gap_share`` = (upper − lower) / upper; ``checks`` maps each verified property (primal, dual,
    bounds, complementarity …) to its largest violation in natural units.
    """

    status: str
    lower_bound_usd: float
    upper_bound_usd: float
    solver: str
    checks: Mapping[str, float] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """Whether the lower bound is known."""
        return not isnan(self.lower_bound_usd)

    @property
    def gap_share(self) -> float:
        """Relative distance of the plan from the proven lower bound; NaN before there is one."""
        if not self.proven:
            return float("nan")
        if self.upper_bound_usd <= 0:
            return 0.0
        return max(0.0, (self.upper_bound_usd - self.lower_bound_usd) / self.upper_bound_usd)


@dataclass(frozen=True)
class Plan:
    """The answer. Frames as declared in ``columns.csv`` (``plan.*``); Σ ``cost.effective_cost_usd``
    = ``objective_usd``.

    ``cost`` holds the expected bill: quantities and money are means over the load paths that
    were planned on; ``schedule`` and ``coverage`` hold what must be ready for each hour's load
    quantile, ``ready_usd`` what the horizon would cost if all of that ran. ``paths_usd`` [USD],
    one value a path planned on: its bill under the same commitments; the mean by
    ``paths_weight`` (equal without) is the total, P10/P50/P90 are the range.
    ``paths_month_usd``: the same by calendar month (YYYY-MM), adding up to it. ``unseen_usd``:
    bills of paths that were not planned on. ``notes`` are sentences for the reader.
    ``time_zone`` says where months begin.  ``alternatives``: near-optimal plans, if they were
    worked out (:func:`planner.optimizer.alternatives`).
    """

    scenario_name: str
    objective_usd: float
    schedule: pd.DataFrame
    coverage: pd.DataFrame
    commitments: pd.DataFrame
    cost: pd.DataFrame
    prices: pd.DataFrame
    bindings: pd.DataFrame
    excuses: pd.DataFrame
    certificate: Certificate
    paths_usd: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    time_zone: str = "UTC"
    paths_month_usd: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    alternatives: pd.DataFrame = field(default_factory=lambda: columns.empty("plan.alternatives"))
    paths_weight: tuple[float, ...] = ()
    unseen_usd: tuple[float, ...] = ()
    ready_usd: float = float("nan")

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in ("schedule", "coverage", "commitments", "cost", "prices", "bindings", "excuses", "alternatives"):
            object.__setattr__(self, name, columns.check(f"plan.{name}", getattr(self, name)))

    @property
    def total_usd(self) -> float:
        """Effective (amortized) cost of the horizon [USD]: Σ of the cost rows."""
        return float(self.cost["effective_cost_usd"].sum())

    @cached_property
    def months(self) -> float:
        """Calendar months the schedule stands for: Σ over its hours of weight / true hours of that
        month.

        A horizon of 24 h in February 2027 is 24/672: unit costs "a month" are of true months, never
        of 730 h.
        """
        hours = self.schedule.drop_duplicates("ts")
        if hours.empty:
            return float("nan")
        start = hours["ts"].dt.tz_convert(self.time_zone).dt.tz_localize(None).dt.to_period("M")
        true_h = {
            m: (_midnight(m + 1, self.time_zone) - _midnight(m, self.time_zone)) / pd.Timedelta(hours=1)
            for m in start.unique()
        }
        return float((hours["weight_h"] / start.map(true_h).astype("float64")).sum())

    def summary(self) -> dict[str, float]:
        """The figures of the first screen, all from the same rows.

        ``total_usd`` (expected, effective), ``ready_usd`` (if all that must be ready ran),
        ``unseen_mean_usd`` (of paths not planned on), ``list_usd``, ``billed_usd`` [USD];
        ``monthly_mean_usd`` [USD/month]; ``saving_usd`` and ``effective_savings_rate`` against
        list; ``p10_usd p50_usd p90_usd`` of the bill over the paths (NaN without paths);
        ``on_demand_share spot_share committed_share`` of compute; ``unowned_usd``: money nobody
        answers for; ``gap_share`` to the bound.
        """
        list_usd, total, billed = (float(self.cost[c].sum()) for c in _MONEY)
        paths = np.asarray(self.paths_usd, dtype=np.float64)
        low, mid, high = self.range_of(paths) if len(paths) else (np.nan,) * 3
        compute = self.cost[self.cost["charge"].isin(["compute", "commitment_unused"])]
        shares = compute.groupby("purchase_option", observed=True)["effective_cost_usd"].sum() / (
            compute["effective_cost_usd"].sum() or np.nan
        )
        figures = {
            "total_usd": total,
            "monthly_mean_usd": total / self.months,
            "list_usd": list_usd,
            "billed_usd": billed,
            "saving_usd": list_usd - total,
            "effective_savings_rate": 1 - total / list_usd if list_usd else 0.0,
            "p10_usd": float(low),
            "p50_usd": float(mid),
            "p90_usd": float(high),
            "ready_usd": self.ready_usd,
            "unseen_mean_usd": float(np.mean(self.unseen_usd)) if self.unseen_usd else float("nan"),
        }
        figures |= {f"{option}_share": float(shares.get(option, 0.0)) for option in ("on_demand", "spot", "committed")}
        figures |= {
            "unowned_usd": float(self.cost.loc[self.cost["owner"] == "", "effective_cost_usd"].sum()),
            "lower_bound_usd": self.certificate.lower_bound_usd,
            "gap_share": self.certificate.gap_share,
        }
        return figures

    def range_of(self, bills: Floats) -> tuple[float, float, float]:
        """P10, P50 and P90 of one value a path, by the weights of the paths."""
        weight = np.asarray(self.paths_weight) if self.paths_weight else np.full(len(bills), 1.0 / max(1, len(bills)))
        low, mid, high = (float(path_quantile(bills, weight, q)) for q in (0.1, 0.5, 0.9))
        return low, mid, high

    def monthly(self) -> pd.DataFrame:
        """List, effective and billed cost by calendar month and charge (``plan.months``); sums to
        the cost rows.
        """
        month = self.cost["ts"].dt.tz_convert(self.time_zone).dt.strftime("%Y-%m").astype("str").rename("month")
        found = self.cost.groupby([month, "charge"], observed=True)[_MONEY].sum().reset_index()
        return columns.check("plan.months", found)

    def monthly_range(self) -> pd.DataFrame:
        """P10, P50 and P90 of each month's bill over the paths (``plan.month_range``); they do not
        add up to those of the year.

        Each month has its own cheapest and dearest paths; a year's P90 is below the sum of its
        months' P90.
        """
        rows = [(month, *self.range_of(np.array(values))) for month, values in self.paths_month_usd.items()]
        if not rows:
            return columns.empty("plan.month_range")
        return columns.check(
            "plan.month_range",
            pd.DataFrame(rows, columns=["month", "p10_usd", "p50_usd", "p90_usd"]).astype({"month": "str"}),
        )

    def by_owner(self) -> pd.DataFrame:
        """Cost by owner, cost center and service, dearest first (``plan.owners``); an empty owner
        is money nobody answers for.
        """
        found = self.cost.groupby(["owner", "cost_center", "service"], observed=True)[_MONEY].sum().reset_index()
        return columns.check("plan.owners", found.sort_values("effective_cost_usd", ascending=False, ignore_index=True))

    def machines(self) -> pd.DataFrame:
        """Fewest, mean and most machines of each pool over the horizon (``plan.machines``).

        Hours in which a pool runs nothing count as 0 in the mean; ``weight_h`` counts hours that a
        row stands for.
        """
        keys = ["service", "provider", "region", "instance_type", "purchase_option"]
        hours = self.schedule.drop_duplicates("ts")["weight_h"]
        by_hour = self.schedule.groupby([*keys, "ts"], observed=True)[["instances", "weight_h"]].agg(
            {"instances": "sum", "weight_h": "first"}
        )
        by_hour["instance_hours"] = by_hour["instances"] * by_hour["weight_h"]
        pool = by_hour.groupby(keys, observed=True)
        found = pool["instances"].agg(min_instances="min", max_instances="max")
        found.loc[pool.size() < len(hours), "min_instances"] = 0.0
        found["mean_instances"] = pool["instance_hours"].sum() / hours.sum()
        return columns.check("plan.machines", found.reset_index())

    def usd_per_1k_requests(self, requests: Mapping[str, float]) -> dict[str, float]:
        """Effective cost of a thousand served requests by service [USD]; ``requests``: mean over
        the horizon (idle hours are paid).
        """
        return self._unit_cost(requests, 1e3)

    def usd_per_1m_tokens(self, tokens: Mapping[str, float]) -> dict[str, float]:
        """Effective cost of a million tokens by service [USD]; ``tokens``: input and output over
        the horizon, the caller's choice.
        """
        return self._unit_cost(tokens, 1e6)

    def _unit_cost(self, volume: Mapping[str, float], each: float) -> dict[str, float]:
        cost = self.cost.groupby("service", observed=True)["effective_cost_usd"].sum()
        unknown = sorted(set(volume) - set(cost.index))
        if unknown:
            raise PlannerError(
                "no charge of this service in the plan",
                got=unknown,
                remedy=f"Services: {', '.join(cost.index)}",
            )
        return {s: float(cost[s]) / v * each if v > 0 else float("nan") for s, v in volume.items()}

    def compare(self, other: "Plan") -> pd.DataFrame:
        """The bridge from this plan's cost to the other's (``plan.bridge``); its differences add up
        exactly (:func:`bridge`).
        """
        return bridge(self.cost, other.cost)


def bridge(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """From the charges ``before`` to those ``after`` (``plan.bridge``); the
    differences add up exactly.

    For a charge in both with quantities q, Q and effective unit prices p, P: ``volume`` (Q − q)·p and
    ``price`` (P − p)·Q; charges of one side only are ``added`` or ``removed``.  Both hold the columns
    of ``plan.cost`` that tell charges apart, ``quantity`` and ``effective_cost_usd``.
    """
    mine, theirs = (
        cost.groupby(_BRIDGE, observed=True)[["quantity", "effective_cost_usd"]].sum() for cost in (before, after)
    )
    both = mine.add_suffix("_0").join(theirs.add_suffix("_1"), how="outer")
    q0, c0, q1, c1 = (both[f"{c}_{k}"].to_numpy(np.float64) for k in (0, 1) for c in ("quantity", "effective_cost_usd"))
    p0 = np.divide(c0, q0, out=np.zeros_like(c0), where=q0 != 0)
    kept = ~np.isnan(c0) & ~np.isnan(c1)
    causes = {
        "volume": np.where(kept, (q1 - q0) * p0, 0.0),
        "price": np.where(kept, c1 - q1 * p0, 0.0),
        "added": np.where(np.isnan(c0), c1, 0.0),
        "removed": np.where(np.isnan(c1), -c0, 0.0),
    }
    keys = both.index.to_frame(index=False)
    rows = pd.concat([keys.assign(cause=cause, difference_usd=d) for cause, d in causes.items()], ignore_index=True)
    rows = (
        rows.groupby(["service", "charge", "resource", "purchase_option", "cause"], observed=True)["difference_usd"]
        .sum()
        .reset_index()
    )
    rows = rows[rows["difference_usd"] != 0].astype({"cause": "str"})
    order = rows["difference_usd"].abs().sort_values(ascending=False, kind="stable").index
    return columns.check("plan.bridge", rows.loc[order].reset_index(drop=True))


def _midnight(month: pd.Period, time_zone: str) -> pd.Timestamp:
    """First instant of a month in a time zone."""
    return month.start_time.tz_localize(time_zone, nonexistent="shift_forward", ambiguous=True)


def path_quantile(values: Floats, weight: Floats, q: float) -> Floats:
    """Quantile ``q`` over the first axis of ``values`` (paths, …), each of its ``weight`` (paths,).

    Sorted, value k stands at (C_k − w_k/2 − w_1/2) / (C_n − w_1/2 − w_n/2) with C_k the weights
    up to and with k; between two values it is interpolated. Equal weights give the usual
    quantile, k/(n − 1) (Hyndman & Fan 1996, type 7); one value is its own quantile.
    """
    flat = values.reshape(len(values), -1)
    found = np.empty(flat.shape[1])
    for k in range(flat.shape[1]):
        order = np.argsort(flat[:, k], kind="stable")
        middle = np.cumsum(weight[order]) - weight[order] / 2
        found[k] = np.interp(q * (middle[-1] - middle[0]), middle - middle[0], flat[order, k])
    return found.reshape(values.shape[1:])
