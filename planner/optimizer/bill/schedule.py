"""The schedule on a dense grid: instances and replicas by pool and hour, and the calendar months
the hours fall into.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.arrays import Floats
from planner.calendar import Months
from planner.capacity import Capacity
from planner.catalog import Catalog
from planner.errors import SolverError
from planner.load import Load
from planner.scenario import Scenario

POOL = ["service", "provider", "region", "instance_type", "deployment"]
TINY = 1e-6
HELD = " (held)"  # after the name of a commitment that was signed before the plan


def price_factor(scenario: Scenario, provider: str, family: str = "", service: str = "") -> float:
    """What negotiated discounts leave of a list price: the product of (1 − discount_share) over the
    adjustments that apply.
    """
    factor = 1.0
    for a in scenario.price_adjustments:
        if a.provider in (None, provider) and a.family in (None, family) and a.service in (None, service):
            factor *= 1.0 - a.discount_share
    return factor


@dataclass(frozen=True)
class Grid:
    """The schedule as dense arrays (pools, hours) of instances and replicas; coverage by
    commitment.
    """

    ts: pd.DatetimeIndex
    weight_h: Floats
    months: Months
    pools: pd.DataFrame
    instances: Mapping[str, Floats]
    replicas: Floats
    coverage: Mapping[tuple[str, str, str], Floats]

    @classmethod
    def of(
        cls,
        load: Load,
        schedule: pd.DataFrame,
        coverage: pd.DataFrame,
        catalog: Catalog,
        capacity: Capacity,
        time_zone: str,
    ) -> "Grid":
        """Spread the frames over the load's grid; every pool knows its machine's family, vCPUs and
        usable rate.

        Raises :class:`SolverError` for machines outside the plan's own schedule or horizon.
        """
        pools = schedule[POOL].drop_duplicates().sort_values(POOL).reset_index(drop=True)
        index, shape = pd.MultiIndex.from_frame(pools), (len(pools), load.hours)

        def spread(frame: pd.DataFrame, column: str) -> Floats:
            dense = np.zeros(shape)
            row, hour = (
                index.get_indexer(pd.MultiIndex.from_frame(frame[POOL])),
                load.ts.get_indexer(pd.DatetimeIndex(frame["ts"])),
            )
            if (row < 0).any() or (hour < 0).any():
                raise SolverError("the plan covers or runs machines outside its own schedule or horizon")
            np.add.at(dense, (row, hour), frame[column].to_numpy(np.float64))
            return dense

        instances = {
            option: spread(part, "instances") for option, part in schedule.groupby("purchase_option", observed=True)
        }
        covered = {
            (str(k[0]), str(k[1]), str(k[2])): spread(part, "instances")
            for k, part in coverage.groupby(["provider", "region", "commitment"], observed=True)
        }
        machine = catalog.instances.drop_duplicates(["provider", "region", "instance_type"])[
            ["provider", "region", "instance_type", "family", "vcpus"]
        ]
        sized = capacity.frame.drop_duplicates(POOL)[[*POOL, "usable_rps"]]
        pools = pools.merge(machine, how="left", on=["provider", "region", "instance_type"]).merge(
            sized, how="left", on=POOL
        )
        pools["family"] = pools["family"].fillna("")
        return cls(
            load.ts,
            load.weight_h,
            Months.over(load.ts, time_zone),
            pools,
            {str(k): v for k, v in instances.items()},
            spread(schedule, "replicas"),
            covered,
        )

    def pool(self, p: int) -> dict[str, str]:
        """The words of a pool that every one of its charges carries."""
        row = self.pools.iloc[p]
        return {
            "service": row["service"],
            "provider": row["provider"],
            "region": row["region"],
            "resource": row["instance_type"],
            "charge": "compute",
            "unit": "instance_hour",
        }

    def uncovered(self, p: int) -> Floats:
        """On-demand instances that no commitment pays for, hour by hour. Raises
        :class:`SolverError` if more is covered than runs.
        """
        left: Floats = (
            self.instances["on_demand"][p].copy() if "on_demand" in self.instances else np.zeros(len(self.ts))
        )
        for covered in self.coverage.values():
            left -= covered[p]
        if (left < -TINY).any():
            raise SolverError(
                f"commitments cover more {self.pools.iloc[p]['instance_type']} than run on demand",
                got=float(left.min()),
            )
        rest: Floats = np.maximum(left, 0.0)
        return rest
