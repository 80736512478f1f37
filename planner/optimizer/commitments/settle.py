"""Commitments applied as the provider's bill applies them, hour by hour: reservations first, then
spending plans by rank.

Within a reservation usage is taken in its order, within a plan by the highest saving 1 −
rate/on-demand first, ties to the lower rate (AWS, "How Savings Plans apply to your usage", 2024).
What is not used is lost. With two ranked plans this can cost more than the cheapest conceivable
application, which is what a linear program assumes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from planner.arrays import Floats

Key = TypeVar("Key")


@dataclass(frozen=True)
class Instrument:
    """A commitment in force: ``amount`` units an hour, a number or one value an hour (instances,
    family units, or USD/h of a plan).

    ``units`` {usage: units an instance-hour takes}; of a plan these are its rates [USD/h].
    Reservations have ``rank`` 0 and take usage in the order of ``units``; plans follow by rank.
    """

    name: str
    amount: float | Floats
    units: Mapping[Any, float]
    rank: int = 0


def settle(
    usage: Mapping[Key, Floats], on_demand: Mapping[Key, float], instruments: Sequence[Instrument]
) -> tuple[dict[tuple[str, Key], Floats], dict[Key, Floats]]:
    """Covered instances by (instrument, usage), and what is left at the on-demand price; arrays
    like ``usage``, one value an hour.
    """
    left = {key: np.asarray(count, dtype=np.float64).copy() for key, count in usage.items()}
    covered: dict[tuple[str, Key], Floats] = {}
    for held in sorted(instruments, key=lambda i: i.rank):
        room: Floats = np.zeros_like(next(iter(left.values()))) + held.amount if left else np.zeros(0)
        for key in _order(held, left, on_demand):
            used = np.minimum(left[key], room / held.units[key])
            left[key] = left[key] - used
            room = np.maximum(room - used * held.units[key], 0.0)
            covered[held.name, key] = covered.get((held.name, key), 0.0) + used
    return covered, left


def _order(held: Instrument, left: Mapping[Key, Floats], on_demand: Mapping[Key, float]) -> list[Key]:
    able = [key for key in held.units if key in left and held.units[key] > 0]
    if held.rank == 0:
        return able
    return sorted(able, key=lambda key: (held.units[key] / on_demand[key], held.units[key]))
