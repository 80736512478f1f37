"""What a scenario must show before it may be called agreed or budgeted.

idea: nothing. agreed: an owner for every dollar. budgeted: agreed before, a budget stated, and
prices younger than a limit for all but a small share of the money: a budget on old prices is a
guess.
"""

from datetime import date

import pandas as pd

from planner.catalog.checks import first_day
from planner.errors import StoreError
from planner.scenario import Scenario
from planner.store.kept import Kept

STATES = ("idea", "agreed", "budgeted")
MAX_PRICE_AGE_DAYS = 180
OLD_SHARE = 0.1  # of the bill that may stand on older prices
_CENT = 0.005
_PRICED = ["provider", "region", "resource", "purchase_option"]


def check_gates(
    state: str,
    before: str | None,
    scenario: Scenario,
    kept: Kept,
    *,
    today: date,
    max_age_days: int = MAX_PRICE_AGE_DAYS,
) -> None:
    """Let a scenario into ``state``, where it was in ``before`` until now.

    Every gate is tried, so that all that is missing is said at once. ``budgeted`` may follow
    ``agreed`` or itself. ``today`` dates the age of prices. Raises :class:`StoreError` with
    every gate that is shut and what opens it.
    """
    if state not in STATES:
        raise StoreError("there is no such state", got=state, remedy=f"States are {', '.join(STATES)}")
    shut = [] if state == "idea" else _unowned(kept)
    if state == "budgeted":
        if before not in ("agreed", "budgeted"):
            shut.append("it must be agreed first")
        if scenario.limits.budget_usd_per_month is None:
            shut.append("no budget is stated: set limits.budget_usd_per_month")
        shut += _old(kept, today, max_age_days)
    if shut:
        raise StoreError(f"{scenario.name} cannot be {state}: " + "; ".join(shut), where="store")


def old_share(kept: Kept, today: date, max_age_days: int) -> pd.Series:
    """Share of the bill by resource whose price is older than
    ``max_age_days`` or carries no date.

    Largest first; what the scenario itself prices (``other_costs``) is not among them.
    A resource with several prices is as old as the oldest of them; shares are of
    effective cost over the horizon.
    """

    def stale(as_of: str) -> bool:
        day = first_day(as_of)
        return day is None or (today - day).days > max_age_days

    dated = kept.prices[_PRICED].assign(stale=[stale(text) for text in kept.prices["as_of"]])
    worst = dated.groupby(_PRICED)["stale"].max()
    paid = kept.cost.groupby(_PRICED)["effective_cost_usd"].sum()
    old = paid[worst.reindex(paid.index, fill_value=False).to_numpy(dtype=bool)]
    share: pd.Series = (old.groupby("resource").sum() / paid.sum()).sort_values(ascending=False)
    return share


def _unowned(kept: Kept) -> list[str]:
    """The sentence on money without an owner [USD a month], by service; none where each row
    above half a cent has one.
    """
    lost = kept.cost[(kept.cost["owner"] == "") & (kept.cost["effective_cost_usd"].abs() > _CENT)]
    if lost.empty:
        return []
    by = lost.groupby("service")["effective_cost_usd"].sum() / kept.months
    names = ", ".join(f"{name or 'shared'} ${usd:,.2f}" for name, usd in by.items())
    return [f"nobody answers for ${by.sum():,.2f} a month ({names}): name an owner under services.NAME.owner"]


def _old(kept: Kept, today: date, max_age_days: int) -> list[str]:
    """The sentence on old prices; none up to ``OLD_SHARE`` of the bill."""
    share = old_share(kept, today, max_age_days)
    if share.sum() <= OLD_SHARE:
        return []
    names = ", ".join(f"{name} {part:.0%}" for name, part in share.head(3).items())
    return [
        f"{share.sum():.0%} of the bill stands on prices older than {max_age_days} days or without a date"
        f" ({names}): refresh them with planner catalog refresh"
    ]
