"""Reductions that keep the answer: equal hours merge exactly, groups of hours give a lower bound, dominated offers go.

The cost of an hour is convex in its load (an LP in its right-hand side), so a group of hours replaced by its mean
load never costs more than the hours themselves (Jensen 1906): the aggregated optimum is a rigorous lower bound.
Hours of different prices are never averaged.
"""

import numpy as np
from numpy.typing import NDArray

from planner.optimize.problem import Floats, States


def group_by_load(load: Floats, weight: Floats, groups: int) -> NDArray[np.intp]:
    """Group of each row of ``load`` (k, workloads): repeated weighted-median cuts along the widest direction; ≤ ``groups`` groups.

    Rows equal in load never part. Loads are scaled by their weighted spread, so that no workload dominates by its unit.
    """
    member = np.zeros(len(load), dtype=np.intp)
    if len(load) < 2 or groups < 2:
        return member
    mean = np.average(load, axis=0, weights=weight)
    spread = np.sqrt(np.average((load - mean) ** 2, axis=0, weights=weight))
    scaled = load / np.where(spread > 0, spread, 1.0)
    queue = [(_badness(scaled, weight), np.arange(len(load)))]
    final: list[NDArray[np.intp]] = []
    while queue and len(queue) + len(final) < groups:
        at = max(range(len(queue)), key=lambda j: queue[j][0])
        badness, rows = queue.pop(at)
        if badness <= 0:
            final.append(rows)
            continue
        queue += [(_badness(scaled[part], weight[part]), part) for part in _halves(scaled, weight, rows)]
    for number, rows in enumerate([*final, *(rows for _, rows in queue)]):
        member[rows] = number
    return member


def _badness(load: Floats, weight: Floats) -> float:
    """Weighted sum of absolute deviations in the widest direction."""
    if len(load) < 2 or (load == load[:1]).all():
        return 0.0
    mean = np.average(load, axis=0, weights=weight)
    return float(np.max(weight @ np.abs(load - mean)))


def _halves(load: Floats, weight: Floats, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    part, w = load[rows], weight[rows]
    mean = np.average(part, axis=0, weights=w)
    axis = int(np.argmax(w @ np.abs(part - mean)))
    low = part[:, axis] <= mean[axis]
    if low.all() or not low.any():
        low = part[:, axis] < part[:, axis].max()
    return rows[low], rows[~low]


def aggregate(states: States, member: NDArray[np.intp]) -> States:
    """States replaced by their group's mean load; all rows of a group must have one price vector."""
    _, member = np.unique(member, return_inverse=True)
    groups = int(member.max()) + 1
    weight = np.bincount(member, states.weight_h, minlength=groups).astype(np.float64)
    first = np.zeros(groups, dtype=np.intp)
    first[member[::-1]] = np.arange(len(member))[::-1]

    def mean(values: Floats) -> Floats:
        sums = [np.bincount(member, states.weight_h * values[:, j], minlength=groups) for j in range(values.shape[1])]
        return np.stack(sums, axis=1) / weight[:, None]

    load = mean(states.load)
    raw = load if states.raw is states.load else mean(states.raw)
    return States(weight, load, raw, states.price[first], states.on_demand, states.spot, member[states.member])


def groups_of(states: States, groups: int) -> NDArray[np.intp]:
    """Groups of states with one price vector each and near loads; about ``groups`` in all, shared out by weight."""
    classes = states.price
    count = int(classes.max()) + 1
    member, used = np.zeros(len(states), dtype=np.intp), 0
    for c in range(count):
        rows = np.flatnonzero(classes == c)
        share = max(1, round(groups * float(states.weight_h[rows].sum() / states.weight_h.sum())))
        member[rows] = used + group_by_load(states.load[rows], states.weight_h[rows], share)
        used = int(member.max()) + 1
    return member
