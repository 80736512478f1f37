"""Plan: what to buy and run, hour by hour, what it costs, and why; frames that reconcile."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from planner import columns


@dataclass(frozen=True)
class Certificate:
    """Proof of an answer: ``lower_bound_usd`` ≤ optimum ≤ ``upper_bound_usd`` (the plan itself).

    ``gap_share`` = (upper − lower) / upper; ``checks`` maps each verified property (primal, dual,
    bounds, complementarity …) to its largest violation in natural units.
    """

    status: str
    lower_bound_usd: float
    upper_bound_usd: float
    solver: str
    checks: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap_share(self) -> float:
        """Relative distance of the plan from the proven lower bound."""
        if self.upper_bound_usd <= 0:
            return 0.0
        return max(0.0, (self.upper_bound_usd - self.lower_bound_usd) / self.upper_bound_usd)


@dataclass(frozen=True)
class Plan:
    """The answer. Frames as declared in ``columns.csv`` (``plan.*``); Σ ``cost.effective_cost_usd`` = ``objective_usd``.

    ``paths_usd`` [USD], one value a valued sample path: the bill if capacity follows that path under the same
    commitments; its P10/P50/P90 are the range.  ``notes`` are sentences for the reader.
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

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in ("schedule", "coverage", "commitments", "cost", "prices", "bindings", "excuses"):
            object.__setattr__(self, name, columns.check(f"plan.{name}", getattr(self, name)))
