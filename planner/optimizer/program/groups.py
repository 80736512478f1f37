"""Reductions that keep the answer: equal hours merge exactly, groups of hours give a lower bound,
dominated offers go.

The cost of an hour is convex in its load (an LP in its right-hand side), so a group of hours
replaced by its mean load never costs more than the hours themselves (Jensen 1906): the aggregated
optimum is a rigorous lower bound. Hours of different prices are never averaged.
"""

import numpy as np

from planner.arrays import Floats, Index
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
    leaves: list[_Leaf] = [_Leaf(np.arange(len(part)), np.arange(len(load)), part / scale, hours)]
    while len(leaves) < groups:
        at = max(range(len(leaves)), key=lambda j: leaves[j].badness)
        if leaves[at].badness <= 0:
            break
        leaves += leaves.pop(at).halves(load)
    for number, leaf in enumerate(leaves):
        member[leaf.rows] = number
    return member


class _Leaf:
    """Rows of one group: those of the sample (``seen``) say where to cut, all of them (``rows``)
    are dealt.
    """

    def __init__(self, seen: Index, rows: Index, scaled: Floats, weight: Floats) -> None:
        self.seen, self.rows, self.scaled, self.weight = seen, rows, scaled, weight
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

    def halves(self, load: Floats) -> list["_Leaf"]:
        """The two groups below and above the cut.

        The sample decides the cut; all rows are dealt by the load, in its own
        units, of the sampled row that stands nearest below it, so a row equal to
        that one falls on the same side.
        """
        column, stride = self.scaled[self.seen, self.axis], -(-len(load) // len(self.scaled))
        below = column <= self.cut
        example = self.seen[below][np.argmax(column[below])]
        # in the units of the load: scaling could round differently
        bound = load[example * stride, self.axis]
        every = load[self.rows, self.axis] <= bound
        return [
            _Leaf(self.seen[below], self.rows[every], self.scaled, self.weight),
            _Leaf(self.seen[~below], self.rows[~every], self.scaled, self.weight),
        ]


def aggregate(states: States, member: Index) -> States:
    """States replaced by their group's mean load; all rows of a group
    must have one price vector.

    Weights [h] add up; loads are means weighted by hours. The cost of the aggregated program
    is at most that of the original one (Jensen 1906), with equality where all rows of a
    group are equal. It lies low where a group spans a kink of the cost, such as the load at
    which commitments are full.
    """
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
