"""Commitments applied as the provider's bill applies them, hour by hour: reservations first, then
spending plans by rank.

Within a reservation usage is taken in its order, within a plan by the highest saving 1 −
rate/on-demand first, ties to the lower rate (AWS, "How Savings Plans apply to your usage", 2024).
What is not used is lost. With two ranked plans this can cost more than the cheapest conceivable
application, which is what a linear program assumes.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from planner.arrays import Floats, Index
from planner.compiling import compiled

Key = TypeVar("Key", bound=Hashable)


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


class Turns(NamedTuple):
    """Who takes what and when, arrays (instruments, usages): ``units`` an instance takes, 0 of what
    is not covered; ``order`` the usages in the turn of each instrument, −1 after its last.
    """

    units: Floats
    order: Index


def settle(
    usage: Mapping[Key, Floats], on_demand: Mapping[Key, float], instruments: Sequence[Instrument]
) -> tuple[dict[tuple[str, Key], Floats], dict[Key, Floats]]:
    """Covered instances by (instrument, usage), and what is left at the on-demand price; arrays
    like ``usage``, one value an hour.
    """
    if not usage:
        return {}, {}
    keys, held = list(usage), sorted(instruments, key=lambda i: i.rank)
    turns = turns_of(held, keys, on_demand)
    left = np.array([usage[k] for k in keys], dtype=np.float64)
    room, taken = np.empty((len(held), left.shape[1])), np.zeros((len(held), *left.shape))
    for i, instrument in enumerate(held):
        room[i] = instrument.amount
    _settled(left, room, *turns, taken)
    covered: dict[tuple[str, Key], Floats] = {}
    for i, instrument in enumerate(held):
        for u in turns.order[i][turns.order[i] >= 0]:
            key = instrument.name, keys[u]
            covered[key] = covered.get(key, 0.0) + taken[i, u]
    return covered, dict(zip(keys, left, strict=True))


def turns_of(instruments: Sequence[Instrument], usage: Sequence[Key], on_demand: Mapping[Key, float]) -> Turns:
    """Turns of ``instruments``, by rank, among some usages at their on-demand prices [USD/h]."""
    at = {key: u for u, key in enumerate(usage)}
    units = np.zeros((len(instruments), len(usage)))
    order = np.full(units.shape, -1, dtype=np.intp)
    for i, held in enumerate(instruments):
        for n, key in enumerate(_order(held, at, on_demand)):
            order[i, n], units[i, at[key]] = at[key], held.units[key]
    return Turns(units, order)


@compiled
def draw(left: Floats, room: Floats, each: float, used: Floats) -> None:
    """One turn in many hours: of what is ``left`` of a usage as much is ``used`` as there is ``room``
    for, ``each`` units an instance; both are changed in place.
    """
    for t in range(left.size):
        most = room[t] / each
        used[t] = left[t] if left[t] < most else most
        left[t] -= used[t]
        rest = room[t] - used[t] * each
        room[t] = rest if rest > 0.0 else 0.0


@compiled
def _settled(left: Floats, room: Floats, units: Floats, order: Index, taken: Floats) -> None:
    for i in range(order.shape[0]):
        for u in order[i]:
            if u < 0:
                break
            draw(left[u], room[i], units[i, u], taken[i, u])


@compiled
def less_covered(
    usd: Floats, left: Floats, room: Floats, units: Floats, order: Index, saved: Floats, unit: Floats
) -> None:
    """Take off ``usd`` (hours,) what turns save: ``left`` (usages, hours) instances, of which a
    ``unit`` (usages,) together saves ``saved`` (usages,); ``room`` (instruments,).
    """
    free, used = np.empty(usd.size), np.empty(usd.size)
    for i in range(order.shape[0]):
        for t in range(usd.size):
            free[t] = room[i]
        for u in order[i]:
            if u < 0:
                break
            draw(left[u], free, units[i, u], used)
            for t in range(usd.size):
                usd[t] -= used[t] * saved[u] / unit[u]


def _order(held: Instrument, usage: Mapping[Key, int], on_demand: Mapping[Key, float]) -> list[Key]:
    able = [key for key in held.units if key in usage and held.units[key] > 0]
    if held.rank == 0:
        return able
    return sorted(able, key=lambda key: (held.units[key] / on_demand[key], held.units[key]))
