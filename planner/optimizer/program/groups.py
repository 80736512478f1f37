"""Reductions that keep the answer: equal hours merge exactly, groups of hours give a lower bound,
dominated offers go.

The cost of an hour is convex in its load (an LP in its right-hand side), so a group of hours
replaced by its mean load never costs more than the hours themselves (Jensen 1906): the aggregated
optimum is a rigorous lower bound. Hours of different prices are never averaged.
"""

import numpy as np

from planner.arrays import Floats, Index
from planner.compiling import compiled
from planner.optimizer.program.problem import States

SAMPLE = 40_000  # rows from which the cuts are found; all rows are then dealt by them


def group_by_load(load: Floats, weight: Floats, groups: int) -> Index:
    """Group of each row of ``load`` (k, workloads): repeated cuts at the mean of the widest
    direction; ≤ ``groups`` groups.

    Rows equal in load never part. Loads are scaled by their weighted spread, so that no workload
    dominates by its unit.
    """
    member = np.zeros(len(load), dtype=np.intp)
    if len(load) < 2 or groups < 2:
        return member
    stride = -(-len(load) // SAMPLE)
    part, hours = load[::stride], weight[::stride]
    spread = np.sqrt(np.average((part - np.average(part, axis=0, weights=hours)) ** 2, axis=0, weights=hours))
    # a load that never changes has a spread of rounding only
    scale = np.where(spread > 1e-12 * np.abs(part).max(axis=0), spread, 1.0)
    leaves: list[_Leaf] = [_Leaf(0, np.arange(len(part)), part / scale, hours)]
    cuts = [(0, np.inf, -1)]  # of each node: axis, bound and the first of its two halves
    while len(leaves) < groups:
        at = max(range(len(leaves)), key=lambda j: leaves[j].badness)
        if leaves[at].badness <= 0:
            break
        leaf = leaves.pop(at)
        cuts[leaf.node] = (leaf.axis, leaf.bound(part), len(cuts))
        leaves += leaf.halves(len(cuts))
        cuts += [(0, np.inf, -1)] * 2
    number = np.empty(len(cuts), dtype=np.intp)
    number[[leaf.node for leaf in leaves]] = np.arange(len(leaves))
    axis, bound, first = (np.array(column) for column in zip(*cuts, strict=True))
    _dealt(load, axis, bound, first, number, member)
    return member


@compiled
def _dealt(load: Floats, axis: Index, bound: Floats, first: Index, number: Index, member: Index) -> None:
    """Fill ``member`` with the group of each row: down the cuts, to the first half up to the bound."""
    for row in range(load.shape[0]):
        node = 0
        while first[node] >= 0:
            node = first[node] + (load[row, axis[node]] > bound[node])
        member[row] = number[node]


class _Leaf:
    """A ``node`` of the cuts that has no halves, and the rows of the sample in it."""

    def __init__(self, node: int, seen: Index, scaled: Floats, weight: Floats) -> None:
        self.node, self.seen, self.scaled, self.weight = node, seen, scaled, weight
        self.axis, self.cut, self.badness = 0, 0.0, 0.0
        part, hours = scaled[seen], weight[seen]
        if len(seen) > 1 and (part != part[:1]).any():
            mean = (hours @ part) / hours.sum()
            off = hours @ np.abs(part - mean)
            self.axis, self.badness = int(np.argmax(off)), float(off.max())
            column = part[:, self.axis]
            low = column[column <= mean[self.axis]]
            if 0 < len(low) < len(column):
                self.cut = float(low.max())
            else:  # loads apart by no more than rounding
                self.badness = 0.0

    def bound(self, part: Floats) -> float:
        """Largest load below the cut, in its own units: scaling could round differently; so a row equal
        to that of the sample falls on the same side. ``part``: loads of the sample.
        """
        column = self.scaled[self.seen, self.axis]
        below = column <= self.cut
        return float(part[self.seen[below][np.argmax(column[below])], self.axis])

    def halves(self, node: int) -> list["_Leaf"]:
        """The two groups below and above the cut, ``node`` and the next."""
        below = self.scaled[self.seen, self.axis] <= self.cut
        both = (self.seen[below], self.seen[~below])
        return [_Leaf(node + k, seen, self.scaled, self.weight) for k, seen in enumerate(both)]


def aggregate(states: States, member: Index) -> States:
    """States replaced by their group's mean load; all rows of a group
    must have one price vector.

    Weights [h] add up; loads are means weighted by hours. The cost of the aggregated program
    is at most that of the original one (Jensen 1906), with equality where all rows of a
    group are equal. It lies low where a group spans a kink of the cost, such as the load at
    which commitments are full.
    """
    number = np.cumsum(np.bincount(member) > 0) - 1  # without groups of no row
    member, groups = number[member], int(number[-1]) + 1
    weight = np.bincount(member, states.weight_h, minlength=groups).astype(np.float64)
    first = np.zeros(groups, dtype=np.intp)
    first[member[::-1]] = np.arange(len(member))[::-1]

    def mean(values: Floats) -> Floats:
        sums = [np.bincount(member, states.weight_h * values[:, j], minlength=groups) for j in range(values.shape[1])]
        return np.stack(sums, axis=1) / weight[:, None]

    load = mean(states.load)
    raw = load if states.raw is states.load else mean(states.raw)
    return States(weight, load, raw, states.price[first], states.on_demand, states.spot, member[states.member])


def groups_of(states: States, groups: int) -> Index:
    """Groups of states with one price vector each and near loads; about ``groups`` in
    all, shared out by weight.

    Each price class gets at least one group, so that there may be more groups than asked for
    where prices change often.
    """
    classes = states.price
    count = int(classes.max()) + 1
    member, used = np.zeros(len(states), dtype=np.intp), 0
    for c in range(count):
        rows = np.flatnonzero(classes == c)
        share = max(1, round(groups * float(states.weight_h[rows].sum() / states.weight_h.sum())))
        member[rows] = used + group_by_load(states.load[rows], states.weight_h[rows], share)
        used = int(member.max()) + 1
    return member
