"""A stored plan worked out again: on its own prices it comes out to the cent, on newer ones the
bridge says what moved.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from planner.catalog import Catalog
from planner.data import tables_read
from planner.plan import bridge
from planner.store.kept import KEYS, MONEY, Kept
from planner.store.revision import Revision
from planner.study import Study, run

CENT = 0.005
_PRICED = ["provider", "region", "resource", "purchase_option", "unit"]


@dataclass(frozen=True)
class Recomputed:
    """A stored plan and the same question answered now.

    ``largest_usd``: largest difference of a charge of a month [USD], over list, effective and
    billed cost; ``lines``: the bridge of the horizon's cost (``plan.bridge``), which adds up to
    ``after_usd`` − ``before_usd``; ``moves``: prices paid by both that differ; ``tables``: names of
    the bundled tables (hardware, models, benchmarks) that are not those it was stored with.
    """

    revision: Revision
    study: Study
    kept: Kept
    largest_usd: float
    lines: pd.DataFrame
    moves: pd.DataFrame
    tables: tuple[str, ...]

    @property
    def before_usd(self) -> float:
        """Amortized cost of the horizon as stored [USD]."""
        return float(self.revision.kept.cost["effective_cost_usd"].sum())

    @property
    def after_usd(self) -> float:
        """The same as computed now [USD]."""
        return float(self.kept.cost["effective_cost_usd"].sum())

    @property
    def same(self) -> bool:
        """Whether every charge of every month is the same to the cent."""
        return self.largest_usd < CENT


def recompute(
    revision: Revision, *, newest: bool = False, progress: Callable[[str], None] = lambda _: None
) -> Recomputed:
    """Answer a stored question again, on the prices kept with it or on the ``newest`` at hand.

    With the stored prices, the same number of paths, the same planner and tables the answer comes
    out to the cent; where it does not, ``made_by`` of the revision says which planner it was, and
    ``tables`` which of the bundled tables are others now. With newer prices the bridge says what moved.

    Raises :class:`StoreError` for a damaged revision, and any
    :class:`PlannerError` of the stages.
    """
    with revision.scenario() as scenario:
        catalog = Catalog.read(*scenario.providers, regions=scenario.regions) if newest else revision.catalog()
        study = run(scenario, catalog, paths=revision.facts.paths, progress=progress)
        now, before = Kept.of(study), revision.kept
        return Recomputed(
            revision,
            study,
            now,
            _largest(before.cost, now.cost),
            bridge(before.cost, now.cost),
            _moves(before.prices, now.prices),
            _other(revision.facts.tables, tables_read()),
        )


def _other(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Names of tables that came, went or changed; none where the revision does not know its own."""
    return tuple(n for n in sorted({*before, *now}) if before.get(n) != now.get(n)) if before else ()


def _largest(before: pd.DataFrame, after: pd.DataFrame) -> float:
    """Largest difference of one charge in one month [USD]; a charge of one side counts whole."""
    sides = [cost.groupby(["month", *KEYS])[MONEY].sum() for cost in (before, after)]
    return float(sides[1].sub(sides[0], fill_value=0.0).abs().to_numpy().max(initial=0.0))


def _moves(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Prices that both plans pay and that differ: before, after and the change as a share."""
    sides = [
        prices.groupby(_PRICED)["list_unit_price_usd"].max().rename(side)
        for prices, side in ((before, "before_usd"), (after, "after_usd"))
    ]
    both = pd.concat(sides, axis=1, join="inner").reset_index()
    moved = both[both["before_usd"] != both["after_usd"]]
    return moved.assign(change_share=moved["after_usd"] / moved["before_usd"] - 1).reset_index(drop=True)
